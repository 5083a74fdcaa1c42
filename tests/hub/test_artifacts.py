"""Broken models are refused by a message that names the source, the file, the value and what is expected."""

import copy
import functools
import json
import operator
import re

import pytest
import torch

from lwgan import files as folders
from lwgan.edit import AffineEdit
from lwgan.hub import pushing, registry
from tests.hub.artifacts import BROKEN, CONFIG, REPO, WEIGHT, files, make, rewrite

PICTURES, LABELS = torch.zeros(2, 8, 8, dtype=torch.uint8), torch.zeros(2, 3, dtype=torch.uint8)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_refused(tmp_path, case):
    spoil, *words = BROKEN[case]
    folder = make(tmp_path / "edit")
    spoil(folder)
    with pytest.raises(ValueError) as caught:
        AffineEdit.from_pretrained(folder)
    assert all(word in str(caught.value) for word in [str(folder), *words]), caught.value
    assert len(str(caught.value)) < 1000


# Whoever reads a folder reads it by the same function: a few cases show that they do.
SOME = (
    "a newer format",
    "an unknown kind of change",
    "a flipped bit",
    "a file cut short",
    "a pickle",
    "no config",
)


@pytest.mark.parametrize("case", SOME)
def test_pull_list_and_push_refuse_it_too(hub, tmp_path, case):
    spoil, *words = BROKEN[case]
    folder = make(tmp_path / "shelf" / "edit")
    spoil(folder)
    with pytest.raises(ValueError, match=str(folder)):
        pushing.push(folder, REPO)
    assert not hub.log
    for entry in registry.models(tmp_path / "shelf"):
        assert all(word in entry.refused for word in ["edit", *words]), entry
    hub.put(REPO, files(folder))
    with pytest.raises(ValueError) as caught:
        AffineEdit.from_pretrained(REPO)
    assert all(word in str(caught.value) for word in [REPO, *words]), caught.value


DOMAIN = {
    "name": "multimnist",
    "title": "Digits",
    "subject": "digits",
    "frame": "ink",
    "attributes": ["2-or-more"],
    "changes": [CONFIG["change"]],
    "licence": "apache-2.0",
    "about": "Drawn.",
    "limits": "None.",
}
NO_DOMAIN = {
    "a list": ([], "domain is [], expected an object"),
    "an unknown frame": (
        DOMAIN | {"frame": "../square"},
        "frame is '../square', expected one of square, wide, face, ink",
    ),
    "a frame that is a list": (DOMAIN | {"frame": ["ink"]}, "frame is ['ink'], expected one of"),
    "another name": (DOMAIN | {"name": "letters"}, "name is 'letters', domain says 'multimnist'"),
    "a path for a name": (DOMAIN | {"name": "../x"}, "name is '../x', expected 1 to 64"),
    "no licence": (DOMAIN | {"licence": None}, "licence is None, expected a text"),
    "an endless text": (DOMAIN | {"about": "x" * 5000}, "expected a text of 1 to 4000 characters"),
    "endless labels": (DOMAIN | {"attributes": ["x"] * 1001}, "at most 1000 attributes"),
    "a label with markup": (DOMAIN | {"attributes": ["<img>"]}, "the label is '<img>'"),
    "a change that is none": (DOMAIN | {"changes": [{}]}, "the label is None"),
    "a truth in words": (DOMAIN | {"draw": "yes"}, "draw is 'yes', expected true or false"),
}


@pytest.mark.parametrize("case", NO_DOMAIN)
def test_a_generator_with_a_broken_domain_is_refused(tmp_path, case):
    domain, words = NO_DOMAIN[case]
    config = {"kind": "generator", "domain": "multimnist", "domain_spec": DOMAIN}
    folders.save_folder(tmp_path, config, {"x": WEIGHT})
    rewrite(tmp_path, domain_spec=domain)
    with pytest.raises(ValueError) as caught:
        folders.read_config(tmp_path, "lab/g")
    assert str(caught.value).startswith("lab/g: config.json: domain_spec: "), caught.value
    assert words in str(caught.value) and len(str(caught.value)) < 1000, caught.value


