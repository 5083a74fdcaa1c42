"""Rendered faces (our own renderer over MakeHuman's CC0 head): 41 attributes of which the truth is known, identities, and oracle edits.

    people = synthfaces.sample(100, seed=0)                                  # bias=1, flat=0: the training set's correlations
    images, labels = synthfaces.render_all(people, 64), synthfaces.labels_of(people)
    smiling = synthfaces.render(synthfaces.oracle(people[0], "Smiling"), 64)  # the same person, that attribute flipped

A picture follows from its person alone: not from the batch, the machine's load or earlier pictures. Another version of numpy or numba
may change single values by 1 of 255.
"""

from trainers.datasets.synthfaces.picture import RESOLUTIONS, VERSION, render, render_all
from trainers.datasets.synthfaces.sampler import NAMES, Person, index, labels_of, oracle, sample

__all__ = [
    "NAMES",
    "RESOLUTIONS",
    "VERSION",
    "Person",
    "index",
    "labels_of",
    "oracle",
    "render",
    "render_all",
    "sample",
]
