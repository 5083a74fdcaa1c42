"""Opens pictures and converts them to and from tensors. Nothing else knows pixel ranges, EXIF or alpha."""

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

MAX_MEGAPIXELS = 40  # of a picture as it is decoded; a JPEG may have 64 times as many: it decodes smaller
MAX_PROGRESSIVE = 110  # million samples of a progressive JPEG: all are in memory at once, 2 bytes each
KEPT_MEGAPIXELS = 20  # a larger picture is halved: a frame needs less, and conversions need memory
BLANK = 16  # of 255: a picture whose values differ less shows nothing
MAX_FRAMES = 50  # of an animation: so many are looked at for one that shows something
FRAMED = "lwgan_framed"  # key in a PIL picture's info: the size that the picture had when it was framed
# How files begin that people take for pictures, what they are and what to do.
OTHERS = {
    b"%PDF": "a PDF: export the page as PNG or JPEG",
    b"%!PS": "a PostScript file: export it as PNG or JPEG",
    b"<svg": "an SVG drawing: export it as PNG",
    b"<?xml": "an SVG drawing or another XML file: export it as PNG",
    b"<!doctype": "a web page: save the picture itself",
    b"<html": "a web page: save the picture itself",
    b"PK\x03\x04": "a ZIP archive or an Office document: take the picture out of it",
    b"version https://git-lfs": "a Git LFS pointer: run `git lfs pull` to get the picture",
    b"\x1aE\xdf\xa3": "a video: save one picture of it",
    b"\xff\x0a": "a JPEG XL picture: save it as PNG or JPEG",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture: save it as PNG or JPEG",
}


# Opening


