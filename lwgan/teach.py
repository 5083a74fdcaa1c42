"""An edit from two small piles of pictures: codes without and codes with what the edit is to change.

    edit, report = teach(without, with_, cloud)

No classifier and no network is trained; it takes seconds. Two estimators, one for each kind of change
(`Change.kind`): "place" is the shift between the two means, denoised along the axes of the codes' own spread;
"choice" is a map of low rank by partial transport (`lwgan.losses.partial_transport`). All of it looks at
codes alone, so it serves any domain. Where all layers of the codes are equal (an encoder into W), one layer
is looked at."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lwgan.domain import KINDS
from lwgan.edit import AffineEdit
from lwgan.losses import partial_transport

LEAST, MOST = 3, 500  # codes in a pile
T = 2.5  # standard errors that a difference along an axis must exceed to stand out of the noise
RIDGE = 0.1  # of the mean variance: of the probe that tells the piles apart
FOLDS = 5
DOUBT, WORST = 0.3, 0.25  # score beyond which a code seems to be on the wrong pile; share that may go
MANY, STARTS, STEPS, RATE = 50, 2, 140, 0.3  # of the map
AUC_GREEN, AUC_RED, COSINE_GREEN, COSINE_RED, FEW = 0.95, 0.85, 0.55, 0.25, 10


@dataclass(frozen=True)
class Report:
    """How far an edit of two piles can be trusted.

    light: "green", "amber" or "red".  reasons: a sentence each.  n: codes used, without and with. left_out:
    row numbers of each pile that seem to belong to the other.  auc: how well a probe tells codes that it has
    not seen, 0.5 to 1.  cosine: between the shifts of two halves of the piles, -1 to 1. unit: the alpha of
    strength 1, at which about 70% of pictures change ("place"; "choice": 1)."""

    light: str
    reasons: tuple[str, ...]
    n: tuple[int, int]
    left_out: tuple[tuple[int, ...], tuple[int, ...]]
    auc: float
    cosine: float
    unit: float


class Piles(NamedTuple):
    """Codes without [n, D] and with [m, D], and a cloud of the domain's codes [N, D] whose spread is the
    prior."""

    without: Tensor
    with_: Tensor
    cloud: Tensor


def teach(
    without: Tensor, with_: Tensor, cloud: Tensor, *, kind: str = "place", seed: int = 0
) -> tuple[AffineEdit, Report]:
    """Fits an edit to two piles of codes.

    without, with_: float [n, num_ws, w_dim], LEAST to MOST codes each.  cloud: float [N, num_ws, w_dim],
    codes of the domain, for example `generator.mapping` of 4,000 random z.  kind: "place" or "choice"
    (`Change.kind`). The result is the same for the same arguments. ValueError for piles that are too small,
    too large, equal, or hold NaN; it names the pile and both values."""
    _check(without, with_, cloud, kind)
    layers, w_dim = without.shape[1:]
    flat = (lambda w: w[:, 0]) if _one_layer(without, with_, cloud) else (lambda w: w.flatten(1))
    piles = Piles(flat(without), flat(with_), flat(cloud))
    left_out = misplaced(piles, seed)
    kept = Piles(_drop(piles.without, left_out[0]), _drop(piles.with_, left_out[1]), piles.cloud)
    if kind == "place":
        shift = denoised_shift(kept)
        edit, unit = AffineEdit(None, _to_layers(shift.view(-1, w_dim), layers)), strength_unit(shift, kept)
    else:
        out, into, bias = partial_map(kept, w_dim, seed)
        edit, unit = AffineEdit.low_rank(out, into, _to_layers(bias, layers)), 1.0
    auc, cosine = separation(piles, seed), stability(kept, seed)
    light, reasons = verdict(auc, cosine, kept)
    return edit, Report(light, reasons, (len(kept.without), len(kept.with_)), left_out, auc, cosine, unit)


# The denoised shift


def spread(piles: Piles) -> Tensor:
    """Covariance within the piles [D, D], shrunk towards the cloud's with weight D / (D + n + m)."""
    x, y, cloud = piles
    n, d = len(x) + len(y), x.shape[1]
    x, y = x - x.mean(0), y - y.mean(0)
    own = (x.T @ x + y.T @ y) / max(1, n - 2)
    prior = torch.cov(cloud.T)
    weight = d / (d + n)
    return weight * prior * (own.trace() / prior.trace()) + (1 - weight) * own


