"""Pictures and labels on disk: `python -m trainers data` writes them, all later stages read them.

    dataset.json                      Domain, facts, sizes of the splits, arguments of `open_dataset`
    train-00000.safetensors ...       images uint8 [n, C, H, W]; labels uint8 [n, K]; groups int64 [n] if any
    validation-00000.safetensors ...
    test-00000.safetensors ...

A shard has at most SHARD_PICTURES pictures and SHARD_BYTES bytes. So no stage needs all pictures in memory,
and a stopped run of `data` loses one shard per process.
"""

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lwgan.domain import Domain, domain_from_json
from lwgan.files import atomic, write_json
from lwgan.frames import FRAMES

DATASET = "dataset.json"
SPLITS = ("train", "validation", "test")
UNKNOWN = 255  # the value of a label that is not known
SHARD_BYTES, SHARD_PICTURES = 100_000_000, 1000


class Images:
    """The pictures of a split, on disk. `images[rows]` reads some of them: uint8 [n, C, H, W]."""

    def __init__(self, paths: list[Path]):
        self._files = [safe_open(path, "pt") for path in paths]
        self._slices = [file.get_slice("images") for file in self._files]
        sizes = [part.get_shape()[0] for part in self._slices]
        self._starts = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
        self.shape = (self._starts[-1], *self._slices[0].get_shape()[1:])  # [N, C, H, W]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Tensor | int) -> Tensor:
        """rows: a slice, int64 or bool [n], or one number (then [C, H, W])."""
        if isinstance(rows, int):
            return self[torch.tensor([rows])][0]
        rows = torch.arange(len(self))[rows]
        if len(rows) and (rows[1:] == rows[:-1] + 1).all():
            return torch.cat(self._run(int(rows[0]), int(rows[-1]) + 1))
        images = torch.empty((len(rows), *self.shape[1:]), dtype=torch.uint8)
        for i, row in enumerate(rows.tolist()):
            images[i] = self._run(row, row + 1)[0][0]
        return images

    def _run(self, start: int, stop: int) -> list[Tensor]:
        parts = []
        while start < stop:
            shard = bisect_right(self._starts, start) - 1
            end = min(stop, self._starts[shard + 1])
            parts.append(self._slices[shard][start - self._starts[shard] : end - self._starts[shard]])
            start = end
        return parts

    def all(self) -> Tensor:
        """All pictures, in memory."""
        return self[:]


@dataclass(frozen=True)
class Split:
    """images: `Images`.  labels: uint8 [N, K], 1, 0 or UNKNOWN, in the order of `domain.attributes`.
    groups: int64 [N], equal for pictures of one group (one person, one font), or None.
    facts: what else the data set says of itself, for config.json ({"bias": 1.0}).  name: "train", ..."""

    images: Images
    labels: Tensor
    groups: Tensor | None
    domain: Domain
    facts: dict
    name: str = "test"


def labels_of(data: Any, names: Sequence[str]) -> Tensor:
    """uint8 [N, K]: labels of a `Split` or of `Codes` in this order, UNKNOWN for those that they lack."""
    known, unknown = data.domain.attributes, torch.full((len(data.labels),), UNKNOWN, dtype=torch.uint8)
    columns = [data.labels[:, known.index(name)] if name in known else unknown for name in names]
    return torch.stack(columns, 1)


def shard_path(folder: Path, split: str, number: int) -> Path:
    return folder / f"{split}-{number:05d}.safetensors"


def write_shard(
    folder: Path, split: str, number: int, images: Tensor, labels: Tensor, groups: Tensor | None = None,
    facts: dict[str, str] | None = None,
) -> None:  # fmt: skip
    """Writes one shard, whole or not at all. images uint8 [n, C, H, W]; labels uint8 [n, K]; groups int64 [n]
    or None; facts: text for `read_shard`."""
    tensors = {"images": images.contiguous(), "labels": labels.contiguous()}
    if groups is not None:
        tensors["groups"] = groups.contiguous()
    with atomic(shard_path(folder, split, number)) as partial:
        partial.write_bytes(save(tensors, metadata=facts))


def read_shard(folder: Path, split: str, number: int) -> dict[str, str]:
    """The facts of a shard; empty if it is missing or torn."""
    try:
        with safe_open(shard_path(folder, split, number), "pt") as file:
            return file.metadata() or {}
    except (FileNotFoundError, SafetensorError):
        return {}


def write_dataset(
    folder: Path, domain: Domain, sizes: dict[str, int], made_by: dict | None = None, **facts
) -> None:
    """Writes dataset.json, after all shards.

    sizes: split -> pictures.  made_by: arguments of `open_dataset`."""
    said = {"domain": domain.as_json(), "sizes": sizes, "facts": facts, "made_by": made_by}
    write_json(folder / DATASET, said)


def load_dataset(folder: Path) -> tuple[Domain, dict, dict[str, int]]:
    """Domain, facts and sizes of a data folder. FileNotFoundError; ValueError for a damaged file."""
    path = folder / DATASET
    if folder.is_file():
        raise ValueError(f"{folder} is a file, expected a folder that `python -m trainers data` wrote")
    if not path.exists():
        make = f"python -m trainers data SPEC --data {folder}"
        raise FileNotFoundError(f"{path} is missing: make it with `{make}`")
    try:
        said = json.loads(path.read_text("utf-8"))
        domain = domain_from_json(said["domain"], str(path), tuple(FRAMES))
        return domain, dict(said["facts"]), dict(said["sizes"])
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): repeat `python -m trainers data`") from error


def load_split(folder: Path, split: str) -> Split:
    """A split of a data folder. FileNotFoundError, ValueError if it is missing, damaged or incomplete."""
    domain, facts, sizes = load_dataset(folder)
    paths = sorted(folder.glob(f"{split}-*.safetensors"))
    if not paths:
        raise FileNotFoundError(f"{folder} has no pictures of the split {split!r}")
    try:
        images, files = Images(paths), [safe_open(path, "pt") for path in paths]
        labels = torch.cat([file.get_tensor("labels") for file in files])
        grouped = "groups" in files[0].keys()  # noqa: SIM118, safe_open is no mapping
        groups = torch.cat([file.get_tensor("groups") for file in files]) if grouped else None
    except Exception as error:
        raise ValueError(f"{folder}: the split {split!r} is damaged ({error})") from error
    if not len(images) == len(labels) == sizes.get(split):
        raise ValueError(f"{folder}: {split} has {len(images)} pictures and {len(labels)} labels, "
                         f"{DATASET} says {sizes.get(split)}")  # fmt: skip
    if labels.shape[1] != len(domain.attributes):
        raise ValueError(f"{folder}: {split} has {labels.shape[1]} labels a picture, "
                         f"{DATASET} names {len(domain.attributes)}")  # fmt: skip
    return Split(images, labels, groups, domain, facts, split)
