"""One or two Lorentzians of their own widths: the cheap guess first, the dear one where the fit itself asks for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.neighbours import Surroundings
from nvscope.odmr.pair_block import Block, Handicap, no_handicap
from nvscope.odmr.pair_doubt import doubtful
from nvscope.odmr.pair_finish import DEGREE, LINES, ROWS, W1, W2
from nvscope.odmr.pair_judge import noise_variance
from nvscope.odmr.pair_likeness import Places, misgiving, strangeness
from nvscope.odmr.pair_publish import BASE, CENTER, CHI2_REDUCED, GAIN, HALF, MAPS, A, C, F, W, publish
from nvscope.odmr.pair_search import try_harder
from nvscope.odmr.parallel import SMALLEST
from nvscope.odmr.setup import Setup
from nvscope.odmr.solved import Solved

__all__ = ["PairFit"]

Array = NDArray[np.float64]
Starts = Callable[[NDArray[np.int64]], Array]

AS_EXPECTED = 6.0  # distance, as an addition to chi2, up to which a solution confirms its surroundings
HUMP = 2.5  # ratio of its width to that of the lines around from which a line is one
EASE = 0.75  # significance then needed, of that asked elsewhere


class PairFit:
    """The pair kernels on one setup.

    Parameters
    ----------
    setup : Setup
        What all pixels share.
    search : bool
        Whether what is doubted is looked for in all of the spectrum, or only marked.
    """

    rows = MAPS
    smallest_block = SMALLEST

    def __init__(self, setup: Setup, *, search: bool = True) -> None:
        self.setup = setup
        self._search = search

    def block(self, signal: NDArray[np.generic], root: Array, start: Array, first: int, solved: Solved) -> None:
        """Fit a block of pixels, (frequency, pixel), and fill `solved` from pixel `first` on.

        `root` are the square roots of the weights, (1 or pixel, frequency); `start` centres and widths,
        (0 or pixel, 2 lines).
        """
        setup = self.setup
        block = Block(setup, signal, root)
        alive = np.flatnonzero(block.alive)
        found = np.empty((ROWS, 0))
        if alive.size:
            q, guided = block.start(np.arange(block.size), start)
            found = block.fit(alive, q, guided, setup.lines)
            strange = self._strange(_begun(q, guided)) if guided.any() else no_handicap
            doubted = doubtful(block, found, alive, guided[alive], strange, later=not self._search)
            if doubted.size and self._search:
                found[:, doubted] = try_harder(block, found[:, doubted], alive[doubted], setup.lines, no_handicap)
            elif doubted.size:
                solved.doubted[first + alive[doubted]] = True
            if setup.choose_lines:
                found = block.choose_lines(found, alive)
            self._follow(block, found, alive)
            if setup.lines == 2 and not setup.choose_lines:
                if self._search:
                    block.unmask(found, alive, np.zeros(alive.size, np.bool_))
                else:  # few to a block: whoever asks them again has them all together
                    solved.doubted[first + alive[block.masked(found, alive)]] = True
        self._publish(block, _complete(found, alive, block.size), np.ones(block.size), first, solved)

    def _follow(self, block: Block, found: Array, alive: NDArray[np.int64]) -> None:
        if self.setup.weights.poisson[0] > 0:
            block.follow_spectrum(found, alive)

    def reconsider(
        self,
        signal: NDArray[np.generic],
        root: Array,
        own: Array | None,
        starts: Starts,
        around: Surroundings,
        first: int,
        solved: Solved,
    ) -> None:
        """Fit pixels with what is known of their surroundings, (frequency, pixel), and fill `solved` from `first` on.

        They begin at their `own` solution, and those it leaves elsewhere begin again at what lies `around`. Without one
        they begin at what lies around, and those that end elsewhere begin again at one of `starts` or a guess, where
        those begin who were not told. Distance from the surroundings counts against a solution as much as their own
        scatter says it should. What is doubted then is looked for in all of the spectrum, if this engine searches.

        Parameters
        ----------
        signal, root, first, solved
            As for `block`.
        starts : callable
            Takes pixels of this block and returns their `start` as for `block`.
        own, around
            c1, w1, c2, w2 in units of `x`, (4, pixel); what lies around may be unknown.
        """
        block = Block(self.setup, signal, root)
        alive = np.flatnonzero(block.alive)
        found = np.empty((ROWS, 0))
        solved.doubted[first : first + block.size] = False
        ease = np.ones(block.size)
        if alive.size:
            strange = self._strange(around)
            told = around.known[alive]
            begin = around.lines if own is None else own
            unknown = np.flatnonzero(~around.known) if own is None else np.empty(0, np.int64)
            if unknown.size:
                begin = begin.copy()
                begin[:, unknown] = block.start(unknown, starts(unknown))[0]
            found = block.refine_any(alive, begin[:, alive], 2)
            far, against = _against(block, found, alive, strange)
            # two lines of which one undoes the other are nowhere in particular
            odd = np.flatnonzero(told & (against >= AS_EXPECTED))
            if odd.size:
                others = alive[odd]
                again = around.lines[:, others] if own is not None else block.start(others, starts(others))[0]
                other = block.refine_any(others, again, 2)
                rivals, owner = np.hstack([found[:, odd], other]), np.tile(np.arange(odd.size), 2)
                found[:, odd] = block.likeliest(rivals, owner, others, strange)
                far[odd], against[odd] = _against(block, found[:, odd], others, strange)
            doubted = doubtful(block, found, alive, told, strange, against, later=False)
            # humps on a bent baseline explain two lines elsewhere, and as good as nothing else does beside them
            bent = np.flatnonzero(told & (found[DEGREE] > self.setup.degrees[0]))
            broad = (found[[W1, W2]][:, bent] > HUMP * around.lines[[1, 3]][:, alive[bent]]).any(axis=0)
            doubted = np.union1d(doubted, bent[broad])
            if doubted.size and self._search:
                found[:, doubted] = try_harder(block, found[:, doubted], alive[doubted], 2, strange)
                far[doubted] = _against(block, found[:, doubted], alive[doubted], strange)[0]
            else:
                solved.doubted[first + alive[doubted]] = True
            expected = told & (far < AS_EXPECTED)
            ease[alive[expected]] = EASE  # noise had only this one place to look like a line in
            self._follow(block, found, alive)
            block.unmask(found, alive, expected)
        self._publish(block, _complete(found, alive, block.size), ease, first, solved)

    def _strange(self, around: Surroundings) -> Handicap:
        return lambda places, pixels: strangeness(places, around, pixels, self.setup.step)

    def _publish(self, block: Block, table: Array, ease: Array, first: int, solved: Solved) -> None:
        s = self.setup
        publish(
            table, block.base, block.level, block.noise.unit, s.weights.known, block.noise.points, s.middle, s.unit,
            s.weights.offset, s.bounds, s.windows, s.needed, ease, first, solved.table, solved.status, solved.counts,
        )  # fmt: skip
        dead = np.flatnonzero(~block.alive)
        if dead.size:
            solved.table[:, first + dead] = np.nan
            solved.counts[:, first + dead] = 0
            solved.status[first + dead] = np.where(block.invalid[dead], 4, 2)

    def maps(self, table: Array, grid: tuple[int, ...]) -> dict[str, Array]:
        """Name the rows of the maps."""
        rows = table.reshape(-1, *grid)
        named = {"baseline": rows[BASE : BASE + 3], "baseline_err": rows[BASE + 3 : BASE + 6]}
        for name, row in (("half_splitting", HALF), ("center", CENTER)):
            named[name], named[name + "_err"] = rows[row], rows[row + 1]
        for stem, row in (("f", F), ("amplitude", A), ("contrast", C), ("width", W)):
            named[f"{stem}_minus"], named[f"{stem}_plus"] = rows[row], rows[row + 1]
            named[f"{stem}_minus_err"], named[f"{stem}_plus_err"] = rows[row + 2], rows[row + 3]
        named["chi2_reduced"], named["chi2_gain"] = rows[CHI2_REDUCED], rows[GAIN]
        return named


def _complete(found: Array, alive: NDArray[np.int64], pixels: int) -> Array:
    """Return a table of all pixels of a block from that of those `alive`."""
    if alive.size == pixels:
        return found
    table = np.ones((ROWS, pixels))
    table[LINES] = 2.0
    table[:, alive] = found
    return table


def _against(block: Block, found: Array, pixels: NDArray[np.int64], strange: Handicap) -> tuple[Array, Array]:
    """What counts against solutions: how far they are from their surroundings; that and how unlike their lines are."""
    variance = noise_variance(found, block.noise.of(pixels))
    far = strange(Places.of(found, variance), pixels)
    return far, far + misgiving(found, variance)


def _begun(q: Array, guided: NDArray[np.bool_]) -> Surroundings:
    """What a start, c1, w1, c2, w2, says of the pixels that were `guided`: where their lines are to half a width."""
    lines = np.where(guided, q, np.nan)
    return Surroundings(lines, 0.5 * lines[[1, 3]])
