"""Maps of the traction on the culet from the lines of all four NV groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.stress_spectra import BiasSpectra, SpectralFit, fit_stress_spectra
from nvscope.config import Loading
from nvscope.errors import DataError
from nvscope.nv import (
    BARSON_2017,
    HSIEH_2019,
    PairObservation,
    StressSusceptibility,
    crystal_rotation,
    fit_stress,
    traction,
    zero_field_splitting,
)
from nvscope.nv.traction import stress_lines

FloatArray = NDArray[np.float64]

PURPOSE = "traction"
_FEWEST = 3
"""Biases from which spectra tell the stress."""
_MOST = 64
"""Pixels along an edge that are fitted one by one."""


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
        1-σ uncertainties from the lines. Where τ is not well above its uncertainty it reads high, as any length does.
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
    rotation = crystal_rotation(loading.crystal_azimuth, loading.miscut, loading.miscut_azimuth, loading.mirrored)
    observed = [
        PairObservation(
            pair.group,
            rotation @ np.asarray(pair.field, dtype=np.float64),
            *(np.asarray(m, dtype=np.float64).ravel() for m in (pair.f_minus, pair.f_plus)),
            *(np.asarray(m, dtype=np.float64).ravel() for m in (pair.f_minus_err, pair.f_plus_err)),
        )
        for pair in pairs
    ]
    d0 = float(zero_field_splitting(temperature))
    fit = fit_stress(observed, d0, constants)
    vector, covariance = traction(fit.sigma, fit.covariance, rotation)
    second, _ = traction(fit_stress(observed, d0, other).sigma, fit.covariance, rotation)
    tau, other_tau = (np.hypot(v[:, 0], v[:, 1]) for v in (vector, second))
    with np.errstate(invalid="ignore", divide="ignore"):
        direction = vector[:, :2] / tau[:, None]
        tau_err = np.sqrt(np.einsum("pi,pij,pj->p", direction, covariance[:, :2, :2], direction))
        err = np.sqrt(np.einsum("pii->pi", covariance))
        reduced = np.where(fit.freedom > 0, fit.chi2 / np.maximum(fit.freedom, 1), np.nan)

    def image(values: FloatArray) -> FloatArray:
        return values.reshape(shape)

    return Traction(
        sigma_zz=image(vector[:, 2]),
        sigma_xz=image(vector[:, 0]),
        sigma_yz=image(vector[:, 1]),
        tau=image(tau),
        sigma_zz_err=image(err[:, 2]),
        sigma_xz_err=image(err[:, 0]),
        sigma_yz_err=image(err[:, 1]),
        tau_err=image(tau_err),
        sigma_zz_systematic=image(np.abs(second[:, 2] - vector[:, 2])),
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
    points = [p for p in run.points if p.purpose == PURPOSE and "field_vector" in p.attrs]
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
    points = [p for p in run.points if p.purpose == PURPOSE and "field_vector" in p.attrs and p.frames]
    if len(points) < _FEWEST or run.spectra is None:
        return None
    return traction_from_spectra(run, points)


def traction_from_spectra(
    run: RunData,
    points: Sequence[MapPoint],
    constants: StressSusceptibility = BARSON_2017,
    other: StressSusceptibility = HSIEH_2019,
) -> Traction:
    """Fit the stored spectra of several biases together (`fit_stress_spectra`) and return the traction on the culet.

    Pixels are averaged where an image has more than `_MOST` along an edge; maps have the image's shape nevertheless.
    """
    loading = run.loading
    assert loading is not None
    rotation = crystal_rotation(loading.crystal_azimuth, loading.miscut, loading.miscut_azimuth, loading.mirrored)
    image = next(iter(points[0].maps.values())).shape
    bin_by = max(1, -(-max(image) // _MOST))
    shape = (image[0] // bin_by, image[1] // bin_by)
    spectra = [_binned(run, point, rotation, shape, bin_by) for point in points]
    d0 = float(zero_field_splitting(float(np.mean([p.temperature for p in points]))))
    fit = fit_stress_spectra(spectra, shape, loading.nominal_pressure, d0, rotation, constants)
    vector, covariance = traction(fit.sigma, fit.covariance, rotation)
    second, _ = traction(_with_others(spectra, fit, d0, constants, other), fit.covariance, rotation)
    tau, other_tau = (np.hypot(v[:, 0], v[:, 1]) for v in (vector, second))
    direction = vector[:, :2] / tau[:, None]
    tau_err = np.sqrt(np.einsum("pi,pij,pj->p", direction, covariance[:, :2, :2], direction))
    err = np.sqrt(np.einsum("pii->pi", covariance))

    def whole(values: FloatArray) -> FloatArray:
        grown = values.reshape(shape).repeat(bin_by, axis=0).repeat(bin_by, axis=1)
        return np.pad(grown, [(0, n - m) for n, m in zip(image, grown.shape, strict=True)], constant_values=np.nan)

    return Traction(
        sigma_zz=whole(vector[:, 2]),
        sigma_xz=whole(vector[:, 0]),
        sigma_yz=whole(vector[:, 1]),
        tau=whole(tau),
        sigma_zz_err=whole(err[:, 2]),
        sigma_xz_err=whole(err[:, 0]),
        sigma_yz_err=whole(err[:, 1]),
        tau_err=whole(tau_err),
        sigma_zz_systematic=whole(np.abs(second[:, 2] - vector[:, 2])),
        tau_systematic=whole(np.abs(other_tau - tau)),
        chi2_reduced=whole(fit.chi2_reduced),
        constants=constants,
        other=other,
    )


def _binned(run: RunData, point: MapPoint, rotation: FloatArray, shape: tuple[int, int], bin_by: int) -> BiasSpectra:
    """Return a point's spectra as electrons, averaged over squares of pixels."""
    assert run.spectra is not None
    rows, columns = (a.ravel() for a in np.mgrid[: shape[0] * bin_by, : shape[1] * bin_by])
    found = run.spectra(point.index, rows, columns)
    gain = float(point.attrs.get("camera_gain") or 1.0)
    light = gain * (found.signal - float(point.attrs.get("camera_offset") or 0.0))
    # the noise is stored as that of one electron per count
    squares = gain * found.noise**2

    def mean(values: FloatArray) -> FloatArray:
        blocks = values.reshape(-1, shape[0], bin_by, shape[1], bin_by).mean(axis=(2, 4))
        return np.ascontiguousarray(blocks.reshape(len(values), -1).T)

    field = rotation @ np.asarray(point.attrs["field_vector"], dtype=np.float64)
    return BiasSpectra(field, found.frequency, mean(light), np.sqrt(mean(squares)) / bin_by)


def _with_others(
    spectra: Sequence[BiasSpectra],
    fit: SpectralFit,
    d0: float,
    constants: StressSusceptibility,
    other: StressSusceptibility,
) -> FloatArray:
    """Return the stress that other susceptibilities make of the lines found."""
    observed = []
    for one, extra in zip(spectra, fit.extra, strict=True):
        lines = stress_lines(fit.sigma, one.field + extra, d0, constants).place
        err = np.full(lines.shape[-1], 1e5)
        observed += [PairObservation(g, one.field + extra, low, high, err, err) for g, (low, high) in enumerate(lines)]
    return fit_stress(observed, d0, other).sigma
