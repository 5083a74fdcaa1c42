"""What is kept of an evaluation: each edit's metrics.json and config.json, and one tidy CSV a domain.

A row of the CSV is one figure: of an edit (or of no edit, the ideal edit, a random direction) at one
strength, or of a net. `at` is the strength: "chosen" (the recommended alpha), "matched" (where 80% change),
"calibrated" (where a reader of codes sees the change everywhere), "one" (alpha 1), "curve" (multiples of the
recommended alpha) or "validation" (what settings were chosen by). Of nets `change` is the label, if the
figure is of one, and `setting` the sha256 of the weights.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lwgan.domain import Change
from lwgan.files import CONFIG, METRICS, atomic, write_json
from lwgan.methods import method_of
from lwgan.strength import strength_of

COLUMNS = ("edit", "method", "setting", "change", "seed", "at", "alpha", "metric", "value", "low",
           "high", "n")  # fmt: skip
NUMBERS = ("alpha", "value", "low", "high", "n")
STRENGTHS = ("chosen", "matched", "calibrated", "one")
ON_CURVE = ("target_change", "others_kept", "all_kept", "identity", "norm", "code_change")
REGULARISERS = {"lt": ("reconstruction", "regularisation"),
                "lw": ("masses", "preservation_weight", "rank", "decay")}  # fmt: skip
VARIED = {  # options of methods that make a setting, and how tables name them
    "paper": "the paper's", "solver": "solver", "kappa": "kappa", "skip": "skip", "starts": "starts",
    "preservation_weight": "lambda", "masses": "masses", "rank": "rank", "blur": "blur", "decay": "decay",
    "regularisation": "regularisation", "reconstruction": "reconstruction",
}  # fmt: skip
UNSAID = ("labels",)  # what metrics.json did not say from the beginning
STUDY = "study: "  # begins settings with other codes or layers than their rivals: not compared


def kept(folder: Path, of: dict, alpha: float) -> dict | None:
    """The metrics.json of a folder if it is whole and of these weights, numbers, pictures and recommended
    alpha. Older ones do not say of which pictures they are (UNSAID): these are believed."""
    try:
        found = json.loads((folder / METRICS).read_text("utf-8"))
        unsaid = {key: of[key] for key in UNSAID if key in of}
        return found if unsaid | found["of"] == of and found["chosen"]["alpha"] == alpha else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not made yet, or torn


def write(folder: Path, metrics: dict, change: Change) -> None:
    """Writes metrics.json, and figures and strength of it into config.json."""
    write_json(folder / METRICS, metrics)
    keys = ("alpha", "target_change", "all_kept" if change.kind == "choice" else "others_kept")
    points = [*metrics["curve"], *([metrics["matched"]] if metrics["matched"] else [])]
    plain = [{key: _value(point.get(key)) for key in keys} for point in points]
    strength = strength_of(sorted(plain, key=lambda point: point["alpha"]), metrics["chosen"]["alpha"])
    update_config(folder, metrics=metrics["chosen"] | {"read_by": metrics["read_by"]}, strength=strength)


def update_config(folder: Path, **values: Any) -> None:
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    if config | values != config:
        write_json(folder / CONFIG, config | values)


def _value(figure: Any) -> Any:
    return figure["value"] if isinstance(figure, Mapping) else figure


# Names of methods and settings


def label(config: Mapping) -> str:
    """How tables name an edit's method; with a star if nothing regularises it (LW*: full rank too)."""
    method, options = config["method"], _options(config)
    regularised = {options.get(key) for key in REGULARISERS.get(method, ())} - {"full"}
    if options.get("solver") == "partial" and not options.get("paper"):
        regularised -= {options.get("rank")}  # it belongs to the kind of change
    masses = f", masses {options['masses']}" if method == "centroids" and "masses" in options else ""
    return method_of(config, star=method in REGULARISERS and regularised <= {None}) + masses


def setting(config: Mapping) -> str:
    """The options of an edit's method that make a difference, in words."""
    options, layers = _options(config), (config.get("training") or {}).get("layers")
    known = [(name, options[key]) for key, name in VARIED.items() if key in options]
    said = [name if value is True else f"{name} {value}" for name, value in known]
    return STUDY * bool(layers) + ", ".join(said + [f"first {layers} layers"] * bool(layers))


def validated(config: Mapping) -> float:
    """The true change on validation pictures by which the edit's alpha was chosen; 0 if none was."""
    return (config.get("validation") or {}).get("true_change") or 0.0


def _options(config: Mapping) -> dict:
    """The options of an edit's method that are not off."""
    options = (config.get("training") or {}).get("method") or {}
    whole = lambda value: isinstance(value, float) and value.is_integer()
    plain = {key: int(value) if whole(value) else value for key, value in options.items()}
    unused = ("blur",) if plain.get("solver") == "partial" else ("kappa", "skip")
    off = lambda key, value: (
        key in unused or value in (None, "uniform", []) or (value == 0 and key not in ("rank", "seed"))
    )
    return {key: value for key, value in plain.items() if not off(key, value)}


