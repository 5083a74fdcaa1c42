"""A random direction: what moves pictures no less than this has found nothing."""

from dataclasses import dataclass
from pathlib import Path

import torch

from lwgan.domain import Change
from lwgan.edit import AffineEdit
from trainers.edits.base import Method, Splits, mean_shift


@dataclass(frozen=True)
class RandomDirection(Method):
    """A random direction with, in each layer, the norm of the mean shift."""

    seed: int = 0

    def fit(self, codes: Splits, change: Change, folder: Path) -> AffineEdit:
        """H(w)_l is drawn uniformly from the sphere whose radius is the norm of the layer's mean shift."""
        shift = mean_shift(codes.train.source(change).w, codes.train.target(change).w)
        drawn = torch.randn(shift.shape, generator=torch.Generator().manual_seed(self.seed))
        return AffineEdit(None, drawn / drawn.norm(dim=1, keepdim=True) * shift.norm(dim=1, keepdim=True))
