"""Model folders: save, check, load. (push, pull and list follow.)"""

import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors.torch import save_file


def save_folder(folder, config, tensors, dtype=None):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().cpu().to(getattr(torch, dtype) if dtype and v.is_floating_point() else v.dtype).contiguous() for k, v in tensors.items()}
    partial = folder / "model.safetensors.partial"
    save_file(tensors, partial, metadata={"format": "pt"})
    weights = {"file": "model.safetensors", "size": partial.stat().st_size, "sha256": hashlib.sha256(partial.read_bytes()).hexdigest()}
    os.replace(partial, folder / "model.safetensors")
    text = json.dumps({"format_version": 1, **config, "dtype": dtype or "float32", "weights": weights}, indent=1)
    (folder / "config.json.partial").write_text(text)
    os.replace(folder / "config.json.partial", folder / "config.json")
