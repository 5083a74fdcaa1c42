"""The strength of an edit: a unit of alpha that has the same effect for every edit.

Strength 1 is the alpha at which 80% of the source pictures are expected to change. An edit's config has it
under "strength": {"unit", "reach", "curve"}, so that the same edit has the same scale wherever it comes from.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from lwgan.domain import is_number
from lwgan.metrics import alpha_at, value_at

MAX_ALPHA = 40  # the largest alpha that is accepted: directions with a short unit need large ones
PLACES = 4  # decimals of an alpha on the page and in recipes
WANTED = 0.8  # the expected target change at strength 1
KEPT = ("others_kept", "all_kept")  # figures of what an edit should leave alone, the better known first


class Scale(NamedTuple):
    """What strength means for one edit: alpha = strength * unit.

    reach: the expected target change at strength 1. It is WANTED where the curve gets there, else the curve's
    maximum; None if the edit was never measured.
    curve: measured points {"alpha", "target_change", ...}, alpha increasing from 0; empty if not measured."""

    unit: float
    reach: float | None
    curve: tuple[dict, ...]

    def alpha(self, strength: float) -> float:
        """The alpha of a strength, rounded so that writing and reading it as text does not change it."""
        return round(strength * self.unit, PLACES)

    def alpha_for(self, wanted: float) -> float | None:
        """The smallest alpha with an expected target change of `wanted`; None if there is none."""
        alpha = alpha_at(*_columns(self.curve, "target_change"), wanted) if self.curve else None
        return None if alpha is None else round(alpha, PLACES)

    def expected(self, key: str, alpha: float) -> float | None:
        """A figure at an alpha, interpolated; None outside the range in which the figure was measured."""
        points = [point for point in self.curve if point.get(key) is not None]
        if len(points) < 2 or not points[0]["alpha"] <= alpha <= points[-1]["alpha"]:
            return None
        return value_at(*_columns(points, key), alpha)

    def kept(self, alpha: float) -> float | None:
        """The expected share of the other labels that stay as they are (the first measured of KEPT)."""
        return next((value for key in KEPT if (value := self.expected(key, alpha)) is not None), None)


def scale_of(config: Mapping) -> Scale:
    """The scale in an edit's config. Without a valid "strength", strength 1 is the recommended alpha."""
    strength = config.get("strength")
    strength = strength if isinstance(strength, Mapping) else {}
    unit, curve = strength.get("unit"), _points(strength.get("curve"))
    if not is_number(unit) or unit <= 0:
        return Scale(*_calibrated(curve, config.get("alpha")), curve)
    reach = strength.get("reach")
    return Scale(float(unit), float(reach) if is_number(reach) else None, curve)


def strength_of(curve: Sequence[Mapping], alpha: float) -> dict:
    """The "strength" of an edit's config.json from a measured curve.

    curve: points {"alpha", "target_change", "others_kept"?, "all_kept"?, ...}; those above MAX_ALPHA are
    dropped.
    alpha: the recommended alpha, the unit of an edit whose curve never rises above 0."""
    points = _points(curve)
    unit, reach = _calibrated(points, alpha)
    return {"unit": unit, "reach": reach, "curve": [dict(point) for point in points]}


def _calibrated(points: Sequence[Mapping], alpha: object) -> tuple[float, float | None]:
    """Unit and reach: where the curve first has WANTED, else at its maximum, else the recommended alpha."""
    own = float(alpha) if is_number(alpha) and alpha > 0 else 1.0
    if not points:
        return own, None
    alphas, change = _columns(points, "target_change")
    unit = alpha_at(alphas, change, WANTED)
    if unit is not None and unit > 0:
        return round(unit, PLACES), WANTED
    highest = int(change.argmax())
    if change[highest] <= 0 or alphas[highest] <= 0:
        return own, 0.0
    return round(float(alphas[highest]), PLACES), float(change[highest])


def _points(curve: object) -> tuple[dict, ...]:
    """The valid points of a curve by increasing alpha, beginning with 0, where nothing changes. Only numbers
    are kept. An invalid curve counts as no curve: an edit works without one."""
    known = {0.0: {"alpha": 0.0, "target_change": 0.0}}
    for point in curve if isinstance(curve, list | tuple) else ():
        items = point.items() if isinstance(point, Mapping) else ()
        numbers = {key: float(value) for key, value in items if is_number(value)}
        if {"alpha", "target_change"} <= numbers.keys() and 0 < numbers["alpha"] <= MAX_ALPHA:
            known[numbers["alpha"]] = numbers
    return tuple(known[alpha] for alpha in sorted(known)) if len(known) > 1 else ()


def _columns(points: Sequence[Mapping], key: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The alphas of points and a figure at each, float64 [A]."""
    rows = [(point["alpha"], point[key]) for point in points]
    return torch.tensor(rows, dtype=torch.float64).unbind(1)
