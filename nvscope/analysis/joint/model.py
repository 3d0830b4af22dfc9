"""The spectra of a pixel, at all biases, as functions of its stress.

Six numbers give every line at every bias by the exact Hamiltonian. Depths are free for every line and bias (they depend
on polarisation and drive) and are eliminated by linear least squares (Golub and Pereyra, SIAM J. Numer. Anal. 10, 413
(1973), with Kaufman's derivative). Every group has a width of its own; where stress changes within what a pixel sees,
its lines are smeared besides, each as far as the stress moves it. That keeps a line's area and makes its half width
0.5346 w + √(0.2166 w² + 2 ln 2 s²), s the standard deviation (Olivero and Longbothum, J. Quant. Spectrosc. Radiat.
Transfer 17, 233 (1977)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.joint.spectra import BiasSpectra
from nvscope.nv import GAMMA, GROUP_FRAMES, StressSusceptibility, coupling_matrix, stress_lines
from nvscope.odmr.cache import kernel_cache
from nvscope.odmr.parallel import available_cores, for_all

with kernel_cache():  # numba decides where a kernel is kept when the kernel is defined
    from nvscope.odmr.group_spectra import GAUSS_PART, LORENTZ_PART, SQUARE_PART, evaluate_pixels

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]

GPA, GAUSS = 1e9, 1e-4
HYPERFINE = 2.16e6
"""Hz between the lines of the nitrogen-14 triplet."""
WIDTH = 5.5e6
"""Hz, half width of one of them where nothing is known."""
OWN = 10
"""Parameters of a pixel: six stresses (GPa) and four log widths."""
_WIDTHS = (2.5e6, 14e6)
_RIDGE = 0.05
"""Depths (of the baseline) much larger than this are unlikely; only matters where lines coincide."""
_DEPTH_SLACK, _WIDTH_SLACK, _WIDTH_UNKNOWN = 0.3, 0.2, 0.4
"""How far depth (relative) and log width of a pixel's lines may be from what is expected; log width if nothing is."""
_CLEAR_DEPTH, _RELATIVE_DEPTHS, _LEAST_REST = 5e-4, (0.05, 3.0), 0.1
"""Depth of a group (of the baseline) and of its lines (of the group's) in between which depth says something of width;
and how far from saturation a line is at least."""
_PART = 32
"""Pixels that a thread takes at a time."""


@dataclass(frozen=True, eq=False)
class Shared:
    """What all pixels have in common.

    Attributes
    ----------
    extra : ndarray, shape (bias, 3)
        Field besides each bias (T), crystal frame.
    blur2 : float
        Variance of what a pixel sees (pixel²).
    unpowered : float
        Square of the width that lines would have without power, over that of a usual line.
    """

    extra: FloatArray
    blur2: float
    unpowered: float


class Evaluation(NamedTuple):
    """χ², JᵀJ, Jᵀr and depths (bias, pixel, 8) at some parameters.

    Derivatives are by the `OWN` parameters of a pixel and, if asked for, what is shared: three fields (G) a bias,
    `blur2` and `unpowered`.
    """

    chi2: FloatArray
    normal: FloatArray
    gradient: FloatArray
    depth: FloatArray


class Solution(NamedTuple):
    """Parameters (pixel, `OWN`), χ², and normal matrix (pixel, `OWN`, `OWN`) there."""

    theta: FloatArray
    chi2: FloatArray
    normal: FloatArray

    def covariance(self) -> FloatArray:
        """Return the covariance of the stresses, (pixel, 6, 6), GPa²."""
        return np.asarray(np.linalg.inv(self.normal + 1e-6 * np.eye(OWN))[:, :6, :6], dtype=np.float64)


