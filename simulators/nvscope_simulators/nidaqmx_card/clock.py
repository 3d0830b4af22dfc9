"""The sample clock of a task: onboard at a rate, or any terminal's edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nidaqmx.constants import Edge

from nvscope_simulators.timeline import Event

if TYPE_CHECKING:
    from nvscope_simulators.nidaqmx_card.tasks import Task


class SampleClock:
    """Ticks once per sample.

    Parameters
    ----------
    task : Task
    tick : callable
        Called with how many sample clock edges have come: one, or a few together of a fast clock.
    finished : callable
        Called when the finite number of samples is over.
    """

    def __init__(self, task: Task, tick: Callable[[int], None], finished: Callable[[], None]) -> None:
        self._task = task
        self._tick = tick
        self._finished = finished
        self._event: Event | None = None
        self._unwatch: Callable[[], None] | None = None
        self._made = 0
        self._count: int | None = None
        self._origin = 0.0

    def verify(self) -> None:
        """Refuse a source that is no terminal of the card."""
        source = self._task.properties("timing")["SAMP_CLK_SRC"]
        if source and source.lower() != "onboardclock":
            self._task.card.model.source(source)

    def start(self, count: int | None) -> None:
        """Tick `count` times, or for ever."""
        timing = self._task.properties("timing")
        self._made, self._count = 0, count
        source = timing["SAMP_CLK_SRC"]
        if source and source.lower() != "onboardclock":
            terminal = self._task.card.model.source(source)
            rising = timing["SAMP_CLK_ACTIVE_EDGE"] == Edge.RISING.value
            self._unwatch = self._task.card.wiring.watch(terminal, rising, self._external)
        else:
            self._origin = self._task.card.timeline.now
            self._internal()

    def stop(self) -> None:
        """Stop ticking."""
        if self._event is not None:
            self._event.cancel()
            self._event = None
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def _external(self, edges: int) -> None:
        if self._count is not None:
            edges = min(edges, self._count - self._made)
        self._made += edges
        self._tick(edges)
        if self._count is not None and self._made >= self._count and self._unwatch is not None:
            self.stop()
            self._finished()

    def _internal(self) -> None:
        card = self._task.card
        rate = float(self._task.properties("timing")["SAMP_CLK_RATE"])
        if self._count is not None and self._made >= self._count:
            self._event = None
            self._finished()
            return
        together = max(1, int(rate / card.settings.bandwidth))
        if self._count is not None:
            together = min(together, self._count - self._made)
        # the next ticks are booked before these run, so that what they set off may stop the clock
        self._event = card.timeline.at(self._origin + (self._made + together) / rate, self._internal)
        self._made += together
        self._tick(together)
        clock = self._task.card.onboard_clock(self._task.kind)
        if clock:
            card.wiring.pulse(clock, together)
