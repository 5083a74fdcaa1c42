"""From two piles of pictures to the model folder of an edit: what `lwgan teach`, the page and its endpoint
share.

The edit is `lwgan.teach`'s. Pictures go into codes and nowhere else: the folder holds weights, config, card
and a strip of pictures that were in neither pile: samples, or the generator's if all samples were."""

import hashlib
import io
import re
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from PIL import Image
from torch import Tensor

from lwgan.domain import LABEL, Change, change_as_json, change_of, short
from lwgan.edit import AffineEdit
from lwgan.files import atomic, save_sheet
from lwgan.images import to_tensor
from lwgan.pipeline import CLOUD_CODES, CLOUD_PICTURES, MODULES, EditingPipeline
from lwgan.sources import SIZE
from lwgan.teach import LEAST, MOST, Report, mean_shift, teach

PART = 50  # pictures that are encoded at once
REDRAWN = 256  # px: up to this side some 300 pictures are drawn and encoded while a visitor waits
RARE = 0.99  # quantile of the samples' reconstruction errors above which a picture is badly inverted
_WORST: WeakKeyDictionary[EditingPipeline, float] = WeakKeyDictionary()
STRENGTHS, SHOWN, TRIED = (0, 0.5, 1, 1.5), 4, 150  # columns and rows of the strip; samples for it
STRIP = "images/strip.png"
LIMITS = f"{LEAST} to {MOST} pictures and at most {SIZE // 1_000_000} MB a pile"


@dataclass(frozen=True)
class Look:
    """A picture as the encoder sees it.

    picture: its reconstruction, None if it was dropped.  code: [num_ws, w_dim].  error: mean squared
    difference of the two, on a scale of 0 to 1.  mark: a hash of the framed picture."""

    picture: Image.Image | None
    code: Tensor
    error: float
    mark: str


def look(pipe: EditingPipeline, pictures: Sequence[Image.Image]) -> list[Look]:
    """Frames, encodes and reconstructs pictures. ValueError for one that cannot be framed."""
    found = []
    for at in range(0, len(pictures), PART):
        framed = [pipe.frame(picture) for picture in pictures[at : at + PART]]
        x, w = to_tensor(framed), pipe.encode(framed)
        made = pipe.generate(w)
        y = pipe.as_generated(made)
        x = x if x.shape == y.shape else torch.nn.functional.interpolate(x, y.shape[2:], mode="area")
        errors = (x - y).square().mean((1, 2, 3)) / 4
        marks = map(_mark, framed)
        found += map(Look, made, w, errors.tolist(), marks)
    return found


def _mark(framed: Image.Image) -> str:
    return hashlib.sha256(framed.tobytes()).hexdigest()


def worst_error(pipe: EditingPipeline) -> float:
    """The largest error that a picture of a pile may have: that of 99% of the registry's sample pictures;
    infinity if the registry has none. It is computed once."""
    if pipe.images is None:
        return float("inf")
    if pipe not in _WORST:
        samples = [pipe.sample(seed) for seed in range(min(CLOUD_PICTURES, len(pipe.images)))]
        _WORST[pipe] = torch.tensor([each.error for each in look(pipe, samples)]).quantile(RARE).item()
    return _WORST[pipe]


def check_name(pipe: EditingPipeline, name: object) -> Change:
    """The Change that an edit of this name makes: one of the domain's, or else a new label's. ValueError for
    a text that cannot be a name."""
    name = name.strip() if isinstance(name, str) else name
    if not isinstance(name, str) or not LABEL.fullmatch(name) or not _slug(name):
        wanted = "1 to 60 of A-Z, a-z, 0-9, spaces and _.,&+'()-, one of a-z or 0-9 among them"
        raise ValueError(f"the name is {short(name, 80)}, expected {wanted}")
    try:
        return pipe.domain.change(name)
    except ValueError:
        return change_of(name)


