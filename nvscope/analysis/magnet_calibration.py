"""What a magnet really does, from one pair of lines at many nominal fields.

With B = M b + r the true field for a nominal b, z the NV axis, and g the row of M along it, the pair obeys exactly
(invariants of the Hamiltonian, as in `nvscope.nv.inversion`; e0 is its lowest level)

    e0 (e0 + f₋)(e0 + f₊) + γ² D B⊥² = 0,    γ² B_z² = h² − m e0 − ¾ e0² − Π⊥² − γ² B⊥²,    D = m + 3 e0/2,

with m, h mean and half difference of the lines, B_z = g·b + r_z and B⊥² = bᵀP b + 2 q·b. Then ggᵀ + P = MᵀM: gains of
the axes, the angles between them, and how they lean against the NV axis, all from one group. Left out is what Π⊥ does
to B⊥² (a share of Π⊥/D, 0.7 % of it at 20 MHz), which moves a tilt by 0.3 % of its value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.nv import GAMMA

FloatArray = NDArray[np.float64]

PURPOSE = "calibrate-field"
MHZ = 1e6
_MIN_PIXELS = 20
_TOLD_APART = 1e5
"""Condition number beyond which the fields taken do not tell everything apart."""


@dataclass(frozen=True, eq=False)
class LineMeans:
    """Means over the pixels that were fitted at every field.

    Attributes
    ----------
    field : ndarray, shape (point, axis)
        Nominal field (T); one column for a magnet of one axis, x, y, z for a vector magnet.
    center, square : ndarray, shape (point,)
        m (Hz) and h² (Hz²), each with the median over pixels of its change from field to field.
    center_err, square_err : ndarray
        1 σ.
    pixels : int
    """

    field: FloatArray
    center: FloatArray
    square: FloatArray
    center_err: FloatArray
    square_err: FloatArray
    pixels: int


@dataclass(frozen=True, eq=False)
class MagnetCalibration:
    """A calibrated magnet; T, rad, and pure numbers.

    Attributes
    ----------
    gain, gain_err : ndarray, shape (axis,)
        True over nominal field of each axis: what the calibration in the rig file has to be multiplied with.
    tilt, tilt_err : float
        Angle between the last axis (the ordinary one) and the NV axis; `tilt` is 0 where noise hides it.
    azimuth, azimuth_err : float
        Towards where, in the magnet's x-y plane, the NV axis leans from z; NaN for a magnet of one axis.
    offset, offset_err : float
        Field along the NV axis at zero current.
    angles, angles_err : ndarray, shape (3,)
        Between axes x-y, y-z, z-x; empty for a magnet of one axis.
    chi2_reduced : float
        Uncertainties are widened by its root where it exceeds 1.
    """

    gain: FloatArray
    gain_err: FloatArray
    tilt: float
    tilt_err: float
    azimuth: float
    azimuth_err: float
    offset: float
    offset_err: float
    angles: FloatArray
    angles_err: FloatArray
    chi2_reduced: float
    means: LineMeans
    model: tuple[FloatArray, FloatArray]


def line_means(points: Sequence[MapPoint]) -> LineMeans | None:
    """Return the lines of calibration points; None if too few pixels were fitted at every field."""
    if len(points) < 3:
        return None
    center = np.array([p.map("center").ravel() for p in points])
    square = np.array([p.map("half_splitting").ravel() ** 2 for p in points])
    good = np.isfinite(center).all(axis=0) & np.isfinite(square).all(axis=0)
    if good.sum() < _MIN_PIXELS:
        return None
    field = np.array([p.attrs["field_asked"] for p in points], dtype=np.float64)
    if not field[:, :2].any():
        field = np.array([[p.field] for p in points])
    # what a run has found at zero current is part of its H, and what is looked for here is the whole of it
    field[:, -1] -= [p.residual for p in points]
    (m, m_err), (s, s_err) = _change(center[:, good]), _change(square[:, good])
    return LineMeans(field, m, s, m_err, s_err, int(good.sum()))


def _change(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median over pixels of how each field differs from the mean of all, about the common median; with its error."""
    common = values.mean(axis=0)
    change = values - common
    middle = np.median(change, axis=1)
    spread = 1.4826 * np.median(np.abs(change - middle[:, None]), axis=1)
    # a median of n values scatters by √(π/2) of what their mean does
    return middle + np.median(common), 1.2533 * spread / np.sqrt(values.shape[1])


