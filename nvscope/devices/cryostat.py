"""The sample's temperature as something a plan can set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nvscope.clock import Clock
from nvscope.config import Limits, Settling
from nvscope.devices.base import Assumed, Device, Observer
from nvscope.devices.roles import Cryostat
from nvscope.devices.settle import Band, settle
from nvscope.devices.status import TaskStatus
from nvscope.devices.worker import Worker
from nvscope.errors import LimitError

_FAR_POLL, _NEAR_POLL = 10.0, 2.0
_TRAILING = 3.5
"""Rig seconds by which a regulated sample typically trails its ramp; for estimates only."""
_TAKING_OVER = 20.0
"""The same for one that is asked to hold where it happens to be: its heater begins at nothing."""


@dataclass(frozen=True)
class Temperature:
    """A temperature to reach (K) and the rate of the ramp towards it (K/s)."""

    target: float
    rate: float


class CryostatDevice(Device[Cryostat]):
    """Ramps the temperature and waits until it has stayed in its band for the dwell."""

    def __init__(
        self,
        role: Cryostat | None,
        worker: Worker | None,
        clock: Clock,
        limits: Limits,
        settling: Settling,
        observe: Observer = lambda values: None,
        name: str = "cryostat",
    ) -> None:
        super().__init__(name, role, worker, clock, observe)
        self._limits = limits
        self._settling = settling

    def check(self, value: Temperature) -> None:
        """Refuse what the rig's limits forbid."""
        low, high = self._limits.temperature_min, self._limits.temperature_max
        if not low <= value.target <= high:
            raise LimitError(f"temperature {value.target:g} K is outside this rig's {low:g} to {high:g} K")
        if not 0 < value.rate <= self._limits.temperature_rate * (1 + 1e-9):
            raise LimitError(
                f"temperature rate {value.rate * 60:g} K/min is outside this rig's limit of "
                f"{self._limits.temperature_rate * 60:g} K/min"
            )

    def set(self, value: Temperature) -> TaskStatus:
        """Ramp to `value` and settle there."""
        self.check(value)
        return self._start(self._move(value), f"to {value.target:g} K")

    async def _move(self, value: Temperature) -> None:
        start = await self.temperature()
        await self.worker.call(self.role.start_ramp, value.target, value.rate)
        band = Band(
            value.target,
            self._settling.temperature_band,
            self._settling.temperature_dwell,
            self.clock.now() + abs(value.target - start) / value.rate,
            self._settling.temperature_timeout,
            "K",
        )

        def pause(reading: float) -> float:
            return _FAR_POLL if abs(reading - value.target) > value.rate * 2 * _FAR_POLL + 1.0 else _NEAR_POLL

        reached = await settle(self.clock, self.temperature, band, pause, self._pause_for, self.name)
        if not reached:
            await self.worker.call(self.role.hold)

    async def temperature(self) -> float:
        """Read the sample temperature (K)."""
        value = await self.worker.call(self.role.temperature)
        self._observe({"temperature": value})
        return value

    async def read(self) -> dict[str, Any]:
        """Read the temperature as bluesky wants it."""
        return self._reading({f"{self.name}_temperature": await self.temperature()})

    def units(self) -> Mapping[str, str]:
        """Return the units of `read`."""
        return {f"{self.name}_temperature": "K"}

    def estimate(self, value: Temperature, before: Assumed) -> Assumed:
        """Return what setting `value` is assumed to bring about."""
        settling = self._settling
        way = abs(value.target - before.temperature)
        if way > settling.temperature_band:
            arrival = _arrival(way, value.rate, settling.temperature_band)
        else:
            arrival = 0.0 if before.regulated else _TAKING_OVER
        return before.after(arrival + settling.temperature_dwell, temperature=value.target, regulated=True)

    def predict(self, state: Assumed) -> dict[str, Any]:
        """Return the reading a plan would see."""
        return self._reading({f"{self.name}_temperature": state.temperature})


def _arrival(way: float, rate: float, band: float) -> float:
    """Rig seconds until a sample that trails a ramp over `way` (K) at `rate` (K/s) enters a `band` (K) of its end.

    A slow ramp is in the band well before it ends, a fast one leaves the sample behind.
    """
    behind = rate * _TRAILING
    late = _TRAILING * math.log(behind / band) if behind > band else _TRAILING - band / rate
    return max(0.0, way / rate + late)
