"""Stage: pSp on a trained generator (Richardson et al., 2021), then, with --tune, both together.

    python -m trainers encoder --data ../runs/data --generator ../runs/generator --run ../runs/encoder
    python -m trainers encoder --data ../runs/data --generator ../runs/generator --tune \\
        --start ../runs/encoder --run ../runs/tuned

Half of each batch is real pictures, for which only the picture is known (pixel and perceptual loss). Half is
sampled pictures, whose codes are known too (code loss). No judge that measures later takes part. With
--tune the GAN training of the generator continues, and the generator learns to render the encoder's codes
as well; the tuned generator is in RUN/generator.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lwgan.domain import Domain
from lwgan.encoder import Encoder
from lwgan.files import save_sheet
from lwgan.generator import Generator
from lwgan.hub import registry
from lwgan.judges import AttributeJudge, Judge
from trainers import run
from trainers.loop import Loop, ramp, restore
from trainers.nets.discriminator import Adversarial, Discriminator, updater
from trainers.nets.generator import sample, save_generator, shown, to_pictures, update_ema
from trainers.nets.parallel import launch, number, place, shared
from trainers.shards import load_split

BLANK = 0.2  # squared error that counts as 1 in the pixel loss: about that of a black picture of digits


@dataclass(frozen=True, kw_only=True)
class Options(Adversarial):
    """Train the encoder, alone or together with its generator."""

    generator: Path | None = None
    """Run of the generator stage: its model and its checkpoint (discriminator, optimizers). By default those
    of --start."""
    start: Path | None = None
    """Run of this stage or of align whose nets and optimizers to start from. By default a fresh encoder
    and the nets of --generator."""
    tune: bool = False
    """Train the generator too: GAN loss on samples, and the encoder's losses on its codes."""
    steps: int = 8_000
    batch: int = 32
    """Real pictures that are encoded in a step, all processes together."""
    gan_batch: int = 32
    """Pictures that are sampled in a step, all processes together; the discriminator sees as many real ones.
    Not below batch."""
    learning_rate: float = 3e-4
    """Of the encoder (at 1e-3 it collapsed to one far code for all pictures). All learning rates fall to
    zero over the last 40% of the steps."""
    generator_learning_rate: float = 2e-3
    """Of generator and discriminator when they are tuned."""
    code: float = 0.3
    """Weight of the code loss on sampled pictures, in units of the codes' variance; 0 leaves it out."""
    norm: float = 0.002
    """Weight of the codes' squared distance from the mean code, in the same units."""
    perceptual: float = 0.1
    """Weight of the distance between the discriminator's features of picture and reconstruction."""
    perceptor: Path | None = None
    """Folder of a judge whose features reconstructions must share with the pictures (pSp: LPIPS and an
    identity network). Use this judge for nothing else: it overrates pictures that it has guided."""
    likeness: float = 1.0
    """Weight of the distance between the perceptor's features."""
    code_noise: float = 0.2
    """Noise on the codes of real pictures before they are rendered, as a share of the codes' standard
    deviation. It makes near codes give near pictures, which makes codes editable."""
    gan_every: int = 1
    """Steps from one GAN step to the next (only with --tune)."""
    adversarial: float = 0.05
    """Weight of the GAN loss on reconstructions (only with --tune)."""
    mixed: float = 0.0
    """Weight of the GAN loss on pictures of codes between those of two real pictures (only with --tune, at
    GAN steps): what lies between must be a picture too, not two ghosts."""
    r1: float = 0.7
    instance_noise: float = 0.04
    checkpoint_steps: int = 250


def main(options: Options) -> None:
    if options.generator is None and options.start is None:
        raise ValueError("--generator and --start are missing: one of them must name the generator")
    images = load_split(options.data, "train").images
    load_split(options.data, "validation")
    if options.batch % (processes := number(options.processes)):
        raise ValueError(f"--batch {options.batch} is no multiple of --processes {processes}")
    if options.gan_batch % processes or options.gan_batch < options.batch:
        raise ValueError(f"--gan-batch {options.gan_batch} is below --batch {options.batch} "
                         f"or no multiple of --processes {processes}")  # fmt: skip
    if options.perceptor is not None:
        load_perceptor(options.perceptor, images.shape[1])
    run.start(options.run, options)
    launch(train, options.processes, options)


