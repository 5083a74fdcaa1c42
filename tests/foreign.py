"""Writers of checkpoint files in the layouts of other projects, from weights in rosinality's layout.

The pickles have the structure of NVIDIA's. Our classes carry the names of theirs while a file is written.
The source text in the files fails when it is run.
"""

import io
import pickle
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from tests.parity import renamed

SOURCE = "raise SystemExit('the source text of a pickle was run')"
TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8


def _reconstruct_persistent_obj(meta):
    raise AssertionError("tests write such objects and never read them this way")


class EasyDict(dict):
    pass


class Network:
    def __init__(self, name: str, variables: list, components: dict | None = None, **static_kwargs):
        self.state = {
            "version": 4,
            "name": name,
            "static_kwargs": EasyDict(static_kwargs),
            "components": EasyDict(components or {}),
            "build_module_src": SOURCE,
            "build_func_name": "G_main",
            "variables": variables,
        }

    def __getstate__(self):
        return self.state


class Persistent:
    """What NVIDIA's persistent modules become in a pickle."""

    def __init__(self, class_name: str, **state):
        self.class_name, self.state = class_name, state

    def __reduce__(self):
        meta = {
            "type": "class",
            "version": 6,
            "module_src": SOURCE,
            "class_name": self.class_name,
            "state": self.state,
        }
        return _reconstruct_persistent_obj, (EasyDict(meta),), None


@contextmanager
def _named_as_theirs():
    """Pickle looks names up where they are said to be: the modules exist while a file is written."""
    homes = {
        "torch_utils.persistence": _reconstruct_persistent_obj,
        "dnnlib.util": EasyDict,
        "dnnlib.tflib.network": Network,
    }
    before = {thing: thing.__module__ for thing in homes.values()}
    made = {".".join(name.split(".")[: i + 1]) for name in homes for i in range(name.count(".") + 1)} - set(
        sys.modules
    )
    try:
        sys.modules.update({name: ModuleType(name) for name in made})
        for name, thing in homes.items():
            thing.__module__ = name
            setattr(sys.modules[name], thing.__name__, thing)
        yield
    finally:
        for thing, name in before.items():
            thing.__module__ = name
        for name in made:
            del sys.modules[name]


def dump(path: Path, content, protocol: int = 4) -> Path:
    held = io.BytesIO()
    with _named_as_theirs():
        pickle.dump(content, held, protocol=protocol)
    path.write_bytes(held.getvalue())
    return path


def torch_file(path: Path, content) -> Path:
    with _named_as_theirs():
        torch.save(content, path)
    return path


# NVIDIA's PyTorch: a tree of modules with our names


def nvidia(weights: dict[str, Tensor], w_avg: Tensor, **options) -> Persistent:
    """G_ema from weights in rosinality's layout. options: as `nvidia_named` takes them."""
    ours = dict(renamed(name, value) for name, value in weights.items() if not name.endswith(".kernel"))
    return nvidia_named({"mapping.w_avg": w_avg} | ours, **options)


def nvidia_named(
    ours: dict[str, Tensor], *, flat: bool = False, attributes: dict | None = None, **synthesis
) -> Persistent:
    """G_ema from weights under our names. flat: options as in stylegan3.  attributes: of each layer."""
    ours = dict(ours)
    for name in [name for name in ours if re.search(r"conv[01]\.weight$", name)]:
        ours[name.replace("weight", "resample_filter")] = torch.outer(TAPS, TAPS)
    channels, z_dim = len(ours["synthesis.b4.torgb.bias"]), ours["mapping.fc0.weight"].shape[1]
    options = {"z_dim": z_dim, "c_dim": 0, "w_dim": len(ours["mapping.w_avg"]), "img_channels": channels}
    options["img_resolution"] = max(
        int(found[1]) for found in (re.match(r"synthesis\.b(\d+)", name) for name in ours) if found
    )
    depth = sum(bool(re.match(r"mapping\.fc\d+\.weight", name)) for name in ours)
    options["mapping_kwargs"] = EasyDict(num_layers=depth)
    options.update(synthesis if flat else {"synthesis_kwargs": EasyDict(synthesis)})
    root = _module("Generator")
    for name, value in ours.items():
        node, (*path, last) = root, name.split(".")
        for part in path:
            node = node.state["_modules"].setdefault(part, _module(_class_of(part), attributes))
        kind = "_buffers" if last in ("w_avg", "noise_const", "resample_filter") else "_parameters"
        node.state[kind][last] = value if kind == "_buffers" else torch.nn.Parameter(value)
    root.state["_init_args"], root.state["_init_kwargs"] = (), EasyDict(options)
    return root


