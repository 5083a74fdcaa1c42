"""Files as people bring them, damaged at random: `python -m tests.fuzz --seed 1` tries 2,000 of them.

Each case is a good file that a few mutations change. It must be taken, or refused with a ValueError or an
OSError whose message is one for people: no traceback, no path of this machine beside that of the file itself,
and within LIMIT. `--only KIND:NUMBER` repeats one case and shows its traceback.
"""

import argparse
import copy
import faulthandler
import io
import json
import logging
import pickle
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import safetensors.torch
import torch
from PIL import Image

from lwgan import recipe
from lwgan.edit import AffineEdit
from lwgan.frames import FRAMES
from lwgan.generator import Generator
from lwgan.hub import registry
from lwgan.images import open_picture
from lwgan.pipeline import EditingPipeline
from lwgan.sources import opened
from tests.foreign import nvidia_file, nvidia_named, tensorflow, tensorflow_file
from tests.parity import rosinality_weights
from trainers.convert import Checkpoint, convert, directions
from trainers.datasets.letters import find_faces
from trainers.datasets.lists import labels_of, read_list
from trainers.latents import read_latents

LIMIT = 20  # seconds of the processor a case
FACE_EVERY = 25  # pictures: looking for faces takes long
EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff")
ODD_TEXTS = (
    "NaN",
    "1e999",
    "-1",
    "0",
    "../../etc/passwd",
    "\0",
    "\u202e",
    "<b>",
    "9" * 400,
    "null",
    "[[" * 50,
)
ODD_VALUES = (None, True, -1, 0, 2**63, 1e308, float("nan"), "", "x" * 3000, [], {}, [[]], "..", {"a": {}})


class Hang(BaseException):
    """A case took longer than LIMIT."""


# --- Mutations ------------------------------------------------------------------------------------


def damaged(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """The bytes after one or more mutations, half of which are of a few bytes only."""
    for _ in range(1 + rng.poisson(0.5)):
        if not data:
            break
        at, length = int(rng.integers(len(data))), int(2 ** rng.uniform(0, rng.choice([3, 10])))
        before, part, after = data[:at], data[at : at + length], data[at + length :]
        choices = (
            before,
            before + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :],
            before + rng.bytes(len(part)) + after,
            before + after,
            before + part * int(rng.integers(2, 9)) + after,
            before + other[at - len(data) :],
            before + EXTREMES[rng.integers(len(EXTREMES))] + data[at + 4 :],
            before + ODD_TEXTS[rng.integers(len(ODD_TEXTS))].encode() + data[at:],
        )
        data = choices[rng.integers(len(choices))]
    return data


def misspelt(text: str, rng: np.random.Generator) -> str:
    """A JSON text in which one to three values or keys are others."""
    value = json.loads(text)
    for _ in range(rng.integers(1, 4)):
        holders = [holder for holder in _holders(value) if len(holder)]
        if not holders:
            break
        holder = holders[rng.integers(len(holders))]
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        key, odd = keys[rng.integers(len(keys))], ODD_VALUES[rng.integers(len(ODD_VALUES))]
        odd = copy.deepcopy(odd)  # or else a list could come to hold itself
        if isinstance(holder, dict) and rng.random() < 0.2:
            holder[str(odd)[:20]] = holder.pop(key)
        else:
            holder[key] = odd
    return json.dumps(value)


def _holders(value: object) -> Iterator[dict | list]:
    if isinstance(value, dict | list):
        yield value
        for part in value.values() if isinstance(value, dict) else value:
            yield from _holders(part)


def mutated(good: dict[str, bytes], number: int, rng: np.random.Generator) -> tuple[str, bytes]:
    """The name and the bytes of a case: JSON is also misspelt."""
    names = list(good)
    name, other = names[number % len(names)], good[names[rng.integers(len(names))]]
    if name.endswith(".json") and rng.random() < 0.8:
        return name, misspelt(good[name].decode(), rng).encode("utf-8", "surrogatepass")
    return name, damaged(good[name], other, rng)


# --- What people bring: name -> bytes of good files, and what takes such a file -------------------


@cache
def pictures() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    drawing = Image.new("RGB", (96, 80), "white")
    for x in (20, 60):
        drawing.paste((20, 20, 60), (x, 20, x + 6, 60))
    noise = Image.fromarray(rng.integers(0, 255, (40, 48, 3), np.uint8))
    grey, turned = Image.fromarray(rng.integers(0, 4096, (40, 40), np.uint16)), Image.Exif()
    turned[0x0112] = 6
    kinds = {
        "a.png": (drawing, {}), "b.png": (drawing.convert("P"), {"transparency": 0}),
        "c.png": (drawing.convert("RGBA"), {}), "d.png": (grey, {}), "a.jpg": (drawing, {"exif": turned}),
        "b.jpg": (noise.convert("CMYK"), {"progressive": True}), "a.webp": (noise, {}),
        "a.gif": (drawing, {"save_all": True, "append_images": [noise.resize(drawing.size)]}),
        "a.bmp": (noise, {}), "a.tif": (Image.fromarray(rng.random((40, 40), np.float32)), {}),
        "b.tif": (noise, {"compression": "tiff_lzw", "save_all": True, "append_images": [noise, noise]}),
        "a.ico": (drawing, {}), "a.ppm": (noise, {}), "a.tga": (noise, {}),
    }  # fmt: skip
    return {name: _saved(picture, name, options) for name, (picture, options) in kinds.items()}


