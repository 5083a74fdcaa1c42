"""On a full disk every stage says so in a sentence and leaves no partial file; with room it does its work.

A limit on the size of files stands for the disk: the system refuses to write beyond it, as on a full disk.
"""

import resource
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.nets import NUM_WS, W_DIM, make_registry
from tests.parity import FOLDER
from tests.trainers.evaluate.test_evaluate import make
from tests.trainers.toy import make_data
from trainers import __main__ as command_line
from trainers.codes import Codes, save_codes
from trainers.datasets.multimnist import DOMAIN as DIGITS
from trainers.datasets.multimnist import labels_of

ROOM = 300  # bytes: for options.json, not for arrays
GENERATOR = ["generator", "--kimg=0.008", "--batch=8", "--z-dim=8", "--w-dim=8", "--processes=1",
             "--device=cpu", "--channels", *"8888"]  # fmt: skip


@contextmanager
def full_disk(room: int = ROOM):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Pictures with a list, codes, a direction, and a registry."""
    place = tmp_path_factory.mktemp("place")
    (place / "pictures").mkdir()
    for i in range(40):
        noise = np.random.default_rng(i).integers(0, 255, (32, 32, 3), np.uint8)
        Image.fromarray(noise).save(place / "pictures" / f"{i}.png")
    (place / "list.csv").write_text("file,A\n" + "".join(f"{i},{i % 2}\n" for i in range(40)))
    make_registry(place / "shelf")
    base = {"encoder": "e" * 64, "generator": "a" * 64}
    numbers = torch.cat([torch.arange(80)[:, None] % 4 + 1, torch.zeros(80, 9, dtype=torch.long)], 1)
    codes = Codes(torch.randn(80, NUM_WS, W_DIM), torch.from_numpy(labels_of(numbers.numpy())), DIGITS)
    for split in ("train", "validation"):
        save_codes(place / "codes" / f"{split}.safetensors", codes, base)
    np.save(place / "w.npy", np.random.default_rng(0).standard_normal((40, NUM_WS, W_DIM)))
    np.save(place / "age.npy", np.ones(W_DIM))
    make(place)
    make_data(place / "squares", 24, 8)
    with pytest.MonkeyPatch.context() as patch:
        words = [*GENERATOR, f"--data={place}/squares", f"--run={place}/trained"]
        patch.setattr(sys, "argv", ["trainers", *words])
        command_line.main()
    return place


NETS = [f"--{kind}=shelf/lwgan-multimnist-{kind}" for kind in ("generator", "encoder")]
TEXTS = ["--domain=cars", "--licence=other", "--about=Cars.", "--limits=Cars."]
STAGES = {
    "data": ["data", "folder:pictures", "--data=OUT", "--options", "labels=list.csv", "--processes=1"],
    "codes": ["codes", "--data=w.npy", "--labels=list.csv", NETS[1], "--run=OUT"],
    "edit": ["edit", "--codes=codes", "--change=1to2", "--run=OUT", "centroids"],
    "a training": ["edit", "--codes=codes", "--change=1to2", "--run=OUT", "lw", "--steps=3", "--batch=10"],
    "convert checkpoint": ["convert", "checkpoint", f"--source={FOLDER / 'g16s-rosinality.pt'}",
                           "--target=OUT", *TEXTS],
    "convert direction": ["convert", "direction", "--source=age.npy", "--target=OUT", "--change=Age",
                          "--before=young", "--after=old", *NETS],
    "publish": ["publish", "shelf/lwgan-multimnist-generator", "--namespace=lab", "--dry-run",
                "--target=OUT"],
    "register": ["register", "shelf/lwgan-multimnist-generator", "OUT"],
}  # fmt: skip


LONG = {
    "generator": [*GENERATOR, "--data=squares", "--run=OUT"],
    "encoder": ["encoder", "--data=squares", "--generator=trained", "--run=OUT", "--steps=1", "--batch=4",
                "--processes=1", "--device=cpu"],
    "judge": ["judge", "labels", "--data=squares", "--run=OUT", "--steps=1", "--batch=8", "--features=8",
              *["--widths", "8", "8", "8", "--device=cpu"]],
    "evaluate": ["evaluate", "--data=data", "--registry=registry", "--run=OUT", "--pictures=4", "--samples=8",
                 "--device=cpu"],
}  # fmt: skip


def refuse(place, tmp_path, monkeypatch, words, room=ROOM) -> Path:
    """Runs a stage in `place` on a full disk. The folder that it was to write."""
    out, before = tmp_path / "out", set(place.rglob("*"))
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["trainers", *(word.replace("OUT", str(out)) for word in words)])
    with full_disk(room), pytest.raises(SystemExit, match=r"^error: (.*: )?File too large$"):
        command_line.main()
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {"options.json", ".lock", "log.jsonl"}
    assert set(place.rglob("*")) == before
    return out


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_said_and_leaves_nothing_partial(place, tmp_path, monkeypatch, stage):
    out = refuse(place, tmp_path, monkeypatch, STAGES[stage])
    command_line.main()
    assert list(out.rglob("*.safetensors"))


@pytest.mark.parametrize("stage", LONG)
def test_a_full_disk_is_said_by_the_longer_stages_too(place, tmp_path, monkeypatch, stage):
    """Where a training writes its checkpoint, and where an evaluation writes at all."""
    room = ROOM if stage == "evaluate" else 4000
    out = refuse(place, tmp_path, monkeypatch, LONG[stage], room)
    assert stage == "evaluate" or (out / "options.json").exists()
