"""letters:PATH: capitals of the fonts in a folder, labelled by the fonts' own tables.

A picture is one capital, white on black. Its ink box is centred, 40 px tall and at most 60 px wide at 64 px.
The group of a picture is its letter. A family of fonts is in one split only. A label that a font does not
state is unknown, but Serif, which can be measured. Sources: OpenType 1.9, tables OS/2, post and name; PANOSE.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from fontTools.ttLib import TTCollection, TTFont
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lwgan.domain import Change, Domain, default_changes
from lwgan.frames.glyphs import mask_box
from lwgan.frames.mark import centred
from trainers.datasets.base import Dataset, Part
from trainers.datasets.pictures import split_of
from trainers.shards import SPLITS, UNKNOWN, Split

CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
STYLES = ("Bold", "Light", "Italic", "Serif", "Condensed", "Monospaced", "Handwritten")
SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}
FOOT = (1.15, 1.4)  # a foot below the first is no serif, one above the second is one
SIZE = 200  # px: the size at which a glyph is drawn before it is scaled down
# Words that tell faces of one family apart are no part of the family's name.
FACE_WORDS = re.compile(
    r"\b((extra|ultra|semi|demi)?[ -]?(light|bold|condensed|expanded)|thin|hairline|book|regular|roman|medium"
    r"|heavy|black|narrow|compressed|wide|italic|oblique|slanted)\b",
    re.IGNORECASE,
)
LICENCE = """other
The weights were trained on pictures of capitals of free fonts, each under its own licence (SIL Open Font
Licence, GPL with font exception, LPPL, Bitstream Vera and others). No font is part of the weights. Do not
offer an edited letter under the name of a font."""
ABOUT = """The pictures are capitals A-Z of free fonts from Debian's packages. The labels are what the fonts
state of themselves: weight, slant, width, spacing and class. Families of validation and test pictures are in
no training picture."""
LIMITS = """- The models know one capital of the Latin alphabet at a time, 64 x 64 px, white on black.
- Patterns inside strokes (outlines, stencils, dots) come back filled.
- A label is what a font says of itself. Some fonts say nothing, and some are wrong."""
DOMAIN = Domain(name="letters", title="Letters", subject="a capital letter", frame="mark", attributes=STYLES,
                changes=default_changes(STYLES), licence=LICENCE, about=ABOUT, limits=LIMITS, draw=True,
                order=1)  # fmt: skip


class Face(NamedTuple):
    """One face of a font file; `number` counts within a collection. style: the whole name.
    weight: 1 to 1000, 400 is regular. silent: whether its PANOSE class is not stated.
    labels: uint8 of STYLES, or UNKNOWN."""

    path: Path
    number: int
    family: str
    style: str
    weight: int
    silent: bool
    labels: tuple[int, ...]


@dataclass
class Letters(Dataset):
    """Capitals of fonts."""

    place: str = ""
    faces: int = 8
    """The largest number of faces of one family: else three families have a third of all faces."""
    seed: int = 0

    channels: int = field(init=False, default=1)

    def __post_init__(self):
        found, self.unusable = find_faces(Path(self.place))
        found = [face for face in thin_out(found, self.faces, self.seed) if self._draws(face)]
        self._faces = [with_serif(face) for face in found]
        if not self._faces:
            expected = "expected fonts with the capitals A-Z (.ttf, .otf, .ttc)"
            raise FileNotFoundError(f"{self.place}: none of its files is usable: {expected}")
        self._rows = {split: self._shuffled(split) for split in SPLITS}
        self.domain, self.facts = DOMAIN, report(self._faces)

    def _draws(self, face: Face) -> bool:
        """Whether every capital has ink. Some fonts map a capital to an empty glyph, some do not open."""
        try:
            font = open_font(face.path, face.number, 24)
            empty = [letter for letter in CAPITALS if font.getmask(letter).getbbox() is None]
        except OSError as error:
            self.unusable.append((face.style, str(error)))
            return False
        if empty:
            self.unusable.append((face.style, f"the letter {empty[0]} has no ink"))
        return not empty

    def _shuffled(self, split: str) -> np.ndarray:
        """The rows (face, letter) of a split, [N, 2], in a random order."""
        faces = [i for i, face in enumerate(self._faces) if split_of(face.family) == split]
        if not faces:
            families = len({face.family for face in self._faces})
            raise ValueError(f"none of {families} families falls into the {split} split: more are needed")
        limit = self.train if split == "train" else self.heldout
        rows = np.array([(i, k) for i in faces for k in range(len(CAPITALS))])
        return np.random.default_rng(self.seed).permutation(rows)[: limit or None]

    def size(self, split: str) -> int:
        return len(self._rows[split])

    def read(self, split: str, rows: range) -> Part:
        chosen = self._rows[split][rows.start : rows.stop]
        labels = np.array([self._faces[i].labels for i, _ in chosen], np.uint8)
        images = drawn(((self._faces[i], CAPITALS[k]) for i, k in chosen), self.resolution)
        return Part(images, torch.from_numpy(labels), torch.from_numpy(chosen[:, 1].copy()))

    def made_of(self, split: str, rows: range) -> str:
        chosen = [(self._faces[i], int(k)) for i, k in self._rows[split][rows.start : rows.stop]]
        return repr((self.resolution, [(face.style, face.labels, letter) for face, letter in chosen]))

    def oracle(self, change: Change, rows: Tensor, split: Split) -> tuple[Tensor, Tensor] | None:
        """The same letter in the face of the same family that differs in the change's labels alone."""
        ideal = []
        for row in rows.tolist():
            face, letter = self._rows[split.name][row]
            if (twin := twin_of(self._faces[face], change, self._faces)) is not None:
                ideal.append((row, (twin, CAPITALS[letter])))
        if not ideal:
            return None
        kept, glyphs = zip(*ideal, strict=True)
        return torch.tensor(kept), drawn(glyphs, self.resolution)

    def by_hand(self, change: Change, images: Tensor) -> Tensor | None:
        """Thicker or thinner strokes, a shear, a squeeze: as much as designers do on average."""
        if change.name not in BY_HAND:
            return None
        made = [centred(BY_HAND[change.name](image.numpy()), self.resolution) for image in images[:, 0]]
        return torch.from_numpy(np.stack(made))[:, None]


