"""Eqs. 3-5 and partial transport against exact transport (POT), closed forms, finite differences and sums
written out."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lwgan.costs import attribute_space, latent_space, median_distance
from lwgan.losses import edit_loss, partial_transport, preservation_loss, wasserstein
from lwgan.measures import normalised
from tests.pot import ot


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
    return ot().emd2(a.numpy(), b.numpy(), ot().dist(x.double().numpy(), y.double().numpy()) / 2)


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


def test_gradient_at_the_default_scaling_is_as_far_off_as_the_docstring_says():
    """Against scaling .995: small blurs far off, larger ones near. The value is near for both."""
    x, y = torch.randn(120, 20, dtype=torch.float64), torch.randn(120, 20, dtype=torch.float64) + 0.3
    x.requires_grad_()
    for blur, least, most in ((0.03, 0.1, 0.5), (0.3, 0.0, 0.03)):
        blur = blur * median_distance(x.detach(), y)
        values = [wasserstein(x, y, blur=blur, **options) for options in ({}, {"scaling": 0.995})]
        gradients = [torch.autograd.grad(value, x)[0] for value in values]
        error = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
        assert least < error < most
        assert values[0].item() == pytest.approx(values[1].item(), rel=0.02)


@pytest.mark.parametrize(("n", "blur", "narrower"), [(50, 0.03, True), (50, 1.0, True), (400, 1.0, False)])
def test_between_small_batches_a_narrower_cloud_has_the_smaller_loss(n, blur, narrower):
    """Two clouds of one law, one of them shrunk about its mean to .7 of its width."""
    x, y = torch.randn(n, 10), torch.randn(n, 10)
    loss = lambda width: wasserstein(width * x, y, blur=blur * median_distance(x, y)).item()
    assert (loss(0.7) < loss(1.0)) is narrower


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
        ({"blur": 1e-6, "y": torch.rand(5, 3)}, r"blur is 1e-06: .*float32, at least"),
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


# Partial transport


def brute_force(x, y, skip: int = 0) -> float:
    """The least mean cost over all ways to give all rows of x but `skip` distinct rows of y."""
    cost = torch.cdist(x.flatten(1), y.flatten(1)).square() / 2
    ways = (
        sum(cost[i, j] for i, j in zip(rows, columns, strict=True)).item()
        for rows in itertools.combinations(range(len(x)), len(x) - skip)
        for columns in itertools.permutations(range(len(y)), len(x) - skip)
    )
    return min(ways) / (len(x) - skip)


@pytest.mark.parametrize("skip", [0, 2])
def test_partial_transport_is_the_best_of_all_assignments(skip):
    x, y = torch.randn(5, 2, 3, dtype=torch.float64), torch.randn(8, 2, 3, dtype=torch.float64) + 0.5
    assert partial_transport(x, y, skip / 5).item() == pytest.approx(brute_force(x, y, skip), rel=1e-9)


def test_partial_transport_of_equal_numbers_is_the_exact_cost():
    x, y = torch.randn(30, 2, 3, dtype=torch.float64), torch.randn(30, 2, 3, dtype=torch.float64) + 0.5
    equal = torch.full((30,), 1 / 30, dtype=torch.float64)
    assert partial_transport(x, y).item() == pytest.approx(
        exact(x.flatten(1), y.flatten(1), equal, equal), rel=1e-9
    )


def test_partial_transport_with_many_targets_goes_to_the_nearest():
    x, y = torch.randn(6, 2, 3), torch.randn(9, 2, 3)
    nearest = torch.cdist(x.flatten(1), y.flatten(1)).min(1).values.square().mean().item() / 2
    assert partial_transport(x, y.repeat(6, 1, 1)).item() == pytest.approx(nearest, rel=1e-5)


@pytest.mark.parametrize("skip", [0.0, 0.4])
def test_partial_transport_gradient_agrees_with_finite_differences(skip):
    x = torch.randn(10, 2, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randn(16, 2, 3, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(partial_transport(x, y, skip), x)
    for _ in range(5):
        step = 1e-5 * torch.randn_like(x)
        with torch.no_grad():
            rise = partial_transport(x + step, y, skip) - partial_transport(x - step, y, skip)
        assert (gradient * step).sum().item() == pytest.approx(rise.item() / 2, rel=1e-4, abs=1e-12)


def test_partial_transport_of_codes_of_w_takes_a_shorter_way_to_the_same_plan():
    """Targets whose layers are equal, and the same codes as one long layer, for which there is no shorter
    way."""
    x, y = torch.randn(20, 4, 3), torch.randn(30, 1, 3).expand(-1, 4, -1)
    long = partial_transport(x.reshape(20, 1, 12), y.reshape(30, 1, 12), 0.25)
    assert partial_transport(x, y, 0.25).item() == pytest.approx(long.item(), rel=1e-5)


def test_partial_transport_of_one_code_and_of_ties():
    assert partial_transport(torch.zeros(1, 1, 2), torch.tensor([[[3.0, 4.0]]])).item() == 12.5
    assert partial_transport(torch.ones(4, 2, 3), torch.ones(7, 2, 3), 0.5).item() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": torch.zeros(4, 2, 3)}, "4 target codes for 5 edited codes: expected no fewer"),
        ({"target": torch.zeros(8, 2, 4)}, r"edited has shape \(5, 2, 3\) and target \(8, 2, 4\)"),
        ({"edited": torch.zeros(5, 3)}, r"edited has shape \(5, 3\)"),
        ({"edited": torch.zeros(0, 2, 3)}, r"edited has shape \(0, 2, 3\)"),
        ({"edited": torch.full((5, 2, 3), math.nan)}, "NaN or infinite"),
        ({"target": torch.full((8, 2, 3), math.inf)}, "NaN or infinite"),
        ({"skip": 1.0}, r"skip is 1\.0"),
        ({"skip": -0.1}, r"skip is -0\.1"),
        ({"skip": 0.95}, "skip is 0.95: .* leaves some codes"),
    ],
)
def test_partial_transport_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        partial_transport(**{"edited": torch.zeros(5, 2, 3), "target": torch.ones(8, 2, 3)} | change)


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
        ot().emd2(a.numpy(), b.numpy(), cost), rel=3e-2
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
        ot().emd2(a.numpy(), a.numpy(), cost.numpy()), rel=3e-2
    )
    assert preservation_loss(source, source, gamma, a, blur=0.5).item() == pytest.approx(0, abs=1e-9)


def test_scaling_reaches_the_loss():
    x, y = torch.randn(60, 1, 8), torch.randn(60, 1, 8) + 1
    near, far = (edit_loss(x, y, blur=0.05, scaling=scaling).item() for scaling in (0.95, 0.3))
    assert near == wasserstein(x[:, 0], y[:, 0], blur=0.05, scaling=0.95).item() != far
