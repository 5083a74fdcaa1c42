"""Animations of a change, there and back, as WebP and GIF."""

import io
from collections.abc import Sequence

from PIL import Image

KINDS = {".webp": "WEBP", ".gif": "GIF"}  # by a file's ending
LARGEST = 1024  # px: larger pictures are reduced
STEPS = 16  # pictures from the unedited to the edited one
SHARES = tuple(i / (STEPS - 1) for i in range(STEPS))  # of the edits' alphas, at these pictures
MILLISECONDS = 70  # a picture; the first and the last stay longer
REST = 500
COLOURS = 255  # of all pictures of a GIF together: a palette for each would flicker
PALETTE_SIDE, PALETTE_PICTURES = 128, 8  # px; so much of the pictures decides on the palette


def animation(pictures: Sequence[Image.Image], kind: str = "WEBP") -> bytes:
    """Pictures of one size, shown forwards and backwards without end, as the bytes of a "WEBP" or a "GIF"."""
    frames = [_reduced(picture) for picture in pictures]
    if kind == "GIF":
        palette = _palette(frames)
        frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [REST, *[MILLISECONDS] * (len(frames) - 2), REST][: len(frames)]
    frames, durations = _and_back(frames), _and_back(durations)
    file, how = io.BytesIO(), {"quality": 85, "method": 0} if kind == "WEBP" else {}
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=durations, loop=0, **how)
    return file.getvalue()


def kind_of(name: str) -> str:
    """The kind of animation that a file's name asks for. ValueError for another ending."""
    ending = name[name.rfind(".") :].lower() if "." in name else ""
    if ending not in KINDS:
        raise ValueError(f"{name!r} ends in {ending!r}, an animation in {' or '.join(KINDS)}")
    return KINDS[ending]


def _and_back(items: list) -> list:
    return [*items, *items[-2:0:-1]]


def _reduced(picture: Image.Image) -> Image.Image:
    picture = picture.convert("RGB")
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return picture


def _palette(frames: Sequence[Image.Image]) -> Image.Image:
    """The COLOURS that suit all frames best."""
    chosen = frames[:: -(-len(frames) // PALETTE_PICTURES)]
    row = Image.new("RGB", (PALETTE_SIDE * len(chosen), PALETTE_SIDE))
    for i, frame in enumerate(chosen):
        row.paste(frame.resize((PALETTE_SIDE, PALETTE_SIDE)), (PALETTE_SIDE * i, 0))
    return row.quantize(COLOURS, Image.Quantize.MEDIANCUT)
