"""The app as its callers and visitors meet it: a live server, gradio_client, and the page in Chromium."""

import base64
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import app
from lwgan import EditingPipeline
from lwgan.images import ink_box
from tests.browser import browser, requests
from tests.nets import EDITS, made_for, make_registry, save_edit
from tests.test_images import BAD, draw, saved
from trainers.datasets.mnist import load_digits
from trainers.datasets.multimnist import compose

ROOT = Path(__file__).parent.parent
ONE, TWO, THREE = EDITS
PATIENCE = 180  # seconds: a machine may be kept busy by others


@pytest.fixture(scope="module")
def registry(tmp_path_factory, request):
    pictures = compose(load_digits("test", request.getfixturevalue("mnist")), 12, seed=1)
    return make_registry(tmp_path_factory.mktemp("registry"), samples=pictures.images, numbers=pictures.numbers)


SHIFT = "lwgan-multimnist-centroids-1to2"


def with_another_method(registry: Path) -> Path:
    """The registry, with a mean shift beside LW's edit of one digit to two."""
    save_edit(registry / SHIFT, {kind: made_for(registry / f"lwgan-multimnist-{kind}") for kind in ("generator", "encoder")}, 1, 2)
    config = json.loads((registry / SHIFT / "config.json").read_text())
    (registry / SHIFT / "config.json").write_text(json.dumps(config | {"method": "centroids"}))
    return registry


@pytest.fixture(scope="module")
def pipe(registry):
    return EditingPipeline.from_pretrained(registry)


@pytest.fixture(scope="module")
def server(registry, tmp_path_factory):
    """The address of `python app.py`, which serves that registry."""
    with serving(tmp_path_factory.mktemp("server"), LWGAN_REGISTRY=str(registry)) as address:
        yield address


@contextmanager
def serving(folder: Path, **environment):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "uploads"), **environment}
    log = folder / "log.txt"
    command = [sys.executable, "-W", "error::UserWarning", "app.py"]
    with log.open("w") as file, subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file) as process:
        try:
            wait_for(lambda: answers(port) or process.poll() is not None, 4 * PATIENCE)
            assert process.poll() is None, log.read_text()
            yield f"http://127.0.0.1:{port}"
            assert "Traceback" not in log.read_text()
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


# Endpoints


@pytest.fixture(scope="module")
def client(server, tmp_path_factory):
    downloads = str(tmp_path_factory.mktemp("client"))
    return Client(server, verbose=False, download_files=downloads, analytics_enabled=False, httpx_kwargs={"timeout": PATIENCE})


@pytest.fixture
def drawing(tmp_path):
    path = tmp_path / "drawing.png"
    draw([("7", 30, 20, 100), ("0", 170, 150, 100)], 12).save(path)
    return path


def test_there_are_two_endpoints_and_no_more(client):
    assert set(client.view_api(return_format="dict", print_info=False)["named_endpoints"]) == {"/list_edits", "/edit_image"}


def test_list_edits_tells_of_each_edit(client, pipe):
    assert client.predict(api_name="/list_edits") == pipe.describe_edits()
    assert [edit["name"] for edit in pipe.describe_edits()] == list(EDITS)


@pytest.mark.parametrize("edits", [{}, {ONE: 1.5}, {THREE: -0.5, ONE: 2}, f'{{"{TWO}": 1}}'])
def test_edit_image_gives_the_pipelines_picture(client, pipe, drawing, edits):
    path = client.predict(picture=handle_file(drawing), edits=edits, api_name="/edit_image")
    expected = pipe.generate(pipe.edit(pipe.encode(Image.open(drawing)), edits if isinstance(edits, dict) else {TWO: 1}))[0]
    result = Image.open(path)
    assert result.format == "PNG" and result.mode == "L"
    # The server may run on another number of threads: sums in another order, by which a byte may be rounded otherwise.
    assert np.abs(np.asarray(result).astype(int) - np.asarray(expected)).max() <= 1


