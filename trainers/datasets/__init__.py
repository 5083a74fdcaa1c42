"""Data sets of labelled pictures.

    dataset = open_dataset("folder:shoes", resolution=128)
    dataset.domain                              # what the pictures are
    dataset.read("train", range(100)).images    # uint8 [100, 3, 128, 128]

The pictures are read in parts, never all at once. To add one: a subclass of `Dataset` and a line in KINDS.
"""

import importlib

from trainers.datasets.base import Dataset

KINDS = {
    "multimnist": "multimnist.MultiMnist",
    "synthfaces": "synthfaces.dataset.SynthFaces",
    "letters:PATH": "letters.Letters",
    "celebahq:PATH": "celebahq.CelebaHq",
    "folder:PATH": "folder.Folder",
    "hf:org/name": "hub.HubDataset",
    "sampled:GENERATOR?judge=JUDGE": "sampled.Sampled",
}
SIDES = (32, 64, 128, 256, 512, 1024)


def open_dataset(spec: str, **options: object) -> Dataset:
    """The data set that a text of one of the forms of KINDS names, such as "folder:shoes".

    options: fields of the data set's class, as values or as text. ValueError for an unknown data set, option
    or value; FileNotFoundError for a missing file."""
    kind, colon, place = spec.partition(":")
    form = next((form for form in KINDS if form.partition(":")[0] == kind), None)
    if form is None or colon != form.partition(":")[1] or bool(place) != bool(colon):
        raise ValueError(f"the data set {spec!r} is unknown: choose one of {', '.join(KINDS)}")
    module, _, name = KINDS[form].rpartition(".")
    cls = getattr(importlib.import_module(f"trainers.datasets.{module}"), name)
    known = {option: default for option, default in cls.options().items() if option != "place"}
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"{kind} has no option {unknown[0]!r}: choose from {', '.join(known)}")
    values = {option: _parsed(option, value, known[option]) for option, value in options.items()}
    if values.get("resolution", SIDES[0]) not in SIDES:
        raise ValueError(f"resolution {values['resolution']}: choose one of {', '.join(map(str, SIDES))} px")
    return cls(**({"place": place} if place else {}), **values)


def _parsed(name: str, value: object, default: object) -> object:
    """A value given as text, in the type of the default."""
    if not isinstance(value, str):
        return value
    if isinstance(default, bool):
        if value.lower() not in ("true", "false"):
            raise ValueError(f"{name} is {value!r}, expected true or false")
        return value.lower() == "true"
    if isinstance(default, tuple):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    try:
        return type(default)(value)
    except ValueError:
        raise ValueError(f"{name} is {value!r}, expected a number") from None
