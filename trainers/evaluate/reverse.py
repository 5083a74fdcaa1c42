"""Which way back is best: an edit's negative alpha, its exact inverse, or an edit learned the other way.

    python -m trainers.evaluate.reverse SPEC --report docs/results/reverse-DOMAIN.md --edits NAME NAME

Cases are test pictures that have what the edit gives. At each strength s an edit w' = w + a H(w), a = s times
the alpha of strength 1, is undone in three ways: alpha -a; the inverse, w_l of (I + a A_l) w_l + a b_l =
w'_l; and alpha a of an edit that `lwgan.teach` learned from PILE codes a side with the change reversed. The
bundled judges read."""

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor
from tyro.conf import Positional

from lwgan.domain import Change
from lwgan.edit import AffineEdit
from lwgan.files import atomic
from lwgan.metrics import identity_preservation
from lwgan.teach import teach
from trainers.datasets import open_dataset
from trainers.evaluate.piles import Bench

STRENGTHS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
WANTED = 0.8  # target change at which the ways are compared; else at their largest
PILE = 500
HEAD = """# Results: ways back, {domain}

Made by `python -m trainers.evaluate.reverse`, which says what the ways are. Each is shown at the least
strength at which at least {wanted:.0%} of up to {cases} test pictures change back, else where most of them
do. *Target change*, *others kept* and *identity*: as in the other results, by judges that took
no part."""


@dataclass(frozen=True)
class Options:
    data: Positional[str]
    """A data set (`trainers.datasets.open_dataset`) whose domain is bundled."""
    report: Path
    """Markdown file to write."""
    edits: tuple[str, ...]
    """Bundled edits."""
    options: tuple[str, ...] = ()
    """key=value: options of the data set."""
    pool: int = 3000
    """Validation pictures from which codes are drawn, and test pictures from which cases are."""
    cases: int = 200


def inverse(edit: AffineEdit, w: Tensor, alpha: float) -> Tensor:
    """The codes [N, num_ws, w_dim] that the edit at alpha would turn into w."""
    back = w - alpha * edit.bias
    if edit.weight is None:
        return back
    maps = torch.eye(edit.bias.shape[1]) + alpha * edit.weight  # [num_ws, w_dim, w_dim]
    return torch.linalg.solve(maps, back.permute(1, 2, 0)).permute(2, 0, 1)


def main(options: Options) -> None:
    given = dict(option.split("=", 1) for option in options.options)
    bench = Bench(open_dataset(options.data, train=1, heldout=options.pool, **given), options)
    lines = [row for name in options.edits for row in rows(bench, name, options.cases)]
    head = [*HEAD.format(domain=bench.pipe.domain.name, wanted=WANTED, cases=options.cases).splitlines(), ""]
    head += ["| edit undone | way | strength | target change | others kept | identity |", "|---" * 6 + "|"]
    with atomic(options.report) as partial:
        partial.write_text("\n".join([*head, *lines, ""]), "utf-8")


def rows(bench: Bench, name: str, cases: int) -> list[str]:
    """A row for each way back of one edit."""
    edit, unit, change = bench.pipe.edits[name], bench.pipe.scales[name].unit, bench.pipe.changes[name]
    with_, without = (
        bench.codes["validation"][bench.rows("validation", side)[:PILE]]
        for side in (change.target, change.source)
    )
    learned, _ = teach(with_, without, bench.cloud, kind=change.kind)
    w = bench.codes["test"][bench.rows("test", change.target)[:cases]]
    ways = {
        "negative alpha": lambda s: edit(w, -s * unit),
        "inverse": lambda s: inverse(edit, w, s * unit),
        "learned": lambda s: learned(w, s),
    }
    if edit.weight is None:
        del ways["inverse"]  # of a shift, that is the negative alpha
    return [f"| {name} | {way} | {best(bench, w, ways[way], change)} |" for way in ways]


def best(bench: Bench, w: Tensor, way, change: Change) -> str:
    """The cells of a way at the least strength that reaches WANTED, else where most pictures change."""
    before = bench.see(w)
    found = [(strength, *figures(bench, before, bench.see(way(strength)), change)) for strength in STRENGTHS]
    reaching = [row for row in found if row[1] >= WANTED] or [max(found, key=lambda row: row[1])]
    strength, changed, kept, identity = reaching[0]
    return f"{strength:g} | {changed:.3f} | {kept:.3f} | {'' if identity is None else f'{identity:.3f}'}"


def figures(bench: Bench, before, after, change: Change) -> tuple[float, float, float | None]:
    """Shares of the pictures that are read as target before: those that are read as source after, and of
    their other labels those that stay. Where the edit adds something, what it added may go: then only labels
    that did not hold count."""
    names = list(bench.pipe.judge.names)
    holds = lambda read, side: torch.stack([read[:, names.index(n)] == v for n, v in side.items()]).all(0)
    cases = holds(before[0], change.target)
    was, now = before[0][cases], after[0][cases]
    others = torch.tensor([name not in change.labels for name in names])
    counted = others & (~was if change.adds else torch.ones_like(was))
    kept = ((was == now) & counted).sum() / counted.sum()
    identity = None
    if before[1] is not None:
        identity = identity_preservation(before[1][cases], after[1][cases]).mean().item()
    return holds(now, change.source).float().mean().item(), kept.item(), identity


if __name__ == "__main__":
    main(tyro.cli(Options))
