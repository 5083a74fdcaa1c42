"""register: a run enters a registry whole or not at all, and names its bases there."""

import json
import shutil
from pathlib import Path

import pytest

from lwgan.files import read_config
from lwgan.hub import registry
from tests.trainers.publish import shoes
from trainers.__main__ import parse, stage_named
from trainers.register import register


@pytest.fixture
def runs(tmp_path):
    """Runs of shoes, in folders of any name, with the files of a run beside the model."""
    folder = shoes.make(tmp_path / "runs")
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.removeprefix("lwgan-shoes-"))
    (folder / "lw-laces" / "log.jsonl").write_text("{}\n")
    return folder


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_registry_is_made_run_by_run(runs, tmp_path):
    shelf = tmp_path / "shelf"
    for name, to in (("generator", "heels"), ("encoder", "lwgan-shoes-encoder"), ("lw-laces", shoes.EDIT)):
        options = parse(["register", str(runs / name), str(shelf / to)])
        stage_named("register").main(options)
    config = read_config(shelf / shoes.EDIT, "")
    assert (config["base_model"], config["base_encoder"]) == ("local/heels", "local/lwgan-shoes-encoder")
    assert names_in(shelf / shoes.EDIT) == {
        "config.json",
        "model.safetensors",
        "metrics.json",
        "images/strip.png",
    }
    assert [entry.refused for entry in registry.models(shelf)] == [None] * 3
    assert not [path for path in shelf.iterdir() if path.name.startswith(".")]


def test_a_model_that_is_registered_already_keeps_its_figures(runs, tmp_path):
    target = tmp_path / "shelf" / "lwgan-shoes-generator"
    register(runs / "generator", target)
    (target / "metrics.json").write_text("{}")
    register(runs / "generator", target)
    assert (target / "metrics.json").exists()


def test_a_newer_model_replaces_an_older_one(runs, tmp_path):
    for name in ("generator", "encoder", "lw-laces"):
        register(runs / name, tmp_path / "shelf" / f"lwgan-shoes-{name}")
    register(runs / "centroids-leather", tmp_path / "shelf" / "lwgan-shoes-lw-laces")
    config = read_config(tmp_path / "shelf" / "lwgan-shoes-lw-laces", "")
    assert config["method"] == "centroids" and "metrics.json" not in names_in(
        tmp_path / "shelf/lwgan-shoes-lw-laces"
    )


def spoil(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)


@pytest.mark.parametrize(
    ("prepare", "name", "message"),
    [
        (lambda run: None, "lwgan-shoes-laces", "is not in .*register it first"),
        (lambda run: None, "Laces!", "the name 'Laces!' may have"),
        (spoil, "lwgan-shoes-laces", "model.safetensors has sha256"),
        (lambda run: (run / "config.json").unlink(), "lwgan-shoes-laces", "holds no config.json"),
        (lambda run: (run / "config.json").write_text("{"), "lwgan-shoes-laces", "JSON"),
    ],
)
def test_a_run_that_cannot_be_registered_leaves_nothing(runs, tmp_path, prepare, name, message):
    prepare(runs / "lw-laces")
    with pytest.raises(ValueError, match=message):
        register(runs / "lw-laces", tmp_path / "shelf" / name)
    assert not (tmp_path / "shelf").exists()


def test_a_folder_that_is_not_a_model_is_not_replaced(runs, tmp_path):
    (tmp_path / "shelf" / "notes").mkdir(parents=True)
    with pytest.raises(ValueError, match="exists and is not a model"):
        register(runs / "generator", tmp_path / "shelf" / "notes")


def test_a_full_disk_leaves_the_registered_model(runs, tmp_path, monkeypatch):
    target = tmp_path / "shelf" / "lwgan-shoes-generator"
    register(runs / "generator", target)
    before = {name: (target / name).read_bytes() for name in names_in(target)}
    config = json.loads((runs / "generator" / "config.json").read_text())
    shutil.rmtree(runs / "generator")
    shutil.copytree(runs / "judge", runs / "generator")
    assert config["weights"] != read_config(runs / "judge", "")["weights"]
    monkeypatch.setattr("trainers.register.bases_in", lambda *_: {})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        register(runs / "generator", target)
    monkeypatch.undo()
    assert {name: (target / name).read_bytes() for name in names_in(target)} == before
    assert len(list(target.parent.iterdir())) == 1
