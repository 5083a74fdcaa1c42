"""A live app for the tests, and its page as a visitor sees and uses it."""

import base64
import io
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from selenium.common.exceptions import ElementClickInterceptedException
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).parent.parent
PATIENCE = 180  # seconds: a machine may be kept busy by others
ALL = (Keys.CONTROL, "a", Keys.NULL)  # selects what a field holds, to be typed over
AXE = (Path(__file__).parent / "data" / "axe" / "axe.min.js").read_text("utf-8")


@contextmanager
def serving(folder: Path, code: str | None = None, **environment):
    """The address of `python app.py`, or of what `code` serves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "uploads"), **environment}
    log = folder / "log.txt"
    command = [sys.executable, "-W", "error::UserWarning", *(["-c", code] if code else ["app.py"])]
    with log.open("w") as file, subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file) as process:
        try:
            wait_for(lambda: answers(port) or process.poll() is not None, 4 * PATIENCE)
            assert process.poll() is None, log.read_text()
            yield f"http://127.0.0.1:{port}"
            assert "Traceback" not in log.read_text(), log.read_text()[-3000:]
        finally:
            process.terminate()


def answers(port: int) -> bool:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10).status == 200
    except OSError:
        return False


def wait_for(condition, seconds: float):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing came in time"
        time.sleep(0.2)


def pixels(data_url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data_url.partition(",")[2]))))


class Page:
    """The page in a browser, by what a visitor sees and does."""

    def __init__(self, chrome, address: str):
        self.chrome = chrome
        chrome.get(address)
        self.until(lambda: self.has("#view-edit img.main[src]") and self.has("#sliders .row"), "the page with its first picture")

    def until(self, condition, what: str):
        WebDriverWait(self.chrome, PATIENCE, 0.1).until(lambda _: condition(), f"in vain waited for {what}")

    def press(self, selector: str) -> None:
        """Clicks it as soon as nothing lies over it: while a page starts, Gradio veils its own components."""
        wait = WebDriverWait(self.chrome, PATIENCE, 0.1, [ElementClickInterceptedException])
        wait.until(lambda _: self.find(selector).click() is None, f"{selector} stayed veiled")

    def find(self, selector: str):
        return self.chrome.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list:
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def has(self, selector: str) -> bool:
        return bool(self.all(selector))

    def attribute(self, selector: str, name: str) -> str:
        """Read by one script: an element may be replaced between being found and being asked."""
        return self.chrome.execute_script("return document.querySelector(arguments[0])?.[arguments[1]] ?? ''", selector, name)

    def picture(self, name: str) -> str:
        """A picture of the view Edit, "original", "reconstruction" or "edited", as a data URL."""
        if name == "edited":
            return self.attribute("#view-edit .png", "href")
        return self.attribute(f"#view-edit .{name} img", "src")

    def changes(self, name: str, act, what: str) -> str:
        """Does `act`, waits until that picture is another, and gives it."""
        before = self.picture(name)
        act()
        self.until(lambda: self.picture(name) not in (before, ""), f"another {name} after {what}")
        return self.picture(name)

    def line(self) -> str:
        return self.attribute("#status .line", "textContent")

    def tab(self, where: str, name: str) -> None:
        (tab,) = [tab for tab in self.all(f"{where} button[role=tab]") if tab.text == name]
        tab.click()

    def view(self, name: str, holds: str) -> None:
        """Opens a view and waits until it is there."""
        self.tab("#views", name)
        self.until(lambda: any(part.is_displayed() for part in self.all(f"#view-{name.lower()} {holds}")), f"the view {name}")

    def row(self, edit: str) -> str:
        return f"#sliders [data-edit='{edit}']"

    def type(self, selector: str, text: str) -> None:
        self.find(selector).send_keys(*ALL, text, Keys.ENTER)

    def draw(self, *strokes) -> None:
        """Each stroke: points in px from the pad's upper left corner."""
        canvas = self.find("#pad canvas")
        self.chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
        half = canvas.size["width"] / 2, canvas.size["height"] / 2
        for stroke in strokes:
            for i, (x, y) in enumerate(stroke):
                hand = ActionChains(self.chrome, duration=30).move_to_element_with_offset(canvas, round(x - half[0]), round(y - half[1]))
                (hand.click_and_hold() if i == 0 else hand).perform()
            ActionChains(self.chrome).release().perform()

    def box(self, selector: str) -> dict:
        return self.chrome.execute_script("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", selector)

    def violations(self) -> list[str]:
        """What axe-core finds serious or critical."""
        self.chrome.execute_script("window.axe || (0, eval)(arguments[0])", AXE)
        self.chrome.set_script_timeout(PATIENCE)
        found = self.chrome.execute_async_script(
            "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then("
            "(r) => done(r.violations), (e) => done([{id: String(e), impact: 'critical', nodes: []}]))"
        )
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        return [f"{one['impact']} {one['id']}: {[node['html'][:160] for node in one['nodes'][:4]]}" for one in grave]
