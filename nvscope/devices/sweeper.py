"""How a sweep is timed: the same frequencies and frames, clocked by hardware or stepped by software."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nvscope.clock import Clock
from nvscope.config.polygons import Crop
from nvscope.devices.roles import Camera, Laser, MicrowaveSource, Timing
from nvscope.devices.worker import Worker
from nvscope.errors import DataError

Deliver = Callable[[int, NDArray[np.uint16], float], Awaitable[None]]
"""Takes frame number, image and rig time (s)."""
Pause = Callable[[float], Awaitable[bool]]
"""Sleeps rig time (s); True if the sweep is to end early."""

_CHUNK = 0.5
"""Rig seconds between looks at the camera."""
_STALL = 5.0
"""Wall seconds without a due frame before a sweep is given up."""


class SweepSpoilt(DataError):
    """A sweep that must not be kept; its `received` frames are not what they seem. It can be taken again."""

    def __init__(self, why: str, received: int) -> None:
        super().__init__(why)
        self.received = received


class FramesLost(SweepSpoilt):
    """Frames received do not match pulses sent."""

    def __init__(self, received: int, expected: int, why: str) -> None:
        super().__init__(f"{received} of {expected} frames arrived: {why}", received)


class Sweeper(Protocol):
    """Runs sweeps; knows nothing of points or storage."""

    @property
    def shape(self) -> tuple[int, int]:
        """Image shape (y, x)."""
        ...

    async def prepare(self, exposure: float, power_dbm: float, laser_power: float, crop: Crop | None = None) -> None:
        """Set exposure (s), microwave and laser power (dBm, W) and the part of the image read out, open the light."""
        ...

    async def run(self, frequencies: Sequence[float], deliver: Deliver, pause: Pause) -> bool:
        """Take one frame per entry of `frequencies` (Hz; NaN: microwaves off); False if told to stop.

        Raises
        ------
        FramesLost
            If any frame is missing, repeated or out of order.
        """
        ...

    async def wrong(self) -> tuple[str, ...]:
        """Return what is or was wrong with source or laser since the point was prepared or this was last asked.

        Each says which instrument and what; asked between sweeps.
        """
        ...

    async def rest(self) -> None:
        """Microwaves off, light gated, camera stopped."""
        ...


class HardwareSweeper:
    """One counter clocks source, camera and nothing else moves: frame k belongs to list entry k.

    Parameters
    ----------
    camera, microwave, laser, timing
        Pairs of role and worker.
    clock : Clock
        Rig time.
    readout : float
        Seconds between the end of an exposure and the earliest next trigger.
    """

    def __init__(
        self,
        camera: tuple[Camera, Worker],
        microwave: tuple[MicrowaveSource, Worker],
        laser: tuple[Laser, Worker],
        timing: tuple[Timing, Worker],
        clock: Clock,
        readout: float,
    ) -> None:
        self._camera, self._camera_worker = camera
        self._microwave, self._microwave_worker = microwave
        self._laser, self._laser_worker = laser
        self._timing, self._timing_worker = timing
        self._clock = clock
        self._readout = readout
        self._period = 0.0
        self._gated = False
        self._missteps: list[str] = []
        self._crop: Crop | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Image shape (y, x)."""
        return self._camera.shape

    async def prepare(self, exposure: float, power_dbm: float, laser_power: float, crop: Crop | None = None) -> None:
        """Set exposure (s), microwave and laser power (dBm, W) and the part of the image read out, open the light."""
        self._period = exposure + self._readout
        if crop != self._crop:
            await self._camera_worker.call(self._camera.set_region, crop)
            self._crop = crop
        await self._camera_worker.call(self._camera.set_exposure, exposure)
        await self._laser_worker.call(self._laser.set_power, laser_power)
        await self._laser_worker.call(self._laser.set_emission, True)
        await self._microwave_worker.call(self._microwave.set_power_dbm, power_dbm)
        await self._microwave_worker.call(self._microwave.set_output, True)
        await self._timing_worker.call(self._timing.set_gate, True)
        await self._microwave_worker.call(self._microwave.faults)  # what was latched before is nobody's fault now
        self._missteps.clear()

    async def run(self, frequencies: Sequence[float], deliver: Deliver, pause: Pause) -> bool:
        """Take one frame per entry of `frequencies` (Hz), in trains no longer than the source's list."""
        capacity = max(1, self._microwave.list_capacity)
        for start in range(0, len(frequencies), capacity):
            part = frequencies[start : start + capacity]
            if not await self._train(part, start, deliver, pause):
                return False
        return True

    async def _train(self, frequencies: Sequence[float], first: int, deliver: Deliver, pause: Pause) -> bool:
        expected = len(frequencies)
        if self._gated:  # the list before may have ended on an entry with microwaves off
            await self._microwave_worker.call(self._microwave.set_output, True)
        self._gated = any(math.isnan(frequency) for frequency in frequencies)
        await self._microwave_worker.call(self._microwave.load_list, frequencies)
        await self._camera_worker.call(self._camera.arm, expected, external=True)
        await self._timing_worker.call(self._timing.prepare_train, expected, 1.0 / self._period)
        try:
            begin = self._clock.now()
            await self._timing_worker.call(self._timing.start_train)
            if not await self._collect(begin, expected, first, deliver, pause):
                return False
            await self._look_at_list(expected)
            return True
        finally:
            await self._timing_worker.call(self._timing.stop_train)
            await self._camera_worker.call(self._camera.disarm)

    async def _collect(self, begin: float, expected: int, first: int, deliver: Deliver, pause: Pause) -> bool:
        received = 0
        last_seen = time.monotonic()
        while received < expected:
            due = min(expected, int((self._clock.now() - begin) / self._period))
            if received >= due:
                if await pause(min(_CHUNK, (expected - received + 0.5) * self._period)):
                    return False
                last_seen = time.monotonic()
                continue
            frames = await self._camera_worker.call(self._camera.pop, 0.05)
            for frame in frames:
                if frame.number != received:
                    raise FramesLost(received, expected, f"frame {received} is missing, frame {frame.number} came")
                if received + 1 > (self._clock.now() - begin) / self._period + 1.5 or received >= expected:
                    raise FramesLost(received + 1, expected, "more frames came than pulses were sent")
                await deliver(first + received, frame.image, begin + (received + 1) * self._period)
                received += 1
            if frames:
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > _STALL:
                raise FramesLost(received, expected, f"the camera has been silent for {_STALL:g} s; check its trigger")
        return True

    async def _look_at_list(self, expected: int) -> None:
        """Note where the source's list does not stand where so many triggers take it: at its beginning again."""
        position = await self._microwave_worker.call(self._microwave.list_position)
        if position:
            self._missteps.append(
                f"after {expected} triggers its list of {expected} entries stands at entry {position}, not at 0 again: "
                f"{expected - position} missed or {position} counted twice; look at level and cable of the trigger line"
            )

    async def wrong(self) -> tuple[str, ...]:
        """Return what is or was wrong with source or laser since the point was prepared or this was last asked."""
        laser = await self._laser_worker.call(self._laser.faults)
        microwave = [*self._missteps, *await self._microwave_worker.call(self._microwave.faults)]
        self._missteps.clear()
        return (
            *(f"{self._laser_worker.name}: {fault}" for fault in laser),
            *(f"{self._microwave_worker.name}: {fault}" for fault in microwave),
        )

    async def rest(self) -> None:
        """Microwaves off, light gated, camera stopped."""
        await self._timing_worker.call(self._timing.set_gate, False)
        await self._microwave_worker.call(self._microwave.set_output, False)
        await self._microwave_worker.call(self._microwave.leave_list)
        await self._camera_worker.call(self._camera.disarm)
