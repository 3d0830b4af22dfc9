"""What the pixels around one say about its lines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nvscope.odmr.parallel import blocks, for_all
from nvscope.odmr.shapes import SAFE_FAST

__all__ = ["Surroundings", "roughness", "surroundings"]

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
        return Surroundings(np.ascontiguousarray(self.lines[:, pixels]), np.ascontiguousarray(self.spread[:, pixels]))


def surroundings(lines: Array, sure: NDArray[np.bool_], chosen: NDArray[np.int64], threads: int = 1) -> Surroundings:
    """Look around pixels of a grid.

    Parameters
    ----------
    lines : ndarray, shape (4, y, x)
        c1, w1, c2, w2.
    sure : ndarray, shape (y, x)
        Neighbours to be listened to.
    chosen : ndarray
        Flat indices of the pixels to look around; their own values do not count.
    threads : int
        How many to use.
    """
    middle = np.empty((lines.shape[0], chosen.size))
    spread = np.empty((2, chosen.size))
    lines = np.ascontiguousarray(lines, np.float64)

    def look(part: slice) -> None:
        medians_around(lines, sure, chosen, part.start, part.stop, middle, spread)

    for_all(look, blocks(chosen.size), threads)
    apart = (spread > TOGETHER * middle[[1, 3]]).any(axis=0)
    middle[:, apart] = np.nan
    return Surroundings(middle, spread)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def medians_around(lines, sure, chosen, begin, end, middle, spread):  # type: ignore[no-untyped-def]
    """Fill columns of `middle`, (4, chosen), and `spread`, (2, chosen), from the sure pixels up to `RADIUS` away."""
    height, width = sure.shape
    heard = np.empty((2 * RADIUS + 1) ** 2, np.int64)
    values = np.empty(heard.size)
    for t in range(begin, end):
        y, x = chosen[t] // width, chosen[t] % width
        count = 0
        for j in range(max(y - RADIUS, 0), min(y + RADIUS + 1, height)):
            for i in range(max(x - RADIUS, 0), min(x + RADIUS + 1, width)):
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


def roughness(image: Array) -> Array:
    """By how much (…, y, x) differs from pixel to pixel: the standard deviation of noise, more where there are steps.

    NaN where nothing next to a pixel, or the pixel itself, is known.
    """
    out = np.empty_like(image)
    differences_around(image.reshape(-1, *image.shape[-2:]), out.reshape(-1, *image.shape[-2:]))
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def differences_around(images, out):  # type: ignore[no-untyped-def]
    """Fill `out` with the root mean square difference from the pixels beside, above and below, over √2."""
    count, height, width = images.shape
    for k in range(count):
        for y in range(height):
            for x in range(width):
                total, many = 0.0, 0
                for step in range(4):
                    j = y + (1 if step == 0 else -1 if step == 1 else 0)
                    i = x + (1 if step == 2 else -1 if step == 3 else 0)
                    if 0 <= j < height and 0 <= i < width:
                        apart = images[k, y, x] - images[k, j, i]
                        if math.isfinite(apart):
                            total += apart * apart
                            many += 1
                out[k, y, x] = math.sqrt(0.5 * total / many) if many > 0 else math.nan
