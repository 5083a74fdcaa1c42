"""Stage 4: readers of pictures and of codes. Three heads, one loop.

    python -m trainers judge labels --data ../runs/data --run ../runs/judge --seed 1
    python -m trainers judge identity --data ../runs/data --run ../runs/identity
    python -m trainers judge codes --codes ../runs/codes --run ../runs/latent --seed 1

labels: which labels a picture has. Train at least two, with different --seed and --widths: a selector that
chooses strengths, and the judge that measures and has no part in anything else.
identity: whether two pictures show the same group (one person, one font): ArcFace (Deng et al., 2019). Its
cosines say how much of a person an edit keeps (Sec. 4.2).
codes: which labels the picture of a code has: F_l of Eq. 5. Shape and training are those of Latent
Transformer's paper and settings (Yao et al., 2021): two hidden layers, 20 epochs of Adam at 1e-4 and less.
Train one for
`edit --classifier` and others for `edit --selector` and for `evaluate`.

Labels that are unknown count neither in a loss nor in a figure.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lwgan.hub import registry
from lwgan.judges import CountJudge, IdentityNetwork, Judge, LatentClassifier, judge_network
from trainers import run
from trainers.codes import load_codes
from trainers.loop import Loop, ramp
from trainers.nets.generator import to_pictures
from trainers.shards import UNKNOWN, Images, Split, load_split

SPLIT = "train"  # what judges are trained on; their config says it, and `evaluate` refuses this split


@dataclass(frozen=True, kw_only=True)
class Training:
    """The options of all heads."""

    run: Path
    """Folder of this run; the same command resumes it."""
    batch: int = 128
    learning_rate: float = 2e-3
    seed: int = 1
    checkpoint_steps: int = 250
    device: str = "auto"
    max_minutes: float | None = None
    """Stop at a checkpoint after this long; the same command resumes the run."""


@dataclass(frozen=True, kw_only=True)
class Pictures(Training):
    """The options of the heads that see pictures."""

    data: Path
    """Folder that `python -m trainers data` wrote."""
    widths: tuple[int, ...] = (32, 64, 128)
    """Widths of the feature maps; at 64 px those at 32, 16 and 8 px. Pictures above 128 px get narrower
    ones before."""
    features: int = 128
    noise: float = 0.05
    """Training pictures get noise of up to this standard deviation. Up to, because clean ones must be
    known too."""
    darken: float = 0.2
    """Training pictures lose up to this share of their brightness."""
    shift: int = 2
    """Training pictures move by up to so many px, each way."""
    mirror: bool = False
    """Mirror half of the training pictures."""
    ghosts: float = 0.0
    """For pictures on black: half of them get another picture's content into their blank quarters, with up
    to this share of its brightness, and keep their labels. So the judge learns that a faint outline is no
    object."""


@dataclass(frozen=True, kw_only=True)
class Labels(Pictures):
    """Train a judge: which labels a picture has."""

    network: str = "attributes"
    """attributes, or counts for labels "at least 1, 2, ... objects" (all objects first, then each class)."""
    most: int = 4
    """Of the network counts: the largest count."""
    steps: int = 2_500
    also: Path | None = None
    """Another data folder to measure the judge on too: the pictures that edits are tried on."""


@dataclass(frozen=True, kw_only=True)
class Identity(Pictures):
    """Train an identity network on the groups of a data set."""

    features: int = 192
    embedding: int = 64
    steps: int = 4_000
    kept_back: int = 3
    """Pictures of each group that are not trained on: its last ones."""
    scale: float = 16.0
    """Factor of the cosines before the softmax (ArcFace's s)."""
    margin: float = 0.2
    """Radians that are added to the angle to the own group (ArcFace's m)."""


@dataclass(frozen=True, kw_only=True)
class Codes(Training):
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


Options = Labels | Identity | Codes


def main(options: Options) -> None:
    torch.manual_seed(options.seed)
    head = HEADS[type(options)](options, run.device_of(options.device))
    run.start(options.run, options)
    loop = Loop(options.run, head.parts, steps=head.steps, every=options.checkpoint_steps, seed=options.seed,
                max_minutes=options.max_minutes, title="judge")  # fmt: skip
    for step in loop:
        head.adam.param_groups[0]["lr"] = head.rate(step)
        loss = head.loss(batch_of(step, head.n, options.batch, options.seed))
        head.adam.zero_grad()
        loss.backward()
        head.adam.step()
        loop.log(loss=loss)
    if loop.finished:
        head.net.eval().half().float()  # measured as it is published
        metrics = head.metrics()
        config = head.config() | {"architecture": head.net.config, "metrics": metrics,
                                  "training": run.training(options, split=SPLIT)}  # fmt: skip
        registry.save_folder(options.run, config, head.net.state_dict(), dtype="float16")
        print(summary(metrics))


def batch_of(step: int, n: int, batch: int, seed: int) -> Tensor:
    """The rows of step 1, 2, ...: every epoch is another permutation of all n."""
    epoch, number = divmod(step - 1, -(-n // batch))
    return permutation(n, hash((seed, epoch)))[number * batch : (number + 1) * batch]


@functools.lru_cache(maxsize=1)
def permutation(n: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def summary(metrics: dict) -> str:
    """The lowest and the mean figures of each split, for the terminal."""
    lines = []
    for split, figures in metrics.items():
        for name, value in figures.items():
            if isinstance(value, dict) and "mean" not in value:
                known = {label: v for label, v in value.items() if v is not None}
                worst = min(known, key=known.get, default=None)
                value = (
                    known and f"{sum(known.values()) / len(known):.4f}, lowest {known[worst]:.4f} ({worst})"
                )
            lines.append(f"{split} {name}: {value}")
    return "\n".join(lines)


# Heads: net, adam, parts (what a checkpoint holds), n (training samples), steps, loss(rows), metrics(),
# config()


class LabelHead:
    """Which labels a picture has."""

    def __init__(self, options: Labels, device: torch.device):
        self.options, self.device, self.data = options, device, load_split(options.data, SPLIT)
        self.n, self.steps, names = len(self.data.images), options.steps, self.data.domain.attributes
        self.net = judge_network(
            network=options.network, names=names, channels=self.data.images.shape[1],
            widths=widths_of(options.widths, self.data.images.shape[-1]), features=options.features,
            **({"most": options.most} if options.network == "counts" else {}),
        ).to(device, memory_format=torch.channels_last)  # fmt: skip
        self.adam = torch.optim.AdamW(self.net.parameters(), options.learning_rate, weight_decay=1e-3)
        self.parts = {"judge": self.net, "adam": self.adam}

    def rate(self, step: int) -> float:
        return self.options.learning_rate * ramp(step, self.steps, 100, 0.7)

    def loss(self, rows: Tensor) -> Tensor:
        x, labels = (
            augmented(self.data.images[rows].to(self.device), self.options),
            self.data.labels[rows].to(self.device),
        )
        with run.half_precision(self.device):
            logits = self.net.counts(x) if isinstance(self.net, CountJudge) else self.net(x)
        if isinstance(self.net, CountJudge):
            return count_loss(logits.float(), labels.view(len(x), -1, self.net.most))
        return label_loss(logits.float(), labels)

    def metrics(self) -> dict:
        folders = {"": self.options.data} | ({"also_": self.options.also} if self.options.also else {})
        return {f"{name}{split}": self._on(load_split(folder, split))
                for name, folder in folders.items() for split in ("validation", "test")}  # fmt: skip

    def _on(self, split: Split) -> dict:
        if split.domain.attributes != self.net.names:
            raise ValueError(f"--also {self.options.also} has the labels {list(split.domain.attributes)}, "
                             f"the judge reads {list(self.net.names)}")  # fmt: skip
        return readings(outputs(self.net, split.images), split.labels, self.net.names)

    def config(self) -> dict:
        return {"kind": "judge", "domain": self.data.domain.name, "resolution": self.data.images.shape[-1]}


class IdentityHead:
    """Whether two pictures show the same group."""

    def __init__(self, options: Identity, device: torch.device):
        self.options, self.device, self.data = options, device, grouped(options.data, SPLIT)
        self.people, back = people_of(self.data.groups, options.kept_back)
        self.rows = torch.nonzero((self.people >= 0) & ~back).squeeze(1)
        if not len(self.rows):
            raise ValueError(
                f"{options.data}: no group has more than --kept-back {options.kept_back} pictures"
            )
        self.n, self.steps = len(self.rows), options.steps
        self.net = IdentityNetwork(
            channels=self.data.images.shape[1], widths=widths_of(options.widths, self.data.images.shape[-1]),
            features=options.features, embedding=options.embedding,
        ).to(device, memory_format=torch.channels_last)  # fmt: skip
        self.centres = nn.Embedding(int(self.people.max()) + 1, options.embedding).to(
            device
        )  # a direction a group
        trained = [*self.net.parameters(), *self.centres.parameters()]
        self.adam = torch.optim.AdamW(trained, options.learning_rate, weight_decay=1e-3)
        self.parts = {"network": self.net, "centres": self.centres, "adam": self.adam}

    rate = LabelHead.rate

    def loss(self, rows: Tensor) -> Tensor:
        rows = self.rows[rows]
        with run.half_precision(self.device):
            embeddings = self.net(augmented(self.data.images[rows].to(self.device), self.options))
        cosines = embeddings.float() @ F.normalize(self.centres.weight, dim=1).T
        return arcface(cosines, self.people[rows].to(self.device), self.options.scale, self.options.margin)

    def metrics(self) -> dict:
        splits = {name: grouped(self.options.data, name) for name in ("validation", "test")}
        splits["known"] = self.data
        return {name: self._on(split) for name, split in splits.items()}

    def _on(self, split: Split) -> dict | None:
        return recognised(outputs(self.net, split.images), *people_of(split.groups, self.options.kept_back))

    def config(self) -> dict:
        return LabelHead.config(self) | {"kind": "identity"}


class CodeHead:
    """Which labels the picture of a code has: F_l of Eq. 5."""

    def __init__(self, options: Codes, device: torch.device):
        self.options, self.device = options, device
        self.codes, self.base = load_codes(options.codes, SPLIT)
        self.names = self.codes.domain.attributes
        self.n = len(self.codes)
        self.per_epoch = -(-self.n // options.batch)
        self.steps = options.epochs * self.per_epoch
        num_ws, w_dim = self.codes.w.shape[1:]
        self.net = LatentClassifier(
            num_ws=num_ws, w_dim=w_dim, outputs=len(self.names), hidden=options.hidden
        ).to(device)
        self.adam = torch.optim.Adam(self.net.parameters(), options.learning_rate, weight_decay=options.decay)
        self.parts = {"classifier": self.net, "adam": self.adam}

    def rate(self, step: int) -> float:
        """PyTorch's StepLR(10, 0.1) as Latent Transformer's authors step it, at the start of each epoch,
        the first one too. So it falls one epoch early: at 0-based 9, and of 20 epochs the last has a
        hundredth."""
        return self.options.learning_rate * 0.1 ** (((step - 1) // self.per_epoch + 1) // 10)

    def loss(self, rows: Tensor) -> Tensor:
        return label_loss(
            self.net(self.codes.w[rows].to(self.device)), self.codes.labels[rows].to(self.device)
        )

    @torch.no_grad()
    def metrics(self) -> dict:
        found = {}
        for split in ("validation", "test"):
            codes, _ = load_codes(self.options.codes, split)
            logits = torch.cat([self.net(part.to(self.device)).cpu() for part in codes.w.split(500)])
            found[split] = readings(logits, codes.labels, self.names)
        return found

    def config(self) -> dict:
        return {"kind": "latent-classifier", "domain": self.codes.domain.name, "names": list(self.names),
                "base_revision": self.base}  # fmt: skip


HEADS = {Labels: LabelHead, Identity: IdentityHead, Codes: CodeHead}


def widths_of(widths: tuple[int, ...], resolution: int) -> tuple[int, ...]:
    """The widths of a judge: above 128 px with narrower levels before them, so that the last map has at
    most 16 px."""
    while resolution / 2 ** len(widths) > 16:
        widths = (max(widths[0] // 2, 8), *widths)
    return widths


# Losses


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy over the known labels. logits: float [N, K]; labels: uint8 [N, K], 1, 0 or
    UNKNOWN."""
    known = labels != UNKNOWN
    each = F.binary_cross_entropy_with_logits(logits, (labels == 1).to(logits.dtype), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def count_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of counts, over groups whose labels are all known.

    logits: float [N, G, most + 1], `CountJudge.counts`, all objects last.
    labels: uint8 [N, G, most], "at least 1, 2, ..., most", all objects first.
    """
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
    """uint8 [N, C, H, W] -> [N, C, H, W] in about [-1, 1]: shifted, some mirrored or with ghosts, darker,
    noisy."""
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
    """Pictures [N, C, H, W], each moved by up to `most` px down or up, right or left; its border is
    repeated."""
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
def outputs(net: Judge | IdentityNetwork, images: Images, batch: int = 100) -> Tensor:
    """What a net says of pictures uint8 [N, C, H, W]: float [N, K], on the CPU."""
    device = next(net.parameters()).device
    parts = (images[start : start + batch] for start in range(0, len(images), batch))
    return torch.cat([net(to_pictures(part, device)).float().cpu() for part in parts])


def readings(logits: Tensor, labels: Tensor, names: tuple[str, ...]) -> dict:
    """Of each label the area under the ROC curve (None if all or no samples have it) and the share read
    right; the share of samples whose known labels are all read right. logits [N, K]; labels uint8 [N, K]."""
    from sklearn.metrics import roc_auc_score  # slow to import, and other stages import this module

    known, truth = labels != UNKNOWN, labels == 1
    right, figures = (logits > 0) == truth, {"auc": {}, "accuracy": {}}
    for k, name in enumerate(names):
        rows = known[:, k]
        both = truth[rows, k].any() and not truth[rows, k].all()
        figures["auc"][name] = float(roc_auc_score(truth[rows, k], logits[rows, k])) if both else None
        figures["accuracy"][name] = right[rows, k].double().mean().item() if rows.any() else None
    return figures | {"all_right": (right | ~known).all(1).double().mean().item(), "n": len(labels)}


def grouped(data: Path, name: str) -> Split:
    """A split of pictures in groups. ValueError if the data set names no groups."""
    split = load_split(data, name)
    if split.groups is None:
        raise ValueError(
            f"{data} has no groups: an identity network needs several pictures of each person or thing"
        )
    return split


def people_of(groups: Tensor, kept_back: int) -> tuple[Tensor, Tensor]:
    """groups int64 [N] -> people int64 [N], 0, 1, ... for groups of more than kept_back pictures and -1
    for the others; and bool [N], the last kept_back pictures of each group."""
    _, ids, sizes = groups.unique(return_inverse=True, return_counts=True)
    order = ids.argsort(stable=True)
    place = torch.empty_like(ids)
    place[order] = torch.arange(len(ids)) - (sizes.cumsum(0) - sizes)[ids[order]]
    numbers = torch.where(sizes > kept_back, (sizes > kept_back).cumsum(0) - 1, -1)
    return numbers[ids], place >= (sizes - kept_back)[ids]


def recognised(embeddings: Tensor, people: Tensor, back: Tensor) -> dict | None:
    """How often a kept-back picture lies nearest to the mean of its own group's other pictures (top_1),
    among how many groups; the cosines of two pictures of one group and of two groups. embeddings [N, D] of
    length 1; None without groups that are large enough."""
    if not (people >= 0).any():
        return None
    order = people.argsort(stable=True)[(people < 0).sum() :]
    embeddings, people, back = embeddings[order], people[order], back[order]
    means = [embeddings[(people == person) & ~back].mean(0) for person in range(int(people.max()) + 1)]
    nearest = (embeddings[back] @ F.normalize(torch.stack(means), dim=1).T).argmax(1)
    figures = {"top_1": (nearest == people[back]).double().mean().item(), "identities": len(means),
               "n": int(back.sum())}  # fmt: skip
    for name, step in (("same", 1), ("other", int(people.bincount().max()))):
        chosen = (people == people.roll(step)) == (name == "same")
        figures[name] = spread((embeddings * embeddings.roll(step, 0)).sum(1)[chosen])
    return figures


def spread(values: Tensor) -> dict | None:
    """Mean of values [N], and the 5% and 95% quantiles; None of no values."""
    if not len(values):
        return None
    low, high = values.quantile(torch.tensor([0.05, 0.95])).tolist()
    return {"mean": values.mean().item(), "low": low, "high": high, "n": len(values)}
