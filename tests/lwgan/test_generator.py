"""The generator against the community's StyleGAN2; the parts of GAN training against their definitions."""

import copy
import re

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lwgan.generator import Generator, blur, blur_kernel, upsample
from tests.parity import error, noise_maps, reference
from trainers.nets import generator as stage
from trainers.nets.discriminator import Discriminator, minibatch_stddev, r1_penalty

SMALL = {
    "resolution": 16,
    "img_channels": 1,
    "channels": (8, 8, 8),
    "z_dim": 6,
    "w_dim": 5,
    "mapping_layers": 2,
}


def load_peer(case: str) -> tuple[Generator, dict]:
    """Our generator with a reference network's weights, and what that network computes."""
    sizes, weights, arrays = reference(case)
    levels = sizes["size"].bit_length() - 2
    generator = Generator(
        resolution=sizes["size"],
        channels=tuple(len(weights[f"synthesis.b{4 * 2**level}.conv1.bias"]) for level in range(levels)),
        z_dim=sizes["style_dim"],
        w_dim=sizes["style_dim"],
        mapping_layers=sizes["n_mlp"],
    )
    generator.load_state_dict(weights)
    return generator.requires_grad_(False), arrays


def clamped(generator: Generator, clamp: float) -> Generator:
    made = Generator(**{**generator.config, "conv_clamp": clamp})
    made.load_state_dict(generator.state_dict())
    return made.requires_grad_(False)


def mixed(w, at: int):
    """The codes, from style `at` on those of the batch reversed."""
    return torch.cat([w[:, :at], w.flip(0)[:, at:]], 1)


def compare(picture, held: dict, name: str) -> None:
    """With what is kept of a large reference picture: every k-th pixel and the middle."""
    sampled = next(key for key in held if key.startswith(f"{name}_sub"))
    step, start = (
        int(sampled.rpartition("_sub")[2]),
        picture.shape[-1] * 15 // 32 if picture.shape[-1] > 128 else 48,
    )
    crop = held[f"{name}_crop"]
    end = start + crop.shape[-1]
    assert error(picture[..., ::step, ::step], held[sampled]) < 1e-5
    assert error(picture[..., start:end, start:end], crop) < 1e-5


@pytest.fixture(scope="module", params=["g16s", "g64s"])
def peer(request):
    return load_peer(request.param)


def test_mapping_is_the_communitys(peer):
    generator, held = peer
    w = generator.mapping(held["z"])
    assert w.shape == (2, generator.num_ws, generator.w_dim)
    assert all(error(w[:, i], held["w"]) < 1e-5 for i in range(generator.num_ws))


def test_a_row_of_codes_can_be_written_alone():
    generator = Generator(**SMALL)
    w, other = generator.mapping(torch.randn(2, 6)).detach(), torch.randn(2, 6, 5)
    before = w.clone()
    w[:, 3] = 0
    assert torch.equal(w[:, 4], before[:, 4]) and not w[:, 3].any()
    w[:, 3:] = other[:, 3:]
    assert torch.equal(w, torch.cat([before[:, :3], other[:, 3:]], 1))


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
    assert error(clamped(generator, 1.0).synthesis(held["wplus"]), held["nv_img_wplus_clamp1"]) < 1e-5


def test_styles_mix_as_the_communitys(peer):
    generator, held = peer
    assert error(generator.synthesis(mixed(generator.mapping(held["z"]), 3)), held["img_mix3"]) < 1e-5


def test_given_noise_is_the_communitys(peer):
    generator, held = peer
    maps = noise_maps(2, generator.resolution)
    assert error(generator.synthesis(held["wplus"], noise=maps), held["img_noise_list"]) < 1e-5
    assert (
        error(
            generator.synthesis(held["wplus"], noise=maps[:1] + maps[2:3] + maps[1:2] + maps[3:]),
            held["img_noise_list"],
        )
        > 1e-3
    )
    for i in range(2):  # one map for all pictures, with and without sides of 1
        for shared in ([m[i, 0] for m in maps], [m[i : i + 1] for m in maps]):
            assert (
                error(generator.synthesis(held["wplus"], noise=shared)[i], held["img_noise_list"][i]) < 1e-5
            )


def test_every_level_adds_the_communitys_share():
    generator, held = load_peer("g64s")
    pictures = []
    for resolution in generator.synthesis.resolutions:
        block = getattr(generator.synthesis, f"b{resolution}")
        block.register_forward_hook(lambda module, arguments, out: pictures.append(out[1].clone()))
    generator.synthesis(held["wplus"])
    assert all(error(picture, held[f"skip_{i}"]) < 1e-5 for i, picture in enumerate(pictures[:-1]))
    assert len(pictures) == 5 and error(pictures[-1], held["img_wplus"]) < 1e-5


