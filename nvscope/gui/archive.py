"""A run directory as a window sees it: a snapshot of everything small, maps and spectra point by point."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nvscope.errors import DataError
from nvscope.gui.model.entries import planned_steps, region_of, target_of
from nvscope.gui.model.header import Header, header_of, number_of
from nvscope.gui.model.journal import LogEntry, entry
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.selection import Vertices
from nvscope.gui.model.snapshot import Snapshot
from nvscope.gui.model.spectra import SpectrumSums
from nvscope.gui.model.steps import Step
from nvscope.store.layout import point_path
from nvscope.store.reader import RunReader
from nvscope.stream.light import divide_light

StoredMaps = tuple[dict[str, NDArray[Any]], bool, int]


class Archive:
    """Reads one run directory, finished or growing. Every call goes to disk; for one thread.

    Raises
    ------
    DataError
        If `directory` holds no run.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._reader = RunReader(directory)

    def snapshot(self) -> Snapshot:
        """Read everything but the maps and spectra."""
        reader = self._reader
        reader.refresh()
        table = reader.history()
        history = {str(name): np.asarray(values.values, np.float64) for name, values in table.data_vars.items()}
        history["rig_time"] = np.asarray(table.coords["rig_time"].values, np.float64)
        log: list[LogEntry] = []
        planned: list[Step] = []
        announced: list[tuple[float, str]] = []
        regions: dict[str, Vertices] = {}
        header = _header(reader)
        for line in reader.journal:
            if line.kind == "step":
                announced.append((line.rig_time or 0.0, str(line.data.get("step", ""))))
            elif line.kind == "plan":
                planned = planned_steps(line.data)
            elif line.kind == "region":
                regions.update(region_of(line.data))
            elif line.kind == "parameters":
                header = replace(header, target_b_err=target_of(line.data, header.target_b_err))
            found = entry(line.kind, line.data, line.rig_time)
            if found is not None:
                log.append(found)
        if reader.damaged_lines:
            log.append(LogEntry(None, "warning", f"{reader.damaged_lines} damaged lines in the journal", "warning"))
        points = _records(reader)
        outcome = reader.outcome
        return Snapshot(
            header=header,
            points=points,
            history=history,
            log=tuple(log),
            planned=tuple(planned),
            announced=tuple(announced),
            outcome=outcome.outcome,
            reason=outcome.reason,
            regions=regions,
        )

    def maps(self, point: int) -> StoredMaps | None:
        """Read a point's maps: arrays by name, whether they are final, sweeps in them; None if there are none yet."""
        self._refresh_for(point)
        try:
            found = self._reader.point(point).map_images()
        except (OSError, ValueError, KeyError) as error:  # damaged, or taken away under our hands
            raise DataError(f"the maps of point {point} cannot be read: {error}") from error
        if found is None:
            if not self.directory.is_dir():
                raise DataError(f"{self.directory} has been deleted or moved")
            return None
        arrays, attrs = found
        return arrays, bool(attrs.get("final", True)), int(attrs.get("sweeps", 0))

    def spectra(self, point: int) -> SpectrumSums | None:
        """Read a point's recorded spectra, microwave-off frames divided out; None if no block is committed."""
        self._reader.refresh()
        reader = self._reader.point(point)
        if not reader.commits:
            return None
        mean = reader.mean()
        signal = mean.values
        light = reader.relative_light()
        if light is not None:
            signal = divide_light(signal, light, float(reader.attrs.get("camera_offset", 0.0)))
        frames = np.asarray(mean.coords["frames"].values, np.int64)
        return SpectrumSums.stored(point, reader.frequencies, signal, frames, reader.attrs)

    def _refresh_for(self, point: int) -> None:
        if point not in self._reader.points:
            self._reader.refresh()


def _records(reader: RunReader) -> tuple[PointRecord, ...]:
    """Return what is known of every point; from the shared metadata, because opening each takes too long."""
    nodes = reader.nodes()
    closed = {line.data.get("point") for line in reader.lines("point-closed", "recorder")}
    mapped = {line.data.get("point"): line.data for line in reader.lines("maps", "recorder")}
    over = reader.outcome.outcome != "unfinished"
    records = []
    for number in reader.points:
        path = point_path(number)
        node = nodes.get(path)
        if node is None:
            continue  # begun, but not on disk yet
        attrs = node.get("attributes", {})
        shape = nodes.get(f"{path}/signal", {}).get("shape", (0, 0, 0, 0))
        maps = nodes.get(f"{path}/maps", {}).get("attributes", {})
        records.append(
            PointRecord(
                number=number,
                kind=str(attrs.get("kind", "odmr")),
                rig_time=number_of(attrs.get("rig_time")),
                attrs=attrs,
                shape=(int(shape[-2]), int(shape[-1])),
                closed=over or number in closed,
                final=bool(mapped.get(number, {}).get("final", False)),
                sweeps=int(mapped.get(number, {}).get("sweeps", 0)),
                summary={name: float(value) for name, value in maps.items() if _is_number(value)},
                shift=next((commit.shift for commit in reversed(reader.point(number).commits) if commit.shift), None),
            )
        )
    return tuple(records)


def _header(reader: RunReader) -> Header:
    try:
        info = msgspec.structs.asdict(reader.info)
    except DataError:
        info = {}
    return header_of(info, reader.path.name, str(reader.path), reader.crop())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
