"""Stage: one latent space for the codes of real pictures and the samples of the generator.

    python -m trainers align join --data ../runs/data --start ../runs/tuned --run ../runs/joined
    python -m trainers encoder --data ../runs/data --generator ../runs/generator --tune \\
        --start ../runs/joined --run ../runs/final
    python -m trainers align match --data ../runs/data --start ../runs/final --run ../runs/matched
    python -m trainers align grow --data ../runs/large --encoder E --generator G --run ../runs/grown

join: the codes of real pictures lie close to a w_dim-dimensional subspace of W+. Its coordinates become the
new W. The change of coordinates is folded into the affine layers of the generator and the last layers of the
encoder, so both draw the same pictures as before. The mapping network is set to the normal distribution with
the codes' mean and variances; GAN training goes on from there. Principal components of latent codes: GANSpace
(Harkonen et al., 2020); codes near W: e4e (Tov et al., 2021). The joining is ours.

match: GAN training leaves, say, too few samples of one digit. Between the codes of samples and those of real
pictures, taken as two normal distributions, the optimal transport is an affine map in closed form (Peyre and
Cuturi, Computational Optimal Transport, 2019, Remark 2.31). It is folded into the last layer of the mapping
network, in rounds, because a generator follows its code only roughly. The folding is ours.

grow: nets of twice the side, from a joined pair; see `trainers.nets.grow`.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from lwgan.encoder import Encoder
from lwgan.generator import SQRT2, Generator, Linear, Mapping
from trainers import run
from trainers.codes import encode
from trainers.nets import grow
from trainers.nets.encoder import heldout_of, load_tuned, reconstruction_error, save
from trainers.shards import load_split

PART = 500  # pictures in memory at a time
OFFSET = 5  # standard deviations from a coordinate's mean to 0, where the mapping's last activation bends


@dataclass(frozen=True)
class Align:
    """The options of `join` and `match`."""

    data: Path
    """Folder that `python -m trainers data` wrote."""
    start: Path
    """Run of `encoder --tune` whose nets to take."""
    run: Path
    """Folder of this run; `encoder --start` can go on from it."""


@dataclass(frozen=True)
class Join(Align):
    """Make the coordinates of real pictures' codes the generator's W."""

    pictures: int = 40_000
    """Real pictures whose codes give mean and covariance."""


@dataclass(frozen=True)
class Match(Align):
    """Give the generator's samples the mean and covariance that the codes of real pictures have."""

    pictures: int = 5_000
    """Real pictures and samples whose codes are compared."""
    directions: int = 24
    """Principal directions of the real codes in which covariances are matched; the mean is matched in all."""
    rounds: int = 3


Options = Join | Match | grow.Grow


def main(options: Options) -> None:
    if isinstance(options, grow.Grow):
        grow.main(options)
        return
    joins = isinstance(options, Join)
    state, generator, encoder = load_tuned(options.start, "W+" if joins else "W")
    data, heldout = load_split(options.data, "train"), heldout_of(options.data)
    n, w_dim = min(options.pictures, len(data.images)), generator.w_dim
    if joins and n <= w_dim:
        few = f"{n} pictures (--pictures, --data)"
        raise ValueError(f"{few} cannot span a W of {w_dim} dimensions: take more, or a smaller --w-dim")
    if not joins and not 1 <= options.directions <= w_dim:
        raise ValueError(f"--directions is {options.directions}, expected 1 to {w_dim}, the dimensions of W")
    run.start(options.run, options)
    if (options.run / "checkpoint.pt").exists():
        print(f"{options.run} is finished")
        return

    parts = tqdm(range(0, n, PART), "codes")
    codes = torch.cat([encode(encoder, data.images[start : min(start + PART, n)]) for start in parts])
    if joins:
        encoder = join(generator, encoder, codes)
        g_adam = torch.optim.Adam(generator.parameters(), betas=(0.0, 0.99)).state_dict()
        state["g_adam"] = g_adam  # the old one remembers gradients of the old coordinates
    else:
        match(generator, encoder, codes[:, 0], options)
    nets = {"ema_encoder": encoder, "ema_generator": generator}
    save(options, nets, data.domain, heldout, reconstruction_error(encoder, generator, heldout))
    states = {"encoder": encoder.state_dict(), "generator": generator.state_dict()}
    states |= {f"ema_{name}": weights for name, weights in states.items()}
    kept = {name: state[name] for name in ("discriminator", "d_adam", "g_adam")}
    run.save_checkpoint(options.run, step=0, **states, **kept)  # last: it says that the run is finished


# Join


def join(generator: Generator, encoder: Encoder, codes: Tensor) -> Encoder:
    """Gives generator and encoder the coordinates of codes [N, num_ws, w_dim]; returns the encoder."""
    mean, basis, deviation = subspace(codes)
    offset = OFFSET * deviation
    fold_affine(generator, mean, basis, offset)
    set_mapping(generator.mapping, deviation, offset)
    return into_w(encoder, mean, basis, offset)


