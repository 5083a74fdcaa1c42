"""The panel of sliders and the gallery: which edits there are, in words, and what their strengths mean."""

import re
from collections.abc import Mapping

from lwgan.methods import METHODS
from lwgan.page.pictures import data_url
from lwgan.pipeline import MAX_ALPHA, EditingPipeline, count_label
from lwgan.readings import percent
from lwgan.strength import WANTED

LOW, HIGH, STEP = -1.0, 2.0, 0.05  # of a slider, in strengths


def edits_of(pipe: EditingPipeline) -> list[dict]:
    """Each edit as its slider needs it, by attribute, change and method."""
    order = {method: i for i, method in enumerate(METHODS)}

    def place(pair) -> tuple:
        name, config = pair[0], pair[1].config
        return group_of(config), change_of(config, name), order.get(method_of(config), len(order)), name

    known = sorted(pipe.edits.items(), key=place)
    return [_edit_of(pipe, name) for name, _ in known]


def _edit_of(pipe: EditingPipeline, name: str) -> dict:
    config, scale = pipe.edits[name].config, pipe.scales[name]
    most = MAX_ALPHA / scale.unit
    return {
        "name": name, "label": change_of(config, name), "group": group_of(config), "method": method_name(config),
        "unit": scale.unit, "low": max(LOW, -_floor(most)), "high": min(HIGH, _floor(most)), "most": most, "step": STEP,
        "curve": [[point["alpha"], round(point["target_change"], 4)] for point in scale.curve], "note": f"Strength 1 is {unit_note(pipe, name)}.",
    }  # fmt: skip


def unit_note(pipe: EditingPipeline, name: str) -> str:
    """What strength 1 of an edit is."""
    reach = pipe.scales[name].reach
    if reach is None:
        return "the edit's recommended alpha: its effect was never measured"
    if reach == 0:
        return "the edit's recommended alpha: at no alpha did it change a picture"
    if reach < WANTED:
        return f"where most pictures change, {percent(reach)} of them: it never reaches {percent(WANTED)}"
    return f"where {percent(WANTED)} of pictures change"


def refusals(refused: Mapping[str, str]) -> list[tuple[str, str]]:
    """What was refused, and why, each name said once and no number of the system's."""
    said = {name: re.sub(rf"^(\S+/)?{re.escape(name)}: ", "", why) for name, why in refused.items()}
    return [(name, re.sub(r"\[Errno -?\d+\] ", "", why)) for name, why in sorted(said.items())]


def described(pipe: EditingPipeline, edit: Mapping) -> dict:
    """An edit for callers of the API."""
    scale = pipe.scales[edit["name"]]
    return {**edit, "unit": scale.unit, "expected_change_at_unit": scale.reach}


def title(pipe: EditingPipeline, name: str) -> str:
    """What an edit changes, and by which method."""
    config = pipe.edits[name].config
    return f"{change_of(config, name)}, by {method_name(config)}"


def _floor(strength: float) -> float:
    return int(strength / STEP) * STEP


def change_of(config: Mapping, name: str) -> str:
    """What an edit changes: from what to what, or else its name."""
    if config.get("from") and config.get("to"):
        return f"{config['from']} → {config['to']}"
    return str(config.get("to") or config.get("attribute") or name)


def group_of(config: Mapping) -> str:
    return str(config.get("attribute") or "other edits").replace("-", " ").replace("_", " ")


def method_name(config: Mapping) -> str:
    """As people write it."""
    return METHODS.get(method_of(config), method_of(config))


def method_of(config: Mapping) -> str:
    """Edits of other people need not name theirs."""
    return config.get("method") or "other"


def gallery(pipe: EditingPipeline, number: int) -> dict:
    """Samples to start with: of digits, some of each count that an edit starts from."""
    seeds, said = list(range(number)), {}
    if pipe.numbers is not None:
        counts = pipe.numbers.sum(1).tolist()
        asked = {
            edit.config["to_count"] - 1
            for edit in pipe.edits.values()
            if isinstance(edit.config.get("to_count"), int)
        } or {1}
        of_count = [
            [seed for seed, count in enumerate(counts) if count == wanted] for wanted in sorted(asked)
        ]
        seeds = [seed for row in of_count for seed in row[: -(-number // len(asked))]][:number]
        said = {seed: f", {count_label(counts[seed])}" for seed in seeds}
    items = [
        {"seed": seed, "src": data_url(pipe.sample(seed)), "alt": f"sample {seed}{said.get(seed, '')}"}
        for seed in seeds
    ]
    return {"items": items}
