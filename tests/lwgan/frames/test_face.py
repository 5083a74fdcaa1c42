"""Photographs come into FFHQ's frame: pictures whose right answer is known, and one real face."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lwgan import EditingPipeline
from lwgan.frames import face as faces
from lwgan.frames import mtcnn
from lwgan.frames.face import MIN_QUAD, align_face, find_landmarks, frame_face, is_framed, quad_of
from lwgan.images import to_tensor
from tests.conftest import DATA

ASTRONAUT = DATA / "faces" / "astronaut.jpg"
# Measured by eye in the picture of 512 px at 8 times its size, the first pixel's middle at 0, 0.
PARTS = np.array([(203.0, 100.8), (246.5, 103.0), (223.3, 126.4), (203.9, 140.1), (243.3, 141.0)])
# In units of the frame, with its upper left corner at 0, 0: half its side is twice the distance of the eyes.
EYES_AND_MOUTH = np.array([(0.375, 0.475), (0.625, 0.475), (0.5, 0.6), (0.4, 0.725), (0.6, 0.725)])
CORNERS = np.array([(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)])


def placed(points: np.ndarray, side: float, degrees: float, corner: tuple[float, float]) -> np.ndarray:
    """Points [N, 2] of the frame -> px of a photograph where the frame has this side, rotation and corner."""
    turn = np.deg2rad(degrees)
    return points * side @ np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))]) + corner


def photograph(side: float, degrees: float, corner: tuple[float, float], size=(300, 240)) -> Image.Image:
    """The pattern of a face's frame, and what goes on around it, as a photograph shows it."""
    y, x = np.mgrid[: size[1], : size[0]]
    inverse = placed(np.eye(2), 1.0, -degrees, (0, 0)) / side
    return pattern((np.stack([x, y], -1) - corner) @ inverse)


def pattern(points: np.ndarray) -> Image.Image:
    """A smooth picture over points [H, W, 2] of the frame, without any symmetry."""
    u, v = np.moveaxis(points, -1, 0)
    waves = [
        np.sin(7 * u + 3 * v + phase) + 0.7 * np.cos(5 * v * (1 + 0.3 * u) + 2 * phase)
        for phase in (0.0, 1.0, 2.0)
    ]
    return Image.fromarray((np.stack(waves, -1) * 70 + 127).clip(0, 255).round().astype(np.uint8))


