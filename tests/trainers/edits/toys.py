"""Codes whose right answer is known, and latent classifiers that read them exactly."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from lwgan.domain import change_of, plain_domain
from lwgan.hub.registry import save_folder
from lwgan.judges import LatentClassifier
from trainers import run
from trainers.codes import Codes
from trainers.edits.base import Splits

LAYERS, DIM = 3, 8
NAMES = ("Bangs", "Eyeglasses", "Smiling")
DOMAIN = plain_domain("toys", NAMES)
GLASSES = change_of("Eyeglasses")
BASE = {"encoder": "e" * 64, "generator": "a" * 64}


def axis(number: int) -> torch.Tensor:
    """A unit direction in one layer: coordinate `number` of all LAYERS * DIM."""
    return F.one_hot(torch.tensor(number), LAYERS * DIM).float().view(LAYERS, DIM)


def codes_of(w: torch.Tensor, glasses: torch.Tensor) -> Codes:
    """Codes whose labels are all that of the edited one."""
    return Codes(w, glasses.to(torch.uint8)[:, None].expand(-1, 3).clone(), DOMAIN)


def labelled(
    n: int = 800, seed: int = 0, agree: float = 0.5, shifts: tuple[float, ...] = (2.0, 3.0, 4.0)
) -> Codes:
    """Unit normal codes; each label moves them along an axis of its own. Pictures with glasses smile with
    probability `agree`, pictures without with 1 - agree."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (n, 3), generator=generator)
    labels[:, 2] = torch.where(torch.rand(n, generator=generator) < agree, labels[:, 1], 1 - labels[:, 1])
    w = torch.randn(n, LAYERS, DIM, generator=generator)
    for k, shift in enumerate(shifts):
        w += shift * labels[:, k, None, None] * axis(k)
    return Codes(w, labels.to(torch.uint8), DOMAIN)


def train_only(codes: Codes, generator: Path | None = None) -> Splits:
    """Methods that touch the validation codes fail."""
    return Splits(codes, None, generator)


def linear_classifier(folder: Path, rows: torch.Tensor, names=NAMES, offset: float = 0.0, base=BASE) -> Path:
    """A latent classifier whose logits are rows [K, LAYERS * DIM] @ w - offset, exactly: leaky(x) - leaky(-x)
    = 1.2 x."""
    k = len(rows)
    classifier = LatentClassifier(num_ws=LAYERS, w_dim=DIM, outputs=k, hidden=(2 * k, 2 * k))
    first, second, last = classifier.layers[0], classifier.layers[2], classifier.layers[4]
    halves = torch.cat([torch.eye(k), -torch.eye(k)], 1) / 1.2
    with torch.no_grad():
        first.weight.copy_(torch.cat([rows, -rows]))
        first.bias.zero_()
        second.weight.copy_(torch.cat([halves, -halves]))
        second.bias.zero_()
        last.weight.copy_(halves)
        last.bias.fill_(-offset)
    config = {
        "kind": "latent-classifier",
        "domain": "toys",
        "architecture": classifier.config,
        "names": list(names),
    }
    save_folder(folder, config | {"base_revision": base}, classifier.state_dict())
    return folder


def stop(act: Callable, step: int | None = None) -> None:
    """Runs `act`, stopped as by Ctrl-C after it has saved the checkpoint of a step; None: its first."""
    save = run.save_checkpoint

    def save_and_stop(folder, **state):
        save(folder, **state)
        if step in (None, state["step"]):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "save_checkpoint", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            act()


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return F.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()
