"""Model folders, and files that are written whole or not at all.

    config.json  model.safetensors  README.md (the card)  metrics.json (the evaluation)  images/*.png

A model's Hub repo holds the same files. A folder is checked when it is read: the config, size and sha256 of
the weights, names, shapes and types of the tensors, finite values.
"""

import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from lwgan.domain import NAME, change_from_json, domain_from_json, is_number, short
from lwgan.frames import FRAMES
from lwgan.images import sheet

FORMAT_VERSION = 1
CONFIG, WEIGHTS, METRICS = "config.json", "model.safetensors", "metrics.json"
PARTIAL_WEIGHTS = f".{WEIGHTS}.*.partial"  # see `save_folder`
EDIT_KINDS = ("affine", "translation")
AFFINE, FACTORS = {"weight", "bias"}, {"out", "into", "bias"}  # A, or A = out @ into of low rank
EDIT_TENSORS = {"affine": (AFFINE, FACTORS), "translation": ({"bias"},)}
STORED = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
INTEGERS = (torch.uint8, torch.int32, torch.int64, torch.bool)  # types of pictures, labels and counters

CONFIG_LIMIT = 1_000_000  # bytes
EDIT_LIMIT, MODEL_LIMIT = 64_000_000, 4_000_000_000  # bytes of weights
POINTS_LIMIT = 1000  # of a strength curve


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a new path to write to. On success that file replaces `path`; after an error it is deleted. Each
    call uses another name, so two processes never write to one partial file. Makes the folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.chmod(0o644)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Writes a JSON file, whole or not at all. ValueError for NaN and infinity."""
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
    with atomic(path) as partial:
        partial.write_text(text + "\n", "utf-8")


def save_sheet(path: Path, pictures: Tensor, columns: int) -> None:
    """Writes all pictures [N, C, H, W] in [-1, 1] as a small PNG (`save_small`), row by row."""
    save_small(path, sheet(pictures, columns))


def save_small(path: Path, image: Image.Image) -> None:
    """Writes a PNG of 256 colours or 16 greys, at most half as large: to look at, not to measure."""
    with atomic(path) as partial:
        # An octree is about as near as Pillow's default, a median cut, and much faster.
        few = image.quantize(256 if image.mode == "RGB" else 16, Image.Quantize.FASTOCTREE)
        few.save(partial, "PNG", optimize=True)


class Rule(NamedTuple):
    """What a config may hold under a key. Dots in the key lead into nested objects."""

    key: str
    holds: Callable[[object], bool]
    expected: str
    required: bool = False


def _matches(pattern: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_count(value) -> bool:
    return type(value) is int and value > 0


def _is_revision(value) -> bool:
    is_hash = _matches(r"[0-9a-f]{40}([0-9a-f]{24})?")
    return isinstance(value, dict) and all(part is None or is_hash(part) for part in value.values())


def _is_point(value) -> bool:
    return (isinstance(value, dict) and all(is_number(value.get(key)) for key in ("alpha", "target_change"))
            and all(figure is None or is_number(figure) for figure in value.values()))  # fmt: skip


def _is_curve(value) -> bool:
    return isinstance(value, list) and len(value) <= POINTS_LIMIT and all(map(_is_point, value))


_is_version = lambda value: _is_count(value) and value <= FORMAT_VERSION
_is_repo = _matches(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_is_name, _name = _matches(NAME.pattern), "1 to 64 of a-z, 0-9, _ and -"

RULES = (
    Rule("format_version", _is_version, f"{FORMAT_VERSION}; update lwgan if it is larger", required=True),
    Rule("kind", _is_name, _name, required=True),
    *(Rule(key, _is_name, _name) for key in ("domain", "method")),
    Rule("dtype", lambda value: value in list(STORED), f"one of {', '.join(STORED)}", required=True),
    Rule("weights.file", lambda value: value == WEIGHTS, f"{WEIGHTS!r}", required=True),
    Rule("weights.size", _is_count, "a number of bytes", required=True),
    Rule("weights.sha256", _matches("[0-9a-f]{64}"), "64 hex digits", required=True),
    *(Rule(key, _is_repo, "a Hub id of the form org/name") for key in ("base_model", "base_encoder")),
    Rule("base_revision", _is_revision, "an object of sha256 hashes or commits, 64 or 40 hex digits each"),
)
EDIT_RULES = (
    Rule("num_ws", _is_count, "a positive integer", required=True),
    Rule("w_dim", _is_count, "a positive integer", required=True),
    Rule("alpha", is_number, "a number of at most 1e9"),
    Rule("strength", lambda value: isinstance(value, dict), "an object"),
    Rule("strength.unit", lambda value: is_number(value) and value > 0, "a positive number"),
    Rule("strength.reach", lambda value: is_number(value) and 0 <= value <= 1, "0 to 1"),
    Rule("strength.curve", _is_curve, f"at most {POINTS_LIMIT} points with numbers alpha and target_change"),
)


class Damaged(ValueError):
    """The files changed after they were written, for example on the way. Another download may help."""


def save_folder(
    folder: str | Path, config: dict, tensors: dict[str, Tensor], dtype: str | None = None
) -> None:
    """Writes model.safetensors and config.json, whole or not at all.

    dtype: float32 (the default), float16 or bfloat16: how floats are stored. Other tensors keep their type.
    Adds format_version, dtype and weights {file, size, sha256} to the config.
    ValueError if `read_folder` would refuse the result.

    The config is renamed first. A process that is killed before that leaves the old model; one that is killed
    between the two renames leaves the new one, whose weights `_weights` finds under their partial name."""
    folder, dtype = Path(folder), dtype or "float32"
    if dtype not in STORED:
        raise ValueError(f"dtype {dtype!r} is unknown: choose one of {', '.join(STORED)}")
    tensors = {name: _stored(value, STORED[dtype]) for name, value in tensors.items()}
    # One metadata key: safetensors writes several in random order, which would change the sha256.
    data = safetensors.torch.save(tensors, metadata={"format": "pt"})
    weights = {"file": WEIGHTS, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    config = {"format_version": FORMAT_VERSION, **config, "dtype": dtype, "weights": weights}
    text = json.dumps(config, indent=1, allow_nan=False)
    _check_config(json.loads(text), str(folder))
    _check_tensors(config, tensors, str(folder))
    with atomic(folder / WEIGHTS) as new_weights, atomic(folder / CONFIG) as new_config:
        new_weights.write_bytes(data)
        new_config.write_text(text, "utf-8")
    for left in folder.glob(".*.partial"):  # by processes that were killed
        left.unlink(missing_ok=True)


def _stored(value: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy, because safetensors refuses tensors that share memory."""
    dtype = dtype if value.is_floating_point() else value.dtype
    return value.detach().to("cpu", dtype, copy=True).contiguous()


