"""An edit from two small piles of pictures: codes without and codes with what the edit is to change.

    edit, report = teach(without, with_, cloud)

No classifier and no network is trained; it takes seconds. Two estimators, one for each kind of change
(`Change.kind`): "place" is the shift between the two means, denoised by the codes' own spread;
"choice" is a map of low rank by partial transport (`lwgan.losses.partial_transport`). The direction is
learned from codes alone, so it serves any domain (`lwgan.taught` makes codes of pictures, and a model folder
of the edit). Where all layers of the codes are equal (an encoder into W), one layer is looked at. Alpha 1 of
the result is strength 1, at which most pictures should change (docs/results/teach.md).

Codes do not say how far a "place" must go: the same distance is much for glasses and little for a slant. So
edited codes are drawn and encoded again where `again` is given; strength 1 is where they have gone most of
the way to the second pile."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lwgan.domain import KINDS
from lwgan.edit import AffineEdit
from lwgan.losses import partial_transport

LEAST, MOST = 3, 500  # codes in a pile
LEAST_SIGNAL = 0.05  # `denoised_shift`: of the mean square difference, what is signal at least
RIDGE = 0.1  # of the mean variance: of the probe that tells the piles apart
REPEATS, PLENTY = 24, 100  # `repeats`: for piles of fewer codes than the second
FOLDS, AXES = 5, 1024  # of the cross-validation; dimensions of codes up to which all are looked at
DOUBT, WORST = 0.3, 0.25  # `misplaced`: the least score; the largest share of a pile
MANY, STARTS, STEPS, RATE = 50, 2, 140, 0.3  # `partial_map`: a large pile; fits; steps of Adam, learning rate
NOISE = 0.25  # `partial_map`: standard deviation of the noise on codes, as a share of the cloud's
Z, SHARE, EASE = 4.0, 0.25, 0.02  # see `differing` (the first two) and `balance`
WORTH, ENOUGH = 1 / 3, 20  # `evening`: the share of codes and the number that weights must leave at least
# How far strength 1 goes, as a share of the difference of the means; n: codes in the smaller pile.
RULE = lambda n: 0.68 + 5 / n
# `visible_unit`: codes of a pile that are drawn; looks at edited pictures; the share of the way, and how near
# is near enough; the range of the factor by which it changes the alpha of `strength_unit`.
SEEN, LOOKS, WAY, NEAR, SHORTEST, LONGEST = 40, 3, 0.8, 0.01, 0.5, 3.0
CHANCE = 3.7, 0.8, 9.1  # `chance`: a, b, c of its exponent
# `light_of`: the chance from which it is green or below which it is red; the number of codes in a pile below
# which it is red, and from which it may be green.
GREEN, RED, FEW, TRUSTED = 0.84, 0.6, 8, 12
AUC_RED = 0.65  # below it the light is red, whatever the cosine
AUC_GOOD, COSINE_GOOD = 0.95, 0.5  # figures that give a green light together
HALFWAY = 0.5  # an edit whose pictures go less far to the second pile is not green


@dataclass(frozen=True)
class Report:
    """How far an edit of two piles can be trusted.

    light: "green", "amber" or "red".  reasons: a sentence each.  n: codes used, without and with.  left_out:
    row numbers of each pile that seem to belong to the other.  auc: how well a probe tells codes that it has
    not seen, 0.5 to 1.  cosine: between the shifts of two halves of the piles, -1 to 1.  differ: labels in
    which the piles differ besides ("place" only).  way: how far edited pictures go at strength 1, 0 at the
    first pile and 1 at the second (`visible_unit`), None if nothing was drawn."""

    light: str
    reasons: tuple[str, ...]
    n: tuple[int, int]
    left_out: tuple[tuple[int, ...], tuple[int, ...]]
    auc: float
    cosine: float
    differ: tuple[str, ...] = ()
    way: float | None = None


class Piles(NamedTuple):
    """Codes without [n, D] and with [m, D], the covariance [D, D] of the domain's codes, and weights of the
    codes without, float [n] with sum 1, by default all equal."""

    without: Tensor
    with_: Tensor
    prior: Tensor
    weights: Tensor | None = None

    def shift(self) -> Tensor:
        """The shift [D] between the two means."""
        x, y, _, weights = self
        return y.mean(0) - (x.mean(0) if weights is None else weights @ x)

    def worth(self) -> float:
        """The effective number of codes without: so many of equal weight would have a mean as precise."""
        return float(len(self.without)) if self.weights is None else 1 / self.weights.square().sum().item()


def teach(
    without: Tensor, with_: Tensor, cloud: Tensor, *, kind: str = "place", seed: int = 0,
    read: Callable[[Tensor], Tensor] | None = None, names: Sequence[str] = (), own: Sequence[str] = (),
    again: Callable[[Tensor], Tensor] | None = None,
) -> tuple[AffineEdit, Report]:  # fmt: skip
    """Fits an edit to two piles of codes.

    without, with_: float [n, num_ws, w_dim], LEAST to MOST codes each.  cloud: float [N, num_ws, w_dim],
    codes of the domain, for example `generator.mapping` of 4,000 random z.  kind: "place" or "choice"
    (`Change.kind`).  read: a classifier of codes, [n, num_ws, w_dim] -> logits [n, K] of `names`; where the
    piles differ in other labels than `own`, a "place" is learned from weighted codes.  again: E(G(w)), the
    codes of the pictures of codes w [n, num_ws, w_dim]; with it `visible_unit` decides how far a "place" goes
    at alpha 1, without it `strength_unit`.
    The result is the same for the same arguments. ValueError for piles that are too small or too large, share
    a code, hold NaN, or have another shape or type than the cloud; it names the pile and both values."""
    _check(without, with_, cloud, kind)
    layers, w_dim = without.shape[1:]
    equal = all(torch.equal(w, w[:, :1].expand_as(w)) for w in (without, with_, cloud))  # an encoder into W
    flat = (lambda w: w[:, 0]) if equal else (lambda w: w.flatten(1))
    basis = _span(flat(torch.cat([without, with_])))
    seen = flat if basis is None else (lambda w: flat(w) @ basis)
    piles = Piles(seen(without), seen(with_), torch.cov(seen(cloud).T))
    left_out = misplaced(piles, seed)
    kept = Piles(_drop(piles.without, left_out[0]), _drop(piles.with_, left_out[1]), piles.prior)
    rest = _drop(without, left_out[0]), _drop(with_, left_out[1])
    differ, evened, way = (), (), None
    if kind == "choice":
        out, into, bias = partial_map(*(w[:, :1] if equal else w for w in (*rest, cloud)), seed)
        edit = AffineEdit.low_rank(out, into, bias.expand(layers, -1).clone())
    else:
        if read is not None:
            logits = [read(pile) for pile in rest]
            columns = differing(*logits, names, own)
            weights, even = evening(*logits, columns)
            kept = kept._replace(weights=weights)
            differ, evened = (tuple(names[k] for k in some) for some in (columns, even))
        shift = denoised_shift(kept)  # in the basis
        shift = strength_unit(shift, kept) * (shift if basis is None else basis @ shift)
        edit = AffineEdit(None, shift.view(-1, w_dim).expand(layers, -1).clone())
        if again is not None:
            unit, way = visible_unit(edit, rest, lambda w: seen(again(w)), piles.prior)
            edit = AffineEdit(None, unit * edit.bias)
    auc, cosine = separation(piles, seed), stability(kept._replace(weights=None), seed)
    light, reasons = verdict(auc, cosine, kept, differ, evened, way)
    return edit, Report(light, reasons, tuple(map(len, rest)), left_out, auc, cosine, differ, way)


def mean_shift(without: Tensor, with_: Tensor) -> AffineEdit:
    """The plain shift between the means of two piles [n, num_ws, w_dim], to compare a taught edit with.
    Alpha 1 follows the rule of `strength_unit`."""
    return AffineEdit(None, RULE(min(len(without), len(with_))) * (with_.mean(0) - without.mean(0)))


# The denoised shift


def spread(piles: Piles) -> Tensor:
    """Covariance within the piles [D, D], shrunk towards the domain's with weight D / (D + n + m)."""
    x, y, prior = piles[:3]
    n, d = len(x) + len(y), x.shape[1]
    x, y = x - x.mean(0), y - y.mean(0)
    own = (x.T @ x + y.T @ y) / max(1, n - 2)
    weight = d / (d + n)
    return weight * prior * (own.trace() / prior.trace()) + (1 - weight) * own


