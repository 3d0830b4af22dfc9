"""The clock of a run on a simulated lab: an idle event loop advances the lab to its next deadline.

The rule (design, decision 6): the lab moves if and only if the run's loop is idle, no hold is open and an active
sleeper waits; then it moves to the earliest deadline, active or passive. The loop's selector is the one place that
knows the loop is about to block, so that is where the advance is asked for. The request does not block the loop: the
answer arrives like any other socket event, so an abort is never late.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nvscope.clock.wire import Advance, Advanced, ClockError, Hello, Welcome, decode_reply, encode
from nvscope.errors import InstrumentError

_REPLY_TIMEOUT = 60.0
"""Wall seconds the lab may take over one advance before the run gives up on it."""


class DrivenClock:
    """Rig time moved by this process; at most one per lab.

    Parameters
    ----------
    host, port
        The lab's clock socket.
    timeout : float
        Wall seconds for the connection.
    """

    def __init__(self, host: str, port: int, timeout: float = 5.0) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(encode(Hello("driver")))
        self._buffer = b""
        reply = decode_reply(self._read_line())
        if not isinstance(reply, Welcome):
            self._socket.close()
            why = reply.message if isinstance(reply, ClockError) else "unexpected answer"
            raise InstrumentError(f"the simulated lab at {host}:{port} refuses to let this run drive time: {why}")
        self._now = reply.now
        self._socket.setblocking(False)
        self._loop: ClockEventLoop | None = None
        self._holds = 0
        self._active = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None], bool]] = []
        self._order = itertools.count()
        self._ids = itertools.count(1)
        self._outstanding: int | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._lost: Exception | None = None

    def _read_line(self) -> bytes:
        while b"\n" not in self._buffer:
            data = self._socket.recv(4096)
            if not data:
                raise InstrumentError("the simulated lab closed its clock socket")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def now(self) -> float:
        """Return the rig time the lab has been advanced to."""
        return self._now

    async def sleep(self, seconds: float, *, passive: bool = False) -> None:
        """Wait until the lab has been advanced by `seconds`."""
        if self._lost is not None:
            raise self._lost
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + max(0.0, seconds), next(self._order), future, passive))
        self._active += not passive
        try:
            await future
        finally:
            self._active -= not passive
            if future.cancelled():
                self._sleepers = [entry for entry in self._sleepers if entry[2] is not future]
                heapq.heapify(self._sleepers)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Forbid jumps while open; on the loop's thread only."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    def bind(self, loop: ClockEventLoop) -> None:
        """Attach to the loop whose idleness drives the lab; called by `ClockEventLoop`."""
        self._loop = loop
        loop.add_reader(self._socket, self._readable)

    def when_idle(self) -> bool:
        """Let time pass if it may; called when the loop is about to block.

        Returns
        -------
        bool
            True if a sleeper was woken, so that the loop must not block.
        """
        if self._holds or not self._active or self._outstanding is not None or self._lost is not None:
            return False
        target = self._sleepers[0][0]
        if target <= self._now:
            return self._wake()
        assert self._loop is not None
        self._outstanding = next(self._ids)
        try:
            self._socket.send(encode(Advance(target, self._outstanding)))
        except OSError as error:
            self._fail(f"the simulated lab is gone: {error}")
            return True
        self._watchdog = self._loop.call_later(
            _REPLY_TIMEOUT, self._fail, f"the simulated lab took more than {_REPLY_TIMEOUT:.0f} s to advance"
        )
        return False

    def _wake(self) -> bool:
        woken = False
        while self._sleepers and self._sleepers[0][0] <= self._now:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)
                woken = True
        return woken

    def _readable(self) -> None:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(f"the simulated lab is gone: {error}")
            return
        if not data:
            self._fail("the simulated lab closed its clock socket")
            return
        self._buffer += data
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            reply = decode_reply(line)
            if isinstance(reply, Advanced) and reply.id == self._outstanding:
                self._outstanding = None
                if self._watchdog is not None:
                    self._watchdog.cancel()
                self._now = max(self._now, reply.now)
                self._wake()
            elif isinstance(reply, ClockError):
                self._fail(reply.message)

    def _fail(self, message: str) -> None:
        self._lost = InstrumentError(message)
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
        for _, _, future, _ in self._sleepers:
            if not future.done():
                future.set_exception(self._lost)
        self._sleepers.clear()

    def close(self) -> None:
        """Give time back to the wall; sleepers still waiting fail."""
        if self._lost is None:
            self._fail("the run has given up driving the simulated lab's time")
        self._socket.close()


class _IdleSelector(selectors.BaseSelector):
    """A selector that tells a clock when its loop is about to block."""

    def __init__(self, clock: DrivenClock) -> None:
        self._inner = selectors.DefaultSelector()
        self._clock = clock

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._inner.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._clock.when_idle():
            return []
        return self._inner.select(timeout)

    def close(self) -> None:
        self._inner.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()


class ClockEventLoop(asyncio.SelectorEventLoop):
    """An event loop that lets a simulated lab's time pass whenever it has nothing to do."""

    def __init__(self, clock: DrivenClock) -> None:
        super().__init__(_IdleSelector(clock))
        clock.bind(self)
