"""Methods that fit edits, on codes whose right answer is known; the edit stage killed, resumed, refused."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lwgan.edit import AffineEdit
from trainers import __main__ as command_line
from trainers.codes import Codes, save_codes
from trainers.edit import EXACT, check_layers, factored, first_layers
from trainers.edits import (
    Side,
    Splits,
    attribute_named,
    centroids,
    evened,
    latent_wasserstein,
    masses_told,
    related,
    sides,
)

ROOT = Path(__file__).parents[1]
NUM_WS, W_DIM = 3, 8
BASE = {"encoder": "e" * 64, "generator": "a" * 64}


def codes(n: int, seed: int, move) -> Codes:
    """Codes of pictures with 1 and 2 digits in turn; those with 2 are moved by `move(w)`."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(n, NUM_WS, W_DIM, generator=generator)
    numbers = torch.zeros(n, 10, dtype=torch.long)
    numbers[:, 0] = torch.arange(n) % 2 + 1
    two = numbers[:, 0] == 2
    w[two] = move(w[two])
    return Codes(w, numbers)


@pytest.fixture
def shifted() -> Splits:
    return Splits(
        *(codes(n, seed, lambda w: w + torch.linspace(1, 3, W_DIM)) for seed, n in enumerate((600, 300)))
    )


def test_centroids_find_a_translation(shifted):
    edit = centroids.fit(shifted, attribute_named("1to2"), centroids.Options())
    assert edit.weight is None
    assert torch.allclose(edit.bias, torch.linspace(1, 3, W_DIM).expand(NUM_WS, -1), atol=0.3)


def test_lw_finds_an_affine_map_that_no_shift_can_be():
    # In two dimensions a few hundred points show the whole cloud; in many, minibatches pull towards the mean (help of --blur).
    def flat(held: Codes) -> Codes:
        return Codes(held.w[:, :1, :2], held.numbers)

    held = Splits(*(flat(codes(n, seed, lambda w: 2 * w + 1)) for seed, n in enumerate((800, 400))))
    attribute = attribute_named("1to2")
    options = latent_wasserstein.Options(
        steps=60, learning_rate=0.05, batch=200, blur=0.1, validation_codes=150, patience=150
    )
    edit = latent_wasserstein.fit(held, attribute, options)
    source, target = attribute.source(held.validation).w, attribute.target(held.validation).w
    edited = edit(source)
    assert source.var(0).mean() < 1.2
    assert edited.var(0).mean() > 0.8 * target.var(0).mean(), (
        "the cloud has to grow from variance 1 towards 4"
    )
    assert (edited.mean(0) - target.mean(0)).abs().max() < 0.4


def test_lw_keeps_the_best_map_and_stops_early(shifted, tmp_path):
    options = latent_wasserstein.Options(
        steps=60, learning_rate=0.3, batch=20, patience=10, validation_codes=60
    )
    latent_wasserstein.fit(shifted, attribute_named("1to2"), options, tmp_path)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] < 60, "20 codes of 24 numbers are soon learned by heart: training has to stop"
    best = min(log, key=lambda line: line["validation_loss"])
    assert log[-1]["best_step"] == best["step"]


def test_low_rank_means_low_rank(shifted):
    options = latent_wasserstein.Options(steps=10, batch=50, rank=2, validation_codes=50, learning_rate=0.1)
    edit = latent_wasserstein.fit(shifted, attribute_named("1to2"), options)
    assert (torch.linalg.matrix_rank(edit.weight, rtol=1e-4) <= 2).all()


def test_maps_are_stored_in_factors_where_codes_do_not_tell_the_difference():
    w_dim, n = 64, 200
    full = AffineEdit(torch.randn(3, w_dim, w_dim), torch.randn(3, w_dim))
    anywhere = torch.randn(n, 3, w_dim)
    assert factored(full, anywhere) is full, "no factor can be spared"
    plane = torch.linalg.qr(torch.randn(w_dim, 10)).Q
    flat = anywhere @ plane @ plane.T
    stored = factored(full, flat)
    assert stored.factors["out"].shape == (3, w_dim, 16), (
        "the next after the 10 directions in which codes vary"
    )
    assert (
        (stored(flat) - full(flat)).norm() < EXACT * flat.norm() < (stored(anywhere) - full(anywhere)).norm()
    )
    alike = AffineEdit(full.weight[:1].expand(3, -1, -1), full.bias)
    assert factored(alike, flat) is alike, "one map is less still"


