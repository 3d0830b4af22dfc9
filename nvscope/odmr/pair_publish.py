"""From solutions in the kernels' units to maps in Hz, with a status for every pixel."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from nvscope.odmr.normal import BASE_SUMS
from nvscope.odmr.pair_finish import (
    CHI2,
    COVARIANCE,
    DEGREE,
    FIXED,
    LEVEL,
    LINES,
    OUTCOME,
    PASSES,
    ROWS,
    VARIANCE,
)
from nvscope.odmr.setup import GAIN_SHARE, INSIDE, UNEXPLAINED
from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.simd import LANES, broadcast, choose, larger, load, root, store

__all__ = ["MAPS", "publish"]

# rows of the maps; per line: centre, amplitude, contrast, width, each followed by its error
F, A, C, W = 0, 4, 8, 12
HALF, CENTER, BASE, CHI2_REDUCED, GAIN = 16, 18, 20, 26, 27
MAPS = 28
BATCH = 64


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def publish(
    table,
    base,
    level,
    unit_noise,
    known,
    points,
    middle,
    unit,
    offset,
    bounds,
    windows,
    needed,
    ease,
    first,
    maps,
    status,
    counts,
):
    """Write pixels `first` … of `maps` (MAPS, pixel), `status` (pixel,) and `counts` (3, pixel).

    Parameters
    ----------
    table : (ROWS, pixel)
        Solutions; see `pair_finish`.
    base, level : (9, pixel), (pixel,)
        Baseline sums and the level taken off.
    unit_noise : (pixel,)
        Noise variance of unit weight, or what it is thought to be in proportion to.
    known : bool
        Whether errors follow from it, or from the scatter.
    points : (pixel,)
        Usable points.
    middle, unit : float
        Hz: x = (f - middle)/unit.
    offset : float
        Counts that are not light.
    bounds, windows : (4,), (window, 2)
        Limits of centre and width; what was sampled.
    needed : (points + 1,)
        Least amplitude of a line over its error, by degrees of freedom; see `setup`.
    ease : (pixel,)
        Share of it that a pixel needs.
    """
    # rows of the maps may lie whole pages apart and fight for the same cache lines
    rows = np.empty((MAPS, BATCH))
    own = np.ones((ROWS, LANES))
    sums = np.ones((BASE_SUMS, LANES))
    pixel = np.ones((4, LANES))
    told = np.empty((3, LANES))
    for begin in range(0, table.shape[1], BATCH):
        count = min(BATCH, table.shape[1] - begin)
        for s in range(0, count, LANES):
            many = min(LANES, count - s)
            p = begin + s
            for a in range(many):
                pixel[0, a] = level[p + a]
                pixel[1, a] = unit_noise[p + a]
                pixel[2, a] = points[p + a]
                freedom = points[p + a] - 1 - 3 * int(table[LINES, p + a]) - int(table[DEGREE, p + a])
                pixel[3, a] = ease[p + a] * needed[max(freedom, 0)]
            if many == LANES:
                for k in range(ROWS):
                    store(own, k, 0, load(table, k, p))
                for k in range(BASE_SUMS):
                    store(sums, k, 0, load(base, k, p))
            else:
                for a in range(many):
                    for k in range(ROWS):
                        own[k, a] = table[k, p + a]
                    for k in range(BASE_SUMS):
                        sums[k, a] = base[k, p + a]
            describe_lanes(own, sums, pixel, known, middle, unit, offset, bounds, windows, s, rows, told)
            for a in range(many):
                t = first + p + a
                status[t] = int(told[0, a])
                counts[0, t] = int(own[PASSES, a])
                counts[1, t] = int(told[1, a])
                counts[2, t] = int(own[DEGREE, a])
        for k in range(MAPS):
            for s in range(count):
                maps[k, first + begin + s] = rows[k, s]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def describe_lanes(own, sums, pixel, known, middle, unit, offset, bounds, windows, slot, rows, told):
    """Write columns `slot` … of `rows`, (MAPS, BATCH), and status and number of lines to `told`, (2 or more, LANES).

    `own` are `LANES` solutions, `sums` their baseline sums; `pixel` holds their level, noise, number of points,
    and what a line's amplitude over its error must be.
    """
    zero, one, two, half, nan = broadcast(0.0), broadcast(1.0), broadcast(2.0), broadcast(0.5), broadcast(math.nan)
    scale, centre_of_axis = broadcast(unit), broadcast(middle)
    level, noise, needed = load(pixel, 0, 0), load(pixel, 1, 0), load(pixel, 3, 0)
    wanted, degree, chi2 = load(own, LINES, 0), load(own, DEGREE, 0), load(own, CHI2, 0)
    freedom = load(pixel, 2, 0) - one - broadcast(3.0) * wanted - degree
    variance = chi2 / freedom
    if known:
        # what the noise given does not explain by far is not measured to within it
        most = noise * (one + broadcast(UNEXPLAINED) * root(two / freedom))
        variance = noise * larger(one, variance / most)
    sigma = root(variance)
    gain = null_chi2(sums, degree) - chi2
    single = choose(two, wanted, one, zero)
    # whether the lower line is the second one
    swapped = choose(load(own, 0, 0), load(own, 2, 0), one - single, zero)
    found, odd = zero, zero
    for side in range(2):
        second = swapped if side == 0 else one - swapped - single
        c = choose(second, zero, load(own, 2, 0), load(own, 0, 0))
        w = choose(second, zero, load(own, 3, 0), load(own, 1, 0))
        a = choose(second, zero, load(own, LEVEL + 2, 0), load(own, LEVEL + 1, 0))
        c_err = choose(second, zero, load(own, VARIANCE + 2, 0), load(own, VARIANCE, 0))
        w_err = choose(second, zero, load(own, VARIANCE + 3, 0), load(own, VARIANCE + 1, 0))
        a_err = choose(second, zero, load(own, VARIANCE + LEVEL + 2, 0), load(own, VARIANCE + LEVEL + 1, 0))
        fixed = choose(second, zero, load(own, FIXED + 1, 0), load(own, FIXED, 0))
        c_err, w_err, a_err = sigma * root(c_err), sigma * root(w_err), sigma * root(a_err)
        here = load(own, LEVEL, 0) + c * (load(own, LEVEL + 3, 0) + c * load(own, LEVEL + 4, 0)) + level
        here = here - broadcast(offset)
        size, light = larger(a, zero - a), larger(here, zero - here)
        # an NV contrast never comes near 1/2: such a baseline is no level but the zero of a difference
        store(rows, F + side, slot, centre_of_axis + scale * c)
        store(rows, F + 2 + side, slot, scale * c_err)
        store(rows, A + side, slot, a)
        store(rows, A + 2 + side, slot, a_err)
        store(rows, C + side, slot, choose(light, two * size, a / here, nan))
        store(rows, C + 2 + side, slot, choose(light, two * size, a_err / light, nan))
        store(rows, W + side, slot, scale * w)
        store(rows, W + 2 + side, slot, scale * w_err)
        asked = one if side == 0 else one - single
        found = found + choose(size, needed * sigma * root(fixed), asked, zero)
        sampled = zero
        for k in range(windows.shape[0]):
            left, right = c - broadcast(INSIDE) * w, c + broadcast(INSIDE) * w
            within = choose(left, broadcast(windows[k, 0]), choose(broadcast(windows[k, 1]), right, one, zero), zero)
            sampled = sampled + within
        # a line that may be narrower than samples can tell has a centre that they cannot tell either
        narrow = choose(broadcast(bounds[2] * 1.000001), w - w_err, one, zero)
        broad = choose(w, broadcast(bounds[3] * 0.999999), one, zero)
        odd = odd + narrow + broad + choose(sampled, zero, zero, one)
        # a difference from itself is zero but for what is not finite
        sound = choose(one, (c_err - c_err) + (a_err - a_err), zero, one)
        store(told, 2, 0, sound if side == 0 else larger(load(told, 2, 0), sound))
    v1, v2, cov = load(own, VARIANCE, 0), load(own, VARIANCE + 2, 0), load(own, COVARIANCE, 0)
    low, high = load(rows, F, slot), load(rows, F + 1, slot)
    # one line has no splitting; zero would be a claim
    apart = half * scale * sigma * root(larger(v1 + v2 - two * cov, zero))
    store(rows, HALF, slot, choose(single, zero, nan, half * (high - low)))
    store(rows, HALF + 1, slot, choose(single, zero, nan, apart))
    both = choose(single, zero, broadcast(4.0) * v1, v1 + v2 + two * cov)
    store(rows, CENTER, slot, half * (high + low))
    store(rows, CENTER + 1, slot, half * scale * sigma * root(larger(both, zero)))
    for k in range(3):
        row = LEVEL if k == 0 else LEVEL + 2 + k
        store(rows, BASE + k, slot, load(own, row, 0) + (level if k == 0 else zero))
        store(rows, BASE + 3 + k, slot, sigma * root(load(own, VARIANCE + row, 0)))
    store(rows, CHI2_REDUCED, slot, chi2 / freedom / noise)
    store(rows, GAIN, slot, gain / noise)
    seen = choose(gain, broadcast(GAIN_SHARE) * needed * needed * variance, one, zero)
    unfinished = load(own, OUTCOME, 0) + load(told, 2, 0)
    state = choose(odd, zero, one, choose(unfinished, zero, broadcast(3.0), zero))
    state = choose(wanted, found, two, state)
    store(told, 0, 0, choose(seen, zero, state, two))
    store(told, 1, 0, seen * found)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def null_chi2(base, degree):
    """Chi2 of the baseline alone, from its sums, (9, LANES)."""
    zero = broadcast(0.0)
    s0, s1, s2 = load(base, 0, 0), load(base, 1, 0), load(base, 2, 0)
    y0, y1, y2 = load(base, 5, 0), load(base, 6, 0), load(base, 7, 0)
    chi2 = load(base, 8, 0) - y0 * y0 / s0
    xx = s2 - s1 * s1 / s0
    xy = y1 - s1 * y0 / s0
    zx = load(base, 3, 0) - s2 * s1 / s0
    zz = load(base, 4, 0) - s2 * s2 / s0 - zx * zx / xx
    zy = y2 - s2 * y0 / s0 - zx * xy / xx
    chi2 = chi2 - choose(degree, zero, xy * xy / xx, zero)
    return chi2 - choose(degree, broadcast(1.0), zy * zy / zz, zero)
