"""GANSpace: E. Harkonen et al., "GANSpace: Discovering Interpretable GAN Controls" (2020). A principal axis of the codes is the direction.

Adapted: the axes are those of the encoded training pictures' W+ codes, all layers at once, where theirs are of sampled w, the same in
every layer; and the axis is chosen by the training labels (`best_component`), where theirs is named by whoever looks at pictures.
"""

from dataclasses import dataclass

import torch

from lwgan.edit import AffineEdit
from trainers.edits import Attribute, Label, Splits, best_component, scaled


@dataclass(frozen=True)
class Options:
    """The principal axis that tells source from target best. alpha = 1: as near to the mean target as it leads (`scaled`)."""

    components: int = 80
    """Principal axes to choose from."""
    seed: int = 0
    """Of the randomised decomposition, used where codes are long."""


def fit(codes: Splits, attribute: Attribute | Label, options: Options) -> AffineEdit:
    """H(w) = the multiple of one principal axis of all training codes. The config says which axis, and how well it separates."""
    from sklearn.decomposition import PCA  # here: it takes two seconds that no other stage should wait

    w = codes.train.w
    axes = PCA(options.components, random_state=options.seed).fit(w.flatten(1).numpy()).components_
    components = torch.from_numpy(axes).to(w).view(-1, *w.shape[1:])
    source, target = attribute.source(codes.train).w, attribute.target(codes.train).w
    chosen, separation = best_component(components, source, target)
    return AffineEdit(
        None, scaled(components[chosen], source, target), {"component": chosen, "separation": separation}
    )


def check(codes: Splits, attribute: Attribute | Label, options: Options) -> None:
    """ValueError, before a run begins, for more axes than there are."""
    n, numbers = len(codes.train.w), codes.train.w[0].numel()
    if not 1 <= options.components <= min(n, numbers):
        raise ValueError(
            f"--components is {options.components}: {n} codes of {numbers} numbers have 1 to {min(n, numbers)}"
        )
