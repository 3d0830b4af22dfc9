"""From solutions in the kernels' units to maps in Hz, with a status for every pixel."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from nvscope.odmr.pair_finish import CHI2, COVARIANCE, DEGREE, FIXED, LEVEL, LINES, OUTCOME, PASSES, VARIANCE
from nvscope.odmr.shapes import SAFE_FAST

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
    for begin in range(0, table.shape[1], BATCH):
        count = min(BATCH, table.shape[1] - begin)
        for s in range(count):
            p = begin + s
            t = first + p
            degree = int(table[DEGREE, p])
            wanted = int(table[LINES, p])
            freedom = points[p] - 1.0 - 3.0 * wanted - degree
            chi2 = table[CHI2, p]
            variance = unit_noise[p] if known else chi2 / freedom
            gain = null_chi2(base[:, p], degree) - chi2
            lower = 0 if wanted < 2 or table[0, p] <= table[2, p] else 1
            lines = 0
            bounded = False
            finite = True
            for side in range(2):
                line = lower if side == 0 or wanted < 2 else 1 - lower
                c, w, a = table[2 * line, p], table[2 * line + 1, p], table[LEVEL + 1 + line, p]
                c_err = math.sqrt(variance * table[VARIANCE + 2 * line, p])
                a_err = math.sqrt(variance * table[VARIANCE + LEVEL + 1 + line, p])
                here = table[LEVEL, p] + c * (table[LEVEL + 3, p] + c * table[LEVEL + 4, p]) + level[p] - offset
                rows[F + side, s] = middle + unit * c
                rows[F + 2 + side, s] = unit * c_err
                rows[A + side, s] = a
                rows[A + 2 + side, s] = a_err
                # an NV contrast never comes near 1/2: such a baseline is no level but the zero of a difference
                is_level = abs(here) > 2.0 * abs(a)
                rows[C + side, s] = a / here if is_level else math.nan
                rows[C + 2 + side, s] = a_err / abs(here) if is_level else math.nan
                rows[W + side, s] = unit * w
                w_err = math.sqrt(variance * table[VARIANCE + 2 * line + 1, p])
                rows[W + 2 + side, s] = unit * w_err
                if side < wanted and abs(a) > line_needed * math.sqrt(variance * table[FIXED + line, p]):
                    lines += 1
                sampled = False
                for k in range(windows.shape[0]):
                    sampled = sampled or windows[k, 0] <= c <= windows[k, 1]
                # a line that may be narrower than samples can tell has a centre that they cannot tell either
                bounded = bounded or not sampled or w - w_err <= bounds[2] * 1.000001 or w >= bounds[3] * 0.999999
                finite = finite and math.isfinite(c_err) and math.isfinite(a_err)
            v1, v2, cov = table[VARIANCE, p], table[VARIANCE + 2, p], table[COVARIANCE, p]
            if wanted < 2:
                v2 = v1
                cov = v1
            rows[HALF, s] = 0.5 * (rows[F + 1, s] - rows[F, s])
            rows[HALF + 1, s] = 0.5 * unit * math.sqrt(variance * max(v1 + v2 - 2.0 * cov, 0.0))
            rows[CENTER, s] = 0.5 * (rows[F + 1, s] + rows[F, s])
            rows[CENTER + 1, s] = 0.5 * unit * math.sqrt(variance * max(v1 + v2 + 2.0 * cov, 0.0))
            if wanted < 2:  # one line has no splitting; zero would be a claim
                rows[HALF, s] = math.nan
                rows[HALF + 1, s] = math.nan
            for k in range(3):
                row = LEVEL if k == 0 else LEVEL + 2 + k
                rows[BASE + k, s] = table[row, p] + (level[p] if k == 0 else 0.0)
                rows[BASE + 3 + k, s] = math.sqrt(variance * table[VARIANCE + row, p])
            rows[CHI2_REDUCED, s] = chi2 / freedom / unit_noise[p]
            rows[GAIN, s] = gain / unit_noise[p]
            counts[0, t] = int(table[PASSES, p])
            counts[2, t] = degree
            if not gain > gain_needed * variance:
                counts[1, t] = 0
                status[t] = 2
            else:
                counts[1, t] = lines
                if lines < wanted:
                    status[t] = 2
                elif bounded:
                    status[t] = 1
                elif table[OUTCOME, p] != 0.0 or not finite:
                    status[t] = 3
                else:
                    status[t] = 0
        for k in range(MAPS):
            for s in range(count):
                maps[k, first + begin + s] = rows[k, s]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def null_chi2(base, degree):
    """Chi2 of the baseline alone, from its sums."""
    chi2 = base[8] - base[5] * base[5] / base[0]
    if degree > 0:
        xx = base[2] - base[1] * base[1] / base[0]
        xy = base[6] - base[1] * base[5] / base[0]
        chi2 -= xy * xy / xx
        if degree > 1:
            zx = base[3] - base[2] * base[1] / base[0]
            zz = base[4] - base[2] * base[2] / base[0] - zx * zx / xx
            zy = base[7] - base[2] * base[5] / base[0] - zx * xy / xx
            chi2 -= zy * zy / zz
    return chi2
