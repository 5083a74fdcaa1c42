"""Rendered faces: which people are drawn, what an oracle changes and leaves, and the data set."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
import torch

from lwgan.hub import registry
from lwgan.judges import IdentityNetwork
from trainers.datasets import open_dataset, synthfaces
from trainers.datasets.celeba import CELEBA
from trainers.datasets.synthfaces import NAMES, labels_of, oracle, render, sample
from trainers.datasets.synthfaces.bake import used_shapes
from trainers.datasets.synthfaces.dataset import beside
from trainers.datasets.synthfaces.head import template
from trainers.datasets.synthfaces.looks import look
from trainers.datasets.synthfaces.sampler import BEARDS, TABLE
from trainers.shards import Split

BASES = {rule.name: rule.base for rule in TABLE if not rule.without}
EXCLUSIVE = {frozenset((rule.name, other)) for rule in TABLE for other in rule.without}
HAIR = ("Gray_Hair", "Blond_Hair", "Black_Hair", "Brown_Hair")
ON_HEADS_WITH_HAIR = (
    *HAIR,
    "Bangs",
    "Long_Hair",
    "Receding_Hairline",
    "Sideburns",
    "Straight_Hair",
    "Wavy_Hair",
)


@pytest.fixture(scope="module")
def people():
    """Seven sharp people of mixed attributes, hats and bald heads aside: there much of the hair's attributes
    is covered."""
    mixed = sample(40, 5, bias=0, flat=0.5)
    return [
        each for each in mixed if not (each.has("Blurry") or each.has("Wearing_Hat") or each.has("Bald"))
    ][:7]


@pytest.fixture(scope="module")
def drawn():
    """Labels [4000, 41] at three settings of the knobs, (bias, flat)."""
    return {
        knobs: labels_of(sample(4000, 9, bias=knobs[0], flat=knobs[1])) for knobs in ((1, 0), (0, 0), (0, 1))
    }


@functools.cache
def seen(person) -> np.ndarray:
    """The person's picture, rendered once for all tests; only to be read."""
    return render(person)


def column(name: str) -> int:
    return NAMES.index(name)


def changed(first: np.ndarray, second: np.ndarray, by: int = 0) -> np.ndarray:
    """bool [H, W]: where two pictures differ by more than so many levels of 255."""
    return (np.abs(first.astype(int) - second) > by).any(2)


# Who is drawn


def test_the_names_are_celebas_but_one_and_two_more():
    assert set(NAMES) == {*CELEBA, "Long_Hair", "Full_Beard"} - {"Attractive"}
    assert len(NAMES) == 41 == len(TABLE) + 1  # No_Beard follows from the others


def test_a_person_depends_on_seed_and_number_alone():
    ten = sample(10, 3)
    assert sample(4, 3, first=6) == ten[6:]
    assert len({each.labels for each in ten}) > 5
    assert sample(10, 4) != ten


def test_labels_are_as_frequent_as_the_table_says(drawn):
    """bias 1: expectations worked out from the conditionals by hand; bias 0: the bases.

    Four standard errors at most, .032.
    """
    found = drawn[1, 0].mean(0)
    by_hand = {
        "Male": 0.42,
        "Young": 0.42 * 0.65 + 0.58 * 0.86,
        "Smiling": 0.42 * 0.40 + 0.58 * 0.54,
        "Mouth_Slightly_Open": 0.481 * 0.76 + 0.519 * 0.22,
        "Heavy_Makeup": 0.42 * 0.01 + 0.58 * (0.86 * 0.72 + 0.14 * 0.42),
        "Eyeglasses": 0.772 * 0.05 + 0.147 * 0.25 + 0.081 * 0.13,
        "Mustache": 0.042,
        "No_Beard": 1 - 0.42 * (1 - 0.9 * 0.86 * (0.65 * 0.80 + 0.35 * 0.76)),
        "Wearing_Necktie": 0.42 * (0.65 * 0.12 + 0.35 * 0.27),
    }
    for name, expected in by_hand.items():
        assert found[column(name)] == pytest.approx(
            expected, abs=4 * (expected * (1 - expected) / 4000) ** 0.5 + 0.001
        ), name
    for name, expected in BASES.items():
        assert drawn[0, 0].mean(0)[column(name)] == pytest.approx(expected, abs=0.032), name


