"""What the evaluation of taught edits and of ways back measures, against closed forms."""

import json
import math
from pathlib import Path

import pytest
import torch

from lwgan.edit import AffineEdit
from trainers.evaluate.piles import fit, report, stroke_width, tally
from trainers.evaluate.reverse import inverse


@pytest.mark.parametrize("width", [2, 5, 9])
def test_a_bar_is_as_wide_as_it_is(width):
    x = torch.full((1, 1, 64, 64), -1.0)
    x[:, :, 8:56, 20 : 20 + width] = 1
    length = 48
    assert stroke_width(x).item() == pytest.approx(width * length / (width + length), rel=0.02)


@pytest.mark.parametrize("rank", [None, 2])
def test_the_inverse_undoes_the_edit(rank):
    w, bias = torch.randn(6, 3, 8), torch.randn(3, 8)
    out, into = torch.randn(3, 8, 2) / 4, torch.randn(3, 2, 8) / 4
    edit = AffineEdit(None, bias) if rank is None else AffineEdit.low_rank(out, into, bias)
    assert torch.allclose(inverse(edit, edit(w, 0.7), 0.7), w, atol=1e-4)


def test_the_committed_report_is_that_of_the_committed_draws():
    folder = Path(__file__).parents[3] / "docs" / "results"
    rows = [json.loads(line) for line in (folder / "teach.jsonl").read_text("utf-8").splitlines()]
    assert report(rows) == (folder / "teach.md").read_text("utf-8")


def test_the_light_is_counted_where_the_judge_read_a_case():
    row = lambda light, **figures: {"light": light, "kind": "place", "figures": figures}
    rows = [row("green", true_change=0.5), row("amber", true_change=0.9), row("green", true_change=0.4)]
    said = tally([*rows, row("red", true_change=0.1), row("green")])
    assert "green for 1 of the 2 edits that work, and amber or red for 1 of the 2 that do not" in said


def test_a_planted_chance_is_fitted():
    generator, rows = torch.Generator().manual_seed(0), []
    a, b, c = 3.0, 1.0, 7.0
    for auc, cosine, at in torch.rand(20_000, 3, generator=generator).tolist():
        works = float(at < 1 / (1 + math.exp(a + b * math.log(1.02 - auc) - c * cosine)))
        rows.append({"auc": auc, "cosine": cosine, "kind": "place", "figures": {"true_change": works}})
    assert fit([*rows, {"figures": {}}]) == pytest.approx((a, b, c), rel=0.06)
