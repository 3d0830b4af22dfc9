"""How far the picture has moved between two points, from what moves with the diamond: its stress pattern.

The camera image will not do. Its light is the laser's and its fixed pattern the camera's, and neither moves with the
cell. The centre of the lines (D + Π_Z) is a property of the place: the same pattern at every temperature and field, up
to a common offset and factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.float64]

_SMOOTH = 1.0
"""Standard deviation (pixels) of the smoothing before gradients are taken."""
_CORRELATED = math.sqrt(4 * math.pi) * _SMOOTH
"""Pixels along an edge that share their noise after smoothing: independent ones are this factor squared fewer."""
_MOST = 0.25
"""Largest shift believed, in image edges: beyond, too little of the picture is common to both."""
_ALIKE = 0.5
"""Correlation of the maps, once shifted, from which they count as the same pattern; smoothed noise reaches 0.3."""
_LEAST = 16
_WORST = 0.5
"""Uncertainty (pixels) above which a shift says nothing."""


@dataclass(frozen=True)
class Shift:
    """A movement of the picture (pixels), positive down and to the right, and its 1-σ uncertainty along each axis."""

    down: float
    right: float
    err: float


def pattern_shift(before: FloatArray, after: FloatArray) -> Shift | None:
    """Return how far a pattern has moved from one map (y, x) to another, NaN where not measured.

    Whole pixels by cross-correlation, the rest by least squares: for a small shift d the maps differ by −d·∇ of their
    mean, an offset, and a factor of the pattern (Lucas and Kanade, IJCAI 1981, with two more unknowns). The uncertainty
    is that of the fit, from the scatter that is left.

    Returns
    -------
    Shift or None
        None if the maps have too little in common: another shape, too few pixels, no pattern above the noise.
    """
    if before.shape != after.shape or min(before.shape) < _LEAST:
        return None
    known = np.isfinite(before) & np.isfinite(after)
    if known.mean() < 0.3:
        return None
    a, b = _smoothed(before, known), _smoothed(after, known)
    whole = _whole_pixels(a, b)
    reach = max(abs(whole[0]), abs(whole[1]))
    if reach > _MOST * min(before.shape):
        return None
    moved = np.roll(b, (-whole[0], -whole[1]), axis=(0, 1))
    usable = known & np.roll(known, (-whole[0], -whole[1]), axis=(0, 1))
    margin = reach + 3
    usable[:margin], usable[-margin:], usable[:, :margin], usable[:, -margin:] = False, False, False, False
    if usable.sum() < 32 or min(a[usable].std(), moved[usable].std()) == 0:
        return None
    if np.corrcoef(a[usable], moved[usable])[0, 1] < _ALIKE:
        return None
    mean = 0.5 * (a + moved)
    down, right = (np.asarray(part, np.float64) for part in np.gradient(mean))
    design = np.stack([part[usable] for part in (down, right, np.ones_like(mean), mean)], axis=1)
    target = (a - moved)[usable]
    normal = design.T @ design
    scale = np.sqrt(np.diag(normal))
    if not np.all(scale > 0):
        return None
    normal /= np.outer(scale, scale)
    if np.linalg.cond(normal) > 1e8:
        return None
    inverse = np.linalg.inv(normal)
    found = inverse @ (design.T @ target / scale) / scale
    left = target - design @ found
    variance = float(left @ left) / (target.size - design.shape[1])
    err = _CORRELATED * math.sqrt(variance * float(np.max(np.diag(inverse)[:2] / scale[:2] ** 2)))
    if err > _WORST or not np.all(np.abs(found[:2]) < 1.5):
        return None
    return Shift(float(whole[0] + found[0]), float(whole[1] + found[1]), err)


def _smoothed(values: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    """Smooth what is known, fill what is not from around it, and take away the mean."""
    weight = ndimage.gaussian_filter(known.astype(np.float64), _SMOOTH, mode="nearest")
    mean = float(values[known].mean())
    filled = np.where(known, values - mean, 0.0)
    return np.asarray(ndimage.gaussian_filter(filled, _SMOOTH, mode="nearest") / np.maximum(weight, 1e-3), np.float64)


def _whole_pixels(a: FloatArray, b: FloatArray) -> tuple[int, int]:
    """Return the whole-pixel shift of the pattern, from the highest point of the correlation of their gradients."""
    window = np.outer(np.hanning(a.shape[0]), np.hanning(a.shape[1]))
    correlation = np.zeros(a.shape)
    for first, second in zip(np.gradient(a), np.gradient(b), strict=True):
        product = np.conj(np.fft.rfft2(first * window)) * np.fft.rfft2(second * window)
        correlation += np.fft.irfft2(product, s=a.shape)
    row, column = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
    height, width = a.shape
    return int(row - height if row > height // 2 else row), int(column - width if column > width // 2 else column)
