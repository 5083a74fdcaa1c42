"""Data sets of the Hub, as the `datasets` library reads them: written here, read back from a folder."""

import io

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from lwgan.hub.registry import save_folder
from lwgan.judges import AttributeJudge
from trainers import data, run
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


# A list of labels beside the data set


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """Reads "Bright" in a picture: its last layer is fitted to the brightness of those of `pixels`."""
    net = AttributeJudge(names=("Bright",), widths=(8,), features=8)
    with torch.no_grad():
        x = torch.stack([torch.from_numpy(pixels(i)).permute(2, 0, 1) for i in range(COUNT)]) / 127.5 - 1
        seen = torch.cat([net.eval().features(x), torch.ones(COUNT, 1)], 1)
        solved = torch.linalg.lstsq(seen, x.mean((1, 2, 3))[:, None]).solution
        net.head.weight.copy_(solved[:-1].T)
        net.head.bias.copy_(solved[-1])
    folder = tmp_path_factory.mktemp("judge") / "lwgan-toys-judge"
    save_folder(folder, {"kind": "judge", "domain": "toys", "architecture": net.config}, net.state_dict())
    return folder


def celeba_list(path, rows: list[int]):
    """list_attr_celeba.txt, whose rows are said to be of pictures 0, 1, ..., but are those of `rows`."""
    lines = [f"{n}.jpg {1 if i >= COUNT // 2 else -1} {1 if i % 2 else -1}" for n, i in enumerate(rows)]
    path.write_text("\n".join([str(len(rows)), "Bright Odd", *lines]))
    return path


def test_a_list_gives_the_labels_of_pictures_without_names_by_their_order(spec, tmp_path, judge, capsys):
    right = celeba_list(tmp_path / "right.txt", list(range(COUNT)))
    options = (f"labels={right}", "name=toys")
    data.main(data.Options(spec, tmp_path / "data", 32, options=options, check_labels=judge, processes=1))
    assert "test pictures with an AUC of 1.00" in capsys.readouterr().out
    split = data.load_split(tmp_path / "data", "train")
    grey = split.images.all()[:, 0, 0, 0] // 5
    assert split.domain.attributes == ("Bright", "Odd") and split.domain.name == "toys"
    assert torch.equal(split.labels, torch.stack([grey >= COUNT // 2, grey % 2 == 1], 1).byte())


@pytest.mark.parametrize("order", ["shuffled", "backwards"])
def test_a_list_in_another_order_is_refused_before_anything_uses_it(spec, tmp_path, judge, order):
    rows = list(range(COUNT))[::-1] if order == "backwards" else np.random.default_rng(3).permutation(COUNT)
    wrong = celeba_list(tmp_path / "wrong.txt", list(rows))
    options = data.Options(
        spec, tmp_path / "data", 32, options=(f"labels={wrong}",), check_labels=judge, processes=1
    )
    with pytest.raises(ValueError, match=r"AUC of 0\.\d+, at least 0.75 is expected: do the labels belong"):
        data.main(options)
    run.release()
    with pytest.raises(FileNotFoundError, match="dataset.json is missing"):
        data.load_split(tmp_path / "data", "train")


def test_names_of_pictures_count_more_than_their_order(tmp_path):
    named = [{**png(i), "path": f"{i:05d}.png"} for i in range(COUNT)]
    features = datasets.Features({"photo": datasets.Image()})
    place = write(tmp_path, train=datasets.Dataset.from_dict({"photo": named}, features=features))
    lines = [f"{i}.jpg,{int(i % 2)}" for i in reversed(range(COUNT + 5))]  # of more pictures, backwards
    (tmp_path / "list.csv").write_text("\n".join(["picture,Odd", *lines]))
    dataset = open_dataset(place, labels=str(tmp_path / "list.csv"), resolution=32)
    for split in SPLITS:
        part = read(dataset, split)
        assert torch.equal(part.labels[:, 0], part.images[:, 0, 0, 0] // 5 % 2)
    (tmp_path / "list.csv").write_text("\n".join(["picture,Odd", *lines[10:]]))
    with pytest.raises(ValueError, match=f"has {COUNT} pictures, .*list.csv names {COUNT - 5} of them"):
        open_dataset(place, labels=str(tmp_path / "list.csv"))


def test_a_list_of_other_pictures_is_refused(spec, tmp_path):
    path = celeba_list(tmp_path / "short.txt", list(range(COUNT - 1)))
    with pytest.raises(ValueError, match=f"has {COUNT} pictures, .*short.txt has {COUNT - 1} rows"):
        open_dataset(spec, labels=str(path))
    (tmp_path / "plain.csv").write_text(
        "Odd,Third\n" + "".join(f"{i % 2},{int(i % 3 == 0)}\n" for i in range(COUNT))
    )
    dataset = open_dataset(spec, labels=str(tmp_path / "plain.csv"), resolution=32)
    assert dataset.domain.attributes == ("Odd", "Third")
