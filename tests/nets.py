"""A stand-in registry: small nets of the real classes with random weights, in folders laid out as the bundled ones.

They load, encode, edit and render as trained ones do, but draw nothing legible. Each edit moves the picture.
"""

import json
from pathlib import Path

import numpy as np
import torch

from lwgan.edit import AffineEdit
from lwgan.encoder import Encoder
from lwgan.generator import Generator
from lwgan.hub.registry import save_folder
from lwgan.judges import AttributeJudge, DigitJudge, IdentityNetwork, LatentClassifier
from trainers.datasets.mnist import load_digits
from trainers.datasets.multimnist import compose

NUM_WS, W_DIM = 10, 16
NAMES = ("Bangs", "Eyeglasses", "Smiling")  # the attributes of toy faces
COUNTS = ["2-or-more", "3-or-more", "4-or-more"]  # what the classifier of codes says of digits
EDITS = {
    "lwgan-multimnist-lw-1to2": (1, 2),
    "lwgan-multimnist-lw-2to3": (2, 3),
    "lwgan-multimnist-lw-3to4": (3, 4),
}
SHIFT = "lwgan-multimnist-centroids-1to2"
FACE_NAMES = ["Eyeglasses", "Smiling", "Bangs"]
CURVE = [{"alpha": a, "target_change": a / 2, "attribute_preservation": 1.1 - a / 5} for a in (1.0, 2.0)]


def synthfaces_nets(names, features: int = 16) -> dict[str, torch.nn.Module]:
    """Kind -> net of the domain of rendered faces, whose judge reads `names`."""
    sizes = {"resolution": 64, "img_channels": 3, "w_dim": W_DIM}
    return {
        "generator": Generator(**sizes, channels=(16, 16, 16, 8, 8), z_dim=16, mapping_layers=2),
        "encoder": Encoder(**sizes, num_ws=NUM_WS, widths=(8, 8, 16, 16), pyramid=16, head=8),
        "attribute-judge": AttributeJudge(names=names, widths=(8, 8, 8), features=features),
        "identity": IdentityNetwork(widths=(8, 8, 8), features=16, embedding=8),
    }


def make_registry(
    folder: Path,
    *,
    judge: bool = True,
    samples: np.ndarray | None = None,
    numbers: np.ndarray | None = None,
    calibrator: bool = False,
) -> Path:
    """Writes a generator, an encoder, three edits and, if wanted, a judge, a latent classifier of counts and samples
    (uint8 [N, 64, 64]) into `folder`."""
    torch.manual_seed(0)
    sizes = {"resolution": 64, "img_channels": 1, "w_dim": W_DIM}
    made = {
        "generator": Generator(
            **sizes, channels=(16, 16, 16, 8, 8), z_dim=16, mapping_layers=2, output="tanh"
        ),
        "encoder": Encoder(**sizes, num_ws=NUM_WS, widths=(8, 8, 16, 16), pyramid=16, head=8),
    }
    if judge:
        made["judge"] = DigitJudge(widths=(8, 8, 8), features=16)
    for kind, module in made.items():
        config = {"kind": kind, "domain": "multimnist", "architecture": module.config}
        save_folder(folder / f"lwgan-multimnist-{kind}", config, module.state_dict())
    base = {kind: made_for(folder / f"lwgan-multimnist-{kind}") for kind in ("generator", "encoder")}
    if calibrator:
        classifier = LatentClassifier(num_ws=NUM_WS, w_dim=W_DIM, outputs=3, hidden=(8, 8))
        config = {
            "kind": "latent-classifier",
            "domain": "multimnist",
            "architecture": classifier.config,
            "names": COUNTS,
            "base_revision": base,
        }
        save_folder(folder / "lwgan-multimnist-latent-classifier", config, classifier.state_dict())
    for name, (count, more) in EDITS.items():
        save_edit(folder / name, base, count, more)
    if samples is not None:
        config = {"kind": "pictures", "domain": "multimnist"}
        save_folder(
            folder / "lwgan-multimnist-samples",
            config,
            {"images": torch.from_numpy(samples), "numbers": torch.from_numpy(numbers)},
        )
    return folder


