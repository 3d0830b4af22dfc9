"""Counter input: counting edges, and measuring frequency, period and pulses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nidaqmx.constants import CountDirection, Edge, SampleTimingType, UsageTypeCI

from nvscope_simulators.nidaqmx_card import tables
from nvscope_simulators.nidaqmx_card.acquisition import MAX_BUFFER, Acquisition
from nvscope_simulators.nidaqmx_card.clock import SampleClock
from nvscope_simulators.nidaqmx_card.errors import Code
from nvscope_simulators.nidaqmx_card.model import COUNTER_GATE_PIN, COUNTER_SOURCE_PIN, TIMEBASES
from nvscope_simulators.nidaqmx_card.pulses import TICK

if TYPE_CHECKING:
    from nvscope_simulators.nidaqmx_card.card import Card
    from nvscope_simulators.nidaqmx_card.channels import Channel
    from nvscope_simulators.nidaqmx_card.tasks import Task

MODULUS = 2**32
"""The counters have 32 bits and roll over."""


@dataclass(frozen=True)
class Measured:
    """One measurement: a count, or one pulse as high and low time (s)."""

    count: int = 0
    high: float = 0.0
    low: float = 0.0


def default_terminal(card: Card, counter: str, usage: int) -> str:
    """Return the pin a measurement looks at unless told otherwise."""
    number = int(counter.rpartition("ctr")[2])
    pins = COUNTER_SOURCE_PIN if usage == UsageTypeCI.COUNT_EDGES.value else COUNTER_GATE_PIN
    return f"/{card.model.device}/{pins[number]}"


class CounterInput(Acquisition[Measured]):
    """The counter of one input task (one channel per task, as on the card)."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._clock = SampleClock(task, self._tick, self.over)
        self._unwatch: list[Callable[[], None]] = []
        self._count = 0
        self._edges: list[float] = []
        self._latest: Measured | None = None
        self._began = 0.0
        self._together = 1
        self._steady: float | None = None

    @property
    def _channel(self) -> Channel:
        return self.task.channels[0]

    @property
    def counting(self) -> bool:
        """Whether it counts edges rather than measuring pulses."""
        return self._channel.usage == UsageTypeCI.COUNT_EDGES.value

    @property
    def timed(self) -> bool:
        """Whether a finite or continuous acquisition runs."""
        return not self.task.on_demand

    def resources(self) -> list[str]:
        """The counter."""
        return [channel.physical[0] for channel in self.task.channels]

    def _terminal(self) -> str:
        return self.task.card.model.source(str(self._channel.properties[tables.MEASUREMENTS[self._channel.usage][0]]))

    def verify(self) -> None:
        """Check terminal and timing."""
        if len(self.task.channels) != 1:
            raise self.task.error(Code.MULTIPLE_COUNTER_INPUT_TASK)
        self._terminal()
        if self.task.timing_type == SampleTimingType.SAMPLE_CLOCK.value:
            if not self.task.properties("timing")["SAMP_CLK_SRC"]:
                raise self.task.error(Code.INVALID_TIMING_SRC_DUE_TO_SAMP_TIMING_TYPE)
            self._clock.verify()
        if self.counting and self.task.timing_type == SampleTimingType.IMPLICIT.value:
            raise self.task.error(Code.INVALID_TIMING_TYPE)

    def begin(self) -> None:
        """Start counting or measuring."""
        self.clear()
        properties = self._channel.properties
        wiring, terminal = self.task.card.wiring, self._terminal()
        self._edges.clear()
        self._latest = None
        self._began = self.task.card.timeline.now
        self._steady = TIMEBASES.get(terminal.rpartition("/")[2])
        rising = properties[tables.MEASUREMENTS[self._channel.usage][1]] == Edge.RISING.value
        if self.counting:
            self._count = int(properties["CI_COUNT_EDGES_INITIAL_CNT"])
            self._unwatch.append(wiring.watch(terminal, rising, self._counted))
        else:
            self._unwatch.append(wiring.watch(terminal, rising, lambda edges: self._edge(True, rising, edges)))
            self._unwatch.append(wiring.watch(terminal, not rising, lambda edges: self._edge(False, rising, edges)))
        if self.task.timing_type == SampleTimingType.SAMPLE_CLOCK.value:
            self._clock.start(None if self.task.continuous else self.task.samples)

    def stop(self) -> None:
        """Stop."""
        self._clock.stop()
        for unwatch in self._unwatch:
            unwatch()
        self._unwatch.clear()
        self.wake()

    def _counted(self, edges: int) -> None:
        down = self._channel.properties["CI_COUNT_EDGES_DIR"] == CountDirection.COUNT_DOWN.value
        self._count = (self._count - edges if down else self._count + edges) % MODULUS
        self._channel.count = self._count

    def _edge(self, starting: bool, rising: bool, edges: int) -> None:
        now = self.task.card.timeline.now
        if starting and len(self._edges) == 2:
            begin, middle = self._edges
            # counters count ticks: what is left over of a sum of floats is not measured
            period = round((now - begin) / self._together / TICK)
            first = min(round((middle - begin) / TICK), period)
            high, low = (first, period - first) if rising else (period - first, first)
            self._latest = Measured(high=high * TICK, low=low * TICK)
            if self.task.timing_type == SampleTimingType.IMPLICIT.value:
                self._implicit(self._latest)
            self.wake()
        if starting:
            # a fast train comes in groups: the first pulse of a group is drawn out in full, the rest follow at once
            self._edges, self._together = [now], edges
        elif len(self._edges) == 1:
            self._edges.append(now)

    def _implicit(self, measured: Measured) -> None:
        if self.task.continuous or self.total < self.task.samples:
            self.push([measured])
            if not self.task.continuous and self.total >= self.task.samples:
                self.over()

    def _tick(self, count: int) -> None:
        measured = self._now()
        if measured is not None:
            self.push([measured] * count)

    def _now(self) -> Measured | None:
        """Return the count, or the pulse measured last; an internal timebase needs no edges to be measured."""
        if self._steady is not None and self.counting:
            ticks = int((self.task.card.timeline.now - self._began) * self._steady)
            down = self._channel.properties["CI_COUNT_EDGES_DIR"] == CountDirection.COUNT_DOWN.value
            return Measured(count=(self._count + (-ticks if down else ticks)) % MODULUS)
        if self.counting:
            return Measured(count=self._count)
        if self._steady is not None:
            return Measured(high=0.5 / self._steady, low=0.5 / self._steady)
        return self._latest

    async def take(self, count: int, timeout: float) -> list[Measured]:
        """Return buffered samples; pulses of an internal timebase are all alike."""
        if self._steady is not None and self.task.timing_type == SampleTimingType.IMPLICIT.value:
            return [self._now() or Measured()] * max(0, min(count, MAX_BUFFER))
        return await super().take(count, timeout)

    async def measure(self, timeout: float) -> Measured:
        """Return the count now, or the next complete pulse, waiting for it."""
        self._latest = None
        while (measured := self._now()) is None:
            await self.arrival(timeout)
        return measured
