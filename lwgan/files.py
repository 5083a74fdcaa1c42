"""A model's folder, and the Hub repo that holds the same files:

    config.json  model.safetensors  README.md (the card)  metrics.json (what was measured)  images/*.png

Written whole or not at all, and never read unchecked: schema, size, sha256, names, shapes, types, finite values.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

FORMAT_VERSION = 1
CONFIG, WEIGHTS, METRICS = "config.json", "model.safetensors", "metrics.json"
EDIT_KINDS = ("affine", "translation")
AFFINE, FACTORS = {"weight", "bias"}, {"out", "into", "bias"}  # A, or a thin A = out @ into
EDIT_TENSORS = {"affine": (AFFINE, FACTORS), "translation": ({"bias"},)}
STORED = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
COUNTS = (torch.uint8, torch.int32, torch.int64, torch.bool)  # what may lie beside floats (pictures, labels)

NAME = re.compile(r"[a-z0-9_-]{1,64}")  # attributes, models, domains: they become labels, file names and tags

CONFIG_LIMIT = 1_000_000  # bytes
EDIT_LIMIT, MODEL_LIMIT = 64_000_000, 4_000_000_000  # bytes of weights


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A name to write to; on success what was written there replaces `path`, on any error nothing is left behind.

    The name is new each time, so that two processes never write the same partial file. Makes the folder if needed.
    """
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


class Rule(NamedTuple):
    """What a config's value under a key (dots lead into it) must be, and how to say so."""

    key: str
    holds: Callable[[object], bool]
    expected: str
    required: bool = False
    edits_only: bool = False


