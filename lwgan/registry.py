"""Model folders: save, check, load, list, pull, push. A folder and a Hub repo hold the same files:

    config.json  model.safetensors  README.md (the card)  images/*.png

Nothing but safetensors is ever loaded, and nothing is loaded unchecked: schema, size, sha256, names, shapes, types, finite values.
"""

import hashlib
import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status, httpx
from safetensors import SafetensorError
from torch import Tensor

FORMAT_VERSION = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
EDIT_KINDS = ("affine", "translation")
EDIT_TENSORS = {"affine": {"weight", "bias"}, "translation": {"bias"}}
STORED = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
COUNTS = (torch.uint8, torch.int32, torch.int64, torch.bool)  # what may lie beside floats (pictures, labels)

NAME = re.compile(r"[a-z0-9_-]{1,64}")  # attributes, models, domains: they become labels, file names and tags
REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
NAMESPACE = re.compile(r"[A-Za-z0-9][\w.-]{0,95}")
COLLECTION = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]+-[0-9a-f]{16,32}")
REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*")

CONFIG_LIMIT = 1_000_000  # bytes
EDIT_LIMIT, MODEL_LIMIT = 64_000_000, 4_000_000_000  # bytes of weights
PATIENCE = 10  # seconds until the Hub counts as away
PUSH_TRIES, PUSH_PAUSE = 5, 0.25  # seconds before the second try, doubled for each further one


class Damaged(ValueError):
    """The files are not what they once were; another download may cure it."""


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


# Folders


