"""Eq. 1: an edit against closed forms and a plain loop; its folder; what it refuses."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lwgan.edit import AffineEdit

NUM_WS, W_DIM = 4, 6
CONFIG = {"domain": "toys", "method": "lw"}


def random_edit(**config) -> AffineEdit:
    return AffineEdit(torch.randn(NUM_WS, W_DIM, W_DIM), torch.randn(NUM_WS, W_DIM), {**CONFIG, **config})


def test_alpha_zero_is_the_identity():
    w = torch.randn(5, NUM_WS, W_DIM)
    assert torch.equal(random_edit()(w, 0), w)


def test_a_translation_moves_every_code_by_alpha_times_b():
    w, b = torch.randn(5, NUM_WS, W_DIM), torch.randn(NUM_WS, W_DIM)
    edit = AffineEdit(None, b, CONFIG)
    assert edit.config["kind"] == "translation"
    torch.testing.assert_close(edit(w, -1.5), w - 1.5 * b)
    torch.testing.assert_close(edit.direction(w), b.expand(5, -1, -1))


def test_minus_the_identity_at_alpha_one_gives_zero():
    w = torch.randn(5, NUM_WS, W_DIM)
    edit = AffineEdit(-torch.eye(W_DIM).expand(NUM_WS, -1, -1), torch.zeros(NUM_WS, W_DIM))
    assert torch.equal(edit(w, 1.0), torch.zeros_like(w))


def test_each_layer_has_its_own_affine_map_as_in_a_plain_loop():
    edit, w, alpha = random_edit(), torch.randn(3, NUM_WS, W_DIM, dtype=torch.float64), 0.7
    a, b, codes = edit.weight.double().numpy(), edit.bias.double().numpy(), w.numpy()
    expected = np.empty_like(codes)
    for n in range(3):
        for layer in range(NUM_WS):
            for out in range(W_DIM):
                moved = sum(a[layer, out, i] * codes[n, layer, i] for i in range(W_DIM)) + b[layer, out]
                expected[n, layer, out] = codes[n, layer, out] + alpha * moved
    np.testing.assert_allclose(edit(w, alpha).numpy(), expected, rtol=1e-12)


def test_two_edits_in_a_row_are_the_composed_affine_map():
    first, second, w = random_edit(), random_edit(), torch.randn(3, NUM_WS, W_DIM, dtype=torch.float64)
    one, a1, b1, a2, b2 = torch.eye(W_DIM), first.weight, first.bias, second.weight, second.bias
    expected = torch.einsum("loi,nli->nlo", ((one + 0.5 * a2) @ (one + 2 * a1)).double(), w)
    expected += (torch.einsum("loi,li->lo", one + 0.5 * a2, 2 * b1) + 0.5 * b2).double()
    torch.testing.assert_close(second(first(w, 2.0), 0.5), expected, rtol=1e-5, atol=1e-5)


def test_alpha_may_differ_from_code_to_code():
    edit, w = random_edit(), torch.randn(2, NUM_WS, W_DIM)
    both = edit(w, torch.tensor([0.5, -2.0]))
    torch.testing.assert_close(both, torch.cat([edit(w[:1], 0.5), edit(w[1:], -2.0)]))


def test_gradients_reach_codes_and_parameters():
    edit, w = random_edit(), torch.randn(2, NUM_WS, W_DIM, requires_grad=True)
    edit.weight.requires_grad_(True)
    edit(w, 2.0).sum().backward()
    expected = (
        (torch.eye(W_DIM) + 2 * edit.weight.detach()).sum(1).expand(2, -1, -1)
    )  # d sum_o / d w_i = sum_o (1 + 2 A)_oi
    torch.testing.assert_close(w.grad, expected)
    torch.testing.assert_close(edit.weight.grad, (2 * w.detach().sum(0))[:, None].expand(-1, W_DIM, -1))


def test_half_precision_codes_stay_half_precision():
    w = torch.randn(2, NUM_WS, W_DIM, dtype=torch.bfloat16)
    assert random_edit()(w).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((3, W_DIM), r"shape \(3, 6\).*\[N, 4, 6\].*w\[:, None\]\.expand\(-1, 4, -1\)"),
        ((NUM_WS, W_DIM), r"w\[None\]"),
        ((3, NUM_WS, W_DIM + 1), r"shape \(3, 4, 7\).*\[N, 4, 6\]"),
        ((3, NUM_WS - 1, W_DIM), r"shape \(3, 3, 6\)"),
        ((2, 3, NUM_WS, W_DIM), r"shape \(2, 3, 4, 6\)"),
    ],
)
def test_codes_of_another_shape_are_refused(shape, hint):
    with pytest.raises(ValueError, match=hint):
        random_edit()(torch.zeros(shape))


def test_integer_codes_and_strange_strengths_are_refused():
    edit, w = random_edit(), torch.zeros(2, NUM_WS, W_DIM)
    with pytest.raises(ValueError, match="int64"):
        edit(w.long())
    with pytest.raises(ValueError, match="alpha is nan"):
        edit(w, float("nan"))
    with pytest.raises(ValueError, match=r"alpha has shape \(3,\)"):
        edit(w, torch.ones(3))


@pytest.mark.parametrize(
    ("weight", "bias", "config", "message"),
    [
        (torch.zeros(4, 6, 5), torch.zeros(4, 6), {}, r"\(4, 6, 5\).*\(4, 6, 6\)"),
        (torch.zeros(6, 6), torch.zeros(6), {}, r"bias has shape \(6,\)"),
        (None, torch.zeros(4, 6), {"num_ws": 10}, "num_ws 10, the tensors say 4"),
        (None, torch.zeros(4, 6), {"kind": "affine"}, "kind 'affine', the tensors say 'translation'"),
    ],
)
def test_parts_that_do_not_fit_are_refused(weight, bias, config, message):
    with pytest.raises(ValueError, match=message):
        AffineEdit(weight, bias, config)


@pytest.mark.parametrize("translation", [False, True])
def test_a_folder_gives_back_the_same_edit(tmp_path, translation):
    edit = random_edit(note={"unknown": [1, "key"]})
    if translation:
        edit = AffineEdit(None, edit.bias, CONFIG | {"note": {"unknown": [1, "key"]}})
    edit.save_pretrained(tmp_path / "edit")
    again = AffineEdit.from_pretrained(tmp_path / "edit")
    assert torch.equal(again.bias, edit.bias)
    assert again.weight is None if translation else torch.equal(again.weight, edit.weight)
    assert edit.config.items() <= again.config.items()


def stored(folder) -> dict[str, tuple]:
    return {name: tuple(tensor.shape) for name, tensor in load_file(folder / "model.safetensors").items()}


@pytest.mark.parametrize("layers", [NUM_WS, 1])
def test_a_map_of_low_rank_is_stored_as_its_factors(tmp_path, layers):
    out, into, bias, w = (
        torch.randn(*shape)
        for shape in ((layers, W_DIM, 2), (layers, 2, W_DIM), (NUM_WS, W_DIM), (3, NUM_WS, W_DIM))
    )
    edit, dense = (
        AffineEdit.low_rank(out, into, bias, CONFIG),
        AffineEdit((out @ into).repeat(NUM_WS // layers, 1, 1), bias, CONFIG),
    )
    edit.save_pretrained(tmp_path)
    assert stored(tmp_path) == {
        "out": (layers, W_DIM, 2),
        "into": (layers, 2, W_DIM),
        "bias": (NUM_WS, W_DIM),
    }
    again = AffineEdit.from_pretrained(tmp_path)
    torch.testing.assert_close(again(w, 1.5), dense(w, 1.5))
    again.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        tmp_path / "model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize(
    ("out", "into", "words"),
    [((4, 6, 2), (4, 3, 6), r"\(4, 6, 2\), into \(4, 3, 6\)"), ((6, 2), (2, 6), r"\(6, 2\)"),
     ((3, 6, 2), (3, 2, 6), "3 maps, the bias 4 layers"),
     ((4, 5, 2), (4, 2, 5), r"weight has shape \(4, 5, 5\)")],
)  # fmt: skip
def test_factors_that_do_not_fit_are_refused(out, into, words):
    with pytest.raises(ValueError, match=words):
        AffineEdit.low_rank(torch.zeros(out), torch.zeros(into), torch.zeros(4, 6))


def test_factors_of_a_map_that_was_replaced_are_not_stored(tmp_path):
    edit = AffineEdit.low_rank(
        torch.randn(NUM_WS, W_DIM, 2), torch.randn(NUM_WS, 2, W_DIM), torch.randn(NUM_WS, W_DIM), CONFIG
    )
    edit.weight = torch.randn(NUM_WS, W_DIM, W_DIM)
    edit.save_pretrained(tmp_path)
    assert torch.equal(AffineEdit.from_pretrained(tmp_path).weight, edit.weight)


def test_layers_that_share_a_map_share_it_in_the_file(tmp_path):
    one, bias, w = torch.randn(W_DIM, W_DIM), torch.randn(NUM_WS, W_DIM), torch.randn(3, NUM_WS, W_DIM)
    same, all_but_one = one.repeat(NUM_WS, 1, 1), one.repeat(NUM_WS, 1, 1)
    all_but_one[2, 0, 0] += 1
    for name, weight, layers in (("same", same, 1), ("all but one", all_but_one, NUM_WS)):
        AffineEdit(weight, bias, CONFIG).save_pretrained(tmp_path / name)
        assert stored(tmp_path / name) == {"weight": (layers, W_DIM, W_DIM), "bias": (NUM_WS, W_DIM)}
        again = AffineEdit.from_pretrained(tmp_path / name)
        assert torch.equal(again.weight, weight)
        torch.testing.assert_close(again(w), AffineEdit(weight, bias)(w))
        again.save_pretrained(tmp_path / "again")
        assert stored(tmp_path / "again") == stored(tmp_path / name)


def test_half_precision_storage_rounds_once(tmp_path):
    edit = random_edit(dtype="float16")
    edit.save_pretrained(tmp_path)
    once = AffineEdit.from_pretrained(tmp_path)
    assert torch.equal(once.weight, edit.weight.half().float())
    once.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        tmp_path / "model.safetensors"
    ).read_bytes()
