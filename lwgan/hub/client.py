"""The Hub's client as the registry needs it: where the Hub is, how long it may take, and when it counts as away."""

import json
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
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
DEADLINE = 25  # seconds for a pull, a push or a list, beside the transfer of bytes
SLOWEST = 250_000  # bytes a second: a transfer that is slower counts as broken off

Answer = TypeVar("Answer")


def client(token: str | None) -> HfApi:
    """HF_ENDPOINT is read here, not once for all at import as huggingface_hub does."""
    return HfApi(
        endpoint=(os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None, token=token, library_name="lwgan"
    )


def cache() -> Path:
    """The Hub's cache folder, read now rather than at import."""
    home = os.environ.get("HF_HOME")
    return Path(
        os.environ.get("HF_HUB_CACHE") or (os.path.join(home, "hub") if home else constants.HF_HUB_CACHE)
    ).expanduser()


def deadline(size: int = 0) -> float:
    """When, on the clock of `left`, what begins now and moves so many bytes has to be done."""
    return time.monotonic() + DEADLINE + size / SLOWEST


def left(ends: float) -> float:
    return max(ends - time.monotonic(), 0)


def within(seconds: float, ask: Callable[[], Answer]) -> Answer:
    """What `ask` returns or raises; TimeoutError after so many seconds.

    huggingface_hub has no timeout for most questions, and goes on asking for up to a minute. What is given up here may go on
    in the background, and still come about: the caller must be able to bear that.
    """
    answer = Future()

    def run():
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return answer.result(seconds)
    except FutureTimeout as error:
        if answer.done():
            raise
        raise TimeoutError(f"no answer within {seconds:.0f} s") from error


def get(path: str, token: str | None, seconds: float, **params) -> httpx.Response:
    """The answer to a question that huggingface_hub has no timeout for. Raises what the Hub says."""
    asked = client(token)
    answer = within(
        seconds + 1,
        lambda: get_session().get(
            f"{asked.endpoint}{path}", params=params, headers=build_hf_headers(token=token), timeout=seconds
        ),
    )
    hf_raise_for_status(answer)
    return answer


def root(error: Exception) -> Exception:
    """What is behind the errors in which huggingface_hub wraps a failed upload, or a download that the cache could not replace."""
    while type(error) in (RuntimeError, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def is_away(error: Exception) -> bool:
    """Whether the Hub did not answer, or only to say that it cannot: then the cache may speak for it."""
    error = root(error)
    if isinstance(error, HfHubHTTPError):
        return status(error) >= 500 or status(error) in (408, 429)
    # JSONDecodeError: something between us and the Hub answered with a page of its own.
    gone = (
        httpx.TransportError,
        ConnectionError,
        TimeoutError,
        FutureTimeout,
        LocalEntryNotFoundError,
        json.JSONDecodeError,
    )
    return isinstance(error, gone)


def status(error: Exception) -> int:
    """The HTTP status of the Hub's answer, 0 if the error is none."""
    return getattr(getattr(error, "response", None), "status_code", 0)


def reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
