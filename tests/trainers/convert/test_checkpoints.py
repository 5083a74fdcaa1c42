"""Converted checkpoints, written by tests.foreign, compute what their own code does; bad ones are refused."""

import argparse
import copy
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from lwgan.domain import Domain, domain_from_json
from lwgan.encoder import Encoder
from lwgan.frames import FRAMES
from lwgan.generator import Generator
from lwgan.hub import registry
from lwgan.hub.registry import load_model, models
from lwgan.pipeline import EditingPipeline
from tests.foreign import (
    EasyDict,
    Network,
    Persistent,
    dump,
    nvidia,
    nvidia_file,
    nvidia_named,
    psp_file,
    tensorflow,
    tensorflow_file,
    torch_file,
)
from tests.parity import FOLDER, arrays_of, drawn, error, psp_weights, renamed, rosinality_weights
from trainers import publish
from trainers.__main__ import main
from trainers.convert import Checkpoint, convert
from trainers.convert.layouts.rosinality import name_of


@pytest.fixture(scope="module")
def weights() -> dict:
    return rosinality_weights("g16s")


@pytest.fixture(scope="module")
def held() -> dict:
    return arrays_of("g16s")


NARROW = {"shrink": 8, "w_dim": 128}  # where no number of an encoder matters
TEXTS = {
    "domain": "cars",
    "licence": "other\nNo sale.",
    "about": "Photographs of cars.",
    "limits": "Cars alone.",
}


def options(source, target, **more) -> Checkpoint:
    return Checkpoint(source, target, **TEXTS | more)


def converted(source, target, **more) -> Generator:
    (folder,) = convert(options(source, target, **more))
    return Generator.from_pretrained(folder)


def computes_the_reference(generator, held) -> None:
    assert error(generator(held["z"]), held["img_z"]) < 1e-5
    assert error(generator(held["z"], truncation_psi=0.7), held["img_z_trunc07"]) < 1e-5
    assert error(generator.synthesis(held["wplus"]), held["img_wplus"]) < 1e-5


def rosinality_file(path, weights, latent_avg=None, **more):
    torch.save({"g_ema": weights} | ({} if latent_avg is None else {"latent_avg": latent_avg}) | more, path)
    return path


# What converts


def test_rosinalitys_converted_file(tmp_path, held):
    """Written by rosinality's own code."""
    computes_the_reference(converted(FOLDER / "g16s-rosinality.pt", tmp_path / "g"), held)
    config, _ = load_model(tmp_path / "g")
    assert (config["kind"], config["domain"], config["origin"]["file"]) == (
        "generator",
        "cars",
        "g16s-rosinality.pt",
    )


def test_rosinalitys_training_file_gets_an_estimated_mean_code(tmp_path, held):
    generator = converted(FOLDER / "g16s-rosinality-train.pt", tmp_path / "g")
    assert error(generator(held["z"]), held["img_z"]) < 1e-5
    with torch.no_grad():
        mean = generator.mapping(torch.randn(50_000, 32, generator=torch.Generator().manual_seed(5)))[:, 0]
    assert (generator.mapping.w_avg - mean.mean(0)).abs().max() < 5 * mean.std(0).max() / 150
    assert "estimated" in load_model(tmp_path / "g")[0]["w_avg"]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_nvidias_file(tmp_path, weights, held, protocol):
    source = nvidia_file(
        tmp_path / "n.pkl", nvidia(weights, held["latent_avg"], channel_base=32768, num_fp16_res=4), protocol
    )
    generator = converted(source, tmp_path / "g")
    computes_the_reference(generator, held)
    assert generator.config["conv_clamp"] is None


@pytest.mark.parametrize("place", ["nested", "flat", "attribute"])
def test_nvidias_clamp_is_found_where_each_repo_keeps_it(tmp_path, weights, held, place):
    options = (
        {"attributes": {"conv_clamp": 1}}
        if place == "attribute"
        else {"conv_clamp": 1, "flat": place == "flat"}
    )
    generator = converted(
        nvidia_file(tmp_path / "n.pkl", nvidia(weights, held["latent_avg"], **options)), tmp_path / "g"
    )
    assert error(generator.synthesis(held["wplus"]), held["nv_img_wplus_clamp1"]) < 1e-5


def test_stylegan3s_repo_clamps_by_default(tmp_path, weights, held):
    source = nvidia_file(
        tmp_path / "n.pkl", nvidia(weights, held["latent_avg"], flat=True, channel_base=32768)
    )
    assert converted(source, tmp_path / "g").config["conv_clamp"] == 256


@pytest.mark.parametrize("use_noise", [True, False])
def test_sizes_are_read_from_the_weights(tmp_path, use_noise):
    generator = Generator(
        resolution=32,
        img_channels=1,
        channels=(8, 6, 5, 4),
        z_dim=7,
        w_dim=9,
        mapping_layers=3,
        use_noise=use_noise,
        conv_clamp=2.5,
    )
    generator.mapping.w_avg.normal_()
    source = nvidia_file(tmp_path / "n.pkl", nvidia_named(generator.state_dict(), conv_clamp=2.5))
    again = converted(source, tmp_path / "g")
    assert again.config == generator.config
    z = torch.randn(2, 7)
    with torch.no_grad():
        assert torch.equal(again(z, truncation_psi=0.5), generator(z, truncation_psi=0.5))


