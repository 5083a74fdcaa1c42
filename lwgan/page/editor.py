"""The work behind the page's events: a source becomes a session; a session and the sliders become pictures.

A session is a dict that describes a visitor's picture: "domain", "source" (as in recipes), "framed",
"original" (what the judge reads in it), "before" (readings.Sight of the reconstruction), "note" (on its
framing, or None), "found" (`info` of its framing), "upload" (the visitor's `uploads.Upload`, if it is one),
"whole" (the photograph it was cut out of, see `lwgan.page.photograph`, or None), "taught" (domain -> name ->
edit that this visitor taught, or that a recipe brought), "locks" (labels that stay) and, shown once,
"problem" if the last wish was refused, or "file" that the visitor asked for.

The sliders are a dict, too: "rows" [{"name", "strength"}], "current" (the index of the row in use), and what
the page repeats with each message: "domain", "made" (when the server made the panel), "moves" (since then).
"""

import math
import time
from collections.abc import Callable, Mapping

from PIL import Image

from lwgan import many, readings, recipe, taught, whole
from lwgan.domain import KINDS, is_number, short
from lwgan.edit import AffineEdit
from lwgan.files import EDIT_KINDS
from lwgan.hub.catalog import Catalog
from lwgan.hub.registry import Entry
from lwgan.images import open_picture
from lwgan.page import axis, panel, photograph, pictures, uploads, views
from lwgan.page.lesson import Lesson
from lwgan.page.several import Several
from lwgan.pipeline import MAX_ALPHA, EditingPipeline, check_alphas
from lwgan.sources import frame_each, opened
from lwgan.strength import PLACES
from lwgan.taught import Taught
from lwgan.teach import MOST

ROWS = 4  # sliders at the start; visitors can add more
EXAMPLES = 8
TRIED = 4  # samples, to find a first picture that the first edit changes
VIEWS = ("Edit", "Scrub", "Sweep", "Compare", "About", "Many", "Teach")
TAUGHT = 16  # edits that a visitor may have taught in a domain, with their mean shifts; the oldest goes


