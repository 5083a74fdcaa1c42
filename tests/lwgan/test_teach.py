"""An edit from two small piles: planted shifts and planted choices, whose answer is known."""

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from lwgan.edit import AffineEdit
from lwgan.teach import (
    AUC_GOOD,
    COSINE_GOOD,
    FEW,
    HALFWAY,
    LEAST,
    LONGEST,
    LOOKS,
    MOST,
    REPEATS,
    SEEN,
    SHORTEST,
    TRUSTED,
    WAY,
    Piles,
    balance,
    chance,
    denoised_shift,
    evening,
    light_of,
    mean_shift,
    misplaced,
    out_of_fold,
    separation,
    teach,
    verdict,
    visible_unit,
)  # fmt: skip

D = 64
SPREAD = torch.linspace(3, 0.3, D)
PRIOR = SPREAD.square().diag()


def draw(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(seed)) * SPREAD


def truth() -> torch.Tensor:
    shift = torch.zeros(D)
    shift[40:44] = 2.0
    return shift


def layered(codes: torch.Tensor, layers: int = 3) -> torch.Tensor:
    return codes[:, None].expand(-1, layers, -1).contiguous()


@pytest.mark.parametrize("n", [10, 20, 100])
def test_the_denoised_shift_points_nearer_to_the_truth_than_the_mean_shift(n):
    found = []
    for seed in range(5):
        piles = Piles(draw(n, 10 * seed), draw(n, 10 * seed + 1) + truth(), PRIOR)
        mean = piles.with_.mean(0) - piles.without.mean(0)
        found.append([torch.cosine_similarity(shift, truth(), 0) for shift in (denoised_shift(piles), mean)])
    denoised, mean = torch.tensor(found).mean(0).tolist()
    assert denoised > mean + 0.02 and denoised > {10: 0.5, 20: 0.7, 100: 0.9}[n]


def test_a_planted_shift_is_found_in_all_layers_and_its_light_is_green():
    cloud = draw(4000, 99)
    edit, report = teach(layered(draw(100, 0)), layered(draw(100, 1) + truth()), layered(cloud))
    assert report.light == "green" and report.reasons == () and report.auc > 0.95
    assert edit.weight is None and torch.equal(edit.bias, edit.bias[:1].expand_as(edit.bias))
    # At strength 1 the edit goes about 70% of the way; what it moves is the planted shift.
    moved = edit.bias[0] @ truth() / truth().square().sum()
    assert 0.5 < moved < 1.0


def test_the_mean_shift_goes_as_far_as_the_rule_says():
    x, y = layered(draw(50, 0)), layered(draw(80, 1) + truth())
    assert torch.allclose(mean_shift(x, y).bias, (0.68 + 5 / 50) * (y.mean(0) - x.mean(0)))


@pytest.mark.parametrize("part", [3.0, 1.5, 1.0, 0.35])
def test_strength_1_is_most_of_the_way_to_the_second_pile_as_the_encoder_sees_it(part):
    """The edit goes a part of the way, and pictures show codes as they are."""
    shift = torch.tensor([[4.0, 0, 0]])
    pile = torch.randn(SEEN, 3, generator=torch.Generator().manual_seed(0))
    sides = pile[:, None], (pile + shift)[:, None]
    found, way = visible_unit(AffineEdit(None, part * shift), sides, lambda w: w[:, 0], torch.eye(3))
    wanted = max(WAY / part, SHORTEST)
    assert found == pytest.approx(wanted, rel=1e-4) and way == pytest.approx(wanted * part, rel=1e-4)


