"""The stage, on an invented domain and nets with random weights: what it writes, keeps and refuses."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from lwgan.domain import Change, change_as_json, change_of
from lwgan.judges import AttributeJudge, LatentClassifier
from tests import nets
from tests.trainers.toy import DOMAIN, LABELS, make_data
from trainers import evaluate
from trainers.evaluate import Options, bench, records

OTHER = "c" * 64
EDITS = ("lwgan-squares-lw-bright", "lwgan-squares-sefa-bright", "lwgan-squares-lw-left")


def make(folder: Path) -> Path:
    """data/ and registry/ of the invented squares: all nets and readers, two methods for one change, one for
    another."""
    torch.manual_seed(0)
    make_data(folder / "data", heldout=24, side=64)
    readers = {
        "judge": AttributeJudge(names=LABELS, widths=(8, 8, 8), features=16),
        "identity": nets.synthfaces_nets(LABELS)["identity"],
        "latent-classifier": LatentClassifier(num_ws=nets.NUM_WS, w_dim=nets.W_DIM, outputs=2, hidden=(8, 8)),
    }
    registry = folder / "registry"
    base = nets.save_nets(registry, DOMAIN, nets.synthfaces_nets(LABELS) | readers)
    for kind in readers:
        names = {"names": list(LABELS[:2])} if kind == "latent-classifier" else {}
        records.update_config(registry / f"lwgan-squares-{kind}", training={"split": "train"}, **names)
    for name, change in zip(EDITS, ("Bright", "Bright", "Left"), strict=True):
        method, validation = name.split("-")[2], {"true_change": 0.5}
        nets.save_edit(registry / name, base, change_of(change), method=method, validation=validation)
    return folder


def options(folder: Path, **more) -> Options:
    return Options(
        folder / "data", folder / "registry", run=folder / "results", pictures=10, samples=20, **more
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    folder = make(tmp_path_factory.mktemp("squares"))
    evaluate.main(options(folder))
    return folder


@pytest.fixture
def copy(measured, tmp_path) -> Path:
    return shutil.copytree(measured, tmp_path / "copy")


def test_every_edit_has_figures_strength_and_pictures(measured):
    for name in EDITS:
        folder = measured / "registry" / name
        config, metrics = (
            json.loads((folder / file).read_text()) for file in ("config.json", "metrics.json")
        )
        assert config["metrics"] == metrics["chosen"] | {"read_by": "judge"}
        assert metrics["chosen"]["alpha"] == config["alpha"] == 1.5 and len(metrics["curve"]) == 8
        assert {"target_change", "others_kept", "identity", "code_change"} <= metrics["chosen"].keys()
        assert config["strength"]["unit"] > 0
        assert (folder / "images" / "strip.png").exists()
    encoder = json.loads((measured / "registry/lwgan-squares-encoder/config.json").read_text())
    assert (
        0 <= encoder["metrics"]["labels_read_as_in_the_picture"] <= 1
        if "labels_read_as_in_the_picture" in encoder["metrics"]
        else True
    )
    assert (measured / "registry/lwgan-squares-encoder/images/reconstructions.png").exists()


def test_one_csv_holds_all_of_it_with_controls(measured):
    frame = records.read(measured / "results" / "squares.csv")
    assert set(frame["edit"]) >= {*EDITS, "lwgan-squares-judge", ""}
    assert set(frame[frame["edit"] == ""]["method"]) == {"no edit", "random direction"}
    chosen = frame[(frame["at"] == "chosen") & (frame["metric"] == "norm") & (frame["change"] == "Bright")]
    norms = chosen.set_index("edit")["value"]
    assert norms[""] == pytest.approx((norms[EDITS[0]] + norms[EDITS[1]]) / 2, rel=1e-3), (
        "as long as the edits"
    )
    text = (measured / "results" / "squares.md").read_text()
    assert (
        "## At the recommended strength" in text and "| Bright | SeFa |" in text and "| Left | LW* |" in text
    )
    assert (measured / "results" / "images" / "squares-Bright.png").exists()


def test_what_is_measured_is_kept_until_something_changes(copy, monkeypatch):
    calls = []
    whole = evaluate.measure.measured
    monkeypatch.setattr(
        evaluate.measure, "measured", lambda edit, *more: calls.append(edit) or whole(edit, *more)
    )
    before = (copy / "results" / "squares.csv").read_bytes()
    evaluate.main(options(copy))
    assert not calls and (copy / "results" / "squares.csv").read_bytes() == before
    records.update_config(copy / "registry" / EDITS[2], alpha=1.0)
    shutil.rmtree(copy / "registry" / EDITS[1])
    evaluate.main(options(copy, edits=EDITS[2:]))
    frame = records.read(copy / "results" / "squares.csv")
    assert len(calls) == 1 and set(EDITS) <= set(frame["edit"]), "an edit that is gone keeps its figures"


def test_tables_are_made_of_the_csv_alone(copy):
    text = (copy / "results" / "squares.md").read_text()
    for name in ("registry", "data", "results/squares.md", "results/images"):
        path = copy / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    evaluate.main(Options(run=copy / "results", tables=True))
    assert (copy / "results" / "squares.md").read_text() == text
    assert (copy / "results" / "images" / "squares-curves.png").exists()


def test_without_a_judge_codes_are_read(copy):
    for kind in ("judge", "identity"):
        shutil.rmtree(copy / "registry" / f"lwgan-squares-{kind}")
    evaluate.main(options(copy))
    metrics = json.loads((copy / "registry" / EDITS[0] / "metrics.json").read_text())
    assert metrics["read_by"] == "codes" and "identity" not in metrics["chosen"]
    assert metrics["chosen"]["code_change"] == metrics["chosen"]["target_change"]
    shutil.rmtree(copy / "registry" / "lwgan-squares-latent-classifier")
    with pytest.raises(ValueError, match="neither a judge nor a latent classifier of the domain squares"):
        evaluate.main(options(copy))


@pytest.mark.parametrize(
    ("model", "config", "message"),
    [
        ("judge", {"training": {"split": "test"}}, "judge was trained on the split 'test'"),
        ("lw-left", {"base_revision": {"generator": OTHER, "encoder": OTHER}}, "lw-left was made for nets"),
        ("lw-left", {"change": None}, "lw-left: its config.json has no change"),
        ("lw-left", {"selector_revision": "JUDGE"}, "lw-left has its alpha from the judge"),
        ("lw-left", {"classifier_revision": "CLASSIFIER"}, "lw-left was trained with the latent-classifier"),
    ],
)
def test_whatever_would_measure_itself_is_refused(copy, model, config, message):
    weights = lambda kind: nets.made_for(copy / "registry" / f"lwgan-squares-{kind}")
    known = {"JUDGE": weights("judge"), "CLASSIFIER": weights("latent-classifier")}
    config = {
        key: known.get(value, value) if isinstance(value, str) else value for key, value in config.items()
    }
    records.update_config(copy / "registry" / f"lwgan-squares-{model}", **config)
    with pytest.raises(ValueError, match=message):
        evaluate.main(options(copy))


def test_missing_data_models_and_cases_are_said(copy):
    with pytest.raises(ValueError, match="--data is missing"):
        evaluate.main(Options(run=copy))
    with pytest.raises(ValueError, match="holds no CSV"):
        evaluate.main(Options(run=copy, tables=True))
    with pytest.raises(ValueError, match="no edit 'nothing' of the domain squares"):
        evaluate.main(options(copy, edits=("nothing",)))
    shutil.rmtree(copy / "registry" / "lwgan-squares-encoder")
    with pytest.raises(ValueError, match="holds no encoder of the domain squares"):
        evaluate.main(options(copy))


def test_an_edit_without_test_pictures_is_left_out(copy, capsys):
    change = change_as_json(
        Change("Odd", {"Left": True, "Rarely said": True}, {"Left": False}, "odd", "even")
    )
    for name in EDITS[1:]:
        records.update_config(copy / "registry" / name, change=change)
    domain = json.loads((copy / "data" / "dataset.json").read_text())
    domain["domain"]["changes"].append(change)
    (copy / "data" / "dataset.json").write_text(json.dumps(domain))
    evaluate.main(options(copy))
    assert f"{EDITS[2]} is not measured: Odd: none of 24 test pictures shows odd" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no edit can be measured: Odd: none"):
        evaluate.main(options(copy, edits=EDITS[2:]))


def test_cases_are_source_pictures_whose_labels_are_known(measured):
    split = bench.load_split(measured / "data", "test")
    rows = bench.rows_of(split, change_of("Rarely said"), 100)
    assert (split.labels[rows, 2] == 0).all() and len(
        rows
    ) == 3  # of 24 pictures three were said not to have it
    assert len(bench.rows_of(split, change_of("Bright"), 5)) == 5
    assert (bench.labels_of(split, ("Left", "Unheard of"))[:, 1] == 255).all()


def test_areas_under_the_curve_leave_out_what_is_unknown():
    labels = torch.tensor([[0, 1], [1, 1], [0, 1], [255, 1]], dtype=torch.uint8)
    scores = torch.tensor([[0.1, 1.0], [0.2, 1.0], [0.3, 1.0], [9.0, 1.0]])
    assert bench.auc_of(scores, labels, ("a", "b")) == {"a": 0.5, "b": None}
