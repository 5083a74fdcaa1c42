"""Finds the glyphs of a drawing, of one or more strokes each; gives digits MNIST's size and stroke width."""

import functools
import itertools
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lwgan.frames.paper import STROKE_INK

INK_SIDE = 20  # px: the longer side of a digit's ink in MNIST's 28-px frame
MAX_PIECES = 40  # a picture with more pieces of ink is no drawing of a few digits
SPECK = 0.08  # of the longest piece: shorter pieces are dirt
RIM = 0.8  # of a piece's length: what lies within 3 px of an edge of the page for so long is no mark
DIRT = 0.2  # of the longest piece: shorter pieces far from all others are no part of a mark
FRAGMENT = 0.45  # of the longest piece: shorter pieces are no digit of their own
TOUCHING, NEAR, FAR = 0.06, 0.14, 0.35  # of the longest piece: gaps between pieces of one digit (`_belong`)
MENDING_SIDE = 80  # px: strokes are measured and changed at this size, 4 px for each px of INK_SIDE
STROKES = (8.0, 13.5)  # px at MENDING_SIDE: 20th and 95th percentile of the stroke widths in MNIST
STROKE = 8.9  # px at MENDING_SIDE: their median


class Glyph(NamedTuple):
    """A digit or other mark: its ink, float [h, w] in 0..255; the corners (y, x) of its box on the page;
    whether parts of it lie far apart."""

    ink: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    scattered: bool = False

    @property
    def centre(self) -> np.ndarray:
        return (self.start + self.stop) / 2


class _Piece(NamedTuple):
    """Ink that belongs together: the numbers of its connected components, the corners (y, x) of its box."""

    components: tuple[int, ...]
    start: np.ndarray
    stop: np.ndarray

    @property
    def sides(self) -> np.ndarray:
        return self.stop - self.start


def mask_box(mask: np.ndarray) -> tuple[slice, slice]:
    """The smallest box, (rows, columns), around the true pixels of a mask [H, W]. ValueError without any."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        raise ValueError("the picture is blank: it holds no ink")
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def find_glyphs(ink: np.ndarray) -> list[Glyph]:
    """The digits in ink, float [H, W] in 0..255, sorted by row, then column, of their upper left corners."""
    components, pieces = _pieces(ink)
    glyphs = [_cut(ink, components, piece) for piece in _merge(components, pieces)]
    return sorted(glyphs, key=lambda glyph: tuple(glyph.start))


def find_mark(ink: np.ndarray) -> list[Glyph]:
    """All ink, float [H, W] in 0..255, as one mark, in a list. Small pieces far from all others are dirt."""
    components, pieces = _pieces(ink)
    sides = np.array([piece.sides.max() for piece in pieces])
    gaps = _gaps(components, pieces)
    np.fill_diagonal(gaps, np.inf)
    far = gaps.min(1) > FAR * sides.max() if len(pieces) > 1 else np.zeros(1, bool)
    dirt = far & (sides < DIRT * sides.max())
    mark = functools.reduce(_join, [piece for piece, drop in zip(pieces, dirt, strict=True) if not drop])
    return [_cut(ink, components, mark)._replace(scattered=bool((far & ~dirt).any()))]


def _pieces(ink: np.ndarray) -> tuple[np.ndarray, list[_Piece]]:
    """The numbers [H, W] of the connected components of ink, and those that are neither frames nor specks."""
    _, components, stats, _ = cv2.connectedComponentsWithStats((ink > STROKE_INK).astype(np.uint8))
    if len(stats) < 2:
        raise ValueError("the picture is blank: it holds no ink but lines")
    starts, sides = stats[:, 1::-1], stats[:, 3:1:-1]
    pieces = [_Piece((k,), starts[k], starts[k] + sides[k]) for k in range(1, len(stats))]
    pieces = _without_frame(_without_rims(pieces, components), components)
    longest = max(piece.sides.max() for piece in pieces)
    pieces = [piece for piece in pieces if piece.sides.max() > SPECK * longest]
    if len(pieces) > MAX_PIECES:
        raise ValueError(f"nothing to read was found: there are {len(pieces)} marks")
    return components, pieces


def _merge(components: np.ndarray, pieces: list[_Piece]) -> list[_Piece]:
    """The digits: pieces that belong together (`_belong`) are joined, the nearest pair first."""
    longest = max(piece.sides.max() for piece in pieces)
    gaps = _gaps(components, pieces)
    while True:
        close = [
            (gaps[i, j], i, j)
            for i, j in itertools.combinations(range(len(pieces)), 2)
            if _belong(pieces[i], pieces[j], gaps[i, j] / longest, longest)
        ]
        if not close:
            return pieces
        _, i, j = min(close)
        pieces[i] = _join(pieces[i], pieces.pop(j))
        gaps[i] = gaps[:, i] = np.minimum(gaps[i], gaps[j])
        gaps = np.delete(np.delete(gaps, j, 0), j, 1)


def _without_rims(pieces: list[_Piece], components: np.ndarray) -> list[_Piece]:
    """Pieces without those that lie along an edge of the page, such as what is seen of a table; all if none
    is left."""
    edges = components[:3], components[-3:], components[:, :3].T, components[:, -3:].T
    along = lambda piece: max((edge == piece.components[0]).any(0).sum() for edge in edges)
    return [piece for piece in pieces if along(piece) < RIM * piece.sides.max()] or pieces


def _without_frame(pieces: list[_Piece], components: np.ndarray) -> list[_Piece]:
    """Pieces without a line around all others that takes at least half of the picture's sides."""
    if len(pieces) < 2:
        return pieces
    frame, *others = sorted(pieces, key=lambda piece: -piece.sides.prod())
    most = max(piece.sides.max() for piece in others)
    marks = [piece for piece in others if piece.sides.max() > SPECK * frame.sides.max()]
    inside = all((piece.start > frame.start).all() and (piece.stop < frame.stop).all() for piece in marks)
    thin = (components == frame.components[0]).sum() < 0.15 * frame.sides.prod()
    large = (frame.sides >= np.array(components.shape) / 2).all() and most < 0.6 * frame.sides.max()
    return _without_frame(others, components) if marks and inside and thin and large else pieces