def test_pictures_that_change_less_and_less_go_to_the_end_and_their_way_is_one_that_was_seen():
    """At alpha they have gone 0.75 (1 - exp(-alpha)) of the way: never far enough."""
    pile = torch.randn(SEEN, 3, generator=torch.Generator().manual_seed(0))
    shift = torch.tensor([4.0, 0, 0])
    sides, ways = (pile[:, None], (pile + shift)[:, None]), []

    def redrawn(w: torch.Tensor) -> torch.Tensor:
        alpha = (w[:, 0] - pile)[0, 1].item()  # the edit shifts the second coordinate by alpha
        if torch.equal(w, sides[1]) or alpha == 0:
            return w[:, 0]
        ways.append(0.75 * (1 - math.exp(-alpha)))
        return pile + ways[-1] * shift

    alpha, way = visible_unit(AffineEdit(None, torch.tensor([[0, 1.0, 0]])), sides, redrawn, torch.eye(3))
    assert alpha == LONGEST and len(ways) == LOOKS
    assert way < WAY and way == pytest.approx(ways[-1], rel=1e-4)


def test_an_edit_that_pictures_do_not_show_goes_to_the_end_no_further_and_is_not_green():
    without, with_ = draw(100, 0), draw(100, 1) + 2 * truth()
    cloud, all_, rest = draw(4000, 99), torch.cat([without, with_]), truth() == 0
    # The generator draws the picture before the edit, whatever the edit.
    frozen = lambda w: all_[torch.cdist(w[:, 0, rest], all_[:, rest]).argmin(1)]
    sides = layered(without, 1), layered(with_, 1)
    alpha, way = visible_unit(AffineEdit(None, truth()[None]), sides, frozen, PRIOR)
    assert alpha == LONGEST and way == pytest.approx(0, abs=1e-5)
    assert teach(*sides, layered(cloud, 1))[1].light == "green"
    _, report = teach(*sides, layered(cloud, 1), again=lambda w: layered(frozen(w), 1))
    assert report.way < WAY and report.light == "amber"
    assert report.reasons == ("Edited pictures go only 0% of the way to the second pile at strength 1.",)
    piles = Piles(without, with_, PRIOR)
    assert verdict(1.0, 1.0, piles, way=-0.3) == ("amber", report.reasons)
    assert verdict(1.0, 1.0, piles, way=WAY) == ("green", ())
    with pytest.raises(
        ValueError, match="draws pictures of the two piles that the encoder cannot tell apart"
    ):
        teach(*sides, layered(cloud, 1), again=torch.zeros_like)


def test_two_draws_of_one_law_get_a_red_light():
    lights = [
        teach(layered(draw(30, 2 * s)), layered(draw(30, 2 * s + 1)), layered(draw(4000, 99)))[1].light
        for s in range(5)
    ]
    assert lights == ["red"] * 5


def test_a_choice_is_learned_that_no_shift_can_make():
    """Three cells, one of which is full: the edit has to fill the next one. A mean shift fills all a
    little."""
    generator = torch.Generator().manual_seed(0)

    def cells(n: int, next_too: bool) -> torch.Tensor:
        w, at = 0.1 * torch.randn(n, 16, generator=generator), torch.randint(3, (n,), generator=generator)
        w[torch.arange(n), at] += 2
        if next_too:
            w[torch.arange(n), (at + 1) % 3] += 2
        return w

    without, with_, fresh = cells(50, False), cells(50, True), cells(200, False)
    edit, _ = teach(*(layered(w, 2) for w in (without, with_, cells(1000, False))), kind="choice")
    full = (edit(layered(fresh, 2))[:, 0, :3] > 1).sum(1)
    shift = (fresh + (with_.mean(0) - without.mean(0)))[:, :3]
    assert (full == 2).float().mean() > 0.9
    assert ((shift > 1).sum(1) == 2).float().mean() < 0.1


def test_codes_on_the_wrong_pile_are_left_out():
    without, with_ = draw(50, 0), draw(50, 1) + 2 * truth()
    swapped = torch.arange(5)
    mixed = Piles(without.clone(), with_.clone(), PRIOR)
    mixed.without[swapped], mixed.with_[swapped] = with_[swapped], without[swapped]
    for found in misplaced(mixed):
        assert len(set(found) & set(range(5))) >= 4 and len(set(found) - set(range(5))) <= 2
    assert misplaced(Piles(without, with_, PRIOR)) == ((), ())


