"""The thread that finds a run, listens to it, notices when it falls silent, and finds it again."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from nvscope.errors import NvscopeError
from nvscope.gui.mailbox import LinkReport, LinkState, Mailbox
from nvscope.stream.control import RunInfo, running
from nvscope.stream.messages import RunStatus
from nvscope.stream.security import Curve
from nvscope.stream.viewing import VIEWER_BUDGET, Subscriber

SILENCE = 3.0
"""Wall seconds without a message after which a run counts as silent; it sends its status five times a second."""

_LOOK = 1.0
_DRAIN = 0.05
_GRACE = 1.5
_OVER = ("done", "failed", "aborted")


class Feed:
    """Fills a mailbox from whatever run is running.

    Parameters
    ----------
    mailbox : Mailbox
        Where messages go.
    wanted : callable
        Which runs to look at.
    find : callable
        Returns the runs there are, newest first.
    curve : Curve or None
        Key of a run on another computer.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        wanted: Callable[[RunInfo], bool] = lambda info: True,
        find: Callable[[], Sequence[RunInfo]] = running,
        curve: Curve | None = None,
    ) -> None:
        self._mailbox = mailbox
        self._wanted = wanted
        self._find = find
        self._curve = curve
        self._over: deque[tuple[str, int]] = deque(maxlen=64)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="nvscope-feed", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns when the thread has, within seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def _work(self) -> None:
        self._mailbox.report(LinkReport("searching"))
        while not self._stopping.is_set():
            info = self._look()
            if info is None:
                self._stopping.wait(_LOOK)
                continue
            try:
                self._follow(info)
            except NvscopeError as error:
                self._mailbox.report(LinkReport("silent", info, time.monotonic(), 0, str(error)))
                self._stopping.wait(_LOOK)

    def _look(self) -> RunInfo | None:
        try:
            found = self._find()
        except OSError:
            return None
        return next((info for info in found if self._wanted(info) and (info.run, info.pid) not in self._over), None)

    def _follow(self, info: RunInfo) -> None:
        with Subscriber.connect(info.viewers, "the run", budget=VIEWER_BUDGET, curve=self._curve) as subscriber:
            heard = looked = time.monotonic()
            malformed = 0
            over = False
            self._mailbox.begin(LinkReport("connected", info, heard))
            while not self._stopping.is_set():
                news = subscriber.drain(_DRAIN)
                now = time.monotonic()
                noise = subscriber.malformed > malformed
                malformed = subscriber.malformed
                if news.latest or news.events:
                    heard = now
                    self._mailbox.put(news)
                    status = news.latest.get(RunStatus)
                    if status is not None and isinstance(status.message, RunStatus):
                        over = status.message.state in _OVER
                quiet = now - heard
                state: LinkState = "connected"
                if quiet > SILENCE:
                    state = "garbage" if noise else "silent"
                if over and quiet > _GRACE:
                    break
                if quiet > SILENCE and now - looked > _LOOK:
                    looked = now
                    if not any((other.run, other.pid) == (info.run, info.pid) for other in self._find()):
                        break
                self._mailbox.report(LinkReport(state, info, heard, malformed, subscriber.complaint))
            self._over.append((info.run, info.pid))
            self._mailbox.report(LinkReport("ended", info, heard, malformed, subscriber.complaint))
