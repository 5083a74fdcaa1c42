"""Hair: a cap on the scalp and, for long hair, a curtain round the head; strands are painted on both."""

import dataclasses

import numpy as np

from trainers.datasets.synthfaces.canvas import Canvas, Fragments, smoothstep
from trainers.datasets.synthfaces.head import Head, template

# The hairline: height in decimetres by the angle about the vertical axis (0 = front, pi = back) at the
# forehead, the temple, before the ear, above it and at the nape.
ANGLES = np.array([0, 0.4, 0.7, 0.95, 1.12, 1.3, 1.5, 1.75, 2.0, 3.2], np.float32)
HEIGHTS = np.array([7.97, 7.96, 7.88, 7.68, 7.22, 7.3, 7.36, 7.25, 6.9, 6.7], np.float32)
AXIS = 0.45  # z of the vertical axis through the skull
ROWS, COLUMNS = 34, 64  # of the curtain's and the hat's mesh


@dataclasses.dataclass(frozen=True)
class Hair:
    """How the hair looks.

    `colour` [3] in [0, 1]; `length` from 0 (short) to 1 (to the shoulders). From 0 to 1: `wave`, `straight`
    (smooth and glossy), `recede`, `bangs`, `lift` (brushed up at the front). In decimetres: `volume`, `line`
    (how much higher the hairline is), `part` (x of the parting). In radians: `opening` (the angle at which
    long hair leaves the face free), `phase` of the strands."""

    colour: np.ndarray
    length: float
    wave: float
    straight: float
    volume: float
    recede: float
    bangs: float
    lift: float
    line: float
    part: float
    opening: float
    phase: float


def angle_of(x, z):
    """Angle about the vertical axis, 0 in front to pi behind, the same on both sides."""
    return np.arctan2(np.abs(x), z - AXIS)


def hairline(hair: Hair, angle, x) -> np.ndarray:
    """Height of the hairline, in decimetres on the template head."""
    bays = np.exp(-(((angle - 0.46) / 0.30) ** 2)) + 0.35 * np.exp(-((angle / 0.5) ** 2))
    fringe = 0.43 + 0.03 * np.sin(x * 19 + hair.phase) + 0.02 * np.sin(x * 47 + 2 * hair.phase)
    fringe = fringe * (1 - smoothstep(angle, 0.60, 0.92))
    front = 1 - smoothstep(angle, 0.7, 1.1)
    return (np.interp(angle, ANGLES, HEIGHTS).astype(np.float32) + hair.line * front
            + hair.recede * 0.32 * bays - hair.bangs * fringe)  # fmt: skip


def shadow(hair: Hair | None, at) -> np.ndarray:
    """[K]: how much hair darkens the skin, by its roots and a soft shadow. `at`: painting.Places."""
    if hair is None:
        return np.zeros(len(at.x), np.float32)
    below = hairline(hair, angle_of(at.x, at.z), at.x) - at.y
    soft = (0.20 + 0.12 * hair.bangs) * np.exp(-np.clip(below, 0, None) / 0.07) * (at.z > 0.4)
    neck = smoothstep(6.5 - at.y, 0, 0.3) * smoothstep(at.side, 0.25, 0.6)
    curtain = 0.30 * smoothstep(hair.length, 0, 0.3) * neck
    return np.clip(np.maximum(soft, curtain), 0, 0.45)


def draw(canvas: Canvas, head: Head, hair: Hair, hat: bool) -> None:
    """Short hair is the cap alone; under a hat the cap lies flat."""
    if hair.length > 0:
        _curtain(canvas, head, hair)
    base = template()
    x, y, z = base.vertices.T
    above = y - hairline(hair, angle_of(x, z), x)
    thick = _thickness(hair, x, y, z, above)
    if hat:
        thick = thick * (1 - 0.95 * smoothstep(y, 7.55, 7.75))
    points = head.vertices + head.normals * (thick + 0.012)[:, None]
    at = canvas.fragments(points, base.scalp, base.vertices)
    x, y, z = at.place.T
    ragged = 0.010 * np.sin(x * 57 + z * 40 + 2 * np.sin(x * 9))
    ragged = ragged + 0.010 * np.sin(x * 141 - z * 97 + hair.phase)
    above = y - hairline(hair, angle_of(x, z), x) + ragged
    darkest, end = (0.86, 0.1) if hair.bangs else (0.72, 0.16)
    roots = darkest + (1 - darkest) * smoothstep(above, 0.0, end)
    strands = _strands(canvas, hair, at, x - hair.part) * roots[:, None]
    canvas.put(at, strands, smoothstep(above, -0.01, 0.075), lift=0.004)


def _thickness(hair: Hair, x, y, z, above) -> np.ndarray:
    """Decimetres of hair on the scalp: none at the hairline, most on top, uneven, thin in the parting."""
    top = smoothstep(y, 7.9, 8.4)
    # Beside the forehead the hairline is steep: thick hair would stand off and show the background behind it.
    flat = (1 - smoothstep(angle_of(x, z), 0.95, 1.6)) * (1 - smoothstep(y, 7.6, 7.95))
    full = hair.volume * (1.3 - 0.3 * (hair.length > 0)) + 0.07 * hair.wave
    grown = full * smoothstep(above, -0.02, 0.34) * (1 + 0.6 * top)
    grown = grown + 0.05 * hair.bangs * smoothstep(above, 0, 0.12)
    front = np.exp(-((angle_of(x, z) / 0.75) ** 2)) * smoothstep(above, 0.0, 0.25)
    grown = grown + 0.16 * hair.lift * front * (1 - 0.5 * np.tanh(2 * hair.part) * np.tanh(3 * x))
    uneven = (1 + 0.14 * np.sin(9 * x + hair.phase) * np.sin(7 * z + 2 * hair.phase)
              + 0.10 * np.sin(21 * x + 13 * y + 3 * hair.phase))  # fmt: skip
    curls = 1 + 0.28 * hair.wave * np.sin(7 * x + hair.phase) * np.sin(7 * y + 3 * z)
    parting = 1 - 0.55 * np.exp(-(((x - hair.part) / 0.07) ** 2)) * top * (z > 0.2) * (1 - 0.6 * hair.lift)
    return grown * uneven * curls * parting * (1 - 0.9 * flat)


