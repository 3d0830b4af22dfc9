"""What the run before knew of the sample: a history does not end because a run does.

A sample that was zero-field cooled by one run may be warmed by the next, if nobody could have touched it in between:
the same sample in the same loading, the same instruments at the same addresses, hardly any rig time without record, and
nothing moved by hand (`nvscope live`) since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nvscope.config import Loading, Sample
from nvscope.engine.touched import last_touched
from nvscope.errors import ConfigError, DataError
from nvscope.history import Biography
from nvscope.store.housekeeping import read_history
from nvscope.store.layout import HISTORY, list_runs
from nvscope.store.reader import RunReader

FloatArray = NDArray[np.float64]

LONGEST_GAP = 600.0
"""Rig seconds without a record that a history survives; the temperature stays regulated meanwhile."""


@dataclass
class Past:
    """Temperature and field as recorded, from which run, and its last reference: field (T), B and δB maps (T).

    `residual` is the field at zero current (T) that H was counted with; this run must count alike.
    """

    biography: Biography = field(default_factory=Biography)
    run: str = ""
    residual: float = 0.0
    reference: tuple[float, FloatArray, FloatArray] | None = None


def recall(runs: Path, this: Path, sample: Sample, loading: Loading, addresses: Mapping[str, str], now: float) -> Past:
    """Return what the run before recorded, empty if it does not connect to this one.

    Parameters
    ----------
    runs, this : Path
        Folder of runs, and the directory of the run that begins.
    sample, loading : Sample, Loading
        What is measured.
    addresses : mapping
        Address of every instrument by name.
    now : float
        Rig time (s).
    """
    before = [run for run in list_runs(runs) if run.resolve() != this.resolve()]
    if not before:
        return Past()
    try:
        reader = RunReader(before[-1])
        info = reader.info
        instruments = reader.lines("instruments")
    except DataError:
        return Past()
    same = info.sample.get("name") == sample.name and info.loading == loading.model_dump(mode="json")
    known = instruments[-1].data if instruments else {}
    there = {name: item.get("address") for name, item in known.items() if isinstance(item, Mapping)}
    if not same or there != dict(addresses):
        return Past()
    table = read_history(before[-1] / HISTORY)
    times = table.get("rig_time", np.empty(0))
    if not times.size or not 0 <= now - times[-1] <= LONGEST_GAP:
        return Past()
    walls = table.get("wall_time", np.empty(0))
    if not walls.size or last_touched(addresses.values()) >= walls[-1]:
        return Past()  # moved by hand since: what the sample went through then is in no journal
    found = Biography()
    for name in ("temperature", "field"):
        values = table.get(name, np.full(times.size, np.nan))
        for time, value in zip(times, values, strict=True):
            if np.isfinite(value):
                getattr(found, name).add(float(time), float(value))
    residuals = table.get("residual_field", np.empty(0))
    residuals = residuals[np.isfinite(residuals)]
    residual = float(residuals[-1]) if residuals.size else 0.0
    return Past(found, before[-1].name, residual, _reference(reader))


def read_reference(path: Path, sample: Sample, loading: Loading) -> tuple[float, FloatArray, FloatArray]:
    """Return the last reference map of a run that another one shall be normalised by.

    Raises
    ------
    ConfigError
        If it is no run of the same sample in the same loading, or has no reference map.
    """
    try:
        reader = RunReader(path)
        info = reader.info
    except DataError as error:
        raise ConfigError(f"--reference {path}: {error}") from None
    if info.sample.get("name") != sample.name or info.loading != loading.model_dump(mode="json"):
        raise ConfigError(f"--reference {path}: is of another sample, loading or pressure than this run")
    found = _reference(reader)
    if found is None:
        raise ConfigError(f"--reference {path}: has no map above Tc; nvscope run reference takes them")
    return found


def _reference(reader: RunReader) -> tuple[float, FloatArray, FloatArray] | None:
    """Return the last reference map of a run; None if it took none that can be read."""
    for number in reversed(reader.points):
        point = reader.point(number)
        if point.attrs.get("purpose") != "reference":
            continue
        try:
            arrays, _ = point.map_arrays()
            b, err = (np.asarray(arrays[name][...], dtype=np.float64) for name in ("b_z", "b_z_err"))
        except (DataError, KeyError, OSError):
            continue
        return float(point.attrs.get("field", np.nan)), b, err
    return None
