"""Frame "mark": one mark, such as a letter, drawn or photographed anywhere, is centred in the picture."""

import numpy as np
from PIL import Image

from lwgan.frames.glyphs import find_mark, mask_box
from lwgan.frames.look import look, undo_enlargement
from lwgan.frames.paper import STROKE_INK
from lwgan.images import open_picture

HEIGHT, WIDTH = 40 / 64, 60 / 64  # of the side: the ink's height, and its greatest width
SLACK = 6 / 64  # of the side: by how much the ink of a framed picture may miss this
FRAMED_INK = 16  # of 255: fainter pixels of a framed picture do not count as ink
SMALL = 130  # px: a smaller mark is looked at again, nearer


def frame_mark(picture: Image.Image, side: int = 64) -> Image.Image:
    """A picture of one mark, drawn or photographed, -> "L", side x side px, bright ink on black.

    The mark is all ink but rulings, frames and dirt, as `centred` places it. A picture that already looks so,
    or is an enlarged copy of one, keeps its pixels. `info` and errors: `lwgan.frames.look`.
    """
    picture, info = open_picture(picture), {}
    pixels = undo_enlargement(picture, side)
    if not is_framed(pixels, side):
        (mark,), _, info = look(picture, find_mark, SMALL)
        pixels = centred(sharpened(mark.ink, mark.ink.shape[0] / (HEIGHT * side)), side)
    framed = Image.fromarray(pixels)
    framed.info = info
    return framed


def centred(ink: np.ndarray, side: int) -> np.ndarray:
    """Ink, uint8 [h, w], in the middle of a picture, uint8 [side, side]: HEIGHT tall and at most WIDTH wide.

    ValueError if there is no ink."""
    part = Image.fromarray(ink[mask_box(ink > STROKE_INK)])
    scale = min(HEIGHT * side / part.height, WIDTH * side / part.width)
    width, height = (max(round(edge * scale), 1) for edge in part.size)
    framed = Image.new("L", (side, side))
    at = (side - width) // 2, (side - height) // 2
    framed.paste(part.resize((width, height), Image.Resampling.LANCZOS), at)
    return np.asarray(framed)


def sharpened(ink: np.ndarray, times: float) -> np.ndarray:
    """Ink, float [h, w] in 0..255, made full where it is over half as strong as usual; uint8.

    times: how often larger it is than it will be. So much steeper its edges become, since their blur and
    noise would remain, but antialiasing is done anew.
    """
    usual = np.median(ink[ink > 127]) if (ink > 127).any() else ink.max()
    steep = (ink / usual - 0.5) * np.clip(times, 1, 4) + 0.5
    return (255 * steep.clip(0, 1)).round().astype(np.uint8)


def is_framed(picture: np.ndarray, side: int) -> bool:
    """Whether a uint8 picture [H, W] is side x side px, black at the border, with ink of about the size that
    `centred` gives, about the middle."""
    mask = picture > FRAMED_INK
    if picture.shape != (side, side) or not mask.any():
        return False
    rows, columns = mask_box(mask)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    offset = max(abs(box.start + box.stop - side) / 2 for box in (rows, columns))
    over = max(height - HEIGHT * side, width - WIDTH * side)  # of the side that is as long as it may be
    return max(height, width) < side and abs(over) <= SLACK * side and offset <= SLACK * side
