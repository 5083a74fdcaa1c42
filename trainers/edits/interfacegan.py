"""InterFaceGAN: Y. Shen et al., "InterFaceGAN: Interpreting the Disentangled Face Representation" (2020).

The direction is the normal of the plane that a linear support vector machine puts between codes with and
without the attribute; the offset is dropped. As in the paper: C = 1, the codes with the highest and the
lowest 2% of scores, and the normals of attributes to keep are projected out (conditional manipulation).
Adapted: all of these codes fit the plane (its code fits 70% and reports the accuracy on the rest). All layers
of a W+ code are one long vector. Scores are a latent classifier's; without one, labels have no order, and
equally many codes of each side are drawn."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lwgan.domain import Change, change_of
from lwgan.edit import AffineEdit
from lwgan.judges import LatentClassifier
from trainers.codes import Codes
from trainers.edits.base import Method, Splits, classifier_for, mean_shift


@dataclass(frozen=True)
class InterFaceGAN(Method):
    """The normal of the separating plane, scaled to the mean shift (alpha = 1)."""

    c: float = 1.0
    """Cost of codes on the wrong side of the plane."""
    classifier: Path | None = None
    """Folder that `python -m trainers judge codes` wrote: its logits are the scores. Default: labels."""
    share: float = 0.02
    """With --classifier: fraction of all codes taken from each end of the scores."""
    samples: int = 2_000
    """Without --classifier: codes of each side, at most. Memory and time grow with the square."""
    condition: tuple[str, ...] = ()
    """Labels to keep: the direction is made orthogonal to their normals."""
    seed: int = 0
    """Seed of the draw without --classifier."""

    def check(self, codes: Splits, change: Change) -> None:
        for each in (change, *map(change_of, self.condition)) if self.classifier else ():
            classifier_for(codes.train, each, self.classifier, "--share")
        if self.c <= 0 or not 0 < self.share <= 0.5 or self.samples < 1:
            given = f"--c {self.c}, --share {self.share}, --samples {self.samples}"
            raise ValueError(f"{given}: expected > 0, in (0, .5], at least 1")
        for name in self.condition:
            if name == change.label:
                raise ValueError(f"--condition {name} is the edited label itself")
            if not all(len(side) for side in both_sides(codes.train, change_of(name))):
                raise ValueError(f"--condition {name}: all training pictures have it, or none has")

    def fit(self, codes: Splits, change: Change, folder: Path) -> AffineEdit:
        """H(w) = a multiple of the normal, orthogonal to the normals of `condition`."""
        rows = codes.train.meets(change.source) | codes.train.meets(change.target)
        n = self.normal(codes.train.where(rows), change)
        if self.condition:
            kept = [self.normal(codes.train, change_of(name)) for name in self.condition]
            n = orthogonal(n, torch.stack(kept))
        source, target = both_sides(codes.train, change)
        shift = mean_shift(source.w, target.w).flatten()
        return AffineEdit(None, ((n @ shift) * n).view(source.w.shape[1:]))

    def normal(self, codes: Codes, change: Change) -> Tensor:
        """The unit normal from source to target, [num_ws * w_dim]."""
        if self.classifier is None:
            w, positive = self.by_label(codes, change)
        else:
            classifier = classifier_for(codes, change, self.classifier, "--share")
            w, positive = self.by_score(codes, change, classifier)
        return self.svm(w.flatten(1), positive)

    @torch.no_grad()
    def by_score(self, codes: Codes, change: Change, classifier: LatentClassifier) -> tuple[Tensor, Tensor]:
        """The codes with the lowest and highest scores [2n, num_ws, w_dim]; bool [2n]: the highest."""
        k = classifier.card_config["names"].index(change.label)
        scores = torch.cat([classifier(part)[:, k] for part in codes.w.split(500)])
        order = scores.mul(change.sign).argsort()
        n = max(1, int(len(order) * self.share))
        return codes.w[torch.cat([order[:n], order[-n:]])], torch.arange(2 * n) >= n

    def by_label(self, codes: Codes, change: Change) -> tuple[Tensor, Tensor]:
        """Equally many random codes of source and target, and which are the target's, bool [2n]."""
        parts = [side.w for side in both_sides(codes, change)]
        n = min(*map(len, parts), self.samples)
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.cat([w[torch.randperm(len(w), generator=generator)[:n]] for w in parts])
        return drawn, torch.arange(2 * n) >= n

    def svm(self, points: Tensor, positive: Tensor) -> Tensor:
        """The unit normal [D] of the plane between the positive (bool [N]) and the other points [N, D]."""
        from sklearn.svm import SVC  # imported here: it takes two seconds, and no other method needs it

        # The Gram matrix gives the same plane as SVC's linear kernel, many times faster where codes are long.
        centred = (points - points.mean(0)).double()
        machine = SVC(C=self.c, kernel="precomputed").fit((centred @ centred.T).numpy(), positive.numpy())
        found = (torch.tensor(machine.dual_coef_) @ centred[torch.tensor(machine.support_).long()])[0]
        return (found / found.norm()).to(points)


def both_sides(codes: Codes, change: Change) -> tuple[Codes, Codes]:
    return codes.source(change), codes.target(change)


def orthogonal(n: Tensor, others: Tensor) -> Tensor:
    """A unit vector n [D] minus its projection on the span of others [C, D], as a unit vector. ValueError if
    nothing is left."""
    span = torch.linalg.qr(others.T).Q  # [D, C]
    left = n - span @ (span.T @ n)
    if left.norm() < 1e-4:
        raise ValueError("--condition leaves nothing: the edited label's normal is in the span of others")
    return left / left.norm()
