"""What the operator says to the run, and what it answers. No Qt; every call from the thread that draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from nvscope.errors import NvscopeError
from nvscope.gui.errands import Errands, Outcome, complaint
from nvscope.gui.mailbox import LinkReport
from nvscope.stream.control import Control, Region, Reply, Verb, ask, running
from nvscope.stream.security import Curve

CONTROL_TIMEOUT = 15.0


class Talk:
    """Sends requests in the background.

    Parameters
    ----------
    link : callable
        Returns how the connection stands: to which run requests go.
    curve : Curve or None
        Key of a run on another computer.

    Attributes
    ----------
    answer : tuple of (bool, str) or None
        Whether the last request was accepted, and what was said.
    """

    def __init__(self, link: Callable[[], LinkReport], curve: Curve | None = None) -> None:
        self._link = link
        self._curve = curve
        self._voice = Errands("voice")
        self.answer: tuple[bool, str] | None = None

    def say(self, verb: Verb, text: str = "") -> None:
        """Ask the run to do something; what it answers is in `answer` later."""
        self.ask(Control(verb, text))

    def choose_region(self, kind: Literal["roi", "reference"], vertices: Sequence[tuple[float, float]] = ()) -> None:
        """Make a polygon the run's region of interest or reference region; without vertices take that away."""
        self.ask(Control("region", region=Region(kind, list(vertices))))

    def ask(self, request: Control, then: Callable[[Reply], None] | None = None) -> None:
        """Send a request; the reply goes to `then`, or into `answer` for the operator to read."""

        def told(reply: Reply) -> None:
            if then is not None:
                then(reply)
            else:
                self.answer = (reply.ok, reply.text)

        run = self._link().run
        if run is None:
            told(Reply(False, "no run is connected"))
            return

        def answered(outcome: Outcome) -> None:
            told(outcome.result if isinstance(outcome.result, Reply) else Reply(False, complaint(outcome.error)))

        key = (msgspec.json.encode(request), then)
        self._voice.ask(key, lambda: ask(run.control, request, CONTROL_TIMEOUT, self._curve), answered)

    def let_go(self, patience: float = 30.0) -> None:
        """End a session by hand and wait until its instruments are free; blocks, for a background thread.

        Raises
        ------
        NvscopeError
            If they are not free in time.
        """
        link = self._link()
        run = link.run
        if run is None or run.kind != "live" or link.state == "ended":
            return
        reply = ask(run.control, Control("abort"), CONTROL_TIMEOUT, self._curve)
        if not reply.ok:
            raise NvscopeError(f"{run.run}: {reply.text}")
        deadline = time.monotonic() + patience
        while any(other.pid == run.pid for other in running()):
            if time.monotonic() > deadline:
                raise NvscopeError(f"{run.run} has not let go of the instruments within {patience:g} s")
            time.sleep(0.1)

    def deliver(self) -> None:
        """Hand over replies that have come."""
        self._voice.deliver()

    def stop(self) -> None:
        """End the background thread."""
        self._voice.stop()
