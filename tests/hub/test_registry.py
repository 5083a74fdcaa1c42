"""Model folders, and push, pull and list against a small Hub on this machine."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import safetensors.torch
import torch
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from lwgan.edit import AffineEdit
from lwgan.files import EDIT_LIMIT
from lwgan.generator import Generator
from lwgan.hub import registry
from lwgan.strength import scale_of
from tests.hub.artifacts import BIAS, CARD, CONFIG, REPO, WEIGHT, files, make, rewrite


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path / "edit")


def take_hub_away(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there


# Folders


def test_a_folder_comes_back_as_it_was_saved_with_keys_that_we_do_not_know(folder):
    config, tensors = registry.load_model(folder, "affine")
    random = torch.Generator().manual_seed(0)
    assert torch.equal(tensors["weight"], torch.randn(3, 4, 4, generator=random))
    assert CONFIG.items() <= config.items()
    assert config["format_version"] == 1
    assert (
        config["weights"]["sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    )


def test_saving_the_same_again_gives_the_same_bytes(folder, tmp_path):
    assert all(files(make(tmp_path / f"again{i}")) == files(folder) for i in range(5))


def test_numbers_that_half_precision_cannot_hold_are_refused_before_the_folder_changes(folder):
    before = files(folder)
    with pytest.raises(ValueError, match="'weight' holds NaN or infinity"):
        registry.save_folder(
            folder, CONFIG, {"weight": torch.full((3, 4, 4), 1e6), "bias": torch.zeros(3, 4)}, "float16"
        )
    with pytest.raises(ValueError, match="JSON"):
        registry.save_folder(
            folder, CONFIG | {"metrics": {"loss": float("nan")}}, registry.load_model(folder)[1]
        )
    assert files(folder) == before
    assert not list(folder.glob(".*"))


def save_and_die(folder, renames: int) -> int:
    """The exit status of a process that saves another model and is killed after so many renames."""
    if process := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    replace, left = os.replace, iter(range(renames))
    os.replace = lambda *paths: os._exit(9) if next(left, None) is None else replace(*paths)
    registry.save_folder(folder, CONFIG | {"note": "new"}, {"weight": WEIGHT, "bias": BIAS})
    os._exit(0)


@pytest.mark.parametrize(("renames", "survivor"), [(0, "old"), (1, "new"), (2, "new")])
def test_a_save_that_is_killed_leaves_the_old_model_or_the_new_one(tmp_path, renames, survivor):
    folder = make(tmp_path / "edit", note="old")
    assert save_and_die(folder, renames) == (9 if renames < 2 else 0)
    config, tensors = registry.load_model(folder)
    assert config["note"] == survivor
    assert torch.equal(tensors["bias"], BIAS) == (survivor == "new")
    assert registry.files_of(folder)["model.safetensors"] == safetensors_of(tensors)
    registry.save_folder(folder, CONFIG | {"note": "newer"}, {"weight": WEIGHT * 0, "bias": BIAS * 0})
    assert registry.load_model(folder)[0]["note"] == "newer"
    assert not list(folder.glob(".*"))


def safetensors_of(tensors):
    return safetensors.torch.save(tensors, metadata={"format": "pt"})


def test_a_source_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        registry.load_model(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no such folder, nor is it a Hub id"):
        registry.load_model("nowhere")


def test_what_is_bundled_is_small():
    held = [path.stat() for path in registry.bundled().rglob("*")]
    assert max(each.st_size for each in held) < 10 * 2**20, "each file"
    assert sum(512 * each.st_blocks for each in held) < 64 * 2**20, (
        "every clone brings it along, as its disk counts it"
    )


def test_a_module_is_built_strictly_and_frozen(tmp_path):
    shape = {
        "resolution": 8,
        "img_channels": 1,
        "channels": (4, 4),
        "z_dim": 4,
        "w_dim": 4,
        "mapping_layers": 1,
    }
    generator = Generator(**shape)
    config = {"kind": "generator", "domain": "multimnist", "architecture": generator.config}
    registry.save_folder(tmp_path, config, generator.state_dict())
    again = Generator.from_pretrained(tmp_path)
    z = torch.randn(2, 4)
    assert torch.equal(again(z), generator(z))
    assert not again.training and not any(p.requires_grad for p in again.parameters())
    assert again.card_config["architecture"] == generator.config
    for architecture, message in (
        (generator.config | {"z_dim": 5}, "size mismatch"),
        (generator.config | {"depth": 5}, "depth"),
        (None, "architecture"),
    ):
        rewrite(tmp_path, architecture=architecture)
        with pytest.raises(ValueError, match=message):
            Generator.from_pretrained(tmp_path)
    rewrite(
        tmp_path,
        architecture=generator.config,
        tensors={k: v.contiguous() for k, v in generator.state_dict().items() if "bias" not in k},
    )
    with pytest.raises(ValueError, match="Missing key"):
        Generator.from_pretrained(tmp_path)


# Push and pull


def test_what_is_pushed_is_pulled_bit_for_bit_in_one_commit(hub, folder):
    pushed = registry.push(folder, REPO)
    assert pushed.changed and pushed.url == f"{hub.url}/{REPO}"
    assert len(hub.calls("/commit/", "POST")) == 1
    assert hub.repos[REPO].head.sha == pushed.commit
    assert set(hub.repos[REPO].head.files) == {
        ".gitattributes",
        "config.json",
        "model.safetensors",
        "README.md",
        "metrics.json",
        "images/before-after.png",
    }
    pulled = registry.pull(REPO)
    assert (pulled.revision, pulled.stale) == (pushed.commit, False)
    assert files(pulled.folder) == files(folder)
    assert sorted(path.name for path in pulled.folder.iterdir()) == ["config.json", "model.safetensors"]
    ours, theirs = AffineEdit.from_pretrained(folder), AffineEdit.from_pretrained(REPO)
    assert (
        torch.equal(ours.weight, theirs.weight)
        and torch.equal(ours.bias, theirs.bias)
        and ours.config == theirs.config
    )


def test_the_token_does_not_follow_to_the_storage(hub, folder):
    registry.push(folder, REPO)
    registry.pull(REPO)
    stored = [token for _, path, token in hub.log if path.startswith(("/_lfs/", "/_cdn/"))]
    assert len(stored) >= 2 and set(stored) == {None}


def test_an_edit_pushes_itself(hub):
    edit = AffineEdit(None, torch.randn(3, 4), {"attribute": "one-more-digit"})
    commit = edit.push_to_hub(REPO).commit
    assert torch.equal(AffineEdit.from_pretrained(REPO, revision=commit).bias, edit.bias)


def test_pushing_the_same_again_makes_no_commit(hub, folder):
    first, again = registry.push(folder, REPO), registry.push(folder, REPO)
    assert (again.commit, again.changed) == (first.commit, False)
    assert len(hub.repos[REPO].commits) == 2  # the Hub's own and ours


def test_a_new_version_replaces_the_old_one_and_its_pictures(hub, folder, tmp_path):
    first = registry.push(folder, REPO)
    make(folder, seed=1)
    (folder / "images" / "before-after.png").rename(folder / "images" / "sheet.png")
    second = registry.push(folder, REPO)
    assert len(hub.repos[REPO].commits) == 3
    assert [name for name in hub.repos[REPO].head.files if name.startswith("images/")] == ["images/sheet.png"]
    assert files(registry.pull(REPO).folder) == files(folder)
    assert files(registry.pull(REPO, first.commit).folder) == files(make(tmp_path / "old"))
    assert second.commit != first.commit


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 409}, {"status": 412}, {"status": 429}, {"drop": True}], ids=str
)
def test_a_push_goes_round_again_and_lands_once(hub, folder, fault):
    registry.push(folder, REPO)
    make(folder, seed=1)
    hub.fault("POST", "/commit/", **fault)
    pushed = registry.push(folder, REPO)
    assert len(hub.repos[REPO].commits) == 3
    assert pushed.changed and pushed.commit == hub.repos[REPO].head.sha
    assert files(registry.pull(REPO).folder) == files(folder)


def test_a_lost_answer_to_the_making_of_the_repo_does_no_harm(hub, folder):
    hub.fault("POST", "/api/repos/create", drop=True)
    registry.push(folder, REPO)
    assert len(hub.repos[REPO].commits) == 2


def test_pushes_that_race_all_land(hub, tmp_path):
    folders = [make(tmp_path / str(i), seed=i) for i in range(3)]
    registry.push(folders[0], REPO)
    make(folders[0], seed=9)
    done = []
    threads = [threading.Thread(target=lambda f=f: done.append(registry.push(f, REPO))) for f in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    commits = [commit.sha for commit in hub.repos[REPO].commits]
    assert len(done) == 3 and {pushed.commit for pushed in done} <= set(commits)
    assert files(registry.pull(REPO).folder) in [files(f) for f in folders]


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize(
    ("method", "route", "fault"),
    [
        ("POST", "/commit/", {"status": 503}),
        ("POST", "/commit/", {"status": 400}),
        ("POST", "/preupload/", {"status": 403}),
        ("POST", "/objects/batch", {"status": 400}),
        ("PUT", "/_lfs/", {"status": 403}),
    ],
    ids=str,
)
def test_a_push_that_fails_leaves_the_hub_as_it_was(hub, folder, existing, method, route, fault):
    if existing:
        registry.push(folder, REPO)
        make(folder, seed=1)
    before = {name: list(repo.commits) for name, repo in hub.repos.items()}
    hub.fault(method, route, times=None, **fault)
    with pytest.raises(HfHubHTTPError, match=str(fault["status"])):
        registry.push(folder, REPO)
    assert {name: repo.commits for name, repo in hub.repos.items()} == before


def test_a_card_with_bad_metadata_is_refused_before_any_upload(hub, folder):
    (folder / "README.md").write_text(CARD.replace("lab/g", "/some/folder/g"))
    with pytest.raises(ValueError, match='"base_model" with value "/some/folder/g"'):
        registry.push(folder, REPO)
    assert not hub.repos and not hub.calls("/_lfs/|/commit/")


def test_a_broken_folder_is_refused_before_the_hub_is_asked(hub, folder):
    rewrite(folder, tensors={"weight": WEIGHT, "bias": BIAS * float("inf")})
    with pytest.raises(ValueError, match="NaN or infinity"):
        registry.push(folder, REPO)
    assert not hub.log


@pytest.mark.parametrize("repo_id", ["lab", "lab/Edit", "lab/a b", "lab/../x", "a/b/c"])
def test_names_that_the_registry_would_refuse_are_not_pushed(hub, folder, repo_id):
    with pytest.raises(ValueError, match="no name for a repo"):
        registry.push(folder, repo_id)
    assert not hub.log


def test_a_missing_refused_or_read_only_token_is_said_before_any_upload(hub, folder, monkeypatch):
    with pytest.raises(ValueError, match="refuses the token"):
        registry.push(folder, REPO, token="hf_unknown")
    with pytest.raises(ValueError, match="may only read"):
        registry.push(folder, REPO, token="hf_read")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ValueError, match=r"no token.*HF_TOKEN"):
        registry.push(folder, REPO)
    assert not hub.repos and set(hub.calls("")) == {"GET /api/whoami-v2"} | set(hub.calls("agent-harnesses"))


def test_another_ones_namespace_is_refused(hub, folder):
    with pytest.raises(ValueError, match="the token of 'lab' may write to lab, team, not to 'other'"):
        registry.push(folder, "other/lwgan-edit")
    assert not hub.repos


def test_private_means_private(hub, folder, monkeypatch):
    registry.push(folder, REPO, private=True)
    assert hub.repos[REPO].private
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(RepositoryNotFoundError):
        registry.pull(REPO)
    hub.put("lab/open", {})
    with pytest.raises(ValueError, match="public already"):
        registry.push(folder, "lab/open", private=True, token="hf_write")
    with pytest.raises(ValueError, match="lab/open is public already"):
        registry.push(folder, "lab/open", private=True, create_pr=True, token="hf_write")
    assert len(hub.repos["lab/open"].commits) == 1 and not hub.calls(
        "/commit/.*lab/open|lab/open/commit/", "POST"
    )


def test_wrong_sizes_and_hashes_of_the_hub_are_refused(hub, folder):
    held = files(folder)
    hub.put(REPO, held | {"model.safetensors": held["model.safetensors"][:-4] + b"abcd"})
    with pytest.raises(ValueError, match="sha256"):
        registry.pull(REPO)
    hub.put(REPO, held | {"model.safetensors": held["model.safetensors"] + b"more"})
    with pytest.raises(ValueError, match="bytes"):
        registry.pull(REPO)
    hub.put(REPO, {"config.json": held["config.json"], "pytorch_model.bin": b"pickle"})
    with pytest.raises(ValueError, match=r"holds no model.safetensors"):
        registry.pull(REPO)
    assert not hub.calls("pytorch_model")


@pytest.mark.parametrize("kind", ["affine", None])
def test_an_edit_that_is_too_large_is_refused_before_its_weights_are_downloaded(hub, folder, kind):
    hub.put(REPO, files(folder) | {"model.safetensors": bytes(EDIT_LIMIT + 1)})
    with pytest.raises(ValueError, match="64000001 bytes, kind 'affine' may have 64000000"):
        registry.pull(REPO, kind=kind)
    assert not hub.calls("/_cdn/") and not hub.calls("resolve/.*safetensors")
    if kind:
        assert not hub.calls("/resolve/")


def test_a_config_that_is_too_large_is_refused_before_it_is_downloaded(hub, folder):
    hub.put(REPO, files(folder) | {"config.json": b" " * 2_000_000})
    with pytest.raises(ValueError, match=r"config.json has 2000000 bytes"):
        registry.pull(REPO)
    assert not hub.calls("/resolve/")


def test_a_file_that_was_damaged_on_its_way_is_fetched_once_more(hub, folder):
    registry.push(folder, REPO)
    hub.fault("GET", "/_cdn/", corrupt=True)
    assert files(registry.pull(REPO).folder) == files(folder)
    assert len(hub.calls("/_cdn/", "GET")) == 2


def test_a_download_that_breaks_off_is_taken_up_again(hub, folder):
    registry.push(folder, REPO)
    hub.fault("GET", "/_cdn/", truncate=100)
    assert files(registry.pull(REPO).folder) == files(folder)


def test_a_download_that_always_breaks_off_leaves_the_last_good_version(hub, folder, tmp_path):
    first = registry.push(folder, REPO)
    registry.pull(REPO)
    make(folder, seed=1)
    registry.push(folder, REPO)
    hub.fault("GET", "/_cdn/", status=502, times=None)
    pulled = registry.pull(REPO)
    assert (pulled.revision, pulled.stale) == (first.commit, True)
    assert files(pulled.folder) == files(make(tmp_path / "old"))


def test_with_the_hub_away_the_last_good_version_serves_and_says_so(hub, folder, monkeypatch):
    pushed = registry.push(folder, REPO)
    registry.pull(REPO)
    hub.put(REPO, files(folder) | {"model.safetensors": b"broken"})
    with pytest.raises(ValueError, match="bytes"):
        registry.pull(REPO)
    take_hub_away(monkeypatch)
    pulled = registry.pull(REPO)
    assert (pulled.revision, pulled.stale) == (pushed.commit, True)
    assert torch.equal(AffineEdit.from_pretrained(REPO).bias, AffineEdit.from_pretrained(folder).bias)


@contextlib.contextmanager
def read_only(folder):
    """Closes a folder to writing. Root may always write, so it becomes another user meanwhile."""
    user, folders = os.geteuid(), [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)
        for path in folders:
            path.chmod(0o755)


def test_a_cache_that_cannot_be_written_to_serves_its_last_good_version_and_says_so(hub, folder, monkeypatch):
    monkeypatch.setattr(registry, "_stale", set())
    old = registry.push(folder, REPO).commit
    with tempfile.TemporaryDirectory() as home:  # pytest's own folders are closed to other users
        monkeypatch.setenv("HF_HOME", home)
        registry.pull(REPO)
        new = registry.push(make(folder, seed=1), REPO).commit
        with read_only(Path(home)):
            pulled = registry.pull(REPO)
            assert (pulled.revision, pulled.stale) == (old, True)
            with pytest.warns(UserWarning, match=f"cache cannot be written to .*: using commit {old}"):
                AffineEdit.from_pretrained(REPO)
            monkeypatch.setenv("HF_HOME", f"{home}/none")
            with pytest.raises(OSError, match=f"{REPO}: the Hub's cache cannot .* and no earlier pull of it"):
                registry.pull(REPO)
        monkeypatch.setenv("HF_HOME", home)
        assert registry.pull(REPO).revision == new


def test_an_edit_has_the_same_strength_bundled_in_a_folder_and_pulled(hub, tmp_path):
    for name in ("lwgan-synthfaces-lw-eyeglasses", "lwgan-multimnist-lw-1to2"):
        bundled, copy = registry.bundled() / name, tmp_path / name
        registry.push(bundled, f"lab/{name}")
        AffineEdit.from_pretrained(bundled).save_pretrained(copy)
        assert sorted(path.name for path in copy.iterdir()) == ["config.json", "model.safetensors"]
        scales = [
            scale_of(AffineEdit.from_pretrained(source).config) for source in (bundled, copy, f"lab/{name}")
        ]
        assert scales[0] == scales[1] == scales[2]
        assert scales[0].unit == json.loads((bundled / "config.json").read_text())["strength"]["unit"] != 1


def test_with_the_hub_away_and_nothing_in_the_cache_that_is_said(hub, monkeypatch):
    take_hub_away(monkeypatch)
    with pytest.raises(ConnectionError, match=f"{REPO}: the Hub is away"):
        registry.pull(REPO)


def test_a_hub_in_trouble_is_away_but_a_hub_that_says_no_is_not(hub, folder, monkeypatch):
    registry.push(folder, REPO)
    registry.pull(REPO)
    hub.fault("GET", "/api/models/", status=503)
    assert registry.pull(REPO).stale
    hub.repos[REPO].private = True
    with pytest.raises(RepositoryNotFoundError):
        registry.pull(REPO, token="hf_other")
    with pytest.raises(HfHubHTTPError):
        registry.pull(REPO, token="hf_revoked")
    with pytest.raises(RevisionNotFoundError):
        registry.pull(REPO, "no-such-branch")
    del hub.repos[REPO]
    with pytest.raises(RepositoryNotFoundError):
        registry.pull(REPO)


def test_a_gated_model_is_refused(hub, folder):
    hub.put(REPO, files(folder), gated=True)
    with pytest.raises(GatedRepoError):
        registry.pull(REPO, token="hf_other")


@pytest.mark.parametrize(
    ("repo_id", "revision"), [("../..", None), ("a/b/c", None), (REPO, "../../x"), (REPO, "a b")]
)
def test_ids_and_revisions_that_are_none_are_not_asked_for(hub, repo_id, revision):
    with pytest.raises(ValueError, match="is no"):
        registry.pull(repo_id, revision)
    assert not hub.log


# Registries


def test_a_folder_of_models_is_listed_with_the_broken_ones(tmp_path, monkeypatch):
    shelf = tmp_path / "shelf"
    make(shelf / "lwgan-b")
    rewrite(make(shelf / "lwgan-a"), format_version=7)
    make(shelf / "Bad name")
    registry.save_folder(shelf / "net", {"kind": "generator", "domain": "multimnist"}, {"x": torch.zeros(1)})
    (shelf / "notes").mkdir()
    monkeypatch.setenv("LWGAN_REGISTRY", str(shelf))
    found = {entry.name: entry for entry in registry.models()}
    assert list(found) == ["Bad name", "lwgan-a", "lwgan-b", "net"]
    assert "format_version is 7" in found["lwgan-a"].refused and "the name" in found["Bad name"].refused
    good = found["lwgan-b"]
    assert (good.kind, good.domain, good.refused, good.source) == (
        "affine",
        "multimnist",
        None,
        str(shelf / "lwgan-b"),
    )
    assert good.config["new_key"] == {"kept": [1.5]}
    assert [entry.name for entry in registry.list_edits(shelf)] == ["Bad name", "lwgan-a", "lwgan-b"]


def test_a_namespace_lists_what_is_tagged_and_downloads_no_weights(hub, folder):
    pushed = registry.push(folder, REPO)
    hub.put("lab/broken", {"README.md": CARD.encode(), "config.json": b"{"})
    hub.put("lab/something-else", {"README.md": b"---\ntags: [other]\n---\n"})
    hub.put("other/edit", {"README.md": CARD.encode()})
    entries = registry.list_edits("lab")
    assert [entry.name for entry in entries] == ["broken", "lwgan-multimnist-lw-1to2"]
    assert "holds no model.safetensors" in entries[0].refused
    assert (entries[1].source, entries[1].revision, entries[1].config["w_dim"]) == (REPO, pushed.commit, 4)
    assert not hub.calls("/_cdn/")
    assert torch.equal(
        AffineEdit.from_pretrained(entries[1].source).bias, AffineEdit.from_pretrained(folder).bias
    )


def test_a_namespace_that_is_away_is_listed_from_the_cache(hub, folder, monkeypatch):
    registry.push(folder, REPO)
    registry.pull(REPO)
    take_hub_away(monkeypatch)
    assert [(entry.source, entry.refused) for entry in registry.models("lab")] == [(REPO, None)]
    with pytest.raises(ConnectionError, match="nobody: the Hub is away"):
        registry.models("nobody")


def test_a_collection_lists_its_models(hub, folder):
    registry.push(folder, REPO)
    hub.collections["lab/edits-0123456789abcdef01234567"] = {"title": "edits", "items": [REPO, "lab/gone"]}
    found = {entry.source: entry.refused for entry in registry.models("lab/edits-0123456789abcdef01234567")}
    assert found[REPO] is None and "404" in found["lab/gone"]


def test_a_registry_that_is_none_is_said_so():
    with pytest.raises(FileNotFoundError, match=r"'\./nowhere': there is no such folder"):
        registry.models("./nowhere")


def test_bundled_is_the_default(monkeypatch):
    monkeypatch.delenv("LWGAN_REGISTRY", raising=False)
    named = [(entry.name, entry.source) for entry in registry.models("bundled")]
    assert named == [(entry.name, entry.source) for entry in registry.models()]
    assert all(source.startswith(str(registry.bundled())) for _, source in named)


def test_a_process_of_its_own_pulls_with_the_usual_environment(hub, folder, tmp_path):
    registry.push(folder, REPO)
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    env = os.environ | {"HF_HUB_DISABLE_XET": "1"}
    code = f"from lwgan.edit import AffineEdit; print(AffineEdit.from_pretrained({REPO!r}).bias.sum().item())"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == AffineEdit.from_pretrained(folder).bias.sum().item()
