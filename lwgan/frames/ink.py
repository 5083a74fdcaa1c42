"""Frame "ink": up to four digits, drawn anywhere, are brought into the cells of MultiMNIST's 2 x 2 grid."""

import itertools

import numpy as np
from PIL import Image

from lwgan.frames.glyphs import INK_SIDE, Glyph, find_glyphs, mask_box, normalise
from lwgan.images import open_picture

FRAME_SIZES = (26, 30)  # px at 64 px: the smallest and largest side of a digit's MNIST frame
CELL_JITTER = 4  # px at 64 px: the largest offset of a digit's ink box from the centre of its cell
INK_THRESHOLD = 16  # of 255: fainter pixels do not count as ink
FRAME, CELL = 64, 32  # px: the framed picture; one cell of its 2 x 2 grid
MAX_DIGITS = 4
WORK_SIDE = 320  # px: pictures are reduced to this size before digits are looked for
MIN_SIDE = 12  # px: a smaller picture shows no digit
MIN_CONTRAST = 40  # of 255: a picture whose ink differs less from its paper counts as blank


def frame_ink(picture: Image.Image, side: int = FRAME) -> Image.Image:
    """A picture of up to four digits, drawn anywhere -> "L", side x side px, bright ink on black.

    Each digit, which may have several strokes, is moved into a cell of a 2 x 2 grid (the arrangement is kept
    as far as possible), gets the size and stroke width of MNIST's digits and is centred in its cell. A
    picture that already looks so, or is an enlarged copy of one, keeps its pixels. ValueError for a blank
    picture and for more than four digits.
    """
    picture = open_picture(picture).convert("L")
    pixels = _undo_enlargement(picture)
    framed = Image.fromarray(pixels if is_framed(pixels) else _arranged(_find_ink(picture)))
    return framed if side == FRAME else framed.resize((side, side), Image.Resampling.LANCZOS)


def _arranged(ink: np.ndarray) -> np.ndarray:
    """Ink, float [H, W] -> its digits in their cells, uint8 [FRAME, FRAME]."""
    glyphs = find_glyphs(ink)
    if len(glyphs) > MAX_DIGITS:
        raise ValueError(f"{len(glyphs)} digits were found: at most {MAX_DIGITS} have room in a picture")
    frame = np.zeros((FRAME, FRAME), np.uint8)
    for glyph, (row, column) in zip(glyphs, _assign_cells(glyphs, ink.shape), strict=True):
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


def _undo_enlargement(picture: Image.Image) -> np.ndarray:
    """The 64 x 64 px of which a picture is an enlargement by repeated pixels; else the picture itself."""
    pixels = np.asarray(picture)
    times = pixels.shape[0] // FRAME
    if times < 1 or pixels.shape != (times * FRAME, times * FRAME):
        return pixels
    reduced = pixels[::times, ::times]
    return reduced if (np.kron(reduced, np.ones((times, times), np.uint8)) == pixels).all() else pixels


def _border(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def _find_ink(picture: Image.Image) -> np.ndarray:
    """The amount of ink at each pixel, float [H, W] in 0..255, with no side above WORK_SIDE.

    The paper is modelled as a plane of grey through the border (photographs are lit from one side). Ink is
    what differs from it in the stronger direction, lighter or darker, by more than the noise of the paper.
    """
    if min(picture.size) < MIN_SIDE:
        size = f"{picture.width} x {picture.height} px"
        raise ValueError(f"the picture is {size}: a digit needs at least {MIN_SIDE}")
    picture = picture.copy()
    picture.thumbnail((WORK_SIDE, WORK_SIDE), Image.Resampling.BOX)
    values = np.asarray(picture, np.float64)
    paper, noise = _fit_paper(values)
    ink = values - paper
    ink *= np.sign((np.maximum(ink, 0) ** 2).sum() - (np.minimum(ink, 0) ** 2).sum())
    peak = np.sort(ink, axis=None)[-10:].mean()
    if peak < max(MIN_CONTRAST, 4 * noise):
        raise ValueError("the picture is blank: there is no ink that stands out from the paper")
    floor = min(4 * noise, peak / 2) if noise > 1 else 0
    return ((ink - floor) / (peak - floor)).clip(0, 1) * 255


def _fit_paper(values: np.ndarray) -> tuple[np.ndarray, float]:
    """The plane a + b y + c x [H, W] through the border's pixels without outliers, and their deviation."""
    y, x = np.mgrid[: values.shape[0], : values.shape[1]] / max(values.shape)
    terms = np.stack([np.ones_like(y), y, x], -1)
    at, border = _border(terms), _border(values)
    far = np.abs(border - np.median(border))
    near = far <= max(60, np.median(far))
    plane, *_ = np.linalg.lstsq(at[near], border[near], rcond=None)
    return terms @ plane, float((border[near] - at[near] @ plane).std())


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
