"""What pixels have to do with their neighbours: means of blocks, interpolation, medians, who fits best next door."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nvscope.analysis.joint.spectra import BiasSpectra

FloatArray = NDArray[np.float64]
Shape = tuple[int, int]

_MOST_BLOCKS = 8
"""Blocks along an edge of the image."""
_NEXT = ((0, 1), (0, -1), (1, 0), (-1, 0))
SIDES = len(_NEXT)


def blocks(spectra: Sequence[BiasSpectra], shape: Shape) -> tuple[list[BiasSpectra], Shape]:
    """Return spectra averaged over blocks of pixels, and how many blocks there are along y and x."""
    rows, columns = (max(1, min(_MOST_BLOCKS, n // 2)) for n in shape)
    y, x = np.mgrid[: shape[0], : shape[1]]
    where = ((y * rows // shape[0]) * columns + x * columns // shape[1]).ravel()

    def average(one: BiasSpectra) -> BiasSpectra:
        good = np.isfinite(one.signal) & np.isfinite(one.noise)
        count, light, squares = (np.zeros((rows * columns, one.frequency.size)) for _ in range(3))
        np.add.at(count, where, good)
        np.add.at(light, where, np.where(good, one.signal, 0.0))
        np.add.at(squares, where, np.where(good, one.noise**2, 0.0))
        with np.errstate(invalid="ignore"):
            return BiasSpectra(one.field, one.frequency, light / count, np.sqrt(squares) / count)

    return [average(one) for one in spectra], (rows, columns)


def spread(values: FloatArray, grid: Shape, shape: Shape) -> FloatArray:
    """Interpolate what blocks have (block, n) to pixels (pixel, n)."""
    y, x = ((np.arange(n) + 0.5) * g / n - 0.5 for n, g in zip(shape, grid, strict=True))
    places = np.array(np.meshgrid(y, x, indexing="ij"))
    images = np.moveaxis(values.reshape(*grid, -1), 2, 0)
    columns = [ndimage.map_coordinates(image, places, order=1, mode="nearest").ravel() for image in images]
    return np.stack(columns, axis=1)


def median(values: FloatArray, shape: Shape, size: int = 5) -> FloatArray:
    """Median over size × size pixels of every column of (pixel, n)."""
    images = values.reshape(*shape, -1)
    filtered = ndimage.median_filter(images, size=(size, size, 1), mode="nearest")
    return np.asarray(filtered.reshape(values.shape), dtype=np.float64)


def slopes(values: FloatArray, shape: Shape) -> tuple[FloatArray, FloatArray]:
    """How fast columns of (pixel, n) change along y and x, per pixel."""
    images = values.reshape(*shape, -1)
    y, x = (np.asarray(np.gradient(images, axis=axis)) if shape[axis] > 1 else np.zeros_like(images) for axis in (0, 1))
    return y.reshape(values.shape), x.reshape(values.shape)


def best_neighbour(values: FloatArray, score: FloatArray, shape: Shape) -> tuple[FloatArray, FloatArray]:
    """Return the least score (pixel,) among the four next to each pixel, and the values (pixel, n) found there."""
    images, scores = values.reshape(*shape, -1), score.reshape(shape)
    best, taken = np.full(shape, np.inf), images.copy()
    for dy, dx in _NEXT:
        to = tuple(slice(max(0, d), n + min(0, d)) for d, n in zip((dy, dx), shape, strict=True))
        at = tuple(slice(max(0, -d), n + min(0, -d)) for d, n in zip((dy, dx), shape, strict=True))
        better = scores[at] < best[to]
        best[to][better] = scores[at][better]
        taken[to][better] = images[at][better]
    return best.ravel(), taken.reshape(values.shape)


def neighbours(values: FloatArray, shape: Shape) -> list[FloatArray]:
    """Return what each of the four neighbours has, (pixel, n) for each side; at the edge, one's own."""
    images = values.reshape(*shape, -1)
    padded = np.pad(images, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows, columns = shape
    return [padded[1 + y : 1 + y + rows, 1 + x : 1 + x + columns].reshape(values.shape) for y, x in _NEXT]


def excess_scatter(values: FloatArray, variance: FloatArray, shape: Shape) -> float:
    """Return how much more columns of (pixel, n) scatter than their variances say, at least 1.

    From second differences, which what is smooth hardly enters: their variance is six times that of a pixel.
    """
    images, spreads = values.reshape(*shape, -1), variance.reshape(*shape, -1)
    ratios = []
    for axis in (0, 1):
        moved, noise = np.moveaxis(images, axis, 0), np.moveaxis(spreads, axis, 0)
        second = moved[:-2] - 2 * moved[1:-1] + moved[2:]
        ratios.append((np.abs(second) / np.sqrt(noise[:-2] + 4 * noise[1:-1] + noise[2:])).ravel())
    every = np.concatenate(ratios)
    return max(1.0, float(np.median(every)) / 0.6745) if every.size else 1.0
