"""Photographs and scans of digits on paper, drawn from a seed, and the rates at which frame "ink" reads them.

`python -m tests.photographs --count 40 --seed 202` prints the table of docs/app.md. A picture counts as right
if the bundled judge reads exactly its digits in the frame; as silently wrong if it reads others and neither
a refusal nor a note warns of it. The digits are MNIST test digits that the judge reads right by themselves.
"""

import argparse
import io
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from trainers.datasets.mnist import Digits, load_digits

SIDE = 400  # px of the photographs
INK, PAPER = (40, 40, 62), (203, 198, 186)  # RGB
WOOD, DARK, LIGHT = (120, 82, 50), (62, 42, 30), (168, 150, 128)  # tables


class Scene(NamedTuple):
    """A photograph of its digits."""

    picture: Image.Image
    digits: tuple[int, ...]


def place(
    rng, glyphs: np.ndarray, labels: np.ndarray, size=(SIDE, SIDE), heights=(70, 110), pen=None, count=None
):
    """Coverage with ink [h, w] in 0..1 of one to four digits that keep apart, and the digits.

    heights: range of the digits' longer sides, px.  pen: px by which strokes grow (negative: shrink).
    """
    cover, boxes, digits = np.zeros(size[::-1], np.float32), [], []
    count = min(count or rng.integers(1, 5), len(glyphs))
    for index in rng.choice(len(glyphs), count, replace=False):
        digit = _enlarged(glyphs[index], rng.uniform(*heights), pen)
        height, width = digit.shape
        for _ in range(300):
            top, left = (
                rng.integers(12, edge - side - 12) for edge, side in zip(size[::-1], digit.shape, strict=True)
            )
            box, gap = np.array([top, left, top + height, left + width]), 0.22 * heights[1]
            if all((box[:2] > b[2:] + gap).any() or (b[:2] > box[2:] + gap).any() for b in boxes):
                boxes.append(box)
                digits.append(int(labels[index]))
                part = cover[top : top + height, left : left + width]
                np.maximum(part, digit, out=part)
                break
    return cover, tuple(sorted(digits))


def _enlarged(glyph: np.ndarray, side: float, pen) -> np.ndarray:
    rows, columns = np.flatnonzero(glyph.max(1) > 16), np.flatnonzero(glyph.max(0) > 16)
    glyph = np.pad(glyph[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    scale = side / max(glyph.shape)
    large = cv2.resize(glyph.astype(np.float32), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    large = np.clip((cv2.GaussianBlur(large, (0, 0), scale / 3) - 100) / 60, 0, 1)
    if pen:
        large = np.pad(large, max(pen, 0))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(pen) + 1,) * 2)
        large = (cv2.dilate if pen > 0 else cv2.erode)(large, kernel)
    return large


def paint(ground, cover: np.ndarray, ink) -> np.ndarray:
    """Ink over ground, RGB float [h, w, 3]."""
    ground = np.broadcast_to(np.asarray(ground, np.float32), (*cover.shape, 3))
    return ground + cover[..., None] * (np.asarray(ink, np.float32) - ground)


def shot(rng, pixels: np.ndarray, noise=4.0, blur=0.8, jpeg=85) -> Image.Image:
    """What a camera makes of a scene: blur, noise and JPEG."""
    pixels = cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), blur) + noise * rng.standard_normal(
        pixels.shape
    )
    picture, file = Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), io.BytesIO()
    picture.save(file, "JPEG", quality=jpeg)
    return Image.open(file).convert("RGB")


def grid(rng, cover: np.ndarray, step: float, width=1.0, columns=True, angle=0.0) -> np.ndarray:
    """Coverage [h, w] with rulings every `step` px, in one direction or two (`columns`), turned."""
    y, x = np.mgrid[: cover.shape[0], : cover.shape[1]].astype(np.float32)
    sin, cos = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    first = rng.uniform(0, step)
    lines = [
        np.abs((u + first) % step - step / 2) for u in [y * cos - x * sin] + [x * cos + y * sin] * columns
    ]
    return np.clip(width / 2 + 0.5 - np.minimum.reduce(lines), 0, 1)


