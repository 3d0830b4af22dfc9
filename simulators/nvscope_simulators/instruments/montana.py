"""Simulated Montana Instruments Cryostation: its counted messages, and cooldown and warm-up as a state machine.

Messages and replies are two digits of length and as many characters, with no terminator (Cryostation communication
specification 1.5). The cryostat is the world's: "platform" is its stage, "stage 2" its cold head, and the heater of
the platform is heater 1.
"""

from __future__ import annotations

import re
import statistics
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from nvscope.config import Frozen
from nvscope.units import Kelvin, Seconds, Watts
from nvscope_simulators.instruments.base import Session
from nvscope_simulators.instruments.lakeshore336_output import ZONE, HeaterOutput, HeaterSetup, Zone
from nvscope_simulators.timeline import Event
from nvscope_simulators.world.interface import World

_NOT_AVAILABLE = -0.1
_ATMOSPHERE, _EVACUATED, _ULTIMATE = 760e3, 10.0, 0.5  # mTorr
_LOWEST, _HIGHEST = 2.0, 350.0  # K
_ROOM = 295.0
_STAGE_1_BASE = 35.0  # K, the warmer stage of a cold two-stage head
_STABLE_OVER = 60.0  # s
_GAINS = ((15, 22), (25, 31), (35, 48), (50, 67), (70, 91), (90, 115), (120, 139), (200, 168), (400, 192))
"""Factory tuning of the platform's loop (%/K of 75 W by setpoint): the gain follows the heat capacity."""


_LENGTH = re.compile(rb"[0-9][0-9]")


class State(StrEnum):
    """What the automation is doing."""

    READY = "Ready"
    EVACUATING = "Evacuating"
    COOLING = "Cooling down"
    COLD = "Cold"
    STANDBY = "Standby"
    WARMING = "Warming up"
    VENTING = "Venting"


class CryostationSettings(Frozen):
    """What a rig may say about its simulated Cryostation."""

    serial: str = "CR-1021"
    software: str = "4.46"
    setpoint: Kelvin = Field(default=4.0, description="target temperature at power-up")
    pump_down: Seconds = Field(default=60.0, description="time in which the pressure falls to 1/e")
    vent: Seconds = Field(default=120.0, description="time to let air in")
    heater_power: Watts = Field(default=75.0, description="largest platform heater power")
    noise: Kelvin = Field(default=0.001, description="standard deviation of a reading")
    control_period: Seconds = Field(default=0.25, description="rig time between two runs of the control law")
    heater: int = Field(default=1, ge=1, description="which of the world's heaters is its own; 3 heats nothing")
    standing_cold: bool = Field(default=False, description="whether it is evacuated and cooling at power-up")
    max_connections: int = Field(default=1, ge=1, description="clients served at once")


class CountedSession:
    """Takes and gives messages of two digits and as many characters."""

    def __init__(self, handle: Callable[[str], str]) -> None:
        self._handle = handle
        self._rest = b""

    def receive(self, data: bytes) -> bytes:
        """Answer every complete message; what does not begin with two digits is dropped up to the next that does."""
        buffer = self._rest + data
        replies = []
        while len(buffer) >= 2:
            head = _LENGTH.search(buffer)
            if head is None:
                buffer = buffer[-1:]  # the first digit of a length may be the last byte so far
                break
            buffer = buffer[head.start() :]
            length = int(buffer[:2])
            if len(buffer) < 2 + length:
                break
            message, buffer = buffer[2 : 2 + length], buffer[2 + length :]
            if message:
                reply = self._handle(message.decode("latin-1"))[:99]
                replies.append(f"{len(reply):02d}{reply}".encode("latin-1", "replace"))
        self._rest = buffer
        return b"".join(replies)


