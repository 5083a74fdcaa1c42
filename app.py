"""The Space: draw, upload or pick a picture, edit it with sliders, download the result. `python app.py` serves it."""

import base64
import io
import json
import sys
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import torch
from PIL import Image

from lwgan.attributes import METHODS
from lwgan.images import open_picture
from lwgan.pipeline import EditingPipeline, Seen, check_alphas, count_label

UI = Path(__file__).parent / "lwgan" / "ui"
SLIDER = {"minimum": -1, "maximum": 3, "step": 0.05}
PRIVATE = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "always_last"}
SMALL = "Your pictures stay on this server for an hour at most and are used for nothing else. No analytics, no run history."


class Page(NamedTuple):
    """What the page says of a domain."""

    head: str
    picture: str  # what may be uploaded
    draw: bool  # whether one can draw it by hand
    small: str = SMALL


PAGES = {
    "multimnist": Page(
        "# One more digit\nEdits learned with the Wasserstein loss, on pictures of handwritten digits.",
        "A picture of one to four digits",
        draw=True,
    ),
    "faces": Page(
        "# Edited faces\nEdits learned with the Wasserstein loss, on photographs of faces with yes/no labels.",
        "A photograph that shows a face from the front",
        draw=False,
        small=f"Upload only pictures of people who agree to it, and do not pass results off as photographs. {SMALL}",
    ),
}


def build_demo(registry: str | Path | None = None) -> gr.Blocks:
    """The page and its endpoints `list_edits` and `edit_image`, over the models of a registry (see `lwgan.registry.models`)."""
    editor = Editor(EditingPipeline.from_pretrained(registry, device="auto"))
    page = PAGES[editor.pipe.config["domain"]]
    described = editor.pipe.describe_edits()
    methods = sorted({_method(edit) for edit in described}, key=_rank)
    first = next((edit for edit in described if _method(edit) == methods[0]), {})
    start_seed = editor.pipe.seed_of(first.get("from"))
    start_alphas = [_strength(edit) if edit is first else 0.0 for edit in described]
    start = editor.sample(start_seed, {})
    with gr.Blocks(title="lwgan", analytics_enabled=False, delete_cache=(3600, 3600)) as demo:
        state = gr.State(start, time_to_live=3600)
        gr.Markdown(page.head, elem_id="head")
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="source", scale=2, min_width=300):
                if page.draw:
                    with gr.Tab("Draw"):
                        pad = gr.HTML(**_parts("pad"), elem_id="pad")
                with gr.Tab("Upload"):
                    upload = gr.Image(label=page.picture, sources=["upload", "clipboard"], height=280, buttons=[])
                with gr.Tab("Sample"):
                    seed = gr.Number(start_seed, label="Seed", precision=0, minimum=0, elem_id="seed")
                    another = gr.Button("Another", size="md", elem_id="another")
            with gr.Column(elem_id="show", scale=3, min_width=340):
                pictures = gr.HTML(editor.show(start, *start_alphas), **_parts("pictures"), elem_id="pictures")
            with gr.Column(elem_id="edits", scale=2, min_width=300):
                choices = [(METHODS.get(method, method), method) for method in methods]
                method = gr.Dropdown(
                    choices,
                    value=methods[0] if methods else None,
                    label="Method",
                    filterable=False,
                    visible=len(methods) > 1,
                    elem_id="method",
                )
                sliders = [
                    gr.Slider(**SLIDER, value=alpha, label=_label(edit), elem_id=edit["name"], visible=_method(edit) == methods[0])
                    for edit, alpha in zip(described, start_alphas, strict=True)
                ]
                off = gr.Button("All off", size="sm", elem_id="off")
        gr.Markdown(page.small, elem_id="small")

        # Unprocessed, because Gradio's own look at a slider fails on a number box that is being emptied to type another number.
        show = {"fn": editor.show, "inputs": [state, *sliders], "outputs": pictures, "preprocess": False, **PRIVATE}
        if page.draw:
            gr.on([pad.input], editor.draw, [pad, state], state, **PRIVATE).then(**show)
        # Unprocessed, so that whatever arrives is opened, and if need be refused, by `open_picture` and not by Gradio.
        gr.on([upload.upload], editor.upload, [upload, state], state, preprocess=False, **PRIVATE).then(**show)
        gr.on([seed.input, seed.submit], editor.sample, [seed, state], state, **PRIVATE).then(**show)
        another.click(lambda seed: (seed or 0) + 1, seed, seed, **PRIVATE).then(editor.sample, [seed, state], state, **PRIVATE).then(**show)
        # `input` is any move by hand or keys; `release` the end of a drag and the slider's own reset button.
        if sliders:
            gr.on([event for slider in sliders for event in (slider.input, slider.release)], **show)
        method.input(editor.switch, [method, *sliders], sliders, **PRIVATE).then(**show)
        off.click(lambda: [0.0] * len(sliders), None, sliders, **PRIVATE).then(**show)

        gr.api(editor.list_edits, api_name="list_edits", api_description="The edits: name, what they change, recommended strength.")
        with gr.Row(visible=False):
            _edit_image_endpoint(editor, page.picture)
    return demo


