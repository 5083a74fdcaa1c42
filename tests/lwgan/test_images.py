"""Pictures of all kinds are opened as they look, and become tensors and pictures again."""

import subprocess
import sys

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


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_fewer_bits_in_sixteen_are_scaled_by_their_own_range(bits):
    ramp = np.linspace(0, 2**bits - 1, 256).round().astype(np.uint16)[None].repeat(4, 0)
    pixels = np.asarray(open_picture(saved(Image.fromarray(ramp), "PNG")))
    assert abs(pixels[0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (0, 65535), (-3, 5), (0, 1e6)])
def test_float_tiffs_are_scaled_and_holes_are_dark(low, high):
    ramp = np.linspace(low, high, 256).astype(np.float32)[None].repeat(4, 0)
    ramp[3, :] = np.nan
    pixels = np.asarray(open_picture(saved(Image.fromarray(ramp), "TIFF")))
    assert abs(pixels[0].astype(int) - np.arange(256)).max() <= 1 and pixels[3].max() == 0


@pytest.mark.parametrize("size", [(9000, 6000), (8064, 6048), (12000, 9000)])
def test_a_large_jpeg_is_decoded_smaller(size):
    picture = Image.new("L", size, 255)
    picture.paste(0, (0, 0, size[0] // 2, size[1]))
    opened = open_picture(saved(picture, "JPEG"))
    assert opened.width * opened.height <= 20e6 and opened.width / opened.height == pytest.approx(4 / 3, 0.15)
    left, right = np.asarray(opened)[:, [opened.width // 4, opened.width * 3 // 4]].mean(0)
    assert left < 5 and right > 250


LARGE = [("RGBA", (7800, 5000), "PNG"), ("I;16", (7800, 5000), "PNG"), ("F", (7800, 5000), "TIFF"),
         ("L", (14000, 14000), "JPEG")]  # fmt: skip
OPENING = """
import io, os
from PIL import Image
from lwgan.images import open_picture
for mode, size, form in {}:
    data = io.BytesIO()
    Image.new(mode, size).save(data, form, compress_level=1)
    if not os.fork():  # the memory for making the picture does not count
        before = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
        open_picture(data.getvalue())
        peak = [int(line.split()[1]) / 1e3 for line in open("/proc/self/status") if "VmHWM" in line][0]
        print(peak - before, flush=True)
        os._exit(0)
    os.wait()
"""


def test_opening_a_large_picture_takes_little_memory():
    """39 megapixels, or a JPEG of 196: at most 300 MB more than before, each in a process of its own."""
    run = subprocess.run([sys.executable, "-c", OPENING.format(LARGE)], capture_output=True, text=True)
    taken = [float(line) for line in run.stdout.split()]
    assert len(taken) == len(LARGE) and max(taken) < 300, dict(zip(LARGE, taken, strict=False))


@pytest.mark.parametrize(("side", "sampling"), [(6500, 0), (9000, 2), (20000, 2)])
def test_a_progressive_jpeg_that_needs_more_memory_is_refused(side, sampling):
    """Its header is enough: before decoding it smaller, libjpeg would hold all coefficients, 2 bytes each."""
    data = bytearray(saved(Image.new("RGB", (16, 16)), "JPEG", progressive=True, subsampling=sampling))
    assert open_picture(bytes(data)).size == (16, 16)
    at = data.index(b"\xff\xc2") + 5  # the frame's height and width, after marker, length and depth
    data[at : at + 4] = 2 * side.to_bytes(2, "big")
    with pytest.raises(ValueError, match=f"progressive JPEG of {side**2 / 1e6:.0f} megapixels, too large"):
        open_picture(bytes(data))


@pytest.mark.parametrize("turn", [False, True])
def test_heic_opens_under_any_name(tmp_path, turn):
    pillow_heif = pytest.importorskip("pillow_heif")
    drawing = draw([("7", 30, 20, 100)], 12, size=(280, 240)).convert("RGB")
    exif = Image.Exif()
    exif[274] = 6 if turn else 1
    path = tmp_path / "photo.jpg"
    heif = pillow_heif.from_pillow(drawing.rotate(90, expand=True) if turn else drawing)
    heif.save(path, quality=90, exif=exif.tobytes(), format="HEIF")
    opened = open_picture(path)
    assert opened.size == drawing.size
    assert np.abs(np.asarray(opened.convert("L"), float) - np.asarray(drawing.convert("L"), float)).mean() < 2


def test_white_ink_on_nothing_is_seen_on_black_paper():
    drawing = draw([("7", 30, 20, 100)], 12, size=(280, 240))
    white = Image.new("RGBA", drawing.size, "white")
    white.putalpha(drawing.point(lambda value: 255 - value))
    pixels = np.asarray(open_picture(saved(white, "PNG")).convert("L"))
    assert np.array_equal(pixels, 255 - np.asarray(drawing))


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_picture_that_shows_something(format):
    blank, drawing = Image.new("L", (280, 240), 255), draw([("7", 30, 20, 100)], 12, size=(280, 240))
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(
        blank, format, save_all=True, append_images=[blank, drawing, blank.point(lambda value: 0)], **options
    )
    assert np.abs(np.asarray(open_picture(data).convert("L"), float) - np.asarray(drawing, float)).mean() < 1


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
