"""publish, from a folder to the Hub: names, the command's errors, and that a failure changes nothing."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from lwgan.edit import AffineEdit
from lwgan.hub import registry
from tests.trainers.publish import shoes
from trainers import __main__, publish
from trainers.publish import cards

EDIT = shoes.EDIT


@pytest.fixture
def shelf(tmp_path):
    return shoes.make(tmp_path / "shelf")


def trainers(monkeypatch, capsys, *words) -> tuple[str, str | None]:
    """What `python -m trainers publish ...` prints, and the error it ends with."""
    monkeypatch.setattr(sys, "argv", ["trainers", "publish", *map(str, words)])
    try:
        __main__.main()
    except SystemExit as end:
        return capsys.readouterr().out, str(end.code)
    return capsys.readouterr().out, None


def dry_run(shelf: Path, folder: str | Path = EDIT, **options) -> Path:
    target = shelf.parent / "hub"
    publish.main(publish.Options(shelf / folder, "lab", dry_run=True, target=target, **options))
    return target / "lab"


def files_in(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_the_config_names_its_bases_where_they_are_published(shelf):
    before = files_in(shelf / EDIT)
    config, _ = registry.load_model(dry_run(shelf) / EDIT)
    assert config["base_model"] == "lab/lwgan-shoes-generator"
    assert config["base_encoder"] == "lab/lwgan-shoes-encoder"
    assert files_in(shelf / EDIT) == before


@pytest.mark.parametrize(
    ("folder", "changes", "name"),
    [
        ("run-7", {}, "lwgan-shoes-lw-laces"),
        ("lwgan-my-edit", {}, "lwgan-my-edit"),
        ("run-8", {"kind": "generator"}, "lwgan-shoes-generator"),
        ("run-9", {"change": {"name": "not-High_Heel (red)"}}, "lwgan-shoes-lw-not-high_heel-red-"),
    ],
)
def test_the_repository_gets_a_name(tmp_path, folder, changes, name):
    config = {"kind": "affine", "domain": "shoes", "method": "lw", "change": {"name": "Laces"}} | changes
    assert publish.name_of(tmp_path / folder, config) == name


@pytest.mark.parametrize("kind", ["pictures", "poem"])
def test_a_kind_without_a_card_is_refused_or_left_out(shelf, kind, capsys):
    shoes.change(shelf / "lwgan-shoes-generator", kind=kind)
    with pytest.raises(ValueError, match="holds no model of a kind that has a card: generator, encoder"):
        dry_run(shelf, "lwgan-shoes-generator")
    assert "lwgan-shoes-generator" not in {path.name for path in dry_run(shelf, ".").iterdir()}
    assert f"its kind, '{kind}', has no card" in capsys.readouterr().out


def test_models_made_for_another_base_are_refused(shelf):
    shoes.change(shelf / EDIT, base_revision={"generator": "0" * 64, "encoder": "0" * 64})
    with pytest.raises(ValueError, match="lwgan-shoes-lw-laces was made for the generator .* 0000"):
        dry_run(shelf, ".")


def test_figures_of_other_weights_are_refused(shelf):
    path = shelf / EDIT / "metrics.json"
    path.write_text(json.dumps(shoes.METRICS | {"of": {"edit": "0" * 64}}))
    with pytest.raises(ValueError, match=r"metrics.json is of weights 0000.*evaluate the edit again"):
        dry_run(shelf)


# The Hub


def test_the_second_push_of_the_same_model_makes_no_commit(shelf, hub, monkeypatch, capsys):
    for report in ("pushed as", "is already at"):
        said, error = trainers(monkeypatch, capsys, shelf / EDIT, "--namespace", "lab")
        assert error is None and report in said
    repo = hub.repos[f"lab/{EDIT}"]
    assert len(repo.commits) == 2 and len(hub.calls("/commit/", "POST")) == 1
    assert {"README.md", "metrics.json", "images/strip.png", "images/curve.png"} <= set(repo.head.files)
    pulled, own = (AffineEdit.from_pretrained(source) for source in (f"lab/{EDIT}", shelf / EDIT))
    assert torch.equal(pulled.weight, own.weight)
    assert [entry.name for entry in registry.list_edits("lab")] == [EDIT]


def test_a_push_that_fails_leaves_the_hub_as_it_was(shelf, hub):
    hub.fault("POST", "/commit/", status=400)
    with pytest.raises(ValueError, match=f"was not pushed to lab/{EDIT}"):
        publish.main(publish.Options(shelf / EDIT, "lab"))
    assert not hub.repos


@pytest.mark.parametrize(
    ("folder", "namespace", "token", "message"),
    [
        (EDIT, "lab", None, "no token to push with"),
        (EDIT, "lab", "hf_read", "may only read"),
        (EDIT, "lab", "hf_revoked", "refuses the token"),
        ("nowhere", "lab", "hf_write", "there is no such folder"),
        (EDIT, "la b", "hf_write", "--namespace 'la b'"),
        (EDIT, "other", "hf_write", "the token of 'lab' may write to lab, team, not to 'other'"),
    ],
)
def test_the_command_says_what_is_wrong_and_uploads_nothing(
    shelf, hub, monkeypatch, capsys, folder, namespace, token, message
):
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
    _, error = trainers(monkeypatch, capsys, shelf / folder, "--namespace", namespace)
    assert error.startswith("error: ") and message in error
    assert not hub.repos and not hub.calls("/_lfs/|/commit/")


@pytest.mark.parametrize(
    "code", ["file:///home/me/lwgan", "https://a b", "javascript:alert(1)", "https://x/y`; rm"]
)
def test_a_bad_address_is_refused(shelf, code):
    with pytest.raises(ValueError, match="--code .* is not an address"):
        dry_run(shelf, code=code)


def test_a_hub_that_is_away_is_reported(shelf, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", "hf_write")
    _, error = trainers(monkeypatch, capsys, shelf / EDIT, "--namespace", "lab")
    assert "was not pushed to lab/" in error and "refused" in error


# Dry runs


def test_a_dry_run_asks_nobody_and_shows_what_is_pushed(shelf, hub, monkeypatch, capsys):
    words = [shelf / EDIT, "--namespace", "lab"]
    said, error = trainers(monkeypatch, capsys, *words, "--dry-run", "--target", shelf.parent / "look")
    assert error is None and "nothing was pushed to lab/" in said
    assert not hub.log
    shown = registry.files_of(shelf.parent / "look" / "lab" / EDIT)
    trainers(monkeypatch, capsys, *words)
    pushed = hub.repos[f"lab/{EDIT}"].head.files
    assert pushed.pop(".gitattributes") and pushed == shown


@pytest.mark.parametrize("inside", [".", "run"])
def test_a_dry_run_does_not_delete_its_own_source(shelf, inside):
    target = dry_run(shelf)
    source = target / EDIT / inside
    if inside == "run":
        shutil.copytree(shelf / EDIT, source)
    before = files_in(target)
    with pytest.raises(ValueError, match="which would be replaced: choose another --target"):
        dry_run(shelf, source, name=EDIT)
    assert files_in(target) == before


@pytest.mark.parametrize("at", ["card", "rename"])
def test_a_dry_run_that_fails_leaves_the_files_of_an_earlier_one(shelf, monkeypatch, at):
    before = files_in(dry_run(shelf))
    shoes.change(shelf / EDIT, alpha=2.5)

    def fail(*words):
        raise OSError("the disk is full")

    rename = Path.rename
    if at == "card":
        monkeypatch.setattr(cards, "card", fail)
    else:
        monkeypatch.setattr(
            Path, "rename", lambda path, to: fail() if path.name == "new" else rename(path, to)
        )
    with pytest.raises(OSError, match="the disk is full"):
        dry_run(shelf)
    assert before and files_in(shelf.parent / "hub" / "lab") == before
    assert len(list((shelf.parent / "hub" / "lab").iterdir())) == 1
    monkeypatch.undo()
    assert json.loads(files_in(dry_run(shelf))[f"{EDIT}/config.json"])["alpha"] == 2.5
