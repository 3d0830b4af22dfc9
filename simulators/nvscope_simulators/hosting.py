"""Serve instruments from a thread of the present process: for tests, notebooks and trying a driver out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from nvscope_simulators.instruments.base import SimulatedInstrument
from nvscope_simulators.tcp import TcpServer, serve_tcp
from nvscope_simulators.timeline import Timeline

T = TypeVar("T")
_PATIENCE = 30.0  # wall s
_LAST_TURNS = 5  # of the loop; accepting a connection takes three


class Host:
    """A context that runs an event loop in a thread and serves instruments on it.

    Rig time stands still unless `advance` moves it, so that what is measured does not depend on the wall clock.

    Parameters
    ----------
    timeline : Timeline, optional
        The time of the world behind the instruments.

    Examples
    --------
    >>> with Host(world.timeline) as host:  # doctest: +SKIP
    ...     server = host.serve(SimulatedSG384(world, SG384Settings()))
    ...     source = SG384Source.connect(host.address(server), SG384Source.Settings())
    """

    def __init__(self, timeline: Timeline | None = None) -> None:
        self.timeline = timeline or Timeline()
        self.servers: list[TcpServer] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulated-lab", daemon=True)

    def __enter__(self) -> Host:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers:
            self.run(server.close())
        self.run(_settle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the lab's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call `function` on the lab's loop: the only safe way to touch the world while it is being served."""

        async def work() -> T:
            return function(*arguments)

        return self.run(work())

    def serve(self, instrument: SimulatedInstrument, **options: Any) -> TcpServer:
        """Serve an instrument; `options` are those of `serve_tcp`."""
        server = self.run(serve_tcp(instrument, **options))
        self.servers.append(server)
        return server

    def address(self, server: TcpServer) -> str:
        """Return the VISA address of a server."""
        return f"TCPIP::127.0.0.1::{server.port}::SOCKET"

    def advance(self, seconds: float) -> None:
        """Let `seconds` of rig time pass."""
        self.run(self.timeline.advance(self.timeline.now + seconds, wait=True))


async def _settle() -> None:
    """Let connections that were on their way when the servers closed be made, and ended."""
    for _ in range(_LAST_TURNS):
        await asyncio.sleep(0)
