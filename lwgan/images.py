"""Opens pictures and converts them to and from tensors. Nothing else knows pixel ranges, EXIF or alpha."""

import io
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

MAX_MEGAPIXELS = 40
FRAMED = "lwgan_framed"  # key in a PIL picture's info: the size that the picture had when it was framed


# Opening


def open_picture(source: str | Path | bytes | Image.Image) -> Image.Image:
    """A picture as PIL "RGB" or "L", upright, with alpha composited on white.

    source: a file, the bytes of a file, or a PIL picture. The first frame of an animation is taken.
    FileNotFoundError if the file does not exist. ValueError if it is no picture, is damaged, is empty or has
    more than MAX_MEGAPIXELS. The messages suit visitors and contain no path.
    """
    if isinstance(source, (str, Path)) and not Path(source).is_file():
        raise FileNotFoundError(f"there is no file {Path(source).name}")
    with _decoding_errors():
        picture = source
        if not isinstance(source, Image.Image):
            picture = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    _check_size(picture.size)
    with _decoding_errors():
        picture.load()
        return _to_8_bit(ImageOps.exif_transpose(picture))


@contextmanager
def _decoding_errors():
    """Turns the many exceptions of Pillow's decoders into a ValueError with a message for visitors."""
    try:
        with warnings.catch_warnings():
            # The size is checked against MAX_MEGAPIXELS before anything is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
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


def _to_8_bit(picture: Image.Image) -> Image.Image:
    """To 8-bit "L" or "RGB". 16-bit greys are scaled, not clipped; transparent pixels become white."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        values = np.nan_to_num(np.asarray(picture, np.float64)).clip(0, 65535)
        return Image.fromarray((values / (257 if values.max() > 255 else 1)).round().astype(np.uint8))
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


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


def save_sheet(path: Path, pictures: Tensor, columns: int) -> None:
    """Writes `sheet` as a small PNG (`save_small`)."""
    save_small(path, sheet(pictures, columns))


def save_small(path: Path, image: Image.Image) -> None:
    """Writes a PNG of 256 colours or 16 greys, at most half as large: to look at, not to measure."""
    image.quantize(256 if image.mode == "RGB" else 16).save(path, optimize=True)
