"""Stage: readers of pictures and of codes. Three heads, one loop.

    python -m trainers judge labels --data ../runs/data --run ../runs/judge --seed 1
    python -m trainers judge identity --data ../runs/data --run ../runs/identity
    python -m trainers judge codes --codes ../runs/codes --run ../runs/latent --seed 1

labels: which labels a picture has. Train at least two, with different --seed and --widths: a selector that
chooses strengths, and the judge that measures and has no part in anything else.
identity: whether two pictures show the same group (one person, one font): ArcFace (Deng et al., 2019). Its
cosines say how much of a person an edit keeps (Sec. 4.2).
codes: which labels the picture of a code has: F_l of Eq. 5. Shape and training are those of Latent
Transformer's paper and settings (Yao et al., 2021): two hidden layers, 20 epochs of Adam at 1e-4 and less.
Train one for `edit --classifier` and others for `edit --selector` and for `evaluate`.

Labels that are unknown count neither in a loss nor in a figure.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lwgan.hub import registry
from lwgan.judges import IdentityNetwork, Judge, LatentClassifier, judge_network
from trainers import run
from trainers.codes import load_codes
from trainers.loop import Loop, ramp
from trainers.nets.generator import to_pictures
from trainers.nets.parallel import launch, number, place, shared
from trainers.shards import UNKNOWN, Images, Split, load_split

SPLIT = "train"  # what judges are trained on; their config says it, and `evaluate` refuses this split
COMPARED = 3_000  # pictures whose identities are compared with each other


@dataclass(frozen=True, kw_only=True)
class Pictures(run.Training):
    """The options of the heads that see pictures."""

    data: Path
    """Folder that `python -m trainers data` wrote."""
    batch: int = 128
    learning_rate: float = 2e-3
    checkpoint_steps: int = 250
    widths: tuple[int, ...] = (32, 64, 128)
    """Widths of the feature maps, at 64 px those at 32, 16 and 8 px. Above 128 px narrower ones precede."""
    features: int = 128
    noise: float = 0.05
    """Training pictures get noise of up to this standard deviation: clean ones must be known too."""
    darken: float = 0.2
    """Training pictures lose up to this share of their brightness."""
    shift: int = 2
    """Training pictures move by up to so many px, each way."""
    mirror: bool = False
    """Mirror half of the training pictures."""
    ghosts: float = 0.0
    """For pictures on black: half of them get another picture's content into their blank quarters, with up
    to this share of its brightness, and keep their labels. A faint outline is no object."""


@dataclass(frozen=True, kw_only=True)
class Labels(Pictures):
    """Train a judge: which labels a picture has."""

    network: str = "attributes"
    """attributes, or counts for labels "at least 1, 2, ... objects" (all objects first, then each class)."""
    most: int = 4
    """Of the network counts: the largest count."""
    steps: int = 2_500


@dataclass(frozen=True, kw_only=True)
class Identity(Pictures):
    """Train an identity network on the groups of a data set."""

    features: int = 192
    embedding: int = 64
    steps: int = 4_000
    scale: float = 16.0
    """Factor of the cosines before the softmax (ArcFace's s)."""
    margin: float = 0.2
    """Radians that are added to the angle to the own group (ArcFace's m)."""


@dataclass(frozen=True, kw_only=True)
class Codes(run.Training):
    """Train a classifier of codes: which labels their pictures have."""

    codes: Path
    """Folder that `python -m trainers codes` wrote."""
    hidden: tuple[int, int] = (2048, 512)
    """Widths of the hidden layers."""
    epochs: int = 20
    batch: int = 256
    learning_rate: float = 1e-4
    """Of Adam at the start; a tenth from the 10th epoch on, a hundredth from the 20th, and so on."""
    decay: float = 5e-4
    """Weight decay, as Adam's own (L2)."""
    checkpoint_steps: int = 1_000


Options = Labels | Identity | Codes


class Head(NamedTuple):
    """What the loop needs of a head."""

    parts: dict[str, nn.Module]  # the modules that train; the first is the net that is published
    adam: torch.optim.Optimizer
    n: int  # training samples
    steps: int
    rate: Callable[[int], float]  # learning rate of a step
    loss: Callable[[Tensor], Tensor]  # of rows of the training samples
    metrics: Callable[[str], dict]  # on a split
    config: dict


def main(options: Options) -> None:
    if options.batch % (processes := number(options.processes)):
        raise ValueError(f"--batch {options.batch} is no multiple of --processes {processes}")
    HEADS[type(options)](options, run.device_of(options.device))  # errors come before the run's folder
    run.start(options.run, options)
    launch(train, options.processes, options)


def train(options: Options) -> None:
    torch.manual_seed(options.seed)
    head, (rank, processes) = HEADS[type(options)](options, run.device_of(options.device)), place()
    parts, forward = head.parts | {"adam": head.adam}, shared(head.loss, *head.parts.values())
    loop = Loop(options.run, parts, steps=head.steps, every=options.checkpoint_steps, seed=options.seed,
                max_minutes=options.max_minutes, title="judge")  # fmt: skip
    for step in loop:
        head.adam.param_groups[0]["lr"] = head.rate(step)
        loss = forward(torch.randint(head.n, (options.batch // processes,)))
        head.adam.zero_grad()
        loss.backward()
        head.adam.step()
        loop.log(loss=loss)
    if loop.finished and rank == 0:
        net = next(iter(head.parts.values())).eval().half().float()  # measured as it is published
        metrics = {split: head.metrics(split) for split in ("validation", "test")}
        training = run.training(options, split=SPLIT)
        config = head.config | {"architecture": net.config, "metrics": metrics, "training": training}
        registry.save_folder(options.run, config, net.state_dict(), dtype="float16")
        print(json.dumps(metrics["validation"], indent=1))


# Heads


def labels_head(options: Labels, device: torch.device) -> Head:
    """Which labels a picture has."""
    data, counts = load_split(options.data, SPLIT), options.network == "counts"
    if not data.domain.attributes:
        raise ValueError(f"{options.data} names no labels: there is nothing to read")
    sizes = sizes_of(options, data.images) | ({"most": options.most} if counts else {})
    net = judge_network(network=options.network, names=data.domain.attributes, **sizes)
    net.to(device, memory_format=torch.channels_last)

    def loss(rows: Tensor) -> Tensor:
        x, labels = augmented(data.images[rows].to(device), options), data.labels[rows].to(device)
        with run.half_precision(device):
            logits = net.counts(x) if counts else net(x)
        return (count_loss if counts else label_loss)(logits.float(), labels)

    def metrics(split: str) -> dict:
        pictures = load_split(options.data, split)
        return readings(outputs(net, pictures.images), pictures.labels, net.names)

    return picture_head({"net": net}, options, data, loss, metrics, "judge")


def identity_head(options: Identity, device: torch.device) -> Head:
    """Whether two pictures show the same group."""
    data = load_split(options.data, SPLIT)
    if data.groups is None or (people := data.groups.unique(return_inverse=True)[1]).max() == 0:
        raise ValueError(f"{options.data} names no groups: an identity network needs several pictures of "
                         "each person or thing")  # fmt: skip
    net = IdentityNetwork(embedding=options.embedding, **sizes_of(options, data.images))
    net.to(device, memory_format=torch.channels_last)
    centres = nn.Embedding(int(people.max()) + 1, options.embedding).to(device)  # the direction of each group

    def loss(rows: Tensor) -> Tensor:
        with run.half_precision(device):
            embeddings = net(augmented(data.images[rows].to(device), options))
        cosines = embeddings.float() @ F.normalize(centres.weight, dim=1).T
        return arcface(cosines, people[rows].to(device), options.scale, options.margin)

    def metrics(split: str) -> dict:
        pictures = load_split(options.data, split)
        return recognised(outputs(net, pictures.images, COMPARED), pictures.groups[:COMPARED])

    return picture_head({"net": net, "centres": centres}, options, data, loss, metrics, "identity")


def codes_head(options: Codes, device: torch.device) -> Head:
    """Which labels the picture of a code has: F_l of Eq. 5."""
    codes, base = load_codes(options.codes, SPLIT)
    names, (_, num_ws, w_dim) = codes.domain.attributes, codes.w.shape
    net = LatentClassifier(num_ws=num_ws, w_dim=w_dim, outputs=len(names), hidden=options.hidden).to(device)
    epoch = -(-len(codes) // options.batch)  # steps

    def loss(rows: Tensor) -> Tensor:
        return label_loss(net(codes.w[rows].to(device)), codes.labels[rows].to(device))

    @torch.no_grad()
    def metrics(split: str) -> dict:
        unseen, _ = load_codes(options.codes, split)
        logits = torch.cat([net(part.to(device)).cpu() for part in unseen.w.split(500)])
        return readings(logits, unseen.labels, names)

    # PyTorch's StepLR(10, 0.1) as Latent Transformer's authors step it, at the start of each epoch, the
    # first one too. So the rate falls one epoch early: at 0-based 9, and of 20 epochs the last has a
    # hundredth.
    rate = lambda step: options.learning_rate * 0.1 ** (((step - 1) // epoch + 1) // 10)
    adam = torch.optim.Adam(net.parameters(), options.learning_rate, weight_decay=options.decay)
    config = {"kind": "latent-classifier", "domain": codes.domain.name, "names": list(names),
              "base_revision": base}  # fmt: skip
    return Head({"net": net}, adam, len(codes), options.epochs * epoch, rate, loss, metrics, config)


HEADS = {Labels: labels_head, Identity: identity_head, Codes: codes_head}


def picture_head(parts, options: Pictures, data: Split, loss, metrics, kind: str) -> Head:
    """The optimizer, the learning rates and the config that heads on pictures share."""
    trained = [parameter for part in parts.values() for parameter in part.parameters()]
    adam = torch.optim.AdamW(trained, options.learning_rate, weight_decay=1e-3)
    rate = lambda step: options.learning_rate * ramp(step, options.steps, 100, 0.7)
    config = {"kind": kind, "domain": data.domain.name, "resolution": data.images.shape[-1]}
    return Head(parts, adam, len(data.images), options.steps, rate, loss, metrics, config)


def sizes_of(options: Pictures, images: Images) -> dict:
    """The sizes of a net for pictures [N, C, H, W]."""
    _, channels, side, _ = images.shape
    return {"channels": channels, "widths": widths_of(options.widths, side), "features": options.features}


def widths_of(widths: tuple[int, ...], resolution: int) -> tuple[int, ...]:
    """Widths of a judge: above 128 px after narrower ones, so that the last map has at most 16 px."""
    while resolution / 2 ** len(widths) > 16:
        widths = (max(widths[0] // 2, 8), *widths)
    return widths


# Losses


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of known labels. logits: float [N, K]; labels: [N, K], 1, 0 or UNKNOWN."""
    known = labels != UNKNOWN
    each = F.binary_cross_entropy_with_logits(logits, (labels == 1).to(logits.dtype), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def count_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of counts, over groups whose labels are all known.

    logits: float [N, G, most + 1], `CountJudge.counts`, all objects last.
    labels: uint8 [N, G * most], "at least 1, 2, ..., most" of each group, all objects first."""
    labels = labels.view(*logits.shape[:2], -1)
    known, counts = (labels != UNKNOWN).all(2), (labels == 1).sum(2)
    each = F.cross_entropy(logits.roll(1, 1).flatten(0, 1), counts.flatten(), reduction="none")
    return (each * known.flatten()).sum() / known.sum().clamp(min=1)


def arcface(cosines: Tensor, people: Tensor, scale: float, margin: float) -> Tensor:
    """Softmax loss of pictures' cosines [N, P] to P groups; the angle to the own one, people [N], is
    widened by
    `margin` radians."""
    own = F.one_hot(people, cosines.shape[1]).bool()
    wider = (cosines.clamp(-1 + 1e-6, 1 - 1e-6).acos() + margin).clamp(max=torch.pi).cos()
    return F.cross_entropy(scale * torch.where(own, wider, cosines), people)


# Augmentation


def augmented(images: Tensor, options: Pictures) -> Tensor:
    """uint8 [N, C, H, W] -> [N, C, H, W] in about [-1, 1]: shifted, some mirrored, darker, noisy."""
    share = lambda: torch.rand(len(images), 1, 1, 1, device=images.device)
    x = shifted(images, options.shift).float() / 127.5
    if options.mirror:
        x = torch.where(share() < 0.5, x, x.flip(3))
    if options.ghosts:
        faintness = options.ghosts * share() * (share() < 0.5)
        x = torch.where(blank_quarters(x), faintness * x.roll(1, 0), x)
    x = x * (1 - options.darken * share()) - 1
    return x + options.noise * share() * torch.randn_like(x)


def shifted(images: Tensor, most: int) -> Tensor:
    """Pictures [N, C, H, W], each moved by up to `most` px up or down, left or right; borders repeat."""
    n, colours, height, width = images.shape
    down, right = torch.randint(-most, most + 1, (2, n, 1), device=images.device)
    rows = (torch.arange(height, device=images.device) + down).clamp(0, height - 1)[:, None, :, None]
    columns = (torch.arange(width, device=images.device) + right).clamp(0, width - 1)[:, None, None, :]
    n, colours = (torch.arange(size, device=images.device) for size in (n, colours))
    return images[n[:, None, None, None], colours[:, None, None], rows, columns]


def blank_quarters(x: Tensor) -> Tensor:
    """bool [N, 1, H, W]: the quarters of pictures [N, C, H, W], black = 0, that are black all over."""
    side = x.shape[-1] // 2
    blank = F.max_pool2d(x.amax(1, keepdim=True), side) == 0
    return blank.repeat_interleave(side, 2).repeat_interleave(side, 3)


# Figures


@torch.no_grad()
def outputs(net: Judge | IdentityNetwork, images: Images, most: int | None = None) -> Tensor:
    """The outputs of a net for the first `most` pictures: float [N, K], on the CPU."""
    device, n = next(net.parameters()).device, min(len(images), most or len(images))
    parts = (images[start : min(start + 50, n)] for start in range(0, n, 50))
    return torch.cat([net(to_pictures(part, device)).float().cpu() for part in parts])


def readings(logits: Tensor, labels: Tensor, names: tuple[str, ...]) -> dict:
    """Of each label the area under the ROC curve and the share read right; the share of samples whose known
    labels are all read right. logits [N, K]; labels uint8 [N, K]."""
    known, right = labels != UNKNOWN, (logits > 0) == (labels == 1)
    shares = [column[rows] for column, rows in zip(right.double().T, known.T, strict=True)]
    accuracy = {name: s.mean().item() if len(s) else None for name, s in zip(names, shares, strict=True)}
    return {"auc": auc_of(logits, labels, names), "accuracy": accuracy,
            "all_right": (right | ~known).all(1).double().mean().item(), "n": len(labels)}  # fmt: skip


def auc_of(logits: Tensor, labels: Tensor, names: Sequence[str]) -> dict[str, float | None]:
    """Label -> area under the ROC curve on the samples whose label is known; None without two classes.
    logits [N, K]; labels uint8 [N, K]."""
    from sklearn.metrics import roc_auc_score  # slow to import, and other stages import this module

    found = {}
    for name, scores, truth in zip(names, logits.cpu().T, labels.T, strict=True):
        known = truth != UNKNOWN
        both = len(truth[known].unique()) == 2
        found[name] = float(roc_auc_score(truth[known], scores[known])) if both else None
    return found


def recognised(embeddings: Tensor, groups: Tensor) -> dict:
    """How often the picture nearest to a picture is of the same group (top_1), and the cosines of two
    pictures of one group and of two groups. embeddings [N, D] of length 1; groups [N]. Pictures alone in
    their group count as others."""
    cosines, same = embeddings @ embeddings.T, groups[:, None] == groups
    apart = ~torch.eye(len(groups), dtype=torch.bool)
    several = (same & apart).any(1)
    nearest = cosines.masked_fill(~apart, -2).argmax(1)
    right = same[torch.arange(len(groups)), nearest][several].double()
    return {
        "top_1": right.mean().item() if len(right) else None,
        "identities": len(groups.unique()), "n": int(several.sum()),
        "same": spread(cosines[same & apart]), "other": spread(cosines[~same]),
    }  # fmt: skip


def spread(values: Tensor) -> dict | None:
    """Mean of values [N], and between which 90% of them lie; None of no values."""
    if not len(values):
        return None
    low, high = np.quantile(values.numpy(), (0.05, 0.95)).tolist()
    return {"mean": values.mean().item(), "low": low, "high": high, "n": len(values)}
