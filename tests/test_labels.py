"""Codes with yes/no labels become edits, figures and cards: latent classifiers, lambda and masses, the recommended alpha, faces.sh."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from lwgan.attributes import CELEBA, PAPER
from PIL import Image

from lwgan import AffineEdit, EditingPipeline
from lwgan.judges import LatentClassifier
from tests.nets import NAMES, NUM_WS, W_DIM, made_for, make_faces_registry
from trainers import cards, evaluate_labels, latent_classifier, publish
from trainers import edit as edit_stage
from trainers.__main__ import STAGES, parse
from trainers.codes import Codes, save_codes
from trainers.edits import attribute_named, latent_wasserstein

# Codes to edits


def labelled(n: int, seed: int) -> Codes:
    """Codes whose every attribute is a shift of its own; Eyeglasses by 3 in the first coordinate."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(0, 2, (n, 3), generator=generator)
    w = torch.randn(n, NUM_WS, W_DIM, generator=generator)
    w[:, :, :3] += torch.tensor([2.0, 3.0, 4.0]) * numbers[:, None]
    return Codes(w, numbers, NAMES, "faces")


def test_source_lacks_the_attribute_and_target_has_it():
    codes = labelled(100, 0)
    for name, there in (("Eyeglasses", 1), ("not-Eyeglasses", 0)):
        attribute = attribute_named(name, NAMES)
        assert attribute.name == name
        assert (attribute.source(codes).numbers[:, 1] == 1 - there).all() and (
            attribute.target(codes).numbers[:, 1] == there
        ).all()
        assert len(attribute.source(codes).w) + len(attribute.target(codes).w) == 100
    assert attribute_named("not-Young", CELEBA).describe() == {
        "attribute": "not-young",
        "from": "young",
        "to": "not young",
    }
    with pytest.raises(ValueError, match="'Eyeglases' is unknown: did you mean 'Eyeglasses'"):
        attribute_named("not-Eyeglases", NAMES)
    with pytest.raises(ValueError, match="'Smiling': the codes hold the digits 0 to 9"):
        Codes(codes.w, codes.numbers).has("Smiling")


@pytest.mark.parametrize(
    "method", [["centroids"], ["lw", "--steps", "10", "--batch", "100", "--validation-codes", "60"]]
)
def test_an_edit_is_learned_from_codes_and_taken_by_the_pipeline(tmp_path, faces_registry, method):
    base = {kind: made_for(faces_registry / f"lwgan-faces-{kind}") for kind in ("encoder", "generator")}
    (tmp_path / "codes").mkdir()
    for seed, (split, n) in enumerate({"train": 600, "validation": 200}.items()):
        save_codes(tmp_path / "codes" / f"{split}.safetensors", labelled(n, seed), base)
    words = [
        "edit",
        "--codes",
        tmp_path / "codes",
        "--attribute",
        "Eyeglasses",
        "--run",
        tmp_path / "lwgan-faces-new",
        *method,
    ]
    edit_stage.main(parse([str(word) for word in words]))
    edit = AffineEdit.from_pretrained(tmp_path / "lwgan-faces-new")
    expected = torch.zeros(NUM_WS, W_DIM)
    expected[:, 1] = 3
    source = attribute_named("Eyeglasses", NAMES).source(labelled(200, 1)).w
    assert (edit.direction(source).mean(0) - expected).abs().max() < 0.5
    assert edit.config["attribute"] == "eyeglasses" and (edit.config["from"], edit.config["to"]) == (
        "not eyeglasses",
        "eyeglasses",
    )
    assert edit.config["domain"] == "faces" and edit.config["base_revision"] == base
    pipe = EditingPipeline.from_pretrained(faces_registry)
    pipe.add_edit("lwgan-faces-new", edit)
    assert "lwgan-faces-new" in pipe.edits


def test_an_edit_of_what_nobody_named_is_refused_and_leaves_no_run(tmp_path):
    (tmp_path / "codes").mkdir()
    for split in ("train", "validation"):
        save_codes(
            tmp_path / "codes" / f"{split}.safetensors",
            labelled(60, 0),
            {"encoder": "e" * 64, "generator": "a" * 64},
        )
    for more, words in ((("Smilling",), "did you mean 'Smiling'"), (("1to2",), "'1to2' is unknown")):
        options = parse(
            ["edit", "--codes", str(tmp_path / "codes"), "--run", str(tmp_path / "run"), "--attribute", *more]
        )
        with pytest.raises(ValueError, match=words):
            edit_stage.main(options)
        assert not (tmp_path / "run").exists()


