"""From a drawing or a photograph to its glyphs: what the frames of marks on paper share."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from lwgan.frames.glyphs import Glyph, is_solid, is_uneven
from lwgan.frames.paper import Marks, find_marks

WORK_SIDE = 400  # px: larger pictures are reduced to this mean side before marks are looked for
STROKES = (0.2, 0.06)  # of the mean side: the widest stroke in uneven light, at the first and the second look
MIN_SIDE = 12  # px: a smaller picture shows no mark


class Seen(NamedTuple):
    """glyphs: those found, with places on a page of `size` (h, w).
    info: "quads", the corners [4, 2] (x, y) of each glyph's box in the picture; "sheet", those of the sheet
    [K, 2] if the picture shows its surroundings; "note", a remark for the user if something is doubtful."""

    glyphs: list[Glyph]
    size: tuple[float, float]
    info: dict


def look(
    picture: Image.Image, find: Callable[[np.ndarray], list[Glyph]], small: int, most: int = 1
) -> Seen:  # fmt: skip
    """The glyphs of a picture, "RGB" or "L".

    find: ink, float [H, W] in 0..255, -> glyphs.  Where at most `most` glyphs are all smaller than `small` px
    once the picture is reduced, their part of the page is looked at again, reduced less. What is refused or
    doubtful is looked at again for narrow strokes. ValueError for a picture that is blank or too small, and
    for marks that are no strokes.
    """
    seen, refusals = [], []
    for stroke in STROKES:
        try:
            seen.append(_look(picture, find, small, most, stroke))
        except ValueError as refusal:
            refusals.append(refusal)
        else:
            if "note" not in seen[-1].info:
                return seen[-1]
    if not seen:
        raise refusals[0]
    return seen[0]


def _look(picture: Image.Image, find: Callable, small: int, most: int, stroke: float) -> Seen:
    """As `look`, once. stroke: the widest stroke in uneven light, a share of the mean side."""
    if min(picture.size) < MIN_SIDE:
        size = f"{picture.width} x {picture.height} px"
        raise ValueError(f"the picture is {size}: a mark needs at least {MIN_SIDE}")
    scale = min(WORK_SIDE / np.sqrt(picture.width * picture.height), 1)
    to_picture = np.diag([1 / scale, 1 / scale, 1])
    size = [max(round(edge * scale), 1) for edge in picture.size]
    reduced = picture.resize(size, Image.Resampling.BOX) if scale < 1 else picture
    marks = find_marks(np.asarray(reduced.convert("RGB")), stroke)
    glyphs = find(marks.ink)
    matrix, sheet = to_picture @ marks.matrix, marks.sheet
    start, size = np.zeros(2), np.array(marks.ink.shape)
    longest = max(max(glyph.ink.shape) for glyph in glyphs)
    box = _around(glyphs, longest, marks.ink.shape)
    zoom = min(WORK_SIDE / np.sqrt((box[2:] - box[:2]).prod()), 1 / scale)
    if longest < small and zoom > 1.2 and len(glyphs) <= most:
        pixels, matrix = _part(picture, matrix, box, zoom)
        marks = find_marks(pixels, stroke)
        glyphs, matrix = find(marks.ink), matrix @ marks.matrix
        start, size = box[1::-1] * zoom, size * zoom
    info = {"quads": [_mapped(_corners(glyph), matrix).tolist() for glyph in glyphs]}
    if sheet is not None:
        info["sheet"] = _mapped(sheet, to_picture).tolist()
    info |= _remarks(marks, glyphs)
    return Seen([g._replace(start=g.start + start, stop=g.stop + start) for g in glyphs], tuple(size), info)


def _around(glyphs: list[Glyph], margin: int, size: tuple[int, int]) -> np.ndarray:
    """The box (left, top, right, bottom) around glyphs of a page of `size` (h, w)."""
    start = np.min([glyph.start for glyph in glyphs], 0) - margin
    stop = np.minimum(np.max([glyph.stop for glyph in glyphs], 0) + margin, size)
    return np.array([*start.clip(0)[::-1], *stop[::-1]])


def _part(
    picture: Image.Image, matrix: np.ndarray, box: np.ndarray, zoom: float
) -> tuple[np.ndarray, np.ndarray]:
    """A box of the page, seen from above and enlarged: uint8 [h, w, 3], and the matrix to the picture.

    matrix: [3, 3], from the page to the picture.
    """
    matrix = matrix @ np.array([[1 / zoom, 0, box[0]], [0, 1 / zoom, box[1]], [0, 0, 1]])
    width, height = ((box[2:] - box[:2]) * zoom).round().astype(int).tolist()
    outline = _mapped(np.array([(0, 0), (width, 0), (width, height), (0, height)]), matrix)
    start = np.floor(outline.min(0) - 2).clip(0).astype(int)
    stop = np.minimum(np.ceil(outline.max(0) + 2).astype(int), picture.size)
    times = max(int(min(np.ptp(outline, axis=0) / (width, height))), 1)
    reduced = picture.reduce(times, (*start.tolist(), *stop.tolist()))
    to_reduced = np.diag([1 / times, 1 / times, 1]) @ np.array(
        [[1, 0, -start[0]], [0, 1, -start[1]], [0, 0, 1]]
    )
    there = to_reduced @ matrix
    how = (
        Image.Transform.PERSPECTIVE,
        (there / there[2, 2]).flatten()[:8].tolist(),
        Image.Resampling.BICUBIC,
    )
    return np.asarray(reduced.convert("RGB").transform((width, height), *how)), matrix


def _corners(glyph: Glyph) -> np.ndarray:
    """The corners [4, 2] (x, y) of a glyph's box on its page."""
    (top, left), (bottom, right) = glyph.start, glyph.stop
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def _mapped(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points [N, 2] (x, y) through a projective matrix [3, 3]."""
    points = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return points[:, :2] / points[:, 2:]


def _remarks(marks: Marks, glyphs: list[Glyph]) -> dict[str, str]:
    """A note on what is doubtful. ValueError if a mark is no stroke."""
    if any(is_solid(glyph.ink) for glyph in glyphs):
        raise ValueError("only a blot was found: a mark as wide as it is long, and no stroke")
    boxes, edge = np.array([[*glyph.start, *glyph.stop] for glyph in glyphs]), np.array(marks.ink.shape)
    sizes, amounts = [max(glyph.ink.shape) for glyph in glyphs], [glyph.ink.max() for glyph in glyphs]
    doubts = {
        "the ink hardly stands out from the paper": marks.faint,
        "a line around a mark was left out; it may be part of it": marks.cells,
        "a mark reaches the edge of the picture": (boxes[:, :2] < 1).any() or (boxes[:, 2:] >= edge).any(),
        "a mark is as large as the picture": (boxes[:, 2:] - boxes[:, :2] > 0.96 * edge).all(1).any(),
        "one mark is much smaller than another": min(sizes) < 0.3 * max(sizes),
        "one mark is much fainter than another": min(amounts) < 0.55 * max(amounts),
        "the ink of a mark is uneven, as if part of it were shadow": any(is_uneven(g.ink) for g in glyphs),
        "the parts of a mark lie far apart": any(glyph.scattered for glyph in glyphs),
        f"the marks are only {max(sizes)} px high": max(sizes) < MIN_SIDE,
    }
    found = [words for words, true in doubts.items() if true]
    return {"note": f"check what was found: {'; '.join(found)}"} if found else {}


def undo_enlargement(picture: Image.Image, side: int) -> np.ndarray:
    """The grey picture, side x side px, of which a picture is an enlargement by repeated pixels; else the
    grey picture itself, uint8 [H, W]."""
    pixels = np.asarray(picture.convert("L"))
    times = pixels.shape[0] // side
    if times < 1 or pixels.shape != (times * side, times * side):
        return pixels
    reduced = pixels[::times, ::times]
    return reduced if (np.kron(reduced, np.ones((times, times), np.uint8)) == pixels).all() else pixels
