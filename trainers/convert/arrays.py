"""Reads files of arrays whatever their suffix: .npy, .npz, .safetensors, torch's files and pickles.

No code of a file is run: what is pickled goes through `trainers.convert.unpickle`.
"""

import math
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
import safetensors.torch
import torch
from numpy.lib import format as npy

from trainers.convert import unpickle

EXPANSION = 20  # a compressed archive may have so many times its size when unpacked
# How files begin that people take for arrays, and what they are.
OTHERS = {
    b"<!doctype": "a web page: the link asks for a click or a login; download the file itself",
    b"<html": "a web page: the link asks for a click or a login; download the file itself",
    b"<?xml": "XML, perhaps an error message of a server; download the file itself",
    b'{"': "JSON, perhaps an error message of a server; download the file itself",
    b"version https://git-lfs": "a Git LFS pointer: run `git lfs pull` to get the file",
    b"\x89HDF": "an HDF5 file: save its arrays as .npz",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"%PDF": "a PDF",
}


def read(path: Path) -> object:
    """The content of a file: a tensor, a dict of tensors and texts, or what `unpickle.read` returns.

    FileNotFoundError if there is no such file. ValueError, with the file's name, if it is damaged, of
    another kind, or asks for an unknown global."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected a file")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    with path.open("rb") as file:
        start = file.read(64)
        for begin, what in OTHERS.items():
            if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(begin.lower()):
                raise ValueError(f"{path} is no checkpoint: it is {what}")
        try:
            if start.startswith(npy.MAGIC_PREFIX):
                file.seek(0)
                return _plain(_array(file))
            if start[8:9] == b"{":
                return dict(safetensors.torch.load_file(path))
            if start.startswith(unpickle.ZIP) and (names := _arrays_in(path)):
                with zipfile.ZipFile(path) as archive:
                    return {name.removesuffix(".npy"): _plain(_array(archive.open(name))) for name in names}
        except unpickle.UnknownGlobal as error:
            raise ValueError(f"{path} is refused, and nothing of it was run: {error}") from error
        except Exception as error:  # a damaged or hostile file may fail in any way
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(f"{path} is no checkpoint, or is damaged or cut short: {reason}") from error
    return _plain(unpickle.read(path))


def _arrays_in(path: Path) -> list[str]:
    """The names of the arrays in an archive of numpy; empty for torch's. ValueError for a zip bomb."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    names = [part.filename for part in parts]
    if not names or not all(name.endswith(".npy") for name in names):
        return []
    total, size = sum(part.file_size for part in parts), path.stat().st_size
    if total > EXPANSION * size:
        raise ValueError(f"its arrays have {total} bytes when unpacked, the file {size}")
    return names


def _array(file: BinaryIO) -> object:
    """An array in numpy's format. One of objects, such as a dict given to `np.save`, is a pickle."""
    version = npy.read_magic(file)
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.hasobject:
        return unpickle.Reader(file).load()
    values = np.frombuffer(file.read(), dtype, count=math.prod(shape))
    return values.reshape(shape, order="F" if fortran else "C")


def _plain(value: object) -> object:
    """The same with tensors in place of numpy's arrays of numbers, and lists in place of its other arrays."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if not isinstance(value, np.ndarray | np.generic):
        return value
    if value.dtype.kind in "fiub":
        return torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))
    return _plain(value.tolist())