def on_table(rng, sheet: np.ndarray, table, corners: np.ndarray, grain=0.0) -> np.ndarray:
    """A sheet [h, w, 3] with its corners (from the upper left, clockwise) at `corners` [4, 2] of a table."""
    height, width = sheet.shape[:2]
    source = np.float32([(0, 0), (width, 0), (width, height), (0, height)])
    matrix = cv2.getPerspectiveTransform(source, np.float32(corners))
    ground = np.broadcast_to(np.float32(table), (SIDE, SIDE, 3)).copy()
    if grain:
        streaks = cv2.GaussianBlur(
            rng.standard_normal((SIDE, SIDE)).astype(np.float32), (0, 0), 30, sigmaY=1.2
        )
        ground *= 1 + grain * (streaks / streaks.std())[..., None]
    over = cv2.warpPerspective(
        np.ones((height, width), np.float32), matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR
    )
    return ground + over[..., None] * (cv2.warpPerspective(sheet, matrix, (SIDE, SIDE)) - ground)


def quad(rng, angle=0.0, side=(300, 350), skew=0.0, at=(SIDE / 2, SIDE / 2)) -> np.ndarray:
    """The corners [4, 2] of a square about `at`, turned by `angle` degrees, each moved by up to `skew` px."""
    half, turn = rng.uniform(*side) / 2, np.radians(angle)
    rotation = np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
    corners = half * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) @ rotation
    return corners + at + rng.uniform(-skew, skew, (4, 2))


# Kinds. Each takes a random generator, glyphs [N, 28, 28] and labels, and gives a Scene.


def _corners(rng, *digits, least):
    cover, truth = place(rng, *digits)
    y, x = (np.mgrid[:SIDE, :SIDE] / (SIDE - 1) - 0.5) * 2
    light = 1 - (1 - least) * ((x**2 + y**2) / 2) ** rng.uniform(0.8, 1.3)
    return Scene(shot(rng, paint(PAPER, cover, INK) * light[..., None]), truth)


def _shadow(rng, *digits, least=0.4, edge=3, count=1):
    cover, truth = place(rng, *digits)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    page = paint(PAPER, cover, INK)
    for _ in range(count):
        turn = rng.uniform(0, 2 * np.pi)
        depth = (x * np.cos(turn) + y * np.sin(turn) + rng.uniform(-80, 80)) / edge
        page = page * (least + (1 - least) / (1 + np.exp(-depth.clip(-50, 50))))[..., None]
    return Scene(shot(rng, page), truth)


def _hand(rng, *digits, least=0.45, blur=8):
    """The shadow of a forearm and four fingers, from one side of the picture."""
    cover, truth = place(rng, *digits)
    hand, finger = np.zeros_like(cover), rng.uniform(45, 65)
    wrist = np.array([rng.uniform(100, 300), rng.uniform(150, 290)])
    cv2.ellipse(hand, (int(wrist[0]), SIDE), (int(2 * finger), int(SIDE - wrist[1] + 30)), 0, 0, 360, 1, -1)
    for k in range(4):
        angle = np.radians(-120 + 25 * k + rng.uniform(-8, 8))
        start = wrist + np.array([(k - 1.5) * finger, 0])
        ends = start, start + 110 * np.array([np.cos(angle), np.sin(angle)])
        cv2.line(hand, *(end.astype(int).tolist() for end in ends), 1, int(0.85 * finger))
    hand = cv2.GaussianBlur(np.rot90(hand, rng.integers(4)).copy(), (0, 0), blur)
    return Scene(shot(rng, paint(PAPER, cover, INK) * (1 - (1 - least) * hand)[..., None]), truth)


def _table(rng, *digits, table, angle=(-4, 4), skew=0, grain=0.0, ink=INK, paper=PAPER, side=(310, 350)):
    cover, truth = place(rng, *digits)
    corners = quad(rng, rng.uniform(*angle) * rng.choice((-1, 1)), side, skew)
    return Scene(shot(rng, on_table(rng, paint(paper, cover, ink), table, corners, grain)), truth)


