"""Who is in a picture: 41 attributes, drawn one after another from conditional probabilities, and oracles.

The table is our design. It aims at CelebA's published frequencies and correlations. It holds no CelebA data.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from lwgan.domain import nearest
from trainers.datasets.celeba import CELEBA

# 39 of CelebA's names, each with an exact meaning here (Attractive has none), and two of our own.
NAMES = (*(name for name in CELEBA if name != "Attractive"), "Long_Hair", "Full_Beard")

ATTRIBUTES, STRENGTHS, IDENTITY, NUISANCE = range(4)  # the random streams of one person


class Rule(NamedTuple):
    """How one attribute is drawn, given those above it in the table.

    `base`: its probability where nothing excludes it.  `cases`: (condition, probability); the first condition
    that holds counts. A condition is names of attributes, with "not-" before those that must be absent; ""
    always holds. `without`: attributes that exclude it, at any bias.  `even`: its probability at flat = 1."""

    name: str
    base: float
    cases: tuple[tuple[str, float], ...] = ()
    without: tuple[str, ...] = ()
    even: float = 0.5


# An attribute is excluded where it could not be seen: hair on a bald head, a fringe that recedes, stubble
# under a beard, a necklace under a collar.
TABLE = (
    Rule("Male", 0.42),
    Rule("Young", 0.77, (("Male", 0.65), ("", 0.86))),
    Rule("Bald", 0.03, (("not-Male", 0), ("Young", 0.03), ("", 0.12)), even=0.2),
    Rule("Chubby", 0.06, (("Young", 0.02), ("", 0.17))),
    Rule("Double_Chin", 0.05, (("Chubby", 0.45), ("Young", 0.02), ("", 0.06))),
    Rule("Pale_Skin", 0.05, (("Male", 0.03), ("", 0.07))),
    Rule("Smiling", 0.48, (("Male", 0.40), ("", 0.54))),
    Rule("Mouth_Slightly_Open", 0.48, (("Smiling", 0.76), ("", 0.22))),
    Rule("High_Cheekbones", 0.45, (("Smiling Male", 0.70), ("Smiling", 0.80), ("Male", 0.08), ("", 0.18))),
    Rule("Heavy_Makeup", 0.38, (("Male", 0.01), ("Young", 0.72), ("", 0.42))),
    Rule("Wearing_Lipstick", 0.47, (("Male", 0.01), ("Heavy_Makeup", 0.95), ("", 0.50))),
    Rule("Rosy_Cheeks", 0.07, (("Male", 0.005), ("Heavy_Makeup", 0.15), ("", 0.04))),
    Rule("Arched_Eyebrows", 0.27, (("Male", 0.07), ("Heavy_Makeup", 0.52), ("", 0.25))),
    Rule("Bushy_Eyebrows", 0.14, (("Male", 0.25), ("", 0.06))),
    Rule("Eyeglasses", 0.08, (("Young", 0.05), ("Male", 0.25), ("", 0.13))),
    Rule("Bags_Under_Eyes", 0.20, (("Young Male", 0.30), ("Young", 0.12), ("Male", 0.53), ("", 0.35))),
    Rule("Narrow_Eyes", 0.12, (("Smiling", 0.16), ("", 0.08))),
    Rule("Big_Nose", 0.23, (("Young Male", 0.38), ("Young", 0.08), ("Male", 0.53), ("", 0.23))),
    Rule("Pointy_Nose", 0.28, (("Big_Nose", 0.05), ("Male", 0.24), ("", 0.40))),
    Rule("Big_Lips", 0.24, (("Male", 0.17), ("", 0.32))),
    Rule("Oval_Face", 0.28, (("Chubby", 0.02), ("Male", 0.22), ("", 0.36))),
    Rule("Receding_Hairline", 0.08, (("Young", 0.05), ("", 0.24)), ("Bald",)),
    Rule("Bangs", 0.15, (("Male", 0.08), ("", 0.23)), ("Bald", "Receding_Hairline")),
    Rule("Long_Hair", 0.40, (("Male", 0.06), ("", 0.74)), ("Bald",)),
    Rule("Wavy_Hair", 0.32, (("Male", 0.16), ("", 0.46)), ("Bald",)),
    Rule("Straight_Hair", 0.31, (("", 0.32),), ("Bald", "Wavy_Hair")),
    Rule("Gray_Hair", 0.05, (("Young", 0.003), ("", 0.24)), ("Bald",), even=1 / 5),
    Rule("Blond_Hair", 0.16, (("Male", 0.03), ("", 0.25)), ("Bald", "Gray_Hair"), even=1 / 4),
    Rule("Black_Hair", 0.31, (("", 0.31),), ("Bald", "Gray_Hair", "Blond_Hair"), even=1 / 3),
    # Who has none of these four colours is auburn.
    Rule("Brown_Hair", 0.60, (("", 0.60),), ("Bald", "Gray_Hair", "Blond_Hair", "Black_Hair"), even=1 / 2),
    Rule("Mustache", 0.04, (("Male", 0.10), ("", 0)), even=0.25),
    Rule("Goatee", 0.06, (("Male", 0.14), ("", 0)), even=0.3),
    Rule("Full_Beard", 0.08, (("Male Young", 0.20), ("Male", 0.24), ("", 0)), ("Mustache", "Goatee"),
         even=0.4),
    Rule("5_o_Clock_Shadow", 0.12, (("Male not-Mustache not-Goatee", 0.42), ("", 0)), ("Full_Beard",)),
    Rule("Sideburns", 0.06, (("not-Male", 0), ("Full_Beard", 0.28), ("Mustache", 0.22), ("Goatee", 0.22),
         ("", 0.09)), ("Bald",)),
    Rule("Wearing_Hat", 0.05, (("Male", 0.075), ("", 0.04)), ("Receding_Hairline",)),
    Rule("Wearing_Earrings", 0.19, (("Male", 0.02), ("", 0.31))),
    Rule("Wearing_Necktie", 0.07, (("Male Young", 0.12), ("Male", 0.27), ("", 0))),
    Rule("Wearing_Necklace", 0.13, (("Male", 0.01), ("", 0.20)), ("Wearing_Necktie",)),
    Rule("Blurry", 0.05),
)  # fmt: skip
BEARDS = ("Mustache", "Goatee", "Full_Beard")  # No_Beard is said of who has none of them


@dataclasses.dataclass(frozen=True)
class Person:
    """One person in one picture. The picture follows from this alone.

    `labels`: 0 or 1 for each of NAMES.  (seed, index) of three random streams: `strengths`, how strongly the
    attributes show; `identity`, the bones, skin and hair, which no attribute changes; `nuisance`, the pose,
    light, gaze, expression, background and clothes."""

    labels: tuple[int, ...]
    strengths: tuple[int, int]
    identity: tuple[int, int]
    nuisance: tuple[int, int]

    def has(self, name: str) -> bool:
        """Whether the attribute is present. ValueError for an unknown name."""
        return self.labels[index(name)] == 1


def index(name: str) -> int:
    """Where an attribute stands among NAMES. ValueError with the nearest one if it does not."""
    if name not in NAMES:
        raise ValueError(f"attribute {name!r} is unknown: did you mean {nearest(name, NAMES)!r}?")
    return NAMES.index(name)


def generator(key: tuple[int, int], stream: int) -> np.random.Generator:
    """The random numbers of a stream (ATTRIBUTES, STRENGTHS, IDENTITY, NUISANCE) of person (seed, index)."""
    seed, number = key
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(number, stream))))


def sample(n: int, seed: int, *, first: int = 0, bias: float = 1.0, flat: float = 0.0) -> list[Person]:
    """People number `first` to `first + n - 1` of a seed. Each depends on its own number alone.

    P(attribute) = (1 - flat) * (bias * conditional + (1 - bias) * base) + flat * even, or 0 if another
    attribute of the person excludes it.  bias: 1 = the correlations of the table, 0 = independent attributes
    (but for the exclusions).  flat: 1 = rare attributes are as frequent as others. ValueError if n < 1, a
    seed or number is negative, or a knob lies outside [0, 1]."""
    if n < 1 or first < 0 or seed < 0:
        raise ValueError(f"n = {n}, first = {first}, seed = {seed}: expected n >= 1, the others >= 0")
    for knob, value in (("bias", bias), ("flat", flat)):
        if not 0 <= value <= 1:
            raise ValueError(f"{knob} = {value}: it must lie between 0 and 1")
    keys = [(seed, i) for i in range(first, first + n)]
    return [Person(_labels(key, bias, flat), key, key, key) for key in keys]


def labels_of(people: list[Person]) -> np.ndarray:
    """uint8 [N, 41]: 1 where the person has the attribute, in the order of NAMES."""
    return np.array([person.labels for person in people], np.uint8).reshape(-1, len(NAMES))


def oracle(person: Person, name: str) -> Person:
    """The same person with one attribute flipped.

    Attributes that an added one excludes are removed (blond hair removes brown hair; Bald removes all hair),
    and No_Beard follows from BEARDS. Removing No_Beard adds a full beard; adding it shaves. ValueError for an
    unknown name."""
    has = dict(zip(NAMES, person.labels, strict=True))
    adds = not person.labels[index(name)]
    if name == "No_Beard":
        has |= dict.fromkeys(BEARDS, 0) if adds else {"Full_Beard": 1}
        name, adds = "Full_Beard", not adds
    has[name] = int(adds)
    if adds:
        has |= dict.fromkeys(EXCLUDES[name], 0)
    has["No_Beard"] = int(not any(has[beard] for beard in BEARDS))
    return dataclasses.replace(person, labels=tuple(has[each] for each in NAMES))


EXCLUDES = {  # both ways: what cannot go with an attribute
    rule.name: {*rule.without, *(other.name for other in TABLE if rule.name in other.without)}
    for rule in TABLE
}


def _labels(key: tuple[int, int], bias: float, flat: float) -> tuple[int, ...]:
    has: dict[str, int] = {}
    for rule, chance in zip(TABLE, generator(key, ATTRIBUTES).random(len(TABLE)), strict=True):
        wanted = (1 - flat) * (bias * _conditional(rule, has) + (1 - bias) * rule.base) + flat * rule.even
        has[rule.name] = int(chance < wanted and not any(has[other] for other in rule.without))
    has["No_Beard"] = int(not any(has[beard] for beard in BEARDS))
    return tuple(has[name] for name in NAMES)


def _conditional(rule: Rule, has: dict[str, int]) -> float:
    for condition, probability in rule.cases:
        if all(has[each.removeprefix("not-")] != each.startswith("not-") for each in condition.split()):
            return probability
    return rule.base
