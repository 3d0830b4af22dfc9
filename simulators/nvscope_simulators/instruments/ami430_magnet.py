"""What an AMI 430 programmer commands: a supply, a superconducting magnet, and the persistent switch across it.

States and their numbers: AMI Model 430 manual, table "Return values and meanings for STATE? query".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from nvscope_simulators.timeline import Event, Timeline

TICK = 0.1
"""Rig seconds between updates of the magnet's current while it moves."""
_AT_ZERO = 1e-3  # fraction of the rated current below which the supply counts as at zero
_LIT = 0.1  # A in the magnet above which the persistent-mode lamp is on
_MISMATCH = 1.0  # A between supply and magnet that quenches it when the switch opens


class State(IntEnum):
    """Ramping states as ``STATE?`` reports them."""

    RAMPING = 1
    HOLDING = 2
    PAUSED = 3
    MANUAL_UP = 4
    MANUAL_DOWN = 5
    ZEROING = 6
    QUENCH = 7
    AT_ZERO = 8
    HEATING = 9
    COOLING = 10


MOVING = (State.RAMPING, State.MANUAL_UP, State.MANUAL_DOWN, State.ZEROING)


@dataclass(frozen=True)
class Segment:
    """A ramp rate (A/s) for supply currents up to `bound` (A); the last segment has no end."""

    rate: float
    bound: float


def ramp(start: float, goal: float, dt: float, segments: Sequence[Segment]) -> tuple[float, float]:
    """Follow a segmented ramp.

    Parameters
    ----------
    start, goal : float
        Currents (A).
    dt : float
        Time available (s).
    segments : sequence of Segment
        By rising bound; rates apply to the magnitude of the current.

    Returns
    -------
    (float, float)
        The current (A) reached and the time (s) left over after arriving.
    """
    current, left = start, dt
    while left > 0.0 and current != goal:
        direction = math.copysign(1.0, goal - current)
        outward = current * direction >= 0.0
        lower = 0.0
        for place, segment in enumerate(segments):
            bound = math.inf if place == len(segments) - 1 else segment.bound
            if abs(current) < bound or (not outward and abs(current) == bound):
                break
            lower = max(lower, bound)
        edge = direction * bound if outward else -direction * lower
        stop = min(edge, goal) if direction > 0 else max(edge, goal)
        needed = abs(stop - current) / segment.rate
        if needed >= left:
            return current + direction * segment.rate * left, 0.0
        current, left = stop, left - needed
    return current, left


