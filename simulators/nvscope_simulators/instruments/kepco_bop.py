"""Kepco BOP bipolar supply with a BIT 4886 interface (SCPI), driving a resistive coil.

Command set and error numbers: Kepco BIT 4886 operator manual, appendices A and B. The load is a coil with inductance
L and the resistance the world reports, warm from its own current.
"""

from __future__ import annotations

import math
from typing import ClassVar

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
    flag,
    whole,
)
from nvscope_simulators.instruments.scpi import (
    PARAMETER_NOT_ALLOWED,
    Command,
    CommandError,
    LineSession,
    number,
)
from nvscope_simulators.timeline import Event
from nvscope_simulators.world.interface import World

CONSTANT_VOLTAGE, CONSTANT_CURRENT = 256, 1024
_SAME = 1e-7
"""Currents closer than this (A) are equal."""


class KepcoBOPSettings(Frozen):
    """One BOP and the coil on its output."""

    axis: str = Field(default="z", description="which of the world's magnets it energises")
    rated_voltage: float = Field(default=20.0, gt=0, description="largest voltage (V)")
    rated_current: float = Field(default=20.0, gt=0, description="largest current (A)")
    inductance: float = Field(default=0.02, gt=0, description="of the coil (H)")
    resolution: int = Field(default=16, ge=8, le=24, description="bits of the converters over the bipolar range")
    current_noise: float = Field(default=5e-5, ge=0, description="noise of a current reading (A rms)")
    serial: str = "A104562"
    connections: int = Field(default=2, ge=1, description="simultaneous connections accepted")


def settle_current(start: float, goal: float, drive: float, resistance: float, inductance: float, dt: float) -> float:
    """Return the current (A) of an R-L load after `dt` seconds, driven by at most ±`drive` volts towards `goal`.

    L di/dt = v − R i with v = ±drive until the goal is met, then held there; where the drive cannot sustain the goal,
    the current ends at drive/R.
    """
    sustained = drive / resistance
    end = min(max(goal, -sustained), sustained)
    if end == start:
        return end
    limit = math.copysign(sustained, end - start)
    reached = limit + (start - limit) * math.exp(-resistance * dt / inductance)
    return min(reached, end) if end > start else max(reached, end)


