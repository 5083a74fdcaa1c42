"""Frame "ink": up to four digits, drawn anywhere, brought into the cells of MultiMNIST's 2 x 2 grid."""

import itertools

import numpy as np
from PIL import Image

from lwgan.frames.glyphs import INK_SIDE, Glyph, find_glyphs, mask_box, normalise
from lwgan.images import open_picture

FRAME_SIZES = (26, 30)  # px at 64 px: the side of a digit's MNIST frame
CELL_JITTER = 4  # px at 64 px: how far the ink box may sit from its cell's centre
INK_THRESHOLD = 16  # of 255: fainter pixels are no ink
FRAME, CELL = 64, 32  # px: the framed picture; one cell of its 2 x 2 grid
MAX_DIGITS = 4
WORK_SIDE = 320  # px: digits are looked for at this size
MIN_SIDE = 12  # px: less than this shows no digit
MIN_CONTRAST = 40  # of 255: a picture whose ink differs less from its paper is blank


def frame_ink(picture: Image.Image, side: int = FRAME) -> Image.Image:
    """A picture of up to four digits, drawn anywhere, as the training pictures are: "L", 64 x 64, bright ink on black.

    Each digit, which may consist of several strokes, is moved to a cell of a 2 x 2 grid (the arrangement is kept as far
    as it goes), scaled to the size and the stroke width of MNIST's, its ink box in the middle of its cell.
    A picture that already is so, or is an enlarged copy of one, passes unchanged.
    ValueError for a blank picture and for one with more than four digits.
    """
    picture = open_picture(picture).convert("L")
    reduced = _undo_enlargement(picture)
    if is_framed(reduced):
        return Image.fromarray(reduced)
    ink = _find_ink(picture)
    glyphs = find_glyphs(ink)
    if len(glyphs) > MAX_DIGITS:
        raise ValueError(f"{len(glyphs)} digits were found: at most {MAX_DIGITS} have room in a picture")
    frame = np.zeros((FRAME, FRAME), np.uint8)
    for glyph, (row, column) in zip(glyphs, _assign_cells(glyphs, ink.shape), strict=True):
        ink = normalise(glyph.ink)
        top, left = row * CELL + (CELL - ink.shape[0]) // 2, column * CELL + (CELL - ink.shape[1]) // 2
        frame[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return Image.fromarray(frame)


def is_framed(picture: np.ndarray) -> bool:
    """Whether a uint8 picture [H, W] looks like MultiMNIST's: black, 64 x 64, each cell empty or with one digit's ink
    of about MNIST's size about its middle."""
    if (
        picture.shape != (FRAME, FRAME)
        or not (picture > INK_THRESHOLD).any()
        or np.median(_border(picture)) > INK_THRESHOLD
    ):
        return False
    return all(
        _is_cell(picture[top : top + CELL, left : left + CELL]) for top in (0, CELL) for left in (0, CELL)
    )


def _is_cell(cell: np.ndarray) -> bool:
    if not (cell > INK_THRESHOLD).any():
        return True
    rows, columns = ink_box(cell)
    side = max(rows.stop - rows.start, columns.stop - columns.start)
    offset = max(abs((box.start + box.stop - CELL) / 2) for box in (rows, columns))
    # Scaled frames hold ink of 20 / 28 of their side; resampling and MNIST's odd digits need a few pixels' grace.
    return (
        FRAME_SIZES[0] * INK_SIDE / 28 - 3 <= side <= FRAME_SIZES[1] * INK_SIDE / 28 + 4
        and offset <= CELL_JITTER + 1
    )


def _undo_enlargement(picture: Image.Image) -> np.ndarray:
    """The 64 x 64 picture of which this one is an enlarged copy (each pixel a square of equal pixels), else itself."""
    pixels = np.asarray(picture)
    times = pixels.shape[0] // FRAME
    if times < 1 or pixels.shape != (times * FRAME, times * FRAME):
        return pixels
    reduced = pixels[::times, ::times]
    return reduced if (np.kron(reduced, np.ones((times, times), np.uint8)) == pixels).all() else pixels


def _border(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def _find_ink(picture: Image.Image) -> np.ndarray:
    """How much ink lies where: float [H, W] in 0..255, no side above WORK_SIDE. The border tells the paper.

    The paper is a plane of grey (photographs are lit from one side); what differs from it in the stronger direction,
    lighter or darker, is ink; the paper's own noise is taken off.
    """
    if min(picture.size) < MIN_SIDE:
        raise ValueError(
            f"the picture is {picture.width} x {picture.height} px: a digit needs at least {MIN_SIDE}"
        )
    picture = picture.copy()
    picture.thumbnail((WORK_SIDE, WORK_SIDE), Image.Resampling.BOX)
    values = np.asarray(picture, np.float64)
    paper, noise = _fit_paper(values)
    difference = values - paper
    ink = difference * np.sign(
        (np.maximum(difference, 0) ** 2).sum() - (np.minimum(difference, 0) ** 2).sum()
    )
    peak = np.sort(ink, axis=None)[-10:].mean()
    if peak < max(MIN_CONTRAST, 4 * noise):
        raise ValueError("the picture is blank: there is no ink that stands out from the paper")
    floor = min(4 * noise, peak / 2) if noise > 1 else 0
    return ((ink - floor) / (peak - floor)).clip(0, 1) * 255


def _fit_paper(values: np.ndarray) -> tuple[np.ndarray, float]:
    """The plane a + b y + c x through the border's pixels, those far from their median left out, and the spread about it."""
    y, x = np.mgrid[: values.shape[0], : values.shape[1]] / max(values.shape)
    terms = np.stack([np.ones_like(y), y, x], -1)
    at, border = _border(terms), _border(values)
    far = np.abs(border - np.median(border))
    near = far <= max(60, np.median(far))
    plane, *_ = np.linalg.lstsq(at[near], border[near], rcond=None)
    return terms @ plane, float((border[near] - at[near] @ plane).std())


def _assign_cells(glyphs: list[Glyph], size: tuple[int, int]) -> list[tuple[int, int]]:
    """Distinct cells (row, column) for the digits that keep their arrangement as far as it goes; `size` (h, w) of the picture.

    Three or four on one line are read on: two in the upper row, the rest below. Otherwise the cells are chosen that
    differ least from where the digits lie among each other and, with less say, in the picture.
    """
    centres = np.array([glyph.centre for glyph in glyphs])
    side = np.mean([max(glyph.stop - glyph.start) for glyph in glyphs])
    spread = np.ptp(centres, axis=0)
    if len(glyphs) > 2 and spread[0] < side / 2:
        return [divmod(int(rank), 2) for rank in centres[:, 1].argsort().argsort()]
    spread[spread < side / 2] = np.inf  # as good as level in this direction
    among = (centres - centres.mean(0)) / spread
    within = centres / np.array(size) - 0.5
    cells = [divmod(place, 2) for place in range(4)]
    targets = {cell: np.array(cell) - 0.5 for cell in cells}

    def misfit(chosen) -> float:
        aims = np.array([targets[cell] for cell in chosen])
        return float(((among - (aims - aims.mean(0))) ** 2).sum() + 0.1 * ((within - aims) ** 2).sum())

    return list(min(itertools.permutations(cells, len(glyphs)), key=misfit))


def ink_box(picture: np.ndarray) -> tuple[slice, slice]:
    """The smallest box around the ink of a uint8 [H, W] picture, as (rows, columns). ValueError if there is none."""
    return mask_box(picture > INK_THRESHOLD)
