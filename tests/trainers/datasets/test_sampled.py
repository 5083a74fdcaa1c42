"""Pictures that a generator draws, with the labels that a judge reads in them."""

import pytest
import torch

from lwgan.generator import Generator
from lwgan.images import to_uint8
from lwgan.judges import Judge
from tests.nets import FACE_NAMES, save_nets, synthfaces_nets, toy_domain
from trainers import data, shards
from trainers.data import check_labels
from trainers.datasets import open_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A generator and a judge that reads each label in about half of its pictures."""
    torch.manual_seed(0)
    path, nets = tmp_path_factory.mktemp("nets"), synthfaces_nets(FACE_NAMES)
    for net in nets.values():
        net.eval()
    with torch.no_grad():
        logits = nets["judge"](nets["generator"](torch.randn(64, nets["generator"].z_dim)).clamp(-1, 1))
        nets["judge"].head.bias -= logits.median(0).values
    save_nets(path, toy_domain("toys", ()), nets)
    return path


def spec(folder) -> str:
    return f"sampled:{folder}/lwgan-toys-generator?judge={folder}/lwgan-toys-judge"


def test_pictures_are_the_generators_and_labels_the_judges(folder):
    dataset = open_dataset(spec(folder), resolution=64, train=30, heldout=5)
    part = dataset.read("train", range(3, 13))
    generator = Generator.from_pretrained(folder / "lwgan-toys-generator")
    z = torch.stack([dataset._z("train", row) for row in range(3, 13)])
    x = generator(z).clamp(-1, 1)
    assert (part.images.int() - torch.from_numpy(to_uint8(x)).permute(0, 3, 1, 2).int()).abs().max() <= 1
    assert torch.equal(part.labels, Judge.from_pretrained(folder / "lwgan-toys-judge").read(x).byte())
    assert dataset.domain.attributes == FACE_NAMES
    assert [change.name for change in dataset.domain.changes][:2] == [FACE_NAMES[0], f"not-{FACE_NAMES[0]}"]


def test_a_row_does_not_depend_on_the_others(folder):
    few, many = (open_dataset(spec(folder), resolution=32, train=n, heldout=5) for n in (10, 1000))
    one, other = few.read("test", range(2, 3)).images, many.read("test", range(0, 5)).images[2:3]
    assert (one.int() - other.int()).abs().max() <= 1
    assert not torch.equal(one, few.read("validation", range(2, 3)).images)
    assert few.made_of("test", range(2, 3)) == many.made_of("test", range(2, 3))


def test_truncation_brings_pictures_together(folder):
    wide, narrow = (open_dataset(spec(folder), resolution=32, truncation=psi) for psi in (1.0, 0.2))
    spread = lambda dataset: dataset.read("train", range(12)).images.float().std(0).mean()
    assert spread(narrow) < 0.5 * spread(wide)


def test_the_data_stage_writes_and_resumes_them(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_PICTURES", 10)
    options = data.Options(spec(folder), tmp_path, 32, 25, 5, options=("changes=Smiling",))
    data.main(options)
    split = shards.load_split(tmp_path, "train")
    assert split.images.shape == (25, 3, 32, 32) and split.labels.shape == (25, 3)
    assert [change.name for change in split.domain.changes] == ["Smiling"]
    assert set(split.facts) >= {"drawn_by", "labelled_by"}
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("train-*")}
    lost = sorted(written)[1]
    lost.unlink()
    data.main(options)
    again = {path: path.stat().st_mtime_ns for path in tmp_path.glob("train-*")}
    assert {path for path in written if again[path] != written[path]} == {lost}


def test_labels_of_other_pictures_are_refused(folder, tmp_path, capsys):
    """The judge's own labels fit; rolled by one row they do not."""
    data.main(data.Options(spec(folder), tmp_path, 64, 5, 60))
    judge = folder / "lwgan-toys-judge"
    labels = shards.load_split(tmp_path, "test").labels
    check_labels(tmp_path, judge)
    assert "AUC of 1.00" in capsys.readouterr().out
    split = shards.load_split(tmp_path, "test")
    shards.write_shard(tmp_path, "test", 0, split.images.all(), labels.flip(0), None, {})
    with pytest.raises(
        ValueError, match=r"at least 0.75 is expected: do the labels belong to these pictures\?"
    ):
        check_labels(tmp_path, judge)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.partition("?")[0], "names no judge: sampled:GENERATOR[?]judge=JUDGE"),
        (
            lambda s: s.replace("lwgan-toys-judge", "lwgan-toys-encoder"),
            "is of kind 'encoder', expected 'judge'",
        ),
        (lambda s: s.replace("lwgan-toys-generator", "none"), "there is no such folder"),
    ],
)
def test_what_cannot_be_sampled_is_said(folder, change, message):
    with pytest.raises((ValueError, OSError), match=message):
        open_dataset(change(spec(folder)))
