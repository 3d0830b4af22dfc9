"""Message framing and SCPI-style command tables shared by the simulated instruments."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MAX_MESSAGE = 65536
MAX_WAITING = 64
"""Lines kept for an instrument that is busy."""


class CommandError(Exception):
    """An instrument's refusal: a SCPI error number and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


UNDEFINED_HEADER = (-113, "Undefined header")
DATA_OUT_OF_RANGE = (-222, "Data out of range")
PARAMETER_NOT_ALLOWED = (-108, "Parameter not allowed")
MISSING_PARAMETER = (-109, "Missing parameter")
NUMERIC_DATA_ERROR = (-120, "Numeric data error")
QUEUE_OVERFLOW = (-350, "Queue overflow")


class ErrorQueue:
    """A bounded SCPI error queue; the last entry becomes `overflow` when it is full."""

    def __init__(self, size: int = 10, overflow: tuple[int, str] = QUEUE_OVERFLOW) -> None:
        self._errors: deque[tuple[int, str]] = deque()
        self._size = size
        self._overflow = overflow

    def push(self, code: int, text: str) -> None:
        """Add an error."""
        if len(self._errors) >= self._size:
            self._errors[-1] = self._overflow
        else:
            self._errors.append((code, text))

    def pop(self) -> tuple[int, str] | None:
        """Take the oldest error, or None."""
        return self._errors.popleft() if self._errors else None

    def clear(self) -> None:
        """Forget all."""
        self._errors.clear()

    def __len__(self) -> int:
        return len(self._errors)


class LineSession:
    """Splits a byte stream into lines and answers each.

    Parameters
    ----------
    handle : callable
        Takes one decoded line without its terminator, returns the reply without terminator, raw bytes to be sent
        without one, or None.
    terminator : bytes
        Ends every reply.
    input_terminators : bytes
        Any of these single bytes ends a line; empty lines are ignored.
    on_overflow : callable, optional
        Told once when input is lost: a line without end, or too many lines for a busy instrument.
    postpone : callable, optional
        Whether a line has to wait because the instrument is busy; it and those behind it are kept until `resume`.
    """

    def __init__(
        self,
        handle: Callable[[str], str | bytes | None],
        terminator: bytes = b"\r\n",
        input_terminators: bytes = b"\r\n",
        on_overflow: Callable[[], None] | None = None,
        postpone: Callable[[str], bool] | None = None,
    ) -> None:
        self._handle = handle
        self._terminator = terminator
        self._split = re.compile(b"[" + re.escape(input_terminators) + b"]")
        self._rest = b""
        self._discarding = False
        self._on_overflow = on_overflow
        self._postpone = postpone
        self._waiting: deque[str] = deque()
        self._send: Callable[[bytes], None] | None = None

    def attach(self, send: Callable[[bytes], None] | None) -> None:
        """Tell the session how late replies reach its client; None when the client has gone."""
        self._send = send

    def resume(self) -> None:
        """Answer the lines that waited, as far as the instrument will."""
        while self._waiting and not self._must_wait(self._waiting[0]):
            reply = self._answer(self._waiting.popleft())
            if reply and self._send is not None:
                self._send(reply)

    def receive(self, data: bytes) -> bytes:
        """Answer every complete line; an over-long line is discarded to its end."""
        *lines, self._rest = self._split.split(self._rest + data)
        if len(self._rest) > MAX_MESSAGE:
            self._rest, overflowed = b"", not self._discarding
            self._discarding = True
            if overflowed and self._on_overflow is not None:
                self._on_overflow()
        replies = []
        for line in lines:
            if self._discarding:
                self._discarding = False
                continue
            text = line.decode("latin-1").strip()
            if not text:
                continue
            if not self._waiting and not self._must_wait(text):
                replies.append(self._answer(text))
            elif len(self._waiting) < MAX_WAITING:
                self._waiting.append(text)
            elif self._on_overflow is not None:
                self._on_overflow()
        return b"".join(replies)

    def _must_wait(self, text: str) -> bool:
        return self._postpone is not None and self._postpone(text)

    def _answer(self, text: str) -> bytes:
        reply = self._handle(text)
        if isinstance(reply, str):
            return reply.encode("latin-1", "replace") + self._terminator
        return reply or b""


@dataclass(frozen=True)
class Command:
    """One parsed program message unit."""

    header: str  # upper case, without '?'
    query: bool
    arguments: tuple[str, ...]
    suffixes: tuple[int | None, ...]  # numeric suffix of each header node


_UNIT = re.compile(r"^(?P<header>[*:]?[A-Za-z@][A-Za-z0-9_:]*)\s*(?P<query>\?)?\s*(?P<rest>.*)$", re.DOTALL)
_NODE = re.compile(r"^([A-Z_*@]+)(\d+)?$")


