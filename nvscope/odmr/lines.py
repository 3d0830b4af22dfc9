"""The general kernel: any number of lines of any shape on any baseline, for a block of pixels."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from nvscope.odmr.guess import guess_lines
from nvscope.odmr.setup import GAIN_SHARE, INSIDE, UNEXPLAINED
from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.varpro import CONVERGED, covariance, dot, fill_baseline, iterate

__all__ = ["CONSTANT", "conditional_variance", "fit_lines", "weigh"]

CONSTANT = 1e-24  # share of a spectrum's sum of squares that is rounding
STRONG_CONTRAST = 0.03  # contrast above which Poisson weights must follow the spectrum


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def fit_lines(
    x,
    spectra,
    root_weight,
    poisson,
    known,
    kind,
    offsets,
    n,
    which,
    degrees,
    filters,
    overlap,
    start_bank,
    start,
    bounds,
    windows,
    needed,
    ascending,
    out,
    status,
    counts,
):
    """Fit every row of `spectra`.

    Parameters
    ----------
    x : (frequency,)
        Scaled axis, -1 … 1.
    spectra : (pixel, frequency)
        Signal; not-finite points are left out.
    root_weight : (1 or pixel, frequency)
        Square roots of the weights; not-finite or zero leaves a point out.
    poisson : (2,)
        Slope and intercept of the variance against the signal, or zeros for weights as given.
    known : bool
        Weights are inverse variances, not only proportional to them.
    degrees : (2,)
        Lowest and highest baseline degree to choose from.
    start_bank, start : (2, template), (pixel or 0, parameters)
        Template centres and widths; warm-start centres then widths, not-finite rows
        are guessed.
    bounds, windows : (4,), (window, 2)
        Limits of centre and width; the intervals that were sampled.
    needed : (points + 1,)
        Amplitude over error, by degrees of freedom, below which a line is missing; see `setup`.
    ascending : bool
        Whether lines leave in ascending order, or in the order of their start.
    out : (pixel, rows)
        Per line centre, error, amplitude, error, width, error; three baseline coefficients and errors; reduced chi2;
        the drop of chi2; covariances of the centres (i < j).
    status, counts : (pixel,), (pixel, 3)
        `FitStatus`; iterations, significant lines, baseline degree.
    """
    points = x.size
    size = start.shape[1]
    most = degrees[1] + 1 + n + 2 * n
    columns = np.empty((most, points))
    gram = np.empty((most, most))
    factor = np.zeros((most, most))
    inverse = np.empty((most, most))
    work = np.empty(most)
    coef = np.empty(most)
    residual = np.empty(points)
    curvature = np.empty((size, size))
    slope = np.empty(size)
    q = np.empty(size)
    best_q = np.empty(size)
    y = np.empty(points)
    rw = np.empty(points)
    amplitude = np.empty(filters.shape[0])
    rest = np.empty(filters.shape[0])
    chosen = np.zeros(n, np.int64)
    order = np.empty(n, np.int64)
    for p in range(spectra.shape[0]):
        for i in range(out.shape[1]):
            out[p, i] = np.nan
        for i in range(3):
            counts[p, i] = 0
        given = root_weight[p if root_weight.shape[0] > 1 else 0]
        used, level, total = weigh(spectra[p], given, rw)
        if used < degrees[0] + 1 + n + size + 1:
            status[p] = 4
            continue
        scale = 1.0
        if poisson[0] > 0.0:
            variance = poisson[0] * level + poisson[1]
            if not variance > 0.0:
                status[p] = 4
                continue
            scale = 1.0 / math.sqrt(variance)
        for i in range(points):
            rw[i] *= scale
            y[i] = (spectra[p, i] - level) * rw[i] if rw[i] > 0.0 else 0.0
        power = dot(y, y)
        if not power > CONSTANT * level * level * total * scale * scale:
            status[p] = 2  # constant
            continue
        warm = start.shape[0] > 0
        if warm:
            for i in range(size):
                warm = warm and math.isfinite(start[p, i])
        if warm:
            for i in range(size):
                q[i] = start[p, i]
        else:
            guess_lines(y, filters, overlap, n, amplitude, rest, chosen)
            chosen_by_centre(chosen, start_bank, n)
            for i in range(n, size):
                q[i] = 0.0
            for k in range(n):
                q[k] = start_bank[0, chosen[k]]
                q[n + which[k]] = max(q[n + which[k]], start_bank[1, chosen[k]])
        for i in range(size):
            low = bounds[0] if i < n else bounds[2]
            high = bounds[1] if i < n else bounds[3]
            q[i] = min(max(q[i], low), high)
        reweighted = poisson[0] == 0.0
        while True:
            best_score, degree = np.inf, degrees[0]
            for d in range(degrees[1], degrees[0] - 1, -1):  # a bend must not be taken for a broad line
                parameters = d + 1 + n + size
                if used <= parameters:
                    continue
                outcome, steps, chi2 = iterate(
                    x,
                    y,
                    rw,
                    kind,
                    offsets,
                    n,
                    which,
                    d,
                    used - parameters,
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
                )
                counts[p, 0] += steps
                score = chi2 if known else used * math.log(max(chi2, 1e-26 * power))
                score += parameters * math.log(used)
                if score < best_score:
                    best_score = score
                    degree = d
                    for i in range(size):
                        best_q[i] = q[i]
            if degrees[1] > degrees[0]:
                for i in range(size):
                    q[i] = best_q[i]
                parameters = degree + 1 + n + size
                outcome, steps, chi2 = iterate(
                    x,
                    y,
                    rw,
                    kind,
                    offsets,
                    n,
                    which,
                    degree,
                    used - parameters,
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
                )
            if reweighted:
                break
            reweighted = True
            strongest = 0.0
            for k in range(n):
                strongest = max(strongest, abs(coef[degree + 1 + k]))
            if strongest < STRONG_CONTRAST * level:
                break
            for i in range(points):  # weights from the fitted spectrum, which does not follow the noise
                if rw[i] > 0.0:
                    model = spectra[p, i] - residual[i] / rw[i]
                    rw[i] = given[i] / math.sqrt(max(poisson[0] * model + poisson[1], 0.1 * variance))
                    y[i] = (spectra[p, i] - level) * rw[i]
        linear = degree + 1 + n
        parameters = linear + size
        free = used - parameters
        variance = chi2 / free
        if known:  # what the noise given does not explain by far is not measured to within it
            variance = max(1.0, variance / (1.0 + UNEXPLAINED * math.sqrt(2.0 / free)))
        sound = covariance(gram, parameters, factor, inverse, work)
        for k in range(n):
            order[k] = k
        for i in range(1, n):
            k = i
            while k > 0 and q[order[k]] < q[order[k - 1]] and ascending:
                order[k], order[k - 1] = order[k - 1], order[k]
                k -= 1
        bounded = False
        for k in range(n):
            line = order[k]
            w = n + which[line]
            strength = coef[degree + 1 + line]
            spread = math.sqrt(variance * max(inverse[degree + 1 + line, degree + 1 + line], 0.0))
            out[p, 6 * k] = q[line]
            out[p, 6 * k + 1] = math.sqrt(variance * max(inverse[linear + line, linear + line], 0.0))
            out[p, 6 * k + 2] = strength
            out[p, 6 * k + 3] = spread
            out[p, 6 * k + 4] = q[w]
            out[p, 6 * k + 5] = math.sqrt(variance * max(inverse[linear + w, linear + w], 0.0))
            # with centre and width held: their errors do not make a line less visible
            if abs(strength) > needed[used - parameters] * math.sqrt(
                variance * conditional_variance(factor, linear, degree + 1 + line, work)
            ):
                counts[p, 1] += 1
            # a line that may be narrower than samples can tell has a centre that they cannot tell either
            bounded = bounded or at_bound(q[line], q[w], bounds, windows)
            bounded = bounded or q[w] - out[p, 6 * k + 5] <= bounds[2] * 1.000001
        gain = null_chi2(x, y, rw, degree, columns, gram, factor, work) - chi2
        for d in range(3):
            out[p, 6 * n + d] = 0.0
            out[p, 6 * n + 3 + d] = 0.0
            if d <= degree:
                out[p, 6 * n + d] = coef[d] + (level if d == 0 else 0.0)
                out[p, 6 * n + 3 + d] = math.sqrt(variance * max(inverse[d, d], 0.0))
        out[p, 6 * n + 6] = chi2 / (used - parameters)
        out[p, 6 * n + 7] = gain
        place = 6 * n + 8
        for i in range(n):
            for j in range(i + 1, n):
                out[p, place] = variance * inverse[linear + order[i], linear + order[j]]
                place += 1
        counts[p, 2] = degree
        if not gain > GAIN_SHARE * needed[used - parameters] ** 2 * variance:
            counts[p, 1] = 0
            status[p] = 2
        elif counts[p, 1] < n:
            status[p] = 2
        elif bounded:
            status[p] = 1
        elif outcome != CONVERGED or not sound:
            status[p] = 3
        else:
            status[p] = 0


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def weigh(spectrum, given, root_weight):
    """Copy the roots of usable points' weights, zero elsewhere; returns their number, weighted mean and weight."""
    used, level, total = 0, 0.0, 0.0
    for i in range(spectrum.size):
        root_weight[i] = 0.0
        if math.isfinite(spectrum[i]) and math.isfinite(given[i]) and given[i] > 0.0:
            root_weight[i] = given[i]
            used += 1
            level += spectrum[i] * given[i] * given[i]
            total += given[i] * given[i]
    return used, level / total if total > 0.0 else 0.0, total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def chosen_by_centre(chosen, bank, n):
    """Sort the chosen templates by centre, so that lines which share a width are the nested pairs."""
    for i in range(1, n):
        k = i
        while k > 0 and bank[0, chosen[k]] < bank[0, chosen[k - 1]]:
            chosen[k], chosen[k - 1] = chosen[k - 1], chosen[k]
            k -= 1


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def null_chi2(x, y, root_weight, degree, columns, gram, factor, work):
    """Chi2 of the baseline alone."""
    from_columns = degree + 1
    fill_baseline(x, root_weight, degree, columns)
    for i in range(from_columns):
        for j in range(i + 1):
            gram[i, j] = dot(columns[i], columns[j])
        work[i] = dot(columns[i], y)
    chi2 = dot(y, y)
    # forward substitution alone gives the explained sum of squares
    for i in range(from_columns):
        s = gram[i, i]
        for k in range(i):
            t = gram[i, k]
            for j in range(k):
                t -= factor[i, j] * factor[k, j]
            factor[i, k] = t / factor[k, k]
            s -= factor[i, k] * factor[i, k]
            work[i] -= factor[i, k] * work[k]
        factor[i, i] = math.sqrt(s)
        work[i] /= factor[i, i]
        chi2 -= work[i] * work[i]
    return chi2


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def conditional_variance(factor, size, k, work):
    """Diagonal element `k` of the inverse of the leading `size` rows of a factored matrix."""
    total = 0.0
    for i in range(k, size):
        s = 1.0 if i == k else 0.0
        for j in range(k, i):
            s -= factor[i, j] * work[j]
        work[i] = s / factor[i, i]
        total += work[i] * work[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def at_bound(centre, width, bounds, windows):
    """Whether a line is as wide as can be, or not well inside of what was sampled."""
    if width >= bounds[3] * 0.999999:
        return True
    sampled = False
    for i in range(windows.shape[0]):
        sampled = sampled or (windows[i, 0] <= centre - INSIDE * width and centre + INSIDE * width <= windows[i, 1])
    return not sampled
