"""LW on codes whose best map is known, by both solvers."""

import json

import pytest
import torch

from lwgan.domain import Change
from lwgan.edit import AffineEdit
from tests.trainers.edits.toys import GLASSES, LAYERS, axis, codes_of, labelled, linear_classifier, stop
from trainers.codes import Codes
from trainers.edits.base import Splits
from trainers.edits.latent_wasserstein import DEFAULTS, LatentWasserstein

CHOICE = Change("more", {"Eyeglasses": False}, {"Eyeglasses": True}, "one", "two", kind="choice")
SINKHORN = {"solver": "sinkhorn", "starts": 1, "kappa": 1.0, "blur": 0.3, "batch": 120, "steps": 40,
            "learning_rate": 0.05, "rank": "full", "validation_codes": 120, "skip": 0.0}  # fmt: skip


def fit(codes: Splits, folder, change=GLASSES, **options) -> AffineEdit:
    method = LatentWasserstein(**options).resolved(change)
    method.check(codes, change)
    folder.mkdir(exist_ok=True)
    return method.fit(codes, change, folder)


def moved(n: int, seed: int, move, dims: int = 2) -> Codes:
    """Unit normal codes [n, 1, dims]; every second one has glasses and is moved."""
    w = torch.randn(n, 1, dims, generator=torch.Generator().manual_seed(seed))
    glasses = torch.arange(n) % 2 == 1
    w[glasses] = move(w[glasses])
    return codes_of(w, glasses)


@pytest.mark.parametrize("solver", ["partial", "sinkhorn"])
def test_the_map_between_two_normal_clouds(tmp_path, solver):
    """The optimal map from N(0, I) to N(b, (I + A)^2) is x + A x + b for symmetric A > -I. kappa = 1 finds
    it."""
    a, b = torch.tensor([[1.0, 0.4], [0.4, -0.3]]), torch.tensor([1.0, -2.0])
    codes = Splits(*(moved(n, i, lambda w: w + w @ a + b) for i, n in enumerate((2400, 400))))
    options = {
        "solver": solver,
        "kappa": 1.0,
        "skip": 0.0,
        "starts": 1,
        "rank": "full",
        "steps": 50,
        "batch": 100,
    }
    edit = fit(codes, tmp_path, **options, learning_rate=0.1, validation_codes=100)
    w = codes.validation.source(GLASSES).w
    wrong, missing = ((found - w @ a - b).square().mean() for found in (edit.direction(w), b))
    assert wrong < 0.15 * missing, "the mean shift, where it starts, misses A w"


def cells(n: int, seed: int) -> Codes:
    """Sources in two cells, at -1 and 1 on axis 0; targets in four, at -3 and 3 on axis 1 for each of
    them."""
    generator = torch.Generator().manual_seed(seed)
    w = 0.1 * torch.randn(n, 1, 2, generator=generator)
    glasses = torch.arange(n) % 2 == 1
    w[:, 0, 0] += torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    w[glasses, 0, 1] += torch.where(torch.rand(int(glasses.sum()), generator=generator) < 0.5, -3.0, 3.0)
    return codes_of(w, glasses)


def test_with_kappa_2_a_map_may_choose_one_of_two_cells_and_with_kappa_1_it_ends_between_them(tmp_path):
    """The only affine maps that end in cells send both source cells to +-3. W2 asks for all four target
    cells."""
    codes = Splits(cells(2000, 0), cells(800, 1))
    w = codes.validation.source(CHOICE).w
    for kappa, least, most in ((1.0, 0.15, 1.0), (2.0, 0.0, 0.02)):
        options = {"kappa": kappa, "rank": 1, "batch": 100, "steps": 80, "validation_codes": 100}
        edit = fit(codes, tmp_path / str(kappa), CHOICE, **options)
        astray = ((edit(w)[:, 0, 1].abs() - 3).abs() > 1).float().mean().item()
        assert least <= astray <= most, kappa


def test_a_shift_by_partial_transport_ignores_what_the_source_need_not_reach(tmp_path):
    """A third of the targets lies elsewhere. The mean shift goes a third of the way there, the partial shift
    does not."""

    def some_elsewhere(w):
        w = w + torch.tensor([2.0, 0.0])
        w[::3] += torch.tensor([0.0, 30.0])
        return w

    codes = Splits(*(moved(n, i, some_elsewhere) for i, n in enumerate((1800, 600))))
    edit = fit(codes, tmp_path, starts=1, batch=100, validation_codes=50)
    mean = codes.train.target(GLASSES).w.mean(0) - codes.train.source(GLASSES).w.mean(0)
    assert edit.weight is None and edit.bias[0, 1].abs() < 2.5 < 9 < mean[0, 1]


@pytest.mark.parametrize("rank", [0, 2])
def test_codes_of_equal_layers_share_one_map(tmp_path, rank):
    codes = [moved(n, i, lambda w: 2 * w + 1) for i, n in enumerate((600, 200))]
    wide = Splits(*(codes_of(part.w.repeat(1, LAYERS, 1), part.has("Eyeglasses")) for part in codes))
    options = {"rank": rank, "starts": 1, "steps": 20, "batch": 100, "learning_rate": 0.3}
    one = fit(Splits(*codes), tmp_path / "one", CHOICE, **options)
    all_ = fit(wide, tmp_path / "all", CHOICE, **options)
    w = wide.validation.w
    assert torch.allclose(all_(w)[:, :1], one(w[:, :1]), atol=1e-4)
    assert torch.allclose(all_(w), all_(w)[:, :1].expand_as(w)) and all_.config["best"]["step"] > 0
    assert rank == 0 or all_.factors["out"].shape == (1, 2, rank)


