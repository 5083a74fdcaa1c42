"""Metrics against hand-made cases and known formulas."""

import numpy as np
import pytest
import scipy.linalg
import torch

from lwgan.metrics import digits_kept, frechet_distance, rate, relative_frechet_distance, target_change


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
    x, y = rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6)), rng.standard_normal((200, 6)) @ rng.standard_normal((6, 6)) + 1
    cx, cy = np.cov(x.T), np.cov(y.T)
    want = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(cx + cy - 2 * scipy.linalg.sqrtm(cx @ cy).real)
    assert frechet_distance(torch.tensor(x), torch.tensor(y)) == pytest.approx(want, rel=1e-8)
