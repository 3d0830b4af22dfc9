"""The aligned pair among the lines of other groups, where its centre is known and its splitting is not.

At H = 0 under stress the off-axis groups have lines of the other sign and of any depth beside, between and on the
aligned pair: two lines are not the whole spectrum, and nothing in it says which two are the pair. A map of the same
pixels at the same temperature in a field says it: there the pair is plain, and its centre D + Π_Z, the sum of its
depths and its width are those at H = 0, but for γ²B⊥²/D (0.1 MHz at 6 G). With these as Gaussian priors a pair of
unknown half splitting is fitted together with as many other lines as the spectrum asks for.
"""

# mypy: allow-untyped-calls
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.odmr.about_search import fit_block
from nvscope.odmr.parallel import available_cores, for_all

__all__ = ["PairAbout", "fit_pair_about"]

FloatArray = NDArray[np.float64]

_BLOCK = 64
"""Pixels a thread takes at a time."""


@dataclass(frozen=True, eq=False)
class PairAbout:
    """The pair of every pixel; arrays of shape (pixel,).

    Attributes
    ----------
    half_splitting, half_splitting_err : ndarray
        Hz; NaN where there is no pair to be seen. The error is scaled by the scatter about the fit.
    center, center_err : ndarray
        Hz, the prior included.
    others : ndarray of int
        Lines that were fitted beside the pair.
    chi2_reduced : ndarray
        Relative to the noise given.
    """

    half_splitting: FloatArray
    half_splitting_err: FloatArray
    center: FloatArray
    center_err: FloatArray
    others: NDArray[np.int64]
    chi2_reduced: FloatArray


def fit_pair_about(
    frequency: ArrayLike,
    signal: ArrayLike,
    noise: ArrayLike,
    center: ArrayLike,
    center_err: ArrayLike,
    depth: ArrayLike,
    width: ArrayLike,
    threads: int | None = None,
) -> PairAbout:
    """Fit a pair about a known centre, among up to six other lines.

    Parameters
    ----------
    frequency : array-like, shape (frequency,)
        Hz, ascending.
    signal, noise : array-like, shape (frequency, pixel)
        Spectra and their 1-σ noise.
    center, center_err : array-like, shape (pixel,)
        Centre of the pair (Hz) and its uncertainty; pixels where it is not finite are left out.
    depth : array-like, shape (pixel,)
        Sum of the two amplitudes relative to the level, signed.
    width : array-like, shape (pixel,)
        Half width at half depth (Hz).
    threads : int, optional
        Default: as many as there are cores.

    Raises
    ------
    ValueError
        If the shapes do not agree.
    """
    f = np.asarray(frequency, dtype=np.float64)
    y, sigma = (np.ascontiguousarray(np.asarray(a, dtype=np.float64).T) for a in (signal, noise))
    priors = [np.asarray(a, dtype=np.float64) for a in (center, center_err, depth, width)]
    if y.shape != sigma.shape or y.shape != (priors[0].size, f.size):
        raise ValueError(
            f"signal and noise must have shape (frequency, pixel) = ({f.size}, {priors[0].size}), "
            f"got {y.T.shape} and {sigma.T.shape}"
        )
    known = np.column_stack([*priors, np.median(y, axis=1)])
    fit = np.isfinite(known).all(axis=1) & np.isfinite(y).all(axis=1) & np.isfinite(1 / sigma).all(axis=1)
    fit &= (known[:, 2] != 0) & (known[:, 3] > 0) & (known[:, 4] > 0)
    y, sigma, known = y[fit], sigma[fit], known[fit]
    found = np.full((y.shape[0], 6), np.nan)

    def work(part: slice) -> None:
        fit_block(f, y[part], sigma[part], known[part], found[part])

    for_all(
        work, [slice(first, first + _BLOCK) for first in range(0, y.shape[0], _BLOCK)], threads or available_cores()
    )
    out = np.full((fit.size, 6), np.nan)
    out[fit] = found
    half, half_err, middle, middle_err, others, chi2 = out.T
    return PairAbout(half, half_err, middle, middle_err, np.nan_to_num(others).astype(np.int64), chi2)
