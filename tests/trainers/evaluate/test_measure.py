"""Figures of edits on nets that read codes exactly, so that every answer is known."""

from types import SimpleNamespace

import pytest
import torch

from lwgan.domain import change_of
from lwgan.edit import AffineEdit
from trainers import measure
from trainers.measure import Cases, Nets

NAMES = ("Hat", "Beard", "Smile")
HAT = change_of("Hat")


class Judge:
    """The K-th pixel is the logit of the K-th label, and the pixels are the features."""

    names = NAMES

    def __call__(self, x):
        return x.flatten(1)

    def features(self, x):
        return x.flatten(1)


class Codes:
    """Reads what the judge reads, but a label only from half a unit on."""

    card_config = {"names": NAMES}  # noqa: RUF012

    def __call__(self, w):
        return w.flatten(1) - 0.5


def nets() -> Nets:
    """A generator whose pictures [N, 1, 1, 3] are the codes [N, 1, 3], and readers of them."""
    mapping = SimpleNamespace(w_avg=torch.zeros(3))
    generator = SimpleNamespace(synthesis=lambda w: w[:, None], mapping=mapping, resolution=3)
    identity = lambda x: torch.nn.functional.normalize(x.flatten(1) + 10)
    return Nets(generator, Judge(), identity, Codes())


def cases(nets: Nets, n: int = 100) -> Cases:
    """Codes that get a hat at strengths from .01 to 1, none of them bearded, all of them smiling."""
    w = torch.stack([-torch.arange(1, n + 1) / n, torch.full((n,), -2.0), torch.ones(n)], 1)[:, None]
    labels = torch.tensor([0, 0, 1], dtype=torch.uint8).expand(n, 3)
    return Cases(HAT, w, labels, torch.arange(n), measure.see(nets, w), torch.ones(3, dtype=torch.bool))


def edit(*bias: float, alpha: float = 1.1) -> AffineEdit:
    return AffineEdit(None, torch.tensor([bias]), {"alpha": alpha})


def test_figures_at_one_strength():
    found, seen = measure.figures(edit(1.0, 4.0, 0.0), 0.5051, cases(nets()), nets())
    found = {key: value.double().mean().item() for key, value in found.items()}
    assert found["target_change"] == 0.5 and found["true_change"] == 0.25  # the beard comes with the hat
    assert found["others_kept"] == 0.5 and found["all_kept"] == 0 and found["overshoot"] == 0
    assert found["norm"] == pytest.approx(0.5051 * 17**0.5) and found["code_change"] == 0
    assert 0.9 < found["identity"] < 1 and seen.read[:, 1].all()


def test_an_edit_is_measured_where_80_percent_change_and_where_codes_say_100():
    found = measure.measured(edit(1.0, 4.0, 0.0), cases(nets()), nets(), cases(nets()).w, None)
    assert found["chosen"]["target_change"]["value"] == 1 and found["chosen"]["alpha"] == 1.1
    assert found["matched"]["alpha"] == pytest.approx(0.8, abs=0.02)
    assert found["matched"]["target_change"]["value"] == pytest.approx(0.8, abs=measure.CLOSE)
    assert found["matched"]["leakage"] == {"Beard": 1.0, "Smile": 0.0} and found["matched"]["oracle"] is None
    assert found["calibrated"]["alpha"] == pytest.approx(1.5, abs=0.02)  # the farthest code, half a unit more
    assert [point["alpha"] for point in found["curve"]] == [pytest.approx(1.1 * m) for m in measure.MULTIPLES]
    assert found["curve"][0]["target_change"] == 0 and found["curve"][0]["all_kept"] is None


def test_an_edit_that_never_gets_there():
    found = measure.measured(edit(0.01, 0.0, 0.0), cases(nets()), nets(), cases(nets()).w, None)
    assert found["matched"] is None and found["calibrated"] is None
    assert found["chosen"]["all_kept"]["value"] == 1  # of the first code alone, which does change


def test_without_a_judge_the_codes_are_read():
    blind = Nets(nets().generator, codes=nets().codes)
    found = measure.measured(edit(1.0, 0.0, 0.0, alpha=1.105), cases(blind), blind, None, None)
    assert found["chosen"]["target_change"]["value"] == 0.6 and "identity" not in found["chosen"]
    assert found["chosen"]["code_change"] == found["chosen"]["target_change"]


def test_distances_to_the_ideal_edit():
    real = torch.tensor([[40, 0, 200]] * 4, dtype=torch.uint8)[:, None, None]  # uint8 [4, 1, 1, 3]
    images = real.clone()
    images[..., 0] = 255  # the hat comes; two pixels around it count as its region, here the whole picture
    ideal = measure.ideal_of(nets(), torch.arange(4), real, images, unit=2.0)
    w = ideal.seen.pictures[:, 0] + torch.tensor([0.0, 3.0, 4.0])
    found = ideal.distances(nets(), measure.see(nets(), w, keep=True))
    assert found["features"]["value"] == pytest.approx(2.5) and found["outside"] is None
    assert found["identity"]["value"] < 1
    same = ideal.distances(nets(), measure.see(nets(), ideal.seen.pictures[:, 0], keep=True))
    assert same["features"]["value"] == 0 and same["identity"]["value"] == pytest.approx(1)


def test_intervals_are_the_textbooks():
    # Newcombe (1998), Table I: 81 of 263 gives .2553 to .3662. Of a mean: -+ 1.96 s / sqrt(n).
    some = measure.interval(torch.arange(263) < 81)
    assert (some["low"], some["high"]) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    values = torch.randn(2000) * 3 + 5
    mean, half = measure.interval(values), 1.96 * values.std().item() / 2000**0.5
    assert mean["value"] == pytest.approx(values.mean().item()) and mean["n"] == 2000
    assert mean["low"] == pytest.approx(mean["value"] - half, abs=0.1 * half)
    assert mean["high"] == pytest.approx(mean["value"] + half, abs=0.1 * half)
    assert measure.interval(torch.zeros(0)) is None
    assert measure.interval(torch.tensor([True])) == {"value": 1, "low": 1, "high": 1, "n": 1}
