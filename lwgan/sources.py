"""Pictures in files of strangers: also in zip archives, the pages of a TIFF, the capitals of a font."""

import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageSequence

from lwgan.domain import short
from lwgan.images import open_picture

SIZE = 64_000_000  # bytes of all files together, unpacked
FONTS = (b"\0\1\0\0", b"OTTO", b"true", b"ttcf", b"wOFF", b"wOF2")  # how font files begin
TIFFS = (b"II*\0", b"MM\0*")
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
GLYPH, MARGIN = 240, 40  # px: the size at which a font is drawn; the white around a glyph
LARGEST = 4 * GLYPH  # px: a larger glyph is no capital


def opened(files: Sequence[Path], most: int) -> Iterator[tuple[str, Image.Image]]:
    """(name, picture) of all pictures in files, in order.

    most: the largest number of pictures. ValueError, by the file's name, for a file that does not open, and
    for more than `most` pictures or SIZE bytes."""
    count, limits = 0, f"{most} pictures and {SIZE // 1_000_000} MB are the most at a time"
    for path, data in _members(files, limits):
        name = short(Path(path).name, 80)
        try:
            for part, picture in _pictures(data, most - count):
                count += 1
                yield f"{Path(path).name}{part}", picture
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if count > most:
            raise ValueError(f"these are too many pictures: {limits}")


def frame_each(
    frame: Callable[[Image.Image], Image.Image], named: Iterable[tuple[str, Image.Image]]
) -> tuple[list[tuple[str, Image.Image]], list[tuple[str, str]]]:
    """(name, framed picture) of all pictures that can be framed, and (name, reason) of the others.

    frame: raises ValueError for a picture that cannot be framed (`EditingPipeline.frame`)."""
    framed, refused = [], []
    for name, picture in named:
        try:
            framed.append((name, frame(picture)))
        except ValueError as error:
            refused.append((name, str(error)))
    return framed, refused


def files_in(place: Path) -> list[Path]:
    """The files of a folder, sorted, without hidden ones; or the file itself. FileNotFoundError if absent."""
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise FileNotFoundError(f"there is no folder {place}")
    return sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))


def _members(files: Sequence[Path], limits: str) -> Iterator[tuple[str, bytes]]:
    """(name, contents) of each file, also of those in zip archives. The sizes that an archive states are
    checked before anything is unpacked."""
    size = 0

    def within(length: int) -> None:
        nonlocal size
        size += length
        if size > SIZE:
            raise ValueError(f"these files are too large: {limits}")

    for path in map(Path, files):
        if not zipfile.is_zipfile(path):
            within(path.stat().st_size)
            yield path.name, path.read_bytes()
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                for info in archive.infolist():
                    hidden = Path(info.filename).name.startswith(".") or "__MACOSX" in info.filename
                    if not info.is_dir() and not hidden:  # a zip of macOS holds a shadow of each file
                        within(info.file_size)
                        yield info.filename, archive.read(info)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
            raise ValueError(f"{short(path.name, 80)} cannot be unpacked") from error


def _pictures(data: bytes, most: int) -> Iterator[tuple[str, Image.Image]]:
    """What a file shows, and what to add to its name: at most most + 1 pages of a TIFF."""
    if data[:4] in FONTS:
        yield from _capitals(data)
    elif data[:4] in TIFFS and (pages := _pages(data, most)):
        yield from ((f" page {i}", page) for i, page in enumerate(pages, 1))
    else:
        yield "", open_picture(data)


def _pages(data: bytes, most: int) -> list[Image.Image]:
    """The pages of a TIFF, none if it has only one or does not open."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if getattr(picture, "n_frames", 1) == 1:
                return []
            pages = zip(range(most + 1), ImageSequence.Iterator(picture), strict=False)
            return [open_picture(page.copy()) for _, page in pages]
    except (OSError, SyntaxError):
        return []


def _capitals(data: bytes) -> Iterator[tuple[str, Image.Image]]:
    """The capitals of a font, black on white. ValueError for a font that does not open or has none."""
    try:
        font = ImageFont.truetype(io.BytesIO(data), GLYPH, layout_engine=ImageFont.Layout.BASIC)
        missing = bytes(font.getmask("\U0010ffff"))  # what the font shows in place of a missing glyph
        found = [(letter, font.getbbox(letter, anchor="ls")) for letter in CAPITALS
                 if font.getmask(letter).getbbox() and bytes(font.getmask(letter)) != missing]  # fmt: skip
    except OSError:
        raise ValueError("that font is damaged, or of a format that is not supported") from None
    if not found:
        raise ValueError("that font has none of the capitals A to Z")
    for letter, (left, top, right, bottom) in found:
        if max(right - left, bottom - top) > LARGEST:
            raise ValueError(f"the glyph {letter} of that font is too large")
        page = Image.new("L", (right - left + 2 * MARGIN, bottom - top + 2 * MARGIN), 255)
        ImageDraw.Draw(page).text((MARGIN - left, MARGIN - top), letter, 0, font, anchor="ls")
        yield f" {letter}", page
