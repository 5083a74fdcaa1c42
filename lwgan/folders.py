"""A model's folder, and the Hub repo that holds the same files:

    config.json  model.safetensors  README.md (the card)  metrics.json (what was measured)  images/*.png

Written whole or not at all, and never read unchecked: schema, size, sha256, names, shapes, types, finite values.
"""

import hashlib
import json
import os
import re
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

FORMAT_VERSION = 1
CONFIG, WEIGHTS, METRICS = "config.json", "model.safetensors", "metrics.json"
EDIT_KINDS = ("affine", "translation")
EDIT_TENSORS = {"affine": {"weight", "bias"}, "translation": {"bias"}}
STORED = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
COUNTS = (torch.uint8, torch.int32, torch.int64, torch.bool)  # what may lie beside floats (pictures, labels)

NAME = re.compile(r"[a-z0-9_-]{1,64}")  # attributes, models, domains: they become labels, file names and tags

CONFIG_LIMIT = 1_000_000  # bytes
EDIT_LIMIT, MODEL_LIMIT = 64_000_000, 4_000_000_000  # bytes of weights


class Damaged(ValueError):
    """The files are not what they once were; another download may cure it."""


def save_folder(folder: str | Path, config: dict, tensors: dict[str, Tensor], dtype: str | None = None) -> None:
    """Writes model.safetensors and config.json, whole or not at all.

    dtype: float32 (the default), float16 or bfloat16, in which float tensors are stored; others stay as they are.
    Adds format_version, dtype and weights {file, size, sha256} to the config. ValueError if the result could not be loaded again.

    Both files are first written under other names. Renaming the config is the moment of change; a process killed
    before it leaves the old model, one killed after it leaves the new one, whose weights `_weights` finds under either name.
    """
    folder, dtype = Path(folder), dtype or "float32"
    if dtype not in STORED:
        raise ValueError(f"dtype {dtype!r} is unknown: choose one of {', '.join(STORED)}")
    tensors = {name: _stored(value, STORED[dtype]) for name, value in tensors.items()}
    # One metadata key: safetensors writes several in random order, and the same model would get another sha256.
    data = safetensors.torch.save(tensors, metadata={"format": "pt"})
    weights = {"file": WEIGHTS, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    config = {"format_version": FORMAT_VERSION, **config, "dtype": dtype, "weights": weights}
    text = json.dumps(config, indent=1, allow_nan=False)
    _check_config(json.loads(text), str(folder))
    _check_tensors(config, tensors, str(folder))

    folder.mkdir(parents=True, exist_ok=True)
    _settle(folder)
    try:
        _write(folder / f"{WEIGHTS}.new", data)
        _write(folder / f"{CONFIG}.new", text.encode())
    except BaseException:
        for name in (WEIGHTS, CONFIG):
            (folder / f"{name}.new").unlink(missing_ok=True)
        raise
    os.replace(folder / f"{CONFIG}.new", folder / CONFIG)
    os.replace(folder / f"{WEIGHTS}.new", folder / WEIGHTS)


def _stored(value: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of its own: safetensors refuses tensors that share memory."""
    return value.detach().to("cpu", dtype if value.is_floating_point() else value.dtype, copy=True).contiguous()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """Finishes what a killed `save_folder` left behind: puts new weights that belong to the config in their place."""
    new = folder / f"{WEIGHTS}.new"
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        if hashlib.sha256(new.read_bytes()).hexdigest() == config["weights"]["sha256"]:
            os.replace(new, folder / WEIGHTS)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return  # nothing was left behind


def read_folder(folder: Path, source: str, kinds: tuple[str, ...] | None = None) -> tuple[dict, dict[str, Tensor], bytes]:
    """Config, tensors as stored, and the weights' bytes of a folder, all checked. `source` names it in errors."""
    config = read_config(folder, source, kinds)
    data = _weights(folder, config, source)
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise Damaged(f"{source}: {WEIGHTS} is no safetensors file ({error})") from error
    _check_tensors(config, tensors, source)
    return config, tensors, data


def read_config(folder: Path, source: str, kinds: tuple[str, ...] | None = None) -> dict:
    """The config of a folder, checked. ValueError that begins with `source`; Damaged if another download may help."""
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(f"{source} is no model: it holds no {CONFIG}")
    if path.stat().st_size > CONFIG_LIMIT:
        raise ValueError(f"{source}: {CONFIG} has {path.stat().st_size} bytes, at most {CONFIG_LIMIT} are read")
    try:
        config = json.loads(path.read_text("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{source}: {CONFIG} is no JSON ({error})") from error
    _check_config(config, source)
    if kinds and config["kind"] not in kinds:
        raise ValueError(f"{source} is of kind {config['kind']!r}, expected {' or '.join(map(repr, kinds))}")
    return config


def _no_constant(word: str):
    raise ValueError(f"{word} is no number of JSON")


def _check_config(config, source: str) -> None:
    """ValueError unless this version can read the config. Keys that it does not know are kept and ignored."""
    if not isinstance(config, dict):
        raise ValueError(f"{source}: {CONFIG} holds a {type(config).__name__}, expected an object")
    version = config.get("format_version")
    if type(version) is not int or version < 1:
        raise ValueError(f"{source}: format_version is {version!r}, expected {FORMAT_VERSION}")
    if version > FORMAT_VERSION:
        raise ValueError(f"{source} has format_version {version}, this lwgan reads up to {FORMAT_VERSION}: update lwgan")
    for key in ("kind", "domain", "method", "attribute"):
        value = config.get(key)
        if (value is not None or key == "kind") and not (isinstance(value, str) and NAME.fullmatch(value)):
            raise ValueError(f"{source}: {key} is {value!r}, expected 1 to 64 of a-z, 0-9, _ and -")
    if config.get("dtype") not in STORED:
        raise ValueError(f"{source}: dtype is {config.get('dtype')!r}, expected one of {', '.join(STORED)}")
    weights = config.get("weights")
    if not isinstance(weights, dict) or weights.get("file") != WEIGHTS:
        raise ValueError(f"{source}: weights is {weights!r}, expected file {WEIGHTS!r}, size and sha256")
    size, sha256 = weights.get("size"), weights.get("sha256")
    if type(size) is not int or not re.fullmatch(r"[0-9a-f]{64}", str(sha256)):
        raise ValueError(f"{source}: weights has size {size!r} and sha256 {sha256!r}, expected bytes and 64 hex digits")
    if weights["size"] > limit_of(config["kind"]):
        raise ValueError(f"{source}: its weights have {weights['size']} bytes, kind {config['kind']!r} may have {limit_of(config['kind'])}")
    for key in ("num_ws", "w_dim") if config["kind"] in EDIT_KINDS else ():
        if type(config.get(key)) is not int or config[key] < 1:
            raise ValueError(f"{source}: {key} is {config.get(key)!r}, expected a positive integer")


def _weights(folder: Path, config: dict, source: str) -> bytes:
    """The bytes that the config speaks of (see `save_folder` for the second name). Damaged if they are not there."""
    wanted, found = config["weights"], None
    for name in (WEIGHTS, f"{WEIGHTS}.new"):
        path = folder / name
        if not path.is_file():
            continue
        if path.stat().st_size != wanted["size"]:
            found = found or f"{path.stat().st_size} bytes, {CONFIG} says {wanted['size']}"
            continue
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest == wanted["sha256"]:
            return data
        found = found or f"sha256 {digest}, {CONFIG} says {wanted['sha256']}"
    raise Damaged(f"{source}: {WEIGHTS} {'has ' + found if found else 'is missing'}")


def _check_tensors(config: dict, tensors: dict[str, Tensor], source: str) -> None:
    stored = STORED[config["dtype"]]
    if not tensors:
        raise ValueError(f"{source}: {WEIGHTS} holds no tensor")
    for name, value in tensors.items():
        if value.dtype != stored and value.dtype not in COUNTS:
            raise ValueError(f"{source}: tensor {name!r} is {str(value.dtype)[6:]}, {CONFIG} says {config['dtype']}")
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{source}: tensor {name!r} holds NaN or infinity")
    if config["kind"] not in EDIT_KINDS:
        return  # the architecture decides: load_module
    wanted = {"weight": (config["num_ws"], config["w_dim"], config["w_dim"]), "bias": (config["num_ws"], config["w_dim"])}
    names = EDIT_TENSORS[config["kind"]]
    if set(tensors) != names:
        raise ValueError(f"{source}: {WEIGHTS} holds {sorted(tensors)}, kind {config['kind']!r} has {sorted(names)}")
    for name in sorted(names):
        if tuple(tensors[name].shape) != wanted[name]:
            raise ValueError(f"{source}: {name} has shape {tuple(tensors[name].shape)}, num_ws and w_dim say {wanted[name]}")
        if not tensors[name].is_floating_point():
            raise ValueError(f"{source}: {name} is {str(tensors[name].dtype)[6:]}, expected {config['dtype']}")


def limit_of(kind: str | None) -> int:
    """How many bytes the weights of a kind may have."""
    return EDIT_LIMIT if kind in EDIT_KINDS else MODEL_LIMIT