# Lambda and masses (Sec. 3.2, Eq. 5)


BASE = {"encoder": "e" * 64, "generator": "a" * 64}


def entangled(n: int, seed: int) -> Codes:
    """As `labelled`, but four in five with Eyeglasses smile, and one in five without: the data are biased."""
    generator = torch.Generator().manual_seed(seed)
    glasses = torch.arange(n) % 2
    smiling = torch.where(torch.rand(n, generator=generator) < 0.8, glasses, 1 - glasses)
    numbers = torch.stack([torch.randint(0, 2, (n,), generator=generator), glasses, smiling], 1)
    w = torch.randn(n, 1, 4, generator=generator)
    w[:, :, :3] += torch.tensor([2.0, 3.0, 4.0]) * numbers[:, None]
    return Codes(w, numbers, NAMES, "faces")


def write_codes(folder, make=entangled):
    folder.mkdir()
    for seed, (split, n) in enumerate({"train": 600, "validation": 300}.items()):
        save_codes(folder / f"{split}.safetensors", make(n, seed), BASE)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("latent")
    words = [
        "latent-classifier",
        "--codes",
        write_codes(folder / "codes"),
        "--run",
        folder / "run",
        "--hidden",
        "32",
        "16",
        "--device",
        "cpu",
    ]
    latent_classifier.main(
        parse([str(word) for word in (*words, "--epochs", "8", "--learning-rate", "1e-2", "--batch", "50")])
    )
    return folder / "run"


def test_a_latent_classifier_reads_attributes_off_codes(classifier):
    config = json.loads((classifier / "config.json").read_text())
    assert config["names"] == list(NAMES) and config["base_revision"] == BASE and config["domain"] == "faces"
    # Normal clouds 2, 3 and 4 apart: nobody can be right more often than .841, .933 and .977 when each is read alone.
    assert (
        0.88 < config["metrics"]["accuracy"] < 0.95 and 0.88 < config["metrics"]["balanced_accuracy"] < 0.95
    )
    codes = entangled(200, 7)
    read = LatentClassifier.from_pretrained(classifier)(codes.w) > 0
    assert ((read == (codes.numbers == 1)).float().mean(0) > torch.tensor([0.75, 0.88, 0.93])).all()


