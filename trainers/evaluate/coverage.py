"""Stage: what a way of learning makes of a choice, such as which digit to add, and where.

    python -m trainers coverage --name "kappa 1.5" --codes R/codes --registry R/registry \
        --report docs/results/coverage.md lw --kappa 1.5 --starts 1

Learns each change from several seeds and reads the edits at alpha 1, as they were trained, in the first test
pictures, by a judge of counts that took no part. The pictures show objects on black. What was measured before
stays and is not measured again."""

import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lwgan.domain import Change
from lwgan.files import atomic
from lwgan.judges import CountJudge, Judge
from lwgan.metrics import readings
from trainers import run
from trainers.codes import Codes, load_codes
from trainers.edit import AnyMethod
from trainers.edits.base import Method, Splits, generator_for
from trainers.edits.latent_wasserstein import LatentWasserstein
from trainers.evaluate.bench import folders_of
from trainers.measure import Nets, Seen, means, see
from trainers.shards import labels_of

REAL = "real pictures"  # the first line of the tables
RATES = ("target_change", "true_change")


@dataclass(frozen=True)
class Options:
    """Learn edits in one more setting and write the table of all settings."""

    name: str
    """What the table calls the setting. Its row is in the place in which it was first measured."""
    codes: Path
    """Folder that `python -m trainers codes` wrote."""
    registry: Path
    """Folder of models: the generator and the judge of counts."""
    report: Path
    """Markdown file to write. The figures lie beside it, as JSON lines."""
    seeds: tuple[int, ...] = (0, 10, 20)
    pictures: int = 250
    method: AnyMethod = field(default_factory=LatentWasserstein)
    """How the edits are learned, and the method's own options."""


class Bench:
    """Codes, nets and, for each change, test cases."""

    def __init__(self, options: Options):
        splits = {split: load_codes(options.codes, split)[0] for split in ("train", "validation", "test")}
        folders = folders_of(options.registry, splits["test"].domain.name)
        if "judge" not in folders:
            raise ValueError(f"{options.registry} holds no judge")
        self.codes = Splits(splits["train"], splits["validation"], folders["generator"])
        self.test, self.pictures = splits["test"], options.pictures
        self.nets = Nets(generator_for(self.codes), judge=Judge.from_pretrained(folders["judge"]))
        if not isinstance(self.nets.judge, CountJudge):
            raise ValueError(f"{folders['judge']} does not count objects")
        self.cases: dict[str, tuple[Codes, Seen]] = {}

    def cases_of(self, change: Change) -> tuple[Codes, Seen]:
        """The first test codes of the source, and what is seen in their pictures."""
        if change.name not in self.cases:
            source = self.test.source(change)
            source = source.where(torch.arange(len(source)) < self.pictures)
            self.cases[change.name] = source, see(self.nets, source.w, keep=True)
        return self.cases[change.name]

    def measure(self, method: Method, change: Change) -> dict:
        """Learns one edit. seconds: of one CPU thread.  variance: of edited codes as a share of the target's.
        classes, layouts: how often each answer is given, of the pictures that changed."""
        (source, before), method = self.cases_of(change), method.resolved(change)
        method.check(self.codes, change)
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            edit = method.fit(self.codes, change, Path(folder))
            seconds = time.process_time() - start
        edited, target, judge = edit(source.w, 1.0), self.test.target(change).w, self.nets.judge
        after, labels = see(self.nets, edited, keep=True), labels_of(source, judge.names)
        read = readings(before.read, after.read, judge.names, change, labels)
        more, changed = added(before.read, after.read, judge.most)
        layout = layouts(before.pictures, after.pictures)[changed]
        shares = {"classes": more[changed].int().argmax(1), "layouts": layout}
        row = {"n": len(source)} | means(1.0, {key: read[key] for key in RATES if len(read[key])})
        row |= {key: (of.bincount() / len(of)).tolist() for key, of in shares.items() if len(of)}
        return row | {"variance": (edited.var(0).sum() / target.var(0).sum()).item(), "seconds": seconds}

    def real(self, change: Change) -> dict:
        """The answers that real pictures of the target show."""
        w = self.test.target(change).w[: self.pictures]
        seen = see(self.nets, w, keep=True)
        classes = seen.read.unflatten(1, (-1, self.nets.judge.most))[:, 1:].sum((0, 2))
        layout = layouts(seen.pictures)
        return {"n": len(w), "classes": (classes / classes.sum()).tolist(),
                "layouts": (layout.bincount() / len(w)).tolist(), "variance": 1.0}  # fmt: skip


