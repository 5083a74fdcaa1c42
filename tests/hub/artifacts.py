"""Small edits in folders, good ones and broken ones, for the tests of folders, pull and push."""

import hashlib
import json
from pathlib import Path

import safetensors.torch
import torch

from lwgan.hub import registry

REPO = "lab/lwgan-multimnist-lw-1to2"
CARD = """---
license: apache-2.0
library_name: lwgan
tags: [lwgan]
base_model: lab/g
base_model_relation: adapter
---
# An edit
"""
CONFIG = {
    "kind": "affine",
    "method": "lw",
    "change": {
        "name": "1to2",
        "source": {"2-or-more": False},
        "target": {"2-or-more": True},
        "before": "1 digit",
        "after": "2 digits",
    },
    "strength": {
        "unit": 0.8,
        "reach": 0.8,
        "curve": [{"alpha": 0.8, "target_change": 0.8, "all_kept": None}],
    },
    "domain": "multimnist",
    "num_ws": 3,
    "w_dim": 4,
    "new_key": {"kept": [1.5]},
}
WEIGHT, BIAS = torch.ones(3, 4, 4), torch.ones(3, 4)


def make(folder: Path, seed: int = 0, **config) -> Path:
    """Writes an edit with card, metrics and a picture."""
    random = torch.Generator().manual_seed(seed)
    tensors = {"weight": torch.randn(3, 4, 4, generator=random), "bias": torch.randn(3, 4, generator=random)}
    registry.save_folder(folder, CONFIG | config, tensors)
    (folder / "README.md").write_text(CARD)
    (folder / "metrics.json").write_text("{}")
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images" / "before-after.png").write_bytes(b"\x89PNG not really")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        name: (folder / name).read_bytes()
        for name in ("config.json", "model.safetensors")
        if (folder / name).exists()
    }


def rewrite(folder: Path, tensors=None, data: bytes | None = None, **changes) -> None:
    """Changes a folder without any check. Size and sha256 stay right unless they are changed too."""
    config = json.loads((folder / "config.json").read_text())
    if tensors is not None:
        data = safetensors.torch.save({name: value.clone().contiguous() for name, value in tensors.items()})
    if data is not None:
        (folder / "model.safetensors").write_bytes(data)
        config["weights"] |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "config.json").write_text(json.dumps(config | changes))


def edited(name: str, change):
    """A change of one file's bytes."""
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def says(**changes):
    """A change of the config."""
    return lambda folder: rewrite(folder, **changes)


def tensors(**values):
    """Other weights."""
    return lambda folder: rewrite(folder, values)


def weights_say(**changes):
    """The config's record of the weights, changed."""
    return lambda folder: rewrite(
        folder, weights=json.loads((folder / "config.json").read_text())["weights"] | changes
    )


def change(**changes):
    return says(change=CONFIG["change"] | changes)


def strength(**changes):
    return says(strength=CONFIG["strength"] | changes)


def pickled(folder: Path) -> None:
    torch.save({"weight": WEIGHT, "bias": BIAS}, folder / "model.safetensors")
    rewrite(folder, data=(folder / "model.safetensors").read_bytes())


def gone(name: str):
    return lambda folder: (folder / name).unlink()


