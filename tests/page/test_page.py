"""The page of the bundled models in headless Chromium, which can reach nothing but the app."""

import base64
import itertools
import os
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.ui import Select

from lwgan import EditingPipeline, recipe
from lwgan.frames.ink import frame_ink, ink_box
from lwgan.hub import registry
from lwgan.page import blocks
from tests.browser import DESKTOP, FILMED, PHONE, requests
from tests.live import ALL, SEVEN, Page, pixels, serving_here
from tests.nets import EDITS, files_of, put
from tests.pictures import BAD, draw

ONE, TWO, THREE = EDITS
HOLDS = {
    "Edit": "img.main",
    "Scrub": "input",
    "Sweep": ".cells button",
    "Compare": "tbody td",
    "About": "dd",
}  # an element that shows that a view is complete
SHOTS = os.environ.get("LWGAN_SHOTS")  # a folder for screenshots of every view


def test_a_first_picture_with_an_edit_is_there_without_a_click(page):
    assert pixels(page.picture("original")).shape == (64, 64)
    assert not np.array_equal(pixels(page.picture("edited")), pixels(page.picture("reconstruction")))
    assert "judge reads" in page.line() and "dB PSNR" in page.attribute("#view-edit .quality", "textContent")
    assert len(page.attributes("#gallery button")) == 8


def test_the_page_says_what_becomes_of_a_visitors_pictures(page):
    said = page.attribute("#small", "textContent")
    assert "deleted an hour after their last use" in said and "No analytics, no run history" in said


def test_sources_each_give_another_picture(page, tmp_path):
    page.changes("original", lambda: page.press("#gallery button:nth-of-type(5)"), "an example")
    page.changes("original", lambda: page.type("#seed input", "3"), "seed 3")
    page.changes("original", lambda: page.press("#another"), "another sample")
    page.until(lambda: page.attribute("#seed input", "value") == "4", "the next seed")

    page.tab("#source", "Draw")
    page.until(lambda: page.has("#pad canvas"), "the pad")
    framed = pixels(page.changes("original", lambda: page.draw(SEVEN), "drawing a 7"))
    rows, columns = ink_box(framed)
    assert (
        rows.stop <= 32 and columns.stop <= 32 and rows.stop - rows.start == 20
    )  # in the upper left cell, at MNIST's size
    two = pixels(page.changes("original", lambda: page.draw([(230, 60), (230, 150)]), "drawing a 1"))
    assert two[:32, 32:].max() == 255
    assert np.array_equal(pixels(page.changes("original", lambda: page.press("#pad .undo"), "undo")), framed)

    start = page.picture("original")
    page.tab("#source", "Upload")
    page.upload(tmp_path, "notes.png", BAD[next(iter(BAD))][0])
    page.until(lambda: page.has("#status .problem"), "words on the bad file")
    assert page.picture("original") == start and "/" not in page.line()
    drawing = tmp_path / "drawing.png"
    draw([("7", 30, 20, 100), ("0", 170, 150, 100)], 12).save(drawing)
    framed = pixels(
        page.changes(
            "original", lambda: page.upload(tmp_path, "drawing.png", drawing.read_bytes()), "uploading"
        )
    )
    assert [bool(framed[top:, left:][:32, :32].any()) for top in (0, 32) for left in (0, 32)] == [
        True,
        False,
        False,
        True,
    ]
    assert not page.has("#status .problem")


@pytest.mark.parametrize("name", ["text", "SVG"])
def test_a_bad_upload_is_answered_in_words_and_the_session_goes_on(page, tmp_path, name):
    data, words = BAD[name]
    start = page.picture("original")
    page.tab("#source", "Upload")
    page.upload(tmp_path, f"secret.{name if len(name) == 3 else 'png'}", data)
    # The browser refuses some files before it sends them.
    expected = (words, "Only image/* allowed", "SVG files are not supported")
    said = lambda: page.line() + " ".join(page.attributes(".toast-body"))
    page.until(lambda: any(part in said() for part in expected), f"words on {name}")
    assert (
        page.picture("original") == start
        and not any(leak in said() for leak in ("tmp", "Traceback"))
        and "secret" not in page.line()
    )
    page.changes("edited", lambda: page.type(page.number(TWO), "0.6"), "typing, afterwards")


