"""Latent Wasserstein, LW (Sec. 3): an affine map from the codes without an attribute onto those with it.

No classifier takes part, unless L_pres does (Eq. 5, `--preservation-weight` > 0): F is one. Masses (Sec. 3.2)
undo correlations in the data. The paper leaves open the shape of the map, its start, the blurs and the
balanced labels.

Two losses. `--solver sinkhorn` is the paper's Wasserstein loss (Eq. 4). `--solver partial`, the default, is
ours: exact partial transport (`lwgan.losses.partial_transport`), in which a target code takes up to kappa
times its share. W2 asks the edited codes to cover the target evenly. No affine map can do that sharply where
the change is a choice among cells, such as the place of one more digit: many codes end in between. With
kappa > 1 the edit may choose, and makes some layouts and digits far more often than others."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from lwgan.costs import attribute_space, correlations, latent_space, median_distance
from lwgan.domain import Change
from lwgan.edit import AffineEdit
from lwgan.losses import edit_loss, partial_transport, preservation_loss
from trainers.edits.base import Splits, classifier_for, columns_of, generator_for
from trainers.edits.masses import Side, WithMasses, weighed
from trainers.edits.perceptual import perceptual_map
from trainers.loop import Loop, check_finite
from trainers.shards import UNKNOWN

# Defaults by Change.kind. A choice among cells needs a map; for a place in the cloud a map would learn noise.
DEFAULTS = {
    "choice": {"solver": "partial", "kappa": 2.0, "skip": 0.0, "rank": 4, "starts": 4, "steps": 140,
               "learning_rate": 0.3, "batch": 400},
    "place": {"solver": "partial", "kappa": 4.0, "skip": 0.5, "rank": 0, "starts": 4, "steps": 30,
              "learning_rate": 1.0, "batch": 400},
}  # fmt: skip
# Sec. 4.1: Adam at 1e-3, batches as large as the smaller side (here at most 4,096). Steps are not given.
PAPER = {"solver": "sinkhorn", "kappa": 1.0, "skip": 0.0, "rank": "full", "starts": 1, "steps": 1000,
         "learning_rate": 1e-3, "batch": 4096}  # fmt: skip


@dataclass(frozen=True)
class LatentWasserstein(WithMasses):
    """Latent Wasserstein: L_edit + lambda L_pres. An option that is None takes the default of the kind of
    change ("choice" or "place"), or of --paper."""

    paper: bool = False
    """Short for --solver sinkhorn: the paper's setting (PAPER), a full map from one start."""
    solver: Literal["partial", "sinkhorn"] | None = None
    """L_edit: exact partial transport, or the paper's Sinkhorn divergence with its setting."""
    kappa: float | None = None
    """partial: how many times its share a target code may take; 1: the exact W2. Default: 2, 4 (place)."""
    skip: float | None = None
    """partial: the fraction of source codes in a batch, the most expensive ones, that need not arrive.
    Default: 0 (choice), .5 (place)."""
    rank: int | Literal["full"] | None = None
    """Rank of each A_l; 0 is a plain shift. Default: 4 (choice), 0 (place), full (--paper)."""
    starts: int | None = None
    """Fits from different seeds; the one with the least validation loss is kept. Default: 4, 1 (--paper)."""
    steps: int | None = None
    """Of each start. Default: 140 (choice), 30 (place), 1,000 (--paper)."""
    learning_rate: float | None = None
    """Of Adam (rank 0: gradient descent, 1 is a full step); falls linearly to zero. Default: .3, 1, 1e-3."""
    batch: int | None = None
    """Source codes in a step, at most; the target batch has kappa times as many. Default: 400, 4,096."""
    blur: float = 0.05
    """sinkhorn: blur as a fraction of the median distance between source and target codes. From .5 on the map
    stays near a shift. Far below, batches pull the edited cloud together (`lwgan.losses.wasserstein`)."""
    scaling: float = 0.9
    """sinkhorn: nearer to 1 the gradient is closer to convergence, and a step slower."""
    decay: float = 0.0
    """Weight of 1/2 |A w|^2, in the units of the loss: keeps the map near a shift."""
    preservation_weight: float = 0.0
    """lambda (Sec. 4.1: 1 for faces, 15 for glasses). Above 0 it needs --classifier."""
    classifier: Path | None = None
    """F: folder that `python -m trainers judge codes` wrote."""
    perceptor: Path | None = None
    """Folder of a judge. Distances of codes then predict how different pictures look to it (Sec. 5's future
    work, `trainers.edits.perceptual`); needs --generator."""
    logit_blur: float = 0.05
    """Blur of L_pres as a fraction of the median distance between source and target in Eq. 5's space."""
    validate_every: int = 20
    """Steps between two looks at validation codes; the best map is kept."""
    validation_codes: int = 480
    seed: int = 0

    def resolved(self, change: Change) -> "LatentWasserstein":
        defaults = PAPER if self.paper or self.solver == "sinkhorn" else DEFAULTS[change.kind]
        unset = [field.name for field in fields(self) if getattr(self, field.name) is None]
        return replace(self, **{name: defaults[name] for name in unset if name in defaults})

    def check(self, codes: Splits, change: Change) -> None:
        super().check(codes, change)
        w_dim = codes.train.w.shape[-1]
        if self.kappa < 1 or not 0 <= self.skip < 1 or self.starts < 1:
            raise ValueError(f"--kappa {self.kappa:g}, --skip {self.skip:g}, --starts {self.starts}: "
                             "expected at least 1, in [0, 1), at least 1")  # fmt: skip
        if self.rank != "full" and not 0 <= self.rank <= w_dim:
            raise ValueError(f"--rank is {self.rank}: expected full or 0 to {w_dim}")
        if self.preservation_weight > 0:
            classifier_for(codes.train, change, self.classifier, "--preservation-weight")
        if self.perceptor is not None:
            generator_for(codes)

    def fit(self, codes: Splits, change: Change, folder: Path) -> AffineEdit:
        """The map with the least loss on validation codes, of all starts and steps ("best" in the config;
        step 0 is the mean shift). ValueError if the training fails."""
        balance = self.balanced(codes.train, change)
        (source, target), report = weighed(codes.train, change, self.masses, balance)
        loss = self.loss(source, target, codes, change)
        held = self.held_out(*weighed(codes.validation, change, self.masses, balance)[0])
        h = Map(source, target, self.rank)
        num_ws, rate = codes.train.w.shape[1], self.learning_rate
        if self.rank == 0:
            rate *= h.layers / num_ws  # a shared shift has the gradients of all layers
        optimiser = (torch.optim.SGD if self.rank == 0 else torch.optim.Adam)(h.parameters(), rate)
        best = Best(loss=float("inf"))

        @torch.no_grad()
        def validate(start: int, step: int) -> float:
            now = loss(h(held[0]), *held).item()
            if now < best["loss"]:
                kept = {name: value.clone() for name, value in h.state_dict().items()}
                best.update(map=kept, loss=now, start=start, step=step)
            return now

        check_finite(0, validation_loss=validate(0, 0))
        loop = Loop(folder, {"map": h, "optimiser": optimiser, "best": best}, steps=self.starts * self.steps,
                    every=self.validate_every, seed=self.seed, title=change.name)  # fmt: skip
        size = min(self.batch, len(source.w), len(target.w))
        for number in loop:
            start, step = divmod(number - 1, self.steps)
            if step == 0:
                h.restart()
                optimiser.state.clear()
            x, y = source.batch(size), target.batch(round(self.kappa * size))
            total = loss(h(x), x, y)
            if self.decay:
                total = total + self.decay / 2 * h.linear(x).flatten(1).square().sum(1).mean()
            optimiser.param_groups[0]["lr"] = rate * (1 - step / (self.steps + 1))
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            check_finite(number, map=sum(value.square().sum().item() for value in h.parameters()))
            if loop.due or step + 1 == self.steps:
                now = validate(start, step + 1)
                loop.log(start=start, loss=total, validation_loss=now, best_step=best["step"])
        h.load_state_dict(best.pop("map"))
        edit = h.edit(num_ws)
        edit.config |= report | {"best": dict(best)}
        return edit

    def held_out(self, source: Side, target: Side) -> tuple[Tensor, Tensor]:
        """Validation codes of both sides, kappa times as many of the target. They are always the same,
        because the least possible loss depends on them."""
        size = max(1, min(self.validation_codes, len(source.w), int(len(target.w) / self.kappa)))
        torch.manual_seed(self.seed)
        sizes = ((source, size), (target, round(self.kappa * size)))
        x, y = (side.w[:n] if side.mass is None else side.batch(n) for side, n in sizes)
        return x, y

    def loss(
        self, source: Side, target: Side, codes: Splits, change: Change
    ) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """L as a function of edited codes, their sources and target codes."""
        view = self.view(source, target, codes)
        if self.solver == "sinkhorn":
            blur = self.blur * median_distance(latent_space(view(source.w)), latent_space(view(target.w)))
            edit = lambda edited, y: edit_loss(view(edited), view(y), blur=blur, scaling=self.scaling)
        else:
            edit = lambda edited, y: partial_transport(view(edited), view(y), self.skip)
        if self.preservation_weight == 0:
            return lambda edited, x, y: edit(edited, y)
        classifier = classifier_for(codes.train, change, self.classifier, "--preservation-weight")
        labels = columns_of(codes.train, classifier)
        gamma = correlations(labels, labels != UNKNOWN)[classifier.card_config["names"].index(change.label)]
        with torch.no_grad():
            logits = [attribute_space(classifier(side.w), gamma) for side in (source, target)]
        settings = {"blur": self.logit_blur * median_distance(*logits), "scaling": self.scaling}
        keep = lambda edited, x: preservation_loss(classifier(edited), classifier(x), gamma, **settings)
        return lambda edited, x, y: edit(edited, y) + self.preservation_weight * keep(edited, x)

    def view(self, source: Side, target: Side, codes: Splits) -> Callable[[Tensor], Tensor]:
        """The space [N, layers, D] in which L_edit takes distances of codes [N, num_ws, w_dim]: their own, of
        which one layer suffices if all are equal, or a perceptual one."""
        if self.perceptor is not None:
            weight, predicted = perceptual_map(codes.train, generator_for(codes), self.perceptor)
            print(f"The perceptual cost predicts {predicted:.2f} of what is seen in pictures.")
            return lambda w: (w.flatten(1) @ weight)[:, None]
        if equal_layers(source, target):
            return lambda w: w[:, :1] * w.shape[1] ** 0.5
        return lambda w: w


