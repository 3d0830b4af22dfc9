"""The safe state: microwaves off, laser gated, excitation zero, magnet paused, temperature left regulating.

All instruments at once, each within its own time-out: one that hangs must not keep the others from being made safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from nvscope.engine.connect import Connected


async def make_safe(instruments: Mapping[str, Connected]) -> dict[str, str]:
    """Put every instrument in its safe state; returns ``"ok"`` or what went wrong, by name. Never raises."""

    async def one(item: Connected) -> str:
        try:
            await item.worker.call(item.role.make_safe)
        except Exception as error:  # the report is the point; every other instrument must still be reached
            return f"{type(error).__name__}: {error}"
        return "ok"

    names = list(instruments)
    results = await asyncio.gather(*(one(instruments[name]) for name in names))
    return dict(zip(names, results, strict=True))
