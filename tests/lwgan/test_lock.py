"""Locks against closed forms and a nonlinear classifier."""

import pytest
import torch

from lwgan.judges import LatentClassifier
from lwgan.lock import cost, keep, reading


@pytest.fixture
def codes():
    w, step = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    return w, w + step


def test_a_direction_is_projected_out_of_the_step(codes):
    w, edited = codes
    b = torch.zeros(3, 4)
    b[1, 2] = 7.0
    kept = keep(reading(None, (), [b]), w, edited)
    expected = edited.clone()
    expected[:, 1, 2] = w[:, 1, 2]  # the coordinate of the direction stays, all others go as they would
    assert torch.allclose(kept, expected, atol=1e-3)


def test_a_linear_classifier_gives_the_projection_in_one_formula(codes):
    w, edited = codes
    g = torch.randn(2, 12, generator=torch.Generator().manual_seed(1))
    kept = keep(reading(lambda x: x.flatten(1) @ g.T, (0, 1), []), w, edited)
    step = (edited - w).flatten(1)
    expected = step - step @ torch.linalg.pinv(g) @ g
    assert torch.allclose((kept - w).flatten(1), expected, atol=1e-3)


def test_labels_of_a_network_stay_and_the_others_move(codes):
    w, edited = codes
    torch.manual_seed(0)
    f = LatentClassifier(num_ws=3, w_dim=4, outputs=6, hidden=(32, 16)).requires_grad_(False)
    read = reading(f, (1, 4), [])
    with torch.inference_mode():
        kept = keep(read, w, edited)
    before, after = (read(w) - read(edited)).abs(), (read(w) - read(kept)).abs()
    assert after.max() < 0.02 * before.max()
    lost = cost(reading(f, range(6), []), w, edited, kept).nanmedian(0).values
    assert lost[1] == pytest.approx(1, abs=0.02) and lost[4] == pytest.approx(1, abs=0.02)


def test_the_cost_is_the_share_of_the_change_that_is_lost():
    w, edited, locked = torch.zeros(1, 1, 2), torch.tensor([[[4.0, 0.0]]]), torch.tensor([[[3.0, 0.0]]])
    lost = cost(lambda x: x.flatten(1), w, edited, locked)
    assert lost[0, 0] == 0.25 and lost[0, 1].isnan()
