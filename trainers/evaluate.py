"""Stage 6: what the judge says of generator, encoder and edits, on pictures of MNIST's test digits.

    python -m trainers evaluate --data ../runs/data --registry lwgan/bundled

The figures go into each folder's config.json under "metrics", and from there into cards and README.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from lwgan import registry
from lwgan.classifiers import DigitJudge
from lwgan.edit import AffineEdit
from lwgan.encoder import Encoder
from lwgan.generator import Generator
from lwgan.metrics import digits_kept, rate, relative_frechet_distance, target_change
from trainers import run
from trainers.codes import Codes, encode
from trainers.data import load_pictures
from trainers.generator import sample, to_pictures

CONFIDENT = 0.9


@dataclass(frozen=True)
class Options:
    """Measure the models of a registry folder with its judge, and write the figures into their configs."""

    data: Path
    """Folder that `python -m trainers data` wrote."""
    registry: Path
    """Folder of models: generator, encoder, judge and edits of one domain."""
    samples: int = 10_000
    """Pictures to sample from the generator."""
    heldout: int = 2_000
    """Pictures of test digits for the encoder; four times as many are at hand for the edits."""
    edit_pictures: int = 1_000
    """Pictures of test digits for each edit."""
    device: str = "auto"


def main(options: Options) -> None:
    device = run.device_of(options.device)
    folders = {entry.name: Path(entry.source) for entry in registry.models(options.registry)}
    one = lambda kind: next(folder for name, folder in folders.items() if name.endswith(kind))
    judge = DigitJudge.from_pretrained(one("judge")).to(device)
    generator, encoder = Generator.from_pretrained(one("generator")).to(device), Encoder.from_pretrained(one("encoder")).to(device)
    pictures = load_pictures(options.data, "test")
    real, numbers = torch.from_numpy(pictures.images), torch.from_numpy(pictures.numbers).long()
    record(one("generator"), generator_figures(generator, judge, to_pictures(real, device), options.samples))
    rows = slice(0, options.heldout)
    record(one("encoder"), encoder_figures(encoder, generator, judge, real[rows], numbers[rows]))
    for entry in registry.list_edits(options.registry):
        edit = AffineEdit.from_pretrained(entry.source)
        asked = edit.config["to_count"]
        held = torch.nonzero(numbers.sum(1) == asked - 1).squeeze(1)[: options.edit_pictures]
        codes = Codes(encode(encoder, real[held]), numbers[held])
        record(Path(entry.source), edit_figures(edit, edit.config["alpha"], codes, generator, judge, asked))


def record(folder: Path, figures: dict) -> None:
    """Puts the figures into the folder's config.json."""
    config = json.loads((folder / "config.json").read_text())
    config["metrics"] = figures
    run.write_text(folder / "config.json", json.dumps(config, indent=1))
    print(folder.name, json.dumps(figures, indent=1))


@torch.no_grad()
def generator_figures(generator: Generator, judge: DigitJudge, real: Tensor, samples: int) -> dict:
    """Counts, legibility and Frechet distance of sampled pictures (truncation 1), beside those of real test pictures."""
    fake = sample(generator, samples, seed=1).to(real.device)
    features = lambda x: torch.cat([judge.features(part) for part in x.split(500)])
    half = len(real) // 2
    reading = judge.read(fake)
    return {
        "samples": samples,
        "count_shares": [round((reading.count == k).float().mean().item(), 4) for k in range(1, 5)],
        "legible_singles": legible_singles(judge, fake),
        "legible_singles_real": legible_singles(judge, real),
        "relative_frechet_distance": relative_frechet_distance(features(fake), features(real)),
        "relative_frechet_distance_real": relative_frechet_distance(features(real[:half]), features(real[half:])),
    }


def legible_singles(judge: DigitJudge, pictures: Tensor) -> float:
    """Among pictures read as one digit, the share read with more than .9 confidence."""
    reading = judge.read(pictures)
    single = reading.count == 1
    return rate(reading.confidence[single] > CONFIDENT).value if single.any() else 0.0


@torch.no_grad()
def encoder_figures(encoder: Encoder, generator: Generator, judge: DigitJudge, images: Tensor, numbers: Tensor) -> dict:
    """What survives encode and generate, on real held-out pictures: count, all digits, pixels."""
    device = encoder.w_avg.device
    x = to_pictures(images, device)
    y = render(generator, encoder(x))
    before, after = judge.read(x), judge.read(y)
    truth = numbers.to(device)
    return {
        "count_kept": rate(after.count == truth.sum(1))._asdict(),
        "digits_kept": rate((after.numbers == truth).all(1))._asdict(),
        "pixel_error": ((y - x).square().sum() / (x + 1).square().sum()).item(),
        "judge_count_accuracy_real": rate(before.count == truth.sum(1))._asdict(),
        "judge_digits_accuracy_real": rate((before.numbers == truth).all(1))._asdict(),
    }


@torch.no_grad()
def edit_figures(edit, alpha: float, codes: Codes, generator: Generator, judge: DigitJudge, asked: int) -> dict:
    """What an edit does to reconstructions of pictures with asked - 1 digits, as the judge reads them."""
    device = generator.mapping.w_avg.device
    w, truth = codes.w.to(device), codes.numbers.to(device)
    edited = edit(w, alpha)
    before, pictures = judge.read(render(generator, w)), render(generator, edited)
    after = judge.read(pictures)
    changed = target_change(before.count, after.count, asked)
    sure = after.count_confidence >= CONFIDENT
    kept = digits_kept(truth, before.numbers, after.numbers)
    return {
        "alpha": alpha,
        "target_change": rate(changed)._asdict(),
        "confident": rate(sure[changed])._asdict() if changed.any() else None,
        "digits_kept": rate(kept[changed])._asdict() if changed.any() else None,
        "true_change": rate(changed & kept)._asdict(),
        "overshoot": rate(after.count > asked).value,
        "norm": (edited - w).flatten(1).norm(dim=1).mean().item(),
    }


def render(generator: Generator, w: Tensor) -> Tensor:
    """Codes [N, num_ws, w_dim] -> pictures [N, C, H, W], a few at a time."""
    return torch.cat([generator.synthesis(part) for part in tqdm(w.split(200), "render", leave=False, disable=len(w) < 2000)])
