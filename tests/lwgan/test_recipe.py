"""Recipes in links; what replaying them gives is tested with the page and the API."""

import base64
import json
import zlib

import pytest

from lwgan import recipe

MADE = {
    "recipe": 1,
    "source": {"seed": 6},
    "base": {},
    "edits": [{"name": f"lwgan-multimnist-lw-{n}to{n + 1}", "alpha": 0.1 * n} for n in (1, 2)],
}


def test_a_link_holds_the_whole_recipe():
    assert recipe.from_link(recipe.to_link(MADE)) == recipe.from_json(json.dumps(MADE))
    assert recipe.from_link(
        f"http://127.0.0.1:7860/?a=1&edit={recipe.to_link(MADE)}#view"
    ) == recipe.from_json(MADE)


@pytest.mark.parametrize("kept", [0, 1, 7, 40, -40, -20])
def test_a_link_that_was_cut_off_is_answered_so(kept):
    with pytest.raises(ValueError, match="that link holds no recipe: it may have been cut off"):
        recipe.from_link(recipe.to_link(MADE)[:kept])


@pytest.mark.parametrize(
    ("held", "kind"), [([MADE], "list"), ("text", "str"), (1.5, "float"), (None, "NoneType")]
)
def test_a_link_that_holds_something_else_is_answered_so(held, kind):
    with pytest.raises(ValueError, match=f"the recipe is a {kind}, expected an object"):
        recipe.from_link(base64.urlsafe_b64encode(zlib.compress(json.dumps(held).encode())).decode())


def test_a_recipe_that_is_none_is_answered_so():
    with pytest.raises(ValueError, match="the recipe is no JSON"):
        recipe.from_json("{")
