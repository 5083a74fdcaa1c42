"""Which edits of rendered faces stand in the tables and figures: of each method and attribute the setting that validation chose. And what is
compared of them.
"""

import json

from lwgan.attributes import PAPER as PAPER_NAMES

from lwgan.methods import METHODS
from trainers.edits import ADAPTED, NOT
from trainers.tables import mean

CODES = 30_000  # of the training split, unless a row says otherwise
Group = dict[str, list[dict]]  # attribute -> the seeds of one setting of a method


def grouped(found: dict, bias: float = 1.0) -> dict[str, Group]:
    """label -> attribute -> the seeds of its best setting, as validation chose it; of attributes that count. bias: how those of the training
    pictures correlate, 1 as people's do, 0 not at all."""
    settings: dict[tuple[str, str], list[dict]] = {}
    for row in comparable(found):
        if bias_of(row) == bias:
            settings.setdefault((label(row), row["attribute"]), []).append(row)
    order = {name: i for i, name in enumerate(("LT*", "LW*", "LT", "LW", *METHODS.values()))}
    groups: dict[str, Group] = {}
    for name, attribute in sorted(
        settings, key=lambda key: (order.get(key[0], len(order)), key[0], rank(key[1]))
    ):
        groups.setdefault(name, {})[attribute] = best_setting(settings[name, attribute])
    return groups


def best_setting(rows: list[dict]) -> list[dict]:
    """The seeds of that setting among `rows` which has the most true edits on validation pictures."""
    return max(settings_of(rows), key=validated)


def settings_of(rows: list[dict]) -> list[list[dict]]:
    """The rows, those together that differ in their seed alone."""
    found: dict[str, list[dict]] = {}
    for row in rows:
        key = json.dumps(
            {name: value for name, value in row["options"].items() if name != "seed"}, sort_keys=True
        )
        found.setdefault(key, []).append(row)
    return list(found.values())


def searched(found: dict) -> dict[str, tuple[int, int]]:
    """label -> how many settings of it were learned for an attribute, at least and at most, to choose from."""
    counts: dict[str, dict[str, int]] = {}
    for name in {label(row) for row in comparable(found)}:
        rows = [row for row in comparable(found) if label(row) == name and bias_of(row) == 1]
        for attribute in {row["attribute"] for row in rows}:
            counts.setdefault(name, {})[attribute] = len(
                settings_of([row for row in rows if row["attribute"] == attribute])
            )
    return {name: (min(of.values()), max(of.values())) for name, of in counts.items()}


def counted(found: dict) -> list[dict]:
    """Edits of attributes that count."""
    return [
        row
        for row in found["edits"].values()
        if row["attribute"].removeprefix(NOT) in found["nets"]["counted"]
    ]


def comparable(found: dict) -> list[dict]:
    """Of these, those learned on all codes."""
    return [row for row in counted(found) if codes_of(row) == CODES]


def codes_of(row: dict) -> int:
    """How many training codes an edit was learned on, of both sides and of neither."""
    return row["options"].get("training_codes", CODES)


def bias_of(row: dict) -> float:
    """Of the pictures that an edit was learned from; 1 where it is not said."""
    return 1.0 if row["bias"] is None else row["bias"]


def validated(rows: list[dict]) -> float:
    return mean([row["validation_true_change"] or 0.0 for row in rows])


def label(row: dict) -> str:
    """A method; of LT and LW the starred one is without any regularisation (of LW: lambda 0, equal masses, no low rank, no decay)."""
    method, options = row["method"], row["options"]
    if method == "lt" and not options.get("regularisation") and not options.get("reconstruction"):
        return "LT*"
    if (
        method == "lw"
        and options.get("masses", "uniform") == "uniform"
        and not any(map(options.get, ("preservation_weight", "rank", "decay")))
    ):
        return "LW*"
    if method == "centroids" and options.get("masses", "uniform") != "uniform":
        return f"{METHODS[method]}, masses {options['masses']}"
    return METHODS.get(method, method)


def rank(attribute: str) -> tuple:
    """The paper's attributes first, in its order; then the others by name."""
    known = list(PAPER_NAMES.values())
    near = {name.removeprefix(NOT): i for i, name in enumerate(known)}
    return near.get(attribute.removeprefix(NOT), len(known)), attribute.removeprefix(NOT), attribute


def attributes(groups: dict[str, Group]) -> list[str]:
    return sorted({attribute for group in groups.values() for attribute in group}, key=rank)


def titled(name: str) -> str:
    """A method as tables name it."""
    adapted = {METHODS[method] for method in ADAPTED}
    return name + " (adapted)" * (name in adapted)


# What is compared


def at_match(rows: list[dict], key: str) -> float | None:
    """The mean of the seeds where they reach the target change at which edits are compared; None unless all do."""
    return (
        mean([row["matched"][key]["value"] for row in rows]) if all(row["matched"] for row in rows) else None
    )


def never(rows: list[dict]) -> str:
    """What stands for a mean that there is not: "never", and of how many seeds if others arrive; nothing if all do and it was not measured."""
    missed = sum(not row["matched"] for row in rows)
    return "never" if missed == len(rows) else f"never ({missed} of {len(rows)} seeds)" if missed else ""


def to_oracle(rows: list[dict], key: str) -> float | None:
    """The mean distance of the seeds there; None unless all reach it and there are oracles."""
    found = [((row["matched"] or {}).get("oracle") or {}).get(key) for row in rows]
    return mean([rate["value"] for rate in found]) if all(found) else None


def leaked(rows: list[dict]) -> float | None:
    """The mean of the absolute leakage into the other attributes, of seeds; None unless all reach it."""
    values = [abs(value) for row in rows if row["matched"] for value in others(row).values()]
    return mean(values) if values and all(row["matched"] for row in rows) else None


def others(row: dict) -> dict[str, float]:
    """Leakage into attributes other than the edited one."""
    return {
        name: value
        for name, value in row["matched"]["leakage"].items()
        if name != row["attribute"].removeprefix(NOT)
    }


def pairs(groups: dict[str, Group], ours: str, theirs: str, value) -> list[tuple[float, float]]:
    """Both methods' values of the attributes at which all seeds of both arrive."""
    shared = groups.get(ours, {}).keys() & groups.get(theirs, {}).keys()
    found = [(value(groups[ours][name]), value(groups[theirs][name])) for name in sorted(shared)]
    return [(a, b) for a, b in found if a is not None and b is not None]
