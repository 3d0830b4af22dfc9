"""The four ends of nvscope's streams: `Sender` and `Receiver` lossless, `Publisher` and `Subscriber` lossy by design.

All are tcp, bounded in bytes, and never wait without a time-out. A sender copies each array exactly once, into memory
that ZeroMQ owns, so a camera may reuse its buffer at once. (ZeroMQ sends from the background. A buffer lent to it and
reused is a corrupt frame, and one whose process exits meanwhile is freed under its hands: both were seen.) To send one
message over several sockets, `pack` it once and use `send_parts`: they share that memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import zmq
from numpy.typing import NDArray
from zmq.utils.monitor import recv_monitor_message

from nvscope.errors import ConfigError, NvscopeError
from nvscope.stream.messages import Message
from nvscope.stream.security import LOOPBACK, Curve, host_of, secure
from nvscope.stream.wire import MAX_ARRAYS, MalformedMessage, decode, encode

BUDGET = 64 * 1024 * 1024
"""Bytes of frames each end of a lossless stream may queue."""

SEND_TIMEOUT = 10.0
"""Wall seconds a peer may leave a lossless message unread."""

LINGER = 2.0
"""Wall seconds a sender that is closed waits for its queue to leave."""

_FEWEST, _MOST = 4, 10_000
_CONNECTION_EVENTS = zmq.Event.CONNECTED | zmq.Event.ACCEPTED | zmq.Event.DISCONNECTED


class StreamBlocked(NvscopeError):
    """A lossless message could not be handed over in time: the peer is gone or does not read."""


@dataclass(frozen=True, eq=False)
class Received:
    """One message with its arrays, read-only."""

    message: Message
    arrays: list[NDArray[Any]] = field(default_factory=list)


Packed = Sequence[zmq.Frame | bytes]
"""What `send_parts` sends."""


def pack(message: Message, *arrays: NDArray[Any]) -> list[zmq.Frame]:
    """Encode a message into memory of its own, to be sent any number of times; raises `MalformedMessage`."""
    return [zmq.Frame(part, copy=True) for part in encode(message, *arrays)]


def high_water_mark(frame_bytes: int, budget: int = BUDGET) -> int:
    """How many messages of `frame_bytes` a queue of `budget` bytes may hold."""
    return max(_FEWEST, min(_MOST, budget // max(1, frame_bytes)))


class Link:
    """One socket: bound to an endpoint of its own, or connected to another's. Made by `bind` and `connect`.

    Attributes
    ----------
    endpoint : str
        Where it listens or what it is connected to, ``tcp://127.0.0.1:PORT``.
    """

    kind: zmq.SocketType
    default_budget = BUDGET
    _watched = True

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], socket: zmq.Socket[bytes], peer: str) -> None:
        self._context = context
        self._socket = socket
        self._lock = threading.Lock()
        self._peer = peer
        self._monitor = socket.get_monitor_socket(_CONNECTION_EVENTS) if self._watched else None
        self._connections: set[int] = set()
        self.endpoint = ""

    @classmethod
    def bind(
        cls,
        peer: str = "the peer",
        *,
        host: str = LOOPBACK,
        port: int = 0,
        frame_bytes: int = 1 << 20,
        budget: int | None = None,
        curve: Curve | None = None,
    ) -> Self:
        """Listen; port 0 takes a free one, see `endpoint`.

        Parameters
        ----------
        peer
            Who is at the other end, for error messages.
        frame_bytes, budget
            Size of the usual large message, and how many bytes of them may queue here.
        curve
            Keys, required unless `host` is loopback.
        """
        link = cls._open(host, peer, frame_bytes, budget, curve, listens=True)
        try:
            link._socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as error:
            link.close(0.0)
            raise NvscopeError(f"cannot listen on {host}:{port} for {peer}: {error}") from error
        link.endpoint = link._socket.get_string(zmq.LAST_ENDPOINT)
        return link

    @classmethod
    def connect(
        cls,
        endpoint: str,
        peer: str = "the peer",
        *,
        frame_bytes: int = 1 << 20,
        budget: int | None = None,
        curve: Curve | None = None,
    ) -> Self:
        """Connect to where the peer listens; reconnects by itself. Parameters as in `bind`."""
        link = cls._open(host_of(endpoint), peer, frame_bytes, budget, curve, listens=False)
        link._socket.connect(endpoint)
        link.endpoint = endpoint
        return link

    @classmethod
    def _open(
        cls,
        host: str,
        peer: str,
        frame_bytes: int,
        budget: int | None,
        curve: Curve | None,
        *,
        listens: bool,
    ) -> Self:
        # a context of its own, so that closing can wait for this socket's queue and for nothing else
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        socket = context.socket(cls.kind)
        try:
            secure(socket, host, curve, listens=listens)
        except ConfigError:
            socket.close(0)
            context.term()
            raise
        socket.linger = int(LINGER * 1000)
        socket.maxmsgsize = MAX_ARRAYS
        socket.set_hwm(high_water_mark(frame_bytes, budget or cls.default_budget))
        cls._prepare(socket)
        return cls(context, socket, peer)

    @classmethod
    def _prepare(cls, socket: zmq.Socket[bytes]) -> None:
        """Set what this kind of socket needs before it is bound or connected."""

    def peers(self) -> int:
        """How many peers are connected now."""
        with self._lock:
            return self._count_peers()

    def _count_peers(self) -> int:
        # called with every message too: ZeroMQ's background thread waits on a monitor that nobody reads
        while self._monitor is not None and self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)
            if event["event"] == zmq.Event.DISCONNECTED:
                self._connections.discard(event["value"])
            else:
                self._connections.add(event["value"])
        return len(self._connections)

    def close(self, linger: float = LINGER) -> None:
        """Close; returns once a sender's queue has left, after `linger` wall seconds at the latest."""
        with self._lock:
            if self._socket.closed:
                return
            if self._monitor is not None:
                self._socket.disable_monitor()
                self._monitor.close(0)
                self._monitor = None
            self._socket.close(int(linger * 1000))
            self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Sender(Link):
    """The lossless sending end (PUSH). May be shared by threads; order is then the order of the calls."""

    kind = zmq.PUSH

    def send(self, message: Message, *arrays: NDArray[Any], timeout: float = SEND_TIMEOUT) -> None:
        """Send, waiting up to `timeout` wall seconds for room.

        Raises
        ------
        StreamBlocked
            If the peer did not make room; nothing was sent.
        MalformedMessage
            If the peer would refuse the message.
        """
        self.send_parts(pack(message, *arrays), timeout=timeout)

    def send_parts(self, parts: Packed, *, timeout: float = SEND_TIMEOUT) -> None:
        """Send what `pack` returned; otherwise as `send`."""
        deadline = time.monotonic() + timeout
        while not self.try_send_parts(parts):
            left = deadline - time.monotonic()
            if left <= 0:
                state = "is not connected" if self.peers() < 1 else "is connected but does not read"
                raise StreamBlocked(
                    f"{self._peer} ({self.endpoint}) {state}: nothing could be sent for {timeout:g} s; "
                    "its process has died, hangs, or cannot keep up"
                )
            with self._lock:
                # short slices, so that other threads get their turn
                self._socket.poll(int(min(left, 0.02) * 1000) + 1, zmq.POLLOUT)

    def try_send(self, message: Message, *arrays: NDArray[Any]) -> bool:
        """Send if there is room now; return whether it was sent."""
        return self.try_send_parts(pack(message, *arrays))

    def try_send_parts(self, parts: Packed) -> bool:
        """Send what `pack` returned if there is room now; return whether it was sent."""
        with self._lock:
            self._count_peers()
            try:
                self._socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return False
            except zmq.ZMQError as error:
                if self._socket.closed:
                    raise StreamBlocked(f"{self._peer} ({self.endpoint}): this end is closed") from error
                raise
        return True


