"""Figures as tables of a card, their definitions, and the figures that go into the card's metadata.

Figures are nested JSON objects. A leaf is a number, a list, a rate {value, low, high, n}, a mean {mean,
..., n}, or an object {label: number}.
"""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import yaml

TEMPLATES = Path(__file__).parents[2] / "hub_cards"
# Of edits, in the order of the columns of a curve.
EDIT_FIGURES = ("target_change", "true_change", "all_kept", "others_kept", "identity", "code_change",
                "overshoot")  # fmt: skip
# Not in the metadata: settings, numbers of cases, and figures of other pictures than those of the test split.
SETTINGS = ("alpha", "d", "n", "samples", "identities", "pictures", "d_reached")
OTHER_SPLITS = ("validation", "also", "known")

Keys = tuple[str, ...]


def leaves(figures: dict, labels: Collection[str] = (), path: Keys = ()) -> Iterator[tuple[Keys, object]]:
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
        rate = leaf if isinstance(leaf, dict) else {"value": leaf}
        if leaf is None or _by_label(leaf, labels):
            continue
        interval = f"{cell(rate['low'])} to {cell(rate['high'])}" if {"value", "low"} <= set(rate) else ""
        value = rate.get("value", rate.get("mean"))
        found.append([name_of(path), cell(value), interval, cell(rate.get("n", ""))])
    return found


def groups(figures: dict, labels: Collection[str], title: str = "") -> list[dict]:
    """The tables of a card: the figures that fill a line each, and those by label with a column each."""
    columns = {path: leaf for path, leaf in leaves(figures, labels) if _by_label(leaf, labels)}
    names = [label for label in labels if any(label in leaf for leaf in columns.values())]
    lines = [[cell(name), *(cell(leaf.get(name)) for leaf in columns.values())] for name in names]
    found = _table(title, ["figure", "value", "95% interval", "cases"], rows(figures, labels))
    return found + _table("Label by label:", ["label", *map(name_of, columns)], lines)


def curve(points: list[dict], title: str) -> list[dict]:
    """The table of a strength curve, with the figures of edits that it has."""
    keys = [key for key in ("alpha", *EDIT_FIGURES) if any(key in point for point in points)]
    lines = [[cell(point.get(key)) for key in keys] for point in points]
    return _table(title, [name_of((key,)) for key in keys], lines)


def side_effects(leakage: dict, most: int = 8) -> list[dict]:
    """The table of the labels that an edit changes most."""
    found = [(label, value) for label, value in leakage.items() if value]
    found.sort(key=lambda item: -abs(item[1]))
    title = "The labels whose share in the pictures changes most, at that strength:"
    lines = [[cell(label), f"{value:+.4g}"] for label, value in found[:most]]
    return _table(title, ["label", "change"], lines)


def _table(title: str, head: list[str], lines: list[list[str]]) -> list[dict]:
    """One table as the templates take it, none without lines."""
    return [{"title": title, "head": head, "lines": lines}] if lines else []


def definitions(tables: list[dict]) -> list[tuple[str, str]]:
    """(name, meaning) of the figures that the tables show and that hub_cards/figures.yaml explains."""
    shown = {cell for table in tables for cell in (*table["head"], *(line[0] for line in table["lines"]))}
    shown = {part for name in shown for part in (name, name.split(" / ")[-1])}
    meanings = yaml.safe_load((TEMPLATES / "figures.yaml").read_text("utf-8"))
    return [(name_of((key,)), meaning) for key, meaning in meanings.items() if name_of((key,)) in shown]


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


def name_of(path: Keys) -> str:
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
