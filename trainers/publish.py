"""Stage 7: a model folder gets its card and goes to the Hub, in one commit.

    python -m trainers publish lwgan/bundled/lwgan-multimnist-lw-1to2 --namespace my-name
    python -m trainers publish FOLDER --namespace my-name --dry-run      # writes the card, asks nobody

Every figure of a card is one of the folder's config.json; a forgotten one is an error, never an empty place.
"""

import importlib
import json
import math
import re
import shlex
from dataclasses import dataclass, fields
from pathlib import Path

import jinja2
import tyro
from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

from lwgan import registry
from trainers import run
from trainers.edits import ADAPTED

TEMPLATES = Path(__file__).parents[1] / "hub_cards"
TEMPLATE = {"affine": "edit.md", "translation": "edit.md", "generator": "generator.md", "encoder": "encoder.md", "judge": "judge.md"}
PIPELINE_TAG = {"generator": "unconditional-image-generation", "judge": "image-classification"}  # others: image-to-image
DATASETS = {"multimnist": ("ylecun/mnist", "MultiMNIST, composed of MNIST's test digits")}
# What may be done with the weights of a domain: hub_cards/_data_DOMAIN.md says why.
LICENCES = {"faces": {"license": "other", "license_name": "non-commercial"}}
TUNED = ("encoder", "join", "match")  # stages that make generator and encoder both; their config says which it was
STAGE = {"generator": "generator", "encoder": "encoder", "judge": "classifiers", "affine": "edit", "translation": "edit"}
LABEL = re.compile(r"[\w][\w ,.'+-]{0,63}")  # of one line, without markup


@dataclass(frozen=True)
class Options:
    """Write a model's card and push model, card and pictures to the Hub in one commit."""

    folder: tyro.conf.Positional[Path]
    """The run or model folder: config.json and model.safetensors, and pictures for the card in images/."""
    namespace: str
    """Your user name on the Hub, or an organisation's."""
    name: str | None = None
    """The repo's name; by default the folder's if it starts with "lwgan-", else made from the config."""
    private: bool = False
    """Make the repo private."""
    dry_run: bool = False
    """Write the card into the folder and say what would be pushed; no network."""


def main(options: Options) -> None:
    config, _ = registry.load_model(options.folder)
    if config["kind"] not in TEMPLATE:
        raise ValueError(f"{options.folder} is of kind {config['kind']!r}: cards exist for {', '.join(TEMPLATE)}")
    for key in ("domain", "method", "attribute") if config["kind"] in registry.EDIT_KINDS else ("domain",):
        if config.get(key) is None:
            raise ValueError(f"{options.folder}: {registry.CONFIG} has no {key}, which the card must say")
    if not registry.NAMESPACE.fullmatch(options.namespace):
        raise ValueError(f"--namespace {options.namespace!r} is no name of a user or an organisation")
    name = options.name or name_of(options.folder, config)
    if not registry.NAME.fullmatch(name):
        raise ValueError(f"--name {name!r} may have 1 to 64 of a-z, 0-9, _ and -")
    repo_id = f"{options.namespace}/{name}"
    based = config | bases(config, options.namespace)
    text = card(based, repo_id, options.folder)
    if based != config:
        run.write_text(options.folder / registry.CONFIG, json.dumps(based, indent=1))
    run.write_text(options.folder / "README.md", text)
    files = registry.files_of(options.folder)
    print("\n".join(f"{path}  {len(data):,} bytes" for path, data in files.items()))
    if options.dry_run:
        print(f"dry run: nothing was pushed to {repo_id}")
        return
    try:
        pushed = registry.push(options.folder, repo_id, private=options.private)
    except (HfHubHTTPError, httpx.HTTPError, ConnectionError) as error:
        raise ValueError(f"{options.folder} was not pushed to {repo_id}: {error}") from error
    print(f"{pushed.url}  {'pushed as' if pushed.changed else 'holds this already:'} {pushed.commit}")


def name_of(folder: Path, config: dict) -> str:
    """lwgan-<domain>-<kind>, for edits lwgan-<domain>-<method>-<what>, unless the folder itself has such a name."""
    folder = folder.resolve()
    if folder.name.startswith("lwgan-"):
        return folder.name
    if config["kind"] not in registry.EDIT_KINDS:
        return f"lwgan-{config['domain']}-{config['kind']}"
    counts = [re.match(r"(\d+) ", str(config.get(end))) for end in ("from", "to")]
    what = f"{counts[0][1]}to{counts[1][1]}" if all(counts) else config["attribute"]
    return f"lwgan-{config['domain']}-{config['method']}-{what}"


def bases(config: dict, namespace: str) -> dict:
    """Where an edit's generator and encoder lie in this namespace, an encoder's generator: what else the config must say."""
    parts = {"base_model": "generator", "base_encoder": "encoder"}
    wanted = ["base_model"] if config["kind"] == "encoder" else list(parts) if config["kind"] in registry.EDIT_KINDS else []
    last = {key: str(config.get(key) or f"lwgan-{config['domain']}-{parts[key]}").split("/")[-1] for key in wanted}
    return {key: f"{namespace}/{name}" for key, name in last.items()}


