"""Files from elsewhere, downloaded whole and checked, or not at all.

    fetch("hf://org/repo/folder/file.pt@main", Path("downloads"))      # a file of the Hub
    fetch("https://example.org/file.pt#sha256=0123...", Path("downloads"))
    fetch("/data/file.pt", Path("downloads"))                          # stays where it is

A stopped download is resumed. (huggingface_hub 2 begins anew in each process.) The Hub states size and sha256
of its large files; of other places the sha256 may follow the address.
"""

import errno
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers, httpx
from tqdm import tqdm

from lwgan.hub import client as hub

HUB = re.compile(r"hf://(?P<repo>[^/]+/[^/@]+)/(?P<file>[^@]+?)(@(?P<revision>[^@]+))?")
SHA256 = re.compile(r"#sha256=([0-9a-f]{64})$")
CHUNK = 1 << 20  # bytes that are read at a time
PATIENCE = 30  # seconds without a byte until a transfer counts as broken off
NO_NETWORK = (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError)
SPARE = 50_000_000  # bytes that stay free on the disk


@dataclass(frozen=True)
class Remote:
    """A file behind an address. size, sha256: None where they are not stated."""

    url: str
    name: str
    headers: dict[str, str]
    size: int | None = None
    sha256: str | None = None


def fetch(place: str, folder: Path) -> Path:
    """The file at a place: hf://org/repo/file@revision, https://..., or a path, which is returned as it is.
    An address and a path may end in #sha256=HEX.

    Repeated, it finds what is there, or goes on where it was stopped. ValueError or OSError, which name the
    place, for one that is wrong, does not answer, or answers with another file; nothing is left then but,
    after a broken transfer, the part that came."""
    stated = SHA256.search(place)
    bare, sha256 = SHA256.sub("", place), stated and stated[1]
    if not re.match(r"[a-z]+://", bare):
        return _checked_path(Path(bare).expanduser(), sha256)
    try:
        remote = _of_hub(bare, sha256) if bare.startswith("hf:") else _of_web(bare, sha256)
        return _downloaded(remote, folder, place)
    except (HfHubHTTPError, httpx.HTTPError, httpx.InvalidURL, TimeoutError, ConnectionError) as error:
        reason = hub.reason(error)
        reason = f"no connection ({reason})" if isinstance(error, NO_NETWORK) else reason
        raise ValueError(f"{place} was not fetched: {reason}") from error


def _checked_path(path: Path, sha256: str | None) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    if sha256 and (found := _digest(path)) != sha256:
        raise ValueError(f"{path} has sha256 {found}, expected {sha256}")
    return path


def _of_hub(place: str, sha256: str | None) -> Remote:
    """A file of the Hub at the commit that its revision names now."""
    match = HUB.fullmatch(place)
    if not match:
        raise ValueError(f"{place} is no place of the form hf://org/repo/file@revision")
    api, repo, file = hub.client(None), match["repo"], match["file"]
    ask = lambda: api.model_info(repo, revision=match["revision"], files_metadata=True, timeout=hub.PATIENCE)
    info = hub.within(hub.DEADLINE, ask)
    found = next((each for each in info.siblings or [] if each.rfilename == file), None)
    if found is None:
        raise ValueError(f"{place}: the repository {repo} holds no {file}")
    url = f"{api.endpoint}/{repo}/resolve/{info.sha}/{file}"
    return Remote(url, Path(file).name, build_hf_headers(), found.size,
                  sha256 or (found.lfs.sha256 if found.lfs else None))  # fmt: skip


def _of_web(place: str, sha256: str | None) -> Remote:
    if not place.startswith(("https://", "http://127.0.0.1:")):
        raise ValueError(f"{place} is no address that is fetched: expected hf://, https:// or a path")
    name = httpx.URL(place).path.rpartition("/")[2]
    return Remote(place, re.sub(r"[^\w.-]", "_", name).lstrip(".") or "file", {}, None, sha256)


def _downloaded(remote: Remote, folder: Path, place: str) -> Path:
    """The file, downloaded to `folder` unless it is there whole."""
    folder.mkdir(parents=True, exist_ok=True)
    path, part, note = (folder / name.format(remote.name) for name in ("{}", ".{}.part", ".{}.etag"))
    if path.is_file() and _is_whole(path, remote):
        return path
    _transfer(remote, part, note, place)
    if remote.size is not None and (size := part.stat().st_size) != remote.size:
        raise ValueError(f"{place} was cut short: {size:,} of {remote.size:,} bytes came. Repeat the command")
    digest = _digest(part)
    if remote.sha256 and digest != remote.sha256:
        part.unlink()
        raise ValueError(f"{place} has sha256 {digest}, expected {remote.sha256}: it is another file")
    note.unlink(missing_ok=True)
    part.replace(path)
    return path


def _is_whole(path: Path, remote: Remote) -> bool:
    """Whether a file of an earlier download, which was checked then, is the one that is wanted now."""
    size_fits = remote.size in (None, path.stat().st_size)
    return size_fits and (remote.sha256 is None or _digest(path) == remote.sha256)


def _transfer(remote: Remote, part: Path, note: Path, place: str) -> None:
    """Appends to `part` what is missing. `note` holds the version (ETag) of the file that the part is of: if
    the server has another one now, it sends the whole."""
    etag = note.read_text("utf-8") if note.is_file() else ""
    have = part.stat().st_size if part.is_file() and (etag or remote.sha256) else 0
    headers = remote.headers | {"Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={have}-"} if have else {}
    headers |= {"If-Range": etag} if have and etag else {}
    with httpx.stream("GET", remote.url, headers=headers, follow_redirects=True, timeout=PATIENCE) as answer:
        if answer.status_code == 416:  # nothing is missing
            return
        answer.raise_for_status()
        if "text/html" in answer.headers.get("content-type", ""):
            raise ValueError(f"{place} answers with a web page, not with a file")
        have = have if answer.status_code == 206 else 0
        missing = int(answer.headers.get("content-length", 0))
        _check_room(part.parent, missing, place)
        note.write_text(answer.headers.get("etag", ""), "utf-8")
        how = {"total": have + missing or None, "initial": have, "unit": "B", "unit_scale": True}
        with part.open("ab" if have else "wb") as file, tqdm(desc=remote.name, **how) as progress:
            for chunk in answer.iter_raw(CHUNK):
                file.write(chunk)
                progress.update(len(chunk))


def _check_room(folder: Path, size: int, place: str) -> None:
    free = shutil.disk_usage(folder).free
    if size + SPARE > free:
        said = f"{place} needs {size:,} bytes in {folder}, where {free:,} are free"
        raise OSError(errno.ENOSPC, said)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()
