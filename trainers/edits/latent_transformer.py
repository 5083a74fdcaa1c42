"""Latent Transformer, LT: X. Yao et al., "A Latent Transformer for Disentangled Face Editing in Images and Videos" (2021).

An affine map of each layer, learned so that a latent classifier F changes its mind about the attribute (L_cls), keeps its logits of the
others (L_reg) and the code stays near (L_rec). One map serves both ways, its strength alpha the change of probability that is asked
for. Written anew from a description of method and settings, without a look at its authors' code. `--regularisation 0
--reconstruction 0` make LT* of the Latent Wasserstein paper (Sec. 4.3). Of digits, F reads whether there are 2, 3, 4 or more.

All layers are edited, as in training. Its authors' test scripts keep the edit of the first 11 of 18 layers and put the others back, without
a reason given. With codes of up to 11 layers (64 px: 10) that makes no difference; with longer ones, edits here also reach the finest detail,
which theirs leave alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from lwgan.attributes import index_of
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from lwgan.costs import correlations
from lwgan.edit import AffineEdit
from lwgan.judges import LatentClassifier
from trainers import run
from trainers.codes import Codes
from trainers.edits import Attribute, Label, Splits, classifier_for


@dataclass(frozen=True)
class Options:
    """L_cls + regularisation L_reg + reconstruction L_rec with Adam, the published settings."""

    classifier: Path | None = None
    """Folder that `python -m trainers latent-classifier` wrote: F."""
    regularisation: float = 1.0
    """Weight of L_reg; 0 in LT*."""
    reconstruction: float = 10.0
    """Weight of L_rec; 0 in LT*."""
    epochs: int = 10
    batch: int = 32
    learning_rate: float = 1e-3
    decay: float = 5e-4
    """Weight decay, as Adam's own (L2)."""
    seed: int = 0


class Layers(torch.nn.Module):
    """T(w)_l = A_l w_l + b_l with an equalised learning rate: A is stored larger, and scaled by 1 / sqrt(w_dim) at run time."""

    def __init__(self, num_ws: int, w_dim: int):
        super().__init__()
        self.gain = w_dim**-0.5
        self.weight = torch.nn.Parameter(
            torch.stack([torch.nn.init.xavier_uniform_(torch.empty(w_dim, w_dim)) for _ in range(num_ws)])
        )
        self.bias = torch.nn.Parameter(torch.zeros(num_ws, w_dim))

    def forward(self, w: Tensor) -> Tensor:
        return torch.einsum("nli,loi->nlo", w, self.weight * self.gain) + self.bias

    def edit(self, sign: int) -> AffineEdit:
        """The map with its scale folded in; sign -1: the other way round."""
        return AffineEdit(
            (sign * self.gain * self.weight).detach().clone(), (sign * self.bias).detach().clone()
        )


def fit(
    codes: Splits, attribute: Attribute | Label, options: Options, folder: Path | None = None
) -> AffineEdit:
    """The map after all epochs. folder: of the run, whose checkpoint a stopped run resumes from."""
    classifier = classifier_for(codes.train, options.classifier, "lt")
    loss = loss_of(classifier, codes.train, attribute, options)
    # Those without the label first, be they source or target: an attribute and its opposite have the same map, with another sign.
    w = torch.cat([attribute.source(codes.train).w, attribute.target(codes.train).w][:: attribute.sign])
    with torch.no_grad():
        before = torch.cat([classifier(part) for part in w.split(500)])
    torch.manual_seed(options.seed)
    t = Layers(*w.shape[1:])
    adam = torch.optim.Adam(t.parameters(), options.learning_rate, weight_decay=options.decay)
    done = 0
    if folder is not None and (state := run.load_checkpoint(folder)):
        done = state["epoch"]
        t.load_state_dict(state["map"])
        adam.load_state_dict(state["adam"])

    for epoch in range(done, options.epochs):
        torch.manual_seed(hash((options.seed, epoch)))
        for rows in tqdm(
            torch.randperm(len(w)).split(options.batch),
            f"{attribute.name} epoch {epoch + 1}/{options.epochs}",
        ):
            total = loss(t, w[rows], before[rows])
            adam.zero_grad()
            total.backward()
            adam.step()
        if folder is not None:
            run.log(folder, epoch=epoch + 1, loss=total.item())
            run.save_checkpoint(folder, epoch=epoch + 1, map=t.state_dict(), adam=adam.state_dict())
    return t.edit(attribute.sign)


def check(codes: Splits, attribute: Attribute | Label, options: Options) -> None:
    """ValueError, before a run begins, without a fitting classifier."""
    classifier_for(codes.train, options.classifier, "lt")


def loss_of(
    classifier: LatentClassifier, codes: Codes, attribute: Attribute | Label, options: Options
) -> Callable[[Layers, Tensor, Tensor], Tensor]:
    """The loss of a map on a batch of codes w [N, num_ws, w_dim], of which F reads the logits `before` [N, K]."""
    k = index_of(attribute.label, codes.label_names)
    mask = (1 - correlations(codes.labels)[k]).float()

    def loss(t: Layers, w: Tensor, before: Tensor) -> Tensor:
        probability = before[:, k].sigmoid()
        goal = (probability <= 0.5).float()  # what F reads now, turned round
        alpha = goal - probability
        edited = w + alpha[:, None, None] * t(w)
        after = classifier(edited)
        total = F.binary_cross_entropy_with_logits(after[:, k], goal, balance(goal))
        if options.regularisation:
            total = total + options.regularisation * F.mse_loss(mask * after, mask * before)
        if options.reconstruction:
            total = total + options.reconstruction * F.mse_loss(edited, w)
        return total

    return loss


def balance(goal: Tensor) -> Tensor:
    """Weights [N] that make the goals 0 and 1 [N] count equally: N over how many share the sample's."""
    share = torch.where(goal == 1, goal.mean(), 1 - goal.mean())
    return 1 / share
