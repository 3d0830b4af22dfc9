"""Cobolt lasers (06 series and alike), over a serial line or a serial server's socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_range

from nvscope.config import Frozen
from nvscope.devices.roles import Identity, Value
from nvscope.errors import InstrumentError, LimitError
from nvscope.units import Watts
from nvscope_drivers.checked import CheckedInstrument, VisaSettings, choice, number, switch
from nvscope_drivers.scpi import first_contact
from nvscope_drivers.visa import VisaAdapter

__all__ = ["Cobolt", "CoboltLaser", "CoboltSettings"]

FAULTS: Mapping[int, str] = {1: "temperature error", 3: "interlock error", 4: "constant power time-out"}
_RESOLUTION = 1e-4  # W


class Cobolt(CheckedInstrument):
    """A Cobolt laser; every command is answered, setters read their "OK"."""

    model = "Cobolt"

    emission = switch("l?", "l%d", """Control whether the laser emits (bool).""", check_set_errors=True)
    power_setpoint = Instrument.control(
        "p?",
        "p %.4f",
        """Control the power in constant power mode in W (float from 0).""",
        validator=strict_range,
        values=(0, 100),
        check_set_errors=True,
    )
    power = Instrument.measurement("pa?", """Measure the emitted power in W.""")
    interlock_open = switch("ilk?", None, """Get whether the remote interlock is open (bool).""")
    fault = Instrument.measurement("f?", """Get the latched fault (int): 0 none, 1, 3, 4.""", cast=int)
    autostart = switch(
        "@cobas?", "@cobas %d", """Control whether the laser starts with its key (bool).""", check_set_errors=True
    )
    state = choice(
        "gom?",
        None,
        """Get the operating state (str).""",
        {"off": 0, "waiting": 1, "continuous": 2, "on/off modulation": 3, "modulation": 4, "fault": 5, "aborted": 6},
    )
    hours = Instrument.measurement("hrs?", """Get the operating hours.""")

    def __init__(self, adapter: Any, name: str = "Cobolt laser", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    def check_set_errors(self) -> list[str]:
        """Read the answer to a command; raises `InstrumentError` unless it is OK."""
        reply = self.read().strip()
        if reply != "OK":
            raise InstrumentError(f"{self.name} refused a command: {reply[:80]!r}")
        return []

    def start_sequence(self) -> None:
        """Start emission through the warm-up sequence, as the key does."""
        self.write("@cob1")
        self.check_set_errors()

    def clear_fault(self) -> None:
        """Clear the latched fault; refused while its cause remains."""
        self.write("cf")
        self.check_set_errors()

    def identity(self) -> Identity:
        """Ask model number, serial number and firmware."""
        model, serial, firmware = (self.ask(query).strip() for query in ("glm?", "sn?", "gfv?"))
        for query, reply in (("glm?", model), ("sn?", serial), ("gfv?", firmware)):
            if not reply or "error" in reply.lower():
                raise InstrumentError(f"expected a Cobolt laser, but {query} is answered with {reply!r}")
        return Identity("Cobolt", model, serial, firmware)


class CoboltSettings(VisaSettings):
    """Settings of a Cobolt laser in a rig file."""

    highest: Watts = Field(default=0.2, description="highest power it may be set to")
    baud_rate: int = Field(default=115200, description="of a serial line; sockets ignore it")


class CoboltLaser:
    """A Cobolt laser as the excitation laser."""

    Settings = CoboltSettings

    def __init__(self, instrument: Cobolt, settings: CoboltSettings) -> None:
        self.instrument = instrument
        self._settings = settings

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> CoboltLaser:
        """Open the session and make sure a Cobolt laser answers; changes nothing."""
        assert isinstance(settings, CoboltSettings)
        serial: dict[str, Any] = {"baud_rate": settings.baud_rate} if address.upper().startswith("ASRL") else {}
        adapter = VisaAdapter(
            address, "Cobolt laser", timeout=settings.timeout, write_termination="\r", read_termination="\r\n", **serial
        )
        laser = cls(Cobolt(adapter), settings)
        first_contact(laser, settings.timeout)
        return laser

    @property
    def power_range(self) -> tuple[float, float]:
        """Lowest and highest set power (W)."""
        return 0.0, self._settings.highest

    def identify(self) -> Identity:
        """Ask the laser who it is."""
        return self.instrument.identity()

    def readings(self) -> Mapping[str, Value]:
        """Read emission, powers (W), state, faults and operating hours."""
        laser = self.instrument
        return {
            "emission": laser.emission,
            "power": self.power(),
            "power_setpoint": number(laser.power_setpoint, "p?"),
            "state": laser.state,
            "faults": "; ".join(self.faults()),
            "hours": number(laser.hours, "hrs?"),
        }

    def set_power(self, power: float) -> None:
        """Set the power (W) used while emitting."""
        low, high = self.power_range
        if not low <= power <= high:
            raise LimitError(f"Cobolt laser: power {power:g} W is outside {low:g} … {high:g} W")
        self.instrument.power_setpoint = power
        got = number(self.instrument.power_setpoint, "p?")
        if abs(got - power) > _RESOLUTION:
            raise InstrumentError(f"{self.instrument.name}: power is {got:g} W after setting {power:g} W")

    def set_emission(self, on: bool) -> None:
        """Start or stop emission; raises if the interlock or a fault refuses it.

        A laser with autostart enabled takes only its start sequence, and emits when that has ended.
        """
        laser = self.instrument
        if not on:
            laser.emission = False
            if laser.emission:
                raise InstrumentError(f"{laser.name}: still emits after being switched off")
            return
        faults = self.faults()
        if faults:
            raise InstrumentError(
                f"{laser.name} cannot emit: {', '.join(faults)}; see to the cause, then clear the fault at the laser "
                "(key off and on) and run again"
            )
        if laser.autostart:
            laser.start_sequence()
        else:
            laser.emission = True
            if not laser.emission:
                raise InstrumentError(f"{laser.name} does not emit: {', '.join(self.faults()) or laser.state}")

    def power(self) -> float:
        """Read the emitted power (W)."""
        return number(self.instrument.power, "pa?")

    def faults(self) -> tuple[str, ...]:
        """Return the faults and open interlocks reported now; empty if well."""
        laser = self.instrument
        code = int(number(laser.fault, "f?"))
        faults = [FAULTS.get(code, f"fault {code}")] if code else []
        if laser.interlock_open:
            faults.append("interlock open")
        return tuple(faults)

    def make_safe(self) -> None:
        """Stop emission."""
        self.set_emission(False)

    def close(self) -> None:
        """Close the session; emission stays as it is."""
        self.instrument.shutdown()
