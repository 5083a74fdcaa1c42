"""Rendered faces on disk: rendered once, by several processes, in parts that are kept when the run is stopped."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tqdm import tqdm

from trainers.datasets.synthfaces.picture import RESOLUTIONS, VERSION, render_all
from trainers.datasets.synthfaces.sampler import NAMES, Person, index, labels_of, sample
from trainers.nets.parallel import launch

PART = 200  # pictures: some seconds of a core


class Source(NamedTuple):
    """All that the pictures of a split follow from: see `sampler.sample`; `resolution` in px.

    `each`: 0 = everybody is somebody else; else so many pictures, one after another, are of one identity, with attributes, strengths
    and nuisance of their own, and none is Blurry.
    """

    n: int
    seed: int
    resolution: int
    bias: float
    flat: float
    each: int = 0

    def people(self, first: int = 0, n: int | None = None) -> list[Person]:
        """The people of the pictures from number `first` on (`n` of them, or all that follow): to be rendered again, or edited."""
        people = sample(
            self.n - first if n is None else n, self.seed, first=first, bias=self.bias, flat=self.flat
        )
        identities = self.identities()[first:]
        return (
            [sharp(person, (self.seed, int(j))) for person, j in zip(people, identities, strict=False)]
            if self.each
            else people
        )

    def identities(self) -> np.ndarray:
        """int64 [n]: whose picture each is."""
        return np.arange(self.n) // max(self.each, 1)

    def metadata(self) -> dict[str, str]:
        exact = self._replace(bias=float(self.bias), flat=float(self.flat))  # 1 and 1.0 are the same source
        held = {key: json.dumps(value) for key, value in exact._asdict().items() if value or key != "each"}
        return held | {"domain": "synthfaces", "version": str(VERSION), "names": json.dumps(NAMES)}


def sharp(person: Person, identity: tuple[int, int]) -> Person:
    """The same attributes, but for Blurry, on another identity."""
    labels = tuple(0 if i == index("Blurry") else label for i, label in enumerate(person.labels))
    return dataclasses.replace(person, labels=labels, identity=identity)


class Faces(NamedTuple):
    """`images` uint8 [N, H, W, 3], RGB; `labels` uint8 [N, 41], 1 for each of `names` that the face has; `source`: what they follow from."""

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    source: Source


def check(source: Source) -> None:
    """ValueError if these pictures cannot be made: size, knobs, seed or number are out of range."""
    if source.resolution not in RESOLUTIONS:
        raise ValueError(
            f"resolution {source.resolution}: faces are rendered at {' or '.join(map(str, RESOLUTIONS))} px"
        )
    if source.n < 1:
        raise ValueError(f"n = {source.n}: at least one picture is needed")
    if source.each < 0 or (source.each and source.n % source.each):
        raise ValueError(f"n = {source.n}, each = {source.each}: the pictures must be of whole identities")
    source.people(n=1)


def write_split(path: Path, source: Source, processes: int = 1) -> None:
    """Renders a split into a file, with a progress bar. What is there of just this source, whole or in parts, is not rendered again."""
    check(source)
    if _holds(path, source.metadata()):
        return
    folder = path.with_name(f"{path.stem}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    launch(_render_parts, processes, folder, source)
    parts = [_read(_part(folder, first)) for first in range(0, source.n, PART)]
    images, labels = (torch.cat(of_kind) for of_kind in zip(*parts, strict=True))
    _save(
        path,
        images,
        labels,
        source.metadata(),
        {"identities": torch.from_numpy(source.identities())} if source.each else {},
    )
    shutil.rmtree(folder)


def load_faces(folder: Path, split: str) -> Faces:
    """A split that `python -m trainers data --domain synthfaces` wrote. FileNotFoundError, ValueError if it is missing, damaged or another
    domain's."""
    path = folder / f"{split}.safetensors"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: make it with `python -m trainers data --domain synthfaces --data {folder}`"
        )
    try:
        with safe_open(path, "pt") as held:
            said = held.metadata() or {}
        images, labels = _read(path)
    except Exception as error:
        raise ValueError(f"{path} is damaged or holds no rendered faces ({error})") from error
    source = Source(**{key: json.loads(said[key]) for key in Source._fields if key in said})
    return Faces(images.numpy(), labels.numpy(), tuple(json.loads(said["names"])), source)


def _render_parts(rank: int, processes: int, folder: Path, source: Source) -> None:
    """Each process renders every other part; the first shows its progress, which is the others' too."""
    own = range(rank * PART, source.n, processes * PART)
    for first in tqdm(own, folder.stem, unit_scale=PART * processes, unit="pictures", disable=rank > 0):
        said = source.metadata() | {"first": str(first)}
        if not _holds(_part(folder, first), said):
            people = source.people(first, min(PART, source.n - first))
            images = torch.from_numpy(render_all(people, source.resolution))
            _save(_part(folder, first), images, torch.from_numpy(labels_of(people)), said)


def _part(folder: Path, first: int) -> Path:
    return folder / f"{first:06d}.safetensors"


def _holds(path: Path, said: dict[str, str]) -> bool:
    try:
        with safe_open(path, "pt") as held:
            return held.metadata() == said
    except (FileNotFoundError, SafetensorError):
        return False


def _read(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    with safe_open(path, "pt") as held:
        return held.get_tensor("images"), held.get_tensor("labels")


def _save(
    path: Path,
    images: torch.Tensor,
    labels: torch.Tensor,
    said: dict[str, str],
    more: dict[str, torch.Tensor] | None = None,
) -> None:
    partial = path.with_name(path.name + ".partial")
    save_file({"images": images, "labels": labels, **(more or {})}, partial, metadata=said)
    partial.replace(path)
