"""Pulling models from the Hub: one pinned commit, only the files that are needed, each checked.

If the Hub is away or the cache cannot be written to, the last good version in the cache is used.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lwgan.files import CONFIG, CONFIG_LIMIT, WEIGHTS, Damaged, atomic, limit_of, read_config, read_folder
from lwgan.hub import client as hub


@dataclass(frozen=True)
class Pulled:
    """A checked model in the Hub's cache.

    revision: its commit, 40 hex digits.  reason: why this may not be the newest version; empty if it is."""

    folder: Path
    revision: str | None
    reason: str = ""

    @property
    def stale(self) -> bool:
        """Whether this is the last version that was pulled, because the newest could not be."""
        return bool(self.reason)


def pull(
    repo_id: str, revision: str | None = None, token: str | None = None, *, kind: str | None = None
) -> Pulled:
    """Downloads the config and the weights of one commit and checks them.

    revision: a branch, a tag or a commit; the newest commit by default.  kind: the expected kind, if it is
    known. It limits the size of the weights, which is checked before the download.

    Raises the Hub's error for a missing, private or gated repo, even if the cache holds the model; ValueError
    for files that fail the checks. If the Hub is away or the cache cannot be written to, returns the last
    good version in the cache (`stale`), or raises ConnectionError or OSError if there is none."""
    return _pull(repo_id, revision, token, hub.deadline(), kind, read_folder)


def pull_config(repo_id: str, token: str | None, ends: float) -> Pulled:
    """Like `pull`, for the config and the size of the weights. ends: when to give up (`client.deadline`)."""
    return _pull(repo_id, None, token, ends, None, read_config)


def _pull(repo_id: str, revision: str | None, token: str | None, ends: float, kind, read) -> Pulled:
    """read: the check that the files must pass, `read_config` or `read_folder`. It decides what is needed."""
    if not hub.REPO_ID.fullmatch(repo_id):
        raise ValueError(f"{repo_id!r} is no Hub id of the form org/name")
    if revision is not None and (not hub.REVISION.fullmatch(revision) or ".." in revision):
        raise ValueError(f"revision {revision!r} is no branch, tag or commit")
    try:
        info = _info(repo_id, revision, token, ends)
        size = _size(info, kind)
        if kind is None:
            folder = _download(info, token, ends, (CONFIG,), read_config)
            _size(info, read_config(folder, repo_id)["kind"])
        if read is read_folder:
            folder = _download(info, token, ends + size / hub.SLOWEST, (CONFIG, WEIGHTS), read_folder)
            # A note of our own: others move the cache's refs/ to commits that nobody checked.
            write_note(_note(repo_id, revision), info.sha)
        return Pulled(folder, info.sha)
    except Exception as error:
        return _last_good(repo_id, revision, hub.root(error), read)


def _last_good(repo_id: str, revision: str | None, error: Exception, read) -> Pulled:
    """The last good version in the cache. Raises `error` unless the Hub is away or the cache unwritable."""
    if hub.is_away(error):
        refusal, reason = ConnectionError, f"the Hub is away ({hub.reason(error)})"
    elif hub.is_unwritable(error):
        refusal, reason = OSError, f"the Hub's cache cannot be written to ({error.strerror})"
    else:
        raise error
    for commit in _cached_commits(repo_id, revision):
        folder = _storage(repo_id) / "snapshots" / commit
        if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
            read(folder, repo_id)
            return Pulled(folder, commit, reason)
    raise refusal(f"{repo_id}: {reason} and no earlier pull of it is in the cache") from error


def _info(repo_id: str, revision: str | None, token: str | None, ends: float):
    """Commit and file sizes of a repo. Raises the Hub's error if the token may not read the files."""
    seconds = min(hub.PATIENCE, hub.left(ends))
    options = {"revision": revision, "timeout": seconds, "files_metadata": True}
    info = hub.within(seconds + 1, lambda: hub.client(token).model_info(repo_id, **options))
    if info.gated:  # the Hub refuses the files only, and those in the cache are not requested
        hub.get(f"/api/models/{repo_id}/auth-check", token, min(hub.PATIENCE, hub.left(ends)))
    info.id = repo_id  # a renamed repo answers with its new name
    return info


def _size(info, kind: str | None) -> int:
    """The size of config and weights in bytes. ValueError if one is missing or too large for the kind."""
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    for name, limit in ((CONFIG, CONFIG_LIMIT), (WEIGHTS, limit_of(kind))):
        if name not in sizes:
            raise ValueError(f"{info.id} is no model of lwgan: it holds no {name}")
        if sizes[name] > limit:
            allowed = f"kind {kind!r} may have {limit}" if kind else f"at most {limit} are allowed"
            raise ValueError(f"{info.id}: {name} has {sizes[name]} bytes, {allowed}; nothing was downloaded")
    return sizes[CONFIG] + sizes[WEIGHTS]


def _download(info, token: str | None, ends: float, names: Sequence[str], check: Callable) -> Path:
    """Downloads files of a commit into the cache and checks them. Returns their folder.

    The client compares only sizes, so a file that was damaged on the way is downloaded once more.
    `snapshot_download` requests more files, and its threads would keep the process alive after a timeout."""
    api, patience = hub.client(token), min(hub.PATIENCE, hub.left(ends))

    def download(name: str, force: bool) -> Path:
        options = {"revision": info.sha, "cache_dir": hub.cache(), "etag_timeout": patience}
        fetch = lambda: api.hf_hub_download(info.id, name, force_download=force, **options)
        return Path(hub.within(hub.left(ends), fetch))

    for name in names:
        folder = download(name, force=False).parent
    try:
        check(folder, info.id)
    except Damaged:
        for name in names:
            download(name, force=True)
        check(folder, info.id)
    return folder


def _storage(repo_id: str) -> Path:
    return hub.cache() / ("models--" + repo_id.replace("/", "--"))


def _note(repo_id: str, revision: str | None) -> Path:
    """The file that holds the commit of the last good pull of a revision."""
    return _storage(repo_id) / "lwgan" / (revision or "main").replace("/", "%2F")


def write_note(note: Path, text: str) -> None:
    """Writes a file into the cache; does nothing if the cache cannot be written to."""
    with suppress(OSError), atomic(note) as partial:
        partial.write_text(text)


def _cached_commits(repo_id: str, revision: str | None) -> list[str]:
    """Commits that may stand for a revision, the surest first: our note, then what others downloaded."""
    notes = [_note(repo_id, revision), _storage(repo_id) / "refs" / (revision or "main")]
    commits = [revision] if revision else []
    commits += [note.read_text().strip() for note in notes if note.is_file()]
    if not commits:
        commits = [folder.name for folder in (_storage(repo_id) / "snapshots").glob("*")]
    return [commit for commit in commits if hub.COMMIT.fullmatch(commit)]
