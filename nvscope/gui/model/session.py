"""All a window knows about one run. Fed with messages and with what was read from disk; one thread; no Qt."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.config.polygons import union_mask
from nvscope.gui.model.derived import find_reference
from nvscope.gui.model.journal import LogEntry, entry
from nvscope.gui.model.maps import MapStore, PointMaps
from nvscope.gui.model.methods import Methods, RatioMap
from nvscope.gui.model.picture import Sources
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.selection import Vertices
from nvscope.gui.model.series import TimeSeries
from nvscope.gui.model.spectra import SpectrumSums
from nvscope.gui.model.steps import Step, Steps
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
from nvscope.units import parse_quantity

FloatArray = NDArray[np.float64]
POLYGONS = ("roi", "reference")
_MOST_LOG = 1000
_MOST_COLUMNS = 64
_FROM_STATUS = ("frames_per_second", "pixels_per_second", "fitted_fraction")


@dataclass(frozen=True)
class Outline:
    """A polygon; vertices (x, y) as fractions of the image's width and height; a `color` unless it is the loading's."""

    name: str
    kind: str
    vertices: tuple[tuple[float, float], ...]
    color: str = ""


@dataclass(frozen=True)
class Header:
    """What a run is.

    Attributes
    ----------
    field_of_view : float
        Edge of the imaged square (m), NaN if unknown.
    target_b_err : float
        Error of B (T) at which averaging stops, NaN if there is none.
    """

    run: str = ""
    directory: str = ""
    sequence: str = ""
    sample: str = ""
    rig: str = ""
    operator: str = ""
    note: str = ""
    started: str = ""
    pressure: float = math.nan
    field_of_view: float = math.nan
    target_b_err: float = math.nan
    outlines: tuple[Outline, ...] = ()


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A run as its directory shows it."""

    header: Header
    points: tuple[PointRecord, ...]
    history: Mapping[str, FloatArray]
    log: tuple[LogEntry, ...]
    planned: tuple[Step, ...]
    announced: tuple[tuple[float, str], ...]
    outcome: str
    reason: str
    regions: Mapping[str, Vertices] = field(default_factory=dict)


