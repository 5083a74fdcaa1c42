"""Views of many pictures: an edit at growing strengths (Scrub, Sweep), methods at equal effects (Compare)."""

from collections.abc import Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from lwgan import readings as read
from lwgan import recipe
from lwgan.page.panel import change_of, edits_of, key_of, method_of, title
from lwgan.page.pictures import film, strip, thumb_url, url
from lwgan.page.views import changes_of, spell
from lwgan.pipeline import MAX_ALPHA, EditingPipeline

AXIS = [-0.5 + 0.125 * i for i in range(21)]  # strengths that Scrub and Sweep render, in one call
EFFECTS = [0.2, 0.4, 0.6, 0.8]  # expected target changes at which methods are compared
STEPS = [0.5, 1.0, 1.5, 2.0]  # strengths, where the edit in use was never measured
COMPARED = 4  # methods that are compared unless the visitor chooses


def along(
    pipe: EditingPipeline, w: Tensor, alphas: Mapping[str, float], name: str, axis: Sequence[float]
) -> list[Image.Image]:
    """Renders a code [1, num_ws, w_dim] at each alpha of one edit, with the other edits at `alphas`."""
    others = {other: alpha for other, alpha in alphas.items() if alpha and other != name}
    return pipe.generate(torch.cat([pipe.edit(w, {**others, name: float(alpha)}) for alpha in axis]))


def _axis(pipe: EditingPipeline, name: str) -> tuple[list[float], list[float]]:
    """The strengths of AXIS whose alphas the edit accepts, and these alphas."""
    pairs = [(strength, pipe.scales[name].alpha(strength)) for strength in AXIS]
    pairs = [pair for pair in pairs if abs(pair[1]) <= MAX_ALPHA]
    return [strength for strength, _ in pairs], [alpha for _, alpha in pairs]


def sweep_alphas(pipe: EditingPipeline, name: str) -> list[float]:
    """The alphas of a sweep unless others are asked for."""
    return _axis(pipe, name)[1][::2]


def scrub(pipe: EditingPipeline, session: Mapping, alphas: Mapping[str, float], name: str) -> dict:
    """All frames of one edit's axis: the page moves through them without the server."""
    strengths, axis = _axis(pipe, name)
    frames = [thumb_url(picture) for picture in along(pipe, session["before"].w, alphas, name, axis)]
    now = alphas.get(name, 0.0)
    at = min(range(len(axis)), key=lambda i: abs(axis[i] - now))
    shown = {"frames": frames, "strengths": strengths, "alphas": axis, "changes": _expected(pipe, name, axis)}
    return {"name": name, "label": title(pipe, name), "at": at, **shown}


def sweep(pipe: EditingPipeline, session: Mapping, alphas: Mapping[str, float], name: str) -> dict:
    """Every second picture of an edit's axis, to click on, and as a strip (PNG); the change from none to the
    strength now (1 if that is 0) and back, as animations."""
    strengths, axis = _axis(pipe, name)
    pictures = along(pipe, session["before"].w, alphas, name, axis)
    shown = range(0, len(axis), 2)
    made = recipe.make(pipe, session["source"], alphas)
    now = alphas.get(name, 0.0) / pipe.scales[name].unit
    moving = pictures[_path(strengths, now)]
    return {
        "name": name, "label": title(pipe, name), "now": now,
        "cells": [{"src": thumb_url(pictures[i]), "strength": strengths[i], "alpha": axis[i]} for i in shown],
        "changes": _expected(pipe, name, [axis[i] for i in shown]),
        "png": url(recipe.png(strip([pictures[i] for i in shown]), made), "image/png"),
        "webp": film(moving, "webp"), "gif": film(moving, "gif"),
    }  # fmt: skip


def _path(strengths: Sequence[float], now: float) -> slice:
    """The places on the axis from strength 0 to the one nearest to `now`, or to 1 if that is 0 too."""
    place = lambda wanted: min(range(len(strengths)), key=lambda i: abs(strengths[i] - wanted))
    start, stop = place(0.0), place(now)
    stop = place(1.0) if stop == start else stop
    return slice(start, stop + 1) if stop >= start else slice(start, stop - 1 if stop else None, -1)


