"""Files from elsewhere: whole and checked, or not at all; a stopped download goes on."""

import hashlib
import shutil
from collections import namedtuple

import pytest

from trainers import fetch as module
from trainers.fetch import fetch

DATA = bytes(range(256)) * 4000  # a large file of the Hub: LFS, with a sha256
REPO, FILE = "someone/weights", "folder/file.safetensors"
PLACE = f"hf://{REPO}/{FILE}"


@pytest.fixture
def filled(hub, monkeypatch):
    hub.put(REPO, {FILE: DATA, "page.html": b"<html>"})
    monkeypatch.setattr(module, "CHUNK", 10_000)
    return hub


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def web(hub, name: str) -> str:
    """The address of a file as another server would give it."""
    return f"{hub.url}/{REPO}/resolve/main/{name}"


@pytest.mark.parametrize("revision", ["", "@main", "commit"])
def test_a_file_of_the_hub(filled, tmp_path, revision):
    revision = f"@{filled.repos[REPO].head.sha}" if revision == "commit" else revision
    path = fetch(PLACE + revision, tmp_path / "d")
    assert path == tmp_path / "d" / "file.safetensors" and path.read_bytes() == DATA
    assert [each.name for each in path.parent.iterdir()] == ["file.safetensors"]


def test_a_file_that_is_there_is_not_fetched_again(filled, tmp_path):
    path = fetch(PLACE, tmp_path)
    filled.log.clear()
    assert fetch(PLACE, tmp_path) == path
    assert not filled.calls("/resolve/", "GET")


def test_a_newer_version_takes_its_place(filled, tmp_path):
    fetch(PLACE, tmp_path)
    filled.put(REPO, {FILE: DATA[::-1]})
    assert fetch(PLACE, tmp_path).read_bytes() == DATA[::-1]


def test_an_address_with_its_sha256_and_a_path(filled, tmp_path):
    path = fetch(f"{web(filled, FILE)}#sha256={sha(DATA)}", tmp_path)
    assert path.read_bytes() == DATA
    assert fetch(f"{path}#sha256={sha(DATA)}", tmp_path / "other") == path
    with pytest.raises(ValueError, match=f"has sha256 {sha(DATA)}, expected {'0' * 64}"):
        fetch(f"{path}#sha256={'0' * 64}", tmp_path)


@pytest.mark.parametrize("whole", [False, True])
def test_a_stopped_download_goes_on_where_it_was(filled, tmp_path, monkeypatch, whole):
    """Ctrl-C after a tenth; once even when all had come but was not yet checked."""

    class Stopped(module.tqdm):
        def update(self, n=1):
            super().update(n)
            if not whole and self.n > 100_000:
                raise KeyboardInterrupt

    def stopped(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "tqdm", Stopped)
        if whole:
            patched.setattr(module, "_digest", stopped)
        with pytest.raises(KeyboardInterrupt):
            fetch(PLACE, tmp_path)
    came = len(DATA) if whole else 110_000
    assert (tmp_path / ".file.safetensors.part").stat().st_size == came and not (
        tmp_path / "file.safetensors"
    ).exists()
    sizes = []
    monkeypatch.setattr(module, "_check_room", lambda folder, size, place: sizes.append(size))
    assert fetch(PLACE, tmp_path).read_bytes() == DATA
    assert sum(sizes) == len(DATA) - came


def test_a_broken_transfer_is_said_and_goes_on(filled, tmp_path):
    filled.fault("GET", "/_cdn/", truncate=300_000, times=1)
    with pytest.raises(ValueError, match="was not fetched|was cut short"):
        fetch(PLACE, tmp_path)
    assert not (tmp_path / "file.safetensors").exists()
    assert fetch(PLACE, tmp_path).read_bytes() == DATA


def test_a_corrupt_transfer_is_refused_and_begins_anew(filled, tmp_path):
    filled.fault("GET", "/_cdn/", corrupt=True, times=1)
    with pytest.raises(ValueError, match=f"expected {sha(DATA)}: it is another file"):
        fetch(PLACE, tmp_path)
    assert not list(tmp_path.glob("*.safetensors")) and not list(tmp_path.glob(".*.part"))
    assert fetch(PLACE, tmp_path).read_bytes() == DATA


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("hf://someone/none/file.pt", "someone/none/file.pt was not fetched: "),
        (f"hf://{REPO}/none.pt", "the repository someone/weights holds no none.pt"),
        (f"{PLACE}@no-such-branch", "was not fetched: "),
        ("hf://someone", "is no place of the form hf://org/repo/file@revision"),
        ("ftp://example.org/file.pt", "is no address that is fetched: expected hf://, https:// or a path"),
        ("https://127.0.0.1:9/file.pt", "was not fetched: "),
        ("no/such/file.pt", "no/such/file.pt: there is no such file"),
    ],
)
def test_what_is_not_there_is_said(filled, tmp_path, place, message):
    with pytest.raises((ValueError, OSError), match=message):
        fetch(place, tmp_path / "d")
    assert not list(tmp_path.glob("d/*"))


def test_a_dead_link_and_a_web_page_are_said(filled, tmp_path):
    with pytest.raises(ValueError, match="404"):
        fetch(web(filled, "none.pt"), tmp_path)
    filled.fault("GET", "/resolve/", status=503)
    with pytest.raises(ValueError, match="503"):
        fetch(web(filled, FILE), tmp_path)


def test_a_disk_that_is_too_small_is_said_before_anything_comes(filled, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 10**6, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"needs 1,024,000 bytes in .*, where 1,000,000 are free"):
        fetch(PLACE, tmp_path)
    assert not (tmp_path / "file.safetensors").exists()
