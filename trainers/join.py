"""Stage 2b: one space for codes and samples. Tuning with `encoder --tune` leaves the encoder's codes far from the generator's W:
the generator then knows two regions, and what it learns from real pictures in the one never reaches its samples in the other.

    python -m trainers join --data ../runs/data --start ../runs/tuned --run ../runs/joined
    python -m trainers encoder --data ../runs/data --generator ../runs/generator --start ../runs/joined --tune --run ../runs/final

The codes of real pictures lie close to a w_dim-dimensional subspace of W+. Its coordinates become the new W: the change is
folded into the affine layers of the generator and the last layers of the encoder, so both still draw the same pictures, and
the mapping network is fitted anew, to the normal distribution with the codes' mean and covariance. GAN training on samples
then starts where the codes of real pictures are.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from lwgan.encoder import Encoder
from lwgan.generator import Generator, Linear, Mapping
from trainers import run
from trainers.codes import encode
from trainers.data import load_pictures
from trainers.encoder import reconstruction_error, save
from trainers.generator import to_pictures


@dataclass(frozen=True)
class Options:
    """Make one space of the encoder's codes and the generator's samples."""

    data: Path
    """Folder that `python -m trainers data` wrote."""
    start: Path
    """Run of `encoder --tune` whose nets to take."""
    run: Path
    """Folder of this run; `encoder --start` goes on from it."""
    pictures: int = 40_000
    """Real pictures whose codes give mean and covariance."""
    mapping_steps: int = 6_000
    """Steps of fitting the mapping network."""
    seed: int = 0


def main(options: Options) -> None:
    state = run.load_checkpoint(options.start)
    if state is None:
        raise FileNotFoundError(f"{options.start} holds no checkpoint.pt: train it with `python -m trainers encoder --tune`")
    generator, encoder = Generator.from_pretrained(options.start / "generator"), Encoder.from_pretrained(options.start)
    if encoder.config["space"] != "W+":
        raise ValueError(f"{options.start} holds an encoder into {encoder.config['space']}, expected W+: it is joined already")
    generator.load_state_dict(state["ema_generator"])  # the folder holds them in half precision
    encoder.load_state_dict(state["ema_encoder"])
    images = torch.from_numpy(load_pictures(options.data, "train").images[: options.pictures])
    heldout = to_pictures(torch.from_numpy(load_pictures(options.data, "validation").images[:500]), torch.device("cpu"))
    run.start(options.run, options)

    torch.manual_seed(options.seed)
    codes = encode(encoder, images, "codes")
    mean, basis, scale = subspace(codes)
    encoder = into_w(encoder, mean, basis, scale)
    fold(generator, mean, basis, scale)
    covariance = torch.cov((scale * (codes - mean).flatten(1) @ basis).T)
    fit_mapping(generator.mapping, torch.linalg.cholesky(covariance + 1e-4 * torch.eye(len(covariance))), options.mapping_steps)

    weights = {"encoder": encoder.state_dict(), "generator": generator.state_dict()}
    weights |= {f"ema_{name}": held for name, held in weights.items()}
    kept = {name: state[name] for name in ("discriminator", "d_adam")}
    kept["g_adam"] = torch.optim.Adam(generator.parameters(), betas=(0.0, 0.99)).state_dict()  # its memory was of the old coordinates
    run.save_checkpoint(options.run, step=0, **weights, **kept)
    save(options, encoder, generator, 0, heldout, reconstruction_error(encoder, generator, heldout), tuned=True)


def subspace(codes: Tensor) -> tuple[Tensor, Tensor, float]:
    """Codes [N, num_ws, w_dim] -> their mean [num_ws, w_dim], an orthonormal basis [num_ws * w_dim, w_dim] of their w_dim first
    principal directions, turned at random so that all coordinates carry as much, and the scale that gives these variance 1."""
    w_dim = codes.shape[2]
    mean = codes.mean(0)
    variances, directions = torch.linalg.eigh(torch.cov((codes - mean).flatten(1).T))
    lost = 1 - (variances[-w_dim:].sum() / variances.sum()).item()
    print(f"the first {w_dim} of {len(variances)} directions leave out {lost:.2%} of the codes' variance")
    turn = torch.linalg.qr(torch.randn(w_dim, w_dim)).Q
    return mean, directions[:, -w_dim:] @ turn, variances[-w_dim:].mean().rsqrt().item()


@torch.no_grad()
def into_w(encoder: Encoder, mean: Tensor, basis: Tensor, scale: float) -> Encoder:
    """The encoder whose one code w = scale * basis^T (codes - mean) goes to all styles; its heads are summed."""
    joined = Encoder(**{**encoder.config, "space": "W"})
    joined.load_state_dict(encoder.state_dict())
    joined.w_avg.zero_()
    for head, centre, block in zip(joined.heads, mean, scale * basis.view(*mean.shape, -1), strict=True):
        head.linear.bias.copy_(block.T @ (head.linear.bias + encoder.w_avg - centre))
        head.linear.weight.copy_(block.T @ head.linear.weight)
    return joined.eval()


@torch.no_grad()
def fold(generator: Generator, mean: Tensor, basis: Tensor, scale: float) -> None:
    """Gives every affine layer the new coordinates: A w_l + b with w_l = mean_l + basis_l w / scale is (A basis_l / scale) w + (A mean_l + b)."""
    blocks = basis.view(*mean.shape, -1) / scale
    for index, affine in styles(generator):
        affine.bias.add_(affine.weight_gain * affine.weight @ mean[index])
        affine.weight.copy_(affine.weight @ blocks[index])


def styles(generator: Generator) -> list[tuple[int, Linear]]:
    """Each affine layer of the synthesis with the index of the style that it takes."""
    found, index = [], 0
    for resolution in generator.synthesis.resolutions:
        block = getattr(generator.synthesis, f"b{resolution}")
        if not block.first:
            found.append((index, block.conv0.affine))
            index += 1
        found += [(index, block.conv1.affine), (index + 1, block.torgb.affine)]
        index += 1
    return found


def fit_mapping(mapping: Mapping, factor: Tensor, steps: int) -> None:
    """Fits the mapping network to w = factor z, z on the sphere of the standard normal: w is then all but normal."""
    for i in range(mapping.layers):
        layer = getattr(mapping, f"fc{i}")
        torch.nn.init.normal_(layer.weight, std=100)  # 1 / lr_multiplier, as at the start of stage 1
        torch.nn.init.zeros_(layer.bias)
    mapping.requires_grad_(True).w_avg.zero_()
    adam = torch.optim.Adam(mapping.parameters(), 0.1)
    for step in tqdm(range(steps), "mapping"):
        adam.param_groups[0]["lr"] = 0.1 * min(1, step / 100) * (1 - step / steps)
        z = torch.randn(256, mapping.z_dim)
        wanted = z * z.square().mean(1, keepdim=True).rsqrt() @ factor.T
        loss = (mapping(z)[:, 0] - wanted).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    print(f"the mapping misses {loss.item():.1%} of the codes' variance")
