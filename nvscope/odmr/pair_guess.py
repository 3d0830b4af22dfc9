"""Level spectra at their baseline, and guess a line pair in each: its two largest excursions."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from nvscope.odmr.shapes import SAFE_FAST

__all__ = ["guess_pairs", "level_spectra"]

BATCH = 64
APART = 3.0  # two lines are first looked for more than this many points apart


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def level_spectra(spectra, x, weight, base, level):
    """Take a level near the baseline off (frequency, pixel), and sum up what fitting the baseline needs.

    `level` says how many pixels there are; `weight` is common to all of them. A pixel with a number that is not finite
    gets a `level` that is not. Rows 0 … 8 of `base` receive `pair_sums.BASE_SUMS`.
    """
    points = x.size
    s0 = s1 = s2 = s3 = s4 = 0.0
    for f in range(points):
        w = weight[f]
        s0 += w
        s1 += w * x[f]
        s2 += w * x[f] * x[f]
        s3 += w * x[f] * x[f] * x[f]
        s4 += w * x[f] * x[f] * x[f] * x[f]
    origin = np.empty(BATCH)
    spread = np.empty(BATCH)
    inside = np.empty(BATCH)
    above = np.empty(BATCH)
    wide = np.empty(BATCH)
    for first in range(0, level.size, BATCH):
        count = min(BATCH, level.size - first)
        middle = level[first : first + count]
        for p in range(count):
            origin[p] = spectra[0, first + p]
            inside[p] = 0.0
            above[p] = 0.0
            spread[p] = 0.0
        for f in range(points):
            kept = spectra[f, first : first + count]
            w = weight[f]
            for p in range(count):
                value = kept[p] - origin[p]  # against cancellation in the sum of squares
                kept[p] = value
                above[p] += w * value
                spread[p] += w * value * value
        # the mean lies between baseline and lines; most points lie within a deviation of the baseline
        for p in range(count):
            mean = above[p] / s0
            spread[p] = math.sqrt(max(spread[p] / s0 - mean * mean, 0.0)) + 1e-300
            middle[p] = mean
            above[p] = 0.0
        for f in range(points):
            kept = spectra[f, first : first + count]
            w = weight[f]
            for p in range(count):
                value = kept[p] - middle[p]
                share = w if abs(value) < spread[p] else 0.0
                inside[p] += share
                above[p] += share * value
        for p in range(count):
            middle[p] += above[p] / inside[p] if inside[p] > 0.0 else 0.0
            inside[p] = 0.0
            above[p] = 0.0
            wide[p] = 0.0
            spread[p] = 0.0
        for f in range(points):
            kept = spectra[f, first : first + count]
            w = weight[f]
            wx = w * x[f]
            wxx = wx * x[f]
            for p in range(count):
                value = kept[p] - middle[p]
                kept[p] = value
                inside[p] += w * value
                above[p] += wx * value
                wide[p] += wxx * value
                spread[p] += w * value * value
        for p in range(count):
            middle[p] += origin[p]
            base[0, first + p] = s0
            base[1, first + p] = s1
            base[2, first + p] = s2
            base[3, first + p] = s3
            base[4, first + p] = s4
            base[5, first + p] = inside[p]
            base[6, first + p] = above[p]
            base[7, first + p] = wide[p]
            base[8, first + p] = spread[p]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def guess_pairs(spectra, count, x, bounds, q):
    """Guess c1, w1, c2, w2 (rows of `q`) for the first `count` columns of levelled spectra (frequency, pixel).

    A line's centre follows from the balance of three points, its width from how much more nine of them gather.
    """
    points = x.size
    smooth = np.zeros((points + 6, BATCH))
    height = np.empty(BATCH)
    place = np.empty(BATCH)
    taken = np.empty(BATCH)
    for first in range(0, count, BATCH):
        many = min(BATCH, count - first)
        for f in range(points):
            here = spectra[f, first : first + many]
            below = spectra[max(f - 1, 0), first : first + many]
            over = spectra[min(f + 1, points - 1), first : first + many]
            out = smooth[f + 3]
            for p in range(many):
                out[p] = below[p] + here[p] + over[p]
        for p in range(many):
            taken[p] = -100.0
        for line in range(2):
            for p in range(many):
                height[p] = -1.0
                place[p] = 0.0
            for f in range(points):
                sums = smooth[f + 3]
                at = float(f)
                for p in range(many):
                    score = abs(sums[p]) if abs(at - taken[p]) > APART else -1.0
                    top = height[p]
                    place[p] = at if score > top else place[p]
                    height[p] = score if score > top else top
            for p in range(many):
                f = int(place[p])
                left, right = max(f - 1, 0), min(f + 1, points - 1)
                step = (x[right] - x[left]) / (right - left)
                near = smooth[f + 3, p]
                far = smooth[f, p] + near + smooth[f + 6, p]
                ratio = far / near if near != 0.0 else 1.5
                ratio = min(max(ratio, 1.15), 2.8)
                width = 2.3 * step * math.sqrt((ratio - 1.0) / (3.0 - ratio))
                shift = (spectra[right, first + p] - spectra[left, first + p]) / near if near != 0.0 else 0.0
                centre = x[f] + step * min(max(shift, -1.0), 1.0)
                q[2 * line, first + p] = min(max(centre, bounds[0]), bounds[1])
                q[2 * line + 1, first + p] = min(max(width, 2.0 * bounds[2]), bounds[3])
                taken[p] = place[p]
