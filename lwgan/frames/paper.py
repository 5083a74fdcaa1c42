"""Marks on paper: from a photograph or a scan to the amount of ink at each pixel.

Shadows are taken away (`lwgan.frames.light`), and a sheet on a table is cut out and seen from above. A median
over a window twice as wide as a stroke estimates the paper's colour at each pixel. Ink is what differs from
the paper along the colour axis of most contrast. Rulings are removed. Lengths are shares of the mean side,
the root of the picture's area.
"""

from typing import NamedTuple

import cv2
import numpy as np

from lwgan.frames.light import evened

STROKE_INK = 48  # of 255: pixels with more ink are connected to strokes
MIN_CONTRAST = 24  # of 255: a picture whose ink differs less from its paper counts as blank
LIGHT = 200  # of 255: the paper's lightness to which uneven light is brought
DARKEST = 24  # of 255: a darker paper's light is not evened, since noise would grow
SHEET_SIDE = 240  # px: the mean side at which sheets are looked for
SHEET = (0.15, 0.93)  # of the picture: the area of a sheet
CONVEX = 0.93  # of its hull: the least area of a sheet
CELL = (0.3, 0.85)  # of the sides of a drawn cell: the size of a mark in it
# A shadow takes about the same share of each colour. A larger factor between shares means another material.
TINT = 1.15


class Sheet(NamedTuple):
    """What may be a sheet on a table.

    hull: its outline, int32 [K, 1, 2] (x, y).  quad: its corners [4, 2] if all are seen.
    table: whether what surrounds it cannot be the same paper in another light.
    """

    hull: np.ndarray
    quad: np.ndarray | None
    table: bool


class Paper(NamedTuple):
    """The paper under the ink.

    colour: at each pixel [H, W, 3].  gain: the factor [H, W] that evens its light.
    clean: whether it is of one colour, as in a drawing.
    """

    colour: np.ndarray
    gain: np.ndarray
    clean: bool


class Marks(NamedTuple):
    """ink: float [h, w] in 0..255.  matrix: [3, 3], from its pixels to the picture's.
    faint: whether the ink hardly stands out from the noise.  cells: whether lines around marks were left out.
    sheet: its outline [K, 2] (x, y) if one is seen.
    """

    ink: np.ndarray
    matrix: np.ndarray
    faint: bool
    cells: bool
    sheet: np.ndarray | None = None


def find_marks(pixels: np.ndarray, stroke: float) -> Marks:
    """The ink of a picture, uint8 [H, W, 3], or of the sheet in it. ValueError if nothing stands out.

    stroke: the widest stroke in uneven light, a share of the mean side.
    """
    pixels = evened(pixels)
    sheet, axis = find_sheet(pixels), None
    if sheet is not None:
        page, inside, matrix = _cut(pixels, sheet)
        try:
            ink, axis, peak, noise = _ink(page, stroke, inside)
            if sheet.table or not _crossed(pixels, sheet, axis, peak, stroke):
                outline = sheet.hull[:, 0] if sheet.quad is None else sheet.quad
                ink, cells = without_lines(ink)
                return Marks(ink, matrix, peak < 8 * noise, cells, outline)
        except ValueError:
            if sheet.table:
                raise
    ink, _, peak, noise = _ink(pixels, stroke, axis=axis)
    ink, cells = without_lines(ink)
    return Marks(ink, np.eye(3), peak < 8 * noise, cells)


# Sheets


def find_sheet(pixels: np.ndarray) -> Sheet | None:
    """The largest smooth convex region with at most six straight edges, if it is not the whole picture."""
    scale = min(SHEET_SIDE / _side(pixels), 1)
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = cv2.medianBlur(small, 5)
    channels = map(np.ascontiguousarray, small.transpose(2, 0, 1))
    edges = np.max([cv2.Canny(channel, 20, 50) for channel in channels], 0)
    smooth = (cv2.dilate(edges, np.ones((3, 3), np.uint8)) == 0).astype(np.uint8)
    _, regions, stats, _ = cv2.connectedComponentsWithStats(smooth, connectivity=4)
    for region in 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA])[:3]:
        mask = (regions == region).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        outline = max(outlines, key=cv2.contourArea)
        area, hull = cv2.contourArea(outline), cv2.convexHull(outline)
        corners = cv2.approxPolyDP(hull, 0.03 * cv2.arcLength(hull, True), True)
        least = CONVEX * cv2.contourArea(hull)
        straight = len(corners) <= 6 and cv2.contourArea(corners) >= least
        if SHEET[0] < area / mask.size < SHEET[1] and area >= least and straight:
            hull = (hull / scale).round().astype(np.int32)
            if not _filled(hull, pixels).all():
                return _sheet(hull, corners[:, 0] / scale, pixels)
    return None


