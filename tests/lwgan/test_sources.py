"""Pictures out of files: archives, pages and fonts, good and bad."""

import re
import zipfile
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageFont

from lwgan.sources import CAPITALS, SIZE, files_in, opened

DEJAVU = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


def write(path: Path, picture: Image.Image) -> Path:
    picture.save(path)
    return path


def pictures(*files: Path, most: int = 100) -> list[Image.Image]:
    return [picture for _, picture in opened(files, most)]


def test_pictures_come_from_files_and_zips(tmp_path):
    files = [write(tmp_path / f"{shade}.png", Image.new("L", (9, 9), shade)) for shade in (10, 20)]
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(files[0], "deep/../../inner.png")  # a path that leads out is never written anywhere
        archive.write(files[1], "__MACOSX/inner.png")
        archive.write(files[1], "deep/.hidden.png")
    found = list(opened(files_in(tmp_path), 100))
    assert [name for name, _ in found] == ["10.png", "20.png", "inner.png"]
    assert [picture.getpixel((0, 0)) for _, picture in found] == [10, 20, 10]
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        files_in(tmp_path / "none")


def test_a_tiff_opens_as_its_pages(tmp_path):
    pages = [Image.new("L", (9, 9), shade) for shade in (10, 20, 30)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    found = list(opened([tmp_path / "pages.tif"], 3))
    assert [name for name, _ in found] == ["pages.tif page 1", "pages.tif page 2", "pages.tif page 3"]
    assert [picture.getpixel((0, 0)) for _, picture in found] == [10, 20, 30]
    with pytest.raises(ValueError, match="too many pictures: 2 pictures and 64 MB are the most"):
        pictures(tmp_path / "pages.tif", most=2)


def test_a_font_opens_as_its_capitals():
    found = list(opened([DEJAVU], 26))
    assert "".join(name[-1] for name, _ in found) == CAPITALS
    font = ImageFont.truetype(str(DEJAVU), 240)
    for letter, (_, picture) in zip(CAPITALS, found, strict=True):
        ink = 255 - np.asarray(picture).astype(int)
        assert abs(ink.sum() / np.asarray(font.getmask(letter)).sum() - 1) < 0.02
        assert not ink[0].any() and not ink[:, 0].any() and not ink[-1].any() and not ink[:, -1].any()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("notes.png", b"no picture", "that file does not open as a picture"),
        ("font.ttf", b"\0\1\0\0 torn", "that font is damaged"),
        ("page.tif", b"II*\0 torn", "that file does not open as a picture|damaged"),
        ("files.zip", b"PK\3\4 torn", "ZIP archive"),
    ],
)
def test_what_does_not_open_is_named(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=f"{name}'?: .*({words})") as caught:
        pictures(tmp_path / name)
    assert str(tmp_path) not in str(caught.value)


def test_archives_that_do_harm_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(SIZE + 1))
    with pytest.raises(ValueError, match="too large: 100 pictures and 64 MB"):
        pictures(tmp_path / "bomb.zip")
    broken = (tmp_path / "bomb.zip").read_bytes()
    (tmp_path / "broken.zip").write_bytes(broken[:40] + b"\0" * 30 + broken[70:])
    with pytest.raises(ValueError, match=r"broken\.zip|too large"):
        pictures(tmp_path / "broken.zip")
    one = write(tmp_path / "one.png", Image.new("L", (2, 2)))
    assert len(pictures(*[one] * 100)) == 100
    with pytest.raises(ValueError, match="too many pictures: 100 pictures"):
        pictures(*[one] * 101)


def test_an_archive_that_is_damaged_anywhere_is_refused_by_its_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "good.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(write(tmp_path / "a.png", Image.effect_noise((30, 20), 50)), "a.png")
    good, said = (tmp_path / "good.zip").read_bytes(), []
    for at in range(30, len(good) - 30, 5):
        (tmp_path / "bad.zip").write_bytes(good[:at] + b"\xff\x00\xff" + good[at + 3 :])
        try:
            pictures(tmp_path / "bad.zip")
        except ValueError as error:
            said.append(str(error))
    assert len(said) > len(good) / 10
    assert all(re.search("bad.zip|a.png|too large", message) for message in said)
