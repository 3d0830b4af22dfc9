"""How well B is known in a region, as one number that averaging can aim at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["median_b_err"]

_DARK = 4
"""`nvscope.odmr.FitStatus.invalid`: nothing could be measured there, however long."""


def median_b_err(maps: Mapping[str, NDArray[Any]], inside: NDArray[np.bool_]) -> float:
    """Return the error of B (T) that half of the pixels in a region have reached.

    A pixel whose lines are not found yet has an error without bound: left out, a region in which only the best pixels
    are fitted would look better than it is. Pixels in which nothing can be measured, without light, do not count.

    Parameters
    ----------
    maps : mapping of str to ndarray, shape (y, x)
        ``b_z_err`` (T, NaN where B was not measured) and, where there is one, ``status``.
    inside : ndarray of bool, shape (y, x)
        The region.

    Returns
    -------
    float
        Infinite where half of the pixels or more are without B; NaN where no pixel counts.
    """
    errors = maps.get("b_z_err")
    if errors is None:
        return float("nan")
    status = maps.get("status")
    counted = errors[inside if status is None else inside & (status != _DARK)]
    if not counted.size:
        return float("nan")
    return float(np.median(np.where(np.isfinite(counted), counted, np.inf)))
