"""The onset of superconductivity in R(T)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

MIN_NORMAL_POINTS = 3
SIGMAS = 5.0
MIN_DROP = 0.005
"""Smallest relative fall below the normal state that counts: a slow bend of the normal state is not an onset."""
LONE_DROP = 0.05
"""Smallest relative fall that counts if only the coldest point shows it."""
NEAREST = 8
"""How many points, the nearest above, predict the next; more would carry the curvature of the normal state along."""


@dataclass(frozen=True, eq=False)
class Onset:
    """Where R(T) leaves its normal state.

    Attributes
    ----------
    temperature, temperature_err : float
        Tc,onset and its 1-σ uncertainty (K).
    drop : float
        1 − R/R_normal at the lowest temperature.
    normal : ndarray
        Coefficients of the normal state, highest power first (as `numpy.polyval` takes them; ohm, K).
    """

    temperature: float
    temperature_err: float
    drop: float
    normal: FloatArray

    def normal_resistance(self, temperature: ArrayLike) -> FloatArray:
        """Return the normal state extrapolated to `temperature` (ohm)."""
        return np.asarray(np.polyval(self.normal, np.asarray(temperature, dtype=np.float64)))


def resistance_onset(
    temperature: ArrayLike, resistance: ArrayLike, resistance_err: ArrayLike | None = None
) -> Onset | None:
    """Find the onset by deviation: the last place where R(T) still agrees with its normal state.

    Coming down from the highest temperature, a straight line (a parabola from 7 points on) through the nearest 8 points
    above predicts the next. The first point that falls below the prediction by more than 5 σ of the prediction *and*
    0.5 % of R, with the next two doing so too, ends the normal state. The onset is where the line through the first
    two points below meets the normal state, kept between the last normal point and the first deviating one; the
    uncertainty is that interval's rectangular one (width/√12), which no interpolation can undercut on sparse data.

    Parameters
    ----------
    temperature, resistance : array_like, shape (point,)
        K and ohm; NaN points are left out, any order.
    resistance_err : array_like, optional
        1-σ uncertainties (ohm); without them the scatter about the normal state is used.

    Returns
    -------
    Onset or None
        None where R shows no drop, or there are fewer than 3 points above it and 1 below.
    """
    t, r = (np.asarray(value, dtype=np.float64) for value in (temperature, resistance))
    err = np.zeros_like(r) if resistance_err is None else np.nan_to_num(np.asarray(resistance_err, dtype=np.float64))
    order = np.argsort(-t, kind="stable")
    order = order[np.isfinite(t[order]) & np.isfinite(r[order])]
    t, r, err = t[order], r[order], err[order]
    for count in range(MIN_NORMAL_POINTS, len(t)):
        above = slice(max(0, count - NEAREST), count)
        normal, sigma = _normal_state(t[above], r[above], err[above], t[count:])
        predicted = np.polyval(normal, t[count:])
        smallest = LONE_DROP if count == len(t) - 1 else MIN_DROP
        margin = np.maximum(SIGMAS * np.hypot(sigma, err[count:]), smallest * np.abs(predicted))
        below = predicted - r[count:] > margin
        if below[0] and below[:3].all():
            return _intersection(t, r, count, normal, float(1 - r[-1] / predicted[-1]))
    return None


def _normal_state(t: FloatArray, r: FloatArray, err: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
    degree = 2 if len(t) >= 7 else 1
    design = np.vander((t - t.mean()) / 100.0, degree + 1)
    inverse = np.linalg.pinv(design)
    solution = inverse @ r
    residual = r - design @ solution
    freedom = len(t) - degree - 1
    scatter = np.sqrt((residual**2).sum() / freedom) if freedom > 0 else 0.0
    # three points hardly know their own scatter: never believe it below the stated errors
    noise = max(float(scatter), float(np.sqrt(np.mean(err**2))))
    there = np.vander((at - t.mean()) / 100.0, degree + 1)
    sigma = noise * np.sqrt(((there @ inverse) ** 2).sum(1))
    centred = np.poly1d(solution)
    return np.asarray(np.atleast_1d(centred(np.poly1d([0.01, -t.mean() / 100.0])).coeffs)), np.asarray(sigma)


def _intersection(t: FloatArray, r: FloatArray, count: int, normal: FloatArray, drop: float) -> Onset:
    last, first = t[count - 1], t[count]
    onset = 0.5 * (last + first)
    if count + 1 < len(t) and t[count + 1] < first:
        slope = (r[count] - r[count + 1]) / (first - t[count + 1])
        fine = np.linspace(first, last, 201)
        gap = np.polyval(normal, fine) - (r[count] + slope * (fine - first))
        crossed = np.nonzero(gap <= 0)[0]
        onset = float(fine[crossed[0]]) if len(crossed) else float(last)
    return Onset(onset, float((last - first) / np.sqrt(12)), drop, normal)
