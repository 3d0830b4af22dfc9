"""What counts against a solution besides chi2: lines unlike each other, lines elsewhere than those around."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nvscope.odmr.neighbours import Surroundings
from nvscope.odmr.pair_finish import A1, A2, C1, C2, LINES, VARIANCE, W1, W2
from nvscope.odmr.shapes import SAFE_FAST

__all__ = ["Places", "misgiving", "strangeness"]

Array = NDArray[np.float64]

UNLIKE_WIDTHS, UNLIKE_DEPTHS = 0.4, 0.4  # usual difference of the logarithms within a pair
OPPOSITE = 8.0  # what opposite signs count, in chi2
CANCELLING = 12.0  # what they count besides where the lines overlap: most of either is then not to be seen
MOST = 6.0  # scale of chi2 from which differences within a pair count ever less
ODD_PLACE = 8.0  # the same for distance from the surroundings
ELSEWHERE = 16.0  # most that distance counts: more drowns small features, less leaves pairs that meet to their noise


@dataclass(frozen=True, eq=False)
class Places:
    """Where two lines are, (2, solution), in any order, and the variances of that; infinite for a mere start."""

    centre: Array
    variance: Array

    @classmethod
    def of(cls, table: Array, variance: Array) -> Places:
        """Take them from solutions with a `variance` of unit weight."""
        return cls(table[[C1, C2]], variance * table[[VARIANCE + C1, VARIANCE + C2]])

    @classmethod
    def begun(cls, q: Array) -> Places:
        """Take them from starts c1, w1, c2, w2."""
        return cls(q[[C1, C2]], np.full((2, q.shape[1]), np.inf))

    def some(self, chosen: NDArray[np.int64]) -> Places:
        """Return the same for a choice of solutions."""
        return Places(self.centre[:, chosen], self.variance[:, chosen])


def misgiving(table: Array, variance: Array) -> Array:
    """How unlike the two lines of one NV group a solution is, as an addition to chi2; nothing for a single line.

    The lines of a pair share sign, and depth and width within a factor or so; at low signal a fit of noise beats the
    right one by chi2 alone. Differences count against what is usual and what the fit can tell, and ever less the larger
    they are: an odd pair is unlikely, not impossible. `variance` is that of unit weight.
    """
    out = np.empty(table.shape[1])
    all_misgivings(table, variance, out)
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def all_misgivings(table, variance, out):  # type: ignore[no-untyped-def]
    """Fill `out` for every solution."""
    for s in range(out.size):
        out[s] = misgiving_of(table, s, variance[s])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def misgiving_of(table, s, variance):  # type: ignore[no-untyped-def]
    """`misgiving` of one solution."""
    if table[LINES, s] != 2.0:
        return 0.0
    total = unlike(table, s, W1, W2, UNLIKE_WIDTHS, variance) + unlike(table, s, A1, A2, UNLIKE_DEPTHS, variance)
    if table[A1, s] * table[A2, s] < 0.0:
        overlapping = abs(table[C1, s] - table[C2, s]) < table[W1, s] + table[W2, s]
        total += OPPOSITE + (CANCELLING if overlapping else 0.0)
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def unlike(table, s, first, second, usual, variance):  # type: ignore[no-untyped-def]
    """What the ratio of two parameters of solution `s` counts."""
    one, two = table[first, s], table[second, s]
    known = table[VARIANCE + first, s] / (one * one) + table[VARIANCE + second, s] / (two * two)
    spread = usual * usual + min(variance * known, 1.0)
    apart = math.log(abs(one / two))
    return MOST * math.log(1.0 + apart * apart / spread / MOST)


def strangeness(places: Places, around: Surroundings, pixels: NDArray[np.int64], step: float) -> Array:
    """How far lines are from those of their surroundings, as an addition to chi2; nothing where these are not known.

    Parameters
    ----------
    places : Places
        Of each solution.
    around : Surroundings
        Of all pixels.
    pixels : (solution,)
        Which one each solution belongs to.
    step : float
        Of the axis: half of it is how exactly surroundings say it at best.
    """
    out = np.empty(pixels.size)
    # of one layout, which the kernel is compiled for
    arrays = (places.centre, places.variance, around.lines, around.spread)
    all_distances(*(np.ascontiguousarray(array) for array in arrays), pixels, step, out)
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def all_distances(centre, variance, lines, spread, pixels, step, out):  # type: ignore[no-untyped-def]
    """Fill `out` for every solution."""
    for s in range(out.size):
        p = pixels[s]
        swap = centre[0, s] > centre[1, s]
        total = 0.0
        for k in range(2):
            own = 1 - k if swap else k
            known = variance[own, s] if variance[own, s] < 4.0 * step * step else 4.0 * step * step
            wide = spread[k, p] * spread[k, p] + 0.25 * step * step + known
            far = centre[own, s] - lines[2 * k, p]
            far = far * far / wide
            total += ODD_PLACE * math.log(1.0 + far / ODD_PLACE) if math.isfinite(far) else 0.0
        out[s] = min(total, ELSEWHERE)
