"""All that is known about one run, and what follows from it. No Qt; one thread."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from nvscope.gui.model.derived import find_reference
from nvscope.gui.model.header import Header
from nvscope.gui.model.journal import LogEntry
from nvscope.gui.model.maps import MapStore, PointMaps
from nvscope.gui.model.methods import Methods, RatioMap
from nvscope.gui.model.picture import Sources
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.selection import Vertices
from nvscope.gui.model.series import TimeSeries
from nvscope.gui.model.spectra import SpectrumSums
from nvscope.gui.model.steps import Steps
from nvscope.stream.messages import Frame, RunStatus

FloatArray = NDArray[np.float64]
_MOST_LOG = 1000


@dataclass(eq=False)
class Record:
    """What is known of a run, live or finished.

    Attributes
    ----------
    revision : Counter
        A number for each of "header", "status", "frame", "maps", "points", "history", "log", "steps" that grows with
        every change.
    """

    methods: Methods
    maps: MapStore = field(default_factory=MapStore)
    header: Header = field(default_factory=Header)
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
        self._ratios: dict[int, tuple[tuple[int, int], RatioMap]] = {}

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
