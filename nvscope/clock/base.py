"""What the rest of nvscope may ask of time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """Rig time, in seconds.

    Waiting for the rig (a ramp, a dwell, an exposure) is `sleep`; watching it is ``sleep(..., passive=True)``. On a
    simulated lab an active sleeper is what makes time pass; a passive one only bounds how far a jump may go. Wall-clock
    time-outs guard the wires and never use this clock.
    """

    def now(self) -> float:
        """Return rig time in seconds; only differences mean anything."""
        ...

    async def sleep(self, seconds: float, *, passive: bool = False) -> None:
        """Wait until `seconds` of rig time have passed."""
        ...

    def hold(self) -> AbstractContextManager[None]:
        """Forbid rig time to jump while the context is open: a wire call is in flight, a frame is due."""
        ...


class WallClock:
    """Rig time of a real lab: seconds since the epoch, immune to steps of the computer's clock."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Return seconds since the UNIX epoch as of start-up, advanced monotonically."""
        return self._offset + time.monotonic()

    async def sleep(self, seconds: float, *, passive: bool = False) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(max(0.0, seconds))

    def hold(self) -> AbstractContextManager[None]:
        """Do nothing: a real lab does not wait for us."""
        return contextlib.nullcontext()


async def ticks(clock: Clock, period: float, *, passive: bool = True) -> AsyncGenerator[float, None]:
    """Yield rig time every `period` seconds, for ever; for samplers."""
    while True:
        yield clock.now()
        await clock.sleep(period, passive=passive)
