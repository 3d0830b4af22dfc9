"""Stanford Research SG384 microwave generator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_range

from nvscope.config import Frozen
from nvscope.devices.roles import Identity, Value
from nvscope.errors import InstrumentError, LimitError
from nvscope_drivers.checked import CheckedInstrument, VisaSettings, choice, number, switch
from nvscope_drivers.scpi import first_contact
from nvscope_drivers.visa import VisaAdapter

__all__ = ["SG384", "SG384Source"]

FREQUENCY_RANGE = (950e3, 4.05e9)  # Hz, type N output
POWER_RANGE_DBM = (-110.0, 16.5)
LIST_CAPACITY = 2000
_ERROR_BUFFER = 20
_BLOCK = 100  # list entries sent or read back in one message
_KEEP = ",N" * 14  # a list entry sets the frequency and keeps the other 14 settings
_OFF = "N,N,N,N,N,N,{enables},N,N,N,N,N,N,N,N"  # a list entry that keeps everything but what is enabled
_ON = "{frequency:.6f},N,N,N,N,N,{enables},N,N,N,N,N,N,N,N"
_RF_BIT = 1 << 2  # of the enables of a list entry: modulation, LF, RF, clock, HF
_RESOLUTION = 1e-6  # Hz

ERRORS: Mapping[int, str] = {
    10: "illegal value",
    11: "illegal mode",
    12: "not allowed",
    13: "recall failed",
    17: "failed self test",
    30: "lost data",
    110: "illegal command",
    111: "undefined command",
    112: "illegal query",
    113: "illegal set",
    114: "null parameter",
    115: "extra parameters",
    116: "missing parameters",
    117: "parameter overflow",
    118: "invalid floating point number",
    120: "invalid integer",
    121: "integer overflow",
    126: "syntax error",
    127: "illegal units",
    128: "missing units",
    170: "communication error",
    171: "overrun",
    254: "too many errors",
}
UNLOCKED: Mapping[int, str] = {
    1: "the 20 MHz PLL is or was out of lock",
    2: "the 100 MHz PLL is or was out of lock",
    4: "the 19 MHz PLL is or was out of lock",
    8: "the 1 GHz PLL is or was out of lock",
    16: "the 4 GHz PLL is or was out of lock",
    32: "the external timebase is or was missing",
    64: "the rubidium timebase is or was out of lock",
}
"""Bits of INSR that say why a frequency may be wrong."""
UNLOCKED_BITS = sum(UNLOCKED)


class SG384(CheckedInstrument):
    """The SRS SG384 and its relatives of the SG380 family, type N output."""

    model = "SG384"

    frequency = Instrument.control(
        "FREQ?",
        "FREQ %.6f",
        """Control the frequency of the type N output in Hz (float strictly from 950e3 to 4.05e9).""",
        validator=strict_range,
        values=FREQUENCY_RANGE,
    )
    power = Instrument.control(
        "AMPR?",
        "AMPR %.2f",
        """Control the power of the type N output in dBm (float strictly from -110 to 16.5).""",
        validator=strict_range,
        values=POWER_RANGE_DBM,
    )
    output_enabled = switch(
        "ENBR?",
        "ENBR %d",
        """Control whether the type N output is on (bool).""",
    )
    modulation_enabled = switch(
        "MODL?",
        "MODL %d",
        """Control whether modulation is on (bool).""",
    )
    modulation_type = choice(
        "TYPE?",
        "TYPE %d",
        """Control the modulation: 'AM', 'FM', 'PM', 'sweep', 'pulse' or 'blank'.""",
        {"AM": 0, "FM": 1, "PM": 2, "sweep": 3, "pulse": 4, "blank": 5},
    )
    list_enabled = switch(
        "LSTE?",
        "LSTE %d",
        """Control whether triggers step the list (bool).""",
    )
    list_size = Instrument.measurement("LSTS?", """Get the number of entries of the list (int).""", cast=int)
    list_index = Instrument.control(
        "LSTI?",
        "LSTI %d",
        """Control which list entry the next trigger selects (int from 0).""",
        cast=int,
        validator=strict_range,
        values=(0, LIST_CAPACITY - 1),
    )
    instrument_status = Instrument.measurement(
        "INSR?", """Get the instrument status register and clear its latched bits (int).""", cast=int
    )
    output_over_range = Instrument.measurement(
        "ORNG? 1", """Get whether the type N output cannot deliver what is set (bool).""", cast=bool
    )
    next_error_code = Instrument.measurement("LERR?", """Get the oldest error code; 0 when there is none.""", cast=int)

    def __init__(self, adapter: Any, name: str = "SRS SG384", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    def read_errors(self) -> list[str]:
        """Take all errors out of the buffer, oldest first; empty if there are none."""
        errors = []
        for _ in range(_ERROR_BUFFER + 1):
            code = self.next_error_code
            if code == 0:
                break
            errors.append(f"{code} ({ERRORS.get(code, 'unknown')})")
        return errors

    def check_errors(self) -> list[str]:
        """Read the error buffer; raises `InstrumentError` naming what was in it."""
        errors = self.read_errors()
        if errors:
            raise InstrumentError(f"{self.name}: the instrument reports {', '.join(errors)}")
        return errors

    def trigger(self) -> None:
        """Step the list once, as the trigger input would."""
        self.write("*TRG")

    def create_list(self, size: int) -> None:
        """Delete the list and make an empty one of `size` entries; raises if the instrument refuses."""
        strict_range(size, (1, LIST_CAPACITY))
        self.write("LSTD")
        if self.values(f"LSTC? {size}", cast=int) != [1]:
            raise InstrumentError(f"{self.name} refused to create a list of {size} entries")

    def enables(self) -> int:
        """Get what is enabled now as a list entry codes it: modulation, LF, RF, clock, HF from bit 0 (int)."""
        switches = ("MODL?", "ENBL?", "ENBR?", "ENBC?", "ENBH?")
        return sum(int(self.values(query, cast=int)[0]) << bit for bit, query in enumerate(switches))

    def write_list(self, frequencies: Sequence[float]) -> None:
        """Fill the list with frequencies (Hz), many entries a message; all other settings are kept.

        Where a frequency is not a number the type N output goes off, and on again with the next number.
        """
        if any(math.isnan(frequency) for frequency in frequencies):
            others = self.enables() & ~_RF_BIT
            texts = [
                _OFF.format(enables=others) if math.isnan(f) else _ON.format(frequency=f, enables=others | _RF_BIT)
                for f in frequencies
            ]
        else:
            texts = [f"{frequency:.6f}{_KEEP}" for frequency in frequencies]
        entries = [f"LSTP {index},{text}" for index, text in enumerate(texts)]
        for start in range(0, len(entries), _BLOCK):
            self.write("\n".join(entries[start : start + _BLOCK]))

    def read_list(self, size: int) -> list[float]:
        """Read the frequencies (Hz) of the first `size` entries back; NaN where an entry keeps the frequency."""
        frequencies: list[float] = []
        for start in range(0, size, _BLOCK):
            block = range(start, min(size, start + _BLOCK))
            self.write("\n".join(f"LSTP? {index}" for index in block))
            replies = [self.read() for _ in block]
            for index, reply in zip(block, replies, strict=True):
                first, *rest = reply.split(",")
                try:
                    frequency = float("nan") if first == "N" else float(first)
                except ValueError:
                    raise self.nonsense(f"LSTP? {index}", reply) from None
                if len(rest) != 14:
                    raise self.nonsense(f"LSTP? {index}", reply)
                frequencies.append(frequency)
        return frequencies


class SG384Settings(VisaSettings):
    """Settings of an SG384 in a rig file."""


class SG384Source:
    """An SG384 as a microwave source with a triggered list.

    The list is stepped by the rear-panel trigger: the first trigger after arming selects entry 0, and after the last
    entry the list starts over.
    """

    Settings = SG384Settings

    def __init__(self, instrument: SG384) -> None:
        self.instrument = instrument
        self._fixed: float | None = None  # Hz, to return to when the list is left
        self._lit = False  # whether the output was told to be on, or will be at the end of the list

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> SG384Source:
        """Open the session and make sure an SG384 answers; changes no setting."""
        assert isinstance(settings, SG384Settings)
        adapter = VisaAdapter(address, "SG384", timeout=settings.timeout, write_termination="\n")
        source = cls(SG384(adapter))
        first_contact(source, settings.timeout)
        return source

    @property
    def frequency_range(self) -> tuple[float, float]:
        """Lowest and highest frequency (Hz)."""
        return FREQUENCY_RANGE

    @property
    def power_range_dbm(self) -> tuple[float, float]:
        """Lowest and highest output power (dBm)."""
        return POWER_RANGE_DBM

    @property
    def list_capacity(self) -> int:
        """How many entries a list may have."""
        return LIST_CAPACITY

    def identify(self) -> Identity:
        """Ask the instrument who it is."""
        return self.instrument.identity()

    def readings(self) -> Mapping[str, Value]:
        """Read frequency (Hz), power (dBm), output, list state and lock; clears only latched lock errors."""
        sg = self.instrument
        return {
            "frequency": number(sg.frequency, "FREQ?"),
            "power_dbm": number(sg.power, "AMPR?"),
            "output": sg.output_enabled,
            "list_enabled": sg.list_enabled,
            "list_index": number(sg.list_index, "LSTI?"),
            "locked": not int(number(sg.instrument_status, "INSR?")) & UNLOCKED_BITS,
        }

    def set_frequency(self, frequency: float) -> None:
        """Set a fixed frequency (Hz); leaves list mode."""
        _check("frequency", frequency, FREQUENCY_RANGE, "Hz")
        sg = self.instrument
        sg.list_enabled = False
        sg.frequency = frequency
        self._confirm("frequency", number(sg.frequency, "FREQ?"), frequency, _RESOLUTION, "Hz")
        self._fixed = frequency

    def set_power_dbm(self, power: float) -> None:
        """Set the output power (dBm)."""
        _check("power", power, POWER_RANGE_DBM, "dBm")
        self.instrument.power = power
        self._confirm("power", number(self.instrument.power, "AMPR?"), power, 0.01, "dBm")

    def set_output(self, on: bool) -> None:
        """Switch the RF output."""
        self.instrument.output_enabled = on
        self._lit = on
        if self.instrument.output_enabled != on:
            self.instrument.check_errors()
            raise InstrumentError(f"{self.instrument.name}: the output did not go {'on' if on else 'off'}")

    def load_list(self, frequencies: Sequence[float]) -> None:
        """Load a list (Hz; NaN: off), read all of it back, and arm it: the first trigger selects entry 0."""
        if not 1 <= len(frequencies) <= LIST_CAPACITY:
            raise LimitError(f"a list has 1 to {LIST_CAPACITY} entries, not {len(frequencies)}")
        for frequency in frequencies:
            if not math.isnan(frequency):
                _check("frequency", frequency, FREQUENCY_RANGE, "Hz")
        sg = self.instrument
        if not sg.list_enabled:
            self._fixed = number(sg.frequency, "FREQ?")
        sg.create_list(len(frequencies))
        sg.write_list(frequencies)
        stored = sg.read_list(len(frequencies))
        for index, (got, wanted) in enumerate(zip(stored, frequencies, strict=True)):
            if not (abs(got - wanted) <= _RESOLUTION or (math.isnan(got) and math.isnan(wanted))):
                sg.check_errors()
                raise InstrumentError(f"{sg.name}: list entry {index} holds {got!r} Hz instead of {wanted!r} Hz")
        sg.list_index = 0
        sg.list_enabled = True
        if (sg.list_enabled, sg.list_index, sg.list_size) != (True, 0, len(frequencies)):
            sg.check_errors()
            raise InstrumentError(f"{sg.name}: the list is loaded but does not arm")
        if any(math.isnan(frequency) for frequency in frequencies):
            self._lit = not math.isnan(frequencies[-1])

    def leave_list(self) -> None:
        """Disarm the list and return to the frequency from before it was loaded, if that is known."""
        self.instrument.list_enabled = False
        if self.instrument.list_enabled:
            raise InstrumentError(f"{self.instrument.name}: the list does not disarm")
        if self._fixed is not None:
            self.set_frequency(self._fixed)

    def list_position(self) -> int:
        """Which entry of the armed list the next trigger selects."""
        return int(number(self.instrument.list_index, "LSTI?"))

    def faults(self) -> tuple[str, ...]:
        """Return what is wrong with output, lock and errors, or was since this was last asked; clears what was latched.

        Where entries of the list switch the output, only what the last one left of it can be seen.
        """
        sg = self.instrument
        status = int(number(sg.instrument_status, "INSR?"))
        dark = ["the output has gone off by itself"] if self._lit and not sg.output_enabled else []
        return (*dark, *(text for bit, text in UNLOCKED.items() if status & bit), *sg.read_errors())

    def make_safe(self) -> None:
        """Switch the RF output off."""
        self.set_output(False)

    def close(self) -> None:
        """Close the session; the output stays as it is."""
        self.instrument.shutdown()

    def _confirm(self, what: str, got: float, wanted: float, tolerance: float, unit: str) -> None:
        if not abs(got - wanted) <= tolerance:
            self.instrument.check_errors()
            raise InstrumentError(f"{self.instrument.name}: {what} is {got!r} {unit} after setting {wanted!r} {unit}")


def _check(what: str, value: float, limits: tuple[float, float], unit: str) -> None:
    if not limits[0] <= value <= limits[1]:
        raise LimitError(f"SG384: {what} {value:g} {unit} is outside {limits[0]:g} … {limits[1]:g} {unit}")