def denoised_shift(piles: Piles) -> Tensor:
    """The shift [D] between the two means, of which each axis of `spread` keeps the part that stands out of
    the noise.

    Along an axis with variance v the difference d of two means has the noise s^2 = v (1/n + 1/m). Axes with
    |d| <= T s share one estimate of the signal's variance and keep signal / (signal + s^2) (Wiener); the
    others keep at least 1 - T^2 s^2 / d^2 (James and Stein)."""
    x, y, _ = piles
    values, axes = torch.linalg.eigh(spread(piles).double())
    difference = (y.mean(0) - x.mean(0)).double() @ axes
    noise = values.clamp(min=1e-9) * (1 / len(x) + 1 / len(y))
    square = difference.square()
    small = square <= T**2 * noise
    energy = square[small].sum()
    signal = torch.maximum(energy - noise[small].sum(), 0.05 * energy) / small.sum().clamp(min=1)
    gain = torch.maximum(signal / (signal + noise), (1 - T**2 * noise / square.clamp(min=1e-30)).clamp(min=0))
    return (axes @ (gain * difference)).to(x)


def strength_unit(shift: Tensor, piles: Piles) -> float:
    """The alpha at which about 70% of pictures change: the shift's share of the means' difference, more for
    few codes.

    Measured with judges on digits and rendered faces; the formula itself asks none.
    """
    difference = piles.with_.mean(0) - piles.without.mean(0)
    fewer = min(len(piles.without), len(piles.with_))
    return (shift @ difference / shift.square().sum().clamp(min=1e-12) * (0.68 + 5 / fewer)).item()


# A map by partial transport


