"""Frame "mark": one mark, such as a letter, drawn or photographed anywhere, is centred in the picture."""

import numpy as np
from PIL import Image

from lwgan.frames.glyphs import mask_box
from lwgan.frames.paper import STROKE_INK

HEIGHT, WIDTH = 40 / 64, 60 / 64  # of the side: the ink's height, and its greatest width


def centred(ink: np.ndarray, side: int) -> np.ndarray:
    """Ink, uint8 [h, w], in the middle of a picture, uint8 [side, side]: HEIGHT tall and at most WIDTH wide.

    ValueError if there is no ink."""
    part = Image.fromarray(ink[mask_box(ink > STROKE_INK)])
    scale = min(HEIGHT * side / part.height, WIDTH * side / part.width)
    width, height = (max(round(edge * scale), 1) for edge in part.size)
    framed = Image.new("L", (side, side))
    corner = ((side - width) // 2, (side - height) // 2)
    framed.paste(part.resize((width, height), Image.Resampling.LANCZOS), corner)
    return np.asarray(framed)
