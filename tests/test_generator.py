"""The generator against the community's StyleGAN2; the parts of GAN training against what they are defined to be."""

import copy

import pytest
import torch
from parity import drawn, reference

from lwgan.generator import Generator, blur, upsample
from trainers import generator as stage
from trainers.discriminator import Discriminator, minibatch_stddev, r1_penalty

SMALL = {"resolution": 16, "img_channels": 1, "channels": (8, 8, 8), "z_dim": 6, "w_dim": 5, "mapping_layers": 2}


def error(found, expected) -> float:
    """Root mean square error as a fraction of the expected values' root mean square."""
    return ((found - expected).norm() / expected.norm()).item()


def load_peer(case: str) -> tuple[Generator, dict]:
    """Our generator with a reference network's weights, and what that network computes."""
    sizes, weights, arrays = reference(case)
    levels = sizes["size"].bit_length() - 2
    width = weights["synthesis.b4.const"].shape[0]
    generator = Generator(
        resolution=sizes["size"],
        channels=(width,) * levels,
        z_dim=sizes["style_dim"],
        w_dim=sizes["style_dim"],
        mapping_layers=sizes["n_mlp"],
    )
    generator.load_state_dict(weights)
    return generator.requires_grad_(False), arrays


@pytest.fixture(scope="module", params=["g16s", "g64s"])
def peer(request):
    return load_peer(request.param)


def test_mapping_is_the_communitys(peer):
    generator, held = peer
    w = generator.mapping(held["z"])
    assert w.shape == (2, generator.num_ws, generator.w_dim)
    assert all(error(w[:, i], held["w"]) < 1e-5 for i in range(generator.num_ws))


def test_synthesis_is_the_communitys(peer):
    generator, held = peer
    assert error(generator.synthesis(held["wplus"]), held["img_wplus"]) < 1e-5
    assert error(generator.synthesis(held["wplus"], noise="none"), held["img_zero_noise"]) < 1e-5
    assert error(generator(held["z"]), held["img_z"]) < 1e-5


def test_truncation_is_the_communitys(peer):
    generator, held = peer
    assert error(generator(held["z"], truncation_psi=0.7), held["img_z_trunc07"]) < 1e-5


def test_clamping_is_nvidias(peer):
    generator, held = peer
    clamped = Generator(**{**generator.config, "conv_clamp": 1.0})
    clamped.load_state_dict(generator.state_dict())
    with torch.no_grad():
        assert error(clamped.synthesis(held["wplus"]), held["nv_img_wplus_clamp1"]) < 1e-5


def test_the_noise_maps_reach_the_right_layers():
    """The reference network was given other maps, drawn by name and layer."""
    generator, held = load_peer("g16s")
    maps, resolution = {"b4.conv1": drawn("nl0", (2, 1, 4, 4))}, 8
    while resolution <= generator.resolution:
        for conv in (0, 1):
            maps[f"b{resolution}.conv{conv}"] = drawn(f"nl{len(maps)}", (2, 1, resolution, resolution))
        resolution *= 2
    for i in range(2):  # our maps are one for all pictures, the reference's one for each
        for name, field in maps.items():
            generator.synthesis.get_submodule(name).noise_const.copy_(torch.from_numpy(field[i, 0]))
        assert error(generator.synthesis(held["wplus"][i : i + 1]), held["img_noise_list"][i : i + 1]) < 1e-5


def test_random_noise_differs_from_call_to_call_and_const_does_not():
    generator = Generator(**SMALL)
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.5)
    w = generator.mapping(torch.randn(2, 6))
    assert torch.equal(generator.synthesis(w), generator.synthesis(w))
    assert not torch.allclose(generator.synthesis(w, noise="random"), generator.synthesis(w, noise="random"))


def test_a_batch_is_what_its_pictures_are_one_by_one():
    generator = Generator(**SMALL)
    w = torch.randn(3, generator.num_ws, generator.w_dim)
    with torch.no_grad():
        assert torch.allclose(generator.synthesis(w), torch.cat([generator.synthesis(one[None]) for one in w]), atol=1e-5)


def test_truncation_to_nothing_is_the_mean_code():
    generator = Generator(**SMALL)
    generator.mapping.w_avg.copy_(torch.randn(5))
    assert torch.allclose(generator.mapping(torch.randn(4, 6), truncation_psi=0.0), generator.mapping.w_avg.expand(4, generator.num_ws, 5))


def test_tanh_output_stays_in_range():
    generator = Generator(**SMALL, output="tanh")
    assert generator.synthesis(100 * torch.randn(2, generator.num_ws, 5)).abs().max() <= 1


