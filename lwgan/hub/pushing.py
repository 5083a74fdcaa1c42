"""Pushing a model's folder to the Hub: one commit with the head that was seen as its parent, then a tag, and a place in a collection.

Every step looks at what is there already, so that pushing the same again changes nothing, and a push that broke off is finished by the next.
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

from lwgan.files import CONFIG, METRICS, NAME, WEIGHTS, read_folder
from lwgan.hub import client as hub

PUSH_TRIES, PUSH_PAUSE = 5, 0.25  # seconds before the second try, doubled for each further one
TIDYING = 2  # seconds beyond the deadline for each of the two questions by which a repo that stayed empty is taken away
MADE_BY_HUB = {".gitattributes"}  # what a repo holds that was only made


@dataclass(frozen=True)
class Repo:
    id: str
    type: str = "model"  # or "space"
    private: bool = False  # if it has yet to be made
    owned: tuple[str, ...] = ("images/",)  # folders in which nothing stays that is not pushed


@dataclass(frozen=True)
class Pushed:
    repo_id: str
    commit: str
    url: str
    changed: bool  # False: the repo held just these files already
    tag: str | None = None  # v1, v2, ...: one for each commit that changed something
    pull_request: str | None = None  # its address, if one was asked for and made
    collection: str | None = None  # the slug


def push(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    token: str | None = None,
    message: str | None = None,
    create_pr: bool = False,
    collection: str | None = None,
) -> Pushed:
    """Makes the repo hold what the folder holds (config, weights, card, metrics, images), in one commit; none if it does already.

    private: for a repo that has yet to be made; one that is public already is refused. create_pr: propose the commit to a repo that
    is there. collection: the title of one of the namespace, made if need be, that shall list the model.
    ValueError for a folder that could not be pulled again, a token that is missing, refused or may not write there, a card whose
    metadata the Hub refuses; all before any upload. A push that fails leaves the Hub as it was: a repo made for it is taken away again.
    """
    if not hub.REPO_ID.fullmatch(repo_id) or not NAME.fullmatch(repo_id.split("/")[1]):
        raise ValueError(
            f"{repo_id!r} is no name for a repo: expected org/name, the name 1 to 64 of a-z, 0-9, _ and -"
        )
    files = files_of(folder)
    ends = hub.deadline(sum(map(len, files.values())))
    api = writer(token, None if create_pr else repo_id.split("/")[0])
    repo = Repo(repo_id, private=private)
    return push_files(
        api, repo, files, message=message, create_pr=create_pr, collection=collection, ends=ends
    )


def push_files(
    api: HfApi,
    repo: Repo,
    files: dict[str, bytes],
    *,
    message: str | None = None,
    create_pr: bool = False,
    collection: str | None = None,
    ends: float | None = None,
) -> Pushed:
    """`push` of files (path in the repo -> bytes) by a client whose token may write; done, or given up, when the clock says `ends`."""
    message, size = message or f"Push {repo.id.split('/')[1]}", sum(map(len, files.values()))
    ends = hub.deadline(size) if ends is None else ends
    if create_pr:
        return _within_reason(ends, size, lambda: _propose(api, repo, files, message))
    made: list[str] = []  # the repo, if this call made it
    try:
        pushed = _again(ends, size, lambda turn: _commit(api, repo, files, message, made, turn))
    except Exception:
        if made:
            _take_away(api, repo)
        raise
    if repo.type == "model":
        pushed = replace(pushed, tag=_again(ends, 0, lambda turn: _tag(api, repo.id, pushed.commit)))
    if collection:
        pushed = replace(pushed, collection=_again(ends, 0, lambda turn: _collect(api, repo, collection)))
    return pushed


def files_of(folder: str | Path) -> dict[str, bytes]:
    """The files that `push` uploads, checked: path in the repo -> bytes. Errors as `lwgan.hub.registry.load_model`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    _, _, weights = read_folder(folder, str(folder))
    files = {CONFIG: (folder / CONFIG).read_bytes(), WEIGHTS: weights}
    for name in ("README.md", METRICS):
        if (folder / name).is_file():
            files[name] = (folder / name).read_bytes()
    for path in sorted((folder / "images").glob("*.png")):
        if not NAME.fullmatch(path.stem):
            raise ValueError(f"{path}: the name of a picture may have 1 to 64 of a-z, 0-9, _ and -")
        files[f"images/{path.name}"] = path.read_bytes()
    return files


