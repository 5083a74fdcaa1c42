"""Real digits as read, and pictures as composed: compared with the files themselves and with the pixels."""

import gzip
import shutil
import struct

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from lwgan.frames.ink import CELL_JITTER, FRAME_SIZES, ink_box
from trainers.datasets import open_dataset
from trainers.datasets.mnist import Digits, load_digits, read_idx
from trainers.datasets.multimnist import DOMAIN, compose, labels_of
from trainers.shards import Split

FILES = (
    "train-images.idx3-ubyte.gz",
    "train-labels.idx1-ubyte.gz",
    "t10k-images.idx3-ubyte.gz",
    "t10k-labels.idx1-ubyte.gz",
)


@pytest.fixture
def copied(mnist, tmp_path):
    """The MNIST folder, to be damaged."""
    return shutil.copytree(mnist, tmp_path / "mnist")


@pytest.fixture(scope="module")
def digits() -> Digits:
    """200 made-up digits: filled boxes of every shape that MNIST's ink takes, each of one brightness that
    tells which."""
    rng = np.random.default_rng(0)
    images, labels = np.zeros((200, 28, 28), np.uint8), rng.integers(10, size=200)
    for i in range(200):
        height, width = (20, rng.integers(4, 21)) if i % 2 else (rng.integers(4, 21), 20)
        top, left = rng.integers(0, 29 - height), rng.integers(0, 29 - width)
        images[i, top : top + height, left : left + width] = 120 + 12 * labels[i]
    return Digits(images, labels)


def boxes(picture: np.ndarray) -> list[tuple[int, int, int, int]]:
    """(top, left, bottom, right) of each patch of connected ink, found by flooding."""
    unseen, found = {(int(y), int(x)) for y, x in zip(*np.nonzero(picture > 16), strict=True)}, []
    while unseen:
        patch, front = [], [unseen.pop()]
        while front:
            y, x = front.pop()
            patch.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & unseen
            unseen -= near
            front.extend(near)
        rows, columns = zip(*patch, strict=True)
        found.append((min(rows), min(columns), max(rows) + 1, max(columns) + 1))
    return found


def fingerprints(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


# Digits


def test_digits_are_the_files_bytes(mnist):
    """Of a file, read by hand: picture 7 of the test file, and all labels."""
    raw = gzip.decompress((mnist / FILES[2]).read_bytes())
    found = load_digits("test", mnist)
    assert found.images[7].tobytes() == raw[16 + 7 * 784 : 16 + 8 * 784]
    assert found.labels.tolist() == list(gzip.decompress((mnist / FILES[3]).read_bytes())[8:])
    assert found.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]  # as everybody's MNIST begins
    assert load_digits("train", mnist).labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


def test_no_digit_serves_two_splits(mnist):
    splits = {
        split: fingerprints(load_digits(split, mnist).images) for split in ("train", "validation", "test")
    }
    assert {split: len(prints) for split, prints in splits.items()} == {
        "train": 2750,
        "validation": 250,
        "test": 500,
    }
    assert not splits["train"] & splits["validation"]
    assert not (splits["train"] | splits["validation"]) & splits["test"]


def test_files_need_not_be_gzipped(copied, mnist):
    for name in FILES:
        (copied / name[:-3]).write_bytes(gzip.decompress((copied / name).read_bytes()))
        (copied / name).unlink()
    assert np.array_equal(load_digits("test", copied).images, load_digits("test", mnist).images)


def test_a_missing_file_is_named(copied):
    (copied / FILES[1]).unlink()
    with pytest.raises(FileNotFoundError, match=r"no file train-labels\*ubyte\[\.gz\]"):
        load_digits("train", copied)
    with pytest.raises(FileNotFoundError, match="t10k-images"):
        load_digits("test", copied / "nowhere")


@pytest.mark.parametrize("keep", [0, 3, 20, 1000, -1])
def test_a_truncated_gzip_is_refused(copied, keep):
    path = copied / FILES[2]
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=FILES[2]):
        load_digits("test", copied)


@pytest.mark.parametrize("where", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_flipped_byte_is_noticed(copied, where):
    path = copied / FILES[2]
    raw = bytearray(path.read_bytes())
    raw[int(where * len(raw))] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="t10k-images.* is damaged"):
        load_digits("test", copied)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is no IDX file"),
        (b"\x89PNG....", "is no IDX file of unsigned bytes: it starts with b'.x89PNG'"),
        (b"\0\0\x0d\x01" + struct.pack(">I", 1) + b"\0\0\0\0", "is no IDX file of unsigned bytes"),
        (b"\0\0\x08\x01" + struct.pack(">I", 5) + b"\1\2\3", "says 5 bytes, it holds 3"),
        (b"\0\0\x08\x01" + struct.pack(">I", 2) + b"\1\2\3", "says 2 bytes, it holds 3"),
        (b"\0\0\x08\x03\0\0", "digits-ubyte"),
    ],
)
def test_what_is_no_idx_file_is_refused(tmp_path, raw, message):
    path = tmp_path / "digits-ubyte"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        read_idx(path)