def test_128_pixels_are_the_communitys_with_direct_convolutions():
    """Full width: 29 M parameters."""
    generator, held = load_peer("g128cm2")
    assert torch.is_grad_enabled()  # else Winograd's
    compare(generator.synthesis(held["wplus"]), held, "img_wplus")


@torch.inference_mode()
def test_128_pixels_are_the_communitys():
    generator, held = load_peer("g128cm2")
    held = {key: value[:1] for key, value in held.items()}  # CPUs draw them one by one: one is enough
    noise = [map_[:1] for map_ in noise_maps(2, 128)]
    assert error(generator.mapping(held["z"])[:, 0], held["w"]) < 1e-5
    compare(generator.synthesis(held["wplus"]), held, "img_wplus")
    compare(generator(held["z"]), held, "img_z")
    compare(generator.synthesis(held["wplus"], noise=noise), held, "img_noise_list")
    compare(clamped(generator, 1.0).synthesis(held["wplus"]), held, "nv_img_wplus_clamp1")


@torch.inference_mode()
def test_1024_pixels_are_the_communitys():
    generator, held = load_peer("g1024cm2")
    assert generator.config["channels"] == Generator(resolution=1024).config["channels"]  # the usual widths
    pictures = {
        "img_wplus": generator.synthesis(held["wplus"]),
        "img_z_trunc07": generator(held["z"], truncation_psi=0.7),
    }
    for name, picture in pictures.items():
        compare(picture, held, name)
        found = torch.stack([picture.mean(), picture.std(), picture.min(), picture.max()])
        assert torch.allclose(found, held[f"{name}_stats"], rtol=1e-4, atol=1e-4)


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
        assert torch.allclose(
            generator.synthesis(w), torch.cat([generator.synthesis(one[None]) for one in w]), atol=1e-5
        )


@pytest.mark.parametrize("side", [32, 128])
def test_a_style_in_the_weights_is_a_style_in_the_maps(side):
    """The two ways of a modulated convolution (one picture, a batch) agree in pictures and gradients."""
    torch.manual_seed(0)
    generator = Generator(resolution=side, channels=(16,) * (side.bit_length() - 2), z_dim=8, w_dim=8)
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.5)
    w = torch.randn(2, generator.num_ws, 8, requires_grad=True)
    maps = [torch.randn(2, 1, r, r) for r in generator.synthesis.noise_layers.values()]
    together = generator.synthesis(w, maps)
    apart = torch.cat([generator.synthesis(w[i : i + 1], [m[i : i + 1] for m in maps]) for i in range(2)])
    frozen = copy.deepcopy(generator).requires_grad_(False).synthesis(w, maps)
    wanted = torch.autograd.grad(together.square().mean(), w)[0]
    assert generator.requires_grad_(False).synthesis(w[:0]).shape == (0, 3, side, side)
    for picture in (apart, frozen):
        assert error(picture, together) < 1e-5
        assert error(torch.autograd.grad(picture.square().mean(), w)[0], wanted) < 1e-4


def test_a_level_can_be_called_alone():
    """Level by level with its own styles and noise: what the whole computes."""
    generator, held = load_peer("g64s")
    w, maps, x, picture = held["wplus"], noise_maps(2, 64), None, None
    for resolution in generator.synthesis.resolutions:
        n = 1 if resolution == 4 else 2
        x, picture = getattr(generator.synthesis, f"b{resolution}")(x, picture, w[:, : n + 1], maps[:n])
        assert x.shape[2:] == picture.shape[2:] == (resolution, resolution)
        w, maps = w[:, n:], maps[n:]
    assert error(picture, held["img_noise_list"]) < 1e-5


def test_double_and_half_networks_are_near():
    generator, held = load_peer("g64s")
    exact = generator.synthesis(held["wplus"])
    generator.double()
    picture = generator.synthesis(held["wplus"])
    assert picture.dtype == generator(held["z"]).dtype == torch.float64 and 0 < error(exact, picture) < 1e-6
    generator.half()
    found = generator.synthesis(held["wplus"])
    assert found.dtype == torch.float16 and 1e-5 < error(found.double(), picture) < 5e-3


@pytest.mark.parametrize("size", [1e-3, 1, 1e3])
@pytest.mark.parametrize("n", [1, 2])
def test_float16_is_near_whatever_the_size_of_styles(n, size):
    """Demodulation takes the size of a style back; float16 ends at 65504."""
    generator, held = load_peer("g64s")
    for name, parameter in generator.synthesis.named_parameters():
        if re.search(r"conv\d\.affine", name):
            parameter.mul_(size)
    assert error(generator.synthesis(held["wplus"]), held["img_wplus"]) < 1e-4
    with torch.autocast("cpu", torch.float16):
        picture = generator.synthesis(held["wplus"][:n])
    assert picture.dtype == torch.float32 and 1e-5 < error(picture, held["img_wplus"][:n]) < 2e-3