def test_layers_that_are_put_back_stay_as_they_were(shifted):
    whole = latent_wasserstein.fit(
        shifted, attribute_named("1to2"), latent_wasserstein.Options(steps=5, batch=50, validation_codes=50)
    )
    w = shifted.validation.w
    cut, layers = first_layers(whole, 1)(w, 0.7), slice(1, None)
    assert torch.equal(cut[:, layers], w[:, layers])
    assert torch.equal(cut[:, 0], whole(w, 0.7)[:, 0])
    assert first_layers(whole, None) is whole
    for layers in (0, NUM_WS + 1):
        with pytest.raises(ValueError, match=f"--layers is {layers}: these codes have 1 to {NUM_WS}"):
            check_layers(layers, shifted.train)


def test_unknown_attribute_names_the_known():
    with pytest.raises(ValueError, match="'4to5' is unknown: choose one of 1to2, 2to3, 3to4"):
        attribute_named("4to5")


def write_codes(folder, move=lambda w: 2 * w + 1):
    folder.mkdir()
    for seed, (split, n) in enumerate({"train": 600, "validation": 300, "test": 100}.items()):
        save_codes(folder / f"{split}.safetensors", codes(n, seed, move), BASE)
    return folder


def words(folder, run, *more) -> list[str]:
    return [
        str(part)
        for part in (
            "edit",
            "--codes",
            folder,
            "--attribute",
            "1to2",
            "--run",
            run,
            "lw",
            "--batch",
            "60",
            *more,
        )
    ]


@pytest.fixture
def stage(monkeypatch):
    """stage(folder, run, *more) runs the real entry point in this process; SystemExit as it would exit."""

    def run(*given) -> None:
        monkeypatch.setattr(sys, "argv", ["trainers", *words(*given)])
        command_line.main()

    return run