def read_folder(
    folder: Path, source: str, kinds: tuple[str, ...] | None = None
) -> tuple[dict, dict[str, Tensor], bytes]:
    """Config, tensors as stored, and the bytes of the weights, all checked. Errors as `read_config`."""
    config = read_config(folder, source, kinds)
    data = _weights(folder, config, source)
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise Damaged(f"{source}: {WEIGHTS} is no safetensors file ({error})") from error
    _check_tensors(config, tensors, source)
    return config, tensors, data


def read_config(folder: Path, source: str, kinds: tuple[str, ...] | None = None) -> dict:
    """The checked config of a folder.

    kinds: the kinds that the caller can use; None for any. ValueError that begins with `source` and names key
    and value; Damaged if another download may help."""
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(f"{source} is no model: it holds no {CONFIG}")
    if (size := path.stat().st_size) > CONFIG_LIMIT:
        raise ValueError(f"{source}: {CONFIG} has {size} bytes, at most {CONFIG_LIMIT} are read")
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
    said = f"{source}: {CONFIG}"
    if not isinstance(config, dict):
        raise ValueError(f"{said} holds a {type(config).__name__}, expected an object")
    is_edit = config.get("kind") in EDIT_KINDS
    for rule in RULES + EDIT_RULES * is_edit:
        value = config
        for key in rule.key.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if (value is not None or rule.required) and not rule.holds(value):
            raise ValueError(f"{said}: {rule.key} is {short(value)}, expected {rule.expected}")
    size, limit = config["weights"]["size"], limit_of(config["kind"])
    if size > limit:
        raise ValueError(f"{said}: weights.size is {size}, kind {config['kind']!r} may have {limit} bytes")
    if is_edit and config.get("change") is not None:
        change_from_json(config["change"], said)
    if (spec := config.get("domain_spec")) is not None:
        name = domain_from_json(spec, f"{said}: domain_spec", tuple(FRAMES)).name
        if name != (wanted := config.get("domain")):
            raise ValueError(f"{said}: domain_spec: name is {name!r}, domain says {wanted!r}")


def _weights(folder: Path, config: dict, source: str) -> bytes:
    """The bytes that have the size and sha256 of the config. Damaged if no file has them."""
    wanted, wrong = config["weights"], []
    for path in [folder / WEIGHTS, *folder.glob(PARTIAL_WEIGHTS)]:
        if not path.is_file():
            continue
        if (size := path.stat().st_size) != wanted["size"]:
            wrong.append(f"{size} bytes, {CONFIG} says {wanted['size']}")
            continue
        data = path.read_bytes()
        if (digest := hashlib.sha256(data).hexdigest()) == wanted["sha256"]:
            return data
        wrong.append(f"sha256 {digest}, {CONFIG} says {wanted['sha256']}")
    raise Damaged(f"{source}: {WEIGHTS} {'has ' + wrong[0] if wrong else 'is missing'}")


