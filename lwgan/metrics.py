"""What is measured (Sec. 4.2, and the digits' own figures). Small pure functions on readings and features.

A *curve* is an edit measured at growing strengths: alphas [A], rising, and a figure at each, [A]. Methods are compared where their
curves reach the same target change, not at the same alpha, whose unit is each method's own.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Rate(NamedTuple):
    """A figure `value` of `n` cases, with its 95% interval [low, high]: Wilson's for shares (`rate`), else `bootstrap`'s."""

    value: float
    low: float
    high: float
    n: int


def rate(hits: Tensor) -> Rate:
    """The share of true entries of a bool [N], with Wilson's (1927) 95% interval; ValueError when N = 0."""
    n = hits.numel()
    if n == 0:
        raise ValueError("a rate of no cases at all was asked for")
    p, z = hits.float().mean().item(), 1.959964
    centre, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Rate(
        p, max(0.0, (centre - spread) / (1 + z * z / n)), min(1.0, (centre + spread) / (1 + z * z / n)), n
    )


def bootstrap(
    cases: Tensor, statistic: Callable[[Tensor], Tensor] | None = None, resamples: int = 1000, seed: int = 0
) -> Rate:
    """A statistic of the cases [N, ...] (default: their mean), with its 95% percentile interval (Efron, 1979).

    What belongs to one picture must lie in one row: rows are drawn with replacement, always whole. For the difference of two methods
    give the difference of their figures on the same pictures.  statistic: [N, ...] -> one number.  ValueError when N = 0.
    """
    if len(cases) == 0:
        raise ValueError("a bootstrap of no cases at all was asked for")
    if resamples < 40:
        raise ValueError(f"resamples is {resamples}: the 95% interval needs at least 40")
    cases, statistic = cases.to(torch.float64), statistic or (lambda rows: rows.mean())
    draw = torch.Generator().manual_seed(seed)
    rows = (
        torch.randint(len(cases), (len(cases),), generator=draw).to(cases.device) for _ in range(resamples)
    )
    drawn = torch.stack([torch.as_tensor(statistic(cases[drawn]), dtype=torch.float64) for drawn in rows])
    low, high = drawn.quantile(
        torch.tensor([0.025, 0.975], dtype=torch.float64, device=drawn.device)
    ).tolist()
    return Rate(float(statistic(cases)), low, high, len(cases))


def target_change(before: Tensor, after: Tensor, asked: int) -> Tensor:
    """Sec. 4.2, for counts: bool [N], the picture read asked - 1 digits before the edit and reads `asked` after it."""
    return (before == asked - 1) & (after == asked)


