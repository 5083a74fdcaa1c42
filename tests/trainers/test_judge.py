"""The three heads of the judge stage: what they learn, what unknown labels do, figures, resuming,
refusals."""

import json
import sys

import pytest
import torch
from torch.nn import functional as F

from lwgan.judges import CountJudge, IdentityNetwork, Judge, LatentClassifier
from tests.trainers.toy import DOMAIN, draw, make_data
from trainers import __main__ as command_line
from trainers import judge, run
from trainers.codes import Codes, load_codes, save_codes
from trainers.nets.generator import to_pictures
from trainers.shards import SPLITS, UNKNOWN, load_split

SMALL = ["--widths", "8", "8", "8", "--features", "16", "--batch", "16", "--device", "cpu"]
CPU = torch.device("cpu")


def call(monkeypatch, *words) -> None:
    monkeypatch.setattr(sys, "argv", ["trainers", *map(str, words)])
    command_line.main()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("toy") / "data", n=128, heldout=32)


@pytest.fixture(scope="module")
def codes(tmp_path_factory):
    """Codes of which one coordinate says whether the picture is bright."""
    folder, base = tmp_path_factory.mktemp("toy"), {"encoder": "b" * 64, "generator": "a" * 64}
    for split in SPLITS:
        _, labels, _ = draw(128, 32, 1)
        w = torch.randn(128, 8, 8)
        w[:, 3, 2] = 8.0 * labels[:, 0] - 4
        save_codes(folder / f"{split}.safetensors", Codes(w, labels, DOMAIN), base)
    return folder


def config_of(folder) -> dict:
    return json.loads((folder / "config.json").read_text())


# Heads


def test_a_judge_learns_the_labels_and_resumes(data, tmp_path, monkeypatch):
    words = ["judge", "labels", "--data", data, "--steps", 50, "--shift", 0, *SMALL]
    call(monkeypatch, *words, "--run", tmp_path / "whole")
    call(monkeypatch, *words, "--run", tmp_path / "parts", "--max-minutes", 0)
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    call(monkeypatch, *words, "--run", tmp_path / "parts")
    found, again = Judge.from_pretrained(tmp_path / "whole"), Judge.from_pretrained(tmp_path / "parts")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in found.state_dict().items())
    test, config = load_split(data, "test"), config_of(tmp_path / "whole")
    assert (config["kind"], config["domain"], config["resolution"]) == ("judge", "squares", 32)
    assert found.names == DOMAIN.attributes
    right = found.read(to_pictures(test.images[:], CPU))[:, 0] == (test.labels[:, 0] == 1)
    assert config["metrics"]["test"]["accuracy"]["Bright"] == right.double().mean() == 1
    assert config["training"]["split"] == "train"


def test_an_identity_network_tells_groups_apart(data, tmp_path, monkeypatch):
    words = ["judge", "identity", "--data", data, "--run", tmp_path, "--steps", 80, "--shift", 0, *SMALL]
    call(monkeypatch, *words)
    metrics = config_of(tmp_path)["metrics"]
    assert metrics["test"]["identities"] == 4 and metrics["test"]["n"] == 32
    assert (
        metrics["test"]["top_1"] > 0.6
        and metrics["test"]["same"]["mean"] > metrics["test"]["other"]["mean"] + 0.2
    )
    network = IdentityNetwork.from_pretrained(tmp_path)
    assert network(to_pictures(load_split(data, "test").images[:2], CPU)).norm(
        dim=1
    ).tolist() == pytest.approx([1, 1])


def test_a_classifier_of_codes_reads_labels(codes, tmp_path, monkeypatch):
    words = ["judge", "codes", "--codes", codes, "--hidden", 16, 16, "--epochs", 9, "--learning-rate", 0.01]
    call(monkeypatch, *words, "--batch", 32, "--run", tmp_path, "--device", "cpu")
    config = config_of(tmp_path)
    held, base = load_codes(codes, "validation")
    assert config["kind"] == "latent-classifier" and config["names"] == list(DOMAIN.attributes)
    assert config["base_revision"] == base
    read = LatentClassifier.from_pretrained(tmp_path)(held.w)[:, 0] > 0
    accuracy = (read == (held.labels[:, 0] == 1)).double().mean()
    assert config["metrics"]["validation"]["accuracy"]["Bright"] == pytest.approx(accuracy) and accuracy > 0.9


