"""Drawings for the tests, and files of every kind that a visitor may upload, good and bad."""

import io

import numpy as np
from PIL import Image, ImageDraw, PngImagePlugin, features

# Digits as strokes in a box 1 wide and 2 high; the bar of the 5 and the stem of the 4 do not touch the rest.
STROKES = {
    "0": [[(0.5 + 0.5 * np.cos(a), 1 + np.sin(a)) for a in np.linspace(0, 6.4, 40)]],
    "1": [[(0.5, 0), (0.4, 2)]],
    "4": [[(0.7, 0), (0, 1.3), (0.75, 1.3)], [(0.85, 0.7), (0.85, 2)]],
    "5": [
        [(0.1, 0.2), (0.05, 0.8), (0.6, 0.7), (1, 1.2), (0.8, 1.8), (0.3, 2), (0, 1.8)],
        [(0.25, 0), (1.05, 0)],
    ],
    "7": [[(0, 0), (1, 0), (0.4, 2)]],
}


def draw(
    digits: list[tuple[str, float, float, float]], width: float, size=(280, 280), inverted=False
) -> Image.Image:
    """Each (digit, x, y, height) in black on white, `size` = (width, height); or inverted."""
    picture = Image.new("L", size, 255)
    pen = ImageDraw.Draw(picture)
    for digit, left, top, height in digits:
        for stroke in STROKES[digit]:
            points = [(left + x * height / 2, top + y * height / 2) for x, y in stroke]
            pen.line(points, fill=0, width=round(width))
            for x, y in points:
                pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=0)
    return picture.point(lambda value: 255 - value) if inverted else picture


def saved(picture: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def turned(picture: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees clockwise
    return saved(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)


def inked(picture: Image.Image, mode: str) -> bytes:
    """All black, and its ink is what is not transparent."""
    black = Image.new(mode, picture.size, (0,) * len(mode))
    black.putalpha(picture.point(lambda value: 255 - value))
    return saved(black, "PNG")


def with_clear_paper(picture: Image.Image) -> bytes:
    indexed = picture.point(lambda value: int(value < 128)).convert("P")
    indexed.putpalette([0] * 768)
    return saved(indexed, "PNG", transparency=0)


KINDS = {
    "PNG": lambda picture: saved(picture, "PNG"),
    "JPEG turned by its EXIF": turned,
    "RGBA": lambda picture: inked(picture, "RGBA"),
    "LA": lambda picture: inked(picture, "LA"),
    "palette with a transparent colour": with_clear_paper,
    "palette GIF": lambda picture: saved(picture.convert("RGB").quantize(8), "GIF"),
    "animated WEBP": lambda picture: saved(
        picture.convert("RGB"),
        "WEBP",
        save_all=True,
        append_images=[Image.new("RGB", picture.size, "white")],
        lossless=True,
    ),
    "CMYK JPEG": lambda picture: saved(picture.convert("RGB").convert("CMYK"), "JPEG", quality=95),
    "16-bit PNG": lambda picture: saved(Image.fromarray(np.asarray(picture).astype(np.uint16) * 257), "PNG"),
}


def much_text() -> bytes:
    """A small PNG that unpacks to 2 MB of text, more than Pillow takes."""
    text = PngImagePlugin.PngInfo()
    text.add_itxt("much", "x" * 2_000_000, zip=True)
    return saved(Image.new("L", (64, 64)), "PNG", pnginfo=text)


def torn_avif() -> bytes:
    """Its index points nowhere."""
    data = bytearray(saved(Image.effect_noise((64, 64), 90).convert("RGB"), "AVIF"))
    data[81] = 255
    return bytes(data)


BAD = {
    "text": (b"not a picture", "does not open as a picture"),
    "empty": (b"", "does not open as a picture"),
    "PDF": (b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n", "a PDF: export the page"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript file"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing: export it"),
    "SVG after an XML line": (
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>",
        "an SVG drawing or another XML file",
    ),
    "web page": (b"\n<!DOCTYPE html><html></html>", "a web page: save the picture itself"),
    "ZIP": (b"PK\x03\x04" + bytes(40), "a ZIP archive or an Office document"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    "MP4": (b"\0\0\0\x18ftypmp42" + bytes(40), "a video"),
    "JPEG XL": (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    "torn HEIC": (b"\0\0\0\x18ftypheic" + bytes(40), "does not open as a picture"),
    "half a PNG": (saved(Image.effect_noise((64, 64), 90), "PNG")[:1500], "damaged"),
    "half a JPEG": (saved(Image.effect_noise((64, 64), 90), "JPEG")[:700], "damaged"),
    "much text": (much_text(), "damaged"),
    "torn PPM": (b"P3 2 2 255\n1 2 x", "damaged"),
    **({"torn AVIF": (torn_avif(), "damaged")} if features.check("avif") else {}),
    "41 megapixels": (saved(Image.new("1", (8200, 5000)), "PNG"), "has 41 megapixels, more than 40"),
    "200 megapixels": (saved(Image.new("1", (20000, 10000)), "PNG"), "more than 40 megapixels"),
}
