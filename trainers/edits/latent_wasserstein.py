"""Latent Wasserstein, LW (Sec. 3): H moves the codes that lack the attribute onto those that have it.

No classifier takes part, unless L_pres does (Eq. 5, preservation_weight > 0): its F is one. Masses (Sec. 3.2) undo correlations
of the data. What the paper leaves open is chosen here: the shape of the map, where it starts, the blurs, the weighed attributes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from lwgan.attributes import index_of
from torch import Tensor
from tqdm import tqdm

from lwgan.costs import attribute_space, correlations, latent_space, median_distance
from lwgan.edit import AffineEdit
from lwgan.losses import objective
from trainers import run
from trainers.codes import Codes
from trainers.edits import Attribute, Label, Masses, Side, Splits, classifier_for, evened, masses_told, sides


@dataclass(frozen=True)
class Options:
    """Eq. 4 with Adam (Sec. 4.1). Where the defaults differ from the paper's, what was seen on digits says why."""

    steps: int = 100
    learning_rate: float = 2e-2
    """Adam's at the start, falling to zero; the paper's 1e-3 has hardly begun to turn the shift into a map after 100 steps."""
    batch: int = 800
    """Codes of a side in a step, at most (the paper: all of the smaller side)."""
    blur: float = 0.05
    """Blur of the Wasserstein loss, as a share of the median distance between source and target codes. At .5 and more the map
    stays near a shift, which puts digits into several empty cells or none; far below, batches pull the edited cloud together
    (to half its variance), which a generator trained with noise on its codes forgives."""
    rank: int | None = None
    """Rank of each A_l; None: full."""
    decay: float = 0.0
    """Weight of 1/2 |A w|^2 beside the Wasserstein loss, in the same units: keeps the map near a plain shift. Not used by the bundled edits."""
    preservation_weight: float = 0.0
    """lambda of L_edit + lambda L_pres (Sec. 4.1: 1 for faces, 15 for glasses); above 0 it needs --classifier."""
    classifier: Path | None = None
    """Folder that `python -m trainers latent-classifier` wrote: F, whose logits of the other attributes are to stay."""
    logit_blur: float = 0.05
    """Blur of L_pres, as a share of the median distance between the source's and the target's logits (Eq. 5's space)."""
    masses: Masses = "uniform"
    """How samples weigh (Eq. 2, Sec. 3.2); of digits all but uniform need --balance."""
    balance: tuple[str, ...] = ()
    """Attributes whose combinations the masses even out between source and target, the most important first (`evened`); the edited one is
    left out. Empty: those that are most correlated with it (`related`)."""
    validate_every: int = 5
    patience: int = 50
    """Stop after so many steps without a better Wasserstein distance on codes of other digits; the best map is kept."""
    validation_codes: int = 800
    seed: int = 0


class Map(torch.nn.Module):
    """H(w)_l = A_l w_l + b_l, as Latent Transformer's layer (equalised learning rate), around the mean source code.

    It starts as the shift between the mean codes: a random start would scatter the old digits before the loss says a word.
    """

    def __init__(self, source: Side, target: Side, rank: int | None):
        super().__init__()
        num_ws, w_dim = source.w.shape[1:]
        self.register_buffer("centre", source.mean())
        self.gain = w_dim**-0.5
        self.bias = torch.nn.Parameter(target.mean() - source.mean())
        self.out = torch.nn.Parameter(torch.zeros(num_ws, w_dim, rank or w_dim))
        self.into = None if rank is None else torch.nn.Parameter(torch.randn(num_ws, rank, w_dim))

    def weight(self) -> Tensor:
        """A: [num_ws, w_dim, w_dim]."""
        return (
            self.out * self.gain
            if self.into is None
            else self.out @ self.into * self.gain / self.into.shape[1] ** 0.5
        )

    def linear(self, w: Tensor) -> Tensor:
        return torch.einsum("nli,loi->nlo", w - self.centre, self.weight())

    def edit(self) -> AffineEdit:
        """The run-time scale and the centre folded into A and b."""
        weight = self.weight().detach().clone()
        bias = (self.bias - torch.einsum("loi,li->lo", weight, self.centre)).detach()
        if self.into is None:
            return AffineEdit(weight, bias)
        return AffineEdit.low_rank(
            self.out.detach() * self.gain / self.into.shape[1] ** 0.5, self.into.detach().clone(), bias
        )


