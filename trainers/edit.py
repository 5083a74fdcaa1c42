"""Stage 5: learn one edit on the codes of real pictures.

python -m trainers edit --codes ../runs/codes --attribute 1to2 --run ../runs/lw-1to2 --generator G --selector S
python -m trainers edit --codes ../runs/codes --attribute 1to2 --run ../runs/mean-1to2 centroids
python -m trainers edit --codes ../runs/codes --attribute 1to2 --run ../runs/lt-1to2 lt --classifier ../runs/latent-classifier
python -m trainers edit --codes ../runs/codes --attribute 1to2 --run ../runs/sefa-1to2 --generator G sefa
python -m trainers edit --codes ../runs/celebahq --attribute Eyeglasses --run ../runs/lw-eyeglasses --selector S
python -m trainers edit --codes ../runs/faces/codes --attribute Eyeglasses --run ../runs/faces/lw-eyeglasses --generator G --selector S
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Union

import torch
from torch import Tensor
from tqdm import tqdm
from tyro.conf import subcommand

from lwgan.edit import AffineEdit
from lwgan.generator import Generator
from lwgan.hub import registry
from lwgan.judges import AttributeJudge, DigitJudge, LatentClassifier
from lwgan.strength import MAX_ALPHA
from trainers import measure_faces, run
from trainers.codes import Codes, load_codes
from trainers.edits import (
    Attribute,
    Label,
    Splits,
    attribute_named,
    centroids,
    ganspace,
    guidedstyle,
    interfacegan,
    latent_transformer,
    latent_wasserstein,
    random_direction,
    sefa,
    steerability,
)
from trainers.evaluate_labels import curve, reader
from trainers.measure import Nets, cases_from, figures

ALPHAS = [round(0.3 * i, 1) for i in range(1, 11)]
FURTHER = 1.25  # factor from one alpha to the next beyond these, up to
REACH = 3  # times the way from the mean source code to the mean target code (a direction's unit may be short), and on as long as that helps
FINER = (
    -0.2,
    -0.15,
    -0.1,
    -0.05,
    0.05,
    0.1,
    0.15,
)  # around the best of these, of an alpha up to the last of ALPHAS
CHOICE_PICTURES = 300
LABEL_ALPHAS = [round(0.1 * i, 1) for i in range(1, 21)]
CHOICE_CODES = 2_000
TRUSTED = 0.9  # AUC on real validation pictures from which on a selector is asked about an attribute
EXACT = 2**-13  # of a code: half of what rounding it to half precision changes, about
METHODS = {
    "lw": latent_wasserstein, "lt": latent_transformer, "interfacegan": interfacegan, "ganspace": ganspace, "sefa": sefa,
    "steerability": steerability, "guidedstyle": guidedstyle, "centroids": centroids, "random": random_direction,
}  # fmt: skip
# `X | Y` cannot be made of a tuple.
Method = Union[
    tuple(Annotated[module.Options, subcommand(name, prefix_name=False)] for name, module in METHODS.items())
]


@dataclass(frozen=True)
class Options:
    """Learn an edit: one more digit, or an attribute more or less."""

    codes: Path
    """Folder that `python -m trainers codes` wrote."""
    attribute: str
    """1to2, 2to3 or 3to4; of faces such as Eyeglasses, or not-Young."""
    run: Path
    """Folder of this run; an unfinished run there is resumed."""
    generator: Path | None = None
    """Folder of the generator that renders these codes: for sefa, steerability and guidedstyle, and for a --selector that looks at
    its pictures."""
    selector: Path | None = None
    """Folder of what may choose the recommended alpha: a judge (of digits, or of attributes) or, of faces, a latent classifier that is
    not --classifier; never what gives the published figures. Without it alpha is 1."""
    layers: int | None = None
    """Keep the edit of the first so many layers and put the others' back, as Latent Transformer's test scripts do (11 of 18, in training
    all are edited); by default all are kept."""
    method: Method = field(default_factory=latent_wasserstein.Options)
    """How it is learned, with the method's own options."""


