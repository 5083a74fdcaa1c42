"""One space for codes and samples: a change of coordinates must change no picture."""

import pytest
import torch
from nets import NUM_WS, W_DIM

from lwgan.encoder import Encoder
from lwgan.generator import Generator
from trainers import join


@pytest.fixture
def nets():
    """Random nets, and pictures so few that their codes span no more than w_dim directions of W+."""
    torch.manual_seed(0)
    sizes = {"resolution": 64, "img_channels": 1, "w_dim": W_DIM}
    generator = Generator(**sizes, channels=(16, 16, 16, 8, 8), z_dim=16, mapping_layers=2).requires_grad_(False)
    encoder = Encoder(**sizes, num_ws=NUM_WS, widths=(8, 8, 16, 16), pyramid=16, head=8).requires_grad_(False)
    encoder.w_avg.normal_()
    return generator, encoder, torch.randn(W_DIM, 1, 64, 64)


def test_the_new_coordinates_draw_the_same_pictures(nets):
    generator, encoder, pictures = nets
    codes = encoder(pictures)
    wanted = generator.synthesis(codes)
    mean, basis, scale = join.subspace(codes)
    joined = join.into_w(encoder, mean, basis, scale)
    join.fold(generator, mean, basis, scale)
    found = joined(pictures)
    assert not torch.allclose(codes[:, 0], codes[:, 1], atol=1e-2)
    assert torch.equal(found, found[:, :1].expand_as(found))
    assert torch.allclose(generator.synthesis(found), wanted, atol=1e-3 * wanted.abs().max())


def test_the_basis_is_orthonormal_and_the_scale_gives_unit_variance():
    torch.manual_seed(0)
    codes = torch.randn(4000, 3, 5) * torch.tensor([3.0, 1.0, 1.0, 1.0, 0.1])
    mean, basis, scale = join.subspace(codes)
    assert torch.allclose(basis.T @ basis, torch.eye(5), atol=1e-5)
    w = scale * (codes - mean).flatten(1) @ basis
    assert w.var(0).mean() == pytest.approx(1, abs=1e-3)
    assert (codes - mean).flatten(1).var(0).sort().values[-3:].sum() / scale**-2 < 5.2  # the three widest directions are among the five


def test_each_affine_layer_takes_the_style_that_synthesis_gives_it(nets):
    generator, _, _ = nets
    held = {}
    for _, affine in join.styles(generator):
        affine.register_forward_hook(lambda module, arguments, out: held.update({module: arguments[0]}))
    w = torch.randn(1, NUM_WS, W_DIM)
    generator.synthesis(w)
    assert len(held) == len(join.styles(generator)) == 3 * 5 - 1
    assert all(torch.equal(held[affine], w[:, index]) for index, affine in join.styles(generator))


def test_the_mapping_has_the_asked_covariance():
    torch.manual_seed(0)
    mapping = Generator(resolution=8, channels=(4, 4), z_dim=4, w_dim=4, mapping_layers=4).mapping
    factor = torch.tensor([[2.0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 1]])
    join.fit_mapping(mapping, factor, 1500)
    with torch.no_grad():
        z = torch.randn(4000, 4)
        w = mapping(z)[:, 0]
    wanted = z / z.square().mean(1, keepdim=True).sqrt() @ factor.T
    assert (w - wanted).square().mean() / wanted.square().mean() < 0.35


def test_a_space_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"space 'Z' is unknown: choose one of W\+, W"):
        Encoder(resolution=64, img_channels=1, num_ws=NUM_WS, w_dim=W_DIM, space="Z")
