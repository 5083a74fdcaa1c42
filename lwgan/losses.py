"""Eqs. 3-5: the Wasserstein loss and what it is applied to. And partial transport, which is not in the paper.

    L = L_edit + lambda L_pres
    L_edit = W(mu'_s, mu_t) in the space of codes,    L_pres = W(mu'_s, mu_s) in the space of attributes

mu_s, mu_t: codes without and with the attribute; mu'_s: the edited codes. (One of the paper's two texts
prints L_pres = W(mu_s, mu_t), which no edit could change.)"""

import math

import torch
from geomloss import SamplesLoss
from torch import Tensor

from lwgan.costs import attribute_space, latent_space

MASS_TOLERANCE = 1e-4


def wasserstein(
    x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None, *,
    blur: float, scaling: float = 0.9,
) -> Tensor:  # fmt: skip
    """Eq. 3: debiased Sinkhorn divergence between sum_i a_i delta(x_i) and sum_j b_j delta(y_j); a scalar.

    x [N, D], y [M, D]: points. The cost is 1/2 |x - y|^2.
    a [N], b [M]: masses that sum to 1; None: all equal.
    blur: a length in the units of x. Far below the distances between points the result is the exact transport
    cost, far above them 1/2 |mean x - mean y|^2.
    scaling: in (0, 1). GeomLoss multiplies the blur by it from step to step until it has come down to `blur`,
    and stops there, converged or not. The value is within 1% all the same. The gradient is not: on codes of
    digits, at the default .9, it is 26 to 36% off for a blur of .03 to .05 of the median distance, and 1.5%
    for .3. At .03 it is 10% off for a scaling of .98 and 4% for .99, which take 4 and 10 times as long. For a
    blur near 0 `partial_transport` of as many targets as codes is the converged limit, and far quicker.

    Bias: between two batches of one law the divergence is smaller if one of them is shrunk about its mean. On
    codes of digits it is least at .6 of the width for a blur of .03 of the median distance, at .8 for .3, at
    .9 for 1. Edits learned from batches therefore shrink the cloud; larger batches lessen it.
    The gradient is of first order only. ValueError names what is wrong with an argument."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or 0 in (*x.shape, *y.shape):
        shapes = f"x has shape {tuple(x.shape)} and y {tuple(y.shape)}"
        raise ValueError(f"{shapes}: expected [N, D] and [M, D], none of them 0")
    if not 0 < scaling < 1:
        raise ValueError(f"scaling is {scaling}: expected a number between 0 and 1")
    # The cost is computed as |x|^2 - 2 xy + |y|^2, which around the origin loses the fewest digits.
    centre = (x.detach().mean(0) + y.detach().mean(0)) / 2
    x, y = x - centre, y - centre
    diameter = _diameter(x, y)
    least = 0.1 * diameter * torch.finfo(x.dtype).eps ** 0.5  # below it the gradient is lost in rounding
    if not (0 < blur < math.inf and blur >= least):
        raise ValueError(f"blur is {blur:g}: expected > 0 and, for {x.dtype}, at least {least:.2g}")
    a, b = _masses("a", a, x), _masses("b", b, y)
    schedule = {"blur": blur, "scaling": scaling, "diameter": max(diameter, blur)}
    divergence = SamplesLoss("sinkhorn", p=2, debias=True, backend="tensorized", **schedule)
    # GeomLoss leaves gradients switched on: restore what was set.
    with torch.set_grad_enabled(torch.is_grad_enabled()):
        return divergence(a, x, b, y)


def partial_transport(edited: Tensor, target: Tensor, skip: float = 0.0) -> Tensor:
    """Partial transport cost from edited codes x [B, num_ws, w_dim] to targets y [M, num_ws, w_dim].

        L = min over P >= 0 of sum_ij P_ij 1/2 |x_i - y_j|^2 / (1 - skip)
        with sum_j P_ij <= 1/B,  sum_i P_ij <= 1/B,  sum_ij P_ij = 1 - skip

    A target takes at most kappa = M / B >= 1 times its share 1/M. kappa = 1 is the exact W2 of Eq. 4, without
    blur. With kappa > 1 the targets need not be covered evenly: an edit may choose among them. With a large
    kappa each code goes to its nearest target. skip, in [0, 1): the fraction of edited codes, the most
    expensive ones, that goes nowhere. The value has the units of Eq. 4: squared codes.

    The optimum is a rectangular assignment s, exact by scipy's linear_sum_assignment. With s held fixed, the
    gradient of mean_i 1/2 |x_i - y_s(i)|^2 is the gradient of L (envelope theorem).
    Sources: A. Figalli, "The optimal partial transport problem" (2010); L. Caffarelli and R. McCann, "Free
    boundaries in optimal transport and Monge-Ampere obstacle problems" (2010).
    ValueError for other shapes, M < B, skip out of range, and codes that hold NaN or infinity."""
    if edited.ndim != 3 or edited.shape[1:] != target.shape[1:] or 0 in edited.shape:
        raise ValueError(f"edited has shape {tuple(edited.shape)} and target {tuple(target.shape)}: "
                         "expected [B, num_ws, w_dim] and [M, num_ws, w_dim]")  # fmt: skip
    if len(target) < len(edited):
        raise ValueError(f"{len(target)} target codes for {len(edited)} edited codes: expected no fewer")
    skipped = round(skip * len(edited))
    if not 0 <= skip < 1 or skipped == len(edited):
        raise ValueError(f"skip is {skip}: expected a fraction in [0, 1) that leaves some codes")
    rows, columns = _assignment(edited.detach(), target.detach(), skipped)
    return (edited[rows] - target[columns]).square().sum((1, 2)).mean() / 2


def _assignment(x: Tensor, y: Tensor, skipped: int) -> tuple[Tensor, Tensor]:
    """The rows of x and of y that the cheapest assignment pairs; `skipped` rows of x stay alone."""
    from scipy.optimize import linear_sum_assignment  # takes half a second, and only learning needs it

    centre = y.mean(0)
    x, y = x - centre, y - centre
    norm = x.square().sum((1, 2))[:, None] + y.square().sum((1, 2))[None]
    if (y == y[:, :1]).all():  # an encoder into W: the same product from a single layer
        cost = norm / 2 - x.sum(1) @ y[:, 0].T
    else:
        cost = norm / 2 - x.flatten(1) @ y.flatten(1).T
    if not cost.isfinite().all():
        raise ValueError("codes hold NaN or infinite values")
    # Dummy targets, cheaper than all others: each takes one code out of the assignment.
    dummies = cost.new_full((len(x), skipped), cost.min().item() - 1)
    rows, columns = linear_sum_assignment(torch.cat([cost, dummies], 1).cpu().numpy())
    paired = columns < len(y)
    return torch.from_numpy(rows[paired]).to(x.device), torch.from_numpy(columns[paired]).to(x.device)


def edit_loss(
    edited: Tensor, target: Tensor, a: Tensor | None = None, b: Tensor | None = None, *,
    blur: float, scaling: float = 0.9,
) -> Tensor:  # fmt: skip
    """Eq. 4: distance of the edited codes [N, num_ws, w_dim] from the target's [M, num_ws, w_dim]."""
    return wasserstein(latent_space(edited), latent_space(target), a, b, blur=blur, scaling=scaling)


