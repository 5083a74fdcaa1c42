"""Frame "face": photographs of faces are aligned as in FFHQ (Karras et al., 2019, Appendix A).

The eyes and the corners of the mouth determine a square that is rotated and scaled with the face: `quad_of`.
Coordinates are x, y in px of the upright picture (after EXIF rotation); the first pixel's centre is (0, 0).
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from lwgan.images import open_picture

LANDMARKS = {5: "left eye, right eye, nose, left and right mouth corner", 68: "iBUG's points"}
SEARCH_SIDE = 1024  # px: the size at which faces are searched for
SMALLEST_SHARE = 32  # faces smaller than 1 / 32 of the longer side are not searched for
MIN_QUAD = 16  # px: a smaller frame shows no face
ALREADY = 0.1  # of the side: a picture whose corners are this near to the frame's counts as aligned


class Aligned(NamedTuple):
    """An aligned face.

    picture: "RGB", size x size px.  landmarks: those used, [5, 2] or [68, 2].
    quad: [4, 2], the corners of the frame in the photograph: upper left, lower left, lower right, upper right
    as seen in `picture`. They may lie outside the photograph.
    note: a remark for the user, such as that one of several faces was taken; or None."""

    picture: Image.Image
    quad: np.ndarray
    landmarks: np.ndarray
    note: str | None


def align_face(source, landmarks=None, *, size: int = 1024, supersample: int = 4) -> Aligned:
    """Crops a face from a photograph as FFHQ's published script does.

    source: anything that `open_picture` takes.  size: of the result, in px.
    landmarks: [5, 2] or [68, 2] (see LANDMARKS); by default those that `lwgan.frames.mtcnn` finds in the
    largest face.
    supersample: the frame is first sampled at this multiple of the size (FFHQ: size 1024, 4; pSp: 256, 1).
    Parts of the frame outside the photograph are mirrored, blurred and faded to the median colour.
    ValueError, with messages for visitors, if the picture cannot be opened or shows no face, or if the
    landmarks are not an upright face's."""
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
    picture = _crop(picture, quad, size, supersample)
    picture.info = {}  # drops camera data, such as the place
    return Aligned(picture, quad, landmarks, note)


def frame_face(source, size: int = 256) -> Image.Image:
    """A photograph as encoders of faces take it: the largest face in FFHQ's frame, "RGB", size x size px.

    A picture that is in this frame already, such as a file of FFHQ or CelebA-HQ, is only resized. The
    result's `info` may hold "note", a remark for the user, and "quads", a list of one `Aligned.quad`. Errors:
    `align_face`.
    """
    picture = open_picture(source).convert("RGB")
    landmarks, note = find_landmarks(picture)
    if is_framed(picture.size, quad_of(_checked(landmarks, picture.size))):
        framed, info = picture.resize((size, size), Image.Resampling.LANCZOS), {}
    else:
        framed, quad, *_ = align_face(picture, landmarks, size=size, supersample=1)
        info = {"note": note, "quads": [quad.tolist()]}
    framed.info = info  # drops camera data
    return framed


def is_framed(size: tuple[int, int], quad: np.ndarray) -> bool:
    """Whether the frame [4, 2] of a picture of `size` (w, h) is about the whole picture."""
    distances = np.linalg.norm(quad - _corners(size), axis=1)
    return size[0] == size[1] and bool((distances < ALREADY * size[0]).all())


def _corners(size: tuple[int, int]) -> np.ndarray:
    """The corners [4, 2] of a picture of `size` (w, h), in the order of a quad."""
    width, height = size
    return np.array([(0, 0), (0, height), (width, height), (width, 0)]) - 0.5


def find_quads(picture: Image.Image) -> list[np.ndarray]:
    """The frames [4, 2] of all faces in an upright "RGB" picture, the largest first. That of a picture which
    is a frame already is the whole picture. ValueError, with a message for visitors, if there is none."""
    quads = []
    for landmarks in _all_landmarks(picture):
        try:
            quad = quad_of(_checked(landmarks, picture.size))
        except ValueError:  # no upright face
            continue
        if math.dist(quad[0], quad[3]) >= MIN_QUAD:
            quads.append(_corners(picture.size) if is_framed(picture.size, quad) else quad)
    if not quads:
        raise _no_face(picture)
    return quads


