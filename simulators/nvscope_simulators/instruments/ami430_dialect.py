"""The AMI 430's dialect: it looks like SCPI, with error numbers, status bits and booleans of its own.

Numbers and bits: AMI Model 430 manual, "Error Messages" and "Status System Commands".
"""

from __future__ import annotations

from collections.abc import Callable

from nvscope_simulators.instruments.ieee488 import (
    COMMAND_ERROR,
    DEVICE_ERROR,
    EXECUTION_ERROR,
    QUERY_ERROR,
    ScpiCore,
)
from nvscope_simulators.instruments.scpi import (
    MISSING_PARAMETER,
    UNDEFINED_HEADER,
    Command,
    CommandError,
    Handler,
    number,
    parse_unit,
)

UNRECOGNIZED_COMMAND = (-101, "Unrecognized command")
INVALID_ARGUMENT = (-102, "Invalid argument")
NON_BOOLEAN = (-103, "Non-boolean argument")
MISSING = (-104, "Missing parameter")
OUT_OF_RANGE = (-105, "Out of range")
NO_SWITCH = (-107, "No switch installed")
UNRECOGNIZED_QUERY = (-201, "Unrecognized query")
HEATING_SWITCH = (-301, "Heating switch")
QUENCH_CONDITION = (-302, "Quench condition")
INPUT_OVERFLOW = (-303, "Input overflow")
ERROR_OVERFLOW = (-304, "Error buffer overflow")


class DialectCore(ScpiCore):
    """IEEE 488.2 with the programmer's own error numbers and status bits."""

    quenched: Callable[[], bool]

    def fail(self, code: int, text: str) -> None:
        """Queue an error; its class follows the programmer's own numbers."""
        self.errors.push(code, text)
        # classes as in the manual's status model: query errors are -2xx here, execution errors -3xx
        classes = {1: COMMAND_ERROR, 2: QUERY_ERROR, 3: EXECUTION_ERROR, 4: DEVICE_ERROR}
        self.standard.latch(classes[-code // 100])

    def next_error(self) -> str:
        """Take the oldest error."""
        code, text = self.errors.pop() or (0, "No errors")
        return f'{code},"{text}"'

    def status_byte(self) -> int:
        """Return the status byte: bit 2 is a quench."""
        byte = (4 if self.quenched() else 0) | (32 if self.standard.summary else 0)
        return byte | (64 if byte & self._service else 0)

    def _unit(self, unit: str, path: str) -> tuple[str, str | None]:
        query = "?" in unit
        try:
            command = _indexed(parse_unit(unit.lstrip(":")))
            query = command.query
            return "", self._table(command)
        except CommandError as error:
            raise CommandError(*_translated(error, query)) from None


def _indexed(command: Command) -> Command:
    """Take the trailing number off ``RAMP:RATE:FIELD:1``."""
    header, _, last = command.header.rpartition(":")
    if header and last.isascii() and last.isdigit() and len(last) < 4:
        return Command(header, command.query, command.arguments, (int(last),))
    return Command(command.header, command.query, command.arguments, (None,))


def _translated(error: CommandError, query: bool) -> tuple[int, str]:
    own = {
        -113: UNRECOGNIZED_QUERY if query else UNRECOGNIZED_COMMAND,
        -108: INVALID_ARGUMENT,
        -109: MISSING,
        -120: INVALID_ARGUMENT,
        -131: INVALID_ARGUMENT,
        -222: OUT_OF_RANGE,
        -224: NON_BOOLEAN,
    }
    return own.get(error.code, (error.code, error.text))


def text(value: float) -> str:
    """Write a number as the programmer does."""
    return f"{value + 0.0:.7g}"


def command_only(command: Command) -> None:
    """Refuse a query of what can only be set."""
    if command.query:
        raise CommandError(*UNDEFINED_HEADER)


def zero_or_one(command: Command) -> bool:
    """Return a boolean argument; the dialect knows no ON and OFF."""
    command_only(command)
    if not command.arguments:
        raise CommandError(*MISSING_PARAMETER)
    if command.arguments[0] not in ("0", "1"):
        raise CommandError(*NON_BOOLEAN)
    return command.arguments[0] == "1"


def set_flag(put: Callable[[bool], None]) -> Handler:
    """Make the handler of a ``CONFigure`` command that takes 0 or 1."""

    def handler(command: Command) -> str | None:
        put(zero_or_one(command))
        return None

    return handler


def set_number(put: Callable[[float], None], low: float, high: float, scale: float = 1.0) -> Handler:
    """Make the handler of a numeric ``CONFigure`` command; `scale` is wire units per SI unit, limits are SI."""

    def handler(command: Command) -> str | None:
        command_only(command)
        value = number(command) / scale
        if not low <= value <= high:
            raise CommandError(*OUT_OF_RANGE)
        put(value)
        return None

    return handler