def test_the_score_of_separation_is_the_auc_of_scikit_learn():
    piles = Piles(draw(40, 0), draw(30, 1) + truth() / 4, PRIOR)
    scores = [torch.cat(out_of_fold(piles, seed)).numpy() for seed in range(REPEATS)]
    aucs = [roc_auc_score([0] * 40 + [1] * 30, score) for score in scores]
    assert separation(piles) == pytest.approx(sum(aucs) / REPEATS, abs=1e-6)


def test_good_figures_together_give_a_green_light_and_others_do_not():
    assert light_of(AUC_GOOD, COSINE_GOOD, TRUSTED) == "green" == light_of(1.0, 1.0, TRUSTED, HALFWAY)
    assert light_of(1.0, 1.0, FEW) == light_of(1.0, 1.0, TRUSTED - 1) == "amber"
    assert light_of(1.0, 1.0, FEW - 1) == light_of(0.5, 0.0, 100) == light_of(0.5, 1.0, 100) == "red"
    assert light_of(1.0, 1.0, 100, HALFWAY - 0.01) == "amber" == light_of(0.8, 0.4, 100)
    figures = [chance(auc, cosine) for auc in (0.5, 0.9, 1.0) for cosine in (-1.0, 0.5, 1.0)]
    assert figures[:3] == sorted(figures[:3]) and figures[::3] == sorted(figures[::3]) and max(figures) < 1


def test_weights_leave_enough_codes_or_are_not_used():
    x, y = torch.tensor([1.0, 1.0, -1.0] * 12)[:, None], torch.full((30, 1), 0.5)
    weights, columns = evening(x, y, [0])
    assert columns == [0] and (weights @ x).item() == pytest.approx(0.5, abs=0.02)
    # The same shares of fewer codes: of 18, fewer than ENOUGH are left in any case.
    assert evening(x[:21], y, [0])[1] == [0] and evening(x[:18], y, [0]) == (None, [])


def test_weights_give_the_wanted_mean_and_stay_as_equal_as_they_can():
    z = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    weights, wanted = balance(z, torch.tensor([0.5, -0.3])), torch.tensor([0.5, -0.3])
    assert torch.allclose(weights @ z, wanted, atol=0.03) and weights.min() > 0
    # Of all weights with this mean the entropy is greatest where their logarithm is linear in z.
    design = torch.cat([z, torch.ones(200, 1)], 1)
    fitted = design @ torch.linalg.lstsq(design, weights.log()[:, None]).solution
    assert torch.allclose(fitted[:, 0], weights.log(), atol=1e-4)
    assert torch.allclose(balance(z, z.mean(0)), torch.full((200,), 1 / 200), atol=1e-6)


def test_a_label_that_differs_besides_is_named_and_evened_out():
    """Of the pictures with, 80 of 100 are "tall" (axis 0); of those without, 45."""
    read = lambda w: torch.stack([w[:, 0, 0], w[:, 0, 40] - 1], 1)
    codes = [draw(100, seed) for seed in (0, 1)]
    for pile, tall in zip(codes, (45, 80), strict=True):
        pile[:tall, 0], pile[tall:, 0] = pile[:tall, 0].abs() + 1, -pile[tall:, 0].abs() - 1
    codes[1] += truth()
    piles = [layered(w) for w in (*codes, draw(4000, 99))]
    edit, report = teach(*piles, read=read, names=("tall", "wanted"), own=("wanted",))
    assert report.differ == ("tall",)
    assert report.reasons[-1].endswith("also differ in tall: weights even this out.")
    plain = teach(*piles)[0].bias[0]
    assert abs(edit.bias[0, 0]) < 0.3 * abs(plain[0]) and edit.bias[0, 41] > 0.5
    # A label that cannot be told from the change is only named.
    same = lambda w: torch.stack([w[:, 0, 41] - 1, w[:, 0, 40] - 1], 1) * 50
    far = [piles[0], piles[1] + layered(3 * truth()[None])[0], piles[2]]
    bound, report = teach(*far, read=same, names=("bound", "wanted"), own=("wanted",))
    assert report.differ == ("bound",) and "bound: this may come along" in report.reasons[-1]
    assert torch.equal(bound.bias, teach(*far)[0].bias)
    # Without a known label the one that differs most counts as the change itself.
    assert "tall" not in teach(*piles, read=lambda w: read(w)[:, :1], names=("tall",))[1].differ


