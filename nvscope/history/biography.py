"""The sample's biography: temperature and applied field against rig time, as they were measured."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class Series:
    """One quantity against rig time; append-only, time never goes back."""

    times: list[float] = dataclasses.field(default_factory=list)
    values: list[float] = dataclasses.field(default_factory=list)

    def add(self, time: float, value: float) -> None:
        """Append a reading; one that is older than the last is refused."""
        if self.times and time < self.times[-1]:
            raise ValueError(f"a reading at {time} s cannot follow one at {self.times[-1]} s")
        self.times.append(time)
        self.values.append(value)

    def between(self, start: float, end: float) -> NDArray[np.float64]:
        """Return readings with start ≤ t ≤ end, shape (n, 2), columns time (s) and value."""
        low, high = bisect_right(self.times, np.nextafter(start, -np.inf)), bisect_right(self.times, end)
        return np.column_stack([self.times[low:high], self.values[low:high]]).reshape(-1, 2)

    def at(self, time: float) -> float:
        """Return the value interpolated linearly at `time`; NaN without readings."""
        if not self.times:
            return float("nan")
        return float(np.interp(time, self.times, self.values))

    def since(self, start: float, end: float) -> NDArray[np.float64]:
        """Return readings as `between`, and before them the value the last earlier reading had, at `start`."""
        before = bisect_right(self.times, start) - 1
        known = [[start, self.values[before]]] if before >= 0 else np.empty((0, 2))
        return np.vstack([known, self.between(float(np.nextafter(start, np.inf)), end)])

    @property
    def last(self) -> float:
        """The newest value; NaN without readings."""
        return self.values[-1] if self.values else float("nan")


@dataclass
class Biography:
    """T (K) and H (T) of one sample since the run began."""

    temperature: Series = dataclasses.field(default_factory=Series)
    field: Series = dataclasses.field(default_factory=Series)

    def observe(self, time: float, values: Mapping[str, float]) -> None:
        """Take what was read at rig time `time`; other columns than temperature and field are ignored."""
        if "temperature" in values:
            self.temperature.add(time, values["temperature"])
        if "field" in values:
            self.field.add(time, values["field"])
