"""Strengths, on curves of which the answer is known."""

import math

import pytest

from lwgan.edit import AffineEdit
from lwgan.hub.registry import bundled
from lwgan.strength import scale_of, strength_of

LINE = [{"alpha": a / 10, "target_change": a / 10, "all_kept": 1 - a / 20} for a in range(1, 11)]


def of(curve, alpha: float = 1.0):
    return scale_of({"strength": strength_of(curve, alpha)})


def test_strength_one_is_where_eighty_percent_change():
    scale = of(LINE, 3.0)
    assert scale.unit == pytest.approx(0.8) and scale.reach == 0.8 and scale.alpha(0.5) == pytest.approx(0.4)
    assert scale.alpha_for(0.25) == pytest.approx(0.25)
    assert scale.expected("target_change", 0.33) == pytest.approx(0.33)
    assert scale.kept(0.5) == pytest.approx(0.75) and scale.expected("target_change", 1.2) is None


def test_the_unit_is_interpolated_between_two_points():
    curve = [{"alpha": 1.0, "target_change": 0.6}, {"alpha": 2.0, "target_change": 1.0}]
    assert of(curve).unit == pytest.approx(1.5)


def test_an_edit_that_never_reaches_eighty_percent_has_its_best_alpha_as_unit():
    curve = [{"alpha": float(a), "target_change": change} for a, change in ((1, 0.2), (2, 0.4), (3, 0.1))]
    scale = of(curve, 9)
    assert (scale.unit, scale.reach) == (2.0, 0.4)
    assert scale.alpha_for(0.8) is None and scale.alpha_for(0.3) == pytest.approx(1.5)


def test_an_edit_that_changes_nothing_or_was_not_measured_has_its_recommended_alpha_as_unit():
    nothing = of([{"alpha": 1.0, "target_change": 0.0}, {"alpha": 2.0, "target_change": 0.0}], 2)
    assert (nothing.unit, nothing.reach) == (2.0, 0.0)
    unknown = scale_of({"alpha": 1.5})
    assert (unknown.unit, unknown.reach, unknown.curve) == (1.5, None, ())
    assert unknown.expected("target_change", 1) is None and unknown.alpha_for(0.5) is None
    for alpha in (float("nan"), -2, "2", None, 10**400):
        assert scale_of({"alpha": alpha}).unit == 1.0


@pytest.mark.parametrize(
    "curve",
    [
        None,
        3,
        "curve",
        [1],
        [{"alpha": "1"}],
        [{"alpha": 1.0, "target_change": None}],
        [{"alpha": math.inf, "target_change": 1}],
        [{"alpha": 41, "target_change": 1}],
    ],
)
def test_an_invalid_curve_counts_as_not_measured(curve):
    assert scale_of({"strength": {"unit": 2.0, "reach": 0.8, "curve": curve}}) == (2.0, 0.8, ())
    assert scale_of({"alpha": 3, "strength": {"unit": True, "curve": curve}}) == (3.0, None, ())


def test_the_strength_of_a_config_survives_saving_and_loading(tmp_path):
    import torch

    strength = strength_of(LINE, 1.0)
    AffineEdit(None, torch.zeros(2, 3), {"strength": strength}).save_pretrained(tmp_path)
    found = scale_of(AffineEdit.from_pretrained(tmp_path).config)
    assert found == of(LINE) and strength_of(found.curve, 1.0) == strength


def test_the_bundled_edits_have_the_unit_that_their_curve_gives():
    folders = [folder for folder in bundled().iterdir() if "-lw-" in folder.name]
    assert len(folders) > 10
    for folder in folders:
        config = AffineEdit.from_pretrained(folder).config
        wanted = strength_of(config["strength"]["curve"], config["alpha"])
        assert (config["strength"]["unit"], config["strength"]["reach"]) == (wanted["unit"], wanted["reach"])


def test_a_written_alpha_comes_back_as_it_was():
    scale = scale_of({"alpha": 0.8137})
    for strength in (0.05, 1 / 3, 0.7, 1.95):
        alpha = scale.alpha(strength)
        assert scale.alpha(alpha / scale.unit) == alpha