def main(options: Options) -> None:
    name, method = next(
        (name, module) for name, module in METHODS.items() if type(options.method) is module.Options
    )
    (train, base), (validation, other) = (
        load_codes(options.codes, "train"),
        load_codes(options.codes, "validation"),
    )
    if base != other:
        raise ValueError(f"{options.codes}: train codes come from nets {base}, validation codes from {other}")
    if train.names != validation.names:
        raise ValueError(
            f"{options.codes}: train codes are labelled with {train.names}, validation codes with {validation.names}"
        )
    codes = Splits(train, validation, options.generator)
    attribute = attribute_named(options.attribute, train.names)
    check(codes, attribute)
    check_layers(options.layers, train)
    if hasattr(method, "check"):
        method.check(codes, attribute, options.method)
    facts = facts_of(options, base)
    if (
        options.selector
        and "judge_revision" in facts
        and facts["judge_revision"] == run.weights_hash(options.selector)
    ):
        raise ValueError(
            f"--selector {options.selector} is the judge that guides (--knowledge): let another one choose the alpha"
        )
    choose = chooser(options, codes.validation, attribute, base, facts.get("classifier_revision"))
    run.start(options.run, options)
    resumes = "folder" in inspect.signature(method.fit).parameters
    edit = method.fit(codes, attribute, options.method, **({"folder": options.run} if resumes else {}))
    edit = factored(first_layers(edit, options.layers), attribute.source(codes.validation).w)
    config = edit.config | describe(attribute, train, name, base, options) | facts | choose(edit)
    edit.config = config | {"dtype": "float16"}
    edit.save_pretrained(options.run)


def chooser(
    options: Options, validation: Codes, attribute: Attribute | Label, base: dict, trained_with: str | None
) -> Callable[[AffineEdit], dict]:
    """What finds an edit's recommended alpha, for config.json. ValueError, before anything is learned, for a selector that will not do.
    trained_with: sha256 of the latent classifier that takes part in the training, or None."""
    if options.selector is None:
        return lambda edit: {}
    if isinstance(attribute, Label) and registry.load_model(options.selector)[0]["kind"] == "attribute-judge":
        nets = judging(options, validation)
        return lambda edit: choose_alpha_by_faces(edit, validation, attribute, nets)
    if isinstance(attribute, Label):
        selector = reader(options.selector, validation, base)
        if selector.card_config["weights"]["sha256"] == trained_with:
            raise ValueError(
                f"--selector {options.selector} is the --classifier: what an edit was trained with finds it better than it is"
            )
        return lambda edit: choose_alpha_by_codes(edit, validation, attribute, selector)
    if options.generator is None:
        raise ValueError(NO_GENERATOR.format(options.selector))
    return lambda edit: choose_alpha(edit, validation, options, attribute)


NO_GENERATOR = "--selector {} looks at pictures: give it the --generator too"


def judging(options: Options, validation: Codes) -> measure_faces.Nets:
    """Generator and judge of attributes by which alpha is chosen. ValueError unless the judge reads the codes' attributes."""
    if options.generator is None:
        raise ValueError(NO_GENERATOR.format(options.selector))
    judge = AttributeJudge.from_pretrained(options.selector)
    if judge.names != validation.names:
        raise ValueError(
            f"{options.selector} reads {list(judge.names)}, the codes are labelled with {list(validation.names)}"
        )
    return measure_faces.Nets(Generator.from_pretrained(options.generator), judge)


def choose_alpha_by_faces(
    edit: AffineEdit, validation: Codes, attribute: Label, nets: measure_faces.Nets
) -> dict:
    """The strength whose edits change the attribute and keep the others most often in the selector's eyes, on validation pictures (of equal
    ones that nearest to 1), and the curve. Others: those that it reads well on real pictures (`TRUSTED`)."""
    codes = attribute.source(validation)
    cases = measure_faces.held_of(codes.w[:CHOICE_PICTURES], codes.numbers[:CHOICE_PICTURES], nets)
    known = (nets.judge.card_config.get("metrics") or {}).get("validation_auc") or {}
    counted = torch.tensor([(known.get(name, 1.0) or 0.0) >= TRUSTED for name in validation.names])
    asked = measure_faces.asked_of(attribute, validation.names, counted)

    def point(alpha: float) -> dict:
        found, _ = measure_faces.figures(edit, alpha, cases, asked, nets)
        return {
            "alpha": alpha,
            **{
                key: (found[key] or {}).get("value")
                for key in ("target_change", "attribute_preservation", "true_change")
            },
        }

    return searched(point, alphas_to_try(edit, validation, attribute)) | {
        "selector_revision": nets.judge.card_config["weights"]["sha256"]
    }


