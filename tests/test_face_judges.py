"""The judges of faces: what they learn from, what they are measured by, and their stages at toy size."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from lwgan.encoder import Encoder
from lwgan.hub.registry import save_folder
from lwgan.judges import AttributeJudge, IdentityNetwork
from trainers import attribute_judge, codes, data, identity, oracles
from trainers.__main__ import parse
from trainers.datasets.synthfaces import NAMES, files, render, sample
from trainers.nets import encoder

CORNERS = ("upper-left", "upper-right", "lower-left", "lower-right")


def write_corners(folder, n: int = 200):
    """Pictures of which some of the four corners are lit: what a judge can learn in seconds, but one that knows no places cannot."""
    folder.mkdir()
    for seed, split in enumerate(("train", "validation", "test")):
        rng = np.random.default_rng(seed)
        labels = (rng.random((n, 4)) < 0.5).astype(np.uint8)
        images = rng.integers(0, 60, (n, 64, 64, 3), dtype=np.uint8)
        for k, (row, column) in enumerate(((8, 8), (8, 48), (48, 8), (48, 48))):
            images[:, row : row + 8, column : column + 8] += 150 * labels[:, k, None, None, None]
        said = {"domain": "synthfaces", "names": json.dumps(CORNERS)}
        save_file(
            {"images": torch.from_numpy(images), "labels": torch.from_numpy(labels)},
            folder / f"{split}.safetensors",
            metadata=said,
        )
    return folder


def options(folder, run, *more: str):
    words = [
        "attribute-judge",
        "--data",
        str(folder),
        "--run",
        str(run),
        "--widths",
        "8",
        "8",
        "8",
        "--features",
        "16",
        "--batch",
        "32",
    ]
    return parse([*words, "--steps", "40", "--device", "cpu", "--shift", "1", "--contrast", "0.1", *more])


def test_a_judge_of_attributes_learns_resumes_and_says_how_good_it_is(tmp_path):
    folder = write_corners(tmp_path / "data")
    # Mirrored pictures have left and right exchanged, labels not: of corners side by side the judge can learn the height alone.
    whole = options(folder, tmp_path / "whole", "--also", str(folder))
    attribute_judge.main(whole)
    config = json.loads((whole.run / "config.json").read_text())
    assert (
        config["kind"] == "attribute-judge"
        and config["training"]["split"] == "train"
        and config["dtype"] == "float16"
    )
    assert set(config["metrics"]) == {
        f"{where}{split}_auc" for where in ("", "also_") for split in ("validation", "test")
    }
    assert (
        list(config["metrics"]["test_auc"]) == list(CORNERS)
        and min(config["metrics"]["test_auc"].values()) > 0.65
    )
    assert config["metrics"]["also_test_auc"] == config["metrics"]["test_auc"]
    judge = AttributeJudge.from_pretrained(whole.run)
    assert judge.names == CORNERS and judge.features(torch.zeros(2, 3, 64, 64)).shape == (2, 16)
    assert attribute_judge.auc_on(judge, folder, "test") == config["metrics"]["test_auc"], (
        "measured as it is saved"
    )

    stopped = replace(whole, run=tmp_path / "stopped", max_minutes=0.0)
    for _ in range(3):
        attribute_judge.main(stopped)  # one step each
    assert torch.load(stopped.run / "checkpoint.pt", weights_only=True)["step"] == 3
    attribute_judge.main(replace(stopped, max_minutes=None))
    ours, theirs = (load_file(run / "model.safetensors") for run in (whole.run, stopped.run))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_picture_is_like_itself_in_a_perceptors_eyes_and_unlike_others():
    perceptor, x = (
        AttributeJudge(names=("A",), widths=(8, 12, 16), features=4).eval().requires_grad_(False),
        torch.rand(3, 3, 64, 64),
    )
    levels = perceptor.features.levels(x)
    assert [tuple(level.shape) for level in levels] == [
        (3, 8, 32, 32),
        (3, 12, 16, 16),
        (3, 16, 8, 8),
        (3, 4),
    ]
    assert torch.equal(perceptor(x), perceptor.head(levels[-1])) and encoder.likeness(perceptor, x, x) == 0
    changed = x.clone()
    changed[:, :, 30:34, 20:44] *= 0.5
    changed.requires_grad_()
    encoder.likeness(perceptor, changed, x).backward()
    moved = (changed - 1e-2 * changed.grad / changed.grad.norm()).detach()
    assert 0 < encoder.likeness(perceptor, moved, x) < encoder.likeness(perceptor, changed, x)
    share = [
        ((a - b) ** 2).mean() / (b**2).mean()
        for a, b in zip(perceptor.features.levels(changed), levels, strict=True)
    ]
    assert encoder.likeness(perceptor, changed, x).item() == pytest.approx(
        torch.stack(share).mean().item(), rel=1e-5
    )


def test_a_judge_of_other_attributes_is_not_measured(tmp_path):
    with pytest.raises(ValueError, match=r"labelled with \['upper-left'.*, the judge reads \['A', 'B'\]"):
        attribute_judge.auc_on(
            AttributeJudge(names=("A", "B"), widths=(8, 8), features=8),
            write_corners(tmp_path / "data", 4),
            "test",
        )
    save_file({"images": torch.zeros(2, 64, 64, dtype=torch.uint8)}, tmp_path / "train.safetensors")
    with pytest.raises(ValueError, match="holds no labelled attributes"):
        data.load_labels(tmp_path, "train")


def test_judges_as_published_stay_under_2_mb():
    for module in (AttributeJudge(names=NAMES, widths=(48, 64, 128)), IdentityNetwork(widths=(48, 64, 128))):
        assert sum(2 * value.numel() for value in module.state_dict().values()) < 2_000_000
    assert AttributeJudge(names=NAMES, widths=(8, 8, 8), features=8)(torch.zeros(1, 3, 128, 128)).shape == (
        1,
        41,
    ), "128 px too"
    embedded = IdentityNetwork(widths=(8, 8, 8), features=8)(torch.randn(3, 3, 64, 64))
    assert torch.allclose(embedded.norm(dim=1), torch.ones(3))


def test_auc_is_the_share_of_pairs_in_the_right_order():
    logits, labels = torch.randn(30, 2), (torch.rand(30, 2) < 0.5).long()
    labels[:, 1] = 1
    having, lacking = logits[labels[:, 0] == 1, 0], logits[labels[:, 0] == 0, 0]
    pairs = (having[:, None] > lacking).double().mean().item()
    assert attribute_judge.auc(logits, labels, ("A", "B")) == {"A": pytest.approx(pairs), "B": None}
    rounded = logits[:, 0].round()
    having, lacking = rounded[labels[:, 0] == 1], rounded[labels[:, 0] == 0]
    halves = ((having[:, None] > lacking).double() + 0.5 * (having[:, None] == lacking)).mean().item()
    assert attribute_judge.area(rounded, labels[:, 0].bool()) == pytest.approx(halves)


def test_a_shift_moves_each_picture_by_itself():
    images = torch.zeros(50, 9, 9, 3, dtype=torch.uint8)
    images[:, 4, 4] = 255
    places = attribute_judge.shifted(images, 2)[..., 0].nonzero()
    assert (
        len(places) == 50 and (places[:, 1:] - 4).abs().max() == 2 and len(places[:, 1:].unique(dim=0)) > 15
    )
    edge = torch.arange(9, dtype=torch.uint8)[None, :, None, None].expand(1, 9, 9, 3)
    assert attribute_judge.shifted(edge, 0).equal(edge)
    assert set(attribute_judge.shifted(edge, 3)[0, :, 0, 0].diff().tolist()) <= {0, 1}


def test_arcface_asks_for_a_margin():
    cosines, people = torch.tensor([[0.5, 0.2, -0.1]]), torch.tensor([0])
    assert identity.arcface(cosines, people, 4.0, 0.0).item() == pytest.approx(
        F.cross_entropy(4 * cosines, people).item(), abs=1e-5
    )
    asked = torch.tensor([[np.cos(np.arccos(0.5) + 0.3), 0.2, -0.1]])
    assert identity.arcface(cosines, people, 4.0, 0.3).item() == pytest.approx(
        F.cross_entropy(4 * asked, people).item(), abs=1e-5
    )


# Identities


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """3 identities of 4 pictures to learn from, 2 in the other splits."""
    folder = tmp_path_factory.mktemp("identities")
    words = ["--identities", "3", "--each", "4", "--heldout", "8", "--processes", "1", "--seed", "5"]
    data.main(parse(["data", "--domain", "synthfaces", "--data", str(folder), *words]))
    return folder


def test_an_identity_has_many_faces(people):
    faces = files.load_faces(people, "train")
    shown = faces.source.people()
    assert [person.identity for person in shown] == [(15, i // 4) for i in range(12)]
    assert len({person.nuisance for person in shown}) == len({person.strengths for person in shown}) == 12
    assert not any(person.has("Blurry") for person in shown) and len({person.labels for person in shown}) > 6
    assert (faces.images[7] == render(faces.source.people(7, 1)[0])).all()
    with safe_open(people / "train.safetensors", "pt") as held:
        assert held.get_tensor("identities").tolist() == [i // 4 for i in range(12)]
    assert len(files.load_faces(people, "test").images) == 8


def test_pictures_of_everybody_are_the_ones_they_were_before_there_were_identities():
    source = files.Source(10, 3, 64, 1.0, 0.0)
    assert set(source.metadata()) == {"n", "seed", "resolution", "bias", "flat", "domain", "version", "names"}
    assert source.people() == sample(10, 3)


def test_the_network_of_identities_is_trained_and_measured(people, tmp_path):
    words = [
        "identity",
        "--data",
        str(people),
        "--run",
        str(tmp_path / "run"),
        "--widths",
        "8",
        "8",
        "8",
        "--features",
        "16",
        "--batch",
        "9",
    ]
    chosen = parse(
        [*words, "--embedding", "8", "--kept-back", "1", "--steps", "30", "--oracles", "2", "--device", "cpu"]
    )
    identity.main(replace(chosen, max_minutes=0.0))
    identity.main(chosen)
    config = json.loads((chosen.run / "config.json").read_text())
    metrics = config["metrics"]
    assert config["training"]["split"] == "train" and (
        metrics["known"]["identities"],
        metrics["known"]["n"],
    ) == (3, 3)
    assert metrics["test"]["identities"] == 2 and 0 <= metrics["test"]["top_1"] <= 1
    assert metrics["oracle"]["mean"] > metrics["test"]["other"]["mean"], (
        "an oracle leaves more of a face than another person has"
    )
    assert metrics["oracle"]["by_attribute"]["Smiling"] <= 1.0001 and metrics["oracle"]["n"] > 40
    network = IdentityNetwork.from_pretrained(chosen.run)
    shown = files.load_faces(people, "test")
    assert identity.recognised(network, shown, chosen) == metrics["test"]


def test_faces_of_nobody_twice_are_refused(tmp_path):
    data.main(
        parse(
            [
                "data",
                "--domain",
                "synthfaces",
                "--data",
                str(tmp_path),
                "--train",
                "2",
                "--heldout",
                "1",
                "--processes",
                "1",
            ]
        )
    )
    with pytest.raises(ValueError, match="train has 1 pictures of each identity, more than 3"):
        identity.main(identity.Options(data=tmp_path, run=tmp_path / "run", device="cpu"))
    with pytest.raises(ValueError, match="n = 9, each = 4"):
        files.check(files.Source(9, 0, 64, 1, 0, 4))
    for words, message in (
        ("--identities 3 --each 1", "--each 1"),
        ("--identities 3 --train 9", "--train 9"),
    ):
        with pytest.raises(ValueError, match=message):
            data.main(
                parse(["data", "--domain", "synthfaces", "--data", str(tmp_path / "new"), *words.split()])
            )
    with pytest.raises(ValueError, match="--identities 3 are for faces"):
        data.main(data.Options(data=tmp_path / "new", identities=3))


def test_oracles_are_those_that_change_one_thing():
    shown = sample(300, 2)
    rows, edited = oracles.edited(shown, "Blond_Hair")
    assert len(edited) == len(rows) and all(
        shown[i].has("Blond_Hair") != flipped.has("Blond_Hair")
        for i, flipped in zip(rows, edited, strict=True)
    )
    assert {i for i, person in enumerate(shown) if person.has("Bald")}.isdisjoint(rows), "hair would come too"
    assert any(shown[i].has("Brown_Hair") for i in rows), "one colour for another"
    rows, edited = oracles.edited(shown, "Eyeglasses")
    assert rows == list(range(300))
    curly = {i for i, person in enumerate(shown) if person.has("Wavy_Hair")}
    assert curly.isdisjoint(oracles.edited(shown, "Bald")[0])


# Codes


def test_codes_of_rendered_faces_bring_their_labels(people, tmp_path):
    encoder = Encoder(
        resolution=64, img_channels=3, w_dim=8, num_ws=10, widths=(8, 8, 8, 8), pyramid=8, head=4
    )
    made = {
        "kind": "encoder",
        "domain": "synthfaces",
        "architecture": encoder.config,
        "base_revision": {"generator": "a" * 64},
    }
    save_folder(tmp_path / "encoder", made, encoder.state_dict())
    words = [
        "codes",
        "--data",
        str(people),
        "--encoder",
        str(tmp_path / "encoder"),
        "--run",
        str(tmp_path / "codes"),
    ]
    codes.main(parse([*words, "--train", "10", "--device", "cpu"]))
    found, base = codes.load_codes(tmp_path / "codes", "train")
    shown = files.load_faces(people, "train")
    assert found.names == NAMES and found.domain == "synthfaces" and base["generator"] == "a" * 64
    assert found.w.shape == (10, 10, 8) and found.numbers.tolist() == shown.labels[:10].tolist()
    assert len(codes.load_codes(tmp_path / "codes", "test")[0].w) == 8
