"""AMI Model 430 power supply programmer: its dialect on TCP port 7180.

Commands: AMI Model 430 manual, chapter "Remote Interface Reference".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import Field

from nvscope.config import Frozen
from nvscope.units import Amperes, Seconds, TeslaPerAmpere
from nvscope_simulators.instruments.ami430_dialect import (
    ERROR_OVERFLOW,
    HEATING_SWITCH,
    INPUT_OVERFLOW,
    NO_SWITCH,
    OUT_OF_RANGE,
    QUENCH_CONDITION,
    DialectCore,
    command_only,
    set_flag,
    set_number,
    text,
    zero_or_one,
)
from nvscope_simulators.instruments.ami430_magnet import MagnetSystem, Segment, State
from nvscope_simulators.instruments.base import Session
from nvscope_simulators.instruments.ieee488 import accept, ask
from nvscope_simulators.instruments.scpi import (
    UNDEFINED_HEADER,
    Command,
    CommandError,
    Handler,
    LineSession,
    number,
)
from nvscope_simulators.world.interface import World

KILOGAUSS_PER_TESLA = 10.0
_MAX_SEGMENTS = 10
_RATES = (1e-4, 10.0)
"""Slowest and fastest ramp (A/s)."""
_BANNER = b"American Magnetics Model 430 IP Interface\r\nHello.\r\n"


class AMI430Settings(Frozen):
    """One programmer with its supply and magnet."""

    axis: str = Field(default="z", description="which of the world's magnets it energises")
    coil_constant: TeslaPerAmpere = Field(default=1e-3, description="as configured in the programmer")
    rated_current: Amperes = Field(default=60.0, description="largest current of the supply")
    current_limit: Amperes = Field(default=50.0, description="as configured in the programmer")
    inductance: float = Field(default=1.0, gt=0, description="of the magnet (H)")
    lead_resistance: float = Field(default=2e-3, ge=0, description="of the current leads (ohm)")
    ramp_rate: float = Field(default=0.1, gt=0, description="configured ramp rate (A/s)")
    switch_installed: bool = Field(default=False, description="whether the magnet has a persistent switch")
    heat_time: Seconds = Field(default=20.0, description="of the persistent switch")
    cool_time: Seconds = Field(default=60.0, description="of the persistent switch")
    supply_rate: float = Field(default=10.0, gt=0, description="ramp rate while the switch is cold (A/s)")
    hold_delay: Seconds = Field(default=0.5, description="between arriving at the target and reporting HOLDING")
    current_noise: Amperes = Field(default=2e-5, description="noise of a current reading, rms")
    tesla: bool = Field(default=False, description="whether it is set to tesla rather than kilogauss")
    per_minute: bool = Field(default=False, description="whether ramp rates are per minute rather than per second")
    serial: str = "91430"
    connections: int = Field(default=2, ge=1, description="simultaneous connections accepted")


class SimulatedAMI430:
    """The programmer: units, configuration, ramping, persistent switch and quench, in front of a `MagnetSystem`."""

    model: ClassVar[str] = "AMI430"

    def __init__(self, world: World, settings: AMI430Settings | None = None) -> None:
        self._world = world
        self.settings = settings = settings or AMI430Settings()
        self.max_connections = settings.connections
        self.system = MagnetSystem(
            world.timeline,
            settings.rated_current,
            settings.inductance,
            settings.switch_installed,
            settings.heat_time,
            settings.cool_time,
            settings.supply_rate,
            settings.hold_delay,
            decay_time=1.0,
            publish=self._publish,
            current_limit=settings.current_limit,
            segments=[Segment(settings.ramp_rate, settings.current_limit)],
        )
        self._coil = settings.coil_constant
        self._spoiled = False
        self._tesla = settings.tesla
        self._per_minute = settings.per_minute
        self._stability, self._absorber, self._detect, self._switch_current = 0.0, False, True, 0.03
        self.core = DialectCore(
            self._commands(),
            f"AMERICAN MAGNETICS INC.,MODEL 430,{settings.serial},2.65",
            self.system.pause_now,
            {},
            overflow=ERROR_OVERFLOW,
        )
        self.core.quenched = lambda: self.system.quenched

    def _publish(self, current: float) -> None:
        self._world.ports.magnet.current[self.settings.axis] = current

    def open_session(self) -> tuple[bytes, Session]:
        """Accept a connection and greet it."""
        return _BANNER, LineSession(
            self.execute, terminator=b"\r\n", on_overflow=lambda: self.core.fail(*INPUT_OVERFLOW)
        )

    def execute(self, line: str) -> str | None:
        """Run one line, whoever sends it."""
        self.system.refresh()
        return self.core.execute(line)

    # --- the command table

    def _commands(self) -> dict[str, Handler]:
        system = self.system
        rated = self.settings.rated_current
        return {
            "SYSTem:LOCal": accept,
            "SYSTem:REMote": accept,
            "SYSTem:ERRor:COUNt": ask(lambda: str(len(self.core.errors))),
            "SUPPly:CURRent:MINimum": ask(lambda: text(-rated)),
            "SUPPly:CURRent:MAXimum": ask(lambda: text(rated)),
            "SUPPly:VOLTage:MINimum": ask(lambda: text(-10.0)),
            "SUPPly:VOLTage:MAXimum": ask(lambda: text(10.0)),
            "SUPPly:TYPE": ask(lambda: "2"),
            "CONFigure:FIELD:UNITS": set_flag(lambda on: setattr(self, "_tesla", on)),
            "FIELD:UNITS": ask(lambda: str(int(self._tesla))),
            "CONFigure:RAMP:RATE:UNITS": set_flag(lambda on: setattr(self, "_per_minute", on)),
            "RAMP:RATE:UNITS": ask(lambda: str(int(self._per_minute))),
            "CONFigure:COILconst": self._configure_coil,
            "COILconst": ask(lambda: text(self._coil * self._field)),
            "CONFigure:CURRent:LIMit": set_number(lambda v: setattr(system, "current_limit", v), 0.0, rated),
            "CURRent:LIMit": ask(lambda: text(system.current_limit)),
            "CONFigure:VOLTage:LIMit": set_number(lambda v: setattr(system, "voltage_limit", v), 1e-3, 10.0),
            "VOLTage:LIMit": ask(lambda: text(system.voltage_limit)),
            "CONFigure:STABility": set_number(lambda v: setattr(self, "_stability", v), 0.0, 100.0),
            "STABility": ask(lambda: text(self._stability)),
            "CONFigure:ABsorber": set_flag(lambda on: setattr(self, "_absorber", on)),
            "ABsorber": ask(lambda: str(int(self._absorber))),
            "CONFigure:QUench:DETect": set_flag(lambda on: setattr(self, "_detect", on)),
            "QUench:DETect": ask(lambda: str(int(self._detect))),
            "CONFigure:CURRent:TARGet": self._configure_target(lambda: 1.0),
            "CURRent:TARGet": ask(lambda: text(system.target)),
            "CONFigure:FIELD:TARGet": self._configure_target(lambda: self._coil * self._field),
            "FIELD:TARGet": ask(lambda: text(system.target * self._coil * self._field)),
            "CONFigure:RAMP:RATE:SEGments": self._configure_segments,
            "RAMP:RATE:SEGments": ask(lambda: str(len(system.segments))),
            "CONFigure:RAMP:RATE:CURRent": self._configure_rate(lambda: 1.0),
            "RAMP:RATE:CURRent": self._read_rate(lambda: 1.0),
            "CONFigure:RAMP:RATE:FIELD": self._configure_rate(lambda: self._coil * self._field),
            "RAMP:RATE:FIELD": self._read_rate(lambda: self._coil * self._field),
            "CURRent:MAGnet": ask(lambda: text(self._read(system.magnet))),
            "CURRent:SUPPly": ask(lambda: text(self._read(system.supply))),
            "FIELD:MAGnet": ask(lambda: text(self._read(system.magnet) * self._coil * self._field)),
            "FIELD:SUPPly": ask(lambda: text(self._read(system.supply) * self._coil * self._field)),
            "VOLTage:MAGnet": ask(lambda: text(self._voltage(leads=False))),
            "VOLTage:SUPPly": ask(lambda: text(self._voltage(leads=True))),
            "INDuctance": ask(lambda: text(self.settings.inductance)),
            "STATE": ask(lambda: str(int(system.state))),
            "RAMP": self._move(State.RAMPING),
            "PAUSE": self._move(State.PAUSED),
            "ZERO": self._move(State.ZEROING),
            "INCRement": self._move(State.MANUAL_UP),
            "DECRement": self._move(State.MANUAL_DOWN),
            "QUench": self._quench,
            "QUench:COUNt": ask(lambda: str(system.quenches)),
            "PERSistent": ask(lambda: str(int(system.persistent))),
            "PSwitch": self._switch,
            "CONFigure:PSwitch": set_flag(system.install_switch),
            "PSwitch:INSTalled": ask(lambda: str(int(system.switch_installed))),
            "CONFigure:PSwitch:CURRent": set_number(
                lambda v: setattr(self, "_switch_current", v), 0.0, 0.125, scale=1e3
            ),
            "PSwitch:CURRent": ask(lambda: text(self._switch_current * 1e3)),
            "CONFigure:PSwitch:HeatTIME": set_number(lambda v: setattr(system, "heat_time", v), 5.0, 120.0),
            "PSwitch:HeatTIME": ask(lambda: f"{system.heat_time:.0f}"),
            "CONFigure:PSwitch:CoolTIME": set_number(lambda v: setattr(system, "cool_time", v), 5.0, 3600.0),
            "PSwitch:CoolTIME": ask(lambda: f"{system.cool_time:.0f}"),
            "CONFigure:PSwitch:PowerSupplyRampRate": set_number(lambda v: setattr(system, "supply_rate", v), 0.1, 10.0),
            "PSwitch:PowerSupplyRampRate": ask(lambda: text(system.supply_rate)),
        }

    @property
    def _field(self) -> float:
        """Field units per tesla."""
        return 1.0 if self._tesla else KILOGAUSS_PER_TESLA

    @property
    def _time(self) -> float:
        """Seconds in the time unit of ramp rates."""
        return 60.0 if self._per_minute else 1.0

    def _read(self, current: float) -> float:
        if self._spoiled:
            self._spoiled = False
            return 999.9 / (self._coil * KILOGAUSS_PER_TESLA)
        return current + self._world.rng.normal(0.0, self.settings.current_noise)

    def _voltage(self, leads: bool) -> float:
        system = self.system
        inductive = self.settings.inductance * system.slope()
        return inductive + (system.supply * self.settings.lead_resistance if leads else 0.0)

    def _configure_coil(self, command: Command) -> str | None:
        command_only(command)
        self._coil = number(command, 0, 1e-3, 1e3) / self._field
        return None

    def _configure_target(self, per_ampere: Callable[[], float]) -> Handler:
        def handler(command: Command) -> str | None:
            command_only(command)
            limit = self.system.current_limit * (1 + 1e-9)
            current = number(command) / per_ampere()
            if abs(current) > limit:
                raise CommandError(*OUT_OF_RANGE)
            self.system.set_target(current)
            return None

        return handler

    def _configure_segments(self, command: Command) -> str | None:
        command_only(command)
        count = round(number(command, 0, 1, _MAX_SEGMENTS))
        segments = self.system.segments
        last = segments[-1]
        self.system.set_segments(segments[:count] + [last] * (count - len(segments)))
        return None

    def _configure_rate(self, per_ampere: Callable[[], float]) -> Handler:
        def handler(command: Command) -> str | None:
            command_only(command)
            segments = list(self.system.segments)
            place = number(command, 0, 1, len(segments))
            rate = number(command, 1) / per_ampere() / self._time
            bound = abs(number(command, 2)) / per_ampere()
            slowest, fastest = _RATES
            if place != int(place) or not slowest * (1 - 1e-9) <= rate <= fastest * (1 + 1e-9):
                raise CommandError(*OUT_OF_RANGE)
            segments[int(place) - 1] = Segment(rate, bound)
            self.system.set_segments(segments)
            return None

        return handler

    def _read_rate(self, per_ampere: Callable[[], float]) -> Handler:
        def handler(command: Command) -> str | None:
            place = command.suffixes[0]
            if not command.query or place is None:
                raise CommandError(*UNDEFINED_HEADER)
            if not 1 <= place <= len(self.system.segments):
                raise CommandError(*OUT_OF_RANGE)
            segment = self.system.segments[place - 1]
            scale = per_ampere()
            return f"{text(segment.rate * scale * self._time)},{text(segment.bound * scale)}"

        return handler

    def _move(self, state: State) -> Handler:
        def handler(command: Command) -> str | None:
            command_only(command)
            if self.system.quenched:
                raise CommandError(*QUENCH_CONDITION)
            if self.system.switching:
                raise CommandError(*HEATING_SWITCH)
            self.system.start(state)
            return None

        return handler

    def _quench(self, command: Command) -> str | None:
        if command.query:
            return str(int(self.system.quenched))
        if zero_or_one(command):
            self.system.quench()
        else:
            self.system.clear_quench()
        return None

    def _switch(self, command: Command) -> str | None:
        if command.query:
            return str(int(self.system.heater))
        on = zero_or_one(command)
        if not self.system.switch_installed:
            raise CommandError(*NO_SWITCH)
        if self.system.quenched:
            raise CommandError(*QUENCH_CONDITION)
        self.system.set_heater(on)
        return None

    # -- faults

    def quench(self) -> None:
        """Quench the magnet."""
        self.system.quench()

    def set_stuck_ramping(self, stuck: bool) -> None:
        """Let the state stay at RAMPING although the target is reached, or let it move on again."""
        self.system.stuck_ramping = stuck
        self.system.refresh()

    def set_hold_delay(self, seconds: float) -> None:
        """Report HOLDING only so long after arriving."""
        self.system.hold_delay = seconds

    def spoil_next_reading(self) -> None:
        """Answer the next current or field reading with 999.9 kG, as after power-up."""
        self._spoiled = True
