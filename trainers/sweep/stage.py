"""Stage: learn and measure all edits of a table, on this machine or on a Ray cluster.

    python -m trainers sweep TABLE.yaml --run ../runs/shoes --dry-run
    python -m trainers sweep TABLE.yaml --run ../runs/shoes
    RAY_ADDRESS=HOST:6379 python -m trainers sweep TABLE.yaml --run RUNS --engine ray

A cell of the table is one edit: it is learned, its alpha is chosen, it is measured. Cells that are finished
stay as they are when the command is repeated. A cell that fails is tried once more at the end.
RUNS/sweep.jsonl has a line per cell: what it cost and its figures, or its traceback. docs/scale.md shows
clusters and costs.
"""

import functools
import json
import shlex
import sys
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Literal

from tqdm import tqdm
from tyro.conf import Positional

from lwgan.files import CONFIG
from trainers import evaluate, run
from trainers.__main__ import parse, stage_named
from trainers.register import register
from trainers.sweep import engines
from trainers.sweep.cell import inputs_of, learn, learn_away, write
from trainers.sweep.table import Cell, Table, placed, read_table, words_of

LINES = "sweep.jsonl"


@dataclass(frozen=True)
class Options:
    """Learn and measure all edits of a table."""

    table: Positional[Path]
    """A YAML file like those in trainers/runs; trainers/sweep/table.py explains it."""
    run: Path
    """RUNS: the folder in which the table's paths lie. Edits are written to RUNS/edits."""
    engine: Literal["local", "ray"] = "local"
    """Processes of this machine, or a Ray cluster: that at RAY_ADDRESS, else that of this machine."""
    dry_run: bool = False
    """Only show the cells, and how long they take."""


def main(options: Options) -> None:
    table, root = read_table(options.table), options.run
    cells = table.cells()
    done, lines = finished(cells, root), read_lines(root)
    todo = [cell for cell in cells if cell.name not in done]
    print(f"{len(cells)} cells, {len(done)} are finished")
    if options.dry_run:
        show(todo, lines)
        return
    run.lock(root / "edits")
    prepare(table, root)
    failed = sweep(todo, root, options.engine)
    if learned := [cell for cell in cells if cell not in failed]:
        report(table, learned, root)
    if failed:
        raise ValueError(f"{len(failed)} cells failed, first {failed[0].name}: {root / LINES} has their "
                         "tracebacks; the same command tries them again")  # fmt: skip


def prepare(table: Table, root: Path) -> None:
    """Runs the commands that come before the cells."""
    for command in table.prepare:
        words = placed(words_of(command), root)
        with run.typed(words):
            stage_named(words[0]).main(parse(words))


def report(table: Table, cells: Iterable[Cell], root: Path) -> None:
    """Registers the edits, then makes the tables of their figures."""
    words = placed(words_of("evaluate " + table.evaluate), root)
    options = parse(words)
    for cell in cells:
        register(root / "edits" / cell.name, options.registry / f"{table.model}-{cell.name}")
    with run.typed(words):
        evaluate.main(options)


# Cells


def sweep(todo: Sequence[Cell], root: Path, engine: str) -> list[Cell]:
    """Runs cells, those that fail once more; returns those that failed again."""
    for attempt in (1, 2):
        failed = []
        for cell, outcome in tqdm(outcomes(todo, root, engine), "cells", len(todo), mininterval=5):
            if isinstance(outcome, BaseException):
                failed.append(cell)
                said = "".join(traceback.format_exception(outcome))
                outcome = {"edit": cell.name, "attempt": attempt, "error": said}
                print(f"{cell.name} failed: {said.strip().splitlines()[-1]}", file=sys.stderr)
            with (root / LINES).open("a") as file:
                file.write(json.dumps(outcome) + "\n")
        todo = failed
    return failed


def outcomes(todo: Sequence[Cell], root: Path, engine: str) -> Iterator[tuple[Cell, dict | BaseException]]:
    """Each cell with its line, or with what ended it, as they end."""
    if not todo:
        return
    if engine == "local":
        yield from engines.local(functools.partial(learn, root=root), todo, engines.slots_of(todo[0]))
        return
    for cell, outcome in engines.on_ray(learn_away, todo, functools.partial(inputs_of, root=root)):
        if not isinstance(outcome, BaseException):
            outcome, files = outcome
            for path in sorted(files, key=lambda path: path.endswith(CONFIG)):  # last: then all is there
                write(root / path, files[path])
        yield cell, outcome


def finished(cells: Sequence[Cell], root: Path) -> set[str]:
    """The names of the cells that need not run. ValueError if an edit there was made by another command."""
    measured = {line["edit"] for line in read_lines(root) if "error" not in line}
    found = set()
    for cell in cells:
        path = root / "edits" / cell.name / CONFIG
        if not path.exists():
            continue
        made, wanted = json.loads(path.read_text())["training"]["command"], run.said(placed(cell.words, root))
        if made != wanted:
            raise ValueError(f"{path.parent} was made by `{made}`, the table says `{wanted}`: "
                             "name the row otherwise, or delete the folder")  # fmt: skip
        if cell.name in measured:
            found.add(cell.name)
    return found


def read_lines(root: Path) -> list[dict]:
    """The lines of earlier sweeps; one that was torn is left out."""
    found = []
    for line in (root / LINES).read_text().splitlines() if (root / LINES).exists() else ():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def show(todo: Sequence[Cell], lines: Sequence[dict]) -> None:
    """Prints cells, and how long they will take by what finished cells of the same method took."""
    for cell in todo:
        print(shlex.join(["python", "-m", "trainers", *cell.words]))
    took, slots = defaultdict(list), engines.slots_of(todo[0]) if todo else 1
    for line in lines:
        if "seconds" in line:
            took[line["method"]].append(line["seconds"] + line["seconds_measuring"])
    if not took:
        print("no cell has finished yet, so there is no estimate")
        return
    means = {method: mean(seconds) for method, seconds in took.items()}
    hours = sum(means.get(cell.method, mean(means.values())) for cell in todo) / 3600
    print(f"{hours:.2f} hours one after another, {hours / slots:.2f} hours with {slots} at once")
