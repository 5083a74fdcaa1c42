"""Figures as tables of a card, their definitions, and the figures that go into the card's metadata.

Figures are nested JSON objects. A leaf is a number, a list, a rate {value, low, high, n}, a mean {mean,
..., n}, or an object {label: number}.
"""

import json
import re
from collections.abc import Collection, Iterator

# What the figures mean. Those of edits come in the order in which a card names them.
DEFINITIONS = {
    "target_change": "of the pictures read as source before the edit, the share read as target after it",
    "true_change": "the share of pictures that change and keep all other labels",
    "all_kept": "of the pictures that change, the share that keep all other labels",
    "others_kept": "the mean share of the other labels that stay as they were",
    "identity": "mean cosine of the embeddings of a picture before and after, 1 for the same",
    "code_change": "the share that a classifier of codes reads as target after the edit",
    "overshoot": "the share of pictures that change further than to the target",
    "norm": "mean length of the step that the edit makes in the latent space",
    "features": "distance to the ideal edit in the judge's features, over that of random pictures",
    "outside": "mean squared error where the ideal edit changes nothing, relative to full contrast squared",
    "samples": "number of samples that were drawn",
    "count_shares": "shares of the samples that show one, two, three, ... objects",
    "legible_singles": "of the samples with one object, the share that the judge reads with confidence",
    "relative_frechet_distance": "Frechet distance of judge's features to real pictures, over their variance",
    "count_kept": "share of reconstructions with as many objects as the picture",
    "digits_kept": "share of reconstructions with the same digits as the picture",
    "pixel_error": "mean squared error of reconstructions, relative to that of a black picture",
    "mean_squared_error": "of reconstructions, relative to full contrast squared",
    "identity_of_others": "mean cosine of two different individuals",
    "feature_distance": "distance of reconstructions in the judge's features, over that of random pictures",
    "accuracy": "share of right answers",
    "commoner_answer": "accuracy of always giving the more common answer",
    "balanced_accuracy": "accuracy with equal weight on pictures with and without a label",
    "auc": "area under the ROC curve",
    "top_1": "share of pictures whose nearest other embedding shows the same individual",
}  # fmt: skip
EDIT_FIGURES = tuple(DEFINITIONS)[:7]
# Not in the metadata: settings, numbers of cases, and figures of other pictures than those of the test split.
SETTINGS = ("alpha", "d", "n", "samples", "identities", "pictures", "d_reached")
OTHER_SPLITS = ("validation", "also", "known")

Path = tuple[str, ...]


def leaves(figures: dict, labels: Collection[str] = (), path: Path = ()) -> Iterator[tuple[Path, object]]:
    """(path, leaf) of nested figures."""
    for key, value in figures.items():
        if isinstance(value, dict) and _number(value) is None and not _by_label(value, labels):
            yield from leaves(value, labels, (*path, key))
        else:
            yield (*path, key), value


def rows(figures: dict, labels: Collection[str] = ()) -> list[list[str]]:
    """The figures that fill a line each: name, value, 95% interval, number of cases."""
    found = []
    for path, leaf in leaves(figures, labels):
        if isinstance(leaf, dict) and (value := _number(leaf)) is not None:
            interval = (
                f"{cell(leaf['low'])} to {cell(leaf['high'])}"
                if {"value", "low", "high"} <= set(leaf)
                else ""
            )
            found.append([name_of(path), cell(value), interval, cell(leaf.get("n", ""))])
        elif leaf is not None and not isinstance(leaf, dict) and not _is_table(leaf):
            found.append([name_of(path), cell(leaf), "", ""])
    return found


