"""GANSpace: E. Harkonen et al., "GANSpace: Discovering Interpretable GAN Controls" (2020). Principal axes.

Adapted: the axes are those of the W+ codes of the encoded training pictures, all layers at once; theirs are
axes of sampled w codes, the same in every layer. Labels choose the axis (`best_component`), not the eye."""

from dataclasses import dataclass
from pathlib import Path

import torch

from lwgan.domain import Change
from lwgan.edit import AffineEdit
from trainers.edits.base import Method, Splits, best_component, scaled


@dataclass(frozen=True)
class Ganspace(Method):
    """The principal axis that separates source from target best, scaled to the mean shift (alpha = 1)."""

    components: int = 80
    """Principal axes to choose from."""
    seed: int = 0
    """Seed of the randomised decomposition, which is used where codes are long."""

    def check(self, codes: Splits, change: Change) -> None:
        n, size = len(codes.train), codes.train.w[0].numel()
        if not 1 <= self.components <= min(n, size):
            codes = f"{n} codes of {size} numbers"
            raise ValueError(f"--components is {self.components}: {codes} have 1 to {min(n, size)}")

    def fit(self, codes: Splits, change: Change, folder: Path) -> AffineEdit:
        """H(w) = a multiple of one principal axis. The config says which axis, and how well it separates."""
        from sklearn.decomposition import PCA  # here: it takes two seconds, and only this method needs it

        w = codes.train.w
        axes = PCA(self.components, random_state=self.seed).fit(w.flatten(1).numpy()).components_
        components = torch.from_numpy(axes).to(w).view(-1, *w.shape[1:])
        source, target = codes.train.source(change).w, codes.train.target(change).w
        chosen, separation = best_component(components, source, target)
        config = {"component": chosen, "separation": separation}
        return AffineEdit(None, scaled(components[chosen], source, target), config)
