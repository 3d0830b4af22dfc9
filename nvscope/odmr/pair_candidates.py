"""Pairs of templates worth starting from, by how much each lowers chi2."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np
from numba import njit

from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.simd import LANES, broadcast, choose, larger, load, store

__all__ = ["pair_candidates"]

ALIKE = 0.6  # lines closer than this many times the sum of their widths are the same start
TRIED = 6  # rows looked at for each start offered
SEEN = 0.85  # share of what a line lowers chi2 by that the nearest template sees: 0.86 or more but at the edges


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def pair_candidates(pixel, spectra, root_weight, basis, filters, overlap, gain, centre, width, lines, known, q, least):
    """Write distinct starts for each pixel to the columns of `q`, best first.

    Parameters
    ----------
    pixel : (pixel,)
        Columns of `spectra` to look at.
    spectra, root_weight : (frequency, spectrum), (frequency, 1 or spectrum)
        Levelled signal, and square roots of its weights.
    basis, filters : (term, frequency), (template, frequency)
        Orthonormal baselines and matched filters for weighted signals.
    overlap, gain : (template, template or more)
        Inner products ρ of the templates, and 1/(1 - ρ²), zero where two are too alike to be told apart; rows filled up
        with zeros to whole `LANES`.
    centre, width : (template,)
        Templates.
    lines : int
        With one line the starts are the best single templates, and the second line of `q` is a filler.
    known : (4, pixel)
        c1, w1, c2, w2 of a solution that is there already; starts like it are not offered.
    q : (4, pixel * many)
        c1, w1, c2, w2.
    least : (pixel * many,)
        The least chi2 that lines about there can leave; infinite where no further start was found.
    """
    count, wide, many = centre.size, overlap.shape[1], least.size // pixel.size
    y = np.zeros((filters.shape[1], LANES))
    z = np.zeros((wide, LANES))  # a pixel in every lane ...
    best = np.zeros((wide, LANES))
    response = np.zeros((1, wide))  # ... and one pixel's, side by side
    drop = np.zeros((1, wide))
    found = np.zeros((2, LANES))
    bare = np.zeros((1, LANES))  # chi2 of the baseline alone
    for start in range(0, pixel.size, LANES):
        together = min(LANES, pixel.size - start)
        for a in range(together):
            p = pixel[start + a]
            for f in range(y.shape[0]):
                y[f, a] = spectra[f, p] * root_weight[f, p if root_weight.shape[1] > 1 else 0]
        bare_chi2(basis, y, bare)
        respond(filters, y, z)
        drop_by_template(count, z, overlap, gain, lines, best)
        for a in range(together):
            s = start + a
            for i in range(count):
                response[0, i] = z[i, a]
                drop[0, i] = best[i, a]
            for i in range(count, wide):
                drop[0, i] = -2.0
            offered = 0
            for _ in range(TRIED * many):
                first = largest(drop, found)
                second = first
                if lines == 2:
                    second = partner(response, overlap, gain, first, found)
                worth = drop[0, first]
                drop[0, first] = -1.0
                fresh = not (
                    (like(known, s, 0, centre, width, first) and like(known, s, 2, centre, width, second))
                    or (like(known, s, 2, centre, width, first) and like(known, s, 0, centre, width, second))
                )
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
                    least[column] = bare[0, a] - worth / SEEN
                    offered += 1
                    if offered == many:
                        break
            for c in range(offered, many):
                least[s * many + c] = np.inf


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def bare_chi2(basis, y, bare):
    """Sum of squares of `LANES` weighted signals, (frequency, LANES), less what the baselines in `basis` explain."""
    total = broadcast(0.0)
    for f in range(y.shape[0]):
        here = load(y, f, 0)
        total = total + here * here
    for i in range(basis.shape[0]):
        share = broadcast(0.0)
        for f in range(y.shape[0]):
            share = share + broadcast(basis[i, f]) * load(y, f, 0)
        total = total - share * share
    store(bare, 0, 0, total)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def respond(filters, y, z):
    """Inner products of every template with `LANES` weighted signals, (frequency, LANES), two at a time."""
    for i in range(0, filters.shape[0], 2):
        j = min(i + 1, filters.shape[0] - 1)
        one, other = broadcast(0.0), broadcast(0.0)
        for f in range(y.shape[0]):
            here = load(y, f, 0)
            one = one + broadcast(filters[i, f]) * here
            other = other + broadcast(filters[j, f]) * here
        store(z, i, 0, one)
        store(z, j, 0, other)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def drop_by_template(count, z, overlap, gain, lines, best):
    """Find for every template the largest drop of chi2 by a pair that it is in, or by itself if `lines` is 1."""
    two = broadcast(2.0)
    for i in range(count):
        own = load(z, i, 0)
        square = own * own
        if lines == 1:
            store(best, i, 0, square)
            continue
        own = two * own
        top = even = broadcast(-1.0)
        for j in range(0, count - 1, 2):
            other = load(z, j, 0)
            value = (square + other * (other - own * broadcast(overlap[i, j]))) * broadcast(gain[i, j])
            top = larger(value, top)
            other = load(z, j + 1, 0)
            value = (square + other * (other - own * broadcast(overlap[i, j + 1]))) * broadcast(gain[i, j + 1])
            even = larger(value, even)
        other = load(z, count - 1, 0)
        value = (square + other * (other - own * broadcast(overlap[i, count - 1]))) * broadcast(gain[i, count - 1])
        store(best, i, 0, larger(value, larger(top, even)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def partner(z, overlap, gain, first, found):
    """Find the template that lowers chi2 most beside the `first` one; `z` is one pixel's, (1, template)."""
    two = broadcast(2.0)
    own = broadcast(z[0, first])
    square = own * own
    own = two * own
    top, place = broadcast(-1.0), broadcast(float(first))
    for j in range(0, z.shape[1], LANES):
        other = load(z, 0, j)
        value = (square + other * (other - own * load(overlap, first, j))) * load(gain, first, j)
        place = choose(value, top, broadcast(float(j)), place)
        top = larger(value, top)
    return of_lanes(top, place, found)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def largest(values, found):
    """Find the largest of (1, n) values."""
    top, place = broadcast(-3.0), broadcast(0.0)
    for j in range(0, values.shape[1], LANES):
        value = load(values, 0, j)
        place = choose(value, top, broadcast(float(j)), place)
        top = larger(value, top)
    return of_lanes(top, place, found)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def of_lanes(top, place, found):
    """Index of the largest of what was found in every lane, by the index at which each began."""
    store(found, 0, 0, top)
    store(found, 1, 0, place)
    lane = 0
    for a in range(1, LANES):
        lane = a if found[0, a] > found[0, lane] else lane
    return int(found[1, lane]) + lane


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def like(q, column, row, centre, width, template):
    """Whether a line already offered is about where a template is."""
    return abs(q[row, column] - centre[template]) < ALIKE * (q[row + 1, column] + width[template])
