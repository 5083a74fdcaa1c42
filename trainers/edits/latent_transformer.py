"""Latent Transformer, LT: X. Yao et al., "A Latent Transformer for Disentangled Face Editing in Images and
Videos" (2021).

An affine map of each layer, trained so that a latent classifier F changes its answer about the label (L_cls),
keeps its logits of the other labels (L_reg), and the code stays near (L_rec). One map serves both ways: its
strength alpha is the change of probability that is asked for. `--regularisation 0 --reconstruction 0` give
LT* of the Latent Wasserstein paper (Sec. 4.3).

This is a new implementation; nothing of the authors' code was copied (its licence forbids distribution). What
their published code does where the paper is silent was noted beforehand and is followed: shape and
initialisation of the map, the batch-wise class balance, the optimiser's settings. Two differences: all layers
are edited, as in their training, while their test scripts restore layers 11 to 17 (codes of 64-px pictures
have 10 layers); and F reads this domain's labels."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lwgan.costs import correlations
from lwgan.domain import Change
from lwgan.edit import AffineEdit
from trainers.codes import Codes
from trainers.edits.base import Method, Splits, classifier_for, columns_of
from trainers.loop import Loop
from trainers.shards import UNKNOWN


class Layers(torch.nn.Module):
    """T(w)_l = A_l w_l + b_l with an equalised learning rate: A is stored larger by sqrt(w_dim)."""

    def __init__(self, num_ws: int, w_dim: int):
        super().__init__()
        self.gain = w_dim**-0.5
        weights = [torch.nn.init.xavier_uniform_(torch.empty(w_dim, w_dim)) for _ in range(num_ws)]
        self.weight = torch.nn.Parameter(torch.stack(weights))
        self.bias = torch.nn.Parameter(torch.zeros(num_ws, w_dim))

    def forward(self, w: Tensor) -> Tensor:
        return torch.einsum("nli,loi->nlo", w, self.weight * self.gain) + self.bias

    def edit(self, sign: int) -> AffineEdit:
        """The map with its scale folded in; sign -1: the opposite change."""
        weight, bias = (sign * self.gain * self.weight).detach(), (sign * self.bias).detach()
        return AffineEdit(weight.clone(), bias.clone())


@dataclass(frozen=True)
class LatentTransformer(Method):
    """Latent Transformer: L_cls + L_reg (regularisation) + L_rec (reconstruction). Defaults: as published."""

    classifier: Path | None = None
    """F: folder that `python -m trainers judge codes` wrote."""
    regularisation: float = 1.0
    """Weight of L_reg; 0 in LT*."""
    reconstruction: float = 10.0
    """Weight of L_rec; 0 in LT*."""
    epochs: int = 10
    batch: int = 32
    learning_rate: float = 1e-3
    decay: float = 5e-4
    """Weight decay as Adam's own (L2)."""
    seed: int = 0

    def check(self, codes: Splits, change: Change) -> None:
        classifier_for(codes.train, change, self.classifier, "lt")

    def fit(self, codes: Splits, change: Change, folder: Path) -> AffineEdit:
        """The map after all epochs."""
        loss, classifier = self.loss(codes.train, change)
        # Codes without the label first, be they source or target: a change and its opposite train the same
        # map.
        w = torch.cat([codes.train.source(change).w, codes.train.target(change).w][:: change.sign])
        with torch.no_grad():
            before = torch.cat([classifier(part) for part in w.split(500)])
        torch.manual_seed(self.seed)
        t = Layers(*w.shape[1:])
        adam = torch.optim.Adam(t.parameters(), self.learning_rate, weight_decay=self.decay)
        batches = math.ceil(len(w) / self.batch)
        parts, steps = {"map": t, "adam": adam}, self.epochs * batches
        loop = Loop(folder, parts, steps=steps, every=batches, seed=self.seed, title=change.name)
        for step in loop:
            if (step - 1) % batches == 0:  # checkpoints are saved between epochs
                order = torch.randperm(len(w)).split(self.batch)
            rows = order[(step - 1) % batches]
            total = loss(t, w[rows], before[rows])
            adam.zero_grad()
            total.backward()
            adam.step()
            loop.log(loss=total)
        return t.edit(change.sign)

    def loss(
        self, codes: Codes, change: Change
    ) -> tuple[Callable[[Layers, Tensor, Tensor], Tensor], Callable]:
        """The loss of a map on codes w [N, num_ws, w_dim] with F's logits `before` [N, K]; and F.

        L_reg weighs the squared difference of logits by (1 - gamma)^2, as LT's paper does: 1 - gamma is
        inside the square. Eq. 5 of the Latent Wasserstein paper (`lwgan.costs`) weighs it by 1 - gamma."""
        classifier = classifier_for(codes, change, self.classifier, "lt")
        k, labels = classifier.card_config["names"].index(change.label), columns_of(codes, classifier)
        mask = (1 - correlations(labels, labels != UNKNOWN)[k]).float()

        def loss(t: Layers, w: Tensor, before: Tensor) -> Tensor:
            probability = before[:, k].sigmoid()
            goal = (probability <= 0.5).float()  # the opposite of what F reads now
            edited = w + (goal - probability)[:, None, None] * t(w)
            after = classifier(edited)
            total = F.binary_cross_entropy_with_logits(after[:, k], goal, balance(goal))
            if self.regularisation:
                total = total + self.regularisation * F.mse_loss(mask * after, mask * before)
            if self.reconstruction:
                total = total + self.reconstruction * F.mse_loss(edited, w)
            return total

        return loss, classifier


def balance(goal: Tensor) -> Tensor:
    """Weights [N] with which the goals 0 and 1 [N] count equally: N over the number of equal goals."""
    return 1 / torch.where(goal == 1, goal.mean(), 1 - goal.mean())
