"""Samples given the mean and covariance of real codes: the map against POT's, its folding against the formula."""

import ot
import torch

from lwgan.generator import Generator
from tests.nets import W_DIM
from trainers.nets import join, match


def test_the_map_is_pots():
    generator = torch.Generator().manual_seed(0)
    source, target = (
        torch.randn(500, 6, generator=generator, dtype=torch.float64)
        @ torch.randn(6, 6, generator=generator, dtype=torch.float64)
        for _ in range(2)
    )
    wanted, _ = ot.gaussian.bures_wasserstein_mapping(
        source.mean(0), target.mean(0), torch.cov(source.T), torch.cov(target.T)
    )
    found = match.transport(source, target)
    assert torch.allclose(found, wanted, atol=1e-8)
    assert torch.allclose(torch.cov((source @ found).T), torch.cov(target.T), atol=1e-8)


def test_no_direction_is_blown_up():
    turned = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    found = match.limited(turned @ torch.diag(torch.tensor([9.0, 1.5, 0.1])) @ turned.T)
    assert torch.allclose(found, turned @ torch.diag(torch.tensor([2.0, 1.5, 0.5])) @ turned.T, atol=1e-3)


def test_the_first_directions_are_the_widest():
    codes = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5, 1, 3, 1])
    basis = match.principal_directions(codes, 2)
    assert torch.allclose(basis.abs(), torch.eye(5)[:, [1, 3]], atol=0.1)


def test_folded_into_the_mapping_samples_have_the_asked_mean_and_covariance():
    torch.manual_seed(0)
    mapping = Generator(resolution=8, channels=(4, 4), z_dim=2 * W_DIM, w_dim=W_DIM, mapping_layers=3).mapping
    deviation = torch.linspace(2, 0.1, W_DIM)
    join.set_mapping(mapping, deviation, 50 * deviation + 50)  # far from the kink: what is folded in moves it
    z = torch.randn(3000, 2 * W_DIM)
    basis = torch.linalg.qr(torch.randn(W_DIM, 3))[0]
    root = torch.randn(3, 3)
    target = torch.randn(3000, 3) @ root
    shift = 0.1 * torch.randn(W_DIM)
    with torch.no_grad():
        before = mapping(z)[:, 0]
        linear = match.transport(before @ basis, target)
        match.fold(mapping, before.mean(0), linear, basis, shift)
        after = mapping(z)[:, 0]
    wanted = before + (before - before.mean(0)) @ basis @ (linear - torch.eye(3)) @ basis.T + shift
    assert torch.allclose(after, wanted, atol=2e-3)
    assert torch.allclose(after.mean(0), before.mean(0) + shift, atol=1e-3)
    assert torch.allclose(torch.cov((after @ basis).T), torch.cov(target.T), atol=1e-2)
