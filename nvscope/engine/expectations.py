"""What a run waits for from its recorder and fitter: futures by what was promised, all on one loop."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

What = Literal["block", "maps", "fitted"]
"""A block on disk; a point's final maps; maps that show so many blocks of a point."""


class Expectations:
    """Futures of what has been promised; for the thread of the loop they are awaited on."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[What, int, int], asyncio.Future[Any]] = {}

    def expect(self, what: What, point: int, number: int = -1) -> asyncio.Future[Any]:
        """Return a future of a point's block, of its maps, or of maps of `number` blocks."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[(what, point, number)] = future
        return future

    def give_up(self, what: What, point: int, number: int = -1) -> None:
        """Forget something: nobody waits any more."""
        self._waiting.pop((what, point, number), None)

    def resolve(self, what: What, point: int, number: int = -1, error: Exception | None = None) -> None:
        """It has happened, or cannot happen any more because of `error`; what nobody waits for is ignored."""
        future = self._waiting.pop((what, point, number), None)
        if future is None or future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(None)

    def resolve_fitted(self, point: int, blocks: int) -> None:
        """Maps of a point came that show its first `blocks` blocks."""
        for what, which, number in list(self._waiting):
            if what == "fitted" and which == point and number <= blocks:
                self.resolve(what, which, number)

    def resolve_all_maps(self) -> None:
        """Nobody makes maps any more: whoever waits goes on with what there is."""
        for what, point, number in list(self._waiting):
            if what != "block":
                self.resolve(what, point, number)

    def fail(self, error: Exception) -> None:
        """Nothing will happen any more."""
        for key in list(self._waiting):
            self.resolve(*key, error=error)
