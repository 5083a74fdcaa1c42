"""Published directions become edits that do what their own code does, written out here in numpy."""

import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from lwgan.domain import Change, change_from_json
from lwgan.edit import AffineEdit
from lwgan.pipeline import EditingPipeline
from trainers import __main__, publish
from trainers.convert.directions import Direction, convert_direction

NUM_WS, W_DIM = 10, 16
GENERATOR = torch.Generator().manual_seed(3)
VECTOR = torch.randn(1, W_DIM, generator=GENERATOR)
LAYERS = torch.randn(1, NUM_WS, W_DIM, generator=GENERATOR)
MANY = torch.randn(5, 1, W_DIM, generator=GENERATOR)
LENGTHS = torch.rand(5, generator=GENERATOR)
SQUARE = torch.linalg.qr(torch.randn(W_DIM, W_DIM, generator=GENERATOR))[0]


def npy(path: Path, array) -> Path:
    np.save(path.with_suffix(".npy"), array)
    return path.with_suffix(".npy")


def npz(path: Path, **arrays) -> Path:
    np.savez(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def pt(path: Path, content) -> Path:
    torch.save(content, path.with_suffix(".pt"))
    return path.with_suffix(".pt")


def pkl(path: Path, content) -> Path:
    path.with_suffix(".pkl").write_bytes(pickle.dumps(content))
    return path.with_suffix(".pkl")


def text(path: Path, content: str | bytes) -> Path:
    path.with_suffix(".pt").write_bytes(content if isinstance(content, bytes) else content.encode())
    return path.with_suffix(".pt")


def renamed(path: Path, suffix: str) -> Path:
    return path.rename(path.with_suffix(suffix))


# What others' files are: (write, --index, --layers, method, what their code adds to a code at alpha 1:
# [num_ws or 1, w_dim]); --index is a text: --key
KNOWN = {
    "InterFaceGAN's boundary": (lambda p: npy(p, VECTOR.numpy()), None, None, "interfacegan", VECTOR),
    "a boundary in double precision": (
        lambda p: npy(p, VECTOR[0].double().numpy()),
        None,
        None,
        "interfacegan",
        VECTOR,
    ),
    "e4e's direction of W": (lambda p: pt(p, VECTOR), None, None, "interfacegan", VECTOR),
    "e4e's direction of W+": (lambda p: pt(p, LAYERS), None, None, "interfacegan", LAYERS[0]),
    "GANSpace's cache": (
        lambda p: npz(p, lat_comp=MANY.numpy(), lat_stdev=LENGTHS.numpy(), act_mean=0),
        2,
        (2, 5),
        "ganspace",
        MANY[2] * LENGTHS[2],
    ),
    "e4e's GANSpace": (
        lambda p: pt(p, {"comp": MANY[:, 0], "mean": VECTOR, "std": LENGTHS}),
        4,
        (0, 3),
        "ganspace",
        MANY[4] * LENGTHS[4],
    ),
    "a flat boundary of W+": (
        lambda p: npy(p, LAYERS.reshape(1, -1).numpy()),
        None,
        None,
        "interfacegan",
        LAYERS[0],
    ),
    "a column": (lambda p: npy(p, VECTOR.T.numpy()), None, None, "interfacegan", VECTOR),
    "the only one of an archive": (
        lambda p: npz(p, boundary=VECTOR.numpy()),
        None,
        None,
        "interfacegan",
        VECTOR,
    ),
    "one of several": (lambda p: pt(p, {"Hat": MANY[0], "Age": VECTOR}), "Age", None, "interfacegan", VECTOR),
    "one of a list": (lambda p: pt(p, [MANY[0], VECTOR]), "1", None, "interfacegan", VECTOR),
    "one of a saved dict": (
        lambda p: npy(p, {"Hat": MANY[0].numpy(), "Age": LAYERS.numpy()}),
        "Age",
        None,
        "interfacegan",
        LAYERS[0],
    ),
    "an array of numpy in a pickle": (lambda p: pkl(p, VECTOR.numpy()), None, None, "interfacegan", VECTOR),
    "an array of numpy in torch's file": (
        lambda p: pt(p, {"boundary": VECTOR.numpy()}),
        None,
        None,
        "interfacegan",
        VECTOR,
    ),
    "a big-endian array": (
        lambda p: npy(p, VECTOR.numpy().astype(">f8")),
        None,
        None,
        "interfacegan",
        VECTOR,
    ),
    "an array in Fortran's order": (
        lambda p: npy(p, np.asfortranarray(LAYERS[0].numpy())),
        None,
        None,
        "interfacegan",
        LAYERS[0],
    ),
    "a suffix in capitals": (
        lambda p: renamed(npy(p, VECTOR.numpy()), ".NPY"),
        None,
        None,
        "interfacegan",
        VECTOR,
    ),
    "numpy's file named .pt": (
        lambda p: renamed(npy(p, VECTOR.numpy()), ".pt"),
        None,
        None,
        "interfacegan",
        VECTOR,
    ),
    "torch's file named .npy": (lambda p: renamed(pt(p, VECTOR), ".npy"), None, None, "interfacegan", VECTOR),
    "safetensors": (
        lambda p: text(p, safetensors.torch.save({"Age": VECTOR})),
        None,
        None,
        "interfacegan",
        VECTOR,
    ),
    "half precision": (lambda p: pt(p, VECTOR.half()), None, None, "interfacegan", VECTOR.half().float()),
    "a parameter": (lambda p: pt(p, torch.nn.Parameter(VECTOR)), None, None, "interfacegan", VECTOR),
    "SeFa's eigenvectors": (
        lambda p: pt(p, {"ckpt": "g.pt", "eigvec": SQUARE}),
        1,
        (4, 10),
        "sefa",
        SQUARE[:, 1][None],
    ),
}


def options(registry: Path, source: Path, target: Path, **changes) -> Direction:
    paths = {kind: registry / f"lwgan-faces-{kind}" for kind in ("generator", "encoder")}
    return Direction(source, target, **{"change": "Age", "before": "young", "after": "old"} | paths | changes)


@pytest.mark.parametrize("case", KNOWN)
def test_a_direction_moves_codes_as_its_own_code_does(tmp_path, faces_registry, case):
    write, index, layers, method, direction = KNOWN[case]
    source, target = write(tmp_path / "theirs"), tmp_path / "lwgan-faces-age"
    chosen = {"key": index} if isinstance(index, str) else {"index": index}
    convert_direction(options(faces_registry, source, target, layers=layers, scale=-2.0, **chosen))
    w = torch.randn(3, NUM_WS, W_DIM)
    expected = w.numpy().copy()
    first, end = layers or (0, NUM_WS)
    for layer in range(first, end):
        expected[:, layer] += 0.7 * -2.0 * direction[layer if len(direction) > 1 else 0].numpy()
    edit = AffineEdit.from_pretrained(target)
    assert np.allclose(edit(w, 0.7).numpy(), expected, atol=1e-6)
    assert (edit.config["kind"], edit.config["method"], edit.config["domain"]) == (
        "translation",
        method,
        "faces",
    )
    change = change_from_json(edit.config["change"], "")
    assert change == Change("Age", {"Age": False}, {"Age": True}, "young", "old")
    pipe = EditingPipeline.from_pretrained(faces_registry, domain="faces")
    pipe.add_edit("lwgan-faces-age", edit)  # made for these very nets
    assert pipe.generate(pipe.edit(w[:1], {"lwgan-faces-age": 0.7}))


def test_a_converted_direction_is_published_with_a_card_that_names_its_file(
    tmp_path, faces_registry, monkeypatch, capsys
):
    source = npy(tmp_path / "age_w_boundary", VECTOR.numpy())
    target = shutil.copytree(faces_registry, tmp_path / "shelf") / "lwgan-faces-interfacegan-age"
    words = ["--source", source, "--target", target, "--change", "Age", "--before", "young", "--after", "old"]
    for kind in ("generator", "encoder"):
        words += [f"--{kind}", faces_registry / f"lwgan-faces-{kind}"]
    monkeypatch.setattr(sys, "argv", ["trainers", "convert", "direction", *map(str, words)])
    __main__.main()
    assert f"{target}  " in capsys.readouterr().out
    publish.stage(target, tmp_path / "hub" / target.name, "lab", licence="mit")
    text = (tmp_path / "hub" / target.name / "README.md").read_text()
    assert "found by others with the method InterFaceGAN" in text and "`age_w_boundary.npy`" in text
    assert "from **young** to **old**" in text and "was not evaluated" in text and "adapted" not in text


NAN = VECTOR.clone()
NAN[0, 3] = float("nan")
BAD = {
    "of another width": (
        lambda p: npy(p, np.zeros((1, 512), np.float32)),
        {},
        r"shape \(1, 512\), expected \[16\] or \[10, 16\]",
    ),
    "with NaN": (lambda p: npy(p, NAN.numpy()), {}, "NaN or infinity, expected finite"),
    "of whole numbers": (
        lambda p: npy(p, np.zeros(W_DIM, int)),
        {},
        "holds a torch.int64, expected floating-point",
    ),
    "of objects": (lambda p: npy(p, np.array([{"a": 1}])), {}, "holds the keys 0, but no array"),
    "of other objects": (lambda p: npy(p, np.array([Path("x")])), {}, "nothing of it was run"),
    "of zeros": (lambda p: npy(p, np.zeros(W_DIM)), {}, "is 0 in float32 .*move nothing"),
    "too short for half precision": (
        lambda p: npy(p, VECTOR.numpy() * 1e-12),
        {"dtype": "float16"},
        "is 0 in float16 .*move nothing",
    ),
    "of the length 0": (lambda p: pt(p, VECTOR), {"scale": 0.0}, "scale 0.*move nothing"),
    "without end": (lambda p: pt(p, VECTOR), {"scale": float("inf")}, "NaN or infinity in float32"),
    "that is a web page": (
        lambda p: text(p, "<!DOCTYPE html><title>Sign in"),
        {},
        "is no checkpoint: it is a web page",
    ),
    "that Git LFS holds": (
        lambda p: text(p, "version https://git-lfs.github.com/spec/v1"),
        {},
        "it is a Git LFS pointer: run `git lfs pull`",
    ),
    "that is cut short": (
        lambda p: text(p, renamed(npy(p, VECTOR.numpy()), ".pt").read_bytes()[:-4]),
        {},
        "is damaged or cut short",
    ),
    "in a folder of no model": (lambda p: pt(p, VECTOR), {"target": "My edit"}, "the name 'My edit'"),
    "of several names": (
        lambda p: pt(p, {"Age": VECTOR, "Smile": VECTOR}),
        {},
        "holds Age, Smile: choose a direction with --key NAME",
    ),
    "of another name": (
        lambda p: npz(p, Age=VECTOR.numpy(), Smile=VECTOR.numpy()),
        {"key": "Hat"},
        "holds Age, Smile, but not --key Hat",
    ),
    "of one with a name": (lambda p: pt(p, VECTOR), {"key": "Age"}, "nothing to choose by --key Age"),
    "of components with a name": (
        lambda p: pt(p, {"eigvec": SQUARE}),
        {"key": "eigvec"},
        "choose by --index, not --key eigvec",
    ),
    "without an index": (
        lambda p: pt(p, {"eigvec": SQUARE}),
        {},
        "16 components: --index is None, expected 0 to 15",
    ),
    "with an index beyond": (
        lambda p: pt(p, {"comp": MANY[:, 0], "std": LENGTHS}),
        {"index": 5},
        "5 components: --index is 5, expected 0 to 4",
    ),
    "with too few lengths": (
        lambda p: pt(p, {"comp": MANY[:, 0], "std": LENGTHS[:4]}),
        {"index": 4},
        r"lengths of shape \(4,\) for 5 components",
    ),
    "of one with an index": (lambda p: pt(p, VECTOR), {"index": 0}, "nothing to choose by --index 0"),
    "for layers that are not there": (
        lambda p: pt(p, VECTOR),
        {"layers": (3, 11)},
        "--layers 3 11: expected two numbers from 0 to 10",
    ),
    "with a bad name": (lambda p: pt(p, VECTOR), {"change": "<b>"}, "the label is '<b>'"),
    "that is not there": (lambda p: p.with_suffix(".npy"), {}, "there is no such file"),
    "that is a pickle": (lambda p: pt(p, Path("x")), {}, "is refused, and nothing of it was run"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_direction_is_refused_and_leaves_nothing(tmp_path, faces_registry, case):
    write, changes, message = BAD[case]
    changes = dict(changes)
    source = write(tmp_path / "theirs")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        convert_direction(
            options(faces_registry, source, tmp_path / changes.pop("target", "edit"), **changes)
        )
    assert [path.stem for path in tmp_path.iterdir()] in ([], ["theirs"])
