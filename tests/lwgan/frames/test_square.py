"""Frames "square" and "wide": the middle of a picture."""

import numpy as np
from PIL import Image

from lwgan.frames.square import frame_square, frame_wide


def test_a_square_of_the_right_size_passes_unchanged_and_of_others_the_middle_is_taken():
    square = Image.fromarray(np.random.randint(0, 256, (64, 64, 3), np.uint8))
    assert np.array_equal(np.asarray(frame_square(square, 64)), np.asarray(square))
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    blue = np.asarray(frame_square(wide, 64))[..., 2]
    assert blue.min() > 220  # at the edge, resampling sees a little of the red


def test_a_wide_picture_lies_between_black_bands_and_passes_unchanged_then():
    car = Image.fromarray(np.random.randint(30, 256, (96, 160, 3), np.uint8))
    framed = frame_wide(car, 128)
    pixels = np.asarray(framed)
    assert pixels.shape == (128, 128, 3) and not pixels[:16].any() and not pixels[112:].any()
    assert np.array_equal(pixels[16:112], np.asarray(car)[:, 16:144])  # 4:3 of its height
    assert np.array_equal(np.asarray(frame_wide(framed, 128)), pixels)
    assert frame_wide(framed, 64).getbbox() == (0, 8, 64, 56)
