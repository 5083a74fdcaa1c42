"""Xet's content-addressed storage in a folder, for the small Hub of `hub_server`.

hf_xet accepts a storage at `local:///folder`. A client that gets this address uploads and downloads as it
would on the real Hub: chunks, xorbs, shards, hashes. `local://` is meant for hf_xet's own tests, not a
promise.
"""

import hashlib
import struct
import tempfile
from pathlib import Path

import hf_xet

BOOKEND = b"\xff" * 32  # ends the list of files of a shard
VERIFICATION, METADATA = 1 << 31, 1 << 30  # flags of a file: what follows its data entries


class Storage:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="hub-xet-")
        self.url = f"local://{self.folder.name}"
        self.session = hf_xet.XetSession()
        self.hashes: dict[str, str] = {}  # sha256 of a file -> its xet hash

    def put(self, data: bytes) -> str:
        """The xet hash of data that are now held."""
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 not in self.hashes:
            with self.session.new_upload_commit(endpoint=self.url) as commit:
                commit.start_upload_bytes(data, sha256=sha256)
            self._learn()
        return self.hashes[sha256]

    def get(self, sha256: str, size: int) -> bytes | None:
        """What a client uploaded under this sha256, or None."""
        if sha256 not in self.hashes:
            self._learn()
        if sha256 not in self.hashes:
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "file")
            with self.session.new_file_download_group(endpoint=self.url) as group:
                group.start_download_file(hf_xet.XetFileInfo(self.hashes[sha256], size), str(path))
            return path.read_bytes()

    def spoil(self, how) -> None:
        """Puts `how(bytes)` in the place of all xorbs, in which the content lies."""
        for path in (
            path for path in Path(self.folder.name).glob("xet/xorbs/xorbs/*") if path.suffix != ".tagset"
        ):
            path.write_bytes(how(path.read_bytes()))

    def _learn(self) -> None:
        for path in Path(self.folder.name).glob("xet/xorbs/shards/*.mdb"):
            self.hashes.update(files_of_shard(path.read_bytes()))


def files_of_shard(data: bytes) -> dict[str, str]:
    """sha256 -> xet hash of the files that a shard describes.

    A shard has a head of 48 bytes, then entries of 48 bytes. For each file: its hash, flags and number n of
    data entries; n data entries; n verification entries, if flagged; one entry with the sha256, if flagged.
    """
    found, at = {}, 48
    while data[at : at + 32] != BOOKEND:
        xet_hash, (flags, count) = data[at : at + 32], struct.unpack_from("<II", data, at + 32)
        at += 48 * (1 + count * (2 if flags & VERIFICATION else 1))
        if flags & METADATA:
            found[as_text(data[at : at + 32])] = as_text(xet_hash)
            at += 48
    return found


def as_text(value: bytes) -> str:
    """A hash as xet writes it: four little-endian numbers of 64 bits, in hex."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", value))
