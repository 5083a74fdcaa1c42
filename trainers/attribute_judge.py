"""Stage 3 of faces: judges that read 41 attributes in a picture. Train two, with different --seed and --widths: a selector and the judge.

    python -m trainers attribute-judge --data ../runs/judges --run ../runs/attribute-judge --seed 1 --also ../runs/faces/data
    python -m trainers attribute-judge --data ../runs/judges --run ../runs/attribute-selector --seed 2 --widths 32 64 128

They learn from pictures in which attributes hardly correlate and rare ones are not rare (`data --bias 0 --flat 0.5`): where nearly all who
wear lipstick are women, a judge would take the one for the other. The published weights, in half precision, have under 2 MB.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from lwgan.hub import registry
from lwgan.judges import AttributeJudge
from trainers import run
from trainers.classifiers import SPLIT
from trainers.data import load_images, load_labels
from trainers.nets.generator import to_pictures


@dataclass(frozen=True)
class Options:
    """Train a judge of faces: which of the labelled attributes a picture shows."""

    data: Path
    """Folder that `python -m trainers data --domain synthfaces` wrote."""
    run: Path
    """Folder of this run; an unfinished run there is resumed."""
    also: Path | None = None
    """Folder of other pictures to measure the judge on too: those that edits are to be tried on."""
    widths: tuple[int, ...] = (48, 64, 128)
    """Widths at H/2, H/4, H/8 px."""
    features: int = 128
    steps: int = 2_500
    batch: int = 128
    learning_rate: float = 2e-3
    noise: float = 0.05
    """Training pictures get noise of up to this standard deviation."""
    contrast: float = 0.2
    """Training pictures lose up to this share of their contrast."""
    shift: int = 2
    """Training pictures move by up to so many px, each way; half of them are mirrored."""
    seed: int = 1
    checkpoint_steps: int = 250
    device: str = "auto"
    max_minutes: float | None = None
    """Stop at a checkpoint after this long; repeat the command to go on."""


def main(options: Options) -> None:
    (images, domain), (labels, names) = load_images(options.data, SPLIT), load_labels(options.data, SPLIT)
    run.start(options.run, options)
    device = run.device_of(options.device)
    torch.manual_seed(options.seed)
    judge = AttributeJudge(names=names, widths=options.widths, features=options.features).to(
        device, memory_format=torch.channels_last
    )
    adam = torch.optim.AdamW(judge.parameters(), options.learning_rate, weight_decay=1e-3)
    step = 0
    if state := run.load_checkpoint(options.run):
        step = state["step"]
        judge.load_state_dict(state["judge"])
        adam.load_state_dict(state["adam"])

    began = time.monotonic()
    for step in tqdm(
        range(step + 1, options.steps + 1), "judge", total=options.steps, initial=step, mininterval=5
    ):
        torch.manual_seed(hash((options.seed, step)))
        rows = torch.randint(len(images), (options.batch,))
        adam.param_groups[0]["lr"] = options.learning_rate * min(
            step / 100, 1.0, (options.steps - step + 1) / (0.7 * options.steps)
        )
        with run.half_precision(device):
            logits = judge(augmented(images[rows].to(device), options))
        loss = F.binary_cross_entropy_with_logits(logits.float(), labels[rows].to(device).float())
        adam.zero_grad()
        loss.backward()
        adam.step()

        stop = options.max_minutes is not None and time.monotonic() - began > 60 * options.max_minutes
        if step % options.checkpoint_steps == 0 or step == options.steps or stop:
            run.log(options.run, step=step, loss=loss.item())
            run.save_checkpoint(options.run, step=step, judge=judge.state_dict(), adam=adam.state_dict())
        if stop:
            return

    judge.eval().half().float()  # measured as it is published
    metrics = {f"{split}_auc": auc_on(judge, options.data, split) for split in ("validation", "test")}
    if options.also:
        metrics |= {
            f"also_{split}_auc": auc_on(judge, options.also, split) for split in ("validation", "test")
        }
    config = {
        "kind": "attribute-judge", "domain": domain, "resolution": images.shape[1], "architecture": judge.config, "metrics": metrics,
        "training": run.as_json(options) | {"split": SPLIT},
    }  # fmt: skip
    registry.save_folder(options.run, config, judge.state_dict(), dtype="float16")
    for name, value in sorted(metrics["validation_auc"].items(), key=lambda item: item[1] or 0):
        print(f"{name:20} {value if value is None else round(value, 4)}")


def augmented(images: Tensor, options: Options) -> Tensor:
    """uint8 [N, H, W, 3] -> [N, 3, H, W] in about [-1, 1]: shifted, some mirrored, with less contrast and some noise."""
    pictures = to_pictures(shifted(images, options.shift), images.device)
    share = lambda: torch.rand(len(pictures), 1, 1, 1, device=images.device)
    pictures = torch.where(share() < 0.5, pictures, pictures.flip(3)) * (1 - options.contrast * share())
    return pictures + options.noise * share() * torch.randn_like(pictures)


def shifted(images: Tensor, most: int) -> Tensor:
    """Pictures [N, H, W, 3], each moved by up to `most` px down or up, right or left; its outermost pixels go on beyond its edge."""
    n, height, width, _ = images.shape
    down, right = torch.randint(-most, most + 1, (2, n, 1), device=images.device)
    rows = (torch.arange(height, device=images.device) + down).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + right).clamp(0, width - 1)
    return images[torch.arange(n, device=images.device)[:, None, None], rows[:, :, None], columns[:, None, :]]


def auc_on(judge: AttributeJudge, data: Path, split: str) -> dict[str, float | None]:
    """Each attribute's AUC on the pictures of a split. ValueError for pictures labelled with other attributes."""
    (images, _), (labels, names) = load_images(data, split), load_labels(data, split)
    if names != judge.names:
        raise ValueError(f"{data} is labelled with {list(names)}, the judge reads {list(judge.names)}")
    return auc(logits_of(judge, images), labels, names)


@torch.no_grad()
def logits_of(judge: AttributeJudge, images: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] -> logits [N, K], on the CPU."""
    device = next(judge.parameters()).device
    return torch.cat([judge(to_pictures(part, device)).cpu() for part in images.split(100)])


def auc(logits: Tensor, labels: Tensor, names: tuple[str, ...]) -> dict[str, float | None]:
    """The area under each attribute's ROC curve. logits, labels: [N, K]; None for an attribute that all have, or none."""
    return {
        name: area(found, truth.bool()) for name, found, truth in zip(names, logits.T, labels.T, strict=True)
    }


def area(scores: Tensor, truth: Tensor) -> float | None:
    """How often a true case has a higher score than a false one, equal ones counting half: by the sum of its ranks (Mann and Whitney, 1947).
    scores, truth: [N]."""
    _, level, sizes = scores.unique(return_inverse=True, return_counts=True)
    ranks = (sizes.cumsum(0) - (sizes - 1) / 2).double()[level]
    n, m = int(truth.sum()), int((~truth).sum())
    return ((ranks[truth].sum() - n * (n + 1) / 2) / (n * m)).item() if n and m else None
