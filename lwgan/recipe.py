"""Recipes: all that it takes to make a picture again, as JSON, in a PNG's text, in a link.

    {"lwgan": "1.0", "recipe": 1, "domain": "multimnist", "base": {"generator": sha256, "encoder": sha256},
     "source": {"seed": 6, "pictures": sha256 or null} or {"png": base64 of the framed picture},
     "edits": [{"name": "lwgan-multimnist-lw-1to2", "alpha": 0.82, "sha256": sha256}]}

Weights are named by their sha256. On one machine the same recipe gives the same bytes.
"""

import base64
import io
import json
import zlib
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, PngImagePlugin

from lwgan.frames.face import mark_framed
from lwgan.images import MAX_MEGAPIXELS, open_picture
from lwgan.pipeline import EditingPipeline, check_alphas

VERSION = "1.0"  # of the app
FORMAT = 1
KEY = "lwgan"  # the PNG's text chunk
LIMIT = 2_000_000  # bytes of JSON
LINK_LIMIT = 12_000  # characters: longer addresses are cut off by some servers
MAX_SEED = 2**31 - 1


def make(pipe: EditingPipeline, source: Mapping, alphas: Mapping[str, float]) -> dict:
    """The recipe of a source (`of_seed` or `of_picture`) with these edits; those at 0 are left out."""
    edits = [
        {"name": name, "alpha": alpha, "sha256": _sha256(pipe, name)}
        for name, alpha in sorted(alphas.items())
        if alpha
    ]
    base = {role: pipe.revisions[role] for role in ("generator", "encoder")}
    return {
        "lwgan": VERSION,
        "recipe": FORMAT,
        "domain": pipe.config["domain"],
        "base": base,
        "source": dict(source),
        "edits": edits,
    }


def of_seed(pipe: EditingPipeline, seed: int) -> dict:
    """The source that a seed's sample picture is. ValueError for a seed out of range."""
    if (
        isinstance(seed, bool)
        or not isinstance(seed, (int, float))
        or not 0 <= seed <= MAX_SEED
        or int(seed) != seed
    ):
        raise ValueError(f"seed {seed}: a whole number from 0 to {MAX_SEED} is needed")
    return {"seed": int(seed), "pictures": pipe.revisions.get("pictures")}


def of_picture(framed: Image.Image) -> dict:
    """The source that a framed picture is."""
    return {"png": base64.b64encode(png(framed)).decode()}


def source_picture(pipe: EditingPipeline, source: Mapping) -> Image.Image:
    """The framed picture of a source. ValueError if it is none, or another registry's sample."""
    if "seed" in source:
        picture = pipe.sample(of_seed(pipe, source["seed"])["seed"])
        _same("sample pictures", source.get("pictures"), pipe.revisions.get("pictures"))
        return pipe.frame(picture)
    try:
        return pipe.frame(mark_framed(open_picture(base64.b64decode(source["png"], validate=True))))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the recipe's source is no picture ({error})") from None


def alphas_of(pipe: EditingPipeline, recipe: Mapping) -> dict[str, float]:
    """The edits of a recipe as name -> alpha, in names of this registry. ValueError if the recipe was made with other weights."""
    for role in ("generator", "encoder"):
        _same(role, (recipe.get("base") or {}).get(role), pipe.revisions[role])
    alphas = {}
    for edit in recipe.get("edits") or []:
        wanted, name = edit.get("sha256"), edit.get("name")
        if wanted and (
            name not in pipe.edits or _sha256(pipe, name) != wanted
        ):  # a model may go by another name here
            name = next((known for known in pipe.edits if _sha256(pipe, known) == wanted), name)
        pipe.check_name(name)
        _same(f"edit {name}", wanted, _sha256(pipe, name))
        alphas[name] = edit.get("alpha")
    check_alphas(alphas)
    return alphas


def _sha256(pipe: EditingPipeline, name: str) -> str | None:
    return (pipe.edits[name].config.get("weights") or {}).get("sha256")


