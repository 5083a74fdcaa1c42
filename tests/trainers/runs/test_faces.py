"""The command that fetches and converts the published networks of faces: from a Hub of its own, in small."""

import builtins
import json
import sys
from types import SimpleNamespace

import pytest

from lwgan import EditingPipeline
from lwgan.images import open_picture
from tests import published
from tests.conftest import DATA
from trainers import __main__ as command_line
from trainers import publish
from trainers.datasets.celeba import CELEBA
from trainers.datasets.celebahq import OFFERED
from trainers.runs import faces
from trainers.runs.faces import KNOWN, Options, main


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


def test_the_whole_command_learns_edits_from_what_the_generator_draws(files, tmp_path, monkeypatch):
    """All stages, in small: pictures drawn and labelled, edits learned and measured, cards written. Those of
    faces.sh run one after another in this process, which saves a minute."""
    calls, python = tmp_path / "calls", tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(RECORDER)
    python.chmod(0o755)
    small = {"CHANGES": "Smiling", "HELDOUT": "36", "SIZE": "16", "STEPS": "3", "EPOCHS": "30", "CASES": "20"}
    for name, value in {**small, "CALLS": str(calls)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "executable", str(python))
    main(Options(tmp_path, *map(str, files.values()), learn=75))
    for call in calls.read_text().split("\x1e")[:-1]:
        monkeypatch.setattr(sys, "argv", call.split("\x1f")[1:-1])
        command_line.main()
    pipe = EditingPipeline.from_pretrained(tmp_path / "registry")
    assert list(pipe.edits) == ["lwgan-faces-centroids-smiling", "lwgan-faces-lw-smiling"]
    metrics = json.loads((tmp_path / "registry" / "lwgan-faces-lw-smiling" / "metrics.json").read_text())
    assert metrics["read_by"] == "judge"
    # The paper's three metrics, of test pictures.
    assert {"target_change", "others_kept", "identity"} <= metrics["chosen"].keys()
    assert (tmp_path / "results" / "faces.md").is_file()
    cards = sorted(path.name for path in (tmp_path / "cards" / "nobody").iterdir())
    assert cards == [
        "lwgan-faces-centroids-smiling",
        "lwgan-faces-latent-classifier",
        "lwgan-faces-lw-smiling",
    ]