def test_a_latent_classifiers_learning_rate_is_that_of_steplr_stepped_before_each_epoch(
    tmp_path, monkeypatch
):
    """Latent Transformer's schedule, with PyTorch's own scheduler as the witness; one batch an epoch."""
    write_codes(tmp_path / "codes")
    rates, step = [], torch.optim.Adam.step

    def noted(self, *arguments, **named):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.Adam, "step", noted)
    words = [
        "latent-classifier",
        "--codes",
        tmp_path / "codes",
        "--run",
        tmp_path / "run",
        "--hidden",
        4,
        4,
        "--device",
        "cpu",
    ]
    latent_classifier.main(parse([*map(str, words), "--batch", "600"]))
    monkeypatch.undo()
    witness = torch.optim.SGD([torch.zeros(1)], 1e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(witness, 10, 0.1)
    wanted = []
    for _ in range(20):
        witness.step()
        scheduler.step()
        wanted.append(witness.param_groups[0]["lr"])
    assert rates == pytest.approx(wanted, rel=1e-6) and len(set(wanted)) == 3


def learned(folder, *more: str) -> AffineEdit:
    edit_stage.main(
        parse(
            [
                "edit",
                "--codes",
                str(folder / "codes"),
                "--attribute",
                "Eyeglasses",
                "--run",
                str(folder / "run"),
                "lw",
                *SHORT,
                *more,
            ]
        )
    )
    return AffineEdit.from_pretrained(folder / "run")


SHORT = [
    "--steps",
    "40",
    "--batch",
    "200",
    "--validation-codes",
    "150",
    "--learning-rate",
    "0.05",
    "--blur",
    "0.3",
]


@pytest.mark.parametrize(
    ("more", "smile"),
    [
        ([], 2.4),
        (["--masses", "match", "--balance", "Smiling", "Eyeglasses"], 0.0),
        (["--masses", "overlap"], 0.0),
        (["--masses", "balanced", "--balance", "Smiling"], 0.0),
    ],
)
def test_masses_keep_what_the_data_confound_out_of_the_edit(tmp_path, more, smile):
    """Of the source 20 % smile, of the target 80 %: uniform masses teach 60 % of a smile (4 long) along with the glasses."""
    write_codes(tmp_path / "codes")
    moved = (
        learned(tmp_path, *more)
        .direction(attribute_named("Eyeglasses", NAMES).source(entangled(300, 1)).w)
        .mean((0, 1))
    )
    assert moved[1] == pytest.approx(3, abs=0.5) and moved[2] == pytest.approx(smile, abs=0.5)


def test_lambda_keeps_the_logits_of_other_attributes(tmp_path, classifier):
    """The larger lambda, the less of the smile comes along; but gamma, .6 here, spares what is correlated a part of the cost."""
    write_codes(tmp_path / "codes")
    source = attribute_named("Eyeglasses", NAMES).source(entangled(300, 1)).w
    smiles = []
    for weight in ("0", "15"):
        edit = learned(tmp_path, "--preservation-weight", weight, "--classifier", str(classifier))
        smiles.append(edit.direction(source).mean((0, 1))[2])
        assert edit.config["training"]["method"]["preservation_weight"] == float(weight)
        (tmp_path / "run").rename(tmp_path / f"lambda-{weight}")
    assert smiles[0] == pytest.approx(2.4, abs=0.5) and smiles[1] < 0.7 * smiles[0]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--masses", "match", "--balance", "Eyeglasses"], "attributes other than 'Eyeglasses'"),
        (["--masses", "match", "--balance", "Smilling"], "did you mean 'Smiling'"),
        (["--preservation-weight", "1"], "needs --classifier"),
        (["--preservation-weight", "1", "--classifier", "nowhere"], "nowhere: there is no such folder"),
    ],
)
def test_what_lambda_and_masses_lack_is_said_before_a_run_begins(tmp_path, more, words):
    write_codes(tmp_path / "codes")
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        learned(tmp_path, *more)
    assert not (tmp_path / "run").exists()


def test_a_classifier_of_other_codes_is_refused(tmp_path, classifier):
    more = ("--preservation-weight", "1", "--classifier", str(classifier))
    folder = write_codes(tmp_path / "codes")
    for split in ("train", "validation"):
        save_codes(folder / f"{split}.safetensors", entangled(100, 0), BASE | {"encoder": "f" * 64})
    with pytest.raises(ValueError, match=r"was trained on codes of nets .*eeee.*, these come from .*ffff"):
        learned(tmp_path, *more)
    for split in ("train", "validation"):
        save_codes(
            folder / f"{split}.safetensors", entangled(100, 0)._replace(names=("A", "Eyeglasses", "C")), BASE
        )
    with pytest.raises(
        ValueError, match=r"reads \['Bangs', 'Eyeglasses', 'Smiling'\], the codes are labelled with \['A'"
    ):
        learned(tmp_path, *more)
    for split in ("train", "validation"):
        save_codes(folder / f"{split}.safetensors", labelled(100, 0), BASE)
    with pytest.raises(ValueError, match=r"reads codes of \(1, 4\), these are of \(10, 16\)"):
        learned(tmp_path, *more)


# The recommended alpha


class Thresholds(torch.nn.Module):
    """A selector that reads attribute k in the k-th number of a code."""

    card_config = {"weights": {"sha256": "5" * 64}}  # noqa: RUF012

    def forward(self, w):
        return w[:, 0, :3] - torch.tensor([9.0, 0.55, 0.31])


@pytest.mark.parametrize(
    ("glasses", "smile", "alpha"),
    [
        (
            0.5,
            0.25,
            1.2,
        ),  # glasses are read from .55 / .5 = 1.1 on, and smiles from .31 / .25 = 1.24 on: 1.2 alone gives just the first
        (1.0, 0.25, 1.0),  # .6 to 1.2 are as good as each other
        (5.0, 2.0, 1.0),  # both are read from the second step on, whatever the strength; at .1 neither is
        (0.0, 1.0, 1.0),  # it never does what it should
    ],
)
def test_alpha_is_where_the_attribute_changes_and_the_others_stay(glasses, smile, alpha):
    bias = torch.zeros(1, 4)
    bias[0, 1:3] = torch.tensor([glasses, smile])
    codes = Codes(torch.zeros(20, 1, 4), torch.zeros(20, 3).long(), NAMES, "faces")
    chosen = edit_stage.choose_alpha_by_codes(
        AffineEdit(None, bias), codes, attribute_named("Eyeglasses", NAMES), Thresholds()
    )
    assert chosen["alpha"] == alpha and chosen["selector_revision"] == "5" * 64
    assert [point["alpha"] for point in chosen["curve"]] == edit_stage.LABEL_ALPHAS


