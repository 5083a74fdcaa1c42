"""Recipes: everything needed to make a picture again, as JSON, in a PNG's text, or in a link.

    {"lwgan": "1.0", "recipe": 1, "domain": "shoes", "base": {"generator": sha256, "encoder": sha256},
     "source": {"seed": 6, "pictures": sha256 or null} or {"png": base64 of the framed picture},
     "edits": [{"name": "lwgan-shoes-lw-leather", "alpha": 0.82, "sha256": sha256}]}

Weights are named by their sha256. "locks" lists labels that stay, if any do (`lwgan.lock`). Only an edit
that a visitor taught has further keys: "taught", its name for people, and "config" and "weights" (base64),
the files of its model folder, which a link leaves out. The same recipe gives the same bytes on the same
machine. Recipes come from strangers: `from_json` checks their form, `alphas_of`, `carried` and
`source_picture` check them against the models.
"""

import base64
import io
import json
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakKeyDictionary

from PIL import Image, PngImagePlugin

from lwgan.domain import NAME, short
from lwgan.edit import AffineEdit
from lwgan.files import CONFIG, WEIGHTS
from lwgan.images import MAX_MEGAPIXELS, mark_framed, open_picture
from lwgan.pipeline import EditingPipeline, check_alphas

VERSION = "1.0"  # of the app
FORMAT = 1
KEY = "lwgan"  # keyword of the PNG's text chunk
LIMIT = 2_000_000  # bytes of JSON
LINK_LIMIT = 12_000  # characters: some servers cut longer addresses off
MAX_SEED = 2**31 - 1
BASE = ("generator", "encoder")
CARRIED, CARRIED_BYTES = 16, 4_000_000  # edits whose weights a recipe may hold; base64 characters of each
_PACKED: WeakKeyDictionary[AffineEdit, dict] = WeakKeyDictionary()


def make(pipe: EditingPipeline, source: Mapping, alphas: Mapping[str, float]) -> dict:
    """The recipe of a source (`of_seed` or `of_picture`) and of edits, without those at alpha 0, unless they
    are locked."""
    locked = {name: 0.0 for name in pipe.locks if name in pipe.added}
    used = sorted((name, alpha) for name, alpha in (locked | dict(alphas)).items() if alpha or name in locked)
    edits = [
        {"name": name, "alpha": alpha, "sha256": _sha256(pipe, name)}
        | (_packed(pipe.added[name]) if name in pipe.added else {})
        for name, alpha in used
    ]
    base = {role: pipe.revisions.get(role) for role in BASE}
    locks = {"locks": list(pipe.locks)} if pipe.locks else {}
    return {"lwgan": VERSION, "recipe": FORMAT, "domain": pipe.domain.name, "base": base,
            "source": dict(source), "edits": edits, **locks}  # fmt: skip


def render(pipe: EditingPipeline, source: Mapping, alphas: Mapping[str, float]) -> bytes:
    """The edited picture of a source, as a PNG with its recipe."""
    w = pipe.encode(source_picture(pipe, source))
    picture = pipe.generate(pipe.edit(w, {name: alpha for name, alpha in alphas.items() if alpha}))[0]
    return png(picture, make(pipe, source, alphas))


def of_seed(pipe: EditingPipeline, seed: int) -> dict:
    """The source of a sample picture. ValueError unless the seed is a whole number from 0 to MAX_SEED."""
    whole = isinstance(seed, int | float) and not isinstance(seed, bool)
    if not whole or not 0 <= seed <= MAX_SEED or int(seed) != seed:
        raise ValueError(f"seed {seed}: a whole number from 0 to {MAX_SEED} is needed")
    return {"seed": int(seed), "pictures": pipe.revisions.get("pictures")}


def of_picture(framed: Image.Image) -> dict:
    """The source of a framed picture (`EditingPipeline.frame`)."""
    return {"png": base64.b64encode(png(framed)).decode()}