def denoised_shift(piles: Piles) -> Tensor:
    """The shift [D] between the two means, without what is probably noise (Wiener's filter).

    The difference d of two means has the noise N = `spread` (1/n + 1/m). The signal is taken to have one
    variance s in all directions: what d^2 has on average beyond the noise, but at least the share
    LEAST_SIGNAL of d^2. The estimate is s (s I + N)^-1 d: directions of little noise are kept, the others
    shrink."""
    difference = piles.shift().double()
    noise = spread(piles).double() * (1 / piles.worth() + 1 / len(piles.with_))
    square = difference.square().mean()
    signal = torch.maximum(square - noise.diagonal().mean(), LEAST_SIGNAL * square).clamp(min=1e-9)
    shift = signal * torch.linalg.solve(signal * torch.eye(len(noise)) + noise, difference)
    return shift.to(piles.without)


def strength_unit(shift: Tensor, piles: Piles) -> float:
    """The alpha at which most pictures change, by a rule that asks no judge (docs/results/teach.md):
    the shift's share of the means' difference, more for few codes."""
    unit = RULE(min(len(piles.without), len(piles.with_)))
    return (shift @ piles.shift() / shift.square().sum().clamp(min=1e-12) * unit).item()


def visible_unit(
    edit: AffineEdit, sides: Sequence[Tensor], redrawn: Callable, prior: Tensor
) -> tuple[float, float]:
    """The alpha from SHORTEST to LONGEST at which edited pictures have gone about the share WAY of the way to
    the second pile, as the encoder sees it; and that share. It is WAY where that is reached. If not even
    LONGEST reaches it, it is less: the share at the last look. If already SHORTEST goes further, it is more.

    sides: codes without and with.  redrawn: codes [n, num_ws, w_dim] -> codes [n, D] of their pictures.
    prior: [D, D], as in `Piles`.

    The first SEEN codes of a side are drawn. A `probe` of their pictures measures the way: 0 is the mean of
    the first pile, 1 that of the second. Each of LOOKS alphas is where the line through the two looks before
    it reaches WAY; the first is 1. A look that is less than NEAR from WAY is the last.
    ValueError if all pictures of the piles' codes have the same code."""
    few = [side[:SEEN] for side in sides]
    drawn = [redrawn(w) for w in few]
    if not torch.cat(drawn).var(0).any():
        raise ValueError("the generator draws pictures of the two piles that the encoder cannot tell apart")
    normal, threshold = probe(Piles(*drawn, prior))
    alpha, below, above = 1.0, (0.0, 0.0), None  # alpha and way of the nearest looks on both sides of WAY
    for _ in range(LOOKS):
        way = ((redrawn(edit(few[0], alpha)) @ normal - threshold).mean().item() + 1) / 2
        if alpha == (SHORTEST if way >= WAY else LONGEST):
            return alpha, way
        if abs(way - WAY) < NEAR:
            break
        last, below, above = (below, below, (alpha, way)) if way >= WAY else (below, (alpha, way), above)
        (a, from_), (b, to) = (below, above) if above else (last, below)
        alpha = b + (WAY - to) * (b - a) / (to - from_) if to > from_ else LONGEST
        alpha = min(max(alpha, SHORTEST), LONGEST)
    return alpha, WAY if alpha < LONGEST else way


