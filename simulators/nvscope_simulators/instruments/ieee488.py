"""IEEE 488.2 behaviour shared by the SCPI instruments: registers, error queue, compound messages, common commands.

Status byte and register model: IEEE 488.2-1992, section 11; the path rule for compound messages and the classes of
error numbers: SCPI-1999, volume 1 section 6.2 and volume 2 section 21.8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nvscope_simulators.instruments.scpi import (
    MISSING_PARAMETER,
    PARAMETER_NOT_ALLOWED,
    QUEUE_OVERFLOW,
    UNDEFINED_HEADER,
    Command,
    CommandError,
    CommandTable,
    ErrorQueue,
    Handler,
    boolean,
    number,
    parse_unit,
    split_units,
)

OPERATION_COMPLETE, QUERY_ERROR, DEVICE_ERROR, EXECUTION_ERROR, COMMAND_ERROR, POWER_ON = 1, 4, 8, 16, 32, 128
SETTINGS_CONFLICT = (-221, "Settings conflict")
ILLEGAL_VALUE = (-224, "Illegal parameter value")
DEADLOCKED = (-430, "Query DEADLOCKED")
MAX_REPLY = 1 << 19
"""Characters one message may ask for before the output queue is full; a single reply may exceed it."""


class Register:
    """A condition register with its latching event register and enable mask (positive transitions only)."""

    def __init__(self) -> None:
        self.condition = 0
        self.event = 0
        self.enable = 0

    def latch(self, mask: int) -> None:
        """Record events that have no lasting condition."""
        self.event |= mask

    def hold(self, mask: int, on: bool) -> None:
        """Set or clear a condition; its becoming true is an event."""
        if on:
            self.event |= mask & ~self.condition
            self.condition |= mask
        else:
            self.condition &= ~mask

    def read_event(self) -> int:
        """Return the events and forget them, as reading the register does."""
        event, self.event = self.event, 0
        return event

    @property
    def summary(self) -> bool:
        """Whether an enabled event is waiting."""
        return bool(self.event & self.enable)


def ask(read: Callable[[], str]) -> Handler:
    """Make the handler of a query without parameters."""

    def handler(command: Command) -> str | None:
        if not command.query:
            raise CommandError(*UNDEFINED_HEADER)
        _no_arguments(command)
        return read()

    return handler


def act(run: Callable[[], None]) -> Handler:
    """Make the handler of a command without parameters."""

    def handler(command: Command) -> str | None:
        if command.query:
            raise CommandError(*UNDEFINED_HEADER)
        _no_arguments(command)
        run()
        return None

    return handler


def waits(line: str) -> bool:
    """Whether a line waits for the end of what an instrument is doing, as ``*OPC?`` and ``*WAI`` do."""
    upper = line.upper()
    return "*OPC?" in upper or "*WAI" in upper


def accept(command: Command) -> str | None:
    """Handle a command that exists, is taken, and changes nothing that is simulated."""
    if command.query:
        raise CommandError(*UNDEFINED_HEADER)
    return None


def real(
    get: Callable[[], float],
    put: Callable[[float], None],
    low: float,
    high: float,
    default: float | None = None,
    show: Callable[[float], str] = lambda value: f"{value:.6E}",
) -> Handler:
    """Make the handler of a numeric setting with ``MIN``, ``MAX`` and ``DEF``."""
    named = {"MIN": low, "MINIMUM": low, "MAX": high, "MAXIMUM": high}
    if default is not None:
        named |= {"DEF": default, "DEFAULT": default}

    def handler(command: Command) -> str | None:
        word = command.arguments[0].upper() if command.arguments else ""
        if len(command.arguments) > 1:
            raise CommandError(*PARAMETER_NOT_ALLOWED)
        if command.query:
            if word and word not in named:
                raise CommandError(*ILLEGAL_VALUE)
            return show(named[word] if word else get())
        put(named[word] if word in named else number(command, 0, low, high))
        return None

    return handler


def whole(get: Callable[[], int], put: Callable[[int], None], low: int, high: int) -> Handler:
    """Make the handler of an integer setting."""
    return real(get, lambda value: put(round(value)), low, high, show=lambda value: f"{value:.0f}")


def flag(get: Callable[[], bool], put: Callable[[bool], None]) -> Handler:
    """Make the handler of an ON/OFF setting; queries answer 1 or 0."""

    def handler(command: Command) -> str | None:
        if command.query:
            _no_arguments(command)
            return str(int(get()))
        if len(command.arguments) > 1:
            raise CommandError(*PARAMETER_NOT_ALLOWED)
        put(boolean(command))
        return None

    return handler


def choice(get: Callable[[], str], put: Callable[[str], None], options: Mapping[str, str]) -> Handler:
    """Make the handler of a setting with named values; `options` maps every accepted spelling to the value kept."""

    def handler(command: Command) -> str | None:
        if command.query:
            _no_arguments(command)
            return get()
        if not command.arguments:
            raise CommandError(*MISSING_PARAMETER)
        if len(command.arguments) > 1:
            raise CommandError(*PARAMETER_NOT_ALLOWED)
        try:
            put(options[command.arguments[0].strip("'\"").upper()])
        except KeyError:
            raise CommandError(*ILLEGAL_VALUE) from None
        return None

    return handler


def _no_arguments(command: Command) -> None:
    if command.arguments:
        raise CommandError(*PARAMETER_NOT_ALLOWED)


class ScpiCore:
    """Executes program messages against a command table and keeps the IEEE 488.2 status.

    Parameters
    ----------
    commands : mapping
        Handlers by SCPI header, as `CommandTable` takes them; common commands are added.
    identity : str
        The answer to ``*IDN?``.
    reset : callable
        What ``*RST`` does.
    registers : mapping
        Status registers by header (``"OPERation"``) and their bit in the status byte.
    queue_size : int
        How many errors are kept.
    overflow : (int, str)
        The entry that replaces the last one when there are more.
    """

    def __init__(
        self,
        commands: Mapping[str, Handler],
        identity: str,
        reset: Callable[[], None],
        registers: Mapping[str, tuple[Register, int]],
        queue_size: int = 10,
        overflow: tuple[int, str] = QUEUE_OVERFLOW,
    ) -> None:
        self.errors = ErrorQueue(queue_size, overflow)
        self.standard = Register()
        self.standard.latch(POWER_ON)
        self._registers = registers
        self._service = 0
        self._table = CommandTable(self._common(identity, reset) | dict(commands))

    def _common(self, identity: str, reset: Callable[[], None]) -> dict[str, Handler]:
        standard = self.standard
        table: dict[str, Handler] = {
            "*IDN": ask(lambda: identity),
            "*CLS": act(self.clear),
            "*ESE": whole(lambda: standard.enable, lambda value: setattr(standard, "enable", value), 0, 255),
            "*ESR": ask(lambda: str(standard.read_event())),
            "*OPC": self._operation_complete,
            "*OPT": ask(lambda: "0"),
            "*RST": act(reset),
            "*SRE": whole(lambda: self._service, self._enable_service, 0, 255),
            "*STB": ask(lambda: str(self.status_byte())),
            "*TST": ask(lambda: "0"),
            "*WAI": act(lambda: None),
            "SYSTem:ERRor": ask(self.next_error),
            "SYSTem:ERRor:NEXT": ask(self.next_error),
            "SYSTem:VERSion": ask(lambda: "1997.0"),
            "STATus:PRESet": act(self._preset),
        }
        for name, (register, _) in self._registers.items():
            table[f"STATus:{name}"] = ask(lambda r=register: str(r.read_event()))  # type: ignore[misc]
            table[f"STATus:{name}:EVENt"] = table[f"STATus:{name}"]
            table[f"STATus:{name}:CONDition"] = ask(lambda r=register: str(r.condition))  # type: ignore[misc]
            table[f"STATus:{name}:ENABle"] = whole(
                lambda r=register: r.enable,  # type: ignore[misc]
                lambda value, r=register: setattr(r, "enable", value),  # type: ignore[misc]
                0,
                65535,
            )
        return table

    def _operation_complete(self, command: Command) -> str | None:
        if command.query:
            return "1"
        self.standard.latch(OPERATION_COMPLETE)
        return None

    def _enable_service(self, value: int) -> None:
        self._service = value & ~64  # the summary bit itself cannot request service

    def _preset(self) -> None:
        for register, _ in self._registers.values():
            register.enable = 0

    def clear(self) -> None:
        """Clear the event registers and the error queue (``*CLS``)."""
        self.errors.clear()
        self.standard.event = 0
        for register, _ in self._registers.values():
            register.event = 0

    def next_error(self) -> str:
        """Take the oldest error in SCPI's form."""
        code, text = self.errors.pop() or (0, "No error")
        return f'{code},"{text}"'

    def fail(self, code: int, text: str) -> None:
        """Queue an error and set the standard event bit its number belongs to."""
        self.errors.push(code, text)
        classes = {1: COMMAND_ERROR, 2: EXECUTION_ERROR, 3: DEVICE_ERROR, 4: QUERY_ERROR}
        self.standard.latch(classes.get(-code // 100, DEVICE_ERROR))

    def status_byte(self) -> int:
        """Return the status byte with its master summary bit."""
        byte = (4 if self.errors else 0) | (32 if self.standard.summary else 0)
        for register, bit in self._registers.values():
            byte |= bit if register.summary else 0
        return byte | (64 if byte & self._service else 0)

    def execute(self, message: str) -> str | None:
        """Run one program message; returns the replies joined by ``;``, or None if there is none.

        A command error ends the message, an execution error only its own unit, as parsers do.
        """
        replies: list[str] = []
        path, waiting = "", 0
        for unit in split_units(message):
            if waiting > MAX_REPLY:
                self.fail(*DEADLOCKED)
                break
            try:
                path, reply = self._unit(unit, path)
            except CommandError as error:
                self.fail(error.code, error.text)
                if -200 < error.code <= -100:
                    break
                continue
            if reply is not None:
                replies.append(reply)
                waiting += len(reply)
        return ";".join(replies) if replies else None

    def _unit(self, unit: str, path: str) -> tuple[str, str | None]:
        rooted = unit.startswith(":")
        command = parse_unit(unit.lstrip(":") if rooted else unit)
        if command.header.startswith("*"):
            return path, self._table(command)
        header = command.header if rooted or not path else f"{path}:{command.header}"
        reply = self._table(Command(header, command.query, command.arguments, command.suffixes))
        return header.rpartition(":")[0], reply
