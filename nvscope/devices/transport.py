"""Four-probe resistance as something a plan can trigger and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nvscope.clock import Clock
from nvscope.config import Limits
from nvscope.devices.base import Assumed, Device, Observer
from nvscope.devices.roles import ContactMatrix, Transport
from nvscope.devices.status import TaskStatus
from nvscope.devices.worker import Worker
from nvscope.errors import ComplianceReached, InstrumentError, LimitError, NoResistance

_POLL = 0.25
_PATIENCE = 30.0
_SECONDS_PER_READING = 0.075


STANDARD = ("I+", "I-", "V+", "V-")
"""How the leads are wired where there is no contact matrix, and for every ordinary measurement where there is."""

Wiring = tuple[str, str, str, str]
"""Contacts that I+, I-, V+ and V- of the instrument are connected to."""


@dataclass(frozen=True)
class Excitation:
    """How to measure: current (A), the number of readings averaged, and between which contacts.

    With `insulation` no path for the current is a result: the resistance is then the least it can be. A measurement
    that `may_fail` accompanies another: without contacts its result is NaN, and `TransportDevice.failure` says why.
    """

    current: float
    readings: int
    wiring: Wiring = STANDARD
    insulation: bool = False
    may_fail: bool = False


class TransportDevice(Device[Transport]):
    """Measures V34/I12 with current reversal; `set` an excitation measures once.

    Parameters
    ----------
    contacts : tuple, optional
        A contact matrix and its worker; every measurement is then routed through it.
    switchable : bool
        Whether the rig has a contact matrix, also where devices only plan.
    """

    def __init__(
        self,
        role: Transport | None,
        worker: Worker | None,
        clock: Clock,
        limits: Limits,
        observe: Observer = lambda values: None,
        name: str = "transport",
        contacts: tuple[ContactMatrix, Worker] | None = None,
        switchable: bool = False,
    ) -> None:
        super().__init__(name, role, worker, clock, observe)
        self._limits = limits
        self._contacts = contacts
        self.switchable = switchable or contacts is not None
        self._result = dict.fromkeys(self.units(), float("nan"))
        self.failure = ""

    def check(self, value: Excitation) -> None:
        """Refuse what the rig's limits forbid."""
        if not 0 < abs(value.current) <= self._limits.excitation_current:
            raise LimitError(
                f"excitation {value.current:g} A is outside this rig's limit of {self._limits.excitation_current:g} A"
            )
        if value.wiring != STANDARD and not self.switchable:
            raise LimitError(
                "the leads of this rig are wired for good: current and voltage leads cannot be exchanged; "
                "that needs a contact matrix (an instrument in the role contacts)"
            )
        if value.readings < 2:
            raise LimitError(f"{value.readings} reading cannot give an uncertainty; ask for at least 2")

    def set(self, value: Excitation) -> TaskStatus:
        """Measure once with `value`; `read` then returns the result."""
        self.check(value)
        return self._start(self._attempt(value), f"at {value.current:g} A")

    async def _attempt(self, value: Excitation) -> None:
        self.failure = ""
        try:
            await self._measure(value)
        except NoResistance as error:
            if not value.may_fail:
                raise
            self.failure = str(error)
            self._result = dict.fromkeys(self._result, float("nan"))

    async def _measure(self, value: Excitation) -> None:
        role = self.role
        if self._contacts is not None:
            matrix, worker = self._contacts
            await worker.call(matrix.route, value.wiring)
        await self.worker.call(role.start, value.current, value.readings)
        deadline = self.clock.now() + _PATIENCE + value.readings * 1.0
        while not await self._finished(value):
            if self.clock.now() > deadline:
                await self.worker.call(role.abort)
                raise InstrumentError(f"{self.name}: {value.readings} readings did not arrive in time; check the leads")
            if await self._pause_for(_POLL):
                await self.worker.call(role.abort)
                return
        if self._result[f"{self.name}_insulated"]:
            return
        volts = await self.worker.call(role.fetch)
        good = volts[np.isfinite(volts) & (np.abs(volts) < 1e30)]
        if good.size < 2:
            raise NoResistance(f"{self.name}: only {good.size} of {volts.size} readings are valid; check the contacts")
        resistance = float(good.mean() / value.current)
        error = float(good.std(ddof=1) / np.sqrt(good.size) / abs(value.current))
        self._result = {
            f"{self.name}_resistance": resistance,
            f"{self.name}_resistance_err": error,
            f"{self.name}_current": value.current,
            f"{self.name}_insulated": 0.0,
        }
        if value.wiring == STANDARD:
            self._observe({"resistance": resistance, "resistance_err": error})

    async def _finished(self, value: Excitation) -> bool:
        """Ask whether all readings are there, or it has turned out that no current can flow."""
        name = self.name
        self._result[f"{name}_insulated"] = 0.0
        try:
            return await self.worker.call(self.role.finished)
        except ComplianceReached as error:
            if not value.insulation:
                raise
            values = (error.resistance, float("nan"), value.current, 1.0)
            self._result = dict(zip(self.units(), values, strict=True))
            return True

    async def read(self) -> dict[str, Any]:
        """Return the last result as bluesky wants it."""
        return self._reading(self._result)

    def units(self) -> Mapping[str, str]:
        """Return the units of `read`."""
        n = self.name
        return {f"{n}_resistance": "ohm", f"{n}_resistance_err": "ohm", f"{n}_current": "A", f"{n}_insulated": ""}

    def estimate(self, value: Excitation, before: Assumed) -> Assumed:
        """Return what measuring is assumed to take."""
        return before.after(value.readings * _SECONDS_PER_READING + _POLL)

    def predict(self, state: Assumed) -> dict[str, Any]:
        """Return the reading a plan would see: nothing is assumed of the sample's resistance."""
        return self._reading(dict.fromkeys(self._result, 0.0))
