"""The pictures of docs/images of rendered faces: curves and the leakage matrix, made of docs/results-faces.json alone, and sheets, made of
the nets."""

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure
from torch import Tensor

from lwgan.edit import AffineEdit
from lwgan.images import save_sheet
from trainers.contenders_faces import Group, attributes, grouped, rank
from trainers.edits import attribute_named
from trainers.figures import STYLES, save_columns
from trainers.measure import render
from trainers.nets.generator import sample

if TYPE_CHECKING:
    from trainers.evaluate_faces import Truths

ROWS = 3  # people in a sheet of methods
BOTH_WAYS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # Fig. 3 shows -2 and 2
GROWING = (1.0, 1.5, 2.0)  # times d
LEAKING = ("LW", "LT", "InterFaceGAN")  # methods whose leakage is shown


# Of the JSON alone


def save_curves(folder: Path, found: dict) -> None:
    """faces-attributes.png, faces-identity.png (Fig. 4: what is kept against what is changed, alpha growing along a line) and
    faces-leakage.png (which attributes change with the edited one)."""
    folder.mkdir(parents=True, exist_ok=True)
    matplotlib.use("Agg")
    groups = grouped(found)
    if not groups:
        return
    for key, words in (("attribute_preservation", "attribute preservation"), ("identity", "identity")):
        save_figure(
            folder / f"faces-{'attributes' if key != 'identity' else key}.png", curves(groups, key, words)
        )
    if (matrix := leakage(groups, found["nets"]["counted"])) is not None:
        save_figure(folder / "faces-leakage.png", matrix)
    pyplot.close("all")


def save_figure(path: Path, figure: Figure) -> None:
    figure.savefig(path, dpi=80, metadata={"Software": None})


