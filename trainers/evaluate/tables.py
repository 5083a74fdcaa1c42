"""DOMAIN.md, made of DOMAIN.csv alone."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lwgan.methods import METHODS, rank
from lwgan.metrics import alpha_at, value_at
from trainers.edits import ADAPTED
from trainers.evaluate.records import STUDY

COMPARED = ("LT*", "LW*", "LT", "LW")  # the mean of a table is over the changes at which all of these arrive
CONTROLS = ("no edit", "by hand", "oracle")  # not edits: they come first
FIGURES = {  # of the first table: metric -> column
    "target_change": "target change", "true_change": "true change", "others_kept": "others kept",
    "all_kept": "all kept", "identity": "identity", "norm": "norm", "code_change": "codes say",
    "overshoot": "overshoot",
}  # fmt: skip
DISTANCES = {
    "oracle:features": "The judge's features (1: two other pictures)",
    "oracle:identity": "Identity: cosine of the embeddings",
    "oracle:outside": "Pixels where the ideal edit changes nothing: mean squared error, values from 0 to 1",
}
READABLE = 0.9  # AUC on reconstructions below which a label does not count among the others
WITH_INTERVALS = ("target_change", "true_change")  # in the first table
START, STRENGTHS = 0.5, 10  # of the paper's averages: target change at d; number of strengths from d to 2d


def text(name: str, frame: pd.DataFrame) -> str:
    """The page of a domain, from the rows of its CSV."""
    edits = frame[frame["at"] != ""]
    best = with_best_settings(edits)
    paper = PAPER if best["method"].str.endswith("(paper)").any() else ""
    parts = [
        HEAD.format(name=name), paper, read_poorly(frame), sheets(name, best),
        recommended(best), matched(best), calibrated(best), averaged(best), ideal(best),
        settings(edits), nets(frame), adapted(best),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


HEAD = """# Results: {name}

Made by `python -m trainers evaluate` from [{name}.csv]({name}.csv), which has a row for each figure, with
its interval and seed. All pictures are test pictures, which no training and no choice of an edit saw.
They are read by judges that took no part in any edit.

- *Target change*: of the pictures that are read as source before the edit, the share that is read as
  target after it. "Before" is the picture as encoder and generator reconstruct it.
- *Others kept*: the mean share of the other labels that are read as before. Where an edit adds something,
  labels that held before are counted, and kept if they still hold.
- *All kept*: of the pictures that changed, the share in which every other label is kept.
- *True change*: changed, times the share of the other labels that are kept. For a choice among several
  outcomes (one more digit may be any digit): changed and all kept.
- *Identity*: cosine of an identity network's embeddings. *Norm*: how far the code moves. *Codes say*:
  target change as a classifier of codes sees it. *Overshoot*: the label is as wanted, and yet the picture
  is not the target.
- *No edit*: the share read as target before any edit. *Oracle*: the ideal edit of the picture, encoded
  and generated. *By hand*: a plain image operation on the picture itself, never encoded.

Seeds of one setting are averaged; their number is in parentheses. Intervals are of 95% (Wilson's for
shares, the bootstrap for means) and span those of all seeds. Of a method's settings the tables show one:
of those with the most seeds, the one with the most true changes on validation pictures. A star means:
without regularisation. *Never*: the edit does not reach that target change.

