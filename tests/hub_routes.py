"""The routes of the small Hub of `hub_server`.

Each handler gets the hub, the request and the parts of the path that the pattern in ROUTES catches.
"""

import base64
import json
import re
import time
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.hub_repos import (
    Commit,
    Repo,
    card_of,
    faults_of_card,
    git_sha1,
    is_lfs,
    may_read,
    may_write,
    sha256,
    sibling,
    tags_of,
    tree_entry,
    who,
)

ID = r"([^/]+/[^/]+?)"


@dataclass
class Ask:
    request: Request
    method: str
    query: dict[str, list[str]]
    body: bytes
    user: dict | None


def error(status: int, message: str, code: str | None = None) -> Response:
    return JSONResponse(
        {"error": message},
        status,
        headers={"X-Error-Message": message, **({"X-Error-Code": code} if code else {})},
    )


def no_revision(route: str) -> Response:
    return error(404, f"Invalid rev id: {route}", "RevisionNotFound")


def ranged(request: Request, data: bytes, headers: dict) -> Response:
    """The data, or the part of it that a Range header asks for."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    headers = {**headers, "Accept-Ranges": "bytes"}
    if request.method == "HEAD":
        return Response(headers={**headers, "Content-Length": str(len(data))})
    if not found:
        return Response(data, headers=headers)
    first, last = int(found[1]), int(found[2] or len(data) - 1)
    return Response(
        data[first : last + 1], 206, {**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"}
    )


# Users, cards, storage


def whoami(hub, ask: Ask) -> Response:
    return JSONResponse(who(ask.user)) if ask.user else error(401, "no token")


def validate(hub, ask: Ask) -> Response:
    found = faults_of_card(json.loads(ask.body)["content"])
    return JSONResponse(
        {"errors": [{"message": message} for message in found], "warnings": []}, 400 if found else 200
    )


def store(hub, ask: Ask, oid: str) -> Response:
    if sha256(ask.body) != oid:
        return error(400, "sha256 does not match")
    hub.objects[oid] = ask.body
    return Response()


def stored(hub, ask: Ask, oid: str) -> Response:
    return ranged(ask.request, hub.objects[oid], {})


# Repos


def create(hub, ask: Ask) -> Response:
    wanted = json.loads(ask.body)
    name = wanted.get("organization") or (ask.user or {}).get("name")
    repo_id = f"{name}/{wanted['name']}"
    if not may_write(ask.user, repo_id):
        return error(
            403 if ask.user else 401,
            f"You don't have the rights to create a model under the namespace {name}",
        )
    key = f"spaces/{repo_id}" if wanted.get("type") == "space" else repo_id
    if key in hub.repos:
        return JSONResponse({"error": "You already created this repo", "url": f"{hub.url}/{key}"}, 409)
    repo = hub.repos[key] = Repo(private=bool(wanted.get("private") or wanted.get("visibility") == "private"))
    repo.commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}, "initial commit")
    return JSONResponse({"url": f"{hub.url}/{key}", "name": repo_id})


def delete(hub, ask: Ask) -> Response:
    wanted = json.loads(ask.body)
    repo_id = f"{wanted.get('organization') or (ask.user or {}).get('name')}/{wanted['name']}"
    if not may_write(ask.user, repo_id):
        return error(403, "no right to delete")
    key = f"spaces/{repo_id}" if wanted.get("type") == "space" else repo_id
    if hub.repos.pop(key, None) is None:
        return error(404, "Repository not found", "RepoNotFound")
    return Response("OK")


def list_models(hub, ask: Ask) -> Response:
    shown = [(key, repo) for key, repo in sorted(hub.repos.items())
             if key.count("/") == 1 and (not repo.private or may_read(ask.user, key))]  # fmt: skip
    infos = [describe(hub, key, repo, repo.head, blobs=False) for key, repo in shown]
    infos = [info for info in infos if ask.query.get("author", [info["author"]])[0] == info["author"]]
    infos = [info for info in infos if set(ask.query.get("filter", [])) <= set(info["tags"])]
    return JSONResponse(infos[: int(ask.query.get("limit", ["1000"])[0])])


def of_model(hub, ask: Ask, repo_id: str, route: str | None) -> Response:
    return of_repo(hub, ask, repo_id, repo_id, route or "revision/main")


def of_space(hub, ask: Ask, repo_id: str, route: str | None) -> Response:
    return of_repo(hub, ask, f"spaces/{repo_id}", repo_id, route or "revision/main")


def of_repo(hub, ask: Ask, key: str, repo_id: str, route: str) -> Response:
    repo = hub.repos.get(key)
    if repo is None or (repo.private and not may_read(ask.user, repo_id)):
        return error(404 if ask.user else 401, "Repository Not Found", "RepoNotFound")
    verb, _, rest = route.partition("/")
    may = may_write(ask.user, repo_id) or (opens_pull(ask, verb) and (ask.user or {}).get("role") == "write")
    if verb in ("preupload", "commit", "tag", "variables", "xet-write-token", ".git") and not may:
        return error(403 if ask.user else 401, "You don't have the rights to write here")
    if verb in ("resolve", "auth-check", "xet-read-token") and repo.gated and not may_read(ask.user, repo_id):
        return error(403 if ask.user else 401, f"Access to model {repo_id} is restricted", "GatedRepo")
    return (
        REPO_ROUTES[verb](hub, ask, key, repo, rest)
        if verb in REPO_ROUTES
        else error(404, f"no route {route}")
    )


def opens_pull(ask: Ask, verb: str) -> bool:
    """Whether the request may belong to a pull request, which anybody may open. (Uploads do not say so.)"""
    return "create_pr" in ask.query or verb == ".git"


def at(repo: Repo, route: str) -> tuple[Commit | None, str]:
    """The commit of a route's revision, whose slashes are quoted, and the rest of the route."""
    found = re.match(r"(refs/pr/\d+|[^/]*)/?(.*)", route)
    return repo.at(found[1]), found[2]


