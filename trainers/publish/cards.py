"""Model cards: the templates of hub_cards, filled from a model's config, its figures and its Domain.

A value that a template needs and that is missing is an error.
"""

import functools
import math
import re
from dataclasses import replace
from pathlib import Path

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from lwgan.domain import Domain, change_from_json
from lwgan.files import CONFIG, EDIT_KINDS
from lwgan.methods import method_of
from trainers.edits import ADAPTED
from trainers.publish import tables

# The kinds that have a card, bases before the models that are based on them, and their task on the Hub.
TASKS = {
    "generator": "unconditional-image-generation",
    "encoder": "image-to-image",
    "judge": "image-classification",
    "identity": "image-feature-extraction",
    "latent-classifier": "tabular-classification",
} | dict.fromkeys(EDIT_KINDS, "image-to-image")
# The strengths of an edit for which metrics.json has figures.
STRENGTHS = {
    "chosen": "At the recommended strength:",
    "calibrated": "At the strength at which a classifier of codes reads the change everywhere:",
    "matched": "At the strength at which edits are compared:",
}
DATASET = re.compile(r"https://huggingface\.co/datasets/([\w.-]+/[\w.-]+)")


def card(
    config: dict, metrics: dict, domain: Domain, repo_id: str, images: Path, code: str | None = None
) -> str:
    """The text of README.md.

    metrics: the content of metrics.json, or the config's `metrics`.  images: the folder of the PNGs to show.
    code: the address of lwgan's repository.  ValueError if a value that the card states is missing."""
    is_edit, training = config["kind"] in EDIT_KINDS, dict(config.get("training") or {})
    values = {
        "config": config, "domain": domain, "repo_id": repo_id, "name": _last(repo_id),
        "url": url, "is_local": is_local(repo_id), "code": code,
        "pictures": sorted((path.stem for path in images.glob("*.png")), reverse=True),
        "licence": licence(domain), "command": training.pop("command", None),
        "training": [(tables.name_of(path), tables.cell(value)) for path, value in tables.leaves(training)],
        "evaluation_command": metrics.get("command"), "read_by": metrics.get("read_by"),
    }  # fmt: skip
    try:
        values |= edit_values(config, metrics) if is_edit else net_values(config, metrics, domain)
        values["definitions"] = tables.definitions(values["groups"])
        template = templates(tables.TEMPLATES).get_template(f"{'edit' if is_edit else config['kind']}.md")
        body = template.render(values)
    except (jinja2.UndefinedError, KeyError) as error:
        raise ValueError(f"{repo_id}: {CONFIG} lacks a value that its card states: {error}") from error
    body = re.sub(r"\n{3,}", "\n\n", body).strip()
    head = metadata(config, metrics.get("chosen", metrics), domain, repo_id)
    return f"---\n{head.to_yaml()}\n---\n\n{body}\n"


@functools.cache
def templates(folder: Path) -> jinja2.Environment:
    """The templates of a folder, each compiled once."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def licence(domain: Domain) -> tuple[str, str]:
    """The Hub's id of a domain's licence, and the text that follows it."""
    first, _, rest = domain.licence.partition("\n")
    return first.strip(), rest.strip()


def net_values(config: dict, metrics: dict, domain: Domain) -> dict:
    """What the cards of all models but edits say beside the config."""
    mode = "L" if config["architecture"].get("channels", 1) == 1 else "RGB"  # of judges and identity networks
    return {"groups": tables.groups(metrics, labels_of(config, domain)), "mode": mode}


def edit_values(config: dict, metrics: dict) -> dict:
    """What the card of an edit says beside the config."""
    alpha = config.get("alpha", 1.0)
    if not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise ValueError(f"alpha is {alpha!r}, expected a finite number")
    found = {key: dict(metrics.get(key) or {}) for key in STRENGTHS}
    leakage = found["matched"].pop("leakage", {})
    points = metrics.get("curve") or (config.get("strength") or {}).get("curve") or []
    groups = [table for key, title in STRENGTHS.items() for table in tables.groups(found[key], (), title)]
    groups += tables.side_effects(leakage) + tables.curve(points, "By strength:")
    change = change_from_json(config["change"], CONFIG)
    change = replace(change, before=tables.cell(change.before), after=tables.cell(change.after))
    method, adapted = method_of(config), ADAPTED.get(config["method"])
    return {"change": change, "alpha": alpha, "method": method, "adapted": adapted, "groups": groups}


def labels_of(config: dict, domain: Domain) -> list[str]:
    """The labels by which figures may be given: the model's own and those of the domain."""
    own = config.get("names") or config.get("architecture", {}).get("names") or ()
    return list(dict.fromkeys([*own, *domain.attributes]))


def metadata(config: dict, figures: dict, domain: Domain, repo_id: str) -> ModelCardData:
    """The YAML head of the card; its model-index holds the figures of the test split."""
    is_edit, task = config["kind"] in EDIT_KINDS, TASKS[config["kind"]]
    datasets = DATASET.findall(domain.about)
    results = [
        EvalResult(
            task_type=task, dataset_type=datasets[0] if datasets else domain.name,
            dataset_name=f"{domain.title} (test split)", metric_type=name, metric_value=value,
        ) for name, value in tables.measures(figures, labels_of(config, domain))
    ]  # fmt: skip
    tags = ["lwgan", "latent-edit" if is_edit else config["kind"], "stylegan2", f"domain:{domain.name}"]
    base = {}
    if is_edit:
        tags += [f"change:{config['change']['name']}", f"method:{config['method']}"]
    if is_edit and not is_local(repo_id):
        base = {"base_model": config["base_model"], "base_model_relation": "adapter"}
    return ModelCardData(
        library_name="lwgan", pipeline_tag=task, tags=tags, datasets=datasets or None,
        model_name=_last(repo_id), eval_results=results or None, license=licence(domain)[0], **base,
    )  # fmt: skip


def is_local(repo_id: str) -> bool:
    """Whether a model is not on the Hub but in a folder of this repository, such as "lwgan/bundled/NAME"."""
    return repo_id.count("/") != 1


def url(repo_id: str) -> str:
    """The page of a repository of the Hub, or the folder beside the card's own."""
    return f"../{_last(repo_id)}" if is_local(repo_id) else f"https://huggingface.co/{repo_id}"


def _last(repo_id: str) -> str:
    return repo_id.split("/")[-1]
