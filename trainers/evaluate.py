"""Stage 6: what the judge says of generator, encoder and edits, on pictures of MNIST's test digits.

    python -m trainers evaluate --data ../runs/data --registry lwgan/bundled --baselines ../runs/baselines

Each model's figures go into its config.json under "metrics", and from there into its card. All of them go into
docs/results.json, and docs/results.md and the sheets of docs/images are made of that and of the models.
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
from trainers import results, run
from trainers.codes import Codes, encode
from trainers.data import load_pictures
from trainers.generator import sample, to_pictures

CONFIDENT = 0.9


@dataclass(frozen=True)
class Options:
    """Measure the models of a registry folder with its judge; write the figures into their configs and into docs."""

    data: Path
    """Folder that `python -m trainers data` wrote."""
    registry: Path
    """Folder of models: generator, encoder, judge and edits of one domain."""
    baselines: Path | None = None
    """Folder of further edits to set beside them."""
    docs: Path = Path("docs")
    """Where results.json, results.md and images/ go."""
    samples: int = 10_000
    """Pictures to sample from the generator."""
    heldout: int = 2_000
    """Pictures of test digits for the encoder."""
    edit_pictures: int = 1_000
    """Pictures of test digits for each edit."""
    device: str = "auto"


def main(options: Options) -> None:
    device = run.device_of(options.device)
    entries = {entry.config["kind"]: entry for entry in registry.models(options.registry) if entry.refused is None}
    for kind in ("judge", "generator", "encoder"):
        if kind not in entries:
            raise ValueError(f"{options.registry} holds no {kind}")
    folder = {kind: Path(entry.source) for kind, entry in entries.items()}
    judge, generator, encoder = (
        cls.from_pretrained(folder[kind]).to(device)
        for kind, cls in (("judge", DigitJudge), ("generator", Generator), ("encoder", Encoder))
    )
    edits = [(entry, True) for entry in registry.list_edits(options.registry)]
    edits += [(entry, False) for entry in (registry.list_edits(options.baselines) if options.baselines else [])]
    for entry, _ in edits:
        check(entry, judge)
    pictures = load_pictures(options.data, "test")
    real, numbers = torch.from_numpy(pictures.images), torch.from_numpy(pictures.numbers).long()
    figures = {
        "judge": judge.card_config["metrics"],
        "generator": generator_figures(generator, judge, to_pictures(real, device), options.samples),
        "encoder": encoder_figures(encoder, generator, judge, real[: options.heldout], numbers[: options.heldout]),
        "edits": {},
    }
    record(folder["generator"], figures["generator"])
    record(folder["encoder"], figures["encoder"])
    for entry, bundled in edits:
        edit = AffineEdit.from_pretrained(entry.source)
        asked = edit.config["to_count"]
        held = torch.nonzero(numbers.sum(1) == asked - 1).squeeze(1)[: options.edit_pictures]
        codes = Codes(encode(encoder, real[held]), numbers[held])
        figures["edits"][entry.name] = {"method": edit.config["method"], "to_count": asked} | edit_figures(
            edit, edit.config["alpha"], codes, generator, judge, asked
        )
        if bundled:
            record(
                Path(entry.source), {key: value for key, value in figures["edits"][entry.name].items() if key not in ("method", "to_count")}
            )
            results.save_strip(Path(entry.source) / "images" / "strip.png", edit, codes.w[:8].to(device), generator)
    results.write(options.docs, figures)
    results.save_sheets(
        options.docs / "images",
        generator,
        encoder,
        [AffineEdit.from_pretrained(entry.source) for entry, bundled in edits if bundled],
        real,
        numbers,
    )


def check(entry: registry.Entry, judge: DigitJudge) -> None:
    """ValueError for an edit in which the judge had a part already."""
    for key, part in (("judge_revision", "was guided by"), ("selector_revision", "has its alpha from")):
        if entry.config.get(key) == judge.card_config["weights"]["sha256"]:
            raise ValueError(
                f"{entry.name} {part} the judge that is to measure it, {judge.card_config['weights']['sha256']}: train another"
            )


def record(folder: Path, figures: dict) -> None:
    """Puts the figures into the folder's config.json."""
    config = json.loads((folder / "config.json").read_text())
    config["metrics"] = figures
    run.write_text(folder / "config.json", json.dumps(config, indent=1, allow_nan=False))
    print(folder.name, json.dumps({key: value for key, value in figures.items() if key != "curve"}, indent=1))


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
        "count_kept_by_count": [rate((after.count == k)[truth.sum(1) == k]).value for k in range(1, 5)],
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
    reconstructions, pictures = render(generator, w), render(generator, edited)
    before, after = judge.read(reconstructions), judge.read(pictures)
    changed = target_change(before.count, after.count, asked)
    sure = after.count_confidence >= CONFIDENT
    kept = digits_kept(truth, before.numbers, after.numbers)
    right = before.count == asked - 1
    return {
        "alpha": alpha,
        "target_change": rate(changed)._asdict(),
        "confident": rate(sure[changed])._asdict() if changed.any() else None,
        "digits_kept": rate(kept[changed])._asdict() if changed.any() else None,
        "true_change": rate(changed & kept)._asdict(),
        "count_right_before": rate(right)._asdict(),
        "no_edit": rate(before.count == asked)._asdict(),
        "added_ink": added_ink(reconstructions, pictures, asked)[changed].mean().item() if changed.any() else None,
        "overshoot": rate(after.count > asked).value,
        "norm": (edited - w).flatten(1).norm(dim=1).mean().item(),
    }


def added_ink(before: Tensor, after: Tensor, asked: int) -> Tensor:
    """How much brightness an edit adds, in units of the picture's mean old digit: [N, C, H, W] twice -> [N]. A judge may read
    a digit in a faint outline; this is then far below the 1 of a digit as bright as the others."""
    ink_before, ink_after = ((x + 1).sum((1, 2, 3)) for x in (before, after))
    return (ink_after / ink_before - 1) * (asked - 1)


def render(generator: Generator, w: Tensor) -> Tensor:
    """Codes [N, num_ws, w_dim] -> pictures [N, C, H, W], a few at a time."""
    return torch.cat([generator.synthesis(part) for part in tqdm(w.split(200), "render", leave=False, disable=len(w) < 2000)])
