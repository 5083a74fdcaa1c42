"""A run is a folder: options.json, log.jsonl, checkpoint.pt, and at last the model's config.json and model.safetensors."""

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

import torch

from lwgan.devices import device_of as device_of  # of all stages' --device


def start(folder: Path, options: Any) -> None:
    """Makes the folder and writes the options there. ValueError if it holds a run with other options:
    a run is resumed by repeating its command, never mixed with another."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {key: value for key, value in as_json(options).items() if key not in FREE}
    path = folder / "options.json"
    if path.exists():
        found = json.loads(path.read_text())
        for key in sorted({*wanted, *found}):
            if wanted.get(key) != found.get(key):
                raise ValueError(
                    f"{folder} holds a run with {key} = {found.get(key)!r}, not {wanted.get(key)!r}: choose another --run"
                )
    write_text(path, json.dumps(wanted, indent=1))


# Options that may differ when a run goes on: where its data lie, how long and on what it runs.
FREE = ("run", "mnist", "data", "device", "processes", "max_minutes", "kimg", "steps", "progress")


def as_json(options: Any) -> dict:
    """The options as plain JSON values, paths as their last name (no path of this machine is published)."""
    return json.loads(
        json.dumps(
            dataclasses.asdict(options),
            default=lambda value: value.name if isinstance(value, Path) else str(value),
        )
    )


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    os.replace(partial, path)


def save_checkpoint(folder: Path, **state: Any) -> None:
    partial = folder / "checkpoint.pt.partial"
    torch.save(state, partial)
    os.replace(partial, folder / "checkpoint.pt")


def load_checkpoint(folder: Path) -> dict | None:
    """The state that `save_checkpoint` left, or None. ValueError if the file is damaged."""
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


def half_precision(device: torch.device):
    """bfloat16 where it pays: on CUDA and on CPUs with AVX512-BF16 (1.4x with channels_last); elsewhere full precision."""
    pays = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=pays)
