"""Piles of pictures, and the folder of a taught edit, on toy nets and on the bundled digits."""

import shutil
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from lwgan import AffineEdit, EditingPipeline, cli, taught
from lwgan.images import mark_framed
from tests.nets import make_domains
from trainers.evaluate.piles import stroke_width


@pytest.fixture(scope="module")
def folder(tmp_path_factory, mnist):
    return make_domains(tmp_path_factory.mktemp("registry"), mnist)


@pytest.fixture(scope="module")
def toy(folder):
    return EditingPipeline.from_pretrained(folder, "multimnist")


@pytest.fixture(scope="module")
def digits():
    return EditingPipeline.from_pretrained("bundled", "multimnist")


@pytest.fixture(scope="module")
def piles(digits):
    """Samples with one digit and with two: the first 14 of each, without those badly inverted."""
    return [
        taught.look(
            digits, [digits.sample(seed) for seed in digits.seeds_of(digits.domain.change(name))[:14]]
        )
        for name in ("1to2", "2to3")
    ]


def write(path, picture, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path


def test_a_look_is_what_the_encoder_makes_of_a_picture(digits):
    framed = [digits.sample(seed) for seed in range(3)]
    looks = taught.look(digits, framed)
    w = digits.encode(framed)
    for each, code, picture, made in zip(looks, w, framed, digits.generate(w), strict=True):
        difference = np.asarray(picture, float) / 255 - np.asarray(made, float) / 255
        assert torch.allclose(each.code, code, atol=1e-5)
        assert each.error == pytest.approx(np.square(difference).mean(), rel=1e-3)
    assert (
        len({each.mark for each in looks}) == 3 and looks[0].mark == taught.look(digits, framed[:1])[0].mark
    )


def test_noise_is_badly_inverted_and_samples_are_not(digits, piles):
    worst = taught.worst_error(digits)
    noise = [Image.fromarray(np.random.randint(0, 256, (64, 64), np.uint8)) for _ in range(5)]
    noise = taught.look(digits, [mark_framed(picture) for picture in noise])
    assert all(each.error > worst for each in noise)
    assert sum(each.error > worst for pile in piles for each in pile) <= 2
    edit, _ = taught.learn(digits, piles[0] + noise, piles[1], "one more", "choice")
    assert edit.config["report"]["badly_inverted"][0] >= 5
    why = taught.left_out(digits, piles[0] + noise, [0])
    assert all(why[len(piles[0]) + i] == "the encoder cannot reconstruct it" for i in range(len(noise)))
    first = min(i for i in range(len(piles[0])) if piles[0][i].error <= worst)
    assert why[first] == "it seems to belong to the other pile"
    with pytest.raises(ValueError, match=r"the pile 'with' has 0 usable pictures \(the encoder cannot recon"):
        taught.learn(digits, piles[0], noise, "noise")


def test_a_look_at_the_light_draws_nothing(digits, piles, monkeypatch):
    _, drawn = taught.learn(digits, *piles, "looks", "place")
    monkeypatch.setattr(taught, "again", lambda *_: pytest.fail("pictures were drawn"))
    _, report = taught.learn(digits, *piles, "looks", "place", draw=False)
    assert report.way is None and drawn.way is not None and report.light == drawn.light


def test_where_all_samples_are_on_a_pile_the_strip_shows_what_the_generator_draws(toy):
    everything = taught.look(toy, [toy.sample(seed) for seed in range(min(taught.TRIED, len(toy.images)))])
    still = AffineEdit(None, torch.zeros_like(everything[0].code))
    pictures = taught.strip(toy, still, everything[::2], everything[1::2])
    assert len(pictures) == taught.SHOWN * len(taught.STRENGTHS)
    codes = toy.codes(taught.TRIED)
    possible = toy.as_generated(toy.generate(codes))
    rows = pictures[:: len(taught.STRENGTHS)]
    assert all((possible == row).flatten(1).all(1).any() for row in rows)


def test_the_folder_loads_and_serves_as_it_is(digits, piles, tmp_path):
    name, edit, _, report, data, strip = taught.make(digits, *piles, "1to2")
    (tmp_path / "edit.zip").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "edit.zip") as archive:
        files = {
            f"{name}/{file}" for file in ("README.md", "config.json", "model.safetensors", "images/strip.png")
        }
        assert set(archive.namelist()) == files
        archive.extractall(tmp_path)
    assert name == "lwgan-multimnist-taught-1to2"
    again = AffineEdit.from_pretrained(tmp_path / name)
    w = digits.encode([digits.sample(5)])
    assert torch.equal(again(w), edit(w)) and (tmp_path / name / "images/strip.png").read_bytes() == strip
    assert again.config["report"]["light"] == report.light and again.config["method"] == "teach"
    served = digits.plus({name: again})
    assert served.scales[name].unit == 1.0 and name not in digits.edits and name not in digits.changes
    assert torch.equal(served.edit(w, {name: 0.5}), again(w, 0.5))
    card = (tmp_path / name / "README.md").read_text()
    assert "from **1 digit** to **2 digits**" in card and f"## How good it is: {report.light}" in card


