"""Codes of a data folder: the encoder's, with labels and Domain; a stopped run resumes."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from lwgan.domain import plain_domain
from lwgan.encoder import Encoder
from lwgan.files import save_folder
from trainers import codes as stage
from trainers import run
from trainers.codes import Codes, encode, load_codes, save_codes
from trainers.shards import SPLITS, UNKNOWN, load_split, write_dataset, write_shard

DOMAIN = plain_domain("shoes", ("Laces", "Toe"))
SIZES = {"train": 14, "validation": 4, "test": 4}
GENERATOR = "a" * 64


@pytest.fixture(autouse=True)
def unlocked():
    yield
    run.release()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    net = Encoder(
        resolution=64, img_channels=3, w_dim=16, num_ws=10, widths=(8, 8, 16, 16), pyramid=16, head=8
    )
    config = {"kind": "encoder", "architecture": net.config, "base_revision": {"generator": GENERATOR}}
    save_folder(folder, config, net.state_dict())
    return folder


@pytest.fixture
def data(tmp_path):
    folder, generator = tmp_path / "data", torch.Generator().manual_seed(0)
    for split, n in SIZES.items():
        images = torch.randint(0, 256, (n, 3, 64, 64), generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, 2, (n, 2), generator=generator, dtype=torch.uint8)
        write_shard(folder, split, 0, images, labels)
    write_dataset(folder, DOMAIN, SIZES, bias=0.5)
    return folder


def make(data, encoder, target, **options):
    stage.main(stage.Options(data, encoder, target, device="cpu", **options))
    run.release()


def test_codes_are_the_encoders_and_carry_labels_domain_and_facts(data, encoder, tmp_path):
    make(data, encoder, tmp_path / "codes", train=12)
    net = Encoder.from_pretrained(encoder)
    for split in SPLITS:
        codes, base = load_codes(tmp_path / "codes", split)
        pictures, n = load_split(data, split), 12 if split == "train" else 4
        w = net(pictures.images[:n].float() / 127.5 - 1)
        torch.testing.assert_close(codes.w, w, atol=2e-3, rtol=2e-3)  # stored in half precision
        assert torch.equal(codes.labels, pictures.labels[:n])
        assert codes.domain == DOMAIN and codes.facts == {"bias": 0.5}
        assert base == {"encoder": net.card_config["weights"]["sha256"], "generator": GENERATOR}
    assert sorted(path.name for path in (tmp_path / "codes").iterdir() if path.name[0] != ".") == [
        "options.json", "test.safetensors", "train.safetensors", "validation.safetensors",
    ]  # fmt: skip


def test_pictures_are_made_grey_for_an_encoder_of_one_channel():
    net = Encoder(
        resolution=64, img_channels=1, w_dim=16, num_ws=10, widths=(8, 8, 16, 16), pyramid=16, head=8
    )
    colours = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    grey = [Image.fromarray(picture.permute(1, 2, 0).numpy()).convert("L") for picture in colours]
    grey = torch.stack([torch.from_numpy(np.array(picture))[None] for picture in grey])
    torch.testing.assert_close(encode(net, colours), encode(net, grey), atol=2e-2, rtol=2e-2)


def test_pictures_of_another_size_are_scaled_to_the_encoders(encoder):
    net = Encoder.from_pretrained(encoder)
    small = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    large = F.interpolate(small.float(), (128, 128), mode="nearest").to(torch.uint8)
    assert (encode(net, large) - encode(net, small)).norm() < 0.2 * encode(net, small).norm()


def test_a_stopped_run_resumes_and_other_pictures_are_never_taken_for_these(
    data, encoder, tmp_path, monkeypatch
):
    encoded, really, target = [], stage.encode, tmp_path / "codes"

    def until_the_third(net, images):
        encoded.append(len(images))
        if len(encoded) == 3:
            raise KeyboardInterrupt
        return really(net, images)

    monkeypatch.setattr(stage, "PART", 5)
    monkeypatch.setattr(stage, "encode", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        make(data, encoder, target)
    run.release()
    make(data, encoder, target)
    assert encoded == [5, 5, 4, 4, 4, 4], "the first two parts were kept"
    make(data, encoder, target)
    assert len(encoded) == 6, "all was there"
    once = load_codes(target, "train")[0].w
    write_shard(
        data, "train", 0, torch.zeros(13, 3, 64, 64, dtype=torch.uint8), torch.zeros(13, 2, dtype=torch.uint8)
    )
    write_dataset(data, DOMAIN, SIZES | {"train": 13}, bias=0.5)
    make(data, encoder, target)
    assert len(encoded) == 11 and not torch.equal(load_codes(target, "train")[0].w[:13], once[:13])


def test_an_encoder_that_names_no_generator_is_refused(data, encoder, tmp_path):
    shutil.copytree(encoder, tmp_path / "encoder")
    config = json.loads((encoder / "config.json").read_text())
    (tmp_path / "encoder" / "config.json").write_text(json.dumps(config | {"base_revision": None}))
    with pytest.raises(ValueError, match="does not say for which generator"):
        make(data, tmp_path / "encoder", tmp_path / "codes")
    assert not (tmp_path / "codes").exists()


def test_pictures_of_other_channels_are_refused(data, encoder, tmp_path):
    for split, n in SIZES.items():
        images, labels = torch.zeros(n, 1, 64, 64, dtype=torch.uint8), torch.zeros(n, 2, dtype=torch.uint8)
        write_shard(data, split, 0, images, labels)
    with pytest.raises(ValueError, match="pictures of 1 channels, the encoder takes 3"):
        make(data, encoder, tmp_path / "codes")


def codes_of(*labels) -> Codes:
    return Codes(
        torch.arange(len(labels)).float()[:, None, None], torch.tensor(labels, dtype=torch.uint8), DOMAIN
    )


def test_unknown_labels_belong_to_neither_side():
    codes = codes_of((1, 0), (0, 1), (UNKNOWN, 1), (0, UNKNOWN))
    change = DOMAIN.change("Laces")
    assert codes.source(change).w.flatten().tolist() == [1, 3] and codes.target(
        change
    ).w.flatten().tolist() == [0]
    assert codes.has("Toe").tolist() == [False, True, True, False] and codes.column("Toe").tolist() == [
        0,
        1,
        1,
        255,
    ]
    assert codes.meets({"Laces": False, "Toe": True}).tolist() == [False, True, False, False]
    with pytest.raises(ValueError, match="label 'laces' is unknown: did you mean 'Laces'"):
        codes.has("laces")


def test_codes_on_disk_are_whole_or_refused(tmp_path):
    save_codes(
        tmp_path / "train.safetensors",
        codes_of((1, 0), (0, 255)),
        {"encoder": "b" * 64, "generator": GENERATOR},
    )
    codes, base = load_codes(tmp_path, "train")
    assert codes.labels.tolist() == [[1, 0], [0, 255]] and base["generator"] == GENERATOR
    (tmp_path / "train.safetensors").write_bytes(b"cut short")
    with pytest.raises(ValueError, match="is damaged"):
        load_codes(tmp_path, "train")
    with pytest.raises(FileNotFoundError, match="test.safetensors is missing"):
        load_codes(tmp_path, "test")
