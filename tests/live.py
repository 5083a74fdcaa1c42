"""A running app for the tests, and its page as a visitor uses it."""

import base64
import io
import json
import re
from collections.abc import Callable
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote

import numpy as np
import pytest
from gradio_client import Client
from PIL import Image
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    StaleElementReferenceException,
)
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

# Whenever Gradio is imported, it compares stubs of its components with their code, which takes two seconds.
# It leaves out a component whose file is not found.
with patch("inspect.getfile", side_effect=OSError):
    import gradio as gr

from lwgan.page import serve
from tests.browser import DESKTOP, set_screen
from trainers.benchmark.app import served

ROOT = Path(__file__).parent.parent
# What the server logs of a stream of events whose page was just left: Gradio has forgotten the session.
WITHIN = r"(?:(?!Exception in ASGI application).)*?"
FORGOTTEN = r" +del blocks\._queue\.pending_messages_per_session\[session_hash\]\n[ ~^]*\nKeyError: '\w+'"
REFUSED = WITHIN + r"^RuntimeError: Caught handled exception, but response already started\."
LEFT = rf"^ERROR: +Exception in ASGI application\n{WITHIN}in sse_stream\n(?:{FORGOTTEN}|{REFUSED})$"
PATIENCE = 180  # seconds: the machine may be busy
SEVEN = [(60, 50), (150, 50), (100, 200)]  # a stroke on the pad
ALL = (Keys.CONTROL, "a", Keys.NULL)  # selects the content of a field
# Errors after which an action is repeated: the element was replaced, is covered, or is not there yet.
NOT_YET = (StaleElementReferenceException, ElementClickInterceptedException, ElementNotInteractableException)
AXE = (Path(__file__).parent / "data" / "axe" / "axe.min.js").read_text("utf-8")


@contextmanager
def serving(folder: Path, **environment):
    """The address of `python app.py`. `check_log` reads what it says."""
    with served(folder, **environment) as (address, _, _):
        yield address
        check_log((folder / "log.txt").read_text())


def check_log(log: str) -> None:
    """A log holds no traceback, but of streams whose page was just left (LEFT)."""
    rest = re.sub(LEFT, "", log, flags=re.DOTALL | re.MULTILINE)
    assert "Traceback" not in rest, rest[-3000:]


@contextmanager
def serving_here(folder: Path, registry: str | Path):
    """The address of the page of a registry, served by this process in its environment.
    A process of its own would import everything anew, which takes long. `check_log` reads what it says."""
    demos, launch, said = [], gr.Blocks.launch, io.StringIO()

    def launch_and_return(demo, **options):
        demos.append(demo)
        return launch(demo, **options, prevent_thread_lock=True, quiet=True)

    with pytest.MonkeyPatch.context() as patch, redirect_stderr(said):
        patch.setattr(gr.Blocks, "launch", launch_and_return)
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        for name in ("share_heap", "share_cores"):  # they are for the life of a process
            patch.setattr(serve, name, lambda *_: None)
        serve.launch(registry)
        try:
            yield demos[0].local_url.rstrip("/")
        finally:
            demos[0].close()
    check_log(said.getvalue())


def client(address: str, folder: Path) -> Client:
    """A caller of the endpoints who keeps files in a folder."""
    return Client(address, verbose=False, download_files=str(folder), analytics_enabled=False,
                  httpx_kwargs={"timeout": PATIENCE})  # fmt: skip


def pixels(data_url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data_url.partition(",")[2]))))


