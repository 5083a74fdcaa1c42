"""GuidedStyle: X. Hou et al., "GuidedStyle: Attribute Knowledge Guided Style Manipulation for Semantic Face Editing" (2022), ADAPTED:
written from its abstract alone. A knowledge network that reads the attribute off the picture G(w') guides the edit, and an attention
over the layers settles on a single one. Not its results reproduced; losses and settings are ours.

The knowledge network is a judge of digits (`--knowledge`; never the judge of the published figures), or, by default and of labelled
attributes always, a small network that first learns to tell pictures of the training's source codes from those of its target codes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from lwgan.edit import AffineEdit
from lwgan.generator import Generator
from lwgan.judges import DigitJudge
from trainers import run
from trainers.edits import Attribute, Label, Splits, generator_for
from trainers.edits.latent_transformer import Layers

SIDE = 64  # px: pictures are shown to the small network at this size, at most
CHECKED = 200  # validation codes of either side by whose pictures the small network is measured


@dataclass(frozen=True)
class Options:
    """The knowledge network's cross-entropy + closeness * mean (w' - w)^2, with Adam, at alpha = 1."""

    knowledge: Path | None = None
    """Folder of a judge of digits that guides; None: a small network is trained first."""
    knowledge_steps: int = 300
    """Steps of the small network's training."""
    steps: int = 300
    batch: int = 16
    learning_rate: float = 1e-2
    """Adam's at the start, falling to zero."""
    closeness: float = 1.0
    """Weight of the squared distance of edited codes from their source."""
    temperature: float = 0.05
    """Of the attention's softmax before a single layer is left; at the start it is 1."""
    save_every: int = 25
    seed: int = 0


class OneLayer(nn.Module):
    """H(w)_l = attention_l (A_l w_l + b_l): a softmax of scores over the layers that sharpens during the first half of the training;
    then the layer with the highest score alone, so that its map learns to do without the others."""

    def __init__(self, num_ws: int, w_dim: int):
        super().__init__()
        self.layers = Layers(num_ws, w_dim)
        self.scores = nn.Parameter(torch.zeros(num_ws))

    def attention(self, progress: float, temperature: float) -> Tensor:
        """[num_ws], sums to 1. progress: share of the training that is done; temperature: of the softmax at half of it (at first, 1)."""
        if progress >= 0.5:
            return F.one_hot(self.scores.argmax(), len(self.scores)).float()
        return (self.scores / temperature ** (2 * progress)).softmax(0)

    def forward(self, w: Tensor, progress: float, temperature: float) -> Tensor:
        return self.attention(progress, temperature)[:, None] * self.layers(w)

    def edit(self) -> AffineEdit:
        """The map of the layer with the highest score, zero in all others; the config says which."""
        whole, only = self.layers.edit(1), self.attention(1, 1)
        return AffineEdit(
            whole.weight * only[:, None, None], whole.bias * only[:, None], {"layer": int(only.argmax())}
        )


def fit(
    codes: Splits, attribute: Attribute | Label, options: Options, folder: Path | None = None
) -> AffineEdit:
    """The map of one layer. folder: of the run, whose checkpoint a stopped run resumes from. The config says which layer, and of a
    small network how often it is right about pictures of validation codes: knowledge_accuracy {source, target}, shares of each side."""
    generator = generator_for(codes)
    source = attribute.source(codes.train).w
    torch.manual_seed(options.seed)
    h = OneLayer(*source.shape[1:])
    adam = torch.optim.Adam(h.parameters(), options.learning_rate)
    state = (folder is not None and run.load_checkpoint(folder)) or {"step": 0}
    knowledge, kept = knowledge_of(codes, attribute, generator, options, state.get("knowledge"))
    if state["step"]:
        h.load_state_dict(state["map"])
        adam.load_state_dict(state["adam"])

    for step in tqdm(
        range(state["step"], options.steps), attribute.name, total=options.steps, initial=state["step"]
    ):
        torch.manual_seed(hash((options.seed, step)))
        w = source[torch.randint(len(source), (options.batch,))]
        moved = h(w, step / options.steps, options.temperature)
        says = knowledge(generator.synthesis(w + moved))
        loss = (
            F.binary_cross_entropy_with_logits(says, torch.ones_like(says))
            + options.closeness * moved.square().mean()
        )
        adam.param_groups[0]["lr"] = options.learning_rate * (1 - step / options.steps)
        adam.zero_grad()
        loss.backward()
        adam.step()
        if folder is not None and ((step + 1) % options.save_every == 0 or step + 1 == options.steps):
            run.log(folder, step=step + 1, loss=loss.item(), layer=int(h.scores.argmax()))
            run.save_checkpoint(
                folder, step=step + 1, map=h.state_dict(), adam=adam.state_dict(), knowledge=kept
            )
    edit = h.edit()
    if kept is not None:
        edit.config["knowledge_accuracy"] = kept["accuracy"]
    return edit


