"""The layouts of others' StyleGAN2, pSp and e4e checkpoints: their names and arrays become ours.

Every function takes what `trainers.unpickle.read` found in a file and gives the models in it. Sizes are read from the weights and
compared with what the file says of itself. Whatever is missing, left over, of another shape, or would compute another function than
`Generator` and `Encoder` do is refused with a ValueError that names it.

Sources of the layouts: rosinality/stylegan2-pytorch (model.py, convert_weight.py, train.py), NVlabs/stylegan2-ada-pytorch
(training/networks.py, legacy.py, torch_utils/persistence.py), NVlabs/stylegan3, NVlabs/stylegan2 (dnnlib/tflib/network.py),
eladrich/pixel2style2pixel (models/psp.py), omertov/encoder4editing.
"""

import re
from argparse import Namespace
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lwgan.encoder import Encoder
from lwgan.generator import Generator, Mapping, blur_kernel
from trainers.unpickle import Array, Network, Persistent

SPACES = {"GradualStyleEncoder": "W+", "Encoder4Editing": "W+ deltas"}  # of pSp's and e4e's encoder_type
PSP_RESOLUTION = 256  # of the pictures that both take
MEAN_SAMPLES = 32768  # from which a mean code is estimated where a file has none


class Model(NamedTuple):
    kind: str  # "generator" or "encoder"
    architecture: dict  # the arguments of its class
    weights: dict[str, Tensor]  # its state dict
    notes: dict  # what else config.json should say


class Found(dict):
    """The arrays of a file by their own names. A name that is not there is an error that tells it."""

    def __init__(self, source: str, arrays: dict):
        super().__init__(arrays)
        self.source = source
        for name, value in arrays.items():
            if not isinstance(value, Tensor):
                raise ValueError(f"{source}: {name!r} is a {type(value).__name__}, expected an array")

    def __missing__(self, name: str):
        raise ValueError(f"{self.source} has no {name!r}")

    def size(self, name: str, axis: int, dims: int) -> int:
        """One side of an array that must have `dims` of them."""
        if self[name].ndim != dims:
            raise ValueError(f"{self.source}: {name!r} has shape {tuple(self[name].shape)}, expected {dims} dimensions")
        return self[name].shape[axis]

    def numbers(self, pattern: str) -> list[int]:
        """The numbers that stand in the one group of a pattern in any of the names, ascending."""
        return sorted({int(match[1]) for match in map(re.compile(pattern).match, self) if match})


def models(content: object, source: str, encoder_type: str | None = None) -> list[Model]:
    """The models of a checkpoint, whichever layout it has. `encoder_type`: of a pSp file whose options lack it."""
    if isinstance(content, dict) and "state_dict" in content and "opts" in content:
        return psp(content, source, encoder_type)
    if isinstance(content, dict) and isinstance(content.get("g_ema"), dict):
        return [rosinality(content, source)]
    if isinstance(content, dict) and isinstance(content.get("G_ema"), Persistent):
        return [nvidia(content["G_ema"], source)]
    if isinstance(content, tuple) and len(content) == 3 and all(isinstance(part, Network) for part in content):
        return [tensorflow(content[2], source)]
    held = f"the keys {', '.join(map(str, list(content)[:8]))}" if isinstance(content, dict) else f"a {type(content).__name__}"
    raise ValueError(
        f"{source} holds {held}: expected 'g_ema' (rosinality), 'G_ema' (NVIDIA), 'state_dict' and 'opts' (pSp, e4e) or (G, D, Gs) (TensorFlow)"
    )


# Generators


def rosinality(content: dict, source: str) -> Model:
    """{'g_ema', 'latent_avg'} as converted, or {'g_ema', 'args', ...} as trained, which has no mean code."""
    options = content.get("args")
    told = {"img_resolution": getattr(options, "size", None)} if isinstance(options, Namespace) else {}
    return rosinality_generator(Found(source, content["g_ema"]), content.get("latent_avg"), told)


