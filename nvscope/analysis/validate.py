"""The closed loop: what a simulated run measured against what its sample really did, beside what photons allow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from nvscope.analysis.bounds import pair_bound
from nvscope.analysis.compare import Comparison, compare
from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.load import load_run
from nvscope.analysis.remnant import remnant_field
from nvscope.analysis.results import analyse_series
from nvscope.analysis.series import Series, find_series
from nvscope.analysis.stress_of_run import traction_points
from nvscope.analysis.traction import measure_traction
from nvscope.analysis.transition import TransitionStatus, fit_transition
from nvscope.analysis.zero_field import zero_field_maps
from nvscope.errors import DataError
from nvscope.nv import GAMMA
from nvscope.store.point_reader import PointReader
from nvscope.store.reader import RunReader
from nvscope.stream.registration import registered

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

RIM = 3
"""Pixels around the sample that count neither as inside nor as outside."""
DEEP = 0.02
"""Local Tc is compared where 1 − s exceeds this at the lowest temperature."""


@dataclass(frozen=True, eq=False)
class Validation:
    """All comparisons of one run."""

    run: str
    rows: tuple[Comparison, ...]

    def row(self, quantity: str, region: str) -> Comparison:
        """Return one comparison; raises `KeyError` if it was not made."""
        for row in self.rows:
            if (row.quantity, row.region) == (quantity, region):
                return row
        raise KeyError(f"{quantity} was not compared {region}; there are {[(r.quantity, r.region) for r in self.rows]}")


def validate_run(run_dir: Path) -> Validation:
    """Compare a run with its truth.

    Raises
    ------
    DataError
        If there is no truth (a real run), or nothing to compare.
    """
    reader = RunReader(run_dir)
    static, snapshots = reader.truth("static"), reader.truth("snapshots")
    if static is None or snapshots is None:
        raise DataError(f"{run_dir}: no truth.zarr; only runs on a simulated lab can be validated")
    if (part := reader.crop()) is not None:
        (x, y, width, height), _ = part
        shown = {"y": slice(y, y + height), "x": slice(x, x + width)}
        static, snapshots = static.isel(shown), snapshots.isel(shown)
    run = load_run(run_dir)
    inside, outside = _regions(static)
    rows: list[Comparison] = []
    for series in find_series(run):
        rows += _compare_series(reader, run, series, static, snapshots, inside, outside)
    rows += _compare_remnant(reader, run, snapshots, inside, outside)
    rows += _compare_traction(reader, run, static, snapshots, inside, outside)
    if not rows:
        raise DataError(f"{run_dir}: no mapped point has a matching truth")
    return Validation(run.path.name, tuple(rows))


def _regions(static: xr.Dataset) -> tuple[Mask, Mask]:
    body = np.asarray(static["mask"].values) > 0.5
    near = ndimage.binary_dilation(body, iterations=RIM) if body.any() else body
    return body, ~near


def true_state(reader: RunReader, snapshots: xr.Dataset, number: int) -> xr.Dataset | None:
    """Return the truth during a point: the mean of the snapshots taken in it, else the last one before it.

    Where the point's images were moved back, so is the truth.

    A snapshot is written when a sweep begins in a state not yet written down.
    """
    times = np.asarray(snapshots["rig_time"].values)
    begin = next((x.rig_time for x in reader.lines("point-opened") if x.data["point"] == number), None)
    end = next((x.rig_time for x in reader.lines("point-closed") if x.data["point"] == number), None)
    if begin is None:
        return None
    during = np.flatnonzero((times >= begin) & (times <= (np.inf if end is None else end)))
    before = np.flatnonzero(times <= begin)
    if not during.size and not before.size:
        return None
    state = snapshots.isel(snapshot=during if during.size else before[-1:]).mean("snapshot")
    y, x = _moved_back(reader, number)
    if (y, x) != (0.0, 0.0):  # the maps show where everything was when the run's first image was taken
        moved = {
            name: (("y", "x"), registered(values.values, (float(y), float(x))))
            for name, values in state.items()
            if values.dims == ("y", "x")
        }
        state = state.assign(moved)
    return state


def _moved_back(reader: RunReader, number: int) -> tuple[float, float]:
    """Return how far (y, x; pixels) a point's images were moved back, on the mean."""
    shifts = [commit.shift for commit in reader.point(number).commits if commit.shift is not None]
    y, x = np.mean(shifts, axis=0) if shifts else (0.0, 0.0)
    return float(y), float(x)


def half_splitting_bound(reader: PointReader, point: MapPoint) -> FloatArray:
    """Return the Cramér–Rao bound (Hz) of the half splitting in every pixel, shape (y, x), from its own photons.

    Light and noise come from the frames and the camera's stated gain, offset and read noise; the lines are the fitted
    ones, which is the same to first order.
    """
    gain, offset, read = (
        float(point.attrs.get(name, default))
        for name, default in (("camera_gain", 1.0), ("camera_offset", 0.0), ("read_noise", 0.0))
    )
    mean = reader.mean()
    frames = reader.worth()
    electrons = np.maximum((mean.values - offset) * gain, 1.0).reshape(len(frames), -1)
    level = np.nanmax(ndimage.uniform_filter1d(electrons, 5, axis=0), axis=0)
    with np.errstate(divide="ignore"):
        noise = np.sqrt((electrons + read**2) / frames[:, None]) / level
    names = ("f_minus", "f_plus", "contrast_minus", "contrast_plus", "width_minus", "width_plus")
    lines = [point.map(name).ravel() for name in names]
    bound = pair_bound(reader.frequencies, noise, *lines)
    return bound.half_splitting.reshape(mean.shape[1:])


