"""The Hub's client: its address, its time limits, and which errors mean that the Hub is away."""

import errno
import json
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status, httpx

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
NAMESPACE = re.compile(r"[A-Za-z0-9][\w.-]{0,95}")
COLLECTION = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]+-[0-9a-f]{16,32}")
REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*")
COMMIT = re.compile(r"[0-9a-f]{40}")

PATIENCE = 10  # seconds for one answer
DEADLINE = 25  # seconds for a pull, a push or a list, without the transfer of the weights
SLOWEST = 250_000  # bytes a second: a slower transfer counts as broken off

# JSONDecodeError: a proxy answered with a page of its own.
NO_ANSWER = (httpx.TransportError, ConnectionError, TimeoutError, LocalEntryNotFoundError,
             json.JSONDecodeError)  # fmt: skip
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)

Answer = TypeVar("Answer")


def client(token: str | None) -> HfApi:
    """A client for HF_ENDPOINT as it is now; huggingface_hub reads it once, when it is imported."""
    endpoint = (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None
    return HfApi(endpoint=endpoint, token=token, library_name="lwgan")


def cache() -> Path:
    """The Hub's cache folder, by the environment as it is now."""
    home = os.environ.get("HF_HOME")
    default = os.path.join(home, "hub") if home else constants.HF_HUB_CACHE
    return Path(os.environ.get("HF_HUB_CACHE") or default).expanduser()


def deadline(size: int = 0) -> float:
    """When a task that begins now and transfers `size` bytes must be done, for `left`."""
    return time.monotonic() + DEADLINE + size / SLOWEST


def left(ends: float) -> float:
    """Seconds until a deadline, at least 0."""
    return max(ends - time.monotonic(), 0)


def within(seconds: float, ask: Callable[[], Answer]) -> Answer:
    """Calls `ask` in a thread and returns its result. TimeoutError after so many seconds.

    huggingface_hub has no time limit for most requests and retries for up to a minute. (`set_client_factory`
    could limit single requests, but neither the retries nor the transfers by xet.) A call that timed out goes
    on in the background and may still succeed: the caller must be able to bear that."""
    answer = Future()

    def run():
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not answer.done():
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    return answer.result()


def get(path: str, token: str | None, seconds: float, **params) -> httpx.Response:
    """A GET request without retries, where HfApi's method has no time limit. Raises the Hub's error."""
    url, headers = f"{client(token).endpoint}{path}", build_hf_headers(token=token)
    ask = lambda: get_session().get(url, params=params, headers=headers, timeout=seconds)
    answer = within(seconds + 1, ask)
    hf_raise_for_status(answer)
    return answer


def root(error: Exception) -> Exception:
    """The cause of an error in which huggingface_hub wraps a failed upload or download."""
    while type(error) in (RuntimeError, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def is_away(error: Exception) -> bool:
    """Whether the Hub gave no answer, or only that it cannot answer now."""
    error = root(error)
    if isinstance(error, HfHubHTTPError):
        return status(error) >= 500 or status(error) in (408, 429)
    return isinstance(error, NO_ANSWER)


def is_unwritable(error: Exception) -> bool:
    """Whether the cache could not be written to."""
    return isinstance(root(error), OSError) and root(error).errno in READ_ONLY


def status(error: Exception) -> int:
    """The HTTP status of the Hub's answer; 0 if the error is of another kind."""
    return getattr(getattr(error, "response", None), "status_code", 0)


def reason(error: Exception) -> str:
    """The first line of an error's message, without an error number."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error).strip() or type(error).__name__).splitlines()[0]
