"""What all layouts share: arrays by name, exactly those that a model has."""

import math
import re
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lwgan.encoder import Encoder
from lwgan.generator import Generator, Mapping, blur_kernel

CLASSES = {"generator": Generator, "encoder": Encoder}
MOST_LAYERS = 64  # of one kind: a larger number is a mistake, and would take for ever to build
MEAN_SAMPLES = 32768  # from which a mean code is estimated where a file has none


class Model(NamedTuple):
    kind: str  # one of CLASSES
    architecture: dict  # the arguments of its class
    weights: dict[str, Tensor]  # its state dict
    notes: dict  # what else config.json should say


class Found(dict):
    """The arrays of a file by their own names. A name that is not there is an error that tells it."""

    def __init__(self, source: str, arrays: dict):
        super().__init__()
        self.source = source
        for name, value in arrays.items():
            self[name] = value

    def __setitem__(self, name: str, value) -> None:
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
            raise ValueError(f"{self.source}: {name!r} is {shown(value)}, expected an array by name")
        if not value.numel() or value.untyped_storage().nbytes() < value.numel() * value.element_size():
            # Of strides of 0: four bytes can claim to be a matrix that fills any memory.
            raise ValueError(
                f"{self.source}: {name!r} is {shown(value)}, and holds {value.untyped_storage().nbytes()} bytes for it"
            )
        super().__setitem__(name, value)

    def __missing__(self, name: str):
        raise ValueError(f"{self.source} has no {name!r}")

    def size(self, name: str, axis: int, dims: int) -> int:
        """One side of an array that must have `dims` of them."""
        if self[name].ndim != dims:
            raise ValueError(
                f"{self.source}: {name!r} has shape {tuple(self[name].shape)}, expected {dims} dimensions"
            )
        return self[name].shape[axis]

    def count(self, pattern: str) -> int:
        """One more than the largest number in the group of a pattern that names begin with; 0 if there is none."""
        count = max(self.numbers(pattern), default=-1) + 1
        if count > MOST_LAYERS:
            raise ValueError(
                f"{self.source} names {count} layers of one kind, no network has more than {MOST_LAYERS}"
            )
        return count

    def numbers(self, pattern: str) -> list[int]:
        return sorted({int(match[1]) for match in map(re.compile(pattern).match, self) if match})


def build(
    kind: str,
    architecture: dict,
    found: Found,
    name_of: Callable,
    value_of: Callable | None = None,
    *,
    given=(),
    filters=None,
) -> Model:
    """A model of exactly the arrays of a file, its weights in float32.

    name_of: our name -> theirs.  value_of: (their array, our name, our shape) -> ours; by default as it is.
    given: our names whose values come from elsewhere.
    filters: {their name: sum} of arrays that we have not because they always are the filter [1, 3, 3, 1].
    """
    try:
        with torch.device("meta"):
            module = CLASSES[kind](**architecture)
    except ValueError as error:
        raise ValueError(f"{found.source}: {error}") from error
    wanted = {name: value for name, value in module.state_dict().items() if name not in given}
    shapes = {name: tuple(value.shape) for name, value in wanted.items()}
    names, filters = {ours: name_of(ours) for ours in shapes}, filters or {}
    for name, gain in filters.items():
        if found[name].shape != (4, 4) or not torch.allclose(
            found[name].float(), blur_kernel(1, gain, torch.ones(1))[0, 0]
        ):
            raise ValueError(f"{found.source}: {name!r} is another filter than [1, 3, 3, 1]")
    if missing := [name for name in names.values() if name not in found]:
        raise ValueError(
            f"{found.source} has no {missing[0]!r}"
            + (f" (and lacks {len(missing) - 1} more)" if missing[1:] else "")
        )
    if left := sorted(set(found) - set(names.values()) - set(filters)):
        raise ValueError(
            f"{found.source} has the unexpected key {left[0]!r}"
            + (f" (and {len(left) - 1} more)" if left[1:] else "")
        )
    weights = {}
    for ours, name in names.items():
        value = value_of(found[name], ours, shapes[ours]) if value_of else found[name]
        if tuple(value.shape) != shapes[ours]:
            raise ValueError(
                f"{found.source}: {name!r} has shape {tuple(found[name].shape)}, which gives no {shapes[ours]}"
            )
        if value.is_floating_point() != wanted[ours].is_floating_point():
            raise ValueError(
                f"{found.source}: {name!r} holds {str(value.dtype)[6:]}, which gives no {str(wanted[ours].dtype)[6:]}"
            )
        weights[ours] = value.float() if value.is_floating_point() else value
    return Model(kind, module.config, weights, {})


