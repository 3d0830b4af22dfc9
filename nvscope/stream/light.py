"""How bright the light was while each frequency was taken, from frames with microwaves off; for whoever sums frames.

The light drifts in power, pointing and width: over its own mean, that of a Gaussian beam is a quadratic surface to
first order. Six numbers for every frequency then follow from all pixels, and dividing by the surface costs next to no
noise, where dividing pixel by pixel by as many frames with microwaves off as on would double the variance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["block_light", "divide_light", "relative_light", "worth"]

_TILE = 8
"""Pixels along the edge of a tile, about: the light is kept in tiles, which is enough for a quadratic surface."""

_LEAST = 4
"""Tiles along the edge of an image, at least."""

_FEW = 1.0
"""Counts above the offset below which there is no light."""


def block_light(
    reference: NDArray[Any], reference_frames: NDArray[np.int64], signal_frames: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Return the light of one block's signal frames in tiles, summed over those frames.

    Parameters
    ----------
    reference : ndarray, shape (frequency, y, x)
        Sums of the block's frames with microwaves off.
    reference_frames, signal_frames : ndarray, shape (frequency,)
        How many frames were taken with microwaves off and on.

    Returns
    -------
    ndarray, shape (frequency, tile y, tile x), or None
        Counts: at each frequency the mean frame with microwaves off there times the number of frames with microwaves
        on. A frequency without frames of its own takes the mean of all in the block. None if the block has none.
    """
    taken = np.flatnonzero(reference_frames)
    if not taken.size:
        return None
    sums = {int(step): _tiles(reference[step]) for step in taken}
    everywhere = sum(sums.values()) / reference_frames.sum()
    light = np.empty((len(signal_frames), *everywhere.shape))
    for step, frames in enumerate(signal_frames):
        own = reference_frames[step]
        light[step] = frames * (sums[step] / own if own else everywhere)
    return light


def relative_light(light: NDArray[np.float64], frames: NDArray[Any], offset: float) -> NDArray[np.float64]:
    """Return the light at each frequency over its mean.

    Parameters
    ----------
    light : ndarray, shape (frequency, tile y, tile x)
        Sum of `block_light` over the blocks.
    frames : ndarray, shape (frequency,)
        Signal frames in those blocks.
    offset : float
        Counts at zero light.

    Returns
    -------
    ndarray, shape (frequency, 6)
        Coefficients of 1, x, y, x², xy, y², with x and y from -1 to 1 across the image; (1, 0, …) where nothing was
        taken.
    """
    used = np.asarray(frames) > 0
    surfaces = np.zeros((len(light), 6))
    surfaces[:, 0] = 1.0
    if not used.any():
        return surfaces
    mean = light[used] / np.asarray(frames, float)[used, None, None] - offset
    level = np.maximum(mean.mean(axis=0), 0.0)
    if not level.max() > _FEW:
        return surfaces
    ratio = np.where(level > _FEW, mean / np.maximum(level, _FEW), 0.0)
    weight = np.where(level > _FEW, level, 0.0).ravel()  # 1/variance of a ratio of Poisson numbers
    basis = _basis(*(_centres(count) for count in level.shape)).reshape(6, -1)
    normal = (basis * weight) @ basis.T
    surfaces[used] = np.linalg.lstsq(normal, (basis * weight) @ ratio.reshape(len(ratio), -1).T, rcond=1e-9)[0].T
    return surfaces


def divide_light(
    signal: NDArray[Any],
    relative: NDArray[np.float64],
    offset: float,
    shape: tuple[int, int] | None = None,
    rows: slice | None = None,
) -> NDArray[np.float32]:
    """Return the signal as it would have been in steady light.

    Parameters
    ----------
    signal : ndarray, shape (frequency, y, x)
        Counts.
    relative : ndarray, shape (frequency, 6)
        As `relative_light` returns it.
    offset : float
        Counts at zero light.
    shape, rows
        Shape of the whole image and the rows of it that `signal` is, where it is only a part.
    """
    height, width = shape or (int(signal.shape[1]), int(signal.shape[2]))
    y, x = _centres(height)[rows or slice(None)], _centres(width)
    basis = _basis(y, x).astype(np.float32)
    divided = np.empty(signal.shape, np.float32)
    dark = np.float32(offset)
    for step, surface in enumerate(relative.astype(np.float32)):
        light = np.tensordot(surface, basis, 1)
        np.subtract(signal[step], dark, out=divided[step], casting="unsafe")
        divided[step] /= np.maximum(light, np.float32(0.01))
        divided[step] += dark
    return divided


def worth(
    frames: NDArray[Any], reference_frames: NDArray[Any], relative: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return how many frames of undivided signal have the noise that the divided signal has, shape (frequency,).

    A divided signal S/r has variance Var(S)/r² where Poisson noise of its own size would be Var(S)/r: as r times as
    many frames. The six numbers of the surface add, on average over the image, 6 pixels' share of the noise of the
    frames with microwaves off.
    """
    on, off = np.asarray(frames, float), np.asarray(reference_frames, float)
    behind = np.where(off > 0, off, off.sum()) * shape[0] * shape[1] / 6
    return np.asarray(on * np.maximum(relative[:, 0], 0.01) / (1 + on / np.maximum(behind, 1.0)))


def _centres(count: int) -> NDArray[np.float64]:
    return np.asarray((2 * np.arange(count) + 1) / count - 1)


def _basis(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1, x, y, x², xy, y² on a grid, shape (6, y, x)."""
    rows, columns = np.meshgrid(y, x, indexing="ij")
    return np.stack([np.ones_like(rows), columns, rows, columns**2, rows * columns, rows**2])


def _tiles(image: NDArray[Any]) -> NDArray[np.float64]:
    edges = [np.linspace(0, n, min(n, max(_LEAST, round(n / _TILE))) + 1).round().astype(np.intp) for n in image.shape]
    total = np.add.reduceat(image, edges[0][:-1], axis=0, dtype=np.float64)
    total = np.add.reduceat(total, edges[1][:-1], axis=1)
    return np.asarray(total / np.multiply.outer(*(np.diff(edge) for edge in edges)))
