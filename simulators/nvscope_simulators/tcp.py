"""Puts a simulated instrument on a TCP port: connections, limits, banners, and the place where faults strike."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nvscope_simulators.instruments.base import HangUp, Session, SimulatedInstrument

_log = logging.getLogger(__name__)

READ_SIZE = 65536
MAX_UNSENT = 1 << 20
"""Bytes of replies a client may leave unread before the instrument stops listening to it."""


@dataclass(frozen=True)
class Delivery:
    """What becomes of a reply on its way to the client.

    Attributes
    ----------
    data : bytes
        What is sent.
    delay : float
        Wall seconds before it is sent; the connection answers nothing else meanwhile.
    close : bool
        Whether the connection is closed afterwards.
    """

    data: bytes
    delay: float = 0.0
    close: bool = False


class Faults:
    """What may go wrong on one instrument's wire; this one lets everything through.

    Subclasses override what they disturb. All methods run on the lab's event loop and return at once.
    """

    def admits(self) -> bool:
        """Whether a new connection is let in; False closes it as soon as it is there."""
        return True

    def pieces(self, data: bytes) -> Sequence[bytes]:
        """Cut what arrived into the messages that `exchange` sees one by one; all at once if it does not matter."""
        return (data,)

    def exchange(self, message: bytes, process: Callable[[bytes], bytes]) -> Delivery:
        """Pass `message` on to the instrument (or not) and decide what becomes of the reply."""
        return Delivery(process(message))


class TcpServer:
    """A running server; made by `serve_tcp`.

    Attributes
    ----------
    port : int
        Where it listens.
    refused : int
        Connections turned away.
    crashes : int
        Errors that escaped an instrument's parser; each closed its connection and was logged. Always 0 in health.
    """

    def __init__(self, instrument: SimulatedInstrument, faults: Faults, banner_delay: float) -> None:
        self.instrument = instrument
        self.faults = faults
        self.banner_delay = banner_delay
        self.port = 0
        self.refused = 0
        self.crashes = 0
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._closing = False

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._connections)

    async def start(self, host: str, port: int) -> None:
        """Listen on `host`:`port` (0: any free port)."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=READ_SIZE)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and close every connection."""
        self._closing = True
        if self._server is not None:
            self._server.close()
        self.drop_all()
        if self._connections:
            await asyncio.wait(set(self._connections), timeout=2.0)

    def drop_all(self) -> None:
        """Cut every connection; the server goes on listening."""
        for task in tuple(self._connections):
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._closing:  # it was waiting to be accepted
            writer.transport.abort()
            return
        if len(self._connections) >= self.instrument.max_connections or not self.faults.admits():
            self.refused += 1
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, HangUp, asyncio.CancelledError):
            pass  # the client left, the instrument hung up, or the lab is closing: ordinary ends of a connection
        except Exception:
            self.crashes += 1
            _log.exception("%s: connection closed after an internal error", self.instrument.model)
        finally:
            self._connections.discard(task)
            writer.transport.abort()  # a peer that does not read must not keep the connection alive

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        writer.transport.set_write_buffer_limits(high=MAX_UNSENT)
        banner, session = self.instrument.open_session()
        if banner:
            await asyncio.sleep(self.banner_delay)
            await _send(writer, banner)
        attach = getattr(session, "attach", lambda send: None)
        attach(writer.write)
        try:
            while True:
                data = await reader.read(READ_SIZE)
                if not data:
                    await _flush(writer)
                    return
                for piece in self.faults.pieces(data):
                    if not await self._answer(piece, session, writer):
                        return
        finally:
            attach(None)

    async def _answer(self, data: bytes, session: Session, writer: asyncio.StreamWriter) -> bool:
        delivery = self.faults.exchange(data, session.receive)
        if delivery.delay > 0:
            await asyncio.sleep(delivery.delay)
        if delivery.data:
            await _send(writer, delivery.data)
        return not delivery.close


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _flush(writer: asyncio.StreamWriter) -> None:
    """Give a half-closed client its last replies before the connection is cut."""
    writer.transport.set_write_buffer_limits(high=0)
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        await asyncio.wait_for(writer.drain(), timeout=1.0)


async def serve_tcp(
    instrument: SimulatedInstrument,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    faults: Faults | None = None,
    banner_delay: float = 0.0,
) -> TcpServer:
    """Serve `instrument` on a TCP port of the running event loop.

    Parameters
    ----------
    instrument : SimulatedInstrument
        What answers. At most ``instrument.max_connections`` clients are served; more are closed on arrival.
    host, port : str, int
        Where to listen; port 0 takes any free one.
    faults : Faults, optional
        What goes wrong on the wire; nothing by default.
    banner_delay : float
        Wall seconds between accepting a client and greeting it: clients that clear their input when they open the
        connection eat a banner that is there at once.

    Returns
    -------
    TcpServer
        Listening, with its ``port``.
    """
    server = TcpServer(instrument, faults or Faults(), banner_delay)
    await server.start(host, port)
    return server
