"""What is read before and after an edit, with judges whose answers are set."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from lwgan import EditingPipeline
from lwgan.domain import Change, change_of
from lwgan.readings import CODES, PICTURES, Opinion, Sight, agreement, compare, judge_code, look, psnr, spell
from tests.nets import FACE_NAMES, NUM_WS, W_DIM, make_registry, make_synthfaces
from trainers.datasets.multimnist import DOMAIN

W = torch.zeros(1, NUM_WS, W_DIM)


@pytest.fixture(scope="module")
def pipe(tmp_path_factory):
    return EditingPipeline.from_pretrained(make_synthfaces(tmp_path_factory.mktemp("registry")))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return EditingPipeline.from_pretrained(make_registry(tmp_path_factory.mktemp("digits"), calibrator=True))


def seen(picture: Image.Image, **labels: float) -> Sight:
    return Sight(picture, W, (Opinion(PICTURES, labels),), 1.0)


def noise(seed: int, mode: str = "RGB") -> Image.Image:
    shape = (64, 64, 3) if mode == "RGB" else (64, 64)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def test_both_judges_read_their_labels_by_name(pipe, digits):
    sight = look(pipe, noise(0), W)
    assert [opinion.judge for opinion in sight.opinions] == [PICTURES, CODES]
    assert all(tuple(opinion.labels) == FACE_NAMES for opinion in sight.opinions)
    expected = pipe.latent_classifier(W)[0].sigmoid().tolist()
    assert list(judge_code(pipe, W).labels.values()) == pytest.approx(expected)
    assert sight.distance == pytest.approx(pipe.cloud.distance(W).item())
    assert [len(opinion.labels) for opinion in look(digits, noise(0, "L"), W).opinions] == [44, 3]


def test_other_labels_are_those_that_the_edits_do_not_speak_of(pipe):
    before = seen(noise(0), Eyeglasses=0.1, Smiling=0.9, Bangs=0.2)
    after = seen(noise(1), Eyeglasses=0.9, Smiling=0.4, Bangs=0.22)
    effect = compare(pipe, before, after, [change_of("Eyeglasses")])
    assert (effect.kept, effect.of) == (1, 2) and effect.drift == pytest.approx((0.5 + 0.02) / 2)
    assert effect.moved == (("Smiling", pytest.approx(-0.5)),)
    both = compare(pipe, before, after, [change_of("Eyeglasses"), change_of("Smiling")])
    assert (both.kept, both.of, both.moved) == (1, 1, ())
    none = compare(pipe, before, after, [])
    assert (none.kept, none.of) == (1, 3)


def test_of_an_edit_that_adds_labels_only_those_that_held_count(pipe):
    adds = Change("more", {"two": False}, {"two": True}, "one", "two", kind="choice", adds=True)
    before = seen(noise(0), two=0.0, seven=0.9, one=0.1, three=0.8)
    after = seen(noise(1), two=1.0, seven=0.9, one=0.9, three=0.1)
    effect = compare(pipe, before, after, [adds])
    assert (effect.kept, effect.of) == (1, 2)  # seven stays, three is gone, one may come


def test_identity_is_the_cosine_of_the_embeddings(pipe):
    x, y = (pipe.as_generated([noise(seed)]) for seed in (0, 1))
    expected = torch.cosine_similarity(pipe.identity(x), pipe.identity(y)).item()
    found = compare(pipe, seen(noise(0)), seen(noise(1)), []).identity
    assert found == pytest.approx(expected, abs=1e-5) and found < 0.9999
    assert compare(pipe, seen(noise(0)), seen(noise(0)), []).identity == pytest.approx(1)


def test_of_an_edit_that_draws_on_the_background_the_rest_keeps_its_identity(digits):
    before = np.zeros((64, 64), np.uint8)
    before[5:25, 5:25] = noise(0, "L").crop((0, 0, 20, 20))
    after = before.copy()
    after[40:60, 40:60] = 255
    sights = [seen(Image.fromarray(pixels)) for pixels in (before, after)]
    assert compare(digits, *sights, [DOMAIN.change("1to2")]).identity == pytest.approx(1)
    assert compare(digits, *sights, []).identity < 1


def test_without_any_judge_nothing_is_compared(pipe):
    bare = EditingPipeline(pipe.generator, pipe.encoder)
    sight = look(bare, noise(0), W)
    assert sight.opinions == () and compare(bare, sight, sight, [change_of("Bangs")]) == (
        None,
        None,
        None,
        (),
        None,
    )


def test_agreement_counts_labels():
    a, b = (
        Opinion(PICTURES, {"a": 0.1, "b": 0.6, "c": 0.9}),
        Opinion(PICTURES, {"a": 0.4, "b": 0.4, "c": 0.51}),
    )
    assert agreement(a, b) == (2, 3)


def test_an_opinion_in_words():
    opinion = Opinion(PICTURES, {"Wearing_Hat": 0.912, "Bangs": 0.3})
    assert spell(opinion, ["Wearing_Hat"]) == "Wearing Hat 91%"
    assert spell(opinion, ["Bangs", "unknown", "Wearing_Hat"]) == "Bangs 30%, Wearing Hat 91%"
    assert spell(opinion, []) == "–"


def test_psnr_of_known_errors():
    black = Image.new("L", (8, 8))
    assert psnr(black, black) == math.inf
    assert psnr(black, Image.new("L", (8, 8), 255)) == pytest.approx(0)
    assert psnr(black, Image.new("L", (4, 4), 51)) == pytest.approx(20 * math.log10(5))
