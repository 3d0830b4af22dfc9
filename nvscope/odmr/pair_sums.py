"""Sums over the spectrum that the normal equations of a line are made of; see `normal`."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from numba import njit

from nvscope.odmr.normal import LINE_SUMS
from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.simd import broadcast, load, store

__all__ = ["line_sums"]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def line_sums(x, spectra, column, weights, weights_column, q, line, sums):
    """Accumulate the sums of line 0 or 1 for `LANES` columns of `spectra`, (frequency, column), from `column` on.

    Rows of `q` are c1, w1, c2, w2, (4, LANES). `sums` is (2 `LINE_SUMS`, LANES). Eleven accumulators stay in registers;
    there is one division a point.
    """
    zero, one = broadcast(0.0), broadcast(1.0)
    first = LINE_SUMS * line
    inverse = one / load(q, 2 * line + 1, 0)
    origin = load(q, 2 * line, 0) * inverse
    a1 = a2 = a3 = a4 = b1 = b2 = b3 = b4 = y1 = y2 = y3 = zero
    for t in range(x.size):
        u = broadcast(x[t]) * inverse - origin
        h = one / (one + u * u)
        y = load(spectra, t, column)
        p = load(weights, t, weights_column) * h
        a1 = a1 + p
        b1 = b1 + u * p
        y1 = y1 + y * p
        p = p * h
        a2 = a2 + p
        b2 = b2 + u * p
        y = y * p
        y2 = y2 + y
        y3 = y3 + u * y
        p = p * h
        a3 = a3 + p
        b3 = b3 + u * p
        p = p * h
        a4 = a4 + p
        b4 = b4 + u * p
    store(sums, first, 0, a1)
    store(sums, first + 1, 0, a2)
    store(sums, first + 2, 0, a3)
    store(sums, first + 3, 0, a4)
    store(sums, first + 4, 0, b1)
    store(sums, first + 5, 0, b2)
    store(sums, first + 6, 0, b3)
    store(sums, first + 7, 0, b4)
    store(sums, first + 8, 0, y1)
    store(sums, first + 9, 0, y2)
    store(sums, first + 10, 0, y3)
