"""NVlabs/stylegan2-ada-pytorch (training/networks.py, torch_utils/persistence.py), and stylegan3's StyleGAN2.

Our names are theirs. The options of the synthesis are nested in stylegan2-ada-pytorch and flat in
stylegan3, with other defaults. Levels that they compute in half precision on GPUs have full precision here.
"""

import re

from torch import Tensor

from trainers.convert.layouts import common
from trainers.convert.layouts.common import Found, Model
from trainers.convert.unpickle import Persistent

KNOWN = {"architecture": "skip", "activation": "lrelu", "lr_multiplier": 0.01,
         "resample_filter": common.FILTER}  # fmt: skip
CLAMP_IF_NESTED, CLAMP_IF_FLAT = None, 256  # conv_clamp of each repository where a file does not state it


def model(g_ema: Persistent, source: str) -> Model:
    """The generator G_ema of a file."""
    found, parts = Found(source), {}
    _walk(g_ema, "", found, parts)
    return _generator(found, parts, dict(g_ema.state.get("_init_kwargs") or {}))


def of_state_dict(state: dict, source: str) -> Model:
    """The generator of a bare state dict, which has no options: theirs are assumed, without conv_clamp."""
    return _generator(Found(source, state), {}, {"synthesis_kwargs": {}})


def _generator(found: Found, parts: dict[str, Persistent], options: dict) -> Model:
    mapping = dict(options.get("mapping_kwargs") or {})
    synthesis = {**options, **dict(options.get("synthesis_kwargs") or {})}
    _check(found, parts, mapping, synthesis)
    resolutions = found.numbers(r"synthesis\.b(\d+)\.")
    architecture = {
        "resolution": max(resolutions), "img_channels": found.size("synthesis.b4.torgb.weight", 0, 4),
        "channels": [found.size(f"synthesis.b{r}.conv1.weight", 0, 4) for r in resolutions],
        "z_dim": found.size("mapping.fc0.weight", 1, 2), "w_dim": found.size("mapping.fc0.weight", 0, 2),
        "mapping_layers": found.count(r"mapping\.fc(\d+)\."),
        "use_noise": any(name.endswith("noise_strength") for name in found),
        "conv_clamp": common.checked_clamp(_clamp(parts, synthesis, found), found),
    }  # fmt: skip
    common.check_sizes({**options, **mapping}, architecture, found)
    filters = {name: 1 for name in found if name.endswith("resample_filter")}
    given = () if "mapping.w_avg" in found else ("mapping.w_avg",)
    made = common.build("generator", architecture, found, lambda ours: ours, filters=filters, given=given)
    return common.with_mean(made, made.weights.get("mapping.w_avg"))


def _walk(part: Persistent, before: str, found: Found, parts: dict[str, Persistent]) -> None:
    """Collects the arrays and the modules of a pickled module by their paths."""
    parts[before.rstrip(".")] = part
    for group in ("_parameters", "_buffers"):
        for name, value in dict(part.state.get(group) or {}).items():
            if isinstance(value, Tensor):
                found[f"{before}{name}"] = value
    for name, child in dict(part.state.get("_modules") or {}).items():
        message = f"the module {before}{name} is a {type(child).__name__}, expected one of NVIDIA's classes"
        found.require(isinstance(child, Persistent), message)
        _walk(child, f"{before}{name}.", found, parts)


def _check(found: Found, parts: dict[str, Persistent], mapping: dict, synthesis: dict) -> None:
    """ValueError for networks of NVIDIA's classes that ours cannot compute."""
    stylegan3 = any(name.startswith(("synthesis.input.", "synthesis.L0_")) for name in found)
    found.require(not stylegan3, "it is a generator of StyleGAN3: only StyleGAN2's are known")
    embedded = any(name.startswith("mapping.embed.") for name in found)
    classes = [state.get("c_dim") for state in (synthesis, *(part.state for part in parts.values()))]
    common.check_unconditional(next(filter(None, classes), 0), embedded, found)
    common.check_options(mapping, KNOWN, found)
    common.check_options(synthesis, KNOWN, found)
    for name, part in parts.items():  # modules keep most of their options as attributes
        names = {"architecture": "architecture"}
        if re.search(r"\.(conv[01]|fc\d+)$", name):
            names["activation"] = "activation"
        if re.search(r"\.fc\d+$", name):
            names["lr_multiplier"] = "bias_gain"
        options = {key: part.state.get(theirs, KNOWN[key]) for key, theirs in names.items()}
        common.check_options(options, KNOWN, found, f"{name or part.class_name}: ")
    common.check_skips(found, ".skip.", "synthesis.b4.torgb.weight")


def _clamp(parts: dict[str, Persistent], synthesis: dict, found: Found) -> float | None:
    """conv_clamp as the layers hold it or, if they do not, as the options state it."""
    layers = [part for name, part in parts.items() if re.search(r"\.(conv[01]|torgb)$", name)]
    clamps = {part.state["conv_clamp"] for part in layers if "conv_clamp" in part.state}
    message = f"conv_clamp differs between layers ({', '.join(map(str, clamps))}), expected one for all"
    found.require(len(clamps) <= 1, message)
    default = CLAMP_IF_NESTED if "synthesis_kwargs" in synthesis else CLAMP_IF_FLAT
    return clamps.pop() if clamps else synthesis.get("conv_clamp", default)