def _compare_series(
    reader: RunReader,
    run: RunData,
    series: Series,
    static: xr.Dataset,
    snapshots: xr.Dataset,
    inside: Mask,
    outside: Mask,
) -> list[Comparison]:
    points = [reader.point(p.index) for p in series.points]
    states = [true_state(reader, snapshots, p.index) for p in series.points]
    if any(state is None for state in states):
        return []
    known = [state for state in states if state is not None]
    true_half = np.stack([np.asarray((s["f_plus"] - s["f_minus"]).values, dtype=np.float64) / 2 for s in known])
    true_s = np.stack([np.asarray(s["s"].values, dtype=np.float64) for s in known])
    bound = np.stack([half_splitting_bound(r, p) for r, p in zip(points, series.points, strict=True)])
    s_bound = bound / GAMMA / np.abs(series.field)
    if series.reference is not None:
        elsewhere = series.reference.elsewhere
        whose = reader if elsewhere is None else RunReader(elsewhere)
        above = half_splitting_bound(whose.point(series.reference.index), series.reference)
        s_bound = np.hypot(s_bound, above / GAMMA / abs(series.field))
    rows = []
    for region, mask in (("outside", outside), ("inside", inside)):
        if not mask.any():
            continue
        rows.append(compare("B", "T", region, series.b, true_half / GAMMA, series.b_err, bound / GAMMA, mask))
        rows.append(compare("s", "1", region, series.s, true_s, series.s_err, s_bound, mask))
    return [*rows, *_compare_tc(run, series, static, true_s, s_bound)]


def _compare_tc(
    run: RunData, series: Series, static: xr.Dataset, true_s: FloatArray, s_bound: FloatArray
) -> list[Comparison]:
    fit = analyse_series(series, run.loading).tc_map
    deep = (1 - true_s[0] > DEEP) & np.isfinite(true_s[0])
    if fit is None or not deep.any():
        return []
    # the same ruler laid on noiseless curves, with the noise that photons allow: the best this reading could do
    best = fit_transition(series.temperature, true_s, s_bound, shared_shape=True)
    tc = np.where(fit.status == TransitionStatus.FOUND, fit.tc, np.nan)
    true_tc = np.asarray(static["tc"].values, dtype=np.float64)
    return [compare("Tc", "K", "where 1 − s > 0.02", tc, true_tc, fit.total_err, best.tc_err, deep)]


def _compare_remnant(
    reader: RunReader, run: RunData, snapshots: xr.Dataset, inside: Mask, outside: Mask
) -> list[Comparison]:
    rows: list[Comparison] = []
    for zero in zero_field_maps(run):
        state = true_state(reader, snapshots, zero.point.index)
        if state is None or zero.reference is None:
            continue
        found = zero.remnant
        bounds = [half_splitting_bound(reader.point(p.index), p) for p in (zero.point, zero.reference)]
        halves = [p.map("half_splitting") for p in (zero.point, zero.reference)]
        best = remnant_field(halves[0], bounds[0], halves[1], bounds[1])
        true = np.abs(np.asarray(state["b_z"].values, dtype=np.float64))
        for region, mask in (("outside", outside), ("inside", inside)):
            if mask.any():
                rows.append(compare("|B| at H = 0", "T", region, found.b, true, found.b_err, best.b_err, mask))
                # the square has symmetric noise, also where the field is 0
                row = compare(
                    "B² at H = 0", "T2", region, found.b_squared, true**2, found.b_squared_err, best.b_squared_err, mask
                )
                rows.append(row)
    return rows


def _compare_traction(
    reader: RunReader, run: RunData, static: xr.Dataset, snapshots: xr.Dataset, inside: Mask, outside: Mask
) -> list[Comparison]:
    found = measure_traction(run)
    if found is None or "sigma_zz" not in static:
        return []
    true = _true_traction(reader, run, static, snapshots)
    rows = []
    for quantity, measured, err in (
        ("sigma_zz", found.sigma_zz, found.sigma_zz_err),
        ("tau", found.tau, found.tau_err),
    ):
        # everywhere: the rim of the sample, where stress changes within a pixel, is part of what is claimed
        for region, mask in (("everywhere", np.ones_like(inside)), ("outside", outside), ("inside", inside)):
            if mask.any():
                # the stated uncertainties are the bound: the fit is efficient, and its lines' errors come from photons
                rows.append(compare(quantity, "Pa", region, measured, true[quantity], err, err, mask))
    return rows


def _true_traction(reader: RunReader, run: RunData, static: xr.Dataset, snapshots: xr.Dataset) -> dict[str, FloatArray]:
    """Return σ_ZZ and τ as a pixel sees them: where the cell was in the image, and from the mean of the shear's parts.

    A line answers to the mean stress in its pixel. Where the shear turns within one, its size is not the mean size.
    """
    moves = []
    for point in traction_points(run):
        state = true_state(reader, snapshots, point.index)
        if state is None or run.loading is None:
            continue
        back = _moved_back(reader, point.index)
        pitch = run.loading.field_of_view / max(static["sigma_zz"].shape)
        moves.append([back[0] - float(state["shift_y"]) / pitch, back[1] - float(state["shift_x"]) / pitch])
    y, x = np.mean(moves, axis=0) if moves else (0.0, 0.0)
    zz, xz, yz = (
        registered(np.asarray(static[name].values, dtype=np.float64), (float(y), float(x))).astype(np.float64)
        for name in ("sigma_zz", "sigma_xz", "sigma_yz")
    )
    return {"sigma_zz": zz, "tau": np.hypot(xz, yz)}
