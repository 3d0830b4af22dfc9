"""The ratio s = B/H that shows diamagnetism: below 1 above a screening region, above 1 at its edge, 1 elsewhere.

The applied field is never taken from a number written on a coil. The map at the point is divided by a reference map
taken above Tc at the same coil current: calibration, tilt, offset and every fixed gradient cancel, pixel by pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

MIN_FIELD = 2e-4
"""Fields below this (T) do not define a ratio; a remnant-field map is made instead."""

SAME_CURRENT = 0.005
"""Relative difference of the two applied fields within which they count as the same coil current."""


@dataclass(frozen=True, eq=False)
class Ratio:
    """A map of s.

    Attributes
    ----------
    s : ndarray, shape (y, x)
    s_err : ndarray, shape (y, x)
        1-σ uncertainty, the reference's share included.
    s_point_err : ndarray, shape (y, x)
        The share of this point alone: what scatters from one temperature to the next.
    reference_err : ndarray, shape (y, x)
        The share of the reference: the same at all temperatures, it moves a whole curve s(T) up or down.
    normalised : str
        ``"reference"`` or ``"applied field"``: what B was divided by.
    """

    s: FloatArray
    s_err: FloatArray
    s_point_err: FloatArray
    reference_err: FloatArray
    normalised: str


def ratio_to_reference(
    b: ArrayLike,
    b_err: ArrayLike,
    reference: ArrayLike,
    reference_err: ArrayLike,
    field: float | None = None,
    reference_field: float | None = None,
) -> Ratio:
    """Return s = B/B_ref with its uncertainty.

    Parameters
    ----------
    b, b_err : array_like, shape (y, x)
        Field map (T) and its 1-σ uncertainty.
    reference, reference_err : array_like, shape (y, x)
        The same above Tc.
    field, reference_field : float, optional
        Applied fields (T) of the two. If they differ by more than `SAME_CURRENT`, the reference is scaled by their
        ratio; within it they count as the same current, and scaling would only add the noise of two readings.
    """
    b, b_err, reference, reference_err = (
        np.asarray(value, dtype=np.float64) for value in (b, b_err, reference, reference_err)
    )
    scale = 1.0
    if field and reference_field and abs(field / reference_field - 1) > SAME_CURRENT:
        scale = abs(field / reference_field)
    with np.errstate(invalid="ignore", divide="ignore"):
        usable = reference * scale > MIN_FIELD
        s = np.where(usable, b / (reference * scale), np.nan)
        point = np.where(usable, b_err / (reference * scale), np.nan)
        common = np.where(usable, np.abs(s) * reference_err / reference, np.nan)
    return Ratio(s, np.hypot(point, common), point, common, "reference")


def ratio_to_field(b: ArrayLike, b_err: ArrayLike, field: float) -> Ratio:
    """Return s = B/H for a run without a reference; calibration and tilt of the magnet then bias s as a whole."""
    b, b_err = np.asarray(b, dtype=np.float64), np.asarray(b_err, dtype=np.float64)
    if not abs(field) > MIN_FIELD:
        nothing = np.full(b.shape, np.nan)
        return Ratio(nothing, nothing, nothing, nothing, "applied field")
    point = b_err / abs(field)
    return Ratio(b / abs(field), point, point, np.zeros_like(point), "applied field")
