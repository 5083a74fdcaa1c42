"""DOMAIN.md, made of DOMAIN.csv alone."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from lwgan.methods import METHODS, rank
from lwgan.metrics import alpha_at, value_at
from trainers.edits import ADAPTED
from trainers.evaluate.records import STUDY

COMPARED = ("LT*", "LW*", "LT", "LW")  # the mean of a table is over the changes at which all of these arrive
CONTROLS = ("no edit", "oracle")  # not edits: they come first
FIGURES = {  # of the first table: metric -> column
    "target_change": "target change", "true_change": "true change", "others_kept": "others kept", "all_kept": "all kept",
    "identity": "identity", "norm": "norm", "code_change": "codes say", "overshoot": "overshoot",
}  # fmt: skip
DISTANCES = {
    "oracle:features": "The judge's features (1: two other pictures)",
    "oracle:identity": "Identity: cosine of the embeddings",
    "oracle:outside": "Pixels where the ideal edit changes nothing: mean squared error, values from 0 to 1",
}
START, STRENGTHS = 0.5, 10  # the paper's average: this target change is d; so many strengths from d to 2d


def text(name: str, frame: pd.DataFrame) -> str:
    """The page of a domain, from the rows of its CSV."""
    edits = frame[frame["at"] != ""]
    best = with_best_settings(edits)
    parts = [
        HEAD.format(name=name), read_poorly(frame), recommended(best), matched(best), calibrated(best), averaged(best),
        ideal(best), settings(edits), nets(frame), adapted(best),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


HEAD = """# Results: {name}

Made by `python -m trainers evaluate` from [{name}.csv]({name}.csv), one row a figure, with intervals and seeds. All
figures are of test pictures, which no training and no choice of an edit saw. They are read by judges that took no part in
any edit.

- *Target change*: of the pictures that are read as source before the edit, the share that is read as target after it.
  "Before" is the picture as encoder and generator reconstruct it.
- *Others kept*: the mean share of the other labels that are read as before. Where an edit adds something, a label that
  held counts as kept if it still holds; others do not count.
- *All kept*: of the pictures that changed, the share in which every other label is kept.
- *True change*: changed, times the share of the other labels that are kept. For a choice among several outcomes, as one
  more digit may be any digit: changed and all kept.
- *Identity*: cosine of an identity network's embeddings. *Norm*: how far the code moves. *Codes say*: target change as a
  classifier of codes sees it. *Overshoot*: the label is as wanted and yet the picture is not the target.
- *No edit*: the share read as target before any edit. *Oracle*: the ideal edit of the picture, encoded and generated.

Several seeds of one setting are averaged; their number is in parentheses, intervals span those of all seeds (95%: Wilson's
for shares, bootstrapped for means). Of a method's settings the one with the most true changes on validation pictures is
shown, of those with the most seeds. *Never*: the edit does not get there. A star: without regularisation.

![What is kept against what changes](images/{name}-curves.png)"""


# Which edits are compared


def with_best_settings(edits: pd.DataFrame) -> pd.DataFrame:
    """The rows of controls, and of each method and change those of one setting: the most seeds, then the most
    true changes on validation pictures. Settings of studies are left out."""
    rivals = edits[~edits["setting"].str.startswith(STUDY)]
    chosen = rivals[rivals["metric"] == "true_change"]
    score = chosen[chosen["at"] == "validation"].groupby(["method", "change", "setting"])["value"].mean()
    groups = (
        rivals.groupby(["method", "change", "setting"], sort=False)["edit"]
        .nunique()
        .reset_index(name="seeds")
    )
    keys = groups[["method", "change", "setting"]]
    groups["score"] = score.reindex(pd.MultiIndex.from_frame(keys)).fillna(0).to_numpy()
    groups = groups.sort_values(["seeds", "score"], ascending=False).drop_duplicates(["method", "change"])
    return rivals.merge(groups[["method", "change", "setting"]])


def methods_of(frame: pd.DataFrame) -> list[str]:
    """Controls, then methods as METHODS has them, then others."""
    keys = {name: key for key, name in METHODS.items()}
    base = lambda name: name.split(",")[0].split(" (")[0].rstrip("*")
    order = lambda name: (name not in CONTROLS, rank(keys.get(base(name), base(name))), name)
    return sorted(frame["method"].unique(), key=order)


def changes_of(frame: pd.DataFrame) -> list[str]:
    """In the order of the CSV, which is the domain's."""
    return list(frame["change"].unique())


# Tables