def rosinality_generator(found: Found, w_avg, told: dict) -> Model:
    def layer(i: int) -> str:
        return "conv1" if i == 0 else f"convs.{i - 1}"

    levels = max(found.numbers(r"to_rgbs\.(\d+)\."), default=-1) + 2
    architecture = {
        **{"resolution": 2 ** (levels + 1), "img_channels": found.size("to_rgb1.conv.weight", 1, 5)},
        "channels": [found.size(f"{layer(2 * level)}.conv.weight", 1, 5) for level in range(levels)],
        "z_dim": found.size("style.1.weight", 1, 2), "w_dim": found.size("style.1.weight", 0, 2),
        "mapping_layers": max(found.numbers(r"style\.(\d+)\.")), "use_noise": any(name.endswith("noise.weight") for name in found),
    }  # fmt: skip
    _check_told(told, architecture, found.source)
    names = {"weight": "conv.weight", "affine.weight": "conv.modulation.weight", "affine.bias": "conv.modulation.bias"}

    def name_of(ours: str) -> str:
        if match := re.fullmatch(r"mapping\.fc(\d+)\.(\w+)", ours):
            return f"style.{int(match[1]) + 1}.{match[2]}"
        if ours == "synthesis.b4.const":
            return "input.input"
        resolution, part, rest = re.fullmatch(r"synthesis\.b(\d+)\.(\w+)\.(.*)", ours).groups()
        level = int(resolution).bit_length() - 3
        if part == "torgb":
            return f"{f'to_rgbs.{level - 1}' if level else 'to_rgb1'}.{names.get(rest, rest)}"
        i = 2 * level - (part == "conv0")
        if rest == "noise_const":
            return f"noises.noise_{i}"
        return f"{layer(i)}.{ {**names, 'bias': 'activate.bias', 'noise_strength': 'noise.weight'}[rest] }"

    kernels = {name: 4 for name in found if name.endswith(".kernel")}
    weights = _taken(Generator, architecture, found, name_of, _reshaped, given=("mapping.w_avg",), filters=kernels)
    return _with_mean(Model("generator", architecture, weights, {}), w_avg, found.source)


def nvidia(g_ema: Persistent, source: str) -> Model:
    """G_ema of stylegan2-ada-pytorch (options of the synthesis nested) or of stylegan3's repo (flat, other defaults)."""
    found, parts = Found(source, {}), {}
    _walk(g_ema, "", found, parts)
    options = dict(g_ema.state.get("_init_kwargs") or {})
    nested = "synthesis_kwargs" in options
    synthesis = {**options, **dict(options.get("synthesis_kwargs") or {})}
    mapping = dict(options.get("mapping_kwargs") or {})
    _check_nvidia(found, parts, [mapping, synthesis], source)
    resolutions = found.numbers(r"synthesis\.b(\d+)\.")
    clamps = {
        part.state["conv_clamp"]
        for name, part in parts.items()
        if name.endswith((".conv0", ".conv1", ".torgb")) and "conv_clamp" in part.state
    }
    if len(clamps) > 1:
        raise ValueError(f"{source}: conv_clamp differs between layers ({', '.join(map(str, clamps))}), expected one for all")
    architecture = {
        "resolution": max(resolutions), "img_channels": found.size("synthesis.b4.torgb.weight", 0, 4),
        "channels": [found.size(f"synthesis.b{r}.conv1.weight", 0, 4) for r in resolutions],
        "z_dim": found.size("mapping.fc0.weight", 1, 2), "w_dim": found.size("mapping.fc0.weight", 0, 2),
        "mapping_layers": max(found.numbers(r"mapping\.fc(\d+)\.")) + 1, "use_noise": any(name.endswith("noise_strength") for name in found),
        "conv_clamp": clamps.pop() if clamps else synthesis.get("conv_clamp", None if nested else 256),
    }  # fmt: skip
    _check_told({**options, **mapping}, architecture, source)
    filters = {name: 1 for name in found if name.endswith("resample_filter")}
    return Model("generator", architecture, _taken(Generator, architecture, found, lambda ours: ours, _as_it_is, filters=filters), {})


