"""Runs for other programs: NeXus/HDF5 and MATLAB. Pure functions of a `RunReader`; runs are only read."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import scipy.io
import xarray as xr

from nvscope import __version__
from nvscope.errors import DataError
from nvscope.store.arrays import unit_of
from nvscope.store.files import PARTIAL, need_writable
from nvscope.store.info import RunInfo
from nvscope.store.point_reader import PointReader
from nvscope.store.reader import RunReader

_MATLAB_LIMIT = 2**31 - 2**20
"""Bytes of one variable in a MATLAB 5 file."""

_HISTORY_UNITS = (("temperature", "K"), ("field", "T"), ("power", "W"), ("pressure", "Pa"), ("current", "A"))


def to_nexus(run: RunReader, path: Path, points: Iterable[int] | None = None, *, overwrite: bool = False) -> None:
    """Write a NeXus file (HDF5): one NXentry a point, with NXdata for spectra and maps.

    Parameters
    ----------
    run
        What to export; of every point the mean over its committed blocks.
    path
        The file to write, whole or not at all.
    points
        Which points; all by default.
    overwrite
        Whether an existing file may be replaced.

    Raises
    ------
    DataError
        If the file exists or cannot be written, a point does not exist, or h5py is not installed.
    """
    _need_target(path, overwrite)
    try:
        import h5py
    except ImportError as error:
        raise DataError("NeXus files need h5py: install nvscope[export]") from error
    numbers = run.points if points is None else list(points)

    def write(target: Path) -> None:
        with h5py.File(target, "w") as file:
            file.attrs.update({"NX_class": "NXroot", "creator": "nvscope", "creator_version": __version__})
            info = _info(run)
            for number in numbers:
                name = f"point_{number:04d}"
                _entry(file.create_group(name), run, info, run.point(number))
                file.attrs.setdefault("default", name)
            _history(file, run)

    _write_whole(path, write)


def _entry(entry: Any, run: RunReader, info: RunInfo | None, point: PointReader) -> None:
    attrs = point.attrs
    entry.attrs["NX_class"] = "NXentry"
    entry["title"] = f"{run.path.name} point {point.number}"
    entry["entry_identifier"] = f"{run.path.name}/{point.number:04d}"
    entry.create_dataset("program_name", data="nvscope").attrs["version"] = __version__
    if info is not None:
        entry["experiment_identifier"] = info.uid
        entry["start_time"] = info.started
        user = _group(entry, "user", "NXuser")
        user["name"] = info.operator
        notes = _group(entry, "run", "NXnote")
        notes["type"] = "application/json"
        notes["data"] = json.dumps(_plain(info), ensure_ascii=False)
    sample = _group(entry, "sample", "NXsample")
    if info is not None and info.sample.get("name"):
        sample["name"] = str(info.sample["name"])
    if info is not None and info.nominal_pressure is not None:
        _quantity(sample, "pressure", info.nominal_pressure, "Pa")
    for key, name, unit in (("temperature", "temperature", "K"), ("field", "magnetic_field", "T")):
        if isinstance(attrs.get(key), int | float):
            _quantity(sample, name, attrs[key], unit)
    collection = _group(entry, "attributes", "NXcollection")
    for key, value in attrs.items():
        collection[key] = value if isinstance(value, int | float | str) else json.dumps(_plain(value))
    for kind in ("signal", "reference"):
        if point.commits and point.frame_counts(kind).any():
            mean = point.mean(kind)
            data = _nxdata(entry, "data" if kind == "signal" else kind, mean.to_dataset(name=kind), [kind])
            data["frames"] = mean.coords["frames"].values
            if kind == "signal":
                entry.attrs["default"] = "data"
                if point.shifts is not None:  # the images were moved back by these before they were added
                    data["shift"] = point.shifts
                    data["shift"].attrs["units"] = "pixel"
    for name, maps in point.all_maps().items():
        if maps.data_vars:
            first = "b_z" if "b_z" in maps.data_vars else next(iter(maps.data_vars))
            others = [str(other) for other in maps.data_vars if other != first]
            data = _nxdata(entry, name, maps, [str(first), *others])
            data.attrs.update({key: value for key, value in maps.attrs.items() if isinstance(value, int | float | str)})
            if name == "maps" and "default" not in entry.attrs:
                entry.attrs["default"] = "maps"


def _nxdata(parent: Any, name: str, dataset: xr.Dataset, names: list[str]) -> Any:
    """Write variables of one shape with their axes as NXdata; the first is what a viewer plots."""
    group = _group(parent, name, "NXdata")
    axes = [str(dim) for dim in dataset[names[0]].dims]
    group.attrs.update({"signal": names[0], "axes": axes})
    if names[1:]:
        group.attrs["auxiliary_signals"] = names[1:]
    for index, axis in enumerate(axes):
        group[axis] = dataset.coords[axis].values
        group[axis].attrs["units"] = str(dataset.coords[axis].attrs.get("units", ""))
        group.attrs[f"{axis}_indices"] = index
    for key in names:
        stored = group.create_dataset(key, data=dataset[key].values, compression="gzip", compression_opts=1)
        stored.attrs["units"] = str(dataset[key].attrs.get("units", ""))
        if key.endswith("_err") and key.removesuffix("_err") in names:
            # the convention by which NeXus programs find error bars
            group[f"{key.removesuffix('_err')}_errors"] = stored
    return group


def _history(file: Any, run: RunReader) -> None:
    history = run.history()
    if not history.data_vars:
        return
    group = _group(file, "history", "NXcollection")
    for name, column in history.data_vars.items():
        log = _group(group, str(name), "NXlog")
        log["time"] = history.coords["rig_time"].values
        log["time"].attrs["units"] = "s"
        log["value"] = column.values
        if unit := _unit_of_column(str(name)):
            log["value"].attrs["units"] = unit


def _unit_of_column(name: str) -> str | None:
    return next((unit for part, unit in _HISTORY_UNITS if part in name), None)


def _group(parent: Any, name: str, kind: str) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group


def _quantity(group: Any, name: str, value: float, unit: str) -> None:
    group.create_dataset(name, data=float(value)).attrs["units"] = unit


def to_matlab(run: RunReader, path: Path, points: Iterable[int] | None = None, *, overwrite: bool = False) -> None:
    """Write a MATLAB 5 file: ``run``, ``history`` and ``point``, a cell array of one struct a point.

    A point's struct has ``number``, ``attributes``, ``frequency`` (Hz), ``signal`` (mean counts, frequency × y × x),
    ``signal_frames``, ``reference`` …, ``maps`` and ``units`` (of the maps). Parameters as for `to_nexus`.

    Raises
    ------
    DataError
        If the file exists or cannot be written, a point does not exist, or its spectra are larger than a MATLAB 5 file
        holds (2 GB).
    """
    _need_target(path, overwrite)
    numbers = run.points if points is None else list(points)
    info = _info(run)
    content = {
        "run": {"name": run.path.name, **({} if info is None else _fields(_plain(info)))},
        "history": _fields({str(name): column.values for name, column in run.history().variables.items()}),
        "point": _cells([_matlab_point(run.point(number)) for number in numbers]),
    }
    _write_whole(
        path,
        lambda target: scipy.io.savemat(target, content, appendmat=False, do_compression=True, long_field_names=True),
    )


def _matlab_point(point: PointReader) -> dict[str, Any]:
    fields: dict[str, Any] = {"number": point.number, "attributes": _fields(_plain(point.attrs))}
    fields["frequency"] = point.frequencies
    for kind in ("signal", "reference"):
        if point.commits and point.frame_counts(kind).any():
            if 8 * len(point.frequencies) * point.shape[0] * point.shape[1] > _MATLAB_LIMIT:
                raise DataError(
                    f"point {point.number}: its spectra are larger than the 2 GB a MATLAB 5 file holds; "
                    "export NeXus, which MATLAB reads with h5read"
                )
            mean = point.mean(kind)
            fields[kind] = mean.values
            fields[f"{kind}_frames"] = mean.coords["frames"].values
    if point.shifts is not None:
        fields["shift"] = point.shifts
    for name, maps in point.all_maps().items():
        fields[_field(name)] = _fields({str(key): image.values for key, image in maps.data_vars.items()})
        fields["units"] = _fields({str(key): unit_of(str(key)) or "" for key in maps.data_vars})
    return fields


def _cells(items: list[Any]) -> np.ndarray[Any, np.dtype[np.object_]]:
    cells = np.empty(len(items), object)
    cells[:] = items
    return cells


def _fields(values: dict[str, Any]) -> dict[str, Any]:
    """Return what MATLAB takes as a struct: names it accepts, no nulls, lists of mixed things as cells."""
    return {_field(name): _matlab(value) for name, value in values.items()}


def _matlab(value: Any) -> Any:
    if isinstance(value, dict):
        return _fields(value)
    if isinstance(value, list):
        if all(isinstance(item, int | float) and not isinstance(item, bool) for item in value):
            return np.asarray(value, np.float64)
        return _cells([_matlab(item) for item in value])
    return np.empty(0) if value is None else value


def _field(name: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9_]", "_", name)[:63]
    return safe if safe[:1].isalpha() else f"x{safe}"[:63]


def _info(run: RunReader) -> RunInfo | None:
    try:
        return run.info
    except DataError:
        return None


def _plain(value: Any) -> Any:
    """Return JSON's own types."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=lambda other: np.asarray(other).tolist()))


def _need_target(path: Path, overwrite: bool) -> None:
    """Refuse a file that is there or cannot be written, before everything is read for it."""
    need_writable(path.parent)
    if path.exists() and not overwrite:
        raise DataError(f"{path} exists; choose another name or say that it may be overwritten")


def _write_whole(path: Path, write: Callable[[Path], object]) -> None:
    partial = path.with_name(f"{path.name}{PARTIAL}")
    try:
        write(partial)
        partial.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}") from error
    finally:
        with contextlib.suppress(OSError):  # a disk that turned read-only says so even of what is not there
            partial.unlink(missing_ok=True)
