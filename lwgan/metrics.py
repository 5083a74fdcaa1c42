"""The figures of an edit (Sec. 4.2 of the paper): small pure functions of judges' readings before and after.

A *curve* is an edit measured at rising strengths: alphas [A] and a figure at each, [A]. Methods are compared
where their curves reach the same target change, not at the same alpha, whose unit is each method's own.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from lwgan.domain import Change


def meets(read: Tensor, names: Sequence[str], condition: Mapping[str, bool]) -> Tensor:
    """bool [N]: the pictures whose readings, bool [N, K] of the labels `names`, fulfil a condition."""
    columns = [read[:, names.index(label)] == value for label, value in condition.items()]
    return torch.stack(columns).all(0)


def readings(
    before: Tensor, after: Tensor, names: Sequence[str], change: Change, labels: Tensor | None = None,
    counted: Tensor | None = None,
) -> dict[str, Tensor]:  # fmt: skip
    """What an edit does to each picture, as a judge reads it. The mean of each tensor is a figure.

    before, after: bool [N, K], readings of the K labels `names`.  labels: uint8 [N, K], the truth, 0, 1 or
    255 (unknown); None: all are known.  counted: bool [K], which labels may count as others; None: all.

    target_change, bool [M]: read as target, of the M pictures that were read as source before the edit.
    others_kept, float64 [N]: the share of the other labels that are kept; pictures without any are left out.
    all_kept, bool: every other label is kept, of the pictures that changed.
    true_change, [M]: changed, times the share of the other labels that are kept; for a change of kind
    "choice", bool: changed and all kept.
    overshoot, bool [M]: the edited label is as wanted and yet the picture is not the target (two digits more
    instead of one)."""
    source = meets(before, names, change.source)
    changed = source & meets(after, names, change.target)
    edited = names.index(change.label)
    flipped = source & (after[:, edited] == change.target[change.label])
    kept = kept_labels(before, after, names, change, labels, counted)
    true = changed & ~(kept < 1) if change.kind == "choice" else changed * kept.nan_to_num(1.0)
    return {"target_change": changed[source], "others_kept": kept[~kept.isnan()],
            "all_kept": ~(kept < 1)[changed], "true_change": true[source],
            "overshoot": (flipped & ~changed)[source]}  # fmt: skip


def kept_labels(
    before: Tensor, after: Tensor, names: Sequence[str], change: Change, labels: Tensor | None = None,
    counted: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """float64 [N]: the share of the other labels that are read as before the edit; NaN where none counts.

    The labels that the change speaks of do not count, nor those that are unknown or not `counted`. Where the
    change adds something, as a new digit must be some digit, a label counts if it holds and was read so."""
    others = torch.tensor([name not in change.labels for name in names], device=before.device)
    counts = (others if counted is None else others & counted).expand_as(before)
    if labels is not None:
        counts = counts & (labels == 1 if change.adds else labels != 255)
    if change.adds:
        counts = counts & before
    return ((before == after) & counts).sum(1).double() / counts.sum(1)


def identity_preservation(before: Tensor, after: Tensor) -> Tensor:
    """Cosine [N] of an identity network's embeddings [N, D] before and after the edit, 0 where one is 0."""
    return torch.cosine_similarity(before.double(), after.double(), dim=1)


def calibrate(
    change: Callable[[float], float], wanted: float = 1.0, limit: float = 16.0, tolerance: float = 0.01
) -> float | None:
    """The least alpha, to within `tolerance`, with change(alpha) >= wanted; None if none up to `limit` has.

    change: alpha -> target change in [0, 1]. It is asked at 1/4, 1/2, 1, ... up to `limit`, and then by
    bisection between the last alpha that failed and the first that did not. Where it is not monotone, the
    answer is a crossing in between."""
    low, high = 0.0, 0.25
    while change(high) < wanted:
        low, high = high, 2 * high
        if high > limit:
            return None
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (low, middle) if change(middle) >= wanted else (middle, high)
    return high


def alpha_at(alphas: Sequence[float], change: Sequence[float], wanted: float) -> float | None:
    """The alpha at which a curve of target change first reaches `wanted`, by linear interpolation; None if it
    never does."""
    alphas, change = _curve(alphas, change)
    reached = np.flatnonzero(change >= wanted)
    if not len(reached):
        return None
    i = int(reached[0])
    if i == 0:
        return float(alphas[0])
    return float(np.interp(wanted, change[i - 1 : i + 1], alphas[i - 1 : i + 1]))


def value_at(alphas: Sequence[float], values: Sequence[float], alpha: float) -> float:
    """A curve's value at an alpha, by linear interpolation. ValueError for an alpha beyond its range."""
    alphas, values = _curve(alphas, values)
    if not alphas[0] <= alpha <= alphas[-1]:
        raise ValueError(f"alpha is {alpha:g}, the curve reaches from {alphas[0]:g} to {alphas[-1]:g}")
    return float(np.interp(alpha, alphas, values))


def _curve(alphas: Sequence[float], values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    alphas, values = (np.asarray(column, np.float64) for column in (alphas, values))
    if alphas.ndim != 1 or alphas.shape != values.shape or len(alphas) < 2 or not (np.diff(alphas) > 0).all():
        raise ValueError(f"alphas are {alphas}, values {values}: expected as many of both, alphas rising")
    if not np.isfinite(values).all():
        raise ValueError(f"the values of a curve must be finite, these are {values}")
    return alphas, values


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """Squared Frechet distance of Gaussians fitted to features [N, D] and [M, D] (Heusel et al., 2017)."""
    x, y = x.double(), y.double()
    cx, cy = torch.cov(x.T), torch.cov(y.T)
    # tr sqrt(cx cy) by the symmetric form: the eigenvalues of sqrt(cx) cy sqrt(cx) are those of cx cy.
    values, vectors = torch.linalg.eigh(cx)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cy @ root).clamp(min=0).sqrt().sum()
    return ((x.mean(0) - y.mean(0)).square().sum() + cx.trace() + cy.trace() - 2 * cross).item()


def relative_frechet_distance(fake: Tensor, real: Tensor) -> float:
    """The Frechet distance as a share of the real features' total variance: 0 is perfect, 1 is hopeless."""
    return frechet_distance(fake, real) / torch.cov(real.double().T).trace().item()