def _walk(part: Persistent, before: str, found: Found, parts: dict[str, Persistent]) -> None:
    """Collects the arrays and the modules of a pickled module by their paths."""
    parts[before.rstrip(".")] = part
    for held in ("_parameters", "_buffers"):
        for name, value in dict(part.state.get(held) or {}).items():
            if isinstance(value, Tensor):
                found[f"{before}{name}"] = value
    for name, child in dict(part.state.get("_modules") or {}).items():
        if not isinstance(child, Persistent):
            raise ValueError(f"{found.source}: the module {before}{name} is a {type(child).__name__}, expected one of NVIDIA's classes")
        _walk(child, f"{before}{name}.", found, parts)


def _check_nvidia(found: Found, parts: dict[str, Persistent], options: list[dict], source: str) -> None:
    """ValueError for the networks that NVIDIA's classes can be and ours cannot."""
    if any(name.startswith(("synthesis.input.", "synthesis.L0_")) for name in found):
        raise ValueError(f"{source} is a generator of StyleGAN3: only StyleGAN2's are known")
    classes = [held["c_dim"] for held in (*options, *(part.state for part in parts.values())) if held.get("c_dim")]
    _refuse_conditional(classes, any(name.startswith("mapping.embed.") for name in found), source)
    known = {"architecture": "skip", "activation": "lrelu", "lr_multiplier": 0.01, "resample_filter": [1, 3, 3, 1]}
    for held in options:
        _refuse_other(held, known, source)
    for name, part in parts.items():
        held = {"architecture": part.state.get("architecture", "skip")}
        if re.search(r"\.(conv[01]|fc\d+)$", name):
            held["activation"] = part.state.get("activation", "lrelu")
        if re.search(r"\.fc\d+$", name):
            held["lr_multiplier"] = part.state.get("bias_gain", 0.01)
        _refuse_other(held, known, f"{source}, {name or part.class_name}")
    _refuse_without_skips(found, ".skip.", "synthesis.b4.torgb.weight")


def tensorflow(gs: Network, source: str) -> Model:
    """Gs of NVIDIA's TensorFlow pickles, version 4 or newer. Their filters lie the other way round, upsampling ones also mirrored."""
    if gs.state.get("version", 0) < 4:
        raise ValueError(f"{source}: its networks have version {gs.state.get('version')}, expected 4 or newer (StyleGAN2)")
    found = Found(source, {})
    _walk_tensorflow(gs, "", found)
    options = dict(gs.state.get("static_kwargs") or {})
    _refuse_conditional(options.get("label_size"), any("Label" in name for name in found), source)
    known = {"architecture": "skip", "nonlinearity": "lrelu", "act": "lrelu", "mapping_nonlinearity": "lrelu", "mapping_lrmul": 0.01,
             "normalize_latents": True, "resample_kernel": [1, 3, 3, 1]}  # fmt: skip
    _refuse_other(options, known, source)
    _refuse_without_skips(found, "/Skip/", "synthesis/4x4/ToRGB/weight")
    resolutions = found.numbers(r"synthesis/(\d+)x\d+/")
    architecture = {
        "resolution": max(resolutions), "img_channels": found.size("synthesis/4x4/ToRGB/weight", 3, 4),
        "channels": [found.size(f"synthesis/{r}x{r}/{'Conv' if r == 4 else 'Conv1'}/weight", 3, 4) for r in resolutions],
        "z_dim": found.size("mapping/Dense0/weight", 0, 2), "w_dim": found.size("mapping/Dense0/weight", 1, 2),
        "mapping_layers": max(found.numbers(r"mapping/Dense(\d+)/")) + 1, "use_noise": any("noise_strength" in name for name in found),
        "conv_clamp": options.get("conv_clamp"),
    }  # fmt: skip
    told = {"resolution": "img_resolution", "num_channels": "img_channels", "latent_size": "z_dim", "dlatent_size": "w_dim"}
    _check_told({ours: options.get(theirs) for theirs, ours in told.items()}, architecture, source)
    found.pop("lod", None), found.pop("synthesis/lod", None)  # the progress of StyleGAN1's growth, which has no effect here
    return Model("generator", architecture, _taken(Generator, architecture, found, _tensorflow_name, _tensorflow_value), {})


