"""What each of the page's own components shows, as JSON. Pictures travel as data URLs, so that a slider's move is one event."""

import base64
import io
import itertools
import json
from collections.abc import Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from lwgan import readings as read
from lwgan import recipe
from lwgan.attributes import METHODS
from lwgan.pipeline import MAX_ALPHA, EditingPipeline, count_label
from lwgan.strength import WANTED

LOW, HIGH, STEP = -1.0, 2.0, 0.05  # of a slider, in strengths
AXIS = [-0.5 + 0.125 * i for i in range(21)]  # strengths that scrubbing and sweeping render, in one call
EFFECTS = [0.2, 0.4, 0.6, 0.8]  # expected target changes at which methods are compared
COMPARED = 4  # methods that are compared unless the visitor chooses
SMALL = 128  # px: pictures up to this side are sent as they are, larger ones for views of many at most at THUMB
THUMB = 512
COUNTER = itertools.count()


# --- The panel of sliders --------------------------------------------------------------------------------------------


def edits_of(pipe: EditingPipeline) -> list[dict]:
    """Each edit as its slider needs it, by attribute, change and method."""
    order = {method: i for i, method in enumerate(METHODS)}
    known = sorted(
        pipe.edits.items(),
        key=lambda pair: (_group(pair[1].config), _name(pair[1].config, pair[0]), order.get(_method(pair[1].config), 99)),
    )
    return [_edit_of(pipe, name) for name, _ in known]


def _edit_of(pipe: EditingPipeline, name: str) -> dict:
    config, scale = pipe.edits[name].config, pipe.scales[name]
    most = MAX_ALPHA / scale.unit
    return {
        "name": name, "label": _name(config, name), "group": _group(config), "method": METHODS.get(_method(config), _method(config)),
        "unit": scale.unit, "low": max(LOW, -_floor(most)), "high": min(HIGH, _floor(most)), "step": STEP,
        "curve": [[point["alpha"], round(point["target_change"], 4)] for point in scale.curve], "note": unit_note(pipe, name),
    }  # fmt: skip


def unit_note(pipe: EditingPipeline, name: str) -> str:
    """What strength 1 of an edit means."""
    reach = pipe.scales[name].reach
    if reach is None:
        return "Strength 1 is the edit's recommended alpha: its effect was never measured."
    if reach == 0:
        return "Strength 1 is the edit's recommended alpha: at no alpha did it change a picture."
    if reach < WANTED:
        return f"Strength 1 is where most pictures change, {read.percent(reach)} of them: it never reaches {read.percent(WANTED)}."
    return f"Strength 1 is where {read.percent(WANTED)} of pictures change."


def described(pipe: EditingPipeline, edit: Mapping) -> dict:
    """An edit for callers of the API."""
    scale = pipe.scales[edit["name"]]
    return {**edit, "unit": scale.unit, "expected_change_at_unit": scale.reach}


def _floor(strength: float) -> float:
    return int(strength / STEP) * STEP


def _name(config: Mapping, name: str) -> str:
    if config.get("from") and config.get("to"):
        return f"{config['from']} → {config['to']}"
    return str(config.get("to") or config.get("attribute") or name)


def _group(config: Mapping) -> str:
    return str(config.get("attribute") or "other edits").replace("-", " ").replace("_", " ")


def _method(config: Mapping) -> str:
    """Edits of other people need not name theirs."""
    return config.get("method") or "other"


# --- Sources ---------------------------------------------------------------------------------------------------------


