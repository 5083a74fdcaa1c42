"""The command that fetches and converts the published networks of faces: from a Hub of its own, in small."""

import builtins
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from PIL import Image

from lwgan import AffineEdit, EditingPipeline, Generator
from lwgan.images import open_picture, to_uint8
from tests import published
from tests.conftest import DATA
from tests.trainers.test_full_disk import full_disk
from trainers import __main__ as command_line
from trainers import publish
from trainers.datasets.celeba import CELEBA
from trainers.datasets.celebahq import OFFERED
from trainers.datasets.pictures import split_of
from trainers.evaluate import bench, records
from trainers.fetch import fetch
from trainers.runs import faces
from trainers.runs.faces import KNOWN, Options, main
from trainers.shards import SPLITS, load_split
from trainers.sweep import engines


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return published.write(tmp_path_factory.mktemp("published"))


@pytest.fixture
def places(hub, files) -> dict[str, str]:
    """Role -> its place on the Hub."""
    for role, path in files.items():
        hub.put(f"someone/{role}", {f"weights/{path.name}": path.read_bytes()})
    return {role: f"hf://someone/{role}/weights/{path.name}@main" for role, path in files.items()}


def config_of(runs, kind: str) -> dict:
    return json.loads((runs / "registry" / f"lwgan-faces-{kind}" / "config.json").read_text())


def test_networks_are_fetched_and_converted_and_serve_photographs(hub, places, tmp_path, capsys):
    main(Options(tmp_path, **places, accept_terms=True))
    shown = capsys.readouterr().out
    assert all(place in shown and faces.TERMS[role] in shown for role, place in places.items())
    pipe = EditingPipeline.from_pretrained(tmp_path / "registry")
    assert not pipe.refused and pipe.domain.frame == "face" and pipe.domain.attributes == CELEBA
    assert [change.name for change in pipe.domain.changes] == list(OFFERED)
    framed = pipe.frame(open_picture(DATA / "faces" / "astronaut.jpg"))
    (picture,) = pipe.generate(pipe.encode(framed))
    assert len(pipe.read([picture])[0]) == 40 and pipe.identity(pipe.as_generated([picture])).shape == (
        1,
        512,
    )
    hub.log.clear()  # again: nothing is asked, fetched or converted
    main(Options(tmp_path, **places))
    assert not hub.log and "terms" not in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["n", "", None])
def test_without_consent_nothing_is_fetched(hub, places, tmp_path, monkeypatch, answer):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: answer is not None))
    monkeypatch.setattr(builtins, "input", lambda _: answer)
    hub.log.clear()
    with pytest.raises(ValueError, match="terms were not accepted, nothing was fetched"):
        main(Options(tmp_path, **places))
    assert not hub.log and not (tmp_path / "downloads").exists()


def test_ones_own_files_need_no_consent_and_a_reader_may_be_left_out(files, tmp_path):
    main(Options(tmp_path, str(files["encoder"]), str(files["judge"]), "none"))
    kinds = sorted(path.name for path in (tmp_path / "registry").iterdir())
    assert kinds == ["lwgan-faces-encoder", "lwgan-faces-generator", "lwgan-faces-judge"]
    assert config_of(tmp_path, "judge")["origin"]["fetched"] == "attribute_predictor.pt"


@pytest.mark.parametrize("role", ["encoder", "judge", "identity"])
def test_a_dead_place_names_the_others(places, tmp_path, role):
    dead = places | {role: f"hf://someone/{role}/gone.pt"}
    with pytest.raises(ValueError) as error:
        main(Options(tmp_path, **dead, accept_terms=True))
    said = str(error.value)
    assert "holds no gone.pt" in said and f"Give another place by --{role}: {KNOWN[role][0]}" in said
    assert (f"--{role} none" in said) == (role != "encoder")
    main(Options(tmp_path, **places, accept_terms=True))  # with a good one it goes on
    assert config_of(tmp_path, role)["origin"]["fetched"] == places[role]


