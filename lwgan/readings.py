"""What there is to read off a picture before and after an edit: what the judges say, what else changed, how far the code has gone.

Everything is of one picture. What is expected of an edit, measured on many, stands in its curve (lwgan.strength).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from lwgan.images import to_tensor
from lwgan.judges import DigitJudge
from lwgan.metrics import identity_preservation
from lwgan.pipeline import EditingPipeline, count_label

NEAR = 4  # px around ink that still count as a digit's place
MANY_MORE = "-or-more"  # how a classifier of counts names its outputs


class Opinion(NamedTuple):
    """What one judge reads in a picture or a code. Digits: `count`, its probability `sure`, `numbers` [10] (None where only the count
    is read). Attributes: name -> probability."""

    judge: str
    count: int | None = None
    sure: float | None = None
    numbers: tuple[int, ...] | None = None
    attributes: dict[str, float] | None = None


class Sight(NamedTuple):
    """A picture and all that is read in it: opinions of judges, features [D] that tell who or what it is, distance from the cloud."""

    picture: Image.Image
    w: Tensor
    opinions: tuple[Opinion, ...]
    distance: float


class Change(NamedTuple):
    """Before and after. kept, of: how many of the old digits or other attributes are as they were. drift: the mean change of the other
    attributes' probabilities, None for digits. moved: those that changed most. identity: cosine in [-1, 1], None without a judge."""

    kept: int | None
    of: int | None
    drift: float | None
    moved: tuple[tuple[str, float], ...]
    identity: float | None


@torch.inference_mode()
def look(pipe: EditingPipeline, picture: Image.Image, w: Tensor) -> Sight:
    """What is read in a picture and its code [1, num_ws, w_dim]."""
    opinions = tuple(filter(None, (judge_picture(pipe, picture), judge_code(pipe, w))))
    return Sight(picture, w, opinions, pipe.cloud.distance(w).item())


@torch.inference_mode()
def judge_picture(pipe: EditingPipeline, picture: Image.Image) -> Opinion | None:
    """What the judge of pictures reads; None if there is none."""
    if pipe.judge is None:
        return None
    x = _input(pipe, picture)
    if isinstance(pipe.judge, DigitJudge):
        reading = pipe.judge.read(x)
        return Opinion(
            "picture judge",
            int(reading.count),
            float(reading.count_confidence),
            tuple(reading.numbers[0].tolist()),
        )
    return Opinion(
        "picture judge",
        attributes=dict(zip(pipe.judge.names, pipe.judge(x)[0].sigmoid().tolist(), strict=True)),
    )


def judge_code(pipe: EditingPipeline, w: Tensor) -> Opinion | None:
    """What the classifier of codes reads; None if there is none."""
    if pipe.latent_classifier is None:
        return None
    names, likely = (
        pipe.latent_classifier.card_config["names"],
        pipe.latent_classifier(w)[0].sigmoid().tolist(),
    )
    if all(name.endswith(MANY_MORE) for name in names):
        return Opinion(
            "code classifier", 1 + sum(p > 0.5 for p in likely), math.prod(max(p, 1 - p) for p in likely)
        )
    return Opinion("code classifier", attributes=dict(zip(names, likely, strict=True)))


