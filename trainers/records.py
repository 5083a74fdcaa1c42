"""What all evaluations share: which models of a registry are measured, that nobody measures what he had a part in, and what is kept of it."""

import dataclasses
import importlib.metadata
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lwgan.hub import registry
from trainers import run
from trainers.classifiers import SPLIT

PARTS = {  # of an edit's config: what it may not share with those who measure it
    "judge_revision": "was guided by", "selector_revision": "has its alpha from", "classifier_revision": "was trained with",
}  # fmt: skip
PACKAGES = ("torch", "numpy", "geomloss", "scikit-learn")


def versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def command(stage: str, options: Any) -> str:
    """The command line of a stage with those options that are not the defaults; of paths only the last name (no path of this machine is
    published)."""
    plain, given = run.as_json(options), dataclasses.asdict(options)
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    words = [
        f"--{key.replace('_', '-')} {value}" for key, value in plain.items() if given[key] != defaults[key]
    ]
    return " ".join(
        [
            f"python -m trainers {stage} --domain {options.domain}",
            *(word for word in words if not word.startswith("--domain ")),
        ]
    )


def settings(config: dict) -> dict:
    """What an edit's config says of how it was learned: the method's options, and what any method may have varied."""
    training = config.get("training") or {}
    return (training.get("method") or {}) | {
        key: training[key] for key in ("layers", "training_codes") if training.get(key)
    }


# The models


def folder_of(folder: Path, kind: str, domain: str) -> Path:
    """Where a registry folder holds a domain's model of a kind. ValueError if there is none."""
    found = [
        entry
        for entry in registry.models(folder)
        if entry.kind == kind and entry.domain == domain and entry.refused is None
    ]
    if not found:
        raise ValueError(f"{folder} holds no {kind} of the domain {domain}")
    return Path(found[0].source)


def entries_of(folders: Sequence[Path | None], domain: str) -> list[registry.Entry]:
    """A domain's edits in some folders, each weights' file once. ValueError if there is none, and for a model that is refused."""
    entries = [entry for folder in folders if folder for entry in registry.models(folder)]
    if refused := [entry for entry in entries if entry.refused]:
        raise ValueError(f"{refused[0].name} cannot be measured: {refused[0].refused}")
    entries = [entry for entry in entries if entry.kind in registry.EDIT_KINDS and entry.domain == domain]
    entries = list({entry.config["weights"]["sha256"]: entry for entry in reversed(entries)}.values())[::-1]
    if not entries:
        raise ValueError(f"{folders[0]} holds no edit of the domain {domain}")
    return entries


def check_split(kind: str, config: dict) -> None:
    """ValueError for a judge that does not say that it was trained on the training split."""
    split = (config.get("training") or {}).get("split")
    if split != SPLIT:
        raise ValueError(
            f"the {kind} was trained on the split {split!r}, expected {SPLIT!r}: what it saw it cannot measure"
        )


def check_edit(entry: registry.Entry, revisions: dict[str, str], judges: Sequence[str]) -> None:
    """ValueError for an edit of other nets than `revisions` (kind -> sha256), one that does not say its method and strength, and one
    in which one of the kinds of `judges`, who are to measure it, had a part already."""
    wanted = {kind: revisions[kind] for kind in ("generator", "encoder")}
    if (base := entry.config.get("base_revision")) != wanted:
        raise ValueError(f"{entry.name} was made for nets {base}, the registry's are {wanted}")
    for key in ("method", "alpha"):
        if entry.config.get(key) is None:
            raise ValueError(f"{entry.name}: its config.json has no {key}")
    for key, part in PARTS.items():
        for kind in judges:
            if entry.config.get(key) == revisions[kind]:
                raise ValueError(
                    f"{entry.name} {part} the {kind} that is to measure it, {revisions[kind]}: train another"
                )


# What was measured


def kept(folder: Path, of: dict, alpha: float, make: Callable[[], dict]) -> dict:
    """The metrics.json of a folder if it is whole and of just these weights, numbers and recommended alpha, else one that is made now."""
    path = folder / "metrics.json"
    try:
        if (found := json.loads(path.read_text()))["of"] == of and found["chosen"]["alpha"] == alpha:
            return found
    except (FileNotFoundError, ValueError, KeyError):
        pass  # not made yet, or torn
    metrics = {"of": of} | make()
    run.write_text(path, json.dumps(metrics, indent=1, allow_nan=False))
    return metrics


def record(folder: Path, metrics: dict) -> None:
    """Puts the figures into the folder's config.json."""
    config = json.loads((folder / "config.json").read_text())
    if config.get("metrics") != metrics:
        run.write_text(
            folder / "config.json", json.dumps(config | {"metrics": metrics}, indent=1, allow_nan=False)
        )


def load(path: Path, of: dict) -> dict:
    """What a results.json holds of models `of` (their sha256), with what was measured on them so far."""
    found = json.loads(path.read_text()) if path.exists() else {}
    if found.get("of") == of:
        return found
    if "edits" in found:
        print(f"{path} holds figures of other nets or other numbers of pictures: they are left out")
    return {"of": of, "edits": {}}


def published(path: Path) -> dict:
    """What a results.json holds. ValueError if it is not there, or damaged."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(
            f"{path} is missing: measure first, without --tables, or name the folder that holds it (--docs)"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error})") from error


def save(path: Path, found: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    run.write_text(path, json.dumps(found, indent=1, allow_nan=False))


def put(found: dict, name: str, metrics: dict) -> None:
    """An edit's metrics among the results. It may have had another name."""
    others = {other: row for other, row in found["edits"].items() if row["of"] != metrics["of"]}
    found["edits"] = others | {name: {"name": name} | metrics}