def save_edit(folder: Path, base: dict[str, str], count: int, more: int) -> None:
    config = {
        "method": "lw", "attribute": "one-more-digit", "from": f"{count} digit" + "s" * (count > 1), "to": f"{more} digits",
        "domain": "multimnist", "base_model": "lwgan/lwgan-multimnist-generator", "base_revision": base, "alpha": 1.5,
    }  # fmt: skip
    AffineEdit(
        torch.randn(NUM_WS, W_DIM, W_DIM) / W_DIM**0.5, torch.randn(NUM_WS, W_DIM), config
    ).save_pretrained(folder)


def made_for(folder: Path) -> str:
    """The sha256 of a saved model's weights, by which edits name their base."""
    return json.loads((folder / "config.json").read_text())["weights"]["sha256"]


def make_faces_registry(folder: Path) -> Path:
    """The faces domain: an encoder of 256-px pictures in colour, a generator (of 64 px, to be quick) and one edit."""
    torch.manual_seed(0)
    made = {
        "generator": Generator(
            resolution=64, w_dim=W_DIM, channels=(16, 16, 16, 8, 8), z_dim=16, mapping_layers=2
        ),
        "encoder": Encoder(
            resolution=256,
            img_channels=3,
            w_dim=W_DIM,
            num_ws=NUM_WS,
            widths=(8, 8, 8, 8, 16, 16),
            pyramid=16,
            head=8,
        ),
    }
    for kind, module in made.items():
        config = {"kind": kind, "domain": "faces", "architecture": module.config}
        if kind == "encoder":
            config["base_revision"] = {"generator": made_for(folder / "lwgan-faces-generator")}
        save_folder(folder / f"lwgan-faces-{kind}", config, module.state_dict())
    config = {
        "method": "lw", "attribute": "eyeglasses", "from": "no eyeglasses", "to": "eyeglasses", "domain": "faces",
        "base_revision": {kind: made_for(folder / f"lwgan-faces-{kind}") for kind in made}, "alpha": 1.0,
    }  # fmt: skip
    AffineEdit(
        torch.randn(NUM_WS, W_DIM, W_DIM) / W_DIM**0.5, torch.randn(NUM_WS, W_DIM), config
    ).save_pretrained(folder / "lwgan-faces-lw-eyeglasses")
    return folder


def make_synthfaces(folder):
    """A second domain: RGB pictures, judges of named attributes and of identity, a classifier of codes, edits of two attributes by two methods."""
    torch.manual_seed(1)
    nets = synthfaces_nets(FACE_NAMES) | {
        "latent-classifier": LatentClassifier(num_ws=NUM_WS, w_dim=W_DIM, outputs=3, hidden=(8, 8))
    }
    base = {}
    for kind, module in nets.items():
        named = {"names": FACE_NAMES, "base_revision": dict(base)} if kind == "latent-classifier" else {}
        config = {"kind": kind, "domain": "synthfaces", "architecture": module.config, **named}
        save_folder(folder / f"lwgan-synthfaces-{kind}", config, module.state_dict())
        if kind in ("generator", "encoder"):
            base[kind] = made_for(folder / f"lwgan-synthfaces-{kind}")
    for method in ("lw", "interfacegan"):
        for attribute in ("eyeglasses", "smiling"):
            config = {
                "method": method, "attribute": attribute, "from": f"no {attribute}", "to": attribute, "domain": "synthfaces", "base_revision": base,
                "alpha": 1.0, "curve": CURVE,
            }  # fmt: skip
            edit = AffineEdit(None, torch.randn(NUM_WS, W_DIM), config)
            edit.save_pretrained(folder / f"lwgan-synthfaces-{method}-{attribute}")
    return folder


def make_domains(folder: Path, mnist: Path) -> Path:
    """Both domains, with samples of real digits and a mean shift."""
    pictures = compose(load_digits("test", mnist), 12, seed=1)
    make_registry(folder, samples=pictures.images, numbers=pictures.numbers)
    base = {kind: made_for(folder / f"lwgan-multimnist-{kind}") for kind in ("generator", "encoder")}
    save_edit(folder / SHIFT, base, 1, 2)
    config = json.loads((folder / SHIFT / "config.json").read_text())
    (folder / SHIFT / "config.json").write_text(json.dumps(config | {"method": "centroids"}))
    return make_synthfaces(folder)


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def put(hub, repo_id: str, files: dict) -> None:
    card = b"---\ntags:\n- lwgan\n---\n"
    hub.put(repo_id, {**files, "README.md": card})
