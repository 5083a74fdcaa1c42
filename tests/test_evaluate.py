"""The evaluate stage at toy size: figures that follow from nets whose behaviour is known."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from lwgan.edit import AffineEdit
from lwgan.judges import Reading
from tests.nets import make_registry
from trainers import evaluate, measure, records, results
from trainers.__main__ import parse
from trainers.data import save_pictures
from trainers.datasets.mnist import load_digits
from trainers.datasets.multimnist import compose
from trainers.measure import Nets


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

    def features(self, x):
        return x.flatten(1)

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
    nets = Nets(TinyGenerator(), Counter())
    return measure.figures(edit, alpha, measure.cases_from(w, numbers, 2, nets), nets, identities=False)


def test_an_edit_that_adds_one_changes_every_picture():
    got = figures(AffineEdit(None, torch.ones(1, 1)), [1.0, 1.0, 1.2])
    assert (
        got["target_change"]["value"] == 1
        and got["true_change"]["value"] == 1
        and got["overshoot"]["value"] == 0
    )
    assert got["confident"]["value"] == pytest.approx(2 / 3), "2.2 is read as two digits, with .8 confidence"
    assert got["norm"] == pytest.approx(1)


def test_overshoot_and_wrong_reconstructions_are_no_success():
    # 1 -> 3 overshoots; a picture whose reconstruction already reads 2 has not been changed by reading 2 afterwards.
    assert figures(AffineEdit(None, torch.full((1, 1), 2.0)), [1.0, 1.0])["overshoot"]["value"] == 1
    assert figures(AffineEdit(None, torch.full((1, 1), 2.0)), [1.0, 1.0])["at_least"]["value"] == 1
    still = figures(AffineEdit(None, torch.zeros(1, 1)), [2.0, 2.0, 1.0])
    assert (
        still["target_change"]["value"] == 0
        and still["no_edit"]["value"] == pytest.approx(2 / 3)
        and still["digits_kept"] is None
    )


def test_added_ink_is_one_for_a_digit_as_bright_as_the_others():
    black = torch.full((1, 1, 8, 8), -1.0)
    one, two, faint = black.clone(), black.clone(), black.clone()
    one[..., 1:3, 1:3] = 1
    two[..., 1:3, 1:3], two[..., 5:7, 5:7] = 1, 1
    faint[..., 1:3, 1:3], faint[..., 5:7, 5:7] = 1, -0.6
    assert measure.added_ink(one, two, asked=2).item() == pytest.approx(1)
    assert measure.added_ink(one, faint, asked=2).item() == pytest.approx(0.2)
    assert measure.added_ink(two, two, asked=3).item() == 0


class Sum:
    """Reads off a code's sum whether there are 2, 3, 4 or more digits."""

    def __call__(self, w):
        return w.flatten(1).sum(1, keepdim=True) - torch.tensor([1.5, 2.5, 3.5])


def test_the_calibrated_strength_is_where_the_classifier_of_codes_first_says_all():
    w = torch.tensor([1.0, 0.9, 1.6])[:, None, None]  # the last is read as two already
    edit = AffineEdit(None, torch.full((1, 1), 0.5))
    alpha = measure.calibrated(edit, w, Sum(), 2)
    assert 1.2 < alpha <= 1.21, ".9 + .5 alpha > 1.5"
    assert measure.latent_change(Sum(), w, edit(w, alpha), 2).value == pytest.approx(2 / 3)
    assert measure.calibrated(AffineEdit(None, torch.full((1, 1), -0.5)), w, Sum(), 2) is None


