"""Where the aligned pair is, when the applied field is known: a search that off-axis lines and noise cannot mislead.

Under stress the other three NV groups have lines of either sign in the same windows. The aligned pair is told from
them by what is known: both its lines have one sign, and they are 2 γH apart within what screening and stress can do. A
matched filter summed over both lines is searched over the centre and the splitting; it also finds pairs whose single
lines would drown in noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nvscope.odmr.parallel import available_cores, for_all
from nvscope.odmr.shapes import SAFE_FAST

_TEMPLATE = 7e6
"""Half width (Hz) of the template; lines of the experiment have 6 to 9 MHz, and the filter is broad."""

EXPECTED_WIDTH = 5e6
"""Half width (Hz) that a line begins with of which nothing but its place is known."""

_STEP = 5e6
"""Hz between trial centres and half splittings."""

_RELATIVE, _ABSOLUTE = 0.25, 12e6
"""How far the half splitting may be from γH: screening and enhancement, and stress (Hz)."""

_PIXELS = 2048
"""Pixels searched at once: their responses stay in the second-level cache."""

_ROUNDING = 1e-5
"""Share of a spectrum's level that is no response; shot noise is never so small."""
_BATCH = 256

SEPARATE = 30e6
"""Half splitting (Hz) above which two lines are separate enough for this search."""


def tolerance(half_splitting: float) -> float:
    """Return how far (Hz) the half splitting of a pixel may be from `half_splitting`."""
    return max(_RELATIVE * half_splitting, _ABSOLUTE)


def find_pairs(
    frequency: NDArray[np.float64], signal: NDArray[np.float32], half_splitting: float, threads: int | None = None
) -> dict[str, NDArray[np.float64]]:
    """Return the best pair of every pixel as a start for `nvscope.odmr.fit`.

    Parameters
    ----------
    frequency : ndarray, shape (frequency,)
        Hz, ascending.
    signal : ndarray, shape (frequency, y, x)
        Spectra.
    half_splitting : float
        γH (Hz).
    threads : int, optional
        As for `nvscope.odmr.fit`.

    Returns
    -------
    dict
        ``f_minus`` and ``f_plus`` (Hz), shape (y, x); NaN where the spectrum is not finite.
    """
    search = PairSearch.about(frequency, half_splitting)
    flat = np.ascontiguousarray(signal.reshape(signal.shape[0], -1), np.float32)
    best = np.empty((2, flat.shape[1]))
    pixels = flat.shape[1]
    for_all(
        lambda part: search.fill(flat, part, best),
        [slice(first, min(first + _PIXELS, pixels)) for first in range(0, pixels, _PIXELS)],
        threads or available_cores(),
    )
    grid = signal.shape[1:]
    return {"f_minus": best[0].reshape(grid), "f_plus": best[1].reshape(grid)}


@dataclass(frozen=True)
class ExpectedPair:
    """A start for `nvscope.odmr.fit`: a pair of lines about twice `half_splitting` (Hz, γH) apart, wherever it is.

    The same as what `find_pairs` finds, but that it is looked for only where surroundings do not know better.

    Raises
    ------
    ValueError
        If it is not above zero.
    """

    half_splitting: float

    def __post_init__(self) -> None:
        if not 0 < self.half_splitting < np.inf:
            raise ValueError(f"the half splitting must be above 0 Hz and finite, got {self.half_splitting}")


@dataclass(frozen=True, eq=False)
class _Filters:
    """Templates that see something of the axis: lines (Hz), weights (template, frequency), and where those lie."""

    line: NDArray[np.float64]
    rows: NDArray[np.float32]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PairSearch:
    """What a search needs: templates, pairs of them to try, (pair, 2), and where each half splitting's pairs begin."""

    filters: _Filters
    pairs: NDArray[np.int32]
    first_pair: NDArray[np.int64]

    @classmethod
    def about(cls, frequency: NDArray[np.float64], half_splitting: float) -> PairSearch:
        """Prepare a search for pairs about twice `half_splitting` (Hz) apart on an axis (Hz)."""
        reach = tolerance(half_splitting)
        half = np.arange(-reach, reach + _STEP / 2, _STEP) + half_splitting
        low, high = frequency[0], frequency[-1]
        middle = (low + high) / 2
        reach = max((high - low) / 2 - half_splitting, _STEP)
        centres = np.arange(middle - reach, middle + reach + _STEP / 2, _STEP)
        lower, upper = (np.round(np.add.outer(sign * half, centres) / _STEP).astype(np.int64) for sign in (-1, 1))
        filters = _filters(frequency, np.unique([lower, upper]) * _STEP)
        place = {round(line / _STEP): index for index, line in enumerate(filters.line)}
        chosen = [
            [(place[a], place[b]) for a, b in zip(*row, strict=True) if a in place and b in place]
            for row in zip(lower.tolist(), upper.tolist(), strict=True)
        ]
        first_pair = np.concatenate([[0], np.cumsum([len(row) for row in chosen])])
        pairs = np.array([pair for row in chosen for pair in row], np.int32).reshape(-1, 2)
        return cls(filters, pairs, first_pair)

    def lines(self, signal: NDArray[Any]) -> NDArray[np.float64]:
        """Return both lines (Hz), (2, pixel), of the best pair in each spectrum of (frequency, pixel); NaN for none."""
        flat = np.ascontiguousarray(signal, np.float32)
        best = np.empty((2, flat.shape[1]))
        self.fill(flat, slice(0, flat.shape[1]), best)
        return best

    def fill(self, signal: NDArray[np.float32], part: slice, best: NDArray[np.float64]) -> None:
        """Write those of some pixels to `best`."""
        f = self.filters
        _best_pairs(signal, part.start, part.stop, f.rows, f.begin, f.end, self.pairs, self.first_pair, f.line, best)


