"""Views of many pictures: one edit along its axis (Scrub, Sweep), several methods on one axis of expected effect (Compare)."""

from collections.abc import Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from lwgan import readings as read
from lwgan import recipe
from lwgan.page.panel import change_of, edits_of, group_of, method_name, title
from lwgan.page.pictures import animation, strip, thumb_url, url
from lwgan.page.views import targets
from lwgan.pipeline import MAX_ALPHA, EditingPipeline

AXIS = [-0.5 + 0.125 * i for i in range(21)]  # strengths that scrubbing and sweeping render, in one call
EFFECTS = [0.2, 0.4, 0.6, 0.8]  # expected target changes at which methods are compared
COMPARED = 4  # methods that are compared unless the visitor chooses


def along(
    pipe: EditingPipeline, w: Tensor, alphas: Mapping[str, float], name: str, axis: Sequence[float]
) -> list[Image.Image]:
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
    shown = {"frames": frames, "strengths": strengths, "alphas": axis, "changes": _expected(pipe, name, axis)}
    return {"name": name, "label": title(pipe, name), "at": at, **shown}


def sweep(pipe: EditingPipeline, session: Mapping, alphas: Mapping[str, float], name: str) -> dict:
    """A strip of one edit's axis, each picture to be clicked; the strip as a PNG, the whole axis as an animation."""
    strengths, axis = _axis(pipe, name)
    pictures = along(pipe, session["before"].w, alphas, name, axis)
    shown = range(0, len(axis), 2)
    cells = [{"src": thumb_url(pictures[i]), "strength": strengths[i], "alpha": axis[i]} for i in shown]
    made = recipe.make(pipe, session["source"], alphas)
    return {
        "name": name, "label": title(pipe, name), "cells": cells, "changes": _expected(pipe, name, [axis[i] for i in shown]),
        "now": alphas.get(name, 0.0) / pipe.scales[name].unit,
        "png": url(recipe.png(strip([pictures[i] for i in shown]), made), "image/png"), "webp": url(animation(pictures), "image/webp"),
    }  # fmt: skip


def _expected(pipe: EditingPipeline, name: str, axis: Sequence[float]) -> list[float | None]:
    return [pipe.scales[name].expected("target_change", alpha) for alpha in axis]


def compare(pipe: EditingPipeline, session: Mapping, current: str, wanted: Mapping) -> dict:
    """Methods for the same change, on one axis of expected effect. wanted: {"methods": names of edits, "effect": one of EFFECTS}."""
    config = pipe.edits[current].config
    rivals = [
        edit
        for edit in edits_of(pipe)
        if edit["label"] == change_of(config, current) and edit["group"] == group_of(config)
    ]
    names = [edit["name"] for edit in rivals]
    chosen = [name for name in wanted.get("methods") or [] if name in names]
    if not chosen and wanted.get("methods") != []:  # no choice as yet, or one of another change
        chosen = names[:COMPARED]
    effect = wanted.get("effect") if wanted.get("effect") in EFFECTS else _comparable(pipe, chosen)
    rows = [_compared(pipe, session, name, effect) for name in names if name in chosen]
    named = any(point.get("attribute_preservation") is not None for point in pipe.scales[current].curve)
    kept = "others kept" if named else "old digits kept"
    return {
        "label": change_of(config, current), "effects": EFFECTS, "effect": effect, "kept": kept, "source": thumb_url(session["before"].picture),
        "methods": [{"name": edit["name"], "label": edit["method"], "on": edit["name"] in chosen} for edit in rivals], "rows": rows,
    }  # fmt: skip


def _comparable(pipe: EditingPipeline, names: Sequence[str]) -> float:
    """The largest effect that two of these methods have."""
    return next(
        (
            effect
            for effect in reversed(EFFECTS)
            if sum(_alpha_for(pipe, name, effect) is not None for name in names) > 1
        ),
        EFFECTS[-1],
    )


def _alpha_for(pipe: EditingPipeline, name: str, effect: float) -> float | None:
    alpha = pipe.scales[name].alpha_for(effect)
    return alpha if alpha is not None and alpha <= MAX_ALPHA else None


def _compared(pipe: EditingPipeline, session: Mapping, name: str, effect: float) -> dict:
    scale, w = pipe.scales[name], session["before"].w
    alphas = [_alpha_for(pipe, name, wanted) for wanted in EFFECTS]
    there = [alpha for alpha in alphas if alpha is not None]
    pictures = iter(along(pipe, w, {}, name, there) if there else [])
    found = [None if alpha is None else (alpha, next(pictures)) for alpha in alphas]
    cells = [None if cell is None else {"src": thumb_url(cell[1]), "alpha": cell[0]} for cell in found]
    asked = alphas[EFFECTS.index(effect)]
    row = {"name": name, "label": method_name(pipe.edits[name].config), "cells": cells, "alpha": asked}
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