class _Reading(Link):
    """What both receiving ends share.

    Attributes
    ----------
    malformed : int
        How many messages were dropped because they were none.
    complaint : str
        What was wrong with the last of them.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], socket: zmq.Socket[bytes], peer: str) -> None:
        super().__init__(context, socket, peer)
        self.malformed = 0
        self.complaint = ""

    def _poll(self, timeout: float) -> bool:
        return bool(self._socket.poll(max(0, int(timeout * 1000)), zmq.POLLIN))

    def _read(self) -> Received | None:
        """Read one message if there is one that is well formed."""
        try:
            parts = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        try:
            return Received(*decode([part.buffer for part in parts]))
        except MalformedMessage as error:
            self.malformed += 1
            self.complaint = str(error)
            return None


class Receiver(_Reading):
    """The lossless receiving end (PULL); for one thread."""

    kind = zmq.PULL

    def receive(self, timeout: float) -> Received | None:
        """Return the next message, or None after `timeout` wall seconds; malformed ones are counted and dropped."""
        deadline = time.monotonic() + timeout
        self._count_peers()
        while True:
            received = self._read()
            if received is not None:
                return received
            left = deadline - time.monotonic()
            if left <= 0 or not self._poll(left + 1e-3):
                return None


def wait_any(receivers: Sequence[Receiver], timeout: float) -> list[Receiver]:
    """Return those with something to read, waiting up to `timeout` wall seconds for the first."""
    poller = zmq.Poller()
    for receiver in receivers:
        poller.register(receiver._socket, zmq.POLLIN)
    ready = dict(poller.poll(max(0, int(timeout * 1000))))
    return [receiver for receiver in receivers if receiver._socket in ready]