def test_its_learning_rate_is_that_of_steplr_stepped_before_each_epoch(codes, tmp_path):
    options = judge.Codes(codes=codes, run=tmp_path, batch=64, epochs=25, learning_rate=1.0)
    head = judge.codes_head(options, CPU)
    adam = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(adam, 10, 0.1)
    for epoch in range(25):
        adam.step()
        schedule.step()
        for step in (1, 2):  # 128 codes are 2 batches
            assert head.rate(epoch * 2 + step) == pytest.approx(adam.param_groups[0]["lr"])


def test_the_loss_of_a_count_judge_is_the_cross_entropy_of_counts():
    names = [f"{k}-or-more{of}" for of in ("", " dots", " rings") for k in (1, 2)]
    net = CountJudge(names=names, most=2, channels=3, widths=(4, 4), features=8)
    labels = torch.tensor([[1, 1, 1, 0, 1, 0], [1, 0, 0, 0, 1, 0], [0, 0, 0, 0, UNKNOWN, 0]])
    logits = net.counts(torch.randn(3, 3, 16, 16))
    counts = torch.tensor([[1, 1, 2], [0, 1, 1], [0, -100, 0]])  # of dots, of rings, of all; -100 is ignored
    wanted = F.cross_entropy(logits.flatten(0, 1), counts.flatten())
    assert torch.allclose(judge.count_loss(logits, labels), wanted)


def test_the_network_is_chosen_by_an_option(data, tmp_path, monkeypatch):
    words = ["judge", "labels", "--data", data, "--steps", 2, *SMALL, "--network", "counts"]
    call(monkeypatch, *words, "--most", 3, "--run", tmp_path / "run")
    net = Judge.from_pretrained(tmp_path / "run")
    assert isinstance(net, CountJudge) and (net.most, net.config["channels"]) == (3, 3)
    with pytest.raises(SystemExit, match=r"^error: 3 names: expected a multiple of 4"):
        call(monkeypatch, *words, "--run", tmp_path / "other")
    assert not (tmp_path / "other").exists()


# Unknown labels


def test_unknown_labels_have_no_gradient():
    logits = torch.randn(5, 3, requires_grad=True)
    labels = torch.tensor([[1, UNKNOWN, 0]] * 5, dtype=torch.uint8)
    judge.label_loss(logits, labels).backward()
    assert (logits.grad[:, 1] == 0).all() and (logits.grad[:, [0, 2]] != 0).all()
    wanted = F.binary_cross_entropy_with_logits(logits[:, [0, 2]], labels[:, [0, 2]].float())
    assert torch.allclose(judge.label_loss(logits, labels), wanted)
    assert judge.label_loss(logits, torch.full_like(labels, UNKNOWN)) == 0


def test_figures_count_known_labels_alone():
    logits = torch.tensor([[2.0, 1.0], [1.0, -1.0], [-1.0, 3.0], [-2.0, -1.0]])
    labels = torch.tensor([[1, UNKNOWN], [0, 1], [1, 1], [UNKNOWN, 1]], dtype=torch.uint8)
    figures = judge.readings(logits, labels, ("A", "B"))
    assert figures["auc"] == {"A": 0.5, "B": None}  # of A: 2.0 > 1.0 > -1.0 are 1, 0, 1
    assert figures["accuracy"] == {"A": pytest.approx(1 / 3), "B": pytest.approx(1 / 3)}
    assert (figures["all_right"], figures["n"]) == (0.25, 4)


# Groups