def preservation_loss(
    edited: Tensor, source: Tensor, gamma: Tensor, a: Tensor | None = None, *,
    blur: float, scaling: float = 0.9,
) -> Tensor:  # fmt: skip
    """Eq. 5: distance of the other attributes' logits of the edited codes [N, K] from the source's [N, K].

    gamma [K]: correlation of each attribute with the edited one.  blur: in units of scaled logits."""
    x, y = attribute_space(edited, gamma), attribute_space(source, gamma)
    return wasserstein(x, y, a, a, blur=blur, scaling=scaling)


def _masses(name: str, mass: Tensor | None, points: Tensor) -> Tensor:
    """Masses [N] that sum to 1 exactly, in the points' type. ValueError if they are no such masses."""
    if mass is None:
        return points.new_full((len(points),), 1 / len(points))
    mass = torch.as_tensor(mass).detach().to(points.device, torch.float64)
    if mass.shape != (len(points),):
        raise ValueError(f"{name} has shape {tuple(mass.shape)}, expected [{len(points)}], one a point")
    if not mass.isfinite().all():
        raise ValueError(f"{name} holds {mass[~mass.isfinite()][0].item()}: masses must be finite")
    if mass.min() < 0:
        raise ValueError(f"{name} holds {mass.min().item():g}: masses must not be negative")
    if abs(mass.sum().item() - 1) > MASS_TOLERANCE:
        raise ValueError(f"{name} sums to {mass.sum().item():.6g}: masses must sum to 1")
    return (mass / mass.sum()).to(points.dtype)


def _diameter(x: Tensor, y: Tensor) -> float:
    """An upper bound of the distance between any two of the centred points, where the Sinkhorn loop starts.

    In many dimensions it is a third of GeomLoss's own bound, which saves iterations. ValueError for NaN and
    infinity."""
    norms = [points.detach().norm(dim=1).max().item() for points in (x, y)]
    for name, norm in zip(("x", "y"), norms, strict=True):
        if not norm < float("inf"):
            raise ValueError(f"{name} holds NaN or infinite values")
    return 2 * max(norms)