def folder_name(pipe: EditingPipeline, name: str) -> str:
    return f"lwgan-{pipe.domain.name}-taught-{_slug(name)}"[:64]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def learn(
    pipe: EditingPipeline, without: Sequence[Look], with_: Sequence[Look], name: str, kind: str | None = None,
    draw: bool = True,
) -> tuple[AffineEdit, Report]:  # fmt: skip
    """An edit with its config, from two piles of which the badly inverted pictures are left out.

    name: as `check_name`.  kind: "place" or "choice", by default that of the change of this name.
    draw: whether edited pictures may be drawn to find strength 1; it takes seconds, and a look at the light
    needs none.
    ValueError for a bad name, for piles that are too small or too large, or share a picture."""
    change = check_name(pipe, name)
    kind, codes = kind or change.kind, _usable(pipe, without, with_)
    for side, pile, good in zip(("without", "with"), (without, with_), codes, strict=True):
        if len(good) < LEAST:
            bad = f" (the encoder cannot reconstruct {len(pile) - len(good)})" * (len(good) < len(pile))
            usable = f"{len(good)} usable pictures{bad}"
            raise ValueError(f"the pile {side!r} has {usable}: it needs {LEAST} to {MOST}")
    edit, report = teach(*map(torch.stack, codes), pipe.codes(CLOUD_CODES), kind=kind,
                         **helpers(pipe, change, draw))  # fmt: skip
    bad = [len(pile) - len(good) for pile, good in zip((without, with_), codes, strict=True)]
    edit.config |= {
        "method": "teach", "domain": pipe.domain.name, "change": change_as_json(change) | {"kind": kind},
        "alpha": 1.0, "strength": {"unit": 1.0, "curve": []},
        "base_revision": {role: pipe.revisions[role] for role in MODULES if role in pipe.revisions},
        "report": asdict(report) | {"badly_inverted": bad}, **pipe.bases,
    }  # fmt: skip
    return edit, report


def helpers(pipe: EditingPipeline, change: Change, draw: bool = True) -> dict:
    """What a registry offers to `lwgan.teach.teach` besides codes: its classifier of codes, if it has one,
    and with `draw` its generator and encoder, if its pictures are small enough to draw many."""
    f, given = pipe.latent_classifier, {}
    if f is not None:
        own = [label for label in change.labels if label in pipe.domain.attributes]
        given = {"read": f, "names": f.card_config["names"], "own": own}
    if draw and pipe.generator.config["resolution"] <= REDRAWN:
        given["again"] = lambda w: again(pipe, w)
    return given


def again(pipe: EditingPipeline, w: Tensor) -> Tensor:
    """The codes of the pictures of codes w [n, num_ws, w_dim]: E(G(w))."""
    x, side = pipe.as_generated(pipe.generate(w)), pipe.encoder.config["resolution"]
    x = x if x.shape[-1] == side else torch.nn.functional.interpolate(x, (side, side), mode="area")
    return pipe.encode(x)


def left_out(pipe: EditingPipeline, pile: Sequence[Look], rows: Sequence[int]) -> dict[int, str]:
    """Positions in a pile of the pictures that `learn` left out, and why.

    rows: the pile's part of `Report.left_out`."""
    worst = worst_error(pipe)
    good = [i for i, each in enumerate(pile) if each.error <= worst]
    bad = {i: "the encoder cannot reconstruct it" for i in range(len(pile)) if i not in good}
    return bad | {good[row]: "it seems to belong to the other pile" for row in rows}


def strip(pipe: EditingPipeline, edit: AffineEdit, without: Sequence[Look], with_: Sequence[Look]) -> Tensor:
    """Pictures [SHOWN * len(STRENGTHS), C, H, W] of samples that are in neither pile, at growing strengths:
    of those tried, the samples whose code is most clearly nearer to the pile without. Where all samples are
    in a pile, random codes take their place."""
    used = {each.mark for each in (*without, *with_)}
    count = TRIED if pipe.images is None else min(TRIED, len(pipe.images))
    tried = [pipe.frame(pipe.sample(seed)) for seed in range(count)]
    free = [picture for picture in tried if _mark(picture) not in used]
    codes = pipe.encode(free) if len(free) >= SHOWN else pipe.codes(TRIED)
    near = lambda pile: torch.cdist(codes.flatten(1), torch.stack([each.code for each in pile]).flatten(1))
    nearer = near(without).min(1).values - near(with_).min(1).values
    codes = codes[nearer.argsort()[:SHOWN].sort().values]
    rows = torch.stack([edit(codes, strength) for strength in STRENGTHS], 1)
    return pipe.as_generated(pipe.generate(rows.flatten(0, 1)))


def save(
    pipe: EditingPipeline, edit: AffineEdit, folder: Path, without: Sequence[Look], with_: Sequence[Look]
) -> None:
    """Writes the model folder: config, weights, card and the strip."""
    edit.save_pretrained(folder)
    (folder / STRIP).parent.mkdir(exist_ok=True)
    save_sheet(folder / STRIP, strip(pipe, edit, without, with_), len(STRENGTHS))
    with atomic(folder / "README.md") as partial:
        partial.write_text(card(pipe, edit, folder.name), "utf-8")


