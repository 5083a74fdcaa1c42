"""Figures as the text of a card: tables, what they mean, and what of them goes into the card's metadata."""

import json
import re

# What figures of an edit say, those of what it does before those of what it leaks.
MEANINGS = {
    "target_change": "what was asked for is there afterwards",
    "true_change": "it is there, and none of the old digits is lost",
    "latent_change": "a classifier of codes, not of pictures, says that it is there",
    "no_edit": "it is there without any edit: how often the reading errs",
    "digits_kept": "of those that changed, the old digits are all still there",
    "attribute_preservation": "other attributes are read as before",
    "identity": "likeness to the picture before, 1 = the same",
    "overshoot": "more has changed than was asked for",
}
OF_LABELS = {  # where attributes are labelled, these say something else
    "true_change": "it is there, times the share of all other attributes that are read as before",
    "identity": "mean cosine of the embeddings of who is in the picture, before and after, 1 = the same",
}
# What the other figures of the tables say.
NOTES = {
    "norm": "how far codes move, on average",
    "at_least": "as much as was asked for is there, or more",
    "confident": "of those that changed, the judge is sure of what it reads",
    "added_ink": "brightness that the edit adds, in units of an old digit's",
    "count_right_before": "pictures that were read right before the edit",
    "d_reached": "whether half of the validation cases ever change",
    "features": "distance of the judge's features to the oracle (the renderer's own picture of that person so changed), in units of that between two pictures",
    "outside": "mean squared error against the oracle, where that changes nothing, as a share of the square of full contrast",
    "samples": "pictures drawn to measure by",
    "count_shares": "of samples, how many are read as one, two, three, four digits; training pictures have equal shares",
    "legible_singles": "of samples read as a single digit, how many the judge is sure of; real: of real pictures",
    "relative_frechet_distance": "Frechet distance of samples to real pictures, of the judge's features, over their variance; real: of real pictures to others",
    "count_kept": "the reconstruction is read as holding as many digits",
    "count_kept_by_count": "the same of pictures with one, two, three, four digits",
    "pixel_error": "squared error of reconstructions, as a share of a black picture's",
    "mean_squared_error": "of reconstructions, as a share of the square of full contrast",
    "attributes_read_as_in_the_picture": "of the attributes that the judge reads well, how many it reads in the reconstruction as in the picture",
    "identity_of_others": "mean cosine of two different people",
    "feature_distance": "of the judge's features, from picture to reconstruction, in units of that between two pictures",
    "judge_count_accuracy_real": "how often the judge reads the count of a real picture right",
    "judge_digits_accuracy_real": "how often it reads all digits of a real picture right",
    "calibrator_accuracy": "how often a classifier of codes reads the count of a real picture's code right",
    "accuracy": "how often the answer is right",
    "commoner_answer": "how often always giving the commoner answer would be",
    "balanced_accuracy": "accuracy, with those that have and that lack an attribute counted equally",
}  # fmt: skip
# What metadata leave out: settings, numbers of cases, and what was measured on other pictures than those of the test split.
SETTINGS = ("alpha", "d", "n", "low", "high", "samples", "identities", "test_n", "pictures")
OTHER_PICTURES = ("validation", "also", "known")
PEOPLE = {
    "known": "of the training split, in other pictures",
    "validation": "of the validation split",
    "test": "of the test split",
}


def meanings(found: dict, labelled: bool) -> list[dict]:
    """What the figures that every reader should see say. labelled: of attributes, not of digits."""
    lines = {line["key"]: line for line in rows(found)}
    told = MEANINGS | (OF_LABELS if labelled else {})
    return [lines[key] | {"meaning": meaning} for key, meaning in told.items() if key in lines]


def notes(found: dict) -> list[dict]:
    """What the figures of the table say that are not among the meanings."""
    keys = {line["key"].split(" / ")[-1] for line in rows(found)}
    return [{"name": label(key), "meaning": meaning} for key, meaning in NOTES.items() if key in keys]


def measures(found: dict) -> list[tuple[str, float]]:
    """What of `scalars` the card's metadata tell: what was measured on the test split."""
    told = lambda name: name.split("/")[-1] not in SETTINGS and not name.startswith(OTHER_PICTURES)
    return [(name, value) for name, value in scalars(found) if told(name)]


