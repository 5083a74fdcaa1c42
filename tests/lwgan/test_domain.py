"""Domains and changes: what they mean, how they travel as JSON, and what of a stranger's JSON is refused."""

import json
import re

import pytest

from lwgan.domain import (
    Change,
    Domain,
    change_as_json,
    change_from_json,
    change_of,
    default_changes,
    domain_from_json,
    nearest,
    plain_domain,
)
from lwgan.frames import FRAMES
from lwgan.hub.registry import bundled

FEWER, MORE = {"2+": False, "1+": True}, {"2+": True, "3+": False}
COUNT = Change("1to2", FEWER, MORE, "1 digit", "2 digits", kind="choice", adds=True)
TEXTS = {"licence": "other", "about": "From fonts.", "limits": "Capitals alone."}
CHANGES = (change_of("Bold"), COUNT)
DOMAIN = Domain("letters", "Letters", "a letter", "ink", ("Bold", "Italic"), CHANGES, **TEXTS, draw=True)


def test_a_change_names_its_labels_and_the_one_that_it_flips():
    assert (COUNT.label, COUNT.sign, COUNT.labels) == ("2+", 1, ("2+", "3+", "1+"))
    back = COUNT.reverse()
    assert (back.label, back.sign, back.name, back.before) == ("2+", -1, "not-1to2", "2 digits")
    hat = change_of("Wearing_Hat")
    assert hat == Change(
        "Wearing_Hat", {"Wearing_Hat": False}, {"Wearing_Hat": True}, "not wearing hat", "wearing hat"
    )
    assert hat.reverse().reverse() == hat and hat.reverse().name == "not-Wearing_Hat"


@pytest.mark.parametrize(
    ("source", "target", "kind", "words"),
    [
        ({}, {"a": True}, "place", "at least one label"),
        ({"a": True}, {}, "place", "at least one label"),
        ({"a": True}, {"a": True}, "place", "no label differs"),
        ({"a": True}, {"b": False}, "place", "no label differs"),
        ({"a": True}, {"a": False}, "jump", "kind is 'jump', expected one of place, choice"),
    ],
)
def test_a_change_that_changes_nothing_is_refused(source, target, kind, words):
    with pytest.raises(ValueError, match=f"change 'x': .*{words}"):
        Change("x", source, target, "before", "after", kind)


def test_every_label_has_a_change_and_its_opposite():
    assert DOMAIN.change("1to2") == COUNT and DOMAIN.change("not-Bold") == change_of("Bold").reverse()
    assert DOMAIN.change("Italic") == change_of("Italic")
    with pytest.raises(ValueError, match="change 'italics' is unknown: did you mean 'Italic'"):
        DOMAIN.change("italics")
    assert [change.name for change in default_changes(("A", "B"))] == ["A", "not-A", "B", "not-B"]
    plain = plain_domain("my_shoes", ("High",))
    assert (plain.title, plain.frame, plain.licence) == ("My shoes", "square", "other")
    assert nearest("bold", ()) == ""


def test_json_and_back():
    text = json.dumps(DOMAIN.as_json())
    assert domain_from_json(json.loads(text), "config.json", tuple(FRAMES)) == DOMAIN
    assert change_from_json(json.loads(json.dumps(change_as_json(COUNT))), "config.json") == COUNT


def test_the_bundled_generators_carry_their_domain():
    frames = {"multimnist": ("ink", True), "synthfaces": ("square", False), "letters": ("mark", True)}
    for name, (frame, draw) in frames.items():
        config = json.loads((bundled() / f"lwgan-{name}-generator" / "config.json").read_text())
        domain = domain_from_json(config["domain_spec"], "config.json", tuple(FRAMES))
        assert (domain.name, domain.frame, domain.draw) == (name, frame, draw)
        assert all(set(change.labels) <= set(domain.attributes) for change in domain.changes)


LONG = "x" * 5000
BOLD = change_as_json(change_of("Bold"))
WRONG = [
    ("name", "Letters!", "name is 'Letters!', expected 1 to 64 of a-z"),
    ("name", None, "name is None"),
    ("title", "", "title is '', expected a text of 1 to 120 characters"),
    ("subject", LONG, r"subject is 'xxx.*\.\.\. \(5002 characters\)"),
    ("licence", 3, "licence is 3, expected a text"),
    ("about", None, "about is None"),
    ("frame", "spiral", "frame is 'spiral', expected one of square, wide, face, ink"),
    ("frame", ["ink"], r"frame is \['ink'\]"),
    ("draw", 1, "draw is 1, expected true or false"),
    ("order", 1000, "order is 1000, expected a whole number from -99 to 99"),
    ("attributes", "Bold", "attributes is 'Bold', expected a list of at most 1000 attributes"),
    ("attributes", ["Bold"] * 1001, "attributes is .* expected a list"),
    ("attributes", ["Bold", "Bold"], "attributes names a label twice"),
    ("attributes", ["<b>"], "the label is '<b>', expected 1 to 60 of A-Z"),
    ("attributes", [1], "the label is 1"),
    ("changes", None, "changes is None"),
    ("changes", ["Bold"], "change is 'Bold', expected an object"),
    ("changes", [{**BOLD, "source": []}], r"change 'Bold': source is \[\], expected an object"),
    (
        "changes",
        [{**BOLD, "target": {"Bold": "yes"}}],
        "change 'Bold': Bold is 'yes', expected true or false",
    ),
    ("changes", [{**BOLD, "target": {"": True}}], "the label is ''"),
    ("changes", [{**BOLD, "after": None}], "change 'Bold': after is None"),
    ("changes", [{**BOLD, "kind": ["place"]}], r"change 'Bold': kind is \['place'\]"),
    ("changes", [{**BOLD, "adds": "no"}], "change 'Bold': adds is 'no'"),
    ("changes", [{**BOLD, "target": {"Bold": False}}], "no label differs"),
]


@pytest.mark.parametrize(
    ("key", "value", "words"), WRONG, ids=[f"{key}-{i}" for i, (key, *_) in enumerate(WRONG)]
)
def test_a_strangers_domain_is_refused_by_key_value_and_what_was_expected(key, value, words):
    with pytest.raises(ValueError, match=f"^config.json: .*{words}") as caught:
        domain_from_json({**DOMAIN.as_json(), key: value}, "config.json", tuple(FRAMES))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("data", [None, [], "text", {1: 2}])
def test_what_is_no_object_is_no_domain(data):
    with pytest.raises(ValueError, match=re.escape(f"config.json: domain is {data!r}, expected an object")):
        domain_from_json(data, "config.json", tuple(FRAMES))