def _walk_tensorflow(network: Network, before: str, found: Found) -> None:
    for name, value in network.state.get("variables") or []:
        if not isinstance(value, Array):
            raise ValueError(f"{found.source}: {before}{name} is a {type(value).__name__}, expected an array")
        found[f"{before}{name}"] = value.tensor()
    for name, part in dict(network.state.get("components") or {}).items():
        _walk_tensorflow(part, f"{before}{name}/", found)


def _tensorflow_name(ours: str) -> str:
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


def _tensorflow_value(value: Tensor, ours: str, shape: tuple) -> Tensor:
    if value.ndim == 4 and ours.endswith(".weight"):  # [H, W, I, O] -> [O, I, H, W]
        value = (value.flip(0, 1) if ".conv0." in ours else value).permute(3, 2, 0, 1)
    elif value.ndim == 2 and ours.endswith(".weight"):
        value = value.T
    elif ours.endswith("affine.bias"):
        value = value + 1
    return _reshaped(value, ours, shape)


# pSp and e4e


def psp(content: dict, source: str, encoder_type: str | None = None) -> list[Model]:
    """The generator and the encoder of {'state_dict': {'encoder.*', 'decoder.*'}, 'opts', 'latent_avg'}."""
    options = vars(content["opts"]) if isinstance(content["opts"], Namespace) else content["opts"]
    state = content["state_dict"]
    if not isinstance(options, dict) or not isinstance(state, dict):
        raise ValueError(f"{source}: state_dict is a {type(state).__name__} and opts a {type(options).__name__}, expected two dicts")
    if strange := [name for name in state if not name.startswith(("encoder.", "decoder."))]:
        raise ValueError(f"{source} has the unexpected key {strange[0]!r} (and {len(strange) - 1} more beside encoder.* and decoder.*)")
    parts = {part: {n[len(part) :]: value for n, value in state.items() if n.startswith(part)} for part in ("encoder.", "decoder.")}
    w_avg = _mean_code(content.get("latent_avg"), source)
    generator = rosinality_generator(Found(source, parts["decoder."]), w_avg, {"img_resolution": options.get("output_size")})
    encoder = psp_encoder(Found(source, parts["encoder."]), options, encoder_type)
    if encoder.architecture["num_ws"] != (wanted := 2 * len(generator.architecture["channels"])):
        raise ValueError(f"{source}: the encoder has {encoder.architecture['num_ws']} styles, its decoder takes {wanted}")
    if encoder.architecture["w_dim"] != generator.architecture["w_dim"]:
        raise ValueError(
            f"{source}: the encoder's codes have {encoder.architecture['w_dim']} numbers, the decoder's {generator.architecture['w_dim']}"
        )
    around_mean = options.get("start_from_latent_avg", w_avg is not None)
    if around_mean and w_avg is None:
        raise ValueError(f"{source}: its codes start from latent_avg (start_from_latent_avg), which it does not hold")
    encoder.weights["w_avg"] = w_avg if around_mean else torch.zeros(encoder.architecture["w_dim"])
    if encoder.weights["w_avg"].shape != (encoder.architecture["w_dim"],):
        raise ValueError(f"{source}: latent_avg has shape {tuple(w_avg.shape)}, expected [{encoder.architecture['w_dim']}]")
    return [generator, encoder]