def source_picture(pipe: EditingPipeline, source: Mapping) -> Image.Image:
    """The framed picture of a source. ValueError if it is no picture, or a sample of another registry."""
    if "seed" in source:
        picture = pipe.sample(of_seed(pipe, source["seed"])["seed"])
        _check_same("sample pictures", source.get("pictures"), pipe.revisions.get("pictures"))
        return pipe.frame(picture)
    try:
        return pipe.frame(mark_framed(open_picture(base64.b64decode(source["png"], validate=True))))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the recipe's source is no picture ({error})") from None


def alphas_of(pipe: EditingPipeline, recipe: Mapping) -> dict[str, float]:
    """The edits of a recipe, name here -> alpha. ValueError if the recipe was made with other weights."""
    for role in BASE:
        _check_same(role, (recipe.get("base") or {}).get(role), pipe.revisions.get(role))
    alphas = {}
    for edit in recipe.get("edits") or []:
        name = _name_here(pipe, edit.get("name"), edit.get("sha256"))
        if edit.get("taught") and name not in pipe.edits:
            taught = f"the edit {short(edit['taught'])}, which was taught elsewhere"
            raise ValueError(f"{taught}, is missing: a link has no room for its weights, the PNG holds them")
        pipe.check_name(name)
        _check_same(f"edit {name}", edit.get("sha256"), _sha256(pipe, name))
        alphas[name] = edit.get("alpha")
    check_alphas(alphas)
    return alphas


def _name_here(pipe: EditingPipeline, name: str, sha256: str | None) -> str:
    """The name of the edit with these weights, which may be another one in this registry; else `name`."""
    if not sha256 or (name in pipe.edits and _sha256(pipe, name) == sha256):
        return name
    return next((known for known in pipe.edits if _sha256(pipe, known) == sha256), name)


def carried(pipe: EditingPipeline, recipe: Mapping) -> dict[str, AffineEdit]:
    """The edits whose weights the recipe holds and the pipeline does not have, for `pipe.plus`.

    ValueError if they are damaged, too many or too large, or if another edit here has the name."""
    edits = [edit for edit in recipe.get("edits") or [] if edit.get("weights")]
    if len(edits) > CARRIED:
        raise ValueError(f"the recipe holds the weights of {len(edits)} edits, at most {CARRIED} are read")
    found = {}
    for edit in edits:
        name = edit["name"]
        here = _name_here(pipe, name, edit.get("sha256"))
        if here in pipe.edits and _sha256(pipe, here) == edit.get("sha256"):
            continue
        if name in pipe.edits or not NAME.fullmatch(name):
            raise ValueError(f"the recipe brings an edit {short(name)}: another one here has that name")
        found[name] = _unpacked(name, edit)
    return found


def _packed(edit: AffineEdit) -> dict:
    """What a recipe holds of an edit that is in no registry. It is made once: a slider asks at each move."""
    if edit not in _PACKED:
        with tempfile.TemporaryDirectory() as folder:
            edit.save_pretrained(folder)
            config, weights = ((Path(folder) / name).read_bytes() for name in (CONFIG, WEIGHTS))
        named = (edit.config.get("change") or {}).get("name", "")
        _PACKED[edit] = {
            "taught": named, "config": json.loads(config), "weights": base64.b64encode(weights).decode(),
        }  # fmt: skip
    return _PACKED[edit]