def test_tensorflows_variables_without_dimensions_are_numbers():
    """As in its real files: the file of the next test is to have them."""
    gs = tensorflow(rosinality_weights("g16s"), torch.zeros(32))
    scalars = {
        name
        for name, value in gs.state["components"]["synthesis"].state["variables"]
        if not isinstance(value, np.ndarray)
    }
    assert scalars == {
        "lod",
        *(f"{r}x{r}/{part}/noise_strength" for r in (8, 16) for part in ("Conv0_up", "Conv1")),
        "4x4/Conv/noise_strength",
    }


def test_tensorflows_file(tmp_path, weights, held):
    gs = tensorflow(
        weights, held["latent_avg"], resolution=16, num_channels=3, label_size=0, randomize_noise=False
    )
    computes_the_reference(converted(tensorflow_file(tmp_path / "t.pkl", gs), tmp_path / "g"), held)


@pytest.mark.parametrize(
    ("case", "encoder_type", "shape"),
    [("psp", "GradualStyleEncoder", "one"), ("e4e", "Encoder4Editing", "for-each-style")],
)
def test_psp_and_e4e_files(tmp_path, case, encoder_type, shape):
    """Codes and pictures of pSp and e4e with a quarter of the widths, and old options (no output_size)."""
    held, latent_avg = arrays_of(f"{case}_small_encode"), torch.from_numpy(0.3 * drawn("latent_avg", (128,)))
    stored = latent_avg if shape == "one" else latent_avg.repeat(10, 1)
    opts = {"encoder_type": encoder_type, "start_from_latent_avg": True}
    source = psp_file(
        tmp_path / "p.pt", psp_weights(10, shrink=4), rosinality_weights("g64s"), stored, **opts
    )
    folders = convert(options(source=source, target=tmp_path / "out"))
    assert [folder.name for folder in folders] == ["lwgan-cars-generator", "lwgan-cars-encoder"]
    assert [(entry.kind, entry.refused) for entry in models(tmp_path / "out")] == [
        ("encoder", None),
        ("generator", None),
    ]
    config, tensors = load_model(folders[1], "encoder")
    assert config["architecture"]["resolution"] == 256
    assert config["base_revision"]["generator"] == load_model(folders[0])[0]["weights"]["sha256"]
    encoder = Encoder(
        **config["architecture"] | {"resolution": 64}
    )  # the references were made on small pictures
    encoder.load_state_dict(tensors)
    generator = Generator.from_pretrained(folders[0])
    with torch.no_grad():
        w = encoder.eval()(held["x"])
        assert error(w, held["latents"]) < 1e-5
        assert error(generator.synthesis(w), held["img"]) < 1e-5
        assert error(generator.mapping.w_avg, latent_avg) == 0


# Forms in which people pass files on: (how it is written, what of the reference it lacks)


def psp_named(prefix: str, weights: dict) -> dict:
    return {f"{prefix}{name}": value for name, value in weights.items()}


def as_numpy(weights: dict) -> dict:
    return {name: value.numpy() for name, value in weights.items()}


def ours_of(weights: dict, mean) -> dict:
    """NVIDIA's own names."""
    ours = dict(renamed(name, value) for name, value in weights.items() if not name.endswith(".kernel"))
    return {"mapping.w_avg": mean} | ours


