"""Rendered faces, by our own renderer over MakeHuman's CC0 head: known attributes, identities, oracle edits.

    people = synthfaces.sample(100, seed=0)
    images, labels = synthfaces.render_all(people, 64), synthfaces.labels_of(people)
    smiling = synthfaces.render(synthfaces.oracle(people[0], "Smiling"), 64)  # one attribute flipped

A picture follows from its person alone, not from the batch or earlier pictures. Other versions of numpy or
numba may change single values by 1 of 255.
"""

from trainers.datasets.synthfaces.picture import RESOLUTIONS, VERSION, render, render_all
from trainers.datasets.synthfaces.sampler import NAMES, Person, index, labels_of, oracle, sample

__all__ = ["NAMES", "RESOLUTIONS", "VERSION", "Person", "index", "labels_of", "oracle", "render",
           "render_all", "sample"]  # fmt: skip
