"""Stage 2b: one space for codes and samples. Tuning with `encoder --tune` leaves the encoder's codes far from the generator's W:
the generator then knows two regions, and what it learns from real pictures in the one never reaches its samples in the other.

    python -m trainers join --data ../runs/data --start ../runs/tuned --run ../runs/joined
    python -m trainers encoder --data ../runs/data --generator ../runs/generator --start ../runs/joined --tune --run ../runs/final

The codes of real pictures lie close to a w_dim-dimensional subspace of W+. Its coordinates become the new W: the change is
folded into the affine layers of the generator and the last layers of the encoder, so both still draw the same pictures, and
the mapping network is set anew, to the normal distribution with the codes' mean and variances. GAN training on samples then
starts where the codes of real pictures are. Principal components of latent codes: GANSpace (Harkonen et al., 2020); codes near W for
the sake of editing: e4e (Tov et al., 2021). The joining itself is ours.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lwgan.encoder import Encoder
from lwgan.generator import SQRT2, Generator, Linear, Mapping
from trainers import run
from trainers.codes import encode
from trainers.data import load_images
from trainers.nets.encoder import load_tuned, reconstruction_error, save
from trainers.nets.generator import to_pictures

OFFSET = (
    5  # standard deviations from a coordinate's mean to 0, where the mapping's last activation has its kink
)


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


def main(options: Options) -> None:
    state, generator, encoder = load_tuned(options.start, "W+")
    images, domain = load_images(options.data, "train")
    images = images[: options.pictures]
    if len(images) <= encoder.config["w_dim"]:
        raise ValueError(
            f"{len(images)} pictures (--pictures, --data) cannot span a W of {encoder.config['w_dim']} dimensions: more are needed"
        )
    heldout = to_pictures(load_images(options.data, "validation")[0][:500], torch.device("cpu"))
    run.start(options.run, options)
    if (options.run / "checkpoint.pt").exists():
        print(f"{options.run} is there already")
        return

    codes = encode(encoder, images, "codes")
    mean, basis, deviation = subspace(codes)
    offset = OFFSET * deviation
    encoder = into_w(encoder, mean, basis, offset)
    fold(generator, mean, basis, offset)
    set_mapping(generator.mapping, deviation, offset)

    weights = {"encoder": encoder.state_dict(), "generator": generator.state_dict()}
    weights |= {f"ema_{name}": held for name, held in weights.items()}
    kept = {name: state[name] for name in ("discriminator", "d_adam")}
    kept["g_adam"] = torch.optim.Adam(
        generator.parameters(), betas=(0.0, 0.99)
    ).state_dict()  # its memory was of the old coordinates
    save(
        options,
        encoder,
        generator,
        domain,
        0,
        heldout,
        reconstruction_error(encoder, generator, heldout),
        tuned=True,
    )
    run.save_checkpoint(options.run, step=0, **weights, **kept)  # last: it says that all the rest is there


def subspace(codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Codes [N, num_ws, w_dim] -> their mean [num_ws, w_dim]; their w_dim first principal directions, [num_ws * w_dim, w_dim], scaled
    so that the coordinates w of codes = mean + basis w have mean variance 1; and the standard deviation of each coordinate [w_dim]."""
    w_dim = codes.shape[2]
    mean = codes.mean(0)
    variances, directions = torch.linalg.eigh(torch.cov((codes - mean).flatten(1).T))
    variances, directions = variances.clamp(min=0).flip(0), directions.flip(1)[:, :w_dim]
    for n in (w_dim, w_dim // 2):
        print(
            f"the first {n} of {len(variances)} directions leave out {1 - variances[:n].sum() / variances.sum():.2%} of the codes' variance"
        )
    unit = variances[:w_dim].mean().sqrt()
    return mean, directions * unit, variances[:w_dim].sqrt() / unit


@torch.no_grad()
def into_w(encoder: Encoder, mean: Tensor, basis: Tensor, offset: Tensor) -> Encoder:
    """The encoder whose one code w, with codes = mean + basis (w - offset), goes to all styles; its heads are summed."""
    joined = Encoder(**{**encoder.config, "space": "W"})
    joined.load_state_dict(encoder.state_dict())
    joined.w_avg.copy_(offset)
    inverse = torch.linalg.pinv(basis).view(-1, *mean.shape)
    for i, head in enumerate(joined.heads):
        head.linear.bias.copy_(inverse[:, i] @ (head.linear.bias + encoder.w_avg - mean[i]))
        head.linear.weight.copy_(inverse[:, i] @ head.linear.weight)
    return joined.eval()


@torch.no_grad()
def fold(generator: Generator, mean: Tensor, basis: Tensor, offset: Tensor) -> None:
    """Gives every affine layer the new coordinates: A c_l + b, with c_l = mean_l + basis_l (w - offset), as a layer on w."""
    blocks = basis.view(*mean.shape, -1)
    for index, affine in styles(generator):
        affine.bias.add_(affine.weight_gain * affine.weight @ (mean[index] - blocks[index] @ offset))
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


@torch.no_grad()
def set_mapping(mapping: Mapping, deviation: Tensor, offset: Tensor) -> None:
    """Makes the mapping network w = offset + deviation * x, x the first w_dim / 2 coordinates of the normalised z (0 for the others).

    A leaky ReLU kept as the pair (a(x), a(-x)) loses nothing: x = (a(x) - a(-x)) / (1.2 sqrt(2)). So all layers start at
    their kink, where they learn; the last one, which has an activation too, is kept on its linear side by the offset.
    """
    half = min(len(offset) // 2, mapping.z_dim)
    select = torch.eye(half, mapping.z_dim)
    pair = torch.eye(half, len(offset) + half)
    decode = (pair[:, : len(offset)] - pair[:, : len(offset)].roll(half, 1)) / (1.2 * SQRT2)
    for i in range(mapping.layers):
        last = i == mapping.layers - 1
        x = select if i == 0 else decode
        weight = torch.diag(deviation)[:, :half] @ x / SQRT2 if last else torch.cat([x, -x])
        layer = getattr(mapping, f"fc{i}")
        layer.weight.zero_()[: len(weight)].copy_(weight / layer.weight_gain)
        layer.bias.copy_((offset / SQRT2 if last else torch.zeros_like(offset)) / layer.bias_gain)
    mapping.w_avg.copy_(offset)
