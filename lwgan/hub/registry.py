"""Registries of models, in local folders and on the Hub alike: load, pull, push, list. What a model's folder holds, how it is
written and checked: `lwgan.files`. How the Hub is asked: `lwgan.hub.pulling`, `lwgan.hub.pushing`. Nothing but safetensors is ever loaded,
and nothing is loaded unchecked. What a registry says of its models is text of others: show it as text, never render it.
"""

import json
import os
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import torch
from huggingface_hub.utils import httpx
from torch import Tensor

from lwgan.files import CONFIG as CONFIG
from lwgan.files import EDIT_KINDS, NAME, WEIGHTS, check_pictures, read_config, read_folder
from lwgan.files import EDIT_LIMIT as EDIT_LIMIT
from lwgan.files import METRICS as METRICS
from lwgan.files import save_folder as save_folder  # callers that load here save here too
from lwgan.hub import client as hub
from lwgan.hub.client import COLLECTION, NAMESPACE, REPO_ID
from lwgan.hub.pulling import Pulled as Pulled
from lwgan.hub.pulling import pull, pull_config, write_note
from lwgan.hub.pushing import Pushed as Pushed
from lwgan.hub.pushing import files_of as files_of
from lwgan.hub.pushing import push as push

LIST_LIMIT = 1000  # repos of a list, at most
_stale: set[str] = set()  # repo ids whose last load the cache answered, as the Hub was away


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
    stale: bool = False  # the Hub could not be asked: this is what it said last


# Loading


def load_model(
    source: str | Path,
    kind: str | tuple[str, ...] | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> tuple[dict, dict[str, Tensor]]:
    """The config and the tensors (floats as float32) of a folder or a Hub repo, checked.

    kind: the kind (or kinds) that will do. FileNotFoundError if the folder is not there, ValueError if its content is wrong;
    for a Hub id also the errors of `pull`. Warns, once for each model, if the Hub is away and the cache answers.
    """
    kinds = (kind,) if isinstance(kind, str) else kind
    folder = Path(source).expanduser()
    if isinstance(source, str) and not folder.exists() and REPO_ID.fullmatch(source):
        folder = _noted(source, pull(source, revision, token, kind=kinds[0] if kinds else None)).folder
    elif not folder.is_dir():
        raise FileNotFoundError(f"{source}: there is no such folder, nor is it a Hub id of the form org/name")
    elif revision is not None:
        raise ValueError(f"{source} is a folder: it has no revision {revision!r}")
    config, tensors, _ = read_folder(folder, str(source), kinds)
    return config, {
        name: value.float() if value.is_floating_point() else value for name, value in tensors.items()
    }


def load_module(cls, kind: str, source: str | Path, revision: str | None = None, token: str | None = None):
    """`cls(**config["architecture"])` with the weights of `source`, frozen, in evaluation mode; the config as `.card_config`."""
    config, tensors = load_model(source, kind, revision, token)
    architecture = config.get("architecture")
    if not isinstance(architecture, dict):
        raise ValueError(f"{source}: architecture is {architecture!r}, expected the arguments of a {kind}")
    try:
        with torch.device(
            "meta"
        ):  # no random weights are drawn, only to be overwritten: four seconds and 2 GB for pSp's encoder
            module = cls(**architecture)
        module.to_empty(device="cpu").load_state_dict(
            tensors, strict=True
        )  # copied: into the memory order that the module wants
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{source} does not fit a {kind} of this lwgan: {error}") from error
    module.card_config = config
    return module.eval().requires_grad_(False)


def load_pictures(source: str | Path, revision: str | None, side: int) -> tuple[dict, dict[str, Tensor]]:
    """As `load_model`, of pictures to try (`lwgan.files.check_pictures`) for an encoder that takes side x side px."""
    config, tensors = load_model(source, "pictures", revision)
    check_pictures(tensors, side, str(source))
    return config, tensors


def _noted(repo_id: str, pulled: Pulled) -> Pulled:
    """The same, when it is known and was said whether it is stale."""
    if not pulled.stale:
        _stale.discard(repo_id)
    elif repo_id not in _stale:
        _stale.add(repo_id)
        warnings.warn(
            f"{repo_id}: the Hub does not answer, commit {pulled.revision} from the cache serves",
            stacklevel=3,
        )
    return pulled


def as_loaded(entry: Entry) -> Entry:
    """An entry whose model was just loaded: `stale` if the list or the last load of it was."""
    return replace(entry, stale=entry.stale or entry.source in _stale)


def as_served(entry: Entry) -> dict:
    """Which version of a model that was just loaded serves: name, revision, and "stale": True if the Hub was not there to ask."""
    return {"name": entry.name, "revision": entry.revision} | (
        {"stale": True} if as_loaded(entry).stale else {}
    )


def told(error: Exception, entries: Iterable[Entry]) -> str:
    """What an error says of models, in words for visitors: the names of those that lie in folders instead of their paths."""
    text = str(error).strip() or type(error).__name__
    for entry in entries:
        if not REPO_ID.fullmatch(entry.source) or Path(entry.source).exists():
            text = text.replace(entry.source, entry.name)
    if isinstance(error, OSError) and error.filename:  # elsewhere, say in the cache
        text = text.replace(str(error.filename), Path(error.filename).name)
    return text


# Lists


def bundled() -> Path:
    """The folder of the embedded default."""
    return Path(__file__).parents[1] / "bundled"


def list_edits(registry: str | Path | None = None, token: str | None = None) -> list[Entry]:
    """The edits of a registry, and the entries too broken to tell what they are. Errors as `models`."""
    return [entry for entry in models(registry, token) if entry.kind is None or entry.kind in EDIT_KINDS]


def edits_of(base_model: str, token: str | None = None) -> list[Entry]:
    """All edits on the Hub, whoever published them, whose cards name this generator. Errors as `models`."""
    if not REPO_ID.fullmatch(base_model):
        raise ValueError(f"{base_model!r} is no Hub id of the form org/name")
    filters = ["lwgan", f"base_model:adapter:{base_model}"]
    entries = _of_hub(
        f"base {base_model}",
        "/api/models",
        lambda models: [model["id"] for model in models],
        token,
        filter=filters,
    )
    return [entry if entry.refused else _if_made_for(entry, base_model) for entry in entries]


def models(
    registry: str | Path | None = None, token: str | None = None, *, whole: bool = True
) -> list[Entry]:
    """All models of a registry, by name. A broken one is listed with its reason. whole: of a folder the weights are checked too,
    which who loads them next need not ask for.

    registry: None = the environment's LWGAN_REGISTRY, or else "bundled"; a folder of model folders; a namespace of the Hub
    (its repos tagged "lwgan"); a collection's slug. FileNotFoundError or what the Hub says if there is no such registry.
    """
    registry = registry or os.environ.get("LWGAN_REGISTRY") or "bundled"
    if registry == "bundled":
        registry = bundled()
    if Path(registry).expanduser().is_dir():
        folders = [
            folder
            for folder in Path(registry).expanduser().iterdir()
            if (folder / CONFIG).exists() or (folder / WEIGHTS).exists()
        ]
        return _sorted(
            _entry(folder.name, str(folder), lambda folder=folder: Pulled(folder, None, False), whole)
            for folder in folders
        )
    if isinstance(registry, str) and NAMESPACE.fullmatch(registry):
        ids = lambda models: [model["id"] for model in models]
        return _of_hub(registry, "/api/models", ids, token, author=registry, filter="lwgan")
    if isinstance(registry, str) and COLLECTION.fullmatch(registry):
        ids = lambda found: [item["id"] for item in found["items"] if item["type"] == "model"]
        return _of_hub(registry, f"/api/collections/{registry}", ids, token)
    raise FileNotFoundError(
        f"registry {str(registry)!r}: there is no such folder, nor is it a namespace or a collection of the Hub"
    )


def _sorted(entries) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.name, entry.source))


