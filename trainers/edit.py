"""Stage: learn one edit on the codes of real pictures, and choose its strength.

edit --codes R/codes --change 1to2 --run R/lw-1to2 --generator R/generator --selector R/selector lw
edit --codes R/codes --change 1to2 --run R/mean-1to2 centroids
edit --codes R/codes --change 1to2 --run R/lt-1to2 lt --classifier R/latent-classifier
edit --codes R/codes --change not-Young --run R/sefa --generator R/generator sefa
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Union

import torch
from torch import Tensor
from tyro.conf import subcommand

from lwgan.domain import Change, change_as_json
from lwgan.edit import AffineEdit
from lwgan.hub import registry
from trainers import run
from trainers.codes import load_codes
from trainers.edits.alpha import alphas_to_try, open_selector
from trainers.edits.base import Method, Splits
from trainers.edits.centroids import Centroids
from trainers.edits.ganspace import Ganspace
from trainers.edits.guided import Guided
from trainers.edits.interfacegan import InterFaceGAN
from trainers.edits.latent_transformer import LatentTransformer
from trainers.edits.latent_wasserstein import LatentWasserstein
from trainers.edits.random_direction import RandomDirection
from trainers.edits.sefa import Sefa
from trainers.edits.steerability import Steerability

METHODS: dict[str, type[Method]] = {
    "lw": LatentWasserstein, "lt": LatentTransformer, "interfacegan": InterFaceGAN, "ganspace": Ganspace,
    "sefa": Sefa, "steerability": Steerability, "guided": Guided, "centroids": Centroids,
    "random": RandomDirection,
}  # fmt: skip
# `X | Y` cannot be made from a tuple.
AnyMethod = Union[  # noqa: UP007
    tuple(Annotated[method, subcommand(name, prefix_name=False)] for name, method in METHODS.items())
]
LEAST = 10  # codes of a side
EXACT = 2**-13  # relative error of a code that half precision makes, about


@dataclass(frozen=True)
class Options:
    """Learn an edit that makes one change: one more digit, an attribute more or less."""

    codes: Path
    """Folder that `python -m trainers codes` wrote."""
    change: str
    """A change of the codes' domain such as 1to2, or a label (Male) or its opposite (not-Male)."""
    run: Path
    """Folder of this run. An unfinished run there is resumed."""
    generator: Path | None = None
    """Folder of the codes' generator: for sefa, steerability and guided, and for a judge as --selector."""
    selector: Path | None = None
    """Folder of the net that chooses the recommended alpha on validation codes: a judge, or a latent
    classifier that is not --classifier; never the judge of the published figures. Default: alpha is 1."""
    layers: int | None = None
    """Edit only the first layers, as Latent Transformer's test scripts do (11 of 18). Default: all."""
    method: AnyMethod = field(default_factory=LatentWasserstein)
    """How the edit is learned, and the method's own options."""


def main(options: Options) -> None:
    codes, base = load(options)
    change = codes.train.domain.change(options.change)
    options = replace(options, method=options.method.resolved(change))
    check(codes, change, options.layers)
    options.method.check(codes, change)
    used = revisions(options, base)
    if options.selector:
        selector = open_selector(options.selector, codes, change, base, used.values())
    run.start(options.run, options)
    edit = options.method.fit(codes, change, options.run)
    edit = first_layers(edit, options.layers)
    check_useful(edit, codes.validation.source(change).w, change)
    edit = factored(edit, codes.validation.source(change).w)
    edit.config |= describe(options, codes, change, base) | used
    if options.selector:
        edit.config |= selector.choose(edit, alphas_to_try(edit, codes.validation, change))
    edit.save_pretrained(options.run)


def load(options: Options) -> tuple[Splits, dict[str, str]]:
    """Training and validation codes and the revisions of their nets. ValueError if they do not fit."""
    load = lambda split: load_codes(options.codes, split)
    (train, base), (validation, other) = load("train"), load("validation")
    if base != other:
        raise ValueError(f"{options.codes}: train codes come from nets {base}, validation codes from {other}")
    if train.domain != validation.domain:
        raise ValueError(f"{options.codes}: train and validation codes are labelled differently")
    return Splits(train, validation, options.generator), base