def calibrate_magnet(means: LineMeans) -> MagnetCalibration | None:
    """Fit the magnet; None where fields are too few for what has to be known."""
    field = means.field
    axes = field.shape[1]
    pairs = [(i, j) for i in range(axes) for j in range(i, axes)]
    if 2 * len(field) <= 3 + 2 * axes + len(pairs):
        return None

    def lines(theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        d, stress = theta[0] * MHZ, theta[1] * MHZ**2
        along = field @ theta[3 : 3 + axes] + theta[2] * 1e-4
        across = 2e-4 * field @ theta[3 + axes : 3 + 2 * axes]
        for (i, j), value in zip(pairs, theta[3 + 2 * axes :], strict=True):
            across = across + value * 1e-2 * (1 if i == j else 2) * field[:, i] * field[:, j]
        return _lines(d, GAMMA**2 * along**2 + stress, GAMMA**2 * across)

    def residuals(theta: FloatArray) -> FloatArray:
        center, square = lines(theta)
        return np.concatenate([(center - means.center) / means.center_err, (square - means.square) / means.square_err])

    start = np.zeros(3 + 2 * axes + len(pairs))
    start[0], start[2 + axes] = means.center.min() / MHZ, 1.0
    for number, (i, j) in enumerate(pairs):
        start[3 + 2 * axes + number] = 100.0 if i == j and i < axes - 1 else 0.0
    found = least_squares(residuals, start, x_scale="jac", method="trf")
    freedom = 2 * len(field) - start.size
    chi2 = float(2 * found.cost / freedom)
    if np.linalg.cond(found.jac / np.linalg.norm(found.jac, axis=0)) > _TOLD_APART:
        return None
    covariance = np.linalg.inv(found.jac.T @ found.jac) * max(1.0, chi2)

    def metric(theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        g = theta[3 : 3 + axes]
        p = np.zeros((axes, axes))
        for (i, j), value in zip(pairs, theta[3 + 2 * axes :], strict=True):
            p[i, j] = p[j, i] = 1e-2 * value
        return g, p

    def gains(theta: FloatArray) -> FloatArray:
        g, p = metric(theta)
        return np.sqrt(np.maximum(g**2 + np.diag(p), 0.0))

    def lean(theta: FloatArray) -> FloatArray:
        g, p = metric(theta)
        return np.array([np.arctan2(np.sqrt(max(p[-1, -1], 0.0)), abs(g[-1]))])

    def azimuth(theta: FloatArray) -> FloatArray:
        g, gain = metric(theta)[0], gains(theta)
        return np.array([np.arctan2(g[1] / gain[1], g[0] / gain[0])])

    def between(theta: FloatArray) -> FloatArray:
        (g, p), gain = metric(theta), gains(theta)
        full = np.outer(g, g) + p
        return np.array([np.arccos(full[i, j] / (gain[i] * gain[j])) for i, j in ((0, 1), (1, 2), (2, 0))])

    best = found.x
    tilt = float(lean(best)[0])
    tilt_err = float(_error(lean, best, covariance)[0])
    across_err = float(np.sqrt(covariance[-1, -1])) * 1e-2
    if tilt <= 0 or tilt_err > tilt:
        tilt_err = float(np.sqrt(across_err))  # where the square is within its noise, its root is not linear
    vector = axes == 3
    return MagnetCalibration(
        gain=gains(best),
        gain_err=_error(gains, best, covariance),
        tilt=tilt,
        tilt_err=tilt_err,
        azimuth=float(azimuth(best)[0]) if vector else float("nan"),
        azimuth_err=float(_error(azimuth, best, covariance)[0]) if vector else float("nan"),
        offset=float(best[2]) * 1e-4,
        offset_err=float(np.sqrt(covariance[2, 2])) * 1e-4,
        angles=between(best) if vector else np.empty(0),
        angles_err=_error(between, best, covariance) if vector else np.empty(0),
        chi2_reduced=chi2,
        means=means,
        model=lines(best),
    )


def _lines(d: float, along: FloatArray, across: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return m (Hz) and h² (Hz²) of the pair for γ²B_z² + Π⊥² and γ²B⊥² (Hz²), by iterating the exact relations."""
    e0 = np.zeros_like(along)
    m, square = np.full_like(along, d), along
    for _ in range(12):
        e0 = -d * across / ((e0 + m) ** 2 - square)
        m = d - 1.5 * e0
        square = along + across + m * e0 + 0.75 * e0**2
    return m, square


def _error(function: Callable[[FloatArray], FloatArray], theta: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the 1-σ uncertainty of a function of fitted parameters, to first order."""
    step = 1e-3 * np.sqrt(np.diag(covariance))
    slopes = np.array(
        [
            (function(theta + s * e) - function(theta - s * e)) / (2 * s)
            for s, e in zip(step, np.eye(len(theta)), strict=True)
        ]
    )
    return np.sqrt(np.einsum("ik,ij,jk->k", slopes, covariance, slopes))


def measure_magnet(run: RunData) -> MagnetCalibration | None:
    """Return what a run says about its magnet, None if it took no calibration."""
    means = line_means([p for p in run.points if p.purpose == PURPOSE and "center" in p.maps])
    return None if means is None else calibrate_magnet(means)
