"""Files of codes in the forms that other projects write; the stage splits them by the rule for pictures."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.trainers.test_codes import GENERATOR, encoder, make  # noqa: F401, a fixture
from trainers.codes import load_codes
from trainers.datasets.pictures import split_of
from trainers.latents import read_latents
from trainers.shards import SPLITS, UNKNOWN

N, NUM_WS, W_DIM = 40, 10, 16
W = torch.randn(N, NUM_WS, W_DIM, generator=torch.Generator().manual_seed(1))
LABELS = torch.stack([torch.arange(N) % 2, torch.arange(N) % 3 // 2], 1).to(torch.uint8)
NAMES = [f"{i:05d}.jpg" for i in range(N)]
NAMED = {name: w[None] for name, w in zip(NAMES, W, strict=True)}


def rows(names=NAMES) -> str:
    return "name,Beard,Hat\n" + "".join(
        f"{name},{beard},{hat}\n" for name, (beard, hat) in zip(names, LABELS.tolist(), strict=True)
    )


# (write to a path, the codes are of W: all layers are those of the first)
FORMS = {
    "torch": (lambda p: torch.save(W, p), False),
    "torch, one a picture": (lambda p: torch.save([w[None] for w in W], p), False),
    "torch, by name": (lambda p: torch.save(NAMED, p), False),
    "torch, in a dict": (lambda p: torch.save({"latents": W, "epoch": 3}, p), False),
    "torch, numpy's": (lambda p: torch.save({"w": W.numpy()}, p), False),
    "numpy": (lambda p: np.save(p.open("wb"), W.numpy()), False),
    "numpy, flat, in double precision": (
        lambda p: np.save(p.open("wb"), W.flatten(1).double().numpy()),
        False,
    ),
    "numpy, of W": (lambda p: np.save(p.open("wb"), W[:, 0].numpy()), True),
    "numpy, of W with an axis": (lambda p: np.save(p.open("wb"), W[:, :1].numpy()), True),
    "numpy, a dict, as pSp's": (
        lambda p: np.save(p.open("wb"), {name: w[0].numpy() for name, w in NAMED.items()}),
        False,
    ),
    "an archive": (lambda p: np.savez_compressed(p.open("wb"), codes=W.numpy()), False),
    "an archive by name": (
        lambda p: np.savez(p.open("wb"), **{name: w.numpy() for name, w in NAMED.items()}),
        False,
    ),
    "safetensors": (lambda p: save_file({"w_plus": W}, p), False),
}


@pytest.mark.parametrize("form", FORMS)
def test_codes_of_every_form_with_a_list(tmp_path, form):
    write, of_w = FORMS[form]
    write(tmp_path / "latents.pt")
    (tmp_path / "latents.csv").write_text(rows())
    w, listed = read_latents(tmp_path / "latents.pt", None, NUM_WS, W_DIM)
    assert torch.equal(w, W[:, :1].expand_as(W) if of_w else W)
    assert listed.names == NAMES and listed.attributes == ("Beard", "Hat")
    assert listed.labels.tolist() == LABELS.tolist()


OWN = {
    "numbers": (LABELS, {}),
    "truth values": (LABELS.bool(), {}),
    "one and minus one": (LABELS.long() * 2 - 1, {}),
    "floats with unknown ones": (torch.where(torch.arange(N)[:, None] == 4, torch.nan, LABELS.float()), {}),
    "with names": (LABELS, {"names": ["Beard", "Hat"]}),
}


@pytest.mark.parametrize("case", OWN)
@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_labels_in_the_file(tmp_path, case, suffix):
    labels, more = OWN[case]
    path = tmp_path / f"codes{suffix}"
    if suffix == ".npz":
        arrays = {"w": W.numpy(), "labels": labels.numpy()} | {key: np.array(v) for key, v in more.items()}
        np.savez(path, **arrays)
    else:
        torch.save({"w": W, "labels": labels} | more, path)
    w, listed = read_latents(path, None, NUM_WS, W_DIM)
    wanted = LABELS.clone()
    if "unknown" in case:
        wanted[4] = UNKNOWN
    assert torch.equal(w, W) and listed.labels.tolist() == wanted.tolist()
    assert listed.attributes == (("Beard", "Hat") if more else ("label-0", "label-1"))


def test_the_rows_of_a_list_are_found_by_the_names_of_the_codes(tmp_path):
    """In another order, with more rows, other suffixes and groups."""
    torch.save(NAMED, tmp_path / "latents.pt")
    lines = rows([f"a/{name[:-4]}.png" for name in NAMES]).splitlines()
    lines = [f"{line},{'group' if i == 0 else i % 7}" for i, line in enumerate(lines)]
    (tmp_path / "list.csv").write_text("\n".join([lines[0], "x.png,1,1,9", *reversed(lines[1:])]))
    _, listed = read_latents(tmp_path / "latents.pt", tmp_path / "list.csv", NUM_WS, W_DIM)
    assert listed.labels.tolist() == LABELS.tolist() and listed.names == NAMES
    assert listed.groups == [str((i + 1) % 7) for i in range(N)]


def test_the_stage_splits_codes_of_a_file_as_it_would_split_their_pictures(encoder, tmp_path):  # noqa: F811
    np.save(tmp_path / "latents.npy", W.numpy())
    (tmp_path / "list.csv").write_text(rows())
    make(tmp_path / "latents.npy", encoder, tmp_path / "codes", labels=tmp_path / "list.csv", train=20)
    for split in SPLITS:
        chosen = [i for i in range(N) if split_of(str(i)) == split][:20]
        codes, base = load_codes(tmp_path / "codes", split)
        assert torch.equal(codes.w, W[chosen].half().float()) and torch.equal(codes.labels, LABELS[chosen])
        assert base["generator"] == GENERATOR and codes.domain.attributes == ("Beard", "Hat")
    with pytest.raises(ValueError, match=r"latents.npy is a file, .*trainers codes --data"):
        load_codes(tmp_path / "latents.npy", "train")
    torch.save({"w": W, "labels": LABELS, "names": ["Beard", "<b>"]}, tmp_path / "odd.pt")
    with pytest.raises(ValueError, match=r"odd.pt: the label is '<b>', expected 1 to 60 of A-Z"):
        make(tmp_path / "odd.pt", encoder, tmp_path / "other")
    with pytest.raises(ValueError, match="--labels is for a file of codes"):
        make(tmp_path, encoder, tmp_path / "other", labels=tmp_path / "list.csv")


def changed(i: int, value) -> torch.Tensor:
    w = W.clone()
    w[i, 0, 0] = value
    return w


BAD = {
    "no codes": ({"epoch": 3}, "holds the keys epoch: expected codes"),
    "no labels": (W, "holds no labels, and codes.csv is not beside it: give the list .* --labels"),
    "codes of another net": (torch.zeros(N, 18, 512), r"'0' is of shape \(18, 512\), expected \[10, 16\]"),
    "one number": (torch.tensor(3.0), "expected codes"),
    "NaN": (changed(7, torch.nan), "the code '7' holds NaN"),
    "a number beyond half precision": (changed(3, 1e6), "the code '3' holds NaN, infinity or numbers beyond"),
    "too few labels": ({"w": W, "labels": LABELS[:9]}, r"labels are of shape \(9, 2\) for 40 codes"),
    "classes": ({"w": W, "labels": torch.arange(N)}, "expected 0 and 1, or -1 and 1"),
    "another number of names": ({"w": W, "labels": LABELS, "names": ["A"]}, "1 names for 2 labels"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_a_file_of_codes_is_said(tmp_path, case):
    content, message = BAD[case]
    torch.save(content, tmp_path / "codes.pt")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_latents(tmp_path / "codes.pt", None, NUM_WS, W_DIM)


def test_lists_that_do_not_fit_the_codes_are_refused(tmp_path):
    torch.save(W, tmp_path / "codes.pt")
    torch.save(NAMED, tmp_path / "named.pt")
    (tmp_path / "list.csv").write_text("\n".join(rows().splitlines()[:-1]))
    for name, message in (("codes", "has 39 rows for its 40 codes"), ("named", r"no row of 1 .*00039.jpg")):
        with pytest.raises(ValueError, match=message):
            read_latents(tmp_path / f"{name}.pt", tmp_path / "list.csv", NUM_WS, W_DIM)
