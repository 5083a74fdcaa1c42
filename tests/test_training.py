"""The stages as users run them, `python -m trainers STAGE`, at toy size: whole, stopped, killed, resumed, and refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lwgan import Encoder, Generator
from lwgan.hub import registry
from lwgan.hub.registry import save_folder
from lwgan.judges import AttributeJudge
from trainers import __main__ as command_line
from trainers import classifiers
from trainers.cards import command
from trainers.codes import load_codes
from trainers.data import load_images, load_labels, load_pictures
from trainers.nets import join
from trainers.nets.generator import to_pictures

ROOT = Path(__file__).parent.parent


# The smallest run of each stage. A new stage joins by a line here, and by tests that name it.
TOYS = {
    "data": {"train": 64, "heldout": 16},
    "generator": {
        "channels": (8, 8, 8, 8, 8), "z_dim": 8, "w_dim": 8, "mapping_layers": 2, "batch": 8, "r1_every": 2, "checkpoint_kimg": 0.016,
        "sheet_kimg": 1, "processes": 1, "device": "cpu",
    },
    "encoder": {"batch": 4, "gan_batch": 8, "r1_every": 2, "processes": 1, "device": "cpu"},
    "join": {"pictures": 64},
    "match": {"pictures": 64, "directions": 4, "rounds": 2},
    "classifiers": {"widths": (4, 8, 8), "features": 8, "batch": 16, "device": "cpu"},
    "codes": {"train": 20, "heldout": 8, "device": "cpu"},
}  # fmt: skip
BATCH_KIMG = 0.008  # of the toy generator: thousands of pictures a step


def arguments(stage: str, **options) -> list[str]:
    """The stage's command line: its toy options, changed by `options`. Tuples become several words, True none."""
    words = [stage]
    for name, value in (TOYS[stage] | options).items():
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += [str(part) for part in value] if isinstance(value, tuple) else [str(value)]
    return words


@pytest.fixture
def trainers(monkeypatch):
    """trainers(stage, **options) runs the real entry point in this process; SystemExit as it would exit."""

    def run(stage: str, **options) -> None:
        monkeypatch.setattr(sys, "argv", ["trainers", *arguments(stage, **options)])
        command_line.main()

    return run


def start(stage: str, **options) -> subprocess.Popen:
    """The same as a process of its own, to be killed; on one thread too, for the same rounding."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "trainers", *arguments(stage, **options)], cwd=ROOT, env=environment
    )


def run_once(stage: str, **options) -> None:
    """As `trainers`, for fixtures that serve a whole module."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["trainers", *arguments(stage, **options)])
        command_line.main()


@pytest.fixture(scope="module")
def data(mnist, tmp_path_factory) -> Path:
    """What the data stage writes."""
    folder = tmp_path_factory.mktemp("toy") / "data"
    run_once("data", data=folder, mnist=mnist)
    return folder