def _filters(frequency: NDArray[np.float64], trial: NDArray[np.float64]) -> _Filters:
    """Return unit-energy Lorentzian templates, orthogonal to each window's constant, of lines within what was sampled.

    A template reaches over the window of its line only: of the line's wing in another window less than a thousandth is
    left without its mean.
    """
    window = np.concatenate([[0], np.cumsum(np.diff(frequency) > 4 * np.median(np.diff(frequency)))])
    nearest = np.abs(frequency - trial[:, None]).argmin(axis=1)
    trial, own = trial[near := np.abs(frequency[nearest] - trial) < _TEMPLATE], window[nearest[near]]
    begin, end = np.searchsorted(window, own), np.searchsorted(window, own, side="right")
    shapes = 1 / (1 + ((frequency - trial[:, None]) / _TEMPLATE) ** 2)
    for row, first, last in zip(shapes, begin, end, strict=True):
        row[first:last] -= row[first:last].mean()
        row[:first] = row[last:] = 0.0
    energy = np.sqrt((shapes**2).sum(axis=1, keepdims=True))
    return _Filters(trial, (shapes / np.maximum(energy, 1e-12)).astype(np.float32), begin, end)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def _best_pairs(signal, start, stop, filters, begin, end, pairs, first_pair, line, best):  # type: ignore[no-untyped-def]
    """Write both lines, (2, pixel), of the pair with the largest |sum| of same-signed responses; NaN where not finite.

    For the pixels `start` to `stop`. These lie side by side, so that every inner loop is a vector's.
    """
    values = np.empty((filters.shape[1], _BATCH), np.float32)
    response = np.empty((filters.shape[0], _BATCH), np.float32)
    level = np.empty(_BATCH, np.float32)
    score = np.empty(_BATCH, np.float32)
    highest = np.empty(_BATCH, np.float32)
    place = np.empty(_BATCH, np.int32)
    for first in range(start, stop, _BATCH):
        count = min(_BATCH, stop - first)
        _take(signal, first, count, values, level)
        _respond(values, filters, begin, end, response)
        for p in range(_BATCH):
            score[p] = np.float32(0.0)
            place[p] = np.int32(0)
        for h in range(first_pair.size - 1):
            for p in range(_BATCH):
                highest[p] = np.float32(0.0)
            for k in range(first_pair[h], first_pair[h + 1]):
                below, above = response[pairs[k, 0]], response[pairs[k, 1]]
                for p in range(_BATCH):
                    value = abs(below[p] + above[p]) if below[p] * above[p] > 0 else np.float32(0.0)
                    highest[p] = max(highest[p], value)
            for p in range(_BATCH):
                place[p] = np.int32(h) if highest[p] > score[p] else place[p]
                score[p] = max(highest[p], score[p])
        for p in range(count):
            lower = upper = np.nan
            # what is constant leaves rounding: 6e-8 of its level, times the root of the number of points
            rounding = _ROUNDING * abs(level[p]) / values.shape[0]
            if score[p] > rounding and np.isfinite(level[p]):
                below, above = _best_of(response, pairs, first_pair[place[p]], first_pair[place[p] + 1], p)
                lower, upper = _vertex(response, line, below, p), _vertex(response, line, above, p)
            best[0, first + p] = lower
            best[1, first + p] = upper


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def _take(signal, first, count, values, level):  # type: ignore[no-untyped-def]
    """Copy a batch of spectra and take their means off, against rounding."""
    for p in range(_BATCH):
        level[p] = np.float32(0.0)
    for f in range(values.shape[0]):
        for p in range(_BATCH):
            values[f, p] = signal[f, first + p] if p < count else np.float32(0.0)
            level[p] += values[f, p]
    for f in range(values.shape[0]):
        for p in range(_BATCH):
            values[f, p] -= level[p] / np.float32(values.shape[0])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def _respond(values, filters, begin, end, response):  # type: ignore[no-untyped-def]
    """Apply every template to a batch, four frequencies at a time: sums then stay in registers for longer."""
    for t in range(response.shape[0]):
        out = response[t]
        for p in range(_BATCH):
            out[p] = np.float32(0.0)
        f = begin[t]
        while f + 4 <= end[t]:
            a, b, c, d = filters[t, f], filters[t, f + 1], filters[t, f + 2], filters[t, f + 3]
            one, two, three, four = values[f], values[f + 1], values[f + 2], values[f + 3]
            for p in range(_BATCH):
                out[p] += a * one[p] + b * two[p] + c * three[p] + d * four[p]
            f += 4
        while f < end[t]:
            a, one = filters[t, f], values[f]
            for p in range(_BATCH):
                out[p] += a * one[p]
            f += 1


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def _best_of(response, pairs, begin, end, p):  # type: ignore[no-untyped-def]
    """Return the two templates of the best of some pairs at one pixel."""
    chosen, highest = begin, np.float32(0.0)
    for k in range(begin, end):
        below, above = response[pairs[k, 0], p], response[pairs[k, 1], p]
        value = abs(below + above) if below * above > 0 else np.float32(0.0)
        if value > highest:
            chosen, highest = k, value
    return pairs[chosen, 0], pairs[chosen, 1]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def _vertex(response, line, t, p):  # type: ignore[no-untyped-def]
    """Return where a parabola through a response and its neighbours says the line is, a step away at most."""
    if t == 0 or t == line.size - 1 or line[t + 1] - line[t - 1] > 2.5 * _STEP:
        return line[t]
    left, here, right = abs(response[t - 1, p]), abs(response[t, p]), abs(response[t + 1, p])
    bend = left - 2 * here + right
    if bend >= 0:
        return line[t]
    return line[t] + _STEP * min(max(0.5 * (left - right) / bend, -1.0), 1.0)