# The token


def writer(token: str | None, namespace: str | None) -> HfApi:
    """A client whose token may write, to this namespace if one is given. ValueError, before anything is uploaded, if it may not."""
    token = token or get_token()
    if not token:
        raise ValueError("there is no token to push with: log in with `hf auth login`, or set HF_TOKEN")
    api = hub.client(token)
    try:
        told = hub.within(hub.PATIENCE, api.whoami)
    except HfHubHTTPError as error:
        if hub.status(error) in (401, 403):
            raise ValueError(
                f"the Hub refuses the token ({hub.reason(error)}): make a new one with write access"
            ) from error
        raise
    access = (told.get("auth") or {}).get("accessToken") or {}
    if access.get("role") == "read":
        raise ValueError("the token may only read: make one with write access")
    spaces = [told.get("name"), *(org.get("name") for org in told.get("orgs") or [])]
    if access.get("role") == "fineGrained":
        spaces = _writable(access.get("fineGrained") or {})
    if namespace and namespace not in spaces:
        may = ", ".join(filter(None, spaces)) or "nothing"
        raise ValueError(f"the token of {told.get('name')!r} may write to {may}, not to {namespace!r}")
    return api


def _writable(scopes: dict) -> list[str]:
    """Users and organisations to whose repos a fine-grained token may write."""
    writes = lambda scope: "repo.write" in (scope.get("permissions") or [])
    return [
        scope.get("entity", {}).get("name", "").split("/")[0]
        for scope in scopes.get("scoped") or []
        if writes(scope)
    ]


# The steps


def _again(ends: float, size: int, attempt: Callable[[int], object]):
    """What an attempt returns that is repeated while the Hub is away or others are faster.

    409: another commit is under way. 412: another one was faster. Away: our own may have landed all the same.
    """
    for turn in range(PUSH_TRIES):
        time.sleep(PUSH_PAUSE * 2 ** (turn - 1) if turn else 0)
        try:
            return _within_reason(ends, size, lambda turn=turn: attempt(turn))
        except Exception as error:
            lost = hub.is_away(error) or hub.status(error) in (409, 412)
            if lost and turn < PUSH_TRIES - 1 and hub.left(ends):
                continue
            if type(error) is TimeoutError:
                raise TimeoutError(
                    f"the Hub did not do it within {hub.DEADLINE + size / hub.SLOWEST:.0f} s, in {turn + 1} tries"
                ) from error
            raise
    raise AssertionError  # the last turn returns or raises


def _within_reason(ends: float, size: int, attempt: Callable[[], object]):
    """One attempt, that may take as long as its bytes allow. Raises what went wrong, not the error it comes wrapped in."""
    try:
        return hub.within(min(hub.PATIENCE + size / hub.SLOWEST, hub.left(ends)), attempt)
    except Exception as error:
        if hub.root(error) is error:
            raise
        raise hub.root(error) from error


def _commit(
    api: HfApi, repo: Repo, files: dict[str, bytes], message: str, made: list[str], turn: int
) -> Pushed:
    info = _info(api, repo)
    if info is None:
        info = _make(api, repo, made)
    _check_private(repo, info)
    if not (changes := changes_of(info, repo, files)):
        return Pushed(repo.id, info.sha, _url(api, repo), changed=turn > 0)
    # The parent makes an attempt that was given up harmless: if it lands late, it is refused.
    commit = api.create_commit(
        repo.id, changes, commit_message=message, parent_commit=info.sha, repo_type=repo.type
    )
    return Pushed(repo.id, commit.oid, _url(api, repo), changed=True)