def test_a_killed_edit_resumes_to_the_same_edit(tmp_path, stage):
    held, options = (
        write_codes(tmp_path / "codes"),
        ("--steps", "25", "--validation-codes", "60", "--patience", "1000"),
    )
    stage(held, tmp_path / "whole", *options)
    log, killed = tmp_path / "killed" / "log.jsonl", words(held, tmp_path / "killed", *options)
    running = subprocess.Popen(
        [sys.executable, "-m", "trainers", *killed], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 400
        while not (log.exists() and len(log.read_text().splitlines()) >= 3):
            assert running.poll() is None and time.monotonic() < deadline, (
                "no third validation before the run ended"
            )
            time.sleep(0.01)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    stage(held, tmp_path / "killed", *options)
    whole, resumed = (AffineEdit.from_pretrained(tmp_path / name) for name in ("whole", "killed"))
    assert torch.equal(whole.weight, resumed.weight) and torch.equal(whole.bias, resumed.bias)
    assert resumed.config["base_revision"] == BASE


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "train.safetensors").unlink(), "train.safetensors is missing"),
        (
            lambda folder: (folder / "train.safetensors").write_bytes(b"nonsense"),
            "train.safetensors is damaged",
        ),
        (
            lambda folder: save_codes(
                folder / "validation.safetensors", codes(300, 1, abs), BASE | {"encoder": "f" * 64}
            ),
            "come from nets",
        ),
        (
            lambda folder: save_codes(folder / "train.safetensors", codes(12, 1, abs), BASE),
            "holds? 6 source pictures",
        ),
    ],
)
def test_bad_codes_are_refused_and_leave_no_run(tmp_path, stage, damage, message):
    held = write_codes(tmp_path / "codes")
    damage(held)
    with pytest.raises(SystemExit, match=rf"^error: .*{message}"):
        stage(held, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# Masses: which attributes they can even out, and what a batch holds of them

PEOPLE = ("Male", "Beard", "Young")


def people(men: int, bearded: int, women_with_beards: int) -> Codes:
    """Codes [300, 1, 1] of so many men (the edited attribute) and women, half of all young."""
    numbers = torch.zeros(300, 3, dtype=torch.int64)
    numbers[:men, 0] = 1
    numbers[:bearded, 1] = 1
    numbers[men : men + women_with_beards, 1] = 1
    numbers[::2, 2] = 1
    return Codes(torch.arange(300.0)[:, None, None], numbers, names=PEOPLE)


def test_an_attribute_that_would_leave_a_handful_is_not_evened_out():
    """A third of the men have a beard: among 150 women 30 can stand for them, one cannot."""
    male = attribute_named("Male", PEOPLE)
    assert evened(people(150, 50, 30), male, "match", PEOPLE) == ["Beard", "Young"]
    assert evened(people(150, 50, 1), male, "match", PEOPLE) == ["Young"]
    assert evened(people(150, 149, 0), attribute_named("not-Male", PEOPLE), "match", PEOPLE) == ["Young"]
    assert evened(people(150, 149, 0), male, "match", ["Young", "Beard"]) == ["Young"], (
        "beards would leave 1 of 150 men"
    )
    with pytest.raises(
        ValueError, match="with any of --balance Beard a side of Male counts as less than 10% of its codes"
    ):
        evened(people(150, 149, 0), male, "match", ["Beard"])
    assert evened(people(150, 50, 1), male, "uniform", []) == []


def test_without_names_masses_even_out_what_is_most_correlated():
    """Of 150 men 50 have a beard, of 150 women 30: beards are correlated with men a little, youth is not. Of ten labels the six most
    correlated, the most first; not one that a side never has."""
    codes, male = people(150, 50, 30), attribute_named("Male", PEOPLE)
    assert related(codes, male) == ["Beard", "Young"] == evened(codes, male, "overlap", [])
    torch.manual_seed(0)
    shares = torch.linspace(0, 0.9, 10)  # of label i of so many the same as the first, else a coin
    first = torch.randint(2, (5000, 1))
    numbers = torch.where(torch.rand(5000, 10) < shares, first, torch.randint(2, (5000, 10)))
    many = Codes(
        torch.zeros(5000, 1, 1), torch.cat([first, numbers], 1), names=("Male", *map(str, range(10)))
    )
    assert related(many, male) == ["9", "8", "7", "6", "5", "4"]
    numbers[:, 9] = first[:, 0]  # no woman has it
    never = many._replace(numbers=torch.cat([first, numbers], 1))
    assert related(never, male) == ["8", "7", "6", "5", "4", "3"]


def test_what_masses_leave_is_told():
    told = masses_told(people(150, 50, 0), attribute_named("Male", PEOPLE), "match", ["Beard"])["masses"]
    assert told["evened"] == ["Beard"] and told["target"] == {
        "codes": 150,
        "count_as": 100,
        "weigh_nothing": 50,
    }
    assert told["source"] == {"codes": 150, "count_as": 150, "weigh_nothing": 0}
    assert masses_told(people(150, 50, 0), attribute_named("Male", PEOPLE), "uniform", []) == {}


def test_a_batch_with_masses_keeps_their_shares():
    """All 800 of a batch are drawn by the masses: binomial, with a standard deviation of .015 for a share of .75."""
    side = Side(
        torch.arange(4.0)[:, None, None], torch.tensor([0.75, 0.0, 0.125, 0.125], dtype=torch.float64)
    )
    drawn = side.batch(800)
    shares = torch.bincount(drawn.w.flatten().long(), minlength=4) / 800
    assert drawn.mass is None and shares[1] == 0 and shares[0].item() == pytest.approx(0.75, abs=0.06)
    assert drawn.w.mean().item() == pytest.approx(side.mean().item(), abs=0.15)
    plain = Side(torch.arange(10.0)[:, None, None])
    assert plain.batch(10).w.flatten().sort().values.tolist() == list(range(10)) and plain.first(
        3
    ).w.flatten().tolist() == [0, 1, 2]


def test_matched_sides_have_the_same_share_of_each_attribute():
    codes = people(150, 50, 30)
    source, target = sides(codes, attribute_named("Male", PEOPLE), "match", ["Beard", "Young"])
    bearded = [
        float((side.mass * codes.has("Beard")[side.w.flatten().long()]).sum()) for side in (source, target)
    ]
    assert bearded == pytest.approx([1 / 3, 1 / 3])
