"""The cloud of codes, on Gaussians of which the distances are known."""

import math

import pytest
import torch

from lwgan.cloud import Cloud


def test_the_cloud_measures_in_standard_deviations():
    codes = torch.randn(4000, 1, 8) * torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8]) + 5
    cloud = Cloud(codes.expand(-1, 3, -1))
    middle = codes.mean(0).expand(1, 3, 8)
    out = torch.zeros(8)
    out[7] = 80.0  # ten standard deviations along the longest axis: sqrt(100 / 8) of the root mean square
    assert cloud.distance(middle).item() < 0.1
    expected = math.sqrt(100 / 8)
    assert cloud.distance(middle + out).item() * cloud.typical == pytest.approx(expected, rel=0.05)
    assert 1.2 < cloud.limit < 2.5  # chi of 8 degrees of freedom: sqrt(20.09 / 7.34) = 1.65 at 99%
    assert (cloud.distance(codes.expand(-1, 3, -1)) < cloud.limit).double().mean().item() == pytest.approx(
        0.99, abs=0.005
    )


def test_the_codes_of_pictures_set_what_is_usual():
    codes = torch.randn(1000, 2, 4)
    far = 3 * torch.randn(500, 2, 4)
    assert Cloud(codes, far).distance(far).median().item() == pytest.approx(1, abs=0.01)
    with pytest.raises(ValueError, match="a cloud of 3 codes"):
        Cloud(codes[:3])