def open_picture(source: str | Path | bytes | Image.Image) -> Image.Image:
    """A picture as PIL "RGB" or "L", upright, on white where it is transparent (white ink: on black).

    source: a file, the bytes of a file, or a PIL picture. Of an animation the first frame that shows
    something is taken. FileNotFoundError if the file does not exist. ValueError if it is no picture, is
    damaged, is empty or has more than MAX_MEGAPIXELS. The messages suit visitors and contain no path.
    """
    if isinstance(source, (str, Path)) and not Path(source).is_file():
        raise FileNotFoundError(f"there is no file {Path(source).name}")
    with _decoding_errors():
        picture = source if isinstance(source, Image.Image) else _opened(source)
        _check_progressive(picture)
        if picture.width * picture.height > KEPT_MEGAPIXELS * 1e6:
            times = math.ceil(math.sqrt(picture.width * picture.height / (KEPT_MEGAPIXELS * 1e6)))
            picture.draft(None, (picture.width // times, picture.height // times))  # of JPEGs alone
    _check_size(picture.size)
    with _decoding_errors():
        picture.load()
        if picture.width * picture.height > KEPT_MEGAPIXELS * 1e6:
            picture = _halved(picture)
        first = _to_8_bit(picture)
        if getattr(picture, "is_animated", False) and picture.format != "MPO" and _is_blank(first):
            later = (_frame(picture, i) for i in range(1, min(picture.n_frames, MAX_FRAMES)))
            return next((frame for frame in later if not _is_blank(frame)), first)
        return first


def _opened(source: str | Path | bytes) -> Image.Image:
    """The picture before it is decoded. ValueError that names what else a file is."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    if isinstance(source, bytes):
        start = source[:64]
    else:
        with open(source, "rb") as opened:
            start = opened.read(64)
    for begin, what in OTHERS.items():
        if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(begin.lower()):
            raise _NoPicture(f"that file does not open as a picture: it is {what}")
    try:
        return Image.open(file)
    except Image.DecompressionBombError:  # Pillow's own limit; a plain JPEG still decodes smaller
        if not start.startswith(b"\xff\xd8\xff"):
            raise
        return JpegImageFile(io.BytesIO(source) if isinstance(source, bytes) else source)
    except UnidentifiedImageError:
        if start[4:8] != b"ftyp":
            raise
    if start[8:11] in (b"mp4", b"iso", b"qt ", b"M4V", b"avc", b"3gp"):
        raise _NoPicture("that file does not open as a picture: it is a video: save one picture of it")
    import pillow_heif  # loaded when the first HEIC arrives

    pillow_heif.register_heif_opener(thumbnails=False)
    return Image.open(file)


class _NoPicture(ValueError):
    """A file that is something else or too large; the message suits visitors."""


@contextmanager
def _decoding_errors():
    """Turns the many exceptions of Pillow's decoders into a ValueError with a message for visitors."""
    try:
        with warnings.catch_warnings():
            # The size is checked against MAX_MEGAPIXELS before anything is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except _NoPicture as error:
        raise ValueError(str(error)) from None
    except Image.DecompressionBombError:  # Pillow's own limit, far above ours
        raise ValueError(f"that picture has more than {MAX_MEGAPIXELS} megapixels: shrink it first") from None
    except UnidentifiedImageError:
        raise ValueError("that file does not open as a picture") from None
    except Exception:
        raise ValueError("that picture is damaged: it starts well but cannot be read to its end") from None


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_MEGAPIXELS * 1e6:
        found = f"{width * height / 1e6:.0f} megapixels, more than {MAX_MEGAPIXELS}"
        raise ValueError(f"that picture has {found}: shrink it first")
    if width < 1 or height < 1:
        raise ValueError(f"that picture is empty: {width} x {height} px")


def _check_progressive(picture: Image.Image) -> None:
    if not (isinstance(picture, JpegImageFile) and picture.info.get("progressive")):
        return
    shares = [across * down for _, across, down, _ in picture.layer]  # of each channel, 1 to 4
    samples = picture.width * picture.height * sum(shares) / max(shares) / 1e6
    if samples > MAX_PROGRESSIVE:
        size = f"{picture.width * picture.height / 1e6:.0f} megapixels"
        raise _NoPicture(f"that picture is a progressive JPEG of {size}, too large: shrink it first")


def _frame(picture: Image.Image, number: int) -> Image.Image:
    picture.seek(number)
    return _to_8_bit(picture)


def _strips(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The upper edge of each part of 128 rows, and the part: converting a whole picture needs more memory."""
    for top in range(0, picture.height, 128):
        yield top, picture.crop((0, top, picture.width, min(top + 128, picture.height)))


def _halved(picture: Image.Image) -> Image.Image:
    """A picture at half its size."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        picture = _scaled(picture)
    mode = {"1": "L", "P": "RGBA", "PA": "RGBA"}.get(picture.mode, picture.mode)
    half = Image.new(mode, (-(-picture.width // 2), -(-picture.height // 2)))
    for top, strip in _strips(picture):
        half.paste(strip.convert(mode).reduce(2), (0, top // 2))
    half.info = picture.info
    return half


def _is_blank(picture: Image.Image) -> bool:
    low, high = picture.convert("L").getextrema()
    return high - low < BLANK


def _to_8_bit(picture: Image.Image) -> Image.Image:
    """To upright 8-bit "L" or "RGB": greys of more bits are scaled, transparent pixels get a ground."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        return _scaled(picture)
    has_alpha = picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info
    picture = ImageOps.exif_transpose(picture)
    if not has_alpha:
        return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    picture = picture.convert("RGBA")
    on_white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    if not _is_blank(on_white):
        return on_white
    on_black = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture).convert("RGB")
    return on_white if _is_blank(on_black) else on_black


def _scaled(picture: Image.Image) -> Image.Image:
    """Greys of more than 8 bits or floats -> "L".

    The range is that of the fewest bits that hold all values (8, 10, 12, 14 or 16), 0..1 for floats within
    it, and else the picture's own. What is no number becomes dark.
    """
    low, high = np.inf, -np.inf
    for _, strip in _strips(picture):
        values = np.asarray(strip)
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    tops = [1.0] * (picture.mode == "F") + [2.0**bits - 1 for bits in (8, 10, 12, 14, 16)]
    top = next((top for top in tops if high <= top), high)
    low, top = (0.0, top) if low >= 0 and top in tops else (low, high)
    scaled = Image.new("L", picture.size)
    for row, strip in _strips(picture):
        values = np.nan_to_num(np.asarray(strip, np.float64), nan=low, posinf=high, neginf=low)
        values = ((values - low) * (255 / ((top - low) or 1))).round().clip(0, 255)
        scaled.paste(Image.fromarray(values.astype(np.uint8)), (0, row))
    return scaled


# Framed pictures


def mark_framed(picture: Image.Image, **info) -> Image.Image:
    """Marks a picture as being in its generator's training frame, so that it is not framed a second time.

    Its `info` is replaced by the mark and the given entries: camera data, such as a place, is dropped.
    """
    picture.info = {**info, FRAMED: picture.size}
    return picture


def is_marked(picture: Image.Image) -> bool:
    """Whether `mark_framed` marked this very picture; a crop inherits the mark but not the size."""
    return picture.info.get(FRAMED) == picture.size


# Tensors and sheets


def to_tensor(pictures: Image.Image | Sequence[Image.Image]) -> Tensor:
    """PIL pictures, all "L" or all "RGB" and of one size -> [N, C, H, W] float32 in [-1, 1], C = 1 or 3."""
    pictures = [pictures] if isinstance(pictures, Image.Image) else list(pictures)
    if not pictures:
        raise ValueError("no picture was given")
    kinds = {(picture.mode, picture.size) for picture in pictures}
    if len(kinds) > 1 or pictures[0].mode not in ("L", "RGB"):
        raise ValueError(f"pictures must all be 'L' or all 'RGB' and of one size, not {sorted(kinds)}")
    values = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).float() / 127.5 - 1
    return values[:, None] if values.ndim == 3 else values.permute(0, 3, 1, 2)


def to_pil(pictures: Tensor) -> list[Image.Image]:
    """[N, C, H, W], clipped to [-1, 1] -> N PIL pictures, "L" for C = 1, "RGB" for C = 3."""
    return [Image.fromarray(picture) for picture in to_uint8(pictures)]


def to_uint8(pictures: Tensor) -> np.ndarray:
    """Pictures [N, C, H, W], clipped to [-1, 1] -> uint8 [N, H, W] for C = 1, [N, H, W, 3] for C = 3."""
    values = ((pictures.detach().cpu().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return (values[:, 0] if values.shape[1] == 1 else values.permute(0, 2, 3, 1)).numpy()


def sheet(pictures: Tensor, columns: int) -> Image.Image:
    """All pictures [N, C, H, W] in [-1, 1] in one, row by row, with grey lines of 1 px between them."""
    tiles = to_uint8(pictures)
    height, width = tiles.shape[1:3]
    rows = -(-len(tiles) // columns)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, *tiles.shape[3:]), 64, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        canvas[top : top + height, left : left + width] = tile
    return Image.fromarray(canvas)
