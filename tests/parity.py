"""Reference networks without a checkpoint: weights drawn by parameter name, the same for any implementation.

The arrays in data/parity are what the community's implementations compute with these weights
(data/parity/README.md).
"""

import functools
import json
import re
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent / "data" / "parity"
# What our names call the parameters of one of rosinality's styled convolutions or to-RGB layers.
PARAMETERS = {
    "conv.weight": "weight", "conv.modulation.weight": "affine.weight", "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength", "activate.bias": "bias", "bias": "bias",
}  # fmt: skip


def error(found: Tensor, expected: Tensor) -> float:
    """Root mean square error as a fraction of the expected values' root mean square."""
    return ((found - expected).norm() / expected.norm()).item()


def drawn(name: str, shape) -> np.ndarray:
    """Standard normal values that depend on the name alone (numpy never changes RandomState)."""
    return (
        np.random.RandomState(zlib.crc32(f"0:{name}".encode()))
        .standard_normal(tuple(shape))
        .astype(np.float32)
    )


def weight(name: str, shape) -> np.ndarray:
    """The value of one parameter of a generator in rosinality's layout, scaled to keep activations small."""
    x = drawn(name, shape)
    if re.fullmatch(r"style\.\d+\.weight", name):  # the mapping network's learning rate multiplier is .01
        return x / 0.01
    if re.fullmatch(r"style\.\d+\.bias", name):
        return 0.2 * x / 0.01
    if name.endswith("noise.weight"):
        return 0.1 + 0.1 * x
    if name.endswith("modulation.bias"):
        return 1 + 0.2 * x
    return 0.2 * x if name.endswith("bias") else x


