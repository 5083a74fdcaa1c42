"""The spaces of Eqs. 4 and 5, correlations and distances against numpy and sums written out."""

import numpy as np
import pytest
import torch

from lwgan.costs import attribute_space, correlations, median_distance


def test_correlations_are_numpys_but_for_constant_labels():
    labels = torch.rand(50, 5) < torch.tensor([0.5, 0.2, 0.8, 0.5, 0.5])
    labels[:, 4] = ~labels[:, 0]
    assert np.allclose(correlations(labels), np.abs(np.corrcoef(labels.numpy().T)), atol=1e-12)
    labels[:, 1] = True
    gamma = correlations(labels)
    assert gamma[1].tolist() == [0, 1, 0, 0, 0] and (gamma.diagonal() == 1).all()
    assert gamma[0, 4].item() == pytest.approx(1)  # an attribute and its opposite


def test_correlations_of_labels_that_are_not_all_known_are_those_of_the_pairs_that_are():
    labels, known = torch.rand(80, 3) < 0.5, torch.rand(80, 3) < 0.7
    gamma = correlations(labels, known)
    for l in range(3):
        for k in range(l):
            both = known[:, l] & known[:, k]
            pair = np.corrcoef(labels[both][:, [l, k]].numpy().T)
            assert gamma[l, k].item() == pytest.approx(abs(pair[0, 1]), abs=1e-12)


def test_attribute_space_refuses_what_is_no_correlation():
    with pytest.raises(ValueError, match=r"from -0\.5 to 1"):
        attribute_space(torch.zeros(2, 3), torch.tensor([1.0, -0.5, 0.0]))
    with pytest.raises(ValueError, match=r"gamma of \(4,\)"):
        attribute_space(torch.zeros(2, 3), torch.zeros(4))


def test_median_distance():
    x, y = torch.tensor([[0.0], [1.0]]) + 1000, torch.tensor([[1.0], [3.0], [8.0]]) + 1000
    assert median_distance(x, y) == pytest.approx(
        2
    )  # of 0 1 2 3 7 8, torch takes the lower of the two in the middle
    many = torch.randn(5000, 20)
    assert median_distance(many, many) == pytest.approx(torch.cdist(many, many).median().item(), rel=1e-2)
