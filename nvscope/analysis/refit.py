"""Stored points fitted again: in chunks of rows, larger than memory, beside the maps of the run, which stay."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import dask
import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.load import load_run
from nvscope.analysis.named_lines import Start, named_starts, seen_lines
from nvscope.analysis.stress_of_run import stress_points
from nvscope.errors import ConfigError, DataError
from nvscope.nv import GAMMA
from nvscope.odmr import ODMRFit, check_options, fit
from nvscope.odmr.known_field import SEPARATE, ExpectedPair, tolerance
from nvscope.odmr.noise import PoissonNoise
from nvscope.odmr.templates import segments
from nvscope.store.point_reader import PointReader
from nvscope.store.reader import RunReader
from nvscope.store.refits import check_refit, write_refit
from nvscope.stream.light import divide_light, worth

CHUNK_BYTES = 64 * 1024 * 1024
"""Spectra in memory at once, as float64."""

ALL_GROUPS = 8
"""Lines of all four groups."""

_MAPS = (
    "f_minus", "f_plus", "half_splitting", "center", "contrast_minus", "contrast_plus", "width_minus", "width_plus",
    "f_minus_err", "f_plus_err", "half_splitting_err", "center_err",
)  # fmt: skip


def refit_run(
    run_dir: Path,
    name: str,
    *,
    model: str = "lorentzian",
    lines: int | str = 2,
    baseline: str = "auto",
    points: Iterable[int] | None = None,
    progress: Callable[[int, float], None] = lambda point, fitted: None,
) -> list[int]:
    """Fit the points of a run again.

    Parameters
    ----------
    run_dir : Path
        A run that nobody is writing.
    name : str
        Under which name; results land in each point's ``refits/NAME/``.
    model, lines, baseline
        As for `nvscope.odmr.fit`. Maps of several groups are named after them: ``f_minus_0`` … ``f_plus_3_err``. Eight
        lines at the biases of a traction run are told apart by the stress that all its biases imply; group 0 is [111],
        then as in `nvscope.nv.GROUP_AXES`, and lines that are not seen, or hidden by others, are NaN.
    points : iterable of int, optional
        Which; all ODMR points by default, of a traction run with eight lines those at its biases.
    progress : callable
        Told each point when done, with the share of its pixels that was fitted.

    Returns
    -------
    list of int
        The points fitted.

    Raises
    ------
    ConfigError
        If there is no such model, number of lines or baseline.
    DataError
        If nothing is there to fit, it cannot be fitted that way, the name is unfit or taken, or somebody else is
        writing the run; before anything is fitted where that can be told.
    """
    try:
        check_options(model, lines, baseline)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    reader = RunReader(run_dir)
    check_refit(reader, name)
    run = load_run(run_dir) if lines == ALL_GROUPS else None
    biases = [] if run is None else [point.index for point in stress_points(run)]
    chosen = list(dict.fromkeys((biases or reader.points) if points is None else points))
    fitted = [n for n in chosen if (point := reader.point(n)).kind == "odmr" and point.commits]
    if not fitted:
        raise DataError(f"{run_dir} has no ODMR point with committed data among {chosen}")
    if lines == ALL_GROUPS:
        _need_one_window(reader, fitted)
    _need_free(reader, name, fitted)
    starts = {} if run is None else named_starts(run)
    done = []
    for number in fitted:
        try:
            maps = _refit(reader.point(number), model, lines, baseline, starts.get(number))
        except ValueError as error:
            raise DataError(f"{run_dir}, point {number}: {error}") from error
        except DataError as error:
            raise DataError(f"{error}; the other points can be fitted without it, each with --point") from error
        write_refit(run_dir, number, name, maps, {"model": model, "lines": lines, "baseline": baseline})
        progress(number, float(np.mean(_fitted(maps))))
        done.append(number)
    return done


def _need_free(reader: RunReader, name: str, numbers: Iterable[int]) -> None:
    """Refuse points that have a refit of this name, perhaps from a refit that was cut short."""
    taken = {n: name in reader.point(n).refits() for n in numbers}
    having, free = [n for n in taken if taken[n]], [n for n in taken if not taken[n]]
    if not having:
        return
    what = f"{reader.path}: {_points(having)} a refit {name!r} already, and refits are never overwritten"
    if not free:
        raise DataError(f"{what}; choose another --name")
    options = " ".join(f"--point {n}" for n in free)
    raise DataError(f"{what}; {_points(free)} none. Fit only what is missing, {options}, or choose another --name")


def _points(numbers: list[int]) -> str:
    return f"point {numbers[0]} has" if len(numbers) == 1 else f"points {_listed(numbers)} have"


def _need_one_window(reader: RunReader, numbers: Iterable[int]) -> None:
    """Refuse points whose windows follow one group's two lines: the other six lie where nothing was measured."""
    apart = [n for n in numbers if len(segments(reader.point(n).frequencies)) > 1]
    if apart:
        raise DataError(
            f"{reader.path}: eight lines need one window that holds them all, but points {_listed(apart)} were swept "
            "in windows around the lines of one group; fit those with --lines 2, choose others with --point, or "
            "measure all groups with the sequence traction or odmr with frequency_range"
        )


