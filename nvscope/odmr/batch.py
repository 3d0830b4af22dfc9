"""Small linear algebra for many pixels at once: the pixel is the last axis, so every inner loop is a vector loop."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

from numba import njit

from nvscope.odmr.shapes import SAFE_FAST

__all__ = ["back", "factor", "invert"]

PIVOT = 1e-12  # share of its diagonal below which a pivot is lost in rounding, and its direction left alone


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def factor(count, matrix, right, order, size, lower, z):
    """Cholesky-factor the leading `size` rows of `matrix` taken in `order`, and solve L z = right.

    `matrix` holds a lower triangle; `lower` gets the factor with the reciprocal of its diagonal.
    """
    for i in range(size):
        a = order[i]
        for j in range(i + 1):
            b = order[j]
            high, low = max(a, b), min(a, b)
            for s in range(count):
                lower[i, j, s] = matrix[high, low, s]
            for k in range(j):
                for s in range(count):
                    lower[i, j, s] -= lower[i, k, s] * lower[j, k, s]
            if j < i:
                for s in range(count):
                    lower[i, j, s] *= lower[j, j, s]
        for s in range(count):
            pivot = lower[i, i, s]
            lower[i, i, s] = 1.0 / math.sqrt(pivot) if pivot > PIVOT * matrix[a, a, s] else 0.0
            z[i, s] = right[a, s]
        for k in range(i):
            for s in range(count):
                z[i, s] -= lower[i, k, s] * z[k, s]
        for s in range(count):
            z[i, s] *= lower[i, i, s]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def back(count, lower, size, z, out):
    """Solve Lᵀ x = z for the leading `size` rows."""
    for i in range(size - 1, -1, -1):
        for s in range(count):
            out[i, s] = z[i, s]
        for k in range(i + 1, size):
            for s in range(count):
                out[i, s] -= lower[k, i, s] * out[k, s]
        for s in range(count):
            out[i, s] *= lower[i, i, s]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def invert(count, lower, size, inverse):
    """Invert the triangle of a factor; sums of products of its columns are elements of the matrix's inverse."""
    for j in range(size):
        for s in range(count):
            inverse[j, j, s] = lower[j, j, s]
        for i in range(j + 1, size):
            for s in range(count):
                inverse[i, j, s] = 0.0
            for k in range(j, i):
                for s in range(count):
                    inverse[i, j, s] -= lower[i, k, s] * inverse[k, j, s]
            for s in range(count):
                inverse[i, j, s] *= lower[i, i, s]
