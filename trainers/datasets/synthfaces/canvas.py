"""Camera, light and canvas: layers of triangles become fragments, which are coloured and composed."""

from typing import NamedTuple

import numpy as np

from trainers.datasets.synthfaces import raster

DISTANCE = 9.0  # of the camera, in decimetres: far enough for a portrait's weak perspective
FOCUS = 1.0  # depth, in decimetres, at which the scale is exact: about the eyes


def smoothstep(x, low: float, high: float):
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a, b, amount):
    """a where the amount is 0, b where it is 1. An amount per fragment, [K], serves all colour channels."""
    amount = np.asarray(amount, np.float32)
    return a + (np.asarray(b, np.float32) - a) * (amount[:, None] if amount.ndim == 1 else amount)


class Fragments(NamedTuple):
    """The K visible pixels of one layer.

    `pixel` [K], flat; `triangle` [K]; `values` [K, C], interpolated from the vertices; `place` [K, 3], on the
    undeformed template head, so that paint follows the identity; `normal` [K, 3] for the viewer; `depth` [K].
    """

    pixel: np.ndarray
    triangle: np.ndarray
    place: np.ndarray
    normal: np.ndarray
    values: np.ndarray
    depth: np.ndarray

    def where(self, mask: np.ndarray) -> "Fragments":
        return Fragments(*(part[mask] for part in self))

    @property
    def facing(self) -> "Fragments":
        """With normals turned to the viewer: for open surfaces, which are seen from both sides."""
        return self._replace(normal=self.normal * np.where(self.normal[:, 2:] < 0, -1, 1).astype(np.float32))


class Camera(NamedTuple):
    """The camera. `target`: the point that is centred; `pivot`: the point between the eyes, which no pose
    moves; both in decimetres. `rotation` [3, 3]; `scale` in pixels a decimetre; `size` in pixels."""

    target: np.ndarray
    pivot: np.ndarray
    rotation: np.ndarray
    scale: float
    size: int

    def project(self, points: np.ndarray) -> np.ndarray:
        """[V, 3] in decimetres -> [V, 3]: x and y in pixels, y down, and depth."""
        offset = self.pivot - self.target
        shift = np.array([*(self.rotation @ offset - offset)[:2], 0])
        turned = (points - self.target) @ self.rotation.T - shift
        near = (DISTANCE - FOCUS) / (DISTANCE - turned[:, 2]) * self.scale
        x, y = self.size / 2 + turned[:, 0] * near, self.size / 2 - turned[:, 1] * near
        return np.stack([x, y, turned[:, 2]], 1).astype(np.float32)


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """[3, 3] from angles in radians: yaw turns about the vertical axis first, then pitch, then roll."""
    c, s = np.cos, np.sin
    about_y = np.array([[c(yaw), 0, s(yaw)], [0, 1, 0], [-s(yaw), 0, c(yaw)]])
    about_x = np.array([[1, 0, 0], [0, c(pitch), -s(pitch)], [0, s(pitch), c(pitch)]])
    about_z = np.array([[c(roll), -s(roll), 0], [s(roll), c(roll), 0], [0, 0, 1]])
    return (about_z @ about_x @ about_y).astype(np.float32)


class Canvas:
    """A picture in progress: size x size pixels, colours in [0, 1], with the depth of what each pixel shows.
    background [size * size, 3]; light: direction of the key light, towards it."""

    def __init__(self, camera: Camera, light: np.ndarray, background: np.ndarray):
        self.camera, self.light = camera, (light / np.linalg.norm(light)).astype(np.float32)
        self.colour = background.astype(np.float32)
        self.depth = np.full(len(background), -1e9, np.float32)

    def fragments(self, points, triangles, place=None, values=None, normals=None) -> Fragments:
        """The visible pixels of a mesh [V, 3], [T, 3]. Interpolates place [V, 3] on the template head and
        values [V, C]."""
        points = points.astype(np.float32)
        nearest, weights, depth = raster.rasterise(self.camera.project(points), triangles, self.camera.size)
        seen = np.nonzero(nearest >= 0)[0]
        normals = raster.vertex_normals(points, triangles) if normals is None else normals
        parts = [normals @ self.camera.rotation.T, points if place is None else place]
        parts += [] if values is None else [values]
        values_of = np.concatenate(parts, 1).astype(np.float32)
        inside = raster.interpolate(values_of, triangles, nearest[seen], weights[seen])
        normal = inside[:, :3] / (np.linalg.norm(inside[:, :3], axis=1, keepdims=True) + 1e-6)
        return Fragments(seen, nearest[seen], inside[:, 3:6], normal, inside[:, 6:], depth[seen])

    def shade(
        self, normal: np.ndarray, gloss: float = 0.0, sharpness: float = 20
    ) -> tuple[np.ndarray, np.ndarray]:
        """Diffuse light and highlight, each [K, 1], on surfaces with these normals [K, 3]."""
        half = self.light + np.array([0, 0, 1], np.float32)
        diffuse = 0.44 + 0.62 * np.clip(normal @ self.light, 0, 1) + 0.12 * np.clip(normal[:, 1], 0, 1)
        highlight = gloss * np.clip(normal @ (half / np.linalg.norm(half)), 0, 1) ** sharpness
        return diffuse[:, None], highlight[:, None]

    def put(
        self, at: Fragments, colour: np.ndarray, alpha: np.ndarray | None = None, lift: float = 0.0
    ) -> None:
        """Blends in colours [K, 3] where the fragments, moved `lift` decimetres nearer, hide the canvas.
        alpha [K] in [0, 1]."""
        alpha = np.ones(len(at.pixel), np.float32) if alpha is None else alpha
        seen = (at.depth + lift > self.depth[at.pixel]) & (alpha > 0.02)
        pixel, share = at.pixel[seen], alpha[seen][:, None]
        self.colour[pixel] = self.colour[pixel] * (1 - share) + colour[seen] * share
        solid = alpha[seen] > 0.5
        self.depth[pixel[solid]] = at.depth[seen][solid] + lift