FIVE = [("0", 10, 20, 80), ("7", 80, 20, 80), ("1", 150, 20, 80), ("5", 20, 150, 80), ("7", 120, 150, 80)]
BAD_PICTURES = {
    **BAD,
    "blank": (saved(Image.new("L", (99, 99), 255), "PNG"), "blank"),
    "five digits": (saved(draw(FIVE, 8), "PNG"), "5 digits were found"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_picture_is_answered_in_words_and_the_session_goes_on(client, drawing, tmp_path, name):
    data, words = BAD_PICTURES[name]
    path = tmp_path / "secret-name.png"
    path.write_bytes(data)
    with pytest.raises(AppError, match=words) as refusal:
        client.predict(picture=handle_file(path), edits={}, api_name="/edit_image")
    assert not any(leak in str(refusal.value) for leak in ("secret", "/", "\\", "Traceback", "Error"))
    assert client.predict(picture=handle_file(drawing), edits={ONE: 1}, api_name="/edit_image")


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({"lwgan-multimnist-1to2": 1}, f"did you mean '{ONE}'"), ({ONE: 9}, "alpha is 9, expected a number from -5 to 5"),
        ({ONE: "strong"}, "alpha is 'strong'"), ({ONE: None}, "alpha is None"), ([ONE], "name -> alpha"), ("not JSON", "not JSON"),
        (f'{{"{ONE}": NaN}}', "alpha is nan"), ("3", "name -> alpha"),
    ],
)  # fmt: skip
def test_bad_edits_are_answered_in_words(client, drawing, edits, words):
    with pytest.raises(AppError, match=words):
        client.predict(picture=handle_file(drawing), edits=edits, api_name="/edit_image")


def test_no_picture_is_answered_in_words(client):
    with pytest.raises(AppError, match="No picture was given"):
        client.predict(picture=None, edits={}, api_name="/edit_image")


@pytest.mark.parametrize("drawing", [None, "", "data:image/png;base64,AAAA", "data:text/html,<b>", "data:image/png;base64,%%%"])
def test_what_the_pad_never_sends_is_a_problem_and_the_picture_stays(pipe, drawing):
    editor = app.Editor(pipe)
    before = editor.sample(0, {})
    after = editor.draw(drawing, before)
    shown = editor.show(after, 1.0, 0.0, 0.0)
    assert shown["problem"] and shown["line"] and shown["framed"] == before["framed"]
    assert not editor.show(editor.sample(1, after), 1.0, 0.0, 0.0)["problem"]


@pytest.mark.parametrize("seed", [None, -1, 2**31])
def test_a_seed_out_of_range_is_a_problem(pipe, seed):
    assert "whole number" in app.Editor(pipe).sample(seed, {})["problem"]


def test_an_emptied_number_box_is_no_edit_and_a_huge_number_the_end_of_the_slider(pipe):
    editor = app.Editor(pipe)
    state = editor.sample(0, {})
    assert editor.show(state, None, 0.0, 0.0) == editor.show(state, 0.0, 0.0, 0.0) != editor.show(state, 1.0, 0.0, 0.0)
    assert editor.show(state, 99, 0.0, 0.0) == editor.show(state, app.SLIDER["maximum"], 0.0, 0.0)


def test_another_method_takes_over_what_the_last_one_did(tmp_path):
    editor = app.Editor(EditingPipeline.from_pretrained(with_another_method(make_registry(tmp_path))))
    names = [edit["name"] for edit in editor.list_edits()]
    assert names == [SHIFT, *EDITS]
    updates = dict(zip(names, editor.switch("centroids", 0.0, 0.7, 0.7, 0.0), strict=True))
    assert [updates[name]["visible"] for name in names] == [True, False, False, False]
    assert [updates[name]["value"] for name in names] == [1.5, 0.0, 0.0, 0.0]  # from one digit to two was on, at .7 of LW
    back = dict(zip(names, editor.switch("lw", 1.5, 0.0, 0.0, 0.0), strict=True))
    assert [back[name]["value"] for name in names] == [0.0, 1.5, 0.0, 0.0] and not back[SHIFT]["visible"]


def test_an_edit_that_names_no_method_is_among_the_others(tmp_path):
    folder = with_another_method(make_registry(tmp_path))
    config = json.loads((folder / SHIFT / "config.json").read_text())
    del config["method"]
    (folder / SHIFT / "config.json").write_text(json.dumps(config))
    app.build_demo(folder)
    assert app.Editor(EditingPipeline.from_pretrained(folder)).switch("other", 0.0, 0.5, 0.0, 0.0)[0]["visible"]


