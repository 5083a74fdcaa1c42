"""Foreign checkpoint files, read without running anything of theirs.

A pickle names functions for its reader to call, and may name any. torch files therefore go through `weights_only=True`; other pickles
through an Unpickler that knows the few names StyleGAN2 files need, most of which it answers with plain records of its own,
and refuses a file that asks for another. The source text that NVIDIA's files carry is kept as text.
"""

import argparse
import collections
import io
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ZIP = b"PK\x03\x04"
OLD_TORCH = pickle.dumps(
    0x1950A86A20F9469CFC6C, protocol=2
)  # the number with which torch.save began before its zip files


class UnknownGlobal(ValueError):
    """A pickle names a function or class that no checkpoint of StyleGAN2 needs."""


def read(path: Path) -> object:
    """The content of a checkpoint: dicts, lists, numbers, texts, tensors, and the records below.

    FileNotFoundError if there is no such file; ValueError, naming it, if it is damaged, no checkpoint, or asks for a global
    that is not on the list. Nothing of the file is run in any case.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    with path.open("rb") as file:
        head = file.read(len(OLD_TORCH))
        file.seek(0)
        try:
            return _read_torch(file) if head.startswith((ZIP, OLD_TORCH)) else Reader(file).load()
        except UnknownGlobal as error:
            raise ValueError(f"{path} is refused, and nothing of it was run: {error}") from error
        except Exception as error:  # a damaged or hostile file may make its reader fail in any way
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
            raise ValueError(f"{path} is no checkpoint, or is damaged or cut short: {reason}") from error


def _read_torch(file) -> object:
    _check_zip(file)
    try:
        with torch.serialization.safe_globals(
            [argparse.Namespace]
        ):  # rosinality's training options: plain values
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if found := re.search(r"GLOBAL '?([\w.]+)", str(error)):
            raise UnknownGlobal(f"it asks for the global {found[1]!r}") from error
        raise


def _check_zip(file) -> None:
    """ValueError if the parts of a zip file are larger than the file: torch.save never compresses, so they are to fill the memory."""
    zipped, size = file.read(len(ZIP)) == ZIP, file.seek(0, io.SEEK_END)
    file.seek(0)
    if zipped:
        with zipfile.ZipFile(file) as held:
            parts = sum(part.file_size for part in held.infolist())
        file.seek(0)
        if parts > size:
            raise ValueError(
                f"its parts have {parts} bytes when unpacked, the file {size} (torch compresses nothing)"
            )


class Persistent:
    """An object of NVIDIA's `torch_utils.persistence`: the name of its class, its attributes, the text of its module."""

    def __init__(self, meta: dict):
        self.class_name, self.state, self.module_src = (
            str(meta["class_name"]),
            dict(meta["state"] or {}),
            meta.get("module_src"),
        )
        if meta.get("type") != "class":
            raise ValueError(f"a persistent object is of type {meta.get('type')!r}, expected 'class'")


class Network:
    """A network of NVIDIA's `dnnlib.tflib`: its attributes as they were pickled."""

    def __setstate__(self, state: dict) -> None:
        self.state = dict(state)


class Dtype:
    """numpy's description of numbers: kind and size, and the order of bytes."""

    def __init__(self, code: str, *_):
        self.code, self.order = str(code), "="

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]

    def read(self, data: bytes) -> np.ndarray:
        if not re.fullmatch(r"[fiub]\d+", self.code):
            raise ValueError(f"an array of type {self.code!r}, expected numbers")
        return np.frombuffer(
            data, np.dtype(self.code).newbyteorder(self.order if self.order in "<>" else "=")
        )


class Array:
    """An array of numpy, made from its bytes."""

    def __init__(self, *_):
        self.value = np.empty(0, np.float32)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        self.value = dtype.read(data).reshape(shape, order="F" if fortran else "C")

    def tensor(self) -> Tensor:
        return torch.from_numpy(
            self.value.astype(self.value.dtype.newbyteorder("="))
        )  # a copy that can be written to


def _storage(data: bytes):
    return _read_torch(io.BytesIO(data))


def _tensor(storage, offset: int, size: tuple, stride: tuple, *_) -> Tensor:
    """A view of a storage; torch itself refuses one that reaches beyond it."""
    return torch._utils._rebuild_tensor(storage, offset, size, stride)


GLOBALS = {
    "torch_utils.persistence._reconstruct_persistent_obj": Persistent,
    "dnnlib.tflib.network.Network": Network,
    "dnnlib.util.EasyDict": dict,
    "torch.storage._load_from_bytes": _storage,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch.Size": tuple,
    "torch.device": lambda *words: ":".join(map(str, words)),
    "collections.OrderedDict": collections.OrderedDict,
    "numpy.dtype": Dtype,
    "numpy.ndarray": Array,
    "numpy.core.multiarray._reconstruct": Array,
    "numpy.core.multiarray.scalar": lambda dtype, data: dtype.read(data)[0].item(),
    "_codecs.encode": lambda text, _: text.encode("latin1"),  # how protocol 2 writes bytes
    **{
        f"{module}.{kind.__name__}": kind
        for module in ("builtins", "__builtin__")
        for kind in (set, frozenset, slice, complex)
    },
}
GLOBALS |= {
    name.replace("numpy.core", "numpy._core"): value for name, value in GLOBALS.items()
}  # as numpy 2 calls them


class Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        if f"{module}.{name}" not in GLOBALS:
            raise UnknownGlobal(f"it asks for the global '{module}.{name}'")
        return GLOBALS[f"{module}.{name}"]
