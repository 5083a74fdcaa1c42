"""The edit stage: every method on codes of digits and of labels, what the config says, what is refused."""

import json

import pytest
import torch

from lwgan.domain import change_of, plain_domain
from lwgan.edit import AffineEdit
from lwgan.generator import Generator
from lwgan.hub.registry import save_folder
from lwgan.judges import LatentClassifier
from tests.nets import NUM_WS, W_DIM, made_for, make_registry
from trainers import edit as stage
from trainers.__main__ import parse
from trainers.codes import Codes, save_codes
from trainers.datasets.multimnist import DOMAIN as DIGITS
from trainers.datasets.multimnist import labels_of

GENERATOR, JUDGE = "lwgan-multimnist-generator", "lwgan-multimnist-judge"
PEOPLE = plain_domain("people", ("Bangs", "Eyeglasses", "Smiling"))
CHANGES = {"digits": DIGITS.change("2to3"), "labels": change_of("Eyeglasses")}


def counted(n: int, seed: int, name: str) -> Codes:
    """1 to 4 digits in turn, each of which moves the code by 2 along axis 0 of each layer. As labels: whether
    there are more than two, and two tosses of a coin."""
    generator = torch.Generator().manual_seed(seed)
    count = torch.arange(n) % 4 + 1
    w = torch.randn(n, NUM_WS, W_DIM, generator=generator) / 2
    w[:, :, 0] += 2 * count[:, None]
    if name == "labels":
        coins = torch.randint(0, 2, (n, 2), generator=generator)
        labels = torch.stack([coins[:, 0], (count > 2).long(), coins[:, 1]], 1)
        return Codes(w, labels.to(torch.uint8), PEOPLE, {"bias": 0.5})
    numbers = torch.cat([count[:, None], torch.zeros(n, 9, dtype=torch.long)], 1)
    return Codes(w, torch.from_numpy(labels_of(numbers.numpy())), DIGITS)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Nets, codes of digits and of labels, and a classifier of each that reads axis 0 as the edited label."""
    folder = make_registry(tmp_path_factory.mktemp("shelf"))
    base = {kind: made_for(folder / f"lwgan-multimnist-{kind}") for kind in ("encoder", "generator")}
    for name, change in CHANGES.items():
        (folder / name).mkdir()
        for seed, (split, n) in enumerate({"train": 1000, "validation": 80}.items()):
            save_codes(folder / name / f"{split}.safetensors", counted(n, seed, name), base)
        names = PEOPLE.attributes if name == "labels" else DIGITS.attributes[:4]
        classifier = LatentClassifier(num_ws=NUM_WS, w_dim=W_DIM, outputs=len(names), hidden=(8, 8))
        fit_classifier(classifier, counted(1000, 0, name), names.index(change.label))
        config = {"kind": "latent-classifier", "domain": "toys", "architecture": classifier.config}
        config |= {"names": list(names), "base_revision": base}
        save_folder(folder / f"f-{name}", config, classifier.state_dict())
    return folder


def fit_classifier(classifier: LatentClassifier, codes: Codes, k: int) -> None:
    adam, truth = torch.optim.Adam(classifier.parameters(), 1e-2), (codes.w[:, :, 0].mean(1) > 5).float()
    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(classifier(codes.w)[:, k], truth)
        adam.zero_grad()
        loss.backward()
        adam.step()


@pytest.fixture
def run(shelf, tmp_path):
    """run(name, *words): the stage on the codes `name`; words that name a folder of the shelf become its
    path."""

    def run(name: str, *words: str) -> AffineEdit:
        change, folder = CHANGES[name].name, tmp_path / "run"
        start = ["edit", "--codes", str(shelf / name), "--change", change, "--run", str(folder)]
        stage.main(parse([*start, *(str(shelf / w) if (shelf / w).exists() else w for w in words)]))
        return AffineEdit.from_pretrained(folder)

    return run


LW = ["lw", "--steps", "5", "--starts", "1", "--batch", "60", "--validation-codes", "20"]
METHODS = {
    "lw": [*LW, "--preservation-weight", "1", "--classifier", "F"],
    "lt": ["lt", "--classifier", "F", "--epochs", "2"],
    "interfacegan": ["interfacegan", "--classifier", "F", "--share", "0.1"],
    "ganspace": ["ganspace", "--components", "5"],
    "sefa": ["--generator", GENERATOR, "sefa"],
    "steerability": [
        "--generator",
        GENERATOR,
        "steerability",
        "--components",
        "8",
        "--layers",
        "0",
        "1",
        "2",
    ],
    "guided": ["--generator", GENERATOR, "guided", "--steps", "2", "--batch", "4", "--guide-steps", "2"],
    "centroids": ["centroids"],
    "random": ["random", "--seed", "3"],
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_through_the_stage(run, shelf, method, name):
    words = [word.replace("F", f"f-{name}") if word == "F" else word for word in METHODS[method]]
    edit, change = run(name, *words), CHANGES[name]
    assert set(METHODS) == set(stage.METHODS) and edit.config["method"] == method
    assert edit.config["change"]["name"] == change.name and edit.config["alpha"] == 1.0
    assert edit.config["training"]["training_codes"] == 1000
    assert edit.config["training"]["facts"] == ({"bias": 0.5} if name == "labels" else {})
    assert ("classifier_revision" in edit.config) == ("F" in METHODS[method])
    source = counted(100, 5, name).source(change).w
    assert edit.direction(source).norm() > 0
    if method in ("lw", "interfacegan", "ganspace", "centroids"):
        moved = (edit(source) - source).mean((0, 1))
        assert moved[0] > 0.1 and moved[0] == moved.abs().max(), "along axis 0 of each layer"


def test_the_config_says_what_a_selector_chose(run, shelf):
    config = run("labels", "--selector", "f-labels", "centroids").config
    assert config["selector_revision"] == made_for(shelf / "f-labels")
    assert config["validation"]["alpha"] == config["alpha"] and config["validation"]["target_change"] > 0.9
    assert config["strength"]["reach"] == 0.8 and 0 < config["strength"]["unit"] <= config["alpha"]
    assert config["domain"] == "people" and config["base_revision"]["generator"] == made_for(
        shelf / GENERATOR
    )


def test_defaults_that_depend_on_the_change_are_recorded_as_used(run):
    method = run("digits", *LW).config["training"]["method"]
    assert (method["kappa"], method["rank"], method["solver"], method["steps"]) == (2.0, 4, "partial", 5)


def test_a_judge_may_guide_and_is_named_but_does_not_choose(run, shelf):
    words = ["--generator", GENERATOR, "guided", "--steps", "2", "--batch", "4", "--guide", JUDGE]
    with pytest.raises(ValueError, match="takes part in the training"):
        run("digits", "--selector", JUDGE, *words)
    config = run("digits", *words).config
    assert config["judge_revision"] == made_for(shelf / JUDGE) and "guide_accuracy" not in config


def test_edited_layers_may_be_the_first_alone(run):
    edit = run("digits", "--layers", "3", *LW)
    assert edit.bias[3:].abs().max() == 0 == edit.weight[3:].abs().max() and edit.bias[:3].abs().min() > 0


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("digits", ["lt"], "lt needs --classifier"),
        ("digits", ["lt", "--classifier", "f-labels"], "'Bangs', which the codes are not labelled with"),
        ("digits", ["centroids", "--masses", "match", "--balance", "Smiling"], "label 'Smiling' is unknown"),
        ("labels", ["centroids", "--masses", "match", "--balance", "Smilling"], "did you mean 'Smiling'"),
        ("labels", ["interfacegan", "--condition", "Eyeglasses"], "is the edited label itself"),
        ("labels", ["interfacegan", "--share", "0.7"], "--share 0.7"),
        ("labels", ["ganspace", "--components", "161"], "is 161: 1000 codes of 160 numbers have 1 to 160"),
        ("digits", ["--generator", GENERATOR, "sefa", "--layers", "10"], "the code has layers 0 to 9"),
        ("digits", ["--generator", GENERATOR, "steerability", "--components", "17"], "layers have 1 to 16"),
        *(("digits", [method], "needs the codes'") for method in ("sefa", "steerability", "guided")),
        ("digits", ["--generator", "nowhere", "sefa"], "nowhere: there is no such folder"),
        ("labels", ["--generator", GENERATOR, "guided", "--guide", JUDGE], "does not read 'Eyeglasses'"),
        ("digits", ["--generator", GENERATOR, "guided", "--guide", GENERATOR], "expected 'judge'"),
        ("digits", ["--layers", "0", "centroids"], "--layers is 0: these codes have 1 to 10"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_a_run_begins(run, tmp_path, name, words, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(name, *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learning-rate", "1e4"], "no step lowered the loss"),
        (["--learning-rate", "1e30"], "the training failed"),
    ],
)
def test_a_training_that_failed_leaves_no_edit(run, tmp_path, words, message):
    with pytest.raises(ValueError, match=message):
        run("digits", *LW, *words)
    assert not list((tmp_path / "run").glob("*.safetensors")), "and nothing partial"
    assert not (tmp_path / "run" / "config.json").exists()


def test_an_edit_that_moves_nothing_is_not_written(run, tmp_path, monkeypatch):
    still = AffineEdit(None, torch.zeros(NUM_WS, W_DIM))
    monkeypatch.setattr(stage.METHODS["centroids"], "fit", lambda *_: still)
    with pytest.raises(ValueError, match="moves no code"):
        run("digits", "centroids")
    assert not (tmp_path / "run" / "config.json").exists()


def test_nets_of_other_codes_are_refused(run, shelf, tmp_path):
    generator = Generator.from_pretrained(shelf / GENERATOR)
    config = {"kind": "generator", "domain": "multimnist", "architecture": generator.config}
    save_folder(tmp_path / "other", config, {key: value + 1 for key, value in generator.state_dict().items()})
    with pytest.raises(ValueError, match="the codes' generator"):
        run("digits", "--generator", str(tmp_path / "other"), "centroids")
    config = json.loads((shelf / "f-digits" / "config.json").read_text())
    config["base_revision"] = {"encoder": "f" * 64, "generator": "f" * 64}
    state = LatentClassifier.from_pretrained(shelf / "f-digits").state_dict()
    save_folder(tmp_path / "f", config, state)
    with pytest.raises(ValueError, match=r"was trained on codes of nets .*ffff.*, these come from"):
        run("digits", "lt", "--classifier", str(tmp_path / "f"))


BASE = {"encoder": "e" * 64, "generator": "a" * 64}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "train.safetensors").unlink(), "train.safetensors is missing"),
        (lambda folder: (folder / "train.safetensors").write_bytes(b"nonsense"), "is damaged"),
        (lambda folder: save(folder, "validation", 80, base=BASE | {"encoder": "f" * 64}), "come from nets"),
        (lambda folder: save(folder, "validation", 80, name="digits"), "are labelled differently"),
        (lambda folder: save(folder, "train", 12), "the train codes hold 6 source pictures, at least 10"),
    ],
)
def test_bad_codes_are_refused_and_leave_no_run(tmp_path, damage, message):
    (tmp_path / "codes").mkdir()
    for split in ("train", "validation"):
        save(tmp_path / "codes", split, 80)
    damage(tmp_path / "codes")
    words = [
        "edit",
        "--codes",
        str(tmp_path / "codes"),
        "--change",
        "Eyeglasses",
        "--run",
        str(tmp_path / "run"),
    ]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        stage.main(parse(words))
    assert not (tmp_path / "run").exists()


def save(folder, split: str, n: int, name: str = "labels", base: dict = BASE) -> None:
    save_codes(folder / f"{split}.safetensors", counted(n, 0, name), base)


def test_an_unknown_change_names_the_nearest(tmp_path):
    for split in ("train", "validation"):
        save(tmp_path, split, 80)
    for change, words in (("Smilling", "did you mean 'Smiling'"), ("1to2", "'1to2' is unknown")):
        with pytest.raises(ValueError, match=words):
            stage.main(
                parse(["edit", "--codes", str(tmp_path), "--run", str(tmp_path / "run"), "--change", change])
            )


# How a map is stored


def test_maps_are_stored_in_factors_where_codes_do_not_tell_the_difference():
    w_dim, n = 64, 200
    full = AffineEdit(torch.randn(3, w_dim, w_dim), torch.randn(3, w_dim))
    anywhere = torch.randn(n, 3, w_dim)
    assert stage.factored(full, anywhere) is full, "no factor can be spared"
    plane = torch.linalg.qr(torch.randn(w_dim, 10)).Q
    flat = anywhere @ plane @ plane.T
    stored = stage.factored(full, flat)
    assert stored.factors["out"].shape == (3, w_dim, 16), (
        "the next rank after the 10 directions in which codes vary"
    )
    wrong = [(stored(w) - full(w)).norm() for w in (flat, anywhere)]
    assert wrong[0] < stage.EXACT * flat.norm() < wrong[1]
    alike = AffineEdit(full.weight[:1].expand(3, -1, -1), full.bias)
    assert stage.factored(alike, flat) is alike, "one map for all layers is smaller still"


def test_layers_that_are_put_back_stay_as_they_were():
    whole, w = AffineEdit(torch.randn(3, 8, 8), torch.randn(3, 8)), torch.randn(5, 3, 8)
    cut = stage.first_layers(whole, 1)(w, 0.7)
    assert torch.equal(cut[:, 1:], w[:, 1:]) and torch.equal(cut[:, 0], whole(w, 0.7)[:, 0])
    assert stage.first_layers(whole, None) is whole