class Model:
    """Weighted spectra of some pixels, and what is expected of their depths and widths."""

    def __init__(self, spectra: Sequence[BiasSpectra], d0: float, constants: StressSusceptibility) -> None:
        longest = max(s.frequency.size for s in spectra)
        self._x = np.array([np.pad(s.frequency, (0, longest - s.frequency.size), mode="edge") for s in spectra])
        weighted = [_weighted(s, longest) for s in spectra]
        self._target, self._scale = (np.ascontiguousarray(part) for part in zip(*weighted, strict=True))
        self.fields = np.array([s.field for s in spectra])
        self.d0, self.constants = d0, constants
        self._coupling = coupling_matrix(constants) * GPA
        self.pixels = len(spectra[0].signal)
        points = (self._scale > 0).sum(axis=(0, 2))
        self.measured = np.asarray(points > 8 * len(spectra) + OWN)
        """Pixels with enough points to say anything."""
        self.freedom = np.maximum(points - len(spectra) - 6, 1)
        shape = (len(spectra), self.pixels, 8)
        self._depth, self._depth_err = np.zeros(shape), np.full(shape, _RIDGE)
        self._log_width, self._width_err = np.full((self.pixels, 4), np.log(WIDTH)), _WIDTH_UNKNOWN
        self.slope2 = np.zeros(shape)
        """Hz²/pixel²: square of how fast each line moves across the image."""
        self._ratio, self._ratio_slope = np.ones(shape), np.zeros(shape)
        self._threads = available_cores()

    def expect(self, depth: FloatArray, log_width: FloatArray, floor: float) -> None:
        """Take depths (bias, pixel, 8) and log widths (pixel, 4) as about known; drive and contrast vary slowly.

        `floor` is what is allowed a depth (of the baseline) however small it is.
        """
        self._depth, self._depth_err = np.ascontiguousarray(depth), _DEPTH_SLACK * np.abs(depth) + floor
        self._log_width, self._width_err = np.ascontiguousarray(log_width), _WIDTH_SLACK

    def broaden_by_power(self, shared: Shared) -> None:
        """Give deep lines of a group more width than shallow ones, as is expected of their drive.

        A driven transition has depth ∝ S/(1+S) and width Γ√(1+S) (Dréau et al., Phys. Rev. B 84, 195204 (2011)). Of
        lines of one group that differ in S alone, one ρ times as deep as the mean has
        width² = Γ²/(1 − ρ (1 − Γ²/w²)), with w the mean line's.
        """
        usual = float(np.median(np.exp(2 * self._log_width)))
        part = np.minimum(shared.unpowered * usual / np.exp(2 * self._log_width), 1.0)[:, :, None]  # Γ²/w²
        pairs = self._depth.reshape(-1, self.pixels, 4, 2)
        mean = pairs.mean(axis=(0, 3))[:, :, None]
        clear = np.abs(mean) > _CLEAR_DEPTH
        depth = np.clip(np.where(clear, pairs / np.where(clear, mean, 1.0), 1.0), *_RELATIVE_DEPTHS)
        rest = np.maximum(1 - depth * (1 - part), _LEAST_REST)
        self._ratio = np.sqrt(part / rest).reshape(self._depth.shape)
        follows = np.where(rest > _LEAST_REST, 1 - depth * part / rest, 1.0)
        slope = np.where(part < 1, 0.5 * follows / shared.unpowered, 0.0)
        self._ratio_slope = slope.reshape(self._depth.shape)

    def slopes(self, theta: FloatArray, shared: Shared, bias: int) -> FloatArray:
        """Return how lines at a bias move with the stress (Hz/GPa), (pixel, 8, 6); f- and f+ group by group."""
        lines = stress_lines(theta[:, :6] * GPA, self.fields[bias] + shared.extra[bias], self.d0, self.constants)
        return np.asarray(lines.by_stress.transpose(2, 0, 1, 3).reshape(-1, 8, 6) * GPA)

    def widths(self, theta: FloatArray, shared: Shared) -> FloatArray:
        """Return the half widths of all lines, (bias, pixel, 8) (Hz)."""
        own = np.exp(theta[:, 6:]).repeat(2, axis=1) * self._ratio
        root = np.sqrt(SQUARE_PART * own**2 + GAUSS_PART * shared.blur2 * self.slope2)
        return np.asarray(LORENTZ_PART * own + root, dtype=np.float64)

    def own_widths(self, wide: FloatArray, shared: Shared) -> FloatArray:
        """Return the log widths (pixel, 4) of groups whose lines are `wide` (pixel, 4) (Hz) on the mean."""
        smeared = GAUSS_PART * shared.blur2 * self.slope2.mean(axis=0).reshape(-1, 4, 2).mean(axis=2)
        # (wide − 0.5346 own)² = 0.2166 own² + smeared
        a, half = LORENTZ_PART**2 - SQUARE_PART, LORENTZ_PART * wide
        own = (half - np.sqrt(half**2 - a * np.maximum(wide**2 - smeared, 0.0))) / a
        return np.asarray(np.log(np.clip(own, *_WIDTHS)), dtype=np.float64)

    def evaluate(self, theta: FloatArray, index: Index, shared: Shared, *, common: bool = False) -> Evaluation:
        """Evaluate pixels `index` at parameters `theta` (pixel, `OWN`); `common`: derivatives by what is shared too."""
        n, biases = len(index), len(self.fields)
        size = OWN + (3 * biases + 2 if common else 0)
        chi2, normal, gradient = np.empty(n), np.empty((n, size, size)), np.empty((n, size))
        depth = np.empty((n, biases, 8))
        at, fields = np.ascontiguousarray(theta), GAMMA * (self.fields + shared.extra)

        def work(part: slice) -> None:
            evaluate_pixels(
                self._x, self._target, self._scale, index[part], at[part], fields, self.d0, self._coupling,
                GROUP_FRAMES, self._ratio, self._ratio_slope, self.slope2, shared.blur2, HYPERFINE, self._depth,
                self._depth_err, self._log_width, self._width_err, chi2[part], normal[part], gradient[part],
                depth[part],
            )  # fmt: skip

        for_all(work, [slice(k, k + _PART) for k in range(0, n, _PART)], self._threads)
        if common:
            hertz = np.r_[np.ones(OWN), np.full(3 * biases, GAMMA * GAUSS), 1.0, 1.0]
            normal *= hertz[:, None] * hertz
            gradient *= hertz
        return Evaluation(chi2, normal, gradient, np.ascontiguousarray(depth.transpose(1, 0, 2)))

    def fit(self, start: FloatArray, index: Index, shared: Shared, steps: int, *, widths: bool = True) -> Solution:
        """Fit pixels `index` from `start` by Levenberg and Marquardt; without `widths`, those stay as they are."""
        free = OWN if widths else 6
        theta = start.copy()
        best, normal, gradient, _ = self.evaluate(theta, index, shared)
        damping, active = np.full(len(index), 1e-2), np.ones(len(index), bool)
        diagonal = np.arange(free)
        for _ in range(steps):
            at = np.flatnonzero(active)
            if not at.size:
                break
            damped = normal[at][:, :free, :free]
            damped[:, diagonal, diagonal] *= 1 + damping[at, None]
            damped[:, diagonal, diagonal] += 1e-9
            trial = theta[at]
            step = np.linalg.solve(damped, gradient[at][:, :free, None])[..., 0]
            step[:, :6] = np.clip(step[:, :6], -1.0, 1.0)
            trial[:, :free] += step
            trial[:, 6:] = np.clip(trial[:, 6:], np.log(_WIDTHS[0]), np.log(_WIDTHS[1]))
            chi2, curved, slope, _ = self.evaluate(trial, index[at], shared)
            better = chi2 < best[at]
            gain = np.where(better, best[at] - chi2, 0.0)
            kept = at[better]
            theta[kept], best[kept], normal[kept] = trial[better], chi2[better], curved[better]
            gradient[kept] = slope[better]
            damping[at] = np.clip(damping[at] * np.where(better, 0.2, 6.0), 1e-8, 1e6)
            active[at] = (gain > 0.01) | (~better & (damping[at] < 1e4))
        return Solution(theta, best, normal)


def _weighted(spectra: BiasSpectra, points: int) -> tuple[FloatArray, FloatArray]:
    """Return what the signal is off its median, and the median, over the noise; zeros where nothing was measured."""
    with np.errstate(invalid="ignore"):
        good = np.isfinite(spectra.signal) & np.isfinite(spectra.noise) & (spectra.noise > 0)
    values = np.where(good, spectra.signal, np.nan)
    level = np.ones((len(values), 1))
    some = good.any(axis=1)
    level[some] = np.nanmedian(values[some], axis=1, keepdims=True)
    scale = np.where(good, level / np.where(good, spectra.noise, 1.0), 0.0)
    room = ((0, 0), (0, points - values.shape[1]))
    return np.pad(np.where(good, values / level - 1, 0.0) * scale, room), np.pad(scale, room)
