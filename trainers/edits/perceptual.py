"""A perceptual cost, the paper's future work (Sec. 5): distances of codes that predict how different their
pictures look.

The cost of the transport stays 1/2 |x - y|^2, but of L w instead of w. L is the linear map that predicts
best, by least squares, what is seen in a code's picture: the picture itself at several scales, and the
features of a judge. Each of these has the same share of the distances."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lwgan.generator import Generator
from lwgan.judges import Judge
from trainers.codes import Codes
from trainers.measure import BATCH

CODES = 4_000  # training codes whose pictures are looked at, at most
SIDES = (4, 8, 16)  # px, of the pictures that are compared
RIDGE = 1e-3  # of the mean variance of a coordinate of codes


@torch.no_grad()
def perceptual_map(codes: Codes, generator: Generator, perceptor: Path) -> tuple[Tensor, float]:
    """L [num_ws * w_dim, D] and the share of the variance of what is seen that it predicts in held-out codes.

    Codes of unit distance in L w look as different as two pictures of unit distance in all that is seen."""
    judge = Judge.from_pretrained(perceptor)
    w = codes.w[torch.randperm(len(codes), generator=torch.Generator().manual_seed(0))[:CODES]]
    seen = seen_in(w, generator, judge)
    half = len(w) // 2
    x, y = ((part - part.mean(0)).double() for part in (w.flatten(1), seen))
    missed = (y[half:] - x[half:] @ ridge(x[:half], y[:half])).square().sum() / y[half:].square().sum()
    return ridge(x, y).float(), 1 - missed.item()


def ridge(x: Tensor, y: Tensor) -> Tensor:
    """The linear map [K, D] from centred x [N, K] to centred y [N, D]."""
    gram = x.T @ x
    return torch.linalg.solve(gram + RIDGE * gram.diagonal().mean() * torch.eye(len(gram)).to(x), x.T @ y)


def seen_in(w: Tensor, generator: Generator, judge: Judge) -> Tensor:
    """Of codes [N, num_ws, w_dim] the pictures at all SIDES and the judge's features, each of variance 1:
    [N, D]."""
    parts = []
    for batch in w.split(BATCH):
        x = generator.synthesis(batch)
        parts.append([*(F.adaptive_avg_pool2d(x, side).flatten(1) for side in SIDES), judge.features(x)])
    columns = [torch.cat(column) for column in zip(*parts, strict=True)]
    return torch.cat([column / column.var(0).sum().sqrt() for column in columns], 1)
