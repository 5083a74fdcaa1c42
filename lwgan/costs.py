"""Eqs. 4-5: the spaces in which the ground cost c_ij is half a squared distance, 1/2 |u_i - v_j|^2.

So one `losses.wasserstein` serves both: Eq. 4 in the space of codes, Eq. 5 in the space
phi_l = sqrt(1 - gamma_lk) F_l(w) of scaled attribute logits.
"""

import torch
from torch import Tensor

MEDIAN_SAMPLES = 1000  # points of each cloud: their 10^6 distances give the median to about .1%


def latent_space(w: Tensor) -> Tensor:
    """Eq. 4: codes [N, num_ws, w_dim] -> points [N, num_ws * w_dim]."""
    return w.flatten(1)


def attribute_space(logits: Tensor, gamma: Tensor) -> Tensor:
    """Eq. 5: logits F_l(w) [N, K] and correlations gamma_lk [K] with the edited attribute k -> points [N, K].

    1/2 |phi(x) - phi(y)|^2 = 1/2 sum_l (1 - gamma_lk) |F_l(x) - F_l(y)|^2. gamma_kk = 1: k drops out."""
    if logits.ndim != 2 or gamma.shape != logits.shape[1:]:
        shapes = f"logits of shape {tuple(logits.shape)} and gamma of {tuple(gamma.shape)}"
        raise ValueError(f"{shapes}: expected [N, K] and [K]")
    if not ((gamma >= 0) & (gamma <= 1 + 1e-6)).all():
        reach = f"from {gamma.min().item():g} to {gamma.max().item():g}"
        raise ValueError(f"gamma reaches {reach}: absolute correlations lie in [0, 1]")
    return (1 - gamma).clamp(min=0).sqrt().to(logits) * logits


def correlations(labels: Tensor, known: Tensor | None = None) -> Tensor:
    """gamma_lk: absolute correlation of attributes l and k over labels [N, K] -> float64 [K, K], 1 for l = k.

    known: bool [N, K]; a pair of attributes is compared on the samples where both are known. Default: all.
    An attribute that is constant there is correlated with no other."""
    labels = torch.as_tensor(labels)
    if labels.ndim != 2 or len(labels) < 2:
        raise ValueError(f"labels have shape {tuple(labels.shape)}, expected [N, K] with N >= 2")
    known = (torch.ones_like(labels) if known is None else known).double()
    x = labels.double() * known
    n, totals = (known.T @ known).clamp(min=1), x.T @ known  # [l, k]: over the samples where both are known
    covariance = x.T @ x - totals * totals.T / n
    variance = x.square().T @ known - totals.square() / n
    scale = (variance * variance.T).clamp(min=0).sqrt()
    gamma = torch.where(scale > 1e-9 * n, covariance / scale, 0.0)
    return gamma.abs().clamp(max=1).fill_diagonal_(1)


@torch.no_grad()
def median_distance(x: Tensor, y: Tensor) -> float:
    """The median distance between points x [N, D] and y [M, D], the unit in which a blur is chosen. Of large
    clouds, MEDIAN_SAMPLES evenly spaced points are used."""
    x, y = (points[:: -(-len(points) // MEDIAN_SAMPLES)] for points in (x, y))
    centre = y.mean(0)
    return torch.cdist(x - centre, y - centre).median().item()