def check(codes: Splits, attribute: Attribute | Label, options: Options) -> None:
    """ValueError, before a run begins, without a generator or for one of other codes and for a judge that reads no such attribute."""
    generator_for(codes)
    if options.knowledge is not None:
        judge_of(attribute, options.knowledge)


Knowledge = Callable[
    [Tensor], Tensor
]  # pictures [N, C, H, W] in [-1, 1] -> logits [N] that they are the target's


def knowledge_of(
    codes: Splits, attribute: Attribute | Label, generator: Generator, options: Options, state: dict | None
) -> tuple[Knowledge, dict | None]:
    """What guides, and the state by which a resumed run has it again: {network, accuracy}; None for a judge, which lies in its folder."""
    if options.knowledge is not None:
        return judge_of(attribute, options.knowledge), None
    network = small_network(generator.synthesis.b4.torgb.bias.numel())
    if state is None:
        accuracy = learn(network, codes, attribute, generator, options)
        state = {"network": network.state_dict(), "accuracy": accuracy}
    network.load_state_dict(state["network"])
    network.eval().requires_grad_(False)
    return lambda x: network(x).squeeze(1), state


def judge_of(attribute: Attribute | Label, folder: Path) -> Knowledge:
    """The judge's logit that the picture holds the target's count of digits. ValueError for labelled attributes."""
    if isinstance(attribute, Label):
        raise ValueError(
            f"--knowledge {folder}: a judge of digits does not read {attribute.name!r}; leave it out"
        )
    judge = DigitJudge.from_pretrained(folder)

    def logit(x: Tensor) -> Tensor:
        shares = judge(x)[:, 10].log_softmax(1)
        others = torch.arange(shares.shape[1]) != attribute.count
        return shares[:, attribute.count] - shares[:, others].logsumexp(1)

    return logit


def small_network(channels: int) -> nn.Module:
    """Pictures [N, channels, H, W] -> one logit [N, 1]. No batch normalisation: where most of a picture is black, its running statistics
    lie far from those of a batch, and what was learned in training is not what guides."""
    body = [Shrink()]
    for before, after in ((channels, 16), (16, 32), (32, 64)):
        body += [
            nn.Conv2d(before, after, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(after, after, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
        ]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 1))


class Shrink(nn.Module):
    """Pictures brought to SIDE px, if they are larger."""

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, min(SIDE, x.shape[-1]))


def learn(
    network: nn.Module, codes: Splits, attribute: Attribute | Label, generator: Generator, options: Options
) -> dict[str, float]:
    """Trains the network on pictures of the training codes. How often it is right about those of validation codes of either side."""
    adam = torch.optim.Adam(network.parameters(), 2e-3)
    w = [attribute.source(codes.train).w, attribute.target(codes.train).w]
    truth = (torch.arange(2 * options.batch) >= options.batch).float()
    for _ in tqdm(range(options.knowledge_steps), "knowledge network"):
        with torch.no_grad():
            x = generator.synthesis(
                torch.cat([side[torch.randint(len(side), (options.batch,))] for side in w])
            )
        loss = F.binary_cross_entropy_with_logits(network(x).squeeze(1), truth)
        adam.zero_grad()
        loss.backward()
        adam.step()
    network.eval()
    with torch.no_grad():
        held = [side(codes.validation).w[:CHECKED].split(50) for side in (attribute.source, attribute.target)]
        says = [torch.cat([network(generator.synthesis(part)) for part in side]) > 0 for side in held]
    accuracy = {"source": (~says[0]).double().mean().item(), "target": says[1].double().mean().item()}
    print(
        f"{attribute.name}: the knowledge network is right about shares of the validation pictures: {accuracy}"
    )
    return accuracy
