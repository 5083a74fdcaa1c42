"""Eqs. 2-5 against exact transport (POT), closed forms, finite differences and sums written out."""

import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lwgan.costs import attribute_space, correlations, latent_space, median_distance
from lwgan.losses import edit_loss, objective, preservation_loss, wasserstein
from lwgan.measures import MASSES, cells, effective_size, normalised


def clouds(n=40, m=60, dim=3, dtype=torch.float64):
    """Two clouds whose laws differ, with uneven masses."""
    x, y = torch.randn(n, dim, dtype=dtype), 0.7 * torch.randn(m, dim, dtype=dtype) + 0.5
    return (
        x,
        y,
        normalised(torch.rand(n, dtype=torch.float64)),
        normalised(torch.rand(m, dtype=torch.float64)),
    )


def exact(x, y, a, b) -> float:
    """POT's exact transport cost for 1/2 |x - y|^2."""
    return ot.emd2(a.numpy(), b.numpy(), ot.dist(x.double().numpy(), y.double().numpy()) / 2)


# Eq. 3, the value


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_small_blur_gives_exact_transport(dtype):
    x, y, a, b = clouds(dtype=dtype)
    assert wasserstein(x, y, a, b, blur=1e-3, scaling=0.99).item() == pytest.approx(
        exact(x, y, a, b), rel=3e-3
    )
    assert wasserstein(x, y, a, b, blur=1e-3).item() == pytest.approx(
        exact(x, y, a, b), rel=3e-2
    )  # fewer iterations by default


def test_equal_masses_are_the_default():
    x, y, _, _ = clouds()
    a, b = torch.full((40,), 1 / 40), torch.full((60,), 1 / 60)
    assert wasserstein(x, y, blur=0.1).item() == pytest.approx(
        wasserstein(x, y, a, b, blur=0.1).item(), rel=1e-6
    )


@pytest.mark.parametrize("blur", [1e-3, 0.5, 20.0])
def test_translated_cloud_costs_half_the_squared_shift(blur):
    x, shift = torch.randn(50, 8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    assert wasserstein(x, x + shift, blur=blur).item() == pytest.approx(
        shift.square().sum().item() / 2, rel=1e-3
    )


def test_huge_blur_compares_the_means():
    x, y, a, b = clouds()
    gap = (a[:, None] * x).sum(0) - (b[:, None] * y).sum(0)
    assert wasserstein(x, y, a, b, blur=100.0).item() == pytest.approx(
        gap.square().sum().item() / 2, rel=1e-3
    )


def test_cloud_is_at_distance_zero_from_itself():
    x, _, a, _ = clouds()
    assert abs(wasserstein(x, x, a, a, blur=0.3).item()) < 1e-9


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(-50, 50), blur=st.floats(0.05, 5))
def test_symmetric_and_invariant_under_common_translation(seed, shift, blur):
    torch.manual_seed(seed)
    x, y, a, b = clouds(12, 15)
    value = wasserstein(x, y, a, b, blur=blur).item()
    assert wasserstein(y, x, b, a, blur=blur).item() == pytest.approx(value, rel=1e-6, abs=1e-9)
    assert wasserstein(x + shift, y + shift, a, b, blur=blur).item() == pytest.approx(
        value, rel=1e-6, abs=1e-9
    )


def test_single_precision_keeps_its_digits_far_from_the_origin():
    """Codes have norms far above the blur; the cost must not lose it in cancellation."""
    x, y, a, b = clouds()
    far = torch.tensor([300.0, -200.0, 100.0])
    value = wasserstein((x + far).float(), (y + far).float(), a, b, blur=0.05).item()
    assert value == pytest.approx(wasserstein(x, y, a, b, blur=0.05).item(), rel=1e-3)


@pytest.mark.parametrize("blur", [1e-3, 1.0])
def test_points_that_all_coincide(blur):
    assert wasserstein(torch.ones(3, 2), torch.ones(5, 2), blur=blur).item() == 0
    here, there = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])
    assert wasserstein(here, there, blur=blur).item() == pytest.approx(12.5, rel=1e-5)


def test_points_of_mass_zero_count_for_nothing():
    x, y, a, b = clouds(20, 20)
    y_more, b_more = torch.cat([y, x[:5] + 1e-3, 9 * x[:2]]).requires_grad_(), torch.cat([b, torch.zeros(7)])
    value = wasserstein(x, y_more, a, b_more, blur=1e-2, scaling=0.98)
    assert value.item() == pytest.approx(exact(x, y, a, b), rel=1e-2)
    assert (torch.autograd.grad(value, y_more)[0][20:] == 0).all()


# Eq. 3, the gradient


