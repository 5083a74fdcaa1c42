"""Frame "mark": a letter, drawn or photographed anywhere, is framed as the letter rendered by itself."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from lwgan.frames import FRAMES
from lwgan.frames.ink import frame_ink
from lwgan.frames.mark import centred, frame_mark
from tests.photographs import DARK, INK, KINDS, PAPER, on_table, paint, quad, shot

FONTS = Path(matplotlib.get_data_path(), "fonts", "ttf")
LETTERS = [
    ("DejaVuSans", "R"), ("DejaVuSans-Bold", "A"), ("DejaVuSerif", "I"), ("DejaVuSerif-Italic", "Q"),
    ("STIXGeneral", "B"), ("DejaVuSansMono", "W"), ("DejaVuSans", "i"), ("DejaVuSans", "E"),
]  # fmt: skip
PHOTOGRAPHED = [
    "inverted", "coloured ink", "pencil", "chalkboard", "lit from one side", "noise", "corners at .4",
    "soft shadow", "dark table around", "light table around", "faintly ruled", "squared", "box",
    "ink and paper of equal grey", "transparent, white ink", "panorama",
]  # fmt: skip


def rendered(font: str, letter: str, size: int = 200) -> np.ndarray:
    """White on black with a margin of 4 px, uint8 [h, w]."""
    pen = ImageFont.truetype(str(FONTS / f"{font}.ttf"), size)
    canvas = Image.new("L", (2 * size, 2 * size))
    ImageDraw.Draw(canvas).text((size // 2, 3 * size // 2), letter, font=pen, fill=255, anchor="ls")
    return np.pad(np.asarray(canvas.crop(canvas.getbbox())), 4)


def drawn(*parts: tuple[float, float, float, float], size=(300, 300)) -> Image.Image:
    page = Image.new("L", size, 255)
    for part in parts:
        ImageDraw.Draw(page).rectangle(part, fill=0)
    return page


def difference(framed: Image.Image, clean: np.ndarray) -> float:
    """The sum of the differences of all pixels, as a share of the ink."""
    assert framed.mode == "L" and framed.size == clean.shape[::-1]
    return float(np.abs(np.asarray(framed, float) - clean).sum() / clean.sum())


@pytest.mark.parametrize("kind", PHOTOGRAPHED)
def test_a_photographed_letter_is_framed_as_the_letter_itself(kind):
    found = []
    for i, letter in enumerate(LETTERS):
        image = rendered(*letter)
        scene = KINDS[kind](np.random.default_rng((3, i)), image[None], np.zeros(1))
        found.append(difference(frame_mark(scene.picture, 64), centred(image, 64)))
    assert np.median(found) < 0.12 and sorted(found)[-2] < 0.25


@pytest.mark.parametrize("side", [32, 64, 128])
def test_a_framed_letter_and_its_enlargement_pass_unchanged(side):
    for font in ("DejaVuSans", "DejaVuSerif-BoldItalic", "STIXGeneral"):
        for letter in "AIJLQWilz-":
            framed = frame_mark(Image.fromarray(255 - np.pad(rendered(font, letter), 60)), side)
            large = framed.resize((5 * side, 5 * side), Image.Resampling.NEAREST)
            for again in (framed, framed.convert("RGB"), large):
                assert np.array_equal(np.asarray(frame_mark(again, side)), np.asarray(framed))


def test_the_frame_is_among_those_that_a_domain_may_name():
    page = Image.fromarray(np.pad(rendered("DejaVuSans", "E"), 100))
    assert FRAMES["mark"](page, 48).size == (48, 48)


@pytest.mark.parametrize(
    ("parts", "box"),
    [
        ([(140, 130, 150, 180), (138, 100, 152, 114)], (138, 100, 153, 181)),  # an i
        ([(100, 60, 160, 140), (100, 152, 160, 220)], (100, 60, 161, 221)),  # a stencil
        ([(100, 60, 112, 220), (130, 60, 142, 220), (160, 60, 172, 220)], (100, 60, 173, 221)),
        ([(100, 60, 112, 220), (20, 20, 26, 26)], (100, 60, 113, 221)),  # with dirt far away
    ],
)
def test_all_parts_of_a_mark_stay_together(parts, box):
    framed = frame_mark(drawn(*parts), 64)
    (corners,) = np.array(framed.info["quads"])
    assert np.abs(np.array([*corners.min(0), *corners.max(0)]) - box).max() <= 1 and "note" not in framed.info
    kept = [part for part in parts if part[0] >= box[0]]
    clean = 255 - np.asarray(drawn(*kept))[box[1] - 4 : box[3] + 4, box[0] - 4 : box[2] + 4]
    assert difference(framed, centred(clean, 64)) < 0.05


@pytest.mark.parametrize("part", [(140, 60, 160, 240), (60, 140, 240, 160), (145, 100, 155, 130)])
def test_a_stem_and_a_dash_are_marks(part):
    framed = np.asarray(frame_mark(drawn(part), 64))
    assert framed.max() == 255 and framed.any(1).sum() <= 42 and framed.any(0).sum() <= 60


def test_a_blot_and_blank_paper_are_refused():
    page = Image.new("L", (300, 300), 255)
    with pytest.raises(ValueError, match="blank"):
        frame_mark(page)
    ImageDraw.Draw(page).ellipse((100, 100, 180, 186), fill=0)
    with pytest.raises(ValueError, match="no stroke"):
        frame_mark(page)


def test_two_letters_far_apart_are_noted():
    page = np.zeros((400, 700), np.uint8)
    for left, letter in ((60, "F"), (500, "K")):
        image = rendered("DejaVuSans", letter, 150)
        page[120 : 120 + image.shape[0], left : left + image.shape[1]] = image
    assert "far apart" in frame_mark(Image.fromarray(255 - page)).info["note"]


def test_a_letter_drawn_as_an_outline_is_noted_where_its_outer_line_is_taken_for_a_cell():
    """Two rings may be an outlined O, or an O in the cell of a form."""
    page = Image.new("L", (300, 300), 255)
    for edge in (60, 90):
        ImageDraw.Draw(page).ellipse((edge, edge, 300 - edge, 300 - edge), outline=0, width=6)
    assert "line around a mark was left out" in frame_mark(page).info["note"]


def test_a_small_letter_of_a_large_picture_is_seen_at_its_full_resolution():
    """At the size at which marks are looked for it has 25 px."""
    image = rendered("DejaVuSerif", "R", 300)
    page = np.zeros((3000, 4000), np.uint8)
    page[500 : 500 + image.shape[0], 2800 : 2800 + image.shape[1]] = image
    framed = frame_mark(Image.fromarray(255 - page), 64)
    assert difference(framed, centred(image, 64)) < 0.2
    assert np.abs(np.array(framed.info["quads"][0][0]) - (2804, 504)).max() < 12


@pytest.mark.parametrize("times", [1, 6])
def test_a_letter_on_a_turned_sheet_is_upright(times):
    """Also if the picture is large, and the letter is looked at again."""
    rng, image = np.random.default_rng(0), rendered("DejaVuSans", "F", 120)
    cover = np.zeros((400, 400), np.float32)
    cover[150 : 150 + image.shape[0], 170 : 170 + image.shape[1]] = image / 255
    corners = quad(rng, 20, (300, 301), 8)
    picture = shot(rng, on_table(rng, paint(PAPER, cover, INK), DARK, corners))
    framed = frame_mark(picture.resize((400 * times, 400 * times), Image.Resampling.BICUBIC), 64)
    assert difference(framed, centred(image, 64)) < 0.2
    assert np.abs(np.array(framed.info["sheet"]) / times - corners).max() < 9


def test_a_small_digit_on_a_turned_sheet_of_a_large_picture_is_upright_too():
    rng, image = np.random.default_rng(0), rendered("DejaVuSans", "7", 45)
    cover = np.zeros((400, 400), np.float32)
    cover[70 : 70 + image.shape[0], 80 : 80 + image.shape[1]] = image / 255
    turned = shot(rng, on_table(rng, paint(PAPER, cover, INK), DARK, quad(rng, 25, (300, 301))))
    flat = np.asarray(frame_ink(Image.fromarray((255 * (1 - cover)).astype(np.uint8))))
    assert difference(frame_ink(turned.resize((2400, 2400), Image.Resampling.BICUBIC)), flat) < 0.4
