"""Stage 2: pSp on a trained generator (Richardson et al., 2021), then, with --tune, both together.

    python -m trainers encoder --data ../runs/data --generator ../runs/generator --run ../runs/encoder
    python -m trainers encoder --data ../runs/data --generator ../runs/generator --start ../runs/encoder --tune --run ../runs/tuned

Half of each batch is real pictures, for which only the picture is known (pixel and perceptual loss); half is sampled
pictures, whose code is known too (code loss). The judges that measure take no part. With --tune the generator goes on with its GAN
training and learns to render the encoder's codes as well; the tuned generator lies in RUN/generator.
"""

import copy
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from lwgan.encoder import Encoder
from lwgan.generator import Generator
from lwgan.hub import registry
from lwgan.images import save_sheet
from lwgan.judges import AttributeJudge
from trainers import run
from trainers.data import load_images
from trainers.nets.discriminator import Discriminator, r1_penalty
from trainers.nets.generator import blurred, sample, to_pictures, update_ema
from trainers.nets.parallel import agree, average_gradients, launch

BLANK = 0.2  # mean squared error of an all-black answer, in [-1, 1] units: losses on pixels are shares of it


@dataclass(frozen=True)
class Options:
    """Train the encoder, alone or together with its generator."""

    data: Path
    """Folder that `python -m trainers data` wrote."""
    generator: Path
    """Run of the generator stage: its model and its checkpoint (discriminator, optimisers)."""
    run: Path
    """Folder of this run; an unfinished run there is resumed."""
    start: Path | None = None
    """Run of this stage whose nets and optimisers are the start; by default a fresh encoder and stage 1's generator."""
    tune: bool = False
    """Train the generator too: GAN loss on samples, and the encoder's losses on its codes."""
    steps: int = 8_000
    batch: int = 32
    """Real pictures that are encoded in a step, all processes together."""
    gan_batch: int = 32
    """Pictures that are sampled in a step, all processes together; the discriminator sees as many real ones. Not below batch."""
    learning_rate: float = 3e-4
    """Of the encoder (at 1e-3 it fled to one far code for all pictures); all learning rates fall to zero over the last 40% of the steps."""
    generator_learning_rate: float = 2e-3
    """Of generator and discriminator when they are tuned."""
    code: float = 0.3
    """Weight of the code loss on sampled pictures, in units of the codes' variance; 0 leaves them out."""
    norm: float = 0.002
    """Weight of the codes' squared distance from the mean code, in the same units."""
    delta: float = 0.0
    """Weight of e4e's term: squared distance between the codes of different styles of one picture."""
    perceptual: float = 0.1
    """Weight of the distance between the discriminator's features of picture and reconstruction."""
    perceptor: Path | None = None
    """Folder of an attribute judge in whose eyes reconstructions are to be like the pictures, too (pSp: LPIPS and an identity network). It is
    to be used for nothing else: what it has guided looks better to it than it is."""
    likeness: float = 1.0
    """Weight of the distance between the perceptor's features."""
    code_noise: float = 0.2
    """Noise on the codes of real pictures before they are rendered, as a share of the codes' standard deviation: near codes
    must give near pictures, which is what makes a code editable."""
    gan_every: int = 1
    """Steps from one GAN step to the next (only with --tune)."""
    adversarial: float = 0.05
    """Weight of the GAN loss on reconstructions (only with --tune)."""
    mixed: float = 0.0
    """Weight of the GAN loss on pictures of codes between those of two real pictures (only with --tune, at GAN steps): what
    lies between must be a picture too, not two ghosts."""
    r1: float = 0.7
    r1_every: int = 16
    instance_noise: float = 0.04
    ema_kimg: float = 10
    seed: int = 0
    checkpoint_steps: int = 250
    processes: int = 2
    device: str = "auto"
    max_minutes: float | None = None
    """Stop at a checkpoint after this long; repeat the command to go on."""


def main(options: Options) -> None:
    images, domain = load_images(options.data, "train")
    heldout = load_images(options.data, "validation")[0][:500]
    if options.batch % options.processes:
        raise ValueError(f"--batch {options.batch} cannot be shared by --processes {options.processes}")
    if options.gan_batch % options.processes or options.gan_batch < options.batch:
        raise ValueError(
            f"--gan-batch {options.gan_batch} is below --batch {options.batch} or cannot be shared by --processes {options.processes}"
        )
    if options.perceptor is not None and images.ndim == 3:
        raise ValueError(
            f"--perceptor {options.perceptor} sees pictures of 3 channels, those of --data {options.data} have 1"
        )
    run.start(options.run, options)
    launch(train, options.processes, images, heldout, domain, options)


