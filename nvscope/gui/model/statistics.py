"""Numbers about the pixels of a region."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Statistics:
    """Of the finite values among `pixels` pixels; SI."""

    pixels: int
    finite: int
    mean: float
    mean_err: float
    scatter: float
    median: float
    low: float
    high: float


def statistics(values: NDArray[np.float64]) -> Statistics:
    """Return the statistics; `mean_err` is the scatter over √n, which holds where the pixels differ by noise alone."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Statistics(values.size, 0, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan)
    scatter = float(finite.std(ddof=1)) if finite.size > 1 else math.nan
    return Statistics(
        pixels=int(values.size),
        finite=int(finite.size),
        mean=float(finite.mean()),
        mean_err=scatter / math.sqrt(finite.size),
        scatter=scatter,
        median=float(np.median(finite)),
        low=float(finite.min()),
        high=float(finite.max()),
    )


_ENOUGH = 65536
"""Pixels from which a scale is read; more would not change it."""


def _few(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return finite values, thinned if there are very many."""
    flat = values.ravel()
    # an odd stride: an even one would see only some columns of the image
    chosen = flat[:: (flat.size // _ENOUGH) | 1]
    return chosen[np.isfinite(chosen)]


def spread_limits(values: NDArray[np.float64], percent: float = 0.5) -> tuple[float, float]:
    """Return limits that leave `percent` of the finite values out on either side; (0, 1) without any."""
    finite = _few(values)
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(one) for one in np.percentile(finite, [percent, 100 - percent]))
    if high > low:
        return low, high
    half = 0.5 * abs(low) * 1e-3 or 0.5
    return low - half, low + half


def centered_limits(values: NDArray[np.float64], center: float, smallest: float) -> tuple[float, float]:
    """Return limits symmetric about `center` that hold all but 0.5 % of the finite values."""
    finite = np.abs(_few(values) - center)
    reach = max(smallest, float(np.percentile(finite, 99.5))) if finite.size else smallest
    return center - reach, center + reach
