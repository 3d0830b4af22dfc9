"""The objective's focus as something a plan can set, and how sharp the image is there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.clock import Clock
from nvscope.config import Detector, Limits
from nvscope.config.polygons import Crop
from nvscope.devices.base import Assumed, Device, Observer, check_exposure
from nvscope.devices.roles import Focus
from nvscope.devices.sharpness import FEWEST_FRAMES, sharpness
from nvscope.devices.status import TaskStatus
from nvscope.devices.sweeper import Sweeper
from nvscope.devices.worker import Worker
from nvscope.errors import LimitError, SettleTimeout

_POLL = 0.02
_PATIENCE = 10.0
"""Rig seconds a piezo is given to settle; it takes a hundredth of that."""
_USUAL_MOVE = 0.06
"""Rig seconds a piezo takes to settle, looked at every _POLL; for estimates only."""


_FAINT = -40.0
"""dBm: the source is on for the moment in which the sweeper loads its list, and off in every entry."""


@dataclass(frozen=True)
class Position:
    """Where to move the focus (m)."""

    target: float


@dataclass(frozen=True)
class Look:
    """Take `frames` images with laser and without microwaves, and say how sharp they are; they are not stored."""

    frames: int
    exposure: float
    laser_power: float
    crop: Crop | None = None


class FocusDevice(Device[Focus]):
    """Moves the focus and judges the image through the sweeper, as ODMR points see it.

    Parameters
    ----------
    sweeper : Sweeper or None
        Camera, source, laser and their timing.
    detector : Detector
        The camera as the rig file describes it.
    """

    def __init__(
        self,
        role: Focus | None,
        worker: Worker | None,
        clock: Clock,
        limits: Limits,
        sweeper: Sweeper | None,
        detector: Detector,
        observe: Observer = lambda values: None,
        name: str = "focus",
    ) -> None:
        super().__init__(name, role, worker, clock, observe)
        self._limits = limits
        self._sweeper = sweeper
        self._detector = detector
        low, high = (-math.inf, math.inf) if role is None else role.travel
        self.travel = (
            low if limits.focus_min is None else max(low, limits.focus_min),
            high if limits.focus_max is None else min(high, limits.focus_max),
        )
        """Lowest and highest position (m) by rig file and drive; while planning, by the rig file alone."""
        self._seen = (math.nan, math.nan)

    def check(self, value: Position | Look) -> None:
        """Refuse what the rig's limits forbid; while planning a position is not known, and NaN."""
        if isinstance(value, Position):
            low, high = self.travel
            if value.target < low or value.target > high:
                raise LimitError(
                    f"focus {value.target * 1e6:.4g} um is outside this rig's {low * 1e6:.4g} to {high * 1e6:.4g} um"
                )
        elif not 0 < value.laser_power <= self._limits.laser_power:
            raise LimitError(
                f"laser power {value.laser_power:g} W is outside the limit of {self._limits.laser_power:g} W"
            )
        elif value.frames < FEWEST_FRAMES:
            raise LimitError(f"focusing needs at least {FEWEST_FRAMES} frames")
        else:
            check_exposure(value.exposure, self._limits)

    def set(self, value: Position | Look) -> TaskStatus:
        """Move, or look."""
        self.check(value)
        if isinstance(value, Position):
            return self._start(self._move(value.target), f"to {value.target * 1e6:.4g} um")
        return self._start(self._look(value), "look")

    async def _move(self, target: float) -> None:
        await self.worker.call(self.role.start_move, target)
        deadline = self.clock.now() + _PATIENCE
        while not await self.worker.call(self.role.settled):
            if self.clock.now() > deadline:
                raise SettleTimeout(
                    f"{self.name} has not settled at {target * 1e6:.4g} um within {_PATIENCE:g} s; "
                    "is something in its way, or is it badly tuned?"
                )
            if await self._pause_for(_POLL):
                return

    async def _look(self, value: Look) -> None:
        sweeper = self._sweeper
        assert sweeper is not None
        self._seen = (math.nan, math.nan)
        images: list[NDArray[np.uint16]] = []

        async def keep(number: int, image: NDArray[np.uint16], rig_time: float) -> None:
            images.append(image)

        await sweeper.prepare(value.exposure, _FAINT, value.laser_power, value.crop)
        try:
            whole = await sweeper.run([math.nan] * value.frames, keep, self._pause_for)
        finally:
            await sweeper.rest()
        if whole:
            self._seen = sharpness(np.stack(images), self._detector.offset)

    async def read(self) -> dict[str, Any]:
        """Return position (m), and sharpness and its error where it was last looked at."""
        position = await self.worker.call(self.role.position)
        return self._reading(dict(zip(self.units(), (position, *self._seen), strict=True)))

    def units(self) -> Mapping[str, str]:
        """Return the units of `read`."""
        return {f"{self.name}_position": "m", f"{self.name}_sharpness": "", f"{self.name}_sharpness_err": ""}

    def estimate(self, value: Position | Look, before: Assumed) -> Assumed:
        """Return what a request is assumed to take."""
        if isinstance(value, Position):
            return before.after(_USUAL_MOVE)
        seconds = (value.frames + 0.5) * (value.exposure + self._detector.readout)  # half a period: see the sweeper
        return before.after(seconds, frames=before.frames + value.frames)

    def predict(self, state: Assumed) -> dict[str, Any]:
        """Return the reading a plan would see: nothing is known."""
        return self._reading(dict.fromkeys(self.units(), math.nan))
