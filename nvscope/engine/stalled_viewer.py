"""Trouble on purpose: a viewer that connects and never reads. The run must not notice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nvscope.clock import Clock
from nvscope.config.faults import Occasion, fault_specs
from nvscope.stream.viewing import Subscriber

_FRAME_BYTES = 2 * 512 * 512


class StalledViewers:
    """The viewers that a rig's ``[[faults]]`` let stop reading.

    Parameters
    ----------
    faults : sequence of mappings
        ``[[faults]]`` of the rig; those of others are ignored.
    seed : int
        Of the lab.
    endpoint : str
        Where the run publishes.
    clock : Clock
        Rig time.
    journal : callable
        Takes kind and data of a journal entry.
    """

    def __init__(
        self,
        faults: Sequence[Mapping[str, Any]],
        seed: int,
        endpoint: str,
        clock: Clock,
        journal: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._journal = journal
        self._viewers: list[tuple[float, Subscriber]] = []
        self._occasions = [
            Occasion(spec, clock.now, f"{seed}:{place}")
            for place, spec in enumerate(fault_specs(faults, "faults"))
            if spec.instrument == "viewer"
        ]

    def hear(self, step: str) -> None:
        """Let a step of the plan be an occasion."""
        self._strike([occasion for occasion in self._occasions if not occasion.spec.timed], step)

    async def wait(self) -> None:
        """Let the timed ones strike; ends after the last."""
        timed = sorted((o for o in self._occasions if o.spec.timed), key=lambda o: o.spec.at or 0.0)
        for occasion in timed:
            await self._clock.sleep(max(0.0, (occasion.spec.at or 0.0) - self._clock.now()), passive=True)
            while self._clock.now() < (occasion.spec.at or 0.0):
                await asyncio.sleep(0.01)
            self._strike([occasion], "")

    def _strike(self, occasions: Sequence[Occasion], step: str) -> None:
        now = time.monotonic()
        for end, viewer in self._viewers:
            if now > end:
                viewer.close()
        self._viewers = [(end, viewer) for end, viewer in self._viewers if now <= end]
        for occasion in occasions:
            if occasion.strikes(step):
                duration = occasion.spec.duration
                end = float("inf") if duration is None else now + duration
                viewer = Subscriber.connect(self._endpoint, "the run", frame_bytes=_FRAME_BYTES)
                self._viewers.append((end, viewer))
                self._journal("fault-injected", {"instrument": "viewer", "kind": occasion.spec.kind})

    def close(self) -> None:
        """Let go of every viewer."""
        for _, viewer in self._viewers:
            viewer.close()
        self._viewers.clear()