def _beside(rng, *digits, table=DARK, angle=3):
    """The sheet ends within the picture at one side; its other sides are cut off."""
    cover, truth = place(rng, *digits, size=(310, 310))
    before, shift = rng.integers(2, size=2) * 280, np.zeros(2)  # px of the sheet left of and above the digits
    shift[rng.integers(2)] = 1
    sheet = paint(PAPER, np.pad(cover, [(edge + 5, 285 - edge) for edge in before[::-1]]), INK)
    edge = rng.uniform(35, 70)
    start = np.where(before, 400 - edge - 600, edge) * shift + (1 - shift) * (40 - before)
    return Scene(
        shot(
            rng,
            on_table(rng, sheet, table, quad(rng, rng.uniform(-angle, angle), (600, 600), 0, start + 300)),
        ),
        truth,
    )


def _ruled(
    rng,
    *digits,
    columns=False,
    line=(120, 140, 190),
    step=(24, 40),
    width=(1, 2),
    angle=0,
    ink=INK,
    camera=True,
):
    cover, truth = place(rng, *digits)
    rulings = grid(rng, cover, rng.uniform(*step), rng.uniform(*width), columns, rng.uniform(-angle, angle))
    page = paint(paint(PAPER if camera else (255, 255, 255), rulings, line), cover, ink)
    return Scene(shot(rng, page) if camera else Image.fromarray(page.astype(np.uint8)), truth)


