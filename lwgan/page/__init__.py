"""The page: `build` makes it of a catalog of models, `launch` serves it. Only this package imports gradio.

The modules blocks, events, endpoints and serve put the page together; editor, panel, views, axis and pictures
compute what it shows. parts/ holds the HTML, CSS and scripts of its components.
"""

from lwgan.page.blocks import build
from lwgan.page.serve import launch

__all__ = ["build", "launch"]
