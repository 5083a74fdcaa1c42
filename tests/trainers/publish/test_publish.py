"""The card: what it says is what config.json says, its snippets run; the command from a folder to the Hub."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from lwgan.edit import AffineEdit
from lwgan.hub import registry
from tests.nets import make_registry
from trainers import __main__, publish
from trainers import run as run_folder
from trainers.publish import cards

ROOT = Path(__file__).parents[3]
EDIT = "lwgan-multimnist-lw-1to2"
METRICS = {
    "target_change": {"value": 0.8812345678, "low": 0.86123456, "high": 0.90123456, "n": 1234},
    "count_shares": [0.2512, 0.2488],
    "judge": {"confident": 0.7654321, "none": None},
    "alpha": 1.5,
    "curve": [{"alpha": 0.5, "target_change": 0.4123}, {"alpha": 2.5, "target_change": 0.9123}],
}
TRAINING = {"codes": "codes", "attribute": "1to2", "run": "lw-1to2", "method": {"seed": 777}}
CURVE = [{"alpha": 0.7, "true_change": 0.31}, {"alpha": 1.7, "true_change": 0.61}]


@pytest.fixture
def shelf(tmp_path):
    """Untrained nets and edits in folders; the first edit has figures and a picture."""
    shelf = make_registry(tmp_path / "shelf")
    change(shelf / EDIT, metrics=METRICS, training=TRAINING, curve=CURVE)
    (shelf / EDIT / "images").mkdir()
    Image.new("L", (4, 4)).save(shelf / EDIT / "images" / "before-after.png")
    return shelf


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values, indent=1))


def run(folder, **options):
    """Publishes a folder, or writes what would be; the card."""
    target = folder.parents[1] / "hub"
    publish.main(publish.Options(folder, "lab", target=target, **options))
    if not options.get("dry_run"):
        publish.stage(folder, target / "lab" / folder.name, "lab")
    return (target / "lab" / folder.name / "README.md").read_text()


def head(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_the_card_of_an_edit_has_valid_metadata(shelf, hub):
    meta = head(run(shelf / EDIT))
    assert (
        meta["license"] == "apache-2.0"
        and meta["library_name"] == "lwgan"
        and meta["pipeline_tag"] == "image-to-image"
    )
    assert meta["base_model"] == "lab/lwgan-multimnist-generator" and meta["base_model_relation"] == "adapter"
    assert meta["datasets"] == ["ylecun/mnist"]
    assert {"lwgan", "attribute:one-more-digit", "method:lw", "domain:multimnist"} <= set(meta["tags"])
    [result] = meta["model-index"][0]["results"]
    held = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert held == {"target_change": 0.8812345678, "judge/confident": 0.7654321}  # alpha is a setting
    assert hub.repos[f"lab/{EDIT}"].head.files["README.md"].decode().startswith("---\n")


def test_figures_of_the_card_are_those_that_were_measured_and_no_others(shelf):
    text = run(shelf / EDIT, dry_run=True)
    figures = text.split("## Figures")[1].split("## Limits")[0]
    for line in (
        "| target change | 0.8812 | 0.8612 to 0.9012 | 1234 |",
        "| count shares | 0.2512, 0.2488 |",
        "| judge / confident | 0.7654 |",
        "| judge / none | none |",
        "| 0.5 | 0.4123 |",
        "| 2.5 | 0.9123 |",
    ):
        assert line in figures
    assert "95% interval" in figures
    known = {
        "0.8812",
        "0.8612",
        "0.9012",
        "1234",
        "0.2512",
        "0.2488",
        "0.7654",
        "1.5",
        "0.5",
        "0.4123",
        "2.5",
        "0.9123",
        "95",
        "0.7",
        "0.31",
        "1.7",
        "0.61",
    }
    assert set(re.findall(r"\d+(?:\.\d+)?", figures)) == known
    assert "| method / seed | 777 |" in text and "lw --seed 777" in text


def test_an_edit_without_figures_says_so_and_claims_nothing(shelf):
    change(shelf / EDIT, metrics={}, training={}, curve=[])
    text = run(shelf / EDIT, dry_run=True)
    assert "Not measured" in text and "does not say" in text
    assert "model-index" not in head(text)


def test_the_card_shows_pictures_limits_licence_and_paper(shelf):
    text = run(shelf / EDIT, dry_run=True)
    for part in (
        "![before after](images/before-after.png)",
        "from **1 digit** to **2 digits**",
        "CC BY-SA 3.0",
        "doubinsky2023wasserstein",
        "## Limits",
    ):
        assert part in text
    assert "{{" not in text and "{%" not in text and "\n\n\n" not in text


def snippets(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("translation", [False, True])
def test_the_snippet_without_lwgan_computes_the_same_edit(shelf, tmp_path, monkeypatch, translation):
    if translation:
        edit = AffineEdit.from_pretrained(shelf / EDIT)
        config = {key: value for key, value in edit.config.items() if key != "kind"}
        AffineEdit(None, edit.bias, config).save_pretrained(shelf / EDIT)
    code = snippets(run(shelf / EDIT, dry_run=True))[1]
    assert len(code.strip().splitlines()) <= 10 and "lwgan" not in code
    monkeypatch.chdir(shelf / EDIT)
    names = {}
    exec(code, names)
    assert torch.allclose(
        names["edited"], AffineEdit.from_pretrained(shelf / EDIT)(names["w"], 1.5), atol=1e-5
    )


def test_the_snippets_with_lwgan_run_on_what_was_published(shelf, hub, tmp_path, monkeypatch):
    kinds = ("generator", "encoder", "judge")
    cards = {name: run(shelf / name) for name in [EDIT, *(f"lwgan-multimnist-{kind}" for kind in kinds)]}
    monkeypatch.chdir(tmp_path)
    picture = np.zeros((64, 64), np.uint8)
    picture[6:26, 10:16] = 255
    Image.fromarray(picture).save("digits.png")
    for name, text in cards.items():
        code = snippets(text)[0]
        assert len(code.strip().splitlines()) <= 5
        exec(code, {})
        assert head(text)["tags"][0] == "lwgan", name
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "digits.png",
        "edited.png",
        "sample.png",
        "reconstruction.png",
    }
    assert np.asarray(Image.open("edited.png")).shape == (64, 64)


def test_the_config_names_its_bases_where_they_were_published(shelf):
    before = (shelf / EDIT / "config.json").read_bytes()
    run(shelf / EDIT, dry_run=True)
    assert (shelf / EDIT / "config.json").read_bytes() == before and not (shelf / EDIT / "README.md").exists()
    config, _ = registry.load_model(shelf.parent / "hub" / "lab" / EDIT)
    assert (
        config["base_model"] == "lab/lwgan-multimnist-generator"
        and config["base_encoder"] == "lab/lwgan-multimnist-encoder"
    )


@pytest.mark.parametrize(
    ("folder", "kind", "name"),
    [
        ("run-7", "affine", "lwgan-multimnist-lw-1to2"),
        ("lwgan-my-edit", "affine", "lwgan-my-edit"),
        ("generator", "generator", "lwgan-multimnist-generator"),
        ("smile", "translation", "lwgan-multimnist-lw-one-more-digit"),
    ],
)
def test_the_repo_gets_a_telling_name(tmp_path, folder, kind, name):
    config = {
        "kind": kind,
        "domain": "multimnist",
        "method": "lw",
        "attribute": "one-more-digit",
        "from": "1 digit",
        "to": "2 digits",
    }
    if kind == "translation":
        config["to"] = "smiling"
    assert publish.name_of(tmp_path / folder, config) == name


@pytest.mark.parametrize(
    ("kind", "training", "more"),
    [
        (
            "generator",
            {"data": "data", "run": "g", "channels": [16, 8], "kimg": 5, "max_minutes": None, "r1": 0.75},
            {"seen_kimg": 4.5},
        ),
        ("judge", {"data": "data", "run": "judge", "widths": [8, 8, 8], "learning_rate": 0.002}, {}),
        (
            "attribute-judge",
            {"data": "judges", "run": "judge", "widths": [8, 8, 8], "also": "faces"},
            {"split": "train"},
        ),
        ("identity", {"data": "people", "run": "identity", "kept_back": 2, "oracles": 5}, {"split": "train"}),
        ("encoder", {"data": "data", "run": "e", "generator": "generator", "tune": True}, {}),
        ("affine", {"codes": "codes", "attribute": "1to2", "run": "lw-1to2", "method": {"seed": 3}}, {}),
        ("translation", {"codes": "codes", "attribute": "1to2", "run": "mean-1to2", "method": {}}, {}),
    ],
)
def test_the_command_of_a_card_is_one_that_its_stage_understands(kind, training, more):
    method = {"affine": "lw", "translation": "centroids"}.get(kind)
    words = cards.command({"kind": kind, "method": method, "training": training | more}).split()
    options = __main__.parse(words[3:])
    assert words[:3] == ["python", "-m", "trainers"]
    held = run_folder.as_json(options)
    for key, value in training.items():
        assert held[key].items() >= value.items() if isinstance(value, dict) else held[key] == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"from": "<script>"}, "from is '<script>'"),
        ({"to": None}, "to is None"),
        ({"alpha": "strong"}, "alpha is 'strong'"),
        ({"domain": "elsewhere"}, "no card for domain 'elsewhere'"),
        ({"method": None}, "has no method"),
        (
            {"kind": "pictures"},
            "nothing to publish: cards exist for .*; 'pictures': they are pictures to try, no model",
        ),
        ({"kind": "poem"}, "nothing to publish: .*; 'poem': there is no card for it"),
    ],
)
def test_a_config_that_no_card_can_be_made_of_changes_nothing(shelf, changes, message):
    change(shelf / EDIT, **changes)
    with pytest.raises(ValueError, match=message):
        run(shelf / EDIT, dry_run=True)
    assert not list((shelf.parent / "hub").glob("*/*"))


def test_a_template_that_asks_for_what_is_not_there_fails(shelf, tmp_path, monkeypatch):
    for path in cards.TEMPLATES.glob("*.md"):
        (tmp_path / path.name).write_text(path.read_text().replace("{{ num_ws }}", "{{ nun_ws }}"))
    monkeypatch.setattr(cards, "TEMPLATES", tmp_path)
    with pytest.raises(ValueError, match="nun_ws"):
        run(shelf / EDIT, dry_run=True)


def test_markup_in_a_config_does_not_reach_the_card(shelf):
    change(shelf / EDIT, training={"note": "a | b\n\n<img src=x> [link](x) `code`"}, metrics={"a|<b>": 0.5})
    body = run(shelf / EDIT, dry_run=True).split("---\n", 2)[2]
    assert "<img" not in body and "[link]" not in body and "<b>" not in body


# The command


def trainers(monkeypatch, capsys, *words) -> tuple[str, str | None]:
    """What `python -m trainers publish ...` prints, and the error it ends with."""
    monkeypatch.setattr(sys, "argv", ["trainers", "publish", *map(str, words)])
    try:
        __main__.main()
    except SystemExit as end:
        return capsys.readouterr().out, str(end.code)
    return capsys.readouterr().out, None


def test_a_process_of_its_own_pushes_once_and_then_holds_still(shelf, hub, monkeypatch, capsys):
    words = ["publish", str(shelf / EDIT), "--namespace", "lab"]
    env = os.environ | {"HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "trainers", *words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "pushed as" in done.stdout, done.stderr
    said, error = trainers(monkeypatch, capsys, *words[1:])
    assert error is None and "holds this already" in said
    repo = hub.repos[f"lab/{EDIT}"]
    assert len(repo.commits) == 2 and len(hub.calls("/commit/", "POST")) == 1
    assert {"README.md", "images/before-after.png"} <= set(repo.head.files)
    assert torch.equal(
        AffineEdit.from_pretrained(f"lab/{EDIT}").weight, AffineEdit.from_pretrained(shelf / EDIT).weight
    )
    assert [entry.name for entry in registry.list_edits("lab")] == [EDIT]


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


def test_a_hub_that_is_away_is_said_so(shelf, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", "hf_write")
    _, error = trainers(monkeypatch, capsys, shelf / EDIT, "--namespace", "lab")
    assert "was not pushed to lab/" in error and "refused" in error


def test_a_dry_run_asks_nobody(shelf, hub, monkeypatch, capsys):
    said, error = trainers(
        monkeypatch,
        capsys,
        shelf / EDIT,
        "--namespace",
        "lab",
        "--dry-run",
        "--target",
        shelf.parent / "look",
    )
    assert error is None and "nothing was pushed to lab/" in said
    assert not hub.log
    looked_at = registry.files_of(shelf.parent / "look" / "lab" / EDIT)
    trainers(monkeypatch, capsys, shelf / EDIT, "--namespace", "lab")
    pushed = hub.repos[f"lab/{EDIT}"].head.files
    assert pushed.pop(".gitattributes") and pushed == looked_at  # just what was shown


def held(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("inside", [".", "run"])
def test_a_dry_run_does_not_delete_its_own_source(shelf, monkeypatch, capsys, inside):
    run(shelf / EDIT, dry_run=True)
    hub = shelf.parent / "hub"
    source = hub / "lab" / EDIT / inside
    if inside == "run":
        shutil.copytree(shelf / EDIT, source)
    before = held(hub)
    _, error = trainers(
        monkeypatch, capsys, source, "--namespace", "lab", "--dry-run", "--target", hub, "--name", EDIT
    )
    assert (
        f"{source} would be replaced by what is made of it in {hub / 'lab' / EDIT}: choose another --target"
        in error
    )
    assert held(hub) == before


@pytest.mark.parametrize("at", ["card", "rename"])
def test_a_dry_run_that_fails_leaves_what_an_earlier_one_wrote(shelf, monkeypatch, at):
    run(shelf / EDIT, dry_run=True)
    before = held(shelf.parent / "hub")
    change(shelf / EDIT, alpha=2.5)

    def fail(*words):
        raise OSError("the disk is full")

    if at == "card":
        monkeypatch.setattr(cards, "card", fail)
    else:
        rename = Path.rename
        monkeypatch.setattr(
            Path, "rename", lambda path, to: fail() if path.name == "new" else rename(path, to)
        )
    with pytest.raises(OSError, match="the disk is full"):
        run(shelf / EDIT, dry_run=True)
    assert (
        before
        and held(shelf.parent / "hub") == before
        and len(list((shelf.parent / "hub" / "lab").iterdir())) == 1
    )
    monkeypatch.undo()
    run(shelf / EDIT, dry_run=True)
    assert json.loads(held(shelf.parent / "hub")[f"lab/{EDIT}/config.json"])["alpha"] == 2.5
