"""Things that people wear.

Clothes, necklace and necktie are painted on neck and shoulders; hat, glasses and earrings are small meshes.
"""

import dataclasses

import numpy as np

from trainers.datasets.synthfaces.canvas import Canvas, mix, smoothstep
from trainers.datasets.synthfaces.hair import AXIS, COLUMNS, ROWS, grid
from trainers.datasets.synthfaces.head import Head, template
from trainers.datasets.synthfaces.painting import Colour, Places


@dataclasses.dataclass(frozen=True)
class Worn:
    """What a person wears. Strengths run from 0 (not worn) to 1; colours are [3] in [0, 1].

    Of the glasses, `rim` is the thickness, `square` the shape (0 round, 1 square) and `tint` the darkness (0
    clear, 1 black). `hat_height` is in [0, 1]; `bulk` is the height of the hair under the hat in decimetres.
    """

    cloth: Colour
    metal: Colour
    tie_colour: Colour
    hat_colour: Colour
    frame_colour: Colour
    tie: float
    necklace: float
    earrings: float
    hat: float
    hat_height: float
    bulk: float
    glasses: float
    rim: float
    square: float
    tint: float


def dress(colour: np.ndarray, worn: Worn, at: Places) -> tuple[np.ndarray, np.ndarray]:
    """Skin [K, 3] with clothes, tie and necklace over it; also how much of each fragment is cloth, [K]."""
    neckline = 5.70 + 0.55 * at.side**2 + worn.tie * (0.26 + 0.2 * at.side - 0.5 * at.side**2)
    cover = smoothstep(neckline - at.y, 0, 0.03) * (1 - smoothstep(at.y, 6.1, 6.25))
    cloth = np.broadcast_to(worn.cloth, colour.shape).astype(np.float32)
    collar = np.exp(-(((at.y - neckline + 0.05) / 0.06) ** 2))
    cloth = mix(cloth, [0.95, 0.95, 0.96], worn.tie * np.maximum(collar, (at.side < 0.4) * 0.8))  # the shirt
    width = 0.09 + 0.10 * np.clip(5.95 - at.y, 0, 1)
    cloth = mix(cloth, worn.tie_colour, worn.tie * (1 - smoothstep(at.side, width, width + 0.02)))
    colour = mix(colour, cloth, cover)
    if worn.necklace:
        colour = _necklace(colour, worn, at)
    return colour, cover


def _necklace(colour: np.ndarray, worn: Worn, at: Places) -> np.ndarray:
    """Beads round the neck with a pendant; high enough for the picture's frame."""
    line = 5.99 + 0.62 * at.side**2
    behind = smoothstep(at.z, -0.1, 0.1) * (1 - smoothstep(at.y, 6.35, 6.5))
    string = np.exp(-(((at.y - line) / 0.050) ** 4)) * behind
    beads = 0.62 + 0.38 * np.cos(at.x * 58)
    pendant = np.exp(-((at.x / 0.075) ** 4) - ((at.y - 5.90) / 0.075) ** 4) * (at.z > 0.3)
    shade = np.exp(-(((at.y - line + 0.07) / 0.04) ** 2)) * behind
    colour = colour * (1 - 0.35 * worn.necklace * shade)[:, None]
    metal = worn.metal * (0.55 + 0.6 * beads)[:, None]
    return mix(colour, metal, worn.necklace * np.maximum(string, pendant))


def draw_hat(canvas: Canvas, head: Head, worn: Worn) -> None:
    """A knitted beanie with a darker brim."""
    rise = np.linspace(-0.12, np.pi / 2 - 0.02, ROWS, dtype=np.float32)[:, None]
    angle = np.linspace(0, 2 * np.pi, COLUMNS, dtype=np.float32)[None]
    fat = 0.07 + worn.bulk * 0.2 + (rise < 0.20) * 0.05
    bow = np.cos(rise) ** 0.8
    place = [(0.79 + fat) * bow * np.sin(angle),
             7.80 + 0.12 * np.cos(angle) + (0.78 + 0.25 * worn.hat_height) * np.sin(rise),
             AXIS + (1.0 + fat) * bow * np.cos(angle)]  # fmt: skip
    points = np.stack(np.broadcast_arrays(*place), 2).reshape(-1, 3).astype(np.float32)
    at = canvas.fragments(head.fit(points), grid(ROWS, COLUMNS), points).facing
    around = np.arctan2(at.place[:, 0], at.place[:, 2] - AXIS)
    brim = at.place[:, 1] - 7.80 - 0.12 * np.cos(around) < 0.16
    ribs = 0.9 + 0.1 * np.sin(around * 26)
    diffuse, _ = canvas.shade(at.normal)
    canvas.put(at, worn.hat_colour * (np.where(brim, 0.7, 1.0) * ribs)[:, None] * diffuse, lift=0.05)