class Taught(NamedTuple):
    """A taught edit as its folder holds it, the folder as a zip archive, its strip as a PNG.

    mean: the mean shift of the same piles, for Compare; no folder holds it."""

    name: str
    edit: AffineEdit
    mean: AffineEdit
    report: Report
    archive: bytes
    strip: bytes


def make(
    pipe: EditingPipeline, without: Sequence[Look], with_: Sequence[Look], name: str, kind: str | None = None
) -> Taught:
    """`learn` and `save`, into an archive. Errors as `learn`."""
    edit, report = learn(pipe, without, with_, name, kind)
    name = folder_name(pipe, edit.config["change"]["name"])
    with tempfile.TemporaryDirectory() as place:
        folder, file = Path(place) / name, io.BytesIO()
        save(pipe, edit, folder, without, with_)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(place))
        strip = (folder / STRIP).read_bytes()
        _rival(pipe, edit, without, with_).save_pretrained(Path(place) / "mean")
        edit, mean = map(AffineEdit.from_pretrained, (folder, Path(place) / "mean"))
        return Taught(name, edit, mean, report, file.getvalue(), strip)


def _rival(
    pipe: EditingPipeline, edit: AffineEdit, without: Sequence[Look], with_: Sequence[Look]
) -> AffineEdit:
    """The mean shift of the usable pictures of the piles of which `edit` was learned. Beside a "place" it
    goes as far in the direction of the edit as the edit itself."""
    mean = mean_shift(*map(torch.stack, _usable(pipe, without, with_)))
    along = (mean.bias * edit.bias).sum()
    if edit.config["change"]["kind"] == "place" and along > 0:
        mean = AffineEdit(None, mean.bias * edit.bias.square().sum() / along)
    same = ("domain", "change", "alpha", "strength", "base_revision")
    mean.config |= {"method": "centroids"} | {key: edit.config[key] for key in same}
    return mean


def _usable(pipe: EditingPipeline, without: Sequence[Look], with_: Sequence[Look]) -> list[list[Tensor]]:
    """The codes of each pile, but for badly inverted pictures."""
    worst = worst_error(pipe)
    return [[each.code for each in pile if each.error <= worst] for pile in (without, with_)]


def card(pipe: EditingPipeline, edit: AffineEdit, name: str) -> str:
    """The text of README.md."""
    change, report, domain = edit.config["change"], edit.config["report"], pipe.domain
    reasons = "".join(f"\n- {reason}" for reason in report["reasons"]) or "\n- Nothing to object to."
    bad, n = sum(report["badly_inverted"]), report["n"]
    left = sum(map(len, report["left_out"]))
    head = [f"license: {domain.licence.partition(chr(10))[0].strip()}"]
    if base := edit.config.get("base_model"):
        head += [f"base_model: {base}", "base_model_relation: adapter"]
    return CARD.format(
        head="\n".join(head), name=name, domain=domain, change=change, n=n, reasons=reasons, bad=bad,
        left=left, light=report["light"], auc=report["auc"], cosine=report["cosine"],
        base=edit.config["base_revision"],
    )  # fmt: skip


CARD = """---
{head}
library_name: lwgan
tags: [lwgan, image-editing]
---

# {name}

This edit changes a picture ({domain.subject}) from **{change[before]}** to **{change[after]}**.
It was taught from two piles of pictures, {n[0]} without and {n[1]} with. The pictures are not in this folder.

![Pictures that were in neither pile, at the strengths 0, 0.5, 1 and 1.5](images/strip.png)

At strength 1 (alpha = 1) most pictures should change. No judge measured it: look at pictures before you rely
on it. Of other taught edits, from piles of 50 and more, the worst changed 44% of the pictures, the best 100%.

## How good it is: {light}
{reasons}

A probe tells pictures that it has not seen apart with an AUC of {auc:.2f} (0.5 is chance, 1 is best). Two
halves of the piles give edits with a cosine of {cosine:.2f} (1 is best). Left out were {bad} pictures that
the encoder cannot reconstruct and {left} that seemed to lie on the wrong pile.

## Use

    lwgan edit picture.png --registry FOLDER --edit {name} -o edited.png

FOLDER holds this folder beside the generator and the encoder with weights sha256
`{base[generator]}` and `{base[encoder]}`. The edit works with no others.

## Limits

{domain.limits}
"""
