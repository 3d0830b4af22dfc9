"""Polygons of an image as pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from nvscope.config.models import Loading

Mask = NDArray[np.bool_]
Vertices = Sequence[tuple[float, float]]
Crop = tuple[int, int, int, int]
"""Part of an image that is read out: x, y, width, height in pixels."""


def union_mask(polygons: Iterable[Vertices], shape: tuple[int, int]) -> Mask:
    """Return the pixels inside any of the polygons."""
    mask = np.zeros(shape, dtype=bool)
    for vertices in polygons:
        mask |= polygon_mask(vertices, shape)
    return mask


def cropped(vertices: Vertices, crop: Crop, shape: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    """Return vertices given as fractions of an image of `shape` (y, x) as fractions of a part of it."""
    left, top, width, height = crop
    return tuple(((x * shape[1] - left) / width, (y * shape[0] - top) / height) for x, y in vertices)


def cropped_loading(loading: Loading, crop: Crop, shape: tuple[int, int]) -> Loading:
    """Return a loading as a part of the image of `shape` (y, x) shows it: outlines and field of view."""
    polygons = tuple(
        polygon.model_copy(update={"vertices": cropped(polygon.vertices, crop, shape)}) for polygon in loading.polygons
    )
    extent = loading.field_of_view * max(crop[2:]) / max(shape)
    return loading.model_copy(update={"polygons": polygons, "field_of_view": extent})


def polygon_mask(vertices: Vertices, shape: tuple[int, int]) -> Mask:
    """Return the pixels (y, x) whose centres lie inside a polygon given as fractions (x, y) of width and height."""
    rows, columns = shape
    y, x = (np.arange(rows)[:, None] + 0.5) / rows, (np.arange(columns)[None, :] + 0.5) / columns
    inside = np.zeros(shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(vertices, [*vertices[1:], vertices[0]], strict=True):
        if y0 != y1:  # every crossing of a ray to the right flips inside and outside
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside
