"""A run is a folder: options.json, log.jsonl, checkpoint.pt and, at the end, the model's two files."""

import contextlib
import dataclasses
import fcntl
import json
import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import torch

from lwgan.devices import device_of as device_of  # of all stages' --device
from lwgan.files import atomic, write_json
from trainers.nets.parallel import is_first

# Options that may differ when a run is resumed: where its data lie, how long it trains and on which device.
FREE = ("run", "data", "device", "processes", "max_skipped", "max_minutes", "kimg", "steps", "progress")
_locks: dict[Path, IO] = {}  # the run folders that this process has locked
_typed: list[Sequence[str]] = []  # see `typed`


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """The options that all stages share which train in a loop."""

    run: Path
    """Folder of this run; the same command resumes it."""
    seed: int = 0
    device: str = "auto"
    max_minutes: float | None = None
    """Stop at a checkpoint after this long; the same command resumes the run."""
    processes: int = 1
    """Data-parallel processes, one a GPU or a core, that share each batch. torchrun's own number precedes."""


def start(folder: Path, options: Any) -> None:
    """Makes the run's folder, locks it for this process and writes options.json, with the command as typed.

    A run is resumed by repeating its command. ValueError if the folder holds a run with other options (those
    of FREE may differ) or if another process works in it. Of processes that train together the first one
    does it."""
    if not is_first():
        return
    lock(folder)
    wanted = {key: value for key, value in as_json(options).items() if key not in FREE}
    path = folder / "options.json"
    if path.exists():
        stored = _stored(path)
        for key in sorted({*wanted, *stored} - {"command"}):
            if wanted.get(key) != stored.get(key):
                other = f"{key} = {stored.get(key)!r}, not {wanted.get(key)!r}"
                raise ValueError(f"{folder} holds a run with {other}: choose another folder")
    write_json(path, wanted | {"command": command()})


def _stored(path: Path) -> dict:
    """The options of a run. ValueError if the file is damaged."""
    try:
        stored = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): choose another folder") from error
    if not isinstance(stored, dict):
        raise ValueError(f"{path} is damaged (no object): choose another folder")
    return stored


def lock(folder: Path) -> None:
    """Makes a folder and reserves it for this process until the process or the stage ends (`release`).
    ValueError if another process works in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.resolve() in _locks:
        return
    file = (folder / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ValueError(f"another process works in {folder}") from None
    _locks[folder.resolve()] = file


def release() -> None:
    """Frees all folders that this process has locked."""
    while _locks:
        _locks.popitem()[1].close()


def command() -> str:
    """The command line of this process as typed, or what `typed` says instead."""
    return said(_typed[-1] if _typed else sys.argv[1:])


def said(words: Sequence[str]) -> str:
    """A command of the trainers. Absolute paths are cut to their last part: cards show the command, and must
    not show the folders of this machine."""
    cut = (re.sub(r"(^|[=:])/(?:[^/]+/)*(?=[^/])", r"\1", word) for word in words)
    return shlex.join(["python", "-m", "trainers", *cut])


@contextlib.contextmanager
def typed(words: Sequence[str]) -> Iterator[None]:
    """While this lasts, `command` says these words: one process does what many commands would do."""
    _typed.append(words)
    try:
        yield
    finally:
        _typed.pop()


def as_json(options: Any) -> dict:
    """The options as plain JSON values. Of a path only the last part is kept, as in `command`."""
    plain = lambda value: value.name if isinstance(value, Path) else str(value)
    return json.loads(json.dumps(dataclasses.asdict(options), default=plain))


def training(options: Any, **facts: Any) -> dict:
    """What a model's config.json says of its training: the options, the command as typed, further facts."""
    return as_json(options) | {"command": command()} | facts


def save_checkpoint(folder: Path, **state: Any) -> None:
    """Writes checkpoint.pt, whole or not at all. OSError if it cannot be written."""
    with atomic(folder / "checkpoint.pt") as partial, partial.open("wb") as file:
        try:
            torch.save(state, file)  # given a path, torch would not say why it failed
        except RuntimeError as error:  # after a failed write, torch fails once more as it ends its archive
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def load_checkpoint(folder: Path) -> dict | None:
    """The state that `save_checkpoint` wrote, or None. ValueError if the file is damaged."""
    path = folder / "checkpoint.pt"
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} is damaged ({error}); delete it to start the run afresh") from error


def weights_hash(folder: Path) -> str:
    """sha256 of a model folder's weights, by which other models name it."""
    return json.loads((folder / "config.json").read_text())["weights"]["sha256"]


def log(folder: Path, **values: Any) -> None:
    """Appends one line to log.jsonl."""
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps({"time": round(time.time(), 1), **values}) + "\n")


def half_precision(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 where it is faster: on CUDA and on CPUs with AVX512-BF16 (1.4x, channels_last)."""
    pays = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=pays)