def recommended(best: pd.DataFrame) -> str:
    chosen, lines = best[best["at"] == "chosen"], []
    shown = [metric for metric in FIGURES if (chosen["metric"] == metric).any()]
    for change in changes_of(chosen):
        here = chosen[chosen["change"] == change]
        for method in methods_of(here):
            rows = here[here["method"] == method]
            cells = [
                cell(rows[rows["metric"] == metric], intervals=metric in list(FIGURES)[:2])
                for metric in shown
            ]
            lines.append([change, method, number(rows.groupby("edit")["alpha"].first()), *cells])
    head = ["change", "method", "alpha", *(FIGURES[metric] for metric in shown)]
    return (
        f"## At the recommended strength\n\nAlpha was chosen on validation pictures.\n\n{table(head, lines)}"
    )


def matched(best: pd.DataFrame) -> str:
    parts = []
    for metric in ("others_kept", "all_kept", "identity", "leakage", "norm"):
        if body := by_change(best, "matched", metric):
            parts.append(f"{MATCHED.get(metric, FIGURES.get(metric, '').capitalize())}:\n\n{body}")
    return "## At the same target change\n\nWhere an edit first changes 80% of its cases.\n\n" + "\n\n".join(
        parts
    )


MATCHED = {
    "leakage": "Leakage: how much more or less often another label is read, mean of the absolute differences"
}


def calibrated(best: pd.DataFrame) -> str:
    rows = best[best["at"] == "calibrated"]
    if rows.empty:
        return ""
    return f"""## Table 2 of the paper: where a classifier of codes says 100%

Target change as the judge of pictures reads it, at the least alpha at which a classifier of codes sees the change in 99.5%
of validation codes.

{by_change(best, "calibrated", "target_change", intervals=True)}"""


def averaged(best: pd.DataFrame) -> str:
    """The paper's way: the mean over ten strengths from d to 2d, interpolated on the curves."""
    curves, rows = best[best["at"] == "curve"], []
    for (edit, method, change), curve in curves.groupby(["edit", "method", "change"], sort=False):
        wide = curve.pivot_table(index="alpha", columns="metric", values="value")
        if (d := alpha_at(wide.index, wide["target_change"], START)) is None:
            continue
        alphas = np.linspace(d, min(2 * d, wide.index[-1]), STRENGTHS)
        for metric in ("target_change", "others_kept", "identity"):
            if metric in wide and wide[metric].notna().all():
                mean = np.mean([value_at(wide.index, wide[metric], alpha) for alpha in alphas])
                rows.append([edit, method, change, "averaged", metric, mean])
    if not rows:
        return ""
    frame = pd.DataFrame(rows, columns=["edit", "method", "change", "at", "metric", "value"])
    frame = pd.concat([best[best["at"] == "chosen"], frame])  # so that who never gets there has a line
    parts = [
        f"{FIGURES[metric].capitalize()}:\n\n{body}"
        for metric in ("target_change", "others_kept", "identity")
        if (body := by_change(frame, "averaged", metric))
    ]
    return f"""## As the paper averages

The mean over ten strengths from d to 2d, where d is the alpha that changes half of the cases (the paper does not say what d
is). To be read together: who changes less keeps more.

{(chr(10) * 2).join(parts)}"""


def ideal(best: pd.DataFrame) -> str:
    """How near edits come to the ideal one, where the data set can make it."""
    at = best[(best["at"] == "matched") | best["method"].isin(CONTROLS)].assign(at="matched")
    parts = [
        f"{title}:\n\n{body}"
        for metric, title in DISTANCES.items()
        if (
            body := by_change(
                pd.concat([at, best[best["at"] == "chosen"]]), "matched", metric, 4 if "out" in metric else 3
            )
        )
    ]
    if not parts:
        return ""
    return "## Distance to the ideal edit\n\nAt the same target change.\n\n" + "\n\n".join(parts)


def settings(edits: pd.DataFrame) -> str:
    """All settings: what validation said, what the judge says, and what is kept at the same target change."""
    real = edits[edits["edit"] != ""]
    order = {change: i for i, change in enumerate(changes_of(real))}
    groups = real.groupby(["change", "method", "setting"], sort=False)
    methods, lines = methods_of(real), []
    for (change, method, setting), rows in sorted(
        groups, key=lambda item: (order[item[0][0]], methods.index(item[0][1]), item[0][2])
    ):
        pick = lambda at, metric, rows=rows: rows[(rows["at"] == at) & (rows["metric"] == metric)]
        seeds = rows["edit"].nunique()
        kept = [
            cell(pick("matched", metric), seeds)
            for metric in ("others_kept", "all_kept", "identity", "leakage")
        ]
        lines.append([
            change, method, setting, str(seeds), number(pick("chosen", "norm")["alpha"]), cell(pick("validation", "true_change")),
            cell(pick("chosen", "target_change"), intervals=True), cell(pick("chosen", "true_change")), *kept,
        ])  # fmt: skip
    head = ["change", "method", "setting", "seeds", "alpha", "true change (validation)", "target change", "true change",
            "others kept at 80%", "all kept at 80%", "identity at 80%", "leakage at 80%"]  # fmt: skip
    return f"## All settings\n\n{table(head, lines)}"


