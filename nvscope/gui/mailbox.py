"""Between the thread that receives and the one that draws: newest wins, bounded, never waits."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from nvscope.stream.control import RunInfo
from nvscope.stream.messages import Maps, Message
from nvscope.stream.sockets import Received
from nvscope.stream.viewing import News

MOST_EVENTS = 5000
MOST_POINTS = 4

LinkState = Literal["searching", "connected", "silent", "garbage", "ended"]


@dataclass(frozen=True)
class LinkReport:
    """How the connection stands.

    Attributes
    ----------
    state : str
        "searching" for a run, "connected", "silent" (nothing for a while), "garbage" (only what is no message),
        "ended" (the run is over).
    run : RunInfo or None
        The run it is about.
    heard : float
        `time.monotonic` of the last message.
    malformed : int
        How many messages were none; `complaint` says what was wrong with the last.
    """

    state: LinkState
    run: RunInfo | None = None
    heard: float = 0.0
    malformed: int = 0
    complaint: str = ""


@dataclass
class Batch:
    """What came since the last look: of frames, status and heartbeats the newest, of maps the newest of each point."""

    generation: int
    link: LinkReport
    events: list[Message] = field(default_factory=list)
    latest: dict[type[Message], Received] = field(default_factory=dict)
    maps: dict[int, Received] = field(default_factory=dict)
    dropped: int = 0


class Mailbox:
    """One writer, one reader."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generation = 0
        self._link = LinkReport("searching")
        self._events: deque[Message] = deque()
        self._latest: dict[type[Message], Received] = {}
        self._maps: dict[int, Received] = {}
        self._dropped = 0

    def begin(self, link: LinkReport) -> None:
        """Another run: what is waiting of the one before is thrown away."""
        with self._lock:
            self._generation += 1
            self._events.clear()
            self._latest.clear()
            self._maps.clear()
            self._link = link

    def report(self, link: LinkReport) -> None:
        """Say how the connection stands."""
        with self._lock:
            self._link = link

    def put(self, news: News) -> None:
        """Take what a subscriber found."""
        with self._lock:
            self._events.extend(news.events)
            while len(self._events) > MOST_EVENTS:
                self._events.popleft()
                self._dropped += 1
            for kind, received in news.latest.items():
                if isinstance(received.message, Maps):
                    self._maps.pop(received.message.point, None)
                    self._maps[received.message.point] = received
                    while len(self._maps) > MOST_POINTS:
                        del self._maps[next(iter(self._maps))]
                else:
                    self._latest[kind] = received

    def take(self) -> Batch:
        """Return everything that waits."""
        with self._lock:
            batch = Batch(self._generation, self._link, list(self._events), self._latest, self._maps, self._dropped)
            self._events.clear()
            self._latest, self._maps = {}, {}
            return batch
