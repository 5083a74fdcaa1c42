"""Centroids: the shift by the difference of the mean codes, the baseline that every edit has to beat.

With `--masses balanced` it follows P. Doubinsky et al., "Multi-Attribute Balanced Sampling for Disentangled
GAN Controls" (2021). They draw a combination of attributes uniformly, then a sample that has it. Here the
mean is taken with the masses of that draw ("balanced" in `lwgan.measures`), which is its expectation.
Combinations that one side lacks are left out. Labels are the data's own; theirs are the confident answers of
a classifier."""

from dataclasses import dataclass
from pathlib import Path

from lwgan.domain import Change
from lwgan.edit import AffineEdit
from trainers.edits.base import Splits
from trainers.edits.masses import WithMasses, weighed


@dataclass(frozen=True)
class Centroids(WithMasses):
    """The difference of the mean codes."""

    def fit(self, codes: Splits, change: Change, folder: Path) -> AffineEdit:
        """H(w) = mean of the target's codes - mean of the source's."""
        balance = self.balanced(codes.train, change)
        (source, target), report = weighed(codes.train, change, self.masses, balance)
        return AffineEdit(None, target.mean() - source.mean(), report)
