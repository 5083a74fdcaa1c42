"""Domain and Change: what the pictures of a generator are, and what an edit of them does.

A generator's config.json carries its Domain under "domain_spec". The page, the cards, the evaluation and the
API read nothing else about a kind of picture. A Domain that comes from the Hub is a stranger's text:
`domain_from_json` checks it.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

NAME = re.compile(r"[a-z0-9_-]{1,64}")  # of domains, edits, models: they become file names and tags
LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,&+'() -]{0,59}")  # of labels
KINDS = ("place", "choice")
TITLE_LIMIT, TEXT_LIMIT, LABELS_LIMIT = 120, 4000, 1000  # characters, characters, labels


@dataclass(frozen=True)
class Change:
    """What an edit does: conditions on a picture's labels before the edit (`source`) and after it (`target`).

    name: "1to2", "Bold", "not-Male".  before, after: words for people, "1 digit", "2 digits".
    kind: "place" (the edited codes may end anywhere in the target cloud) or "choice" (the edit chooses among
    several cells of it, as one more digit may be any digit); it decides which settings learn the edit best.
    adds: the edit may add other labels, as a new digit must be some digit. A label that held counts as kept
    if it still holds; a label that did not hold does not count."""

    name: str
    source: Mapping[str, bool]
    target: Mapping[str, bool]
    before: str
    after: str
    kind: str = "place"
    adds: bool = False

    def __post_init__(self):
        if self.kind not in KINDS:
            said = f"kind is {short(self.kind)}, expected one of {', '.join(KINDS)}"
            raise ValueError(f"change {self.name!r}: {said}")
        for side in (self.source, self.target):
            if not side:
                raise ValueError(f"change {self.name!r}: source and target must each name at least one label")
        if not any(self.source.get(label) is (not value) for label, value in self.target.items()):
            raise ValueError(f"change {self.name!r}: no label differs between source and target")

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels that the change speaks of, those of the target first."""
        return tuple(dict.fromkeys([*self.target, *self.source]))

    @property
    def label(self) -> str:
        """The label that the edit flips: the first that differs between source and target."""
        return next(name for name, value in self.target.items() if self.source.get(name) is (not value))

    @property
    def sign(self) -> int:
        """1 if the target has `label`, -1 if it lacks it."""
        return 1 if self.target[self.label] else -1

    def reverse(self) -> "Change":
        """The opposite change: source and target exchanged."""
        name = self.name.removeprefix("not-") if self.name.startswith("not-") else f"not-{self.name}"
        return Change(name, self.target, self.source, self.after, self.before, self.kind)


@dataclass(frozen=True)
class Domain:
    """One kind of picture.

    name: "shoes".  title: "Shoes".  subject: "a shoe", as in "Draw ...".
    frame: how a picture is brought into the training frame, a key of `lwgan.frames.FRAMES`.
    attributes: the names of the yes/no labels, in order.  changes: those that the page offers.
    licence: of data and weights; its first line is a Hub licence id such as "apache-2.0", or "other".
    about: where the data come from.  limits: what the models cannot do.  All three go into the cards.
    draw: whether a visitor can draw such a picture.
    order: -99 to 99; of several domains on a page the one with the smallest order comes first."""

    name: str
    title: str
    subject: str
    frame: str
    attributes: tuple[str, ...]
    changes: tuple[Change, ...]
    licence: str
    about: str
    limits: str
    draw: bool = False
    order: int = 0

    def change(self, name: str) -> Change:
        """The change of this name, or that of a label: "Label", "not-Label". ValueError for another name."""
        offered = {change.name: change for change in self.changes}
        if name in offered:
            return offered[name]
        label = name.removeprefix("not-")
        if label in self.attributes:
            change = change_of(label)
            return change if label == name else change.reverse()
        near = nearest(name, [*offered, *self.attributes])
        raise ValueError(f"change {name!r} is unknown: did you mean {near!r}?")

    def as_json(self) -> dict:
        """Plain JSON values, for config.json and dataset.json."""
        changes = [change_as_json(change) for change in self.changes]
        return asdict(self) | {"attributes": list(self.attributes), "changes": changes}


def change_of(label: str) -> Change:
    """The change that gives a picture the label: "Bold" from "not bold" to "bold"."""
    words = label.replace("_", " ").lower()
    return Change(label, {label: False}, {label: True}, f"not {words}", words)


def default_changes(attributes: Sequence[str]) -> tuple[Change, ...]:
    """For each label the change that gives it and the change that takes it away."""
    return tuple(change for label in attributes for change in (change_of(label), change_of(label).reverse()))


