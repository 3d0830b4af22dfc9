"""What a Keithley 2400 does to the sample: source with compliance, measure, and step through a trigger model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from nvscope_simulators.instruments.ieee488 import Register
from nvscope_simulators.timeline import Event
from nvscope_simulators.world.interface import World

NOT_A_NUMBER = 9.91e37
OVERFLOW = 9.9e37
MAX_TRIGGERS = 2500
IN_COMPLIANCE, READING_AVAILABLE, BUFFER_AVAILABLE, BUFFER_HALF, BUFFER_FULL = 1 << 14, 1 << 6, 1 << 8, 1 << 9, 1 << 10
_COMPLIANCE_STATUS, _FILTER_STATUS, _OVERFLOW_STATUS = 1 << 3, 1 << 1, 1 << 0
_VOLT_RANGES = (0.21, 2.1, 21.0, 210.0)
_CURRENT_RANGES = (1.05e-6, 1.05e-5, 1.05e-4, 1.05e-3, 1.05e-2, 0.105, 1.05)
_LINE_FREQUENCY = 50.0
_OVERHEAD = 2e-3


@dataclass(frozen=True)
class Measurement:
    """One measurement; `status` is the word of the ``STAT`` element."""

    voltage: float
    current: float
    time: float
    status: int


def range_for(value: float, ranges: tuple[float, ...]) -> float:
    """Return the smallest range that takes `value`, or the largest."""
    return next((span for span in ranges if abs(value) <= span), ranges[-1])


@dataclass
class SourceMeter:
    """The output, its limits, and what is measured there.

    Attributes
    ----------
    level, limit, nplc, span : dict
        By function (``"VOLT"``, ``"CURR"``): source level, compliance (as PROTection of that function), integration
        time, and measurement range (None: automatic).
    """

    world: World
    voltage_noise: float
    current_noise: float
    measurement: Register
    mode: str = "VOLT"
    output: bool = False
    remote_sense: bool = False
    level: dict[str, float] = field(default_factory=lambda: {"VOLT": 0.0, "CURR": 0.0})
    limit: dict[str, float] = field(default_factory=lambda: {"VOLT": 21.0, "CURR": 1.05e-4})
    nplc: dict[str, float] = field(default_factory=lambda: {"VOLT": 1.0, "CURR": 1.0, "RES": 1.0})
    span: dict[str, float | None] = field(default_factory=lambda: {"VOLT": None, "CURR": None})
    average: int = 1
    tripped: bool = False
    contact_open: bool = False

    def drive(self) -> float:
        """Put the present level on the contacts; returns the current (A) that flows."""
        level = self.level[self.mode] if self.output else 0.0
        if self.mode == "CURR":
            needed = abs(self._two_probe(level))
            self.tripped = level != 0.0 and not needed <= self.limit["VOLT"]
            current = level
            if self.tripped:
                current = level * self.limit["VOLT"] / needed if math.isfinite(needed) else 0.0
        else:
            ohms = abs(self._two_probe(1e-6)) / 1e-6
            current = level / max(ohms, 1e-9) if math.isfinite(ohms) else 0.0
            self.tripped = abs(current) > self.limit["CURR"]
            if self.tripped:
                current = math.copysign(self.limit["CURR"], current)
        self.world.ports.excitation.current = current
        self.measurement.hold(IN_COMPLIANCE, self.tripped)
        return current

    def _two_probe(self, current: float) -> float:
        return math.inf if self.contact_open else self.world.two_probe_voltage(current)

    def terminal_voltage(self, current: float) -> float:
        """Return the voltage (V) at the sense terminals."""
        if self.remote_sense:
            return self.world.four_probe_voltage(current)
        voltage = self._two_probe(current)
        if math.isfinite(voltage):
            return voltage
        return self.level["VOLT"] if self.mode == "VOLT" else math.copysign(self.limit["VOLT"], self.level["CURR"])

    def measure(self, started: float) -> Measurement:
        """Take one measurement now; `started` is the rig time its time stamp counts from."""
        current = self.drive()
        rng = self.world.rng
        quiet = math.sqrt(self.average)
        voltage = self.terminal_voltage(current) + rng.normal(
            0.0, self.voltage_noise / math.sqrt(self.nplc["VOLT"]) / quiet
        )
        current += rng.normal(0.0, self.current_noise / math.sqrt(self.nplc["CURR"]) / quiet)
        status = (_COMPLIANCE_STATUS if self.tripped else 0) | (_FILTER_STATUS if self.average > 1 else 0)
        voltage, over_v = _ranged(voltage, self.span["VOLT"], _VOLT_RANGES)
        current, over_i = _ranged(current, self.span["CURR"], _CURRENT_RANGES)
        status |= _OVERFLOW_STATUS if over_v or over_i else 0
        self.measurement.latch(READING_AVAILABLE)
        return Measurement(voltage, current, self.world.timeline.now - started, status)

    def period(self, delay: float) -> float:
        """Seconds one source-delay-measure cycle takes."""
        return delay + self.average * (max(self.nplc.values()) / _LINE_FREQUENCY + _OVERHEAD)


def _ranged(value: float, span: float | None, ranges: tuple[float, ...]) -> tuple[float, bool]:
    if not abs(value) <= (ranges[-1] if span is None else span):
        return OVERFLOW, True
    return value, False


class Sweeper:
    """The trigger model: takes a number of measurements one after another, stepping a list of levels if there is one.

    `put` gets each measurement, `on_idle` hears of the end.
    """

    def __init__(self, meter: SourceMeter, put: Callable[[Measurement], None], on_idle: Callable[[], None]) -> None:
        self._meter = meter
        self._put = put
        self._on_idle = on_idle
        self._event: Event | None = None
        self._left = 0
        self._step = 0
        self.levels: list[float] = []
        self.listed = False
        self.delay = 0.0
        self.started = 0.0

    @property
    def running(self) -> bool:
        """Whether measurements are being taken."""
        return self._event is not None

    def start(self, count: int) -> None:
        """Begin `count` measurements."""
        self._left, self._step = count, 0
        self._aim()
        self._next()

    def _aim(self) -> None:
        if self.listed and self.levels:
            self._meter.level[self._meter.mode] = self.levels[self._step % len(self.levels)]
        self._meter.drive()

    def _next(self) -> None:
        self._event = self._meter.world.timeline.after(self._meter.period(self.delay), self._measure)

    def _measure(self) -> None:
        self._event = None
        self._put(self._meter.measure(self.started))
        self._left -= 1
        self._step += 1
        if self._left > 0:
            self._aim()
            self._next()
        else:
            self._on_idle()

    def stop(self) -> None:
        """End early; harmless when idle."""
        if self._event is not None:
            self._event.cancel()
            self._event = None
            self._on_idle()