def save_folder(folder: str | Path, config: dict, tensors: dict[str, Tensor], dtype: str | None = None) -> None:
    """Writes model.safetensors and config.json, whole or not at all.

    dtype: float32 (the default), float16 or bfloat16, in which float tensors are stored; others stay as they are.
    Adds format_version, dtype and weights {file, size, sha256} to the config. ValueError if the result could not be loaded again.

    Both files are first written under other names. Renaming the config is the moment of change; a process killed
    before it leaves the old model, one killed after it leaves the new one, whose weights `_weights` finds under either name.
    """
    folder, dtype = Path(folder), dtype or "float32"
    if dtype not in STORED:
        raise ValueError(f"dtype {dtype!r} is unknown: choose one of {', '.join(STORED)}")
    tensors = {name: _stored(value, STORED[dtype]) for name, value in tensors.items()}
    # One metadata key: safetensors writes several in random order, and the same model would get another sha256.
    data = safetensors.torch.save(tensors, metadata={"format": "pt"})
    weights = {"file": WEIGHTS, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    config = {"format_version": FORMAT_VERSION, **config, "dtype": dtype, "weights": weights}
    text = json.dumps(config, indent=1, allow_nan=False)
    _check_config(json.loads(text), str(folder))
    _check_tensors(config, tensors, str(folder))

    folder.mkdir(parents=True, exist_ok=True)
    _settle(folder)
    try:
        _write(folder / f"{WEIGHTS}.new", data)
        _write(folder / f"{CONFIG}.new", text.encode())
    except BaseException:
        for name in (WEIGHTS, CONFIG):
            (folder / f"{name}.new").unlink(missing_ok=True)
        raise
    os.replace(folder / f"{CONFIG}.new", folder / CONFIG)
    os.replace(folder / f"{WEIGHTS}.new", folder / WEIGHTS)


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
    config, tensors, _ = _read(folder, str(source), kinds)
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
        module.load_state_dict(tensors, strict=True, assign=True)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{source} does not fit {cls.__name__}: {error}") from error
    module.card_config = config
    return module.eval().requires_grad_(False)


def _stored(value: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of its own: safetensors refuses tensors that share memory."""
    return value.detach().to("cpu", dtype if value.is_floating_point() else value.dtype, copy=True).contiguous()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """Finishes what a killed `save_folder` left behind: puts new weights that belong to the config in their place."""
    new = folder / f"{WEIGHTS}.new"
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        if hashlib.sha256(new.read_bytes()).hexdigest() == config["weights"]["sha256"]:
            os.replace(new, folder / WEIGHTS)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return  # nothing was left behind


def _read(folder: Path, source: str, kinds: tuple[str, ...] | None = None) -> tuple[dict, dict[str, Tensor], bytes]:
    """Config, tensors as stored, and the weights' bytes of a folder, all checked. `source` names it in errors."""
    config = _read_config(folder, source, kinds)
    data = _weights(folder, config, source)
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise Damaged(f"{source}: {WEIGHTS} is no safetensors file ({error})") from error
    _check_tensors(config, tensors, source)
    return config, tensors, data


def _read_config(folder: Path, source: str, kinds: tuple[str, ...] | None = None) -> dict:
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(f"{source} is no model: it holds no {CONFIG}")
    if path.stat().st_size > CONFIG_LIMIT:
        raise ValueError(f"{source}: {CONFIG} has {path.stat().st_size} bytes, at most {CONFIG_LIMIT} are read")
    try:
        config = json.loads(path.read_text("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{source}: {CONFIG} is no JSON ({error})") from error
    _check_config(config, source)
    if kinds and config["kind"] not in kinds:
        raise ValueError(f"{source} is of kind {config['kind']!r}, expected {' or '.join(map(repr, kinds))}")
    return config


def _no_constant(word: str):
    raise ValueError(f"{word} is no number of JSON")


def _check_config(config, source: str) -> None:
    """ValueError unless this version can read the config. Keys that it does not know are kept and ignored."""
    if not isinstance(config, dict):
        raise ValueError(f"{source}: {CONFIG} holds a {type(config).__name__}, expected an object")
    version = config.get("format_version")
    if type(version) is not int or version < 1:
        raise ValueError(f"{source}: format_version is {version!r}, expected {FORMAT_VERSION}")
    if version > FORMAT_VERSION:
        raise ValueError(f"{source} has format_version {version}, this lwgan reads up to {FORMAT_VERSION}: update lwgan")
    for key in ("kind", "domain", "method", "attribute"):
        value = config.get(key)
        if (value is not None or key == "kind") and not (isinstance(value, str) and NAME.fullmatch(value)):
            raise ValueError(f"{source}: {key} is {value!r}, expected 1 to 64 of a-z, 0-9, _ and -")
    if config.get("dtype") not in STORED:
        raise ValueError(f"{source}: dtype is {config.get('dtype')!r}, expected one of {', '.join(STORED)}")
    weights = config.get("weights")
    if not isinstance(weights, dict) or weights.get("file") != WEIGHTS:
        raise ValueError(f"{source}: weights is {weights!r}, expected file {WEIGHTS!r}, size and sha256")
    size, sha256 = weights.get("size"), weights.get("sha256")
    if type(size) is not int or not re.fullmatch(r"[0-9a-f]{64}", str(sha256)):
        raise ValueError(f"{source}: weights has size {size!r} and sha256 {sha256!r}, expected bytes and 64 hex digits")
    if weights["size"] > _limit(config["kind"]):
        raise ValueError(f"{source}: its weights have {weights['size']} bytes, kind {config['kind']!r} may have {_limit(config['kind'])}")
    for key in ("num_ws", "w_dim") if config["kind"] in EDIT_KINDS else ():
        if type(config.get(key)) is not int or config[key] < 1:
            raise ValueError(f"{source}: {key} is {config.get(key)!r}, expected a positive integer")


def _weights(folder: Path, config: dict, source: str) -> bytes:
    """The bytes that the config speaks of (see `save_folder` for the second name). Damaged if they are not there."""
    wanted, found = config["weights"], None
    for name in (WEIGHTS, f"{WEIGHTS}.new"):
        path = folder / name
        if not path.is_file():
            continue
        if path.stat().st_size != wanted["size"]:
            found = found or f"{path.stat().st_size} bytes, {CONFIG} says {wanted['size']}"
            continue
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest == wanted["sha256"]:
            return data
        found = found or f"sha256 {digest}, {CONFIG} says {wanted['sha256']}"
    raise Damaged(f"{source}: {WEIGHTS} {'has ' + found if found else 'is missing'}")


def _check_tensors(config: dict, tensors: dict[str, Tensor], source: str) -> None:
    stored = STORED[config["dtype"]]
    if not tensors:
        raise ValueError(f"{source}: {WEIGHTS} holds no tensor")
    for name, value in tensors.items():
        if value.dtype != stored and value.dtype not in COUNTS:
            raise ValueError(f"{source}: tensor {name!r} is {str(value.dtype)[6:]}, {CONFIG} says {config['dtype']}")
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{source}: tensor {name!r} holds NaN or infinity")
    if config["kind"] not in EDIT_KINDS:
        return  # the architecture decides: load_module
    wanted = {"weight": (config["num_ws"], config["w_dim"], config["w_dim"]), "bias": (config["num_ws"], config["w_dim"])}
    names = EDIT_TENSORS[config["kind"]]
    if set(tensors) != names:
        raise ValueError(f"{source}: {WEIGHTS} holds {sorted(tensors)}, kind {config['kind']!r} has {sorted(names)}")
    for name in sorted(names):
        if tuple(tensors[name].shape) != wanted[name]:
            raise ValueError(f"{source}: {name} has shape {tuple(tensors[name].shape)}, num_ws and w_dim say {wanted[name]}")
        if not tensors[name].is_floating_point():
            raise ValueError(f"{source}: {name} is {str(tensors[name].dtype)[6:]}, expected {config['dtype']}")


def _limit(kind: str | None) -> int:
    return EDIT_LIMIT if kind in EDIT_KINDS else MODEL_LIMIT


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
            kind = _checked_again(api, repo_id, info.sha, [CONFIG], lambda: _read_config(folder, repo_id))["kind"]
            _check_sizes(sizes, kind, repo_id)
        if weights:
            folder = _download(api, repo_id, info.sha, [CONFIG, WEIGHTS])
            _checked_again(api, repo_id, info.sha, [CONFIG, WEIGHTS], lambda: _read(folder, repo_id))
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
    for name, limit in ((CONFIG, CONFIG_LIMIT), (WEIGHTS, _limit(kind))):
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
        _read(folder, repo_id)
    else:
        _read_config(folder, repo_id)
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
    """Makes the repo hold what the folder holds (config, weights, card, images), in one commit; none if it does already.

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
    _, _, weights = _read(folder, str(folder))
    files = {CONFIG: (folder / CONFIG).read_bytes(), WEIGHTS: weights}
    if (folder / "README.md").is_file():
        files["README.md"] = (folder / "README.md").read_bytes()
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
    return _entry(folder.name, str(folder), lambda: (_read(folder, str(folder))[0], None))


def _entry_of_repo(repo_id: str, token: str | None) -> Entry:
    def read():
        pulled = _pull(repo_id, None, token, weights=False)
        return _read_config(pulled.folder, repo_id), pulled.revision

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
