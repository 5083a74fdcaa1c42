"""celebahq:PATH: CelebA-HQ, or other photographs of faces, with a list of CelebA's form or a CSV."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lwgan.images import open_picture
from trainers.datasets.folder import Folder

LICENCE = """other
CelebA and CelebA-HQ are available for non-commercial research purposes only. The pictures were found on the
internet; their rights belong to their owners."""
ABOUT = """The pictures are photographs of celebrities in the frame of FFHQ (Karras et al., 2018 and 2019),
with the forty attributes of CelebA (Liu et al., 2015)."""
LIMITS = """- The models know faces of celebrities, cut out in the frame of FFHQ.
- The attributes are opinions of annotators about pictures. They are correlated (sex and make-up, age and
  glasses), and edits that are learned from them show that. They say nothing about the people."""
# Fig. 4 of the paper: the eight attributes in the directions that it shows.
OFFERED = ("Eyeglasses", "not-Male", "Smiling", "not-Young", "Pale_Skin", "Bangs", "Blond_Hair", "Wavy_Hair")


@dataclass
class CelebaHq(Folder):
    """Photographs of faces in FFHQ's frame, or to be brought into it."""

    resolution: int = 256
    name: str = "faces"
    title: str = "Faces"
    subject: str = "a photograph of a face"
    frame: str = "face"
    licence: str = LICENCE
    about: str = ABOUT
    limits: str = LIMITS
    align: bool = False
    """Cut out the largest face, as FFHQ does. Pictures of CelebA-HQ and FFHQ are cut already."""

    def __post_init__(self):
        super().__post_init__()
        if not self.changes and set(map(_label, OFFERED)) <= set(self.domain.attributes):
            self.changes = OFFERED
            self.domain = self._domain()

    def _framed(self, source: Path | bytes) -> Image.Image:
        if self.align:
            return super()._framed(source)
        picture = open_picture(source).convert("RGB")
        if picture.width != picture.height:
            size, hint = f"{picture.width} x {picture.height} px", "give --options align=true"
            raise ValueError(f"it has {size}, but all pictures in FFHQ's frame are square: {hint}")
        return picture.resize((self.resolution, self.resolution), Image.Resampling.LANCZOS)

    def made_of(self, split: str, rows: range) -> str:
        return super().made_of(split, rows) + f" align {self.align}"


def _label(change: str) -> str:
    return change.removeprefix("not-")