def cut_quad(picture: Image.Image, quad: np.ndarray, size: int) -> Image.Image:
    """The content of a frame of `find_quads`, "RGB", size x size px."""
    if np.array_equal(quad, _corners(picture.size)):
        return picture.resize((size, size), Image.Resampling.LANCZOS)
    return _crop(picture, quad, size, 1)


def find_landmarks(picture: Image.Image) -> tuple[np.ndarray, str | None]:
    """Landmarks [5, 2] of the largest face in an "RGB" picture, and a note on others. ValueError if none."""
    found = _all_landmarks(picture)
    if not len(found):
        raise _no_face(picture)
    note = f"{len(found)} faces were found: the largest was taken" if len(found) > 1 else None
    return found[0], note


def _all_landmarks(picture: Image.Image) -> np.ndarray:
    """Landmarks [N, 5, 2] of all faces in an "RGB" picture, the largest first."""
    from lwgan.frames.mtcnn import find_faces

    reduced = picture.copy()
    reduced.thumbnail((SEARCH_SIDE, SEARCH_SIDE), Image.Resampling.BOX)
    found = find_faces(reduced, smallest=max(20, max(reduced.size) // SMALLEST_SHARE))
    return found.landmarks * (np.array(picture.size) / np.array(reduced.size)) - 0.5


def _no_face(picture: Image.Image) -> ValueError:
    where = f"the picture of {picture.width} x {picture.height} px"
    return ValueError(f"no face was found in {where}: give one that shows a face from the front")


# The frame


def quad_of(landmarks: np.ndarray) -> np.ndarray:
    """The corners [4, 2] of FFHQ's frame for landmarks [5, 2] or [68, 2].

    Order: upper left, lower left, lower right, upper right. The centre is a tenth of the way from the eyes to
    the mouth. The x axis is the sum of the vector between the eyes and the vector from eyes to mouth, rotated
    by a quarter turn. Half the side is the larger of twice the first length and 1.8 times the second."""
    left_eye, right_eye, left_mouth, right_mouth = _eyes_and_mouth(landmarks)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    across, down = right_eye - left_eye, mouth - eyes
    axis = across - _quarter_turn(down)
    x = axis / np.hypot(*axis) * max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down))
    y, middle = _quarter_turn(x), eyes + 0.1 * down
    return np.stack([middle - x - y, middle - x + y, middle + x + y, middle + x - y])


def _quarter_turn(vector: np.ndarray) -> np.ndarray:
    """Rotates a vector so that right becomes down."""
    return np.array([-vector[1], vector[0]])


def _eyes_and_mouth(landmarks: np.ndarray) -> tuple[np.ndarray, ...]:
    """Left eye, right eye, left and right mouth corner, each [2]."""
    if len(landmarks) == 5:
        return tuple(landmarks[[0, 1, 3, 4]])
    # iBUG's points 36-41 and 42-47 surround the eyes.
    return landmarks[36:42].mean(0), landmarks[42:48].mean(0), landmarks[48], landmarks[54]


def _checked(landmarks, size: tuple[int, int]) -> np.ndarray:
    """Landmarks as float64 [5, 2] or [68, 2]. ValueError unless they fit an upright face in this picture."""
    try:
        points = np.array(landmarks, np.float64)
    except (TypeError, ValueError):
        raise ValueError("the landmarks are no table of numbers: expected 5 or 68 rows of x, y") from None
    if points.shape not in {(count, 2) for count in LANDMARKS}:
        expected = " or ".join(f"[{count}, 2] ({what})" for count, what in LANDMARKS.items())
        raise ValueError(f"the landmarks have shape {list(points.shape)}, expected {expected}")
    for row, (x, y) in enumerate(points):
        if not np.isfinite([x, y]).all():
            raise ValueError(f"landmark {row} is {[float(x), float(y)]}: expected two finite numbers")
        if not (-size[0] <= x <= 2 * size[0] and -size[1] <= y <= 2 * size[1]):
            where = f"({x:g}, {y:g}) lies far outside the picture of {size[0]} x {size[1]} px"
            raise ValueError(f"landmark {row} at {where}: was another size measured?")
    _check_upright(*_eyes_and_mouth(points))
    return points