def test_unequal_numbers_of_pictures_and_labels_are_refused(copied):
    (copied / FILES[3]).write_bytes(gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 499) + bytes(499)))
    with pytest.raises(ValueError, match="MNIST t10k: 500 pictures but 499 labels"):
        load_digits("test", copied)


def test_pictures_of_another_size_are_refused(copied):
    (copied / FILES[2]).write_bytes(
        gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 500, 32, 32) + bytes(500 * 1024))
    )
    with pytest.raises(ValueError, match=r"pictures of \(32, 32\), expected \(28, 28\)"):
        load_digits("test", copied)


def test_an_unknown_split_is_refused(mnist):
    with pytest.raises(ValueError, match="split 'dev' is unknown: choose one of train, validation, test"):
        load_digits("dev", mnist)


def test_the_hub_holds_the_same_digits(mnist, monkeypatch):
    """A data set with the features of ylecun/mnist, written here, in place of the Hub's."""
    wanted, asked = load_digits("test", mnist), []
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=[str(digit) for digit in range(10)])}
    )
    columns = {"image": [Image.fromarray(image) for image in wanted.images], "label": wanted.labels}
    data = datasets.Dataset.from_dict(columns, features=features)
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **more: asked.append((args, more)) or data)
    found = load_digits("test")
    assert np.array_equal(found.images, wanted.images) and np.array_equal(found.labels, wanted.labels)
    assert asked == [(("ylecun/mnist",), {"split": "test"})]


# Pictures


def test_the_same_seed_gives_the_same_pictures(digits):
    first, again, other = (compose(digits, 40, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first.images, again.images) and np.array_equal(first.numbers, again.numbers)
    assert not np.array_equal(first.images, other.images)


@pytest.mark.parametrize(("layout", "resolution"), [("cells", 64), ("cells", 128), ("slots", 128)])
def test_counts_are_equally_frequent(digits, layout, resolution):
    pictures = compose(digits, 42, seed=0, layout=layout, resolution=resolution)
    assert pictures.images.shape == (42, resolution, resolution) and pictures.images.dtype == np.uint8
    assert sorted(np.bincount(pictures.count, minlength=5)[1:].tolist()) == [10, 10, 11, 11]
    assert len(set(pictures.count[:12].tolist())) > 1  # and shuffled


@pytest.mark.parametrize("resolution", [64, 128])
def test_cells_hold_what_the_labels_say(digits, resolution):
    """Every digit is one patch of ink in a cell of its own, its box centred to within the jitter; its
    brightness is its label's."""
    pictures, cell, scale = (
        compose(digits, 100, seed=1, resolution=resolution),
        resolution // 2,
        resolution // 64,
    )
    jitters, places = [], set()
    for picture, numbers in zip(pictures.images, pictures.numbers, strict=True):
        found = boxes(picture)
        assert len(found) == numbers.sum()
        taken = set()
        for top, left, bottom, right in found:
            assert (
                FRAME_SIZES[0] * scale * 20 / 28 - 3
                <= max(bottom - top, right - left)
                <= FRAME_SIZES[1] * scale * 20 / 28 + 3
            )
            row, column = divmod((top + bottom) / 2, cell), divmod((left + right) / 2, cell)
            taken.add((row[0], column[0]))
            jitters += [row[1] - cell / 2, column[1] - cell / 2]
        assert len(taken) == len(found)
        places |= taken
        shades = sorted((int(np.median(picture[t:b, l:r])) - 120) / 12 for t, l, b, r in found)
        assert np.allclose(shades, np.repeat(np.arange(10), numbers), atol=0.2)
    assert places == {(row, column) for row in (0, 1) for column in (0, 1)}
    assert np.abs(jitters).max() <= CELL_JITTER * scale + 0.5  # half a pixel for boxes of odd size
    assert min(jitters) < -3 * scale and max(jitters) > 3 * scale


def test_one_size_distribution_serves_all_counts(digits):
    """Nothing but the number of digits tells the count: the longer side of the ink is the same, whatever the
    count."""
    pictures = compose(digits, 400, seed=2)
    sides = {count: [] for count in range(1, 5)}
    for picture, count in zip(pictures.images, pictures.count, strict=True):
        sides[count] += [max(b - t, r - l) for t, l, b, r in boxes(picture)]
    means = [np.mean(of_count) for of_count in sides.values()]
    assert max(means) - min(means) < 0.5 and 18 < np.mean(means) < 22


def test_slots_are_those_of_the_cited_repository(mnist):
    """28 px frames, unscaled, one in each of `count` equal slots, left to right: every slot holds a whole
    digit of MNIST."""
    real = load_digits("test", mnist)
    pictures = compose(real, 40, seed=5, layout="slots", resolution=128)
    known = {
        image[ink_box(image)].tobytes(): label for image, label in zip(real.images, real.labels, strict=True)
    }
    for picture, numbers in zip(pictures.images, pictures.numbers, strict=True):
        slot, found = 128 // numbers.sum(), np.zeros(10, int)
        for i in range(numbers.sum()):
            part = picture[:, i * slot : (i + 1) * slot]
            found[known[part[ink_box(part)].tobytes()]] += 1
        assert found.tolist() == numbers.tolist()


def test_pictures_hold_real_digits_of_their_split_only(mnist):
    """At 128 px `slots` shows digits unscaled, so each can be looked up: test pictures are made of test
    digits alone."""
    prints = {
        split: {image[ink_box(image)].tobytes() for image in load_digits(split, mnist).images}
        for split in ("train", "validation", "test")
    }
    assert not prints["test"] & (prints["train"] | prints["validation"])
    for split, own in prints.items():
        pictures = compose(load_digits(split, mnist), 20, seed=0, layout="slots", resolution=128)
        for picture, count in zip(pictures.images, pictures.count, strict=True):
            slot = 128 // count
            assert all(
                part[ink_box(part)].tobytes() in own
                for part in (picture[:, i * slot : (i + 1) * slot] for i in range(count))
            )


def test_real_digits_keep_their_looks(mnist):
    """A single digit in a cell, scaled back to its ink's size, is the digit of MNIST it was made from."""
    real = load_digits("test", mnist)
    pictures = compose(real, 40, seed=7)
    crops = np.stack([_squeezed(image) for image in real.images])
    singles = np.flatnonzero(pictures.count == 1)
    for i in singles:
        nearest = ((crops - _squeezed(pictures.images[i])) ** 2).sum((1, 2)).argmin()
        assert pictures.numbers[i, real.labels[nearest]] == 1
    assert len(singles) == 10


def _squeezed(picture: np.ndarray) -> np.ndarray:
    """The ink box at 16 x 16, as floats."""
    box = torch.from_numpy(picture[ink_box(picture)].astype(np.float32))[None, None]
    return torch.nn.functional.interpolate(box, size=(16, 16), mode="bilinear", antialias=True)[0, 0].numpy()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "grid"}, "layout 'grid' is unknown: choose one of cells, slots"),
        ({"resolution": 96}, "resolution 96"),
        ({"layout": "slots"}, "needs resolution 128"),
        ({"n": 0}, "n = 0"),
    ],
)
def test_impossible_pictures_are_refused(digits, change, message):
    with pytest.raises(ValueError, match=message):
        compose(**{"digits": digits, "n": 4, "seed": 0} | change)


