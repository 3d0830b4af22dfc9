"""Pixels that are not sure are fitted again from what their neighbours, or the binned stack, are sure of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.neighbours import Surroundings, binned, binned_weights, spread_out, surroundings
from nvscope.odmr.pair_fit import PairFit
from nvscope.odmr.pair_publish import A, F, W
from nvscope.odmr.setup import Setup
from nvscope.odmr.solving import Solved, blocks, for_all, solve

__all__ = ["ask_neighbours"]

Array = NDArray[np.float64]

SURE = 6.0  # amplitude over its error from which a pixel is listened to
CONTENT = 4.0  # ... from which it need not ask
COARSEST = 6  # pixels along an edge below which binning stops


def ask_neighbours(
    engine: PairFit, signal: NDArray[Any], solved: Solved, guided: NDArray[np.bool_], threads: int
) -> None:
    """Improve `solved`, of a stack (frequency, y, x), in place.

    A pixel that is not sure of both lines is refined again from its neighbours' medians, from its own solution, and
    from one line of each; distance from the neighbours counts against a solution as much as their own scatter says it
    should, so that a map without order is left as it is. Where too few neighbours are sure, the stack is binned two by
    two and asked instead, but for `guided` pixels, (pixel,): these began where lines are known to be.
    """
    grid = signal.shape[1:]
    lines, sure, content = _lines(engine.setup, solved, grid)
    chosen = np.flatnonzero(~content.ravel() & np.isfinite(solved.table[F]))
    if not chosen.size:
        return
    around = _look_around(engine, signal, lines, sure, chosen, guided, threads)
    told = np.isfinite(around.lines).all(axis=0)
    chosen = chosen[told]
    if not chosen.size:
        return
    around = Surroundings(around.lines[:, told], around.spread[:, told])
    own = lines.reshape(4, -1)[:, chosen]
    near = around.lines
    starts = np.stack([own, near, np.vstack([own[:2], near[2:]]), np.vstack([near[:2], own[2:]])])
    flat = signal.reshape(signal.shape[0], -1)
    root = engine.setup.weights.root

    def again(part: slice) -> None:
        pixels = chosen[part]
        maps, status, counts = engine.reconsider(
            flat[:, pixels],
            root if root.shape[0] == 1 else root[pixels],
            starts[:, :, part],
            Surroundings(around.lines[:, part], around.spread[:, part]),
        )
        solved.table[:, pixels], solved.status[pixels], solved.counts[:, pixels] = maps, status, counts

    for_all(again, blocks(chosen.size), threads)


def _lines(setup: Setup, solved: Solved, grid: tuple[int, ...]) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return c1, w1, c2, w2 in units of x, (4, y, x), which pixels are sure of both lines, and which content."""
    table = solved.table
    with np.errstate(divide="ignore", invalid="ignore"):
        clear = np.minimum(np.abs(table[A]) / table[A + 2], np.abs(table[A + 1]) / table[A + 3])
    sure = (solved.status == 0) & (clear > SURE)
    content = (solved.status == 0) & (clear > CONTENT)
    lines = np.stack([
        (table[F] - setup.middle) / setup.unit, table[W] / setup.unit,
        (table[F + 1] - setup.middle) / setup.unit, table[W + 1] / setup.unit,
    ])  # fmt: skip
    return lines.reshape(4, *grid), sure.reshape(grid), content.reshape(grid)


def _look_around(
    engine: PairFit,
    signal: NDArray[Any],
    lines: Array,
    sure: NDArray[np.bool_],
    chosen: NDArray[np.int64],
    guided: NDArray[np.bool_],
    threads: int,
) -> Surroundings:
    """What the neighbours of `chosen` are sure of, or, where they are few, the stack at half its resolution."""
    around = surroundings(lines, sure, chosen)
    lacking = ~np.isfinite(around.lines).all(axis=0) & ~guided[chosen]
    if not lacking.any() or min(sure.shape) < 2 * COARSEST:
        return around
    rough = binned(signal)
    setup = replace(engine.setup, weights=binned_weights(engine.setup.weights, sure.shape))
    coarse = PairFit(setup)
    solved = solve(coarse, rough.reshape(rough.shape[0], -1), np.empty((0, 4)), threads)
    coarse_lines, coarse_sure, _ = _lines(setup, solved, rough.shape[1:])
    every = np.arange(coarse_sure.size)
    beyond = _look_around(coarse, rough, coarse_lines, coarse_sure, every, np.zeros(every.size, np.bool_), threads)
    known = np.where(coarse_sure.ravel(), coarse_lines.reshape(4, -1), beyond.lines)
    for fine, half in ((around.lines, known), (around.spread, beyond.spread)):
        wide = spread_out(half.reshape(4, *coarse_sure.shape), sure.shape).reshape(4, -1)
        fine[:, lacking] = wide[:, chosen[lacking]]
    around.spread[~np.isfinite(around.spread)] = float(np.median(np.diff(setup.x)))
    return around
