"""The recommended alpha: found where it is known to lie, by selectors of codes and of pictures."""

import pytest
import torch

from lwgan.edit import AffineEdit
from lwgan.hub.registry import save_folder
from lwgan.judges import AttributeJudge
from lwgan.strength import MAX_ALPHA
from tests.nets import made_for
from tests.trainers.edits.toys import (
    BASE,
    DIM,
    GLASSES,
    LAYERS,
    NAMES,
    axis,
    codes_of,
    labelled,
    linear_classifier,
)
from trainers.edits.alpha import ALPHAS, FURTHER, alphas_to_try, open_selector, search
from trainers.edits.base import Splits


def test_a_short_direction_is_searched_as_far_as_a_long_one():
    glasses = torch.arange(20) % 2 == 1
    codes = codes_of(glasses[:, None, None].float().expand(-1, LAYERS, DIM), glasses)
    shift = torch.ones(LAYERS, DIM)  # between the two mean codes
    for share, most in ((1.0, 3.0), (1 / 4, 12.0), (1 / 12, 36.0), (-1 / 4, 12.0)):
        alphas = alphas_to_try(AffineEdit(None, shift * share), codes, GLASSES)
        assert alphas[: len(ALPHAS)] == ALPHAS
        assert most / FURTHER < alphas[-1] <= most + 1e-6, "about three times the shift"
    assert alphas_to_try(AffineEdit(None, 0 * shift), codes, GLASSES) == ALPHAS


@pytest.mark.parametrize("best", [0.3, 1.0, 2.85, 4.3, 7, 15.5])
def test_the_search_goes_as_far_as_it_helps_and_is_finer_around_the_best(best):
    point = lambda alpha: {"alpha": alpha, "true_change": 1 - abs(alpha - best) / 10}
    found, curve = search(point, point, [*ALPHAS, 3.75, 4.69])
    assert found["alpha"] == pytest.approx(best, abs=0.03 if best < 3 else 0.04 * best)
    asked = [point["alpha"] for point in curve]
    assert asked == sorted(set(asked)) and min(asked) > 0 and max(asked) > best


def test_the_search_ends_and_of_equal_alphas_takes_that_nearest_to_1():
    rising = lambda alpha: {"alpha": alpha, "true_change": alpha / 100}
    endless, _ = search(rising, rising, ALPHAS)
    assert MAX_ALPHA / FURTHER < endless["alpha"] <= MAX_ALPHA
    unread = lambda alpha: {"alpha": alpha, "true_change": None}
    assert abs(search(unread, unread, ALPHAS)[0]["alpha"] - 1) <= 0.1


def test_around_the_best_of_the_grid_more_cases_decide():
    """The grid's few cases like 1.5 best; of the alphas around it all cases like 1.45 best."""
    liking = lambda best: lambda alpha: {"alpha": alpha, "true_change": 1 - abs(alpha - best) / 10}
    found, curve = search(liking(1.5), liking(1.45), ALPHAS)
    assert found["alpha"] == 1.45 and found["true_change"] == 1.0
    at = {point["alpha"]: point["true_change"] for point in curve}
    assert at[1.5] == pytest.approx(0.995) and at[1.2] == pytest.approx(0.97), "the grid alone"


@pytest.fixture
def reader(tmp_path):
    """A latent classifier that reads label k where number k of a code exceeds a threshold."""
    rows = torch.stack([axis(k) * scale for k, scale in enumerate((0.1, 1 / 0.55, 1 / 0.31))])
    return linear_classifier(tmp_path / "selector", rows.flatten(1), offset=1.0)


@pytest.mark.parametrize(
    ("glasses", "smile", "alpha"),
    [
        # Glasses are read from alpha .55 / .5 = 1.1 on, a smile from .31 / .25 = 1.24 on: in between only the
        # first.
        (0.5, 0.25, 1.15),
        (1.0, 0.25, 1.0),  # .6 to 1.2 are equally good
        (5.0, 2.0, 1.0),  # both are read at any alpha of the grid
        (0.0, 1.0, 1.0),  # glasses are never read
    ],
)
def test_alpha_is_where_the_label_changes_and_the_others_stay(reader, glasses, smile, alpha):
    codes = codes_of(torch.zeros(20, LAYERS, DIM), torch.arange(20) < 0)
    selector = open_selector(reader, Splits(codes, codes), GLASSES, BASE, ())
    edit = AffineEdit(None, glasses * axis(1) + smile * axis(2))
    chosen = selector.choose(edit, ALPHAS)
    assert chosen["alpha"] == alpha and chosen["selector_revision"] == made_for(reader)
    curve = {point["alpha"]: point for point in chosen["strength"]["curve"]}
    assert {0.0, *ALPHAS} <= curve.keys()
    assert curve[0.9]["target_change"] == float(glasses * 0.9 > 0.55)
    assert curve[1.5]["others_kept"] == (1.0 if smile * 1.5 < 0.31 else 0.5)
    assert chosen["validation"]["n"] == 20 and chosen["validation"]["alpha"] == alpha


def judge_folder(folder, names=NAMES, **metrics):
    judge = AttributeJudge(names=names, channels=1, widths=(4, 4, 4), features=4)
    config = {"kind": "judge", "domain": "toys", "resolution": 8, "architecture": judge.config}
    save_folder(folder, config | ({"metrics": metrics} if metrics else {}), judge.state_dict())
    return folder


@pytest.fixture
def pictures(tiny):
    """Splits whose codes the tiny generator renders, and their base."""
    glasses = torch.arange(40) % 2 == 1
    codes = codes_of(torch.randn(40, 4, 8), glasses)
    return Splits(codes, codes, tiny), {"encoder": "e" * 64, "generator": made_for(tiny)}


def test_a_judge_reads_pictures_and_only_labels_that_it_reads_well_count(pictures, tmp_path):
    codes, base = pictures
    folder = judge_folder(
        tmp_path / "judge", validation={"auc": {"Bangs": 0.95, "Eyeglasses": 0.5, "Smiling": None}}
    )
    selector = open_selector(folder, codes, GLASSES, base, ())
    assert selector.cases.counted.tolist() == [True, False, False]
    assert torch.equal(selector.cases.w, codes.validation.source(GLASSES).w)


def test_selectors_that_will_not_do_are_refused(pictures, reader, tmp_path, tiny):
    codes, base = pictures
    toys = Splits(labelled(50), labelled(50, 1))
    judge, other = judge_folder(tmp_path / "judge"), judge_folder(tmp_path / "other", ("Bangs",))
    blind = codes_of(
        -torch.ones(20, LAYERS, DIM), torch.arange(20) < 20
    )  # labelled with glasses, none is read
    cases = [
        ((reader, toys, GLASSES, BASE, (made_for(reader),)), "takes part in the training"),
        ((reader, toys, GLASSES, base, ()), "was trained on codes of nets"),
        ((judge, Splits(*codes[:2]), GLASSES, base, ()), "reads pictures: give the --generator"),
        ((other, codes, GLASSES, base, ()), "does not read 'Eyeglasses', but Bangs"),
        ((tiny, toys, GLASSES, BASE, ()), "is of kind 'generator', expected 'judge' or 'latent-classifier'"),
        ((tmp_path / "nowhere", toys, GLASSES, BASE, ()), "nowhere: there is no such folder"),
        (
            (reader, Splits(blind, blind), GLASSES.reverse(), BASE, ()),
            "reads none of 20 validation cases as 'eyeglasses'",
        ),
    ]
    for arguments, words in cases:
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            open_selector(*arguments)
