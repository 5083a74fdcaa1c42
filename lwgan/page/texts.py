"""What the page and its endpoints say of a domain and of themselves."""

from lwgan.domain import Domain
from lwgan.hub.catalog import Catalog

PRIVACY = (
    "Your pictures are deleted an hour after their last use and are used for nothing else. "
    "No analytics, no run history."
)
CONSENT = "Upload only pictures of people who agree to it, and do not pass results off as photographs. "
# An MCP client chooses a tool and fills in its arguments by these descriptions.
SOURCE = (
    "picture: an image file; or else seed: the number of a sample, from 0. "
    "domain: the kind of picture, by default that of the edits."
)
LISTED = (
    "Lists all edits. Of each: its name, the domain of pictures it is for, what it changes from and to, its "
    "method, its recommended alpha, and as `unit` the alpha at which `expected_change_at_unit` of pictures "
    "change."
)
EDITED = (
    f"Edits one picture and returns it as a PNG whose text holds its recipe. {SOURCE} "
    "edits: JSON object of edit name -> alpha, names as in list_edits. "
    "recipe: the JSON from the text of such a PNG (key lwgan), which makes it again without other arguments. "
    "locks: JSON list of labels that are to stay as they are."
)
PHOTOGRAPHED = (
    "Edits one face in a photograph and returns the whole photograph as a JPEG at its full size. picture: "
    "an image file. edits: JSON object of edit name -> alpha, names as in list_edits, of a domain of faces. "
    "face: which face, from 1, the largest (default). residual: 0 (default) to 1, how much of the detail "
    "that the generator cannot draw is added again."
)
SWEPT = (
    f"Edits one picture at several alphas of one edit and returns them in a row, as one PNG. "
    f"edit: its name, as in list_edits. {SOURCE} "
    "alphas: JSON list of 1 to 32 numbers, by default 11 from -0.5 to 2 times the `unit` of list_edits."
)
MANY = (
    "Edits many pictures alike and returns a zip: each as a PNG, pictures with one channel as SVG outlines "
    "too, and all in a sheet. files: a list of image files, zips, TIFFs with pages, or fonts, which open as "
    "their capitals. edits: JSON object of edit name -> alpha. domain: as in edit_image."
)
TAUGHT = (
    "Teaches a new edit from two piles of 3 to 500 pictures and returns its model folder as a zip. "
    "without, with_: lists of image files (or zips), without and with what the edit is to give. name: what "
    "the pictures with have, in a word or two. kind: place (default; it looks different) or choice (one of "
    "several things is added or goes). domain: the kind of picture, by default the first of list_edits."
)


def heading(domain: Domain) -> dict:
    """Value and CSS classes of the heading; the class "undrawn" hides the drawing pad."""
    text = "Move a slider and one thing in the picture changes, by edits learned with the Wasserstein loss."
    return {"value": f"# {domain.title}\n{text}", "elem_classes": [] if domain.draw else ["undrawn"]}


def upload_label(domain: Domain) -> str:
    return domain.subject[:1].upper() + domain.subject[1:]


def small_print(domain: Domain) -> str:
    return CONSENT * (domain.frame == "face") + PRIVACY


def choices(catalog: Catalog, chosen: str | None = None) -> dict:
    """The choice of domains by title: "Digits", and "Digits of org" for one that came from the Hub."""
    pipes = catalog.pipes.items()
    named = [(pipe.domain.title + name.removeprefix(pipe.domain.name), name) for name, pipe in pipes]
    return {"choices": named, "visible": len(named) > 1, **({"value": chosen} if chosen else {})}