@dataclass
class MagnetSystem:
    """The state of one axis; times in rig seconds, currents in A.

    `publish` is called with the magnet's current whenever it may have changed.
    """

    timeline: Timeline
    rated_current: float
    inductance: float
    switch_installed: bool
    heat_time: float
    cool_time: float
    supply_rate: float  # A/s while the switch is cold and only the supply moves
    hold_delay: float  # s between arriving and reporting HOLDING
    decay_time: float  # s of the magnet's collapse in a quench
    publish: Callable[[float], None]
    state: State = State.PAUSED
    supply: float = 0.0
    magnet: float = 0.0
    target: float = 0.0
    current_limit: float = 0.0
    voltage_limit: float = 5.0
    segments: list[Segment] = field(default_factory=lambda: [Segment(0.1, 1e9)])
    heater: bool = False
    quenched: bool = False
    quenches: int = 0
    stuck_ramping: bool = False
    """Fault: the state never leaves RAMPING."""

    def __post_init__(self) -> None:
        self.current_limit = self.current_limit or self.rated_current
        self._since = self.timeline.now
        self._arrived: float | None = None
        self._switch_ready = 0.0
        self._resume = State.PAUSED
        self._next: Event | None = None
        self._open = not self.switch_installed  # whether the magnet follows the supply

    # --- commands; the programmer has checked that they are allowed

    def start(self, state: State) -> None:
        """Enter a moving state, or PAUSED."""
        self.refresh()
        self._arrived = None
        self.state = state
        self.refresh()

    def pause_now(self) -> None:
        """Stop where it is."""
        if not (self.quenched or self.switching):
            self.start(State.PAUSED)

    def set_segments(self, segments: Sequence[Segment]) -> None:
        """Replace the ramp segments; a ramp under way goes on at the new rates."""
        self.refresh()
        self.segments = list(segments)
        self.refresh()

    def set_target(self, target: float) -> None:
        """Set the target; a programmer that ramps or holds goes there at once, a paused one waits for RAMP."""
        self.refresh()
        self.target = target
        if self.state in (State.RAMPING, State.HOLDING):
            self.start(State.RAMPING)

    def set_heater(self, on: bool) -> None:
        """Switch the heater of the persistent switch; takes effect after its heating or cooling time."""
        self.refresh()
        if on == self.heater or self.quenched:
            return
        if self.state not in (State.HEATING, State.COOLING):
            self._resume = State.PAUSED if self.state in MOVING else self.state
        self.heater = on
        self.state = State.HEATING if on else State.COOLING
        self._switch_ready = self.timeline.now + (self.heat_time if on else self.cool_time)
        self.refresh()

    def install_switch(self, installed: bool) -> None:
        """Tell the programmer whether there is a switch."""
        self.refresh()
        self.switch_installed = installed
        self.heater = False
        self._open = not installed
        self.refresh()

    def quench(self) -> None:
        """Lose superconductivity: the output is forced to zero and stays there until the condition is cleared."""
        self.refresh()
        if not self.quenched:
            self.quenched = True
            self.quenches += 1
            self.state = State.QUENCH
            self.supply = 0.0
            self.heater = False
            self._arrived = None
            self.refresh()

    def clear_quench(self) -> None:
        """Forget a quench; nothing moves until it is told to."""
        self.refresh()
        if self.quenched:
            self.quenched = False
            self.state = State.PAUSED
            self.refresh()

    @property
    def persistent(self) -> bool:
        """Whether the persistent-mode lamp is on."""
        return self.switch_installed and not self._open and not self.heater and abs(self.magnet) > _LIT

    @property
    def switching(self) -> bool:
        """Whether the switch is being heated or cooled."""
        return self.state in (State.HEATING, State.COOLING)

    # --- time

    def _goal(self) -> float:
        if self.state in (State.MANUAL_UP, State.MANUAL_DOWN):
            return self.current_limit if self.state is State.MANUAL_UP else -self.current_limit
        if self.state in (State.ZEROING, State.AT_ZERO):
            return 0.0
        return self.target if self.state is State.RAMPING else self.supply

    def slope(self) -> float:
        """Return how fast the magnet's current is moving now (A/s)."""
        goal = self._goal()
        if self.quenched or not self._open or goal == self.supply:
            return 0.0
        moved, _ = ramp(self.supply, goal, 1e-3, self._profile())
        return (moved - self.supply) / 1e-3

    def _profile(self) -> list[Segment]:
        if not self._open:
            return [Segment(self.supply_rate, math.inf)]
        fastest = self.voltage_limit / self.inductance
        return [Segment(min(part.rate, fastest), part.bound) for part in self.segments]

    def refresh(self) -> None:
        """Bring everything up to now, and come back while something moves."""
        now = self.timeline.now
        elapsed, self._since = now - self._since, now
        if self.quenched:
            self.magnet *= math.exp(-elapsed / self.decay_time)
            if abs(self.magnet) < 1e-6:
                self.magnet = 0.0
        else:
            goal = self._goal()
            self.supply, left = ramp(self.supply, goal, elapsed, self._profile())
            if self._open:
                self.magnet = self.supply
            if self.supply == goal and self._arrived is None:
                self._arrived = now - left
            self._advance_state(now)
        self.publish(self.magnet)
        self._schedule()

    def _advance_state(self, now: float) -> None:
        if self.switching and now >= self._switch_ready:
            self._complete_switching()
        elif self.state is State.ZEROING and abs(self.supply) < _AT_ZERO * self.rated_current:
            self.state = State.AT_ZERO
        elif (
            self.state in (State.RAMPING, State.MANUAL_UP, State.MANUAL_DOWN)
            and self._arrived is not None
            and now >= self._arrived + self.hold_delay
            and not self.stuck_ramping
        ):
            self.state = State.HOLDING

    def _complete_switching(self) -> None:
        self._open = self.heater
        self.state = self._resume
        if self._open:
            if abs(self.supply - self.magnet) > _MISMATCH:
                self.quench()
            else:
                self.magnet = self.supply

    def _schedule(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        when = None
        if self.switching:
            when = self._switch_ready
        elif (self.quenched and self.magnet != 0.0) or (not self.quenched and self.supply != self._goal()):
            when = self._since + TICK
        elif self.state in MOVING and self._arrived is not None and not self.stuck_ramping:
            when = self._arrived + self.hold_delay
        if when is not None:
            self._next = self.timeline.at(when, self.refresh)
