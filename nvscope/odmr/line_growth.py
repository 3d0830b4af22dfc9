"""First values for many lines: one line after another, all refined each time, and doubtful ones taken out and set anew.

Lines that overlap cannot be picked from a spectrum by templates alone: what one explains, its neighbour need not. Of
two that overlap what was found may be one broad line, and the other set on noise, or two lines on top of each other of
which one undoes the other. Then two lines are tried side by side where the one, or the two, were.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from nvscope.odmr.lines import CONSTANT, conditional_variance, weigh
from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.varpro import dot, iterate

__all__ = ["CANCELLING", "grow_starts"]

TRIAL = 12  # iterations at most: lines that coincide creep, and are refined further only if they are kept
PASSES = 3  # times that every line may be taken out and set anew
WORTH = 6.0  # variances that it must gain
DOUBT = 1.0  # standard deviations of chi2 beyond which lines are doubted; without known noise they always are
THERE = 6.0  # amplitude over its error at fixed shape from which a line is not doubted
PARTED = 0.6  # of a line's width: where two lines are tried in its place, and how wide
CLOSER = 0.35  # ... where lines undo each other, which makes them wide
UNDONE = 1.0  # lines closer than this many times the sum of their half widths are on top of each other
WEAK, POOR = 3, 3  # lines that may be needed elsewhere; lines that may be two
NEEDED = 4.0  # amplitude over its error at fixed shape below which a line is as good as missing
NARROW = 2.5  # smallest widths below which a line is narrower than what samples show
CANCELLING = 20.0  # what two lines count that overlap and have opposite signs: most of either is not to be seen


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
def with_two(lines, n, i, j, centre, width):
    """Return `n` centres and widths with lines `i` and `j` of `width` side by side about `centre`."""
    out = lines.copy()
    out[i], out[j] = centre - width, centre + width
    out[n + i] = out[n + j] = width
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def grow_starts(
    x, spectra, root_weight, poisson, known, kind, offsets, n, which, degree, filters, bank, bounds, start
):  # fmt: skip
    """Fill rows of `start`, (pixel, parameters), that are not finite; arguments as in `lines.fit_lines`.

    `bank`, (2, template), are the templates' centres and widths. Lines that share a width get the larger one.
    """
    points, most = x.size, degree + 1 + 3 * n
    room = (
        np.empty((most, points)), np.empty((most, most)), np.zeros((most, most)), np.empty(most), np.empty(points),
        np.empty((2 * n, 2 * n)), np.empty(2 * n), np.empty(most),
    )  # fmt: skip
    y, rw = np.empty(points), np.empty(points)
    for p in range(spectra.shape[0]):
        wanted = False
        for i in range(start.shape[1]):
            wanted = wanted or not math.isfinite(start[p, i])
        used, level, total = weigh(spectra[p], root_weight[p if root_weight.shape[0] > 1 else 0], rw)
        variance = poisson[0] * level + poisson[1] if poisson[0] > 0.0 else 1.0
        if not wanted or used <= most or not variance > 0.0:
            continue
        for i in range(points):
            rw[i] /= math.sqrt(variance)
            y[i] = (spectra[p, i] - level) * rw[i] if rw[i] > 0.0 else 0.0
        if not dot(y, y) > CONSTANT * level * level * total / variance:
            continue
        spectrum = (x, y, rw, kind, offsets, degree, used, known, bounds)
        lines = grow_lines(spectrum, n, filters, bank, room)
        order = np.argsort(lines[:n])
        for i in range(n, start.shape[1]):
            start[p, i] = 0.0
        for k in range(n):
            start[p, k] = lines[order[k]]
            start[p, n + which[k]] = max(start[p, n + which[k]], lines[n + order[k]])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def grow_lines(spectrum, n, filters, bank, room):
    """Return centres and widths of `n` lines."""
    _, y, _, _, _, degree, points, known, _ = spectrum
    residual = room[4]
    start = strongest_template(filters, y)
    lines = np.array([bank[0, start], bank[1, start]])
    chi2 = math.inf
    for k in range(1, n + 1):
        chi2 = refine(spectrum, k, lines, room)
        if k < n:
            t = strongest_template(filters, residual)
            lines = with_line(lines, k, bank[0, t], bank[1, t])
    freedom = max(points - degree - 1 - 3 * n, 1)
    enough = freedom + DOUBT * math.sqrt(2.0 * freedom)
    strength, misfit = np.empty(n), np.empty(n)
    for _ in range(PASSES):
        variance = 1.0 if known else chi2 / freedom
        score = refine_and_score(spectrum, n, lines, variance, strength, room)
        before = score
        lines, score = part_undone(spectrum, n, lines, score, variance, strength, room)
        chi2 = judge(spectrum, n, lines, variance, strength, misfit, room)
        if known and chi2 < enough and np.min(strength) > THERE:
            break
        weak, poor = np.argsort(strength), np.argsort(-misfit)
        for j in weak[:WEAK]:
            for i in poor[:POOR]:
                if i == j:
                    continue
                trial = with_two(lines, n, i, j, lines[i], PARTED * lines[n + i])
                found = refine_and_score(spectrum, n, trial, variance, strength, room)
                if found < score - WORTH:
                    lines, score = trial, found
                    break
        if score == before and not (known and chi2 < enough):
            for j in range(n):
                fewer = without_line(lines, n, j)
                refine(spectrum, n - 1, fewer, room)
                t = strongest_template(filters, residual)
                trial = with_line(fewer, n - 1, bank[0, t], bank[1, t])
                found = refine_and_score(spectrum, n, trial, variance, strength, room)
                if found < score - WORTH:
                    lines, score = trial, found
        if not score < before:
            break
    return lines


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def part_undone(spectrum, n, lines, score, variance, strength, room):
    """Set side by side lines on top of each other of which one undoes the other; returns lines and score."""
    coef, first = room[3], spectrum[5] + 1
    amplitude = np.empty(n)
    for _ in range(n):
        refine(spectrum, n, lines, room)
        amplitude[:] = coef[first : first + n]
        better, best, least = False, lines, score
        for i in range(n):
            for j in range(i):
                apart, wide = abs(lines[i] - lines[j]), lines[n + i] + lines[n + j]
                if better or amplitude[i] * amplitude[j] > 0.0 or apart > UNDONE * wide:
                    continue
                strong = i if abs(amplitude[i]) > abs(amplitude[j]) else j
                for share in (PARTED, CLOSER):
                    for centre in (0.5 * (lines[i] + lines[j]), lines[strong]):
                        trial = with_two(lines, n, i, j, centre, share * lines[n + strong])
                        found = refine_and_score(spectrum, n, trial, variance, strength, room)
                        if found < score - WORTH and (not better or found < least):
                            best, least, better = trial, found, True
        if better:
            lines, score = best, least
        if not better:
            break
    return lines, score


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def refine_and_score(spectrum, n, lines, variance, strength, room):
    """Refine in place; returns chi2 in variances and what counts against the lines besides, see `CANCELLING`."""
    degree, bounds = spectrum[5], spectrum[8]
    _, _, factor, coef, _, _, _, work = room
    total = refine(spectrum, n, lines, room) / variance
    for k in range(n):
        error = math.sqrt(variance * conditional_variance(factor, degree + 1 + n, degree + 1 + k, work))
        strength[k] = abs(coef[degree + 1 + k]) / error
        total += 0.5 * max(NEEDED * NEEDED - strength[k] * strength[k], 0.0)
        total += CANCELLING if lines[n + k] < NARROW * bounds[2] else 0.0
        for j in range(k):
            opposite = coef[degree + 1 + k] * coef[degree + 1 + j] < 0.0
            if opposite and abs(lines[k] - lines[j]) < lines[n + k] + lines[n + j]:
                total += CANCELLING
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def judge(spectrum, n, lines, variance, strength, misfit, room):
    """Write each line's amplitude over its error at fixed shape, and the misfit about it; returns chi2."""
    x, residual = spectrum[0], room[4]
    refine_and_score(spectrum, n, lines, variance, strength, room)
    for k in range(n):
        total, count = 0.0, 0
        for i in range(x.size):
            if abs(x[i] - lines[k]) < 1.5 * lines[n + k]:
                total += residual[i] * residual[i] / variance
                count += 1
        misfit[k] = (total - count) / math.sqrt(2.0 * count + 1.0)
    return dot(residual, residual)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def refine(spectrum, k, lines, room):
    """Refine `k` lines of separate widths in place; returns chi2 and leaves residual and coefficients in `room`."""
    x, y, root_weight, kind, offsets, degree, points, known, bounds = spectrum
    columns, gram, factor, coef, residual, curvature, slope, work = room
    dof = max(points - degree - 1 - 3 * k, 1)
    _, _, chi2 = iterate(
        x, y, root_weight, kind, offsets, k, np.arange(k), degree, dof, known, bounds, lines, columns, gram, factor,
        coef, residual, curvature, slope, work, TRIAL,
    )  # fmt: skip
    return chi2
