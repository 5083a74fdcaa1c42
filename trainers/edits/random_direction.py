"""A random direction: in each layer as long as the shift of the mean codes, in every other way by chance. What moves pictures no less
than this has not shown that it found anything."""

from dataclasses import dataclass

import torch

from lwgan.edit import AffineEdit
from trainers.edits import Attribute, Label, Splits, mean_shift


@dataclass(frozen=True)
class Options:
    """A random direction of the mean shift's norm: alpha = 1 is as far as the two means are apart."""

    seed: int = 0


def fit(codes: Splits, attribute: Attribute | Label, options: Options) -> AffineEdit:
    """H(w)_l drawn evenly from the sphere of the layer's mean shift."""
    shift = mean_shift(attribute.source(codes.train).w, attribute.target(codes.train).w)
    drawn = torch.randn(shift.shape, generator=torch.Generator().manual_seed(options.seed))
    return AffineEdit(None, drawn / drawn.norm(dim=1, keepdim=True) * shift.norm(dim=1, keepdim=True))
