"""Stage 4: codes of REAL pictures (Sec. 4.1: "latent codes corresponding to real images previously projected").

python -m trainers codes --data ../runs/data --encoder ../runs/encoder --run ../runs/codes
python -m trainers codes --data ../runs/faces/data --encoder ../runs/faces/encoder --run ../runs/faces/codes
python -m trainers codes --data CelebA-HQ-img --labels list_attr.txt --encoder ../runs/encoder --run ../runs/codes
python -m trainers codes --data codes.npy --labels labels.npy --encoder ../runs/encoder --run ../runs/codes
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file
from torch import Tensor
from tqdm import tqdm

from lwgan.domain import Change, Domain, domain_from_json, nearest
from lwgan.encoder import Encoder
from lwgan.files import atomic
from lwgan.frames import FRAMES
from lwgan.images import to_tensor
from trainers import run
from trainers.data import bias_of, load_images, load_labels, load_pictures
from trainers.datasets import celebahq
from trainers.nets.generator import to_pictures

PART = 64  # pictures: some minutes of a large encoder on a CPU


@dataclass(frozen=True)
class Options:
    """Encode the pictures of all splits."""

    data: Path
    """Folder that `python -m trainers data` wrote; with --labels a folder of pictures, or a .npy of codes that this encoder made."""
    encoder: Path
    """Folder of the encoder."""
    run: Path
    """The folder to write: train.safetensors, validation.safetensors, test.safetensors."""
    train: int = 40_000
    """Pictures of the training split to encode (the paper has 25K)."""
    heldout: int = 4_000
    """Pictures of the validation and of the test split to encode."""
    labels: Path | None = None
    """CelebA's list_attr_celeba.txt, a CSV of 0 and 1 with a header, or (for a .npy of codes) a .npy of 40 labels a row."""
    align: bool = False
    """The pictures are photographs: cut the largest face out of each as FFHQ does. CelebA-HQ's and FFHQ's need no such thing."""
    device: str = "auto"


@dataclass(frozen=True)
class Codes:
    """w: float [N, num_ws, w_dim], codes of real pictures.  labels: uint8 [N, K], 1, 0 or UNKNOWN (255: nobody said).
    domain: names the K labels.  facts: what the data set says of itself ({"bias": 1.0}), for config.json."""

    w: Tensor
    labels: Tensor
    domain: Domain
    facts: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.w)

    def column(self, name: str) -> Tensor:
        """uint8 [N]: 1, 0 or UNKNOWN of one label. ValueError for an unknown name."""
        if name not in self.domain.attributes:
            near = nearest(name, self.domain.attributes)
            raise ValueError(f"label {name!r} is unknown: did you mean {near!r}?")
        return self.labels[:, self.domain.attributes.index(name)]

    def has(self, name: str) -> Tensor:
        """bool [N]: which pictures are known to have the label."""
        return self.column(name) == 1

    def meets(self, condition: Mapping[str, bool]) -> Tensor:
        """bool [N]: which pictures are known to fulfil all of a condition, such as a Change's source."""
        columns = [self.column(name) == int(value) for name, value in condition.items()]
        return torch.stack(columns).all(0)

    def where(self, rows: Tensor) -> "Codes":
        """The codes of a bool mask or of row numbers."""
        return replace(self, w=self.w[rows], labels=self.labels[rows])

    def source(self, change: Change) -> "Codes":
        return self.where(self.meets(change.source))

    def target(self, change: Change) -> "Codes":
        return self.where(self.meets(change.target))


def main(options: Options) -> None:
    if options.align and not options.labels:
        raise ValueError("--align is for photographs of faces: give their --labels too")
    device = run.device_of(options.device)
    encoder = Encoder.from_pretrained(options.encoder).to(device, memory_format=torch.channels_last)
    base = base_of(encoder, options.encoder)
    (labelled if options.labels else counted)(options, encoder, base)


def counted(options: Options, encoder: Encoder, base: dict[str, str]) -> None:
    """Codes of the pictures that `python -m trainers data` made, and how many of each digit they hold, or which attributes."""
    options.run.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation", "test"):
        images, domain = load_images(options.data, split)
        images = images[: options.train if split == "train" else options.heldout]
        if domain == "multimnist":
            named = {"numbers": torch.from_numpy(load_pictures(options.data, split).numbers)}
        else:
            numbers, names = load_labels(options.data, split)
            named = {
                "numbers": numbers,
                "names": names,
                "domain": domain,
                "bias": bias_of(options.data, split),
            }
        named["numbers"] = named["numbers"][: len(images)].long()
        save_codes(
            options.run / f"{split}.safetensors",
            Codes(encode(encoder, images, progress=split), **named),
            base,
        )


def base_of(encoder: Encoder, folder: Path) -> dict[str, str]:
    """sha256 of the encoder's weights and of its generator's. ValueError if its config does not name the generator."""
    generator = (encoder.card_config.get("base_revision") or {}).get("generator")
    if not isinstance(generator, str):
        raise ValueError(
            f"{folder}: its config.json does not say for which generator it is (base_revision, generator: sha256)"
        )
    return {"encoder": encoder.card_config["weights"]["sha256"], "generator": generator}


