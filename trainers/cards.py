"""Model cards: the templates of hub_cards, filled from a model's config.json and metrics.json.

Every figure of a card is one of metrics.json; what a template asks for and nobody says is an error, never an empty place.
"""

import importlib
import json
import math
import re
import shlex
from dataclasses import fields
from pathlib import Path

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from lwgan.folders import CONFIG, EDIT_KINDS
from trainers.edits import ADAPTED

TEMPLATES = Path(__file__).parents[1] / "hub_cards"
TEMPLATE = {
    "generator": "generator.md", "encoder": "encoder.md", "judge": "judge.md", "latent-classifier": "latent_classifier.md",
    "affine": "edit.md", "translation": "edit.md",
}  # fmt: skip
PIPELINE_TAG = {
    "generator": "unconditional-image-generation",
    "judge": "image-classification",
    "latent-classifier": "tabular-classification",
}  # others: image-to-image
DATASETS = {"multimnist": ("ylecun/mnist", "MultiMNIST, composed of MNIST's test digits")}
# What may be done with the weights of a domain: hub_cards/_data_DOMAIN.md says why.
LICENCES = {"faces": {"license": "other", "license_name": "non-commercial"}}
# How a picture comes into the encoder's frame: what to import from lwgan, and the expression.
FRAMES = {
    "multimnist": ("images", 'images.frame_digits(images.open_picture("digits.png"))'),
    "faces": ("faces, images", 'faces.frame_face("photo.jpg")'),
    "synthfaces": ("images", 'images.open_picture("face.png").convert("RGB").resize((E.config["resolution"],) * 2)'),
}
TUNED = ("encoder", "join", "match")  # stages that make generator and encoder both; their config says which it was
STAGE = {
    "generator": "generator", "encoder": "encoder", "judge": "classifiers", "latent-classifier": "latent-classifier",
    "affine": "edit", "translation": "edit",
}  # fmt: skip
LABEL = re.compile(r"[\w][\w ,.'+-]{0,63}")  # of one line, without markup
CAPTIONS = {
    "strip": "Pictures of the test split, one a row: encoded and drawn again, then edited with growing strength",
    "curve": "What is kept against what is changed, the strength growing along each line",
}
# What figures of an edit say, those of what it does before those of what it leaks.
MEANINGS = {
    "target_change": "what was asked for is there afterwards",
    "true_change": "it is there, and of all else that is read nothing has changed",
    "latent_change": "a classifier of codes, not of pictures, says that it is there",
    "no_edit": "it is there without any edit: how often the reading errs",
    "digits_kept": "of those that changed, the old digits are all still there",
    "attribute_preservation": "other attributes are read as before",
    "identity": "likeness to the picture before, 1 = the same",
    "overshoot": "more has changed than was asked for",
}


