"""Choosing places in a map with its noise in mind, and averaging over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Disc:
    """A small round region.

    Attributes
    ----------
    row, column : int
        Centre (pixels).
    radius : float
        Radius (pixels).
    mask : ndarray of bool, shape (y, x)
        Its pixels.
    """

    row: int
    column: int
    radius: float
    mask: Mask


@dataclass(frozen=True, eq=False)
class Curve:
    """A quantity of one region against temperature.

    Attributes
    ----------
    value, err : ndarray, shape (point,)
        Weighted mean and the 1-σ uncertainty that scatters from point to point.
    common_err : float
        1-σ uncertainty shared by all points (the reference's).
    """

    value: FloatArray
    err: FloatArray
    common_err: float


def disc_mask(shape: tuple[int, int], row: int, column: int, radius: float) -> Mask:
    """Return the pixels within `radius` of a pixel, itself always included."""
    y, x = np.ogrid[0 : shape[0], 0 : shape[1]]
    return np.asarray((y - row) ** 2 + (x - column) ** 2 <= max(radius, 0.0) ** 2)


def weighted_mean(stack: FloatArray, err: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the inverse-variance mean over the first axis and its uncertainty; NaN where nothing is finite."""
    good = np.isfinite(stack) & np.isfinite(err) & (err > 0)
    weight = np.where(good, 1 / np.where(good, err, 1.0) ** 2, 0.0)
    total = weight.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weight * np.where(good, stack, 0.0)).sum(0) / total, 1 / np.sqrt(total)


def disc_mean(
    values: FloatArray, err: FloatArray, radius: float, min_fraction: float = 0.7
) -> tuple[FloatArray, FloatArray]:
    """Return the weighted mean over the disc around every pixel, and its uncertainty.

    NaN where less than `min_fraction` of the disc is finite and inside the map, so that no mean rests on a few pixels.
    """
    reach = int(np.ceil(radius))
    kernel = disc_mask((2 * reach + 1, 2 * reach + 1), reach, reach, radius).astype(np.float64)
    good = np.isfinite(values) & np.isfinite(err) & (err > 0)
    weight = np.where(good, 1 / np.where(good, err, 1.0) ** 2, 0.0)

    def total(image: FloatArray) -> FloatArray:
        return np.asarray(ndimage.convolve(image, kernel, mode="constant"))

    count, weights = total(good.astype(np.float64)), total(weight)
    enough = count >= min_fraction * kernel.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total(weight * np.where(good, values, 0.0)) / weights
        mean_err = 1 / np.sqrt(weights)
    return np.where(enough, mean, np.nan), np.where(enough, mean_err, np.nan)


def extreme_discs(
    s: FloatArray, s_err: FloatArray, radius: float, allowed: Mask | None = None
) -> tuple[Disc | None, Disc | None]:
    """Return the most suppressed and the most enhanced place of a map of s.

    The extremes of the *disc averages* are taken, not of the pixels, and only where the average is known at least half
    as well as usual: the noisiest pixel of a map is nobody's most enhanced point.

    Parameters
    ----------
    s, s_err : ndarray, shape (y, x)
        Best taken from several maps below the transition, averaged.
    radius : float
        Radius of the discs (pixels).
    allowed : ndarray of bool, optional
        Where the centre of a disc may lie (the sample and its rim).

    Returns
    -------
    suppressed, enhanced : Disc or None
        None where no disc qualifies, or where nothing lies on that side of 1.
    """
    mean, mean_err = disc_mean(s, s_err, radius)
    candidates = np.isfinite(mean)
    if allowed is not None and np.any(candidates & allowed):
        candidates &= allowed
    if not np.any(candidates):
        return None, None
    candidates &= mean_err <= 2 * np.median(mean_err[candidates])

    def pick(sign: float) -> Disc | None:
        depth = np.where(candidates, sign * (mean - 1), -np.inf)
        row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
        if not depth[row, column] > 0:
            return None
        mask = disc_mask((s.shape[0], s.shape[1]), int(row), int(column), radius)
        return Disc(int(row), int(column), radius, mask)

    return pick(-1.0), pick(+1.0)


def region_curve(stack: FloatArray, point_err: FloatArray, reference_err: FloatArray, mask: Mask) -> Curve:
    """Average a stack of maps over a region, with the same pixel weights at every temperature.

    Parameters
    ----------
    stack, point_err : ndarray, shape (point, y, x)
        Maps of s and the uncertainties that are independent from point to point.
    reference_err : ndarray, shape (y, x)
        Uncertainty that all points share.
    mask : ndarray of bool, shape (y, x)
    """
    values, errors, common = stack[:, mask], point_err[:, mask], reference_err[mask]
    finite = np.isfinite(values) & np.isfinite(errors) & (errors > 0)
    typical = np.array([np.median(e[f]) if f.any() else np.nan for e, f in zip(errors.T, finite.T, strict=True)])
    weight = np.where(np.isfinite(typical), 1 / np.where(np.isfinite(typical), typical, 1.0) ** 2, 0.0)
    weights = weight * finite
    total = weights.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (weights * np.where(finite, values, 0.0)).sum(1) / total
        err = np.sqrt((weights**2 * np.where(finite, errors, 0.0) ** 2).sum(1)) / total
    shared = np.where(np.isfinite(common), common, 0.0)
    common_err = float(np.sqrt((weight**2 * shared**2).sum()) / weight.sum()) if weight.sum() > 0 else np.nan
    return Curve(mean, err, common_err)
