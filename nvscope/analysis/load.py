"""Reading a run through the store's reader, whatever state it is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.run_regions import run_regions
from nvscope.config import Loading
from nvscope.config.polygons import cropped_loading
from nvscope.config.stored import from_stored
from nvscope.errors import DataError
from nvscope.store.reader import RunReader
from nvscope.store.spectra import read_spectra

_BLOCK_KINDS = ("block-discarded", "block-rejected")
_WARNING_KINDS = ("warning", "abort", *_BLOCK_KINDS, "fault", "alarm")


def load_run(run_dir: Path) -> RunData:
    """Read a run's points, maps and what the operator knew; what cannot be read is named among the warnings.

    Raises
    ------
    DataError
        If the directory holds no run.
    """
    reader = RunReader(run_dir)
    problems: list[str] = []
    info = _info(reader, problems)
    points = [_point(reader, number, problems) for number in reader.points]
    references = _references(reader, problems)
    if reader.damaged_lines:
        problems.append(f"{reader.damaged_lines} lines of the journal are damaged and were left out")
    times = [line.rig_time for line in reader.journal if line.rig_time is not None]
    outcome = reader.outcome
    return RunData(
        path=reader.path,
        info=info,
        points=tuple(point for point in points if point is not None),
        loading=_loading(info, reader, problems),
        warnings=(*_warnings(reader), *((None, problem) for problem in problems)),
        outcome=outcome.outcome,
        reason=outcome.reason,
        regions=run_regions(
            (line.data for line in reader.journal if line.kind == "region"),
            (point.attrs for point in points if point is not None),
        ),
        references=references,
        start=times[0] if times else float("nan"),
        duration=times[-1] - times[0] if times else float("nan"),
        spectra=lambda number, rows, columns: read_spectra(reader.point(number), rows, columns),
    )


def _info(reader: RunReader, problems: list[str]) -> dict[str, Any]:
    try:
        return msgspec.structs.asdict(reader.info)
    except DataError as error:
        problems.append(str(error))
        return {}


def _loading(info: Mapping[str, Any], reader: RunReader, problems: list[str]) -> Loading | None:
    stored = info.get("loading")
    if not stored:
        return None
    try:
        loading = from_stored(Loading, stored)
        part = reader.crop()
        return loading if part is None else cropped_loading(loading, *part)
    except (ValueError, DataError) as error:
        problems.append(f"the loading in run.json is not usable, maps have no scale: {error}")
        return None


class _LazyMaps(Mapping[str, NDArray[Any]]):
    """Maps read from disk when asked for, and kept."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._arrays = arrays
        self._read: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._read:
            self._read[name] = np.asarray(self._arrays[name][...])
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def _references(reader: RunReader, problems: list[str]) -> tuple[MapPoint, ...]:
    """Return the reference maps of the run that this one was told to use; where it was, or beside this one."""
    for line in reversed(reader.lines("reference")):
        path = Path(str(line.data.get("path", "")))
        beside = reader.path.resolve().parent.parent / path.parent.name / path.name
        try:
            other = RunReader(path if path.is_dir() else beside)
        except DataError as error:
            problems.append(f"the reference run is not there any more: {error}")
            continue
        points = (_point(other, number, problems) for number in other.points)
        return tuple(replace(p, elsewhere=other.path) for p in points if p is not None and p.purpose == "reference")
    return ()


def _point(reader: RunReader, number: int, problems: list[str]) -> MapPoint | None:
    try:
        point = reader.point(number)
        attrs = point.attrs
        arrays, fit_attrs = point.map_arrays()
    except (DataError, OSError, ValueError) as error:
        problems.append(f"point {number} cannot be read: {error}")
        return None
    return MapPoint(
        index=number,
        purpose=str(attrs.get("purpose", attrs.get("kind", ""))),
        temperature=_number(attrs, "temperature"),
        field=_number(attrs, "field"),
        attrs=attrs,
        maps=_LazyMaps(arrays),
        frames=point.frames,
        final=bool(fit_attrs.get("final", True)),
    )


def _number(attrs: Mapping[str, Any], name: str) -> float:
    value = attrs.get(name)
    return float(value) if isinstance(value, int | float) else float("nan")


def _warnings(reader: RunReader) -> list[tuple[float | None, str]]:
    found = []
    for line in reader.journal:
        if line.kind in _WARNING_KINDS:
            what = line.data.get("text") or line.data.get("reason") or line.data.get("message") or str(line.data)
            of_block = line.kind in _BLOCK_KINDS
            where = f"block {line.data['block']} of point {line.data['point']}: " if of_block else ""
            found.append((line.rig_time, f"{where}{what}"))
    return found
