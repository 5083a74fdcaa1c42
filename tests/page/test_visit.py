"""A visitor's events that overtake each other or fail: what the page shows stays consistent."""

import copy
import time

import pytest

from lwgan import EditingPipeline
from lwgan.page.visit import Visit
from tests.live import ALL
from tests.nets import EDITS

ONE, TWO, THREE = EDITS


@pytest.fixture(scope="module")
def unit():
    return EditingPipeline.from_pretrained("bundled", "multimnist").scales[ONE].unit


def alpha(page) -> float:
    return {edit["name"]: edit["alpha"] for edit in page.recipe()["edits"]}.get(ONE, 0)


def in_turn(page, *acts: tuple[int, str]) -> None:
    """Runs scripts in the page after some ms. They may call tab(name), slide(to), click(selector)."""
    names = (
        "const tabs = [...document.querySelectorAll('#views [role=tab]')];"
        "const tab = (name) => tabs.find((t) => t.textContent.trim() === name).click();"
        "const click = (selector) => document.querySelector(selector).click();"
        "const slider = document.querySelector('#sliders input[type=range]');"
        "const slide = (to) => { slider.value = to; slider.dispatchEvent(new Event('input')); };"
    )
    page.chrome.execute_script(
        names + "".join(f"setTimeout(() => {{ {act} }}, {after});" for after, act in acts)
    )


# Events that overtake each other


@pytest.mark.parametrize("slow", ["Compare", "Sweep", "Scrub"])
def test_whoever_turns_back_to_edit_at_once_can_edit(page, unit, slow):
    in_turn(page, (0, f"tab('{slow}')"), (60, "tab('Edit')"))
    picture = f"#view-{slow.lower()} .body:not([hidden]) img"
    page.until(lambda: page.has(picture), "the slower view's answer")
    page.changes("edited", lambda: page.type(page.number(ONE), "0.4"), "typing, with Edit open")
    page.until(lambda: alpha(page) == round(0.4 * unit, 4), "the recipe of what was typed")


@pytest.mark.parametrize("first", ["source", "slider"])
def test_a_source_and_a_slider_that_change_at_once_are_both_there_in_the_end(page, unit, first):
    for between, strength in ((0, 0.35), (20, 0.45), (40, 0.55), (80, 0.65)):
        seed = str(int(page.attribute("#seed input", "value")) + 1)
        acts = ["click('#another')", f"slide({strength})"]
        in_turn(page, *zip((0, between), acts if first == "source" else acts[::-1], strict=True))
        page.until(lambda seed=seed: page.attribute("#seed input", "value") == seed, "the next sample")
        both = (round(strength * unit, 4), int(seed))
        page.until(
            lambda both=both: (alpha(page), page.recipe()["source"]["seed"]) == both,
            f"both changes, {between} ms apart",
        )
        time.sleep(0.5)
        assert (alpha(page), page.recipe()["source"]["seed"]) == both


def test_older_sliders_never_take_the_place_of_newer_ones():
    visit = Visit({"source": {}})
    first, later, other = ({"made": made, "moves": moves} for made, moves in ((1.5, 0), (1.5, 3), (2.5, 0)))
    for given, newest in (
        (first, first),
        (later, later),
        (first, later),
        (other, other),
        (later, other),
        (None, other),
        ("junk", other),
    ):
        visit.hear(given)
        assert visit.sliders is newest
    assert copy.deepcopy(visit).session is visit.session and copy.deepcopy(visit).turn is not visit.turn


# Progress and problems


def test_nothing_goes_on_after_an_answer_or_a_refusal(page, tmp_path):
    page.changes("original", lambda: page.keys("#seed input", "1"), "typing a seed")
    page.keys("#another", "")  # leaves the field, which the browser takes for a change
    page.tab("#source", "Upload")
    page.upload(tmp_path, "notes.pdf", b"%PDF-1.4")
    page.until(
        lambda: "Only image/* allowed" in page.attribute("body", "textContent"), "the browser's refusal"
    )
    time.sleep(1)  # the bar would appear within this time
    page.until(lambda: not page.shown("#status .busy"), "the bar's end")


def test_nothing_goes_on_after_an_event_that_failed(page, chrome):
    kind = "headers: {'Content-Type': 'application/json'}"
    full = f"""new Response('{{"detail": "Queue is full."}}', {{status: 503, {kind}}})"""
    page.hold(full)
    page.press("#another")
    page.until(lambda: page.shown("#status .busy"), "the bar")
    page.let_go()
    page.until(lambda: not page.shown("#status .busy"), "the bar's end")
    assert chrome.execute_script("return joined") == 1 and page.attribute("#seed input", "value") == "6"
    page.changes("original", lambda: page.press("#another"), "another sample, with room again")


def test_a_problem_is_said_once_and_an_empty_field_is_none(page):
    field = "#seed input"
    page.keys(field, *ALL, "-3")
    page.until(lambda: "whole number" in page.line() and page.has("#status .problem"), "words on -3")
    assert page.attribute(field, "value") == "-3" and not page.has(".toast-body")
    page.changes("edited", lambda: page.type(page.number(ONE), "0.4"), "typing a strength")
    page.until(
        lambda: not page.has("#status .problem") and "judge reads" in page.line(), "words on the picture"
    )
    start, said = page.picture("original"), []
    page.changes("original", lambda: page.type(field, "1"), "a seed")
    page.keys(field, "\b")
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        said.append(page.line())
    assert (
        not any("None" in line for line in said)
        and page.picture("original") != start
        and page.attribute(field, "value") == ""
    )