def partial_map(piles: Piles, w_dim: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Factors out [L, w_dim, r] and into [L, r, w_dim] of A, and b [L, w_dim], by Adam on
    `partial_transport`.

    Piles of fewer than MANY codes allow rank 1 and kappa 2, larger ones rank 2 and kappa 4. The start is the
    mean shift. Of STARTS fits the one with the least loss over its last steps is kept."""
    x, y = (pile.view(len(pile), -1, w_dim) for pile in piles[:2])
    rank, kappa = (1, 2) if min(len(x), len(y)) < MANY else (2, 4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fits = [_fit(x, y, rank, kappa) for _ in range(STARTS)]
    return min(fits, key=lambda fit: fit[1])[0]


def _fit(x: Tensor, y: Tensor, rank: int, kappa: int) -> tuple[tuple[Tensor, Tensor, Tensor], float]:
    """One fit, and its mean loss over the last tenth of the steps."""
    layers, w_dim = x.shape[1:]
    centre, gain = x.mean(0), (w_dim * rank) ** -0.5
    out, into = torch.zeros(layers, w_dim, rank), torch.randn(layers, rank, w_dim)
    bias = (y.mean(0) - centre).clone()
    parameters = [value.requires_grad_() for value in (out, into, bias)]
    adam, losses = torch.optim.Adam(parameters, RATE), []
    targets = min(len(y), kappa * len(x))
    for step in range(STEPS):
        batch, goal = x[torch.randperm(len(x))[: targets // kappa]], y[torch.randperm(len(y))[:targets]]
        inner = torch.einsum("nli,lri->nlr", batch - centre, into)
        loss = partial_transport(batch + gain * torch.einsum("nlr,lor->nlo", inner, out) + bias, goal)
        adam.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    out, into, bias = gain * out.detach(), into.detach(), bias.detach()
    bias = bias - torch.einsum("lor,lri,li->lo", out, into, centre)
    return (out, into, bias), sum(losses[-STEPS // 10 :])


# How far to trust it


def probe(piles: Piles) -> tuple[Tensor, Tensor]:
    """Ridge linear discriminant [D] and threshold; a score is about -1 for codes without and +1 for codes
    with."""
    x, y, _ = piles
    covariance = spread(piles)
    ridge = RIDGE * covariance.trace() / len(covariance) * torch.eye(len(covariance))
    normal = torch.linalg.solve(covariance + ridge, y.mean(0) - x.mean(0))
    scale = (normal @ (y.mean(0) - x.mean(0))).abs().clamp(min=1e-9) / 2
    return normal / scale, normal @ (x.mean(0) + y.mean(0)) / 2 / scale


def out_of_fold(piles: Piles, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Scores of all codes, each by a `probe` that has not seen it."""
    generator = torch.Generator().manual_seed(seed)
    folds = min(FOLDS, len(piles.without), len(piles.with_))
    parts = [torch.randperm(len(pile), generator=generator) % folds for pile in piles[:2]]
    scores = [torch.zeros(len(pile)) for pile in piles[:2]]
    for fold in range(folds):
        seen = (pile[part != fold] for pile, part in zip(piles[:2], parts, strict=True))
        normal, threshold = probe(Piles(*seen, piles.cloud))
        for pile, part, score in zip(piles[:2], parts, scores, strict=True):
            score[part == fold] = pile[part == fold] @ normal - threshold
    return scores[0], scores[1]


def separation(piles: Piles, seed: int = 0) -> float:
    """AUC of the out-of-fold scores: the chance that a code with scores above a code without."""
    without, with_ = out_of_fold(piles, seed)
    higher, equal = with_[:, None] > without, with_[:, None] == without
    return (higher.float() + 0.5 * equal.float()).mean().item()


def stability(piles: Piles, seed: int = 0) -> float:
    """Mean cosine between the shifts of two random halves of the piles, over two draws."""
    generator, cosines = torch.Generator().manual_seed(seed), []
    for _ in range(2):
        halves = [pile[torch.randperm(len(pile), generator=generator)].tensor_split(2) for pile in piles[:2]]
        shifts = [denoised_shift(Piles(halves[0][i], halves[1][i], piles.cloud)) for i in (0, 1)]
        cosines.append(torch.cosine_similarity(*shifts, dim=0))
    return torch.stack(cosines).mean().item()


def misplaced(piles: Piles, seed: int = 0) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rows of each pile that an unseen probe puts clearly on the other: the worst first, at most WORST of a
    pile."""
    found = []
    for scores in (out_of_fold(piles, seed)[0], -out_of_fold(piles, seed)[1]):
        order = scores.argsort(descending=True)[: int(WORST * len(scores))]
        rows = [int(row) for row in order if scores[row] > DOUBT]
        found.append(tuple(sorted(rows[: max(0, len(scores) - LEAST)])))
    return found[0], found[1]


def verdict(auc: float, cosine: float, piles: Piles) -> tuple[str, tuple[str, ...]]:
    """The light, and why it is not green."""
    fewer = min(len(piles.without), len(piles.with_))
    reasons = []
    if fewer < FEW:
        reasons.append(
            f"A pile has {fewer} usable pictures; {FEW} or more are needed for a trustworthy edit."
        )
    if auc < AUC_GREEN:
        reasons.append(f"The two piles are hard to tell apart (AUC {auc:.2f}; {AUC_GREEN} is good).")
    if cosine < COSINE_GREEN:
        reasons.append(
            f"Two halves of the piles give different edits (cosine {cosine:.2f}; {COSINE_GREEN} is good)."
        )
    if auc < AUC_RED or cosine < COSINE_RED or fewer < FEW:
        return "red", tuple(reasons)
    return ("amber" if reasons else "green"), tuple(reasons)


# Checks and shapes


def _check(without: Tensor, with_: Tensor, cloud: Tensor, kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
    for name, pile in (("without", without), ("with", with_)):
        if pile.ndim != 3 or pile.shape[1:] != cloud.shape[1:] or not pile.is_floating_point():
            shapes = f"has shape {tuple(pile.shape)}, the cloud {tuple(cloud.shape)}"
            raise ValueError(f"the pile {name!r} {shapes}: expected float [n, num_ws, w_dim] for both")
        if not LEAST <= len(pile) <= MOST:
            raise ValueError(f"the pile {name!r} has {len(pile)} codes, expected {LEAST} to {MOST}")
        if not torch.isfinite(pile).all():
            raise ValueError(f"the pile {name!r} holds NaN or infinity")
        if len(pile.unique(dim=0)) < LEAST:
            raise ValueError(f"the pile {name!r} has fewer than {LEAST} different codes")
    rows = {tuple(code) for code in without.flatten(1).tolist()}
    if common := sum(tuple(code) in rows for code in with_.flatten(1).tolist()):
        raise ValueError(f"{common} of {len(with_)} codes of the pile 'with' are in the pile 'without' too")
    if len(cloud) < 2:
        raise ValueError(f"the cloud has {len(cloud)} codes, at least 2 are needed")


def _one_layer(*codes: Tensor) -> bool:
    """Whether all layers of all codes are equal, as those of an encoder into W are."""
    return all(torch.equal(w, w[:, :1].expand_as(w)) for w in codes)


def _to_layers(values: Tensor, layers: int) -> Tensor:
    """[1 or num_ws, w_dim] -> [num_ws, w_dim]."""
    return values.expand(layers, -1).clone()


def _drop(pile: Tensor, rows: tuple[int, ...]) -> Tensor:
    kept = torch.ones(len(pile), dtype=torch.bool)
    kept[list(rows)] = False
    return pile[kept]
