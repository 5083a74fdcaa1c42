"""EditingPipeline on a stand-in registry: what it loads, what it refuses, and that its parts compute what they say."""

import json
import re
import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from lwgan import AffineEdit, EditingPipeline
from lwgan import files as folders
from lwgan.devices import device_of, share_cores
from lwgan.encoder import hold_half
from lwgan.hub import registry
from lwgan.hub.catalog import Catalog
from lwgan.hub.registry import bundled
from lwgan.images import to_tensor
from lwgan.pipeline import count_label, frame_square
from tests.nets import EDITS, W_DIM, made_for, make_registry, save_edit
from trainers.datasets.mnist import load_digits
from trainers.datasets.multimnist import compose

ONE, TWO, THREE = EDITS


@pytest.fixture(scope="module")
def pictures(request):
    return compose(load_digits("test", request.getfixturevalue("mnist")), 12, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pictures):
    return make_registry(
        tmp_path_factory.mktemp("registry"), samples=pictures.images, numbers=pictures.numbers
    )


@pytest.fixture(scope="module")
def pipe(folder):
    return EditingPipeline.from_pretrained(folder)


@pytest.fixture
def copy(folder, tmp_path):
    """The registry, to be broken."""
    return shutil.copytree(folder, tmp_path / "registry")


def test_the_registry_of_the_environment_is_the_default(folder, monkeypatch):
    monkeypatch.setenv("LWGAN_REGISTRY", str(folder))
    assert list(EditingPipeline.from_pretrained().edits) == list(EDITS)


def test_it_loads_all_of_its_domain(pipe, folder):
    assert list(pipe.edits) == [ONE, TWO, THREE] and pipe.refused == {}
    assert pipe.config["domain"] == "multimnist" and pipe.config["generator"] == {
        "name": "lwgan-multimnist-generator",
        "revision": None,
    }
    assert pipe.describe_edits()[0] == {
        "name": ONE, "attribute": "one-more-digit", "from": "1 digit", "to": "2 digits", "method": "lw", "domain": "multimnist", "alpha": 1.5,
    }  # fmt: skip


def test_half_precision_is_near_and_other_precisions_are_refused(pipe, folder, pictures):
    half = EditingPipeline.from_pretrained(folder, dtype="bfloat16")
    x = to_tensor([Image.fromarray(image) for image in pictures.images[:3]])
    w, exact = half.encode(x), pipe.encode(x)
    assert w.dtype == torch.float32 and 0 < (w - exact).norm() / exact.norm() < 0.02
    found, wanted = (np.stack(one.generate(exact)).astype(float) for one in (half, pipe))
    assert 0 < np.abs(found - wanted).mean() < 2
    with pytest.raises(
        ValueError, match="dtype 'float8' is unknown: choose one of float32, bfloat16, float16"
    ):
        EditingPipeline.from_pretrained(folder, dtype="float8")
    with pytest.raises(
        ValueError,
        match="'float16' is for CUDA: on the device 'cpu' it is slower than float32, choose bfloat16",
    ):
        EditingPipeline.from_pretrained(folder, dtype="float16")


def test_float16_is_nearer_than_bfloat16(pipe, folder, pictures):
    half = EditingPipeline.from_pretrained(folder)
    half.dtype = "float16"  # past the refusal on CPUs, which compute it, slowly
    hold_half(half.encoder, torch.float16)
    x = to_tensor([Image.fromarray(image) for image in pictures.images[:3]])
    w, exact = half.encode(x), pipe.encode(x)
    assert w.dtype == torch.float32 and 0 < (w - exact).norm() / exact.norm() < 0.003
    found, wanted = (np.stack(one.generate(exact)).astype(float) for one in (half, pipe))
    assert 0 < np.abs(found - wanted).mean() < 0.3


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_where_there_is_none_is_refused(folder):
    with pytest.raises(ValueError, match="'cuda': this machine has no CUDA device"):
        EditingPipeline.from_pretrained(folder, device="cuda")
    assert EditingPipeline.from_pretrained(folder, device="auto").device.type == "cpu"


@pytest.mark.parametrize(
    "name", ["gpu", "", "CUDA", "cuda:", "cuda:one", "cuda:00", "cpu:0", "cuda:-1", "cuda:0\n", "mps"]
)
def test_a_device_of_another_name_is_refused_with_the_names_there_are(name):
    with pytest.raises(
        ValueError, match=re.escape(f"device {name!r} is unknown: choose auto, cpu, cuda or cuda:N")
    ):
        device_of(name)


