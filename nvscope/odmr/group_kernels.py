"""Kernels of the fit of all NV groups at once: eight lines whose places follow from the stress.

Free lines that coincide cannot be told apart; lines that all follow from six stress components can. The places come
from the exact levels of the spin Hamiltonian (closed form for a 3 × 3 matrix), amplitudes and a sloping baseline are
solved for in every iteration (variable projection), and Levenberg damping takes care of the rest. Frequencies are in
MHz, stress in GPa, fields in MHz (γB).
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from nvscope.odmr.linear import cholesky, cholesky_solve
from nvscope.odmr.shapes import SAFE_FAST

__all__ = ["FIELD", "PARAMETERS", "WIDTH", "group_lines", "refine_all", "score_all"]

WIDTH, FIELD, PARAMETERS = 6, 7, 8  # after the six stress components: width of all lines, field along [111]
LINES, LINEAR = 8, 10
STEPS = 40
LIKELY = 2.0  # amplitudes are thought to be of this size, in units of the largest excursion
DECREMENT = 1e-2  # gain of chi2 below which it is done
STEP = 1e-3  # for numerical derivatives
LONGEST = 3.0  # GPa in one step
OPPOSED = 60.0  # the most that opposite signs within a group may count
NARROW, BROAD = 1.0, 40.0  # MHz, limits of the width


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def group_lines(d0, coupling, frames, field, unknown, p, lines):
    """Write f- of groups 0 … 3, then f+ of groups 0 … 3, to `lines`.

    Parameters
    ----------
    d0 : float
        Zero-field splitting without stress.
    coupling, frames : (4, 3, 6), (4, 3, 3)
        Π_Z, Π_X, Π_Y of each group for unit stresses; rotations into the groups' frames.
    field : (3,)
        γB in the crystal frame, to which `unknown` times p[FIELD] is added along [111].
    p : (PARAMETERS,)
    """
    for g in range(4):
        d, px, py = d0, 0.0, 0.0
        for k in range(6):
            d += coupling[g, 0, k] * p[k]
            px += coupling[g, 1, k] * p[k]
            py += coupling[g, 2, k] * p[k]
        bz = field[2] + unknown * p[FIELD]
        x = frames[g, 0, 0] * field[0] + frames[g, 0, 1] * field[1] + frames[g, 0, 2] * bz
        y = frames[g, 1, 0] * field[0] + frames[g, 1, 1] * field[1] + frames[g, 1, 2] * bz
        z = frames[g, 2, 0] * field[0] + frames[g, 2, 1] * field[1] + frames[g, 2, 2] * bz
        # H - mean: diagonal d/3 + z, -2d/3, d/3 - z; <±1|H|0> = (x ∓ iy)/√2, <+1|H|-1> = -(px + i py)
        across, split = 0.5 * (x * x + y * y), px * px + py * py
        one, two, three = d / 3 + z, -2 * d / 3, d / 3 - z
        size = math.sqrt((one * one + two * two + three * three + 2 * (2 * across + split)) / 6)
        # 2 Re <+1|H|0><0|H|-1><-1|H|+1>
        turn = -((x * x - y * y) * px - 2.0 * x * y * py)
        det = one * (two * three - across) - across * three - two * split + turn
        ratio = min(max(0.5 * det / (size * size * size), -1.0), 1.0)
        angle = math.acos(ratio) / 3
        top = 2 * size * math.cos(angle)
        bottom = 2 * size * math.cos(angle + 2.0943951023931953)
        lines[g] = -top - 2 * bottom
        lines[4 + g] = top - bottom


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def solve_amplitudes(x, y, root, lines, width, ridge, columns, gram, factor, work, coef, rest):
    """Fit baseline and amplitudes of given lines; returns chi2 with what unlikely amplitudes cost."""
    for i in range(x.size):
        columns[0, i] = root[i]
        columns[1, i] = root[i] * (x[i] - x[0]) / (x[-1] - x[0])
    for k in range(LINES):
        for i in range(x.size):
            u = (x[i] - lines[k]) / width
            columns[2 + k, i] = root[i] / (1.0 + u * u)
    for j in range(LINEAR):
        for k in range(j + 1):
            s = 0.0
            for i in range(x.size):
                s += columns[j, i] * columns[k, i]
            gram[j, k] = s
            gram[k, j] = s
        s = 0.0
        for i in range(x.size):
            s += columns[j, i] * y[i]
        work[j] = s
        gram[j, j] += ridge if j > 1 else 0.0
    cholesky(gram, LINEAR, factor)
    cholesky_solve(factor, LINEAR, work, coef)
    for i in range(x.size):
        rest[i] = y[i]
    for j in range(LINEAR):
        for i in range(x.size):
            rest[i] -= coef[j] * columns[j, i]
    chi2 = 0.0
    for i in range(x.size):
        chi2 += rest[i] * rest[i]
    for j in range(2, LINEAR):
        chi2 += ridge * coef[j] * coef[j]
    return chi2


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def ridge_of(y, root):
    """Weight of the expectation that no amplitude is much larger than the largest excursion from the mean."""
    total, weight, most = 0.0, 0.0, 0.0
    for i in range(y.size):
        total += y[i] * root[i]
        weight += root[i] * root[i]
    for i in range(y.size):
        if root[i] > 0.0:
            most = max(most, abs(y[i] / root[i] - total / weight))
    return 1.0 / (LIKELY * most) ** 2 if most > 0.0 else 1.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def disunity(columns, coef):
    """What speaks against groups of which one line is a dip and the other a peak, as an addition to chi2."""
    total = 0.0
    for g in range(4):
        one, other = coef[2 + g], coef[6 + g]
        if one * other < 0.0:
            first = second = 0.0
            for i in range(columns.shape[1]):
                first += columns[2 + g, i] * columns[2 + g, i]
                second += columns[6 + g, i] * columns[6 + g, i]
            total += min(one * one * first, other * other * second, OPPOSED)
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def solve_all(x, y, root, d0, coupling, frames, fields, unknown, p, lines, columns, gram, factor, work, coef, rest):
    """Fit baselines and amplitudes at every bias field; returns chi2 with what unlikely amplitudes cost."""
    total = 0.0
    for b in range(fields.shape[0]):
        group_lines(d0[b], coupling, frames, fields[b], unknown[b], p, lines[b])
        ridge = ridge_of(y[b], root[b])
        total += solve_amplitudes(
            x[b], y[b], root[b], lines[b], p[WIDTH], ridge, columns[b], gram, factor[b], work, coef[b], rest[b]
        )
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def score_all(x, y, root, d0, coupling, frames, fields, unknown, trials, scores):
    """Chi2 of one pixel's weighted spectra, (bias, frequency), for every row of `trials`, (trial, PARAMETERS)."""
    biases, points = x.shape
    columns, gram = np.empty((biases, LINEAR, points)), np.empty((LINEAR, LINEAR))
    factor, work, coef = np.zeros((biases, LINEAR, LINEAR)), np.empty(LINEAR), np.empty((biases, LINEAR))
    rest, lines = np.empty((biases, points)), np.empty((biases, LINES))
    for t in range(trials.shape[0]):
        scores[t] = solve_all(
            x, y, root, d0, coupling, frames, fields, unknown, trials[t], lines, columns, gram, factor, work, coef, rest
        )
        for b in range(biases):
            scores[t] += disunity(columns[b], coef[b])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def refine_all(x, spectra, roots, d0, coupling, frames, fields, unknown, free, prior, stiffness, p, chi2, covariance):
    """Refine rows of `p`, (pixel, PARAMETERS), each for its own weighted spectra, (pixel, bias, frequency).

    `free` says which parameters may move; `stiffness`, (pixel, PARAMETERS), are inverse variances of `prior`.
    `covariance`, (pixel, PARAMETERS, PARAMETERS), is zero for parameters that may not, NaN where it is singular.
    """
    biases, points = x.shape
    columns, gram = np.empty((biases, LINEAR, points)), np.empty((LINEAR, LINEAR))
    factor, work, coef = np.zeros((biases, LINEAR, LINEAR)), np.empty(LINEAR), np.empty((biases, LINEAR))
    rest, lines, moved = np.empty((biases, points)), np.empty((biases, LINES)), np.empty(LINES)
    slopes = np.empty((PARAMETERS, points))
    by_line, by_width = np.empty((LINES, points)), np.empty(points)
    curvature, damped = np.empty((PARAMETERS, PARAMETERS)), np.empty((PARAMETERS, PARAMETERS))
    lower, gradient = np.zeros((PARAMETERS, PARAMETERS)), np.empty(PARAMETERS)
    step, trial = np.empty(PARAMETERS), np.empty(PARAMETERS)
    for t in range(p.shape[0]):
        y, root, q = spectra[t], roots[t], p[t]
        best = solve_all(
            x, y, root, d0, coupling, frames, fields, unknown, q, lines, columns, gram, factor, work, coef, rest
        )
        best += held_back(q, prior[t], stiffness[t])
        damping, last = 1e-2, False
        for _ in range(STEPS + 1):
            for m in range(PARAMETERS):
                for n in range(PARAMETERS):
                    curvature[m, n] = 0.0
                curvature[m, m] = stiffness[t, m]
                gradient[m] = stiffness[t, m] * (prior[t, m] - q[m])
            for b in range(biases):
                slopes_of(
                    x[b], root[b], d0[b], coupling, frames, fields[b], unknown[b], free, q, lines[b], moved, coef[b],
                    by_line, by_width, slopes,
                )  # fmt: skip
                gather(columns[b], factor[b], rest[b], slopes, work, curvature, gradient)
            for m in range(PARAMETERS):
                gradient[m] = gradient[m] if free[m] else 0.0
            if last:
                break
            improved = False
            gain = 0.0
            while damping < 1e8:
                for m in range(PARAMETERS):
                    for n in range(m + 1):
                        damped[m, n] = curvature[m, n] if free[m] and free[n] else 0.0
                    damped[m, m] = curvature[m, m] * (1.0 + damping) + 1e-9 if free[m] else 1.0
                cholesky(damped, PARAMETERS, lower)
                cholesky_solve(lower, PARAMETERS, gradient, step)
                for m in range(PARAMETERS):
                    trial[m] = q[m] + min(max(step[m], -LONGEST), LONGEST) if m != FIELD else q[m] + step[m]
                trial[WIDTH] = min(max(trial[WIDTH], NARROW), BROAD)
                new = solve_all(
                    x,
                    y,
                    root,
                    d0,
                    coupling,
                    frames,
                    fields,
                    unknown,
                    trial,
                    lines,
                    columns,
                    gram,
                    factor,
                    work,
                    coef,
                    rest,
                ) + held_back(trial, prior[t], stiffness[t])
                if new <= best:
                    gain = best - new
                    best = new
                    for m in range(PARAMETERS):
                        q[m] = trial[m]
                    damping = max(damping * 0.1, 1e-9)
                    improved = True
                    break
                damping *= 10.0
            if not improved:
                solve_all(
                    x, y, root, d0, coupling, frames, fields, unknown, q, lines, columns, gram, factor, work, coef, rest
                )
            last = not improved or gain < DECREMENT  # once more for the curvature where it ends
        chi2[t] = best
        for b in range(biases):
            chi2[t] += disunity(columns[b], coef[b])
        for m in range(PARAMETERS):
            for n in range(m + 1):
                damped[m, n] = curvature[m, n] if free[m] and free[n] else 0.0
            damped[m, m] = curvature[m, m] + 1e-12 if free[m] else 1.0
        sound = cholesky(damped, PARAMETERS, lower)
        for m in range(PARAMETERS):
            for n in range(PARAMETERS):
                gradient[n] = 1.0 if n == m else 0.0
            cholesky_solve(lower, PARAMETERS, gradient, step)
            for n in range(PARAMETERS):
                covariance[t, m, n] = (step[n] if free[m] and free[n] else 0.0) if sound else math.nan


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def slopes_of(x, root, d0, coupling, frames, field, unknown, free, q, lines, moved, coef, by_line, by_width, slopes):
    """Fill `slopes`, (PARAMETERS, frequency), of one weighted spectrum at fixed amplitudes."""
    for i in range(x.size):
        by_width[i] = 0.0
    for k in range(LINES):
        a = coef[2 + k] * 2.0 / q[WIDTH]
        for i in range(x.size):
            u = (x[i] - lines[k]) / q[WIDTH]
            h = 1.0 / (1.0 + u * u)
            by_line[k, i] = a * u * h * h * root[i]
            by_width[i] += by_line[k, i] * u
    for m in range(PARAMETERS):
        for i in range(x.size):
            slopes[m, i] = by_width[i] if m == WIDTH else 0.0
        if m != WIDTH and free[m] and (m != FIELD or unknown != 0.0):
            before = q[m]
            q[m] = before + STEP
            group_lines(d0, coupling, frames, field, unknown, q, moved)
            q[m] = before
            for k in range(LINES):
                rate = (moved[k] - lines[k]) / STEP
                for i in range(x.size):
                    slopes[m, i] += rate * by_line[k, i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def gather(columns, factor, rest, slopes, work, curvature, gradient):
    """Add one spectrum to the normal equations, less what amplitudes and baseline can do (Kaufman)."""
    points = rest.size
    for m in range(PARAMETERS):
        for j in range(LINEAR):
            s = 0.0
            for i in range(points):
                s += columns[j, i] * slopes[m, i]
            work[j] = s
        cholesky_solve(factor, LINEAR, work, work)
        for j in range(LINEAR):
            for i in range(points):
                slopes[m, i] -= work[j] * columns[j, i]
    for m in range(PARAMETERS):
        for n in range(m + 1):
            s = 0.0
            for i in range(points):
                s += slopes[m, i] * slopes[n, i]
            curvature[m, n] += s
        s = 0.0
        for i in range(points):
            s += slopes[m, i] * rest[i]
        gradient[m] += s


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def held_back(p, prior, stiffness):
    """What leaving the expectation costs."""
    total = 0.0
    for m in range(PARAMETERS):
        total += stiffness[m] * (p[m] - prior[m]) ** 2
    return total
