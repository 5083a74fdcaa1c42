"""An upload on the page: what was found is drawn over it; it is turned, inverted and cropped by hand."""

import numpy as np
import pytest
from PIL import Image, ImageOps
from selenium.webdriver import ActionChains, Keys

from lwgan.frames.ink import frame_ink
from lwgan.hub.catalog import Catalog
from lwgan.page.editor import Editor
from tests.browser import DESKTOP, PHONE
from tests.live import Page, pixels
from tests.photographs import DARK, INK, PAPER, on_table, paint, quad, shot
from tests.pictures import draw

BOTH = draw([("7", 30, 40, 100), ("0", 300, 150, 100)], 12, size=(400, 280))
LEFT = {"crop": [0, 0, 0.5, 1]}


@pytest.fixture(scope="module")
def editor():
    return Editor(Catalog("bundled", device="cpu"))


@pytest.fixture
def given(editor, tmp_path):
    """The session of a visitor who uploaded BOTH, and the sliders."""
    BOTH.save(tmp_path / "both.png")
    return editor.upload({"path": str(tmp_path / "both.png")}, *editor.start())


def framed(picture: Image.Image) -> np.ndarray:
    return np.asarray(frame_ink(picture))


def test_what_was_found_lies_where_it_is(given):
    value = given[0]["upload"].value
    assert pixels(value["picture"]).shape[:2] == (280, 400) and value["sheet"] == []
    zero, seven = sorted(value["quad"], key=lambda box: -box[0][0])
    assert np.abs(np.array([seven[0], zero[2]]) * (400, 280) - [(24, 34), (356, 256)]).max() < 4


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"turn": 1}, BOTH.rotate(-90, expand=True)),
        ({"turn": 3, "invert": True}, ImageOps.invert(BOTH.rotate(90, expand=True))),
        (LEFT, BOTH.crop((0, 0, 200, 280))),
        ({"turn": 1, "crop": [0, 0, 1, 0.5]}, BOTH.crop((0, 0, 200, 280)).rotate(-90, expand=True)),
    ],
)
def test_the_upload_is_turned_inverted_and_cropped(editor, given, message, expected):
    session = editor.adjust({"turn": 0, "invert": False, "crop": None, **message}, given[0])
    assert np.array_equal(np.asarray(session["framed"]), framed(expected))
    shown = editor.show(session, given[1], "Edit")
    assert np.array_equal(pixels(shown["edit"]["original"]), framed(expected))
    again = editor.adjust({}, session)
    assert np.array_equal(np.asarray(again["framed"]), framed(BOTH))


def test_what_was_found_in_a_part_lies_at_its_place_in_the_whole(editor, given):
    seven = min(given[0]["upload"].value["quad"])
    assert np.abs(np.array(editor.adjust(LEFT, given[0])["upload"].value["quad"]) - [seven]).max() < 0.02


def test_a_refused_upload_is_shown_so_that_it_can_be_cropped(editor, given, tmp_path):
    five = [("0", 10, 20, 80), ("7", 80, 20, 80), ("1", 150, 20, 80), ("5", 20, 150, 80), ("7", 120, 150, 80)]
    draw(five, 8).save(tmp_path / "five.png")
    refused, _ = editor.upload({"path": str(tmp_path / "five.png")}, *given)
    assert "at most 4" in refused["problem"] and refused["framed"] is given[0]["framed"]
    assert refused["upload"].value["quad"] == []
    cropped = editor.adjust({"crop": [0, 0, 1, 0.45]}, {k: v for k, v in refused.items() if k != "problem"})
    assert "problem" not in cropped and len(cropped["upload"].value["quad"]) == 3


@pytest.mark.parametrize(
    "message", [{"turn": 4}, {"turn": "1"}, {"invert": 2}, {"crop": [0, 0, 1]}, {"crop": [0.5, 0, 0.5, 1]},
                {"crop": [0, 0, 1, 1.1]}, {"crop": [float("nan")] * 4}, {"crop": "all"}],
)  # fmt: skip
def test_a_wish_that_the_page_cannot_have_sent_is_refused(editor, given, message):
    session = editor.adjust(message, given[0])
    assert "an impossible turn or crop" in session["problem"] and session["framed"] is given[0]["framed"]