class SimulatedCryostation:
    """The cryostat's automation and its platform controller."""

    model: ClassVar[str] = "Cryostation"

    def __init__(self, world: World, settings: CryostationSettings) -> None:
        self.max_connections = settings.max_connections
        self._world = world
        self._settings = settings
        self.state = State.READY
        self._pressure, self._since = _ATMOSPHERE, world.timeline.now
        self._output = HeaterOutput(1, 1.0, HeaterSetup(user_current=settings.heater_power**0.5))
        self._output.mode = ZONE
        for index, (upper, gain) in enumerate(_GAINS):
            self._output.set_zone(index, Zone(float(upper), float(gain), 100.0, 0.0, 0.0, 3, 0, 0.0))
        self._target = settings.setpoint
        self._history: deque[float] = deque(maxlen=max(2, round(_STABLE_OVER / settings.control_period)))
        self._compressor_fault = False
        self._tick: Event | None = None
        self._magnet_target, self._magnet_enabled = 0.0, False
        self._handlers = self._table()
        world.ports.cooler.running = False
        if settings.standing_cold:
            self._pressure = _ULTIMATE
            self._enter(State.COOLING)

    def open_session(self) -> tuple[bytes, Session]:
        """Accept a connection; no banner."""
        return b"", CountedSession(self.respond)

    def respond(self, message: str) -> str:
        """Answer one message."""
        text = message.strip()
        for command, (takes_value, run) in self._handlers.items():
            if takes_value and text.upper().startswith(command):
                try:
                    value = float(text[len(command) :])
                except ValueError:
                    return "Error: invalid value"
                return run(value)
            if not takes_value and text.upper() == command:
                return run(0.0)
        return "Error: unknown command"

    def _table(self) -> dict[str, tuple[bool, Callable[[float], str]]]:
        identity = f"Montana Instruments:{self.model}:{self._settings.serial}:{self._settings.software}"
        output = self._output
        return {
            "*IDN?": (False, lambda _: identity),
            "GTSP": (False, lambda _: f"{self._target:.2f}"),
            "STSP": (True, self._set_target),
            "GPT": (False, lambda _: _three(self._read("stage"))),
            "GPS": (False, lambda _: self._stability()),
            "GST": (False, lambda _: _three(self._read("sample"))),
            "GSS": (False, lambda _: self._stability()),
            "GUT": (False, lambda _: _three(_NOT_AVAILABLE)),
            "GUS": (False, lambda _: _three(_NOT_AVAILABLE)),
            "GS1T": (False, lambda _: _three(self._stage_1())),
            "GS2T": (False, lambda _: _three(self._read("platform"))),
            "GPHP": (False, lambda _: _three(output.power())),
            "GS1HP": (False, lambda _: _three(0.0)),
            "GCP": (False, lambda _: f"{self._pressure_now():.1f}"),
            "GAS": (False, lambda _: "T" if self._compressor_fault else "F"),
            "GCS": (False, lambda _: self.state.value),
            "SCD": (False, lambda _: self._cool_down()),
            "SWU": (False, lambda _: self._warm_up()),
            "SSB": (False, lambda _: self._stand_by()),
            "STP": (False, lambda _: self._stop()),
            "GPIDK": (False, lambda _: "1.000"),
            "GPIDF": (False, lambda _: "0.100"),
            "GPIDT": (False, lambda _: "0.000"),
            "GMS": (False, lambda _: "MAGNET NOT INSTALLED"),
            "GMTF": (False, lambda _: "-9.999999"),
        }

    # -- readings

    def _read(self, node: str) -> float:
        return self._world.temperature(node) + self._settings.noise * float(self._world.rng.standard_normal())

    def _stage_1(self) -> float:
        # the warm stage follows the cold one down to its own base
        share = min(1.0, max(0.0, self._world.temperature("platform") / _ROOM))
        return _STAGE_1_BASE + (_ROOM - _STAGE_1_BASE) * share

    def _stability(self) -> str:
        if len(self._history) < (self._history.maxlen or 0):
            return f"{_NOT_AVAILABLE:.5f}"
        return f"{statistics.pstdev(self._history):.5f}"

    def _pressure_now(self) -> float:
        elapsed = self._world.timeline.now - self._since
        if self.state is State.VENTING:
            return self._pressure + (_ATMOSPHERE - self._pressure) * min(1.0, elapsed / self._settings.vent)
        if self.state is State.READY:
            return self._pressure
        return _ULTIMATE + (self._pressure - _ULTIMATE) * 2.718281828 ** (-elapsed / self._settings.pump_down)

    # -- automation

    def _enter(self, state: State) -> None:
        self._pressure, self._since = self._pressure_now(), self._world.timeline.now
        self.state = state
        cold = state in (State.COOLING, State.COLD)
        self._world.ports.cooler.running = cold and not self._compressor_fault
        heating = state in (State.COLD, State.WARMING, State.COOLING)
        self._output.set_setpoint(_ROOM if state is State.WARMING else self._target, self._world.timeline.now)
        if heating and not self._output.range:
            self._output.range = 3
        elif not heating:
            self._output.switch_off()
        self._deliver()
        if self._tick is None:
            self._tick = self._world.timeline.after(self._settings.control_period, self._run)

    def _cool_down(self) -> str:
        if self._compressor_fault:
            return "Error: compressor fault"
        if self.state in (State.READY, State.VENTING):
            self._enter(State.EVACUATING)
        elif self.state in (State.STANDBY, State.WARMING):
            self._enter(State.COOLING)
        elif self.state is not State.EVACUATING:
            return "Error: already cold"
        return "OK"

    def _warm_up(self) -> str:
        if self.state in (State.READY, State.VENTING):
            return "Error: already warm"
        self._enter(State.WARMING)
        return "OK"

    def _stand_by(self) -> str:
        if self.state in (State.READY, State.VENTING):
            return "Error: not evacuated"
        self._enter(State.STANDBY)
        return "OK"

    def _stop(self) -> str:
        if self.state is State.VENTING:
            return "Error: venting cannot be stopped"
        self._enter(State.READY if self.state in (State.READY, State.EVACUATING) else State.STANDBY)
        return "OK"

    def _set_target(self, kelvin: float) -> str:
        if not _LOWEST <= kelvin <= _HIGHEST:
            return "Error: setpoint out of range"
        self._target = round(kelvin, 2)
        if self.state is not State.WARMING:
            self._output.set_setpoint(self._target, self._world.timeline.now)
        self._history.clear()
        return "OK"

    def _run(self) -> None:
        self._tick = None
        kelvin = self._read("stage")
        if self.state is State.EVACUATING and self._pressure_now() <= _EVACUATED:
            self._enter(State.COOLING)
        elif self.state is State.COOLING and abs(kelvin - self._target) < 1.0:
            self._enter(State.COLD)
        elif self.state is State.WARMING and kelvin > _ROOM - 1.0:
            self._enter(State.VENTING)
        elif self.state is State.VENTING and self._pressure_now() >= _ATMOSPHERE:
            self._enter(State.READY)
        self._history.append(self._read("sample"))
        self._output.step(kelvin, self._world.timeline.now, self._settings.control_period)
        self._deliver()
        if self._tick is None and self.state not in (State.READY, State.STANDBY):
            self._tick = self._world.timeline.after(self._settings.control_period, self._run)

    def _deliver(self) -> None:
        self._world.ports.heaters.power[self._settings.heater] = self._output.power()

    # -- faults

    def set_compressor_fault(self, broken: bool) -> None:
        """Let the compressor stop (low helium pressure): the alarm is raised and nothing is cooled; or mend it."""
        self._compressor_fault = broken
        self._world.ports.cooler.running = not broken and self.state in (State.COOLING, State.COLD)


def _three(value: float) -> str:
    return f"{value:.3f}"