def auth_check(hub, ask: Ask, key: str, repo: Repo, route: str) -> Response:
    return Response("OK")


def info(hub, ask: Ask, key: str, repo: Repo, route: str) -> Response:
    commit, _ = at(repo, route)
    return (
        JSONResponse(describe(hub, key, repo, commit, blobs="blobs" in ask.query))
        if commit
        else no_revision(route)
    )


def describe(hub, key: str, repo: Repo, commit: Commit, blobs: bool) -> dict:
    repo_id, card = key.removeprefix("spaces/"), card_of(commit.files)
    siblings = [
        sibling(path, data) if blobs else {"rfilename": path} for path, data in sorted(commit.files.items())
    ]
    return {"_id": key, "id": repo_id, "modelId": repo_id, "sha": commit.sha, "author": repo_id.split("/")[0],
            "private": repo.private, "gated": "auto" if repo.gated else False, "siblings": siblings,
            "tags": tags_of(card), "cardData": card, "downloads": 0, "likes": 0}  # fmt: skip


def tree(hub, ask: Ask, key: str, repo: Repo, route: str) -> Response:
    commit, _ = at(repo, route)
    paths = (
        parse_qs(ask.body.decode()).get("paths", [])
        if ask.method == "POST"
        else sorted(commit.files)
        if commit
        else []
    )
    if commit is None:
        return no_revision(route)
    return JSONResponse(
        [
            tree_entry(path, commit.files[path], xet_hash(hub, path, commit))
            for path in paths
            if path in commit.files
        ]
    )


def xet_hash(hub, path: str, commit: Commit) -> str | None:
    data = commit.files[path]
    return hub.xet.put(data) if hub.speaks_xet and data and is_lfs(path, len(data)) else None


