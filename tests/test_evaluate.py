"""The evaluate stage at toy size: figures that follow from nets whose behaviour is known."""

import json

import numpy as np
import pytest
import torch
from nets import make_registry

from lwgan.classifiers import Reading
from lwgan.edit import AffineEdit
from trainers import evaluate, results
from trainers.codes import Codes
from trainers.data import save_pictures
from trainers.datasets.mnist import load_digits
from trainers.datasets.multimnist import compose


class TinyGenerator(torch.nn.Module):
    """Renders a code as a picture of its first coordinate: [N, 1, 1] -> [N, 1, 1, 1]."""

    def __init__(self):
        super().__init__()
        self.mapping = torch.nn.Module()
        self.mapping.register_buffer("w_avg", torch.zeros(1))

    def synthesis(self, w):
        return w[:, :1, :1, None]


class Counter:
    """Reads a picture of value v as round(v) digits "3", sure of it when v is whole."""

    def read(self, x):
        value = x[:, 0, 0, 0]
        numbers = torch.zeros(len(x), 10, dtype=torch.long)
        numbers[:, 3] = value.round().long()
        sure = 1 - (value - value.round()).abs()
        return Reading(numbers[:, 3], numbers, sure, sure)


def figures(edit, values, alpha=1.0):
    w = torch.tensor(values)[:, None, None]
    numbers = torch.zeros(len(values), 10, dtype=torch.long)
    numbers[:, 3] = 1
    return evaluate.edit_figures(edit, alpha, Codes(w, numbers), TinyGenerator(), Counter(), asked=2)


def test_an_edit_that_adds_one_changes_every_picture():
    got = figures(AffineEdit(None, torch.ones(1, 1)), [1.0, 1.0, 1.2])
    assert got["target_change"]["value"] == 1 and got["true_change"]["value"] == 1 and got["overshoot"] == 0
    assert got["confident"]["value"] == pytest.approx(2 / 3), "2.2 is read as two digits, with .8 confidence"
    assert got["norm"] == pytest.approx(1)


def test_overshoot_and_wrong_reconstructions_are_no_success():
    # 1 -> 3 overshoots; a picture whose reconstruction already reads 2 has not been changed by reading 2 afterwards.
    assert figures(AffineEdit(None, torch.full((1, 1), 2.0)), [1.0, 1.0])["overshoot"] == 1
    still = figures(AffineEdit(None, torch.zeros(1, 1)), [2.0, 2.0, 1.0])
    assert still["target_change"]["value"] == 0 and still["no_edit"]["value"] == pytest.approx(2 / 3) and still["digits_kept"] is None


def test_added_ink_is_one_for_a_digit_as_bright_as_the_others():
    black = torch.full((1, 1, 8, 8), -1.0)
    one, two, faint = black.clone(), black.clone(), black.clone()
    one[..., 1:3, 1:3] = 1
    two[..., 1:3, 1:3], two[..., 5:7, 5:7] = 1, 1
    faint[..., 1:3, 1:3], faint[..., 5:7, 5:7] = 1, -0.6
    assert evaluate.added_ink(one, two, asked=2).item() == pytest.approx(1)
    assert evaluate.added_ink(one, faint, asked=2).item() == pytest.approx(0.2)
    assert evaluate.added_ink(two, two, asked=3).item() == 0


@pytest.fixture(scope="module")
def measured(tmp_path_factory, request):
    """The stage run on untrained nets: (registry, docs)."""
    folder = tmp_path_factory.mktemp("evaluate")
    digits = load_digits("test", request.getfixturevalue("mnist"))
    (folder / "data").mkdir()
    save_pictures(folder / "data" / "test.safetensors", compose(digits, 64, seed=0))
    registry = make_registry(folder / "registry")
    for path in registry.glob("*/config.json"):
        config = json.loads(path.read_text())
        if config["kind"] == "affine":
            config["to_count"] = int(config["to"][0])
        if config["kind"] == "judge":
            config["metrics"] = {"test_count_accuracy": 0.5, "test_digits_accuracy": 0.25}
        path.write_text(json.dumps(config))
    options = evaluate.Options(
        data=folder / "data",
        registry=registry,
        baselines=registry,
        docs=folder / "docs",
        samples=40,
        heldout=20,
        edit_pictures=8,
        device="cpu",
    )
    evaluate.main(options)
    return registry, folder / "docs"


def test_figures_stand_in_the_configs_and_the_models_still_load(measured):
    registry, docs = measured
    held = json.loads((docs / "results.json").read_text())
    for name in ("generator", "encoder"):
        assert json.loads((registry / f"lwgan-multimnist-{name}" / "config.json").read_text())["metrics"] == held[name]
    edit = AffineEdit.from_pretrained(registry / "lwgan-multimnist-lw-1to2")
    assert edit.config["metrics"]["target_change"]["n"] == 8
    assert sum(held["generator"]["count_shares"]) <= 1.0001


def test_results_page_is_made_of_the_json_alone(measured):
    _, docs = measured
    assert (docs / "results.md").read_text() == results.text(json.loads((docs / "results.json").read_text()))
    for sheet in ("samples", "reconstructions", "edits"):
        assert (docs / "images" / f"{sheet}.png").stat().st_size > 0


@pytest.mark.parametrize(("key", "words"), [("judge_revision", "was guided by"), ("selector_revision", "has its alpha from")])
def test_a_judge_that_had_a_part_in_an_edit_may_not_measure_it(tmp_path, key, words):
    folder = make_registry(tmp_path / "registry")
    judge = json.loads((folder / "lwgan-multimnist-judge" / "config.json").read_text())["weights"]["sha256"]
    path = next(folder.glob("*1to2")) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: judge}))
    with pytest.raises(ValueError, match=rf"1to2 {words} the judge that is to measure it, {judge}"):
        evaluate.main(evaluate.Options(tmp_path / "data", folder, docs=tmp_path / "docs", device="cpu"))
    assert not (tmp_path / "docs").exists()


def test_a_missing_judge_is_an_error(tmp_path, mnist):
    registry = make_registry(tmp_path / "registry", judge=False)
    with pytest.raises(ValueError, match="holds no judge"):
        evaluate.main(evaluate.Options(data=tmp_path, registry=registry, docs=tmp_path / "docs"))
    assert not (tmp_path / "docs").exists()


def test_real_against_real_distance_is_small_and_against_noise_is_not():
    rng = np.random.default_rng(0)
    a, b = torch.tensor(rng.standard_normal((2000, 5))), torch.tensor(rng.standard_normal((2000, 5)))
    assert evaluate.relative_frechet_distance(a, b) < 0.01 < evaluate.relative_frechet_distance(3 * a, b)
