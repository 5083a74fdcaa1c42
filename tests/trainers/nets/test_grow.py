"""Nets of twice the side: what is kept is kept exactly, and the fit gives the old codes."""

import pytest
import torch
from torch.nn import functional as F

from lwgan.encoder import Encoder
from lwgan.generator import Generator, upsample
from trainers.nets import grow


@pytest.fixture
def small():
    """An encoder into W and a generator of 32 px."""
    torch.manual_seed(0)
    generator = Generator(resolution=32, img_channels=1, channels=(16, 16, 16, 12), z_dim=8, w_dim=8,
                          mapping_layers=2, use_noise=False)  # fmt: skip
    encoder = Encoder(resolution=32, img_channels=1, num_ws=8, w_dim=8, pyramid=16, head=8, space="W")
    encoder.w_avg.normal_()
    return encoder.requires_grad_(False), generator.requires_grad_(False)


def test_the_grown_generator_draws_the_same_pictures_enlarged(small):
    large = grow.grow_generator(small[1])
    assert large.config["channels"] == [16, 16, 16, 12, 8] and large.resolution == 64
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(large(z), upsample(small[1](z)), atol=1e-5)


def test_the_grown_encoder_gives_the_old_codes_once_its_first_layers_do(small):
    large = grow.grow_encoder(small[0])
    assert large.config["resolution"] == 64 and large.config["num_ws"] == 10
    features = torch.randn(2, *grow.first_layers(small[0], 1)(torch.zeros(1, 1, 32, 32)).shape[1:])
    give = lambda *_: features
    small[0].backbone[0].register_forward_hook(give)
    large.backbone[1].register_forward_hook(give)
    old, new = small[0](torch.zeros(2, 1, 32, 32)), large(torch.zeros(2, 1, 64, 64))
    assert torch.allclose(old[:, 0], new[:, 0], atol=1e-5) and old.std() > 0.1


def test_the_fit_learns_what_the_first_layers_gave(small):
    large, images = grow.grow_encoder(small[0]), torch.randint(256, (32, 1, 64, 64)).to(torch.uint8)
    images = F.interpolate(images.float()[:, :, ::8, ::8], scale_factor=8).to(torch.uint8)
    kept = large.heads[0].linear.weight.clone()
    x = images[:16].float() / 127.5 - 1
    error = lambda: grow.relative_error(
        grow.first_layers(large, 2)(x), grow.first_layers(small[0], 1)(F.avg_pool2d(x, 2))
    )
    before = error()
    assert grow.fit(small[0], large, images, 20) < 0.5 * before
    assert error() < 0.5 * before and torch.equal(large.heads[0].linear.weight, kept)


NO_PAIR = {
    "--steps is 0, expected 1 or more": {"steps": 0},
    "E has w_dim 8, G 4: they are no pair": {"w_dim": 4},
    "E has img_channels 1, G 3: they are no pair": {"img_channels": 3},
    "D holds pictures of 32 px, expected 64 px": {"images": torch.zeros(2, 1, 32, 32)},
    "D holds pictures of 3 channels, E takes 1": {"images": torch.zeros(2, 3, 64, 64)},
}


@pytest.mark.parametrize("message", NO_PAIR)
def test_nets_and_pictures_that_do_not_fit_are_refused(small, message):
    wrong = {"steps": 1, "images": torch.zeros(2, 1, 64, 64)} | NO_PAIR[message]
    images, options = wrong.pop("images"), grow.Grow("D", "E", "G", "R", wrong.pop("steps"))
    generator = Generator(**small[1].config | wrong)
    with pytest.raises(ValueError, match=message):
        grow.check(options, small[0], generator, images)


def test_an_encoder_of_a_part_of_the_picture_does_not_grow(small):
    encoder = Encoder(**small[0].config, bands=4)
    with pytest.raises(ValueError, match="leaves out 4 rows at top and bottom, expected 0"):
        grow.grow_encoder(encoder)


def test_the_largest_encoder_does_not_grow(small):
    encoder = Encoder(resolution=1024, img_channels=1, num_ws=18, w_dim=8, pyramid=16, head=8, space="W")
    with pytest.raises(ValueError, match="the encoder is for 1024 px: there is no larger one"):
        grow.grow_encoder(encoder)
