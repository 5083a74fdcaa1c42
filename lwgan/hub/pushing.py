"""Pushing models to the Hub: one commit, then a tag, then an item of a collection.

Each step first looks at what the Hub has. Pushing the same files again changes nothing, and the next push
completes one that broke off.
"""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import httpx
from huggingface_hub.utils.sha import git_hash

from lwgan.files import CONFIG, METRICS, NAME, WEIGHTS, read_folder
from lwgan.hub import client as hub

PUSH_TRIES, PUSH_PAUSE = 5, 0.25  # seconds before the second try, doubled for each further one
TIDYING = 2  # seconds for each of the two requests that delete a repo after a failed push
MADE_BY_HUB = {".gitattributes"}  # the files of a new repo
VERSION = re.compile(r"v(\d{1,9})")  # tags


@dataclass(frozen=True)
class Repo:
    """A repo to push to.

    type: "model" or "space".  private: whether a new repo becomes private.  owned: folders from which files
    that are not pushed are deleted."""

    id: str
    type: str = "model"
    private: bool = False
    owned: tuple[str, ...] = ("images/",)


@dataclass(frozen=True)
class Pushed:
    """The result of a push.

    commit: 40 hex digits.  changed: False if the repo had these files already.  tag: v1, v2, ..., one for
    each commit that changed something.  pull_request: its address.  collection: its slug."""

    repo_id: str
    commit: str
    url: str
    changed: bool
    tag: str | None = None
    pull_request: str | None = None
    collection: str | None = None


def push(
    folder: str | Path, repo_id: str, *, private: bool = False, token: str | None = None,
    message: str | None = None, create_pr: bool = False, collection: str | None = None,
) -> Pushed:  # fmt: skip
    """Pushes a model folder (config, weights, card, metrics, images) in one commit, or in none.

    private: make a new repo private; ValueError if the repo exists and is public.  create_pr: open a pull
    request in an existing repo.  collection: the title of a collection to add the repo to, made if needed.

    ValueError before any upload for a folder that could not be pulled again, for a token that is missing,
    refused or may not write there, and for card metadata that the Hub refuses. A push that fails leaves the
    Hub as it was: a repo that it made is deleted again."""
    if not hub.REPO_ID.fullmatch(repo_id) or not NAME.fullmatch(repo_id.split("/")[1]):
        raise ValueError(f"{repo_id!r} is no name for a repo: expected org/name, 1 to 64 of a-z 0-9 _ -")
    files = files_of(folder)
    ends = hub.deadline(sum(map(len, files.values())))
    api = writer(token, None if create_pr else repo_id.split("/")[0])
    repo = Repo(repo_id, private=private)
    options = {"message": message, "create_pr": create_pr, "collection": collection, "ends": ends}
    return push_files(api, repo, files, **options)


def push_files(
    api: HfApi, repo: Repo, files: dict[str, bytes], *, message: str | None = None, create_pr: bool = False,
    collection: str | None = None, ends: float | None = None,
) -> Pushed:  # fmt: skip
    """`push` of files (path in the repo -> bytes) by a client of `writer`, until `ends`."""
    message, size = message or f"Push {repo.id.split('/')[1]}", sum(map(len, files.values()))
    ends = hub.deadline(size) if ends is None else ends
    made: list[str] = []  # the repo, if this push made it
    commit = lambda turn: _commit(api, repo, files, message, made, turn, create_pr)
    if create_pr:  # one attempt: if its answer was lost, another might open a second pull request
        return _try(ends, size, lambda: commit(0))
    try:
        pushed = _retry(ends, size, commit)
    except Exception:
        if made:
            _delete(api, repo)
        raise
    if repo.type == "model":
        pushed = replace(pushed, tag=_retry(ends, 0, lambda turn: _tag(api, repo.id, pushed.commit)))
    if collection:
        pushed = replace(pushed, collection=_retry(ends, 0, lambda turn: _collect(api, repo, collection)))
    return pushed


def files_of(folder: str | Path) -> dict[str, bytes]:
    """The files that `push` uploads, path in the repo -> bytes. Checked; errors as `registry.load_model`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    _, _, weights = read_folder(folder, str(folder))
    files = {CONFIG: (folder / CONFIG).read_bytes(), WEIGHTS: weights}
    optional = [name for name in ("README.md", METRICS) if (folder / name).is_file()]
    files |= {name: (folder / name).read_bytes() for name in optional}
    for path in sorted((folder / "images").glob("*.png")):
        if not NAME.fullmatch(path.stem):
            raise ValueError(f"{path}: the name of a picture may have 1 to 64 of a-z, 0-9, _ and -")
        files[f"images/{path.name}"] = path.read_bytes()
    return files


# The token


def writer(token: str | None, namespace: str | None) -> HfApi:
    """A client whose token may write to the namespace. ValueError if it may not.

    token: by default the environment's or that of `hf auth login`.  namespace: None if any will do."""
    token = token or get_token()
    if not token:
        raise ValueError("there is no token to push with: log in with `hf auth login`, or set HF_TOKEN")
    api = hub.client(token)
    try:
        user = hub.within(hub.PATIENCE, api.whoami)
    except HfHubHTTPError as error:
        if hub.status(error) not in (401, 403):
            raise
        raise ValueError(f"the Hub refuses the token ({hub.reason(error)}): make a new one") from error
    access = (user.get("auth") or {}).get("accessToken") or {}
    if access.get("role") == "read":
        raise ValueError("the token may only read: make one with write access")
    spaces = [user.get("name"), *(org.get("name") for org in user.get("orgs") or [])]
    if access.get("role") == "fineGrained":
        spaces = _writable(access.get("fineGrained") or {})
    if namespace and namespace not in spaces:
        may = ", ".join(filter(None, spaces)) or "nothing"
        raise ValueError(f"the token of {user.get('name')!r} may write to {may}, not to {namespace!r}")
    return api


