"""How well the photons allow a pair of lines to be known: Cramér–Rao bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class PairBound:
    """Smallest 1-σ uncertainties (Hz) any unbiased estimate can have, shape (pixel,)."""

    f_minus: FloatArray
    f_plus: FloatArray
    half_splitting: FloatArray
    center: FloatArray


def pair_bound(
    frequency: ArrayLike,
    noise: ArrayLike,
    f_minus: ArrayLike,
    f_plus: ArrayLike,
    contrast_minus: ArrayLike,
    contrast_plus: ArrayLike,
    width_minus: ArrayLike,
    width_plus: ArrayLike,
) -> PairBound:
    """Return the bound for two Lorentzians on a constant baseline with seven free parameters.

    Parameters
    ----------
    frequency : array_like, shape (frequency,)
        Hz.
    noise : array_like, shape (frequency, pixel) or (frequency, 1)
        1-σ noise of the signal over its baseline; infinite where there are no frames.
    f_minus, f_plus, contrast_minus, contrast_plus, width_minus, width_plus : array_like, shape (pixel,)
        The true lines: centres (Hz), amplitudes over baseline, half widths at half maximum (Hz).

    Notes
    -----
    For one densely sampled line the bound is σ_f = (σ/C) √(4 w Δf/π), Δf the spacing of the frequencies.
    """
    f = np.asarray(frequency, dtype=np.float64)
    lines = np.broadcast_arrays(f_minus, f_plus, contrast_minus, contrast_plus, width_minus, width_plus)
    low, high, c_low, c_high, w_low, w_high = (np.asarray(value, dtype=np.float64).ravel() for value in lines)
    count = low.size
    weight = 1 / np.square(np.broadcast_to(np.asarray(noise, dtype=np.float64), (f.size, count)))
    covariance = np.empty((count, 2, 2))
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        columns = [np.ones((f.size, low[part].size))]
        for center, contrast, width in ((low, c_low, w_low), (high, c_high, w_high)):
            columns += _derivatives(f, center[part], contrast[part], width[part])
        # centres and widths in units of the widths: a Fisher matrix of order one inverts safely
        jacobian = np.stack(columns)
        fisher = np.einsum("afp,fp,bfp->pab", jacobian, weight[:, part], jacobian)
        covariance[part] = _inverse(fisher)[:, [[2], [5]], [2, 5]]
    var_low, var_high = covariance[:, 0, 0] * w_low**2, covariance[:, 1, 1] * w_high**2
    both = covariance[:, 0, 1] * w_low * w_high
    return PairBound(
        np.sqrt(var_low),
        np.sqrt(var_high),
        np.sqrt((var_low + var_high - 2 * both) / 4),
        np.sqrt((var_low + var_high + 2 * both) / 4),
    )


def _derivatives(f: FloatArray, center: FloatArray, contrast: FloatArray, width: FloatArray) -> list[FloatArray]:
    """Return derivatives after amplitude, centre/width and log width."""
    u = (f[:, None] - center) / width
    line = 1 / (1 + u**2)
    return [line, contrast * 2 * u * line**2, contrast * 2 * u**2 * line**2]


def _inverse(fisher: FloatArray) -> FloatArray:
    good = np.isfinite(fisher).all(axis=(1, 2))
    result = np.full_like(fisher, np.nan)
    try:
        result[good] = np.linalg.inv(fisher[good])
    except np.linalg.LinAlgError:  # some pixel has a line outside the sweep: nothing is known of it
        for pixel in np.flatnonzero(good):
            if np.linalg.matrix_rank(fisher[pixel]) == fisher.shape[1]:
                result[pixel] = np.linalg.inv(fisher[pixel])
    return result
