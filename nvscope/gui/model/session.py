"""How a window comes to know a run: from messages, and from what was read from disk; one thread; no Qt."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.config.polygons import union_mask
from nvscope.gui.model.entries import planned_steps, region_of, region_of_point, target_of
from nvscope.gui.model.header import header_of, part_of
from nvscope.gui.model.journal import LogEntry, entry
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.record import Record
from nvscope.gui.model.selection import Vertices
from nvscope.gui.model.series import TimeSeries
from nvscope.gui.model.snapshot import Snapshot
from nvscope.gui.model.spectra import SpectrumSums
from nvscope.stream.messages import (
    BlockClosed,
    Frame,
    HistoryRow,
    JournalEntry,
    Maps,
    Message,
    PointClosed,
    PointOpened,
    RunStatus,
)
from nvscope.stream.region_error import median_b_err

_MOST_COLUMNS = 64
_FROM_STATUS = ("frames_per_second", "pixels_per_second", "fitted_fraction")


def _add_now(sums: SpectrumSums, frame: Frame, image: NDArray[np.uint16]) -> None:
    sums.add(frame, image)


@dataclass(eq=False)
class Session(Record):
    """A record that is fed with messages and with what was read from disk.

    Attributes
    ----------
    add_frame : callable
        How a frame gets into the spectra: at once, or ``add_frame(sums, frame, image)`` has it done elsewhere.
    """

    add_frame: Callable[[SpectrumSums, Frame, NDArray[np.uint16]], None] = _add_now

    def __post_init__(self) -> None:
        self._since_joined: deque[tuple[float, str]] = deque(maxlen=200)
        self._live_log: deque[LogEntry] = deque(maxlen=200)
        self._drawn_since: dict[str, Vertices] = {}
        super().__post_init__()
        self._about: Mapping[str, Any] = {}

    # --- what comes in ---------------------------------------------------------------------------------------------

    def apply(self, message: Message, arrays: Sequence[NDArray[Any]] = ()) -> None:
        """Take one message; kinds a window has no use for are ignored."""
        if isinstance(message, Frame):
            self._take_frame(message, arrays[0])
        elif isinstance(message, Maps):
            self._take_maps(message, arrays)
        elif isinstance(message, RunStatus):
            self._take_status(message)
        elif isinstance(message, HistoryRow):
            for name, value in message.values.items():
                self._sample(name, message.rig_time, math.nan if value is None else value)
            self._touch("history")
        elif isinstance(message, PointOpened):
            self._open(message)
        elif isinstance(message, PointClosed):
            known = self.points.get(message.point)
            if known is not None:
                self.points[message.point] = known.ended(message)
                self._touch("points")
        elif isinstance(message, BlockClosed):
            known = self.points.get(message.point)
            if known is not None and message.shift is not None:
                self.points[message.point] = replace(known, shift=message.shift)
                self._touch("points")
        elif isinstance(message, JournalEntry):
            self._take_entry(message)

    def adopt(self, snapshot: Snapshot) -> None:
        """Take what the run directory holds; what was heard since and is not there yet stays."""
        self.header = snapshot.header
        for record in snapshot.points:
            known = self.points.get(record.number)
            if known is None or record.closed or not known.closed:
                newer = known if known is not None and known.sweeps > record.sweeps else record
                self.points[record.number] = replace(
                    record,
                    sweeps=newer.sweeps,
                    final=newer.final,
                    summary=newer.summary,
                    frequencies=record.frequencies or (known.frequencies if known is not None else ()),
                )
        self.points = dict(sorted(self.points.items()))
        times = snapshot.history.get("rig_time", np.empty(0))
        for name, values in snapshot.history.items():
            if name not in ("rig_time", "wall_time"):
                self.history[name] = self.history.get(name, TimeSeries()).preceded_by(times, values)
        errors = [
            (record.summary["rig_time"], record.summary["median_b_err"])
            for record in snapshot.points
            if {"rig_time", "median_b_err"} <= record.summary.keys()
        ]
        known_err = self.history.get("median_b_err", TimeSeries())
        recorded = snapshot.history.get("b_err", np.empty(0))
        if np.isfinite(recorded).any():  # as the run judged it: in the region that matters
            good = np.isfinite(recorded)
            self.history["median_b_err"] = known_err.preceded_by(times[good], recorded[good])
        elif errors:
            earlier = np.array(sorted(errors))
            self.history["median_b_err"] = known_err.preceded_by(earlier[:, 0], earlier[:, 1])
        last = max((one.rig_time for one in snapshot.log if one.rig_time is not None), default=-math.inf)
        self.log.clear()
        self.log.extend(snapshot.log)
        self.log.extend(one for one in self._live_log if one.rig_time is not None and one.rig_time > last)
        self.steps.begin(snapshot.planned, (*snapshot.announced, *self._since_joined))
        self.regions = {k: v for k, v in {**snapshot.regions, **self._drawn_since}.items() if v}
        if snapshot.outcome not in ("", "unfinished"):
            self.outcome, self.reason = snapshot.outcome, snapshot.reason
        self._touch("header", "points", "history", "log", "steps", "status")

    def take_stored_maps(self, point: int, maps: Mapping[str, NDArray[Any]], *, final: bool, sweeps: int) -> None:
        """Take maps read from disk, unless newer ones came meanwhile."""
        held = self.maps.get(point)
        if held is None or (final and not held.final):
            self.maps.put(point, maps, final=final, sweeps=sweeps)
            self._touch("maps")

    def _take_frame(self, frame: Frame, image: NDArray[np.uint16]) -> None:
        self.frame = (frame, image)
        if self.live_spectra is not None:
            self.add_frame(self.live_spectra, frame, image)
        self._touch("frame")

    def _take_maps(self, message: Maps, arrays: Sequence[NDArray[Any]]) -> None:
        known = self.points.get(message.point)
        if known is not None and known.final and not message.final:
            return
        self.maps.put(
            message.point,
            dict(zip(message.names, arrays, strict=True)),
            final=message.final,
            sweeps=message.sweeps,
        )
        if known is None:
            known = PointRecord(message.point, "odmr", message.rig_time, shape=message.shape)
        self.points[message.point] = known.mapped(message)
        if math.isfinite(error := self._b_err(message, arrays)):
            self._sample("median_b_err", message.rig_time, error)
        if "lost" in message.summary:
            self._sample("lost_frames", message.rig_time, message.summary["lost"])
        self._touch("maps", "points")

    def _b_err(self, message: Maps, arrays: Sequence[NDArray[Any]]) -> float:
        """Return the error of B that has to reach the target: in the region that matters, as the run judges it."""
        region = self._region(message.point)
        inside = _region_mask(region, message.shape) if region else np.ones(message.shape, bool)
        return median_b_err(dict(zip(message.names, arrays, strict=True)), inside)

    def _region(self, point: int) -> tuple[Vertices, ...]:
        """Return the polygons that averaging looks at: the region of interest drawn, else the sequence's own."""
        roi, known = self.regions.get("roi"), self.points.get(point)
        return (roi,) if roi is not None else () if known is None else region_of_point(known.attrs)

    def _take_status(self, status: RunStatus) -> None:
        self.status = status
        for name in _FROM_STATUS:
            if name in status.values:
                self._sample(name, status.rig_time, status.values[name])
        if status.state in ("done", "failed", "aborted"):
            self.outcome = status.state
        self._touch("status", "history")

    def _open(self, message: PointOpened) -> None:
        known = self.points.get(message.point)
        if known is not None and (known.frequencies or known.closed):
            return  # a publisher repeats it to whoever joins
        record = PointRecord.opened(message)
        if known is not None:
            record = replace(record, sweeps=known.sweeps, final=known.final, summary=known.summary)
        self.points[message.point] = record
        if message.kind == "odmr":
            self._introduce(record.attrs)
            self.live_spectra = SpectrumSums(record.number, record.frequencies, record.shape, record.attrs)
        self._touch("points")

    def _take_entry(self, message: JournalEntry) -> None:
        if message.kind == "step":
            text = str(message.data.get("step", ""))
            self._since_joined.append((message.rig_time, text))
            self.steps.announce(message.rig_time, text)
            self._touch("steps")
        elif message.kind == "plan":
            self.steps.begin(planned_steps(message.data), self._since_joined)
            self._touch("steps")
        elif message.kind == "region":
            self._drawn_since.update(region_of(message.data))
            self.regions = {k: v for k, v in {**self.regions, **self._drawn_since}.items() if v}
            self._touch("header")
        elif message.kind == "about":
            self._about = message.data
            self._introduce(None)
        elif message.kind == "parameters":
            self.header = replace(self.header, target_b_err=target_of(message.data, self.header.target_b_err))
            self._touch("header")
        found = entry(message.kind, message.data, message.rig_time)
        if found is not None:
            self._live_log.append(found)
            self.log.append(found)
            self._touch("log")

    def _introduce(self, attrs: Mapping[str, Any] | None) -> None:
        """Take what the run says of itself, until its directory has been read; a point tells which part is imaged."""
        if not self.header.directory and self._about:
            name = str(self._about.get("run", ""))
            found = header_of(self._about, name, "", None if attrs is None else part_of(attrs))
            changed_since = math.nan if attrs is None else self.header.target_b_err
            target = changed_since if math.isfinite(changed_since) else found.target_b_err
            self.header = replace(found, target_b_err=target)
            self._touch("header")

    def _sample(self, name: str, rig_time: float, value: float) -> None:
        if name not in self.history:
            if len(self.history) >= _MOST_COLUMNS:
                return
            self.history[name] = TimeSeries()
        self.history[name].add(rig_time, value)

    def _touch(self, *topics: str) -> None:
        self.revision.update(topics)


@lru_cache(maxsize=4)
def _region_mask(polygons: tuple[Vertices, ...], shape: tuple[int, int]) -> NDArray[np.bool_]:
    return union_mask(polygons, shape)
