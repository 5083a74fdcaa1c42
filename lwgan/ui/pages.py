"""What the page says of each domain."""

from collections.abc import Mapping
from typing import NamedTuple

SMALL = "Your pictures are deleted an hour after their last use and are used for nothing else. No analytics, no run history."


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
