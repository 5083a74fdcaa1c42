"""GAN "steerability" without optimization: N. Spingarn et al. (2021), ADAPTED: theirs is a BigGAN, whose first layer is linear in z, and
the right singular vectors of its weights are the directions. In a StyleGAN the code enters by the affines of the styles: here the
singular vectors are those of their stacked weights, as they are, which is `sefa` without its normalisation. Their curved walks and
their prescribed transformations (zoom, shift) have no place here. The direction is chosen by the training labels (`best_component`).
"""

from dataclasses import dataclass

from lwgan.edit import AffineEdit
from trainers.edits import Attribute, Label, Splits, generator_for, sefa


@dataclass(frozen=True)
class Options(sefa.Options):
    """The singular direction that tells source from target best. alpha = 1: as near to the mean target as it leads (`scaled`)."""


def fit(codes: Splits, attribute: Attribute | Label, options: Options) -> AffineEdit:
    """H(w)_l = the multiple of one direction, the same in each edited layer. The config says which, and how well it separates."""
    return sefa.chosen(codes, attribute, options, normalise=False)


def check(codes: Splits, attribute: Attribute | Label, options: Options) -> None:
    """ValueError, before a run begins, without a generator or for one of other codes, layers that it lacks, too many components."""
    sefa.components(generator_for(codes), options.components, options.layers, normalise=False)