def test_a_selector_that_trained_the_edit_or_read_other_codes_is_refused_before_a_run_begins(
    tmp_path, classifier
):
    folder = write_codes(tmp_path / "codes")
    words = [
        "edit",
        "--codes",
        str(folder),
        "--run",
        str(tmp_path / "run"),
        "--attribute",
        "Eyeglasses",
        "--selector",
    ]
    same = ["--preservation-weight", "1", "--classifier", str(classifier)]
    with pytest.raises(ValueError, match="--selector .* is the --classifier"):
        edit_stage.main(parse([*words, str(classifier), "lw", *same]))
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such folder"):
        edit_stage.main(parse([*words, "nowhere"]))
    for split in ("train", "validation"):
        save_codes(folder / f"{split}.safetensors", entangled(100, 0), BASE | {"encoder": "f" * 64})
    with pytest.raises(ValueError, match=r"was trained on codes of nets .*eeee.*, these come from .*ffff"):
        edit_stage.main(parse([*words, str(classifier), "centroids"]))
    for split in ("train", "validation"):
        save_codes(
            folder / f"{split}.safetensors", entangled(100, 0)._replace(names=("A", "Eyeglasses", "C")), BASE
        )
    with pytest.raises(
        ValueError, match=r"reads \['Bangs', 'Eyeglasses', 'Smiling'\], the codes are labelled with \['A'"
    ):
        edit_stage.main(parse([*words, str(classifier), "centroids"]))
    assert not (tmp_path / "run").exists()


def test_a_judge_of_digits_looks_at_pictures_and_needs_the_generator(tmp_path):
    write_codes(tmp_path / "codes", lambda n, seed: entangled(n, seed)._replace(names=None))
    words = [
        "edit",
        "--codes",
        str(tmp_path / "codes"),
        "--run",
        str(tmp_path / "run"),
        "--attribute",
        "1to2",
        "--selector",
        "judge",
    ]
    with pytest.raises(ValueError, match="--selector judge looks at pictures: give it the --generator too"):
        edit_stage.main(parse(words))
    assert not (tmp_path / "run").exists()


# Figures, cards, the whole way


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """The whole way from codes to cards, at toy size: nets of random weights, codes in which Eyeglasses are a direction."""
    folder = tmp_path_factory.mktemp("shelf")
    make_faces_registry(folder / "registry")
    base = {kind: made_for(folder / "registry" / f"lwgan-faces-{kind}") for kind in ("encoder", "generator")}
    shutil.rmtree(folder / "registry" / "lwgan-faces-lw-eyeglasses")
    (folder / "codes").mkdir()
    for seed, (split, n) in enumerate({"train": 800, "validation": 200, "test": 200}.items()):
        save_codes(folder / "codes" / f"{split}.safetensors", labelled(n, seed), base)
    at = lambda *parts: str(folder.joinpath(*parts))
    learn = [
        "latent-classifier",
        "--codes",
        at("codes"),
        "--device",
        "cpu",
        "--epochs",
        "8",
        "--learning-rate",
        "1e-3",
        "--batch",
        "20",
    ]
    for name, seed, hidden in (
        ("classifier", "1", ("64", "32")),
        ("referee", "2", ("64", "16")),
        ("selector", "3", ("64", "24")),
    ):
        latent_classifier.main(parse([*learn, "--run", at(name), "--seed", seed, "--hidden", *hidden]))
    lw = [
        "lw",
        "--preservation-weight",
        "1",
        "--classifier",
        at("classifier"),
        "--masses",
        "match",
        "--balance",
        "Bangs",
        "Smiling",
    ]
    for name, more in (("lw", [*lw, "--steps", "5", "--batch", "100"]), ("centroids", ["centroids"])):
        words = [
            "edit",
            "--codes",
            at("codes"),
            "--attribute",
            "Eyeglasses",
            "--run",
            at("registry", f"lwgan-faces-{name}-eyeglasses"),
        ]
        edit_stage.main(parse([*words, "--selector", at("selector"), *more]))
    evaluate_labels.main(
        parse(
            [
                "evaluate-labels",
                "--codes",
                at("codes"),
                "--referee",
                at("referee"),
                "--registry",
                at("registry"),
                "--device",
                "cpu",
            ]
        )
    )
    return folder


