"""What judges read in a picture before and after an edit, what else changed, how far the code has moved.

All figures here are of one picture; what is expected of an edit, from many pictures, is in `lwgan.strength`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from lwgan.domain import Change
from lwgan.metrics import identity_preservation
from lwgan.pipeline import EditingPipeline

NEAR = 4  # px around bright pixels that count as the place of what was drawn
LEAST_MOVE = 0.05  # smaller changes of a probability are not listed
PICTURES, CODES = "picture judge", "code classifier"


class Opinion(NamedTuple):
    """What a judge (PICTURES or CODES) reads in one picture or code: label -> probability."""

    judge: str
    labels: Mapping[str, float]


class Sight(NamedTuple):
    """A picture, its code [1, num_ws, w_dim], the opinions on both, and the distance from the cloud."""

    picture: Image.Image
    w: Tensor
    opinions: tuple[Opinion, ...]
    distance: float


class Effect(NamedTuple):
    """What an edit changed besides its own labels.

    kept, of: of the other labels, how many are read as before; None without a judge.
    drift: the mean absolute change of their probabilities; None without other labels.
    moved: the (label, change of probability) of those that changed most.
    identity: cosine in [-1, 1]; None without an identity network or judge."""

    kept: int | None
    of: int | None
    drift: float | None
    moved: tuple[tuple[str, float], ...]
    identity: float | None


def look(pipe: EditingPipeline, picture: Image.Image, w: Tensor) -> Sight:
    """All readings of a picture and its code [1, num_ws, w_dim]."""
    opinions = tuple(filter(None, (judge_picture(pipe, picture), judge_code(pipe, w))))
    return Sight(picture, w, opinions, pipe.cloud.distance(w).item())


def judge_picture(pipe: EditingPipeline, picture: Image.Image) -> Opinion | None:
    """What the judge of pictures reads; None without one."""
    return Opinion(PICTURES, pipe.read([picture])[0]) if pipe.judge is not None else None


@torch.inference_mode()
def judge_code(pipe: EditingPipeline, w: Tensor) -> Opinion | None:
    """What the classifier of codes reads in a code [1, num_ws, w_dim]; None without one."""
    if pipe.latent_classifier is None:
        return None
    probabilities = pipe.latent_classifier(w)[0].sigmoid().tolist()
    return Opinion(CODES, dict(zip(pipe.latent_classifier.card_config["names"], probabilities, strict=True)))


def psnr(original: Image.Image, reconstruction: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB. A reconstruction of another size is resized first."""
    if reconstruction.size != original.size:
        reconstruction = reconstruction.resize(original.size, Image.Resampling.BOX)
    original = np.asarray(original.convert(reconstruction.mode), float)
    error = np.square(original - np.asarray(reconstruction, float)).mean()
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def agreement(a: Opinion, b: Opinion) -> tuple[int, int]:
    """How many labels two opinions of one judge read alike, and the number of labels."""
    return sum((p > 0.5) == (b.labels[name] > 0.5) for name, p in a.labels.items()), len(a.labels)


def compare(pipe: EditingPipeline, before: Sight, after: Sight, changes: Sequence[Change]) -> Effect:
    """What edits changed besides what they should, as the judge of pictures (else that of codes) reads it.

    changes: those of the edits; their labels are left out. If a change may add other labels (`Change.adds`),
    labels that did not hold before are left out too."""
    identity = _identity(pipe, before.picture, after.picture, changes)
    if not before.opinions:
        return Effect(None, None, None, (), identity)
    was, now = before.opinions[0].labels, after.opinions[0].labels
    own, adds = {label for change in changes for label in change.labels}, any(c.adds for c in changes)
    others = [name for name in was if name not in own and (was[name] > 0.5 or not adds)]
    moves = {name: now[name] - was[name] for name in others}
    kept = sum((was[name] > 0.5) == (now[name] > 0.5) for name in others)
    drift = sum(map(abs, moves.values())) / len(moves) if moves else None
    most = sorted(moves.items(), key=lambda move: -abs(move[1]))[:3]
    return Effect(kept, len(others), drift, tuple(m for m in most if abs(m[1]) >= LEAST_MOVE), identity)


@torch.inference_mode()
def _identity(
    pipe: EditingPipeline, before: Image.Image, after: Image.Image, changes: Sequence[Change]
) -> float | None:
    """Sec. 4.2: the cosine of the embeddings by the identity network, or else by the judge's features. An
    edit that adds something draws on the background: only places that were bright before are compared."""
    embed = pipe.identity or getattr(pipe.judge, "features", None)
    if embed is None:
        return None
    x, y = pipe.as_generated([before]), pipe.as_generated([after])
    if any(change.adds for change in changes):
        places = F.max_pool2d((x > -0.5).float(), 2 * NEAR + 1, stride=1, padding=NEAR) > 0
        x, y = (torch.where(places, pictures, -1.0) for pictures in (x, y))
    return identity_preservation(*embed(torch.cat([x, y])).split(1)).item()


def spell(opinion: Opinion, labels: Sequence[str]) -> str:
    """The probabilities of those labels that the judge knows: "Eyeglasses 91%, Wearing Hat 3%"."""
    known = [label for label in labels if label in opinion.labels]
    said = [f"{label.replace('_', ' ')} {percent(opinion.labels[label])}" for label in known]
    return ", ".join(said) or "–"


def percent(share: float) -> str:
    return f"{100 * share:.0f}%"
