"""One file a method, one verb: fit(codes, attribute, options) -> AffineEdit.

What a fit finds out beside the map (the number of an axis, how well it separates) stands in the edit's config, which the stage records.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from lwgan.attributes import index_of
from torch import Tensor

from lwgan.costs import correlations
from lwgan.generator import Generator
from lwgan.judges import LatentClassifier
from lwgan.measures import MASSES, cells, effective_size, normalised
from trainers.codes import COUNTS, Codes

# Methods that differ in substance from the published ones, and how: for cards and tables. Each method's file says it in full.
ADAPTED = {
    "interfacegan": "fitted on labelled W+ codes of encoded pictures, drawn evenly from both sides, instead of the extreme 2% of sampled z or w by score",
    "ganspace": "axes of encoded pictures' W+ codes, chosen by labels, instead of sampled w's, chosen by eye",
    "sefa": "one of all directions, chosen by labels, instead of the first few, by eye",
    "steerability": "style weights of a StyleGAN, a direction chosen by labels, instead of a BigGAN's first layer and prescribed changes",
    "guidedstyle": "written from its abstract alone, with losses and settings of our own",
}
NOT = "not-"
LEAST = 0.1  # share of a side's codes, as which masses must leave it counting
EVENED = (
    6  # attributes that masses even out where none is named: ten kept hardly more (docs/training-faces.md)
)
Masses = Literal["uniform", "printed", "match", "overlap", "balanced"]


class Attribute(NamedTuple):
    """What an edit changes: pictures of `count` - 1 digits (source) become pictures of `count` digits (target)."""

    count: int

    @property
    def name(self) -> str:
        return f"{self.count - 1}to{self.count}"

    @property
    def label(self) -> str:
        """The attribute of `Codes.label_names` that changes."""
        return COUNTS[self.count - 2]

    @property
    def sign(self) -> int:
        """1: the target has the label; -1: it lacks it."""
        return 1

    def source(self, codes: Codes) -> Codes:
        return codes.where(codes.count == self.count - 1)

    def target(self, codes: Codes) -> Codes:
        return codes.where(codes.count == self.count)

    def describe(self) -> dict:
        """What config.json says of it."""
        before, after = self.count - 1, self.count
        return {
            "attribute": "one-more-digit",
            "from": f"{before} digit{'s' * (before > 1)}",
            "to": f"{after} digits",
            "to_count": after,
        }


class Label(NamedTuple):
    """What an edit changes: pictures that lack an attribute (source) come to have it (target). absent: the other way round."""

    label: str
    absent: bool = False

    @property
    def name(self) -> str:
        return NOT * self.absent + self.label

    @property
    def sign(self) -> int:
        """1: the target has the label; -1: it lacks it."""
        return -1 if self.absent else 1

    def source(self, codes: Codes) -> Codes:
        return codes.where(codes.has(self.label) == self.absent)

    def target(self, codes: Codes) -> Codes:
        return codes.where(codes.has(self.label) != self.absent)

    def describe(self) -> dict:
        """What config.json says of it: names as the registry allows them, labels as a reader would say them."""
        words = self.label.replace("_", " ").lower()
        without, with_it = f"not {words}", words
        ends = {"from": with_it, "to": without} if self.absent else {"from": without, "to": with_it}
        return {"attribute": self.name.lower(), **ends}


class Splits(NamedTuple):
    """Codes to fit on, codes of other digits to stop by, and the folder of the generator that renders them, for methods that need it."""

    train: Codes
    validation: Codes
    generator: Path | None = None


def attribute_named(name: str, names: Sequence[str] | None = None) -> Attribute | Label:
    """Of digits "1to2", "2to3" or "3to4"; where the codes have `names` of attributes, one of them, or "not-" and one of them, whose
    edit takes it away. ValueError otherwise."""
    if names is not None:
        label = name.removeprefix(NOT)
        return Label(names[index_of(label, names)], absent=name != label)
    known = {Attribute(count).name: Attribute(count) for count in (2, 3, 4)}
    if name not in known:
        raise ValueError(f"attribute {name!r} is unknown: choose one of {', '.join(known)}")
    return known[name]


# What several methods need


class Side(NamedTuple):
    """Source or target: codes [N, num_ws, w_dim] and their masses [N], float64, which sum to 1; None: all equal."""

    w: Tensor
    mass: Tensor | None = None

    def mean(self) -> Tensor:
        """The mean code [num_ws, w_dim]."""
        return (
            self.w.mean(0) if self.mass is None else torch.einsum("n,nli->li", self.mass.to(self.w), self.w)
        )

    def rows(self, rows: Tensor | slice) -> "Side":
        return Side(self.w[rows], None if self.mass is None else normalised(self.mass[rows]))

    def batch(self, size: int) -> "Side":
        """So many codes, none twice; with masses, drawn by these, and equal from then on: cells keep their shares in every batch."""
        if self.mass is None:
            return self.rows(torch.randperm(len(self.w))[:size])
        return Side(self.w[torch.multinomial(self.mass, size, replacement=True)])

    def first(self, size: int) -> "Side":
        """The first so many codes; with masses, a batch."""
        return self.rows(slice(size)) if self.mass is None else self.batch(size)


def sides(
    codes: Codes, attribute: Attribute | Label, masses: Masses, balance: Sequence[str]
) -> tuple[Side, Side]:
    """Source and target with their masses (Sec. 3.2), which even out the attributes `balance`; what weighs nothing is left out."""
    both = attribute.source(codes), attribute.target(codes)
    if masses == "uniform":
        return tuple(Side(side.w) for side in both)
    weights = MASSES[masses](*(cells(torch.stack([side.has(name) for name in balance], 1)) for side in both))
    return tuple(
        Side(side.w[mass > 0], normalised(mass[mass > 0])) for side, mass in zip(both, weights, strict=True)
    )


def evened(codes: Codes, attribute: Attribute | Label, masses: Masses, balance: Sequence[str]) -> list[str]:
    """Those of the attributes `balance` (none: the `related`), taken in turn, that masses can even out: with them, too, each side has to count as
    at least LEAST of its codes. One that all but follows from the edited attribute would leave the word to a handful. ValueError if there is none."""
    if masses == "uniform":
        return []
    others, found = [name for name in balance or related(codes, attribute) if name != attribute.label], []
    if not others:
        raise ValueError(
            f"--masses {masses} needs --balance, attributes other than {attribute.name!r} to even out"
        )
    for name in others:
        codes.has(name)  # an error of its own if there is no such attribute
        if min(share for share, _ in shares(codes, attribute, masses, [*found, name])) >= LEAST:
            found.append(name)
    if not found:
        raise ValueError(
            f"--masses {masses}: with any of --balance {' '.join(others)} a side of {attribute.name} counts as less than {LEAST:.0%} of its codes"
        )
    return found


def related(codes: Codes, attribute: Attribute | Label) -> list[str]:
    """The EVENED labels that are most correlated with the edited one, that which is most so first, of those that both sides have: blond hair
    is never black, and to leave out all black hair would leave red, gray and no hair to learn from. What one side always has may be among them
    (a beard is learned from men). None of codes of digits."""
    if codes.names is None:
        return []
    both = attribute.source(codes), attribute.target(codes)
    gamma = correlations(codes.labels)[index_of(attribute.label, codes.names)]
    names = [codes.names[i] for i in gamma.argsort(descending=True).tolist()]
    return [name for name in names if name != attribute.label and all(side.has(name).any() for side in both)][
        :EVENED
    ]


def shares(
    codes: Codes, attribute: Attribute | Label, masses: Masses, balance: Sequence[str]
) -> list[tuple[float, int]]:
    """Of source and target: as which share of all its codes it counts (`effective_size`), and how many weigh nothing. 0 without a cell in common."""
    sizes = [len(side.w) for side in (attribute.source(codes), attribute.target(codes))]
    try:
        weighed = sides(codes, attribute, masses, balance)
    except ValueError:
        return [(0.0, size) for size in sizes]
    return [
        (effective_size(side.mass) / size, size - len(side.w))
        for side, size in zip(weighed, sizes, strict=True)
    ]


def masses_told(codes: Codes, attribute: Attribute | Label, masses: Masses, balance: Sequence[str]) -> dict:
    """What config.json says of masses: what is evened out, and of each side how many codes count as how many, and how many weigh nothing."""
    if masses == "uniform":
        return {}
    sizes = [len(side.w) for side in (attribute.source(codes), attribute.target(codes))]
    told = [{"codes": size, "count_as": round(share * size), "weigh_nothing": lost} for size, (share, lost) in
            zip(sizes, shares(codes, attribute, masses, balance), strict=True)]  # fmt: skip
    return {"masses": {"evened": list(balance), "source": told[0], "target": told[1]}}


def classifier_for(codes: Codes, folder: Path | None, flag: str) -> LatentClassifier:
    """F, from its folder. flag: what asks for it, for the error. ValueError unless it reads these codes' attributes."""
    if folder is None:
        raise ValueError(
            f"{flag} needs --classifier, a folder that `python -m trainers latent-classifier` wrote"
        )
    classifier = LatentClassifier.from_pretrained(folder)
    if tuple(classifier.card_config.get("names") or ()) != codes.label_names:
        raise ValueError(
            f"{folder} reads {classifier.card_config.get('names')}, the codes are labelled with {list(codes.label_names)}"
        )
    wanted, found = tuple(codes.w.shape[1:]), (classifier.config["num_ws"], classifier.config["w_dim"])
    if wanted != found:
        raise ValueError(f"{folder} reads codes of {found}, these are of {wanted}")
    return classifier


