"""Wide-field ODMR as something a plan can set: open a point, take blocks of sweeps, close the point.

The three requests are separate messages so that a pause replays at most one block, and a block is the unit that is
committed to disk or forgotten.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.clock import Clock
from nvscope.config import Limits
from nvscope.config.polygons import Crop, cropped
from nvscope.devices.base import USUAL_SHAPE, Assumed, Device, Observer
from nvscope.devices.odmr_point import OpenedPoint, Placer, Seen, dimmed
from nvscope.devices.odmr_requests import ClosePoint, OpenPoint, Request, TakeBlock, check_point
from nvscope.devices.sink import BlockRefused, FrameSink, FrameTag, MapSummary
from nvscope.devices.status import TaskStatus
from nvscope.devices.sweep_order import sweep_frames
from nvscope.devices.sweeper import Sweeper, SweepSpoilt
from nvscope.errors import DataError
from nvscope.stream.registration import FEWEST_PIXELS, shift_between

__all__ = ["ClosePoint", "LineFinder", "OdmrDevice", "OpenPoint", "Request", "TakeBlock"]

_ATTEMPTS = 3
_MAPS = 17
"""Images of 4 bytes that a fit leaves of every point; for estimates only."""
_OVERHEAD = 0.5
"""Rig seconds a sweep costs beyond its exposures; for estimates only."""

LineFinder = Callable[[NDArray[np.float64], NDArray[np.float64], float], tuple[float, float]]
"""Frequencies (Hz), image-mean spectrum and expected half splitting (Hz) → centre and half splitting (Hz)."""


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
    shape : tuple of int or None
        Image shape (y, x) of the camera; None where it is not known yet.
    readout : float
        Seconds between the end of an exposure and the next.
    attrs : mapping, optional
        Stored with every point: what the fit must know of the camera, pixel size.
    place : callable, optional
        Places the frames of adaptive sweeps.
    """

    def __init__(
        self,
        sweeper: Sweeper | None,
        sink: FrameSink | None,
        clock: Clock,
        limits: Limits,
        find_lines: LineFinder,
        shape: tuple[int, int] | None,
        readout: float,
        observe: Observer = lambda values: None,
        name: str = "odmr",
        attrs: Mapping[str, Any] | None = None,
        place: Placer | None = None,
    ) -> None:
        super().__init__(name, sweeper, None, clock, observe)
        self._attrs = dict(attrs or {})
        self._sink = sink
        self._limits = limits
        self._find_lines = find_lines
        self._shape = shape
        self._readout = readout
        self._place = place
        self._open: OpenedPoint | None = None
        self._assumed: OpenPoint | None = None
        self._assumed_sweeps = 0
        self._anchors: dict[Crop | None, NDArray[np.uint64]] = {}
        self._last: dict[str, float] = dict.fromkeys(self.units(), math.nan)

    def check(self, value: Request) -> None:
        """Refuse what the rig's limits forbid."""
        if isinstance(value, OpenPoint):
            check_point(value, self._limits, self._shape)

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
        await self._prepare(request)
        attrs = {**self._attrs, **request.attrs, **request.stored()}
        region = request.region
        if request.crop is not None and self._shape is not None:
            attrs["crop"], attrs["image_shape"] = list(request.crop), list(self._shape)
            region = tuple(cropped(vertices, request.crop, self._shape) for vertices in region)
        if region:
            attrs["region"] = [[list(vertex) for vertex in vertices] for vertices in region]
        number = await self.sink.open_point("odmr", request.frequencies, self.role.shape, attrs)
        self._open = OpenedPoint(request, number)

    async def _prepare(self, request: OpenPoint) -> None:
        await self.role.prepare(request.exposure, request.power_dbm, request.laser_power, request.crop)

    def _current(self) -> OpenedPoint:
        if self._open is None:
            raise DataError(f"{self.name}: no point is open; a plan opens one before taking blocks")
        return self._open

    async def _take_block(self, request: TakeBlock) -> None:
        point = self._current()
        with self.clock.hold():  # placing takes some 50 ms, in which an abort must still be heard
            counts = await asyncio.to_thread(point.next_frames, self._place, self.sink.latest(point.number))
        for attempt in range(1, _ATTEMPTS + 1):
            block = point.blocks
            point.blocks += 1
            try:
                frames, seen = await self._sweeps(point, block, request.sweeps, counts)
            except SweepSpoilt as error:
                await self.sink.close_block(point.number, block, error.received, 0, False, str(error))
                if self._stopping.is_set():  # and made safe, which may be what spoilt it: nothing goes on again
                    return
                if attempt == _ATTEMPTS:
                    raise SweepSpoilt(
                        f"{_ATTEMPTS} blocks in a row discarded, the last: {error}", error.received
                    ) from None
                await self._prepare(point.request)  # what has gone off is switched on again, or says why it cannot be
                continue
            except BaseException:
                await self.sink.close_block(point.number, block, 0, 0, False, "interrupted")
                raise
            if frames is None:  # told to stop
                await self.sink.close_block(point.number, block, 0, 0, False, "stopped")
                return
            shift = await self._moved(seen, point.request)
            try:
                await self.sink.close_block(point.number, block, frames, request.sweeps, True, shift=shift)
            except BlockRefused:
                if attempt == _ATTEMPTS:
                    raise
                continue
            point.take(request.sweeps, frames, seen)
            newest = self.sink.latest(point.number)
            if request.fitted:
                newest = await self.sink.fitted(point.number, point.blocks)
            self._remember(point, newest)
            return

    async def _sweeps(
        self, point: OpenedPoint, block: int, sweeps: int, counts: NDArray[np.int64]
    ) -> tuple[int | None, Seen]:
        request = point.request
        total, offset = 0, float(self._attrs.get("camera_offset", 0.0))
        large = min(self.role.shape) >= FEWEST_PIXELS  # a smaller image shows nothing move
        seen = Seen(len(request.frequencies), self.role.shape if request.drift and large else None)
        for sweep in range(point.sweeps, point.sweeps + sweeps):
            steps, off = sweep_frames(
                counts,
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
                seen.add(step, image, dark=dark)
                tag = FrameTag(point.number, block, sweep, step, before + number, dark, rig_time)
                await self.sink.frame(tag, image)

            if not await self.role.run(frequencies, deliver, self._pause_for):
                return None, seen
            total += len(frequencies)
            wrong = "; ".join(await self.role.wrong()) or dimmed(seen.levels, offset, max(0.0, point.light - offset))
            if wrong:
                raise SweepSpoilt(wrong, total)
        return total, seen

    async def _moved(self, seen: Seen, request: OpenPoint) -> tuple[float, float] | None:
        """Return how far a block's image has moved against the run's first (y, x; pixels), None if nobody asked."""
        if seen.image is None:
            return None
        anchor = self._anchors.setdefault(request.crop, seen.image)
        if anchor is seen.image:
            return 0.0, 0.0
        with self.clock.hold():
            return await asyncio.to_thread(shift_between, seen.image, anchor)

    async def _close_point(self, request: ClosePoint) -> None:
        self._current()
        await self._finish(request)

    async def _finish(self, request: ClosePoint) -> None:
        point = self._current()
        self._open = None
        await self.role.rest()
        attrs = {**request.attrs, "frames": point.frames}
        if point.widened:
            attrs["widened_sweeps"] = point.widened
        summary = await self.sink.close_point(point.number, attrs)
        if request.find_pair is not None and point.sweeps:
            center, half = self._find_lines(*point.spectrum(), request.find_pair)
            known = summary or MapSummary(center, half, math.nan, 0.0)
            summary = replace(known, center=center, half_splitting=half)
        self._remember(point, summary)

    def _remember(self, point: OpenedPoint, summary: MapSummary | None) -> None:
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
            self._assumed, self._assumed_sweeps = value, 0
            return before.after(0.0, points=before.points + 1)
        if isinstance(value, TakeBlock) and self._assumed is not None:
            asked = self._assumed
            steps = len(asked.frequencies)
            frames = asked.frames_of(self._assumed_sweeps) * value.sweeps
            self._assumed_sweeps += value.sweeps
            seconds = frames * (asked.exposure + self._readout) + value.sweeps * _OVERHEAD
            kinds = 1 if asked.reference == "none" else 2
            size = 4 * kinds * steps * self._pixels(asked)
            spare = before.spare + (seconds if value.spare else 0.0)
            return before.after(seconds, frames=before.frames + frames, bytes=before.bytes + size, spare=spare)
        if isinstance(value, ClosePoint) and self._assumed is not None:
            return before.after(0.0, bytes=before.bytes + 4 * _MAPS * self._pixels(self._assumed))
        return before

    def _pixels(self, point: OpenPoint) -> int:
        height, width = point.crop[3:1:-1] if point.crop is not None else self._shape or USUAL_SHAPE
        return height * width

    def predict(self, state: Assumed) -> dict[str, Any]:
        """Return the reading a plan would see: the lines are assumed in the middle of what is swept."""
        request = self._assumed
        frequencies: Sequence[float] = request.frequencies if request else (math.nan,)
        center = 0.5 * (frequencies[0] + frequencies[-1])
        values = (state.points, 1, state.frames, center, 28.024951e9 * abs(state.field), math.nan)
        return self._reading(dict(zip(self.units(), values, strict=True)))
