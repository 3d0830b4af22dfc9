"""Refine one or two Lorentzians in many spectra, `LANES` of them side by side.

Gauss-Newton on centres and widths with baseline and amplitudes eliminated (variable projection, Kaufman's Jacobian);
a step that does not lower chi2 is cut back. When only few of those side by side have not converged they are put aside,
and finished together with others like them.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np
from numba import njit

from nvscope.odmr.normal import BASE_SUMS, LINE_SUMS
from nvscope.odmr.pair_finish import ROWS, finish
from nvscope.odmr.pair_step import LEFT, POINTS, STATE, TOLD, VARIANCE, advance, begin, settle, solve_equations
from nvscope.odmr.pair_sums import line_sums
from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.simd import LANES, load, store

__all__ = ["solve_pairs"]

# spectra that are put aside rather than refined with all other lanes idle; fewer than half, or there were more and more
FEW = 3 * LANES // 8


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def solve_pairs(pixel, q, lines, degree, x, spectra, weights, base, variance, points, bounds, table):
    """Refine starts.

    Parameters
    ----------
    pixel : (start,)
        Which spectrum each start belongs to.
    q : (4, start)
        c1, w1, c2, w2; overwritten. With one line the second is left as it is; its width must not be zero.
    lines, degree : int
        One line or two; baseline degree.
    spectra, weights : (frequency, spectrum), (frequency, 1 or spectrum)
        Signal, and its weights; where a weight is zero so is the signal.
    base : (9, spectrum)
        See `normal.BASE_SUMS`.
    variance, points : (spectrum,)
        Noise variance of unit weight, zero if not known; usable points.
    bounds : (4,)
        Limits of centre and width.
    table : (ROWS, start)
        Solutions; see `pair_finish`.
    """
    total = pixel.size
    y = np.zeros((x.size, LANES))
    w = np.ones((x.size, LANES))
    own = np.zeros((BASE_SUMS, LANES))
    here = np.ones((4, LANES))
    at = np.ones((4, LANES))
    sums = np.zeros((2 * LINE_SUMS, LANES))
    told = np.zeros((TOLD, LANES))
    state = np.zeros((STATE, LANES))
    open_lanes = np.zeros((1, LANES))
    left = np.ones((LEFT, LANES))
    rows = np.zeros((ROWS, LANES))
    start = np.zeros(LANES, np.int64)
    own_weights = weights.shape[1] > 1
    if not own_weights:
        for t in range(x.size):
            for a in range(LANES):
                w[t, a] = weights[t, 0]
    fresh, aside, again = 0, 0, 0  # starts not looked at yet; put aside; of these taken up again
    waiting = np.empty(total, np.int64)
    kept = np.empty((total, STATE))
    while fresh < total or again < aside:
        taken = 0
        begin(state)
        while taken < LANES and fresh < total:
            start[taken] = fresh
            fresh += 1
            taken += 1
        if taken == 0:
            while taken < LANES and again < aside:
                s = waiting[again]
                start[taken] = s
                for k in range(STATE):
                    state[k, taken] = kept[s, k]
                again += 1
                taken += 1
        together = taken == LANES
        first, p = start[0], pixel[start[0]]
        for a in range(taken):
            together = together and start[a] == first + a and pixel[start[a]] == p + a
        if together:
            for k in range(BASE_SUMS):
                store(own, k, 0, load(base, k, p))
            for k in range(4):
                store(here, k, 0, load(q, k, first))
        else:
            gather(start[:taken], pixel, spectra, weights, base, q, y, w, own, here)
        for a in range(LANES):
            open_lanes[0, a] = 1.0 if a < taken else 0.0
            state[VARIANCE, a] = variance[pixel[start[a]]] if a < taken else 1.0
            state[POINTS, a] = points[pixel[start[a]]] if a < taken else 0.0
        lively = taken
        last_ones = fresh == total and again == aside
        while lively > 0 and (lively > FEW or last_ones):
            for line in range(lines):
                if not together:
                    line_sums(x, y, 0, w, 0, here, line, sums)
                elif own_weights:
                    line_sums(x, spectra, p, weights, p, here, line, sums)
                else:
                    line_sums(x, spectra, p, w, 0, here, line, sums)
            for k in range(4):
                store(at, k, 0, load(here, k, 0))
            solve_equations(sums, own, here, lines, degree, told)
            advance(lines, degree, own, bounds, told, here, state)
            lively = settle(sums, at, here, state, open_lanes, left)
        finish(lines, degree, own, left, rows)
        if together and lively == 0:
            for k in range(ROWS):
                store(table, k, first, load(rows, k, 0))
            continue
        for a in range(taken):
            s = start[a]
            if open_lanes[0, a] == 0.0:
                for k in range(ROWS):
                    table[k, s] = rows[k, a]
            else:
                waiting[aside] = s
                aside += 1
                for k in range(4):
                    q[k, s] = here[k, a]
                for k in range(STATE):
                    kept[s, k] = state[k, a]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def gather(start, pixel, spectra, weights, base, q, y, w, own, here):
    """Bring spectra that are not neighbours in memory side by side."""
    for a in range(start.size):
        s = start[a]
        p = pixel[s]
        for t in range(y.shape[0]):
            y[t, a] = spectra[t, p]
        if weights.shape[1] > 1:
            for t in range(y.shape[0]):
                w[t, a] = weights[t, p]
        for k in range(BASE_SUMS):
            own[k, a] = base[k, p]
        for k in range(4):
            here[k, a] = q[k, s]
