"""Animations as Pillow reads them back."""

import io

import numpy as np
import pytest
from PIL import Image

from lwgan.animation import LARGEST, MILLISECONDS, REST, SHARES, animation, kind_of


def greys(*values: int, side: int = 32) -> list[Image.Image]:
    return [Image.new("L", (side, side), value) for value in values]


def read(data: bytes) -> tuple[list[int], list[int]]:
    """The grey of each frame and how long it stays, in ms."""
    with Image.open(io.BytesIO(data)) as film:
        seen, durations = [], []
        for i in range(film.n_frames):
            film.seek(i)
            film.load()
            seen.append(int(np.asarray(film.convert("L")).mean().round()))
            durations.append(film.info["duration"])
        assert film.info["loop"] == 0
        return seen, durations


@pytest.mark.parametrize("kind", ["WEBP", "GIF"])
def test_the_change_goes_there_and_back_and_rests_at_both_ends(kind):
    seen, durations = read(animation(greys(10, 90, 170, 250), kind))
    assert np.abs(np.array(seen) - [10, 90, 170, 250, 170, 90]).max() <= 3
    step = MILLISECONDS // 10 * 10  # GIF counts hundredths of a second
    assert durations == [REST, step, step, REST, step, step]


def test_a_gif_shows_the_colours_of_all_its_pictures():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    with Image.open(io.BytesIO(animation([Image.new("RGB", (32, 32), c) for c in colours], "GIF"))) as film:
        for i, colour in enumerate(colours):
            film.seek(i)
            assert np.abs(np.array(film.convert("RGB").getpixel((5, 5))) - colour).max() <= 4


def test_large_pictures_are_reduced():
    film = Image.open(
        io.BytesIO(animation([Image.new("RGB", (3000, 1500)), Image.new("RGB", (3000, 1500), 9)]))
    )
    assert film.size == (LARGEST, LARGEST // 2)


def test_one_picture_is_an_animation_too():
    assert read(animation(greys(7), "GIF"))[0] == [7]


def test_the_shares_begin_without_the_edit_and_end_with_it():
    assert (SHARES[0], SHARES[-1]) == (0, 1) and np.allclose(np.diff(SHARES), SHARES[1])


@pytest.mark.parametrize("name", ["a.png", "a", "webp", "a.gif.jpg"])
def test_another_ending_is_refused(name):
    assert (kind_of("A.GIF"), kind_of("x.b.webp")) == ("GIF", "WEBP")
    with pytest.raises(ValueError, match="an animation in .webp or .gif"):
        kind_of(name)