def upright(size: int) -> np.ndarray:
    """What the frame holds: float [size, size, 3]."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    return np.asarray(pattern(np.stack([x, y], -1)), float)


def difference(picture: Image.Image, expected: np.ndarray) -> float:
    return np.abs(np.asarray(picture, float) - expected).mean()


# The frame


def test_the_frame_of_an_upright_face():
    landmarks = np.array(
        [(-10, 0), (10, 0), (0, 10), (-8, 20), (8, 20)], float
    )  # 2 x 20 > 1.8 x 20: the eyes decide
    assert np.allclose(quad_of(landmarks), [(-40, -38), (-40, 42), (40, 42), (40, -38)])
    landmarks[3:, 1] = 40  # 1.8 x 40 = 72: the mouth decides
    assert np.allclose(quad_of(landmarks), [(-72, -68), (-72, 76), (72, 76), (72, -68)])


@settings(max_examples=50, deadline=None)
@given(st.floats(5, 500), st.floats(-180, 180), st.floats(-100, 100), st.floats(-100, 100))
def test_the_frame_moves_with_the_face(side, degrees, x, y):
    face = EYES_AND_MOUTH + np.random.default_rng(0).normal(0, 0.02, (5, 2))
    assert np.allclose(
        quad_of(placed(face, side, degrees, (x, y))),
        placed(quad_of(face), side, degrees, (x, y)),
        atol=1e-6 * side,
    )


def test_sixty_eight_points_give_the_frame_of_their_eyes_and_mouth():
    points = np.random.default_rng(0).normal(0, 100, (68, 2))
    around = np.array([(np.cos(a), np.sin(a)) for a in np.arange(6) * np.pi / 3]) * 0.02
    points[36:42], points[42:48] = EYES_AND_MOUTH[0] + around, EYES_AND_MOUTH[1] + around
    points[48], points[54] = EYES_AND_MOUTH[3:]
    assert np.allclose(quad_of(points), CORNERS)


@pytest.mark.parametrize("supersample", [1, 4])
@pytest.mark.parametrize(
    ("side", "degrees", "corner"),
    [
        (150, 0, (70, 40)),
        (120, 25, (120, 50)),
        (120, -70, (90, 160)),
        (110, 180, (220, 190)),
        (60, 10, (99.3, 80.6)),
    ],
)
def test_a_face_comes_out_upright_wherever_it_was(side, degrees, corner, supersample):
    found = align_face(
        photograph(side, degrees, corner),
        placed(EYES_AND_MOUTH, side, degrees, corner),
        size=64,
        supersample=supersample,
    )
    assert found.picture.size == (64, 64) and found.picture.mode == "RGB" and found.note is None
    assert np.allclose(found.quad, placed(CORNERS, side, degrees, corner))
    assert difference(found.picture, upright(64)) < 1.0


def test_a_large_face_is_reduced_before_it_is_cut():
    size, frame = (1500, 1400), (1200.0, 12.0, (300.0, 60.0))
    rng = np.random.default_rng(0)
    noisy = np.asarray(photograph(*frame, size), float) + rng.normal(0, 40, (size[1], size[0], 1))
    found = align_face(
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)),
        placed(EYES_AND_MOUTH, *frame),
        size=64,
        supersample=1,
    )
    assert difference(found.picture, upright(64)) < 6, "one pixel in twenty would show the noise of 40 / 255"


def test_what_the_photograph_lacks_is_mirrored_and_fades():
    frame = (160.0, 0.0, (-60.0, 30.0))
    found = align_face(photograph(*frame), placed(EYES_AND_MOUTH, *frame), size=160, supersample=1)
    assert found.quad[0, 0] == -60
    pixels, expected = np.asarray(found.picture, float), upright(160)
    assert np.abs(pixels[:, 85:] - expected[:, 85:]).mean() < 1  # away from the border nothing changes
    # 60 px are missing. Just beyond the border the mirrored pixels follow, at the outer edge one colour.
    assert np.abs(pixels[40:120, 55:60] - pixels[40:120, 64:59:-1]).mean() < 12
    assert pixels[40:120, :3].std((0, 1)).max() < pixels[40:120, 60:].std((0, 1)).min() / 3


@pytest.mark.parametrize("sigma", [0.7, 3.0, 8.0])
def test_the_blur_is_scipys(sigma):
    from scipy import ndimage

    pixels = np.random.default_rng(0).uniform(0, 255, (50, 70, 3)).astype(np.float32)
    assert np.allclose(
        faces._blurred(pixels, sigma), ndimage.gaussian_filter(pixels, (sigma, sigma, 0)), atol=1e-2
    )


# Kinds of pictures


def saved(picture: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def turned_by_exif(picture: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees clockwise
    return saved(picture.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)


def as_sixteen_bits(picture: Image.Image) -> bytes:
    return saved(Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257), "PNG")


def with_alpha(picture: Image.Image) -> bytes:
    picture = picture.convert("RGBA")
    picture.putalpha(255)
    return saved(picture, "PNG")


@pytest.mark.parametrize(
    ("kind", "colour"),
    [
        (turned_by_exif, True),
        (with_alpha, True),
        (as_sixteen_bits, False),
        (lambda picture: saved(picture.convert("L"), "PNG"), False),
    ],
)
def test_every_kind_of_picture_gives_the_same_face(kind, colour):
    frame = (120.0, 25.0, (120.0, 50.0))
    found = align_face(kind(photograph(*frame)), placed(EYES_AND_MOUTH, *frame), size=64)
    expected = Image.fromarray(upright(64).astype(np.uint8))
    assert found.picture.mode == "RGB"
    assert (
        difference(
            found.picture, np.asarray(expected if colour else expected.convert("L").convert("RGB"), float)
        )
        < 1.5
    )


def test_where_a_photograph_was_taken_stays_behind():
    exif = Image.Exif()
    exif[0x010F] = "camera"
    photo = Image.open(io.BytesIO(saved(Image.open(ASTRONAUT), "JPEG", exif=exif, comment=b"at home")))
    framed = align_face(photo, size=300).picture
    photo_of_framed = Image.open(io.BytesIO(saved(framed, "JPEG", exif=exif)))
    for picture in (framed, frame_face(photo), frame_face(photo_of_framed)):
        assert not {"exif", "comment"} & set(picture.info) and b"camera" not in saved(picture, "PNG")


def test_what_is_transparent_around_a_face_is_white():
    frame = (120.0, 0.0, (90.0, 60.0))
    picture = photograph(*frame).convert("RGBA")
    picture.putalpha(
        Image.fromarray(np.where(np.arange(300) < 150, 0, 255).astype(np.uint8)[None].repeat(240, 0))
    )
    pixels = np.asarray(align_face(picture, placed(EYES_AND_MOUTH, *frame), size=60).picture)
    assert pixels[:, :28].min() > 250 and np.abs(pixels[:, 33:] - upright(60)[:, 33:]).mean() < 1.5


# What is refused


def face_at(side=120.0, degrees=0.0, corner=(80.0, 60.0)) -> np.ndarray:
    return placed(EYES_AND_MOUTH, side, degrees, corner)


BAD = {
    "three points": (face_at()[:3], r"shape \[3, 2\], expected \[5, 2\] .*or \[68, 2\]"),
    "three numbers a point": (np.zeros((5, 3)), r"shape \[5, 3\], expected \[5, 2\]"),
    "one face too many": (face_at()[None], r"shape \[1, 5, 2\]"),
    "words": ([["a", "b"]] * 5, "no table of numbers"),
    "ragged": ([[1, 2], [3]], "no table of numbers"),
    "NaN": (
        np.where(np.arange(5)[:, None] == 3, np.nan, face_at()),
        r"landmark 3 is \[nan, nan\]: expected two finite",
    ),
    "infinite": (np.where(np.arange(5)[:, None] == 0, np.inf, face_at()), "landmark 0 is"),
    "eyes coincide": (face_at()[[0, 0, 2, 3, 4]], r"both eyes lie at \(125, 117\)"),
    "all coincide": (np.full((5, 2), 50.0), r"both eyes lie at \(50, 50\)"),
    "mouth between the eyes": (face_at()[[0, 1, 2, 0, 1]], "share one middle"),
    "left and right exchanged": (face_at()[[1, 0, 2, 4, 3]], "left eye at .* lies right of the right eye"),
    "of another size": (
        face_at() * 10,
        r"landmark 0 at \(1250, 1170\) lies far outside the picture of 300 x 240 px",
    ),
    "tiny": (placed(EYES_AND_MOUTH, MIN_QUAD - 1, 0, (50, 50)), "frame is 15.0 px wide: at least 16"),
    "beside the picture": (face_at(corner=(-200, 60)), "frame lies outside the picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_landmarks_that_are_no_face_are_refused(name):
    landmarks, words = BAD[name]
    with pytest.raises(ValueError, match=words):
        align_face(photograph(120, 0, (80, 60)), landmarks, size=32)


@pytest.mark.parametrize("size", [(1, 1), (4, 300)])
def test_a_picture_too_small_for_a_face_is_refused(size):
    with pytest.raises(ValueError, match="landmark|frame"):
        align_face(Image.new("RGB", size), face_at(), size=32)


def test_senseless_sizes_are_refused():
    with pytest.raises(ValueError, match="size is 0 and supersample 4"):
        align_face(Image.new("RGB", (300, 240)), face_at(), size=0)


# The networks that find faces


def test_the_networks_are_those_of_the_paper():
    assert [sum(p.numel() for p in net.parameters()) for net in mtcnn.networks().children()] == [
        6_632,
        100_178,
        389_040,
    ]


@pytest.mark.parametrize("size", [512, 320, 160])
def test_the_parts_of_a_real_face_are_found(size):
    picture = Image.open(ASTRONAUT).resize((size, size), Image.Resampling.LANCZOS)
    landmarks, note = find_landmarks(picture)
    assert note is None
    assert (
        np.abs((landmarks + 0.5) * 512 / size - 0.5 - PARTS).max() < 3.5
    )  # px of 512; the eyes are 43 px apart


def test_a_picture_that_is_searched_at_half_its_size_has_the_landmarks_of_its_own():
    """Every pixel four times: the same picture is searched, and what is at x there is at 2 x + 1/2 here."""
    picture = Image.open(ASTRONAUT).resize((faces.SEARCH_SIDE, faces.SEARCH_SIDE))
    twice = Image.fromarray(np.asarray(picture).repeat(2, 0).repeat(2, 1))
    assert np.allclose(find_landmarks(twice)[0], 2 * find_landmarks(picture)[0] + 0.5, atol=1e-3)


def test_a_photograph_lying_on_its_side_is_found_by_its_exif():
    flat = Image.open(ASTRONAUT)
    found = align_face(turned_by_exif(flat), size=64)
    assert np.allclose(found.quad, align_face(flat, size=64).quad)
    assert np.degrees(np.arctan2(*(found.quad[3] - found.quad[0])[::-1])) == pytest.approx(3, abs=3)


@pytest.mark.parametrize("large_first", [True, False])
def test_of_several_faces_the_largest_is_taken_and_said(large_first):
    small, large = (
        Image.open(ASTRONAUT).resize((size, size), Image.Resampling.LANCZOS) for size in (260, 400)
    )
    both = Image.new("RGB", (700, 400), "grey")
    both.paste(large, (0 if large_first else 300, 0))
    both.paste(small, (420 if large_first else 10, 70))
    found = align_face(both, size=64)
    assert found.note == "2 faces were found: the largest was taken"
    framed = frame_face(both)
    assert framed.info["note"] == found.note and np.allclose(framed.info["quads"], found.quad)
    assert (
        np.abs(found.landmarks - ((PARTS + 0.5) * 400 / 512 - 0.5) - (0 if large_first else 300, 0)).max() < 4
    )


def test_a_face_cut_by_the_border_is_found_and_padded():
    whole = align_face(ASTRONAUT, size=64)
    found = align_face(Image.open(ASTRONAUT).crop((110, 40, 320, 250)), size=64, supersample=1)
    assert found.quad[:, 0].min() < -10 and np.abs(found.quad + np.array([110, 40]) - whole.quad).max() < 8
    assert np.asarray(found.picture)[:, :5].std() < np.asarray(whole.picture)[:, :5].std()


@pytest.mark.parametrize(
    "picture",
    [
        Image.effect_noise((200, 150), 60),
        Image.new("RGB", (300, 300), "white"),
        Image.new("L", (1, 1)),
        Image.new("RGB", (2000, 5)),
    ],
)
def test_a_picture_without_a_face_is_refused(picture):
    with pytest.raises(
        ValueError, match=rf"no face was found in the picture of {picture.width} x {picture.height} px"
    ):
        align_face(picture)


def test_what_is_in_the_frame_already_is_only_resized():
    whole = align_face(ASTRONAUT, size=300).picture
    assert is_framed(whole.size, quad_of(find_landmarks(whole)[0]))
    again = frame_face(whole, 128)
    assert np.array_equal(np.asarray(again), np.asarray(whole.resize((128, 128), Image.Resampling.LANCZOS)))
    assert frame_face(again, 128).tobytes() == again.tobytes()
    photo = Image.open(ASTRONAUT)
    assert not is_framed(photo.size, quad_of(find_landmarks(photo)[0]))


def test_only_the_frame_of_nearly_the_whole_picture_is_the_picture_itself():
    whole = CORNERS * 100 - 0.5
    assert is_framed((100, 100), whole) and not is_framed((100, 101), whole)
    for shift, there in ((9, True), (11, False)):
        assert is_framed((100, 100), whole + np.array([shift, 0])) == there
        assert (
            is_framed((100, 100), (whole - 49.5) * (1 + shift / 50 / 2**0.5) + 49.5) == there
        )  # each corner moves by so many px


# The pipeline


@pytest.fixture(scope="module")
def pipe(faces_registry):
    return EditingPipeline.from_pretrained(faces_registry)


def test_a_photograph_is_aligned_encoded_edited_and_drawn(pipe):
    assert (
        pipe.domain.name == "faces"
        and list(pipe.edits) == ["lwgan-faces-lw-eyeglasses"]
        and pipe.refused == {}
    )
    face = align_face(ASTRONAUT, size=256, supersample=1).picture
    w = pipe.encode([Image.open(ASTRONAUT)])
    torch.testing.assert_close(w, pipe.encoder(to_tensor(face)))
    (picture,) = pipe.generate(pipe.edit(w, {"lwgan-faces-lw-eyeglasses": 1.0}))
    assert picture.mode == "RGB" and picture.size == (64, 64)
    torch.testing.assert_close(
        pipe.encode(pipe.frame(Image.open(ASTRONAUT))), w
    )  # as the page does it: framed once, not twice


def test_a_sample_of_the_generator_needs_no_face_to_be_found(pipe, monkeypatch):
    monkeypatch.setattr(faces, "find_landmarks", None)
    sample = pipe.sample(3)
    assert (
        sample.mode == "RGB"
        and pipe.encode(pipe.frame(sample)).shape == pipe.encode([sample, sample])[:1].shape
    )


def test_a_photograph_without_a_face_is_refused_by_the_pipeline(pipe):
    with pytest.raises(ValueError, match="no face was found"):
        pipe.encode(Image.new("RGB", (200, 200), "blue"))
