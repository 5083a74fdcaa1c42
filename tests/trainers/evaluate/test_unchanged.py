"""The bundled edits have the figures that the evaluation before the redesign gave (unchanged/figures.json).

Digits: 400 pictures composed of the test digits of tests/data/mnist with seed 2, 100 of each number.
Faces: rendered people of seed 2, the first 80 that each change is for. digits_kept is all_kept now,
latent_change code_change, attribute_preservation others_kept. The identity of digits is gone: no identity
network gave it.
"""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lwgan.edit import AffineEdit
from lwgan.encoder import Encoder
from lwgan.generator import Generator
from lwgan.judges import IdentityNetwork, Judge, LatentClassifier
from trainers import measure
from trainers.datasets import multimnist, synthfaces
from trainers.datasets.mnist import load_digits
from trainers.datasets.synthfaces.domain import DOMAIN

DATA = Path(__file__).parents[2] / "data"
BUNDLED = Path(__file__).parents[3] / "lwgan" / "bundled"
WANTED = json.loads((DATA / "unchanged" / "figures.json").read_text())
KEYS = {"digits_kept": "all_kept", "latent_change": "code_change", "attribute_preservation": "others_kept"}


def nets(domain: str, **readers) -> tuple[Encoder, measure.Nets]:
    load = lambda cls, kind: cls.from_pretrained(BUNDLED / f"lwgan-{domain}-{kind}")
    found = {role: load(cls, kind) for role, (cls, kind) in readers.items()}
    return load(Encoder, "encoder"), measure.Nets(load(Generator, "generator"), **found)


def cases_of(encoder, nets, images, labels, change) -> measure.Cases:
    rows, counted = torch.arange(len(images)), torch.ones(len(nets.names), dtype=torch.bool)
    w = measure.encode(encoder, torch.from_numpy(images), rows)
    return measure.Cases(change, w, torch.from_numpy(labels), rows, measure.see(nets, w), counted)


@pytest.fixture(scope="module")
def digits():
    pictures = multimnist.compose(load_digits("test", DATA / "mnist"), 400, seed=2)
    encoder, readers = nets(
        "multimnist", judge=(Judge, "judge"), codes=(LatentClassifier, "latent-classifier")
    )

    @functools.cache
    def cases(name: str) -> measure.Cases:
        rows = np.flatnonzero(pictures.count == int(name[0]))[:100]
        labels = multimnist.labels_of(pictures.numbers[rows])
        change = multimnist.DOMAIN.change(name)
        return cases_of(encoder, readers, pictures.images[rows][:, None], labels, change)

    return readers, cases


def assert_same(found: dict, wanted: dict) -> None:
    values = {KEYS.get(key, key): value for key, value in wanted.items()}
    for key in found.keys() & values.keys():
        value, want = ((x["value"] if isinstance(x, dict) else x) for x in (found[key], values[key]))
        assert value == pytest.approx(want, abs=1e-4), key
        if isinstance(found[key], dict):
            assert found[key]["n"] == values[key]["n"]
            assert found[key]["low"] == pytest.approx(values[key]["low"], abs=0.01), (
                "bootstraps differ by chance"
            )


@pytest.mark.parametrize("name", WANTED["digits"])
def test_figures_of_digits_are_unchanged(digits, name):
    nets, cases = digits
    edit, wanted = AffineEdit.from_pretrained(BUNDLED / name), WANTED["digits"][name]
    held = cases(edit.config["change"]["name"])
    found = measure.summary(wanted["alpha"], measure.figures(edit, wanted["alpha"], held, nets)[0])
    assert_same(found, {key: value for key, value in wanted.items() if key != "identity"})
    assert {"target_change", "all_kept", "true_change", "code_change", "overshoot", "norm"} <= found.keys()
    assert measure.calibrated(edit, held.w, nets, held.change) == wanted["calibrated_alpha"]


@pytest.fixture(scope="module")
def faces():
    people = synthfaces.sample(260, 2)
    labels = np.array([person.labels for person in people], np.uint8)
    encoder, readers = nets(
        "synthfaces", judge=(Judge, "attribute-judge"), identity=(IdentityNetwork, "identity")
    )

    @functools.cache
    def cases(name: str) -> measure.Cases:
        change = DOMAIN.change(name)
        held = labels[:, synthfaces.NAMES.index(change.label)] == change.source[change.label]
        rows = np.flatnonzero(held)[:80]
        images = synthfaces.render_all([people[row] for row in rows], 64).transpose(0, 3, 1, 2)
        return cases_of(encoder, readers, images, labels[rows], change)

    return readers, cases


@pytest.mark.parametrize("name", WANTED["faces"])
def test_figures_of_faces_are_unchanged(faces, name):
    nets, cases = faces
    edit, wanted = AffineEdit.from_pretrained(BUNDLED / name), WANTED["faces"][name]
    held = cases(edit.config["change"]["name"])
    found = measure.summary(wanted["alpha"], measure.figures(edit, wanted["alpha"], held, nets)[0])
    assert_same(found, wanted)
    assert {"target_change", "others_kept", "true_change", "identity", "norm"} <= found.keys()