def encoder_weight(name: str, shape, names) -> np.ndarray:
    """The value of one entry of an encoder in pSp's layout; `names` are all of its names."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    x, module = drawn(name, shape), name.rpartition(".")[0]
    if name.endswith("running_var"):
        return 0.5 + 0.5 * x * x
    if name.endswith("running_mean"):
        return np.float32(0.3) * x
    if name.endswith("bias"):
        return 0.2 * x
    if name.endswith("linear.weight"):
        return x
    if name.endswith("res_layer.4.weight"):  # keeps activations of 24 residual units small
        return 0.3 + 0.05 * x
    if len(shape) == 1:
        return 1 + 0.2 * x if f"{module}.bias" in names else 0.25 + 0.05 * x  # normalisation, or PReLU
    return x * np.float32(np.sqrt(1.6 / np.prod(shape[1:])))


def network_weight(name: str, shape, names) -> np.ndarray:
    """The value of one entry of ResNet-50 or of IR-SE50 with its head; `names` are all of its names."""
    if re.search(r"bn3\.weight$", name):  # keeps activations of 16 residual units small
        return 0.3 + 0.05 * drawn(name, shape)
    if re.match(r"(fc|output_layer\.3)\.weight", name):
        return drawn(name, shape) * np.float32(2 / np.sqrt(shape[1]))
    return encoder_weight(name, shape, names)


def published(case: str) -> dict[str, Tensor]:
    """The state dict of "resnet50" or "ir_se50" as torchvision's and pSp's classes have it."""
    shapes = json.loads((FOLDER / f"{case}.json").read_text())
    return {
        name: torch.from_numpy(np.asarray(network_weight(name, shape, shapes)))
        for name, shape in shapes.items()
    }


def picture(n: int, side: int) -> Tensor:
    """The pictures on which the reference encoders were run: [n, 3, side, side] in [-1, 1]."""
    coarse = drawn("image", (n, 3, side // 4, side // 4)).repeat(4, 2).repeat(4, 3)
    return torch.from_numpy(
        np.tanh(0.7 * coarse + 0.2 * drawn("image2", (n, 3, side, side))).astype(np.float32)
    )


def noise_maps(n: int, resolution: int) -> list[Tensor]:
    """The maps that the reference generators were given, [n, 1, r, r] for each styled convolution."""
    sides = [4] + [side for side in (2**k for k in range(3, 11)) if side <= resolution for _ in range(2)]
    return [torch.from_numpy(drawn(f"nl{i}", (n, 1, side, side))) for i, side in enumerate(sides)]


def sizes_of(case: str) -> dict:
    return json.loads((FOLDER / f"{case}.json").read_text())


def arrays_of(case: str) -> dict[str, Tensor]:
    with np.load(FOLDER / f"{case}.npz") as held:
        return {key: torch.from_numpy(held[key]) for key in held.files}


def rosinality_weights(case: str) -> dict[str, Tensor]:
    """A reference generator's state dict as rosinality's class has it."""
    shapes, taps = sizes_of(case)["keys"], torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return {
        name: 4 * torch.outer(taps, taps)
        if name.endswith(".kernel")
        else torch.from_numpy(weight(name, shape))
        for name, shape in shapes.items()
    }


def psp_weights(num_ws: int = 18, shrink: int = 1, w_dim: int | None = None) -> dict[str, Tensor]:
    """A reference encoder's state dict as pSp's class has it; with widths divided by `shrink`, but 64 to
    no less than 16 and 128 to no less than 24. w_dim: by default 512 / shrink.

    The narrow ones are drawn once: their tensors are not to be changed."""
    return dict((_draw_psp_once if shrink > 1 else _draw_psp)(num_ws, shrink, w_dim or 512 // shrink))


def _draw_psp(num_ws: int, shrink: int, w_dim: int) -> dict[str, Tensor]:
    shapes = json.loads((FOLDER / "psp_enc_full.json").read_text())
    kept = {
        name: shape
        for name, shape in shapes.items()
        if not re.match(r"styles\.(\d+)", name) or int(name.split(".")[1]) < num_ws
    }
    # A unit's attention has a sixteenth of its width, at least 1. Widths stay different, as in the original.
    narrow = lambda side: side if side in (1, 3) else max(side // shrink, {64: 16, 128: 24}.get(side, 1))
    kept = {name: [narrow(side) for side in shape] for name, shape in kept.items()}
    kept |= {name: [w_dim, *shape[1:]] for name, shape in kept.items() if ".linear." in name}
    return {
        name: torch.from_numpy(np.asarray(encoder_weight(name, shape, kept))) for name, shape in kept.items()
    }


_draw_psp_once = functools.cache(_draw_psp)


def reference(case: str) -> tuple[dict, dict[str, Tensor], dict[str, Tensor]]:
    """Of a generator in data/parity: its sizes, its weights under our names, its inputs and outputs."""
    sizes, arrays = sizes_of(case), arrays_of(case)
    weights = {"mapping.w_avg": arrays["latent_avg"]}
    for name, value in rosinality_weights(case).items():
        if not name.endswith(".kernel"):
            key, value = renamed(name, value)
            weights[key] = value
    return sizes, weights, arrays


def renamed(name: str, value: Tensor) -> tuple[str, Tensor]:
    """A parameter of rosinality's layout as our parameter."""
    if found := re.fullmatch(r"style\.(\d+)\.(\w+)", name):
        return f"mapping.fc{int(found[1]) - 1}.{found[2]}", value
    if name == "input.input":
        return "synthesis.b4.const", value[0]
    if found := re.fullmatch(r"noises\.noise_(\d+)", name):
        return f"synthesis.{_layer(int(found[1]))}.noise_const", value[0, 0]
    found = re.fullmatch(r"(?:(conv1)|convs\.(\d+)|(to_rgb1)|to_rgbs\.(\d+))\.(.*)", name)
    if found[1] or found[2]:
        home = _layer(0 if found[1] else int(found[2]) + 1)
    else:
        home = "b4.torgb" if found[3] else f"b{2 ** (int(found[4]) + 3)}.torgb"
    parameter = PARAMETERS[found[5]]
    shaped = {
        "weight": lambda v: v[0],
        "noise_strength": lambda v: v.reshape([]),
        "bias": lambda v: v.reshape(-1),
    }
    return f"synthesis.{home}.{parameter}", shaped.get(parameter, lambda v: v)(value)


def _layer(i: int) -> str:
    """Our name of the i-th styled convolution, counted from the 4 px one."""
    return "b4.conv1" if i == 0 else f"b{2 ** ((i + 5) // 2)}.conv{(i + 1) % 2}"
