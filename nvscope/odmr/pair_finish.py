"""From normal equations at the solution to parameters, errors, and what another baseline term would gain."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np
from numba import njit

from nvscope.odmr.batch import back, factor, invert
from nvscope.odmr.pair_solve import FOUND_AT, FOUND_OUTCOME
from nvscope.odmr.pair_sums import BASE_SUMS, COLUMNS, LINE_SUMS, assemble
from nvscope.odmr.shapes import SAFE_FAST

__all__ = ["ROWS", "finish"]

BATCH = 32
ROWS = 28
# rows of a table of solutions; variances are those of unit weight
(C1, W1, C2, W2, LEVEL, A1, A2, TILT, BEND) = range(9)
VARIANCE = 9  # of the nine above
COVARIANCE = 18  # of the centres
FIXED = 19  # variances of the amplitudes with centres and widths held
CHI2, GAIN_ONE, GAIN_TWO, OUTCOME, PASSES, DEGREE, LINES = 21, 22, 23, 24, 25, 26, 27


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def finish(pixel, q, lines, degree, order, base, found, table):
    """Fill `table`, (ROWS, start), from what `converge` found for these starts."""
    linear = 1 + lines + degree
    size = linear + 2 * lines
    columns = 3 + 3 * lines
    own = np.zeros((BASE_SUMS, BATCH))
    sums = np.zeros((2 * LINE_SUMS, BATCH))
    here = np.ones((4, BATCH))
    gram = np.zeros((COLUMNS, COLUMNS, BATCH))
    right = np.zeros((COLUMNS, BATCH))
    lower = np.zeros((COLUMNS, COLUMNS, BATCH))
    inverse = np.zeros((COLUMNS, COLUMNS, BATCH))
    z = np.zeros((COLUMNS, BATCH))
    full = np.zeros((COLUMNS, BATCH))
    still = np.zeros((COLUMNS, BATCH))
    diagonal = np.zeros((COLUMNS, BATCH))
    held = np.zeros((2, BATCH))
    for first in range(0, q.shape[1], BATCH):
        count = min(BATCH, q.shape[1] - first)
        for s in range(count):
            p = pixel[first + s]
            for k in range(BASE_SUMS):
                own[k, s] = base[k, p]
        for k in range(2 * LINE_SUMS):
            for s in range(count):
                sums[k, s] = found[k, first + s]
        for k in range(4):
            for s in range(count):
                here[k, s] = found[FOUND_AT + k, first + s]
        assemble(count, sums, own, here, gram, right)
        factor(count, gram, right, order, columns, lower, z)
        back(count, lower, size, z, full)
        back(count, lower, linear, z, still)
        for s in range(count):
            moved = False
            for k in range(2 * lines):
                moved = moved or q[k, first + s] != here[k, s]
            if not moved:  # amplitudes at the very place, not those that go with a step that was not taken
                for k in range(linear):
                    full[k, s] = still[k, s]
        invert(count, lower, size, inverse)
        for i in range(size):
            for s in range(count):
                diagonal[i, s] = 0.0
            for k in range(i, size):
                if k == linear and 1 <= i <= lines:
                    for s in range(count):
                        held[i - 1, s] = diagonal[i, s]
                for s in range(count):
                    diagonal[i, s] += inverse[k, i, s] * inverse[k, i, s]
        for k in range(ROWS):
            for s in range(count):
                table[k, first + s] = q[k, first + s] if k < 4 else 0.0
        for k in range(linear):
            row = LEVEL + (order[k] if order[k] < 3 else order[k] - 4)
            for s in range(count):
                table[row, first + s] = full[k, s]
                table[VARIANCE + row, first + s] = diagonal[k, s]
        for k in range(2 * lines):
            for s in range(count):
                amplitude = full[1 + k // 2, s]
                table[VARIANCE + k, first + s] = diagonal[linear + k, s] / (amplitude * amplitude)
        for k in range(lines):
            for s in range(count):
                table[FIXED + k, first + s] = held[k, s]
        for k in range(linear + 2, size if lines == 2 else 0):
            for s in range(count):
                shared = inverse[k, linear, s] * inverse[k, linear + 2, s]
                table[COVARIANCE, first + s] += shared / (full[1, s] * full[2, s])
        for k in range(2):
            for s in range(count):
                before = table[GAIN_ONE, first + s] if k == 1 else 0.0
                more = z[size + k, s] if size + k < columns else 0.0
                table[GAIN_ONE + k, first + s] = before + more * more
        for k in range(3):
            row = CHI2 if k == 2 else OUTCOME + k
            for s in range(count):
                table[row, first + s] = found[FOUND_OUTCOME + k, first + s]
        for s in range(count):
            table[DEGREE, first + s] = degree
            table[LINES, first + s] = lines
