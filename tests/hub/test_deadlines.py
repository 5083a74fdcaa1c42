"""Whatever the Hub does, pull and push end by their deadline.

The cases wait at the same time, in threads. The real deadline (tests/hub/test_faults.py) takes half a minute.
"""

import threading
import time

import pytest
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import httpx

from lwgan.hub import client, registry
from lwgan.hub import pushing as hub_push
from tests.hub.artifacts import files, make

PATIENCE, DEADLINE = 4, 10  # seconds, in place of 10 and 25
SOON, LONG = 15, 18  # seconds: that an answer may take; that a slow Hub takes for each of its own
NO = [{"status": status} for status in (401, 403, 404, 409, 412)]
TOLD = [
    {"status": 403, "headers": {"X-Error-Code": "GatedRepo"}},
    {"status": 404, "headers": {"X-Error-Code": "RepoNotFound"}},
]
AWAY = [
    {"status": 429, "headers": {"Retry-After": "60"}},
    {"status": 500},
    {"status": 503},
    {"drop": True},
    {"delay": LONG},
]
PULLED = ("info", "heads", "bytes", "all")  # routes: a model's info, the files' heads, their bytes, all three
LOOK, UPLOAD = "/revision/|/api/models/[^/]+/[^/]+$", "/objects/batch|/xet-write-token"
PUSHED = {
    LOOK: 1,
    "/preupload/": 1,
    UPLOAD: 1,
    "/commit/": 1,
    "/refs": 2,
    "/tag/": 2,
}  # routes -> commits that there are afterwards


@pytest.fixture
def hub(lasting_hub, monkeypatch):
    monkeypatch.setattr(client, "PATIENCE", PATIENCE)
    monkeypatch.setattr(client, "DEADLINE", DEADLINE)
    return lasting_hub


def told(act) -> tuple[object, float]:
    """What an action returns or raises, and after how many seconds."""
    began = time.monotonic()
    try:
        found = act()
    except Exception as error:
        found = error
    return found, time.monotonic() - began


def at_once(acts: dict) -> dict:
    """name -> what `told` says of each action, all of them begun together."""
    found = {}
    threads = [
        threading.Thread(target=lambda name=name, act=act: found.update({name: told(act)}), daemon=True)
        for name, act in acts.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SOON)
    assert found.keys() == acts.keys()
    return found


def break_pulls(hub, repo_id: str, route: str, fault: dict) -> None:
    weights = "|".join(f"/_cdn/{sha}" for sha in hashes(hub, repo_id))
    patterns = {
        "info": f"/api/models/{repo_id}$",
        "heads": f"/{repo_id}/resolve/",
        "bytes": f"{weights}|{repo_id}/xet-read-token/",
    }
    hub.fault("*", patterns.get(route) or "|".join(patterns.values()), times=None, **fault)


def hashes(hub, repo_id: str):
    from tests.hub_repos import sha256

    return [
        sha256(data) for name, data in hub.repos[repo_id].head.files.items() if name.endswith(".safetensors")
    ]


def repo_of(hub, tmp_path, known: bool) -> str:
    """A model on the Hub that this cache knows an earlier version of, or none."""
    number = len(hub.repos)
    repo_id = f"lab/lwgan-{number}"
    hub.put(repo_id, files(make(tmp_path / repo_id, seed=2 * number)))
    if known:
        registry.pull(repo_id)
        hub.put(repo_id, files(make(tmp_path / repo_id, seed=2 * number + 1)))
    return repo_id


def test_a_no_on_any_route_is_an_error_at_once_whatever_the_cache_holds(hub, tmp_path):
    for route in PULLED:
        for fault in [*NO, *TOLD]:
            repo_id = repo_of(hub, tmp_path, known=True)
            break_pulls(hub, repo_id, route, fault)
            found, seconds = told(lambda repo_id=repo_id: registry.pull(repo_id))
            assert isinstance(found, HfHubHTTPError) and found.response.status_code == fault["status"], (
                f"{route} {fault}: {found!r}"
            )
            assert seconds < SOON
    assert isinstance(found, RepositoryNotFoundError)


def test_a_push_that_is_refused_on_any_route_is_an_error_and_no_second_commit(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_push, "PUSH_PAUSE", 0.001)
    for route, commits in PUSHED.items():
        for fault in NO:
            repo_id, folder = broken_push(hub, tmp_path, route, fault)
            found, seconds = told(lambda repo_id=repo_id, folder=folder: registry.push(folder, repo_id))
            refused = found if isinstance(found, HfHubHTTPError) else found.__cause__
            status = getattr(getattr(refused, "response", None), "status_code", None)
            says = isinstance(found, ConnectionError) and str(fault["status"]) in str(
                found
            )  # of hf_xet, which asks for itself
            assert status == fault["status"] or says, f"{route} {fault}: {found!r}"
            assert seconds < SOON and len(hub.repos[repo_id].commits) == commits


def broken_push(hub, tmp_path, route: str, fault: dict):
    """A repo without a model, on whose `route` everything fails; an edit to push to it."""
    repo_id = f"lab/lwgan-{len(hub.repos)}-to"
    hub.put(repo_id, {".gitattributes": b""})
    hub.fault("*", f"(?=.*{repo_id}).*({route})", times=None, **fault)
    return repo_id, make(tmp_path / repo_id, seed=len(hub.repos))


@pytest.mark.parametrize("lasting_hub", ["xet"], indirect=True)  # as the real Hub; LFS: test_faults
def test_whatever_keeps_the_hub_away_ends_in_time(hub, tmp_path):
    acts, wanted, left = {}, {}, {}
    for route in PULLED:
        for fault in AWAY:
            for known in (True, False) if route in ("bytes", "all") else (True,):
                repo_id, name = (
                    repo_of(hub, tmp_path, known),
                    f"pull, {route} {fault}, {'known' if known else 'new'}",
                )
                break_pulls(hub, repo_id, route, fault)
                acts[name], wanted[name] = (
                    (lambda repo_id=repo_id: registry.pull(repo_id)),
                    "stale" if known else ConnectionError,
                )
    for route, commits in PUSHED.items():
        for fault in AWAY:
            (repo_id, folder), name = broken_push(hub, tmp_path, route, fault), f"push, {route} {fault}"
            landed = "drop" in fault and route in (
                "/commit/",
                "/tag/",
            )  # it was done all the same, and that is found out
            acts[name], wanted[name] = (
                (lambda folder=folder, repo_id=repo_id: registry.push(folder, repo_id)),
                (HfHubHTTPError, httpx.HTTPError, OSError),
            )
            wanted[name], left[repo_id] = ("pushed", 2) if landed else (wanted[name], commits)
    hub.fault(
        "*", "/lwgan-made/preupload/|/api/repos/delete", times=None, delay=LONG
    )  # a repo made in vain cannot even be taken away
    acts["push, made"], wanted["push, made"] = (
        lambda: registry.push(make(tmp_path / "made"), "lab/lwgan-made"),
        TimeoutError,
    )
    found = at_once(acts)
    for name, (answer, seconds) in found.items():
        print(f"{seconds:5.1f} s  {name}: {answer!r}"[:200])
    for name, (answer, seconds) in found.items():
        assert seconds < SOON, name
        right = {"stale": getattr(answer, "stale", False), "pushed": getattr(answer, "tag", None) == "v1"}
        assert right[wanted[name]] if isinstance(wanted[name], str) else isinstance(answer, wanted[name]), (
            f"{name}: {answer!r}"
        )
    assert {repo_id: len(hub.repos[repo_id].commits) for repo_id in left} == left
