"""The layout of the page, as Gradio components."""

import os
from pathlib import Path
from types import SimpleNamespace

import gradio as gr

from lwgan.domain import Domain
from lwgan.hub.catalog import Catalog
from lwgan.page.account import SIGN_IN
from lwgan.page.editor import VIEWS, Editor
from lwgan.page.endpoints import add_endpoints
from lwgan.page.events import Events
from lwgan.page.texts import choices, heading, small_print, upload_label
from lwgan.page.visit import Visit

PARTS = Path(__file__).parent / "parts"
ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
LIVE = not ZERO_GPU  # whether a slider sends every step of a move: on ZeroGPU each costs a call of the GPU
GPU_SECONDS = 5  # asked of ZeroGPU for one call: its queue prefers short calls
FILES = {"file_count": "multiple", "height": 150,
         "file_types": ["image", ".zip", ".ttf", ".otf", ".ttc", ".woff", ".woff2"]}  # fmt: skip
HOUR = 3600  # seconds after its last use until a picture is deleted


def build(catalog: Catalog) -> gr.Blocks:
    """The page and its endpoints (`lwgan.page.endpoints`), over all models of a catalog."""
    editor = Editor(catalog)
    session, sliders = editor.start()
    first = editor.show(session, sliders, "Edit")
    ui = SimpleNamespace(shown={}, tabs={})  # the components that events read and write
    with gr.Blocks(title="lwgan", analytics_enabled=False, delete_cache=(60, HOUR)) as demo:
        domain = editor.pipe_of(session).domain
        ui.visit = gr.State(Visit(session), time_to_live=HOUR)
        ui.head = gr.Markdown(**heading(domain), elem_id="head")
        ui.domain = gr.Dropdown(
            label="Pictures of", filterable=False, elem_id="domain", **choices(catalog, session["domain"])
        )
        with gr.Row(elem_id="columns"):
            add_sources(ui, editor, session, domain)
            add_views(ui, first)
            with gr.Column(elem_id="read"):
                ui.shown["readings"] = gr.HTML(first["readings"], **parts("readings"), elem_id="readings")
            with gr.Column(elem_id="panel"):
                ui.sliders = gr.HTML(sliders, **parts("sliders"), live=LIVE, elem_id="sliders")
        if "SPACE_ID" in os.environ:
            gr.DuplicateButton(size="sm")
        ui.small = gr.Markdown(small_print(domain), elem_id="small")
        # Values that the browser keeps: whether the page has used its session, and which view is open.
        ui.opened = gr.Checkbox(False, visible="hidden", elem_id="opened")
        ui.view = gr.Radio(VIEWS, value="Edit", visible="hidden", elem_id="view")
        ui.waiting = gr.Timer(2, active=sliders["pending"])
        Events(ui, editor).add(demo)
        add_endpoints(editor)
    if ZERO_GPU:  # which lends no GPU before the page is up: the first pictures were made on the CPU
        import spaces

        catalog.lend(spaces.GPU(duration=GPU_SECONDS))
    return demo


def add_sources(ui: SimpleNamespace, editor: Editor, session: dict, domain: Domain) -> None:
    """The column with the four ways to choose a picture."""
    with gr.Column(elem_id="source"):
        with gr.Tab("Sample"):
            ui.gallery = gr.HTML(editor.examples(session["domain"]), **parts("gallery"), elem_id="gallery")
            ui.seed = gr.Number(session["source"]["seed"], label="Seed", precision=0, elem_id="seed")
            ui.another = gr.Button("Another sample", size="md", elem_id="another")
        with gr.Tab("Draw", elem_id="draw"):  # page.css hides it: Gradio 6.31 cannot remove a tab later
            ui.pad = gr.HTML({"subject": domain.subject}, **parts("pad"), elem_id="pad")
        with gr.Tab("Upload"):
            ui.shown["adjust"] = gr.HTML(None, **parts("adjust"), elem_id="adjust")
            sources = ["upload", "webcam", "clipboard"]
            label = upload_label(domain)
            ui.upload = gr.Image(label=label, sources=sources, height=280, buttons=[], elem_id="upload")
            gr.Markdown("A PNG downloaded from this page comes back with its edits.")
        with gr.Tab("Link"):
            ui.link = gr.Textbox(label="A link or recipe made here", lines=3, elem_id="link")
            ui.open = gr.Button("Open", size="md", elem_id="open")
            ui.found = gr.Textbox(label="An edit on the Hub (org/name)", max_length=200, elem_id="found")
            ui.add = gr.Button("Add", size="md", elem_id="add")


def add_views(ui: SimpleNamespace, first: dict) -> None:
    """The column with a tab for each view, and the status line below."""
    with gr.Column(elem_id="show"):
        with gr.Tabs(elem_id="views"):
            for view in VIEWS:
                name = view.lower()
                with gr.Tab(view) as ui.tabs[view]:
                    ui.shown[name] = gr.HTML(first.get(name), **parts(name), elem_id=f"view-{name}")
            with ui.tabs["Edit"]:
                ui.shown["whole"] = gr.HTML(first["whole"], **parts("whole"), elem_id="whole")
            with ui.tabs["Teach"]:
                ui.files = gr.File(label="Pictures for this pile", **FILES, elem_id="teach-files")
                with gr.Row(elem_id="teach-account"):
                    ui.push = gr.Button("Push to my account (private)", size="md", elem_id="push")
                if SIGN_IN:
                    gr.LoginButton("Sign in, to push (loads the page anew)", size="md", elem_id="sign-in")
            with ui.tabs["Many"]:
                ui.several = gr.File(label="Pictures to edit alike", **FILES, elem_id="many-files")
        ui.shown["status"] = gr.HTML(first["status"], **parts("status"), elem_id="status")


def parts(name: str) -> dict:
    """The arguments of `gr.HTML` that make the component of this name from its files in parts/."""
    files = {"html_template": "html", "css_template": "css", "js_on_load": "js"}
    read = {key: (PARTS / f"{name}.{suffix}").read_text("utf-8") for key, suffix in files.items()}
    return {**read, "apply_default_css": False}