def read_poorly(frame: pd.DataFrame) -> str:
    """Labels that do not count, as they are not read well enough."""
    auc = frame[frame["metric"].isin(["auc_reconstructed"])]
    poor = auc[auc["value"] < 0.9].sort_values("value", ascending=False)
    if auc.empty:
        return ""
    said = ", ".join(f"{row.change} ({row.value:.2f})" for row in poor.itertuples())
    return (
        f"The judge tells {len(auc) - len(poor)} labels apart on reconstructions (area under the ROC curve at least .9)."
        + (f" The others do not count as other labels: {said}." if said else "")
    )


def nets(frame: pd.DataFrame) -> str:
    rows = frame[frame["at"] == ""]
    whole = rows[(rows["change"] == "") & (rows["metric"] != "samples")]
    lines = [[row.edit, row.metric.replace("_", " "), f"{row.value:.4g}"] for row in whole.itertuples()]
    parts = [table(["net", "figure", "value"], lines)] if lines else []
    labels = rows[rows["change"] != ""]
    if len(labels):
        wide = labels.pivot_table(index="change", columns="metric", values="value", sort=False)
        wide = wide.sort_values(wide.columns[-1], ascending=False)
        lines = [
            [label, *(show(value) for value in values)]
            for label, values in zip(wide.index, wide.to_numpy(), strict=True)
        ]
        parts.append(
            "Area under the ROC curve of each label:\n\n"
            + table(["label", *(c.replace("_", " ") for c in wide)], lines)
        )
    return "## Nets and judges\n\n" + "\n\n".join(parts) if parts else ""


def adapted(best: pd.DataFrame) -> str:
    """How methods differ from the published ones."""
    shown = set(best["method"])
    lines = [
        f"- {METHODS.get(key, key)}: {how}." for key, how in ADAPTED.items() if METHODS.get(key, key) in shown
    ]
    return "## Methods that differ from the published ones\n\n" + "\n".join(lines) if lines else ""


# Cells


def by_change(frame: pd.DataFrame, at: str, metric: str, digits: int = 3, intervals: bool = False) -> str:
    """A line a method, a column a change, and their mean over the changes at which all of COMPARED arrive; ""
    if nothing was measured. A method that was measured for a change and has no row there never gets there."""
    rows = frame[(frame["at"] == at) & (frame["metric"] == metric)]
    if rows.empty:
        return ""
    tried = frame[frame["at"].isin(["chosen", at])].groupby(["method", "change"])["edit"].nunique()
    means = rows.groupby(["method", "change"])["value"].agg(["mean", "size"])
    arrives: Callable[[str, str], bool] = lambda method, change: (
        (method, change) in means.index
        and means.loc[(method, change), "size"] >= tried.get((method, change), 1)
    )
    changes, methods = (
        changes_of(frame),
        methods_of(pd.concat([rows, frame[frame["edit"] != ""]])),
    )
    ours = [method for method in COMPARED if method in methods]
    common = [change for change in changes if ours and all(arrives(method, change) for method in ours)]
    lines = []
    for method in methods:
        cells = [
            cell(
                rows[(rows["method"] == method) & (rows["change"] == change)],
                tried.get((method, change), 0),
                digits,
                intervals,
            )
            for change in changes
        ]
        full = len(common) > 1 and all(arrives(method, change) for change in common)
        mean = np.mean([means.loc[(method, change), "mean"] for change in common]) if full else None
        lines.append([method, *cells, show(mean, digits)])
    head = ["method", *changes, "mean"]
    return table(head, lines) if len(common) > 1 else table(head[:-1], [line[:-1] for line in lines])


def cell(rows: pd.DataFrame, tried: int = 0, digits: int = 3, intervals: bool = False) -> str:
    """The mean of the seeds' values; of `tried` seeds, how many never get there."""
    missed = tried - len(rows)
    if rows.empty:
        return "never" if tried else ""
    seeds = (
        f" ({len(rows)} of {tried})"
        if missed > 0
        else f" ({len(rows)})"
        if intervals and len(rows) > 1
        else ""
    )
    bounds = (
        f" [{rows['low'].min():.3f}, {rows['high'].max():.3f}]"
        if intervals and rows["low"].notna().any()
        else ""
    )
    return show(rows["value"].mean(), digits) + seeds + bounds


def show(value: float | None, digits: int = 3) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.{digits if abs(value) < 10 else 1}f}"


def number(values: pd.Series) -> str:
    return "" if values.isna().all() else f"{values.mean():.2f}"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])
