"""Labelled pictures of any kind: their Domain, the rule for splits, and reading them into the frame."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from lwgan.domain import Domain, default_changes, domain_from_json
from lwgan.frames import FRAMES, GREY
from lwgan.images import open_picture
from trainers.datasets.base import Dataset, Part
from trainers.shards import SPLITS


class Listed(NamedTuple):
    """What is known of N pictures before any is opened.

    names: for messages and for the split.  labels: uint8 [N, K].  attributes: K names.  groups: N texts, or
    None.  splits: N splits that the data set itself states, "" where the rule decides."""

    names: list[str]
    labels: np.ndarray
    attributes: tuple[str, ...]
    groups: list[str] | None = None
    splits: list[str] | None = None


@dataclass
class Pictures(Dataset):
    """Base of data sets of pictures that exist. A subclass has `_listed` and `_source`."""

    place: str = ""
    columns: tuple[str, ...] = ()
    """Columns that are labels; by default all that can be."""
    name: str = ""
    """Short name of the domain, of a-z, 0-9, _ and -; by default that of the data set."""
    title: str = ""
    subject: str = "a picture"
    frame: str = "square"
    """How a picture is brought into the training frame: square, wide, face, ink or mark."""
    changes: tuple[str, ...] = ()
    """Changes that the page offers, such as Smiling,not-Male; by default each label and its opposite."""
    licence: str = "other"
    """Of data and weights: an id of the Hub, or other; then lines of text. "other" alone: not stated."""
    about: str = ""
    limits: str = ""

    def __post_init__(self):
        self._list = self._listed()
        self._groups = np.unique(self._list.groups, return_inverse=True)[1] if self._list.groups else None
        self._rows = self._split()
        self.domain = self._domain()
        self.channels = 1 if self.frame in GREY else 3

    def _listed(self) -> Listed:
        raise NotImplementedError

    def _source(self, row: int) -> Path | bytes:
        """The picture's file, or its bytes."""
        raise NotImplementedError

    def _split(self) -> dict[str, np.ndarray]:
        """The rows of each split, in the order of the list."""
        rows, limits = rows_of(self._list), (self.train, self.heldout, self.heldout)
        return {split: rows[split][: limit or None] for split, limit in zip(SPLITS, limits, strict=True)}

    def _domain(self) -> Domain:
        listed = self._list
        slug = re.sub("[^a-z0-9_-]+", "-", Path(self.place).resolve().name.lower()).strip("-")[:64]
        name = self.name or slug or "pictures"
        title = self.title or name.replace("-", " ").replace("_", " ").capitalize()
        # A label that all pictures share cannot be changed by what is learned from them.
        columns = zip(listed.attributes, listed.labels.T, strict=True)
        varied = [label for label, column in columns if {0, 1} <= set(np.unique(column))]
        about = self.about or f"The pictures are those of the data set {name}, with its labels."
        limits = self.limits or (
            f"- The models know pictures of the data set {name} alone, brought into one frame.\n"
            "- Labels that occur together in the data may change together in edits learned from them."
        )
        texts = {"licence": self.licence, "about": about, "limits": limits}
        changes = default_changes(varied)
        domain = Domain(name, title, self.subject, self.frame, listed.attributes, changes, **texts)
        if self.changes:
            domain = replace(domain, changes=tuple(map(domain.change, self.changes)))
        return domain_from_json(domain.as_json(), self.place, tuple(FRAMES))  # checks what the options say

    def size(self, split: str) -> int:
        return len(self._rows[split])

    def read(self, split: str, rows: range) -> Part:
        images, kept, skipped = [], [], []
        for row in self._rows[split][rows.start : rows.stop]:
            try:
                images.append(np.asarray(self._framed(self._source(row))))
                kept.append(row)
            except (ValueError, OSError) as error:
                skipped.append((self._list.names[row], str(error)))
        shape = (len(kept), self.resolution, self.resolution, self.channels)
        pictures = torch.from_numpy(np.array(images, np.uint8).reshape(shape)).permute(0, 3, 1, 2)
        groups = None if self._groups is None else torch.from_numpy(self._groups[kept])
        return Part(pictures, torch.from_numpy(self._list.labels[kept]), groups, tuple(skipped))

    def _framed(self, source: Path | bytes) -> Image.Image:
        size = (self.resolution, self.resolution)
        framed = FRAMES[self.frame](open_picture(source), self.resolution)
        return framed.resize(size, Image.Resampling.LANCZOS)

    def made_of(self, split: str, rows: range) -> str:
        chosen = self._rows[split][rows.start : rows.stop]
        said = [(self._list.names[row], self._bytes(row), self._list.labels[row].tolist()) for row in chosen]
        groups = None if self._groups is None else self._groups[chosen].tolist()
        return repr((self.resolution, self.frame, said, groups))

    def _bytes(self, row: int) -> int:
        """The size of the picture's file, or 0: it tells that a file was replaced."""
        return 0


def rows_of(listed: Listed) -> dict[str, np.ndarray]:
    """The rows of each split, in the order of the list. ValueError for an empty split."""
    # By the name without folder and ending, so that copies in another format fall into the same split.
    keys = listed.groups or [Path(name).stem for name in listed.names]
    stated = listed.splits or [""] * len(keys)
    # Where the data set states test pictures, the rule makes no others.
    splits = [split or (drawn if drawn not in stated else "train")
              for drawn, split in zip(map(split_of, keys), stated, strict=True)]  # fmt: skip
    rows = {split: np.flatnonzero(np.array(splits) == split) for split in SPLITS}
    if empty := [split for split in SPLITS if not len(rows[split])]:
        rule = f"80, 10 and 10 percent, by {'group' if listed.groups else 'name'}"
        said = f"none of the {len(keys)} pictures falls into the {empty[0]} split"
        raise ValueError(f"{said} ({rule}): more are needed")
    return rows


def split_of(key: str) -> str:
    """The split of a group or of a picture's name: 80, 10 and 10 percent, whatever else is in the data set.
    Numbers count by value: 7 and 00007 are the same."""
    digest = hashlib.sha256((str(int(key)) if key.isdecimal() else key).encode()).digest()
    return {0: "validation", 1: "test"}.get(int.from_bytes(digest[:8], "big") % 10, "train")