def dilated(image: np.ndarray, radius: float) -> np.ndarray:
    """Strokes that grow (radius > 0) or shrink by `radius` px of 64 on each side."""
    fine, r = cv2.resize(np.pad(image, 8), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC), radius * 4
    r = r * image.shape[0] / 64
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(abs(r)) + 1,) * 2)
    return (cv2.dilate if r > 0 else cv2.erode)(fine, disc)


def sheared(image: np.ndarray, by: float) -> np.ndarray:
    """A picture whose upper edge moves to the right by `by` of its height."""
    side = image.shape[0]
    matrix = np.array([[4, -4 * by, 2 * side * (1 + by)], [0, 4, 2 * side]], np.float32)
    return cv2.warpAffine(image, matrix, (8 * side, 8 * side), flags=cv2.INTER_CUBIC)


def squeezed(image: np.ndarray, by: float) -> np.ndarray:
    """A picture at `by` of its width."""
    return cv2.resize(image, None, fx=4 * by, fy=4, interpolation=cv2.INTER_CUBIC)


# The amounts that come nearest to the designers' faces, in squared error of the pictures of four letters,
# on 39 to 60 pairs of faces of training families.
BY_HAND = {
    "Bold": lambda image: dilated(image, 1), "not-Bold": lambda image: dilated(image, -1),
    "Light": lambda image: dilated(image, -1), "not-Light": lambda image: dilated(image, 1),
    "Italic": lambda image: sheared(image, 0.2), "not-Italic": lambda image: sheared(image, -0.2),
    "Condensed": lambda image: squeezed(image, 0.85), "not-Condensed": lambda image: squeezed(image, 1.2),
}  # fmt: skip


