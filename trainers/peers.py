"""The community's own networks, to measure ours beside: their code is read from checkouts outside this tree, never copied.

    git clone https://github.com/rosinality/stylegan2-pytorch
    git clone https://github.com/NVlabs/stylegan2-ada-pytorch
    git clone https://github.com/eladrich/pixel2style2pixel

Each runs as it is on a machine without a compiler of CUDA: by the plain PyTorch path that it falls back to on CPUs.
"""

import contextlib
import sys
import types
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils import cpp_extension

from lwgan.encoder import Encoder
from lwgan.generator import Generator
from trainers.layouts import psp, rosinality

FOLDERS = {"rosinality": "stylegan2-pytorch", "NVIDIA": "stylegan2-ada-pytorch", "pSp": "pixel2style2pixel"}


def rosinality_of(generator: Generator, folder: Path) -> Callable[[Tensor], Tensor]:
    """rosinality's generator with the weights of ours: w [N, num_ws, w_dim] -> pictures."""
    with _importable(folder, "model", "op"):
        from model import Generator as Theirs
    net = Theirs(generator.resolution, generator.w_dim, generator.config["mapping_layers"], channel_multiplier=2)
    own, weights = generator.state_dict(), net.state_dict()
    for name, value in own.items():
        if name != "mapping.w_avg":
            weights[rosinality.name_of(name)].copy_(value.view_as(weights[rosinality.name_of(name)]))
    net.eval().requires_grad_(False).to(own["mapping.w_avg"].device)
    return lambda w: net([w], input_is_latent=True, randomize_noise=False)[0]


def nvidia_of(generator: Generator, folder: Path) -> Callable[[Tensor], Tensor]:
    """NVIDIA's reference generator with the weights of ours, in full precision: w [N, num_ws, w_dim] -> pictures."""
    with _importable(folder, "training", "torch_utils", "dnnlib"):
        from training.networks import Generator as Theirs
    config = generator.config
    net = Theirs(config["z_dim"], 0, config["w_dim"], config["resolution"], config["img_channels"], synthesis_kwargs={"num_fp16_res": 0})
    missing = net.load_state_dict(generator.state_dict(), strict=False).missing_keys
    if strange := [name for name in missing if not name.endswith("resample_filter")]:
        raise ValueError(f"{folder}: its generator has {strange[0]!r}, which ours has not")
    net.eval().requires_grad_(False).to(generator.mapping.w_avg.device)
    return lambda w: net.synthesis(w, noise_mode="const", force_fp32=True)


def psp_of(encoder: Encoder, folder: Path) -> Callable[[Tensor], Tensor]:
    """pSp's encoder with the weights of ours: pictures [N, 3, 256, 256] -> codes [N, num_ws, w_dim], without the mean code."""
    with _importable(folder, "models"):
        from models.encoders.psp_encoders import GradualStyleEncoder
    net = GradualStyleEncoder(50, "ir_se", Namespace(input_nc=3, n_styles=encoder.config["num_ws"]))
    weights = net.state_dict()
    for name, value in encoder.state_dict().items():
        if name != "w_avg":
            weights[psp.name_of(name)].copy_(value)
    return net.eval().requires_grad_(False).to(encoder.w_avg.device)


@contextlib.contextmanager
def _importable(folder: Path, *packages: str) -> Iterator[None]:
    """While it lasts, a checkout's packages can be imported. What they want at import and never use here is stood in for:
    a CUDA compiler (on machines without CUDA), `requests`."""
    if not (folder / packages[0]).exists() and not (folder / f"{packages[0]}.py").exists():
        raise FileNotFoundError(f"{folder} holds no {packages[0]!r}: it is no checkout of {folder.name}")
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]
    load, path = cpp_extension.load, list(sys.path)
    if not torch.cuda.is_available():
        cpp_extension.load = lambda *arguments, **options: None
    sys.modules.setdefault("requests", types.ModuleType("requests"))
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        cpp_extension.load, sys.path[:] = load, path
