"""Pictures as data URLs, so that one event carries all that a slider changes; strips and animations."""

import base64
import io
from collections.abc import Sequence

from PIL import Image

from lwgan import recipe
from lwgan.animation import animation

SMALL, THUMB = 128, 512  # px: views of many pictures reduce those larger than SMALL to at most THUMB


def strip(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures in a row, small ones enlarged, 2 px of grey between."""
    pictures = [_enlarged(picture) for picture in pictures]
    width, height = pictures[0].size
    grey = 128 if pictures[0].mode == "L" else (128,) * 3
    row = Image.new(pictures[0].mode, (len(pictures) * (width + 2) - 2, height), grey)
    for i, picture in enumerate(pictures):
        row.paste(picture, (i * (width + 2), 0))
    return row


def film(pictures: Sequence[Image.Image], kind: str) -> str:
    """The data URL of an animation (`lwgan.animation`), small pictures enlarged. kind: "webp" or "gif"."""
    return url(animation([_enlarged(picture) for picture in pictures], kind.upper()), f"image/{kind}")


def _enlarged(picture: Image.Image) -> Image.Image:
    times = max(1, SMALL // max(picture.size))
    return picture.resize((times * picture.width, times * picture.height), Image.Resampling.NEAREST)


def data_url(picture: Image.Image) -> str:
    """The picture, lossless."""
    return url(recipe.png(picture), "image/png")


def thumb_url(picture: Image.Image) -> str:
    """The picture for views of many: lossless if small, else reduced."""
    if max(picture.size) <= SMALL:
        return data_url(picture)
    reduced = picture.copy()
    reduced.thumbnail((THUMB, THUMB), Image.Resampling.LANCZOS)
    return webp_url(reduced)


def webp_url(picture: Image.Image) -> str:
    """The picture, with losses that are hardly seen."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=90, method=0)
    return url(file.getvalue(), "image/webp")


def url(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def decoded(data_url: object) -> bytes:
    """The bytes of a picture that the page sent, a PNG or a JPEG. ValueError for anything else."""
    head, _, body = data_url.partition(",") if isinstance(data_url, str) else ("", "", "")
    if head not in ("data:image/png;base64", "data:image/jpeg;base64"):
        raise ValueError("the page sent no picture")
    return base64.b64decode(body)
