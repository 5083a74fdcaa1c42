"""EditingPipeline on a stand-in registry: what it loads, what it refuses, and that its parts compute what
they say."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from lwgan import AffineEdit, EditingPipeline, recipe
from lwgan import files as folders
from lwgan.domain import change_of, plain_domain
from lwgan.encoder import hold_half
from lwgan.hub import registry
from lwgan.hub.catalog import Catalog
from lwgan.hub.registry import bundled
from lwgan.images import to_tensor
from lwgan.judges import AttributeJudge
from tests.nets import EDITS, W_DIM, made_for, make_registry, save_edit, toy_encoder, toy_generator
from tests.pictures import draw
from trainers.datasets.mnist import load_digits
from trainers.datasets.multimnist import DOMAIN, compose, labels_of

ONE, TWO, THREE = EDITS


@pytest.fixture(scope="module")
def pictures(request):
    return compose(load_digits("test", request.getfixturevalue("mnist")), 12, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pictures):
    labels = labels_of(pictures.numbers)
    return make_registry(tmp_path_factory.mktemp("registry"), samples=pictures.images, labels=labels)


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
    assert pipe.domain == DOMAIN and pipe.changes == EDITS
    assert pipe.config["generator"] == {"name": "lwgan-multimnist-generator", "revision": None}
    assert pipe.describe_edits()[0] == {
        "name": ONE, "change": "1to2", "from": "1 digit", "to": "2 digits",
        "method": "lw", "domain": "multimnist", "alpha": 1.5,
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


def test_the_judge_reads_each_label_by_name(pipe, pictures):
    originals = [Image.fromarray(image) for image in pictures.images[:4]]
    expected = pipe.judge(to_tensor(originals)).sigmoid()
    for seen, row in zip(pipe.read(originals), expected, strict=True):
        assert list(seen) == list(DOMAIN.attributes) and list(seen.values()) == pytest.approx(row.tolist())


def test_samples_are_the_registrys_pictures_by_seed(pipe, pictures):
    for seed in (0, 5, 17):
        assert np.array_equal(np.asarray(pipe.sample(seed)), pictures.images[seed % 12])
    for change, count in zip(DOMAIN.changes, (1, 2, 3), strict=True):
        assert pipe.seeds_of(change) == np.flatnonzero(pictures.count == count).tolist()
    assert pipe.seeds_of(change_of("no such label")) == []


def test_an_unknown_label_belongs_to_neither_side(tmp_path, pictures):
    labels = labels_of(pictures.numbers)
    labels[:, DOMAIN.attributes.index("2-or-more")] = 255
    pipe = EditingPipeline.from_pretrained(make_registry(tmp_path, samples=pictures.images, labels=labels))
    assert pipe.seeds_of(DOMAIN.change("1to2")) == pipe.seeds_of(DOMAIN.change("2to3")) == []
    assert pipe.seeds_of(DOMAIN.change("3to4")) == np.flatnonzero(pictures.count == 3).tolist()


def test_labels_that_are_not_those_of_the_domain_are_refused(tmp_path, pictures):
    labels = labels_of(pictures.numbers)[:, :10].copy()
    pipe = EditingPipeline.from_pretrained(make_registry(tmp_path, samples=pictures.images, labels=labels))
    assert pipe.images is None
    refused = {
        "lwgan-multimnist-samples": "'lwgan-multimnist-samples': labels has shape (12, 10), expected (12, 44)"
    }
    assert pipe.refused == refused


def test_without_samples_and_judge_the_generator_draws_and_nobody_reads(tmp_path):
    pipe = EditingPipeline.from_pretrained(make_registry(tmp_path, judge=False))
    first, again, other = (np.asarray(pipe.sample(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert pipe.labels is None and pipe.seeds_of(DOMAIN.changes[0]) == []
    with pytest.raises(ValueError, match="no judge"):
        pipe.read([Image.new("L", (64, 64))])


def test_a_framed_picture_passes_unchanged(pipe):
    drawing = draw([("7", 60, 40, 160)], 14)
    framed = pipe.frame(drawing)
    assert (
        framed.size == (64, 64)
        and framed.mode == "L"
        and framed.tobytes() != drawing.resize((64, 64)).tobytes()
    )
    half = framed.copy()
    half.paste(255, (0, 0, 32, 64))  # no picture of digits any more, but marked as framed
    for picture in (framed, half):
        assert pipe.frame(picture).tobytes() == picture.tobytes()
    crop = half.crop((0, 0, 30, 30))
    with pytest.raises(ValueError, match="blank"):
        pipe.frame(crop)


def test_nets_built_in_python_serve_without_a_registry():
    """Their Domain is a plain one: square pictures, the labels of the judge."""
    judge = AttributeJudge(names=("Bold", "Italic"), widths=(8, 8, 8), features=16)
    edit = AffineEdit(None, torch.randn(10, W_DIM))
    pipe = EditingPipeline(toy_generator(), toy_encoder(), {"mine": edit}, judge=judge)
    assert pipe.domain == plain_domain("pictures", ("Bold", "Italic"))
    assert pipe.changes == {"mine": None} and pipe.scales["mine"].unit == 1.0 and pipe.revisions == {}
    w = pipe.encode(Image.effect_noise((300, 200), 50))
    torch.testing.assert_close(pipe.edit(w, {"mine": 2.0}), w + 2 * edit.bias)
    assert pipe.generate(w)[0].mode == "RGB" and list(pipe.read(pipe.generate(w))[0]) == ["Bold", "Italic"]
    made = recipe.make(pipe, recipe.of_seed(pipe, 3), {"mine": 2.0})
    assert recipe.alphas_of(pipe, recipe.from_json(recipe.to_json(made))) == {"mine": 2.0}


def test_an_edit_whose_change_is_invalid_is_refused(copy):
    config = copy / TWO / "config.json"
    config.write_text(config.read_text().replace('"2-or-more": true', '"2-or-more": "yes"'))
    pipe = EditingPipeline.from_pretrained(copy)
    assert list(pipe.edits) == [ONE, THREE] and "2-or-more" in pipe.refused[TWO]


def test_a_generator_without_a_domain_serves_with_a_plain_one(copy):
    path = copy / "lwgan-multimnist-generator" / "config.json"
    config = json.loads(path.read_text())
    del config["domain_spec"]
    path.write_text(json.dumps(config))
    pipe = EditingPipeline.from_pretrained(copy)
    assert pipe.domain == plain_domain("multimnist", DOMAIN.attributes) and list(pipe.edits) == [
        ONE,
        TWO,
        THREE,
    ]


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
    save_edit(copy / TWO, {**right, role: recorded}, EDITS[TWO])
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
    assert registry.public_message(here, [entry]) == f"[Errno 13] Permission denied: '{TWO}/config.json'"
    assert registry.public_message(there, [entry]) == "[Errno 13] Permission denied: 'config.json'"


@pytest.mark.parametrize("shape", [(2, 32, 64), (2, 3, 5, 64, 64)])
def test_pictures_that_are_none_are_left_out_and_the_rest_serves(copy, shape):
    name = "lwgan-multimnist-samples"
    config = {"kind": "pictures", "domain": "multimnist"}
    registry.save_folder(copy / name, config, {"images": torch.zeros(shape, dtype=torch.uint8)})
    pipe = EditingPipeline.from_pretrained(copy)
    assert (
        pipe.refused[name].startswith(f"{name}: model.safetensors: images")
        and str(shape) in pipe.refused[name]
    )
    assert pipe.images is None and "pictures" not in pipe.revisions
    assert pipe.sample(3).size == (64, 64) and pipe.cloud.limit > 0 and len(pipe.labels) == 16


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
        UserWarning, match="the Hub is away .*: using commit [0-9a-f]{40} from the cache"
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
        and "does not fit a judge" in pipe.refused[name]
        and list(pipe.edits) == list(EDITS)
    )


@pytest.mark.parametrize("kind", ["generator", "encoder"])
def test_a_registry_without_nets_says_what_it_lacks(copy, kind):
    shutil.rmtree(copy / f"lwgan-multimnist-{kind}")
    with pytest.raises(ValueError, match=f"the registry has no {kind}"):
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
    """On the bundled pictures of test digits, at the strength each edit recommends, as the bundled judge
    counts."""
    pipe = EditingPipeline.from_pretrained("bundled")
    ours = {name: pipe.edits[name] for name in EDITS}
    assert pipe.refused == {} and pipe.judge is not None
    for name, edit in ours.items():
        change = pipe.changes[name]
        w = pipe.encode([pipe.sample(seed) for seed in pipe.seeds_of(change)])
        before, after = (
            pipe.read(pipe.generate(w)),
            pipe.read(pipe.generate(pipe.edit(w, {name: edit.config["alpha"]}))),
        )
        meets = lambda seen, side: all((seen[label] > 0.5) == value for label, value in side.items())
        assert len(w) >= 20
        assert np.mean([meets(seen, change.source) for seen in before]) > 0.85
        assert np.mean([meets(seen, change.target) for seen in after]) > 0.75


def test_without_sample_pictures_the_judge_finds_source_cases_among_generated_ones():
    pipe = EditingPipeline.from_pretrained("bundled", "multimnist")
    pipe.images = None
    for change in pipe.domain.changes:
        seen = pipe.read([pipe.sample(seed) for seed in pipe.seeds_of(change)])
        assert seen and all(
            (one[label] > 0.5) == value for one in seen for label, value in change.source.items()
        )
