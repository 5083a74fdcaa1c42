"""One space for codes and samples: new coordinates change no picture; the transport map is POT's."""

import pytest
import torch

from lwgan.encoder import Encoder
from lwgan.generator import Generator
from tests.nets import NUM_WS, W_DIM
from tests.pot import ot
from trainers.nets import align


@pytest.fixture
def nets():
    """Random nets, and pictures so few that their codes span no more than w_dim directions of W+."""
    torch.manual_seed(0)
    sizes = {"resolution": 64, "img_channels": 1, "w_dim": W_DIM}
    generator = Generator(**sizes, channels=(16, 16, 16, 8, 8), z_dim=16, mapping_layers=2).requires_grad_(
        False
    )
    encoder = Encoder(**sizes, num_ws=NUM_WS, widths=(8, 8, 16, 16), pyramid=16, head=8).requires_grad_(False)
    encoder.w_avg.normal_()
    return generator, encoder, torch.randn(W_DIM, 1, 64, 64)


def test_the_new_coordinates_draw_the_same_pictures(nets):
    generator, encoder, pictures = nets
    codes = encoder(pictures)
    wanted = generator.synthesis(codes)
    mean, basis, deviation = align.subspace(codes)
    joined = align.into_w(encoder, mean, basis, 5 * deviation)
    align.fold_affine(generator, mean, basis, 5 * deviation)
    found = joined(pictures)
    assert not torch.allclose(codes[:, 0], codes[:, 1], atol=1e-2)
    assert torch.equal(found, found[:, :1].expand_as(found))
    assert torch.allclose(generator.synthesis(found), wanted, atol=1e-3 * wanted.abs().max())


def test_the_coordinates_are_the_principal_ones(nets):
    torch.manual_seed(0)
    codes = (torch.randn(4000, 15) * torch.tensor([3.0, 1, 1, 1, 0.1] * 3)).view(-1, 3, 5)
    mean, basis, deviation = align.subspace(codes)
    w = torch.linalg.lstsq(basis, (codes - mean).flatten(1).T).solution.T
    assert torch.allclose(torch.cov(w.T), torch.diag(deviation.square()), atol=1e-4)
    assert deviation.square().mean() == pytest.approx(1, abs=1e-4)
    assert deviation[2] > 2 * deviation[3]  # three of the fifteen directions are three times as wide


def test_each_affine_layer_takes_the_style_that_synthesis_gives_it(nets):
    generator, _, _ = nets
    held = {}
    for _, affine in align.styles(generator):
        affine.register_forward_hook(lambda module, arguments, out: held.update({module: arguments[0]}))
    w = torch.randn(1, NUM_WS, W_DIM)
    generator.synthesis(w)
    assert len(held) == len(align.styles(generator)) == 3 * 5 - 1
    assert all(torch.equal(held[affine], w[:, index]) for index, affine in align.styles(generator))


@pytest.mark.parametrize(("layers", "z_dim"), [(1, 8), (2, 8), (4, 8), (4, 3)])
def test_the_mapping_is_normal_with_the_asked_deviations(layers, z_dim):
    mapping = Generator(resolution=8, channels=(4, 4), z_dim=z_dim, w_dim=8, mapping_layers=layers).mapping
    deviation = torch.tensor([3.0, 2, 1, 0.5, 0.1, 0.1, 0.01, 0.0])
    align.set_mapping(mapping, deviation, 5 * deviation)
    z = torch.randn(200, z_dim)
    x = z / z.square().mean(1, keepdim=True).sqrt()
    wanted = 5 * deviation.repeat(200, 1)
    kept = min(4, z_dim)
    wanted[:, :kept] += deviation[:kept] * x[:, :kept]
    with torch.no_grad():
        assert torch.allclose(mapping(z)[:, -1], wanted, atol=1e-4)


def test_the_map_is_pots():
    generator = torch.Generator().manual_seed(0)
    source, target = (
        torch.randn(500, 6, generator=generator, dtype=torch.float64)
        @ torch.randn(6, 6, generator=generator, dtype=torch.float64)
        for _ in range(2)
    )
    wanted, _ = ot().gaussian.bures_wasserstein_mapping(
        source.mean(0), target.mean(0), torch.cov(source.T), torch.cov(target.T)
    )
    found = align.transport(source, target)
    assert torch.allclose(found, wanted, atol=1e-8)
    assert torch.allclose(torch.cov((source @ found).T), torch.cov(target.T), atol=1e-8)


def test_no_direction_is_blown_up():
    turned = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    found = align.limited(turned @ torch.diag(torch.tensor([9.0, 1.5, 0.1])) @ turned.T)
    assert torch.allclose(found, turned @ torch.diag(torch.tensor([2.0, 1.5, 0.5])) @ turned.T, atol=1e-3)


def test_the_first_directions_are_the_widest():
    codes = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5, 1, 3, 1])
    basis = align.principal_directions(codes, 2)
    assert torch.allclose(basis.abs(), torch.eye(5)[:, [1, 3]], atol=0.1)


def test_folded_into_the_mapping_samples_have_the_asked_mean_and_covariance():
    torch.manual_seed(0)
    mapping = Generator(resolution=8, channels=(4, 4), z_dim=2 * W_DIM, w_dim=W_DIM, mapping_layers=3).mapping
    deviation = torch.linspace(2, 0.1, W_DIM)
    align.set_mapping(
        mapping, deviation, 50 * deviation + 50
    )  # far from the kink: what is folded in moves it
    z = torch.randn(3000, 2 * W_DIM)
    basis = torch.linalg.qr(torch.randn(W_DIM, 3))[0]
    root = torch.randn(3, 3)
    target = torch.randn(3000, 3) @ root
    shift = 0.1 * torch.randn(W_DIM)
    with torch.no_grad():
        before = mapping(z)[:, 0]
        linear = align.transport(before @ basis, target)
        align.fold_mapping(mapping, before.mean(0), linear, basis, shift)
        after = mapping(z)[:, 0]
    wanted = before + (before - before.mean(0)) @ basis @ (linear - torch.eye(3)) @ basis.T + shift
    assert torch.allclose(after, wanted, atol=2e-3)
    assert torch.allclose(after.mean(0), before.mean(0) + shift, atol=1e-3)
    assert torch.allclose(torch.cov((after @ basis).T), torch.cov(target.T), atol=1e-2)
