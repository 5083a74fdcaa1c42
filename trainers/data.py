"""Stage 0: compose the pictures of a domain once, for all stages that train on them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from lwgan import registry
from trainers.datasets.mnist import load_digits
from trainers.datasets.multimnist import Pictures, compose

SEEDS = {"train": 0, "validation": 1, "test": 2}


@dataclass(frozen=True)
class Options:
    """Compose MultiMNIST pictures of the three splits."""

    data: Path
    """The folder to write: train.safetensors, validation.safetensors, test.safetensors, and the app's samples/."""
    mnist: Path | None = None
    """Folder of MNIST's four IDX files; by default the files of ylecun/mnist on the Hub."""
    layout: str = "cells"
    """cells, free or slots (slots needs --resolution 128)."""
    resolution: int = 64
    """Side of a picture in px: 64 or 128."""
    train: int = 100_000
    """Pictures in the training split (the paper has 25K)."""
    heldout: int = 10_000
    """Pictures in the validation and in the test split."""
    seed: int = 0


def main(options: Options) -> None:
    splits = {}
    for split, offset in SEEDS.items():
        digits, n = load_digits(split, options.mnist), options.train if split == "train" else options.heldout
        splits[split] = compose(
            digits, n, seed=3 * options.seed + offset, resolution=options.resolution, layout=options.layout, progress=True
        )
        print(f"{split}: {n} pictures of {len(digits.labels)} digits, counts {np.bincount(splits[split].count)[1:].tolist()}")
    options.data.mkdir(parents=True, exist_ok=True)  # only now: what is refused leaves nothing behind
    for split, pictures in splits.items():
        save_pictures(options.data / f"{split}.safetensors", pictures)


def save_samples(folder: Path, test: Pictures, options: Options) -> None:
    """The last 200 test pictures as a model folder, for the app to show: the first thousands are for figures."""
    tensors = {"images": torch.from_numpy(test.images[-200:]), "numbers": torch.from_numpy(test.numbers[-200:])}
    config = {"kind": "pictures", "domain": "multimnist", "training": {"split": "test", "layout": options.layout, "seed": options.seed}}
    registry.save_folder(folder, config, tensors)


def save_pictures(path: Path, pictures: Pictures) -> None:
    partial = path.with_name(path.name + ".partial")
    save_file({"images": torch.from_numpy(pictures.images), "numbers": torch.from_numpy(pictures.numbers)}, partial)
    partial.replace(path)


def load_pictures(folder: Path, split: str) -> Pictures:
    """A split that `python -m trainers data` wrote. FileNotFoundError, ValueError if it is missing or damaged."""
    path = folder / f"{split}.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: make it with `python -m trainers data --data {folder}`")
    try:
        held = load_file(path)
    except Exception as error:
        raise ValueError(f"{path} is damaged ({error}): make it again with `python -m trainers data`") from error
    return Pictures(held["images"].numpy(), held["numbers"].numpy())