def split_units(message: str) -> list[str]:
    """Split a message at ``;`` outside quotes."""
    units, current, quote = [], "", ""
    for character in message:
        if quote:
            quote = "" if character == quote else quote
            current += character
        elif character in "'\"":
            quote = character
            current += character
        elif character == ";":
            units.append(current)
            current = ""
        else:
            current += character
    units.append(current)
    return [unit.strip() for unit in units if unit.strip()]


def parse_unit(unit: str) -> Command:
    """Parse one message unit; raises `CommandError` -113 when it has no header at all."""
    match = _UNIT.match(unit)
    if match is None:
        raise CommandError(*UNDEFINED_HEADER)
    nodes: list[str] = []
    suffixes: list[int | None] = []
    for node in match["header"].lstrip(":").upper().split(":"):
        parts = _NODE.match(node)
        if parts is None:
            nodes.append(node)
            suffixes.append(None)
        else:
            nodes.append(parts[1])
            suffixes.append(int(parts[2]) if parts[2] and len(parts[2]) < 7 else None)
    return Command(":".join(nodes), match["query"] is not None, split_arguments(match["rest"]), tuple(suffixes))


_MNEMONIC = re.compile(r"^(?P<header>\*?[A-Za-z]+)\s*(?P<query>\?)?\s*(?P<rest>.*)$", re.DOTALL)


def parse_mnemonic(unit: str) -> Command:
    """Parse a unit of the older dialect (SRS, Lake Shore): one word, and a value may follow it without a space."""
    match = _MNEMONIC.match(unit)
    if match is None:
        raise CommandError(*UNDEFINED_HEADER)
    return Command(match["header"].upper(), match["query"] is not None, split_arguments(match["rest"]), (None,))


def split_arguments(text: str) -> tuple[str, ...]:
    """Split arguments at commas outside quotes."""
    text = text.strip()
    return tuple(part.strip() for part in _ARGUMENT.findall(text + ",")) if text else ()


_ARGUMENT = re.compile(r"((?:\"[^\"]*\"|'[^']*'|[^,])*),")


Handler = Callable[[Command], str | None]


def expand(header: str) -> set[str]:
    """Return all spellings of a SCPI header: FREQ, FREQUENCY, SOUR:FREQ:CW, … for ``"[SOURce]:FREQuency[:CW]"``."""
    spellings = {""}
    for bracket, body in re.findall(r"(\[?):?([*A-Za-z_@]+):?\]?", header):
        short = "".join(c for c in body if not c.islower())
        forms = {short, body.upper()}
        longer = {f"{prefix}:{form}" if prefix else form for prefix in spellings for form in forms}
        spellings = (spellings | longer) if bracket else longer
    return spellings


class CommandTable:
    """Finds the handler of a command by any legal spelling of its header."""

    def __init__(self, commands: Mapping[str, Handler]) -> None:
        self._handlers = {spelling: handler for header, handler in commands.items() for spelling in expand(header)}

    def __call__(self, command: Command) -> str | None:
        """Run the handler; raises `CommandError` -113 if there is none."""
        handler = self._handlers.get(command.header)
        if handler is None:
            raise CommandError(*UNDEFINED_HEADER)
        return handler(command)


def number(command: Command, index: int = 0, low: float = -1e300, high: float = 1e300) -> float:
    """Return a numeric argument, with SI suffixes allowed behind the number, within limits."""
    try:
        text = command.arguments[index]
    except IndexError:
        raise CommandError(*MISSING_PARAMETER) from None
    match = re.match(r"^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z%]*)$", text)
    if match is None:
        raise CommandError(*NUMERIC_DATA_ERROR)
    scale = _SUFFIXES.get(match[2].upper())
    if scale is None:
        raise CommandError(-131, "Invalid suffix")
    value = float(match[1]) * scale
    if not low <= value <= high:
        raise CommandError(*DATA_OUT_OF_RANGE)
    return value


_SUFFIXES = {
    "": 1.0,
    "HZ": 1.0,
    "KHZ": 1e3,
    "MHZ": 1e6,
    "GHZ": 1e9,
    "DBM": 1.0,
    "V": 1.0,
    "A": 1.0,
    "MV": 1e-3,
    "UV": 1e-6,
    "MA": 1e-3,
    "UA": 1e-6,
    "NA": 1e-9,
    "S": 1.0,
    "MS": 1e-3,
    "US": 1e-6,
    "NS": 1e-9,
    "W": 1.0,
    "MW": 1e-3,
    "OHM": 1.0,
    "PCT": 1.0,
    "%": 1.0,
}


def boolean(command: Command, index: int = 0) -> bool:
    """Return an ON/OFF/1/0 argument."""
    if len(command.arguments) <= index:
        raise CommandError(*MISSING_PARAMETER)
    text = command.arguments[index].upper()
    if text in ("ON", "1"):
        return True
    if text in ("OFF", "0"):
        return False
    raise CommandError(-224, "Illegal parameter value")