def test_celebas_frequencies_are_near(drawn):
    """Those of the published table that the paper's eight attributes have, in percent."""
    published = {
        "Eyeglasses": 6.5,
        "Male": 41.7,
        "Smiling": 48.2,
        "Young": 77.4,
        "Pale_Skin": 4.3,
        "Bangs": 15.2,
        "Blond_Hair": 14.8,
        "Wavy_Hair": 32.0,
    }
    for name, expected in published.items():
        assert 100 * drawn[1, 0].mean(0)[column(name)] == pytest.approx(expected, abs=3.5), name


def test_flat_makes_rare_attributes_frequent(drawn):
    found = drawn[0, 1].mean(0)
    for rule in TABLE:
        if not rule.without:
            assert found[column(rule.name)] == pytest.approx(rule.even, abs=0.032), rule.name
    colours = [found[column(name)] for name in HAIR]
    assert np.allclose(colours, (1 - 0.2) / 5, atol=0.025)  # bald .2; else four colours and auburn, alike
    assert found.min() > 0.1


def test_bias_brings_correlations_and_its_absence_none(drawn):
    """Values of bias 1 measured on the prototype, over 20,000 draws; three standard errors of r are below
    .05."""
    r = np.corrcoef(drawn[1, 0].T)
    known = {
        ("Male", "Wearing_Lipstick"): -0.79,
        ("Heavy_Makeup", "Wearing_Lipstick"): 0.76,
        ("Smiling", "High_Cheekbones"): 0.64,
    }
    known |= {
        ("Male", "Long_Hair"): -0.68,
        ("Young", "Gray_Hair"): -0.41,
        ("Male", "Wearing_Earrings"): -0.36,
        ("Male", "Young"): -0.26,
        ("Male", "Smiling"): -0.14,
    }
    for (one, other), expected in known.items():
        assert r[column(one), column(other)] == pytest.approx(expected, abs=0.05)
    r = np.corrcoef(drawn[0, 0].T)
    for one, other in itertools.combinations(NAMES, 2):
        if frozenset((one, other)) not in EXCLUSIVE and not {one, other} & {"No_Beard", "Bald"}:
            assert abs(r[column(one), column(other)]) < 0.08, (one, other)


def test_what_excludes_each_other_is_never_drawn_together(drawn):
    for labels in drawn.values():
        for one, other in map(tuple, EXCLUSIVE):
            assert not (labels[:, column(one)] & labels[:, column(other)]).any(), (one, other)
        bearded = labels[:, [column(name) for name in BEARDS]].any(1)
        assert (labels[:, column("No_Beard")] == ~bearded).all()
        assert not labels[labels[:, column("Bald")] == 1][
            :, [column(name) for name in ON_HEADS_WITH_HAIR]
        ].any()


# Oracles


def test_an_oracle_changes_its_attribute_and_what_cannot_be_kept():
    for person, name in itertools.product(sample(25, 2, bias=0, flat=0.6), NAMES):
        edited = oracle(person, name)
        assert edited.has(name) != person.has(name)
        lost = {n for n in NAMES if person.has(n) and not edited.has(n)} - {name}
        won = {n for n in NAMES if edited.has(n) and not person.has(n)} - {name}
        if name == "No_Beard":
            assert lost <= {*BEARDS, "5_o_Clock_Shadow"} and won <= {"Full_Beard"}
        else:
            assert all(
                edited.has(name) and frozenset((name, n)) in EXCLUSIVE or n == "No_Beard" for n in lost
            )
            assert won <= {"No_Beard"}
        assert (
            dataclasses.replace(edited, labels=person.labels) == person
        )  # identity, strengths and nuisance are kept
        if not lost - {"No_Beard"} and name != "No_Beard":
            assert oracle(edited, name) == person


def test_an_oracle_of_hair_and_beards():
    bearded = next(each for each in sample(200, 6) if each.has("Full_Beard") and each.has("Brown_Hair"))
    assert not oracle(bearded, "Blond_Hair").has("Brown_Hair")
    assert not any(oracle(bearded, "Brown_Hair").has(name) for name in HAIR)
    assert oracle(bearded, "No_Beard") == oracle(bearded, "Full_Beard")
    assert oracle(oracle(bearded, "No_Beard"), "No_Beard") == bearded


def test_every_attribute_is_seen(people):
    """Each oracle changes the picture, by the size of an earring at least."""
    least = dict.fromkeys(NAMES, 14) | {"Wearing_Earrings": 6}
    for person in people[:4]:
        for name in NAMES:
            assert changed(seen(person), seen(oracle(person, name)), by=8).sum() >= least[name], name