def _same(what: str, recorded: str | None, here: str | None) -> None:
    if recorded and recorded != here:
        raise ValueError(
            f"the recipe was made with another {what} (sha256 {recorded[:12]}) than the one here ({(here or 'none')[:12]})"
        )


# --- JSON, PNG, link -------------------------------------------------------------------------------------------------


def to_json(recipe: Mapping) -> str:
    return json.dumps(recipe, separators=(",", ":"), sort_keys=True, allow_nan=False)


def from_json(text: str | bytes | Mapping) -> dict:
    """A recipe from its JSON, its form checked. ValueError in words."""
    try:
        recipe = dict(text) if isinstance(text, Mapping) else json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("the recipe is no JSON") from None
    if not isinstance(recipe, dict):
        raise ValueError(f"the recipe is a {type(recipe).__name__}, expected an object")
    version = recipe.get("recipe", FORMAT)
    if type(version) is not int or not 1 <= version <= FORMAT:
        raise ValueError(f"the recipe has version {version!r}, this app reads up to {FORMAT}")
    for key, kind in (("source", dict), ("base", dict), ("edits", list)):
        if not isinstance(recipe.get(key, kind()), kind):
            raise ValueError(
                f"the recipe's {key} is {recipe[key]!r}, expected {'an object' if kind is dict else 'a list'}"
            )
    for edit in recipe.get("edits", []):
        if not isinstance(edit, dict) or not isinstance(edit.get("name"), str):
            raise ValueError(f"the recipe holds the edit {edit!r}, expected an object with name and alpha")
    base, source = recipe.get("base", {}), recipe.get("source", {})
    words = {"domain": recipe.get("domain"), "base": [*base.values()], "source's pictures": source.get("pictures"), "source's png": source.get("png"),
             "edits' sha256": [edit.get("sha256") for edit in recipe.get("edits", [])]}  # fmt: skip
    for key, value in words.items():
        for word in value if isinstance(value, list) and key.startswith(("base", "edits")) else [value]:
            if not isinstance(word, (str, type(None))):
                raise ValueError(f"the recipe's {key}: {word!r} is no string")
    return recipe


def png(picture: Image.Image, recipe: Mapping | None = None) -> bytes:
    """The picture as a PNG, with its recipe in the text."""
    file, text = io.BytesIO(), PngImagePlugin.PngInfo()
    if recipe is not None:
        text.add_text(KEY, to_json(recipe))
    picture.save(file, "PNG", pnginfo=text)
    return file.getvalue()


def of_png(file: str | Path | bytes) -> dict | None:
    """The recipe in a PNG's text; None if there is none, or the file is no PNG. ValueError if it is broken."""
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as picture:
            small = (
                picture.width * picture.height <= MAX_MEGAPIXELS * 1e6
            )  # its text is read only after all of its pixels
            text = (
                picture.text.get(KEY) if isinstance(picture, PngImagePlugin.PngImageFile) and small else None
            )
    except Exception:  # Pillow's many decoders raise much
        return None  # whoever opens the picture will say what is wrong with it
    return None if text is None else from_json(text)


def to_link(recipe: Mapping) -> str | None:
    """What stands behind `?edit=`; None if it would be too long for an address."""
    text = base64.urlsafe_b64encode(zlib.compress(to_json(recipe).encode(), 9)).decode().rstrip("=")
    return text if len(text) <= LINK_LIMIT else None


def from_link(text: str) -> dict:
    """The recipe of a link, or of what stands behind its `?edit=`. ValueError in words."""
    text = text.strip().rpartition("edit=")[2].partition("&")[0].partition("#")[0]
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        unpacked = zlib.decompressobj().decompress(packed, LIMIT)
        json.loads(unpacked)  # what was cut off within is said to be so, not to be a broken recipe
    except (ValueError, RecursionError, zlib.error):
        raise ValueError("that link holds no recipe: it may have been cut off") from None
    return from_json(unpacked)