def train(options: Options) -> None:
    device, processes = run.device_of(options.device), place()[1]
    share, sampled = options.batch // processes, options.gan_batch // processes
    data, heldout = load_split(options.data, "train"), heldout_of(options.data).to(device)
    torch.manual_seed(options.seed)
    nets = build(options, device)
    encoder, generator, discriminator = nets["encoder"], nets["generator"], nets["discriminator"]
    perceptor = options.perceptor and load_perceptor(options.perceptor, heldout.shape[1]).to(device)
    if options.start is not None:
        restore(options.start, nets)
    variance = code_variance(generator)  # of the nets that the run starts from, also when it is resumed
    loop = Loop(options.run, nets, steps=options.steps, every=options.checkpoint_steps, seed=options.seed,
                max_minutes=options.max_minutes, title="encoder")  # fmt: skip

    def run_forward(seen: Tensor, gan: bool) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """Codes of real pictures (and of sampled ones), w of sampled pictures, and the pictures of codes:
        of real pictures, sampled, between real ones."""
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
            fakes = [generator.synthesis(real_codes + noise)]
            if gan:
                fakes.append(fake)
            if gan and options.mixed:
                between = real_codes.lerp(real_codes.roll(1, 0), torch.rand(share, 1, 1, device=device))
                fakes.append(generator.synthesis(between))
        return codes, w, fakes

    forward = shared(run_forward, encoder, generator, unused=options.tune and options.gan_every > 1)
    update = options.tune and updater(discriminator, nets["d_adam"], options)
    for step in loop:
        set_rates(nets, step, options)
        gan = options.tune and step % options.gan_every == 0
        real = to_pictures(data.images[torch.randint(len(data.images), (sampled,))], device)
        seen = real[:share]  # by the encoder; the discriminator sees all
        codes, w, fakes = forward(seen, gan)
        real_codes = codes[:share]
        if gan:
            update(real, torch.cat(fakes).detach(), step // options.gan_every % options.r1_every == 0)

        with run.half_precision(device):
            logit, features = discriminator(torch.cat(fakes), with_features=True)
            with torch.no_grad():
                wanted = discriminator(seen, with_features=True)[1]
        losses = {
            "pixel": pixel_loss(fakes[0], seen),
            "perceptual": options.perceptual * feature_distance([each[:share] for each in features], wanted),
            "norm": options.norm * (real_codes - generator.mapping.w_avg).square().mean() / variance,
        }
        if perceptor:
            losses["likeness"] = options.likeness * likeness(perceptor, fakes[0], seen)
        if options.code:
            losses["code"] = options.code * (codes[share:] - w[:share].detach()).square().mean() / variance
        fooled = F.softplus(-logit)
        if options.tune:
            losses["adversarial"] = options.adversarial * fooled[:share].mean()
        if gan:
            losses["gan"] = fooled[share : share + sampled].mean()
        if gan and options.mixed:
            losses["mixed"] = options.mixed * fooled[share + sampled :].mean()
        for adam in ADAMS & nets.keys():
            nets[adam].zero_grad()
        sum(losses.values()).backward()
        nets["encoder_adam"].step()
        half_life = options.ema_kimg * 1000
        if gan:
            generator.mapping.w_avg.lerp_(w[:, 0].detach().float().mean(0), 0.005)
        if options.tune:
            nets["g_adam"].step()
            update_ema(nets["ema_generator"], generator, options.batch, half_life)
        seen_before = half_life if options.start else 0.1 * step * options.batch
        update_ema(nets["ema_encoder"], encoder, options.batch, min(half_life, seen_before))

        if loop.due:
            error = reconstruction_error(nets["ema_encoder"], nets["ema_generator"], heldout)
            loop.log(heldout_error=error, **losses)
            save(options, nets, data.domain, heldout, error, tuned=options.tune, seen_steps=step)


# Nets


ADAMS = {"encoder_adam", "g_adam", "d_adam"}


def build(options: Options, device: torch.device) -> dict:
    """Nets and optimizers by name: those of the generator's run, and an encoder shaped as that of --start
    or fresh. With --tune the generator and its discriminator have optimizers; else the generator is its
    moving average. FileNotFoundError without the generator's checkpoint."""
    state = run.load_checkpoint(folder := options.generator or options.start)
    if state is None:
        raise FileNotFoundError(f"{folder} holds no checkpoint.pt: "
                                "train it with `python -m trainers generator`")  # fmt: skip
    shape = registry.load_model(generator_folder(options), "generator")[0]["architecture"]
    generator = Generator(**shape)
    generator.load_state_dict(state["ema" if options.generator else "ema_generator"])
    nets = {"ema_generator": copy.deepcopy(generator)}
    if options.tune:
        generator.load_state_dict(state["generator"])
    discriminator = Discriminator(img_channels=shape["img_channels"], channels=shape["channels"][:-1])
    discriminator.load_state_dict(state["discriminator"])
    nets |= {"generator": generator, "discriminator": discriminator}
    nets["encoder"] = build_encoder(options, generator)
    nets["ema_encoder"] = copy.deepcopy(nets["encoder"])
    for net in nets.values():
        net.to(device, memory_format=torch.channels_last)
    for name in ("ema_generator", "ema_encoder", "discriminator", *(() if options.tune else ("generator",))):
        nets[name].requires_grad_(False)
    nets["encoder_adam"] = torch.optim.Adam(nets["encoder"].parameters(), betas=(0.9, 0.99))
    if options.tune:
        for name, net in {"g_adam": "generator", "d_adam": "discriminator"}.items():
            nets[name] = torch.optim.Adam(nets[net].parameters(), betas=(0.0, 0.99))
            nets[name].load_state_dict(state[name])
    return nets


def generator_folder(options: Options) -> Path:
    """The folder of the generator's model that a run starts from."""
    return options.generator or options.start / "generator"


def build_encoder(options: Options, generator: Generator) -> Encoder:
    """A fresh encoder around the generator's mean code, shaped as that of --start if there is one."""
    if options.start is not None:
        return Encoder(**registry.load_model(options.start, "encoder")[0]["architecture"])
    encoder = Encoder(resolution=generator.resolution, img_channels=generator.config["img_channels"],
                      num_ws=generator.num_ws, w_dim=generator.w_dim)  # fmt: skip
    encoder.w_avg.copy_(generator.mapping.w_avg)
    return encoder


def load_perceptor(folder: Path, colours: int) -> AttributeJudge:
    """The judge of --perceptor, frozen. ValueError unless it has feature maps and takes so many channels."""
    judge = Judge.from_pretrained(folder)
    if not isinstance(judge, AttributeJudge) or judge.config["channels"] != colours:
        kind = f"{judge.config['network']!r} judge for {judge.config['channels']} channels"
        raise ValueError(f"--perceptor {folder} is a {kind}, expected an 'attributes' judge for {colours}")
    return judge


def load_tuned(folder: Path, space: str) -> tuple[dict, Generator, Encoder]:
    """The checkpoint of a run with --tune, and its generator and encoder (moving averages, in full
    precision). FileNotFoundError without a checkpoint; ValueError unless the encoder's space is `space`
    (W+ before align, W after)."""
    state = run.load_checkpoint(folder)
    if state is None or "ema_generator" not in state:
        raise FileNotFoundError(f"{folder} holds no checkpoint.pt of `python -m trainers encoder --tune`")
    generator, encoder = Generator.from_pretrained(folder / "generator"), Encoder.from_pretrained(folder)
    if (actual := encoder.config["space"]) != space:
        hint = "it is joined already" if actual == "W" else "join it first (python -m trainers align join)"
        raise ValueError(f"{folder} holds an encoder into {actual}, expected {space}: {hint}")
    generator.load_state_dict(state["ema_generator"])  # the folder holds them in half precision
    encoder.load_state_dict(state["ema_encoder"])
    return state, generator, encoder


# Steps


def set_rates(nets: dict, step: int, options: Options) -> None:
    """Sets the learning rates of a step."""
    for name in ADAMS & nets.keys():
        rate = options.learning_rate if name == "encoder_adam" else options.generator_learning_rate
        nets[name].param_groups[0]["lr"] = rate * ramp(step, options.steps, 200, 0.4)


@torch.no_grad()
def code_variance(generator: Generator) -> float:
    """Mean variance of a coordinate of w: the unit of code losses."""
    z = torch.randn(4096, generator.z_dim, generator=torch.Generator().manual_seed(0))
    return generator.mapping(z.to(generator.mapping.w_avg.device))[:, 0].var(0).mean().item()


def pixel_loss(reconstruction: Tensor, real: Tensor) -> Tensor:
    """Squared error summed over four scales (1, 2, 4, 8 px), in units of BLANK."""
    difference = (reconstruction - real).float()
    return sum(F.avg_pool2d(difference, scale).square().mean() for scale in (1, 2, 4, 8)) / BLANK


def feature_distance(features: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Squared distance of features, relative to the energy of the wanted ones, averaged over the levels."""
    relative = [(a.float() - b.float()).square().mean() / b.float().square().mean()
                for a, b in zip(features, wanted, strict=True)]  # fmt: skip
    return sum(relative) / len(relative)


def likeness(perceptor: AttributeJudge, reconstruction: Tensor, seen: Tensor) -> Tensor:
    """`feature_distance` of pictures [N, C, H, W] in the features of a judge."""
    with torch.no_grad():
        wanted = perceptor.features.levels(seen)
    return feature_distance(perceptor.features.levels(reconstruction.float()), wanted)


def heldout_of(data: Path) -> Tensor:
    """Some validation pictures [N, C, H, W] in [-1, 1], by which a run shows how far it is."""
    images = load_split(data, "validation").images
    return to_pictures(images[: shown(images.shape[-1], 500)], torch.device("cpu"))


@torch.no_grad()
def reconstruction_error(encoder: Encoder, generator: Generator, x: Tensor) -> float:
    """Squared error of G(E(x)) over pictures [N, C, H, W], relative to that of their mean picture."""
    error = sum((generator.synthesis(encoder(part)) - part).square().sum().item() for part in x.split(50))
    return error / (x - x.mean(0)).square().sum().item()


def save(
    options, nets: dict, domain: Domain, heldout: Tensor, error: float, *, tuned: bool = True, **facts
) -> None:
    """Writes the moving averages of encoder and, if tuned, generator as model folders, with sheets of
    pictures. The encoder names its generator by the hash of its weights."""
    encoder, generator = nets["ema_encoder"], nets["ema_generator"]
    training = run.training(options, **facts)
    if tuned:
        save_generator(options.run / "generator", generator, domain, training)
        samples = sample(generator, shown(generator.resolution, 100), seed=0)
        save_sheet(options.run / "samples.png", samples, columns=10)
    base = run.weights_hash(options.run / "generator" if tuned else generator_folder(options))
    config = {
        "kind": "encoder", "domain": domain.name, "architecture": encoder.config,
        "base_revision": {"generator": base}, "training": training | {"validation_pixel_error": error},
    }  # fmt: skip
    registry.save_folder(options.run, config, encoder.state_dict(), dtype="float16")
    with torch.no_grad():
        rows = [part for x in heldout[:50].split(10) for part in (x, generator.synthesis(encoder(x)))]
    save_sheet(options.run / "reconstructions.png", torch.cat(rows).cpu(), columns=10)
