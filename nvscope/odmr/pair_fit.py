"""One or two Lorentzians of their own widths: the cheap guess first, the dear one where the fit itself asks for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.neighbours import Surroundings
from nvscope.odmr.pair_block import Block
from nvscope.odmr.pair_finish import LINES, ROWS
from nvscope.odmr.pair_judge import strangeness
from nvscope.odmr.pair_publish import BASE, CENTER, CHI2_REDUCED, GAIN, HALF, MAPS, A, C, F, W, publish
from nvscope.odmr.setup import Setup

__all__ = ["PairFit"]

Array = NDArray[np.float64]

AS_EXPECTED = 6.0  # distance, as an addition to chi2, up to which a solution confirms its surroundings
EASE = 0.75  # significance then needed, of that asked elsewhere


class PairFit:
    """The pair kernels on one setup."""

    rows = MAPS

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def block(
        self,
        signal: NDArray[np.generic],
        root: Array,
        start: Array,
        first: int,
        maps: Array,
        status: NDArray[np.uint8],
        counts: NDArray[np.int32],
    ) -> None:
        """Fit a block of pixels, (frequency, pixel), and write maps from pixel `first` on.

        `root` are the square roots of the weights, (1 or pixel, frequency); `start` centres and widths,
        (0 or pixel, 2 lines).
        """
        block = Block(self.setup, signal, root)
        alive = np.flatnonzero(block.alive)
        table = _unsolved(block.size)
        if alive.size:
            solved = block.fit(alive, *block.start(start), self.setup.lines)
            if self.setup.choose_lines:
                solved = block.choose_lines(solved, alive)
            if self.setup.weights.poisson[0] > 0:
                block.follow_spectrum(solved, alive)
            if self.setup.lines == 2 and not self.setup.choose_lines:
                block.unmask(solved, alive)
            if alive.size == block.size:
                table = solved
            else:
                table[:, alive] = solved
        self._publish(block, table, first, maps, status, counts)

    def reconsider(
        self, signal: NDArray[np.generic], root: Array, starts: Array, around: Surroundings
    ) -> tuple[Array, NDArray[np.uint8], NDArray[np.int32]]:
        """Refine rival `starts`, (rival, 4, pixel), and keep for each pixel the likeliest given what lies `around`.

        Starts and surroundings are c1, w1, c2, w2 in units of `x`; all must be finite. Returns maps, status and counts
        of these pixels.
        """
        block = Block(self.setup, signal, root)
        step = float(np.median(np.diff(self.setup.x)))
        alive = np.flatnonzero(block.alive)
        table = _unsolved(block.size)
        expected = np.zeros(block.size, np.bool_)
        if alive.size:
            noise = block.noise.of(alive)
            near = Surroundings(around.lines[:, alive], around.spread[:, alive])
            rivals = np.stack([block.refine_any(alive, q[:, alive], 2) for q in starts], axis=2)
            handicap = np.stack([strangeness(rivals[:, :, k], noise, near, step) for k in range(len(starts))], axis=1)
            solved = block.likeliest(rivals, alive, handicap)
            if self.setup.weights.poisson[0] > 0:
                block.follow_spectrum(solved, alive)
            table[:, alive] = solved
            expected[alive] = strangeness(solved, noise, near, step) < AS_EXPECTED
        maps = np.empty((MAPS, block.size))
        status = np.empty(block.size, np.uint8)
        counts = np.empty((3, block.size), np.int32)
        self._publish(block, table, 0, maps, status, counts)
        if expected.any():
            # noise had only this one place to look like a line in
            easier, easier_counts = status.copy(), counts.copy()
            self._publish(block, table, 0, maps, easier, easier_counts, ease=EASE)
            status[expected], counts[:, expected] = easier[expected], easier_counts[:, expected]
        return maps, status, counts

    def _publish(
        self,
        block: Block,
        table: Array,
        first: int,
        maps: Array,
        status: NDArray[np.uint8],
        counts: NDArray[np.int32],
        ease: float = 1.0,
    ) -> None:
        s = self.setup
        publish(
            table, block.base, block.level, block.noise.unit, s.weights.known, block.noise.points, s.middle, s.unit,
            s.weights.offset, s.bounds, s.windows, ease * s.needed, first, maps,
            status, counts,
        )  # fmt: skip
        dead = np.flatnonzero(~block.alive)
        if dead.size:
            maps[:, first + dead] = np.nan
            counts[:, first + dead] = 0
            status[first + dead] = np.where(block.invalid[dead], 4, 2)

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


def _unsolved(pixels: int) -> Array:
    table = np.ones((ROWS, pixels))
    table[LINES] = 2.0
    return table
