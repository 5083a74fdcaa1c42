"""Latent Wasserstein, LW (Sec. 3): H moves the codes that lack the attribute onto those that have it.

No classifier takes part. What the paper leaves open is chosen here: the shape of the map, where it starts, the blur.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from lwgan.costs import latent_space, median_distance
from lwgan.edit import AffineEdit
from lwgan.losses import edit_loss
from trainers import run
from trainers.codes import Codes
from trainers.edits import Attribute, Label, Splits, mean_shift


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
    validate_every: int = 5
    patience: int = 50
    """Stop after so many steps without a better Wasserstein distance on codes of other digits; the best map is kept."""
    validation_codes: int = 800
    seed: int = 0


class Map(torch.nn.Module):
    """H(w)_l = A_l w_l + b_l, as Latent Transformer's layer (equalised learning rate), around the mean source code.

    It starts as the shift between the mean codes: a random start would scatter the old digits before the loss says a word.
    """

    def __init__(self, source: Tensor, target: Tensor, rank: int | None):
        super().__init__()
        num_ws, w_dim = source.shape[1:]
        self.register_buffer("centre", source.mean(0))
        self.gain = w_dim**-0.5
        self.bias = torch.nn.Parameter(mean_shift(source, target))
        self.out = torch.nn.Parameter(torch.zeros(num_ws, w_dim, rank or w_dim))
        self.into = None if rank is None else torch.nn.Parameter(torch.randn(num_ws, rank, w_dim))

    def weight(self) -> Tensor:
        """A: [num_ws, w_dim, w_dim]."""
        return self.out * self.gain if self.into is None else self.out @ self.into * self.gain / self.into.shape[1] ** 0.5

    def linear(self, w: Tensor) -> Tensor:
        return torch.einsum("nli,loi->nlo", w - self.centre, self.weight())

    def edit(self) -> AffineEdit:
        """The run-time scale and the centre folded into A and b."""
        weight = self.weight().detach()
        return AffineEdit(weight.clone(), (self.bias - torch.einsum("loi,li->lo", weight, self.centre)).detach())


def fit(codes: Splits, attribute: Attribute | Label, options: Options, folder: Path | None = None) -> AffineEdit:
    """The edit that minimises L_edit. folder: of the run, whose checkpoint a stopped run resumes from."""
    source, target = attribute.source(codes.train).w, attribute.target(codes.train).w
    torch.manual_seed(options.seed)
    h = Map(source, target, options.rank)
    adam = torch.optim.Adam(h.parameters(), options.learning_rate)
    unit = median_distance(latent_space(source), latent_space(target))
    held_source, held_target = (
        fixed(side, options.validation_codes) for side in (attribute.source(codes.validation), attribute.target(codes.validation))
    )
    best, best_step, best_loss, step = h.state_dict(), 0, float("inf"), 0
    if folder is not None and (state := run.load_checkpoint(folder)):
        step, best, best_step, best_loss = state["step"], state["best"], state["best_step"], state["best_loss"]
        h.load_state_dict(state["map"])
        adam.load_state_dict(state["adam"])

    size = min(options.batch, len(source), len(target))
    for step in tqdm(range(step, options.steps + 1), attribute.name, total=options.steps, initial=step):
        if step % options.validate_every == 0:
            with torch.no_grad():
                loss = edit_loss(held_source + h.linear(held_source) + h.bias, held_target, blur=options.blur * unit).item()
            if loss < best_loss:
                best, best_step, best_loss = {k: v.clone() for k, v in h.state_dict().items()}, step, loss
            if folder is not None:
                run.log(folder, step=step, validation_loss=loss, best_step=best_step)
                run.save_checkpoint(
                    folder, step=step, map=h.state_dict(), adam=adam.state_dict(), best=best, best_step=best_step, best_loss=best_loss
                )
            if step - best_step >= options.patience:
                break
        torch.manual_seed(hash((options.seed, step)))
        x, y = source[torch.randperm(len(source))[:size]], target[torch.randperm(len(target))[:size]]
        moved = h.linear(x)
        loss = edit_loss(x + moved + h.bias, y, blur=options.blur * unit)
        if options.decay:
            loss = loss + options.decay / 2 * moved.flatten(1).square().sum(1).mean()
        adam.param_groups[0]["lr"] = options.learning_rate * (1 - step / (options.steps + 1))
        adam.zero_grad()
        loss.backward()
        adam.step()
    h.load_state_dict(best)
    return h.edit()


def fixed(codes: Codes, n: int) -> Tensor:
    """The same n codes at every validation: the loss's floor depends on their number."""
    return codes.w[:n]
