"""Winograd's convolution against torch's own, in float64."""

import pytest
import torch
from torch.nn import functional as F

from lwgan import winograd
from lwgan.generator import Generator
from tests.parity import error


def case(channels: int = 16, width: int = 8, height: int = 12, side: int = 20) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    return torch.randn(1, width, height, side), torch.randn(channels, width, 3, 3), torch.randn(channels)


@pytest.mark.parametrize(("height", "side"), [(4, 4), (12, 20), (64, 64), (8, 512)])
@pytest.mark.parametrize("biased", [False, True])
def test_it_is_the_convolution(height, side, biased):
    x, weight, bias = case(height=height, side=side)
    bias = bias if biased else None
    wanted = F.conv2d(x.double(), weight.double(), None if bias is None else bias.double(), padding=1)
    found = winograd.conv2d(x, weight, bias)
    assert found.is_contiguous(memory_format=torch.channels_last) and found.dtype == torch.float32
    assert error(found.double(), wanted) < 3e-6


def test_strips_meet_without_a_seam(monkeypatch):
    x, weight, bias = case(height=40, side=16)
    whole = winograd.conv2d(x, weight, bias)
    monkeypatch.setattr(winograd, "TILES", 12)  # strips of 3 rows of tiles: the last has one
    assert error(winograd.conv2d(x, weight, bias), whole) < 1e-6


def test_it_stays_on_the_cpu_whatever_the_default_device():
    x, weight, bias = case()
    wanted = winograd.conv2d(x, weight, bias)
    winograd._transforms.cache_clear()
    try:
        with torch.device("meta"):
            found = winograd.conv2d(x, weight, bias)
        assert torch.equal(found, wanted) and torch.equal(winograd.conv2d(x, weight, bias), wanted)
    finally:
        winograd._transforms.cache_clear()


def test_the_transforms_make_products_of_correlations():
    """For a tile and a kernel that are outer products, the result is two correlations in one dimension."""
    data, kernel, result = winograd._transforms()
    d, g = torch.randn(6, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    outer = lambda a: torch.outer(a, a).flatten()
    found = result.double() @ ((kernel.double() @ outer(g)) * (data.double() @ outer(d)))
    assert torch.allclose(found, outer(d.unfold(0, 3, 1) @ g), atol=1e-5)


def test_a_generator_takes_it_for_one_large_picture_and_not_for_gradients_halves_or_batches(monkeypatch):
    torch.manual_seed(0)
    generator = Generator(resolution=64, channels=(16, 16, 16, 16, 128), z_dim=8, w_dim=8).requires_grad_(
        False
    )
    w = torch.randn(2, generator.num_ws, 8)
    calls, conv2d = [], winograd.conv2d
    monkeypatch.setattr(winograd, "conv2d", lambda *given: calls.append(1) or conv2d(*given))
    direct = generator.synthesis(w[:1])
    with torch.no_grad():
        together = generator.synthesis(w)
        with torch.autocast("cpu", torch.bfloat16):
            generator.synthesis(w[:1])
        assert not calls
        found = generator.synthesis(w[:1])
    assert len(calls) == 1 and 0 < error(found, direct) < 1e-5 and error(found, together[:1]) < 1e-5
