"""The loop of every stage that trains: counts steps, resumes, logs, saves checkpoints, stops in time."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from trainers import run
from trainers.nets.parallel import agree, place


class Loop:
    """`for step in Loop(...)` yields the numbers of the steps that a run still has to do, up to `steps`.

        loop = Loop(folder, {"net": net, "adam": adam}, steps=100, every=10)
        for step in loop:
            ...                  # one step of training
            loop.log(loss=loss)
            if loop.due:
                ...              # save the model so far

    parts: the modules and optimizers that train. A checkpoint holds their states; `Loop` restores them.
    every: steps from one checkpoint to the next.
    max_minutes: the run stops at a checkpoint after this long; the same command resumes it.

    Of processes that train together only the first one writes. Each step starts from a random state that
    follows from the seed, the step and the number of the process alone. So a resumed run does
    the same as one that was never stopped.
    `due`: whether a checkpoint follows the current step.  `finished`: whether all steps are done."""

    def __init__(
        self, folder: Path, parts: dict[str, Any], *, steps: int, every: int, seed: int = 0,
        max_minutes: float | None = None, title: str = "steps",
    ):  # fmt: skip
        self.folder, self.parts, self.steps, self.every = folder, parts, steps, every
        self.seed, self.max_minutes, self.title, self.rank = seed, max_minutes, title, place()[0]
        self.due = False
        self.step = restore(folder, parts) if (folder / "checkpoint.pt").exists() else 0

    @property
    def finished(self) -> bool:
        return self.step >= self.steps

    def __iter__(self) -> Iterator[int]:
        end = None if self.max_minutes is None else time.monotonic() + 60 * self.max_minutes
        bar = tqdm(range(self.step + 1, self.steps + 1), self.title, total=self.steps, initial=self.step,
                   disable=self.rank > 0, mininterval=5)  # fmt: skip
        for self.step in bar:
            torch.manual_seed(hash((self.seed, self.step, self.rank)))
            last = self.step == self.steps or agree(end is not None and time.monotonic() > end)
            self.due = self.rank == 0 and (last or self.step % self.every == 0)
            yield self.step
            if self.due:
                states = {name: part.state_dict() for name, part in self.parts.items()}
                run.save_checkpoint(self.folder, step=self.step, **states)
            if last:
                return

    def log(self, **values: Any) -> None:
        """Writes numbers or tensors of one number to log.jsonl if a checkpoint is due. ValueError, and no
        checkpoint, for NaN and infinity."""
        if self.due:
            plain = {name: torch.as_tensor(value).item() for name, value in values.items()}
            check_finite(self.step, **plain)
            run.log(self.folder, step=self.step, **plain)


def check_finite(step: int, **values: float) -> None:
    """ValueError for a value that is NaN or infinite."""
    for name, value in values.items():
        if not math.isfinite(value):
            hint = "lower the learning rate; what was saved before stays"
            raise ValueError(f"the training failed: {name} is {value} at step {step}: {hint}")


def restore(folder: Path, parts: dict[str, Any]) -> int:
    """Gives modules and optimizers their states of a run's checkpoint; returns its step. Parts that it lacks
    stay as they are. FileNotFoundError without a checkpoint, ValueError if it is damaged or does not fit."""
    state = run.load_checkpoint(folder)
    if state is None:
        raise FileNotFoundError(f"{folder} holds no checkpoint.pt to start from")
    for name in parts.keys() & state.keys():
        try:
            parts[name].load_state_dict(state[name])
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{folder}/checkpoint.pt does not fit: {name}: {error}") from error
    return state["step"]


def ramp(step: int, steps: int, warm_up: int, decay: float) -> float:
    """Factor of the learning rate: rises over `warm_up` steps, falls to zero over the last share `decay`."""
    return min(step / warm_up, 1.0, (steps - step + 1) / (decay * steps))
