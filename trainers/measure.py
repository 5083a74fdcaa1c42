"""What an edit does to pictures of digits (Sec. 4.2): as a judge of pictures reads them, as a classifier of codes reads the codes,
and how alike the old digits stay. And an oracle: real pictures into which one more digit was pasted, which no edit can surpass.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lwgan.edit import AffineEdit
from lwgan.encoder import Encoder
from lwgan.generator import Generator
from lwgan.images import ink_box
from lwgan.judges import DigitJudge, LatentClassifier, Reading
from lwgan.metrics import Rate, bootstrap, calibrate, digits_kept, identity_preservation, rate, target_change
from trainers.data import Pictures
from trainers.nets.generator import to_pictures

CONFIDENT = 0.9
NEAR = 4  # px around an old digit's ink that still count as its place
ALL = 0.995  # of the codes: our "100%" of Table 2
LIMIT = 16.0  # the largest alpha that the calibration tries
PART = 50  # pictures at a time: with more, a layer's maps leave a CPU's caches


class Nets(NamedTuple):
    """What renders, what reads pictures and (or None) what reads codes."""

    generator: Generator
    judge: DigitJudge
    calibrator: LatentClassifier | None = None

    @property
    def device(self) -> torch.device:
        return self.generator.mapping.w_avg.device


class Cases(NamedTuple):
    """Real pictures with `asked` - 1 digits as encoder and generator give them back: codes w [N, num_ws, w_dim], true numbers
    [N, 10], reconstructions [N, 1, H, W], the judge's reading of these; (or None) the real pictures; where the old digits are,
    bool [N, 1, H, W], and their features (`features_at`)."""

    w: Tensor
    numbers: Tensor
    asked: int
    pictures: Tensor
    reading: Reading
    real: Tensor | None
    places: Tensor
    features: Tensor


@torch.no_grad()
def cases_of(encoder: Encoder, nets: Nets, images: Tensor, numbers: Tensor, asked: int, limit: int) -> Cases:
    """The first `limit` pictures, uint8 [N, H, W], that hold asked - 1 digits. ValueError if there is none."""
    rows = torch.nonzero(numbers.sum(1) == asked - 1).squeeze(1)[:limit]
    if not len(rows):
        raise ValueError(f"none of the {len(numbers)} pictures holds {asked - 1} digit{'s' * (asked > 2)}")
    x = to_pictures(images[rows], nets.device)
    return cases_from(codes_of(encoder, x), numbers[rows].to(nets.device), asked, nets, x)


@torch.no_grad()
def cases_from(w: Tensor, numbers: Tensor, asked: int, nets: Nets, real: Tensor | None = None) -> Cases:
    """Cases of codes, and of the pictures where these are at hand."""
    pictures = render(nets.generator, w)
    places = places_of(pictures if real is None else real)
    return Cases(
        w,
        numbers,
        asked,
        pictures,
        nets.judge.read(pictures),
        real,
        places,
        features_at(nets.judge, pictures, places),
    )


def codes_of(encoder: Encoder, x: Tensor) -> Tensor:
    """Pictures [N, 1, H, W] -> codes [N, num_ws, w_dim]."""
    return torch.cat([encoder(part) for part in x.split(PART)])


def render(generator: Generator, w: Tensor) -> Tensor:
    """Codes [N, num_ws, w_dim] -> pictures [N, C, H, W]."""
    return torch.cat([generator.synthesis(part) for part in w.split(PART)])


def places_of(x: Tensor) -> Tensor:
    """bool like x [N, 1, H, W]: what has ink, or lies within NEAR px of it."""
    return F.max_pool2d((x > -0.5).float(), 2 * NEAR + 1, stride=1, padding=NEAR) > 0


def features_at(judge: DigitJudge, x: Tensor, places: Tensor) -> Tensor:
    """The judge's features [N, D] of pictures of which only some places are shown; the rest is black."""
    shown = torch.where(places, x, -torch.ones_like(x))
    return torch.cat([judge.features(part) for part in shown.split(PART)])


# An edit at one strength


@torch.no_grad()
def figures(edit: AffineEdit, alpha: float, cases: Cases, nets: Nets, identities: bool = True) -> dict:
    """What becomes of the cases. Rates are {value, low, high, n}; None where there was nothing to count, or nobody to ask.

    target_change: read as asked - 1 before and as asked after; at_least: as asked or more.  Of the changed, digits_kept: the old
    digits are all there still; confident: read so with .9 or more; added_ink: brightness added, in mean old digits.  true_change:
    changed and kept.  identity: how alike the old digits look (`identity`).  latent_change: what the calibrator says of the codes.
    """
    edited = edit(cases.w, alpha)
    pictures = render(nets.generator, edited) if alpha else cases.pictures
    before, after, asked = cases.reading, nets.judge.read(pictures), cases.asked
    changed, kept = (
        target_change(before.count, after.count, asked),
        digits_kept(cases.numbers, before.numbers, after.numbers),
    )
    ink = added_ink(cases.pictures, pictures, asked)
    of_changed = lambda hits: rate(hits[changed])._asdict() if changed.any() else None
    return {
        "alpha": alpha,
        "norm": (edited - cases.w).flatten(1).norm(dim=1).mean().item(),
        "target_change": rate(changed)._asdict(),
        "at_least": rate((before.count == asked - 1) & (after.count >= asked))._asdict(),
        "digits_kept": of_changed(kept),
        "confident": of_changed(after.count_confidence >= CONFIDENT),
        "true_change": rate(changed & kept)._asdict(),
        "identity": identity(cases.features, features_at(nets.judge, pictures, cases.places))._asdict()
        if identities
        else None,
        "latent_change": latent_change(nets.calibrator, cases.w, edited, asked)._asdict()
        if nets.calibrator
        else None,
        "added_ink": ink[changed].mean().item() if changed.any() else None,
        "overshoot": rate(after.count > asked)._asdict(),
        "count_right_before": rate(before.count == asked - 1)._asdict(),
        "no_edit": rate(before.count == asked)._asdict(),
    }


