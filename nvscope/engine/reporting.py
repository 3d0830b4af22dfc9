"""What a run tells viewers, terminal and guardian a few times a second."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping

from nvscope.engine.link import RunLink
from nvscope.engine.progress import Progress
from nvscope.stream.messages import RunStatus

INTERVAL = 0.2
"""Wall seconds between two statuses."""

_RATE_WINDOW = 1.0


class Reporter:
    """Makes a `RunStatus` of what is known, sends it and keeps the newest.

    Parameters
    ----------
    link : RunLink
        Where it goes.
    run : str
        The run's name.
    told : callable
        Called with every status, from the engine's thread.
    """

    def __init__(self, link: RunLink, run: str, told: Callable[[RunStatus], None]) -> None:
        self._link = link
        self._run = run
        self._told = told
        self._since, self._frames, self._rate = time.monotonic(), 0, 0.0
        self.newest: RunStatus | None = None

    async def report(self, describe: Callable[[], tuple[str, Progress, float, Mapping[str, float]]]) -> None:
        """Report for ever; `describe` returns state, progress, rig time (s) and housekeeping."""
        while True:
            self.emit(*describe())
            await asyncio.sleep(INTERVAL)

    def emit(self, state: str, progress: Progress, rig_time: float, housekeeping: Mapping[str, float]) -> None:
        """Report once."""
        values = {**housekeeping, "frames_per_second": self._frame_rate(), "frames": float(self._link.frames)}
        newest = self._link.newest_summary
        if newest is not None:
            values["pixels_per_second"] = newest.extra.get("pixels_per_second", math.nan)
            values["fitted_fraction"] = newest.fitted_fraction
            values["b_err"] = newest.b_err
        self.newest = RunStatus(
            run=self._run,
            state=state,  # type: ignore[arg-type]
            step=progress.step,
            progress=progress.fraction(rig_time),
            rig_time=rig_time,
            values={name: value for name, value in values.items() if math.isfinite(value)},
            eta=progress.eta(rig_time),
        )
        self._link.status(self.newest)
        self._told(self.newest)

    def _frame_rate(self) -> float:
        now = time.monotonic()
        if now - self._since >= _RATE_WINDOW:
            self._rate = (self._link.frames - self._frames) / (now - self._since)
            self._since, self._frames = now, self._link.frames
        return self._rate
