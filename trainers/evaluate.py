"""Stage 6: the paper's evaluation (Sec. 4.2, Table 2) on pictures of MNIST's test digits, which no training and no choice saw.

    python -m trainers evaluate --domain multimnist --data ../runs/data --edits ../runs/edits
    python -m trainers evaluate --domain synthfaces ...    (see evaluate_faces.py)

Every edit gets a metrics.json; those of the last run with the same nets are kept. All of them go into docs/results.json, of which
alone docs/results.md and the curves are made: figures of edits that are no longer at hand stay there as long as the nets are the same.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from tqdm import tqdm

from lwgan.edit import AffineEdit
from lwgan.encoder import Encoder
from lwgan.generator import Generator
from lwgan.hub import registry
from lwgan.judges import DigitJudge, LatentClassifier
from lwgan.metrics import rate, relative_frechet_distance
from trainers import evaluate_faces, figures, measure, records, results, run
from trainers.data import Pictures, load_pictures
from trainers.measure import CONFIDENT, Cases, Nets, calibrated, cases_of, codes_of, render
from trainers.nets.generator import sample, to_pictures
from trainers.records import (
    check_edit,
    check_split,
    entries_of,
    folder_of,
    kept,
    put,
    record,
    settings,
    versions,
)

CLASSES = {
    "generator": Generator,
    "encoder": Encoder,
    "judge": DigitJudge,
    "latent-classifier": LatentClassifier,
}
MULTIPLES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # of the recommended alpha: the curve
HEADLINE = (
    "alpha", "norm", "target_change", "at_least", "digits_kept", "confident", "true_change", "identity", "latent_change", "added_ink",
    "overshoot", "count_right_before", "no_edit",
)  # fmt: skip
SCHEME = 1  # of metrics.json: figures of another are measured again


@dataclass(frozen=True)
class Options:
    """Measure generator, encoder and edits of a registry folder with its judges; write metrics.json, docs/results.json, tables, figures."""

    domain: Literal["multimnist", "synthfaces"] = "multimnist"
    """Digits or rendered faces. (For photographs with labels there is `evaluate-labels`.)"""
    data: Path = Path("../runs/data")
    """Folder that `python -m trainers data` wrote."""
    registry: Path = Path("lwgan/bundled")
    """Folder of models: generator, encoder, edits, and who measures: judge and latent classifier, or of faces attribute judge and identity
    network."""
    edits: Path | None = None
    """Folder of further edits, or of their runs, to set beside them: other seeds, other settings."""
    docs: Path = Path("docs")
    """Where results.json, results.md and images/ go; of faces results-faces.json, results-faces.md."""
    samples: int = 10_000
    """Pictures to sample from the generator."""
    heldout: int = 2_000
    """Pictures of test digits for the encoder (of faces: all)."""
    edit_pictures: int = 1_000
    """Test pictures for each edit; of digits half as many of validation digits calibrate its alpha."""
    oracles: int = 200
    """Of faces: test pictures for each attribute whose oracle is rendered."""
    tables: bool = False
    """Measure nothing: make results.md and the curves of docs/results.json again."""
    device: str = "auto"


def main(options: Options) -> None:
    if options.domain == "synthfaces":
        evaluate_faces.main(options)
        return
    path = options.docs / results.NAME
    if options.tables:
        write(options.docs, records.published(path))
        return
    device = run.device_of(options.device)
    models = {kind: load(options, kind).to(device) for kind in CLASSES}
    generator, encoder, judge, calibrator = models.values()
    nets, revisions = (
        Nets(generator, judge, calibrator),
        {kind: net.card_config["weights"]["sha256"] for kind, net in models.items()},
    )
    for kind in ("judge", "latent-classifier"):
        check_split(kind, models[kind].card_config)
    entries = entries_of([options.registry, options.edits], options.domain)
    for entry in entries:
        check(entry, revisions)
    test, validation = load_pictures(options.data, "test"), load_pictures(options.data, "validation")
    held = {asked: cases(encoder, nets, test, asked, options.edit_pictures) for asked in (2, 3, 4)}
    tuning = {
        asked: cases(encoder, nets, validation, asked, options.edit_pictures // 2) for asked in (2, 3, 4)
    }

    base = {
        "scheme": SCHEME,
        **revisions,
        "pictures": options.edit_pictures,
        "samples": options.samples,
        "heldout": options.heldout,
    }
    found = records.load(path, base)
    if "nets" not in found:
        found |= {
            "nets": nets_figures(options, nets, encoder, test),
            "oracle": oracles(options, encoder, nets, test),
        }
        records.save(path, found)
    for kind in ("generator", "encoder"):
        record(folder_of(options.registry, kind, options.domain), found["nets"][kind])
    edits = {entry.name: AffineEdit.from_pretrained(entry.source) for entry in entries}
    for entry in tqdm(entries, "edits"):
        edit, folder = edits[entry.name], Path(entry.source)
        asked = edit.config["to_count"]
        metrics = kept(folder, base | {"edit": entry.config["weights"]["sha256"]}, edit.config["alpha"], lambda edit=edit, asked=asked: (
            told(edit, options) | measured(edit, held[asked], tuning[asked], nets)
        ))  # fmt: skip
        put(found, entry.name, metrics)
        record(folder, {key: metrics["chosen"][key] for key in HEADLINE})
        figures.save_strip(folder / "images" / "strip.png", edit, held[asked].w[:8], generator)
        records.save(path, found)
    write(options.docs, found)
    figures.save_methods(options.docs / "images", found, edits, held, generator)
    ours = [
        edits[entry.name]
        for entry in entries
        if entry.config["method"] == "lw" and Path(entry.source).parent == options.registry
    ]
    figures.save_edits(options.docs / "images" / "edits.png", ours, held, generator)
    x = to_pictures(torch.from_numpy(test.images[:36]), device)
    with torch.no_grad():
        figures.save_nets(options.docs / "images", generator, x, generator.synthesis(encoder(x)))
    figures.give_cards(
        options.docs / "images",
        {kind: folder_of(options.registry, kind, options.domain) for kind in figures.OF_NETS},
    )


def write(docs: Path, found: dict) -> None:
    """The tables and the curves, of the JSON alone."""
    results.write(docs, found)
    figures.save_curves(docs / "images", found)


def load(options: Options, kind: str) -> torch.nn.Module:
    return CLASSES[kind].from_pretrained(folder_of(options.registry, kind, options.domain))


def check(entry: registry.Entry, revisions: dict[str, str]) -> None:
    """As `records.check_edit`, and ValueError for an edit that does not say to how many digits it leads."""
    check_edit(entry, revisions, ("judge", "latent-classifier"))
    if entry.config.get("to_count") not in (2, 3, 4):
        raise ValueError(
            f"{entry.name}: to_count is {entry.config.get('to_count')!r}, expected the number of digits that it leads to, 2 to 4"
        )


def cases(encoder: Encoder, nets: Nets, pictures: Pictures, asked: int, limit: int) -> Cases:
    return cases_of(
        encoder,
        nets,
        torch.from_numpy(pictures.images),
        torch.from_numpy(pictures.numbers).long(),
        asked,
        limit,
    )


# An edit


def measured(edit: AffineEdit, held: Cases, tuning: Cases, nets: Nets) -> dict:
    """At the recommended alpha ("chosen"), where the calibrator says 100% on validation codes ("calibrated"; Table 2), and between
    0 and twice the recommended alpha ("curve", figures alone)."""
    alpha = edit.config["alpha"]
    points = {multiple: measure.figures(edit, alpha * multiple, held, nets) for multiple in MULTIPLES}
    strength = calibrated(edit, tuning.w, nets.calibrator, held.asked)
    return {
        "chosen": points[1.0],
        "calibrated": None if strength is None else measure.figures(edit, strength, held, nets),
        "curve": [
            {key: value["value"] if isinstance(value, dict) else value for key, value in point.items()}
            for point in points.values()
        ],
    }


def told(edit: AffineEdit, options: Options) -> dict:
    """What a reader must know beside the figures: which edit, how it was learned and chosen, who measured, with what."""
    config = edit.config
    chosen = [
        point["true_change"] for point in config.get("curve") or [] if point["alpha"] == config["alpha"]
    ]
    return {
        "method": config["method"], "to_count": config["to_count"], "options": settings(config),
        "validation_true_change": (chosen[0] or 0.0) if chosen else None,
        "judge": named(options, "judge"), "calibrator": named(options, "latent-classifier"), "command": records.command("evaluate", options),
        "versions": versions(),
    }  # fmt: skip


def named(options: Options, kind: str) -> dict:
    """Name and figures of who measures."""
    folder = folder_of(options.registry, kind, options.domain)
    return {"name": folder.name} | registry.read_config(folder, str(folder))["metrics"]


# The nets


def nets_figures(options: Options, nets: Nets, encoder: Encoder, test: Pictures) -> dict:
    real, numbers = torch.from_numpy(test.images), torch.from_numpy(test.numbers).long()
    return {
        "judge": nets.judge.card_config["metrics"],
        "calibrator": nets.calibrator.card_config["metrics"],
        "generator": generator_figures(nets, to_pictures(real, nets.device), options.samples),
        "encoder": encoder_figures(encoder, nets, real[: options.heldout], numbers[: options.heldout]),
    }


def oracles(options: Options, encoder: Encoder, nets: Nets, test: Pictures) -> list[dict]:
    return [measure.oracle(encoder, nets, test, asked, options.edit_pictures) for asked in (2, 3, 4)]


@torch.no_grad()
def generator_figures(nets: Nets, real: Tensor, samples: int) -> dict:
    """Counts, legibility and Frechet distance of sampled pictures (truncation 1), beside those of real test pictures."""
    judge = nets.judge
    fake = sample(nets.generator, samples, seed=1).to(real.device)
    features = lambda x: torch.cat([judge.features(part) for part in x.split(500)])
    half = len(real) // 2
    reading = judge.read(fake)
    return {
        "samples": samples,
        "count_shares": [round((reading.count == k).float().mean().item(), 4) for k in range(1, 5)],
        "legible_singles": legible_singles(judge, fake),
        "legible_singles_real": legible_singles(judge, real),
        "relative_frechet_distance": relative_frechet_distance(features(fake), features(real)),
        "relative_frechet_distance_real": relative_frechet_distance(
            features(real[:half]), features(real[half:])
        ),
    }


def legible_singles(judge: DigitJudge, pictures: Tensor) -> float:
    """Among pictures read as one digit, the share read with more than .9 confidence."""
    reading = judge.read(pictures)
    single = reading.count == 1
    return rate(reading.confidence[single] > CONFIDENT).value if single.any() else 0.0


@torch.no_grad()
def encoder_figures(encoder: Encoder, nets: Nets, images: Tensor, numbers: Tensor) -> dict:
    """What survives encode and generate, on real held-out pictures: count, all digits, pixels; and what the judges make of both."""
    x, truth = to_pictures(images, nets.device), numbers.to(nets.device)
    w = codes_of(encoder, x)
    y = render(nets.generator, w)
    before, after = nets.judge.read(x), nets.judge.read(y)
    at_least = truth.sum(1, keepdim=True) >= torch.tensor([2, 3, 4], device=nets.device)
    return {
        "count_kept": rate(after.count == truth.sum(1))._asdict(),
        "digits_kept": rate((after.numbers == truth).all(1))._asdict(),
        "count_kept_by_count": [rate((after.count == k)[truth.sum(1) == k]).value for k in range(1, 5)],
        "pixel_error": ((y - x).square().sum() / (x + 1).square().sum()).item(),
        "judge_count_accuracy_real": rate(before.count == truth.sum(1))._asdict(),
        "judge_digits_accuracy_real": rate((before.numbers == truth).all(1))._asdict(),
        "calibrator_accuracy": rate(((nets.calibrator(w) > 0) == at_least).all(1))._asdict(),
    }
