"""Keithley 6221 current source with a 2182A nanovoltmeter on its relay port: four-probe resistance in delta mode."""

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

__all__ = ["DeltaModeSettings", "DeltaModeTransport", "Keithley6221"]

_INVALID = 9.8e37
"""Readings at least this large stand for overflow (9.9E37) or no number (9.91E37)."""
_COMPLIANCE = 1 << 3
_BUFFER = 65536
STRIDE = 3
"""A delta reading combines three conversions and the next shares two of them: every third one is independent."""
_ON_OFF = {True: 1, False: 0}


class Keithley6221(ScpiInstrument):
    """Keithley 6221 in delta mode with a 2182A."""

    model = "6221"

    def __init__(self, adapter: Any, name: str = "Keithley 6221", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    output_enabled = Instrument.control(
        "OUTP?",
        "OUTP %d",
        """Control whether the output is on (bool); off also ends delta mode.""",
        validator=strict_discrete_set,
        values=_ON_OFF,
        map_values=True,
        cast=int,
        check_set_errors=True,
    )

    compliance = Instrument.control(
        "SOUR:CURR:COMP?",
        "SOUR:CURR:COMP %.6g",
        """Control the largest voltage the source may use (V, 0.1 to 105).""",
        validator=strict_range,
        values=(0.1, 105.0),
        check_set_errors=True,
    )

    meter_present = Instrument.measurement(
        "SOUR:DELT:NVPR?", """Get whether a 2182A answers on the relay port (bool).""", cast=int, get_process=bool
    )

    delta_high = Instrument.control(
        "SOUR:DELT:HIGH?",
        "SOUR:DELT:HIGH %.6g",
        """Control the amplitude of the reversing current (A, 0 to 0.105); the low level follows.""",
        validator=strict_range,
        values=(0.0, 0.105),
        check_set_errors=True,
    )

    delta_delay = Instrument.control(
        "SOUR:DELT:DEL?",
        "SOUR:DELT:DEL %.6g",
        """Control the wait between a reversal and its conversion (s).""",
        validator=strict_range,
        values=(0.0, 9999.999),
        check_set_errors=True,
    )

    delta_count = Instrument.control(
        "SOUR:DELT:COUN?",
        "SOUR:DELT:COUN %d",
        """Control how many readings a run takes (int, 1 to 65536).""",
        validator=strict_range,
        values=(1, _BUFFER),
        cast=lambda text: int(float(text)),
        check_set_errors=True,
    )

    compliance_abort = Instrument.control(
        "SOUR:DELT:CAB?",
        "SOUR:DELT:CAB %d",
        """Control whether reaching compliance ends delta mode (bool).""",
        validator=strict_discrete_set,
        values=_ON_OFF,
        map_values=True,
        cast=int,
        check_set_errors=True,
    )

    armed = Instrument.measurement(
        "SOUR:DELT:ARM?", """Get whether delta mode is armed (bool).""", cast=int, get_process=bool
    )

    buffer_size = Instrument.control(
        "TRAC:POIN?",
        "TRAC:POIN %d",
        """Control how many readings the buffer takes (int, 1 to 65536).""",
        validator=strict_range,
        values=(1, _BUFFER),
        cast=int,
        check_set_errors=True,
    )

    buffered = Instrument.measurement("TRAC:POIN:ACT?", """Get how many readings are in the buffer (int).""", cast=int)

    measurement_events = Instrument.measurement(
        "STAT:MEAS?", """Get the measurement events since last asked (int, bit 3 is compliance).""", cast=int
    )

    def configure_meter(self, nplc: float, span: float) -> None:
        """Set integration time (power line cycles) and range (V) of the 2182A."""
        self.write(f'SYST:COMM:SER:SEND "VOLT:NPLC {nplc:.6g}"')
        self.write(f'SYST:COMM:SER:SEND "VOLT:RANG {span:.6g}"')
        self.check_errors()

    def plain_volts(self) -> None:
        """Have readings sent as volts, without time stamps."""
        self.write("UNIT V")
        self.write("FORM:ELEM READ")
        self.check_errors()

    def arm(self) -> None:
        """Get delta mode ready; the output goes on."""
        self.write("SOUR:DELT:ARM")
        self.check_errors()

    def start(self) -> None:
        """Start the armed run."""
        self.write("INIT:IMM")
        self.check_errors()

    def abort(self) -> None:
        """End delta mode; the output goes off, the buffer stays."""
        self.write("SOUR:SWE:ABOR")
        self.check_errors()

    def buffer(self) -> NDArray[np.float64]:
        """Return the buffered readings (V), shape (readings,)."""
        return np.array(self.values("TRAC:DATA?"), dtype=np.float64)


class DeltaModeSettings(VisaSettings):
    """Settings of a delta-mode resistance measurement."""

    current_limit: Amperes = Field(default=1e-3, gt=0, description="largest excitation")
    compliance: float = Field(default=2.0, ge=0.1, le=105, description="largest voltage of the source (V)")
    delay: Seconds = Field(default=2e-3, ge=0, description="between a reversal and its conversion")
    nplc: float = Field(default=1.0, ge=0.01, le=50, description="integration time in power line cycles")
    meter_range: float = Field(default=0.01, gt=0, le=100, description="range of the 2182A (V)")


class DeltaModeTransport:
    """Four-probe voltages under current reversal, as a `Transport`.

    The instrument delivers one reading per conversion, neighbours sharing conversions; every third is kept, so that the
    readings returned are independent and their scatter tells the uncertainty of their mean.
    """

    Settings: ClassVar[type[Frozen]] = DeltaModeSettings

    def __init__(self, source: Keithley6221, settings: DeltaModeSettings) -> None:
        self._source = source
        self._settings = settings
        self._running: tuple[int, float] | None = None

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> DeltaModeTransport:
        """Open the source at `address`; its output stays as it is."""
        assert isinstance(settings, DeltaModeSettings)
        adapter = VisaAdapter(address, "Keithley 6221", timeout=settings.timeout, read_termination="\n")
        transport = cls(Keithley6221(adapter), settings)
        first_contact(transport, settings.timeout)
        return transport

    def identify(self) -> Identity:
        """Ask the source who it is."""
        return self._source.identity()

    @property
    def current_limit(self) -> float:
        """Largest excitation (A)."""
        return self._settings.current_limit

    def start(self, current: float, readings: int) -> None:
        """Start measuring `readings` independent voltages at `current` (A).

        Raises
        ------
        LimitError
            If current or count lie outside what is allowed; nothing is sent.
        InstrumentError
            If there is no 2182A, or the source refuses a setting.
        """
        s, source = self._settings, self._source
        if not 0 < abs(current) <= s.current_limit * (1 + 1e-9):
            raise LimitError(
                f"excitation of {current:g} A: the limit is {s.current_limit:g} A, and zero measures nothing"
            )
        count = STRIDE * (readings - 1) + 1
        if readings < 1 or count > _BUFFER:
            raise LimitError(f"{readings} readings: between 1 and {_BUFFER // STRIDE} fit into the source's buffer")
        self._running = None
        source.abort()  # whatever ran before, perhaps in a run that died; also makes settings acceptable
        source.read_errors()
        if not source.meter_present:
            raise InstrumentError("the 6221 sees no 2182A on its relay port; check the serial and trigger-link cables")
        source.configure_meter(s.nplc, s.meter_range)
        source.plain_volts()
        source.compliance = s.compliance
        source.delta_high = abs(current)
        source.delta_delay = s.delay
        source.delta_count = count
        source.compliance_abort = True
        source.buffer_size = count
        _ = source.measurement_events  # forget events of the past
        source.arm()
        source.start()
        self._running = (count, 1.0 if current > 0 else -1.0)

    def finished(self) -> bool:
        """Return whether all readings are there.

        Raises
        ------
        InstrumentError
            If the source has ended delta mode by itself: its compliance was reached.
        """
        count, _ = self._expected()
        if self._source.buffered >= count:
            return True
        if not self._source.armed:
            limited = bool(self._source.measurement_events & _COMPLIANCE)
            current = float(self._source.delta_high)
            self._running = None
            why = (
                f"reached its compliance of {self._settings.compliance:g} V; a contact is open or the current too large"
                if limited
                else "ended the measurement by itself; somebody else may be using it"
            )
            if limited and current > 0:
                raise ComplianceReached(f"the 6221 {why}. The excitation is off", self._settings.compliance / current)
            raise InstrumentError(f"the 6221 {why}. The excitation is off")
        return False

    def fetch(self) -> NDArray[np.float64]:
        """Return the voltages (V), shape (readings,), NaN where the meter overflowed; the excitation is off then."""
        count, sign = self._expected()
        volts = self._source.buffer()
        self.abort()
        if volts.size != count:
            raise InstrumentError(f"the 6221 returned {volts.size} of {count} readings; measure again")
        volts[np.abs(volts) >= _INVALID] = np.nan
        return sign * volts[::STRIDE]

    def _expected(self) -> tuple[int, float]:
        if self._running is None:
            raise InstrumentError("no resistance measurement is running; start one first")
        return self._running

    def abort(self) -> None:
        """Stop and take the excitation to zero."""
        self._running = None
        self._source.abort()
        self._source.output_enabled = False

    def make_safe(self) -> None:
        """Take the excitation to zero."""
        self.abort()

    def readings(self) -> Mapping[str, Value]:
        """Read whether the output is on and delta mode armed, and the compliance (V)."""
        return {
            "output": bool(self._source.output_enabled),
            "armed": bool(self._source.armed),
            "compliance": float(self._source.compliance),
        }

    def close(self) -> None:
        """Close the session; the output stays as it is."""
        self._source.shutdown()