def _edit_image_endpoint(editor: "Editor", taken: str) -> None:
    picture, edits = gr.Image(label="picture", type="filepath"), gr.JSON(label="edits")
    result = gr.Image(label="result", format="png", type="pil")
    gr.Button().click(
        editor.edit_image, [picture, edits], result, preprocess=False, api_name="edit_image",
        api_description=f"{taken}, edited. edits: JSON of edit name -> strength alpha, from -5 to 5.",
    )  # fmt: skip


def _label(edit: dict) -> str:
    return f"{edit['from']} → {edit['to']}" if edit["from"] and edit["to"] else edit["name"]


def _method(edit: dict) -> str:
    """Edits of other people need not name theirs."""
    return edit["method"] or "other"


def _rank(method: str) -> tuple[int, str]:
    """Where a method stands among the known ones; others come last."""
    return (list(METHODS).index(method) if method in METHODS else len(METHODS), method)


def _strength(edit: dict) -> float:
    """The recommended alpha, as far as the slider goes."""
    return min(max(edit["alpha"] or 1.0, SLIDER["minimum"]), SLIDER["maximum"])


def _parts(name: str) -> dict[str, str]:
    """The HTML, CSS and script of a component of our own."""
    files = {"html_template": "html", "css_template": "css", "js_on_load": "js"}
    return {**{key: (UI / f"{name}.{suffix}").read_text("utf-8") for key, suffix in files.items()}, "apply_default_css": False}


