"""Stanford Research SR830 lock-in as a four-probe measurement: its sine output, a series resistor, the sample.

The lock-in has no output switch: its lowest excitation is 4 mV on the sine output, and that is what "off" means here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_discrete_set, strict_range

from nvscope.config import Frozen
from nvscope.devices.roles import Identity, Value
from nvscope.errors import InstrumentError, LimitError
from nvscope.units import Amperes, Hertz, Ohms, Seconds
from nvscope_drivers.checked import CheckedInstrument, VisaSettings
from nvscope_drivers.scpi import first_contact
from nvscope_drivers.visa import VisaAdapter

__all__ = ["SR830", "LockInSettings", "LockInTransport"]

SENSITIVITIES = tuple(float(f"{m}e{e}") for e in range(-9, 1) for m in (1, 2, 5))[1:-2]
TIME_CONSTANTS = tuple(float(f"{m}e{e}") for e in range(-5, 5) for m in (1, 3))
SAMPLE_RATES = tuple(2.0**n for n in range(-4, 10))
_BUFFER = 16383
_LOWEST, _HIGHEST, _LEVEL_STEP = 4e-3, 5.0, 2e-3  # V rms on the sine output
_COMMAND_ERROR, _EXECUTION_ERROR = 32, 16
_OVERLOADS = {1: "input or reserve", 2: "filter", 4: "output"}
_UNLOCKED = 8
_INDEPENDENT = 10.0
"""Time constants after which the output of four filters has forgotten 99 % of its noise."""
_SETTLED = 14.0
"""Time constants after which four filters have settled to 0.05 %."""


class SR830(CheckedInstrument):
    """SR830 lock-in amplifier; every setting is followed by a look at the standard event byte."""

    model = "SR830"

    def __init__(self, adapter: Any, name: str = "SR830", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    def check_set_errors(self) -> list[Any]:
        """Raise `InstrumentError` if the last command was not understood or could not be carried out."""
        events = self.standard_events
        if events & (_COMMAND_ERROR | _EXECUTION_ERROR):
            what = "does not understand a command" if events & _COMMAND_ERROR else "refuses a value"
            raise InstrumentError(f"{self.name} at {getattr(self.adapter, 'address', '')} {what} (*ESR? says {events})")
        return []

    standard_events = Instrument.measurement("*ESR?", """Get and clear the standard event byte (int).""", cast=int)

    lockin_events = Instrument.measurement(
        "LIAS?", """Get and clear the latched overloads and unlocks (int).""", cast=int
    )

    sine_voltage = Instrument.control(
        "SLVL?",
        "SLVL %.3f",
        """Control the sine output (V rms, 0.004 to 5).""",
        validator=strict_range,
        values=(_LOWEST, _HIGHEST),
        check_set_errors=True,
    )

    frequency = Instrument.control(
        "FREQ?",
        "FREQ %.7g",
        """Control the reference frequency (Hz, 0.001 to 102000).""",
        validator=strict_range,
        values=(1e-3, 102000.0),
        check_set_errors=True,
    )

    phase = Instrument.control(
        "PHAS?",
        "PHAS %.2f",
        """Control the reference phase (degrees, -360 to 729.99).""",
        validator=strict_range,
        values=(-360.0, 729.99),
        check_set_errors=True,
    )

    sensitivity = Instrument.control(
        "SENS?",
        "SENS %d",
        """Control the full scale (V, 2 nV to 1 V in steps of 1, 2, 5).""",
        validator=strict_discrete_set,
        values=dict(zip(SENSITIVITIES, range(len(SENSITIVITIES)), strict=True)),
        map_values=True,
        cast=int,
        check_set_errors=True,
    )

    time_constant = Instrument.control(
        "OFLT?",
        "OFLT %d",
        """Control the time constant (s, 10 us to 30 ks in steps of 1, 3).""",
        validator=strict_discrete_set,
        values=dict(zip(TIME_CONSTANTS, range(len(TIME_CONSTANTS)), strict=True)),
        map_values=True,
        cast=int,
        check_set_errors=True,
    )

    slope = Instrument.control(
        "OFSL?",
        "OFSL %d",
        """Control the filter slope (dB/octave: 6, 12, 18 or 24).""",
        validator=strict_discrete_set,
        values={6: 0, 12: 1, 18: 2, 24: 3},
        map_values=True,
        cast=int,
        check_set_errors=True,
    )

    sample_rate = Instrument.control(
        "SRAT?",
        "SRAT %d",
        """Control the sample rate of the buffer (1/s, 0.0625 to 512 in powers of two); a change empties the buffer.""",
        validator=strict_discrete_set,
        values=dict(zip(SAMPLE_RATES, range(len(SAMPLE_RATES)), strict=True)),
        map_values=True,
        cast=int,
        check_set_errors=True,
    )

    buffered = Instrument.measurement("SPTS?", """Get how many samples are in the buffer (int).""", cast=int)

    x = Instrument.measurement("OUTP?1", """Measure the in-phase signal (V rms).""")

    y = Instrument.measurement("OUTP?2", """Measure the quadrature signal (V rms).""")

    def command(self, text: str) -> None:
        """Send a command without reply and check that it was carried out."""
        self.write(text)
        self.check_set_errors()

    def trace(self, channel: int, start: int, count: int) -> NDArray[np.float64]:
        """Return `count` samples of a display (1 or 2) from the buffer (V), shape (count,)."""
        return np.array(self.values(f"TRCA?{channel},{start},{count}"), dtype=np.float64)


class LockInSettings(VisaSettings):
    """Settings of a lock-in resistance measurement."""

    series_resistance: Ohms = Field(gt=0, description="between sine output and sample; must dominate the circuit")
    current_limit: Amperes = Field(default=1e-5, gt=0, description="largest excitation (rms)")
    frequency: Hertz = Field(default=17.777, gt=0, le=102e3, description="of the excitation")
    full_scale: float = Field(default=1e-3, description="sensitivity (V)")
    time_constant: Seconds = Field(default=0.1, description="of each filter")


class LockInTransport:
    """Four-probe voltages in phase with a sine excitation, as a `Transport`; all values rms."""

    Settings: ClassVar[type[Frozen]] = LockInSettings

    def __init__(self, lockin: SR830, settings: LockInSettings) -> None:
        self._lockin = lockin
        self._settings = settings
        self._full_scale = _listed("full scale", settings.full_scale, SENSITIVITIES, "V")
        self._tau = _listed("time constant", settings.time_constant, TIME_CONSTANTS, "s")
        self._rate = max((rate for rate in SAMPLE_RATES if rate * _INDEPENDENT * self._tau <= 1), default=0.0)
        if self._rate == 0.0:
            raise LimitError(f"a time constant of {self._tau:g} s is too long for independent samples")
        self._skip = math.ceil(_SETTLED * self._tau * self._rate)
        self._running: tuple[int, float] | None = None

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> LockInTransport:
        """Open the lock-in at `address`; changes no setting."""
        assert isinstance(settings, LockInSettings)
        adapter = VisaAdapter(address, "SR830", timeout=settings.timeout, read_termination="\n")
        transport = cls(SR830(adapter), settings)
        first_contact(transport, settings.timeout)
        return transport

    def identify(self) -> Identity:
        """Ask the lock-in who it is."""
        return self._lockin.identity()

    @property
    def current_limit(self) -> float:
        """Largest excitation (A rms)."""
        return min(self._settings.current_limit, _HIGHEST / self._settings.series_resistance)

    @property
    def seconds_per_reading(self) -> float:
        """Rig seconds one independent reading takes."""
        return 1 / self._rate

    def start(self, current: float, readings: int) -> None:
        """Start taking `readings` independent samples at `current` (A rms); a negative current inverts the sign.

        Raises
        ------
        LimitError
            If current or count lie outside what is possible; nothing is sent.
        InstrumentError
            If the lock-in refuses a setting.
        """
        s, lockin = self._settings, self._lockin
        level = round(abs(current) * s.series_resistance / _LEVEL_STEP) * _LEVEL_STEP if math.isfinite(current) else 0
        lowest = _LOWEST / s.series_resistance
        if not abs(current) <= self.current_limit * (1 + 1e-9) or level < _LOWEST:
            raise LimitError(f"excitation of {current:g} A: possible are {lowest:g} to {self.current_limit:g} A rms")
        if readings < 1 or readings + self._skip > _BUFFER:
            raise LimitError(f"{readings} readings: between 1 and {_BUFFER - self._skip} fit into the lock-in's buffer")
        self._running = None
        _ = lockin.standard_events
        lockin.command("PAUS")
        lockin.sensitivity = self._full_scale
        lockin.time_constant = self._tau
        lockin.slope = 24
        lockin.frequency = s.frequency
        lockin.command("DDEF 1,0,0")
        lockin.command("SEND 0")
        lockin.sample_rate = self._rate
        lockin.sine_voltage = level
        _ = lockin.lockin_events  # forget overloads of the past
        lockin.command("REST")
        lockin.command("STRT")
        # the sine output has steps of 2 mV; the voltage is scaled to the current that was asked for
        self._running = (readings, current * s.series_resistance / level)

    def finished(self) -> bool:
        """Return whether all samples are there."""
        readings, _ = self._expected()
        return bool(self._lockin.buffered >= self._skip + readings)

    def fetch(self) -> NDArray[np.float64]:
        """Return the in-phase voltages (V rms), shape (readings,); the excitation is at its lowest then.

        Raises
        ------
        InstrumentError
            If anything was overloaded or unlocked since the start: the samples cannot be trusted.
        """
        readings, scale = self._expected()
        volts = self._lockin.trace(1, self._skip, readings)
        events = self._lockin.lockin_events
        self.abort()
        overloaded = [name for bit, name in _OVERLOADS.items() if events & bit]
        if overloaded:
            raise InstrumentError(
                f"the SR830's {' and '.join(overloaded)} was overloaded at a full scale of "
                f"{self._settings.full_scale:g} V; use a larger one"
            )
        if events & _UNLOCKED:
            raise InstrumentError("the SR830 lost its reference while measuring")
        if volts.size != readings:
            raise InstrumentError(f"the SR830 returned {volts.size} of {readings} samples; measure again")
        return scale * volts

    def _expected(self) -> tuple[int, float]:
        if self._running is None:
            raise InstrumentError("no resistance measurement is running; start one first")
        return self._running

    def abort(self) -> None:
        """Stop and take the excitation to its lowest, 4 mV on the sine output."""
        self._running = None
        self._lockin.command("PAUS")
        self._lockin.sine_voltage = _LOWEST

    def make_safe(self) -> None:
        """Take the excitation to its lowest."""
        self.abort()

    def readings(self) -> Mapping[str, Value]:
        """Read the sine output (V rms), frequency (Hz), and the signal (V rms)."""
        return {
            "sine_voltage": float(self._lockin.sine_voltage),
            "frequency": float(self._lockin.frequency),
            "x": float(self._lockin.x),
            "y": float(self._lockin.y),
        }

    def close(self) -> None:
        """Close the session; the excitation stays as it is."""
        self._lockin.shutdown()


def _listed(what: str, value: float, table: tuple[float, ...], unit: str) -> float:
    """Return the entry of `table` that `value` means; the SR830 has no others."""
    for entry in table:
        if math.isclose(value, entry, rel_tol=1e-6):
            return entry
    nearest = min(table, key=lambda entry: abs(math.log(entry / value)) if value > 0 else entry)
    raise LimitError(f"an SR830 has no {what} of {value:g} {unit}; the nearest is {nearest:g} {unit}")