def test_a_registry_that_is_not_there_ends_the_app_with_words(tmp_path):
    environment = {**os.environ, "LWGAN_REGISTRY": str(tmp_path)}
    ended = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=4 * PATIENCE)
    assert ended.returncode == 1 and "no generator" in ended.stderr and "Traceback" not in ended.stderr


# The page


class Page:
    """The page in a browser, by what a visitor sees and does."""

    def __init__(self, chrome, address: str):
        self.chrome = chrome
        chrome.get(address)
        parts = ("#pictures .result img[src]", "#pad canvas", *(f"#{name} input[type=range]" for name in EDITS), "#off")
        self.until(lambda: all(self.has(part) for part in parts), "the page with its first picture")

    def until(self, condition, what: str):
        WebDriverWait(self.chrome, PATIENCE, 0.1).until(lambda _: condition(), f"in vain waited for {what}")

    def find(self, selector: str):
        return self.chrome.find_element(By.CSS_SELECTOR, selector)

    def has(self, selector: str) -> bool:
        return bool(self.chrome.find_elements(By.CSS_SELECTOR, selector))

    def picture(self, name: str) -> str:
        """The address of a picture, "framed", "reconstruction" or "result": a data URL."""
        return self.find(f"#pictures .{name} img").get_attribute("src")

    def changes(self, name: str, act, what: str) -> str:
        """Does `act`, waits until that picture is another, and gives it."""
        before = self.picture(name)
        act()
        self.until(lambda: self.picture(name) != before, f"another {name} after {what}")
        return self.picture(name)

    def line(self) -> str:
        return self.find("#pictures .line").text

    def tab(self, name: str) -> None:
        (tab,) = [tab for tab in self.chrome.find_elements(By.CSS_SELECTOR, "button[role=tab]") if tab.text == name]
        tab.click()

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


def pixels(data_url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data_url.partition(",")[2]))))


ALL = (Keys.CONTROL, "a", Keys.NULL)  # selects what a field holds, to be typed over
SEVEN = [(60, 50), (150, 50), (100, 200)]


