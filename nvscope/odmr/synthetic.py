"""Synthetic line pairs with known truth, and the Cramér–Rao bound of measuring them.

For tests, benchmarks and planning. Shares no code with the fit, so that neither can hide the other's mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LinePairs", "cramer_rao", "line_pairs", "one_window", "two_windows"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinePairs:
    """Spectra of many pixels, shape (frequency, pixel), and what they were made from (Hz, signal units)."""

    frequency: Array
    clean: Array
    signal: Array
    sigma: Array
    f_minus: Array
    f_plus: Array
    width_minus: Array
    width_plus: Array
    amplitude_minus: Array
    amplitude_plus: Array


def one_window(points: int = 61, span: float = 200e6, middle: float = 2.87e9) -> Array:
    """Return a uniform axis, Hz."""
    return middle + np.linspace(-span / 2, span / 2, points)


def two_windows(points: int = 41, span: float = 150e6, apart: float = 544e6, middle: float = 3.08e9) -> Array:
    """Return two uniform windows of `points` each, whose middles are `apart`, Hz."""
    window = np.linspace(-span / 2, span / 2, points)
    return middle + np.concatenate([window - apart / 2, window + apart / 2])


def lorentzian(f: Array, centre: Array, width: Array) -> Array:
    """Return a unit Lorentzian with half width at half maximum `width`."""
    return width**2 / ((f - centre) ** 2 + width**2)


def line_pairs(
    frequency: Array,
    pixels: int,
    seed: int,
    *,
    contrast: float = 0.02,
    noise: float = 0.002,
    positive: float = 0.3,
    splitting: tuple[float, float] = (15e6, 120e6),
    level: float = 1.0,
) -> LinePairs:
    """Draw line pairs that lie within the axis, one line in each window if there are two.

    Parameters
    ----------
    frequency : ndarray
        Hz.
    pixels, seed : int
        How many, and the random seed.
    contrast, noise : float
        Mean |amplitude| and 1-σ noise at the baseline, as shares of `level`; noise grows as the root of the signal.
    positive : float
        Share of pixels whose lines are peaks.
    splitting : tuple of float
        Range of f_plus - f_minus in a single window, Hz.
    level : float
        Baseline.
    """
    rng = np.random.default_rng(seed)
    f = frequency[:, None]
    steps = np.diff(frequency)
    cut = int(np.argmax(steps)) + 1
    if steps.max() > 10 * np.median(steps):
        inner = 0.3 * (frequency[cut - 1] - frequency[0])
        f_minus = frequency[:cut].mean() + rng.uniform(-inner, inner, pixels)
        f_plus = frequency[cut:].mean() + rng.uniform(-inner, inner, pixels)
    else:
        full = rng.uniform(*splitting, pixels)
        room = np.maximum(0.425 * (frequency[-1] - frequency[0]) - full / 2, 0)
        middle = frequency.mean() + rng.uniform(-1, 1, pixels) * np.minimum(25e6, room)
        f_minus, f_plus = middle - full / 2, middle + full / 2
    width_minus = rng.uniform(4e6, 7e6, pixels)
    width_plus = width_minus * rng.uniform(0.85, 1.15, pixels)
    sign = np.where(rng.random(pixels) < positive, level, -level)
    amplitude_minus = sign * contrast * rng.uniform(0.8, 1.2, pixels)
    amplitude_plus = sign * contrast * rng.uniform(0.8, 1.2, pixels)
    clean = level + amplitude_minus * lorentzian(f, f_minus, width_minus)
    clean = clean + amplitude_plus * lorentzian(f, f_plus, width_plus)
    sigma = noise * np.sqrt(clean * level)
    signal = clean + sigma * rng.standard_normal(clean.shape)
    return LinePairs(
        frequency, clean, signal, sigma, f_minus, f_plus, width_minus, width_plus, amplitude_minus, amplitude_plus
    )


def cramer_rao(pairs: LinePairs) -> tuple[Array, Array, Array]:
    """Return the smallest possible 1-σ errors of f_minus, f_plus and half splitting, Hz, each of shape (pixel,).

    For two Lorentzians with separate widths on a constant baseline, all seven parameters unknown.
    """
    f = pairs.frequency[:, None]
    parts = [np.ones_like(pairs.clean)]
    for a, c, w in (
        (pairs.amplitude_minus, pairs.f_minus, pairs.width_minus),
        (pairs.amplitude_plus, pairs.f_plus, pairs.width_plus),
    ):
        h = lorentzian(f, c, w)
        parts += [h, 2 * a * (f - c) / w**2 * h**2, 2 * a * (f - c) ** 2 / w**3 * h**2]
    jacobian = np.stack(parts, axis=-1).transpose(1, 0, 2) / pairs.sigma.T[:, :, None]
    scale = np.sqrt(np.sum(jacobian**2, axis=1, keepdims=True))
    jacobian = jacobian / scale
    inverse = np.linalg.inv(np.swapaxes(jacobian, 1, 2) @ jacobian)
    inverse = inverse / scale / np.swapaxes(scale, 1, 2)
    minus, plus, cross = inverse[:, 2, 2], inverse[:, 5, 5], inverse[:, 2, 5]
    return np.sqrt(minus), np.sqrt(plus), np.sqrt(minus + plus - 2 * cross) / 2
