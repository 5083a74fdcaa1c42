"""The speed of the page: a live app on this machine, used as browsers and callers' clients use it.

A slider's move and a step of Scrub are timed in headless Chromium, if installed, from the event to the new
picture. Clients and app share the machine, so the figures are lower bounds.
"""

import itertools
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from lwgan.hub.registry import list_edits

ROOT = Path(__file__).parents[2]
START_LIMIT = 600  # seconds
MOST = 64  # clients at once, each with a session of its own that the app keeps
LAUNCHED = "Launching MCP server"  # the last line that Gradio prints
ASKED = {
    "page to first edited picture, s": "<= 5", "slider p50, ms": "<= 150", "scrub step p50, ms": "<= 20",
    "start to first 200, s": "<= 10", "16 clients, events/s": ">= 25", "16 clients, errors": "0",
    "64 clients, errors": "0", "64 clients, memory growth, %": "<= 5",
}  # fmt: skip
# Runs in the page: moves the first slider from value to value and waits for each new picture.
SLIDER = """
const done = arguments[arguments.length - 1], moves = arguments[0], times = [];
const slider = document.querySelector("#sliders input[type=range]");
const href = () => document.querySelector("#view-edit .png").href;
(async () => {
  for (let i = 0; i < moves; i++) {
    const before = href(), began = performance.now();
    slider.value = 0.3 + 0.05 * (i % 20) + (i % 2);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    while (href() === before && performance.now() - began < 30000) await new Promise(requestAnimationFrame);
    times.push(performance.now() - began);
  }
  done(times);
})();
"""
SCRUB = """
const done = arguments[arguments.length - 1], times = [];
const [slider, picture] = ["input", "img"].map((tag) => document.querySelector("#view-scrub " + tag));
(async () => {
  for (let i = 0; i <= Number(slider.max); i++) {
    const began = performance.now();
    slider.value = i;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await picture.decode().catch(() => null);
    times.push(performance.now() - began);
    await new Promise(requestAnimationFrame);
  }
  done(times);
})();
"""
OPEN_SCRUB = """
const tabs = [...document.querySelectorAll("#views button[role=tab]")];
tabs.find((tab) => tab.textContent.trim() === "Scrub").click();
"""


def measure(options, machine: str) -> Iterator[str]:
    """One table of all figures, as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        yield report(figures(options, Path(folder)), options, machine)


def figures(options, folder: Path) -> dict[str, float | None]:
    """All figures of ASKED and two more; None for those that need a browser where there is none."""
    with served(folder) as (address, process, started):
        ask = asker(address)
        ask()
        found = {**browse(address, options.moves, folder), "start to first 200, s": started}
        rate, errors, _ = load(ask, 16, options.seconds)
        found |= {"16 clients, events/s": rate, "16 clients, errors": errors}
        load(ask, MOST, min(20.0, options.long_seconds))  # until memory has settled
        before = resident(process.pid)
        rate, errors, slowest = load(ask, MOST, options.long_seconds)
        growth = 100 * (resident(process.pid) / before - 1)
        found |= {"64 clients, events/s": rate, "64 clients, slowest, s": slowest}
        return found | {"64 clients, errors": errors, "64 clients, memory growth, %": growth}


@contextmanager
def served(folder: Path, **environment: str) -> Iterator[tuple]:
    """Runs `python app.py`. Yields its address, its process and the seconds until it answered.

    folder: takes uploads and log.txt.  environment: variables to set.
    RuntimeError with the end of the log if it does not start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    known = {"GRADIO_SERVER_PORT": port, "GRADIO_TEMP_DIR": str(folder / "uploads"), "PYTHONUNBUFFERED": "1"}
    environment = {**os.environ, "LWGAN_REGISTRY": "bundled", **known, **environment}
    command = [sys.executable, "-W", "error::UserWarning", "app.py"]
    log, began, address = folder / "log.txt", time.perf_counter(), f"http://127.0.0.1:{port}"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)

        def wait(condition: Callable[[], bool]) -> None:
            while not condition():
                if process.poll() is not None or time.perf_counter() - began > START_LIMIT:
                    raise RuntimeError(f"the app did not start: {log.read_text()[-2000:]}")
                time.sleep(0.05)

        try:
            wait(lambda: answers(address))
            started = time.perf_counter() - began
            # Gradio answers before it has launched, and gives up if it then does not reach itself within 3 s.
            wait(lambda: LAUNCHED in log.read_text())
            yield address, process, started
        finally:
            process.terminate()
            process.wait(30)


def answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(address, timeout=10).status == 200
    except OSError:
        return False


def asker(address: str) -> Callable[[], None]:
    """A function that calls `edit_image` over HTTP and waits for the picture's name. RuntimeError if refused.
    Each thread keeps its session, as browsers and gradio_client do."""
    url, client, numbers = f"{address}/gradio_api/call/edit_image", threading.local(), itertools.count()
    edit = list_edits("bundled")[0].name

    def ask() -> None:
        if not hasattr(client, "session"):  # later loads use the sessions of earlier ones
            client.session = f"benchmark-{next(numbers) % MOST}"
        data = [None, {edit: 1.0}, 6, None, None, None]
        body = json.dumps({"data": data, "session_hash": client.session}).encode()
        asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        event = json.load(urllib.request.urlopen(asked, timeout=60))["event_id"]
        answer = urllib.request.urlopen(f"{url}/{event}", timeout=60).read().decode()
        if "event: complete" not in answer:
            raise RuntimeError(answer[-300:])

    return ask


def load(ask: Callable[[], None], clients: int, seconds: float) -> tuple[float, int, float]:
    """Events/s, errors and the slowest answer (s) of clients that ask again as soon as they are answered."""
    began, times, errors = time.perf_counter(), [], []

    def client(_) -> None:
        while (start := time.perf_counter()) < began + seconds:
            try:
                ask()
                times.append(time.perf_counter() - start)
            except (OSError, RuntimeError, ValueError) as error:
                errors.append(error)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    return len(times) / (time.perf_counter() - began), len(errors), max(times, default=float("nan"))


def resident(pid: int) -> float:
    """Resident memory of a process in GB (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024 / 1e9


def browse(address: str, moves: int, folder: Path) -> dict[str, float | None]:
    """Seconds until the first edited picture; median ms of a slider's move and of a step of Scrub."""
    names = ("page to first edited picture, s", "slider p50, ms", "scrub step p50, ms")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        return dict.fromkeys(names)
    from selenium.webdriver.support.ui import WebDriverWait

    with chromium(folder) as chrome:
        began = time.perf_counter()
        chrome.get(address)
        ready = lambda script: WebDriverWait(chrome, 120, 0.1).until(
            lambda _: chrome.execute_script(f"return Boolean({script})")
        )
        ready("document.querySelector('#view-edit img.main')?.naturalWidth")
        opened = time.perf_counter() - began
        ready("document.querySelector('#sliders input[type=range]')")
        slider = chrome.execute_async_script(SLIDER, moves)[2:]  # the first moves warm up
        chrome.execute_script(OPEN_SCRUB)
        ready("document.querySelector('#view-scrub img[src]')")
        medians = statistics.median(slider), statistics.median(chrome.execute_async_script(SCRUB))
        return dict(zip(names, (opened, *medians), strict=True))


@contextmanager
def chromium(folder: Path) -> Iterator:
    """A headless Chromium of its own, with its profile in the folder."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    # A page narrower than this moves some tabs into a menu.
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--window-size=1280,900")  # fmt: skip
    for flag in (*flags, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    chrome = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        chrome.set_script_timeout(600)
        yield chrome
    finally:
        chrome.quit()


def report(found: dict[str, float | None], options, machine: str) -> str:
    """The table, with the command and the machine."""
    words = f"--moves {options.moves} --seconds {options.seconds:g} --long-seconds {options.long_seconds:g}"
    value = lambda figure: "no browser here" if figure is None else f"{figure:.4g}"
    lines = [f"| {name} | {value(figure)} | {ASKED.get(name, '')} |" for name, figure in found.items()]
    head = [f"`python -m trainers benchmark app {words}`  ", f"{machine}, app and clients on the same.", ""]
    return "\n".join([*head, "| what | measured | asked |", "|---|---|---|", *lines]) + "\n"
