"""One person, one picture: layers from back to front, then averaged down."""

from collections.abc import Sequence

import numpy as np

from trainers.datasets.synthfaces import accessories, hair, head, painting
from trainers.datasets.synthfaces.canvas import Canvas
from trainers.datasets.synthfaces.looks import Look, Scene, look
from trainers.datasets.synthfaces.sampler import Person

RESOLUTIONS = (64, 128)
VERSION = 1  # of sampler and renderer: pictures of another version are not mixed in
SUPERSAMPLING = 2  # per side
GAMMA = 0.92


def render(person: Person, resolution: int = 64) -> np.ndarray:
    """uint8 [resolution, resolution, 3], RGB. ValueError for another resolution than 64 or 128 px."""
    if resolution not in RESOLUTIONS:
        sides = " or ".join(map(str, RESOLUTIONS))
        raise ValueError(f"resolution {resolution}: faces are rendered at {sides} px")
    shown = look(person)
    canvas = _canvas(shown, resolution * SUPERSAMPLING)
    _layers(canvas, shown)
    fine = canvas.colour.reshape(resolution, SUPERSAMPLING, resolution, SUPERSAMPLING, 3)
    picture = _blurred(fine.mean((1, 3)), 2.2 * shown.scene.blur * resolution / 128)
    return (np.clip(picture, 0, 1) ** GAMMA * 255 + 0.5).astype(np.uint8)


def render_all(people: Sequence[Person], resolution: int = 64) -> np.ndarray:
    """uint8 [N, resolution, resolution, 3]."""
    return np.stack([render(person, resolution) for person in people])


def _canvas(shown: Look, size: int) -> Canvas:
    scene: Scene = shown.scene
    down = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    background = scene.above * (1 - down) + scene.below * down
    background = np.broadcast_to(background, (size, size, 3)).reshape(-1, 3)
    return Canvas(head.camera(shown.bones, scene.yaw, scene.pitch, scene.roll, size), scene.light, background)


def _layers(canvas: Canvas, shown: Look) -> None:
    own, worn = head.shape(shown.bones | shown.features), shown.worn
    painting.draw_head(canvas, own, shown.paint, dress=lambda colour, at: accessories.dress(colour, worn, at),
                       hair_shadow=lambda at: hair.shadow(shown.hair, at))  # fmt: skip
    if shown.hair is not None:
        hair.draw(canvas, own, shown.hair, hat=worn.hat > 0)
    if worn.hat:
        accessories.draw_hat(canvas, own, worn)
    if worn.glasses:
        accessories.draw_glasses(canvas, own, worn)
    if worn.earrings:
        accessories.draw_earrings(canvas, own, worn)


def _blurred(picture: np.ndarray, spread: float) -> np.ndarray:
    """A Gaussian of this standard deviation in pixels; the edge's pixels go on beyond it."""
    if spread == 0:
        return picture
    kernel = np.exp(-0.5 * (np.arange(-8, 9) / spread) ** 2)
    for axis in (0, 1):
        padded = np.pad(picture, [(8, 8) if each == axis else (0, 0) for each in range(3)], "edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 17, axis)
        picture = windows @ (kernel / kernel.sum())
    return picture
