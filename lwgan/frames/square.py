"""Frame "square": the middle square of a picture."""

from PIL import Image, ImageOps

from lwgan.images import open_picture


def frame_square(picture: Image.Image, side: int) -> Image.Image:
    """The middle square of a picture, "RGB", side x side px. One of that size passes unchanged."""
    return ImageOps.fit(open_picture(picture).convert("RGB"), (side, side), Image.Resampling.LANCZOS)
