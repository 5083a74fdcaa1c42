"""The panel of sliders and the gallery: which edits there are, and what their strengths mean."""

import re
from collections.abc import Mapping

from lwgan.methods import method_of as named
from lwgan.methods import rank
from lwgan.page.pictures import data_url
from lwgan.pipeline import MAX_ALPHA, EditingPipeline
from lwgan.readings import percent
from lwgan.strength import WANTED

LOW, HIGH, STEP = -1.0, 2.0, 0.05  # of a slider, in strengths


def edits_of(pipe: EditingPipeline) -> list[dict]:
    """What the sliders need to know of each edit, sorted by change in the domain's order, then by method."""
    offered = {change.name: i for i, change in enumerate(pipe.domain.changes)}

    def place(name: str) -> tuple:
        method = pipe.edits[name].config.get("method")
        return offered.get(key_of(pipe, name), len(offered)), change_of(pipe, name), rank(method), name

    return [_edit_of(pipe, name) for name in sorted(pipe.edits, key=place)]


def _edit_of(pipe: EditingPipeline, name: str) -> dict:
    scale = pipe.scales[name]
    most = MAX_ALPHA / scale.unit
    whole = int(most / STEP) * STEP  # the last step of a slider within +-MAX_ALPHA
    return {
        "name": name, "key": key_of(pipe, name), "label": change_of(pipe, name),
        "method": method_of(pipe, name), "unit": scale.unit,
        "low": max(LOW, -whole), "high": min(HIGH, whole), "most": most, "step": STEP,
        "curve": [[point["alpha"], round(point["target_change"], 4)] for point in scale.curve],
        "note": f"Strength 1 is {unit_note(pipe, name)}.",
    }  # fmt: skip


def key_of(pipe: EditingPipeline, name: str) -> str:
    """What an edit changes, whatever its method: edits with the same key share a slider."""
    change = pipe.changes[name]
    return change.name if change else name


def change_of(pipe: EditingPipeline, name: str) -> str:
    """What an edit changes, in words; its name if its config does not say."""
    change = pipe.changes[name]
    return f"{change.before} → {change.after}" if change else name


def method_of(pipe: EditingPipeline, name: str) -> str:
    """The name for people of an edit's method. Edits of other people need not state one."""
    return named(pipe.edits[name].config)


def title(pipe: EditingPipeline, name: str) -> str:
    return f"{change_of(pipe, name)}, by {method_of(pipe, name)}"


def unit_note(pipe: EditingPipeline, name: str) -> str:
    """What strength 1 of an edit means."""
    reach = pipe.scales[name].reach
    if reach is None and pipe.edits[name].config.get("method") == "teach":
        return "where most pictures should change: no judge measured it"
    if reach is None:
        return "the edit's recommended alpha: its effect was never measured"
    if reach == 0:
        return "the edit's recommended alpha: it changed no picture at any alpha"
    if reach < WANTED:
        return f"where most pictures change, {percent(reach)} of them: it never reaches {percent(WANTED)}"
    return f"where {percent(WANTED)} of pictures change"


def refusals(refused: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names of refused models and the reasons, without repeated names and without error numbers."""
    reasons = {name: re.sub(rf"^(\S+/)?{re.escape(name)}: ", "", why) for name, why in refused.items()}
    return [(name, re.sub(r"\[Errno -?\d+\] ", "", why)) for name, why in sorted(reasons.items())]


def gallery(pipe: EditingPipeline, number: int) -> dict:
    """Samples to start with: for each change some pictures that it can change, then the first samples."""
    changes = {change.name: change for change in pipe.changes.values() if change}.values()
    each = -(-number // max(1, len(changes)))
    words: dict[int, str] = {}
    for change in changes:
        fresh = [seed for seed in pipe.seeds_of(change) if seed not in words]
        words |= dict.fromkeys(fresh[:each], f", {change.before}")
    words |= {seed: "" for seed in range(number) if seed not in words}
    items = [
        {"seed": seed, "src": data_url(pipe.sample(seed)), "alt": f"sample {seed}{said}"}
        for seed, said in list(words.items())[:number]
    ]
    return {"items": items}