@pytest.mark.parametrize("kind", ["place", "choice"])
def test_the_same_piles_give_the_same_edit(kind):
    piles = [layered(draw(20, 0)), layered(draw(20, 1) + truth()), layered(draw(500, 99))]
    torch.manual_seed(1)
    one, first = teach(*piles, kind=kind)
    torch.manual_seed(2)
    other, second = teach(*piles, kind=kind)
    assert first == second and torch.equal(one(piles[0]), other(piles[0]))


def test_layers_that_differ_are_learned_each():
    w, shift = torch.randn(200, 2, 16), torch.tensor([1.0, -1.0])[:, None] * torch.ones(2, 16)
    edit, _ = teach(w[:100], w[100:] + shift, torch.randn(1000, 2, 16))
    assert torch.cosine_similarity(edit.bias.flatten(), shift.flatten(), 0) > 0.95


def test_codes_of_very_many_dimensions_are_looked_at_where_they_differ(monkeypatch):
    piles = [layered(w) for w in (draw(60, 0), draw(60, 1) + truth(), draw(1000, 99))]
    whole, first = teach(*piles)
    monkeypatch.setattr("lwgan.teach.AXES", 10)
    part, second = teach(*piles)
    # 119 differences span all 64 dimensions: nothing is lost.
    assert torch.allclose(whole.bias, part.bias, atol=1e-3) and first.light == second.light
    w = torch.randn(20, 18, 512)
    shifted = torch.randn(20, 18, 512) + 2
    edit, _ = teach(w, shifted, torch.randn(400, 18, 512))
    assert torch.cosine_similarity(edit.bias.flatten(), torch.ones(18 * 512), 0) > 0.9


CLOUD = layered(draw(100, 99))
BAD = {
    "pile 'without' has 2 codes, expected 3": (CLOUD[:2], CLOUD[:9]),
    "pile 'with' has 501 codes, expected 3 to 500": (CLOUD[:9], layered(draw(501, 5))),
    "pile 'with' is float32 (9, 3, 32), the cloud float32 (100, ": (CLOUD[:9], CLOUD[:9, :, :32]),
    "pile 'without' is float16 (9, ": (CLOUD[:9].half(), CLOUD[:9]),
    "9 of 9 codes of the pile 'without' hold NaN": (CLOUD[:9] / 0, CLOUD[:9]),
    "pile 'with' has fewer than 3 different codes": (CLOUD[:9], CLOUD[10:11].expand(9, -1, -1)),
    "2 of 9 codes of the pile 'with' are in the pile 'without' too": (CLOUD[:9], CLOUD[7:16]),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_piles_are_refused_in_words(message):
    without, with_ = BAD[message]
    with pytest.raises(ValueError) as error:
        teach(without, with_, CLOUD)
    assert message in str(error.value)


@pytest.mark.parametrize("cloud", [CLOUD[:1], CLOUD[:1].expand(9, -1, -1), CLOUD / 0])
def test_a_cloud_that_is_none_is_refused_in_words(cloud):
    with pytest.raises(ValueError, match="the cloud's .* codes hold NaN or infinity, or do not differ"):
        teach(CLOUD[:9], CLOUD[10:19], cloud)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind is 'map', expected one of place, choice"):
        teach(CLOUD[:9], CLOUD[10:19] + 1, CLOUD, kind="map")
    assert LEAST == 3 and MOST == 500
