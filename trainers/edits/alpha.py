"""The recommended alpha of an edit: chosen on validation codes by a selector, which has no other part in it.

A selector is a judge of pictures, or a latent classifier with which the edit was not trained. It must not be
the judge that gives the published figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from lwgan.domain import Change
from lwgan.edit import AffineEdit
from lwgan.generator import Generator
from lwgan.hub import registry
from lwgan.judges import Judge, LatentClassifier
from lwgan.metrics import meets
from lwgan.strength import MAX_ALPHA, strength_of
from trainers.codes import Codes
from trainers.edits.base import Splits
from trainers.measure import Cases, Nets, figures, means, see
from trainers.shards import labels_of

ALPHAS = [round(0.3 * i, 1) for i in range(1, 11)]
FINER = (-0.2, -0.15, -0.1, -0.05, 0.05, 0.1, 0.15)  # around the best of ALPHAS
FURTHER = 1.25  # factor from one alpha to the next beyond ALPHAS
REACH = 3  # how far to look, in distances between the mean source and the mean target code
PICTURES, CODES = 1_000, 2_000  # validation cases that a judge, that a latent classifier reads
ROUGH = 300  # of these are read at the alphas of the grid, all of them around the best
TRUSTED = 0.9  # validation AUC from which on a selector's reading of another label counts
CURVE = ("alpha", "target_change", "others_kept", "all_kept", "true_change")


@dataclass(frozen=True)
class Selector:
    """What reads edited codes or their pictures, and the validation cases that it reads."""

    nets: Nets
    cases: Cases
    revision: str

    def choose(self, edit: AffineEdit, alphas: Sequence[float]) -> dict:
        """For config.json: the alpha with the most true changes, the strength, what was read there."""

        def point(alpha: float, cases: Cases) -> dict:
            found = means(alpha, figures(edit, alpha, cases, self.nets)[0])
            return {key: found[key] for key in CURVE}

        rough, fine = (partial(point, cases=cases) for cases in (self.cases.first(ROUGH), self.cases))
        best, curve = search(rough, fine, alphas)
        read = meets(self.cases.seen.read, self.nets.names, self.cases.change.source)
        return {"alpha": best["alpha"], "strength": strength_of(curve, best["alpha"]),
                "validation": {key: best[key] for key in CURVE} | {"n": int(read.sum())},
                "selector_revision": self.revision}  # fmt: skip


def open_selector(
    folder: Path, codes: Splits, change: Change, base: dict[str, str], used: Sequence[str]
) -> Selector:
    """The selector of a folder, with its reading of the unedited validation cases.

    base: revisions of the codes' nets.  used: revisions of the nets that take part in the training.
    ValueError for a selector that does not read the change's labels, has a part in the edit, reads other
    nets' codes, or reads no validation case as the change's source."""
    config = registry.load_model(folder, ("judge", "latent-classifier"))[0]
    revision = config["weights"]["sha256"]
    if revision in used:
        raise ValueError(f"--selector {folder} takes part in the training: let another net choose the alpha")
    nets = open_nets(folder, config, codes.generator, base)
    if unread := [name for name in change.labels if name not in nets.names]:
        raise ValueError(f"--selector {folder} does not read {unread[0]!r}, but {', '.join(nets.names)}")
    source = codes.validation.source(change)
    source = source.where(torch.arange(len(source)) < (PICTURES if nets.judge else CODES))
    seen = see(nets, source.w)
    if not meets(seen.read, nets.names, change.source).any():
        raise ValueError(
            f"--selector {folder} reads none of {len(source)} validation cases as {change.before!r}: "
            f"it cannot say what changes them to {change.after!r}"
        )
    auc = config.get("metrics", {}).get("validation", {}).get("auc", {})
    counted = torch.tensor([(auc.get(name, 1.0) or 0.0) >= TRUSTED for name in nets.names])
    cases = Cases(change, source.w, labels_of(source, nets.names), torch.arange(len(source)), seen, counted)
    return Selector(nets, cases, revision)


def open_nets(folder: Path, config: dict, generator: Path | None, base: dict[str, str]) -> Nets:
    """The nets by which a selector reads codes. ValueError without a generator for a judge of pictures, and
    for a latent classifier that was trained on other codes."""
    if config["kind"] == "judge":
        if generator is None:
            raise ValueError(f"--selector {folder} reads pictures: give the --generator that renders them")
        return Nets(Generator.from_pretrained(generator), judge=Judge.from_pretrained(folder))
    if config.get("base_revision") != base:
        other = config.get("base_revision")
        raise ValueError(f"{folder} was trained on codes of nets {other}, these come from {base}")
    return Nets(None, codes=LatentClassifier.from_pretrained(folder))


def alphas_to_try(edit: AffineEdit, codes: Codes, change: Change) -> list[float]:
    """ALPHAS, continued by FURTHER while codes move at most REACH times the distance of the mean codes."""
    source, target = codes.source(change).w, codes.target(change).w
    unit = (edit(source, 1.0) - source).flatten(1).norm(dim=1).mean().item()
    reach = REACH * (target.mean(0) - source.mean(0)).norm().item()
    alphas = list(ALPHAS)
    while unit > 0 and alphas[-1] * FURTHER * unit <= reach and alphas[-1] * FURTHER <= MAX_ALPHA:
        alphas.append(round(alphas[-1] * FURTHER, 2))
    return alphas


def search(
    rough: Callable[[float], dict], fine: Callable[[float], dict], alphas: Sequence[float]
) -> tuple[dict, list[dict]]:
    """The point with the largest true_change (ties: alpha nearest to 1), and all points, by alpha.

    A grid is read first. It is extended while its last point is the best. Then all alphas around the best,
    and that one too, are read more closely, and the best of these is taken.
    rough, fine: alpha -> {"alpha", "true_change", ...}; true_change may be None."""

    def best_of(points: list[dict]) -> dict:
        return max(points, key=lambda point: (point["true_change"] or 0, -abs(point["alpha"] - 1)))

    grid = [rough(alpha) for alpha in tqdm(alphas, "alpha")]
    while best_of(grid) is grid[-1] and (further := round(grid[-1]["alpha"] * FURTHER, 2)) <= MAX_ALPHA:
        grid.append(rough(further))
    best = best_of(grid)["alpha"]
    near = {round(best + step * max(1, best / ALPHAS[-1]), 2) for step in FINER}
    points = [fine(alpha) for alpha in sorted(near | {best}) if 0 < alpha <= MAX_ALPHA]
    known = {point["alpha"] for point in points}
    points += [point for point in grid if point["alpha"] not in known]
    return best_of(points[: len(known)]), sorted(points, key=lambda point: point["alpha"])
