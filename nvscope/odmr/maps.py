"""From the spectra of a point to the maps that are published: fit, field, errors, summary."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.nv import GAMMA
from nvscope.odmr.accumulator import Spectra
from nvscope.odmr.fitting import fit
from nvscope.odmr.known_field import SEPARATE, ExpectedPair, find_pairs, tolerance
from nvscope.odmr.noise import PoissonNoise
from nvscope.odmr.result import FitStatus, ODMRFit
from nvscope.stream.light import divide_light, relative_light, worth

__all__ = ["PointMaps", "enough_to_fit", "fit_point", "no_maps"]

_MEASURED = (
    "f_minus", "f_plus", "half_splitting", "center",
    "f_minus_err", "f_plus_err", "half_splitting_err", "center_err",
    "contrast_minus", "contrast_plus", "width_minus", "width_plus",
)  # fmt: skip


Start = Mapping[str, NDArray[np.float64]]

USUAL_WIDTH = 6e6  # Hz, of lines that a search has found


@dataclass(frozen=True, eq=False)
class PointMaps:
    """Maps of a point, float32 of shape (y, x), NaN where a pixel was not measured; `summary` in SI.

    They are `complete` if every frequency had been seen.
    """

    maps: Mapping[str, NDArray[np.float32]]
    summary: Mapping[str, float]
    complete: bool

    @property
    def start(self) -> Start | None:
        """Where a later fit of the same point may begin, Hz, NaN where it has to look for itself.

        None unless complete: what was taken for a line not yet seen must not be carried on.
        """
        names = ("f_minus", "f_plus", "width_minus", "width_plus")
        return {name: self.maps[name].astype(np.float64) for name in names} if self.complete else None


def enough_to_fit(frames: NDArray[np.int64]) -> bool:
    """Whether frames at enough frequencies are there for a pair of lines to show."""
    covered = int(np.count_nonzero(frames))
    return covered >= 12 and covered >= 0.75 * frames.size


def fit_point(
    frequencies: NDArray[np.float64],
    spectra: Spectra,
    attrs: Mapping[str, Any],
    start: Start | None = None,
    threads: int | None = None,
) -> PointMaps:
    """Fit a point's mean spectra.

    Parameters
    ----------
    frequencies : ndarray
        Hz.
    spectra : Spectra
        Mean counts and frames; where frames were taken with microwaves off, the light they show is divided out.
    attrs : mapping
        What the point was opened with; ``camera_gain`` (electrons per count), ``camera_offset`` (counts) and
        ``read_noise`` (electrons) make errors absolute. Without a gain errors follow from the scatter about the fit.
        ``field`` (T) tells the aligned pair from other lines, ``baseline`` is handed to the fit.
    start : mapping, optional
        `PointMaps.start` of an earlier fit of the same pixels.
    threads : int, optional
        As for `fit`.
    """
    began = time.perf_counter()
    signal, frames = _normalised(spectra, float(attrs.get("camera_offset", 0.0)))
    used = np.flatnonzero(frames)
    if not used.size:
        return no_maps(spectra.signal.shape[1:])
    complete = used.size == frames.size
    half = GAMMA * abs(float(attrs.get("field", 0.0)))
    if not complete:
        frequencies, signal = frequencies[used], signal[used]
    noise = _noise(attrs, frames[used])
    baseline = str(attrs.get("baseline", "auto"))
    try:
        begin = _start(frequencies, signal, half, start, threads) if half > SEPARATE else start
        found = fit(frequencies, signal, baseline=baseline, noise=noise, start=begin, threads=threads)
    except ValueError:  # too few frequencies: the point has no maps, and says so
        return no_maps(spectra.signal.shape[1:])
    return _publishable(found, half, complete, time.perf_counter() - began)


def no_maps(grid: tuple[int, ...]) -> PointMaps:
    """Return the maps of a point in which no pixel could be measured."""
    maps = {name: np.full(grid, np.nan, np.float32) for name in (*_MEASURED, "b_z", "b_z_err", "chi2_reduced")}
    maps["status"] = np.full(grid, FitStatus.invalid, np.float32)
    maps["n_lines"] = np.zeros(grid, np.float32)
    return PointMaps(maps, {"fitted_fraction": 0.0}, complete=False)


def _publishable(found: ODMRFit, half: float, complete: bool, seconds: float) -> PointMaps:
    """Leave out what is no measurement of the aligned pair."""
    good = found.good
    if half > SEPARATE:
        # a pair this far from what the field allows is not the aligned one, whatever its chi squared
        good = good & (np.abs(found.half_splitting - half) < tolerance(half))
    # a product is ten times as fast as a choice, and what is no number stays none
    seen = np.where(good, np.float32(1.0), np.float32(np.nan))

    def measured(values: NDArray[np.float64], unit: float = 1.0) -> NDArray[np.float32]:
        out = (values if unit == 1.0 else values / unit).astype(np.float32)
        out *= seen
        return out

    maps = {name: measured(getattr(found, name)) for name in _MEASURED}
    maps["b_z"] = measured(found.half_splitting, GAMMA)
    maps["b_z_err"] = measured(found.half_splitting_err, GAMMA)
    for name in ("chi2_reduced", "status", "n_lines"):
        maps[name] = getattr(found, name).astype(np.float32)
    summary = {"fitted_fraction": float(good.mean()), "pixels_per_second": good.size / max(seconds, 1e-9)}
    if good.any():
        summary["median_b_err"] = float(np.median(maps["b_z_err"][good]))
        summary["median_chi2_reduced"] = float(np.median(maps["chi2_reduced"][good]))
    return PointMaps(maps, summary, complete)


def _start(
    axis: NDArray[np.float64], signal: NDArray[np.float32], half: float, earlier: Start | None, threads: int | None
) -> Start | ExpectedPair:
    """Return where the lines were, and where a search finds them that were not found before."""
    if earlier is None:
        return ExpectedPair(half)
    known = np.isfinite(earlier["f_minus"])
    start = {name: np.array(values) for name, values in earlier.items()}
    if not known.all():
        found = find_pairs(axis, signal[:, ~known][..., None], half, threads)
        for name, values in found.items():
            start[name][~known] = values[..., 0]
        for name in ("width_minus", "width_plus"):
            start[name][~known] = USUAL_WIDTH
    return start


def _normalised(spectra: Spectra, offset: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return counts with the drift of the light divided out, and frames worth as much as the noise then is."""
    frames = spectra.frames**2 / np.maximum(spectra.noise, 1e-9)
    if spectra.light is None:
        return spectra.signal, frames
    relative = relative_light(spectra.light, spectra.frames, offset)
    signal = divide_light(spectra.signal, relative, offset)
    shape = (int(signal.shape[1]), int(signal.shape[2]))
    return signal, worth(frames, spectra.reference_frames, relative, shape)


def _noise(attrs: Mapping[str, Any], frames: NDArray[np.float64]) -> PoissonNoise:
    gain = attrs.get("camera_gain")
    return PoissonNoise(
        gain=None if gain is None else float(gain),
        offset=float(attrs.get("camera_offset", 0.0)),
        read_noise=float(attrs.get("read_noise", 0.0)),
        frames=frames,
    )
