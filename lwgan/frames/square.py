"""Frames "square" and "wide": the middle of a picture."""

from PIL import Image, ImageOps

from lwgan.images import open_picture

BLACK = 24  # of 255: bands that a JPEG or a generator drew are less bright


def frame_square(picture: Image.Image, side: int) -> Image.Image:
    """The largest central square of a picture, "RGB", resized to side x side px."""
    return ImageOps.fit(open_picture(picture).convert("RGB"), (side, side), Image.Resampling.LANCZOS)


def frame_wide(picture: Image.Image, side: int) -> Image.Image:
    """The largest central 4:3 part of a picture, "RGB", between black bands: side x side px, as the cars of
    StyleGAN2 are. A square picture's bands, if it has them, are cut off before."""
    picture, band = open_picture(picture).convert("RGB"), side // 8
    (width, height), edge = picture.size, picture.height // 8
    bands = (0, 0, width, edge), (0, height - edge, width, height)
    if width == height and all(picture.crop(box).convert("L").getextrema()[1] < BLACK for box in bands):
        picture = picture.crop((0, edge, width, height - edge))
    framed = Image.new("RGB", (side, side))
    framed.paste(ImageOps.fit(picture, (side, side - 2 * band), Image.Resampling.LANCZOS), (0, band))
    return framed
