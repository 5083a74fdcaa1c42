"""Evens out light on paper: shadows have soft edges, ink has sharp ones.

The light is found from its gradient, as Retinex does (Land and McCann, 1971; Horn, 1974). Lengths are px of a
picture with a mean side of at most about 400, as `lwgan.frames.look` makes it.
"""

import cv2
import numpy as np

DRAWN = 0.9  # least share of border pixels of one colour (within 3 of 255) in a drawing
NEAR, FAR = 2, 6  # px: an edge is sharp if most of the step within FAR is made within NEAR
SHARP = 0.65  # of the step within FAR
LEAST = 6  # of 255: lower steps are no edges, nor are those of less than four times the noise
# A step is strong from 75% of the 99.5% quantile on. If fewer than 60% of the pixels near strong steps are
# near sharp edges too, the picture is blurred, or its ink is fainter than the edge of its shadow.
STRONG, FOUND = 0.75, 0.6
SMOOTH = 2  # px: the light is blurred, so that the noise stays in the picture


def evened(pixels: np.ndarray) -> np.ndarray:
    """A photograph, uint8 [H, W, 3], in even light of its usual colour.

    The logarithm of the light is the picture whose gradient is that of the photograph's logarithm, and 0 at
    sharp edges, which are those of ink, lines and sheets. Where a stroke hides a shadow's edge, the light
    passes smoothly from one side to the other. A drawing (also what has a border of one colour) stays as it
    is. So does a picture whose strongest edges are soft: one that is blurred, or whose ink is fainter than
    its shadow.
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
    """The picture whose gradient differs least from that of `values` [H, W] where `kept`, bool [H, W], and
    from 0 elsewhere.

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