def _saved(picture: Image.Image, name: str, options: dict) -> bytes:
    file = io.BytesIO()
    formats = {"jpg": "JPEG", "tif": "TIFF"}
    suffix = name.rpartition(".")[2]
    picture.save(file, formats.get(suffix, suffix.upper()), **options)
    return file.getvalue()


def take_picture(path: Path, number: int) -> None:
    for name, frame in FRAMES.items():
        if name != "face" or number % FACE_EVERY == 0:
            frame(open_picture(path), 64)


@cache
def fonts() -> dict[str, bytes]:
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    return {path.name: path.read_bytes() for path in (folder / "STIXSizFourSymReg.ttf", folder / "cmr10.ttf")}


def take_font(path: Path, number: int) -> None:
    find_faces(path.parent)
    for _, picture in opened([path], 100):
        FRAMES["square"](picture, 64)


@cache
def archives() -> dict[str, bytes]:
    found = {}
    for name, how in (("a.zip", zipfile.ZIP_STORED), ("b.zip", zipfile.ZIP_DEFLATED)):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", how) as archive:
            for part, data in list(pictures().items())[:5]:
                archive.writestr(f"pile/{part}", data)
        found[name] = file.getvalue()
    return found


def take_archive(path: Path, number: int) -> None:
    list(opened([path], 100))


@cache
def lists() -> dict[str, bytes]:
    rows = "".join(f"{i:05d}.jpg,{i % 2},{i % 3 // 2},person {i % 4}\n" for i in range(20))
    text = f"file,Beard,Tall hat,group\n{rows}"
    celeba = "3\nBeard Hat\n" + "".join(f"{i:05d}.jpg  {1 - i % 2 * 2} -1\n" for i in range(3))
    return {
        "a.csv": text.encode(), "b.csv": text.replace(",", ";").encode("utf-16"), "c.txt": celeba.encode(),
        "d.tsv": text.replace(",", "\t").replace("1", "True").encode("utf-8-sig"),
    }  # fmt: skip


def take_list(path: Path, number: int) -> None:
    table = read_list(path)
    labels_of(table, tuple(name for name in table.columns[1:] if name != "group"), path)


@cache
def checkpoints() -> dict[str, bytes]:
    found, weights = {}, rosinality_weights("g16s")
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "file")
        torch.save({"g_ema": weights, "latent_avg": torch.zeros(32)}, path)
        found["rosinality.pt"] = path.read_bytes()
        torch.save({"g": {f"module.{name}": value.numpy() for name, value in weights.items()}}, path)
        found["numpy.pt"] = path.read_bytes()
        ours = Generator(resolution=16, channels=(8, 8, 8), z_dim=8, w_dim=8, mapping_layers=2).state_dict()
        found["nvidia.pkl"] = nvidia_file(path, nvidia_named(ours)).read_bytes()
        found["tensorflow.pkl"] = tensorflow_file(path, tensorflow(weights, torch.zeros(32))).read_bytes()
    return found


def take_checkpoint(path: Path, number: int) -> None:
    texts = {"domain": "cars", "licence": "other", "about": "Cars.", "limits": "Cars."}
    with tempfile.TemporaryDirectory() as place:
        (folder,) = convert(Checkpoint(path, Path(place, "out"), **texts))
        Generator.from_pretrained(folder)


@cache
def arrays() -> dict[str, bytes]:
    w = np.random.default_rng(0).standard_normal((40, 10, 16)).astype(np.float32)
    labelled = {"w": torch.from_numpy(w), "labels": torch.arange(40) % 2}
    write = {
        "w.npy": lambda file: np.save(file, w), "age.npy": lambda file: np.save(file, w[1]),
        "dict.npy": lambda file: np.save(file, {str(i): code for i, code in enumerate(w)}),
        "w.npz": lambda file: np.savez_compressed(file, w=w, labels=np.arange(40) % 2),
        "w.pt": lambda file: torch.save(labelled, file), "list.pt": lambda file: torch.save(list(w), file),
        "old.pt": lambda file: torch.save(labelled, file, _use_new_zipfile_serialization=False),
        "age.pt": lambda file: torch.save(torch.from_numpy(w[2]), file),
        "w.pkl": lambda file: pickle.dump(w, file),
        "w.safetensors": lambda file: file.write(safetensors.torch.save(labelled)),
    }  # fmt: skip
    found = {}
    for name, save in write.items():
        file = io.BytesIO()
        save(file)
        found[name] = file.getvalue()
    return found


def take_array(path: Path, number: int) -> None:
    labels = path.with_name("labels.csv")
    labels.write_text("name,A\n" + "".join(f"{i},{i % 2}\n" for i in range(40)))
    if number % 3:
        read_latents(path, labels if number % 3 == 1 else None, 10, 16)
    else:
        directions.over_layers(directions.read(path)[1], 10, 16, None, path)


