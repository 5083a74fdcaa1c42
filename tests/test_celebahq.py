"""Pictures of faces with yes/no labels, or arrays of codes, become codes; what does not fit is refused by name."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
import torch
from lwgan.attributes import CELEBA, PAPER, index_of
from PIL import Image

from lwgan.encoder import Encoder
from lwgan.images import to_tensor
from tests.nets import NAMES, NUM_WS, W_DIM, made_for
from trainers import codes as stage
from trainers.__main__ import main
from trainers.codes import load_codes
from trainers.datasets import celebahq

COUNT = 60


def write_list(path, labels, names=NAMES, files=None, says=None, yes="1", no="-1"):
    """CelebA's form of a list."""
    files = files or [f"{i:06d}.png" for i in range(len(labels))]
    rows = [
        f"{file} {' '.join(f'{yes if value else no:>2}' for value in row)}"
        for file, row in zip(files, labels, strict=True)
    ]
    path.write_text(
        "\n".join([str(len(labels) if says is None else says), " ".join(names) + " ", *rows]) + "\n"
    )
    return path


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.random.default_rng(0).random((COUNT, 3)) < 0.5


# Names


def test_the_names_are_celebas_forty_in_alphabetical_order():
    assert len(CELEBA) == len(set(CELEBA)) == 40
    assert (
        list(CELEBA) == sorted(CELEBA) and index_of("Smiling") == 31
    )  # CelebA's own order: ASCII, digits first
    assert all(index_of(name.removeprefix("not-")) >= 0 for name in PAPER.values()) and len(PAPER) == 8


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Smilling", "Smiling"),
        ("smiling", "Smiling"),
        ("Glasses", "Eyeglasses"),
        ("pale skin", "Pale_Skin"),
        ("Gender", "Male"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, nearest):
    with pytest.raises(ValueError, match=f"attribute '{name}' is unknown: did you mean '{nearest}'"):
        index_of(name)


# Lists


@pytest.mark.parametrize("no", ["-1", "0"])
def test_celebas_list_and_csvs_are_read_alike(tmp_path, labels, no):
    celeba = celebahq.read_table(write_list(tmp_path / "list_attr_celeba.txt", labels, no=no))
    text = "image_id," + ", ".join(NAMES) + "\r\n"
    text += "".join(
        f"{i:06d}.png,{','.join('1' if value else no for value in row)}\r\n" for i, row in enumerate(labels)
    )
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    for table in (celeba, celebahq.read_table(tmp_path / "labels.csv")):
        assert table.names == NAMES and table.files[17] == "000017.png"
        assert table.labels.dtype == bool and np.array_equal(table.labels, labels)


BAD_LISTS = {
    "empty": ("", "holds 0 lines"),
    "no list": ("hello\nworld\n", "starts with 'hello'"),
    "rows missing": (
        "3\nA B\n1.jpg 1 1\n2.jpg 1 1\n",
        "says on its first line that it has 3 rows, but it has 2",
    ),
    "a value missing": ("2\nA B\n1.jpg 1 1\n2.jpg 1\n", r"line 4 \(2.jpg\): 1 values, but 2 attributes"),
    "a value too many": ("file,A\n1.jpg,1,0\n", r"line 2 \(1.jpg\): 2 values, but 1 attributes"),
    "a word": ("1\nA B\n1.jpg 1 yes\n", r"line 3 \(1.jpg\): B is 'yes', expected -1 or 1"),
    "NaN": ("file,A\n1.jpg,nan\n", "A is 'nan'"),
    "a probability": ("file,A\n1.jpg,0.7\n", "A is '0.7'"),
    "another number": ("1\nA\n1.jpg 2\n", "A is '2'"),
    "both codings": ("2\nA B\n1.jpg 1 -1\n2.jpg 0 1\n", "no by 0 on line 4 and by -1 on line 3"),
    "a picture twice": ("file,A\n1.jpg,1\n1.jpg,0\n", "names the picture '1.jpg' 2 times"),
    "an attribute twice": ("file,A,A\n1.jpg,1,1\n", "names the attribute 'A' 2 times"),
    "a name with a path": ("file,../A\n1.jpg,1\n", "attribute '../A'"),
    "no attribute": ("file,\n1.jpg,\n", "attribute ''"),
    "a field of megabytes": ("file,A\n" + "1" * 200_000 + ".jpg,1\n", r"line 2: field larger than"),
    "not UTF-8": (b"file,A\n\xff\xfe.jpg,1\n", "no text in UTF-8"),
}


