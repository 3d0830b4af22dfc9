"""From a pair of lines back to D and the field along the NV axis.

With m and h the mean and half the difference of the pair, e0 the lowest level and B⊥, Π given, the invariants of the
3×3 Hamiltonian (its trace, the trace of its square, its determinant) give, without any expansion,

    e0 [(e0 + m)² − h²] + γ² [D B⊥² + Π_X (B_x² − B_y²) − 2 Π_Y B_x B_y] = 0,     D = m + 3 e0/2,
    γ² B_z² = h² − m e0 − 3 e0²/4 − Π_X² − Π_Y² − γ² B⊥².

Written with e0, nothing of the order of D² is ever subtracted from D².
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.nv.constants import GAMMA

_MAX_STEPS = 30


@dataclass(frozen=True, eq=False)
class PairInversion:
    """What one pair of lines says.

    Attributes
    ----------
    d : ndarray
        D0 + Π_Z (Hz).
    b_z : ndarray
        |B_z| along the NV axis (T); 0 where the splitting is smaller than stress and transverse field alone give. The
        sign of B_z is not observable.
    b_z_squared : ndarray
        B_z² (T²), negative where noise has made it so; average this, not `b_z`, near zero field.
    d_err, b_z_err : ndarray or None
        1-σ uncertainties, if those of the lines were given; `b_z_err` is infinite where `b_z` is 0.
    """

    d: NDArray[np.float64]
    b_z: NDArray[np.float64]
    b_z_squared: NDArray[np.float64]
    d_err: NDArray[np.float64] | None = None
    b_z_err: NDArray[np.float64] | None = None


def invert_pair(
    f_minus: ArrayLike,
    f_plus: ArrayLike,
    *,
    b_x: ArrayLike = 0.0,
    b_y: ArrayLike = 0.0,
    pi_x: ArrayLike = 0.0,
    pi_y: ArrayLike = 0.0,
    f_minus_err: ArrayLike | None = None,
    f_plus_err: ArrayLike | None = None,
) -> PairInversion:
    """Solve one pair of lines for D and |B_z|, exactly.

    Parameters
    ----------
    f_minus, f_plus : array_like
        Lower and upper line of one group (Hz); any shapes that broadcast. NaN gives NaN.
    b_x, b_y : array_like
        Transverse field in the NV's own frame (T).
    pi_x, pi_y : array_like
        Transverse stress couplings of that NV (Hz).
    f_minus_err, f_plus_err : array_like, optional
        1-σ uncertainties of the lines (Hz), taken as independent.

    Notes
    -----
    The solution is the one connected to B⊥ = 0, which is right while γB⊥ and Π stay well below D.
    """
    low, high = (np.asarray(f, dtype=np.float64) for f in (f_minus, f_plus))
    gx, gy = (GAMMA * np.asarray(b, dtype=np.float64) for b in (b_x, b_y))
    px, py = (np.asarray(pi, dtype=np.float64) for pi in (pi_x, pi_y))
    m, h = (low + high) / 2, (high - low) / 2
    perp = gx**2 + gy**2
    constant = px * (gx**2 - gy**2) - 2 * py * gx * gy
    with np.errstate(invalid="ignore", divide="ignore"):
        e0 = _lowest_level(m, h, perp, constant)
        squared = h**2 - m * e0 - 0.75 * e0**2 - px**2 - py**2 - perp
        gamma_bz = np.sqrt(np.maximum(squared, 0.0))
        d_err = b_err = None
        if f_minus_err is not None and f_plus_err is not None:
            d_err, b_err = _errors(m, h, e0, perp, gamma_bz, np.asarray(f_minus_err), np.asarray(f_plus_err))
    return PairInversion(m + 1.5 * e0, gamma_bz / GAMMA, squared / GAMMA**2, d_err, b_err)


def _lowest_level(
    m: NDArray[np.float64], h: NDArray[np.float64], perp: NDArray[np.float64], constant: NDArray[np.float64]
) -> NDArray[np.float64]:
    e0 = np.zeros(np.broadcast_shapes(m.shape, perp.shape, constant.shape))
    for _ in range(_MAX_STEPS):
        value = e0 * ((e0 + m) ** 2 - h**2) + (m + 1.5 * e0) * perp + constant
        step = value / _slope(m, h, e0, perp)
        e0 = e0 - step
        if not np.any(np.abs(step) > 1e-16 * m):
            break
    return e0


def _slope(
    m: NDArray[np.float64], h: NDArray[np.float64], e0: NDArray[np.float64], perp: NDArray[np.float64]
) -> NDArray[np.float64]:
    return (e0 + m) ** 2 - h**2 + 2 * e0 * (e0 + m) + 1.5 * perp


def _errors(
    m: NDArray[np.float64],
    h: NDArray[np.float64],
    e0: NDArray[np.float64],
    perp: NDArray[np.float64],
    gamma_bz: NDArray[np.float64],
    low_err: NDArray[np.float64],
    high_err: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    slope = _slope(m, h, e0, perp)
    e0_m = -(2 * e0 * (e0 + m) + perp) / slope
    e0_h = 2 * h * e0 / slope
    d = m + 1.5 * e0
    square_m, square_h = -e0 - d * e0_m, 2 * h - d * e0_h
    shift = [(1 + 1.5 * e0_m + sign * 1.5 * e0_h) / 2 for sign in (-1, 1)]
    field = [(square_m + sign * square_h) / (4 * gamma_bz * GAMMA) for sign in (-1, 1)]
    d_err = np.hypot(shift[0] * low_err, shift[1] * high_err)
    b_err = np.where(gamma_bz > 0, np.hypot(field[0] * low_err, field[1] * high_err), np.inf)
    return d_err, np.where(np.isnan(gamma_bz), np.nan, b_err)


def field_from_half_splitting(
    half_splitting: ArrayLike,
    half_splitting_err: ArrayLike = 0.0,
    stress_splitting: ArrayLike = 0.0,
    stress_splitting_err: ArrayLike = 0.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return |B_z| and its 1-σ uncertainty (T) from half the splitting of a pair, for a field along the NV axis.

    γ B_z = √(half_splitting² − Π⊥²), exact at B⊥ = 0.

    Parameters
    ----------
    half_splitting, half_splitting_err : array_like
        (f₊ − f₋)/2 and its uncertainty (Hz).
    stress_splitting, stress_splitting_err : array_like
        Π⊥ = √(Π_X² + Π_Y²) and its uncertainty (Hz): half the splitting of the same pair at zero field, above Tc.

    Notes
    -----
    Where the measured splitting does not exceed the stress splitting, B_z is 0 and its uncertainty is the field that
    would add one combined standard deviation to the squared splitting.
    """
    h, h_err, p, p_err = (
        np.asarray(value, dtype=np.float64)
        for value in (half_splitting, half_splitting_err, stress_splitting, stress_splitting_err)
    )
    squared = h**2 - p**2
    squared_err = 2 * np.hypot(h * h_err, p * p_err)
    gamma_bz = np.sqrt(np.maximum(squared, 0.0))
    # linear propagation diverges at zero field; the square root of the spread of the square bounds it
    bound = np.sqrt(squared_err)
    with np.errstate(invalid="ignore", divide="ignore"):
        linear = np.where(gamma_bz > 0, squared_err / (2 * gamma_bz), np.inf)
    error = np.where(np.isnan(gamma_bz), np.nan, np.minimum(linear, bound))
    return gamma_bz / GAMMA, error / GAMMA
