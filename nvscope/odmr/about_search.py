"""Which half splitting, among which other lines: the search of `pair_about`; kernels.

The trial half splittings are steps apart, so at the best of them the pair is misplaced by up to half a step. Where
there is light enough to see that, the pursuit takes other lines to make up for it, and a trial elsewhere looks better.
So every trial better than its neighbours is refined, the pursuit is repeated from where that ends, and in the end other
lines are taken away one at a time as long as that explains the spectrum better.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from nvscope.odmr.pair_pursuit import (
    CENTER_SLACK,
    DEPTH_SLACK,
    MHZ,
    OTHERS,
    STEP,
    WIDTH_SLACK,
    copy,
    grid,
    model,
    normal_matrix,
    pursue,
    refine,
)
from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.varpro import covariance, dot

__all__ = ["fit_block"]

_MOST = 6 + 3 * OTHERS
"""Parameters of a model, at most: centre, half splitting, width, level, two depths; three of each other line."""
_STARTS = 2 + OTHERS
"""Trials that are refined, at most: a trial is better than its neighbours where one of the pair meets a line."""
_ANSWERS = 2 * _STARTS + OTHERS * (OTHERS + 1) // 2
"""Models that are kept, at most: every start twice, and what is tried when lines are taken away."""
_SAME = STEP / 2
"""MHz: answers with as many lines that are closer than this came from neighbouring trials to the same."""
_CLEAR = 5.0
"""Depth over its error, of the pair together or one of its lines, from which there is a pair to be seen."""
_ROOT2 = math.sqrt(2.0)
_WITHIN = math.erf(1 / _ROOT2)
"""Probability within 1 σ of a Gaussian."""

# columns of a table of answers
_HALF, _SCORE, _SIZE = 0, 1, 2


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def fit_block(frequency, spectra, noise, known, out):
    """Fill rows of `out` for rows of `spectra`; columns of `known`: centre, its error, depth, width, level.

    Columns of `out`: half splitting, its error, centre, its error (Hz), other lines, reduced chi2. Rows of pixels
    without a pair are left as they are.
    """
    points = frequency.size
    x, y, weight = np.empty(points), np.empty(points), np.empty(points)
    q, room = np.empty(_MOST), np.empty(_MOST)
    normal, factor, inverted = np.empty((_MOST, _MOST)), np.empty((_MOST, _MOST)), np.empty((_MOST, _MOST))
    answers = np.empty((_ANSWERS, 3))
    for p in range(spectra.shape[0]):
        center, center_err, depth, width, level = known[p]
        for i in range(points):
            x[i] = (frequency[i] - center) / MHZ
            y[i] = (spectra[p, i] - level) / noise[p, i]
            weight[i] = 1.0 / noise[p, i]
        # prior mean and 1/σ of: centre, half splitting (none), width, sum of depths
        mean = np.array([0.0, 0.0, width / MHZ, depth * level])
        inverse = np.array(
            [
                1.0 / math.hypot(center_err / MHZ, CENTER_SLACK),
                0.0,
                1.0 / (WIDTH_SLACK * width / MHZ),
                1.0 / (DEPTH_SLACK * abs(depth) * level),
            ]
        )
        reach = min(-x[0], x[points - 1])
        if reach < 2 * STEP:
            continue
        size, kept = _search(x, y, weight, mean, inverse, reach, q, answers, normal, factor, room)
        if size == 0:
            continue
        residual, jacobian = model(x, y, weight, mean, inverse, q, size)
        normal_matrix(jacobian, size, normal)
        for i in range(size):
            # two equal lines on top of each other do not change to first order when they part
            normal[i, i] += 1e-9 * normal[i, i] + 1e-12
        covariance(normal, size, factor, inverted, room)
        freedom = max(1.0, points - size + 3.0)
        chi2 = dot(residual[:points], residual[:points]) / freedom
        # two lines on top of each other are clear together; and as the centre is known, one clear line says where the
        # other is, though that be hidden under a line of another group
        total = q[4] + q[5]
        total_var = inverted[4, 4] + inverted[5, 5] + 2 * inverted[4, 5]
        clear = max(total**2 / total_var, q[4] ** 2 / inverted[4, 4], q[5] ** 2 / inverted[5, 5])
        if not (inverted[1, 1] > 0 and total * depth > 0 and clear > _CLEAR**2 * chi2):
            continue
        scale = math.sqrt(max(chi2, 1e-12))
        own = math.sqrt(inverted[1, 1]) * scale
        out[p, 0] = abs(q[1]) * MHZ
        out[p, 1] = _one_sigma(own, q[1], answers[:kept], max(1.0, chi2)) * MHZ
        out[p, 2] = center + q[0] * MHZ
        out[p, 3] = math.sqrt(inverted[0, 0]) * scale * MHZ
        out[p, 4] = (size - 6) // 3
        out[p, 5] = chi2


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def _search(x, y, weight, mean, inverse, reach, best_q, answers, normal, factor, room):
    """Fill `best_q` with the best model and `answers` with all; returns its parameters (0: none) and their number."""
    points = x.size
    halves, places = grid(0.5, reach), grid(x[0], x[points - 1])
    bank, norm = np.empty((places.size, points + 1)), np.empty(places.size)
    for j in range(places.size):
        for i in range(points):
            bank[j, i] = weight[i] / (1.0 + ((x[i] - places[j]) / mean[2]) ** 2)
        bank[j, points] = 0.0
        norm[j] = 1.0 / math.sqrt(dot(bank[j], bank[j]))
    trials, starts = np.empty(halves.size), np.empty((halves.size, _MOST))
    counts = np.empty(halves.size, np.int64)
    for k in range(halves.size):
        counts[k], trials[k] = pursue(x, y, weight, halves[k], mean, inverse, places, bank, norm, starts[k])
    valleys = trials.copy()
    for k in range(halves.size):
        if (k > 0 and trials[k - 1] < trials[k]) or (k + 1 < halves.size and trials[k + 1] < trials[k]):
            valleys[k] = np.inf
    q = np.empty(_MOST)
    best, size, kept = np.inf, 0, 0
    for _ in range(_STARTS):
        k = int(np.argmin(valleys))
        if not math.isfinite(valleys[k]):
            break
        valleys[k] = np.inf
        others = counts[k]
        copy(starts[k], q, _MOST)
        for _again in range(2):
            own = 6 + 3 * others
            score = refine(x, y, weight, mean, inverse, q, own, normal, factor, room)
            if q[1] > reach:  # half a pair, the other line beyond what was swept
                break
            kept = _keep(answers, kept, q[1], score, own)
            if score < best:
                best, size = score, own
                copy(q, best_q, _MOST)
            others, score = pursue(x, y, weight, q[1], mean, inverse, places, bank, norm, q)
            if not math.isfinite(score):
                break
    if size == 0:
        return 0, 0
    return _prune(x, y, weight, mean, inverse, best_q, size, best, answers, kept, normal, factor, room)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def _prune(x, y, weight, mean, inverse, q, size, score, answers, kept, normal, factor, room):
    """Take other lines away from `q`, in place, while that explains better; returns its parameters, and answers."""
    trial, better = np.empty(_MOST), np.empty(_MOST)
    while size > 6:
        least = score
        for k in range((size - 6) // 3):
            copy(q, trial, _MOST)
            for i in range(6 + 3 * k, size - 3):
                trial[i] = q[i + 3]
            new = refine(x, y, weight, mean, inverse, trial, size - 3, normal, factor, room)
            kept = _keep(answers, kept, trial[1], new, size - 3)
            if new < least:
                least = new
                copy(trial, better, _MOST)
        if least >= score:
            break
        size -= 3
        score = least
        copy(better, q, _MOST)
    return size, kept


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def _keep(answers, kept, half, score, size):
    """Keep an answer, the better of two that are the same; returns how many are kept."""
    for k in range(kept):
        if abs(answers[k, _HALF] - half) < _SAME and answers[k, _SIZE] == size:
            if score < answers[k, _SCORE]:
                answers[k, _HALF], answers[k, _SCORE] = half, score
            return kept
    answers[kept, _HALF], answers[kept, _SCORE], answers[kept, _SIZE] = half, score, size
    return kept + 1


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def _one_sigma(own, half, answers, scale):
    """Distance from `half` within which the truth lies as probably as within 1 σ of a Gaussian.

    Every answer counts by how well it explains the spectrum, with the error `own` of the best. One of a thousandth's
    weight tens of MHz away hardly widens this; in a standard deviation it would drown what is known.
    """
    best, evidence, high = np.min(answers[:, _SCORE]), 0.0, own
    for k in range(answers.shape[0]):
        evidence += math.exp(-0.5 * (answers[k, _SCORE] - best) / scale)
        high = max(high, abs(answers[k, _HALF] - half) + 3.0 * own)
    low = 0.0
    while high - low > 1e-3 * own:
        middle = 0.5 * (low + high)
        within = 0.0
        for k in range(answers.shape[0]):
            share = math.exp(-0.5 * (answers[k, _SCORE] - best) / scale) / evidence
            away = abs(answers[k, _HALF] - half)
            upper, lower = math.erf((away + middle) / own / _ROOT2), math.erf((away - middle) / own / _ROOT2)
            within += 0.5 * share * (upper - lower)
        if within < _WITHIN:
            low = middle
        else:
            high = middle
    return high
