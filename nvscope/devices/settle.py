"""When a quantity counts as reached: inside its band for the whole dwell, not at the first touch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nvscope.clock import Clock
from nvscope.errors import SettleTimeout

_MOST_KEPT = 200
_FROM_THE_WAY, _LAST = 6, 4
"""Readings that an error shows: from the whole wait, and the last ones."""


@dataclass(frozen=True)
class Band:
    """A target with its half-width, dwell (s), the rig time the ramp should end, patience after that (s), and unit."""

    target: float
    half_width: float
    dwell: float
    ramp_end: float
    patience: float
    unit: str


def _course(seen: list[tuple[float, float]], now: float, band: Band) -> str:
    """Write the way it went: some readings from the whole wait, then the last ones."""
    early, late = seen[:-_LAST], seen[-_LAST:]
    stride = max(1, -(-len(early) // _FROM_THE_WAY))
    shown = [*early[::stride], *late]
    inside = sum(abs(value - band.target) <= band.half_width for _, value in seen)
    course = ", ".join(f"{value:.6g} {band.unit} at {time - now:+.0f} s" for time, value in shown)
    return f"{course} (now); {inside} of {len(seen)} readings were in the band"


async def settle(
    clock: Clock,
    read: Callable[[], Awaitable[float]],
    band: Band,
    interval: Callable[[float], float],
    pause: Callable[[float], Awaitable[bool]],
    name: str,
) -> bool:
    """Poll until the reading has stayed in the band for the dwell.

    Parameters
    ----------
    clock : Clock
        Rig time.
    read : coroutine function
        One reading.
    band : Band
        What counts as reached.
    interval : callable
        Rig seconds to the next reading, given the last.
    pause : coroutine function
        Sleeps that long; returns True if the wait is to end early.
    name : str
        The device, for the error.

    Returns
    -------
    bool
        True when settled, False when told to stop.

    Raises
    ------
    SettleTimeout
        When patience runs out; with the readings that led to it.
    """
    inside_since: float | None = None
    seen: list[tuple[float, float]] = []
    while True:
        value = await read()
        now = clock.now()
        seen.append((now, value))
        if len(seen) > _MOST_KEPT:
            del seen[1::2]  # every other one: the whole wait stays in sight, however long
        if abs(value - band.target) <= band.half_width:
            inside_since = now if inside_since is None else inside_since
            if now - inside_since >= band.dwell:
                return True
        else:
            inside_since = None
        if now > band.ramp_end + band.patience:
            raise SettleTimeout(
                f"{name} did not stay within {band.half_width:g} {band.unit} of {band.target:g} {band.unit} for "
                f"{band.dwell:g} s; gave up {band.patience:g} s after the ramp should have ended. "
                f"It went: {_course(seen, now, band)}"
            )
        wait = interval(value)
        if inside_since is not None:
            wait = min(wait, max(0.0, inside_since + band.dwell - now) or wait)
        if await pause(max(wait, 1e-3)):
            return False
