"""Folders of pictures with a list: which pictures are read, into which split, and what their Domain says."""

import re
import unicodedata

import numpy as np
import pytest
import torch
from PIL import Image

from lwgan.frames import FRAMES
from lwgan.hub.registry import save_folder
from lwgan.judges import AttributeJudge
from trainers.datasets import open_dataset
from trainers.datasets.pictures import split_of
from trainers.shards import SPLITS, UNKNOWN

COUNT = 60
DATA = "tests/data"


def picture(i: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(i).integers(0, 255, (40, 48, 3), np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixty pictures, a third of them in a folder below, and their list beside them."""
    folder = tmp_path_factory.mktemp("Red Shoes")
    (folder / "more").mkdir()
    lines = ["name,Laces,Red toe"]
    for i in range(COUNT):
        name = f"{'more/' if i % 3 == 0 else ''}{i:03d}.png"
        picture(i).save(folder / name)
        lines.append(f"{name},{i % 2},{'' if i == 5 else int(i % 4 == 0)}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def test_every_picture_is_read_once_in_the_split_of_its_name(folder):
    dataset, seen = open_dataset(f"folder:{folder}", resolution=32), []
    for split in SPLITS:
        rows = [i for i in range(COUNT) if split_of(str(i)) == split]
        part = dataset.read(split, range(dataset.size(split)))
        assert part.images.shape == (len(rows), 3, 32, 32) and part.groups is None and part.skipped == ()
        for image, labels, i in zip(part.images, part.labels.tolist(), rows, strict=True):
            framed = np.asarray(FRAMES["square"](picture(i), 32))
            assert np.array_equal(image.permute(1, 2, 0).numpy(), framed)
            assert labels == [i % 2, UNKNOWN if i == 5 else int(i % 4 == 0)]
        seen += rows
    assert sorted(seen) == list(range(COUNT))


def test_the_rule_of_splits():
    splits = [split_of(str(i)) for i in range(3000)]
    assert abs(splits.count("train") - 2400) < 80 and abs(splits.count("test") - 300) < 60
    assert [split_of(f"{i:05d}") for i in range(3000)] == splits, "numbers count by value"
    assert [split_of(name) for name in ("0", "1", "anna")] == ["validation", "train", "train"]


def test_the_domain_says_what_its_owner_said_and_no_more(folder):
    domain = open_dataset(f"folder:{folder}").domain
    assert domain.name.startswith("red-shoes") and domain.attributes == ("Laces", "Red toe")
    assert [change.name for change in domain.changes] == ["Laces", "not-Laces", "Red toe", "not-Red toe"]
    assert domain.licence == "other" and domain.frame == "square"
    said = {
        "name": "shoes",
        "title": "Shoes",
        "subject": "a shoe",
        "licence": "cc0-1.0",
        "changes": "not-Laces",
    }
    domain = open_dataset(f"folder:{folder}", **said).domain
    assert (domain.name, domain.title, domain.subject, domain.licence) == (
        "shoes",
        "Shoes",
        "a shoe",
        "cc0-1.0",
    )
    assert [change.name for change in domain.changes] == ["not-Laces"]


def test_groups_stay_together(folder, tmp_path):
    lines = (folder / "labels.csv").read_text().splitlines()
    grouped = [f"{line},{'group' if i == 0 else f'person {i % 20}'}" for i, line in enumerate(lines)]
    (tmp_path / "list.csv").write_text("\n".join(grouped))
    dataset = open_dataset(f"folder:{folder}", labels=str(tmp_path / "list.csv"), resolution=32)
    assert dataset.domain.attributes == ("Laces", "Red toe")
    groups = {split: dataset.read(split, range(dataset.size(split))).groups for split in SPLITS}
    assert all(len(numbers) % 3 == 0 for numbers in groups.values()), "three pictures a person"
    assert len(torch.cat(list(groups.values())).unique()) == 20
    assert sum(len(numbers.unique()) for numbers in groups.values()) == 20


def test_limits_columns_and_made_of(folder):
    dataset = open_dataset(f"folder:{folder}", train=7, heldout=2, columns="Red toe")
    assert [dataset.size(split) for split in SPLITS] == [7, 2, 2]
    assert dataset.domain.attributes == ("Red toe",)
    before = dataset.made_of("train", range(7))
    assert before == open_dataset(f"folder:{folder}", train=7, columns="Red toe").made_of("train", range(7))
    assert before != open_dataset(f"folder:{folder}", train=7).made_of("train", range(7))


def test_bad_pictures_are_skipped_with_the_reason(folder, tmp_path):
    names = [name for name in (f"{i:03d}.png" for i in range(COUNT)) if split_of(name[:3]) == "train"][:4]
    picture(0).save(tmp_path / names[0])
    (tmp_path / names[1]).write_bytes(b"nothing")
    picture(1).save(tmp_path / names[2])
    (tmp_path / names[2]).write_bytes((tmp_path / names[2]).read_bytes()[:3000])
    held = "".join(f"{i:03d}.png,0\n" for i in range(COUNT) if split_of(str(i)) != "train")
    (tmp_path / "list.csv").write_text("file,A\n" + "".join(f"{name},1\n" for name in names) + held)
    part = open_dataset(f"folder:{tmp_path}", resolution=32).read("train", range(4))
    assert part.images.shape == (1, 3, 32, 32) and part.labels.tolist() == [[1]]
    assert [name for name, _ in part.skipped] == names[1:]
    for words, (_, reason) in zip(("does not open", "damaged", "no file"), part.skipped, strict=True):
        assert words in reason


def test_names_decomposed_by_another_system_are_found(folder, tmp_path):
    for i in range(COUNT):
        picture(i).resize((8, 8)).save(tmp_path / unicodedata.normalize("NFD", f"Zoë {i}.png"))
    (tmp_path / "list.tsv").write_text(
        "file\tA\n" + "".join(f".\\Zoë {i}.png\t{i % 2}\n" for i in range(COUNT))
    )
    dataset = open_dataset(f"folder:{tmp_path}", resolution=32)
    assert dataset.read("test", range(dataset.size("test"))).skipped == ()


NAMINGS = {
    "as they are": lambda name, folder: name,
    "in capitals": lambda name, folder: name.upper(),
    "without the suffix": lambda name, folder: name.removesuffix(".png"),
    "with another suffix": lambda name, folder: name.replace(".png", ".JPG"),
    "below the folder's name": lambda name, folder: f"{folder.name}/{name}",
    "by whole paths of another machine": lambda name, folder: f"/home/x/{folder.name}/{name}",
    "by whole paths of Windows": lambda name, folder: f"C:\\x\\{folder.name}\\{name}".replace("/", "\\"),
    "by numbers": lambda name, folder: re.sub(r"0+(?=\d+\.)", "", name),
    "with spaces": lambda name, folder: f" {name} ",
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_pictures_are_found_by_every_spelling_of_their_names(folder, tmp_path, naming):
    """Each row is repeated, and a column of numbers stands beside the names."""
    names = [f"{'more/' if i % 3 == 0 else ''}{i:03d}.png" for i in range(COUNT)]
    rows = [f"{i % 2},{NAMINGS[naming](name, folder)},{int(i % 3 == 0)}" for i, name in enumerate(names)]
    (tmp_path / "list.csv").write_text("\n".join(["A,name,B", *rows, *rows]))
    dataset = open_dataset(f"folder:{folder}", labels=str(tmp_path / "list.csv"), resolution=32)
    assert dataset.domain.attributes == ("A", "B")
    part = dataset.read("test", range(dataset.size("test")))
    wanted = [i for i in range(COUNT) if split_of(f"{i:03d}") == "test"]
    assert part.labels.tolist() == [[i % 2, int(i % 3 == 0)] for i in wanted] and not part.skipped


def test_a_spelling_that_could_mean_two_pictures_means_none(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("1.png", "01.png", "a.png", "A.PNG", "b.png", "b.jpg", *(f"x{i}.png" for i in range(60))):
        picture(0).resize((8, 8)).save(tmp_path / "data" / name)
    named = ["001.png", "a.PNG", "b", "other/x1.png"]
    rows = [f"{name},{i % 2}" for i, name in enumerate([*named, *(f"x{i}.png" for i in range(60))])]
    (tmp_path / "list.csv").write_text("\n".join(["file,A", *rows]))
    dataset = open_dataset(f"folder:{tmp_path}/data", labels=str(tmp_path / "list.csv"), resolution=32)
    skipped = [each for split in SPLITS for each in dataset.read(split, range(dataset.size(split))).skipped]
    assert sorted(name for name, _ in skipped) == sorted(named)


def test_a_judge_labels_pictures_that_have_no_list(folder, tmp_path):
    judge = AttributeJudge(names=("Laces", "Heel"), widths=(8, 8), features=8).eval()
    plain = open_dataset(f"folder:{folder}", resolution=32).read("train", range(30))
    with torch.no_grad():  # so that half of the pictures have a label
        judge.head.bias -= judge(plain.images.float() / 127.5 - 1).median(0).values
    save_folder(tmp_path / "judge", {"kind": "judge", "architecture": judge.config}, judge.state_dict())
    dataset = open_dataset(f"folder:{folder}", judge=str(tmp_path / "judge"), resolution=32)
    assert dataset.domain.attributes == ("Laces", "Heel") and not dataset.parallel
    assert [change.name for change in dataset.domain.changes][:2] == ["Laces", "not-Laces"]
    part = dataset.read("train", range(30))
    assert torch.equal(part.labels.bool(), judge.read(part.images.float() / 127.5 - 1))
    assert set(part.labels.unique().tolist()) == {0, 1}
    assert dataset.made_of("train", range(3)).endswith(dataset.facts["labelled_by"])
    assert sum(dataset.size(split) for split in SPLITS) == COUNT
    with pytest.raises(ValueError, match="labels a.csv and judge .*: only one of them can label pictures"):
        open_dataset(f"folder:{folder}", judge=str(tmp_path / "judge"), labels="a.csv")
    with pytest.raises(FileNotFoundError, match="judge holds no pictures"):
        open_dataset(f"folder:{tmp_path / 'judge'}", judge=str(tmp_path / "judge"))


def test_what_is_wrong_with_a_folder_is_said(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder of pictures, but it does not exist"):
        open_dataset(f"folder:{tmp_path}/no")
    with pytest.raises(FileNotFoundError, match="but it is a file"):
        open_dataset(f"folder:{folder}/labels.csv")
    (tmp_path / "empty" / "below").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no list of labels .* --options labels=FILE"):
        open_dataset(f"folder:{tmp_path}/empty/below")
    with pytest.raises(FileNotFoundError, match="there is no such list"):
        open_dataset(f"folder:{folder}", labels=str(tmp_path / "no.csv"))
    (tmp_path / "a.csv").write_text("file,A\n1.jpg,1\n1.jpg,0\n")
    with pytest.raises(ValueError, match=r"the picture '001.png' twice in its column 'file', with different"):
        open_dataset(f"folder:{folder}", labels=str(tmp_path / "a.csv"))
    (tmp_path / "a.csv").write_text("file,A\n1001.jpg,1\n")
    with pytest.raises(FileNotFoundError, match=r"none of the pictures .* such as 1001.jpg"):
        open_dataset(f"folder:{folder}", labels=str(tmp_path / "a.csv"))
    (tmp_path / "a.csv").write_text("A,B\ntrue,no\nfalse,yes\n")
    with pytest.raises(FileNotFoundError, match=r"none of the pictures .* in its column 'A', such as true$"):
        open_dataset(f"folder:{folder}", labels=str(tmp_path / "a.csv"))
    (tmp_path / "b.csv").write_text("")
    with pytest.raises(ValueError, match=r"2 lists of labels \(a.csv, b.csv\)"):
        open_dataset(f"folder:{tmp_path}")
    (tmp_path / "a.csv").write_text("file,A\n001.png,1\n")
    with pytest.raises(ValueError, match="none of the 1 pictures falls into the validation split"):
        open_dataset(f"folder:{folder}", labels=str(tmp_path / "a.csv"))
    with pytest.raises(ValueError, match="frame is 'round', expected one of square, wide, face, ink"):
        open_dataset(f"folder:{folder}", frame="round")


# CelebA-HQ


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """One photograph under thirty names: a square cut of it, wide where the name is a multiple of seven."""
    folder = tmp_path_factory.mktemp("celeba") / "CelebA-HQ-img"
    folder.mkdir()
    photograph = Image.open(f"{DATA}/faces/astronaut.jpg")
    for i in range(30):
        size = photograph.width, photograph.height - (40 if i % 7 == 0 else 0)
        photograph.crop((0, 0, *size)).save(folder / f"{i}.jpg")
    lines = ["30", "Eyeglasses Smiling", *(f"{i}.jpg  {-1 if i % 2 else 1} -1" for i in range(30))]
    (folder.parent / "CelebAMask-HQ-attribute-anno.txt").write_text("\n".join(lines))
    return folder


def test_celebahq_is_square_and_its_list_lies_beside_it(photographs):
    dataset = open_dataset(f"celebahq:{photographs}", resolution=64)
    part = dataset.read("train", range(dataset.size("train")))
    skipped = dict(part.skipped)
    assert set(skipped) == {f"{i}.jpg" for i in range(0, 30, 7) if split_of(str(i)) == "train"}
    assert all(
        "all pictures in FFHQ's frame are square: give --options align=true" in why
        for why in skipped.values()
    )
    wanted = Image.open(photographs / "1.jpg").resize((64, 64), Image.Resampling.LANCZOS)
    assert np.array_equal(part.images[0].permute(1, 2, 0).numpy(), np.asarray(wanted))
    domain = dataset.domain
    assert (domain.name, domain.frame, domain.attributes) == ("faces", "face", ("Eyeglasses", "Smiling"))
    assert domain.licence.startswith("other\n") and "non-commercial" in domain.licence
    assert [change.name for change in domain.changes] == ["Eyeglasses", "not-Eyeglasses"], "all smile alike"


def test_align_cuts_the_face_out(photographs):
    dataset = open_dataset(f"celebahq:{photographs}", resolution="64", align="true", train="1")
    part = dataset.read("train", range(1))
    framed = FRAMES["face"](Image.open(photographs / "1.jpg"), 64)
    assert np.array_equal(part.images[0].permute(1, 2, 0).numpy(), np.asarray(framed))
    assert dataset.made_of("train", range(1)) != open_dataset(
        f"celebahq:{photographs}", resolution=64, train=1
    ).made_of("train", range(1))
    with pytest.raises(ValueError, match="align is 'maybe', expected true or false"):
        open_dataset(f"celebahq:{photographs}", align="maybe")
