"""A small model of the Hugging Face Hub on 127.0.0.1, for tests of push, pull and list without a network.

    python tests/hub_server.py --port 8199            # then, in any shell:
    HF_ENDPOINT=http://127.0.0.1:8199 HF_TOKEN=hf_write HF_HUB_DISABLE_XET=1 python -m trainers publish ...

It keeps everything in memory. What it knows: repos, commits (with parent and conflicts), preupload, LFS, validate-yaml, resolve with
ranges, tree, info, paths-info, list, collections, whoami, private and gated repos; and faults, for what goes wrong on the way.
Made from the client's source and the Hub's documentation: a test that passes here has not met the real Hub.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote

import uvicorn
import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

USERS = {
    "hf_write": {"name": "lab", "role": "write"},
    "hf_read": {"name": "lab", "role": "read"},
    "hf_other": {"name": "other", "role": "write"},
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

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def commit(self, files: dict[str, bytes], message: str) -> Commit:
        content = json.dumps([len(self.commits), time.time_ns(), message]).encode()
        self.commits.append(Commit(hashlib.sha1(content).hexdigest(), files, message))
        return self.head

    def at(self, revision: str) -> Commit | None:
        return self.head if revision == "main" else next((commit for commit in self.commits if commit.sha == revision), None)


@dataclass
class Fault:
    """What to do to the answers of a route. status: answer that and do nothing. drop: do it, lose the answer. truncate: send so many
    bytes of the body. corrupt: flip a bit of its last byte. delay: seconds. times: how often, None = always."""

    method: str
    pattern: str
    status: int | None = None
    drop: bool = False
    truncate: int | None = None
    corrupt: bool = False
    delay: float = 0
    times: int | None = 1


class MiniHub:
    """with MiniHub() as hub: ... hub.url, hub.repos, hub.collections, hub.fault(...), hub.calls("/commit/")"""

    def __init__(self, port: int = 0):
        self.repos: dict[str, Repo] = {}
        self.collections: dict[str, list[str]] = {}
        self.objects: dict[str, bytes] = {}  # LFS, by sha256
        self.faults: list[Fault] = []
        self.log: list[tuple[str, str, str | None]] = []  # method, path with query, token
        self.lock = threading.RLock()
        options = {"interface": "asgi3", "log_level": "critical", "lifespan": "off", "timeout_graceful_shutdown": 1}
        self.server = uvicorn.Server(uvicorn.Config(self, host="127.0.0.1", port=port, **options))
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> "MiniHub":
        self.thread.start()
        deadline = time.monotonic() + 10
        while not self.server.started:
            if time.monotonic() > deadline or not self.thread.is_alive():
                raise RuntimeError("the server did not start within 10 s")
            time.sleep(0.01)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_) -> None:
        self.server.should_exit = True
        self.thread.join(10)

    def serve(self, monkeypatch, home, token: str | None = "hf_write") -> None:
        """Points this process's client here: endpoint, an empty cache in `home`, a token, the LFS transfer."""
        from huggingface_hub import constants

        for name, value in {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_TOKEN": token}.items():
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "LWGAN_REGISTRY"):
            monkeypatch.delenv(name, raising=False)
        # Read once for all when huggingface_hub is imported, which other tests may have done before.
        for name, value in {"HF_HUB_DISABLE_XET": True, "HF_TOKEN_PATH": str(home / "token"), "HF_HUB_OFFLINE": False}.items():
            monkeypatch.setattr(constants, name, value)

    def fault(self, method: str, pattern: str, **what) -> None:
        self.faults.append(Fault(method, pattern, **what))

    def calls(self, pattern: str, method: str = "*") -> list[str]:
        return [f"{verb} {path}" for verb, path, _ in self.log if method in ("*", verb) and re.search(pattern, path)]

    def put(self, repo_id: str, files: dict[str, bytes], **flags) -> Commit:
        """Commits the files as they are, whatever they hold."""
        repo = self.repos.setdefault(repo_id, Repo(**flags))
        return repo.commit(dict(files), "put")

    # One request

    async def __call__(self, scope, receive, send):
        request = Request(scope, receive)
        path, query = scope["raw_path"].decode().split("?")[0], scope["query_string"].decode()
        header = request.headers.get("authorization", "")
        token = header.removeprefix("Bearer ") or None
        self.log.append((request.method, f"{path}?{query}" if query else path, token))
        fault = self._fault(request.method, path)
        if fault and fault.delay:
            await asyncio.sleep(fault.delay)
        if fault and fault.status:
            response = JSONResponse({"error": f"fault {fault.status}"}, fault.status)
        else:
            body = await request.body()
            with self.lock:
                response = self._answer(request, path, parse_qs(query), body, token)
        if fault and (fault.drop or fault.truncate is not None or fault.corrupt):
            await self._spoiled(fault, response, send)
        else:
            await response(scope, receive, send)

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.method in ("*", method) and re.search(fault.pattern, path) and fault.times != 0:
                fault.times = None if fault.times is None else fault.times - 1
                return fault
        return None

    @staticmethod
    async def _spoiled(fault: Fault, response: Response, send) -> None:
        body = bytes(response.body)
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        if fault.corrupt and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault.drop or fault.truncate is not None:
            # Fewer bytes than Content-Length says, then the end of the connection.
            await send({"type": "http.response.body", "body": b"" if fault.drop else body[: fault.truncate], "more_body": True})
            return
        await send({"type": "http.response.body", "body": body})

    def _answer(self, request: Request, path: str, query: dict, body: bytes, token: str | None) -> Response:
        user = USERS.get(token) if token else None
        if token and not user:
            return error(401, "Invalid user token.")
        method = request.method
        if path == "/api/whoami-v2":
            if not user:
                return error(401, "no token")
            return JSONResponse({"type": "user", "name": user["name"], "orgs": [], "auth": {"accessToken": {"role": user["role"]}}})
        if path == "/api/validate-yaml":
            return validate_card(json.loads(body)["content"])
        if path == "/api/repos/create" and method == "POST":
            return self._create(json.loads(body), user)
        if path == "/api/repos/delete" and method == "DELETE":
            return self._delete(json.loads(body), user)
        if path == "/api/models":
            return self._list(query, user)
        if found := re.fullmatch(r"/api/collections/(.+)", path):
            return self._collection(unquote(found[1]))
        if found := re.fullmatch(r"/_lfs/([0-9a-f]{64})", path):
            if hashlib.sha256(body).hexdigest() != found[1]:
                return error(400, "sha256 does not match")
            self.objects[found[1]] = body
            return Response()
        if found := re.fullmatch(r"/_cdn/([0-9a-f]{64})", path):
            return ranged(request, self.objects[found[1]], {})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/(.+))?", path):
            repo_id, route = found[1], found[2] or "revision/main"
        elif found := re.fullmatch(r"/([^/]+/[^/]+?)(\.git/info/lfs/objects/batch|/resolve/.+)", path):
            repo_id, route = found[1], found[2].removeprefix("/")
        else:
            return error(404, f"no route {path}")
        return self._repo(request, repo_id, route, query, body, user)

    # Repos

    def _create(self, wanted: dict, user: dict | None) -> Response:
        name = wanted.get("organization") or (user or {}).get("name")
        repo_id = f"{name}/{wanted['name']}"
        if not may_write(user, repo_id):
            return error(403 if user else 401, f"You don't have the rights to create a model under the namespace {name}")
        if repo_id in self.repos:
            return JSONResponse({"error": "You already created this model repo", "url": f"{self.url}/{repo_id}"}, 409)
        private = wanted.get("private") or wanted.get("visibility") == "private"
        self.repos[repo_id] = Repo(private=bool(private))
        self.repos[repo_id].commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}, "initial commit")
        return JSONResponse({"url": f"{self.url}/{repo_id}", "name": repo_id})

    def _delete(self, wanted: dict, user: dict | None) -> Response:
        repo_id = f"{wanted.get('organization') or (user or {}).get('name')}/{wanted['name']}"
        if not may_write(user, repo_id):
            return error(403, "no right to delete")
        if repo_id not in self.repos:
            return error(404, "Repository not found", "RepoNotFound")
        del self.repos[repo_id]
        return Response("OK")

    def _repo(self, request: Request, repo_id: str, route: str, query: dict, body: bytes, user: dict | None) -> Response:
        repo = self.repos.get(repo_id)
        if repo is None or (repo.private and (user or {}).get("name") != repo_id.split("/")[0]):
            return error(404 if user else 401, "Repository Not Found", "RepoNotFound")
        if route == ".git/info/lfs/objects/batch":
            return self._lfs_batch(json.loads(body)) if may_write(user, repo_id) else error(403, "no right to write")
        verb, _, rest = route.partition("/")
        revision, _, rest = rest.partition("/")
        commit = repo.at(unquote(revision))
        if commit is None:
            return error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        if verb in ("preupload", "commit"):
            if not may_write(user, repo_id):
                return error(403 if user else 401, "You don't have the rights to write here")
            return preupload(commit, json.loads(body)) if verb == "preupload" else self._commit(repo_id, repo, body)
        if verb == "revision":
            return JSONResponse(self._info(repo_id, repo, commit, blobs="blobs" in query))
        if verb == "resolve":
            if repo.gated and (user or {}).get("name") != repo_id.split("/")[0]:
                return error(403 if user else 401, f"Access to model {repo_id} is restricted", "GatedRepo")
            return self._resolve(request, commit, unquote(rest))
        if verb == "tree":
            return JSONResponse([tree_entry(path, data) for path, data in sorted(commit.files.items())])
        if verb == "paths-info":
            paths = parse_qs(body.decode()).get("paths", [])
            return JSONResponse([tree_entry(path, commit.files[path]) for path in paths if path in commit.files])
        return error(404, f"no route {route}")

    def _commit(self, repo_id: str, repo: Repo, body: bytes) -> Response:
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        header = lines[0]["value"]
        if header.get("parentCommit") not in (None, repo.head.sha):
            return error(412, "A commit has happened since. Please refresh and try again.")
        files = dict(repo.head.files)
        for line in lines[1:]:
            key, value = line["key"], line["value"]
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                if value["oid"] not in self.objects:
                    return error(400, f"LFS object {value['oid']} was never uploaded")
                files[value["path"]] = self.objects[value["oid"]]
            elif key == "deletedFile":
                if files.pop(value["path"], None) is None:
                    return error(404, "A file with this name doesn't exist", "EntryNotFound")
            else:
                return error(400, f"unknown operation {key}")
        commit = repo.commit(files, header["summary"])
        return JSONResponse({"success": True, "commitOid": commit.sha, "commitUrl": f"{self.url}/{repo_id}/commit/{commit.sha}"})

    def _lfs_batch(self, wanted: dict) -> Response:
        def action(file: dict) -> dict:
            held = file["oid"] in self.objects
            # Another origin, as on the real Hub: a token must not follow there.
            href = f"http://localhost:{self.port}/_lfs/{file['oid']}"
            return {**file, **({} if held else {"actions": {"upload": {"href": href}}})}

        return JSONResponse({"transfer": "basic", "objects": [action(file) for file in wanted["objects"]]})

    def _resolve(self, request: Request, commit: Commit, path: str) -> Response:
        if path not in commit.files:
            return error(404, "Entry not found", "EntryNotFound")
        data, headers = commit.files[path], {"X-Repo-Commit": commit.sha}
        if not is_lfs(path, data):
            return ranged(request, data, {**headers, "ETag": f'"{git_sha1(data)}"'})
        oid = hashlib.sha256(data).hexdigest()
        self.objects[oid] = data
        headers |= {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{oid}"'}
        headers |= {"Location": f"http://localhost:{self.port}/_cdn/{oid}"}
        return Response(status_code=302, headers=headers)

    def _info(self, repo_id: str, repo: Repo, commit: Commit, blobs: bool) -> dict:
        siblings = [{"rfilename": path, **(blob(path, data) if blobs else {})} for path, data in sorted(commit.files.items())]
        card = card_of(commit.files.get("README.md", b"").decode("utf-8", "replace")) or {}
        return {"_id": repo_id, "id": repo_id, "modelId": repo_id, "sha": commit.sha, "author": repo_id.split("/")[0], "private": repo.private,
                "gated": "auto" if repo.gated else False, "siblings": siblings, "tags": tags_of(card), "cardData": card, "downloads": 0, "likes": 0}  # fmt: skip

    def _list(self, query: dict, user: dict | None) -> Response:
        infos = [self._info(repo_id, repo, repo.head, blobs=False) for repo_id, repo in sorted(self.repos.items())
                 if not repo.private or (user or {}).get("name") == repo_id.split("/")[0]]  # fmt: skip
        infos = [info for info in infos if query.get("author", [info["author"]])[0] == info["author"]]
        infos = [info for info in infos if set(query.get("filter", [])) <= set(info["tags"])]
        return JSONResponse(infos[: int(query.get("limit", ["1000"])[0])])

    def _collection(self, slug: str) -> Response:
        if slug not in self.collections:
            return error(404, "Collection not found")
        items = [{"_id": f"{i:024x}", "id": repo_id, "type": "model", "position": i} for i, repo_id in enumerate(self.collections[slug])]
        return JSONResponse({"slug": slug, "title": slug, "owner": {"name": slug.split("/")[0]}, "items": items, "position": 0, "private": False,
                             "lastUpdated": "2026-01-01T00:00:00.000Z", "theme": "blue", "upvotes": 0})  # fmt: skip


def may_write(user: dict | None, repo_id: str) -> bool:
    return bool(user) and user["role"] == "write" and repo_id.split("/")[0] == user["name"]


def error(status: int, message: str, code: str | None = None) -> Response:
    return JSONResponse({"error": message}, status, headers={"X-Error-Message": message, **({"X-Error-Code": code} if code else {})})


def ranged(request: Request, data: bytes, headers: dict) -> Response:
    """The data, or the part of it that a Range header asks for."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    headers = {**headers, "Accept-Ranges": "bytes"}
    if not found:
        return (
            Response(data, headers=headers) if request.method != "HEAD" else Response(headers={**headers, "Content-Length": str(len(data))})
        )
    first, last = int(found[1]), int(found[2] or len(data) - 1)
    return Response(data[first : last + 1], 206, {**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"})


def preupload(commit: Commit, wanted: dict) -> Response:
    def answer(file: dict) -> dict:
        path, held = file["path"], commit.files.get(file["path"])
        mode = "lfs" if is_lfs(path, b"", file["size"]) else "regular"
        oid = None if held is None else hashlib.sha256(held).hexdigest() if mode == "lfs" else git_sha1(held)
        return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    return JSONResponse({"files": [answer(file) for file in wanted["files"]]})


def is_lfs(path: str, data: bytes, size: int = 0) -> bool:
    return path.endswith((".safetensors", ".png")) or max(len(data), size) > 10_000_000


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def blob(path: str, data: bytes) -> dict:
    lfs = {"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}} if is_lfs(path, data) else {}
    return {"size": len(data), "blobId": git_sha1(data), **lfs}


def tree_entry(path: str, data: bytes) -> dict:
    lfs = {"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}} if is_lfs(path, data) else {}
    return {"type": "file", "path": path, "size": len(data), "oid": git_sha1(data), **lfs}


def card_of(text: str) -> dict | None:
    """The metadata at the head of a card; None if it is no YAML mapping."""
    found = re.match(r"---\r?\n(.*?)\r?\n---\r?\n", text, re.DOTALL)
    with contextlib.suppress(yaml.YAMLError):
        card = yaml.safe_load(found[1]) if found else {}
        return card if isinstance(card, dict) else None
    return None


def validate_card(text: str) -> Response:
    card, errors = card_of(text), []
    if card is None:
        errors = ["the metadata is no YAML mapping"]
    else:
        bases = card.get("base_model", [])
        for base in [bases] if isinstance(bases, str) else bases:
            if not re.fullmatch(r"[\w.-]+/[\w.-]+", base):
                errors.append(f'"base_model" with value "{base}" is not valid. Use a model id from the Hub.')
        if not isinstance(card.get("tags", []), list):
            errors.append('"tags" must be an array')
        for entry in card.get("model-index", []):
            if not entry.get("name") or not all({"task", "dataset", "metrics"} <= set(result) for result in entry.get("results", [{}])):
                errors.append('"model-index" needs name, task, dataset and metrics')
    return JSONResponse({"errors": [{"message": message} for message in errors], "warnings": []}, 400 if errors else 200)


def tags_of(card: dict) -> list[str]:
    bases = card.get("base_model", [])
    bases = [bases] if isinstance(bases, str) else bases
    relation = card.get("base_model_relation", "finetune")
    return [*card.get("tags", []), *([card["library_name"]] if "library_name" in card else []),
            *(f"base_model:{base}" for base in bases), *(f"base_model:{relation}:{base}" for base in bases)]  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8199)
    with MiniHub(parser.parse_args().port) as hub:
        print(f"HF_ENDPOINT={hub.url}; tokens: {', '.join(USERS)}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            hub.thread.join()
