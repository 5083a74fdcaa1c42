"""Stage: convert checkpoints of StyleGAN2, pSp, e4e, readers of faces, and published directions, to models.

    python -m trainers convert checkpoint --source stylegan2-ffhq-config-f.pt --target models/generator \
        --domain faces --frame face --licence "other ..." --about "..." --limits "..."
    python -m trainers convert checkpoint --source psp_ffhq_encode.pt --target models ...  # two models
    python -m trainers convert checkpoint --source attribute_predictor.pt --target models/judge ...
    python -m trainers convert checkpoint --source model_ir_se50.pth --target models/identity ...
    python -m trainers convert direction --source age.npy --target models/interfacegan-age \
        --change Age --before young --after old --generator models/generator --encoder models/encoder

No code of a file is run: `trainers.convert.unpickle`. The known layouts of checkpoints:
`trainers.convert.layouts`. The known files of directions: `trainers.convert.directions`.
"""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from torch import Tensor

from lwgan.domain import Domain, default_changes, domain_from_json
from lwgan.files import STORED, WEIGHTS, is_finite
from lwgan.frames import FRAMES
from lwgan.hub import registry
from trainers import run
from trainers.convert import arrays, layouts
from trainers.convert.directions import Direction, convert_direction
from trainers.convert.layouts.common import check_name


@dataclass(frozen=True)
class Checkpoint:
    """Convert a checkpoint of StyleGAN2 (rosinality's or NVIDIA's), pSp, e4e or of a reader of faces to model
    folders."""

    source: Path
    """The checkpoint: .pt, .pkl or .safetensors."""
    target: Path
    """The model's folder; of a pSp or e4e file the registry to which both models are written."""
    domain: str
    """The name of the domain: 1 to 64 of a-z, 0-9, _ and -."""
    licence: str
    """The licence of data and weights: an id of the Hub ("cc-by-4.0", "other") and text on further lines."""
    about: str
    """Where the training data come from. It goes into the model cards."""
    limits: str
    """What the models cannot do. It goes into the model cards."""
    title: str | None = None
    """The name of the domain for people. Default: the domain's name."""
    subject: str = "a picture"
    """What a picture shows, as in "a face"."""
    frame: Literal[tuple(FRAMES)] = "square"
    """How a picture is brought into the training frame."""
    attributes: tuple[str, ...] = ()
    """The yes/no labels of the domain, such as those that a judge reads."""
    changes: tuple[str, ...] = ()
    """Changes that the page offers, such as Smiling not-Male; by default each label and its opposite."""
    fetched: str | None = None
    """The address that the checkpoint was fetched from, if its terms forbid passing it on: `publish` refuses
    such models."""
    encoder_type: str | None = None
    """For a pSp or e4e file that does not say it: GradualStyleEncoder (pSp) or Encoder4Editing (e4e)."""
    dtype: Literal["float32", "float16"] = "float32"
    """The precision in which weights are stored. Models compute in float32."""


_sub = tyro.conf.subcommand
Options = Annotated[Checkpoint, _sub("checkpoint")] | Annotated[Direction, _sub("direction")]


def main(options: Checkpoint | Direction) -> None:
    for folder in convert(options) if isinstance(options, Checkpoint) else [convert_direction(options)]:
        print(f"{folder}  {(folder / WEIGHTS).stat().st_size:,} bytes")


def convert(options: Checkpoint, kinds: Sequence[str] | None = None) -> list[Path]:
    """Writes the models of a checkpoint and returns their folders: all of them, or none after an error.

    kinds: those that are expected. ValueError or FileNotFoundError, with the file's name, for a file that is
    not a known checkpoint, or one of other kinds."""
    domain = domain_of(options)
    if options.target.exists() and not options.target.is_dir():
        raise ValueError(f"--target {options.target} is a file, expected a folder")
    models = read(options)
    if kinds and (found := [model.kind for model in models]) != list(kinds):
        what = f"{' and '.join(found)}, expected {' and '.join(kinds)}"
        raise ValueError(f"{options.source} holds {what}")
    names = [options.target / f"lwgan-{domain.name}-{model.kind}" for model in models]
    folders = names if len(models) > 1 else [options.target]
    for folder in folders:
        check_name(folder)
    new = [folder for folder in (options.target, *folders) if not folder.exists()]
    try:
        save(models, folders, domain, options)
    except BaseException:
        for folder in new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return folders


def domain_of(options: Checkpoint) -> Domain:
    """The Domain that the options describe. ValueError for a bad name, an empty text or an unknown change."""
    texts = {key: getattr(options, key) for key in ("subject", "frame", "licence", "about", "limits")}
    title, labels = options.title or options.domain.capitalize(), options.attributes
    domain = Domain(options.domain, title, attributes=labels, changes=default_changes(labels), **texts)
    if options.changes:
        domain = replace(domain, changes=tuple(map(domain.change, options.changes)))
    return domain_from_json(domain.as_json(), "the options", tuple(FRAMES))


def read(options: Checkpoint) -> list[layouts.Model]:
    """The models of a checkpoint, a generator first. Errors as `convert`."""
    content, source = arrays.read(options.source), str(options.source)
    if isinstance(content, Tensor):
        raise ValueError(f"{source} is an array: `convert direction` takes directions")
    try:
        models = layouts.models(content, source, options.encoder_type)
    except ValueError:
        raise
    except Exception as error:  # a file of another structure may fail in any way
        raise ValueError(f"{source} is no known checkpoint ({type(error).__name__}: {error})") from error
    for model in models:
        for name, value in model.weights.items():
            stored = value.to(STORED[options.dtype]) if value.is_floating_point() else torch.zeros(1)
            if not is_finite(stored):
                where = f"{name} of its {model.kind}"
                raise ValueError(f"{source}: {where} holds NaN or infinity in {options.dtype}")
    return models


def save(models: list[layouts.Model], folders: list[Path], domain: Domain, options: Checkpoint) -> None:
    """Writes each model to its folder. An encoder names the weights of the generator before it."""
    with options.source.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        origin = {"file": options.source.name, "sha256": hashlib.sha256(data).hexdigest()}
        origin |= {"fetched": options.fetched} if options.fetched else {}
    for model, folder in zip(models, folders, strict=True):
        config = {"kind": model.kind, "domain": domain.name, "architecture": model.architecture}
        if model.kind == "generator":
            config["domain_spec"] = domain.as_json()
        elif model.kind == "encoder":
            config["base_revision"] = {"generator": run.weights_hash(folders[0])}
        registry.save_folder(folder, config | {"origin": origin} | model.notes, model.weights, options.dtype)
