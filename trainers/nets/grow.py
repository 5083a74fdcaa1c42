"""Nets of twice the side, from an encoder and a generator that share one W (`trainers.nets.align`).

Progressive growing (Karras et al., 2018) for the pair: the new generator draws the old one's pictures,
enlarged. The first layers of the new encoder are fitted so that it gives the old codes of halved pictures.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from lwgan.encoder import BACKBONES, Encoder
from lwgan.generator import Generator
from trainers import run
from trainers.nets.discriminator import Discriminator
from trainers.nets.encoder import heldout_of, reconstruction_error, save
from trainers.nets.generator import to_pictures
from trainers.shards import Images, load_split

BATCH, RATE = 32, 2e-3  # of the fit
NARROWEST = 8  # channels: no new level is narrower


@dataclass(frozen=True)
class Grow:
    """Make nets of twice the side from nets that exist."""

    data: Path
    """Folder that `python -m trainers data` wrote, with pictures of twice the nets' side."""
    encoder: Path
    """Model folder or Hub repo of an encoder into W."""
    generator: Path
    """Model folder or Hub repo of its generator."""
    run: Path
    """Folder of this run; `encoder --tune --start` goes on from it."""
    steps: int = 150
    """Of the fit of the encoder's first layers, each on 32 pictures."""


def main(options: Grow) -> None:
    small_encoder = Encoder.from_pretrained(options.encoder)
    small = Generator.from_pretrained(options.generator)
    data, heldout = load_split(options.data, "train"), heldout_of(options.data)
    check(options, small_encoder, small, data.images)
    torch.manual_seed(0)
    generator, encoder = grow_generator(small).requires_grad_(False), grow_encoder(small_encoder)
    run.start(options.run, options)
    if (options.run / "checkpoint.pt").exists():
        print(f"{options.run} is finished")
        return
    print(f"first layers: error {fit(small_encoder, encoder, data.images, options.steps):.3f}")
    nets = {"ema_encoder": encoder, "ema_generator": generator}
    save(options, nets, data.domain, heldout, reconstruction_error(encoder, generator, heldout))
    channels = generator.config["channels"]
    discriminator = Discriminator(img_channels=generator.config["img_channels"], channels=channels[:-1])
    trained = {"encoder": encoder, "generator": generator, **nets, "discriminator": discriminator}
    adams = {f"{name[0]}_adam": torch.optim.Adam(trained[name].parameters(), betas=(0.0, 0.99))
             for name in ("generator", "discriminator")}  # fmt: skip
    states = {name: part.state_dict() for name, part in (trained | adams).items()}
    run.save_checkpoint(options.run, step=0, **states)  # last: it says that the run is finished


def check(options: Grow, encoder: Encoder, generator: Generator, images: Images) -> None:
    """ValueError unless the nets are a pair and the pictures are of twice their side."""
    if options.steps < 1:
        raise ValueError(f"--steps is {options.steps}, expected 1 or more")
    has = generator.config | {"num_ws": generator.num_ws}
    for name in ("resolution", "num_ws", "w_dim", "img_channels"):
        if (found := encoder.config[name]) != has[name]:
            both = f"{options.encoder} has {name} {found}, {options.generator} {has[name]}"
            raise ValueError(f"{both}: they are no pair")
    if (side := images.shape[-1]) != (wanted := 2 * generator.resolution):
        raise ValueError(f"{options.data} holds pictures of {side} px, expected {wanted} px: "
                         f"twice the {generator.resolution} px of {options.generator}")  # fmt: skip
    if (channels := images.shape[1]) != encoder.config["img_channels"]:
        raise ValueError(f"{options.data} holds pictures of {channels} channels, "
                         f"{options.encoder} takes {encoder.config['img_channels']}")  # fmt: skip


@torch.no_grad()
def grow_generator(small: Generator) -> Generator:
    """The generator of twice the side. It draws what `small` draws, enlarged: its new level adds nothing
    yet."""
    shape = {**small.config, "resolution": 2 * small.resolution}
    shape["channels"] = [*shape["channels"], max(NARROWEST, shape["channels"][-1] // 2)]
    large = Generator(**shape)
    large.load_state_dict(large.state_dict() | small.state_dict())
    last = getattr(large.synthesis, f"b{large.resolution}").torgb
    last.weight.zero_()
    last.bias.zero_()
    return large


@torch.no_grad()
def grow_encoder(small: Encoder) -> Encoder:
    """The encoder for twice the side, with the layers of `small` but for those that see the picture first,
    which are random (`fit`). The heads of the two new styles add nothing yet. ValueError for another space or
    backbone, for an encoder that sees only a part of the picture, or if there is no larger one."""
    config, widths = small.config, BACKBONES["small"]["widths"]
    if config["space"] != "W" or config["backbone"] != "small":
        raise ValueError(
            f"the encoder is {config['backbone']!r} into {config['space']}, expected 'small' into W"
        )
    if config.get("bands"):
        raise ValueError(f"the encoder leaves out {config['bands']} rows at top and bottom, expected 0")
    if (levels := len(config["widths"])) == len(widths):
        raise ValueError(f"the encoder is for {config['resolution']} px: there is no larger one")
    shape = {"resolution": 2 * config["resolution"], "num_ws": config["num_ws"] + 2}
    large = Encoder(**config | shape | {"widths": [widths[-levels - 1], *config["widths"]]})
    kept = {one_further(name): value for name, value in small.state_dict().items() if not seen_first(name)}
    large.load_state_dict(large.state_dict() | kept)
    for head in large.heads[config["num_ws"] :]:
        head.linear.weight.zero_()
    return large


def seen_first(name: str) -> bool:
    """Whether a weight of the small encoder belongs to its layers at half the picture's side."""
    return name.startswith(("stem.", "backbone.0."))


def one_further(name: str) -> str:
    """The name of a small encoder's weight in the large one, whose backbone has one more block."""
    part, *rest = name.split(".")
    return ".".join([part, str(int(rest[0]) + 1), *rest[1:]]) if part == "backbone" else name


def first_layers(encoder: Encoder, blocks: int) -> nn.Sequential:
    """Picture [N, C, H, W] -> what the encoder's first `blocks` blocks give."""
    return nn.Sequential(nn.PixelUnshuffle(2), encoder.stem, *encoder.backbone[:blocks])


def fit(small: Encoder, large: Encoder, images: Images, steps: int) -> float:
    """Trains the first layers of `large` to give what those of `small` give for pictures [N, C, H, W] of half
    the side. Returns the squared error on the last batch as a share of the variance."""
    wanted_of, net = first_layers(small, 1), first_layers(large, 2).requires_grad_(True)
    adam = torch.optim.Adam(net.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for step in tqdm(range(steps), "first layers"):
        torch.manual_seed(step)
        x = to_pictures(images[torch.randint(len(images), (BATCH,))], torch.device("cpu"))
        with torch.no_grad():
            wanted = wanted_of(F.avg_pool2d(x, 2))
        error = relative_error(net(x.contiguous(memory_format=torch.channels_last)), wanted)
        adam.zero_grad()
        error.backward()
        adam.step()
        schedule.step()
    large.requires_grad_(False)
    return error.item()


def relative_error(found: Tensor, wanted: Tensor) -> Tensor:
    return (found - wanted).square().mean() / wanted.var()
