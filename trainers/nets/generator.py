"""Stage 1: StyleGAN2 on a domain's pictures (Karras et al., 2020): non-saturating loss, lazy R1, EMA. No flips.

    python -m trainers generator --data ../runs/data --run ../runs/generator --max-minutes 60

Repeating the command goes on from the last checkpoint, and step n draws the same pictures and codes either way.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from lwgan.generator import Generator
from lwgan.hub import registry
from lwgan.images import save_sheet
from trainers import run
from trainers.data import load_images
from trainers.nets.discriminator import Discriminator, r1_penalty
from trainers.nets.parallel import agree, average_gradients, launch


@dataclass(frozen=True)
class Options:
    """Train the generator."""

    data: Path
    """Folder that `python -m trainers data` wrote."""
    run: Path
    """Folder of this run; an unfinished run there is resumed."""
    channels: tuple[int, ...] = (256, 128, 64, 32, 16)
    """Widths at 4, 8, ... px."""
    z_dim: int = 256
    w_dim: int = 256
    mapping_layers: int = 4
    output: str = "tanh"
    """tanh gives exactly black backgrounds; linear as published (a run of 4K pictures lagged far behind)."""
    kimg: float = 2_000
    """Thousands of real pictures to show."""
    batch: int = 64
    """Pictures a step, all processes together."""
    learning_rate: float = 0.0025
    r1: float = 1.0
    """gamma of the R1 penalty."""
    r1_every: int = 16
    """Steps from one R1 penalty to the next."""
    instance_noise: float = 0.07
    """Standard deviation of the noise on the pictures that the discriminator sees: hides that real backgrounds are exactly black."""
    ema_kimg: float = 10
    """Half-life of the weights' moving average, in thousands of pictures."""
    seed: int = 0
    checkpoint_kimg: float = 16
    """Thousands of pictures from one checkpoint to the next; one step is never split."""
    sheet_kimg: float = 64
    """Thousands of pictures from one sheet of samples to the next."""
    processes: int = 2
    """Data-parallel processes; 1 on a GPU."""
    device: str = "auto"
    max_minutes: float | None = None
    """Stop at a checkpoint after this long; repeat the command to go on."""


def main(options: Options) -> None:
    images, domain = load_images(options.data, "train")
    if options.batch % options.processes:
        raise ValueError(f"--batch {options.batch} cannot be shared by --processes {options.processes}")
    run.start(options.run, options)
    launch(train, options.processes, images, domain, options)