def _propose(api: HfApi, repo: Repo, files: dict[str, bytes], message: str) -> Pushed:
    """A pull request. It is asked for once: if the answer is lost, another try might open a second one."""
    info = _ask(api, repo)
    _check_private(repo, info)
    if not (changes := changes_of(info, repo, files)):
        return Pushed(repo.id, info.sha, _url(api, repo), changed=False)
    commit = api.create_commit(
        repo.id, changes, commit_message=message, parent_commit=info.sha, repo_type=repo.type, create_pr=True
    )
    return Pushed(repo.id, commit.oid, _url(api, repo), changed=True, pull_request=commit.pr_url)


def _check_private(repo: Repo, info) -> None:
    if repo.private and not info.private:
        raise ValueError(f"{repo.id} is public already: it cannot be pushed to as private")


def _url(api: HfApi, repo: Repo) -> str:
    return f"{api.endpoint}/{'spaces/' if repo.type == 'space' else ''}{repo.id}"


def _ask(api: HfApi, repo: Repo):
    return api.repo_info(repo.id, repo_type=repo.type, timeout=hub.PATIENCE, files_metadata=True)


def _info(api: HfApi, repo: Repo):
    try:
        return _ask(api, repo)
    except RepositoryNotFoundError:
        return None


def _make(api: HfApi, repo: Repo, made: list[str]):
    """The new repo's info; its name goes into `made`, unless another process was faster."""
    try:
        options = {"space_sdk": "gradio"} if repo.type == "space" else {}
        api.create_repo(repo.id, repo_type=repo.type, private=repo.private, exist_ok=False, **options)
        made.append(repo.id)
    except Exception as error:
        if hub.is_away(error):  # it may have been made all the same
            made.append(repo.id)
        if hub.status(error) != 409:
            raise
    return _ask(api, repo)


def changes_of(info, repo: Repo, files: dict[str, bytes]) -> list:
    """The operations that turn the repo into `files`, anew for each try: an operation serves once."""
    held = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in info.siblings or []}
    changed = {
        path: data
        for path, data in files.items()
        if held.get(path) not in (_git_sha1(data), hashlib.sha256(data).hexdigest())
    }
    changes = [CommitOperationAdd(path, data) for path, data in changed.items()]
    return changes + [
        CommitOperationDelete(path) for path in held if path.startswith(repo.owned) and path not in files
    ]


def _git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _take_away(api: HfApi, repo: Repo) -> None:
    """Deletes a repo that the failing push itself had made, as long as nobody put anything into it."""
    try:
        info = hub.within(TIDYING, lambda: _info(api, repo))
        if info and {file.rfilename for file in info.siblings or []} <= MADE_BY_HUB:
            hub.within(TIDYING, lambda: api.delete_repo(repo.id, repo_type=repo.type))
    except (HfHubHTTPError, httpx.TransportError, OSError):
        return  # the error that made the push fail is the one to tell


def _tag(api: HfApi, repo_id: str, commit: str) -> str:
    """The tag of a commit: the one it has, or else the next of v1, v2, ..."""
    held = {tag.name: tag.target_commit for tag in api.list_repo_refs(repo_id).tags}
    for name, target in held.items():
        if target == commit and re.fullmatch(r"v\d+", name):
            return name
    number = 1 + max((int(name[1:]) for name in held if re.fullmatch(r"v\d{1,9}", name)), default=0)
    api.create_tag(repo_id, tag=f"v{number}", revision=commit)
    return f"v{number}"


def _collect(api: HfApi, repo: Repo, title: str) -> str:
    """The slug of the collection that lists the repo now."""
    slug = api.create_collection(title, namespace=repo.id.split("/")[0], exists_ok=True).slug
    api.add_collection_item(slug, repo.id, repo.type, exists_ok=True)
    return slug
