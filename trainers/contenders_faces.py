"""Which edits of rendered faces stand in the tables and figures: of each method and attribute the setting that validation chose. And what is
compared of them.
"""

import json

from lwgan.attributes import METHODS
from lwgan.attributes import PAPER as PAPER_NAMES
from trainers.edits import ADAPTED, NOT
from trainers.tables import mean

Group = dict[str, list[dict]]  # attribute -> the seeds of one setting of a method


def grouped(found: dict) -> dict[str, Group]:
    """label -> attribute -> the seeds of its best setting, as validation chose it; of attributes that count, learned with all correlations."""
    settings: dict[tuple[str, str], dict[str, list[dict]]] = {}
    for row in comparable(found):
        if row["bias"] in (None, 1.0):
            key = json.dumps({name: value for name, value in row["options"].items() if name != "seed"}, sort_keys=True)
            settings.setdefault((label(row), row["attribute"]), {}).setdefault(key, []).append(row)
    order = {name: i for i, name in enumerate(("LT*", "LW*", "LT", "LW", *METHODS.values()))}
    groups: dict[str, Group] = {}
    for name, attribute in sorted(settings, key=lambda key: (order.get(key[0], len(order)), key[0], rank(key[1]))):
        groups.setdefault(name, {})[attribute] = max(settings[name, attribute].values(), key=validated)
    return groups


def counted(found: dict) -> list[dict]:
    """Edits of attributes that count."""
    return [row for row in found["edits"].values() if row["attribute"].removeprefix(NOT) in found["nets"]["counted"]]


def comparable(found: dict) -> list[dict]:
    """Of these, those learned on as many codes as any."""
    most = max((codes_of(row) for row in counted(found)), default=0)
    return [row for row in counted(found) if codes_of(row) == most]


def codes_of(row: dict) -> int:
    """How many training codes an edit was learned on, of both sides and of neither; 0 where its config does not say it."""
    return row["options"].get("training_codes", 0)


def validated(rows: list[dict]) -> float:
    return mean([row["validation_true_change"] or 0.0 for row in rows])


def label(row: dict) -> str:
    """A method; of LT and LW the starred one is without any regularisation (of LW: lambda 0 and equal masses)."""
    method, options = row["method"], row["options"]
    if method == "lt" and not options.get("regularisation") and not options.get("reconstruction"):
        return "LT*"
    if method == "lw" and not options.get("preservation_weight") and options.get("masses", "uniform") == "uniform":
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
    """The mean of the seeds that reach the target change at which edits are compared."""
    values = [row["matched"][key]["value"] for row in rows if row["matched"]]
    return mean(values) if values else None


def to_oracle(rows: list[dict], key: str) -> float | None:
    found = [row["matched"]["oracle"][key] for row in rows if row["matched"] and row["matched"]["oracle"]]
    values = [rate["value"] for rate in found if rate]
    return mean(values) if values else None


def others(row: dict) -> dict[str, float]:
    """Leakage into attributes other than the edited one."""
    return {name: value for name, value in row["matched"]["leakage"].items() if name != row["attribute"].removeprefix(NOT)}


def pairs(groups: dict[str, Group], ours: str, theirs: str, value) -> list[tuple[float, float]]:
    """Both methods' values of the attributes at which both arrive."""
    shared = groups.get(ours, {}).keys() & groups.get(theirs, {}).keys()
    found = [(value(groups[ours][name]), value(groups[theirs][name])) for name in sorted(shared)]
    return [(a, b) for a, b in found if a is not None and b is not None]
