"""Headless Chromium for the tests of the page: Debian's packages chromium and chromium-driver."""

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.pictures import draw

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",  # nobody is there to be asked whether the webcam may be used
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing but the page itself can be reached
)  # fmt: skip

# Gradio 6.31's loader requests frames for ever, also when it is hidden, which costs CPU time. In
# tests its requests wait.
FEWER_FRAMES = """
const ask = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (draw) =>
  String(draw).includes("performance.now()") ? setTimeout(() => ask(draw), 250) : ask(draw);
"""
DESKTOP, PHONE = (1280, 900), (390, 844)  # screens, px
FILMED = draw([("7", 200, 100, 200)], 24, size=(640, 480))  # what the webcam sees


@contextmanager
def browser(folder: Path):
    """A driver of a fresh Chromium that keeps its profile in `folder` and whose webcam sees FILMED.

    Where there is none, the test fails if CI is set and is skipped elsewhere.
    """
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        missing = "needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    options = Options()
    options.binary_location = chromium
    camera = f"--use-file-for-fake-video-capture={filmed(folder / 'camera.y4m', FILMED)}"
    for flag in (*FLAGS, camera, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    chrome = webdriver.Chrome(options, Service(driver))
    chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": FEWER_FRAMES})
    try:
        yield chrome
    finally:
        chrome.quit()


def filmed(path: Path, picture: Image.Image) -> Path:
    """A second of a grey picture with even sides, as a video for Chromium's fake webcam."""
    head = f"YUV4MPEG2 W{picture.width} H{picture.height} F10:1 Ip A1:1 C420jpeg\n".encode()
    frame = b"FRAME\n" + picture.tobytes() + bytes([128]) * (picture.width * picture.height // 2)
    path.write_bytes(head + 10 * frame)
    return path


def set_screen(chrome, size: tuple[int, int], dark: bool) -> None:
    # The window's frame, and its least width of 500 px, would otherwise come off a phone's screen.
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def requests(chrome) -> list[str]:
    """The addresses of all requests that pages have made since the last call."""
    messages = (json.loads(entry["message"])["message"] for entry in chrome.get_log("performance"))
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
