"""Fit a stack of pixels with many lines, or lines of other shapes, with what they know of each other.

Lines that overlap are dear to find without a start: the binned stack is fitted first, and pixels begin there. Pixels
that then make a bad fit are fitted again from what their neighbours found, and keep what is likelier.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.line_fit import LineFit
from nvscope.odmr.line_growth import CANCELLING
from nvscope.odmr.noise import usable_points
from nvscope.odmr.parallel import as_slice
from nvscope.odmr.solved import Solved
from nvscope.odmr.solving import solve
from nvscope.odmr.stack import Stack, spread_out

__all__ = ["solve_line_stack"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

COARSEST = 6  # pixels along an edge below which binning stops
SAMPLE = 60  # pixels that show whether a binned stack helps
FEW = 30  # pixels that show how well one or two lines can be fitted
HELPED = 0.5  # share of them that must be content with what it says
WORSE = 4.0  # excess of chi2 over that of good pixels, in its own scatter, that is not believed
USUAL = 0.25  # share of pixels that are fitted as well as can be
ROUNDS = 6  # times that neighbours are asked
LACKING = 2  # ... where a spectrum is explained, but not by as many lines as it should have
MISSING = 8.0  # what a line that is not significant counts, in chi2


def solve_line_stack(stack: Stack, threads: int, *, neighbours: bool = True) -> Solved:
    """Fit lines to all pixels of a stack, which may ask each other if they are `neighbours`."""
    engine = LineFit(stack.setup, ascending=not len(stack.start))
    every = np.arange(stack.spectra.shape[1])
    told = np.empty((0, 0))
    if neighbours and engine.setup.lines > 2 and not len(stack.start):
        told = _told_beforehand(stack, engine, threads)
    solved = _solve(stack, engine, every, told if len(told) else stack.start, threads)
    if neighbours:
        _ask_neighbours(stack, engine, solved, threads)
    if len(told):
        misled = np.flatnonzero(np.isfinite(told).all(axis=1) & ~_fits(engine, solved))
        _guess(stack, solved, misled, threads)
        _ask_neighbours(stack, engine, solved, threads)
    elif engine.setup.lines <= 2:  # more were guessed with care, or began where somebody knew which is which
        sample = every[:: -(-every.size // FEW)]
        _guess(stack, solved, sample, threads)
        odd = ~_fits(engine, solved, solved.of(sample)) | (_cancelling(engine, solved.table) > 0)
        _guess(stack, solved, np.flatnonzero(odd), threads)
    return solved


def _told_beforehand(stack: Stack, engine: LineFit, threads: int) -> Array:
    """Where the binned stack says that lines are, (pixel or 0, parameter), if most of a sample are content with it."""
    if min(stack.grid) < 2 * COARSEST:
        return np.empty((0, 0))
    told = _from_half(stack, np.arange(stack.spectra.shape[1]), threads)
    known = np.flatnonzero(np.isfinite(told).all(axis=1))
    sample = known[:: max(1, known.size // SAMPLE)]
    helped = sample.size and _content(engine, _solve(stack, engine, sample, told[sample], threads)).mean() > HELPED
    return told if helped else np.empty((0, 0))


def _guess(stack: Stack, solved: Solved, pixels: Indices, threads: int) -> None:
    """Fit `pixels` again without a start, and keep what is likelier."""
    careful = LineFit(stack.setup, grow=True)
    unknown = np.full((stack.spectra.shape[1], careful.setup.lines + careful.widths), np.nan)
    _try(stack, careful, solved, pixels, unknown, threads)


def _solve(stack: Stack, engine: LineFit, pixels: Indices, start: Array, threads: int) -> Solved:
    some = as_slice(pixels)
    return solve(engine, stack.spectra[:, some], start, threads, stack.root(some))


def _try(stack: Stack, engine: LineFit, solved: Solved, pixels: Indices, start: Array, threads: int) -> None:
    """Fit `pixels` again from `start`, of all pixels, and keep what is likelier."""
    if not pixels.size:
        return
    found = _solve(stack, engine, pixels, start[pixels], threads)
    used = np.maximum(usable_points(stack.spectra[:, pixels], stack.root(pixels)), 1)
    better = np.flatnonzero(_score(engine, found, used) < _score(engine, solved.of(pixels), used))
    solved.put(pixels[better], found.of(better))


def _ask_neighbours(stack: Stack, engine: LineFit, solved: Solved, threads: int) -> None:
    """Fit bad pixels again from what the pixels beside them found, in place."""
    height, width = stack.grid
    tried = np.full((8, height * width), -1)
    for turn in range(ROUNDS):
        content = _content(engine, solved)
        lacking = ~content if turn < LACKING else ~_fits(engine, solved)
        chi2 = np.where(content, solved.table[6 * engine.setup.lines + 6], np.inf)
        source = _best_beside(chi2.reshape(height, width), tried)
        asked = np.flatnonzero(lacking & (source >= 0) & np.isfinite(solved.table[0]))
        if not asked.size:
            return
        tried[turn % 8, asked] = source[asked]
        start = np.full((height * width, engine.setup.lines + engine.widths), np.nan)
        start[asked] = engine.parameters(solved.table[:, source[asked]]).T
        _try(stack, engine, solved, asked, start, threads)


def _best_beside(chi2: Array, tried: NDArray[np.int64]) -> Indices:
    """Return, for every pixel, which of the eight around it fits best and has not been `tried`; -1 if none does."""
    height, width = chi2.shape
    padded = np.pad(chi2, 1, constant_values=np.inf)
    index = np.pad(np.arange(chi2.size).reshape(chi2.shape), 1, constant_values=-1)
    least, best = np.full(chi2.size, np.inf), np.full(chi2.size, -1)
    for down in (0, 1, 2):
        for right in (0, 1, 2):
            if down == right == 1:
                continue
            there = padded[down : down + height, right : right + width].ravel()
            where = index[down : down + height, right : right + width].ravel()
            better = (there < least) & ~(tried == where).any(axis=0)
            least, best = np.where(better, there, least), np.where(better, where, best)
    return best


def _from_half(stack: Stack, pixels: Indices, threads: int) -> Array:
    """Where lines are in the stack at half its resolution, (pixel, parameter); NaN where it does not know."""
    coarse = stack.half(threads)
    engine = LineFit(coarse.setup)
    solved = solve_line_stack(coarse, threads)
    told = np.where(_content(engine, solved), engine.parameters(solved.table), np.nan)
    return spread_out(told.reshape(-1, *coarse.grid), stack.grid, pixels, threads).T


def _content(engine: LineFit, solved: Solved) -> Mask:
    """Which pixels have all their lines, and fit as well as others do."""
    return (solved.status == 0) & _fits(engine, solved)


def _fits(engine: LineFit, solved: Solved, others: Solved | None = None) -> Mask:
    """Which pixels fit as well as others that have all their lines."""
    chi2, good = 6 * engine.setup.lines + 6, (others or solved).status == 0
    if not good.any():
        return np.zeros(solved.status.size, np.bool_)
    freedom = max(1, engine.setup.x.size - 3 * engine.setup.lines - 1)
    usual = np.quantile((others or solved).table[chi2, good], USUAL)
    result: Mask = solved.table[chi2] < usual * (1 + WORSE * np.sqrt(2 / freedom))
    return result


def _score(engine: LineFit, solved: Solved, used: Indices) -> Array:
    """Bayesian information criterion, and what counts against lines besides; lower is better."""
    setup, table = engine.setup, solved.table
    n = setup.lines
    parameters = solved.counts[2] + 1 + 2 * n + engine.widths
    chi2 = table[6 * n + 6] * np.maximum(used - parameters, 1)
    misfit = chi2 if setup.weights.known else used * np.log(np.maximum(chi2, 1e-300))
    points = misfit + parameters * np.log(used) + MISSING * (n - np.minimum(solved.counts[1], n))
    points += MISSING * ((solved.status == 1) | (solved.status == 3))
    points += CANCELLING * _cancelling(engine, table)
    return np.where(np.isfinite(points), points, np.inf)


def _cancelling(engine: LineFit, table: Array) -> NDArray[np.int64]:
    """How many pairs of lines overlap and have opposite signs."""
    n = engine.setup.lines
    centre, amplitude, width = table[0 : 6 * n : 6], table[2 : 6 * n : 6], table[4 : 6 * n : 6]
    count = np.zeros(table.shape[1], np.int64)
    for k in range(n):
        for j in range(k):
            apart = np.abs(centre[k] - centre[j]) > width[k] + width[j]
            count += (amplitude[k] * amplitude[j] < 0) & ~apart
    return count
