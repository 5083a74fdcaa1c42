"""Guided by a picture classifier: the idea of GuidedStyle, without its details.

X. Hou et al., "GuidedStyle: Attribute Knowledge Guided Style Manipulation for Semantic Face Editing" (2022),
of which only the abstract was read: a network that reads the attribute off the picture G(w') guides the edit,
and an attention over the layers settles on a single one. Losses and settings are ours, not GuidedStyle's.

The guide is a judge (`--guide`; never the judge of the published figures), or by default a small network that
first learns to separate pictures of the training's source codes from those of its target codes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from lwgan.domain import Change
from lwgan.edit import AffineEdit
from lwgan.generator import Generator
from lwgan.judges import Judge
from trainers.edits.base import Method, Splits, generator_for
from trainers.edits.latent_transformer import Layers
from trainers.loop import Loop

SIDE = 64  # px: the small network sees pictures at this size
CHECKED = 200  # validation codes of each side whose pictures measure the small network

Guide = Callable[[Tensor], Tensor]  # pictures [N, C, H, W] in [-1, 1] -> logits [N] of showing the target


class OneLayer(nn.Module):
    """H(w)_l = attention_l (A_l w_l + b_l).

    The attention is a softmax of scores over the layers that sharpens during the first half of the training.
    Then it is 1 for the layer with the highest score, so that its map learns to do without the others."""

    def __init__(self, num_ws: int, w_dim: int):
        super().__init__()
        self.layers = Layers(num_ws, w_dim)
        self.scores = nn.Parameter(torch.zeros(num_ws))

    def attention(self, progress: float, temperature: float) -> Tensor:
        """[num_ws], sums to 1. progress: fraction of the training that is done. The softmax's temperature
        falls from 1 to `temperature` at half of the training."""
        if progress >= 0.5:
            return F.one_hot(self.scores.argmax(), len(self.scores)).float()
        return (self.scores / temperature ** (2 * progress)).softmax(0)

    def forward(self, w: Tensor, progress: float, temperature: float) -> Tensor:
        return self.attention(progress, temperature)[:, None] * self.layers(w)

    def edit(self) -> AffineEdit:
        """The map of the layer with the highest score, 0 in all others; the config names the layer."""
        whole, only = self.layers.edit(1), self.attention(1, 1)
        weight, bias = whole.weight * only[:, None, None], whole.bias * only[:, None]
        return AffineEdit(weight, bias, {"layer": int(only.argmax())})


@dataclass(frozen=True)
class Guided(Method):
    """The guide's cross-entropy + closeness * mean (w' - w)^2 with Adam, at alpha = 1."""

    guide: Path | None = None
    """Folder of a judge that guides. Default: a small network is trained first."""
    guide_steps: int = 300
    """Training steps of the small network."""
    steps: int = 300
    batch: int = 16
    learning_rate: float = 1e-2
    """Adam's at the start; it falls to zero."""
    closeness: float = 1.0
    """Weight of the squared distance between edited code and source code."""
    temperature: float = 0.05
    """Final temperature of the softmax over the layers; it starts at 1."""
    save_every: int = 25
    seed: int = 0

    def check(self, codes: Splits, change: Change) -> None:
        generator_for(codes)
        if self.guide is not None:
            judge_of(change, self.guide)

    def fit(self, codes: Splits, change: Change, folder: Path) -> AffineEdit:
        """The map of one layer. The config names it and, for a small network, guide_accuracy {source,
        target}: its accuracy on pictures of validation codes of each side."""
        generator = generator_for(codes)
        source = codes.train.source(change).w
        torch.manual_seed(self.seed)
        h = OneLayer(*source.shape[1:])
        adam = torch.optim.Adam(h.parameters(), self.learning_rate)
        network = None if self.guide else small_network(generator.synthesis.b4.torgb.bias.numel())
        parts = {"map": h, "adam": adam} | ({} if network is None else {"guide": network})
        loop = Loop(folder, parts, steps=self.steps, every=self.save_every, seed=self.seed, title=change.name)
        if network is not None:
            if loop.step == 0:
                self.train_guide(network, codes, change, generator)
            network.requires_grad_(False)
        guide = judge_of(change, self.guide) if network is None else lambda x: network(x).squeeze(1)

        for step in loop:
            w = source[torch.randint(len(source), (self.batch,))]
            moved = h(w, (step - 1) / self.steps, self.temperature)
            logits = guide(generator.synthesis(w + moved))
            loss = F.softplus(-logits).mean() + self.closeness * moved.square().mean()
            adam.param_groups[0]["lr"] = self.learning_rate * (1 - (step - 1) / self.steps)
            adam.zero_grad()
            loss.backward()
            adam.step()
            loop.log(loss=loss, layer=h.scores.argmax())
        edit = h.edit()
        if network is not None:
            sides = codes.validation.source(change), codes.validation.target(change)
            reads = [reads_target(network, generator, side.w[:CHECKED]) for side in sides]
            edit.config["guide_accuracy"] = {"source": 1 - reads[0], "target": reads[1]}
        return edit

    def train_guide(self, network: nn.Module, codes: Splits, change: Change, generator: Generator) -> None:
        """Trains the small network on pictures of training codes."""
        adam = torch.optim.Adam(network.parameters(), 2e-3)
        w = [codes.train.source(change).w, codes.train.target(change).w]
        truth = (torch.arange(2 * self.batch) >= self.batch).float()
        for _ in tqdm(range(self.guide_steps), "guide"):
            drawn = torch.cat([side[torch.randint(len(side), (self.batch,))] for side in w])
            with torch.no_grad():
                x = generator.synthesis(drawn)
            loss = F.binary_cross_entropy_with_logits(network(x).squeeze(1), truth)
            adam.zero_grad()
            loss.backward()
            adam.step()


@torch.no_grad()
def reads_target(network: nn.Module, generator: Generator, w: Tensor) -> float:
    """The fraction of codes in whose pictures the network sees the target."""
    logits = torch.cat([network(generator.synthesis(part)) for part in w.split(50)])
    return (logits > 0).double().mean().item()


def judge_of(change: Change, folder: Path) -> Guide:
    """A judge as a guide: the soft minimum of its logits for the target's labels. ValueError for a judge that
    does not read them."""
    judge = Judge.from_pretrained(folder)
    if unread := [name for name in change.target if name not in judge.names]:
        raise ValueError(f"--guide {folder} does not read {unread[0]!r}, but {', '.join(judge.names)}")
    columns = [judge.names.index(name) for name in change.target]
    signs = torch.tensor([1.0 if value else -1.0 for value in change.target.values()])
    return lambda x: -(-judge(x)[:, columns] * signs).logsumexp(1)


def small_network(channels: int) -> nn.Module:
    """Pictures [N, channels, H, W] -> one logit [N, 1].

    Without batch normalisation: where most of a picture is black, running statistics are far from those of a
    batch, and the network would not guide by what it learned."""
    body = [nn.AdaptiveAvgPool2d(SIDE)]
    for before, after in ((channels, 16), (16, 32), (32, 64)):
        body += [nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(0.2)]
        body += [nn.Conv2d(after, after, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 1))