FORMS = {
    "under module.": lambda p, w, mean: torch.save({"g_ema": psp_named("module.", w), "latent_avg": mean}, p),
    "g alone": lambda p, w, mean: torch.save({"g": w, "d": {}, "latent_avg": mean}, p),
    "g and g_ema": lambda p, w, mean: torch.save({"g": {}, "g_ema": w, "latent_avg": mean}, p),
    "bare": lambda p, w, mean: torch.save(w | {"latent_avg": mean}, p),
    "bare, under module.module.": lambda p, w, mean: torch.save(
        psp_named("module.module.", w) | {"latent_avg": mean}, p
    ),
    "state_dict": lambda p, w, mean: torch.save({"state_dict": w, "latent_avg": mean, "epoch": 3}, p),
    "pSp's decoder": lambda p, w, mean: torch.save(
        {"state_dict": psp_named("decoder.", w), "latent_avg": mean}, p
    ),
    "safetensors": lambda p, w, mean: save_file(w | {"latent_avg": mean}, p),
    "arrays of numpy": lambda p, w, mean: torch.save({"g_ema": as_numpy(w), "latent_avg": mean.numpy()}, p),
    "a pickle": lambda p, w, mean: dump(p, {"g_ema": as_numpy(w), "latent_avg": mean.numpy()}),
    "an archive": lambda p, w, mean: np.savez(p.open("wb"), **as_numpy(w), latent_avg=mean.numpy()),
    "NVIDIA's, bare": lambda p, w, mean: torch.save(ours_of(w, mean), p),
    "NVIDIA's, as G_ema": lambda p, w, mean: torch.save({"G_ema": psp_named("module.", ours_of(w, mean))}, p),
    "PTI's, the whole network": lambda p, w, mean: torch_file(p, nvidia(w, mean)),
    "NVIDIA's, G alone": lambda p, w, mean: dump(p, {"G": nvidia(w, mean), "D": None}),
    "NVIDIA's, the whole network": lambda p, w, mean: dump(p, nvidia(w, mean)),
    "TensorFlow's, Gs alone": lambda p, w, mean: dump(p, tensorflow(w, mean)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_which_a_generator_is_passed_on(tmp_path, weights, held, form):
    """Also without its noise maps and without its mean code: drawn and estimated, which the config says."""
    FORMS[form](tmp_path / "file.pt", weights, held["latent_avg"])
    generator = converted(tmp_path / "file.pt", tmp_path / "g")
    computes_the_reference(generator, held)
    config = load_model(tmp_path / "g")[0]
    assert ("weights_of" in config) == ("alone" in form and "Gs" not in form)
    lacking = {name: value for name, value in weights.items() if not name.startswith("noises.")}
    FORMS[form](tmp_path / "file.pt", lacking, held["latent_avg"])
    drawn = converted(tmp_path / "file.pt", tmp_path / "drawn")
    with torch.no_grad():
        plain = [net.synthesis(held["wplus"], noise="none") for net in (generator, drawn)]
    assert torch.equal(*plain) and "5 noise maps: drawn" in load_model(tmp_path / "drawn")[0]["noise"]
    maps = [value for name, value in drawn.state_dict().items() if name.endswith("noise_const")]
    assert len(maps) == 5 and all(abs(value.std() - 1) < 0.5 for value in maps)
    again = converted(tmp_path / "file.pt", tmp_path / "again")
    assert all(torch.equal(a, b) for a, b in zip(drawn.buffers(), again.buffers(), strict=True))


PSP_FORMS = {
    "under module.": lambda p, state, mean, opts: torch.save(
        {"state_dict": psp_named("module.", state), "opts": opts, "latent_avg": mean}, p
    ),
    "the mean code in the state dict": lambda p, state, mean, opts: torch.save(
        {"state_dict": state | {"latent_avg": mean}, "opts": argparse.Namespace(**opts)}, p
    ),
    "bare": lambda p, state, mean, opts: torch.save(state | {"latent_avg": mean}, p),
    "with numbers of numpy": lambda p, state, mean, opts: torch.save(
        {"state_dict": state, "opts": opts | {"lr": np.float64(0.1)}, "latent_avg": mean.numpy()}, p
    ),
}


@pytest.mark.parametrize("form", PSP_FORMS)
def test_every_form_in_which_an_encoder_is_passed_on(tmp_path, form):
    """Its decoder lacks the noise maps, too."""
    decoder = {n: v for n, v in rosinality_weights("g64s").items() if not n.startswith("noises.")}
    state = psp_named("encoder.", psp_weights(10, shrink=4)) | psp_named("decoder.", decoder)
    mean, opts = torch.from_numpy(0.3 * drawn("latent_avg", (128,))), {"encoder_type": "Encoder4Editing"}
    PSP_FORMS[form](tmp_path / "e.pt", state, mean, opts)
    folders = convert(options(tmp_path / "e.pt", tmp_path / "out", encoder_type="Encoder4Editing"))
    config, tensors = load_model(folders[1])
    encoder = Encoder(**config["architecture"] | {"resolution": 64})
    encoder.load_state_dict(tensors)
    held = arrays_of("e4e_small_encode")
    with torch.no_grad():
        assert error(encoder.eval()(held["x"]), held["latents"]) < 1e-5


def as_rosinality(generator: Generator) -> dict:
    """Its weights in rosinality's layout."""
    state = {name: value for name, value in generator.state_dict().items() if name != "mapping.w_avg"}
    shaped = lambda value: value[None] if value.ndim == 4 else value
    return {name_of(ours): shaped(value) for ours, value in state.items()}


@pytest.mark.parametrize(
    ("frame", "resolution", "channels"),
    [("square", 256, 3), ("wide", 512, 3), ("square", 64, 1), ("face", 64, 3), ("ink", 64, 1)],
)
def test_what_was_converted_serves(tmp_path, frame, resolution, channels):
    """Churches and horses of 256 px, cars of 512 px with black bars, encoders of grey pictures."""
    generator = Generator(
        resolution=resolution, channels=(8,) * (resolution.bit_length() - 2), w_dim=128, z_dim=16
    )
    num_ws = generator.num_ws
    encoder = psp_weights(num_ws, **NARROW)
    encoder["input_layer.0.weight"] = encoder["input_layer.0.weight"][:, :channels].contiguous()
    opts = {"encoder_type": "Encoder4Editing", "stylegan_size": resolution, "dataset_type": "cars_encode"}
    source = psp_file(tmp_path / "e.pt", encoder, as_rosinality(generator), torch.zeros(128), **opts)
    convert(options(source, tmp_path / "out", frame=frame))
    pipe = EditingPipeline.from_pretrained(tmp_path / "out")
    assert pipe.domain.frame == frame and not pipe.refused
    shown = (
        Image.open(FOLDER.parent / "faces" / "astronaut.jpg")
        if frame == "face"
        else Image.new("RGB", (64, 48))
    )
    ImageDraw.Draw(shown).line((20, 10, 20, 40), "white", 4)
    w = pipe.encode(shown)
    assert w.shape == (1, num_ws, 128) and torch.isfinite(w).all()
    assert pipe.generate(w)[0].size == (resolution, resolution)
    x = torch.randn(1, channels, 256, 256)  # of cars the backbone sees what pSp's does, 256 x 192 px
    banded = x.clone()
    banded[:, :, :32], banded[:, :, -32:] = -1, -1
    assert torch.equal(pipe.encoder(x), pipe.encoder(banded))


def test_codes_that_do_not_start_from_the_mean_have_none(tmp_path):
    mean = torch.ones(128)
    for start in (True, False):
        opts = {"encoder_type": "GradualStyleEncoder", "start_from_latent_avg": start}
        source = psp_file(
            tmp_path / "p.pt", psp_weights(10, **NARROW), rosinality_weights("g64s"), mean, **opts
        )
        generator, encoder = convert(options(source=source, target=tmp_path / str(start)))
        assert torch.equal(load_model(encoder)[1]["w_avg"], mean * start) and torch.equal(
            load_model(generator)[1]["mapping.w_avg"], mean
        )


def test_half_precision_is_an_option(tmp_path, held):
    generator = converted(FOLDER / "g16s-rosinality.pt", tmp_path / "g", dtype="float16")
    assert load_model(tmp_path / "g")[0]["dtype"] == "float16"
    assert 1e-5 < error(generator(held["z"]), held["img_z"]) < 5e-3


def test_the_command_line_says_what_it_wrote_and_why_it_refuses(tmp_path, monkeypatch, capsys):
    words = ["trainers", "convert", "checkpoint", "--target", str(tmp_path / "g")]
    words += [word for key, text in TEXTS.items() for word in (f"--{key}", text)]
    monkeypatch.setattr("sys.argv", [*words, "--source", str(FOLDER / "g16s-rosinality.pt")])
    main()
    assert str(tmp_path / "g") in capsys.readouterr().out
    (tmp_path / "bomb.pkl").write_bytes(pickle.dumps(Bomb("true")))
    monkeypatch.setattr("sys.argv", [*words, "--source", str(tmp_path / "bomb.pkl")])
    with pytest.raises(SystemExit, match="error: .*bomb.pkl is refused, and nothing of it was run"):
        main()


def test_a_generator_gets_the_domain_of_the_options(tmp_path):
    texts = {"title": "Old cars", "subject": "a car", "frame": "face"}
    converted(FOLDER / "g16s-rosinality.pt", tmp_path / "g", **texts)
    config = load_model(tmp_path / "g")[0]
    domain = domain_from_json(config["domain_spec"], "", tuple(FRAMES))
    assert domain == Domain(
        "cars", "Old cars", "a car", "face", (), (), *(TEXTS[key] for key in ("licence", "about", "limits"))
    )


def test_the_card_of_a_converted_generator_states_its_file_and_its_terms(tmp_path):
    converted(FOLDER / "g16s-rosinality.pt", tmp_path / "g")
    publish.stage(tmp_path / "g", tmp_path / "hub" / "lwgan-cars-generator", "lab")
    text = (tmp_path / "hub" / "lwgan-cars-generator" / "README.md").read_text()
    for part in (
        "license: other",
        "No sale.",
        "Photographs of cars.",
        "Cars alone.",
        "file `g16s-rosinality.pt`",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"domain": "My Cars"}, "the options: name is 'My Cars'"),
        ({"licence": ""}, "the options: licence is ''"),
        ({"about": " "}, "the options: about is ' '"),
        ({"limits": "x" * 5000}, "the options: limits is"),
        ({"target": "My Cars"}, "the name 'My Cars' of a model's folder may have"),
    ],
)
def test_texts_that_no_domain_may_have_are_refused(tmp_path, more, message):
    target = tmp_path / more.pop("target", "g")
    with pytest.raises(ValueError, match=message):
        convert(options(FOLDER / "g16s-rosinality.pt", target, **more))
    assert not target.exists()


