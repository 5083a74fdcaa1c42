"""An invented data set: bright or dark squares on grey, on the left or on the right, of people who wear a
colour each."""

from pathlib import Path

import torch

from lwgan.domain import Domain, default_changes
from trainers.shards import SPLITS, UNKNOWN, write_dataset, write_shard

LABELS = ("Bright", "Left", "Rarely said")
DOMAIN = Domain("squares", "Squares", "a square", "square", LABELS, default_changes(LABELS[:2]),
                "other\nInvented.", "Drawn by the tests.", "- They are squares.")  # fmt: skip


def draw(n: int, side: int, colours: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pictures uint8 [n, colours, side, side], labels uint8 [n, 3] of which the last is mostly unknown,
    groups int64 [n]."""
    rows = torch.arange(n)
    bright, left, groups = rows % 2, rows // 2 % 2, rows // 4 % 4
    images = torch.randint(110, 130, (n, colours, side, side), dtype=torch.uint8)
    for i in range(n):
        start = side // 8 if left[i] else side // 2 + side // 8
        square = images[i, :, start : start + side // 4, start : start + side // 4]
        square[:] = 255 if bright[i] else 0
        images[i, groups[i] % colours, : side // 8] = 60 * groups[i]
    said = torch.where(rows % 8 < 2, bright, UNKNOWN)
    return images, torch.stack([bright, left, said], 1).to(torch.uint8), groups


def make_data(
    folder: Path, n: int = 64, heldout: int = 16, side: int = 32, colours: int = 3, groups: bool = True
) -> Path:
    """Writes the shards and dataset.json as `python -m trainers data` does."""
    sizes = {split: n if split == "train" else heldout for split in SPLITS}
    for split, size in sizes.items():
        images, labels, people = draw(size, side, colours)
        write_shard(folder, split, 0, images, labels, people if groups else None)
    write_dataset(folder, DOMAIN, sizes, drawn_by="tests")
    return folder
