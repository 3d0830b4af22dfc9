"""Level spectra at their baseline, and guess a line pair in each: its two largest excursions."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np
from numba import njit

from nvscope.odmr.normal import BASE_SUMS
from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.simd import LANES, broadcast, choose, larger, load, root, store

__all__ = ["guess_pairs", "level_spectra"]

NEAR, WIDE, STEP, LEAN, PLACE = range(5)  # what a guess looks at: three points, the six about them, ...
APART = 3.0  # two lines are first looked for more than this many points apart


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def level_spectra(spectra, x, weight, base, level):
    """Take a level near the baseline off (frequency, pixel), and sum up what fitting the baseline needs.

    `level` says how many pixels there are; `spectra` has columns up to whole `LANES` of them. `weight` is common to
    all. A pixel with a number that is not finite gets a `level` that is not. Rows 0 … 8 of `base` receive
    `normal.BASE_SUMS`.
    """
    points = x.size
    zero = broadcast(0.0)
    s0 = s1 = s2 = s3 = s4 = 0.0
    for f in range(points):
        w = weight[f]
        s0 += w
        s1 += w * x[f]
        s2 += w * x[f] * x[f]
        s3 += w * x[f] * x[f] * x[f]
        s4 += w * x[f] * x[f] * x[f] * x[f]
    total = broadcast(s0)
    sums = np.empty((BASE_SUMS + 1, LANES))
    for k, value in enumerate((s0, s1, s2, s3, s4)):
        store(sums, k, 0, broadcast(value))
    for first in range(0, level.size, LANES):
        origin = load(spectra, 0, first)
        above, spread = zero, zero
        for f in range(points):
            value = load(spectra, f, first) - origin  # against cancellation in the sum of squares
            part = broadcast(weight[f]) * value
            above = above + part
            spread = spread + part * value
        # the mean lies between baseline and lines; most points lie within a deviation of the baseline
        mean = above / total
        spread = larger(spread / total - mean * mean, zero) + broadcast(1e-300)
        middle = origin + mean
        inside, above = zero, zero
        for f in range(points):
            value = load(spectra, f, first) - middle
            share = choose(spread, value * value, broadcast(weight[f]), zero)
            inside = inside + share
            above = above + share * value
        middle = middle + choose(inside, zero, above / inside, zero)
        y0, y1, y2, yy = zero, zero, zero, zero
        for f in range(points):
            value = load(spectra, f, first) - middle
            store(spectra, f, first, value)
            at = broadcast(x[f])
            part = broadcast(weight[f]) * value
            y0 = y0 + part
            yy = yy + part * value
            part = part * at
            y1 = y1 + part
            y2 = y2 + part * at
        store(sums, 5, 0, y0)
        store(sums, 6, 0, y1)
        store(sums, 7, 0, y2)
        store(sums, 8, 0, yy)
        store(sums, 9, 0, middle)
        many = min(LANES, level.size - first)
        for k in range(BASE_SUMS):
            for p in range(many):
                base[k, first + p] = sums[k, p]
        for p in range(many):
            level[first + p] = sums[BASE_SUMS, p]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def guess_pairs(spectra, count, x, bounds, q):
    """Guess c1, w1, c2, w2 (rows of `q`) for the first `count` columns of levelled spectra (frequency, pixel).

    A line's centre follows from the balance of three points, its width from how much more nine of them gather.
    """
    points = x.size
    zero, one = broadcast(0.0), broadcast(1.0)
    smooth = np.zeros((points + 8, LANES))
    look = np.zeros((5, LANES))
    for first in range(0, count, LANES):
        below, here = load(spectra, 0, first), load(spectra, 0, first)
        for f in range(points):
            over = load(spectra, min(f + 1, points - 1), first)
            store(smooth, f + 3, 0, below + here + over)
            below, here = here, over
        taken = broadcast(-100.0)
        for line in range(2):
            # two searches, over even and odd points: they need not wait for each other
            height, place = zero - one, zero
            other, elsewhere = zero - one, zero
            for f in range(0, points + 1, 2):
                at = broadcast(float(f))
                score = distant_size(load(smooth, f + 3, 0), at, taken)
                place = choose(score, height, at, place)
                height = larger(score, height)
                at = at + one
                score = distant_size(load(smooth, f + 4, 0), at, taken)
                elsewhere = choose(score, other, at, elsewhere)
                other = larger(score, other)
            taken = smaller(choose(other, height, elsewhere, place), broadcast(points - 1.0))
            store(look, PLACE, 0, taken)
            for p in range(LANES):
                f = int(look[PLACE, p])
                left, right = max(f - 1, 0), min(f + 1, points - 1)
                look[NEAR, p] = smooth[f + 3, p]
                look[WIDE, p] = smooth[f, p] + smooth[f + 6, p]
                look[STEP, p] = (x[right] - x[left]) / (right - left)
                look[LEAN, p] = spectra[right, first + p] - spectra[left, first + p]
                look[PLACE, p] = x[f]
            near, step = load(look, NEAR, 0), load(look, STEP, 0)
            level = choose(near, zero, one, choose(zero, near, one, zero))
            ratio = one + choose(level, zero, load(look, WIDE, 0) / near, broadcast(0.5))
            ratio = smaller(larger(ratio, broadcast(1.15)), broadcast(2.8))
            width = broadcast(2.3) * step * root((ratio - one) / (broadcast(3.0) - ratio))
            shift = choose(level, zero, load(look, LEAN, 0) / near, zero)
            centre = load(look, PLACE, 0) + step * smaller(larger(shift, zero - one), one)
            centre = smaller(larger(centre, broadcast(bounds[0])), broadcast(bounds[1]))
            width = smaller(larger(width, broadcast(2.0 * bounds[2])), broadcast(bounds[3]))
            if first + LANES <= count:
                store(q, 2 * line, first, centre)
                store(q, 2 * line + 1, first, width)
            else:
                store(look, NEAR, 0, centre)
                store(look, STEP, 0, width)
                for p in range(count - first):
                    q[2 * line, first + p] = look[NEAR, p]
                    q[2 * line + 1, first + p] = look[STEP, p]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def distant_size(value, at, taken):
    """Take the size of a value, -1 where it is next to what is taken already."""
    zero, one = broadcast(0.0), broadcast(1.0)
    size = larger(value, zero - value)
    return choose(larger(at - taken, taken - at), broadcast(APART), size, zero - one)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def smaller(left, right):
    """Take the smaller number in every lane; `right` where `left` is none."""
    return choose(right, left, left, right)