def _boxed(rng, *digits, round_=False, pen=(2, 6), angle=0):
    cover, truth = place(rng, *digits)
    box, margin = np.zeros_like(cover), rng.uniform(2, 8)
    if round_:
        cover = cv2.resize(cover, None, fx=0.66, fy=0.66, interpolation=cv2.INTER_AREA)
        cover = np.pad(cover, (SIDE - len(cover)) // 2)
        cover, box = (
            np.pad(c, ((0, SIDE - len(c)), (0, SIDE - len(c)))) if len(c) < SIDE else c for c in (cover, box)
        )
        cv2.ellipse(box, (SIDE // 2,) * 2, (195, 192), 0, 0, 360, 1, int(rng.uniform(*pen)), cv2.LINE_AA)
    else:
        corners = quad(rng, rng.uniform(-angle, angle), (SIDE - 2 * margin - 5,) * 2)
        cv2.polylines(box, [np.int32(corners * 8)], True, 1, int(rng.uniform(*pen)), cv2.LINE_AA, 3)
    return Scene(Image.fromarray((255 * (1 - np.maximum(cover, box))).astype(np.uint8)), truth)


def _cells(rng, glyphs, labels, cell=100):
    """Each digit in a box of its own, as on a form."""
    chosen = rng.choice(len(glyphs), rng.integers(1, 5), replace=False)
    cover = np.zeros((160, 460), np.float32)
    for index, left in zip(chosen, range(20, 420, cell + 8), strict=False):
        digit = _enlarged(glyphs[index], rng.uniform(0.5, 0.75) * cell, None)
        (height, width), middle = digit.shape, left + cell // 2
        top, start = 80 - height // 2, middle - width // 2
        cover[top : top + height, start : start + width] = digit
        cv2.rectangle(
            cover, (left, 80 - cell // 2), (left + cell, 80 + cell // 2), 1, int(rng.integers(1, 4))
        )
    return Scene(shot(rng, paint(PAPER, cover, INK)), tuple(sorted(labels[chosen].tolist())))


def _equal_grey(rng, *digits):
    """Ink and paper differ in colour, not in luma."""
    cover, truth = place(rng, *digits)
    paper = rng.uniform(60, 200, 3)
    ink = rng.uniform(40, 210, 3)
    luma = np.array([0.299, 0.587, 0.114])
    ink += luma @ (paper - ink)
    while np.abs(ink - paper).max() < 70 or ink.min() < 0 or ink.max() > 255:
        paper, ink = rng.uniform(40, 210, 3), rng.uniform(0, 255, 3)
        ink += luma @ (paper - ink)
    return Scene(shot(rng, paint(paper, cover, ink), jpeg=92), truth)


def _clear(rng, *digits):
    cover, truth = place(rng, *digits)
    pixels = np.full((SIDE, SIDE, 4), 255, np.uint8)
    pixels[..., 3] = 255 * cover
    return Scene(Image.fromarray(pixels), truth)


def _plain(
    rng,
    *digits,
    paper=(255, 255, 255),
    ink=(0, 0, 0),
    noise=0.0,
    turn=0,
    skew=0,
    light=0.0,
    camera=False,
    **how,
):
    cover, truth = place(rng, *digits, **how)
    size = cover.shape[::-1]
    if turn or skew:
        middle = np.array(size) / 2
        corners = quad(rng, rng.uniform(-turn, turn), (0.92 * SIDE,) * 2, skew, middle)
        source = np.float32([(0, 0), (size[0], 0), size, (0, size[1])])
        cover = cv2.warpPerspective(cover, cv2.getPerspectiveTransform(source, np.float32(corners)), size)
    pixels = paint(paper, cover, ink)
    pixels = pixels * (1 + light * np.linspace(-0.5, 0.5, size[0]))[:, None]
    if camera or noise or light:
        return Scene(shot(rng, pixels, noise), truth)
    return Scene(Image.fromarray(pixels.astype(np.uint8)), truth)


def _raw(rng, glyphs, labels):
    index = rng.integers(len(glyphs))
    return Scene(Image.fromarray(glyphs[index]), (int(labels[index]),))


def _everything(rng, *digits):
    """A squared sheet, turned, on a wooden table, with a soft shadow across."""
    cover, truth = place(rng, *digits)
    page = paint(paint(PAPER, grid(rng, cover, 25, 1), (150, 165, 200)), cover, INK)
    scene = on_table(rng, page, WOOD, quad(rng, rng.uniform(-15, 15), (290, 320), 10), 0.08)
    x = np.mgrid[:SIDE, :SIDE][1] - rng.uniform(100, 300)
    return Scene(shot(rng, scene * (0.55 + 0.45 / (1 + np.exp(-x / 25)))[..., None]), truth)


KINDS: dict[str, Callable[..., Scene]] = {
    "plain": _plain,
    "inverted": partial(_plain, paper=(0, 0, 0), ink=(255, 255, 255)),
    "coloured ink": partial(_plain, paper=PAPER, ink=(170, 40, 60), camera=True, noise=4),
    "pencil": partial(_plain, paper=PAPER, ink=(128, 126, 122), camera=True, noise=4),
    "chalkboard": partial(_plain, paper=(45, 62, 52), ink=(205, 210, 200), camera=True, noise=6),
    "thin pen": partial(_plain, pen=-2),
    "thick pen": partial(_plain, pen=5, heights=(110, 150)),
    "thick pen, lit from one side": partial(
        _plain, pen=9, heights=(120, 170), count=2, paper=PAPER, ink=INK, light=0.4, noise=4
    ),
    "lit from one side": partial(_plain, paper=PAPER, ink=INK, light=0.5, noise=4),
    "noise": partial(_plain, paper=PAPER, ink=INK, noise=16),
    "rotated to 15 degrees, perspective": partial(_plain, paper=PAPER, ink=INK, turn=15, skew=15, noise=4),
    "corners at .75": partial(_corners, least=0.75),
    "corners at .6": partial(_corners, least=0.6),
    "corners at .4": partial(_corners, least=0.4),
    "hard shadow": _shadow,
    "soft shadow": partial(_shadow, edge=25),
    "two shadows": partial(_shadow, count=2, least=0.5),
    "shadow of a hand": _hand,
    "dark table around": partial(_table, table=DARK),
    "light table around": partial(_table, table=LIGHT),
    "wooden table around": partial(_table, table=WOOD, grain=0.12),
    "black sheet on a light table": partial(_table, table=LIGHT, paper=(50, 50, 55), ink=(210, 210, 205)),
    "table at one side": _beside,
    "light table at one side": partial(_beside, table=LIGHT),
    "sheet turned to 30 degrees": partial(_table, table=DARK, angle=(10, 30), side=(260, 290)),
    "sheet in perspective": partial(_table, table=WOOD, angle=(0, 8), skew=28, side=(290, 320)),
    "faintly ruled": partial(_ruled, line=(180, 185, 200)),
    "ruled": _ruled,
    "ruled in black, scan": partial(_ruled, line=(60, 60, 60), camera=False, ink=(20, 20, 20)),
    "ruled, turned": partial(_ruled, angle=8),
    "ruled in grey, turned": partial(_ruled, line=(70, 70, 70), angle=4, ink=(20, 20, 20)),
    "squared": partial(_ruled, columns=True),
    "squares of 12-16 px": partial(_ruled, columns=True, step=(12, 16)),
    "squared, scan": partial(_ruled, columns=True, camera=False, step=(20, 30)),
    "squared in black, scan": partial(_ruled, columns=True, line=(60,) * 3, ink=(20,) * 3, camera=False),
    "box": _boxed,
    "box, turned": partial(_boxed, angle=1.5),
    "round box": partial(_boxed, round_=True),
    "cells of a form": _cells,
    "ink and paper of equal grey": _equal_grey,
    "transparent, white ink": _clear,
    "small digits": partial(_plain, size=(2000, 1500), heights=(38, 48), pen=None),
    "panorama": partial(_plain, size=(6000, 300), heights=(150, 200), count=3),
    "28 x 28 px": _raw,
    "squared sheet, wood, shadow": _everything,
}  # fmt: skip


# Rates


def digits_of(labels: dict[str, float]) -> tuple[int, ...]:
    """The digits that a judge's probabilities name, with their number."""
    names = [
        (d, name)
        for d in range(10)
        for name in (f"{d}", f"2-or-more-{d}s", f"3-or-more-{d}s", f"4-or-more-{d}s")
    ]
    return tuple(d for d, name in names if labels[name] > 0.5)


def legible(pipe, folder, count=None) -> tuple[np.ndarray, np.ndarray]:
    """MNIST test digits [N, 28, 28] that the judge reads right by themselves, and their labels [N]."""
    digits = Digits(*(part[:count] for part in load_digits("test", folder)))
    pictures = [Image.fromarray(np.pad(image, 16)).resize((240, 240)) for image in digits.images]
    frames = [pipe.frame(picture) for picture in pictures]
    right = [
        digits_of(labels) == (label,)
        for labels, label in zip(pipe.read(frames), digits.labels.tolist(), strict=True)
    ]
    return digits.images[right], digits.labels[right]


def outcome(pipe, scene: Scene) -> str:
    """ "right", "noted" (wrong with a note), "refused" or "silent" (wrong without a word)."""
    try:
        framed = pipe.frame(scene.picture)
    except ValueError:
        return "refused"
    if digits_of(pipe.read([framed])[0]) == scene.digits:
        return "right"
    return "noted" if framed.info.get("note") else "silent"


def main() -> None:
    from lwgan import EditingPipeline

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40, help="pictures a kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mnist", default="tests/data/mnist", help="folder of MNIST's IDX files")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    options = parser.parse_args()
    pipe = EditingPipeline.from_pretrained("bundled", "multimnist")
    digits = legible(pipe, options.mnist, 250)
    print("| kind | right | refused | noted | silently wrong | CPU s |\n|---|---|---|---|---|---|")
    for kind in options.kinds:
        scenes = [
            KINDS[kind](np.random.default_rng((options.seed, i)), *digits) for i in range(options.count)
        ]
        began = time.process_time()
        found = [outcome(pipe, scene) for scene in scenes]
        spent = (time.process_time() - began) / options.count
        shares = [
            f"{found.count(name) / options.count:.2f}" for name in ("right", "refused", "noted", "silent")
        ]
        print(f"| {kind} | {' | '.join(shares)} | {spent:.2f} |", flush=True)


if __name__ == "__main__":
    main()
