"""Simulated PI piezo controller (E-709 and alike) that moves the objective: General Command Set 2.0, one axis.

Commands end with a line feed and give no answer; what goes wrong is a number that ``ERR?`` returns once. A query that
is refused is not answered either. Single characters (#5, #24) need no line feed. Positions on the wire are in µm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Self

from pydantic import Field, model_validator

from nvscope.config import Frozen
from nvscope.units import Metres, Seconds
from nvscope_simulators.instruments.base import Session
from nvscope_simulators.instruments.scpi import LineSession
from nvscope_simulators.timeline import Event
from nvscope_simulators.world.interface import World

NO_ERROR, SYNTAX, UNKNOWN, TOO_LONG, SERVO_OFF, OUT_OF_LIMITS, STOPPED = 0, 1, 2, 3, 5, 7, 10
BAD_AXIS, OUT_OF_RANGE, FEW_PARAMETERS, BAD_NUMBER = 15, 17, 24, 25
_MICRO = 1e-6
_STEPS, _DECAYS = 16, 8.0
"""A movement is followed in so many steps, and over its settling time its distance falls by so many powers of e."""
_AXIS = "1"


class Refused(Exception):
    """A command is refused with an error number."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class PIPiezoSettings(Frozen):
    """What a rig may say about its simulated focus."""

    serial: str = "0115500620"
    low: Metres = Field(default=0.0, description="lower end of the travel")
    high: Metres = Field(default=1.0e-4, description="upper end of the travel")
    position: Metres = Field(default=5.0e-5, description="where it stands at power-up")
    servo: bool = Field(default=True, description="whether the servo is on at power-up")
    settling: Seconds = Field(default=0.05, gt=0, description="time until a new position is on target")
    noise: Metres = Field(default=2e-9, ge=0, description="standard deviation of a reading")
    max_connections: int = Field(default=1, ge=1, le=8, description="clients at once")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.position <= self.high or self.low == self.high:
            raise ValueError("position must lie between low and high")
        return self


class _GcsSession:
    """Lines, with the single-character commands taken out of the stream where they come."""

    def __init__(self, piezo: SimulatedPIPiezo) -> None:
        self._piezo = piezo
        self._lines = LineSession(piezo.respond, b"\n", b"\n", on_overflow=lambda: piezo.fail(TOO_LONG))

    def receive(self, data: bytes) -> bytes:
        """Answer queries; everything else is silent."""
        reply = b""
        for piece in re.split(rb"([\x05\x18])", data):
            if piece == b"\x05":
                reply += b"1\n" if self._piezo.moving else b"0\n"
            elif piece == b"\x18":
                self._piezo.stop()
            elif piece:
                reply += self._lines.receive(piece)
        return reply