def added_ink(before: Tensor, after: Tensor, asked: int) -> Tensor:
    """How much brightness an edit adds, in units of the picture's mean old digit: [N, C, H, W] twice -> [N]. A judge may read
    a digit in a faint outline; this is then far below the 1 of a digit as bright as the others."""
    ink_before, ink_after = ((x + 1).sum((1, 2, 3)) for x in (before, after))
    return (ink_after / ink_before - 1) * (asked - 1)


def identity(before: Tensor, after: Tensor) -> Rate:
    """Identity preservation (Sec. 4.2) for digits: the mean cosine of the judge's features [N, D] of the old digits' places before
    and after (`features_at`). They tell digits apart, not hands; digits that are gone, without features, count 0."""
    there = (before.norm(dim=1) > 0) & (after.norm(dim=1) > 0)
    cosine = torch.zeros(len(before), dtype=torch.float64, device=before.device)
    cosine[there] = identity_preservation(before[there], after[there])
    return bootstrap(cosine.cpu())


def latent_change(calibrator: LatentClassifier, w: Tensor, edited: Tensor, asked: int) -> Rate:
    """Target change in the eyes of a classifier of codes: fewer than `asked` digits before, asked or more after."""
    before, after = (calibrator(codes)[:, asked - 2] > 0 for codes in (w, edited))
    return rate(~before & after)


@torch.no_grad()
def calibrated(edit: AffineEdit, w: Tensor, calibrator: LatentClassifier, asked: int) -> float | None:
    """The alpha of Table 2: the least at which the calibrator sees the change in ALL codes w [N, num_ws, w_dim] (of validation
    pictures, that it reads as not changed yet); None if it never does, or reads all as changed from the start."""
    w = w[calibrator(w)[:, asked - 2] <= 0]
    if not len(w):
        return None
    return calibrate(
        lambda alpha: latent_change(calibrator, w, edit(w, alpha), asked).value, wanted=ALL, limit=LIMIT
    )


# The oracle


def pasted(pictures: Pictures, asked: int, limit: int, seed: int = 0) -> tuple[Pictures, Pictures]:
    """Pictures with asked - 1 digits, and the same with another picture's single digit pasted into a blank quarter, where it fits.
    At most `limit` of them, the same for the same seed."""
    rng = np.random.default_rng(seed)
    counts, side = pictures.numbers.sum(1), pictures.images.shape[1]
    singles, rows, results, numbers = np.flatnonzero(counts == 1), [], [], []
    for row in np.flatnonzero(counts == asked - 1)[:limit]:
        donor = rng.choice(singles)
        glyph = pictures.images[donor][ink_box(pictures.images[donor])]
        for quarter in rng.permutation(4):
            centre = np.array(divmod(int(quarter), 2)) * side // 2 + side // 4
            top, left = np.clip(centre - np.array(glyph.shape) // 2, 0, side - np.array(glyph.shape))
            place = np.s_[top : top + glyph.shape[0], left : left + glyph.shape[1]]
            if not pictures.images[row][place].any():
                result = pictures.images[row].copy()
                result[place] = glyph
                rows, results, numbers = [*rows, row], [*results, result], [*numbers, pictures.numbers[donor]]
                break
    return Pictures(pictures.images[rows], pictures.numbers[rows]), Pictures(
        np.stack(results), pictures.numbers[rows] + np.stack(numbers)
    )


@torch.no_grad()
def oracle(encoder: Encoder, nets: Nets, pictures: Pictures, asked: int, limit: int) -> dict:
    """What the judge says of pasted pictures themselves (its own errors), and of what encoder and generator make of them
    (the most that an edit of codes can reach); identity_of_others: of another picture's digits in the same places (the least)."""
    before, after = pasted(pictures, asked, limit)
    x, y = (to_pictures(torch.from_numpy(part.images), nets.device) for part in (before, after))
    numbers = torch.from_numpy(before.numbers).long().to(nets.device)
    w = codes_of(encoder, x)
    cases = cases_from(w, numbers, asked, nets, x)
    given_back = render(nets.generator, codes_of(encoder, y))
    return {
        "asked": asked,
        "pictures": _compared(nets.judge, x, nets.judge.read(x), y, cases),
        "codes": _compared(nets.judge, cases.pictures, cases.reading, given_back, cases),
        "identity_of_others": identity(
            cases.features, features_at(nets.judge, cases.pictures.roll(1, 0), cases.places)
        )._asdict(),
    }


def _compared(judge: DigitJudge, x: Tensor, before: Reading, y: Tensor, cases: Cases) -> dict:
    after = judge.read(y)
    changed, kept = (
        target_change(before.count, after.count, cases.asked),
        digits_kept(cases.numbers, before.numbers, after.numbers),
    )
    return {
        "target_change": rate(changed)._asdict(),
        "digits_kept": rate(kept[changed])._asdict() if changed.any() else None,
        "true_change": rate(changed & kept)._asdict(),
        "identity": identity(*(features_at(judge, part, cases.places) for part in (x, y)))._asdict(),
    }