def train(rank: int, processes: int, images: Tensor, heldout: Tensor, domain: str, options: Options) -> None:
    device, first = run.device_of(options.device), rank == 0
    share, sampled = options.batch // processes, options.gan_batch // processes
    torch.manual_seed(options.seed)
    heldout = to_pictures(heldout, device)
    generator, ema_generator, discriminator, adams = load_gan(options, device)
    encoder = load_encoder(options, generator, device)
    perceptor = (
        None
        if options.perceptor is None
        else AttributeJudge.from_pretrained(options.perceptor).to(device).requires_grad_(False)
    )
    ema_encoder = copy.deepcopy(encoder).requires_grad_(False)
    adams["encoder_adam"] = torch.optim.Adam(encoder.parameters(), options.learning_rate, betas=(0.9, 0.99))
    trained = list(encoder.parameters()) + (list(generator.parameters()) if options.tune else [])
    parts = {
        "encoder": encoder,
        "ema_encoder": ema_encoder,
        "generator": generator,
        "ema_generator": ema_generator,
        "discriminator": discriminator,
    } | adams
    if options.start is not None:
        load(parts, options.start)
    variance = code_variance(generator)  # of the nets that the run starts from, also when it goes on
    step = load(parts, options.run) if (options.run / "checkpoint.pt").exists() else 0

    began = time.monotonic()
    for step in tqdm(
        range(step + 1, options.steps + 1),
        "encoder",
        total=options.steps,
        initial=step,
        disable=not first,
        mininterval=5,
    ):
        torch.manual_seed(hash((options.seed, step, rank)))
        for name, adam in adams.items():
            rate = options.learning_rate if name == "encoder_adam" else options.generator_learning_rate
            adam.param_groups[0]["lr"] = rate * min(
                step / 200, 1.0, (options.steps - step + 1) / (0.4 * options.steps)
            )
        gan = options.tune and step % options.gan_every == 0
        real = to_pictures(images[torch.randint(len(images), (sampled,))], device)
        seen = real[:share]  # what the encoder sees; the rest is for the discriminator
        w = fake = None
        if gan or options.code:
            with torch.set_grad_enabled(gan):
                w = generator.mapping(torch.randn(sampled, generator.z_dim).to(device))
                with run.half_precision(device):
                    fake = generator.synthesis(w)
        with run.half_precision(device):
            codes = encoder(torch.cat([seen, fake[:share].detach()]) if options.code else seen)
            real_codes = codes[:share]
            noise = options.code_noise * variance**0.5 * torch.randn_like(real_codes)
            reconstruction = generator.synthesis(real_codes + noise)

        fakes = [reconstruction, fake] if gan else [reconstruction]
        if gan and options.mixed:
            with run.half_precision(device):
                between = real_codes.lerp(real_codes.roll(1, 0), torch.rand(share, 1, 1, device=device))
                fakes.append(generator.synthesis(between))

        if gan:
            discriminator.requires_grad_(True)
            with run.half_precision(device):
                real_logit = discriminator(blurred(real, options))
                fake_logit = discriminator(blurred(torch.cat(fakes).detach(), options))
            adams["d_adam"].zero_grad()
            (F.softplus(-real_logit).mean() + F.softplus(fake_logit).mean()).backward()
            if step // options.gan_every % options.r1_every == 0:
                (options.r1 / 2 * options.r1_every * r1_penalty(discriminator, real)).backward()
            average_gradients(discriminator.parameters())
            adams["d_adam"].step()
            discriminator.requires_grad_(False)

        with run.half_precision(device):
            logit, features = discriminator(torch.cat(fakes), with_features=True)
            with torch.no_grad():
                wanted = discriminator(seen, with_features=True)[1]
        losses = {
            "pixel": pixel_loss(reconstruction, seen),
            "norm": options.norm * (real_codes - generator.mapping.w_avg).square().mean() / variance,
            "delta": options.delta * real_codes.var(1).mean() / variance,
            "perceptual": options.perceptual * feature_distance(features, wanted, share),
        }
        if perceptor is not None:
            losses["likeness"] = options.likeness * likeness(perceptor, reconstruction, seen)
        if options.code:
            losses["code"] = options.code * (codes[share:] - w[:share].detach()).square().mean() / variance
        if options.tune:
            losses["adversarial"] = options.adversarial * F.softplus(-logit[:share]).mean()
        if gan:
            losses["gan"] = F.softplus(-logit[share : share + sampled]).mean()
        if gan and options.mixed:
            losses["mixed"] = options.mixed * F.softplus(-logit[share + sampled :]).mean()
        for adam in adams.values():
            adam.zero_grad()
        sum(losses.values()).backward()
        average_gradients(trained)
        adams["encoder_adam"].step()
        if gan:
            generator.mapping.w_avg.lerp_(w[:, 0].detach().float().mean(0), 0.005)
        if options.tune:
            adams["g_adam"].step()
            update_ema(ema_generator, generator, 10**9, options)
        update_ema(ema_encoder, encoder, 10**9 if options.start else step * options.batch, options)

        stop = options.max_minutes is not None and time.monotonic() - began > 60 * options.max_minutes
        last = agree(step == options.steps or stop) if step % 20 == 0 or step == options.steps else False
        if first and (last or step % options.checkpoint_steps == 0):
            error = reconstruction_error(ema_encoder, ema_generator, heldout)
            run.log(options.run, step=step, heldout_error=error, **{k: v.item() for k, v in losses.items()})
            run.save_checkpoint(
                options.run, step=step, **{name: part.state_dict() for name, part in parts.items()}
            )
            save(options, ema_encoder, ema_generator, domain, step, heldout, error, options.tune)
        if last:
            break