def test_figures_say_what_the_referee_reads_and_that_it_read_codes(shelf):
    for name in ("lw", "centroids"):
        config = json.loads(
            (shelf / "registry" / f"lwgan-faces-{name}-eyeglasses" / "config.json").read_text()
        )
        figures = config["metrics"]
        assert figures["target_change"]["value"] > 0.9 and figures["attribute_preservation"]["value"] > 0.9
        assert 2 < figures["norm"] / NUM_WS**0.5 < 4, (
            "three in each layer, and the chance of 400 codes in the other coordinates"
        )
        assert "no picture was looked at" in figures["read_by"]
        rates = [point["target_change"] for point in figures["curve"]]
        assert rates[0] == 0 and rates[-1] >= figures["target_change"]["value"] and rates == sorted(rates)
        assert config["selector_revision"] == made_for(shelf / "selector")
        best = max(point["true_change"] for point in config["curve"])
        assert [
            point["true_change"]
            for point in config["curve"]
            if point["alpha"] == config["alpha"] == figures["alpha"]
        ] == [best]
        assert figures["curve"][0]["attribute_preservation"] == 1 and figures["curve"][0]["norm"] == 0
        assert Image.open(
            shelf / "registry" / f"lwgan-faces-{name}-eyeglasses" / "images" / "strip.png"
        ).size == (7 * 65 - 1, 3 * 65 - 1)


def test_a_reading_counts_what_changed_and_what_stayed():
    before = torch.tensor([[0, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 1]]).bool()
    after = torch.tensor([[1, 1, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0]]).bool()
    found = evaluate_labels.reading(before, after, 0, True)
    assert found["target_change"]["value"] == pytest.approx(2 / 3) and found["target_change"]["n"] == 3
    assert found["attribute_preservation"] == {"value": pytest.approx(5 / 8), "n": 4}
    assert found["true_change"] == {"value": pytest.approx((1 + 1 / 2 + 0) / 3), "n": 3}
    assert evaluate_labels.reading(after[:1], after[:1], 0, True)["target_change"] is None
    away = evaluate_labels.reading(
        before, after, 1, False
    )  # of the first, third and fourth, which have it, the fourth loses it
    assert away["target_change"]["value"] == pytest.approx(1 / 3) and away["true_change"][
        "value"
    ] == pytest.approx(1 / 2 / 3)
    alone = evaluate_labels.reading(before[:, :1], after[:, :1], 0, True)
    assert alone["attribute_preservation"] is None and alone["true_change"]["value"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("referee", "words"),
    [
        ("classifier", "lwgan-faces-lw-eyeglasses was trained with the referee itself"),
        ("selector", "lwgan-faces-centroids-eyeglasses has its alpha from the referee itself"),
    ],
)
def test_the_referee_must_not_have_had_a_part_in_the_edit(shelf, referee, words):
    options = evaluate_labels.Options(
        codes=shelf / "codes", referee=shelf / referee, registry=shelf / "registry", pictures=0, device="cpu"
    )
    with pytest.raises(ValueError, match=words):
        evaluate_labels.main(options)


@pytest.mark.parametrize(
    ("config", "numbers", "words"),
    [
        (
            {"training": {}},
            None,
            r"does not say which attribute it changes \(training, attribute: a name\), but None",
        ),
        ({"training": {"attribute": "Beard"}}, None, "attribute 'Beard' is unknown"),
        (
            {},
            torch.ones(9, 3),
            "cannot be measured: of the 9 codes of the test split none lacks 'Eyeglasses'",
        ),
        ({"base_revision": {}}, None, "was made for nets {}, the codes come from"),
    ],
)
def test_an_edit_that_cannot_be_measured_is_refused_by_name(shelf, config, numbers, words):
    edit = AffineEdit.from_pretrained(shelf / "registry" / "lwgan-faces-lw-eyeglasses")
    base, codes = edit.config["base_revision"], labelled(9, 0)
    edit.config |= config
    codes = codes if numbers is None else codes._replace(numbers=numbers.long())
    with pytest.raises(ValueError, match=words):
        evaluate_labels.check(edit, "edit", codes, base, LatentClassifier.from_pretrained(shelf / "referee"))


