"""Latent Transformer with a classifier that reads exactly what the test says."""

import numpy as np
import pytest
import torch

from lwgan.edit import AffineEdit
from lwgan.judges import LatentClassifier
from tests.trainers.edits.toys import (
    DIM,
    DOMAIN,
    GLASSES,
    LAYERS,
    axis,
    labelled,
    linear_classifier,
    stop,
    train_only,
)
from trainers.codes import Codes
from trainers.edits.latent_transformer import LatentTransformer, Layers


@pytest.fixture
def lt(tmp_path, reader):
    def fit(codes: Codes, change=GLASSES, run="run", **options) -> AffineEdit:
        options = {"batch": 50, "epochs": 20, "learning_rate": 1e-2} | options
        folder = tmp_path / f"{run}-{change.name}-{options}"
        folder.mkdir(exist_ok=True)
        return LatentTransformer(reader, **options).fit(train_only(codes), change, folder)

    return fit


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """F whose logit of glasses rests on axes 1 and 2, that of a smile on axis 2; 0 in the middle of the
    clouds."""
    rows = torch.stack([axis(0), axis(1) + axis(2), axis(2)]).flatten(1) * 2
    return linear_classifier(tmp_path_factory.mktemp("reader") / "f", rows, offset=3.0)


def test_lt_free_of_its_regularisers_changes_the_classifiers_answer(lt, reader):
    codes, read = labelled(), LatentClassifier.from_pretrained(reader)
    edit = lt(codes, regularisation=0, reconstruction=0, learning_rate=5e-2)
    before = read(codes.w)[:, 1] > 0
    for alpha, rows in ((1.0, ~before), (-1.0, before)):  # one map serves both ways
        after = read(edit(codes.w[rows], alpha))[:, 1] * alpha
        assert (after > 0).float().mean() > 0.95


def test_lt_that_must_reconstruct_stays_put(lt):
    codes = labelled()
    free, bound = (lt(codes, regularisation=0, reconstruction=weight) for weight in (0, 1e4))
    moved = [edit.direction(codes.w).flatten(1).norm(dim=1).mean() for edit in (free, bound)]
    assert moved[1] < 0.1 * moved[0]


def test_lt_keeps_the_logits_of_other_labels(lt):
    """Glasses can be had along axis 1 alone; the smile's axis is the shorter way only for a map that may
    change it."""
    codes = labelled()
    free, kept = (
        lt(codes, regularisation=weight, reconstruction=0).direction(codes.w).flatten(1).mean(0)
        for weight in (0, 30)
    )
    assert free[2] > 0.5 * free[1] and kept[2].abs() < 0.25 * kept[1]


def test_lt_loss_is_the_sum_of_its_three_terms(reader):
    """Written out number by number: 1 - gamma inside the square, means over batch and labels, classes
    balanced."""
    codes, t = labelled(200, agree=0.8), Layers(LAYERS, DIM)
    w, read = codes.w[:7], LatentClassifier.from_pretrained(reader)
    loss, _ = LatentTransformer(reader, regularisation=0.7, reconstruction=3.0).loss(codes, GLASSES)
    found = loss(t, w, read(w)).item()
    gamma = np.abs(np.corrcoef(codes.labels.numpy().T))[1]
    weight, bias = (t.weight * t.gain).detach().numpy(), t.bias.detach().numpy()
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    goals = [0.0 if read(code[None])[0, 1] > 0 else 1.0 for code in w]
    cls = reg = rec = 0.0
    for code, goal in zip(w.numpy(), goals, strict=True):
        before = read(torch.tensor(code)[None])[0].numpy()
        alpha = goal - sigmoid(before[1])
        edited = np.stack([code[l] + alpha * (weight[l] @ code[l] + bias[l]) for l in range(LAYERS)])
        after = read(torch.tensor(edited).float()[None])[0].numpy()
        cls += np.logaddexp(0, -after[1] if goal else after[1]) / goals.count(goal)
        reg += sum(((1 - gamma[k]) * (after[k] - before[k])) ** 2 for k in range(3)) / 3 / 7
        rec += ((edited - code) ** 2).mean() / 7
    assert len(set(goals)) == 2 and found == pytest.approx(cls + 0.7 * reg + 3 * rec, rel=1e-4)


def test_lt_of_the_opposite_is_the_same_map_the_other_way(lt):
    one, other = (
        lt(labelled(200), DOMAIN.change(name), epochs=1) for name in ("Eyeglasses", "not-Eyeglasses")
    )
    assert torch.equal(one.weight, -other.weight) and torch.equal(one.bias, -other.bias)


def test_lt_resumes_to_the_same_map(lt):
    whole = lt(labelled(200), epochs=3)
    stop(lambda: lt(labelled(200), run="stopped", epochs=3))
    resumed = lt(labelled(200), run="stopped", epochs=3)
    assert torch.equal(whole.weight, resumed.weight) and torch.equal(whole.bias, resumed.bias)
