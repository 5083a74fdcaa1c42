"""An edited face goes back into its photograph: what must not change, and where what was added must lie."""

import io

import numpy as np
import pytest
from PIL import Image

from lwgan import EditingPipeline
from lwgan.frames.face import find_quads
from lwgan.images import open_picture
from lwgan.whole import FEATHER, Photograph, edit, encoded, find, put_back
from tests.conftest import DATA
from tests.lwgan.frames.test_face import CORNERS, photograph, placed, upright

ASTRONAUT = DATA / "faces" / "astronaut.jpg"
EDIT = "lwgan-faces-lw-eyeglasses"
PLACES = [(120, 0, (90, 60)), (150, 20, (120, 40)), (400, 0, (-50, -100)), (90, -35, (250, 180))]


@pytest.fixture(scope="module")
def pipe(faces_registry) -> EditingPipeline:
    return EditingPipeline.from_pretrained(faces_registry)


@pytest.fixture(scope="module")
def two() -> Image.Image:
    """The same face twice: 400 px at the left, 260 px at the right."""
    both = Image.new("RGB", (700, 400), "grey")
    for side, corner in ((400, (0, 0)), (260, (420, 70))):
        both.paste(Image.open(ASTRONAUT).resize((side, side), Image.Resampling.LANCZOS), corner)
    return both


def at(side: float, degrees: float, corner) -> Photograph:
    """A smooth photograph whose frame has this side, rotation and corner."""
    quad = placed(CORNERS, side, degrees, corner)
    return Photograph(photograph(side, degrees, corner), (quad,), 0, Image.new("RGB", (64, 64)))


def inside(shown: Photograph) -> np.ndarray:
    """bool [H, W]: the pixels whose middles lie within the frame."""
    quad, (width, height) = shown.quad, shown.picture.size
    y, x = np.mgrid[:height, :width]
    across, down = quad[3] - quad[0], quad[1] - quad[0]
    points = np.stack([x, y], -1) - quad[0]
    u, v = points @ across / (across @ across), points @ down / (down @ down)
    return (u > 0) & (u < 1) & (v > 0) & (v < 1)