class Editor:
    """What the page's events call. A state holds a source's code and pictures: w (numpy), framed and reconstruction (PNG as
    data URLs), seen (what the judge reads in the reconstruction, or None), note (what there is to say of how the source was framed,
    or None); and problem, if the last source was refused."""

    def __init__(self, pipe: EditingPipeline):
        self.pipe = pipe

    def draw(self, drawing: str | None, state: dict) -> dict:
        """The pad's PNG, as a data URL, becomes the source."""
        return self._source(lambda: open_picture(_decode(drawing)), state)

    def upload(self, file: dict | None, state: dict) -> dict:
        """An uploaded file becomes the source."""
        return self._source(lambda: open_picture(_path(file)), state)

    def sample(self, seed: int | None, state: dict) -> dict:
        """The sample picture of a seed becomes the source."""
        return self._source(lambda: self.pipe.sample(_check_seed(seed)), state)

    def _source(self, open_source, state: dict) -> dict:
        try:
            framed = self.pipe.frame(open_source())
        except (ValueError, OSError) as error:
            return {**state, "problem": _words(error)}
        w = self.pipe.encode(framed)
        (reconstruction,) = self.pipe.generate(w)
        seen = self.pipe.read([reconstruction])[0] if self.pipe.judge else None
        note = _sentence(framed.info["note"]) if framed.info.get("note") else None
        pictures = {"framed": _data_url(framed), "reconstruction": _data_url(reconstruction)}
        return {"w": w.numpy(), **pictures, "seen": seen, "note": note}

    def show(self, state: dict, *alphas: float | None) -> dict:
        """What the page shows of a state with its edits at these strengths: the value of the `pictures` component.

        An empty number box counts as 0, a number beyond the slider's range as the end of it.
        """
        alphas = [min(max(alpha or 0.0, SLIDER["minimum"]), SLIDER["maximum"]) for alpha in alphas]
        if "w" not in state:
            return {"problem": True, "line": state.get("problem", "")}
        (result,) = self._edit(torch.from_numpy(state["w"]), dict(zip(self.pipe.edits, alphas, strict=True)))
        read = f"The judge reads {_spell(state['seen'])} → {_spell(self.pipe.read([result])[0])}." if self.pipe.judge else None
        line = " ".join(filter(None, (state["note"], read)))
        pictures = {"framed": state["framed"], "reconstruction": state["reconstruction"], "result": _data_url(result)}
        return {**pictures, "line": state.get("problem") or line, "problem": "problem" in state}

    def switch(self, method: str, *alphas: float | None) -> list:
        """What becomes of the sliders when a method is chosen: its own are shown, and those whose change another method's was making
        stand at their recommended strength."""
        described = self.pipe.describe_edits()
        on = {_label(edit) for edit, alpha in zip(described, alphas, strict=True) if alpha}
        ours = [_method(edit) == method for edit in described]
        strengths = [_strength(edit) if mine and _label(edit) in on else 0.0 for edit, mine in zip(described, ours, strict=True)]
        return [gr.update(visible=mine, value=alpha) for mine, alpha in zip(ours, strengths, strict=True)]

    def _edit(self, w: torch.Tensor, alphas: dict[str, float]) -> list[Image.Image]:
        return self.pipe.generate(self.pipe.edit(w, {name: alpha for name, alpha in alphas.items() if alpha != 0}))

    def list_edits(self) -> list[dict]:
        """The edits that can be used, in the order in which they are applied."""
        return self.pipe.describe_edits()

    def edit_image(self, picture: dict | None, edits: dict | str | None) -> Image.Image:
        """One picture, edited. gr.Error, in words, for a picture or an edit that will not do."""
        try:
            check_alphas(alphas := _parse(edits))
            w = self.pipe.encode(open_picture(_path(picture)))
            return self.pipe.generate(self.pipe.edit(w, alphas))[0]
        except (ValueError, OSError) as error:
            raise gr.Error(_words(error), print_exception=False) from None


def _parse(edits: dict | str | None) -> dict:
    """Edits as clients send them: an object, or its JSON as text; nothing at all is no edit."""
    try:
        return json.loads(edits) if isinstance(edits, str) else {} if edits is None else edits
    except (ValueError, RecursionError):
        raise ValueError("edits are not JSON: expected an object of edit name -> alpha") from None


def _path(file: dict | None) -> str:
    """The path of a file that Gradio has taken in and checked to be one of its own."""
    if not isinstance(file, dict) or not file.get("path"):
        raise ValueError("no picture was given")
    return file["path"]


def _decode(drawing: str | None) -> bytes:
    head, _, body = (drawing or "").partition(",")
    if head != "data:image/png;base64":
        raise ValueError("the pad sent no PNG")
    return base64.b64decode(body)


def _check_seed(seed: int | None) -> int:
    if seed is None or not 0 <= seed < 2**31:
        raise ValueError(f"seed {seed}: a whole number from 0 to {2**31 - 1} is needed")
    return int(seed)


def _data_url(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _spell(seen: Seen) -> str:
    which = ", ".join(map(str, seen.digits)) if len(seen.digits) == seen.count else "not sure which"
    return f"{count_label(seen.count)} ({which})" if seen.count else "no digit"


def _words(error: Exception) -> str:
    """An error as a sentence for visitors. What the system says of files may hold paths: it stays here."""
    return _sentence(
        str(error) if isinstance(error, ValueError) and not isinstance(error, UnicodeError) else "that picture could not be read"
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _theme() -> gr.themes.Base:
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}  # the visitor's own: none is loaded
    theme = gr.themes.Default(primary_hue="indigo", neutral_hue="slate", **fonts)
    return theme.set(body_text_color_subdued="*neutral_500", body_text_color_subdued_dark="*neutral_400")


def main() -> None:
    try:
        demo = build_demo()
    except (ValueError, OSError) as error:
        sys.exit(f"lwgan: {error}")
    demo.queue(max_size=64, default_concurrency_limit=2)
    demo.launch(theme=_theme(), css_paths=UI / "page.css", footer_links=["api"], max_file_size="20mb", run_history=False)


if __name__ == "__main__":
    main()
