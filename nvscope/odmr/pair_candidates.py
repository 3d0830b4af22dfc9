"""Pairs of templates worth starting from, by how much each lowers chi2."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np
from numba import njit

from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.simd import LANES, broadcast, larger, load, store

__all__ = ["pair_candidates"]

ALIKE = 0.6  # lines closer than this many times the sum of their widths are the same start
TRIED = 6  # rows looked at for each start offered


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def pair_candidates(pixel, spectra, root_weight, filters, overlap, gain, centre, width, lines, many, q):
    """Write `many` distinct starts for each pixel to the columns of `q`, best first.

    Parameters
    ----------
    pixel : (pixel,)
        Columns of `spectra` to look at.
    spectra, root_weight : (frequency, spectrum), (frequency, 1 or spectrum)
        Levelled signal, and square roots of its weights.
    filters : (template, frequency)
        Matched filters for weighted signals.
    overlap, gain : (template, template or more)
        Inner products ρ of the templates, and 1/(1 - ρ²), zero where two are too alike to be told apart; rows filled up
        with zeros to whole `LANES`.
    centre, width : (template,)
        Templates.
    lines : int
        With one line the starts are the best single templates, and the second line of `q` is a filler.
    q : (4, pixel * many)
        c1, w1, c2, w2.
    """
    count = centre.size
    best = np.empty(count)
    z = np.zeros((1, overlap.shape[1]))
    tops = np.zeros((1, LANES))
    y = np.empty(filters.shape[1])
    for s in range(pixel.size):
        for f in range(y.size):
            y[f] = spectra[f, pixel[s]] * root_weight[f, pixel[s] if root_weight.shape[1] > 1 else 0]
        for i in range(count):
            z[0, i] = inner(filters[i], y)
        if lines == 2:
            best_gains(z, overlap, gain, tops, best)
        else:
            for i in range(count):
                best[i] = z[0, i] * z[0, i]
        offered = 0
        for _ in range(TRIED * many):
            first = 0
            for i in range(count):
                if best[i] > best[first]:
                    first = i
            second, top = first, -1.0
            for j in range(count if lines == 2 else 0):
                one, other = z[0, first], z[0, j]
                value = one * one + other * other - 2.0 * overlap[first, j] * one * other
                if value * gain[first, j] > top:
                    top = value * gain[first, j]
                    second = j
            best[first] = -1.0
            fresh = True
            for c in range(offered):
                column = s * many + c
                same = like(q, column, 0, centre, width, first) and like(q, column, 2, centre, width, second)
                crossed = like(q, column, 2, centre, width, first) and like(q, column, 0, centre, width, second)
                fresh = fresh and not same and not crossed
            if fresh:
                column = s * many + offered
                q[0, column] = centre[first]
                q[1, column] = width[first]
                q[2, column] = centre[second]
                q[3, column] = width[second]
                offered += 1
                if offered == many:
                    break
        for c in range(offered, many):
            for k in range(4):
                q[k, s * many + c] = q[k, s * many]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def inner(a, b):
    """Inner product."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def best_gains(z, overlap, gain, tops, best):
    """Find for every template the largest drop of chi2 by a pair it is in.

    `z` is (1, template); there and along rows of `overlap` and `gain` the templates are filled up with zeros to whole
    `LANES`. `tops` is (1, `LANES`).
    """
    two = broadcast(2.0)
    for i in range(best.size):
        own = broadcast(z[0, i])
        square = own * own
        own = two * own
        top = broadcast(-1.0)
        for j in range(0, z.shape[1], LANES):
            other = load(z, 0, j)
            value = (square + other * (other - own * load(overlap, i, j))) * load(gain, i, j)
            top = larger(value, top)
        store(tops, 0, 0, top)
        best[i] = tops[0, 0]
        for j in range(1, LANES):
            best[i] = max(best[i], tops[0, j])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def like(q, column, row, centre, width, template):
    """Whether a line already offered is about where a template is."""
    return abs(q[row, column] - centre[template]) < ALIKE * (q[row + 1, column] + width[template])
