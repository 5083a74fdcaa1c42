"""Photographs of faces brought into the frame of FFHQ (Karras et al., 2019, Appendix A), on which the
generators of faces were trained.

The frame is a square, turned and scaled with the face, that eyes and mouth corners determine: `quad_of`. All
coordinates are x, y in px of the upright picture (after its EXIF rotation), the first pixel's middle at 0, 0.
Part of `lwgan.images`' work, in a file of its own for its length.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from lwgan.images import open_picture

LANDMARKS = {5: "left eye, right eye, nose, left and right mouth corner", 68: "iBUG's points"}
SEARCH_SIDE = 1024  # px: faces are looked for at this size; their parts are then read at 48 px anyway
SMALLEST_SHARE = 32  # a face is at least 1 / 32 of the longer side
MIN_QUAD = 16  # px: a frame smaller than this shows no face
ALREADY = 0.1  # of the side: if all corners of the frame are this near to the picture's, it was cut out by such a frame


class Aligned(NamedTuple):
    """A face in FFHQ's frame.

    picture: "RGB", size x size px.  quad: [4, 2], the frame's corners in the photograph: upper left, lower
    left, lower right, upper right as seen in `picture`; they may lie outside of the photograph.  landmarks:
    [5, 2] or [68, 2], those used.
    note: what a user should know, such as that one of several faces was taken; or None.
    """

    picture: Image.Image
    quad: np.ndarray
    landmarks: np.ndarray
    note: str | None


def align_face(source, landmarks=None, *, size: int = 1024, supersample: int = 4) -> Aligned:
    """Cuts a face out of a photograph as FFHQ's published script does.

    source: whatever `open_picture` takes.  landmarks: [5, 2] or [68, 2] (see LANDMARKS); None: found by
    `lwgan.frames.mtcnn`, the largest face.  size: of the result in px.  supersample: the frame is first read
    at so many times the size (FFHQ: 1024, 4; pSp: 256, 1).
    What the photograph lacks of the frame is mirrored, blurred and fades into its median colour. ValueError,
    in words for a visitor, for a picture that cannot be opened, without a face, or with landmarks that are no
    upright face's.
    """
    if size < 1 or supersample < 1:
        raise ValueError(f"size is {size} and supersample {supersample}: both must be at least 1")
    picture, note = open_picture(source).convert("RGB"), None
    if landmarks is None:
        landmarks, note = find_landmarks(picture)
    landmarks = _checked(landmarks, picture.size)
    quad = quad_of(landmarks)
    side = math.dist(quad[0], quad[3])
    if side < MIN_QUAD:
        raise ValueError(f"the face's frame is {side:.1f} px wide: at least {MIN_QUAD} are needed")
    cut = _cut(picture, quad, size, supersample)
    cut.info = {}  # nothing of the camera's notes, such as the place
    return Aligned(cut, quad, landmarks, note)


def frame_face(source, size: int = 256) -> Image.Image:
    """A photograph as the encoder of faces takes it: the largest face in FFHQ's frame, "RGB", size x size px.

    A picture that is in this frame already, such as a file of FFHQ or CelebA-HQ, is only resized. The
    result's `info` may hold "note", a remark for the user, and "quad" (see `Aligned`). Errors as
    `align_face`.
    """
    picture = open_picture(source).convert("RGB")
    landmarks, note = find_landmarks(picture)
    if is_framed(picture.size, quad_of(_checked(landmarks, picture.size))):
        framed = picture.resize((size, size), Image.Resampling.LANCZOS)
        framed.info = {}
        return framed
    aligned = align_face(picture, landmarks, size=size, supersample=1)
    aligned.picture.info = {"note": note, "quad": aligned.quad.tolist()}
    return aligned.picture


def is_framed(size: tuple[int, int], quad: np.ndarray) -> bool:
    """Whether the frame found in a picture of `size` (w, h) is about the whole of it."""
    width, height = size
    corners = np.array([(0, 0), (0, height), (width, height), (width, 0)]) - 0.5
    return width == height and bool((np.linalg.norm(quad - corners, axis=1) < ALREADY * width).all())


def find_landmarks(picture: Image.Image) -> tuple[np.ndarray, str | None]:
    """Landmarks [5, 2] of the largest face of an upright "RGB" picture, and a note if there are others.
    ValueError if there is none."""
    from lwgan.frames.mtcnn import find_faces

    reduced = picture.copy()
    reduced.thumbnail((SEARCH_SIDE, SEARCH_SIDE), Image.Resampling.BOX)
    found = find_faces(reduced, smallest=max(20, max(reduced.size) // SMALLEST_SHARE))
    if not len(found.boxes):
        raise ValueError(
            f"no face was found in the picture of {picture.width} x {picture.height} px: give one that shows a face from the front"
        )
    scale = np.array(picture.size) / np.array(reduced.size)
    note = f"{len(found.boxes)} faces were found: the largest was taken" if len(found.boxes) > 1 else None
    return found.landmarks[0] * scale - 0.5, note


# The frame


def quad_of(landmarks: np.ndarray) -> np.ndarray:
    """The corners [4, 2] of FFHQ's frame (upper left, lower left, lower right, upper right) for [5, 2] or
    [68, 2] landmarks.

    Its middle lies a tenth of the way from the eyes to the mouth. Its x axis is the sum of the line between
    the eyes and the line across that from eyes to mouth; half its side is twice the first or 1.8 times the
    second, whichever is more.
    """
    left_eye, right_eye, left_mouth, right_mouth = _eyes_and_mouth(landmarks)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    across, down = right_eye - left_eye, mouth - eyes
    axis = across - _turned(down)
    x = axis / np.hypot(*axis) * max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down))
    y, middle = _turned(x), eyes + 0.1 * down
    return np.stack([middle - x - y, middle - x + y, middle + x + y, middle + x - y])


def _turned(vector: np.ndarray) -> np.ndarray:
    """By a quarter: what points right then points down."""
    return np.array([-vector[1], vector[0]])


def _eyes_and_mouth(landmarks: np.ndarray) -> tuple[np.ndarray, ...]:
    """Left eye, right eye, left and right mouth corner, each [2]. iBUG's points 36..41 and 42..47 go around
    the eyes."""
    if len(landmarks) == 5:
        return tuple(landmarks[[0, 1, 3, 4]])
    return landmarks[36:42].mean(0), landmarks[42:48].mean(0), landmarks[48], landmarks[54]


def _checked(landmarks, size: tuple[int, int]) -> np.ndarray:
    """Landmarks as float64, [5, 2] or [68, 2]. ValueError unless they are a face's in a picture of `size` (w,
    h)."""
    try:
        points = np.array(landmarks, np.float64)
    except (TypeError, ValueError):
        raise ValueError("the landmarks are no table of numbers: expected 5 or 68 rows of x, y") from None
    if points.shape not in {(count, 2) for count in LANDMARKS}:
        expected = " or ".join(f"[{count}, 2] ({what})" for count, what in LANDMARKS.items())
        raise ValueError(f"the landmarks have shape {list(points.shape)}, expected {expected}")
    if not np.isfinite(points).all():
        row = int(np.argmin(np.isfinite(points).all(1)))
        raise ValueError(f"landmark {row} is {points[row].tolist()}: expected two finite numbers")
    for row, (x, y) in enumerate(points):
        if not (-size[0] <= x <= 2 * size[0] and -size[1] <= y <= 2 * size[1]):
            raise ValueError(
                f"landmark {row} at ({x:g}, {y:g}) lies far outside the picture of {size[0]} x {size[1]} px: was another size measured?"
            )
    left_eye, right_eye, left_mouth, right_mouth = _eyes_and_mouth(points)
    across, down = right_eye - left_eye, (left_mouth + right_mouth - left_eye - right_eye) / 2
    if np.hypot(*across) < 1e-3 * np.hypot(*down) or not across.any():
        raise ValueError(f"both eyes lie at ({left_eye[0]:g}, {left_eye[1]:g}): a face needs two")
    if np.hypot(*down) < 1e-3 * np.hypot(*across):
        raise ValueError(
            f"eyes and mouth share one middle, ({left_eye[0] + across[0] / 2:g}, {left_eye[1] + across[1] / 2:g})"
        )
    if across @ -_turned(down) <= 0:
        raise ValueError(
            f"the left eye at ({left_eye[0]:g}, {left_eye[1]:g}) lies right of the right eye at ({right_eye[0]:g}, {right_eye[1]:g}), "
            "seen with the mouth below: left means left in the picture"
        )
    return points


# The cut


def _cut(picture: Image.Image, quad: np.ndarray, size: int, supersample: int) -> Image.Image:
    """What lies within the quad [4, 2], as "RGB" of size x size px: reduce, crop, pad, transform."""
    side = math.dist(quad[0], quad[3])
    picture, quad = _reduced(picture, quad, int(side / size / 2))
    side = math.dist(quad[0], quad[3])
    border = max(round(side * 0.1), 3)
    left, top = (max(math.floor(value) - border, 0) for value in quad.min(0))
    right, bottom = (
        min(math.ceil(value) + border, limit) for value, limit in zip(quad.max(0), picture.size, strict=True)
    )
    if right <= left or bottom <= top:
        raise ValueError(
            f"the face's frame lies outside the picture of {picture.width} x {picture.height} px"
        )
    picture, quad = picture.crop((left, top, right, bottom)), quad - np.array([left, top])
    picture, quad = _padded(picture, quad, border, side)
    wide = size * supersample
    result = picture.transform(
        (wide, wide), Image.Transform.QUAD, (quad + 0.5).flatten().tolist(), Image.Resampling.BILINEAR
    )
    return result if supersample == 1 else result.resize((size, size), Image.Resampling.LANCZOS)


def _reduced(picture: Image.Image, quad: np.ndarray, times: int) -> tuple[Image.Image, np.ndarray]:
    """Picture and quad, smaller by a whole number of times, if that is more than one."""
    if times <= 1:
        return picture, quad
    smaller = tuple(max(round(side / times), 1) for side in picture.size)
    return picture.resize(smaller, Image.Resampling.LANCZOS), quad / times


def _padded(
    picture: Image.Image, quad: np.ndarray, border: int, side: float
) -> tuple[Image.Image, np.ndarray]:
    """Picture and quad, with room for the quad: where the picture ends within it by more than a little,
    mirrored pixels follow, the blurrier and the nearer to the median colour the farther out."""
    (left, top), (right, bottom) = -np.floor(quad.min(0)), np.ceil(quad.max(0)) - picture.size
    room = [max(int(value) + border, 0) for value in (left, top, right, bottom)]
    if max(room) <= border - 4:
        return picture, quad
    left, top, right, bottom = (max(value, round(side * 0.3)) for value in room)
    pixels = np.pad(np.asarray(picture, np.float32), ((top, bottom), (left, right), (0, 0)), "reflect")
    height, width = pixels.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    # 1 at the outer edge, 0 where the picture begins, below 0 within it.
    across = 1 - np.minimum(x / left, (width - 1 - x) / right)
    down = 1 - np.minimum(y / top, (height - 1 - y) / bottom)
    outside = np.maximum(across, down)[..., None]
    pixels += (_blurred(pixels, side * 0.02) - pixels) * (3 * outside + 1).clip(0, 1)
    pixels += (np.median(pixels, (0, 1)) - pixels) * outside.clip(0, 1)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)), quad + np.array([left, top])


def _blurred(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """float32 [H, W, 3] under a Gaussian of `sigma` px, cut off at 4 sigma; beyond the edges the picture is
    mirrored."""
    reach = int(4 * sigma + 0.5)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    values = torch.from_numpy(np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), "symmetric")).permute(
        2, 0, 1
    )[None]
    values = F.conv2d(F.conv2d(values, kernel, groups=3), kernel.transpose(2, 3), groups=3)
    return values[0].permute(1, 2, 0).numpy()