def _expected(pipe: EditingPipeline, name: str, axis: Sequence[float]) -> list[float | None]:
    return [pipe.scales[name].expected("target_change", alpha) for alpha in axis]


def compare(pipe: EditingPipeline, session: Mapping, current: str, wanted: Mapping) -> dict:
    """The methods for one change, each at the alphas of equal expected effects; at equal strengths if the
    edit in use, as one that was taught, was never measured.

    wanted: the visitor's choice, {"methods": names of edits, "effect": one of EFFECTS or STEPS}, or less.
    """
    measured = bool(pipe.scales[current].curve)
    effects = EFFECTS if measured else STEPS
    rivals = [edit for edit in edits_of(pipe) if edit["key"] == key_of(pipe, current)]
    names = sorted((edit["name"] for edit in rivals), key=lambda name: not measured and name != current)
    chosen = [name for name in wanted.get("methods") or [] if name in names]
    if not chosen and wanted.get("methods") != []:  # the visitor has not chosen yet, or for another change
        chosen = names[:COMPARED]
    effect = wanted.get("effect") if wanted.get("effect") in effects else None
    effect = effect or (_comparable(pipe, chosen) if measured else 1.0)
    return {
        "label": change_of(pipe, current), "effects": effects, "effect": effect, "measured": measured,
        "source": thumb_url(session["before"].picture),
        "methods": [{"name": e["name"], "label": e["method"], "on": e["name"] in chosen} for e in rivals],
        "rows": [_compared(pipe, session, name, effect, effects) for name in names if name in chosen],
    }  # fmt: skip


def _comparable(pipe: EditingPipeline, names: Sequence[str]) -> float:
    """The largest effect that at least two of these edits reach."""
    reaching = lambda effect: sum(_alpha_for(pipe, name, effect) is not None for name in names)
    return next((effect for effect in reversed(EFFECTS) if reaching(effect) > 1), EFFECTS[-1])


def _alpha_for(pipe: EditingPipeline, name: str, effect: float) -> float | None:
    alpha = pipe.scales[name].alpha_for(effect)
    return alpha if alpha is not None and alpha <= MAX_ALPHA else None


def _compared(
    pipe: EditingPipeline, session: Mapping, name: str, effect: float, effects: Sequence[float]
) -> dict:
    """A method's pictures at all effects (EFFECTS or STEPS), and its figures at one."""
    scale, before = pipe.scales[name], session["before"]
    if effects is EFFECTS:
        alphas = {wanted: _alpha_for(pipe, name, wanted) for wanted in effects}
    else:
        alphas = {wanted: min(scale.alpha(wanted), MAX_ALPHA) for wanted in effects}
    reached = [wanted for wanted, alpha in alphas.items() if alpha is not None]
    axis = [alphas[wanted] for wanted in reached]
    pictures = dict(zip(reached, along(pipe, before.w, {}, name, axis) if axis else [], strict=True))
    cells = [
        {"src": thumb_url(pictures[wanted]), "alpha": alpha} if wanted in pictures else None
        for wanted, alpha in alphas.items()
    ]
    alpha = alphas[effect]
    row = {"name": name, "label": method_of(pipe, name), "cells": cells, "alpha": alpha}
    if alpha is None:
        most = max((point["target_change"] for point in scale.curve), default=None)
        return {**row, "why": "never measured" if most is None else f"reaches {read.percent(most)} at most"}
    asked = changes_of(pipe, [name])
    after = read.look(pipe, pictures[effect], pipe.edit(before.w, {name: alpha}))
    difference = read.compare(pipe, before, after, asked)
    here = {
        "reads": spell(after.opinions[0], asked) if after.opinions else "–",
        "kept": "–" if difference.of is None else f"{difference.kept} of {difference.of}",
        "identity": "–" if difference.identity is None else f"{difference.identity:.3f}",
    }
    said = lambda share: "–" if share is None else read.percent(share)
    target = effect if effects is EFFECTS else scale.expected("target_change", alpha)
    return {**row, "target": said(target), "kept": said(scale.kept(alpha)), "here": here}