def _writable(scopes: dict) -> list[str]:
    """The users and organisations to whose repos a fine-grained token may write."""
    return [scope.get("entity", {}).get("name", "").split("/")[0] for scope in scopes.get("scoped") or []
            if "repo.write" in (scope.get("permissions") or [])]  # fmt: skip


# Time limits


def _retry(ends: float, size: int, attempt: Callable[[int], object]):
    """Calls attempt(0), attempt(1), ... until one returns; goes on if the Hub is away or busy.

    409: another commit is in progress. 412: another commit was made. Away: ours may have been made."""
    turn = 0
    while True:
        try:
            return _try(ends, size, lambda turn=turn: attempt(turn))
        except Exception as error:
            passing = hub.is_away(error) or hub.status(error) in (409, 412)
            if not passing or turn == PUSH_TRIES - 1 or not hub.left(ends):
                raise
        time.sleep(PUSH_PAUSE * 2**turn)
        turn += 1


def _try(ends: float, size: int, attempt: Callable[[], object]):
    """Calls `attempt` with a time limit for `size` bytes. Raises the cause of a wrapped error."""
    try:
        return hub.within(min(hub.PATIENCE + size / hub.SLOWEST, hub.left(ends)), attempt)
    except Exception as error:
        if hub.root(error) is error:
            raise
        raise hub.root(error) from error


# The steps


def _commit(
    api: HfApi, repo: Repo, files: dict[str, bytes], message: str, made: list[str], turn: int, create_pr: bool
) -> Pushed:
    info = _ask(api, repo) if create_pr else _info(api, repo) or _make(api, repo, made)
    if repo.private and not info.private:
        raise ValueError(f"{repo.id} is public already: it cannot be pushed to as private")
    url = f"{api.endpoint}/{'spaces/' if repo.type == 'space' else ''}{repo.id}"
    if not (changes := _changes(info, repo, files)):
        return Pushed(repo.id, info.sha, url, changed=turn > 0)  # by an attempt whose answer was lost
    # With a parent, an attempt that was given up is harmless: if it arrives late, the Hub refuses it.
    options = {"parent_commit": info.sha, "repo_type": repo.type, "create_pr": create_pr}
    commit = api.create_commit(repo.id, changes, commit_message=message, **options)
    return Pushed(repo.id, commit.oid, url, changed=True, pull_request=commit.pr_url)


def _changes(info, repo: Repo, files: dict[str, bytes]) -> list:
    """The operations that turn the repo into `files`. Each attempt needs new ones."""
    hashes = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in info.siblings or []}
    same = lambda path, data: hashes.get(path) in (git_hash(data), hashlib.sha256(data).hexdigest())
    added = [CommitOperationAdd(path, data) for path, data in files.items() if not same(path, data)]
    gone = [path for path in hashes if path.startswith(repo.owned) and path not in files]
    return added + [CommitOperationDelete(path) for path in gone]


def _ask(api: HfApi, repo: Repo):
    return api.repo_info(repo.id, repo_type=repo.type, timeout=hub.PATIENCE, files_metadata=True)


def _info(api: HfApi, repo: Repo):
    """Commit and files of the repo; None if it does not exist."""
    try:
        return _ask(api, repo)
    except RepositoryNotFoundError:
        return None


def _make(api: HfApi, repo: Repo, made: list[str]):
    """Creates the repo and returns its commit and files. Adds it to `made` unless others created it first."""
    try:
        options = {"space_sdk": "gradio"} if repo.type == "space" else {}
        api.create_repo(repo.id, repo_type=repo.type, private=repo.private, exist_ok=False, **options)
        made.append(repo.id)
    except Exception as error:
        if hub.is_away(error):  # it may have been created all the same
            made.append(repo.id)
        if hub.status(error) != 409:
            raise
    return _ask(api, repo)


def _delete(api: HfApi, repo: Repo) -> None:
    """Deletes a repo that the failed push made, unless somebody put files into it."""
    try:
        info = hub.within(TIDYING, lambda: _info(api, repo))
        if info and {file.rfilename for file in info.siblings or []} <= MADE_BY_HUB:
            hub.within(TIDYING, lambda: api.delete_repo(repo.id, repo_type=repo.type))
    except (HfHubHTTPError, httpx.TransportError, OSError):
        return  # the caller raises the error that made the push fail


def _tag(api: HfApi, repo_id: str, commit: str) -> str:
    """The version of a commit: the tag that it has, or a new one, the next of v1, v2, ..."""
    tags = {tag.name: tag.target_commit for tag in api.list_repo_refs(repo_id).tags}
    tags = {name: target for name, target in tags.items() if VERSION.fullmatch(name)}
    for name, target in tags.items():
        if target == commit:
            return name
    name = f"v{1 + max((int(name[1:]) for name in tags), default=0)}"
    api.create_tag(repo_id, tag=name, revision=commit)
    return name


def _collect(api: HfApi, repo: Repo, title: str) -> str:
    """Adds the repo to a collection and returns the collection's slug."""
    slug = api.create_collection(title, namespace=repo.id.split("/")[0], exists_ok=True).slug
    api.add_collection_item(slug, repo.id, repo.type, exists_ok=True)
    return slug