class Ink:
    """An embedding of a picture: the ink of its four quarters."""

    def features(self, x):
        return torch.nn.functional.avg_pool2d(x + 1, x.shape[-1] // 2).flatten(1)


def test_identity_looks_at_the_old_digits_alone():
    one = torch.full((1, 1, 32, 32), -1.0)
    one[..., 2:12, 2:12] = 1
    two, gone = one.clone(), torch.full_like(one, -1.0)
    two[..., 20:30, 20:30] = 1
    places = measure.places_of(one)
    assert places[..., :16, :16].all() and not places[..., 16:, 16:].any() and not places[..., 17:, :].any()
    old, new, lost = (measure.features_at(Ink(), x, places) for x in (one, two, gone))
    assert measure.identity(old, new).value == pytest.approx(1)
    assert measure.identity(old, lost).value == 0
    assert measure.identity(old.repeat(2, 1), torch.cat([new, lost])).value == pytest.approx(0.5)


def test_the_oracle_has_one_digit_more_and_the_old_ones_untouched(mnist):
    pictures = compose(load_digits("test", mnist), 80, seed=3)
    for asked in (2, 3, 4):
        before, after = measure.pasted(pictures, asked, 100)
        assert (
            10 < len(before.images) <= 20
            and (before.count == asked - 1).all()
            and (after.count == asked).all()
        )
        new = before.images != after.images
        assert (before.images[new] == 0).all() and new.any((1, 2)).all()
        assert ((after.numbers - before.numbers).sum(1) == 1).all()


# The stage


@pytest.fixture(scope="module")
def measured(tmp_path_factory, request):
    """The stage run on untrained nets: its options."""
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "data").mkdir()
    for split in ("validation", "test"):
        save_pictures(
            folder / "data" / f"{split}.safetensors",
            compose(load_digits(split, request.getfixturevalue("mnist")), 64, seed=0),
        )
    registry = make_registry(folder / "registry", calibrator=True)
    for path in registry.glob("*/config.json"):
        config = json.loads(path.read_text())
        if config["kind"] == "affine":
            config["to_count"] = int(config["to"][0])
        if config["kind"] == "judge":
            config |= {
                "metrics": {"test_count_accuracy": 0.5, "test_digits_accuracy": 0.25},
                "training": {"split": "train"},
            }
        if config["kind"] == "latent-classifier":
            config |= {"metrics": {"accuracy": 0.5, "commoner_answer": 0.5}, "training": {"split": "train"}}
        path.write_text(json.dumps(config))
    words = [
        "--data",
        "data",
        "--registry",
        "registry",
        "--docs",
        "docs",
        "--samples",
        "40",
        "--heldout",
        "20",
        "--edit-pictures",
        "8",
    ]
    words = [str(folder / word) if word in ("data", "registry", "docs") else word for word in words]
    options = parse(["evaluate", "--domain", "multimnist", *words, "--device", "cpu"])
    evaluate.main(options)
    return options


def test_figures_stand_with_the_models_and_these_still_load(measured):
    held = json.loads((measured.docs / "results.json").read_text())
    for name in ("generator", "encoder"):
        assert (
            json.loads((measured.registry / f"lwgan-multimnist-{name}" / "config.json").read_text())[
                "metrics"
            ]
            == held["nets"][name]
        )
    edit = AffineEdit.from_pretrained(measured.registry / "lwgan-multimnist-lw-1to2")
    metrics = json.loads((measured.registry / "lwgan-multimnist-lw-1to2" / "metrics.json").read_text())
    assert metrics["chosen"]["target_change"]["n"] == 8 and metrics["chosen"]["alpha"] == 1.5
    assert edit.config["metrics"] == metrics["chosen"], "no number in the card that is not in metrics.json"
    assert held["edits"]["lwgan-multimnist-lw-1to2"] == {"name": "lwgan-multimnist-lw-1to2"} | metrics
    assert [point["alpha"] for point in metrics["curve"]] == [
        1.5 * multiple for multiple in evaluate.MULTIPLES
    ]
    assert metrics["curve"][0]["norm"] == metrics["curve"][0]["target_change"] == 0
    assert {"command", "versions", "judge", "calibrator"} <= set(metrics)
    assert sum(held["nets"]["generator"]["count_shares"]) <= 1.0001


@pytest.mark.parametrize("domain", ["multimnist", "synthfaces"])
def test_tables_of_nothing_are_refused(tmp_path, domain):
    options = evaluate.Options(docs=tmp_path, domain=domain, tables=True)
    with pytest.raises(ValueError, match=r"results.*\.json is missing: measure first"):
        evaluate.main(options)
    for name in ("results.json", "results-faces.json"):
        (tmp_path / name).write_text("{")
    with pytest.raises(ValueError, match=r"results.*\.json is no JSON"):
        evaluate.main(options)