def _unpacked(name: str, edit: Mapping) -> AffineEdit:
    if len(edit["weights"]) > CARRIED_BYTES:
        said = f"{len(edit['weights'])} characters of weights, at most {CARRIED_BYTES} are read"
        raise ValueError(f"the recipe's edit {name!r} has {said}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / name
        folder.mkdir()
        try:
            (folder / WEIGHTS).write_bytes(base64.b64decode(edit["weights"], validate=True))
            (folder / CONFIG).write_text(json.dumps(edit.get("config")), "utf-8")
            return AffineEdit.from_pretrained(folder)
        except ValueError as error:
            raise ValueError(str(error).replace(str(folder), f"the recipe's edit {name!r}")) from None


def _sha256(pipe: EditingPipeline, name: str) -> str | None:
    return (pipe.edits[name].config.get("weights") or {}).get("sha256")


def _check_same(what: str, recorded: str | None, here: str | None) -> None:
    if recorded and recorded != here:
        hashes = f"sha256 {recorded[:12]}) than the one here ({(here or 'none')[:12]})"
        raise ValueError(f"the recipe was made with another {what} ({hashes}")


def to_json(recipe: Mapping) -> str:
    """The recipe as compact JSON with sorted keys: equal recipes give equal text."""
    return json.dumps(recipe, separators=(",", ":"), sort_keys=True, allow_nan=False)


def from_json(text: str | bytes | Mapping) -> dict:
    """A recipe from its JSON. ValueError if its form is wrong."""
    try:
        recipe = dict(text) if isinstance(text, Mapping) else json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("the recipe is no JSON") from None
    if not isinstance(recipe, dict):
        raise ValueError(f"the recipe is a {type(recipe).__name__}, expected an object")
    version = recipe.get("recipe", FORMAT)
    if type(version) is not int or not 1 <= version <= FORMAT:
        raise ValueError(f"the recipe has version {version!r}, this app reads up to {FORMAT}")
    for key, kind in (("source", dict), ("base", dict), ("edits", list), ("locks", list)):
        if not isinstance(recipe.get(key, kind()), kind):
            expected = "an object" if kind is dict else "a list"
            raise ValueError(f"the recipe's {key} is {recipe[key]!r}, expected {expected}")
    for edit in recipe.get("edits", []):
        if not isinstance(edit, dict) or not isinstance(edit.get("name"), str):
            raise ValueError(f"the recipe holds the edit {edit!r}, expected an object with name and alpha")
    for key, value in _texts(recipe):
        if not isinstance(value, str | None):
            raise ValueError(f"the recipe's {key}: {value!r} is no string")
    return recipe


def _texts(recipe: Mapping) -> list[tuple[str, object]]:
    """All values of a recipe that must be strings or null, with their names for errors."""
    source = recipe.get("source", {})
    return [("domain", recipe.get("domain")), ("source's pictures", source.get("pictures")),
            ("source's png", source.get("png")),
            *(("base", value) for value in recipe.get("base", {}).values()),
            *(("locks", label) for label in recipe.get("locks", [])),
            *((f"edits' {key}", edit.get(key)) for edit in recipe.get("edits", [])
              for key in ("sha256", "taught", "weights"))]  # fmt: skip


def png(picture: Image.Image, recipe: Mapping | None = None) -> bytes:
    """The picture as the bytes of a PNG, with the recipe in its text."""
    file, text = io.BytesIO(), PngImagePlugin.PngInfo()
    if recipe is not None:
        text.add_text(KEY, to_json(recipe))
    picture.save(file, "PNG", pnginfo=text)
    return file.getvalue()


def of_png(file: str | Path | bytes) -> dict | None:
    """The recipe in a PNG's text; None without one or for another file. ValueError if it is broken."""
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as picture:
            # Pillow decodes all pixels to read the text behind them: too large a picture is left alone.
            readable = picture.width * picture.height <= MAX_MEGAPIXELS * 1e6
            is_png = isinstance(picture, PngImagePlugin.PngImageFile)
            text = picture.text.get(KEY) if is_png and readable else None
    except Exception:  # of many kinds, from Pillow's decoders; opening the picture later gives the message
        return None
    return None if text is None else from_json(text)


def to_link(recipe: Mapping) -> str | None:
    """The value of `?edit=` in a link, without weights; None if it would be longer than LINK_LIMIT."""
    light = lambda edit: {key: value for key, value in edit.items() if key not in ("config", "weights")}
    recipe = {**recipe, "edits": [light(edit) for edit in recipe.get("edits", [])]}
    text = base64.urlsafe_b64encode(zlib.compress(to_json(recipe).encode(), 9)).decode().rstrip("=")
    return text if len(text) <= LINK_LIMIT else None


def from_link(text: str) -> dict:
    """The recipe of a link, or of the value of its `?edit=`. ValueError if it is damaged."""
    text = text.strip().rpartition("edit=")[2].partition("&")[0].partition("#")[0]
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        unpacked = zlib.decompressobj().decompress(packed, LIMIT)
        json.loads(unpacked)  # a link that was cut off gets this message, not that of a broken recipe
    except (ValueError, RecursionError, zlib.error):
        raise ValueError("that link holds no recipe: it may have been cut off") from None
    return from_json(unpacked)
