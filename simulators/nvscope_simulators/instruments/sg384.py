"""Simulated Stanford Research Systems SG384 microwave generator, with its list mode.

Command set, error codes and list semantics follow chapter 4 of the SG380 series manual. Where the manual leaves room,
this one does: a new list replaces an old one unless that is enabled; an enabled list cannot be edited; after the last
entry the list starts over; several queries on one line are answered on one line, separated by ``;``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import Field

from nvscope.config import Frozen
from nvscope_simulators.instruments.base import Session
from nvscope_simulators.instruments.scpi import Command, CommandError, LineSession, parse_mnemonic, split_units
from nvscope_simulators.instruments.srs import (
    BAD_UNITS,
    EXTRA,
    HERTZ,
    ILLEGAL_QUERY,
    ILLEGAL_SET,
    ILLEGAL_VALUE,
    MISSING,
    NOT_ALLOWED,
    OVERRUN,
    POWER,
    SECONDS,
    SYNTAX,
    UNDEFINED,
    VOLTS,
    Parameter,
    read_integer,
    read_number,
    volts,
)
from nvscope_simulators.world.interface import World

LIST_CAPACITY = 2000
LOWEST_RF, HIGHEST_RF = 950e3, 4.05e9  # Hz, type N output
_FULL_POWER, _ROLL_OFF_FROM, _ROLL_OFF = 16.5, 3e9, 3.5e-9  # dBm, Hz, dB/Hz: data sheet, type N output

TOO_MANY_ERRORS = 254
_ERROR_BUFFER = 20


def _switch(default: float = 0) -> Parameter:
    return Parameter(default, 0, 1)


PARAMETERS: dict[str, Parameter] = {
    "FREQ": Parameter(10e6, 0.0, HIGHEST_RF, 6, HERTZ),
    "PHAS": Parameter(0.0, -360.0, 360.0, 3),
    "AMPL": Parameter(0.0, -47.0, 13.0, 2, POWER),
    "OFSL": Parameter(0.0, -1.5, 1.5, 3, VOLTS),
    "AMPR": Parameter(0.0, -110.0, 16.5, 2, POWER),
    "AMPC": Parameter(0.8, 0.4, 1.0, 2, VOLTS),
    "OFSC": Parameter(0.0, -2.0, 5.0, 2, VOLTS),
    "AMPH": Parameter(0.0, -10.0, 13.0, 2, POWER),
    "OFSD": Parameter(0.0, -10.0, 10.0, 2, VOLTS),
    "ENBL": _switch(),
    "ENBR": _switch(),
    "ENBC": _switch(),
    "ENBH": _switch(),
    "NOIS": _switch(),
    "MODL": _switch(),
    "COUP": _switch(1),
    "TYPE": Parameter(1, 0, 5),
    "MFNC": Parameter(0, 0, 5),
    "SFNC": Parameter(2, 0, 5),
    "PFNC": Parameter(3, 3, 5),
    "RATE": Parameter(1e3, 1e-6, 50e6, 6, HERTZ),
    "SRAT": Parameter(100.0, 1e-6, 120.0, 6, HERTZ),
    "FDEV": Parameter(1e3, 0.0, 32e6, 1, HERTZ),
    "SDEV": Parameter(1e6, 0.0, 1e9, 1, HERTZ),
    "PDEV": Parameter(10.0, 0.0, 360.0, 2),
    "ADEP": Parameter(100.0, 0.0, 100.0, 1),
    "PPER": Parameter(1e-3, 1e-6, 10.0, 9, SECONDS),
    "PWID": Parameter(1e-6, 100e-9, 10.0, 9, SECONDS),
    "PDTY": Parameter(50.0, 0.0, 100.0, 1),
    "DISP": Parameter(2, 0, 14),
    "INSE": Parameter(0, 0, 65535),
    "*ESE": Parameter(0, 0, 255),
    "*SRE": Parameter(0, 0, 255),
    "*PSC": _switch(1),
}
_STATUS = frozenset({"INSE", "*ESE", "*SRE", "*PSC"})  # not touched by *RST

LIST_FIELDS: tuple[str, ...] = (
    *("FREQ", "PHAS", "AMPL", "OFSL", "AMPR", "DISP", "(enables)", "TYPE", "(function)", "RATE", "(deviation)"),
    *("AMPC", "OFSC", "AMPH", "OFSD"),
)
_ENABLE_BITS = ("MODL", "ENBL", "ENBR", "ENBC", "ENBH")
_OPTIONS = 4


class SG384Settings(Frozen):
    """What a rig may say about its simulated SG384."""

    serial: str = "001013"
    firmware: str = "1.24.26"
    trigger_line: str = Field(default="sweep", description="trigger wire plugged into the rear-panel trigger input")
    max_connections: int = Field(default=4, ge=1, description="clients served at once")


class SimulatedSG384:
    """The generator: its settings, its list, its error buffer."""

    model: ClassVar[str] = "SG384"

    def __init__(self, world: World, settings: SG384Settings) -> None:
        self.max_connections = settings.max_connections
        self._world = world
        self._settings = settings
        self._values = {name: parameter.default for name, parameter in PARAMETERS.items()}
        self._saved: dict[int, dict[str, float]] = {}
        self._entries: list[tuple[float | None, ...]] = []
        self._list_enabled = False
        self._next_entry = 0
        self._errors: list[int] = []
        self._event_status = 128  # power on
        self._instrument_status = 0
        self._unlocked = False
        self._actions = self._action_table()
        world.ports.triggers.plug(settings.trigger_line, self.trigger)
        self._emit()

    # -- connections

    def open_session(self) -> tuple[bytes, Session]:
        """Accept a connection; no banner."""
        return b"", LineSession(self.respond, on_overflow=lambda: self._refuse(OVERRUN[0]))

    def respond(self, line: str) -> str | None:
        """Answer one line."""
        replies = []
        for unit in split_units(line):
            try:
                reply = self._run(parse_mnemonic(unit))
            except CommandError as error:
                self._refuse(SYNTAX[0] if error.code < 0 else error.code)
            else:
                if reply is not None:
                    replies.append(reply)
        return ";".join(replies) if replies else None

    def _refuse(self, code: int) -> None:
        self._event_status |= 16 if code < 30 else 32  # execution error, command error
        if len(self._errors) < _ERROR_BUFFER:
            self._errors.append(code)
        else:
            self._errors[-1] = TOO_MANY_ERRORS

    def _run(self, command: Command) -> str | None:
        parameter = PARAMETERS.get(command.header)
        if parameter is not None:
            if command.query:
                return self._query(command, parameter)
            self._set(command, parameter)
            return None
        action = self._actions.get((command.header, command.query))
        if action is None:
            if (command.header, not command.query) in self._actions:
                raise CommandError(*(ILLEGAL_QUERY if command.query else ILLEGAL_SET))
            raise CommandError(*UNDEFINED)
        arguments, run = action
        if len(command.arguments) < arguments:
            raise CommandError(*MISSING)
        if len(command.arguments) > arguments:
            raise CommandError(*EXTRA)
        return run(command.arguments)

    # -- settings

    def _query(self, command: Command, parameter: Parameter) -> str:
        if len(command.arguments) > 1 or (command.arguments and parameter.units is None):
            raise CommandError(*EXTRA)
        value = self._values[command.header]
        if command.arguments:
            unit = command.arguments[0].upper()
            if parameter.units is POWER and unit in ("VPP", "RMS"):
                return f"{volts(value, unit):.6f}"
            if parameter.units is None or unit not in parameter.units:
                raise CommandError(*BAD_UNITS)
            return f"{value / parameter.units[unit]:.{parameter.decimals + 6}f}"
        return f"{value:.{parameter.decimals}f}"

    def _set(self, command: Command, parameter: Parameter) -> None:
        if not command.arguments:
            raise CommandError(*MISSING)
        if len(command.arguments) > 1:
            raise CommandError(*EXTRA)
        self._values[command.header] = read_number(command.arguments[0], parameter)
        self._emit()

    def _emit(self) -> None:
        port = self._world.ports.microwave
        frequency = self._values["FREQ"]
        # an unlocked synthesiser delivers power somewhere, not where it was told
        port.frequency = frequency * (1.003 if self._unlocked else 1.0)
        port.power_dbm = min(self._values["AMPR"], highest_power(frequency))
        port.on = bool(self._values["ENBR"]) and frequency >= LOWEST_RF

    # -- list mode

    def trigger(self) -> None:
        """Take one trigger (rear panel input or ``*TRG``): apply the entry pointed at and point at the next."""
        if not self._list_enabled:
            return
        for name, value in zip(LIST_FIELDS, self._entries[self._next_entry], strict=True):
            if value is None:
                continue
            if name == "(enables)":
                for bit, switch in enumerate(_ENABLE_BITS):
                    self._values[switch] = int(value) >> bit & 1
            elif name == "(function)":
                self._values[{3: "SFNC", 4: "PFNC", 5: "PFNC"}.get(int(self._values["TYPE"]), "MFNC")] = value
            elif name == "(deviation)":
                modulation = int(self._values["TYPE"])
                self._values[("ADEP", "FDEV", "PDEV", "SDEV", "PWID", "PWID")[modulation]] = value
            else:
                self._values[name] = value
        self._next_entry = (self._next_entry + 1) % len(self._entries)
        self._emit()

    def _create_list(self, arguments: tuple[str, ...]) -> str:
        size = read_integer(arguments[0])
        if self._list_enabled or not 1 <= size <= LIST_CAPACITY:
            return "0"
        self._entries = [(None,) * len(LIST_FIELDS)] * size
        self._next_entry = 0
        return "1"

    def _delete_list(self, _: tuple[str, ...]) -> None:
        self._entries, self._list_enabled, self._next_entry = [], False, 0

    def _enable_list(self, arguments: tuple[str, ...]) -> None:
        enable = read_integer(arguments[0])
        if enable not in (0, 1):
            raise CommandError(*ILLEGAL_VALUE)
        if enable and not self._entries:
            raise CommandError(*NOT_ALLOWED)
        self._list_enabled = bool(enable)

    def _set_entry(self, arguments: tuple[str, ...]) -> None:
        index = self._index(arguments[0])
        if self._list_enabled:
            raise CommandError(*NOT_ALLOWED)
        self._entries[index] = tuple(
            None if text.upper() == "N" else read_number(text, PARAMETERS.get(name, _ANY))
            for name, text in zip(LIST_FIELDS, arguments[1:], strict=True)
        )

    def _get_entry(self, arguments: tuple[str, ...]) -> str:
        entry = self._entries[self._index(arguments[0])]
        return ",".join(
            "N" if value is None else f"{value:.{PARAMETERS.get(name, _ANY).decimals}f}"
            for name, value in zip(LIST_FIELDS, entry, strict=True)
        )

    def _set_index(self, arguments: tuple[str, ...]) -> None:
        self._next_entry = self._index(arguments[0])

    def _reset_list(self, _: tuple[str, ...]) -> None:
        self._next_entry = 0

    def _index(self, text: str) -> int:
        index = read_integer(text)
        if not 0 <= index < len(self._entries):
            raise CommandError(*ILLEGAL_VALUE)
        return index

    # -- everything else

    def _action_table(self) -> dict[tuple[str, bool], tuple[int, Callable[[tuple[str, ...]], str | None]]]:
        """Handlers by (mnemonic, is a query), with the number of arguments each takes."""
        identity = f"Stanford Research Systems,SG384,s/n{self._settings.serial},ver{self._settings.firmware}"
        return {
            ("*IDN", True): (0, lambda _: identity),
            ("*OPC", True): (0, lambda _: "1"),
            ("*OPC", False): (0, lambda _: self._note_completion()),
            ("*WAI", False): (0, lambda _: None),
            ("*TST", True): (0, lambda _: "0"),
            ("*CLS", False): (0, lambda _: self._clear_status()),
            ("*RST", False): (0, lambda _: self._restore({n: p.default for n, p in PARAMETERS.items()})),
            ("*SAV", False): (1, lambda a: self._saved.__setitem__(_memory(a[0]), dict(self._values))),
            ("*RCL", False): (1, lambda a: self._recall(_memory(a[0]))),
            ("*STB", True): (0, lambda _: str(self._status_byte())),
            ("*ESR", True): (0, lambda _: self._read_event_status()),
            ("*TRG", False): (0, lambda _: self.trigger()),
            ("INSR", True): (0, lambda _: self._read_instrument_status()),
            ("LERR", True): (0, lambda _: str(self._errors.pop(0) if self._errors else 0)),
            ("LSTC", True): (1, self._create_list),
            ("LSTD", False): (0, self._delete_list),
            ("LSTE", False): (1, self._enable_list),
            ("LSTE", True): (0, lambda _: str(int(self._list_enabled))),
            ("LSTI", False): (1, self._set_index),
            ("LSTI", True): (0, lambda _: str(self._next_entry)),
            ("LSTP", False): (1 + len(LIST_FIELDS), self._set_entry),
            ("LSTP", True): (1, self._get_entry),
            ("LSTR", False): (0, self._reset_list),
            ("LSTS", True): (0, lambda _: str(len(self._entries))),
            ("OPTN", True): (1, self._option),
            ("ORNG", True): (1, lambda a: self._over_range(read_integer(a[0]))),
            ("RPHS", False): (0, lambda _: self._values.__setitem__("PHAS", 0.0)),
            ("TEMP", True): (0, lambda _: f"{41.5 + 0.05 * self._world.rng.standard_normal():.2f}"),
            ("TIMB", True): (0, lambda _: "1"),  # an OCXO
            ("LCAL", False): (0, lambda _: None),
            ("REMT", False): (0, lambda _: None),
            ("LOCK", True): (0, lambda _: "1"),
            ("UNLK", True): (0, lambda _: "1"),
            ("EMAC", True): (0, lambda _: "00.19.B3.02.00.01"),
        }

    def _note_completion(self) -> None:
        self._event_status |= 1

    def _clear_status(self) -> None:
        self._errors.clear()
        self._event_status = 0
        self._instrument_status = 0

    def _restore(self, values: dict[str, float]) -> None:
        kept = {name: self._values[name] for name in _STATUS}
        self._values = {**values, **kept}
        self._delete_list(())
        self._emit()

    def _recall(self, location: int) -> None:
        if location == 0:
            self._restore({name: parameter.default for name, parameter in PARAMETERS.items()})
        elif location in self._saved:
            self._restore(self._saved[location])
        else:
            raise CommandError(13, "Recall failed")

    def _status_byte(self) -> int:
        byte = 32 if self._event_status & int(self._values["*ESE"]) else 0
        byte |= 1 if self._instrument_status & int(self._values["INSE"]) else 0
        return byte | (64 if byte & int(self._values["*SRE"]) else 0)

    def _read_event_status(self) -> str:
        value, self._event_status = self._event_status, 0
        return str(value)

    def _read_instrument_status(self) -> str:
        value = self._instrument_status
        self._instrument_status = 16 if self._unlocked else 0  # the condition sets the bit again
        return str(value)

    def _option(self, arguments: tuple[str, ...]) -> str:
        if not 1 <= read_integer(arguments[0]) <= _OPTIONS:
            raise CommandError(*ILLEGAL_VALUE)
        return "0"  # none installed

    def _over_range(self, output: int) -> str:
        frequency = self._values["FREQ"]
        if output == 0:
            return str(int(frequency > 62.5e6))
        if output == 1:
            return str(int(frequency < LOWEST_RF or self._values["AMPR"] > highest_power(frequency)))
        if output in (2, 3):
            return "0"
        raise CommandError(*ILLEGAL_VALUE)

    # -- faults

    def set_unlocked(self, unlocked: bool) -> None:
        """Take the 4 GHz synthesiser out of lock (INSR bit 4), or let it lock again."""
        self._unlocked = unlocked
        if unlocked:
            self._instrument_status |= 16
        self._emit()

    def switch_off(self) -> None:
        """Switch the RF output off behind everybody's back, as its own protection does."""
        self._values["ENBR"] = 0
        self._emit()


_ANY = Parameter(0.0, -1e12, 1e12)


def highest_power(frequency: float) -> float:
    """Return the highest power (dBm) the type N output delivers at `frequency` (Hz), by the data sheet."""
    return _FULL_POWER - max(0.0, frequency - _ROLL_OFF_FROM) * _ROLL_OFF


def _memory(text: str) -> int:
    location = read_integer(text)
    if not 0 <= location <= 9:
        raise CommandError(*ILLEGAL_VALUE)
    return location
