"""The whole photograph in the view Edit: before and after, which face, how much of its detail, the file.

A session keeps of a photograph {"shown": whole.Photograph, reduced; "file": (path, uploads.How), by which it
is opened again, or None; "residual"}.
"""

from collections.abc import Mapping

from PIL import Image

from lwgan import recipe, whole
from lwgan.page import uploads
from lwgan.page.pictures import url, webp_url
from lwgan.pipeline import EditingPipeline

SHOWN = 1024  # px: the page shows photographs of at most this size
FILE = "photograph.jpg"


def opened(
    pipe: EditingPipeline, picture: Image.Image, file: tuple | None = None, face: int = 1,
    residual: float = 0.0,
) -> tuple[dict, dict, dict | None]:  # fmt: skip
    """Of a picture that a visitor gave: the source, the `info` of the framed picture, the photograph, which
    is None in domains whose pictures are not cut out of photographs."""
    if not whole.has_places(pipe):
        framed = pipe.frame(picture)
        return recipe.of_picture(framed), framed.info, None
    found = whole.find(pipe, picture, face)
    kept = {"shown": found.reduced(SHOWN), "file": file, "residual": residual}
    return recipe.of_picture(found.framed), found.framed.info, kept


def value(session: Mapping, after: Image.Image) -> dict:
    """What the component shows: both photographs, the places of the faces in them (0 to 1), and the file
    once it was asked for."""
    if (kept := session.get("whole")) is None:
        return {}
    shown, residual = kept["shown"], kept["residual"]
    edited = whole.put_back(shown, session["before"].picture, after, residual)
    faces = [(quad.mean(0) / shown.picture.size).round(4).tolist() for quad in shown.quads]
    what = {"faces": faces, "chosen": shown.chosen + 1, "residual": residual, "file": session.get("file")}
    return {"before": webp_url(shown.picture), "after": webp_url(edited), **what}


def file_of(pipe: EditingPipeline, kept: Mapping, alphas: Mapping[str, float]) -> str:
    """The edited photograph at its full size, as the data URL of a JPEG. ValueError or OSError if its file is
    gone."""
    photograph = whole.find(pipe, uploads.open_by(*kept["file"]).part, kept["shown"].chosen + 1)
    (edited,) = whole.edit(pipe, photograph, alphas, kept["residual"])
    return url(whole.encoded(edited, FILE), "image/jpeg")
