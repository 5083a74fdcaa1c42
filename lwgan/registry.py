"""Registries of models, in local folders and on the Hub alike: load, pull, push, list. What a model's folder holds, how it is
written and checked: `lwgan.folders`. Nothing but safetensors is ever loaded, and nothing is loaded unchecked.
"""

import hashlib
import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status, httpx
from torch import Tensor

from lwgan.folders import CONFIG, CONFIG_LIMIT, EDIT_KINDS, EDIT_LIMIT, METRICS, NAME, WEIGHTS, Damaged, limit_of, read_config, read_folder
from lwgan.folders import save_folder as save_folder  # callers that load here save here too

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
NAMESPACE = re.compile(r"[A-Za-z0-9][\w.-]{0,95}")
COLLECTION = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]+-[0-9a-f]{16,32}")
REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*")

PATIENCE = 10  # seconds until the Hub counts as away
PUSH_TRIES, PUSH_PAUSE = 5, 0.25  # seconds before the second try, doubled for each further one


@dataclass(frozen=True)
class Pulled:
    folder: Path
    revision: str  # the commit, 40 hex digits
    stale: bool  # the Hub could not be asked: this is the last version that was pulled


@dataclass(frozen=True)
class Pushed:
    repo_id: str
    commit: str
    url: str
    changed: bool  # False: the repo held just these files already


@dataclass(frozen=True)
class Entry:
    """One model of a registry. `refused` says why it cannot be used; then `kind` and `config` may be None."""

    name: str
    kind: str | None
    domain: str | None
    config: dict | None
    source: str  # a folder or a repo id: what load_model takes
    revision: str | None
    refused: str | None = None


# Loading


