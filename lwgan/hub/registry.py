"""Registries of models in local folders and on the Hub: list, load, pull, push.

Only safetensors are loaded, and everything is checked first (`lwgan.files`). Whatever a registry says about
its models is untrusted: show it as text, never render it.
"""

import json
import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import torch
from huggingface_hub.utils import httpx
from torch import Tensor

from lwgan.domain import short
from lwgan.files import CONFIG, EDIT_KINDS, NAME, WEIGHTS, check_pictures, read_config, read_folder
from lwgan.files import save_folder as save_folder  # "as": callers get these names from here
from lwgan.hub import client as hub
from lwgan.hub.client import COLLECTION, NAMESPACE, REPO_ID
from lwgan.hub.pulling import Pulled, pull, pull_config, write_note
from lwgan.hub.pushing import Pushed as Pushed
from lwgan.hub.pushing import files_of as files_of
from lwgan.hub.pushing import push as push

LIST_LIMIT = 1000  # repos in a list
_stale: set[str] = set()  # repo ids whose last load came from the cache although it may be outdated


@dataclass(frozen=True)
class Entry:
    """A model in a registry.

    source: a folder or a repo id, for `load_model`.  refused: why the model cannot be used; then kind and
    config may be None.  stale: the Hub could not be asked, so this is its last known version."""

    name: str
    kind: str | None
    domain: str | None
    config: dict | None
    source: str
    revision: str | None
    refused: str | None = None
    stale: bool = False


def load_model(
    source: str | Path, kind: str | tuple[str, ...] | None = None, revision: str | None = None,
    token: str | None = None,
) -> tuple[dict, dict[str, Tensor]]:  # fmt: skip
    """The checked config and tensors of a folder or a Hub repo; floats become float32.

    kind: the accepted kind or kinds. FileNotFoundError if there is no such folder, ValueError if its content
    is wrong; for a Hub id also the errors of `pull`. Warns, once for each model, if an older version from the
    cache is used."""
    kinds = (kind,) if isinstance(kind, str) else kind
    folder = Path(source).expanduser()
    if isinstance(source, str) and not folder.exists() and REPO_ID.fullmatch(source):
        folder = _warned(source, pull(source, revision, token, kind=kinds[0] if kinds else None)).folder
    elif not folder.is_dir():
        raise FileNotFoundError(f"{source}: there is no such folder, nor is it a Hub id of the form org/name")
    elif revision is not None:
        raise ValueError(f"{source} is a folder: it has no revision {revision!r}")
    config, tensors, _ = read_folder(folder, str(source), kinds)
    return config, {name: x.float() if x.is_floating_point() else x for name, x in tensors.items()}


def load_module(cls, kind: str, source: str | Path, revision: str | None = None, token: str | None = None):
    """`cls(**config["architecture"])` with the weights of `source`, frozen and in evaluation mode. The config
    becomes its attribute `card_config`. Errors as `load_model`."""
    config, tensors = load_model(source, kind, revision, token)
    architecture = config.get("architecture")
    if not isinstance(architecture, dict):
        raise ValueError(f"{source}: architecture is {short(architecture)}, expected arguments of a {kind}")
    try:
        with torch.device("meta"):  # random weights would take four seconds and 2 GB for pSp's encoder
            module = cls(**architecture)
        # Copied, not assigned: into the memory layout that the module chose.
        module.to_empty(device="cpu").load_state_dict(tensors, strict=True)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{source} does not fit a {kind} of this lwgan: {error}") from error
    module.card_config = config
    return module.eval().requires_grad_(False)


def load_pictures(source: str | Path, revision: str | None, side: int) -> tuple[dict, dict[str, Tensor]]:
    """`load_model` for sample pictures of side x side px, checked by `lwgan.files.check_pictures`."""
    config, tensors = load_model(source, "pictures", revision)
    check_pictures(tensors, side, str(source))
    return config, tensors


def _warned(repo_id: str, pulled: Pulled) -> Pulled:
    """The same; warns once if it is stale."""
    if not pulled.stale:
        _stale.discard(repo_id)
    elif repo_id not in _stale:
        _stale.add(repo_id)
        said = f"{repo_id}: {pulled.reason}: using commit {pulled.revision} from the cache"
        warnings.warn(said, stacklevel=3)
    return pulled


def as_loaded(entry: Entry) -> Entry:
    """The entry of a model that was just loaded: stale if the list or the model came from the cache."""
    return replace(entry, stale=entry.stale or entry.source in _stale)


def as_served(entry: Entry) -> dict:
    """The version of a model that was just loaded: name, revision, "stale": True if outdated."""
    stale = {"stale": True} if as_loaded(entry).stale else {}
    return {"name": entry.name, "revision": entry.revision} | stale


def public_message(error: Exception, entries: Iterable[Entry]) -> str:
    """An error's message for visitors: without paths of this machine, by the names of the entries."""
    text = str(error).strip() or type(error).__name__
    for entry in entries:
        if not REPO_ID.fullmatch(entry.source) or Path(entry.source).exists():
            text = text.replace(entry.source, entry.name)
    if isinstance(error, OSError) and error.filename:
        text = text.replace(str(error.filename), Path(error.filename).name)
    return text


# Lists


def bundled() -> Path:
    """The folder of the bundled models."""
    return Path(__file__).parents[1] / "bundled"


