"""What an edit does to codes of real pictures (Sec. 4.2), and how near it comes to a known ideal edit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

from lwgan.domain import Change
from lwgan.edit import AffineEdit
from lwgan.encoder import Encoder
from lwgan.generator import Generator
from lwgan.judges import IdentityNetwork, Judge, LatentClassifier
from lwgan.metrics import alpha_at, calibrate, identity_preservation, readings
from trainers.nets.generator import to_pictures
from trainers.shards import Images

BATCH = 50  # pictures at a time: with more, a layer's maps leave a CPU's caches
LARGE = 256  # px: of larger pictures fewer are taken, as 50 of 1024 px exceed the memory of most GPUs
MULTIPLES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # of the recommended alpha: the points of a curve
MATCHED = 0.8  # the target change at which edits are compared
CLOSE, TRIES = 0.01, 3  # how near to MATCHED is near enough, and how often a nearer alpha is tried
ALL = 0.995  # of the codes: our "100%" of Table 2
LIMIT = 16.0  # the largest alpha that the calibration tries
CHANGED = 8  # of 255: where an ideal edit's picture differs by more, it changed
NEAR = 2  # px around what an ideal edit changed that still count as its region


class Nets(NamedTuple):
    """Generator and readers. judge: reads labels of pictures.  identity: tells people apart.  codes: reads
    labels of codes; its `names` are in its config. Each may be None, but not both judge and codes."""

    generator: Generator
    judge: Judge | None = None
    identity: IdentityNetwork | None = None
    codes: LatentClassifier | None = None

    @property
    def device(self) -> torch.device:
        return self.generator.mapping.w_avg.device

    @property
    def code_names(self) -> tuple[str, ...]:
        return tuple(self.codes.card_config["names"]) if self.codes else ()

    @property
    def names(self) -> tuple[str, ...]:
        """The labels that count: the judge's, or those of the codes' reader if there is no judge."""
        return tuple(self.judge.names) if self.judge else self.code_names


class Seen(NamedTuple):
    """What the readers see in codes w [N, num_ws, w_dim] or in the pictures [N, C, H, W] that these become.

    logits: float [N, K] of `Nets.names`.  codes: float [N, L] of `Nets.code_names`.  embeddings: [N, D].
    features: [N, F] of the judge.  What there is no reader for, or was not asked for, is None."""

    logits: Tensor
    codes: Tensor | None = None
    embeddings: Tensor | None = None
    features: Tensor | None = None
    pictures: Tensor | None = None

    @property
    def read(self) -> Tensor:
        """bool [N, K]: the labels that are read (p > .5)."""
        return self.logits > 0


@dataclass(frozen=True)
class Cases:
    """The pictures that a change is for. w: codes [N, num_ws, w_dim].  labels: uint8 [N, K], the truth of
    `Nets.names`. rows: int64 [N], which pictures of the split these are.  seen: what their reconstructions
    show. counted: bool [K], the labels that are read well enough to count."""

    change: Change
    w: Tensor
    labels: Tensor
    rows: Tensor
    seen: Seen
    counted: Tensor

    def first(self, n: int) -> "Cases":
        """The first n of them."""
        seen = Seen(*(None if column is None else column[:n] for column in self.seen))
        return replace(self, w=self.w[:n], labels=self.labels[:n], rows=self.rows[:n], seen=seen)


@torch.no_grad()
def encode(encoder: Encoder, images: Tensor | Images, rows: Tensor) -> Tensor:
    """uint8 pictures [N, C, H, W] and rows int64 [n] -> codes [n, num_ws, w_dim] on the encoder's device."""
    device = encoder.w_avg.device
    return torch.cat([encoder(to_pictures(images[part], device)) for part in rows.split(BATCH)])


@torch.no_grad()
def see(nets: Nets, w: Tensor, keep: bool = False) -> Seen:
    """What the readers see in codes. keep: with features and pictures, which need memory."""
    if nets.judge is None and nets.identity is None and not keep:
        codes = nets.codes(w)
        return Seen(codes, codes)
    parts = w.split(batch_of(nets.generator))
    return joined([look(nets, nets.generator.synthesis(part), keep, keep, part) for part in parts])


