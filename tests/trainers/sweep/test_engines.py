"""Engines: cells that fail, die and are stopped, in processes of this machine."""

import functools
import multiprocessing
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tests.trainers.sweep.stubs import cell, work
from trainers.sweep import engines


def run(folder: Path, *names: str) -> dict:
    """Name -> outcome, with two cells at once."""
    found = engines.local(functools.partial(work, folder=folder), [cell(name) for name in names], 2)
    return {cell.name: outcome for cell, outcome in found}


def test_a_cell_that_fails_leaves_the_others_alone(tmp_path):
    found = run(tmp_path, "a", "fails", "b", "c")
    assert {name: found[name] for name in "abc"} == {"a": "A", "b": "B", "c": "C"}
    assert str(found["fails"]) == "fails is not what it seems"


def test_a_process_that_is_killed_takes_no_waiting_cell_with_it(tmp_path):
    names = ["dies-once", *(f"cell{i}" for i in range(6))]
    found = run(tmp_path, *names)
    assert found.keys() == set(names), "each cell ends"
    lost = [name for name in names if isinstance(found[name], BrokenProcessPool)]
    assert lost[0] == "dies-once" and len(lost) <= 2, "at most the other that ran"
    assert run(tmp_path, *lost) == {name: name.upper() for name in lost}


def test_who_stops_leaves_no_process(tmp_path):
    begun = time.monotonic()
    todo = [cell(name) for name in ("a", "sleeps1", "sleeps2", "b")]
    outcomes = engines.local(functools.partial(work, folder=tmp_path), todo, 2)
    assert next(outcomes) == (todo[0], "A")
    outcomes.close()
    assert not multiprocessing.active_children() and time.monotonic() - begun < 60


def begin(folder: Path) -> None:
    """A sweep of one cell that does not end."""
    run(folder, "sleeps")


def test_cells_end_with_a_sweep_that_is_killed(tmp_path):
    sweep = multiprocessing.get_context("spawn").Process(target=begin, args=(tmp_path,))
    sweep.start()
    while not (tmp_path / "sleeps").exists() or not (pid := (tmp_path / "sleeps").read_text()):
        time.sleep(0.05)
    sweep.kill()
    end = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


def test_a_machine_holds_as_many_cells_as_it_has_cores_and_memory(monkeypatch):
    monkeypatch.setattr(engines.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(engines.os, "sysconf", {"SC_PHYS_PAGES": 16_000_000, "SC_PAGE_SIZE": 1000}.get)
    needs = {(1, 1): 8, (3, 1): 2, (1, 5): 3, (1, 50): 1}  # cores and GB of a cell: cells at once in 16 GB
    assert {key: engines.slots_of(cell("a", cores=key[0], memory=key[1])) for key in needs} == needs
