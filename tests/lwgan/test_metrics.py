"""Figures of edits against hand-made cases and known formulas."""

import numpy as np
import pytest
import scipy.linalg
import torch

from lwgan.domain import Change, change_of
from lwgan.metrics import (
    alpha_at,
    calibrate,
    frechet_distance,
    identity_preservation,
    kept_labels,
    readings,
    relative_frechet_distance,
    value_at,
)

NAMES = ("Hat", "Beard", "Smile")
HAT = change_of("Hat")


def read(*rows: str) -> torch.Tensor:
    """ "101" -> has the first and the third label."""
    return torch.tensor([[mark == "1" for mark in row] for row in rows])


def means(figures: dict) -> dict:
    return {key: value.double().mean().item() for key, value in figures.items()}


def test_figures_of_a_label_that_comes():
    before = read("000", "011", "010", "110")  # the last has its hat already
    after = read("100", "110", "011", "100")
    found = means(readings(before, after, NAMES, HAT))
    assert found["target_change"] == pytest.approx(2 / 3)  # of the three without a hat
    assert found["others_kept"] == pytest.approx((1 + 0.5 + 0.5 + 0.5) / 4)  # of all pictures
    assert found["all_kept"] == 0.5  # of the two that changed, one lost its smile
    assert found["true_change"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert found["overshoot"] == 0


def test_a_label_that_is_unknown_or_does_not_count_is_in_no_figure():
    before, after = read("000", "000"), read("111", "110")
    labels = torch.tensor([[0, 255, 0], [0, 0, 255]], dtype=torch.uint8)
    assert kept_labels(before, after, NAMES, HAT, labels).tolist() == [0, 0]
    assert kept_labels(before, after, NAMES, HAT, counted=torch.tensor([True, False, True])).tolist() == [
        0,
        1,
    ]
    none = readings(before, after, NAMES, HAT, counted=torch.zeros(3, dtype=torch.bool))
    assert len(none["others_kept"]) == 0 and means(none)["true_change"] == 1


COUNTS = ("2-or-more", "3-or-more", "1", "2-or-more-1s", "7")
ONE_MORE = Change(
    "1to2", {"2-or-more": False}, {"2-or-more": True, "3-or-more": False}, "one", "two", "choice", True
)


def test_what_a_change_adds_is_no_loss():
    # A seven comes to a one, which stays: kept, although more labels hold. The one goes: lost.
    # It was misread before: no label counts.
    truth = torch.tensor([[0, 0, 1, 0, 0]] * 3, dtype=torch.uint8)
    before, after = read("00100", "00100", "00001"), read("10101", "10001", "10100")
    found = kept_labels(before, after, COUNTS, ONE_MORE, truth)
    assert found[:2].tolist() == [1, 0] and found[2].isnan()


def test_figures_of_one_more_are_of_whole_pictures():
    truth = torch.tensor([[0, 0, 1, 0, 0]] * 4, dtype=torch.uint8)
    before = read("00100", "00100", "00100", "10101")  # the last was read as two digits before the edit
    after = read("10101", "10001", "11111", "10101")  # one more; another instead; two more
    found = means(readings(before, after, COUNTS, ONE_MORE, truth))
    assert found["target_change"] == pytest.approx(2 / 3) and found["overshoot"] == pytest.approx(1 / 3)
    assert found["all_kept"] == 0.5 and found["true_change"] == pytest.approx(1 / 3)


def test_frechet_distance_of_known_gaussians():
    # N(0, I) against N(m, s^2 I) in d dimensions: |m|^2 + d (1 - s)^2, on samples with exact moments.
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


def test_identity_preservation_is_the_cosine():
    before = torch.tensor([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    after = torch.tensor([[3.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert identity_preservation(before, after).tolist() == [1, 0, pytest.approx(0.5**0.5)]
    assert identity_preservation(before, torch.zeros(3, 2)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("need", [0.05, 0.3, 1.0, 3.7])
def test_calibration_finds_the_alpha_that_the_hardest_code_needs(need):
    # Codes on a line change once they pass 1: the last to pass is the one that starts farthest back.
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


def test_methods_are_compared_where_their_curves_reach_the_same_change():
    alphas, change = torch.tensor([0.0, 1.0, 2.0, 4.0]), torch.tensor([0.0, 0.4, 0.8, 0.6])
    kept = torch.tensor([1.0, 0.9, 0.5, 0.1])
    assert alpha_at(alphas, change, 0.6) == pytest.approx(1.5), "the first crossing, not that on the way down"
    assert value_at(alphas, kept, 1.5) == pytest.approx(0.7)
    assert alpha_at(alphas, change, 0.8) == pytest.approx(2) and alpha_at(alphas, change, 0.0) == 0
    assert alpha_at(alphas, change, 0.81) is None
    assert [value_at(alphas, kept, alpha) for alpha in (0.0, 0.5, 3.0, 4.0)] == pytest.approx(
        [1, 0.95, 0.3, 0.1]
    )


@pytest.mark.parametrize(
    ("alphas", "values", "message"),
    [
        ([0.0, 1.0], [0.0, 0.5, 1.0], "expected as many of both"),
        ([0.0, 1.0, 1.0], [0.0, 0.5, 1.0], "alphas rising"),
        ([0.0, 1.0], [0.0, float("nan")], "must be finite"),
        ([0.0, 1.0], [0.0, 0.5], "alpha is 3, the curve reaches from 0 to 1"),
    ],
)
def test_curves_that_are_none_are_refused(alphas, values, message):
    with pytest.raises(ValueError, match=message):
        value_at(torch.tensor(alphas), torch.tensor(values), 3.0)


def test_a_curve_reaches_its_own_last_point():
    draw = np.random.default_rng(0)
    for _ in range(500):
        alphas, change = draw.random((2, 5)).cumsum(1)
        alpha = alpha_at(alphas, change, change[-1])
        assert value_at(alphas, change, alpha) == pytest.approx(change[-1])
