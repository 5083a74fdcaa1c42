"""One file a method, one verb: fit(codes, attribute, options) -> AffineEdit."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from lwgan.attributes import index_of
from trainers.codes import Codes

NOT = "not-"


class Attribute(NamedTuple):
    """What an edit changes: pictures of `count` - 1 digits (source) become pictures of `count` digits (target)."""

    count: int

    @property
    def name(self) -> str:
        return f"{self.count - 1}to{self.count}"

    def source(self, codes: Codes) -> Codes:
        return codes.where(codes.count == self.count - 1)

    def target(self, codes: Codes) -> Codes:
        return codes.where(codes.count == self.count)

    def describe(self) -> dict:
        """What config.json says of it."""
        before, after = self.count - 1, self.count
        return {"attribute": "one-more-digit", "from": f"{before} digit{'s' * (before > 1)}", "to": f"{after} digits", "to_count": after}


class Label(NamedTuple):
    """What an edit changes: pictures that lack an attribute (source) come to have it (target). absent: the other way round."""

    label: str
    absent: bool = False

    @property
    def name(self) -> str:
        return NOT * self.absent + self.label

    def source(self, codes: Codes) -> Codes:
        return codes.where(codes.has(self.label) == self.absent)

    def target(self, codes: Codes) -> Codes:
        return codes.where(codes.has(self.label) != self.absent)

    def describe(self) -> dict:
        """What config.json says of it: names as the registry allows them, labels as a reader would say them."""
        words = self.label.replace("_", " ").lower()
        without, with_it = f"not {words}", words
        ends = {"from": with_it, "to": without} if self.absent else {"from": without, "to": with_it}
        return {"attribute": self.name.lower(), **ends}


class Splits(NamedTuple):
    """Codes to fit on, and codes of other digits to stop by."""

    train: Codes
    validation: Codes


def attribute_named(name: str, names: Sequence[str] | None = None) -> Attribute | Label:
    """Of digits "1to2", "2to3" or "3to4"; where the codes have `names` of attributes, one of them, or "not-" and one of them, whose
    edit takes it away. ValueError otherwise."""
    if names is not None:
        label = name.removeprefix(NOT)
        return Label(names[index_of(label, names)], absent=name != label)
    known = {Attribute(count).name: Attribute(count) for count in (2, 3, 4)}
    if name not in known:
        raise ValueError(f"attribute {name!r} is unknown: choose one of {', '.join(known)}")
    return known[name]


def mean_shift(source: Tensor, target: Tensor) -> Tensor:
    """Difference of the two mean codes: [N, num_ws, w_dim], [M, num_ws, w_dim] -> [num_ws, w_dim]."""
    return target.mean(0) - source.mean(0)
