"""Photographs and scans of digits: what they show is framed, and what is doubtful is refused or noted."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lwgan import EditingPipeline
from lwgan.frames.ink import frame_ink
from tests.photographs import DARK, INK, KINDS, PAPER, legible, on_table, outcome, paint, quad, shot
from tests.pictures import draw

TRIALS = 3


@pytest.fixture(scope="module")
def pipe():
    return EditingPipeline.from_pretrained("bundled", "multimnist")


@pytest.fixture(scope="module")
def digits(pipe, mnist):
    return legible(pipe, mnist, 60)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read_right(kind, pipe, digits):
    scenes = [KINDS[kind](np.random.default_rng((2, i)), *digits) for i in range(TRIALS)]
    outcomes = [outcome(pipe, scene) for scene in scenes]
    assert outcomes.count("right") >= TRIALS - 1


@pytest.mark.parametrize("table", [DARK, (160, 160, 160)])
def test_a_blank_sheet_on_a_table_is_blank(table):
    rng = np.random.default_rng(0)
    sheet = paint(PAPER, np.zeros((400, 400), np.float32), INK)
    with pytest.raises(ValueError, match="blank"):
        frame_ink(shot(rng, on_table(rng, sheet, table, quad(rng, 5))))


def test_a_page_of_rulings_alone_is_blank():
    page = Image.new("L", (400, 400), 255)
    for y in range(15, 400, 30):
        ImageDraw.Draw(page).line((0, y, 400, y), fill=80, width=2)
    with pytest.raises(ValueError, match="blank"):
        frame_ink(page)


def test_a_blot_is_no_digit():
    page = Image.new("L", (400, 400), 255)
    ImageDraw.Draw(page).ellipse((150, 150, 220, 225), fill=0)
    with pytest.raises(ValueError, match="no stroke"):
        frame_ink(page)


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ([("0", -20, 60, 160)], "reaches the edge"),
        ([("0", 20, 20, 200), ("7", 200, 200, 50)], "much smaller"),
        ([("0", 60, 60, 100)], None),
    ],
)
def test_what_is_doubtful_is_noted(digits, words):
    note = frame_ink(draw(digits, 8)).info.get("note")
    assert (words in note) if words else note is None


def test_a_faint_mark_beside_a_strong_one_is_noted():
    picture = draw([("0", 20, 20, 100)], 10)
    faint = draw([("7", 170, 150, 100)], 10).point(lambda value: 255 - (255 - value) // 3)
    noted = frame_ink(Image.fromarray(np.minimum(picture, faint))).info["note"]
    assert "much fainter" in noted


@pytest.mark.parametrize("angle", [0, 12])
def test_glyphs_lie_where_they_are_in_the_picture(angle):
    """Also on a sheet that is seen turned."""
    rng = np.random.default_rng(0)
    cover = 1 - np.asarray(draw([("0", 100, 150, 100)], 10, (400, 400)), np.float32) / 255
    corners = quad(rng, angle, (300, 301))
    picture = shot(rng, on_table(rng, paint(PAPER, cover, INK), DARK, corners))
    (box,) = np.array(frame_ink(picture).info["quads"])
    middle = corners[0] + (corners[1] - corners[0]) * 125 / 400 + (corners[3] - corners[0]) * 200 / 400
    assert np.abs(box.mean(0) - middle).max() < 4


def test_small_digits_of_a_large_picture_are_found_at_their_place():
    picture = draw([("0", 2500, 1900, 60), ("7", 2600, 1890, 60)], 6, (4000, 3000))
    framed = frame_ink(picture)
    boxes = np.array(sorted(framed.info["quads"]))
    assert "note" not in framed.info and np.abs(boxes[:, 0] - [(2500, 1900), (2600, 1890)]).max() < 12
