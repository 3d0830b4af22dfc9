"""What transport protocols measured, as curves: R(T) and R(H) both ways, V–I."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.dataset import MapPoint, RunData

FloatArray = NDArray[np.float64]
Kind = Literal["transport-rt", "transport-rh", "transport-iv"]

GAUSS = 1e-4


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve in the order it was taken: what was varied, and R or V with its 1-σ uncertainty (SI).

    Curves of one `family` differ only in which way they were gone through; `back` is the second way.
    """

    family: str
    back: bool
    x: FloatArray
    y: FloatArray
    y_err: FloatArray


@dataclass(frozen=True, eq=False)
class TransportCurves:
    """All curves of one protocol in a run."""

    kind: Kind
    curves: tuple[Curve, ...]


def transport_curves(run: RunData) -> list[TransportCurves]:
    """Return the curves of every transport protocol in a run; what has no resistance is left out."""
    kinds: tuple[Kind, ...] = ("transport-rt", "transport-rh", "transport-iv")
    found = []
    for kind in kinds:
        groups: dict[tuple[Hashable, bool], list[MapPoint]] = {}
        for point in run.points:
            if point.purpose == kind and np.isfinite(point.resistance):
                back = point.attrs.get("direction") in ("warming", "down")
                groups.setdefault((_family(kind, point), back), []).append(point)
        curves = [_curve(kind, str(family), back, points) for (family, back), points in groups.items()]
        if curves:
            found.append(TransportCurves(kind, tuple(curves)))
    return found


def _family(kind: Kind, point: MapPoint) -> str:
    """What is the same all along a curve, to the digits that settling leaves alone."""
    temperature, field = f"{point.temperature:.1f} K", f"{point.field / GAUSS:.0f} G"
    if kind == "transport-rt":
        return f"{1e3 * _current(point):.3g} mA"
    if kind == "transport-iv":
        return f"{temperature}, {field.replace('-0 G', '0 G')}"
    angle = point.attrs.get("angle")
    return temperature if angle is None else f"{temperature}, {math.degrees(float(angle)):.3g}°"


def _curve(kind: Kind, family: str, back: bool, points: list[MapPoint]) -> Curve:
    resistance = np.array([p.resistance for p in points])
    err = np.array([p.resistance_err for p in points])
    if kind == "transport-iv":
        current = np.array([_current(p) for p in points])
        return Curve(family, back, current, resistance * current, err * current)
    if kind == "transport-rt":
        return Curve(family, back, np.array([p.temperature for p in points]), resistance, err)
    # turned away from the magnet's ordinary direction, `field` is only what lies along that
    field = np.array([float(p.attrs.get("magnitude", p.field)) for p in points])
    return Curve(family, back, field, resistance, err)


def _current(point: MapPoint) -> float:
    return float(point.attrs.get("current", np.nan))
