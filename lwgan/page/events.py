"""What happens when a visitor does something. Each event is one call, which returns all that changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import gradio as gr

from lwgan.devices import aside
from lwgan.page import account
from lwgan.page.editor import Editor, path_of, words
from lwgan.page.endpoints import MODEL
from lwgan.page.lesson import Lesson
from lwgan.page.texts import choices, heading, small_print, upload_label
from lwgan.page.visit import Visit
from lwgan.pipeline import EditingPipeline

PRIVATE = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "always_last"}
# parts/status.js shows the progress of events between these two messages.
BUSY = "(...given) => { document.dispatchEvent(new Event('lwgan-busy')); return given; }"
DONE = "() => { document.dispatchEvent(new Event('lwgan-done')); }"
FORGOTTEN = (
    "Your picture is no longer on the server, which keeps it for an hour, or less when there are very many "
    "visitors: this is a sample."
)

ONCE = ("problem", "file")  # what of a session is shown once
MOST_ACTS = 200  # of a visitor in one message of the tab Teach


def nothing(visit: Visit) -> None:
    """The work of an event that only brings the sliders and the view, as every event does."""


class Events:
    """Connects the components `ui` with an Editor."""

    def __init__(self, ui: SimpleNamespace, editor: Editor):
        self.ui, self.editor = ui, editor
        self.by_domain = [ui.sliders, ui.waiting, ui.gallery, ui.pad, ui.head, ui.small, ui.domain, ui.upload]
        self.always = [ui.opened, ui.visit, ui.sliders, ui.view]  # the last inputs of every event
        self.everything = [ui.visit, ui.seed, *self.by_domain, *ui.shown.values()]
        self.moved = [ui.visit, *(ui.shown[name] for name in ("readings", "status", "whole", "edit"))]

    def add(self, demo: gr.Blocks) -> None:
        """Adds all events. Some inputs are not preprocessed: lwgan refuses bad ones in its own words."""
        ui, on, editor = self.ui, self.on, self.editor
        on(ui.gallery.input, lambda chosen, visit: self.choose_seed(chosen["seed"], visit), ui.gallery)
        on(ui.another.click, lambda seed, visit: self.choose_seed((seed or 0) + 1, visit), ui.seed)
        on(partial(gr.on, [ui.seed.input, ui.seed.submit]), self.choose_seed, ui.seed)
        on(ui.pad.input, partial(self.become, editor.draw), ui.pad)
        # Not `input`, which also comes when a picture is removed and when a visitor turns to the webcam.
        on(ui.upload.upload, partial(self.replay, editor.upload), ui.upload, preprocess=False)
        on(ui.shown["adjust"].input, partial(self.become, editor.adjust), ui.shown["adjust"])
        opened = partial(gr.on, [ui.open.click, ui.link.submit])
        on(opened, partial(self.replay, editor.open_link), ui.link)
        on(ui.sliders.input, nothing)
        moved = self.connect(ui.sliders.move, self.move, self.always, self.moved)
        on(moved.failure, nothing)
        private = {"inputs": self.always, "outputs": self.everything, "concurrency_id": "hub"}
        self.connect(ui.push.click, self.push, **private)
        found = partial(gr.on, [ui.add.click, ui.found.submit])
        self.connect(found, self.find, **{**private, "inputs": [ui.found, *self.always]})
        on(ui.shown["readings"].input, self.lock, ui.shown["readings"])
        # An answer to an earlier message would take the place of one that waits ("always_last").
        on(ui.shown["whole"].input, self.photograph, ui.shown["whole"], trigger_mode="multiple")
        on(ui.shown["compare"].input, self.compare, ui.shown["compare"])
        teach = partial(aside, self.teach)
        on(ui.shown["teach"].input, teach, ui.shown["teach"], trigger_mode="multiple")
        queued = {"show_progress": "full", "show_progress_on": ui.shown["teach"]}  # the place in the queue
        on(ui.shown["teach"].submit, teach, ui.shown["teach"], trigger_mode="multiple", **queued)
        on(ui.shown["many"].input, partial(aside, self.pack), ui.shown["many"])
        for files, work in ((ui.files, self.drop), (ui.several, self.gather)):
            on(files.upload, partial(aside, work), files, preprocess=False)
        for files in (ui.upload, ui.files, ui.several):
            files.upload(None, None, files, js="() => null", **PRIVATE)  # ready for more
        # Gradio would refuse a domain that came from the Hub if it forgot the visitor's session meanwhile.
        on(ui.domain.input, self.change_domain, ui.domain, preprocess=False)
        self.connect(demo.load, self.load, self.always, [ui.opened, *self.everything])
        for view, tab in ui.tabs.items():
            # The browser sets the view at once: a deferred event would begin with the view open before.
            tab.select(None, None, ui.view, js=f"() => '{view}'", **{**PRIVATE, "trigger_mode": "multiple"})
            on(tab.select, nothing, trigger_mode="multiple")
        ui.waiting.tick(self.arrive, [ui.visit, ui.sliders], [ui.sliders, ui.domain, ui.waiting], **PRIVATE)

    def on(self, trigger, work, *inputs, **options) -> None:
        """An event that calls work(*inputs, visit) and shows what has changed."""
        self.connect(trigger, partial(self.act, work), [*inputs, *self.always], self.everything, **options)

    def connect(self, trigger, function, inputs, outputs, **options):
        """Adds an event whose progress the page shows. Returns it, so that others can follow it."""
        done = trigger(function, inputs, outputs, js=BUSY, **{**PRIVATE, **MODEL, **options})
        done.success(None, js=DONE, **PRIVATE)
        done.failure(None, js=DONE, **PRIVATE)  # Gradio 6.31 runs no `then` after these events
        return done

    def move(self, opened, visit, sliders, view) -> list:
        """The values of `moved`: all that a move of a slider changes in the view Edit. They are few, because
        Gradio takes time for each component that an event may change, even if it stays as it is.

        gr.Error, which nobody sees, if the visit was forgotten: then more changes. After any failure of this
        event another one shows everything."""
        if opened and not visit.used:
            raise gr.Error(FORGOTTEN, visible=False, print_exception=False)
        answer = self.act(nothing, opened, visit, sliders, view)
        return [answer[self.everything.index(each)] for each in self.moved]

    def act(self, work, *inputs) -> list:
        """Lets `work` change the visit, then returns the values of all components that changed with it."""
        *given, opened, visit, sliders, view = inputs
        with visit.turn:
            lost = opened and not visit.used
            if lost:
                visit.take(self.editor.start((sliders or {}).get("domain"))[0])
            visit.used = True
            visit.hear(sliders)
            before, panel = visit.session, visit.sliders
            if lost and self.editor.has_unknown(before, panel):  # sliders of edits that it had taught
                visit.sliders = self.editor.arrivals(before, panel)
            work(*given, visit)
            session, seed = visit.session, visit.session["source"].get("seed")
            lesson = visit.lesson_of(session["domain"])
            note = {"note": FORGOTTEN} if lost and session is before else {}
            visit.session = {key: value for key, value in session.items() if key not in ONCE}
            several = visit.several_of(session["domain"])
            held = visit.compared, lesson, several
            shown = self.editor.show({**session, **note}, visit.sliders, view, *held)
            if session.get("upload") is not before.get("upload") or lost:
                shown["adjust"] = session["upload"].value if "upload" in session else None
            other_source = session["source"] is not before["source"] or lost
            typing = seed is None or seed in given  # a visitor who types a seed keeps the field
            return [
                visit,
                seed if other_source and not typing else gr.skip(),
                *self.values_by_domain(session, visit.sliders, changed=visit.sliders is not panel),
                *[shown.get(name, gr.skip()) for name in self.ui.shown],
            ]

    def values_by_domain(self, session: dict, sliders: dict, changed: bool) -> list:
        """The values of `by_domain`, or skips if they have not changed."""
        if not changed:
            return [gr.skip()] * len(self.by_domain)
        name, domain = session["domain"], self.editor.pipe_of(session).domain
        return [
            sliders, gr.update(active=sliders["pending"]), self.editor.examples(name),
            {"subject": domain.subject}, gr.update(**heading(domain)), small_print(domain),
            gr.update(**choices(self.editor.catalog, name)), gr.update(label=upload_label(domain)),
        ]  # fmt: skip

    def load(self, opened, visit, sliders, view, request: gr.Request):
        """Opens the link by which the page was called. Without one nothing changes."""
        edit = request.query_params.get("edit")
        if edit:
            work = partial(self.replay, self.editor.open_link, edit)
            return True, *self.act(work, opened, visit, sliders, view)
        visit.used = True
        return True, visit, *[gr.skip()] * (len(self.everything) - 1)

    def arrive(self, visit, sliders):
        """Shows the edits and domains that have come from the Hub since."""
        shown = self.editor.arrivals(visit.session, sliders)
        return shown, gr.update(**choices(self.editor.catalog)), gr.update(active=shown["pending"])

    # --- What events do with the visit ------------------------------------------------------------

    def choose_seed(self, seed, visit: Visit) -> None:
        if seed is not None:  # the field is empty while a visitor types
            visit.take(self.editor.sample(seed, visit.session))

    def become(self, source, given, visit: Visit) -> None:
        visit.take(source(given, visit.session))

    def replay(self, source, given, visit: Visit) -> None:
        visit.take(*source(given, visit.session, visit.sliders))

    def change_domain(self, name, visit: Visit) -> None:
        if name != visit.session["domain"]:  # Gradio may send a choice twice
            visit.take(*self.editor.start(name, visit.session.get("taught")))

    def lock(self, message, visit: Visit) -> None:
        """message: {"name": label, "on": whether it is to stay} of parts/readings.js."""
        if isinstance(message, dict):
            visit.session = self.editor.set_lock(visit.session, message.get("name"), message.get("on"))

    def compare(self, chosen, visit: Visit) -> None:
        visit.compared = chosen if isinstance(chosen, dict) else {}

    def photograph(self, message, visit: Visit) -> None:
        visit.take(self.editor.hear_photograph(message, visit.session, visit.sliders))

    def teach(self, message, visit: Visit) -> None:
        """message: {"acts": [...]} of parts/teach.js."""
        acts = message.get("acts") if isinstance(message, dict) else None
        acts = acts[:MOST_ACTS] if isinstance(acts, list) else [None]
        learns = lambda act: isinstance(act, dict) and act.get("act") == "learn"
        for i, act in enumerate(acts):
            if learns(act) and any(map(learns, acts[:i])):
                continue  # one edit at a time
            with self.refusals(visit) as (pipe, lesson):
                if made := lesson.hear(pipe, act, visit.session["framed"]):
                    visit.take(*self.editor.add_taught(visit.session, visit.sliders, made))

    def push(self, opened, visit, sliders, view, request: gr.Request, signed_in: gr.OAuthToken | None):
        """Pushes the edit that was learned last to the account of the visitor who clicks."""
        token = account.token_of(signed_in, request)
        return self.act(partial(self.push_taught, token), opened, visit, sliders, view)

    def push_taught(self, token: str | None, visit: Visit) -> None:
        with self.refusals(visit) as (_, lesson):
            pushed = account.push(lesson.made, token)
            lesson.result["pushed"] = pushed.url
            lesson.said = f"Pushed to {pushed.repo_id}, which only you can see."

    def find(
        self, repo_id, opened, visit, sliders, view, request: gr.Request, signed_in: gr.OAuthToken | None
    ):
        """Adds an edit of the Hub to the visit."""
        token = account.token_of(signed_in, request)
        return self.act(partial(self.add_found, token), repo_id, opened, visit, sliders, view)

    def add_found(self, token: str | None, repo_id, visit: Visit) -> None:
        try:
            entry = account.find((repo_id or "").strip(), token)
            visit.take(*self.editor.add_found(visit.session, visit.sliders, entry, token))
        except (ValueError, OSError) as error:
            visit.take({**visit.session, "problem": words(error)})

    def drop(self, files, visit: Visit) -> None:
        with self.refusals(visit) as (pipe, lesson):
            lesson.drop(pipe, [Path(path_of(file)) for file in files or []])

    def gather(self, files, visit: Visit) -> None:
        several = visit.several_of(visit.session["domain"])
        try:
            several.gather(self.editor.pipe(several.domain), [Path(path_of(file)) for file in files or []])
        except (ValueError, OSError) as error:
            several.said = words(error)

    def pack(self, message, visit: Visit) -> None:
        visit.several_of(visit.session["domain"]).hear(message)

    @contextmanager
    def refusals(self, visit: Visit) -> Iterator[tuple[EditingPipeline, Lesson]]:
        """The pipeline and the lesson of a visit; the lesson says what was refused."""
        domain = visit.session["domain"]
        lesson = visit.lesson_of(domain)
        try:
            yield self.editor.pipe(domain), lesson
        except (ValueError, OSError) as error:
            lesson.said = words(error)
