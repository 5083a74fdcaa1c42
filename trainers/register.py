"""Copy a finished run into a registry, the folder of models that the page, `evaluate` and `publish` read.

    python -m trainers register runs/lw-bold registry/lwgan-shoes-lw-leather

The copy holds the config, the weights, the figures and the pictures; the run itself stays as it is.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tyro

from lwgan.files import CONFIG, METRICS, NAME, WEIGHTS, read_config, read_folder, write_json
from lwgan.hub import registry
from lwgan.pipeline import BASES

OWNER = "local"  # stands for the namespace until `publish` knows it


@dataclass(frozen=True)
class Options:
    """Copy a finished run into a registry."""

    run: tyro.conf.Positional[Path]
    """The run: a folder with config.json and model.safetensors."""
    target: tyro.conf.Positional[Path]
    """REGISTRY/NAME: the folder to write. A registered model of the same name is replaced."""


def main(options: Options) -> None:
    register(options.run, options.target)
    print(f"{options.target} holds {options.run}")


def register(run: Path, target: Path) -> None:
    """Writes `target`, whole or not at all. A target with the same weights stays as it is, with its figures.

    ValueError if the run is not a whole model, if the name is not allowed, or if the registry lacks the
    generator or the encoder that the model was made for."""
    if not NAME.fullmatch(target.name):
        raise ValueError(f"{target}: the name {target.name!r} may have 1 to 64 of a-z, 0-9, _ and -")
    config, _, weights = read_folder(run, str(run))
    if (target / CONFIG).exists():
        if read_config(target, str(target))["weights"] == config["weights"]:
            return
    elif target.exists():
        raise ValueError(f"{target} exists and is not a model: choose another name")
    config |= bases_in(target.parent, config, str(run))
    with replacing(target) as new:
        (new / WEIGHTS).write_bytes(weights)
        write_json(new / CONFIG, config)
        copy_figures(run, new)


def bases_in(shelf: Path, config: dict, source: str) -> dict[str, str]:
    """{"base_model": "local/NAME", ...}: the names in a registry of the bases of a model."""
    entries, names = registry.models(shelf, whole=False) if shelf.is_dir() else [], {}
    for kind, weights in (config.get("base_revision") or {}).items():
        models = [entry for entry in entries if entry.kind == kind]
        found = [entry.name for entry in models if entry.config["weights"]["sha256"] == weights]
        if kind in BASES and not found:
            made_for = f"{source} was made for the {kind} with weights sha256 {weights}"
            raise ValueError(f"{made_for}, which is not in {shelf}: register it first")
        if kind in BASES:
            names[BASES[kind]] = f"{OWNER}/{found[0]}"
    return names


def copy_figures(source: Path, target: Path) -> None:
    """Copies metrics.json and the PNGs of images/, as far as there are any."""
    if (source / METRICS).is_file():
        shutil.copyfile(source / METRICS, target / METRICS)
    (target / "images").mkdir()
    for path in (source / "images").glob("*.png"):
        shutil.copyfile(path, target / "images" / path.name)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """An empty folder to fill. In the end it replaces `target`; after an error `target` is as before."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as work:
        new, old = Path(work) / "new", Path(work) / "old"
        new.mkdir()
        yield new
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except BaseException:
            if old.exists():
                old.rename(target)
            raise
