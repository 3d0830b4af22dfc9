"""bluesky's Status over an asyncio task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class TaskStatus:
    """The status of something started on the RunEngine's loop.

    Parameters
    ----------
    work : coroutine
        Started at once; its failure is the status's failure.
    name : str
        Shown when it fails.
    """

    def __init__(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._task = asyncio.get_running_loop().create_task(work, name=name)

    def add_callback(self, callback: Callable[[TaskStatus], None]) -> None:
        """Call `callback` with this status when done, or at once if it is."""
        if self._task.done():
            callback(self)
        else:
            self._task.add_done_callback(lambda _: callback(self))

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        """Return what went wrong, None if nothing did (or nothing has yet)."""
        if not self._task.done():
            return None
        if self._task.cancelled():
            return asyncio.CancelledError()
        return self._task.exception()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._task.done()

    @property
    def success(self) -> bool:
        """Whether it has ended well."""
        return self._task.done() and not self._task.cancelled() and self._task.exception() is None

    async def ended(self, patience: float) -> bool:
        """Wait until it has ended, at most `patience` wall seconds; returns whether it has."""
        done, _ = await asyncio.wait({self._task}, timeout=patience)
        return bool(done)

    def cancel(self) -> None:
        """Cancel the work."""
        self._task.cancel()

    def __repr__(self) -> str:
        return f"<TaskStatus {self._task.get_name()} done={self.done} success={self.success}>"
