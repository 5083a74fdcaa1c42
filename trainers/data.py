"""Stage 0: compose or render the pictures of a domain once, for all stages that train on them.

python -m trainers data --data ../runs/data
python -m trainers data --domain synthfaces --data ../runs/faces
python -m trainers data --domain synthfaces --data ../runs/judges --bias 0 --flat 0.5 --train 20000 --heldout 2000 --seed 10
python -m trainers data --domain synthfaces --data ../runs/identities --identities 1000 --each 20 --seed 20

Of faces the first are what generator, encoder and edits learn from; the second, in which rare attributes are not rare, judges of attributes;
the third, of 1,000 people 20 pictures each, the network that knows people.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lwgan.hub import registry
from trainers.datasets.mnist import load_digits
from trainers.datasets.multimnist import Pictures, compose

SEEDS = {"train": 0, "validation": 1, "test": 2}


# Pictures in the training split, and in the validation and in the test split; the paper trains on 25K digits.
SIZES = {"multimnist": (100_000, 10_000), "synthfaces": (30_000, 3_000)}
SAMPLES = {"multimnist": 200, "synthfaces": 50}  # pictures for the app: 0.8 and 0.6 MB


@dataclass(frozen=True)
class Options:
    """Make the pictures of the three splits: MultiMNIST, or rendered faces with 41 attributes."""

    data: Path
    """The folder to write: train.safetensors, validation.safetensors, test.safetensors, and the app's samples/."""
    domain: str = "multimnist"
    """multimnist or synthfaces."""
    mnist: Path | None = None
    """Folder of MNIST's four IDX files; by default the files of ylecun/mnist on the Hub."""
    layout: str = "cells"
    """Of digits: cells, free or slots (slots needs --resolution 128)."""
    resolution: int = 64
    """Side of a picture in px: 64 or 128."""
    train: int | None = None
    """Pictures in the training split: 100,000 by default, 30,000 of faces."""
    heldout: int | None = None
    """Pictures in the validation and in the test split: 10,000 by default, 3,000 of faces."""
    bias: float = 1.0
    """Of faces: 1 = attributes correlated as people's are, 0 = independent."""
    flat: float = 0.0
    """Of faces: 1 = rare attributes as frequent as others, 0 = as frequent as people's are."""
    identities: int = 0
    """Of faces: identities in the training split, of which each is shown --each times (none of them Blurry); it sets --train.
    0: everybody is somebody else."""
    each: int = 20
    """Of faces with --identities: pictures of an identity, in all splits."""
    seed: int = 0
    processes: int = 2
    """Of faces: processes that render."""


def main(options: Options) -> None:
    if options.domain not in SIZES:
        raise ValueError(f"domain {options.domain!r} is unknown: choose one of {', '.join(SIZES)}")
    (compose_digits if options.domain == "multimnist" else render_faces)(options)
    save_samples(options)


def size_of(split: str, options: Options) -> int:
    """How many pictures a split is to have."""
    if split == "train" and options.identities:
        return options.identities * options.each
    wanted = options.train if split == "train" else options.heldout
    return SIZES[options.domain][split != "train"] if wanted is None else wanted


def render_faces(options: Options) -> None:
    """Renders the splits, of other people each. A run that was stopped goes on where it was."""
    from trainers.datasets.synthfaces import files  # here: no other domain needs numba, which is slow to load

    if options.mnist is not None or options.layout != "cells":
        raise ValueError(
            f"--mnist {options.mnist} and --layout {options.layout} are for digits: --domain synthfaces takes neither"
        )
    if options.processes < 1:
        raise ValueError(f"--processes {options.processes}: at least 1 must render")
    if options.identities and (options.each < 2 or options.train is not None):
        raise ValueError(f"--identities {options.identities} with --each {options.each} and --train {options.train}: at least 2 pictures of each "
                         "identity are needed, and their number follows")  # fmt: skip
    knobs = {
        "resolution": options.resolution,
        "bias": options.bias,
        "flat": options.flat,
        "each": options.each if options.identities else 0,
    }
    sources = {
        split: files.Source(size_of(split, options), 3 * options.seed + offset, **knobs)
        for split, offset in SEEDS.items()
    }
    for source in sources.values():
        files.check(source)
    for split, source in sources.items():
        files.write_split(options.data / f"{split}.safetensors", source, options.processes)
        print(f"{split}: {source.n} faces")