def _check_tensors(config: dict, tensors: dict[str, Tensor], source: str) -> None:
    said, kind = f"{source}: {WEIGHTS}", config["kind"]
    if not tensors:
        raise ValueError(f"{said} holds no tensor, kind {kind!r} has {_names_of(kind)}")
    for name, value in tensors.items():
        if value.dtype != STORED[config["dtype"]] and value.dtype not in INTEGERS:
            raise ValueError(f"{said}: tensor {name!r} is {_type(value)}, {CONFIG} says {config['dtype']}")
        if value.is_floating_point() and not is_finite(value):
            bad = int((~torch.isfinite(value)).sum())
            raise ValueError(f"{said}: tensor {name!r} holds NaN or infinity, {bad} of {value.numel()}")
    if kind in EDIT_KINDS:
        _check_edit(config, tensors, said)  # of other kinds the architecture decides: load_module


def is_finite(value: Tensor) -> bool:
    """Whether no value of a float tensor of any shape is NaN or infinite. True if it is empty."""
    # Much faster than torch.isfinite. If any value is NaN, torch.aminmax gives NaN for both.
    return value.numel() == 0 or all(math.isfinite(end) for end in torch.aminmax(value))


def _check_edit(config: dict, tensors: dict[str, Tensor], said: str) -> None:
    kind, num_ws, w_dim = config["kind"], config["num_ws"], config["w_dim"]
    if set(tensors) not in EDIT_TENSORS[kind]:
        raise ValueError(f"{said} holds {short(sorted(tensors))}, kind {kind!r} has {_names_of(kind)}")
    rank = tensors["out"].shape[2] if "out" in tensors and tensors["out"].ndim == 3 else w_dim
    shapes = {"weight": (num_ws, w_dim, w_dim), "out": (num_ws, w_dim, rank), "into": (num_ws, rank, w_dim),
              "bias": (num_ws, w_dim)}  # fmt: skip
    for name in sorted(tensors):
        shape, wanted = tuple(tensors[name].shape), shapes[name]
        shared = name != "bias" and shape == (1, *wanted[1:])  # one map for all layers
        if shape != wanted and not shared:
            raise ValueError(f"{said}: {name} has shape {shape}, num_ws and w_dim say {wanted}")
        if not tensors[name].is_floating_point():
            raise ValueError(f"{said}: {name} is {_type(tensors[name])}, expected {config['dtype']}")


def _type(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _names_of(kind: str) -> str:
    return " or ".join(str(sorted(names)) for names in EDIT_TENSORS.get(kind, (["some"],)))


def check_pictures(tensors: dict[str, Tensor], side: int, source: str) -> None:
    """ValueError unless sample pictures are as the pipeline shows them.

    images: uint8 [N, side, side] or [N, 3, side, side]. Optional: labels, uint8 [N, K] of 0, 1 or 255 for
    unknown, in the order of the Domain's K attributes. Other tensors are ignored."""
    said, images, labels = f"{source}: {WEIGHTS}", tensors.get("images"), tensors.get("labels")
    if images is None or not images.numel():
        raise ValueError(f"{said} holds no picture, kind 'pictures' has ['images'] or ['images', 'labels']")
    if images.dtype != torch.uint8 or tuple(images.shape[1:]) not in ((side, side), (3, side, side)):
        wanted = f"uint8 (N, {side}, {side}) or (N, 3, {side}, {side})"
        raise ValueError(f"{said}: images is {_type(images)} {tuple(images.shape)}, expected {wanted}")
    if labels is not None and (labels.dtype != torch.uint8 or labels.ndim != 2 or len(labels) != len(images)):
        wanted = f"uint8 ({len(images)}, K)"
        raise ValueError(f"{said}: labels is {_type(labels)} {tuple(labels.shape)}, expected {wanted}")


def check_base(config: dict, source: str, base: dict, base_source: str) -> None:
    """ValueError, with names and hashes, unless a model was made for the net `base` (its config). An edit
    must name the weights that it was made for; a net may."""
    made_for, present = (config.get("base_revision") or {}).get(base["kind"]), base["weights"]["sha256"]
    if made_for != present and (made_for or config["kind"] in EDIT_KINDS):
        named = config.get("base_encoder" if base["kind"] == "encoder" else "base_model") or "without a name"
        raise ValueError(f"{source} was made for the {base['kind']} {named} with weights sha256 {made_for}, "
                         f"{base_source} has {present}")  # fmt: skip


def limit_of(kind: str | None) -> int:
    """The largest size of a kind's weights in bytes."""
    return EDIT_LIMIT if kind in EDIT_KINDS else MODEL_LIMIT
