"""From normal equations at the solution to parameters, errors, and what another baseline term would gain."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from numba import njit

from nvscope.odmr.batch import HELD, SHARED, back, factor, place, spread
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
def finish(lines, degree, order, where, own, left, triangle, told, z, full, still, rows):
    """Fill `rows`, (ROWS, LANES), from what `pair_step.settle` left.

    `triangle`, `told`, `z`, `full` and `still` are room to work in; the others are as in `pair_solve`.
    """
    zero, one = broadcast(0.0), broadcast(1.0)
    linear = 1 + lines + degree
    size = linear + 2 * lines
    columns = 3 + 3 * lines
    assemble(left, own, left[AT:], lines, True, where, triangle, z)
    factor(triangle, z, columns)
    back(triangle, z, size, full)
    back(triangle, z, linear, still)
    spread(triangle, size, lines, told)
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
    for i in range(linear):
        row = LEVEL + (order[i] if order[i] < 3 else order[i] - 4)
        store(rows, row, 0, load(full, i, 0))
        store(rows, VARIANCE + row, 0, load(told, i, 0))
    for line in range(lines):
        # The sums are those before the last step. Twice the points in a line of the same height halve the variance of
        # its amplitude; a line twice as wide doubles that of its centre and width, whose slopes fall as the width while
        # its points grow with it.
        k = 2 * line
        amplitude = load(full, 1 + line, 0)
        narrowing = load(left, AT + k + 1, 0) / load(left, ENDS + k + 1, 0)
        share = one / (amplitude * amplitude * narrowing)
        store(rows, VARIANCE + k, 0, share * load(told, linear + k, 0))
        store(rows, VARIANCE + k + 1, 0, share * load(told, linear + k + 1, 0))
        store(rows, VARIANCE + LEVEL + 1 + line, 0, narrowing * load(told, 1 + line, 0))
        store(rows, FIXED + line, 0, narrowing * load(told, HELD + line, 0))
    if lines == 2:
        share = load(full, 1, 0) * load(full, 2, 0)
        narrowing = load(left, AT + 1, 0) * load(left, AT + 3, 0) / (load(left, ENDS + 1, 0) * load(left, ENDS + 3, 0))
        store(rows, COVARIANCE, 0, load(told, SHARED, 0) / (share * root(narrowing)))
    total = zero
    for k in range(2):
        if size + k < columns:
            more = load(z, size + k, 0)
            total = total + more * more * load(triangle, place(size + k, size + k), 0)
        store(rows, GAIN_ONE + k, 0, total)
    store(rows, CHI2, 0, load(left, ENDED_AT + 2, 0))
    store(rows, OUTCOME, 0, load(left, ENDED_AT, 0))
    store(rows, PASSES, 0, load(left, ENDED_AT + 1, 0))
    store(rows, DEGREE, 0, broadcast(float(degree)))
    store(rows, LINES, 0, broadcast(float(lines)))
