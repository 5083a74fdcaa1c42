"""Skin, eyes, brows, beard and make-up, painted in the coordinates of the undeformed template head."""

import dataclasses
from typing import NamedTuple

import numpy as np

from trainers.datasets.synthfaces.canvas import Canvas, Fragments, mix, smoothstep
from trainers.datasets.synthfaces.head import EYES, LASHES, SKIN, TEETH, TONGUE, Head, template

Colour = np.ndarray  # [3] in [0, 1]
EYE_SHADOW = np.array([0.36, 0.22, 0.34], np.float32)


@dataclasses.dataclass(frozen=True)
class Paint:
    """Colours [3] in [0, 1] and strengths from 0 (absent) to 1. `brow_height` is in decimetres, `gaze` from
    -1 to 1 (to the head's left)."""

    skin: Colour
    iris: Colour
    brow: Colour
    beard_colour: Colour
    lip_colour: Colour
    gaze: float
    brow_height: float
    lashes: float
    wrinkles: float
    smile: float
    rosy: float
    lipstick: float
    makeup: float
    bags: float
    arched: float
    bushy: float
    beard: float
    mustache: float
    goatee: float
    sideburns: float
    stubble: float


class Places(NamedTuple):
    """Where fragments lie on the template head, each [K]: `x`, `y`, `z` in decimetres; `side` = |x|; `front`:
    1 on the face and 0 behind it; `lip` and `inside` (of the mouth) from 0 to 1."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    side: np.ndarray
    front: np.ndarray
    lip: np.ndarray
    inside: np.ndarray


def draw_head(canvas: Canvas, head: Head, paint: Paint, dress, hair_shadow) -> None:
    """The head with its eyes, teeth and lashes, and the shoulders.

    dress(skin colours, Places) -> (colours with clothes, [K] how much of each fragment is cloth);
    hair_shadow(Places) -> [K], how much the hair darkens the skin below."""
    base = template()
    at = canvas.fragments(head.vertices, base.triangles, base.vertices, base.masks, head.normals)
    parts = base.parts[at.triangle]
    lashes = at.where(parts == LASHES)
    at, parts = at.where(parts != LASHES), parts[parts != LASHES]
    diffuse, _ = canvas.shade(at.normal)
    colour = np.empty((len(parts), 3), np.float32)
    for part, paint_part in ((SKIN, None), (EYES, eyeballs), (TEETH, teeth), (TONGUE, tongue)):
        own = parts == part
        if part == SKIN:
            colour[own] = _lit_skin(canvas, at.where(own), paint, dress, hair_shadow)
        elif own.any():
            colour[own] = paint_part(at.where(own), paint, diffuse[own])
    canvas.put(at, colour)
    black = np.full((len(lashes.pixel), 3), 0.08, np.float32)
    strength = min(1, 0.35 + 0.6 * paint.makeup + 0.25 * paint.lashes)
    canvas.put(lashes, black, np.full(len(black), strength, np.float32))


def _lit_skin(canvas: Canvas, at: Fragments, paint: Paint, dress, hair_shadow) -> np.ndarray:
    x, y, z = at.place.T
    spot = Places(x, y, z, np.abs(x), smoothstep(z, 0.75, 1.05), at.values[:, 0], at.values[:, 1])
    colour = complexion(paint, spot)
    colour = age(colour, paint, spot)
    colour = brows(colour, paint, spot)
    colour, hairy = beard(colour, paint, spot)
    colour = colour * (1 - hair_shadow(spot))[:, None]
    colour, cloth = dress(colour, spot)
    hollow = (spot.inside > 0.6) & (spot.lip < 0.4) & (z < 1.42)
    colour[hollow] = [0.30, 0.08, 0.08]
    diffuse, highlight = canvas.shade(at.normal, 0.18, 18)
    dull = np.clip(hairy + cloth, 0, 1)[:, None]
    # Light that entered the skin comes out redder where the surface turns away from the lamp.
    warm = (1 - np.clip(diffuse - 0.44, 0, 0.3) / 0.3) * (1 - dull) * np.array([0.05, 0.0, -0.02], np.float32)
    lips = 0.12 * paint.lipstick * smoothstep(spot.lip, 0.4, 0.8)[:, None]  # lipstick is glossy
    return colour * (diffuse + warm) + highlight * (1 - dull) + lips * highlight / 0.18


def blob(at: Places, side: float, y: float, width: float, height: float) -> np.ndarray:
    """A soft spot on both halves of the face, [K] from 0 to 1."""
    return np.exp(-(((at.side - side) / width) ** 2) - ((at.y - y) / height) ** 2) * at.front


def complexion(paint: Paint, at: Places) -> np.ndarray:
    """Skin, cheeks, nose, lips and what make-up puts on them, [K, 3]."""
    colour = np.broadcast_to(paint.skin, (len(at.x), 3)).astype(np.float32)
    red = (0.08 + 0.62 * paint.rosy + 0.12 * paint.makeup) * blob(at, 0.42, 6.93, 0.17, 0.15)
    red = red + 0.10 * blob(at, 0, 6.95, 0.14, 0.12)
    colour = mix(colour, colour * np.array([1.02, 0.60, 0.62], np.float32), red)
    colour = mix(colour, mix(paint.skin * np.array([0.88, 0.62, 0.60]), paint.lip_colour, paint.lipstick),
                 smoothstep(at.lip, 0.25, 0.7) * 0.85)  # fmt: skip
    return mix(colour, EYE_SHADOW, 0.75 * paint.makeup * blob(at, 0.32, 7.38, 0.17, 0.075))


def age(colour: np.ndarray, paint: Paint, at: Places) -> np.ndarray:
    """Wrinkles of age, bags under the eyes, and the folds that a smile makes from nose to mouth."""
    wave = np.sin((at.y + 0.05 * np.cos(at.side * 6)) * 2 * np.pi / 0.105) * 0.5 + 0.5
    forehead = wave**4 * np.exp(-(((at.y - 7.78) / 0.14) ** 2) - (at.side / 0.42) ** 4)
    fold = (np.exp(-(((at.side - (0.16 + 0.30 * (6.95 - at.y))) / 0.018) ** 2)) * smoothstep(at.y, 6.55, 6.65)
            * (1 - smoothstep(at.y, 6.85, 6.95)))  # fmt: skip
    feet = np.sin((at.y - 7.25 + (at.side - 0.5) * 0.2) * 2 * np.pi / 0.07) * 0.5 + 0.5
    feet = feet**2 * blob(at, 0.56, 7.25, 0.05, 0.09)
    crease = at.front * (0.28 * forehead + 0.30 * fold) + 0.25 * feet
    bags = blob(at, 0.30, 7.13, 0.14, 0.04)
    dark = paint.wrinkles * crease + 0.18 * paint.smile * fold * at.front + 0.5 * paint.bags * bags
    return colour * (1 - dark)[:, None]


def brows(colour: np.ndarray, paint: Paint, at: Places) -> np.ndarray:
    along = (at.side - 0.10) / 0.42  # 0 at the inner end, 1 at the outer
    arch = paint.arched * 0.10 * np.clip(1 - ((along - 0.6) / 0.6) ** 2, -1, 1)
    height = 7.505 + arch + 0.012 * along + paint.brow_height
    thick = (0.030 + 0.032 * paint.bushy) * (1 - 0.55 * np.clip(along, 0, 1))
    amount = (np.exp(-(np.abs((at.y - height) / thick) ** 3)) * smoothstep(at.side, 0.07, 0.13)
              * (1 - smoothstep(at.side, 0.48, 0.56)) * at.front)  # fmt: skip
    return mix(colour, paint.brow, amount * (0.62 + 0.33 * paint.bushy))


def beard(colour: np.ndarray, paint: Paint, at: Places) -> tuple[np.ndarray, np.ndarray]:
    """Stubble, mustache, goatee, full beard and sideburns; also how much of each fragment is hair, [K]."""
    step = smoothstep
    off_lips = 1 - step(at.lip, 0.15, 0.5)
    rise = step(at.side, 0.42, 0.66)  # the beard's upper edge climbs towards the ears
    bare_cheek = np.exp(-(((at.side - 0.40) / 0.13) ** 2) - ((at.y - 6.86) / 0.14) ** 2)
    jaw = (step(at.y, 5.95, 6.15) * (1 - step(at.y, 6.72 + 0.28 * rise, 6.82 + 0.3 * rise))
           * step(at.z, 0.35, 0.6) * (1 - 0.55 * bare_cheek))  # fmt: skip
    lip_line = 6.765 - 0.25 * np.clip(at.side - 0.12, 0, 1)
    mustache = np.exp(-(((at.y - lip_line) / 0.06) ** 4)) * (1 - step(at.side, 0.23, 0.32)) * at.front
    chin = (1 - step(at.side, 0.16, 0.26)) * (1 - step(at.y, 6.46, 6.53)) * step(at.y, 6.0, 6.1)
    strips = np.exp(-(((at.side - 0.275) / 0.045) ** 2))
    strips = strips * step(at.y, 6.2, 6.35) * (1 - step(at.y, 6.68, 6.78))
    burns = (step(at.side, 0.60, 0.66) * step(at.y, 6.72, 6.85) * (1 - step(at.y, 7.3, 7.45))
             * step(at.z, 0.55, 0.68))  # fmt: skip
    goatee = np.clip(chin + strips, 0, 1) * at.front
    parts = [paint.beard * np.maximum(jaw, mustache), paint.mustache * mustache]
    parts += [paint.goatee * goatee, paint.sideburns * burns]
    hairy = np.clip(np.maximum.reduce(parts) * off_lips, 0, 1)
    stubble = paint.stubble * np.maximum(jaw, mustache) * off_lips
    colour = mix(colour, colour * 0.45 + 0.10 * paint.beard_colour, 0.66 * stubble)
    curls = 0.92 + 0.10 * np.sin(at.x * 61 + 3 * np.sin(at.y * 37)) * np.sin(at.y * 53)
    return mix(colour, paint.beard_colour * curls[:, None], hairy * 0.94), hairy


def eyeballs(at: Fragments, paint: Paint, diffuse: np.ndarray) -> np.ndarray:
    """White, iris, pupil, the upper lid's shadow and one glint."""
    base = template()
    centre = base.vertices[base.eyes[0]].mean(0) * np.where(at.place[:, :1] > 0, [1, 1, 1], [-1, 1, 1])
    x, y = (at.place - centre)[:, :2].T
    radius = np.hypot(x - paint.gaze * 0.03, y)
    ring = paint.iris * (0.6 + 5 * np.clip(radius, 0, 0.08))[:, None]
    colour = mix(np.full_like(at.place, 0.93), ring, 1 - smoothstep(radius, 0.062, 0.070))
    colour = mix(colour, [0.03, 0.03, 0.03], 1 - smoothstep(radius, 0.026, 0.034))
    colour = colour * (1 - 0.5 * smoothstep(y, 0.02, 0.09))[:, None] * 0.95 + 0.05
    glint = np.exp(-(((x - 0.025) / 0.014) ** 2) - ((y - 0.025) / 0.014) ** 2)
    return mix(colour, [1, 1, 1], glint) * (0.75 + 0.25 * diffuse)


def teeth(at: Fragments, paint: Paint, diffuse: np.ndarray) -> np.ndarray:
    return np.array([0.93, 0.91, 0.86], np.float32) * (0.72 + 0.25 * diffuse)


def tongue(at: Fragments, paint: Paint, diffuse: np.ndarray) -> np.ndarray:
    return np.array([0.58, 0.24, 0.26], np.float32) * diffuse
