"""First values for many lines: one line after another, all refined each time, and doubtful ones taken out and set anew.

Lines that overlap cannot be picked from a spectrum by templates alone: what one explains, its neighbour need not.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from nvscope.odmr.lines import weigh
from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.varpro import dot, iterate

__all__ = ["grow_starts"]

PASSES = 3  # times that every line may be taken out and set anew
WORTH = 6.0  # variances that it must gain
DOUBT = 1.0  # standard deviations of chi2 beyond which lines are doubted; without known noise they always are


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def strongest_template(filters, residual):
    """Return the template that explains most of a weighted residual."""
    top, most = 0, -1.0
    for t in range(filters.shape[0]):
        size = abs(dot(filters[t], residual))
        if size > most:
            most = size
            top = t
    return top


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def with_line(lines, k, centre, width):
    """Return `k` centres and widths with one more line."""
    out = np.empty(2 * k + 2)
    out[:k] = lines[:k]
    out[k] = centre
    out[k + 1 : 2 * k + 1] = lines[k:]
    out[2 * k + 1] = width
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def without_line(lines, k, j):
    """Return `k` centres and widths less line `j`."""
    out = np.empty(2 * k - 2)
    to = 0
    for i in range(k):
        if i != j:
            out[to] = lines[i]
            out[k - 1 + to] = lines[k + i]
            to += 1
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def grow_starts(
    x, spectra, root_weight, poisson, known, kind, offsets, n, which, degree, filters, bank, bounds, start
):  # fmt: skip
    """Fill rows of `start`, (pixel, parameters), that are not finite; arguments as in `lines.fit_lines`.

    `bank`, (2, template), are the templates' centres and widths. Lines that share a width get the larger one.
    """
    points, most = x.size, degree + 1 + 3 * n
    columns, residual = np.empty((most, points)), np.empty(points)
    gram, factor = np.empty((most, most)), np.zeros((most, most))
    work, coef = np.empty(most), np.empty(most)
    curvature, slope = np.empty((2 * n, 2 * n)), np.empty(2 * n)
    y, rw = np.empty(points), np.empty(points)
    for p in range(spectra.shape[0]):
        wanted = False
        for i in range(start.shape[1]):
            wanted = wanted or not math.isfinite(start[p, i])
        used, level, _ = weigh(spectra[p], root_weight[p if root_weight.shape[0] > 1 else 0], rw)
        variance = poisson[0] * level + poisson[1] if poisson[0] > 0.0 else 1.0
        if not wanted or used <= most or not variance > 0.0:
            continue
        for i in range(points):
            rw[i] /= math.sqrt(variance)
            y[i] = (spectra[p, i] - level) * rw[i] if rw[i] > 0.0 else 0.0
        grow_lines(
            x, y, rw, kind, offsets, n, degree, used, known, bounds, filters, bank, start[p], which, columns, gram,
            factor, coef, residual, curvature, slope, work,
        )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def grow_lines(
    x, y, root_weight, kind, offsets, n, degree, points, known, bounds, filters, bank, q, which, columns, gram, factor,
    coef, residual, curvature, slope, work,
):  # fmt: skip
    """Write centres and widths of `n` lines to `q`, in ascending order."""
    start = strongest_template(filters, y)
    lines = np.array([bank[0, start], bank[1, start]])
    chi2 = math.inf
    for k in range(1, n + 1):
        chi2 = refine(
            x, y, root_weight, kind, offsets, k, degree, points, known, bounds, lines, columns, gram, factor, coef,
            residual, curvature, slope, work,
        )  # fmt: skip
        if k < n:
            t = strongest_template(filters, residual)
            lines = with_line(lines, k, bank[0, t], bank[1, t])
    freedom = max(points - degree - 1 - 3 * n, 1)
    enough = freedom + DOUBT * math.sqrt(2.0 * freedom)
    for _ in range(PASSES):
        improved = False
        for j in range(n):
            if known and chi2 < enough:
                break
            fewer = without_line(lines, n, j)
            refine(
                x, y, root_weight, kind, offsets, n - 1, degree, points, known, bounds, fewer, columns, gram, factor,
                coef, residual, curvature, slope, work,
            )  # fmt: skip
            t = strongest_template(filters, residual)
            trial = with_line(fewer, n - 1, bank[0, t], bank[1, t])
            found = refine(
                x, y, root_weight, kind, offsets, n, degree, points, known, bounds, trial, columns, gram, factor, coef,
                residual, curvature, slope, work,
            )  # fmt: skip
            if found < chi2 - WORTH * (1.0 if known else chi2 / freedom):
                lines, chi2 = trial, found
                improved = True
        if not improved:
            break
    order = np.argsort(lines[:n])
    for i in range(n, q.size):
        q[i] = 0.0
    for k in range(n):
        q[k] = lines[order[k]]
        q[n + which[k]] = max(q[n + which[k]], lines[n + order[k]])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def refine(
    x, y, root_weight, kind, offsets, k, degree, points, known, bounds, lines, columns, gram, factor, coef, residual,
    curvature, slope, work,
):  # fmt: skip
    """Refine `k` lines of separate widths in place; returns chi2 and leaves the residual."""
    dof = max(points - degree - 1 - 3 * k, 1)
    _, _, chi2 = iterate(
        x, y, root_weight, kind, offsets, k, np.arange(k), degree, dof, known, bounds, lines, columns, gram, factor,
        coef, residual, curvature, slope, work,
    )  # fmt: skip
    return chi2
