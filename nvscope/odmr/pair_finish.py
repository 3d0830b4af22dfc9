"""From normal equations at the solution to parameters, errors, and what another baseline term would gain."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from numba import njit

from nvscope.odmr.batch import back, factor, invert, place
from nvscope.odmr.pair_step import AT, ENDS
from nvscope.odmr.pair_step import OUTCOME as ENDED_AT
from nvscope.odmr.pair_sums import COLUMNS, assemble
from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.simd import broadcast, choose, load, root, store

__all__ = ["ROWS", "TRIANGLE", "finish"]

TRIANGLE = place(COLUMNS, 0)
ROWS = 28
# rows of a table of solutions; variances are those of unit weight
(C1, W1, C2, W2, LEVEL, A1, A2, TILT, BEND) = range(9)
VARIANCE = 9  # of the nine above
COVARIANCE = 18  # of the centres
FIXED = 19  # variances of the amplitudes with centres and widths held
CHI2, GAIN_ONE, GAIN_TWO, OUTCOME, PASSES, DEGREE, LINES = 21, 22, 23, 24, 25, 26, 27


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def finish(lines, degree, order, where, own, left, triangle, inverse, z, full, still, rows):
    """Fill `rows`, (ROWS, LANES), from what `pair_step.settle` left.

    `triangle`, `inverse`, `z`, `full` and `still` are room to work in; the others are as in `pair_solve`.
    """
    zero = broadcast(0.0)
    linear = 1 + lines + degree
    size = linear + 2 * lines
    columns = 3 + 3 * lines
    assemble(left, own, left[AT:], lines, True, where, triangle, z)
    factor(triangle, z, columns)
    back(triangle, z, size, full)
    back(triangle, z, linear, still)
    invert(triangle, size, inverse)
    for k in range(CHI2):
        store(rows, k, 0, zero)
    # amplitudes at the very place, not those that go with a step that was not taken
    moved = zero
    for k in range(4):
        end = load(left, ENDS + k, 0)
        step = end - load(left, AT + k, 0)
        moved = moved + step * step
        store(rows, k, 0, end)
    for k in range(linear):
        store(full, k, 0, choose(moved, zero, load(full, k, 0), load(still, k, 0)))
    for i in range(size):
        total = zero
        for k in range(i, size):
            if k == linear and 1 <= i <= lines:
                store(rows, FIXED + i - 1, 0, total * narrowing(left, i - 1))
            element = load(inverse, place(k, i), 0)
            total = total + element * element
        if i < linear:
            row = LEVEL + (order[i] if order[i] < 3 else order[i] - 4)
            store(rows, row, 0, load(full, i, 0))
            store(rows, VARIANCE + row, 0, total * narrowing(left, i - 1) if 1 <= i <= lines else total)
        else:
            line = (i - linear) // 2
            amplitude = load(full, 1 + line, 0)
            store(rows, VARIANCE + i - linear, 0, total / (amplitude * amplitude * narrowing(left, line)))
    if lines == 2:
        total = zero
        for k in range(linear + 2, size):
            total = total + load(inverse, place(k, linear), 0) * load(inverse, place(k, linear + 2), 0)
        both = root(narrowing(left, 0) * narrowing(left, 1))
        store(rows, COVARIANCE, 0, total / (load(full, 1, 0) * load(full, 2, 0) * both))
    total = zero
    for k in range(2):
        if size + k < columns:
            more = load(z, size + k, 0)
            total = total + more * more
        store(rows, GAIN_ONE + k, 0, total)
    store(rows, CHI2, 0, load(left, ENDED_AT + 2, 0))
    store(rows, OUTCOME, 0, load(left, ENDED_AT, 0))
    store(rows, PASSES, 0, load(left, ENDED_AT + 1, 0))
    store(rows, DEGREE, 0, broadcast(float(degree)))
    store(rows, LINES, 0, broadcast(float(lines)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def narrowing(left, line):
    """How much the last step narrowed a line: where the sums were taken over where it ended.

    Twice the points in a line, of the same height, halve the variance of its amplitude; and a line twice as wide at the
    same height doubles that of its centre and width, whose slopes fall as the width and whose points grow with it.
    """
    k = 2 * line + 1
    return load(left, AT + k, 0) / load(left, ENDS + k, 0)
