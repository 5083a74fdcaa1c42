"""generator, encoder and align as users run them, at toy size: whole, stopped, killed, resumed, refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lwgan import Encoder, Generator
from lwgan.domain import domain_from_json
from lwgan.hub.registry import save_folder
from lwgan.judges import AttributeJudge
from tests.trainers.toy import DOMAIN, make_data
from trainers import __main__ as command_line
from trainers.nets import align
from trainers.nets.discriminator import Discriminator
from trainers.nets.generator import to_pictures, widths_of
from trainers.shards import load_split

ROOT = Path(__file__).parents[3]
# The smallest run of each stage.
TOYS = {
    "generator": {"channels": (8, 8, 8, 8), "z_dim": 8, "w_dim": 8, "mapping_layers": 2, "batch": 8,
                  "r1_every": 2, "checkpoint_kimg": 0.016, "processes": 1, "device": "cpu"},
    "encoder": {"batch": 4, "gan_batch": 8, "r1_every": 2, "processes": 1, "device": "cpu"},
    "join": {"pictures": 64},
    "match": {"pictures": 64, "directions": 4, "rounds": 2},
    "grow": {"steps": 3},
}  # fmt: skip
STEP = 0.008  # thousands of pictures a step of the toy generator


def arguments(stage: str, **options) -> list[str]:
    """The stage's command line: its toy options, changed by `options`. Tuples become several words, True
    none."""
    words = [stage] if stage not in ("join", "match", "grow") else ["align", stage]
    for name, value in (TOYS[stage] | options).items():
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += [str(part) for part in value] if isinstance(value, tuple) else [str(value)]
    return words


def trainers(stage: str, **options) -> None:
    """Runs the real entry point in this process; SystemExit as it would exit."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["trainers", *arguments(stage, **options)])
        command_line.main()


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp("toy") / "data")


