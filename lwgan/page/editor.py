"""What the page's events call: a source becomes a session, a session and the sliders become a picture.

A session is a visitor's source: {"domain", "source" (as recipes have it), "framed", "original" (what the judge reads in it), "before"
(readings.Sight of the reconstruction), "note" (what there is to say of how it was framed)}; and "problem", if the last source was refused.
The sliders are {"rows": [{"name", "strength"}], "current": the row in use}, and what the page says again with each message: "domain",
"made" (when the panel was), "moves" (of the visitor since).
"""

import base64
import math
import time
from collections.abc import Callable, Iterable, Mapping

from PIL import Image

from lwgan import readings, recipe
from lwgan.hub.catalog import Catalog
from lwgan.images import open_picture
from lwgan.methods import METHODS
from lwgan.page import axis, panel, pictures, views
from lwgan.pipeline import MAX_ALPHA, EditingPipeline, check_alphas
from lwgan.strength import PLACES

ROWS = 4  # sliders that are there at the start; more can be added
EXAMPLES = 8
VIEWS = ("Edit", "Scrub", "Sweep", "Compare", "About")


class Editor:
    def __init__(self, catalog: Catalog):
        self.catalog = catalog

    def pipe_of(self, session: Mapping) -> EditingPipeline:
        return self.pipe(session.get("domain"))

    def pipe(self, domain: str | None) -> EditingPipeline:
        """The pipeline of a domain, by default the first. ValueError for one that is not there."""
        pipes = self.catalog.pipes
        if domain and (not isinstance(domain, str) or domain not in pipes):
            raise ValueError(f"domain {domain!r} is unknown: choose one of {', '.join(pipes)}")
        return pipes[domain or next(iter(pipes))]

    # --- Sources: each gives a session -------------------------------------------------------------------------------

    def sample(self, seed: int | None, session: Mapping) -> dict:
        """The sample picture of a seed becomes the source."""
        return self._source(session, lambda pipe: recipe.of_seed(pipe, seed))

    def draw(self, drawing: str | None, session: Mapping) -> dict:
        """The pad's PNG, as a data URL, becomes the source."""
        return self._picture(session, lambda: open_picture(_decode(drawing)))

    def upload(self, file: Mapping | None, session: Mapping, sliders: Mapping) -> tuple[dict, dict]:
        """An uploaded file becomes the source; one made by this app comes back with its edits. -> session, sliders"""
        try:
            found = recipe.of_png(path_of(file))
            note = None
        except ValueError as error:
            found, note = None, words(error)
        if found and found.get("source"):
            try:
                return self._replay(found)
            except (ValueError, OSError) as error:
                note = f"The recipe in this PNG cannot be replayed, it is taken as a picture: {error}."
        session = self._picture(session, lambda: open_picture(path_of(file)))
        if note and "problem" not in session:
            session["note"] = note
        return session, sliders

    def open_link(self, link: str | None, session: Mapping, sliders: Mapping) -> tuple[dict, dict]:
        """A link, or the JSON of a recipe, made here becomes source and edits again. -> session, sliders"""
        try:
            text = (link or "").strip()
            return self._replay(recipe.from_json(text) if text.startswith("{") else recipe.from_link(text))
        except (ValueError, OSError) as error:
            return {**session, "problem": words(error)}, sliders

    def _replay(self, found: Mapping) -> tuple[dict, dict]:
        domain, pipe = self._for_recipe(found)
        alphas = recipe.alphas_of(pipe, found)
        session = self._session(domain, _source_of(found))
        rows = [{"name": name, "strength": alpha / pipe.scales[name].unit} for name, alpha in alphas.items()]
        taken = {_transition(pipe.edits[row["name"]].config) for row in rows}
        more = [row for row in first_rows(pipe) if _transition(pipe.edits[row["name"]].config) not in taken]
        return session, self.sliders(domain, rows + more)

    def _for_recipe(self, found: Mapping) -> tuple[str, EditingPipeline]:
        """The domain whose generator the recipe names, else the one of its name."""
        wanted = (found.get("base") or {}).get("generator")
        for name, pipe in self.catalog.pipes.items():
            if wanted and pipe.revisions["generator"] == wanted:
                return name, pipe
        domain = found.get("domain") or next(iter(self.catalog.pipes))
        return domain, self.pipe(domain)

    def _picture(self, session: Mapping, open_it: Callable[[], Image.Image]) -> dict:
        notes: list[str] = []

        def source(pipe: EditingPipeline) -> dict:
            framed = pipe.frame(open_it())
            notes.extend(filter(None, [framed.info.get("note")]))
            return recipe.of_picture(framed)

        session = self._source(session, source)
        return {**session, "note": sentence(notes[0])} if notes else session

    def _source(self, session: Mapping, source: Callable[[EditingPipeline], dict]) -> dict:
        try:
            domain = session.get("domain") or next(iter(self.catalog.pipes))
            return self._session(domain, source(self.pipe(domain)))
        except (ValueError, OSError) as error:
            return {**session, "problem": words(error)}

    def _session(self, domain: str, source: Mapping) -> dict:
        pipe = self.pipe(domain)
        framed = recipe.source_picture(pipe, source)
        w = pipe.encode(framed)
        before = readings.look(pipe, pipe.generate(w)[0], w)
        original = readings.judge_picture(pipe, framed)
        return {
            "domain": domain,
            "source": dict(source),
            "framed": framed,
            "original": original,
            "before": before,
            "note": None,
        }

    # --- Starts ------------------------------------------------------------------------------------------------------

    def start(self, domain: str | None = None) -> tuple[dict, dict]:
        """The first picture of a domain, with its first edit at strength 1. -> session, sliders"""
        domain = (
            domain
            if isinstance(domain, str) and domain in self.catalog.pipes
            else next(iter(self.catalog.pipes))
        )
        pipe = self.pipe(domain)
        rows = first_rows(pipe)
        label = pipe.edits[rows[0]["name"]].config.get("from") if rows else None
        session = self.sample(pipe.seed_of(label), {"domain": domain})
        if rows:
            rows[0]["strength"] = 1.0
        return session, self.sliders(domain, rows)

    def sliders(self, domain: str, rows: list[dict], current: int = 0) -> dict:
        """What the panel of sliders shows: the domain's edits, the rows, and what was refused."""
        catalog, pending = (
            self.catalog,
            self.catalog.pending,
        )  # asked first: what comes after this is still on its way
        return {
            "edits": panel.edits_of(self.pipe(domain)), "rows": rows, "current": current, "domain": domain, "made": time.time(),
            "refused": panel.refusals(catalog.refused), "pending": pending,
        }  # fmt: skip

    def arrivals(self, session: Mapping, sliders: Mapping) -> dict:
        """The panel, with what has come since. The page keeps its rows as they are by then: the visitor goes on meanwhile."""
        rows = [row for row in _rows(sliders) if row["name"] in self.pipe_of(session).edits]
        shown = self.sliders(
            session["domain"], rows or first_rows(self.pipe_of(session)), sliders.get("current") or 0
        )
        return {**shown, "keep": True, "made": sliders.get("made")}

    def examples(self, domain: str) -> dict:
        """Pictures to start with."""
        return panel.gallery(self.pipe(domain), EXAMPLES)

    # --- Views -------------------------------------------------------------------------------------------------------

    def show(self, session: Mapping, sliders: Mapping, view: str, compared: Mapping | None = None) -> dict:
        """What the page shows: {"status", "readings", and the name of the view in lower case}, each the value of a component."""
        if "before" not in session:
            return {
                "status": {"line": session.get("problem", ""), "problem": True, "at": next(views.COUNTER)}
            }
        pipe, alphas, current = (
            self.pipe_of(session),
            self.alphas(session, sliders),
            self._current(session, sliders),
        )
        after = self.render(pipe, session, alphas)
        shown = {
            "readings": views.readings(pipe, session, after, alphas),
            "status": views.status(pipe, session, after, alphas),
        }
        if view == "Edit":
            return {**shown, "edit": views.edit(pipe, session, after.picture, alphas)}
        if current is None:
            return {**shown, view.lower(): {"empty": "There is no edit to show: add one."}}
        if view in ("Scrub", "Sweep"):
            return {
                **shown,
                view.lower(): (axis.scrub if view == "Scrub" else axis.sweep)(pipe, session, alphas, current),
            }
        if view == "Compare":
            return {**shown, "compare": axis.compare(pipe, session, current, compared or {})}
        return {**shown, "about": views.about(pipe, current)}

    def render(self, pipe: EditingPipeline, session: Mapping, alphas: Mapping[str, float]) -> readings.Sight:
        """The edited picture, and what is read in it."""
        w = pipe.edit(session["before"].w, {name: alpha for name, alpha in alphas.items() if alpha})
        return readings.look(pipe, pipe.generate(w)[0], w)

    def alphas(self, session: Mapping, sliders: Mapping) -> dict[str, float]:
        """The rows as edit -> alpha, within what edits take. What no slider sends (unknown names, no numbers) counts as no edit."""
        pipe, found = self.pipe_of(session), {}
        for row in _rows(sliders):
            if row["name"] in pipe.edits:
                found[row["name"]] = min(
                    max(pipe.scales[row["name"]].alpha(row["strength"]), -MAX_ALPHA), MAX_ALPHA
                )
        return found

    def _current(self, session: Mapping, sliders: Mapping) -> str | None:
        """The edit whose slider is in use."""
        names = [row["name"] for row in _rows(sliders) if row["name"] in self.pipe_of(session).edits]
        current = sliders.get("current")
        return (
            names[current]
            if isinstance(current, int) and 0 <= current < len(names)
            else next(iter(names), None)
        )

    # --- The endpoints' work: ValueError or OSError for what will not do -----------------------------------------------

    def edit_image(self, picture: Mapping | None, edits, seed, domain: str | None, made_by) -> bytes:
        """One picture, edited, as a PNG with its recipe."""
        if made_by:
            found = recipe.from_json(made_by)
            domain, pipe = self._for_recipe(found)
            source, alphas = _source_of(found), recipe.alphas_of(pipe, found)
        else:
            alphas = edits
            check_alphas(alphas)
            pipe = self._pipe_with(alphas, domain)
            for name in alphas:
                pipe.check_name(name)
            source = self._asked(pipe, picture, seed)
        # As a slider has them, so that the page gives the same bytes.
        alphas = {name: round(float(alpha), PLACES) for name, alpha in alphas.items()}
        w = pipe.encode(recipe.source_picture(pipe, source))
        result = pipe.generate(pipe.edit(w, {name: alpha for name, alpha in alphas.items() if alpha}))[0]
        return recipe.png(result, recipe.make(pipe, source, alphas))

    def sweep(self, edit: str, alphas, picture: Mapping | None, seed, domain: str | None) -> bytes:
        """One picture at growing alphas of one edit, in a row, as a PNG with the recipe of the picture."""
        if not isinstance(edit, str):
            raise ValueError(f"edit is {edit!r}, expected a name (list_edits)")
        pipe = self._pipe_with([edit], domain)
        pipe.check_name(edit)
        alphas = axis.sweep_alphas(pipe, edit) if alphas is None else alphas
        if not isinstance(alphas, list):
            raise ValueError(f"alphas is {alphas!r}, expected a list of 1 to 32 numbers")
        if not 1 <= len(alphas) <= 32:
            raise ValueError(f"there are {len(alphas)} alphas, expected 1 to 32")
        for alpha in alphas:
            check_alphas({edit: alpha})
        source = self._asked(pipe, picture, seed)
        w = pipe.encode(recipe.source_picture(pipe, source))
        return recipe.png(
            pictures.strip(axis.along(pipe, w, {}, edit, alphas)), recipe.make(pipe, source, {})
        )

    def _pipe_with(self, names: Iterable[str], domain: str | None) -> EditingPipeline:
        """The pipeline of a domain; if none is named, of the first that has these edits."""
        there = [pipe for pipe in self.catalog.pipes.values() if all(name in pipe.edits for name in names)]
        return there[0] if there and not domain else self.pipe(domain)

    def _asked(self, pipe: EditingPipeline, picture: Mapping | None, seed) -> dict:
        if picture is None and seed is None:
            raise ValueError("no picture was given, and no seed of a sample")
        return (
            recipe.of_seed(pipe, seed)
            if picture is None
            else recipe.of_picture(pipe.frame(open_picture(path_of(picture))))
        )

    def list_edits(self) -> list[dict]:
        """The edits of all domains, with what their strengths mean."""
        return [
            panel.described(pipe, edit)
            for pipe in self.catalog.pipes.values()
            for edit in pipe.describe_edits()
        ]


