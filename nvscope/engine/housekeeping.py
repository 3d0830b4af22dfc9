"""What the rig's instruments say while nobody asks: sampled passively, written to history, kept as biography."""

from __future__ import annotations

from collections.abc import Mapping

from nvscope.clock import Clock
from nvscope.devices.rig import RigDevices
from nvscope.engine.link import RunLink
from nvscope.errors import InstrumentError
from nvscope.history import Biography


class Housekeeping:
    """Takes every reading to history, biography and status; samples what nobody reads.

    Parameters
    ----------
    period : float
        Rig seconds between samples; every reading a plan makes meanwhile is recorded as well.
    """

    def __init__(self, link: RunLink, clock: Clock, period: float) -> None:
        self._link = link
        self._clock = clock
        self._period = period
        self.biography = Biography()
        self.latest: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._failing: str | None = None

    def observe(self, values: Mapping[str, float]) -> None:
        """Take readings made now."""
        now = self._clock.now()
        self.biography.observe(now, values)
        self.latest.update(values)
        for name in values:
            self._last[name] = now
        self._link.history(now, values)

    async def sample(self, rig: RigDevices) -> None:
        """Read temperature and field whenever nobody has for a period; a failing reading is journaled once."""
        while True:
            await self._clock.sleep(self._period, passive=True)
            stale = self._clock.now() - self._period / 2
            try:
                if self._last.get("temperature", -1e9) < stale:
                    await rig.cryostat.temperature()
                if self._last.get("field", -1e9) < stale:
                    await rig.magnet.field()
            except InstrumentError as error:
                if str(error) != self._failing:
                    self._failing = str(error)
                    self._link.journal("warning", {"text": f"housekeeping: {error}"})
            else:
                self._failing = None
