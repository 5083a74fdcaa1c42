"""What the page says of each domain, and the endpoints of themselves."""

from collections.abc import Mapping
from typing import NamedTuple

SMALL = "Your pictures are deleted an hour after their last use and are used for nothing else. No analytics, no run history."

# For callers of the endpoints: by these words an MCP client chooses a tool and fills in its arguments.
SOURCE = "picture: an image file; or else seed: the number of a sample, from 0. domain: which kind of pictures, by default that of the edits."
LISTED = (
    "Lists the edits there are. Of each: its name, the domain of pictures it is for, what it changes from and to, its method, its recommended alpha, "
    "and as `unit` the alpha at which `expected_change_at_unit` of all pictures change."
)
EDITED = (
    f"Edits one picture and gives it as a PNG, whose text holds the recipe of how it was made. {SOURCE} edits: JSON object of edit name -> alpha, "
    "as list_edits names them. recipe: the JSON in the text of such a PNG (its key is lwgan), which makes it again; all else is then ignored."
)
SWEPT = (
    f"Edits one picture at several alphas of one edit and gives them in a row, as one PNG. edit: its name, as in list_edits. {SOURCE} "
    "alphas: JSON list of 1 to 32 numbers, by default 11 from -0.5 to 2 times the `unit` of list_edits."
)


class Page(NamedTuple):
    """What the page says of a domain."""

    name: str
    head: str
    picture: str  # what may be uploaded
    draw: bool = False  # whether one can draw it by hand
    small: str = SMALL


PAGES = {
    "multimnist": Page(
        "Digits",
        "# One more digit\nMove a slider and one more digit appears, by edits learned with the Wasserstein loss.",
        "A picture of one to four digits",
        draw=True,
    ),
    "synthfaces": Page(
        "Rendered faces",
        "# Edited faces\nMove a slider and one attribute changes, by edits learned with the Wasserstein loss.",
        "A rendered face, upright, in the middle",
    ),
    "faces": Page(
        "Faces",
        "# Edited faces\nMove a slider and one attribute changes, by edits learned with the Wasserstein loss.",
        "A photograph that shows a face from the front",
        small=f"Upload only pictures of people who agree to it, and do not pass results off as photographs. {SMALL}",
    ),
}


def page_of(session: Mapping) -> Page:
    return PAGES[session["domain"].partition(" ")[0]]