def test_upsampling_keeps_a_flat_picture_flat():
    picture = torch.full((1, 3, 8, 8), 0.3)
    assert torch.allclose(upsample(picture)[..., 2:-2, 2:-2], torch.tensor(0.3), atol=1e-6)
    assert torch.allclose(blur(picture, gain=1.0)[..., 2:-2, 2:-2], torch.tensor(0.3), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 48}, "resolution 48 is not a power of two"),
        ({"resolution": 4}, "resolution 4 "),
        ({"channels": (8, 8)}, "channels gives 2 widths, resolution 16 has 3"),
        ({"output": "relu"}, "output 'relu' is unknown"),
    ],
)
def test_impossible_generators_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Generator(**SMALL | change)


def test_wrong_shapes_are_refused():
    generator = Generator(**SMALL)
    with pytest.raises(ValueError, match=r"z has shape \(2, 5\), expected \[N, 6\]"):
        generator.mapping(torch.randn(2, 5))
    for shape in ((2, 5), (2, 4, 5), (2, 6, 7)):
        with pytest.raises(ValueError, match=r"expected \[N, 6, 5\]"):
            generator.synthesis(torch.randn(shape))
    with pytest.raises(ValueError, match="noise 'off' is unknown"):
        generator.synthesis(torch.randn(1, 6, 5), noise="off")


# What GAN training adds


def critic() -> Discriminator:
    return Discriminator(img_channels=1, channels=(8, 8), group_size=1).double()


def test_r1_penalty_is_the_squared_gradient():
    """group_size 1: a picture's logit depends on that picture alone, and finite differences can be taken pixel by pixel."""
    discriminator, real = critic(), torch.randn(2, 1, 16, 16).double()
    step, total = 1e-3, 0.0
    with torch.no_grad():
        for y in range(16):
            for x in range(16):
                shift = torch.zeros_like(real)
                shift[..., y, x] = step
                total = total + ((discriminator(real + shift).double() - discriminator(real - shift).double()) / (2 * step)).square()
    assert r1_penalty(discriminator, real).item() == pytest.approx(total.mean().item(), rel=0.01)


def test_r1_penalty_trains_the_discriminator():
    discriminator = critic()
    r1_penalty(discriminator, torch.randn(2, 1, 16, 16).double()).backward()
    assert discriminator.stem.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("n", "group_size", "group"), [(8, 4, 4), (6, 4, 2), (3, 8, 1)])
def test_minibatch_stddev_is_the_mean_spread_of_a_group(n, group_size, group):
    x = torch.randn(n, 3, 4, 4)
    found = minibatch_stddev(x, group_size)
    assert torch.equal(found[:, :3], x)
    for start in range(0, n, group):
        members = [x[i].flatten().tolist() for i in range(start, start + group)]
        spread = 0.0
        for values in zip(*members, strict=True):
            mean = sum(values) / group
            spread += (sum((v - mean) ** 2 for v in values) / group + 1e-8) ** 0.5 / len(members[0])
        assert torch.allclose(found[start : start + group, 3], torch.tensor(spread), atol=1e-5)


def test_the_average_of_the_weights_has_the_half_life_it_names(tmp_path):
    options = stage.Options(data=tmp_path, run=tmp_path, batch=100, ema_kimg=1.0)
    ema, generator = Generator(**SMALL), Generator(**SMALL)
    start, goal = copy.deepcopy(ema.state_dict()), generator.state_dict()
    for _ in range(10):  # 10 steps of 100 pictures are 1,000 pictures: half the way
        stage.update_ema(ema, generator, seen=10**6, options=options)
    for name, value in ema.state_dict().items():
        assert torch.allclose(value, (start[name] + goal[name]) / 2, atol=1e-4 * float(1 + (start[name] - goal[name]).abs().max())), name


def test_early_the_average_forgets_faster(tmp_path):
    options = stage.Options(data=tmp_path, run=tmp_path, batch=64)
    ema, generator = Generator(**SMALL), Generator(**SMALL)
    stage.update_ema(ema, generator, seen=64, options=options)
    value, goal = ema.synthesis.b4.const, generator.synthesis.b4.const
    assert torch.allclose(value, goal, atol=1e-2)


def test_samples_repeat_with_their_seed():
    generator = Generator(**SMALL)
    first = stage.sample(generator, 3, seed=1)
    assert torch.equal(first, stage.sample(generator, 3, seed=1))
    assert not torch.equal(first, stage.sample(generator, 3, seed=2))
