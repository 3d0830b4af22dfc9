"""What the newest maps say, in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.config.polygons import Vertices, union_mask
from nvscope.devices.sink import MapSummary
from nvscope.stream.messages import Maps
from nvscope.stream.region_error import median_b_err

_LINES = ("f_minus", "f_plus", "contrast_minus", "contrast_plus", "width_minus", "width_plus")
_PIXELS = 256
"""Pixels whose lines are told: enough to know where the lines of a region are."""


def summarize(maps: Maps, arrays: list[NDArray[Any]], region: Sequence[Vertices] = ()) -> MapSummary:
    """Return medians over the pixels whose lines were fitted, and the error of B that the region that matters has.

    Parameters
    ----------
    maps : Maps
        Header.
    arrays : list of ndarray
        One (y, x) array per name.
    region : sequence of polygons
        Vertices (x, y) as fractions of the image; none, or none with a pixel in it: the whole image.
    """
    by_name = dict(zip(maps.names, arrays, strict=True))
    fitted = np.isfinite(by_name["b_z_err"]) if "b_z_err" in by_name else np.zeros(maps.shape, bool)
    inside = union_mask(region, maps.shape) if region else np.ones(maps.shape, bool)
    if not inside.any():
        inside = np.ones(maps.shape, bool)
    chosen = fitted & inside if (fitted & inside).any() else fitted  # lines from elsewhere are better than none

    def median(name: str, where: NDArray[np.bool_] | None = None) -> float:
        values = by_name.get(name)
        if values is None:
            return float("nan")
        values = values if where is None else values[where]
        finite = values[np.isfinite(values)]
        return float(np.median(finite)) if finite.size else float("nan")

    return MapSummary(
        center=median("center"),
        half_splitting=median("half_splitting"),
        b_err=median_b_err(by_name, inside),
        fitted_fraction=float(maps.summary.get("fitted_fraction", 0.0)),
        extra=dict(maps.summary),
        region_fraction=float(fitted[inside].mean()),
        chi2_reduced=median("chi2_reduced", chosen),
        lines=_lines(by_name, chosen),
    )


def _lines(by_name: dict[str, NDArray[Any]], chosen: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """Return the lines of some of the chosen pixels, evenly picked, where all of them are numbers."""
    if not by_name.keys() >= set(_LINES):
        return {}
    lines = np.stack([by_name[name][chosen] for name in _LINES]).astype(np.float64)
    lines = lines[:, np.isfinite(lines).all(axis=0) & (lines[1] > lines[0]) & (lines[4:] > 0).all(axis=0)]
    picked = lines[:, :: max(1, lines.shape[1] // _PIXELS)]
    return dict(zip(_LINES, picked, strict=True)) if picked.shape[1] else {}