JUNK = (None, True, -1, 10**400, 1.5, "x" * 5000, "", [], [[]], {}, {"": {}}, {"x" * 5000: 1}, [None] * 2000)


def paths_of(value, path=()):
    """The path to every value within a JSON value."""
    parts = value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
    for key, part in parts.items():
        yield (*path, key)
        yield from paths_of(part, (*path, key))


@pytest.mark.parametrize("kind", ["affine", "generator"])
def test_no_value_under_any_key_raises_anything_but_a_short_value_error(tmp_path, kind):
    folder = make(tmp_path / "edit", kind=kind, domain_spec=DOMAIN, base_revision={"generator": "a" * 64})
    good = json.loads((folder / "config.json").read_text())
    for path in paths_of(good):
        for junk in JUNK:
            config = copy.deepcopy(good)
            functools.reduce(operator.getitem, path[:-1], config)[path[-1]] = junk
            (folder / "config.json").write_text(json.dumps(config))
            message = "lab/edit"
            try:
                folders.read_config(folder, "lab/edit")
            except ValueError as error:
                message = str(error)
            assert message.startswith("lab/edit") and len(message) < 1000, (path, message)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"pictures": PICTURES}, "holds no picture, kind 'pictures' has ['images']"),
        ({"images": PICTURES[:0]}, "holds no picture"),
        ({"images": PICTURES[:, :4]}, "images is uint8 (2, 4, 8), expected uint8 (N, 8, 8) or (N, 3, 8, 8)"),
        ({"images": PICTURES[0, 0, 0]}, "images is uint8 (), expected uint8 (N, 8, 8)"),
        ({"images": PICTURES.float()}, "images is float32 (2, 8, 8), expected uint8 (N, 8, 8)"),
        ({"images": PICTURES, "labels": LABELS[:1]}, "labels is uint8 (1, 3), expected uint8 (2, K)"),
        ({"images": PICTURES, "labels": LABELS[0, 0]}, "labels is uint8 (), expected uint8 (2, K)"),
        ({"images": PICTURES, "labels": LABELS.bool()}, "labels is bool (2, 3), expected uint8 (2, K)"),
    ],
)
def test_broken_sample_pictures_are_refused(tmp_path, tensors, words):
    folders.save_folder(tmp_path, {"kind": "pictures"}, tensors)
    with pytest.raises(ValueError, match=re.escape(words)):
        registry.load_pictures(tmp_path, None, 8)


def test_sample_pictures_with_labels_are_taken(tmp_path):
    folders.save_folder(tmp_path, {"kind": "pictures"}, {"images": PICTURES, "labels": LABELS})
    assert torch.equal(registry.load_pictures(tmp_path, None, 8)[1]["labels"], LABELS)


def test_what_no_rule_forbids_is_kept(tmp_path):
    config = {
        "attribute": "été <b>",  # a key of older versions
        "change": None,
        "alpha": -3,
        "base_model": "o-r.g/n_1",
        "base_revision": {"generator": "a" * 40},
    }
    folder = make(tmp_path / "edit", **config, unknown={"deep": [None, True]})
    kept = AffineEdit.from_pretrained(folder).config
    assert config.items() <= kept.items() and kept["unknown"] == {"deep": [None, True]}
    assert torch.isfinite(AffineEdit.from_pretrained(folder).bias).all()


def test_a_wrong_base_is_named_with_the_right_one():
    edit = {
        "kind": "affine",
        "base_model": "lab/g",
        "base_encoder": "lab/e",
        "base_revision": {"generator": "a" * 64, "encoder": "b" * 64},
    }
    for kind, named, made_for in (("generator", "lab/g", "a"), ("encoder", "lab/e", "b")):
        right, wrong = ({"kind": kind, "weights": {"sha256": letter * 64}} for letter in (made_for, "c"))
        folders.check_base(edit, "lab/edit", right, "lab/x")
        with pytest.raises(
            ValueError,
            match=f"lab/edit was made for the {kind} {named} with .*{made_for * 64}, lab/x has {'c' * 64}",
        ):
            folders.check_base(edit, "lab/edit", wrong, "lab/x")
