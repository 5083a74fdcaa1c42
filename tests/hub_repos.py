"""What the small Hub of `hub_server` stores: users, repos, commits, files, cards; and faults to inject."""

import contextlib
import hashlib
import json
import re
import time
from dataclasses import dataclass, field

import yaml

USERS = {  # token -> whose it is, and what it may do
    "hf_write": {"name": "lab", "role": "write", "orgs": ["team"]},
    "hf_read": {"name": "lab", "role": "read", "orgs": ["team"]},
    "hf_other": {"name": "other", "role": "write", "orgs": []},
    "hf_fine": {
        "name": "lab",
        "role": "fineGrained",
        "orgs": ["team"],
        "writes": ["team"],
    },  # fine-grained: may write to team alone
}


@dataclass
class Commit:
    sha: str
    files: dict[str, bytes]
    message: str


@dataclass
class Repo:
    private: bool = False
    gated: bool = False
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)  # name -> commit
    pulls: list[Commit] = field(default_factory=list)  # pull requests, number 1 first
    variables: dict[str, str] = field(default_factory=dict)  # of a Space

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def commit(self, files: dict[str, bytes], message: str, to: list[Commit] | None = None) -> Commit:
        made = Commit(
            hashlib.sha1(json.dumps([time.time_ns(), message]).encode()).hexdigest(), files, message
        )
        (self.commits if to is None else to).append(made)
        return made

    def at(self, revision: str) -> Commit | None:
        if revision == "main":
            return self.head
        if found := re.fullmatch(r"refs/pr/(\d+)", revision):
            return self.pulls[int(found[1]) - 1] if int(found[1]) <= len(self.pulls) else None
        sha = self.tags.get(revision, revision)
        return next((commit for commit in [*self.commits, *self.pulls] if commit.sha == sha), None)


@dataclass
class Fault:
    """A fault in the answers of a route.

    status, headers: answer with them and do nothing.  drop: act, but lose the answer.  truncate: send so many
    bytes of the body.  corrupt: flip a bit of its last byte.  delay: seconds.  times: how often; None for
    always.
    """

    method: str
    pattern: str
    status: int | None = None
    drop: bool = False
    truncate: int | None = None
    corrupt: bool = False
    delay: float = 0
    headers: dict[str, str] = field(default_factory=dict)
    times: int | None = 1


# Users


def may_write(user: dict | None, repo_id: str) -> bool:
    namespace = repo_id.split("/")[0]
    if not user or namespace not in (user["name"], *user["orgs"]):
        return False
    return user["role"] == "write" or namespace in user.get("writes", [])


def may_read(user: dict | None, repo_id: str) -> bool:
    """Whether a private repo is shown to this user."""
    return bool(user) and repo_id.split("/")[0] in (user["name"], *user["orgs"])


def who(user: dict) -> dict:
    """The answer to whoami."""
    access = {"role": user["role"], "displayName": "test"}
    if user["role"] == "fineGrained":
        scopes = [
            {"entity": {"type": "org", "name": name}, "permissions": ["repo.content.read", "repo.write"]}
            for name in user["writes"]
        ]
        access["fineGrained"] = {"global": [], "scoped": scopes}
    return {
        "type": "user",
        "name": user["name"],
        "fullname": user["name"],
        "avatarUrl": "",
        "orgs": [{"name": name} for name in user["orgs"]],
        "auth": {"accessToken": access},
    }


# Files


def is_lfs(path: str, size: int) -> bool:
    return path.endswith((".safetensors", ".png")) or size > 10_000_000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sibling(path: str, data: bytes) -> dict:
    """A file as model_info has it."""
    lfs = (
        {"lfs": {"sha256": sha256(data), "size": len(data), "pointerSize": 134}}
        if is_lfs(path, len(data))
        else {}
    )
    return {"rfilename": path, "size": len(data), "blobId": git_sha1(data), **lfs}


def tree_entry(path: str, data: bytes, xet_hash: str | None) -> dict:
    """A file as tree and paths-info have it."""
    lfs = (
        {"lfs": {"oid": sha256(data), "size": len(data), "pointerSize": 134}}
        if is_lfs(path, len(data))
        else {}
    )
    xet = {"xetHash": xet_hash} if xet_hash else {}
    return {"type": "file", "path": path, "size": len(data), "oid": git_sha1(data), **lfs, **xet}


# Cards


def card_of(files: dict[str, bytes]) -> dict:
    return metadata(files.get("README.md", b"").decode("utf-8", "replace")) or {}


def metadata(text: str) -> dict | None:
    """The metadata at the head of a card; None if it is no YAML mapping."""
    found = re.match(r"---\r?\n(.*?)\r?\n---\r?\n", text, re.DOTALL)
    with contextlib.suppress(yaml.YAMLError):
        card = yaml.safe_load(found[1]) if found else {}
        return card if isinstance(card, dict) else None
    return None


def bases_of(card: dict) -> list[str]:
    bases = card.get("base_model", [])
    return [bases] if isinstance(bases, str) else bases


def faults_of_card(text: str) -> list[str]:
    card = metadata(text)
    if card is None:
        return ["the metadata is no YAML mapping"]
    invalid = [base for base in bases_of(card) if not re.fullmatch(r"[\w.-]+/[\w.-]+", base)]
    found = [
        f'"base_model" with value "{base}" is not valid. Use a model id from the Hub.' for base in invalid
    ]
    if not isinstance(card.get("tags", []), list):
        found.append('"tags" must be an array')
    if card.get("base_model_relation", "adapter") not in ("adapter", "finetune", "merge", "quantized"):
        found.append('"base_model_relation" must be one of [adapter, merge, quantized, finetune]')
    for entry in card.get("model-index", []):
        if not entry.get("name") or not all(
            {"task", "dataset", "metrics"} <= set(result) for result in entry.get("results", [{}])
        ):
            found.append('"model-index" needs name, task, dataset and metrics')
    return found


def tags_of(card: dict) -> list[str]:
    bases, relation = bases_of(card), card.get("base_model_relation", "finetune")
    library = [card["library_name"]] if "library_name" in card else []
    return [
        *card.get("tags", []),
        *library,
        *(f"base_model:{base}" for base in bases),
        *(f"base_model:{relation}:{base}" for base in bases),
    ]