def fit(
    codes: Splits, attribute: Attribute | Label, options: Options, folder: Path | None = None
) -> AffineEdit:
    """The edit that minimises L_edit + lambda L_pres. folder: of the run, whose checkpoint a stopped run resumes from."""
    balance = evened(codes.train, attribute, options.masses, options.balance)
    source, target = sides(codes.train, attribute, options.masses, balance)
    loss = loss_of(source, target, codes.train, attribute, options)
    torch.manual_seed(options.seed)
    held = [
        side.first(options.validation_codes)
        for side in sides(codes.validation, attribute, options.masses, balance)
    ]
    h = Map(source, target, options.rank)
    adam = torch.optim.Adam(h.parameters(), options.learning_rate)
    best, best_step, best_loss, step = h.state_dict(), 0, float("inf"), 0
    if folder is not None and (state := run.load_checkpoint(folder)):
        step, best, best_step, best_loss = (
            state["step"],
            state["best"],
            state["best_step"],
            state["best_loss"],
        )
        h.load_state_dict(state["map"])
        adam.load_state_dict(state["adam"])

    size = min(options.batch, len(source.w), len(target.w))
    for step in tqdm(range(step, options.steps + 1), attribute.name, total=options.steps, initial=step):
        if step % options.validate_every == 0:
            # The same codes at every validation: the loss's floor depends on their number.
            with torch.no_grad():
                now = loss(held[0].w + h.linear(held[0].w) + h.bias, *held).item()
            if now < best_loss:
                best, best_step, best_loss = {k: v.clone() for k, v in h.state_dict().items()}, step, now
            if folder is not None:
                run.log(folder, step=step, validation_loss=now, best_step=best_step)
                run.save_checkpoint(
                    folder,
                    step=step,
                    map=h.state_dict(),
                    adam=adam.state_dict(),
                    best=best,
                    best_step=best_step,
                    best_loss=best_loss,
                )
            if step - best_step >= options.patience:
                break
        torch.manual_seed(hash((options.seed, step)))
        x, y = source.batch(size), target.batch(size)
        moved = h.linear(x.w)
        total = loss(x.w + moved + h.bias, x, y)
        if options.decay:
            total = total + options.decay / 2 * moved.flatten(1).square().sum(1).mean()
        adam.param_groups[0]["lr"] = options.learning_rate * (1 - step / (options.steps + 1))
        adam.zero_grad()
        total.backward()
        adam.step()
    h.load_state_dict(best)
    edit = h.edit()
    edit.config |= masses_told(codes.train, attribute, options.masses, balance)
    return edit


def check(codes: Splits, attribute: Attribute | Label, options: Options) -> None:
    """ValueError, before a run begins, for masses without anything to balance and for lambda without a fitting classifier."""
    sides(
        codes.validation,
        attribute,
        options.masses,
        evened(codes.train, attribute, options.masses, options.balance),
    )
    if options.preservation_weight > 0:
        classifier_for(codes.train, options.classifier, flag_of(options))


def loss_of(
    source: Side, target: Side, codes: Codes, attribute: Attribute | Label, options: Options
) -> Callable[..., Tensor]:
    """The loss of edited codes, their source and the target: L_edit (Eq. 4), and lambda L_pres (Eq. 5) where lambda > 0."""
    blur = options.blur * median_distance(latent_space(source.w), latent_space(target.w))
    preservation = {}
    if options.preservation_weight > 0:
        classifier = classifier_for(codes, options.classifier, flag_of(options))
        gamma = correlations(codes.labels)[index_of(attribute.label, codes.label_names)]
        with torch.no_grad():
            logits = [attribute_space(classifier(side.w), gamma) for side in (source, target)]
        logit_blur = options.logit_blur * median_distance(*logits)
        preservation = {
            "classifier": classifier, "gamma": gamma, "preservation_weight": options.preservation_weight, "logit_blur": logit_blur
        }  # fmt: skip
    return lambda edited, x, y: objective(edited, x.w, y.w, x.mass, y.mass, blur=blur, **preservation).total


def flag_of(options: Options) -> str:
    return f"--preservation-weight {options.preservation_weight:g}"
