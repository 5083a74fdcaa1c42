"""Eq. 2: the masses a_i of the source codes and b_j of the target codes.

mu_s = sum_i a_i delta(w_i) and mu_t = sum_j b_j delta(w_j) are compared as distributions, so an attribute
that is correlated with the edited one in the data (Sec. 3.2) differs between them and would be edited too.
Masses undo that: a sample's *cell* is its combination A of such attributes, n_s and n_t count a cell's source
and target samples, and

    name       a_i proportional to   b_j proportional to
    uniform    1                     1
    printed    1 / (n_t n_s)         1                     the formula as printed in the paper
    match      n_t / n_s             1                     the formula that its text describes: "according to
    the number
                                                           of similar samples in the target"
    overlap    n_t / (n_s + n_t)     n_s / (n_s + n_t)     not in the paper: a cell weighs n_s n_t / (n_s +
    n_t) on both
                                                           sides, little where it is rare on either. The
                                                           overlap weights of Li, Morgan and Zaslavsky (2018):
                                                           of all masses that give a cell the same on both
                                                           sides those with which the mean shift varies least,
                                                           if codes vary alike
    balanced   1 / n_s               1 / n_t               every cell weighs the same, on both sides

`match`, `overlap` and `balanced` give each cell the same mass on both sides, so that no mass has to change
cell; `printed` gives the source the inverse of the target's proportions. The two texts of the paper do not
settle which was used. Except in `uniform`, samples whose cell has no counterpart on the other side weigh 0:
nothing there resembles them."""

import torch
from torch import Tensor


def uniform(source_cells: Tensor, target_cells: Tensor) -> tuple[Tensor, Tensor]:
    """Every sample weighs the same."""
    source, target = _checked(source_cells, target_cells)
    return normalised(torch.ones(len(source)).double()), normalised(torch.ones(len(target)).double())


def printed(source_cells: Tensor, target_cells: Tensor) -> tuple[Tensor, Tensor]:
    """a_i = 1 / (n_t n_s), Sec. 3.2 as printed."""
    (n_s, n_t), (m_s, _) = _counts(source_cells, target_cells)
    return _shared(1 / (n_t * n_s), n_t > 0), _shared(torch.ones(len(m_s)), m_s > 0)


def match(source_cells: Tensor, target_cells: Tensor) -> tuple[Tensor, Tensor]:
    """a_i = n_t / n_s: the source's cells take the target's proportions."""
    (n_s, n_t), (m_s, _) = _counts(source_cells, target_cells)
    return _shared(n_t / n_s, n_t > 0), _shared(torch.ones(len(m_s)), m_s > 0)


def overlap(source_cells: Tensor, target_cells: Tensor) -> tuple[Tensor, Tensor]:
    """a_i = n_t / (n_s + n_t) and b_j = n_s / (n_s + n_t): a sample weighs as much as the other side's share
    of its cell (before they are normalised), never more than 1, however rare the cell."""
    (n_s, n_t), (m_s, m_t) = _counts(source_cells, target_cells)
    return _shared(n_t / (n_s + n_t), n_t > 0), _shared(m_s / (m_s + m_t), m_s > 0)


def balanced(source_cells: Tensor, target_cells: Tensor) -> tuple[Tensor, Tensor]:
    """a_i = 1 / n_s and b_j = 1 / n_t. A rare cell weighs as much as a common one: look at
    `effective_size`."""
    (n_s, n_t), (m_s, m_t) = _counts(source_cells, target_cells)
    return _shared(1 / n_s, n_t > 0), _shared(1 / m_t, m_s > 0)


MASSES = {"uniform": uniform, "printed": printed, "match": match, "overlap": overlap, "balanced": balanced}


def cells(labels: Tensor) -> Tensor:
    """The cell of each sample: labels bool [N, m] of the chosen attributes -> int64 [N] in 0..2^m - 1."""
    labels = torch.as_tensor(labels)
    if labels.ndim != 2 or labels.shape[1] > 62:
        raise ValueError(f"labels have shape {tuple(labels.shape)}, expected [N, m] with m <= 62")
    return (labels.bool().long() << torch.arange(labels.shape[1])).sum(1)


def normalised(mass: Tensor) -> Tensor:
    """The masses scaled to sum to 1, also those of a batch cut out of a larger set. ValueError if they are
    all 0."""
    total = mass.sum()
    if not total > 0:
        raise ValueError(f"{len(mass)} masses sum to {total.item():g}: no sample weighs anything")
    return mass / total


def effective_size(mass: Tensor) -> float:
    """How many equal masses would vary as much: (sum a)^2 / sum a^2, from 1 (one sample has it all) to N."""
    return (mass.sum().square() / mass.square().sum()).item()


def _counts(
    source_cells: Tensor, target_cells: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """For each source sample, then for each target sample: how many of the source and of the target share its
    cell."""
    source, target = _checked(source_cells, target_cells)
    found, cell = torch.cat([source, target]).unique(return_inverse=True)
    of_source, of_target = cell.split([len(source), len(target)])
    n_s, n_t = (torch.bincount(part, minlength=len(found)).double() for part in (of_source, of_target))
    if not (n_s * n_t).any():
        cells = f"the source's {int((n_s > 0).sum())} cells occurs in the target's {int((n_t > 0).sum())}"
        raise ValueError(f"none of {cells}: nothing to match")
    return (n_s[of_source], n_t[of_source]), (n_s[of_target], n_t[of_target])


def _checked(source_cells: Tensor, target_cells: Tensor) -> tuple[Tensor, Tensor]:
    source, target = torch.as_tensor(source_cells), torch.as_tensor(target_cells)
    for name, held in (("source_cells", source), ("target_cells", target)):
        if held.ndim != 1 or len(held) == 0 or held.is_floating_point():
            found = f"{held.dtype} of shape {tuple(held.shape)}"
            raise ValueError(f"{name}: {found}, expected one integer for each of at least one sample")
    return source.long(), target.long()


def _shared(mass: Tensor, shared: Tensor) -> Tensor:
    """Normalised masses, 0 where the other side has no such cell."""
    return normalised(torch.where(shared, mass.double(), 0.0))
