"""What two fitted lines leave of a spectrum: how much a third one would explain."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np
from numba import njit

from nvscope.odmr.pair_finish import A1, BEND, C1, C2, LEVEL, TILT, W1, W2
from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.simd import LANES, broadcast, choose, larger, load, store

__all__ = ["third_line"]

ROWS = 9  # of a solution: centres, widths, baseline and amplitudes
GROUPS = 2  # registers of pixels that share the loads of a template
TOGETHER = GROUPS * LANES


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def third_line(chosen, pixel, table, x, spectra, root_weight, filters, gain, which):
    """Write to `gain` what the best further template would lower chi2 by, were it not for the lines there are.

    Parameters
    ----------
    chosen : (some,)
        Which solutions to look at.
    pixel : (solution,)
        Which spectrum each solution belongs to.
    table : (ROWS or more, solution)
        Solutions of two lines; see `pair_finish`.
    x : (frequency,)
        Axis.
    spectra, root_weight : (frequency, spectrum), (frequency, 1 or spectrum)
        Levelled signal, and square roots of its weights.
    filters : (template, frequency)
        Matched filters for weighted signals, four or more.
    gain, which : (some,)
        In units of the variance of unit weight; the template.
    """
    rest = np.zeros((x.size, TOGETHER))
    root = np.ones((x.size, TOGETHER))
    own = np.ones((ROWS, TOGETHER))
    best = np.zeros((2, TOGETHER))
    if root_weight.shape[1] == 1:
        for f in range(x.size):
            for a in range(TOGETHER):
                root[f, a] = root_weight[f, 0]
    for start in range(0, chosen.size, TOGETHER):
        together = min(TOGETHER, chosen.size - start)
        for a in range(together):
            s = chosen[start + a]
            p = pixel[s]
            for k in range(ROWS):
                own[k, a] = table[k, s]
            for f in range(x.size):
                rest[f, a] = spectra[f, p]
            if root_weight.shape[1] > 1:
                for f in range(x.size):
                    root[f, a] = root_weight[f, p]
        for group in range(GROUPS):
            take_model(own, LANES * group, x, root, rest)
        best_template(filters, rest, best)
        for a in range(together):
            gain[start + a] = best[0, a]
            which[start + a] = int(best[1, a])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def take_model(own, column, x, root, rest):
    """Subtract two lines and a baseline from `LANES` columns of `rest`, and weigh what is left."""
    one = broadcast(1.0)
    narrow, slender = one / load(own, W1, column), one / load(own, W2, column)
    here, there = load(own, C1, column) * narrow, load(own, C2, column) * slender
    level, tilt, bend = load(own, LEVEL, column), load(own, TILT, column), load(own, BEND, column)
    a, b = load(own, A1, column), load(own, A1 + 1, column)
    for f in range(x.size):
        at = broadcast(x[f])
        u, v = at * narrow - here, at * slender - there
        u, v = one + u * u, one + v * v
        # one division for both lines
        model = level + at * (tilt + at * bend) + (a * v + b * u) / (u * v)
        store(rest, f, column, (load(rest, f, column) - model) * load(root, f, column))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def best_template(filters, rest, best):
    """Write the largest square of a filter's response, and the filter, to `best` (2, `TOGETHER`)."""
    zero = broadcast(0.0)
    top, place, peak, spot = zero, zero, zero, zero
    for i in range(0, filters.shape[0], 4):
        # four at a time, the last ones again where there are fewer
        j = min(i, filters.shape[0] - 4)
        r0, r1, r2, r3 = zero, zero, zero, zero
        s0, s1, s2, s3 = zero, zero, zero, zero
        for f in range(rest.shape[0]):
            left, right = load(rest, f, 0), load(rest, f, LANES)
            weight = broadcast(filters[j, f])
            r0, s0 = r0 + weight * left, s0 + weight * right
            weight = broadcast(filters[j + 1, f])
            r1, s1 = r1 + weight * left, s1 + weight * right
            weight = broadcast(filters[j + 2, f])
            r2, s2 = r2 + weight * left, s2 + weight * right
            weight = broadcast(filters[j + 3, f])
            r3, s3 = r3 + weight * left, s3 + weight * right
        for k in range(4):
            at = broadcast(float(j + k))
            response = r0 if k == 0 else r1 if k == 1 else r2 if k == 2 else r3
            square = response * response
            place = choose(square, top, at, place)
            top = larger(square, top)
            response = s0 if k == 0 else s1 if k == 1 else s2 if k == 2 else s3
            square = response * response
            spot = choose(square, peak, at, spot)
            peak = larger(square, peak)
    store(best, 0, 0, top)
    store(best, 1, 0, place)
    store(best, 0, LANES, peak)
    store(best, 1, LANES, spot)