class SimulatedKepcoBOP:
    """The supply: a setpoint and a limit, in current or voltage mode, and an output switch."""

    model: ClassVar[str] = "BOP"

    def __init__(self, world: World, settings: KepcoBOPSettings | None = None) -> None:
        self._world = world
        self.settings = settings or KepcoBOPSettings()
        self.max_connections = self.settings.connections
        self._current = world.ports.magnet.current.get(self.settings.axis, 0.0)
        self._since = world.timeline.now
        self._next: Event | None = None
        self._output = self._spoiled = False
        self._mode = "VOLT"
        self._set = {"CURR": self.settings.rated_current, "VOLT": 0.0}
        self._operation = Register()
        self._questionable = Register()
        self.core = ScpiCore(
            {
                "[SOURce]:CURRent[:LEVel][:IMMediate][:AMPlitude]": lambda c: self._level(c, "CURR"),
                "[SOURce]:VOLTage[:LEVel][:IMMediate][:AMPlitude]": lambda c: self._level(c, "VOLT"),
                "[SOURce]:CURRent:MODE": self._fixed,
                "[SOURce]:VOLTage:MODE": self._fixed,
                "[SOURce]:FUNCtion:MODE": self._function,
                "OUTPut[:STATe]": flag(lambda: self._output, self._switch),
                "MEASure[:SCALar]:CURRent[:DC]": ask(lambda: _scientific(self.measured_current())),
                "MEASure[:SCALar]:VOLTage[:DC]": ask(lambda: _scientific(self.measured_voltage())),
                "SYSTem:BEEP": act(lambda: None),
                "SYSTem:KLOCk": accept,
                "SYSTem:REMote": accept,
                "SYSTem:ERRor:CODE": ask(lambda: self.core.next_error().partition(",")[0]),
                "DIAGnostic:TST": ask(lambda: "0"),
                "*SAV": whole(lambda: 0, lambda _: None, 1, 40),
            },
            f"KEPCO,BIT 4886 {self.settings.rated_voltage:g}-{self.settings.rated_current:g},"
            f"{self.settings.serial},1.8-1.8",
            self._reset,
            {"OPERation": (self._operation, 128), "QUEStionable": (self._questionable, 8)},
            queue_size=15,
        )
        self._refresh()

    def open_session(self) -> tuple[bytes, Session]:
        """Accept a connection; no banner."""
        return b"", LineSession(
            self.execute, terminator=b"\n", on_overflow=lambda: self.core.fail(-363, "Input buffer overrun")
        )

    def execute(self, line: str) -> str | None:
        """Run one line, whoever sends it."""
        self._refresh()
        return self.core.execute(line)

    # --- what the programmer sees

    @property
    def _full_scale(self) -> dict[str, float]:
        return {"CURR": self.settings.rated_current, "VOLT": self.settings.rated_voltage}

    def _level(self, command: Command, quantity: str) -> str | None:
        rated = self._full_scale[quantity]
        # the quantity that is not controlled is a limit, and limits have no sign
        lowest = -rated if quantity == self._mode else 0.0
        word = command.arguments[0].upper() if command.arguments else ""
        if len(command.arguments) > 1:
            raise CommandError(*PARAMETER_NOT_ALLOWED)
        named = {"MIN": lowest, "MINIMUM": lowest, "MAX": rated, "MAXIMUM": rated}
        if command.query:
            if word and word not in named:
                raise CommandError(*ILLEGAL_VALUE)
            return _scientific(named[word] if word else self._set[quantity])
        value = named[word] if word in named else number(command, 0, lowest, rated)
        self._set[quantity] = self._converted(value, rated)
        self._refresh()
        return None

    def _converted(self, value: float, rated: float) -> float:
        step = rated / 2 ** (self.settings.resolution - 1)
        return round(value / step) * step

    def _fixed(self, command: Command) -> str | None:
        if command.query:
            return "FIX"
        if not command.arguments or command.arguments[0].upper() not in ("FIX", "FIXED"):
            raise CommandError(*SETTINGS_CONFLICT)  # lists and transients are not programmed on this card
        return None

    def _function(self, command: Command) -> str | None:
        if command.query:
            return "1" if self._mode == "CURR" else "0"
        word = command.arguments[0].upper() if command.arguments else ""
        mode = {"CURR": "CURR", "CURRENT": "CURR", "VOLT": "VOLT", "VOLTAGE": "VOLT"}.get(word)
        if mode is None:
            raise CommandError(*ILLEGAL_VALUE)
        if mode != self._mode:
            self._mode = mode
            self._set = self._full_scale | {mode: 0.0}
            self._refresh()
        return None

    def _switch(self, on: bool) -> None:
        self._output = on
        self._refresh()

    def _reset(self) -> None:
        self._output, self._mode = False, "VOLT"
        self._set = {"CURR": self.settings.rated_current, "VOLT": 0.0}
        self._refresh()

    # --- what the coil does

    def _resistance(self) -> float:
        return max(self._world.coil_resistance(self.settings.axis), 1e-6)

    def _goal(self) -> tuple[float, float]:
        """Return the current aimed at (A) and the voltage available for getting there (V)."""
        if not self._output:
            return 0.0, 0.0
        if self._mode == "CURR":
            return self._set["CURR"], self._set["VOLT"]
        free = self._set["VOLT"] / self._resistance()
        limit = self._set["CURR"]
        return min(max(free, -limit), limit), abs(self._set["VOLT"])

    def _refresh(self) -> None:
        """Bring the coil's current up to now and come back while it moves or is limited."""
        timeline = self._world.timeline
        goal, drive = self._goal()
        resistance, elapsed = self._resistance(), timeline.now - self._since
        self._current = settle_current(self._current, goal, drive, resistance, self.settings.inductance, elapsed)
        if abs(self._current) < _SAME and goal == 0.0:
            self._current = 0.0
        self._since = timeline.now
        self._world.ports.magnet.current[self.settings.axis] = self._current
        limited = abs(goal) > drive / resistance + _SAME
        self._operation.hold(CONSTANT_CURRENT, self._output and (self._mode == "CURR") != limited)
        self._operation.hold(CONSTANT_VOLTAGE, self._output and (self._mode == "VOLT") != limited)
        if self._next is not None:
            self._next.cancel()
            self._next = None
        sustained = math.copysign(min(abs(goal), drive / resistance), goal)
        if abs(self._current - sustained) > _SAME:
            self._next = timeline.after(self.settings.inductance / resistance / 20, self._refresh)
        elif goal != 0.0:
            self._next = timeline.after(1.0, self._refresh)  # the coil warms; its current may have to follow

    def measured_current(self) -> float:
        """Return a current reading (A)."""
        if self._spoiled:
            self._spoiled = False
            return -self.settings.rated_current * 1.5
        noisy = self._current + self._world.rng.normal(0.0, self.settings.current_noise)
        return self._converted(noisy, self.settings.rated_current)

    def measured_voltage(self) -> float:
        """Return a voltage reading (V): what the supply has to put out, its inductive part included."""
        goal, drive = self._goal()
        resistive = self._current * self._resistance()
        voltage = resistive if abs(goal - self._current) <= _SAME else math.copysign(drive, goal - self._current)
        return self._converted(voltage + self._world.rng.normal(0.0, 1e-4), self.settings.rated_voltage)

    # -- faults

    def switch_off(self) -> None:
        """Switch the output off behind everybody's back, as its protection does."""
        self._switch(False)

    def spoil_next_reading(self) -> None:
        """Answer the next current reading with one beyond the rating, as after power-up."""
        self._spoiled = True


def _scientific(value: float) -> str:
    """Write a number as the card does: digits, point, exponent without leading zeros."""
    mantissa, _, exponent = f"{value:.5E}".partition("E")
    return f"{mantissa}E{int(exponent)}"
