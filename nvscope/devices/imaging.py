"""Light and plain images: what calibrations need beside ODMR.

`Light` leaves laser and microwaves on or off until the next one; `Images` takes frames as a point of its own, summed
like ODMR frames, with what a photon-transfer curve needs. Every run ends in the safe state, which darkens everything.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.clock import Clock
from nvscope.config import Detector, Limits
from nvscope.devices.base import USUAL_SHAPE, Assumed, Device, Observer, check_exposure
from nvscope.devices.roles import Camera, Laser, MicrowaveSource, Timing
from nvscope.devices.sink import FrameSink, FrameTag
from nvscope.devices.status import TaskStatus
from nvscope.devices.worker import Worker
from nvscope.errors import DataError, LimitError

_OVERHEAD = 0.5
_CHUNK = 0.5
_STALL = 5.0
"""Wall seconds without a due frame before images are given up."""
_BRIGHT = 99.0
"""Percentile that stands for the brightest pixels: hot pixels, one in two thousand, must not set the exposure."""
_TYPICAL = 0.7


@dataclass(frozen=True)
class Light:
    """What shines from now on: laser (W, 0 gates it) and microwaves (dBm, None for off) at `frequency` (Hz).

    `wait` is how long (rig s) temperatures are given to follow.
    """

    laser_power: float = 0.0
    microwave_dbm: float | None = None
    frequency: float = 2.87e9
    wait: float = 0.0


@dataclass(frozen=True)
class Images:
    """Take `frames` images at `exposure` (s) in the present light, as a point."""

    purpose: str
    frames: int
    exposure: float
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """Pairs of role and worker that images are made with."""

    camera: tuple[Camera, Worker]
    microwave: tuple[MicrowaveSource, Worker]
    laser: tuple[Laser, Worker]
    timing: tuple[Timing, Worker]


@dataclass
class _Exposed:
    """Images being summed up; `squares` holds squared differences of neighbours."""

    total: NDArray[np.float64]
    frames: int = 0
    squares: float = 0.0
    before: NDArray[np.float64] | None = None

    def add(self, image: NDArray[np.uint16]) -> None:
        frame = image.astype(np.float64)
        self.total += frame
        self.frames += 1
        if self.before is not None:
            self.squares += float(((frame - self.before) ** 2).mean())
        self.before = frame

    @property
    def variance(self) -> float:
        """Variance in time (counts²), mean over pixels: half the mean squared difference of neighbours."""
        return self.squares / (2 * (self.frames - 1)) if self.frames > 1 else math.nan


class ImagingDevice(Device[Bench]):
    """Switches light and takes images.

    Parameters
    ----------
    bench : Bench or None
        Camera, source, laser and gate.
    sink : FrameSink or None
        Where frames go.
    detector : Detector
        The camera as the rig file describes it.
    shape : tuple of int
        Its image (y, x); for estimates only.
    """

    def __init__(
        self,
        bench: Bench | None,
        sink: FrameSink | None,
        clock: Clock,
        limits: Limits,
        detector: Detector,
        observe: Observer = lambda values: None,
        name: str = "images",
        shape: tuple[int, int] = USUAL_SHAPE,
    ) -> None:
        super().__init__(name, bench, None, clock, observe)
        self._shape = shape
        self._sink = sink
        self._limits = limits
        self._detector = detector
        self._light = Light()
        self._assumed: Images | None = None
        self._last = dict.fromkeys(self.units(), math.nan)

    def check(self, value: Light | Images) -> None:
        """Refuse what the rig's limits forbid."""
        limits = self._limits
        if isinstance(value, Images):
            if value.frames < 2:
                raise LimitError("images need at least two frames, for their noise")
            check_exposure(value.exposure, limits)
            return
        if not 0 <= value.laser_power <= limits.laser_power:
            raise LimitError(f"laser power {value.laser_power:g} W is outside the limit of {limits.laser_power:g} W")
        if value.microwave_dbm is None:
            return
        if value.microwave_dbm > limits.microwave_power_dbm:
            raise LimitError(
                f"microwave power {value.microwave_dbm:g} dBm exceeds the limit of {limits.microwave_power_dbm:g} dBm"
            )
        if not limits.frequency_min <= value.frequency <= limits.frequency_max:
            raise LimitError(
                f"frequency {value.frequency / 1e9:.4g} GHz leaves this rig's "
                f"{limits.frequency_min / 1e9:.4g} to {limits.frequency_max / 1e9:.4g} GHz"
            )

    def set(self, value: Light | Images) -> TaskStatus:
        """Switch the light, or take images."""
        self.check(value)
        if isinstance(value, Light):
            return self._start(self._shine(value), f"light {value.laser_power:g} W")
        return self._start(self._take(value), value.purpose)

    async def _shine(self, light: Light) -> None:
        (microwave, microwave_worker), (laser, laser_worker) = self.role.microwave, self.role.laser
        timing, timing_worker = self.role.timing
        if light.microwave_dbm is None:
            await microwave_worker.call(microwave.set_output, False)
        else:
            await microwave_worker.call(microwave.set_frequency, light.frequency)
            await microwave_worker.call(microwave.set_power_dbm, light.microwave_dbm)
            await microwave_worker.call(microwave.set_output, True)
        if light.laser_power > 0:
            await laser_worker.call(laser.set_power, light.laser_power)
            await laser_worker.call(laser.set_emission, True)
        await timing_worker.call(timing.set_gate, light.laser_power > 0)
        self._light = light
        if light.wait > 0:
            await self._pause_for(light.wait)

    async def _take(self, request: Images) -> None:
        if self._sink is None:
            raise DataError("this rig only plans; it records nothing")
        camera, worker = self.role.camera
        detector = self._detector
        exposed = _Exposed(np.zeros(camera.shape))
        attrs = {
            "purpose": request.purpose,
            "exposure": request.exposure,
            "laser_power": self._light.laser_power,
            "microwave_power_dbm": self._light.microwave_dbm,
            "camera_gain": detector.gain,
            "camera_offset": detector.offset,
            "read_noise": detector.read_noise,
            "saturation": camera.saturation,
            **request.attrs,
        }
        number = await self._sink.open_point("images", (0.0,), camera.shape, attrs)
        await worker.call(camera.set_exposure, request.exposure)
        await worker.call(camera.arm, request.frames, external=False)
        try:
            whole = await self._collect(request, exposed, number)
        finally:
            await worker.call(camera.disarm)
        await self._sink.close_block(number, 0, exposed.frames, 1, whole, "" if whole else "stopped")
        mean = exposed.total / max(1, exposed.frames)
        bright = float(np.percentile(mean, _BRIGHT))
        values = {
            "level": (bright - detector.offset) / (camera.saturation - detector.offset),
            "mean": float(mean.mean()),
            "variance": exposed.variance,
        }
        await self._sink.close_point(number, {**values, "frames": exposed.frames, "pixels": mean.size}, maps=False)
        self._last = {f"{self.name}_{key}": value for key, value in values.items()}

    async def _collect(self, request: Images, exposed: _Exposed, number: int) -> bool:
        """Send every frame on its way; False if told to stop."""
        assert self._sink is not None
        camera, worker = self.role.camera
        period = request.exposure + self._detector.readout
        begin, last_seen = self.clock.now(), time.monotonic()
        while exposed.frames < request.frames:
            for frame in await worker.call(camera.pop, 0.02):
                exposed.add(frame.image)
                tag = FrameTag(number, 0, 0, 0, frame.number, False, self.clock.now())
                await self._sink.frame(tag, frame.image)
                last_seen = time.monotonic()
            due = int((self.clock.now() - begin) / period)
            if exposed.frames >= min(due, request.frames):
                if await self._pause_for(min(_CHUNK, (request.frames - exposed.frames + 0.5) * period)):
                    return False
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > _STALL:
                raise DataError(f"{self.name}: the camera has been silent for {_STALL:g} s; is it set to free running?")
        return True

    async def read(self) -> dict[str, Any]:
        """Return brightest level (of full well), mean and variance in time (counts, counts²) of the last images."""
        return self._reading(self._last)

    def units(self) -> Mapping[str, str]:
        """Return the units of `read`."""
        return {f"{self.name}_level": "", f"{self.name}_mean": "", f"{self.name}_variance": ""}

    def estimate(self, value: Light | Images, before: Assumed) -> Assumed:
        """Return what a request is assumed to take."""
        if isinstance(value, Light):
            self._light = value
            return before.after(value.wait)
        seconds = value.frames * (value.exposure + self._detector.readout) + _OVERHEAD
        size = 4 * self._shape[0] * self._shape[1]
        return before.after(
            seconds, points=before.points + 1, frames=before.frames + value.frames, bytes=before.bytes + size
        )

    def predict(self, state: Assumed) -> dict[str, Any]:
        """Return the reading a plan would see: an exposure that is about right."""
        return self._reading(dict(zip(self.units(), (_TYPICAL, math.nan, math.nan), strict=True)))
