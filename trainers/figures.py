"""The pictures of docs/images: curves, made of docs/results.json alone, and sheets, made of the nets."""

import shutil
from pathlib import Path

import matplotlib
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from lwgan.edit import AffineEdit
from lwgan.generator import Generator
from lwgan.images import save_sheet, save_small, sheet
from trainers.contenders import COUNTS, best_seed, grouped, listed
from trainers.measure import Cases
from trainers.nets.generator import sample

STYLES = ("o-", "s-", "^-", "v--", "D--", "P--", "X:", "<:", ">:", "d:", "*:", "h-.", "p-.")
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)  # of the recommended alpha
STRIP_SIDE = 256  # px of a picture in a strip, at most
ROWS = 8  # pictures in a sheet of methods
OF_NETS = {"generator": "samples.png", "encoder": "reconstructions.png"}  # sheets that their cards show
HEADER = 14  # px of the words above a strip's columns


def save_curves(folder: Path, found: dict) -> None:
    """preservation.png (Fig. 4: what is kept against what is changed, alpha growing along a line) and codes-say.png (what a
    classifier of codes says against what the judge of pictures says)."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = listed(grouped(found["edits"].values()))
    pairs = (("target_change", "digits_kept"), ("target_change", "identity"))
    words = {"target_change": "changed (judge of pictures)", "digits_kept": "old digits kept, of changed", "identity": "identity",
             "latent_change": "changed (classifier of codes)"}  # fmt: skip
    for name, rows in (("preservation", pairs), ("codes-say", (("latent_change", "target_change"),))):
        _panels(lines, rows, words).savefig(folder / f"{name}.png", dpi=90, metadata={"Software": None})
    pyplot.close("all")


def _panels(lines: list, rows: tuple, words: dict[str, str]) -> Figure:
    matplotlib.use("Agg")
    figure, axes = pyplot.subplots(
        len(rows), len(COUNTS), figsize=(14, 1 + 3.6 * len(rows)), squeeze=False, layout="constrained"
    )
    for (x, y), row in zip(rows, axes, strict=True):
        for count, axis in zip(COUNTS, row, strict=True):
            for i, ((name, by_count), style) in enumerate(zip(lines, STYLES, strict=False)):
                if rows := by_count.get(count):
                    points = [
                        (point[x], point[y])
                        for point in best_seed(rows)["curve"]
                        if None not in (point[x], point[y])
                    ]
                    axis.plot(
                        [point[0] for point in points],
                        [point[1] for point in points],
                        style,
                        color=f"C{i}",
                        ms=3.5,
                        lw=1,
                        label=name,
                    )
            if x == "latent_change":
                axis.plot([0, 1], [0, 1], color="0.8", lw=1, zorder=0)
            axis.set(xlabel=words[x], ylabel=words[y], xlim=(-0.02, 1.02), title=f"{count - 1} to {count}")
            axis.grid(alpha=0.3)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
    return figure


@torch.no_grad()
def save_strip(path: Path, edit: AffineEdit, w: Tensor, generator: Generator) -> None:
    """One row a picture: its reconstruction, then the edit at growing strength up to 1.5 times the recommended alpha."""
    path.parent.mkdir(parents=True, exist_ok=True)
    strengths = [strength * edit.config["alpha"] for strength in STRENGTHS]
    codes = torch.stack([edit(w, alpha) for alpha in strengths], 1).flatten(0, 1)
    pictures = [
        F.adaptive_avg_pool2d(part, min(part.shape[-1], STRIP_SIDE))
        for part in map(generator.synthesis, codes.split(1))
    ]
    save_sheet(path, torch.cat(pictures), columns=len(strengths))


def save_columns(path: Path, columns: dict[str, Tensor]) -> None:
    """A sheet of columns of pictures [N, C, H, W], each under its name."""
    side = 2 * next(iter(columns.values())).shape[-1]
    larger = torch.stack([F.interpolate(pictures.cpu(), side) for pictures in columns.values()], 1)
    body = sheet(larger.flatten(0, 1), len(columns))
    canvas = Image.new(body.mode, (body.width, body.height + HEADER), "white")
    canvas.paste(body, (0, HEADER))
    for i, name in enumerate(columns):
        ImageDraw.Draw(canvas).text((i * (side + 1) + 2, 1), name, fill=0)
    save_small(path, canvas)


@torch.no_grad()
def save_methods(
    folder: Path, found: dict, edits: dict[str, AffineEdit], held: dict[int, Cases], generator: Generator
) -> None:
    """For each count, methods-1to2.png (Fig. 6: input, reconstruction, every method at its best strength) and codes-say-1to2.png
    (Fig. 2b: where the classifier of codes says 100%), of the methods whose edits are at hand. edits: name -> edit."""
    lines = listed(grouped(found["edits"].values()))
    for count, cases in held.items():
        few = Cases(*(part[:ROWS] if isinstance(part, Tensor) else part for part in cases))
        for sheet_name, strength in (("methods", "chosen"), ("codes-say", "calibrated")):
            columns = {"input": few.real, "encoded": few.pictures}
            for name, by_count in lines:
                rows = [row for row in by_count.get(count, []) if row["name"] in edits and row[strength]]
                if rows:
                    row = best_seed(rows)
                    columns[name.replace(", best setting", "")] = generator.synthesis(
                        edits[row["name"]](few.w, row[strength]["alpha"])
                    )
            save_columns(folder / f"{sheet_name}-{count - 1}to{count}.png", columns)


@torch.no_grad()
def save_edits(path: Path, edits: list[AffineEdit], held: dict[int, Cases], generator: Generator) -> None:
    """For each edit a row of originals, one of reconstructions, one of edits at its best strength."""
    rows = []
    for edit in edits:
        cases = held[edit.config["to_count"]]
        rows += [
            cases.real[:12],
            cases.pictures[:12],
            generator.synthesis(edit(cases.w[:12], edit.config["alpha"])),
        ]
    if rows:
        save_sheet(path, torch.cat(rows).cpu(), columns=12)


@torch.no_grad()
def save_nets(folder: Path, generator: Generator, pictures: Tensor, reconstructions: Tensor) -> None:
    """samples.png, and reconstructions.png: rows of originals [36, C, H, W], each above its reconstructions."""
    save_sheet(folder / "samples.png", sample(generator, 60, seed=0), columns=12)
    rows = [part for pair in zip(pictures.split(12), reconstructions.split(12), strict=True) for part in pair]
    save_sheet(folder / "reconstructions.png", torch.cat(rows).cpu(), columns=12)


def give_cards(images: Path, folders: dict[str, Path], prefix: str = "") -> None:
    """Copies the sheets of generator and encoder into their folders (kind -> folder), for their cards."""
    for kind, name in OF_NETS.items():
        (folders[kind] / "images").mkdir(exist_ok=True)
        shutil.copyfile(images / f"{prefix}{name}", folders[kind] / "images" / name)