def test_long_hair_hides_no_jewellery():
    """In the prototype it often did, and the label stayed."""
    for person in [each for each in sample(80, 4) if each.has("Long_Hair") and not each.has("Blurry")][:8]:
        for name in ("Wearing_Earrings", "Wearing_Necklace"):
            assert changed(seen(person), seen(oracle(person, name)), by=8).sum() >= 6, name


def test_the_head_has_the_blend_shapes_that_are_used():
    assert set(template().shapes) == used_shapes()


# Rows of 64 between which an oracle may change pixels: as measured on twenty people, and two more for other
# poses.
WHERE = {
    "Smiling": (14, 64), "Mouth_Slightly_Open": (19, 64), "High_Cheekbones": (24, 51), "Big_Nose": (22, 47),
    "Narrow_Eyes": (21, 49), "Wearing_Lipstick": (37, 53), "Big_Lips": (35, 55), "Mustache": (30, 63),
    "Goatee": (30, 64), "Full_Beard": (30, 64), "5_o_Clock_Shadow": (30, 64), "Sideburns": (23, 45),
    "Wearing_Necklace": (46, 64), "Wearing_Necktie": (47, 64), "Double_Chin": (44, 64),
    "Wearing_Earrings": (35, 51), "Arched_Eyebrows": (16, 30), "Bushy_Eyebrows": (17, 31),
    "Heavy_Makeup": (19, 49), "Eyeglasses": (22, 38), "Rosy_Cheeks": (26, 50), "Bags_Under_Eyes": (28, 40),
    "Bangs": (0, 44), "Wearing_Hat": (0, 35), "Receding_Hairline": (0, 36),
}  # fmt: skip


def test_an_oracle_leaves_the_rest_of_the_picture(people):
    """Bit for bit, background and frame included: no expression moves the frame."""
    for person, (name, (top, bottom)) in itertools.product(people, WHERE.items()):
        edited = oracle(person, name)
        if sum(a != b for a, b in zip(edited.labels, person.labels, strict=True)) > 1 and name not in BEARDS:
            continue  # what it excluded changes other places
        rows = np.nonzero(changed(seen(person), seen(edited)).any(1))[0]
        assert top <= rows.min() and rows.max() < bottom, name


def test_identity_outlives_every_attribute(people):
    """The bones, framing and pose are the same before and after; only sex and age move the frame, as they do
    in photographs."""
    for person, name in itertools.product(people[:3], NAMES):
        before, after = look(person), look(oracle(person, name))
        assert (before.bones == after.bones) == (name not in ("Male", "Young")), name
        assert before.scene._replace(blur=0)[:3] == after.scene._replace(blur=0)[:3]
        assert (before.paint.iris == after.paint.iris).all()


def test_an_identity_network_recognises_an_oracle():
    """The bundled network saw other people. It finds a picture and its oracle alike, two people not.

    Skin is half of what it recognises.
    """
    people = sample(6, 77)
    network = IdentityNetwork.from_pretrained(registry.bundled() / "lwgan-synthfaces-identity")
    with torch.inference_mode():
        base, alike = network(floats(people)), {}
        for name in NAMES:
            pairs = [(i, oracle(person, name)) for i, person in enumerate(people)]
            pairs = [(i, other) for i, other in pairs if not beside(people[i], other, name)]
            rows, others = zip(*pairs, strict=True)
            alike[name] = (base[list(rows)] * network(floats(others))).sum(1).mean()
    assert (base @ base.T).fill_diagonal_(0).sum() / 30 < 0.1
    assert alike.pop("Pale_Skin") > 0.4
    assert all(value > 0.7 for value in alike.values()), alike


def floats(people) -> torch.Tensor:
    return torch.from_numpy(synthfaces.render_all(people, 64)).movedim(3, 1).float() / 127.5 - 1


# Pictures


def test_pictures_follow_from_the_person_alone(people):
    batch = synthfaces.render_all(people[:3], 64)
    assert batch.shape == (3, 64, 64, 3) and batch.dtype == np.uint8
    assert (batch[2] == render(people[2])).all()
    assert (render(people[0]) == batch[0]).all()
    assert changed(batch[0], batch[1], by=8).mean() > 0.3


KNOWN = [[104, 63, 48, 102], [96, 81, 67, 87], [80, 85, 68, 74], [84, 71, 59, 72]]