def card(config: dict, metrics: dict, repo_id: str, images: Path) -> str:
    """The text of README.md. ValueError if config or metrics lack what the card must say."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    found = figures(metrics)
    imports, framed = FRAMES.get(config["domain"], FRAMES["synthfaces"])
    values = {key: value for key, value in config.items() if isinstance(value, (str, int, float))}
    values |= {"repo_id": repo_id, "name": repo_id.split("/")[1], "pictures": pictures(images), "imports": imports, "framed": framed}
    values |= {"rows": rows(found), "calibrated": rows(metrics.get("calibrated") or {}), "tables": tables(found), "does": meanings(found)}
    values |= {"read_by": cell(found.get("read_by", "")), "measured_by": metrics.get("command")}
    values |= {"command": command(config), "training": told(config.get("training") or {})}
    if config["kind"] in EDIT_KINDS:
        values |= edit_values(config, metrics)
    if config["kind"] == "latent-classifier":
        values["names"] = [cell(name) for name in config.get("names") or []]
    try:
        body = environment.get_template(TEMPLATE[config["kind"]]).render(values)
    except jinja2.UndefinedError as error:
        raise ValueError(f"{repo_id}: {CONFIG} lacks what its card says ({error})") from error
    except jinja2.TemplateNotFound as error:
        raise ValueError(f"{repo_id}: there is no card for domain {config.get('domain')!r} (hub_cards/{error} is missing)") from error
    body = re.sub(r"\n{3,}", "\n\n", body).strip()
    return f"---\n{metadata(config, found, repo_id).to_yaml()}\n---\n\n{body}\n"


def figures(metrics: dict) -> dict:
    """What was measured, without what was measured with: of an edit at its recommended strength, and its curve."""
    if "chosen" in metrics:
        return {**metrics["chosen"], "curve": metrics.get("curve") or []}
    return {key: value for key, value in metrics.items() if key != "validation_curve"}


def edit_values(config: dict, metrics: dict) -> dict:
    for key in ("from", "to"):
        if not isinstance(config.get(key), str) or not LABEL.fullmatch(config[key]):
            raise ValueError(f"{key} is {config.get(key)!r}, expected a short label of letters, digits and spaces")
    alpha = config.get("alpha", 1.0)
    if not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise ValueError(f"alpha is {alpha!r}, expected a number")
    return {
        "alpha": alpha,
        "strength": f"{alpha} is recommended" if "alpha" in config else "1 is the whole of the map",
        "curve": tables({"curve": metrics.get("validation_curve") or []}),
        "formula": "A_l w_l + b_l" if config["kind"] == "affine" else "b_l",
        "learned": learned(config),
    }


def learned(config: dict) -> str:
    method, origin = config["method"], config.get("origin")
    if isinstance(origin, dict):  # trainers.directions
        return f"by others, by the method `{method}`, and converted from their file `{cell(origin.get('file'))}` (sha256 {cell(origin.get('sha256'))})"
    if method == "lw":
        return "with a Wasserstein loss"
    return f"by the method `{method}`" + (f", adapted from its paper ({ADAPTED[method]})" if method in ADAPTED else "")


def metadata(config: dict, found: dict, repo_id: str) -> ModelCardData:
    """The YAML head of the card; its model-index holds what was measured."""
    kind, is_edit = config["kind"], config["kind"] in EDIT_KINDS
    dataset, dataset_name = DATASETS.get(config["domain"], (None, config["domain"]))
    task = PIPELINE_TAG.get(kind, "image-to-image")
    results = [
        EvalResult(
            task_type=task, dataset_type=dataset or config["domain"], dataset_name=dataset_name, metric_type=name, metric_value=value
        )
        for name, value in scalars(found)
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
    return [{"file": path.name, "title": CAPTIONS.get(path.stem, path.stem.replace("-", " ").replace("_", " "))} for path in found]


# Figures as text


def meanings(found: dict) -> list[dict]:
    """What the figures that every reader should see say."""
    lines = {line["key"]: line for line in rows(found)}
    return [lines[key] | {"meaning": meaning} for key, meaning in MEANINGS.items() if key in lines]


def scalars(metrics: dict, before: str = "") -> list[tuple[str, float]]:
    """(name, number) of all that is one number or a rate {value, low, high, n}, nested names joined by /."""
    found = []
    for key, value in metrics.items():
        name = f"{before}{key}"
        if is_number(value):
            found.append((name, value))
        elif isinstance(value, dict) and is_number(value.get("value")):
            found.append((name, value["value"]))
        elif isinstance(value, dict):
            found += scalars(value, f"{name}/")
    return found


def rows(metrics: dict, before: str = "") -> list[dict]:
    """Lines of the card's table: numbers, rates with their interval, short lists."""
    found = []
    for key, value in metrics.items():
        line = {"key": f"{before}{key}", "name": label(f"{before}{key}"), "interval": "", "cases": ""}
        if isinstance(value, dict) and "value" in value:
            interval = f"{cell(value['low'])} to {cell(value['high'])}" if {"low", "high"} <= set(value) else ""
            found.append(line | {"value": cell(value["value"]), "interval": interval, "cases": cell(value.get("n", ""))})
        elif isinstance(value, dict):
            found += rows(value, f"{before}{key} / ")
        elif not is_table(value) and value != [] and key != "read_by":
            found.append(line | {"value": cell(value)})
    return found


def tables(metrics: dict) -> list[dict]:
    """Lists of records, such as a strength curve."""
    found = []
    for key, lines in metrics.items():
        if is_table(lines):
            names = list(lines[0])
            head = [label(name) for name in names]
            found.append({"name": label(key), "head": head, "lines": [[cell(line[name]) for name in names] for line in lines]})
    return found


def is_table(value) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(line, dict) and set(line) == set(value[0]) for line in value)


def is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def label(key: str) -> str:
    """A key as words of a table."""
    return cell(key.replace("_", " "))


def cell(value) -> str:
    """A value as text of a table's cell; numbers to four significant digits."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(part) for part in value)
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"[|<>`\[\]\r\n]", " ", text)


# How it was trained


def told(training: dict, before: str = "") -> list[tuple[str, str]]:
    """(name, value) of the training's options, nested names joined by /."""
    found = []
    for key, value in training.items():
        found += told(value, f"{before}{key} / ") if isinstance(value, dict) else [(cell(f"{before}{key}"), cell(value))]
    return found


def command(config: dict) -> str | None:
    """The command that trained it, made of those keys of the training that its stage has flags for; None if there are none."""
    if config["kind"] not in STAGE:
        return None
    training = config.get("training") or {}
    stated = training.get("stage")
    name = stated if stated in TUNED else STAGE[config["kind"]]
    stage = importlib.import_module(f"trainers.{name.replace('-', '_')}")
    known = {field.name: training[field.name] for field in fields(stage.Options) if training.get(field.name) is not None}
    words = [word for key, value in known.items() if not isinstance(value, dict) for word in flags(key, value)]
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
