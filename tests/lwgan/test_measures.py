"""Eq. 2: masses against counts and exact transport (POT)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lwgan.losses import wasserstein
from lwgan.measures import MASSES, cells, effective_size
from tests.pot import ot


def example_of_the_method():
    """method: 300 + 100 source samples, 40 + 160 target samples, of two cells that lie 4 apart on a nuisance
    axis."""
    source, target = torch.tensor([0] * 300 + [1] * 100), torch.tensor([0] * 40 + [1] * 160)
    return source, target


SHARED = (300 * 40 / 340) / (300 * 40 / 340 + 100 * 160 / 260)


@pytest.mark.parametrize(
    ("name", "source_share", "target_share", "forced"),
    [
        ("uniform", 0.75, 0.2, 0.55),
        ("printed", 0.8, 0.2, 0.6),
        ("match", 0.2, 0.2, 0.0),
        ("overlap", SHARED, SHARED, 0.0),
        ("balanced", 0.5, 0.5, 0.0),
    ],
)
def test_mass_that_must_change_cell(name, source_share, target_share, forced):
    source, target = example_of_the_method()
    a, b = MASSES[name](source, target)
    assert a.sum().item() == pytest.approx(1, abs=1e-12) and b.sum().item() == pytest.approx(1, abs=1e-12)
    assert a[source == 0].sum().item() == pytest.approx(source_share)
    assert b[target == 0].sum().item() == pytest.approx(target_share)
    x, y = 4.0 * source[:, None], 4.0 * target[:, None]
    plan = ot().emd(a.numpy(), b.numpy(), ot().dist(x.double().numpy(), y.double().numpy()) / 2)
    assert plan[source.numpy()[:, None] != target.numpy()].sum() == pytest.approx(forced, abs=1e-9)
    # The loss pays 1/2 4^2 for every unit of mass that is forced across.
    assert wasserstein(x, y, a, b, blur=0.01).item() == pytest.approx(8 * forced, rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("name", ["printed", "match", "overlap", "balanced"])
def test_cells_of_one_side_only_weigh_nothing(name):
    source, target = torch.tensor([0, 0, 1, 7]), torch.tensor([0, 1, 1, 9, 9])
    a, b = MASSES[name](source, target)
    assert a[3] == 0 and (b[3:] == 0).all()
    assert (a[:3] > 0).all() and (b[:3] > 0).all()
    assert a.sum().item() == pytest.approx(1) and b.sum().item() == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(
    source=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    target=st.lists(st.integers(0, 3), min_size=1, max_size=30),
)
def test_all_but_uniform_and_printed_give_every_cell_the_same_mass_on_both_sides(source, target):
    source, target = torch.tensor(source), torch.tensor(target)
    for name in ("match", "overlap", "balanced"):
        if not set(source.tolist()) & set(target.tolist()):
            with pytest.raises(ValueError, match="occurs in the target"):
                MASSES[name](source, target)
            continue
        a, b = MASSES[name](source, target)
        for cell in range(4):
            assert a[source == cell].sum().item() == pytest.approx(b[target == cell].sum().item(), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    source=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    target=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    wanted=st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
)
def test_of_masses_equal_on_both_sides_overlap_lets_the_mean_shift_vary_least(source, target, wanted):
    """Of independent samples of equal variance, the difference of two weighed means varies as sum a^2 + sum
    b^2 (Li, Morgan, Zaslavsky 2018). wanted: any other masses of the four cells."""
    source, target, wanted = torch.tensor(source), torch.tensor(target), torch.tensor(wanted)
    if both := sorted(set(source.tolist()) & set(target.tolist())):
        other = torch.zeros(4).index_copy(0, torch.tensor(both), wanted[both] / wanted[both].sum())
        varies = lambda *masses: sum(mass.square().sum().item() for mass in masses)
        spread = [other[side] / torch.bincount(side, minlength=4)[side] for side in (source, target)]
        assert varies(*MASSES["overlap"](source, target)) <= varies(*spread) + 1e-6


def test_cells_tell_combinations_apart():
    labels = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1], [1, 0]], dtype=torch.bool)
    assert cells(labels).tolist() == [0, 1, 2, 3, 1]
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        cells(labels[:, 0])


def test_effective_size_counts_equal_masses():
    assert effective_size(torch.full((25,), 0.04)) == pytest.approx(25, rel=1e-4)
    assert effective_size(torch.tensor([1.0, 0.0, 0.0])) == 1


@pytest.mark.parametrize(
    "bad", [torch.zeros(0, dtype=torch.long), torch.zeros(3, 2, dtype=torch.long), torch.zeros(3)]
)
def test_bad_cells_are_refused(bad):
    with pytest.raises(ValueError, match="target_cells"):
        MASSES["match"](torch.zeros(3, dtype=torch.long), bad)
