"""Codes of real pictures (Sec. 4.1: "latent codes corresponding to real images previously projected").

python -m trainers codes --data ../runs/data --encoder ../runs/encoder --run ../runs/codes
python -m trainers codes --data latents.pt --labels list.csv --encoder ... --run ...  # codes that exist

A stopped run resumes when its command is repeated.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from lwgan.domain import Change, Domain, domain_from_json, nearest, plain_domain
from lwgan.encoder import Encoder
from lwgan.files import atomic
from lwgan.frames import FRAMES
from lwgan.hub import registry
from trainers import run
from trainers.datasets.pictures import rows_of
from trainers.latents import read_latents
from trainers.shards import DATASET, SPLITS, Images, load_split

PART = 1000  # pictures: what a stopped run loses at most
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in a grey picture, as Pillow has it
BATCH_PIXELS = 200 * 64**2  # of the pictures that are encoded at a time


@dataclass(frozen=True)
class Options:
    """Encode the pictures of all splits."""

    data: Path
    """Folder that `python -m trainers data` wrote; or a file of codes: .npy, .npz, .pt, .safetensors."""
    encoder: Path
    """Folder of the encoder."""
    run: Path
    """The folder to write: train.safetensors, validation.safetensors, test.safetensors."""
    train: int = 40_000
    """Pictures of the training split to encode (the paper has 25K)."""
    heldout: int = 4_000
    """Pictures of the validation and of the test split to encode."""
    labels: Path | None = None
    """Of a file of codes: the list of their labels. Default: "labels" in the file, or the list beside it."""
    device: str = "auto"


@dataclass(frozen=True)
class Codes:
    """Codes of real pictures and their labels.

    w: float [N, num_ws, w_dim].  labels: uint8 [N, K], 1, 0 or UNKNOWN (255); `domain.attributes` names them.
    facts: what else the data set says of itself, for config.json ({"bias": 1.0})."""

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
    if options.data.is_file():
        take(options)
    elif options.labels:
        raise ValueError(f"--labels is for a file of codes, and {options.data} is none")
    else:
        encode_pictures(options)


def encode_pictures(options: Options) -> None:
    """Encodes the pictures of a data folder, and keeps what an earlier run left."""
    device = run.device_of(options.device)
    encoder = Encoder.from_pretrained(options.encoder).to(device, memory_format=torch.channels_last)
    splits = {split: load_split(options.data, split) for split in SPLITS}
    found, wanted = splits["train"].images.shape[1], encoder.config["img_channels"]
    if (found, wanted) not in ((1, 1), (3, 3), (3, 1)):
        raise ValueError(f"{options.data} has pictures of {found} channels, the encoder takes {wanted}")
    made_of = base_of(encoder.card_config, options.encoder)
    made_of |= {"data": hashlib.sha256((options.data / DATASET).read_bytes()).hexdigest()}
    run.start(options.run, options)
    for name, split in splits.items():
        labels = split.labels[: options.train if name == "train" else options.heldout]
        path = options.run / f"{name}.safetensors"
        if _kept(path, made_of) is None:
            w = _encode_parts(encoder, split.images, len(labels), options.run / f"{name}.parts", made_of)
            save_codes(path, Codes(w, labels, split.domain, split.facts), made_of)
            shutil.rmtree(options.run / f"{name}.parts")
        print(f"{name}: {len(labels)} codes")


def take(options: Options) -> None:
    """Splits the codes of a file by the rule for pictures and writes them with their labels."""
    config = registry.load_model(options.encoder, "encoder")[0]
    sizes = config["architecture"]["num_ws"], config["architecture"]["w_dim"]
    w, listed = read_latents(options.data, options.labels, *sizes)
    domain, rows = plain_domain(config.get("domain") or "codes", listed.attributes), rows_of(listed)
    domain = domain_from_json(domain.as_json(), str(options.data), tuple(FRAMES))  # checks the labels' names
    base = base_of(config, options.encoder)
    run.start(options.run, options)
    for split in SPLITS:
        chosen = rows[split][: options.train if split == "train" else options.heldout]
        labels, facts = torch.from_numpy(listed.labels[chosen]), {"file": options.data.name}
        save_codes(options.run / f"{split}.safetensors", Codes(w[chosen], labels, domain, facts), base)
        print(f"{split}: {len(chosen)} codes")


def base_of(config: dict, folder: Path) -> dict[str, str]:
    """sha256 of the weights of an encoder and its generator. ValueError if its config names no generator."""
    generator = (config.get("base_revision") or {}).get("generator")
    if not isinstance(generator, str):
        raise ValueError(f"{folder}: config.json does not say for which generator it is (base_revision)")
    return {"encoder": config["weights"]["sha256"], "generator": generator}


def _encode_parts(
    encoder: Encoder, images: Images, count: int, folder: Path, made_of: dict[str, str]
) -> Tensor:
    """Codes of the first `count` pictures. Parts that an earlier run left in the folder are kept."""
    parts = []
    for start in tqdm(range(0, count, PART), folder.stem):
        path = folder / f"{start:07d}.safetensors"
        w = _kept(path, made_of)
        if w is None:
            w = encode(encoder, images[start : min(start + PART, count)])
            with atomic(path) as partial:
                partial.write_bytes(save({"w": w.half()}, metadata=made_of))
        parts.append(w)
    return torch.cat(parts)


def _kept(path: Path, made_of: dict[str, str]) -> Tensor | None:
    """The codes in a file if it is whole and its metadata says that they were made of this; else None."""
    try:
        with safe_open(path, "pt") as file:
            return file.get_tensor("w").float() if made_of.items() <= file.metadata().items() else None
    except (FileNotFoundError, SafetensorError):
        return None


@torch.no_grad()
def encode(encoder: Encoder, images: Tensor) -> Tensor:
    """uint8 [N, C, H, W] -> codes [N, num_ws, w_dim] on the CPU. Scales pictures of another size first, and
    makes them grey for an encoder of one channel."""
    side, device = encoder.config["resolution"], encoder.w_avg.device
    codes = []
    for batch in images.split(max(1, BATCH_PIXELS // side**2)):
        x = batch.to(device).float() / 127.5 - 1
        if x.shape[1] > encoder.config["img_channels"]:
            x = (x * torch.tensor(LUMA, device=device)[:, None, None]).sum(1, keepdim=True)
        if x.shape[2] != side:
            x = F.interpolate(x, (side, side), mode="bicubic", antialias=True).clamp(-1, 1)
        codes.append(encoder(x).float().cpu())
    return torch.cat(codes)


def save_codes(path: Path, codes: Codes, base: dict[str, str]) -> None:
    """Writes the codes of a split, whole or not at all. base: sha256 of the weights of encoder and generator.
    Half precision: its error is a thousandth of the codes' spread."""
    said = {"domain": json.dumps(codes.domain.as_json()), "facts": json.dumps(codes.facts)}
    with atomic(path) as partial:
        partial.write_bytes(save({"w": codes.w.half(), "labels": codes.labels}, metadata=base | said))


def load_codes(folder: Path, split: str) -> tuple[Codes, dict[str, str]]:
    """A split that this stage wrote, and the sha256 of its encoder's and generator's weights.
    FileNotFoundError, ValueError if it is missing or damaged."""
    if folder.is_file():
        make = f"python -m trainers codes --data {folder} --encoder ENCODER --run FOLDER"
        raise ValueError(f"{folder} is a file, expected the folder that `{make}` writes")
    path = folder / f"{split}.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: make it with `python -m trainers codes --run {folder}`")
    try:
        with safe_open(path, "pt") as file:
            said, w, labels = file.metadata(), file.get_tensor("w").float(), file.get_tensor("labels")
        domain = domain_from_json(json.loads(said["domain"]), str(path), tuple(FRAMES))
        base = {key: said[key] for key in ("encoder", "generator")}
        return Codes(w, labels, domain, json.loads(said["facts"])), base
    except Exception as error:
        raise ValueError(f"{path} is damaged ({error}): repeat `python -m trainers codes`") from error
