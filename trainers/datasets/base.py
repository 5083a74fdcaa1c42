"""What a data set gives to the data stage: labelled pictures by split and row, and a Domain."""

from dataclasses import dataclass, field, fields
from typing import NamedTuple

from torch import Tensor

from lwgan.domain import Change, Domain
from trainers.shards import Split


class Part(NamedTuple):
    """images: uint8 [n, C, H, W].  labels: uint8 [n, K], 1, 0 or UNKNOWN.  groups: int64 [n], or None.
    skipped: (name, reason) of each picture that could not be used; it has no row in the tensors."""

    images: Tensor
    labels: Tensor
    groups: Tensor | None = None
    skipped: tuple[tuple[str, str], ...] = ()


@dataclass
class Dataset:
    """Labelled pictures in three splits. The fields are the options of the data set. A subclass sets `domain`
    and may set the other attributes that are no options."""

    resolution: int = 64
    """Side of a picture in px."""
    train: int = 0
    """The largest number of training pictures; 0: all."""
    heldout: int = 0
    """The largest number of validation pictures, and of test pictures; 0: all."""

    domain: Domain = field(init=False, repr=False)
    facts: dict = field(init=False, default_factory=dict)  # goes into dataset.json and into configs
    channels: int = field(init=False, default=3)
    parallel: bool = field(init=False, default=True)  # whether several processes may read
    hidden: tuple[str, ...] = field(init=False, default=())  # pictures with these labels are no samples
    unusable: list[tuple[str, str]] = field(init=False, default_factory=list)  # (file, reason): no rows

    @classmethod
    def options(cls) -> dict[str, object]:
        """Name -> default of each option."""
        return {each.name: each.default for each in fields(cls) if each.init}

    def size(self, split: str) -> int:
        """Number of pictures of a split, bad ones included."""
        return self.train if split == "train" else self.heldout

    def read(self, split: str, rows: range) -> Part:
        """The pictures of consecutive rows."""
        raise NotImplementedError

    def made_of(self, split: str, rows: range) -> str:
        """Text that differs if the pictures of these rows would differ."""
        raise NotImplementedError

    def oracle(self, change: Change, rows: Tensor, split: Split) -> tuple[Tensor, Tensor] | None:
        """Ideal edits of pictures of a split of this data set, if it can make them.

        rows: int64 [n].  Returns the rows of which there is an ideal edit, int64 [m], and these edits, uint8
        [m, C, H, W]; None if the data set knows no ideal edit for this change."""
        return None

    def by_hand(self, change: Change, images: Tensor) -> Tensor | None:
        """What a plain image operation makes of pictures, uint8 [N, C, H, W], for a comparison with learned
        edits. None if there is no such operation for this change."""
        return None
