"""Centroids: the shift by the difference of the mean codes, the baseline that every edit has to beat; plain, or balanced.

Balanced as in P. Doubinsky et al., "Multi-Attribute Balanced Sampling for Disentangled GAN Controls" (2021): they draw a combination
of attributes, all equally likely, then a sample that has it. Here the mean is taken with the masses of that draw (`measures.balanced`),
as if endlessly many were drawn. Combinations that one side lacks are left out, and labels are the data's own, where theirs are a
classifier's confident answers.
"""

from dataclasses import dataclass

from lwgan.edit import AffineEdit
from trainers.edits import Attribute, Label, Masses, Splits, evened, masses_told, sides


@dataclass(frozen=True)
class Options:
    """The difference of the mean codes."""

    masses: Masses = "uniform"
    """How samples weigh; "balanced" is balanced sampling. Of digits all but uniform need --balance."""
    balance: tuple[str, ...] = ()
    """Attributes whose combinations the masses even out between source and target, the most important first (`evened`); the edited one is
    left out. Empty: those that are most correlated with it (`related`)."""


def fit(codes: Splits, attribute: Attribute | Label, options: Options) -> AffineEdit:
    """H(w) = mean of the target's codes - mean of the source's."""
    balance = evened(codes.train, attribute, options.masses, options.balance)
    source, target = sides(codes.train, attribute, options.masses, balance)
    return AffineEdit(
        None, target.mean() - source.mean(), masses_told(codes.train, attribute, options.masses, balance)
    )


def check(codes: Splits, attribute: Attribute | Label, options: Options) -> None:
    """ValueError, before a run begins, for masses without anything to balance."""
    evened(codes.train, attribute, options.masses, options.balance)
