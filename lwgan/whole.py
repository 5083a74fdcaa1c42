"""Whole photographs: a face is cut out, edited in its frame, and put back at the photograph's resolution.

    photograph = find(pipe, open_picture("photo.jpg"))
    (edited,) = edit(pipe, photograph, {"lwgan-portraits-lw-smile": 1.0})
    edited.save("edited.png")

What a generator cannot draw (a background, a single hair) is lost in the reconstruction. put_back can add
this residual again, moved along with what the edit moves, as HFGI (Wang et al., 2022) learns to do.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from lwgan.frames import PLACES
from lwgan.images import mark_framed
from lwgan.pipeline import EditingPipeline

FEATHER = 0.1  # of the frame's side: over this length the edited face fades into the photograph
MUCH = 0.8  # of the frame's side: over less of its edge no slope can be fitted
QUALITY = 95  # of JPEGs
FLOW_SIDE = 256  # px: at this size it is measured what an edit moves


class Photograph(NamedTuple):
    """A photograph and the place in it that is edited.

    picture: "RGB", upright.  quads: the frames [4, 2] of all faces, the largest first (`frames.face`).
    chosen: the index of the one that is edited.  framed: its content, as `EditingPipeline.frame` gives it."""

    picture: Image.Image
    quads: tuple[np.ndarray, ...]
    chosen: int
    framed: Image.Image

    @property
    def quad(self) -> np.ndarray:
        return self.quads[self.chosen]

    def reduced(self, side: int) -> "Photograph":
        """The same at `side` px at most."""
        picture = self.picture.copy()
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        scale = np.array(picture.size) / self.picture.size
        return self._replace(picture=picture, quads=tuple((q + 0.5) * scale - 0.5 for q in self.quads))


def has_places(pipe: EditingPipeline) -> bool:
    """Whether the pictures of the pipeline's domain are cut out of photographs."""
    return pipe.domain.frame in PLACES


def find(pipe: EditingPipeline, picture: Image.Image, face: int = 1) -> Photograph:
    """Finds the faces in an upright picture (`open_picture`) and cuts one out.

    face: which one, from 1, the largest. ValueError, with a message for visitors, without such a face, or if
    pictures of this domain are not cut out of photographs."""
    if not has_places(pipe):
        subject = pipe.domain.subject
        raise ValueError(f"{pipe.domain.title}: the picture is {subject} as a whole, there is no place in it")
    places = PLACES[pipe.domain.frame]
    picture = picture.convert("RGB")
    quads = tuple(places.find(picture))
    if not isinstance(face, int) or not 1 <= face <= len(quads):
        raise ValueError(f"face {face} is not there: {len(quads)} were found, counted from 1, the largest")
    framed = places.cut(picture, quads[face - 1], pipe.encoder.config["resolution"])
    which = "the largest was taken" if face == 1 else f"number {face} was taken"
    note = {"note": f"{len(quads)} faces were found: {which}"} if len(quads) > 1 else {}
    found = {"quads": [quads[face - 1].tolist()]} | note
    return Photograph(picture, quads, face - 1, mark_framed(framed, **found))


def edit(
    pipe: EditingPipeline, photograph: Photograph, alphas: Mapping[str, float], residual: float = 0.0,
    shares: Sequence[float] = (1.0,),
) -> list[Image.Image]:  # fmt: skip
    """The photograph with its face edited, once for each share of the alphas. Errors: `EditingPipeline.edit`,
    `put_back`."""
    before, *after = pipe.along(pipe.encode(photograph.framed), alphas, (0.0, *shares))
    return [put_back(photograph, before, each, residual) for each in after]


def put_back(
    photograph: Photograph, before: Image.Image, after: Image.Image, residual: float = 0.0
) -> Image.Image:
    """The photograph with the edited face, "RGB", of the same size; unchanged outside the face's frame.

    before, after: the reconstruction of `photograph.framed` and the edited picture, of one size.
    residual: 0 to 1, how much of what the reconstruction lacks is added again. At 0 only its colours are
    fitted, by a plane over the edge of the frame. At 1 an unedited face leaves the photograph as it was."""
    if not 0 <= residual <= 1:
        raise ValueError(f"the residual is {residual}, expected a number from 0 to 1")
    quad, picture = photograph.quad, photograph.picture
    left, top = np.maximum(np.floor(quad.min(0)).astype(int), 0).tolist()
    right, bottom = np.minimum(np.ceil(quad.max(0)).astype(int) + 1, picture.size).tolist()
    part = np.asarray(picture.crop((left, top, right, bottom)), np.float32)
    points = _frame_points(quad - (left, top), part.shape[:2])
    lacking = part - _sampled(before, points, quad)
    new, mask = _sampled(after, points, quad), _mask(points)
    if residual < 1:
        new += (1 - residual) * _plane(lacking, points, mask)
    if residual:
        new += residual * _moved(lacking, points, quad, before, after)
    part += mask[..., None] * (new - part)
    result = picture.copy()
    result.info = {key: value for key, value in picture.info.items() if key == "icc_profile"}
    result.paste(Image.fromarray(part.round().clip(0, 255).astype(np.uint8)), (left, top))
    return result