def differing(x: Tensor, y: Tensor, names: Sequence[str], own: Sequence[str]) -> list[int]:
    """Columns of the logits x [n, K] and y [m, K] whose means differ by more than Z standard errors, and
    whose signs by more than SHARE, the most different first, without the labels `own`; if these are unknown,
    without the one that differs most."""
    error = (x.var(0) / len(x) + y.var(0) / len(y)).clamp(min=1e-12).sqrt()
    z = (y.mean(0) - x.mean(0)).abs() / error
    share = ((y > 0).float().mean(0) - (x > 0).float().mean(0)).abs()
    known = [label for label in own if label in names] or [names[int((z * share).argmax())]]
    found = [k for k, name in enumerate(names) if z[k] > Z and share[k] > SHARE and name not in known]
    return sorted(found, key=lambda k: -z[k].item())


def evening(x: Tensor, y: Tensor, columns: Sequence[int]) -> tuple[Tensor | None, list[int]]:
    """Weights [n] of x that even out columns, and which, the most different first.

    A column is left as it is if weights would leave less than the share WORTH of x: it cannot be told from
    the change itself. So it is if they would leave fewer than ENOUGH codes: the mean of so few has more noise
    than the weights take away."""
    weights, even = None, []
    for k in columns:
        tried = balance(x[:, [*even, k]], y[:, [*even, k]].mean(0))
        if 1 / tried.square().sum() >= max(ENOUGH, WORTH * len(x)):
            weights, even = tried, [*even, k]
    return weights, even


def balance(z: Tensor, wanted: Tensor, steps: int = 60) -> Tensor:
    """Entropy balancing: weights [n] of the rows of z [n, K] with a weighted mean of about `wanted` [K], by
    Newton's method on the dual, with ridge EASE. Source: J. Hainmueller, "Entropy Balancing" (2012)."""
    z, dual = (z - wanted).double(), torch.zeros(z.shape[1], dtype=torch.double)
    for _ in range(steps):
        weights = torch.softmax(-z @ dual, 0)
        mean = weights @ z
        hessian = (z.T * weights) @ z - torch.outer(mean, mean) + EASE * torch.eye(len(dual))
        step = torch.linalg.solve(hessian, mean - EASE * dual)
        dual = dual + step * min(1.0, 2 / max(step.norm().item(), 1e-9))
    return torch.softmax(-z @ dual, 0).float()


