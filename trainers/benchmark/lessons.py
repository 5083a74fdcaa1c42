"""The time from Learn to the moving slider, and what another visitor notices of it.

Two Chromiums use a live app on this machine: in one a visitor learns from two piles, in the other a visitor
moves a slider all the while. The piles are the registry's samples, the second half with 0 to 3 px of shift:
what is learned does not matter, only how long it takes."""

import itertools
import statistics
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image, ImageChops

from lwgan.pipeline import EditingPipeline
from lwgan.recipe import png
from trainers.benchmark.app import SLIDER, chromium, served

PILES = (50, 200)
ASKED = {50: 10, 200: 20}  # seconds
MOVES = 25  # of the other visitor's slider, each turn; the first two warm up
WAIT = 90  # seconds
VIEW = """
const view = (name) => {
  for (const tab of document.querySelectorAll("#views button[role=tab]")) {
    if (tab.textContent.trim() === name) tab.click();
  }
};
"""
LEARN = (
    VIEW
    + """
const done = arguments[arguments.length - 1], began = performance.now();
const until = async (holds) => { while (!holds()) await new Promise(requestAnimationFrame); };
const href = () => document.querySelector("#view-edit .png").href;
(async () => {
  document.querySelector("#view-teach .name").value = "benchmark";
  document.querySelector("#view-teach .go").click();
  const slider = () => document.querySelector("#sliders [data-edit$='taught-benchmark'] input[type=range]");
  await until(slider);
  const learned = performance.now() - began;
  view("Edit");
  const before = href();
  slider().value = 0.5;
  slider().dispatchEvent(new Event("input", { bubbles: true }));
  await until(() => href() !== before);
  done([learned, performance.now() - began]);
})();
"""
)


def measure(options, machine: str) -> Iterator[str]:
    """The table as Markdown, after each size of piles."""
    columns = ("pictures a pile", "Learn to slider, p50 s", "to its first move, p50 s", "asked, s",
               "other visitor's slider, p50 ms (<= 150)")  # fmt: skip
    head = [f"`python -m trainers benchmark teach --turns {options.turns}`  "]
    head += [f"{machine}, load {load()}.", "", f"| {' | '.join(columns)} |", "|---" * 5 + "|"]
    with tempfile.TemporaryDirectory() as place, served(Path(place)) as (address, _, _):
        for n in PILES:
            head.append(row(Path(place), address, n, options.turns))
            yield "\n".join(head) + "\n"


def load() -> str:
    """How many processes of this machine wanted to run, over a minute."""
    return Path("/proc/loadavg").read_text().split()[0]


def row(folder: Path, address: str, n: int, turns: int) -> str:
    times, moves = [], []
    piles = [archive(folder / f"{n}-{side}.zip", n, side) for side in (0, 1)]
    with chromium(folder / f"one{n}") as one, chromium(folder / f"other{n}") as other:
        for _ in range(turns):
            fill(one, address, piles)
            opened(other, address)
            with ThreadPoolExecutor(1) as pool:
                moving = pool.submit(other.execute_async_script, SLIDER, MOVES)
                times.append(one.execute_async_script(LEARN))
                moves += moving.result()[2:]
    learned, moved = (statistics.median(column) / 1000 for column in zip(*times, strict=True))
    return f"| {n} | {learned:.1f} | {moved:.1f} | <= {ASKED[n]} | {statistics.median(moves):.0f} |"


def archive(path: Path, n: int, side: int) -> Path:
    """A zip of n different pictures, of samples of one half of the registry's."""
    pipe = EditingPipeline.from_pretrained("bundled")
    half = len(pipe.images) // 2
    shifts = itertools.product((0, 1, 2, 3), repeat=2)
    found = itertools.islice(((seed, by) for by in shifts for seed in range(half)), n)
    with zipfile.ZipFile(path, "w") as archive:
        for i, (seed, by) in enumerate(found):
            archive.writestr(f"{i}.png", png(moved(pipe.sample(seed + side * half), *by)))
    return path


def moved(picture: Image.Image, right: int, down: int) -> Image.Image:
    return ImageChops.offset(picture, right, down)


def opened(chrome, address: str) -> None:
    chrome.get(address)
    wait(chrome, "document.querySelector('#view-edit img.main')?.naturalWidth")
    wait(chrome, "document.querySelector('#opened input')?.checked")


def fill(chrome, address: str, piles: list[Path]) -> None:
    """Opens the page's tab Teach and fills both piles."""
    opened(chrome, address)
    chrome.execute_script(VIEW + "view('Teach');")
    for step, pile in enumerate(piles, 1):
        wait(chrome, f"document.querySelector('#view-teach [data-key=\"{step}\"]')")
        chrome.execute_script(f"document.querySelector('#view-teach .steps [data-key=\"{step}\"]').click()")
        current = "document.querySelector('#view-teach .steps [aria-current]')?.dataset.key"
        wait(chrome, f"{current} === '{step}'")
        chrome.find_element("css selector", "#teach-files input[type=file]").send_keys(str(pile))
        wait(chrome, "parseInt(document.querySelector('#view-teach .counts').textContent) > 2")
    chrome.execute_script("document.querySelector('#view-teach .steps [data-key=\"3\"]').click()")
    wait(chrome, "!document.querySelector('#view-teach .learn').hidden")


def wait(chrome, holds: str) -> None:
    """Waits until an expression of the page's script holds."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(chrome, WAIT, 0.1).until(lambda _: chrome.execute_script(f"return Boolean({holds})"))