def psp_encoder(found: Found, options: dict, encoder_type: str | None) -> Model:
    encoder_type = options.get("encoder_type") or encoder_type
    if encoder_type not in SPACES:
        raise ValueError(
            f"{found.source}: encoder_type is {encoder_type!r}, only {' and '.join(SPACES)} are known"
            + ("" if encoder_type else " (if you know which it is, say so with --encoder-type)")
        )
    if options.get("learn_in_w"):
        raise ValueError(f"{found.source}: learn_in_w is {options['learn_in_w']}, only encoders into W+ are known")
    num_ws = max(found.numbers(r"styles\.(\d+)\."), default=-1) + 1
    if options.get("n_styles") not in (None, num_ws):
        raise ValueError(f"{found.source}: the weights have {num_ws} styles, the file's options say n_styles {options['n_styles']}")
    widths = [found.size(f"body.{last}.res_layer.3.weight", 0, 4) for last in (2, 6, 20, 23)]
    architecture = {
        "resolution": PSP_RESOLUTION, "img_channels": found.size("input_layer.0.weight", 1, 4), "num_ws": num_ws,
        "w_dim": found.size("styles.0.linear.weight", 0, 2), "widths": widths, "pyramid": widths[-1],
        "head": found.size("styles.0.convs.0.weight", 0, 4), "space": SPACES[encoder_type], "backbone": "ir_se50",
    }  # fmt: skip
    weights = _taken(Encoder, architecture, found, psp_name, _as_it_is, given=("w_avg",))
    return Model("encoder", architecture, weights, {})


def psp_name(ours: str) -> str:
    """What pSp and e4e call a parameter of our encoder; their heads count the activations among the convolutions."""
    if match := re.fullmatch(r"heads\.(\d+)\.convs\.(\d+)\.(\w+)", ours):
        return f"styles.{match[1]}.convs.{2 * int(match[2])}.{match[3]}"
    for mine, theirs in {"stem.": "input_layer.", "backbone.": "body.", "lateral.": "latlayer", "heads.": "styles."}.items():
        if ours.startswith(mine):
            return theirs + ours[len(mine) :]
    return ours


# What all of them share


def _taken(cls, architecture: dict, found: Found, name_of: Callable, value_of: Callable, given=(), filters=None) -> dict[str, Tensor]:
    """The state dict of `cls(**architecture)` from a file's arrays; exactly those, except `given` ones, which come from elsewhere.

    filters: names of arrays that must be the filter [1, 3, 3, 1], which ours are always, and what it must sum to.
    """
    try:
        with torch.device("meta"):
            wanted = {name: tuple(value.shape) for name, value in cls(**architecture).state_dict().items() if name not in given}
    except ValueError as error:
        raise ValueError(f"{found.source}: {error}") from error
    for name, gain in (filters or {}).items():
        if found[name].shape != (4, 4) or not torch.allclose(found[name].float(), blur_kernel(1, gain, torch.ones(1))[0, 0]):
            raise ValueError(f"{found.source}: {name!r} is another filter than [1, 3, 3, 1]")
    names = {ours: name_of(ours) for ours in wanted}
    if missing := [name for name in names.values() if name not in found]:
        raise ValueError(f"{found.source} has no {missing[0]!r}" + (f" (and lacks {len(missing) - 1} more)" if missing[1:] else ""))
    if left := sorted(set(found) - set(names.values()) - set(filters or {})):
        raise ValueError(f"{found.source} has the unexpected key {left[0]!r}" + (f" (and {len(left) - 1} more)" if left[1:] else ""))
    weights = {}
    for ours, name in names.items():
        value = value_of(found[name], ours, wanted[ours])
        if tuple(value.shape) != wanted[ours]:
            raise ValueError(f"{found.source}: {name!r} has shape {tuple(found[name].shape)}, which gives no {wanted[ours]}")
        weights[ours] = value.float() if value.is_floating_point() else value
    return weights


