"""Calibrated strengths. Alpha's unit is each edit's own; strength 1 is the alpha at which 80% of pictures are expected to change."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from lwgan.files import CONFIG_LIMIT, METRICS
from lwgan.metrics import alpha_at, value_at

MAX_ALPHA = 40  # what edits take: directions with a short unit go far
PLACES = 4  # decimals of an alpha on the page and in recipes
WANTED = 0.8  # the target change that strength 1 is expected to have
KEPT = ("digits_kept", "attribute_preservation")  # of the changed pictures; of the other attributes


class Scale(NamedTuple):
    """What strength means for one edit: alpha = strength * unit.

    reach: the expected target change at strength 1, WANTED where the curve gets there, else the most that it has; None if the edit
    was never measured.  curve: alpha -> what was measured there ("target_change" and more), rising, from 0.
    """

    unit: float
    reach: float | None
    curve: tuple[dict, ...]

    def alpha(self, strength: float) -> float:
        """Rounded, so that it comes back as it was when it is written down and read again."""
        return round(strength * self.unit, PLACES)

    def alpha_for(self, wanted: float) -> float | None:
        """The alpha at which so much target change is first expected; None if it never is."""
        return round(found, PLACES) if (found := self._curve_alpha(wanted)) is not None else None

    def _curve_alpha(self, wanted: float) -> float | None:
        return alpha_at(*_columns(self.curve, "target_change"), wanted) if len(self.curve) > 1 else None

    def expected(self, key: str, alpha: float) -> float | None:
        """A figure's value at an alpha by interpolation, None beyond the curve or where the figure was not measured on both sides."""
        points = [point for point in self.curve if point.get(key) is not None]
        if len(points) < 2 or not points[0]["alpha"] <= alpha <= points[-1]["alpha"]:
            return None
        return value_at(*_columns(points, key), alpha)

    def kept(self, alpha: float) -> float | None:
        """Of what the edit should leave alone, the share that is expected to stay."""
        return next((value for key in KEPT if (value := self.expected(key, alpha)) is not None), None)


def scale_of(config: Mapping, curve: Sequence[Mapping]) -> Scale:
    """The scale of an edit with this config and curve. Where no alpha has WANTED, the unit is the one with the most target change;
    where none changes anything, or nothing was measured, the edit's own recommended alpha."""
    own = config.get("alpha")
    own = float(own) if _is_number(own) and own > 0 else 1.0
    points = tuple(dict(point) for point in curve if point["alpha"] <= MAX_ALPHA)
    if len(points) < 2:
        return Scale(own, None, ())
    alphas, change = _columns(points, "target_change")
    unit = alpha_at(alphas, change, WANTED)
    if unit is not None and unit > 0:
        return Scale(round(unit, 4), WANTED, points)
    most = int(change.argmax())
    if change[most] <= 0 or alphas[most] <= 0:
        return Scale(own, 0.0, points)
    return Scale(round(float(alphas[most]), 4), float(change[most]), points)


def curve_of(source: str | Path | None, config: Mapping) -> list[dict]:
    """The curve of an edit: what the judge measured (`curve` of the folder's metrics.json), else what chose its alpha (the config's).
    A curve that is none counts as not measured: it is not needed to edit."""
    for found in (_measured(source), config.get("curve")):
        if points := _points(found):
            return points
    return []


def _measured(source: str | Path | None):
    path = Path(source) / METRICS if source else None
    try:
        if path is None or not path.is_file() or path.stat().st_size > CONFIG_LIMIT:
            return None
        metrics = json.loads(path.read_text("utf-8"))
        return metrics.get("curve") if isinstance(metrics, dict) else None
    except (OSError, ValueError, RecursionError):
        return None


def _points(curve) -> list[dict]:
    """The points of a curve from alpha 0 on, where nothing changes, in order, each with its numbers only."""
    if not isinstance(curve, list):
        return []
    found = {0.0: {"alpha": 0.0, "target_change": 0.0, **dict.fromkeys(KEPT, None)}}
    for point in curve:
        if (
            isinstance(point, dict)
            and all(_is_number(point.get(key)) for key in ("alpha", "target_change"))
            and point["alpha"] > 0
        ):
            found[float(point["alpha"])] = {
                key: float(value) for key, value in point.items() if _is_number(value)
            }
    return [found[alpha] for alpha in sorted(found)] if len(found) > 1 else []


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _columns(points: Sequence[Mapping], key: str) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(
        torch.tensor([point[name] for point in points], dtype=torch.float64) for name in ("alpha", key)
    )