C, W = "config.json", "model.safetensors"
NAN, BIG = float("nan"), 64_000_001
OUT, POINT = torch.ones(3, 4, 2), {"alpha": 1, "target_change": 1}
# Fault -> (a function that makes it, the file and two parts of the message that must name it)
BROKEN = {
    "a newer format": (says(format_version=2), C, "format_version is 2", "expected 1; update lwgan"),
    "no format": (says(format_version=None), C, "format_version is None", "expected 1"),
    "a format in words": (says(format_version="1"), C, "format_version is '1'", "expected 1"),
    "no kind": (says(kind=None), C, "kind is None", "expected 1 to 64 of a-z"),
    "another kind": (says(kind="generator"), "", "of kind 'generator'", "expected 'affine' or 'translation'"),
    "a domain that is a path": (says(domain="../evil"), C, "domain is '../evil'", "1 to 64 of a-z"),
    "a method of 65 letters": (says(method="m" * 65), C, f"method is '{'m' * 65}'", "1 to 64 of a-z"),
    "a domain that is a list": (says(domain=["x"]), C, "domain is ['x']", "1 to 64 of a-z"),
    "an alpha in words": (says(alpha="strong"), C, "alpha is 'strong'", "a number of at most 1e9"),
    "an alpha beyond all numbers": (says(alpha=10**400), C, "alpha is 1000", "a number of at most 1e9"),
    "a change in words": (says(change="more"), C, "change is 'more'", "an object"),
    "a change with markup": (change(name="<b>"), C, "label is '<b>'", "A-Z, a-z, 0-9"),
    "a change without an end": (change(target={}), C, "change '1to2'", "at least one label"),
    "a change of nothing": (change(target={"2-or-more": False}), C, "change '1to2'", "no label differs"),
    "a change to a number": (change(target={"2-or-more": 1}), C, "2-or-more is 1", "true or false"),
    "an endless word": (change(after="x" * 5000), C, "after is 'xxx", "... (5002 characters)"),
    "an unknown kind of change": (change(kind=["x"]), C, "kind is ['x']", "one of place, choice"),
    "a strength in words": (says(strength="strong"), C, "strength is 'strong'", "an object"),
    "a strength without a unit of its own": (strength(unit=0), C, "strength.unit is 0", "a positive number"),
    "a reach beyond all pictures": (strength(reach=1.5), C, "strength.reach is 1.5", "0 to 1"),
    "a curve in words": (strength(curve="steep"), C, "strength.curve is 'steep'", "at most 1000 points"),
    "a point of no change": (strength(curve=[{"alpha": 1}]), C, "curve is [{'alpha': 1}]", "target_change"),
    "a point of words": (strength(curve=[{**POINT, "x": "y"}]), C, "'x': 'y'", "numbers"),
    "an endless curve": (strength(curve=[POINT] * 1001), C, "characters)", "at most 1000"),
    "a base that is a path": (says(base_model="/models/g"), C, "base_model is '/models/g'", "org/name"),
    "a base of no hash": (says(base_revision={"generator": "main"}), C, "'main'", "64 or 40 hex"),
    "no number of layers": (says(num_ws=None), C, "num_ws is None", "a positive integer"),
    "a truth for a width": (says(w_dim=True), C, "w_dim is True", "a positive integer"),
    "an unknown precision": (says(dtype="int8"), C, "dtype is 'int8'", "one of float32, float16, bfloat16"),
    "weights elsewhere": (weights_say(file="../x"), C, "weights.file is '../x'", "'model.safetensors'"),
    "no weights": (says(weights=None), C, "weights.file is None", "'model.safetensors'"),
    "a size in words": (weights_say(size="many"), C, "weights.size is 'many'", "a number of bytes"),
    "no hash": (weights_say(sha256="0" * 63), C, f"weights.sha256 is '{'0' * 63}'", "64 hex digits"),
    "too large": (weights_say(size=BIG), C, f"weights.size is {BIG}", "kind 'affine' may have 64000000"),
    "another size": (weights_say(size=1), W, "bytes", "config.json says 1"),
    "another hash": (weights_say(sha256="0" * 64), W, "sha256 ", f"config.json says {'0' * 64}"),
    "a flipped bit": (edited(W, lambda data: data[:-1] + b"\x01"), W, "sha256 ", "config.json says "),
    "a file cut short": (edited(W, lambda data: data[:-3]), W, "bytes", "config.json says "),
    "an empty file": (edited(W, lambda data: b""), W, "0 bytes", "config.json says "),
    "another shape": (tensors(weight=torch.ones(3, 4, 5), bias=BIAS), W, "(3, 4, 5)", "say (3, 4, 4)"),
    "another shape of the bias": (tensors(weight=WEIGHT, bias=torch.ones(4, 3)), W, "(4, 3)", "say (3, 4)"),
    "a missing tensor": (tensors(weight=WEIGHT), W, "holds ['weight']", "has ['bias', 'weight']"),
    "an unknown tensor": (tensors(weight=WEIGHT, bias=BIAS, more=BIAS + 1), W, "'more'", "has ['bias'"),
    "no tensor": (tensors(), W, "no tensor", "has ['bias', 'weight'] or ['bias', 'into', 'out']"),
    "two maps for three layers": (tensors(weight=WEIGHT[:2], bias=BIAS), W, "(2, 4, 4)", "say (3, 4, 4)"),
    "a bias for all layers": (tensors(weight=WEIGHT, bias=BIAS[:1]), W, "(1, 4)", "say (3, 4)"),
    "unequal factors": (tensors(out=OUT, into=OUT.mT[:, :1], bias=BIAS), W, "(3, 1, 4)", "say (3, 2, 4)"),
    "one factor": (tensors(out=OUT, bias=BIAS), W, "holds ['bias', 'out']", "or ['bias', 'into', 'out']"),
    "a factor of rank 1": (tensors(out=OUT[:, 0, 0], into=WEIGHT, bias=BIAS), W, "(3,)", "say (3, 4, 4)"),
    "a factor of rank 0": (tensors(out=OUT[0, 0, 0], into=WEIGHT, bias=BIAS), W, "shape ()", "say (3, 4, 4)"),
    "a translation with A": (says(kind="translation"), W, "['bias', 'weight']", "'translation' has ['bias']"),
    "not a number": (tensors(weight=WEIGHT, bias=BIAS * NAN), W, "'bias' holds NaN or", "12 of 12"),
    "infinity": (tensors(weight=WEIGHT / 0, bias=BIAS), W, "'weight' holds NaN or", "48 of 48"),
    "another precision": (tensors(weight=WEIGHT.half(), bias=BIAS), W, "is float16", "says float32"),
    "whole numbers": (tensors(weight=WEIGHT.long(), bias=BIAS), W, "weight is int64", "expected float32"),
    "a pickle": (pickled, W, "is no safetensors file", ""),
    "a header of the wrong size": (says(data=b"\xff" * 8 + b"{}"), W, "is no safetensors file", ""),
    "no JSON": (edited(C, lambda data: data[:-1]), C, "is no JSON", ""),
    "JSON with NaN": (edited(C, lambda data: b'{"alpha": NaN}'), C, "NaN is no number of JSON", ""),
    "a list": (edited(C, lambda data: b"[]"), C, "holds a list", "expected an object"),
    "brackets without end": (edited(C, lambda data: b"[" * 100_000), C, "is no JSON", ""),
    "a config of megabytes": (edited(C, lambda data: data + b" " * 1_000_000), C, "at most 1000000", ""),
    "no config": (gone(C), C, "holds no config.json", ""),
    "no weights at all": (gone(W), W, "model.safetensors", ""),
}  # fmt: skip
