"""Pixels that are not sure are fitted again from what their neighbours, or the binned stack, are sure of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.neighbours import Surroundings, binned, binned_weights, spread_out, surroundings
from nvscope.odmr.pair_fit import PairFit
from nvscope.odmr.pair_publish import A, F, W
from nvscope.odmr.setup import Setup
from nvscope.odmr.solved import Solved
from nvscope.odmr.solving import blocks, for_all, solve

__all__ = ["ask_neighbours"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SURE = 6.0  # amplitude over its error from which a pixel is listened to
CONTENT = 4.0  # ... from which it need not ask
COARSEST = 6  # pixels along an edge below which binning stops
ORDERED = 0.5  # share of pixels whose neighbours must agree for a stack to be worth binning
ASKED = 200  # pixels that show whether they do
AGREEING = 0.1  # share of pixels whose own lines must be like those they are told; by chance few in a hundred are
ALIKE = 2.0  # ratio of widths
FAR = 2.5  # errors and spreads from where a pixel is told that its lines are


def ask_neighbours(
    engine: PairFit, signal: NDArray[Any], solved: Solved, threads: int, *, search: bool = True
) -> Array:
    """Improve `solved`, of a stack (frequency, y, x), in place; pixels that were not solved hold NaN, and stay.

    A pixel that is not sure of both lines is refined again from its neighbours' medians and from its own solution;
    distance from the neighbours counts against a solution as much as their own scatter says it should, so that a map
    without order is left as it is. Where too few neighbours are sure, the stack is binned two by two and asked instead.
    What is doubted even then is looked for in all of the spectrum, if `search`.

    Returns
    -------
    ndarray, shape (4, pixel)
        What pixels were told of their lines, c1, w1, c2, w2 in units of x; NaN where nobody knew, or was asked.
    """
    setup = engine.setup
    view = _View.of(setup, solved, signal.shape[1:])
    told = np.full((4, solved.status.size), np.nan)
    fitted = np.isfinite(solved.table[F])
    # in a binned stack what a pixel was told counts as well as what it is
    chosen = np.flatnonzero(~(view.content if search else view.sure).ravel() & fitted)
    if not chosen.size:
        return told
    own = view.lines.reshape(4, -1)
    around = _look_around(setup, signal, view, chosen, threads)
    if not _believable(around, own[:, chosen]):
        around.lines[:] = np.nan
    told[:, chosen] = around.lines
    settled = view.good[chosen] & _as_told(around, own[:, chosen], solved.table[F + 2 : F + 4, chosen] / setup.unit)
    asked = around.known & ~view.content.ravel()[chosen] & ~settled
    asked |= solved.doubted[chosen] & search
    chosen, around = chosen[asked], around.of(asked)
    flat = signal.reshape(signal.shape[0], -1)
    root = setup.weights.root

    def again(part: slice) -> None:
        pixels = chosen[part]
        weights = root if root.shape[0] == 1 else root[pixels]
        solved.put(pixels, engine.reconsider(flat[:, pixels], weights, own[:, pixels], around.of(part), search=search))

    for_all(again, blocks(chosen.size), threads)
    return told


@dataclass(frozen=True, eq=False)
class _View:
    """A solved stack as its pixels see each other.

    Attributes
    ----------
    lines : (4, y, x)
        c1, w1, c2, w2 in units of x.
    good : (pixel,)
        Pixels whose lines are there, and not doubted.
    sure, content : (y, x)
        Pixels that are listened to; pixels that need not ask.
    """

    lines: Array
    good: Mask
    sure: Mask
    content: Mask

    @classmethod
    def of(cls, setup: Setup, solved: Solved, grid: tuple[int, ...]) -> _View:
        table = solved.table
        depth, depth_err = np.abs(table[A : A + 2]), table[A + 2 : A + 4]
        good = (solved.status == 0) & ~solved.doubted
        sure, content = (good & (depth > least * depth_err).all(axis=0) for least in (SURE, CONTENT))
        lines = table[[F, W, F + 1, W + 1]]
        lines[::2] -= setup.middle
        lines /= setup.unit
        return cls(lines.reshape(4, *grid), good, sure.reshape(grid), content.reshape(grid))


def _look_around(
    setup: Setup, signal: NDArray[Any], view: _View, chosen: NDArray[np.int64], threads: int
) -> Surroundings:
    """What the neighbours of `chosen` are sure of, or, where they are few, the stack at half its resolution."""
    around = surroundings(view.lines, view.sure, chosen)
    lacking = ~around.known
    grid = view.sure.shape
    if not lacking.any() or min(grid) < 2 * COARSEST or not _in_order(view):
        return around
    wanted = np.flatnonzero(_squares_near(chosen[lacking], grid))
    coarse = _solve_binned(setup, binned(signal), wanted, grid, threads)
    shape = coarse.shape[1:]
    spread = surroundings(coarse, np.isfinite(coarse[0]), np.arange(coarse[0].size), radius=1).spread.reshape(2, *shape)
    for fine, half in ((around.lines, coarse), (around.spread, spread)):
        fine[:, lacking] = spread_out(half, grid).reshape(len(half), -1)[:, chosen[lacking]]
    around.spread[~np.isfinite(around.spread)] = setup.step
    return around


def _solve_binned(setup: Setup, rough: Array, wanted: NDArray[np.int64], grid: tuple[int, ...], threads: int) -> Array:
    """Return c1, w1, c2, w2, (4, y/2, x/2), of the pixels `wanted` of a stack binned from `grid`; NaN where unknown."""
    coarse = PairFit(replace(setup, weights=binned_weights(setup.weights, grid)), search=False)
    half = rough.shape[1:]
    root = coarse.setup.weights.root
    flat = rough.reshape(rough.shape[0], -1)
    solved = Solved.empty(PairFit.rows, flat.shape[1])
    solved.table[:], solved.status[:] = np.nan, 4
    some = solve(coarse, flat[:, wanted], np.empty((0, 4)), threads, root=root if len(root) == 1 else root[wanted])
    solved.put(wanted, some)
    told = ask_neighbours(coarse, rough, solved, threads, search=min(half) < 2 * COARSEST).reshape(4, *half)
    view = _View.of(coarse.setup, solved, half)
    # who was told where to look, and saw something there, is believed more easily
    own = view.sure | (view.content & np.isfinite(told[0]))
    return np.where(own, view.lines, told)


def _squares_near(pixels: NDArray[np.int64], grid: tuple[int, ...]) -> Mask:
    """Which squares of two by two pixels hold any of `pixels`, or touch one that does."""
    height, width = grid[0] // 2, grid[1] // 2
    near = np.zeros((height + 2, width + 2), np.bool_)
    rows = np.minimum(pixels // grid[1] // 2, height - 1) + 1
    columns = np.minimum(pixels % grid[1] // 2, width - 1) + 1
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            near[rows + down, columns + right] = True
    return near[1:-1, 1:-1]


def _in_order(view: _View) -> bool:
    """Whether those who are sure agree with those around them, or too few are to tell."""
    sure = np.flatnonzero(view.sure)
    around = surroundings(view.lines, view.sure, sure[:: max(1, sure.size // ASKED)])
    heard = np.isfinite(around.spread[0])
    return bool(np.count_nonzero(heard) < ASKED // 10 or np.mean(around.known[heard]) > ORDERED)


def _believable(around: Surroundings, own: Array) -> bool:
    """Whether enough pixels have lines of their own, (4, pixel), that look like those they are told to look for.

    Lines scattered at random sum up to a broad one in a binned stack: places alone would not tell.
    """
    told, own = around.lines[:, around.known], own[:, around.known]
    width, other = told[[1, 3]], own[[1, 3]]
    alike = np.abs(told[[0, 2]] - own[[0, 2]]) < np.minimum(width, other)
    alike &= np.maximum(width, other) < ALIKE * np.minimum(width, other)
    return bool(np.count_nonzero(alike.all(axis=0)) >= AGREEING * told.shape[1])


def _as_told(around: Surroundings, own: Array, err: Array) -> Mask:
    """Which pixels have found by themselves what they are told: another look would find the same."""
    far = (own[[0, 2]] - around.lines[[0, 2]]) ** 2 / (err**2 + around.spread**2)
    return np.asarray((far < FAR**2).all(axis=0))
