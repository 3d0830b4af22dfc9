"""From solutions in the kernels' units to maps in Hz, with a status for every pixel."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from nvscope.odmr.pair_finish import CHI2, COVARIANCE, DEGREE, FIXED, LEVEL, LINES, OUTCOME, PASSES, ROWS, VARIANCE
from nvscope.odmr.pair_sums import BASE_SUMS
from nvscope.odmr.shapes import SAFE_FAST

__all__ = ["MAPS", "publish"]

# rows of the maps; per line: centre, amplitude, contrast, width, each followed by its error
F, A, C, W = 0, 4, 8, 12
HALF, CENTER, BASE, CHI2_REDUCED, GAIN = 16, 18, 20, 26, 27
MAPS = 28
BATCH = 64
# what is kept of a pixel meanwhile
VAR, WANTED, GAINED, SEEN, BOUNDED, FINITE, SECOND, SAMPLED, AT = range(9)
CHOSEN = 7  # from AT on, of the line at hand: centre, width, amplitude, their variances, and the amplitude's alone
STATE = AT + CHOSEN


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
    gain_needed,
    line_needed,
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
    gain_needed, line_needed : float
        Least gain of chi2 by both lines, least amplitude of one over its error.
    """
    # rows of the maps may lie whole pages apart and fight for the same cache lines
    rows = np.empty((MAPS, BATCH))
    own = np.empty((STATE, BATCH))
    solved = np.empty((ROWS, BATCH))
    sums = np.empty((BASE_SUMS, BATCH))
    for begin in range(0, table.shape[1], BATCH):
        count = min(BATCH, table.shape[1] - begin)
        for k in range(ROWS):
            for s in range(count):
                solved[k, s] = table[k, begin + s]
        for k in range(BASE_SUMS):
            for s in range(count):
                sums[k, s] = base[k, begin + s]
        gains(count, solved, sums, points[begin : begin + count], unit_noise[begin : begin + count], known, rows, own)
        light = level[begin : begin + count]
        for side in range(2):
            publish_line(count, solved, light, middle, unit, offset, bounds, windows, line_needed, side, rows, own)
        for s in range(count):
            variance, single = own[VAR, s], own[WANTED, s] < 2.0
            v1, v2 = solved[VARIANCE, s], solved[VARIANCE + 2, s]
            shared = 2.0 * solved[COVARIANCE, s]
            apart = math.sqrt(variance * max(v1 + v2 - shared, 0.0))
            both = math.sqrt(variance * (4.0 * v1 if single else max(v1 + v2 + shared, 0.0)))
            # one line has no splitting; zero would be a claim
            rows[HALF, s] = math.nan if single else 0.5 * (rows[F + 1, s] - rows[F, s])
            rows[HALF + 1, s] = math.nan if single else 0.5 * unit * apart
            rows[CENTER, s] = 0.5 * (rows[F + 1, s] + rows[F, s])
            rows[CENTER + 1, s] = 0.5 * unit * both
        for k in range(3):
            row = LEVEL if k == 0 else LEVEL + 2 + k
            for s in range(count):
                rows[BASE + k, s] = solved[row, s] + (light[s] if k == 0 else 0.0)
                rows[BASE + 3 + k, s] = math.sqrt(own[VAR, s] * solved[VARIANCE + row, s])
        for k in range(MAPS):
            for s in range(count):
                maps[k, first + begin + s] = rows[k, s]
        for s in range(count):
            t = first + begin + s
            silent = not own[GAINED, s] > gain_needed * own[VAR, s]
            counts[0, t] = int(solved[PASSES, s])
            counts[1, t] = 0 if silent else int(own[SEEN, s])
            counts[2, t] = int(solved[DEGREE, s])
            if silent or own[SEEN, s] < own[WANTED, s]:
                status[t] = 2
            elif own[BOUNDED, s] != 0.0:
                status[t] = 1
            elif solved[OUTCOME, s] != 0.0 or own[FINITE, s] == 0.0:
                status[t] = 3
            else:
                status[t] = 0


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def gains(count, solved, base, points, unit_noise, known, rows, own):
    """Fill `own` with variance, lines wanted and gain of chi2, and the rows that follow from chi2."""
    for s in range(count):
        degree, chi2 = solved[DEGREE, s], solved[CHI2, s]
        freedom = points[s] - 1.0 - 3.0 * solved[LINES, s] - degree
        # chi2 of the baseline alone, from its sums
        xx = base[2, s] - base[1, s] * base[1, s] / base[0, s]
        xy = base[6, s] - base[1, s] * base[5, s] / base[0, s]
        zx = base[3, s] - base[2, s] * base[1, s] / base[0, s]
        zz = base[4, s] - base[2, s] * base[2, s] / base[0, s] - zx * zx / xx
        zy = base[7, s] - base[2, s] * base[5, s] / base[0, s] - zx * xy / xx
        null = base[8, s] - base[5, s] * base[5, s] / base[0, s]
        null -= xy * xy / xx if degree > 0.0 else 0.0
        null -= zy * zy / zz if degree > 1.0 else 0.0
        unit = unit_noise[s]
        own[VAR, s] = unit if known else chi2 / freedom
        own[WANTED, s] = solved[LINES, s]
        own[GAINED, s] = null - chi2
        own[SEEN, s] = 0.0
        own[BOUNDED, s] = 0.0
        own[FINITE, s] = 1.0
        rows[CHI2_REDUCED, s] = chi2 / freedom / unit
        rows[GAIN, s] = (null - chi2) / unit


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def publish_line(count, solved, level, middle, unit, offset, bounds, windows, line_needed, side, rows, own):
    """Fill the rows of the lower (0) or upper (1) line; the only line is both."""
    least, widest = bounds[2] * 1.000001, bounds[3] * 0.999999
    for s in range(count):
        # which of the two is at hand; the second of a single line is a filler
        lower_first = 1.0 if solved[0, s] <= solved[2, s] else 0.0
        own[SECOND, s] = 0.0 if own[WANTED, s] < 2.0 else (lower_first if side == 1 else 1.0 - lower_first)
    for k in range(CHOSEN):
        one = k if k < 2 else LEVEL + 1
        one += VARIANCE if k > 2 else 0
        one = FIXED if k == 6 else (one - LEVEL - 1 + k - 3 if 2 < k < 5 else one)
        other = one + 2 if k < 2 or 2 < k < 5 else one + 1
        for s in range(count):
            own[AT + k, s] = solved[other, s] if own[SECOND, s] != 0.0 else solved[one, s]
    for s in range(count):
        rows[F + side, s] = middle + unit * own[AT, s]
    for k in range(3):
        row, scale = (F, W, A)[k] + 2 + side, 1.0 if k == 2 else unit
        for s in range(count):
            rows[row, s] = scale * math.sqrt(own[VAR, s] * own[AT + 3 + k, s])
    for s in range(count):
        rows[W + side, s] = unit * own[AT + 1, s]
        rows[A + side, s] = own[AT + 2, s]
    for s in range(count):
        c, a = own[AT, s], own[AT + 2, s]
        here = solved[LEVEL, s] + c * (solved[LEVEL + 3, s] + c * solved[LEVEL + 4, s]) + level[s] - offset
        # an NV contrast never comes near 1/2: such a baseline is no level but the zero of a difference
        rows[C + side, s] = a / here if abs(here) > 2.0 * abs(a) else math.nan
        rows[C + 2 + side, s] = rows[A + 2 + side, s] / abs(here) if abs(here) > 2.0 * abs(a) else math.nan
    for s in range(count):
        a = own[AT + 2, s]
        seen = 1.0 if a * a > line_needed * line_needed * own[VAR, s] * own[AT + 6, s] else 0.0
        own[SEEN, s] += seen if own[WANTED, s] > side else 0.0
    for s in range(count):
        # a line that may be narrower than samples can tell has a centre that they cannot tell either
        narrowest = own[AT + 1, s] - rows[W + 2 + side, s] / unit
        own[BOUNDED, s] += 0.0 if narrowest > least else 1.0
        own[BOUNDED, s] += 1.0 if own[AT + 1, s] >= widest else 0.0
    for s in range(count):
        # a difference of a number that is not finite with itself is not zero
        unsound = rows[F + 2 + side, s] - rows[F + 2 + side, s] + rows[A + 2 + side, s] - rows[A + 2 + side, s]
        own[FINITE, s] = own[FINITE, s] if unsound == 0.0 else 0.0
    for s in range(count):
        own[SAMPLED, s] = 0.0
    for k in range(windows.shape[0]):
        low, high = windows[k, 0], windows[k, 1]
        for s in range(count):
            within = min(own[AT, s] - low, high - own[AT, s])
            own[SAMPLED, s] += 1.0 if within >= 0.0 else 0.0
    for s in range(count):
        own[BOUNDED, s] += 1.0 if own[SAMPLED, s] == 0.0 else 0.0
