"""Stage 6 where attributes are labelled: what edits do to codes of the test split, as a classifier of codes reads them (Sec. 4.2).

    python -m trainers evaluate-labels --codes ../runs/codes --referee ../runs/referee --registry ../runs/registry

Each edit's figures go into its config.json under "metrics", and from there into its card; the strips of pictures into its images/.
A classifier of codes is easily fooled (that is the paper's point): these figures compare strengths and methods, and are no proof
that pictures change. That needs a classifier of pictures, and an identity network for the paper's third metric: of rendered faces there are
both (`evaluate --domain synthfaces`), of photographs neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lwgan.edit import AffineEdit
from lwgan.generator import Generator
from lwgan.hub import registry
from lwgan.judges import LatentClassifier
from lwgan.metrics import attribute_preservation, rate
from trainers import run
from trainers.codes import Codes, load_codes
from trainers.edits import Label, attribute_named
from trainers.figures import save_strip
from trainers.records import record

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
READ_BY = "a classifier of codes that no edit has seen; no picture was looked at"


@dataclass(frozen=True)
class Options:
    """Measure the edits of labelled attributes with a classifier of codes; write the figures into their configs."""

    codes: Path
    """Folder that `python -m trainers codes --labels` wrote."""
    referee: Path
    """Folder of a latent classifier with which no edit was trained, and no edit's alpha chosen."""
    registry: Path
    """Folder of models: the generator and the edits."""
    cases: int = 1_000
    """Codes of the test split for each edit, at most."""
    pictures: int = 3
    """Rows of each edit's strip of pictures; 0: no strip."""
    device: str = "auto"


def main(options: Options) -> None:
    device = run.device_of(options.device)
    codes, base = load_codes(options.codes, "test")
    referee = reader(options.referee, codes, base).to(device)
    entries = [
        entry
        for entry in registry.list_edits(options.registry)
        if entry.refused is None and entry.domain == codes.domain
    ]
    if not entries:
        raise ValueError(f"{options.registry} holds no edit for the domain {codes.domain!r}")
    generator = generator_of(options.registry, base["generator"]).to(device) if options.pictures else None
    for entry in entries:
        edit, folder = AffineEdit.from_pretrained(entry.source), Path(entry.source)
        attribute = check(edit, entry.name, codes, base, referee)
        w = attribute.source(codes).w[: options.cases].to(device)
        record(folder, figures(edit, attribute, w, referee, codes.names))
        if generator:
            save_strip(folder / "images" / "strip.png", edit, w[: options.pictures], generator)


def reader(folder: Path, codes: Codes, base: dict) -> LatentClassifier:
    """The latent classifier of a folder. ValueError unless it was trained on such codes: of the same nets, with the same attributes."""
    classifier = LatentClassifier.from_pretrained(folder)
    config = classifier.card_config
    if codes.names is None or tuple(config.get("names") or ()) != codes.names:
        raise ValueError(
            f"{folder} reads {config.get('names')}, the codes are labelled with {codes.names and list(codes.names)}"
        )
    if config.get("base_revision") != base:
        raise ValueError(
            f"{folder} was trained on codes of nets {config.get('base_revision')}, these come from {base}"
        )
    return classifier


def check(edit: AffineEdit, name: str, codes: Codes, base: dict, referee: LatentClassifier) -> Label:
    """The attribute that an edit changes. ValueError for an edit of other nets' codes, one in which the referee had a part
    already, and one that no code of the test split is there to measure by."""
    if edit.config.get("base_revision") != base:
        raise ValueError(
            f"{name} was made for nets {edit.config.get('base_revision')}, the codes come from {base}"
        )
    for key, part in (
        ("classifier_revision", "was trained with"),
        ("selector_revision", "has its alpha from"),
    ):
        if edit.config.get(key) == referee.card_config["weights"]["sha256"]:
            raise ValueError(
                f"{name} {part} the referee itself: train another (`latent-classifier --seed 2`)"
            )
    if not isinstance(trained_for := (edit.config.get("training") or {}).get("attribute"), str):
        raise ValueError(
            f"{name} does not say which attribute it changes (training, attribute: a name), but {trained_for!r}"
        )
    attribute = attribute_named(trained_for, codes.names)
    if not len(attribute.source(codes).w):
        raise ValueError(
            f"{name} cannot be measured: of the {len(codes.w)} codes of the test split none lacks {attribute.name!r}"
        )
    return attribute


@torch.no_grad()
def figures(
    edit: AffineEdit, attribute: Label, w: Tensor, referee: LatentClassifier, names: tuple[str, ...]
) -> dict:
    """The rates at each alpha, of codes w [N, num_ws, w_dim] labelled without the attribute, and those at the edit's own alpha."""
    alpha = edit.config.get("alpha", 1.0)
    k, asked = names.index(attribute.label), not attribute.absent
    there = reading(referee(w) > 0, referee(edit(w, alpha)) > 0, k, asked)
    return {
        "read_by": READ_BY, "alpha": alpha, **there, "norm": norm(edit, w, alpha),
        "curve": curve(edit, attribute, w, referee, names, ALPHAS),
    }  # fmt: skip


@torch.no_grad()
def curve(
    edit: AffineEdit,
    attribute: Label,
    w: Tensor,
    referee: LatentClassifier,
    names: tuple[str, ...],
    alphas: Sequence[float],
) -> list[dict]:
    """The values of `reading` at each alpha, and how far codes move."""
    k, asked, before = names.index(attribute.label), not attribute.absent, referee(w) > 0
    points = []
    for alpha in alphas:
        rates = reading(before, referee(edit(w, alpha)) > 0, k, asked)
        points.append(
            {
                "alpha": alpha,
                **{key: value and value["value"] for key, value in rates.items()},
                "norm": norm(edit, w, alpha),
            }
        )
    return points


def reading(before: Tensor, after: Tensor, k: int, asked: bool) -> dict:
    """Readings bool [N, K] before and after an edit that asks attribute k to be `asked`: of those read otherwise before, how many
    are read so after (target change); of the readings of all other attributes, how many are the same (attribute preservation);
    and both in one: of those read otherwise before, the mean of changed (0 or 1) times the share of the other readings that are
    the same (true change). None for what there is no case of."""
    other = before[:, k] != asked
    kept = attribute_preservation(before, after, k) if before.shape[1] > 1 else None
    found = {"target_change": None, "attribute_preservation": None, "true_change": None}
    if kept is not None:
        found["attribute_preservation"] = {"value": kept.mean().item(), "n": len(before)}
    if other.any():
        changed = after[other, k] == asked
        true = changed.float() if kept is None else changed * kept[other]
        found["target_change"] = rate(changed)._asdict()
        found["true_change"] = {"value": true.mean().item(), "n": len(changed)}
    return found


def norm(edit: AffineEdit, w: Tensor, alpha: float) -> float:
    """How far codes move on average."""
    return (edit(w, alpha) - w).flatten(1).norm(dim=1).mean().item()


def generator_of(folder: Path, revision: str) -> Generator:
    """The generator of a registry folder whose weights have this sha256. ValueError if there is none."""
    for entry in registry.models(folder):
        if entry.kind == "generator" and entry.config["weights"]["sha256"] == revision:
            return Generator.from_pretrained(entry.source)
    raise ValueError(f"{folder} holds no generator with weights sha256 {revision}, from which the codes come")