class Page:
    """The page in a browser, by what a visitor sees and does."""

    def __init__(self, chrome, address: str, size: tuple[int, int] = DESKTOP, dark: bool = False):
        self.chrome = chrome
        set_screen(chrome, size, dark)
        chrome.get(address)
        self.until(
            lambda: self.has("#view-edit img.main[src]") and self.has("#sliders .row"),
            "the page with its first picture",
        )
        self.until(
            lambda: self.attribute("#opened input", "checked"), "the answer to the page's own first call"
        )

    def until(self, condition: Callable, what: str):
        """Waits until the condition holds and returns its value. Elements may be replaced meanwhile."""
        return WebDriverWait(self.chrome, PATIENCE, 0.25, NOT_YET).until(
            lambda _: condition(), f"in vain waited for {what}"
        )

    def press(self, selector: str, said: str = "") -> None:
        """Clicks the first visible element of the selector (with the text `said`) when nothing covers it."""

        def pressed() -> bool:
            for element in self.all(selector):
                if element.is_displayed() and said in ("", element.text, element.get_attribute("aria-label")):
                    element.click()
                    return True
            return False

        self.until(pressed, f"{selector} {said} to be pressed")

    def keys(self, selector: str, *keys: str) -> None:
        self.until(lambda: self.find(selector).send_keys(*keys) is None, f"{selector} to take keys")

    def type(self, selector: str, text: str) -> None:
        """Replaces the content of a field."""
        self.keys(selector, *ALL, text, Keys.ENTER)

    def upload(self, folder: Path, name: str, data: bytes) -> None:
        """Writes a file and gives it to the field for uploads."""
        (folder / name).write_bytes(data)
        remove = "#upload button[title='Remove Image']"
        if self.has(remove):
            self.press(remove)
        self.keys("#upload input[type=file]", str(folder / name))

    def choose(self, selector: str, value: str) -> None:
        """Chooses an option of a <select>."""
        self.until(
            lambda: Select(self.find(selector)).select_by_value(value) is None, f"{value} to be chosen"
        )

    def find(self, selector: str):
        return self.chrome.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list:
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    # Each is read by one script, as an element may be replaced between two calls.

    def has(self, selector: str) -> bool:
        return self.chrome.execute_script("return document.querySelector(arguments[0]) !== null", selector)

    def attribute(self, selector: str, name: str) -> str:
        return self.chrome.execute_script(
            "return document.querySelector(arguments[0])?.[arguments[1]] ?? ''", selector, name
        )

    def attributes(self, selector: str, name: str = "textContent") -> list[str]:
        """An attribute of all elements of the selector."""
        return self.chrome.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e[arguments[1]] ?? '')",
            selector,
            name,
        )

    def table(self, selector: str) -> list[list[str]]:
        """The texts of the cells of a table's body, row by row."""
        return self.chrome.execute_script(
            "return [...document.querySelectorAll(`${arguments[0]} tbody tr`)]"
            ".map((row) => [...row.children].map((cell) => cell.textContent))",
            selector,
        )

    def shown(self, selector: str) -> bool:
        """Whether any element of the selector is visible."""
        return self.chrome.execute_script(
            "return [...document.querySelectorAll(arguments[0])].some((e) => e.checkVisibility())", selector
        )

    def box(self, selector: str) -> dict:
        return self.chrome.execute_script(
            "return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", selector
        )

    def line(self) -> str:
        return self.attribute("#status .line", "textContent")

    # Pictures

    def picture(self, name: str) -> str:
        """A picture of the view Edit ("original", "reconstruction" or "edited") as a data URL."""
        if name == "edited":
            return self.attribute("#view-edit .png", "href")
        return self.attribute(f"#view-edit .{name} img", "src")

    def changes(self, name: str, act: Callable, what: str) -> str:
        """Does `act`, waits for another picture that belongs to the present sliders, and returns it."""
        before = self.picture(name)
        act()
        return self.until(
            lambda: self.settled() and self.picture(name) not in (before, "") and self.picture(name),
            f"another {name} after {what}",
        )

    def recipe(self) -> dict:
        """The recipe of the picture in the view Edit."""
        return json.loads(unquote(self.attribute("#view-edit .recipe", "href").partition(",")[2]))

    def settled(self) -> bool:
        """Whether the view Edit shows the present state of the sliders."""
        script = (
            "return [...document.querySelectorAll('#sliders .row')]"
            ".map((e) => [e.dataset.edit, e.querySelector('.hint').textContent])"
        )
        asked = {
            name: float(hint.split()[1]) for name, hint in self.chrome.execute_script(script)
        }  # "alpha 0.81 · ..."
        made = {edit["name"]: edit["alpha"] for edit in self.recipe()["edits"]}
        return all(
            abs(asked.get(name, 0) - made.get(name, 0)) < 0.006 for name in {*asked, *made}
        )  # hints have two decimals

    # Requests

    def hold(self, answer: str = "ask(...how)") -> None:
        """Delays the next event of the page until `let_go`. answer: a script's expression, its answer."""
        self.chrome.execute_script(
            f"const ask = window.fetch, answer = (how) => {answer}; window.joined = 0;"
            "window.fetch = (...how) => !String(how[0].url ?? how[0]).includes('queue/join')"
            " || ++window.joined > 1 ? ask(...how)"
            " : new Promise((done) => { window.letGo = () => done(answer(how)); });"
        )

    def let_go(self) -> None:
        self.chrome.execute_script("window.letGo()")

    # Places

    def tab(self, where: str, name: str) -> None:
        self.press(f"{where} button[role=tab]", name)
        chosen = f"{where} button[role=tab][aria-selected=true]"
        self.until(lambda: self.attribute(chosen, "textContent").strip() == name, f"the tab {name}")

    def view(self, name: str, holds: str) -> None:
        """Opens a view and waits until it is complete."""
        self.tab("#views", name)
        self.until(lambda: self.shown(f"#view-{name.lower()} {holds}"), f"the view {name}")

    def row(self, edit: str) -> str:
        return f"#sliders [data-edit='{edit}']"

    def number(self, edit: str) -> str:
        """The selector of the field with an edit's strength."""
        return f"{self.row(edit)} input[type=number]"

    def strength(self, edit: str) -> str:
        return self.attribute(self.number(edit), "value")

    def draw(self, *strokes) -> None:
        """Strokes on the pad: points in px from its upper left corner."""
        canvas = self.find("#pad canvas")
        self.chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
        half = canvas.size["width"] / 2, canvas.size["height"] / 2
        for stroke in strokes:
            for i, (x, y) in enumerate(stroke):
                hand = ActionChains(self.chrome, duration=30).move_to_element_with_offset(
                    canvas, round(x - half[0]), round(y - half[1])
                )
                (hand.click_and_hold() if i == 0 else hand).perform()
            ActionChains(self.chrome).release().perform()

    def violations(self) -> list[str]:
        """The serious and critical findings of axe-core."""
        self.chrome.execute_script("window.axe || (0, eval)(arguments[0])", AXE)
        self.chrome.set_script_timeout(PATIENCE)
        found = self.chrome.execute_async_script(
            "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then("
            "(r) => done(r.violations), (e) => done([{id: String(e), impact: 'critical', nodes: []}]))"
        )
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        return [
            f"{one['impact']} {one['id']}: {[node['html'][:160] for node in one['nodes'][:4]]}"
            for one in grave
        ]
