"""Opening pictures, and converting them to and from tensors: the only place that knows pixel ranges, EXIF and alpha."""

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


# --- Opening ---------------------------------------------------------------------------------------------------------


def open_picture(source: str | Path | bytes | Image.Image) -> Image.Image:
    """A picture as PIL "RGB" or "L", upright and without alpha (laid on white): from a file, its bytes or a PIL picture.

    Of an animation the first frame. ValueError, in words that a visitor can read and with no path, for what is no
    picture, is damaged, is empty or holds more than MAX_MEGAPIXELS. FileNotFoundError for a file that is not there.
    """
    if isinstance(source, (str, Path)) and not Path(source).is_file():
        raise FileNotFoundError(f"there is no file {Path(source).name}")
    with _in_words():
        picture = (
            source
            if isinstance(source, Image.Image)
            else Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        )
    _check_size(picture.size)
    with _in_words():
        picture.load()
        return _flat(ImageOps.exif_transpose(picture))


@contextmanager
def _in_words():
    """ValueError, in our own words, for whatever Pillow's many decoders raise."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", Image.DecompressionBombWarning
            )  # our own limit is asked before decoding
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
        raise ValueError(
            f"that picture has {width * height / 1e6:.0f} megapixels, more than {MAX_MEGAPIXELS}: shrink it first"
        )
    if width < 1 or height < 1:
        raise ValueError(f"that picture is empty: {width} x {height} px")


def _flat(picture: Image.Image) -> Image.Image:
    """To 8 bits a channel, grey or RGB. 16-bit greys are scaled, not clipped; alpha lets white paper through."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        values = np.asarray(picture, np.float64)
        return Image.fromarray(
            (np.nan_to_num(values).clip(0, 65535) / (257 if values.max() > 255 else 1))
            .round()
            .astype(np.uint8)
        )
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


# --- Tensors and sheets ----------------------------------------------------------------------------------------------


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
    """[N, C, H, W] in [-1, 1] (beyond is clipped) -> N PIL pictures, "L" for C = 1, "RGB" for C = 3."""
    return [Image.fromarray(picture) for picture in to_uint8(pictures)]


def to_uint8(pictures: Tensor) -> np.ndarray:
    """Pictures [N, C, H, W] in [-1, 1] (beyond is clipped) -> uint8 [N, H, W] for C = 1, [N, H, W, 3] for C = 3."""
    bytes_ = ((pictures.detach().cpu().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return (bytes_[:, 0] if bytes_.shape[1] == 1 else bytes_.permute(0, 2, 3, 1)).numpy()


def sheet(pictures: Tensor, columns: int) -> Image.Image:
    """One picture that shows all: [N, C, H, W] in [-1, 1], row by row, a grey line between."""
    tiles = to_uint8(pictures)
    height, width = tiles.shape[1:3]
    rows = -(-len(tiles) // columns)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, *tiles.shape[3:]), 64, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        canvas[top : top + height, left : left + width] = tile
    return Image.fromarray(canvas)


def save_sheet(path: Path, pictures: Tensor, columns: int) -> None:
    save_small(path, sheet(pictures, columns))


def save_small(path: Path, image: Image.Image) -> None:
    """Writes a picture that is to be looked at, not measured: with 256 colours or 16 greys, in a third to half of the bytes."""
    image.quantize(256 if image.mode == "RGB" else 16).save(path, optimize=True)
