"""What the pixels around one say about its lines, and the same stack at half its resolution."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.noise import Weights

__all__ = ["Surroundings", "binned", "binned_weights", "spread_out", "surroundings"]

Array = NDArray[np.float64]

RADIUS = 2  # pixels
ENOUGH = 4  # neighbours that make an opinion


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Medians over the neighbours of some pixels; NaN where too few are sure.

    Attributes
    ----------
    lines : (parameter, pixel)
        What is known of the lines, in the order asked for.
    spread : (parameter, pixel)
        Robust standard deviation of the same.
    """

    lines: Array
    spread: Array


def surroundings(lines: Array, sure: NDArray[np.bool_], chosen: NDArray[np.int64]) -> Surroundings:
    """Look around pixels of a grid.

    Parameters
    ----------
    lines : ndarray, shape (parameter, y, x)
        Fitted parameters.
    sure : ndarray, shape (y, x)
        Neighbours to be listened to.
    chosen : ndarray
        Flat indices of the pixels to look around; their own values do not count.
    """
    height, width = sure.shape
    span = range(-RADIUS, RADIUS + 1)
    offsets = np.array([(dy, dx) for dy in span for dx in span if (dy, dx) != (0, 0)])
    y = chosen[:, None] // width + offsets[:, 0]
    x = chosen[:, None] % width + offsets[:, 1]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    place = np.where(inside, y * width + x, 0)
    heard = inside & sure.ravel()[place]
    enough = heard.sum(axis=1) >= ENOUGH
    middle = np.full((lines.shape[0], chosen.size), np.nan)
    spread = np.full_like(middle, np.nan)
    if enough.any():
        for k, values in enumerate(lines.reshape(lines.shape[0], -1)):
            around = np.where(heard[enough], values[place[enough]], np.nan)
            middle[k, enough] = np.nanmedian(around, axis=1)
            spread[k, enough] = 1.4826 * np.nanmedian(np.abs(around - middle[k, enough, None]), axis=1)
    return Surroundings(middle, spread)


def binned(signal: NDArray[np.generic]) -> Array:
    """Average (frequency, y, x) over squares of two by two; an odd edge is left out. NaNs are left out of the mean."""
    height, width = signal.shape[1] // 2 * 2, signal.shape[2] // 2 * 2
    parts = signal[:, :height, :width].astype(np.float64).reshape(signal.shape[0], height // 2, 2, width // 2, 2)
    there = np.isfinite(parts)
    count = there.sum(axis=(2, 4))
    with np.errstate(invalid="ignore"):
        mean: Array = np.where(there, parts, 0.0).sum(axis=(2, 4)) / np.where(count > 0, count, np.nan)
    return mean


def binned_weights(weights: Weights, grid: tuple[int, ...]) -> Weights:
    """Weights of what `binned` returns, points missing here and there not considered."""
    root = weights.root
    if root.shape[0] > 1:
        stack = root.T.reshape(-1, *grid)
        coarse = binned(stack**2)
        root = np.ascontiguousarray(np.sqrt(coarse).reshape(coarse.shape[0], -1).T)
    return replace(weights, root=2.0 * root)


def spread_out(coarse: Array, grid: tuple[int, ...]) -> Array:
    """Give every pixel of `grid` the value of the square of `coarse`, (…, y/2, x/2), that it lies in."""
    rows = np.minimum(np.arange(grid[0]) // 2, coarse.shape[-2] - 1)
    columns = np.minimum(np.arange(grid[1]) // 2, coarse.shape[-1] - 1)
    wide: Array = coarse[..., rows, :][..., columns]
    return wide
