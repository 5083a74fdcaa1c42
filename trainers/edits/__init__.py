"""One file a method, one verb: fit(codes, attribute, options) -> AffineEdit."""

from typing import NamedTuple

from torch import Tensor

from trainers.codes import Codes


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


class Splits(NamedTuple):
    """Codes to fit on, and codes of other digits to stop by."""

    train: Codes
    validation: Codes


def attribute_named(name: str) -> Attribute:
    """ "1to2", "2to3" or "3to4"; ValueError otherwise."""
    known = {Attribute(count).name: Attribute(count) for count in (2, 3, 4)}
    if name not in known:
        raise ValueError(f"attribute {name!r} is unknown: choose one of {', '.join(known)}")
    return known[name]


def mean_shift(source: Tensor, target: Tensor) -> Tensor:
    """Difference of the two mean codes: [N, num_ws, w_dim], [M, num_ws, w_dim] -> [num_ws, w_dim]."""
    return target.mean(0) - source.mean(0)