@cache
def pipeline() -> EditingPipeline:
    return EditingPipeline.from_pretrained()


@cache
def recipes() -> dict[str, bytes]:
    pipe = pipeline()
    name = next(iter(pipe.edits))
    framed = pipe.frame(open_picture(pictures()["a.png"]))
    sources = recipe.of_seed(pipe, 3), recipe.of_picture(framed)
    made = [recipe.make(pipe, source, {name: 0.5}) for source in sources]
    texts = {f"{i}.json": recipe.to_json(each).encode() for i, each in enumerate(made)}
    links = {f"{i}.link": recipe.to_link(each).encode() for i, each in enumerate(made[:1])}
    return texts | links | {"a.png": recipe.png(framed, made[0])}


def take_recipe(path: Path, number: int) -> None:
    pipe, data = pipeline(), path.read_bytes()
    if path.suffix == ".png":
        found = recipe.of_png(path)
    elif path.suffix == ".link":
        found = recipe.from_link(data.decode("utf-8", "replace"))
    else:
        found = recipe.from_json(data)
    if found:
        more = pipe.plus(recipe.carried(pipe, found))
        recipe.alphas_of(more, found)
        if found.get("source"):  # the page too takes recipes of edits alone
            recipe.source_picture(more, found["source"])


@cache
def models() -> dict[str, bytes]:
    places = {kind: registry.bundled() / f"lwgan-multimnist-{kind}" for kind in ("generator", "lw-1to2")}
    found = {f"{kind}.json": (place / "config.json").read_bytes() for kind, place in places.items()}
    return found | {"lw-1to2.safetensors": (places["lw-1to2"] / "model.safetensors").read_bytes()}


def take_model(path: Path, number: int) -> None:
    """A model folder of which one file is damaged, in a registry of its own."""
    kind, suffix = path.name.split(".")
    place, good = path.parent / "shelf" / "a-model", registry.bundled() / f"lwgan-multimnist-{kind}"
    place.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        source = path if name.endswith(suffix) else good / name
        (place / name).write_bytes(source.read_bytes())
    for entry in registry.models(place.parent):
        if entry.refused:
            check(entry.refused, path)
    (Generator if kind == "generator" else AffineEdit).from_pretrained(place)


# Kind -> (share of the cases, good files, what takes one).
KINDS: dict[str, tuple[float, Callable, Callable]] = {
    "pictures": (0.25, pictures, take_picture), "fonts": (0.05, fonts, take_font),
    "archives": (0.05, archives, take_archive), "lists": (0.2, lists, take_list),
    "checkpoints": (0.1, checkpoints, take_checkpoint), "arrays": (0.15, arrays, take_array),
    "recipes": (0.1, recipes, take_recipe), "models": (0.1, models, take_model),
}  # fmt: skip


# --- The run --------------------------------------------------------------------------------------


def check(message: str, path: Path) -> None:
    """AssertionError for a message that is empty or shows a folder of this machine."""
    given = (path, path.with_name("labels.csv"), path.parent / "shelf" / "a-model")
    rest = message
    for place in given:
        rest = rest.replace(str(place), "")
    places = map(str, (path.parent, Path.cwd(), Path.home(), sys.prefix))
    shown = [place for place in places if place in rest]
    assert message.strip() and not shown, f"the message {message!r} shows {shown}"


def run(kind: str, number: int, seed: int, folder: Path) -> str:
    """ "taken" or "refused". Raises what else a case brings to light."""
    _, good, take = KINDS[kind]
    rng = np.random.default_rng([seed, list(KINDS).index(kind), number])
    name, data = mutated(good(), number, rng)
    path = folder / name
    path.write_bytes(data)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        take(path, number)
    except (ValueError, OSError) as error:
        check(str(error), path)
        return "refused"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        path.unlink()
    return "taken"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--only", metavar="KIND:NUMBER", help="one case, with its traceback")
    options = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGPROF, _hang)
    cases = [(kind, i) for kind, (share, *_) in KINDS.items() for i in range(round(share * options.count))]
    if options.only:
        kind, number = options.only.split(":")
        cases = [(kind, int(number))]
    counts, failures, began = Counter(), 0, time.monotonic()
    for kind in {kind for kind, _ in cases}:
        KINDS[kind][1]()  # the time of the first case does not include that of the good files
    with tempfile.TemporaryDirectory() as folder:
        for kind, number in cases:
            try:
                counts[kind, run(kind, number, options.seed, Path(folder))] += 1
            except (Exception, Hang) as error:
                failures += 1
                print(f"{kind}:{number}: {type(error).__name__}: {str(error)[:300]}", flush=True)
                if options.only:
                    traceback.print_exc()
    for kind in KINDS:
        print(f"{kind:12} taken {counts[kind, 'taken']:4}  refused {counts[kind, 'refused']:4}")
    print(f"{len(cases)} cases, {failures} failures, {time.monotonic() - began:.0f} s")
    sys.exit(bool(failures))


def _hang(*_) -> None:
    raise Hang(f"it takes longer than {LIMIT} s")


if __name__ == "__main__":
    main()