def _sheet(hull: np.ndarray, corners: np.ndarray, pixels: np.ndarray) -> Sheet:
    edge, inside = np.array(pixels.shape[1::-1]), _filled(hull, pixels)
    whole = len(corners) == 4 and bool(((corners > 0.015 * edge) & (corners < 0.985 * edge)).all())
    share = np.median(pixels[~inside], 0) / np.median(pixels[inside], 0).clip(1)
    # The corners of a shadow are hardly all in the picture. Within a drawn box the light is that around it.
    table = share.max() > TINT * share.min() or (whole and abs(share.mean() - 1) > 0.1)
    return Sheet(hull, corners if whole else None, bool(table))


def _filled(hull: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    return cv2.fillPoly(np.zeros(pixels.shape[:2], np.uint8), [hull], 1) > 0


def _cut(pixels: np.ndarray, sheet: Sheet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sheet from above, uint8 [h, w, 3], which pixels belong to it [h, w], and the matrix of `Marks`.

    Of a sheet that the picture cuts off, the table takes the colour of the paper.
    """
    if sheet.quad is None:
        inside = cv2.erode(_filled(sheet.hull, pixels).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        paper = np.median(pixels[inside], 0).astype(np.uint8)
        return np.where(inside[..., None], pixels, paper), inside, np.eye(3)
    away = sheet.quad - sheet.quad.mean(0)
    quad = sheet.quad[np.arctan2(away[:, 1], away[:, 0]).argsort()]  # clockwise
    quad = np.roll(quad, -int(quad.sum(1).argmin()), 0)  # from the upper left
    sides = np.linalg.norm(quad - np.roll(quad, -1, 0), axis=1)
    size = np.array([sides[::2].mean(), sides[1::2].mean()]).astype(int)
    unit = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    target = unit * size + (2 * unit - 1) * 0.02 * size.min()  # without the sheet's edges
    matrix = cv2.getPerspectiveTransform(np.float32(quad), np.float32(target))
    page = cv2.warpPerspective(pixels, matrix, tuple(size.tolist()), borderMode=cv2.BORDER_REPLICATE)
    return page, np.ones(page.shape[:2], bool), np.linalg.inv(matrix)


def _crossed(pixels: np.ndarray, sheet: Sheet, axis: np.ndarray, peak: float, stroke: float) -> bool:
    """Whether strokes as strong as those on a sheet cross its outline or lie outside.

    If so, the sheet is no sheet but a part of the paper in another light.
    Many strokes outside are the grain of a table.
    """
    mask = _along(pixels, paper_of(pixels, stroke), axis, stroke) > peak / 2
    inside, side, strokes = _filled(sheet.hull, pixels), _side(pixels), 0
    for left, top, width, height, area in cv2.connectedComponentsWithStats(mask.astype(np.uint8))[2][1:]:
        large = max(width, height) > 0.06 * side and min(width, height) > 0.015 * side
        box = inside[top : top + height, left : left + width]
        strokes += bool(large and area > 0.0005 * mask.size and box.mean() < 0.8)
    return 0 < strokes <= 4


# Ink


def _side(pixels: np.ndarray) -> float:
    return float(np.sqrt(pixels.shape[0] * pixels.shape[1]))


def _square(side: float) -> np.ndarray:
    return np.ones((int(side) | 1,) * 2, np.uint8)


def paper_of(pixels: np.ndarray, stroke: float) -> Paper:
    """The paper of a picture, uint8 [H, W, 3], whose strokes are narrower than this share of its side."""
    window = 2 * stroke * _side(pixels)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.float32)
    for middle in (lambda: np.median(border, 0), lambda: np.median(pixels[::4, ::4], (0, 1))):
        colour = middle().astype(np.float32)
        on_border = np.mean(np.abs(border - colour).max(1) <= 3)
        other = 1 - cv2.inRange(pixels, *(colour + np.array([[-3], [3]]))) // 255
        if on_border > 0.3 and other.mean() < 0.7:
            widest = _square(0.5 * _side(pixels) if on_border > 0.9 else window)
            if not cv2.erode(other, widest).any():
                return Paper(np.broadcast_to(colour, pixels.shape), np.ones(pixels.shape[:2]), True)
    colour = cv2.medianBlur(pixels, min(int(window) | 1, 255)).astype(np.float32)
    light = colour @ np.full(3, 1 / 3, np.float32)
    middle = float(np.median(light))
    gain = LIGHT / light.clip(max(DARKEST, middle / 4)) if middle > 2 * DARKEST else np.ones_like(light)
    return Paper(colour, gain, False)


def _ink(
    pixels: np.ndarray, stroke: float, inside=None, axis=None
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Ink [H, W] in 0..255, the axis [3] along which it differs from the paper, by how much, and the noise.

    inside: the pixels [H, W] to look at.  axis: if known.
    """
    paper = paper_of(pixels, stroke)
    inside = np.ones(pixels.shape[:2], bool) if inside is None else inside
    if axis is None:
        axis = _axis(((pixels - paper.colour) * paper.gain[..., None])[inside])
        axis = max(axis, -axis, key=lambda axis: ((_along(pixels, paper, axis, stroke) * inside) ** 2).sum())
    ink = _along(pixels, paper, axis, stroke) * inside
    values = (((pixels - paper.colour) @ axis) * paper.gain)[inside]
    noise = float(1.4826 * np.median(np.abs(values - np.median(values))))
    peak = float(np.sort(ink, axis=None)[-max(10, ink.size // 2000) :].mean())
    if peak < max(MIN_CONTRAST, 4 * noise):
        raise ValueError("the picture is blank: there is no ink that stands out from the paper")
    floor = min(4 * noise, peak / 2) if noise > 1 else 0
    return ((ink - floor) / (peak - floor)).clip(0, 1) * 255, axis, peak, noise


def _axis(difference: np.ndarray) -> np.ndarray:
    """The colour axis [3] of the strongest differences [N, 3]; a grey difference keeps its amount."""
    length = np.einsum("ij,ij->i", difference, difference)
    strong = difference[length >= np.quantile(length, 0.97)]
    return (np.linalg.eigh(strong.T @ strong)[1][:, -1] / np.sqrt(3)).astype(np.float32)


def _along(pixels: np.ndarray, paper: Paper, axis: np.ndarray, stroke: float) -> np.ndarray:
    """By how much pixels differ from the paper in the direction of an axis, >= 0, [H, W].

    Ink takes away a share of the light, so that the difference is evened. In uneven light it must also be
    narrower than the widest stroke: where a shadow's edge meets the picture's, the median is wrong.
    """
    ink = np.maximum((pixels - paper.colour) @ axis, 0)
    if not paper.clean:
        square = _square(stroke * _side(pixels))
        pad = len(square)
        amount = cv2.copyMakeBorder(
            pixels.astype(np.float32) @ axis, pad, pad, pad, pad, cv2.BORDER_REPLICATE
        )
        ink = np.minimum(ink, cv2.morphologyEx(amount, cv2.MORPH_TOPHAT, square)[pad:-pad, pad:-pad])
    return ink * paper.gain


# Rulings


def without_lines(ink: np.ndarray) -> tuple[np.ndarray, bool]:
    """Ink [H, W] without thin lines from edge to edge and cells, and whether there were cells.

    Strokes across a line stay whole.
    """
    mask = (ink > STROKE_INK / 2).astype(np.uint8)
    left = _without_cells(mask)
    cells = left is not mask
    lines = _lines(left, 0.5)
    left = _erased(left, lines)
    if len(lines) > 2:  # rulings: those across a corner are shorter
        angles = np.array([_angle(line) for line in lines])
        turned = lambda line: np.abs((_angle(line) - angles + 90) % 180 - 90).min()
        left = _erased(left, [line for line in _lines(left, 0.08) if turned(line) < 1.5])
        left = _without_ends(left, turned)
    lost = cv2.dilate(mask & ~left & 1, np.ones((3, 3), np.uint8)) > left
    return np.where(lost, 0, ink), cells


def _without_cells(mask: np.ndarray) -> np.ndarray:
    """A mask [H, W] without thin outlines that close around a mark, such as the cells of a form."""
    _, components, stats, _ = cv2.connectedComponentsWithStats(mask)
    large = [k for k in range(1, len(stats)) if stats[k, 2:4].max() > 0.03 * _side(mask)]
    cells = [k for k in large if any(_encloses(components, stats, k, other) for other in large)]
    return np.where(np.isin(components, cells), np.uint8(0), mask) if cells else mask


def _encloses(components: np.ndarray, stats: np.ndarray, cell: int, other: int) -> bool:
    """Whether another component lies in a hole of this thin one, and is neither a dot nor as large as it."""
    left, top, width, height, area = stats[cell]
    x, y, wide, tall, _ = stats[other]
    around = left < x and top < y and left + width > x + wide and top + height > y + tall
    if not around or not CELL[0] < max(wide / width, tall / height) < CELL[1] or area > 0.35 * width * height:
        return False
    box = components[top : top + height, left : left + width]
    outlines, _ = cv2.findContours((box == cell).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros(box.shape, np.uint8), outlines, -1, 1, cv2.FILLED)
    return bool(filled[box == other].all())


def _without_ends(mask: np.ndarray, turned) -> np.ndarray:
    """A mask [H, W] without what is left of rulings that the picture's edge cuts off lengthwise.

    turned: the angle between a line [2, 2] and the nearest ruling, degrees.
    """
    _, components, stats, _ = cv2.connectedComponentsWithStats(mask)
    for k, (left, top, width, height, _) in enumerate(stats[1:], 1):
        if min(left, top) > 2 and left + width < mask.shape[1] - 2 and top + height < mask.shape[0] - 2:
            continue
        corners = cv2.boxPoints(cv2.minAreaRect(np.argwhere(components == k)[:, ::-1].astype(np.float32)))
        short, long = sorted((corners[1:3] - corners[:2]).tolist(), key=lambda side: np.hypot(*side))
        if np.hypot(*long) > 4 * (np.hypot(*short) + 1) and turned(np.array([(0, 0), long])) < 6:
            mask = np.where(components == k, np.uint8(0), mask)
    return mask


def _erased(mask: np.ndarray, lines: list[np.ndarray]) -> np.ndarray:
    """A mask [H, W] without lines, but with what is thicker than they."""
    left = mask
    for upright in (False, True):
        drawn = np.zeros_like(mask)
        for ends in lines:
            if (45 < _angle(ends) < 135) == upright:
                cv2.line(drawn, *ends.round().astype(int).tolist(), 1)
        across = lambda length, upright=upright: np.ones((1, length) if upright else (length, 1), np.uint8)
        width = _width(mask, drawn, across)
        thick = cv2.morphologyEx(left, cv2.MORPH_OPEN, across(width + 3))
        left = left & ~(cv2.dilate(drawn, _square(width + 4)) & ~thick & 1)
    return left


def _lines(mask: np.ndarray, shortest: float) -> list[np.ndarray]:
    """The ends [2, 2] (x, y) of lines from edge to edge of a mask, longer than this share of its side."""
    side, near = min(mask.shape), cv2.dilate(mask, np.ones((3, 3), np.uint8))
    votes, length = max(int(0.12 * side * min(2 * shortest, 1)), 12), 0.8 * shortest * side
    found = cv2.HoughLinesP(mask, 1, np.pi / 360, votes, None, length, 0.03 * side)
    lines = []
    for segment in () if found is None else found.reshape(-1, 4).astype(float):
        ends = _chord(*segment, mask.shape)
        steps = int(np.hypot(*(ends[1] - ends[0])))
        xs, ys = np.linspace(*ends, steps + 1).round().astype(int).T
        if steps > shortest * side and near[ys, xs].mean() > 0.9:
            lines.append(ends)
    return lines


def _chord(x0: float, y0: float, x1: float, y1: float, shape: tuple[int, int]) -> np.ndarray:
    """The ends [2, 2] (x, y) of the line through two points, within a picture of `shape` (h, w)."""
    start, step, last = np.array([x0, y0]), np.array([x1 - x0, y1 - y0]), np.array(shape[::-1]) - 1
    moves = step != 0
    times = np.stack([-start[moves], (last - start)[moves]]) / step[moves]
    return np.array([start + times.min(0).max() * step, start + times.max(0).min() * step])


def _angle(ends: np.ndarray) -> float:
    """Of a line, degrees in 0..180."""
    return float(np.degrees(np.arctan2(*(ends[1] - ends[0])[::-1])) % 180)


def _width(mask: np.ndarray, drawn: np.ndarray, across) -> int:
    """The usual width of lines, px: most of their pixels do not belong to longer runs across."""
    on = (drawn & mask) > 0
    for width in range(1, 12):
        if not on.any() or cv2.morphologyEx(mask, cv2.MORPH_OPEN, across(width + 1))[on].mean() < 0.4:
            return width
    return 12
