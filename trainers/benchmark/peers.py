"""The community's networks, to compare ours with: their code is imported from checkouts, never copied.

    git clone https://github.com/rosinality/stylegan2-pytorch
    git clone https://github.com/NVlabs/stylegan2-ada-pytorch
    git clone https://github.com/eladrich/pixel2style2pixel

Without a CUDA compiler each uses the plain PyTorch path that it has for CPUs.
"""

import contextlib
import importlib.util
import subprocess
import sys
import types
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

from torch import Tensor, nn
from torch.utils import cpp_extension

from lwgan.encoder import Encoder
from lwgan.generator import Generator
from trainers.convert.layouts import psp, rosinality

FOLDERS = {"rosinality": "stylegan2-pytorch", "NVIDIA": "stylegan2-ada-pytorch", "pSp": "pixel2style2pixel"}


def rosinality_of(generator: Generator, folder: Path) -> Callable[[Tensor], Tensor]:
    """rosinality's generator with the weights of ours: w [N, num_ws, w_dim] -> pictures."""
    with _importable(folder, "model", "op"):
        from model import Generator as Theirs
    layers = generator.config["mapping_layers"]
    net = Theirs(generator.resolution, generator.w_dim, layers, channel_multiplier=2)
    net = _filled(net, generator, rosinality.name_of, ours="mapping.w_avg", theirs=".kernel", folder=folder)
    return lambda w: net([w], input_is_latent=True, randomize_noise=False)[0]


def nvidia_of(generator: Generator, folder: Path, half: bool = False) -> Callable[[Tensor], Tensor]:
    """NVIDIA's generator with the weights of ours: w [N, num_ws, w_dim] -> pictures.

    half: its four largest levels run in float16, on CUDA only."""
    with _importable(folder, "training", "torch_utils", "dnnlib"):
        from training.networks import Generator as Theirs
    sizes = [generator.config[name] for name in ("w_dim", "resolution", "img_channels")]
    net = Theirs(generator.z_dim, 0, *sizes, synthesis_kwargs={"num_fp16_res": 4 if half else 0})
    net = _filled(net, generator, lambda name: name, ours="", theirs="resample_filter", folder=folder)
    return lambda w: net.synthesis(w, noise_mode="const", force_fp32=not half)


def psp_of(encoder: Encoder, folder: Path) -> Callable[[Tensor], Tensor]:
    """pSp's encoder with the weights of ours: pictures [N, 3, 256, 256] -> codes [N, num_ws, w_dim]."""
    with _importable(folder, "models"):
        from models.encoders.psp_encoders import GradualStyleEncoder
    net = GradualStyleEncoder(50, "ir_se", Namespace(input_nc=3, n_styles=encoder.config["num_ws"]))
    return _filled(net, encoder, psp.name_of, ours="w_avg", theirs=" ", folder=folder)


def revision(folder: Path) -> str:
    """The commit of a checkout, or "" outside git."""
    command = ["git", "-C", folder, "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip()


def _filled(
    net: nn.Module, source: nn.Module, name_of: Callable[[str], str], *, ours: str, theirs: str, folder: Path
) -> nn.Module:
    """Their network with the weights of ours.

    ours: the name of a tensor that theirs lacks.  theirs: the ending of their constants' names.
    ValueError if theirs has a weight that ours lacks."""
    weights = net.state_dict()
    left = {name for name in weights if not name.endswith(theirs)}
    for name, value in source.state_dict().items():
        if name != ours:
            weights[name_of(name)].copy_(value.view_as(weights[name_of(name)]))
            left.discard(name_of(name))
    if left:
        raise ValueError(f"{folder}: its network has {min(left)!r}, which ours lacks")
    return net.eval().requires_grad_(False).to(next(source.parameters()).device)


@contextlib.contextmanager
def _importable(folder: Path, *packages: str) -> Iterator[None]:
    """Makes a checkout's packages importable, with stand-ins for what they import but do not use here:
    a CUDA compiler where there is none, and `requests`."""
    if not (folder / packages[0]).exists() and not (folder / f"{packages[0]}.py").exists():
        raise FileNotFoundError(f"{folder} holds no {packages[0]!r}: it is not a checkout of {folder.name}")
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]
    load, path = cpp_extension.load, list(sys.path)
    if cpp_extension.CUDA_HOME is None:
        cpp_extension.load = lambda *arguments, **options: None
    lacking = importlib.util.find_spec("requests") is None
    if lacking:
        sys.modules["requests"] = types.ModuleType("requests")
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        cpp_extension.load, sys.path[:] = load, path
        if lacking:
            del sys.modules["requests"]