def _entry(name: str, source: str, find, whole: bool = False) -> Entry:
    """What the folder that `find` gives says of itself. whole: its weights are looked at too."""
    try:
        if not NAME.fullmatch(name):
            raise ValueError(f"the name {name!r} may have 1 to 64 of a-z, 0-9, _ and -")
        found = find()
        config = read_folder(found.folder, source)[0] if whole else read_config(found.folder, source)
    except (ValueError, OSError, httpx.HTTPError) as error:
        entry = Entry(name, None, None, None, source, None)
        return replace(entry, refused=told(error, [entry]).splitlines()[0])
    return Entry(
        name, config["kind"], config.get("domain"), config, source, found.revision, stale=found.stale
    )


def _if_made_for(entry: Entry, base_model: str) -> Entry:
    """The entry, refused if its config names another generator than its card."""
    named = entry.config.get("base_model")
    if entry.kind in EDIT_KINDS and named == base_model:
        return entry
    refused = f"{entry.source}: its card names the base {base_model!r}, its {CONFIG} says kind {entry.kind!r} and base_model {named!r}"
    return Entry(entry.name, None, None, None, entry.source, None, refused)


# Lists of the Hub


def _of_hub(name: str, path: str, ids, token: str | None, **params) -> list[Entry]:
    """The models that the Hub lists at a path, or, when it is away, those that it listed there last."""
    ends = hub.deadline()
    try:
        # Not HfApi.list_models: it has no timeout, and goes on trying for half a minute.
        answer = hub.get(
            path, token, hub.PATIENCE, **({"limit": LIST_LIMIT} | params if params else {})
        ).json()
        found = [repo_id for repo_id in ids(answer) if REPO_ID.fullmatch(repo_id)]
        write_note(_list_note(name), json.dumps(found))
    except Exception as error:
        if not hub.is_away(error):
            raise
        found = _ids_in_cache(name)
        if not found:
            raise ConnectionError(
                f"{name}: the Hub is away ({hub.reason(error)}) and no earlier pull from it is in the cache"
            ) from error
    with ThreadPoolExecutor(8) as pool:
        read = lambda repo_id: _entry(
            repo_id.split("/")[1], repo_id, lambda: pull_config(repo_id, token, ends)
        )
        return _sorted(pool.map(read, found))


def _list_note(name: str) -> Path:
    return hub.cache().parent / "lwgan" / f"{quote(name, safe='')}.json"


def _ids_in_cache(name: str) -> list[str]:
    """What was listed last under this name; of a namespace also what others pulled from it."""
    note, found = _list_note(name), []
    if note.is_file():
        found = [repo_id for repo_id in json.loads(note.read_text()) if REPO_ID.fullmatch(repo_id)]
    if NAMESPACE.fullmatch(name):
        weights = hub.cache().glob(f"models--{name}--*/snapshots/*/{WEIGHTS}")
        found += [path.parents[2].name.removeprefix("models--").replace("--", "/", 1) for path in weights]
    return sorted(set(found))
