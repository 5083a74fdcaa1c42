"""Stage 3: judges on pictures. Train two, with different --seed and --widths: a selector and the judge.

    python -m trainers classifiers --data ../runs/data --run ../runs/judge --seed 1

The judge is trained on real pictures of the training digits and tested on pictures of MNIST's test digits.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from lwgan.hub import registry
from lwgan.judges import DigitJudge
from trainers import run
from trainers.data import load_pictures

SPLIT = "train"  # what judges learn from, and say that they did: `evaluate` takes no others


@dataclass(frozen=True)
class Options:
    """Train a judge: which digits a picture holds, and how many."""

    data: Path
    """Folder that `python -m trainers data` wrote."""
    run: Path
    """Folder of this run; an unfinished run there is resumed."""
    widths: tuple[int, ...] = (32, 64, 128)
    """Widths at H/2, H/4, H/8 px."""
    features: int = 128
    steps: int = 3_000
    batch: int = 128
    learning_rate: float = 2e-3
    noise: float = 0.05
    """Training pictures get noise of up to this standard deviation. Up to, as clean ones must be known too: with all of them equally
    noisy and ghosts about, one judge read digits into backgrounds that were exactly black."""
    contrast: float = 0.3
    """Training pictures lose up to this share of their contrast."""
    ghosts: float = 0.35
    """Half of the training pictures get another picture's digits into their blank quarters, with up to this share of their brightness,
    and count none of them: a faint outline is no digit."""
    seed: int = 1
    checkpoint_steps: int = 250
    device: str = "auto"
    max_minutes: float | None = None
    """Stop at a checkpoint after this long; repeat the command to go on."""


def main(options: Options) -> None:
    pictures = load_pictures(options.data, SPLIT)
    images, answers = torch.from_numpy(pictures.images), torch.from_numpy(pictures.numbers).long()
    answers = torch.cat(
        [answers, answers.sum(1, keepdim=True)], 1
    )  # the count is the judge's eleventh answer
    run.start(options.run, options)
    device = run.device_of(options.device)
    torch.manual_seed(options.seed)
    judge = DigitJudge(widths=options.widths, features=options.features).to(
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
        loss = F.cross_entropy(logits.float().flatten(0, 1), answers[rows].to(device).flatten())
        adam.zero_grad()
        loss.backward()
        adam.step()

        stop = options.max_minutes is not None and time.monotonic() - began > 60 * options.max_minutes
        if step % options.checkpoint_steps == 0 or step == options.steps or stop:
            run.log(options.run, step=step, loss=loss.item())
            run.save_checkpoint(options.run, step=step, judge=judge.state_dict(), adam=adam.state_dict())
        if stop:
            return

    judge.eval()
    metrics = {
        f"{split}_{name}": value
        for split in ("validation", "test")
        for name, value in accuracy(judge, options.data, split).items()
    }
    config = {
        "kind": "judge",
        "domain": "multimnist",
        "architecture": judge.config,
        "metrics": metrics,
        "training": run.as_json(options) | {"split": SPLIT},
    }
    registry.save_folder(options.run, config, judge.state_dict())
    print(metrics)


def augmented(images: Tensor, options: Options) -> Tensor:
    """uint8 [N, H, W] -> [N, 1, H, W] in about [-1, 1], some with ghosts, with less contrast and some noise."""
    pictures = images[:, None].float() / 127.5
    share = lambda: torch.rand(len(pictures), 1, 1, 1, device=images.device)
    faintness = options.ghosts * share() * (share() < 0.5)
    pictures = torch.where(blank_quarters(pictures), faintness * pictures.roll(1, 0), pictures)
    pictures = pictures * (1 - options.contrast * share()) - 1
    return pictures + options.noise * share() * torch.randn_like(pictures)


def blank_quarters(pictures: Tensor) -> Tensor:
    """bool [N, 1, H, W]: where a quarter of the picture (a cell of the layout `cells`) holds nothing."""
    side = pictures.shape[-1] // 2
    blank = F.max_pool2d(pictures, side) == 0
    return blank.repeat_interleave(side, 2).repeat_interleave(side, 3)


def accuracy(judge: DigitJudge, data: Path, split: str) -> dict[str, float]:
    """How often the judge is right on real pictures of a split: count, and every digit of the picture."""
    pictures = load_pictures(data, split)
    x = torch.from_numpy(pictures.images)[:, None].float() / 127.5 - 1
    numbers = torch.from_numpy(pictures.numbers).long()
    device = next(judge.parameters()).device
    readings = [judge.read(part.to(device)) for part in x.split(500)]
    count, read = (
        torch.cat([getattr(reading, name) for reading in readings]).cpu() for name in ("count", "numbers")
    )
    return {
        "count_accuracy": (count == numbers.sum(1)).float().mean().item(),
        "digits_accuracy": (read == numbers).all(1).float().mean().item(),
        "n": len(x),
    }
