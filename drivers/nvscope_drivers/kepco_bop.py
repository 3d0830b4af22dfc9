"""Kepco BOP bipolar supply driving a resistive coil.

The supply goes where it is told at once, so a ramp is made of steps by whoever asks; one step is bounded here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_discrete_set, strict_range

from nvscope.config import Frozen
from nvscope.devices.roles import Identity, MagnetState, Value
from nvscope.errors import InstrumentError, LimitError
from nvscope.units import Amperes, Ohms, Tesla, TeslaPerAmpere, TeslaPerSecond
from nvscope_drivers.checked import VisaSettings
from nvscope_drivers.scpi import ScpiInstrument, first_contact
from nvscope_drivers.visa import VisaAdapter

__all__ = ["KepcoBOP", "KepcoCoil", "KepcoCoilSettings"]

_MODES = {"voltage": "VOLT", "current": "CURR"}
_READ_MODES = {0: "voltage", 1: "current"}


class KepcoBOP(ScpiInstrument):
    """Kepco BOP with a BIT 4886 interface or a built-in SCPI interface."""

    model = "KEPCO"

    def __init__(self, adapter: Any, name: str = "Kepco BOP", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    def identity(self) -> Identity:
        """Ask ``*IDN?``; raises `InstrumentError` if it is not a Kepco."""
        reply = self.ask("*IDN?")
        parts = [part.strip() for part in reply.split(",")] + ["", "", ""]
        if "KEPCO" not in parts[0].upper():
            raise InstrumentError(f"expected a {self._where}, but *IDN? says {reply[:80]!r}")
        return Identity(parts[0], parts[1], parts[2], parts[3])

    output_enabled = Instrument.control(
        "OUTP?",
        "OUTP %d",
        """Control whether the output is on (bool).""",
        validator=strict_discrete_set,
        values={True: 1, False: 0},
        map_values=True,
        cast=int,
        check_set_errors=True,
    )

    mode = Instrument.control(
        "FUNC:MODE?",
        "FUNC:MODE %s",
        """Control what is regulated, "current" or "voltage" (str); a change takes the setpoint to zero.""",
        validator=strict_discrete_set,
        values=tuple(_MODES),
        set_process=_MODES.__getitem__,
        get_process=lambda code: _READ_MODES[int(code)],
        check_set_errors=True,
    )

    current_setpoint = Instrument.control(
        "CURR?",
        "CURR %.6g",
        """Control the current in current mode, its limit in voltage mode (A).""",
        validator=strict_range,
        values=(-200.0, 200.0),
        check_set_errors=True,
    )

    voltage_setpoint = Instrument.control(
        "VOLT?",
        "VOLT %.6g",
        """Control the voltage limit in current mode, the voltage in voltage mode (V).""",
        validator=strict_range,
        values=(-200.0, 200.0),
        check_set_errors=True,
    )

    current = Instrument.measurement("MEAS:CURR?", """Measure the output current (A).""")

    voltage = Instrument.measurement("MEAS:VOLT?", """Measure the output voltage (V).""")


class KepcoCoilSettings(VisaSettings):
    """Settings of a coil on a Kepco BOP."""

    field_per_current: TeslaPerAmpere = Field(description="calibration of the coil; its sign is the coil's")
    gain: float = Field(default=1.0, gt=0, description="true field over the one so calibrated: calibrate-field")
    field_at_zero: Tesla = Field(default=0.0, description="field at zero current, from remanence or the building")
    current_limit: Amperes = Field(gt=0, description="largest current the coil may carry")
    voltage_limit: float = Field(default=20.0, gt=0, description="compliance while regulating current (V)")
    max_step: Tesla = Field(default=5e-4, gt=0, description="largest step of the field in one call")
    rate_limit: TeslaPerSecond = Field(default=1e-3, gt=0, description="fastest ramp")
    hot_resistance: Ohms | None = Field(
        default=None, description="coil resistance (voltage over current) above which it counts as overheated"
    )


class KepcoCoil:
    """The coil as a `SteppedMagnet`: T from the measured current and the calibration."""

    Settings: ClassVar[type[Frozen]] = KepcoCoilSettings

    def __init__(self, supply: KepcoBOP, settings: KepcoCoilSettings) -> None:
        self._supply = supply
        self._settings = settings
        self._per_current = settings.gain * settings.field_per_current
        self._step = abs(settings.max_step / self._per_current)
        self._stalled_at: float | None = None

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> KepcoCoil:
        """Open the supply at `address`, checking that it is one; the output stays as it is."""
        assert isinstance(settings, KepcoCoilSettings)
        adapter = VisaAdapter(address, "Kepco BOP", timeout=settings.timeout, read_termination="\n")
        coil = cls(KepcoBOP(adapter), settings)
        first_contact(coil, settings.timeout)
        return coil

    def identify(self) -> Identity:
        """Ask the supply who it is."""
        return self._supply.identity()

    @property
    def field_limit(self) -> float:
        """Largest magnitude of field (T) within the current limit, in the weaker direction."""
        s = self._settings
        return abs(self._per_current) * s.current_limit - abs(s.field_at_zero)

    @property
    def rate_limit(self) -> float:
        """Fastest ramp (T/s)."""
        return self._settings.rate_limit

    def field(self) -> float:
        """Return the applied field (T)."""
        return self._settings.field_at_zero + self._per_current * self._measured()

    def _measured(self) -> float:
        """Return the current (A); one beyond what the coil may carry is asked twice, as the first may be nonsense."""
        current = float(self._supply.current)
        return current if abs(current) <= 1.05 * self._settings.current_limit else float(self._supply.current)

    def set_field(self, field: float) -> None:
        """Go to `field` (T) now.

        Raises
        ------
        LimitError
            Beyond the current limit, or more than one step away; nothing is moved.
        InstrumentError
            If the supply refuses, or regulates voltage with its output on.
        """
        s = self._settings
        current = (field - s.field_at_zero) / self._per_current
        if not abs(current) <= s.current_limit * (1 + 1e-9):
            raise LimitError(
                f"{field * 1e4:.4g} G needs {current:.4g} A, beyond the coil's limit of ±{s.current_limit:g} A"
            )
        present = self._measured()
        # a step towards zero is never refused: it is how a coil is saved
        downward = abs(current) <= abs(present) and current * present >= 0
        if not downward and abs(current - present) > self._step * 1.05:
            raise LimitError(
                f"the coil is at {present:.4g} A and {current:.4g} A is more than one step of {self._step:.3g} A away; "
                "ramp in smaller steps"
            )
        self._regulate_current()
        self._supply.current_setpoint = current
        self._stalled_at = None

    def _regulate_current(self) -> None:
        supply = self._supply
        if supply.output_enabled:
            if supply.mode != "current":
                raise InstrumentError(
                    "the Kepco BOP regulates voltage with its output on; somebody else is using it: set it to current "
                    "mode at zero before this program takes over"
                )
            return
        supply.mode = "current"
        supply.current_setpoint = 0.0
        supply.voltage_setpoint = self._settings.voltage_limit
        supply.output_enabled = True

    def state(self) -> MagnetState:
        """Return RAMPING while the current is off its setpoint, FAULT where it stays off for want of voltage."""
        supply = self._supply
        if not supply.output_enabled:
            return MagnetState.HOLDING if abs(supply.current) < self._tolerance else MagnetState.RAMPING
        if supply.mode != "current":
            return MagnetState.FAULT
        current, setpoint = self._measured(), supply.current_setpoint
        if abs(current - setpoint) <= self._tolerance:
            self._stalled_at = None
            return MagnetState.FAULT if self._hot(current) else MagnetState.HOLDING
        # off the setpoint twice at the same current, with no voltage left: the coil cannot be driven there
        stalled = self._stalled_at is not None and abs(current - self._stalled_at) <= self._tolerance
        self._stalled_at = current
        return MagnetState.FAULT if stalled and self._out_of_voltage() else MagnetState.RAMPING

    @property
    def _tolerance(self) -> float:
        return 1e-3 * self._settings.current_limit

    def _out_of_voltage(self) -> bool:
        return abs(self._supply.voltage) >= 0.98 * abs(self._supply.voltage_setpoint)

    def _hot(self, current: float) -> bool:
        limit = self._settings.hot_resistance
        return limit is not None and abs(current) > 20 * self._tolerance and self._supply.voltage / current > limit

    def pause(self) -> None:
        """Stay where it is: between steps the supply holds its current by itself."""

    def make_safe(self) -> None:
        """Leave the coil at its current, unless it is overheated: then take it one step towards zero, each call."""
        supply = self._supply
        if not supply.output_enabled or supply.mode != "current":
            return
        current = self._measured()
        if self._hot(current):
            supply.current_setpoint = max(0.0, abs(current) - self._step) * (1.0 if current > 0 else -1.0)

    def readings(self) -> Mapping[str, Value]:
        """Read current (A), voltage (V), field (T), output, and the coil's resistance (ohm) where there is current."""
        current, voltage = self._measured(), self._supply.voltage
        values: dict[str, Value] = {
            "field": self._settings.field_at_zero + self._per_current * current,
            "current": current,
            "voltage": voltage,
            "output": bool(self._supply.output_enabled),
        }
        if abs(current) > 20 * self._tolerance:
            values["coil_resistance"] = voltage / current
        return values

    def close(self) -> None:
        """Close the session; the output stays as it is."""
        self._supply.shutdown()