def digits_kept(truth: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Attribute preservation for digits: bool [N], every true digit that the reconstruction still shows is there after the edit.

    truth, before, after: [N, 10], how many of each digit. A digit that the encoder lost already is not the edit's fault.
    """
    return (after >= torch.minimum(truth, before)).all(1)


def attribute_preservation(before: Tensor, after: Tensor, edited: int) -> Tensor:
    """Sec. 4.2: [N], the share of the attributes other than number `edited` that are read the same after the edit.

    before, after: bool [N, K], K >= 2, each attribute read as present (p > .5) or not.
    """
    _same_shape("before", before, "after", after)
    if before.ndim != 2 or before.shape[1] < 2 or before.dtype != torch.bool or after.dtype != torch.bool:
        raise ValueError(
            f"readings are {before.dtype} of shape {tuple(before.shape)}, expected bool [N, K] with K >= 2"
        )
    if not 0 <= edited < before.shape[1]:
        raise ValueError(f"edited is {edited}, the readings hold attributes 0 to {before.shape[1] - 1}")
    same = (before == after).double()
    return torch.cat([same[:, :edited], same[:, edited + 1 :]], 1).mean(1)


def identity_preservation(before: Tensor, after: Tensor) -> Tensor:
    """Sec. 4.2: cosine [N] of an identity network's embeddings [N, D] of the pictures before and after the edit."""
    _same_shape("before", before, "after", after)
    for name, embeddings in (("before", before), ("after", after)):
        norm = embeddings.norm(dim=-1)
        if embeddings.ndim != 2 or not ((norm > 0) & norm.isfinite()).all():
            raise ValueError(
                f"{name}: embeddings of shape {tuple(embeddings.shape)} must be [N, D], finite and none of them 0"
            )
    return torch.cosine_similarity(before.double(), after.double(), dim=1)


# Strengths: Sec. 4.2 measures at 10 alphas in [d, 2d]; Table 2 where a latent classifier reads 100% of the edits as changed.


def strengths(d: float, number: int = 10) -> Tensor:
    """The alphas of Sec. 4.2, evenly spaced from d to 2d, float64 [number]. (Spacing and ends are not stated.)"""
    if not 0 < d < math.inf:
        raise ValueError(f"d is {d}: expected a strength > 0")
    return torch.linspace(d, 2 * d, number, dtype=torch.float64)


def calibrate(
    change: Callable[[float], float], wanted: float = 1.0, limit: float = 16.0, tolerance: float = 0.01
) -> float | None:
    """The least alpha > 0, to within `tolerance`, at which change(alpha) >= wanted; None if no doubling of 1/4 up to `limit` has it.

    change: alpha -> target change in [0, 1], as a latent classifier reads edited codes of the validation split (for Table 2, wanted = 1 or nearly).
    It is asked at 1/4, 1/2, 1, ... and then between the last alpha that failed and the first that did; where it is not monotone
    the answer is a crossing in that interval.
    """
    if not 0 < wanted <= 1:
        raise ValueError(f"wanted is {wanted}: expected a target change in (0, 1]")
    if not tolerance > 0:
        raise ValueError(f"tolerance is {tolerance}: expected a difference of strengths > 0")

    def reached(alpha: float) -> bool:
        value = change(alpha)
        if not 0 <= value <= 1:
            raise ValueError(f"at alpha {alpha} the target change is {value}: expected a share in [0, 1]")
        return value >= wanted

    low, high = 0.0, 0.25
    while not reached(high):
        low, high = high, 2 * high
        if high > limit:
            return None
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def alpha_at(alphas: Tensor, change: Tensor, wanted: float) -> float | None:
    """Where a curve of target change first reaches `wanted`, between two alphas by interpolation; None if it never does."""
    _check_curve(alphas, change)
    reached = torch.nonzero(change >= wanted)
    if len(reached) == 0:
        return None
    i = int(reached[0])
    if i == 0:
        return float(alphas[0])
    share = (wanted - float(change[i - 1])) / (float(change[i]) - float(change[i - 1]))
    # Rounding must not lead past the end of the curve.
    return min(float(alphas[i - 1]) + share * (float(alphas[i]) - float(alphas[i - 1])), float(alphas[i]))


def value_at(alphas: Tensor, values: Tensor, alpha: float) -> float:
    """A curve's value at an alpha within its range, by linear interpolation."""
    _check_curve(alphas, values)
    if not alphas[0] <= alpha <= alphas[-1]:
        raise ValueError(
            f"alpha is {alpha:g}, the curve reaches from {float(alphas[0]):g} to {float(alphas[-1]):g}"
        )
    i = min(int(torch.searchsorted(alphas.contiguous(), alpha, right=True)), len(alphas) - 1)
    share = (alpha - float(alphas[i - 1])) / float(alphas[i] - alphas[i - 1])
    return float(values[i - 1] + share * (values[i] - values[i - 1]))


def matched(alphas: Tensor, change: Tensor, values: Tensor, wanted: float) -> float | None:
    """Another figure of a curve (preservation, norm) where its target change first reaches `wanted`; None if it never does."""
    alpha = alpha_at(alphas, change, wanted)
    return None if alpha is None else value_at(alphas, values, alpha)


def _check_curve(alphas: Tensor, values: Tensor) -> None:
    _same_shape("alphas", alphas, "values", values)
    if alphas.ndim != 1 or len(alphas) < 2 or not (alphas.diff() > 0).all():
        raise ValueError(f"alphas are {alphas.tolist()}: expected at least two, rising")
    if not values.isfinite().all():
        raise ValueError(f"a curve holds {values[~values.isfinite()][0].item()}: its values must be finite")


def _same_shape(name: str, x: Tensor, other: str, y: Tensor) -> None:
    if x.shape != y.shape:
        raise ValueError(f"{name} has shape {tuple(x.shape)} and {other} {tuple(y.shape)}: expected the same")


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """Squared Frechet distance of two Gaussians fitted to features [N, D], [M, D] (Heusel et al., 2017)."""
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
