"""Real MNIST digits, from a folder of IDX files or from `ylecun/mnist` on the Hub."""

import gzip
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

# MNIST's part, its names in files and on the Hub, and the rows of each split. No digit is in two splits: the
# last 5K training digits are for validation, the test digits for tests only.
SPLITS = {
    "train": ("train", "train", slice(0, 55_000)),
    "validation": ("train", "train", slice(55_000, 60_000)),
    "test": ("t10k", "test", slice(0, 10_000)),
}


class Digits(NamedTuple):
    """Single digits: `images` uint8 [N, 28, 28], ink bright on black; `labels` int64 [N] in 0..9."""

    images: np.ndarray
    labels: np.ndarray


def load_digits(split: str, folder: str | Path | None = None) -> Digits:
    """The digits of `split` ("train", "validation" or "test").

    `folder` holds MNIST's four IDX files, gzipped or not; None reads `ylecun/mnist`. Of a reduced copy the
    splits are cut in proportion. ValueError for an unknown split or a damaged file, FileNotFoundError."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is unknown: choose one of {', '.join(SPLITS)}")
    part, hub_split, rows = SPLITS[split]
    images, labels = _from_hub(hub_split) if folder is None else _from_idx(Path(folder), part)
    if len(images) != len(labels):
        raise ValueError(f"MNIST {part}: {len(images)} pictures but {len(labels)} labels")
    if images.shape[1:] != (28, 28):
        raise ValueError(f"MNIST {part}: pictures of {images.shape[1:]}, expected (28, 28)")
    full = SPLITS["validation" if part == "train" else "test"][2].stop
    chosen = slice(*(round(edge / full * len(images)) for edge in (rows.start, rows.stop)))
    return Digits(images[chosen], labels[chosen].astype(np.int64))


def _from_hub(split: str) -> tuple[np.ndarray, np.ndarray]:
    import datasets

    data = datasets.load_dataset("ylecun/mnist", split=split)
    return np.stack([np.asarray(image) for image in data["image"]]), np.array(data["label"])


def _from_idx(folder: Path, part: str) -> tuple[np.ndarray, ...]:
    found = [sorted(folder.glob(f"{part}-{what}*ubyte*")) for what in ("images", "labels")]
    for what, paths in zip(("images", "labels"), found, strict=True):
        if not paths:
            name = f"{part}-{what}*ubyte[.gz]"
            raise FileNotFoundError(f"no file {name} in {folder}: expected MNIST's four IDX files")
    return tuple(read_idx(paths[0]) for paths in found)


def read_idx(path: Path) -> np.ndarray:
    """An IDX file of unsigned bytes (MNIST's format), gzipped or not. ValueError if it is damaged."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
        raise ValueError(f"{path.name} is no IDX file of unsigned bytes: it starts with {raw[:4]!r}")
    shape, body = struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]]), raw[4 + 4 * raw[3] :]
    if len(body) != np.prod(shape):
        sizes = f"its header says {np.prod(shape)} bytes, it holds {len(body)}"
        raise ValueError(f"{path.name} is damaged: {sizes}")
    return np.frombuffer(body, np.uint8).reshape(shape)
