"""NVlabs/stylegan2-ada-pytorch (training/networks.py, torch_utils/persistence.py) and the StyleGAN2 of NVlabs/stylegan3.

Our names are theirs. The repos differ in where the options stand and in their defaults: the synthesis's are nested in
stylegan2-ada-pytorch and flat in stylegan3's. Levels that they compute in half precision on GPUs are computed in full here.
"""

import re

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
)
from trainers.convert.unpickle import Persistent

KNOWN = {
    "architecture": "skip",
    "activation": "lrelu",
    "lr_multiplier": 0.01,
    "resample_filter": [1, 3, 3, 1],
}
CLAMP_IF_NESTED, CLAMP_IF_FLAT = None, 256  # conv_clamp of each repo where a file does not say it


def model(g_ema: Persistent, source: str) -> Model:
    found, parts = Found(source, {}), {}
    _walk(g_ema, "", found, parts)
    options = dict(g_ema.state.get("_init_kwargs") or {})
    mapping, synthesis = (
        dict(options.get("mapping_kwargs") or {}),
        {**options, **dict(options.get("synthesis_kwargs") or {})},
    )
    _check(found, parts, mapping, synthesis)
    resolutions = found.numbers(r"synthesis\.b(\d+)\.")
    architecture = {
        "resolution": max(resolutions), "img_channels": found.size("synthesis.b4.torgb.weight", 0, 4),
        "channels": [found.size(f"synthesis.b{r}.conv1.weight", 0, 4) for r in resolutions],
        "z_dim": found.size("mapping.fc0.weight", 1, 2), "w_dim": found.size("mapping.fc0.weight", 0, 2),
        "mapping_layers": found.count(r"mapping\.fc(\d+)\."), "use_noise": any(name.endswith("noise_strength") for name in found),
        "conv_clamp": checked_clamp(_clamp(parts, synthesis, source), source),
    }  # fmt: skip
    check_told({**options, **mapping}, architecture, source)
    filters = {name: 1 for name in found if name.endswith("resample_filter")}
    return build("generator", architecture, found, lambda ours: ours, filters=filters)


def _walk(part: Persistent, before: str, found: Found, parts: dict[str, Persistent]) -> None:
    """Collects the arrays and the modules of a pickled module by their paths."""
    parts[before.rstrip(".")] = part
    for held in ("_parameters", "_buffers"):
        for name, value in dict(part.state.get(held) or {}).items():
            if isinstance(value, Tensor):
                found[f"{before}{name}"] = value
    for name, child in dict(part.state.get("_modules") or {}).items():
        if not isinstance(child, Persistent):
            raise ValueError(
                f"{found.source}: the module {before}{name} is a {type(child).__name__}, expected one of NVIDIA's classes"
            )
        _walk(child, f"{before}{name}.", found, parts)


def _check(found: Found, parts: dict[str, Persistent], mapping: dict, synthesis: dict) -> None:
    """ValueError for the networks that NVIDIA's classes can be and ours cannot."""
    if any(name.startswith(("synthesis.input.", "synthesis.L0_")) for name in found):
        raise ValueError(f"{found.source} is a generator of StyleGAN3: only StyleGAN2's are known")
    classes = [
        held["c_dim"] for held in (synthesis, *(part.state for part in parts.values())) if held.get("c_dim")
    ]
    refuse_conditional(
        classes[0] if classes else 0, any(name.startswith("mapping.embed.") for name in found), found.source
    )
    refuse_other(mapping, KNOWN, found.source)
    refuse_other(synthesis, KNOWN, found.source)
    for name, part in parts.items():  # modules keep most of their options as attributes
        held = {"architecture": part.state.get("architecture", KNOWN["architecture"])}
        if re.search(r"\.(conv[01]|fc\d+)$", name):
            held["activation"] = part.state.get("activation", KNOWN["activation"])
        if re.search(r"\.fc\d+$", name):
            held["lr_multiplier"] = part.state.get("bias_gain", KNOWN["lr_multiplier"])
        refuse_other(held, KNOWN, f"{found.source}, {name or part.class_name}")
    refuse_without_skips(found, ".skip.", "synthesis.b4.torgb.weight")


def _clamp(parts: dict[str, Persistent], synthesis: dict, source: str) -> float | None:
    """conv_clamp as the layers themselves hold it or, if they do not, as the options say."""
    layers = [part for name, part in parts.items() if re.search(r"\.(conv[01]|torgb)$", name)]
    clamps = {part.state["conv_clamp"] for part in layers if "conv_clamp" in part.state}
    if len(clamps) > 1:
        raise ValueError(
            f"{source}: conv_clamp differs between layers ({', '.join(map(str, clamps))}), expected one for all"
        )
    return (
        clamps.pop()
        if clamps
        else synthesis.get(
            "conv_clamp", CLAMP_IF_NESTED if "synthesis_kwargs" in synthesis else CLAMP_IF_FLAT
        )
    )
