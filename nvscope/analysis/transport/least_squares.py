"""Bounded least squares with uncertainties, for curves of a few parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from nvscope.errors import NvscopeError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CurveFit:
    """A fitted curve.

    Attributes
    ----------
    value, err : ndarray, shape (parameter,)
        Best values and 1-σ uncertainties; NaN uncertainty where a value lies on its bound or is not determined.
    chi2 : float
        Sum of squared weighted residuals.
    freedom : int
        Points less parameters.
    """

    value: FloatArray
    err: FloatArray
    chi2: float
    freedom: int


def clean(*columns: ArrayLike, err: ArrayLike | None, least: int) -> tuple[list[FloatArray], FloatArray]:
    """Return columns and uncertainties without points that are not finite; uncertainties of 1 if there are none.

    Raises
    ------
    NvscopeError
        If the columns differ in length or fewer than `least` points are left.
    """
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    sigma = np.ones_like(arrays[0]) if err is None else np.asarray(err, dtype=np.float64)
    lengths = {array.shape for array in (*arrays, sigma)}
    if len(lengths) != 1 or arrays[0].ndim != 1:
        raise NvscopeError(f"columns of the same length are needed, got shapes {sorted(lengths)}")
    good = np.isfinite(sigma) & (sigma > 0)
    for array in arrays:
        good &= np.isfinite(array)
    if good.sum() < least:
        raise NvscopeError(f"{int(good.sum())} usable points are too few, at least {least} are needed")
    return [array[good] for array in arrays], sigma[good]


def fit_curve(
    residual: Callable[[FloatArray], FloatArray],
    starts: Sequence[Sequence[float]],
    bounds: tuple[Sequence[float], Sequence[float]],
    scale: Sequence[float],
    *,
    known_noise: bool,
) -> CurveFit:
    """Minimise the weighted residuals from several starts and keep the best.

    Parameters
    ----------
    residual : callable
        Weighted residuals of a parameter vector.
    starts : sequence of sequences
        First guesses.
    bounds : (lower, upper)
    scale : sequence of float
        Typical sizes of the parameters.
    known_noise : bool
        Whether the weights are absolute; otherwise uncertainties follow from the scatter.
    """
    low, high = (np.asarray(edge, dtype=np.float64) for edge in bounds)
    solutions = [
        least_squares(residual, np.clip(start, low, high), bounds=(low, high), x_scale=np.asarray(scale), method="trf")
        for start in starts
    ]
    best = min(solutions, key=lambda one: one.cost)
    freedom = len(best.fun) - len(best.x)
    chi2 = float(2 * best.cost)
    factor = 1.0 if known_noise else chi2 / max(freedom, 1)
    free = best.active_mask == 0
    err = np.full(len(best.x), np.nan)
    jacobian = best.jac[:, free] * np.asarray(scale)[free]
    if jacobian.size and np.linalg.matrix_rank(jacobian) == jacobian.shape[1]:
        covariance = np.linalg.inv(jacobian.T @ jacobian) * factor
        err[free] = np.sqrt(np.diag(covariance)) * np.asarray(scale)[free]
    return CurveFit(np.asarray(best.x), err, chi2, freedom)