@pytest.mark.parametrize("name", BAD_LISTS)
def test_a_bad_list_is_refused_with_its_line(tmp_path, name):
    text, words = BAD_LISTS[name]
    path = tmp_path / "labels"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=words) as refusal:
        celebahq.read_table(path)
    assert "labels" in str(refusal.value)


# Splits


def test_the_split_of_a_picture_hangs_on_its_name_alone():
    files = tuple(f"{i}.jpg" for i in range(3000))
    rows = {split: celebahq.rows_of(files, split) for split in celebahq.SPLITS}
    assert sorted(np.concatenate(list(rows.values()))) == list(range(3000))
    assert abs(len(rows["train"]) - 2400) < 80 and abs(len(rows["test"]) - 300) < 60
    assert [celebahq.split_of(f"{i:05d}.png") for i in range(3000)] == [
        celebahq.split_of(str(i)) for i in range(3000)
    ]
    assert [celebahq.split_of(name) for name in ("0.jpg", "1.jpg", "anna.png")] == [
        "validation",
        "train",
        "train",
    ], "as in every run"
    assert np.array_equal(celebahq.rows_of(files, "test", 7), rows["test"][:7])
    with pytest.raises(ValueError, match="none of the 1 pictures falls into the test split"):
        celebahq.rows_of(("0.jpg",), "test")


# Arrays


def arrays(folder, w=None, labels=None):
    paths = folder / "codes.npy", folder / "labels.npy"
    np.save(paths[0], np.zeros((6, NUM_WS, W_DIM), np.float32) if w is None else w)
    np.save(paths[1], np.eye(6, 40, dtype=np.int8) if labels is None else labels)
    return paths


@pytest.mark.parametrize(
    "coding", [lambda x: x, lambda x: 2 * x - 1, lambda x: x.astype(bool), lambda x: x.astype(float)]
)
def test_arrays_of_codes_and_labels_are_taken_as_they_are(tmp_path, coding):
    wanted = np.random.default_rng(0).normal(size=(6, NUM_WS, W_DIM)).astype(np.float32)
    w, table = celebahq.read_arrays(
        *arrays(tmp_path, wanted, coding(np.eye(6, 40, dtype=np.int8))), NUM_WS, W_DIM
    )
    assert np.array_equal(w, wanted) and np.array_equal(table.labels, np.eye(6, 40) == 1)
    assert table.names == CELEBA and table.files == ("0", "1", "2", "3", "4", "5")


def nan_at(row: int) -> np.ndarray:
    w = np.zeros((6, NUM_WS, W_DIM), np.float32)
    w[row, 3, 5] = np.nan
    return w


def with_label(value) -> np.ndarray:
    values = np.eye(6, 40) * 2 - 1
    values[4, 31] = value
    return values