def resolve(hub, ask: Ask, key: str, repo: Repo, route: str) -> Response:
    commit, path = at(repo, route)
    if commit is None:
        return no_revision(route)
    if path not in commit.files:
        return error(404, "Entry not found", "EntryNotFound")
    data, headers = commit.files[path], {"X-Repo-Commit": commit.sha}
    if not is_lfs(path, len(data)):
        return ranged(ask.request, data, {**headers, "ETag": f'"{git_sha1(data)}"'})
    oid = sha256(data)
    hub.objects[oid] = data
    headers |= {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{oid}"'}
    if held := xet_hash(hub, path, commit):
        headers |= {
            "X-Xet-Hash": held,
            "Link": f'<{hub.url}/api/models/{key}/xet-read-token/{commit.sha}>; rel="xet-auth"',
        }
    # Another origin, as on the real Hub: a token must not follow there.
    return Response(
        status_code=302, headers=headers | {"Location": f"http://localhost:{hub.port}/_cdn/{oid}"}
    )


def xet_token(hub, ask: Ask, key: str, repo: Repo, route: str) -> Response:
    found = {"casUrl": hub.xet.url, "exp": int(time.time()) + 3600, "accessToken": "xet-token"}
    headers = {
        "X-Xet-Cas-Url": found["casUrl"],
        "X-Xet-Access-Token": "xet-token",
        "X-Xet-Token-Expiration": str(found["exp"]),
    }
    return JSONResponse(found, headers=headers)


def refs(hub, ask: Ask, key: str, repo: Repo, route: str) -> Response:
    tags = [
        {"name": name, "ref": f"refs/tags/{name}", "targetCommit": sha} for name, sha in repo.tags.items()
    ]
    heads = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head.sha}]
    return JSONResponse({"branches": heads, "converts": [], "tags": tags})


def commits(hub, ask: Ask, key: str, repo: Repo, route: str) -> Response:
    entry = {"message": "", "authors": [], "date": "2026-01-01T00:00:00.000Z"}
    return JSONResponse(
        [{"id": commit.sha, "title": commit.message, **entry} for commit in reversed(repo.commits)]
    )


def tag(hub, ask: Ask, key: str, repo: Repo, route: str) -> Response:
    commit, name = at(repo, route)[0], json.loads(ask.body)["tag"]
    if commit is None:
        return no_revision(route)
    if name in repo.tags:
        return error(409, f"Tag {name} already exists")
    repo.tags[name] = commit.sha
    return JSONResponse({})


def variables(hub, ask: Ask, key: str, repo: Repo, route: str) -> Response:
    wanted = json.loads(ask.body)
    repo.variables[wanted["key"]] = wanted["value"]
    return JSONResponse({name: {"value": value} for name, value in repo.variables.items()})


# Commits


