"""Maps of the traction on the culet from the lines of all four NV groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.stress_of_run import (
    StressOfRun,
    crystal_frame,
    fit_stress_of_run,
    splitting_without_stress,
    traction_points,
)
from nvscope.config import Loading
from nvscope.errors import DataError
from nvscope.nv import (
    BARSON_2017,
    HSIEH_2019,
    PairObservation,
    StressSusceptibility,
    fit_stress,
    traction,
)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GroupPair:
    """Maps of one group's lines at one bias field.

    Attributes
    ----------
    group : int
        0 for [111], then as in `nvscope.nv.GROUP_AXES`.
    field : ndarray, shape (3,)
        Bias field (T), culet frame: X along the image's x, Z along the culet normal.
    f_minus, f_plus, f_minus_err, f_plus_err : ndarray, shape (y, x)
        Hz, NaN where not measured.
    """

    group: int
    field: FloatArray
    f_minus: FloatArray
    f_plus: FloatArray
    f_minus_err: FloatArray
    f_plus_err: FloatArray


@dataclass(frozen=True, eq=False)
class Traction:
    """Maps of the traction, shape (y, x), Pa, culet frame, compression positive.

    Attributes
    ----------
    sigma_zz, sigma_xz, sigma_yz, tau : ndarray
        Normal stress, the two shears, and τ = √(σ_XZ² + σ_YZ²).
    sigma_zz_err, sigma_xz_err, sigma_yz_err, tau_err : ndarray
        1-σ uncertainties from the lines and from the zero-field splitting without stress, of which published curves
        differ. Where τ is not well above its uncertainty it reads high, as any length does.
    sigma_zz_systematic, tau_systematic : ndarray
        How far the other published susceptibilities move the result.
    chi2_reduced : ndarray
    constants, other : StressSusceptibility
        The set used, and the one `*_systematic` compares with.
    """

    sigma_zz: FloatArray
    sigma_xz: FloatArray
    sigma_yz: FloatArray
    tau: FloatArray
    sigma_zz_err: FloatArray
    sigma_xz_err: FloatArray
    sigma_yz_err: FloatArray
    tau_err: FloatArray
    sigma_zz_systematic: FloatArray
    tau_systematic: FloatArray
    chi2_reduced: FloatArray
    constants: StressSusceptibility
    other: StressSusceptibility


def traction_maps(
    pairs: Sequence[GroupPair],
    temperature: float,
    loading: Loading,
    constants: StressSusceptibility = BARSON_2017,
    other: StressSusceptibility = HSIEH_2019,
) -> Traction:
    """Fit the stress of every pixel and return the traction on the culet.

    Parameters
    ----------
    pairs : sequence of GroupPair
        At least one per group.
    temperature : float
        K; fixes the zero-field splitting without stress.
    loading : Loading
        Crystal azimuth, miscut and mirror parity.

    Raises
    ------
    DataError
        If a group is missing: shear cannot be had from fewer than four.
    """
    missing = set(range(4)) - {pair.group for pair in pairs}
    if missing:
        raise DataError(f"traction needs the lines of all four NV groups; missing: {sorted(missing)}")
    shape = pairs[0].f_minus.shape
    rotation = crystal_frame(loading)
    observed = [
        PairObservation(
            pair.group,
            rotation @ np.asarray(pair.field, dtype=np.float64),
            *(np.asarray(m, dtype=np.float64).ravel() for m in (pair.f_minus, pair.f_plus)),
            *(np.asarray(m, dtype=np.float64).ravel() for m in (pair.f_minus_err, pair.f_plus_err)),
        )
        for pair in pairs
    ]
    d0 = splitting_without_stress(temperature)[0]
    fit = fit_stress(observed, d0, constants)
    second = fit_stress(observed, d0, other).sigma
    with np.errstate(invalid="ignore", divide="ignore"):
        reduced = np.where(fit.freedom > 0, fit.chi2 / np.maximum(fit.freedom, 1), np.nan)
    covariance = fit.covariance + _of_d0(temperature, constants)
    return _on_culet(
        fit.sigma, covariance, second, reduced, rotation, lambda values: values.reshape(shape), constants, other
    )


def traction_of_spectra(
    found: StressOfRun, constants: StressSusceptibility = BARSON_2017, other: StressSusceptibility = HSIEH_2019
) -> Traction:
    """Return the traction of a stress that was fitted to the spectra of several biases."""
    fit = found.fit
    lines = [
        (group, one.field + extra, low, high)
        for one, extra, places in zip(found.spectra, fit.extra, found.places(), strict=True)
        for group, (low, high) in enumerate(places)
    ]
    # what other susceptibilities make of the same lines; how well those are known does not matter to that
    err = np.full(len(fit.sigma), 1e5)
    second = fit_stress([PairObservation(*line, err, err) for line in lines], fit.d0, other).sigma
    covariance = fit.covariance + _of_d0(found.temperature, constants)
    return _on_culet(fit.sigma, covariance, second, fit.chi2_reduced, found.rotation, found.image, constants, other)


def _of_d0(temperature: float, constants: StressSusceptibility) -> FloatArray:
    """Return the covariance (6, 6) that not knowing D0 better gives the stress.

    A change of D0 looks like a pressure: δσ = δD0/(3 a1) along all axes.
    """
    err = splitting_without_stress(temperature)[1]
    pressure = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]) * err / (3 * constants.a1)
    return np.outer(pressure, pressure)


def _on_culet(
    sigma: FloatArray,
    covariance: FloatArray,
    second: FloatArray,
    reduced: FloatArray,
    rotation: FloatArray,
    image: Callable[[FloatArray], FloatArray],
    constants: StressSusceptibility,
    other: StressSusceptibility,
) -> Traction:
    vector, spread = traction(sigma, covariance, rotation)
    compared, _ = traction(second, covariance, rotation)
    tau, other_tau = (np.hypot(v[:, 0], v[:, 1]) for v in (vector, compared))
    with np.errstate(invalid="ignore", divide="ignore"):
        direction = vector[:, :2] / tau[:, None]
        tau_err = np.sqrt(np.einsum("pi,pij,pj->p", direction, spread[:, :2, :2], direction))
        err = np.sqrt(np.einsum("pii->pi", spread))
    return Traction(
        sigma_zz=image(vector[:, 2]),
        sigma_xz=image(vector[:, 0]),
        sigma_yz=image(vector[:, 1]),
        tau=image(tau),
        sigma_zz_err=image(err[:, 2]),
        sigma_xz_err=image(err[:, 0]),
        sigma_yz_err=image(err[:, 1]),
        tau_err=image(tau_err),
        sigma_zz_systematic=image(np.abs(compared[:, 2] - vector[:, 2])),
        tau_systematic=image(np.abs(other_tau - tau)),
        chi2_reduced=image(reduced),
        constants=constants,
        other=other,
    )


def find_pairs(run: RunData) -> tuple[list[GroupPair], float]:
    """Return the lines of all groups that a run's traction points measured, and their mean temperature (K).

    A traction point has the attribute ``field_vector`` (T, culet frame). Its maps are either those of the one group
    that its attribute ``group`` names, or of several groups with the group's number at the end of the name
    (``f_minus_0`` … ``f_plus_3_err``).
    """
    points = traction_points(run)
    pairs = [pair for point in points for pair in _pairs(point)]
    temperature = float(np.mean([p.temperature for p in points])) if points else float("nan")
    return pairs, temperature


def _pairs(point: MapPoint) -> list[GroupPair]:
    field = np.asarray(point.attrs["field_vector"], dtype=np.float64)
    if "group" in point.attrs:
        return [_pair(point, int(point.attrs["group"]), field, "")]
    return [_pair(point, group, field, f"_{group}") for group in range(4) if f"f_minus_{group}" in point.maps]


def _pair(point: MapPoint, group: int, field: FloatArray, suffix: str) -> GroupPair:
    names = (f"f_minus{suffix}", f"f_plus{suffix}", f"f_minus{suffix}_err", f"f_plus{suffix}_err")
    return GroupPair(group, field, *(point.map(name) for name in names))


@lru_cache(maxsize=2)  # report, numbers and validation of one run ask in turn
def measure_traction(run: RunData) -> Traction | None:
    """Return the traction of a run, None if it measured none; raises `DataError` if groups are missing."""
    pairs, temperature = find_pairs(run)
    if run.loading is None:
        return None
    if pairs:
        return traction_maps(pairs, temperature, run.loading)
    found = fit_stress_of_run(run)
    return None if found is None else traction_of_spectra(found)
