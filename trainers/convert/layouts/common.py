"""What all layouts share: the arrays of a file by name, and a model made of exactly those that it needs."""

import math
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lwgan.domain import NAME
from lwgan.encoder import Encoder
from lwgan.generator import Generator, blur_kernel
from lwgan.judges import identity_network, judge_network

CLASSES = {"generator": Generator, "encoder": Encoder, "judge": judge_network, "identity": identity_network}
MAX_LAYERS = 64  # of one kind; a larger number is a mistake and would take too long to build
MEAN_SAMPLES = 32768  # from which a mean code is estimated where a file has none
FILTER = [1, 3, 3, 1]  # the only resampling filter that our generator has
# NVIDIA's name of an option -> our name of the size.
SIZES = {"img_resolution": "resolution", "img_channels": "img_channels", "z_dim": "z_dim", "w_dim": "w_dim",
         "num_layers": "mapping_layers"}  # fmt: skip


class Model(NamedTuple):
    kind: str  # a key of CLASSES
    architecture: dict  # the arguments of its class
    weights: dict[str, Tensor]  # its state dict
    notes: dict  # what else config.json states


def require(source: object, holds: object, message: str) -> None:
    """ValueError with the file's name and the message, unless `holds`."""
    if not holds:
        raise ValueError(f"{source}: {message}")


def check_name(folder: Path) -> None:
    """ValueError for a model folder whose name no registry takes: it would not be listed."""
    name = folder.resolve().name
    message = f"the name {name!r} of a model's folder may have 1 to 64 of a-z, 0-9, _ and -"
    require("--target", NAME.fullmatch(name), message)


class Found(dict):
    """The arrays of a file by their own names. A missing name raises a ValueError that states it."""

    def __init__(self, source: str, arrays: dict | None = None):
        super().__init__()
        self.source = source
        for name, value in (arrays or {}).items():
            self[name] = value

    def require(self, holds: object, message: str) -> None:
        """ValueError with the file's name and the message, unless `holds`."""
        require(self.source, holds, message)

    def __setitem__(self, name: str, value) -> None:
        plain = isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided
        self.require(plain, f"{name!r} is {describe(value)}, expected an array by name")
        # With strides of 0, four bytes can pose as a matrix that fills any memory.
        stored = value.untyped_storage().nbytes()
        fits = value.numel() and stored >= value.numel() * value.element_size()
        self.require(fits, f"{name!r} is {describe(value)}, and holds {stored} bytes for it")
        super().__setitem__(name, value)

    def __missing__(self, name: str):
        raise ValueError(f"{self.source}: it has no {name!r}")

    def size(self, name: str, axis: int, dims: int) -> int:
        """The length of one axis of an array, which must have `dims` axes."""
        shape = tuple(self[name].shape)
        self.require(len(shape) == dims, f"{name!r} has shape {shape}, expected {dims} dimensions")
        return shape[axis]

    def count(self, pattern: str) -> int:
        """1 + the largest number in the group of a pattern with which names begin; 0 if there is none."""
        count = max(self.numbers(pattern), default=-1) + 1
        self.require(count <= MAX_LAYERS, f"it names {count} layers of one kind, more than {MAX_LAYERS}")
        return count

    def numbers(self, pattern: str) -> list[int]:
        return sorted({int(match[1]) for match in map(re.compile(pattern).match, self) if match})


def described(content: object) -> str:
    """What a file holds, for an error message."""
    if isinstance(content, dict):
        return f"the keys {', '.join(map(str, list(content)[:8]))}"
    return f"an array {describe(content)}" if isinstance(content, Tensor) else f"a {type(content).__name__}"


def build(
    kind: str, architecture: dict, found: Found, name_of: Callable, value_of: Callable | None = None, *,
    given: Collection[str] = (), filters: dict[str, float] | None = None,
) -> Model:  # fmt: skip
    """A model of exactly the arrays of a file, with weights in float32. Only noise maps may be missing: they
    are drawn from a fixed seed, as all do who load such a file, and the notes say so.

    name_of: our name -> theirs.  value_of: (their array, our name, our shape) -> our array.  given: our
    names whose values come from elsewhere.  filters: {their name: sum} of arrays that must hold FILTER."""
    channels = architecture.get("img_channels", 3)
    message = f"the pictures of its {kind} have {channels} channels, expected 1 or 3"
    found.require(channels in (1, 3), message)
    try:
        with torch.device("meta"):
            module = CLASSES[kind](**architecture)
    except ValueError as error:
        raise ValueError(f"{found.source}: {error}") from error
    wanted = {name: value for name, value in module.state_dict().items() if name not in given}
    names, filters = {ours: name_of(ours) for ours in wanted}, filters or {}
    for name, gain in filters.items():
        taps = blur_kernel(1, gain, torch.ones(1))[0, 0]
        same = found[name].shape == (4, 4) and torch.allclose(found[name].float(), taps)
        found.require(same, f"{name!r} is another filter than {FILTER}")
    drawn = [ours for ours in names if ours.endswith("noise_const") and names[ours] not in found]
    missing = [name for ours, name in names.items() if name not in found and ours not in drawn]
    found.require(not missing, f"it has no {', '.join(map(repr, missing[:3]))}")
    left = sorted(set(found) - set(names.values()) - set(filters))
    found.require(not left, f"it has the unexpected key {', '.join(map(repr, left[:3]))}")
    convert = value_of or (lambda value, ours, shape: value)
    weights = {ours: _weight(found, names[ours], ours, value, convert)
               for ours, value in wanted.items() if ours not in drawn}  # fmt: skip
    seeded = torch.Generator().manual_seed(0)
    weights |= {ours: torch.randn(wanted[ours].shape, generator=seeded) for ours in drawn}
    notes = {"noise": f"the file lacks {len(drawn)} noise maps: drawn from seed 0"} if drawn else {}
    return Model(kind, module.config, weights, notes)


