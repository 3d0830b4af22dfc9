"""The lab's time: a queue of things that will happen, and one function that makes time pass."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable

_YIELD_EVERY = 256


class Event:
    """Something scheduled; `cancel` takes it back."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Callable[[], None]) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Take it back; harmless afterwards."""
        self.action = None


class Timeline:
    """Rig time (s) and the events due in it. Everything runs on the lab's one event loop: no locks."""

    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._barriers: list[Callable[[], Awaitable[None] | None]] = []

    def at(self, when: float, action: Callable[[], None]) -> Event:
        """Schedule `action` at rig time `when` (not before now)."""
        event = Event(max(when, self.now), action)
        heapq.heappush(self._queue, (event.when, next(self._order), event))
        return event

    def after(self, delay: float, action: Callable[[], None]) -> Event:
        """Schedule `action` in `delay` seconds."""
        return self.at(self.now + delay, action)

    def every(self, period: float, action: Callable[[], None]) -> Callable[[], None]:
        """Run `action` each `period` seconds from now on; returns what ends it."""
        if period <= 0:
            raise ValueError(f"period must be positive, got {period}")
        current: list[Event] = []
        start, count = self.now, itertools.count(1)

        def tick() -> None:
            current[0] = self.at(start + next(count) * period, tick)
            action()

        current.append(self.at(start + next(count) * period, tick))
        return lambda: current[0].cancel()

    def add_barrier(self, barrier: Callable[[], Awaitable[None] | None]) -> None:
        """Register something asked after every event; if it returns an awaitable, time waits for it.

        The camera uses this so that a driver of time never outruns the frames it caused.
        """
        self._barriers.append(barrier)

    async def advance(self, to: float, *, wait: bool) -> None:
        """Let everything due up to `to` happen, in order, then set the time to `to`.

        Parameters
        ----------
        to : float
            Rig time (s); earlier than now is ignored.
        wait : bool
            Whether barriers may hold time back (a driver advances) or not (time follows the wall).
        """
        for count in itertools.count(1):
            if not self._queue or self._queue[0][0] > to:
                break
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)  # a jump over hours must not keep the sockets waiting
            when, _, event = heapq.heappop(self._queue)
            if event.action is None:
                continue
            self.now = max(self.now, when)
            event.action()
            if wait:
                for barrier in self._barriers:
                    pending = barrier()
                    if pending is not None:
                        await pending
        self.now = max(self.now, to)
