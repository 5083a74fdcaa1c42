"""The Space: a picture becomes a code, sliders edit the code, the page shows what changed. `python app.py` serves it."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

try:
    import spaces  # before torch: on ZeroGPU it takes torch's place; elsewhere it may be missing
except ImportError:
    spaces = None

import ctypes
import json
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from lwgan.devices import device_of, share_cores
from lwgan.hub.catalog import Catalog
from lwgan.page import parts
from lwgan.page.editor import VIEWS, Editor, words
from lwgan.page.pages import EDITED, LISTED, PAGES, SWEPT, Page, page_of
from lwgan.page.visit import Visit

PAGE_CSS = Path(__file__).parent / "lwgan" / "page" / "page.css"
ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
LIVE = (
    not ZERO_GPU
)  # whether a slider sends each step of a move, or, where each is a call of the GPU, its end only
GPU_SECONDS = 5  # asked of ZeroGPU for a call: its queue prefers short ones
MODEL = {"concurrency_id": "model"}
THREADS = (
    8  # of Gradio's pool, 40 by default: what they wait for is the model, and each keeps memory of its own
)
M_ARENA_MAX = -8  # of glibc's malloc.h
SESSIONS = (
    1000  # held at once, 0.1 MB each: a caller without a session of his own makes a new one by each call
)
PRIVATE = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "always_last"}
BUSY = "(...given) => { document.dispatchEvent(new Event('lwgan-busy')); return given; }"  # progress is shown by lwgan/page/status.js
DONE = "() => { document.dispatchEvent(new Event('lwgan-done')); }"
HOUR = 3600  # seconds that a picture outlives its last use
FORGOTTEN = "Your picture is no longer on the server, which keeps it for an hour, or less when there are very many visitors: this is a sample."


def build_demo(registry: str | Path | None = None) -> gr.Blocks:
    """The page and its endpoints `list_edits`, `edit_image` and `sweep`, over the models of a registry (see `lwgan.hub.catalog`)."""
    return page_over(Editor(catalog_of(registry)))


def catalog_of(registry: str | Path | None = None) -> Catalog:
    return Catalog(registry, device="cpu" if ZERO_GPU else "auto")


def page_over(editor: Editor) -> gr.Blocks:
    session, rows = editor.start()
    page, first = page_of(session), editor.show(session, rows, "Edit")
    if ZERO_GPU:  # the first picture was made on the CPU: before the app is up, no GPU can be had
        editor.catalog.lend(spaces.GPU(duration=GPU_SECONDS))
    at = SimpleNamespace(shown={}, tabs={})  # the components that events read or write
    with gr.Blocks(title="lwgan", analytics_enabled=False, delete_cache=(60, HOUR)) as demo:
        at.visit = gr.State(Visit(session), time_to_live=HOUR)
        at.head = gr.Markdown(page.head, elem_id="head", elem_classes=drawing(page))
        at.domain = gr.Dropdown(
            label="Pictures of", filterable=False, elem_id="domain", **domains(editor, session["domain"])
        )
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="source"):
                with gr.Tab("Sample"):
                    at.gallery = gr.HTML(
                        editor.examples(session["domain"]), **parts("gallery"), elem_id="gallery"
                    )
                    at.seed = gr.Number(session["source"]["seed"], label="Seed", precision=0, elem_id="seed")
                    at.another = gr.Button("Another sample", size="md", elem_id="another")
                with gr.Tab(
                    "Draw", elem_id="draw"
                ):  # hidden by page.css: Gradio 6.31 does not take a tab away from the row of tabs later
                    at.pad = gr.HTML(**parts("pad"), elem_id="pad")
                with gr.Tab("Upload"):
                    sources = ["upload", "webcam", "clipboard"]
                    at.upload = gr.Image(
                        label=page.picture, sources=sources, height=280, buttons=[], elem_id="upload"
                    )
                    gr.Markdown("A PNG downloaded from this page comes back with its edits.")
                with gr.Tab("Link"):
                    at.link = gr.Textbox(label="A link or recipe made here", lines=3, elem_id="link")
                    at.open = gr.Button("Open", size="md", elem_id="open")
            with gr.Column(elem_id="show"):
                with gr.Tabs(elem_id="views"):
                    for view in VIEWS:
                        name = view.lower()
                        with gr.Tab(view) as at.tabs[view]:
                            at.shown[name] = gr.HTML(first.get(name), **parts(name), elem_id=f"view-{name}")
                at.shown["status"] = gr.HTML(first["status"], **parts("status"), elem_id="status")
            with gr.Column(elem_id="read"):
                at.shown["readings"] = gr.HTML(first["readings"], **parts("readings"), elem_id="readings")
            with gr.Column(elem_id="panel"):
                at.sliders = gr.HTML(rows, **parts("sliders"), live=LIVE, elem_id="sliders")
        at.small = gr.Markdown(page.small, elem_id="small")
        # Kept by the page: whether it has used its session, and the view that is open.
        at.opened = gr.Checkbox(False, visible="hidden", elem_id="opened")
        at.view = gr.Radio(VIEWS, value="Edit", visible="hidden", elem_id="view")
        at.waiting = gr.Timer(2, active=rows["pending"])
        add_events(demo, at, editor)
        add_endpoints(editor)
    return demo


def add_events(demo: gr.Blocks, at: SimpleNamespace, editor: Editor) -> None:
    """What happens when a visitor does something. Each event makes one call, which gives everything that changes."""
    dress = [
        at.sliders,
        at.waiting,
        at.gallery,
        at.head,
        at.small,
        at.domain,
        at.upload,
    ]  # what depends on the domain
    now, everything = (
        [at.opened, at.visit, at.sliders, at.view],
        [at.visit, at.seed, *dress, *at.shown.values()],
    )

    def act(work, *inputs):
        """An event: `work` changes the visit, and whatever is another by then goes to the page."""
        *given, opened, visit, sliders, view = inputs
        with visit.turn:
            lost = opened and not visit.used
            if lost:
                visit.take(editor.start((sliders or {}).get("domain"))[0])
            visit.used = True
            visit.hear(sliders)
            before, panel = visit.session, visit.sliders
            work(*given, visit)
            session, seed = visit.session, visit.session["source"].get("seed")
            note = {"note": FORGOTTEN} if lost and session is before else {}
            visit.session = {key: value for key, value in session.items() if key != "problem"}  # said once
            shown = editor.show({**session, **note}, visit.sliders, view, visit.compared)
            # Whoever types a seed goes on typing.
            another = session["source"] is not before["source"] or lost
            return [
                visit, seed if another and seed is not None and seed not in given else gr.skip(),
                *(dressed(session, visit.sliders) if visit.sliders is not panel else [gr.skip()] * len(dress)),
                *[shown.get(name, gr.skip()) for name in at.shown],
            ]  # fmt: skip

    def dressed(session, sliders):
        page, domain = page_of(session), session["domain"]
        return [
            sliders, gr.update(active=sliders["pending"]), editor.examples(domain), gr.update(value=page.head, elem_classes=drawing(page)),
            page.small, gr.update(**domains(editor, domain)), gr.update(label=page.picture),
        ]  # fmt: skip

    def seeded(seed, visit):
        if seed is not None:  # the field is empty while one types
            visit.take(editor.sample(seed, visit.session))

    def drawn(picture, visit):
        if page_of(visit.session).draw:
            visit.take(editor.draw(picture, visit.session))
        else:
            visit.take(
                {**visit.session, "problem": "Only digits can be drawn here: upload a picture instead."}
            )

    def replayed(get, given, visit):
        visit.take(*get(given, visit.session, visit.sliders))

    def moved(name, visit):
        if name != visit.session["domain"]:  # Gradio's choice may say twice what was chosen
            visit.take(*editor.start(name))

    def compared(chosen, visit):
        visit.compared = chosen if isinstance(chosen, dict) else {}

    def load(opened, visit, sliders, view, request: gr.Request):
        """Opens the link that the page was called by. Without one nothing changes: the visitor may be at work already."""
        edit = request.query_params.get("edit")
        if edit:
            return True, *act(partial(replayed, editor.open_link, edit), opened, visit, sliders, view)
        visit.used = True
        return True, visit, *[gr.skip()] * (len(everything) - 1)

    def arrive(visit, sliders):
        shown = editor.arrivals(visit.session, sliders)
        return shown, gr.update(**domains(editor)), gr.update(active=shown["pending"])

    def on(trigger, work, *given, outputs=everything, **options):
        done = trigger(work, [*given, *now], outputs, js=BUSY, **{**PRIVATE, **MODEL, **options})
        done.success(None, js=DONE, **PRIVATE)
        done.failure(None, js=DONE, **PRIVATE)  # Gradio 6.31's `then` does not come after these

    on(at.gallery.input, partial(act, lambda chosen, visit: seeded(chosen["seed"], visit)), at.gallery)
    on(at.another.click, partial(act, lambda seed, visit: seeded((seed or 0) + 1, visit)), at.seed)
    on(partial(gr.on, [at.seed.input, at.seed.submit]), partial(act, seeded), at.seed)
    on(at.pad.input, partial(act, drawn), at.pad)
    # Unprocessed, so that whatever arrives is opened, and if need be refused, by `open_picture` and not by Gradio. (`input` also comes
    # when a picture is removed and when a visitor turns to the webcam.)
    on(at.upload.upload, partial(act, partial(replayed, editor.upload)), at.upload, preprocess=False)
    on(
        partial(gr.on, [at.open.click, at.link.submit]),
        partial(act, partial(replayed, editor.open_link)),
        at.link,
    )
    on(at.sliders.input, partial(act, lambda visit: None))
    on(at.shown["compare"].input, partial(act, compared), at.shown["compare"])
    # Unprocessed: to Gradio, a domain that came from the Hub is no choice for a visitor whose session was forgotten.
    on(at.domain.input, partial(act, moved), at.domain, preprocess=False)
    on(demo.load, load, outputs=[at.opened, *everything])
    for view, tab in at.tabs.items():
        # The view is the page's to know, at once. Never deferred: Gradio would begin a deferred event at its start, with a view that may be left.
        tab.select(None, None, at.view, js=f"() => '{view}'", **{**PRIVATE, "trigger_mode": "multiple"})
        on(tab.select, partial(act, lambda visit: None), trigger_mode="multiple")
    at.waiting.tick(arrive, [at.visit, at.sliders], [at.sliders, at.domain, at.waiting], **PRIVATE)


def domains(editor: Editor, chosen: str | None = None) -> dict:
    """What the choice of domains shows: "Digits" for "multimnist", "Digits of org" for "multimnist of org"."""
    named = [
        (PAGES[name.partition(" ")[0]].name + "".join(name.partition(" ")[1:]), name)
        for name in editor.catalog.pipes
    ]
    return {"choices": named, "visible": len(named) > 1, **({"value": chosen} if chosen else {})}


def drawing(page: Page) -> list[str]:
    return [] if page.draw else ["undrawn"]


def add_endpoints(editor: Editor) -> None:
    """What callers may use, by gradio_client, HTTP or MCP: each returns one thing."""

    def list_edits() -> list[dict]:
        return editor.list_edits()

    def edit_image(picture=None, edits=None, seed=None, domain=None, recipe=None):
        return answer(result, editor.edit_image, picture, parsed(edits, {}), seed, domain, recipe)

    def sweep(edit, alphas=None, picture=None, seed=None, domain=None):
        return answer(strip, editor.sweep, edit, parsed(alphas, None), picture, seed, domain)

    gr.api(list_edits, api_name="list_edits", api_description=LISTED)
    with gr.Row(visible=False):  # unprocessed: what callers send is opened, and if need be refused, by lwgan
        picture, seed, domain = (
            gr.Image(label="picture"),
            gr.Number(label="seed", precision=0),
            gr.Textbox(label="domain"),
        )
        edits = typed("edits", {"type": "object", "additionalProperties": {"type": "number"}})
        recipe, result = typed("recipe", {"type": "object"}), gr.Image(label="result", format="png")
        alphas = typed("alphas", {"type": "array", "items": {"type": "number"}})
        edit, strip = gr.Textbox(label="edit"), gr.Image(label="strip", format="png")
        gr.Button().click(
            edit_image, [picture, edits, seed, domain, recipe], result, preprocess=False, api_name="edit_image", **MODEL,
            api_description=EDITED,
        )  # fmt: skip
        gr.Button().click(
            sweep, [edit, alphas, picture, seed, domain], strip, preprocess=False, api_name="sweep", **MODEL,
            api_description=SWEPT,
        )  # fmt: skip


def typed(label: str, schema: dict) -> gr.JSON:
    """JSON of a schema. Gradio 6.31 says of all JSON that its type is {}, which is no schema: MCP's clients refuse to call with it."""
    component = gr.JSON(label=label)
    component.api_info = lambda: schema
    return component


