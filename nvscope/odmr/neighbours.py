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
TOGETHER = 2.0  # widths; lines that lie further apart than this are not an opinion


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Medians over the neighbours of some pixels; NaN where too few are sure, or where they do not agree.

    Attributes
    ----------
    lines : (4, pixel)
        c1, w1, c2, w2.
    spread : (2, pixel)
        Robust standard deviation of c1 and c2.
    """

    lines: Array
    spread: Array

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which pixels have surroundings that say something."""
        return np.asarray(np.isfinite(self.lines).all(axis=0))

    def of(self, pixels: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Surroundings:
        """Return the same for a choice of pixels."""
        return Surroundings(self.lines[:, pixels], self.spread[:, pixels])


def surroundings(
    lines: Array, sure: NDArray[np.bool_], chosen: NDArray[np.int64], radius: int = RADIUS
) -> Surroundings:
    """Look around pixels of a grid.

    Parameters
    ----------
    lines : ndarray, shape (4, y, x)
        c1, w1, c2, w2.
    sure : ndarray, shape (y, x)
        Neighbours to be listened to.
    chosen : ndarray
        Flat indices of the pixels to look around; their own values do not count.
    radius : int
        How far to look, in pixels.
    """
    middle = np.empty((lines.shape[0], chosen.size))
    spread = np.empty((2, chosen.size))
    medians_around(np.ascontiguousarray(lines, np.float64), sure, chosen, radius, middle, spread)
    apart = (spread > TOGETHER * middle[[1, 3]]).any(axis=0)
    middle[:, apart] = np.nan
    return Surroundings(middle, spread)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def medians_around(lines, sure, chosen, radius, middle, spread):  # type: ignore[no-untyped-def]
    """Fill `middle`, (4, chosen), and `spread`, (2, chosen), from the sure pixels up to `radius` away."""
    height, width = sure.shape
    heard = np.empty((2 * radius + 1) ** 2, np.int64)
    values = np.empty(heard.size)
    for t in range(chosen.size):
        y, x = chosen[t] // width, chosen[t] % width
        count = 0
        for j in range(max(y - radius, 0), min(y + radius + 1, height)):
            for i in range(max(x - radius, 0), min(x + radius + 1, width)):
                if sure[j, i] and (j != y or i != x):
                    heard[count] = j * width + i
                    count += 1
        middle[:, t] = math.nan
        spread[:, t] = math.nan
        if count < ENOUGH:
            continue
        for k in range(4):
            for n in range(count):
                values[n] = lines[k, heard[n] // width, heard[n] % width]
            middle[k, t] = sorted_median(values, count)
            if k % 2 == 0:
                for n in range(count):
                    values[n] = abs(values[n] - middle[k, t])
                spread[k // 2, t] = 1.4826 * sorted_median(values, count)


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
    out = np.empty((signal.shape[0], signal.shape[1] // 2, signal.shape[2] // 2))
    real = (
        signal if signal.dtype.kind in "iu" or signal.dtype in (np.float32, np.float64) else signal.astype(np.float64)
    )
    average_squares(np.ascontiguousarray(real), out)
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def average_squares(signal, out):  # type: ignore[no-untyped-def]
    """Fill `out`, (frequency, y/2, x/2), with means of what is finite of (frequency, y, x)."""
    for f in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                total, count = 0.0, 0
                for j in range(2 * y, 2 * y + 2):
                    for i in range(2 * x, 2 * x + 2):
                        value = float(signal[f, j, i])
                        there = math.isfinite(value)
                        total += value if there else 0.0
                        count += 1 if there else 0
                out[f, y, x] = total / count if count > 0 else math.nan


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
