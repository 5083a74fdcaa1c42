"""InterFaceGAN: Y. Shen et al., "InterFaceGAN: Interpreting the Disentangled Face Representation" (2020). The normal of the plane that
a linear support vector machine puts between codes with and without the attribute; its offset is dropped.

As there: C = 1, the codes of the highest and the lowest 2% of scores, the normals of attributes to be kept projected out (conditional
manipulation). All of these codes fit the plane, where its author's code fits 70% and only reports the accuracy on the rest. Adapted to W+:
all layers are one long code (or `per_layer`, its author's other way). Scores are a latent classifier's; without one, labels have no
order, and evenly many codes of either side are drawn.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from lwgan.attributes import index_of
from torch import Tensor

from lwgan.edit import AffineEdit
from lwgan.judges import LatentClassifier
from trainers.codes import Codes
from trainers.edits import Attribute, Label, Splits, classifier_for, mean_shift


@dataclass(frozen=True)
class Options:
    """The normal of the separating plane. alpha = 1: as near to the mean target as it leads (`scaled`)."""

    c: float = 1.0
    """Cost of codes on the wrong side."""
    classifier: Path | None = None
    """Folder that `python -m trainers latent-classifier` wrote: its logits are the scores. None: the labels decide."""
    share: float = 0.02
    """With --classifier: how much of all codes, of the highest and of the lowest scores each."""
    samples: int = 2_000
    """Without --classifier: codes of either side, at most; memory and time grow with the square."""
    per_layer: bool = False
    """A plane for each layer, instead of one for all."""
    condition: tuple[str, ...] = ()
    """Labelled attributes to keep: the direction is made orthogonal to their normals."""
    seed: int = 0
    """Of the draw without --classifier."""


def fit(codes: Splits, attribute: Attribute | Label, options: Options) -> AffineEdit:
    """H(w) = the multiple of the normal, less what it shares with the normals of `condition`."""
    classifier = scorer(codes.train, options)
    source, target = attribute.source(codes.train), attribute.target(codes.train)
    both = Codes(torch.cat([source.w, target.w]), torch.cat([source.numbers, target.numbers]), source.names)
    n = normal(both, attribute, classifier, options)
    if options.condition:
        kept = [normal(codes.train, Label(name), classifier, options) for name in options.condition]
        n = orthogonal(n, torch.stack(kept))
    shift = mean_shift(source.w, target.w).view_as(n)
    return AffineEdit(None, ((n * shift).sum(1, keepdim=True) * n).view(source.w.shape[1:]))


def check(codes: Splits, attribute: Attribute | Label, options: Options) -> None:
    """ValueError, before a run begins, for options out of range, a classifier of other codes, attributes that are not there."""
    scorer(codes.train, options)
    if options.c <= 0 or not 0 < options.share <= 0.5 or options.samples < 1:
        raise ValueError(
            f"--c {options.c}, --share {options.share}, --samples {options.samples}: expected > 0, in (0, .5], at least 1"
        )
    for name in options.condition:
        if codes.train.has(name).all() or not codes.train.has(name).any():
            raise ValueError(f"--condition {name}: all training pictures have it, or none has")
        if name == attribute.label:
            raise ValueError(f"--condition {name} is the edited attribute itself")


def scorer(codes: Codes, options: Options) -> LatentClassifier | None:
    return None if options.classifier is None else classifier_for(codes, options.classifier, "--share")


def normal(
    codes: Codes, attribute: Attribute | Label, classifier: LatentClassifier | None, options: Options
) -> Tensor:
    """The unit normal from the attribute's source to its target: [1, num_ws * w_dim], or [num_ws, w_dim] of unit rows (`per_layer`)."""
    w, positive = (by_label if classifier is None else by_score)(codes, attribute, classifier, options)
    parts = w if options.per_layer else w.flatten(1)[:, None]
    return torch.stack([svm(part, positive, options) for part in parts.unbind(1)])


def svm(points: Tensor, positive: Tensor, options: Options) -> Tensor:
    """The unit normal [D] of the plane between points [N, D] that are positive (bool [N]) and those that are not."""
    from sklearn.svm import SVC  # here: it takes two seconds that no other stage should wait

    # By the matrix of inner products, N x N: as SVC's own linear kernel, but many times as fast where codes are long.
    centred = (points - points.mean(0)).double()
    machine = SVC(C=options.c, kernel="precomputed").fit((centred @ centred.T).numpy(), positive.numpy())
    found = (torch.tensor(machine.dual_coef_) @ centred[torch.tensor(machine.support_).long()])[0]
    return (found / found.norm()).to(points)


def by_score(
    codes: Codes, attribute: Attribute | Label, classifier: LatentClassifier, options: Options
) -> tuple[Tensor, Tensor]:
    """The codes of the highest and of the lowest scores, and which of them are the highest."""
    k = index_of(attribute.label, codes.label_names)
    with torch.no_grad():
        order = (
            torch.cat([classifier(part)[:, k] for part in codes.w.split(500)]).mul(attribute.sign).argsort()
        )
    n = max(1, int(len(order) * options.share))
    return codes.w[torch.cat([order[:n], order[-n:]])], torch.arange(2 * n) >= n


def by_label(
    codes: Codes, attribute: Attribute | Label, classifier: None, options: Options
) -> tuple[Tensor, Tensor]:
    """Evenly many codes of source and target, drawn with the seed, and which of them are the target's."""
    parts = attribute.source(codes).w, attribute.target(codes).w
    n = min(*map(len, parts), options.samples)
    generator = torch.Generator().manual_seed(options.seed)
    return torch.cat([w[torch.randperm(len(w), generator=generator)[:n]] for w in parts]), torch.arange(
        2 * n
    ) >= n


def orthogonal(n: Tensor, others: Tensor) -> Tensor:
    """Unit rows n [P, D] without what they share with the span of others [C, P, D]; unit rows again.
    ValueError if nothing is left."""
    spans = torch.linalg.qr(others.permute(1, 2, 0)).Q  # [P, D, C]
    left = n - torch.einsum("pdc,pec,pe->pd", spans, spans, n)
    if (left.norm(dim=1) < 1e-4).any():
        raise ValueError(
            "--condition leaves nothing: the edited attribute's normal lies in the span of the others'"
        )
    return left / left.norm(dim=1, keepdim=True)
