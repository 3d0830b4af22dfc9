"""Simulated Cobolt 06-DPL laser: its ASCII commands, interlock, latched faults.

Commands follow the 06-01 series manual: one a line, ended by carriage return; every line is answered, by a value, by
``OK`` or by a line that begins with ``Syntax error``. Powers are in watts on the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import Field

from nvscope.config import Frozen
from nvscope.units import Seconds, Watts
from nvscope_simulators.instruments.base import Session
from nvscope_simulators.instruments.scpi import LineSession
from nvscope_simulators.timeline import Event
from nvscope_simulators.world.interface import World

NO_FAULT, TEMPERATURE, INTERLOCK, POWER_TIMEOUT = 0, 1, 3, 4
_OFF, _WAITING, _CONTINUOUS, _FAULT = 0, 1, 2, 5  # gom?
_CURRENT_MODE, _POWER_MODE = 0, 1  # gam?
_ILLEGAL = "Syntax error: illegal command"
_BAD_VALUE = "Syntax error: illegal parameter"
_THRESHOLD, _SLOPE = 0.9, 0.12  # A, W/A: pump current of the diode against emitted power


class CoboltSettings(Frozen):
    """What a rig may say about its simulated laser."""

    serial: str = "23456"
    model_number: str = "0532-06-91-0200-100"
    firmware: str = "1.4.2"
    max_power: Watts = Field(default=0.2, description="highest power it can be set to")
    power: Watts = Field(default=0.05, description="set power at power-up")
    power_noise: float = Field(default=2e-3, ge=0, description="relative standard deviation of its own power reading")
    autostart: bool = Field(default=False, description="whether it starts by itself with the key, and refuses l1")
    warm_up: Seconds = Field(default=5.0, description="time the start sequence of @cob1 takes")
    max_connections: int = Field(default=1, ge=1, description="a serial line has one")


class SimulatedCobolt:
    """The laser head and its controller."""

    model: ClassVar[str] = "Cobolt 06-DPL"

    def __init__(self, world: World, settings: CoboltSettings) -> None:
        self.max_connections = settings.max_connections
        self._world = world
        self._settings = settings
        self._on = False
        self._starting: Event | None = None
        self._power = settings.power
        self._mode = _POWER_MODE
        self._current = self._current_for(settings.power)
        self._autostart = settings.autostart
        self._interlock_open = False
        self._fault = NO_FAULT
        self._cause = NO_FAULT
        self._emitted_since: float | None = None
        self._hours = 1234.5 * 3600
        self._queries: dict[str, Callable[[], str]] = self._query_table()
        self._actions: dict[str, Callable[[], str]] = {
            "?": lambda: "OK",
            "l0": self._stop,
            "l1": self._start_now,
            "@cob0": self._stop,
            "@cob1": self._start_sequence,
            "cf": self._clear_fault,
            "cp": lambda: self._set_mode(_POWER_MODE),
            "ci": lambda: self._set_mode(_CURRENT_MODE),
        }
        self._settable: dict[str, Callable[[float], str]] = {
            "p": self._set_power,
            "slc": self._set_current,
            "@cobas": self._set_autostart,
            "l": lambda value: self._actions.get(f"l{value:g}", lambda: _BAD_VALUE)(),
        }
        self._emit()

    def open_session(self) -> tuple[bytes, Session]:
        """Accept a connection; no banner."""
        return b"", LineSession(self.respond, on_overflow=lambda: None)

    def respond(self, line: str) -> str:
        """Answer one line; there is always an answer."""
        text = line.strip().lower()
        if text in self._queries:
            return self._queries[text]()
        if text in self._actions:
            return self._actions[text]()
        word, _, argument = text.partition(" ")
        setter = self._settable.get(word)
        if setter is None or not argument:
            return _ILLEGAL
        try:
            value = float(argument)
        except ValueError:
            return _BAD_VALUE
        return setter(value)

    def _query_table(self) -> dict[str, Callable[[], str]]:
        settings = self._settings
        return {
            "l?": lambda: str(int(self._on)),
            "p?": lambda: f"{self._power:.4f}",
            "pa?": self._measured_power,
            "i?": lambda: f"{1000 * (self._current if self._on else 0.0):.1f}",
            "glc?": lambda: f"{1000 * self._current:.1f}",
            "gam?": lambda: str(self._mode),
            "gom?": lambda: str(self._state()),
            "ilk?": lambda: str(int(self._interlock_open)),
            "f?": lambda: str(self._fault),
            "@cobas?": lambda: str(int(self._autostart)),
            "hrs?": lambda: f"{self._run_time() / 3600:.2f}",
            "sn?": lambda: settings.serial,
            "gsn?": lambda: settings.serial,
            "glm?": lambda: settings.model_number,
            "gfv?": lambda: settings.firmware,
            "ver?": lambda: settings.firmware,
            "leds?": lambda: str(1 | (2 if self._on else 0) | (8 if self._fault else 0)),
        }

    # -- emission

    def _start_now(self) -> str:
        if self._autostart:
            return "Syntax error: not allowed while autostart is enabled"
        refusal = self._refusal()
        if refusal is None:
            self._switch_on()
        return refusal or "OK"

    def _start_sequence(self) -> str:
        refusal = self._refusal()
        if refusal:
            return refusal
        if not self._on and self._starting is None:
            self._starting = self._world.timeline.after(self._settings.warm_up, self._switch_on)
        return "OK"

    def _refusal(self) -> str | None:
        if self._interlock_open:
            return "Syntax error: not allowed, interlock open"
        if self._fault:
            return "Syntax error: not allowed in fault state"
        return None

    def _switch_on(self) -> None:
        self._starting = None
        if not self._on:
            self._on = True
            self._emitted_since = self._world.timeline.now
        self._emit()

    def _stop(self) -> str:
        self._hours = self._run_time()
        self._emitted_since = None
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None
        self._on = False
        self._emit()
        return "OK"

    def _run_time(self) -> float:
        return self._hours + (0.0 if self._emitted_since is None else self._world.timeline.now - self._emitted_since)

    def _emit(self) -> None:
        self._world.ports.laser.power = self._emitted() if self._on else 0.0

    def _emitted(self) -> float:
        if self._mode == _POWER_MODE:
            return self._power
        return min(self._settings.max_power, max(0.0, self._current - _THRESHOLD) * _SLOPE)

    @staticmethod
    def _current_for(power: float) -> float:
        return _THRESHOLD + power / _SLOPE

    def _measured_power(self) -> str:
        noise = 1 + self._settings.power_noise * float(self._world.rng.standard_normal())
        return f"{self._world.ports.laser.power * noise:.4f}"

    # -- settings

    def _set_power(self, watts: float) -> str:
        if not 0 <= watts <= self._settings.max_power:
            return _BAD_VALUE
        self._power = round(watts, 4)
        self._current = self._current_for(self._power)
        self._emit()
        return "OK"

    def _set_current(self, milliamperes: float) -> str:
        if not 0 <= milliamperes <= 1000 * self._current_for(self._settings.max_power):
            return _BAD_VALUE
        self._current = milliamperes / 1000
        self._emit()
        return "OK"

    def _set_mode(self, mode: int) -> str:
        self._mode = mode
        self._emit()
        return "OK"

    def _set_autostart(self, value: float) -> str:
        if value not in (0, 1):
            return _BAD_VALUE
        self._autostart = bool(value)
        return "OK"

    # -- faults

    def _state(self) -> int:
        if self._fault:
            return _FAULT
        if self._starting is not None:
            return _WAITING
        return _CONTINUOUS if self._on else _OFF

    def _clear_fault(self) -> str:
        if self._interlock_open or self._cause:
            return "Syntax error: not allowed, the cause of the fault remains"
        self._fault = NO_FAULT
        return "OK"

    def set_interlock(self, *, is_open: bool) -> None:
        """Open or close the interlock: opening it stops emission and latches a fault."""
        self._interlock_open = is_open
        if is_open:
            self._stop()
            self._fault = INTERLOCK

    def set_fault(self, code: int) -> None:
        """Let a fault happen (1 temperature, 4 power time-out): emission stops; 0 takes its cause away."""
        self._cause = code
        if code:
            self._stop()
            self._fault = code
