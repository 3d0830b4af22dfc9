"""A counter's pulse train on the lab's timeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nvscope_simulators.timeline import Event, Timeline

TICK = 1e-8
"""Pulses are laid out in ticks of the 100 MHz timebase (s), so that a long train does not drift."""


@dataclass(frozen=True)
class Pulse:
    """One pulse in ticks."""

    high: int
    low: int

    @property
    def ticks(self) -> int:
        """The period in ticks."""
        return self.high + self.low


class PulseTrain:
    """Generates pulses until it has made enough of them or is stopped.

    A pulse is a phase at the idle level followed by a phase at the other one; the initial delay stands in place of the
    first idle phase, and the train is over when the last active phase ends. So with idle level low the first rising
    edge comes one delay after the start, with idle level high one delay and one low time after it.

    Parameters
    ----------
    timeline : Timeline
    drive : callable
        ``drive(level, edges)`` puts a level on the counter's output.
    bandwidth : float
        Pulses per second delivered one by one; of a faster train several are delivered together, because no receiver
        follows them and the lab must not spend its day on them.
    """

    def __init__(self, timeline: Timeline, drive: Callable[[bool, int], None], bandwidth: float) -> None:
        self._timeline = timeline
        self._drive = drive
        self._bandwidth = bandwidth
        self._event: Event | None = None
        self._paused_at: float | None = None
        self._held: Callable[[], None] | None = None
        self._origin = 0.0
        self._elapsed = 0
        self._remaining: int | None = None
        self._following: Callable[[], Pulse] | None = None
        self._done: Callable[[], None] = lambda: None
        self.idle_high = False
        self.made = 0
        self.running = False

    def start(self, following: Callable[[], Pulse], count: int | None, delay: int, on_done: Callable[[], None]) -> None:
        """Begin now.

        Parameters
        ----------
        following : callable
            Returns the next pulse.
        count : int or None
            Pulses to make, at least 1; None for ever.
        delay : int
            Ticks before the first active phase.
        on_done : callable
            Called when the last pulse is complete.
        """
        self._origin, self._elapsed = self._timeline.now, delay
        self._remaining, self._following, self._done = count, following, on_done
        self.made, self.running, self._paused_at = 0, True, None
        pulse = following()
        self._at(lambda: self._activate(pulse))

    def stop(self) -> None:
        """End at once and return to the idle level."""
        if self._event is not None:
            self._event.cancel()
            self._event = None
        self._paused_at = None
        was_running, self.running = self.running, False
        if was_running:
            self._drive(self.idle_high, 1)

    def pause(self) -> None:
        """Hold the present level, as a gated timebase does."""
        if self._event is not None and self._event.action is not None and self._paused_at is None:
            self._paused_at, self._held = self._timeline.now, self._event.action
            self._event.cancel()

    def resume(self) -> None:
        """Go on where it was held."""
        if self._paused_at is not None and self._held is not None:
            self._origin += self._timeline.now - self._paused_at
            self._paused_at = None
            self._at(self._held)

    def _at(self, action: Callable[[], None]) -> None:
        self._event = self._timeline.at(self._origin + self._elapsed * TICK, action)

    def _activate(self, pulse: Pulse) -> None:
        together = max(1, int(1.0 / (pulse.ticks * TICK * self._bandwidth)))
        if self._remaining is not None:
            together = min(together, self._remaining)
            self._remaining -= together
        self._drive(not self.idle_high, together)
        if not self.running:  # what the edge set off may have stopped the train
            return
        self._elapsed += pulse.low if self.idle_high else pulse.high
        self._at(lambda: self._deactivate(together, pulse.ticks * (together - 1)))

    def _deactivate(self, together: int, rest: int) -> None:
        self._drive(self.idle_high, together)
        self.made += together
        if not self.running:
            return
        self._elapsed += rest
        if self._remaining == 0:
            self._at(self._finish)
            return
        assert self._following is not None
        pulse = self._following()
        self._elapsed += pulse.high if self.idle_high else pulse.low
        self._at(lambda: self._activate(pulse))

    def _finish(self) -> None:
        self._event, self.running = None, False
        self._done()
