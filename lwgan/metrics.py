"""What is measured (Sec. 4.2, and the digits' own figures). Small pure functions on readings and features."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Rate(NamedTuple):
    """A share `value` of `n` cases, with its 95% Wilson interval [low, high]."""

    value: float
    low: float
    high: float
    n: int


def rate(hits: Tensor) -> Rate:
    """The share of true entries of a bool [N], with Wilson's (1927) 95% interval; ValueError when N = 0."""
    n = hits.numel()
    if n == 0:
        raise ValueError("a rate of no cases at all was asked for")
    p, z = hits.float().mean().item(), 1.959964
    centre, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Rate(p, max(0.0, (centre - spread) / (1 + z * z / n)), min(1.0, (centre + spread) / (1 + z * z / n)), n)


def target_change(before: Tensor, after: Tensor, asked: int) -> Tensor:
    """Sec. 4.2, for counts: bool [N], the picture read asked - 1 digits before the edit and reads `asked` after it."""
    return (before == asked - 1) & (after == asked)


def digits_kept(truth: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Attribute preservation for digits: bool [N], every true digit that the reconstruction still shows is there after the edit.

    truth, before, after: [N, 10], how many of each digit. A digit that the encoder lost already is not the edit's fault.
    """
    return (after >= torch.minimum(truth, before)).all(1)


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """Squared Frechet distance of two Gaussians fitted to features [N, D], [M, D] (Heusel et al., 2017)."""
    x, y = x.double(), y.double()
    cx, cy = torch.cov(x.T), torch.cov(y.T)
    # tr sqrt(cx cy) by the symmetric form: the eigenvalues of sqrt(cx) cy sqrt(cx) are those of cx cy.
    values, vectors = torch.linalg.eigh(cx)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cy @ root).clamp(min=0).sqrt().sum()
    return ((x.mean(0) - y.mean(0)).square().sum() + cx.trace() + cy.trace() - 2 * cross).item()


def relative_frechet_distance(fake: Tensor, real: Tensor) -> float:
    """The Frechet distance as a share of the real features' total variance: 0 is perfect, 1 is hopeless."""
    return frechet_distance(fake, real) / torch.cov(real.double().T).trace().item()
