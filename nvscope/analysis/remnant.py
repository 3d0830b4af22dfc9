"""The field that stays when the applied field is gone: |B| at H = 0.

At zero field stress alone splits the pair. With the stress splitting known from the same pixels at H = 0 above Tc,
γ² B² = half_splitting² − Π⊥². Three things follow. The sign of B is not observable. Near B = 0 the square root turns
noise into field: there is a floor below which |B| cannot be told from 0. Averages must be taken of B², whose noise is
symmetric, and not of |B|. A transverse remnant field enters in second order only (γ²B⊥²/D: 0.13 MHz at 7 G).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from nvscope.nv import GAMMA, field_from_half_splitting

FloatArray = NDArray[np.float64]

CONFIDENCE = 0.9
"""A floor is what |B| stays below, with this probability, where the truth is 0."""


@dataclass(frozen=True, eq=False)
class Remnant:
    """|B| at zero applied field; arrays of one shape, T and T².

    Attributes
    ----------
    b, b_err : ndarray
        |B| along the NV axis, 0 where noise made its square negative, and its 1-σ uncertainty.
    b_squared, b_squared_err : ndarray
        B² and its uncertainty; negative values are noise and must be kept in averages.
    floor : ndarray
        What |B| would stay below, with probability `CONFIDENCE`, if the truth were 0.
    separable : bool
        False if no stress splitting was known: `b` then still contains it, and is an upper limit only.
    """

    b: FloatArray
    b_err: FloatArray
    b_squared: FloatArray
    b_squared_err: FloatArray
    floor: FloatArray
    separable: bool

    @property
    def detected(self) -> NDArray[np.bool_]:
        """Where |B| exceeds its floor; with no remnant at all, one pixel in ten does."""
        return np.asarray(self.b > self.floor)

    def mean(self, mask: NDArray[np.bool_]) -> tuple[float, float, float]:
        """Return the root mean square of B over a region, its uncertainty and its floor (T), from the mean of B²."""
        good = mask & np.isfinite(self.b_squared) & (self.b_squared_err > 0)
        if not good.any():
            return float("nan"), float("nan"), float("nan")
        weight = 1 / self.b_squared_err[good] ** 2
        square = float((weight * self.b_squared[good]).sum() / weight.sum())
        square_err = float(1 / np.sqrt(weight.sum()))
        size = float(np.sqrt(max(square, 0.0)))
        err = min(square_err / (2 * size), float(np.sqrt(square_err))) if size > 0 else float(np.sqrt(square_err))
        return size, err, _floor(square_err)


def remnant_field(
    half_splitting: ArrayLike,
    half_splitting_err: ArrayLike,
    stress_splitting: ArrayLike | None,
    stress_splitting_err: ArrayLike = 0.0,
) -> Remnant:
    """Return |B| at H = 0.

    Parameters
    ----------
    half_splitting, half_splitting_err : array_like
        Of the pair at H = 0 below Tc (Hz).
    stress_splitting, stress_splitting_err : array_like or None
        Half splitting of the same pixels at H = 0 above Tc (Hz); None if it was not measured.
    """
    half, half_err = (np.asarray(value, dtype=np.float64) for value in (half_splitting, half_splitting_err))
    known = stress_splitting is not None
    stress = np.asarray(stress_splitting if known else 0.0, dtype=np.float64)
    stress_err = np.asarray(stress_splitting_err if known else 0.0, dtype=np.float64)
    b, b_err = field_from_half_splitting(half, half_err, stress, stress_err)
    squared = (half**2 - stress**2) / GAMMA**2
    squared_err = 2 * np.hypot(half * half_err, stress * stress_err) / GAMMA**2
    # at B = 0 both pairs are split by stress alone
    at_zero = 2 * stress * np.hypot(half_err, stress_err) / GAMMA**2 if known else np.full(half.shape, np.inf)
    return Remnant(b, b_err, squared, squared_err, np.asarray(_floor(at_zero)), known)


def _floor(squared_err: ArrayLike) -> float:
    return np.sqrt(ndtri(CONFIDENCE) * np.asarray(squared_err))[()]
