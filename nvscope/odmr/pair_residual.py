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


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def third_line(pixel, table, x, spectra, root_weight, filters, gain, which):
    """Write to `gain` what the best further template would lower chi2 by, were it not for the lines there are.

    Parameters
    ----------
    pixel : (solution,)
        Which spectrum each solution belongs to.
    table : (ROWS, solution)
        Solutions of two lines; see `pair_finish`.
    x : (frequency,)
        Axis.
    spectra, root_weight : (frequency, spectrum), (frequency, 1 or spectrum)
        Levelled signal, and square roots of its weights.
    filters : (template, frequency)
        Matched filters for weighted signals.
    gain, which : (solution,)
        In units of the variance of unit weight; the template.
    """
    rest = np.zeros((x.size, LANES))
    root = np.zeros((x.size, LANES))
    own = np.ones((ROWS, LANES))
    best = np.zeros((2, LANES))
    one = broadcast(1.0)
    for start in range(0, pixel.size, LANES):
        together = min(LANES, pixel.size - start)
        for a in range(together):
            p = pixel[start + a]
            for k in range(ROWS):
                own[k, a] = table[k, start + a]
            for f in range(x.size):
                rest[f, a] = spectra[f, p]
                root[f, a] = root_weight[f, p if root_weight.shape[1] > 1 else 0]
        for f in range(x.size):
            at = broadcast(x[f])
            model = load(own, LEVEL, 0) + at * (load(own, TILT, 0) + at * load(own, BEND, 0))
            u = (at - load(own, C1, 0)) / load(own, W1, 0)
            v = (at - load(own, C2, 0)) / load(own, W2, 0)
            model = model + load(own, A1, 0) / (one + u * u) + load(own, A1 + 1, 0) / (one + v * v)
            store(rest, f, 0, (load(rest, f, 0) - model) * load(root, f, 0))
        top, place = broadcast(0.0), broadcast(0.0)
        for i in range(0, filters.shape[0], 4):
            # four at a time, the last ones again where there are fewer
            j = min(i, filters.shape[0] - 4)
            r0, r1, r2, r3 = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
            for f in range(x.size):
                here = load(rest, f, 0)
                r0 = r0 + broadcast(filters[j, f]) * here
                r1 = r1 + broadcast(filters[j + 1, f]) * here
                r2 = r2 + broadcast(filters[j + 2, f]) * here
                r3 = r3 + broadcast(filters[j + 3, f]) * here
            for k in range(4):
                response = r0 if k == 0 else r1 if k == 1 else r2 if k == 2 else r3
                square = response * response
                place = choose(square, top, broadcast(float(j + k)), place)
                top = larger(square, top)
        store(best, 0, 0, top)
        store(best, 1, 0, place)
        for a in range(together):
            gain[start + a] = best[0, a]
            which[start + a] = int(best[1, a])