def _module(class_name: str, attributes: dict | None = None) -> Persistent:
    layer = attributes if attributes and class_name in ("SynthesisLayer", "ToRGBLayer") else {}
    return Persistent(
        class_name,
        training=False,
        _parameters={},
        _buffers={},
        _modules={},
        _non_persistent_buffers_set=set(),
        _backward_hooks={},
        **layer,
    )


def _class_of(part: str) -> str:
    classes = {
        "mapping": "MappingNetwork",
        "synthesis": "SynthesisNetwork",
        "torgb": "ToRGBLayer",
        "conv0": "SynthesisLayer",
        "conv1": "SynthesisLayer",
    }
    return classes.get(part, "SynthesisBlock" if re.fullmatch(r"b\d+", part) else "FullyConnectedLayer")


def nvidia_file(path: Path, g_ema: Persistent, protocol: int = 4) -> Path:
    content = {
        "training_set_kwargs": EasyDict(class_name="training.dataset.ImageFolderDataset"),
        "G": None,
        "D": _module("Discriminator"),
        "G_ema": g_ema,
        "augment_pipe": None,
    }
    return dump(path, content, protocol)


# NVIDIA's TensorFlow: variables by path, filters [H, W, I, O], those that upsample mirrored


def tensorflow(weights: dict[str, Tensor], w_avg: Tensor, **static_kwargs) -> Network:
    """Gs."""
    mapping, synthesis = [], []
    for name, value in weights.items():
        value = value.numpy()
        if found := re.fullmatch(r"style\.(\d+)\.(\w+)", name):
            mapping.append((f"Dense{int(found[1]) - 1}/{found[2]}", value.T))
        elif name == "input.input":
            synthesis.append(("4x4/Const/const", value))
        elif found := re.fullmatch(r"noises\.noise_(\d+)", name):
            synthesis.append((f"noise{found[1]}", value))
        elif not name.endswith(".kernel"):
            synthesis.append(_tensorflow_variable(name, value))
    synthesis.append(
        ("lod", np.float32(0))
    )  # variables without dimensions: session.run gives scalars of numpy, no arrays
    parts = {"synthesis": Network("G_synthesis", synthesis), "mapping": Network("G_mapping", mapping)}
    return Network("Gs", [("dlatent_avg", w_avg.numpy())], parts, **static_kwargs)


def _tensorflow_variable(name: str, value: np.ndarray) -> tuple[str, np.ndarray]:
    layer, rest = re.fullmatch(r"(conv1|convs\.\d+|to_rgb1|to_rgbs\.\d+)\.(.*)", name).groups()
    number = int(layer.split(".")[1]) if "." in layer else -1
    up = layer.startswith("convs") and number % 2 == 0
    if layer.startswith("to_rgb"):
        level, part = number + 1, "ToRGB"
    else:
        level, part = (
            (number + 2) // 2 if number >= 0 else 0,
            "Conv0_up" if up else "Conv1" if number >= 0 else "Conv",
        )
    if rest == "conv.weight":
        value = value[0].transpose(2, 3, 1, 0)
        value = value[::-1, ::-1] if up else value
    elif rest == "conv.modulation.weight":
        value = value.T
    elif rest == "conv.modulation.bias":
        value = value - 1
    elif rest == "noise.weight":
        value = np.float32(value.item())
    else:
        value = value.reshape(-1)
    named = {
        "conv.weight": "weight",
        "conv.modulation.weight": "mod_weight",
        "conv.modulation.bias": "mod_bias",
        "noise.weight": "noise_strength",
        "activate.bias": "bias",
        "bias": "bias",
    }
    side = 4 * 2**level
    return f"{side}x{side}/{part}/{named[rest]}", value


def tensorflow_file(path: Path, gs: Network) -> Path:
    return dump(path, (Network("G", []), Network("D", []), gs))


# pSp and e4e


def psp_file(path: Path, encoder: dict, decoder: dict, latent_avg: Tensor | None, **opts) -> Path:
    state = {f"encoder.{name}": value for name, value in encoder.items()} | {
        f"decoder.{name}": value for name, value in decoder.items()
    }
    content = {"state_dict": state, "opts": opts} | ({} if latent_avg is None else {"latent_avg": latent_avg})
    torch.save(content, path)
    return path
