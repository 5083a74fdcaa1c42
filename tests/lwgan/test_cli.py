"""The command line on the bundled models and on a Hub of its own."""

import subprocess
import sys
import zipfile

import pytest
from PIL import Image

import lwgan
from lwgan import EditingPipeline, cli, recipe
from lwgan.animation import STEPS
from lwgan.hub import registry
from tests.conftest import DATA
from tests.nets import EDITS, files_of, put
from tests.pictures import draw

ONE, TWO, _ = EDITS


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "digits.png"
    draw([("7", 30, 20, 100)], 12).save(path)
    return path


def test_edit_writes_the_pipelines_picture_with_its_recipe(picture, tmp_path):
    out = tmp_path / "out" / "edited.png"
    cli.main(["edit", str(picture), "--edit", ONE, "--edit", f"{TWO}=0.5", "-o", str(out), "--device", "cpu"])
    pipe = EditingPipeline.from_pretrained("bundled", "multimnist")
    alphas = {ONE: pipe.scales[ONE].unit, TWO: 0.5}
    expected = pipe.generate(pipe.edit(pipe.encode(Image.open(picture)), alphas))[0]
    assert Image.open(out).tobytes() == expected.tobytes()
    assert {edit["name"]: edit["alpha"] for edit in recipe.of_png(out)["edits"]} == alphas


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["edit", "no-such.png", "--edit", ONE], "there is no file no-such.png"),
        (["edit", "{picture}", "--edit", "lwgan-multimnist-lw-1to9"], "is unknown: did you mean"),
        (["edit", "{picture}", "--edit", f"{ONE}=99"], "alpha is 99"),
        (
            ["edit", "{picture}", "--edit", ONE, "--edit", "lwgan-synthfaces-lw-smiling"],
            "different kinds of pictures",
        ),
        (["list", "--registry", "no/such/folder"], "there is no such folder"),
    ],
)
def test_a_mistake_ends_with_one_line(picture, tmp_path, words, message):
    out = ["-o", str(tmp_path / "out.png")] if words[0] == "edit" else []
    with pytest.raises(SystemExit) as end:
        cli.main([word.format(picture=picture) for word in words] + out)
    assert str(end.value).startswith("lwgan: ") and message in str(end.value)
    assert not (tmp_path / "out.png").exists()


def test_edit_writes_a_zip_of_a_folder(picture, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(picture.read_bytes())
    cli.main(["edit", str(tmp_path / "in"), "--edit", ONE, "-o", str(tmp_path / "out.zip")])
    with zipfile.ZipFile(tmp_path / "out.zip") as packed:
        assert packed.read("001-a.png") == packed.read("002-b.png")
        assert "002-b.svg" in packed.namelist()


def test_list_names_each_edit_with_its_change_and_strength(capsys):
    cli.main(["list"])
    lines = capsys.readouterr().out.splitlines()
    entries = registry.list_edits("bundled")
    assert [line.split()[0] for line in lines[1:]] == [entry.name for entry in entries]
    row = next(line for line in lines if line.startswith(ONE))
    config = next(entry.config for entry in entries if entry.name == ONE)
    assert "1 digit → 2 digits" in row and row.split()[-1] == f"{config['strength']['unit']:g}"


def test_pull_fills_a_folder_that_serves_as_a_registry(hub, tmp_path, capsys):
    put(hub, f"someone/{ONE}", files_of(registry.bundled() / ONE))
    put(hub, f"someone/{TWO}", files_of(registry.bundled() / TWO))
    cli.main(["pull", f"someone/{ONE}"])
    assert capsys.readouterr().out.startswith(f"someone/{ONE}  ")
    cli.main(["pull", "someone", "-o", str(tmp_path / "mine")])
    assert [entry.name for entry in registry.list_edits(tmp_path / "mine")] == [ONE, TWO]


def test_importing_lwgan_loads_neither_torch_nor_gradio():
    code = "import sys, lwgan.cli; print(lwgan.__version__, {'torch', 'gradio'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [lwgan.__version__, "set()"]


FACE = "lwgan-faces-lw-eyeglasses"


def test_one_picture_is_a_png_and_a_folder_a_zip(picture, tmp_path):
    with pytest.raises(SystemExit, match=r"'out.jpg' does not end in .png"):
        cli.main(["edit", str(picture), "--edit", ONE, "-o", str(tmp_path / "out.jpg")])
    with pytest.raises(SystemExit, match=r"is a folder: many pictures are written as a zip"):
        cli.main(["edit", str(tmp_path), "--edit", ONE, "-o", str(tmp_path / "out.png")])
    assert not list(tmp_path.glob("out.*"))


def test_a_zip_is_not_animated(picture, tmp_path):
    with pytest.raises(SystemExit, match="are for one picture, a zip is for many"):
        cli.main(["edit", str(picture), "--edit", ONE, "--animate", "-o", str(tmp_path / "out.zip")])


def edit_face(registry, out, *words) -> Image.Image:
    """`lwgan edit` of a photograph of 320 px with one face, from a registry of faces."""
    photograph = str(DATA / "faces" / "astronaut.jpg")
    cli.main(["edit", photograph, "--registry", str(registry), "--edit", FACE, "-o", str(out), *words])
    return Image.open(out)


def test_a_whole_photograph_is_edited_and_keeps_its_size(faces_registry, tmp_path):
    photograph = Image.open(DATA / "faces" / "astronaut.jpg")
    edited = edit_face(faces_registry, tmp_path / "out.png", "--whole", "--face", "1")
    assert edited.size == photograph.size and edited.tobytes() != photograph.tobytes()
    assert edited.crop((0, 150, 80, 320)).tobytes() == photograph.crop((0, 150, 80, 320)).tobytes()
    unedited = ["--whole", "--residual", "1", "--edit", f"{FACE}=0"]
    assert edit_face(faces_registry, tmp_path / "same.png", *unedited).tobytes() == photograph.tobytes()


@pytest.mark.parametrize(("name", "words"), [("a.webp", []), ("a.gif", ["--whole"])])
def test_a_change_is_animated(faces_registry, tmp_path, name, words):
    film = edit_face(faces_registry, tmp_path / name, "--animate", *words)
    assert film.format == name[-4:].strip(".").upper() and film.n_frames > STEPS
    assert film.size == ((320, 320) if words else (64, 64))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--face", "1"], "--face and --residual go with --whole"),
        (["--whole", "--face", "2"], "face 2 is not there: 1 were found"),
        (["--whole", "--residual", "1.5"], "the residual is 1.5"),
        (["--animate"], "'out.png' ends in '.png', an animation in .webp or .gif"),
    ],
)
def test_what_does_not_go_together_is_said(faces_registry, tmp_path, words, message):
    with pytest.raises(SystemExit, match=message):
        edit_face(faces_registry, tmp_path / "out.png", *words)
    assert not (tmp_path / "out.png").exists()
