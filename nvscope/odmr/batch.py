"""Small linear algebra for `LANES` pixels at once, one in every lane.

Lower triangles are arrays (rows, LANES) with element (i, j) in row ``place(i, j)``. As loops these few dozen operations
would spend most of their time on jumps that go wrong; their size is known when they are compiled, so they are written
out: the Python of the functions that take a `builder` runs once and leaves straight code.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code="no-any-return"
from __future__ import annotations

from typing import Any

from numba import njit, types
from numba.extending import intrinsic, register_jitable

from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.simd import Rows

__all__ = ["back", "factor", "invert", "place"]

PIVOT = 1e-12  # share of its diagonal below which a pivot is lost in rounding, and its direction left alone


@register_jitable
def place(i, j):
    """Row of element (i, j), i >= j, of a triangle."""
    return i * (i + 1) // 2 + j


@intrinsic(prefer_literal=True)
def _factor(typingctx, matrix, right, size):
    n = size.literal_value

    def codegen(context, builder, signature, args):
        rows, z = (Rows(context, builder, signature.args[k], args[k]) for k in range(2))
        element = {(i, j): rows[place(i, j)] for i in range(n) for j in range(i + 1)}
        head = [z[i] for i in range(n)]
        least = [builder.fmul(element[i, i], rows.number(PIVOT)) for i in range(n)]
        for j in range(n):
            pivot = element[j, j]
            inverse = builder.fdiv(rows.number(1.0), rows.root(pivot))
            inverse = builder.select(builder.fcmp_ordered(">", pivot, least[j]), inverse, rows.number(0.0))
            element[j, j] = inverse
            head[j] = builder.fmul(head[j], inverse)
            for i in range(j + 1, n):
                element[i, j] = builder.fmul(element[i, j], inverse)
                head[i] = rows.less_product(head[i], element[i, j], head[j])
                for k in range(j + 1, i + 1):
                    element[i, k] = rows.less_product(element[i, k], element[i, j], element[k, j])
        for (i, j), value in element.items():
            rows[place(i, j)] = value
        for i in range(n):
            z[i] = head[i]
        return context.get_dummy_value()

    return types.void(matrix, right, size), codegen


@intrinsic(prefer_literal=True)
def _back(typingctx, lower, z, out, size):
    n = size.literal_value

    def codegen(context, builder, signature, args):
        rows, given, solved = (Rows(context, builder, signature.args[k], args[k]) for k in range(3))
        value = [given[i] for i in range(n)]
        for i in reversed(range(n)):
            value[i] = builder.fmul(value[i], rows[place(i, i)])
            for k in range(i):
                value[k] = rows.less_product(value[k], rows[place(i, k)], value[i])
        for i in range(n):
            solved[i] = value[i]
        return context.get_dummy_value()

    return types.void(lower, z, out, size), codegen


@intrinsic(prefer_literal=True)
def _invert(typingctx, lower, inverse, size):
    n = size.literal_value

    def codegen(context, builder, signature, args):
        rows, out = (Rows(context, builder, signature.args[k], args[k]) for k in range(2))
        for j in range(n):
            column: dict[int, Any] = {j: rows[place(j, j)]}
            for i in range(j + 1, n):
                value = rows.number(0.0)
                for k in range(j, i):
                    value = rows.less_product(value, rows[place(i, k)], column[k])
                column[i] = builder.fmul(value, rows[place(i, i)])
            for i, value in column.items():
                out[place(i, j)] = value
        return context.get_dummy_value()

    return types.void(lower, inverse, size), codegen


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def factor(matrix, right, size):
    """Replace the leading `size` rows of a triangle A by L of A = L Lᵀ, and `right` by the solution of L z = right.

    The diagonal of L is given as its reciprocal.
    """
    if size == 4:
        _factor(matrix, right, 4)
    elif size == 5:
        _factor(matrix, right, 5)
    elif size == 6:
        _factor(matrix, right, 6)
    elif size == 7:
        _factor(matrix, right, 7)
    elif size == 8:
        _factor(matrix, right, 8)
    else:
        _factor(matrix, right, 9)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def back(lower, z, size, out):
    """Solve Lᵀ x = z for the leading `size` rows."""
    if size == 2:
        _back(lower, z, out, 2)
    elif size == 3:
        _back(lower, z, out, 3)
    elif size == 4:
        _back(lower, z, out, 4)
    elif size == 5:
        _back(lower, z, out, 5)
    elif size == 6:
        _back(lower, z, out, 6)
    elif size == 7:
        _back(lower, z, out, 7)
    elif size == 8:
        _back(lower, z, out, 8)
    else:
        _back(lower, z, out, 9)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def invert(lower, size, inverse):
    """Invert the triangle L; sums of products of its columns are elements of the inverse of A."""
    if size == 4:
        _invert(lower, inverse, 4)
    elif size == 5:
        _invert(lower, inverse, 5)
    elif size == 6:
        _invert(lower, inverse, 6)
    elif size == 7:
        _invert(lower, inverse, 7)
    elif size == 8:
        _invert(lower, inverse, 8)
    else:
        _invert(lower, inverse, 9)