def compose_digits(options: Options) -> None:
    if (options.bias, options.flat, options.identities) != (1, 0, 0):
        words = f"--bias {options.bias}, --flat {options.flat} and --identities {options.identities}"
        raise ValueError(f"{words} are for faces: digits have no attributes that correlate, and no identity")
    splits = {}
    for split, offset in SEEDS.items():
        digits, n = load_digits(split, options.mnist), size_of(split, options)
        splits[split] = compose(
            digits,
            n,
            seed=3 * options.seed + offset,
            resolution=options.resolution,
            layout=options.layout,
            progress=True,
        )
        print(
            f"{split}: {n} pictures of {len(digits.labels)} digits, counts {np.bincount(splits[split].count)[1:].tolist()}"
        )
    options.data.mkdir(parents=True, exist_ok=True)  # only now: what is refused leaves nothing behind
    for split, pictures in splits.items():
        save_pictures(options.data / f"{split}.safetensors", pictures)


def save_samples(options: Options) -> None:
    """The last test pictures as a model folder, for the app to show (of digits the first thousands are for figures; of faces none that are
    Blurry, which would look like the encoder's fault)."""
    images, domain = load_images(options.data, "test")
    if domain == "synthfaces":
        labels, names = load_labels(options.data, "test")
        images = images[labels[:, names.index("Blurry")] == 0]
    last = images[-SAMPLES[domain] :]
    if domain == "multimnist":
        tensors = {
            "images": last,
            "numbers": torch.from_numpy(load_pictures(options.data, "test").numbers[-len(last) :]),
        }
        told = {"layout": options.layout}
    else:
        tensors, told = (
            {"images": last.permute(0, 3, 1, 2).contiguous()},
            {"bias": options.bias, "flat": options.flat},
        )
    training = {"split": "test", **told, "seed": options.seed}
    registry.save_folder(
        options.data / "samples", {"kind": "pictures", "domain": domain, "training": training}, tensors
    )


def save_pictures(path: Path, pictures: Pictures) -> None:
    partial = path.with_name(path.name + ".partial")
    save_file(
        {"images": torch.from_numpy(pictures.images), "numbers": torch.from_numpy(pictures.numbers)}, partial
    )
    partial.replace(path)


def load_images(folder: Path, split: str) -> tuple[Tensor, str]:
    """The pictures of a split of any domain, uint8 [N, H, W] or RGB [N, H, W, 3], and the domain. Errors as `load_pictures`."""
    path = _existing(folder, split)
    try:
        with safe_open(path, "pt") as held:
            return held.get_tensor("images"), (held.metadata() or {}).get("domain", "multimnist")
    except Exception as error:
        raise ValueError(
            f"{path} is damaged ({error}): make it again with `python -m trainers data`"
        ) from error


def load_labels(folder: Path, split: str) -> tuple[Tensor, tuple[str, ...]]:
    """Of a split of rendered faces: uint8 [N, K], 1 for each attribute that a picture has, and the K names. Errors as `load_pictures`."""
    path = _existing(folder, split)
    try:
        with safe_open(path, "pt") as held:
            names = (held.metadata() or {}).get("names")
            labels = held.get_tensor("labels") if names else None
    except Exception as error:
        raise ValueError(
            f"{path} is damaged ({error}): make it again with `python -m trainers data`"
        ) from error
    if labels is None:
        raise ValueError(
            f"{path} holds no labelled attributes: make it with `python -m trainers data --domain synthfaces`"
        )
    return labels, tuple(json.loads(names))


def bias_of(folder: Path, split: str) -> float | None:
    """How correlated the attributes of a split of rendered faces are (`Options.bias`); None where that was not said. Errors as `load_pictures`."""
    path = _existing(folder, split)
    try:
        with safe_open(path, "pt") as held:
            said = (held.metadata() or {}).get("bias")
    except Exception as error:
        raise ValueError(
            f"{path} is damaged ({error}): make it again with `python -m trainers data`"
        ) from error
    return None if said is None else float(json.loads(said))


def load_pictures(folder: Path, split: str) -> Pictures:
    """A split of digits that `python -m trainers data` wrote. FileNotFoundError, ValueError if it is missing or damaged."""
    path = _existing(folder, split)
    try:
        held = load_file(path)
    except Exception as error:
        raise ValueError(
            f"{path} is damaged ({error}): make it again with `python -m trainers data`"
        ) from error
    if "numbers" not in held:
        raise ValueError(
            f"{path} holds {', '.join(sorted(held))}, not the images and numbers of pictures of digits"
        )
    return Pictures(held["images"].numpy(), held["numbers"].numpy())


def _existing(folder: Path, split: str) -> Path:
    path = folder / f"{split}.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: make it with `python -m trainers data --data {folder}`")
    return path
