"""Stage 4: codes of REAL pictures (Sec. 4.1: "latent codes corresponding to real images previously projected").

python -m trainers codes --data ../runs/data --encoder ../runs/encoder --run ../runs/codes
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from lwgan.encoder import Encoder
from trainers import run
from trainers.data import load_pictures
from trainers.generator import to_pictures


@dataclass(frozen=True)
class Options:
    """Encode the pictures of all splits."""

    data: Path
    """Folder that `python -m trainers data` wrote."""
    encoder: Path
    """Folder of the encoder."""
    run: Path
    """The folder to write: train.safetensors, validation.safetensors, test.safetensors."""
    train: int = 40_000
    """Pictures of the training split to encode (the paper has 25K)."""
    heldout: int = 4_000
    """Pictures of the validation and of the test split to encode."""
    device: str = "auto"


class Codes(NamedTuple):
    """`w` float [N, num_ws, w_dim], codes of real pictures; `numbers` int64 [N, 10], how many of each digit."""

    w: Tensor
    numbers: Tensor

    @property
    def count(self) -> Tensor:
        return self.numbers.sum(1)

    def where(self, mask: Tensor) -> "Codes":
        return Codes(self.w[mask], self.numbers[mask])


def main(options: Options) -> None:
    device = run.device_of(options.device)
    encoder = Encoder.from_pretrained(options.encoder).to(device, memory_format=torch.channels_last)
    options.run.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation", "test"):
        pictures = load_pictures(options.data, split)
        images = torch.from_numpy(pictures.images[: options.train if split == "train" else options.heldout])
        codes = Codes(encode(encoder, images, progress=split), torch.from_numpy(pictures.numbers[: len(images)]).long())
        base = {"encoder": encoder.card_config["weights"]["sha256"], **encoder.card_config["base_revision"]}
        save_codes(options.run / f"{split}.safetensors", codes, base)


@torch.no_grad()
def encode(encoder: Encoder, images: Tensor, progress: str | None = None) -> Tensor:
    """uint8 [N, H, W] -> codes [N, num_ws, w_dim]."""
    device = encoder.w_avg.device
    return torch.cat([encoder(to_pictures(part, device)).cpu() for part in tqdm(images.split(200), progress, disable=progress is None)])


def save_codes(path: Path, codes: Codes, base: dict[str, str]) -> None:
    """Half precision is enough: its error is a thousandth of the codes' spread. The hashes of encoder and generator
    travel along, so that codes of other nets are never mixed in."""
    partial = path.with_name(path.name + ".partial")
    save_file({"w": codes.w.half(), "numbers": codes.numbers.to(torch.uint8)}, partial, metadata=base)
    partial.replace(path)


def load_codes(folder: Path, split: str) -> tuple[Codes, dict[str, str]]:
    """A split that this stage wrote, and the sha256 of its encoder's and generator's weights. FileNotFoundError, ValueError if missing or damaged."""
    path = folder / f"{split}.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: make it with `python -m trainers codes --run {folder}`")
    try:
        with safe_open(path, "pt") as held:
            return Codes(held.get_tensor("w").float(), held.get_tensor("numbers").long()), {
                key: held.metadata()[key] for key in ("encoder", "generator")
            }
    except Exception as error:
        raise ValueError(f"{path} is damaged ({error}): make it again with `python -m trainers codes`") from error