def twin_of(face: Face, change: Change, faces: Iterable[Face]) -> Face | None:
    """The face that the family's designers made for a change; of several the nearest in weight."""
    aim = dict(zip(STYLES, face.labels, strict=True)) | {k: int(v) for k, v in change.target.items()}
    agrees = lambda other: all(a == b or UNKNOWN in (a, b) and name not in change.labels
                               for (name, a), b in zip(aim.items(), other.labels, strict=True))  # fmt: skip
    twins = [other for other in faces if other.family == face.family and agrees(other)]
    return min(twins, key=lambda other: abs(other.weight - face.weight), default=None)


def find_faces(folder: Path) -> tuple[list[Face], list[tuple[str, str]]]:
    """The faces with all capitals under a folder, sorted; (file, reason) of each file that does not open."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected a folder of fonts")
    found, unusable = {}, []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        try:
            faces = list(read_faces(path))
        except Exception as error:  # fontTools raises many kinds of errors for broken files
            unusable.append((str(path.relative_to(folder)), f"{type(error).__name__}: {error}"))
            continue
        found |= {(face.family, face.style): face for face in faces}  # .otf and .ttf of one face
    sizes = Counter(face.family for face in found.values())
    faces = [without_defaults(found[key]) if sizes[key[0]] == 1 else found[key] for key in sorted(found)]
    return faces, unusable


def without_defaults(face: Face) -> Face:
    """The face, with every "no" unknown if it does not even state its PANOSE class: font editors write
    regular weight, upright and normal width where their user says nothing."""
    labels = tuple(UNKNOWN if label == 0 else label for label in face.labels)
    return face._replace(labels=labels) if face.silent else face


def with_serif(face: Face) -> Face:
    """The face, with Serif read from its outlines if the font does not state it: a foot wider than the stem
    above it, in both F and P."""
    k = STYLES.index("Serif")
    if face.labels[k] != UNKNOWN:
        return face
    ratios = np.array([foot_over_stem(face, letter) for letter in "FP"])
    label = 1 if (ratios > FOOT[1]).all() else 0 if (ratios < FOOT[0]).all() else UNKNOWN
    return face._replace(labels=(*face.labels[:k], label, *face.labels[k + 1 :]))


def foot_over_stem(face: Face, letter: str) -> float:
    """The width of the ink at a letter's foot over that at a quarter of its height; nan unless both are one
    stroke (an outline is two)."""
    ink = draw(face, letter, SIZE) > 127
    ink = ink[mask_box(ink)]
    rows = [np.flatnonzero(ink[-1 - round(part * len(ink))]) for part in (0.02, 0.25)]
    if any(len(row) == 0 or row[-1] - row[0] >= len(row) for row in rows):
        return float("nan")
    foot, stem = map(len, rows)
    return foot / stem


def read_faces(path: Path) -> Iterator[Face]:
    """The faces of a font file that have all capitals."""
    collection = path.suffix.lower() in (".ttc", ".otc")
    fonts = TTCollection(path, lazy=True).fonts if collection else [TTFont(path, lazy=True)]
    for number, font in enumerate(fonts):
        cmap = font.getBestCmap() or {}
        if not all(ord(letter) in cmap for letter in CAPITALS):
            continue
        name, weight = font["name"], font["OS/2"].usWeightClass
        said = name.getDebugName(16) or name.getDebugName(1) or path.stem
        style = f"{said} {name.getDebugName(17) or name.getDebugName(2) or ''}"
        family = " ".join(FACE_WORDS.sub(" ", said).split()) or said
        weight *= 100 if weight < 10 else 1  # an old scale, from 1 to 9
        silent = font["OS/2"].panose.bFamilyType == 0
        yield Face(path, number, family, style, weight, silent, labels_of(font, weight, style.lower()))


def labels_of(font: TTFont, weight: int, words: str) -> tuple[int, ...]:
    """The labels of STYLES as the font's tables and its name, in small letters, state them."""
    os2, post = font["OS/2"], font["post"]
    panose, kind = os2.panose, os2.sFamilyClass >> 8
    named = lambda *parts: any(part in words for part in parts)
    text = panose.bFamilyType == 2  # only for text faces do PANOSE's other fields mean what is read here
    serif = UNKNOWN
    if text and panose.bSerifStyle > 1:
        serif = int(panose.bSerifStyle <= 10)
    elif kind in (1, 2, 3, 4, 5, 7, 8):
        serif = int(kind != 8)
    elif named("serif", "sans"):
        serif = int(not named("sans"))
    hand = UNKNOWN if panose.bFamilyType == 0 and kind == 0 else 0
    if panose.bFamilyType == 3 or kind == 10 or named("script", "handwrit", "brush"):
        hand = 1
    return (
        UNKNOWN if 500 < weight < 700 else int(weight >= 700),
        int(weight <= 300),
        int(os2.fsSelection & 1 or post.italicAngle != 0 or named("italic", "oblique")),
        serif,
        int(os2.usWidthClass < 5 or named("condensed", "narrow")),
        int(post.isFixedPitch > 0 or (text and panose.bProportion == 9)),
        hand,
    )


