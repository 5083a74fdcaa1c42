"""How fast the page is, and what it bears: a live app on this machine, asked as visitors' browsers and callers' clients ask.

    python -m trainers benchmark app --report docs/speed-app.md

A slider's move and a scrub step are timed in headless Chromium where there is one, from the event to the new picture. Clients and the app share the
machine: the figures are lower bounds. Read them on a machine that does nothing else.
"""

import itertools
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
START_LIMIT = 600  # seconds
MOST = 64  # clients at once, each with a session of its own that the app keeps
LAUNCHED = "Launching MCP server"  # what Gradio prints last
ASKED = {"page to first edited picture, s": "<= 5", "slider p50, ms": "<= 150", "scrub step p50, ms": "<= 20", "start to first 200, s": "<= 10",
         "16 clients, events/s": ">= 25", "16 clients, errors": "0", "64 clients, errors": "0", "64 clients, memory growth, %": "<= 5"}  # fmt: skip
# Run in the page: moves the first slider from value to value and waits for each new picture; then scrubs.
SLIDER = """
const done = arguments[arguments.length - 1], moves = arguments[0], slider = document.querySelector("#sliders input[type=range]");
const href = () => document.querySelector("#view-edit .png").href;
const times = [];
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
const done = arguments[arguments.length - 1], slider = document.querySelector("#view-scrub input"), picture = document.querySelector("#view-scrub img");
const times = [];
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


@dataclass(frozen=True)
class Size:
    """How much is asked."""

    moves: int = 40
    """Moves of the slider that are timed."""
    seconds: float = 20
    """For which 16 clients ask."""
    long_seconds: float = 180
    """For which 64 clients ask."""


def measure(size: Size, folder: Path) -> dict[str, float | None]:
    """All figures, in the order of ASKED; None for what needs a browser where there is none."""
    with served(folder) as (address, process, started):
        ask = asker(address)
        ask()
        found = {**browse(address, size.moves, folder), "start to first 200, s": started}
        rate, errors, _ = load(ask, 16, size.seconds)
        found |= {"16 clients, events/s": rate, "16 clients, errors": errors}
        load(ask, MOST, min(20.0, size.long_seconds))  # memory is counted from where it has settled
        before = resident(process.pid)
        rate, errors, slowest = load(ask, MOST, size.long_seconds)
        growth = 100 * (resident(process.pid) / before - 1)
        found |= {
            "64 clients, events/s": rate,
            "64 clients, slowest, s": slowest,
            "64 clients, errors": errors,
            "64 clients, memory growth, %": growth,
        }
    return found


class served:
    """`python app.py` of the bundled models, while in use: (address, process, seconds from its start to the first 200)."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __enter__(self) -> tuple[str, subprocess.Popen, float]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {
            **os.environ,
            "GRADIO_SERVER_PORT": str(port),
            "GRADIO_TEMP_DIR": str(self.folder / "uploads"),
            "LWGAN_REGISTRY": "bundled",
            "PYTHONUNBUFFERED": "1",
        }
        began, address = time.perf_counter(), f"http://127.0.0.1:{port}"
        self.log = (self.folder / "log.txt").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=self.log, stderr=self.log
        )
        try:
            while not answers(address):
                if self.process.poll() is not None or time.perf_counter() - began > START_LIMIT:
                    raise RuntimeError(
                        f"the app did not start: {(self.folder / 'log.txt').read_text()[-2000:]}"
                    )
                time.sleep(0.05)
            started = time.perf_counter() - began
            # Gradio answers before it has launched, and gives up if it then does not reach itself within 3 s: no load before that.
            while LAUNCHED not in (self.folder / "log.txt").read_text():
                if self.process.poll() is not None or time.perf_counter() - began > START_LIMIT:
                    raise RuntimeError(
                        f"the app did not launch: {(self.folder / 'log.txt').read_text()[-2000:]}"
                    )
                time.sleep(0.05)
        except BaseException:
            self.__exit__()
            raise
        return address, self.process, started

    def __exit__(self, *_) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


def answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(address, timeout=10).status == 200
    except OSError:
        return False


def asker(address: str) -> Callable[[], None]:
    """One call of `edit_image` over HTTP, until the picture is named; each thread keeps its session, as a browser and gradio_client do.
    RuntimeError if it is refused."""
    url, client, numbers = f"{address}/gradio_api/call/edit_image", threading.local(), itertools.count()

    def ask() -> None:
        if not hasattr(client, "session"):
            client.session = f"benchmark-{next(numbers) % MOST}"  # a later load's clients are the earlier one's, come again
        body = {
            "data": [None, {"lwgan-multimnist-lw-1to2": 0.82}, 6, None, None],
            "session_hash": client.session,
        }
        asked = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        event = json.load(urllib.request.urlopen(asked, timeout=60))["event_id"]
        answer = urllib.request.urlopen(f"{url}/{event}", timeout=60).read().decode()
        if "event: complete" not in answer:
            raise RuntimeError(answer[-300:])

    return ask


def load(ask: Callable[[], None], clients: int, seconds: float) -> tuple[float, int, float]:
    """So many clients, each asking again as soon as it is answered: events per second, errors, the slowest answer in seconds."""
    until, lock, times, errors = time.perf_counter() + seconds, threading.Lock(), [], [0]

    def client(_) -> None:
        while time.perf_counter() < until:
            began = time.perf_counter()
            try:
                ask()
            except (OSError, RuntimeError, ValueError):
                with lock:
                    errors[0] += 1
                continue
            with lock:
                times.append(time.perf_counter() - began)

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    return len(times) / (time.perf_counter() - began), errors[0], max(times, default=float("nan"))


def resident(pid: int) -> float:
    """GB of memory that a process holds (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024 / 1e9


def browse(address: str, moves: int, folder: Path) -> dict[str, float | None]:
    """The time from opening the page to its first edited picture, in s, and the medians of a slider's move and of a scrub step, in ms,
    as Chromium sees them."""
    names = ("page to first edited picture, s", "slider p50, ms", "scrub step p50, ms")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        return dict.fromkeys(names)
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = shutil.which("chromium")
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'profile'}",
    ):
        options.add_argument(flag)
    chrome = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        chrome.set_script_timeout(600)
        began = time.perf_counter()
        chrome.get(address)
        ready = lambda script: wait_for(lambda: chrome.execute_script(f"return Boolean({script})"))
        ready("document.querySelector('#view-edit img.main')?.naturalWidth")
        opened = time.perf_counter() - began
        ready("document.querySelector('#sliders input[type=range]')")
        slider = chrome.execute_async_script(SLIDER, moves)[2:]  # the first ones warm up
        chrome.execute_script(
            "[...document.querySelectorAll('#views button[role=tab]')].find((tab) => tab.textContent.trim() === 'Scrub').click()"
        )
        ready("document.querySelector('#view-scrub img[src]')")
        medians = statistics.median(slider), statistics.median(chrome.execute_async_script(SCRUB))
        return dict(zip(names, (opened, *medians), strict=True))
    finally:
        chrome.quit()


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.perf_counter() + 120
    while not condition():
        if time.perf_counter() > until:
            raise RuntimeError("the page did not come in two minutes")
        time.sleep(0.1)


def report(found: dict[str, float | None], size: Size, machine: str) -> str:
    """The table, and above it how it came about."""
    command = f"python -m trainers benchmark app --moves {size.moves} --seconds {size.seconds:g} --long-seconds {size.long_seconds:g}"
    lines = [
        f"`{command}`  ",
        f"{machine}, {os.cpu_count()} cores, app and clients on the same.",
        "",
        "| what | measured | asked |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {'no browser here' if value is None else f'{value:.4g}'} | {ASKED.get(name, '')} |"
        for name, value in found.items()
    ]
    return "\n".join(lines) + "\n"
