"""The data stage: any data set becomes shards; a stopped run resumes; what cannot be read is listed."""

import csv
import errno
import json

import numpy as np
import pytest
import torch
from PIL import Image

from lwgan.files import read_folder
from trainers import data, run, shards
from trainers.datasets import open_dataset, pictures
from trainers.datasets.pictures import split_of
from trainers.shards import SPLITS, load_dataset, load_split, write_dataset, write_shard

COUNT = 80


@pytest.fixture(autouse=True)
def unlocked():
    """A stage frees its folders at its end; here several run in one process."""
    yield
    run.release()


@pytest.fixture
def folder(tmp_path):
    """Eighty pictures of one grey each; label A of the bright ones."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(COUNT):
        Image.new("RGB", (40, 40), (3 * i,) * 3).save(folder / f"{i}.png")
    (folder / "list.csv").write_text("file,A\n" + "".join(f"{i}.png,{int(i > 40)}\n" for i in range(COUNT)))
    return folder


def write(folder, target, **options):
    data.main(data.Options(f"folder:{folder}", target, resolution=32, **{"processes": 1} | options))
    run.release()


def greys(target, split) -> list[int]:
    return (load_split(target, split).images.all()[:, 0, 5, 5] // 3).tolist()


def test_the_folder_that_is_written(folder, tmp_path):
    write(folder, tmp_path / "data", options=("title=Greys", "licence=cc0-1.0"), processes=2)
    domain, facts, sizes = load_dataset(tmp_path / "data")
    assert domain.title == "Greys" and facts == {} and domain.attributes == ("A",)
    for split in SPLITS:
        loaded, rows = (
            load_split(tmp_path / "data", split),
            [i for i in range(COUNT) if split_of(str(i)) == split],
        )
        assert greys(tmp_path / "data", split) == rows and sizes[split] == len(rows)
        assert loaded.labels.tolist() == [[int(i > 40)] for i in rows] and loaded.domain == domain
        assert (
            loaded.images.shape == (len(rows), 3, 32, 32) and loaded.groups is None and loaded.name == split
        )
    assert (tmp_path / "data" / "skipped.csv").read_text().split() == ["split,picture,reason"]
    reopened = data.reopen(tmp_path / "data")
    assert reopened.domain == domain and reopened.resolution == 32


def test_samples_are_the_last_test_pictures(folder, tmp_path):
    write(folder, tmp_path / "data")
    config, tensors, _ = read_folder(tmp_path / "data" / "samples", "samples", ("pictures",))
    test = load_split(tmp_path / "data", "test")
    assert config["domain"] == "pictures"
    assert torch.equal(tensors["images"], test.images.all()) and torch.equal(tensors["labels"], test.labels)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 255, (500, 1, 32, 32), np.uint8))
    labels = torch.from_numpy(np.arange(500)[:, None] % 2).to(torch.uint8)
    write_shard(tmp_path / "grey", "test", 0, images, labels)
    write_dataset(tmp_path / "grey", test.domain, {"test": 500})
    data.save_samples(tmp_path / "grey", hidden=("A",))
    _, tensors, _ = read_folder(tmp_path / "grey" / "samples", "samples", ("pictures",))
    assert torch.equal(tensors["images"], images[::2, 0]) and not tensors["labels"].any()


def test_a_stopped_run_resumes_and_other_pictures_are_never_taken_for_these(folder, tmp_path, monkeypatch):
    opened, really, target = [], pictures.open_picture, tmp_path / "data"

    def until_the_thirtieth(path):
        opened.append(path.name)
        if len(opened) == 30:
            raise KeyboardInterrupt
        return really(path)

    monkeypatch.setattr(pictures, "open_picture", until_the_thirtieth)
    monkeypatch.setattr(shards, "SHARD_PICTURES", 8)
    with pytest.raises(KeyboardInterrupt):
        write(folder, target)
    run.release()
    with pytest.raises(FileNotFoundError, match="dataset.json is missing"):
        load_split(target, "train")
    write(folder, target)
    assert len(opened) == 30 + COUNT - 24, "three shards were whole"
    assert greys(target, "train") == [i for i in range(COUNT) if split_of(str(i)) == "train"]
    opened[:] = [""] * 30
    write(folder, target)
    assert len(opened) == 30, "all was there"
    Image.new("RGB", (50, 50)).save(folder / "1.png")
    shard = target / "train-00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:100])
    write(folder, target)
    assert len(opened) == 30 + 8 + 8 and greys(target, "train")[0] == 0, "a replaced picture, a torn shard"
    with pytest.raises(ValueError, match="holds a run with train = None, not 9"):
        write(folder, target, train=9)


def test_bad_pictures_are_listed_and_too_many_stop_the_stage(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_PICTURES", 8)
    train = [i for i in range(COUNT) if split_of(str(i)) == "train"]
    for i in train[:3]:
        (folder / f"{i}.png").write_bytes(b"nothing")
    target = tmp_path / "data"
    with pytest.raises(
        ValueError, match=r"3 pictures cannot be used, at most 0 may be skipped .* the first is 1.png"
    ):
        write(folder, target)
    assert not (target / "dataset.json").exists()
    write(folder, target, max_skipped=0.05)
    assert greys(target, "train") == train[3:] and load_dataset(target)[2]["train"] == len(train) - 3
    with (target / "skipped.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["split", "picture", "reason"]
    assert rows == [["train", f"{i}.png", "that file does not open as a picture"] for i in train[:3]]


def test_shards_of_an_earlier_larger_data_set_go(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_PICTURES", 8)
    write(folder, tmp_path / "data")
    lines = (folder / "list.csv").read_text().splitlines()
    (folder / "list.csv").write_text("\n".join(lines[:60]))
    write(folder, tmp_path / "data")
    assert sum(load_dataset(tmp_path / "data")[2].values()) == 59
    assert greys(tmp_path / "data", "train") == [i for i in range(59) if split_of(str(i)) == "train"]


def test_a_full_disk_leaves_no_partial_and_the_run_resumes(folder, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shards, "save", full)
        with pytest.raises(OSError, match="No space left"):
            write(folder, tmp_path / "data")
        run.release()
    assert not [path for path in (tmp_path / "data").rglob("*") if "safetensors" in path.name]
    write(folder, tmp_path / "data")
    assert len(greys(tmp_path / "data", "train")) == load_dataset(tmp_path / "data")[2]["train"]


def test_what_makes_no_sense_is_refused_and_writes_nothing(folder, tmp_path):
    same = tmp_path / "same.csv"
    same.write_text("file,B\n" + "".join(f"{i}.png,1\n" for i in range(COUNT)))
    for spec, options, message in (
        ("paintings", {}, "'paintings' is unknown: choose one of multimnist, synthfaces, letters:PATH, "),
        ("folder", {}, "'folder' is unknown: choose one of"),
        ("multimnist:x", {}, "'multimnist:x' is unknown"),
        (f"folder:{folder}", {"resolution": 48}, "resolution 48: choose one of 32, 64"),
        (f"folder:{folder}", {"processes": 0}, "--processes 0"),
        (f"folder:{folder}", {"options": ("title",)}, "--options 'title': expected key=value"),
        (f"folder:{folder}", {"options": ("tilte=x",)}, "no option 'tilte': choose from resolution"),
        (f"folder:{folder}", {"options": ("columns=a",)}, "no column 'a': did you mean 'A'. .* are file, A$"),
        (f"folder:{folder}", {"options": (f"labels={same}",)}, r"all pictures have the same labels \(B\)"),
        ("multimnist", {"heldout": 0}, "n = 0"),
        ("multimnist", {"options": ("seed=one",)}, "seed is 'one', expected a number"),
    ):
        with pytest.raises(ValueError, match=message):
            data.main(data.Options(spec, tmp_path / "data", **options))
    assert not (tmp_path / "data").exists()


# Shards


@pytest.fixture
def split(tmp_path):
    """Twelve pictures in shards of five."""
    domain = open_dataset("multimnist").domain
    images = torch.arange(12, dtype=torch.uint8)[:, None, None, None].expand(12, 1, 4, 4)
    labels = torch.zeros(12, len(domain.attributes), dtype=torch.uint8)
    for number, start in enumerate(range(0, 12, 5)):
        rows = slice(start, start + 5)
        write_shard(tmp_path, "train", number, images[rows], labels[rows], torch.arange(12)[rows])
    write_dataset(tmp_path, domain, {"train": 12}, bias=0.5)
    return tmp_path


@pytest.mark.parametrize(
    "rows",
    [
        slice(0, 12),
        slice(3, 11),
        slice(None, None, 3),
        slice(4, 4),
        torch.tensor([11, 0, 5, 5]),
        torch.arange(12) > 8,
    ],
    ids=str,
)
def test_rows_of_shards_are_rows_of_the_whole(split, rows):
    images = load_split(split, "train").images
    assert images[rows][:, 0, 0, 0].tolist() == torch.arange(12)[rows].tolist()
    assert len(images) == 12 and images.shape == (12, 1, 4, 4) and int(images[7][0, 0, 0]) == 7


def test_a_split_has_groups_and_facts(split):
    loaded = load_split(split, "train")
    assert loaded.groups.tolist() == list(range(12)) and loaded.facts == {"bias": 0.5}


def test_damaged_folders_are_named(split):
    with pytest.raises(FileNotFoundError, match="no pictures of the split 'test'"):
        load_split(split, "test")
    shard = shards.shard_path(split, "train", 1)
    whole = shard.read_bytes()
    shard.write_bytes(whole[:200])
    with pytest.raises(ValueError, match="the split 'train' is damaged"):
        load_split(split, "train")
    shard.unlink()
    with pytest.raises(ValueError, match="train has 7 pictures .* says 12"):
        load_split(split, "train")
    shard.write_bytes(whole)
    said = json.loads((split / "dataset.json").read_text())
    said["domain"]["attributes"].pop()
    (split / "dataset.json").write_text(json.dumps(said))
    with pytest.raises(ValueError, match="44 labels a picture, dataset.json names 43"):
        load_split(split, "train")
    with pytest.raises(ValueError, match="dataset.json is a file, expected a folder"):
        load_split(split / "dataset.json", "train")
    (split / "dataset.json").write_text("{")
    with pytest.raises(ValueError, match="dataset.json is damaged"):
        load_split(split, "train")
