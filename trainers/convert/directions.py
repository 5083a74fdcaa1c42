"""Directions that others found in W or W+ become edits: w' = w + alpha * b, Eq. 1 with A = 0.

    InterFaceGAN   boundary.npy [1, w_dim] or [w_dim]; e4e's age.pt and the like, one for all layers, or one for each
    GANSpace       its .npz cache (lat_comp, lat_stdev), or e4e's .pt (comp, std): component --index, one standard deviation long
    SeFa           rosinality's factor.pt (eigvec): column --index

Files are read without running anything of theirs. A boundary in Z is no direction of codes: nothing in the file tells, so its user must know.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lwgan.edit import AffineEdit
from lwgan.files import NAME
from lwgan.hub import registry
from trainers.convert import unpickle

NUMPY = (".npy", ".npz")
# Of each method the key of its directions, the key of their lengths (or None), and whether a direction is a column.
COMPONENTS = {
    "lat_comp": ("ganspace", "lat_stdev", False),
    "comp": ("ganspace", "std", False),
    "eigvec": ("sefa", None, True),
}


@dataclass(frozen=True)
class Edit:
    """What others' file does not say of a direction."""

    attribute: str
    """What the direction changes: a name of a-z, 0-9, _ and -."""
    generator: Path
    """The folder of the generator whose codes it moves."""
    encoder: Path
    """The folder of the encoder that goes with it."""
    from_label: str | None = None
    """What a picture shows before, as a reader would say it; by default "not" and the attribute."""
    to_label: str | None = None
    """What it shows afterwards; by default the attribute."""
    index: int | None = None
    """Which of the file's components, from 0."""
    layers: tuple[int, int] | None = None
    """The first layer that it moves, and the first that it does not any more; by default all."""
    scale: float = 1.0
    """How long the direction is made: the edit at alpha 1 moves codes so many times as far as the file says. Negative turns it round."""


def convert(source: Path, target: Path, edit: Edit, dtype: str) -> Path:
    """Writes the edit's folder. ValueError or FileNotFoundError, naming the file and both values, for what is no such direction."""
    if not NAME.fullmatch(edit.attribute):
        raise ValueError(f"attribute {edit.attribute!r} may have 1 to 64 of a-z, 0-9, _ and -")
    nets = {
        kind: registry.load_model(folder, kind)[0]
        for kind, folder in (("generator", edit.generator), ("encoder", edit.encoder))
    }
    made_for = (nets["encoder"].get("base_revision") or {}).get("generator")
    if made_for not in (None, nets["generator"]["weights"]["sha256"]):
        raise ValueError(
            f"{edit.encoder} encodes for generator {made_for}, {edit.generator} has {nets['generator']['weights']['sha256']}"
        )
    num_ws, w_dim = (nets["encoder"]["architecture"][key] for key in ("num_ws", "w_dim"))
    method, direction = read(source, edit.index)
    bias = edit.scale * over_layers(direction, num_ws, w_dim, edit.layers, str(source))
    config = {
        "method": method, "attribute": edit.attribute, "domain": nets["generator"]["domain"], "dtype": dtype,
        "from": edit.from_label or f"not {edit.attribute}", "to": edit.to_label or edit.attribute,
        "base_revision": {kind: net["weights"]["sha256"] for kind, net in nets.items()},
        "origin": {"file": source.name, "sha256": hashlib.sha256(source.read_bytes()).hexdigest(), "index": edit.index,
                   "layers": edit.layers and list(edit.layers), "scale": edit.scale},
    }  # fmt: skip
    AffineEdit(None, bias, config).save_pretrained(target)
    return target


def read(source: Path, index: int | None) -> tuple[str, Tensor]:
    """The method and the direction of a file: [w_dim] or [num_ws, w_dim], float32."""
    content = _content(source)
    method, held = "interfacegan", content
    if isinstance(content, dict):
        key = next((key for key in COMPONENTS if key in content), None)
        if key is None:
            raise ValueError(
                f"{source} holds the keys {', '.join(map(str, list(content)[:8]))}: expected one of {', '.join(COMPONENTS)}"
            )
        method, lengths, columns = COMPONENTS[key]
        held = _component(source, content[key], content.get(lengths) if lengths else None, columns, index)
    elif index is not None:
        raise ValueError(f"{source} holds one direction: --index {index} has nothing to choose from")
    if not isinstance(held, Tensor) or not held.is_floating_point():
        raise ValueError(
            f"{source} holds a {getattr(held, 'dtype', type(held).__name__)}, expected floating-point numbers"
        )
    if not torch.isfinite(held).all():
        raise ValueError(f"{source} holds NaN or infinity, expected finite numbers")
    return method, held.detach().float()


def _content(source: Path):
    if source.suffix not in NUMPY:
        return unpickle.read(source)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: there is no such file")
    try:
        found = np.load(source, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return torch.from_numpy(found)
        with found:
            return {
                key: torch.from_numpy(found[key]) for key in found.files if key in ("lat_comp", "lat_stdev")
            } or dict.fromkeys(found.files)
    except Exception as error:  # a damaged or hostile file may make its reader fail in any way
        raise ValueError(f"{source} is no array of numbers: {error}") from error


def _component(source: Path, held, lengths, columns: bool, index: int | None) -> Tensor:
    if not isinstance(held, Tensor) or held.ndim < 2:
        raise ValueError(
            f"{source} holds components of shape {tuple(getattr(held, 'shape', ()))}, expected [number, w_dim]"
        )
    number = held.shape[1 if columns else 0]
    if index is None or not 0 <= index < number:
        raise ValueError(
            f"{source} holds {number} components: --index is {index}, expected 0 to {number - 1}"
        )
    direction = held[:, index] if columns else held[index]
    if lengths is None:
        return direction
    if not isinstance(lengths, Tensor) or lengths.numel() != number:
        raise ValueError(
            f"{source} holds lengths of shape {tuple(getattr(lengths, 'shape', ()))} for {number} components: expected one each"
        )
    return direction * lengths.flatten()[index]


def over_layers(
    direction: Tensor, num_ws: int, w_dim: int, layers: tuple[int, int] | None, source: str
) -> Tensor:
    """A direction of W at each layer, or one of W+ as it is, 0 outside `layers`: [num_ws, w_dim]."""
    shape = tuple(direction.shape)
    while direction.ndim > 1 and direction.shape[0] == 1:
        direction = direction[0]
    if direction.shape == (w_dim,):
        direction = direction.expand(num_ws, w_dim)
    if direction.shape != (num_ws, w_dim):
        raise ValueError(
            f"{source} holds a direction of shape {shape}, the generator's codes ask for [{w_dim}] or [{num_ws}, {w_dim}]"
        )
    first, end = layers or (0, num_ws)
    if not 0 <= first < end <= num_ws:
        raise ValueError(
            f"--layers {first} {end}: expected two numbers from 0 to {num_ws}, the second larger"
        )
    moved = torch.zeros(num_ws, w_dim)
    moved[first:end] = direction[first:end]
    return moved
