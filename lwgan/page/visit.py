"""What the events of one visitor's page share. They run side by side and may pass one another."""

import threading
from collections.abc import Mapping


class Visit:
    """A visitor's session (see `lwgan.page.editor`), the newest of his sliders, and what he chose in Compare. An event takes its `turn`,
    changes its own part, and shows all parts as they are by then: so it does not matter which of two comes first.

    used: whether an event has come. An unused visit of a page that was opened before is in the place of one that was lost.
    """

    def __init__(self, session: Mapping):
        self.session, self.sliders, self.compared = session, {}, {}
        self.used, self.turn = False, threading.Lock()

    def __deepcopy__(self, memo) -> "Visit":
        """Each page begins with one of its own. Sessions are never changed in place."""
        return Visit(self.session)

    def take(self, session: Mapping, sliders: Mapping | None = None) -> None:
        self.session, self.sliders = session, self.sliders if sliders is None else sliders

    def hear(self, sliders: Mapping) -> None:
        """The sliders as an event brings them, which may be older than what is known."""
        if _age(sliders) >= _age(self.sliders):
            self.sliders = sliders


def _age(sliders: Mapping) -> tuple[float, float]:
    """When the server made this panel, and how often the visitor has changed it since."""
    given = [sliders.get(key) if isinstance(sliders, Mapping) else None for key in ("made", "moves")]
    return tuple(number if isinstance(number, (int, float)) else 0 for number in given)