@pytest.fixture(scope="module")
def generator(data, tmp_path_factory) -> Path:
    """A run of the generator stage."""
    folder = tmp_path_factory.mktemp("toy") / "generator"
    run_once("generator", data=data, run=folder, kimg=BATCH_KIMG)
    return folder


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All that a run knows at its end: the model it publishes, and every tensor of its checkpoint."""
    found = {f"model/{name}": tensor for name, tensor in load_file(run / "model.safetensors").items()}
    held = [("checkpoint", torch.load(run / "checkpoint.pt", weights_only=True))]
    while held:
        name, value = held.pop()
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif isinstance(value, dict):
            held += [(f"{name}/{key}", part) for key, part in value.items()]
    return found


def assert_same_weights(run: Path, other: Path) -> None:
    found, expected = weights(run), weights(other)
    assert found.keys() == expected.keys() and len(found) > 20
    different = [name for name in found if not torch.equal(found[name], expected[name])]
    assert not different


def steps_of(run: Path) -> int:
    return torch.load(run / "checkpoint.pt", weights_only=True)["step"]


# Colour


def test_colour_pictures_go_through_all_stages_of_the_nets(trainers, tmp_path):
    faces = tmp_path / "faces"
    trainers("data", data=faces, domain="synthfaces", train=64, heldout=16, processes=1)
    trainers("generator", data=faces, run=tmp_path / "generator", kimg=BATCH_KIMG)
    given = {"data": faces, "generator": tmp_path / "generator", "tune": True, "steps": 1}
    perceptor = AttributeJudge(names=("Smiling",), widths=(4, 4, 4), features=4)
    config = {"kind": "attribute-judge", "domain": "synthfaces", "architecture": perceptor.config}
    save_folder(tmp_path / "perceptor", config, perceptor.state_dict())
    trainers("encoder", **given, run=tmp_path / "tuned", perceptor=tmp_path / "perceptor")
    assert json.loads((tmp_path / "tuned" / "log.jsonl").read_text())["likeness"] > 0
    trainers("join", data=faces, start=tmp_path / "tuned", run=tmp_path / "joined")
    trainers("match", data=faces, start=tmp_path / "joined", run=tmp_path / "matched")
    generator, encoder = (
        Generator.from_pretrained(tmp_path / "matched" / "generator"),
        Encoder.from_pretrained(tmp_path / "matched"),
    )
    assert (generator.card_config["domain"], encoder.card_config["domain"]) == ("synthfaces", "synthfaces")
    images, domain = load_images(faces, "test")
    x = to_pictures(images, torch.device("cpu"))
    labels, names = load_labels(faces, "test")
    sharp = images[labels[:, names.index("Blurry")] == 0]
    assert torch.equal(
        registry.load_pictures(faces / "samples", None, 64)[1]["images"], sharp.permute(0, 3, 1, 2)
    )
    assert domain == "synthfaces" and torch.equal(
        x[:, 2, 5, 7], images[:, 5, 7, 2].float() / 127.5 - 1
    )  # N H W C becomes N C H W
    assert generator.synthesis(encoder(x)).shape == x.shape == (16, 3, 64, 64)


# Data


def test_data_are_written_for_all_splits(data):
    pictures = {split: load_pictures(data, split) for split in ("train", "validation", "test")}
    assert {split: held.images.shape for split, held in pictures.items()} == {
        "train": (64, 64, 64), "validation": (16, 64, 64), "test": (16, 64, 64)
    }  # fmt: skip
    assert sorted(path.name for path in data.iterdir()) == [
        "samples",
        "test.safetensors",
        "train.safetensors",
        "validation.safetensors",
    ]
    config, samples = registry.load_pictures(data / "samples", None, 64)
    assert config["domain"] == "multimnist" and torch.equal(
        samples["images"], torch.from_numpy(pictures["test"].images)
    )
    assert torch.equal(samples["numbers"], torch.from_numpy(pictures["test"].numbers))
    assert all((held.count >= 1).all() and (held.count <= 4).all() for held in pictures.values())


def test_data_repeat_with_their_seed(data, mnist, tmp_path, trainers):
    trainers("data", data=tmp_path / "again", mnist=mnist)
    trainers("data", data=tmp_path / "other", mnist=mnist, seed=1)
    for split in ("train", "test"):
        first, again, other = (
            load_pictures(folder, split).images for folder in (data, tmp_path / "again", tmp_path / "other")
        )
        assert (first == again).all() and (first != other).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "grid"}, "layout 'grid' is unknown"),
        ({"resolution": 100}, "resolution 100"),
        ({"heldout": 0}, "n = 0"),
        ({"train": -5}, "n = -5"),
        ({"mnist": "nowhere"}, "no file train-images"),
    ],
)
def test_refused_data_leave_nothing_behind(change, message, mnist, tmp_path, trainers):
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        trainers("data", **{"data": tmp_path / "data", "mnist": mnist} | change)
    assert not (tmp_path / "data").exists()


def test_a_damaged_test_file_is_noticed_before_anything_is_written(mnist, tmp_path, trainers):
    copied = shutil.copytree(mnist, tmp_path / "mnist")
    (copied / "t10k-images.idx3-ubyte.gz").write_bytes(b"no digits")
    with pytest.raises(SystemExit, match=r"^error: t10k-images.idx3-ubyte.gz is damaged"):
        trainers("data", data=tmp_path / "data", mnist=copied)
    assert not (tmp_path / "data").exists()


# Runs that stop and go on


def test_a_resumed_generator_is_the_uninterrupted_one(data, tmp_path, trainers):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    trainers("generator", data=data, run=whole, kimg=4 * BATCH_KIMG)
    trainers("generator", data=data, run=parts, kimg=2 * BATCH_KIMG)
    assert steps_of(parts) == 2
    trainers("generator", data=data, run=parts, kimg=4 * BATCH_KIMG)
    assert steps_of(parts) == steps_of(whole) == 4
    assert_same_weights(parts, whole)


def test_training_moves_the_generator(data, tmp_path, trainers):
    trainers("generator", data=data, run=tmp_path / "run", kimg=BATCH_KIMG)
    first = weights(tmp_path / "run")
    trainers("generator", data=data, run=tmp_path / "run", kimg=4 * BATCH_KIMG)
    later = weights(tmp_path / "run")
    for part in ("generator", "ema", "discriminator"):
        moved = [
            name
            for name in first
            if name.startswith(f"checkpoint/{part}/") and not torch.equal(first[name], later[name])
        ]
        assert len(moved) > 10, part


def test_a_finished_run_repeated_stays_as_it_is(data, tmp_path, trainers):
    trainers("generator", data=data, run=tmp_path / "run", kimg=2 * BATCH_KIMG)
    shutil.copytree(tmp_path / "run", tmp_path / "before")
    trainers("generator", data=data, run=tmp_path / "run", kimg=2 * BATCH_KIMG)
    assert_same_weights(tmp_path / "run", tmp_path / "before")


def test_a_killed_generator_goes_on_where_it_was(data, tmp_path, trainers):
    killed, whole, many = tmp_path / "killed", tmp_path / "whole", 1000
    process = start("generator", data=data, run=killed, kimg=many * BATCH_KIMG)
    try:
        deadline = time.monotonic() + 400
        while not (killed / "checkpoint.pt").exists():
            assert process.poll() is None and time.monotonic() < deadline, (
                "no checkpoint before the run ended"
            )
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = steps_of(killed)
    assert 0 < done < many
    for run in (killed, whole):
        trainers("generator", data=data, run=run, kimg=(done + 3) * BATCH_KIMG)
    assert_same_weights(killed, whole)


def test_time_that_is_up_stops_a_run_at_a_checkpoint(data, tmp_path, trainers):
    trainers("generator", data=data, run=tmp_path / "run", kimg=1000 * BATCH_KIMG, max_minutes=0)
    assert 0 < steps_of(tmp_path / "run") < 1000
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_two_processes_share_a_batch(data, tmp_path, trainers):
    """Both draw their own pictures and average their gradients; the run ends with one model."""
    trainers("generator", data=data, run=tmp_path / "run", kimg=2 * BATCH_KIMG, processes=2)
    assert steps_of(tmp_path / "run") == 2


def test_an_encoder_that_was_stopped_goes_on_as_if_never_stopped(data, generator, tmp_path, trainers):
    """With --tune: encoder, generator and discriminator all are trained."""
    options = {"data": data, "generator": generator, "steps": 22, "tune": True, "batch": 2, "gan_batch": 4}
    trainers("encoder", run=tmp_path / "whole", **options)
    trainers("encoder", run=tmp_path / "parts", max_minutes=0, **options)
    assert steps_of(tmp_path / "parts") == 20
    trainers("encoder", run=tmp_path / "parts", **options)
    assert_same_weights(tmp_path / "parts", tmp_path / "whole")
    assert (tmp_path / "parts" / "generator" / "model.safetensors").exists()


@pytest.fixture(scope="module")
def tuned(data, generator, tmp_path_factory) -> Path:
    """A run of generator and encoder together."""
    folder = tmp_path_factory.mktemp("toy") / "tuned"
    run_once("encoder", data=data, generator=generator, run=folder, steps=2, tune=True)
    return folder


def test_joined_nets_are_trained_on_in_one_space(data, generator, tuned, tmp_path, trainers):
    trainers("join", data=data, start=tuned, run=tmp_path / "joined")
    trainers(
        "encoder",
        data=data,
        generator=generator,
        start=tmp_path / "joined",
        run=tmp_path / "run",
        steps=2,
        tune=True,
        mixed=0.5,
    )
    joined, trained = Encoder.from_pretrained(tmp_path / "joined"), Encoder.from_pretrained(tmp_path / "run")
    pictures = torch.from_numpy(load_pictures(data, "test").images).float()[:, None] / 127.5 - 1
    for w in (joined(pictures), trained(pictures)):
        assert torch.equal(w[:, 0], w[:, -1]) and w.std(0).mean() > 0
    assert not torch.equal(joined(pictures), trained(pictures))


def test_matching_moves_samples_and_no_reconstruction(data, generator, tuned, tmp_path, trainers):
    trainers("join", data=data, start=tuned, run=tmp_path / "joined")
    trainers("match", data=data, start=tmp_path / "joined", run=tmp_path / "matched")
    pictures = torch.randn(4, 1, 64, 64)
    before, after = (
        [Encoder.from_pretrained(folder), Generator.from_pretrained(folder / "generator")]
        for folder in (tmp_path / "joined", tmp_path / "matched")
    )
    assert torch.equal(*(net.synthesis(encoder(pictures)) for encoder, net in (before, after)))
    z = torch.randn(4, before[1].z_dim)
    assert not torch.allclose(*(net.mapping(z) for _, net in (before, after)))
    for folder in (tmp_path / "matched", tmp_path / "matched" / "generator"):
        words = command(json.loads((folder / "config.json").read_text())).split()
        assert (
            words[3:]
            == f"match --data {data.name} --start joined --run matched --pictures 64 --directions 4 --rounds 2".split()
        )
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
        trainers("match", data=data, start=tmp_path / "joined", run=tmp_path / "again", directions=0)
    assert not (tmp_path / "again").exists()


def test_joining_what_is_joined_or_was_never_trained_is_refused(data, tuned, tmp_path, trainers):
    trainers("join", data=data, start=tuned, run=tmp_path / "joined")
    with pytest.raises(
        SystemExit, match=r"^error: .*joined holds an encoder into W, expected W\+: it is joined already"
    ):
        trainers("join", data=data, start=tmp_path / "joined", run=tmp_path / "again")
    with pytest.raises(SystemExit, match=r"^error: .*nowhere holds no checkpoint\.pt"):
        trainers("join", data=data, start=tmp_path / "nowhere", run=tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_join_that_was_killed_while_it_saved_is_done_again(data, tuned, tmp_path, trainers, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(join, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            trainers("join", data=data, start=tuned, run=tmp_path / "joined")
    trainers("join", data=data, start=tuned, run=tmp_path / "joined")
    assert Encoder.from_pretrained(tmp_path / "joined").config["space"] == "W"
    assert steps_of(tmp_path / "joined") == 0


def test_too_few_pictures_to_join_by_are_refused(data, tuned, tmp_path, trainers):
    with pytest.raises(SystemExit, match=r"^error: 8 pictures .* cannot span a W of 8 dimensions"):
        trainers("join", data=data, start=tuned, run=tmp_path / "joined", pictures=8)
    assert not (tmp_path / "joined").exists()


def test_fewer_sampled_than_encoded_pictures_are_refused(data, generator, tmp_path, trainers):
    with pytest.raises(SystemExit, match="--gan-batch 2 is below --batch 4"):
        trainers("encoder", data=data, generator=generator, run=tmp_path / "run", gan_batch=2)


def test_a_judge_that_was_stopped_goes_on_as_if_never_stopped(data, tmp_path, trainers):
    trainers("classifiers", data=data, run=tmp_path / "whole", steps=4)
    trainers("classifiers", data=data, run=tmp_path / "parts", steps=4, max_minutes=0)
    assert steps_of(tmp_path / "parts") == 1
    trainers("classifiers", data=data, run=tmp_path / "parts", steps=4)
    assert_same_weights(tmp_path / "parts", tmp_path / "whole")


def test_ghosts_lie_in_blank_quarters_and_are_faint(data):
    images = torch.from_numpy(load_pictures(data, "train").images)
    torch.manual_seed(0)
    options = classifiers.Options(data=data, run=data, contrast=0, noise=0)
    plain, ghosted = (classifiers.augmented(images, replace(options, ghosts=ghosts)) for ghosts in (0, 0.35))
    assert torch.equal(plain[:, 0], images.float() / 127.5 - 1)
    quarters = lambda x: (
        x.unflatten(2, (2, 32)).unflatten(4, (2, 32)).amax((1, 3, 5))
    )  # [N, 2, 2], the brightest pixel of each
    full, seen = quarters(plain) > -1, quarters(ghosted)
    assert torch.equal(seen[full], quarters(plain)[full])
    added = (seen[~full] + 1) / 2
    assert 0.25 < added.max() <= 0.35
    assert 0.2 < (ghosted != plain).flatten(1).any(1).float().mean() < 0.6


def test_codes_are_the_encoders_of_the_labelled_pictures(data, generator, tmp_path, trainers):
    trainers("encoder", data=data, generator=generator, run=tmp_path / "encoder", steps=1)
    trainers("codes", data=data, encoder=tmp_path / "encoder", run=tmp_path / "codes")
    encoder = Encoder.from_pretrained(tmp_path / "encoder")
    for split, n in (("train", 20), ("validation", 8), ("test", 8)):
        codes, base = load_codes(tmp_path / "codes", split)
        pictures = load_pictures(data, split)
        with torch.no_grad():
            w = encoder(torch.from_numpy(pictures.images[:n]).float()[:, None] / 127.5 - 1)
        assert torch.allclose(
            codes.w, w, atol=2e-3 * w.abs().max().item()
        )  # they are stored in half precision
        assert codes.numbers.tolist() == pictures.numbers[:n].tolist()
        assert (
            base["encoder"]
            == json.loads((tmp_path / "encoder" / "config.json").read_text())["weights"]["sha256"]
        )


def test_a_run_folder_says_what_was_done(data, tmp_path, trainers):
    trainers("generator", data=data, run=tmp_path / "run", kimg=2 * BATCH_KIMG)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 2 and {"d_loss", "g_loss"} <= lines[-1].keys()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["kind"] == "generator" and config["architecture"]["channels"] == [8] * 5
    assert list((tmp_path / "run").glob("samples-*.png"))
    assert (
        str(tmp_path) not in (tmp_path / "run" / "config.json").read_text()
    )  # no path of this machine is published


# Refusals


def test_other_options_in_the_same_folder_are_refused(data, tmp_path, trainers):
    trainers("generator", data=data, run=tmp_path / "run", kimg=BATCH_KIMG)
    before = weights(tmp_path / "run")
    with pytest.raises(
        SystemExit, match=r"holds a run with learning_rate = 0\.0025, not 0\.01: choose another --run"
    ):
        trainers("generator", data=data, run=tmp_path / "run", kimg=2 * BATCH_KIMG, learning_rate=0.01)
    assert all(torch.equal(before[name], value) for name, value in weights(tmp_path / "run").items())


def test_missing_and_damaged_data_are_refused(data, tmp_path, trainers):
    with pytest.raises(
        SystemExit, match=r"^error: .*train\.safetensors is missing: make it with `python -m trainers data"
    ):
        trainers("generator", data=tmp_path / "nowhere", run=tmp_path / "run", kimg=BATCH_KIMG)
    copied = shutil.copytree(data, tmp_path / "data")
    path = copied / "train.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SystemExit, match=r"^error: .*train\.safetensors is damaged"):
        trainers("generator", data=copied, run=tmp_path / "run", kimg=BATCH_KIMG)
    assert not (tmp_path / "run").exists()


def test_a_damaged_checkpoint_is_refused(data, tmp_path, trainers):
    trainers("generator", data=data, run=tmp_path / "run", kimg=BATCH_KIMG)
    path = tmp_path / "run" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(SystemExit, match=r"^error: .*checkpoint\.pt is damaged"):
        trainers("generator", data=data, run=tmp_path / "run", kimg=2 * BATCH_KIMG)


def test_an_encoder_without_its_generator_is_refused(data, tmp_path, trainers):
    with pytest.raises(SystemExit, match=r"^error: .*holds no checkpoint\.pt"):
        trainers("encoder", data=data, generator=tmp_path / "nowhere", run=tmp_path / "run", steps=1)


def test_a_batch_that_cannot_be_shared_is_refused(data, tmp_path, trainers):
    with pytest.raises(SystemExit, match="--batch 8 cannot be shared by --processes 3"):
        trainers("generator", data=data, run=tmp_path / "run", processes=3)


def test_a_perceptor_of_grey_pictures_is_refused(data, tmp_path, trainers):
    with pytest.raises(
        SystemExit, match=r"^error: --perceptor .* sees pictures of 3 channels, those of --data .* have 1"
    ):
        trainers(
            "encoder",
            data=data,
            generator=tmp_path / "nowhere",
            run=tmp_path / "run",
            steps=1,
            perceptor=tmp_path / "nowhere",
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["nothing"],
        ["generator", "--kimgs", "3"],
        ["generator", "--data", "x"],
        ["data", "--data", "x", "--train", "many"],
    ],
)
def test_the_command_line_names_what_it_does_not_know(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["trainers", *words])
    with pytest.raises(SystemExit) as stopped:
        command_line.main()
    assert stopped.value.code == 2
    told = capsys.readouterr()
    culprit = {
        "nothing": "nothing",
        "generator": "--kimgs" if "--kimgs" in words else "--run",
        "data": "many",
    }[words[0]]
    assert culprit in told.out + told.err