def _check_upright(
    left_eye: np.ndarray, right_eye: np.ndarray, left_mouth: np.ndarray, right_mouth: np.ndarray
) -> None:
    at = lambda point: f"({point[0]:g}, {point[1]:g})"
    across, down = right_eye - left_eye, (left_mouth + right_mouth - left_eye - right_eye) / 2
    if np.hypot(*across) < 1e-3 * np.hypot(*down) or not across.any():
        raise ValueError(f"both eyes lie at {at(left_eye)}: a face needs two")
    if np.hypot(*down) < 1e-3 * np.hypot(*across):
        raise ValueError(f"eyes and mouth share one middle, {at(left_eye + across / 2)}")
    if across @ -_quarter_turn(down) <= 0:
        eyes = f"the left eye at {at(left_eye)} lies right of the right eye at {at(right_eye)}"
        raise ValueError(f"{eyes}, seen with the mouth below: left means left in the picture")


# Cropping


def _crop(picture: Image.Image, quad: np.ndarray, size: int, supersample: int) -> Image.Image:
    """The content of the quad [4, 2], "RGB", size x size px."""
    picture, quad = _reduced(picture, quad, int(math.dist(quad[0], quad[3]) / size / 2))
    side = math.dist(quad[0], quad[3])
    border = max(round(side * 0.1), 3)
    left, top = np.maximum(np.floor(quad.min(0)).astype(int) - border, 0).tolist()
    right, bottom = np.minimum(np.ceil(quad.max(0)).astype(int) + border, picture.size).tolist()
    if right <= left or bottom <= top:
        where = f"the picture of {picture.width} x {picture.height} px"
        raise ValueError(f"the face's frame lies outside {where}")
    picture, quad = picture.crop((left, top, right, bottom)), quad - np.array([left, top])
    picture, quad = _padded(picture, quad, border, side)
    wide, corners = size * supersample, (quad + 0.5).flatten().tolist()
    result = picture.transform((wide, wide), Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)
    return result if supersample == 1 else result.resize((size, size), Image.Resampling.LANCZOS)


def _reduced(picture: Image.Image, quad: np.ndarray, times: int) -> tuple[Image.Image, np.ndarray]:
    """Picture and quad, smaller by the factor `times` if that is above 1."""
    if times <= 1:
        return picture, quad
    smaller = tuple(max(round(side / times), 1) for side in picture.size)
    return picture.resize(smaller, Image.Resampling.LANCZOS), quad / times


def _padded(
    picture: Image.Image, quad: np.ndarray, border: int, side: float
) -> tuple[Image.Image, np.ndarray]:
    """Picture and quad, the picture padded where the quad extends beyond it by more than a few px. The
    padding is mirrored; towards the outside it becomes blurred and fades to the median colour."""
    (left, top), (right, bottom) = -np.floor(quad.min(0)), np.ceil(quad.max(0)) - picture.size
    room = [max(int(value) + border, 0) for value in (left, top, right, bottom)]
    if max(room) <= border - 4:
        return picture, quad
    left, top, right, bottom = (max(value, round(side * 0.3)) for value in room)
    pixels = np.pad(np.asarray(picture, np.float32), ((top, bottom), (left, right), (0, 0)), "reflect")
    height, width = pixels.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    # 1 at the outer edge, 0 at the border of the picture, negative inside it.
    across = 1 - np.minimum(x / left, (width - 1 - x) / right)
    down = 1 - np.minimum(y / top, (height - 1 - y) / bottom)
    outside = np.maximum(across, down)[..., None]
    pixels += (_blurred(pixels, side * 0.02) - pixels) * (3 * outside + 1).clip(0, 1)
    pixels += (np.median(pixels, (0, 1)) - pixels) * outside.clip(0, 1)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)), quad + np.array([left, top])


def _blurred(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Pixels, float32 [H, W, 3], under a Gaussian of `sigma` px, truncated at 4 sigma; edges are mirrored."""
    reach = int(4 * sigma + 0.5)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), "symmetric")
    values = torch.from_numpy(padded).permute(2, 0, 1)[None]
    values = F.conv2d(F.conv2d(values, kernel, groups=3), kernel.transpose(2, 3), groups=3)
    return values[0].permute(1, 2, 0).numpy()
