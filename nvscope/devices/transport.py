"""Four-probe resistance as something a plan can trigger and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nvscope.clock import Clock
from nvscope.config import Limits
from nvscope.devices.base import Assumed, Device, Observer
from nvscope.devices.roles import Transport
from nvscope.devices.status import TaskStatus
from nvscope.devices.worker import Worker
from nvscope.errors import InstrumentError, LimitError

_POLL = 0.25
_PATIENCE = 30.0
_SECONDS_PER_READING = 0.075


@dataclass(frozen=True)
class Excitation:
    """How to measure: current (A) and the number of readings averaged."""

    current: float
    readings: int


class TransportDevice(Device[Transport]):
    """Measures V34/I12 with current reversal; `set` an excitation measures once."""

    def __init__(
        self,
        role: Transport | None,
        worker: Worker | None,
        clock: Clock,
        limits: Limits,
        observe: Observer = lambda values: None,
        name: str = "transport",
    ) -> None:
        super().__init__(name, role, worker, clock, observe)
        self._limits = limits
        self._result = {f"{name}_{key}": float("nan") for key in ("resistance", "resistance_err", "current")}

    def check(self, value: Excitation) -> None:
        """Refuse what the rig's limits forbid."""
        if not 0 < abs(value.current) <= self._limits.excitation_current:
            raise LimitError(
                f"excitation {value.current:g} A is outside this rig's limit of {self._limits.excitation_current:g} A"
            )
        if value.readings < 2:
            raise LimitError(f"{value.readings} reading cannot give an uncertainty; ask for at least 2")

    def set(self, value: Excitation) -> TaskStatus:
        """Measure once with `value`; `read` then returns the result."""
        self.check(value)
        return self._start(self._measure(value), f"at {value.current:g} A")

    async def _measure(self, value: Excitation) -> None:
        role = self.role
        await self.worker.call(role.start, value.current, value.readings)
        deadline = self.clock.now() + _PATIENCE + value.readings * 1.0
        while not await self.worker.call(role.finished):
            if self.clock.now() > deadline:
                await self.worker.call(role.abort)
                raise InstrumentError(f"{self.name}: {value.readings} readings did not arrive in time; check the leads")
            if await self._pause_for(_POLL):
                await self.worker.call(role.abort)
                return
        volts = await self.worker.call(role.fetch)
        good = volts[np.isfinite(volts) & (np.abs(volts) < 1e30)]
        if good.size < 2:
            raise InstrumentError(
                f"{self.name}: only {good.size} of {volts.size} readings are valid; check the contacts"
            )
        resistance = float(good.mean() / value.current)
        error = float(good.std(ddof=1) / np.sqrt(good.size) / abs(value.current))
        self._result = {
            f"{self.name}_resistance": resistance,
            f"{self.name}_resistance_err": error,
            f"{self.name}_current": value.current,
        }
        self._observe({"resistance": resistance, "resistance_err": error})

    async def read(self) -> dict[str, Any]:
        """Return the last result as bluesky wants it."""
        return self._reading(self._result)

    def units(self) -> Mapping[str, str]:
        """Return the units of `read`."""
        name = self.name
        return {f"{name}_resistance": "ohm", f"{name}_resistance_err": "ohm", f"{name}_current": "A"}

    def estimate(self, value: Excitation, before: Assumed) -> Assumed:
        """Return what measuring is assumed to take."""
        return before.after(value.readings * _SECONDS_PER_READING + _POLL)

    def predict(self, state: Assumed) -> dict[str, Any]:
        """Return the reading a plan would see: nothing is assumed of the sample's resistance."""
        return self._reading(dict.fromkeys(self._result, 0.0))
