"""A small model of the Hugging Face Hub on 127.0.0.1, for tests of push, pull and list without a network.

    python -m tests.hub_server --port 8199            # then, in any shell:
    HF_ENDPOINT=http://127.0.0.1:8199 HF_TOKEN=hf_write python -m trainers publish ...

It keeps everything in memory: repos of models and Spaces, commits with parents and conflicts, pull requests,
tags, LFS and xet (hub_xet) uploads, ranges, lists, collections, users, private and gated repos; and it
injects faults. It was made from the client's source and the Hub's documentation. A test that passes here has
not met the real Hub.
"""

import argparse
import asyncio
import contextlib
import re
import threading
import time
from urllib.parse import parse_qs, unquote

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.hub_repos import USERS, Commit, Fault, Repo
from tests.hub_routes import ROUTES, Ask, error
from tests.hub_xet import Storage


class MiniHub:
    """with MiniHub() as hub: ... hub.url, hub.repos, hub.collections, hub.fault(...), hub.calls("/commit/")

    repos: "org/name" of a model, "spaces/org/name" of a Space."""

    def __init__(self, port: int = 0):
        self.repos: dict[str, Repo] = {}
        self.collections: dict[str, dict] = {}  # slug -> title and items (repo ids)
        self.objects: dict[str, bytes] = {}  # LFS, by sha256
        self.xet, self.speaks_xet = Storage(), True
        self.faults: list[Fault] = []
        self.log: list[tuple[str, str, str | None]] = []  # method, path with query, token
        self.lock = threading.RLock()
        options = {
            "interface": "asgi3",
            "log_level": "critical",
            "lifespan": "off",
            "timeout_graceful_shutdown": 1,
        }
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
        self.stop()
        self.thread.join(10)

    def stop(self) -> None:
        """Begins to end, which takes a while."""
        self.server.should_exit = True

    def serve(self, monkeypatch, home, token: str | None = "hf_write", xet: bool = False) -> None:
        """Lets this process's client use this Hub, with a token, a new cache in `home`, and xet or LFS."""
        from huggingface_hub import constants

        self.speaks_xet = xet
        values = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": token,
            "HF_HUB_DISABLE_XET": None if xet else "1",
        }
        for name, value in values.items():
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "LWGAN_REGISTRY"):
            monkeypatch.delenv(name, raising=False)
        # Read once for all when huggingface_hub is imported, which other tests may have done before.
        for name, value in {
            "HF_HUB_DISABLE_XET": not xet,
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_HUB_OFFLINE": False,
        }.items():
            monkeypatch.setattr(constants, name, value)

    def clear(self) -> None:
        for part in (self.repos, self.collections, self.objects, self.faults, self.log):
            part.clear()

    def fault(self, method: str, pattern: str, **what) -> None:
        self.faults.append(Fault(method, pattern, **what))

    def calls(self, pattern: str, method: str = "*") -> list[str]:
        return [
            f"{verb} {path}"
            for verb, path, _ in self.log
            if method in ("*", verb) and re.search(pattern, path)
        ]

    def put(self, repo_id: str, files: dict[str, bytes], **flags) -> Commit:
        """Commits the files as they are, whatever they hold."""
        repo = self.repos.setdefault(repo_id, Repo(**flags))
        return repo.commit(dict(files), "put")

    # One request

    async def __call__(self, scope, receive, send):
        request = Request(scope, receive)
        path, query = scope["raw_path"].decode().split("?")[0], scope["query_string"].decode()
        token = request.headers.get("authorization", "").removeprefix("Bearer ") or None
        self.log.append((request.method, f"{path}?{query}" if query else path, token))
        fault = self._fault(request.method, path)
        if fault and fault.delay:
            await asyncio.sleep(fault.delay)
        body = await request.body()
        if fault and fault.status:
            response = JSONResponse({"error": f"fault {fault.status}"}, fault.status, fault.headers)
        else:
            response = await asyncio.to_thread(self._answer, request, path, parse_qs(query), body, token)
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
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        )
        if fault.corrupt and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault.drop or fault.truncate is not None:
            # Fewer bytes than Content-Length says, then the end of the connection.
            await send(
                {
                    "type": "http.response.body",
                    "body": b"" if fault.drop else body[: fault.truncate],
                    "more_body": True,
                }
            )
            return
        await send({"type": "http.response.body", "body": body})

    def _answer(self, request: Request, path: str, query: dict, body: bytes, token: str | None) -> Response:
        if token and token not in USERS:
            return error(401, "Invalid user token.")
        ask = Ask(request, request.method, query, body, USERS.get(token))
        for method, pattern, handler in ROUTES:
            if method in ("*", ask.method) and (found := re.fullmatch(pattern, path)):
                with self.lock:
                    return handler(self, ask, *(part and unquote(part) for part in found.groups()))
        return error(404, f"no route {ask.method} {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8199)
    with MiniHub(parser.parse_args().port) as hub:
        print(f"HF_ENDPOINT={hub.url}; tokens: {', '.join(USERS)}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            hub.thread.join()