# A map by partial transport


def partial_map(x: Tensor, y: Tensor, cloud: Tensor, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A map from codes x [n, L, w_dim] to codes y [m, L, w_dim] by `partial_transport`: factors out
    [L, w_dim, r] and into [L, r, w_dim] of A, and b [L, w_dim].

    It has rank 1 and kappa 2 for piles of fewer than MANY codes, else rank 2 and kappa 4. The start is the
    mean shift. All codes get new noise at each step, so that a few of them stand for their surroundings;
    cloud, [N, L, w_dim], says how much. Of STARTS fits the one with the least loss over its last steps is
    kept."""
    rank, kappa = (1, 2) if min(len(x), len(y)) < MANY else (2, 4)
    noise = NOISE * cloud.std(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fits = [_fit(x, y, rank, kappa, noise) for _ in range(STARTS)]
    return min(fits, key=lambda fit: fit[1])[0]


def _fit(
    x: Tensor, y: Tensor, rank: int, kappa: int, noise: Tensor
) -> tuple[tuple[Tensor, Tensor, Tensor], float]:
    """One fit, and its mean loss over the last tenth of the steps.  noise: standard deviations [L, w_dim]."""
    layers, w_dim = x.shape[1:]
    centre, gain = x.mean(0), (w_dim * rank) ** -0.5
    out, into = torch.zeros(layers, w_dim, rank), torch.randn(layers, rank, w_dim)
    bias = (y.mean(0) - centre).clone()
    parameters = [value.requires_grad_() for value in (out, into, bias)]
    adam, losses = torch.optim.Adam(parameters, RATE), []
    targets = min(len(y), kappa * len(x))
    for step in range(STEPS):
        batch, goal = x[torch.randperm(len(x))[: targets // kappa]], y[torch.randperm(len(y))[:targets]]
        batch, goal = (codes + noise * torch.randn_like(codes) for codes in (batch, goal))
        inner = torch.einsum("nli,lri->nlr", batch - centre, into)
        loss = partial_transport(batch + gain * torch.einsum("nlr,lor->nlo", inner, out) + bias, goal)
        adam.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    out, into = gain * out.detach(), into.detach()
    bias = bias.detach() - torch.einsum("lor,lri,li->lo", out, into, centre)
    return (out, into, bias), sum(losses[-STEPS // 10 :])


# How far to trust it


def probe(piles: Piles) -> tuple[Tensor, Tensor]:
    """Ridge linear discriminant [D] and threshold: scores of about -1 without and +1 with."""
    x, y = piles[:2]
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
        normal, threshold = probe(Piles(*seen, piles.prior))
        for pile, part, score in zip(piles[:2], parts, scores, strict=True):
            score[part == fold] = pile[part == fold] @ normal - threshold
    return scores[0], scores[1]


def repeats(piles: Piles) -> int:
    """How often `separation` and `stability` are measured: the figures of few codes depend much on chance."""
    return REPEATS if min(len(piles.without), len(piles.with_)) < PLENTY else 1


def separation(piles: Piles, seed: int = 0) -> float:
    """AUC of the out-of-fold scores: the chance that a code with scores above a code without. The mean over
    `repeats` random partitions into folds."""
    aucs = []
    for part in range(repeats(piles)):
        without, with_ = out_of_fold(piles, seed + part)
        higher, equal = with_[:, None] > without, with_[:, None] == without
        aucs.append((higher.float() + 0.5 * equal.float()).mean())
    return torch.stack(aucs).mean().item()


def stability(piles: Piles, seed: int = 0) -> float:
    """Mean cosine between the shifts of two random halves of the piles, over 2 x `repeats` draws."""
    generator, cosines = torch.Generator().manual_seed(seed), []
    for _ in range(2 * repeats(piles)):
        halves = [pile[torch.randperm(len(pile), generator=generator)].tensor_split(2) for pile in piles[:2]]
        shifts = [denoised_shift(Piles(halves[0][i], halves[1][i], piles.prior)) for i in (0, 1)]
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


def chance(auc: float, cosine: float) -> float:
    """How often edits with these figures work, 0 to 1.  auc: 0 to 1.  cosine: -1 to 1.

    CHANCE is a logistic regression on the draws of docs/results/teach.md, rounded; the report there fits it
    anew."""
    a, b, c = CHANCE
    return 1 / (1 + math.exp(a + b * overlap(auc) - c * cosine))


def overlap(auc: float) -> float:
    """ln(1.02 - AUC), which grows as the piles overlap. It is finite at an AUC of 1.  auc: 0 to 1."""
    return math.log(1.02 - auc)


def light_of(auc: float, cosine: float, fewer: int, way: float | None = None) -> str:
    """The light: "green", "amber" or "red".

    auc, cosine: as in `chance`.  fewer: codes in the smaller pile.  way: as in `Report`. No measured pile had
    a good cosine and a bad AUC: an AUC below AUC_RED is red whatever the cosine."""
    works = chance(auc, cosine)
    if works < RED or auc < AUC_RED or fewer < FEW:
        return "red"
    doubtful = works < GREEN or fewer < TRUSTED or (way is not None and way < HALFWAY)
    return "amber" if doubtful else "green"


def verdict(
    auc: float, cosine: float, piles: Piles, differ=(), evened=(), way: float | None = None
) -> tuple[str, tuple[str, ...]]:
    """The light, and sentences on what is not good.

    differ, evened: labels (`differing`, `evening`).  way: as in `Report`."""
    fewer, reasons = min(len(piles.without), len(piles.with_)), []
    light = light_of(auc, cosine, fewer, way)
    if fewer < TRUSTED:
        reasons.append(f"A pile has {fewer} usable pictures; a trustworthy edit needs {TRUSTED} or more.")
    if auc < AUC_GOOD and light != "green":
        reasons.append(f"The two piles are hard to tell apart (AUC {auc:.2f}; {AUC_GOOD} is good).")
    if cosine < COSINE_GOOD and light != "green":
        said = f"cosine {cosine:.2f}; {COSINE_GOOD} is good"
        reasons.append(f"Two halves of the piles give different edits ({said}).")
    along = [name for name in differ if name not in evened]
    for names, what in ((evened, "weights even this out"), (along, "this may come along with the edit")):
        if names:
            labels = ", ".join(name.replace("_", " ") for name in names)
            reasons.append(f"The piles also differ in {labels}: {what}.")
    if way is not None and way < WAY:
        percent = math.floor(100 * max(way, 0))
        reasons.append(f"Edited pictures go only {percent}% of the way to the second pile at strength 1.")
    return light, tuple(reasons)


# Checks and shapes


def _check(without: Tensor, with_: Tensor, cloud: Tensor, kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
    for name, pile in (("without", without), ("with", with_)):
        fits = pile.ndim == 3 and pile.shape[1:] == cloud.shape[1:]
        if not fits or {pile.dtype, cloud.dtype} != {torch.float32}:
            shapes = [f"{str(w.dtype)[6:]} {tuple(w.shape)}" for w in (pile, cloud)]
            said = f"the pile {name!r} is {shapes[0]}, the cloud {shapes[1]}"
            raise ValueError(f"{said}: expected float32 [n, num_ws, w_dim] for both")
        if not LEAST <= len(pile) <= MOST:
            raise ValueError(f"the pile {name!r} has {len(pile)} codes, expected {LEAST} to {MOST}")
        if not torch.isfinite(pile).all():
            bad = (~torch.isfinite(pile)).flatten(1).any(1).sum().item()
            raise ValueError(f"{bad} of {len(pile)} codes of the pile {name!r} hold NaN or infinity")
        if len(pile.unique(dim=0)) < LEAST:
            raise ValueError(f"the pile {name!r} has fewer than {LEAST} different codes")
    rows = {tuple(code) for code in without.flatten(1).tolist()}
    if common := sum(tuple(code) in rows for code in with_.flatten(1).tolist()):
        raise ValueError(f"{common} of {len(with_)} codes of the pile 'with' are in the pile 'without' too")
    if len(cloud) < 2 or not torch.isfinite(cloud).all() or not cloud.var(0).any():
        raise ValueError(f"the cloud's {len(cloud)} codes hold NaN or infinity, or do not differ: "
                         "at least 2 different ones are needed")  # fmt: skip


def _span(codes: Tensor) -> Tensor | None:
    """Orthonormal [D, r]: where all differences of codes [n, D] lie, if D is too many for eigenvalues."""
    if codes.shape[1] <= AXES:
        return None
    return torch.linalg.svd(codes - codes.mean(0), full_matrices=False).Vh[: len(codes) - 1].T


def _drop(pile: Tensor, rows: tuple[int, ...]) -> Tensor:
    return pile[[row for row in range(len(pile)) if row not in rows]]