def _as_it_is(value: Tensor, ours: str, shape: tuple) -> Tensor:
    return value


def _reshaped(value: Tensor, ours: str, shape: tuple) -> Tensor:
    """The shape may differ by sides of 1."""
    same = [side for side in value.shape if side != 1] == [side for side in shape if side != 1]
    return value.reshape(shape) if same else value


def _check_told(told: dict, architecture: dict, source: str) -> None:
    """ValueError if a file says other sizes of itself than its weights have."""
    names = {
        "img_resolution": "resolution",
        "img_channels": "img_channels",
        "z_dim": "z_dim",
        "w_dim": "w_dim",
        "num_layers": "mapping_layers",
    }
    for name, ours in names.items():
        if told.get(name) not in (None, architecture[ours]):
            raise ValueError(f"{source}: its weights have {ours} {architecture[ours]}, its options say {told[name]}")


def _refuse_conditional(classes, embedded: bool, source: str) -> None:
    if classes or embedded:
        raise ValueError(f"{source} is a conditional generator ({classes or 'some'} classes): only unconditional ones are known")


def _refuse_other(options: dict, known: dict, source: str) -> None:
    for option, value in known.items():
        given = options.get(option, value)
        if (list(given) if isinstance(given, tuple) else given) != value:
            raise ValueError(f"{source}: {option} is {given!r}, only {value!r} is known")


def _refuse_without_skips(found: Found, shortcut: str, first_picture: str) -> None:
    """ValueError for the architectures "resnet" and "orig", if the weights alone tell."""
    if first_picture not in found:
        name = "'resnet'" if any(shortcut in name for name in found) else "'orig', or no StyleGAN2"
        raise ValueError(f"{found.source} has no {first_picture!r}: its architecture is {name}, only 'skip' is known")


def _mean_code(latent_avg, source: str) -> Tensor | None:
    """[w_dim] of a mean code stored as [w_dim], or once for each style as [num_ws, w_dim]."""
    if latent_avg is None:
        return None
    if not isinstance(latent_avg, Tensor) or latent_avg.ndim not in (1, 2):
        raise ValueError(f"{source}: latent_avg is {_shown(latent_avg)}, expected [w_dim] or [num_ws, w_dim]")
    if latent_avg.ndim == 2 and not torch.equal(latent_avg, latent_avg[:1].expand_as(latent_avg)):
        raise ValueError(f"{source}: latent_avg differs between styles, expected one mean code for all")
    return (latent_avg[0] if latent_avg.ndim == 2 else latent_avg).float()


def _with_mean(model: Model, latent_avg, source: str) -> Model:
    """The model with its mean code: that of the file or, where it has none, an estimate."""
    w_avg, w_dim = _mean_code(latent_avg, source), model.architecture["w_dim"]
    if w_avg is None:
        return model._replace(
            weights={**model.weights, "mapping.w_avg": estimated_mean(model)},
            notes={"w_avg": f"the file has none: estimated from {MEAN_SAMPLES} samples"},
        )
    if tuple(w_avg.shape) != (w_dim,):
        raise ValueError(f"{source}: latent_avg has shape {tuple(latent_avg.shape)}, expected [{w_dim}]")
    return model._replace(weights={**model.weights, "mapping.w_avg": w_avg})


@torch.no_grad()
def estimated_mean(model: Model) -> Tensor:
    """The mean code of samples, always the same ones: [w_dim]."""
    sizes = model.architecture
    mapping = Mapping(sizes["z_dim"], sizes["w_dim"], 1, sizes["mapping_layers"])
    prefix = "mapping."
    mapping.load_state_dict({name[len(prefix) :]: value for name, value in model.weights.items() if name.startswith(prefix)}, strict=False)
    z = torch.randn(MEAN_SAMPLES, sizes["z_dim"], generator=torch.Generator().manual_seed(0))
    return torch.cat([mapping(part)[:, 0] for part in z.split(4096)]).mean(0)


def _shown(value) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"
