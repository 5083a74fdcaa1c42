"""Pictures, recipes and links made before the redesign give the same bytes.

tests/data/unchanged holds 20 edited PNGs with their recipes in the text and 4 links, all written by the code
at commit 92d2f6f with the bundled models. Since then weights got other names: lwgan-multimnist-lw-1to2 is
lwgan-multimnist-lw-sinkhorn-1to2 now. A recipe finds them by their sha256.
"""

import json

import pytest

from lwgan import EditingPipeline, recipe
from tests.conftest import DATA

PICTURES = sorted((DATA / "unchanged").glob("*.png"))
LINKS = json.loads((DATA / "unchanged" / "links.json").read_text())


@pytest.fixture(scope="module")
def pipes():
    return {name: EditingPipeline.from_pretrained("bundled", name) for name in ("multimnist", "synthfaces")}


def replay(pipes, found: dict) -> bytes:
    """The picture of a recipe, with this recipe in its text. A new recipe says the same, but for names."""
    pipe = pipes[found["domain"]]
    alphas = recipe.alphas_of(pipe, found)
    assert unnamed(recipe.make(pipe, found["source"], alphas)) == unnamed(found)
    w = pipe.encode(recipe.source_picture(pipe, found["source"]))
    return recipe.png(pipe.generate(pipe.edit(w, alphas))[0], found)


def unnamed(found: dict) -> dict:
    edits = sorted((edit["sha256"], edit["alpha"]) for edit in found["edits"])
    return found | {"edits": edits}


def test_an_edit_is_found_by_its_weights_though_its_name_means_others_now(pipes):
    old = [edit for path in PICTURES for edit in recipe.of_png(path)["edits"]]
    moved = {edit["name"] for edit in old} & {"lwgan-multimnist-lw-1to2", "lwgan-multimnist-lw-2to3"}
    assert moved
    for path in PICTURES:
        found = recipe.of_png(path)
        here = recipe.alphas_of(pipes[found["domain"]], found)
        for edit, name in zip(found["edits"], here, strict=True):
            assert name == edit["name"].replace("multimnist-lw-", "multimnist-lw-sinkhorn-")


def test_the_pictures_are_of_both_domains_and_several_methods():
    recipes = [recipe.of_png(path) for path in PICTURES]
    assert len(recipes) == 20 and {found["domain"] for found in recipes} == {"multimnist", "synthfaces"}
    assert len({edit["name"].split("-")[2] for found in recipes for edit in found["edits"]}) > 2
    assert {len(found["edits"]) for found in recipes} >= {1, 2}


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_png_is_made_again_byte_for_byte(pipes, path):
    assert replay(pipes, recipe.of_png(path)) == path.read_bytes()


@pytest.mark.parametrize("stem", LINKS)
def test_a_link_opens_as_the_picture_that_it_was_made_for(pipes, stem):
    found = recipe.from_link(LINKS[stem])
    assert found == recipe.of_png(DATA / "unchanged" / f"{stem}.png") and recipe.to_link(found) == LINKS[stem]
    assert replay(pipes, found) == (DATA / "unchanged" / f"{stem}.png").read_bytes()