def _matches(pattern: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_count(value) -> bool:
    return type(value) is int and value > 0


def _is_revision(value) -> bool:
    return isinstance(value, dict) and all(
        part is None or _matches(r"[0-9a-f]{40}([0-9a-f]{24})?")(part) for part in value.values()
    )


_is_name = _matches(NAME.pattern)
_is_repo = _matches(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_is_label = lambda value: isinstance(value, str) and 0 < len(value) <= 200
_is_number = lambda value: type(value) in (int, float) and abs(value) <= 1e9  # nor NaN

RULES = (
    Rule("format_version", _is_count, f"{FORMAT_VERSION}", required=True),
    Rule("kind", _is_name, "1 to 64 of a-z, 0-9, _ and -", required=True),
    *(Rule(key, _is_name, "1 to 64 of a-z, 0-9, _ and -") for key in ("domain", "method", "attribute")),
    Rule(
        "dtype",
        lambda value: isinstance(value, str) and value in STORED,
        f"one of {', '.join(STORED)}",
        required=True,
    ),
    Rule("weights.file", lambda value: value == WEIGHTS, f"{WEIGHTS!r}", required=True),
    Rule("weights.size", _is_count, "a number of bytes", required=True),
    Rule("weights.sha256", _matches("[0-9a-f]{64}"), "64 hex digits", required=True),
    *(
        Rule(key, _is_count, "a positive integer", required=True, edits_only=True)
        for key in ("num_ws", "w_dim")
    ),
    *(Rule(key, _is_label, "a text of 1 to 200 characters", edits_only=True) for key in ("from", "to")),
    Rule("alpha", _is_number, "a number of at most 1e9", edits_only=True),
    *(Rule(key, _is_repo, "a Hub id of the form org/name") for key in ("base_model", "base_encoder")),
    Rule("base_revision", _is_revision, "an object of sha256 hashes or commits, 64 or 40 hex digits each"),
)


class Damaged(ValueError):
    """The files are not what they once were; another download may cure it."""


def save_folder(
    folder: str | Path, config: dict, tensors: dict[str, Tensor], dtype: str | None = None
) -> None:
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
    return (
        value.detach().to("cpu", dtype if value.is_floating_point() else value.dtype, copy=True).contiguous()
    )


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


def read_folder(
    folder: Path, source: str, kinds: tuple[str, ...] | None = None
) -> tuple[dict, dict[str, Tensor], bytes]:
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
        raise ValueError(
            f"{source}: {CONFIG} has {path.stat().st_size} bytes, at most {CONFIG_LIMIT} are read"
        )
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
    """ValueError unless this version can read the config: RULES, in their order. Keys that it does not know are kept and ignored."""
    if not isinstance(config, dict):
        raise ValueError(f"{source}: {CONFIG} holds a {type(config).__name__}, expected an object")
    for rule in RULES:
        if rule.edits_only and config.get("kind") not in EDIT_KINDS:
            continue
        value = config
        for key in rule.key.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if (value is not None or rule.required) and not rule.holds(value):
            raise ValueError(f"{source}: {CONFIG}: {rule.key} is {short(value)}, expected {rule.expected}")
        if rule.key == "format_version" and value > FORMAT_VERSION:
            raise ValueError(
                f"{source}: {CONFIG}: format_version is {value}, this lwgan reads up to {FORMAT_VERSION}: update lwgan"
            )
    size, limit = config["weights"]["size"], limit_of(config["kind"])
    if size > limit:
        raise ValueError(
            f"{source}: {CONFIG}: weights.size is {size}, kind {config['kind']!r} may have {limit} bytes"
        )


def short(value, limit: int = 200) -> str:
    """A value of a config for a message: a stranger's may be of any length."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


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
    said, kind = f"{source}: {WEIGHTS}", config["kind"]
    if not tensors:
        raise ValueError(f"{said} holds no tensor, kind {kind!r} has {tensors_of(kind)}")
    for name, value in tensors.items():
        if value.dtype != STORED[config["dtype"]] and value.dtype not in COUNTS:
            raise ValueError(
                f"{said}: tensor {name!r} is {str(value.dtype)[6:]}, {CONFIG} says {config['dtype']}"
            )
        if value.is_floating_point() and not (finite := torch.isfinite(value)).all():
            bad = int((~finite).sum())
            raise ValueError(
                f"{said}: tensor {name!r} holds NaN or infinity ({bad} of {value.numel()} numbers), expected finite ones"
            )
    if kind not in EDIT_KINDS:
        return  # the architecture decides: load_module
    if set(tensors) not in EDIT_TENSORS[kind]:
        raise ValueError(f"{said} holds {short(sorted(tensors))}, kind {kind!r} has {tensors_of(kind)}")
    num_ws, w_dim = config["num_ws"], config["w_dim"]
    rank = tensors["out"].shape[2] if "out" in tensors and tensors["out"].ndim == 3 else w_dim
    shapes = {
        "weight": (num_ws, w_dim, w_dim),
        "out": (num_ws, w_dim, rank),
        "into": (num_ws, rank, w_dim),
        "bias": (num_ws, w_dim),
    }
    for name in sorted(tensors):
        found, wanted = tuple(tensors[name].shape), shapes[name]
        shared = name != "bias" and found == (1, *wanted[1:])  # one map for all layers
        if found != wanted and not shared:
            raise ValueError(f"{said}: {name} has shape {found}, num_ws and w_dim say {wanted}")
        if not tensors[name].is_floating_point():
            raise ValueError(f"{said}: {name} is {str(tensors[name].dtype)[6:]}, expected {config['dtype']}")


def tensors_of(kind: str) -> str:
    """The names of a kind's tensors, for errors."""
    return " or ".join(str(sorted(names)) for names in EDIT_TENSORS.get(kind, (["some"],)))


def check_pictures(tensors: dict[str, Tensor], side: int, source: str) -> None:
    """ValueError unless pictures to try are as `lwgan.pipeline` shows them: images uint8 [N, side, side] or [N, 3, side, side], and, if
    there are any, numbers of digits, integers [N, 10]."""
    said = f"{source}: {WEIGHTS}"
    if "images" not in tensors:
        raise ValueError(
            f"{said} holds {short(sorted(tensors))}, kind 'pictures' has ['images'] or ['images', 'numbers']"
        )
    images, numbers = tensors["images"], tensors.get("numbers")
    if tuple(images.shape[1:]) not in ((side, side), (3, side, side)) or not len(images):
        wanted = f"[N, {side}, {side}] or [N, 3, {side}, {side}]"
        raise ValueError(
            f"{said}: images has shape {tuple(images.shape)}, the encoder's resolution says {wanted}"
        )
    if images.dtype != torch.uint8:
        raise ValueError(f"{said}: images is {str(images.dtype)[6:]}, expected uint8")
    if numbers is not None and tuple(numbers.shape) != (len(images), 10):
        raise ValueError(
            f"{said}: numbers has shape {tuple(numbers.shape)}, {len(images)} images say {(len(images), 10)}"
        )
    if numbers is not None and numbers.dtype not in (torch.uint8, torch.int32, torch.int64):
        raise ValueError(f"{said}: numbers is {str(numbers.dtype)[6:]}, expected uint8, int32 or int64")


def check_base(config: dict, source: str, base: dict, base_source: str) -> None:
    """ValueError, with both names and hashes, unless a model was made for the weights of `base` (the config of a net). An edit has to
    say what it was made for, a net may."""
    made_for, held = (config.get("base_revision") or {}).get(base["kind"]), base["weights"]["sha256"]
    if made_for != held and (made_for or config["kind"] in EDIT_KINDS):
        named = config.get({"encoder": "base_encoder"}.get(base["kind"], "base_model"))
        raise ValueError(
            f"{source} was made for the {base['kind']} {named or 'without a name'} with weights sha256 {made_for}, {base_source} has {held}"
        )


def limit_of(kind: str | None) -> int:
    """How many bytes the weights of a kind may have."""
    return EDIT_LIMIT if kind in EDIT_KINDS else MODEL_LIMIT
