"""Stage 2c: the generator's samples as real pictures are, in mean and covariance of their codes.

    python -m trainers match --data ../runs/data --start ../runs/settle --run ../runs/matched

GAN training brings its samples near the data but leaves, say, too few pictures of one digit. The encoder says by how much: between the codes of
samples and those of real pictures, taken as two normal distributions, the optimal transport is an affine map in closed form (Peyre and Cuturi,
Computational Optimal Transport, 2019, Remark 2.31). It is folded into the mapping network's last layer, so that the generator keeps its form;
rounds, because a generator follows its code only roughly. For nets that `join` gave one space; the folding is ours.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lwgan.generator import SQRT2, Mapping
from trainers import run
from trainers.codes import encode
from trainers.data import load_images
from trainers.nets.encoder import load_tuned, reconstruction_error, save
from trainers.nets.generator import sample, to_pictures


@dataclass(frozen=True)
class Options:
    """Give a generator's samples the mean and covariance that the codes of real pictures have."""

    data: Path
    """Folder that `python -m trainers data` wrote."""
    start: Path
    """Run of `encoder --tune` whose nets to take."""
    run: Path
    """Folder of this run; `encoder --start` can go on from it."""
    pictures: int = 5_000
    """Real pictures and samples whose codes are compared."""
    directions: int = 24
    """Principal directions of the real codes in which covariances are matched; the mean is matched in all."""
    rounds: int = 3


def main(options: Options) -> None:
    state, generator, encoder = load_tuned(options.start, "W")
    if not 1 <= options.directions <= generator.w_dim:
        raise ValueError(
            f"--directions is {options.directions}, expected 1 to {generator.w_dim}, the dimensions of W"
        )
    images, domain = load_images(options.data, "train")
    images = images[: options.pictures]
    heldout = to_pictures(load_images(options.data, "validation")[0][:500], torch.device("cpu"))
    run.start(options.run, options)
    if (options.run / "checkpoint.pt").exists():
        print(f"{options.run} is there already")
        return

    real = encode(encoder, images, "codes")[:, 0]
    basis = principal_directions(real, options.directions)
    for i in range(options.rounds):
        with torch.no_grad():
            fake = torch.cat(
                [encoder(part)[:, 0] for part in sample(generator, options.pictures, seed=i).split(250)]
            )
            w = generator.mapping(
                torch.randn(options.pictures, generator.z_dim, generator=torch.Generator().manual_seed(i))
            )[:, 0]
        shift = (real.mean(0) - fake.mean(0)).square().sum() / real.var(0).sum()
        print(
            f"round {i}: means {shift:.2%} of the real codes' variance apart, variance of samples' codes {fake.var(0).sum() / real.var(0).sum():.1%}"
        )
        fold(
            generator.mapping,
            w.mean(0),
            limited(transport(fake @ basis, real @ basis)),
            basis,
            real.mean(0) - fake.mean(0),
        )

    weights = {name: encoder.state_dict() for name in ("encoder", "ema_encoder")}
    weights |= {name: generator.state_dict() for name in ("generator", "ema_generator")}
    kept = {name: state[name] for name in ("discriminator", "d_adam", "g_adam")}
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


def principal_directions(codes: Tensor, number: int) -> Tensor:
    """The orthonormal directions in which codes [N, D] vary most: [D, number]."""
    return torch.linalg.eigh(torch.cov(codes.T))[1].flip(1)[:, :number]


def transport(source: Tensor, target: Tensor) -> Tensor:
    """The linear part A of the optimal transport x -> m_t + A (x - m_s) between the normal distributions fitted to source [N, D] and
    target [M, D]: the symmetric positive A with A C_s A = C_t, [D, D]."""
    cs, ct = torch.cov(source.double().T), torch.cov(target.double().T)
    half = power(ct, 0.5)
    return (half @ power(half @ cs @ half, -0.5) @ half).to(source.dtype)


def limited(a: Tensor, most: float = 2.0) -> Tensor:
    """A symmetric map that stretches or shrinks no direction by more than `most`: samples that hardly vary must not be blown up."""
    values, vectors = torch.linalg.eigh(a)
    return vectors * values.clamp(1 / most, most) @ vectors.T


def power(covariance: Tensor, exponent: float) -> Tensor:
    """A symmetric positive matrix to a power."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=1e-12 * values.max()) ** exponent @ vectors.T


@torch.no_grad()
def fold(mapping: Mapping, mean: Tensor, linear: Tensor, basis: Tensor, shift: Tensor) -> None:
    """Makes the mapping give w' = mean + A (w - mean) + shift, A = `linear` within the basis and 1 elsewhere, by its last layer alone.

    That layer's activation is on its linear side for nearly all w, as `join` set it.
    """
    a = torch.eye(len(mean)) + basis @ (linear - torch.eye(len(linear))) @ basis.T
    last = getattr(mapping, f"fc{mapping.layers - 1}")
    constant = (mean - a @ mean + shift) / SQRT2
    last.weight.copy_(a @ last.weight)
    last.bias.copy_(a @ last.bias + constant / last.bias_gain)
    mapping.w_avg.copy_(mean + a @ (mapping.w_avg - mean) + shift)