def test_a_visitor_draws_a_digit_moves_every_slider_and_downloads(server, tmp_path):
    with browser(tmp_path) as chrome:
        page = Page(chrome, server)
        # A first picture with an edit is there without a click, and its edit is on.
        assert pixels(page.picture("framed")).shape == (64, 64)
        assert page.picture("result") != page.picture("reconstruction")
        assert "judge reads" in page.line()

        framed = pixels(page.changes("framed", lambda: page.draw(SEVEN), "drawing a 7"))
        rows, columns = ink_box(framed)
        assert rows.stop <= 32 and columns.stop <= 32 and rows.stop - rows.start == 20  # in the upper left cell, at MNIST's size
        two = pixels(page.changes("framed", lambda: page.draw([(230, 60), (230, 150)]), "drawing a 1"))
        assert two[:32, 32:].max() == 255
        one = page.changes("framed", page.find("#pad .undo").click, "undo")
        assert np.array_equal(pixels(one), framed)

        for name in EDITS:
            slider = page.find(f"#{name} input[type=range]")
            number = page.find(f"#{name} input[type=number]")
            page.changes("result", lambda slider=slider: slider.send_keys(Keys.ARROW_RIGHT), f"an arrow key on {name}")
            mouse = ActionChains(chrome).move_to_element_with_offset(slider, slider.size["width"] // 3, 0).click()
            page.changes("result", mouse.perform, f"a click on {name}")
            page.changes("result", lambda number=number: number.send_keys(*ALL, "-0.5", Keys.ENTER), f"typing into {name}")
            page.changes("result", page.find(f"#{name} button[aria-label^=Reset]").click, f"reset of {name}")
        page.changes("result", page.find("#off").click, "all off")
        page.until(lambda: page.picture("result") == page.picture("reconstruction"), "no edit: the reconstruction")

        page.changes("result", lambda: page.find(f"#{ONE} input[type=range]").send_keys(Keys.ARROW_RIGHT), "an arrow key")
        page.find("#pictures a[download]").click()
        file = tmp_path / "downloads" / "lwgan.png"
        page.until(file.exists, "the download")
        assert np.array_equal(np.asarray(Image.open(file)), pixels(page.picture("result")))
        check_requests_and_console(chrome)


def test_a_visitor_uploads_and_samples(server, drawing, tmp_path):
    bad = tmp_path / "notes.png"
    bad.write_text("no picture")
    with browser(tmp_path) as chrome:
        page = Page(chrome, server)
        start = page.picture("framed")
        page.tab("Upload")
        page.until(lambda: page.has("#source input[type=file]"), "the upload")
        page.find("#source input[type=file]").send_keys(str(bad))
        page.until(lambda: "does not open as a picture" in page.line(), "words on the bad file")
        assert page.picture("framed") == start and page.has("#pictures .line.problem")
        page.find("#source button[title='Remove Image']").click()
        page.until(lambda: page.has("#source input[type=file]"), "the upload, empty again")
        framed = page.changes("framed", lambda: page.find("#source input[type=file]").send_keys(str(drawing)), "uploading")
        assert [bool(pixels(framed)[top:, left:][:32, :32].any()) for top in (0, 32) for left in (0, 32)] == [True, False, False, True]
        assert not page.has("#pictures .line.problem")

        page.tab("Sample")
        page.until(lambda: page.find("#another").is_displayed(), "the tab of samples")
        first = page.changes("framed", page.find("#another").click, "another sample")
        number = page.find("#seed input")
        page.changes("framed", lambda: number.send_keys(*ALL, "3", Keys.ENTER), "seed 3")
        page.changes("framed", page.find("#another").click, "another sample")
        assert page.picture("framed") != first and number.get_attribute("value") == "4"
        check_requests_and_console(chrome)


def test_a_visitor_compares_methods(tmp_path):
    registry = with_another_method(make_registry(tmp_path / "registry"))
    with serving(tmp_path, LWGAN_REGISTRY=str(registry)) as address, browser(tmp_path) as chrome:
        page = Page(chrome, address)
        assert page.find(f"#{ONE}").is_displayed() and not page.has(f"#{SHIFT} input[type=range]")

        def choose(name: str) -> None:
            page.find("#method input").click()
            page.until(lambda: page.has(f"[role=option][aria-label='{name}']"), "the list of methods")
            page.find(f"[role=option][aria-label='{name}']").click()

        lw = page.picture("result")
        shift = page.changes("result", lambda: choose("mean shift"), "the mean shift")
        page.until(lambda: page.has(f"#{SHIFT} input[type=range]") and not page.has(f"#{ONE} input[type=range]"), "its slider alone")
        assert page.find(f"#{SHIFT} input[type=number]").get_attribute("value") == "1.5" and shift != page.picture("reconstruction")
        assert page.changes("result", lambda: choose("LW"), "LW again") == lw
        check_requests_and_console(chrome)


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_the_picture_and_the_sliders_are_in_view_together(server, tmp_path, dark):
    with browser(tmp_path, size=(390, 844), dark=dark) as chrome:
        page = Page(chrome, server)
        assert chrome.execute_script("return document.documentElement.scrollWidth") == 390
        for name in EDITS:
            slider = page.find(f"#{name} input[type=range]")
            for element in (slider, page.find("#pictures .result img")):
                box = chrome.execute_script("return arguments[0].getBoundingClientRect().toJSON()", element)
                assert box["left"] >= 0 and box["top"] >= 0 and box["right"] <= 390 and box["bottom"] <= 844
        # Further down, where one draws, the picture stays.
        page.changes("framed", lambda: page.draw(SEVEN), "drawing")
        top = chrome.execute_script("return document.querySelector('#pictures .result img').getBoundingClientRect().top")
        assert chrome.execute_script("return scrollY") > 0 and 0 <= top < 60
        check_requests_and_console(chrome)


def check_requests_and_console(chrome) -> None:
    """Every request was local, and the console tells of no error."""
    asked = requests(chrome)
    assert any(address.startswith("http://127.0.0.1") for address in asked)
    assert [address for address in asked if not address.startswith(("http://127.0.0.1:", "data:", "blob:", "chrome:"))] == []
    assert [entry["message"] for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"] == []
