"""What one cell of a sweep does: it learns an edit, chooses its alpha and measures it."""

import contextlib
import functools
import io
import resource
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from lwgan.files import CONFIG, EDIT_KINDS, atomic
from lwgan.hub import registry
from trainers import edit, evaluate, run
from trainers.__main__ import parse
from trainers.evaluate.bench import Bench, check_edit, folders_of
from trainers.shards import load_dataset
from trainers.sweep.engines import scratch
from trainers.sweep.table import RUNS, Cell, placed

# What a cell reads of the folders that it names: not their checkpoints, and not the pictures of training.
READ = ("config.json", "dataset.json", "model.safetensors", "train.safetensors", "validation.safetensors",
        "test-*.safetensors", "validation-*.safetensors")  # fmt: skip
WRITTEN = ("*.json", "*.jsonl", "model.safetensors")
HEADLINE = ("alpha", "target_change", "others_kept", "all_kept", "true_change")


def learn(cell: Cell, root: Path) -> dict:
    """Learns, chooses and measures an edit in root/edits/NAME, as far as that is not done; returns its line
    of sweep.jsonl. The same cell gives the same model, wherever it runs."""
    torch.set_num_threads(cell.cores)
    threadpool_limits(cell.cores)
    words, begun = placed(cell.words, root), time.perf_counter()
    with run.typed(words), silenced():
        options = parse(words)
        if not (options.run / CONFIG).exists():
            edit.main(options)
    learned, measuring = time.perf_counter(), placed(cell.evaluate, root)
    with run.typed(measuring), silenced():
        measured = measure(options.run, parse(measuring))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"edit": cell.name, "method": cell.method, "command": run.said(words),
            "seconds": round(learned - begun, 1),
            "seconds_measuring": round(time.perf_counter() - learned, 1),
            "peak_mb": round(peak), "host": socket.gethostname(), **measured}  # fmt: skip


def measure(folder: Path, options: evaluate.Options) -> dict:
    """The figures of an edit on test pictures at its recommended alpha, after they were written into its
    folder. {"not_measured": reason} if there are no test pictures for it. ValueError if a reader that is to
    measure it had a part in it."""
    bench = bench_of(options)
    config = registry.load_model(folder, EDIT_KINDS)[0]
    check_edit(folder.name, config, bench.revisions)
    try:
        bench.cases(config["change"]["name"])
    except ValueError as error:
        return {"not_measured": str(error)}
    chosen = evaluate.metrics_of(bench, folder, options)["chosen"]
    value = lambda figure: figure["value"] if isinstance(figure, Mapping) else figure
    return {key: value(chosen[key]) for key in HEADLINE if chosen.get(key) is not None}


@functools.lru_cache(maxsize=1)
def bench_of(options: evaluate.Options) -> Bench:
    """The nets and pictures that measure; opened once a process."""
    return evaluate.open_bench(options)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Without the bars of many cells at once, and without locks that outlive the cell."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            yield
        finally:
            run.release()


# On machines that do not share a disk


def inputs_of(cell: Cell, root: Path) -> dict[str, Path]:
    """The files that a cell reads, by their paths below the root."""
    named = [word for flag, word in zip(cell.words, cell.words[1:], strict=False) if flag != "--run"]
    folders = [root / word.removeprefix(f"{RUNS}/") for word in named if word.startswith(f"{RUNS}/")]
    folders += measuring(cell.evaluate, root)
    return {name: root / name for folder in folders for name in files_in(folder, READ, root)}


@functools.cache
def measuring(words: tuple[str, ...], root: Path) -> list[Path]:
    """The folders from which cells are measured: pictures, nets and readers."""
    options = parse(placed(words, root))
    nets = folders_of(options.registry, load_dataset(options.data)[0].name)
    return [options.data, *nets.values()]


def files_in(folder: Path, patterns: Sequence[str], root: Path) -> list[str]:
    """The files of a folder whose names match a pattern, as paths below the root."""
    found = {path for pattern in patterns for path in folder.resolve().glob(pattern)}
    return sorted(str(path.relative_to(root.resolve())) for path in found)


def learn_away(cell: Cell, key: str, inputs: Mapping[str, Any]) -> tuple[dict, dict[str, bytes]]:
    """`learn` in a worker of Ray: its line, and the files that it wrote, by their paths below the root.

    inputs: path -> reference to a file in Ray's store. A machine fetches each once, into `scratch(key)`."""
    import ray

    root = scratch(key)
    for path in [path for path in inputs if not (root / path).exists()]:
        write(root / path, ray.get(inputs[path]))
    folder = root / "edits" / cell.name
    try:
        line = learn(cell, root)
        return line, {path: (root / path).read_bytes() for path in files_in(folder, WRITTEN, root)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write(path: Path, data: bytes) -> None:
    """Writes a file, whole or not at all."""
    with atomic(path) as partial:
        partial.write_bytes(data)
