"""Contrast, width and δB of the lines against microwave power.

More power deepens the lines until the transition saturates, and widens them without end (Dréau et al., Phys. Rev. B 84,
195204 (2011)): δB has a minimum. It is flat, and power heats, so the least power that comes close is named as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.dataset import RunData

FloatArray = NDArray[np.float64]

PURPOSE = "calibrate-microwave"
CLOSE = 1.05
"""δB relative to the best within which a smaller power will do."""
_USABLE = 0.5
"""Share of pixels that must be fitted for a power to be compared."""


@dataclass(frozen=True, eq=False)
class MicrowavePower:
    """Medians over the pixels that were fitted at every usable power, ascending in power.

    Attributes
    ----------
    power_dbm : ndarray, shape (power,)
        At the source.
    contrast, width, b_err : ndarray
        |contrast| and half width (Hz), mean of both lines, and δB (T) of the same number of frames; NaN where fewer
        than half of the pixels were fitted.
    fitted : ndarray
        Share of pixels fitted.
    best, enough : int
        Index of the smallest δB, and of the least power within 5 % of it.
    pixels : int
    """

    power_dbm: FloatArray
    contrast: FloatArray
    width: FloatArray
    b_err: FloatArray
    fitted: FloatArray
    best: int
    enough: int
    pixels: int


def compare_powers(
    power_dbm: FloatArray, contrast: FloatArray, width: FloatArray, b_err: FloatArray
) -> MicrowavePower | None:
    """Compare powers in the same pixels; None if none was usable.

    Parameters
    ----------
    power_dbm : ndarray, shape (power,)
    contrast, width, b_err : ndarray, shape (power, pixel)
        NaN where a pixel was not fitted. The pixels that fit at little power are the best ones: medians over different
        pixels would favour it.
    """
    order = np.argsort(power_dbm)
    power_dbm, contrast, width, b_err = power_dbm[order], contrast[order], width[order], b_err[order]
    known = np.isfinite(b_err)
    fitted = known.mean(axis=1)
    usable = fitted > _USABLE
    if not usable.any():
        return None
    common = known[usable].all(axis=0)
    if not common.any():
        return None

    def medians(values: FloatArray) -> FloatArray:
        found = np.full(len(values), np.nan)
        found[usable] = np.median(values[usable][:, common], axis=1)
        return found

    errors = medians(b_err)
    best = int(np.nanargmin(errors))
    enough = int(np.flatnonzero(errors <= CLOSE * errors[best])[0])
    return MicrowavePower(
        power_dbm, medians(np.abs(contrast)), medians(width), errors, fitted, best, enough, int(common.sum())
    )


def measure_power(run: RunData) -> MicrowavePower | None:
    """Return what a run says about microwave power, None if it did not vary it."""
    points = [p for p in run.points if p.purpose == PURPOSE and "b_z_err" in p.maps]
    if len(points) < 2:
        return None

    def stack(name: str) -> FloatArray:
        return np.array([p.map(name).ravel() for p in points])

    power = np.array([float(p.attrs["microwave_power_dbm"]) for p in points])
    contrast = (np.abs(stack("contrast_minus")) + np.abs(stack("contrast_plus"))) / 2
    return compare_powers(power, contrast, (stack("width_minus") + stack("width_plus")) / 2, stack("b_z_err"))
