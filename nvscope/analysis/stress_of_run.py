"""The stress of a run from the stored spectra of its traction points, all biases together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.joint import BiasSpectra, StressMap, fit_stress_spectra
from nvscope.config import Loading
from nvscope.nv import BARSON_2017, StressSusceptibility, crystal_rotation, stress_lines, zero_field_splitting

FloatArray = NDArray[np.float64]

PURPOSE = "traction"
_FEWEST = 3
"""Biases from which spectra tell the stress."""
_MOST = 64
"""Pixels along an edge that are fitted one by one."""


@dataclass(frozen=True, eq=False)
class StressOfRun:
    """Stress of a run's pixels, averaged over squares of them where there are many.

    Attributes
    ----------
    points : tuple of MapPoint
    spectra : tuple of BiasSpectra
        Theirs, one for each.
    fit : StressMap
    rotation : ndarray, shape (3, 3)
        R with v_crystal = R v_culet.
    temperature : float
        K.
    shape, image_shape : tuple of int
        Of the fitted pixels and of the maps, (y, x).
    """

    points: tuple[MapPoint, ...]
    spectra: tuple[BiasSpectra, ...]
    fit: StressMap
    rotation: FloatArray
    temperature: float
    shape: tuple[int, int]
    image_shape: tuple[int, int]

    def image(self, values: FloatArray) -> FloatArray:
        """Return values (..., pixel) as maps (..., y, x) of the image's shape; NaN at an edge that fills no square."""
        rows, columns = (n // m for n, m in zip(self.image_shape, self.shape, strict=True))
        grown = values.reshape(*values.shape[:-1], *self.shape).repeat(rows, axis=-2).repeat(columns, axis=-1)
        room = [(0, n - m) for n, m in zip(self.image_shape, grown.shape[-2:], strict=True)]
        return np.pad(grown, [(0, 0)] * (values.ndim - 1) + room, constant_values=np.nan)

    def places(self) -> list[FloatArray]:
        """Return where the stress has the lines at each bias, (4, 2, pixel) (Hz)."""
        fit = self.fit
        return [
            stress_lines(fit.sigma, one.field + extra, fit.d0, fit.constants).place
            for one, extra in zip(self.spectra, fit.extra, strict=True)
        ]


def traction_points(run: RunData) -> list[MapPoint]:
    """Return the points of a run that were taken at a low bias of known direction."""
    return [p for p in run.points if p.purpose == PURPOSE and "field_vector" in p.attrs]


def stress_points(run: RunData) -> list[MapPoint]:
    """Return the points whose spectra `fit_stress_of_run` fits; none if it does not."""
    points = [p for p in traction_points(run) if p.frames]
    return [] if run.loading is None or run.spectra is None or len(points) < _FEWEST else points


def crystal_frame(loading: Loading) -> FloatArray:
    """Return R with v_crystal = R v_culet."""
    return crystal_rotation(loading.crystal_azimuth, loading.miscut, loading.miscut_azimuth, loading.mirrored)


def splitting_without_stress(temperature: float) -> tuple[float, float]:
    """Return D0 (Hz) for a stress in absolute terms: the mean of two published curves, and half their difference."""
    one, other = float(zero_field_splitting(temperature)), float(zero_field_splitting(temperature, "cambria2023"))
    return (one + other) / 2, abs(one - other) / 2


def fit_stress_of_run(run: RunData, constants: StressSusceptibility = BARSON_2017) -> StressOfRun | None:
    """Fit the spectra of all biases together; None without a loading or with fewer than three biases."""
    points = stress_points(run)
    if run.loading is None or not points:
        return None
    rotation = crystal_frame(run.loading)
    image = next(iter(points[0].maps.values())).shape
    bin_by = max(1, -(-max(image) // _MOST))
    shape = (image[0] // bin_by, image[1] // bin_by)
    spectra = tuple(_binned(run, point, rotation, shape, bin_by) for point in points)
    temperature = float(np.mean([p.temperature for p in points]))
    d0 = splitting_without_stress(temperature)[0]
    fit = fit_stress_spectra(spectra, shape, run.loading.nominal_pressure, d0, rotation, constants)
    return StressOfRun(tuple(points), spectra, fit, rotation, temperature, shape, (image[0], image[1]))


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