def groups(figures: dict, labels: Collection[str], title: str = "") -> list[dict]:
    """The tables {title, head, lines} of a card: single figures, figures by label, lists of objects."""
    found = [(title, ["figure", "value", "95% interval", "cases"], rows(figures, labels))]
    columns = {path: leaf for path, leaf in leaves(figures, labels) if _by_label(leaf, labels)}
    names = [label for label in labels if any(label in leaf for leaf in columns.values())]
    lines = [[cell(name), *(cell(leaf.get(name)) for leaf in columns.values())] for name in names]
    found.append(("Label by label:", ["label", *map(name_of, columns)], lines))
    for path, leaf in leaves(figures, labels):
        if _is_table(leaf):
            found.append((f"{name_of(path).capitalize()}:", *_records(leaf)))
    return [{"title": title, "head": head, "lines": lines} for title, head, lines in found if lines]


def curve(points: list[dict], title: str) -> list[dict]:
    """The table of a strength curve, with the figures that have a definition; [] without points."""
    keys = [key for key in ("alpha", *EDIT_FIGURES) if any(key in point for point in points)]
    head, lines = _records([{key: point.get(key) for key in keys} for point in points])
    return [{"title": title, "head": head, "lines": lines}] if points else []


def definitions(tables: list[dict]) -> list[tuple[str, str]]:
    """(name, meaning) of the figures that the tables show."""
    shown = {cell for table in tables for cell in (*table["head"], *(line[0] for line in table["lines"]))}
    shown = {part for name in shown for part in (name, name.split(" / ")[-1])}
    return [(name_of((key,)), meaning) for key, meaning in DEFINITIONS.items() if name_of((key,)) in shown]


def side_effects(leakage: dict, most: int = 8) -> list[dict]:
    """The table of the labels that an edit changes most; [] if it changes none."""
    found = [(label, value) for label, value in leakage.items() if value]
    lines = [[cell(label), f"{value:+.4g}"] for label, value in sorted(found, key=lambda item: -abs(item[1]))]
    title = "The labels whose share in the pictures changes most, at the same strength:"
    return [{"title": title, "head": ["label", "change"], "lines": lines[:most]}] if lines else []


def measures(figures: dict, labels: Collection[str] = ()) -> list[tuple[str, float]]:
    """(name, number) for the card's metadata: the figures of the test split, nested names joined by /."""
    found = []
    for path, leaf in leaves(figures, labels):
        if path[0].startswith(OTHER_SPLITS) or path[-1].split("_")[-1] in SETTINGS or path[-1] in SETTINGS:
            continue
        if _by_label(leaf, labels):
            found += [("/".join((*path, label)), value) for label, value in leaf.items() if value is not None]
        elif (value := _number(leaf)) is not None:
            found.append(("/".join(path), value))
    return found


def cell(value: object) -> str:
    """A value as the text of a table's cell: numbers to four significant digits, no markup."""
    if value is None or value in ([], ()):
        return "none"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) > 1e-12 else "0"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(cell, value))
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"[|<>`\[\]\r\n]", " ", text)


def name_of(path: Path) -> str:
    """The words for a figure: ("oracle", "true_change") -> "oracle / true change"."""
    parts = ("number of cases" if part == "n" else part.replace("_", " ") for part in path)
    return cell(" / ".join(parts))


def _number(leaf: object) -> float | None:
    """The number of a number, a rate or a mean; None for anything else."""
    if isinstance(leaf, dict):
        leaf = leaf.get("value", leaf.get("mean"))
    return leaf if isinstance(leaf, (int, float)) and not isinstance(leaf, bool) else None


def _by_label(leaf: object, labels: Collection[str]) -> bool:
    return isinstance(leaf, dict) and bool(leaf) and set(leaf) <= set(labels)


def _is_table(leaf: object) -> bool:
    return isinstance(leaf, list) and bool(leaf) and all(isinstance(line, dict) for line in leaf)


def _records(lines: list[dict]) -> tuple[list[str], list[list[str]]]:
    keys = list(dict.fromkeys(key for line in lines for key in line))
    return [name_of((key,)) for key in keys], [[cell(line.get(key)) for key in keys] for line in lines]