def batch_of(generator: Generator) -> int:
    """How many pictures to render at a time."""
    return max(1, BATCH * LARGE**2 // max(LARGE, generator.resolution) ** 2)


@torch.no_grad()
def look(nets: Nets, x: Tensor, features: bool, pictures: bool, w: Tensor | None = None) -> Seen:
    """What the readers see in pictures [N, C, H, W], and in their codes if these are given."""
    codes = None if nets.codes is None or w is None else nets.codes(w)
    return Seen(logits=nets.judge(x).float() if nets.judge else codes, codes=codes,
                embeddings=nets.identity(x) if nets.identity else None,
                features=nets.judge.features(x) if nets.judge and features else None,
                pictures=x if pictures else None)  # fmt: skip


def joined(parts: Sequence[Seen]) -> Seen:
    return Seen(*(None if column[0] is None else torch.cat(column) for column in zip(*parts, strict=True)))


@torch.no_grad()
def figures(edit: AffineEdit, alpha: float, cases: Cases, nets: Nets) -> tuple[dict, Seen]:
    """What becomes of the cases at one strength: figure -> a value for each picture, of which the mean is the
    figure; and what is seen there. Figures as `lwgan.metrics.readings`, and norm: the length of the edit;
    identity: the cosine of the embeddings; code_change: target change as the codes' reader sees it."""
    edited = edit(cases.w, alpha)
    seen = see(nets, edited) if alpha else cases.seen
    values = {"norm": (edited - cases.w).flatten(1).norm(dim=1)}
    values |= readings(cases.seen.read, seen.read, nets.names, cases.change, cases.labels, cases.counted)
    if seen.embeddings is not None:
        values["identity"] = identity_preservation(cases.seen.embeddings, seen.embeddings)
    if cases.change.label in nets.code_names:
        values["code_change"] = code_change(cases.seen.codes, seen.codes, nets.code_names, cases.change)
    return values, seen


def code_change(before: Tensor, after: Tensor, names: Sequence[str], change: Change) -> Tensor:
    """Of the codes that are read as lacking the change's label (having it, if the change takes it away),
    those that are read otherwise after the edit: bool. before, after: logits [N, L] of the labels `names`."""
    k, wanted = names.index(change.label), change.target[change.label]
    return ((after[:, k] > 0) == wanted)[(before[:, k] > 0) != wanted]


def summary(alpha: float, values: Mapping[str, Tensor]) -> dict:
    """alpha, the mean norm, and each figure as {value, low, high, n}, or None where no picture counts."""
    rates = {key: interval(value) for key, value in values.items() if key != "norm"}
    return {"alpha": alpha, "norm": values["norm"].mean().item(), **rates}


def means(alpha: float, values: Mapping[str, Tensor]) -> dict:
    """alpha and the figures as plain numbers, None where no picture counts."""
    mean = lambda value: value.double().mean().item() if len(value) else None
    return {"alpha": alpha} | {key: mean(value) for key, value in values.items()}


def interval(values: Tensor) -> dict | None:
    """The mean of values [N], its 95% interval: Wilson's for bool, else the bootstrap's. None if N = 0."""
    n, mean = len(values), values.double().mean().item()
    if n < 2:
        return None if n == 0 else {"value": mean, "low": mean, "high": mean, "n": n}
    if values.dtype == torch.bool:
        found = stats.binomtest(int(values.sum()), n).proportion_ci(method="wilson")
    else:
        sample = values.double().cpu().numpy()
        found = stats.bootstrap((sample,), np.mean, n_resamples=1000, method="percentile", rng=0)
        found = found.confidence_interval
    return {"value": mean, "low": float(found.low), "high": float(found.high), "n": n}


def measured(
    edit: AffineEdit, cases: Cases, nets: Nets, tuning: Tensor | None, ideal: "Ideal | None"
) -> dict:
    """All figures of an edit: at its recommended alpha ("chosen"), at multiples of it ("curve", plain
    numbers), where it first changes MATCHED of the pictures ("matched"), where the reader of codes sees the
    change everywhere in `tuning`, codes of validation pictures ("calibrated", Table 2), and at alpha 1, as it
    was trained ("one"). Those before the last are None where no alpha is found."""
    recommended = edit.config["alpha"]
    at = {multiple: figures(edit, multiple * recommended, cases, nets)[0] for multiple in MULTIPLES}
    curve = [means(multiple * recommended, values) for multiple, values in at.items()]
    alpha = None if tuning is None else calibrated(edit, tuning, nets, cases.change)
    return {"chosen": summary(recommended, at[1.0]),
            "calibrated": None if alpha is None else summary(alpha, figures(edit, alpha, cases, nets)[0]),
            "matched": matched(edit, curve, cases, nets, ideal),
            "one": summary(1.0, figures(edit, 1.0, cases, nets)[0]), "curve": curve}  # fmt: skip


def matched(
    edit: AffineEdit, curve: list[dict], cases: Cases, nets: Nets, ideal: "Ideal | None"
) -> dict | None:
    """The figures where the curve first reaches MATCHED, with the leakage into each other label (how much
    more often it is read, -1 to 1) and the distances to the ideal edit; None if the curve never does."""
    points = [(point["alpha"], point["target_change"] or 0.0) for point in curve]
    for _ in range(TRIES):
        if (alpha := alpha_at(*zip(*sorted(points), strict=True), MATCHED)) is None:
            return None
        values, seen = figures(edit, alpha, cases, nets)
        change = values["target_change"].double().mean().item()
        if abs(change - MATCHED) <= CLOSE:
            break
        points.append((alpha, change))  # the curve bends here: once more, between nearer points
    more = (seen.read.double().mean(0) - cases.seen.read.double().mean(0)).tolist()
    leakage = {name: round(value, 4)
               for name, value, counts in zip(nets.names, more, cases.counted.tolist(), strict=True)
               if counts and name not in cases.change.labels}  # fmt: skip
    near = ideal and ideal.distances(nets, see(nets, edit(cases.w[ideal.rows], alpha), keep=True))
    return summary(alpha, values) | {"leakage": leakage, "oracle": near}


@torch.no_grad()
def calibrated(edit: AffineEdit, w: Tensor, nets: Nets, change: Change) -> float | None:
    """The alpha of Table 2: the least at which the reader of codes sees the change in (nearly) all codes w
    [N, num_ws, w_dim] that it reads as not yet changed; None if it never does, or there is no such code."""
    before = nets.codes(w)
    after = lambda alpha: nets.codes(edit(w, alpha))
    target_change = lambda alpha: code_change(before, after(alpha), nets.code_names, change)
    if not len(target_change(0.0)):
        return None
    return calibrate(lambda alpha: target_change(alpha).double().mean().item(), ALL, LIMIT)


# The ideal edit


@dataclass(frozen=True)
class Ideal:
    """Pictures that edits should give, for data sets that can make them.

    rows: int64 [M], the cases that have one.  seen: what the ideal pictures show.  outside: bool [M, 1, H,
    W], where they are as before.  unit: the mean distance of the judge's features of two pictures.
    by_hand: what a plain image operation makes of the pictures, if there is one."""

    rows: Tensor
    seen: Seen
    outside: Tensor
    unit: float
    by_hand: Seen | None = None

    def distances(self, nets: Nets, seen: Seen) -> dict:
        """From M pictures to their ideals: {features: Euclidean, in units of `unit`; identity: cosine;
        outside: mean squared error, values in [0, 1], where the ideal changes nothing}, with intervals."""
        error = ((seen.pictures - self.seen.pictures) / 2).square().mean(1, keepdim=True)
        sizes = self.outside.flatten(1).sum(1)
        outside = (error * self.outside).flatten(1).sum(1)[sizes > 0] / sizes[sizes > 0]
        found = {"outside": interval(outside)}
        if nets.judge:
            found["features"] = interval((seen.features - self.seen.features).norm(dim=1) / self.unit)
        if nets.identity:
            found["identity"] = interval(identity_preservation(seen.embeddings, self.seen.embeddings))
        return found


def ideal_of(
    nets: Nets, rows: Tensor, real: Tensor, ideal: Tensor, unit: float, by_hand: Tensor | None = None
) -> Ideal:
    """rows: int64 [M] of the cases.  real, ideal: uint8 [M, C, H, W], before and after the ideal edit.
    by_hand: uint8 [M, C, H, W], what a plain image operation makes of the pictures."""
    before, after = (to_pictures(images, nets.device) for images in (real, ideal))
    region = ((after - before).abs().amax(1, keepdim=True) > 2 * CHANGED / 255).float()
    outside = F.max_pool2d(region, 2 * NEAR + 1, stride=1, padding=NEAR) == 0
    shown = lambda x: joined([look(nets, part, True, True) for part in x.split(BATCH)])
    plain = None if by_hand is None else shown(to_pictures(by_hand, nets.device))
    return Ideal(rows, shown(after), outside, unit, plain)


def bounds(encoder: Encoder, nets: Nets, cases: Cases, ideal: Ideal) -> dict:
    """What no edit gets ("no edit": read as target before any edit, and distances), and what encoder and
    generator make of the ideal pictures ("oracle"): no edit of codes can be expected to surpass it. If there
    is a plain image operation, also what it makes of the pictures ("by hand")."""
    before = see(nets, cases.w[ideal.rows], keep=True)
    parts = ideal.seen.pictures.split(BATCH)
    with torch.no_grad():
        codes = torch.cat([encoder(part) for part in parts])
    through = see(nets, codes, keep=True)
    labels = cases.labels[ideal.rows]
    found, near = {"no edit": {}}, {"no edit": before, "oracle": through}
    if ideal.by_hand is not None:
        near["by hand"] = ideal.by_hand
    for name in near.keys() - found.keys():
        rates = readings(before.read, near[name].read, nets.names, cases.change, labels, cases.counted)
        found[name] = {key: interval(value) for key, value in rates.items()}
    if cases.change.kind == "place":  # a choice among cells may rightly differ from the ideal picture
        for name, seen in near.items():
            found[name]["oracle"] = ideal.distances(nets, seen)
    return found
