"""Faults of the Hub and of the network, by LFS and by xet.

A pull gives the right error or the last good version, and never half a model. A push makes one commit or
none.
"""

import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
import traceback

import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import httpx

from lwgan.hub import client, registry
from lwgan.hub import pushing as hub_push
from tests.hub.artifacts import REPO, files, make

SOON = 30  # seconds that the real deadlines allow


@pytest.fixture
def hub(lasting_hub, monkeypatch):
    monkeypatch.setattr(hub_push, "PUSH_PAUSE", 0.001)
    return lasting_hub


@pytest.fixture
def hurry(monkeypatch):
    """A function that shortens the time limits, so that a test can wait for them.

    Called late: on a busy machine, steps that must succeed need more time.
    """

    def begin():
        monkeypatch.setattr(client, "PATIENCE", 0.3)
        monkeypatch.setattr(client, "DEADLINE", 0.6)

    return begin


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path / "edit")


# The way there and back


def test_what_is_pushed_is_pulled_bit_for_bit_on_either_path(hub, folder, tmp_path):
    pushed = registry.push(folder, REPO)
    assert bool(hub.calls("/_lfs/", "PUT")) != bool(hub.calls("/xet-write-token/"))
    assert files(registry.pull(REPO).folder) == files(folder)
    assert bool(hub.calls("/_cdn/", "GET")) != bool(hub.calls("/xet-read-token/"))
    assert hub.speaks_xet == bool(hub.calls("/xet-read-token/"))
    assert registry.push(folder, REPO).changed is False and len(hub.repos[REPO].commits) == 2
    assert pushed.tag == "v1" and hub.repos[REPO].tags == {"v1": pushed.commit}


def test_three_pushes_at_once_all_land(hub, tmp_path):
    names = [f"lab/lwgan-{i}" for i in range(2)]
    folders = [make(tmp_path / str(i), seed=i) for i in range(3)]
    registry.push(folders[0], REPO)
    for repo_id in ([REPO] * 3, [REPO, *names]):
        make(folders[0], seed=len(hub.repos[REPO].commits) + 9)
        done, before = [], len(hub.repos[REPO].commits)
        pushes = [
            threading.Thread(target=lambda f=f, r=r, done=done: done.append(registry.push(f, r)))
            for f, r in zip(folders, repo_id, strict=True)
        ]
        for push in pushes:
            push.start()
        for push in pushes:
            push.join(60)
        assert len(done) == 3 and len(hub.repos[REPO].commits) - before == repo_id.count(REPO)
        for pushed in done:
            assert pushed.commit in {commit.sha for commit in hub.repos[pushed.repo_id].commits}
            assert hub.repos[pushed.repo_id].tags[pushed.tag] == pushed.commit
    assert files(registry.pull(names[0]).folder) == files(folders[1])


# Pull: the Hub says no


DENIED = [
    ({"status": 401}, HfHubHTTPError),
    ({"status": 401, "headers": {"X-Error-Code": "RepoNotFound"}}, RepositoryNotFoundError),
    ({"status": 403, "headers": {"X-Error-Code": "GatedRepo"}}, GatedRepoError),
    ({"status": 403}, HfHubHTTPError),
    ({"status": 404, "headers": {"X-Error-Code": "RepoNotFound"}}, RepositoryNotFoundError),
]


@pytest.mark.parametrize(
    ("fault", "error"), DENIED, ids=lambda value: str(value) if isinstance(value, dict) else ""
)
def test_a_hub_that_says_no_is_not_answered_from_the_cache(hub, folder, fault, error):
    registry.push(folder, REPO)
    registry.pull(REPO)
    hub.fault("GET", f"/api/models/{REPO}", times=None, **fault)
    with pytest.raises(error) as caught:
        registry.pull(REPO)
    assert caught.value.response.status_code == fault["status"]