def draw_glasses(canvas: Canvas, head: Head, worn: Worn) -> None:
    """Tinted lenses, two rims, the bridge and the temples that run to the ears."""
    turn = np.linspace(0, 2 * np.pi, 29)
    power = 1 - 0.45 * worn.square
    x, y = (np.sign(wave) * np.abs(wave) ** power for wave in (np.cos(turn), np.sin(turn)))
    x, y = 0.265 * x, 0.185 * y
    front = max(head.vertices[eye, 2].max() for eye in template().eyes) + 0.22
    thin, thick = 0.012 + 0.014 * worn.rim, 0.016 + 0.008 * worn.rim
    tubes = []
    for eye in (head.left, head.right):
        centre, height = eye[0] * 1.06, eye[1] - 0.03
        _tint(canvas, np.stack([centre + x, height + y, np.full_like(x, front)], 1), power, worn)
        place = [centre + x, height + y, front - 0.12 * ((centre + x) / 0.6) ** 2]
        tubes.append(tube(np.stack(place, 1), thin))
        ear = np.abs(head.vertices[template().lobes, 0]).mean() - 0.02
        back = np.linspace(0, 1, 7)
        side = np.sign(eye[0]) * ((abs(centre) + 0.26) * (1 - back) + ear * back)
        place = [side, np.full(7, eye[1] + 0.03), (front - 0.25) * (1 - back) + 0.5 * back]
        tubes.append(tube(np.stack(place, 1), thick))
    over = np.linspace(-1, 1, 7)
    bridge = np.stack([over * (head.left[0] * 1.06 - 0.26), head.left[1] + 0.03 + 0.03 * (1 - over**2),
                      np.full(7, front + 0.03)], 1)  # fmt: skip
    _props(canvas, [*tubes, tube(bridge, thick)], worn.frame_colour, 0.25)


def _tint(canvas: Canvas, rim: np.ndarray, power: float, worn: Worn) -> None:
    """Darkens all that lies behind a lens, and adds the sky's faint reflection."""
    size = canvas.camera.size
    screen = canvas.camera.project(rim)[:-1, :2]
    centre, radius = screen.mean(0), np.ptp(screen, axis=0) / 2
    row, column = np.divmod(np.arange(size * size), size)
    x, y = np.abs(column + 0.5 - centre[0]) / radius[0], np.abs(row + 0.5 - centre[1]) / radius[1]
    lens = x ** (2 / power) + y ** (2 / power) < 1
    glass = np.array([0.06, 0.07, 0.09]) * worn.tint + 0.035
    canvas.colour[lens] = canvas.colour[lens] * (1 - worn.tint) + glass


def draw_earrings(canvas: Canvas, head: Head, worn: Worn) -> None:
    """Drops at the lobes. They hang outside of the hair, so that hair never hides them."""
    for lobe in template().lobes:
        centre = head.vertices[lobe] + [0.03 * np.sign(head.vertices[lobe, 0]), -0.11, 0.05]
        drop = ellipsoid(centre, np.array([0.055, 0.11, 0.055]) * (0.5 + 0.8 * worn.earrings))
        _props(canvas, [drop], worn.metal, 0.5, lift=0.3)


def _props(canvas: Canvas, meshes: list, colour: Colour, gloss: float, lift: float = 0.0) -> None:
    starts = np.cumsum([0, *(len(points) for points, _ in meshes)])
    points = np.concatenate([points for points, _ in meshes])
    numbered = [triangles + start for (_, triangles), start in zip(meshes, starts, strict=False)]
    triangles = np.concatenate(numbered).astype(np.int32)
    at = canvas.fragments(points, triangles).facing
    diffuse, highlight = canvas.shade(at.normal, gloss, 12)
    canvas.put(at, colour * diffuse + highlight, lift=lift)


def tube(path: np.ndarray, radius: float, around: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A tube along a path [P, 3]: points [P * around, 3] and triangles."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    first = np.cross(along, [0.1, 0.2, 1.0])  # any direction that no tube of ours runs in
    first /= np.linalg.norm(first, axis=1, keepdims=True) + 1e-9
    second = np.cross(along, first)
    turn = np.linspace(0, 2 * np.pi, around)[None, :, None]
    points = path[:, None] + radius * (np.cos(turn) * first[:, None] + np.sin(turn) * second[:, None])
    return points.reshape(-1, 3), grid(len(path), around)


def ellipsoid(centre: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [90, 3] and triangles of an ellipsoid."""
    down, turn = np.linspace(0, np.pi, 9)[:, None], np.linspace(0, 2 * np.pi, 10)[None]
    axes = np.sin(down) * np.cos(turn), np.cos(down), np.sin(down) * np.sin(turn)
    unit = np.stack(np.broadcast_arrays(*axes), 2)
    return centre + radii * unit.reshape(-1, 3), grid(9, 10)
