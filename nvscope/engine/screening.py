"""Whether a sample still screens: the newest map against the run's own reference, while the run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.stream.messages import Maps

FloatArray = NDArray[np.float64]
FieldMap = tuple[float, FloatArray, FloatArray]

GRID = 16
"""Blocks along each edge over which s is averaged; about 2.5 µm each in a usual field of view."""
THRESHOLD = 0.01
SIGMAS = 4.0
"""256 blocks exceed this by chance in one map of sixty."""
_SAME_FIELD = 0.005


def screened_share(b: FloatArray, b_err: FloatArray, reference: FloatArray, reference_err: FloatArray) -> float:
    """Return the share of blocks in which s = B/B_reference differs from 1; NaN where nothing can be compared.

    A block differs if its weighted mean is off by more than `THRESHOLD` and by more than `SIGMAS` of its error.

    Parameters
    ----------
    b, b_err, reference, reference_err : ndarray, shape (y, x)
        T, 1 σ; NaN where not measured.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        s = b / reference
        weight = 1 / (s**2 * ((b_err / b) ** 2 + (reference_err / reference) ** 2))
    good = np.isfinite(s) & np.isfinite(weight)
    rows, columns = (np.arange(n) * GRID // max(n, GRID) if n >= GRID else np.arange(n) for n in b.shape)
    block = (rows[:, None] * GRID + columns[None, :])[good]
    total = np.bincount(block, weight[good], GRID * GRID)
    change = np.bincount(block, (weight * (s - 1))[good], GRID * GRID)
    known = total > 0
    if not known.any():
        return float("nan")
    mean, err = change[known] / total[known], 1 / np.sqrt(total[known])
    return float(np.mean((np.abs(mean) > THRESHOLD) & (np.abs(mean) > SIGMAS * err)))


class Screening:
    """Keeps the last reference and the newest map; told every map of the run.

    Parameters
    ----------
    opened : mapping
        What every point was opened with, by number; may grow.
    reference : tuple, optional
        Field (T), B and δB (T) of a reference taken before the run.
    """

    def __init__(self, opened: Mapping[int, Mapping[str, Any]], reference: FieldMap | None = None) -> None:
        self._opened = opened
        self._reference = reference
        self._newest: FieldMap | None = None

    def take(self, maps: Maps, arrays: list[NDArray[Any]]) -> None:
        """Keep a final field map."""
        images = dict(zip(maps.names, arrays, strict=True))
        if not maps.final or "b_z" not in images or "b_z_err" not in images:
            return
        attrs = self._opened.get(maps.point, {})
        kept = float(attrs.get("field", np.nan)), images["b_z"].astype(np.float64), images["b_z_err"].astype(np.float64)
        if attrs.get("purpose") == "reference":
            self._reference = kept
        else:
            self._newest = kept

    def share(self) -> float | None:
        """Return the share of the newest map in which s is not 1; None without a reference at the same field."""
        if self._reference is None or self._newest is None:
            return None
        (field, b, b_err), (at, reference, reference_err) = self._newest, self._reference
        if b.shape != reference.shape or not abs(field - at) <= _SAME_FIELD * abs(at):
            return None
        found = screened_share(b, b_err, reference, reference_err)
        return found if np.isfinite(found) else None
