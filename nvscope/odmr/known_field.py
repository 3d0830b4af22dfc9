"""Where the aligned pair is, when the applied field is known: a search that off-axis lines and noise cannot mislead.

Under stress the other three NV groups have lines of either sign in the same windows. The aligned pair is told from
them by what is known: both its lines have one sign, and they are 2 γH apart within what screening and stress can do. A
matched filter summed over both lines is searched over the centre and the splitting; it also finds pairs whose single
lines would drown in noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TEMPLATE = 7e6
"""Half width (Hz) of the template; lines of the experiment have 6 to 9 MHz, and the filter is broad."""

_STEP = 2.5e6
"""Hz between trial centres and half splittings."""

_RELATIVE, _ABSOLUTE = 0.12, 12e6
"""How far the half splitting may be from γH: screening and enhancement, and stress (Hz)."""

_PIXELS = 16384
"""Pixels searched at once, to bound memory."""

SEPARATE = 30e6
"""Half splitting (Hz) above which two lines are separate enough for this search."""


def tolerance(half_splitting: float) -> float:
    """Return how far (Hz) the half splitting of a pixel may be from `half_splitting`."""
    return max(_RELATIVE * half_splitting, _ABSOLUTE)


def find_pairs(
    frequency: NDArray[np.float64], signal: NDArray[np.float32], half_splitting: float
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

    lower, upper = [rows(-h) for h in half], [rows(h) for h in half]
    flat = signal.reshape(signal.shape[0], -1)
    best = np.empty((2, flat.shape[1]))
    for first in range(0, flat.shape[1], _PIXELS):
        part = slice(first, first + _PIXELS)
        values = np.nan_to_num(flat[:, part].astype(np.float32, copy=False))
        response = filters @ (values - np.median(values, axis=0).astype(np.float32))
        best[:, part] = _search(response, centres, half, lower, upper)
    bad = ~np.isfinite(flat).all(axis=0)
    best[:, bad] = np.nan
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


def _search(
    response: NDArray[np.float32],
    centres: NDArray[np.float64],
    half: NDArray[np.float64],
    lower: list[NDArray[np.intp]],
    upper: list[NDArray[np.intp]],
) -> NDArray[np.float64]:
    """Return f− and f+ of the pair with the largest |sum| of same-signed responses, shape (2, pixel)."""
    pixels = np.arange(response.shape[1])
    score = np.full(response.shape[1], -1.0, np.float32)
    found = np.zeros((2, response.shape[1]))
    for h, below, above in zip(half, lower, upper, strict=True):
        first, second = response[below], response[above]
        both = np.where(first * second > 0, np.abs(first + second), 0.0)
        index = both.argmax(axis=0)
        value = both[index, pixels]
        better = value > score
        score[better] = value[better]
        found[0, better] = centres[index[better]] - h
        found[1, better] = centres[index[better]] + h
    return found
