"""The page's own parts: their HTML, CSS and scripts, and in Python what they show. Nothing here knows Gradio: app.py puts them on the page."""

from pathlib import Path

HERE = Path(__file__).parent


def parts(name: str) -> dict:
    """The keyword arguments of `gr.HTML` that make it the component of that name."""
    files = {"html_template": "html", "css_template": "css", "js_on_load": "js"}
    return {
        **{key: (HERE / f"{name}.{suffix}").read_text("utf-8") for key, suffix in files.items()},
        "apply_default_css": False,
    }