![What is kept against what changes](images/{name}-curves.png)"""
RECOMMENDED = "Alpha was chosen on validation pictures by a judge of their own."
MATCHED = "Where an edit first changes 80% of its cases."
CALIBRATED = """Target change as the judge of pictures reads it, at the least alpha at which a classifier
of codes sees the change in 99.5% of validation codes (the paper: in 100%)."""
ONE = """The paper's words can also mean the edit as it was trained, at alpha 1, where a classifier of codes
says 100% of LW. It was measured only where the table has figures."""
AVERAGED = """The mean over ten strengths from d to 2d, where d is the alpha that changes half of the
cases (the paper does not say what d is). To be read together: a method that changes less keeps more."""
SETTINGS = """The columns on the right are measured where 80% of the cases change. A "study" had other
training codes or layers than its rivals, or data without correlations (bias 0), and enters no other
table."""
PAPER = "*(paper)*: the paper's figure, of its own pictures and nets, for orientation."
AUC = "Area under the ROC curve of each label, on pictures and on their reconstructions:"
LEAKAGE = "Leakage: how much more or less often other labels are read, mean of the absolute differences"


# Which edits are compared


def with_best_settings(edits: pd.DataFrame) -> pd.DataFrame:
    """The rows of controls, and of each method and change those of one setting: the most seeds, then the most
    true changes on validation pictures. Settings of studies are left out."""
    rivals = edits[~edits["setting"].str.startswith(STUDY)]
    chosen = rivals[rivals["metric"] == "true_change"]
    score = chosen[chosen["at"] == "validation"].groupby(["method", "change", "setting"])["value"].mean()
    groups = rivals.groupby(["method", "change", "setting"], sort=False)["edit"]
    groups = groups.nunique().reset_index(name="seeds")
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


def parts_of(frame: pd.DataFrame, *keys: str) -> dict:
    """Value of a column, or tuple of the values of several -> the rows that have it, in their order."""
    return dict(iter(frame.groupby(keys[0] if len(keys) == 1 else list(keys), sort=False)))


# Tables


def titles_of(*metrics: str) -> dict[str, str]:
    return {metric: FIGURES[metric].capitalize() for metric in metrics}


def sheets(name: str, best: pd.DataFrame) -> str:
    changes = changes_of(best[best["edit"] != ""])
    links = ", ".join(f"[{change}](images/{sheet_of(name, change)})" for change in changes)
    more = ", ".join(f"[{kind}](images/{name}-{kind}.png)" for kind in ("samples", "reconstructions"))
    return f"Pictures: {links}, {more}."


def sheet_of(name: str, change: str) -> str:
    """The file with pictures of a change."""
    return re.sub("[^A-Za-z0-9_-]+", "-", f"{name}-{change}") + ".png"


def recommended(best: pd.DataFrame) -> str:
    chosen, lines = best[best["at"] == "chosen"], []
    shown = [metric for metric in FIGURES if (chosen["metric"] == metric).any()]
    for change, here in parts_of(chosen, "change").items():
        by_method = parts_of(here, "method")
        for method in methods_of(here):
            rows = by_method[method]
            of = parts_of(rows, "metric")
            cells = [cell(of.get(metric), intervals=metric in WITH_INTERVALS) for metric in shown]
            if any(cells):
                lines.append([change, method, number(rows.groupby("edit")["alpha"].first()), *cells])
    head = ["change", "method", "alpha", *(FIGURES[metric] for metric in shown)]
    return f"## At the recommended strength\n\n{RECOMMENDED}\n\n{table(head, lines)}"


def matched(best: pd.DataFrame) -> str:
    titles = titles_of("others_kept", "all_kept", "identity", "norm")
    return section("At the same target change", MATCHED, best, "matched", titles | {"leakage": LEAKAGE})


def calibrated(best: pd.DataFrame) -> str:
    title = "Table 2 of the paper: where a classifier of codes says 100%"
    at_one = section("", ONE, best[best["at"] == "one"], "one", {"target_change": ""}, intervals=True)
    parts = section(title, CALIBRATED, best, "calibrated", {"target_change": ""}, intervals=True), at_one
    return "\n\n".join(part for part in parts if part)


def averaged(best: pd.DataFrame) -> str:
    """The paper's way: the mean over ten strengths from d to 2d, interpolated on the curves."""
    rows = []
    titles = titles_of("target_change", "others_kept", "all_kept", "identity")
    keys, curves = ["edit", "method", "change"], best[best["at"] == "curve"]
    points = curves.pivot_table(index=[*keys, "alpha"], columns="metric", values="value")
    for key, wide in points.groupby(level=keys, sort=False):
        wide = wide.droplevel(keys)
        change = wide["target_change"].dropna() if "target_change" in wide else ()
        if len(change) < 2 or (d := alpha_at(change.index, change, START)) is None:
            continue
        alphas = np.linspace(d, min(2 * d, wide.index[-1]), STRENGTHS)
        for metric in titles.keys() & set(wide):
            known = wide[metric].dropna()
            if len(known) > 1 and known.index[0] <= d and known.index[-1] >= alphas[-1]:
                mean = np.mean([value_at(known.index, known, alpha) for alpha in alphas])
                rows.append([*key, "averaged", metric, mean])
    frame = pd.DataFrame(rows, columns=[*keys, "at", "metric", "value"])
    chosen = best[best["at"] == "chosen"]  # so that a method that never gets there has a line
    return section("As the paper averages", AVERAGED, pd.concat([chosen, frame]), "averaged", titles)


def ideal(best: pd.DataFrame) -> str:
    """How near edits come to the ideal one, where the data set can make it."""
    controls = best[best["method"].isin(CONTROLS)].assign(at="matched")
    return section("Distance to the ideal edit", MATCHED, pd.concat([controls, best]), "matched", DISTANCES)


def section(
    title: str, words: str, frame: pd.DataFrame, at: str, titles: Mapping[str, str], intervals: bool = False
) -> str:
    """A heading, if there is a title, and a table for each metric (key of `titles`) that was measured; "" if
    none was."""
    found = [(title, by_change(frame, at, metric, intervals)) for metric, title in titles.items()]
    parts = [f"{title}:\n\n{body}" if title else body for title, body in found if body]
    head = f"## {title}\n\n{words}" if title else words
    return "\n\n".join([head, *parts]) if parts else ""


