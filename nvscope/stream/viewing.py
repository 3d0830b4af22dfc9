"""The lossy stream to viewers: newest wins, and nothing a viewer does slows a run."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import zmq
from numpy.typing import NDArray

from nvscope.stream.messages import Frame, Heartbeat, JournalEntry, Maps, Message, PointOpened, RunStatus
from nvscope.stream.sockets import LINGER, Link, Packed, Received, _Reading, pack

VIEWER_BUDGET = 16 * 1024 * 1024
"""Bytes queued for a viewer that does not read; older pictures than these nobody wants."""

NEWEST_ONLY: tuple[type[Message], ...] = (Frame, Maps, RunStatus, Heartbeat)
"""Messages of which only the newest matters to a viewer."""

_REMEMBERED: tuple[type[Message], ...] = (PointOpened, Maps, RunStatus)
"""Messages without which a viewer that joins late shows nothing."""

_REMEMBERED_ENTRIES = ("about", "plan", "region")
"""Entries likewise, for one that cannot read run directory and journal: the newest of each kind."""


class Publisher(Link):
    """The sending end (XPUB). Never waits: what a slow viewer has no room for is dropped for that viewer.

    A viewer that joins late gets, with the next message: what the run is, its plan and regions, the point that is open,
    its newest maps and the status.
    """

    kind = zmq.XPUB
    default_budget = VIEWER_BUDGET
    _watched = False

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], socket: zmq.Socket[bytes], peer: str) -> None:
        super().__init__(context, socket, peer)
        self._remembered: dict[Hashable, Packed] = {}
        self._slot = -float("inf")
        self._frame_interval = 0.0

    @classmethod
    def _prepare(cls, socket: zmq.Socket[bytes]) -> None:
        socket.xpub_verbose = True

    def wants_frame(self, interval: float) -> bool:
        """Whether it is time to publish a frame if one each `interval` wall seconds is; 0 publishes every one.

        A camera at 200 frames/s need not be shown faster than a screen: ask before packing. The mean rate is kept,
        whatever the camera's: a wait since the last frame would be rounded up to the camera's next.
        """
        self._frame_interval = interval
        return time.monotonic() >= self._slot + interval

    def remember(self, other: Publisher) -> None:
        """Give whoever joins what `other` would."""
        with other._lock, self._lock:
            self._remembered.update(other._remembered)

    def send(self, message: Message, *arrays: NDArray[Any]) -> None:
        """Publish; raises `MalformedMessage` only."""
        self.send_parts(message, pack(message, *arrays))

    def send_parts(self, message: Message, parts: Packed) -> None:
        """Publish `message`, which `pack` has made into `parts`."""
        with self._lock:
            joined = False
            while self._socket.poll(0, zmq.POLLIN):
                joined |= self._socket.recv(zmq.NOBLOCK)[:1] == b"\x01"
            if joined:
                for kept in self._remembered.values():
                    self._socket.send_multipart(kept, copy=False)
            if isinstance(message, PointOpened):
                self._remembered.pop(Maps, None)
            if isinstance(message, _REMEMBERED):
                self._remembered[type(message)] = parts
            elif isinstance(message, JournalEntry) and message.kind in _REMEMBERED_ENTRIES:
                self._remembered[message.kind, str(message.data.get("kind"))] = parts
            if isinstance(message, Frame):
                now, due = time.monotonic(), self._slot + self._frame_interval
                self._slot = due if now - due < self._frame_interval else now
            self._socket.send_multipart(parts, copy=False)


class Publishers:
    """Several publishers as one: for the viewers of this computer and, with keys, for those of others.

    Parameters
    ----------
    first : Publisher
        The one whose `endpoint` is announced.
    """

    def __init__(self, first: Publisher) -> None:
        self._all: tuple[Publisher, ...] = (first,)
        self.endpoint = first.endpoint

    def add(self, other: Publisher) -> None:
        """Publish there too; who joins there gets what was said before."""
        other.remember(self._all[0])
        self._all = (*self._all, other)

    def wants_frame(self, interval: float) -> bool:
        """Whether it is time for a frame; see `Publisher.wants_frame`."""
        return self._all[0].wants_frame(interval)

    def send(self, message: Message, *arrays: NDArray[Any]) -> None:
        """Publish; raises `MalformedMessage` only."""
        self.send_parts(message, pack(message, *arrays))

    def send_parts(self, message: Message, parts: Packed) -> None:
        """Publish `message`, which `pack` has made into `parts`."""
        for publisher in self._all:
            publisher.send_parts(message, parts)

    def close(self, linger: float = LINGER) -> None:
        """Close all."""
        for publisher in self._all:
            publisher.close(linger)


@dataclass(frozen=True, eq=False)
class News:
    """What a subscriber found waiting.

    Attributes
    ----------
    latest : dict
        The newest of each kind in `NEWEST_ONLY` that came.
    events : list of Message
        Everything else, in order.
    """

    latest: dict[type[Message], Received]
    events: list[Message]


class Subscriber(_Reading):
    """The receiving end (SUB); for one thread."""

    kind = zmq.SUB
    default_budget = VIEWER_BUDGET
    _watched = False

    @classmethod
    def _prepare(cls, socket: zmq.Socket[bytes]) -> None:
        socket.subscribe(b"")

    def select(self, *kinds: type[Message]) -> None:
        """Receive these kinds of message only; the publisher then does not send the others here."""
        self._socket.unsubscribe(b"")
        for kind in kinds:
            # a header begins with its tag, so the tag is a topic
            self._socket.subscribe(f'{{"type":"{kind.__struct_config__.tag}"'.encode())

    def drain(self, timeout: float, most: int = 1000) -> News:
        """Read all that waits, at most `most` messages, waiting up to `timeout` wall seconds for the first."""
        latest: dict[type[Message], Received] = {}
        events: list[Message] = []
        self._poll(timeout)
        for _ in range(most):
            if not self._poll(0):
                break
            received = self._read()
            if received is None:
                continue
            if isinstance(received.message, NEWEST_ONLY):
                latest[type(received.message)] = received
            else:
                events.append(received.message)
        return News(latest, events)
