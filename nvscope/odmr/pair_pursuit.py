"""A pair about a known centre, pursued among other lines: kernels of `pair_about`."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from nvscope.odmr.linear import cholesky, cholesky_solve
from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.varpro import dot

__all__ = [
    "CENTER_SLACK",
    "DEPTH_SLACK",
    "MHZ",
    "OTHERS",
    "STEP",
    "WIDTH_SLACK",
    "copy",
    "grid",
    "model",
    "normal_matrix",
    "pursue",
    "refine",
]

MHZ = 1e6
CENTER_SLACK = 0.3
"""MHz by which the centre may differ between field and no field."""
WIDTH_SLACK = 0.25
"""Relative: hyperfine structure, power and gradients broaden a little differently."""
DEPTH_SLACK = 0.35
"""Relative: polarised transitions share the pair's depth unequally, and a little of it goes elsewhere."""
OTHERS = 6
"""Lines of the other three groups."""
STEP = 3.0
"""MHz between trial half splittings and between trial places of other lines."""


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def grid(low, high):
    """Numbers from `low` to `high` in steps of `STEP`."""
    grid = np.empty(max(1, math.ceil((high - low) / STEP)))
    for i in range(grid.size):
        grid[i] = low + i * STEP
    return grid


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def copy(source, target, size):
    """Copy leading elements; as a loop it compiles in a tenth of the time that an assignment of slices takes."""
    for i in range(size):
        target[i] = source[i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def pursue(x, y, weight, half, mean, inverse, places, bank, norm, start):
    """Orthogonal matching pursuit: the pair at `half`, then other lines one by one while they earn their parameters.

    Fills `start` with a parameter vector; returns how many other lines and the penalised chi2.
    """
    points = x.size
    width = mean[2]
    columns = np.zeros((3 + OTHERS, points + 1))
    target = np.zeros(points + 1)
    for i in range(points):
        columns[0, i] = weight[i]
        columns[1, i] = weight[i] / (1.0 + ((x[i] + half) / width) ** 2)
        columns[2, i] = weight[i] / (1.0 + ((x[i] - half) / width) ** 2)
        target[i] = y[i]
    # the prior on the sum of depths is one more observation
    columns[1, points] = columns[2, points] = inverse[3]
    target[points] = inverse[3] * mean[3]
    used = 3
    normal, factor = np.empty((3 + OTHERS, 3 + OTHERS)), np.empty((3 + OTHERS, 3 + OTHERS))
    coefficients, tried = np.zeros(3 + OTHERS), np.zeros(3 + OTHERS)
    residual, rest = np.empty(points + 1), np.empty(points + 1)
    score = _project(columns, used, target, normal, factor, coefficients, residual)
    chosen = np.empty(OTHERS)
    scale = max(1.0, score / points)
    while used < 3 + OTHERS:
        gain, best = 0.0, -1
        for j in range(places.size):
            overlap = dot(bank[j], residual) * norm[j]
            # a line on the pair itself has the other sign, or it would be the pair
            free = overlap * mean[3] < 0 or abs(abs(places[j]) - half) > 2 * width
            if free and abs(overlap) > gain:
                gain, best = abs(overlap), j
        if best < 0:
            break
        copy(bank[best], columns[used], points + 1)
        new = _project(columns, used + 1, target, normal, factor, tried, rest)
        scale = max(1.0, new / points)
        if score - new < 3 * math.log(points) * scale:
            break
        chosen[used - 3] = places[best]
        copy(tried, coefficients, used + 1)
        copy(rest, residual, points + 1)
        score = new
        used += 1
    if coefficients[1] * mean[3] <= 0 or coefficients[2] * mean[3] <= 0:
        # one line may vanish, but not turn over
        weaker = 1 if abs(coefficients[1]) < abs(coefficients[2]) else 2
        if coefficients[3 - weaker] * mean[3] <= 0:
            return 0, np.inf
        coefficients[weaker] = 0.05 * mean[3]
        score += 9.0 * scale
    others = used - 3
    start[0], start[1], start[2] = 0.0, half, width
    start[3], start[4], start[5] = coefficients[0], coefficients[1], coefficients[2]
    for k in range(others):
        start[6 + 3 * k] = chosen[k]
        start[7 + 3 * k] = width
        start[8 + 3 * k] = coefficients[3 + k]
    return others, score + 3 * others * math.log(points) * scale


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def _project(columns, used, target, normal, factor, coefficients, residual):
    """Least squares of `target` on the first `used` columns; fills coefficients and residual, returns its square."""
    for i in range(used):
        for j in range(i + 1):
            normal[i, j] = dot(columns[i], columns[j])
        normal[i, i] *= 1.0 + 1e-6
        coefficients[i] = dot(columns[i], target)
    cholesky(normal, used, factor)
    cholesky_solve(factor, used, coefficients, coefficients)
    copy(target, residual, residual.size)
    for i in range(used):
        for k in range(residual.size):
            residual[k] -= coefficients[i] * columns[i, k]
    return dot(residual, residual)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def model(x, y, weight, mean, inverse, q, size):
    """Residuals (data, then priors) and their Jacobian, (parameter, residual), at `q`.

    `q` holds centre, half splitting, width, level, two amplitudes, and place, width and amplitude of other lines.
    """
    points = x.size
    others = (size - 6) // 3
    rows = points + 3 + others
    residual = np.zeros(rows)
    jacobian = np.zeros((size, rows))
    for i in range(points):
        value = q[3]
        jacobian[3, i] = weight[i]
        for sign in (-1.0, 1.0):
            a = 4 if sign < 0 else 5
            u = (x[i] - q[0] - sign * q[1]) / q[2]
            shape = 1.0 / (1.0 + u * u)
            value += q[a] * shape
            slope = q[a] * 2.0 * u * shape * shape / q[2]
            jacobian[a, i] = weight[i] * shape
            jacobian[0, i] += weight[i] * slope
            jacobian[1, i] += weight[i] * slope * sign
            jacobian[2, i] += weight[i] * slope * u
        for k in range(others):
            j = 6 + 3 * k
            u = (x[i] - q[j]) / q[j + 1]
            shape = 1.0 / (1.0 + u * u)
            value += q[j + 2] * shape
            slope = q[j + 2] * 2.0 * u * shape * shape / q[j + 1]
            jacobian[j, i] = weight[i] * slope
            jacobian[j + 1, i] = weight[i] * slope * u
            jacobian[j + 2, i] = weight[i] * shape
        residual[i] = value * weight[i] - y[i]
    residual[points] = (q[0] - mean[0]) * inverse[0]
    jacobian[0, points] = inverse[0]
    residual[points + 1] = (q[2] - mean[2]) * inverse[2]
    jacobian[2, points + 1] = inverse[2]
    residual[points + 2] = (q[4] + q[5] - mean[3]) * inverse[3]
    jacobian[4, points + 2] = jacobian[5, points + 2] = inverse[3]
    for k in range(others):  # other lines are about as wide
        j = 7 + 3 * k
        residual[points + 3 + k] = (q[j] - 1.3 * mean[2]) / mean[2]
        jacobian[j, points + 3 + k] = 1.0 / mean[2]
    return residual, jacobian


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def normal_matrix(jacobian, size, normal):
    """Inner products of the rows of a Jacobian, (parameter, observation)."""
    for i in range(size):
        for j in range(i + 1):
            normal[i, j] = dot(jacobian[i], jacobian[j])
            normal[j, i] = normal[i, j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def refine(x, y, weight, mean, inverse, q, size, normal, factor, trial):
    """Levenberg and Marquardt from `q`, in place; returns the penalised chi2."""
    damping = 1e-2
    residual, jacobian = model(x, y, weight, mean, inverse, q, size)
    score = dot(residual, residual)
    for _ in range(25):
        normal_matrix(jacobian, size, normal)
        for i in range(size):
            normal[i, i] *= 1.0 + damping
            normal[i, i] += 1e-12
            trial[i] = dot(jacobian[i], residual)
        cholesky(normal, size, factor)
        cholesky_solve(factor, size, trial, trial)
        for i in range(size):
            trial[i] = q[i] - trial[i]
        trial[1] = max(trial[1], 0.0)
        trial[2] = min(max(trial[2], 0.3 * mean[2]), 3.0 * mean[2])
        for k in range((size - 6) // 3):
            trial[7 + 3 * k] = min(max(trial[7 + 3 * k], 0.3 * mean[2]), 6.0 * mean[2])
        for a in (4, 5):
            if trial[a] * mean[3] < 0:
                trial[a] = 0.0
        rest, slopes = model(x, y, weight, mean, inverse, trial, size)
        new = dot(rest, rest)
        if new < score:
            done = score - new < 1e-2 * max(1.0, score / x.size)
            copy(trial, q, size)
            score, residual, jacobian = new, rest, slopes
            damping = max(damping / 5.0, 1e-9)
            if done:
                break
        else:
            damping *= 4.0
            if damping > 1e8:
                break
    parameters = 3.0 * ((size - 6) // 3)
    return score + parameters * math.log(x.size) * max(1.0, score / x.size)
