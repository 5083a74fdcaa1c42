"""Photographs of faces on the page: they are aligned, and the page says what it did."""

import base64
import io

import pytest
from PIL import Image

from lwgan import EditingPipeline
from lwgan.frames.face import frame_face
from lwgan.hub.catalog import Catalog
from lwgan.page.editor import Editor
from tests.conftest import DATA

ASTRONAUT = DATA / "faces" / "astronaut.jpg"


@pytest.fixture(scope="module")
def editor(faces_registry):
    return Editor(Catalog(faces_registry, device="cpu"))


def test_the_page_takes_the_domain_as_it_takes_the_digits(editor, faces_registry, tmp_path):
    pipe = EditingPipeline.from_pretrained(faces_registry)
    session, sliders = editor.start()
    session, sliders = editor.upload({"path": str(ASTRONAUT)}, session, sliders)
    shown = editor.show(session, sliders, "Edit")["edit"]
    for name, size in (("original", 256), ("reconstruction", 64), ("edited", 64)):
        assert picture_of(shown[name]).size == (size, size)
    w = pipe.encode(frame_face(ASTRONAUT))
    assert (
        picture_of(shown["edited"]).tobytes()
        == pipe.generate(pipe.edit(w, dict.fromkeys(pipe.edits, 1.0)))[0].tobytes()
    )
    blank = tmp_path / "blank.png"
    Image.new("RGB", (100, 100)).save(blank)
    refused, _ = editor.upload({"path": str(blank)}, session, sliders)
    assert "No face was found" in refused["problem"] and refused["before"] is session["before"]
    sample = editor.show(editor.sample(5, refused), sliders, "Edit")
    assert picture_of(sample["edit"]["original"]).size == (256, 256) and not sample["status"]["problem"]


def test_the_page_says_that_of_several_faces_the_largest_was_taken(editor, tmp_path):
    both = Image.new("RGB", (700, 400), "grey")
    both.paste(Image.open(ASTRONAUT).resize((400, 400)), (300, 0))
    both.paste(Image.open(ASTRONAUT).resize((260, 260)), (10, 70))
    both.save(tmp_path / "both.png")
    session, sliders = editor.upload({"path": str(tmp_path / "both.png")}, *editor.start())
    assert (
        editor.show(session, sliders, "Edit")["status"]["line"]
        == "2 faces were found: the largest was taken."
    )
    assert editor.show(editor.sample(0, session), sliders, "Edit")["status"]["line"] == ""


def picture_of(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
