"""Keithley 2400 SourceMeter: four-wire resistance with current reversal, stepped by its own trigger model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_discrete_set, strict_range

from nvscope.config import Frozen
from nvscope.devices.roles import Identity, Value
from nvscope.errors import ComplianceReached, InstrumentError, LimitError
from nvscope.units import Amperes, Seconds
from nvscope_drivers.checked import VisaSettings
from nvscope_drivers.scpi import ScpiInstrument, first_contact
from nvscope_drivers.visa import VisaAdapter

__all__ = ["Keithley2400", "SourceMeterSettings", "SourceMeterTransport"]

_ON_OFF = {True: 1, False: 0}
_INVALID = 9.8e37
_COMPLIANCE_STATUS = 1 << 3
_MOST_TRIGGERS = 2500


class Keithley2400(ScpiInstrument):
    """Keithley 2400 sourcing current and sensing voltage."""

    model = "2400"

    def __init__(self, adapter: Any, name: str = "Keithley 2400", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    output_enabled = Instrument.control(
        "OUTP?",
        "OUTP %d",
        """Control whether the output is on (bool).""",
        validator=strict_discrete_set,
        values=_ON_OFF,
        map_values=True,
        cast=int,
        check_set_errors=True,
    )

    source_function = Instrument.control(
        "SOUR:FUNC?",
        "SOUR:FUNC %s",
        """Control what is sourced, "current" or "voltage" (str); a change switches the output off.""",
        validator=strict_discrete_set,
        values={"current": "CURR", "voltage": "VOLT"},
        map_values=True,
        check_set_errors=True,
    )

    source_current = Instrument.control(
        "SOUR:CURR?",
        "SOUR:CURR %.7g",
        """Control the source current (A, -1.05 to 1.05).""",
        validator=strict_range,
        values=(-1.05, 1.05),
        check_set_errors=True,
    )

    compliance_voltage = Instrument.control(
        "SENS:VOLT:PROT?",
        "SENS:VOLT:PROT %.6g",
        """Control the largest voltage while sourcing current (V, 0.0002 to 210).""",
        validator=strict_range,
        values=(2e-4, 210.0),
        check_set_errors=True,
    )

    four_wire = Instrument.control(
        "SYST:RSEN?",
        "SYST:RSEN %d",
        """Control whether voltage is sensed with two wires of its own (bool).""",
        validator=strict_discrete_set,
        values=_ON_OFF,
        map_values=True,
        cast=int,
        check_set_errors=True,
    )

    nplc = Instrument.control(
        "SENS:VOLT:NPLC?",
        "SENS:VOLT:NPLC %.6g",
        """Control the integration time (power line cycles, 0.01 to 10).""",
        validator=strict_range,
        values=(0.01, 10.0),
        check_set_errors=True,
    )

    source_delay = Instrument.control(
        "SOUR:DEL?",
        "SOUR:DEL %.6g",
        """Control the wait between stepping the source and measuring (s).""",
        validator=strict_range,
        values=(0.0, 9999.999),
        check_set_errors=True,
    )

    trigger_count = Instrument.control(
        "TRIG:COUN?",
        "TRIG:COUN %d",
        """Control how many measurements one start takes (int, 1 to 2500).""",
        validator=strict_range,
        values=(1, _MOST_TRIGGERS),
        cast=int,
        check_set_errors=True,
    )

    buffered = Instrument.measurement("TRAC:POIN:ACT?", """Get how many readings are in the buffer (int).""", cast=int)

    tripped = Instrument.measurement(
        "SENS:VOLT:PROT:TRIP?", """Get whether compliance limits the output (bool).""", cast=int, get_process=bool
    )

    def command(self, text: str) -> None:
        """Send a command without reply and check that it was carried out."""
        self.write(text)
        self.check_errors()

    def feed_buffer(self, readings: int) -> None:
        """Have the next `readings` readings kept, as voltage and status."""
        self.command("FORM:ELEM VOLT,STAT")
        self.command("TRAC:FEED:CONT NEV")
        self.command("TRAC:CLE")
        self.command(f"TRAC:POIN {readings:d}")
        self.command("TRAC:FEED SENS")
        self.command("TRAC:FEED:CONT NEXT")

    def buffer(self) -> NDArray[np.float64]:
        """Return the buffer, shape (readings, 2): voltage (V) and status word."""
        return np.array(self.values("TRAC:DATA?"), dtype=np.float64).reshape(-1, 2)


class SourceMeterSettings(VisaSettings):
    """Settings of a four-wire measurement with a SourceMeter."""

    current_limit: Amperes = Field(default=1e-3, gt=0, le=1.05, description="largest excitation")
    compliance: float = Field(default=2.0, ge=2e-4, le=210, description="largest voltage of the source (V)")
    nplc: float = Field(default=1.0, ge=0.01, le=10, description="integration time in power line cycles")
    delay: Seconds = Field(default=5e-3, ge=0, description="between a reversal and its measurement")


class SourceMeterTransport:
    """Four-probe voltages, half the difference of both signs of the current, as a `Transport`."""

    Settings: ClassVar[type[Frozen]] = SourceMeterSettings

    def __init__(self, meter: Keithley2400, settings: SourceMeterSettings) -> None:
        self._meter = meter
        self._settings = settings
        self._running: int | None = None
        self._current = 0.0

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> SourceMeterTransport:
        """Open the SourceMeter at `address`; its output stays as it is."""
        assert isinstance(settings, SourceMeterSettings)
        adapter = VisaAdapter(address, "Keithley 2400", timeout=settings.timeout, read_termination="\n")
        transport = cls(Keithley2400(adapter), settings)
        first_contact(transport, settings.timeout)
        return transport

    def identify(self) -> Identity:
        """Ask the SourceMeter who it is."""
        return self._meter.identity()

    @property
    def current_limit(self) -> float:
        """Largest excitation (A)."""
        return self._settings.current_limit

    def start(self, current: float, readings: int) -> None:
        """Start measuring `readings` pairs of voltages at ±`current` (A).

        Raises
        ------
        LimitError
            If current or count lie outside what is allowed; nothing is sent.
        InstrumentError
            If the SourceMeter refuses a setting.
        """
        s, meter = self._settings, self._meter
        if not 0 < abs(current) <= s.current_limit * (1 + 1e-9):
            raise LimitError(f"excitation of {current:g} A: the limit is {s.current_limit:g} A; zero measures nothing")
        if not 1 <= readings <= _MOST_TRIGGERS // 2:
            raise LimitError(f"{readings} readings: between 1 and {_MOST_TRIGGERS // 2} fit into one start")
        self._running = None
        meter.read_errors()
        meter.output_enabled = False
        meter.source_function = "current"
        meter.command("SENS:FUNC 'VOLT'")
        meter.compliance_voltage = s.compliance
        meter.command("SENS:VOLT:RANG:AUTO 1")
        meter.nplc = s.nplc
        meter.four_wire = True
        meter.source_delay = s.delay
        meter.command("SOUR:CURR:MODE LIST")
        meter.command(f"SOUR:LIST:CURR {current:.7g},{-current:.7g}")
        meter.trigger_count = 2 * readings
        meter.feed_buffer(2 * readings)
        meter.source_current = 0.0
        meter.output_enabled = True
        meter.command("INIT")
        self._running = readings
        self._current = current

    def finished(self) -> bool:
        """Return whether all readings are there; raises `InstrumentError` if the source has been limited."""
        readings = self._expected()
        if self._meter.tripped:
            current = abs(self._current)
            self.abort()
            raise ComplianceReached(
                f"the Keithley 2400 reached its compliance of {self._settings.compliance:g} V; a contact is open or "
                "the current too large. The excitation is off",
                self._settings.compliance / current,
            )
        return bool(self._meter.buffered >= 2 * readings)

    def fetch(self) -> NDArray[np.float64]:
        """Return the voltages (V), shape (readings,), NaN where limited or overflowed; the excitation is off then."""
        readings = self._expected()
        table = self._meter.buffer()
        self.abort()
        if table.shape[0] != 2 * readings:
            raise InstrumentError(f"the Keithley 2400 returned {table.shape[0]} of {2 * readings} readings; try again")
        volts, status = table[:, 0].copy(), table[:, 1].astype(np.int64)
        volts[(np.abs(volts) >= _INVALID) | (status & _COMPLIANCE_STATUS != 0)] = np.nan
        pairs = volts.reshape(-1, 2)
        return (pairs[:, 0] - pairs[:, 1]) / 2

    def _expected(self) -> int:
        if self._running is None:
            raise InstrumentError("no resistance measurement is running; start one first")
        return self._running

    def abort(self) -> None:
        """Stop and switch the excitation off."""
        self._running = None
        self._meter.output_enabled = False

    def make_safe(self) -> None:
        """Switch the excitation off."""
        self.abort()

    def readings(self) -> Mapping[str, Value]:
        """Read whether the output is on, and the compliance (V)."""
        return {
            "output": bool(self._meter.output_enabled),
            "compliance": float(self._meter.compliance_voltage),
        }

    def close(self) -> None:
        """Close the session; the output stays as it is."""
        self._meter.shutdown()
