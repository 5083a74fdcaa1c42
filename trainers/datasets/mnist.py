"""Real MNIST digits, read from an IDX folder or from the `ylecun/mnist` files of the Hub."""

import gzip
import io
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

# The digits of each split. No digit of one split is ever seen in a picture of another: the 60K of MNIST's
# training file serve training and, its last 5K, validation; the 10K of its test file are for tests only.
SPLITS = {
    "train": ("train", slice(0, 55_000)),
    "validation": ("train", slice(55_000, 60_000)),
    "test": ("t10k", slice(0, 10_000)),
}
HUB_REPO = "ylecun/mnist"
HUB_FILES = {"train": "mnist/train-00000-of-00001.parquet", "t10k": "mnist/test-00000-of-00001.parquet"}


class Digits(NamedTuple):
    """Single digits: `images` uint8 [N, 28, 28], ink bright on black; `labels` int64 [N] in 0..9."""

    images: np.ndarray
    labels: np.ndarray


def load_digits(split: str, folder: str | Path | None = None) -> Digits:
    """The digits of `split` ("train", "validation" or "test").

    `folder` holds MNIST's four IDX files, gzipped or not; None takes the `ylecun/mnist` files from the Hub.
    Raises ValueError for an unknown split or a damaged file, FileNotFoundError for a missing one.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is unknown: choose one of {', '.join(SPLITS)}")
    part, rows = SPLITS[split]
    images, labels = _from_hub(part) if folder is None else _from_idx(Path(folder), part)
    if len(images) != len(labels):
        raise ValueError(f"MNIST {part}: {len(images)} pictures but {len(labels)} labels")
    if images.shape[1:] != (28, 28):
        raise ValueError(f"MNIST {part}: pictures of {images.shape[1:]}, expected (28, 28)")
    return Digits(*_rows(images, labels, rows, part))


def _rows(images, labels, rows: slice, part: str):
    """The split's rows; a reduced copy of MNIST (tests) is cut in the same proportions."""
    full = {"train": 60_000, "t10k": 10_000}[part]
    start, stop = (round(edge / full * len(images)) for edge in (rows.start, rows.stop))
    return images[start:stop], labels[start:stop].astype(np.int64)


def _from_idx(folder: Path, part: str):
    return read_idx(_find(folder, f"{part}-images")), read_idx(_find(folder, f"{part}-labels"))


def _find(folder: Path, stem: str) -> Path:
    found = sorted(folder.glob(f"{stem}*ubyte*"))
    if not found:
        raise FileNotFoundError(
            f"no file {stem}*ubyte[.gz] in {folder}: --mnist wants the folder of MNIST's four IDX files"
        )
    return found[0]


def read_idx(path: Path) -> np.ndarray:
    """An IDX file of unsigned bytes (yann.lecun.com's format), gzipped or not, as an array.

    ValueError if damaged.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
        raise ValueError(f"{path.name} is no IDX file of unsigned bytes: it starts with {raw[:4]!r}")
    shape = struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]])
    body = raw[4 + 4 * raw[3] :]
    if len(body) != np.prod(shape):
        raise ValueError(
            f"{path.name} is damaged: its header says {np.prod(shape)} bytes, it holds {len(body)}"
        )
    return np.frombuffer(body, np.uint8).reshape(shape)


def _from_hub(part: str):
    import pyarrow.parquet
    from huggingface_hub import hf_hub_download
    from PIL import Image

    table = pyarrow.parquet.read_table(hf_hub_download(HUB_REPO, HUB_FILES[part], repo_type="dataset"))
    pngs = (cell["bytes"] for cell in table["image"].to_pylist())
    images = np.stack([np.asarray(Image.open(io.BytesIO(png)).convert("L")) for png in pngs])
    return images, table["label"].to_numpy()
