"""Polygons of an image as pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def polygon_mask(vertices: Sequence[tuple[float, float]], shape: tuple[int, int]) -> Mask:
    """Return the pixels (y, x) whose centres lie inside a polygon given as fractions (x, y) of width and height."""
    rows, columns = shape
    y, x = (np.arange(rows)[:, None] + 0.5) / rows, (np.arange(columns)[None, :] + 0.5) / columns
    inside = np.zeros(shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(vertices, [*vertices[1:], vertices[0]], strict=True):
        if y0 != y1:  # every crossing of a ray to the right flips inside and outside
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside
