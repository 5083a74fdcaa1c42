"""Metrics against hand-made cases and known formulas."""

import numpy as np
import pytest
import scipy.linalg
import torch

from lwgan.metrics import (
    alpha_at,
    attribute_preservation,
    bootstrap,
    calibrate,
    digits_kept,
    frechet_distance,
    identity_preservation,
    matched,
    rate,
    relative_frechet_distance,
    strengths,
    target_change,
    value_at,
)


def test_wilson_interval_of_the_textbook():
    # Newcombe (1998), Table I: 81 of 263 gives .2553 to .3662; 0 of 20 gives 0 to .1611.
    some = rate(torch.arange(263) < 81)
    assert (
        some.value == pytest.approx(81 / 263)
        and some.low == pytest.approx(0.2553, abs=1e-4)
        and some.high == pytest.approx(0.3662, abs=1e-4)
    )
    none = rate(torch.zeros(20, dtype=torch.bool))
    assert none.low == 0 and none.high == pytest.approx(0.1611, abs=1e-4)


def test_rate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no cases"):
        rate(torch.zeros(0, dtype=torch.bool))


def test_target_change_wants_the_right_count_before_and_after():
    before, after = torch.tensor([1, 1, 2, 1]), torch.tensor([2, 3, 2, 1])
    assert target_change(before, after, 2).tolist() == [True, False, False, False]


def test_digits_kept_blames_the_edit_only_for_what_the_reconstruction_showed():
    def digits(*held):
        return torch.bincount(torch.tensor(held, dtype=torch.long), minlength=10)

    truth = torch.stack([digits(3, 7), digits(3, 7), digits(3, 3), digits(3, 7)])
    before = torch.stack([digits(3, 7), digits(3, 1), digits(3, 3), digits(3, 7)])
    after = torch.stack([digits(3, 7, 9), digits(3, 9, 9), digits(3, 8, 9), digits(7, 7, 3)])
    assert digits_kept(truth, before, after).tolist() == [True, True, False, True]


def test_frechet_distance_of_known_gaussians():
    # N(0, I) against N(m, s^2 I) in d dimensions: |m|^2 + d (1 - s)^2, on samples whose moments are made exact.
    rng = np.random.default_rng(0)
    base = rng.standard_normal((500, 4))
    base = (base - base.mean(0)) @ np.linalg.inv(scipy.linalg.sqrtm(np.cov(base.T)))
    x, y = torch.tensor(base), torch.tensor(3 * base + np.array([1.0, 2.0, 0.0, 0.0]))
    assert frechet_distance(x, y) == pytest.approx(5 + 4 * (1 - 3) ** 2, rel=1e-9)
    assert relative_frechet_distance(y, x) == pytest.approx((5 + 16) / 4, rel=1e-9)


def test_frechet_distance_agrees_with_the_matrix_square_root():
    rng = np.random.default_rng(1)
    x, y = (
        rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6)),
        rng.standard_normal((200, 6)) @ rng.standard_normal((6, 6)) + 1,
    )
    cx, cy = np.cov(x.T), np.cov(y.T)
    want = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(cx + cy - 2 * scipy.linalg.sqrtm(cx @ cy).real)
    assert frechet_distance(torch.tensor(x), torch.tensor(y)) == pytest.approx(want, rel=1e-8)


def test_bootstrap_interval_of_a_mean_is_the_textbooks():
    # Of a large normal sample: mean -+ 1.96 s / sqrt(n). Of a share: Wilson's, to within the chance of 1,000 resamples.
    cases = torch.randn(2000, dtype=torch.float64) * 3 + 5
    found, half = bootstrap(cases), 1.96 * cases.std().item() / 2000**0.5
    assert found.value == pytest.approx(cases.mean().item()) and found.n == 2000
    assert found.low == pytest.approx(found.value - half, abs=0.1 * half) and found.high == pytest.approx(
        found.value + half, abs=0.1 * half
    )
    hits = torch.arange(1000) % 4 == 0
    some, wilson = bootstrap(hits), rate(hits)
    assert (
        some.value == 0.25
        and some.low == pytest.approx(wilson.low, abs=0.004)
        and some.high == pytest.approx(wilson.high, abs=0.004)
    )


def test_bootstrap_draws_whole_rows_and_the_same_ones_again():
    # Each row sums to 1, so that no resampling of rows can change the sum of the column means.
    first = torch.rand(50)
    cases = torch.stack([first, 1 - first], 1)
    total = bootstrap(cases, lambda rows: rows.mean(0).sum())
    assert total.low == pytest.approx(1) and total.high == pytest.approx(1)
    assert bootstrap(cases[:, 0]) == bootstrap(cases[:, 0]) != bootstrap(cases[:, 0], seed=1)


def test_bootstrap_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no cases"):
        bootstrap(torch.zeros(0))
    with pytest.raises(ValueError, match="resamples is 3"):
        bootstrap(torch.zeros(5), resamples=3)


