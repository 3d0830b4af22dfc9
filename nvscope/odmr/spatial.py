"""Fit a stack of pixels with what they know of each other.

Pixels that are not sure are fitted again from what their neighbours, or the binned stack, are sure of. Where that would
be most of them the binned stack is fitted first, and they begin there.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.neighbours import Surroundings, roughness, surroundings
from nvscope.odmr.pair_fit import PairFit
from nvscope.odmr.pair_publish import F
from nvscope.odmr.parallel import as_slice, blocks, for_all
from nvscope.odmr.solved import Solved
from nvscope.odmr.stack import Stack, spread_out
from nvscope.odmr.views import ORDERED, View, as_told, believable, in_order, lines_of, widened

__all__ = ["solve_stack"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

COARSEST = 6  # pixels along an edge below which binning stops
SAMPLE = 400  # pixels that show whether most are content
SEARCHED = 800  # ... and whether they believe what they are told, if it takes a search: one in twenty is there
MISLED = 0.5  # share of doubted pixels of a binned stack from which a search is tried on a sample
HELPED = 0.5  # share of that sample that must then be content
FAINT = 0.7  # share of content pixels below which the binned stack is fitted first


def solve_stack(stack: Stack, threads: int) -> Solved:
    """Fit pairs of lines to all pixels of a stack."""
    rough, believed = _told_beforehand(stack, threads)
    every = np.arange(stack.spectra.shape[1])
    if rough is not None and believed:
        solved = Solved.empty(PairFit.rows, every.size)
        _reconsider(stack, solved, every, None, rough, threads, search=True)
    else:
        solved = _solve(stack, every, threads)
        _ask_neighbours(stack, solved, threads, search=True, rough=rough)
    return solved


def _solve(stack: Stack, pixels: Indices, threads: int, *, search: bool = False) -> Solved:
    engine = PairFit(stack.setup, search=search)
    solved = Solved.empty(engine.rows, pixels.size)

    def block(part: slice) -> None:
        some = as_slice(pixels[part])
        engine.block(stack.spectra[:, some], stack.root(some), stack.starts(some), part.start, solved)

    for_all(block, blocks(pixels.size), threads)
    return solved


def _reconsider(
    stack: Stack,
    solved: Solved,
    pixels: Indices,
    own: Array | None,
    around: Surroundings,
    threads: int,
    *,
    search: bool,
) -> None:
    """Replace some `pixels` of `solved` by what they find from their `own` solutions when told what lies `around` them.

    What is doubted then is looked for in all of the spectrum, if `search`: few pixels, which are done together.
    """
    if not pixels.size:
        return

    def ask(engine: PairFit, pixels: Indices, own: Array | None, around: Surroundings) -> None:
        def again(part: slice) -> None:
            chosen = pixels[part]
            some = as_slice(chosen)
            signal, root, lines = stack.spectra[:, some], stack.root(some), None if own is None else own[:, part]

            def starts(few: Indices) -> Array:
                return stack.starts(chosen[few])

            if isinstance(some, slice):
                engine.reconsider(signal, root, lines, starts, around.of(part), some.start, solved)
            else:
                found = Solved.empty(engine.rows, some.size)
                engine.reconsider(signal, root, lines, starts, around.of(part), 0, found)
                solved.put(some, found)

        for_all(again, blocks(pixels.size), threads)

    if search and len(blocks(pixels.size)) == 1:
        ask(PairFit(stack.setup), pixels, own, around)
        return
    ask(PairFit(stack.setup, search=False), pixels, own, around)
    doubted = np.flatnonzero(solved.doubted[pixels])
    if search and doubted.size:
        some = pixels[doubted]
        ask(PairFit(stack.setup), some, lines_of(stack, solved.table[:, some]), around.of(doubted))


def _told_beforehand(stack: Stack, threads: int) -> tuple[Surroundings | None, bool]:
    """What the binned stack says of every pixel, None where most do not need it; and whether they believe it."""
    if min(stack.grid) < 2 * COARSEST:
        return None, False
    pixels = stack.spectra.shape[1]
    step = max(1, pixels // SAMPLE)
    while math.gcd(step, stack.grid[1]) > 1:  # else the sample lies in a few columns, which may be dead
        step += 1
    sample = np.arange(0, pixels, step)
    view = View.of(stack, _solve(stack, sample, threads), (1, sample.size))
    if view.content.mean() >= FAINT:
        return None, False
    rough = _from_half(stack, np.arange(pixels), threads)
    told = rough.of(sample)
    if told.known.mean() > ORDERED:
        believed = _believed(stack, rough, np.arange(pixels), told, view.lines.reshape(4, -1), threads)
        if believed is not None and believed.known.mean() > ORDERED:
            return believed, True
    return rough, False


def _believed(
    stack: Stack, around: Surroundings, pixels: Indices, told: Surroundings, own: Array, threads: int
) -> Surroundings | None:
    """What may be believed of all that lies `around` `pixels`, judged by what some are `told` and their `own` lines.

    These come from a first guess. Where it misled them they say nothing for or against anybody: others are searched.
    """
    if believable(told, own):
        return around
    known = np.flatnonzero(around.known)
    some = known[:: max(1, known.size // SEARCHED)]
    table, told = _solve(stack, pixels[some], threads, search=True).table, around.of(some)
    own, err = lines_of(stack, table), table[F + 2 : F + 4] / stack.setup.unit
    return around if believable(told, own, err) else widened(around, told, own, err)


def _ask_neighbours(
    stack: Stack, solved: Solved, threads: int, *, search: bool, rough: Surroundings | None = None
) -> tuple[Indices, Array]:
    """Improve `solved` in place; pixels that were not solved hold NaN, and stay.

    A pixel that is not sure of both lines is refined again from its neighbours' medians and from its own solution;
    distance from the neighbours counts against a solution as much as their own scatter says it should, so that a map
    without order is left as it is. Where too few neighbours are sure, the stack is binned two by two and asked instead,
    unless what it says of every pixel is known already: `rough`.
    What is doubted even then is looked for in all of the spectrum, if `search`.

    Returns
    -------
    asked, told : ndarray, shape (asked,), (4, asked)
        Which pixels asked, and what they were told of their lines, c1, w1, c2, w2 in units of x; NaN where nobody knew.
    """
    view = View.of(stack, solved, stack.grid)
    fitted = np.isfinite(solved.table[F])
    # in a binned stack what a pixel was told counts as well as what it is
    chosen = np.flatnonzero(~(view.content if search else view.sure).ravel() & fitted)
    if not chosen.size:
        return chosen, np.empty((4, 0))
    own = view.lines.reshape(4, -1)
    around = _look_around(stack, view, chosen, rough, threads)
    believed = _believed(stack, around, chosen, around, own[:, chosen], threads)
    if believed is None:
        around.lines[:] = np.nan
    else:
        around = believed
    err = solved.table[F + 2 : F + 4, chosen] / stack.setup.unit
    settled = view.content.ravel()[chosen] | (view.good[chosen] & as_told(around, own[:, chosen], err))
    asked = (around.known & ~settled) | (solved.doubted[chosen] & search)
    _reconsider(stack, solved, chosen[asked], own[:, chosen[asked]], around.of(asked), threads, search=search)
    return chosen, around.lines


def _look_around(stack: Stack, view: View, chosen: Indices, rough: Surroundings | None, threads: int) -> Surroundings:
    """What the neighbours of `chosen` are sure of, or, where they are few, the stack at half its resolution."""
    around = surroundings(view.lines, view.sure, chosen, threads)
    lacking = ~around.known
    if not lacking.any() or min(stack.grid) < 2 * COARSEST or not in_order(view):
        return around
    far = _from_half(stack, chosen[lacking], threads) if rough is None else rough.of(chosen[lacking])
    around.lines[:, lacking], around.spread[:, lacking] = far.lines, far.spread
    return around


def _from_half(stack: Stack, pixels: Indices, threads: int) -> Surroundings:
    """What the stack at half its resolution says of some pixels."""
    coarse = stack.half(threads)
    wanted = np.flatnonzero(_squares_near(pixels, stack.grid))
    solved = _solve_binned(coarse, wanted, threads)
    if wanted.size < coarse.spectra.shape[1]:
        some, solved = solved, Solved.empty(PairFit.rows, coarse.spectra.shape[1])
        solved.table[:], solved.status[:] = np.nan, 4
        solved.put(wanted, some)
    told = np.full((4, *coarse.grid), np.nan)
    asked, what = _ask_neighbours(coarse, solved, threads, search=min(coarse.grid) < 2 * COARSEST)
    told.reshape(4, -1)[:, asked] = what
    view = View.of(coarse, solved, coarse.grid)
    # who was told where to look, and saw something there, is believed more easily
    own = view.sure | (view.content & np.isfinite(told[0]))
    lines = np.where(own, view.lines, told)
    around = Surroundings(*(spread_out(part, stack.grid, pixels, threads) for part in (lines, roughness(lines[::2]))))
    around.spread[~np.isfinite(around.spread)] = stack.setup.step
    return around


def _solve_binned(stack: Stack, pixels: Indices, threads: int) -> Solved:
    """Solve some pixels of a binned stack; with a search where the first guess misleads most, and a search helps."""
    solved = _solve(stack, pixels, threads)
    doubted = np.flatnonzero(solved.doubted)
    if doubted.size <= MISLED * pixels.size:
        return solved
    some = doubted[:: max(1, doubted.size // SAMPLE)]
    searched = _solve(stack, pixels[some], threads, search=True)
    if View.of(stack, searched, (1, some.size)).content.mean() > HELPED:
        if some.size < doubted.size:
            some, searched = doubted, _solve(stack, pixels[doubted], threads, search=True)
        solved.put(some, searched)
    return solved


def _squares_near(pixels: Indices, grid: tuple[int, int]) -> Mask:
    """Which squares of two by two pixels hold any of `pixels`, or touch one that does."""
    height, width = grid[0] // 2, grid[1] // 2
    if pixels.size == grid[0] * grid[1]:
        return np.ones((height, width), np.bool_)
    near = np.zeros((height + 2, width + 2), np.bool_)
    rows = np.minimum(pixels // grid[1] // 2, height - 1) + 1
    columns = np.minimum(pixels % grid[1] // 2, width - 1) + 1
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            near[rows + down, columns + right] = True
    return near[1:-1, 1:-1]
