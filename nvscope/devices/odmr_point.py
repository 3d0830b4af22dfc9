"""The point an ODMR device is taking: what it has, and where its next frames go."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

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

_DIM = 0.5
"""Share of the light below which a frame shows something else than a resonance."""

_CLEARLY = 10.0
"""How many times the noise a frame must be below the others: without any light half of them are below half."""


class Seen:
    """What the frames of a block with microwaves on say at a glance: image-mean counts summed per frequency.

    Given a `shape` their sum is kept as an `image` too. `levels` are the image means of all frames, in their order.
    """

    def __init__(self, steps: int, shape: tuple[int, int] | None = None) -> None:
        self.light = np.zeros(steps)
        self.frames = np.zeros(steps, np.int64)
        self.image = None if shape is None else np.zeros(shape, np.uint64)
        self.levels: list[float] = []

    def add(self, step: int, image: NDArray[np.uint16], *, dark: bool = False) -> None:
        """Take in one frame; one with microwaves off, a `dark` one, is only looked at for its light."""
        level = float(image.mean())
        self.levels.append(level)
        if dark:
            return
        self.light[step] += level
        self.frames[step] += 1
        if self.image is not None:
            np.add(self.image, image, out=self.image)


def dimmed(levels: Sequence[float], offset: float, before: float = 0.0) -> str:
    """Return what is wrong with the light of a block, or nothing if its frames are about equally bright.

    Instruments may not notice a shutter that closes or a laser that drops out for a moment. A resonance takes a few
    per cent of the light, never half.

    Parameters
    ----------
    levels : sequence of float
        Image means (counts) of the frames in the order they were taken.
    offset : float
        Counts without light.
    before : float
        Mean light (counts above `offset`) of the block before; 0 if there is none.
    """
    light = np.asarray(levels) - offset
    # of neighbours: a light that goes off and on again does not look like noise
    noise = float(np.median(np.abs(np.diff(light)))) if light.size > 1 else 0.0
    brightest = max(float(light.max(initial=0.0)), before)
    faint = (brightest > 0) & (light < _DIM * brightest) & (brightest - light > _CLEARLY * noise)
    if not faint.any():
        return ""
    first, count = int(np.argmax(faint)), int(faint.sum())
    return (
        f"light: {count} of {light.size} frames, from frame {first} on, have less than half the light of the others; "
        "no resonance is that deep: look at laser, gate and shutter"
    )


class OpenedPoint:
    """The point being taken.

    Attributes
    ----------
    blocks, sweeps, frames : int
        Blocks sent, sweeps and frames committed.
    light : float
        Image mean (counts) of the newest block committed; 0 before the first.
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
        self.light = 0.0
        self.widened: list[int] = []
        self._fraction = 0.0
        self._misfit = math.inf

    def take(self, sweeps: int, frames: int, seen: Seen) -> None:
        """Count a block that is committed."""
        self.sweeps += sweeps
        self.frames += frames
        self.light = float(np.mean(seen.levels)) if seen.levels else 0.0
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
