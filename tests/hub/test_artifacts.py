"""Bad artifacts are refused, in a folder and from the Hub alike, by a message that names source, file, what is found and what is expected."""

import pytest
import torch

from lwgan import files as folders
from lwgan.edit import AffineEdit
from lwgan.hub import pushing as hub_push
from tests.hub.artifacts import BROKEN, REPO, files, make


def test_there_are_enough_of_them():
    assert len(BROKEN) >= 20


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_refused(tmp_path, case):
    spoil, *words = BROKEN[case]
    folder = make(tmp_path / "edit")
    spoil(folder)
    with pytest.raises(ValueError) as caught:
        AffineEdit.from_pretrained(folder)
    assert all(word in str(caught.value) for word in [str(folder), *words]), caught.value
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_model_of_the_hub_is_refused(hub, tmp_path, case):
    spoil, *words = BROKEN[case]
    folder = make(tmp_path / "edit")
    spoil(folder)
    hub.put(REPO, files(folder))
    with pytest.raises(ValueError) as caught:
        AffineEdit.from_pretrained(REPO)
    if case == "a config of megabytes":
        assert not hub.calls("/resolve/")
        words[1] = "bytes, kind 'affine' may have 1000000"
    assert all(word in str(caught.value) for word in [REPO, *words]), caught.value


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_not_pushed(hub, tmp_path, case):
    if case == "another kind":
        pytest.skip("a generator may be pushed")
    folder = make(tmp_path / "edit")
    BROKEN[case][0](folder)
    with pytest.raises(ValueError, match=str(folder)):
        hub_push.push(folder, REPO)
    assert not hub.log


def test_what_no_rule_forbids_is_kept(tmp_path):
    config = {
        "from": "été <b>",
        "to": "x" * 200,
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