def check(codes: Splits, change: Change, layers: int | None) -> None:
    """ValueError for a side with too few codes to be a distribution, and for layers that the codes lack."""
    for split, part in (("train", codes.train), ("validation", codes.validation)):
        for name, side in (("source", part.source(change)), ("target", part.target(change))):
            if len(side) < LEAST:
                found = f"the {split} codes hold {len(side)} {name} pictures"
                raise ValueError(f"{change.name}: {found}, at least {LEAST} are needed")
    if layers is not None and not 1 <= layers <= codes.train.w.shape[1]:
        raise ValueError(f"--layers is {layers}: these codes have 1 to {codes.train.w.shape[1]}")


def check_useful(edit: AffineEdit, w: Tensor, change: Change) -> None:
    """ValueError for an edit that does not move codes w [N, num_ws, w_dim], and for a training no step of
    which lowered the loss."""
    if not edit.direction(w).any():
        raise ValueError(f"{change.name}: the edit that was learned moves no code; it is not written")
    if (edit.config.get("best") or {}).get("step") == 0:
        raise ValueError(
            f"{change.name}: no step lowered the loss on validation codes, so the edit would be the mean "
            "shift; it is not written: lower --learning-rate, or choose the method centroids"
        )


def revisions(options: Options, base: dict[str, str]) -> dict[str, str]:
    """sha256 of the nets that take part in the training, for config.json: a latent classifier, a guide.
    ValueError if one of them, or the generator, does not belong to the codes."""
    used = {}
    if (folder := options.generator) is not None:
        found = registry.load_model(folder, "generator")[0]["weights"]["sha256"]
        if found != base["generator"]:
            raise ValueError(f"{folder} has weights {found}, the codes' generator {base['generator']}")
    if (folder := getattr(options.method, "classifier", None)) is not None:
        config = registry.load_model(folder, "latent-classifier")[0]
        if (found := config.get("base_revision")) != base:
            raise ValueError(f"{folder} was trained on codes of nets {found}, these come from {base}")
        used["classifier_revision"] = config["weights"]["sha256"]
    for role in ("guide", "perceptor"):
        if (folder := getattr(options.method, role, None)) is not None:
            used["judge_revision"] = run.weights_hash(folder)
    return used


def describe(options: Options, codes: Splits, change: Change, base: dict[str, str]) -> dict:
    """What config.json says of the edit beside its tensors."""
    name = next(name for name, method in METHODS.items() if type(options.method) is method)
    return {"method": name, "domain": codes.train.domain.name, "change": change_as_json(change), "alpha": 1.0,
            "base_revision": base,
            "training": run.training(options, training_codes=len(codes.train), facts=codes.train.facts),
            "dtype": "float16"}  # fmt: skip


@torch.no_grad()
def factored(edit: AffineEdit, w: Tensor) -> AffineEdit:
    """The edit with A in factors where these are smaller.

    The rank is the least (of 8, 16, ...) with which edited codes w [N, num_ws, w_dim] differ by less than
    EXACT of w at alpha 1, in root mean square. The factors are the principal directions of A w; where codes
    do not vary, A does nothing."""
    shared = edit.weight is not None and torch.equal(edit.weight, edit.weight[:1].expand_as(edit.weight))
    if edit.weight is None or edit.factors or shared:
        return edit
    moves = lambda weight: torch.einsum("nli,loi->lno", w, weight)
    wanted, allowed = moves(edit.weight), (EXACT * w).square().sum()
    directions = torch.linalg.eigh(wanted.mT @ wanted).eigenvectors  # [num_ws, w_dim, w_dim], largest last
    for rank in range(8, edit.weight.shape[-1] // 2, 8):
        out = directions[:, :, -rank:].contiguous()
        into = out.mT @ edit.weight
        if (moves(out @ into) - wanted).square().sum() < allowed:
            return AffineEdit.low_rank(out, into, edit.bias, edit.config)
    return edit


def first_layers(edit: AffineEdit, layers: int | None) -> AffineEdit:
    """The edit of the first so many layers alone. None: of all."""
    if layers is None:
        return edit
    weight, bias = (None if tensor is None else tensor.clone() for tensor in (edit.weight, edit.bias))
    for tensor in (weight, bias):
        if tensor is not None:
            tensor[layers:] = 0
    return AffineEdit(weight, bias, edit.config)
