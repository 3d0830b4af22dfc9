"""What the bluesky devices of a rig have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from nvscope.clock import Clock
from nvscope.config import Limits
from nvscope.devices.status import TaskStatus
from nvscope.devices.worker import Worker
from nvscope.errors import LimitError, NvscopeError

RoleT = TypeVar("RoleT")
USUAL_SHAPE = (64, 64)
"""Image shape (y, x) for estimates where the camera's is not known."""
Observer = Callable[[Mapping[str, float]], None]
"""Told every housekeeping value (SI, by history column) as soon as it is read."""


@dataclass(frozen=True)
class Assumed:
    """What a plan is assumed to have brought about when it is walked without hardware."""

    time: float = 0.0
    temperature: float = 295.0
    field: float = 0.0
    points: int = 0
    frames: int = 0
    bytes: int = 0
    spare: float = 0.0
    """Rig seconds of it that are only needed if averaging does not reach its target before."""
    regulated: bool = False
    """Whether the temperature is under control already."""
    field_vector: tuple[float, float, float] | None = None
    """Set where a vector magnet does not stand along its ordinary direction."""

    def after(self, seconds: float, **changes: Any) -> Assumed:
        """Return the state `seconds` later with `changes`."""
        return replace(self, time=self.time + seconds, **changes)


def check_exposure(seconds: float, limits: Limits) -> None:
    """Raise `LimitError` for an exposure that the rig's camera does not have."""
    shortest, longest = limits.exposure_min, limits.exposure_max
    if not shortest <= seconds <= longest:
        raise LimitError(
            f"exposure {seconds:g} s is outside this rig's {shortest:g} to {longest:g} s "
            "(exposure_min and exposure_max under [limits])"
        )


class Device(Generic[RoleT]):
    """A bluesky device over a role; subclasses add what moves, waits and is read.

    Parameters
    ----------
    name : str
        Role name in the rig file; prefix of its data keys.
    role : object or None
        The driver; None in a device that only plans.
    worker : Worker or None
        Runs the driver's calls.
    clock : Clock
        Rig time.
    observe : callable
        Told every value read.
    """

    parent = None

    def __init__(
        self,
        name: str,
        role: RoleT | None,
        worker: Worker | None,
        clock: Clock,
        observe: Observer = lambda values: None,
    ) -> None:
        self.name = name
        self._role = role
        self._worker = worker
        self.clock = clock
        self._observe = observe
        self._stopping = asyncio.Event()
        self._moving = False
        self._under_way: TaskStatus | None = None

    @property
    def role(self) -> RoleT:
        """The driver."""
        if self._role is None:
            raise NvscopeError(f"{self.name}: this rig only plans; it has no hardware behind it")
        return self._role

    @property
    def worker(self) -> Worker:
        """The thread that talks to the instrument."""
        if self._worker is None:
            raise NvscopeError(f"{self.name}: this rig only plans; it has no hardware behind it")
        return self._worker

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> TaskStatus:
        self._stopping.clear()

        async def guarded() -> None:
            self._moving = True
            try:
                await work
            finally:
                self._moving = False

        self._under_way = TaskStatus(guarded(), f"{self.name}: {name}")
        return self._under_way

    async def end(self, patience: float = 3.0) -> None:
        """Stop what is under way where it is, and cancel what has not ended in `patience` wall seconds.

        Afterwards nothing of it speaks to the instrument any more: a safe state that is asserted then stays.
        """
        if self._under_way is None:
            return
        self.stop()
        if not await self._under_way.ended(patience):
            self._under_way.cancel()
            await self._under_way.ended(patience)

    async def _pause_for(self, seconds: float) -> bool:
        """Sleep rig time; returns True if the device has been told to stop meanwhile."""
        sleeper = asyncio.ensure_future(self.clock.sleep(seconds))
        stopper = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({sleeper, stopper}, return_when=asyncio.FIRST_COMPLETED)
            if sleeper.done():
                sleeper.result()  # a lost clock is an error, not a stop
            return self._stopping.is_set()
        finally:
            for future in (sleeper, stopper):
                if not future.done():
                    future.cancel()

    def stop(self, *, success: bool = True) -> None:
        """End a movement where it is; a device at rest is left alone."""
        if self._moving:
            self._stopping.set()

    async def describe(self) -> dict[str, Any]:
        """Describe the data keys of `read`."""
        return {
            key: {"source": f"nvscope:{self.name}", "dtype": "number", "shape": [], "units": units}
            for key, units in self.units().items()
        }

    def units(self) -> Mapping[str, str]:
        """Return the unit of every key that `read` returns."""
        raise NotImplementedError

    def _reading(self, values: Mapping[str, float]) -> dict[str, Any]:
        now = self.clock.now()
        return {key: {"value": value, "timestamp": now} for key, value in values.items()}
