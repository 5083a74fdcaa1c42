"""Rendered faces as a data set: splits of different people, and ideal edits of any of them."""

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lwgan.domain import Change
from trainers.datasets.base import Dataset, Part
from trainers.datasets.synthfaces.domain import DOMAIN
from trainers.datasets.synthfaces.picture import RESOLUTIONS, VERSION, render_all
from trainers.datasets.synthfaces.sampler import NAMES, Person, index, labels_of, oracle, sample
from trainers.shards import SPLITS, Split

# A person has one attribute of each row, or none: adding one takes the others away.
ALTERNATIVES = (
    {"Gray_Hair", "Blond_Hair", "Black_Hair", "Brown_Hair"},
    {"Wavy_Hair", "Straight_Hair"},
    {"Full_Beard", "Mustache", "Goatee", "5_o_Clock_Shadow", "No_Beard"},
)  # fmt: skip


@dataclass
class SynthFaces(Dataset):
    """Rendered faces. A picture follows from the seed and its row alone."""

    train: int = 30_000
    heldout: int = 3_000
    seed: int = 0
    bias: float = 1.0
    """1: attributes are correlated as people's are. 0: they are independent."""
    flat: float = 0.0
    """1: rare attributes are as frequent as others. 0: as frequent as people's are."""
    identities: int = 0
    """Identities in the training split, each shown `each` times, never Blurry. 0: all people differ."""
    each: int = 20
    """Pictures of one identity, in all splits, if `identities` is given."""

    hidden: tuple[str, ...] = field(init=False, default=("Blurry",))  # it would look like a poor encoder

    def __post_init__(self):
        if self.identities:
            self.train = self.identities * self.each
        if self.resolution not in RESOLUTIONS:
            sides = " or ".join(map(str, RESOLUTIONS))
            raise ValueError(f"resolution {self.resolution}: faces are rendered at {sides} px")
        if self.identities < 0 or self.each < 2 or (self.identities and self.heldout % self.each):
            sizes = f"identities {self.identities}, each {self.each}, heldout {self.heldout}"
            needed = "every identity needs at least 2 pictures, and `heldout` must hold whole identities"
            raise ValueError(f"{sizes}: {needed}")
        self.domain = DOMAIN
        self.facts = {"bias": self.bias, "flat": self.flat, "seed": self.seed}
        for split in SPLITS:
            self.people(split, range(min(self.size(split), 1)))  # checks the numbers

    def people(self, split: str, rows: range) -> list[Person]:
        """Who is in the pictures of these rows."""
        seed = 3 * self.seed + SPLITS.index(split)
        people = sample(len(rows), seed, first=rows.start, bias=self.bias, flat=self.flat)
        if not self.identities:
            return people
        return [_sharp(person, (seed, row // self.each)) for person, row in zip(people, rows, strict=True)]

    def read(self, split: str, rows: range) -> Part:
        people = self.people(split, rows)
        images = torch.from_numpy(render_all(people, self.resolution)).permute(0, 3, 1, 2)
        groups = torch.arange(rows.start, rows.stop) // self.each if self.identities else None
        return Part(images, torch.from_numpy(labels_of(people)), groups)

    def made_of(self, split: str, rows: range) -> str:
        each = self.each if self.identities else 0
        return repr((self.resolution, self.seed, self.bias, self.flat, each, VERSION, split, rows))

    def oracle(self, change: Change, rows: Tensor, split: Split) -> tuple[Tensor, Tensor] | None:
        """The same people with one attribute changed, where that changes no other attribute."""
        if len(change.labels) > 1 or change.label not in NAMES:
            return None
        kept, edited = [], []
        for row in rows.tolist():
            person = self.people(split.name, range(row, row + 1))[0]
            other = oracle(person, change.label)
            if person.has(change.label) == (change.sign < 0) and not beside(person, other, change.label):
                kept, edited = [*kept, row], [*edited, other]
        if not kept:
            return None
        images = render_all(edited, self.resolution)
        return torch.tensor(kept), torch.from_numpy(images).permute(0, 3, 1, 2)


def beside(person: Person, edited: Person, name: str) -> set[str]:
    """Labels that changed although the attribute does not imply it. No_Beard and alternatives are implied."""
    implied = {name, "No_Beard"}.union(*(row for row in ALTERNATIVES if name in row))
    changed = {each for each, old, new in zip(NAMES, person.labels, edited.labels, strict=True) if old != new}
    return changed - implied


def _sharp(person: Person, identity: tuple[int, int]) -> Person:
    """The same attributes, without Blurry, on another identity."""
    labels = tuple(0 if i == index("Blurry") else label for i, label in enumerate(person.labels))
    return dataclasses.replace(person, labels=labels, identity=identity)
