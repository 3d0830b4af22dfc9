"""A stack of spectra, and the same at half its resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nvscope.odmr.known_field import EXPECTED_WIDTH, PairSearch
from nvscope.odmr.noise import Weights
from nvscope.odmr.parallel import blocks, for_all
from nvscope.odmr.setup import Setup
from nvscope.odmr.shapes import SAFE_FAST

__all__ = ["Stack", "spread_out"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stack:
    """Spectra of a grid of pixels, and where their lines may begin.

    Attributes
    ----------
    setup : Setup
        What all pixels share; its weights are those of this stack.
    signal : (frequency, y, x)
        Any real type.
    start : (0 or pixel, parameter)
        Centres, then widths, in units of x; not-finite rows are guessed.
    search : PairSearch, optional
        Finds centres instead.
    """

    setup: Setup
    signal: NDArray[Any]
    start: Array
    search: PairSearch | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.signal.shape[1]), int(self.signal.shape[2])

    @cached_property
    def spectra(self) -> NDArray[Any]:
        """The signal, (frequency, pixel); a copy where rows do not follow each other in memory, made once."""
        return self.signal.reshape(self.signal.shape[0], -1)

    def root(self, pixels: Indices | slice) -> Array:
        """Square roots of the weights of some pixels, (1 or pixel, frequency)."""
        root = self.setup.weights.root
        return root if root.shape[0] == 1 else root[pixels]

    def starts(self, pixels: Indices | slice) -> Array:
        """Where some pixels may begin, (0 or pixel, parameter)."""
        if self.search is not None:
            lines = (self.search.lines(self.spectra[:, pixels]).T - self.setup.middle) / self.setup.unit
            return np.hstack([lines, np.full(lines.shape, EXPECTED_WIDTH / self.setup.unit)])
        return self.start[pixels] if len(self.start) else self.start

    def half(self, threads: int = 1) -> Stack:
        """Average over squares of two by two pixels."""
        setup = replace(self.setup, weights=binned_weights(self.setup.weights, self.grid))
        start = self.start
        if len(start):
            fine = np.ascontiguousarray(start).reshape(*self.grid, -1)
            coarse = np.empty((self.grid[0] // 2, self.grid[1] // 2, fine.shape[2]))
            for_all(
                lambda rows: middle_of_squares(fine, rows.start, rows.stop, coarse), blocks(len(coarse), 8), threads
            )
            start = coarse.reshape(-1, fine.shape[2])
        return Stack(setup, binned(self.signal, threads), start, self.search)


def binned(signal: NDArray[np.generic], threads: int = 1) -> Array:
    """Average (frequency, y, x) over squares of two by two; an odd edge is left out. NaNs are left out of the mean."""
    out = np.empty((signal.shape[0], signal.shape[1] // 2, signal.shape[2] // 2))
    real = (
        signal if signal.dtype.kind in "iu" or signal.dtype in (np.float32, np.float64) else signal.astype(np.float64)
    )
    real = np.ascontiguousarray(real)
    for_all(lambda part: average_squares(real[part], out[part]), blocks(len(out), 1), threads)
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


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def middle_of_squares(fine, begin, end, coarse):  # type: ignore[no-untyped-def]
    """Fill rows of `coarse`, (y/2, x/2, value), from squares of `fine`, (y, x, value).

    The middle two of four values are averaged; of three that are known the middle one is taken, of fewer none.
    """
    for y in range(begin, end):
        for x in range(coarse.shape[1]):
            for k in range(coarse.shape[2]):
                total, low, high, count = 0.0, math.inf, -math.inf, 0
                for j in range(2 * y, 2 * y + 2):
                    for i in range(2 * x, 2 * x + 2):
                        value = fine[j, i, k]
                        if math.isfinite(value):
                            total += value
                            low, high = min(low, value), max(high, value)
                            count += 1
                coarse[y, x, k] = (total - low - high) / (count - 2) if count > 2 else math.nan


def binned_weights(weights: Weights, grid: tuple[int, ...]) -> Weights:
    """Weights of what `binned` returns, points missing here and there not considered."""
    root = weights.root
    if root.shape[0] > 1:
        stack = root.T.reshape(-1, *grid)
        coarse = binned(stack**2)
        root = np.ascontiguousarray(np.sqrt(coarse).reshape(coarse.shape[0], -1).T)
    return replace(weights, root=2.0 * root)


def spread_out(coarse: Array, grid: tuple[int, ...], pixels: Indices, threads: int = 1) -> Array:
    """Give each of `pixels` of a `grid` the values of the square of `coarse`, (…, y/2, x/2), that it lies in."""
    values = np.ascontiguousarray(coarse).reshape(-1, *coarse.shape[-2:])
    out = np.empty((len(values), pixels.size))
    for_all(
        lambda part: take_squares(values, pixels, grid[1], part.start, part.stop, out), blocks(pixels.size), threads
    )
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def take_squares(coarse, pixels, width, begin, end, out):  # type: ignore[no-untyped-def]
    """Fill columns of `out`, (value, pixel), from `coarse`, (value, y/2, x/2); an odd edge takes what is beside it."""
    for t in range(begin, end):
        y = min(pixels[t] // width // 2, coarse.shape[1] - 1)
        x = min(pixels[t] % width // 2, coarse.shape[2] - 1)
        for k in range(out.shape[0]):
            out[k, t] = coarse[k, y, x]
