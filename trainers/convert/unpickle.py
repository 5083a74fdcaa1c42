"""Reads checkpoint files without running any of their code.

A pickle names functions for its reader to call, and may name any. torch's files therefore go through
`weights_only=True`. Other pickles go through an Unpickler that knows the few names that StyleGAN2 files
need, answers some of them with plain records, and refuses a file that asks for another. The source text
in NVIDIA's files stays text.
"""

import argparse
import collections
import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

ZIP = b"PK\x03\x04"
# The number with which torch.save's files began before they were zip files.
OLD_TORCH = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


class UnknownGlobal(ValueError):
    """A pickle names a function or class that no checkpoint of StyleGAN2 needs."""


def read(path: Path) -> object:
    """The content of a checkpoint: dicts, lists, numbers, texts, tensors, and the records below.

    FileNotFoundError if there is no such file. ValueError, with the file's name, if it is damaged, not a
    checkpoint, or asks for an unknown global. No code of the file is run in any case."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    with path.open("rb") as file:
        head = file.read(len(OLD_TORCH))
        file.seek(0)
        try:
            return _read_torch(file) if head.startswith((ZIP, OLD_TORCH)) else Reader(file).load()
        except UnknownGlobal as error:
            raise ValueError(f"{path} is refused, and nothing of it was run: {error}") from error
        except Exception as error:  # a damaged or hostile file may fail in any way
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
            raise ValueError(f"{path} is no checkpoint, or is damaged or cut short: {reason}") from error


def _read_torch(file: BinaryIO) -> object:
    """What torch's own reader takes, or else a file of today's form that holds more: arrays of numpy, or a
    whole network of NVIDIA's classes, as PTI saves it."""
    zipped = _check_zip(file)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # rosinality's training options
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not (found := re.search(r"GLOBAL '?([\w.]+)", str(error))):
            raise
        if not zipped:
            raise UnknownGlobal(f"it asks for the global {found[1]!r}") from error
    with zipfile.ZipFile(file) as archive:
        return TorchReader(archive).load()


def _check_zip(file: BinaryIO) -> bool:
    """Whether it is a zip file. ValueError for one with compressed parts, which torch.save does not write."""
    zipped, size = file.read(len(ZIP)) == ZIP, file.seek(0, io.SEEK_END)
    file.seek(0)
    if zipped:
        with zipfile.ZipFile(file) as archive:
            parts = sum(part.file_size for part in archive.infolist())
        file.seek(0)
        if parts > size:
            raise ValueError(f"its parts have {parts} bytes when unpacked, the file {size}")
    return zipped


class Persistent:
    """An object of NVIDIA's `torch_utils.persistence`: the name of its class, and its attributes."""

    def __init__(self, meta: dict):
        self.class_name, self.state = str(meta["class_name"]), dict(meta["state"] or {})
        if meta.get("type") != "class":
            raise ValueError(f"a persistent object is of type {meta.get('type')!r}, expected 'class'")


class Network:
    """A network of NVIDIA's `dnnlib.tflib`: its attributes as they were pickled."""

    def __setstate__(self, state: dict) -> None:
        self.state = dict(state)


STORAGES = {
    "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool,
}  # fmt: skip
PLAIN = (set, frozenset, slice, complex)
GLOBALS = {
    "torch_utils.persistence._reconstruct_persistent_obj": Persistent,
    "dnnlib.tflib.network.Network": Network,
    "dnnlib.util.EasyDict": dict,
    "torch.storage._load_from_bytes": lambda data: _read_torch(io.BytesIO(data)),
    # Views of a storage. torch refuses one that reaches beyond it.
    "torch._utils._rebuild_tensor": lambda *words: torch._utils._rebuild_tensor(*words[:4]),
    "torch._utils._rebuild_tensor_v2": lambda *words: torch._utils._rebuild_tensor(*words[:4]),
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch.Size": tuple,
    **{f"torch.{name}Storage": dtype for name, dtype in STORAGES.items()},
    "torch.device": lambda *words: ":".join(map(str, words)),
    "collections.OrderedDict": collections.OrderedDict,
    "argparse.Namespace": argparse.Namespace,
    "numpy.dtype": np.dtype,
    "numpy.ndarray": None,  # named as an argument alone: nobody may call it
    "numpy.core.multiarray._reconstruct": lambda *_: np.empty(0),
    "numpy.core.multiarray.scalar": lambda dtype, data: np.frombuffer(data, dtype)[0].item(),
    "_codecs.encode": lambda text, _: text.encode("latin1"),  # how protocol 2 writes bytes
    **{f"{module}.{kind.__name__}": kind for module in ("builtins", "__builtin__") for kind in PLAIN},
}
# numpy 2 calls numpy.core numpy._core.
GLOBALS |= {name.replace("numpy.core", "numpy._core"): value for name, value in GLOBALS.items()}


class Reader(pickle.Unpickler):
    """An Unpickler that knows GLOBALS alone."""

    def find_class(self, module: str, name: str):
        if f"{module}.{name}" not in GLOBALS:
            raise UnknownGlobal(f"it asks for the global '{module}.{name}'")
        return GLOBALS[f"{module}.{name}"]


class TorchReader(Reader):
    """A Reader of the zip files of torch.save, in which the bytes of storages lie beside the pickle."""

    def __init__(self, archive: zipfile.ZipFile):
        pickled = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        super().__init__(archive.open(pickled))
        self._archive, self._folder, self._storages = archive, pickled.removesuffix("data.pkl"), {}

    def persistent_load(self, words: tuple):
        _, dtype, key, *_ = words
        if key not in self._storages:
            data = bytearray(self._archive.read(f"{self._folder}data/{key}"))
            bytes_ = torch.frombuffer(data, dtype=torch.uint8).untyped_storage()
            typed = torch.storage.TypedStorage(wrap_storage=bytes_, dtype=dtype, _internal=True)
            self._storages[key] = typed
        return self._storages[key]
