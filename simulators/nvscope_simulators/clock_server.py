"""Who moves the lab's time: the wall, or the one driver connected to the clock socket."""

from __future__ import annotations

import asyncio
import contextlib
import time

import msgspec

from nvscope.clock.wire import (
    MAX_LINE,
    Advance,
    Advanced,
    ClockError,
    Hello,
    Welcome,
    decode_request,
    encode,
)
from nvscope_simulators.timeline import Timeline

_WALL_TICK = 0.02


class ClockServer:
    """Serves the clock socket and keeps wall pace while nobody drives.

    Parameters
    ----------
    timeline : Timeline
        The lab's time.
    factor : float
        Rig seconds per wall second while nobody drives; 0 freezes the lab.
    """

    def __init__(self, timeline: Timeline, factor: float = 1.0) -> None:
        self._timeline = timeline
        self._factor = factor
        self._driver: asyncio.StreamWriter | None = None
        self._moving = asyncio.Lock()
        self._server: asyncio.Server | None = None
        self._pace: asyncio.Task[None] | None = None

    @property
    def driven(self) -> bool:
        """Whether a driver of time is connected."""
        return self._driver is not None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Start serving and pacing; returns the port."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_LINE)
        self._pace = asyncio.create_task(self._follow_wall())
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop serving; time stands still."""
        if self._pace is not None:
            self._pace.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pace
        if self._server is not None:
            self._server.close()

    async def _follow_wall(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(_WALL_TICK)
            now = time.monotonic()
            if self._driver is None:
                async with self._moving:
                    await self._timeline.advance(self._timeline.now + (now - last) * self._factor, wait=False)
            last = now

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if self._driver is writer:
                self._driver = None
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await reader.readline()
            except ValueError:  # longer than MAX_LINE
                writer.write(encode(ClockError("line too long")))
                return
            if not line.endswith(b"\n"):
                return
            try:
                request = decode_request(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                writer.write(encode(ClockError(f"not understood: {error}")))
                return
            if isinstance(request, Hello):
                if request.role == "driver" and self._driver not in (None, writer):
                    writer.write(encode(ClockError("another run is driving the lab's time")))
                    return
                if request.role == "driver":
                    self._driver = writer
                writer.write(encode(Welcome(self._timeline.now)))
            elif isinstance(request, Advance):
                if self._driver is not writer:
                    writer.write(encode(ClockError("only the driver of time may advance it")))
                    return
                await self._advance(request.to, reader, writer)
                writer.write(encode(Advanced(request.id, self._timeline.now)))
            else:
                writer.write(encode(Advanced(request.id, self._timeline.now)))
            await writer.drain()

    async def _advance(self, to: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Advance, but give up as soon as the driver has gone: orphaned time belongs to the wall."""

        async def move() -> None:
            async with self._moving:
                await self._timeline.advance(to, wait=True)

        task = asyncio.create_task(move())
        while not task.done():
            await asyncio.wait({task}, timeout=0.5)
            if reader.at_eof() or writer.is_closing():
                task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
