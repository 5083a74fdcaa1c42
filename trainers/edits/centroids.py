"""Centroids: the plain shift by the difference of the mean codes, the baseline that every edit has to beat."""

from dataclasses import dataclass

from lwgan.edit import AffineEdit
from trainers.edits import Attribute, Label, Splits, mean_shift


@dataclass(frozen=True)
class Options:
    """The difference of the mean codes: nothing to choose."""


def fit(codes: Splits, attribute: Attribute | Label, options: Options) -> AffineEdit:
    """H(w) = mean of the target's codes - mean of the source's."""
    return AffineEdit(None, mean_shift(attribute.source(codes.train).w, attribute.target(codes.train).w))
