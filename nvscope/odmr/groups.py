"""All four NV groups at once: eight lines, told apart by what a known bias and an unknown stress do to them.

Eight free lines of unequal depth that cross and coincide have no names. Here they are first fitted together with the
stress as the unknown: a search over stresses in the brightest parts of a binned image, then from pixel to pixel and
from coarse to fine. That names the lines, also where some coincide or have vanished. The free fit of eight lines
starts from there, so that lines and covariance owe nothing to the stress model but their names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import median_filter

from nvscope.nv import BARSON_2017, GAMMA, GROUP_FRAMES, StressSusceptibility
from nvscope.nv.traction import coupling_matrix
from nvscope.odmr.checks import check_axis, check_signal
from nvscope.odmr.fitting import fit
from nvscope.odmr.group_kernels import FIELD, PARAMETERS, WIDTH, group_lines, refine_all, score_all
from nvscope.odmr.neighbours import binned
from nvscope.odmr.noise import Noise
from nvscope.odmr.result import ODMRFit
from nvscope.odmr.solving import available_cores, for_all

__all__ = ["Biased", "GroupFit", "fit_groups"]

Array = NDArray[np.float64]

TRIALS = 20_000
SEEDS, STARTS = 3, 24  # places of the image, and stresses in each, from which the search is refined
COARSE = 16  # pixels along the longer edge of the image the search begins with
ROUNDS = 40  # times a level asks its neighbours
AGREED = 6  # times a level compares pixels with the median around them
ODD, ALIKE = 0.5, 0.4  # GPa from there to be asked, usual difference
BETTER = 0.9  # share of its own chi2 at which a pixel tries a neighbour's stress
MARGIN = 60e6  # Hz by which D of the aligned group may be off where it is said to be
SHEAR, UNEVEN = 3.0, 0.5  # GPa: largest shear tried, usual in-plane anisotropy
MOST_REMNANT = 15e-4  # T, of the search
STRAY = 1.5  # widths of a line by which a free line may end beside its place in the stress model
OWN = 4.0  # amplitude over its error from which a line of the free fit counts


@dataclass(frozen=True, eq=False)
class GroupFit:
    """Lines of all groups.

    Attributes
    ----------
    fits : tuple of ODMRFit
        Free lines at each bias field (none if not wanted), with the group axis first and in the order of
        `nvscope.nv.GROUP_AXES`.
    seen : tuple of bool arrays, shape (4, *grid)
        Groups of which both lines are significant and where the stress has them: only these are measurements.
    stress : ndarray, shape (*grid, 6)
        Pa, crystal frame, order xx, yy, zz, yz, xz, xy: what all lines together say.
    covariance : ndarray, shape (*grid, 6, 6)
        Of the stress, Pa², scaled by `chi2_reduced` where that exceeds one.
    field, field_err : ndarray, shape (*grid)
        |B| along [111] (T), if it was unknown; zeros else.
    places : tuple of ndarray, shape (2, 4, *grid)
        f- and f+ of the groups at each field as the stress gives them (Hz), where the free fit starts from.
    chi2_reduced : ndarray, shape (*grid)
        Of the spectra against lines of one width at the places that the stress gives.
    """

    fits: tuple[ODMRFit, ...]
    seen: tuple[NDArray[np.bool_], ...]
    stress: Array
    covariance: Array
    field: Array
    field_err: Array
    places: tuple[Array, ...]
    chi2_reduced: Array


@dataclass(frozen=True, eq=False)
class Biased:
    """Spectra at one known field.

    Attributes
    ----------
    frequency : array-like, shape (frequency,)
        Hz, ascending.
    signal : array-like, shape (frequency, y, x)
        As for `nvscope.odmr.fit`.
    d0 : float
        Zero-field splitting without stress at that temperature (Hz).
    bias : array-like, shape (3,)
        T, crystal frame.
    remnant : bool
        Whether there is a field along [111] besides, of unknown size, which differs from pixel to pixel.
    noise
        As for `nvscope.odmr.fit`.
    """

    frequency: ArrayLike
    signal: ArrayLike
    d0: float
    bias: ArrayLike = (0.0, 0.0, 0.0)
    remnant: bool = False
    noise: Noise = None


def fit_groups(
    measured: Sequence[Biased],
    *,
    center: float | None = None,
    stress: ArrayLike | None = None,
    stress_err: float = 0.3e9,
    constants: StressSusceptibility = BARSON_2017,
    free_lines: bool = True,
    threads: int | None = None,
) -> GroupFit:
    """Fit the lines of all four groups in every pixel.

    A field along one NV axis leaves the groups that it meets at equal angles alike: which is which, only spectra at
    other fields tell. Give those of all fields together.

    Parameters
    ----------
    measured : sequence of Biased
        Spectra of the same pixels under the same stress, at one known field or several. A remnant field is told from
        stress by spectra without it, above Tc: at zero field, and at one that separates the aligned pair.
    center : float, optional
        Where D of the [111] group is expected, within 60 MHz (Hz); default anywhere in the sweep.
    stress : array-like, shape (6,) or (y, x, 6), optional
        Stress already known (Pa, crystal frame), such as that of a map above Tc; replaces the search.
    stress_err : float
        How well it is known (Pa).
    constants : StressSusceptibility
    free_lines : bool
        Whether to fit every line freely in the end, which takes half a millisecond for each spectrum.
    threads : int, optional

    Raises
    ------
    ValueError
        If the arguments do not describe a fit.
    """
    axes = [check_axis(part.frequency, 2 + 8 + PARAMETERS) for part in measured]
    stacks = [check_signal(part.signal, axis.size) for part, axis in zip(measured, axes, strict=True)]
    grids = {stack.shape[1:] for stack in stacks}
    if len(grids) != 1 or len(grid := grids.pop()) != 2:
        raise ValueError(
            "groups are told apart with the help of neighbours: signals (frequency, y, x) of the same pixels"
        )
    if stress is None and all(part.remnant for part in measured):
        raise ValueError("a remnant field cannot be told from stress: give spectra without it, or the stress")
    model = _Model(measured, axes, constants, threads or available_cores())
    if stress is None:
        p, chi2, covariance = model.grow(stacks, center)
    else:
        known = np.broadcast_to(np.asarray(stress, float), (*grid, 6)).reshape(-1, 6) / 1e9
        p, chi2, covariance = model.follow(stacks, known, stress_err / 1e9)
    fits: list[ODMRFit] = []
    seen: list[NDArray[np.bool_]] = []
    width = np.broadcast_to(p[:, WIDTH].reshape(grid) * 1e6, (4, *grid))
    every = model.places(p, grid)
    for part, axis, stack, places in zip(measured, axes, stacks, every, strict=True) if free_lines else ():
        start = {"f_minus": places[0], "f_plus": places[1], "width_minus": width, "width_plus": width}
        free = fit(axis, stack, lines=8, baseline="linear", noise=part.noise, start=start, threads=threads)
        fits.append(free)
        seen.append(_seen(free, places))
    reduced = chi2 / max(1, sum(axis.size - 10 for axis in axes) - int(model.free.sum()))
    covariance *= np.maximum(reduced, 1.0)[:, None, None]
    return GroupFit(
        fits=tuple(fits),
        seen=tuple(seen),
        stress=p[:, :6].reshape(*grid, 6) * 1e9,
        covariance=covariance[:, :6, :6].reshape(*grid, 6, 6) * 1e18,
        field=np.abs(p[:, FIELD]).reshape(grid) * 1e6 / GAMMA,
        field_err=np.sqrt(covariance[:, FIELD, FIELD]).reshape(grid) * 1e6 / GAMMA,
        places=tuple(every),
        chi2_reduced=reduced.reshape(grid),
    )


def _seen(free: ODMRFit, places: Array) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = np.ones(places.shape[1:], np.bool_)
        for place, side in zip(places, ("minus", "plus"), strict=True):
            f, width = getattr(free, f"f_{side}"), getattr(free, f"width_{side}")
            amplitude, err = getattr(free, f"amplitude_{side}"), getattr(free, f"amplitude_{side}_err")
            seen &= np.abs(f - place) < STRAY * width
            seen &= np.abs(amplitude) > OWN * err
            seen &= np.isfinite(getattr(free, f"f_{side}_err"))
    return seen


class _Model:
    """Spectra as functions of stress."""

    def __init__(
        self, measured: Sequence[Biased], axes: Sequence[Array], constants: StressSusceptibility, threads: int
    ) -> None:
        # axes of different lengths are filled up with points of no weight
        longest = max(axis.size for axis in axes)
        self.x = np.array([np.pad(axis, (0, longest - axis.size), mode="edge") for axis in axes]) / 1e6
        self.d0 = np.array([part.d0 for part in measured]) / 1e6
        self.fields = np.array([np.asarray(part.bias, float) for part in measured]) * GAMMA / 1e6
        self.unknown = np.array([float(part.remnant) for part in measured])
        self.coupling = coupling_matrix(constants) * 1e3
        self.frames = np.ascontiguousarray(GROUP_FRAMES)
        self.constants = constants
        self.free = np.ones(PARAMETERS, np.bool_)
        self.free[FIELD] = self.unknown.any()
        self.threads = threads

    def places(self, p: Array, grid: tuple[int, ...]) -> list[Array]:
        """Return f- and f+ of the groups at every field, Hz, each (2, 4, *grid)."""
        lines = np.empty((len(self.fields), len(p), 8))
        for there, d0, field, unknown in zip(lines, self.d0, self.fields, self.unknown, strict=True):
            for row, own in zip(p, there, strict=True):
                group_lines(d0, self.coupling, self.frames, field, unknown, row, own)
        return [(there.T * 1e6).reshape(2, 4, *grid) for there in lines]

    def weighted(self, stacks: Sequence[NDArray[np.generic]]) -> tuple[Array, Array]:
        """Spectra less their means over their noise, and its inverse, (pixel, bias, frequency)."""
        parts = [_weighted(np.asarray(stack, np.float64)) for stack in stacks]
        longest = self.x.shape[1]
        rows, roots = (
            np.stack([np.pad(part[k], ((0, 0), (0, longest - part[k].shape[1]))) for part in parts], axis=1)
            for k in (0, 1)
        )
        return rows, roots

    def refine(
        self, spectra: tuple[Array, Array], p: Array, prior: Array, stiffness: Array
    ) -> tuple[Array, Array, Array]:
        """Refine rows of `p`; returns them with chi2 and covariance."""
        rows, roots = spectra
        p = p.copy()
        chi2, covariance = np.empty(len(p)), np.empty((len(p), PARAMETERS, PARAMETERS))

        def work(part: slice) -> None:
            refine_all(
                self.x, rows[part], roots[part], self.d0, self.coupling, self.frames, self.fields, self.unknown,
                self.free, prior[part], stiffness[part], p[part], chi2[part], covariance[part],
            )  # fmt: skip

        for_all(work, [slice(k, k + 64) for k in range(0, len(p), 64)], self.threads)
        chi2[~np.isfinite(chi2)] = np.inf
        return p, chi2, covariance

    def loose(self, count: int, width: float = 7.0) -> tuple[Array, Array]:
        """Expectation and stiffness that only keep what spectra cannot tell from running away."""
        prior = np.zeros((count, PARAMETERS))
        stiffness = np.full((count, PARAMETERS), 1e-4)
        prior[:, WIDTH], stiffness[:, WIDTH] = width, 1e-2
        prior[:, 2] = 20.0
        prior[:, :2] = 14.0
        return prior, stiffness

    def trials(self, center: float | None) -> Array:
        """Draw stresses as they occur under a culet, for D of the [111] group anywhere it may be."""
        rng = np.random.default_rng(1)
        if center is None:
            d = rng.uniform(self.x.min(), self.x.max(), TRIALS)
        else:
            d = center / 1e6 + rng.uniform(-MARGIN, MARGIN, TRIALS) / 1e6
        ratio = rng.uniform(0.5, 1.0, TRIALS)
        c = self.constants
        along, aside = (c.a1 + 2 * c.a2) * 1e3, (c.a1 - c.a2) * 1e3  # MHz/GPa
        normal = (d - self.d0.mean()) / (2 * ratio * aside + along)
        shear = SHEAR * np.sqrt(rng.random(TRIALS))
        azimuth = rng.uniform(0, 2 * np.pi, TRIALS)
        uneven = UNEVEN * rng.standard_normal((2, TRIALS))
        p = np.zeros((TRIALS, PARAMETERS))
        p[:, 0], p[:, 1], p[:, 2] = ratio * normal + uneven[0], ratio * normal - uneven[0], normal
        p[:, 3], p[:, 4], p[:, 5] = shear * np.sin(azimuth), shear * np.cos(azimuth), uneven[1]
        p[:, WIDTH] = rng.uniform(5.0, 9.0, TRIALS)
        p[:, FIELD] = self.unknown.any() * rng.uniform(0, MOST_REMNANT, TRIALS) * GAMMA / 1e6
        return p

    def grow(self, stacks: Sequence[NDArray[np.generic]], center: float | None) -> tuple[Array, Array, Array]:
        """Search in a few places of the coarse image, spread from there, and refine level by level."""
        levels = [list(stacks)]
        while max(levels[-1][0].shape[1:]) > COARSE and min(levels[-1][0].shape[1:]) >= 4:
            levels.append([binned(stack) for stack in levels[-1]])
        coarse = levels[-1][0].shape[1:]
        spectra = self.weighted(levels[-1])
        prior, stiffness = self.loose(len(spectra[0]))
        p, chi2 = np.empty((len(prior), PARAMETERS)), np.full(len(prior), np.inf)
        covariance = np.empty((len(p), PARAMETERS, PARAMETERS))
        trials = self.trials(center)
        for seed in self.seeds(spectra):
            scores = np.empty(TRIALS)

            def score(part: slice, seed: int = seed, scores: Array = scores) -> None:
                score_all(
                    self.x, spectra[0][seed], spectra[1][seed], self.d0, self.coupling, self.frames, self.fields,
                    self.unknown, trials[part], scores[part],
                )  # fmt: skip

            for_all(score, [slice(k, k + 2000) for k in range(0, TRIALS, 2000)], self.threads)
            best = _distinct(trials, scores)
            many = tuple(np.repeat(part[seed : seed + 1], len(best), axis=0) for part in (*spectra, prior, stiffness))
            found, value, _ = self.refine((many[0], many[1]), best, many[2], many[3])
            top = found[np.argmin(value)]
            new = self.refine(spectra, np.broadcast_to(top, p.shape), prior, stiffness)
            _take(p, chi2, covariance, *new)
        p, chi2, covariance = self.spread(spectra, coarse, p, chi2, covariance, prior, stiffness)
        p, chi2, covariance = self.agree(spectra, coarse, p, prior, stiffness)
        for finer in reversed(levels[:-1]):
            grid = finer[0].shape[1:]
            rows = np.minimum(np.arange(grid[0]) // 2, coarse[0] - 1)
            columns = np.minimum(np.arange(grid[1]) // 2, coarse[1] - 1)
            start = p.reshape(*coarse, PARAMETERS)[rows][:, columns].reshape(-1, PARAMETERS)
            spectra = self.weighted(finer)
            # what four pixels together say, within what one may differ by
            prior, stiffness = start.copy(), np.full(start.shape, 1.0)
            stiffness[:, FIELD] = 1e-3
            p, chi2, covariance = self.refine(spectra, start, prior, stiffness)
            p, chi2, covariance = self.spread(spectra, grid, p, chi2, covariance, prior, stiffness)
            p, chi2, covariance = self.agree(spectra, grid, p, prior, stiffness)
            coarse = grid
        return p, chi2, covariance

    def follow(self, stacks: Sequence[NDArray[np.generic]], known: Array, err: float) -> tuple[Array, Array, Array]:
        """Start from stresses that are known; a field to be found is tried at a few sizes."""
        spectra = self.weighted(stacks)
        prior, stiffness = self.loose(len(known))
        prior[:, :6], stiffness[:, :6] = known, 1 / err**2
        p, chi2 = np.empty_like(prior), np.full(len(prior), np.inf)
        covariance = np.empty((len(p), PARAMETERS, PARAMETERS))
        for gauss in (2.0, 7.0, 14.0) if self.free[FIELD] else (0.0,):
            start = prior.copy()
            start[:, FIELD] = gauss * 1e-4 * GAMMA / 1e6
            _take(p, chi2, covariance, *self.refine(spectra, start, prior, stiffness))
        return p, chi2, covariance

    @staticmethod
    def seeds(spectra: tuple[Array, Array]) -> NDArray[np.intp]:
        """The places with most to see, one in each third of the best."""
        power = np.var(spectra[0], axis=(1, 2))
        order = np.argsort(-power)
        return order[np.unique(np.linspace(0, len(order) // 2, SEEDS).astype(int))]

    def spread(
        self,
        spectra: tuple[Array, Array],
        grid: tuple[int, ...],
        p: Array,
        chi2: Array,
        covariance: Array,
        prior: Array,
        stiffness: Array,
    ) -> tuple[Array, Array, Array]:
        """Let pixels try what fits a neighbour better than them, until nobody wants to."""
        index = np.arange(len(p)).reshape(grid)
        tried = np.full(len(p), np.inf)
        for _ in range(ROUNDS):
            best, source = np.full(len(p), np.inf), np.zeros(len(p), np.intp)
            for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
                there = np.roll(index, (dy, dx), (0, 1))
                edge = np.zeros(grid, np.bool_)
                edge[0 if dy == 1 else slice(-1, None) if dy == -1 else slice(0)] = True
                edge[:, 0 if dx == 1 else slice(-1, None) if dx == -1 else slice(0)] = True
                other = np.where(edge.ravel(), np.inf, chi2[there.ravel()])
                source = np.where(other < best, there.ravel(), source)
                best = np.minimum(best, other)
            wanting = np.flatnonzero((best < BETTER * chi2) & (best < 0.99 * tried))
            if not wanting.size:
                break
            tried[wanting] = best[wanting]
            new = self.refine(
                (spectra[0][wanting], spectra[1][wanting]), p[source[wanting]], prior[wanting], stiffness[wanting]
            )
            own = (p[wanting], chi2[wanting], covariance[wanting])
            _take(*own, *new)
            p[wanting], chi2[wanting], covariance[wanting] = own
        return p, chi2, covariance

    def agree(
        self, spectra: tuple[Array, Array], grid: tuple[int, ...], p: Array, prior: Array, stiffness: Array
    ) -> tuple[Array, Array, Array]:
        """Where a spectrum alone cannot tell between stresses, let its neighbours decide.

        A pixel that differs from the median around it compares its own stress and that median, both refined, by chi2
        and by how far they are from the median.
        """
        for _ in range(AGREED):
            cube = p.reshape(*grid, PARAMETERS)
            around = np.stack(
                [median_filter(cube[..., k], 5, mode="nearest").ravel() for k in range(PARAMETERS)], axis=1
            )
            odd = np.flatnonzero(np.linalg.norm(p[:, :6] - around[:, :6], axis=1) > ODD)
            if not odd.size:
                break
            some = (spectra[0][odd], spectra[1][odd])
            local = stiffness[odd].copy()
            local[:, :6] = 1 / ALIKE**2
            stay = self.refine(some, p[odd], around[odd], local)
            move = self.refine(some, around[odd], around[odd], local)
            moved = move[1] < stay[1]
            if not moved.any():
                break
            p[odd[moved]] = move[0][moved]
        return self.refine(spectra, p, prior, stiffness)


def _take(p: Array, chi2: Array, covariance: Array, new_p: Array, new_chi2: Array, new_covariance: Array) -> None:
    """Take what is better, in place."""
    better = new_chi2 < chi2
    p[better], chi2[better], covariance[better] = new_p[better], new_chi2[better], new_covariance[better]


def _distinct(trials: Array, scores: Array) -> Array:
    """The best trials, none within a GPa of a better one."""
    order = np.argsort(scores)[: 40 * STARTS]
    chosen: list[int] = []
    for k in order:
        if all(np.linalg.norm(trials[k, :6] - trials[j, :6]) > 1.0 for j in chosen):
            chosen.append(int(k))
            if len(chosen) == STARTS:
                break
    return trials[chosen]


def _weighted(values: Array) -> tuple[Array, Array]:
    """Spectra less their means over their noise, and its inverse, (pixel, frequency); zero where there is nothing."""
    flat = values.reshape(values.shape[0], -1).T
    there = np.isfinite(flat)
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    level = np.where(there, flat, 0.0).sum(axis=1, keepdims=True) / count
    second = np.diff(flat, 2, axis=1)
    with np.errstate(all="ignore"):
        own = 1.4826 * np.nanmedian(np.abs(second), axis=1) / math.sqrt(6.0)
    usual = float(np.nanmedian(own)) if np.isfinite(own).any() else 1.0
    noise = np.where(np.isfinite(own) & (own > 0.3 * usual), own, usual)[:, None]
    noise = np.maximum(noise, 1e-9 * np.abs(level) + 1e-300)
    root = np.where(there, 1 / noise, 0.0)
    return np.where(there, flat - level, 0.0) * root, np.ascontiguousarray(root)
