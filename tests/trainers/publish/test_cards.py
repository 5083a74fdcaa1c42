"""Cards of rendered faces: the nets that read them, and edits of attributes; made of toy nets and of figures as their stages write them."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from lwgan.edit import AffineEdit
from lwgan.encoder import Encoder
from lwgan.generator import Generator
from lwgan.hub import registry
from lwgan.judges import AttributeJudge, IdentityNetwork, LatentClassifier
from trainers import attribute_judge, identity, publish
from trainers import run as run_folder

NAMES, NUM_WS, W_DIM = ("Bangs", "Eyeglasses", "No_Beard", "Smiling"), 10, 16
SOME = {"value": 0.8125, "low": 0.7625, "high": 0.8625, "n": 321}
AREAS = {
    f"{where}{split}_auc": {"Bangs": 0.9871, "Eyeglasses": 0.9992, "No_Beard": 0.8765, "Smiling": None}
    for where in ("", "also_") for split in ("validation", "test")
}  # fmt: skip
COSINES = {"mean": 0.9123, "low": 0.8234, "high": 0.9876, "n": 456}
RECOGNISED = {
    "top_1": 0.9345,
    "identities": 77,
    "n": 231,
    "same": COSINES,
    "other": COSINES | {"mean": 0.1234},
}
PEOPLE = {
    "known": RECOGNISED,
    "validation": RECOGNISED,
    "test": RECOGNISED | {"top_1": 0.8345, "other": None},
}
ORACLE = {"oracle": COSINES | {"by_attribute": {"Bangs": 0.8888, "Eyeglasses": 0.7777}}}
POINT = {
    "alpha": 0.5,
    "norm": 1.25,
    "target_change": 0.4375,
    "attribute_preservation": 0.9375,
    "true_change": 0.40625,
    "identity": 0.84375,
}
RATES = {
    "alpha": 1.5,
    "norm": 3.75,
    "target_change": SOME,
    "attribute_preservation": SOME,
    "true_change": SOME,
    "identity": SOME,
}
LEAKAGE = {"Bangs": 0.0312, "No_Beard": -0.2187, "Smiling": 0.0}
CHOICE = [{"alpha": 0.25, "target_change": 0.2188, "attribute_preservation": 0.9688, "true_change": 0.2031}]


def options_of(stage, **values) -> dict:
    return run_folder.as_json(stage.Options(data=Path("people"), run=Path("run"), **values)) | {
        "split": "train"
    }


@pytest.fixture
def shelf(tmp_path):
    """Nets and an edit of rendered faces in folders as the stages write them."""
    folder, size = tmp_path / "shelf", {"widths": (8, 8, 8), "features": 8}
    generator = Generator(resolution=64, w_dim=W_DIM, channels=(16, 16, 16, 8, 8), z_dim=16, mapping_layers=2)
    encoder = Encoder(
        resolution=64, img_channels=3, w_dim=W_DIM, num_ws=NUM_WS, widths=(8, 8, 16, 16), pyramid=16, head=8
    )
    made = {
        "generator": (generator, {"metrics": {"samples": 100, "relative_frechet_distance": 0.0321}}),
        "encoder": (encoder, {"metrics": {"mean_squared_error": 0.0054, "attributes_read_as_in_the_picture": 0.9567, "identity": 0.7654}}),
        "attribute-judge": (AttributeJudge(names=NAMES, **size),
                            {"resolution": 64, "metrics": AREAS, "training": options_of(attribute_judge, also=Path("faces"))}),
        "identity": (IdentityNetwork(**size, embedding=4), {"metrics": PEOPLE | ORACLE, "training": options_of(identity, margin=0.25)}),
        "latent-classifier": (LatentClassifier(num_ws=NUM_WS, w_dim=W_DIM, outputs=4, hidden=(8, 8)),
                              {"names": list(NAMES), "metrics": {"accuracy": 0.9012, "commoner_answer": 0.7531}}),
    }  # fmt: skip
    for kind, (net, more) in made.items():
        config = {"kind": kind, "domain": "synthfaces", "architecture": net.config} | more
        registry.save_folder(folder / f"lwgan-synthfaces-{kind}", config, net.state_dict())
    base = {
        kind: run_folder.weights_hash(folder / f"lwgan-synthfaces-{kind}")
        for kind in ("generator", "encoder")
    }
    name = folder / "lwgan-synthfaces-lw-eyeglasses"
    config = {"method": "lw", "attribute": "eyeglasses", "from": "not eyeglasses", "to": "eyeglasses", "domain": "synthfaces", "bias": 1.0,
              "alpha": 1.5, "base_revision": base, "curve": CHOICE,
              "training": {"codes": "codes", "attribute": "Eyeglasses", "run": "lw-eyeglasses", "method": {"seed": 7}}}  # fmt: skip
    AffineEdit(torch.randn(NUM_WS, W_DIM, W_DIM) / 4, torch.randn(NUM_WS, W_DIM), config).save_pretrained(
        name
    )
    metrics = {"of": {"edit": run_folder.weights_hash(name)}, "command": "python -m trainers evaluate --domain synthfaces",
               "d": 0.75, "d_reached": True, "chosen": RATES, "curve": [POINT | {"alpha": 0.0, "true_change": None}, POINT],
               "matched": RATES | {"alpha": 1.125, "leakage": LEAKAGE, "oracle": {"features": SOME, "identity": SOME, "outside": None}}}  # fmt: skip
    (name / "metrics.json").write_text(json.dumps(metrics))
    (name / "images").mkdir()
    Image.new("RGB", (8, 8)).save(name / "images" / "strip.png")
    return folder


@pytest.fixture
def cards(shelf):
    """What a dry run writes: kind (of an edit: edit) -> card."""
    publish.main(
        publish.Options(
            shelf, "lab", dry_run=True, target=shelf.parent / "hub", code="https://example.org/lwgan"
        )
    )
    cards = {
        path.parent.name.removeprefix("lwgan-synthfaces-"): path.read_text()
        for path in (shelf.parent / "hub/lab").glob("*/README.md")
    }
    cards["edit"] = cards.pop("lw-eyeglasses")
    return cards


def head(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def measured(text: str) -> dict:
    return {
        metric["type"]: metric["value"] for metric in head(text)["model-index"][0]["results"][0]["metrics"]
    }


def test_every_kind_has_a_card_that_says_what_it_is_of_and_whose_the_data_are(cards):
    assert sorted(cards) == [
        "attribute-judge",
        "edit",
        "encoder",
        "generator",
        "identity",
        "latent-classifier",
    ]
    for kind, text in cards.items():
        body = text.split("---\n", 2)[2]
        assert "MakeHuman" in body and "CC0" in body and "rendered faces" in body, kind
        assert not re.search(
            r"digit|MNIST|synthfaces (picture|face)|{{|{%|\n\n\n|Undefined",
            re.sub(r"```.*?```", "code", body, flags=re.DOTALL),
        ), kind
        assert (
            "`git clone https://example.org/lwgan`, in its folder `pip install -r requirements.txt`" in body
        )
        meta = head(text)
        assert (
            meta["license"] == "apache-2.0"
            and {"lwgan", "domain:synthfaces"} <= set(meta["tags"])
            and "datasets" not in meta
        )
        assert (meta.get("base_model_relation") == "adapter") == (kind == "edit")
    assert head(cards["attribute-judge"])["pipeline_tag"] == "image-classification"
    assert head(cards["identity"])["pipeline_tag"] == "image-feature-extraction"


def test_a_judge_of_attributes_says_how_well_it_reads_each(cards):
    text = cards["attribute-judge"]
    assert "| attribute | validation auc | test auc | also validation auc | also test auc |" in text
    assert (
        "| No Beard | 0.8765 | 0.8765 | 0.8765 | 0.8765 |" in text
        and "| Smiling | none | none | none | none |" in text
    )
    assert measured(text) == {
        "test_auc/Bangs": 0.9871,
        "test_auc/Eyeglasses": 0.9992,
        "test_auc/No_Beard": 0.8765,
    }
    assert "python -m trainers attribute-judge --data people --run run --also faces" in text


def test_the_network_that_knows_people_says_whom_it_recognises_and_how_alike_they_are(cards):
    text = cards["identity"]
    assert (
        "| of the validation split | 77 | 231 | 0.9345 | 0.9123 (0.8234 to 0.9876) | 0.1234 (0.8234 to 0.9876) |"
        in text
    )
    assert "| of the test split | 77 | 231 | 0.8345 | 0.9123 (0.8234 to 0.9876) | none |" in text
    assert "| all | 0.9123 (0.8234 to 0.9876) |" in text and "| Eyeglasses | 0.7777 |" in text
    told = {
        "test/top_1": 0.8345,
        "test/same/mean": 0.9123,
        "oracle/mean": 0.9123,
        "oracle/by_attribute/Bangs": 0.8888,
    }
    assert measured(text) == told | {"oracle/by_attribute/Eyeglasses": 0.7777}
    assert "--margin 0.25" in text


def test_an_edit_of_an_attribute_says_what_it_leaks_and_how_near_the_truth_it_comes(cards):
    text = cards["edit"]
    assert "An edit of rendered faces, from **not eyeglasses** to **eyeglasses**" in text
    assert (
        "**read more often (or, with a minus, less) than before**, where edits are compared: No Beard -0.2187, Bangs 0.0312\n"
        in text
    )
    assert (
        "**true change 0.8125** (0.7625 to 0.8625): it is there, times the share of all other attributes"
        in text
    )
    assert "| oracle / features | 0.8125 | 0.7625 to 0.8625 | 321 |" in text and "| alpha | 1.125 |" in text
    assert (
        "- features: distance of the judge's features to the oracle" in text
        and "for pictures labelled not eyeglasses" in text
    )
    assert "read by the judge that may choose" in text and "| 0.25 | 0.2188 | 0.9688 | 0.2031 |" in text
    assert "Smiling" not in text.split("## How to use")[0]
    assert head(text)["base_model"] == "lab/lwgan-synthfaces-generator"


def test_the_snippets_of_faces_run_on_what_was_published(shelf, hub, cards, tmp_path, monkeypatch, capsys):
    publish.main(publish.Options(shelf, "lab"))
    monkeypatch.chdir(tmp_path)
    for name in ("face", "one", "other"):
        Image.new("RGB", (100, 100), {"face": "grey", "one": "white", "other": "teal"}[name]).save(
            f"{name}.png"
        )
    for text in cards.values():
        code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
        assert len(code.strip().splitlines()) <= 5
        exec(code, {})
    said = capsys.readouterr().out
    judge = AttributeJudge.from_pretrained(shelf / "lwgan-synthfaces-attribute-judge")
    network = IdentityNetwork.from_pretrained(shelf / "lwgan-synthfaces-identity")
    plain = lambda colour: torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 64, 64) / 127.5 - 1
    seen = [
        name for name, logit in zip(NAMES, judge(plain((128.0, 128.0, 128.0)))[0], strict=True) if logit > 0
    ]
    alike = (network(plain((255.0, 255.0, 255.0))) * network(plain((0.0, 128.0, 128.0)))).sum().item()
    assert str(seen) in said and abs(float(re.search(r"cosine (\S+)", said)[1]) - alike) < 1e-4
    for name in ("sample", "reconstruction", "edited"):
        assert Image.open(f"{name}.png").size == (64, 64)


@pytest.mark.parametrize(
    "code", ["file:///home/me/lwgan", "https://a b", "javascript:alert(1)", "https://x/y`; rm"]
)
def test_an_address_that_is_none_is_not_told(shelf, code):
    with pytest.raises(ValueError, match="--code .* is no address"):
        publish.main(publish.Options(shelf, "lab", dry_run=True, target=shelf.parent / "hub", code=code))
