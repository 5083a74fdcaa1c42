"""The only place that knows pixel ranges, EXIF, alpha, sizes and the frame into which a picture is brought.
(The frame of faces: lwgan/frames/face.py.)"""

import io
import itertools
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from lwgan.frames.glyphs import INK_SIDE, Glyph, find_glyphs, mask_box, normalise

FRAME_SIZES = (26, 30)  # px at 64 px: the side of a digit's MNIST frame
CELL_JITTER = 4  # px at 64 px: how far the ink box may sit from its cell's centre
INK_THRESHOLD = 16  # of 255: fainter pixels are no ink

MAX_MEGAPIXELS = 40
FRAME, CELL = 64, 32  # px: the framed picture; one cell of its 2 x 2 grid
MAX_DIGITS = 4
WORK_SIDE = 320  # px: digits are looked for at this size
MIN_SIDE = 12  # px: less than this shows no digit
MIN_CONTRAST = 40  # of 255: a picture whose ink differs less from its paper is blank


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


# --- The training frame ----------------------------------------------------------------------------------------------


def frame_digits(picture: Image.Image) -> Image.Image:
    """A picture of up to four digits, drawn anywhere, as the training pictures are: "L", 64 x 64, bright ink on black.

    Each digit, which may consist of several strokes, is moved to a cell of a 2 x 2 grid (the arrangement is kept as far
    as it goes), scaled to the size and the stroke width of MNIST's, its ink box in the middle of its cell.
    A picture that already is so, or is an enlarged copy of one, passes unchanged.
    ValueError for a blank picture and for one with more than four digits.
    """
    picture = open_picture(picture).convert("L")
    reduced = _undo_enlargement(picture)
    if is_framed(reduced):
        return Image.fromarray(reduced)
    ink = _find_ink(picture)
    glyphs = find_glyphs(ink)
    if len(glyphs) > MAX_DIGITS:
        raise ValueError(f"{len(glyphs)} digits were found: at most {MAX_DIGITS} have room in a picture")
    frame = np.zeros((FRAME, FRAME), np.uint8)
    for glyph, (row, column) in zip(glyphs, _assign_cells(glyphs, ink.shape), strict=True):
        ink = normalise(glyph.ink)
        top, left = row * CELL + (CELL - ink.shape[0]) // 2, column * CELL + (CELL - ink.shape[1]) // 2
        frame[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return Image.fromarray(frame)


def is_framed(picture: np.ndarray) -> bool:
    """Whether a uint8 picture [H, W] looks like MultiMNIST's: black, 64 x 64, each cell empty or with one digit's ink
    of about MNIST's size about its middle."""
    if (
        picture.shape != (FRAME, FRAME)
        or not (picture > INK_THRESHOLD).any()
        or np.median(_border(picture)) > INK_THRESHOLD
    ):
        return False
    return all(
        _is_cell(picture[top : top + CELL, left : left + CELL]) for top in (0, CELL) for left in (0, CELL)
    )


def _is_cell(cell: np.ndarray) -> bool:
    if not (cell > INK_THRESHOLD).any():
        return True
    rows, columns = ink_box(cell)
    side = max(rows.stop - rows.start, columns.stop - columns.start)
    offset = max(abs((box.start + box.stop - CELL) / 2) for box in (rows, columns))
    # Scaled frames hold ink of 20 / 28 of their side; resampling and MNIST's odd digits need a few pixels' grace.
    return (
        FRAME_SIZES[0] * INK_SIDE / 28 - 3 <= side <= FRAME_SIZES[1] * INK_SIDE / 28 + 4
        and offset <= CELL_JITTER + 1
    )


def _undo_enlargement(picture: Image.Image) -> np.ndarray:
    """The 64 x 64 picture of which this one is an enlarged copy (each pixel a square of equal pixels), else itself."""
    pixels = np.asarray(picture)
    times = pixels.shape[0] // FRAME
    if times < 1 or pixels.shape != (times * FRAME, times * FRAME):
        return pixels
    reduced = pixels[::times, ::times]
    return reduced if (np.kron(reduced, np.ones((times, times), np.uint8)) == pixels).all() else pixels


def _border(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def _find_ink(picture: Image.Image) -> np.ndarray:
    """How much ink lies where: float [H, W] in 0..255, no side above WORK_SIDE. The border tells the paper.

    The paper is a plane of grey (photographs are lit from one side); what differs from it in the stronger direction,
    lighter or darker, is ink; the paper's own noise is taken off.
    """
    if min(picture.size) < MIN_SIDE:
        raise ValueError(
            f"the picture is {picture.width} x {picture.height} px: a digit needs at least {MIN_SIDE}"
        )
    picture = picture.copy()
    picture.thumbnail((WORK_SIDE, WORK_SIDE), Image.Resampling.BOX)
    values = np.asarray(picture, np.float64)
    paper, noise = _fit_paper(values)
    difference = values - paper
    ink = difference * np.sign(
        (np.maximum(difference, 0) ** 2).sum() - (np.minimum(difference, 0) ** 2).sum()
    )
    peak = np.sort(ink, axis=None)[-10:].mean()
    if peak < max(MIN_CONTRAST, 4 * noise):
        raise ValueError("the picture is blank: there is no ink that stands out from the paper")
    floor = min(4 * noise, peak / 2) if noise > 1 else 0
    return ((ink - floor) / (peak - floor)).clip(0, 1) * 255


def _fit_paper(values: np.ndarray) -> tuple[np.ndarray, float]:
    """The plane a + b y + c x through the border's pixels, those far from their median left out, and the spread about it."""
    y, x = np.mgrid[: values.shape[0], : values.shape[1]] / max(values.shape)
    terms = np.stack([np.ones_like(y), y, x], -1)
    at, border = _border(terms), _border(values)
    far = np.abs(border - np.median(border))
    near = far <= max(60, np.median(far))
    plane, *_ = np.linalg.lstsq(at[near], border[near], rcond=None)
    return terms @ plane, float((border[near] - at[near] @ plane).std())


def _assign_cells(glyphs: list[Glyph], size: tuple[int, int]) -> list[tuple[int, int]]:
    """Distinct cells (row, column) for the digits that keep their arrangement as far as it goes; `size` (h, w) of the picture.

    Three or four on one line are read on: two in the upper row, the rest below. Otherwise the cells are chosen that
    differ least from where the digits lie among each other and, with less say, in the picture.
    """
    centres = np.array([glyph.centre for glyph in glyphs])
    side = np.mean([max(glyph.stop - glyph.start) for glyph in glyphs])
    spread = np.ptp(centres, axis=0)
    if len(glyphs) > 2 and spread[0] < side / 2:
        return [divmod(int(rank), 2) for rank in centres[:, 1].argsort().argsort()]
    spread[spread < side / 2] = np.inf  # as good as level in this direction
    among = (centres - centres.mean(0)) / spread
    within = centres / np.array(size) - 0.5
    cells = [divmod(place, 2) for place in range(4)]
    targets = {cell: np.array(cell) - 0.5 for cell in cells}

    def misfit(chosen) -> float:
        aims = np.array([targets[cell] for cell in chosen])
        return float(((among - (aims - aims.mean(0))) ** 2).sum() + 0.1 * ((within - aims) ** 2).sum())

    return list(min(itertools.permutations(cells, len(glyphs)), key=misfit))


def ink_box(picture: np.ndarray) -> tuple[slice, slice]:
    """The smallest box around the ink of a uint8 [H, W] picture, as (rows, columns). ValueError if there is none."""
    return mask_box(picture > INK_THRESHOLD)


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
