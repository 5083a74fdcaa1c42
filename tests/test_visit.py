"""A visitor's events pass one another, fail, or find that they were forgotten: what the page shows holds together all the same."""

import copy
import json
import time
from urllib.parse import unquote

import pytest

from lwgan import EditingPipeline
from lwgan.ui.visit import Visit
from tests.browser import browser
from tests.live import Page, serving
from tests.nets import EDITS
from tests.test_page import check_requests_and_console, give

ONE, TWO, THREE = EDITS


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server"), LWGAN_REGISTRY="bundled") as address:
        yield address


@pytest.fixture(scope="module")
def chrome(server, tmp_path_factory):  # the page goes before its server
    with browser(tmp_path_factory.mktemp("chrome")) as chrome:
        yield chrome
        check_requests_and_console(chrome)


@pytest.fixture
def page(chrome, server):
    page = Page(chrome, server)
    page.press("#another")  # veiled until the page has begun
    page.until(lambda: page.attribute("#seed input", "value") == "7", "the next sample")
    return page


@pytest.fixture(scope="module")
def unit():
    return EditingPipeline.from_pretrained("bundled", "multimnist").scales[ONE].unit


def made(page) -> dict:
    return json.loads(unquote(page.attribute("#view-edit .recipe", "href").partition(",")[2]))


def alpha(page) -> float:
    return {edit["name"]: edit["alpha"] for edit in made(page)["edits"]}.get(ONE, 0)


def in_turn(page, *acts: tuple[int, str]) -> None:
    """Runs scripts in the page, each so many ms after the start. tab(name), slide(strength), click(selector) are there."""
    names = (
        "const tab = (name) => [...document.querySelectorAll('#views [role=tab]')].find((t) => t.textContent.trim() === name).click();"
        "const click = (selector) => document.querySelector(selector).click();"
        "const slide = (to) => { const e = document.querySelector('#sliders input[type=range]'); e.value = to; e.dispatchEvent(new Event('input')); };"
    )
    page.chrome.execute_script(names + "".join(f"setTimeout(() => {{ {act} }}, {after});" for after, act in acts))


# Which of two events comes first


@pytest.mark.parametrize("slow", ["Compare", "Sweep", "Scrub"])
def test_whoever_turns_back_to_edit_at_once_can_edit(page, unit, slow):
    in_turn(page, (0, f"tab('{slow}')"), (60, "tab('Edit')"))
    body = f"!document.querySelector('#view-{slow.lower()} .body').hidden && document.querySelector('#view-{slow.lower()} .body img')"
    page.until(lambda: page.chrome.execute_script(f"return Boolean({body})"), "the slower view's answer")
    page.changes("edited", lambda: page.type(f"{page.row(ONE)} input[type=number]", "0.4"), "typing, with Edit open")
    page.until(lambda: alpha(page) == round(0.4 * unit, 4), "the recipe of what was typed")


@pytest.mark.parametrize("between", [0, 20, 40, 80])
@pytest.mark.parametrize("first", ["source", "slider"])
def test_a_source_and_a_slider_that_change_at_once_are_both_there_in_the_end(page, unit, first, between):
    seed = str(int(page.attribute("#seed input", "value")) + 1)
    acts = ["click('#another')", "slide(0.35)"]
    in_turn(page, *zip((0, between), acts if first == "source" else acts[::-1], strict=True))
    page.until(lambda: page.attribute("#seed input", "value") == seed, "the next sample")
    both = lambda: (alpha(page), made(page)["source"]["seed"]) == (round(0.35 * unit, 4), int(seed))
    page.until(both, "both changes")
    time.sleep(0.5)
    assert both()


def test_older_sliders_never_take_the_place_of_newer_ones():
    visit = Visit({"source": {}})
    first, later, other = ({"made": made, "moves": moves} for made, moves in ((1.5, 0), (1.5, 3), (2.5, 0)))
    for given, newest in ((first, first), (later, later), (first, later), (other, other), (later, other), (None, other), ("junk", other)):
        visit.hear(given)
        assert visit.sliders is newest
    assert copy.deepcopy(visit).session is visit.session and copy.deepcopy(visit).turn is not visit.turn


# What goes on, and what went wrong


def test_nothing_goes_on_after_an_answer_or_a_refusal(page, chrome, tmp_path):
    bar = page.find("#status .busy")
    page.changes("original", lambda: page.find("#seed input").send_keys("1"), "typing a seed")
    page.find("#another").send_keys("")  # leaves the field, which the browser takes for a change
    page.tab("#source", "Upload")
    give(page, tmp_path, "notes.pdf", b"%PDF-1.4")
    page.until(lambda: "Only image/* allowed" in page.find("body").text, "the browser's refusal")
    time.sleep(1.2)
    assert not bar.is_displayed()


def test_nothing_goes_on_after_an_event_that_failed(server, tmp_path):
    with browser(tmp_path) as chrome:
        page = Page(chrome, server)
        page.press("#another")
        page.until(lambda: page.attribute("#seed input", "value") == "7", "the next sample")
        full = "new Response('{\"detail\": \"Queue is full.\"}', {status: 503, headers: {'Content-Type': 'application/json'}})"
        ask = "window.asked = 0; const ask = window.fetch; window.fetch = (to, ...how) => String(to.url ?? to).includes('queue/join')"
        chrome.execute_script(f"{ask} && ++asked === 1 ? new Promise((done) => setTimeout(() => done({full}), 1500)) : ask(to, ...how);")
        page.find("#another").click()
        bar = page.find("#status .busy")
        page.until(bar.is_displayed, "the bar")
        page.until(lambda: not bar.is_displayed(), "the bar's end")
        assert chrome.execute_script("return asked") == 1 and page.attribute("#seed input", "value") == "7"
        page.changes("original", page.find("#another").click, "another sample, with room again")


def test_a_problem_is_said_once_and_an_empty_field_is_none(page):
    field = "#seed input"
    page.type(field, "-3")
    page.until(lambda: "whole number" in page.line() and page.has("#status .problem"), "words on -3")
    assert page.attribute(field, "value") == "-3" and not page.has(".toast-body")
    page.changes("edited", lambda: page.type(f"{page.row(ONE)} input[type=number]", "0.4"), "typing a strength")
    assert not page.has("#status .problem") and "judge reads" in page.line()
    start, said = page.picture("original"), []
    page.changes("original", lambda: page.type(field, "1"), "a seed")
    page.find(field).send_keys("\b")
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        said.append(page.line())
    assert not any("None" in line for line in said) and page.picture("original") != start and page.attribute(field, "value") == ""