def load_model(
    source: str | Path, kind: str | tuple[str, ...] | None = None, revision: str | None = None, token: str | None = None
) -> tuple[dict, dict[str, Tensor]]:
    """The config and the tensors (floats as float32) of a folder or a Hub repo, checked.

    kind: the kind (or kinds) that will do. FileNotFoundError if the folder is not there, ValueError if its content is wrong;
    for a Hub id also the errors of `pull`.
    """
    kinds = (kind,) if isinstance(kind, str) else kind
    folder = Path(source).expanduser()
    if isinstance(source, str) and not folder.exists() and REPO_ID.fullmatch(source):
        folder = pull(source, revision, token, kind=kinds[0] if kinds else None).folder
    elif not folder.is_dir():
        raise FileNotFoundError(f"{source}: there is no such folder, nor is it a Hub id of the form org/name")
    elif revision is not None:
        raise ValueError(f"{source} is a folder: it has no revision {revision!r}")
    config, tensors, _ = read_folder(folder, str(source), kinds)
    return config, {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


def load_module(cls, kind: str, source: str | Path, revision: str | None = None, token: str | None = None):
    """`cls(**config["architecture"])` with the weights of `source`, frozen, in evaluation mode; the config as `.card_config`."""
    config, tensors = load_model(source, kind, revision, token)
    architecture = config.get("architecture")
    if not isinstance(architecture, dict):
        raise ValueError(f"{source}: architecture is {architecture!r}, expected the arguments of {cls.__name__}")
    try:
        with torch.device("meta"):  # no random weights are drawn, only to be overwritten: four seconds and 2 GB for pSp's encoder
            module = cls(**architecture)
        module.to_empty(device="cpu").load_state_dict(tensors, strict=True)  # copied: into the memory order that the module wants
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{source} does not fit {cls.__name__}: {error}") from error
    module.card_config = config
    return module.eval().requires_grad_(False)


# The Hub


def pull(repo_id: str, revision: str | None = None, token: str | None = None, *, kind: str | None = None) -> Pulled:
    """Downloads config and weights of one commit and checks them.

    Sizes are looked at before a byte is downloaded: an edit (by `kind`, or by its config) may have 64 MB. Raises what the
    Hub says to a missing, private or gated repo, whatever the cache holds; ValueError for files that fail the checks.
    Only when the Hub is away is the last good version taken from the cache (`stale`); ConnectionError if there is none.
    """
    return _pull(repo_id, revision, token, kind)


def _pull(repo_id: str, revision: str | None, token: str | None, kind: str | None = None, weights: bool = True) -> Pulled:
    """As `pull`; without `weights` the config alone, its size and that of the weights checked."""
    if not REPO_ID.fullmatch(repo_id):
        raise ValueError(f"{repo_id!r} is no Hub id of the form org/name")
    if revision is not None and (not REVISION.fullmatch(revision) or ".." in revision):
        raise ValueError(f"revision {revision!r} is no branch, tag or commit")
    api = _api(token)
    try:
        info = api.model_info(repo_id, revision=revision, timeout=PATIENCE, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        _check_sizes(sizes, kind, repo_id)
        if not weights or (kind is None and sizes[WEIGHTS] > EDIT_LIMIT):
            folder = _download(api, repo_id, info.sha, [CONFIG])
            kind = _checked_again(api, repo_id, info.sha, [CONFIG], lambda: read_config(folder, repo_id))["kind"]
            _check_sizes(sizes, kind, repo_id)
        if weights:
            folder = _download(api, repo_id, info.sha, [CONFIG, WEIGHTS])
            _checked_again(api, repo_id, info.sha, [CONFIG, WEIGHTS], lambda: read_folder(folder, repo_id))
            _remember(folder, revision)
        return Pulled(folder, info.sha, stale=False)
    except Exception as error:
        if not _is_away(error):
            raise
        return _last_good(repo_id, revision, weights, error)


def _api(token: str | None) -> HfApi:
    """HF_ENDPOINT is read here, not once for all at import as huggingface_hub does."""
    return HfApi(endpoint=(os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None, token=token, library_name="lwgan")


def _cache() -> str | None:
    """The Hub's cache folder, read now rather than at import; None = where huggingface_hub has it."""
    home = os.environ.get("HF_HOME")
    return os.environ.get("HF_HUB_CACHE") or (os.path.join(home, "hub") if home else None)


def _check_sizes(sizes: dict[str, int], kind: str | None, repo_id: str) -> None:
    for name, limit in ((CONFIG, CONFIG_LIMIT), (WEIGHTS, limit_of(kind))):
        if name not in sizes:
            raise ValueError(f"{repo_id} is no model of lwgan: it holds no {name}")
        if sizes[name] > limit:
            allowed = f"kind {kind!r} may have {limit}" if kind else f"at most {limit} are allowed"
            raise ValueError(f"{repo_id}: {name} has {sizes[name]} bytes, {allowed}; nothing was downloaded")


def _download(api: HfApi, repo_id: str, commit: str, names: list[str], **options) -> Path:
    return Path(api.snapshot_download(repo_id, revision=commit, allow_patterns=names, cache_dir=_cache(), **options))


def _checked_again(api: HfApi, repo_id: str, commit: str, names: list[str], check):
    """What `check` returns. The client compares sizes only, so a file damaged on its way stays in the cache: it is fetched once more."""
    try:
        return check()
    except Damaged:
        _download(api, repo_id, commit, names, force_download=True)
        return check()


def _remember(folder: Path, revision: str | None) -> None:
    """Notes in the cache that this commit was good. (refs/ would not do: others move it to commits that nobody checked.)"""
    note = _note(folder.parents[1], revision)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        partial = note.with_name(f"{note.name}.{os.getpid()}.partial")
        partial.write_text(folder.name)
        os.replace(partial, note)
    except OSError:
        pass  # a cache that cannot be written to serves all the same


def _note(storage: Path, revision: str | None) -> Path:
    return storage / "lwgan" / (revision or "main").replace("/", "%2F")


def _last_good(repo_id: str, revision: str | None, weights: bool, error: Exception) -> Pulled:
    """The commit that the last good pull of this revision found, from the cache alone."""
    from huggingface_hub import constants

    storage = Path(_cache() or constants.HF_HUB_CACHE) / ("models--" + repo_id.replace("/", "--"))
    note = _note(storage, revision)
    commit = note.read_text().strip() if note.is_file() else revision or ""
    folder = storage / "snapshots" / commit
    if not re.fullmatch(r"[0-9a-f]{40}", commit) or not (folder / WEIGHTS).is_file():
        raise ConnectionError(f"{repo_id}: the Hub is away ({_reason(error)}) and no earlier pull of it is in the cache") from error
    if weights:
        read_folder(folder, repo_id)
    else:
        read_config(folder, repo_id)
    return Pulled(folder, commit, stale=True)


def _is_away(error: Exception) -> bool:
    """Whether the Hub did not answer, or only to say that it cannot: then the cache may speak for it."""
    if isinstance(error, HfHubHTTPError):
        return _status(error) >= 500 or _status(error) == 429
    # JSONDecodeError: something between us and the Hub answered with a page of its own.
    return isinstance(error, (httpx.TransportError, ConnectionError, TimeoutError, LocalEntryNotFoundError, json.JSONDecodeError))


def _status(error: Exception) -> int:
    """The HTTP status of the Hub's answer, 0 if the error is none."""
    return getattr(getattr(error, "response", None), "status_code", 0)


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def push(folder: str | Path, repo_id: str, *, private: bool = False, token: str | None = None, message: str | None = None) -> Pushed:
    """Makes the repo hold what the folder holds (config, weights, card, metrics, images), in one commit; none if it does already.

    private: for a repo that has yet to be made; one that is public already is refused. ValueError for a folder that could not be
    pulled again, a token that is missing, refused or may only read, a card whose metadata the Hub refuses; all before
    any upload. A push that fails leaves the Hub as it was: a repo made for it is taken away again.
    """
    if not REPO_ID.fullmatch(repo_id) or not NAME.fullmatch(repo_id.split("/")[1]):
        raise ValueError(f"{repo_id!r} is no name for a repo: expected org/name, the name 1 to 64 of a-z, 0-9, _ and -")
    files = files_of(folder)
    token = token or get_token()
    if not token:
        raise ValueError("there is no token to push with: log in with `hf auth login`, or set HF_TOKEN")
    api = _api(token)
    _check_token(api)
    made, error = None, None  # made: the first commit of a repo that this call made
    for attempt in range(PUSH_TRIES):
        time.sleep(PUSH_PAUSE * 2 ** (attempt - 1) if attempt else 0)
        try:
            info = _info(api, repo_id)
            if info is None:
                info, new = _make(api, repo_id, private)
                made = info.sha if new else None
            if private and not info.private:
                raise ValueError(f"{repo_id} is public already: it cannot be pushed to as private")
            if not (changes := _changes(info, files)):
                return Pushed(repo_id, info.sha, f"{api.endpoint}/{repo_id}", changed=attempt > 0)
            commit = api.create_commit(repo_id, changes, commit_message=message or f"Push {repo_id.split('/')[1]}", parent_commit=info.sha)
            return Pushed(repo_id, commit.oid, f"{api.endpoint}/{repo_id}", changed=True)
        except Exception as caught:
            # A failed upload comes wrapped in a RuntimeError.
            error = caught.__cause__ if type(caught) is RuntimeError and isinstance(caught.__cause__, Exception) else caught
            if not (_is_away(error) or _status(error) in (409, 412)):
                break
            # 409: another commit is under way. 412: another one was faster. Away: our own may have landed all the same.
    if made:
        _take_away(api, repo_id, made)
    raise error


def files_of(folder: str | Path) -> dict[str, bytes]:
    """The files that `push` uploads, checked: path in the repo -> bytes. Errors as `load_model`."""
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


def _check_token(api: HfApi) -> None:
    try:
        role = (api.whoami().get("auth") or {}).get("accessToken", {}).get("role")
    except HfHubHTTPError as error:
        if _status(error) in (401, 403):
            raise ValueError(f"the Hub refuses the token ({_reason(error)}): make a new one with write access") from error
        raise
    if role == "read":
        raise ValueError("the token may only read: make one with write access")


def _info(api: HfApi, repo_id: str):
    try:
        return api.model_info(repo_id, timeout=PATIENCE, files_metadata=True)
    except RepositoryNotFoundError:
        return None


def _make(api: HfApi, repo_id: str, private: bool):
    """(the new repo's info, whether this call made it)"""
    try:
        api.create_repo(repo_id, private=private, exist_ok=False)
        new = True
    except HfHubHTTPError as error:
        if _status(error) != 409:
            raise
        new = False  # another process was faster, or an answer was lost
    return api.model_info(repo_id, timeout=PATIENCE, files_metadata=True), new


def _changes(info, files: dict[str, bytes]) -> list:
    """The operations that turn the repo into `files`, anew for each try: an operation serves once."""
    held = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in info.siblings or []}
    changed = {path: data for path, data in files.items() if held.get(path) not in (_git_sha1(data), hashlib.sha256(data).hexdigest())}
    changes = [CommitOperationAdd(path, data) for path, data in changed.items()]
    return changes + [CommitOperationDelete(path) for path in held if path.startswith("images/") and path not in files]


def _git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _take_away(api: HfApi, repo_id: str, first: str) -> None:
    """Deletes a repo that the failing push itself had made, as long as nobody committed to it."""
    try:
        if api.model_info(repo_id, timeout=PATIENCE).sha == first:
            api.delete_repo(repo_id)
    except (HfHubHTTPError, httpx.TransportError, ConnectionError):
        return  # the error that made the push fail is the one to tell


# Registries


def bundled() -> Path:
    """The folder of the embedded default."""
    return Path(__file__).parent / "bundled"


def list_edits(registry: str | Path | None = None, token: str | None = None) -> list[Entry]:
    """The edits of a registry, and the entries too broken to tell what they are. Errors as `models`."""
    return [entry for entry in models(registry, token) if entry.kind is None or entry.kind in EDIT_KINDS]


def models(registry: str | Path | None = None, token: str | None = None) -> list[Entry]:
    """All models of a registry, by name. A broken one is listed with its reason.

    registry: None = the environment's LWGAN_REGISTRY, or else "bundled"; a folder of model folders; a namespace of the Hub
    (its repos tagged "lwgan"); a collection's slug. FileNotFoundError or what the Hub says if there is no such registry.
    """
    registry = registry or os.environ.get("LWGAN_REGISTRY") or "bundled"
    if registry == "bundled":
        registry = bundled()
    if Path(registry).expanduser().is_dir():
        entries = [_entry_of_folder(folder) for folder in Path(registry).expanduser().iterdir() if _looks_like_model(folder)]
    elif isinstance(registry, str) and (NAMESPACE.fullmatch(registry) or COLLECTION.fullmatch(registry)):
        ids = _ids_of_namespace(registry, token) if "/" not in registry else _ids_of_collection(registry, token)
        with ThreadPoolExecutor(8) as pool:
            entries = list(pool.map(lambda repo_id: _entry_of_repo(repo_id, token), ids))
    else:
        raise FileNotFoundError(f"registry {str(registry)!r}: there is no such folder, nor is it a namespace or a collection of the Hub")
    return sorted(entries, key=lambda entry: (entry.name, entry.source))


def _looks_like_model(folder: Path) -> bool:
    return (folder / CONFIG).exists() or (folder / WEIGHTS).exists()


def _entry_of_folder(folder: Path) -> Entry:
    return _entry(folder.name, str(folder), lambda: (read_folder(folder, str(folder))[0], None))


def _entry_of_repo(repo_id: str, token: str | None) -> Entry:
    def read():
        pulled = _pull(repo_id, None, token, weights=False)
        return read_config(pulled.folder, repo_id), pulled.revision

    return _entry(repo_id.split("/")[1], repo_id, read)


def _entry(name: str, source: str, read) -> Entry:
    try:
        if not NAME.fullmatch(name):
            raise ValueError(f"the name {name!r} may have 1 to 64 of a-z, 0-9, _ and -")
        config, revision = read()
    except (ValueError, OSError, httpx.HTTPError) as error:
        return Entry(name, None, None, None, source, None, refused=_reason(error))
    return Entry(name, config["kind"], config.get("domain"), config, source, revision)


def _ids_of_namespace(namespace: str, token: str | None) -> list[str]:
    """Repos of a namespace that are tagged "lwgan" (the first 1,000), or, when the Hub is away, those pulled earlier.

    Not HfApi.list_models: it has no timeout, and goes on trying for half a minute.
    """
    api = _api(token)
    try:
        answer = get_session().get(f"{api.endpoint}/api/models", params={"author": namespace, "filter": "lwgan", "limit": 1000},
                                   headers=build_hf_headers(token=token), timeout=PATIENCE)  # fmt: skip
        hf_raise_for_status(answer)
        return [model["id"] for model in answer.json() if REPO_ID.fullmatch(model["id"])]
    except Exception as error:
        if not _is_away(error):
            raise
        if ids := _ids_in_cache(namespace):
            return ids
        raise ConnectionError(f"{namespace}: the Hub is away ({_reason(error)}) and no earlier pull from it is in the cache") from error


def _ids_in_cache(namespace: str) -> list[str]:
    from huggingface_hub import constants

    notes = Path(_cache() or constants.HF_HUB_CACHE).glob(f"models--{namespace}--*/lwgan/main")
    return [note.parents[1].name.removeprefix("models--").replace("--", "/", 1) for note in notes]


def _ids_of_collection(slug: str, token: str | None) -> list[str]:
    items = _api(token).get_collection(slug).items
    return [item.item_id for item in items if item.item_type == "model" and REPO_ID.fullmatch(item.item_id)]