# What these tests would see


def mutants():
    def flipped(weights):
        for name in [name for name in weights if name in ("convs.0.conv.weight", "convs.2.conv.weight")]:
            weights[name] = weights[name].flip(3, 4)

    def swapped_noise(weights):
        weights["noises.noise_1"], weights["noises.noise_2"] = (
            weights["noises.noise_2"],
            weights["noises.noise_1"],
        )

    def no_noise(weights):
        weights["convs.1.noise.weight"] = torch.zeros(1)

    def no_bias(weights):
        weights["convs.1.activate.bias"] = torch.zeros_like(weights["convs.1.activate.bias"])

    def modulation(weights):
        weights["to_rgbs.0.conv.modulation.bias"] = weights["to_rgbs.0.conv.modulation.bias"] - 1

    return [flipped, swapped_noise, no_noise, no_bias, modulation]


@pytest.mark.parametrize("write", ["rosinality", "nvidia", "tensorflow"])
@pytest.mark.parametrize("spoil", mutants())
def test_a_planted_error_shows_in_the_pictures(tmp_path, weights, held, spoil, write):
    spoilt = copy.deepcopy(weights)
    spoil(spoilt)
    files = {
        "rosinality": lambda path: rosinality_file(path, spoilt, held["latent_avg"]),
        "nvidia": lambda path: nvidia_file(path, nvidia(spoilt, held["latent_avg"])),
        "tensorflow": lambda path: tensorflow_file(path, tensorflow(spoilt, held["latent_avg"])),
    }
    generator = converted(files[write](tmp_path / "file"), tmp_path / "g")
    assert error(generator(held["z"]), held["img_z"]) > 1e-3