def test_the_best_of_all_starts_and_steps_is_kept(tmp_path):
    """The config names the step with the least validation loss of the log."""
    codes = Splits(labelled(400, 0), labelled(200, 1))
    options = {"rank": "full", "starts": 3, "steps": 60, "batch": 20, "validate_every": 5}
    edit = fit(codes, tmp_path, CHOICE, **options)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    best = min(log, key=lambda line: line["validation_loss"])
    assert (
        edit.config["best"]["loss"] == best["validation_loss"]
        and edit.config["best"]["start"] == best["start"]
    )
    assert {line["start"] for line in log} == {0, 1, 2}
    assert 0 < (best["step"] - 1) % 60 + 1 == edit.config["best"]["step"]


@pytest.mark.parametrize("options", [{"rank": 2}, {"rank": 0}, {"solver": "sinkhorn", "blur": 0.3}])
def test_where_no_step_helps_the_edit_is_the_mean_shift_and_says_so(tmp_path, options):
    codes = Splits(labelled(400, 0), labelled(200, 1))
    options = {"steps": 2, "starts": 2, "batch": 50} | options
    edit = fit(codes, tmp_path, CHOICE, learning_rate=100.0, **options)
    shift = codes.train.target(CHOICE).w.mean(0) - codes.train.source(CHOICE).w.mean(0)
    assert torch.allclose(edit.direction(torch.zeros(1, LAYERS, 8))[0], shift, atol=1e-5)
    assert edit.config["best"]["step"] == 0
    with pytest.raises(ValueError, match="training failed: map is inf at step 1"):
        fit(codes, tmp_path / "more", CHOICE, learning_rate=1e30, **options)


@pytest.mark.parametrize("options", [{"rank": 2, "starts": 2, "steps": 30, "batch": 50}, SINKHORN])
def test_a_stopped_run_resumes_to_the_same_edit(tmp_path, options):
    codes, options = Splits(labelled(400, 0), labelled(200, 1)), options | {"validate_every": 10}
    whole = fit(codes, tmp_path / "whole", CHOICE, **options)
    stop(lambda: fit(codes, tmp_path / "stopped", CHOICE, **options), step=20)
    resumed = fit(codes, tmp_path / "stopped", CHOICE, **options)
    assert torch.equal(whole.weight, resumed.weight) and torch.equal(whole.bias, resumed.bias)
    assert whole.config == resumed.config


def test_defaults_follow_the_kind_of_change_and_the_paper_is_one_flag_away():
    for change, kind in ((GLASSES, "place"), (CHOICE, "choice")):
        resolved = LatentWasserstein(kappa=7.0).resolved(change)
        wanted = DEFAULTS[kind] | {"kappa": 7.0}
        assert {name: getattr(resolved, name) for name in wanted} == wanted
    paper = LatentWasserstein(paper=True, steps=3).resolved(CHOICE)
    assert (paper.solver, paper.rank, paper.learning_rate, paper.steps) == ("sinkhorn", "full", 1e-3, 3)


# Masses and L_pres


@pytest.mark.parametrize(
    ("options", "smile"),
    [
        (SINKHORN, 2.4),
        (SINKHORN | {"masses": "match", "balance": ("Smiling", "Eyeglasses")}, 0.0),
        (SINKHORN | {"masses": "overlap"}, 0.0),
        ({"masses": "balanced", "balance": ("Smiling",), "kappa": 1.0, "skip": 0.0, "starts": 1}, 0.0),
    ],
)
def test_masses_keep_confounded_labels_out_of_the_edit(tmp_path, options, smile):
    """Of the source 20% smile, of the target 80%: uniform masses teach 60% of a smile (4 long) along with the
    glasses."""
    codes = Splits(labelled(600, 0, agree=0.8), labelled(300, 1, agree=0.8))
    direction = (
        fit(codes, tmp_path, **options).direction(codes.validation.source(GLASSES).w).mean(0).flatten()
    )
    assert direction[1] == pytest.approx(3, abs=0.5) and direction[2] == pytest.approx(smile, abs=0.5)


@pytest.mark.parametrize("options", [SINKHORN, SINKHORN | {"solver": "partial"}])
def test_lambda_keeps_the_logits_of_other_labels(tmp_path, options):
    """The larger lambda, the less of the smile comes along; gamma, .6 here, spares it a part of the cost."""
    rows = torch.stack([2 * axis(0), 3 * axis(1), 4 * axis(2)]).flatten(1)
    folder = linear_classifier(tmp_path / "f", rows)
    codes = Splits(labelled(600, 0, agree=0.8), labelled(300, 1, agree=0.8))
    smiles = []
    for weight in (0.0, 15.0):
        given = options | {"preservation_weight": weight, "classifier": folder}
        edit = fit(codes, tmp_path / f"{weight}", **given)
        smiles.append(edit.direction(codes.validation.source(GLASSES).w).mean(0).flatten()[2])
    assert smiles[0] == pytest.approx(2.4, abs=0.8) and smiles[1] < 0.7 * smiles[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"masses": "match", "balance": ("Eyeglasses",)}, "labels other than those of 'Eyeglasses'"),
        ({"masses": "match", "balance": ("Smilling",)}, "did you mean 'Smiling'"),
        ({"preservation_weight": 1.0}, "--preservation-weight needs --classifier"),
        ({"kappa": 0.5}, "--kappa 0.5"),
        ({"skip": 1.0}, "--skip 1"),
        ({"starts": 0}, "--starts 0"),
        ({"rank": 9}, "--rank is 9: expected full or 0 to 8"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        fit(Splits(labelled(100), labelled(100, 1)), tmp_path, **options)
