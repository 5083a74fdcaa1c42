"""Frame "ink": drawings and photographs of digits are brought into the cells of the training pictures."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from lwgan.frames.glyphs import INK_SIDE, find_glyphs, normalise, stroke_width
from lwgan.frames.ink import CELL, frame_ink, ink_box
from tests.pictures import STROKES, draw
from trainers.datasets.mnist import load_digits
from trainers.datasets.multimnist import compose


def cells(frame: Image.Image) -> dict[tuple[int, int], np.ndarray]:
    """(row, column) -> the cell's pixels, for the cells that hold ink."""
    pixels = np.asarray(frame)
    assert pixels.shape == (64, 64) and frame.mode == "L"
    parts = {
        (row, column): pixels[row * CELL :, column * CELL :][:CELL, :CELL]
        for row in (0, 1)
        for column in (0, 1)
    }
    return {place: part for place, part in parts.items() if part.max() > 16}


def assert_like_training(cell: np.ndarray) -> None:
    """Bright on black, ink of MNIST's size in the middle, strokes as wide as MNIST's."""
    rows, columns = ink_box(cell)
    sides = rows.stop - rows.start, columns.stop - columns.start
    assert INK_SIDE - 1 <= max(sides) <= INK_SIDE
    assert abs(rows.start + rows.stop - CELL) <= 2 and abs(columns.start + columns.stop - CELL) <= 2
    assert cell.max() == 255 and 1.2 < stroke_width(cell) < 4.2


@pytest.fixture(scope="module")
def digits(request):
    return load_digits("test", request.getfixturevalue("mnist"))


def test_a_training_picture_passes_unchanged_and_so_does_its_enlargement(digits):
    for image in compose(digits, 200, seed=0).images:
        picture = Image.fromarray(image)
        assert np.array_equal(np.asarray(frame_ink(picture)), image)
    assert np.array_equal(np.asarray(frame_ink(picture.resize((448, 448), Image.Resampling.NEAREST))), image)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("size", [(280, 280), (500, 300), (1600, 1200)])