def choose_alpha_by_codes(
    edit: AffineEdit, validation: Codes, attribute: Label, selector: LatentClassifier
) -> dict:
    """The strength whose edits change the attribute and keep the others most often in the selector's eyes, on validation codes
    (of equal ones that nearest to 1), and the whole curve."""
    w = attribute.source(validation).w[:CHOICE_CODES]
    points = curve(edit, attribute, w, selector, validation.names, LABEL_ALPHAS)
    best = max(points, key=lambda point: (point["true_change"] or 0, -abs(point["alpha"] - 1)))
    return {
        "alpha": best["alpha"],
        "curve": points,
        "selector_revision": selector.card_config["weights"]["sha256"],
    }


def choose_alpha(edit: AffineEdit, validation: Codes, options: Options, attribute: Attribute) -> dict:
    """The strength whose edits are true most often (a digit more, the old ones kept) in the selector's eyes, on validation pictures
    (of equal ones that nearest to 1), and the curve: coarse, and finer around its best."""
    nets = Nets(Generator.from_pretrained(options.generator), DigitJudge.from_pretrained(options.selector))
    codes = attribute.source(validation)
    cases = cases_from(codes.w[:CHOICE_PICTURES], codes.numbers[:CHOICE_PICTURES], attribute.count, nets)

    def point(alpha: float) -> dict:
        found = figures(edit, alpha, cases, nets, identities=False)
        return {
            "alpha": alpha,
            **{
                key: (found[key] or {}).get("value")
                for key in ("target_change", "digits_kept", "true_change")
            },
        }

    return searched(point, alphas_to_try(edit, validation, attribute)) | {
        "selector_revision": nets.judge.card_config["weights"]["sha256"]
    }


def alphas_to_try(edit: AffineEdit, codes: Codes, attribute: Attribute | Label) -> list[float]:
    """The alphas to look at: ALPHAS, and beyond them as long as codes move at most REACH times as far as the two sides' means are apart."""
    source, target = attribute.source(codes).w, attribute.target(codes).w
    unit = (edit(source, 1.0) - source).flatten(1).norm(dim=1).mean().item()
    reach = REACH * (target.mean(0) - source.mean(0)).norm().item()
    alphas = list(ALPHAS)
    while unit > 0 and alphas[-1] * FURTHER * unit <= reach and alphas[-1] * FURTHER <= MAX_ALPHA:
        alphas.append(round(alphas[-1] * FURTHER, 2))
    return alphas


def searched(point: Callable[[float], dict], alphas: list[float]) -> dict:
    """The alpha with the most true edits, of equal ones that nearest to 1, and the curve: coarse, farther (to MAX_ALPHA) as long as the
    farthest is the best, and finer around the best. point: what was found at an alpha, in which true_change may be None."""
    best_of = lambda points: max(
        points, key=lambda point: (point["true_change"] or 0, -abs(point["alpha"] - 1))
    )
    points = [point(alpha) for alpha in tqdm(alphas, "alpha")]
    while best_of(points) is points[-1] and (farther := round(points[-1]["alpha"] * FURTHER, 2)) <= MAX_ALPHA:
        points.append(point(farther))
    best, known = best_of(points)["alpha"], {point["alpha"] for point in points}
    near = [round(best + step * max(1, best / ALPHAS[-1]), 2) for step in FINER]
    points += [
        point(alpha)
        for alpha in tqdm([alpha for alpha in near if alpha not in known and alpha <= MAX_ALPHA], "finer")
    ]
    best, points = best_of(points), sorted(points, key=lambda point: point["alpha"])
    return {"alpha": best["alpha"], "curve": points}


