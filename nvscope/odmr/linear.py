"""Small dense solves inside kernels: Cholesky factors of matrices a few rows wide."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

from numba import njit

from nvscope.odmr.shapes import SAFE_FAST

__all__ = ["cholesky", "cholesky_solve"]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def cholesky(matrix, size, factor):
    """Factor the leading `size` rows of a symmetric matrix; False where it is singular to working precision.

    A pivot lost in rounding is replaced by a large number, which leaves its direction unmoved in a solve.
    """
    sound = True
    for i in range(size):
        for j in range(i + 1):
            s = matrix[i, j]
            for k in range(j):
                s -= factor[i, k] * factor[j, k]
            if i == j:
                if not s > 1e-13 * matrix[i, i] + 1e-300:
                    sound = False
                    s = 1e30 * (matrix[i, i] + 1.0)
                factor[i, i] = math.sqrt(s)
            else:
                factor[i, j] = s / factor[j, j]
    return sound


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def cholesky_solve(factor, size, right, solution):
    """Solve with a factor from `cholesky`; `right` and `solution` may be the same."""
    for i in range(size):
        s = right[i]
        for k in range(i):
            s -= factor[i, k] * solution[k]
        solution[i] = s / factor[i, i]
    for i in range(size - 1, -1, -1):
        s = solution[i]
        for k in range(i + 1, size):
            s -= factor[k, i] * solution[k]
        solution[i] = s / factor[i, i]