def test_mnist_digits_drawn_large_come_back_as_they_were(digits, size, inverted):
    """One to four test digits, enlarged onto a canvas: each comes back in its cell, alike to the original."""
    rng = np.random.default_rng(0)
    for trial in range(8):
        canvas, originals = np.zeros(size[::-1], np.uint8), {}
        for place in rng.permutation(4)[: trial % 4 + 1]:
            glyph = digits.images[rng.integers(len(digits.images))]
            glyph = glyph[ink_box(glyph)]
            scale = min(size) / 2 * rng.uniform(0.033, 0.044)
            large = Image.fromarray(glyph).resize(
                [int(side * scale) for side in glyph.shape[::-1]], Image.Resampling.BICUBIC
            )
            (row, column), (height, width) = divmod(int(place), 2), large.size[::-1]
            top = row * size[1] // 2 + rng.integers(2, size[1] // 2 - height)
            left = column * size[0] // 2 + rng.integers(2, size[0] // 2 - width)
            canvas[top : top + height, left : left + width] = large
            originals[row, column] = glyph
        frame = frame_ink(Image.fromarray(255 - canvas if inverted else canvas))
        found = list(cells(frame).values())
        assert len(found) == len(originals)
        for cell in found:
            assert_like_training(cell)
        # With four digits no cell is left to confuse: each must be its own original, stroke for stroke.
        for place, glyph in originals.items() if len(originals) == 4 else ():
            height, width = glyph.shape
            cell = cells(frame)[place][(CELL - height) // 2 :, (CELL - width) // 2 :][:height, :width]
            assert np.corrcoef(cell.ravel(), glyph.ravel())[0, 1] > 0.75


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("width", [2, 6, 16, 36])
@pytest.mark.parametrize("digit", STROKES)
def test_thin_and_thick_and_broken_strokes_make_one_digit(digit, width, inverted):
    (cell,) = cells(frame_ink(draw([(digit, 90, 45, 170)], width, inverted=inverted))).values()
    assert_like_training(cell)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(60, 200), st.floats(0, 1), st.floats(0, 1), st.sampled_from(sorted(STROKES)), st.booleans()
)
def test_where_and_how_large_a_digit_is_drawn_does_not_matter(height, x, y, digit, inverted):
    margin = 0.1 * height
    left, top = margin + x * (280 - height / 2 - 2 * margin - 6), margin + y * (280 - height - 2 * margin)
    frame = frame_ink(draw([(digit, left, top, height)], 0.09 * height, inverted=inverted))
    ((place, cell),) = cells(frame).items()
    assert_like_training(cell)
    rows, columns = ink_box(np.asarray(draw([(digit, left, top, height)], 0.09 * height, inverted=True)))
    centre = (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2
    assert all(abs(c - 140) < 3 or (c > 140) == bool(p) for c, p in zip(centre, place, strict=True))


def test_the_arrangement_is_kept():
    corners = [("0", 20, 20, 90), ("7", 190, 30, 90), ("1", 30, 160, 100), ("5", 170, 170, 90)]
    in_place = {
        cell: one(frame_ink(draw([corner], 10)))
        for cell, corner in zip([(0, 0), (0, 1), (1, 0), (1, 1)], corners, strict=True)
    }
    together = cells(frame_ink(draw(corners, 10)))
    assert all(np.array_equal(together[place], cell) for place, cell in in_place.items())
    without = cells(frame_ink(draw([corners[0], corners[3]], 10)))
    assert set(without) == {(0, 0), (1, 1)}


def test_digits_on_a_line_are_read_on():
    row = [("0", 20, 60, 120), ("7", 140, 70, 120), ("1", 270, 55, 120), ("5", 380, 65, 120)]
    together = cells(frame_ink(draw(row, 12, size=(500, 250))))
    for place, single in zip([(0, 0), (0, 1), (1, 0), (1, 1)], row, strict=True):
        assert np.array_equal(together[place], one(frame_ink(draw([single], 12, size=(500, 250)))))
    assert set(cells(frame_ink(draw(row[:2], 12, size=(500, 250))))) in ({(0, 0), (0, 1)}, {(1, 0), (1, 1)})


def one(frame: Image.Image) -> np.ndarray:
    (cell,) = cells(frame).values()
    return cell


def test_a_photograph_of_paper_lit_from_one_side():
    rng = np.random.default_rng(0)
    ink = 255.0 - np.asarray(draw([("7", 250, 200, 400), ("4", 750, 250, 420)], 34, size=(1200, 900)))
    paper = 205 + np.linspace(-50, 40, 1200)[None] + 6 * rng.standard_normal((900, 1200))
    photo = Image.fromarray((paper - 0.55 * ink).clip(0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(2)
    )
    found = cells(frame_ink(photo.convert("RGB")))
    assert len(found) == 2
    for cell in found.values():
        assert_like_training(cell)


def test_dirt_is_no_digit():
    picture = draw([("0", 80, 60, 160)], 14)
    picture.paste(0, (20, 20, 26, 26))
    assert len(cells(frame_ink(picture))) == 1


def test_a_small_stroke_within_a_large_frame_stays():
    """The bar of a 5, smaller than what is dirt beside the frame."""
    picture = draw([("5", 170, 150, 60)], 6, (400, 400))
    framed = picture.copy()
    ImageDraw.Draw(framed).ellipse((4, 4, 396, 396), outline=0, width=3)
    assert np.array_equal(one(frame_ink(framed)), one(frame_ink(picture)))


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_blank_picture_is_refused(value):
    with pytest.raises(ValueError, match="blank"):
        frame_ink(Image.new("RGB", (280, 280), (value,) * 3))


def test_noise_alone_is_refused():
    noise = 128 + 10 * np.random.default_rng(0).standard_normal((300, 300))
    with pytest.raises(ValueError, match="blank"):
        frame_ink(Image.fromarray(noise.astype(np.uint8)))


@pytest.mark.parametrize("size", [(1, 1), (2000, 3), (5, 5)])
def test_a_picture_too_small_for_a_digit_is_refused(size):
    with pytest.raises(ValueError, match=f"{size[0]} x {size[1]} px"):
        frame_ink(Image.effect_noise(size, 90))


def test_five_digits_are_counted_and_refused():
    five = [("0", 10, 20, 80), ("7", 80, 20, 80), ("1", 150, 20, 80), ("5", 20, 150, 80), ("7", 120, 150, 80)]
    with pytest.raises(ValueError, match="5 digits were found: at most 4"):
        frame_ink(draw(five, 8))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["half", "checks", "full noise"])
def test_what_is_no_drawing_gives_a_picture_or_words(kind):
    pixels = {
        "half": np.repeat([0, 255], 150)[None].repeat(300, 0),
        "checks": np.indices((300, 300)).sum(0) // 20 % 2 * 255,
        "full noise": np.random.default_rng(0).integers(0, 256, (300, 300)),
    }[kind].astype(np.uint8)
    words = ""
    try:
        frame = frame_ink(Image.fromarray(pixels))
    except ValueError as error:
        words = str(error)
    assert "nothing to read" in words or "blot" in words or "blank" in words or frame.size == (64, 64)


# Parts


def test_stroke_width_of_bars_and_what_mending_makes_of_it():
    for width in (4, 8, 20):
        bar = np.zeros((200, 60), np.float32)
        bar[:, 20 : 20 + width] = 255
        assert stroke_width(bar) == pytest.approx(width, rel=0.12)  # the ends count too
    filled = np.zeros((80, 60), np.float32)  # a 9 whose loop is full: its tail of 11 px is not worn away
    cv2.ellipse(filled, (25, 18), (25, 18), 0, 0, 360, 255, -1)
    filled[18:, 39:50] = 255
    assert stroke_width(filled) > 13.5
    tail = normalise(filled)[-6:].astype(float).sum(1) / 255
    assert (tail > 1.5).all()
    thin = 255.0 - np.asarray(draw([("0", 60, 30, 200)], 3), np.float32)
    mended = normalise(find_glyphs(thin)[0].ink)
    assert 1.7 < stroke_width(mended) < 2.8  # MNIST's median is 2.2 px
