"""Light on paper: soft shadows are evened out, and strokes keep their share of the light."""

import cv2
import numpy as np
import pytest
from PIL import Image

from lwgan.frames.light import _from_steps, evened
from tests.pictures import draw


@pytest.mark.parametrize("shape", [(40, 60), (41, 33)])
def test_all_steps_give_the_picture_again_and_none_give_an_even_one(shape):
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    again = _from_steps(values, np.ones(shape, bool))[: shape[0], : shape[1]]
    assert np.allclose(again - again.mean(), values - values.mean(), atol=1e-4)
    assert np.abs(_from_steps(values, np.zeros(shape, bool))).max() < 1e-5


@pytest.mark.parametrize("place", [60, 180])
def test_a_shadow_goes_and_ink_on_both_sides_of_its_edge_stays(place):
    """Light falls to .35 across a soft edge, beside the digit or through it; ink is .2 of the paper."""
    ink = 1 - np.asarray(draw([("0", 150, 120, 120)], 12, (400, 400)), np.float32) / 255
    x = np.arange(400) - place
    light = 0.35 + 0.65 / (1 + np.exp(-x / 3))
    page = cv2.GaussianBlur(200 * (1 - 0.8 * ink), (0, 0), 0.8) * light
    page = page + 3 * np.random.default_rng(0).standard_normal(page.shape)
    even = evened(np.repeat(page.clip(0, 255).astype(np.uint8)[..., None], 3, 2)).mean(2)
    kernel = np.ones((9, 9), np.uint8)
    paper, stroke = even[cv2.dilate(ink, kernel) == 0], even[cv2.erode(ink, np.ones((3, 3))) == 1]
    usual = np.median(paper)
    assert np.mean(np.abs(paper / usual - 1) < 0.2) > 0.95
    assert np.mean(np.abs(stroke / usual - 0.2) < 0.1) > 0.95


def test_a_drawing_is_not_changed():
    pixels = np.asarray(draw([("0", 80, 60, 160)], 14).convert("RGB"))
    assert evened(pixels) is pixels


def test_even_paper_with_noise_keeps_its_noise():
    """Else noise could pass for ink."""
    noise = 128 + 10 * np.random.default_rng(0).standard_normal((300, 300))
    pixels = np.asarray(Image.fromarray(noise.astype(np.uint8)).convert("RGB"))
    assert evened(pixels).std() > 0.8 * pixels.std()