def test_nothing_is_copied_between_host_and_device_while_it_draws():
    """What a CUDA graph cannot capture: values that Python gives or asks for."""

    class Operators(TorchDispatchMode):
        def __torch_dispatch__(self, operator, types, arguments=(), options=None):
            seen.add(operator.__name__.split(".")[0])
            return operator(*arguments, **options or {})

    seen, generator = set(), Generator(**SMALL).requires_grad_(False)
    with Operators():
        generator.synthesis(torch.randn(2, 6, 5))
    assert "convolution" in seen and not seen & {"lift_fresh", "_local_scalar_dense"}


def test_it_compiles_whole():
    generator, w = Generator(**SMALL).requires_grad_(False), torch.randn(2, 6, 5)
    expected = generator.synthesis(w)
    generator.synthesis.compile(backend="eager", fullgraph=True)
    assert error(generator.synthesis(w), expected) < 1e-5


def test_half_precision_is_near():
    generator, held = load_peer("g64s")
    with torch.autocast("cpu", torch.bfloat16):
        picture = generator.synthesis(held["wplus"])
        assert generator.mapping(held["z"]).dtype == picture.dtype == torch.float32
    assert 1e-4 < error(picture, held["img_wplus"]) < 0.012


def test_truncation_to_nothing_is_the_mean_code():
    generator = Generator(**SMALL)
    generator.mapping.w_avg.copy_(torch.randn(5))
    assert torch.allclose(
        generator.mapping(torch.randn(4, 6), truncation_psi=0.0),
        generator.mapping.w_avg.expand(4, generator.num_ws, 5),
    )


def test_tanh_output_stays_in_range():
    generator = Generator(**SMALL, output="tanh")
    assert generator.synthesis(100 * torch.randn(2, generator.num_ws, 5)).abs().max() <= 1


def test_the_filter_is_1_3_3_1():
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    assert torch.equal(blur_kernel(2, 4, torch.zeros(1)), 4 * torch.outer(taps, taps).expand(2, 1, 4, 4))


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


def test_noise_maps_that_do_not_fit_are_refused_by_their_layer():
    generator, w, maps = Generator(**SMALL), torch.randn(2, 6, 5), noise_maps(2, 16)
    with pytest.raises(
        ValueError, match=r"noise gives 4 maps, expected 5: from b4.conv1 \[4, 4\] to b16.conv1 \[16, 16\]"
    ):
        generator.synthesis(w, noise=maps[:4])
    for i, name, bad in (
        (1, "b8.conv0", torch.zeros(4, 4)),
        (2, "b8.conv1", torch.zeros(3, 1, 8, 8)),
        (4, "b16.conv1", torch.zeros(2, 16, 16)),
    ):
        shapes = re.escape(
            f"noise map of {name} has shape {tuple(bad.shape)}, expected ({bad.shape[-1] if i != 1 else 8}, "
        )
        with pytest.raises(ValueError, match=shapes):
            generator.synthesis(w, noise=[*maps[:i], bad, *maps[i + 1 :]])
    with pytest.raises(
        ValueError, match="noise is Tensor, expected one of const, random, none or a list of maps"
    ):
        generator.synthesis(w, noise=torch.zeros(5))
    with pytest.raises(ValueError, match="a generator without noise"):
        Generator(**SMALL, use_noise=False).synthesis(w, noise=maps)


# What GAN training adds


def critic() -> Discriminator:
    return Discriminator(img_channels=1, channels=(8, 8), group_size=1).double()


def test_r1_penalty_is_the_squared_gradient():
    """With group_size 1 a logit depends on one picture alone, so finite differences can be taken by pixel."""
    discriminator, real = critic(), torch.randn(2, 1, 16, 16).double()
    step, total = 1e-3, 0.0
    with torch.no_grad():
        for y in range(16):
            for x in range(16):
                shift = torch.zeros_like(real)
                shift[..., y, x] = step
                total = (
                    total
                    + (
                        (discriminator(real + shift).double() - discriminator(real - shift).double())
                        / (2 * step)
                    ).square()
                )
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


def test_the_average_of_the_weights_has_the_half_life_it_names():
    ema, generator = Generator(**SMALL), Generator(**SMALL)
    start, goal = copy.deepcopy(ema.state_dict()), generator.state_dict()
    for _ in range(10):  # 10 steps of 100 pictures
        stage.update_ema(ema, generator, batch=100, half_life=1000)
    for name, value in ema.state_dict().items():
        size = float(1 + (start[name] - goal[name]).abs().max())
        assert torch.allclose(value, (start[name] + goal[name]) / 2, atol=1e-4 * size), name


def test_samples_repeat_with_their_seed():
    generator = Generator(**SMALL)
    first = stage.sample(generator, 3, seed=1)
    assert torch.equal(first, stage.sample(generator, 3, seed=1))
    assert not torch.equal(first, stage.sample(generator, 3, seed=2))
