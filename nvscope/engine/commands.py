"""What others may ask of a run that changes neither its state nor the protocol: notes, settings, regions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from nvscope.engine.link import RunLink
from nvscope.engine.progress import Progress
from nvscope.engine.wishes import Wishes
from nvscope.errors import NvscopeError
from nvscope.stream.control import Control, Reply

__all__ = ["Commands", "journal"]


@dataclass(frozen=True)
class Commands:
    """Carries out requests of a running or paused run, from any thread.

    Attributes
    ----------
    link, loop
        The run's streams, and the loop that they belong to.
    wishes, progress
        What is changed.
    """

    link: RunLink
    loop: asyncio.AbstractEventLoop
    wishes: Wishes
    progress: Progress

    def carry_out(self, request: Control) -> Reply | None:
        """Return the answer to a request; None if it is none of these."""
        if request.verb == "parameters":
            return Reply(True, "for the points to come", parameters=self.wishes.describe())
        if request.verb == "set":
            return self._change(request)
        if request.verb == "region":
            return self._choose_region(request)
        if request.verb == "note":
            self._journal("note", {"text": request.text})
            return Reply(True, "written to the journal")
        return None

    def _change(self, request: Control) -> Reply:
        try:
            text, planned = self.wishes.change(request.settings)
        except NvscopeError as error:
            return Reply(False, str(error))
        self.progress.replan(planned)
        self._journal("parameters", {"text": f"from the next point on: {text}", "settings": request.settings})
        return Reply(True, f"from the next point on: {text}", parameters=self.wishes.describe())

    def _choose_region(self, request: Control) -> Reply:
        region = request.region
        if region is None or 0 < len(region.vertices) < 3:
            return Reply(False, "a region is a polygon of at least 3 vertices; none takes it away")
        asyncio.run_coroutine_threadsafe(self.link.choose_region(region), self.loop)
        what = "region of interest" if region.kind == "roi" else "reference region"
        return Reply(True, f"{what} {'set' if region.vertices else 'removed'}")

    def _journal(self, kind: str, data: dict[str, Any]) -> None:
        asyncio.run_coroutine_threadsafe(journal(self.link, kind, data), self.loop)


async def journal(link: RunLink, kind: str, data: dict[str, Any]) -> None:
    """Write an entry from the loop, which alone writes to the streams."""
    link.journal(kind, data)
