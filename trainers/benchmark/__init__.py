"""Speed, memory and accuracy of the networks beside the community's own code, and the speed of the page.

python -m trainers benchmark generator --peers ../peers --report docs/speed.md
python -m trainers benchmark encoder --peers ../peers
python -m trainers benchmark app --report docs/speed-app.md
python -m trainers benchmark teach --turns 5
"""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from lwgan.files import atomic


@dataclass(frozen=True)
class Options:
    """Measure the generator (StyleGAN2 config-f) or the encoder (pSp's) with random weights, or the page."""

    network: Positional[Literal["generator", "encoder", "app", "teach"]] = "generator"
    sizes: tuple[int, ...] = (128, 256, 1024)
    """Sides of the generator's pictures, px."""
    batches: tuple[int, ...] = (1, 4)
    threads: tuple[int, ...] = (1, 2)
    turns: int = 5
    """Times that each implementation is timed, after one untimed call; lessons of each size."""
    peers: Path | None = None
    """Folder with checkouts of stylegan2-pytorch, stylegan2-ada-pytorch, pixel2style2pixel (or some)."""
    device: str = "auto"
    report: Path | None = None
    """File to write the table to, as Markdown."""
    moves: int = 40
    """Of the app: moves of a slider that are timed."""
    seconds: float = 20
    """Of the app: how long 16 clients send requests."""
    long_seconds: float = 180
    """Of the app: how long 64 clients send requests."""


def main(options: Options) -> None:
    """Measures, prints a table and writes it to `report`."""
    from trainers.benchmark import app, lessons, networks  # here, since networks also runs as a script

    machine = f"{processor()}, {os.cpu_count()} cores"
    measure = {"app": app.measure, "teach": lessons.measure}.get(options.network, networks.measure)
    text = ""
    for text in measure(options, machine):  # a table after each case: a failure does not lose the others
        if options.report:
            with atomic(options.report) as partial:
                partial.write_text(text)
    print(text)


def processor() -> str:
    """The CPU's name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