@pytest.mark.parametrize(
    ("there", "name", "found"),
    [
        (0, "auto", "cpu"), (0, "cpu", "cpu"), (2, "auto", "cuda"), (2, "cpu", "cpu"), (2, "cuda", "cuda"), (2, "cuda:1", "cuda:1"),
        (0, "cuda:0", "'cuda:0': this machine has no CUDA device$"), (1, "cuda:1", "'cuda:1': this machine has 1 CUDA device$"),
        (2, "cuda:2", "'cuda:2': this machine has 2 CUDA devices$"),
    ],
)  # fmt: skip
def test_a_device_is_one_that_the_machine_has(monkeypatch, there, name, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    if "this machine" in found:
        with pytest.raises(ValueError, match=found):
            device_of(name)
    else:
        assert device_of(name) == torch.device(found)


def test_encode_is_the_encoder_on_framed_pictures(pipe, pictures):
    originals = [Image.fromarray(image) for image in pictures.images[:3]]
    x = to_tensor(originals)
    expected = pipe.encoder(x)
    drawn = [picture.resize((320, 320), Image.Resampling.NEAREST).convert("RGB") for picture in originals]
    for given in (originals, drawn, x):
        torch.testing.assert_close(pipe.encode(given), expected)
    torch.testing.assert_close(pipe.encode(originals[1]), expected[1:2])


def test_edits_are_applied_one_after_another_by_name(pipe):
    w = torch.randn(2, 10, W_DIM)
    expected = w
    for name, alpha in ((ONE, 0.5), (THREE, -1.0)):
        weight, bias = pipe.edits[name].weight, pipe.edits[name].bias
        expected = expected + alpha * torch.stack(
            [expected[:, layer] @ weight[layer].T + bias[layer] for layer in range(10)], 1
        )
    torch.testing.assert_close(pipe.edit(w, {THREE: -1.0, ONE: 0.5}), expected)
    assert torch.equal(pipe.edit(w, {}), w) and torch.equal(pipe.edit(w, {TWO: 0}), w)


def test_generate_is_the_synthesis_in_bytes(pipe):
    w = torch.randn(2, 10, W_DIM)
    expected = ((pipe.generator.synthesis(w)[:, 0] + 1) * 127.5).round().clamp(0, 255)
    for picture, values in zip(pipe.generate(w), expected, strict=True):
        assert picture.mode == "L" and np.array_equal(np.asarray(picture), values.numpy().astype(np.uint8))


def test_the_judge_reads_digits_in_order(pipe, pictures):
    originals = [Image.fromarray(image) for image in pictures.images[:4]]
    reading = pipe.judge.read(to_tensor(originals))
    for seen, count, row in zip(
        pipe.read(originals), reading.count.tolist(), reading.numbers.tolist(), strict=True
    ):
        assert seen.count == count
        assert (
            list(seen.digits) == sorted(seen.digits)
            and [seen.digits.count(digit) for digit in range(10)] == row
        )


def test_samples_are_the_registrys_pictures_by_seed(pipe, pictures):
    for seed in (0, 5, 17):
        assert np.array_equal(np.asarray(pipe.sample(seed)), pictures.images[seed % 12])
    for label, count in (("1 digit", 1), ("3 digits", 3)):
        assert pictures.count[pipe.seed_of(label)] == count
    assert pipe.seed_of("no such label") == pipe.seed_of(None) == 0


def test_without_samples_and_judge_the_generator_draws_and_nobody_reads(tmp_path):
    pipe = EditingPipeline.from_pretrained(make_registry(tmp_path, judge=False))
    first, again, other = (np.asarray(pipe.sample(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    with pytest.raises(ValueError, match="no judge"):
        pipe.read([Image.new("L", (64, 64))])


def test_a_square_of_the_right_size_passes_unchanged_and_of_others_the_middle_is_taken():
    square = Image.fromarray(np.random.randint(0, 256, (64, 64, 3), np.uint8))
    assert np.array_equal(np.asarray(frame_square(square, 64)), np.asarray(square))
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    assert (
        np.asarray(frame_square(wide, 64))[..., 2].min() > 220
    )  # blue; at the edge resampling sees a little of the rest


def test_it_names_the_weights_it_uses(pipe, folder):
    kinds = {"generator": "generator", "encoder": "encoder", "judge": "judge", "pictures": "samples"}
    assert pipe.revisions == {
        kind: made_for(folder / f"lwgan-multimnist-{name}") for kind, name in kinds.items()
    }


def test_a_classifier_of_codes_of_other_nets_is_refused(tmp_path):
    folder = make_registry(tmp_path, calibrator=True)
    name = "lwgan-multimnist-latent-classifier"
    assert EditingPipeline.from_pretrained(folder).latent_classifier is not None
    config = json.loads((folder / name / "config.json").read_text())
    config["base_revision"]["generator"] = "0" * 64
    (folder / name / "config.json").write_text(json.dumps(config))
    pipe = EditingPipeline.from_pretrained(folder)
    assert pipe.latent_classifier is None and "was made for the generator" in pipe.refused[name]


def test_a_folder_is_read_once(folder, monkeypatch):
    read = []
    monkeypatch.setattr(
        "lwgan.files._weights",
        lambda folder, *rest, weights=folders._weights: read.append(folder.name) or weights(folder, *rest),
    )
    EditingPipeline.from_pretrained(folder)
    assert sorted(read) == sorted(path.name for path in folder.iterdir())


# What is refused


@pytest.mark.parametrize(
    ("sides", "set_to"), [((64,), [1]), ((64, 128), [1]), ((64, 256), []), ((1024,), [])]
)
def test_only_small_networks_share_the_cores(monkeypatch, sides, set_to):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    share_cores([SimpleNamespace(generator=SimpleNamespace(resolution=side)) for side in sides])
    assert asked == set_to


@pytest.mark.parametrize("alpha", [float("nan"), float("inf"), 40.5, -41, 10**400, "1", None, True, [1]])
def test_an_alpha_that_will_not_do_is_named(pipe, alpha):
    with pytest.raises(ValueError, match=rf"'{ONE}': alpha is .*, expected a number from -40 to 40"):
        pipe.edit(torch.zeros(1, 10, W_DIM), {ONE: alpha})


def test_an_unknown_edit_is_answered_with_the_nearest(pipe):
    with pytest.raises(ValueError, match=f"'lwgan-multimnist-1to2' is unknown: did you mean '{ONE}'"):
        pipe.edit(torch.zeros(1, 10, W_DIM), {"lwgan-multimnist-1to2": 1})
    with pytest.raises(
        ValueError, match=rf"'no-such' is unknown: there are {len(pipe.edits)}, such as {ONE}"
    ):
        pipe.edit(torch.zeros(1, 10, W_DIM), {"no-such": 1})


@pytest.mark.parametrize("alphas", [[ONE], "text", {1: 1.0}, None])
def test_edits_that_are_no_names_with_alphas_are_refused(pipe, alphas):
    with pytest.raises(ValueError, match="edit"):
        pipe.edit(torch.zeros(1, 10, W_DIM), alphas)


@pytest.mark.parametrize("role", ["generator", "encoder"])
@pytest.mark.parametrize("recorded", ["0" * 64, None])
def test_an_edit_made_for_another_base_is_refused_with_both_hashes(copy, role, recorded):
    right = {net: made_for(copy / f"lwgan-multimnist-{net}") for net in ("generator", "encoder")}
    save_edit(copy / TWO, {**right, role: recorded}, 2, 3)
    pipe = EditingPipeline.from_pretrained(copy)
    assert list(pipe.edits) == [ONE, THREE]
    assert (
        str(recorded) in pipe.refused[TWO] and right[role] in pipe.refused[TWO] and role in pipe.refused[TWO]
    )
    with pytest.raises(ValueError, match=f"'{TWO}' cannot be used: .*{right[role]}"):
        pipe.edit(torch.zeros(1, 10, W_DIM), {TWO: 1.0})
    with pytest.raises(ValueError, match=right[role]):
        pipe.add_edit(TWO, AffineEdit.from_pretrained(copy / TWO))


def test_a_damaged_edit_is_left_out_with_its_reason(copy):
    weights = copy / TWO / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    pipe = EditingPipeline.from_pretrained(copy)
    assert list(pipe.edits) == [ONE, THREE] and "sha256" in pipe.refused[TWO]


@pytest.mark.parametrize("name", [TWO, "lwgan-multimnist-judge", "lwgan-multimnist-samples"])
def test_visitors_are_told_names_and_no_paths(copy, name):
    weights = copy / name / "model.safetensors"
    size = weights.stat().st_size
    weights.write_bytes(weights.read_bytes()[:-1])
    catalog = Catalog(copy)
    wanted = f"{name}: model.safetensors has {size - 1} bytes, config.json says {size}"
    assert (
        catalog.refused
        == {name: wanted}
        == {entry.name: entry.refused for entry in registry.models(copy) if entry.refused}
    )
    with pytest.raises(ValueError, match="cannot be used|unknown") as caught:
        catalog.pipes["multimnist"].edit(torch.zeros(1, 10, W_DIM), {name: 1.0})
    assert wanted in str(caught.value) and str(copy) not in str(caught.value)


def test_visitors_are_told_names_of_nets_too(copy, faces_registry):
    for folder in faces_registry.iterdir():
        shutil.copytree(folder, copy / folder.name)
    net = copy / "lwgan-multimnist-encoder" / "model.safetensors"
    net.unlink()
    assert Catalog(copy).refused["multimnist"] == "lwgan-multimnist-encoder: model.safetensors is missing"


def test_an_error_of_the_system_does_not_tell_paths_either(copy):
    entry = next(entry for entry in registry.models(copy) if entry.name == TWO)
    here, there = (
        PermissionError(13, "Permission denied", f"{place}/config.json")
        for place in (copy / TWO, "/some/cache")
    )
    assert registry.told(here, [entry]) == f"[Errno 13] Permission denied: '{TWO}/config.json'"
    assert registry.told(there, [entry]) == "[Errno 13] Permission denied: 'config.json'"


IMAGES, NUMBERS = torch.zeros(2, 64, 64, dtype=torch.uint8), torch.zeros(2, 10, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"pictures": IMAGES}, "holds ['pictures'], kind 'pictures' has ['images'] or ['images', 'numbers']"),
        ({"images": torch.zeros(2, 3, 5, 64, 64, dtype=torch.uint8)}, "images has shape (2, 3, 5, 64, 64), the encoder's resolution says [N, 64, 64]"),
        ({"images": IMAGES[:, :32]}, "images has shape (2, 32, 64), the encoder's resolution says [N, 64, 64] or [N, 3, 64, 64]"),
        ({"images": IMAGES[:0]}, "images has shape (0, 64, 64), the"),
        ({"images": IMAGES.float()}, "images is float32, expected uint8"),
        ({"images": IMAGES, "numbers": NUMBERS[:, :9]}, "numbers has shape (2, 9), 2 images say (2, 10)"),
        ({"images": IMAGES, "numbers": NUMBERS[:1]}, "numbers has shape (1, 10), 2 images say (2, 10)"),
        ({"images": IMAGES, "numbers": NUMBERS.float()}, "numbers is float32, expected uint8, int32 or int64"),
    ],
)  # fmt: skip
def test_pictures_that_are_none_are_left_out_and_the_rest_serves(copy, tensors, reason):
    name = "lwgan-multimnist-samples"
    registry.save_folder(copy / name, {"kind": "pictures", "domain": "multimnist"}, tensors)
    pipe = EditingPipeline.from_pretrained(copy)
    assert pipe.refused[name].startswith(f"{name}: model.safetensors") and reason in pipe.refused[name]
    assert pipe.images is None and pipe.numbers is None and "pictures" not in pipe.revisions
    assert pipe.sample(3).size == (64, 64) and pipe.cloud.limit > 0


def test_pictures_in_colours_are_taken(copy):
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    registry.save_folder(
        copy / "lwgan-multimnist-samples", {"kind": "pictures", "domain": "multimnist"}, {"images": images}
    )
    assert EditingPipeline.from_pretrained(copy).sample(1).size == (64, 64)


def test_what_the_cache_serves_as_the_hub_is_away_says_so(hub, folder, monkeypatch):
    for path in folder.iterdir():
        card = b"---\ntags:\n- lwgan\n---\n"
        hub.put(
            f"lab/{path.name}",
            {"README.md": card}
            | {name: (path / name).read_bytes() for name in ("config.json", "model.safetensors")},
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fresh = EditingPipeline.from_pretrained("lab")
    assert not any("stale" in held for held in fresh.config.values()) and not any(
        entry.stale for entry in fresh.sources.values()
    )
    entries = registry.models("lab")  # as the Hub answers; away only afterwards
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.warns(
        UserWarning, match="the Hub does not answer, commit [0-9a-f]{40} from the cache serves"
    ) as said:
        pipes = [EditingPipeline.from_entries(entries, "multimnist") for _ in range(2)]
    ours = [
        str(one.message).split(":")[0] for one in said if one.category is UserWarning
    ]  # the collector may report other tests' leftovers
    assert sorted(ours) == sorted(entry.source for entry in entries), "once for each"
    for pipe in pipes:
        assert (
            pipe.config["generator"]["stale"]
            and pipe.config["encoder"]["stale"]
            and pipe.config["judge"]["stale"]
        )
        assert [entry.stale for entry in pipe.sources.values()] == [True] * 3 and "stale" not in pipe.edits[
            ONE
        ].config
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    assert "stale" not in EditingPipeline.from_entries(entries, "multimnist").config["generator"]


def test_without_a_judge_that_fits_the_rest_still_serves(copy):
    name = "lwgan-multimnist-judge"
    config = copy / name / "config.json"
    config.write_text(config.read_text().replace('"features": 16', '"features": 17'))
    pipe = EditingPipeline.from_pretrained(copy)
    assert (
        pipe.judge is None
        and "does not fit DigitJudge" in pipe.refused[name]
        and list(pipe.edits) == list(EDITS)
    )


@pytest.mark.parametrize("kind", ["generator", "encoder"])
def test_a_registry_without_nets_says_what_it_lacks(copy, kind):
    shutil.rmtree(copy / f"lwgan-multimnist-{kind}")
    with pytest.raises(ValueError, match=f"no {kind} for the domain 'multimnist'"):
        EditingPipeline.from_pretrained(copy)


def test_another_domain_is_not_mixed_in(pipe, copy):
    config = copy / TWO / "config.json"
    config.write_text(config.read_text().replace('"domain": "multimnist"', '"domain": "faces"'))
    assert list(EditingPipeline.from_pretrained(copy).edits) == [ONE, THREE]
    with pytest.raises(ValueError, match="no generator for the domain 'faces'"):
        EditingPipeline.from_pretrained(copy, domain="faces")


def test_an_edit_for_codes_of_another_shape_is_refused(pipe):
    with pytest.raises(ValueError, match=rf"codes of \(10, 8\), the generator takes \(10, {W_DIM}\)"):
        pipe.add_edit("odd", AffineEdit(None, torch.zeros(10, 8), {}))


# The embedded default


@pytest.mark.skipif(
    not (bundled() / "lwgan-multimnist-generator").exists(), reason="the embedded nets are not trained yet"
)
def test_the_embedded_edits_add_a_digit_to_real_pictures():
    """On the bundled pictures of test digits, at the strength each edit recommends, as the bundled judge counts."""
    pipe = EditingPipeline.from_pretrained("bundled")
    ours = {name: edit for name, edit in pipe.edits.items() if edit.config["method"] == "lw"}
    assert list(ours) == list(EDITS) and pipe.refused == {} and pipe.judge is not None
    counts = pipe.numbers.sum(1)
    for n, (name, edit) in enumerate(ours.items(), 1):
        originals = [Image.fromarray(image.numpy()) for image in pipe.images[counts == n]]
        w = pipe.encode(originals)
        before = [seen.count for seen in pipe.read(pipe.generate(w))]
        after = [seen.count for seen in pipe.read(pipe.generate(pipe.edit(w, {name: edit.config["alpha"]})))]
        assert (
            len(originals) >= 20
            and np.mean(np.array(before) == n) > 0.85
            and np.mean(np.array(after) == n + 1) > 0.75
        )


def test_without_pictures_to_try_the_judge_finds_samples_of_the_generator_that_edits_start_from():
    pipe = EditingPipeline.from_pretrained("bundled", "multimnist")
    pipe.images = pipe.numbers = None
    seeds = {count: pipe.seed_of(count_label(count)) for count in (1, 2, 3)}
    assert {count: pipe.read([pipe.sample(seed)])[0].count for count, seed in seeds.items()} == {
        1: 1,
        2: 2,
        3: 3,
    }
    assert pipe.seed_of("9 digits") == 0
