"""Stage 6 where attributes are labelled: what edits do to codes of the test split, as a classifier of codes reads them (Sec. 4.2).

    python -m trainers evaluate-labels --codes ../runs/codes --referee ../runs/referee --registry ../runs/registry

Each edit's figures go into its config.json under "metrics", and from there into its card; the strips of pictures into its images/.
A classifier of codes is easily fooled (that is the paper's point): these figures compare strengths and methods, and are no proof
that pictures change. That needs a classifier of pictures, and an identity network for the paper's third metric; there is none here yet.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lwgan import registry
from lwgan.classifiers import LatentClassifier
from lwgan.edit import AffineEdit
from lwgan.generator import Generator
from lwgan.metrics import attribute_preservation, rate
from trainers import results, run
from trainers.codes import load_codes
from trainers.edits import Label, attribute_named
from trainers.evaluate import record

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
READ_BY = "a classifier of codes that no edit has seen; no picture was looked at"


@dataclass(frozen=True)
class Options:
    """Measure the edits of labelled attributes with a classifier of codes; write the figures into their configs."""

    codes: Path
    """Folder that `python -m trainers codes --labels` wrote."""
    referee: Path
    """Folder of a latent classifier with which no edit was trained."""
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
    config, _ = registry.load_model(options.referee, "latent-classifier")
    referee = LatentClassifier.from_pretrained(options.referee).to(device)
    if codes.names is None or tuple(config.get("names") or ()) != codes.names or config.get("base_revision") != base:
        raise ValueError(f"{options.referee} was not trained on codes such as those of {options.codes}: other nets, or other attributes")
    entries = [entry for entry in registry.list_edits(options.registry) if entry.refused is None and entry.domain == codes.domain]
    if not entries:
        raise ValueError(f"{options.registry} holds no edit for the domain {codes.domain!r}")
    generator = generator_of(options.registry, base["generator"]).to(device) if options.pictures else None
    for entry in entries:
        edit, folder = AffineEdit.from_pretrained(entry.source), Path(entry.source)
        check(edit, entry.name, base, config)
        attribute = attribute_named(edit.config["training"]["attribute"], codes.names)
        w = attribute.source(codes).w[: options.cases].to(device)
        record(folder, figures(edit, attribute, w, referee, codes.names))
        if generator:
            results.save_strip(folder / "images" / "strip.png", edit, w[: options.pictures], generator)


def check(edit: AffineEdit, name: str, base: dict, referee: dict) -> None:
    """ValueError for an edit of other nets' codes, and for one that was trained with the referee itself."""
    if edit.config.get("base_revision") != base:
        raise ValueError(f"{name} was made for nets {edit.config.get('base_revision')}, the codes come from {base}")
    if edit.config.get("classifier_revision") == referee["weights"]["sha256"]:
        raise ValueError(f"{name} was trained with the referee itself: train another (`latent-classifier --seed 2`)")


@torch.no_grad()
def figures(edit: AffineEdit, attribute: Label, w: Tensor, referee: LatentClassifier, names: tuple[str, ...]) -> dict:
    """The rates at each alpha, of codes w [N, num_ws, w_dim] labelled without the attribute, and those at the edit's own alpha."""
    k, asked = names.index(attribute.label), not attribute.absent
    before = referee(w) > 0
    at = lambda alpha: reading(before, referee(edit(w, alpha)) > 0, k, asked)
    curve = [
        {"alpha": alpha, **{key: value and value["value"] for key, value in at(alpha).items()}, "norm": norm(edit, w, alpha)}
        for alpha in ALPHAS
    ]
    alpha = edit.config.get("alpha", 1.0)
    return {"read_by": READ_BY, "alpha": alpha, **at(alpha), "norm": norm(edit, w, alpha), "curve": curve}


def reading(before: Tensor, after: Tensor, k: int, asked: bool) -> dict:
    """Readings bool [N, K] before and after an edit that asks attribute k to be `asked`: of those read otherwise before, how many
    are read so after (target change; None if none was read otherwise); of the readings of all other attributes, how many are the same
    (attribute preservation)."""
    other = before[:, k] != asked
    changed = {"target_change": rate(after[other, k] == asked)._asdict() if other.any() else None}
    if before.shape[1] < 2:
        return changed
    return changed | {"attribute_preservation": {"value": attribute_preservation(before, after, k).mean().item(), "n": len(before)}}


def norm(edit: AffineEdit, w: Tensor, alpha: float) -> float:
    """How far codes move on average."""
    return (edit(w, alpha) - w).flatten(1).norm(dim=1).mean().item()


def generator_of(folder: Path, revision: str) -> Generator:
    """The generator of a registry folder whose weights have this sha256. ValueError if there is none."""
    for entry in registry.models(folder):
        if entry.kind == "generator" and entry.config["weights"]["sha256"] == revision:
            return Generator.from_pretrained(entry.source)
    raise ValueError(f"{folder} holds no generator with weights sha256 {revision}, from which the codes come")
