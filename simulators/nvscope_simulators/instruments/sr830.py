"""Stanford Research SR830 lock-in amplifier, its sine output feeding the sample through a series resistor.

Commands, status bits and defaults: SR830 manual, chapter "Remote Programming". There is no error queue: a command that
is not understood sets bit 5 of the standard event byte, one that cannot be carried out bit 4.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import ClassVar
from weakref import WeakSet

from pydantic import Field

from nvscope.config import Frozen
from nvscope.units import Ohms
from nvscope_simulators.instruments.base import Session
from nvscope_simulators.instruments.ieee488 import MAX_REPLY
from nvscope_simulators.instruments.scpi import LineSession
from nvscope_simulators.instruments.sr830_buffer import TraceBuffer, as_floats, as_raw
from nvscope_simulators.instruments.sr830_detector import RANGE_CHANGED, REAL, WHOLE, Detector
from nvscope_simulators.world.interface import World

COMMAND_ERROR, EXECUTION_ERROR, QUERY_ERROR, INPUT_OVERFLOW, POWER_ON = 32, 16, 4, 1, 128
_MASKS = ("*ESE", "*SRE", "LIAE", "ERRE")
_UNIT = re.compile(r"^(\*?[A-Za-z]{3,4})\s*(\?)?\s*(.*)$", re.DOTALL)
_NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$")

Handler = Callable[[list[float]], str | bytes | None]


class SR830Settings(Frozen):
    """One lock-in and how it is wired to the sample."""

    series_resistance: Ohms = Field(default=1e5, gt=0, description="between sine output and sample")
    signal_phase: float = Field(default=0.0, description="phase of the signal against the reference (radian)")
    noise_density: float = Field(default=6e-9, ge=0, description="at the input (V/√Hz)")
    external_reference: bool = Field(default=False, description="whether something is on the reference input")
    serial: str = "s/n48127"
    connections: int = Field(default=1, ge=1, description="simultaneous connections of its serial adapter")


class _Refusal(Exception):
    """A bit of the standard event byte."""

    def __init__(self, bit: int) -> None:
        super().__init__(bit)
        self.bit = bit


class SimulatedSR830:
    """The lock-in as its interface shows it: mnemonics, status bytes, and being busy."""

    model: ClassVar[str] = "SR830"

    def __init__(self, world: World, settings: SR830Settings | None = None) -> None:
        self._timeline = world.timeline
        self.settings = settings = settings or SR830Settings()
        self.max_connections = settings.connections
        self.detector = Detector(
            world,
            settings.series_resistance,
            settings.signal_phase,
            settings.noise_density,
            settings.external_reference,
        )
        self.buffer = TraceBuffer(
            world.timeline,
            self._displays,
            lambda: self.detector.whole["SRAT"],
            lambda: self.detector.whole["SEND"] == 1,
        )
        self.standard, self.errors = POWER_ON, 0
        self._aux = [0.0] * 4
        self._front = [0, 0]
        self._busy_until = 0.0
        self._sessions: WeakSet[LineSession] = WeakSet()
        self._queries, self._commands = self._query_table(), self._command_table()

    def open_session(self) -> tuple[bytes, Session]:
        """Accept a connection; no banner."""
        session = LineSession(
            self.execute,
            terminator=b"\n",
            on_overflow=lambda: self._flag(INPUT_OVERFLOW),
            postpone=lambda line: self.busy and not line.upper().startswith("*STB"),
        )
        self._sessions.add(session)
        return b"", session

    @property
    def busy(self) -> bool:
        """Whether an automatic function is at work; everything but ``*STB?`` waits for its end."""
        return self._timeline.now < self._busy_until

    def _flag(self, bit: int) -> None:
        self.standard |= bit

    def _displays(self) -> tuple[float, float]:
        self.detector.refresh()
        return self.detector.read(10), self.detector.read(11)

    def execute(self, line: str) -> str | bytes | None:
        """Run one line; every query of it is answered on a line of its own."""
        replies: list[str] = []
        waiting = 0
        self.detector.refresh()
        for unit in filter(None, map(str.strip, line.split(";"))):
            if waiting > MAX_REPLY:
                self._flag(QUERY_ERROR)
                break
            try:
                reply = self._unit(unit)
            except _Refusal as refusal:
                self._flag(refusal.bit)
                continue
            if isinstance(reply, bytes):
                return "".join(part + "\n" for part in replies).encode("latin-1") + reply
            if reply is not None:
                replies.append(reply)
                waiting += len(reply)
        return "\n".join(replies) if replies else None

    def _unit(self, unit: str) -> str | bytes | None:
        match = _UNIT.match(unit)
        if match is None:
            raise _Refusal(COMMAND_ERROR)
        name, query = match[1].upper(), match[2] is not None
        arguments = [_number(part) for part in match[3].split(",")] if match[3].strip() else []
        if name in WHOLE or name in REAL:
            return self._setting(name, query, arguments)
        handler = (self._queries if query else self._commands).get(name)
        if handler is None:
            raise _Refusal(COMMAND_ERROR)
        return handler(arguments)

    # --- plain settings

    def _setting(self, name: str, query: bool, arguments: list[float]) -> str | None:
        detector = self.detector
        if name in _MASKS and len(arguments) == (1 if query else 2):
            return self._mask_bit(name, arguments)
        if query:
            _count(arguments, 0)
            return str(detector.whole[name]) if name in WHOLE else f"{detector.real[name]:.6g}"
        _count(arguments, 1)
        if name in WHOLE:
            low, high, _ = WHOLE[name]
            detector.whole[name] = int(_within(arguments[0], low, high))
            if name == "SRAT":
                self.buffer.clear()
        else:
            self._set_real(name, arguments[0])
        detector.refresh()
        return None

    def _mask_bit(self, name: str, arguments: list[float]) -> str | None:
        masks, bit = self.detector.whole, 1 << int(_within(arguments[0], 0, 7))
        if len(arguments) == 1:
            return str(int(bool(masks[name] & bit)))
        masks[name] = masks[name] | bit if _within(arguments[1], 0, 1) == 1 else masks[name] & ~bit
        return None

    def _set_real(self, name: str, value: float) -> None:
        detector = self.detector
        low, high, _ = REAL[name]
        value = _within(value, low, high)
        if name == "PHAS":
            detector.turn(value)
            return
        if name == "FREQ":
            if detector.whole["FMOD"] == 0:
                raise _Refusal(EXECUTION_ERROR)  # the frequency is the external reference's
            if (value < 200.0) != (detector.real["FREQ"] < 200.0):
                detector.events |= RANGE_CHANGED
        detector.real[name] = round(value / 2e-3) * 2e-3 if name == "SLVL" else value

    # --- tables

    def _query_table(self) -> dict[str, Handler]:
        read = self.detector.read
        return {
            "*IDN": lambda a: f"Stanford_Research_Systems,SR830,{self.settings.serial},ver1.07",
            "*STB": self._status_byte,
            "*ESR": self._read_standard,
            "LIAS": self._read_lockin,
            "ERRS": self._read_errors,
            "OUTP": lambda a: _shown(read(_place(a, 4))),
            "OUTR": lambda a: _shown(read(9 + _place(a, 2))),
            "OAUX": lambda a: _shown(read(4 + _place(a, 4))),
            "SNAP": self._snap,
            "AUXV": lambda a: f"{self._aux[_place(a, 4) - 1]:.3f}",
            "DDEF": lambda a: "{},{}".format(*self.detector.display[_place(a, 2) - 1]),
            "FPOP": lambda a: str(self._front[_place(a, 2) - 1]),
            "OEXP": lambda a: "{:.2f},{}".format(*self.detector.offset[_place(a, 3) - 1]),
            "SPTS": lambda a: str(len(self.buffer.points)),
            "TRCA": lambda a: ",".join(_shown(value) for value in self._piece(a)),
            "TRCB": lambda a: as_floats(self._piece(a)),
            "TRCL": lambda a: as_raw(self._piece(a)),
        }

    def _command_table(self) -> dict[str, Handler]:
        detector, buffer = self.detector, self.buffer
        return {
            "*CLS": _plain(self._clear),
            "*RST": _plain(self._reset),
            "LOCL": lambda a: _within_none(_place(a, 3, first=0)),
            "SSET": lambda a: _within_none(_place(a, 9)),
            "AUXV": self._set_aux,
            "DDEF": self._set_display,
            "FPOP": self._set_front,
            "OEXP": self._set_offset,
            "AOFF": lambda a: detector.auto_offset(_place(a, 3) - 1),
            "APHS": _plain(detector.auto_phase),
            "ARSV": _plain(lambda: self._occupy(2.0, lambda: detector.whole.update(RMOD=1))),
            "AGAN": _plain(self._auto_gain),
            "TRIG": _plain(self._trigger),
            "STRT": _plain(buffer.start),
            "STRD": _plain(buffer.start),
            "PAUS": _plain(buffer.pause),
            "REST": _plain(buffer.clear),
        }

    # --- status

    def _status_byte(self, arguments: list[float]) -> str:
        masks = self.detector.whole
        byte = (0 if self.buffer.running else 1) | (0 if self.busy else 2)
        byte |= 4 if self.errors & masks["ERRE"] else 0
        byte |= 8 if self.detector.events & masks["LIAE"] else 0
        byte |= 32 if self.standard & masks["*ESE"] else 0
        byte |= 64 if byte & masks["*SRE"] else 0
        return _bits(byte, arguments)[0]

    def _read_standard(self, arguments: list[float]) -> str:
        reply, self.standard = _bits(self.standard, arguments)
        return reply

    def _read_lockin(self, arguments: list[float]) -> str:
        reply, self.detector.events = _bits(self.detector.events, arguments)
        return reply

    def _read_errors(self, arguments: list[float]) -> str:
        reply, self.errors = _bits(self.errors, arguments)
        return reply

    def _clear(self) -> None:
        self.standard = self.errors = self.detector.events = 0

    def _reset(self) -> None:
        self.detector.reset()
        self.buffer.clear()
        self._aux, self._front = [0.0] * 4, [0, 0]

    # --- the rest

    def _snap(self, arguments: list[float]) -> str:
        if not 2 <= len(arguments) <= 6:
            raise _Refusal(EXECUTION_ERROR)
        return ",".join(_shown(self.detector.read(int(_within(which, 1, 11)))) for which in arguments)

    def _piece(self, arguments: list[float]) -> list[float]:
        _count(arguments, 3)
        points, channel = self.buffer.points, _place(arguments[:1], 2) - 1
        start = int(_within(arguments[1], 0, len(points) - 1))
        count = int(_within(arguments[2], 1, len(points) - start))
        return [pair[channel] for pair in islice(points, start, start + count)]

    def _set_aux(self, arguments: list[float]) -> None:
        _count(arguments, 2)
        self._aux[_place(arguments[:1], 4) - 1] = _within(arguments[1], -10.5, 10.5)

    def _set_display(self, arguments: list[float]) -> None:
        _count(arguments, 3)
        shown = int(_within(arguments[1], 0, 4)), int(_within(arguments[2], 0, 2))
        self.detector.display[_place(arguments[:1], 2) - 1] = shown

    def _set_front(self, arguments: list[float]) -> None:
        _count(arguments, 2)
        self._front[_place(arguments[:1], 2) - 1] = int(_within(arguments[1], 0, 1))

    def _set_offset(self, arguments: list[float]) -> None:
        _count(arguments, 3)
        offset = _within(arguments[1], -105.0, 105.0), int(_within(arguments[2], 0, 2))
        self.detector.offset[_place(arguments[:1], 3) - 1] = offset

    def _trigger(self) -> None:
        if self.buffer.triggered:
            self.buffer.store()
        elif self.detector.whole["TSTR"]:
            self.buffer.start()

    def _auto_gain(self) -> None:
        if self.detector.tau <= 1.0:  # with a longer time constant it does nothing, as the manual warns
            self._occupy(1.0 + 20 * self.detector.tau, self.detector.auto_gain)

    def _occupy(self, seconds: float, action: Callable[[], None]) -> None:
        """Be busy for `seconds`, then do `action` and answer those who waited."""

        def done() -> None:
            self.detector.refresh()
            action()
            for session in tuple(self._sessions):
                session.resume()

        self._busy_until = self._timeline.now + seconds
        self._timeline.at(self._busy_until, done)

    # -- faults

    def set_contact_open(self, is_open: bool) -> None:
        """Let a current contact fall off, or touch again."""
        self.detector.refresh()
        self.detector.contact_open = is_open


def _plain(run: Callable[[], None]) -> Handler:
    def handler(arguments: list[float]) -> None:
        _count(arguments, 0)
        run()

    return handler


def _within_none(value: float) -> None:
    """Take a checked number that changes nothing simulated."""


def _bits(byte: int, arguments: list[float]) -> tuple[str, int]:
    """Return a status byte, or one bit of it, as text, and what is left after reading clears it."""
    if not arguments:
        return str(byte), 0
    _count(arguments, 1)
    mask = 1 << int(_within(arguments[0], 0, 7))
    return str(int(bool(byte & mask))), byte & ~mask


def _number(text: str) -> float:
    if not _NUMBER.match(text.strip()):
        raise _Refusal(COMMAND_ERROR)
    return float(text)


def _within(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise _Refusal(EXECUTION_ERROR)
    return value


def _count(arguments: list[float], wanted: int) -> None:
    if len(arguments) != wanted:
        raise _Refusal(EXECUTION_ERROR)


def _place(arguments: list[float], last: int, first: int = 1) -> int:
    _count(arguments, 1)
    return int(_within(arguments[0], first, last))


def _shown(value: float) -> str:
    return f"{value:.6g}"
