"""Frame "square": the central square of a picture."""

from PIL import Image, ImageOps

from lwgan.images import open_picture


def frame_square(picture: Image.Image, side: int) -> Image.Image:
    """The largest central square of a picture, "RGB", resized to side x side px."""
    return ImageOps.fit(open_picture(picture).convert("RGB"), (side, side), Image.Resampling.LANCZOS)
