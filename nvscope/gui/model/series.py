"""Readings against time in bounded memory: what gets old gets thinner, its extremes stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class TimeSeries:
    """Values against rig time, at most `capacity` of them.

    When it is full the older half is thinned to the smallest and largest of every four, so that a spike of eight hours
    ago is still seen.

    Parameters
    ----------
    capacity : int
        Most samples held; a multiple of 8.
    """

    def __init__(self, capacity: int = 8192) -> None:
        if capacity < 8 or capacity % 8:
            raise ValueError(f"a capacity is a multiple of 8, got {capacity}")
        self._data = np.empty((2, capacity))
        self._used = 0

    def __len__(self) -> int:
        return self._used

    @property
    def times(self) -> FloatArray:
        """Rig times (s), ascending; a view, valid until the next `add`."""
        return self._data[0, : self._used]

    @property
    def values(self) -> FloatArray:
        """Values; a view, valid until the next `add`."""
        return self._data[1, : self._used]

    @property
    def last(self) -> float:
        """Newest value, NaN without any."""
        return float(self._data[1, self._used - 1]) if self._used else float("nan")

    def add(self, time: float, value: float) -> None:
        """Append a sample; one older than the newest, or not finite, is left out."""
        if not (np.isfinite(time) and np.isfinite(value)):
            return
        if self._used and time < self._data[0, self._used - 1]:
            return
        if self._used == self._data.shape[1]:
            self._thin()
        self._data[:, self._used] = time, value
        self._used += 1

    def preceded_by(self, times: FloatArray, values: FloatArray) -> TimeSeries:
        """Return a series of these samples followed by what this one holds after the last of them."""
        joined = TimeSeries(self._data.shape[1])
        for time, value in zip(times, values, strict=True):
            joined.add(float(time), float(value))
        end = joined.times[-1] if len(joined) else -np.inf
        for time, value in zip(self.times, self.values, strict=True):
            if time > end:
                joined.add(float(time), float(value))
        return joined

    def _thin(self) -> None:
        half = self._data.shape[1] // 2
        groups = self._data[1, :half].reshape(-1, 4)
        low, high = groups.argmin(axis=1), groups.argmax(axis=1)
        high = np.where(low == high, (low + 1) % 4, high)
        chosen = np.sort(np.stack([low, high], axis=1), axis=1)
        index = (chosen + 4 * np.arange(half // 4)[:, None]).ravel()
        kept = self._data[:, index]
        recent = self._data[:, half : self._used].copy()
        self._data[:, : index.size] = kept
        self._used = index.size + recent.shape[1]
        self._data[:, index.size : self._used] = recent
