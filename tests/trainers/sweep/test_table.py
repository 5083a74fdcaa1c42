"""Tables of cells: what a row means, what is refused, and the tables of the domains."""

import re
from pathlib import Path

import pandas as pd
import pytest

from trainers.__main__ import parse
from trainers.sweep.table import RUNS, placed, read_table

ROOT = Path(__file__).parents[3]
TABLES = ROOT / "trainers" / "runs"
HEAD = """
model: lwgan-shoes
edit: --codes RUNS/{codes} {method}
evaluate: --data RUNS/data --registry RUNS/methods --run RUNS/results
changes: [Laces, not-Flat_Heel]
pieces: {codes: codes, fast: {Laces: --steps 5, not-Flat_Heel: --steps 7}, weighed: "lw {fast} --blur {blur}"}
rows:
"""


def cells(tmp_path: Path, rows: str) -> dict[str, str]:
    """Name of each cell -> its command."""
    (tmp_path / "table.yaml").write_text(HEAD + rows)
    return {cell.name: " ".join(cell.words) for cell in read_table(tmp_path / "table.yaml").cells()}


def test_a_row_has_a_cell_for_each_change_and_value(tmp_path):
    row = "  lw-b{blur}: {method: '{weighed}', blur: [0.5, 1], codes: few}"
    found = cells(tmp_path, f"  mean: centroids\n{row}")
    of = lambda name, change, rest: f"edit --change {change} --run RUNS/edits/{name} --codes RUNS/{rest}"
    assert found == {
        "mean-laces": of("mean-laces", "Laces", "codes centroids"),
        "mean-not-flat-heel": of("mean-not-flat-heel", "not-Flat_Heel", "codes centroids"),
        "lw-b0-5-laces": of("lw-b0-5-laces", "Laces", "few lw --steps 5 --blur 0.5"),
        "lw-b0-5-not-flat-heel": of("lw-b0-5-not-flat-heel", "not-Flat_Heel", "few lw --steps 7 --blur 0.5"),
        "lw-b1-laces": of("lw-b1-laces", "Laces", "few lw --steps 5 --blur 1"),
        "lw-b1-not-flat-heel": of("lw-b1-not-flat-heel", "not-Flat_Heel", "few lw --steps 7 --blur 1"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("  lw: {method: 'lw --seed {seed}', seed: [0, 1]}", "two cells have the name lw-laces"),
        ("  lw: 'lw --seed {sede}'", "names the piece 'sede', which is missing"),
        ("  lw+: lw", r"lwgan-shoes-lw\+-laces: a name may have"),
        ("  [lw", "is no YAML"), ("", "is no table"),
        ("  a: b\nrow: {}", "unexpected keyword argument 'row'"),
    ],
)  # fmt: skip
def test_a_table_that_is_none_is_refused(rows, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        cells(tmp_path, rows)


def test_only_paths_below_runs_are_placed(tmp_path):
    words = ("edit", "--codes", "RUNS/codes", "RUNS", "xRUNS/y")
    assert placed(words, tmp_path) == ["edit", "--codes", str(tmp_path / "codes"), "RUNS", "xRUNS/y"]


# Names in docs/results that are of before: without the prefix, of seed 0 without its number, other words.
OLD = ((r"^lwgan-[a-z]+-", ""), ("guidedstyle", "guided"), ("lw-paper-step", "lw-paper"),
       (r"^lw-sinkhorn-", "lw-s1-"), (r"^(lt|interfacegan|random)-(?=\dto)", r"\1-s0-"),
       (r"^(lt-r[\d-]+?)-(?=\dto)", r"\1-s0-"), (r"^lw-(?=\dto)", "lw-kappa2-"))  # fmt: skip


@pytest.mark.parametrize("domain", ["multimnist", "multimnist128", "synthfaces", "letters"])
def test_every_edit_of_the_results_has_its_cell(domain):
    names = {cell.name for cell in read_table(TABLES / f"{domain}.yaml").cells()}
    results = ROOT / "docs" / "results" / f"{domain}.csv"
    frame = pd.read_csv(results, dtype=str, keep_default_na=False)
    for edit in set(frame[frame["at"] != ""]["edit"]) - {""}:
        for pattern, new in OLD if domain == "multimnist" else OLD[:3]:
            edit = re.sub(pattern, new, edit)
        assert edit in names


@pytest.mark.parametrize("path", sorted(TABLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_stages_understand_every_command_of_a_table(path):
    table = read_table(path)
    for command in table.prepare:
        parse(command.split())
    for cell in {cell.method: cell for cell in table.cells()}.values():  # to parse all takes a minute
        parse(list(cell.words))
    measuring = parse(["evaluate", *table.evaluate.split()])
    assert all(RUNS in str(folder) for folder in (measuring.data, measuring.registry, measuring.run))
