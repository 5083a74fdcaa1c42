"""Copy a finished run into a registry, the folder of models that the page, `evaluate` and `publish` read.

    python -m trainers register runs/lw-bold registry/lwgan-letters-lw-bold

The copy holds the config, the weights, the figures and the pictures; the run itself stays as it is.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tyro

from lwgan.files import CONFIG, METRICS, NAME, WEIGHTS, read_config, read_folder, write_json

BASES = {"generator": "base_model", "encoder": "base_encoder"}  # kind -> key of a config that names the base
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
    generator or the encoder that the model was made for.
    """
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


def bases_in(registry: Path, config: dict, source: str) -> dict[str, str]:
    """{"base_model": "local/NAME", ...}: the names in the registry of the bases of a model."""
    names = {}
    for kind, weights in (config.get("base_revision") or {}).items():
        if kind not in BASES:
            continue
        found = [path.parent.name for path in registry.glob(f"*/{CONFIG}") if _sha256(path) == weights]
        if not found:
            raise ValueError(
                f"{source} was made for the {kind} with weights sha256 {weights}, which is not in {registry}: "
                f"register it first"
            )
        names[BASES[kind]] = f"{OWNER}/{min(found)}"
    return names


def _sha256(path: Path) -> str | None:
    try:
        return json.loads(path.read_text("utf-8"))["weights"]["sha256"]
    except (ValueError, KeyError, TypeError):
        return None  # a broken model elsewhere in the registry


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