def models(
    registry: str | Path | None = None, token: str | None = None, *, whole: bool = True
) -> list[Entry]:
    """All models of a registry, by name. Broken ones are listed with the reason in `refused`.

    registry: a folder of model folders; a namespace of the Hub (its repos with the tag "lwgan"); the slug of
    a collection; "bundled"; by default the environment's LWGAN_REGISTRY, else "bundled". whole: also verify
    the weights of models in folders; skip it if you load them next.

    FileNotFoundError if there is no such registry; ConnectionError if the Hub is away and the cache holds no
    model of it; other errors as the Hub raises them."""
    registry = registry or os.environ.get("LWGAN_REGISTRY") or "bundled"
    folder = bundled() if registry == "bundled" else Path(registry).expanduser()
    if folder.is_dir():
        folders = [each for each in folder.iterdir() if (each / CONFIG).exists() or (each / WEIGHTS).exists()]
        entry = lambda path: _entry(path.name, str(path), lambda: Pulled(path, None), whole)
        return _sorted(map(entry, folders))
    if isinstance(registry, str) and NAMESPACE.fullmatch(registry):
        return _of_hub(registry, "/api/models", _ids, token, author=registry, filter="lwgan")
    if isinstance(registry, str) and COLLECTION.fullmatch(registry):
        ids = lambda found: [item["id"] for item in found["items"] if item["type"] == "model"]
        return _of_hub(registry, f"/api/collections/{registry}", ids, token)
    raise FileNotFoundError(f"registry {str(registry)!r}: there is no such folder, nor is it a Hub name")


def list_edits(registry: str | Path | None = None, token: str | None = None) -> list[Entry]:
    """The edits of a registry and the broken models of unknown kind. Arguments and errors as `models`."""
    return [entry for entry in models(registry, token) if entry.kind is None or entry.kind in EDIT_KINDS]


def entry_of(repo_id: str, token: str | bool | None = None) -> Entry:
    """The entry of one model on the Hub, whose weights are not read yet. Errors as `pull`; ConnectionError if
    the Hub is away: another reader's version in the cache is not for this one.

    token: False to use none, not even that of this machine."""
    pulled = pull_config(repo_id, token, hub.deadline())
    if pulled.stale:
        raise ConnectionError(pulled.reason)
    return _entry(repo_id.split("/")[1], repo_id, lambda: pulled)


def edits_of(base_model: str, token: str | None = None) -> list[Entry]:
    """All edits on the Hub, in any namespace, whose cards name this generator. Errors as `models`."""
    if not REPO_ID.fullmatch(base_model):
        raise ValueError(f"{base_model!r} is no Hub id of the form org/name")
    filters = ["lwgan", f"base_model:adapter:{base_model}"]
    entries = _of_hub(f"base {base_model}", "/api/models", _ids, token, filter=filters)
    return [entry if entry.refused else _if_made_for(entry, base_model) for entry in entries]


def _if_made_for(entry: Entry, base_model: str) -> Entry:
    """The entry; refused if its config and its card name different generators."""
    named = entry.config.get("base_model")
    if entry.kind in EDIT_KINDS and named == base_model:
        return entry
    said = f"{CONFIG} says kind {entry.kind!r} and base_model {named!r}"
    refused = f"{entry.source}: its card names the base {base_model!r}, its {said}"
    return Entry(entry.name, None, None, None, entry.source, None, refused)


def _sorted(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.name, entry.source))


def _entry(name: str, source: str, find: Callable[[], Pulled], whole: bool = False) -> Entry:
    """The entry of the model in the folder that `find` returns. whole: verify its weights too."""
    try:
        if not NAME.fullmatch(name):
            raise ValueError(f"the name {name!r} may have 1 to 64 of a-z, 0-9, _ and -")
        pulled = find()
        config = read_folder(pulled.folder, source)[0] if whole else read_config(pulled.folder, source)
    except (ValueError, OSError, httpx.HTTPError) as error:
        entry = Entry(name, None, None, None, source, None)
        return replace(entry, refused=public_message(error, [entry]).splitlines()[0])
    kind, domain = config["kind"], config.get("domain")
    return Entry(name, kind, domain, config, source, pulled.revision, stale=pulled.stale)


# Lists of the Hub


def _ids(answer: list[dict]) -> list[str]:
    return [model["id"] for model in answer]


def _of_hub(name: str, path: str, ids: Callable, token: str | None, **params) -> list[Entry]:
    """The models that the Hub lists at a path; those that it listed there last if it is away."""
    ends = hub.deadline()
    params = {"limit": LIST_LIMIT, **params} if params else {}
    try:
        # Not by HfApi.list_models: it has no time limit and retries for half a minute.
        answer = hub.get(path, token, hub.PATIENCE, **params).json()
        repos = [repo_id for repo_id in ids(answer) if REPO_ID.fullmatch(repo_id)]
        write_note(_list_note(name), json.dumps(repos))
    except Exception as error:
        if not hub.is_away(error):
            raise
        if not (repos := _cached_ids(name)):
            said = f"the Hub is away ({hub.reason(error)}) and no earlier pull from it is in the cache"
            raise ConnectionError(f"{name}: {said}") from error
    read = lambda repo_id: _entry(repo_id.split("/")[1], repo_id, lambda: pull_config(repo_id, token, ends))
    with ThreadPoolExecutor(8) as pool:
        return _sorted(pool.map(read, repos))


def _list_note(name: str) -> Path:
    """The file of the cache that holds the last list of this name."""
    return hub.cache().parent / "lwgan" / f"{quote(name, safe='')}.json"


def _cached_ids(name: str) -> list[str]:
    """The repos that were listed last under this name; for a namespace also those that others downloaded."""
    note, repos = _list_note(name), []
    if note.is_file():
        repos = [repo_id for repo_id in json.loads(note.read_text()) if REPO_ID.fullmatch(repo_id)]
    if NAMESPACE.fullmatch(name):
        weights = hub.cache().glob(f"models--{name}--*/snapshots/*/{WEIGHTS}")
        repos += [path.parents[2].name.removeprefix("models--").replace("--", "/", 1) for path in weights]
    return sorted(set(repos))