def reshaped(value: Tensor, ours: str, shape: tuple) -> Tensor:
    """The array in our shape, as long as they differ by sides of 1 alone."""
    same = [side for side in value.shape if side != 1] == [side for side in shape if side != 1]
    return value.reshape(shape) if same else value


def check_told(told: dict, architecture: dict, source: str) -> None:
    """ValueError if a file says other sizes of itself than its weights have. The names are NVIDIA's."""
    names = {
        "img_resolution": "resolution",
        "img_channels": "img_channels",
        "z_dim": "z_dim",
        "w_dim": "w_dim",
        "num_layers": "mapping_layers",
    }
    for name, ours in names.items():
        if told.get(name) not in (None, architecture[ours]):
            raise ValueError(
                f"{source}: its weights have {ours} {architecture[ours]}, its options say {told[name]!r}"
            )


def refuse_other(options: dict, known: dict, source: str) -> None:
    """ValueError for an option that is set to anything but the value that is known."""
    for option, value in known.items():
        given = options.get(option, value)
        if (list(given) if isinstance(given, tuple) else given) != value:
            raise ValueError(f"{source}: {option} is {given!r}, only {value!r} is known")


def refuse_conditional(classes, embedded: bool, source: str) -> None:
    if classes or embedded:
        raise ValueError(
            f"{source} is a conditional generator ({classes or 'some'} classes): only unconditional ones are known"
        )


def refuse_without_skips(found: Found, shortcut: str, first_picture: str) -> None:
    """ValueError for the architectures "resnet" and "orig", if the weights alone tell."""
    if first_picture not in found:
        name = "'resnet'" if any(shortcut in name for name in found) else "'orig', or no StyleGAN2"
        raise ValueError(
            f"{found.source} has no {first_picture!r}: its architecture is {name}, only 'skip' is known"
        )


def mean_code(latent_avg, num_ws: int, w_dim: int, source: str) -> Tensor | None:
    """[w_dim] of a mean code stored as [w_dim] or [1, w_dim], or once for each style as [num_ws, w_dim]; None if there is none."""
    if latent_avg is None:
        return None
    if not isinstance(latent_avg, Tensor) or latent_avg.ndim not in (1, 2) or latent_avg.shape[-1] != w_dim:
        raise ValueError(
            f"{source}: latent_avg is {shown(latent_avg)}, expected [{w_dim}] or [{num_ws}, {w_dim}]"
        )
    if latent_avg.ndim == 2 and len(latent_avg) not in (1, num_ws):
        raise ValueError(
            f"{source}: latent_avg has {len(latent_avg)} rows, expected 1 or {num_ws}, one for each style"
        )
    if latent_avg.ndim == 2 and not torch.equal(latent_avg, latent_avg[:1].expand_as(latent_avg)):
        raise ValueError(f"{source}: latent_avg differs between styles, expected one mean code for all")
    return (latent_avg[0] if latent_avg.ndim == 2 else latent_avg).float()


def with_mean(model: Model, w_avg: Tensor | None) -> Model:
    """A generator with its mean code: that of the file or, where it has none, an estimate."""
    if w_avg is not None:
        return model._replace(weights={**model.weights, "mapping.w_avg": w_avg})
    estimate, note = estimated_mean(model), f"the file has none: estimated from {MEAN_SAMPLES} samples"
    return model._replace(
        weights={**model.weights, "mapping.w_avg": estimate}, notes={**model.notes, "w_avg": note}
    )


@torch.no_grad()
def estimated_mean(model: Model) -> Tensor:
    """The mean code of samples, always the same ones: [w_dim]."""
    sizes, prefix = model.architecture, "mapping."
    mapping = Mapping(sizes["z_dim"], sizes["w_dim"], 1, sizes["mapping_layers"])
    weights = {
        name.removeprefix(prefix): value for name, value in model.weights.items() if name.startswith(prefix)
    }
    mapping.load_state_dict({**weights, "w_avg": torch.zeros(sizes["w_dim"])})
    z = torch.randn(MEAN_SAMPLES, sizes["z_dim"], generator=torch.Generator().manual_seed(0))
    return torch.cat([mapping(part)[:, 0] for part in z.split(4096)]).mean(0)


def checked_clamp(clamp, source: str) -> float | None:
    """conv_clamp as a file says it. ValueError unless it is None or a number above 0."""
    if clamp is not None and not (isinstance(clamp, (int, float)) and 0 < clamp < math.inf):
        raise ValueError(f"{source}: conv_clamp is {clamp!r}, expected None or a number above 0")
    return clamp


def shown(value) -> str:
    """What a value is, for errors."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    return f"of shape {tuple(value.shape)}" + (
        f" ({str(value.layout)[6:]})" if value.layout != torch.strided else ""
    )