# The card


def card(config: dict, repo_id: str, folder: Path) -> str:
    """The text of README.md. ValueError if the config lacks what the card must say."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    metrics = config.get("metrics") or {}
    values = {key: value for key, value in config.items() if isinstance(value, (str, int, float))}
    values |= {
        "repo_id": repo_id,
        "name": repo_id.split("/")[1],
        "pictures": pictures(folder),
        "rows": rows(metrics),
        "tables": tables(metrics),
    }
    values |= {"command": command(config), "training": told(config.get("training") or {})}
    if config["kind"] in registry.EDIT_KINDS:
        values |= edit_values(config)
    try:
        body = environment.get_template(TEMPLATE[config["kind"]]).render(values)
    except jinja2.UndefinedError as error:
        raise ValueError(f"{folder}: {registry.CONFIG} lacks what its card says ({error})") from error
    except jinja2.TemplateNotFound as error:
        raise ValueError(f"{folder}: there is no card for domain {config.get('domain')!r} (hub_cards/{error} is missing)") from error
    body = re.sub(r"\n{3,}", "\n\n", body).strip()
    return f"---\n{metadata(config, repo_id).to_yaml()}\n---\n\n{body}\n"


def edit_values(config: dict) -> dict:
    for key in ("from", "to"):
        if not isinstance(config.get(key), str) or not LABEL.fullmatch(config[key]):
            raise ValueError(f"{key} is {config.get(key)!r}, expected a short label of letters, digits and spaces")
    alpha = config.get("alpha", 1.0)
    if not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise ValueError(f"alpha is {alpha!r}, expected a number")
    return {
        "alpha": alpha,
        "strength": f"{alpha} is recommended" if "alpha" in config else "1 is the whole of the map",
        "curve": tables({"curve": config.get("curve") or []}),
        "formula": "A_l w_l + b_l" if config["kind"] == "affine" else "b_l",
        "learned": learned(config["method"]),
    }


def learned(method: str) -> str:
    if method == "lw":
        return "with a Wasserstein loss"
    return f"by the method `{method}`" + (f", adapted from its paper ({ADAPTED[method]})" if method in ADAPTED else "")


def metadata(config: dict, repo_id: str) -> ModelCardData:
    """The YAML head of the card; its model-index holds the config's metrics."""
    kind, is_edit = config["kind"], config["kind"] in registry.EDIT_KINDS
    dataset, dataset_name = DATASETS.get(config["domain"], (None, config["domain"]))
    task = PIPELINE_TAG.get(kind, "image-to-image")
    results = [
        EvalResult(
            task_type=task, dataset_type=dataset or config["domain"], dataset_name=dataset_name, metric_type=name, metric_value=value
        )
        for name, value in scalars(config.get("metrics") or {})
    ]
    tags = ["lwgan", "latent-edit" if is_edit else kind, "stylegan2", f"domain:{config['domain']}"]
    tags += [f"{key}:{config[key]}" for key in ("attribute", "method") if is_edit and key in config]
    base = {"base_model": config["base_model"], "base_model_relation": "adapter"} if is_edit else {}
    licence = LICENCES.get(config["domain"], {"license": "apache-2.0"})
    return ModelCardData(
        library_name="lwgan", pipeline_tag=task, tags=tags, datasets=[dataset] if dataset else None,
        model_name=repo_id.split("/")[1], eval_results=results or None, **licence, **base,
    )  # fmt: skip


def pictures(folder: Path) -> list[dict]:
    found = sorted((folder / "images").glob("*.png"))
    return [{"file": path.name, "title": path.stem.replace("-", " ").replace("_", " ")} for path in found]


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
        line = {"name": label(f"{before}{key}"), "interval": "", "cases": ""}
        if isinstance(value, dict) and "value" in value:
            interval = f"{cell(value['low'])} to {cell(value['high'])}" if {"low", "high"} <= set(value) else ""
            found.append(line | {"value": cell(value["value"]), "interval": interval, "cases": cell(value.get("n", ""))})
        elif isinstance(value, dict):
            found += rows(value, f"{before}{key} / ")
        elif not is_table(value):
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
    told = training.get("stage")
    name = told if told in TUNED else STAGE[config["kind"]]
    stage = importlib.import_module(f"trainers.{name}")
    known = {field.name: training[field.name] for field in fields(stage.Options) if training.get(field.name) is not None}
    words = [word for key, value in known.items() if not isinstance(value, dict) for word in flags(key, value)]
    for value in known.values():
        if isinstance(value, dict):  # a subcommand's own options come last
            words += [
                config["method"],
                *(word for part, held in value.items() if held is not None for word in flags(part, held)),
            ]
    return shlex.join(["python", "-m", "trainers", name, *words]) if words else None


def flags(key: str, value) -> list[str]:
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