def _curtain(canvas: Canvas, head: Head, hair: Hair) -> None:
    """Long hair behind and beside the face: a surface round the head from under the cap to a ragged end."""
    end = 7.15 - 2.1 * hair.length
    height = np.linspace(end - 0.25, 8.15, ROWS, dtype=np.float32)[:, None]
    angle = np.linspace(hair.opening, 2 * np.pi - hair.opening, COLUMNS, dtype=np.float32)[None]
    bulge = hair.volume * 0.8 + 0.16 * hair.wave
    radius = np.interp(height, [4.5, 6.0, 6.6, 7.3, 7.8, 8.15], [1.05, 0.98, 0.93, 0.89, 0.80, 0.58])
    radius = radius.astype(np.float32)
    radius = radius + bulge * np.interp(height, [6, 7.3, 7.9, 8.15], [1.25, 1.0, 0.5, 0.1]).astype(np.float32)
    ripple = (hair.wave * 0.06 * np.sin(height * 8.5 + hair.phase + 2.1 * np.sin(angle * 2))
              * smoothstep(8.0 - height, 0, 0.5))  # fmt: skip
    locks = (0.022 * np.sin(angle * 23 + hair.phase + 1.5 * np.sin(height * 2.3))
             * smoothstep(7.6 - height, 0, 0.6))  # fmt: skip
    round_head = radius + ripple + locks
    sides = np.abs(np.cos(angle)) < 0.9
    back = 0.05 + 0.35 * smoothstep(6.6 - height, 0, 0.7) * sides
    place = [round_head * np.sin(angle), height + 0 * angle,
             AXIS + (round_head + 0.08 * radius) * np.cos(angle) - back]  # fmt: skip
    points = np.stack(place, 2).reshape(-1, 3).astype(np.float32)
    at = canvas.fragments(head.fit(points), grid(ROWS, COLUMNS), points).facing
    x, y, z = at.place.T
    around = np.arctan2(x, z - AXIS)
    tips = (end + 0.06 * np.sin(around * 31 + hair.phase) + 0.05 * np.sin(around * 73)
            + 0.10 * np.sin(around * 5 + hair.phase))  # fmt: skip
    alpha = smoothstep(y, tips, tips + 0.16)
    deep = 0.55 + 0.45 * smoothstep(z, 0.05, 0.55)  # behind the neck little light arrives
    canvas.put(at, _strands(canvas, hair, at, x) * deep[:, None], alpha)


def _strands(canvas: Canvas, hair: Hair, at: Fragments, from_part: np.ndarray) -> np.ndarray:
    """Colours [K, 3] of hair that falls from the parting: fine strands, with gloss where they bend."""
    x, y, z = at.place.T
    around = np.arctan2(x, z - AXIS)
    top = smoothstep(y, 7.75, 8.15) * (
        1 - hair.bangs * (z > 0.9)
    )  # there hair is combed sideways; elsewhere it hangs
    swing = hair.wave * 1.9 * np.sin(y * 7 + 2 * np.sin(around * 3) + hair.phase)
    across = around * 1.0 * (1 - top) + (z * 1.5 + 0.4 * np.abs(from_part)) * top
    strand = 14 * across + swing + hair.phase
    fine = np.sin(strand * 4.1 + 1.3 * np.sin(y * 3 + x)) * 0.45 + np.sin(strand * 9.7 + 2 * y) * 0.3
    tone = (0.5 + 0.30 * np.sin(strand) + 0.16 * np.sin(2.3 * strand + 1.7 * y)
            + 0.25 * fine * (1 - 0.3 * hair.straight))  # fmt: skip
    diffuse, _ = canvas.shade(at.normal)
    hanging = np.stack([np.sign(from_part) * top, -1 + 0.7 * top, 0.5 * top], 1)
    tangent = hanging - (hanging * at.normal).sum(1, keepdims=True) * at.normal
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-6
    half = canvas.light + np.array([0, 0, 1], np.float32)
    bend = tangent @ (half / np.linalg.norm(half)) + 0.07 * fine
    gloss = np.sqrt(np.clip(1 - bend**2, 0, 1)) ** (26 + 30 * hair.straight)
    gloss = gloss * (0.16 + 0.24 * hair.straight - 0.06 * hair.wave)
    lit = hair.colour * (0.60 + 0.42 * tone[:, None]) * diffuse
    shine = gloss[:, None] * (0.75 + 0.25 * tone[:, None]) * (0.22 + 0.9 * hair.colour)
    return np.clip(lit + shine, 0, 1).astype(np.float32)


def grid(rows: int, columns: int) -> np.ndarray:
    """Triangles [T, 3] of a mesh of rows x columns points."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1, 1)
    upper, lower = np.array([0, 1, columns]), np.array([1, columns + 1, columns])
    return np.concatenate([corner + upper, corner + lower]).astype(np.int32)
