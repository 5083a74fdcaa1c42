"""A stand-in registry: small nets of the real classes with random weights, in folders laid out as the bundled
ones.

They load, encode, edit and render as trained ones do, but draw nothing legible. Each edit moves the picture.
"""

import json
from pathlib import Path

import numpy as np
import torch

from lwgan.domain import Change, Domain, change_as_json, change_of
from lwgan.edit import AffineEdit
from lwgan.encoder import Encoder
from lwgan.generator import Generator
from lwgan.hub.registry import save_folder
from lwgan.judges import AttributeJudge, CountJudge, IdentityNetwork, LatentClassifier
from lwgan.strength import strength_of
from trainers.datasets.mnist import load_digits
from trainers.datasets.multimnist import DOMAIN as DIGITS
from trainers.datasets.multimnist import compose, labels_of

NUM_WS, W_DIM = 10, 16
NAMES = ("Bangs", "Eyeglasses", "Smiling")  # the labels of toy faces
COUNTS = ("2-or-more", "3-or-more", "4-or-more")  # the labels that the classifier of codes reads of digits
EDITS = {f"lwgan-multimnist-lw-{change.name}": change for change in DIGITS.changes}
SHIFT = "lwgan-multimnist-centroids-1to2"
FACE_NAMES = ("Eyeglasses", "Smiling", "Bangs")
CURVE = [{"alpha": a, "target_change": a / 2, "others_kept": 1.1 - a / 5} for a in (1.0, 2.0)]


def toy_domain(name: str, attributes: tuple[str, ...], frame: str = "square") -> Domain:
    """A Domain whose changes give each attribute."""
    changes = tuple(change_of(label) for label in attributes)
    return Domain(name, f"Toy {name}", "a toy face", frame, attributes, changes, "other", "Noise.", "All.")


def toy_generator(**config) -> Generator:
    return Generator(
        resolution=64, w_dim=W_DIM, channels=(16, 16, 16, 8, 8), z_dim=16, mapping_layers=2, **config
    )


def toy_encoder(resolution: int = 64, img_channels: int = 3) -> Encoder:
    widths = {64: (8, 8, 16, 16), 256: (8, 8, 8, 8, 16, 16)}[resolution]
    sizes = {"w_dim": W_DIM, "num_ws": NUM_WS, "widths": widths, "pyramid": 16, "head": 8}
    return Encoder(resolution=resolution, img_channels=img_channels, **sizes)


def synthfaces_nets(names, features: int = 16) -> dict[str, torch.nn.Module]:
    """Kind -> net of a domain of faces, whose judge reads `names`."""
    return {
        "generator": toy_generator(),
        "encoder": toy_encoder(),
        "judge": AttributeJudge(names=names, widths=(8, 8, 8), features=features),
        "identity": IdentityNetwork(widths=(8, 8, 8), features=16, embedding=8),
    }


def save_nets(folder: Path, domain: Domain, nets: dict[str, torch.nn.Module]) -> dict[str, str]:
    """Writes each net into `folder`/lwgan-DOMAIN-KIND. -> the sha256 of generator and encoder, the base of
    edits"""
    base = {}
    for kind, module in nets.items():
        config = {"kind": kind, "domain": domain.name, "architecture": module.config}
        if kind == "generator":
            config["domain_spec"] = domain.as_json()
        if kind in ("judge", "identity"):
            config["resolution"] = 64
        if base:
            config["base_revision"] = dict(base)
        if kind == "latent-classifier":
            config["names"] = list(FACE_NAMES if domain.name == "synthfaces" else COUNTS)
        save_folder(folder / f"lwgan-{domain.name}-{kind}", config, module.state_dict())
        if kind in ("generator", "encoder"):
            base[kind] = made_for(folder / f"lwgan-{domain.name}-{kind}")
    return base


