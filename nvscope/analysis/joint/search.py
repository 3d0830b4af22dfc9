"""The stress when nothing is known of it: many starts in a few blocks of pixels, followed from block to block."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.joint.image import Shape, best_neighbour, neighbours
from nvscope.analysis.joint.model import GPA, OWN, WIDTH, Model, Shared
from nvscope.analysis.joint.shared import improve_shared, nothing
from nvscope.nv import six_numbers

FloatArray = NDArray[np.float64]

_SEEDS, _STARTS, _KEPT = 10, 60, 6
"""Blocks that are searched, from how many starts each, and how many of the results are followed."""
_SETTLED = 3
"""Times that a result is followed through all blocks to learn what is shared,"""
_WELL = 0.8
"""and the share of the blocks that says so."""
_BAD, _AGAIN = 1.5, 8
"""χ² over the median beyond which a block counts as badly solved, and how many of those are searched by themselves."""
_EXCHANGES, _GAIN = 6, 1.0
"""Times that blocks try what their neighbours have, and what it must gain of χ²."""


class Found(NamedTuple):
    """Parameters and χ² of all blocks, and what is shared."""

    theta: FloatArray
    chi2: FloatArray
    shared: Shared


def search(model: Model, grid: Shape, pressure: float, rotation: FloatArray, rng: np.random.Generator) -> Found:
    """Return the solution of all blocks that explains most of them best.

    Where one group is hardly seen several stresses fit a spectrum equally well, but not everywhere: most blocks tell;
    those with steep stress inside fit badly whatever is assumed.
    """
    start = nothing(len(model.fields))
    chosen = np.unique(np.linspace(0, model.pixels - 1, _SEEDS).astype(int))
    seeds = _solve_alone(model, chosen, start, pressure, rotation, rng)
    followed = [_settle(model, *seeds, block, grid, start) for block in np.argsort(seeds[1])[:_KEPT]]
    found = min(followed, key=lambda one: float(np.median(one.chi2)))
    return _mend(model, found, grid, pressure, rotation, rng)


def _starts(count: int, pressure: float, rotation: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw stresses as they occur under a culet at that pressure."""
    normal = rng.normal(1.0, 0.12, count) * pressure / GPA
    culet = np.zeros((count, 3, 3))
    culet[:, 2, 2] = normal
    mean, apart = rng.uniform(0.6, 0.85, count) * normal, rng.normal(0, 0.5, count)
    culet[:, 0, 0], culet[:, 1, 1] = mean + apart, mean - apart
    for (i, j), size in {(0, 1): 0.5, (0, 2): 1.0, (1, 2): 1.0}.items():
        culet[:, i, j] = culet[:, j, i] = rng.normal(0, size, count)
    start = np.empty((count, OWN))
    start[:, :6], start[:, 6:] = six_numbers(rotation @ culet @ rotation.T), np.log(2.2 * WIDTH)
    return start


def _solve_alone(
    model: Model,
    chosen: NDArray[np.intp],
    shared: Shared,
    pressure: float,
    rotation: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Solve the `chosen` blocks from many starts; returns θ and χ², infinite for the others."""
    theta, chi2 = np.zeros((model.pixels, OWN)), np.full(model.pixels, np.inf)
    index = np.repeat(chosen, _STARTS)
    # broad lines first, which feel what is far away
    start = model.fit(_starts(index.size, pressure, rotation, rng), index, shared, 15, widths=False).theta
    start[:, 6:] = np.log(WIDTH)
    found, score, _ = model.fit(start, index, shared, 20)
    for block in chosen:
        mine = np.flatnonzero(index == block)
        best = mine[np.argmin(score[mine])]
        theta[block], chi2[block] = found[best], score[best]
    return theta, chi2


def _settle(model: Model, theta: FloatArray, chi2: FloatArray, block: int, grid: Shape, shared: Shared) -> Found:
    """Follow a block's solution through all blocks, with what is shared as it suits it."""
    chi2 = np.where(np.arange(model.pixels) == block, chi2, np.inf)
    for _ in range(_SETTLED):
        theta, chi2 = _follow(model, theta, chi2, grid, shared)
        shared = improve_shared(model, theta, shared, _WELL)
        chi2 = model.evaluate(theta, np.arange(model.pixels), shared).chi2
    theta, chi2 = _follow(model, theta, chi2, grid, shared)
    return Found(theta, chi2, shared)


def _mend(
    model: Model, found: Found, grid: Shape, pressure: float, rotation: FloatArray, rng: np.random.Generator
) -> Found:
    """Solve again what lies behind a step of the stress, over which nothing could be followed.

    Some badly solved blocks are searched by themselves; then every block tries what each of its neighbours has.
    """
    theta, chi2, shared = found.theta.copy(), found.chi2.copy(), found.shared
    every = np.arange(model.pixels)
    bad = np.flatnonzero(chi2 > _BAD * np.median(chi2))
    if bad.size:
        chosen = bad[np.unique(np.linspace(0, bad.size - 1, _AGAIN).astype(int))]
        alone, score = _solve_alone(model, chosen, shared, pressure, rotation, rng)
        better = score < chi2
        theta[better], chi2[better] = alone[better], score[better]
    for _ in range(_EXCHANGES):
        before = chi2.sum()
        for start in neighbours(theta, grid):
            again = model.fit(start, every, shared, 25)
            better = again.chi2 < chi2 - _GAIN
            theta[better], chi2[better] = again.theta[better], again.chi2[better]
        if chi2.sum() > before - _GAIN:
            break
    return Found(theta, chi2, shared)


def _follow(
    model: Model, theta: FloatArray, chi2: FloatArray, grid: Shape, shared: Shared
) -> tuple[FloatArray, FloatArray]:
    """Carry solutions from block to block, each from its best solved neighbour, until every block is solved."""
    theta, chi2 = theta.copy(), chi2.copy()
    for _ in range(sum(grid)):
        best, start = best_neighbour(theta, chi2, grid)
        index = np.flatnonzero(~np.isfinite(chi2) & np.isfinite(best))
        if not index.size:
            break
        theta[index], chi2[index], _ = model.fit(start[index], index, shared, 25)
    theta, chi2, _ = model.fit(theta, np.arange(model.pixels), shared, 8)
    return theta, chi2
