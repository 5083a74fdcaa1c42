"""The encoders against pSp and e4e themselves; the small one against its earlier outputs."""

import json

import numpy as np
import pytest
import torch

from lwgan.encoder import Encoder, hold_half
from lwgan.hub.registry import bundled
from tests.parity import FOLDER, arrays_of, drawn, encoder_weight, error, picture, psp_weights
from trainers.convert.layouts.psp import name_of

NARROW = {
    "resolution": 64,
    "img_channels": 3,
    "num_ws": 10,
    "w_dim": 128,
    "backbone": "ir_se50",
    "widths": (16, 32, 64, 128),
    "pyramid": 128,
    "head": 128,
}
SMALL = {
    "resolution": 64,
    "img_channels": 1,
    "num_ws": 10,
    "w_dim": 16,
    "widths": (8, 8, 16, 16),
    "pyramid": 16,
    "head": 8,
}


def with_weights(weights: dict, w_avg=None, **sizes) -> Encoder:
    """An encoder with the weights of one in pSp's layout."""
    with torch.device("meta"):
        encoder = Encoder(**sizes).requires_grad_(False)
    state = {ours: weights[name_of(ours)] for ours in encoder.state_dict() if ours != "w_avg"}
    assert len(state) == len(weights)
    encoder.load_state_dict(
        state | {"w_avg": torch.zeros(sizes["w_dim"]) if w_avg is None else w_avg}, assign=True
    )
    return encoder.eval()


def narrow(space: str = "W+", spoil=None) -> tuple[Encoder, dict]:
    weights = psp_weights(10, shrink=4)
    if spoil:
        spoil(weights)
    mean = torch.from_numpy(0.3 * drawn("latent_avg", (128,)))
    return with_weights(weights, mean, **NARROW, space=space), arrays_of(
        f"{'psp' if space == 'W+' else 'e4e'}_small_encode"
    )


@pytest.mark.parametrize("space", ["W+", "W+ deltas"])
def test_narrow_encoders_are_psps_and_e4es(space):
    encoder, held = narrow(space)
    assert error(encoder(held["x"]), held["latents"]) < 1e-5


def test_weights_held_in_half_are_what_autocast_makes_of_them():
    encoder, held = narrow()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        wanted, found = encoder(held["x"]), hold_half(encoder)(held["x"])
    assert torch.equal(found, wanted) and encoder.stem[0].weight.dtype == torch.bfloat16
    assert 1e-4 < error(found, held["latents"]) < 0.02


FULL = {"img_channels": 3, "num_ws": 18, "w_dim": 512, "backbone": "ir_se50"}


@pytest.fixture(scope="module")
def full_weights() -> dict:
    """267 M numbers, 1.07 GB."""
    return psp_weights()


def test_psps_encoder_at_full_size(full_weights):
    held = arrays_of("psp_enc_full")
    encoder = with_weights(full_weights, **FULL, resolution=256)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == pytest.approx(267.1e6, rel=1e-3)
    assert error(encoder(picture(1, 256)), held["codes_256"]) < 1e-5
    assert error(with_weights(full_weights, **FULL, resolution=64)(held["x_64"]), held["codes_64"]) < 1e-5


def test_e4es_encoder_at_full_size(full_weights):
    held, pictures = arrays_of("e4e_enc_full"), arrays_of("psp_enc_full")["x_64"]
    encoder = with_weights(full_weights, **FULL, resolution=64, space="W+ deltas")
    assert error(encoder(pictures), held["codes_64"]) < 1e-5


def test_names_and_shapes_are_psps():
    shapes = json.loads((FOLDER / "psp_enc_full.json").read_text())
    with torch.device("meta"):
        encoder = Encoder(resolution=256, img_channels=3, num_ws=18, w_dim=512, backbone="ir_se50")
    assert {
        name_of(ours): list(value.shape) for ours, value in encoder.state_dict().items() if ours != "w_avg"
    } == shapes