def scalars(metrics: dict, before: str = "") -> list[tuple[str, float]]:
    """(name, number) of all that is one number or a rate {value, low, high, n}, nested names joined by /."""
    found = []
    for key, value in metrics.items():
        name = f"{before}{key}"
        if is_number(value):
            found.append((name, value))
        elif isinstance(value, dict) and is_number(value.get("value")):
            found.append((name, value["value"]))
        elif isinstance(value, dict):
            found += scalars(value, f"{name}/")
    return found


def rows(metrics: dict, before: str = "") -> list[dict]:
    """Lines of the card's table: numbers, rates with their interval, short lists."""
    found = []
    for key, value in metrics.items():
        line = {"key": f"{before}{key}", "name": label(f"{before}{key}"), "interval": "", "cases": ""}
        if isinstance(value, dict) and "value" in value:
            interval = (
                f"{cell(value['low'])} to {cell(value['high'])}" if {"low", "high"} <= set(value) else ""
            )
            found.append(
                line
                | {"value": cell(value["value"]), "interval": interval, "cases": cell(value.get("n", ""))}
            )
        elif isinstance(value, dict):
            found += rows(value, f"{before}{key} / ")
        elif not is_table(value) and value != [] and key != "read_by":
            found.append(line | {"value": cell(value)})
    return found


def tables(metrics: dict) -> list[dict]:
    """Lists of records, such as a strength curve."""
    found = []
    for key, lines in metrics.items():
        if is_table(lines):
            names = list(lines[0])
            head = [label(name) for name in names]
            found.append(
                {
                    "name": label(key),
                    "head": head,
                    "lines": [[cell(line[name]) for name in names] for line in lines],
                }
            )
    return found


def is_table(value) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(line, dict) and set(line) == set(value[0]) for line in value)
    )


def is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def label(key: str) -> str:
    """A key as words of a table."""
    return cell(key.replace("_", " "))


def cell(value) -> str:
    """A value as text of a table's cell; numbers to four significant digits."""
    if value is None or value in ([], ()):
        return "none"
    if isinstance(value, float):
        return (
            f"{value:.4g}" if abs(value) > 1e-12 else "0"
        )  # a bound of an interval, as far as its float goes
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(part) for part in value)
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"[|<>`\[\]\r\n]", " ", text)


# Of the judges of faces


def areas(metrics: dict) -> list[dict]:
    """Of a judge of attributes: a line for each attribute, a column for each set of pictures."""
    sets = {key: found for key, found in metrics.items() if key.endswith("_auc") and isinstance(found, dict)}
    names = list(dict.fromkeys(name for found in sets.values() for name in found))
    lines = [[label(name), *(cell(found.get(name)) for found in sets.values())] for name in names]
    return (
        [
            {
                "name": "Area under the ROC curve, attribute by attribute",
                "head": ["attribute", *map(label, sets)],
                "lines": lines,
            }
        ]
        if names
        else []
    )


def likeness(metrics: dict) -> list[dict]:
    """Of the network that knows people: whom it recognises among how many, cosines of the same and of other people, and of one person
    with one attribute flipped."""
    lines = [
        [words, *(cell(metrics[key].get(name)) for name in ("identities", "n", "top_1")), *(span(metrics[key].get(name)) for name in ("same", "other"))]
        for key, words in PEOPLE.items() if key in metrics
    ]  # fmt: skip
    head = [
        "people",
        "how many",
        "pictures asked about",
        "recognised",
        "cosine, same person",
        "cosine, other people",
    ]
    found = [{"name": "Recognised, and how alike", "head": head, "lines": lines}] if lines else []
    if oracle := metrics.get("oracle"):
        flipped = [
            ["all", span(oracle)],
            *([label(name), cell(value)] for name, value in (oracle.get("by_attribute") or {}).items()),
        ]
        name = "Cosine of a rendered person and the same one with one attribute flipped: the most that an edit of it should leave"
        found.append({"name": name, "head": ["attribute", "cosine"], "lines": flipped})
    return found


def span(found: dict | None) -> str:
    """A mean of cosines, and between which nine of ten lie."""
    return (
        "none" if found is None else f"{cell(found['mean'])} ({cell(found['low'])} to {cell(found['high'])})"
    )


def leaks(metrics: dict, most: int = 8) -> list[dict]:
    """The other attributes that an edit changes most, where edits are compared: how much more (or less) often they are read."""
    found = (metrics.get("matched") or {}).get("leakage") or {}
    largest = sorted(found.items(), key=lambda item: -abs(item[1]))[:most]
    return [{"name": label(name), "value": cell(value)} for name, value in largest if value]
