"""Fonts made here, whose glyphs and tables are known, and the DejaVu fonts that Matplotlib brings."""

import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from trainers.datasets import open_dataset
from trainers.datasets.letters import CAPITALS, STYLES, find_faces, with_serif
from trainers.datasets.pictures import split_of
from trainers.shards import UNKNOWN, Split

DEJAVU = Path(matplotlib.get_data_path(), "fonts", "ttf")
HEIGHT = 700  # units: all glyphs


def width_of(letter: str, weight: int) -> int:
    """The width in units of a glyph, which is a filled box."""
    return 100 + 20 * (ord(letter) - ord("A")) + weight // 4


def glyph(width: int):
    pen = TTGlyphPen(None)
    pen.moveTo((50, 0))
    for point in ((50, HEIGHT), (50 + width, HEIGHT), (50 + width, 0)):
        pen.lineTo(point)
    pen.closePath()
    return pen.glyph()


def save_font(path: Path, family: str, weight: int = 400, letters: str = CAPITALS, empty: str = "", **os2):
    font, style = FontBuilder(1000), {400: "Regular", 700: "Bold"}.get(weight, f"W{weight}")
    font.setupGlyphOrder([".notdef", *letters])
    font.setupCharacterMap({ord(letter): letter for letter in letters})
    boxes = {letter: glyph(width_of(letter, weight)) for letter in letters if letter not in empty}
    blank = dict.fromkeys([".notdef", *empty], TTGlyphPen(None).glyph())
    font.setupGlyf(blank | boxes)
    font.setupHorizontalMetrics(dict.fromkeys(font.font.getGlyphOrder(), (1000, 50)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": family, "styleName": style})
    font.setupOS2(usWeightClass=weight, **os2)
    font.setupPost()
    font.save(path)


@pytest.fixture(scope="module")
def fonts(tmp_path_factory) -> Path:
    """40 families with a regular and a bold face, some in a folder of their own; files that are no use."""
    folder = tmp_path_factory.mktemp("fonts")
    (folder / "more").mkdir()
    for i in range(40):
        for weight in (400, 700):
            save_font(folder / ("more" if i % 3 else "") / f"{i}-{weight}.ttf", f"Family {i}", weight)
    (folder / "broken.ttf").write_bytes(b"\x00\x01\x00\x00 torn")
    save_font(folder / "digits.ttf", "No capitals", letters="abcdefg")
    save_font(folder / "blank.ttf", "One blank", empty="Q")
    return folder


def test_pictures_are_the_glyphs_in_their_frame(fonts):
    dataset = open_dataset(f"letters:{fonts}")
    part = dataset.read("train", range(200))
    assert part.images.shape == (200, 1, 64, 64)
    for image, labels, letter in zip(part.images[:, 0], part.labels, part.groups, strict=True):
        rows, columns = (np.flatnonzero((image > 127).any(axis).numpy()) for axis in (1, 0))
        assert (rows[0], rows[-1]) == (12, 51)  # 40 px, centred
        weight = 700 if labels[STYLES.index("Bold")] else 400
        expected = 40 * width_of(CAPITALS[letter], weight) / HEIGHT
        assert abs(len(columns) - expected) <= 1
        assert abs(columns[0] + columns[-1] - 63) <= 1


def test_a_family_is_in_one_split_and_every_face_has_each_letter_once(fonts):
    dataset, seen = open_dataset(f"letters:{fonts}"), {}
    for split in ("train", "validation", "test"):
        part = dataset.read(split, range(dataset.size(split)))
        expected = [f"Family {i}" for i in range(40) if split_of(f"Family {i}") == split]
        assert dataset.size(split) == 2 * 26 * len(expected) > 0
        assert part.groups.bincount().tolist() == [2 * len(expected)] * 26
        seen[split] = len(expected)
    assert sum(seen.values()) == 40


def test_files_that_are_no_use_are_listed_with_the_reason(fonts):
    unusable = dict(open_dataset(f"letters:{fonts}").unusable)
    assert set(unusable) == {"broken.ttf", "One blank Regular"}
    assert unusable["One blank Regular"] == "the letter Q has no ink"


def test_the_ideal_edit_is_the_same_letter_of_the_bold_face(fonts):
    dataset = open_dataset(f"letters:{fonts}")
    part, change = dataset.read("test", range(dataset.size("test"))), dataset.domain.change("Bold")
    bold = part.labels[:, STYLES.index("Bold")]
    split = Split(part.images, part.labels, part.groups, dataset.domain, {}, "test")
    rows, ideal = dataset.oracle(change, torch.nonzero(bold == 0)[:, 0], split)
    assert rows.tolist() == torch.nonzero(bold == 0)[:, 0].tolist()
    for row, image in zip(rows[:50], ideal[:50, 0], strict=True):
        columns = int((image > 127).any(0).sum())
        expected = 40 * width_of(CAPITALS[part.groups[row]], 700) / HEIGHT
        assert abs(columns - expected) <= 1
    assert dataset.oracle(dataset.domain.change("Italic"), rows, split) is None


def test_what_is_done_by_hand_is_what_it_says(fonts):
    """A box that grows by a pixel on each side is then scaled back to its height by the frame."""
    dataset = open_dataset(f"letters:{fonts}")
    box = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    box[:, :, 12:52, 22:42] = 255
    changes = map(dataset.domain.change, ("Bold", "Condensed", "Italic"))
    made = {change.name: dataset.by_hand(change, box) for change in changes}
    wide = {name: (image[0, 0] > 127).sum(1).float() for name, image in made.items()}
    assert wide["Bold"].max() == pytest.approx(22 * 40 / 42, abs=1)
    assert wide["Condensed"].max() == pytest.approx(0.85 * 20, abs=1)
    left = (made["Italic"][0, 0] > 127).int().argmax(1)
    assert left[14] - left[49] == pytest.approx(0.2 * 35, abs=1.5)
    assert dataset.by_hand(dataset.domain.change("Serif"), box) is None


def test_the_number_of_faces_of_a_family_is_limited(fonts):
    assert open_dataset(f"letters:{fonts}").facts["faces"] == 80
    limited = open_dataset(f"letters:{fonts}", faces=1)
    assert limited.facts["faces"] == limited.facts["families"] == 40


@pytest.mark.parametrize(
    ("name", "yes"),
    [
        ("DejaVuSans", set()),
        ("DejaVuSans-Bold", {"Bold"}),
        ("DejaVuSans-BoldOblique", {"Bold", "Italic"}),
        ("DejaVuSansMono", {"Monospaced"}),
        ("DejaVuSerif", {"Serif"}),
        ("DejaVuSerif-BoldItalic", {"Bold", "Italic", "Serif"}),
    ],
)
def test_labels_of_well_known_fonts(name, yes, tmp_path):
    shutil.copy(DEJAVU / f"{name}.ttf", tmp_path)
    [face], _ = find_faces(tmp_path)
    assert {style for style, label in zip(STYLES, face.labels, strict=True) if label == 1} == yes
    assert face.family.split()[0] == "DejaVu"


class TestWhatTheTablesSay:
    """OS/2 of a font made here, changed one field at a time."""

    def face(self, tmp_path, family="Plain", **os2):
        save_font(tmp_path / "a.ttf", family, **os2)
        save_font(tmp_path / "b.ttf", family, weight=900)  # a second face: the first is not alone
        faces, _ = find_faces(tmp_path)
        face = next(face for face in faces if face.path.name == "a.ttf")
        return dict(zip(STYLES, face.labels, strict=True)) | {"weight": face.weight, "family": face.family}

    def test_a_weight_between_regular_and_bold_is_neither(self, tmp_path):
        assert self.face(tmp_path, weight=600)["Bold"] == UNKNOWN

    def test_weights_of_the_old_scale(self, tmp_path):
        face = self.face(tmp_path, weight=3)
        assert (face["weight"], face["Light"], face["Bold"]) == (300, 1, 0)

    def test_width_and_slant(self, tmp_path):
        assert self.face(tmp_path, usWidthClass=3)["Condensed"] == 1
        assert self.face(tmp_path, fsSelection=1)["Italic"] == 1

    def test_class_and_name(self, tmp_path):
        assert self.face(tmp_path, sFamilyClass=0x0100)["Serif"] == 1  # class 1, old-style serifs
        assert self.face(tmp_path, sFamilyClass=0x0800)["Serif"] == 0  # class 8, sans serif
        assert self.face(tmp_path)["Serif"] == UNKNOWN
        assert self.face(tmp_path, family="Curly Script")["Handwritten"] == 1

    def test_words_of_a_face_are_no_part_of_the_family(self, tmp_path):
        assert self.face(tmp_path, family="Wide World Extra-Light Italic")["family"] == "World"

    def test_a_lone_face_that_states_no_class_says_no_to_nothing(self, tmp_path):
        save_font(tmp_path / "a.ttf", "Alone", usWidthClass=3)
        [face], _ = find_faces(tmp_path)
        assert face.labels == tuple(1 if style == "Condensed" else UNKNOWN for style in STYLES)


@pytest.mark.parametrize(
    ("name", "label"),
    [("DejaVuSans", 0), ("DejaVuSerif", 1), ("STIXGeneral", 1), ("cmr10", 1), ("cmss10", 0)],
)
def test_serifs_are_measured_where_the_font_is_silent(name, label, tmp_path):
    shutil.copy(DEJAVU / f"{name}.ttf", tmp_path)
    [face], _ = find_faces(tmp_path)
    k = STYLES.index("Serif")
    silent = face._replace(labels=tuple(UNKNOWN if i == k else value for i, value in enumerate(face.labels)))
    assert with_serif(silent).labels[k] == label


def test_a_folder_without_fonts_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected fonts with the capitals A-Z"):
        open_dataset(f"letters:{tmp_path}")
    with pytest.raises(FileNotFoundError, match="expected a folder of fonts"):
        open_dataset(f"letters:{tmp_path / 'none'}")