def generator_for(codes: Splits) -> Generator:
    """The codes' generator, from its folder. ValueError where none was given, and unless it takes codes of this shape."""
    if codes.generator is None:
        raise ValueError(
            "this method needs --generator (before the method's name), the folder of the generator that renders the codes"
        )
    generator = Generator.from_pretrained(codes.generator)
    wanted, found = tuple(codes.train.w.shape[1:]), (generator.num_ws, generator.w_dim)
    if wanted != found:
        raise ValueError(f"{codes.generator} renders codes of {found}, these are of {wanted}")
    return generator


def mean_shift(source: Tensor, target: Tensor) -> Tensor:
    """Difference of the two mean codes: [N, num_ws, w_dim], [M, num_ws, w_dim] -> [num_ws, w_dim]."""
    return target.mean(0) - source.mean(0)


def scaled(direction: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """The multiple of a direction [num_ws, w_dim] that lies nearest to the mean shift: at alpha = 1 the mean source code comes as near
    to the mean target code as this direction can bring it, and its sign is right. So alpha means the same for every direction.
    """
    unit = direction / direction.norm()
    return (unit * mean_shift(source, target)).sum() * unit


def best_component(components: Tensor, source: Tensor, target: Tensor) -> tuple[int, float]:
    """Which of unsupervised directions [C, num_ws, w_dim] tells source from target best, and how well: the distance of the two means
    along it over their pooled standard deviation (Cohen's d). Rests on the codes given alone, which are to be the training's."""
    along = [torch.einsum("nli,cli->nc", side, components).double() for side in (source, target)]
    spread = ((along[0].var(0) + along[1].var(0)) / 2).sqrt()
    apart = (along[1].mean(0) - along[0].mean(0)).abs() / spread.clamp(min=1e-12)
    return int(apart.argmax()), apart.max().item()
