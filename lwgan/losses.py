"""Eqs. 3-5: the Wasserstein loss, and what it is applied to.

    L = L_edit + lambda L_pres,    L_edit = W(mu'_s, mu_t) in the space of codes,    L_pres = W(mu'_s, mu_s) in that of attributes

mu_s, mu_t: codes that lack, that have the attribute; mu'_s: the edited ones. (One of the paper's two texts prints
L_pres = W(mu_s, mu_t), which no edit could change.)
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from geomloss import SamplesLoss
from torch import Tensor

from lwgan.costs import attribute_space, latent_space

MASS_TOLERANCE = 1e-4


def wasserstein(
    x: Tensor,
    y: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    *,
    blur: float,
    scaling: float = 0.9,
) -> Tensor:
    """Eq. 3: debiased Sinkhorn divergence of sum_i a_i delta(x_i) and sum_j b_j delta(y_j), cost 1/2 |x - y|^2; a scalar.

    x [N, D], y [M, D]: points.  a [N], b [M]: masses that sum to 1; None: all equal.
    blur: a length in the units of x. Far below the distances between points the result is the exact transport cost,
    far above them 1/2 |mean x - mean y|^2.  scaling: in (0, 1), nearer to 1 is slower and closer to convergence.
    The gradient is exact at convergence, of first order only. ValueError names what is wrong with an argument.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or 0 in (*x.shape, *y.shape):
        raise ValueError(
            f"x has shape {tuple(x.shape)} and y {tuple(y.shape)}: expected [N, D] and [M, D], none of them 0"
        )
    if not 0 < blur < float("inf"):
        raise ValueError(f"blur is {blur}: expected a length > 0")
    if not 0 < scaling < 1:
        raise ValueError(f"scaling is {scaling}: expected a number between 0 and 1")
    a, b = _masses("a", a, x), _masses("b", b, y)
    # The cost is computed as |x|^2 - 2 xy + |y|^2, which around the origin loses the fewest digits.
    centre = (x.detach().mean(0) + y.detach().mean(0)) / 2
    x, y = x - centre, y - centre
    divergence = SamplesLoss(
        "sinkhorn",
        p=2,
        blur=blur,
        scaling=scaling,
        diameter=max(_diameter(x, y), blur),
        debias=True,
        backend="tensorized",
    )
    with torch.set_grad_enabled(
        torch.is_grad_enabled()
    ):  # GeomLoss leaves gradients switched on: put back what was
        return divergence(a, x, b, y)


def edit_loss(
    edited: Tensor, target: Tensor, a: Tensor | None = None, b: Tensor | None = None, *, blur: float
) -> Tensor:
    """Eq. 4: how far the edited codes [N, num_ws, w_dim] are from the target's [M, num_ws, w_dim]."""
    return wasserstein(latent_space(edited), latent_space(target), a, b, blur=blur)


def preservation_loss(
    edited: Tensor, source: Tensor, gamma: Tensor, a: Tensor | None = None, *, blur: float
) -> Tensor:
    """Eq. 5: how far the other attributes' logits of the edited codes [N, K] are from the source's [N, K].

    gamma [K]: correlation of each attribute with the edited one.  blur: a length in the units of scaled logits.
    """
    return wasserstein(attribute_space(edited, gamma), attribute_space(source, gamma), a, a, blur=blur)


class Objective(NamedTuple):
    """The loss to minimise, and its two terms."""

    total: Tensor
    edit: Tensor
    preservation: Tensor


def objective(
    edited: Tensor, source: Tensor, target: Tensor, a: Tensor | None = None, b: Tensor | None = None, *, blur: float,
    classifier: Callable[[Tensor], Tensor] | None = None, gamma: Tensor | None = None, preservation_weight: float = 0.0, logit_blur: float = 0.0,
) -> Objective:  # fmt: skip
    """L = L_edit + lambda L_pres over codes [N or M, num_ws, w_dim], with lambda = preservation_weight.

    classifier: F, codes -> logits [N, K]; it, gamma and logit_blur are used only when lambda > 0.
    """
    edit = edit_loss(edited, target, a, b, blur=blur)
    if preservation_weight == 0:
        return Objective(edit, edit, torch.zeros_like(edit))
    if classifier is None or gamma is None:
        raise ValueError(
            f"preservation_weight is {preservation_weight:g}, but no {'classifier' if classifier is None else 'gamma'} is given"
        )
    preservation = preservation_loss(classifier(edited), classifier(source), gamma, a, blur=logit_blur)
    return Objective(edit + preservation_weight * preservation, edit, preservation)


def _masses(name: str, mass: Tensor | None, points: Tensor) -> Tensor:
    """Masses [N] that sum to 1 exactly, in the points' type. ValueError for what are no masses of these points."""
    if mass is None:
        return points.new_full((len(points),), 1 / len(points))
    mass = torch.as_tensor(mass).detach().to(points.device, torch.float64)
    if mass.shape != (len(points),):
        raise ValueError(
            f"{name} has shape {tuple(mass.shape)}, expected [{len(points)}]: a mass for each point"
        )
    if not mass.isfinite().all():
        raise ValueError(f"{name} holds {mass[~mass.isfinite()][0].item()}: masses must be finite")
    if mass.min() < 0:
        raise ValueError(f"{name} holds {mass.min().item():g}: masses must not be negative")
    if abs(mass.sum().item() - 1) > MASS_TOLERANCE:
        raise ValueError(f"{name} sums to {mass.sum().item():.6g}: masses must sum to 1")
    return (mass / mass.sum()).to(points.dtype)


def _diameter(x: Tensor, y: Tensor) -> float:
    """A bound on the distance between any two of the centred points, from which the Sinkhorn loop starts. In many
    dimensions it is a third of GeomLoss's own, which saves as many iterations. ValueError for NaN and infinities."""
    norms = [points.detach().norm(dim=1).max().item() for points in (x, y)]
    for name, norm in zip(("x", "y"), norms, strict=True):
        if not norm < float("inf"):
            raise ValueError(f"{name} holds NaN or infinite values")
    return 2 * max(norms)
