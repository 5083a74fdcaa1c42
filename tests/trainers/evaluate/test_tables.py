"""Which edits stand in the tables, and what a cell says; pages in docs/results are what their CSVs give."""

from pathlib import Path

import pandas as pd
import pytest

from trainers.evaluate import records, tables

RESULTS = Path(__file__).parents[3] / "docs" / "results"


def row(edit: str, method: str, at: str, metric: str, value: float, change: str = "Hat", **more) -> dict:
    return {"edit": edit, "method": method, "setting": "", "change": change, "at": at, "metric": metric,
            "value": value} | more  # fmt: skip


def frame(tmp_path: Path, *rows: dict) -> pd.DataFrame:
    records.write_rows(tmp_path / "toys.csv", rows)
    return records.read(tmp_path / "toys.csv")


def test_a_method_shows_the_setting_that_validation_chose_among_those_with_most_seeds(tmp_path):
    rows = []
    for setting, seeds, validation in (
        ("lucky", 1, 0.9),
        ("good", 2, 0.7),
        ("bad", 2, 0.6),
        ("study: more", 3, 0.99),
    ):
        for seed in range(seeds):
            name = f"{setting}-{seed}"
            rows.append(row(name, "LW", "validation", "true_change", validation, setting=setting))
            rows.append(
                row(
                    name,
                    "LW",
                    "chosen",
                    "target_change",
                    0.5 + 0.1 * seed,
                    setting=setting,
                    low=0.4,
                    high=0.7,
                )
            )
    rows.append(row("", "no edit", "chosen", "target_change", 0.01))
    best = tables.with_best_settings(frame(tmp_path, *rows))
    assert set(best["setting"]) == {"good", ""}
    text = tables.recommended(best)
    assert "| Hat | LW |  | 0.550 (2) [0.400, 0.700] |" in text
    assert text.index("no edit") < text.index("LW"), "controls come first"
    assert "study: more | 3 |" in tables.settings(frame(tmp_path, *rows))


def test_methods_stand_in_their_order(tmp_path):
    names = ("random direction", "new", "mean shift, masses match", "LT*", "LW (paper)", "LW", "oracle")
    found = tables.methods_of(frame(tmp_path, *[row("", name, "chosen", "norm", 1.0) for name in names]))
    assert found == [
        "oracle",
        "LW",
        "LW (paper)",
        "LT*",
        "mean shift, masses match",
        "random direction",
        "new",
    ]


def test_a_cell_says_who_never_gets_there(tmp_path):
    edits = [(method, seed) for method in ("LW", "LT") for seed in (0, 1)]
    rows = [row(f"{method}-{seed}", method, "chosen", "norm", 1.0, change)
            for method, seed in edits for change in ("Hat", "Beard", "Smile")]  # fmt: skip
    rows += [row(f"LW-{seed}", "LW", "matched", "identity", 0.8 + seed / 10, change)
             for seed in (0, 1) for change in ("Hat", "Smile")]  # fmt: skip
    rows += [row("LT-0", "LT", "matched", "identity", 0.6, "Beard")]
    rows += [row(f"LT-{seed}", "LT", "matched", "identity", 0.5, change)
             for seed in (0, 1) for change in ("Hat", "Smile")]  # fmt: skip
    lines = tables.by_change(frame(tmp_path, *rows), "matched", "identity").splitlines()
    assert lines[0] == "| method | Hat | Beard | Smile | mean |"
    assert lines[2:] == [
        "| LW | 0.850 | never | 0.850 | 0.850 |",
        "| LT | 0.500 | 0.600 (1 of 2) | 0.500 | 0.500 |",
    ]
    assert tables.by_change(frame(tmp_path, *rows), "matched", "leakage") == ""


def test_the_papers_average_is_taken_from_d_to_2d(tmp_path):
    # Target change is alpha / 2, so that d = 1. The mean from 1 to 2 of 1 - alpha / 10 is .85.
    rows = [row("lw", "LW", "chosen", "norm", 1.0), row("lt", "LT", "chosen", "norm", 1.0)]
    for alpha in (0.0, 0.5, 2.0):
        rows.append(row("lw", "LW", "curve", "target_change", alpha / 2, alpha=alpha))
        rows.append(row("lw", "LW", "curve", "others_kept", 1 - alpha / 10, alpha=alpha))
        rows.append(row("lt", "LT", "curve", "target_change", 0.0, alpha=alpha))
    text = tables.averaged(frame(tmp_path, *rows))
    assert "| LW | 0.750 |" in text and "| LW | 0.850 |" in text and "| LT | never |" in text


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.csv")), ids=lambda path: path.stem)
def test_pages_are_what_their_csvs_give(path):
    assert path.with_suffix(".md").read_text() == tables.text(path.stem, records.read(path))
