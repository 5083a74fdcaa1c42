"""NVIDIA's TensorFlow pickles, such as stylegan2-ffhq-config-f.pkl: (G, D, Gs), of which Gs is taken.

Sources: NVlabs/stylegan2 (dnnlib/tflib/network.py), NVlabs/stylegan2-ada-pytorch (legacy.py). Filters
are stored as [H, W, I, O], mirrored where they upsample; fully connected weights as [I, O]; the bias of
a style without its 1.
"""

import re

import numpy as np
import torch
from torch import Tensor

from trainers.convert.layouts import common
from trainers.convert.layouts.common import Found, Model
from trainers.convert.unpickle import Network

KNOWN = {
    "architecture": "skip", "nonlinearity": "lrelu", "act": "lrelu", "mapping_nonlinearity": "lrelu",
    "mapping_lrmul": 0.01, "normalize_latents": True, "resample_kernel": common.FILTER,
}  # fmt: skip
THEIR_SIZES = ("resolution", "num_channels", "latent_size", "dlatent_size", "mapping_layers")


def model(gs: Network, source: str) -> Model:
    """The generator Gs of a file."""
    found, version = Found(source), gs.state.get("version", 0)
    found.require(version >= 4, f"its networks have version {version}, expected 4 or newer (StyleGAN2)")
    _walk(gs, "", found)
    options = dict(gs.state.get("static_kwargs") or {})
    common.check_unconditional(options.get("label_size"), any("Label" in name for name in found), found)
    common.check_options(options, KNOWN, found)
    common.check_skips(found, "/Skip/", "synthesis/4x4/ToRGB/weight")
    resolutions = found.numbers(r"synthesis/(\d+)x\d+/")
    last = {r: f"synthesis/{r}x{r}/{'Conv' if r == 4 else 'Conv1'}/weight" for r in resolutions}
    architecture = {
        "resolution": max(resolutions), "img_channels": found.size("synthesis/4x4/ToRGB/weight", 3, 4),
        "channels": [found.size(last[r], 3, 4) for r in resolutions],
        "z_dim": found.size("mapping/Dense0/weight", 0, 2),
        "w_dim": found.size("mapping/Dense0/weight", 1, 2),
        "mapping_layers": found.count(r"mapping/Dense(\d+)/"),
        "use_noise": any("noise_strength" in name for name in found),
        "conv_clamp": common.checked_clamp(options.get("conv_clamp"), found),
    }  # fmt: skip
    sizes = dict(zip(common.SIZES, map(options.get, THEIR_SIZES), strict=True))
    common.check_sizes(sizes, architecture, found)
    return common.build("generator", architecture, found, name_of, value_of)


def _walk(network: Network, before: str, found: Found) -> None:
    """Collects the variables of a network and of its components by their paths."""
    for name, value in network.state.get("variables") or []:
        if name == "lod":  # StyleGAN1's progress of growing, without effect here
            continue
        message = f"{before}{name} is a {type(value).__name__}, expected an array or a number"
        found.require(isinstance(value, (np.ndarray, int, float)), message)
        value = np.asarray(value)  # a variable without dimensions (noise_strength) is a number
        found[f"{before}{name}"] = torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
    for name, part in dict(network.state.get("components") or {}).items():
        _walk(part, f"{before}{name}/", found)


def name_of(ours: str) -> str:
    """Our name of a weight -> theirs."""
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
    """Their array as ours: see the module's docstring."""
    if ours.endswith("affine.bias"):
        return value + 1
    if ours.endswith(".weight") and value.ndim == 2:
        return value.T
    if ours.endswith(".weight") and value.ndim == 4:
        return (value.flip(0, 1) if ".conv0." in ours else value).permute(3, 2, 0, 1)
    return common.reshaped(value, ours, shape)
