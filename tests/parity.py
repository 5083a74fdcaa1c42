"""Reference networks without a checkpoint: weights drawn by parameter name, so that any implementation can have the same."""

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


def drawn(name: str, shape) -> np.ndarray:
    """Standard normal values that depend on the name alone (numpy never changes RandomState)."""
    return np.random.RandomState(zlib.crc32(f"0:{name}".encode())).standard_normal(tuple(shape)).astype(np.float32)


def weight(name: str, shape) -> np.ndarray:
    """The value of one parameter of a generator in rosinality's layout, scaled so that activations stay tame."""
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


def reference(case: str) -> tuple[dict, dict[str, Tensor], dict[str, Tensor]]:
    """Of "g16s" or "g64s": its sizes, its weights under our names, its inputs and outputs."""
    sizes = json.loads((FOLDER / f"{case}.json").read_text())
    with np.load(FOLDER / f"{case}.npz") as held:
        arrays = {key: torch.from_numpy(held[key]) for key in held.files}
    weights = {"mapping.w_avg": arrays["latent_avg"]}
    for name, shape in sizes["keys"].items():
        if not name.endswith(".kernel"):
            key, value = renamed(name, torch.from_numpy(weight(name, shape)))
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
    shaped = {"weight": lambda v: v[0], "noise_strength": lambda v: v.reshape([]), "bias": lambda v: v.reshape(-1)}
    return f"synthesis.{home}.{parameter}", shaped.get(parameter, lambda v: v)(value)


def _layer(i: int) -> str:
    """Our name of the i-th styled convolution, counted from the 4 px one."""
    return "b4.conv1" if i == 0 else f"b{2 ** ((i + 5) // 2)}.conv{(i + 1) % 2}"