def settings(edits: pd.DataFrame) -> str:
    """All settings: what validation said, what the judge says, and what is kept at the same target change."""
    real = edits[edits["edit"] != ""]
    order, methods, lines = changes_of(real), methods_of(real), []
    shown = [key for key in ("others_kept", "all_kept", "identity", "leakage")
             if ((real["at"] == "matched") & (real["metric"] == key)).any()]  # fmt: skip
    place = lambda item: (order.index(item[0][0]), methods.index(item[0][1]), item[0][2])
    for key, rows in sorted(real.groupby(["change", "method", "setting"], sort=False), key=place):
        of, seeds = parts_of(rows, "at", "metric"), rows["edit"].nunique()
        lines.append([
            *key, str(seeds), number(of.get(("chosen", "norm"), rows[:0])["alpha"]),
            cell(of.get(("validation", "true_change"))),
            cell(of.get(("chosen", "target_change")), intervals=True),
            cell(of.get(("chosen", "true_change"))),
            *(cell(of.get(("matched", metric)), seeds) for metric in shown),
        ])  # fmt: skip
    head = ["change", "method", "setting", "seeds", "alpha", "true change (validation)", "target change",
            "true change", *(metric.replace("_", " ") for metric in shown)]  # fmt: skip
    return f"## All settings\n\n{SETTINGS}\n\n{table(head, lines)}" if lines else ""


def read_poorly(frame: pd.DataFrame) -> str:
    """Labels that do not count, as they are not read well enough."""
    auc = frame[frame["metric"] == "auc_reconstructed"]
    poor = auc[auc["value"] < READABLE].sort_values("value", ascending=False)
    if poor.empty:
        return ""
    said = ", ".join(f"{row.change} ({row.value:.2f})" for row in poor.itertuples())
    return (
        f"The judge tells {len(auc) - len(poor)} of {len(auc)} labels apart on reconstructions (area under\n"
        f"the ROC curve at least {READABLE}). These do not count as other labels: {said}."
    )


def nets(frame: pd.DataFrame) -> str:
    rows = frame[(frame["at"] == "") & (frame["metric"] != "samples")]
    whole, labels = rows[rows["change"] == ""], rows[rows["change"] != ""]
    lines = [[row.edit, row.metric.replace("_", " "), f"{row.value:.4g}"] for row in whole.itertuples()]
    parts = [table(["net", "figure", "value"], lines)] if lines else []
    if len(labels):
        wide = labels.pivot_table(index="change", columns="metric", values="value")
        wide = wide.sort_values(wide.columns[-1], ascending=False)
        lines = [[label, *map(show, row)] for label, row in zip(wide.index, wide.to_numpy(), strict=True)]
        parts.append(f"{AUC}\n\n" + table(["label", *(name.replace("_", " ") for name in wide)], lines))
    return "## Nets and judges\n\n" + "\n\n".join(parts) if parts else ""


def adapted(best: pd.DataFrame) -> str:
    """How methods differ from the published ones."""
    found = {METHODS.get(key, key): how for key, how in ADAPTED.items()}
    lines = [f"- {name}: {how}." for name, how in found.items() if name in set(best["method"])]
    return "## Methods that differ from the published ones\n\n" + "\n".join(lines) if lines else ""


# Cells


def by_change(frame: pd.DataFrame, at: str, metric: str, intervals: bool = False) -> str:
    """A table with a line per method and a column per change; "" if nothing was measured. The last column, if
    several changes are reached by all of COMPARED, is the mean over these. "never": the edit has figures at
    its recommended strength, but does not get here."""
    rows = frame[(frame["at"] == at) & (frame["metric"] == metric)]
    if rows.empty:
        return ""
    tried = frame[frame["at"].isin(["chosen", at]) & (frame["edit"] != "")]
    seeds = tried.groupby(["method", "change"])["edit"].nunique()
    values = rows.groupby(["method", "change"])["value"].agg(["mean", "size"])
    arrives = values["mean"][values["size"] >= seeds.reindex(values.index).fillna(0)]
    changes, methods = changes_of(frame), methods_of(pd.concat([rows, tried]))
    ours = [method for method in COMPARED if method in methods]
    common = [change for change in changes if ours and all((method, change) in arrives for method in ours)]
    lines, of = [], parts_of(rows, "method", "change")
    for method in methods:
        keys = [(method, change) for change in changes]
        line = [cell(of.get(key), seeds.get(key, 0), intervals) for key in keys]
        everywhere = all((method, change) in arrives for change in common)
        mean = np.mean([arrives[method, change] for change in common]) if everywhere and common else None
        lines.append([method, *line, *[show(mean, metric)] * (len(common) > 1)])
    return table(["method", *changes, *["mean"] * (len(common) > 1)], lines)


def cell(rows: pd.DataFrame | None, tried: int = 0, intervals: bool = False) -> str:
    """The mean of the seeds' values, and how many of `tried` seeds have one; "never" if none of them has."""
    if rows is None:
        return "never" if tried else ""
    n, seeds = len(rows), ""
    if n < tried:
        seeds = f" ({n} of {tried})"
    elif intervals and n > 1:
        seeds = f" ({n})"
    bounds = intervals and rows["low"].notna().any()
    said = f" [{rows['low'].min():.3f}, {rows['high'].max():.3f}]" if bounds else ""
    return show(rows["value"].mean(), rows["metric"].iloc[0]) + seeds + said


def show(value: float | None, metric: str = "") -> str:
    digits = {"norm": 1, "oracle:outside": 4}.get(metric, 3)
    return "" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def number(values: pd.Series) -> str:
    return "" if values.isna().all() else f"{values.mean():.2f}"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])
