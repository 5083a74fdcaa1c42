"""Locks: the part of an edit's step that would change locked labels is taken out.

    s' = s - G^T (G G^T)^-1 (R(w + s) - R(w))      with R(w) = (F_1(w), ..., <b_1, w>, ...)

s = w' - w is the step of all edits together, s' the nearest step that leaves R unchanged. R reads what is
locked: logits of F, the classifier of codes (Eq. 5), and, for labels that F does not know, how far a code
lies along the direction b of a taught edit. G [K, D] is the Jacobian of R at w + s. For a linear R the
formula projects s onto the null space of G. F is not quite linear, so it is applied ROUNDS times.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

ROUNDS = 3
RIDGE = 1e-4  # of the mean of G G^T's diagonal: F may read two labels alike, and G G^T is then singular


def reading(f: Callable | None, columns: Sequence[int], directions: Sequence[Tensor]) -> Callable:
    """R: codes w [N, num_ws, w_dim] -> [N, K]: logits of these columns of f, then the coordinates of w along
    directions [num_ws, w_dim]."""

    def read(w: Tensor) -> Tensor:
        logits = [f(w)[:, list(columns)]] if columns else []
        along = [(w * b / b.norm()).sum((1, 2))[:, None] for b in directions]
        return torch.cat([*logits, *along], 1)

    return read


@torch.inference_mode(False)
@torch.enable_grad()
def keep(read: Callable, w: Tensor, edited: Tensor) -> Tensor:
    """The codes nearest to `edited` [N, num_ws, w_dim] for which `read` gives what it gives for w."""
    w, edited = w.clone(), edited.clone()  # tensors of the inference mode take no gradients
    wanted = read(w).detach()
    for _ in range(ROUNDS):
        at = edited.requires_grad_()
        now = read(at)
        rows = [torch.autograd.grad(column.sum(), at, retain_graph=True)[0] for column in now.unbind(1)]
        g = torch.stack(rows, 1).flatten(2)  # [N, K, D]
        gram = g @ g.mT
        ridge = RIDGE * gram.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)
        gram = gram + ridge[:, None, None] * torch.eye(gram.shape[1])
        share = torch.linalg.solve(gram, (now.detach() - wanted)[..., None])  # [N, K, 1]
        edited = edited.detach() - (g.mT @ share).view_as(edited)
    return edited


def cost(read: Callable, w: Tensor, edited: Tensor, locked: Tensor) -> Tensor:
    """How much of an edit its locks take away, [N, K]: the share of the change of `read` from w to `edited`
    that is missing in `locked`. 0: nothing is missing, 1: all of it; NaN where the edit changes nothing."""
    was, full, left = (read(codes) for codes in (w, edited, locked))
    return torch.where((full - was).abs() < 1e-6, torch.nan, 1 - (left - was) / (full - was))
