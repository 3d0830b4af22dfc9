"""Delta mode of a 6221 current source with its 2182A nanovoltmeter: the cycle of reversals and its reading buffer.

Three-point current reversal: each reading combines three successive conversions, (V1 − 2 V2 + V3)/4 with the sign of
the current, so that constant and linearly drifting offsets cancel. One more reading follows every conversion, so
neighbouring readings share conversions (Keithley 6220/6221 reference manual, section 5, "Delta").
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from nvscope_simulators.instruments.ieee488 import Register
from nvscope_simulators.instruments.scpi import CommandError
from nvscope_simulators.timeline import Event
from nvscope_simulators.world.interface import World

OVERFLOW = 9.9e37
NOT_A_NUMBER = 9.91e37
MAX_POINTS = 65536
ARMED_ALREADY = (413, "Not allowed with mode arm")
SETTINGS_CONFLICT = (-221, "Settings conflict")
INIT_IGNORED = (-213, "Init ignored")
HARDWARE_MISSING = (-241, "Hardware missing")

COMPLIANCE, READING_AVAILABLE, BUFFER_AVAILABLE = 1 << 3, 1 << 5, 1 << 7
BUFFER_HALF, BUFFER_FULL, BUFFER_QUARTER, BUFFER_THREE_QUARTERS = 1 << 8, 1 << 9, 1 << 12, 1 << 13
SWEEP_DONE, SWEEP_ABORTED, SWEEPING, IDLE = 1 << 1, 1 << 2, 1 << 3, 1 << 10

_LINE_FREQUENCY = 50.0
_OVERHEAD = 3e-3
"""Seconds a conversion takes beyond delay and integration."""
_OVERRANGE = 1.2


@dataclass(frozen=True)
class Reading:
    """One delta reading: voltage (V, or an overflow), time since the first (s), whether the source was limited."""

    voltage: float
    time: float
    current: float
    limited: bool


@dataclass
class Nanovoltmeter:
    """The 2182A on the relay port.

    Attributes
    ----------
    noise : float
        Of one conversion at 1 power line cycle (V rms); falls with the square root of the integration time.
    """

    noise: float
    connected: bool = True
    nplc: float = 5.0
    range: float = 0.1
    filtered: bool = False

    def convert(self, world: World, current: float) -> float:
        """Return one conversion (V) at `current`, or an overflow."""
        voltage = world.four_probe_voltage(current) + world.rng.normal(0.0, self.noise / self.nplc**0.5)
        return voltage if abs(voltage) <= _OVERRANGE * self.range else OVERFLOW


class DeltaMode:
    """Arms, runs and stores.

    `source` puts a current on the contacts and tells whether compliance limits it; `on_idle` hears of a run's end.
    """

    def __init__(
        self,
        world: World,
        meter: Nanovoltmeter,
        source: Callable[[float], tuple[float, bool]],
        measurement: Register,
        operation: Register,
        on_idle: Callable[[], None],
    ) -> None:
        self._world = world
        self._meter = meter
        self._source = source
        self._measurement = measurement
        self._operation = operation
        self._on_idle = on_idle
        self.first_bogus = False
        self.running = False
        operation.hold(IDLE, True)
        self.defaults()

    def defaults(self) -> None:
        """Go to the state after ``*RST``."""
        self.high, self.low = 1e-3, -1e-3
        self.delay = 2e-3
        self.count: int | None = None
        self.compliance_abort = self.cold_switching = False
        self.points = MAX_POINTS
        self.average = 1
        self.armed = self.running = False
        self.buffer: list[Reading] = []
        self.latest: Reading | None = None
        self.fresh = False
        self._taken = 0
        self._conversions: deque[tuple[float, bool]] = deque(maxlen=3)
        self._recent: deque[float] = deque(maxlen=1)
        self._event: Event | None = None

    def arm(self) -> None:
        """Get ready; the output goes on at the low current."""
        if not self._meter.connected:
            raise CommandError(*HARDWARE_MISSING)
        if self.armed:
            raise CommandError(*ARMED_ALREADY)
        self.armed = True
        self._operation.hold(IDLE, False)

    def start(self) -> None:
        """Begin a run of `count` readings; the buffer is overwritten."""
        if not self.armed:
            raise CommandError(*SETTINGS_CONFLICT)
        if self.running:
            raise CommandError(*INIT_IGNORED)
        self.running = True
        self.buffer, self.latest, self.fresh, self._taken = [], None, False, 0
        self._conversions.clear()
        self._recent = deque(maxlen=max(1, self.average))
        self._measurement.hold(BUFFER_AVAILABLE | BUFFER_QUARTER | BUFFER_HALF, False)
        self._measurement.hold(BUFFER_THREE_QUARTERS | BUFFER_FULL | COMPLIANCE, False)
        self._operation.hold(SWEEPING, True)
        self._source(self.high)
        self._later()

    def abort(self) -> None:
        """Stop and disarm, as ``SOUR:SWE:ABOR`` does; the buffer stays readable."""
        if self.running:
            self._operation.latch(SWEEP_ABORTED)
        self._stop()
        if self.armed:
            self.armed = False
            self._operation.hold(IDLE, True)
            self._source(0.0)

    def _stop(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None
        was_running, self.running = self.running, False
        self._operation.hold(SWEEPING, False)
        if was_running:
            self._on_idle()

    @property
    def period(self) -> float:
        """Seconds from one conversion, and so from one reading, to the next."""
        return self.delay + self._meter.nplc / _LINE_FREQUENCY + _OVERHEAD

    def _later(self) -> None:
        self._event = self._world.timeline.after(self.period, self._convert)

    def _convert(self) -> None:
        up = self._taken % 2 == 0
        current, limited = self._source(self.high if up else self.low)
        self._conversions.append((self._meter.convert(self._world, current), limited))
        self._taken += 1
        self._measurement.hold(COMPLIANCE, limited)
        if limited and self.compliance_abort:
            self.abort()
            return
        if len(self._conversions) == 3:
            self._store(up)
            if self.count is not None and self._taken - 2 >= self.count:
                self._operation.latch(SWEEP_DONE)
                self._source(0.0)
                self._stop()
                return
        self._source(self.low if up else self.high)
        self._later()

    def _store(self, up: bool) -> None:
        first, middle, last = (voltage for voltage, _ in self._conversions)
        if OVERFLOW in (first, middle, last):
            voltage = OVERFLOW
        else:
            self._recent.append((first - 2 * middle + last) / 4 * (1 if up else -1))
            voltage = sum(self._recent) / len(self._recent)
        if self.first_bogus:
            self.first_bogus, voltage = False, NOT_A_NUMBER
        self.latest = Reading(
            voltage,
            self.period * (self._taken - 3),
            self.high,
            any(limited for _, limited in self._conversions),
        )
        self.fresh = True
        self._measurement.latch(READING_AVAILABLE)
        if len(self.buffer) < self.points:
            self.buffer.append(self.latest)
            filled = len(self.buffer) / self.points
            self._measurement.hold(BUFFER_AVAILABLE, len(self.buffer) >= 2)
            self._measurement.hold(BUFFER_QUARTER, filled >= 0.25)
            self._measurement.hold(BUFFER_HALF, filled >= 0.5)
            self._measurement.hold(BUFFER_THREE_QUARTERS, filled >= 0.75)
            self._measurement.hold(BUFFER_FULL, filled >= 1.0)
