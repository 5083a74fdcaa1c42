"""Masses: which labels they can balance, and what a batch holds of them."""

import pytest
import torch

from lwgan.domain import plain_domain
from trainers.codes import Codes
from trainers.edits.centroids import Centroids
from trainers.edits.masses import Side, most_correlated, weighed
from trainers.shards import UNKNOWN

PEOPLE = plain_domain("people", ("Male", "Beard", "Young"))
MALE, NOT_MALE = PEOPLE.change("Male"), PEOPLE.change("not-Male")
ALL = PEOPLE.attributes


def balanced(codes, change, masses, wanted):
    return Centroids(masses, tuple(wanted)).balanced(codes, change)


def people(men: int, bearded: int, women_with_beards: int) -> Codes:
    """Codes [300, 1, 1] of so many men (the edited label) and women, half of all young."""
    labels = torch.zeros(300, 3, dtype=torch.uint8)
    labels[:men, 0] = 1
    labels[:bearded, 1] = 1
    labels[men : men + women_with_beards, 1] = 1
    labels[::2, 2] = 1
    return Codes(torch.arange(300.0)[:, None, None], labels, PEOPLE)


def test_a_label_that_would_leave_a_handful_is_not_balanced():
    """A third of the men have a beard: among 150 women 30 can stand for them, one cannot."""
    assert balanced(people(150, 50, 30), MALE, "match", ALL) == ["Beard", "Young"]
    assert balanced(people(150, 50, 1), MALE, "match", ALL) == ["Young"]
    assert balanced(people(150, 149, 0), NOT_MALE, "match", ALL) == ["Young"]
    assert balanced(people(150, 149, 0), MALE, "match", ["Young", "Beard"]) == ["Young"]
    with pytest.raises(ValueError, match="balancing any of Beard leaves less than 10% of a side of 'Male'"):
        balanced(people(150, 149, 0), MALE, "match", ["Beard"])
    assert balanced(people(150, 50, 1), MALE, "uniform", []) == []


def test_by_default_masses_balance_the_most_correlated_labels():
    """Of 150 men 50 have a beard, of 150 women 30: beards are correlated with men a little, youth is not. Of
    ten labels the six most correlated, the most first; not one that a side never has."""
    codes = people(150, 50, 30)
    assert most_correlated(codes, MALE) == ["Beard", "Young"] == balanced(codes, MALE, "overlap", [])
    same = torch.linspace(0, 0.9, 10)  # label i equals the first with this probability, else it is a coin
    first = torch.randint(2, (5000, 1))
    others = torch.where(torch.rand(5000, 10) < same, first, torch.randint(2, (5000, 10)))
    domain = plain_domain("many", ("Male", *map(str, range(10))))
    many = lambda: Codes(torch.zeros(5000, 1, 1), torch.cat([first, others], 1).to(torch.uint8), domain)
    assert most_correlated(many(), MALE) == ["9", "8", "7", "6", "5", "4"]
    others[:, 9] = first[:, 0]  # no woman has it
    assert most_correlated(many(), MALE) == ["8", "7", "6", "5", "4", "3"]


def test_the_report_counts_what_masses_leave():
    report = weighed(people(150, 50, 0), MALE, "match", ["Beard"])[1]["masses"]
    assert report == {
        "balanced": ["Beard"],
        "source": {"codes": 150, "effective": 150, "mass_0": 0},
        "target": {"codes": 150, "effective": 100, "mass_0": 50},
    }
    assert weighed(people(150, 50, 0), MALE, "uniform", [])[1] == {}


def test_a_batch_with_masses_keeps_their_shares():
    """All 800 of a batch are drawn by the masses: binomial, with a standard deviation of .015 for a share of
    .75."""
    mass = torch.tensor([0.75, 0.0, 0.125, 0.125], dtype=torch.float64)
    side = Side(torch.arange(4.0)[:, None, None], mass)
    drawn = side.batch(800).flatten()
    shares = torch.bincount(drawn.long(), minlength=4) / 800
    assert shares[1] == 0 and shares[0].item() == pytest.approx(0.75, abs=0.06)
    assert drawn.mean().item() == pytest.approx(side.mean().item(), abs=0.15)


def test_a_batch_without_masses_holds_each_code_as_often_as_any_other():
    side = Side(torch.arange(10.0)[:, None, None])
    assert side.batch(10).flatten().sort().values.tolist() == list(range(10))
    counts = torch.bincount(side.batch(25).flatten().long())
    assert counts.sum() == 25 and set(counts.tolist()) == {2, 3}


def test_matched_sides_have_the_same_share_of_each_label():
    codes = people(150, 50, 30)
    both, _ = weighed(codes, MALE, "match", ["Beard", "Young"])
    bearded = [float((side.mass * codes.has("Beard")[side.w.flatten().long()]).sum()) for side in both]
    assert bearded == pytest.approx([1 / 3, 1 / 3])


def test_codes_whose_label_is_unknown_stand_on_neither_side_and_are_not_balanced():
    codes = people(150, 50, 30)
    codes.labels[0, 0] = codes.labels[10, 1] = UNKNOWN
    assert len(codes.source(MALE)) == 150 and len(codes.target(MALE)) == 149
    (source, target), _ = weighed(codes, MALE, "match", ["Beard"])
    assert not {0.0, 10.0} & set(target.w.flatten().tolist()) and len(source.w) == 150