class SimulatedPIPiezo:
    """The piezo, its sensor and its servo."""

    model: ClassVar[str] = "E-709"

    def __init__(self, world: World, settings: PIPiezoSettings) -> None:
        self.max_connections = settings.max_connections
        self._world = world
        self._settings = settings
        self._servo = settings.servo
        self._target = settings.position
        self._error = NO_ERROR
        self._events: list[Event] = []
        world.ports.focus.position = settings.position
        self._queries: dict[str, Callable[[], str]] = {
            "POS?": lambda: f"{self._reading() / _MICRO:.6f}",
            "MOV?": lambda: f"{self._target / _MICRO:.6f}",
            "ONT?": lambda: str(int(self._servo and not self.moving)),
            "SVO?": lambda: str(int(self._servo)),
            "TMN?": lambda: f"{settings.low / _MICRO:.6f}",
            "TMX?": lambda: f"{settings.high / _MICRO:.6f}",
            "PUN?": lambda: "µm",
        }
        self._plain: dict[str, Callable[[], str]] = {
            "*IDN?": lambda: f"(c)2014 Physik Instrumente (PI) GmbH & Co. KG, E-709.CRG, {settings.serial}, 2.004",
            "ERR?": self._take_error,
            "SAI?": lambda: _AXIS,
            "CSV?": lambda: "2.0",
            "HLP?": self._help,
        }
        self._actions: dict[str, Callable[[float], None]] = {
            "MOV": self._move,
            "MVR": lambda value: self._move(self._target / _MICRO + value),
            "SVO": self._set_servo,
        }

    @property
    def moving(self) -> bool:
        """Whether it is on its way."""
        return bool(self._events)

    def open_session(self) -> tuple[bytes, Session]:
        """Accept a connection; no banner."""
        return b"", _GcsSession(self)

    def fail(self, code: int) -> None:
        """Remember an error until it is asked for; the first one stays."""
        self._error = self._error or code

    def respond(self, line: str) -> str | bytes | None:
        """Obey one line; only queries are answered, with a value for each axis."""
        words = line.split()
        command, arguments = words[0].upper(), words[1:]
        try:
            if command in self._plain:
                return self._plain[command]()
            if command in self._queries:
                return f"{_axis(arguments)}={self._queries[command]()}".encode("latin-1") + b"\n"
            if command in ("STP", "HLT"):
                self.stop()
            elif command in self._actions:
                if len(arguments) != 2:
                    raise Refused(FEW_PARAMETERS)
                _axis(arguments[:1])
                self._actions[command](_number(arguments[1]))
            else:
                raise Refused(UNKNOWN)
        except Refused as refusal:
            self.fail(refusal.code)
        return None

    def _help(self) -> str:
        words = [*self._plain, *self._queries, *self._actions, "STP", "HLT", "#5", "#24"]
        lines = ["The following commands are valid:", *sorted(words), "end of help"]
        return " \n".join(lines)  # a space before the line feed says that more follows

    def _take_error(self) -> str:
        code, self._error = self._error, NO_ERROR
        return str(code)

    def _reading(self) -> float:
        return self._place() + self._settings.noise * float(self._world.rng.standard_normal())

    def _place(self) -> float:
        place = self._world.ports.focus.position
        return self._settings.position if place is None else place

    # -- movement

    def _move(self, micrometres: float) -> None:
        if not self._servo:
            raise Refused(SERVO_OFF)
        target = micrometres * _MICRO
        slack = 1e-12  # m: a limit written in µm and read back is still that limit
        if not self._settings.low - slack <= target <= self._settings.high + slack:
            raise Refused(OUT_OF_LIMITS)
        self._halt()
        start, self._target = self._place(), target
        for step in range(1, _STEPS + 1):
            left = 0.0 if step == _STEPS else math.exp(-_DECAYS * step / _STEPS)
            place = target + (start - target) * left
            delay = self._settings.settling * step / _STEPS
            self._events.append(self._world.timeline.after(delay, partial(self._arrive, place, step)))

    def _arrive(self, place: float, step: int) -> None:
        self._world.ports.focus.position = place
        if step == _STEPS:
            self._events = []

    def _halt(self) -> None:
        for event in self._events:
            event.cancel()
        self._events = []

    def stop(self) -> None:
        """Stop where it is, which counts as an error."""
        self._halt()
        self._target = self._place()
        self.fail(STOPPED)

    def _set_servo(self, value: float) -> None:
        if value not in (0, 1):
            raise Refused(OUT_OF_RANGE)
        if bool(value) != self._servo:
            self._halt()
            self._target = self._place()  # switching the servo moves nothing
        self._servo = bool(value)

    # -- faults

    def lose_servo(self) -> None:
        """Switch the servo off, as an overload does; the client may switch it on again."""
        self._set_servo(0)


def _axis(arguments: list[str]) -> str:
    if any(name != _AXIS for name in arguments):
        raise Refused(BAD_AXIS)
    return _AXIS


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise Refused(BAD_NUMBER) from None
    if not math.isfinite(value):
        raise Refused(BAD_NUMBER)
    return value