def subspace(codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Codes [N, num_ws, w_dim] -> their mean [num_ws, w_dim]; their first w_dim principal directions
    [num_ws * w_dim, w_dim], scaled so that the coordinates w in codes = mean + basis w have mean variance
    1; and the standard deviation of each coordinate [w_dim]."""
    w_dim = codes.shape[2]
    mean = codes.mean(0)
    variances, directions = torch.linalg.eigh(torch.cov((codes - mean).flatten(1).T))
    variances, directions = variances.clamp(min=0).flip(0), directions.flip(1)[:, :w_dim]
    lost = 1 - variances[:w_dim].sum() / variances.sum()
    print(f"the first {w_dim} of {len(variances)} directions leave out {lost:.2%} of the codes' variance")
    unit = variances[:w_dim].mean().sqrt()
    return mean, directions * unit, variances[:w_dim].sqrt() / unit


@torch.no_grad()
def into_w(encoder: Encoder, mean: Tensor, basis: Tensor, offset: Tensor) -> Encoder:
    """The encoder into one w for all styles, codes = mean + basis (w - offset); its heads are summed."""
    joined = Encoder(**{**encoder.config, "space": "W"})
    joined.load_state_dict(encoder.state_dict())
    joined.w_avg.copy_(offset)
    inverse = torch.linalg.pinv(basis).view(-1, *mean.shape)
    for i, head in enumerate(joined.heads):
        head.linear.bias.copy_(inverse[:, i] @ (head.linear.bias + encoder.w_avg - mean[i]))
        head.linear.weight.copy_(inverse[:, i] @ head.linear.weight)
    return joined.eval()


@torch.no_grad()
def fold_affine(generator: Generator, mean: Tensor, basis: Tensor, offset: Tensor) -> None:
    """Makes every affine layer A c_l + b, with c_l = mean_l + basis_l (w - offset), a layer on w."""
    blocks = basis.view(*mean.shape, -1)
    for index, affine in styles(generator):
        affine.bias.add_(affine.weight_gain * affine.weight @ (mean[index] - blocks[index] @ offset))
        affine.weight.copy_(affine.weight @ blocks[index])


def styles(generator: Generator) -> list[tuple[int, Linear]]:
    """Each affine layer of the synthesis with the index of the style that it takes."""
    layers, index = [], 0
    for resolution in generator.synthesis.resolutions:
        block = getattr(generator.synthesis, f"b{resolution}")
        if not block.first:
            layers.append((index, block.conv0.affine))
            index += 1
        layers += [(index, block.conv1.affine), (index + 1, block.torgb.affine)]
        index += 1
    return layers


@torch.no_grad()
def set_mapping(mapping: Mapping, deviation: Tensor, offset: Tensor) -> None:
    """Makes the mapping network w = offset + deviation * x, where x are the first w_dim / 2 coordinates of
    the normalised z and 0 for the rest.

    A leaky ReLU kept as the pair (a(x), a(-x)) loses nothing: x = (a(x) - a(-x)) / (1.2 sqrt(2)). So all
    layers start where their activation bends and can learn. The last layer has an activation too; the
    offset keeps it linear."""
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


# Match


@torch.no_grad()
def match(generator: Generator, encoder: Encoder, real: Tensor, options: Match) -> None:
    """Moves the mapping until samples' codes have mean and covariance of the codes `real` [N, w_dim]."""
    basis = principal_directions(real, options.directions)
    for i in range(options.rounds):
        z = torch.randn(options.pictures, generator.z_dim, generator=torch.Generator().manual_seed(i))
        w = generator.mapping(z)
        fake = torch.cat([encoder(generator.synthesis(part))[:, 0] for part in w.split(50)])
        shift, variance = real.mean(0) - fake.mean(0), real.var(0).sum()
        print(f"round {i}: means {shift.square().sum() / variance:.2%} of the real codes' variance apart, "
              f"variance of samples' codes {fake.var(0).sum() / variance:.1%}")  # fmt: skip
        linear = limited(transport(fake @ basis, real @ basis))
        fold_mapping(generator.mapping, w[:, 0].mean(0), linear, basis, shift)


def principal_directions(codes: Tensor, number: int) -> Tensor:
    """The orthonormal directions in which codes [N, D] vary most: [D, number]."""
    return torch.linalg.eigh(torch.cov(codes.T))[1].flip(1)[:, :number]


def transport(source: Tensor, target: Tensor) -> Tensor:
    """The linear part A of the optimal transport x -> m_t + A (x - m_s) between the normal distributions
    fitted to source [N, D] and target [M, D]: the symmetric positive A with A C_s A = C_t, [D, D]."""
    cs, ct = torch.cov(source.double().T), torch.cov(target.double().T)
    half = power(ct, 0.5)
    return (half @ power(half @ cs @ half, -0.5) @ half).to(source.dtype)


def limited(a: Tensor, most: float = 2.0) -> Tensor:
    """A symmetric map that stretches or shrinks no direction by more than `most`: samples that hardly vary
    in a direction must not be blown up."""
    values, vectors = torch.linalg.eigh(a)
    return vectors * values.clamp(1 / most, most) @ vectors.T


def power(covariance: Tensor, exponent: float) -> Tensor:
    """A symmetric positive matrix to a power."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=1e-12 * values.max()) ** exponent @ vectors.T


@torch.no_grad()
def fold_mapping(mapping: Mapping, mean: Tensor, linear: Tensor, basis: Tensor, shift: Tensor) -> None:
    """Makes the mapping give w' = mean + A (w - mean) + shift, with A = `linear` within the basis and 1
    elsewhere, by its last layer alone. The activation of that layer is linear for nearly all w, as
    `set_mapping` made it."""
    a = torch.eye(len(mean)) + basis @ (linear - torch.eye(len(linear))) @ basis.T
    last = getattr(mapping, f"fc{mapping.layers - 1}")
    constant = (mean - a @ mean + shift) / SQRT2
    last.weight.copy_(a @ last.weight)
    last.bias.copy_(a @ last.bias + constant / last.bias_gain)
    mapping.w_avg.copy_(mean + a @ (mapping.w_avg - mean) + shift)