def answer(component: gr.Image, work, *given) -> str:
    """The PNG that the work gives, as a file that Gradio may hand out. gr.Error, in words, for what will not do."""
    try:
        return save_bytes_to_cache(work(*given), "lwgan.png", component.GRADIO_CACHE)
    except (ValueError, OSError) as error:
        raise gr.Error(words(error), print_exception=False) from None


def parsed(given, empty):
    """JSON as clients send it: a value, or its text; nothing at all is `empty`."""
    try:
        return empty if given in (None, "") else json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        raise gr.Error(
            "What was given is not JSON: expected an object of edit name -> alpha, or a list of alphas.",
            print_exception=False,
        ) from None


def theme() -> gr.themes.Base:
    fonts = {
        "font": ["system-ui", "sans-serif"],
        "font_mono": ["ui-monospace", "monospace"],
    }  # the visitor's own: none is loaded
    made = gr.themes.Default(primary_hue="indigo", neutral_hue="slate", **fonts)
    contrast = {
        "button_primary_background_fill": "*primary_600",
        "link_text_color": "*primary_600",
        "link_text_color_dark": "*primary_400",
    }
    subdued = {"body_text_color_subdued": "*neutral_500", "body_text_color_subdued_dark": "*neutral_400"}
    return made.set(**contrast, **subdued, button_primary_background_fill_dark="*primary_600")


def hold_memory_together() -> None:
    """One heap for all threads. glibc gives each its own and keeps what it once held: with 64 callers the app grew by half in three minutes."""
    with suppress(AttributeError, OSError):  # another system's C library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def main() -> None:
    hold_memory_together()
    try:
        catalog = catalog_of()
        if not catalog.pending:  # what comes later may be large
            share_cores(catalog.pipes.values())
        demo = page_over(Editor(catalog))
    except (ValueError, OSError) as error:
        sys.exit(f"lwgan: {error}")
    # ZeroGPU's own scheduler is the limit there; a GPU overlaps a few calls; on a CPU more than two only wait for each other.
    limit = None if ZERO_GPU else 4 if device_of("auto").type == "cuda" else 2
    demo.queue(max_size=64, default_concurrency_limit=limit)
    look = {"theme": theme(), "css_paths": PAGE_CSS, "footer_links": ["api"], "run_history": False}
    demo.launch(
        **look, max_file_size="20mb", mcp_server=True, max_threads=THREADS, state_session_capacity=SESSIONS
    )


if __name__ == "__main__":
    main()
