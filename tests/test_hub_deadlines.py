"""With the deadlines as they are: whatever the Hub does, the answer is there within half a minute. All wait at once, in threads."""

import contextlib
import threading
import time

import pytest
from artifacts import files, make
from hub_server import MiniHub
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from lwgan import registry

SOON, LONG = 30, 45  # seconds: that an answer may take; that a slow Hub takes for each of its own
SLOW, LOST, LATER = {"delay": LONG}, {"drop": True}, {"status": 429, "headers": {"Retry-After": "60"}}
AWAY, NO = ConnectionError, {"status": 404, "headers": {"X-Error-Code": "RepoNotFound"}}
GATED = {"status": 403, "headers": {"X-Error-Code": "GatedRepo"}}
# Route (of the info, of the files' heads, of their bytes, of all) -> fault; what a pull says that has an earlier version, and one that has none.
PULLS = [
    *((route, fault, "stale", AWAY) for route in ("bytes", "all") for fault in (SLOW, LOST, LATER, {"status": 500}, {"status": 503})),
    *((route, fault, "stale", AWAY) for route in ("info", "heads") for fault in (SLOW, {"status": 503})),
    ("info", {"status": 401}, HfHubHTTPError, HfHubHTTPError), ("info", NO, RepositoryNotFoundError, RepositoryNotFoundError),
    ("all", GATED, GatedRepoError, GatedRepoError),
]  # fmt: skip
UPLOAD = "/objects/batch|/xet-write-token"
PUSHES = [(route, fault) for route in ("/commit/", "/preupload/", UPLOAD, "/revision/|/api/models/[^/]+/[^/]+$") for fault in (SLOW, LATER, {"status": 503})]  # fmt: skip


@pytest.fixture(scope="session")
def servers():
    """Open to the very end: what a client has given up goes on in the background, and on a refused connection closes all others of its process."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(params=["lfs", "xet"])
def hub(request, servers, monkeypatch, tmp_path):
    server = servers.enter_context(MiniHub())
    server.serve(monkeypatch, tmp_path / "home", xet=request.param == "xet")
    yield server
    server.faults.clear()


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
        threading.Thread(target=lambda name=name, act=act: found.update({name: told(act)}), daemon=True) for name, act in acts.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SOON)
    assert found.keys() == acts.keys()
    return found


def break_pulls(hub, repo_id: str, route: str, fault: dict) -> None:
    weights = "|".join(f"/_cdn/{sha}" for sha in hashes(hub, repo_id))
    patterns = {"info": f"/api/models/{repo_id}$", "heads": f"/{repo_id}/resolve/", "bytes": f"{weights}|{repo_id}/xet-read-token/"}
    hub.fault("*", patterns.get(route) or "|".join(patterns.values()), times=None, **fault)


def hashes(hub, repo_id: str):
    from hub_repos import sha256

    return [sha256(data) for name, data in hub.repos[repo_id].head.files.items() if name.endswith(".safetensors")]


def test_every_fault_ends_within_half_a_minute(hub, tmp_path):
    acts, wanted = {}, {}
    for i, (route, fault, cached, fresh) in enumerate(PULLS):
        for known, answer in ((True, cached), (False, fresh)):
            repo_id = f"lab/lwgan-pull-{i}-{known}".lower()
            hub.put(repo_id, files(make(tmp_path / repo_id, seed=2 * i + known)))
            if known:
                registry.pull(repo_id)
                hub.put(repo_id, files(make(tmp_path / repo_id, seed=900 + i)))
            break_pulls(hub, repo_id, route, fault)
            name = f"pull, {route} {fault}, {'known' if known else 'new'}"
            acts[name], wanted[name] = (lambda repo_id=repo_id: registry.pull(repo_id)), answer
    for i, (route, fault) in enumerate(PUSHES):
        repo_id = f"lab/lwgan-push-{i}"
        hub.put(repo_id, {".gitattributes": b""})
        folder = make(tmp_path / repo_id, seed=500 + i)
        hub.fault("*", f"(?=.*{repo_id}).*({route})", times=None, **fault)
        name = f"push, {route} {fault}"
        acts[name], wanted[name] = (lambda folder=folder, repo_id=repo_id: registry.push(folder, repo_id)), (HfHubHTTPError, OSError)
    found = at_once(acts)
    for name, (answer, seconds) in found.items():
        print(f"{seconds:5.1f} s  {name}: {answer!r}"[:200])
    for name, (answer, seconds) in found.items():
        assert seconds < SOON, name
        assert answer.stale if wanted[name] == "stale" else isinstance(answer, wanted[name]), f"{name}: {answer!r}"
    assert all(len(repo.commits) == 1 for name, repo in hub.repos.items() if "push" in name)
