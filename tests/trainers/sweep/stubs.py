"""Stands for the work of a cell, by the cell's name. Child processes import it from here."""

import os
import signal
import time
from pathlib import Path

from trainers.sweep.table import Cell


def cell(name: str, **needs) -> Cell:
    return Cell(name, (), (), **needs)


def work(cell: Cell, folder: Path) -> str:
    """Names: "fails..." raises, "dies..." kills its process, "dies-once..." does so the first time only."""
    seen = folder / cell.name
    again = seen.exists()
    seen.write_text(str(os.getpid()))
    if cell.name.startswith("fails"):
        raise ValueError(f"{cell.name} is not what it seems")
    if cell.name.startswith("dies-once") and not again:
        os.kill(os.getpid(), signal.SIGKILL)
    if cell.name.startswith("sleeps"):
        time.sleep(120)
    return cell.name.upper()
