"""Pictures of results: curves, from a domain's CSV alone, and sheets, from the nets."""

import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import pandas as pd
import torch
from matplotlib import pyplot
from matplotlib.axes import Axes
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from lwgan.edit import AffineEdit
from lwgan.files import atomic, save_sheet, save_small
from lwgan.generator import Generator
from lwgan.images import sheet
from trainers.evaluate.tables import FIGURES, changes_of, methods_of, sheet_of, with_best_settings
from trainers.nets.generator import to_pictures

if TYPE_CHECKING:
    from trainers.evaluate.bench import Bench

STYLES = ("o-", "s-", "^-", "v--", "D--", "P--", "X:", "<:", ">:", "d:", "*:", "h-.", "p-.")
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)  # of the recommended alpha, in a strip
SIDE = 256  # px of a picture in a strip or sheet, at most
STRIP, ROWS, SHEET = 3, 3, 24  # pictures in a strip, in a sheet of methods, in a sheet of reconstructions
HEADER = 14  # px of the words above a sheet's columns
OF_NETS = {"generator": "samples.png", "encoder": "reconstructions.png"}  # sheets that their cards show


def save_curves(folder: Path, name: str, frame: pd.DataFrame) -> None:
    """NAME-curves.png (Fig. 4 of the paper): one column per change, what is kept against target change."""
    best = with_best_settings(frame[frame["at"] != ""])
    best = best[best["at"] == "curve"]
    rows = [key for key in ("others_kept", "all_kept", "identity") if (best["metric"] == key).any()]
    changes = changes_of(best)
    if not rows:
        return
    matplotlib.use("Agg")
    size = (3 * len(changes), 1 + 3 * len(rows))
    figure, axes = pyplot.subplots(len(rows), len(changes), figsize=size, squeeze=False, layout="constrained")
    for key, line in zip(rows, axes, strict=True):
        for change, axis in zip(changes, line, strict=True):
            draw_lines(axis, best[best["change"] == change], methods_of(best), key)
            axis.set(title=change, xlim=(-0.02, 1.02), xlabel="target change", ylabel=FIGURES[key])
            axis.grid(alpha=0.3)
    handles = {}
    for axis in axes.flat:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6, fontsize=8)
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=70)
    save_small(folder / f"{name}-curves.png", Image.open(buffer).convert("RGB"))
    pyplot.close("all")


def draw_lines(axis: Axes, curves: pd.DataFrame, methods: Sequence[str], key: str) -> None:
    """A line for each method's first seed, alpha growing along it."""
    for i, method in enumerate(methods):
        of_method = curves[curves["method"] == method]
        wide = of_method[of_method["edit"].isin(of_method["edit"].head(1))]
        wide = wide.pivot_table(index="alpha", columns="metric", values="value")
        if {key, "target_change"} <= set(wide):
            known = wide.dropna(subset=[key, "target_change"])
            style = STYLES[i % len(STYLES)]
            axis.plot(known["target_change"], known[key], style, color=f"C{i}", ms=3, lw=1, label=method)


@torch.no_grad()
def save_strip(path: Path, edit: AffineEdit, w: Tensor, generator: Generator) -> None:
    """One row a picture: its reconstruction, then the edit at STRENGTHS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    alphas = [strength * edit.config["alpha"] for strength in STRENGTHS]
    codes = torch.stack([edit(w[:STRIP], alpha) for alpha in alphas], 1).flatten(0, 1)
    save_sheet(path, pictures_of(generator, codes), columns=len(alphas))


def save_sheets(folder: Path, bench: "Bench", edits: Mapping[str, Mapping[str, AffineEdit]]) -> None:
    """DOMAIN-samples.png and DOMAIN-reconstructions.png, which also go into the folders of generator and
    encoder, and for each change DOMAIN-CHANGE.png (Fig. 5). edits: change -> method -> edit."""
    folder.mkdir(parents=True, exist_ok=True)
    name, generator = bench.domain.name, bench.nets.generator
    z = torch.randn(2 * SHEET, generator.z_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        samples = pictures_of(generator, generator.mapping(z.to(bench.nets.device)))
    save_sheet(folder / f"{name}-samples.png", samples, columns=12)
    w = bench.w[:SHEET]
    real = to_pictures(bench.test.images[: len(w)], torch.device("cpu"))
    real = F.adaptive_avg_pool2d(real, samples.shape[-1])  # an encoder may read larger pictures than are made
    pairs = zip(real.split(12), pictures_of(generator, w).split(12), strict=True)
    rows = torch.cat([part for pair in pairs for part in pair])
    save_sheet(folder / f"{name}-reconstructions.png", rows, columns=12)
    for kind, sheet_name in OF_NETS.items():
        with atomic(bench.folders[kind] / "images" / sheet_name) as partial:
            shutil.copyfile(folder / f"{name}-{sheet_name}", partial)
    for change, of_method in edits.items():
        save_methods(folder / sheet_of(name, change), bench, change, of_method)


@torch.no_grad()
def save_methods(path: Path, bench: "Bench", change: str, edits: Mapping[str, AffineEdit]) -> None:
    """Columns: picture, reconstruction, ideal edit if there is one, each method at its recommended alpha."""
    cases, ideal, generator = bench.cases(change), bench.ideal(change), bench.nets.generator
    rows = (torch.arange(len(cases.w)) if ideal is None else ideal.rows.cpu())[:ROWS]
    w = cases.w[rows]
    columns = {"picture": shrunk(to_pictures(bench.test.images[cases.rows[rows]], torch.device("cpu"))),
               "encoded": pictures_of(generator, w)}  # fmt: skip
    if ideal is not None:
        columns["ideal"] = shrunk(ideal.seen.pictures[: len(rows)].cpu())
    for method, edit in edits.items():
        columns[method] = pictures_of(generator, edit(w, edit.config["alpha"]))
    save_columns(path, columns)


def save_columns(path: Path, columns: Mapping[str, Tensor]) -> None:
    """A sheet of columns of pictures [N, C, H, W], each under its name."""
    side = max(128, next(iter(columns.values())).shape[-1])
    larger = torch.stack([F.interpolate(pictures, side) for pictures in columns.values()], 1)
    body = sheet(larger.flatten(0, 1), len(columns))
    canvas = Image.new(body.mode, (body.width, body.height + HEADER), "white")
    canvas.paste(body, (0, HEADER))
    for i, name in enumerate(columns):
        ImageDraw.Draw(canvas).text((i * (side + 1) + 2, 1), name, fill=0)
    save_small(path, canvas)


def pictures_of(generator: Generator, w: Tensor) -> Tensor:
    """Codes -> pictures of at most SIDE px, on the CPU."""
    return torch.cat([shrunk(generator.synthesis(part)).cpu() for part in w.split(8)])


def shrunk(pictures: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(pictures, min(pictures.shape[-1], SIDE))
