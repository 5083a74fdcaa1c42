"""The endpoints for callers by gradio_client, HTTP or MCP. Each returns one value."""

import json

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from lwgan.devices import aside
from lwgan.page.editor import Editor, words
from lwgan.page.photograph import FILE
from lwgan.page.texts import EDITED, LISTED, MANY, PHOTOGRAPHED, SWEPT, TAUGHT

MODEL = {"concurrency_id": "model"}  # all events that run the networks share one queue
NOT_JSON = "This is not JSON: expected an object of edit name -> alpha, or a list of alphas."


def add_endpoints(editor: Editor) -> None:
    """Adds list_edits, edit_image, edit_many, edit_photograph, sweep and teach_edit to the current Blocks."""

    def list_edits() -> list[dict]:
        return editor.list_edits()

    def edit_image(picture=None, edits=None, seed=None, domain=None, recipe=None, locks=None):
        given = picture, parsed(edits, {}), seed, domain, recipe, parsed(locks, [])
        return answer(result, editor.edit_image, *given)

    def edit_many(files, edits, domain=None):
        given = files, parsed(edits, {}), domain
        return answer(many, aside, editor.edit_many, *given, file="lwgan-pictures.zip")

    def edit_photograph(picture, edits=None, face=None, residual=None, domain=None):
        given = picture, parsed(edits, {}), face, residual, domain
        return answer(result, editor.edit_photograph, *given, file=FILE)

    def sweep(edit, alphas=None, picture=None, seed=None, domain=None):
        return answer(strip, editor.sweep, edit, parsed(alphas, None), picture, seed, domain)

    def teach_edit(without, with_, name, kind=None, domain=None):
        given = without, with_, name, kind, domain
        return answer(archive, aside, editor.teach_edit, *given, file="lwgan-taught.zip")

    gr.api(list_edits, api_name="list_edits", api_description=LISTED)
    # Inputs are not preprocessed, so that lwgan opens what callers send and refuses it in its own words.
    raw = {"preprocess": False, **MODEL}
    with gr.Row(visible=False):
        picture, domain = gr.Image(label="picture"), gr.Textbox(label="domain")
        seed = gr.Number(label="seed", precision=0)
        edits = typed("edits", {"type": "object", "additionalProperties": {"type": "number"}})
        recipe, result = typed("recipe", {"type": "object"}), gr.Image(label="result", format="png")
        alphas = typed("alphas", {"type": "array", "items": {"type": "number"}})
        edit, strip = gr.Textbox(label="edit"), gr.Image(label="strip", format="png")
        piles = [gr.File(label=side, file_count="multiple") for side in ("without", "with_")]
        named, archive = [gr.Textbox(label="name"), gr.Textbox(label="kind")], gr.File(label="archive")
        given = [*piles, *named, domain]
        gr.Button().click(teach_edit, given, archive, api_name="teach_edit", api_description=TAUGHT, **raw)
        files, many = gr.File(label="files", file_count="multiple"), gr.File(label="many")
        given = [files, edits, domain]
        gr.Button().click(edit_many, given, many, api_name="edit_many", api_description=MANY, **raw)
        locks = typed("locks", {"type": "array", "items": {"type": "string"}})
        given = [picture, edits, seed, domain, recipe, locks]
        gr.Button().click(edit_image, given, result, api_name="edit_image", api_description=EDITED, **raw)
        face, residual = gr.Number(label="face", precision=0), gr.Number(label="residual")
        given = [picture, edits, face, residual, domain]
        named = {"api_name": "edit_photograph", "api_description": PHOTOGRAPHED}
        gr.Button().click(edit_photograph, given, result, **named, **raw)
        given = [edit, alphas, picture, seed, domain]
        gr.Button().click(sweep, given, strip, api_name="sweep", api_description=SWEPT, **raw)


def typed(label: str, schema: dict) -> gr.JSON:
    """A JSON input with a schema. Gradio 6.31 gives all JSON the type {}, which MCP clients refuse."""
    component = gr.JSON(label=label)
    component.api_info = lambda: schema
    return component


def answer(component: gr.Image | gr.File, work, *given, file: str = "lwgan.png") -> str:
    """What `work` returns, as a file in Gradio's cache. gr.Error in words for wrong arguments."""
    try:
        return save_bytes_to_cache(work(*given), file, component.GRADIO_CACHE)
    except (ValueError, OSError) as error:
        raise gr.Error(words(error), print_exception=False) from None


def parsed(given, empty):
    """A JSON value from a client, which may send it as text. `empty` stands for no value."""
    try:
        return empty if given in (None, "") else json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        raise gr.Error(NOT_JSON, print_exception=False) from None
