"""The stress of every pixel of an image, from blocks to pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.joint.image import SIDES, Shape, blocks, excess_scatter, median, neighbours, spread
from nvscope.analysis.joint.model import GPA, Model, Shared, Solution
from nvscope.analysis.joint.search import search
from nvscope.analysis.joint.shared import covariance_of_shared, follow_gradients, improve_shared
from nvscope.analysis.joint.spectra import BiasSpectra, StressMap
from nvscope.nv import BARSON_2017, StressSusceptibility

FloatArray = NDArray[np.float64]

_STEPS = 25
_ROUGH, _INDIFFERENT = 4.0, 9.0
"""How many errors from its neighbours a pixel is rough, and how much χ² a smooth solution may cost."""
_RESCUES, _GAIN = 4, 1.0
"""Times that pixels which fit badly are tried again from their neighbours, and the χ² that must gain."""
_FLOORS = (2e-3, 2e-3, 1e-3, 5e-4, 5e-4, 5e-4)
"""What a depth may be off (of the baseline) from that of its block, and then, again and again, from that of its
neighbours. With much freedom lines that are hardly seen turn noise into depth, and then into a place; with little,
pixels cannot leave what their block wrongly had. What is shared follows within a few rounds."""
_WIDE = 11
"""Pixels over which own widths are the same: more than the edges over which stress smears them."""
_WELL, _TOGETHER = 0.95, 2
"""Share of the pixels that say what is shared, and how often they and it are improved in turn."""


def fit_stress_spectra(
    spectra: Sequence[BiasSpectra],
    shape: Shape,
    pressure: float,
    d0: float,
    culet_to_crystal: FloatArray,
    constants: StressSusceptibility = BARSON_2017,
    seed: int = 0,
) -> StressMap:
    """Fit the stress of every pixel of an image.

    Blocks of pixels, whose noise is lower, are solved first; pixels start from there. What depth and width to expect
    of a line, its neighbours say: contrast and drive vary slowly. How far it is smeared follows from the gradient of
    the stress. A field that is there besides each bias (residual, lean of the magnet), and how much of the image one
    pixel sees, are fitted too, one for all pixels.

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
    averaged, grid = blocks(spectra, shape)
    coarse = Model(averaged, d0, constants)
    theta, _, shared = search(coarse, grid, pressure, culet_to_crystal, np.random.default_rng(seed))
    depth = coarse.evaluate(theta, np.arange(coarse.pixels), shared).depth
    fine = Model(spectra, d0, constants)
    every = np.arange(fine.pixels)
    start = spread(theta, grid, shape)
    fine.expect(np.array([spread(d, grid, shape) for d in depth]), start[:, 6:], _FLOORS[0])
    found = _solve(fine, start, shape, shared)
    for floor in _FLOORS[1:]:
        assumed_less = found.theta[:, :6].copy()
        theta = follow_gradients(fine, found.theta, shared, shape)
        depth = fine.evaluate(theta, every, shared).depth
        fine.expect(np.stack([median(d, shape) for d in depth]), median(theta[:, 6:], shape, _WIDE), floor)
        fine.broaden_by_power(shared)
        found = _solve(fine, theta, shape, shared)
        for _ in range(_TOGETHER):
            shared = improve_shared(fine, found.theta, shared, _WELL)
            fine.broaden_by_power(shared)
            found = fine.fit(found.theta, every, shared, _STEPS)
    found = _prefer_smooth(fine, found, shape, shared)
    covariance = found.covariance() + covariance_of_shared(fine, found.theta, shared, _WELL)
    covariance *= excess_scatter(found.theta[:, :6], np.einsum("pii->pi", covariance), shape) ** 2
    # where the spectra are not as the model has them, the stress is no better known than they are fitted
    reduced = found.chi2 / fine.freedom
    covariance *= np.where(found.chi2 > _allowed(fine.freedom), reduced, 1.0)[:, None, None]
    # how far the stress of a neighbourhood has gone with what is assumed of depths
    leant = median(found.theta[:, :6] - assumed_less, shape)
    covariance += leant[:, :, None] * leant[:, None, :]
    covariance[~fine.measured] = np.nan
    return StressMap(
        sigma=np.where(fine.measured[:, None], found.theta[:, :6] * GPA, np.nan),
        covariance=covariance * GPA**2,
        chi2_reduced=reduced,
        width=fine.widths(found.theta, shared),
        extra=shared.extra,
        blur=float(np.sqrt(shared.blur2)),
        unpowered=shared.unpowered,
        d0=d0,
        constants=constants,
    )


def _solve(model: Model, start: FloatArray, shape: Shape, shared: Shared) -> Solution:
    """Fit every pixel from `start`, and those that fit badly again from what each of their neighbours has."""
    found = model.fit(start, np.arange(model.pixels), shared, _STEPS)
    for _ in range(_RESCUES):
        improved = False
        for side in range(SIDES):
            bad = np.flatnonzero(found.chi2 > _allowed(model.freedom))
            if not bad.size:
                return found
            again = model.fit(neighbours(found.theta, shape)[side][bad], bad, shared, _STEPS)
            better = again.chi2 < found.chi2[bad] - _GAIN
            improved = improved or bool(better.any())
            _take(found, again, bad, better)
        if not improved:
            break
    return found


def _allowed(freedom: NDArray[np.intp]) -> FloatArray:
    """Return the χ² beyond which noise alone is not the reason: one pixel in 30 000 has as much by chance."""
    return np.asarray(freedom + 4 * np.sqrt(2.0 * freedom))


def _prefer_smooth(model: Model, found: Solution, shape: Shape, shared: Shared) -> Solution:
    """Take the stress of the neighbours where a pixel's own is far from it and its spectra do not mind."""
    for _ in range(_RESCUES):
        around = median(found.theta, shape)
        err = np.sqrt(np.einsum("pii->pi", found.covariance()))
        away = (found.theta - around)[:, :6]
        rough = np.flatnonzero((np.abs(away) > _ROUGH * err).any(axis=1))
        if not rough.size:
            break
        again = model.fit(around[rough], rough, shared, _STEPS)
        closer = np.linalg.norm((again.theta - around[rough])[:, :6], axis=1) < 0.7 * np.linalg.norm(
            away[rough], axis=1
        )
        chosen = closer & (again.chi2 < found.chi2[rough] + _INDIFFERENT)
        if not chosen.any():
            break
        _take(found, again, rough, chosen)
    return found


def _take(found: Solution, again: Solution, index: NDArray[np.intp], chosen: NDArray[np.bool_]) -> None:
    """Put the `chosen` of new solutions of pixels `index` in place of the old."""
    for old, new in zip(found, again, strict=True):
        old[index[chosen]] = new[chosen]
