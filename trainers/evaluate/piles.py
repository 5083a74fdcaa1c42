"""How good a taught edit is (`lwgan.teach`), for growing piles of pictures.

    python -m trainers.evaluate.piles SPEC --report docs/results/teach.md --options key=value
    python -m trainers.evaluate.piles SPEC --report docs/results/teach.md --changes Smiling Bangs
    python -m trainers.evaluate.piles SPEC --report docs/results/teach.md --changes "thick strokes"

"thick strokes" is a change of any domain whose pictures are bright strokes on black: no label says it, a
formula measures it (`stroke_width`). Its piles are the thinnest and the thickest FIFTH of the pictures, and a
picture counts as thick beyond the middle between the two.

Piles are drawn from validation pictures, edits are read in test pictures by the bundled judges, which took no
part. A draw is written down as soon as it is measured, so that a run that was interrupted goes on."""

import itertools
import json
import math
import statistics
import textwrap
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor
from torch.nn import functional as F
from tyro.conf import Positional

from lwgan.domain import Change, change_of
from lwgan.files import atomic
from lwgan.images import to_tensor
from lwgan.metrics import identity_preservation, readings
from lwgan.pipeline import CLOUD_CODES, EditingPipeline
from lwgan.taught import helpers
from lwgan.teach import CHANCE, light_of, overlap, teach
from trainers.datasets import open_dataset
from trainers.datasets.base import Dataset

STROKE, FIFTH = change_of("thick strokes"), 0.2
WORKS = {"choice": 0.6, "place": 0.5}  # the least true change of an edit that works, by kind
COLUMNS = ("true change", "target change", "others kept", "identity", "green, amber, red")


@dataclass(frozen=True)
class Options:
    data: Positional[str]
    """A data set (`trainers.datasets.open_dataset`) whose domain is bundled."""
    report: Path
    """Markdown file to write. The draws lie beside it, as JSON lines; those of other domains stay."""
    options: tuple[str, ...] = ()
    """key=value: options of the data set."""
    changes: tuple[str, ...] = ()
    """By default all that the domain offers."""
    sizes: tuple[int, ...] = (10, 20, 50, 100, 200)
    draws: int = 18
    pool: int = 3000
    """Validation pictures from which piles are drawn, and test pictures from which cases are."""
    cases: int = 100
    """Test pictures that each edit is read in."""


class Bench:
    """Codes and labels of a domain's validation and test pictures, for its bundled nets."""

    def __init__(self, dataset: Dataset, options: Options):
        self.pipe = EditingPipeline.from_pretrained("bundled", dataset.domain.name)
        self.codes, self.labels, self.widths = {}, {}, {}
        for split in ("validation", "test"):
            parts = [dataset.read(split, range(at, at + 100)) for at in range(0, options.pool, 100)]
            pictures = [part.images.float() / 127.5 - 1 for part in parts]
            self.codes[split] = torch.cat([self.pipe.encode(part) for part in pictures])
            self.labels[split] = torch.cat([part.labels for part in parts])
            self.widths[split] = torch.cat([stroke_width(part) for part in pictures])
        self.thin, self.thick = self.widths["validation"].quantile(torch.tensor([FIFTH, 1 - FIFTH]))
        self.cloud = self.pipe.codes(CLOUD_CODES)

    def rows(self, split: str, condition: dict[str, bool]) -> Tensor:
        if STROKE.label in condition:
            widths = self.widths[split]
            of_side = widths >= self.thick if condition[STROKE.label] else widths <= self.thin
            return of_side.nonzero().flatten()
        names = self.pipe.domain.attributes
        columns = [self.labels[split][:, names.index(name)] == value for name, value in condition.items()]
        return torch.stack(columns).all(0).nonzero().flatten()

    @torch.inference_mode()
    def see(self, w: Tensor, stroke: bool = False) -> tuple[Tensor, Tensor | None]:
        """What the judge reads in pictures of codes, and the identity network's embeddings.

        stroke: add a column, whether the strokes are thick."""
        x = to_tensor(self.pipe.generate(w))
        read = self.pipe.judge.read(x)
        if stroke:
            thick = stroke_width(x) > (self.thin + self.thick) / 2
            read = torch.cat([read, thick[:, None]], 1)
        return read, self.pipe.identity(x) if self.pipe.identity else None

    def measure(self, change: Change, n: int, draw: int, cases: int) -> dict:
        """One draw of two piles: how far the edit can be trusted, and what it does at strength 1."""
        generator = torch.Generator().manual_seed(1000 * n + draw)
        piles = []
        for side in (change.source, change.target):
            rows = self.rows("validation", side)
            piles.append(self.codes["validation"][rows[torch.randperm(len(rows), generator=generator)[:n]]])
        without, with_ = piles
        both = (with_.flatten(1)[:, None] == without.flatten(1)).all(2).any(1)  # one picture, two labels
        piles = without, with_[~both]
        edit, report = teach(*piles, self.cloud, kind=change.kind, **helpers(self.pipe, change))
        w = self.codes["test"][self.rows("test", change.source)[:cases]]
        stroke = change.name == STROKE.name
        (before, was), (after, now) = self.see(w, stroke), self.see(edit(w), stroke)
        read = readings(before, after, (*self.pipe.judge.names, *[STROKE.label] * stroke), change)
        figures = {key: value.double().nanmean().item() for key, value in read.items() if len(value)}
        if was is not None:
            figures["identity"] = identity_preservation(was, now).mean().item()
        facts = {"domain": self.pipe.domain.name, "change": change.name, "kind": change.kind, "n": n,
                 "draw": draw, "pile": min(len(pile) for pile in piles)}  # fmt: skip
        trust = {"auc": report.auc, "cosine": report.cosine, "differ": report.differ,
                 "usable": min(report.n), "way": report.way}  # fmt: skip
        return facts | trust | {"figures": figures}


