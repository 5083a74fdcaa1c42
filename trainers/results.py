"""docs/results.md, made of docs/results.json alone."""

from collections.abc import Callable
from pathlib import Path

import torch

from lwgan.methods import METHODS
from lwgan.metrics import matched, value_at
from trainers import records, run
from trainers.contenders import COUNTS, best, grouped, listed
from trainers.edit import REACH
from trainers.edits import ADAPTED
from trainers.measure import LIMIT
from trainers.tables import mean, number, show, table

NAME = "results.json"
PAPER = {"LW": (".90", ".95", ".99"), "LT": (".32", ".31", ".64")}  # Table 2
MATCHED = (0.5, 0.8)  # target changes at which methods are compared


def write(docs: Path, found: dict) -> None:
    """results.json and results.md."""
    records.save(docs / NAME, found)
    run.write_text(docs / "results.md", text(found))


def text(found: dict) -> str:
    """results.md."""
    groups = grouped(found["edits"].values())
    measured = [
        table_2(groups), chosen(groups), matched_change(groups), matched_strength(groups), oracle(found["oracle"]),
        sweep(groups, "lt", "LT: how much the code may move"), sweep(groups, "lw", "LW: blur and the rest"),
        sweep(groups, "centroids", "Mean shift: layers and masses"),
    ]  # fmt: skip
    told = judges(found["nets"])
    parts = [
        HEAD.format(n=found["of"]["pictures"], reach=REACH),
        *(f"{part}\n\n{told}" for part in measured if part),
        nets(found["nets"]),
        NOTES,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


HEAD = """# Results

Made by `python -m trainers evaluate` of [results.json](results.json), which holds every number with its interval and the options of each edit.
All pictures are of MNIST's test digits, {n} for each edit, and all readings are those of a judge that no training loss, stopping rule or
choice used (one setting of LW from 2 to 3 digits, not the published one, was looked at by it before: training.md). In brackets: 95% intervals
(Wilson's; of cosines bootstrapped); where an edit was learned with several seeds, the mean, (their number), and the
lowest and highest bound of theirs. *Changed*: the reconstruction is read as n and the edited picture as n + 1 digits. *True*: changed, and
every old digit is still there. An edit's settings and strength alpha were chosen on validation pictures by another judge; of a method's
settings the best so chosen, of those learned with the most seeds, stands in the tables, the others below.

How much was searched differs. Of LW: rank, step size, number of steps and blur, by hand, edit by edit (training.md); its step is .2 or .3, the paper's
1e-3. Of LT: the weights of its two regularisers. Of the others: alpha alone, as of all: up to 3, on to where codes move {reach} times as far as
the mean code of n digits is from that of n + 1, and farther as long as the farthest is the best. Masses evened out which of the digits 0, 1, 2 a
picture holds, which has to change with their number: there is no other attribute here that could come along.

![What is kept against what is changed](images/preservation.png)

Each method's edits at its best strength, beside pictures and reconstructions: [1 to 2](images/methods-1to2.png), [2 to 3](images/methods-2to3.png),
[3 to 4](images/methods-3to4.png)."""

NOTES = """## What the paper leaves open

The shape and start of H, the blur, the number of steps and the stopping rule; the layout of its digits (ours: a 2 x 2 grid at 64 px, theirs
at 128 px); its latent and its image classifier and their accuracy; seeds and intervals; whether LT's weights were adapted to digits; how
"100% of target change" is reached. Its numbers stand beside ours for orientation: other pictures, other nets."""


# Tables


def table_2(groups: dict) -> str:
    """The paper's Table 2: alpha where a classifier of codes sees the change everywhere, and what the picture judge sees there."""
    lines = []
    for name, by_count in listed(groups):
        cells = [_calibrated(by_count.get(count, [])) for count in COUNTS]
        paper = (
            PAPER["LW"] if name.startswith("LW") else PAPER["LT"] if name == "LT as published" else ("",) * 3
        )
        lines.append(
            [
                name,
                *(
                    f"{cell} {f'(paper: {ours})' if ours else ''}".strip()
                    for cell, ours in zip(cells, paper, strict=True)
                ),
            ]
        )
    return f"""## Table 2: where a classifier of codes says 100%

alpha is the least at which another classifier of codes sees "n + 1 or more" in 99.5% of validation codes (the paper: in 100%); *never*: not up to {LIMIT:g}. There
the judge of pictures reads just n + 1 digits in this share of the test pictures (in parentheses: n + 1 or more; alpha).

{table(["method", "1 to 2", "2 to 3", "3 to 4"], lines)}

![What a classifier of codes says against what the judge sees](images/codes-say.png)

The pictures there: [1 to 2](images/codes-say-1to2.png), [2 to 3](images/codes-say-2to3.png), [3 to 4](images/codes-say-3to4.png)."""


def _calibrated(rows: list[dict]) -> str:
    reached = [row["calibrated"] for row in rows if row["calibrated"]]
    if not rows:
        return "not measured"
    if not reached:
        return "never says so"
    more, alpha = (
        number([found["at_least"]["value"] for found in reached], 3),
        number([found["alpha"] for found in reached]),
    )
    missed = f"; {len(rows) - len(reached)} of {len(rows)} seeds never" if len(reached) < len(rows) else ""
    return f"{show([found['target_change'] for found in reached])} ({more}; {alpha}{missed})"


def chosen(groups: dict) -> str:
    lines = []
    for count in COUNTS:
        for name, by_count in listed(groups):
            rows = [row["chosen"] for row in by_count.get(count, [])]
            if rows:
                rates = [
                    show([row[key] for row in rows])
                    for key in ("target_change", "true_change", "digits_kept", "identity")
                ]
                plain = [number([row[key] for row in rows]) for key in ("added_ink", "norm")]
                says = number([row["latent_change"]["value"] for row in rows], 3)
                lines.append(
                    [
                        f"{count - 1} to {count}",
                        name,
                        number([row["alpha"] for row in rows]),
                        *rates,
                        *plain,
                        says,
                    ]
                )
        if rows := [row for by_count in groups.values() for row in by_count.get(count, [])][:1]:
            read = show(
                [rows[0]["chosen"]["no_edit"]]
            )  # as n + 1 though nothing was edited: the same for all
            lines.append([f"{count - 1} to {count}", "no edit", "0", read, read, "", "1", "0", "0", "0"])
    head = [
        "edit",
        "method",
        "alpha",
        "changed",
        "true",
        "digits kept, of changed",
        "identity",
        "added ink",
        "norm",
        "codes say",
    ]
    adapted = sorted(
        ADAPTED.keys() & {rows[0]["method"] for by_count in groups.values() for rows in by_count.values()}
    )
    told = "; ".join(f"{METHODS[method]} ({ADAPTED[method]})" for method in adapted)
    return f"""## At the best strength

alpha as chosen on validation pictures. *Identity*: cosine of judge features of the old digits' places. *Added ink*: the brightness that was
added, where an old digit's is 1 (a judge may read a digit in an outline, too). *Norm*: how far the code moves. *Codes say*: target change in
the eyes of the classifier of codes.

{table(head, lines)}{
        f'''

Adapted from their papers: {told}.'''
        if told
        else ""
    }"""


def matched_change(groups: dict) -> str:
    """What is preserved where the curves reach the same target change."""
    lines = []
    for count in COUNTS:
        for name, by_count in listed(groups):
            rows = by_count.get(count, [])
            cells = [
                _matched(rows, key, wanted)
                for wanted in MATCHED
                for key in ("digits_kept", "identity", "norm")
            ]
            if rows:
                lines.append([f"{count - 1} to {count}", name, *cells])
    head = [
        "edit",
        "method",
        *(f"{key}, at {wanted}" for wanted in MATCHED for key in ("digits kept", "identity", "norm")),
    ]
    return f"""## At the same target change

Interpolated on curves of alpha from 0 to twice the best strength, at the first alpha with that target change; *never*: none of these reaches it.

{table(head, lines)}"""


def _matched(rows: list[dict], key: str, wanted: float) -> str:
    values = []
    for row in rows:
        points = [point for point in row["curve"] if point[key] is not None]
        columns = {
            name: torch.tensor([point[name] for point in points], dtype=torch.float64)
            for name in ("alpha", "target_change", key)
        }
        if len(points) > 1:
            values.append(matched(columns["alpha"], columns["target_change"], columns[key], wanted))
    reached = [value for value in values if value is not None]
    few = f" ({len(reached)} of {len(rows)})" if 0 < len(reached) < len(rows) else ""
    return number(reached, 1 if key == "norm" else 3) + few if reached else "never"


def matched_strength(groups: dict) -> str:
    """Target change at alpha = 1, and where the code moves as far as LW's best edit does."""
    ours, lines = best(groups, "lw"), []
    for name, by_count in listed(groups):
        cells = []
        for at in (
            lambda row, count: 1.0,
            lambda row, count: _alpha_of_norm(row, mean([r["chosen"]["norm"] for r in ours[count]])),
        ):
            cells += [
                _changed_at(by_count.get(count, []), at, count) if count in ours else "none"
                for count in COUNTS
            ]
        lines.append([name, *cells])
    names = [f"{count - 1} to {count}" for count in COUNTS]
    return f"""## At the same strength

Target change at alpha = 1 (each method's own unit: LW and LT are trained there, directions reach the mean target code as nearly as they
can), and where the code moves as far as by LW at its best strength. Interpolated; *beyond*: outside of the curve.

{table(["method", *(f"{name}, alpha 1" for name in names), *(f"{name}, LW's norm" for name in names)], lines)}"""


def _changed_at(rows: list[dict], at: Callable[[dict, int], float], count: int) -> str:
    values = []
    for row in rows:
        alphas, changes = (
            torch.tensor([point[key] for point in row["curve"]], dtype=torch.float64)
            for key in ("alpha", "target_change")
        )
        if (alpha := at(row, count)) <= alphas[-1]:
            values.append(value_at(alphas, changes, alpha))
    few = f" ({len(values)} of {len(rows)})" if 0 < len(values) < len(rows) else ""
    return number(values, 3) + few if values else "beyond" if rows else "none"


def _alpha_of_norm(row: dict, norm: float) -> float:
    """The norm is proportional to alpha."""
    return row["chosen"]["alpha"] * norm / row["chosen"]["norm"]


def oracle(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        for name, what in (
            ("pictures", "the pasted pictures themselves"),
            ("codes", "encoded and generated"),
        ):
            rates = [
                show([row[name][key]]) for key in ("target_change", "true_change", "digits_kept", "identity")
            ]
            lines.append([f"{row['asked'] - 1} to {row['asked']}", what, *rates])
        lines.append(
            [
                f"{row['asked'] - 1} to {row['asked']}",
                "other pictures' digits",
                "",
                "",
                "",
                show([row["identity_of_others"]]),
            ]
        )
    return f"""## What is possible at all

Real pictures into which one more real digit was pasted. Read as they are they show the judge's own errors; encoded and generated, what an
edit of codes can reach at most with these nets; the rest is the edit's. *Other pictures' digits*: the identity of a picture with the next
one's digits, the least that it means.

{table(["edit", "what", "changed", "true", "digits kept, of changed", "identity"], lines)}"""


def judges(found: dict) -> str:
    """Below every table: how far its readers can be trusted."""
    judge, encoder, calibrator = found["judge"], found["encoder"], found["encoder"]["calibrator_accuracy"]
    real, encoded = (
        (judge["test_count_accuracy"], judge["test_digits_accuracy"]),
        (encoder["count_kept"], encoder["digits_kept"]),
    )
    return (
        f"*Judge of pictures*: counts {real[0]:.3f} of real test pictures right and names all digits of {real[1]:.3f}; of their reconstructions"
        f" {encoded[0]['value']:.3f} and {encoded[1]['value']:.3f}. *Classifier of codes*: {calibrator['value']:.3f} of test codes."
    )


def nets(found: dict) -> str:
    judge, generator, encoder, calibrator = (
        found["judge"],
        found["generator"],
        found["encoder"],
        found["calibrator"],
    )
    lines = [
        ["judge", "count right on real pictures", f"{judge['test_count_accuracy']:.4f}"],
        ["judge", "every digit right on real pictures", f"{judge['test_digits_accuracy']:.4f}"],
        ["judge", "count right on reconstructions", show([encoder["count_kept"]])],
        ["judge", "every digit right on reconstructions", show([encoder["digits_kept"]])],
        ["classifier of codes", "right on validation codes (always the commoner answer)", f"{calibrator['accuracy']:.4f} ({calibrator['commoner_answer']:.4f})"],
        ["classifier of codes", "all three answers right on test codes", show([encoder["calibrator_accuracy"]])],
        ["generator", f"shares of 1, 2, 3, 4 digits among {generator['samples']} samples", ", ".join(f"{share:.3f}" for share in generator["count_shares"])],
        ["generator", "confident single digits (real pictures)", f"{generator['legible_singles']:.3f} ({generator['legible_singles_real']:.3f})"],
        ["generator", "Frechet distance / variance of judge features (real against real)",
         f"{generator['relative_frechet_distance']:.4f} ({generator['relative_frechet_distance_real']:.4f})"],
        ["encoder", "pixel error as a share of a blank picture's", f"{encoder['pixel_error']:.4f}"],
    ]  # fmt: skip
    return f"## Nets and judges\n\n{table(['net', 'figure', 'value'], lines)}"


def sweep(groups: dict, method: str, title: str) -> str:
    """All settings of a method, if there are several: chosen by the left number, judged by the right ones."""
    settings = {
        setting: by_count
        for setting, by_count in groups.items()
        if next(iter(by_count.values()))[0]["method"] == method
    }
    lines = []
    for setting, by_count in settings.items() if len(settings) > 1 else ():
        for count, rows in sorted(by_count.items()):
            figures = [show([row["chosen"][key] for row in rows]) for key in ("target_change", "true_change")]
            validation = number([row["validation_true_change"] for row in rows], 3)
            cells = [
                f"{count - 1} to {count}",
                setting,
                number([row["chosen"]["alpha"] for row in rows]),
                validation,
                *figures,
            ]
            lines.append([*cells, _calibrated(rows)])
    head = [
        "edit",
        "setting",
        "alpha",
        "true (validation, selector)",
        "changed",
        "true",
        "changed where codes say 100%",
    ]
    return f"## {title}\n\n{table(head, sorted(lines, key=lambda line: line[0]))}" if lines else ""
