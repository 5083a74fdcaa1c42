"""What all methods share: their base class, the codes they fit to, and the nets they may ask for."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lwgan.domain import Change
from lwgan.edit import AffineEdit
from lwgan.generator import Generator
from lwgan.judges import LatentClassifier
from trainers.codes import Codes


class Splits(NamedTuple):
    """Codes to fit to, codes of other pictures for early stopping, and the folder of the generator that
    renders them (None: not given)."""

    train: Codes
    validation: Codes
    generator: Path | None = None


@dataclass(frozen=True)
class Method(ABC):
    """A way to fit an edit. The fields of a subclass are its options on the command line."""

    def resolved(self, change: Change) -> "Method":
        """The same options with defaults that depend on the change filled in."""
        return self

    def check(self, codes: Splits, change: Change) -> None:  # noqa: B027, most options always fit
        """ValueError, before a run begins, for options that do not fit these codes."""

    @abstractmethod
    def fit(self, codes: Splits, change: Change, folder: Path) -> AffineEdit:
        """Fits the edit. Its config says what the method found out, such as the number of an axis.

        folder: of the run; methods that take long log there, save checkpoints and resume from them."""


def classifier_for(codes: Codes, change: Change, folder: Path | None, flag: str) -> LatentClassifier:
    """F from its folder. ValueError unless it reads such codes and the edited label. flag: what needs F."""
    if folder is None:
        raise ValueError(f"{flag} needs --classifier, a folder that `python -m trainers judge codes` wrote")
    classifier = LatentClassifier.from_pretrained(folder)
    names = tuple(classifier.card_config.get("names") or ())
    if unknown := [name for name in names if name not in codes.domain.attributes]:
        raise ValueError(f"{folder} reads {unknown[0]!r}, which the codes are not labelled with")
    if change.label not in names:
        raise ValueError(f"{folder} does not read {change.label!r}, but {', '.join(names) or 'nothing'}")
    wanted, found = tuple(codes.w.shape[1:]), (classifier.config["num_ws"], classifier.config["w_dim"])
    if wanted != found:
        raise ValueError(f"{folder} reads codes of shape {found}, these have shape {wanted}")
    return classifier


def columns_of(codes: Codes, classifier: LatentClassifier) -> Tensor:
    """The labels that F reads, in F's order: uint8 [N, K], 1, 0 or UNKNOWN."""
    return torch.stack([codes.column(name) for name in classifier.card_config["names"]], 1)


def generator_for(codes: Splits) -> Generator:
    """The generator of the codes. ValueError if none was given, or one that takes codes of another shape."""
    if codes.generator is None:
        raise ValueError("this method needs the codes' generator: --generator FOLDER, before its name")
    generator = Generator.from_pretrained(codes.generator)
    wanted, found = tuple(codes.train.w.shape[1:]), (generator.num_ws, generator.w_dim)
    if wanted != found:
        raise ValueError(f"{codes.generator} renders codes of shape {found}, these have shape {wanted}")
    return generator


def mean_shift(source: Tensor, target: Tensor) -> Tensor:
    """Difference of the two mean codes: [N, num_ws, w_dim], [M, num_ws, w_dim] -> [num_ws, w_dim]."""
    return target.mean(0) - source.mean(0)


def scaled(direction: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """The multiple of a direction [num_ws, w_dim] that is nearest to the mean shift.

    So alpha = 1 means the same for every direction: the mean source code comes as near to the mean target
    code as the direction can bring it. The sign follows too."""
    unit = direction / direction.norm()
    return (unit * mean_shift(source, target)).sum() * unit


def best_component(components: Tensor, source: Tensor, target: Tensor) -> tuple[int, float]:
    """Which of unsupervised directions [C, num_ws, w_dim] separates source from target best, and how well.

    The measure is Cohen's d: the distance of the means along a direction over the pooled deviation."""
    along = [torch.einsum("nli,cli->nc", side, components).double() for side in (source, target)]
    spread = ((along[0].var(0) + along[1].var(0)) / 2).sqrt()
    apart = (along[1].mean(0) - along[0].mean(0)).abs() / spread.clamp(min=1e-12)
    return int(apart.argmax()), apart.max().item()
