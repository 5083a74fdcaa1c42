"""The perceptual cost, where what is seen is a linear function of the code and so known exactly."""

from types import SimpleNamespace

import pytest
import torch

from tests.trainers.edits.toys import DIM, GLASSES, LAYERS, labelled
from trainers.edits import perceptual
from trainers.edits.base import Splits
from trainers.edits.latent_wasserstein import LatentWasserstein

PICTURES = torch.randn(LAYERS * DIM, 16 * 16, generator=torch.Generator().manual_seed(5))
PICTURES[: DIM // 2] = 0  # half of the first layer is not seen


class Linear:
    """A generator whose pictures [N, 1, 16, 16] are linear in the code, and a judge of their edges."""

    def synthesis(self, w):
        return (w.flatten(1) @ PICTURES).view(-1, 1, 16, 16)

    def features(self, x):
        return (x[..., 1:] - x[..., :-1]).flatten(1)


@pytest.fixture
def linear(monkeypatch):
    monkeypatch.setattr(perceptual, "Judge", SimpleNamespace(from_pretrained=lambda folder: Linear()))
    monkeypatch.setattr(perceptual, "RIDGE", 1e-9)
    return Linear()


def test_distances_of_codes_become_those_of_what_is_seen(linear):
    codes = labelled(400)
    weight, predicted = perceptual.perceptual_map(codes, linear, "judge")
    seen = perceptual.seen_in(codes.w, linear, linear)
    assert predicted == pytest.approx(1, abs=1e-3)
    assert torch.allclose(torch.cdist(codes.w.flatten(1) @ weight, codes.w.flatten(1) @ weight),
                          torch.cdist(seen, seen), atol=1e-2)  # fmt: skip


def test_each_part_of_what_is_seen_has_the_same_share(linear):
    seen = perceptual.seen_in(labelled(300).w, linear, linear)
    ends = torch.tensor([side**2 for side in perceptual.SIDES] + [16 * 15]).cumsum(0)
    parts = seen.tensor_split(ends[:-1].tolist(), 1)
    assert [part.var(0).sum().item() for part in parts] == pytest.approx([1.0] * len(parts), abs=1e-3)


def test_an_edit_does_not_learn_what_is_not_seen(linear, monkeypatch, tmp_path):
    """Along unseen coordinates it stays the mean shift, where it starts."""
    monkeypatch.setattr("trainers.edits.latent_wasserstein.generator_for", lambda codes: linear)
    codes = Splits(labelled(400), labelled(200, 1), tmp_path)
    method = LatentWasserstein(perceptor=tmp_path, starts=1, steps=10, batch=50, validation_codes=50)
    edit = method.resolved(GLASSES).fit(codes, GLASSES, tmp_path)
    train = codes.train
    moved = (edit.bias - (train.target(GLASSES).w.mean(0) - train.source(GLASSES).w.mean(0))).abs()
    assert moved[0, : DIM // 2].max() < 1e-3 < 0.02 < moved[0, DIM // 2 :].max()


def test_it_needs_the_generator(tmp_path):
    codes = Splits(labelled(100), labelled(100, 1))
    with pytest.raises(ValueError, match="--generator"):
        LatentWasserstein(perceptor=tmp_path).resolved(GLASSES).check(codes, GLASSES)