def test_other_sources_have_nothing_to_adjust(editor, given):
    sample = editor.sample(3, given[0])
    assert "upload" not in sample and editor.adjust({"turn": 1}, sample) == sample


# In the browser


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """A sheet with a 7 and a 0 on a table."""
    rng = np.random.default_rng(0)
    cover = 1 - np.asarray(draw([("7", 60, 60, 110), ("0", 240, 220, 110)], 12, (400, 400)), np.float32) / 255
    file = tmp_path_factory.mktemp("photograph") / "sheet.png"
    shot(rng, on_table(rng, paint(PAPER, cover, INK), DARK, quad(rng, 6, (320, 321)))).save(file)
    return file


def uploaded(chrome, space, file, size) -> Page:
    page = Page(chrome, space, size)
    page.tab("#source", "Upload")
    assert not page.shown("#adjust .frame")
    page.changes("original", lambda: page.keys("#upload input[type=file]", str(file)), "uploading")
    page.until(lambda: page.shown("#adjust .frame"), "the upload")
    return page


def original(page: Page, selector: str, act, what: str) -> np.ndarray:
    return pixels(page.changes("original", act or (lambda: page.press(selector)), what))


def test_the_sheet_and_the_digits_are_drawn_over_the_upload_which_is_turned_and_cropped(
    chrome, space, photograph
):
    page = uploaded(chrome, space, photograph, DESKTOP)
    kinds = lambda: [len(page.all(f"#adjust svg .{kind}")) for kind in ("sheet", "quad", "outside")]
    assert kinds() == [1, 2, 0] and "the sheet" in page.attribute("#adjust .said", "textContent")
    picture, sheet = page.box("#adjust img"), page.box("#adjust svg .sheet")
    assert 0.7 < sheet["width"] / picture["width"] < 0.95  # 320 of 400 px, turned by 6 degrees

    both = Image.open(photograph)
    turned = original(page, "#adjust .right", None, "a turn")
    assert np.array_equal(turned, framed(both.rotate(-90, expand=True)))
    page.press("#adjust .left")
    page.until(lambda: np.array_equal(pixels(page.picture("original")), framed(both)), "the turn back")

    drag = ActionChains(chrome).move_to_element_with_offset(page.find("#adjust .frame"), -75, -75)
    drag.click_and_hold().move_by_offset(80, 80).release().perform()
    page.until(lambda: page.attribute("#adjust .crop", "disabled") is False, "the part")
    one = original(page, "#adjust .crop", None, "cropping")
    assert one[:32, :32].any() + one[32:, 32:].any() == 1
    page.until(lambda: kinds()[1:] == [1, 1], "one digit")
    assert np.array_equal(original(page, "#adjust .whole", None, "the whole"), framed(both))
    page.press("#adjust .invert")
    page.until(lambda: page.attribute("#adjust .invert", "ariaPressed") == "true", "inversion")
    page.tab("#source", "Sample")
    page.changes("original", lambda: page.press("#gallery button:nth-of-type(5)"), "an example")
    page.tab("#source", "Upload")
    page.until(lambda: not page.shown("#adjust .frame"), "no upload any more")


def test_by_keyboard_on_a_phone(chrome, space, photograph):
    page = uploaded(chrome, space, photograph, PHONE)
    # The part is at first the picture without a tenth at each side; its lower right corner moves by 2%.
    page.keys("#adjust .frame", Keys.SHIFT, *[Keys.ARROW_LEFT, Keys.ARROW_UP] * 19)
    assert page.has("#adjust svg .part")
    one = original(page, "", lambda: page.keys("#adjust .frame", Keys.ENTER), "cropping")
    assert one.any()
    page.until(lambda: len(page.all("#adjust svg .quad")) == 1, "one digit")
    turned = original(page, "", lambda: page.keys("#adjust .right", Keys.ENTER), "a turn")
    assert not np.array_equal(one, turned)
    assert page.box("#adjust .frame")["right"] <= PHONE[0] and page.box("#adjust .tools")["right"] <= PHONE[0]
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    # Gradio's own button to upload is named otherwise than its text.
    assert [found for found in page.violations() if "upload-container" not in found] == []
