"""Exposure at each laser power, the camera's own numbers, and how much light and microwaves heat the sample.

Photon transfer (Janesick, Photon Transfer, SPIE Press 2007): shot noise makes the variance of a pixel in time grow as
mean/gain; what is left in the dark is read noise. Heating is read off the sample's own resistance: the change of R with
light on, over dR/dT measured in the dark at the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.analysis.dataset import MapPoint, RunData

FloatArray = NDArray[np.float64]

HEATING = "calibrate-exposure"


@dataclass(frozen=True)
class PhotonTransfer:
    """The camera as a photon counter: gain (electrons per count), offset (counts), read noise (electrons); 1 σ."""

    gain: float
    gain_err: float
    offset: float
    offset_err: float
    read_noise: float
    read_noise_err: float


@dataclass(frozen=True)
class ExposureAt:
    """Exposure (s) found at a laser power (W), how far it fills the brightest pixels, mean electrons per second."""

    laser_power: float
    exposure: float
    level: float
    rate: float


@dataclass(frozen=True)
class Heating:
    """How much hotter (K) the sample is with `light` ("laser" or "microwaves") of `power` (W, at the source) on."""

    light: str
    power: float
    warmer: float
    warmer_err: float


@dataclass(frozen=True, eq=False)
class ExposureCalibration:
    """All of it; `camera` or `heating` may be missing. `slope` is dR/dT (ohm/K), NaN where R was not measured."""

    camera: PhotonTransfer | None
    exposures: tuple[ExposureAt, ...]
    heating: tuple[Heating, ...]
    slope: float
    mean: FloatArray
    variance: FloatArray


def photon_transfer(mean: ArrayLike, variance: ArrayLike, frames: ArrayLike, pixels: int, dark: int) -> PhotonTransfer:
    """Fit variance = (mean − offset)/gain + dark variance, the offset being the mean of the dark frame.

    Parameters
    ----------
    mean, variance : array_like, shape (image,)
        Counts and counts², means over pixels.
    frames : array_like, shape (image,)
        Frames behind each variance.
    pixels : int
    dark : int
        Which image was dark.
    """
    m, v, n = (np.asarray(a, dtype=np.float64) for a in (mean, variance, frames))
    x, y = m - m[dark], v - v[dark]
    # n − 1 differences of neighbours, each frame in two of them: 1.5 times the variance of independent ones
    weight = pixels * (n - 1) / (3 * v**2)
    lit = x > 0
    slope = float((weight * x * y)[lit].sum() / (weight * x**2)[lit].sum())
    err = float(1 / np.sqrt((weight * x**2)[lit].sum()))
    noise = float(np.sqrt(v[dark])) / slope
    noise_err = noise * float(np.hypot(0.5 / (v[dark] * np.sqrt(weight[dark])), err / slope))
    offset_err = float(np.sqrt(v[dark] / (pixels * n[dark])))
    return PhotonTransfer(1 / slope, err / slope**2, float(m[dark]), offset_err, noise, noise_err)


def heating(
    light: Sequence[str], power: ArrayLike, temperature: ArrayLike, resistance: ArrayLike, err: ArrayLike
) -> tuple[tuple[Heating, ...], float]:
    """Return how much every light heats, and dR/dT (ohm/K), from R dark (``"off"``) at two temperatures and lit.

    Raises
    ------
    ValueError
        If R was not measured in the dark at two temperatures.
    """
    kind = np.array(light)
    p, t, r, e = (np.asarray(a, dtype=np.float64) for a in (power, temperature, resistance, err))
    off = kind == "off"
    if off.sum() < 2 or np.ptp(t[off]) < 0.1:
        raise ValueError("R in the dark is needed at two temperatures")
    slope, level = np.polyfit(t[off] - t[off].mean(), r[off], 1)
    spread = float(np.sqrt((e[off] ** 2).mean()))
    if off.sum() > 2:  # what R drifted by in the dark counts as well
        left = r[off] - np.polyval([slope, level], t[off] - t[off].mean())
        spread = max(spread, float(np.sqrt((left**2).sum() / (off.sum() - 2))))
    slope_err = spread / float(np.sqrt(((t[off] - t[off].mean()) ** 2).sum()))
    found = []
    for name, watts, kelvin, ohms, ohms_err in zip(kind[~off], p[~off], t[~off], r[~off], e[~off], strict=True):
        warmer = (ohms - (level + slope * (kelvin - t[off].mean()))) / slope
        warmer_err = np.hypot(np.hypot(ohms_err, spread), warmer * slope_err) / abs(slope)
        found.append(Heating(str(name), float(watts), float(warmer), float(warmer_err)))
    return tuple(found), float(slope)


def measure_exposure(run: RunData) -> ExposureCalibration | None:
    """Return what a run says about exposure and heating, None if it measured neither."""
    images = [p for p in run.points if "variance" in p.attrs and np.isfinite(_number(p, "variance"))]
    flats = [p for p in images if p.purpose == "flat"]
    lights = [p for p in run.points if p.purpose == HEATING and "light" in p.attrs]
    if not flats and not lights:
        return None
    mean = np.array([_number(p, "mean") for p in images])
    variance = np.array([_number(p, "variance") for p in images])
    dark = [i for i, p in enumerate(images) if p.purpose == "dark"]
    camera = None
    if dark and flats:
        frames, pixels = [_number(p, "frames") for p in images], int(_number(images[0], "pixels"))
        camera = photon_transfer(mean, variance, frames, pixels, dark[0])
    exposures = tuple(_exposure(p, camera) for p in flats)
    warm: tuple[Heating, ...] = ()
    slope = float("nan")
    if len(lights) > 2:
        warm, slope = heating(
            [str(p.attrs["light"]) for p in lights],
            [_number(p, "light_power") for p in lights],
            [p.temperature for p in lights],
            [p.resistance for p in lights],
            [p.resistance_err for p in lights],
        )
    return ExposureCalibration(camera, exposures, warm, slope, mean, variance)


def _exposure(point: MapPoint, camera: PhotonTransfer | None) -> ExposureAt:
    gain = camera.gain if camera else _number(point, "camera_gain")
    offset = camera.offset if camera else _number(point, "camera_offset")
    exposure = _number(point, "exposure")
    rate = (_number(point, "mean") - offset) * gain / exposure
    return ExposureAt(_number(point, "laser_power"), exposure, _number(point, "level"), rate)


def _number(point: MapPoint, name: str) -> float:
    value = point.attrs.get(name)
    return float(value) if isinstance(value, int | float) else float("nan")