def test_the_strip_shows_samples_of_neither_pile_that_are_like_those_without(digits, piles):
    edit, _ = taught.learn(digits, *piles, "1to2")
    rows = taught.strip(digits, edit, *piles)
    used = {each.mark for pile in piles for each in pile}
    start = rows[:: len(taught.STRENGTHS)]
    fresh = [digits.sample(seed) for seed in range(taught.TRIED)]
    fresh = [picture for picture in fresh if taught._mark(digits.frame(picture)) not in used]
    made = torch.cat([digits.as_generated(digits.generate(part)) for part in digits.encode(fresh).split(50)])
    assert all((made - row).abs().amax((1, 2, 3)).min() < 0.02 for row in start)
    # The judge, which took no part, reads most of them as lacking what the edit gives.
    two = digits.judge.names.index("2-or-more")
    assert digits.judge.read(start)[:, two].float().mean() <= 0.5


def test_strength_1_goes_about_to_the_second_pile_by_a_ruler_that_took_no_part(digits):
    """Thin strokes become thick, measured in pixels. The mean shift of Compare goes as far that way."""
    looks = taught.look(digits, [digits.sample(seed) for seed in range(taught.TRIED)])
    widths = stroke_width(digits.as_generated([each.picture for each in looks]))
    order = widths.argsort().tolist()
    thin, thick = ([looks[i] for i in part] for part in (order[:60], order[-60:]))
    edit, _ = taught.learn(digits, thin[::2], thick[::2], "thick strokes", "place")
    w = torch.stack([each.code for each in thin[1::2]])
    wide = lambda strength: stroke_width(digits.as_generated(digits.generate(edit(w, strength)))).mean()
    way = (wide(1.0) - wide(0.0)) / (widths[order[-60:]].mean() - wide(0.0))
    assert 0.5 < way < 1.5
    mean = taught._rival(digits, edit, thin[::2], thick[::2])
    assert (mean.bias * edit.bias).sum() == pytest.approx(edit.bias.square().sum().item(), rel=1e-4)


def test_names_become_changes(toy):
    assert taught.check_name(toy, "1to2") is toy.domain.changes[0]
    change = taught.check_name(toy, " Thick strokes ")
    assert (change.before, change.after) == ("not thick strokes", "thick strokes")
    assert taught.folder_name(toy, change.name) == "lwgan-multimnist-taught-thick-strokes"
    for bad in ("", None, 5, "<b>", "../up", "a" * 61, "_", "日本"):
        with pytest.raises(ValueError, match="the name is"):
            taught.check_name(toy, bad)


def test_identical_piles_are_refused(digits, piles):
    with pytest.raises(ValueError, match="are in the pile 'without' too"):
        taught.learn(digits, piles[0], piles[0], "same")


def test_the_command_teaches_from_folders(digits, piles, tmp_path, capsys):
    for side, change in (("without", "1to2"), ("with", "2to3")):
        for seed in digits.seeds_of(digits.domain.change(change))[:12]:
            picture = digits.sample(seed)
            # A drawing is dark on white; the sample is bright on black.
            write(tmp_path / side / f"{seed}.png", Image.eval(picture, lambda value: 255 - value))
    write(tmp_path / "with" / "blank.png", Image.new("L", (64, 64), 255))
    words = ["--without", str(tmp_path / "without"), "--with", str(tmp_path / "with"), "--name", "1to2"]
    cli.main(["teach", *words, "-o", str(tmp_path / "out"), "--device", "cpu"])
    *said, light, folder = capsys.readouterr().out.splitlines()
    assert any(line.startswith("--with: blank.png is left out: the picture is blank: ") for line in said)
    assert folder == str(tmp_path / "out") and light.split(":")[0] in ("green", "amber", "red")
    edit = AffineEdit.from_pretrained(tmp_path / "out")
    used = sum(edit.config["report"]["n"])
    assert used >= 16 and sum("is left out: " in line for line in said) == 12 + 13 - used
    write(tmp_path / "none" / "white.png", Image.new("L", (64, 64), 255))
    with pytest.raises(SystemExit, match="the pile 'with' has 0 usable pictures"):
        cli.main(["teach", *words[:3], str(tmp_path / "none"), *words[4:], "--device", "cpu"])
    assert "--with: white.png is left out: the picture is blank" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "none")
    with pytest.raises(SystemExit, match="there is no folder"):
        cli.main(["teach", *words[:3], str(tmp_path / "none"), *words[4:]])