@pytest.mark.parametrize("blur", [0.3, 1.0])
def test_gradient_agrees_with_finite_differences(blur):
    x, y, a, b = clouds(15, 20)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(wasserstein(x, y, a, b, blur=blur, scaling=0.98), x)
    for _ in range(3):
        step = 1e-4 * torch.nn.functional.normalize(torch.randn_like(x).flatten(), dim=0).view_as(x)
        with torch.no_grad():
            rise = wasserstein(x + step, y, a, b, blur=blur, scaling=0.98) - wasserstein(
                x - step, y, a, b, blur=blur, scaling=0.98
            )
        assert (gradient * step).sum().item() == pytest.approx(rise.item() / 2, rel=2e-2, abs=1e-7)


def test_gradient_of_a_translated_cloud_is_its_share_of_the_shift():
    x, shift = (
        torch.randn(30, 4, dtype=torch.float64),
        torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64),
    )
    moved = (x + shift).requires_grad_()
    (gradient,) = torch.autograd.grad(wasserstein(moved, x, blur=1e-3, scaling=0.95), moved)
    assert torch.allclose(gradient, (shift / 30).expand_as(gradient), atol=1e-4)


@pytest.mark.parametrize("enabled", [True, False])
def test_gradient_switch_is_left_as_it_was(enabled):
    x, y, a, b = clouds()
    with torch.set_grad_enabled(enabled):
        value = wasserstein(x.requires_grad_(), y, a, b, blur=0.5)
        assert torch.is_grad_enabled() is enabled
    assert value.requires_grad is enabled


# Refusals


@pytest.mark.parametrize(
    ("mass", "message"),
    [
        (torch.full((40,), 2 / 40), r"b sums to 2"),
        (torch.full((40,), 1.01 / 40), r"b sums to 1\.01"),
        (torch.zeros(40), r"b sums to 0"),
        (torch.cat([torch.tensor([-0.25, 0.25]), torch.full((38,), 1 / 38)]), r"b holds -0\.25"),
        (torch.cat([torch.tensor([math.nan]), torch.full((39,), 1 / 39)]), r"b holds nan"),
        (torch.cat([torch.tensor([math.inf]), torch.full((39,), 1 / 39)]), r"b holds inf"),
        (torch.full((39,), 1 / 39), r"b has shape \(39,\), expected \[40\]"),
        (torch.full((40, 1), 1 / 40), r"b has shape \(40, 1\)"),
    ],
)
def test_bad_masses_are_refused_by_name_and_value(mass, message):
    x = torch.randn(40, 3)
    with pytest.raises(ValueError, match=message):
        wasserstein(x, x, b=mass, blur=0.1)
    with pytest.raises(ValueError, match=message.replace("b ", "a ", 1)):
        wasserstein(x, x, a=mass, blur=0.1)


def test_masses_off_by_rounding_are_put_right():
    x, y, a, b = clouds()
    assert wasserstein(x, y, a * (1 + 5e-5), b, blur=0.1).item() == pytest.approx(
        wasserstein(x, y, a, b, blur=0.1).item(), rel=1e-9
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blur": 0.0}, "blur is 0"),
        ({"blur": -1.0}, "blur is -1"),
        ({"blur": math.nan}, "blur is nan"),
        ({"scaling": 1.0}, "scaling is 1"),
        ({"y": torch.zeros(5, 4)}, r"x has shape \(5, 3\) and y \(5, 4\)"),
        ({"y": torch.zeros(0, 3)}, r"y \(0, 3\)"),
        ({"x": torch.zeros(5, 1, 3)}, r"x has shape \(5, 1, 3\)"),
        ({"x": torch.full((5, 3), math.nan)}, "x holds NaN"),
        ({"y": torch.full((5, 3), math.inf)}, "holds NaN or infinite"),
    ],
)
def test_other_bad_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        wasserstein(**{"x": torch.zeros(5, 3), "y": torch.ones(5, 3), "blur": 0.1} | change)


# Eq. 2


def example_of_the_method():
    """method: 300 + 100 source samples, 40 + 160 target samples, of two cells that lie 4 apart on a nuisance axis."""
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
    plan = ot.emd(a.numpy(), b.numpy(), ot.dist(x.double().numpy(), y.double().numpy()) / 2)
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
            with pytest.raises(ValueError, match="nothing to match"):
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
    """Of independent samples of equal variance, the difference of two weighed means varies as sum a^2 + sum b^2 (Li, Morgan, Zaslavsky 2018).
    wanted: any other masses of the four cells."""
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


# Eqs. 4 and 5


