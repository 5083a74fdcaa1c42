"""Whole photographs in the page: the face in its photograph, several faces, the file to keep."""

import base64
import io

import numpy as np
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from lwgan import EditingPipeline, whole
from lwgan.hub.catalog import Catalog
from lwgan.images import open_picture
from lwgan.page.editor import Editor
from lwgan.page.photograph import SHOWN
from lwgan.page.uploads import How
from tests.browser import PHONE, set_screen
from tests.conftest import DATA
from tests.live import Page, client, pixels, serving_here

EDIT = "lwgan-faces-lw-eyeglasses"


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The file of a photograph of 2100 x 1200 px with two faces, the larger one at the left."""
    both = Image.new("RGB", (2100, 1200), "grey")
    for side, corner in ((1200, (0, 0)), (780, (1260, 210))):
        face = Image.open(DATA / "faces" / "astronaut.jpg").resize((side, side), Image.Resampling.LANCZOS)
        both.paste(face, corner)
    path = tmp_path_factory.mktemp("two") / "two.png"
    both.save(path)
    return path


@pytest.fixture(scope="module")
def editor(faces_registry):
    return Editor(Catalog(faces_registry, device="cpu"))


@pytest.fixture
def opened(editor, two):
    session, sliders = editor.start("faces")
    return editor.upload({"path": str(two)}, session, sliders)


def photograph(editor, session, sliders) -> dict:
    return editor.show(session, sliders, "Edit")["whole"]


def test_an_upload_shows_the_whole_photograph(editor, two, opened):
    shown = photograph(editor, *opened)
    before, after = (pixels(shown[key]).astype(int) for key in ("before", "after"))
    assert before.shape == (585, SHOWN, 3) == after.shape
    assert (shown["chosen"], shown["residual"], shown["file"]) == (1, 0.0, None)
    assert np.abs(np.array(shown["faces"]) - [(0.25, 0.2), (0.72, 0.3)]).max() < 0.06
    left, right = np.abs(after - before)[:, :512].mean(), np.abs(after - before)[:, 620:].mean()
    assert left > 3 * right + 1


def test_a_sample_is_no_photograph(editor):
    assert photograph(editor, *editor.start("faces")) == {}


def test_another_face_is_chosen_and_the_detail_stays(editor, opened):
    session, sliders = opened
    session = editor.hear_photograph({"residual": 0.5}, session, sliders)
    session = editor.hear_photograph({"face": 2}, session, sliders)
    shown = photograph(editor, session, sliders)
    assert (shown["chosen"], shown["residual"]) == (2, 0.5) and "number 2 was taken" in session["note"]
    difference = np.abs(pixels(shown["after"]).astype(int) - pixels(shown["before"]))
    assert difference[:, 620:].mean() > 3 * difference[:, :512].mean() + 1


def test_the_file_is_what_python_makes_of_the_photograph(editor, two, opened):
    session, sliders = opened
    session = editor.hear_photograph({"save": True}, session, sliders)
    data = base64.b64decode(photograph(editor, session, sliders)["file"].partition(",")[2])
    pipe = editor.pipe("faces")
    alphas = editor.alphas(session, sliders)
    (expected,) = whole.edit(pipe, whole.find(pipe, open_picture(two)), alphas)
    assert data == whole.encoded(expected, "any.jpg")


@pytest.mark.parametrize("message", [None, "x", {"face": "2"}, {"residual": 7}, {"save": False}])
def test_a_strange_message_does_no_harm(editor, opened, message):
    session, sliders = opened
    heard = editor.hear_photograph(message, session, sliders)
    assert heard == session


def test_a_face_that_is_not_there_and_a_file_that_is_gone_are_said(editor, opened, two, tmp_path):
    session, sliders = opened
    assert "Face 9 is not there" in editor.hear_photograph({"face": 9}, session, sliders)["problem"]
    gone = {**session, "whole": {**session["whole"], "file": (str(tmp_path / "gone.png"), How())}}
    problem = editor.hear_photograph({"save": True}, gone, sliders)["problem"]
    assert problem and str(tmp_path) not in problem


@pytest.fixture(scope="module")
def space_of_faces(faces_registry, tmp_path_factory):
    with serving_here(tmp_path_factory.mktemp("space"), faces_registry) as address:
        yield address


def test_the_endpoint_gives_the_whole_photograph(space_of_faces, faces_registry, two, tmp_path):
    caller = client(space_of_faces, tmp_path)
    given = {"picture": handle_file(two), "edits": {EDIT: 1.0}, "face": 2, "residual": 1}
    result = Image.open(caller.predict(**given, api_name="/edit_photograph"))
    pipe = EditingPipeline.from_pretrained(faces_registry)
    (expected,) = whole.edit(pipe, whole.find(pipe, open_picture(two), 2), {EDIT: 1.0}, 1.0)
    expected = Image.open(io.BytesIO(whole.encoded(expected, "any.jpg")))
    assert result.format == "JPEG" and result.size == (2100, 1200)
    assert np.abs(np.asarray(result, int) - np.asarray(expected, int)).mean() < 0.5
    for wrong, words in (({"face": 3}, "Face 3 is not there"), ({"residual": 3}, "The residual is 3")):
        with pytest.raises(AppError, match=words):
            caller.predict(**given | wrong, api_name="/edit_photograph")


def test_a_visitor_chooses_a_face_and_keeps_the_photograph(chrome, space_of_faces, two):
    page = Page(chrome, space_of_faces)
    page.tab("#source", "Upload")
    assert not page.shown("#whole .body")
    page.keys("#upload input[type=file]", str(two))
    page.until(lambda: page.shown("#whole .stage img"), "the photograph")
    assert page.attributes("#whole .faces button", "ariaPressed") == ["true", "false"]
    first = page.attribute("#whole .stage img", "src")
    page.press("#whole .faces button", "Face 2")
    page.until(lambda: page.attributes("#whole .faces button", "ariaPressed") == ["false", "true"], "face 2")
    second = page.attribute("#whole .stage img", "src")
    assert first != second
    page.keys("#whole .detail input", *["\ue014"] * 10)  # arrow to the right
    page.until(lambda: page.attribute("#whole .stage img", "src") != second, "more detail")
    page.press("#whole .which label", "before")
    assert np.abs(pixels(page.attribute("#whole .stage img", "src"))[5, 1000] - [128, 128, 128]).max() < 9
    page.chrome.execute_script(
        "HTMLAnchorElement.prototype.click = function () { window.kept = [this.download, this.href]; }"
    )
    page.press("#whole .save")
    name, href = page.until(lambda: chrome.execute_script("return window.kept"), "the file")
    assert name == "lwgan-photograph.jpg" and pixels(href).shape == (1200, 2100, 3)
    page.tab("#source", "Sample")  # Gradio's field for uploads has findings of its own
    assert page.violations() == []
    set_screen(chrome, PHONE, True)
    assert page.box("#whole")["right"] <= PHONE[0]
    page.until(lambda: page.violations() == [], "no finding once the colours have changed")