def added(before: Tensor, after: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Which class has one object more: bool [N, classes]; and bool [N]: there is one object more in all.
    before, after: bool [N, (classes + 1) * most], readings of a `CountJudge`."""
    counts = [read.unflatten(1, (-1, most)).sum(2) for read in (before, after)]
    more = counts[1] - counts[0]
    return more[:, 1:] > 0, (more[:, 0] == 1) & (more[:, 1:] > 0).any(1)


def layouts(before: Tensor, after: Tensor | None = None) -> Tensor:
    """int64 [N]: which quarters of pictures [N, C, H, W] are full, as a sum of 1, 2, 4 and 8: those brighter
    than a fifth of the mean quarter and, after an edit, that which gained most."""
    light = quarters(before)
    full = light > light.mean(1, keepdim=True) / 5
    if after is not None:
        full[torch.arange(len(full)), (quarters(after) - light).argmax(1)] = True
    return (full * 2 ** torch.arange(4)).sum(1)


def quarters(x: Tensor) -> Tensor:
    """The mean brightness of the quarters of pictures [N, C, H, W] in [-1, 1]: [N, 4], from 0 to 1."""
    return F.adaptive_avg_pool2d((x.mean(1, keepdim=True) + 1) / 2, 2).flatten(1)


def main(options: Options) -> None:
    """Measures what has not been measured yet, and writes the report. ValueError for a name that was measured
    with other options."""
    path = options.report.with_suffix(".jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    for row in rows:
        if row["name"] == options.name and row["method"] != (given := settings(options.method)):
            raise ValueError(f"{path}: {options.name!r} was measured with {row['method']}, not with {given}")
    done = {(row["name"], row["change"], row["seed"]) for row in rows}
    bench = Bench(options)
    changes = [change for change in bench.test.domain.changes if change.kind == "choice"]
    wanted = [(REAL, None, None)] + [(options.name, *each) for each in seeded(options.method, options.seeds)]
    for name, seed, method in wanted:
        for change in changes:
            if (name, change.name, seed) in done:
                continue
            found = bench.measure(method, change) if method else bench.real(change)
            rows.append(
                {"name": name, "change": change.name, "seed": seed, "method": settings(method)} | found
            )
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rounded(rows[-1])) + "\n")
    with atomic(options.report) as partial:
        partial.write_text(report(rows), "utf-8")


def seeded(method: Method, seeds: Sequence[int]) -> list[tuple[int | None, Method]]:
    """The method from each seed; once, with the seed None, if it draws nothing."""
    if "seed" not in {each.name for each in fields(method)}:
        return [(None, method)]
    return [(seed, replace(method, seed=seed)) for seed in seeds]


def settings(method: Method | None) -> dict:
    """The options of a method that differ from its defaults, but for the seed."""
    given, default = (run.as_json(one) if one else {} for one in (method, method and type(method)()))
    return {key: value for key, value in given.items() if value != default[key] and key != "seed"}


def rounded(row: Mapping) -> dict:
    """A row whose numbers have four digits after the point."""
    near = lambda value: [round(each, 4) for each in value] if isinstance(value, list) else value
    return {key: round(value, 4) if isinstance(value, float) else near(value) for key, value in row.items()}


def answers(shares: Sequence[float]) -> float:
    """The exponential of the entropy of shares that sum to 1: n for n equal shares."""
    shares = torch.tensor(shares, dtype=torch.float64)
    return torch.xlogy(shares, shares).sum().neg().exp().item()


HEAD = """# Results: what a choice costs

Made by `python -m trainers coverage`; `trainers/runs` has the command of each line, and the figures of each
seed lie beside this file. Edits are read at alpha 1 in the first {n} test pictures, by a judge that took no
part. Figures are means of the seeds, whose number is in parentheses; *least* is the least *true* of them.

- *Changed*, *true*: target change and true change, as in the other results.
- *Layouts*, *classes*: how many answers are given, of the pictures with one object more: the exponential of
  the entropy of which quarters are full, and of which class the new object has. In the line *{real}*
  it is of all their objects.
- *Commonest*: the share of the class that is added most.
- *Variance*: of edited codes, as a share of the target codes'.
- *Seconds*: of one thread, to learn the edit, on a machine that was busy with other work."""
COLUMNS = {  # column -> key of a row, what is shown of it, with how many digits
    "changed": ("target_change", float, 3), "true": ("true_change", float, 3),
    "layouts": ("layouts", answers, 2), "classes": ("classes", answers, 1),
    "commonest": ("classes", max, 2), "variance": ("variance", float, 2), "seconds": ("seconds", float, 1),
}  # fmt: skip


def report(rows: Sequence[Mapping]) -> str:
    """The page: a table for each change, a line for each setting."""
    parts = [HEAD.format(n=min(row["n"] for row in rows), real=REAL)]
    for change in dict.fromkeys(row["change"] for row in rows):
        names = ["setting", *COLUMNS, "least"]
        lines = [f"## {change}", "", f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
        for name in dict.fromkeys(row["name"] for row in rows):
            cell = [row for row in rows if (row["change"], row["name"]) == (change, name)]
            lines += [line(f"{name} ({len(cell)})", cell)] if cell else []
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def line(name: str, cell: Sequence[Mapping]) -> str:
    """A line of a table: means over the seeds; empty where a setting has no such figure."""
    said = [name]
    for key, value, digits in COLUMNS.values():
        known = [value(row[key]) for row in cell if key in row]
        said.append(f"{statistics.mean(known):.{digits}f}" if known else "")
    least = min((row["true_change"] for row in cell if "true_change" in row), default=None)
    return f"| {' | '.join([*said, '' if least is None else f'{least:.3f}'])} |"