def load(parts: dict, folder: Path) -> int:
    """Gives nets and optimisers the state that a run's checkpoint holds of them; its step."""
    state = run.load_checkpoint(folder)
    if state is None:
        raise FileNotFoundError(f"{folder} holds no checkpoint.pt to start from")
    for name in parts.keys() & state.keys():
        parts[name].load_state_dict(state[name])
    return state["step"]


def load_tuned(folder: Path, space: str) -> tuple[dict, Generator, Encoder]:
    """The checkpoint of a run with --tune, and its generator and encoder (their moving averages, in full precision).
    FileNotFoundError without a checkpoint; ValueError unless the encoder's space is `space`: W+, or W once `join` made it so."""
    state = run.load_checkpoint(folder)
    if state is None:
        raise FileNotFoundError(
            f"{folder} holds no checkpoint.pt: train it with `python -m trainers encoder --tune`"
        )
    generator, encoder = Generator.from_pretrained(folder / "generator"), Encoder.from_pretrained(folder)
    if (found := encoder.config["space"]) != space:
        hint = "it is joined already" if found == "W" else "join it first"
        raise ValueError(f"{folder} holds an encoder into {found}, expected {space}: {hint}")
    generator.load_state_dict(state["ema_generator"])  # the folder holds them in half precision
    encoder.load_state_dict(state["ema_encoder"])
    return state, generator, encoder


def load_gan(options: Options, device: torch.device):
    """From stage 1: generator and its moving average (the same when it is not tuned), discriminator, and their optimisers if tuned."""
    state = run.load_checkpoint(options.generator)
    if state is None:
        raise FileNotFoundError(
            f"{options.generator} holds no checkpoint.pt: train it with `python -m trainers generator`"
        )
    config, _ = registry.load_model(options.generator, "generator")
    generator = Generator(**config["architecture"]).to(device, memory_format=torch.channels_last)
    generator.load_state_dict(state["ema"])
    ema = copy.deepcopy(generator).requires_grad_(False)
    discriminator = Discriminator(
        img_channels=config["architecture"]["img_channels"], channels=config["architecture"]["channels"][:-1]
    )
    discriminator.to(device, memory_format=torch.channels_last).load_state_dict(state["discriminator"])
    discriminator.requires_grad_(False)
    generator.requires_grad_(options.tune)
    adams = {}
    if options.tune:
        generator.load_state_dict(state["generator"])
        for name, part in {"g_adam": generator, "d_adam": discriminator}.items():
            adams[name] = torch.optim.Adam(part.parameters(), betas=(0.0, 0.99))
            adams[name].load_state_dict(state[name])
    return generator, ema, discriminator, adams


