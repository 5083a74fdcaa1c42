"""What the picture should look like: the same rendered person with one attribute the other way round, where that is one change indeed."""

from collections.abc import Sequence

from trainers.datasets.synthfaces import NAMES, Person, oracle

# Of each row a person has one, or none: where one comes, the other goes, and that is what its coming means.
ALTERNATIVES = (
    {"Gray_Hair", "Blond_Hair", "Black_Hair", "Brown_Hair"},
    {"Wavy_Hair", "Straight_Hair"},
    {"Full_Beard", "Mustache", "Goatee", "5_o_Clock_Shadow", "No_Beard"},
)  # fmt: skip


def edited(people: Sequence[Person], name: str) -> tuple[list[int], list[Person]]:
    """The oracles of those people of whom flipping the attribute changes nothing else, and which they are. It does where it excludes others
    (who goes bald loses the fringe too): they are left out. ValueError for an unknown name."""
    oracles = [oracle(person, name) for person in people]
    rows = [
        i
        for i, (person, flipped) in enumerate(zip(people, oracles, strict=True))
        if not beside(person, flipped, name)
    ]
    return rows, [oracles[i] for i in rows]


def beside(person: Person, flipped: Person, name: str) -> set[str]:
    """Labels that changed beside the attribute, No_Beard (which follows from others) and what takes its place."""
    expected = {name, "No_Beard"}.union(*(row for row in ALTERNATIVES if name in row))
    return {
        each for each, was, is_ in zip(NAMES, person.labels, flipped.labels, strict=True) if was != is_
    } - expected
