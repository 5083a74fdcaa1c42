"""Evens out light on paper: shadows have soft edges, ink has sharp ones."""

import cv2
import numpy as np

DRAWN = 0.9  # of the pixels at the edge: if so many have one colour, the picture is no photograph
NEAR, FAR = 2, 6  # px: an edge is sharp if most of the step within FAR is made within NEAR
SHARP = 0.65  # of the step within FAR
LEAST = 6  # of 255: lower steps are no edges, nor are those of less than four times the noise
STRONG, FOUND = 0.75, 0.6  # of the strongest steps; so many of those must be sharp, or the picture is blurred
SMOOTH = 2  # px: the light is blurred, so that the noise stays in the picture


def evened(pixels: np.ndarray) -> np.ndarray:
    """A photograph, uint8 [H, W, 3], in even light of its usual colour.

    The light is estimated as the picture whose steps are those of the photograph's logarithm, but none at
    sharp edges, which are those of ink, lines and sheets. Where a stroke hides a shadow's edge, the light
    passes smoothly from one side to the other. A drawing stays as it is, and so does a blurred picture, whose
    ink has soft edges too.
    """
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.float32)
    if np.mean(np.abs(border - np.median(border, 0)).max(1) <= 3) > DRAWN:
        return pixels
    sharp, strong = _edges(pixels)
    if sharp[strong].mean() < FOUND:
        return pixels
    height, width = pixels.shape[:2]
    logs = np.log(pixels.astype(np.float32) + 4)
    light = [_from_steps(logs[..., k], ~sharp)[:height, :width] for k in range(3)]
    light = cv2.GaussianBlur(np.stack(light, 2), (0, 0), SMOOTH)
    light -= np.median(light[::2, ::2], (0, 1))
    return ((pixels + np.float32(4)) * np.exp(-light) - 4).clip(0, 255).astype(np.uint8)


def _edges(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a picture, uint8 [H, W, 3], near sharp edges, and those near strong ones, bool [H, W]."""
    smooth = cv2.GaussianBlur(pixels, (0, 0), 1.2)
    square = lambda reach: np.ones((2 * reach + 1,) * 2, np.uint8)
    near = cv2.morphologyEx(smooth, cv2.MORPH_GRADIENT, square(NEAR))
    bright = cv2.dilate(smooth, square(FAR))
    far = bright - cv2.erode(smooth, square(FAR))
    least = np.maximum(4 * np.quantile(near[::2, ::2], 0.2, (0, 1)), LEAST)
    sharp = ((near > SHARP * far) & (near > least)).any(2)
    share = (far / (bright + np.float32(8))).max(2)
    strong = share >= STRONG * np.quantile(share[::2, ::2], 0.995)
    return cv2.dilate(sharp.astype(np.uint8), square(3)) > 0, strong


def _from_steps(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The picture whose steps differ least from those of `values` [H, W] where kept, and from none elsewhere.

    A discrete Poisson equation, solved by cosine transform. OpenCV's needs even sides: those of the
    result may be longer by one.
    """
    pad = 0, values.shape[0] % 2, 0, values.shape[1] % 2
    values = cv2.copyMakeBorder(values, *pad, cv2.BORDER_REPLICATE)
    kept = cv2.copyMakeBorder(kept.astype(np.uint8), *pad, cv2.BORDER_REPLICATE)
    total, squares = np.zeros_like(values), 0
    for axis in (0, 1):
        steps = np.diff(values, axis=axis) * np.minimum(*(np.delete(kept, k, axis) for k in (0, -1)))
        none = [(0, 0), (0, 0)]
        none[axis] = 1, 1
        total += np.diff(np.pad(steps, none), axis=axis)
        waves = 2 * np.cos(np.pi * np.arange(values.shape[axis]) / values.shape[axis]) - 2
        squares = squares + np.expand_dims(waves, 1 - axis)
    squares[0, 0] = 1
    return cv2.idct(cv2.dct(total) / squares.astype(np.float32))