def thin_out(faces: list[Face], most: int, seed: int = 0) -> list[Face]:
    """At most so many faces of each family, chosen at random."""
    rng, families = np.random.default_rng(seed), {}
    for face in faces:
        families.setdefault(face.family, []).append(face)
    return [family[i] for family in families.values() for i in np.sort(rng.permutation(len(family))[:most])]


def report(faces: list[Face]) -> dict:
    """Numbers of faces and families; for each label how many faces say yes, no and nothing; pairs of faces
    that differ in Bold alone, and in how many of them the bold face has no more ink."""
    columns = np.array([face.labels for face in faces], np.uint8).T
    said = {name: [int((column == value).sum()) for value in (1, 0, UNKNOWN)]
            for name, column in zip(STYLES, columns, strict=True)}  # fmt: skip
    bold = DOMAIN.change("Bold")
    regular = [face for face in faces if face.labels[STYLES.index("Bold")] == 0]
    pairs = [(face, twin_of(face, bold, faces)) for face in regular]
    pairs = [(a, b) for a, b in pairs if b is not None]
    ink = lambda face: float(drawn([(face, letter) for letter in "HO"], 64).float().mean())
    wrong = sum(ink(b) <= ink(a) for a, b in pairs)
    families = len({face.family for face in faces})
    return {"faces": len(faces), "families": families, "yes_no_unknown": said, "bold_pairs": len(pairs),
            "bold_no_darker": wrong}  # fmt: skip


@lru_cache(maxsize=64)
def open_font(path: Path, number: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size, index=number, layout_engine=ImageFont.Layout.BASIC)


def drawn(glyphs: Iterable[tuple[Face, str]], side: int) -> Tensor:
    """Capitals in their frame, uint8 [N, 1, side, side]."""
    return torch.from_numpy(np.stack([draw(face, letter, side) for face, letter in glyphs]))[:, None]


def draw(face: Face, letter: str, side: int) -> np.ndarray:
    """One capital in its frame, uint8 [side, side]."""
    font = open_font(face.path, face.number, SIZE)
    left, top, right, bottom = font.getbbox(letter, anchor="ls")
    canvas = Image.new("L", (right - left + 8, bottom - top + 8))
    ImageDraw.Draw(canvas).text((4 - left, 4 - top), letter, font=font, fill=255, anchor="ls")
    return centred(np.asarray(canvas), side)