@pytest.fixture(scope="module")
def generator(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "generator"
    trainers("generator", data=data, run=folder, kimg=STEP)
    return folder


@pytest.fixture(scope="module")
def tuned(data, generator, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "tuned"
    trainers("encoder", data=data, generator=generator, run=folder, steps=2, tune=True)
    return folder


@pytest.fixture(scope="module")
def joined(data, tuned, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "joined"
    trainers("join", data=data, start=tuned, run=folder)
    return folder


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a run's model and of its checkpoint."""
    found = {f"model/{name}": tensor for name, tensor in load_file(run / "model.safetensors").items()}
    left = [("checkpoint", torch.load(run / "checkpoint.pt", weights_only=True))]
    while left:
        name, value = left.pop()
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif isinstance(value, dict):
            left += [(f"{name}/{key}", part) for key, part in value.items()]
    return found


def assert_same_weights(run: Path, other: Path) -> None:
    found, expected = weights(run), weights(other)
    assert found.keys() == expected.keys() and len(found) > 20
    assert not [name for name in found if not torch.equal(found[name], expected[name])]


def steps_of(run: Path) -> int:
    return torch.load(run / "checkpoint.pt", weights_only=True)["step"]


def pictures(data: Path) -> torch.Tensor:
    return to_pictures(load_split(data, "test").images[:], torch.device("cpu"))


# Sizes


@pytest.mark.parametrize(
    ("resolution", "widths"),
    [(32, (256, 128, 64, 32)), (64, (256, 128, 64, 32, 16)), (128, (512, 256, 128, 64, 32, 16)),
     (1024, (512, 512, 512, 512, 256, 128, 64, 32, 16))],
)  # fmt: skip
def test_widths_follow_from_the_resolution(resolution, widths):
    assert widths_of(resolution) == widths


@pytest.mark.parametrize("bundled", ["multimnist", "synthfaces", "letters"])
def test_the_rule_gives_the_sizes_of_the_bundled_nets(bundled):
    said = {}
    for kind in ("generator", "encoder"):
        path = ROOT / f"lwgan/bundled/lwgan-{bundled}-{kind}/config.json"
        said[kind] = json.loads(path.read_text())["architecture"]
    assert said["generator"]["channels"] == list(widths_of(64))
    sizes = {key: said["encoder"][key] for key in ("resolution", "img_channels", "num_ws", "w_dim", "space")}
    assert Encoder(**sizes).config == said["encoder"]


@pytest.mark.parametrize(("resolution", "colours"), [(32, 1), (256, 3), (1024, 1)])
def test_nets_of_any_resolution_fit_each_other(resolution, colours):
    with torch.no_grad():
        channels = widths_of(resolution)
        sizes = {"resolution": resolution, "img_channels": colours, "w_dim": 8}
        generator = Generator(**sizes, channels=channels, z_dim=8, use_noise=False)
        encoder = Encoder(**sizes, num_ws=generator.num_ws)
        x = generator.synthesis(encoder(torch.zeros(1, colours, resolution, resolution)))
        assert x.shape == (1, colours, resolution, resolution)
        assert Discriminator(img_channels=colours, channels=channels[:-1])(x).shape == (1,)


# Whole paths


def test_grey_pictures_go_through_all_stages(tmp_path):
    data = make_data(tmp_path / "data", colours=1)
    given = {"data": data, "generator": tmp_path / "generator", "tune": True, "steps": 1}
    judge = AttributeJudge(names=DOMAIN.attributes, channels=1, widths=(4, 4, 4), features=4)
    config = {"kind": "judge", "domain": "squares", "architecture": judge.config}
    save_folder(tmp_path / "perceptor", config, judge.state_dict())
    trainers("generator", data=data, run=tmp_path / "generator", kimg=STEP)
    trainers("encoder", **given, run=tmp_path / "tuned", perceptor=tmp_path / "perceptor")
    assert json.loads((tmp_path / "tuned" / "log.jsonl").read_text())["likeness"] > 0
    trainers("join", data=data, start=tmp_path / "tuned", run=tmp_path / "joined")
    trainers("match", data=data, start=tmp_path / "joined", run=tmp_path / "matched")
    generator = Generator.from_pretrained(tmp_path / "matched" / "generator")
    encoder = Encoder.from_pretrained(tmp_path / "matched")
    assert domain_from_json(generator.card_config["domain_spec"], "config.json", ("square",)) == DOMAIN
    assert generator.card_config["domain"] == encoder.card_config["domain"] == "squares"
    x = pictures(data)
    assert generator.synthesis(encoder(x)).shape == x.shape == (16, 1, 32, 32)


def test_the_first_samples_have_the_mean_colour(data, tmp_path):
    trainers("generator", data=data, run=tmp_path / "run", kimg=STEP, learning_rate=0)
    x = to_pictures(load_split(data, "train").images[:], torch.device("cpu"))
    bias = load_file(tmp_path / "run" / "model.safetensors")["synthesis.b4.torgb.bias"]
    assert torch.allclose(bias.float(), x.mean((0, 2, 3)), atol=1e-3)


def test_a_run_folder_says_what_was_done(data, tmp_path):
    trainers("generator", data=data, run=tmp_path / "run", kimg=2 * STEP)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 2 and {"d_loss", "g_loss"} <= lines[-1].keys()
    text = (tmp_path / "run" / "config.json").read_text()
    config = json.loads(text)
    assert config["kind"] == "generator" and config["architecture"]["channels"] == [8] * 4
    assert config["training"]["command"].startswith("python -m trainers generator --channels 8 8 8 8")
    assert (tmp_path / "run" / "samples.png").exists()
    assert str(tmp_path) not in text  # no path of this machine is published


# Runs that stop and resume


def test_a_resumed_generator_is_the_uninterrupted_one(data, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    trainers("generator", data=data, run=whole, kimg=4 * STEP)
    trainers("generator", data=data, run=parts, kimg=2 * STEP)
    first = weights(parts)
    assert steps_of(parts) == 2
    trainers("generator", data=data, run=parts, kimg=4 * STEP)
    assert steps_of(parts) == steps_of(whole) == 4
    assert_same_weights(parts, whole)
    for part in ("generator", "ema", "discriminator"):
        names = [name for name in first if name.startswith(f"checkpoint/{part}/")]
        assert sum(not torch.equal(first[name], weights(whole)[name]) for name in names) > 10, part
    trainers("generator", data=data, run=parts, kimg=4 * STEP)  # it is finished: nothing changes
    assert_same_weights(parts, whole)


def test_a_killed_generator_resumes_where_it_was(data, tmp_path):
    killed, whole, many = tmp_path / "killed", tmp_path / "whole", 1000
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        "-m",
        "trainers",
        *arguments("generator", data=data, run=killed, kimg=many * STEP),
    ]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        deadline = time.monotonic() + 400
        while not (killed / "checkpoint.pt").exists():
            assert process.poll() is None and time.monotonic() < deadline, (
                "no checkpoint before the run ended"
            )
            time.sleep(0.01)
        with pytest.raises(SystemExit, match=f"^error: another process works in {killed}"):
            trainers("generator", data=data, run=killed, kimg=STEP)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = steps_of(killed)
    assert 0 < done < many
    for run in (killed, whole):
        trainers("generator", data=data, run=run, kimg=(done + 3) * STEP)
    assert_same_weights(killed, whole)


def test_a_run_stops_when_its_time_is_up(data, tmp_path):
    trainers("generator", data=data, run=tmp_path / "run", kimg=1000 * STEP, max_minutes=0)
    assert steps_of(tmp_path / "run") == 1
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_two_processes_share_a_batch_and_report_errors(data, tmp_path):
    """Both draw their own pictures and average their gradients; the run ends with one model."""
    trainers("generator", data=data, run=tmp_path / "run", kimg=2 * STEP, processes=2)
    assert steps_of(tmp_path / "run") == 2
    trainers("generator", data=data, run=tmp_path / "run", kimg=3 * STEP, processes=1)
    assert steps_of(tmp_path / "run") == 3, "a run may go on with another number of processes"
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(SystemExit, match=r"^error: .*checkpoint\.pt is damaged"):
        trainers("generator", data=data, run=tmp_path / "run", kimg=4 * STEP, processes=2)


def test_a_stopped_encoder_resumes_as_if_never_stopped(data, generator, tmp_path):
    """With --tune: encoder, generator and discriminator are all trained."""
    options = {
        "data": data,
        "generator": generator,
        "steps": 4,
        "tune": True,
        "batch": 2,
        "gan_batch": 4,
        "mixed": 0.5,
    }
    trainers("encoder", run=tmp_path / "whole", **options)
    trainers("encoder", run=tmp_path / "parts", max_minutes=0, **options)
    assert steps_of(tmp_path / "parts") == 1
    trainers("encoder", run=tmp_path / "parts", **options)
    assert_same_weights(tmp_path / "parts", tmp_path / "whole")
    assert (tmp_path / "parts" / "generator" / "model.safetensors").exists()


def test_two_processes_tune_an_encoder(data, generator, tmp_path):
    """Only every second step is one of the GAN; the mapping network has no gradient in the others."""
    options = {"data": data, "generator": generator, "steps": 4, "tune": True, "gan_every": 2, "mixed": 0.5}
    trainers("encoder", run=tmp_path / "run", processes=2, **options)
    assert steps_of(tmp_path / "run") == 4
    runs = (generator, tmp_path / "run")
    before, after = (torch.load(run / "checkpoint.pt", weights_only=True)["generator"] for run in runs)
    assert all(not torch.equal(before[name], after[name]) for name in before if name.endswith("fc0.weight"))


def test_an_encoder_alone_leaves_the_generator_as_it_is(data, generator, tmp_path):
    trainers("encoder", data=data, generator=generator, run=tmp_path / "run", steps=2)
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    before = torch.load(generator / "checkpoint.pt", weights_only=True)["ema"]
    assert all(torch.equal(state["generator"][name], value) for name, value in before.items())
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    wanted = json.loads((generator / "config.json").read_text())["weights"]["sha256"]
    assert config["base_revision"]["generator"] == wanted and not (tmp_path / "run" / "generator").exists()


# Align


def test_joined_nets_are_trained_on_in_one_space(data, generator, joined, tmp_path):
    trainers(
        "encoder", data=data, generator=generator, start=joined, run=tmp_path / "run", steps=2, tune=True
    )
    before, after = Encoder.from_pretrained(joined), Encoder.from_pretrained(tmp_path / "run")
    for w in (before(pictures(data)), after(pictures(data))):
        assert torch.equal(w[:, 0], w[:, -1]) and w.std(0).mean() > 0
    assert not torch.equal(before(pictures(data)), after(pictures(data)))


def test_matching_moves_samples_and_no_reconstruction(data, generator, joined, tuned, tmp_path):
    trainers("match", data=data, start=joined, run=tmp_path / "matched")
    before, after = ([Encoder.from_pretrained(folder), Generator.from_pretrained(folder / "generator")]
                     for folder in (joined, tmp_path / "matched"))  # fmt: skip
    x = torch.randn(4, 3, 32, 32)
    assert torch.equal(*(net.synthesis(encoder(x)) for encoder, net in (before, after)))
    z = torch.randn(4, before[1].z_dim)
    assert not torch.allclose(*(net.mapping(z) for _, net in (before, after)))
    trainers(
        "encoder",
        data=data,
        generator=generator,
        start=tmp_path / "matched",
        run=tmp_path / "run",
        steps=1,
        tune=True,
    )
    with pytest.raises(SystemExit, match=r"expected W: join it first"):
        trainers("match", data=data, start=tuned, run=tmp_path / "again")
    with pytest.raises(SystemExit, match=r"--directions is 0, expected 1 to 8, the dimensions of W"):
        trainers("match", data=data, start=joined, run=tmp_path / "again", directions=0)
    assert not (tmp_path / "again").exists()


def test_joining_what_is_joined_or_was_never_tuned_is_refused(data, joined, tuned, tmp_path):
    with pytest.raises(SystemExit, match=r"holds an encoder into W, expected W\+: it is joined already"):
        trainers("join", data=data, start=joined, run=tmp_path / "again")
    with pytest.raises(SystemExit, match=r"^error: .*nowhere holds no checkpoint\.pt"):
        trainers("join", data=data, start=tmp_path / "nowhere", run=tmp_path / "again")
    with pytest.raises(SystemExit, match=r"^error: 8 pictures .* cannot span a W of 8 dimensions"):
        trainers("join", data=data, start=tuned, run=tmp_path / "again", pictures=8)
    assert not (tmp_path / "again").exists()


def test_a_join_that_was_killed_while_it_saved_is_done_again(data, tuned, tmp_path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(align, "save", killed)
        with pytest.raises(SystemExit, match="130"):
            trainers("join", data=data, start=tuned, run=tmp_path / "joined")
    trainers("join", data=data, start=tuned, run=tmp_path / "joined")
    assert Encoder.from_pretrained(tmp_path / "joined").config["space"] == "W"


def test_grown_nets_are_trained_on_at_twice_the_side(joined, tmp_path):
    large = make_data(tmp_path / "large", side=64)
    small = {"encoder": joined, "generator": joined / "generator"}
    trainers("grow", data=large, run=tmp_path / "grown", **small)
    z = torch.randn(2, 8)
    before, after = (
        Generator.from_pretrained(folder / "generator") for folder in (joined, tmp_path / "grown")
    )
    enlarged = before(z).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert after(z).shape == (2, 3, 64, 64) and (after(z) - enlarged).abs().mean() < 0.2 * enlarged.std()
    trainers("encoder", data=large, start=tmp_path / "grown", run=tmp_path / "run", steps=2, tune=True)
    assert Encoder.from_pretrained(tmp_path / "run").config["resolution"] == 64
    again = (tmp_path / "grown" / "checkpoint.pt").read_bytes()
    trainers("grow", data=large, run=tmp_path / "grown", **small)
    assert (tmp_path / "grown" / "checkpoint.pt").read_bytes() == again


def test_nets_grow_by_a_factor_of_two_and_after_the_join(data, joined, tuned, tmp_path):
    small = {"encoder": joined, "generator": joined / "generator"}
    with pytest.raises(SystemExit, match=r"holds pictures of 32 px, expected 64 px: twice the 32 px of "):
        trainers("grow", data=data, run=tmp_path / "grown", **small)
    large = make_data(tmp_path / "large", side=64)
    with pytest.raises(SystemExit, match=r"the encoder is 'small' into W\+, expected 'small' into W"):
        trainers("grow", data=large, run=tmp_path / "grown", **small | {"encoder": tuned})
    assert not (tmp_path / "grown").exists()


# Refusals


def test_other_options_in_the_same_folder_are_refused(data, generator):
    before = weights(generator)
    with pytest.raises(SystemExit, match=r"holds a run with learning_rate = 0\.0025, not 0\.01"):
        trainers("generator", data=data, run=generator, kimg=2 * STEP, learning_rate=0.01)
    assert all(torch.equal(before[name], value) for name, value in weights(generator).items())


def test_missing_and_damaged_data_are_refused(data, tmp_path):
    with pytest.raises(
        SystemExit, match=r"^error: .*dataset\.json is missing: make it with `python -m trainers data"
    ):
        trainers("generator", data=tmp_path / "nowhere", run=tmp_path / "run", kimg=STEP)
    copied = shutil.copytree(data, tmp_path / "data")
    path = copied / "train-00000.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SystemExit, match=r"^error: .*'train' is damaged"):
        trainers("generator", data=copied, run=tmp_path / "run", kimg=STEP)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("stage", "options", "message"),
    [
        ("generator", {"processes": 3}, "--batch 8 is no multiple of --processes 3"),
        ("encoder", {"generator": "nowhere", "steps": 1}, "nowhere holds no checkpoint"),
        ("encoder", {"steps": 1}, "--generator and --start are missing"),
        ("encoder", {"generator": "nowhere", "gan_batch": 2}, "--gan-batch 2 is below --batch 4"),
    ],
)
def test_options_that_do_not_fit_are_refused(stage, options, message, data, tmp_path):
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        trainers(stage, data=data, run=tmp_path / "run", **options)


def test_a_perceptor_of_other_pictures_is_refused(data, tmp_path):
    judge = AttributeJudge(names=("Bright",), channels=1, widths=(4, 4, 4), features=4)
    config = {"kind": "judge", "domain": "squares", "architecture": judge.config}
    save_folder(tmp_path / "judge", config, judge.state_dict())
    with pytest.raises(SystemExit, match=r"judge for 1 channels, expected an 'attributes' judge for 3"):
        trainers(
            "encoder",
            data=data,
            generator=tmp_path / "nowhere",
            run=tmp_path / "run",
            perceptor=tmp_path / "judge",
        )
    assert not (tmp_path / "run").exists()
