"""Simulated Rohde & Schwarz SMB100A microwave generator (SCPI), with its list mode.

Headers, ranges and error texts follow the SMB100A operating manual, chapter 6. Assumed where it leaves room: in list
mode "step" the first trigger after LIST:RESet or after switching to list mode selects the first entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from nvscope.config import Frozen
from nvscope.units import Seconds
from nvscope_simulators.instruments.base import HangUp, Session
from nvscope_simulators.instruments.ieee488 import (
    SETTINGS_CONFLICT,
    Register,
    ScpiCore,
    act,
    ask,
    choice,
    flag,
    real,
    whole,
)
from nvscope_simulators.instruments.scpi import (
    DATA_OUT_OF_RANGE,
    MISSING_PARAMETER,
    Command,
    CommandError,
    Handler,
    LineSession,
    number,
)
from nvscope_simulators.ports import MicrowavePort
from nvscope_simulators.world.interface import World

LOWEST, HIGHEST = 9e3, 6e9  # Hz, option B106
LOWEST_POWER, HIGHEST_POWER = -145.0, 30.0  # dBm, settable
LIST_CAPACITY = 10001
_SYNTHESIS = 4  # STATus:QUEStionable, bit 5 of the frequency group folded into one bit

_NUMBERS: dict[str, tuple[float, float, float]] = {
    # header: default, low, high
    "[SOURce]:PHASe": (0.0, -359.99, 359.99),
    "[SOURce]:FREQuency:STARt": (100e6, LOWEST, HIGHEST),
    "[SOURce]:FREQuency:STOP": (500e6, LOWEST, HIGHEST),
    "[SOURce]:FREQuency:OFFSet": (0.0, -50e9, 50e9),
    "[SOURce]:FREQuency:STEP": (1e6, 0.0, 1e9),
    "[SOURce]:POWer:STARt": (-30.0, LOWEST_POWER, HIGHEST_POWER),
    "[SOURce]:POWer:STOP": (-10.0, LOWEST_POWER, HIGHEST_POWER),
    "[SOURce]:POWer:LIMit": (30.0, LOWEST_POWER, HIGHEST_POWER),
    "[SOURce]:POWer[:LEVel][:IMMediate]:OFFSet": (0.0, -100.0, 100.0),
    "[SOURce]:SWEep[:FREQuency]:STEP": (1e6, 1e-3, 1e9),
    "[SOURce]:SWEep[:FREQuency]:STEP:LINear": (1e6, 1e-3, 1e9),
    "[SOURce]:SWEep[:FREQuency]:DWELl": (15e-3, 5e-3, 1000.0),
    "[SOURce]:LIST:DWELl": (10e-3, 1e-3, 1000.0),
}
_FLAGS = (
    *("[SOURce]:PULM:STATe", "[SOURce]:AM:STATe", "[SOURce]:FM:STATe", "[SOURce]:PM:STATe"),
    *("[SOURce]:MODulation[:ALL][:STATe]", "SYSTem:DISPlay:UPDate"),
)
_CHOICES: dict[str, tuple[str, Mapping[str, str]]] = {
    "[SOURce]:SWEep[:FREQuency]:MODE": ("AUTO", {"AUTO": "AUTO", "MAN": "MAN", "MANUAL": "MAN", "STEP": "STEP"}),
    "TRIGger:FSWeep:SOURce": (
        "AUTO",
        {"AUTO": "AUTO", "SING": "SING", "SINGLE": "SING", "EXT": "EXT", "EXTERNAL": "EXT", "EAUT": "EAUT"},
    ),
    "OUTPut:AMODe": ("AUTO", {"AUTO": "AUTO", "FIX": "FIX", "FIXED": "FIX"}),
    "[SOURce]:ROSCillator:SOURce": ("INT", {"INT": "INT", "INTERNAL": "INT", "EXT": "EXT", "EXTERNAL": "EXT"}),
    "UNIT:POWer": ("DBM", {"DBM": "DBM", "V": "V", "DBUV": "DBUV"}),
}


class SMB100ASettings(Frozen):
    """What a rig may say about its simulated SMB100A."""

    serial: str = "178123"
    firmware: str = "3.1.19.15-3.50.124.73"
    feeds_cell: bool = Field(default=True, description="whether its output goes to the cell's microwave wire")
    trigger_line: str = Field(default="sweep", description="trigger wire plugged into its INST TRIG input")
    connection_lifetime: Seconds = Field(
        default=6 * 3600.0, ge=0, description="time after which it closes a connection; 0 never does"
    )
    max_connections: int = Field(default=4, ge=1, description="clients served at once")


class SimulatedSMB100A:
    """The generator."""

    model: ClassVar[str] = "SMB100A"

    def __init__(self, world: World, settings: SMB100ASettings) -> None:
        self.max_connections = settings.max_connections
        self._world = world
        self._settings = settings
        self._port = world.ports.microwave if settings.feeds_cell else MicrowavePort()
        self._questionable, self._operation = Register(), Register()
        self._unlocked = False
        self._list: dict[str, list[float]] = {"FREQ": [], "POW": []}
        self._list_name = ""
        self._set_defaults()
        self.core = ScpiCore(
            self._commands(),
            f"Rohde&Schwarz,{self.model},1406.6000k02/{settings.serial},{settings.firmware}",
            self._reset,
            {"QUEStionable": (self._questionable, 8), "OPERation": (self._operation, 128)},
            queue_size=30,
        )
        world.ports.triggers.plug(settings.trigger_line, self.external_trigger)
        self._emit()

    def _set_defaults(self) -> None:
        self._frequency, self._power, self._on = 1e9, -30.0, False
        self._mode, self._list_mode, self._list_source = "CW", "AUTO", "AUTO"
        self._learned = False
        self._next_entry = 0
        self._numbers = {header: default for header, (default, _, _) in _NUMBERS.items()}
        self._flags = dict.fromkeys(_FLAGS, False)
        self._named = {header: default for header, (default, _) in _CHOICES.items()}

    def _reset(self) -> None:
        self._set_defaults()
        self._emit()

    # -- conversation

    def open_session(self) -> tuple[bytes, Session]:
        """Accept a connection; no banner."""
        opened = self._world.timeline.now
        lifetime = self._settings.connection_lifetime

        def respond(line: str) -> str | None:
            if lifetime and self._world.timeline.now - opened >= lifetime:
                raise HangUp
            return self.core.execute(line)

        return b"", LineSession(
            respond, terminator=b"\n", on_overflow=lambda: self.core.fail(-363, "Input buffer overrun")
        )

    def _commands(self) -> dict[str, Handler]:
        return {
            **{header: self._number(header) for header in _NUMBERS},
            **{header: self._flag(header) for header in _FLAGS},
            **{header: self._choice(header) for header in _CHOICES},
            "[SOURce]:FREQuency[:CW]": self._frequency_handler(),
            "[SOURce]:FREQuency:FIXed": self._frequency_handler(),
            "[SOURce]:FREQuency:MODE": choice(lambda: self._mode, self._set_mode, _MODES),
            "[SOURce]:POWer[:LEVel][:IMMediate][:AMPLitude]": real(
                lambda: self._power, self._set_power, LOWEST_POWER, HIGHEST_POWER, -30.0, show=_plain
            ),
            "[SOURce]:POWer:POWer": real(
                lambda: self._power, self._set_power, LOWEST_POWER, HIGHEST_POWER, -30.0, show=_plain
            ),
            "[SOURce]:SWEep[:FREQuency]:POINts": whole(self._sweep_points, self._set_sweep_points, 2, 100000),
            "OUTPut[:STATe]": flag(lambda: self._on, self._switch),
            "OUTPut:IMPedance": ask(lambda: "G50"),
            "OUTPut:PROTection:TRIPped": ask(lambda: "0"),
            "OUTPut:PROTection:CLEar": act(lambda: None),
            "[SOURce]:LIST:SELect": self._select_list,
            "[SOURce]:LIST:CATalog": ask(lambda: f'"{self._list_name}"' if self._list_name else ""),
            "[SOURce]:LIST:FREQuency": lambda c: self._values(c, "FREQ", LOWEST, HIGHEST),
            "[SOURce]:LIST:POWer": lambda c: self._values(c, "POW", LOWEST_POWER, HIGHEST_POWER),
            "[SOURce]:LIST:FREQuency:POINts": ask(lambda: str(len(self._list["FREQ"]))),
            "[SOURce]:LIST:POWer:POINts": ask(lambda: str(len(self._list["POW"]))),
            "[SOURce]:LIST:FREE": ask(lambda: f"{LIST_CAPACITY - len(self._list['FREQ'])},{len(self._list['FREQ'])}"),
            "[SOURce]:LIST:DELete:ALL": act(self._delete_lists),
            "[SOURce]:LIST:LEARn": act(self._learn),
            "[SOURce]:LIST:RESet": act(self._rewind),
            "[SOURce]:LIST:INDex": whole(lambda: self._next_entry, self._set_index, 0, LIST_CAPACITY),
            "[SOURce]:LIST:MODE": choice(
                lambda: self._list_mode, lambda v: setattr(self, "_list_mode", v), {"AUTO": "AUTO", "STEP": "STEP"}
            ),
            "[SOURce]:LIST:TRIGger:SOURce": choice(
                lambda: self._list_source, lambda v: setattr(self, "_list_source", v), _SOURCES
            ),
            "[SOURce]:LIST:TRIGger:EXECute": act(self._step),
            "*TRG": act(self._step),
            "SYSTem:ERRor:ALL": ask(self._all_errors),
            "SYSTem:ERRor:COUNt": ask(lambda: str(len(self.core.errors))),
            "SYSTem:SERRor": ask(lambda: '-221,"Synthesis unlocked"' if self._unlocked else '0,"No error"'),
            "SYSTem:DISPlay:MESSage": act(lambda: None),
        }

    def _number(self, header: str) -> Handler:
        default, low, high = _NUMBERS[header]
        return real(
            lambda: self._numbers[header], lambda v: self._numbers.__setitem__(header, v), low, high, default, _plain
        )

    def _flag(self, header: str) -> Handler:
        return flag(lambda: self._flags[header], lambda v: self._flags.__setitem__(header, v))

    def _choice(self, header: str) -> Handler:
        return choice(lambda: self._named[header], lambda v: self._named.__setitem__(header, v), _CHOICES[header][1])

    def _frequency_handler(self) -> Handler:
        return real(lambda: self._frequency, self._set_frequency, LOWEST, HIGHEST, 1e9, show=_plain)

    def _all_errors(self) -> str:
        errors = []
        while self.core.errors:
            errors.append(self.core.next_error())
        return ",".join(errors) if errors else '0,"No error"'

    # -- output

    def _set_frequency(self, hertz: float) -> None:
        self._frequency = round(hertz, 3)  # the synthesiser's resolution is 1 mHz
        self._emit()

    def _set_power(self, dbm: float) -> None:
        if dbm > self._numbers["[SOURce]:POWer:LIMit"]:
            raise CommandError(*SETTINGS_CONFLICT)
        self._power = round(dbm, 2)
        self._emit()

    def _switch(self, on: bool) -> None:
        self._on = on
        self._emit()

    def _set_mode(self, mode: str) -> None:
        if mode == "LIST":
            self._check_list()
        self._mode = mode
        self._next_entry = 0
        self._emit()

    def _emit(self, frequency: float | None = None, power: float | None = None) -> None:
        wanted = self._frequency if frequency is None else frequency
        self._port.frequency = wanted * (1.002 if self._unlocked else 1.0)
        self._port.power_dbm = self._power if power is None else power
        self._port.on = self._on

    def _sweep_points(self) -> int:
        span = self._numbers["[SOURce]:FREQuency:STOP"] - self._numbers["[SOURce]:FREQuency:STARt"]
        return 1 + int(abs(span) / self._numbers["[SOURce]:SWEep[:FREQuency]:STEP"])

    def _set_sweep_points(self, points: int) -> None:
        span = abs(self._numbers["[SOURce]:FREQuency:STOP"] - self._numbers["[SOURce]:FREQuency:STARt"])
        self._numbers["[SOURce]:SWEep[:FREQuency]:STEP"] = max(1e-3, span / (points - 1))

    # -- list mode

    def _select_list(self, command: Command) -> str | None:
        if command.query:
            return f'"{self._list_name}"'
        if not command.arguments:
            raise CommandError(*MISSING_PARAMETER)
        name = command.arguments[0].strip("'\"")
        if name != self._list_name:
            self._delete_lists()
            self._list_name = name
        return None

    def _values(self, command: Command, which: str, low: float, high: float) -> str | None:
        if command.query:
            return ",".join(_plain(value) for value in self._list[which])
        if not command.arguments:
            raise CommandError(*MISSING_PARAMETER)
        if not self._list_name:
            raise CommandError(-221, "Settings conflict;no list selected")
        if len(command.arguments) > LIST_CAPACITY:
            raise CommandError(*DATA_OUT_OF_RANGE)
        self._list[which] = [number(command, index, low, high) for index in range(len(command.arguments))]
        self._learned = False
        return None

    def _delete_lists(self) -> None:
        if self._mode == "LIST":
            raise CommandError(*SETTINGS_CONFLICT)
        self._list = {"FREQ": [], "POW": []}
        self._list_name = ""

    def _check_list(self) -> None:
        frequencies, powers = len(self._list["FREQ"]), len(self._list["POW"])
        if not frequencies or powers not in (1, frequencies):
            raise CommandError(-221, "Settings conflict;list with different numbers of elements")

    def _learn(self) -> None:
        self._check_list()
        self._learned = True

    def _rewind(self) -> None:
        self._next_entry = 0

    def _set_index(self, index: int) -> None:
        if index >= max(1, len(self._list["FREQ"])):
            raise CommandError(*DATA_OUT_OF_RANGE)
        self._next_entry = index

    def external_trigger(self) -> None:
        """Take one edge at INST TRIG."""
        if self._list_source == "EXT":
            self._step()

    def _step(self) -> None:
        if self._mode != "LIST" or self._list_mode != "STEP":
            return
        frequencies, powers = self._list["FREQ"], self._list["POW"]
        index = self._next_entry
        self._next_entry = (index + 1) % len(frequencies)
        self._emit(frequencies[index], powers[index % len(powers)])

    # -- faults

    def set_unlocked(self, unlocked: bool) -> None:
        """Take the synthesiser out of lock, or let it lock again."""
        self._unlocked = unlocked
        self._questionable.hold(_SYNTHESIS, unlocked)
        self._emit()

    def switch_off(self) -> None:
        """Switch the RF output off behind everybody's back, as its protection does."""
        self._switch(False)


_MODES = {"CW": "CW", "FIX": "CW", "FIXED": "CW", "SWE": "SWE", "SWEEP": "SWE", "LIST": "LIST"}
_SOURCES = dict.fromkeys(("AUTO", "IMM", "IMMEDIATE"), "AUTO") | dict.fromkeys(("SING", "SINGLE", "BUS"), "SING")
_SOURCES |= {"EXT": "EXT", "EXTERNAL": "EXT"}


def _plain(value: float) -> str:
    return f"{value:.15g}"