def gallery(pipe: EditingPipeline, number: int) -> dict:
    """Samples to start with: of digits, some of each count that an edit starts from."""
    seeds = list(range(number))
    if pipe.numbers is not None:
        counts = pipe.numbers.sum(1).tolist()
        wanted = sorted(
            {config.config["to_count"] - 1 for config in pipe.edits.values() if isinstance(config.config.get("to_count"), int)}
        ) or [1]
        each = -(-number // len(wanted))
        of_count = [[seed for seed, count in enumerate(counts) if count == asked][:each] for asked in wanted]
        seeds = [seed for row in of_count for seed in row][:number]
        says = {seed: count_label(counts[seed]) for seed in seeds}
    else:
        says = {}
    return {
        "items": [
            {"seed": seed, "src": data_url(pipe.sample(seed)), "alt": f"sample {seed}" + (f", {says[seed]}" if seed in says else "")}
            for seed in seeds
        ]
    }


# --- Edit ------------------------------------------------------------------------------------------------------------


def edit(pipe: EditingPipeline, session: Mapping, result: Image.Image, alphas: Mapping[str, float]) -> dict:
    """The original, its reconstruction and the edited picture with its recipe."""
    made = recipe.make(pipe, session["source"], alphas)
    return {
        "original": data_url(session["framed"]), "reconstruction": data_url(session["before"].picture),
        "edited": _url(recipe.png(result, made), "image/png"), "link": recipe.to_link(made), "recipe": recipe.to_json(made),
        "quality": quality(session),
    }  # fmt: skip


def quality(session: Mapping) -> str:
    """How well the reconstruction shows the original."""
    ratio = read.psnr(session["framed"], session["before"].picture)
    said = [f"{ratio:.1f} dB PSNR"]
    if session["original"] is not None:
        same, of = read.agreement(session["original"], session["before"].opinions[0])
        agreed = "judge reads the same" if same == of else f"judge reads {same} of {of} the same"
        if session["original"].attributes is None and same != of:
            agreed = f"judge reads {read.spell(session['original'])} in the original"
        said.append(agreed)
    return " · ".join(said)


def status(pipe: EditingPipeline, session: Mapping, after: read.Seen, alphas: Mapping[str, float]) -> dict:
    """One line on what has happened, which screen readers announce. `at` makes each one another, so that the page sees it come."""
    if "problem" in session:
        return {"line": session["problem"], "problem": True, "at": next(COUNTER)}
    line = ""
    if after.opinions:
        asked = targets(pipe, alphas)
        line = f"The judge reads {read.spell(session['before'].opinions[0], asked)} → {read.spell(after.opinions[0], asked)}."
    return {"line": " ".join(filter(None, (session["note"], line))), "problem": False, "at": next(COUNTER)}


def targets(pipe: EditingPipeline, alphas: Mapping[str, float]) -> list[str]:
    """The attributes that these edits are to change."""
    return [str(pipe.edits[name].config.get("attribute") or "") for name in alphas]


def readings(pipe: EditingPipeline, session: Mapping, after: read.Seen, alphas: Mapping[str, float]) -> dict:
    """The table beside the picture: rows (what, before, after), and warnings."""
    before, on = session["before"], {name: alpha for name, alpha in alphas.items() if alpha}
    asked = targets(pipe, on or alphas)
    rows = [
        (was.judge.capitalize(), read.spell(was, asked), read.spell(now, asked))
        for was, now in zip(before.opinions, after.opinions, strict=True)
    ]
    rows += _change_rows(read.compare(pipe, before, after, asked))
    rows.append(("Distance from training codes", f"{before.distance:.2f}", f"{after.distance:.2f}"))
    return {"quality": quality(session), "rows": rows, "warnings": warnings(pipe, session, after, on), "limit": f"{pipe.cloud.limit:.2f}"}


def _change_rows(change: read.Change) -> list[tuple[str, str, str]]:
    rows = []
    if change.of is not None:
        what = "Old digits still there" if change.drift is None else "Other attributes read the same"
        rows.append((what, "", f"{change.kept} of {change.of}"))
    if change.drift is not None:
        moved = ", ".join(f"{name.replace('_', ' ')} {100 * by:+.0f}" for name, by in change.moved)
        rows.append(("Off-target drift, points", "", f"{100 * change.drift:.1f}" + (f" ({moved})" if moved else "")))
    if change.identity is not None:
        rows.append(("Identity kept, cosine", "", f"{change.identity:.3f}"))
    return rows


def warnings(pipe: EditingPipeline, session: Mapping, after: read.Seen, on: Mapping[str, float]) -> list[str]:
    """Where an alpha goes beyond what the edit or the generator was made for."""
    said, before = [], session["before"].distance
    for name, alpha in on.items():
        scale, label = pipe.scales[name], _name(pipe.edits[name].config, name)
        if not scale.curve:
            continue
        last, best = scale.curve[-1]["alpha"], max(scale.curve, key=lambda point: point["target_change"])
        if alpha > last:
            said.append(f"{label}: alpha {alpha:g} extrapolates, it was measured up to {last:g}.")
        elif alpha > best["alpha"] and best["target_change"] - (scale.expected("target_change", alpha) or 0) > 0.1:
            said.append(f"{label}: alpha {alpha:g} is beyond {best['alpha']:g}, where most pictures change; from there on it overshoots.")
        elif alpha < 0:
            said.append(f"{label}: alpha {alpha:g} extrapolates, only alphas above 0 were measured.")
    limit = pipe.cloud.limit
    if before > limit:
        said.append("This picture's own code lies farther out than 99% of codes of known pictures: edits may not hold for it.")
    elif after.distance > limit:
        said.append(
            f"These edits extrapolate: the code is {after.distance:.2f} out, 99% of codes of known pictures are within {limit:.2f}."
        )
    return said


# --- Scrub and sweep -------------------------------------------------------------------------------------------------


def along(pipe: EditingPipeline, w: Tensor, alphas: Mapping[str, float], name: str, axis: Sequence[float]) -> list[Image.Image]:
    """One code [1, num_ws, w_dim] at each alpha of one edit, the others as they are: rendered in one call."""
    others = {other: alpha for other, alpha in alphas.items() if alpha and other != name}
    return pipe.generate(torch.cat([pipe.edit(w, {**others, name: float(alpha)}) for alpha in axis]))


def _axis(pipe: EditingPipeline, name: str) -> tuple[list[float], list[float]]:
    """The strengths of AXIS that the edit can have, and their alphas."""
    pairs = [(strength, pipe.scales[name].alpha(strength)) for strength in AXIS]
    pairs = [pair for pair in pairs if abs(pair[1]) <= MAX_ALPHA]
    return [strength for strength, _ in pairs], [alpha for _, alpha in pairs]


def sweep_alphas(pipe: EditingPipeline, name: str) -> list[float]:
    """The alphas that a sweep shows unless others are asked for."""
    return _axis(pipe, name)[1][::2]


def scrub(pipe: EditingPipeline, session: Mapping, alphas: Mapping[str, float], name: str) -> dict:
    """All frames of one edit's axis, to be slid through without the server."""
    strengths, axis = _axis(pipe, name)
    frames = [thumb_url(picture) for picture in along(pipe, session["before"].w, alphas, name, axis)]
    now = alphas.get(name, 0.0)
    at = min(range(len(axis)), key=lambda i: abs(axis[i] - now))
    return {
        "name": name,
        "label": title(pipe, name),
        "frames": frames,
        "strengths": strengths,
        "alphas": axis,
        "at": at,
        "changes": _expected(pipe, name, axis),
    }


def sweep(pipe: EditingPipeline, session: Mapping, alphas: Mapping[str, float], name: str) -> dict:
    """A strip of one edit's axis, each picture to be clicked; the strip as a PNG, the whole axis as an animation."""
    strengths, axis = _axis(pipe, name)
    pictures = along(pipe, session["before"].w, alphas, name, axis)
    shown = range(0, len(axis), 2)
    cells = [{"src": thumb_url(pictures[i]), "strength": strengths[i], "alpha": axis[i]} for i in shown]
    made = recipe.make(pipe, session["source"], {**alphas, name: axis[-1]})
    return {
        "name": name, "label": title(pipe, name), "cells": cells, "changes": _expected(pipe, name, [axis[i] for i in shown]), "now": pipe.scales[name].unit and alphas.get(name, 0.0) / pipe.scales[name].unit,
        "png": _url(recipe.png(strip([pictures[i] for i in shown]), made), "image/png"), "webp": _url(animation(pictures), "image/webp"),
    }  # fmt: skip


def title(pipe: EditingPipeline, name: str) -> str:
    config = pipe.edits[name].config
    return f"{_name(config, name)}, by {METHODS.get(_method(config), _method(config))}"


def _expected(pipe: EditingPipeline, name: str, axis: Sequence[float]) -> list[float | None]:
    return [pipe.scales[name].expected("target_change", alpha) for alpha in axis]


def strip(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures in a row, small ones enlarged, 2 px of grey between."""
    pictures = [_enlarged(picture) for picture in pictures]
    width, height = pictures[0].size
    row = Image.new(pictures[0].mode, (len(pictures) * (width + 2) - 2, height), 128 if pictures[0].mode == "L" else (128,) * 3)
    for i, picture in enumerate(pictures):
        row.paste(picture, (i * (width + 2), 0))
    return row


def animation(pictures: Sequence[Image.Image]) -> bytes:
    """There and back, as an animated WebP."""
    frames = [_enlarged(picture).convert("RGB") for picture in (*pictures, *pictures[-2:0:-1])]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], duration=70, loop=0, quality=85, method=0)
    return file.getvalue()


def _enlarged(picture: Image.Image) -> Image.Image:
    times = max(1, SMALL // max(picture.size))
    return picture.resize((times * picture.width, times * picture.height), Image.Resampling.NEAREST)


# --- Compare ---------------------------------------------------------------------------------------------------------


def compare(pipe: EditingPipeline, session: Mapping, current: str, wanted: Mapping) -> dict:
    """Methods for the same change, on one axis of expected effect. wanted: {"methods": names of edits, "effect": one of EFFECTS}."""
    config = pipe.edits[current].config
    rivals = [edit for edit in edits_of(pipe) if edit["label"] == _name(config, current) and edit["group"] == _group(config)]
    names = [edit["name"] for edit in rivals]
    chosen = [name for name in wanted.get("methods") or [] if name in names] or names[:COMPARED]
    effect = wanted.get("effect") if wanted.get("effect") in EFFECTS else EFFECTS[-1]
    rows = [_compared(pipe, session, name, effect) for name in names if name in chosen]
    kept = (
        "old digits kept"
        if pipe.numbers is not None or session["before"].opinions[:1] and session["before"].opinions[0].numbers
        else "others kept"
    )
    return {
        "label": _name(config, current), "effects": EFFECTS, "effect": effect, "kept": kept, "source": thumb_url(session["before"].picture),
        "methods": [{"name": edit["name"], "label": edit["method"], "on": edit["name"] in chosen} for edit in rivals], "rows": rows,
    }  # fmt: skip


def _compared(pipe: EditingPipeline, session: Mapping, name: str, effect: float) -> dict:
    scale, w = pipe.scales[name], session["before"].w
    alphas = [scale.alpha_for(wanted) for wanted in EFFECTS]
    alphas = [alpha if alpha is not None and alpha <= MAX_ALPHA else None for alpha in alphas]
    there = [alpha for alpha in alphas if alpha is not None]
    pictures = iter(along(pipe, w, {}, name, there) if there else [])
    found = [None if alpha is None else (alpha, next(pictures)) for alpha in alphas]
    cells = [None if cell is None else {"src": thumb_url(cell[1]), "alpha": cell[0]} for cell in found]
    asked = alphas[EFFECTS.index(effect)]
    row = {
        "name": name,
        "label": METHODS.get(_method(pipe.edits[name].config), _method(pipe.edits[name].config)),
        "cells": cells,
        "alpha": asked,
    }
    if asked is None:
        most = max((point["target_change"] for point in scale.curve), default=None)
        return {**row, "why": "never measured" if most is None else f"reaches {read.percent(most)} at most"}
    after = read.look(pipe, found[EFFECTS.index(effect)][1], pipe.edit(w, {name: asked}))
    change = read.compare(pipe, session["before"], after, targets(pipe, [name]))
    return {
        **row, "target": _share(scale.expected("target_change", asked)), "kept": _share(scale.kept(asked)), "identity": _cosine(scale.expected("identity", asked)),
        "here": {
            "reads": read.spell(after.opinions[0], targets(pipe, [name])) if after.opinions else "–",
            "kept": f"{change.kept} of {change.of}" if change.of is not None else "–", "identity": _cosine(change.identity),
        },
    }  # fmt: skip


def _share(value: float | None) -> str:
    return "–" if value is None else read.percent(value)


def _cosine(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


# --- About -----------------------------------------------------------------------------------------------------------


def about(pipe: EditingPipeline, name: str) -> dict:
    """The checked config of an edit in rows, its curve, and where its card is. Nothing that others wrote is rendered as HTML."""
    config, scale, entry = pipe.edits[name].config, pipe.scales[name], pipe.sources.get(name)
    weights, base = config.get("weights") or {}, config.get("base_revision") or {}
    hub = entry is not None and "/" in entry.source and entry.revision is not None
    rows = [
        ("Name", name), ("Changes", _name(config, name)), ("Attribute", _group(config)), ("Method", METHODS.get(_method(config), _method(config))),
        ("Map", "w' = w + alpha (A w + b)" if config.get("kind") == "affine" else "w' = w + alpha b"),
        ("Codes", f"{config.get('num_ws')} layers of {config.get('w_dim')}"), ("Strength 1", f"alpha {scale.unit:g}"), ("", unit_note(pipe, name)),
        ("Recommended alpha", _plain(config.get("alpha"))), ("Weights", f"{_plain(config.get('dtype'))}, {weights.get('size', 0) / 1e6:.2f} MB, sha256 {str(weights.get('sha256'))[:12]}"),
        ("Generator", f"sha256 {str(base.get('generator'))[:12]}"), ("Encoder", f"sha256 {str(base.get('encoder'))[:12]}"),
        ("Source", f"{entry.source} at {entry.revision[:12]}" if hub else "comes with the app, or from a folder"),
    ]  # fmt: skip
    return {
        "title": title(pipe, name), "rows": [(key, str(value)[:300]) for key, value in rows], "measured": measured(scale),
        "card": f"https://huggingface.co/{entry.source}" if hub else None, "unit": scale.unit,
        "curve": [[p["alpha"], p["target_change"], next((p[k] for k in ("true_change",) if p.get(k) is not None), None)] for p in scale.curve],
    }  # fmt: skip


def measured(scale) -> list[tuple[str, str]]:
    """What the curve says at strength 1."""
    named = {
        "target_change": "Pictures that change", "true_change": "… and keep the rest", "digits_kept": "Of these, old digits kept",
        "attribute_preservation": "Other attributes kept", "identity": "Identity, cosine", "overshoot": "Changed too far",
    }  # fmt: skip
    found = [(words, key, scale.expected(key, scale.unit)) for key, words in named.items()]
    return [(words, _cosine(value) if key == "identity" else read.percent(value)) for words, key, value in found if value is not None]


def _plain(value) -> str:
    return "–" if value is None else json.dumps(value) if isinstance(value, (dict, list)) else str(value)


# --- Data URLs -------------------------------------------------------------------------------------------------------


def data_url(picture: Image.Image) -> str:
    """The picture, lossless."""
    return _url(recipe.png(picture), "image/png")


def thumb_url(picture: Image.Image) -> str:
    """The picture for views of many: small ones as they are, large ones reduced."""
    if max(picture.size) <= SMALL:
        return data_url(picture)
    file, reduced = io.BytesIO(), picture.copy()
    reduced.thumbnail((THUMB, THUMB), Image.Resampling.LANCZOS)
    reduced.save(file, "WEBP", quality=90, method=0)
    return _url(file.getvalue(), "image/webp")


def _url(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
