"""What the residual of the reconstruction does to edits (`lwgan.whole.put_back`), read by a bundled judge.

    python -m trainers.evaluate.residual DOMAIN --report docs/results/residual.md

Each sample picture of the domain stands for a photograph whose frame is the whole picture. Original pictures
are read before the edit, the results of put_back after it, at strength 1 and at each residual."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image
from tyro.conf import Positional

from lwgan import EditingPipeline
from lwgan.files import atomic
from lwgan.metrics import identity_preservation, readings
from lwgan.readings import psnr
from lwgan.whole import Photograph, put_back

RESIDUALS = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Options:
    domain: Positional[str]
    """A domain of the registry with samples, a judge and an identity network."""
    report: Path
    """Markdown file to write."""
    edits: tuple[str, ...] = ()
    """Edits; by default all."""
    registry: str = "bundled"


def main(options: Options) -> None:
    pipe = EditingPipeline.from_pretrained(options.registry, options.domain)
    if pipe.images is None or pipe.judge is None or pipe.identity is None:
        raise ValueError(f"{options.domain} needs samples, a judge and an identity network")
    head = [
        "| edit | residual | target change | others kept | identity | PSNR without edit, dB |",
        "|---" * 6 + "|",
    ]
    lines = [row for name in options.edits or pipe.edits for row in rows(pipe, name)]
    with atomic(options.report) as partial:
        partial.write_text("\n".join([*head, *lines, ""]), "utf-8")


def rows(pipe: EditingPipeline, name: str) -> list[str]:
    """A row for each residual, of the samples that the change is for."""
    change, alpha = pipe.changes[name], pipe.scales[name].alpha(1.0)
    originals = [pipe.sample(seed).convert("RGB") for seed in pipe.seeds_of(change)]
    if not originals:
        return []
    shown = [Photograph(picture, (corners(picture),), 0, picture) for picture in originals]
    w = pipe.encode(originals)
    before, after = pipe.generate(w), pipe.generate(pipe.edit(w, {name: alpha}))
    found = []
    for residual in RESIDUALS:
        edited = [put_back(*each, residual) for each in zip(shown, before, after, strict=True)]
        same = [put_back(*each, residual) for each in zip(shown, before, before, strict=True)]
        dark = [psnr(*pair) for pair in zip(originals, same, strict=True)]
        loss = "the same" if np.isinf(dark).all() else f"{np.mean(dark):.1f}"
        figures = " | ".join(f"{value:.3f}" for value in measured(pipe, originals, edited, change))
        found.append(f"| {name} | {residual:g} | {figures} | {loss} |")
    return found


@torch.no_grad()
def measured(
    pipe: EditingPipeline, before: list[Image.Image], after: list[Image.Image], change
) -> list[float]:
    """Target change, others kept, identity: means over pictures."""
    x, y = pipe.as_generated(before), pipe.as_generated(after)
    seen = readings(pipe.judge.read(x), pipe.judge.read(y), pipe.judge.names, change)
    kept = identity_preservation(pipe.identity(x), pipe.identity(y))
    figures = seen["target_change"], seen["others_kept"], kept
    return [values.double().mean().item() for values in figures]


def corners(picture: Image.Image) -> np.ndarray:
    """The whole picture as a frame [4, 2]."""
    width, height = picture.size
    return np.array([(0, 0), (0, height), (width, height), (width, 0)]) - 0.5


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
