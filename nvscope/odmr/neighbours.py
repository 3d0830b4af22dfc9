"""What the pixels around one say about its lines, and the same stack at half its resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nvscope.odmr.noise import Weights
from nvscope.odmr.shapes import SAFE_FAST

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
    middle = np.empty((lines.shape[0], chosen.size))
    spread = np.empty_like(middle)
    medians_around(np.ascontiguousarray(lines, np.float64), sure, chosen, middle, spread)
    return Surroundings(middle, spread)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def medians_around(lines, sure, chosen, middle, spread):  # type: ignore[no-untyped-def]
    """Fill `middle` and `spread`, (parameter, chosen), from the sure pixels up to `RADIUS` away."""
    height, width = sure.shape
    heard = np.empty((2 * RADIUS + 1) ** 2, np.int64)
    values = np.empty(heard.size)
    for t in range(chosen.size):
        y, x = chosen[t] // width, chosen[t] % width
        count = 0
        for j in range(max(y - RADIUS, 0), min(y + RADIUS + 1, height)):
            for i in range(max(x - RADIUS, 0), min(x + RADIUS + 1, width)):
                if sure[j, i] and (j != y or i != x):
                    heard[count] = j * width + i
                    count += 1
        for k in range(lines.shape[0]):
            middle[k, t] = math.nan
            spread[k, t] = math.nan
            if count >= ENOUGH:
                for n in range(count):
                    values[n] = lines[k, heard[n] // width, heard[n] % width]
                middle[k, t] = sorted_median(values, count)
                for n in range(count):
                    values[n] = abs(values[n] - middle[k, t])
                spread[k, t] = 1.4826 * sorted_median(values, count)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def sorted_median(values, count):  # type: ignore[no-untyped-def]
    """Sort the leading `count` values in place and return their median."""
    for n in range(1, count):
        value = values[n]
        m = n
        while m > 0 and values[m - 1] > value:
            values[m] = values[m - 1]
            m -= 1
        values[m] = value
    return 0.5 * (values[count // 2] + values[(count - 1) // 2])


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