def train(rank: int, processes: int, images: Tensor, domain: str, options: Options) -> None:
    device, share, first = run.device_of(options.device), options.batch // processes, rank == 0
    torch.manual_seed(options.seed)
    colours = 1 if images.ndim == 3 else 3
    shape = {"resolution": images.shape[1], "img_channels": colours, "channels": options.channels, "z_dim": options.z_dim, "w_dim": options.w_dim,
             "mapping_layers": options.mapping_layers, "use_noise": False, "output": options.output}  # fmt: skip
    generator, ema = (Generator(**shape).to(device, memory_format=torch.channels_last) for _ in range(2))
    if colours == 1:
        torch.nn.init.constant_(
            generator.synthesis.b4.torgb.bias, -1.0
        )  # start from the digits' black background
    ema.load_state_dict(generator.state_dict())
    discriminator = Discriminator(img_channels=colours, channels=options.channels[:-1]).to(
        device, memory_format=torch.channels_last
    )
    g_adam = torch.optim.Adam(generator.parameters(), options.learning_rate, betas=(0.0, 0.99))
    d_adam = torch.optim.Adam(discriminator.parameters(), options.learning_rate, betas=(0.0, 0.99))
    parts = {
        "generator": generator,
        "ema": ema,
        "discriminator": discriminator,
        "g_adam": g_adam,
        "d_adam": d_adam,
    }
    step = 0
    if state := run.load_checkpoint(options.run):
        step = state["step"]
        for name, part in parts.items():
            part.load_state_dict(state[name])

    steps, began, every = (
        round(options.kimg * 1000 / options.batch),
        time.monotonic(),
        lambda kimg: max(1, round(kimg * 1000 / options.batch)),
    )
    for step in tqdm(
        range(step + 1, steps + 1), "generator", total=steps, initial=step, disable=not first, mininterval=5
    ):
        torch.manual_seed(hash((options.seed, step, rank)))
        real = to_pictures(images[torch.randint(len(images), (share,))], device)
        w = generator.mapping(torch.randn(share, options.z_dim).to(device))

        discriminator.requires_grad_(True)
        with run.half_precision(device):
            fake = generator.synthesis(w)
            real_logit, fake_logit = (
                discriminator(blurred(real, options)),
                discriminator(blurred(fake.detach(), options)),
            )
        d_loss = F.softplus(-real_logit).mean() + F.softplus(fake_logit).mean()
        d_adam.zero_grad()
        d_loss.backward()
        if step % options.r1_every == 0:
            (options.r1 / 2 * options.r1_every * r1_penalty(discriminator, real)).backward()
        average_gradients(discriminator.parameters())
        d_adam.step()

        discriminator.requires_grad_(False)
        with run.half_precision(device):
            g_loss = F.softplus(-discriminator(blurred(fake, options))).mean()
        g_adam.zero_grad()
        g_loss.backward()
        average_gradients(generator.parameters())
        g_adam.step()

        generator.mapping.w_avg.lerp_(w[:, 0].detach().float().mean(0), 0.005)
        update_ema(ema, generator, step * options.batch, options)

        stop = options.max_minutes is not None and time.monotonic() - began > 60 * options.max_minutes
        last = agree(step == steps or stop) if step % 20 == 0 or step == steps else False
        if first and (last or step % every(1) == 0):
            run.log(options.run, step=step, kimg=step * options.batch / 1000, d_loss=d_loss.item(), g_loss=g_loss.item(),
                    d_real=real_logit.mean().item(), d_fake=fake_logit.mean().item())  # fmt: skip
        if first and (last or step % every(options.sheet_kimg) == 0):
            save_sheet(
                options.run / f"samples-{step * options.batch // 1000:06d}k.png",
                sample(ema, 100, seed=0),
                columns=10,
            )
        if first and (last or step % every(options.checkpoint_kimg) == 0):
            run.save_checkpoint(
                options.run, step=step, **{name: part.state_dict() for name, part in parts.items()}
            )
            save(options, ema, domain, step)
        if last:
            break


def to_pictures(images: Tensor, device: torch.device) -> Tensor:
    """uint8 [N, H, W] or RGB [N, H, W, 3] -> float [N, 1 or 3, H, W] in [-1, 1]."""
    images = images.to(device)
    return (images[:, None] if images.ndim == 3 else images.movedim(3, 1)).float() / 127.5 - 1


def blurred(pictures: Tensor, options: Options) -> Tensor:
    """The pictures under instance noise (Sonderby et al., 2017)."""
    return pictures + options.instance_noise * torch.randn_like(pictures)


@torch.no_grad()
def update_ema(ema: Generator, generator: Generator, seen: int, options: Options) -> None:
    """Moves `ema` towards `generator`, with a half-life of ema_kimg but at most a tenth of what was seen (as NVIDIA's ramp-up)."""
    keep = 0.5 ** (options.batch / min(options.ema_kimg * 1000, max(seen * 0.1, 1)))
    for average, value in zip(ema.state_dict().values(), generator.state_dict().values(), strict=True):
        average.lerp_(value, 1 - keep)


@torch.no_grad()
def sample(generator: Generator, n: int, seed: int, truncation_psi: float = 1.0) -> Tensor:
    """n sampled pictures [n, C, H, W] in [-1, 1], the same for the same seed."""
    device = generator.mapping.w_avg.device
    z = torch.randn(n, generator.z_dim, generator=torch.Generator().manual_seed(seed)).to(device)
    return torch.cat([generator(part, truncation_psi).cpu() for part in z.split(100)])


def save(options: Options, ema: Generator, domain: str, step: int) -> None:
    config = {"kind": "generator", "domain": domain, "architecture": ema.config,
              "training": run.as_json(options) | {"seen_kimg": step * options.batch / 1000}}  # fmt: skip
    registry.save_folder(options.run, config, ema.state_dict(), dtype="float16")