# The CSV


class Results:
    """The CSV of a domain, read and added to. revisions: kind -> sha256 of the nets that measure; rows of
    others are left out. order: the names of changes in the order of the tables."""

    def __init__(self, path: Path, revisions: Mapping[str, str], order: Sequence[str]):
        self.path, self.order, self.rows = path, list(order), {}
        if not path.exists():
            return
        frame = read(path)
        nets = frame[frame["method"].isin(revisions)]
        known = dict(zip(nets["method"], nets["setting"], strict=True))
        if known != {kind: revisions[kind][:12] for kind in known}:
            print(f"{path} holds figures of other nets: they are left out")
            return
        for key, group in frame.groupby(["edit", "method", "change"], sort=False):
            kind = key[1] if key[1] in revisions else None
            self.rows.setdefault(key[:2] if kind else key, []).extend(group.to_dict("records"))

    def put_net(self, name: str, kind: str, revision: str, figures: Mapping) -> None:
        facts = {"edit": name, "method": kind, "setting": revision[:12]}
        self.rows[name, kind] = list(rows_of(facts, figures))

    def put_edit(self, name: str, config: Mapping, metrics: Mapping) -> None:
        """All figures of an edit, in place of those that it had, under this name or another."""
        seed = _options(config).get("seed")
        facts = {"edit": name, "method": label(config), "setting": setting(config),
                 "change": config["change"]["name"], "seed": "" if seed is None else str(seed)}  # fmt: skip
        rows = list(rows_of(facts | {"at": "validation"}, {"true_change": validated(config)}))
        for at in STRENGTHS:
            rows += rows_of(facts | {"at": at}, metrics.get(at) or {})
        for point in metrics["curve"]:
            kept = {key: point[key] for key in ON_CURVE if point.get(key) is not None}
            rows += rows_of(facts | {"at": "curve", "alpha": point["alpha"]}, kept)
        self.rows[name, facts["method"], facts["change"]] = rows

    def put_control(self, change: str, method: str, figures: Mapping) -> None:
        """Figures of what is no edit of the registry: no edit, the ideal edit, a random direction."""
        facts = {"edit": "", "method": method, "change": change, "at": "chosen"}
        self.rows["", method, change] = list(rows_of(facts, figures))

    def has_edit(self, method: str, change: str) -> bool:
        return any(key[0] and key[1:] == (method, change) for key in self.rows)

    def mean_norm(self, change: str) -> float:
        """The mean norm of a change's edits at their recommended strength."""
        rows = [row for key, rows in self.rows.items() if key[0] and change in key[2:] for row in rows]
        norms = [row["value"] for row in rows if (row["at"], row["metric"]) == ("chosen", "norm")]
        return sum(norms) / len(norms)

    def save(self) -> None:
        def place(key: tuple) -> tuple:
            change = key[2] if len(key) > 2 else None
            known = self.order.index(change) if change in self.order else len(self.order)
            return change is not None, known, key

        rows = [row for key in sorted(self.rows, key=place) for row in self.rows[key]]
        write_rows(self.path, rows)


def rows_of(facts: Mapping, figures: Mapping) -> Iterator[dict]:
    """A row a figure; "alpha" is no figure but a column.

    figures: numbers, {value, low, high, n}, or None, which gives no row. Of an edit also "leakage", {label:
    number}, of which the mean absolute value counts, and "oracle". Of a net also {label: number}."""
    facts = facts | {key: figures[key] for key in ("alpha",) if key in figures}
    for metric, figure in figures.items():
        if metric == "alpha" or figure is None:
            continue
        if not isinstance(figure, Mapping):
            yield facts | {"metric": metric, "value": figure}
        elif "value" in figure:
            yield facts | {"metric": metric, **figure}
        elif metric == "leakage":
            if figure:
                yield facts | {"metric": metric, "value": sum(map(abs, figure.values())) / len(figure)}
        elif metric == "oracle":
            yield from rows_of(facts, {f"oracle:{name}": value for name, value in figure.items()})
        else:
            for name, value in figure.items():
                yield from rows_of(facts | {"change": name}, {metric: value})


def write_rows(path: Path, rows: Sequence[Mapping]) -> None:
    frame = pd.DataFrame(rows, columns=COLUMNS)
    for column in ("value", "low", "high", "alpha"):
        frame[column] = [f"{number:.5g}" if pd.notna(number) else "" for number in frame[column]]
    frame["n"] = [f"{number:.0f}" if pd.notna(number) else "" for number in frame["n"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as partial:
        frame.to_csv(partial, index=False)


def read(path: Path) -> pd.DataFrame:
    """The rows of a CSV: text, and numbers in NUMBERS. ValueError for a damaged file."""
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)[list(COLUMNS)]
        frame[list(NUMBERS)] = frame[list(NUMBERS)].apply(pd.to_numeric)
        return frame
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}): measure again, or take it from git") from error