def test_a_known_picture():
    """Mean colours of the 16 x 16 blocks of VERSION 1's first picture.

    Whoever changes them on purpose raises VERSION.
    """
    blocks = render(sample(1, 0)[0]).reshape(4, 16, 4, 16, 3).mean((1, 3))
    assert synthfaces.VERSION == 1
    assert np.abs(blocks.mean(2) - KNOWN).max() < 2


def test_both_sizes_show_the_same(people):
    for person in people[:3]:
        small, large = render(person, 64).astype(float), render(person, 128)
        assert large.shape == (128, 128, 3)
        assert np.abs(large.reshape(64, 2, 64, 2, 3).mean((1, 3)) - small).mean() < 4


def test_beards_stand_out_from_any_skin():
    """Blond beards of the prototype did not: over the chin the picture gets darker or lighter by 12 levels at
    least."""
    blond = [
        each for each in sample(60, 12, bias=0, flat=0.5) if each.has("Blond_Hair") and not each.has("Blurry")
    ][:6]
    for person in blond:
        shaved = person if person.has("No_Beard") else oracle(person, "No_Beard")
        difference = render(oracle(shaved, "Full_Beard")).mean(2) - render(shaved).mean(2)
        assert np.abs(difference[difference != 0]).mean() > 12


def test_bad_requests_are_refused_with_their_values():
    person = sample(1, 0)[0]
    with pytest.raises(ValueError, match="resolution 96: .* 64 or 128"):
        render(person, 96)
    with pytest.raises(ValueError, match="bias = 1.5: .* 0 and 1"):
        sample(1, 0, bias=1.5)
    with pytest.raises(ValueError, match="flat = -0.1: .* 0 and 1"):
        sample(1, 0, flat=-0.1)
    with pytest.raises(ValueError, match="n = 0, first = 0, seed = 0"):
        sample(0, 0)
    with pytest.raises(ValueError, match="seed = -1"):
        sample(1, -1)
    for ask in (person.has, lambda name: oracle(person, name)):
        with pytest.raises(ValueError, match="'Smilling' is unknown: did you mean 'Smiling'"):
            ask("Smilling")


# The data set


def test_rows_are_people_of_the_splits_seed():
    dataset = open_dataset("synthfaces", train=5, heldout=3, bias=0.5, seed=2)
    for split, seed in (("train", 6), ("validation", 7), ("test", 8)):
        people = sample(3, seed, bias=0.5)
        part = dataset.read(split, range(1, 3))
        assert (part.images.permute(0, 2, 3, 1).numpy() == synthfaces.render_all(people[1:])).all()
        assert (part.labels.numpy() == labels_of(people[1:])).all() and part.groups is None
    assert dataset.facts == {"bias": 0.5, "flat": 0.0, "seed": 2} and dataset.domain.attributes == NAMES


def test_identities_are_groups_and_never_blurry():
    dataset = open_dataset("synthfaces", identities="3", each="4", heldout="4", flat="1")
    part = dataset.read("train", range(12))
    assert dataset.size("train") == 12 and part.groups.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert not part.labels[:, NAMES.index("Blurry")].any()
    people = dataset.people("train", range(4))
    assert {person.identity for person in people} == {(0, 0)} and len({p.nuisance for p in people}) == 4


def test_ideal_edits_change_one_attribute_of_source_cases(tmp_path):
    dataset = open_dataset("synthfaces", train=1, heldout=12)
    part = dataset.read("test", range(12))
    split = Split(part.images, part.labels, None, dataset.domain, {}, "test")
    for change in (dataset.domain.change("Smiling"), dataset.domain.change("not-Smiling")):
        rows, images = dataset.oracle(change, torch.arange(12), split)
        assert (
            rows.tolist()
            == torch.nonzero(part.labels[:, NAMES.index("Smiling")] == (change.sign < 0))[:, 0].tolist()
        )
        person = sample(12, 2)[int(rows[0])]
        assert (images[0].permute(1, 2, 0).numpy() == render(oracle(person, "Smiling"))).all()


def test_a_request_that_makes_no_sense_is_refused():
    for change, message in (
        ({"resolution": 32}, "resolution 32: .* 64 or 128"),
        ({"bias": 2.0}, "bias = 2.0"),
        ({"identities": 2, "each": 1}, "each 1"),
        ({"identities": 2, "heldout": 30}, "heldout 30"),
        ({"layout": "slots"}, "synthfaces has no option 'layout': choose from resolution"),
    ):
        with pytest.raises(ValueError, match=message):
            open_dataset("synthfaces", **change)
