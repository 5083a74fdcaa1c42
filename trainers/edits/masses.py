"""Masses of codes (Eq. 2, Sec. 3.2): which labels they balance between source and target, and what that
costs."""

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
        With masses: drawn with replacement in proportion to mass, so that cells keep their shares in every
        batch."""
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
        sides(codes.validation, change, self.masses, self.balanced(codes.train, change))

    def balanced(self, codes: Codes, change: Change) -> list[str]:
        """The labels that are balanced in fact: `balanced_labels`."""
        return balanced_labels(codes, change, self.masses, self.balance)


def sides(codes: Codes, change: Change, masses: Masses, balance: Sequence[str]) -> tuple[Side, Side]:
    """Source and target with masses that balance some labels. Codes of mass 0 are left out, and so are codes
    with an unknown label among these. ValueError if nothing is left."""
    both = [codes.source(change), codes.target(change)]
    if masses == "uniform":
        return Side(both[0].w), Side(both[1].w)
    known = [torch.stack([side.column(name) != UNKNOWN for name in balance], 1).all(1) for side in both]
    both = [side.where(rows) for side, rows in zip(both, known, strict=True)]
    weights = MASSES[masses](*(cells(torch.stack([side.has(name) for name in balance], 1)) for side in both))
    source, target = (
        Side(side.w[mass > 0], normalised(mass[mass > 0])) for side, mass in zip(both, weights, strict=True)
    )
    return source, target


def balanced_labels(codes: Codes, change: Change, masses: Masses, balance: Sequence[str]) -> list[str]:
    """Of the labels `balance` (none: `most_correlated`), in their order, those that masses can balance.

    A label is dropped if with it the effective size of a side falls below LEAST of its codes: a label that
    nearly always goes with the edited one would leave a handful of codes to learn from. ValueError if no
    label is left."""
    if masses == "uniform":
        return []
    wanted = [name for name in balance or most_correlated(codes, change) if name not in change.labels]
    if not wanted:
        raise ValueError(
            f"--masses {masses} needs --balance: labels to balance, other than those of {change.name!r}"
        )
    found = []
    for name in wanted:
        codes.column(name)  # refuses unknown names
        if min(share for share, _ in effective_shares(codes, change, masses, [*found, name])) >= LEAST:
            found.append(name)
    if not found:
        without = (
            f"balancing any of {', '.join(wanted)} leaves less than {LEAST:.0%} of a side of {change.name!r}"
        )
        raise ValueError(f"--masses {masses}: {without}")
    return found


def most_correlated(codes: Codes, change: Change) -> list[str]:
    """The BALANCED labels that are most correlated with the edited one, the most first.

    Labels that one side never has are left out: blond hair is never black, and to leave out all black hair
    would leave only red, gray and no hair to learn from."""
    both, names = (codes.source(change), codes.target(change)), codes.domain.attributes
    gamma = correlations(codes.labels, codes.labels != UNKNOWN)[names.index(change.label)]
    ranked = [names[i] for i in gamma.argsort(descending=True, stable=True).tolist()]
    usable = [
        name for name in ranked if name not in change.labels and all(side.has(name).any() for side in both)
    ]
    return usable[:BALANCED]


def effective_shares(
    codes: Codes, change: Change, masses: Masses, balance: Sequence[str]
) -> list[tuple[float, int]]:
    """For source and target: effective sample size as a fraction of its codes, and the number of codes of
    mass 0. (0, all) for sides without a cell in common."""
    sizes = [len(codes.source(change)), len(codes.target(change))]
    try:
        weighed = sides(codes, change, masses, balance)
    except ValueError:
        return [(0.0, size) for size in sizes]
    return [
        (effective_size(side.mass) / size, size - len(side.w))
        for side, size in zip(weighed, sizes, strict=True)
    ]


def masses_report(codes: Codes, change: Change, masses: Masses, balance: Sequence[str]) -> dict:
    """For config.json: the balanced labels and, for each side, the number of codes, their effective number
    and how many have mass 0. Empty for uniform masses."""
    if masses == "uniform":
        return {}
    sizes = [len(codes.source(change)), len(codes.target(change))]
    source, target = (
        {"codes": size, "effective": round(share * size), "mass_0": lost}
        for size, (share, lost) in zip(sizes, effective_shares(codes, change, masses, balance), strict=True)
    )
    return {"masses": {"balanced": list(balance), "source": source, "target": target}}