SHAPE = rf"expected float \[N, {NUM_WS}, {W_DIM}\]"
BAD_ARRAYS = {
    "W": (
        np.zeros((6, W_DIM), np.float32),
        None,
        rf"shape \[6, {W_DIM}\], {SHAPE}\. .*codes of W.* np\.repeat\(codes\[:, None\], {NUM_WS}, 1\)",
    ),
    "flat": (
        np.zeros((6, NUM_WS * W_DIM), np.float32),
        None,
        rf"{SHAPE}: save codes.reshape\(-1, {NUM_WS}, {W_DIM}\)",
    ),
    "one too deep": (np.zeros((6, 1, NUM_WS, W_DIM), np.float32), None, r"save codes\[:, 0\]"),
    "of a larger generator": (
        np.zeros((6, 18, W_DIM), np.float32),
        None,
        f"has 18 layers, the encoder's has {NUM_WS}",
    ),
    "whole numbers": (np.zeros((6, NUM_WS, W_DIM), np.int64), None, f"int64 of shape .*{SHAPE}"),
    "none": (np.zeros((0, NUM_WS, W_DIM), np.float32), None, SHAPE),
    "NaN": (nan_at(5), None, "code 5 holds NaN"),
    "beyond half precision": (
        np.full((6, NUM_WS, W_DIM), 1e6),
        None,
        "code 0 holds NaN, infinity or a number beyond 65504",
    ),
    "objects": (np.array([{}], object), None, "no array of numbers"),
    "a label too few": (None, np.zeros((5, 40)), r"labels of shape \[5, 40\], expected \[6, 40\]"),
    "other attributes": (None, np.zeros((6, 8)), r"shape \[6, 8\], expected \[6, 40\].*give a CSV"),
    "turned": (None, np.zeros((40, 6)), r"save labels\.T"),
    "a label that is NaN": (None, with_label(np.nan), "Smiling of row 4 is nan"),
    "a label that is 2": (None, with_label(2), "Smiling of row 4 is 2.0"),
    "both codings": (None, with_label(0), "Smiling of row 4 is 0.0, and elsewhere there is -1"),
    "words": (None, np.full((6, 40), "yes"), "holds <U3, expected numbers"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_arrays_that_do_not_fit_are_refused_with_what_is_meant(tmp_path, name):
    w, labels, words = BAD_ARRAYS[name]
    with pytest.raises(ValueError, match=words):
        celebahq.read_arrays(*arrays(tmp_path, w, labels), NUM_WS, W_DIM)


def test_an_array_with_a_pickle_inside_executes_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'executed'}",)

    codes, labels = arrays(tmp_path)
    np.save(codes, np.array([Evil()], object), allow_pickle=True)
    with pytest.raises(ValueError, match="no array of numbers"):
        celebahq.read_arrays(codes, labels, NUM_WS, W_DIM)
    assert not (tmp_path / "executed").exists()


def test_a_missing_array_and_other_counts_are_named(tmp_path, labels):
    codes, _ = arrays(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npy"):
        celebahq.read_arrays(codes, tmp_path / "nowhere.npy", NUM_WS, W_DIM)
    with pytest.raises(ValueError, match=r"codes.npy holds 6 codes, .*list.txt has labels for 60"):
        celebahq.read_arrays(codes, write_list(tmp_path / "list.txt", labels), NUM_WS, W_DIM)


# Pictures to codes


@pytest.fixture(scope="module")
def encoder(faces_registry):
    return faces_registry / "lwgan-faces-encoder"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, labels):
    """Sixty small squares of colour: whose label 1 is set are bright."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(1)
    for i, row in enumerate(labels):
        Image.fromarray((rng.integers(0, 100, (20, 20, 3)) + 150 * row[1]).astype(np.uint8)).save(
            folder / f"{i:06d}.png"
        )
    return folder


def run_codes(**options) -> None:
    stage.main(stage.Options(**options, device="cpu"))


@pytest.fixture(scope="module")
def made(tmp_path_factory, encoder, pictures, labels):
    folder = tmp_path_factory.mktemp("codes")
    write_list(folder / "list.txt", labels)
    run_codes(data=pictures, labels=folder / "list.txt", encoder=encoder, run=folder / "run")
    return folder


def test_codes_are_the_encoders_and_carry_the_labels(made, encoder, pictures, labels, faces_registry):
    net, seen = Encoder.from_pretrained(encoder), []
    for split in celebahq.SPLITS:
        codes, base = load_codes(made / "run", split)
        rows = [i for i in range(COUNT) if celebahq.split_of(str(i)) == split]
        assert codes.names == NAMES and codes.domain == "faces"
        assert base == {
            kind: made_for(faces_registry / f"lwgan-faces-{kind}") for kind in ("encoder", "generator")
        }
        assert np.array_equal(codes.numbers.bool().numpy(), labels[rows]) and torch.equal(
            codes.has("Smiling"), codes.numbers[:, 2] == 1
        )
        large = [
            Image.open(pictures / f"{i:06d}.png").resize((256, 256), Image.Resampling.LANCZOS) for i in rows
        ]
        torch.testing.assert_close(
            codes.w, net(to_tensor(large)), atol=2e-3, rtol=2e-3
        )  # kept in half precision
        seen += rows
    assert sorted(seen) == list(range(COUNT))


def test_a_stopped_run_goes_on_and_other_pictures_are_never_taken_for_these(
    made, encoder, pictures, monkeypatch, tmp_path
):
    def fails(*_):
        raise AssertionError("it was encoded once already")

    before = (made / "run" / "train.safetensors").stat().st_size
    options = {"data": pictures, "labels": made / "list.txt", "encoder": encoder, "run": made / "run"}
    with monkeypatch.context() as patch:
        patch.setattr(celebahq, "load_face", fails)
        run_codes(**options)
        assert (made / "run" / "train.safetensors").stat().st_size == before
        part = made / "run" / "train.parts" / "00000.safetensors"
        whole = part.read_bytes()
        part.write_bytes(whole[:100])  # torn
        with pytest.raises(AssertionError, match="encoded once"):
            run_codes(**options)
        part.write_bytes(whole)
        with pytest.raises(ValueError, match="align = False, not True"):
            run_codes(**options, align=True)
        others = tmp_path / "others"
        shutil.copytree(pictures, others)
        Image.new("RGB", (20, 20)).save(
            others / next(path.name for path in pictures.iterdir() if celebahq.split_of(path.name) == "train")
        )
        with pytest.raises(AssertionError, match="encoded once"):
            run_codes(**options | {"data": others})
    part.write_bytes(whole[:100])
    run_codes(**options)
    assert np.array_equal(
        load_codes(made / "run", "train")[0].w,
        stage._kept(part, stage.safe_open(part, "pt").metadata(), fails),
    )


def test_codes_of_arrays_are_the_arrays(tmp_path, encoder):
    w = (
        np.random.default_rng(0).normal(size=(COUNT, NUM_WS, W_DIM)).astype(">f8")
    )  # as another machine may have written them
    codes, labels = arrays(tmp_path, w, np.random.default_rng(0).integers(0, 2, (COUNT, 40)))
    run_codes(data=codes, labels=labels, encoder=encoder, run=tmp_path / "run")
    held, _ = load_codes(tmp_path / "run", "test")
    rows = [i for i in range(COUNT) if celebahq.split_of(str(i)) == "test"]
    assert (
        held.names == CELEBA
        and np.allclose(held.w, w[rows], atol=4e-3)
        and np.array_equal(held.numbers, np.load(labels)[rows])
    )


def refused(tmp_path, capsys, *words) -> str:
    """What the command line says, on one line and without a traceback."""
    arguments = [str(word) for word in ("codes", "--device", "cpu", "--run", tmp_path / "run", *words)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["trainers", *arguments])
        with pytest.raises(SystemExit) as exit:
            main()
    assert not (tmp_path / "run" / "train.safetensors").exists()
    return str(exit.value.code)


def test_missing_and_damaged_and_oblong_pictures_are_named(tmp_path, capsys, encoder, labels):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(COUNT):
        Image.new("RGB", (20, 20)).save(folder / f"{i:06d}.png")
    words = ("--data", folder, "--encoder", encoder, "--labels", write_list(tmp_path / "list.txt", labels))
    (folder / "000007.png").rename(folder / "000007.jpg")
    (folder / "000009.png").unlink()
    said = refused(tmp_path, capsys, *words)
    assert (
        "lacks 2 of the list's 60 pictures, the first is 000007.png; there is 000007.jpg: name it so" in said
    )
    assert not (tmp_path / "run").exists()
    train = next(i for i in range(20, COUNT) if celebahq.split_of(str(i)) == "train")
    for i in (7, 9):
        Image.new("RGB", (20, 20)).save(folder / f"{i:06d}.png")
    Image.new("RGB", (30, 20)).save(folder / f"{train:06d}.png")
    assert f"{train:06d}.png: it is 30 x 20 px, but in FFHQ's frame all are square: give --align" in refused(
        tmp_path, capsys, *words
    )
    (folder / f"{train:06d}.png").write_bytes(b"nothing")
    assert f"{train:06d}.png: that file does not open as a picture" in refused(tmp_path, capsys, *words)
    assert "there is no such list" in refused(tmp_path, capsys, *words[:-1], tmp_path / "no.txt")
    assert "there is no such folder of pictures" in refused(
        tmp_path, capsys, "--data", tmp_path / "no", *words[2:]
    )


def test_an_encoder_that_names_no_generator_is_refused(tmp_path, encoder):
    config = json.loads((encoder / "config.json").read_text())
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text(json.dumps(config | {"base_revision": None}))
    (tmp_path / "encoder" / "model.safetensors").write_bytes((encoder / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match="does not say for which generator"):
        run_codes(
            data=tmp_path, labels=tmp_path / "list.txt", encoder=tmp_path / "encoder", run=tmp_path / "run"
        )


def test_align_without_labels_is_refused(tmp_path, encoder):
    with pytest.raises(ValueError, match="--align is for photographs"):
        run_codes(data=tmp_path, align=True, encoder=encoder, run=tmp_path / "run")
