"""Pictures of faces, or their codes, with yes/no labels: CelebA-HQ with CelebA's list, or your own with a CSV.

A list is CelebA's list_attr_celeba.txt (the number of rows, the names of the attributes, then `000001.jpg -1 1 ...`; the list of
CelebAMask-HQ is of the same form), or a CSV whose header names the attributes and whose first column names the pictures.
Both hold -1 and 1, or 0 and 1. Codes are a .npy [N, num_ws, w_dim], their labels a .npy [N, 40] or a list of N rows.
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from lwgan.frames.face import frame_face
from lwgan.images import open_picture
from trainers.datasets.celeba import CELEBA

SPLITS = ("train", "validation", "test")
HALF_LIMIT = 65504
ATTRIBUTE = re.compile(r"[A-Za-z0-9_-]{1,60}")  # it becomes part of file names and tags


class Table(NamedTuple):
    """`files` N names, `labels` bool [N, K], `names` of the K attributes."""

    files: tuple[str, ...]
    labels: np.ndarray
    names: tuple[str, ...]


class Rows(NamedTuple):
    """A list as it stands in its file: lines (number, file, values as text), and the names."""

    lines: list[tuple[int, str, list[str]]]
    names: tuple[str, ...]


# Lists


def read_table(path: Path) -> Table:
    """The labels of a list, either form. FileNotFoundError; ValueError with the line for what is wrong in it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such list of labels")
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error.reason} at byte {error.start})") from None
    lines = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if len(lines) < 2:
        raise ValueError(
            f"{path} holds {len(lines)} lines: expected CelebA's list, or a CSV with a header and a line for each picture"
        )
    rows = _celeba(lines, path) if lines[0][1].isdecimal() else _csv(lines, path)
    _check_names(rows, path)
    return Table(tuple(file for _, file, _ in rows.lines), _labels(rows, path), rows.names)


def _celeba(lines: list[tuple[int, str]], path: Path) -> Rows:
    count, names = int(lines[0][1]), tuple(lines[1][1].split())
    rows = [(number, *_first(line.split())) for number, line in lines[2:]]
    if len(rows) != count:
        raise ValueError(
            f"{path} says on its first line that it has {count} rows, but it has {len(rows)}: is it whole?"
        )
    return Rows(rows, names)


def _csv(lines: list[tuple[int, str]], path: Path) -> Rows:
    if "," not in lines[0][1]:
        raise ValueError(
            f"{path} starts with {lines[0][1][:40]!r}: expected the number of rows (CelebA's list), or a CSV's header with commas"
        )
    # Line by line: a quote that is never closed spoils one line, which is then named, and not the rest of the list.
    rows = [_values(line, number, path) for number, line in lines]
    return Rows(
        [(number, *_first(row)) for (number, _), row in zip(lines[1:], rows[1:], strict=True)],
        tuple(rows[0][1:]),
    )


def _values(line: str, number: int, path: Path) -> list[str]:
    try:
        return [value.strip() for value in next(csv.reader([line]))]
    except csv.Error as error:
        raise ValueError(f"{path}, line {number}: {error}") from error


def _first(words: list[str]) -> tuple[str, list[str]]:
    return words[0], words[1:]


def _check_names(rows: Rows, path: Path) -> None:
    if wrong := [name for name in rows.names if not ATTRIBUTE.fullmatch(name)]:
        raise ValueError(f"{path}: attribute {wrong[0]!r}: a name may have 1 to 60 of A-Z, a-z, 0-9, _ and -")
    for what, names in (("attribute", rows.names), ("picture", [file for _, file, _ in rows.lines])):
        name, times = Counter(names).most_common(1)[0] if names else ("", 0)
        if times > 1:
            raise ValueError(f"{path} names the {what} {name!r} {times} times")
        if not names:
            raise ValueError(f"{path} names no {what}")


def _labels(rows: Rows, path: Path) -> np.ndarray:
    """bool [N, K]. All values are -1 and 1, or all are 0 and 1: a list that mixes them was put together wrongly."""
    meaning = {"1": True, "1.0": True, "0": False, "0.0": False, "-1": False, "-1.0": False}
    labels = np.empty((len(rows.lines), len(rows.names)), bool)
    absent: dict[str, int] = {}
    for i, (number, file, values) in enumerate(rows.lines):
        if len(values) != len(rows.names):
            raise ValueError(
                f"{path}, line {number} ({file}): {len(values)} values, but {len(rows.names)} attributes are named"
            )
        for k, value in enumerate(values):
            if value not in meaning:
                raise ValueError(
                    f"{path}, line {number} ({file}): {rows.names[k]} is {value!r}, expected -1 or 1, or 0 or 1"
                )
            labels[i, k] = meaning[value]
            if not labels[i, k]:
                absent.setdefault(value.removesuffix(".0"), number)
    if len(absent) > 1:
        raise ValueError(
            f"{path} says no by 0 on line {absent['0']} and by -1 on line {absent['-1']}: expected one of the two throughout"
        )
    return labels


# Splits


def split_of(file: str) -> str:
    """The split of a picture by its name: always the same, for whatever else is in the list. 80, 10 and 10 percent.

    Numbers count by value: 7.jpg, 00007.png and row 7 of an array are the same person of CelebA-HQ.
    """
    stem = Path(file).stem
    digest = hashlib.sha256((str(int(stem)) if stem.isdecimal() else stem).encode()).digest()
    return {0: "validation", 1: "test"}.get(int.from_bytes(digest[:8], "big") % 10, "train")


