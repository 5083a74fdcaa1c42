"""Masses of codes (Eq. 2, Sec. 3.2): which labels they balance, and how many codes that leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lwgan.costs import correlations
from lwgan.domain import Change
from lwgan.measures import MASSES, cells, effective_size, normalised
from trainers.codes import Codes
from trainers.edits.base import Method, Splits
from trainers.shards import UNKNOWN

LEAST = 0.1  # effective size that masses must leave of each side, as a fraction of its codes
BALANCED = 6  # labels to balance where none is named; ten kept hardly more on rendered faces
Masses = Literal["uniform", "printed", "match", "overlap", "balanced"]


class Side(NamedTuple):
    """Source or target: codes [N, num_ws, w_dim] and masses float64 [N] that sum to 1 (None: all equal)."""

    w: Tensor
    mass: Tensor | None = None

    def mean(self) -> Tensor:
        """The mean code [num_ws, w_dim]."""
        if self.mass is None:
            return self.w.mean(0)
        return torch.einsum("n,nli->li", self.mass.to(self.w), self.w)

    def batch(self, size: int) -> Tensor:
        """A random batch [size, num_ws, w_dim] of equal weights.

        Without masses: drawn without replacement; a side with fewer codes gives whole copies of itself first.
        With masses: drawn with replacement in proportion to mass, so that cells keep their shares in it."""
        if self.mass is not None:
            return self.w[torch.multinomial(self.mass, size, replacement=True)]
        copies, rest = divmod(size, len(self.w))
        return torch.cat([self.w] * copies + [self.w[torch.randperm(len(self.w))[:rest]]])


@dataclass(frozen=True)
class WithMasses(Method):
    """Options of methods that weigh codes."""

    masses: Masses = "uniform"
    """How codes are weighed (Eq. 2)."""
    balance: tuple[str, ...] = ()
    """Labels that the masses balance between source and target, the most important first. Labels that would
    leave a side too small are dropped. Default: the labels that are most correlated with the edited one."""

    def check(self, codes: Splits, change: Change) -> None:
        weighed(codes.validation, change, self.masses, self.balanced(codes.train, change))

    def balanced(self, codes: Codes, change: Change) -> list[str]:
        """Of the labels `balance`, in their order, those that masses can balance.

        A label is dropped if with it the effective size of a side falls below LEAST of its codes: one that
        nearly always goes with the edited one would leave few codes. ValueError if no label is left."""
        if self.masses == "uniform":
            return []
        wanted = self.balance or most_correlated(codes, change)
        wanted = [name for name in wanted if name not in change.labels]
        if not wanted:
            others = f"labels other than those of {change.name!r}"
            raise ValueError(f"--masses {self.masses} needs --balance: {others}")
        found = []
        for name in wanted:
            if effective_share(codes, change, self.masses, [*found, name]) >= LEAST:
                found.append(name)
        if not found:
            raise ValueError(f"--masses {self.masses}: balancing any of {', '.join(wanted)} leaves less than "
                             f"{LEAST:.0%} of a side of {change.name!r}")  # fmt: skip
        return found


def weighed(
    codes: Codes, change: Change, masses: Masses, balance: Sequence[str]
) -> tuple[tuple[Side, Side], dict]:
    """Source and target with masses that balance some labels, and a report for config.json (empty for uniform
    masses): of each side the number of codes, their effective number and how many have mass 0.

    Codes of mass 0 and codes with an unknown label are left out. ValueError if nothing is left."""
    both = codes.source(change), codes.target(change)
    if masses == "uniform":
        return (Side(both[0].w), Side(both[1].w)), {}
    columns = [torch.stack([side.column(name) for name in balance], 1) for side in both]
    known = [(column != UNKNOWN).all(1) for column in columns]
    weights = MASSES[masses](*(cells(column[rows] == 1) for column, rows in zip(columns, known, strict=True)))
    found, report = [], {"balanced": list(balance)}
    for name, side, rows, mass in zip(("source", "target"), both, known, weights, strict=True):
        kept = mass > 0
        found.append(Side(side.w[rows][kept], normalised(mass[kept])))
        lost = len(side) - int(kept.sum())
        report[name] = {"codes": len(side), "effective": round(effective_size(mass)), "mass_0": lost}
    return (found[0], found[1]), {"masses": report}


def effective_share(codes: Codes, change: Change, masses: Masses, balance: Sequence[str]) -> float:
    """The smaller effective sample size of both sides, a fraction of their codes; 0 without common cells."""
    for name in balance:
        codes.column(name)  # refuses unknown names
    try:
        report = weighed(codes, change, masses, balance)[1]["masses"]
    except ValueError:
        return 0.0
    return min(report[side]["effective"] / report[side]["codes"] for side in ("source", "target"))


def most_correlated(codes: Codes, change: Change) -> list[str]:
    """The BALANCED labels that are most correlated with the edited one, the most first.

    Labels that one side never has are left out: blond hair is never black, and to leave out all black hair
    would leave only red, gray and no hair to learn from."""
    both, names = (codes.source(change), codes.target(change)), codes.domain.attributes
    gamma = correlations(codes.labels, codes.labels != UNKNOWN)[names.index(change.label)]
    ranked = [names[i] for i in gamma.argsort(descending=True, stable=True).tolist()]
    usable = [n for n in ranked if n not in change.labels and all(side.has(n).any() for side in both)]
    return usable[:BALANCED]