def noise(side: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(values)


def changed(shown: Photograph, result: Image.Image) -> np.ndarray:
    return np.abs(np.asarray(result, float) - np.asarray(shown.picture, float)).mean(-1)


@pytest.mark.parametrize("side", [64, 300])
@pytest.mark.parametrize("place", PLACES)
def test_an_unedited_face_with_its_whole_residual_leaves_the_photograph_as_it_was(place, side):
    """However bad the reconstruction, and wherever the frame lies."""
    shown, bad = at(*place), noise(side)
    result = put_back(shown, bad, bad, 1.0)
    difference, within = changed(shown, result), inside(shown)
    assert difference[within].mean() < 1 and not difference[~within].any()


@pytest.mark.parametrize("residual", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("place", PLACES)
def test_outside_the_frame_nothing_changes(place, residual):
    shown = at(*place)
    difference, within = changed(shown, put_back(shown, noise(64), noise(64, 1), residual)), inside(shown)
    assert difference[within].mean() > 5 and not difference[~within].any()


@pytest.mark.parametrize("place", PLACES)
def test_a_good_reconstruction_goes_back_to_where_it_was_cut_out(place):
    """The frame's content as the closed form has it."""
    shown, plain = at(*place), Image.fromarray(upright(256).round().astype(np.uint8))
    assert changed(shown, put_back(shown, plain, plain))[inside(shown)].mean() < 1


@pytest.mark.parametrize("place", [PLACES[0], PLACES[1]])
def test_colours_are_fitted_at_the_edge(place):
    """A tint and a slope of brightness, which a plane undoes; an edit's own colours stay."""
    shown, right, within = at(*place), upright(256), inside(at(*place))
    slope = np.linspace(-15, 15, 256)[:, None] + (9, 0, -9)
    wrong = Image.fromarray((right * 0.6 + 40 + slope).round().astype(np.uint8))
    wanted = Image.fromarray((right * 0.6 + 40).round().astype(np.uint8))
    difference = np.asarray(put_back(shown, wrong, wrong), float) - put_back(shown, wanted, wanted)
    assert np.abs(difference)[within].mean() < 1.5
    brighter = Image.fromarray((np.asarray(wrong) + 30).astype(np.uint8))
    gain = np.asarray(put_back(shown, wrong, brighter), float) - put_back(shown, wrong, wrong)
    assert gain[within].max() == pytest.approx(30, abs=1)


def test_at_a_corner_only_the_mean_is_fitted():
    """Of this frame the photograph shows a corner: a slope fitted there would grow without bound."""
    shown = at(400, 0, (200, 160))
    grey = Image.new("RGB", (64, 64), (127, 127, 127))
    result = np.asarray(put_back(shown, grey, grey), float)[inside(shown)]
    assert np.abs(result - 127).max() < 130


def test_what_the_reconstruction_lacks_moves_along_with_the_edit():
    """A dot that the generator cannot draw, on a smooth pattern that the edit moves by 16 of 256 px."""
    shown = at(256, 0, (20, -10))
    ground = np.asarray(shown.picture).copy()
    ground[100:104, 140:144] = 255
    dotted = shown._replace(picture=Image.fromarray(ground))
    before = np.tile(upright(256), (1, 3, 1))[:, 240:]
    pictures = [Image.fromarray(before[:, at : at + 256].round().astype(np.uint8)) for at in (16, 0)]
    smooth = put_back(shown, *pictures, 1.0)
    difference = np.abs(np.asarray(put_back(dotted, *pictures, 1.0), float) - np.asarray(smooth)).sum(-1)
    y, x = np.unravel_index(difference.argmax(), difference.shape)
    assert 100 <= y <= 104 and 140 + 16 - 3 <= x <= 144 + 16 + 3


def test_the_edge_fades():
    shown = at(200, 0, (40, 20))
    white = Image.new("RGB", (64, 64), "white")
    dark = shown._replace(picture=Image.new("RGB", (300, 240)))
    row = np.asarray(put_back(dark, Image.new("RGB", (64, 64)), white), int)[120, :, 0]
    assert (np.diff(row[40:140]) >= 0).all() and row[39] == 0 and row[40 + int(200 * FEATHER) + 1] == 255


def test_a_photographs_faces_are_edited_one_at_a_time(pipe, two):
    large, small = find(pipe, two), find(pipe, two, 2)
    assert large.framed.info["note"] == "2 faces were found: the largest was taken"
    assert small.framed.info["note"] == "2 faces were found: number 2 was taken"
    assert np.allclose(find_quads(two), large.quads)
    for shown, half in ((large, slice(0, 400)), (small, slice(420, 680))):
        (result,) = edit(pipe, shown, {EDIT: 1.0})
        difference = changed(shown, result)
        assert difference[:, half].any() and not np.delete(difference, np.r_[half], 1).any()


def test_pictures_along_an_edit(pipe):
    shown = find(pipe, open_picture(ASTRONAUT))
    first, middle, last = edit(pipe, shown, {EDIT: 1.0}, 1.0, (0.0, 0.5, 1.0))
    assert changed(shown, first).max() == 0
    assert 0 < changed(shown, middle).mean() < changed(shown, last).mean()


def test_a_picture_in_the_frame_is_edited_whole(pipe):
    """A file of FFHQ is its own frame."""
    shown = find(pipe, open_picture(ASTRONAUT))
    framed = shown.picture.transform(
        (512, 512), Image.Transform.QUAD, (shown.quad + 0.5).flatten().tolist(), Image.Resampling.BILINEAR
    )
    again = find(pipe, framed)
    assert np.allclose(again.quad, np.array([(0, 0), (0, 512), (512, 512), (512, 0)]) - 0.5)
    assert changed(again, edit(pipe, again, {EDIT: 1.0})[0])[256, 256] > 0


def test_a_reduced_photograph_has_its_faces_at_the_same_places(pipe, two):
    shown = find(pipe, two, 2)
    reduced = shown.reduced(350)
    assert reduced.picture.size == (350, 200)
    assert np.allclose(reduced.quad + 0.5, (shown.quad + 0.5) / 2)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda pipe, two: find(pipe, two, 3), "face 3 is not there: 2 were found"),
        (lambda pipe, two: find(pipe, two, 0), "face 0 is not there"),
        (
            lambda pipe, two: find(pipe, Image.new("RGB", (90, 90))),
            "no face was found in the picture of 90 x",
        ),
        (lambda pipe, two: edit(pipe, find(pipe, two), {EDIT: 1.0}, 2.0), "the residual is 2.0, expected"),
        (lambda pipe, two: encoded(two, "photo.xyz"), "'photo.xyz' does not end as the name of a picture"),
        (
            lambda pipe, two: find(EditingPipeline.from_pretrained("bundled", "multimnist"), two),
            "there is no place in it",
        ),
    ],
)
def test_what_cannot_be_is_said(pipe, two, act, message):
    with pytest.raises(ValueError, match=message):
        act(pipe, two)


def test_the_file_keeps_the_colour_profile_and_no_camera_data(pipe, tmp_path):
    picture = Image.open(ASTRONAUT)
    exif = picture.getexif()
    exif[0x010F] = "a camera"
    picture.save(tmp_path / "p.jpg", icc_profile=b"a profile", exif=exif)
    (result,) = edit(pipe, find(pipe, open_picture(tmp_path / "p.jpg")), {EDIT: 1.0})
    read = Image.open(io.BytesIO(encoded(result, "OUT.JPG")))
    assert read.format == "JPEG" and read.info["icc_profile"] == b"a profile" and not read.getexif()
