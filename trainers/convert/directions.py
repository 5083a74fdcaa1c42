"""Published directions in W or W+ become edits: w' = w + alpha * b, Eq. 1 with A = 0.

    InterFaceGAN  boundary.npy [1, w_dim] or [w_dim]; e4e's age.pt and the like, for all layers or one each,
                  also flat, [1, num_ws * w_dim]; several by name: --key
    GANSpace      its .npz cache (lat_comp, lat_stdev) or e4e's .pt (comp, std): component --index, one
                  standard deviation long
    SeFa          rosinality's factor.pt (eigvec): column --index

A boundary in Z is not a direction of codes. The files do not tell them apart: the user must know.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from lwgan.domain import Change, change_as_json, change_from_json
from lwgan.edit import AffineEdit
from lwgan.files import STORED, check_base
from lwgan.hub import registry
from trainers.convert import arrays
from trainers.convert.layouts.common import check_name, describe, described, require

# Key of the directions -> method, key of their lengths (or None), whether a direction is a column.
COMPONENTS = {"lat_comp": ("ganspace", "lat_stdev", False), "comp": ("ganspace", "std", False),
              "eigvec": ("sefa", None, True)}  # fmt: skip


@dataclass(frozen=True)
class Direction:
    """Convert a published direction (InterFaceGAN, GANSpace, SeFa) to an edit."""

    source: Path
    """The file: .npy, .npz, .pt, .pkl or .safetensors."""
    target: Path
    """The folder of the edit."""
    change: str
    """The name of the change, and of the label that it sets, such as "Eyeglasses"."""
    before: str
    """What a picture shows before the edit, in words: "no glasses"."""
    after: str
    """What it shows afterwards: "glasses"."""
    generator: Path
    """The folder of the generator whose codes the direction moves."""
    encoder: Path
    """The folder of its encoder."""
    key: str | None = None
    """Which direction of a file that holds several by name."""
    index: int | None = None
    """Which component of the file, from 0."""
    layers: tuple[int, int] | None = None
    """The first layer that the direction moves and the first that it no longer moves. Default: all layers."""
    scale: float = 1.0
    """Factor on the direction's length. A negative factor reverses it."""
    dtype: Literal["float32", "float16"] = "float32"
    """The precision in which the edit is stored."""


def convert_direction(options: Direction) -> Path:
    """Writes the edit and returns its folder. ValueError or FileNotFoundError, with the file's name, for a
    file that is not such a direction."""
    source, name = options.source, options.change
    change = Change(name, {name: False}, {name: True}, options.before, options.after)
    change = change_from_json(change_as_json(change), "--change")
    generator = registry.load_model(options.generator, "generator")[0]
    encoder = registry.load_model(options.encoder, "encoder")[0]
    check_base(encoder, str(options.encoder), generator, str(options.generator))
    check_name(options.target)
    base = {"generator": generator["weights"]["sha256"], "encoder": encoder["weights"]["sha256"]}
    method, direction = read(source, options.index, options.key)
    sizes = encoder["architecture"]["num_ws"], encoder["architecture"]["w_dim"]
    bias = options.scale * over_layers(direction, *sizes, options.layers, source)
    stored = bias.to(STORED[options.dtype])
    require(source, torch.isfinite(stored).all(), f"it holds NaN or infinity in {options.dtype}")
    require(source, stored.any(), f"its direction is 0 in {options.dtype} (--scale {options.scale:g}), "
            "so the edit would move nothing")  # fmt: skip
    layers = options.layers and list(options.layers)
    origin = {"file": source.name, "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
              "key": options.key, "index": options.index, "layers": layers,
              "scale": options.scale}  # fmt: skip
    config = {"method": method, "domain": generator["domain"], "change": change_as_json(change),
              "dtype": options.dtype, "base_revision": base, "origin": origin}  # fmt: skip
    AffineEdit(None, bias, config).save_pretrained(options.target)
    return options.target


def read(source: Path, index: int | None = None, key: str | None = None) -> tuple[str, Tensor]:
    """The method and the direction of a file: float32 [w_dim], [num_ws, w_dim] or flat."""
    content = arrays.read(source)
    components = content.keys() & COMPONENTS if isinstance(content, dict) else ()
    if components:
        require(source, key is None, f"it holds components: choose by --index, not --key {key}")
        found = next(key for key in COMPONENTS if key in components)
        method, lengths, columns = COMPONENTS[found]
        direction = _component(source, content[found], content.get(lengths), columns, index)
    else:
        require(source, index is None, f"it holds no components: nothing to choose by --index {index}")
        method, direction = "interfacegan", _named(source, content, key)
    kind = getattr(direction, "dtype", type(direction).__name__)
    is_float = isinstance(direction, Tensor) and direction.is_floating_point()
    require(source, is_float, f"it holds a {kind}, expected floating-point numbers")
    require(source, torch.isfinite(direction).all(), "it holds NaN or infinity, expected finite numbers")
    return method, direction.detach().float()


def _named(source: Path, content: object, key: str | None) -> object:
    """The direction of this name, or the only one."""
    if isinstance(content, list | tuple):
        content = {str(i): part for i, part in enumerate(content)}
    if not isinstance(content, dict):
        require(source, key is None, f"it holds one direction: nothing to choose by --key {key}")
        return content
    named = {str(name): part for name, part in content.items() if isinstance(part, Tensor)}
    names = ", ".join(list(named)[:8])
    require(source, named, f"it holds {described(content)}, but no array")
    if key is None:
        require(source, len(named) == 1, f"it holds {names}: choose a direction with --key NAME")
        return next(iter(named.values()))
    require(source, key in named, f"it holds {names}, but not --key {key}")
    return named[key]


def _component(source: Path, components, lengths, columns: bool, index: int | None) -> Tensor:
    """The component of this index, multiplied by its length where there are lengths."""
    shape = tuple(getattr(components, "shape", ()))
    require(source, len(shape) > 1, f"it holds components of shape {shape}, expected [number, w_dim]")
    number = shape[1 if columns else 0]
    valid = index is not None and 0 <= index < number
    require(source, valid, f"it holds {number} components: --index is {index}, expected 0 to {number - 1}")
    direction = components[:, index] if columns else components[index]
    if lengths is None:
        return direction
    shape = tuple(getattr(lengths, "shape", ()))
    message = f"it holds lengths of shape {shape} for {number} components: expected one each"
    require(source, shape and lengths.numel() == number, message)
    return direction * lengths.flatten()[index]


def over_layers(direction: Tensor, num_ws: int, w_dim: int, layers: tuple | None, source: Path) -> Tensor:
    """A direction of W at each layer, or one of W+ as it is; 0 outside `layers`: [num_ws, w_dim]."""
    flat, sizes = direction.squeeze(), [(w_dim,), (num_ws, w_dim), (num_ws * w_dim,)]
    message = f"it holds a direction {describe(direction)}, expected [{w_dim}] or [{num_ws}, {w_dim}]"
    require(source, tuple(flat.shape) in sizes, message)
    flat = flat.expand(num_ws, w_dim) if flat.shape == (w_dim,) else flat.reshape(num_ws, w_dim)
    first, end = layers or (0, num_ws)
    message = f"--layers {first} {end}: expected two numbers from 0 to {num_ws}, the second larger"
    require(source, 0 <= first < end <= num_ws, message)
    moved = torch.zeros(num_ws, w_dim)
    moved[first:end] = flat[first:end]
    return moved