def plain_domain(name: str, attributes: Sequence[str] = ()) -> Domain:
    """The Domain of a generator that brings none: square pictures, the labels of its judge if it has one."""
    title, labels = name.replace("-", " ").replace("_", " ").capitalize(), tuple(attributes)
    texts = {"licence": "other", "about": "Not stated.", "limits": "Not stated."}
    return Domain(name, title, "a picture", "square", labels, default_changes(labels), **texts)


def change_as_json(change: Change) -> dict:
    return asdict(change) | {"source": dict(change.source), "target": dict(change.target)}


def domain_from_json(data: object, source: str, frames: Sequence[str]) -> Domain:
    """A Domain from JSON values of unknown origin.

    source: the name of the file in error messages.  frames: the known frames. ValueError that names the key,
    the value and what was expected."""
    _check(_is_object(data), source, "domain", data, "an object")
    texts = {key: _text(data.get(key), source, key, TITLE_LIMIT) for key in ("title", "subject")}
    texts |= {key: _text(data.get(key), source, key, TEXT_LIMIT) for key in ("licence", "about", "limits")}
    name, frame = data.get("name"), data.get("frame")
    draw, order = data.get("draw", False), data.get("order", 0)
    named = isinstance(name, str) and NAME.fullmatch(name)
    _check(named, source, "name", name, "1 to 64 of a-z, 0-9, _ and -")
    _check(frame in frames, source, "frame", frame, f"one of {', '.join(frames)}")
    _check(isinstance(draw, bool), source, "draw", draw, "true or false")
    _check(type(order) is int and abs(order) < 100, source, "order", order, "a whole number from -99 to 99")
    attributes = [_label(label, source) for label in _list(data, "attributes", source, LABELS_LIMIT)]
    if len(set(attributes)) < len(attributes):
        raise ValueError(f"{source}: attributes names a label twice")
    changes = _list(data, "changes", source, 2 * LABELS_LIMIT)
    parsed = tuple(change_from_json(change, source) for change in changes)
    lists = {"attributes": tuple(attributes), "changes": parsed}
    return Domain(name=name, frame=frame, draw=draw, order=order, **lists, **texts)


def change_from_json(data: object, source: str) -> Change:
    """A Change from JSON values of unknown origin. ValueError as `domain_from_json`."""
    _check(_is_object(data), source, "change", data, "an object")
    name = _label(data.get("name"), source)
    said = f"{source}: change {name!r}"
    sides = {side: data.get(side) for side in ("source", "target")}
    for side, condition in sides.items():
        _check(_is_object(condition), said, side, condition, "an object")
        for label, value in condition.items():
            _check(isinstance(value, bool), said, _label(label, source), value, "true or false")
    words = {key: _text(data.get(key), said, key, TITLE_LIMIT) for key in ("before", "after")}
    adds = data.get("adds", False)
    _check(isinstance(adds, bool), said, "adds", adds, "true or false")
    try:
        return Change(name, **sides, **words, kind=data.get("kind", "place"), adds=adds)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that is most like a misspelt one, for error messages; empty if nothing is known."""
    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower().replace(" ", "_"), by_lower, 1, 0)
    return by_lower[near[0]] if near else ""


def is_number(value: object) -> bool:
    """Whether a value is a whole number or a float of at most 1e9: neither a bool, nor NaN, nor infinite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e9


def short(value: object, limit: int = 200) -> str:
    """A value for an error message: a stranger's may have any length."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def _check(holds: object, source: str, key: str, value: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"{source}: {key} is {short(value)}, expected {expected}")


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping) and len(value) <= LABELS_LIMIT and {*map(type, value)} <= {str}


def _list(data: Mapping, key: str, source: str, limit: int) -> Sequence:
    value = data.get(key)
    valid = isinstance(value, list | tuple) and len(value) <= limit
    _check(valid, source, key, value, f"a list of at most {limit} {key}")
    return value


def _text(value: object, source: str, key: str, limit: int) -> str:
    valid = isinstance(value, str) and value.strip() and len(value) <= limit
    _check(valid, source, key, value, f"a text of 1 to {limit} characters")
    return value


def _label(value: object, source: str) -> str:
    valid = isinstance(value, str) and LABEL.fullmatch(value)
    _check(valid, source, "the label", value, "1 to 60 of A-Z, a-z, 0-9, spaces and _.,&+'()-")
    return value
