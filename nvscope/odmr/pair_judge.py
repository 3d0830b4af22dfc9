"""Judging solutions: how likely each is, which are doubtful, which baseline is worth its parameters.

Pure functions of tables of solutions (rows as in `pair_finish`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nvscope.odmr.pair_finish import A1, A2, C1, C2, CHI2, DEGREE, FIXED, GAIN_ONE, LINES, OUTCOME, VARIANCE, W1, W2
from nvscope.odmr.shapes import SAFE_FAST

__all__ = [
    "Noise",
    "criterion",
    "doubt",
    "freedom",
    "may_be_one",
    "misfits",
    "noise_variance",
    "outdone",
    "second_stronger",
    "useful_terms",
    "useless_term",
    "wanted_degree",
    "weakest_line",
]

Array = NDArray[np.float64]

SURE = 7.0  # amplitude over error from which a line is not doubted
LEAST = 4.0  # ... at least, where nothing else in the spectrum looks like a line
OVERLAP = 0.8  # lines closer than this many times the sum of their half widths are looked at again
MERGED = 1.2  # lines closer than this many times the sum of their half widths may be one
DISTINCT = 6.0  # amplitude over its whole error from which a line is there beside another
BROAD = 0.1  # share of a window from which a line may be a bent baseline
UNLIKE = 4.0  # ratio of widths that is doubted
UNLIKE_FAINT = 2.5  # ratio of depths that is doubted in a faint pair: two lines close together and a heap of noise
UNHEARD = 8.0  # most that a place says against a line before all pairs have been looked at, in chi2
WORSE = 5.0  # excess of chi2 over that of the other pixels, in its own scatter, that is doubted


@dataclass(frozen=True, eq=False)
class Noise:
    """What is known of the noise of some pixels.

    Attributes
    ----------
    known : bool
        Whether `unit` is the noise, or only in proportion to it.
    unit : ndarray
        Variance of unit weight.
    points : ndarray
        Usable points.
    power : ndarray
        Weighted sum of squares of the levelled signal.
    """

    known: bool
    unit: Array
    points: NDArray[np.int64]
    power: Array

    def of(self, pixels: NDArray[np.int64]) -> Noise:
        """Return the same for a choice of pixels."""
        return Noise(self.known, self.unit[pixels], self.points[pixels], self.power[pixels])


def freedom(table: Array, noise: Noise) -> Array:
    """Degrees of freedom."""
    result: Array = noise.points - 1 - 3 * table[LINES] - table[DEGREE]
    return result


def misfits(table: Array, noise: Noise) -> Array:
    """Reduced chi2 in units of the noise, or of what it is thought to be in proportion to."""
    result: Array = table[CHI2] / freedom(table, noise) / noise.unit
    return result


def noise_variance(table: Array, noise: Noise) -> Array:
    """Noise variance of unit weight: what is known, or the scatter about the solution."""
    if noise.known:
        return noise.unit
    result: Array = table[CHI2] / freedom(table, noise)
    return result


def criterion(table: Array, noise: Noise) -> Array:
    """Bayesian information criterion; lower is better."""
    if noise.known:
        misfit = table[CHI2] / noise.unit
    else:
        misfit = noise.points * np.log(np.maximum(table[CHI2], 1e-26 * noise.power))
    result: Array = misfit + (1 + 3 * table[LINES] + table[DEGREE]) * np.log(noise.points)
    return np.where(np.isfinite(result), result, np.inf)


def weakest_line(table: Array, noise: Noise) -> Array:
    """Amplitude of the weaker line over its error at fixed shape."""
    variance = noise_variance(table, noise)
    first = np.abs(table[A1]) / np.sqrt(variance * table[FIXED])
    second = np.abs(table[A2]) / np.sqrt(variance * table[FIXED + 1])
    result: Array = np.where(table[LINES] == 2, np.minimum(first, second), first)
    return result


def second_stronger(table: Array, chosen: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.bool_]:
    """Whether the second line of each of the `chosen` pairs is the more significant one."""
    first, second = table[A1, chosen] ** 2 * table[FIXED + 1, chosen], table[A2, chosen] ** 2 * table[FIXED, chosen]
    return np.asarray(second > first)


def wanted_degree(table: Array, noise: Noise, highest: int) -> NDArray[np.int64]:
    """Baseline degree that the criterion would choose, judged by the slope of chi2 at the solution."""
    gains = np.vstack([np.zeros(table.shape[1]), table[GAIN_ONE : GAIN_ONE + 2]])
    if noise.known:
        value = gains / noise.unit
    else:
        share = np.clip(gains / np.maximum(table[CHI2], 1e-300), 0.0, 1.0 - 1e-12)
        value = -noise.points * np.log1p(-share)
    more = np.argmax(value - np.arange(3)[:, None] * np.log(noise.points), axis=0)
    result: NDArray[np.int64] = np.minimum(table[DEGREE].astype(np.int64) + more, highest)
    return result


def useless_term(table: Array, noise: Noise, degree: int) -> NDArray[np.bool_]:
    """Whether the highest term of a baseline of `degree` is not worth its parameter."""
    result: NDArray[np.bool_] = (table[DEGREE] == degree) & ~worth_it(table, noise, degree)
    return result


def useful_terms(table: Array, noise: Noise, lowest: int, highest: int) -> NDArray[np.bool_]:
    """Whether a baseline of degree `highest` has any term beyond the `lowest` that is worth its parameter."""
    return np.any([worth_it(table, noise, degree) for degree in range(lowest + 1, highest + 1)], axis=0)


def worth_it(table: Array, noise: Noise, degree: int) -> NDArray[np.bool_]:
    """Whether a term of the baseline lowers the criterion."""
    row = A2 + degree
    least = np.log(noise.points) * noise_variance(table, noise) * table[VARIANCE + row]
    result: NDArray[np.bool_] = table[row] ** 2 >= least
    return result


def doubt(
    table: Array, noise: Noise, variance: Array, bounds: Array, guided: NDArray[np.bool_], usual: float, *, later: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which solutions may not be the best there is, and of which of these the rest of the spectrum should be asked.

    Those are faint, yet there, and else as a pair should be; where pixels were `guided`, began where lines are known to
    be, also those that are hardly there or odd, unless they will be asked again `later`. `usual` is what `misfits`
    returns for a pixel that is fitted as well as can be.
    """
    free = freedom(table, noise)
    misfit = misfits(table, noise)
    doubted = np.empty(table.shape[1], np.bool_)
    unsure = np.empty(table.shape[1], np.bool_)
    suspect(table, variance, misfit, free, usual, bounds, guided, later, doubted, unsure)
    return doubted, unsure


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def suspect(table, variance, misfit, free, usual, bounds, guided, later, doubted, unsure):  # type: ignore[no-untyped-def]
    """Mark what is faint, odd or fitted worse than the `usual` misfit."""
    least, widest = 1.01 * bounds[2], BROAD * bounds[3]
    for s in range(table.shape[1]):
        a, b, w, v = table[A1, s], table[A2, s], table[W1, s], table[W2, s]
        a2, b2 = a * a / table[FIXED, s], b * b / table[FIXED + 1, s]
        needed = SURE * SURE * variance[s]
        excess = misfit[s] - usual
        fitted = not (excess > 0.0 and excess * excess * free[s] > 2.0 * (WORSE * usual) ** 2)
        fitted = fitted and table[OUTCOME, s] == 0.0
        clear = a2 > needed
        fine = least < w < widest
        pair = table[LINES, s] == 2.0
        undone = False  # where one line undoes the other each seems to be there beyond doubt
        if pair:
            overlapping = abs(table[C1, s] - table[C2, s]) < w + v
            undone = overlapping and a * b < 0.0
            clear = clear and b2 > needed
            fine = fine and least < v < widest and a * b > 0.0
            fine = fine and w < UNLIKE * v and v < UNLIKE * w
            fine = fine and abs(table[C1, s] - table[C2, s]) > OVERLAP * (w + v)
        doubted[s] = not (clear and fine and fitted)
        unsure[s] = doubted[s] and pair and fitted and not undone
        if later or not guided[s]:
            there = min(a2, b2) > LEAST * LEAST * variance[s]
            alike = abs(a) < UNLIKE_FAINT * abs(b) and abs(b) < UNLIKE_FAINT * abs(a)
            unsure[s] = unsure[s] and fine and there and alike


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def may_be_one(table, variance, doubtful):  # type: ignore[no-untyped-def]
    """Mark pairs whose lines overlap and are not both there beyond doubt."""
    for s in range(table.shape[1]):
        apart = abs(table[C1, s] - table[C2, s]) >= MERGED * (table[W1, s] + table[W2, s])
        least = DISTINCT * DISTINCT * variance[s]
        clear = table[A1, s] ** 2 > least * table[VARIANCE + A1, s]
        clear = clear and table[A2, s] ** 2 > least * table[VARIANCE + A2, s]
        doubtful[s] = table[LINES, s] == 2.0 and not apart and not clear


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def outdone(chosen, table, variance, third, against, elsewhere, doubted):  # type: ignore[no-untyped-def]
    """Mark pairs that are not sure of which the weaker line may not be the one to choose.

    Parameters
    ----------
    chosen : (some,)
        Columns of `table`, solutions of two lines, to look at.
    variance : (solution,)
        Of unit weight.
    third : (some,)
        What a further line would explain of the rest, in chi2: another choice of lines would explain about as much.
    against, elsewhere : (some,)
        What counts against the solution, and against that line in the weaker one's place, as additions to chi2.
    doubted : (solution,)
        Set for those chosen.
    """
    for t in range(chosen.size):
        s = chosen[t]
        first, second = table[A1, s] ** 2 / table[FIXED, s], table[A2, s] ** 2 / table[FIXED + 1, s]
        # one of two lines that overlap goes elsewhere with the other: a place alone says nothing against it
        overlapping = abs(table[C1, s] - table[C2, s]) < table[W1, s] + table[W2, s]
        held = min(first, second) / variance[s] + (0.0 if overlapping else min(elsewhere[t], UNHEARD))
        doubted[s] = held < third[t] / variance[s] + against[t]