def test_edit_loss_is_transport_between_whole_codes():
    edited, target = torch.randn(12, 3, 4, dtype=torch.float64), torch.randn(9, 3, 4, dtype=torch.float64)
    a, b = normalised(torch.rand(12, dtype=torch.float64)), normalised(torch.rand(9, dtype=torch.float64))
    cost = np.array(
        [
            [
                0.5
                * sum((x - y) ** 2 for x, y in zip(w.flatten().tolist(), v.flatten().tolist(), strict=True))
                for v in target
            ]
            for w in edited
        ]
    )
    assert edit_loss(edited, target, a, b, blur=1e-3).item() == pytest.approx(
        ot.emd2(a.numpy(), b.numpy(), cost), rel=3e-2
    )
    assert latent_space(edited).shape == (12, 12)


def test_preservation_cost_is_the_sum_of_equation_5():
    """One point a side: the transport cost is the ground cost, written out here by a loop."""
    F_x, F_y, gamma, k = torch.randn(6).double(), torch.randn(6).double(), torch.rand(6).double(), 2
    gamma[k] = 1.0
    written_out = 0.5 * sum((1 - gamma[l].item()) * (F_x[l] - F_y[l]).item() ** 2 for l in range(6) if l != k)
    assert preservation_loss(F_x[None], F_y[None], gamma, blur=0.1).item() == pytest.approx(
        written_out, rel=1e-6
    )
    x, y = attribute_space(F_x[None], gamma), attribute_space(F_y[None], gamma)
    assert ((x - y).square().sum() / 2).item() == pytest.approx(written_out, rel=1e-9)


def test_preservation_uses_the_same_masses_on_both_sides():
    edited, source, gamma = (
        torch.randn(15, 4).double(),
        torch.randn(15, 4).double(),
        torch.tensor([1.0, 0.3, 0.0, 0.6]),
    )
    a = normalised(torch.rand(15, dtype=torch.float64))
    cost = sum((1 - gamma[l].item()) * (edited[:, None, l] - source[None, :, l]) ** 2 for l in range(4)) / 2
    assert preservation_loss(edited, source, gamma, a, blur=1e-3).item() == pytest.approx(
        ot.emd2(a.numpy(), a.numpy(), cost.numpy()), rel=3e-2
    )
    assert preservation_loss(source, source, gamma, a, blur=0.5).item() == pytest.approx(0, abs=1e-9)


def test_objective_adds_the_weighted_terms():
    source, target, classifier = (
        torch.randn(10, 2, 3),
        torch.randn(8, 2, 3),
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 4)),
    )
    edited, gamma = source + 0.3, torch.tensor([1.0, 0.2, 0.4, 0.0])
    found = objective(
        edited,
        source,
        target,
        blur=0.5,
        classifier=classifier,
        gamma=gamma,
        preservation_weight=15.0,
        logit_blur=0.2,
    )
    assert found.edit.item() == edit_loss(edited, target, blur=0.5).item()
    assert (
        found.preservation.item()
        == preservation_loss(classifier(edited), classifier(source), gamma, blur=0.2).item()
        > 0
    )
    assert found.total.item() == pytest.approx(found.edit.item() + 15 * found.preservation.item())
    alone = objective(edited, source, target, blur=0.5)
    assert alone.total.item() == alone.edit.item() and alone.preservation.item() == 0
    with pytest.raises(ValueError, match="no classifier"):
        objective(edited, source, target, blur=0.5, preservation_weight=1.0)


def test_correlations_are_numpys_but_for_constant_labels():
    labels = torch.rand(50, 5) < torch.tensor([0.5, 0.2, 0.8, 0.5, 0.5])
    labels[:, 4] = ~labels[:, 0]
    assert np.allclose(correlations(labels), np.abs(np.corrcoef(labels.numpy().T)), atol=1e-12)
    labels[:, 1] = True
    gamma = correlations(labels)
    assert gamma[1].tolist() == [0, 1, 0, 0, 0] and (gamma.diagonal() == 1).all()
    assert gamma[0, 4].item() == pytest.approx(1)  # an attribute and its opposite


def test_attribute_space_refuses_what_is_no_correlation():
    with pytest.raises(ValueError, match=r"from -0\.5 to 1"):
        attribute_space(torch.zeros(2, 3), torch.tensor([1.0, -0.5, 0.0]))
    with pytest.raises(ValueError, match=r"gamma of \(4,\)"):
        attribute_space(torch.zeros(2, 3), torch.zeros(4))


def test_median_distance():
    x, y = torch.tensor([[0.0], [1.0]]) + 1000, torch.tensor([[1.0], [3.0], [8.0]]) + 1000
    assert median_distance(x, y) == pytest.approx(
        2
    )  # of 0 1 2 3 7 8, torch takes the lower of the two in the middle
    many = torch.randn(5000, 20)
    assert median_distance(many, many) == pytest.approx(torch.cdist(many, many).median().item(), rel=1e-2)
