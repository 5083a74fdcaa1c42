"""The state of a visitor's page, which its events share. They run in parallel and may overtake each other."""

import threading
from collections.abc import Mapping

from lwgan.page.lesson import Lesson
from lwgan.page.several import Several


class Visit:
    """A visitor's session (see `lwgan.page.editor`), the newest sliders, the choice made in Compare, and what
    the tabs Many and Teach hold.

    An event takes the lock `turn`, changes its own part, and shows all parts as they are then. So the order
    in which two events arrive does not matter.

    used: whether an event has come. If a page has sent events before and its visit is unused, Gradio
    dropped the visitor's state.
    """

    def __init__(self, session: Mapping):
        self.session, self.sliders, self.compared = session, {}, {}
        self.lesson: Lesson | None = None
        self.several: Several | None = None
        self.used, self.turn = False, threading.Lock()

    def __deepcopy__(self, memo) -> "Visit":
        """Gradio copies the first visit for every page. Sessions are never changed in place."""
        return Visit(self.session)

    def take(self, session: Mapping, sliders: Mapping | None = None) -> None:
        """Sets the session, which keeps locks and the edits taught so far, and, if given, the sliders."""
        kept = {"taught": self.session.get("taught", {}), "locks": self.session.get("locks", ())}
        self.session = {**kept, **session}
        self.sliders = self.sliders if sliders is None else sliders

    def lesson_of(self, domain: str) -> Lesson:
        """The lesson of this domain; that of another is dropped."""
        if self.lesson is None or self.lesson.domain != domain:
            self.lesson = Lesson(domain)
        return self.lesson

    def several_of(self, domain: str) -> Several:
        """The pictures of the tab Many; those of another domain are dropped."""
        if self.several is None or self.several.domain != domain:
            self.several = Several(domain)
        return self.several

    def hear(self, sliders: Mapping) -> None:
        """Sets the sliders as an event brings them, unless a newer state is known."""
        if _age(sliders) >= _age(self.sliders):
            self.sliders = sliders


def _age(sliders: Mapping) -> tuple[float, float]:
    """When the server made this panel, and how often the visitor has changed it since."""
    given = [sliders.get(key) if isinstance(sliders, Mapping) else None for key in ("made", "moves")]
    return tuple(number if isinstance(number, (int, float)) else 0 for number in given)
