"""Checkpoints of others become model folders: StyleGAN2 of rosinality and NVIDIA, pSp, e4e; and their directions become edits.

    python -m trainers convert --source stylegan2-ffhq-config-f.pt --target models/lwgan-faces-generator
    python -m trainers convert --source psp_ffhq_encode.pt --target models          # two folders in models/
    python -m trainers convert --source age.pt --target models/lwgan-faces-interfacegan-age direction --attribute age \
        --generator models/lwgan-faces-generator --encoder models/lwgan-faces-encoder

A generator is written to TARGET itself. A pSp or e4e file holds two models, which become TARGET/lwgan-DOMAIN-generator and
TARGET/lwgan-DOMAIN-encoder: TARGET is then a registry. Which files of directions are known: `trainers.directions`. Nothing of the file is
run (`trainers.unpickle`).
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from lwgan.files import STORED
from lwgan.hub import registry
from trainers import run
from trainers.convert import directions, layouts, unpickle


@dataclass(frozen=True)
class Options:
    """Convert a checkpoint of StyleGAN2 (rosinality, NVIDIA's PyTorch and TensorFlow), pSp or e4e, or a direction, to our folders."""

    source: Path
    """The checkpoint, a .pt or .pkl file; or a file of directions, .npy, .npz or .pt."""
    target: Path
    """The folder to write a generator to; of a pSp or e4e file the folder for its two folders."""
    dtype: Literal["float32", "float16"] = "float32"
    """The precision in which weights are stored; they are computed with in float32."""
    domain: str = "faces"
    """What the pictures show: models of one domain belong together."""
    encoder_type: str | None = None
    """Of a pSp or e4e file whose options do not say it: GradualStyleEncoder (pSp) or Encoder4Editing (e4e)."""
    edit: (
        Annotated[directions.Edit, tyro.conf.subcommand("direction")]
        | Annotated[None, tyro.conf.subcommand("checkpoint")]
    ) = None
    """"direction": the file holds a direction (InterFaceGAN, GANSpace, SeFa), and this is what it does not say."""


def main(options: Options) -> None:
    for folder in convert(options):
        print(f"{folder}  {(folder / registry.WEIGHTS).stat().st_size:,} bytes")


def convert(options: Options) -> list[Path]:
    """Writes the models of a checkpoint; the folders. ValueError or FileNotFoundError if it cannot be taken as a whole: then none is left."""
    if not registry.NAME.fullmatch(options.domain):
        raise ValueError(f"--domain {options.domain!r} may have 1 to 64 of a-z, 0-9, _ and -")
    if options.target.exists() and not options.target.is_dir():
        raise ValueError(f"--target {options.target} is a file, expected a folder")
    if options.edit:
        return [directions.convert(options.source, options.target, options.edit, options.dtype)]
    if options.source.suffix in directions.NUMPY:
        raise ValueError(
            f"{options.source} is an array: if it is a direction, say `direction --attribute NAME ...` after the other options"
        )
    content = unpickle.read(options.source)
    try:
        models = layouts.models(content, str(options.source), options.encoder_type)
    except ValueError:
        raise
    except Exception as error:  # a file that is built unlike any checkpoint may fail anywhere
        raise ValueError(
            f"{options.source} is no known checkpoint ({type(error).__name__}: {error})"
        ) from error
    _check_numbers(models, options)
    origin = {"file": options.source.name, "sha256": _sha256(options.source)}
    folders = [
        options.target if len(models) == 1 else options.target / f"lwgan-{options.domain}-{model.kind}"
        for model in models
    ]
    new = [folder for folder in (options.target, *folders) if not folder.exists()]
    try:
        for model, folder in zip(models, folders, strict=True):
            config = {
                "kind": model.kind,
                "domain": options.domain,
                "architecture": model.architecture,
                "origin": origin,
                **model.notes,
            }
            if model.kind == "encoder":  # its codes are that generator's
                config["base_revision"] = {"generator": run.weights_hash(folders[0])}
            registry.save_folder(folder, config, model.weights, options.dtype)
    except BaseException:
        for folder in new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return folders


def _check_numbers(models: list[layouts.Model], options: Options) -> None:
    """ValueError if a weight cannot be stored, before any model is."""
    for model in models:
        for name, value in model.weights.items():
            if value.is_floating_point() and not torch.isfinite(value.to(STORED[options.dtype])).all():
                raise ValueError(
                    f"{options.source}: {name} of its {model.kind} holds NaN or infinity, or what is that in {options.dtype}"
                )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(2**20), b""):
            digest.update(block)
    return digest.hexdigest()