def load_encoder(options: Options, generator: Generator, device: torch.device) -> Encoder:
    """A fresh encoder around the generator's mean code, shaped as that of the run to start from."""
    if options.start is not None:
        config, _ = registry.load_model(options.start, "encoder")
        return Encoder(**config["architecture"]).to(device, memory_format=torch.channels_last)
    architecture = {"resolution": generator.resolution, "img_channels": generator.config["img_channels"], "num_ws": generator.num_ws, "w_dim": generator.w_dim,
                    "widths": (32, 96, 192, 256) if generator.resolution == 64 else (24, 32, 96, 192, 256)}  # fmt: skip
    encoder = Encoder(**architecture)
    encoder.w_avg.copy_(generator.mapping.w_avg)
    return encoder.to(device, memory_format=torch.channels_last)


@torch.no_grad()
def code_variance(generator: Generator) -> float:
    """Mean variance of a coordinate of w: the unit of code losses."""
    z = torch.randn(4096, generator.z_dim, generator=torch.Generator().manual_seed(0)).to(
        generator.mapping.w_avg.device
    )
    return generator.mapping(z)[:, 0].var(0).mean().item()


def pixel_loss(reconstruction: Tensor, real: Tensor) -> Tensor:
    """Squared error summed over four scales (1, 2, 4, 8 px), each as a share of a blank picture's at scale 1."""
    difference = (reconstruction - real).float()
    return sum(F.avg_pool2d(difference, scale).square().mean() for scale in (1, 2, 4, 8)) / BLANK


def feature_distance(features: list[Tensor], wanted: list[Tensor], n: int) -> Tensor:
    """Squared distance of the first n pictures' features at each level, as a share of the wanted features' energy."""
    return sum(
        (a[:n].float() - b.float()).square().mean() / b.float().square().mean()
        for a, b in zip(features, wanted, strict=True)
    ) / len(wanted)


def likeness(perceptor: AttributeJudge, reconstruction: Tensor, seen: Tensor) -> Tensor:
    """`feature_distance` of pictures [N, 3, H, W] in a perceptor's eyes."""
    with torch.no_grad():
        wanted = perceptor.features.levels(seen)
    return feature_distance(perceptor.features.levels(reconstruction.float()), wanted, len(seen))


@torch.no_grad()
def reconstruction_error(encoder: Encoder, generator: Generator, x: Tensor) -> float:
    """Squared error of G(E(x)) over pictures [N, C, H, W], as a share of the error of an answer that knows nothing: of black pictures of
    digits, of their mean picture for RGB."""
    error = sum((generator.synthesis(encoder(part)) - part).square().sum().item() for part in x.split(250))
    blank = -1 if x.shape[1] == 1 else x.mean(0)
    return error / (x - blank).square().sum().item()


def save(
    options: Options, encoder: Encoder, generator: Generator, domain: str, step: int, heldout: Tensor, error: float, tuned: bool
) -> None:  # fmt: skip
    """The run's models so far, with sheets to look at. The encoder names its generator by the hash of its weights.
    heldout: pictures [N, C, H, W].  tuned: whether the generator is the run's own too."""
    training = {
        "stage": type(options).__module__.rpartition(".")[2],
        **run.as_json(options),
        "seen_steps": step,
    }
    if tuned:
        config = {
            "kind": "generator",
            "domain": domain,
            "architecture": generator.config,
            "training": training,
        }
        registry.save_folder(options.run / "generator", config, generator.state_dict(), dtype="float16")
        save_sheet(options.run / "samples.png", sample(generator, 100, seed=0), columns=10)
    base = run.weights_hash(options.run / "generator" if tuned else options.generator)
    config = {"kind": "encoder", "domain": domain, "architecture": encoder.config, "base_revision": {"generator": base},
              "training": training | {"validation_pixel_error": error}}  # fmt: skip
    registry.save_folder(options.run, config, encoder.state_dict(), dtype="float16")
    real = heldout[:50]
    with torch.no_grad():
        pairs = zip(real.split(10), generator.synthesis(encoder(real)).split(10), strict=True)
    save_sheet(
        options.run / "reconstructions.png",
        torch.cat(list(itertools.chain.from_iterable(pairs))).cpu(),
        columns=10,
    )