class Editor:
    """Edits pictures for visitors and callers with all pipelines of a catalog."""

    def __init__(self, catalog: Catalog):
        self.catalog = catalog

    def pipe_of(self, session: Mapping) -> EditingPipeline:
        """The pipeline of the session's domain, with what its visitor taught and locked."""
        pipe, taught = self.pipe(session.get("domain")), session.get("taught") or {}
        pipe = pipe.plus(taught[session["domain"]]) if session.get("domain") in taught else pipe
        return pipe.locking([name for name in session.get("locks", ()) if name in pipe.lockable])

    def pipe(self, domain: str | None) -> EditingPipeline:
        """The pipeline of a domain, by default the first. ValueError for an unknown one."""
        pipes = self.catalog.pipes
        if domain and (not isinstance(domain, str) or domain not in pipes):
            raise ValueError(f"domain {domain!r} is unknown: choose one of {', '.join(pipes)}")
        return pipes[domain or next(iter(pipes))]

    # --- Sources: each gives a session ------------------------------------------------------------

    def sample(self, seed: int | None, session: Mapping) -> dict:
        """The sample picture of a seed becomes the source."""
        return self._source(session, lambda pipe: (recipe.of_seed(pipe, seed), {}))

    def draw(self, drawing: str | None, session: Mapping) -> dict:
        """The drawing pad's PNG, as a data URL, becomes the source."""
        domain = self.pipe_of(session).domain
        if not domain.draw:
            return {**session, "problem": f"{domain.title} cannot be drawn here: upload a picture instead."}
        return self._picture(session, lambda: open_picture(pictures.decoded(drawing)))

    def upload(self, file: Mapping | None, session: Mapping, sliders: Mapping) -> tuple[dict, dict]:
        """A file becomes the source; a PNG made here comes back with its edits. Returns session, sliders."""
        try:
            found, note = recipe.of_png(path_of(file)), None
        except (ValueError, OSError) as error:
            found, note = None, words(error)
        if found and found.get("source"):
            try:
                return self._replay(found, session)
            except (ValueError, OSError) as error:
                note = f"The recipe in this PNG cannot be replayed, it is taken as a picture: {error}."
        session = self._file(file, {}, session)
        if note and "problem" not in session:
            session["note"] = note
        return session, sliders

    def adjust(self, message: object, session: Mapping) -> dict:
        """The upload becomes the source again, as {"turn", "invert", "crop"} of parts/adjust.js say."""
        upload = session.get("upload")
        return self._file(upload.file, message, session) if upload else {**session}

    def _file(self, file: Mapping | None, message: object, session: Mapping) -> dict:
        """A visitor's file becomes the source. It is shown, to be turned or cropped, also if refused."""
        try:
            given = uploads.open_by(path_of(file), uploads.how_of(message))
        except (ValueError, OSError) as error:
            return {**session, "problem": words(error)}
        session = self._picture(session, lambda: given.part, file=(path_of(file), given.how))
        found = {} if "problem" in session else session["found"]
        return {**session, "upload": uploads.Upload(file, uploads.value(given, found))}

    def open_link(self, link: str | None, session: Mapping, sliders: Mapping) -> tuple[dict, dict]:
        """A link, or the JSON of a recipe, becomes source and edits again. Returns session, sliders."""
        try:
            text = (link or "").strip()
            found = recipe.from_json(text) if text.startswith("{") else recipe.from_link(text)
            return self._replay(found, session)
        except (ValueError, OSError) as error:
            return {**session, "problem": words(error)}, sliders

    def _replay(self, found: Mapping, session: Mapping) -> tuple[dict, dict]:
        domain, _ = self._for_recipe(found)
        pipe = self.pipe_of({**session, "domain": domain})
        carried = recipe.carried(pipe, found)
        taught = _with_taught(session, domain, carried)
        pipe = pipe.plus(carried)
        alphas = recipe.alphas_of(pipe, found)
        locks = pipe.locking(found.get("locks", ())).locks
        session = {**self._session(domain, _source_of(found)), "taught": taught, "locks": locks}
        rows = [{"name": name, "strength": alpha / pipe.scales[name].unit} for name, alpha in alphas.items()]
        taken = {panel.key_of(pipe, name) for name in alphas}
        more = [row for row in first_rows(pipe) if panel.key_of(pipe, row["name"]) not in taken]
        return session, self.sliders(domain, rows + more, taught=taught)

    def _for_recipe(self, found: Mapping) -> tuple[str, EditingPipeline]:
        """The domain whose generator the recipe names, else the domain of the recipe's name."""
        wanted = (found.get("base") or {}).get("generator")
        for name, pipe in self.catalog.pipes.items():
            if wanted and pipe.revisions["generator"] == wanted:
                return name, pipe
        domain = found.get("domain") or next(iter(self.catalog.pipes))
        return domain, self.pipe(domain)

    def _picture(self, session: Mapping, open_it: Callable[[], Image.Image], **of) -> dict:
        """A visitor's picture becomes the source. of: as `photograph.opened` takes it."""
        return self._source(session, lambda pipe: photograph.opened(pipe, open_it(), **of))

    def hear_photograph(self, message: object, session: Mapping, sliders: Mapping) -> dict:
        """The session after what parts/whole.js sends: {"face": N}, {"residual": 0 to 1}, {"save": true}."""
        kept, message = session.get("whole"), message if isinstance(message, Mapping) else {}
        face, residual = message.get("face"), message.get("residual")
        try:
            if kept and kept["file"] and isinstance(face, int):
                of = {"file": kept["file"], "face": face, "residual": kept["residual"]}
                chosen = self._picture(session, lambda: uploads.open_by(*kept["file"]).part, **of)
                return {**chosen, "upload": session.get("upload")}
            if kept and isinstance(residual, int | float) and 0 <= residual <= 1:
                return {**session, "whole": {**kept, "residual": float(residual)}}
            if kept and kept["file"] and message.get("save"):
                alphas = self.alphas(session, sliders)
                return {**session, "file": photograph.file_of(self.pipe_of(session), kept, alphas)}
        except (ValueError, OSError) as error:
            return {**session, "problem": words(error)}
        return dict(session)

    def _source(self, session: Mapping, source: Callable[[EditingPipeline], tuple]) -> dict:
        try:
            domain = session.get("domain") or next(iter(self.catalog.pipes))
            return self._session(domain, *source(self.pipe(domain)))
        except (ValueError, OSError) as error:
            return {**session, "problem": words(error)}

    def _session(
        self, domain: str, source: Mapping, found: Mapping | None = None, whole: Mapping | None = None
    ) -> dict:  # fmt: skip
        pipe = self.pipe(domain)
        framed = recipe.source_picture(pipe, source)
        w = pipe.encode(framed)
        before = readings.look(pipe, pipe.generate(w)[0], w)
        original = readings.judge_picture(pipe, framed)
        found = found or {}
        note = sentence(found["note"]) if "note" in found else None
        what = {"domain": domain, "source": dict(source), "framed": framed, "note": note, "found": found}
        return {**what, "whole": whole, "original": original, "before": before}

    # --- Starts -----------------------------------------------------------------------------------

    def start(self, domain: str | None = None, taught: Mapping | None = None) -> tuple[dict, dict]:
        """The first picture of a domain, with its first edit at strength 1. Returns session, sliders."""
        known = isinstance(domain, str) and domain in self.catalog.pipes
        domain = domain if known else next(iter(self.catalog.pipes))
        pipe = self.pipe(domain)
        rows = first_rows(pipe)
        session = self.sample(first_seed(pipe, rows[0]["name"]) if rows else 0, {"domain": domain})
        if rows:
            rows[0]["strength"] = 1.0
        return session, self.sliders(domain, rows, taught=taught)

    def sliders(
        self, domain: str, rows: list[dict], current: int = 0, taught: Mapping | None = None
    ) -> dict:  # fmt: skip
        """The panel of sliders: the domain's edits, the rows, and which models were refused."""
        pending = self.catalog.pending  # read first: what arrives later is then still announced
        pipe = self.pipe_of({"domain": domain, "taught": taught})
        return {
            "edits": panel.edits_of(pipe), "rows": rows, "current": current, "domain": domain,
            "made": time.time(), "refused": panel.refusals(self.catalog.refused), "pending": pending,
        }  # fmt: skip

    def arrivals(self, session: Mapping, sliders: Mapping) -> dict:
        """The panel with the edits that arrived since. The page keeps its own rows, which may be newer."""
        pipe = self.pipe_of(session)
        rows = [row for row in _rows(sliders) if row["name"] in pipe.edits] or first_rows(pipe)
        current = sliders.get("current") or 0
        shown = self.sliders(session["domain"], rows, current, session.get("taught"))
        return {**shown, "keep": True, "made": sliders.get("made")}

    def has_unknown(self, session: Mapping, sliders: Mapping) -> bool:
        """Whether there is a slider for an edit that the session does not have."""
        edits = self.pipe_of(session).edits
        return any(row["name"] not in edits for row in _rows(sliders))

    def examples(self, domain: str) -> dict:
        """Pictures to start with."""
        return panel.gallery(self.pipe(domain), EXAMPLES)

    def add_taught(self, session: Mapping, sliders: Mapping, made: Taught) -> tuple[dict, dict]:
        """An edit that the visitor taught gets the first slider, its mean shift joins it. As `add_found`."""
        return self._add(session, sliders, {f"{made.name[:59]}-mean": made.mean, made.name: made.edit})

    def add_found(self, session: Mapping, sliders: Mapping, entry: Entry, token) -> tuple[dict, dict]:
        """An edit of the Hub joins this visit and gets the first slider. Returns session, sliders. ValueError
        if it does not fit a generator here."""
        if entry.refused or entry.kind not in EDIT_KINDS:
            raise ValueError(entry.refused or f"{entry.source} is of kind {entry.kind!r}, expected an edit")
        size, wanted = entry.config["weights"]["size"], (entry.config.get("base_revision") or {})
        if size > recipe.CARRIED_BYTES:
            raise ValueError(f"{entry.source} has {size} bytes, a visit takes {recipe.CARRIED_BYTES} at most")
        domain, pipe = self._for_recipe({"base": wanted})
        if pipe.revisions["generator"] != wanted.get("generator"):
            hashed = f"the generator with weights sha256 {wanted.get('generator')}"
            raise ValueError(f"{entry.source} was made for {hashed}, which is not here")
        if domain != session["domain"]:
            session, sliders = self.start(domain, session.get("taught"))
        name = entry.name if entry.name not in pipe.edits else f"hub-{entry.name}"[:64]
        edit = AffineEdit.from_pretrained(entry.source, entry.revision, token or False)
        pipe.plus({name: edit})  # ValueError if it does not fit
        return self._add(session, sliders, {name: edit})

    def _add(self, session: Mapping, sliders: Mapping, edits: Mapping) -> tuple[dict, dict]:
        """Edits join a visit; the last gets the first slider, at strength 1."""
        domain, name = session["domain"], list(edits)[-1]
        taught = _with_taught(session, domain, edits)
        others = {*self.pipe(domain).edits, *taught[domain]} - {name}
        rows = [row for row in _rows(sliders) if row["name"] in others]
        rows = [{"name": name, "strength": 1.0}, *({**row, "strength": 0.0} for row in rows)]
        return {**session, "taught": taught}, self.sliders(domain, rows, 0, taught)

    def set_lock(self, session: Mapping, name: object, on: object) -> dict:
        """The session with a label locked or not."""
        locks = [known for known in session.get("locks", ()) if known != name]
        return {**session, "locks": (*locks, *[name] * bool(on and name in self.pipe_of(session).lockable))}

    # --- Views ------------------------------------------------------------------------------------

    def show(
        self, session: Mapping, sliders: Mapping, view: str, compared: Mapping | None = None,
        lesson: Lesson | None = None, several: Several | None = None,
    ) -> dict:  # fmt: skip
        """The values of the components "status", "readings" and of the view (its name in lower case)."""
        if "before" not in session:
            line = session.get("problem", "")
            return {"status": {"line": line, "problem": True, "at": next(views.COUNTER)}}
        pipe, alphas = self.pipe_of(session), self.alphas(session, sliders)
        after = self.render(pipe, session, alphas)
        return {
            **({"whole": photograph.value(session, after.picture)} if view == "Edit" else {}),
            "readings": views.readings(pipe, session, after, alphas),
            "status": views.status(pipe, session, after, alphas),
            view.lower(): self._view(view, session, sliders, after, alphas, compared or {}, lesson, several),
        }  # fmt: skip

    def _view(
        self, view: str, session: Mapping, sliders: Mapping, after, alphas, compared: Mapping, lesson, several
    ) -> dict:
        pipe, current, domain = self.pipe_of(session), self._current(session, sliders), session["domain"]
        if view == "Edit":
            return views.edit(pipe, session, after.picture, alphas)
        if view == "Teach":
            return (lesson or Lesson(domain)).value(self.pipe(domain))
        if view == "Many":
            return (several or Several(domain)).value(pipe, alphas)
        if current is None:
            return {"empty": "There is no edit to show: add one."}
        if view == "Compare":
            return axis.compare(pipe, session, current, compared)
        if view == "About":
            return views.about(pipe, current)
        return (axis.scrub if view == "Scrub" else axis.sweep)(pipe, session, alphas, current)

    def render(self, pipe: EditingPipeline, session: Mapping, alphas: Mapping[str, float]) -> readings.Sight:
        """The edited picture, and what is read in it."""
        w = pipe.edit(session["before"].w, {name: alpha for name, alpha in alphas.items() if alpha})
        return readings.look(pipe, pipe.generate(w)[0], w)

    def alphas(self, session: Mapping, sliders: Mapping) -> dict[str, float]:
        """The rows as edit -> alpha within +-MAX_ALPHA, without unknown names. Invalid numbers count as 0."""
        scales = self.pipe_of(session).scales
        rows = [row for row in _rows(sliders) if row["name"] in scales]
        alphas = {row["name"]: scales[row["name"]].alpha(row["strength"]) for row in rows}
        return {name: min(max(alpha, -MAX_ALPHA), MAX_ALPHA) for name, alpha in alphas.items()}

    def _current(self, session: Mapping, sliders: Mapping) -> str | None:
        """The edit whose slider is in use."""
        names = [row["name"] for row in _rows(sliders) if row["name"] in self.pipe_of(session).edits]
        current = sliders.get("current")
        known = isinstance(current, int) and 0 <= current < len(names)
        return names[current] if known else next(iter(names), None)

    # --- The endpoints: ValueError or OSError for wrong arguments ---------------------------------

    def edit_image(
        self, picture: Mapping | None, edits, seed, domain: str | None, made_by, locks=()
    ) -> bytes:  # fmt: skip
        """One picture, edited, as a PNG with its recipe."""
        if not isinstance(locks, list | tuple):
            raise ValueError(f"locks is {short(locks)}, expected a list of labels")
        if made_by:
            found = recipe.from_json(made_by)
            domain, pipe = self._for_recipe(found)
            pipe = pipe.plus(recipe.carried(pipe, found)).locking(found.get("locks", ()))
            source, alphas = _source_of(found), recipe.alphas_of(pipe, found)
        else:
            alphas, pipe = edits, self._pipe_for(edits, domain)
            source, pipe = self._asked(pipe, picture, seed), pipe.locking(locks)
        # Rounded as a slider's, so that the page gives the same bytes.
        alphas = {name: round(float(alpha), PLACES) for name, alpha in alphas.items()}
        return recipe.render(pipe, source, alphas)

    def edit_many(self, files, edits, domain: str | None) -> bytes:
        """Many pictures, edited alike, as a zip archive."""
        check_alphas(edits)
        if not isinstance(files, list):
            raise ValueError("no pictures were given: expected a list of files")
        pipe = self._pipe_for(edits, domain)
        batch = many.encode(pipe, list(opened([path_of(file) for file in files], many.MOST)))
        return many.archive(pipe, batch, many.edit(pipe, batch, edits), edits)

    def edit_photograph(self, picture, edits, face, residual, domain: str | None) -> bytes:
        """A whole photograph with one of its faces edited, as a JPEG."""
        pipe = self._pipe_for(edits, domain)
        if residual is not None and not is_number(residual):
            raise ValueError(f"residual is {short(residual)}, expected a number from 0 to 1")
        found = whole.find(pipe, open_picture(path_of(picture)), 1 if face is None else face)
        (edited,) = whole.edit(pipe, found, edits, residual or 0.0)
        return whole.encoded(edited, photograph.FILE)

    def sweep(self, edit: str, alphas, picture: Mapping | None, seed, domain: str | None) -> bytes:
        """One picture at growing alphas of one edit, in a row, as a PNG with the recipe of the picture."""
        if not isinstance(edit, str):
            raise ValueError(f"edit is {edit!r}, expected a name (list_edits)")
        pipe = self._pipe_for({edit: 0.0}, domain)
        alphas = axis.sweep_alphas(pipe, edit) if alphas is None else alphas
        if not isinstance(alphas, list) or not 1 <= len(alphas) <= 32:
            given = f"a list of {len(alphas)}" if isinstance(alphas, list) else repr(alphas)
            raise ValueError(f"alphas is {given}, expected a list of 1 to 32 numbers")
        for alpha in alphas:
            check_alphas({edit: alpha})
        source = self._asked(pipe, picture, seed)
        w = pipe.encode(recipe.source_picture(pipe, source))
        strip = pictures.strip(axis.along(pipe, w, {}, edit, alphas))
        return recipe.png(strip, recipe.make(pipe, source, {}))

    def teach_edit(self, without, with_, name, kind, domain: str | None) -> bytes:
        """The model folder of an edit taught from two lists of files, as a zip archive."""
        pipe = self.pipe(domain)
        taught.check_name(pipe, name)  # before the pictures are read, which takes longer
        piles = []
        for files in (without, with_):
            if not isinstance(files, list):
                raise ValueError("a pile was not given: expected a list of files")
            named, refused = frame_each(pipe.frame, opened([path_of(file) for file in files], MOST))
            if refused:
                raise ValueError(f"{short(refused[0][0], 80)}: {refused[0][1]}")
            piles.append(taught.look(pipe, [picture for _, picture in named]))
        if kind not in (None, "", *KINDS):
            raise ValueError(f"kind is {short(kind)}, expected one of {', '.join(KINDS)}")
        return taught.make(pipe, *piles, name, kind or None).archive

    def _pipe_for(self, alphas: Mapping[str, float], domain: str | None) -> EditingPipeline:
        """The pipeline of a domain; if none is named, the first that has all these edits. ValueError for
        wrong alphas, and for an edit that the pipeline does not have."""
        check_alphas(alphas)
        having = [pipe for pipe in self.catalog.pipes.values() if alphas.keys() <= pipe.edits.keys()]
        pipe = having[0] if having and not domain else self.pipe(domain)
        for name in alphas:
            pipe.check_name(name)
        return pipe

    def _asked(self, pipe: EditingPipeline, picture: Mapping | None, seed) -> dict:
        if picture is not None:
            return recipe.of_picture(pipe.frame(open_picture(path_of(picture))))
        if seed is None:
            raise ValueError("no picture was given, and no seed of a sample")
        return recipe.of_seed(pipe, seed)

    def list_edits(self) -> list[dict]:
        """The edits of all domains, with what their strengths mean."""
        pipes = self.catalog.pipes.values()
        found = [(edit, pipe.scales[edit["name"]]) for pipe in pipes for edit in pipe.describe_edits()]
        return [{**edit, "unit": scale.unit, "expected_change_at_unit": scale.reach} for edit, scale in found]


