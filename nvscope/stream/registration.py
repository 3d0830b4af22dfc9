"""How far an image has moved against another, and images moved back; for whoever takes frames and whoever sums them.

The shift is measured by phase correlation: the cross-power spectrum of two images that differ by a shift has the phase
−2π k·d. Its inverse transform peaks at d, to a whole pixel; a straight line through the phases left over, weighted by
how much of both images is in each wave, gives the rest. What stands still in the camera, the beam and the pixels' own
sensitivity, pulls the result towards zero: slow waves are left out, and what the image shows must be stronger than the
fixed pattern.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

__all__ = ["FEWEST_PIXELS", "halo", "noise_gain", "registered", "shift_between"]

FEWEST_PIXELS = 16
"""Pixels along an edge below which there is too little to correlate."""

_SLOWEST = 2.0
"""Waves across the image below which only the beam is seen."""
_FASTEST = 0.25
"""Waves per pixel above which there is mostly noise and fixed pattern."""
_NOISE = 0.4
"""Waves per pixel above which there is nothing else."""
_ABOVE = 30.0
"""How far above that a wave must be to count."""
_REFINEMENTS = 6
_FEWEST_WAVES = 8
"""Waves that must be in both images: a line through fewer says little, and nothing of how wrong it is."""
_SIGNIFICANT = 4.0
"""Standard errors a shift must be away from none: what stands still is not interpolated."""
_CLOSE = 0.002
"""Pixels between two steps at which the shift counts as found."""
_SETTLED = 0.05
"""Share of a shift that may be left over at the end."""
_NOTHING = 1e-9
"""Relative contrast below which there is nothing in an image."""
_REACH = 4
"""Half the taps of the interpolation (Lanczos): a row needs this many others on either side."""
_STILL = 0.01
"""Pixels; what has moved less is left as it is."""


def shift_between(image: NDArray[Any], anchor: NDArray[Any]) -> tuple[float, float]:
    """Return how far `image` has moved against `anchor`, (y, x) in pixels, to a small part of one.

    Where it is within its own uncertainty, direction by direction, or where there is too little to follow, it is 0.

    Parameters
    ----------
    image, anchor : ndarray, shape (y, x)
        At least `FEWEST_PIXELS` along each edge; their brightness need not be the same.

    Raises
    ------
    ValueError
        If the shapes differ or are too small.
    """
    if image.shape != anchor.shape or min(image.shape) < FEWEST_PIXELS:
        raise ValueError(f"images of {image.shape} and {anchor.shape}; two of one shape, 16 x 16 or more, are needed")
    if not (np.mean(image) > 0 and np.mean(anchor) > 0):
        return 0.0, 0.0
    beam = _smooth(np.asarray(anchor, np.float64))
    first, then = (np.asarray(x, np.float64) / float(np.mean(x)) / beam - 1 for x in (anchor, image))
    if not (np.ptp(first) > _NOTHING and np.ptp(then) > _NOTHING):
        return 0.0, 0.0
    shift, err, floor = _correlate(then, first)
    rest = shift
    # the window stands still while the scene moves: once moved back, what is left is told without its pull
    for _ in range(_REFINEMENTS):
        rest, err, _ = _correlate(np.nan_to_num(registered(then, (shift[0], shift[1]))), first, floor)
        shift = shift + rest
        if np.abs(rest).max() < _CLOSE:
            break
    # what is as broad as the window, or stands still, is not where it was put: the same is left over every time
    settled = np.abs(rest) < np.maximum(_CLOSE, _SETTLED * np.abs(shift))
    moved = settled & (np.abs(shift) > np.maximum(_STILL, _SIGNIFICANT * err))
    return float(shift[0]) if moved[0] else 0.0, float(shift[1]) if moved[1] else 0.0


def _correlate(
    image: NDArray[np.floating], anchor: NDArray[np.float64], floor: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return the shift (y, x) between two flat images, one step, its error, and the noise in a wave.

    Given a `floor` of noise the shift is small; without it, it may be many pixels, and the noise is what is found among
    the fastest waves: an image that was interpolated has less there.
    """
    window = np.multiply.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape))
    one, other = (fft.rfft2(x * window) for x in (image, anchor))
    ky = fft.fftfreq(image.shape[0])[:, None]
    kx = fft.rfftfreq(image.shape[1])[None, :]
    waves = np.hypot(ky * image.shape[0], kx * image.shape[1])
    speed = np.hypot(ky, kx)
    cross = one * other.conj()
    size = np.abs(cross)
    # the noise and the pixels' own pattern are white: what is found among the fastest waves is beneath the slower too
    whole = floor is None
    if floor is None:
        floor = float(np.mean(size[speed > _NOISE]))
    used = (waves >= _SLOWEST) & (speed <= _FASTEST) & (size > _ABOVE * floor)
    if np.count_nonzero(used) < _FEWEST_WAVES:
        return np.zeros(2), np.full(2, np.inf), floor
    cross = np.where(used, cross, 0)
    shift = np.zeros(2)
    if whole:
        peak = fft.irfft2(cross / np.sqrt(np.maximum(size, floor)), s=image.shape)
        place = np.unravel_index(int(np.argmax(peak)), peak.shape)
        shift = np.array([p if p <= n // 2 else p - n for p, n in zip(place, peak.shape, strict=True)], float)
    # straight lines through the phases of each wave, those that are in both images counting most
    weight = size[used]
    k = np.stack([np.broadcast_to(k, used.shape)[used] for k in (ky, kx)])
    left = np.angle(cross[used] * np.exp(2j * np.pi * (shift @ k)))
    inverse = np.linalg.pinv((weight * k) @ k.T, rcond=1e-9)
    slope = inverse @ ((weight * k) @ left)
    # what the phases scatter by about the line, each with its own weight
    rest = (weight * k) * (left - slope @ k)
    alike = weight.sum() ** 2 / (weight**2).sum()  # as good as so many of equal weight
    err = np.sqrt(np.diag(inverse @ (rest @ rest.T) @ inverse) * alike / max(alike - 2, 0.5))
    return np.asarray(shift - slope / (2 * np.pi)), np.asarray(err / (2 * np.pi)), floor


def _smooth(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the beam makes of the image, about: dividing by it leaves what stands still out to first order."""
    smooth = image / max(float(image.mean()), 1e-30)
    for _ in range(2):
        smooth = ndimage.uniform_filter(smooth, [max(3, n // 4) for n in image.shape], mode="nearest")
    return np.asarray(np.maximum(smooth, 1e-6))


def registered(images: NDArray[Any], shift: tuple[float, float]) -> NDArray[np.float32]:
    """Return images (…, y, x) moved back by `shift` (y, x; pixels): what had moved is where it was.

    Interpolated with eight taps a direction (Lanczos); pixels that were outside the image become NaN. Where the shift
    is less than a hundredth of a pixel nothing is interpolated.
    """
    moved = np.asarray(images, np.float32)
    for axis, amount in ((-2, shift[0]), (-1, shift[1])):
        if abs(amount) < _STILL:
            continue
        whole = math.floor(amount)
        taps = _taps(amount - whole)
        size = moved.shape[axis]
        # tap k reads the pixel `whole + k - reach + 1` further on; beyond the edge the last one stands for it
        moved = ndimage.correlate1d(moved, taps, axis=axis, mode="nearest", origin=-1)
        moved = np.take(moved, np.clip(np.arange(size) + whole, 0, size - 1), axis=axis)
        source = np.arange(size) + amount
        outside = (source < -0.5) | (source > size - 0.5)
        moved[(..., outside, slice(None)) if axis == -2 else (..., outside)] = np.nan
    return moved


def noise_gain(shift: tuple[float, float]) -> float:
    """Return the variance of a registered pixel over that of the pixels it is made of, whose noise is independent."""
    gain = 1.0
    for amount in shift:
        if abs(amount) >= _STILL:
            gain *= float(np.sum(_taps(amount - math.floor(amount)) ** 2))
    return gain


def halo(rows: slice, height: int, shift: tuple[float, float]) -> tuple[slice, slice]:
    """Return the rows needed to register `rows` of an image `height` high, and where `rows` are among those."""
    reach = math.ceil(abs(shift[0])) + _REACH + 1
    first, last, _ = rows.indices(height)
    begin, end = max(0, first - reach), min(height, last + reach)
    return slice(begin, end), slice(first - begin, last - begin)


def _taps(part: float) -> NDArray[np.float64]:
    """Weights of the pixels -3 … 4 for a value `part` of a pixel beyond pixel 0; they add up to 1."""
    distance = np.arange(1 - _REACH, _REACH + 1) - part
    taps = np.sinc(distance) * np.sinc(distance / _REACH)
    return np.asarray(taps / taps.sum())