class Best(dict):
    """The best map so far, a part of the checkpoint: map, loss, start, step. Step 0 is the mean shift."""

    state_dict, load_state_dict = dict.copy, dict.update


def equal_layers(*sides: Side) -> bool:
    """Whether all layers of a code are equal, as an encoder into W makes them."""
    return all((side.w == side.w[:, :1]).all() for side in sides)


class Map(torch.nn.Module):
    """w + H(w), H(w)_l = A_l (w_l - mean source code) + b_l, A = out @ into with an equalised learning rate.

    It starts as the mean shift: a random start would destroy pictures before the loss acts. Where all layers
    of codes are equal (an encoder into W), all layers share one map: separate maps would learn the same."""

    def __init__(self, source: Side, target: Side, rank: int | Literal["full"]):
        super().__init__()
        num_ws, w_dim = source.w.shape[1:]
        self.layers = 1 if equal_layers(source, target) else num_ws
        self.shift = (target.mean() - source.mean())[: self.layers]
        self.register_buffer("centre", source.mean()[: self.layers])
        self.bias = torch.nn.Parameter(self.shift.clone())
        self.gain = w_dim**-0.5 if rank in ("full", 0) else (w_dim * rank) ** -0.5
        self.out = torch.nn.Parameter(torch.zeros(self.layers, w_dim, w_dim if rank == "full" else rank))
        self.full = rank == "full"
        if self.full:
            self.register_buffer("into", torch.eye(w_dim)[None])
        else:
            self.into = torch.nn.Parameter(torch.randn(self.layers, rank, w_dim))

    @torch.no_grad()
    def restart(self) -> None:
        """Back to the mean shift, with new random factors."""
        self.bias.copy_(self.shift)
        self.out.zero_()
        if not self.full:
            self.into.normal_()

    def linear(self, w: Tensor) -> Tensor:
        """A (w - centre): codes [N, num_ws, w_dim] -> the same shape."""
        moved, into = w[:, : self.layers] - self.centre, self.into.expand(self.layers, -1, -1)
        moved = torch.einsum("nli,lri->nlr", moved, into)
        return torch.einsum("nlr,lor->nlo", moved, self.out * self.gain).expand_as(w)

    def forward(self, w: Tensor) -> Tensor:
        return w + self.linear(w) + self.bias

    @torch.no_grad()
    def edit(self, num_ws: int) -> AffineEdit:
        """The map with its gain and centre folded into A and b."""
        out, weight = self.out * self.gain, self.out @ self.into * self.gain
        bias = self.bias - torch.einsum("loi,li->lo", weight, self.centre)
        bias = bias.expand(num_ws, -1).clone()
        if self.full:
            return AffineEdit(weight.expand(num_ws, -1, -1), bias)
        if not out.numel():
            return AffineEdit(None, bias)
        return AffineEdit.low_rank(out, self.into.detach().clone(), bias)