def _source_of(found: Mapping) -> Mapping:
    if not found.get("source"):
        raise ValueError("the recipe names no source")
    return found["source"]


def first_rows(pipe: EditingPipeline) -> list[dict]:
    """A slider for each of the first few changes, by the best known method, at 0."""
    chosen: dict[tuple, str] = {}
    for name in sorted(pipe.edits, key=lambda name: rank(pipe.edits[name].config.get("method"))):
        chosen.setdefault(_transition(pipe.edits[name].config), name)
    order = {name: i for i, name in enumerate(pipe.edits)}
    return [{"name": name, "strength": 0.0} for name in sorted(chosen.values(), key=order.get)[:ROWS]]


def rank(method: str | None) -> tuple[int, str]:
    """Where a method stands among the known ones; others come last."""
    return (list(METHODS).index(method) if method in METHODS else len(METHODS), method or "")


def _transition(config: Mapping) -> tuple:
    """What an edit changes, whatever its method."""
    named = tuple(config.get(key) for key in ("attribute", "from", "to"))
    return named if any(named) else (id(config),)


def _rows(sliders: Mapping | None) -> list[dict]:
    """The rows that make sense, strengths as finite floats."""
    rows = (sliders or {}).get("rows") if isinstance(sliders, Mapping) else None
    found = []
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, Mapping) and isinstance(row.get("name"), str):
            strength = row.get("strength")
            good = (
                isinstance(strength, (int, float))
                and not isinstance(strength, bool)
                and math.isfinite(strength)
            )
            found.append({"name": row["name"], "strength": float(strength) if good else 0.0})
    return found


def path_of(file: Mapping | None) -> str:
    """The path of a file that Gradio has taken in and checked to be one of its own."""
    if not isinstance(file, Mapping) or not file.get("path"):
        raise ValueError("no picture was given")
    return file["path"]


def _decode(drawing: str | None) -> bytes:
    head, _, body = (drawing or "").partition(",")
    if head != "data:image/png;base64":
        raise ValueError("the pad sent no PNG")
    return base64.b64decode(body)


def words(error: Exception) -> str:
    """An error as a sentence for visitors. What the system says of files may hold paths: it stays here."""
    return sentence(
        str(error)
        if isinstance(error, ValueError) and not isinstance(error, UnicodeError)
        else "that picture could not be read"
    )


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "." * (text[-1:] not in (".", "?"))
