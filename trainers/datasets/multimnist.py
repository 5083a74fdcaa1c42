"""MultiMNIST (the paper's Sec. 4.1): pictures of 1-4 real MNIST digits, labelled with their digits.

Two layouts place the digits. Sizes are given for 64 px and double at 128 px.
`cells`  distinct random cells of a 2 x 2 grid, ink centred and jittered by up to 4 px: the default.
`slots`  as the repository that the paper cites (shaohua0116/MultiDigitMNIST, generator.py): equal vertical
         slots, digits unscaled at 28 px, left to right. The geometry alone gives the count away.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lwgan.domain import Change, Domain
from lwgan.frames.ink import CELL_JITTER, FRAME_SIZES, ink_box
from trainers.datasets.base import Dataset, Part
from trainers.datasets.mnist import Digits, load_digits
from trainers.shards import SPLITS, Split

# Counts as yes/no labels: how many digits there are, and how many of each. The order is that of `CountJudge`.
MOST = 4
NAMES = (
    *(f"{k}-or-more" for k in range(1, MOST + 1)),
    *(str(d) if k == 1 else f"{k}-or-more-{d}s" for d in range(10) for k in range(1, MOST + 1)),
)
LICENCE = """apache-2.0
Code and weights: Apache-2.0. Yann LeCun and Corinna Cortes hold the copyright of MNIST, which is made
available under the Creative Commons Attribution-ShareAlike 3.0 licence (CC BY-SA 3.0)."""
ABOUT = """The pictures are composed from handwritten digits of
[MNIST](https://huggingface.co/datasets/ylecun/mnist): training pictures from its training digits, the
pictures on which the figures were measured from its test digits."""
LIMITS = """- The models know one kind of picture: small and grey, one to four bright MNIST-like digits on
  black.
- Other digits (printed, crossed, coloured, decorated) differ from those that the models were trained and
  measured on.
- The models are made for research on editing in latent spaces. They do not recognise numbers for you."""


def one_more(count: int) -> Change:
    """The change from `count` - 1 digits to `count` digits."""
    source = {f"{count - 1}-or-more": True, f"{count}-or-more": False}
    target = {f"{count}-or-more": True} | ({f"{count + 1}-or-more": False} if count < MOST else {})
    before, after = (f"{n} digit{'s' * (n > 1)}" for n in (count - 1, count))
    return Change(f"{count - 1}to{count}", source, target, before, after, kind="choice", adds=True)


DOMAIN = Domain(name="multimnist", title="Digits", subject="one to four digits", frame="ink",
                attributes=NAMES, changes=tuple(one_more(count) for count in (2, 3, 4)), licence=LICENCE,
                about=ABOUT, limits=LIMITS, draw=True)  # fmt: skip


def labels_of(numbers: np.ndarray) -> np.ndarray:
    """How many of each digit, [N, 10] -> uint8 [N, 44], the labels of NAMES."""
    counts = np.concatenate([numbers.sum(1, keepdims=True), numbers], 1)
    return (counts[:, :, None] >= np.arange(1, MOST + 1)).reshape(len(numbers), -1).astype(np.uint8)


LAYOUTS = ("cells", "slots")


@dataclass
class MultiMnist(Dataset):
    """Pictures of real digits, composed in memory. No digit of one split is in a picture of another."""

    train: int = 100_000
    heldout: int = 10_000
    seed: int = 0
    mnist: str = ""
    """Folder of MNIST's four IDX files; empty: the files of ylecun/mnist on the Hub."""
    layout: str = "cells"
    """cells or slots."""

    channels: int = field(init=False, default=1)
    parallel: bool = field(init=False, default=False)  # the pictures of a split share one random stream

    def __post_init__(self):
        self.domain, self.facts = DOMAIN, {"layout": self.layout, "seed": self.seed}
        _check(min(self.train, self.heldout), self.resolution, self.layout)

    def read(self, split: str, rows: range) -> Part:
        of = (split, self.size(split), self.seed, self.resolution, self.layout, self.mnist or None)
        images, numbers = (of_all[rows.start : rows.stop] for of_all in _composed(*of))
        return Part(torch.from_numpy(images[:, None]), torch.from_numpy(labels_of(numbers)))

    def made_of(self, split: str, rows: range) -> str:
        # The number of pictures decides the order of the random numbers; the folder of MNIST decides nothing.
        return repr((self.resolution, self.size(split), self.seed, self.layout, split, rows))

    def oracle(self, change: Change, rows: Tensor, split: Split) -> tuple[Tensor, Tensor] | None:
        """Pastes the digit of another picture into an empty quarter, where it fits."""
        if not change.adds:
            return None
        singles = torch.nonzero((split.labels[:, 0] == 1) & (split.labels[:, 1] == 0))[:, 0].numpy()
        rng, kept, results = np.random.default_rng(0), [], []
        for row in rows.tolist():
            donor = split.images[int(rng.choice(singles))][0].numpy()
            result = _pasted(rng, split.images[row][0].numpy(), donor[ink_box(donor)])
            if result is not None:
                kept, results = [*kept, row], [*results, result]
        if not kept:
            return None
        return torch.tensor(kept), torch.from_numpy(np.stack(results)[:, None])


@lru_cache(maxsize=1)
def _composed(split: str, n: int, seed: int, resolution: int, layout: str, mnist: Path | None) -> "Pictures":
    """One split in memory: 4 kB a picture of 64 px."""
    digits, seed = load_digits(split, mnist), 3 * seed + SPLITS.index(split)
    return compose(digits, n, seed=seed, resolution=resolution, layout=layout, progress=True)


def _pasted(rng, picture: np.ndarray, glyph: np.ndarray) -> np.ndarray | None:
    """A copy of the picture with the glyph in a random empty quarter; None if there is none."""
    side = picture.shape[0]
    for quarter in rng.permutation(4):
        centre = np.array(divmod(int(quarter), 2)) * side // 2 + side // 4
        top, left = np.clip(centre - np.array(glyph.shape) // 2, 0, side - np.array(glyph.shape))
        place = np.s_[top : top + glyph.shape[0], left : left + glyph.shape[1]]
        if not picture[place].any():
            result = picture.copy()
            result[place] = glyph
            return result
    return None


class Pictures(NamedTuple):
    """`images` uint8 [N, H, W], ink bright on black; `numbers` uint8 [N, 10], how many of each digit;
    `count` is their sum, in 1..4."""

    images: np.ndarray
    numbers: np.ndarray

    @property
    def count(self) -> np.ndarray:
        return self.numbers.sum(1)


def compose(
    digits: Digits, n: int, *, seed: int, resolution: int = 64, layout: str = "cells", progress: bool = False
) -> Pictures:
    """`n` pictures of 1-4 of the given digits, counts equally frequent, the same for the same seed.

    resolution: 64 or 128 px. ValueError for another layout or resolution, or for n < 1."""
    _check(n, resolution, layout)
    rng = np.random.default_rng(seed)
    counts = rng.permutation(np.arange(n) % MOST + 1)
    chosen = rng.integers(len(digits.labels), size=(n, MOST))
    sizes = _frame_sizes(rng, (n, MOST), resolution, layout)
    glyphs = _glyphs(digits, chosen, sizes, cropped=layout != "slots")
    images = np.zeros((n, resolution, resolution), np.uint8)
    numbers = np.zeros((n, 10), np.uint8)
    for i in tqdm(range(n), "compose", disable=not progress):
        drawn = [glyphs[i, k] for k in range(counts[i])]
        corners = PLACERS[layout](rng, [glyph.shape for glyph in drawn], resolution)
        for k, (glyph, (top, left)) in enumerate(zip(drawn, corners, strict=True)):
            images[i, top : top + glyph.shape[0], left : left + glyph.shape[1]] = glyph
            numbers[i, digits.labels[chosen[i, k]]] += 1
    return Pictures(images, numbers)


def _check(n: int, resolution: int, layout: str) -> None:
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is unknown: choose one of {', '.join(LAYOUTS)}")
    if resolution not in (64, 128):
        raise ValueError(f"resolution {resolution}: MultiMNIST is made at 64 or 128 px")
    if layout == "slots" and resolution < 128:
        raise ValueError("layout 'slots' puts four digits of 28 px side by side: it needs resolution 128")
    if n < 1:
        raise ValueError(f"n = {n}: at least one picture is needed")


def _frame_sizes(rng, shape, resolution: int, layout: str) -> np.ndarray:
    """The side to which each digit's 28-px frame is scaled: one distribution for all counts."""
    if layout == "slots":
        return np.full(shape, 28)
    return rng.integers(FRAME_SIZES[0], FRAME_SIZES[1] + 1, size=shape) * (resolution // 64)


def _glyphs(digits: Digits, chosen: np.ndarray, sizes: np.ndarray, cropped: bool) -> np.ndarray:
    """The chosen digits, scaled to their frame size (and cut to their ink box): an array of pictures."""
    glyphs = np.empty(chosen.shape, object)
    for size in np.unique(sizes):
        rows, columns = np.nonzero(sizes == size)
        frames = torch.from_numpy(digits.images[chosen[rows, columns]]).float()[:, None]
        if size != 28:
            frames = torch.nn.functional.interpolate(frames, size=int(size), mode="bicubic", antialias=True)
        frames = frames[:, 0].round().clamp(0, 255).to(torch.uint8).numpy()
        for row, column, frame in zip(rows, columns, frames, strict=True):
            glyphs[row, column] = frame[ink_box(frame)] if cropped else frame
    return glyphs


def _cells(rng, shapes, resolution: int):
    """Corners of ink boxes centred in distinct cells of a 2 x 2 grid, then jittered."""
    cell, jitter = resolution // 2, CELL_JITTER * (resolution // 64)
    for place, (height, width) in zip(rng.permutation(4)[: len(shapes)], shapes, strict=True):
        centre = np.array(divmod(int(place), 2)) * cell + cell // 2 + rng.integers(-jitter, jitter + 1, 2)
        top, left = centre - np.array([height, width]) // 2
        yield int(np.clip(top, 0, resolution - height)), int(np.clip(left, 0, resolution - width))


def _slots(rng, shapes, resolution: int):
    """Corners of unscaled frames in equal vertical slots, left to right."""
    slot = resolution // len(shapes)
    for i, (height, width) in enumerate(shapes):
        # The cited code draws below an exclusive bound that is 0 for a slot of 28 px; we allow such slots.
        top, left = (int(rng.integers(max(room, 1))) for room in (resolution - height, slot - width))
        yield top, i * slot + left


PLACERS = {"cells": _cells, "slots": _slots}
