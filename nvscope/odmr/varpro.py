"""Variable projection for any number of lines of any shape: one pixel at a time, in numba.

Baseline and amplitudes are linear, so every evaluation solves them in closed form and only centres and widths are
iterated (Golub & Pereyra 1973), with Kaufman's (1975) approximation of the Jacobian and Levenberg damping. All vectors
are multiplied by the square roots of the weights. Positions are in the unit `x` is given in.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from nvscope.odmr.linear import cholesky, cholesky_solve
from nvscope.odmr.shapes import SAFE_FAST, line_columns

__all__ = ["CONVERGED", "MAX_ITERATIONS", "covariance", "evaluate", "fill_baseline", "iterate"]

MAX_ITERATIONS = 40
CONVERGED, STUCK, SINGULAR = 0, 1, 2
DECREMENT = 1e-3  # stop when the predicted gain of chi2 is below this many variances
NOTHING = 1e-2  # ... or, with several groups, where an undamped step has gained less than this
ROUNDING = 1e-26  # ... or below this share of the signal's own sum of squares


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def dot(a, b):
    """Inner product of two rows."""
    s = 0.0
    for i in range(a.size):
        s += a[i] * b[i]
    return s


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def products(rows, begin, end, gram):
    """Fill rows `begin` … `end` of `gram`, up to the diagonal and mirrored, with inner products of `rows`.

    Three with three at a time: six numbers read for nine products, where pairs alone would wait for the cache.
    """
    for i in range(begin, end, 3):
        j, k = min(i + 1, end - 1), min(i + 2, end - 1)
        a, b, c = rows[i], rows[j], rows[k]
        for m in range(0, k + 1, 3):
            n, o = min(m + 1, k), min(m + 2, k)
            d, e, f = rows[m], rows[n], rows[o]
            ad, ae, af, bd, be, bf, cd, ce, cf = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for t in range(a.size):
                ad += a[t] * d[t]
                ae += a[t] * e[t]
                af += a[t] * f[t]
                bd += b[t] * d[t]
                be += b[t] * e[t]
                bf += b[t] * f[t]
                cd += c[t] * d[t]
                ce += c[t] * e[t]
                cf += c[t] * f[t]
            gram[i, m], gram[i, n], gram[i, o] = ad, ae, af
            gram[j, m], gram[j, n], gram[j, o] = bd, be, bf
            gram[k, m], gram[k, n], gram[k, o] = cd, ce, cf
            gram[m, i], gram[n, i], gram[o, i] = ad, ae, af
            gram[m, j], gram[n, j], gram[o, j] = bd, be, bf
            gram[m, k], gram[n, k], gram[o, k] = cd, ce, cf


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def fill_baseline(x, root_weight, degree, columns):
    """Write the weighted powers of `x` into the first rows of `columns`."""
    for i in range(x.size):
        power = root_weight[i]
        for d in range(degree + 1):
            columns[d, i] = power
            power *= x[i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def evaluate(
    x, y, root_weight, kind, offsets, n, which, degree, q, columns, gram, factor, coef, residual, curvature, slope, work
):
    """Solve the linear part at centres and widths `q`; fill the reduced normal equations; return chi2.

    Rows of `columns`: baseline, lines, then the Jacobian's columns for the centres and the widths. `gram` receives
    all their inner products, `curvature` and `slope` the projected normal equations of `q`.
    """
    linear = degree + 1 + n
    size = q.size
    for k in range(n):
        line_columns(
            x,
            root_weight,
            kind,
            offsets,
            q[k],
            q[n + which[k]],
            columns[degree + 1 + k],
            columns[linear + k],
            columns[linear + n + k],
        )
    products(columns, 0, linear, gram)
    for i in range(linear):
        work[i] = dot(columns[i], y)
    cholesky(gram, linear, factor)
    cholesky_solve(factor, linear, work, coef)
    for t in range(x.size):
        residual[t] = y[t]
    for i in range(linear):
        for t in range(x.size):
            residual[t] -= coef[i] * columns[i, t]
    # one Jacobian row per width, summing the lines that share it; a row is consumed before it is overwritten
    for k in range(n):
        a = coef[degree + 1 + k]
        to = linear + n + which[k]
        for t in range(x.size):
            columns[linear + k, t] *= a
            slope_by_width = a * columns[linear + n + k, t]
            columns[to, t] = slope_by_width if to == linear + n + k else columns[to, t] + slope_by_width
    products(columns, linear, linear + size, gram)
    for i in range(size):
        slope[i] = dot(columns[linear + i], residual)
    # Schur complement: what is left of the Jacobian once the linear columns are projected out
    for i in range(size):
        for k in range(linear):
            s = gram[linear + i, k]
            for j in range(k):
                s -= factor[k, j] * factor[linear + i, j]
            factor[linear + i, k] = s / factor[k, k]
        for j in range(i + 1):
            s = gram[linear + i, linear + j]
            for k in range(linear):
                s -= factor[linear + i, k] * factor[linear + j, k]
            curvature[i, j] = s
            curvature[j, i] = s
    return dot(residual, residual)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def iterate(
    x,
    y,
    root_weight,
    kind,
    offsets,
    n,
    which,
    degree,
    dof,
    known,
    bounds,
    q,
    columns,
    gram,
    factor,
    coef,
    residual,
    curvature,
    slope,
    work,
    most=MAX_ITERATIONS,
):
    """Refine `q` in place; returns (outcome, iterations, chi2). `bounds` is (centre low, high, width low, high).

    It takes `most` iterations at most.
    """
    size = q.size
    damped = np.empty((size, size))
    triangle = np.empty((size, size))
    step = np.empty(size)
    trial = np.empty(size)
    before = np.empty(size)
    fill_baseline(x, root_weight, degree, columns)
    floor = ROUNDING * dot(y, y)
    chi2 = evaluate(
        x,
        y,
        root_weight,
        kind,
        offsets,
        n,
        which,
        degree,
        q,
        columns,
        gram,
        factor,
        coef,
        residual,
        curvature,
        slope,
        work,
    )
    damping = 1e-3
    for iteration in range(1, most + 1):
        variance = 1.0 if known else chi2 / dof
        improved = False
        while damping < 1e9:
            largest = 0.0
            for i in range(size):
                largest = max(largest, curvature[i, i])
            for i in range(size):
                for j in range(i):
                    damped[i, j] = curvature[i, j]
                damped[i, i] = curvature[i, i] * (1.0 + damping) + 1e-14 * largest
            cholesky(damped, size, triangle)
            cholesky_solve(triangle, size, slope, step)
            decrement = dot(step, slope)
            if not math.isfinite(decrement):
                return SINGULAR, iteration, chi2
            limited = take_step(q, step, n, bounds, trial)
            if decrement * (1.0 + damping) < DECREMENT * variance + floor:
                return CONVERGED, iteration, chi2
            for i in range(size):
                before[i] = q[i]
                q[i] = trial[i]
            new = evaluate(
                x,
                y,
                root_weight,
                kind,
                offsets,
                n,
                which,
                degree,
                q,
                columns,
                gram,
                factor,
                coef,
                residual,
                curvature,
                slope,
                work,
            )
            if new <= chi2 + floor:
                gain = chi2 - new
                chi2 = new
                damping = max(damping * 0.1, 1e-12)
                improved = True
                if limited and gain < DECREMENT * variance + floor:
                    return CONVERGED, iteration, chi2  # leaning against a bound
                if n > 2 and damping < 1e-2 and gain < NOTHING * variance:
                    return CONVERGED, iteration, chi2  # creeping along a valley of lines that coincide
                break
            for i in range(size):
                q[i] = before[i]
            evaluate(
                x,
                y,
                root_weight,
                kind,
                offsets,
                n,
                which,
                degree,
                q,
                columns,
                gram,
                factor,
                coef,
                residual,
                curvature,
                slope,
                work,
            )
            damping *= 10.0
        if not improved:
            return STUCK, iteration, chi2
    return STUCK, most, chi2


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def take_step(q, step, n, bounds, trial):
    """Write `q + step` to `trial`, no further than is sensible; True where a bound or a limit shortened it."""
    limited = False
    for i in range(q.size):
        value = q[i] + step[i]
        if i < n:
            reach = 3.0 * q[n + min(i, q.size - n - 1)]
            low, high = max(bounds[0], q[i] - reach), min(bounds[1], q[i] + reach)
        else:
            low, high = max(bounds[2], 0.4 * q[i]), min(bounds[3], 2.5 * q[i])
        if not value >= low:
            value = low
            limited = True
        elif value > high:
            value = high
            limited = True
        trial[i] = value
    return limited


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def covariance(gram, size, factor, inverse, work):
    """Invert the Fisher matrix `gram` of all parameters into `inverse`; False where it is singular."""
    sound = cholesky(gram, size, factor)
    for i in range(size):
        for j in range(size):
            work[j] = 1.0 if i == j else 0.0
        cholesky_solve(factor, size, work, inverse[i])
    return sound
