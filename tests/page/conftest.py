"""One browser for all tests of the page."""

import pytest

from tests.browser import browser, requests
from tests.live import Page


@pytest.fixture(scope="session")
def chromium(space, tmp_path_factory):  # closed before its server
    with browser(tmp_path_factory.mktemp("chrome")) as chrome:
        yield chrome


@pytest.fixture(scope="module")
def chrome(chromium):
    yield chromium
    check_requests_and_console(chromium)


@pytest.fixture
def page(chrome, space):
    return Page(chrome, space)


def check_requests_and_console(chrome) -> None:
    """All requests of a module were local, and the console shows no error."""
    asked = requests(chrome)
    assert any(address.startswith("http://127.0.0.1") for address in asked)
    local = ("http://127.0.0.1:", "data:", "blob:", "chrome")
    assert [address for address in asked if not address.startswith(local)] == []
    said = [entry["message"] for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"]
    # Gradio reports a broken connection if the browser leaves a page whose stream of events is open.
    left = ("AbortError", "ERR_INCOMPLETE_CHUNKED_ENCODING", "Connection errored out")
    assert [message for message in said if not any(word in message for word in left)] == []
    assert chrome.find_elements("css selector", ".error") == []
