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

__all__ = ["HELD", "SHARED", "SPREAD", "back", "factor", "place", "spread"]

HELD, SHARED, SPREAD = 9, 11, 12  # rows of what `spread` tells, after a diagonal of up to nine
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
            inverse = builder.fdiv(rows.number(1.0), pivot)
            element[j, j] = builder.select(builder.fcmp_ordered(">", pivot, least[j]), inverse, rows.number(0.0))
            scaled = {i: builder.fmul(element[i, j], element[j, j]) for i in range(j + 1, n)}
            for i in range(j + 1, n):
                head[i] = rows.less_product(head[i], scaled[i], head[j])
                for k in range(j + 1, i + 1):
                    element[i, k] = rows.less_product(element[i, k], scaled[i], element[k, j])
            for i, value in scaled.items():
                element[i, j] = value
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
        value = [builder.fmul(given[i], rows[place(i, i)]) for i in range(n)]
        for i in reversed(range(n)):
            for k in range(i):
                value[k] = rows.less_product(value[k], rows[place(i, k)], value[i])
        for i in range(n):
            solved[i] = value[i]
        return context.get_dummy_value()

    return types.void(lower, z, out, size), codegen


@intrinsic(prefer_literal=True)
def _spread(typingctx, lower, out, size, lines):
    n, count = size.literal_value, lines.literal_value
    linear = n - 2 * count

    def codegen(context, builder, signature, args):
        rows, told = (Rows(context, builder, signature.args[k], args[k]) for k in range(2))
        zero = rows.number(0.0)
        unit: dict[tuple[int, int], Any] = {}  # inverse of L, whose diagonal is 1
        weighted: dict[tuple[int, int], Any] = {}
        for j in range(n):
            for i in range(j + 1, n):
                value = builder.fsub(zero, rows[place(i, j)])
                for k in range(j + 1, i):
                    value = rows.less_product(value, rows[place(i, k)], unit[k, j])
                unit[i, j] = value
                weighted[i, j] = builder.fmul(value, rows[place(i, i)])
        for i in range(n):
            total = rows[place(i, i)]
            for k in range(i + 1, n):
                if k == linear and 1 <= i <= count:
                    told[HELD + i - 1] = total
                total = rows.plus_product(total, unit[k, i], weighted[k, i])
            told[i] = total
        if count == 2:
            first, second = linear, linear + 2
            total = weighted[second, first]
            for k in range(second + 1, n):
                total = rows.plus_product(total, unit[k, first], weighted[k, second])
            told[SHARED] = total
        return context.get_dummy_value()

    return types.void(lower, out, size, lines), codegen


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def factor(matrix, right, size):
    """Replace the leading `size` rows of a triangle A by L of A = L D Lᵀ, and `right` by the solution of L z = right.

    The diagonal of L is 1; in its place is the reciprocal of D. What the leading n columns take off a sum of squares is
    the sum of the leading n z²/D.
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
    """Solve D Lᵀ x = z for the leading `size` rows."""
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
def spread(lower, size, lines, out):
    """Fill `out`, (SPREAD, LANES), with what the inverse of A, of `size` columns, says of `lines` lines.

    Its diagonal; from `HELD` on the variances of the amplitudes (columns 1 …) with the last ``2 * lines`` columns,
    centres and widths, held; in row `SHARED` the covariance of the two centres.
    """
    if lines == 1:
        if size == 4:
            _spread(lower, out, 4, 1)
        elif size == 5:
            _spread(lower, out, 5, 1)
        else:
            _spread(lower, out, 6, 1)
    elif size == 7:
        _spread(lower, out, 7, 2)
    elif size == 8:
        _spread(lower, out, 8, 2)
    else:
        _spread(lower, out, 9, 2)
