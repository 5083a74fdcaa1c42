"""GAN "steerability" without optimization: N. Spingarn et al. (2021), adapted to StyleGAN.

Their generator is a BigGAN, whose first layer is linear in z; the directions are the right singular vectors
of its weights. In a StyleGAN the code enters through the affine maps of the styles, so here they are the
singular vectors of those weights: `sefa` without its normalisation. Their curved walks and prescribed
transformations (zoom, shift) have no counterpart here. The direction is chosen by labels (`best_component`).
"""

from dataclasses import dataclass

from trainers.edits.sefa import Sefa


@dataclass(frozen=True)
class Steerability(Sefa):
    """The singular direction that separates source from target best, scaled to the mean shift (alpha = 1)."""

    normalise = False
