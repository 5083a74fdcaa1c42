"""The only place that knows pixel ranges, EXIF, alpha, sizes and the frame into which a picture is brought."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

FRAME_SIZES = (26, 30)  # px at 64 px: the side of a digit's MNIST frame
CELL_JITTER = 4  # px at 64 px: how far the ink box may sit from its cell's centre
INK_THRESHOLD = 16  # of 255: fainter pixels are no ink


def ink_box(picture: np.ndarray) -> tuple[slice, slice]:
    """The smallest box around the ink of a uint8 [H, W] picture, as (rows, columns). ValueError if there is none."""
    ink = picture > INK_THRESHOLD
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    if len(rows) == 0:
        raise ValueError("the picture is blank: it holds no ink")
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


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
    sheet(pictures, columns).save(path)