def test_the_tables_and_curves_are_made_of_the_json_alone(measured, tmp_path):
    (tmp_path / "results.json").write_bytes((measured.docs / "results.json").read_bytes())
    evaluate.main(evaluate.Options(docs=tmp_path, data=tmp_path, registry=tmp_path, tables=True))
    assert (tmp_path / "results.md").read_text() == (measured.docs / "results.md").read_text()
    for name in ("preservation", "codes-say"):
        assert (tmp_path / "images" / f"{name}.png").stat().st_size > 10_000
    for sheet in ("samples", "reconstructions", "methods-1to2", "codes-say-3to4"):
        assert (measured.docs / "images" / f"{sheet}.png").stat().st_size > 0
    for kind, sheet in (("generator", "samples"), ("encoder", "reconstructions")):  # what their cards show
        held = measured.registry / f"lwgan-multimnist-{kind}" / "images" / f"{sheet}.png"
        assert held.read_bytes() == (measured.docs / "images" / f"{sheet}.png").read_bytes()


def test_what_was_measured_is_kept_and_what_is_not_at_hand_stays(measured, monkeypatch):
    held = json.loads((measured.docs / "results.json").read_text())
    first = held["edits"]["lwgan-multimnist-lw-1to2"]
    held["edits"]["another"] = first | {"name": "another", "of": first["of"] | {"edit": "0" * 64}}
    (measured.docs / "results.json").write_text(json.dumps(held))
    monkeypatch.setattr(measure, "figures", None)  # nothing is measured again
    monkeypatch.setattr(measure, "oracle", None)
    evaluate.main(measured)
    assert json.loads((measured.docs / "results.json").read_text()) == held
    held["edits"]["old name"] = first | {"name": "old name"}
    (measured.docs / "results.json").write_text(json.dumps(held))
    evaluate.main(measured)
    assert set(json.loads((measured.docs / "results.json").read_text())["edits"]) == set(held["edits"]) - {
        "old name"
    }
    path = measured.registry / "lwgan-multimnist-lw-1to2" / "metrics.json"
    for other in (
        json.dumps(json.loads(path.read_text()) | {"of": {}}),
        path.read_text()[:100],
    ):  # of other weights; cut off
        path.write_text(other)
        with pytest.raises(TypeError, match="not callable"):
            evaluate.main(measured)


def test_other_nets_figures_are_left_out(measured, capsys):
    held = json.loads((measured.docs / "results.json").read_text())
    assert records.load(measured.docs / results.NAME, held["of"]) == held
    assert records.load(measured.docs / results.NAME, held["of"] | {"judge": "other"})["edits"] == {}
    assert "holds figures of other nets" in capsys.readouterr().out


def test_a_refused_edit_is_not_left_out_in_silence(measured, tmp_path):
    shutil.copytree(measured.registry / "lwgan-multimnist-lw-1to2", tmp_path / "blur-0.1")
    with pytest.raises(ValueError, match=r"blur-0\.1 cannot be measured"):
        evaluate.main(dataclasses.replace(measured, edits=tmp_path))


@pytest.mark.parametrize("kind", ["judge", "latent-classifier"])
def test_a_judge_trained_on_test_pictures_may_not_measure(tmp_path, kind):
    folder = make_registry(tmp_path / "registry", calibrator=True)
    for path in folder.glob("*/config.json"):
        config = json.loads(path.read_text())
        path.write_text(
            json.dumps(config | {"training": {"split": "test" if config["kind"] == kind else "train"}})
        )
    with pytest.raises(ValueError, match=f"the {kind} was trained on the split 'test', expected 'train'"):
        evaluate.main(evaluate.Options(registry=folder, docs=tmp_path / "docs", device="cpu"))


@pytest.mark.parametrize(
    ("key", "words"), [("judge_revision", "was guided by"), ("selector_revision", "has its alpha from")]
)
def test_a_judge_that_had_a_part_in_an_edit_may_not_measure_it(tmp_path, key, words):
    folder = make_registry(tmp_path / "registry", calibrator=True)
    judge = json.loads((folder / "lwgan-multimnist-judge" / "config.json").read_text())["weights"]["sha256"]
    for path in folder.glob("*/config.json"):
        mine = (
            {key: judge, "to_count": 2}
            if path.parent.name.endswith("1to2")
            else {"training": {"split": "train"}}
        )
        path.write_text(json.dumps(json.loads(path.read_text()) | mine))
    with pytest.raises(ValueError, match=rf"1to2 {words} the judge that is to measure it, {judge}"):
        evaluate.main(evaluate.Options(registry=folder, docs=tmp_path / "docs", device="cpu"))
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
