"""Model cards: the templates of hub_cards, filled from a model's config.json and metrics.json.

Every figure of a card is one of metrics.json; what a template asks for and nobody says is an error, never an empty place.
"""

import importlib
import math
import re
import shlex
from dataclasses import fields
from pathlib import Path

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from lwgan.files import CONFIG, EDIT_KINDS
from trainers.publish.tables import areas, cell, leaks, likeness, meanings, measures, notes, rows, tables
from trainers.edits import ADAPTED

TEMPLATES = Path(__file__).parents[2] / "hub_cards"
TEMPLATE = {
    "generator": "generator.md", "encoder": "encoder.md", "judge": "judge.md", "attribute-judge": "attribute_judge.md",
    "identity": "identity.md", "latent-classifier": "latent_classifier.md", "affine": "edit.md", "translation": "edit.md",
}  # fmt: skip
PIPELINE_TAG = {
    "generator": "unconditional-image-generation",
    "judge": "image-classification",
    "attribute-judge": "image-classification",
    "identity": "image-feature-extraction",
    "latent-classifier": "tabular-classification",
}  # others: image-to-image
SUBJECT = {
    "multimnist": "pictures of handwritten digits",
    "faces": "photographs of faces",
    "synthfaces": "rendered faces",
}
DATASETS = {
    "multimnist": ("ylecun/mnist", "MultiMNIST, composed of MNIST's test digits"),
    "synthfaces": (None, "faces of lwgan's own renderer, test split"),
}
# What the figures of a kind were measured on; others: on the test split.
MEASURED_ON = {
    "generator": "on samples, by judges of pictures that took no part in its training, beside pictures of the test split",
    "judge": "on pictures that it was not trained on",
    "attribute-judge": 'on pictures that it was not trained on; "also" are those that edits are tried on, with other shares of the attributes',
    "identity": "on pictures that it was not trained on; in brackets, between which nine of ten cosines lie",
    "latent-classifier": "on codes of the validation split, which it was not trained on",
}
# What may be done with the weights of a domain: hub_cards/_data_DOMAIN.md says why.
LICENCES = {"faces": {"license": "other", "license_name": "non-commercial"}}
# How a picture comes into the encoder's frame: what to import from lwgan, and the expression.
FRAMES = {
    "multimnist": ("images", 'images.frame_digits(images.open_picture("digits.png"))'),
    "faces": ("faces, images", 'faces.frame_face("photo.jpg")'),
    "synthfaces": (
        "images",
        'images.open_picture("face.png").convert("RGB").resize((E.config["resolution"],) * 2)',
    ),
}
TUNED = (
    "encoder",
    "join",
    "match",
)  # stages that make generator and encoder both; their config says which it was
STAGE = {
    "generator": "generator", "encoder": "encoder", "judge": "classifiers", "attribute-judge": "attribute-judge",
    "identity": "identity", "latent-classifier": "latent-classifier", "affine": "edit", "translation": "edit",
}  # fmt: skip
LABEL = re.compile(r"[\w][\w ,.'+-]{0,63}")  # of one line, without markup
CAPTIONS = {
    "strip": "Pictures of the test split, one a row: encoded and drawn again, then edited, up to half again the recommended strength",
    "curve": "What is kept against what is changed, the strength growing along each line",
    "samples": "Samples, the first that were drawn",
    "reconstructions": "Pictures of the test split, each above its reconstruction",
}