@pytest.mark.parametrize("num_ws", [12, 14, 16, 18])
def test_there_is_a_head_for_each_style(num_ws):
    with torch.device("meta"):
        encoder = Encoder(resolution=256, img_channels=3, num_ws=num_ws, w_dim=512, backbone="ir_se50")
    assert [len(head.convs) for head in encoder.heads] == [4] * 3 + [5] * 4 + [6] * (num_ws - 7)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("body.3.res_layer.2.weight", lambda value: value * 0),  # PReLU -> ReLU
        ("body.10.res_layer.5.fc2.weight", lambda value: value * 0),  # no squeeze and excitation
        ("body.5.res_layer.0.running_mean", lambda value: value * 0),
        ("body.3.shortcut_layer.0.weight", lambda value: value.flip(0)),
        ("latlayer2.bias", lambda value: value * 0),
        ("styles.8.convs.2.weight", lambda value: value.flip(2, 3)),
        ("styles.0.linear.bias", lambda value: value * 0),
    ],
)
def test_a_planted_error_shows_in_the_codes(name, change):
    encoder, held = narrow(spoil=lambda weights: weights.update({name: change(weights[name])}))
    assert error(encoder(held["x"]), held["latents"]) > 1e-3


def test_deltas_are_added_to_the_first_code():
    """e4e from pSp's codes: both nets have the same weights, so that one can be told from the other."""
    codes, deltas = arrays_of("psp_small_encode")["latents"], narrow("W+ deltas")[0]
    expected = torch.cat([codes[:, :1], codes[:, :1] + codes[:, 1:] - deltas.w_avg], 1)
    assert error(deltas(arrays_of("psp_small_encode")["x"]), expected) < 1e-5


@pytest.mark.parametrize(("space", "kept"), [("W+", "wplus"), ("W", "w")])
def test_the_small_encoder_is_what_it_was(space, kept):
    encoder = Encoder(**SMALL, space=space)
    scaled = {
        name: drawn(name, value.shape) / (np.prod(value.shape[1:]) ** 0.5 / 1.5 if value.ndim > 1 else 1)
        for name, value in encoder.state_dict().items()
    }
    encoder.load_state_dict(
        {name: torch.from_numpy(value.astype(np.float32)) for name, value in scaled.items()}
    )
    with torch.no_grad():
        assert (
            error(encoder(torch.from_numpy(drawn("image", (2, 1, 64, 64)))), arrays_of("small_encoder")[kept])
            < 1e-5
        )


def test_the_bundled_encoder_loads_without_naming_a_backbone():
    encoder = Encoder.from_pretrained(bundled() / "lwgan-multimnist-encoder")
    assert encoder.config["backbone"] == "small"
    assert encoder(torch.zeros(1, *encoder.shape)).shape == (
        1,
        encoder.config["num_ws"],
        encoder.config["w_dim"],
    )


def test_a_config_makes_the_same_encoder_again():
    for sizes in (SMALL, NARROW):
        encoder = Encoder(**sizes)
        assert Encoder(**encoder.config).config == encoder.config


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (SMALL | {"space": "Z"}, r"space 'Z' is unknown: choose one of W\+, W, W\+ deltas"),
        (SMALL | {"backbone": "resnet"}, "backbone 'resnet' is unknown: choose one of small, ir_se50"),
        (SMALL | {"widths": (8, 8)}, r"widths gives 2 levels \(H/2..4 px\), which fit resolution 16, not 64"),
        (SMALL | {"widths": (8, 8), "resolution": 16}, "at least 3 are needed"),
        (SMALL | {"resolution": 48}, "widths gives 4 levels .*, which fit resolution 64, not 48"),
        (NARROW | {"widths": (8, 8)}, "widths gives 2 levels, ir_se50 has 4"),
        (NARROW | {"pyramid": 64}, "pyramid is 64, the backbone ir_se50 needs its last width, 128"),
        (NARROW | {"resolution": 512}, "512: the backbone ir_se50 takes multiples of 16 up to 256"),
        (NARROW | {"resolution": 100}, "resolution 100: the backbone"),
    ],
)
def test_impossible_encoders_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        Encoder(**sizes)


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"pictures have shape \(1, 3, 32, 32\), expected \[N, 3, 64, 64\]"):
        Encoder(**NARROW)(torch.zeros(1, 3, 32, 32))


def test_the_weights_drawn_for_the_references_are_told_apart_by_kind():
    """PReLU and normalisation have weights of one shape: the recipe goes by what stands beside them."""
    names = ["a.0.weight", "a.0.bias", "a.1.weight"]
    norm, prelu = (encoder_weight(name, (1000,), names).mean() for name in ("a.0.weight", "a.1.weight"))
    assert norm == pytest.approx(1, abs=0.05) and prelu == pytest.approx(0.25, abs=0.05)
