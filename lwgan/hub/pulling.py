"""Pulling a model from the Hub: sizes first, one pinned commit, exact file names, our own checks; the last good version when the Hub is away."""

import os
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi

from lwgan.files import CONFIG, CONFIG_LIMIT, EDIT_LIMIT, WEIGHTS, Damaged, limit_of, read_config, read_folder
from lwgan.hub import client as hub


@dataclass(frozen=True)
class Pulled:
    folder: Path
    revision: str  # the commit, 40 hex digits
    stale: bool  # the Hub could not be asked: this is the last version that was pulled


def pull(
    repo_id: str, revision: str | None = None, token: str | None = None, *, kind: str | None = None
) -> Pulled:
    """Downloads config and weights of one commit and checks them.

    Sizes are looked at before a byte is downloaded: an edit (by `kind`, or by its config) may have 64 MB. Raises what the
    Hub says to a missing, private or gated repo, whatever the cache holds; ValueError for files that fail the checks.
    Only when the Hub is away is the last good version taken from the cache (`stale`); ConnectionError if there is none.
    """
    check_names(repo_id, revision)
    ends = hub.deadline()
    try:
        info = info_of(repo_id, revision, token, ends)
        sizes = sizes_of(info, kind)
        ends += sum(sizes.values()) / hub.SLOWEST
        if kind is None and sizes[WEIGHTS] > EDIT_LIMIT:
            _config_of(info, token, ends)
        folder = _checked(info, token, ends, [CONFIG, WEIGHTS], lambda folder: read_folder(folder, repo_id))
        _remember(folder, revision)
        return Pulled(folder, info.sha, stale=False)
    except Exception as error:
        return _last_good(repo_id, revision, hub.root(error), lambda folder: read_folder(folder, repo_id))


def pull_config(repo_id: str, token: str | None, ends: float) -> Pulled:
    """As `pull`, but the config alone; the size of the weights is checked with it. Done, or given up, when the clock says `ends`."""
    check_names(repo_id, None)
    try:
        info = info_of(repo_id, None, token, ends)
        return Pulled(_config_of(info, token, ends), info.sha, stale=False)
    except Exception as error:
        return _last_good(repo_id, None, hub.root(error), lambda folder: read_config(folder, repo_id))


def check_names(repo_id: str, revision: str | None) -> None:
    if not hub.REPO_ID.fullmatch(repo_id):
        raise ValueError(f"{repo_id!r} is no Hub id of the form org/name")
    if revision is not None and (not hub.REVISION.fullmatch(revision) or ".." in revision):
        raise ValueError(f"revision {revision!r} is no branch, tag or commit")


def info_of(repo_id: str, revision: str | None, token: str | None, ends: float):
    """Commit and sizes of a repo that the token may read. (The files of a gated repo are refused only when they are asked for,
    and what lies in the cache is not asked for.)"""
    seconds = min(hub.PATIENCE, hub.left(ends))
    info = hub.within(
        seconds + 1,
        lambda: hub.client(token).model_info(
            repo_id, revision=revision, timeout=seconds, files_metadata=True
        ),
    )
    if info.gated:
        hub.get(f"/api/models/{repo_id}/auth-check", token, min(hub.PATIENCE, hub.left(ends)))
    info.id = repo_id  # the name that was asked for; the Hub may have another for it by now
    return info


def sizes_of(info, kind: str | None) -> dict[str, int]:
    """Bytes of the two files of a model. ValueError if one is missing or too large."""
    held = {file.rfilename: file.size or 0 for file in info.siblings or []}
    for name, limit in ((CONFIG, CONFIG_LIMIT), (WEIGHTS, limit_of(kind))):
        if name not in held:
            raise ValueError(f"{info.id} is no model of lwgan: it holds no {name}")
        if held[name] > limit:
            allowed = f"kind {kind!r} may have {limit}" if kind else f"at most {limit} are allowed"
            raise ValueError(f"{info.id}: {name} has {held[name]} bytes, {allowed}; nothing was downloaded")
    return {name: held[name] for name in (CONFIG, WEIGHTS)}


def _config_of(info, token: str | None, ends: float) -> Path:
    """The folder that holds the checked config; of the weights the size is checked for the kind that it tells."""
    sizes_of(info, None)
    folder = _checked(info, token, ends, [CONFIG], lambda folder: read_config(folder, info.id))
    sizes_of(info, read_config(folder, info.id)["kind"])
    return folder


def _checked(info, token: str | None, ends: float, names: list[str], check) -> Path:
    """Downloads files and checks them. The client compares sizes only, so a file damaged on its way stays in the cache: it is fetched once more."""
    folder = _download(hub.client(token), info, ends, names)
    try:
        check(folder)
    except Damaged:
        check(_download(hub.client(token), info, ends, names, force_download=True))
    return folder


def _download(api: HfApi, info, ends: float, names: list[str], **options) -> Path:
    """The folder of the cache that holds the files of this commit. (Not by snapshot_download: it asks for more than these files,
    and its threads would keep a process that has given up from ending.)"""
    options |= {
        "revision": info.sha,
        "cache_dir": hub.cache(),
        "etag_timeout": min(hub.PATIENCE, hub.left(ends)),
    }
    paths = [
        hub.within(hub.left(ends), lambda name=name: api.hf_hub_download(info.id, name, **options))
        for name in names
    ]
    return Path(paths[0]).parent


# What the cache remembers


def storage(repo_id: str) -> Path:
    return hub.cache() / ("models--" + repo_id.replace("/", "--"))


def _remember(folder: Path, revision: str | None) -> None:
    """Notes in the cache that this commit was good. (refs/ would not do: others move it to commits that nobody checked.)"""
    write_note(_note(folder.parents[1], revision), folder.name)


def write_note(note: Path, text: str) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        partial = note.with_name(f"{note.name}.{os.getpid()}.partial")
        partial.write_text(text)
        os.replace(partial, note)
    except OSError:
        pass  # a cache that cannot be written to serves all the same


def _note(storage: Path, revision: str | None) -> Path:
    return storage / "lwgan" / (revision or "main").replace("/", "%2F")


def _last_good(repo_id: str, revision: str | None, error: Exception, check) -> Pulled:
    """The commit that the last good pull of this revision found, from the cache alone; if none did, what others (`hf download`,
    a Space's preload_from_hub) put there. Raises `error` unless it says that the Hub is away."""
    if not hub.is_away(error):
        raise error
    for commit in _commits_in_cache(repo_id, revision):
        folder = storage(repo_id) / "snapshots" / commit
        if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
            check(folder)
            return Pulled(folder, commit, stale=True)
    raise ConnectionError(
        f"{repo_id}: the Hub is away ({hub.reason(error)}) and no earlier pull of it is in the cache"
    ) from error


def _commits_in_cache(repo_id: str, revision: str | None) -> list[str]:
    """Commits to look for, those that are surest to be meant first."""
    notes = [_note(storage(repo_id), revision), storage(repo_id) / "refs" / (revision or "main")]
    commits = [note.read_text().strip() for note in notes if note.is_file()]
    if revision is None:
        commits += (
            [folder.name for folder in (storage(repo_id) / "snapshots").glob("*")] if not commits else []
        )
    else:
        commits.insert(0, revision)
    return [commit for commit in commits if hub.COMMIT.fullmatch(commit)]
