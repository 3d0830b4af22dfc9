"""What the newest maps say, in a few numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.devices.sink import MapSummary
from nvscope.stream.messages import Maps


def summarize(maps: Maps, arrays: list[NDArray[Any]]) -> MapSummary:
    """Return medians over the pixels whose lines were fitted.

    Parameters
    ----------
    maps : Maps
        Header.
    arrays : list of ndarray
        One (y, x) array per name.
    """
    by_name = dict(zip(maps.names, arrays, strict=True))

    def median(name: str) -> float:
        values = by_name.get(name)
        if values is None:
            return float("nan")
        finite = values[np.isfinite(values)]
        return float(np.median(finite)) if finite.size else float("nan")

    return MapSummary(
        center=median("center"),
        half_splitting=median("half_splitting"),
        b_err=float(maps.summary.get("median_b_err", median("b_z_err"))),
        fitted_fraction=float(maps.summary.get("fitted_fraction", 0.0)),
        extra=dict(maps.summary),
    )
