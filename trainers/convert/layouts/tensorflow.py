"""NVIDIA's TensorFlow pickles, such as stylegan2-ffhq-config-f.pkl: (G, D, Gs), of which Gs is taken.

Sources: NVlabs/stylegan2 (dnnlib/tflib/network.py), NVlabs/stylegan2-ada-pytorch (legacy.py). Filters lie there as [H, W, I, O] and
those that upsample are mirrored, fully connected weights are [I, O], and the style's bias is stored without its 1.
"""

import re

import torch
from torch import Tensor

from trainers.convert.layouts.common import (
    Found,
    Model,
    build,
    check_told,
    checked_clamp,
    refuse_conditional,
    refuse_other,
    refuse_without_skips,
    reshaped,
)
from trainers.convert.unpickle import Array, Network

KNOWN = {
    "architecture": "skip", "nonlinearity": "lrelu", "act": "lrelu", "mapping_nonlinearity": "lrelu", "mapping_lrmul": 0.01,
    "normalize_latents": True, "resample_kernel": [1, 3, 3, 1],
}  # fmt: skip
TOLD = {
    "img_resolution": "resolution",
    "img_channels": "num_channels",
    "z_dim": "latent_size",
    "w_dim": "dlatent_size",
    "num_layers": "mapping_layers",
}


def model(gs: Network, source: str) -> Model:
    if gs.state.get("version", 0) < 4:
        raise ValueError(
            f"{source}: its networks have version {gs.state.get('version')}, expected 4 or newer (StyleGAN2)"
        )
    found = Found(source, {})
    _walk(gs, "", found)
    options = dict(gs.state.get("static_kwargs") or {})
    refuse_conditional(options.get("label_size"), any("Label" in name for name in found), source)
    refuse_other(options, KNOWN, source)
    refuse_without_skips(found, "/Skip/", "synthesis/4x4/ToRGB/weight")
    resolutions = found.numbers(r"synthesis/(\d+)x\d+/")
    architecture = {
        "resolution": max(resolutions), "img_channels": found.size("synthesis/4x4/ToRGB/weight", 3, 4),
        "channels": [found.size(f"synthesis/{r}x{r}/{'Conv' if r == 4 else 'Conv1'}/weight", 3, 4) for r in resolutions],
        "z_dim": found.size("mapping/Dense0/weight", 0, 2), "w_dim": found.size("mapping/Dense0/weight", 1, 2),
        "mapping_layers": found.count(r"mapping/Dense(\d+)/"), "use_noise": any("noise_strength" in name for name in found),
        "conv_clamp": checked_clamp(options.get("conv_clamp"), source),
    }  # fmt: skip
    check_told({nvidia: options.get(name) for nvidia, name in TOLD.items()}, architecture, source)
    return build("generator", architecture, found, name_of, value_of)


def _walk(network: Network, before: str, found: Found) -> None:
    """Collects the variables of a network and of its components by their paths."""
    for name, value in network.state.get("variables") or []:
        if name == "lod":  # how far StyleGAN1's growth has come: without effect here
            continue
        if not isinstance(value, (Array, int, float)):
            raise ValueError(
                f"{found.source}: {before}{name} is a {type(value).__name__}, expected an array or a number"
            )
        # TensorFlow gives a variable without dimensions (noise_strength) as a number of numpy, which our reader makes Python's.
        found[f"{before}{name}"] = value.tensor() if isinstance(value, Array) else torch.tensor(value)
    for name, part in dict(network.state.get("components") or {}).items():
        _walk(part, f"{before}{name}/", found)


def name_of(ours: str) -> str:
    if ours == "mapping.w_avg":
        return "dlatent_avg"
    if match := re.fullmatch(r"mapping\.fc(\d+)\.(\w+)", ours):
        return f"mapping/Dense{match[1]}/{match[2]}"
    if ours == "synthesis.b4.const":
        return "synthesis/4x4/Const/const"
    r, part, rest = re.fullmatch(r"synthesis\.b(\d+)\.(\w+)\.(.*)", ours).groups()
    if rest == "noise_const":
        return f"synthesis/noise{2 * (int(r).bit_length() - 3) - (part == 'conv0')}"
    part = {"torgb": "ToRGB", "conv0": "Conv0_up", "conv1": "Conv" if r == "4" else "Conv1"}[part]
    return f"synthesis/{r}x{r}/{part}/{rest.replace('affine.', 'mod_')}"


def value_of(value: Tensor, ours: str, shape: tuple) -> Tensor:
    if ours.endswith("affine.bias"):
        return value + 1
    if ours.endswith(".weight") and value.ndim == 2:
        return value.T
    if ours.endswith(".weight") and value.ndim == 4:
        return (value.flip(0, 1) if ".conv0." in ours else value).permute(3, 2, 0, 1)
    return reshaped(value, ours, shape)
