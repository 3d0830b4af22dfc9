"""A plan under way: driven through pauses, and paused, resumed, shortened or ended by whoever asks."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted, TransitionError

from nvscope.engine.commands import journal
from nvscope.engine.link import RunLink
from nvscope.engine.request import Outcome
from nvscope.errors import NvscopeError, first_cause
from nvscope.stream.control import Reply

__all__ = ["Driver"]

_SLICE = 0.5
"""Wall seconds; a pause lasts until somebody decides."""


class Driver:
    """Drives one plan; all but `drive` may be called from any thread at any time.

    Parameters
    ----------
    make_safe : callable
        Asks every instrument into its safe state; takes the engine's loop.

    Attributes
    ----------
    made_safe : threading.Event
        Set once every instrument has been asked into its safe state, or nothing was moved.
    state : str
        What the run is doing.
    engine : RunEngine or None
        None until the plan begins.
    """

    def __init__(self, make_safe: Callable[[asyncio.AbstractEventLoop], object]) -> None:
        self.made_safe = threading.Event()
        self.state = "starting"
        self._make_safe = make_safe
        self._engine: RunEngine | None = None
        self._link: RunLink | None = None
        self._abort_reason: str | None = None
        self._lock = threading.Lock()
        self._decision = threading.Event()
        self._skip = False

    @property
    def engine(self) -> RunEngine | None:
        """See the class."""
        with self._lock:
            return self._engine

    def take(self, engine: RunEngine, link: RunLink) -> None:
        """Take over an engine, about to run, and what is written about it."""
        with self._lock:
            self._engine, self._link = engine, link
            self.state = "running"

    def drive(self, plan: Callable[[], Any], metadata: dict[str, Any]) -> tuple[Outcome, str]:
        """Run what `plan` returns to its end, whatever that is; returns which end, and why."""
        engine, link = self._engine, self._link
        if engine is None or link is None:
            raise NvscopeError("there is no engine to run a plan with")
        if self._abort_reason is not None:
            return "aborted", self._abort_reason
        steps = plan()
        try:
            self._through_pauses(engine, lambda: engine(steps, **metadata))
        except Exception as error:
            if self._abort_reason is not None:
                return "aborted", self._abort_reason
            trace = "" if isinstance(error, NvscopeError) else traceback.format_exc(limit=20)
            link.journal("error", {"error": str(error), "traceback": trace})
            cause = first_cause(error)
            return "failed", str(cause) if isinstance(cause, NvscopeError) else f"{type(cause).__name__}: {cause}"
        if self._abort_reason is not None:
            return "aborted", self._abort_reason
        return "done", ""

    def _through_pauses(self, engine: RunEngine, proceed: Callable[[], Any]) -> None:
        """Run to the end, waiting at every pause for somebody to resume or abort."""
        while True:
            try:
                proceed()
                return
            except RunEngineInterrupted:
                if engine.state != "paused":
                    return
            self._enter("paused", engine)
            while not self._decision.wait(_SLICE):  # Windows hears Ctrl-C between slices only
                pass
            self._decision.clear()
            if self._abort_reason is not None:
                engine.abort(self._abort_reason)
                return
            self._enter("running", engine)
            proceed = engine.resume

    def _enter(self, state: str, engine: RunEngine) -> None:
        self.state = state
        self._write(engine, "state", {"state": state})

    def _write(self, engine: RunEngine, kind: str, data: dict[str, Any]) -> None:
        if self._link is not None:
            asyncio.run_coroutine_threadsafe(journal(self._link, kind, data), engine.loop)

    def abort(self, reason: str) -> None:
        """Make everything safe, then end the plan; returns at once if it has not begun or has ended."""
        with self._lock:
            self._abort_reason = self._abort_reason or reason
            engine = self._engine
        if engine is None:
            self.made_safe.set()  # nothing has been moved, and nothing will be
            return
        if engine.state == "idle":
            return
        self.state = "aborting"
        self._write(engine, "abort", {"reason": reason})
        self._make_safe(engine.loop)
        if engine.state == "paused":
            self._decision.set()  # the thread that waits at the pause ends the run
            return
        with suppress(TransitionError, RunEngineInterrupted):
            engine.abort(reason)

    def take_skip(self) -> bool:
        """Whether somebody has asked to end this point; asked once."""
        skip, self._skip = self._skip, False
        return skip

    def carry_out(self, verb: str) -> Reply:
        """Carry out "skip", "pause" or "resume"."""
        if verb == "skip":
            self._skip = True
            return Reply(True, "averaging of this point ends with the present block")
        if verb == "pause":
            if self.state == "paused" or self._engine is None:
                return Reply(False, f"the run is {self.state} already")
            self._engine.request_pause(defer=False)
            return Reply(True, "pausing: the hardware call in progress finishes first")
        if self.state != "paused":
            return Reply(False, "the run is not paused")
        self._decision.set()
        return Reply(True, "resuming from the last checkpoint")