def _belong(a: _Piece, b: _Piece, gap: float, longest: int) -> bool:
    """Whether two pieces are strokes of one digit; `gap`: between them, in units of the longest piece.

    They are if they touch, or if the smaller lies mostly within the box of the other. Otherwise both together
    must not be too large for one digit, and they must be near; a fragment or a dash (the bar of a 5) may be
    farther away.
    """
    small, large = sorted((a, b), key=lambda piece: piece.sides.max())
    shared = np.maximum(np.minimum(a.stop, b.stop) - np.maximum(a.start, b.start), 0).prod()
    dash = any(piece.sides[1] > 1.8 * piece.sides[0] for piece in (a, b))
    allowed = FAR if dash or small.sides.max() < FRAGMENT * longest else NEAR
    one_digit = _join(a, b).sides.max() <= 1.6 * large.sides.max()
    return gap < TOUCHING or shared / small.sides.prod() > 0.6 or (one_digit and gap < allowed)


def _join(a: _Piece, b: _Piece) -> _Piece:
    return _Piece(a.components + b.components, np.minimum(a.start, b.start), np.maximum(a.stop, b.stop))


def _gaps(components: np.ndarray, pieces: list[_Piece]) -> np.ndarray:
    """Distances [K, K] in px between the pieces, from a sample of at most 1000 pixels of each."""
    most = 1000 if len(pieces) < 9 else 9000 // len(pieces)
    points = [np.argwhere(np.isin(_box(components, p), p.components)) + p.start for p in pieces]
    points = [torch.from_numpy(p[:: len(p) // most + 1]).float() for p in points]
    gaps = np.zeros((len(pieces), len(pieces)))
    for i, j in itertools.combinations(range(len(pieces)), 2):
        gaps[i, j] = gaps[j, i] = max(torch.cdist(points[i], points[j]).min() - 1, 0)
    return gaps


def _box(values: np.ndarray, piece: _Piece, margin: int = 0) -> np.ndarray:
    (top, left), (bottom, right) = np.maximum(piece.start - margin, 0), piece.stop + margin
    return values[top:bottom, left:right]


def _cut(ink: np.ndarray, components: np.ndarray, piece: _Piece) -> Glyph:
    """The ink of a piece with its antialiased edge, without that of other pieces."""
    ink, components = _box(ink, piece, 2), _box(components, piece, 2)
    own = np.isin(components, piece.components)
    edge = cv2.dilate(own.astype(np.uint8), np.ones((5, 5), np.uint8))
    own = np.where(own | ((edge > 0) & (components == 0)), ink, 0)
    return Glyph(own[mask_box(own > STROKE_INK)], piece.start, piece.stop)


def normalise(ink: np.ndarray) -> np.ndarray:
    """A digit's ink, float [h, w] -> uint8 with a longer side of INK_SIDE px and a stroke width common in
    MNIST."""
    mended = resize(ink, MENDING_SIDE)
    width = stroke_width(mended)
    if width > STROKES[1]:
        ink = _change_strokes(mended, max(min(width, _usual_width(mended)), STROKE))
    elif width < STROKES[0]:
        ink = _change_strokes(mended, width)
    small = resize(ink, INK_SIDE)
    return (small * (255 / small.max())).round().astype(np.uint8)


def is_solid(ink: np.ndarray) -> bool:
    """Whether a mark [h, w] is a blot and no stroke: little longer than it is wide, and nearly filled."""
    mask = np.pad(ink > STROKE_INK, 1).astype(np.uint8)
    widest = 2 * cv2.distanceTransform(mask, cv2.DIST_L2, 5).max()
    return max(ink.shape) < 1.8 * min(ink.shape) and widest > 0.8 * min(ink.shape)


def is_uneven(ink: np.ndarray) -> bool:
    """Whether a fifth of a mark [h, w], without its outline, has less than 70% of its usual ink."""
    inner = ink[cv2.erode(np.pad(ink > STROKE_INK, 1).astype(np.uint8), np.ones((3, 3)))[1:-1, 1:-1] > 0]
    return bool(inner.size) and float(np.mean(inner < 0.7 * np.quantile(inner, 0.9))) > 0.2


def stroke_width(ink: np.ndarray) -> float:
    """The mean stroke width in px: twice the area over the length of the outline.

    By the co-area formula, the outline's length times 255 is the total variation.
    """
    padded = np.pad(ink.astype(np.float64), 1)
    return 2 * padded.sum() / np.hypot(np.diff(padded, axis=0)[:, 1:], np.diff(padded, axis=1)[1:]).sum()


def _usual_width(ink: np.ndarray) -> float:
    """The median width of strokes along their middle, px: a filled loop counts little."""
    inside = cv2.distanceTransform(np.pad(ink > 127, 1).astype(np.uint8), cv2.DIST_L2, 5)
    middle = (inside > 1) & (inside >= cv2.dilate(inside, np.ones((3, 3), np.uint8)))
    return 2 * float(np.median(inside[middle])) if middle.any() else np.inf


def _change_strokes(ink: np.ndarray, width: float) -> np.ndarray:
    """Strokes of `width` grown or shrunk towards STROKE by greyscale dilation or erosion with an octagon."""
    # Growth by r on each side also enlarges the digit, which is then scaled back to MENDING_SIDE:
    # (width + 2 r) * side / (side + 2 r) = STROKE.
    r = round((STROKE - width) / 2 * MENDING_SIDE / (MENDING_SIDE - STROKE))
    change, x = cv2.dilate if r > 0 else cv2.erode, np.pad(ink, max(r, 0) + 1).astype(np.float32)
    for step in range(abs(r)):
        shape = cv2.MORPH_CROSS if step % 2 else cv2.MORPH_RECT
        x = change(x, cv2.getStructuringElement(shape, (3, 3)))
    x = x.clip(0, 255)
    return x[mask_box(x > STROKE_INK)] if (x > STROKE_INK).any() else ink


def resize(ink: np.ndarray, side: int) -> np.ndarray:
    """Ink, float [h, w], resized with antialiasing to a longer side of `side` px; in 0..255."""
    height, width = (max(round(edge * side / max(ink.shape)), 1) for edge in ink.shape)
    if (height, width) == ink.shape:
        return ink
    pixels: Tensor = torch.from_numpy(ink.copy()).float()[None, None]
    return F.interpolate(pixels, (height, width), mode="bicubic", antialias=True)[0, 0].clamp(0, 255).numpy()