def _listed(numbers: list[int], most: int = 8) -> str:
    shown = ", ".join(map(str, numbers[:most]))
    return shown if len(numbers) <= most else f"{shown} and {len(numbers) - most} more"


def _fitted(maps: dict[str, NDArray[np.float32]]) -> NDArray[np.bool_]:
    """Pixels with at least one pair of lines that is a measurement."""
    pairs = [values for name, values in maps.items() if name == "center" or name.startswith("center_")]
    return np.asarray(np.isfinite(pairs).any(axis=0))


def _refit(
    point: PointReader, model: str, lines: int | str, baseline: str, start: Start | None
) -> dict[str, NDArray[np.float32]]:
    """Fit one point, a stripe of rows at a time, on local threads; the fit itself uses all cores."""
    height, width = point.shape
    rows = max(1, CHUNK_BYTES // (8 * max(1, width) * max(1, len(point.frequencies))))
    light = point.relative_light()
    stripes = [
        dask.delayed(_stripe)(point, slice(first, min(first + rows, height)), model, lines, baseline, light, start)
        for first in range(0, height, rows)
    ]
    # one stripe after the other: memory stays bounded, and the kernels are parallel already
    parts: tuple[dict[str, NDArray[np.float32]], ...] = dask.compute(*stripes, scheduler="threads", num_workers=1)
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _stripe(
    point: PointReader,
    rows: slice,
    model: str,
    lines: int | str,
    baseline: str,
    light: NDArray[np.float64] | None,
    named: Start | None,
) -> dict[str, NDArray[np.float32]]:
    total = point.total(rows=rows)
    taken = point.frame_counts().sum(axis=0)
    used = taken > 0
    signal = (total[used] / taken[used, None, None].astype(np.float64)).astype(np.float32)
    frames = point.worth()
    axis, attrs = point.frequencies[used], point.attrs
    if light is not None:
        signal = divide_light(signal, light[used], float(attrs.get("camera_offset", 0.0)), point.shape, rows)
        frames = worth(frames, point.frame_counts("reference").sum(axis=0), light, point.shape)
    half = GAMMA * abs(float(attrs.get("field", 0.0)))
    known = half > SEPARATE and lines in (2, "auto")
    start = ExpectedPair(half) if known else None
    noise = _noise(attrs, frames[used])
    if named is not None:
        named = {name: values[:, rows] for name, values in named.items()}
        result = fit(axis, signal, model=model, lines=lines, baseline=baseline, noise=noise, start=named)
        return _maps(result, *seen_lines(result, named))
    result = fit(axis, signal, model=model, lines=lines, baseline=baseline, noise=noise, start=start)
    # as in live maps: a pair this far from what the field allows is not the aligned one
    off = np.abs(result.half_splitting - half) >= tolerance(half) if known else np.zeros(result.grid, np.bool_)
    return _maps(result, result.good & ~off, result.good & ~off)


def _noise(attrs: dict[str, Any], frames: NDArray[np.float64]) -> PoissonNoise:
    gain = attrs.get("camera_gain")
    return PoissonNoise(
        gain=None if gain is None else float(gain),
        offset=float(attrs.get("camera_offset", 0.0)),
        read_noise=float(attrs.get("read_noise", 0.0)),
        frames=frames,
    )


def _maps(result: ODMRFit, minus: NDArray[np.bool_], plus: NDArray[np.bool_]) -> dict[str, NDArray[np.float32]]:
    """Return maps by name, NaN where the lower or upper line is not a measurement."""
    maps: dict[str, NDArray[np.float32]] = {}
    for key in _MAPS:
        good = minus if "minus" in key else plus if "plus" in key else minus & plus
        values = np.where(good, getattr(result, key), np.nan).astype(np.float32)
        stem, tail = (key[:-4], "_err") if key.endswith("_err") else (key, "")
        each = {f"{stem}_{g}{tail}": image for g, image in enumerate(values)} if values.ndim == 3 else {key: values}
        maps.update(each)
    if "half_splitting" in maps:
        maps["b_z"] = (maps["half_splitting"] / GAMMA).astype(np.float32)
        maps["b_z_err"] = (maps["half_splitting_err"] / GAMMA).astype(np.float32)
    for key in ("chi2_reduced", "status", "n_lines", "baseline_degree"):
        maps[key] = getattr(result, key).astype(np.float32)
    return maps