@dataclass(eq=False)
class Session:
    """A run, live or finished.

    Attributes
    ----------
    revision : Counter
        A number for each of "header", "status", "frame", "maps", "points", "history", "log", "steps" that grows with
        every change.
    """

    methods: Methods
    maps: MapStore = field(default_factory=MapStore)
    header: Header = Header()
    status: RunStatus | None = None
    outcome: str = ""
    reason: str = ""
    frame: tuple[Frame, NDArray[np.uint16]] | None = None
    points: dict[int, PointRecord] = field(default_factory=dict)
    history: dict[str, TimeSeries] = field(default_factory=dict)
    log: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=_MOST_LOG))
    steps: Steps = field(default_factory=Steps)
    live_spectra: SpectrumSums | None = None
    regions: dict[str, Vertices] = field(default_factory=dict)
    revision: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._since_joined: deque[tuple[float, str]] = deque(maxlen=200)
        self._live_log: deque[LogEntry] = deque(maxlen=200)
        self._drawn_since: dict[str, Vertices] = {}
        self._ratios: dict[int, tuple[tuple[int, int], RatioMap]] = {}

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
            self.live_spectra.add(frame, image)
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
        if "median_b_err" in message.summary:
            self._sample("median_b_err", message.rig_time, self._b_err(message, arrays))
        if "lost" in message.summary:
            self._sample("lost_frames", message.rig_time, message.summary["lost"])
        self._touch("maps", "points")

    def _b_err(self, message: Maps, arrays: Sequence[NDArray[Any]]) -> float:
        """Return the median error of B that has to reach the target: in the region that matters if there is one."""
        whole, region = message.summary["median_b_err"], self._region(message.point)
        if not region or "b_z_err" not in message.names:
            return whole
        inside = arrays[message.names.index("b_z_err")][_region_mask(region, message.shape)]
        inside = inside[np.isfinite(inside)]
        return float(np.median(inside)) if inside.size else whole

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
        elif message.kind == "parameters":
            self.header = replace(self.header, target_b_err=target_of(message.data, self.header.target_b_err))
            self._touch("header")
        found = entry(message.kind, message.data, message.rig_time)
        if found is not None:
            self._live_log.append(found)
            self.log.append(found)
            self._touch("log")

    def _sample(self, name: str, rig_time: float, value: float) -> None:
        if name not in self.history:
            if len(self.history) >= _MOST_COLUMNS:
                return
            self.history[name] = TimeSeries()
        self.history[name].add(rig_time, value)

    def _touch(self, *topics: str) -> None:
        self.revision.update(topics)

    # --- what is asked ---------------------------------------------------------------------------------------------

    @property
    def newest(self) -> PointRecord | None:
        """The newest point with an image, None before there is one."""
        return next((record for record in reversed(self.points.values()) if record.kind == "odmr"), None)

    @property
    def mapped(self) -> list[PointRecord]:
        """Points with an image, in order."""
        return [record for record in self.points.values() if record.kind == "odmr"]

    @property
    def coldest(self) -> PointRecord | None:
        """The coldest finished point of the curve s(T), None before there is one."""
        known = [record for record in self.points.values() if record.in_curve and record.final]
        return min(known, key=lambda record: record.temperature, default=None)

    def reference_of(self, number: int) -> PointRecord | None:
        """Return the reference point that fits a point's field; a reference is its own."""
        point = self.points.get(number)
        return None if point is None else find_reference(point, self.points)

    def needs(self, number: int) -> list[int]:
        """Return the points whose maps are wanted for s of a point and are not held: itself, its reference."""
        reference = self.reference_of(number)
        wanted = [number] if reference is None or reference.number == number else [number, reference.number]
        return [one for one in wanted if one not in self.maps]

    def sources(self, number: int) -> Sources | None:
        """Return what the maps of a point are made of, None while they are not held."""
        point, maps = self.points.get(number), self.maps.get(number)
        if point is None or maps is None:
            return None
        reference = self.reference_of(number)
        above = None if reference is None else self.maps.get(reference.number)
        found = Sources(point, maps, reference, above)
        cached = self._ratios.get(number)
        return replace(found, ratio=cached[1]) if cached is not None and cached[0] == found.key else found

    def remember_ratio(self, sources: Sources, ratio: RatioMap) -> None:
        """Keep s of a point, worked out elsewhere."""
        while len(self._ratios) >= 4:
            del self._ratios[next(iter(self._ratios))]
        self._ratios[sources.point.number] = (sources.key, ratio)

    def ratio(self, number: int) -> RatioMap | None:
        """Return s of a point; None if it cannot be said (yet)."""
        sources = self.sources(number)
        found = None if sources is None else sources.make_ratio(self.methods)
        if sources is not None and found is not None and sources.ratio is None:
            self.remember_ratio(sources, found)
        return found

    def map(self, number: int, name: str) -> FloatArray | None:
        """Return a point's map by its name in `nvscope.gui.model.quantities`, SI, NaN where not measured."""
        if name.startswith("s_ratio"):
            self.ratio(number)
        sources = self.sources(number)
        return None if sources is None else sources.map(self.methods, name)

    def held(self, number: int) -> PointMaps | None:
        """Return a point's maps as they are held."""
        return self.maps.get(number)

    def pixel_size(self) -> float:
        """Edge of a pixel at the culet (m), NaN if unknown."""
        told = self.status.values if self.status is not None else {}
        if "pixel_size" in told:
            return told["pixel_size"]
        for record in reversed(self.points.values()):
            size = record.attrs.get("pixel_size")
            if isinstance(size, int | float) and size > 0:
                return float(size)
            if record.shape[1] and math.isfinite(self.header.field_of_view):
                return self.header.field_of_view / max(record.shape)
        return math.nan

    def saturation(self) -> float:
        """Counts at which a pixel is saturated; the end of 16 bits if the camera does not say."""
        if self.status is not None and "saturation" in self.status.values:
            return self.status.values["saturation"]
        for record in reversed(self.points.values()):
            value = record.attrs.get("saturation")
            if isinstance(value, int | float) and value > 0:
                return float(value)
        return 65535.0


def region_of_point(attrs: Mapping[str, Any]) -> tuple[Vertices, ...]:
    """Read the polygons a sequence has a point judged by; none if there are none, or they are damaged."""
    try:
        return tuple(tuple((float(x), float(y)) for x, y in polygon) for polygon in attrs.get("region") or ())
    except (TypeError, ValueError):
        return ()


@lru_cache(maxsize=4)
def _region_mask(polygons: tuple[Vertices, ...], shape: tuple[int, int]) -> NDArray[np.bool_]:
    return union_mask(polygons, shape)


def region_of(data: Mapping[str, Any]) -> dict[str, Vertices]:
    """Read a journal entry ``region``: its kind and vertices, none if it was taken away; empty if it is damaged."""
    try:
        kind = str(data["kind"])
        return {kind: tuple((float(x), float(y)) for x, y in data["vertices"])} if kind in POLYGONS else {}
    except (KeyError, TypeError, ValueError):
        return {}


def target_of(data: Mapping[str, Any], before: float) -> float:
    """Return the target of δB (T) after a journal entry ``parameters``: NaN if averaging has none any more."""
    settings = data.get("settings")
    if not isinstance(settings, Mapping) or "until" not in settings:
        return before
    try:
        return parse_quantity(settings["until"], "tesla")
    except ValueError:
        return math.nan


def planned_steps(data: Mapping[str, Any]) -> list[Step]:
    """Read the steps out of a journal entry ``plan``."""
    found = []
    steps = data.get("steps")
    for item in steps if isinstance(steps, list) else []:
        if isinstance(item, Mapping) and isinstance(item.get("text"), str):
            duration = item.get("duration")
            found.append(Step(item["text"], float(duration) if isinstance(duration, int | float) else math.nan))
    return found
