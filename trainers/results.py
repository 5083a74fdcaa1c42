"""docs/results.md, made of docs/results.json alone, and the sheets that show what the figures mean."""

import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lwgan.edit import AffineEdit
from lwgan.encoder import Encoder
from lwgan.generator import Generator
from lwgan.images import save_sheet
from trainers import run
from trainers.edits import ADAPTED
from trainers.generator import sample, to_pictures

PAPER = {2: ".32 / .90", 3: ".31 / .95", 4: ".64 / .99"}  # Table 2: LT / LW
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)  # of the recommended alpha
STRIP_SIDE = 256  # px of a picture in a strip, at most
METHOD = {
    "lw": "LW", "lt": "LT", "interfacegan": "InterFaceGAN", "ganspace": "GANSpace", "sefa": "SeFa", "steerability": "steerability",
    "guidedstyle": "GuidedStyle", "centroids": "mean shift", "random": "random direction",
}  # fmt: skip


def write(docs: Path, figures: dict) -> None:
    docs.mkdir(parents=True, exist_ok=True)
    run.write_text(docs / "results.json", json.dumps(figures, indent=1))
    run.write_text(docs / "results.md", text(figures))


def text(figures: dict) -> str:
    """The tables of results.md."""
    judge, generator, encoder = figures["judge"], figures["generator"], figures["encoder"]
    shares = ", ".join(f"{share:.3f}" for share in generator["count_shares"])
    lines = [
        "# Results",
        "",
        "Made by `python -m trainers evaluate`; the numbers stand in [results.json](results.json). All pictures are of MNIST's test digits, and",
        "all readings are those of a judge that no training loss, stopping rule or choice ever used. In brackets: 95% intervals.",
        "",
        "| net | figure | value |",
        "|---|---|---|",
        f"| judge | count right on real pictures | {judge['test_count_accuracy']:.4f} |",
        f"| judge | every digit right on real pictures | {judge['test_digits_accuracy']:.4f} |",
        f"| generator | shares of 1, 2, 3, 4 digits among {generator['samples']} samples | {shares} |",
        f"| generator | confident single digits (real pictures) | {generator['legible_singles']:.3f} ({generator['legible_singles_real']:.3f}) |",
        f"| generator | Frechet distance / variance of judge features (real against real) | {generator['relative_frechet_distance']:.4f} "
        f"({generator['relative_frechet_distance_real']:.4f}) |",
        f"| encoder | count kept | {show(encoder['count_kept'])} |",
        f"| encoder | every digit kept | {show(encoder['digits_kept'])} |",
        f"| encoder | pixel error as a share of a blank picture's | {encoder['pixel_error']:.4f} |",
        "",
        "## Edits",
        "",
        "Of held-out pictures with n digits: *changed* have a reconstruction read as n and an edit read as n + 1 digits; of these, *digits kept*",
        "still show every old digit that the reconstruction showed, and *confident* are read as n + 1 with at least .9. *True* is changed and kept.",
        "*Added ink*: the brightness that the edit added, where an old digit's is 1 (a judge reads a digit even in a faint outline).",
        "alpha was chosen on validation pictures by another judge. *No edit*: reconstructions that are read as n + 1 anyway.",
        "*Paper*: LT / LW in its Table 2, on other data (128 px, slots).",
        "",
        "| edit | method | alpha | changed | digits kept | confident | true | added ink | overshoot | norm of the move | no edit | paper |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(figures["edits"].values(), key=lambda row: (row["to_count"], row["method"] != "lw")):
        n = row["to_count"]
        rates = [show(row[name]) for name in ("target_change", "digits_kept", "confident", "true_change")]
        cells = [f"{n - 1} to {n}", named(row["method"]), f"{row['alpha']:g}", *rates, ink(row["added_ink"])]
        cells += [f"{row['overshoot']:.3f}", f"{row['norm']:.2f}", show(row["no_edit"]), PAPER[n]]
        lines.append(f"| {' | '.join(cells)} |")
    adapted = sorted(ADAPTED.keys() & {row["method"] for row in figures["edits"].values()})
    if adapted:
        lines += ["", f"Adapted from their papers: {'; '.join(f'{METHOD[method]} ({ADAPTED[method]})' for method in adapted)}."]
    return "\n".join(lines) + "\n"


def named(method: str) -> str:
    return METHOD.get(method, method) + " (adapted)" * (method in ADAPTED)


def show(figure: dict | None) -> str:
    return "none" if figure is None else f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def ink(figure: float | None) -> str:
    return "none" if figure is None else f"{figure:.2f}"


@torch.no_grad()
def save_strip(path: Path, edit: AffineEdit, w: Tensor, generator: Generator) -> None:
    """One row a picture: its reconstruction, then the edit at growing strength up to 1.5 times the recommended alpha."""
    path.parent.mkdir(parents=True, exist_ok=True)
    strengths = [strength * edit.config["alpha"] for strength in STRENGTHS]
    codes = torch.stack([edit(w, alpha) for alpha in strengths], 1).flatten(0, 1)
    pictures = [F.adaptive_avg_pool2d(part, min(part.shape[-1], STRIP_SIDE)) for part in map(generator.synthesis, codes.split(1))]
    save_sheet(path, torch.cat(pictures), columns=len(strengths))


@torch.no_grad()
def save_sheets(folder: Path, generator: Generator, encoder: Encoder, edits: list[AffineEdit], real: Tensor, numbers: Tensor) -> None:
    """samples.png; reconstructions.png (rows of originals, each above its reconstructions); edits.png (for each edit a row of
    originals, one of reconstructions, one of edits)."""
    folder.mkdir(parents=True, exist_ok=True)
    device = generator.mapping.w_avg.device
    save_sheet(folder / "samples.png", sample(generator, 60, seed=0), columns=12)
    x = to_pictures(real[:36], device)
    rows = [part for pair in zip(x.split(12), generator.synthesis(encoder(x)).split(12), strict=True) for part in pair]
    save_sheet(folder / "reconstructions.png", torch.cat(rows).cpu(), columns=12)
    rows = []
    for edit in edits:
        held = torch.nonzero(numbers.sum(1) == edit.config["to_count"] - 1).squeeze(1)[:12]
        x = to_pictures(real[held], device)
        w = encoder(x)
        rows += [x, generator.synthesis(w), generator.synthesis(edit(w, edit.config["alpha"]))]
    if rows:
        save_sheet(folder / "edits.png", torch.cat(rows).cpu(), columns=12)
