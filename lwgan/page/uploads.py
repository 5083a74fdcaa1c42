"""A file that a visitor gave: turned, inverted and cropped by hand, and what the page shows of it."""

from collections.abc import Mapping
from numbers import Real
from typing import NamedTuple

from PIL import Image, ImageOps

from lwgan.images import open_picture
from lwgan.page.pictures import thumb_url

TURNS = (None, Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90)


class How(NamedTuple):
    """turn: quarter turns clockwise.  invert: whether light becomes dark.
    crop: left, top, right and bottom of the part to take, as shares of the turned picture; or None."""

    turn: int = 0
    invert: bool = False
    crop: tuple[float, float, float, float] | None = None


class Upload(NamedTuple):
    """file: as Gradio received it.  value: of the component "adjust"."""

    file: Mapping
    value: dict


class Opened(NamedTuple):
    """whole: the picture, turned and inverted.  box: the part to take, in px."""

    whole: Image.Image
    box: tuple[int, int, int, int]
    how: How

    @property
    def part(self) -> Image.Image:
        return self.whole.crop(self.box)


def how_of(message: object) -> How:
    """What a message {"turn", "invert", "crop"} of parts/adjust.js asks for. ValueError for another one."""
    given = message if isinstance(message, Mapping) else {}
    turn, invert, crop = given.get("turn", 0), given.get("invert", False), given.get("crop")
    numbers = isinstance(crop, list) and len(crop) == 4 and all(isinstance(edge, Real) for edge in crop)
    inside = numbers and 0 <= crop[0] < crop[2] <= 1 and 0 <= crop[1] < crop[3] <= 1
    if turn not in range(4) or not isinstance(invert, bool) or not (crop is None or inside):
        raise ValueError("the page asked for an impossible turn or crop")
    return How(int(turn), invert, crop and tuple(crop))


def open_by(path: str, how: How) -> Opened:
    """The picture in a file, as a visitor wants it. Errors: `open_picture`."""
    whole = open_picture(path)
    whole = whole.transpose(TURNS[how.turn]) if how.turn else whole
    whole = ImageOps.invert(whole) if how.invert else whole
    left, top, right, bottom = (
        round(share * whole.size[i % 2]) for i, share in enumerate(how.crop or (0, 0, 1, 1))
    )
    return Opened(whole, (left, top, max(right, left + 1), max(bottom, top + 1)), how)


def value(opened: Opened, found: Mapping) -> dict:
    """What the page shows: the whole picture, reduced, with what was found in its part.

    found: entries of a framed picture's `info` (`EditingPipeline.frame`), in px of the part.
    """
    (width, height), (left, top, *_) = opened.whole.size, opened.box
    lines = {"sheet": [found["sheet"]] if "sheet" in found else [], "quad": found.get("quads", [])}
    shares = {
        kind: [[((left + x) / width, (top + y) / height) for x, y in line] for line in each]
        for kind, each in lines.items()
    }
    return {"picture": thumb_url(opened.whole), "how": opened.how._asdict(), **shares}
