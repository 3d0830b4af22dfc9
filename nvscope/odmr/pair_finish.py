"""From normal equations at the solution to parameters, errors, and what another baseline term would gain."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from numba import njit, types
from numba.extending import intrinsic

from nvscope.odmr.lane import Lane, Rows
from nvscope.odmr.normal import Triangle, add, back, columns_of, factor, normal_equations
from nvscope.odmr.pair_step import AT, ENDS
from nvscope.odmr.pair_step import OUTCOME as ENDED_AT
from nvscope.odmr.shapes import SAFE_FAST

__all__ = ["ROWS", "finish"]

ROWS = 28
# rows of a table of solutions; variances are those of unit weight
(C1, W1, C2, W2, LEVEL, A1, A2, TILT, BEND) = range(9)
VARIANCE = 9  # of the nine above
COVARIANCE = 18  # of the centres
FIXED = 19  # variances of the amplitudes with centres and widths held
CHI2, GAIN_ONE, GAIN_TWO, OUTCOME, PASSES, DEGREE, LINES = 21, 22, 23, 24, 25, 26, 27


@intrinsic(prefer_literal=True)
def _finish(typingctx, base, left, rows, lines, degree):
    n, bend = lines.literal_value, degree.literal_value

    def codegen(context, builder, signature, args):
        base, left, rows = (Rows(context, builder, signature.args[k], args[k]) for k in range(3))
        here = Rows(context, builder, signature.args[1], args[1], first=AT)
        order, linear = columns_of(n, bend), 1 + n + bend
        size = linear + 2 * n
        gram, right = normal_equations(left, base, here, n, bent=True)
        lower, z = factor(gram, right, order)
        ends = [left[ENDS + k] for k in range(4)]
        begins = [here[k] for k in range(4)]
        for k in range(CHI2):
            rows[k] = ends[k] if k < 4 else 0.0
        moved = add([(end - begin) * (end - begin) for end, begin in zip(ends, begins, strict=True)])
        # amplitudes at the very place, not those that go with a step that was not taken
        pairs = zip(back(lower, z, size)[:linear], back(lower, z, linear), strict=True)
        amplitudes = [moved.where_above(0.0, still, there) for there, still in pairs]
        variances, held, shared = _spread(lower, size, n)
        for i in range(linear):
            row = LEVEL + (order[i] if order[i] < 3 else order[i] - 4)
            rows[row] = amplitudes[i]
            rows[VARIANCE + row] = variances[i]
        # The sums are those before the last step. Twice the points in a line of the same height halve the variance of
        # its amplitude; a line twice as wide doubles that of its centre and width, whose slopes fall as the width while
        # its points grow with it.
        narrowing = [begins[2 * line + 1] / ends[2 * line + 1] for line in range(n)]
        for line in range(n):
            share = 1.0 / (amplitudes[1 + line] * amplitudes[1 + line] * narrowing[line])
            rows[VARIANCE + 2 * line] = share * variances[linear + 2 * line]
            rows[VARIANCE + 2 * line + 1] = share * variances[linear + 2 * line + 1]
            rows[VARIANCE + A1 + line] = narrowing[line] * variances[1 + line]
            rows[FIXED + line] = narrowing[line] * held[line]
        if n == 2:
            rows[COVARIANCE] = shared / (amplitudes[1] * amplitudes[2] * (narrowing[0] * narrowing[1]).root())
        gains = [z[i] * z[i] * lower[i, i] for i in range(size, len(order))]
        for k in range(2):
            rows[GAIN_ONE + k] = add(gains[: k + 1]) if gains else 0.0
        rows[CHI2] = left[ENDED_AT + 2]
        rows[OUTCOME] = left[ENDED_AT]
        rows[PASSES] = left[ENDED_AT + 1]
        rows[DEGREE] = float(bend)
        rows[LINES] = float(n)
        return context.get_dummy_value()

    return types.void(base, left, rows, lines, degree), codegen


def _spread(lower: Triangle, size: int, lines: int) -> tuple[list[Lane], list[Lane], Lane]:
    """What the inverse of a matrix of `size` columns, factored, says of `lines` lines.

    Returns its diagonal, the variances of the amplitudes (columns 1 …) with the last ``2 * lines`` columns held, and
    the covariance of the first of these with the first of the other line.
    """
    linear = size - 2 * lines
    unit: dict[tuple[int, int], Lane] = {}  # inverse of L, whose diagonal is 1
    weighted: dict[tuple[int, int], Lane] = {}
    for j in range(size):
        for i in range(j + 1, size):
            value = -lower[i, j]
            for k in range(j + 1, i):
                value = value - lower[i, k] * unit[k, j]
            unit[i, j] = value
            weighted[i, j] = value * lower[i, i]
    terms = [[lower[i, i]] + [unit[k, i] * weighted[k, i] for k in range(i + 1, size)] for i in range(size)]
    held = [add(terms[1 + line][: linear - 1 - line]) for line in range(lines)]
    shared = lower[0, 0]
    if lines == 2:
        first, second = linear, linear + 2
        after = [unit[k, first] * weighted[k, second] for k in range(second + 1, size)]
        shared = add([weighted[second, first], *after])
    return [add(some) for some in terms], held, shared


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def finish(lines, degree, base, left, rows):
    """Fill `rows`, (ROWS, LANES), from what `pair_step.settle` left."""
    if lines == 1:
        if degree == 0:
            _finish(base, left, rows, 1, 0)
        elif degree == 1:
            _finish(base, left, rows, 1, 1)
        else:
            _finish(base, left, rows, 1, 2)
    elif degree == 0:
        _finish(base, left, rows, 2, 0)
    elif degree == 1:
        _finish(base, left, rows, 2, 1)
    else:
        _finish(base, left, rows, 2, 2)
