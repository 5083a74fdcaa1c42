"""Calibrated strengths, the cloud of codes, and recipes, on curves and codes of which the answer is known."""

import json
import math

import pytest
import torch

from lwgan.cloud import Cloud
from lwgan.strength import curve_of, scale_of

LINE = [{"alpha": a / 10, "target_change": a / 10, "digits_kept": 1 - a / 20} for a in range(1, 11)]


def test_strength_one_is_where_eighty_percent_change():
    scale = scale_of({"alpha": 3.0}, curve_of(None, {"curve": LINE}))
    assert scale.unit == pytest.approx(0.8) and scale.reach == 0.8 and scale.alpha(0.5) == pytest.approx(0.4)
    assert scale.alpha_for(0.25) == pytest.approx(0.25) and scale.expected(
        "target_change", 0.33
    ) == pytest.approx(0.33)
    assert scale.kept(0.5) == pytest.approx(0.75) and scale.expected("target_change", 1.2) is None


def test_between_two_points_it_is_interpolated():
    curve = [{"alpha": 1.0, "target_change": 0.6}, {"alpha": 2.0, "target_change": 1.0}]
    assert scale_of({}, curve_of(None, {"curve": curve})).unit == pytest.approx(1.5)


def test_an_edit_that_never_gets_there_stands_at_its_best_and_says_how_far():
    curve = [
        {"alpha": 1.0, "target_change": 0.2},
        {"alpha": 2.0, "target_change": 0.4},
        {"alpha": 3.0, "target_change": 0.1},
    ]
    scale = scale_of({"alpha": 9}, curve_of(None, {"curve": curve}))
    assert (
        (scale.unit, scale.reach) == (2.0, 0.4)
        and scale.alpha_for(0.8) is None
        and scale.alpha_for(0.3) == pytest.approx(1.5)
    )


def test_an_edit_that_changes_nothing_or_was_not_measured_stands_at_its_own_alpha():
    nothing = scale_of(
        {"alpha": 2},
        curve_of(
            None, {"curve": [{"alpha": 1.0, "target_change": 0.0}, {"alpha": 2.0, "target_change": 0.0}]}
        ),
    )
    assert (nothing.unit, nothing.reach) == (2.0, 0.0)
    unknown = scale_of({"alpha": 1.5}, curve_of(None, {}))
    assert (unknown.unit, unknown.reach, unknown.curve) == (1.5, None, ()) and unknown.expected(
        "target_change", 1
    ) is None
    assert (
        scale_of({"alpha": float("nan")}, []).unit
        == scale_of({"alpha": -2}, []).unit
        == scale_of({"alpha": "2"}, []).unit
        == 1.0
    )


@pytest.mark.parametrize(
    "junk",
    [
        None,
        3,
        "curve",
        [1],
        [{"alpha": "1"}],
        [{"alpha": 1.0, "target_change": None}],
        [{"alpha": math.inf, "target_change": 1}],
    ],
)
def test_a_curve_that_is_none_counts_as_not_measured(junk):
    assert curve_of(None, {"curve": junk}) == []


def test_what_the_judge_measured_goes_before_what_chose_the_alpha(tmp_path):
    config = {"curve": [{"alpha": 2.0, "target_change": 0.8}]}
    assert scale_of({}, curve_of(tmp_path, config)).unit == 2.0
    (tmp_path / "metrics.json").write_text(json.dumps({"curve": [{"alpha": 1.0, "target_change": 0.8}]}))
    assert scale_of({}, curve_of(tmp_path, config)).unit == 1.0
    (tmp_path / "metrics.json").write_text("{torn")
    assert scale_of({}, curve_of(tmp_path, config)).unit == 2.0


def test_a_written_alpha_comes_back_as_it_was():
    scale = scale_of({"alpha": 0.8137}, [])
    for strength in (0.05, 1 / 3, 0.7, 1.95):
        alpha = scale.alpha(strength)
        assert scale.alpha(alpha / scale.unit) == alpha


def test_the_cloud_measures_in_standard_deviations():
    codes = torch.randn(4000, 1, 8) * torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8]) + 5
    cloud = Cloud(codes.expand(-1, 3, -1))
    middle = codes.mean(0).expand(1, 3, 8)
    out = torch.zeros(8)
    out[7] = 80.0  # ten standard deviations along the longest axis: sqrt(100 / 8) of the root mean square
    assert cloud.distance(middle).item() < 0.1
    expected = math.sqrt(100 / 8)
    assert cloud.distance(middle + out).item() * cloud.typical == pytest.approx(expected, rel=0.05)
    assert 1.2 < cloud.limit < 2.5  # chi of 8 degrees of freedom: sqrt(20.09 / 7.34) = 1.65 at 99%
    assert (cloud.distance(codes.expand(-1, 3, -1)) < cloud.limit).double().mean().item() == pytest.approx(
        0.99, abs=0.005
    )


def test_the_codes_of_pictures_set_what_is_usual():
    codes = torch.randn(1000, 2, 4)
    far = 3 * torch.randn(500, 2, 4)
    assert Cloud(codes, far).distance(far).median().item() == pytest.approx(1, abs=0.01)
    with pytest.raises(ValueError, match="a cloud of 3 codes"):
        Cloud(codes[:3])
