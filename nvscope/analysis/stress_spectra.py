"""Stress from spectra in which the lines of all four NV groups overlap.

Line by line such spectra cannot be read: under a culet the groups' lines lie within 200 MHz, some point up and some
down, and one group may hardly be driven. Instead all spectra of a pixel, taken with the bias along one axis after
another, are fitted at once by what they have in common, the stress: six numbers, from which the exact Hamiltonian gives
every line at every bias. Depths are free for every line and bias (they depend on polarisation and drive) and are
eliminated by linear least squares (Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973), with Kaufman's derivative);
widths are one for each group. What drive and contrast are is about the same next door: neighbours say what to expect. A
field that is there besides each bias (residual, lean of the magnet) is fitted too, one for all pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nvscope.nv import BARSON_2017, StressSusceptibility
from nvscope.nv.traction import StressLines, six_numbers, stress_lines

FloatArray = NDArray[np.float64]

GPA = 1e9
HYPERFINE = 2.16e6
"""Hz between the lines of the nitrogen-14 triplet."""
WIDTH = 5.5e6
_WIDTHS = (2.5e6, 14e6)
_RIDGE = 0.05
"""Depths (of the baseline) much larger than this are unlikely; only matters where lines coincide."""
_CHUNK = 256
_SEEDS, _STARTS, _KEPT = 10, 60, 6
_DEPTH_SLACK, _DEPTH_FLOOR, _WIDTH_SLACK = 0.3, 2e-3, 0.2
"""How far depth (relative, and of the baseline) and log width of a pixel's lines may be from its block's."""
_ROUGH, _INDIFFERENT = 4.0, 9.0
"""How many errors from its neighbours a pixel is rough, and how much χ² a smooth solution may cost."""
_BAD, _RESCUES, _REFINEMENTS = 1.25, 4, 2
"""χ² per degree of freedom beyond which a pixel is tried again from its neighbours, and how often."""


@dataclass(frozen=True, eq=False)
class BiasSpectra:
    """Spectra of some pixels at one bias.

    Attributes
    ----------
    field : ndarray, shape (3,)
        Bias (T), crystal frame.
    frequency : ndarray, shape (frequency,)
        Hz.
    signal, noise : ndarray, shape (pixel, frequency)
        Counts and their 1-σ noise.
    """

    field: FloatArray
    frequency: FloatArray
    signal: FloatArray
    noise: FloatArray


@dataclass(frozen=True, eq=False)
class SpectralFit:
    """Stress of every pixel (six numbers, Pa, crystal frame), its covariance, and χ² per degree of freedom.

    `extra` is the field found besides the bias (T, crystal frame).
    """

    sigma: FloatArray
    covariance: FloatArray
    chi2_reduced: FloatArray
    width: FloatArray
    extra: FloatArray


class _Problem:
    """Weighted spectra and fields of some pixels."""

    def __init__(self, spectra: Sequence[BiasSpectra], d0: float, constants: StressSusceptibility) -> None:
        self.frequency = [s.frequency for s in spectra]
        self.fields = np.array([s.field for s in spectra])
        level = [np.median(s.signal, axis=1, keepdims=True) for s in spectra]
        self.scale = [m / s.noise for m, s in zip(level, spectra, strict=True)]
        self.target = [(s.signal / m - 1) * w for s, m, w in zip(spectra, level, self.scale, strict=True)]
        self.d0, self.constants = d0, constants
        self.pixels = len(spectra[0].signal)
        self.points = sum(f.size for f in self.frequency)
        shape = (len(spectra), self.pixels, 8)
        self.depth, self.depth_err = np.zeros(shape), np.full(shape, _RIDGE)
        self.log_width, self.width_err = np.full((self.pixels, 4), np.log(WIDTH)), 0.4

    def expect(self, depth: FloatArray, log_width: FloatArray) -> None:
        """Take depths (bias, pixel, 8) and log widths (pixel, 4) as about known; drive and gradients vary slowly."""
        self.depth, self.depth_err = depth, _DEPTH_SLACK * np.abs(depth) + _DEPTH_FLOOR
        self.log_width, self.width_err = log_width, _WIDTH_SLACK

    def evaluate(
        self, theta: FloatArray, index: NDArray[np.intp], extra: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return χ², JᵀJ and Jᵀr over (six stresses in GPa, four log widths, three fields in G), and depths."""
        n = len(index)
        size = 10 + 3 * len(self.frequency)
        chi2, normal, gradient = np.zeros(n), np.zeros((n, size, size)), np.zeros((n, size))
        width = np.exp(theta[:, 6:])
        depths = []
        for b, frequency in enumerate(self.frequency):
            lines: StressLines = stress_lines(theta[:, :6] * GPA, self.fields[b] + extra[b], self.d0, self.constants)
            scale, y = self.scale[b][index], self.target[b][index]
            columns = np.empty((n, 9, frequency.size))
            columns[:, 8] = scale
            by_place, by_width = np.empty((n, 8, frequency.size)), np.empty((n, 8, frequency.size))
            for g in range(4):
                w = width[:, g, None]
                for level in range(2):
                    shape = place = wide = 0.0
                    for m in (-1, 0, 1):
                        u = (frequency - lines.place[g, level][:, None] - m * HYPERFINE) / w
                        bell = 1 / (1 + u * u)
                        slope = 2 * u * bell * bell / 3
                        shape, place, wide = shape + bell / 3, place + slope / w, wide + slope * u
                    k = 2 * g + level
                    columns[:, k], by_place[:, k], by_width[:, k] = shape * scale, place * scale, wide * scale
            gram = columns @ columns.transpose(0, 2, 1)
            known, certain = self.depth[b][index], 1 / self.depth_err[b][index] ** 2
            gram[:, np.arange(8), np.arange(8)] += certain
            gram[:, 8, 8] += 1e-9
            inverse = np.linalg.inv(gram)
            right = (columns @ y[..., None])[..., 0]
            right[:, :8] += certain * known
            coefficient = (inverse @ right[..., None])[..., 0]
            residual = y - (coefficient[:, None] @ columns)[:, 0]
            chi2 += (residual**2).sum(1) + (certain * (coefficient[:, :8] - known) ** 2).sum(1)
            depths.append(coefficient[:, :8])
            moved, widened = coefficient[:, :8, None] * by_place, coefficient[:, :8, None] * by_width
            slopes = np.concatenate([lines.by_stress * GPA, lines.by_field * 1e-4], axis=-1)  # (4, 2, n, 9)
            part = slopes.transpose(2, 0, 1, 3).reshape(n, 8, 9)
            jacobian = np.concatenate(
                [
                    part[..., :6].transpose(0, 2, 1) @ moved,
                    widened.reshape(n, 4, 2, -1).sum(2),
                    part[..., 6:].transpose(0, 2, 1) @ moved,
                ],
                axis=1,
            )
            mixed = jacobian @ columns.transpose(0, 2, 1)
            own = np.r_[np.arange(10), 10 + 3 * b + np.arange(3)]
            normal[:, own[:, None], own] += jacobian @ jacobian.transpose(0, 2, 1) - mixed @ inverse @ mixed.transpose(
                0, 2, 1
            )
            gradient[:, own] += (jacobian @ residual[..., None])[..., 0]
        off = (theta[:, 6:] - self.log_width[index]) / self.width_err
        chi2 += (off**2).sum(1)
        normal[:, np.arange(6, 10), np.arange(6, 10)] += 1 / self.width_err**2
        gradient[:, 6:10] -= off / self.width_err
        return chi2, normal, gradient, np.array(depths)

    def fit(
        self, start: FloatArray, index: NDArray[np.intp], extra: FloatArray, steps: int, *, widths: bool = True
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Levenberg and Marquardt for pixels `index`; returns θ, χ², and normal matrix and gradient there."""
        free = np.arange(10 if widths else 6)
        theta = start.copy()
        best, normal, gradient, _ = self.evaluate(theta, index, extra)
        damping = np.full(len(index), 1e-2)
        active = np.ones(len(index), bool)
        for _ in range(steps):
            at = np.flatnonzero(active)
            if not at.size:
                break
            sub = normal[at][:, free[:, None], free]
            scale = np.einsum("pii->pi", sub) + 1e-9
            damped = sub.copy()
            damped[:, np.arange(free.size), np.arange(free.size)] += damping[at, None] * scale + 1e-9
            step = np.zeros((at.size, 10))
            step[:, free] = np.linalg.solve(damped, gradient[at][:, free][..., None])[..., 0]
            step[:, :6] = np.clip(step[:, :6], -1.0, 1.0)
            trial = theta[at] + step
            trial[:, 6:] = np.clip(trial[:, 6:], np.log(_WIDTHS[0]), np.log(_WIDTHS[1]))
            chi2, n, g, _ = self.evaluate(trial, index[at], extra)
            better = chi2 < best[at]
            gain = np.where(better, best[at] - chi2, 0.0)
            kept = at[better]
            theta[kept], best[kept], normal[kept], gradient[kept] = trial[better], chi2[better], n[better], g[better]
            damping[at] = np.clip(damping[at] * np.where(better, 0.2, 6.0), 1e-8, 1e6)
            active[at] = (gain > 0.01) | (~better & (damping[at] < 1e4))
        return theta, best, normal, gradient


def fit_stress_spectra(
    spectra: Sequence[BiasSpectra],
    shape: tuple[int, int],
    pressure: float,
    d0: float,
    culet_to_crystal: FloatArray,
    constants: StressSusceptibility = BARSON_2017,
    seed: int = 0,
) -> SpectralFit:
    """Fit the stress of every pixel of an image.

    Where one group is hardly seen several stresses fit a pixel's spectra equally well. Blocks of pixels, whose noise is
    lower, are therefore solved first, from many starts; the best of them is followed from block to block, and pixels
    start from there.

    Parameters
    ----------
    spectra : sequence of BiasSpectra
        One for each bias, all of the same pixels in row order.
    shape : tuple of int
        Image shape (y, x).
    pressure : float
        Nominal pressure (Pa), for the starts.
    d0 : float
        Zero-field splitting without stress (Hz).
    culet_to_crystal : ndarray, shape (3, 3)
        R with v_crystal = R v_culet.
    """
    rng = np.random.default_rng(seed)
    blocks, grid = _blocks(spectra, shape)
    coarse = _Problem(blocks, d0, constants)
    nothing = np.zeros((len(spectra), 3))
    seeds = _seeds(coarse, pressure, culet_to_crystal, nothing, rng)
    followed = [_settle(coarse, theta, chi2, grid, nothing) for theta, chi2 in seeds]
    # most blocks tell; those with steep stress inside fit badly whatever is assumed
    theta, _, extra = min(followed, key=lambda one: float(np.median(one[1])))
    fine = _Problem(spectra, d0, constants)
    depths = coarse.evaluate(theta, np.arange(coarse.pixels), extra)[3]
    start = _spread(theta, grid, shape)
    fine.expect(np.array([_spread(d, grid, shape) for d in depths]), start[:, 6:])
    found, score, normal = _solve(fine, start, shape, extra)
    for _ in range(_REFINEMENTS):
        # what neighbours agree on is a better expectation than a block's mean, and all pixels know the extra field best
        extra = extra + _shared_field(fine, found, score, extra)
        depths = _in_pieces(fine, found, extra)
        smooth = np.stack([_median(d, shape) for d in depths])
        fine.expect(smooth, _median(found[:, 6:], shape))
        found, score, normal = _solve(fine, found, shape, extra)
    freedom = fine.points - len(spectra) - 6
    found, score, normal = _prefer_smooth(fine, found, score, normal, shape, extra)
    covariance = np.asarray(np.linalg.inv(normal[:, :10, :10] + 1e-6 * np.eye(10))[:, :6, :6], dtype=np.float64)
    covariance *= _excess(found[:, :6], covariance, shape) ** 2
    return SpectralFit(found[:, :6] * GPA, covariance * GPA**2, score / freedom, np.exp(found[:, 6:]), extra)


def _solve(
    problem: _Problem, start: FloatArray, shape: tuple[int, int], extra: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit every pixel from `start`, and those that fit badly again from neighbours that fit well."""
    found, score, normal = _in_chunks(problem, start, np.arange(problem.pixels), extra)
    freedom = problem.points - len(problem.frequency) - 6
    for _ in range(_RESCUES):
        start, bad = _from_neighbours(found, score / freedom, shape)
        if not bad.size:
            break
        again, chi2, n = _in_chunks(problem, start, bad, extra)
        better = chi2 < score[bad]
        kept = bad[better]
        found[kept], score[kept], normal[kept] = again[better], chi2[better], n[better]
    return found, score, normal


def _prefer_smooth(
    problem: _Problem,
    theta: FloatArray,
    chi2: FloatArray,
    normal: FloatArray,
    shape: tuple[int, int],
    extra: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Take the stress of the neighbours where a pixel's own is far from it and its spectra do not mind."""
    for _ in range(_RESCUES):
        around = _median(theta, shape)
        err = np.sqrt(np.einsum("pii->pi", np.linalg.inv(normal[:, :10, :10] + 1e-6 * np.eye(10))[:, :6, :6]))
        rough = np.flatnonzero((np.abs(theta - around)[:, :6] > _ROUGH * err).any(axis=1))
        if not rough.size:
            break
        again, score, n = _in_chunks(problem, around[rough], rough, extra)
        better = score < chi2[rough] + _INDIFFERENT
        closer = np.linalg.norm((again - around[rough])[:, :6], axis=1) < 0.7 * np.linalg.norm(
            (theta - around)[rough][:, :6], axis=1
        )
        kept = rough[better & closer]
        if not kept.size:
            break
        chosen = better & closer
        theta[kept], chi2[kept], normal[kept] = again[chosen], score[chosen], n[chosen]
    return theta, chi2, normal


def _excess(sigma: FloatArray, covariance: FloatArray, shape: tuple[int, int]) -> float:
    """Return how much more neighbours scatter than their covariances say, at least 1.

    From second differences, which a smooth stress hardly enters: their variance is six times that of a pixel.
    """
    images = sigma.reshape(*shape, 6)
    variance = np.einsum("pii->pi", covariance).reshape(*shape, 6)
    ratios = []
    for axis in (0, 1):
        moved, spread = np.moveaxis(images, axis, 0), np.moveaxis(variance, axis, 0)
        second = moved[:-2] - 2 * moved[1:-1] + moved[2:]
        ratios.append((np.abs(second) / np.sqrt(spread[:-2] + 4 * spread[1:-1] + spread[2:])).ravel())
    return max(1.0, float(np.median(np.concatenate(ratios))) / 0.6745)


def _in_pieces(problem: _Problem, theta: FloatArray, extra: FloatArray) -> FloatArray:
    """Return the depths of every line (bias, pixel, 8)."""
    starts = range(0, problem.pixels, _CHUNK)
    index = [np.arange(first, min(first + _CHUNK, problem.pixels)) for first in starts]
    return np.concatenate([problem.evaluate(theta[i], i, extra)[3] for i in index], axis=1)


def _median(values: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Median over 5 × 5 pixels of every column of (pixel, n)."""
    images = values.reshape(*shape, -1)
    return np.asarray(ndimage.median_filter(images, size=(5, 5, 1), mode="nearest").reshape(values.shape))


def _in_chunks(
    problem: _Problem, start: FloatArray, index: NDArray[np.intp], extra: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit pixels `index` from `start`, in pieces that fit into memory; returns θ, χ² and the normal matrices."""
    parts = [
        problem.fit(start[first : first + _CHUNK], index[first : first + _CHUNK], extra, 25)[:3]
        for first in range(0, len(index), _CHUNK)
    ]
    theta, chi2, normal = (np.concatenate(part) for part in zip(*parts, strict=True))
    return theta, chi2, normal


def _spread(values: FloatArray, grid: tuple[int, int], shape: tuple[int, int]) -> FloatArray:
    """Interpolate what blocks have (block, n) to pixels (pixel, n)."""
    y, x = ((np.arange(n) + 0.5) * g / n - 0.5 for n, g in zip(shape, grid, strict=True))
    places = np.array(np.meshgrid(y, x, indexing="ij"))
    images = values.reshape(*grid, -1)
    return np.stack(
        [
            ndimage.map_coordinates(image, places, order=1, mode="nearest").ravel()
            for image in np.moveaxis(images, 2, 0)
        ],
        axis=1,
    )


def _from_neighbours(
    theta: FloatArray, chi2_reduced: FloatArray, shape: tuple[int, int]
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return pixels that fit badly beside one that fits, and that one's θ."""
    images, score = theta.reshape(*shape, 10), chi2_reduced.reshape(shape)
    best, start = np.full(shape, np.inf), images.copy()
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        to = tuple(slice(max(0, d), n + min(0, d)) for d, n in zip((dy, dx), shape, strict=True))
        at = tuple(slice(max(0, -d), n + min(0, -d)) for d, n in zip((dy, dx), shape, strict=True))
        better = score[at] < best[to]
        best[to][better] = score[at][better]
        start[to][better] = images[at][better]
    bad = np.flatnonzero(((score > _BAD) & (best < score)).ravel())
    return start.reshape(-1, 10)[bad], bad


def _blocks(spectra: Sequence[BiasSpectra], shape: tuple[int, int]) -> tuple[list[BiasSpectra], tuple[int, int]]:
    """Return spectra averaged over blocks, and how many blocks there are along y and x."""
    rows, columns = (max(1, min(8, n // 2)) for n in shape)
    y, x = np.mgrid[: shape[0], : shape[1]]
    where = ((y * rows // shape[0]) * columns + x * columns // shape[1]).ravel()
    count = np.bincount(where)

    def mean(values: FloatArray) -> FloatArray:
        total = np.zeros((count.size, values.shape[1]))
        np.add.at(total, where, values)
        return total / count[:, None]

    averaged = [
        BiasSpectra(s.field, s.frequency, mean(s.signal), np.sqrt(mean(s.noise**2) / count[:, None])) for s in spectra
    ]
    return averaged, (rows, columns)


def _seeds(
    problem: _Problem,
    pressure: float,
    rotation: FloatArray,
    extra: FloatArray,
    rng: np.random.Generator,
) -> list[tuple[FloatArray, FloatArray]]:
    """Solve some blocks from many starts; returns θ and χ², infinite but for one, for each of the best few."""
    theta, chi2 = np.zeros((problem.pixels, 10)), np.full(problem.pixels, np.inf)
    chosen = np.unique(np.linspace(0, problem.pixels - 1, _SEEDS).astype(int))
    index = np.repeat(chosen, _STARTS)
    normal = rng.normal(1.0, 0.12, index.size) * pressure / GPA
    culet = np.zeros((index.size, 3, 3))
    culet[:, 2, 2] = normal
    mean, apart = rng.uniform(0.6, 0.85, index.size) * normal, rng.normal(0, 0.5, index.size)
    culet[:, 0, 0], culet[:, 1, 1] = mean + apart, mean - apart
    for (i, j), size in {(0, 1): 0.5, (0, 2): 1.0, (1, 2): 1.0}.items():
        culet[:, i, j] = culet[:, j, i] = rng.normal(0, size, index.size)
    start = np.empty((index.size, 10))
    start[:, :6], start[:, 6:] = six_numbers(rotation @ culet @ rotation.T), np.log(2.2 * WIDTH)
    start = problem.fit(start, index, extra, 15, widths=False)[0]
    start[:, 6:] = np.log(WIDTH)
    found, score, _, _ = problem.fit(start, index, extra, 20)
    for block in chosen:
        mine = np.flatnonzero(index == block)
        best = mine[np.argmin(score[mine])]
        theta[block], chi2[block] = found[best], score[best]
    found_at = []
    for block in np.argsort(chi2)[:_KEPT]:
        alone = np.full(problem.pixels, np.inf)
        alone[block] = chi2[block]
        found_at.append((theta, alone))
    return found_at


def _settle(
    problem: _Problem, theta: FloatArray, chi2: FloatArray, grid: tuple[int, int], extra: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Follow a solution through all blocks, with the extra fields that suit it; returns θ, χ² and those."""
    for _ in range(3):
        theta, chi2 = _follow(problem, theta, chi2, grid, extra)
        extra = extra + _shared_field(problem, theta, chi2, extra)
        chi2 = problem.evaluate(theta, np.arange(problem.pixels), extra)[0]
    theta, chi2 = _follow(problem, theta, chi2, grid, extra)
    return theta, chi2, extra


def _follow(
    problem: _Problem, theta: FloatArray, chi2: FloatArray, grid: tuple[int, int], extra: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Carry solutions from block to block, each from its best solved neighbour, until every block is solved."""
    theta, chi2 = theta.copy(), chi2.copy()
    for _ in range(sum(grid)):
        solved = np.isfinite(chi2).reshape(grid)
        if solved.all():
            break
        start, from_chi2 = np.zeros((*grid, 10)), np.full(grid, np.inf)
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            to = tuple(slice(max(0, d), n + min(0, d)) for d, n in zip((dy, dx), grid, strict=True))
            at = tuple(slice(max(0, -d), n + min(0, -d)) for d, n in zip((dy, dx), grid, strict=True))
            score = chi2.reshape(grid)[at]
            better = score < from_chi2[to]
            from_chi2[to][better] = score[better]
            start[to][better] = theta.reshape(*grid, 10)[at][better]
        index = np.flatnonzero(~solved.ravel() & np.isfinite(from_chi2.ravel()))
        theta[index], chi2[index], _, _ = problem.fit(start.reshape(-1, 10)[index], index, extra, 25)
    index = np.arange(problem.pixels)
    theta, chi2, _, _ = problem.fit(theta, index, extra, 8)
    return theta, chi2


def _shared_field(problem: _Problem, theta: FloatArray, chi2: FloatArray, extra: FloatArray) -> FloatArray:
    """Return the change of the extra fields (T) that lowers χ² of all blocks, their own parameters following."""
    starts = range(0, problem.pixels, _CHUNK)
    index = [np.arange(first, min(first + _CHUNK, problem.pixels)) for first in starts]
    parts = [problem.evaluate(theta[i], i, extra)[1:3] for i in index]
    normal, gradient = (np.concatenate(part) for part in zip(*parts, strict=True))
    use = chi2 <= np.quantile(chi2, 0.8)
    own = normal[use][:, :10, :10] + 1e-6 * np.eye(10)
    cross, shared = normal[use][:, :10, 10:], normal[use][:, 10:, 10:]
    solved = np.linalg.solve(own, cross)
    total = (shared - cross.transpose(0, 2, 1) @ solved).sum(0)
    right = (gradient[use][:, 10:] - np.einsum("pij,pi->pj", solved, gradient[use][:, :10])).sum(0)
    return 1e-4 * np.linalg.solve(total + 1e-9 * np.trace(total) * np.eye(len(total)), right).reshape(extra.shape)