@pytest.mark.parametrize("stopped", ["fetch", "convert"])
def test_a_stopped_command_goes_on(hub, places, tmp_path, monkeypatch, stopped):
    calls, real = [], getattr(faces, stopped)

    def second_is_stopped(*given):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(faces, stopped, second_is_stopped)
    with pytest.raises(KeyboardInterrupt):
        main(Options(tmp_path, **places, accept_terms=True))
    monkeypatch.setattr(faces, stopped, real)
    hub.log.clear()
    main(Options(tmp_path, **places, accept_terms=True))
    assert (
        not hub.calls("/resolve/.*e4e", "GET")
        and not EditingPipeline.from_pretrained(tmp_path / "registry").refused
    )


def test_without_a_network_it_says_so_and_names_other_places(tmp_path):
    """The Hub of all tests is a port where nobody listens."""
    with pytest.raises(ValueError, match=r"was not fetched: no connection \(.*refused") as error:
        main(Options(tmp_path, accept_terms=True))
    assert "Give another place by --encoder: hf://" in str(error.value) and "a file of yours" in str(
        error.value
    )


@pytest.mark.parametrize("when", ["fetched", "converted"])
def test_a_full_disk_is_said_and_with_room_it_goes_on(hub, places, tmp_path, monkeypatch, when):
    runs = tmp_path / "runs"
    words = ["faces", f"--run={runs}", "--accept-terms", f"--encoder={places['encoder']}"]
    monkeypatch.setattr(sys, "argv", ["trainers", *words, "--judge=none", "--identity=none"])
    if when == "converted":
        fetch(places["encoder"], runs / "downloads")
    with full_disk(), pytest.raises(SystemExit, match=r"^error: (.*: )?File too large$"):
        command_line.main()
    assert not list(runs.glob("registry/*"))
    command_line.main()
    kinds = sorted(path.name for path in (runs / "registry").iterdir())
    assert kinds == ["lwgan-faces-encoder", "lwgan-faces-generator"]


def test_another_file_is_refused_in_words(places, files, tmp_path):
    with pytest.raises(
        ValueError, match=r"attribute_predictor.pt holds judge, expected generator and encoder"
    ):
        main(Options(tmp_path, str(files["judge"]), "none", "none"))
    assert not list((tmp_path / "registry").glob("*"))
    wrong = f"{files['encoder']}#sha256={'0' * 64}"
    with pytest.raises(ValueError, match=f"expected {'0' * 64}"):
        main(Options(tmp_path, wrong, "none", "none"))
    with pytest.raises(ValueError, match="--learn needs the judge"):
        main(Options(tmp_path, str(files["encoder"]), "none", "none", learn=10))


def test_what_was_fetched_is_never_pushed(hub, files, tmp_path, capsys):
    main(Options(tmp_path, *map(str, files.values())))
    registry = tmp_path / "registry"
    for folder in (registry, registry / "lwgan-faces-generator"):
        with pytest.raises(ValueError, match="fetched from .* its licence does not let others pass it on"):
            publish.main(publish.Options(folder, namespace="writer"))
    assert not hub.repos


# Stands for `python` in faces.sh: writes its words down.
RECORDER = """#!/bin/bash
printf '%s\\x1f' "$@" >> "$CALLS"; printf '\\x1e' >> "$CALLS"
"""
TABLE = Path(faces.__file__).with_suffix(".yaml")


def small_table(path: Path) -> Path:
    """faces.yaml for one change and two methods, with few steps and pictures."""
    table = yaml.safe_load(TABLE.read_text())
    table["changes"], table["rows"] = ["Smiling"], {name: table["rows"][name] for name in ("lw", "lt")}
    table["prepare"] = [line + " --epochs 30" * line.startswith("judge") for line in table["prepare"]]
    table["pieces"]["sinkhorn"] = "lw --paper --batch 16 --validation-codes 16 --steps 3"
    table["evaluate"] = table["evaluate"].replace("1000", "20")
    path.write_text(yaml.safe_dump(table))
    return path


def photographs(folder: Path, generator: Path) -> Path:
    """Stand for FFHQ: 20 test pictures, 8 validation pictures and one more, which the generator draws."""
    names = {split: [str(i) for i in range(400) if split_of(str(i)) == split] for split in SPLITS}
    names = names["test"][:20] + names["validation"][:8] + names["train"][:1]
    z = torch.randn(len(names), 128, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        pictures = to_uint8(Generator.from_pretrained(generator)(z).clamp(-1, 1))
    folder.mkdir()
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).save(folder / f"{name}.png")
    return folder