def test_a_model_that_was_gated_made_private_or_deleted_since_is_not_served_from_the_cache(hub, folder):
    registry.push(folder, REPO)
    registry.pull(REPO, token="hf_other")
    hub.repos[REPO].gated = True
    with pytest.raises(GatedRepoError):
        registry.pull(REPO, token="hf_other")
    with pytest.raises(GatedRepoError):
        registry.pull(REPO, hub.repos[REPO].head.sha, token="hf_other")
    assert not registry.pull(REPO).stale  # its owner may
    [entry] = registry.models("lab", token="hf_other")
    assert "403" in entry.refused
    hub.repos[REPO].gated, hub.repos[REPO].private = False, True
    with pytest.raises(RepositoryNotFoundError):
        registry.pull(REPO, token="hf_other")
    assert registry.models("lab", token="hf_other") == []
    del hub.repos[REPO]
    with pytest.raises(RepositoryNotFoundError):
        registry.pull(REPO)


# Pull: the Hub is away

INFO, HEAD, BYTES, ALL = f"/api/models/{REPO}$", "/resolve/.*config", "/_cdn/|/xet-read-token/", "."
LATER, LOST, SLOW = {"status": 429, "headers": {"Retry-After": "60"}}, {"drop": True}, {"delay": 4}
AWAY = [
    (INFO, {"status": 503}),
    (HEAD, {"status": 503}),
    (BYTES, {"status": 500}),
    (BYTES, LATER),
    (BYTES, LOST),
    (BYTES, SLOW),
    (ALL, {"status": 500}),
    (ALL, {"status": 503}),
    (ALL, LATER),
    (ALL, LOST),
    (ALL, SLOW),
]


@pytest.mark.parametrize(("route", "fault"), AWAY, ids=str)
def test_a_hub_in_trouble_is_answered_by_the_last_good_version_marked_as_stale(
    hub, hurry, folder, tmp_path, route, fault
):
    hub.put(REPO, files(folder))
    first = registry.pull(REPO)
    hub.put(REPO, files(make(tmp_path / "newer", seed=1)))
    hub.fault("*", route, times=None, **fault)
    hurry()
    begun = time.monotonic()
    pulled = registry.pull(REPO)
    assert (pulled.revision, pulled.stale) == (first.revision, True)
    assert files(pulled.folder) == files(folder)
    if route in (BYTES, ALL):
        with pytest.raises(ConnectionError, match="the Hub is away .* and no earlier pull"):
            registry.pull(REPO, hub.repos[REPO].head.sha)
    assert time.monotonic() - begun < 3 * (client.DEADLINE + 1)


def test_a_hub_that_is_gone_with_and_without_a_cache(hub, hurry, folder, monkeypatch):
    pushed = registry.push(folder, REPO, collection="Edits")
    registry.models("lab")
    registry.models(pushed.collection)
    registry.edits_of("lab/g")
    registry.pull(REPO)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    hurry()
    assert registry.pull(REPO).stale and registry.pull(REPO, pushed.commit).stale
    for listed in (registry.models("lab"), registry.list_edits(pushed.collection)):
        assert [(entry.source, entry.stale, entry.refused) for entry in listed] == [(REPO, True, None)]
    for ask in (registry.pull, registry.edits_of):
        with pytest.raises(ConnectionError, match="away"):
            ask("lab/other")
    with pytest.raises(ConnectionError, match="nobody: the Hub is away"):
        registry.models("nobody")


def test_a_slow_hub_is_waited_for_as_long_as_its_bytes_allow(hub, folder):
    registry.push(folder, REPO)
    hub.fault("*", "/resolve/.*config|/_cdn/|/xet-read-token", delay=0.3, times=2)
    assert not registry.pull(REPO).stale


def test_the_real_deadlines_end_within_half_a_minute():
    assert client.PATIENCE + 1 < SOON and client.DEADLINE < SOON
    assert client.left(client.deadline()) <= client.DEADLINE
    assert (
        3 < client.left(client.deadline(64_000_000)) - client.DEADLINE < 300
    )  # what an edit of 64 MB may take longer


# Pull: damaged on the way


FLIP, CUT = lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], lambda data: data[:-9]


@pytest.mark.parametrize(
    ("how", "cached"),
    [(FLIP, False), (CUT, False), (FLIP, True)],
    ids=["corrupted", "cut", "corrupted since"],
)
def test_a_body_that_is_damaged_for_good_is_never_taken_for_a_model(hub, folder, tmp_path, cached, how):
    first = registry.push(folder, REPO)
    if cached:
        registry.pull(REPO)
        make(folder, seed=1)
        registry.push(folder, REPO)
    if hub.speaks_xet:
        hub.xet.spoil(how)
    else:
        damage = {"corrupt": True} if how is FLIP else {"truncate": 100}
        hub.fault("GET", "/_cdn/", times=None, **damage)
    if cached and not (hub.speaks_xet or how is FLIP):
        assert registry.pull(REPO).stale
    else:
        with pytest.raises((ValueError, OSError, RuntimeError)):
            registry.pull(REPO)
    if cached:
        assert registry.pull(REPO, first.commit).revision == first.commit  # what was good stays so