def encoded(picture: Image.Image, name: str) -> bytes:
    """The bytes of a file of this name: PNG, JPEG and what else Pillow writes. Its colours keep the profile
    of the photograph. ValueError for an unknown ending."""
    kind = Image.registered_extensions().get(Path(name).suffix.lower())
    if kind not in Image.SAVE:
        raise ValueError(f"{name!r} does not end as the name of a picture does, such as .png or .jpg")
    file, profile = io.BytesIO(), picture.info.get("icc_profile")
    how = {"quality": QUALITY, "subsampling": 0} if kind == "JPEG" else {}
    picture.save(file, kind, **how, **({"icc_profile": profile} if profile else {}))
    return file.getvalue()


def _frame_points(quad: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where the pixels of a part of (h, w) px lie in the frame: float32 [h, w, 2], x and y, 0 to 1 inside."""
    axes = np.linalg.inv(np.stack([quad[3] - quad[0], quad[1] - quad[0]]))
    return (_pixels(size) - quad[0].astype(np.float32)) @ axes.astype(np.float32)


def _pixels(size: tuple[int, int]) -> np.ndarray:
    """x and y of each pixel of (h, w): float32 [h, w, 2]."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    return np.stack([x, y], -1)


def _mask(points: np.ndarray) -> np.ndarray:
    """[h, w]: 0 outside the frame, 1 inside it, with a smooth transition of width FEATHER within."""
    inwards = np.minimum(points, 1 - points).min(-1) / FEATHER
    inwards = inwards.clip(0, 1)
    return inwards**2 * (3 - 2 * inwards)


def _sampled(picture: Image.Image, points: np.ndarray, quad: np.ndarray) -> np.ndarray:
    """A framed picture at points of the frame, float32 [h, w, 3]; averaged first if it is larger there."""
    side = round(float(np.hypot(*(quad[3] - quad[0]))))
    picture = picture.convert("RGB")
    if picture.width > side:
        picture = picture.resize((side, side), Image.Resampling.BOX)
    return _at(np.asarray(picture, np.float32), points * picture.width - 0.5, cv2.INTER_CUBIC)


def _at(values: np.ndarray, pixels: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
    return cv2.remap(values, np.ascontiguousarray(pixels), None, how, borderMode=cv2.BORDER_REPLICATE)


def _plane(lacking: np.ndarray, points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The plane over the frame, for each channel, that comes nearest to what is lacking at its soft edge; the
    mean there if the photograph shows less than MUCH of the frame's width or height; else nothing."""
    edge = (mask > 0) & (mask < 1)
    if not edge.any():
        return np.zeros_like(lacking)
    if np.ptp(points[edge], 0).min() < MUCH:
        return np.broadcast_to(lacking[edge].mean(0), lacking.shape)
    terms = np.concatenate([points, np.ones_like(points[..., :1])], -1)
    fitted, *_ = np.linalg.lstsq(terms[edge], lacking[edge], rcond=None)
    return terms @ fitted


def _moved(
    lacking: np.ndarray, points: np.ndarray, quad: np.ndarray, before: Image.Image, after: Image.Image
) -> np.ndarray:
    """What is lacking, moved as the edit moved what it belongs to: by the optical flow."""
    grey = [np.asarray(each.convert("L").resize((FLOW_SIDE, FLOW_SIDE))) for each in (after, before)]
    if np.array_equal(*grey):
        return lacking
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None) / FLOW_SIDE
    axes = np.stack([quad[3] - quad[0], quad[1] - quad[0]]).astype(np.float32)
    return _at(lacking, _pixels(lacking.shape[:2]) + _at(flow, points * FLOW_SIDE - 0.5) @ axes)