# What is refused: by name, with nothing left behind


def refused(source, target, message: str, **more) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        convert(options(source=source, target=target, **more))
    assert source.name in str(caught.value)
    assert not target.exists()


class Bomb:
    """A pickle that runs a command when it is read as usual."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_runs_a_command_is_refused_and_runs_nothing(tmp_path, protocol):
    trace, source = tmp_path / "trace", tmp_path / "bomb.pkl"
    source.write_bytes(pickle.dumps({"G_ema": Bomb(f"touch {trace}")}, protocol=protocol))
    refused(source, tmp_path / "out", "it asks for the global '(posix|nt).system'")
    assert not trace.exists()
    pickle.loads(source.read_bytes())  # and read as usual it would have run
    assert trace.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_that_runs_a_command_is_refused_and_runs_nothing(tmp_path, zipped):
    trace, source = tmp_path / "trace", tmp_path / "bomb.pt"
    torch.save({"g_ema": Bomb(f"touch {trace}")}, source, _use_new_zipfile_serialization=zipped)
    refused(source, tmp_path / "out", "it asks for the global '(posix|nt).system'")
    assert not trace.exists()


def test_a_bomb_within_a_storage_runs_nothing(tmp_path, weights, held):
    """The bytes of a tensor in NVIDIA's pickles are a file of torch of their own."""

    class Storage:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (pickle.dumps(Bomb(f"touch {trace}"), protocol=2),)

    trace, g_ema = tmp_path / "trace", nvidia(weights, held["latent_avg"])
    g_ema.state["_buffers"]["extra"] = Storage()
    refused(
        nvidia_file(tmp_path / "n.pkl", g_ema), tmp_path / "out", "it asks for the global '(posix|nt).system'"
    )
    assert not trace.exists()


def test_unknown_globals_are_refused_by_their_name(tmp_path):
    for thing, name in (
        (io.StringIO("a"), "_io.StringIO"),
        (np.random.RandomState(0), "numpy"),
        (print, "builtins.print"),
    ):
        refused(
            dump(tmp_path / "n.pkl", {"G_ema": thing}), tmp_path / "out", f"it asks for the global '{name}"
        )
    torch.save({"g_ema": {}, "args": np.random.RandomState(0)}, tmp_path / "r.pt")
    refused(tmp_path / "r.pt", tmp_path / "out", "it asks for the global 'numpy")


