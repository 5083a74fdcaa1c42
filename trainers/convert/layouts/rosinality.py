"""rosinality/stylegan2-pytorch (model.py, convert_weight.py, train.py): the layout of most community files.

As converted from TensorFlow: {"g_ema": weights, "latent_avg": the mean code}. As trained, without a mean
code: {"g_ema", "args": options, ...}. Or the weights alone. The noise maps may be missing.
"""

import re
from argparse import Namespace

from trainers.convert.layouts.common import Found, Model, build, check_sizes, mean_code, reshaped, with_mean

NAMES = {"weight": "conv.weight", "affine.weight": "conv.modulation.weight",
         "affine.bias": "conv.modulation.bias"}  # fmt: skip
LAYER_NAMES = {**NAMES, "bias": "activate.bias", "noise_strength": "noise.weight"}


def model(state: dict, latent_avg, options, source: str) -> Model:
    """The generator of a state dict. options: those of its training, a Namespace, or None."""
    size = getattr(options, "size", None) if isinstance(options, Namespace) else None
    return generator(Found(source, state), latent_avg, size)


def generator(found: Found, latent_avg, size: int | None) -> Model:
    """A generator of these arrays. size: the resolution that the file states."""
    levels = found.count(r"to_rgbs\.(\d+)\.") + 1
    architecture = {
        "resolution": 2 ** (levels + 1), "img_channels": found.size("to_rgb1.conv.weight", 1, 5),
        "channels": [found.size(f"{_layer(2 * level)}.conv.weight", 1, 5) for level in range(levels)],
        "z_dim": found.size("style.1.weight", 1, 2), "w_dim": found.size("style.1.weight", 0, 2),
        "mapping_layers": found.count(r"style\.(\d+)\.") - 1,
        "use_noise": any(name.endswith("noise.weight") for name in found),
    }  # fmt: skip
    check_sizes({"img_resolution": size}, architecture, found)
    w_avg = mean_code(latent_avg, 2 * levels, architecture["w_dim"], found)
    given, kernels = ("mapping.w_avg",), {name: 4 for name in found if name.endswith(".kernel")}
    made = build("generator", architecture, found, name_of, reshaped, given=given, filters=kernels)
    return with_mean(made, w_avg)


def name_of(ours: str) -> str:
    """Our name of a weight -> theirs."""
    if match := re.fullmatch(r"mapping\.fc(\d+)\.(\w+)", ours):
        return f"style.{int(match[1]) + 1}.{match[2]}"
    if ours == "synthesis.b4.const":
        return "input.input"
    resolution, part, rest = re.fullmatch(r"synthesis\.b(\d+)\.(\w+)\.(.*)", ours).groups()
    level = int(resolution).bit_length() - 3
    if part == "torgb":
        return f"to_rgbs.{level - 1}.{NAMES.get(rest, rest)}" if level else f"to_rgb1.{NAMES.get(rest, rest)}"
    i = 2 * level - (part == "conv0")
    return f"noises.noise_{i}" if rest == "noise_const" else f"{_layer(i)}.{LAYER_NAMES[rest]}"


def _layer(i: int) -> str:
    """The i-th styled convolution, counted from the one at 4 px."""
    return "conv1" if i == 0 else f"convs.{i - 1}"