def _weight(found: Found, name: str, ours: str, wanted: Tensor, convert: Callable) -> Tensor:
    """The array `name` as our weight `ours`, which has the shape and the kind of numbers of `wanted`."""
    shape, is_float = tuple(wanted.shape), wanted.is_floating_point()
    value = convert(found[name], ours, shape)
    message = f"{name!r} has shape {tuple(found[name].shape)}, which gives no {shape}"
    found.require(tuple(value.shape) == shape, message)
    message = f"{name!r} holds {str(value.dtype)[6:]}, which gives no {str(wanted.dtype)[6:]}"
    found.require(value.is_floating_point() == is_float, message)
    return value.float() if is_float else value


def reshaped(value: Tensor, ours: str, shape: tuple) -> Tensor:
    """The array in our shape, if the shapes differ by axes of length 1 alone."""
    same = [side for side in value.shape if side != 1] == [side for side in shape if side != 1]
    return value.reshape(shape) if same else value


def check_sizes(options: dict, architecture: dict, found: Found) -> None:
    """ValueError if the options of a file, under NVIDIA's names, state other sizes than its weights have."""
    for name, ours in SIZES.items():
        said, size = options.get(name), architecture[ours]
        found.require(said in (None, size), f"its weights have {ours} {size}, its options say {said!r}")


def check_options(options: dict, known: dict, found: Found, place: str = "") -> None:
    """ValueError for an option with another value than the known one."""
    for option, value in known.items():
        given = options.get(option, value)
        given = list(given) if isinstance(given, tuple) else given
        found.require(given == value, f"{place}{option} is {given!r}, only {value!r} is known")


def check_unconditional(classes, embedded: bool, found: Found) -> None:
    unconditional = not classes and not embedded
    message = f"it is a conditional generator ({classes or 'some'} classes), not supported"
    found.require(unconditional, message)


def check_skips(found: Found, shortcut: str, first_picture: str) -> None:
    """ValueError for the architectures "resnet" and "orig", recognised by their weights."""
    name = "'resnet'" if any(shortcut in name for name in found) else "'orig', or no StyleGAN2"
    message = f"it has no {first_picture!r}: its architecture is {name}, only 'skip' is known"
    found.require(first_picture in found, message)


def checked_clamp(clamp, found: Found) -> float | None:
    """conv_clamp of a file. ValueError unless it is None or a number above 0."""
    valid = clamp is None or (isinstance(clamp, (int, float)) and 0 < clamp < math.inf)
    found.require(valid, f"conv_clamp is {clamp!r}, expected None or a number above 0")
    return clamp


def mean_code(latent_avg, num_ws: int, w_dim: int, found: Found) -> Tensor | None:
    """The mean code [w_dim], stored as [w_dim], [1, w_dim] or, once a layer, [num_ws, w_dim]; or None."""
    if latent_avg is None:
        return None
    valid = isinstance(latent_avg, Tensor) and latent_avg.ndim in (1, 2) and latent_avg.shape[-1] == w_dim
    message = f"latent_avg is {describe(latent_avg)}, expected [{w_dim}] or [{num_ws}, {w_dim}]"
    found.require(valid, message)
    means = latent_avg.reshape(-1, w_dim)
    found.require(len(means) in (1, num_ws), f"latent_avg has {len(means)} rows, expected 1 or {num_ws}")
    same = torch.equal(means, means[:1].expand_as(means))
    found.require(same, "latent_avg differs between styles, expected one mean code for all")
    return means[0].float()


def with_mean(model: Model, w_avg: Tensor | None) -> Model:
    """A generator with the mean code of its file or, where there is none, with an estimate."""
    notes = {}
    if w_avg is None:
        w_avg = estimated_mean(model)
        notes["w_avg"] = f"the file has none: estimated from {MEAN_SAMPLES} samples"
    return model._replace(weights=model.weights | {"mapping.w_avg": w_avg}, notes=model.notes | notes)


@torch.no_grad()
def estimated_mean(model: Model) -> Tensor:
    """The mean code of MEAN_SAMPLES samples with a fixed seed: [w_dim]."""
    generator = Generator(**model.architecture)
    generator.load_state_dict(model.weights | {"mapping.w_avg": torch.zeros(generator.w_dim)})
    z = torch.randn(MEAN_SAMPLES, generator.z_dim, generator=torch.Generator().manual_seed(0))
    return torch.cat([generator.mapping(part)[:, 0] for part in z.split(4096)]).mean(0)


def describe(value) -> str:
    """A value for an error message: its type or, of a tensor, its shape and unusual layout."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    layout = f" ({str(value.layout)[6:]})" if value.layout != torch.strided else ""
    return f"of shape {tuple(value.shape)}{layout}"