def test_the_whole_command_learns_edits_from_what_the_generator_draws(files, tmp_path, monkeypatch):
    """All stages, in small: pictures drawn and labelled, edits learned, measured on photographs, cards.
    Those of faces.sh run one after another in this process, which saves a minute."""
    calls, python, registry = tmp_path / "calls", tmp_path / "bin" / "python", tmp_path / "registry"
    python.parent.mkdir()
    python.write_text(RECORDER)
    python.chmod(0o755)
    small = {"HELDOUT": "36", "TABLE": small_table(tmp_path / "small.yaml"), "CALLS": calls}
    for name, value in small.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(engines, "local", lambda work, todo, _: ((cell, work(cell)) for cell in todo))
    monkeypatch.setattr(bench, "READABLE", 0)  # random networks read nothing in reconstructions
    main(Options(tmp_path, *map(str, files.values()), learn=48, pictures=tmp_path / "ffhq"))
    photographs(tmp_path / "ffhq", registry / "lwgan-faces-generator")
    for call in calls.read_text().split("\x1e")[:-1]:
        monkeypatch.setattr(sys, "argv", call.split("\x1f")[1:-1])
        command_line.main()
    pipe = EditingPipeline.from_pretrained(registry)
    assert list(pipe.edits) == ["lwgan-faces-lt-smiling", "lwgan-faces-lw-smiling"]
    for name in pipe.edits:
        check_the_papers_three_metrics(registry, name, load_split(tmp_path / "test", "test"))
    assert len(load_split(tmp_path / "test", "test").labels) == 20
    curves = records.read(tmp_path / "results" / "faces.csv")
    assert set(curves[curves["at"] == "curve"]["method"]) == {"LW", "LT"}
    images = {path.name for path in (tmp_path / "results" / "images").iterdir()}
    assert {"faces-curves.png", "faces-Smiling.png"} <= images and (
        tmp_path / "results" / "faces.md"
    ).exists()
    cards = sorted(path.name for path in (tmp_path / "cards" / "nobody").iterdir())
    assert cards == ["lwgan-faces-latent-classifier", *pipe.edits]


@torch.no_grad()
def check_the_papers_three_metrics(registry, name: str, test) -> None:
    """Sec. 4.2 once more, a picture at a time: "the percentage of images for which the target attribute is
    indeed modified", the attributes apart from it that are preserved, and the cosine of the embeddings."""
    nets = {
        kind: cls.from_pretrained(registry / f"lwgan-faces-{kind}") for kind, cls in bench.CLASSES.items()
    }
    edit, smiling = AffineEdit.from_pretrained(registry / name), CELEBA.index("Smiling")
    alpha, flipped, kept, cosines = edit.config["alpha"], [], [], []
    for picture in test.images.all()[test.labels[:, smiling] == 0]:
        w = nets["encoder"](picture[None] / 127.5 - 1)
        pair = [nets["generator"].synthesis(code) for code in (w, edit(w, alpha))]
        before, after = (nets["judge"](x)[0] > 0 for x in pair)
        if not before[smiling]:
            flipped.append(bool(after[smiling]))
        kept.append(sum(bool(before[k] == after[k]) for k in range(40) if k != smiling) / 39)
        one, other = (nets["identity"](x)[0] for x in pair)
        cosines.append(float(one @ other / one.norm() / other.norm()))
    metrics = json.loads((registry / name / "metrics.json").read_text())
    chosen, nothing = metrics["chosen"], metrics["curve"][0]
    assert metrics["read_by"] == "judge" and chosen["target_change"]["n"] == len(flipped) > 0
    for key, values in (("target_change", flipped), ("others_kept", kept), ("identity", cosines)):
        assert chosen[key]["value"] == pytest.approx(sum(values) / len(values), abs=0.01), key
    assert nothing["alpha"] == nothing["target_change"] == 0, "no edit changes nothing"
    assert nothing["others_kept"] == 1 and nothing["identity"] == pytest.approx(1, abs=1e-6)
