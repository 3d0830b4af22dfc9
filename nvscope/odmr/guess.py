"""First guesses from matched-filter amplitudes, blind to the sign of the contrast."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from numba import njit

from nvscope.odmr.shapes import SAFE_FAST

__all__ = ["guess_lines"]

EXHAUSTIVE = 320  # templates up to which every pair is tried
COLLINEAR = 0.95


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def pair_gain(a, b, overlap):
    """Drop of chi2 when two unit-norm templates with matched-filter amplitudes `a`, `b` are fitted together."""
    if overlap > COLLINEAR or overlap < -COLLINEAR:
        return 0.0
    return (a * a + b * b - 2.0 * overlap * a * b) / (1.0 - overlap * overlap)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def best_partner(amplitude, overlap, first, begin):
    """Return the template from `begin` on that gains most beside `first`, and the gain."""
    best, chosen = -1.0, first
    a = amplitude[first]
    for j in range(begin, amplitude.size):
        gain = pair_gain(a, amplitude[j], overlap[first, j])
        if gain > best:
            best = gain
            chosen = j
    return chosen, best


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def guess_lines(y, filters, overlap, n, amplitude, rest, chosen):
    """Choose `n` templates for a weighted spectrum; indices go to `chosen`.

    One line: the largest amplitude. Two: the best of all pairs, or of repeated best partners where there are many
    templates. More: orthogonal matching pursuit.
    """
    count = amplitude.size
    for t in range(count):
        s = 0.0
        for i in range(y.size):
            s += filters[t, i] * y[i]
        amplitude[t] = s
    if n == 2:
        best = -1.0
        if count <= EXHAUSTIVE:
            for i in range(count):
                partner, gain = best_partner(amplitude, overlap, i, i)
                if gain > best:
                    best = gain
                    chosen[0] = i
                    chosen[1] = partner
            return
    for t in range(count):
        rest[t] = amplitude[t]
    for k in range(n):
        top = 0
        for t in range(count):
            if abs(rest[t]) > abs(rest[top]):
                top = t
        chosen[k] = top
        remove = rest[top]
        for t in range(count):
            rest[t] -= remove * overlap[top, t]
    if n == 2:
        for _ in range(4):
            chosen[1], best = best_partner(amplitude, overlap, chosen[0], 0)
            chosen[0], best = best_partner(amplitude, overlap, chosen[1], 0)
