"""Keithley 2400 SourceMeter, four-wire on the sample.

Commands, status bits and error numbers: Keithley Series 2400 user's manual, sections 15, 17 and appendix B.
``READ?`` and ``MEAS?`` answer at once instead of after the integration time: rig time does not pass while a client
waits for a reply.
"""

from __future__ import annotations

from typing import ClassVar
from weakref import WeakSet

from pydantic import Field

from nvscope.config import Frozen
from nvscope_simulators.instruments.base import Session
from nvscope_simulators.instruments.ieee488 import (
    ILLEGAL_VALUE,
    SETTINGS_CONFLICT,
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
from nvscope_simulators.instruments.keithley2400_readings import Readings, readings_commands, scientific
from nvscope_simulators.instruments.keithley2400_smu import (
    MAX_TRIGGERS,
    SourceMeter,
    Sweeper,
)
from nvscope_simulators.instruments.scpi import (
    MISSING_PARAMETER,
    Command,
    CommandError,
    Handler,
    LineSession,
    number,
)
from nvscope_simulators.world.interface import World

OUT_OF_MEMORY = (-225, "Out of memory")
OUTPUT_OFF = (803, "Not permitted with OUTPUT off")
_FULL = {"VOLT": 210.0, "CURR": 1.05}
_PROTECT = {"VOLT": (2e-4, 210.0), "CURR": (1e-9, 1.05)}
_FUNCTIONS = {"VOLT": "VOLT", "VOLTAGE": "VOLT", "CURR": "CURR", "CURRENT": "CURR"}
_SUBSYSTEMS = (("VOLTage", "VOLT"), ("CURRent", "CURR"))
_LIST_LENGTH = 100


class Keithley2400Settings(Frozen):
    """One SourceMeter."""

    voltage_noise: float = Field(default=5e-7, ge=0, description="of a reading at 1 power line cycle (V rms)")
    current_noise: float = Field(default=2e-11, ge=0, description="of a reading at 1 power line cycle (A rms)")
    serial: str = "1108457"
    connections: int = Field(default=1, ge=1, description="simultaneous connections of its serial adapter")


class SimulatedKeithley2400:
    """The SourceMeter's commands, on a `SourceMeter` and its trigger model."""

    model: ClassVar[str] = "2400"

    def __init__(self, world: World, settings: Keithley2400Settings | None = None) -> None:
        self.settings = settings = settings or Keithley2400Settings()
        self.max_connections = settings.connections
        self._world = world
        self._asked = 0
        self._sessions: WeakSet[LineSession] = WeakSet()
        self._contact_open = False
        self._measurement, self._operation, self._questionable = Register(), Register(), Register()
        self._make_meter()
        self.core = ScpiCore(
            self._source_commands()
            | self._sense_commands()
            | self._measure_commands()
            | readings_commands(lambda: self.readings)
            | self._system_commands(),
            f"KEITHLEY INSTRUMENTS INC.,MODEL 2400,{settings.serial},C32 Oct  4 2010 14:20:11/A02  /S/K",
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
            postpone=lambda line: self.sweeper.running and waits(line),
        )
        self._sessions.add(session)
        return b"", session

    def _resume(self) -> None:
        for session in tuple(self._sessions):
            session.resume()

    def execute(self, message: str) -> str | None:
        """Run one program message; all its ``READ?`` together may take as many readings as the instrument keeps."""
        self._asked = 0
        return self.core.execute(message)

    def _make_meter(self) -> None:
        self.meter = SourceMeter(
            self._world, self.settings.voltage_noise, self.settings.current_noise, self._measurement
        )
        self.meter.contact_open = self._contact_open
        self.readings = Readings(self._measurement, lambda: self.meter.mode)
        self.sweeper = Sweeper(self.meter, lambda measurement: self.readings.take(measurement), self._resume)
        self._counts = {"TRIG": 1, "ARM": 1}
        self._words = {
            "TSOUR": "IMM",
            "ASOUR": "IMM",
            "SMODE": "NORM",
            "FILT": "REP",
            "RMODE": "MAN",
            "TERM": "FRON",
        }
        self._flags = {"AZER": True, "BEEP": True, "AUTOOFF": False, "DISP": True, "CONC": True, "FILTER": False}
        self._filter_count = 10

    def _reset(self) -> None:
        self.sweeper.stop()
        self._make_meter()
        self.meter.drive()

    # --- source

    def _source_commands(self) -> dict[str, Handler]:
        table: dict[str, Handler] = {
            "OUTPut[:STATe]": flag(lambda: self.meter.output, self._switch),
            "OUTPut:SMODe": self._word("SMODE", {"HIMP": "HIMP", "NORM": "NORM", "ZERO": "ZERO", "GUAR": "GUAR"}),
            "OUTPut:INTerlock:STATe": accept,
            "[SOURce]:FUNCtion[:MODE]": choice(lambda: self.meter.mode, self._source_mode, _FUNCTIONS),
            "[SOURce]:DELay": real(
                lambda: self.sweeper.delay, lambda v: setattr(self.sweeper, "delay", v), 0.0, 9999.999, 0.0, scientific
            ),
            "[SOURce]:DELay:AUTO": flag(lambda: False, lambda on: None),
            "[SOURce]:CLEar[:IMMediate]": act(lambda: self._switch(False)),
            "[SOURce]:CLEar:AUTO": self._flag("AUTOOFF"),
        }
        for name, key in _SUBSYSTEMS:
            root = f"[SOURce]:{name}"
            table[f"{root}[:LEVel][:IMMediate][:AMPLitude]"] = self._level(key)
            table[f"{root}:RANGe"] = self._source_range(key)
            table[f"{root}:RANGe:AUTO"] = flag(lambda: True, lambda on: None)
            table[f"{root}:MODE"] = choice(
                lambda: "LIST" if self.sweeper.listed else "FIX",
                lambda word: setattr(self.sweeper, "listed", word == "LIST"),
                {"FIX": "FIX", "FIXED": "FIX", "LIST": "LIST"},
            )
            table[f"[SOURce]:LIST:{name}"] = self._list(key)
            table[f"[SOURce]:LIST:{name}:POINts"] = ask(lambda: str(len(self.sweeper.levels)))
        return table

    def _level(self, key: str) -> Handler:
        def put(value: float) -> None:
            self.meter.level[key] = value
            self.meter.drive()

        return real(lambda: self.meter.level[key], put, -_FULL[key], _FULL[key], 0.0, scientific)

    def _source_range(self, key: str) -> Handler:
        # source ranges only set the resolution, which is not simulated: the largest is always in use
        return real(lambda: _FULL[key], lambda value: None, -_FULL[key], _FULL[key], show=scientific)

    def _list(self, key: str) -> Handler:
        def handler(command: Command) -> str | None:
            if command.query:
                return ",".join(scientific(level) for level in self.sweeper.levels)
            if not 1 <= len(command.arguments) <= _LIST_LENGTH:
                raise CommandError(*(ILLEGAL_VALUE if command.arguments else MISSING_PARAMETER))
            self.sweeper.levels = [
                number(command, place, -_FULL[key], _FULL[key]) for place in range(len(command.arguments))
            ]
            return None

        return handler

    def _source_mode(self, mode: str) -> None:
        if mode != self.meter.mode:
            self.meter.output = False  # a change of function switches the output off
            self.meter.mode = mode
            self.meter.drive()

    def _switch(self, on: bool) -> None:
        if not on:
            self.sweeper.stop()
        self.meter.output = on
        self.meter.drive()

    # --- sense

    def _sense_commands(self) -> dict[str, Handler]:
        table: dict[str, Handler] = {
            "[SENSe]:FUNCtion:CONCurrent": self._flag("CONC"),
            "[SENSe]:AVERage[:STATe]": flag(lambda: self._flags["FILTER"], self._filter),
            "[SENSe]:AVERage:COUNt": whole(lambda: self._filter_count, self._set_filter_count, 1, 100),
            "[SENSe]:AVERage:TCONtrol": self._word("FILT", {"REP": "REP", "REPEAT": "REP", "MOV": "MOV"}),
            "[SENSe]:RESistance:MODE": self._word("RMODE", {"MAN": "MAN", "MANUAL": "MAN", "AUTO": "AUTO"}),
            "[SENSe]:RESistance:RANGe": real(lambda: 2.1e5, lambda v: None, 0.0, 2.1e8, show=scientific),
            "[SENSe]:RESistance:RANGe:AUTO": flag(lambda: True, lambda on: None),
            "[SENSe]:RESistance:NPLCycles": self._nplc("RES"),
            "SYSTem:RSENse": flag(lambda: self.meter.remote_sense, lambda on: setattr(self.meter, "remote_sense", on)),
        }
        for name, key in _SUBSYSTEMS:
            root = f"[SENSe]:{name}[:DC]"
            table[f"{root}:RANGe[:UPPer]"] = self._range(key)
            table[f"{root}:RANGe:AUTO"] = flag(
                lambda k=key: self.meter.span[k] is None,  # type: ignore[misc]
                lambda on, k=key: self._set_auto(k, on),  # type: ignore[misc]
            )
            table[f"{root}:NPLCycles"] = self._nplc(key)
            table[f"{root}:PROTection[:LEVel]"] = self._protection(key)
            table[f"{root}:PROTection:TRIPped"] = ask(
                lambda k=key: str(int(self._tripped(k)))  # type: ignore[misc]
            )
        return table

    def _nplc(self, key: str) -> Handler:
        # one setting for all functions, whichever subsystem names it
        return real(
            lambda: self.meter.nplc[key],
            lambda value: self.meter.nplc.update(VOLT=value, CURR=value, RES=value),
            0.01,
            10.0,
            1.0,
            scientific,
        )

    def _tripped(self, key: str) -> bool:
        self.meter.drive()
        return self.meter.tripped and self.meter.mode != key

    def _protection(self, key: str) -> Handler:
        def put(value: float) -> None:
            self.meter.limit[key] = max(abs(value), _PROTECT[key][0])
            self.meter.drive()

        return real(lambda: self.meter.limit[key], put, -_PROTECT[key][1], _PROTECT[key][1], show=scientific)

    def _range(self, key: str) -> Handler:
        def put(value: float) -> None:
            self.meter.span[key] = abs(value) or _FULL[key]

        return real(lambda: self.meter.span[key] or _FULL[key], put, -_FULL[key], _FULL[key], show=scientific)

    def _set_auto(self, key: str, on: bool) -> None:
        self.meter.span[key] = None if on else (self.meter.span[key] or _FULL[key])

    def _filter(self, on: bool) -> None:
        self._flags["FILTER"] = on
        self.meter.average = self._filter_count if on else 1

    def _set_filter_count(self, count: int) -> None:
        self._filter_count = count
        self._filter(self._flags["FILTER"])

    # --- measuring

    def _measure_commands(self) -> dict[str, Handler]:
        return {
            "READ": ask(self._read),
            "INITiate[:IMMediate]": act(self._initiate),
            "ABORt": act(lambda: self.sweeper.stop()),
            "MEASure": ask(self._read),
            "MEASure:VOLTage[:DC]": ask(lambda: self._one_shot("VOLT")),
            "MEASure:CURRent[:DC]": ask(lambda: self._one_shot("CURR")),
            "MEASure:RESistance": ask(lambda: self._one_shot("RES")),
            "CONFigure:VOLTage[:DC]": act(lambda: self._configure("VOLT")),
            "CONFigure:CURRent[:DC]": act(lambda: self._configure("CURR")),
            "CONFigure:RESistance": act(lambda: self._configure("RES")),
            "TRIGger:COUNt": self._count("TRIG"),
            "ARM:COUNt": self._count("ARM"),
            "TRIGger:DELay": real(
                lambda: self.sweeper.delay, lambda v: setattr(self.sweeper, "delay", v), 0.0, 999.9999, 0.0, scientific
            ),
            "TRIGger:SOURce": self._word("TSOUR", {"IMM": "IMM", "IMMEDIATE": "IMM", "TLIN": "TLIN"}),
            "ARM:SOURce": self._word("ASOUR", {"IMM": "IMM", "IMMEDIATE": "IMM", "BUS": "BUS", "TIM": "TIM"}),
            "TRIGger:CLEar": act(lambda: None),
        }

    def _count(self, layer: str) -> Handler:
        def put(count: int) -> None:
            if count * self._counts["ARM" if layer == "TRIG" else "TRIG"] > MAX_TRIGGERS:
                raise CommandError(*SETTINGS_CONFLICT)
            self._counts[layer] = count

        return whole(lambda: self._counts[layer], put, 1, MAX_TRIGGERS)

    def _require_output(self) -> None:
        if self._flags["AUTOOFF"]:
            self.meter.output = True
        if not self.meter.output:
            raise CommandError(*OUTPUT_OFF)

    def _read(self) -> str:
        self._require_output()
        if self.sweeper.running:
            raise CommandError(*SETTINGS_CONFLICT)
        count = self._counts["ARM"] * self._counts["TRIG"]
        self._asked += count
        if self._asked > MAX_TRIGGERS:
            raise CommandError(*OUT_OF_MEMORY)
        self.readings.latest = []
        for step in range(count):
            if self.sweeper.listed and self.sweeper.levels:
                self.meter.level[self.meter.mode] = self.sweeper.levels[step % len(self.sweeper.levels)]
            self.readings.take(self.meter.measure(self.sweeper.started))
        if self._flags["AUTOOFF"]:
            self._switch(False)
        return self.readings.formatted(self.readings.latest)

    def _one_shot(self, function: str) -> str:
        """Measure one function: ``MEASure`` is ``CONFigure`` plus ``READ?``."""
        self._configure(function)
        return self._read()

    def _configure(self, function: str) -> None:
        """Sense one function, one reading at a time, with the output on."""
        self.readings.sensed.add(function)
        self._counts = {"TRIG": 1, "ARM": 1}
        self._switch(True)

    def _initiate(self) -> None:
        self._require_output()
        if self.sweeper.running:
            raise CommandError(-213, "Init ignored")
        self.readings.latest = []
        self.sweeper.start(self._counts["ARM"] * self._counts["TRIG"])

    # --- the rest

    def _system_commands(self) -> dict[str, Handler]:
        return {
            "STATus:QUEue[:NEXT]": ask(lambda: self.core.next_error()),
            "STATus:QUEue:CLEar": act(lambda: self.core.errors.clear()),
            "SYSTem:ERRor:COUNt": ask(lambda: str(len(self.core.errors))),
            "SYSTem:CLEar": act(lambda: self.core.errors.clear()),
            "SYSTem:PRESet": act(self._reset),
            "SYSTem:AZERo[:STATe]": self._auto_zero,
            "SYSTem:BEEPer[:IMMediate]": accept,
            "SYSTem:BEEPer:STATe": self._flag("BEEP"),
            "SYSTem:LFRequency": ask(lambda: "50"),
            "SYSTem:LOCal": act(lambda: None),
            "SYSTem:REMote": act(lambda: None),
            "SYSTem:TIME:RESet": act(lambda: setattr(self.sweeper, "started", self._world.timeline.now)),
            "ROUTe:TERMinals": self._word("TERM", {"FRON": "FRON", "FRONT": "FRON", "REAR": "REAR"}),
            "DISPlay:ENABle": self._flag("DISP"),
        }

    def _auto_zero(self, command: Command) -> str | None:
        if command.arguments and command.arguments[0].upper() == "ONCE" and not command.query:
            return None
        return self._flag("AZER")(command)

    def _flag(self, name: str) -> Handler:
        return flag(lambda: self._flags[name], lambda on: self._flags.update({name: on}))

    def _word(self, name: str, options: dict[str, str]) -> Handler:
        return choice(lambda: self._words[name], lambda word: self._words.update({name: word}), options)

    # -- faults

    def set_contact_open(self, is_open: bool) -> None:
        """Let a current contact fall off, or touch again."""
        self._contact_open = self.meter.contact_open = is_open
        self.meter.drive()

    def switch_off(self) -> None:
        """Switch the output off behind everybody's back, as its protection does."""
        self._switch(False)
