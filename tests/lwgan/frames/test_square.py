"""Frame "square": the middle of a picture."""

import numpy as np
from PIL import Image

from lwgan.frames.square import frame_square


def test_a_square_of_the_right_size_passes_unchanged_and_of_others_the_middle_is_taken():
    square = Image.fromarray(np.random.randint(0, 256, (64, 64, 3), np.uint8))
    assert np.array_equal(np.asarray(frame_square(square, 64)), np.asarray(square))
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    blue = np.asarray(frame_square(wide, 64))[..., 2]
    assert blue.min() > 220  # at the edge, resampling sees a little of the red
