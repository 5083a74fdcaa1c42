"""sampled:GENERATOR?judge=JUDGE: pictures that a generator draws, with the labels that a judge reads in them.

So edits can be learned without a labelled data set (omertov/encoder4editing, issue 12). What the judge reads
wrongly is learned wrongly, and figures that the same judge gives flatter the edits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from lwgan.devices import device_of
from lwgan.domain import Domain, default_changes, domain_from_json
from lwgan.frames import FRAMES
from lwgan.generator import Generator
from lwgan.images import to_uint8
from lwgan.judges import Judge
from trainers.datasets.base import Dataset, Part
from trainers.shards import SPLITS

BATCH = 8  # pictures that are drawn at a time: at 1024 px more exceed a CPU's caches
SEEDS = 2**28  # rows of a split at most: each row of each split has a seed, of which torch takes 32 bits


@dataclass
class Sampled(Dataset):
    """Pictures drawn by a generator, labelled by a judge, both model folders or repositories of the Hub."""

    place: str = ""
    judge: str = ""
    """The judge, if `place` does not name it."""
    resolution: int = 256
    train: int = 8_000
    heldout: int = 1_000
    truncation: float = 1.0
    """0 to 1: how near to the mean code (psi). Less gives fewer odd pictures, and fewer rare labels."""
    changes: tuple[str, ...] = ()
    """Changes that the page offers; by default the generator's, else each label and its opposite."""
    device: str = "auto"

    def __post_init__(self):
        generator, _, judge = self.place.partition("?judge=")
        self.judge = judge or self.judge
        if not self.judge:
            raise ValueError(f"sampled:{self.place} names no judge: sampled:GENERATOR?judge=JUDGE")
        self._generator = Generator.from_pretrained(generator)
        self._judge = Judge.from_pretrained(self.judge)
        self.channels, self.parallel = self._generator.config["img_channels"], False
        self.domain = self._domain()
        weights = [net.card_config["weights"]["sha256"] for net in (self._generator, self._judge)]
        self.facts = dict(zip(("drawn_by", "labelled_by"), weights, strict=True))

    def _domain(self) -> Domain:
        config, names = self._generator.card_config, tuple(self._judge.names)
        if config.get("domain_spec") is None:
            raise ValueError(f"sampled:{self.place}: the generator does not say what it draws (domain_spec)")
        domain = domain_from_json(config["domain_spec"], "domain_spec of the generator", tuple(FRAMES))
        changes = domain.changes if set(domain.attributes) <= set(names) else ()
        domain = replace(domain, attributes=names, changes=changes or default_changes(names))
        if self.changes:
            domain = replace(domain, changes=tuple(map(domain.change, self.changes)))
        return domain

    def read(self, split: str, rows: range) -> Part:
        parts = [self._drawn(split, rows[at : at + BATCH]) for at in range(0, len(rows), BATCH)]
        images, labels = (torch.cat(each) for each in zip(*parts, strict=True))
        return Part(images, labels)

    @torch.no_grad()
    def _drawn(self, split: str, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """uint8 [n, C, H, W] and labels uint8 [n, K] of some rows."""
        generator, judge = self._nets
        z = torch.stack([self._z(split, row) for row in rows]).to(generator.mapping.w_avg.device)
        x = generator(z, truncation_psi=self.truncation).clamp(-1, 1)
        labels = judge.read(x).to(torch.uint8).cpu()
        side = (self.resolution, self.resolution)
        if x.shape[-1] != self.resolution:
            x = F.interpolate(x, side, mode="bicubic", antialias=True)
        images = torch.from_numpy(to_uint8(x))
        return (images[:, None] if self.channels == 1 else images.permute(0, 3, 1, 2)), labels

    def _z(self, split: str, row: int) -> Tensor:
        """The z of a row does not depend on how many there are, nor on how they are divided into shards."""
        drawn = torch.Generator().manual_seed(SEEDS * (1 + SPLITS.index(split)) + row)
        return torch.randn(self._generator.z_dim, generator=drawn)

    @cached_property
    def _nets(self) -> tuple[Generator, Judge]:
        device = device_of(self.device)
        return self._generator.to(device), self._judge.to(device)

    def made_of(self, split: str, rows: range) -> str:
        return repr((self.facts, self.resolution, self.truncation, split, rows))