def check(codes: Splits, attribute: Attribute | Label) -> None:
    """ValueError when a side has too few codes to speak of a distribution."""
    for split, held in (("train", codes.train), ("validation", codes.validation)):
        for name, side in (("source", attribute.source(held)), ("target", attribute.target(held))):
            if len(side.w) < 10:
                raise ValueError(
                    f"{attribute.name}: the {split} codes hold {len(side.w)} {name} pictures, at least 10 are needed"
                )


def facts_of(options: Options, base: dict) -> dict:
    """Which nets took part, for config.json: F that reads codes, a judge that guided. ValueError for an F trained on codes of other
    nets, and for a generator that is not that of the codes."""
    facts, method = {}, options.method
    if (folder := options.generator) is not None:
        config, _ = registry.load_model(folder, "generator")
        if config["weights"]["sha256"] != base["generator"]:
            raise ValueError(
                f"{folder} has weights {config['weights']['sha256']}, the codes come from generator {base['generator']}"
            )
    if (folder := getattr(method, "classifier", None)) is not None:
        config, _ = registry.load_model(folder, "latent-classifier")
        if config.get("base_revision") != base:
            raise ValueError(
                f"{folder} was trained on codes of nets {config.get('base_revision')}, these come from {base}"
            )
        facts["classifier_revision"] = config["weights"]["sha256"]
    if (folder := getattr(method, "knowledge", None)) is not None:
        facts["judge_revision"] = run.weights_hash(folder)
    return facts


def describe(attribute: Attribute | Label, codes: Codes, method: str, base: dict, options: Options) -> dict:
    """What config.json says of the edit beside its tensors (what else a folder holds: lwgan/files.py)."""
    training = run.as_json(options) | {"training_codes": len(codes.w)}
    biased = {} if codes.bias is None else {"bias": codes.bias}  # of the pictures that it was learned from
    facts = {
        "method": method,
        "domain": codes.domain,
        **biased,
        "alpha": 1.0,
        "base_revision": base,
        "training": training,
    }
    return attribute.describe() | facts


@torch.no_grad()
def factored(edit: AffineEdit, w: Tensor) -> AffineEdit:
    """The edit with A in factors where these take less room: of the least rank with which edited codes w [N, num_ws, w_dim] differ by less than
    EXACT of w (root of the mean square, at alpha 1). The factors are the principal directions of A w; where codes do not vary, A does nothing."""
    if (
        edit.weight is None
        or edit.factors
        or torch.equal(edit.weight, edit.weight[:1].expand_as(edit.weight))
    ):
        return edit
    moves = lambda weight: torch.einsum("nli,loi->lno", w, weight)
    wanted, allowed = moves(edit.weight), (EXACT * w).square().sum()
    _, directions = torch.linalg.eigh(
        wanted.mT @ wanted
    )  # [num_ws, w_dim, w_dim]: as columns, that of the largest moves last
    for rank in range(8, edit.weight.shape[-1] // 2, 8):
        out = directions[:, :, -rank:].contiguous()
        into = out.mT @ edit.weight
        if (moves(out @ into) - wanted).square().sum() < allowed:
            return AffineEdit.low_rank(out, into, edit.bias, edit.config)
    return edit


def check_layers(layers: int | None, codes: Codes) -> None:
    """ValueError for a number of layers that the codes do not have."""
    if layers is not None and not 1 <= layers <= codes.w.shape[1]:
        raise ValueError(f"--layers is {layers}: these codes have 1 to {codes.w.shape[1]}")


def first_layers(edit: AffineEdit, layers: int | None) -> AffineEdit:
    """The edit, without what it does to layers after the first so many. None: all are kept."""
    if layers is None:
        return edit
    weight, bias = (None if tensor is None else tensor.clone() for tensor in (edit.weight, edit.bias))
    for tensor in (weight, bias):
        if tensor is not None:
            tensor[layers:] = 0
    return AffineEdit(weight, bias, edit.config)