def card(config: dict, metrics: dict, repo_id: str, images: Path, code: str | None = None) -> str:
    """The text of README.md. code: where lwgan is to be had. ValueError if config or metrics lack what the card must say."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    found = figures(metrics)
    imports, framed = FRAMES.get(config["domain"], FRAMES["synthfaces"])
    values = {key: value for key, value in config.items() if isinstance(value, (str, int, float))}
    values |= {
        "repo_id": repo_id,
        "name": repo_id.split("/")[1],
        "pictures": pictures(images),
        "imports": imports,
        "framed": framed,
    }
    values |= {"subject": SUBJECT.get(config["domain"], config["domain"]), "code": code}
    values |= figure_values(config, metrics, found)
    values |= {"command": command(config), "training": told(config.get("training") or {})}
    if config["kind"] in EDIT_KINDS:
        values |= edit_values(config, metrics)
    names = config.get("names") or (config.get("architecture") or {}).get("names") or []
    values |= {
        "names": [cell(name) for name in names],
        "side": config.get("resolution", 64),
    }  # the first judges of faces did not say it
    try:
        body = environment.get_template(TEMPLATE[config["kind"]]).render(values)
    except jinja2.UndefinedError as error:
        raise ValueError(f"{repo_id}: {CONFIG} lacks what its card says ({error})") from error
    except jinja2.TemplateNotFound as error:
        raise ValueError(
            f"{repo_id}: there is no card for domain {config.get('domain')!r} (hub_cards/{error} is missing)"
        ) from error
    body = re.sub(r"\n{3,}", "\n\n", body).strip()
    return f"---\n{metadata(config, found, repo_id).to_yaml()}\n---\n\n{body}\n"


def figures(metrics: dict) -> dict:
    """What was measured, without what was measured with: of an edit at its recommended strength, and its curve."""
    if "chosen" in metrics:
        return {**metrics["chosen"], "curve": metrics.get("curve") or []}
    return {key: value for key, value in metrics.items() if key != "validation_curve"}


def figure_values(config: dict, metrics: dict, found: dict) -> dict:
    """What templates say of what was measured."""
    of_judges = {"attribute-judge": areas, "identity": likeness}.get(config["kind"])
    return {
        "rows": [] if of_judges else rows(found),
        "tables": of_judges(found) if of_judges else tables(found),
        "notes": [] if of_judges else notes(found | {"matched": metrics.get("matched") or {}}),
        "does": meanings(found, config["domain"] != "multimnist") if config["kind"] in EDIT_KINDS else [],
        "measured_on": MEASURED_ON.get(
            config["kind"], "on the test split, which nothing was trained or chosen on"
        ),
        "read_by": cell(found.get("read_by", "")),
        "measured_by": metrics.get("command"),
    }


def edit_values(config: dict, metrics: dict) -> dict:
    for key in ("from", "to"):
        if not isinstance(config.get(key), str) or not LABEL.fullmatch(config[key]):
            raise ValueError(
                f"{key} is {config.get(key)!r}, expected a short label of letters, digits and spaces"
            )
    alpha = config.get("alpha", 1.0)
    if not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise ValueError(f"alpha is {alpha!r}, expected a number")
    return {
        "alpha": alpha,
        "strength": f"{alpha} is recommended" if "alpha" in config else "1 is the whole of the map",
        "curve": tables({"curve": metrics.get("validation_curve") or []}),
        "chosen_by": "codes"
        if any("norm" in point for point in metrics.get("validation_curve") or [])
        else "pictures",
        "calibrated": rows(metrics.get("calibrated") or {}),
        "matched": rows(
            {key: value for key, value in (metrics.get("matched") or {}).items() if key != "leakage"}
        ),
        "leaks": leaks(metrics),
        "formula": "A_l w_l + b_l" if config["kind"] == "affine" else "b_l",
        "learned": learned(config),
    }


def learned(config: dict) -> str:
    method, origin = config["method"], config.get("origin")
    if isinstance(origin, dict):  # trainers.directions
        return f"found by others, by the method `{method}`, and converted from their file `{cell(origin.get('file'))}` (sha256 {cell(origin.get('sha256'))})"
    if method == "lw":
        return "learned with a Wasserstein loss"
    if method == "random":
        return "drawn at random, to compare others with"
    return f"learned by the method `{method}`" + (
        f", adapted from its paper ({ADAPTED[method]})" if method in ADAPTED else ""
    )


def metadata(config: dict, found: dict, repo_id: str) -> ModelCardData:
    """The YAML head of the card; its model-index holds what was measured."""
    kind, is_edit = config["kind"], config["kind"] in EDIT_KINDS
    dataset, dataset_name = DATASETS.get(config["domain"], (None, config["domain"]))
    task = PIPELINE_TAG.get(kind, "image-to-image")
    results = [
        EvalResult(
            task_type=task,
            dataset_type=dataset or config["domain"],
            dataset_name=dataset_name,
            metric_type=name,
            metric_value=value,
        )
        for name, value in measures(found)
    ]
    tags = ["lwgan", "latent-edit" if is_edit else kind, "stylegan2", f"domain:{config['domain']}"]
    tags += [f"{key}:{config[key]}" for key in ("attribute", "method") if is_edit and key in config]
    base = {"base_model": config["base_model"], "base_model_relation": "adapter"} if is_edit else {}
    licence = LICENCES.get(config["domain"], {"license": "apache-2.0"})
    return ModelCardData(
        library_name="lwgan", pipeline_tag=task, tags=tags, datasets=[dataset] if dataset else None,
        model_name=repo_id.split("/")[1], eval_results=results or None, **licence, **base,
    )  # fmt: skip


def pictures(images: Path) -> list[dict]:
    found = sorted(images.glob("*.png"), reverse=True)  # the strip before the curve
    return [
        {"file": path.name, "title": CAPTIONS.get(path.stem, path.stem.replace("-", " ").replace("_", " "))}
        for path in found
    ]


# How it was trained


def told(training: dict, before: str = "") -> list[tuple[str, str]]:
    """(name, value) of the training's options, nested names joined by /."""
    found = []
    for key, value in training.items():
        found += (
            told(value, f"{before}{key} / ")
            if isinstance(value, dict)
            else [(cell(f"{before}{key}"), cell(value))]
        )
    return found


def command(config: dict) -> str | None:
    """The command that trained it, made of those keys of the training that its stage has flags for; None if there are none."""
    if config["kind"] not in STAGE:
        return None
    training = config.get("training") or {}
    stated = training.get("stage")
    name = stated if stated in TUNED else STAGE[config["kind"]]
    stage = importlib.import_module(f"trainers.{name.replace('-', '_')}")
    known = {
        field.name: training[field.name]
        for field in fields(stage.Options)
        if training.get(field.name) is not None
    }
    words = [
        word for key, value in known.items() if not isinstance(value, dict) for word in flags(key, value)
    ]
    for value in known.values():
        if isinstance(value, dict):  # a subcommand's own options come last
            held = [word for part, told in value.items() if told is not None for word in flags(part, told)]
            words += [config["method"], *held]
    return shlex.join(["python", "-m", "trainers", name, *words]) if words else None


def flags(key: str, value) -> list[str]:
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
