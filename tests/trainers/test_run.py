"""Run folders: options, the command as typed, the lock, checkpoints on a full disk. The loop resumes."""

import errno
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from trainers import run
from trainers.loop import Loop, ramp, restore


@dataclass(frozen=True)
class Options:
    data: Path
    seed: int = 0
    steps: int = 10


@pytest.fixture(autouse=True)
def released():
    yield
    run.release()


def test_options_and_command_are_kept_without_folders_of_this_machine(tmp_path, monkeypatch):
    words = [
        "trainers",
        "edit",
        "--data",
        "/home/me/data",
        "--run=/home/me/runs/x",
        "folder:/a/b",
        "../runs",
        "two words",
    ]
    monkeypatch.setattr(sys, "argv", words)
    run.start(tmp_path / "run", Options(Path("/home/me/data"), seed=3))
    stored = json.loads((tmp_path / "run" / "options.json").read_text())
    command = "python -m trainers edit --data data --run=x folder:b ../runs 'two words'"
    assert stored == {"seed": 3, "command": command}  # data and steps may differ when the run is resumed


def test_a_run_is_resumed_with_the_same_options_only(tmp_path):
    run.start(tmp_path, Options(Path("data"), seed=1))
    run.start(tmp_path, Options(Path("other"), seed=1, steps=20))
    with pytest.raises(ValueError, match=r"holds a run with seed = 1, not 2: choose another folder"):
        run.start(tmp_path, Options(Path("data"), seed=2))


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff"])
def test_damaged_options_are_named(tmp_path, text):
    (tmp_path / "options.json").write_bytes(text.encode("latin1"))
    with pytest.raises(ValueError, match=r"options.json is damaged .*: choose another folder"):
        run.start(tmp_path, Options(Path("data")))


def test_a_folder_serves_one_process_at_a_time(tmp_path):
    lock = f"from pathlib import Path; from trainers import run; run.lock(Path({str(tmp_path)!r}))"
    program = f"{lock}; print('locked', flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "locked\n"
    with pytest.raises(ValueError, match=f"another process works in {tmp_path}"):
        run.start(tmp_path, Options(Path("data")))
    assert not (tmp_path / "options.json").exists()
    other.communicate("\n")
    run.start(tmp_path, Options(Path("data")))


def test_a_checkpoint_on_a_full_disk_leaves_the_old_one_and_no_partial(tmp_path, monkeypatch):
    run.save_checkpoint(tmp_path, step=1)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        run.save_checkpoint(tmp_path, step=2)
    assert run.load_checkpoint(tmp_path) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"checkpoint.pt is damaged .*delete it to start the run afresh"):
        run.load_checkpoint(tmp_path)


def walk(folder: Path, steps: int, stop: int | None = None, **options) -> torch.Tensor:
    """Adds random numbers to a weight; `stop`: the process dies in the middle of that step."""
    net = torch.nn.Linear(3, 1, bias=False)
    torch.nn.init.zeros_(net.weight)
    loop = Loop(folder, {"net": net}, steps=steps, every=2, seed=5, **options)
    for step in loop:
        net.weight.data += torch.randn(1, 3)
        loop.log(size=net.weight.sum())
        if step == stop:
            break
    return net.weight.data


def test_a_loop_goes_on_from_its_last_checkpoint(tmp_path):
    for folder in ("whole", "parts"):
        (tmp_path / folder).mkdir()
    whole = walk(tmp_path / "whole", 7)
    walk(tmp_path / "parts", 7, stop=5)
    assert run.load_checkpoint(tmp_path / "parts")["step"] == 4
    assert torch.equal(walk(tmp_path / "parts", 7), whole)
    lines = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 7] and lines[-1]["size"] == whole.sum().item()


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), torch.tensor(float("nan"))])
def test_a_loop_whose_loss_is_no_number_stops_and_saves_nothing(tmp_path, loss):
    def train():
        for step in (loop := Loop(tmp_path, {}, steps=10, every=2)):
            loop.log(loss=loss if step > 2 else 1.0)

    with pytest.raises(ValueError, match=r"failed: loss is (nan|inf) at step 4: lower the learning rate"):
        train()
    assert run.load_checkpoint(tmp_path)["step"] == 2


def test_a_loop_stops_in_time_and_ends(tmp_path):
    loop = Loop(tmp_path, {}, steps=3, every=100, max_minutes=0)
    assert list(loop) == [1] and not loop.finished
    loop = Loop(tmp_path, {}, steps=3, every=100)
    assert list(loop) == [2, 3] and loop.finished
    assert list(Loop(tmp_path, {}, steps=3, every=100)) == []


def test_a_checkpoint_of_another_shape_is_refused(tmp_path):
    run.save_checkpoint(tmp_path, step=1, net=torch.nn.Linear(2, 2).state_dict())
    with pytest.raises(ValueError, match="does not fit: net"):
        restore(tmp_path, {"net": torch.nn.Linear(3, 2)})
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        restore(tmp_path / "nowhere", {})


def test_learning_rates_rise_and_fall():
    assert [ramp(step, 100, 10, 0.5) for step in (1, 5, 10, 51, 76, 100)] == [0.1, 0.5, 1, 1, 0.5, 0.02]
