"""Frame "ink": up to four digits, drawn anywhere, are brought into the cells of MultiMNIST's 2 x 2 grid."""

import itertools

import numpy as np
from PIL import Image

from lwgan.frames.glyphs import INK_SIDE, Glyph, find_glyphs, mask_box, normalise
from lwgan.frames.look import look, undo_enlargement
from lwgan.images import open_picture

FRAME_SIZES = (26, 30)  # px at 64 px: the smallest and largest side of a digit's MNIST frame
CELL_JITTER = 4  # px at 64 px: the largest offset of a digit's ink box from the centre of its cell
INK_THRESHOLD = 16  # of 255: fainter pixels do not count as ink
FRAME, CELL = 64, 32  # px: the framed picture; one cell of its 2 x 2 grid
MAX_DIGITS = 4
SMALL = 48  # px: if all digits are smaller, they are looked at again, nearer


def frame_ink(picture: Image.Image, side: int = FRAME) -> Image.Image:
    """A picture of up to four digits, drawn or photographed, -> "L", side x side px, bright ink on black.

    Each digit, which may have several strokes, is moved into a cell of a 2 x 2 grid (the arrangement is kept
    as far as possible), gets the size and stroke width of MNIST's digits and is centred in its cell. A
    picture that already looks so, or is an enlarged copy of one, keeps its pixels. `info` and errors:
    `lwgan.frames.look`; ValueError also for more than four digits.
    """
    picture, info = open_picture(picture), {}
    pixels = undo_enlargement(picture, FRAME)
    if not is_framed(pixels):
        glyphs, size, info = look(picture, find_glyphs, SMALL, MAX_DIGITS)
        pixels = _arranged(glyphs, size)
    framed = Image.fromarray(pixels)
    framed = framed if side == FRAME else framed.resize((side, side), Image.Resampling.LANCZOS)
    framed.info = info
    return framed


def _arranged(glyphs: list[Glyph], size: tuple[int, int]) -> np.ndarray:
    """Digits of a page of `size` (h, w) in their cells, uint8 [FRAME, FRAME]."""
    if len(glyphs) > MAX_DIGITS:
        raise ValueError(f"{len(glyphs)} digits were found: at most {MAX_DIGITS} have room in a picture")
    frame = np.zeros((FRAME, FRAME), np.uint8)
    for glyph, (row, column) in zip(glyphs, _assign_cells(glyphs, size), strict=True):
        digit = normalise(glyph.ink)
        top, left = row * CELL + (CELL - digit.shape[0]) // 2, column * CELL + (CELL - digit.shape[1]) // 2
        frame[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return frame


def is_framed(picture: np.ndarray) -> bool:
    """Whether a uint8 picture [H, W] looks like MultiMNIST's: 64 x 64, black at the border, in each cell
    nothing or ink of about the size of one digit about the centre."""
    if picture.shape != (FRAME, FRAME) or not (picture > INK_THRESHOLD).any():
        return False
    cells = picture.reshape(2, CELL, 2, CELL).swapaxes(1, 2).reshape(4, CELL, CELL)
    return np.median(_border(picture)) <= INK_THRESHOLD and all(map(_is_cell, cells))


def _is_cell(cell: np.ndarray) -> bool:
    if not (cell > INK_THRESHOLD).any():
        return True
    boxes = ink_box(cell)
    side = max(box.stop - box.start for box in boxes)
    offset = max(abs((box.start + box.stop - CELL) / 2) for box in boxes)
    # Ink takes 20 / 28 of a frame. Resampling and unusual digits of MNIST need a tolerance of some pixels.
    smallest, largest = FRAME_SIZES[0] * INK_SIDE / 28 - 3, FRAME_SIZES[1] * INK_SIDE / 28 + 4
    return smallest <= side <= largest and offset <= CELL_JITTER + 1


def _border(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def _assign_cells(glyphs: list[Glyph], size: tuple[int, int]) -> list[tuple[int, int]]:
    """A cell (row, column) for each digit of a picture of `size` (h, w), so that the arrangement is kept.

    Three or four digits on one line fill the cells in reading order. Otherwise the cells are chosen that
    differ least from the places of the digits relative to each other and, with less weight, to the picture.
    """
    centres = np.array([glyph.centre for glyph in glyphs])
    side = np.mean([max(glyph.stop - glyph.start) for glyph in glyphs])
    spread = np.ptp(centres, axis=0)
    if len(glyphs) > 2 and spread[0] < side / 2:
        return [divmod(int(rank), 2) for rank in centres[:, 1].argsort().argsort()]
    spread[spread < side / 2] = np.inf  # the digits count as level in this direction
    among = (centres - centres.mean(0)) / spread
    within = centres / np.array(size) - 0.5

    def misfit(cells) -> float:
        aims = np.array(cells) - 0.5
        return float(((among - (aims - aims.mean(0))) ** 2).sum() + 0.1 * ((within - aims) ** 2).sum())

    cells = [divmod(place, 2) for place in range(4)]
    return list(min(itertools.permutations(cells, len(glyphs)), key=misfit))


def ink_box(picture: np.ndarray) -> tuple[slice, slice]:
    """The smallest box, (rows, columns), around the ink of a uint8 picture [H, W]. ValueError without ink."""
    return mask_box(picture > INK_THRESHOLD)
