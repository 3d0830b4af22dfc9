"""From the spectra of a point to the maps that are published: fit, field, errors, summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.nv import GAMMA
from nvscope.odmr.accumulator import Spectra
from nvscope.odmr.fitting import fit
from nvscope.odmr.known_field import SEPARATE, find_pairs, tolerance
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

STRIPE = 16384
"""Pixels fitted between two looks at whether the fit is still wanted."""

USUAL_WIDTH = 6e6  # Hz, of lines that a search has found


@dataclass(frozen=True, eq=False)
class PointMaps:
    """Maps of a point, float32 of shape (y, x), NaN where a pixel was not measured; `summary` in SI.

    `start` says where a later fit of the same point may begin, Hz, NaN where it has to look for itself; None unless
    every frequency had been seen: what was taken for a line not yet seen must not be carried on.
    """

    maps: Mapping[str, NDArray[np.float32]]
    summary: Mapping[str, float]
    start: Start | None


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
    wanted: Callable[[], bool] | None = None,
) -> PointMaps | None:
    """Fit a point's mean spectra; returns None if it turned out not to be wanted any more.

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
    wanted : callable, optional
        Asked after every `STRIPE` pixels or so; without it all are fitted at once.
    """
    began = time.perf_counter()
    signal, frames = _normalised(spectra, float(attrs.get("camera_offset", 0.0)))
    used = np.flatnonzero(frames)
    grid = signal.shape[1:]
    half = GAMMA * abs(float(attrs.get("field", 0.0)))
    axis = frequencies if used.size == frames.size else frequencies[used]
    noise = _noise(attrs, frames[used])
    rows = grid[0] if wanted is None else max(1, STRIPE // max(1, grid[1]))
    parts: list[ODMRFit] = []
    for first in range(0, grid[0], rows):
        if wanted is not None and not wanted():
            return None
        stripe = signal[:, first : first + rows]
        begin = None if start is None else {name: values[first : first + rows] for name, values in start.items()}
        part = _fit(axis, stripe if used.size == frames.size else stripe[used], attrs, noise, half, begin, threads)
        if part is None:
            return no_maps(grid)
        parts.append(part)
    return _publishable(parts, half, used.size == frames.size, time.perf_counter() - began)


def _fit(
    axis: NDArray[np.float64],
    signal: NDArray[np.float32],
    attrs: Mapping[str, Any],
    noise: PoissonNoise,
    half: float,
    start: Start | None,
    threads: int | None,
) -> ODMRFit | None:
    try:
        begin = _start(axis, signal, half, start, threads) if half > SEPARATE else start
        baseline = str(attrs.get("baseline", "auto"))
        return fit(axis, signal, baseline=baseline, noise=noise, start=begin, threads=threads)
    except ValueError:  # too few frequencies: the point has no maps, and says so
        return None


def no_maps(grid: tuple[int, ...]) -> PointMaps:
    """Return the maps of a point in which no pixel could be measured."""
    maps = {name: np.full(grid, np.nan, np.float32) for name in (*_MEASURED, "b_z", "b_z_err", "chi2_reduced")}
    maps["status"] = np.full(grid, FitStatus.invalid, np.float32)
    maps["n_lines"] = np.zeros(grid, np.float32)
    return PointMaps(maps, {"fitted_fraction": 0.0}, None)


def _publishable(parts: Sequence[ODMRFit], half: float, complete: bool, seconds: float) -> PointMaps:
    """Join stripes; leave out what is no measurement of the aligned pair."""
    whole = {name: _joined(parts, name) for name in (*_MEASURED, "chi2_reduced", "status", "n_lines")}
    good = _joined(parts, "good")
    if half > SEPARATE:
        # a pair this far from what the field allows is not the aligned one, whatever its chi squared
        good = good & (np.abs(whole["half_splitting"] - half) < tolerance(half))
    maps = {name: np.where(good, whole[name], np.nan).astype(np.float32) for name in _MEASURED}
    maps["b_z"] = np.where(good, whole["half_splitting"] / GAMMA, np.nan).astype(np.float32)
    maps["b_z_err"] = np.where(good, whole["half_splitting_err"] / GAMMA, np.nan).astype(np.float32)
    for name in ("chi2_reduced", "status", "n_lines"):
        maps[name] = whole[name].astype(np.float32)
    summary = {"fitted_fraction": float(good.mean()), "pixels_per_second": good.size / max(seconds, 1e-9)}
    if good.any():
        summary["median_b_err"] = float(np.median(maps["b_z_err"][good]))
        summary["median_chi2_reduced"] = float(np.median(maps["chi2_reduced"][good]))
    lines = ("f_minus", "f_plus", "width_minus", "width_plus")
    return PointMaps(maps, summary, {name: np.where(good, whole[name], np.nan) for name in lines} if complete else None)


def _joined(parts: Sequence[ODMRFit], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(part, name) for part in parts]) if len(parts) > 1 else getattr(parts[0], name)


def _start(
    axis: NDArray[np.float64], signal: NDArray[np.float32], half: float, earlier: Start | None, threads: int | None
) -> Start:
    """Return where the lines were, and where a search finds them that were not found before."""
    if earlier is None:
        return find_pairs(axis, signal, half, threads)
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
