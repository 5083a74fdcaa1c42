"""Frame "ink": up to four digits, drawn anywhere, are brought into the cells of MultiMNIST's 2 x 2 grid."""

import itertools

import numpy as np
from PIL import Image

from lwgan.frames.glyphs import INK_SIDE, Glyph, find_glyphs, is_solid, mask_box, normalise
from lwgan.frames.paper import Marks, find_marks
from lwgan.images import open_picture

FRAME_SIZES = (26, 30)  # px at 64 px: the smallest and largest side of a digit's MNIST frame
CELL_JITTER = 4  # px at 64 px: the largest offset of a digit's ink box from the centre of its cell
INK_THRESHOLD = 16  # of 255: fainter pixels do not count as ink
FRAME, CELL = 64, 32  # px: the framed picture; one cell of its 2 x 2 grid
MAX_DIGITS = 4
WORK_SIDE = 400  # px: larger pictures are reduced to this mean side before digits are looked for
SMALL = 48  # px: if all digits are smaller, they are looked at again without what surrounds them
MIN_SIDE = 12  # px: a smaller picture shows no digit


def frame_ink(picture: Image.Image, side: int = FRAME) -> Image.Image:
    """A picture of up to four digits, drawn or photographed, -> "L", side x side px, bright ink on black.

    Each digit, which may have several strokes, is moved into a cell of a 2 x 2 grid (the arrangement is kept
    as far as possible), gets the size and stroke width of MNIST's digits and is centred in its cell. A
    picture that already looks so, or is an enlarged copy of one, keeps its pixels. The result's `info` holds
    "glyphs", the corners [4, 2] (x, y) of each digit's box in the picture, and may hold "note", a remark for
    the user on what is doubtful. ValueError for a blank picture, for more than four digits and for marks that
    are no strokes.
    """
    picture, info = open_picture(picture), {}
    pixels = _undo_enlargement(picture.convert("L"))
    if not is_framed(pixels):
        glyphs, size, info = _look(picture)
        pixels = _arranged(glyphs, size)
    framed = Image.fromarray(pixels)
    framed = framed if side == FRAME else framed.resize((side, side), Image.Resampling.LANCZOS)
    framed.info = info
    return framed


def _look(picture: Image.Image) -> tuple[list[Glyph], tuple[int, int], dict]:
    """The digits of a picture, the size (h, w) of the page on which they lie, and `info` of the frame.

    Digits that are small in a large picture are cut out and looked at again.
    """
    pixels, scale = _reduced(picture)
    marks = find_marks(pixels)
    glyphs = find_glyphs(marks.ink)
    corners = [_corners(glyph, marks.matrix) / scale for glyph in glyphs]
    longest = max(max(glyph.ink.shape) for glyph in glyphs)
    if longest < SMALL and scale.min() < 0.8 and len(glyphs) <= MAX_DIGITS:
        points, margin = np.concatenate(corners), longest / scale.min()
        box = [*(points.min(0) - margin).clip(0), *np.minimum(points.max(0) + margin, picture.size)]
        part = picture.crop([round(float(edge)) for edge in box])
        if part.width * part.height < 0.7 * picture.width * picture.height:
            glyphs, size, info = _look(part)
            info["glyphs"] = [(np.array(c) + box[:2]).tolist() for c in info["glyphs"]]
            return glyphs, size, info
    return glyphs, marks.ink.shape, _remarks(marks, glyphs) | {"glyphs": [c.tolist() for c in corners]}


def _reduced(picture: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [H, W, 3], about WORK_SIDE ** 2 if there are more, and their scale [2] (x, y)."""
    if min(picture.size) < MIN_SIDE:
        size = f"{picture.width} x {picture.height} px"
        raise ValueError(f"the picture is {size}: a digit needs at least {MIN_SIDE}")
    scale = min(WORK_SIDE / np.sqrt(picture.width * picture.height), 1)
    size = [max(round(edge * scale), 1) for edge in picture.size]
    reduced = picture.resize(size, Image.Resampling.BOX) if scale < 1 else picture
    return np.asarray(reduced.convert("RGB")), np.array(size) / np.array(picture.size)


def _corners(glyph: Glyph, matrix: np.ndarray) -> np.ndarray:
    """The corners [4, 2] (x, y) of a digit's box, from the page to the picture by a `matrix` [3, 3]."""
    (top, left), (bottom, right) = glyph.start, glyph.stop
    corners = np.array([(left, top, 1), (right, top, 1), (right, bottom, 1), (left, bottom, 1)]) @ matrix.T
    return corners[:, :2] / corners[:, 2:]


def _remarks(marks: Marks, glyphs: list[Glyph]) -> dict[str, str]:
    """A note on what is doubtful. ValueError if a mark is no stroke."""
    boxes, edge = np.array([[*glyph.start, *glyph.stop] for glyph in glyphs]), marks.ink.shape
    if any(is_solid(glyph.ink) for glyph in glyphs):
        raise ValueError("no digits were found: a mark is as wide as it is long, and no stroke")
    sizes, amounts = [max(glyph.ink.shape) for glyph in glyphs], [glyph.ink.max() for glyph in glyphs]
    doubts = {
        "the ink hardly stands out from the paper": marks.faint,
        "a mark reaches the edge of the picture": (boxes[:, :2] < 1).any() or (boxes[:, 2:] >= edge).any(),
        "a mark is as large as the picture": (boxes[:, 2:] - boxes[:, :2] > 0.96 * np.array(edge))
        .all(1)
        .any(),
        "one mark is much smaller than another": min(sizes) < 0.3 * max(sizes),
        "one mark is much fainter than another": min(amounts) < 0.55 * max(amounts),
        f"the marks are only {max(sizes)} px high": max(sizes) < MIN_SIDE,
    }
    found = [words for words, true in doubts.items() if true]
    return {"note": f"check what was found: {'; '.join(found)}"} if found else {}


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
