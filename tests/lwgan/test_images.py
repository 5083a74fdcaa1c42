"""Pictures of all kinds are opened as they look, and become tensors and pictures again."""

import numpy as np
import pytest
import torch
from PIL import Image

from lwgan.images import open_picture, to_pil, to_tensor
from tests.pictures import BAD, KINDS, draw, saved


def test_a_photograph_turned_by_its_exif_stands_upright():
    picture = Image.new("L", (40, 20), 255)
    picture.paste(0, (0, 0, 10, 20))  # black on the left
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees clockwise
    upright = open_picture(saved(picture, "JPEG", exif=exif))
    assert upright.size == (20, 40)
    assert (
        np.asarray(upright)[:8].mean() < 30 and np.asarray(upright)[-8:].mean() > 225
    )  # the left has become the top


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white_paper(mode):
    if mode == "P":
        picture = Image.new("P", (8, 8), 0)
        picture.putpalette([0, 0, 0, 0, 0, 0] + [0] * 750)
        picture.paste(1, (0, 0, 4, 8))
        data = saved(picture, "PNG", transparency=0)
    else:
        picture = Image.new(mode, (8, 8), (0,) * len(mode))  # black, but transparent
        picture.paste((0,) * (len(mode) - 1) + (255,), (0, 0, 4, 8))
        data = saved(picture, "PNG")
    pixels = np.asarray(open_picture(data).convert("L"))
    assert (pixels[:, :4] == 0).all() and (pixels[:, 4:] == 255).all()


def test_sixteen_bits_are_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    pixels = np.asarray(open_picture(saved(Image.fromarray(ramp), "PNG")))
    assert abs(pixels[0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize(
    ("mode", "format", "expected"),
    [("CMYK", "JPEG", "RGB"), ("1", "PNG", "L"), ("P", "GIF", "RGB"), ("RGB", "WEBP", "RGB")],
)
def test_other_kinds_come_as_grey_or_rgb(mode, format, expected):
    source = Image.new("RGB", (16, 16), (200, 200, 200)).convert(mode)
    opened = open_picture(saved(source, format))
    assert (
        opened.mode == expected
        and np.abs(np.asarray(opened.convert("L")).astype(int) - np.asarray(source.convert("L"))).max() < 6
    )


def test_of_an_animation_the_first_picture():
    first, second = Image.new("L", (16, 16), 255), Image.new("L", (16, 16), 0)
    assert np.asarray(open_picture(saved(first, "GIF", save_all=True, append_images=[second]))).min() == 255


# Pictures on white of every kind that visitors have, by how they are written.


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_is_opened_as_it_looks(kind):
    drawing = draw([("7", 30, 20, 100), ("0", 170, 150, 100)], 12, size=(280, 240))
    opened = open_picture(KINDS[kind](drawing))
    assert opened.mode in ("L", "RGB") and opened.size == drawing.size
    difference = np.abs(np.asarray(opened.convert("L"), float) - np.asarray(drawing, float))
    assert difference.mean() <= (1.5 if "JPEG" in kind else 0)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_words_without_its_path(name, tmp_path):
    data, words = BAD[name]
    path = tmp_path / "upload.png"
    path.write_bytes(data)
    for source in (path, data):
        with pytest.raises(ValueError, match=words) as refusal:
            open_picture(source)
        assert str(tmp_path) not in str(refusal.value)


def test_a_missing_file_is_named_without_its_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file missing\.png$"):
        open_picture(tmp_path / "missing.png")


def test_pictures_to_tensor_and_back():
    rng = np.random.default_rng(0)
    for shape in ((64, 64), (32, 32, 3)):
        pictures = [Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8)) for _ in range(3)]
        x = to_tensor(pictures)
        assert (
            x.shape == (3, shape[2] if len(shape) == 3 else 1, *shape[:2]) and x.min() >= -1 and x.max() <= 1
        )
        assert all(
            np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(pictures, to_pil(x), strict=True)
        )
    assert (
        to_tensor(Image.new("L", (2, 2), 255)).eq(1).all()
        and to_tensor(Image.new("L", (2, 2), 0)).eq(-1).all()
    )
    assert np.asarray(to_pil(torch.full((1, 1, 2, 2), 7.0))[0]).min() == 255  # beyond the range is clipped


@pytest.mark.parametrize(
    "pictures", [[], [Image.new("L", (2, 2)), Image.new("L", (3, 3))], [Image.new("CMYK", (2, 2))]]
)
def test_pictures_that_make_no_batch_are_refused(pictures):
    with pytest.raises(ValueError, match="picture"):
        to_tensor(pictures)
