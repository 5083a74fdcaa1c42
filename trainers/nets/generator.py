"""Stage: StyleGAN2 on a data set's pictures (Karras et al., 2020): non-saturating loss, lazy R1, EMA.

    python -m trainers generator --data ../runs/data --run ../runs/generator --max-minutes 60

The same command resumes a run. Step n draws the same pictures and codes whether it was resumed or not.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lwgan.domain import Domain
from lwgan.files import save_sheet
from lwgan.generator import Generator
from lwgan.hub import registry
from trainers import run
from trainers.loop import Loop
from trainers.nets.discriminator import Adversarial, Discriminator, updater, with_noise
from trainers.nets.parallel import launch, number, place, shared
from trainers.shards import Images, load_split


@dataclass(frozen=True, kw_only=True)
class Options(Adversarial):
    """Train the generator."""

    channels: tuple[int, ...] | None = None
    """Widths at 4, 8, ... px. By default they follow from the resolution: 256 128 64 32 16 at 64 px."""
    z_dim: int = 256
    w_dim: int = 256
    mapping_layers: int = 4
    output: str = "tanh"
    """tanh can give exactly black backgrounds; linear as published (far behind in a short trial)."""
    kimg: float = 2_000
    """Thousands of real pictures to train on."""
    batch: int = 64
    """Pictures a step, all processes together."""
    learning_rate: float = 0.0025
    r1: float = 1.0
    instance_noise: float = 0.07
    checkpoint_kimg: float = 16
    """Thousands of pictures from one checkpoint, log entry and sheet of samples to the next."""


def main(options: Options) -> None:
    load_split(options.data, "train")  # errors come before the run's folder is made
    if options.batch % (processes := number(options.processes)):
        raise ValueError(f"--batch {options.batch} is no multiple of --processes {processes}")
    run.start(options.run, options)
    launch(train, options.processes, options)


def train(options: Options) -> None:
    device, share = run.device_of(options.device), options.batch // place()[1]
    data = load_split(options.data, "train")
    torch.manual_seed(options.seed)
    generator, ema, discriminator = build(data.images, options, device)
    g_adam, d_adam = (torch.optim.Adam(net.parameters(), options.learning_rate, betas=(0.0, 0.99))
                      for net in (generator, discriminator))  # fmt: skip
    parts = {"generator": generator, "ema": ema, "discriminator": discriminator, "g_adam": g_adam,
             "d_adam": d_adam}  # fmt: skip
    steps_of = lambda kimg: max(1, round(kimg * 1000 / options.batch))
    loop = Loop(options.run, parts, steps=steps_of(options.kimg), every=steps_of(options.checkpoint_kimg),
                seed=options.seed, max_minutes=options.max_minutes, title="generator")  # fmt: skip

    def drawn(z: Tensor) -> tuple[Tensor, Tensor]:
        w = generator.mapping(z)
        with run.half_precision(device):
            return w, generator.synthesis(w)

    draw, update = shared(drawn, generator), updater(discriminator, d_adam, options)
    for step in loop:
        real = to_pictures(data.images[torch.randint(len(data.images), (share,))], device)
        w, fake = draw(torch.randn(share, options.z_dim).to(device))
        d_loss, d_real, d_fake = update(real, fake.detach(), step % options.r1_every == 0)
        with run.half_precision(device):
            g_loss = F.softplus(-discriminator(with_noise(fake, options.instance_noise))).mean()
        g_adam.zero_grad()
        g_loss.backward()
        g_adam.step()

        seen = step * options.batch
        generator.mapping.w_avg.lerp_(w[:, 0].detach().float().mean(0), 0.005)
        update_ema(ema, generator, options.batch, min(options.ema_kimg * 1000, 0.1 * seen))
        loop.log(kimg=seen / 1000, d_loss=d_loss, g_loss=g_loss, d_real=d_real, d_fake=d_fake)
        if loop.due:
            samples = sample(ema, shown(ema.resolution, 100), seed=0)
            save_sheet(options.run / "samples.png", samples, columns=10)
            save_generator(options.run, ema, data.domain, run.training(options, seen_kimg=seen / 1000))


def build(
    images: Images, options: Options, device: torch.device
) -> tuple[Generator, Generator, Discriminator]:
    """Generator, its moving average and discriminator with random weights, for pictures [N, C, H, W]."""
    _, colours, side, _ = images.shape
    channels = options.channels or widths_of(side)
    shape = {"resolution": side, "img_channels": colours, "channels": channels, "z_dim": options.z_dim,
             "w_dim": options.w_dim, "mapping_layers": options.mapping_layers, "use_noise": False,
             "output": options.output}  # fmt: skip
    generator, ema = (Generator(**shape).to(device, memory_format=torch.channels_last) for _ in range(2))
    with torch.no_grad():  # the first samples have the mean colour of the pictures
        mean = to_pictures(images[: shown(side, 1000)], device).mean((0, 2, 3))
        generator.synthesis.b4.torgb.bias.copy_(mean)
    ema.load_state_dict(generator.state_dict())
    discriminator = Discriminator(img_channels=colours, channels=channels[:-1])
    return generator, ema, discriminator.to(device, memory_format=torch.channels_last)


def widths_of(resolution: int) -> tuple[int, ...]:
    """Widths of the feature maps at 4, 8, ... resolution px: halved from level to level, at most 512, so
    that the last one is 16 px wide from 64 px on (StyleGAN2's smaller configuration)."""
    return tuple(min(512, 16 * max(resolution, 64) // side) for side in (4 * 2**i for i in range(9))
                 if side <= resolution)  # fmt: skip


def to_pictures(images: Tensor, device: torch.device) -> Tensor:
    """uint8 [N, C, H, W] -> float [N, C, H, W] in [-1, 1], on the device."""
    return images.to(device).float() / 127.5 - 1


@torch.no_grad()
def update_ema(ema: nn.Module, net: nn.Module, batch: int, half_life: float) -> None:
    """Moves the average `ema` towards `net` after a step of `batch` pictures; half_life in pictures."""
    keep = 0.5 ** (batch / max(half_life, 1))
    for average, value in zip(ema.state_dict().values(), net.state_dict().values(), strict=True):
        average.lerp_(value, 1 - keep)


def shown(resolution: int, most: int) -> int:
    """How many pictures to render for a sheet or a check: `most` up to 128 px, fewer of larger ones."""
    return max(10, min(most, most * 128**2 // resolution**2))


@torch.no_grad()
def sample(generator: Generator, n: int, seed: int, truncation_psi: float = 1.0) -> Tensor:
    """n sampled pictures [n, C, H, W] in [-1, 1], on the CPU; the same for the same seed."""
    device = generator.mapping.w_avg.device
    z = torch.randn(n, generator.z_dim, generator=torch.Generator().manual_seed(seed)).to(device)
    return torch.cat([generator(part, truncation_psi).cpu() for part in z.split(50)])


def save_generator(folder: Path, generator: Generator, domain: Domain, training: dict) -> None:
    """Writes the generator's model folder, in half precision. Its config carries the Domain."""
    config = {"kind": "generator", "domain": domain.name, "domain_spec": domain.as_json(),
              "architecture": generator.config, "training": training}  # fmt: skip
    registry.save_folder(folder, config, generator.state_dict(), dtype="float16")