def psnr(original: Image.Image, reconstruction: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB of two pictures; a reconstruction of another size is first brought to the original's."""
    if reconstruction.size != original.size:
        reconstruction = reconstruction.resize(original.size, Image.Resampling.BOX)
    error = np.square(
        np.asarray(original.convert(reconstruction.mode), float) - np.asarray(reconstruction, float)
    ).mean()
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def agreement(a: Opinion, b: Opinion) -> tuple[int, int]:
    """In how many of how many things two opinions of one judge are the same: the count and each digit's number, or each attribute."""
    if a.attributes is not None:
        return sum((a.attributes[name] > 0.5) == (b.attributes[name] > 0.5) for name in a.attributes), len(
            a.attributes
        )
    pairs = [(a.count, b.count), *zip(a.numbers or (), b.numbers or (), strict=True)]
    return sum(one == other for one, other in pairs), len(pairs)


@torch.inference_mode()
def compare(pipe: EditingPipeline, before: Sight, after: Sight, targets: Sequence[str]) -> Change:
    """What else an edit of the attributes `targets` changed, in the eyes of the judge of pictures (or, without one, of codes)."""
    identity = _identity(pipe, before.picture, after.picture)
    if not before.opinions:
        return Change(None, None, None, (), identity)
    was, now = before.opinions[0], after.opinions[0]
    if was.attributes is None:
        if was.numbers is None:
            return Change(None, None, None, (), identity)
        return Change(sum(map(min, was.numbers, now.numbers)), sum(was.numbers), None, (), identity)
    others = [name for name in was.attributes if not any(same_name(name, target) for target in targets)]
    changes = {name: now.attributes[name] - was.attributes[name] for name in others}
    kept = sum((was.attributes[name] > 0.5) == (now.attributes[name] > 0.5) for name in others)
    moved = sorted(changes.items(), key=lambda pair: -abs(pair[1]))[:3]
    drift = sum(map(abs, changes.values())) / len(changes) if changes else None
    return Change(kept, len(others), drift, tuple(pair for pair in moved if abs(pair[1]) >= 0.05), identity)


def same_name(one: str, other: str) -> bool:
    """Whether an edit's attribute and a judge's are the same: "eyeglasses", "Eyeglasses"; "smiling", "Smiling"."""
    return one.lower().replace("-", "_").replace(" ", "_") == other.lower().replace("-", "_").replace(
        " ", "_"
    )


def _identity(pipe: EditingPipeline, before: Image.Image, after: Image.Image) -> float | None:
    """Sec. 4.2: the cosine of embeddings. Of digits, those of the places that held ink; of faces the identity network's, else the judge's."""
    x, y = _input(pipe, before), _input(pipe, after)
    if isinstance(pipe.judge, DigitJudge):
        places = F.max_pool2d((x > -0.5).float(), 2 * NEAR + 1, stride=1, padding=NEAR) > 0
        x, y = (pipe.judge.features(torch.where(places, each, -torch.ones_like(each))) for each in (x, y))
    elif pipe.identity is not None:
        x, y = pipe.identity(x), pipe.identity(y)
    elif hasattr(pipe.judge, "features"):
        x, y = pipe.judge.features(x), pipe.judge.features(y)
    else:
        return None
    try:
        return identity_preservation(x, y).item()
    except ValueError:  # nothing is left to compare
        return 0.0


def _input(pipe: EditingPipeline, picture: Image.Image) -> Tensor:
    """[1, C, H, W] as the generator draws and the judges are trained to read."""
    side = pipe.generator.config["resolution"]
    mode = "L" if pipe.generator.config["img_channels"] == 1 else "RGB"
    return to_tensor(
        picture.convert(mode) if picture.size == (side, side) else picture.convert(mode).resize((side, side))
    )


# --- In words --------------------------------------------------------------------------------------------------------


def spell(opinion: Opinion, targets: Sequence[str] = ()) -> str:
    """An opinion in words: "2 digits (1, 7), 98%"; of attributes those in `targets`: "eyeglasses 91%"."""
    if opinion.attributes is not None:
        asked = {
            name: p
            for name, p in opinion.attributes.items()
            if any(same_name(name, target) for target in targets)
        }
        return ", ".join(f"{name.replace('_', ' ')} {percent(p)}" for name, p in asked.items()) or "–"
    if opinion.numbers is None:
        return f"{count_label(opinion.count)}, {percent(opinion.sure)}"
    digits = [str(digit) for digit, number in enumerate(opinion.numbers) for _ in range(number)]
    which = ", ".join(digits) if len(digits) == opinion.count else "not sure which"
    return (
        f"{count_label(opinion.count)} ({which}), {percent(opinion.sure)}"
        if opinion.count
        else f"no digit, {percent(opinion.sure)}"
    )


def percent(share: float) -> str:
    return f"{100 * share:.0f}%"