@pytest.mark.parametrize("cut", [0, 1, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("write", ["rosinality", "nvidia", "tensorflow"])
def test_files_cut_short_are_refused(tmp_path, weights, held, write, cut):
    source = tmp_path / "file"
    if write == "rosinality":
        rosinality_file(source, weights, held["latent_avg"])
    elif write == "nvidia":
        nvidia_file(source, nvidia(weights, held["latent_avg"]))
    else:
        tensorflow_file(source, tensorflow(weights, held["latent_avg"]))
    data = source.read_bytes()
    source.write_bytes(data[: cut if isinstance(cut, int) else int(len(data) * cut)])
    refused(source, tmp_path / "out", "no checkpoint, or is damaged or cut short")


def test_a_file_that_unpacks_to_more_than_itself_is_refused_before_it_does(tmp_path, weights, held):
    """Four megabytes of zeros in four kilobytes; the same as a storage within a pickle."""
    rosinality_file(tmp_path / "r.pt", weights, held["latent_avg"])
    with (
        zipfile.ZipFile(tmp_path / "r.pt") as whole,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for part in whole.infolist():
            bomb.writestr(
                part.filename, bytes(2**22) if part.filename.endswith("/data/3") else whole.read(part)
            )
    refused(
        tmp_path / "bomb.pt", tmp_path / "out", r"its parts have 4\d{6} bytes when unpacked, the file \d{6}"
    )

    class Storage:
        def __reduce__(self):
            return torch.storage._load_from_bytes, ((tmp_path / "bomb.pt").read_bytes(),)

    g_ema = nvidia(weights, held["latent_avg"])
    g_ema.state["_buffers"]["extra"] = Storage()
    refused(
        nvidia_file(tmp_path / "n.pkl", g_ema), tmp_path / "out", r"its parts have 4\d{6} bytes when unpacked"
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "style.1.weight",
            lambda w: torch.ones(1).expand(32, 10**12),
            r"is of shape \(32, 1000000000000\), and holds 4 bytes for it",
        ),
        ("style.1.weight", lambda w: torch.ones(0, 32), r"is of shape \(0, 32\), and holds 0 bytes for it"),
        ("style.1.weight", lambda w: w.to_sparse(), r"\(32, 32\) \(sparse_coo\), expected an array by name"),
        ("style.1.weight", lambda w: w.to(torch.int64), "holds int64, which gives no float32"),
        ("style.1.weight", lambda w: w.to(torch.complex64), "holds complex64, which gives no float32"),
        (3, lambda w: torch.ones(1), r"3 is of shape \(1,\), expected an array by name"),
    ],
)
def test_what_is_no_plain_array_of_numbers_is_refused(tmp_path, weights, held, name, value, message):
    """The first claims to be 128 TB of four bytes."""
    changed = {**weights, name: value(weights["style.1.weight"])}
    refused(rosinality_file(tmp_path / "r.pt", changed, held["latent_avg"]), tmp_path / "out", message)


def test_what_fails_in_a_way_nobody_thought_of_is_refused_by_the_files_name(tmp_path, weights):
    """A number where NVIDIA keeps options."""
    g_ema = nvidia(weights, torch.zeros(32))
    g_ema.state["_init_kwargs"]["mapping_kwargs"] = 5
    refused(nvidia_file(tmp_path / "n.pkl", g_ema), tmp_path / "out", "is no known checkpoint")


@pytest.mark.parametrize("clamp", ["256", -1, 0, float("nan")])
def test_a_clamp_that_is_no_number_above_0_is_refused(tmp_path, weights, held, clamp):
    message = f"conv_clamp is {clamp!r}, expected None or a number above 0"
    refused(
        nvidia_file(tmp_path / "n.pkl", nvidia(weights, held["latent_avg"], conv_clamp=clamp)),
        tmp_path / "out",
        message,
    )
    refused(
        tensorflow_file(tmp_path / "t.pkl", tensorflow(weights, held["latent_avg"], conv_clamp=clamp)),
        tmp_path / "out",
        message,
    )


def test_what_is_no_checkpoint_is_refused(tmp_path, weights):
    with pytest.raises(FileNotFoundError, match="none.pt: there is no such file"):
        convert(options(source=tmp_path / "none.pt", target=tmp_path / "out"))
    for data in (b"hello, world", b"\x89PNG\r\n\x1a\n", b"{}"):
        (tmp_path / "file").write_bytes(data)
        refused(tmp_path / "file", tmp_path / "out", "is no checkpoint")
    for data, message in (
        (b"<!DOCTYPE html><title>Google Drive</title>", "it is a web page"),
        (b"\n<html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "it is a Git LFS pointer"),
        (b"\x1f\x8b\x08", "it is a gzip archive"),
    ):
        (tmp_path / "file").write_bytes(data)
        refused(tmp_path / "file", tmp_path / "out", message)
    np.save((tmp_path / "file").open("wb"), np.zeros(3))
    refused(tmp_path / "file", tmp_path / "out", "is an array: `convert direction` takes directions")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", tmp_path / "out", "is a folder, expected a file")
    torch.save({"layer0.weight": torch.ones(3), "step": 3}, tmp_path / "file")
    refused(tmp_path / "file", tmp_path / "out", "holds arrays layer0.weight, step")
    four = dict(weights)
    for name in [name for name in weights if "to_rgb" in name and name.endswith(("conv.weight", ".bias"))]:
        if "modulation" not in name:
            four[name] = torch.cat([weights[name], weights[name][:, :1]], 1)
    refused(rosinality_file(tmp_path / "file", four), tmp_path / "out", "4 channels, expected 1 or 3")
    for content in ({"state": 1}, [1, 2], (Network("G", []), 1, 2), {"G_ema": EasyDict()}, {"g_ema": 5}):
        refused(dump(tmp_path / "file", content), tmp_path / "out", "expected a generator of StyleGAN2")


@pytest.mark.parametrize("write", ["rosinality", "nvidia", "tensorflow"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "has no '.*(activate.bias|bias)'"),
        ("unexpected", "has the unexpected key '.*extra'"),
        ("shape", r"has shape \(.*32, 3\)?.*, which gives no \(32, 32, 3, 3\)"),
        ("nan", "NaN or infinity"),
    ],
)
def test_keys_and_shapes_must_fit(tmp_path, weights, held, change, message, write):
    g_ema, gs = nvidia(weights, held["latent_avg"]), tensorflow(weights, held["latent_avg"])
    layer, ours = (
        g_ema.state["_modules"]["synthesis"].state["_modules"]["b8"].state["_modules"]["conv0"].state,
        dict(weights),
    )
    variables = gs.state["components"]["synthesis"].state["variables"]
    theirs = dict(variables)
    spoil = {
        "missing": lambda held, bias, _: held.pop(bias),
        "unexpected": lambda held, bias, _: held.update(extra=held[bias]),
        "shape": lambda held, _, weight: held.update(
            {weight: held[weight][..., :2] if write != "tensorflow" else held[weight][:2]}
        ),
        "nan": lambda held, bias, _: held.update({bias: held[bias] * np.nan}),
    }[change]
    if write == "rosinality":
        spoil(ours, "convs.0.activate.bias", "convs.0.conv.weight")
        source = rosinality_file(tmp_path / "file", ours, held["latent_avg"])
    elif write == "nvidia":
        spoil(layer["_parameters"], "bias", "weight")
        source = nvidia_file(tmp_path / "file", g_ema)
    else:
        spoil(theirs, "8x8/Conv0_up/bias", "8x8/Conv0_up/weight")
        variables[:] = theirs.items()
        source = tensorflow_file(tmp_path / "file", gs)
    with pytest.raises(ValueError, match=message):
        convert(options(source=source, target=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_other_networks_of_nvidias_classes_are_refused(tmp_path, weights, held):
    def file(**options):
        return nvidia_file(tmp_path / "n.pkl", nvidia(weights, held["latent_avg"], **options))

    for architecture in ("resnet", "orig"):
        refused(
            file(architecture=architecture),
            tmp_path / "out",
            f"architecture is '{architecture}', only 'skip' is known",
        )
        refused(
            file(flat=True, architecture=architecture), tmp_path / "out", f"architecture is '{architecture}'"
        )
    refused(file(activation="relu"), tmp_path / "out", "activation is 'relu', only 'lrelu' is known")
    refused(file(flat=True, resample_filter=[1]), tmp_path / "out", "resample_filter is")
    conditional = nvidia(weights, held["latent_avg"])
    conditional.state["_init_kwargs"]["c_dim"] = 10
    refused(nvidia_file(tmp_path / "n.pkl", conditional), tmp_path / "out", "conditional generator")
    embedded = nvidia(weights, held["latent_avg"])
    embed = Persistent(
        "FullyConnectedLayer", _parameters={"weight": torch.ones(2, 2)}, _buffers={}, _modules={}
    )
    embedded.state["_modules"]["mapping"].state["_modules"]["embed"] = embed
    refused(nvidia_file(tmp_path / "n.pkl", embedded), tmp_path / "out", "conditional generator")
    larger = nvidia(weights, held["latent_avg"])
    larger.state["_init_kwargs"]["img_resolution"] = 32
    refused(
        nvidia_file(tmp_path / "n.pkl", larger),
        tmp_path / "out",
        "weights have resolution 16, its options say 32",
    )


def test_blocks_of_another_architecture_are_refused_by_their_weights(tmp_path, weights, held):
    g_ema = nvidia(weights, held["latent_avg"])
    del g_ema.state["_modules"]["synthesis"].state["_modules"]["b4"].state["_modules"]["torgb"]
    refused(nvidia_file(tmp_path / "n.pkl", g_ema), tmp_path / "out", "architecture is 'orig'")


def test_other_networks_of_tensorflow_are_refused(tmp_path, weights, held):
    for options, message in (
        ({"architecture": "resnet"}, "architecture is 'resnet'"),
        ({"label_size": 10}, "conditional generator"),
        ({"nonlinearity": "relu"}, "nonlinearity is 'relu'"),
        ({"resolution": 32}, "weights have resolution 16, its options say 32"),
        ({"resample_kernel": [1, 1]}, r"resample_kernel is \[1, 1\]"),
        ({"normalize_latents": False}, "normalize_latents is False"),
    ):
        refused(
            tensorflow_file(tmp_path / "t.pkl", tensorflow(weights, held["latent_avg"], **options)),
            tmp_path / "out",
            message,
        )
    named = tensorflow(weights, held["latent_avg"])
    named.state["variables"].append(("mean", "none"))
    refused(
        tensorflow_file(tmp_path / "t.pkl", named),
        tmp_path / "out",
        "mean is a str, expected an array or a number",
    )
    old = tensorflow(weights, held["latent_avg"])
    old.state["version"] = 3
    refused(tensorflow_file(tmp_path / "t.pkl", old), tmp_path / "out", "version 3, expected 4")


def test_another_blur_filter_is_refused(tmp_path, weights, held):
    other = weights | {"convs.0.conv.blur.kernel": torch.full((4, 4), 0.25)}
    refused(
        rosinality_file(tmp_path / "r.pt", other, held["latent_avg"]),
        tmp_path / "out",
        r"another filter than \[1, 3, 3, 1\]",
    )


def test_psp_files_that_do_not_fit_are_refused_whole(tmp_path):
    encoder, decoder, mean = psp_weights(10, **NARROW), rosinality_weights("g64s"), torch.zeros(128)
    usual = {"encoder_type": "GradualStyleEncoder", "start_from_latent_avg": True}

    def channels(n):
        return {"input_layer.0.weight": torch.ones(16, n, 3, 3)}

    def file(encoder=encoder, decoder=decoder, mean=mean, **opts):
        return psp_file(tmp_path / "p.pt", encoder, decoder, mean, **usual | opts)

    for source, message in (
        (
            lambda: file(encoder_type="BackboneEncoderUsingLastLayerIntoW"),
            "encoder_type is 'BackboneEncoderUsingLastLayerIntoW'",
        ),
        (lambda: file(encoder_type=None), "give --encoder-type"),
        (lambda: file(learn_in_w=True), "learn_in_w is True"),
        (lambda: file(output_size=1024), "weights have resolution 64, its options say 1024"),
        (lambda: file(n_styles=18), "weights have 10 styles, its options say n_styles 18"),
        (
            lambda: file(encoder=psp_weights(9, **NARROW)),
            "encoder has 9 styles of 128, its decoder takes 10 of 128",
        ),
        (lambda: file(mean=None), "which it does not hold"),
        (lambda: file(mean=torch.zeros(64)), r"latent_avg is of shape \(64,\), expected \[128\]"),
        (lambda: file(mean=torch.randn(10, 128)), "latent_avg differs between styles"),
        (lambda: file(mean=torch.zeros(18, 128)), "latent_avg has 18 rows, expected 1 or 10"),
        (lambda: file(mean=torch.zeros(0, 128)), "latent_avg has 0 rows, expected 1 or 10"),
        (
            lambda: file(encoder={n: v for n, v in encoder.items() if n != "styles.4.convs.8.bias"}),
            "has no 'styles.4.convs.8.bias'",
        ),
        (lambda: file(decoder={}), "holds arrays input_layer.0.weight, .*expected a generator"),
        (lambda: file(encoder=encoder | channels(19)), "its encoder reads 19 channels, maps of segments"),
        (lambda: file(encoder=encoder | channels(6)), r"reads 6 channels, pairs of pictures \(ReStyle\)"),
        (lambda: file(stylegan_size=512), "weights have resolution 64, its options say 512"),
        (
            lambda: file(encoder=encoder | {"output_layer.0.weight": mean}),
            "unexpected key 'output_layer.0.weight'",
        ),
        (lambda: file(encoder=encoder | {"latlayer1.bias": mean[:64] * torch.nan}), "NaN or infinity"),
    ):
        with pytest.raises(ValueError, match=message):
            convert(options(source=source(), target=tmp_path / "out"))
        assert not (tmp_path / "out").exists()
    folders = convert(
        options(source=file(encoder_type=None), target=tmp_path / "out", encoder_type="Encoder4Editing")
    )
    assert json.loads((folders[1] / "config.json").read_text())["architecture"]["space"] == "W+ deltas"


def test_when_the_disk_is_full_at_the_second_model_the_first_goes_too(tmp_path, monkeypatch):
    opts = {"encoder_type": "GradualStyleEncoder"}
    source = psp_file(
        tmp_path / "p.pt", psp_weights(10, **NARROW), rosinality_weights("g64s"), torch.zeros(128), **opts
    )
    save, target = registry.save_folder, tmp_path / "out"
    target.mkdir()
    (target / "notes.txt").write_text("mine")

    def full(folder, config, *rest):
        if config["kind"] == "encoder":
            raise OSError(28, "No space left on device")
        save(folder, config, *rest)

    monkeypatch.setattr(registry, "save_folder", full)
    with pytest.raises(OSError, match="No space left"):
        convert(options(source=source, target=target))
    assert [path.name for path in target.iterdir()] == ["notes.txt"]


def test_weights_too_large_for_half_precision_are_refused(tmp_path, weights):
    source = rosinality_file(
        tmp_path / "r.pt", weights | {"conv1.activate.bias": torch.full((32,), 1e5)}, torch.zeros(32)
    )
    refused(
        source,
        tmp_path / "out",
        "b4.conv1.bias of its generator holds NaN or infinity in float16",
        dtype="float16",
    )
    assert converted(source, tmp_path / "out").synthesis.b4.conv1.bias[0] == 1e5


def test_absurd_numbers_of_layers_are_refused_at_once(tmp_path, weights):
    source = rosinality_file(
        tmp_path / "r.pt", weights | {"to_rgbs.99999999999.bias": torch.zeros(1)}, torch.zeros(32)
    )
    refused(source, tmp_path / "out", "names 100000000000 layers of one kind")


def test_a_target_that_was_there_keeps_what_it_held(tmp_path, weights):
    target = tmp_path / "g"
    converted(FOLDER / "g16s-rosinality.pt", target)
    with pytest.raises(ValueError, match="config.json is a file, expected a folder"):
        convert(options(source=FOLDER / "g16s-rosinality.pt", target=target / "config.json"))
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    rosinality_file(
        tmp_path / "r.pt", weights | {"conv1.activate.bias": torch.full((32,), torch.nan)}, torch.zeros(32)
    )
    with pytest.raises(ValueError, match="NaN or infinity"):
        convert(options(source=tmp_path / "r.pt", target=target))
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