def rows_of(files: tuple[str, ...], split: str, limit: int | None = None) -> np.ndarray:
    """The indices of a split's pictures, in the list's order, at most `limit`. ValueError if there are none."""
    rows = np.array([i for i, file in enumerate(files) if split_of(file) == split][:limit], int)
    if not len(rows):
        raise ValueError(
            f"none of the {len(files)} pictures falls into the {split} split (80, 10, 10 percent by name): more are needed"
        )
    return rows


# Pictures


def picture_paths(folder: Path, files: tuple[str, ...]) -> list[Path]:
    """Where the pictures of a list lie. FileNotFoundError that names the first one missing."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder of pictures")
    held = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    missing = [file for file in files if file not in held]
    if missing:
        same = sorted(name for name in held if Path(name).stem == Path(missing[0]).stem)
        hint = f"; there is {same[0]}: name it so in the list" if same else ""
        raise FileNotFoundError(
            f"{folder} lacks {len(missing)} of the list's {len(files)} pictures, the first is {missing[0]}{hint}"
        )
    return [folder / file for file in files]


def load_face(path: Path, size: int, align: bool) -> Image.Image:
    """A picture of FFHQ's frame, "RGB", size x size px. align: it is any photograph, and the largest face is cut out of it.
    ValueError that names the picture."""
    try:
        if align:
            return frame_face(path, size)
        picture = open_picture(path).convert("RGB")
        if picture.width != picture.height:
            raise ValueError(
                f"it is {picture.width} x {picture.height} px, but in FFHQ's frame all are square: give --align"
            )
        return picture.resize((size, size), Image.Resampling.LANCZOS)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


# Arrays


def read_arrays(codes: Path, labels: Path, num_ws: int, w_dim: int) -> tuple[np.ndarray, Table]:
    """Codes [N, num_ws, w_dim] (mapped, not read) and the labels of their rows, which are named 0, 1, ... ValueError for what does not fit."""
    w = _load(codes)
    _check_codes(w, codes, num_ws, w_dim)
    table = _array_labels(labels, len(w)) if labels.suffix == ".npy" else read_table(labels)
    if len(table.labels) != len(w):
        raise ValueError(
            f"{codes} holds {len(w)} codes, {labels} has labels for {len(table.labels)}: expected as many"
        )
    return w, table._replace(files=tuple(map(str, range(len(w)))) if labels.suffix == ".npy" else table.files)


def _load(path: Path) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is no array of numbers in NumPy's format ({error})") from error


def _check_codes(w: np.ndarray, path: Path, num_ws: int, w_dim: int) -> None:
    if w.shape[1:] != (num_ws, w_dim) or not len(w) or w.dtype.kind != "f":
        hint = ""
        if w.ndim == 2 and w.shape[1] == w_dim:
            hint = f". These are codes of W, one for all layers: if that is meant, save np.repeat(codes[:, None], {num_ws}, 1)"
        elif w.ndim == 2 and w.shape[1] == num_ws * w_dim:
            hint = f": save codes.reshape(-1, {num_ws}, {w_dim})"
        elif w.ndim == 4 and w.shape[1:] == (1, num_ws, w_dim):
            hint = ": save codes[:, 0]"
        elif w.ndim == 3 and w.shape[2] == w_dim:
            hint = f". A generator of another resolution has {w.shape[1]} layers, the encoder's has {num_ws}"
        raise ValueError(
            f"{path} holds {w.dtype} of shape {list(w.shape)}, expected float [N, {num_ws}, {w_dim}]{hint}"
        )
    for start in range(0, len(w), 1000):
        fits = (np.abs(w[start : start + 1000]) < HALF_LIMIT).all((1, 2))  # False for NaN too
        if not fits.all():
            row = start + int(fits.argmin())
            raise ValueError(
                f"{path}: code {row} holds NaN, infinity or a number beyond {HALF_LIMIT}; codes are kept in half precision"
            )


def _array_labels(path: Path, count: int) -> Table:
    values = _load(path)
    if values.shape != (count, len(CELEBA)):
        hint = ""
        if values.shape == (len(CELEBA), count):
            hint = ": save labels.T"
        elif values.ndim == 2 and values.shape[0] == count:
            hint = ". For other attributes than CelebA's give a CSV, whose header names them"
        raise ValueError(
            f"{path} holds labels of shape {list(values.shape)}, expected [{count}, {len(CELEBA)}], CelebA's attributes of {count} codes{hint}"
        )
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{path} holds {values.dtype}, expected numbers")
    values = np.asarray(values)
    found = np.unique(values)
    if not (np.isin(found, (0, 1)).all() or np.isin(found, (-1, 1)).all()):
        row, k = map(
            int,
            np.argwhere(
                ~np.isin(values, (-1, 0, 1)) if not np.isin(found, (-1, 0, 1)).all() else values == 0
            )[0],
        )
        also = "" if values[row, k] != 0 else ", and elsewhere there is -1"
        raise ValueError(
            f"{path}: {CELEBA[k]} of row {row} is {values[row, k]}{also}: expected -1 and 1, or 0 and 1 throughout"
        )
    return Table((), values == 1, CELEBA)


def batches(items: list, size: int) -> Iterator[list]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