# The data set


def test_labels_count_digits(digits):
    pictures = compose(digits, 60, seed=8)
    labels = labels_of(pictures.numbers)
    assert labels.shape == (60, len(DOMAIN.attributes)) and labels.dtype == np.uint8
    for row, numbers in zip(labels, pictures.numbers, strict=True):
        names = {name for name, value in zip(DOMAIN.attributes, row, strict=True) if value}
        assert ("3-or-more" in names) == (numbers.sum() >= 3)
        for digit in range(10):
            assert (str(digit) in names) == (numbers[digit] >= 1)
            assert (f"2-or-more-{digit}s" in names) == (numbers[digit] >= 2)


def test_the_data_set_reads_what_compose_makes(mnist):
    dataset = open_dataset("multimnist", mnist=str(mnist), train="30", heldout="20", seed="1")
    wanted = compose(load_digits("test", mnist), 20, seed=5)
    part = dataset.read("test", range(4, 10))
    assert np.array_equal(part.images[:, 0].numpy(), wanted.images[4:10])
    assert np.array_equal(part.labels.numpy(), labels_of(wanted.numbers[4:10]))


def test_an_ideal_edit_adds_one_digit_and_keeps_the_picture(mnist):
    dataset = open_dataset("multimnist", mnist=str(mnist), train=30, heldout=40)
    part = dataset.read("test", range(40))
    split = Split(part.images, part.labels, None, DOMAIN, {}, "test")
    change = DOMAIN.change("2to3")
    cases = torch.nonzero((part.labels[:, 1] == 1) & (part.labels[:, 2] == 0))[:, 0]
    rows, images = dataset.oracle(change, cases, split)
    assert len(rows) > 5 and set(rows.tolist()) <= set(cases.tolist())
    for row, image in zip(rows, images, strict=True):
        old = part.images[row]
        assert (image[old > 0] == old[old > 0]).all() and ((image > 0) & (old == 0)).sum() > 20
    assert dataset.oracle(DOMAIN.change("not-7"), cases, split) is None
