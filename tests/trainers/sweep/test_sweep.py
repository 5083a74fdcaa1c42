"""The stage on toy nets and codes: what it writes, keeps, tries again; engines agree byte by byte."""

import json
import shutil
import sys

import pytest
import torch

from tests.nets import NUM_WS, W_DIM, made_for
from tests.trainers.evaluate.test_evaluate import make
from tests.trainers.toy import DOMAIN
from trainers import __main__ as command_line
from trainers.codes import Codes, save_codes

TABLE = """
model: lwgan-squares
prepare:
  - judge codes --codes RUNS/codes --run RUNS/latent --hidden 8 8 --epochs 5 --batch 32 --learning-rate 0.01
  - judge codes --codes RUNS/codes --run RUNS/guide --hidden 4 4 --epochs 1
edit: --codes RUNS/codes --generator RUNS/registry/lwgan-squares-generator --selector RUNS/latent {method}
evaluate: --data RUNS/data --registry RUNS/registry --run RUNS/results --pictures 8 --heldout 16 --samples 20
changes: [Bright]
memory: 1
rows:
  lt: lt --classifier RUNS/guide --epochs 1
  mean: centroids
  none: centroids --masses match --balance Green
  random-s{seed}: {method: "random --seed {seed}", seed: [4], changes: [Left]}
"""
WRITTEN = ("config.json", "model.safetensors", "metrics.json")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """RUNS before a sweep, and its table."""
    folder = make(tmp_path_factory.mktemp("runs"))
    base = {kind: made_for(folder / f"registry/lwgan-squares-{kind}") for kind in ("encoder", "generator")}
    for split, n in {"train": 400, "validation": 80, "test": 80}.items():
        labels = torch.randint(0, 2, (n, 3), dtype=torch.uint8)
        w = torch.randn(n, NUM_WS, W_DIM)
        w[:, :5] += 2.0 * labels[:, :1, None]
        w[:, 5:] += 2.0 * labels[:, 1:2, None]
        (folder / "codes").mkdir(exist_ok=True)
        save_codes(folder / "codes" / f"{split}.safetensors", Codes(w, labels, DOMAIN), base)
    (folder / "table.yaml").write_text(TABLE)
    return folder


def sweep(folder, *words) -> None:
    """The command, in this process. SystemExit as it would exit."""
    command = ["trainers", "sweep", str(folder / "table.yaml"), "--run", str(folder), *words]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        command_line.main()


def lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "sweep.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def swept(runs, tmp_path_factory):
    folder = shutil.copytree(runs, tmp_path_factory.mktemp("swept") / "RUNS")
    with pytest.raises(SystemExit, match=r"1 cells failed, first none-bright"):
        sweep(folder)
    return folder


def test_each_cell_has_a_model_figures_and_a_line(swept):
    done = {line["edit"]: line for line in lines(swept) if "error" not in line}
    assert done.keys() == {"lt-bright", "mean-bright", "random-s4-left"}
    for name, line in done.items():
        config, metrics = (json.loads((swept / "edits" / name / file).read_text()) for file in WRITTEN[::2])
        assert config["training"]["command"] == line["command"]
        assert metrics["chosen"]["alpha"] == line["alpha"]
        assert (swept / "registry" / f"lwgan-squares-{name}" / "metrics.json").exists()
        assert f"lwgan-squares-{name}," in (swept / "results" / "squares.csv").read_text()


def test_a_cell_that_fails_is_tried_twice_and_told(swept):
    failed = [line for line in lines(swept) if "error" in line]
    assert [(line["edit"], line["attempt"]) for line in failed] == [("none-bright", 1), ("none-bright", 2)]
    assert all("Traceback" in line["error"] and "'Green' is unknown" in line["error"] for line in failed)


def test_a_cell_is_the_edit_that_its_command_makes(swept, tmp_path, monkeypatch):
    (command,) = (line["command"] for line in lines(swept) if line["edit"] == "lt-bright")
    for folder in ("codes", "latent", "guide", "lwgan-squares-generator"):
        found = swept / "registry" / folder if "generator" in folder else swept / folder
        shutil.copytree(found, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", command.split()[2:])
    command_line.main()
    model = "model.safetensors"
    assert (tmp_path / "lt-bright" / model).read_bytes() == (swept / "edits/lt-bright" / model).read_bytes()


def test_a_second_sweep_runs_what_is_missing(swept, tmp_path, capsys):
    folder = shutil.copytree(swept, tmp_path / "RUNS")
    before = len(lines(folder))
    shutil.rmtree(folder / "edits" / "mean-bright")
    sweep(folder, "--dry-run")
    said = capsys.readouterr().out
    assert "4 cells, 2 are finished" in said and "RUNS/edits/mean-bright" in said and "at once" in said
    (folder / "table.yaml").write_text(TABLE.replace("--balance Green", "--balance Left"))
    sweep(folder)
    assert {line["edit"] for line in lines(folder)[before:]} == {"mean-bright", "none-bright"}
    (folder / "table.yaml").write_text(TABLE.replace("--epochs 1", "--epochs 2"))
    with pytest.raises(SystemExit, match="lt-bright was made by `.*--epochs 1.*the table says `.*--epochs 2"):
        sweep(folder)


def test_ray_writes_the_same_bytes(swept, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
    monkeypatch.setenv("RAY_ADDRESS", "local")
    folder = shutil.copytree(swept, tmp_path / "RUNS")
    (folder / "table.yaml").write_text(TABLE.replace("  none: ", "  # "))
    shutil.rmtree(folder / "edits" / "lt-bright")
    shutil.rmtree(folder / "registry" / "lwgan-squares-lt-bright")
    sweep(folder, "--engine", "ray")
    assert lines(folder)[-1]["edit"] == "lt-bright"
    for file in WRITTEN:
        here, there = (root / "edits" / "lt-bright" / file for root in (folder, swept))
        assert here.read_bytes() == there.read_bytes()
