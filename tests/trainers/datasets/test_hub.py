"""Data sets of the Hub, as the `datasets` library reads them: written here, read back from a folder."""

import io

import datasets
import numpy as np
import pytest
from PIL import Image

from trainers.datasets import open_dataset
from trainers.datasets.pictures import split_of
from trainers.shards import SPLITS, UNKNOWN

COUNT = 40


def pixels(i: int) -> np.ndarray:
    return np.full((32, 32, 3), 5 * i, np.uint8)


def png(i: int) -> dict:
    file = io.BytesIO()
    Image.fromarray(pixels(i)).save(file, "png")
    return {"bytes": file.getvalue(), "path": None}


FEATURES = datasets.Features(
    {
        "photo": datasets.Image(),
        "kind": datasets.ClassLabel(names=["boot", "court/shoe", "sandal"]),
        "new": datasets.Value("bool"),
        "laces": datasets.Value("int64"),
        "toe": datasets.Value("float32"),
        "price": datasets.Value("int64"),
        "maker": datasets.Value("string"),
    }
)


def table(start: int = 0, stop: int = COUNT) -> datasets.Dataset:
    rows = range(start, stop)
    columns = {
        "photo": [png(i) for i in rows],
        "kind": [-1 if i == 3 else i % 3 for i in rows],
        "new": [None if i == 4 else i % 2 == 0 for i in rows],
        "laces": [1 if i % 4 else -1 for i in rows],
        "toe": [float(i % 5 == 0) for i in rows],
        "price": [10 * i for i in rows],
        "maker": [f"person {i % 20}" for i in rows],
    }
    return datasets.Dataset.from_dict(columns, features=FEATURES)


def write(folder, **splits: datasets.Dataset) -> str:
    for split, rows in splits.items():
        rows.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    return f"hf:{folder}"


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return write(tmp_path_factory.mktemp("shoes"), train=table())


def read(dataset, split):
    return dataset.read(split, range(dataset.size(split)))


def test_columns_of_labels_are_found(spec):
    dataset, names = open_dataset(spec, resolution=32), []
    assert dataset.domain.attributes == ("boot", "court_shoe", "sandal", "new", "laces", "toe")
    for split in SPLITS:
        part, rows = read(dataset, split), [i for i in range(COUNT) if split_of(str(i)) == split]
        for image, labels, i in zip(part.images, part.labels.tolist(), rows, strict=True):
            assert (image.permute(1, 2, 0).numpy() == pixels(i)).all()
            kinds = [UNKNOWN] * 3 if i == 3 else [int(i % 3 == k) for k in range(3)]
            assert labels == [*kinds, UNKNOWN if i == 4 else int(i % 2 == 0), int(i % 4 > 0), int(i % 5 == 0)]
        names += rows
    assert sorted(names) == list(range(COUNT))


def test_columns_may_be_named(spec):
    dataset = open_dataset(spec, columns="toe,new", group="maker", resolution=32)
    assert dataset.domain.attributes == ("toe", "new")
    assert [dataset.size(split) for split in SPLITS] == [
        2 * sum(split_of(f"person {i}") == split for i in range(20)) for split in SPLITS
    ]
    for column in ("size", "price", "maker"):
        with pytest.raises(
            ValueError, match=f"no labels in a column '{column}': .* its columns are photo, kind"
        ):
            open_dataset(spec, columns=column)
    with pytest.raises(ValueError, match=r"1 columns of pictures \(photo\)"):
        open_dataset(spec, image="kind")


@pytest.mark.parametrize("missing", [(), ("validation",), ("validation", "test")])
def test_splits_of_a_data_set_are_kept_and_those_it_lacks_are_drawn(tmp_path, missing):
    bounds = {"train": (0, 30), "validation": (30, 34), "test": (34, 40)}
    own = {split: table(*rows) for split, rows in bounds.items() if split not in missing}
    dataset = open_dataset(write(tmp_path, **own), resolution=32)
    found = {split: [int(image[0, 0, 0]) // 5 for image in read(dataset, split).images] for split in SPLITS}
    for split, (start, stop) in bounds.items():
        if split in missing:
            assert found[split] == [i for i in range(30) if split_of(str(i)) == split]
        elif split != "train":
            assert found[split] == list(range(start, stop))
    assert sorted(i for rows in found.values() for i in rows) == [
        i for split in own for i in range(*bounds[split])
    ]


def test_files_of_an_imagefolder_are_read_and_bad_ones_skipped(tmp_path):
    for i in range(COUNT):
        (tmp_path / f"{i % 2}").mkdir(exist_ok=True)
        Image.fromarray(pixels(i)).save(tmp_path / f"{i % 2}" / f"{i:02d}.png")
    (tmp_path / "1" / "07.png").write_bytes(b"nothing")
    dataset = open_dataset(f"hf:{tmp_path}", resolution=32)
    parts = [read(dataset, split) for split in SPLITS]
    assert dataset.domain.attributes == ("0", "1")
    assert sum(len(part.images) for part in parts) == COUNT - 1
    assert [words for part in parts for _, words in part.skipped] == ["that file does not open as a picture"]
    for part in parts:
        odd = part.images[:, 0, 0, 0] // 5 % 2
        assert (part.labels[:, 1] == odd).all() and (part.labels[:, 0] == 1 - odd).all()
