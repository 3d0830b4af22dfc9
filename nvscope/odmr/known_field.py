"""Where the aligned pair is, when the applied field is known: a search that off-axis lines and noise cannot mislead.

Under stress the other three NV groups have lines of either sign in the same windows. The aligned pair is told from
them by what is known: both its lines have one sign, and they are 2 γH apart within what screening and stress can do. A
matched filter summed over both lines is searched over the centre and the splitting; it also finds pairs whose single
lines would drown in noise.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.solving import available_cores, for_all

_TEMPLATE = 7e6
"""Half width (Hz) of the template; lines of the experiment have 6 to 9 MHz, and the filter is broad."""

_STEP = 3.5e6
"""Hz between trial centres and half splittings."""

_RELATIVE, _ABSOLUTE = 0.25, 12e6
"""How far the half splitting may be from γH: screening and enhancement, and stress (Hz)."""

_PIXELS = 2048
"""Pixels searched at once: their responses stay in the second-level cache."""

_BATCH = 64

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
    half = np.arange(-tolerance(half_splitting), tolerance(half_splitting) + _STEP / 2, _STEP) + half_splitting
    low, high = frequency[0], frequency[-1]
    middle = (low + high) / 2
    reach = max((high - low) / 2 - half_splitting, _STEP)
    centres = np.arange(middle - reach, middle + reach + _STEP / 2, _STEP)
    trial = np.unique(np.round(np.add.outer(centres, np.concatenate([-half, half])).ravel() / _STEP))
    place = {int(step): index for index, step in enumerate(trial)}
    filters = _filters(frequency, trial * _STEP)

    def rows(offset: float) -> NDArray[np.intp]:
        return np.array([place[round((c + offset) / _STEP)] for c in centres], dtype=np.intp)

    lower, upper = np.array([rows(-h) for h in half]), np.array([rows(h) for h in half])
    flat = signal.reshape(signal.shape[0], -1)
    best = np.empty((2, flat.shape[1]))

    def search(part: slice) -> None:
        found = np.zeros((2, part.stop - part.start), np.int64)
        _best_pairs(flat[:, part].astype(np.float32), filters, lower, upper, found)
        sound = found[0] >= 0
        best[0, part] = np.where(sound, centres[found[1]] - half[found[0]], np.nan)
        best[1, part] = np.where(sound, centres[found[1]] + half[found[0]], np.nan)

    pixels = flat.shape[1]
    for_all(
        search,
        [slice(first, min(first + _PIXELS, pixels)) for first in range(0, pixels, _PIXELS)],
        threads or available_cores(),
    )
    grid = signal.shape[1:]
    return {"f_minus": best[0].reshape(grid), "f_plus": best[1].reshape(grid)}


def _filters(frequency: NDArray[np.float64], trial: NDArray[np.float64]) -> NDArray[np.float32]:
    """Unit-energy Lorentzian templates, orthogonal to each window's constant; zero where the line is outside."""
    window = np.concatenate([[0], np.cumsum(np.diff(frequency) > 4 * np.median(np.diff(frequency)))])
    shapes = 1 / (1 + ((frequency - trial[:, None]) / _TEMPLATE) ** 2)
    for number in np.unique(window):
        inside = window == number
        shapes[:, inside] -= shapes[:, inside].mean(axis=1, keepdims=True)
    energy = np.sqrt((shapes**2).sum(axis=1, keepdims=True))
    nearest = np.abs(frequency - trial[:, None]).min(axis=1, keepdims=True)
    return np.where(nearest < _TEMPLATE, shapes / np.maximum(energy, 1e-12), 0.0).astype(np.float32)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def _best_pairs(signal, filters, lower, upper, found):  # type: ignore[no-untyped-def]
    """Write splitting and centre, (2, pixel), of the pair with the largest |sum| of same-signed responses.

    `found` is negative where a spectrum is not finite; pixels lie side by side, so that every inner loop is a vector's.
    """
    values = np.empty((filters.shape[1], _BATCH), np.float32)
    response = np.empty((filters.shape[0], _BATCH), np.float32)
    level = np.empty(_BATCH, np.float32)
    score = np.empty(_BATCH, np.float32)
    place = np.empty(_BATCH, np.int32)
    trials = lower.shape[1]
    for first in range(0, signal.shape[1], _BATCH):
        count = min(_BATCH, signal.shape[1] - first)
        for p in range(_BATCH):
            level[p] = np.float32(0.0)
            score[p] = np.float32(0.0)
            place[p] = 0
        for f in range(values.shape[0]):
            for p in range(_BATCH):
                values[f, p] = signal[f, first + p] if p < count else np.float32(0.0)
                level[p] += values[f, p]
        for f in range(values.shape[0]):
            for p in range(_BATCH):
                values[f, p] -= level[p] / np.float32(values.shape[0])
        for t in range(response.shape[0]):
            out = response[t]
            for p in range(_BATCH):
                out[p] = np.float32(0.0)
            for f in range(values.shape[0]):
                factor, row = filters[t, f], values[f]
                for p in range(_BATCH):
                    out[p] += factor * row[p]
        for h in range(lower.shape[0]):
            for c in range(trials):
                below, above = response[lower[h, c]], response[upper[h, c]]
                number = np.int32(h * trials + c)
                for p in range(_BATCH):
                    value = abs(below[p] + above[p]) if below[p] * above[p] > 0 else np.float32(0.0)
                    place[p] = number if value > score[p] else place[p]
                    score[p] = value if value > score[p] else score[p]
        for p in range(count):
            finite = np.isfinite(level[p])
            found[0, first + p] = place[p] // trials if finite else -1
            found[1, first + p] = place[p] % trials if finite else -1
