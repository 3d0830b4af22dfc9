"""Wide-field ODMR as something a plan can set: open a point, take blocks of sweeps, close the point.

The three requests are separate messages so that a pause replays at most one block, and a block is the unit that is
committed to disk or forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.clock import Clock
from nvscope.config import Limits
from nvscope.devices.base import Assumed, Device, Observer
from nvscope.devices.sink import FrameSink, FrameTag, MapSummary
from nvscope.devices.status import TaskStatus
from nvscope.devices.sweep_order import ORDERS, REFERENCES, Order, Reference, frames_per_sweep, sweep_frames
from nvscope.devices.sweeper import FramesLost, Sweeper
from nvscope.errors import DataError, LimitError

_ATTEMPTS = 3
_OVERHEAD = 0.5
"""Rig seconds a sweep costs beyond its exposures; for estimates only."""

LineFinder = Callable[[NDArray[np.float64], NDArray[np.float64], float], tuple[float, float]]
"""Frequencies (Hz), image-mean spectrum and expected half splitting (Hz) → centre and half splitting (Hz)."""


@dataclass(frozen=True)
class OpenPoint:
    """Start a point: its purpose, frequency axis (Hz, ascending), frames per step and sweep, and how they are taken."""

    purpose: str
    frequencies: tuple[float, ...]
    frames: int
    exposure: float
    power_dbm: float
    laser_power: float
    order: Order = "alternate"
    seed: int = 0
    reference: Reference = "none"
    reference_frames: int = 1
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TakeBlock:
    """Take one block of `sweeps` whole sweeps of the open point."""

    sweeps: int = 1


@dataclass(frozen=True)
class ClosePoint:
    """Close the open point; with `find_pair` (Hz) a pair that far from its centre is sought in the mean spectrum."""

    attrs: Mapping[str, Any] = field(default_factory=dict)
    find_pair: float | None = None


Request = OpenPoint | TakeBlock | ClosePoint


class _Seen:
    """What the frames of a block say at a glance: image-mean counts summed per frequency."""

    def __init__(self, steps: int) -> None:
        self.light = np.zeros(steps)
        self.frames = np.zeros(steps)

    def add(self, step: int, image: NDArray[np.uint16]) -> None:
        """Take in one frame."""
        self.light[step] += float(image.mean())
        self.frames[step] += 1


class _Open:
    """The point being taken."""

    def __init__(self, request: OpenPoint, number: int) -> None:
        self.request = request
        self.number = number
        self.blocks = 0
        self.sweeps = 0
        self.frames = 0
        self.light = np.zeros(len(request.frequencies))
        self.lit = np.zeros(len(request.frequencies))

    @property
    def spectrum(self) -> NDArray[np.float64]:
        """Image-mean counts per frequency, so far; NaN where there is no frame."""
        with np.errstate(invalid="ignore"):
            return self.light / self.lit


class OdmrDevice(Device[Sweeper]):
    """Takes ODMR points through a sweeper, which knows how frames and frequencies are timed.

    Parameters
    ----------
    sweeper : Sweeper or None
        Camera, source, laser and their timing.
    sink : FrameSink or None
        Where frames go.
    find_lines : callable
        Finds the line pair in a coarse spectrum.
    shape : tuple of int
        Image shape (y, x), for estimates.
    readout : float
        Seconds between the end of an exposure and the next.
    attrs : mapping, optional
        Stored with every point: what the fit must know of the camera, pixel size.
    """

    def __init__(
        self,
        sweeper: Sweeper | None,
        sink: FrameSink | None,
        clock: Clock,
        limits: Limits,
        find_lines: LineFinder,
        shape: tuple[int, int],
        readout: float,
        observe: Observer = lambda values: None,
        name: str = "odmr",
        attrs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(name, sweeper, None, clock, observe)
        self._attrs = dict(attrs or {})
        self._sink = sink
        self._limits = limits
        self._find_lines = find_lines
        self._shape = shape
        self._readout = readout
        self._open: _Open | None = None
        self._assumed: OpenPoint | None = None
        self._last: dict[str, float] = dict.fromkeys(self.units(), math.nan)

    def check(self, value: Request) -> None:
        """Refuse what the rig's limits forbid."""
        if not isinstance(value, OpenPoint):
            return
        limits = self._limits
        f = np.asarray(value.frequencies)
        if f.size < 8 or np.any(np.diff(f) <= 0):
            raise LimitError(f"an ODMR point needs at least 8 ascending frequencies, got {f.size}")
        if f[0] < limits.frequency_min or f[-1] > limits.frequency_max:
            raise LimitError(
                f"frequencies {f[0] / 1e9:.4g} to {f[-1] / 1e9:.4g} GHz leave this rig's "
                f"{limits.frequency_min / 1e9:.4g} to {limits.frequency_max / 1e9:.4g} GHz"
            )
        if value.power_dbm > limits.microwave_power_dbm:
            raise LimitError(
                f"microwave power {value.power_dbm:g} dBm exceeds the limit of {limits.microwave_power_dbm:g}"
            )
        if not 0 < value.laser_power <= limits.laser_power:
            raise LimitError(f"laser power {value.laser_power:g} W is outside the limit of {limits.laser_power:g} W")
        if value.frames < 1 or value.exposure <= 0:
            raise LimitError("an ODMR point needs at least one frame per step and an exposure above zero")
        if value.order not in ORDERS:
            raise LimitError(f"sweep order {value.order!r} is not one of {', '.join(ORDERS)}")
        if value.reference not in REFERENCES or value.reference_frames < 1:
            raise LimitError(
                f"reference {value.reference!r} of {value.reference_frames} frames: choose one of "
                f"{', '.join(REFERENCES)} and at least one frame"
            )

    def set(self, value: Request) -> TaskStatus:
        """Carry out one request."""
        self.check(value)
        if isinstance(value, OpenPoint):
            return self._start(self._open_point(value), f"open {value.purpose}")
        if isinstance(value, TakeBlock):
            return self._start(self._take_block(value), "block")
        return self._start(self._close_point(value), "close")

    @property
    def sink(self) -> FrameSink:
        """Where frames go."""
        if self._sink is None:
            raise DataError("this rig only plans; it records nothing")
        return self._sink

    async def _open_point(self, request: OpenPoint) -> None:
        if self._open is not None:  # left over from an interrupted point: its committed blocks stay, it gets no more
            await self._finish(ClosePoint({"incomplete": True}))
        await self.role.prepare(request.exposure, request.power_dbm, request.laser_power)
        attrs = {
            **self._attrs,
            **request.attrs,
            "purpose": request.purpose,
            "exposure": request.exposure,
            "frames_per_step": request.frames,
            "microwave_power_dbm": request.power_dbm,
            "laser_power": request.laser_power,
            "order": request.order,
            "reference": request.reference,
        }
        if request.order == "random":
            attrs["seed"] = request.seed
        if request.reference != "none":
            attrs["reference_frames"] = request.reference_frames
        number = await self.sink.open_point("odmr", request.frequencies, self.role.shape, attrs)
        self._open = _Open(request, number)

    def _current(self) -> _Open:
        if self._open is None:
            raise DataError(f"{self.name}: no point is open; a plan opens one before taking blocks")
        return self._open

    async def _take_block(self, request: TakeBlock) -> None:
        point = self._current()
        for attempt in range(1, _ATTEMPTS + 1):
            block = point.blocks
            point.blocks += 1
            try:
                frames, seen = await self._sweeps(point, block, request.sweeps)
            except FramesLost as error:
                await self.sink.close_block(point.number, block, error.received, 0, False, str(error))
                if attempt == _ATTEMPTS:
                    raise
                continue
            except BaseException:
                await self.sink.close_block(point.number, block, 0, 0, False, "interrupted")
                raise
            if frames is None:  # told to stop
                await self.sink.close_block(point.number, block, 0, 0, False, "stopped")
                return
            await self.sink.close_block(point.number, block, frames, request.sweeps, True)
            point.sweeps += request.sweeps
            point.frames += frames
            point.light += seen.light
            point.lit += seen.frames
            self._remember(point, self.sink.latest(point.number))
            return

    async def _sweeps(self, point: _Open, block: int, sweeps: int) -> tuple[int | None, _Seen]:
        request = point.request
        total = 0
        seen = _Seen(len(request.frequencies))
        for sweep in range(point.sweeps, point.sweeps + sweeps):
            steps, off = sweep_frames(
                [request.frames] * len(request.frequencies),
                request.order,
                sweep,
                seed=request.seed,
                point=point.number,
                reference=request.reference,
                reference_frames=request.reference_frames,
            )
            frequencies = np.where(off, np.nan, np.asarray(request.frequencies)[steps]).tolist()

            async def deliver(
                number: int,
                image: NDArray[np.uint16],
                rig_time: float,
                steps: Any = steps,
                off: Any = off,
                sweep: int = sweep,
                before: int = total,
            ) -> None:
                step, dark = int(steps[number]), bool(off[number])
                if not dark:
                    seen.add(step, image)
                tag = FrameTag(point.number, block, sweep, step, before + number, dark, rig_time)
                await self.sink.frame(tag, image)

            if not await self.role.run(frequencies, deliver, self._pause_for):
                return None, seen
            total += len(frequencies)
        return total, seen

    async def _close_point(self, request: ClosePoint) -> None:
        self._current()
        await self._finish(request)

    async def _finish(self, request: ClosePoint) -> None:
        point = self._current()
        self._open = None
        await self.role.rest()
        summary = await self.sink.close_point(point.number, {**request.attrs, "frames": point.frames})
        if request.find_pair is not None and point.sweeps:
            used = point.lit > 0
            axis = np.asarray(point.request.frequencies)[used]
            center, half = self._find_lines(axis, point.spectrum[used], request.find_pair)
            known = summary or MapSummary(center, half, math.nan, 0.0)
            summary = replace(known, center=center, half_splitting=half)
        self._remember(point, summary)

    def _remember(self, point: _Open, summary: MapSummary | None) -> None:
        known = summary or MapSummary(math.nan, math.nan, math.nan, 0.0)
        values = (point.number, point.sweeps, point.frames, known.center, known.half_splitting, known.b_err)
        self._last = dict(zip(self.units(), map(float, values), strict=True))
        if math.isfinite(known.b_err):
            self._observe({"b_err": known.b_err})

    async def read(self) -> dict[str, Any]:
        """Return the state of the last point: number, sweeps, frames, median centre, half splitting and δB."""
        return self._reading(self._last)

    def units(self) -> Mapping[str, str]:
        """Return the units of `read`."""
        n = self.name
        return {
            f"{n}_point": "",
            f"{n}_sweeps": "",
            f"{n}_frames": "",
            f"{n}_center": "Hz",
            f"{n}_half_splitting": "Hz",
            f"{n}_b_err": "T",
        }

    def estimate(self, value: Request, before: Assumed) -> Assumed:
        """Return what a request is assumed to take."""
        if isinstance(value, OpenPoint):
            self._assumed = value
            return before.after(0.0, points=before.points + 1)
        if isinstance(value, TakeBlock) and self._assumed is not None:
            asked = self._assumed
            steps = len(asked.frequencies)
            frames = frames_per_sweep(asked.frames, steps, asked.reference, asked.reference_frames) * value.sweeps
            seconds = frames * (asked.exposure + self._readout) + value.sweeps * _OVERHEAD
            kinds = 1 if asked.reference == "none" else 2
            size = 4 * kinds * steps * self._shape[0] * self._shape[1]
            return before.after(seconds, frames=before.frames + frames, bytes=before.bytes + size)
        return before

    def predict(self, state: Assumed) -> dict[str, Any]:
        """Return the reading a plan would see: the lines are assumed in the middle of what is swept."""
        request = self._assumed
        frequencies: Sequence[float] = request.frequencies if request else (math.nan,)
        center = 0.5 * (frequencies[0] + frequencies[-1])
        values = (state.points, 1, state.frames, center, 28.024951e9 * abs(state.field), math.nan)
        return self._reading(dict(zip(self.units(), values, strict=True)))