def test_attribute_preservation_leaves_the_edited_one_out():
    before = torch.tensor([[0, 1, 0, 1], [1, 1, 0, 0]]).bool()
    after = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 0]]).bool()
    assert attribute_preservation(before, after, 0).tolist() == [pytest.approx(2 / 3), 1]
    assert attribute_preservation(before, after, 2).tolist() == [pytest.approx(2 / 3), pytest.approx(2 / 3)]


@pytest.mark.parametrize(
    ("before", "after", "edited", "message"),
    [
        (torch.ones(2, 3).bool(), torch.ones(2, 4).bool(), 0, r"\(2, 3\) and after \(2, 4\)"),
        (torch.ones(2, 3), torch.ones(2, 3), 0, "float32 of shape"),
        (
            torch.ones(2, 3).bool(),
            torch.ones(2, 3).bool(),
            3,
            "edited is 3, the readings hold attributes 0 to 2",
        ),
    ],
)
def test_readings_that_do_not_fit_are_refused(before, after, edited, message):
    with pytest.raises(ValueError, match=message):
        attribute_preservation(before, after, edited)


def test_identity_preservation_is_the_cosine():
    before = torch.tensor([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    after = torch.tensor([[3.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert identity_preservation(before, after).tolist() == [1, 0, pytest.approx(0.5**0.5)]
    with pytest.raises(ValueError, match="after: embeddings .* none of them 0"):
        identity_preservation(before, torch.zeros(3, 2))


def test_strengths_reach_from_d_to_2d():
    assert strengths(0.5, 3).tolist() == [0.5, 0.75, 1] and len(strengths(1.0)) == 10
    with pytest.raises(ValueError, match="d is -1"):
        strengths(-1.0)


@pytest.mark.parametrize("need", [0.05, 0.3, 1.0, 3.7])
def test_calibration_finds_the_alpha_that_the_hardest_code_needs(need):
    # Codes on a line that change once they pass 1, each from another start: the last to pass is the one farthest back.
    w = torch.linspace(1 - need, 1, 20, dtype=torch.float64)
    found = calibrate(lambda alpha: (w + alpha >= 1).double().mean().item(), tolerance=0.001)
    assert found == pytest.approx(need, abs=0.0011) and found >= need
    assert (
        calibrate(lambda alpha: (w + alpha >= 1).double().mean().item(), wanted=0.5, tolerance=0.001)
        < 0.6 * need + 0.001
    )


def test_calibration_says_when_no_strength_will_do():
    assert calibrate(lambda alpha: 0.99) is None
    assert calibrate(lambda alpha: 0.99, wanted=0.99) == pytest.approx(0, abs=0.01)
    with pytest.raises(ValueError, match="wanted is 0"):
        calibrate(lambda alpha: 1.0, wanted=0)


def test_methods_are_compared_where_their_curves_reach_the_same_change():
    alphas, change = torch.tensor([0.0, 1.0, 2.0, 4.0]), torch.tensor([0.0, 0.4, 0.8, 0.6])
    kept = torch.tensor([1.0, 0.9, 0.5, 0.1])
    assert alpha_at(alphas, change, 0.6) == pytest.approx(1.5), "the first crossing, not that on the way down"
    assert matched(alphas, change, kept, 0.6) == pytest.approx(0.7)
    assert alpha_at(alphas, change, 0.8) == pytest.approx(2) and alpha_at(alphas, change, 0.0) == 0
    assert alpha_at(alphas, change, 0.81) is None and matched(alphas, change, kept, 0.81) is None
    assert [value_at(alphas, kept, alpha) for alpha in (0.0, 0.5, 3.0, 4.0)] == pytest.approx(
        [1, 0.95, 0.3, 0.1]
    )


@pytest.mark.parametrize(
    ("alphas", "values", "message"),
    [
        ([0.0, 1.0], [0.0, 0.5, 1.0], r"\(2,\) and values \(3,\)"),
        ([0.0, 1.0, 1.0], [0.0, 0.5, 1.0], "at least two, rising"),
        ([0.0, 1.0], [0.0, float("nan")], "must be finite"),
        ([0.0, 1.0], [0.0, 0.5], "alpha is 3, the curve reaches from 0 to 1"),
    ],
)
def test_curves_that_are_none_are_refused(alphas, values, message):
    with pytest.raises(ValueError, match=message):
        value_at(torch.tensor(alphas), torch.tensor(values), 3.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_curve_reaches_its_own_last_point(dtype):
    generator = torch.Generator().manual_seed(0)
    for _ in range(500):
        alphas, change = (torch.rand(5, generator=generator, dtype=dtype).cumsum(0) for _ in range(2))
        assert matched(alphas, change, change, float(change[-1])) == pytest.approx(
            float(change[-1]), rel=1e-6
        )


def test_a_calibration_on_nonsense_is_refused():
    with pytest.raises(ValueError, match=r"at alpha 0.25 the target change is nan"):
        calibrate(lambda alpha: float("nan"))
    with pytest.raises(ValueError, match="tolerance is 0"):
        calibrate(lambda alpha: 1.0, tolerance=0)
