"""Eq. 2: the masses a_i of the source codes and b_j of the target codes.

mu_s = sum_i a_i delta(w_i) and mu_t = sum_j b_j delta(w_j) are compared as distributions. An attribute that
is correlated with the edited one in the data (Sec. 3.2) differs between them and would be edited too; masses
undo that. The *cell* of a sample is its combination A of such attributes. A cell has n_s source samples and
n_t target samples.

    name       a_i proportional to   b_j proportional to
    uniform    1                     1
    printed    1 / (n_t n_s)         1                     the formula as the paper prints it
    match      n_t / n_s             1                     "according to the number of similar samples in the
                                                           target", as its text describes it
    overlap    n_t / (n_s + n_t)     n_s / (n_s + n_t)     not in the paper: the overlap weights of Li, Morgan
                                                           and Zaslavsky (2018)
    balanced   1 / n_s               1 / n_t               every cell weighs the same, on both sides

`match`, `overlap` and `balanced` give each cell the same mass on both sides, so that transport can stay
within cells. Of all such masses, `overlap` gives the mean shift the least variance if codes vary alike.
`printed` gives the source the inverse of the target's proportions. The paper's two texts do not settle which
was used. Except with `uniform`, samples whose cell is empty on the other side have mass 0."""

from functools import partial

import torch
from torch import Tensor

_ONE = lambda own, other: torch.ones_like(own)
# Of a_i and b_j. own, other: the numbers of samples in a sample's cell on its own and on the other side.
_FORMULAS = {
    "uniform": (_ONE, _ONE),
    "printed": (lambda own, other: 1 / (own * other), _ONE),
    "match": (lambda own, other: other / own, _ONE),
    "overlap": (lambda own, other: other / (own + other),) * 2,
    "balanced": (lambda own, other: 1 / own,) * 2,
}


def masses(name: str, source_cells: Tensor, target_cells: Tensor) -> tuple[Tensor, Tensor]:
    """Masses by a formula of the table: cells int [N] and [M] -> float64 [N] and [M], each summing to 1.
    ValueError for cells that are no integers, no samples, and (but for `uniform`) without a common cell."""
    source, target = _checked("source_cells", source_cells), _checked("target_cells", target_cells)
    known, cell = torch.cat([source, target]).unique(return_inverse=True)
    cell = cell.split([len(source), len(target)])
    n_s, n_t = (torch.bincount(part, minlength=len(known)).double() for part in cell)
    if name == "uniform":
        return normalised(torch.ones_like(source).double()), normalised(torch.ones_like(target).double())
    if not (n_s * n_t).any():
        counts = int((n_s > 0).sum()), int((n_t > 0).sum())
        raise ValueError("none of the source's {} cells occurs in the target's {}".format(*counts))
    found = []
    for formula, part, own, other in zip(_FORMULAS[name], cell, (n_s, n_t), (n_t, n_s), strict=True):
        own, other = own[part], other[part]
        found.append(normalised(torch.where(other > 0, formula(own, other), 0.0)))
    return found[0], found[1]


MASSES = {name: partial(masses, name) for name in _FORMULAS}


def cells(labels: Tensor) -> Tensor:
    """The cell of each sample: labels bool [N, m] of the chosen attributes -> int64 [N] in 0..2^m - 1."""
    labels = torch.as_tensor(labels)
    if labels.ndim != 2 or labels.shape[1] > 62:
        raise ValueError(f"labels have shape {tuple(labels.shape)}, expected [N, m] with m <= 62")
    return (labels.bool().long() << torch.arange(labels.shape[1])).sum(1)


def normalised(mass: Tensor) -> Tensor:
    """Masses scaled to sum to 1. ValueError if all are 0."""
    total = mass.sum()
    if not total > 0:
        raise ValueError(f"{len(mass)} masses sum to {total.item():g}: no sample has any")
    return mass / total


def effective_size(mass: Tensor) -> float:
    """Effective sample size (sum a)^2 / sum a^2: from 1 (one sample has all the mass) to N (equal masses)."""
    return (mass.sum().square() / mass.square().sum()).item()


def _checked(name: str, cells: Tensor) -> Tensor:
    cells = torch.as_tensor(cells)
    if cells.ndim != 1 or len(cells) == 0 or cells.is_floating_point():
        found = f"{cells.dtype} of shape {tuple(cells.shape)}"
        raise ValueError(f"{name}: {found}, expected one integer for each of at least one sample")
    return cells.long()
