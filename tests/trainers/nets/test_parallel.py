"""Processes that train together: the mean of their gradients, their errors, and stages under torchrun."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.trainers.toy import make_data
from trainers.nets import parallel

ROOT = Path(__file__).parents[3]


def train(folder: Path, fails: str = "") -> None:
    """Writes the gradient of a sum over this process's own inputs, 1, 2, 3 or 10, 20, 30. In the second step
    the second net has no part."""
    rank, processes = parallel.place()
    if fails == "value":
        json.loads("no json")
    if fails == "file":
        (folder / "missing").read_text()
    nets, x = (torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)), torch.tensor([1.0, 2, 3]) * 10**rank
    added = lambda both: (nets[0](x) + (nets[1](x) if both else 0), None)
    forward = parallel.shared(added, *nets, unused=True)
    for step, both in enumerate((True, False)):
        for net in nets:
            net.zero_grad()
        forward(both)[0].sum().backward()
        found = [None if net.weight.grad is None else net.weight.grad.tolist() for net in nets]
        (folder / f"{processes}-{rank}-{step}.json").write_text(json.dumps(found))


def test_gradients_are_the_mean_over_the_processes(tmp_path):
    parallel.launch(train, 2, tmp_path)
    parallel.launch(train, 1, tmp_path)
    read = lambda name: json.loads((tmp_path / f"{name}.json").read_text())
    mean, own = [[5.5, 11.0, 16.5]], [[1.0, 2.0, 3.0]]
    for rank in (0, 1):
        assert read(f"2-{rank}-0") == [mean, mean] and read(f"2-{rank}-1") == [mean, None]
    assert read("1-0-0") == [own, own] and read("1-0-1") == [own, None]


@pytest.mark.parametrize(
    ("fails", "kind", "words"),
    [("value", ValueError, "^Expecting value: line 1"), ("file", OSError, "/missing: No such file or dir")],
)
def test_an_error_of_a_process_is_raised_in_its_words(fails, kind, words, tmp_path):
    """Those of classes below OSError and ValueError, too."""
    with pytest.raises(kind, match=words):
        parallel.launch(train, 2, tmp_path, fails)


def test_torchrun_itself_starts_a_stage(tmp_path):
    """The judges: each process reads its half of a batch; one model and one folder come out."""
    make_data(tmp_path / "data")
    torchrun = f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node 2 -m -- trainers"
    stage = f"judge labels --data {tmp_path}/data --run {tmp_path}/run --steps 4 --batch 8 --device cpu"
    command = f"{torchrun} {stage} --widths 4 4 4".split()
    subprocess.run(command, cwd=ROOT, check=True, timeout=300, capture_output=True)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["kind"] == "judge" and "auc" in config["metrics"]["test"]
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"] == 4
