"""χ² profiles over Tc for many curves at once: one linear solve per node, curve and form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

FloatArray = NDArray[np.float64]
Shape = tuple[float, float]
"""A form of s(T): exponent n and relative spread δ of Tc."""

_NODES = ndtri((np.arange(25) + 0.5) / 25)
"""Equally likely places of a unit Gaussian; few Gauss–Hermite nodes would leave kinks in the curve."""


def collapse(temperature: ArrayLike, tc: ArrayLike, exponent: ArrayLike, spread: ArrayLike) -> FloatArray:
    """Return ⟨[1 − (T/Tc')ⁿ]₊⟩ over Tc' Gaussian about `tc` with relative width `spread`; 1 at T = 0, 0 above."""
    t, middle, n, delta = (np.asarray(value, dtype=np.float64) for value in (temperature, tc, exponent, spread))
    nodes = _NODES if np.any(delta > 0) else np.zeros(1)
    return np.asarray(sum(1 - np.minimum(t / (middle * (1 + delta * node)), 1.0) ** n for node in nodes) / len(nodes))


@dataclass(frozen=True, eq=False)
class CurveData:
    """Curves s(T) as the linear solves want them."""

    t: FloatArray  # (point,)
    y: FloatArray  # s − 1, (point, pixel)
    weight: FloatArray
    good: NDArray[np.bool_]
    prior_weight: FloatArray  # of the offset, (pixel,); infinite where it is pinned to 0

    @staticmethod
    def of(t: FloatArray, s: FloatArray, err: FloatArray, prior: FloatArray) -> CurveData:
        """Make it of s and its uncertainty, shape (point, pixel), and that of the offset, shape (pixel,)."""
        good = np.isfinite(s) & np.isfinite(err) & (err > 0)
        weight = np.where(good, 1 / np.where(good, err, 1.0) ** 2, 0.0)
        with np.errstate(divide="ignore"):
            prior_weight = np.where(prior > 0, 1 / np.square(prior), np.inf)
        return CurveData(t, np.where(good, s - 1, 0.0), weight, good, prior_weight)

    def select(self, pixels: NDArray[np.intp]) -> CurveData:
        """Return some of the curves."""
        return CurveData(
            self.t, self.y[:, pixels], self.weight[:, pixels], self.good[:, pixels], self.prior_weight[pixels]
        )

    def flat(self) -> FloatArray:
        """Return χ² of a constant s∞, its prior included."""
        sy = (self.weight * self.y).sum(0)
        return np.asarray((self.weight * self.y**2).sum(0) - sy**2 / (self.weight.sum(0) + self.prior_weight))


@dataclass(frozen=True, eq=False)
class Profile:
    """χ² over the grid of Tc for one form, with A and s∞ solved at every node; shape (grid, pixel)."""

    chi2: FloatArray
    amplitude: FloatArray
    amplitude_err: FloatArray
    offset: FloatArray

    @staticmethod
    def of(data: CurveData, grid: FloatArray, form: Shape) -> Profile:
        """Solve for A and s∞ at every node of `grid` (K)."""
        g = collapse(data.t[None, :], grid[:, None], *form)
        # the prior on the offset is one more datum; pinned, its infinite weight makes the offset vanish
        sw = data.weight.sum(0) + data.prior_weight
        weighted = data.weight * data.y
        sy = weighted.sum(0)
        sg, sgg, sgy = g @ data.weight, (g**2) @ data.weight, g @ weighted
        with np.errstate(invalid="ignore", divide="ignore"):
            determinant = sgg - sg**2 / sw
            usable = determinant > 1e-9 * np.maximum(sgg, 1e-300)
            reduced = np.where(usable, sgy - sg * sy / sw, 0.0)
            amplitude = np.where(usable, reduced / determinant, 0.0)
            error = np.where(usable, 1 / np.sqrt(determinant), np.inf)
        return Profile(data.flat() - amplitude * reduced, amplitude, error, (sy - amplitude * sg) / sw)


def vertex(grid: FloatArray, profile: FloatArray, index: NDArray[np.intp]) -> FloatArray:
    """Return the minimum of every profile (grid, pixel) near node `index`, by a parabola through three nodes."""
    pixels = np.arange(profile.shape[1])
    inside = np.clip(index, 1, len(grid) - 2)
    low, mid, high = (profile[inside + offset, pixels] for offset in (-1, 0, 1))
    curvature = low - 2 * mid + high
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.where(curvature > 0, 0.5 * (low - high) / curvature, 0.0)
    step = grid[1] - grid[0]
    return np.asarray(np.where(index == inside, grid[inside] + np.clip(shift, -1, 1) * step, grid[index]))


def half_width(grid: FloatArray, profile: FloatArray, index: NDArray[np.intp]) -> FloatArray:
    """Half the width of the connected interval around the minimum where χ² < minimum + 1."""
    pixels = np.arange(profile.shape[1])
    limit = profile[index, pixels] + 1
    nodes = np.arange(len(grid))[:, None]
    outside = profile > limit
    lower = np.where(outside & (nodes < index), nodes, -1).max(axis=0)
    upper = np.where(outside & (nodes > index), nodes, len(grid)).min(axis=0)

    def crossing(out: NDArray[np.intp], towards: int) -> FloatArray:
        at = np.clip(out, 0, len(grid) - 1)
        inner = np.clip(out + towards, 0, len(grid) - 1)
        beyond, within = profile[at, pixels], profile[inner, pixels]
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.where(beyond > within, (limit - within) / (beyond - within), 0.0)
        return np.asarray(grid[inner] + np.clip(part, 0, 1) * (grid[at] - grid[inner]))

    left = np.where(lower >= 0, crossing(lower, +1), grid[0])
    right = np.where(upper < len(grid), crossing(upper, -1), grid[-1])
    return np.asarray((right - left) / 2)
