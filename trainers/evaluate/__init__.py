"""Stage: the paper's evaluation (Sec. 4.2) on test pictures, which no training or choice of an edit saw.

    python -m trainers evaluate --data RUNS/data --registry RUNS/registry --run RUNS/results
    python -m trainers evaluate --tables                      # tables and curves of docs/results/*.csv again

Each edit's figures go into its metrics.json and config.json. All of them go into one table, RUN/DOMAIN.csv,
from which alone RUN/DOMAIN.md and the curves are made. Figures of edits that are no longer at hand stay in it
as long as the nets are the same. Edits measured with the same nets and options are not measured again.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from lwgan.edit import AffineEdit
from lwgan.files import atomic
from lwgan.hub.registry import Entry
from lwgan.methods import METHODS
from lwgan.metrics import meets
from trainers import measure, run
from trainers.evaluate import figures, records, tables
from trainers.evaluate.bench import Bench, change_of, check_edit, edits_of

SCHEME = 3  # of metrics.json: figures of another are measured again
RANDOM = METHODS["random"]


@dataclass(frozen=True)
class Options:
    """Measure a registry folder's generator, encoder and edits with its judges; write tables and curves."""

    data: Path | None = None
    """Folder that `python -m trainers data` wrote."""
    registry: Path = Path("lwgan/bundled")
    """Folder of models: generator, encoder, edits, and any of the readers: judge, identity network,
    latent classifier. None of the readers may have had a part in an edit."""
    edits: tuple[str, ...] = ()
    """Names of the edits to measure; by default all of the data's domain."""
    run: Path = Path("docs/results")
    """Where DOMAIN.csv, DOMAIN.md and images/ go."""
    pictures: int = 1_000
    """Test pictures for each edit, at most; half as many validation pictures calibrate its alpha."""
    heldout: int = 3_000
    """Test pictures for the encoder and the judge, at most."""
    oracles: int = 200
    """Test pictures for each change whose ideal edit is made, at most, where the data set can make it."""
    samples: int = 10_000
    """Pictures to sample from the generator."""
    tables: bool = False
    """Measure nothing: make tables and curves of all CSV files in --run again."""
    device: str = "auto"


def main(options: Options) -> None:
    if options.tables:
        if not (paths := sorted(options.run.glob("*.csv"))):
            raise ValueError(f"{options.run} holds no CSV: name the folder that holds one (--run)")
        for path in paths:
            write(path)
        return
    if options.data is None:
        raise ValueError("--data is missing: the folder that `python -m trainers data` wrote")
    run.lock(options.run)
    bench = open_bench(options)
    entries = edits_of(options.registry, bench.domain.name, options.edits)
    for entry in entries:
        check_edit(entry.name, entry.config, bench.revisions)
    entries = measurable(bench, entries)
    order = [change.name for change in bench.domain.changes]
    results = records.Results(options.run / f"{bench.domain.name}.csv", bench.revisions, order)
    measure_nets(bench, results, options.samples)
    for entry in tqdm(entries, "edits"):
        measure_edit(bench, results, entry, options)
    changes = dict.fromkeys(change_of(entry).name for entry in entries)
    for name in changes:
        controls(bench, results, name)
    results.save()
    write(results.path)
    best = {name: best_of(bench, entries, name) for name in changes}
    figures.save_sheets(options.run / "images", bench, best)


def open_bench(options: Options) -> Bench:
    """What measures; see `Bench`."""
    device = run.device_of(options.device)
    return Bench(options.registry, options.data, options.pictures, options.heldout, options.oracles, device)


def measurable(bench: Bench, entries: list[Entry]) -> list[Entry]:
    """The edits for which there are test pictures; it prints the others. ValueError if there is none."""
    found, reason = [], None
    for entry in entries:
        try:
            bench.cases(change_of(entry).name)
            found.append(entry)
        except ValueError as error:
            reason = error
            print(f"{entry.name} is not measured: {error}")
    if not found:
        raise ValueError(f"no edit can be measured: {reason}")
    return found


def write(path: Path) -> None:
    """The tables and the curves of a CSV."""
    frame = records.read(path)
    with atomic(path.with_suffix(".md")) as partial:
        partial.write_text(tables.text(path.stem, frame))
    figures.save_curves(path.parent / "images", path.stem, frame)


def measure_nets(bench: Bench, results: records.Results, samples: int) -> None:
    found = bench.figures(samples)
    for kind, values in found.items():
        results.put_net(bench.folders[kind].name, kind, bench.revisions[kind], values)
        if kind in ("generator", "encoder"):
            known = bench.configs[kind].get("metrics") or {}
            records.update_config(bench.folders[kind], metrics=known | values)


def measure_edit(bench: Bench, results: records.Results, entry: Entry, options: Options) -> None:
    """Measures an edit and puts its figures into the table."""
    folder = Path(entry.source)
    results.put_edit(entry.name, entry.config, metrics_of(bench, folder, options))
    edit, cases = AffineEdit.from_pretrained(folder), bench.cases(change_of(entry).name)
    figures.save_strip(folder / "images" / "strip.png", edit, cases.w, bench.nets.generator)
    results.save()


def metrics_of(bench: Bench, folder: Path, options: Options) -> dict:
    """The figures of the edit in a folder. It is measured unless its metrics.json is of the same nets,
    pictures, options and recommended alpha. They are written there and into its config.json."""
    edit = AffineEdit.from_pretrained(folder)
    numbers = {key: getattr(options, key) for key in ("pictures", "heldout", "oracles")}
    of = {"scheme": SCHEME, **bench.revisions, **numbers, "edit": run.weights_hash(folder),
          "labels": bench.labels_hash}  # fmt: skip
    metrics = records.kept(folder, of, edit.config["alpha"])
    if metrics is None:
        cases = bench.cases(edit.config["change"]["name"])
        ideal = bench.ideal(cases.change.name) if cases.change.kind == "place" else None
        metrics = {"of": of, "read_by": "judge" if bench.nets.judge else "codes", "command": run.command()}
        metrics |= measure.measured(edit, cases, bench.nets, bench.tuning(cases.change.name), ideal)
        records.write(folder, metrics, cases.change)
    return metrics


def controls(bench: Bench, results: records.Results, name: str) -> None:
    """What a change's edits are compared with: no edit, the ideal edit, and a random direction as long as
    they are (if none of them is one)."""
    cases, ideal = bench.cases(name), bench.ideal(name)
    already = meets(cases.seen.read, bench.nets.names, cases.change.target)
    found = {"no edit": {"target_change": measure.interval(already)}}
    if ideal is not None:
        for method, values in measure.bounds(bench.encoder, bench.nets, cases, ideal).items():
            found[method] = found.get(method, {}) | values
    if not results.has_edit(RANDOM, name):
        drawn = torch.randn(cases.w.shape[1:], generator=torch.Generator().manual_seed(0))
        edit = AffineEdit(None, drawn / drawn.norm() * results.mean_norm(name))
        values, _ = measure.figures(edit, 1.0, cases, bench.nets)
        found[RANDOM] = measure.summary(1.0, values)
    for method, values in found.items():
        results.put_control(name, method, values)


def best_of(bench: Bench, entries: list[Entry], name: str) -> dict[str, AffineEdit]:
    """Method -> the edit of a change with the most true changes on validation pictures."""
    found: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: records.validated(entry.config), reverse=True):
        if change_of(entry).name == name:
            found.setdefault(records.label(entry.config), entry)
    return {label: AffineEdit.from_pretrained(entry.source) for label, entry in found.items()}
