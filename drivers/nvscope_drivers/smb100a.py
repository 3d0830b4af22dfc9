"""Rohde & Schwarz SMB100A microwave generator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field
from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_range

from nvscope.config import Frozen
from nvscope.devices.roles import Identity, Value
from nvscope.errors import InstrumentError, LimitError
from nvscope.units import Hertz
from nvscope_drivers.checked import VisaSettings, number, switch
from nvscope_drivers.scpi import ScpiInstrument, first_contact
from nvscope_drivers.visa import VisaAdapter

__all__ = ["SMB100A", "SMB100ASettings", "SMB100ASource"]

POWER_RANGE_DBM = (-145.0, 30.0)
LIST_CAPACITY = 2000
_LIST = "nvscope"
_RESOLUTION = 1e-3  # Hz


class SMB100A(ScpiInstrument):
    """The R&S SMB100A; every setting is followed by a look at the error queue."""

    model = "SMB100A"

    frequency = Instrument.control(
        "FREQ?",
        "FREQ %.3f",
        """Control the fixed frequency in Hz (float strictly from 9e3 to 6e9).""",
        validator=strict_range,
        values=(9e3, 6e9),
        check_set_errors=True,
    )
    power = Instrument.control(
        "POW?",
        "POW %.2f",
        """Control the output power in dBm (float strictly from -145 to 30).""",
        validator=strict_range,
        values=POWER_RANGE_DBM,
        check_set_errors=True,
    )
    output_enabled = switch(
        "OUTP?", "OUTP %d", """Control whether the RF output is on (bool).""", check_set_errors=True
    )
    frequency_mode = Instrument.control(
        "FREQ:MODE?",
        "FREQ:MODE %s",
        """Control the frequency mode: 'CW', 'SWE' or 'LIST' (str).""",
        cast=str,
        validator=lambda value, values: _one_of(value, values),
        values=("CW", "SWE", "LIST"),
        check_set_errors=True,
    )
    list_index = Instrument.control(
        "LIST:IND?",
        "LIST:IND %d",
        """Control which list entry the next trigger selects (int from 0).""",
        cast=int,
        check_set_errors=True,
    )
    questionable = Instrument.measurement(
        "STAT:QUES:COND?", """Get the questionable status condition (int); 0 is well.""", cast=int
    )
    questionable_events = Instrument.measurement(
        "STAT:QUES?", """Get what was questionable since it was last asked, and forget it (int).""", cast=int
    )

    def __init__(self, adapter: Any, name: str = "R&S SMB100A", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    def command(self, *commands: str) -> None:
        """Send commands in one message and look at the error queue."""
        self.write(";:".join(commands))
        self.check_errors()

    def read_list(self) -> list[float]:
        """Read the frequencies (Hz) of the selected list."""
        return [number(value, "LIST:FREQ?") for value in self.values("LIST:FREQ?")]


def _one_of(value: str, values: Sequence[str]) -> str:
    if value not in values:
        raise ValueError(f"{value!r} is not one of {', '.join(values)}")
    return value


class SMB100ASettings(VisaSettings):
    """Settings of an SMB100A in a rig file."""

    lowest: Hertz = Field(default=9e3, description="lowest frequency of the installed option")
    highest: Hertz = Field(default=3.2e9, description="highest frequency of the installed option")
    highest_power_dbm: float = Field(default=18.0, description="highest power (dBm) it may be set to")
    first_trigger: Literal[0, 1] = Field(
        default=0, description="list entry the first trigger selects after a reset of the list; see the instrument"
    )


class SMB100ASource:
    """An SMB100A as a microwave source with a triggered list."""

    Settings = SMB100ASettings

    def __init__(self, instrument: SMB100A, settings: SMB100ASettings) -> None:
        self.instrument = instrument
        self._settings = settings
        self._lit = False  # whether the output was told to be on

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> SMB100ASource:
        """Open the session and make sure an SMB100A answers; changes no setting."""
        assert isinstance(settings, SMB100ASettings)
        adapter = VisaAdapter(address, "SMB100A", timeout=settings.timeout, read_termination="\n")
        source = cls(SMB100A(adapter), settings)
        first_contact(source, settings.timeout)
        return source

    @property
    def frequency_range(self) -> tuple[float, float]:
        """Lowest and highest frequency (Hz)."""
        return self._settings.lowest, self._settings.highest

    @property
    def power_range_dbm(self) -> tuple[float, float]:
        """Lowest and highest output power (dBm)."""
        return POWER_RANGE_DBM[0], self._settings.highest_power_dbm

    @property
    def list_capacity(self) -> int:
        """How many entries a list may have."""
        return LIST_CAPACITY

    def identify(self) -> Identity:
        """Ask the instrument who it is."""
        return self.instrument.identity()

    def readings(self) -> Mapping[str, Value]:
        """Read frequency (Hz), power (dBm), output, mode and lock."""
        smb = self.instrument
        return {
            "frequency": number(smb.frequency, "FREQ?"),
            "power_dbm": number(smb.power, "POW?"),
            "output": smb.output_enabled,
            "list_enabled": smb.frequency_mode == "LIST",
            "list_index": number(smb.list_index, "LIST:IND?"),
            "locked": smb.questionable == 0,
        }

    def set_frequency(self, frequency: float) -> None:
        """Set a fixed frequency (Hz); leaves list mode."""
        self._check("frequency", frequency, self.frequency_range, "Hz")
        smb = self.instrument
        smb.frequency_mode = "CW"
        smb.frequency = frequency
        self._confirm("frequency", smb.frequency, frequency, _RESOLUTION, "Hz")

    def set_power_dbm(self, power: float) -> None:
        """Set the output power (dBm)."""
        self._check("power", power, self.power_range_dbm, "dBm")
        self.instrument.power = power
        self._confirm("power", self.instrument.power, power, 0.01, "dBm")

    def set_output(self, on: bool) -> None:
        """Switch the RF output."""
        self.instrument.output_enabled = on
        self._lit = on
        if self.instrument.output_enabled != on:
            raise InstrumentError(f"{self.instrument.name}: the output did not go {'on' if on else 'off'}")

    def load_list(self, frequencies: Sequence[float]) -> None:
        """Load a list (Hz) at the present power, read it back, and arm it: the first trigger selects entry 0.

        An entry that is not a number keeps the frequency before it, at the lowest power there is.
        """
        if not 1 <= len(frequencies) <= LIST_CAPACITY:
            raise LimitError(f"a list has 1 to {LIST_CAPACITY} entries, not {len(frequencies)}")
        for frequency in frequencies:
            if not math.isnan(frequency):
                self._check("frequency", frequency, self.frequency_range, "Hz")
        smb, shift = self.instrument, self._settings.first_trigger
        # where the first trigger selects entry 1, the last one comes first: it is the one selected before any trigger
        selected = [*frequencies[-shift:], *frequencies[:-shift]] if shift else list(frequencies)
        entries = _without_gaps(selected, number(smb.frequency, "FREQ?"))
        power = number(smb.power, "POW?")
        lowest = self.power_range_dbm[0]
        gated = any(math.isnan(value) for value in selected)
        powers = [lowest if math.isnan(value) else power for value in selected] if gated else [power]
        smb.frequency_mode = "CW"
        smb.command(f'LIST:SEL "{_LIST}"', "LIST:FREQ " + ",".join(f"{value:.3f}" for value in entries))
        said = ",".join(f"{value:.2f}" for value in powers)
        smb.command(f"LIST:POW {said}", "LIST:MODE STEP", "LIST:TRIG:SOUR EXT", "LIST:LEAR")
        stored = smb.read_list()
        if len(stored) != len(entries):
            raise InstrumentError(f"{smb.name}: the list holds {len(stored)} entries instead of {len(entries)}")
        for index, (got, wanted) in enumerate(zip(stored, entries, strict=True)):
            self._confirm(f"list entry {index}", got, wanted, _RESOLUTION, "Hz")
        smb.command("FREQ:MODE LIST", "LIST:RES")
        if smb.frequency_mode != "LIST":
            raise InstrumentError(f"{smb.name}: the list is loaded but does not arm")

    def leave_list(self) -> None:
        """Return to the fixed frequency."""
        self.instrument.frequency_mode = "CW"

    def list_position(self) -> int:
        """Which entry of the armed list comes next: the first again after as many triggers as it has entries.

        That holds for either `first_trigger`: where the first trigger selects entry 1, the last selects entry 0.
        """
        return int(number(self.instrument.list_index, "LIST:IND?"))

    def faults(self) -> tuple[str, ...]:
        """Return what is wrong with output, lock and errors, or was since this was last asked; clears it."""
        smb = self.instrument
        # a condition that began before the register was last read is no new event
        status = int(number(smb.questionable_events, "STAT:QUES?")) | int(number(smb.questionable, "STAT:QUES:COND?"))
        dark = ["the output has gone off by itself"] if self._lit and not smb.output_enabled else []
        doubt = [f"frequency, level or reference is or was in doubt (STAT:QUES {status})"] if status else []
        return (*dark, *doubt, *smb.read_errors())

    def make_safe(self) -> None:
        """Switch the RF output off."""
        self.set_output(False)

    def close(self) -> None:
        """Close the session; the output stays as it is."""
        self.instrument.shutdown()

    def _check(self, what: str, value: float, limits: tuple[float, float], unit: str) -> None:
        if not limits[0] <= value <= limits[1]:
            raise LimitError(f"SMB100A: {what} {value:g} {unit} is outside {limits[0]:g} … {limits[1]:g} {unit}")

    def _confirm(self, what: str, got: Any, wanted: float, tolerance: float, unit: str) -> None:
        if not abs(number(got, what) - wanted) <= tolerance:
            raise InstrumentError(f"{self.instrument.name}: {what} is {got!r} {unit} after setting {wanted!r} {unit}")


def _without_gaps(frequencies: Sequence[float], before: float) -> list[float]:
    """Put the number before in place of what is not one: a synthesiser need not jump while it is off."""
    last, filled = before, []
    for value in frequencies:
        last = last if math.isnan(value) else value
        filled.append(last)
    return filled
