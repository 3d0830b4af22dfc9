"""Keithley 6221 current source with a 2182A nanovoltmeter on its relay port: DC sourcing and delta mode.

Commands, status bits and error numbers: Keithley Model 6220/6221 reference manual, sections 5, 6 and 11, appendix B.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar
from weakref import WeakSet

from pydantic import Field

from nvscope.config import Frozen
from nvscope_simulators.instruments.base import Session
from nvscope_simulators.instruments.ieee488 import (
    ILLEGAL_VALUE,
    Register,
    ScpiCore,
    accept,
    act,
    ask,
    choice,
    flag,
    real,
    waits,
    whole,
)
from nvscope_simulators.instruments.keithley6221_wave import WaveMode
from nvscope_simulators.instruments.keithley_delta import (
    ARMED_ALREADY,
    HARDWARE_MISSING,
    MAX_POINTS,
    NOT_A_NUMBER,
    SETTINGS_CONFLICT,
    DeltaMode,
    Nanovoltmeter,
    Reading,
)
from nvscope_simulators.instruments.scpi import (
    MISSING_PARAMETER,
    Command,
    CommandError,
    Handler,
    LineSession,
)
from nvscope_simulators.world.interface import World

STALE = (-230, "Data corrupt or stale")
FULL_SCALE = 0.105
_ELEMENTS = ("READ", "TST", "UNIT", "RNUM", "SOUR", "COMP", "AVOL")
_LONG_ELEMENTS = ("READING", "TSTAMP", "UNITS", "RNUMBER", "SOURCE", "COMPLIANCE", "AVOLTAGE")
_UNITS = {"V": "V", "VOLT": "V", "OHMS": "OHMS", "W": "W", "WATT": "W", "SIEM": "SIEM", "SIEMENS": "SIEM"}


class Keithley6221Settings(Frozen):
    """One 6221 with its 2182A."""

    meter_connected: bool = Field(default=True, description="whether a 2182A is on the relay port")
    voltage_noise: float = Field(default=20e-9, ge=0, description="of a conversion at 1 power line cycle (V rms)")
    serial: str = "1402386"
    connections: int = Field(default=1, ge=1, description="simultaneous connections accepted")


class SimulatedKeithley6221:
    """The current source: a DC level with compliance, delta mode, a reading buffer, and the relay to the 2182A."""

    model: ClassVar[str] = "6221"

    def __init__(self, world: World, settings: Keithley6221Settings | None = None) -> None:
        self._world = world
        self.settings = settings = settings or Keithley6221Settings()
        self.max_connections = settings.connections
        self._measurement, self._operation, self._questionable = Register(), Register(), Register()
        self.meter = Nanovoltmeter(settings.voltage_noise, settings.meter_connected)
        self._relayed: list[str] = []
        self._contact_open = False
        self._relay = _meter_core(self.meter)
        self._defaults()
        self._sessions: WeakSet[LineSession] = WeakSet()
        self.delta = DeltaMode(world, self.meter, self._source, self._measurement, self._operation, self._resume)
        self.wave = WaveMode(self._source, lambda: self.delta.armed)
        self.core = ScpiCore(
            self._source_commands()
            | self._delta_commands()
            | self._buffer_commands()
            | self.wave.commands()
            | self._system_commands(),
            f"KEITHLEY INSTRUMENTS INC.,MODEL 6221,{settings.serial},B01  /700x ",
            self._reset,
            {
                "MEASurement": (self._measurement, 1),
                "QUEStionable": (self._questionable, 8),
                "OPERation": (self._operation, 128),
            },
        )

    def open_session(self) -> tuple[bytes, Session]:
        """Accept a connection; no banner."""
        session = LineSession(
            self.execute,
            terminator=b"\n",
            on_overflow=lambda: self.core.fail(-363, "Input buffer overrun"),
            postpone=lambda line: self.delta.running and waits(line),
        )
        self._sessions.add(session)
        return b"", session

    def execute(self, line: str) -> str | None:
        """Run one line, whoever sends it."""
        return self.core.execute(line)

    def _resume(self) -> None:
        for session in tuple(self._sessions):
            session.resume()

    def _defaults(self) -> None:
        self._level, self._compliance, self._range, self._auto = 0.0, 10.0, FULL_SCALE, True
        self._output = False
        self._elements: tuple[str, ...] = ("READ", "TST")
        self._unit = "V"
        self._switches = {"ISH": False, "LTE": False, "DISP": True, "BEEP": True}
        self._delays = {"DEL": 1e-3}

    def _reset(self) -> None:
        self.delta.abort()
        self.wave.abort()
        self._defaults()
        self.delta.defaults()
        self.wave.defaults()
        self._apply()

    # --- the output

    def _source(self, current: float) -> tuple[float, bool]:
        """Put `current` (A) on the contacts; returns what flows and whether compliance limits it."""
        needed = math.inf if self._contact_open else abs(self._world.two_probe_voltage(current))
        limited = current != 0.0 and not needed <= self._compliance
        flowing = current
        if limited:  # an open contact takes no current at all
            flowing = current * self._compliance / needed if math.isfinite(needed) else 0.0
        self._world.ports.excitation.current = flowing
        return flowing, limited

    def _apply(self) -> None:
        if not (self.delta.armed or self.wave.armed):
            _, limited = self._source(self._level if self._output else 0.0)
            self._measurement.hold(1 << 3, limited)

    def _switch(self, on: bool) -> None:
        if not on:
            self.delta.abort()
            self.wave.abort()
        self._output = on
        self._apply()

    def _unarmed(self, put: Callable[[float], None]) -> Callable[[float], None]:
        """Refuse a setting while delta is armed."""

        def guarded(value: float) -> None:
            if self.delta.armed or self.wave.armed:
                raise CommandError(*ARMED_ALREADY)
            put(value)

        return guarded

    def _set(self, name: str) -> Callable[[float], None]:
        def put(value: float) -> None:
            setattr(self, name, value)
            self._apply()

        return put

    def _clear_source(self) -> None:
        self._level = 0.0
        self._switch(False)

    def _source_commands(self) -> dict[str, Handler]:
        return {
            "OUTPut[:STATe]": flag(lambda: self._output or self.delta.armed or self.wave.armed, self._switch),
            "OUTPut:ISHield": choice(
                lambda: "GUAR" if self._switches["ISH"] else "OLOW",
                lambda word: self._switches.update(ISH=word == "GUAR"),
                {"GUAR": "GUAR", "GUARD": "GUAR", "OLOW": "OLOW"},
            ),
            "OUTPut:LTEarth": flag(lambda: self._switches["LTE"], lambda on: self._switches.update(LTE=on)),
            "[SOURce]:CURRent[:LEVel][:IMMediate][:AMPLitude]": real(
                lambda: self._level, self._unarmed(self._set("_level")), -FULL_SCALE, FULL_SCALE, 0.0
            ),
            "[SOURce]:CURRent:COMPliance": real(
                lambda: self._compliance, self._unarmed(self._set("_compliance")), 0.1, 105.0, 10.0
            ),
            "[SOURce]:CURRent:RANGe": real(
                lambda: self._range, self._unarmed(self._set_range), -FULL_SCALE, FULL_SCALE, FULL_SCALE
            ),
            "[SOURce]:CURRent:RANGe:AUTO": flag(lambda: self._auto, lambda on: setattr(self, "_auto", on)),
            "[SOURce]:DELay": real(
                lambda: self._delays["DEL"], lambda value: self._delays.update(DEL=value), 1e-3, 999999.999, 1e-3
            ),
            "[SOURce]:CLEar[:IMMediate]": act(self._clear_source),
        }

    def _set_range(self, value: float) -> None:
        self._range, self._auto = abs(value), False

    # --- delta mode

    def _delta_commands(self) -> dict[str, Handler]:
        delta = self.delta
        tidy = self._unarmed
        return {
            "[SOURce]:DELTa:NVPResent": ask(lambda: str(int(self.meter.connected))),
            "[SOURce]:DELTa:HIGH": real(lambda: delta.high, tidy(self._set_high), 0.0, FULL_SCALE, 1e-3),
            "[SOURce]:DELTa:LOW": real(
                lambda: delta.low, tidy(lambda value: setattr(delta, "low", value)), -FULL_SCALE, 0.0, -1e-3
            ),
            "[SOURce]:DELTa:DELay": real(
                lambda: delta.delay, tidy(lambda value: setattr(delta, "delay", value)), 0.0, 9999.999, 2e-3
            ),
            "[SOURce]:DELTa:COUNt": self._count,
            "[SOURce]:DELTa:CABort": flag(
                lambda: delta.compliance_abort, lambda on: tidy(lambda _: setattr(delta, "compliance_abort", on))(0.0)
            ),
            "[SOURce]:DELTa:CSWitch": flag(
                lambda: delta.cold_switching, lambda on: tidy(lambda _: setattr(delta, "cold_switching", on))(0.0)
            ),
            "[SOURce]:DELTa:ARM": self._arm,
            "[SOURce]:SWEep:ABORt": act(delta.abort),
            "[SOURce]:SWEep:COUNt": whole(lambda: 1, lambda _: None, 1, 1),
            "INITiate[:IMMediate]": act(delta.start),
            "SENSe:DATA[:LATest]": ask(lambda: self._latest(fresh=False)),
            "SENSe:DATA:FRESh": ask(lambda: self._latest(fresh=True)),
            "SENSe:AVERage[:STATe]": flag(lambda: delta.average > 1, self._filter),
            "SENSe:AVERage:COUNt": whole(lambda: delta.average, lambda n: setattr(delta, "average", n), 2, 300),
        }

    def _set_high(self, value: float) -> None:
        self.delta.high, self.delta.low = value, -value

    def _filter(self, on: bool) -> None:
        self.delta.average = max(2, self.delta.average) if on else 1

    def _count(self, command: Command) -> str | None:
        delta = self.delta
        if command.query:
            return "+9.900000E+37" if delta.count is None else str(delta.count)
        if command.arguments and command.arguments[0].upper() in ("INF", "INFINITY"):
            self._unarmed(lambda _: setattr(delta, "count", None))(0.0)
            return None
        return whole(lambda: 0, self._unarmed_whole(lambda n: setattr(delta, "count", n)), 1, MAX_POINTS)(command)

    def _unarmed_whole(self, put: Callable[[int], None]) -> Callable[[int], None]:
        guarded = self._unarmed(lambda value: put(round(value)))
        return lambda value: guarded(value)

    def _arm(self, command: Command) -> str | None:
        if command.query:
            return str(int(self.delta.armed))
        act(self.delta.arm)(command)
        return None

    def _latest(self, *, fresh: bool) -> str:
        delta = self.delta
        if not delta.armed:
            raise CommandError(*SETTINGS_CONFLICT)
        if fresh and not delta.fresh:
            raise CommandError(*STALE)
        delta.fresh = False
        return self._formatted(delta.latest or Reading(NOT_A_NUMBER, 0.0, delta.high, False), 0)

    # --- readings and their buffer

    def _buffer_commands(self) -> dict[str, Handler]:
        delta = self.delta
        return {
            "TRACe:POINts": whole(lambda: delta.points, lambda n: setattr(delta, "points", n), 1, MAX_POINTS),
            "TRACe:POINts:ACTual": ask(lambda: str(len(delta.buffer))),
            "TRACe:CLEar": act(lambda: delta.buffer.clear()),
            "TRACe:DATA": ask(self._trace),
            "TRACe:DATA:TYPE": ask(lambda: "DELT" if delta.buffer else "NONE"),
            "TRACe:FEED": choice(lambda: "SENS1", lambda _: None, {"SENS": "", "SENSE": "", "SENS1": ""}),
            "TRACe:FEED:CONTrol": choice(lambda: "NEXT", lambda _: None, {"NEXT": "", "NEV": "", "NEVER": ""}),
            "FORMat[:DATA]": choice(lambda: "ASC", lambda _: None, {"ASC": "", "ASCII": ""}),
            "FORMat:ELEMents": self._format_elements,
            "UNIT[:VOLTage][:DC]": choice(lambda: self._unit, lambda unit: setattr(self, "_unit", unit), _UNITS),
        }

    def _trace(self) -> str:
        if not self.delta.buffer:
            raise CommandError(*STALE)
        return ",".join(self._formatted(reading, place) for place, reading in enumerate(self.delta.buffer))

    def _formatted(self, reading: Reading, place: int) -> str:
        volts, amperes = reading.voltage, reading.current or math.nan
        valid = abs(volts) < 1e37
        shown = {"V": volts, "OHMS": volts / amperes, "W": volts * amperes, "SIEM": amperes / (volts or math.nan)}
        value = shown[self._unit] if valid else volts
        fields = {
            "READ": _scientific(value if math.isfinite(value) else NOT_A_NUMBER),
            "TST": _scientific(reading.time),
            "UNIT": {"V": "VDC", "OHMS": "OHM", "W": "W", "SIEM": "SIE"}[self._unit],
            "RNUM": str(place),
            "SOUR": _scientific(reading.current),
            "COMP": "T" if reading.limited else "F",
            "AVOL": _scientific(NOT_A_NUMBER),
        }
        return ",".join(fields[name] for name in self._elements)

    def _format_elements(self, command: Command) -> str | None:
        if command.query:
            return ",".join(self._elements)
        if not command.arguments:
            raise CommandError(*MISSING_PARAMETER)
        words = [argument.upper() for argument in command.arguments]
        if words in (["ALL"], ["DEF"], ["DEFAULT"]):
            self._elements = _ELEMENTS if words == ["ALL"] else ("READ", "TST")
            return None
        if not set(words) <= {*_ELEMENTS, *_LONG_ELEMENTS}:
            raise CommandError(*ILLEGAL_VALUE)
        chosen = {short for short, full in zip(_ELEMENTS, _LONG_ELEMENTS, strict=True) if {short, full} & set(words)}
        self._elements = tuple(name for name in _ELEMENTS if name in chosen)
        return None

    # --- the rest

    def _system_commands(self) -> dict[str, Handler]:
        return {
            "STATus:QUEue[:NEXT]": ask(lambda: self.core.next_error()),
            "STATus:QUEue:CLEar": act(lambda: self.core.errors.clear()),
            "SYSTem:CLEar": act(lambda: self.core.errors.clear()),
            "SYSTem:PRESet": act(self._reset),
            "SYSTem:BEEPer": accept,
            "SYSTem:BEEPer:STATe": flag(lambda: self._switches["BEEP"], lambda on: self._switches.update(BEEP=on)),
            "DISPlay:ENABle": flag(lambda: self._switches["DISP"], lambda on: self._switches.update(DISP=on)),
            "SYSTem:COMMunicate:SERial:SEND": self._send,
            "SYSTem:COMMunicate:SERial:ENTer": ask(lambda: self._relayed.pop(0) if self._relayed else ""),
        }

    def _send(self, command: Command) -> str | None:
        if command.query or not command.arguments:
            raise CommandError(*MISSING_PARAMETER)
        if not self.meter.connected:
            raise CommandError(*HARDWARE_MISSING)
        if self.delta.armed:
            raise CommandError(*ARMED_ALREADY)
        reply = self._relay.execute(",".join(command.arguments).strip().strip("'\""))
        if reply is not None:
            self._relayed = [*self._relayed[-9:], reply]
        return None

    # -- faults

    def set_contact_open(self, is_open: bool) -> None:
        """Let a current contact fall off, or touch again."""
        self._contact_open = is_open
        self._apply()

    def set_meter_connected(self, connected: bool) -> None:
        """Unplug the 2182A, or plug it in again."""
        self.meter.connected = connected

    def spoil_next_reading(self) -> None:
        """Make the first reading of the next delta run not a number, as after power-up."""
        self.delta.first_bogus = True


def _scientific(value: float) -> str:
    return f"{value:+.6E}"


def _meter_core(meter: Nanovoltmeter) -> ScpiCore:
    """Return the command processor of the 2182A; sense commands without suffix address channel 1."""

    def reset() -> None:
        meter.nplc, meter.range, meter.filtered = 5.0, 0.1, False

    voltage = "[SENSe]:VOLTage[:DC]"
    commands: dict[str, Handler] = {
        f"{voltage}:NPLCycles": real(lambda: meter.nplc, lambda value: setattr(meter, "nplc", value), 0.01, 50.0, 5.0),
        f"{voltage}:APERture": real(
            lambda: meter.nplc / 50.0, lambda value: setattr(meter, "nplc", value * 50.0), 2e-4, 1.0, 0.1
        ),
        f"{voltage}[:CHANnel]:RANGe[:UPPer]": real(
            lambda: meter.range, lambda value: setattr(meter, "range", _range_for(value)), 0.0, 120.0, 0.1
        ),
        f"{voltage}:DFILter[:STATe]": flag(lambda: meter.filtered, lambda on: setattr(meter, "filtered", on)),
        "[SENSe]:FUNCtion": choice(lambda: '"VOLT:DC"', lambda _: None, {"VOLT": "", "VOLT:DC": "", "VOLTAGE": ""}),
        "[SENSe]:CHANnel": whole(lambda: 1, lambda _: None, 1, 1),
    }
    return ScpiCore(commands, "KEITHLEY INSTRUMENTS INC.,MODEL 2182A,1198765,C05  /A02  ", reset, {})


def _range_for(value: float) -> float:
    """Return the smallest range (V) that takes `value`."""
    return next((span for span in (0.01, 0.1, 1.0, 10.0) if value <= 1.2 * span), 100.0)