def make_registry(
    folder: Path, *, judge: bool = True, samples: np.ndarray | None = None, labels: np.ndarray | None = None,
    calibrator: bool = False,
) -> Path:  # fmt: skip
    """The domain of digits: a generator, an encoder, three edits and, if wanted, a judge, a latent classifier
    of counts, samples (uint8 [N, 64, 64]) and their labels (uint8 [N, 44])."""
    torch.manual_seed(0)
    nets = {"generator": toy_generator(img_channels=1, output="tanh"), "encoder": toy_encoder(img_channels=1)}
    if judge:
        nets["judge"] = CountJudge(names=DIGITS.attributes, widths=(8, 8, 8), features=16)
    if calibrator:
        nets["latent-classifier"] = LatentClassifier(num_ws=NUM_WS, w_dim=W_DIM, outputs=3, hidden=(8, 8))
    base = save_nets(folder, DIGITS, nets)
    for name, change in EDITS.items():
        save_edit(folder / name, base, change)
    if samples is not None:
        tensors = {"images": torch.from_numpy(samples)}
        tensors |= {} if labels is None else {"labels": torch.from_numpy(labels)}
        save_folder(
            folder / "lwgan-multimnist-samples", {"kind": "pictures", "domain": "multimnist"}, tensors
        )
    return folder


def save_edit(folder: Path, base: dict[str, str], change: Change, *, affine: bool = True, **config) -> None:
    """Writes an edit with random weights; `config` adds to and replaces what its config.json says."""
    domain = folder.name.split("-")[1]
    named = {"method": "lw", "domain": domain, "base_model": f"lwgan/lwgan-{domain}-generator"}
    config = {**named, "change": change_as_json(change), "base_revision": base, "alpha": 1.5, **config}
    weight = torch.randn(NUM_WS, W_DIM, W_DIM) / W_DIM**0.5 if affine else None
    AffineEdit(weight, torch.randn(NUM_WS, W_DIM), config).save_pretrained(folder)


def made_for(folder: Path) -> str:
    """The sha256 of a saved model's weights, by which edits name their base."""
    return json.loads((folder / "config.json").read_text())["weights"]["sha256"]


def make_faces_registry(folder: Path) -> Path:
    """Photographs of faces: an encoder of 256-px pictures in colour, a generator of 64 px, to be quick, and
    one edit."""
    torch.manual_seed(0)
    nets = {"generator": toy_generator(), "encoder": toy_encoder(256)}
    base = save_nets(folder, toy_domain("faces", ("Eyeglasses",), "face"), nets)
    save_edit(folder / "lwgan-faces-lw-eyeglasses", base, change_of("Eyeglasses"), alpha=1.0)
    return folder


def make_synthfaces(folder: Path) -> Path:
    """A second domain: RGB pictures, a judge of labels, identity, a classifier of codes, edits of two labels
    by two methods."""
    torch.manual_seed(1)
    classifier = LatentClassifier(num_ws=NUM_WS, w_dim=W_DIM, outputs=3, hidden=(8, 8))
    nets = synthfaces_nets(FACE_NAMES) | {"latent-classifier": classifier}
    base = save_nets(folder, toy_domain("synthfaces", FACE_NAMES), nets)
    for method in ("lw", "interfacegan"):
        for label in ("Eyeglasses", "Smiling"):
            path = folder / f"lwgan-synthfaces-{method}-{label.lower()}"
            strength = strength_of(CURVE, 1.0)
            save_edit(path, base, change_of(label), affine=False, method=method, alpha=1.0, strength=strength)
    return folder


def make_domains(folder: Path, mnist: Path) -> Path:
    """Both domains, with samples of real digits and a mean shift."""
    pictures = compose(load_digits("test", mnist), 12, seed=1)
    make_registry(folder, samples=pictures.images, labels=labels_of(pictures.numbers))
    base = {kind: made_for(folder / f"lwgan-multimnist-{kind}") for kind in ("generator", "encoder")}
    save_edit(folder / SHIFT, base, DIGITS.change("1to2"), method="centroids")
    return make_synthfaces(folder)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def put(hub, repo_id: str, files: dict) -> None:
    """Puts files with a card into a repo of the tests' Hub."""
    hub.put(repo_id, {**files, "README.md": b"---\ntags:\n- lwgan\n---\n"})