def curves(groups: dict[str, Group], key: str, words: str) -> Figure:
    """A panel an attribute: the figure against target change."""
    names = attributes(groups)
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    figure, axes = pyplot.subplots(
        lines, columns, figsize=(3.6 * columns, 1 + 3 * lines), squeeze=False, layout="constrained"
    )
    for axis, name in zip(axes.flat, names, strict=False):
        for i, ((method, group), style) in enumerate(zip(groups.items(), STYLES, strict=False)):
            if name in group:
                points = [
                    (point["target_change"], point[key])
                    for point in group[name][0]["curve"]
                    if None not in (point["target_change"], point[key])
                ]
                axis.plot(*zip(*points, strict=True), style, color=f"C{i}", ms=3, lw=1, label=method)
        axis.set(title=name.replace("_", " "), xlim=(-0.02, 1.02), xlabel="target change", ylabel=words)
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    told = {
        label: line
        for axis in axes.flat
        for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(told.values(), told.keys(), loc="outside lower center", ncols=6, fontsize=8)
    return figure


def leakage(groups: dict[str, Group], counted: list[str]) -> Figure | None:
    """Edited attribute x changed attribute, a panel a method: how much more often each is read after the edit."""
    shown = [
        (method, rows_of(groups[method]))
        for method in LEAKING
        if method in groups and rows_of(groups[method])
    ]
    if not shown:
        return None
    heights = [len(rows) for _, rows in shown]
    size = (2 + 0.3 * len(counted), 2.5 + 0.3 * sum(heights) + 0.4 * len(shown))
    figure, axes = pyplot.subplots(
        len(shown), 1, figsize=size, squeeze=False, layout="constrained", height_ratios=heights, sharex=True
    )
    for axis, (method, rows) in zip(axes[:, 0], shown, strict=True):
        values = [[row["matched"]["leakage"][name] for name in counted] for _, row in rows]
        image = axis.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        axis.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
        axis.set_xticks(
            range(len(counted)), [name.replace("_", " ") for name in counted], rotation=90, fontsize=8
        )
        axis.set_title(method)
    figure.colorbar(image, ax=axes, shrink=0.6, label="read more often (red) or less (blue)")
    return figure


def rows_of(group: Group) -> list[tuple[str, dict]]:
    return [(name, group[name][0]) for name in sorted(group, key=rank) if group[name][0]["matched"]]


# Of the nets


@torch.no_grad()
def save_sheets(folder: Path, found: dict, edits: dict[str, AffineEdit], truths: "Truths") -> None:
    """Sheets of the best edits, of each the first seed that is at hand. edits: name -> edit."""
    groups, bench = grouped(found), truths.bench
    held = lambda rows: [(row, edits[row["name"]]) for row in rows if row["name"] in edits]
    at_hand = {
        method: {name: held(rows)[0] for name, rows in group.items() if held(rows)}
        for method, group in groups.items()
    }
    generator = bench.nets.generator
    save_sheet(folder / "faces-samples.png", sample(generator, 48, seed=0), columns=12)
    few = slice(0, 24)
    rows = [
        part
        for pair in zip(bench.real[few].split(12), bench.held.seen.pictures[few].split(12), strict=True)
        for part in pair
    ]
    save_sheet(folder / "faces-reconstructions.png", torch.cat(rows).cpu(), columns=12)
    for name in attributes(groups):
        save_methods(folder / f"faces-methods-{name.lower().replace('_', '-')}.png", name, at_hand, truths)
    save_both_ways(folder / "faces-both-ways.png", at_hand.get("LW") or at_hand.get("LW*") or {}, truths)
    save_unregularised(folder / "faces-unregularised.png", at_hand, truths)


def save_methods(path: Path, name: str, at_hand: dict, truths: "Truths") -> None:
    """Fig. 5, with the truth beside it: input, reconstruction, oracle, and every method at the same target change (in
    parentheses: it has not that much, and is shown as far as it was measured, 2d)."""
    attribute = attribute_named(name, truths.bench.names)
    cases, truth = truths.cases(attribute), truths.oracles(attribute, ROWS)
    rows = torch.arange(min(ROWS, len(cases.w)), device=cases.w.device) if truth is None else truth.rows
    columns = {"input": truths.bench.real[cases.numbers[rows]], "encoded": cases.seen.pictures[rows]}
    if truth is not None:
        columns["oracle"] = truth.seen.pictures
    for method, group in at_hand.items():
        if name in group:
            row, edit = group[name]
            alpha = row["matched"]["alpha"] if row["matched"] else row["curve"][-1]["alpha"]
            columns[method if row["matched"] else f"({method})"] = pictures(
                truths, edit, cases.w[rows], alpha
            )
    save_columns(path, columns)


def save_both_ways(path: Path, group: dict, truths: "Truths") -> None:
    """Fig. 3: a line an attribute, alpha from -2 to 2."""
    tiles = []
    for name in sorted(group, key=rank):
        cases = truths.cases(attribute_named(name, truths.bench.names))
        tiles += [pictures(truths, group[name][1], cases.w[:2], alpha) for alpha in BOTH_WAYS]
    if tiles:
        # Two people side by side: [attribute, alpha, person] -> [attribute, person, alpha].
        lines = torch.stack(tiles).unflatten(0, (-1, len(BOTH_WAYS))).transpose(1, 2)
        save_sheet(path, lines.flatten(0, 2).cpu(), columns=lines.shape[1] * len(BOTH_WAYS))


def save_unregularised(path: Path, at_hand: dict, truths: "Truths") -> None:
    """Fig. 2a: what becomes of a face without regularisation: a line an attribute; the reconstruction, LT* from d to 2d, LW* from d to 2d."""
    stars = [at_hand.get(method) or {} for method in ("LT*", "LW*")]
    columns: dict[str, list[Tensor]] = {}
    for name in sorted(stars[0].keys() & stars[1].keys(), key=rank):
        cases = truths.cases(attribute_named(name, truths.bench.names))
        columns.setdefault("encoded", []).append(cases.seen.pictures[:1])
        for method, star in zip(("LT*", "LW*"), stars, strict=True):
            row, edit = star[name]
            for times in GROWING:
                columns.setdefault(f"{method} {times:g}d", []).append(
                    pictures(truths, edit, cases.w[:1], times * row["d"])
                )
    if columns:
        save_columns(path, {title: torch.cat(tiles) for title, tiles in columns.items()})


def pictures(truths: "Truths", edit: AffineEdit, w: Tensor, alpha: float) -> Tensor:
    return render(truths.bench.nets.generator, edit(w, alpha))