def test_the_webcams_picture_is_a_source(page):
    page.tab("#source", "Upload")
    for said in ("Capture from camera", "Click to Access Webcam"):
        page.press("#upload button", said)
        assert not page.has("#status .problem")
    video = "#upload video"
    page.until(
        lambda: page.attribute(video, "videoWidth") == 640 and page.attribute(video, "currentTime") > 0,
        "the camera's picture",
    )
    framed = pixels(
        page.changes("original", lambda: page.press("#upload button", "capture photo"), "a photo")
    )
    mirrored = frame_ink(FILMED.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert np.abs(framed.astype(float) - np.asarray(mirrored, float)).mean() < 3


def test_before_switches_between_original_and_reconstruction_by_mouse_and_keys(page):
    shown = lambda: page.attribute("#view-edit img.main", "src")
    assert shown() == page.picture("edited")
    page.press("#view-edit .which label", "Before")
    page.until(lambda: shown() == page.picture("reconstruction"), "the reconstruction")
    page.keys("#view-edit input[value=reconstruction]", Keys.ARROW_RIGHT)
    page.until(lambda: shown() == page.picture("original"), "the original")
    page.keys("#view-edit input[value=original]", Keys.ARROW_RIGHT)
    page.until(lambda: shown() == page.picture("edited"), "the edited picture again")


def test_every_slider_is_moved_by_mouse_arrows_typing_and_reset(page):
    for name in EDITS:
        row = page.row(name)
        page.changes(
            "edited",
            partial(page.keys, f"{row} input[type=range]", *[Keys.ARROW_RIGHT] * 4),
            f"arrow keys on {name}",
        )
        slider = page.find(f"{row} input[type=range]")
        mouse = (
            ActionChains(page.chrome)
            .move_to_element_with_offset(slider, -slider.size["width"] // 4, 0)
            .click()
        )
        page.changes("edited", mouse.perform, f"a click on {name}")
        drag = ActionChains(page.chrome).click_and_hold().move_by_offset(slider.size["width"] // 3, 0)
        page.changes("edited", drag.perform, f"dragging {name}, before its release")
        ActionChains(page.chrome).release().perform()
        page.changes("edited", partial(page.type, page.number(name), "-0.5"), f"typing into {name}")
        assert "alpha -" in page.attribute(f"{row} .hint", "textContent")
        page.changes("edited", partial(page.press, f"{row} .reset"), f"reset of {name}")
        assert float(page.strength(name)) == 0
        page.changes("edited", partial(page.type, page.number(name), "0.6"), f"typing into {name} again")
    page.press("#sliders .off")
    page.until(
        lambda: np.array_equal(pixels(page.picture("edited")), pixels(page.picture("reconstruction"))),
        "no edit: the reconstruction",
    )


def test_values_survive_other_methods_and_rows_that_go_and_come(page):
    page.changes("edited", lambda: page.type(page.number(TWO), "0.4"), "typing")
    shift = ONE.replace("-lw-", "-centroids-")
    page.changes("edited", lambda: page.choose(f"{page.row(ONE)} .method", shift), "another method")
    assert page.strength(shift) == "1"  # a strength has the same effect with every method
    assert "alpha 1.70" in page.attribute(f"{page.row(shift)} .hint", "textContent")
    before = page.picture("edited")
    page.changes("edited", lambda: page.press(f"{page.row(TWO)} .away"), "taking a row away")
    assert not page.has(page.row(TWO)) and page.strength(shift) == "1"
    Select(page.find("#sliders .add")).select_by_visible_text("2 digits → 3 digits")
    page.until(lambda: page.picture("edited") == before, "the same picture as before")
    assert page.strength(TWO) == "0.4"


def test_a_link_and_a_png_bring_the_same_bytes_back(page, chrome, space, tmp_path):
    made = page.changes("edited", lambda: page.type(page.number(TWO), "0.55"), "typing")
    link = page.attribute("#view-edit .link", "href")
    assert link.startswith(space) and "?edit=" in link
    again = Page(chrome, link)
    again.until(lambda: again.picture("edited") == made, "the very same picture, by its link")
    assert again.strength(TWO) == "0.55"

    fresh = Page(chrome, space)
    assert fresh.picture("edited") != made
    data = base64.b64decode(made.partition(",")[2])
    assert [edit["name"] for edit in recipe.of_png(data)["edits"]] == [ONE, TWO]
    fresh.tab("#source", "Upload")
    fresh.upload(tmp_path, "made-here.png", data)
    fresh.until(lambda: fresh.picture("edited") == made, "the very same picture, by its PNG")

    other = Page(chrome, space)
    other.tab("#source", "Link")
    other.keys("#link textarea", "nonsense")
    other.press("#open")
    other.until(lambda: "no recipe" in other.line(), "words on a link that is none")
    other.keys("#link textarea", *ALL, link)
    other.press("#open")
    other.until(lambda: other.picture("edited") == made, "the very same picture, by pasting the link")


def test_scrubbing_asks_the_server_nothing(page, chrome):
    page.view("Scrub", "input")
    page.until(lambda: page.attribute("#view-scrub img", "src").startswith("data:"), "the first frame")
    requests(chrome)
    seen = set()
    for _ in range(8):
        page.keys("#view-scrub input", Keys.ARROW_LEFT)
        seen.add(page.attribute("#view-scrub img", "src"))
    assert len(seen) >= 5 and "strength 0" in page.attribute("#view-scrub output", "textContent")
    assert [
        address
        for address in requests(chrome)
        if not address.startswith("data:") and "heartbeat" not in address
    ] == []
    page.press("#view-scrub .use")
    page.until(lambda: page.strength(ONE) == "0", "the chosen strength at the slider")


def test_a_picture_of_the_strip_sets_the_slider_and_the_strip_can_be_kept(page):
    page.view("Sweep", ".cells button")
    page.press("#view-sweep .cells button[data-strength='1.5']")
    page.until(lambda: page.strength(ONE) == "1.5", "the slider at the picture's strength")
    page.until(
        lambda: page.has("#view-sweep .cells button[aria-pressed=true][data-strength='1.5']"),
        "the chosen picture marked",
    )
    assert pixels(page.attribute("#view-sweep .png", "href")).shape == (128, 11 * 130 - 2)
    assert page.attribute("#view-sweep .webp", "href").startswith("data:image/webp")


def test_methods_are_compared_at_the_same_expected_effect(page):
    page.view("Compare", "tbody td")
    rows = lambda: [" ".join(cells) for cells in page.table("#view-compare .numbers")]
    page.until(lambda: len(rows()) == 4, "four methods")
    assert rows()[0].startswith("LW, partial transport 80%") and "reaches 42% at most" in rows()[3]
    page.press("#view-compare input[value='0.2']")
    page.until(lambda: len(rows()) == 4 and rows()[3].startswith("InterFaceGAN 20%"), "numbers at 20%")
    page.press(f"#view-compare input[value='{ONE.replace('-lw-', '-centroids-')}']")
    page.until(lambda: len(rows()) == 5 and rows()[4].startswith("mean shift 20%"), "another method")
    page.type(page.number(ONE), "0.4")
    page.view("About", "dd")
    source = page.attribute("#view-compare td img", "src")
    page.press("#another")
    page.until(lambda: page.attribute("#seed input", "value") == "7", "another sample")
    page.view("Compare", "tbody td")
    page.until(lambda: page.attribute("#view-compare td img", "src") != source, "the comparison on it")
    assert len(rows()) == 5 and rows()[4].startswith("mean shift 20%"), "what was chosen is remembered"
    for left in range(4, -1, -1):
        page.press("#view-compare .methods input:checked")
        page.until(lambda left=left: len(rows()) == left, f"{left} methods")
    page.until(
        lambda: "choose a method" in page.attribute("#view-compare .label", "textContent"), "words on none"
    )
    assert not page.shown("#view-compare table")


def test_readings_say_what_judges_see_what_else_changed_and_where_an_alpha_goes_too_far(page):
    rows = lambda: {row[0]: row[1:] for row in page.table("#readings")}
    warned = lambda: page.attribute("#readings .warnings", "textContent")
    page.until(lambda: rows().get("Picture judge"), "the readings")
    limit = EditingPipeline.from_pretrained().cloud.limit
    distance = f"Distance from the mean code (99% of known codes: within {limit:.2f})"
    assert set(rows()) == {
        "Picture judge",
        "Code classifier",
        "It also reads",
        "Other labels read the same",
        "Off-target drift, points",
        "Identity kept, cosine",
        distance,
    }
    assert (
        rows()["Picture judge"][0].startswith("1 digit ")
        and rows()["It also reads"][0] == "4"
        and rows()["Other labels read the same"][1] == "1 of 1"
        and warned() == ""
    )
    before = rows()[distance]
    page.changes("edited", lambda: page.type(page.number(ONE), "-3"), "an alpha far below 0")
    page.until(lambda: "extrapolates" in warned(), "a plain warning")
    after = rows()[distance]
    assert after[0] == before[0] and float(after[1]) > float(before[1])
    page.changes("edited", lambda: page.type(page.number(ONE), "500"), "an alpha far above all")
    assert "alpha 40.00" in page.attribute(f"{page.row(ONE)} .hint", "textContent")  # as in the recipe


def test_what_takes_over_a_second_shows_that_something_goes_on(page):
    bar, start = "#status .busy", page.picture("original")
    page.until(lambda: not page.shown(bar), "nothing to go on")
    height = page.box("#show")["height"]
    page.hold()
    page.press("#another")
    page.until(lambda: page.shown(bar), "the bar")
    assert (
        page.picture("original") == start and page.box("#show")["height"] == height
    )  # before the answer; and the layout does not move
    page.let_go()
    page.until(
        lambda: page.picture("original") != start and not page.shown(bar), "the answer, and the bar's end"
    )


def test_about_tells_what_the_config_says(page):
    page.view("About", "dd")
    text = page.attribute("#view-about", "textContent")
    unit = EditingPipeline.from_pretrained("bundled", "multimnist").scales[ONE].unit
    assert ONE in text and f"alpha {unit:g}" in text and "LW" in text and page.has("#view-about polyline")


def test_it_can_be_used_by_keyboard_alone(page, chrome):
    """A source, before and after, a slider, every view and the choices in it, all by keys."""
    hand = lambda *keys: ActionChains(chrome).send_keys(*keys).perform()
    focused = (
        "const e = document.activeElement;"
        "return Boolean(e?.matches(arguments[0]) && e.textContent.trim().startsWith(arguments[1]))"
    )

    def go(selector: str, text: str = "", back: bool = False) -> None:
        for _ in range(80):
            if chrome.execute_script(focused, selector, text):
                return
            if back:
                ActionChains(chrome).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
            else:
                hand(Keys.TAB)
        raise AssertionError(f"Tab never leads to {selector} {text}")

    def view(name: str, holds: str) -> None:
        """Goes back to the row of tabs with Shift+Tab and opens another view."""
        go("#views [role=tab]", name, back=True)
        hand(Keys.ENTER)
        page.until(lambda: page.shown(f"#view-{name.lower()} {holds}"), f"the view {name}")

    go("#gallery button")
    hand(Keys.TAB, Keys.TAB)
    page.changes("original", lambda: hand(Keys.ENTER), "an example, by keys")
    go("#view-edit [type=radio]")
    hand(Keys.ARROW_RIGHT)
    page.until(
        lambda: page.attribute("#view-edit img.main", "src") == page.picture("reconstruction"),
        "before, by keys",
    )
    hand(Keys.ARROW_LEFT)
    page.until(
        lambda: page.attribute("#view-edit img.main", "src") == page.picture("edited"), "after, by keys"
    )
    go(f"#slide-{ONE}")
    page.changes("edited", lambda: hand(Keys.ARROW_LEFT, Keys.ARROW_LEFT), "arrow keys")
    hand(Keys.TAB)
    page.changes("edited", lambda: hand(*"\b\b\b\b0.7"), "typing")
    hand(Keys.TAB)
    page.changes("edited", lambda: hand(Keys.ENTER), "reset, by keys")
    view("Sweep", ".cells button")
    go("#view-sweep .cells button", "0.5")
    hand(Keys.ENTER)
    page.until(lambda: page.strength(ONE) == "0.5", "the strength of the strip's picture")
    page.until(
        lambda: page.has("#view-sweep .cells button[data-strength='0.5'][aria-pressed=true]"), "it marked"
    )
    assert chrome.execute_script(focused, "#view-sweep .cells button", "0.5"), (
        "who goes along the strip stays where he is"
    )
    view("Scrub", "input")
    page.until(lambda: page.attribute("#view-scrub img", "src").startswith("data:"), "the first frame")
    go("#view-scrub [type=range]")
    before = page.attribute("#view-scrub img", "src")
    hand(Keys.ARROW_RIGHT)
    page.until(lambda: page.attribute("#view-scrub img", "src") != before, "another frame")
    view("Compare", "tbody td")
    rows = lambda: len(page.attributes("#view-compare .numbers tbody tr"))
    go("#view-compare [type=checkbox]")
    before = rows()
    hand(Keys.SPACE)
    page.until(lambda: rows() == before - 1, "a method less")
    view("About", "dd")


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (PHONE, True)])
def test_every_view_is_accessible_and_fits(chrome, space, size, dark):
    page = Page(chrome, space, size, dark)
    for name, holds in HOLDS.items():
        page.view(name, holds)
        assert chrome.execute_script("return document.documentElement.scrollWidth") <= size[0], name
        assert page.violations() == [], name


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_the_picture_and_the_sliders_are_in_view_together(chrome, space, dark):
    page = Page(chrome, space, PHONE, dark)
    for name in EDITS:
        for selector in (f"{page.row(name)} input[type=range]", "#view-edit img.main"):
            box = page.box(selector)
            assert (
                box["left"] >= 0
                and box["top"] >= 0
                and box["right"] <= PHONE[0]
                and box["bottom"] <= PHONE[1]
            )
    before = page.box("#sliders")
    page.changes("edited", lambda: page.type(page.number(TWO), "1"), "typing")
    assert page.box("#sliders")["top"] == before["top"]  # nothing jumps
    chrome.execute_script("document.querySelector('#source').scrollIntoView()")
    assert chrome.execute_script("return scrollY") > 0 and 0 <= page.box("#view-edit img.main")["top"] < 60
    page.tab("#source", "Draw")
    page.until(lambda: page.shown("#pad canvas"), "the pad")
    page.changes("original", lambda: page.draw(SEVEN), "drawing below the picture")


def test_rendered_faces_are_one_choice_away(page, chrome, space):
    assert not page.shown("#sliders .refused")
    page.press("#source #draw-button")
    page.press("#domain input")
    page.changes(
        "original", lambda: page.press("[role=option][aria-label='Rendered faces']"), "choosing faces"
    )
    check_dressed_for_faces(page)
    assert pixels(page.picture("original")).shape == (64, 64, 3)
    assert len(page.attributes("#sliders .row")) == len(set(page.attributes("#sliders label"))) == 4
    for name in rows_of(page):
        page.changes("edited", partial(page.type, page.number(name), "0.6"), f"typing into {name}")
    for name, holds in HOLDS.items():
        page.view(name, holds)
        if SHOTS:
            chrome.save_screenshot(str(Path(SHOTS) / f"{name}-faces.png"))
    page.view("Edit", "img.main")
    link, edited = page.attribute("#view-edit .link", "href"), page.picture("edited")
    page = Page(chrome, space)
    page.press("#another")
    assert page.attribute("#head h1", "textContent") == "Digits" and page.shown("#draw-button")
    page.tab("#source", "Link")
    page.keys("#link textarea", link)
    page.press("#open")
    page.until(lambda: page.picture("edited") == edited, "the picture of the other domain, by its link")
    check_dressed_for_faces(page)


def rows_of(page) -> list[str]:
    """The edits that have a slider."""
    return page.chrome.execute_script(
        "return [...document.querySelectorAll('#sliders .row')].map((row) => row.dataset.edit)"
    )


def check_dressed_for_faces(page) -> None:
    """Everything that depends on the domain has changed."""
    page.until(lambda: page.attribute("#head h1", "textContent") == "Rendered faces", "the heading")
    page.until(lambda: page.attribute("#domain input", "value") == "Rendered faces", "the choice of domains")
    known = set(EditingPipeline.from_pretrained("bundled", "synthfaces").edits)
    page.until(lambda: rows_of(page) and set(rows_of(page)) <= known, "the edits of faces")
    page.until(lambda: pixels(page.attribute("#gallery img", "src")).ndim == 3, "examples of faces")
    page.until(lambda: not page.shown("#draw-button, #pad"), "the pad's end")
    page.tab("#source", "Upload")
    page.until(lambda: "A rendered face" in page.attribute("#upload", "textContent"), "what may be uploaded")
    page.tab("#source", "Sample")


def test_a_slow_hub_that_is_partly_broken_and_sliders_that_send_at_the_end_of_a_move(
    chrome, hub, tmp_path, monkeypatch
):
    """One app for both. Its Hub is slow and has a broken edit; its sliders send as on ZeroGPU."""
    mine = files_of(registry.bundled() / ONE.replace("-lw-", "-centroids-"))
    put(hub, "someone/lwgan-mine", mine)
    put(hub, "someone/lwgan-broken", {**mine, "config.json": b"{"})
    hub.fault("GET", "lwgan-mine", delay=2)
    monkeypatch.setattr(blocks, "LIVE", False)
    with serving_here(tmp_path, "someone") as address:
        page = Page(chrome, address)
        page.changes("edited", lambda: page.type(page.number(ONE), "2"), "typing, before they arrive")
        check_arrivals(page, chrome)
        check_ends_of_moves(page, chrome)


def check_arrivals(page, chrome) -> None:
    """The broken edit is refused with its reason, the other joins the choice of methods."""
    refused = lambda: page.attribute("#sliders .refused summary", "textContent") == "1 refused"
    page.until(refused, "the broken one, refused")
    focused = "return document.activeElement === document.querySelector(arguments[0])"
    assert chrome.execute_script(focused, page.number(ONE))
    edited = page.picture("edited")
    page.press("#sliders .refused summary")
    page.until(lambda: page.shown("#sliders .refused li"), "the reason")
    said = page.attribute("#sliders .refused li", "textContent")
    assert said.startswith("lwgan-broken: ") and "JSON" in said
    page.until(lambda: not page.shown("#sliders .pending"), "all that was on its way")
    method = f"{page.row(ONE)} .method"
    assert {ONE, "lwgan-mine"} <= set(page.attributes(f"{method} option", "value"))
    page.view("Scrub", "input")
    page.view("Edit", "img.main")
    time.sleep(1)
    assert page.picture("edited") == edited and page.strength(ONE) == "2"
    page.changes("edited", lambda: page.choose(method, "lwgan-mine"), "the edit that came later")
    if SHOTS:
        chrome.save_screenshot(str(Path(SHOTS) / "refused.png"))


def check_ends_of_moves(page, chrome) -> None:
    slider = f"{page.row(TWO)} input[type=range]"
    joined = lambda: [url for url in requests(chrome) if "queue/join" in url]
    joined()
    hand = ActionChains(chrome).move_to_element(page.find(slider)).click_and_hold()
    hand.move_by_offset(20, 0).move_by_offset(9, 0).perform()
    time.sleep(0.5)
    assert page.strength(TWO) != "0" and joined() == []
    page.changes("edited", ActionChains(chrome).release().perform, "the release")
    assert len(joined()) == 1
    page.changes("edited", lambda: page.keys(slider, Keys.ARROW_RIGHT), "an arrow key")
    page.changes("edited", lambda: page.type(page.number(TWO), "0.3"), "typing")


@pytest.mark.skipif(not SHOTS, reason="LWGAN_SHOTS names no folder for screenshots")
def test_screenshots_to_look_at(chrome, space):
    """Each view, its first screen and in full length."""
    Path(SHOTS).mkdir(parents=True, exist_ok=True)
    for size, dark in itertools.product((DESKTOP, PHONE), (False, True)):
        page = Page(chrome, space, size, dark)
        for name, holds in HOLDS.items():
            page.view(name, holds)
            file = Path(SHOTS) / f"{name}-{size[0]}-{'dark' if dark else 'light'}.png"
            assert chrome.save_screenshot(str(file))
            whole = chrome.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
            file.with_stem(f"{file.stem}-whole").write_bytes(base64.b64decode(whole["data"]))