# Pictures with yes/no labels


def labelled(options: Options, encoder: Encoder, base: dict[str, str]) -> None:
    """Codes and labels of all splits, split by the pictures' names. A run that was stopped goes on where it was."""
    if options.data.suffix == ".npy":
        num_ws, w_dim = encoder.config["num_ws"], encoder.config["w_dim"]
        w, table = celebahq.read_arrays(options.data, options.labels, num_ws, w_dim)
    else:
        table = celebahq.read_table(options.labels)
        paths = celebahq.picture_paths(options.data, table.files)
    splits = {
        split: celebahq.rows_of(table.files, split, options.train if split == "train" else options.heldout)
        for split in celebahq.SPLITS
    }
    run.start(options.run, options)
    domain = encoder.card_config.get("domain") or "faces"
    for split, rows in splits.items():
        if options.data.suffix == ".npy":
            codes = torch.from_numpy(np.asarray(w[rows], np.float32))
        else:
            codes = encode_files(
                encoder, [paths[row] for row in rows], options.run / f"{split}.parts", base, options.align
            )
        numbers = torch.from_numpy(table.labels[rows]).long()
        save_codes(options.run / f"{split}.safetensors", Codes(codes, numbers, table.names, domain), base)
        print(f"{split}: {len(rows)} codes")


def encode_files(
    encoder: Encoder, paths: list[Path], folder: Path, base: dict[str, str], align: bool
) -> Tensor:
    """Pictures -> codes [N, num_ws, w_dim], PART at a time; `folder` keeps the parts, and what is there is not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    size, device = encoder.config["resolution"], encoder.w_avg.device
    parts = []
    for number, part in enumerate(tqdm(list(celebahq.batches(paths, PART)), folder.stem)):
        names = "\n".join(
            [str(align), *(f"{path.name} {path.stat().st_size}" for path in part)]
        )  # sizes tell other folders' pictures apart
        made_of = base | {"pictures": hashlib.sha256(names.encode()).hexdigest()}
        parts.append(
            _kept(
                folder / f"{number:05d}.safetensors",
                made_of,
                lambda part=part: _encoded(encoder, part, size, device, align),
            )
        )
    return torch.cat(parts)


@torch.no_grad()
def _encoded(encoder: Encoder, paths: list[Path], size: int, device: torch.device, align: bool) -> Tensor:
    pictures = ([celebahq.load_face(path, size, align) for path in few] for few in celebahq.batches(paths, 8))
    return torch.cat([encoder(to_tensor(few).to(device)).float().cpu() for few in pictures])


def _kept(path: Path, made_of: dict[str, str], make: Callable[[], Tensor]) -> Tensor:
    """The codes in a file, if they were made of just this, else those that `make` makes, kept there."""
    try:
        with safe_open(path, "pt") as held:
            if held.metadata() == made_of:
                return held.get_tensor("w").float()
    except (FileNotFoundError, SafetensorError):
        pass  # not made yet, or torn
    w, partial = make(), path.with_name(path.name + ".partial")
    save_file({"w": w.half()}, partial, metadata=made_of)
    partial.replace(path)
    return w


@torch.no_grad()
def encode(encoder: Encoder, images: Tensor, progress: str | None = None) -> Tensor:
    """uint8 [N, H, W] or [N, H, W, 3] -> codes [N, num_ws, w_dim]."""
    device = encoder.w_avg.device
    return torch.cat(
        [
            encoder(to_pictures(part, device)).cpu()
            for part in tqdm(images.split(200), progress, disable=progress is None)
        ]
    )


def save_codes(path: Path, codes: Codes, base: dict[str, str]) -> None:
    """Writes a split's codes in half precision; its error is a thousandth of the codes' spread. The hashes of encoder
    and generator, the Domain and the facts travel along, so that codes of other nets are never mixed in."""
    said = {"domain": json.dumps(codes.domain.as_json()), "facts": json.dumps(codes.facts)}
    with atomic(path) as partial:
        partial.write_bytes(save({"w": codes.w.half(), "labels": codes.labels}, metadata=base | said))


def load_codes(folder: Path, split: str) -> tuple[Codes, dict[str, str]]:
    """A split that this stage wrote, and the sha256 of its encoder's and generator's weights.

    FileNotFoundError, ValueError if it is missing or damaged.
    """
    path = folder / f"{split}.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: make it with `python -m trainers codes --run {folder}`")
    try:
        with safe_open(path, "pt") as held:
            said, w, labels = held.metadata(), held.get_tensor("w").float(), held.get_tensor("labels")
        domain = domain_from_json(json.loads(said["domain"]), str(path), tuple(FRAMES))
        base = {key: said[key] for key in ("encoder", "generator")}
        return Codes(w, labels, domain, json.loads(said["facts"])), base
    except Exception as error:
        raise ValueError(
            f"{path} is damaged ({error}): make it again with `python -m trainers codes`"
        ) from error