def stroke_width(x: Tensor) -> Tensor:
    """Mean width in pixels [N] of bright strokes on black, pictures x [N, C, H, W] in [-1, 1].

    A stroke of width d and length l has the area d l and the perimeter 2 l, so d = 2 area / perimeter. The
    perimeter is the total variation (coarea formula), which grey edges leave as it is."""
    ink = F.pad((x.mean(1) + 1) / 2, (1, 1, 1, 1))
    down, right = ink[:, 1:, :-1] - ink[:, :-1, :-1], ink[:, :-1, 1:] - ink[:, :-1, :-1]
    perimeter = (down.square() + right.square()).sqrt().sum((1, 2))
    return 2 * ink.sum((1, 2)) / perimeter.clamp(min=1e-6)


def main(options: Options) -> None:
    """Measures what has not been measured yet, and writes the report."""
    path = options.report.with_suffix(".jsonl")
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    done = {(row["domain"], row["change"], row["n"], row["draw"]) for row in rows}
    given = dict(option.split("=", 1) for option in options.options)
    dataset = open_dataset(options.data, train=1, heldout=options.pool, **given)
    domain = dataset.domain
    names = options.changes or [change.name for change in domain.changes]
    changes = {name: STROKE if name == STROKE.name else domain.change(name) for name in names}
    options.report.parent.mkdir(parents=True, exist_ok=True)
    wanted = itertools.product(range(options.draws), names, options.sizes)
    left = [(draw, name, n) for draw, name, n in wanted if (domain.name, name, n, draw) not in done]
    bench = Bench(dataset, options) if left else None
    for draw, name, n in left:
        rows.append(bench.measure(changes[name], n, draw, options.cases))
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    with atomic(options.report) as partial:
        partial.write_text(report(rows), "utf-8")


def report(rows: list[dict]) -> str:
    """The table of means over draws, and how well the light knows which edits work."""
    rows = [row | {"light": light_of(*map(row.get, ("auc", "cosine", "usable", "way")))} for row in rows]
    lines = [f"| domain | change | pictures a pile | {' | '.join(COLUMNS)} |", "|---" * 8 + "|"]
    for domain, change, n in dict.fromkeys((row["domain"], row["change"], row["n"]) for row in rows):
        cell = [row for row in rows if (row["domain"], row["change"], row["n"]) == (domain, change, n)]
        keys = ("true_change", "target_change", "others_kept", "identity")
        shown = [mean([row["figures"].get(key) for row in cell]) for key in keys]
        lights = ", ".join(str(sum(row["light"] == light for row in cell)) for light in LIGHTS)
        taken = f" ({cell[0]['pile']})" * (cell[0]["pile"] < n)
        lines.append(f"| {domain} | {change} | {n}{taken} | {' | '.join([*shown, lights])} |")
    a, b, c = fit(rows)
    said = (
        f"An edit works, as we count here, if its true change is {WORKS['choice']} or more (kind choice), "
        f"{WORKS['place']} or more (kind place). Of all {len(rows)} draws: {tally(rows)}"
    )
    logit = (
        "The light takes 1 / (1 + exp(a + b ln(1.02 - AUC) - c cosine)) as the chance that an edit works. A "
        f"logistic regression on all draws gives a = {a:.2f}, b = {b:.2f}, c = {c:.2f}; "
        f"`lwgan.teach.CHANCE` is {', '.join(map(str, CHANCE))}."
    )
    return "\n".join([HEAD, *lines, "", textwrap.fill(said, 110), "", textwrap.fill(logit, 110), ""])


def fit(rows: list[dict]) -> tuple[float, float, float]:
    """`CHANCE`, by a logistic regression (without a penalty) of whether edits work on AUC and cosine."""
    from sklearn.linear_model import LogisticRegression  # here: it takes seconds

    rows = [row for row in rows if row["figures"].get("true_change") is not None]
    figures = [(overlap(row["auc"]), row["cosine"]) for row in rows]
    model = LogisticRegression(C=math.inf, solver="newton-cholesky", tol=1e-8)
    model.fit(figures, list(map(works, rows)))
    return -model.intercept_.item(), -model.coef_[0, 0].item(), model.coef_[0, 1].item()


def works(row: dict) -> bool:
    return row["figures"]["true_change"] >= WORKS[row["kind"]]


def tally(rows: list[dict]) -> str:
    """How often the light is right."""
    working, failing = [], []
    for row in rows:
        if row["figures"].get("true_change") is not None:  # a judge may read no case as source
            (working if works(row) else failing).append(row["light"] == "green")
    return (
        f"the light is green for {sum(working)} of the {len(working)} edits that work, and amber or red for "
        f"{len(failing) - sum(failing)} of the {len(failing)} that do not."
    )


LIGHTS = ("green", "amber", "red")
HEAD = """# Results: taught edits

Made by `python -m trainers.evaluate.piles` (by default 18 draws a row and 100 test pictures an edit; the
draws lie beside this file). Piles are drawn from validation pictures. Edits are read at strength 1 in test
pictures, by judges that took no part. A share of 100 pictures has a 95% interval of at most +-0.1; the draws
of a row are read in the same pictures. Of some labels there are fewer validation pictures than asked for: (n)
is then what was taken. How far strength 1 goes was chosen on other draws from the same validation pictures,
read in validation pictures. The light was fitted to all draws. The noise of kind choice was chosen on other
test pictures, but with the same piles.
"""


def mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.mean(known):.3f}" if known else ""


if __name__ == "__main__":
    main(tyro.cli(Options))