def test_recognition_of_clear_groups_is_certain():
    centres = F.normalize(torch.randn(3, 20), dim=1)
    people = torch.arange(12) % 3
    figures = judge.recognised(
        torch.cat([centres[people], centres.mean(0, keepdim=True)]), torch.cat([people, torch.tensor([7])])
    )
    assert (figures["top_1"], figures["identities"], figures["n"]) == (1, 4, 12)  # one is alone in its group
    assert figures["same"]["mean"] == pytest.approx(1) and figures["same"]["n"] == 36
    alone = judge.recognised(centres, torch.arange(3))
    wanted = (centres @ centres.T)[[0, 1, 2], [1, 2, 0]].mean().item()
    assert alone["same"] is alone["top_1"] is None and alone["other"]["mean"] == pytest.approx(
        wanted, abs=1e-6
    )


def test_a_margin_makes_the_own_group_harder():
    cosines, people = torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 1])
    plain = judge.arcface(cosines, people, 16, 0)
    assert torch.allclose(plain, F.cross_entropy(16 * cosines, people))
    assert judge.arcface(cosines, people, 16, 0.3) > plain


def test_pictures_without_groups_are_refused(tmp_path, monkeypatch):
    folder = make_data(tmp_path / "data", groups=False)
    with pytest.raises(SystemExit, match=r"^error: .*data names no groups: an identity network needs"):
        call(monkeypatch, "judge", "identity", "--data", folder, "--run", tmp_path / "run", *SMALL)
    assert not (tmp_path / "run").exists()


# Batches, sizes and augmentation


@pytest.mark.parametrize(
    ("resolution", "widths"),
    [(32, (32, 64)), (128, (16, 32, 64)), (256, (8, 16, 32, 64)), (1024, (8, 8, 8, 16, 32, 64))],
)
def test_judges_of_large_pictures_have_more_levels(resolution, widths):
    assert judge.widths_of((32, 64), resolution) == widths


def test_augmentation_is_what_the_options_say(data, tmp_path):
    images = load_split(data, "train").images[:]
    options = {"data": data, "run": tmp_path, "noise": 0, "darken": 0, "shift": 0}
    assert torch.equal(judge.augmented(images, judge.Labels(**options)), to_pictures(images, CPU))
    dark = (judge.augmented(images, judge.Labels(**options | {"darken": 0.5})) + 1) / (
        to_pictures(images, CPU) + 1
    )
    assert 0.5 <= dark.nan_to_num(1).min() < 0.55 and dark.nan_to_num(1).max() <= 1
    flipped = judge.augmented(images, judge.Labels(**options, mirror=True)).flip(3)
    assert 0.3 < (flipped == to_pictures(images, CPU)).flatten(1).all(1).float().mean() < 0.7


def test_pictures_are_shifted_whole():
    images = torch.zeros(200, 2, 12, 12, dtype=torch.uint8)
    images[:, :, 6, 5] = 1
    places = judge.shifted(images, 2).nonzero()
    assert len(places) == 400
    assert {tuple(place) for place in places[:, 2:].tolist()} == {
        (6 + i, 5 + j) for i in range(-2, 3) for j in range(-2, 3)
    }


def test_ghosts_lie_in_blank_quarters_and_are_faint(tmp_path):
    images = torch.zeros(200, 1, 32, 32, dtype=torch.uint8)
    corners = torch.randint(0, 2, (200, 2)) * 16 + 4
    for i, (top, left) in enumerate(corners.tolist()):
        images[i, 0, top : top + 8, left : left + 8] = 255
    options = {"data": tmp_path, "run": tmp_path, "noise": 0, "darken": 0, "shift": 0}
    ghosted = judge.augmented(images, judge.Labels(**options, ghosts=0.35))
    quarters = lambda x: (
        x.unflatten(2, (2, 16)).unflatten(4, (2, 16)).amax((1, 3, 5))
    )  # [N, 2, 2], the brightest
    full, seen = quarters(to_pictures(images, CPU)) > -1, quarters(ghosted)
    assert (seen[full] == 1).all()
    added = (seen[~full] + 1) / 2
    assert 0.25 < added.max() <= 0.35
    assert 0.2 < (added.view(200, 3) > 0).any(1).float().mean() < 0.6


def test_the_toys_are_what_they_say():
    images, labels, groups = draw(16, 32, 3)
    assert images.shape == (16, 3, 32, 32) and labels.shape == (16, 3) and groups.max() == 3
    run.release()