def first_rows(pipe: EditingPipeline) -> list[dict]:
    """Sliders at 0 for the first changes, each by the best known method."""
    best: dict[str, str] = {}
    for edit in panel.edits_of(pipe):
        best.setdefault(edit["key"], edit["name"])
    return [{"name": name, "strength": 0.0} for name in list(best.values())[:ROWS]]


def first_seed(pipe: EditingPipeline, name: str) -> int:
    """A sample that an edit changes at strength 1, as the judge reads it; else a source case; else 0."""
    change = pipe.changes[name]
    seeds = pipe.seeds_of(change)[:TRIED] if change else []
    for seed in seeds if pipe.judge else []:
        w = pipe.edit(pipe.encode(pipe.sample(seed)), {name: pipe.scales[name].alpha(1.0)})
        read = pipe.read(pipe.generate(w))[0]
        if all((read.get(label, 0.5) > 0.5) == value for label, value in change.target.items()):
            return seed
    return next(iter(seeds), 0)


def _with_taught(session: Mapping, domain: str, edits: Mapping) -> dict:
    """The session's taught edits with further ones of a domain. Of more than TAUGHT the oldest go."""
    taught = dict(session.get("taught") or {})
    known = {name: edit for name, edit in taught.get(domain, {}).items() if name not in edits}
    return {**taught, domain: dict([*known.items(), *edits.items()][-TAUGHT:])}


def _source_of(found: Mapping) -> Mapping:
    if not found.get("source"):
        raise ValueError("the recipe names no source")
    return found["source"]


def _rows(sliders: Mapping | None) -> list[dict]:
    """The valid rows, strengths as finite floats."""
    rows = sliders.get("rows") if isinstance(sliders, Mapping) else None
    rows = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    rows = [row for row in rows if isinstance(row.get("name"), str)]
    return [{"name": row["name"], "strength": _finite(row.get("strength"))} for row in rows]


def _finite(value) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else 0.0


def path_of(file: Mapping | None) -> str:
    """The path of a file that Gradio has received and checked."""
    if not isinstance(file, Mapping) or not file.get("path"):
        raise ValueError("no picture was given")
    return file["path"]


def words(error: Exception) -> str:
    """An error as a sentence for visitors. Messages of the system may contain paths: they are not shown."""
    if isinstance(error, OSError) and error.strerror:
        return sentence(f"the machine that serves this page cannot do that: {error.strerror}")
    ours = isinstance(error, ValueError) and not isinstance(error, UnicodeError)
    return sentence(str(error) if ours else "that picture could not be read")


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "." * (text[-1:] not in (".", "?"))
