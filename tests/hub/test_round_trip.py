"""The bundled models from publication to a Space: pushed, listed, pulled by `hf` and into a new cache."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from packaging.requirements import Requirement

from lwgan.edit import AffineEdit
from lwgan.files import EDIT_KINDS
from lwgan.generator import Generator
from lwgan.hub import pushing as hub_push
from lwgan.hub import registry
from lwgan.pipeline import EditingPipeline
from tests.hub.artifacts import files
from tests.hub_server import MiniHub
from tests.nets import make_registry
from trainers import publish

EDIT, GENERATOR = "lwgan-multimnist-lw-1to2", "lwgan-multimnist-generator"


@pytest.fixture(params=["lfs", "xet"])
def hub(request, monkeypatch, tmp_path):
    with MiniHub() as server:
        server.serve(monkeypatch, tmp_path / "home", xet=request.param == "xet")
        monkeypatch.setattr(hub_push, "PUSH_PAUSE", 0.001)
        yield server


@pytest.fixture
def shelf(tmp_path):
    return make_registry(tmp_path / "shelf", calibrator=True)


@pytest.fixture(scope="module")
def bundled(tmp_path_factory) -> Path:
    """All nets of the bundled models, and the first edit of each domain and method: the others have the same
    layout, and tests/trainers/publish makes the cards of all."""
    folder, seen = tmp_path_factory.mktemp("bundled"), set()
    for entry in registry.models(registry.bundled()):
        key = entry.config.get("domain"), entry.config.get("method", entry.name)
        if key not in seen:
            (folder / entry.name).symlink_to(Path(entry.source).absolute())
        seen.add(key)
    return folder


@pytest.fixture(scope="module")
def staged(bundled, tmp_path_factory):
    """What is pushed of them: repo -> folder."""
    target = tmp_path_factory.mktemp("hub")
    publish.main(publish.Options(bundled, "lab", dry_run=True, target=target))
    names = publish.models_in(publish.Options(bundled, "lab")).values()
    return {f"lab/{name}": target / "lab" / name for name in names}


def run(folder, namespace="lab", **options):
    publish.main(publish.Options(folder, namespace, **options))


def hf(*words) -> str:
    """What the Hub's own command prints, in a process of its own."""
    command = Path(sys.executable).with_name("hf")
    done = subprocess.run(
        [command, *words], capture_output=True, text=True, check=False, env=os.environ | {"NO_COLOR": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("hub", ["xet"], indirect=True)  # the transfer of the real Hub
def test_bundled_models_are_published_and_pulled_bit_for_bit_by_a_fresh_cache(
    hub, bundled, staged, tmp_path, monkeypatch
):
    options = publish.Options(bundled, "lab", collection="Digits")
    publish.push(staged, options)
    commits = {name: [commit.sha for commit in repo.commits] for name, repo in hub.repos.items()}
    assert {len(made) for made in commits.values()} == {2}
    monkeypatch.setenv("HF_HOME", str(tmp_path / "another"))
    local = {entry.name: entry for entry in registry.models(bundled) if entry.kind != "pictures"}
    there = {entry.name: entry for entry in registry.models("lab")}
    assert sorted(there) == sorted(local) and not any(
        entry.refused or entry.stale for entry in there.values()
    )
    for name, entry in local.items():
        pulled = registry.pull(f"lab/{name}")
        assert files(pulled.folder)["model.safetensors"] == files(Path(entry.source))["model.safetensors"]
    [slug] = hub.collections
    assert [entry.name for entry in registry.models(slug)] == sorted(there)
    edits = [entry for entry in there.values() if entry.kind in EDIT_KINDS]
    for generator in (entry for entry in there.values() if entry.kind == "generator"):
        sha = generator.config["weights"]["sha256"]
        ours = sorted(entry.name for entry in edits if entry.config["base_revision"]["generator"] == sha)
        assert ours and [entry.name for entry in registry.edits_of(f"lab/{generator.name}")] == ours
    few = dict([*list(staged.items())[:3], *list(staged.items())[-3:]])  # again: nothing changes
    publish.push(few, options)
    assert {name: [commit.sha for commit in repo.commits] for name, repo in hub.repos.items()} == commits


def test_the_hubs_own_commands_work_on_what_was_published(hub, shelf, tmp_path):
    run(shelf)
    repo = f"lab/{EDIT}"
    hf("download", repo, "--local-dir", str(tmp_path / "here"), "--quiet")
    assert files(tmp_path / "here") == files(registry.pull(repo).folder)
    loaded = AffineEdit.from_pretrained(tmp_path / "here")
    assert torch.equal(loaded.weight, AffineEdit.from_pretrained(shelf / EDIT).weight)
    listed = hf(
        "models",
        "ls",
        "--filter",
        "lwgan",
        "--filter",
        f"base_model:adapter:lab/{GENERATOR}",
        "--format",
        "json",
    )
    assert sorted(model["id"] for model in json.loads(listed)) == sorted(
        f"lab/{entry.name}" for entry in registry.list_edits(shelf)
    )
    hf("cache", "verify", repo)  # what `registry.pull` put into the cache
    weights = tmp_path / "here" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(AssertionError, match="Checksum verification failed"):
        hf("cache", "verify", repo, "--local-dir", str(tmp_path / "here"))


def test_what_others_downloaded_serves_when_the_hub_is_away(hub, shelf, monkeypatch):
    run(shelf)
    hf(
        "download",
        f"lab/{EDIT}",
        "config.json",
        "model.safetensors",
        "--quiet",
        "--revision",
        hub.repos[f"lab/{EDIT}"].head.sha,
    )
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert registry.pull(f"lab/{EDIT}").stale
    assert [(entry.name, entry.stale) for entry in registry.models("lab")] == [(EDIT, True)]


@pytest.mark.parametrize("hub", ["xet"], indirect=True)  # the transfer of the real Hub
def test_a_space_pins_what_was_published_and_holds_the_page(hub, shelf, tmp_path, monkeypatch):
    run(shelf, space="digits", collection="Digits")
    space = hub.repos["spaces/lab/digits"]
    head = yaml.safe_load(space.head.files["README.md"].decode().split("---\n")[1])
    commits = {name: repo.head.sha for name, repo in hub.repos.items() if not name.startswith("spaces/")}
    assert sorted(head["models"]) == sorted(commits)
    assert sorted(head["preload_from_hub"]) == sorted(
        f"{name} config.json,model.safetensors {sha}" for name, sha in commits.items()
    )
    assert (head["sdk"], head["app_file"], head["license"]) == ("gradio", "app.py", "apache-2.0")
    assert head["hf_oauth"] and head["hf_oauth_scopes"] == ["contribute-repos"]
    needs = space.head.files["requirements.txt"].decode().splitlines()
    torch_of = [Requirement(line) for line in needs if line.startswith("torch")]
    assert len(torch_of) == 1 and "2.11.0" in torch_of[0].specifier and "2.12" not in torch_of[0].specifier
    assert {"app.py", "requirements.txt", "lwgan/edit.py", "lwgan/page/__init__.py"} <= set(space.head.files)
    assert not [
        name
        for name in space.head.files
        if "bundled" in name or "__pycache__" in name or name.startswith("trainers")
    ]
    [slug] = hub.collections
    assert space.variables == {"LWGAN_REGISTRY": slug}
    run(shelf, space="digits", collection="Digits")
    assert len(space.commits) == 2
    # The Space's files alone serve the collection's models.
    for name, data in space.head.files.items():
        (tmp_path / "space" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "space" / name).write_bytes(data)
    code = """
from lwgan.hub.catalog import Catalog
catalog = Catalog()
print(sorted(catalog.pipes["multimnist"].edits), catalog.refused, catalog.pending)
"""
    env = os.environ | {"LWGAN_REGISTRY": slug, "HF_HOME": str(tmp_path / "space-home")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "space",
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{sorted(entry.name for entry in registry.list_edits(shelf))} {{}} False"


def test_a_registry_on_the_hub_edits_as_the_folder_does(hub, shelf):
    run(shelf)
    there, here = EditingPipeline.from_pretrained("lab"), EditingPipeline.from_pretrained(shelf)
    w = torch.randn(1, 10, 16)
    assert list(there.edits) == list(here.edits) and not there.refused
    assert torch.equal(there.edit(w, {EDIT: 1.5}), here.edit(w, {EDIT: 1.5}))


@pytest.mark.parametrize("hub", ["lfs"], indirect=True)  # the transfer makes no difference
def test_a_publication_that_broke_off_is_finished_by_the_same_command(hub, shelf):
    hub.fault("POST", f"/api/models/lab/{EDIT}/commit/", status=403, times=None)
    with pytest.raises(
        ValueError, match=rf"was not pushed to lab/{EDIT} \(4 of 7 were pushed; repeat the command\): .*403"
    ):
        run(shelf)
    assert f"lab/{EDIT}" not in hub.repos and len(hub.repos) == 4
    hub.faults.clear()
    run(shelf)
    assert {len(repo.commits) for repo in hub.repos.values()} == {2} and len(hub.repos) == 7


@pytest.mark.parametrize("hub", ["lfs"], indirect=True)  # the transfer makes no difference
def test_a_proposal_changes_nothing_until_it_is_merged(hub, shelf, monkeypatch, capsys):
    with pytest.raises(ValueError, match="was not pushed to lab/"):
        run(shelf / EDIT, create_pr=True)  # nothing there to propose to
    assert not hub.repos
    run(shelf / EDIT)
    before = hub.repos[f"lab/{EDIT}"].commits.copy()
    monkeypatch.setenv("HF_TOKEN", "hf_other")  # who may not write there
    edit = AffineEdit.from_pretrained(shelf / EDIT)
    AffineEdit(edit.weight, edit.bias + 1, edit.config).save_pretrained(shelf / EDIT)
    run(shelf / EDIT, create_pr=True)
    assert f"{hub.url}/lab/{EDIT}/discussions/1  proposes" in capsys.readouterr().out
    repo = hub.repos[f"lab/{EDIT}"]
    assert repo.commits == before and len(repo.pulls) == 1
    proposed = AffineEdit.from_pretrained(f"lab/{EDIT}", revision="refs/pr/1")
    assert torch.allclose(proposed.bias, edit.bias + 1)


@pytest.mark.parametrize("hub", ["lfs"], indirect=True)  # the transfer makes no difference
def test_an_edit_of_another_generator_is_not_published_beside_this_one(hub, shelf, tmp_path):
    run(shelf / GENERATOR)
    other = make_other(tmp_path / "other")
    right, wrong = (
        json.loads((folder / GENERATOR / "config.json").read_text())["weights"]["sha256"]
        for folder in (other, shelf)
    )
    with pytest.raises(
        ValueError,
        match=f"lab/{EDIT} was made for .* lab/{GENERATOR} with .*{right}, lab/{GENERATOR} has {wrong}",
    ):
        run(other / EDIT)
    (other / GENERATOR / "config.json").write_bytes((shelf / GENERATOR / "config.json").read_bytes())
    (other / GENERATOR / "model.safetensors").write_bytes(
        (shelf / GENERATOR / "model.safetensors").read_bytes()
    )
    with pytest.raises(ValueError, match=f"{right}, lab/{GENERATOR} has {wrong}"):
        run(other, dry_run=True, target=tmp_path / "look")
    assert list(hub.repos) == [f"lab/{GENERATOR}"]


def make_other(folder):
    """As `make_registry`, of other weights."""
    make_registry(folder)
    generator = Generator.from_pretrained(folder / GENERATOR)
    config = generator.card_config
    generator.mapping.w_avg += 1
    registry.save_folder(
        folder / GENERATOR,
        {key: config[key] for key in ("kind", "domain", "domain_spec", "architecture")},
        generator.state_dict(),
    )
    sha256 = json.loads((folder / GENERATOR / "config.json").read_text())["weights"]["sha256"]
    for entry in registry.list_edits(folder):
        edit = AffineEdit.from_pretrained(entry.source)
        based = {**edit.config["base_revision"], "generator": sha256}
        AffineEdit(edit.weight, edit.bias, edit.config | {"base_revision": based}).save_pretrained(
            entry.source
        )
    return folder


@pytest.mark.parametrize("hub", ["lfs"], indirect=True)  # the transfer makes no difference
@pytest.mark.parametrize(
    ("namespace", "token", "message"),
    [
        ("team", "hf_fine", None),
        ("lab", "hf_fine", "may write to team, not to 'lab'"),
        ("team", "hf_write", None),
        ("team", "hf_read", "may only read"),
    ],
)
def test_organisations_and_fine_grained_tokens(hub, shelf, monkeypatch, namespace, token, message):
    monkeypatch.setenv("HF_TOKEN", token)
    if message:
        with pytest.raises(ValueError, match=message):
            run(shelf / GENERATOR, namespace)
        assert not hub.repos
    else:
        run(shelf / GENERATOR, namespace)
        assert f"{namespace}/{GENERATOR}" in hub.repos
