"""The point an ODMR device is taking: what it has, and where its next frames go."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from nvscope.devices.odmr_requests import OpenPoint
from nvscope.devices.sink import MapSummary

FloatArray = NDArray[np.float64]

Placer = Callable[[FloatArray, Mapping[str, FloatArray], int, NDArray[np.int64], int], NDArray[np.int64]]
"""Frequencies (Hz), fitted lines by name, frames to place, frames there are, turn → frames at each frequency."""

_LOST = 0.05
"""Share of the region's pixels that stop being fitted before a line counts as lost."""

_WORSE = 5.0
"""How many times worse the residuals may become: frames where lines are steep show a wrong line shape more."""


class Seen:
    """What the frames of a block with microwaves on say at a glance: image-mean counts summed per frequency.

    Given a `shape` their sum is kept as an `image` too.
    """

    def __init__(self, steps: int, shape: tuple[int, int] | None = None) -> None:
        self.light = np.zeros(steps)
        self.frames = np.zeros(steps, np.int64)
        self.image = None if shape is None else np.zeros(shape, np.uint64)

    def add(self, step: int, image: NDArray[np.uint16]) -> None:
        """Take in one frame."""
        self.light[step] += float(image.mean())
        self.frames[step] += 1
        if self.image is not None:
            np.add(self.image, image, out=self.image)


class OpenedPoint:
    """The point being taken.

    Attributes
    ----------
    blocks, sweeps, frames : int
        Blocks sent, sweeps and frames committed.
    widened : list of int
        Sweeps of an adaptive point that went back to all frequencies because its residuals asked for it.
    """

    def __init__(self, request: OpenPoint, number: int) -> None:
        self.request = request
        self.number = number
        self.blocks = 0
        self.sweeps = 0
        self.frames = 0
        self.seen = Seen(len(request.frequencies))
        self.widened: list[int] = []
        self._fraction = 0.0
        self._misfit = math.inf

    def take(self, sweeps: int, frames: int, seen: Seen) -> None:
        """Count a block that is committed."""
        self.sweeps += sweeps
        self.frames += frames
        self.seen.light += seen.light
        self.seen.frames += seen.frames

    def spectrum(self) -> tuple[FloatArray, FloatArray]:
        """Return frequencies (Hz) and image-mean counts, where there are frames."""
        used = self.seen.frames > 0
        return np.asarray(self.request.frequencies)[used], self.seen.light[used] / self.seen.frames[used]

    def next_frames(self, place: Placer | None, newest: MapSummary | None) -> NDArray[np.int64]:
        """Return how many frames the next sweep takes at each frequency."""
        request = self.request
        even = np.full(len(request.frequencies), request.frames, np.int64)
        if request.sampling != "adaptive":
            return even
        if self.sweeps == 0:
            return np.full_like(even, request.scouting_frames)
        if place is None or newest is None or not newest.lines:
            return even
        if self._lines_lost(newest):
            self.widened.append(self.sweeps)
            return even
        axis = np.asarray(request.frequencies)
        return place(axis, newest.lines, int(even.sum()), self.seen.frames, self.sweeps)

    def _lines_lost(self, newest: MapSummary) -> bool:
        """Whether the newest maps fit worse than those before by more than more frames explain.

        χ² of a line shape that is a little wrong grows in proportion to the frames; a line that has moved away from
        where the frames are makes it jump, or the fit fail.
        """
        frames = max(1, int(self.seen.frames.sum()))
        misfit = (newest.chi2_reduced - 1) / frames
        fewer = newest.region_fraction < self._fraction - _LOST
        worse = misfit > _WORSE * self._misfit and newest.chi2_reduced > 1.2
        self._fraction = max(self._fraction, newest.region_fraction)
        self._misfit = min(self._misfit, max(misfit, 0.05 / frames))
        just = bool(self.widened) and self.widened[-1] == self.sweeps - 1
        return (fewer or worse) and not just
