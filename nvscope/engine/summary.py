"""What the newest maps say, in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.config.polygons import polygon_mask
from nvscope.devices.sink import MapSummary
from nvscope.stream.messages import Maps


def summarize(maps: Maps, arrays: list[NDArray[Any]], roi: Sequence[tuple[float, float]] = ()) -> MapSummary:
    """Return medians over the pixels whose lines were fitted; that of δB over those in the region of interest.

    Parameters
    ----------
    maps : Maps
        Header.
    arrays : list of ndarray
        One (y, x) array per name.
    roi : sequence of (float, float)
        Vertices (x, y) of the region of interest as fractions; none, or none with a fitted pixel: the whole image.
    """
    by_name = dict(zip(maps.names, arrays, strict=True))

    def median(name: str) -> float:
        values = by_name.get(name)
        if values is None:
            return float("nan")
        finite = values[np.isfinite(values)]
        return float(np.median(finite)) if finite.size else float("nan")

    b_err = float(maps.summary.get("median_b_err", median("b_z_err")))
    if len(roi) > 2 and "b_z_err" in by_name:
        inside = by_name["b_z_err"][polygon_mask(roi, maps.shape)]
        inside = inside[np.isfinite(inside)]
        b_err = float(np.median(inside)) if inside.size else b_err
    return MapSummary(
        center=median("center"),
        half_splitting=median("half_splitting"),
        b_err=b_err,
        fitted_fraction=float(maps.summary.get("fitted_fraction", 0.0)),
        extra=dict(maps.summary),
    )