@pytest.mark.parametrize("fault", [{"corrupt": True}, {"truncate": 100}], ids=str)
def test_a_body_that_is_damaged_once_is_fetched_again(hub, folder, fault):
    registry.push(folder, REPO)
    hub.fault("GET", "/_cdn/", **fault)
    hub.fault("GET", "/resolve/.*config.json", **(fault if "corrupt" in fault else {"truncate": 50}))
    assert files(registry.pull(REPO).folder) == files(folder)


# Push


MAKE, UPLOAD, COMMIT = "/repos/create", "/objects/batch|/xet-write-token", "/commit/"
PASSING = [
    (INFO, {"status": 503}),
    (MAKE, {"status": 503}),
    (MAKE, LOST),
    ("/preupload/", {"status": 500}),
    ("/preupload/", SLOW),
    (UPLOAD, {"status": 500}),
    (UPLOAD, LOST),
    *((COMMIT, {"status": code}) for code in (409, 412, 429, 500, 503)),
    (COMMIT, LOST),
    (COMMIT, SLOW),
    ("/refs", {"status": 503}),
    ("/tag/", {"status": 409}),
    ("/tag/", LOST),
]


@pytest.mark.parametrize(("route", "fault"), PASSING, ids=str)
def test_a_fault_that_passes_ends_in_one_commit(hub, folder, monkeypatch, route, fault):
    monkeypatch.setattr(client, "PATIENCE", 2)
    if route != MAKE:
        hub.put(REPO, {".gitattributes": b""})
    hub.fault("*", route, times=1, **fault)
    pushed = registry.push(folder, REPO)
    assert len(hub.repos[REPO].commits) == 2 and pushed.commit == hub.repos[REPO].head.sha
    assert files(registry.pull(REPO).folder) == files(folder)
    assert hub.repos[REPO].tags == {"v1": pushed.commit}


STAYING = [
    ("/preupload/", {"status": 403}),
    (UPLOAD, {"status": 401}),
    (UPLOAD, {"status": 503}),
    (COMMIT, {"status": 403}),
    (COMMIT, {"status": 404}),
    (COMMIT, {"status": 503}),
    (COMMIT, {"delay": 6}),
]


@pytest.mark.parametrize(("route", "fault"), STAYING, ids=str)
def test_a_fault_that_stays_leaves_the_hub_as_it_was(hub, hurry, folder, tmp_path, route, fault):
    there = "lab/lwgan-there"
    hub.put(there, files(make(tmp_path / "older", seed=1)))
    before = hub.repos[there].commits.copy()
    hub.fault("*", route, times=None, **fault)
    hurry()
    begun = time.monotonic()
    for repo_id in (there, REPO):
        with pytest.raises((HfHubHTTPError, httpx.HTTPError, OSError)):
            registry.push(folder, repo_id)
    assert time.monotonic() - begun < 4 * (client.DEADLINE + client.PATIENCE + 1)
    assert list(hub.repos) == [there] and hub.repos[there].commits == before


def test_answers_that_are_always_lost_are_not_needed(hub, folder, monkeypatch):
    monkeypatch.setattr(client, "PATIENCE", 2)
    hub.fault("*", COMMIT, drop=True, times=None)
    assert registry.push(folder, REPO).commit == hub.repos[REPO].head.sha
    assert len(hub.repos[REPO].commits) == 2


def test_a_commit_that_lands_after_it_was_given_up_is_not_made_twice(hub, folder, monkeypatch):
    registry.push(folder, REPO)
    make(folder, seed=1)
    monkeypatch.setattr(client, "PATIENCE", 0.6)
    hub.fault("POST", "/commit/", delay=1.0, times=1)
    try:
        registry.push(folder, REPO)
    except TimeoutError:
        registry.push(folder, REPO)
    time.sleep(1.2)  # the first request is answered by now
    assert len(hub.repos[REPO].commits) == 3
    assert files(registry.pull(REPO).folder) == files(folder)


