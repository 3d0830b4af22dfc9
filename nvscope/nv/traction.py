"""From the lines of all four NV groups to the stress, and to the traction on the culet.

In cubic axes, with q = (2σ_zz − σ_xx − σ_yy, √3 (σ_xx − σ_yy)) and the three shears, group κ with signs s has

    Π_Z = a1 tr σ + 2 a2 (s_yz σ_yz + s_zx σ_zx + s_xy σ_xy),     (Π_X, Π_Y) = b q + c v(s, shears).

The four shifts give the trace and the shears exactly; each transverse splitting E = |(Π_X, Π_Y)| then says how far
b q lies from the known point −c v: q follows from four distances in a plane. That solution starts a weighted
Levenberg–Marquardt fit to everything measured, with derivatives of the exact levels (Hellmann–Feynman).

Convention: stress as six numbers in the order xx, yy, zz, yz, xz, xy, compression positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.nv.constants import BARSON_2017, GAMMA, StressSusceptibility
from nvscope.nv.stress import GROUP_FRAMES
from nvscope.nv.stress_lines import coupling_matrix, lines_of_group, tensor

FloatArray = NDArray[np.float64]

_STEPS = 40


def stress_from_splittings(
    d_shift: ArrayLike, splitting: ArrayLike, constants: StressSusceptibility = BARSON_2017
) -> FloatArray:
    """Return the stress that gives four shifts and four transverse splittings; exact for consistent data.

    Parameters
    ----------
    d_shift, splitting : array_like, shape (4, ...)
        Π_Z and E = √(Π_X² + Π_Y²) of the four groups (Hz).

    Returns
    -------
    ndarray, shape (..., 6)
        Stress (Pa) in the crystal frame.

    Notes
    -----
    The direction of q comes from *differences* of E² between groups, which needs shears that differ between them: under
    exactly hydrostatic stress there is no direction to find, and q is 0 anyway.
    """
    shift = np.moveaxis(np.asarray(d_shift, dtype=np.float64), 0, -1)
    square = np.moveaxis(np.asarray(splitting, dtype=np.float64), 0, -1) ** 2
    matrix = coupling_matrix(constants)
    # rank 4: the minimum-norm solution carries trace and shears; what is left is the plane of q
    base = shift @ np.linalg.pinv(matrix[:, 0]).T
    plane = np.linalg.svd(matrix[:, 0])[2][4:]
    transverse = np.einsum("gij,...j->...gi", matrix[:, 1:], base)
    effect = np.einsum("gij,kj->gik", matrix[:, 1:], plane)
    # |v + A u|² with AᵀA the same for all groups: differences between groups are linear in u
    gram = effect[0].T @ effect[0]
    linear = 2 * np.einsum("...gi,gik->...gk", transverse, effect)
    constant = square - (transverse**2).sum(-1)
    centred = linear - linear.mean(-2, keepdims=True)
    normal = np.einsum("...gk,...gl->...kl", centred, centred)
    right = np.einsum("...gk,...g->...k", centred, constant - constant.mean(-1, keepdims=True))
    scale = np.trace(normal, axis1=-2, axis2=-1)[..., None, None]
    direction = np.linalg.solve(normal + 1e-12 * (scale + np.trace(gram) ** 2) * np.eye(2), right[..., None])[..., 0]
    return np.asarray(base + direction @ plane)


@dataclass(frozen=True, eq=False)
class PairObservation:
    """The lines of one group at one bias field.

    Attributes
    ----------
    group : int
        0 for [111], then as in `GROUP_AXES`.
    field : ndarray, shape (3,) or (pixel, 3)
        Magnetic field (T), crystal frame.
    f_minus, f_plus, f_minus_err, f_plus_err : ndarray, shape (pixel,)
        Hz; NaN where not measured.
    """

    group: int
    field: FloatArray
    f_minus: FloatArray
    f_plus: FloatArray
    f_minus_err: FloatArray
    f_plus_err: FloatArray


@dataclass(frozen=True, eq=False)
class StressFit:
    """Stress in the crystal frame, six numbers each.

    Attributes
    ----------
    sigma : ndarray, shape (pixel, 6)
        Pa; NaN where it is not determined.
    covariance : ndarray, shape (pixel, 6, 6)
        Pa².
    chi2, freedom : ndarray, shape (pixel,)
        Weighted squares left over, and the number of lines used less six.
    """

    sigma: FloatArray
    covariance: FloatArray
    chi2: FloatArray
    freedom: NDArray[np.intp]


def fit_stress(
    observations: Sequence[PairObservation],
    d0: float,
    constants: StressSusceptibility = BARSON_2017,
    start: ArrayLike | None = None,
) -> StressFit:
    """Fit the stress of every pixel to the lines of several groups and bias fields.

    Parameters
    ----------
    observations : sequence of PairObservation
    d0 : float
        Zero-field splitting without stress at this temperature (Hz).
    constants : StressSusceptibility
    start : array_like, shape (pixel, 6), optional
        First guess; by default from the lines themselves, which needs every group once near its own axis.
    """
    sigma = np.array(_first_guess(observations, d0, constants) if start is None else start, dtype=np.float64)
    measured, weight = _data(observations)
    covariance = np.full((len(sigma), 6, 6), np.nan)
    active = np.isfinite(sigma).all(axis=1) & ((weight > 0).sum(0) >= 6)
    sigma[~active] = np.nan
    best, damping = np.full(len(sigma), np.inf), np.full(len(sigma), 1e-3)
    trial = sigma.copy()
    normal, gradient = np.zeros((len(sigma), 6, 6)), np.zeros((len(sigma), 6))
    for _ in range(_STEPS):
        index = np.flatnonzero(active)
        if not index.size:
            break
        model, jacobian = _lines_and_slopes(observations, trial[index], index, d0, constants)
        w = weight[:, index]
        residual = measured[:, index] - model
        chi2 = (w * residual**2).sum(0)
        better = chi2 <= best[index]
        kept = index[better]
        sigma[kept], best[kept] = trial[kept], chi2[better]
        normal[kept] = np.einsum("lpi,lp,lpj->pij", jacobian[:, better], w[:, better], jacobian[:, better])
        gradient[kept] = np.einsum("lpi,lp,lp->pi", jacobian[:, better], w[:, better], residual[:, better])
        damping[index] = np.clip(damping[index] * np.where(better, 0.1, 10.0), 1e-9, 1e6)
        inverse = _invert(normal[index], damping[index])
        step = np.einsum("pij,pj->pi", inverse, gradient[index])
        trial[index] = sigma[index] + step
        # the decrement is what χ² would still fall by
        active[index] = (np.einsum("pi,pi->p", step, gradient[index]) > 1e-6) & np.isfinite(step).all(axis=1)
    known = np.isfinite(best)
    covariance[known] = _invert(normal[known], np.zeros(int(known.sum())))
    undetermined = ~np.isfinite(covariance).all(axis=(1, 2))
    sigma[undetermined] = np.nan
    return StressFit(sigma, covariance, np.where(undetermined, np.nan, best), (weight > 0).sum(0) - 6)


def _data(observations: Sequence[PairObservation]) -> tuple[FloatArray, FloatArray]:
    lines = np.array([line for o in observations for line in (o.f_minus, o.f_plus)], dtype=np.float64)
    errors = np.array([err for o in observations for err in (o.f_minus_err, o.f_plus_err)], dtype=np.float64)
    good = np.isfinite(lines) & np.isfinite(errors) & (errors > 0)
    return np.where(good, lines, 0.0), np.where(good, 1 / np.where(good, errors, 1.0) ** 2, 0.0)


def _field(observation: PairObservation, index: NDArray[np.intp]) -> FloatArray:
    field = np.asarray(observation.field, dtype=np.float64)
    return field if field.ndim == 1 else field[index]


def _lines_and_slopes(
    observations: Sequence[PairObservation],
    sigma: FloatArray,
    index: NDArray[np.intp],
    d0: float,
    constants: StressSusceptibility,
) -> tuple[FloatArray, FloatArray]:
    found = [lines_of_group(o.group, sigma, _field(o, index), d0, constants) for o in observations]
    return np.concatenate([lines.place for lines in found]), np.concatenate([lines.by_stress for lines in found])


def _invert(normal: FloatArray, damping: FloatArray) -> FloatArray:
    """Invert normal matrices with `damping` added to their diagonal, relative to it; NaN where they are singular."""
    scale = np.sqrt(np.einsum("pii->pi", normal))
    scale = np.where(scale > 0, scale, np.nan)
    scaled = normal / (scale[:, :, None] * scale[:, None, :]) + damping[:, None, None] * np.eye(6)
    good = np.isfinite(scaled).all(axis=(1, 2))
    inverse = np.full_like(normal, np.nan)
    condition = np.full(len(normal), np.inf)
    condition[good] = np.linalg.cond(scaled[good])
    good &= condition < 1e12
    inverse[good] = np.linalg.inv(scaled[good])
    return np.asarray(inverse / (scale[:, :, None] * scale[:, None, :]))


def _first_guess(observations: Sequence[PairObservation], d0: float, constants: StressSusceptibility) -> FloatArray:
    """Read D and E of every group from its best-aligned pair, to second order in the transverse field."""
    shifts, splittings = [], []
    for group in range(4):
        own = [o for o in observations if o.group == group]
        if not own:
            pixels = len(observations[0].f_minus)
            return np.full((pixels, 6), np.nan)
        index = np.arange(len(own[0].f_minus))
        fields = [np.broadcast_to(_field(o, index) @ GROUP_FRAMES[group].T, (index.size, 3)) for o in own]
        across = [float(np.hypot(f[:, 0], f[:, 1]).mean()) for f in fields]
        pick = int(np.argmin(across))
        pair, field = own[pick], GAMMA * fields[pick]
        mean, half = (pair.f_plus + pair.f_minus) / 2, (pair.f_plus - pair.f_minus) / 2
        square = field[:, 0] ** 2 + field[:, 1] ** 2
        shifts.append(mean - 1.5 * square / mean - d0)
        splittings.append(np.sqrt(np.maximum(half**2 - field[:, 2] ** 2, 0.0)))
    return stress_from_splittings(np.array(shifts), np.array(splittings), constants)


def traction(sigma: ArrayLike, covariance: ArrayLike, culet_to_crystal: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Turn a stress in the crystal frame into the traction on the culet.

    Parameters
    ----------
    sigma : array_like, shape (..., 6)
        Stress (Pa), crystal frame.
    covariance : array_like, shape (..., 6, 6)
    culet_to_crystal : array_like, shape (3, 3)
        R with v_crystal = R v_culet (`crystal_rotation`).

    Returns
    -------
    vector : ndarray, shape (..., 3)
        (σ_XZ, σ_YZ, σ_ZZ) in the culet frame (Pa).
    covariance : ndarray, shape (..., 3, 3)
    """
    r = np.asarray(culet_to_crystal, dtype=np.float64)
    # rows of the linear map: components xz, yz, zz of Rᵀ σ R for each of the six unit stresses
    culet = np.einsum("ji,kjl,lm->kim", r, tensor(np.eye(6)), r)
    matrix = np.stack([culet[:, 0, 2], culet[:, 1, 2], culet[:, 2, 2]])
    six, cov = np.asarray(sigma, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    return six @ matrix.T, matrix @ cov @ matrix.T