def preupload(hub, ask: Ask, key: str, repo: Repo, route: str) -> Response:
    held = at(repo, route)[0].files

    def answer(file: dict) -> dict:
        path, lfs = file["path"], is_lfs(file["path"], file["size"])
        oid = (sha256 if lfs else git_sha1)(held[path]) if path in held else None
        return {"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False, "oid": oid}

    return JSONResponse({"files": [answer(file) for file in json.loads(ask.body)["files"]]})


def lfs_batch(hub, ask: Ask, key: str, repo: Repo, route: str) -> Response:
    def action(file: dict) -> dict:
        upload = {"upload": {"href": f"http://localhost:{hub.port}/_lfs/{file['oid']}"}}
        return {**file, **({} if file["oid"] in hub.objects else {"actions": upload})}

    return JSONResponse(
        {"transfer": "basic", "objects": [action(file) for file in json.loads(ask.body)["objects"]]}
    )


def commit(hub, ask: Ask, key: str, repo: Repo, route: str) -> Response:
    lines = [json.loads(line) for line in ask.body.splitlines() if line.strip()]
    header, files = lines[0]["value"], dict(repo.head.files)
    if header.get("parentCommit") not in (None, repo.head.sha):
        return error(412, "A commit has happened since. Please refresh and try again.")
    for line in lines[1:]:
        if refusal := apply(hub, files, line["key"], line["value"]):
            return refusal
    asks = "create_pr" in ask.query
    commit = repo.commit(files, header["summary"], repo.pulls if asks else None)
    pull = {"pullRequestUrl": f"{hub.url}/{key}/discussions/{len(repo.pulls)}"} if asks else {}
    return JSONResponse(
        {
            "success": True,
            "commitOid": commit.sha,
            "commitUrl": f"{hub.url}/{key}/commit/{commit.sha}",
            **pull,
        }
    )


def apply(hub, files: dict[str, bytes], operation: str, value: dict) -> Response | None:
    if operation == "file":
        files[value["path"]] = base64.b64decode(value["content"])
    elif operation == "lfsFile":
        oid = value["oid"]
        if oid not in hub.objects and (data := hub.xet.get(oid, value["size"])) is not None:
            hub.objects[oid] = data
        if oid not in hub.objects:
            return error(400, f"LFS object {oid} was never uploaded")
        files[value["path"]] = hub.objects[oid]
    elif operation == "deletedFile":
        if files.pop(value["path"], None) is None:
            return error(404, "A file with this name doesn't exist", "EntryNotFound")
    else:
        return error(400, f"unknown operation {operation}")
    return None


# Collections


def make_collection(hub, ask: Ask) -> Response:
    wanted = json.loads(ask.body)
    if not may_write(ask.user, wanted["namespace"]):
        return error(403 if ask.user else 401, "You don't have the rights to create a collection here")
    for slug, held in hub.collections.items():
        if held["title"] == wanted["title"] and slug.split("/")[0] == wanted["namespace"]:
            return JSONResponse({"error": "This collection exists", "slug": slug}, 409)
    name = re.sub(r"[^a-z0-9]+", "-", wanted["title"].lower()).strip("-")
    slug = f"{wanted['namespace']}/{name}-{len(hub.collections) + 1:024x}"
    hub.collections[slug] = {"title": wanted["title"], "items": []}
    return collection(hub, ask, slug)


def add_item(hub, ask: Ask, slug: str) -> Response:
    repo_id = json.loads(ask.body)["item"]["id"]
    if slug not in hub.collections:
        return error(404, "Collection not found")
    if not may_write(ask.user, slug):
        return error(403, "You don't have the rights to write here")
    if repo_id in hub.collections[slug]["items"]:
        return error(409, "Item already in collection")
    hub.collections[slug]["items"].append(repo_id)
    return collection(hub, ask, slug)


def collection(hub, ask: Ask, slug: str) -> Response:
    if slug not in hub.collections:
        return error(404, "Collection not found")
    held = hub.collections[slug]
    items = [
        {"_id": f"{i:024x}", "id": repo_id, "type": "model", "position": i}
        for i, repo_id in enumerate(held["items"])
    ]
    fixed = {"private": False, "lastUpdated": "2026-01-01T00:00:00.000Z", "theme": "blue", "upvotes": 0}
    owner = {"name": slug.split("/")[0]}
    return JSONResponse(
        {"slug": slug, "title": held["title"], "owner": owner, "items": items, "position": 0, **fixed}
    )


ROUTES = (
    ("GET", "/api/whoami-v2", whoami),
    ("POST", "/api/validate-yaml", validate),
    ("POST", "/api/repos/create", create),
    ("DELETE", "/api/repos/delete", delete),
    ("GET", "/api/models", list_models),
    ("POST", "/api/collections", make_collection),
    ("POST", "/api/collections/(.+)/items", add_item),
    ("GET", "/api/collections/(.+)", collection),
    ("PUT", "/_lfs/([0-9a-f]{64})", store),
    ("*", "/_cdn/([0-9a-f]{64})", stored),
    ("*", f"/api/models/{ID}(?:/(.+))?", of_model),
    ("*", f"/api/spaces/{ID}(?:/(.+))?", of_space),
    ("*", rf"/spaces/{ID}(\.git/info/lfs/objects/batch)", of_space),
    ("*", rf"/spaces/{ID}/(resolve/.+)", of_space),
    ("*", rf"/{ID}(\.git/info/lfs/objects/batch)", of_model),
    ("*", rf"/{ID}/(resolve/.+)", of_model),
)
REPO_ROUTES = {
    "revision": info, "tree": tree, "paths-info": tree, "resolve": resolve, "auth-check": auth_check,
    "refs": refs, "commits": commits, "tag": tag, "variables": variables, "preupload": preupload,
    "commit": commit, ".git": lfs_batch, "xet-read-token": xet_token, "xet-write-token": xet_token,
}  # fmt: skip
