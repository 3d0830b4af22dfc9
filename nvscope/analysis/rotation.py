"""R and the field along the NV axis against the direction of the applied field.

With the field turned by θ in a plane that contains the NV axis up to an angle φ, B_z = B cos φ cos(θ − θ₀), so that the
squared half splitting is a + b cos 2θ + c sin 2θ. Stress splitting sits in a alone; a field across the axis does not
enter to first order (`nvscope.nv.inversion`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.nv import GAMMA

FloatArray = NDArray[np.float64]

PURPOSE = "rotate-field"
_SAME = 1.0
"""K within which two points belong to one temperature."""


@dataclass(frozen=True, eq=False)
class Rotation:
    """One turn of the field at one temperature (K); arrays over angles (rad), NaN where not measured.

    Attributes
    ----------
    axis, axis_err : float
        Angle θ₀ (rad) at which the field lies nearest to the NV axis; NaN with fewer than four maps.
    amplitude, amplitude_err : float
        B cos φ (T).
    """

    temperature: float
    angle: FloatArray
    resistance: FloatArray
    resistance_err: FloatArray
    half_splitting: FloatArray
    half_splitting_err: FloatArray
    axis: float
    axis_err: float
    amplitude: float
    amplitude_err: float


def axis_from_splittings(angle: ArrayLike, half: ArrayLike, err: ArrayLike) -> tuple[float, float, float, float]:
    """Return θ₀ and its error (rad), B cos φ and its error (T); NaN with fewer than four splittings.

    Parameters
    ----------
    angle : array_like, shape (n,)
        rad.
    half, err : array_like, shape (n,)
        Half splitting and its error (Hz); NaN where not measured.
    """
    theta, h, e = (np.asarray(a, dtype=np.float64) for a in (angle, half, err))
    good = np.isfinite(h) & np.isfinite(e) & (e > 0)
    if good.sum() < 4:
        return (float("nan"),) * 4
    theta, h, e = theta[good], h[good], e[good]
    scale = (GAMMA * 1e-4) ** 2  # squares in G²
    weight = scale / (2 * h * e)
    design = np.column_stack([np.ones_like(theta), np.cos(2 * theta), np.sin(2 * theta)]) * weight[:, None]
    target = h**2 / scale * weight
    found = np.linalg.lstsq(design, target, rcond=None)[0]
    left, (_, b, c) = target - design @ found, found
    chi2 = float(left @ left / max(1, len(h) - 3))
    covariance = np.linalg.inv(design.T @ design)[1:, 1:] * max(1.0, chi2)
    size = float(np.hypot(b, c))
    along, across = np.array([b, c]) / size, np.array([-c, b]) / size
    axis_err = 0.5 * float(np.sqrt(across @ covariance @ across)) / size
    amplitude = np.sqrt(2 * size)
    amplitude_err = float(np.sqrt(along @ covariance @ along)) / amplitude
    return 0.5 * float(np.arctan2(c, b)), axis_err, float(amplitude) * 1e-4, amplitude_err * 1e-4


def measure_rotation(run: RunData) -> list[Rotation]:
    """Return every turn of a run, one for each temperature."""
    points = [p for p in run.points if p.purpose == PURPOSE and "angle" in p.attrs]
    turns: list[list[MapPoint]] = []
    for point in points:
        if turns and abs(turns[-1][-1].temperature - point.temperature) < _SAME:
            turns[-1].append(point)
        else:
            turns.append([point])
    return [_turn(turn) for turn in turns]


def _turn(points: list[MapPoint]) -> Rotation:
    half, err = np.array([_splitting(p) for p in points]).T
    angle = np.array([float(p.attrs["angle"]) for p in points])
    return Rotation(
        float(np.mean([p.temperature for p in points])),
        angle,
        np.array([p.resistance for p in points]),
        np.array([p.resistance_err for p in points]),
        half,
        err,
        *axis_from_splittings(angle, half, err),
    )


def _splitting(point: MapPoint) -> tuple[float, float]:
    """Median half splitting over the image and its error (Hz)."""
    if "half_splitting" not in point.maps:
        return float("nan"), float("nan")
    values = point.map("half_splitting")
    finite = values[np.isfinite(values)]
    if finite.size < 4:
        return float("nan"), float("nan")
    middle = float(np.median(finite))
    spread = 1.4826 * float(np.median(np.abs(finite - middle)))
    return middle, 1.2533 * spread / float(np.sqrt(finite.size))