def test_the_referee_of_other_codes_is_refused(shelf, classifier):
    options = evaluate_labels.Options(
        codes=shelf / "codes", referee=classifier, registry=shelf / "registry", device="cpu"
    )
    with pytest.raises(ValueError, match="was trained on codes of nets .*eeee.*, these come from"):
        evaluate_labels.main(options)


def test_cards_of_faces_name_the_licence_and_a_command_that_works(shelf, tmp_path):
    for kind, says in (
        ("lw-eyeglasses", "not eyeglasses"),
        ("centroids-eyeglasses", "not eyeglasses"),
        ("encoder", "pSp"),
        ("generator", "StyleGAN2"),
    ):
        folder = shelf / "registry" / f"lwgan-faces-{kind}"
        publish.main(publish.Options(folder, "lab", dry_run=True, target=tmp_path))
        text = (tmp_path / "lab" / folder.name / "README.md").read_text()
        assert (
            "license: other\nlicense_name: non-commercial" in text
            and "NVIDIA's Source\nCode License-NC" in text
        )
        assert (
            says in text
            and "digits" not in text.replace("redrawn, and now and then a digit", "")
            and "mnist" not in text.lower()
        )
        config = json.loads((folder / "config.json").read_text())
        if config["kind"] in ("affine", "translation"):
            options = parse(cards.command(config).split()[3:])
            assert options.attribute == "Eyeglasses" and "frame_face" in text
            assert (
                "read by the latent classifier that chose alpha" in text
                and "the judge that may choose" not in text
            )
    assert EditingPipeline.from_pretrained(shelf / "registry").refused == {}


def test_every_line_of_the_script_is_one_that_its_stage_understands(tmp_path):
    """faces.sh with a `python` that only notes what it was asked, and leaves a file where a stage leaves a model."""
    tool = tmp_path / "bin" / "python"
    tool.parent.mkdir()
    tool.write_text(
        "#!/usr/bin/env bash\nprintf '%s\\t' \"$@\" >> $LOG; echo >> $LOG\n"
        'while [ $# -gt 0 ]; do case $1 in --run) mkdir -p "$2"; touch "$2/config.json" "$2/model.safetensors";; '
        '--target) for kind in generator encoder; do mkdir -p "$2/lwgan-faces-$kind"; touch "$2/lwgan-faces-$kind/config.json"; done;; esac; shift; done\n'
    )
    tool.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tool.parent}:{os.environ['PATH']}",
        "LOG": str(tmp_path / "log"),
        "STEPS": "7",
    }
    script = Path(__file__).parent.parent / "trainers" / "runs" / "faces.sh"
    command = ["bash", str(script), str(tmp_path / "my runs"), "psp.pt", "my pictures", "list.txt"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    lines = [line.split("\t")[2:-1] for line in (tmp_path / "log").read_text().splitlines()]
    stages = [words[0] for words in lines]
    assert stages == [
        "convert",
        "codes",
        *["latent-classifier"] * 3,
        *["edit"] * 16,
        *["evaluate-labels"] * 2,
        *["publish"] * 10,
    ]
    lambdas = {}
    for words in lines:
        if words[0] in STAGES:
            options = parse(words)
            if words[0] == "edit":
                assert options.selector == tmp_path / "my runs" / "selector"
            if words[0] == "evaluate-labels":
                assert options.referee == tmp_path / "my runs" / "referee"
            if words[0] == "edit" and isinstance(options.method, latent_wasserstein.Options):
                lambdas[options.attribute] = options.method.preservation_weight
                assert (
                    options.method.masses == "match"
                    and options.method.steps == 7
                    and options.method.learning_rate == 1e-3
                )
    assert set(lambdas) == set(PAPER.values())
    assert {name for name, weight in lambdas.items() if weight == 15} == {"Eyeglasses"} and sorted(
        set(lambdas.values())
    ) == [1, 15]
    subprocess.run([*command, "lab"], env=environment, check=True, capture_output=True)
    again = [line.split("\t")[2:-1] for line in (tmp_path / "log").read_text().splitlines()][len(lines) :]
    assert again[0][0] == "codes", "what was converted is not converted again"
    assert all("lab" in words and "--dry-run" not in words for words in again if words[0] == "publish")