def test_a_tag_or_a_collection_that_failed_is_made_by_the_next_push(hub, folder):
    hub.fault("POST", "/tag/|/collections", status=503, times=None)
    with pytest.raises(HfHubHTTPError):
        registry.push(folder, REPO, collection="Edits")
    assert len(hub.repos[REPO].commits) == 2 and not hub.repos[REPO].tags
    hub.faults.clear()
    again = registry.push(folder, REPO, collection="Edits")
    assert (again.changed, again.tag, len(hub.repos[REPO].commits)) == (False, "v1", 2)
    assert hub.collections[again.collection] == {"title": "Edits", "items": [REPO]}
    assert registry.push(folder, REPO, collection="Edits") == again


# The token


def test_the_token_is_in_no_log_line_exception_or_file(
    hub, hurry, folder, tmp_path, monkeypatch, caplog, capfd
):
    from tests.hub_repos import USERS

    secret = "hf_" + "Secret" * 5
    monkeypatch.setitem(USERS, secret, USERS["hf_write"])
    monkeypatch.setenv("HF_TOKEN", secret)
    caplog.set_level(logging.DEBUG)
    seen = []

    def attempt(act, *words, **options):
        try:
            seen.append(repr(act(*words, **options)))
        except Exception as error:
            seen.append("".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)))

    attempt(registry.push, folder, REPO)
    attempt(registry.push, folder, "other/lwgan-edit")
    hurry()
    for seed, fault in enumerate(
        [{"status": 401}, {"status": 403}, {"status": 500}, {"drop": True}, {"delay": 2}]
    ):
        make(folder, seed=seed + 1)
        hub.fault("*", ".", times=9, **fault)
        attempt(registry.push, folder, REPO)
        attempt(registry.pull, REPO)
        attempt(registry.models, "lab")
        hub.faults.clear()
    attempt(registry.push, folder, REPO, token=secret + "x")
    attempt(registry.pull, REPO, token=secret)
    assert len(seen) == 19 and any(token == secret for _, _, token in hub.log)
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 5
    said = "".join([*seen, caplog.text, *capfd.readouterr()])
    assert secret not in said and not any(secret.encode() in data for data in written)
    assert os.environ["HF_TOKEN"] == secret


TALKING = """
    import logging, sys
    logging.basicConfig(level=logging.DEBUG)  # also of httpx2 and httpcore2, to stderr
    from lwgan.hub import registry
    folder, repo_id = sys.argv[1:]
    for act in (lambda: registry.push(folder, repo_id), lambda: registry.pull(repo_id),
                lambda: registry.models("lab"), lambda: registry.push(folder, "other/lwgan-edit"),
                lambda: registry.pull("lab/lwgan-none")):
        try:
            print(repr(act()))
        except Exception:
            logging.exception("refused")
"""


@pytest.mark.parametrize("lasting_hub", ["xet"], indirect=True)
def test_the_token_is_not_said_by_libraries_that_are_told_to_say_all(hub, folder, tmp_path, monkeypatch):
    from tests.hub_repos import USERS

    secret = "hf_" + "Hidden" * 5
    monkeypatch.setitem(USERS, secret, USERS["hf_write"])
    logs = tmp_path / "logs"
    logs.mkdir()
    env = os.environ | {
        "HF_TOKEN": secret,
        "HF_DEBUG": "1",
        "RUST_LOG": "trace",
        "HF_XET_LOG_DEST": f"{logs}/",
    }  # read at import
    hub.fault("POST", "/commit/", status=503, times=1)
    words = [sys.executable, "-c", textwrap.dedent(TALKING), str(folder), REPO]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True, timeout=120)
    assert (
        "changed=True" in done.stdout
        and "stale=False" in done.stdout
        and any(token == secret for _, _, token in hub.log)
    )
    assert (
        "curl" in done.stderr
        and "<TOKEN>" in done.stderr
        and "httpcore2" in done.stderr
        and done.stderr.count("Traceback") >= 2
    )
    assert not hub.speaks_xet or any(path.stat().st_size for path in logs.iterdir())
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert secret not in done.stdout + done.stderr and not any(secret.encode() in data for data in written)
