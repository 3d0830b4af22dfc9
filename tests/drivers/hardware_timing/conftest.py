"""A small deterministic lab on a thread of its own: timeline, ports, NI card and camera link."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import grpc
import numpy as np
import pytest
from nidaqmx import GrpcSessionOptions
from numpy.typing import NDArray
from nvscope_simulators.nidaqmx_server import NIDAQmxServer, NISettings
from nvscope_simulators.ports import Ports
from nvscope_simulators.timeline import Timeline

Result = TypeVar("Result")


class SmallWorld:
    """Images that say when they were taken: pixel 0 holds the number of exposures so far, pixel 1 milliseconds."""

    def __init__(self, shape: tuple[int, int] = (8, 12)) -> None:
        self.timeline = Timeline()
        self.ports = Ports()
        self.rng = np.random.default_rng(7)
        self.image_shape = shape
        self.saturation = 65535
        self.exposures: list[tuple[float, float]] = []

    def expose(self, exposure: float, out: NDArray[np.uint16]) -> None:
        self.exposures.append((self.timeline.now, exposure))
        flat = out.reshape(-1)
        flat[:] = np.arange(flat.size, dtype=np.uint16)
        flat[0] = len(self.exposures)
        flat[1] = round(self.timeline.now * 1e3) % 65536

    def temperature(self, sensor: str) -> float:
        return 20.0

    def coil_resistance(self, axis: str) -> float:
        return 1.0

    def coil_temperature(self, axis: str) -> float:
        return 295.0

    def applied_field(self) -> NDArray[np.float64]:
        return np.zeros(3)

    def four_probe_voltage(self, current: float) -> float:
        return 0.0

    def two_probe_voltage(self, current: float) -> float:
        return 0.0


class SmallLab:
    """An event loop on a thread, with a world and whatever servers a test starts."""

    def __init__(self, world: SmallWorld) -> None:
        self.world = world
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="small lab", daemon=True)
        self._thread.start()
        self._pacing: Any = None

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def call(self, coroutine: Coroutine[Any, Any, Result], timeout: float = 20.0) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    def do(self, function: Callable[[], Result]) -> Result:
        async def run() -> Result:
            return function()

        return self.call(run())

    def advance(self, seconds: float, *, wait: bool = True) -> float:
        async def run() -> float:
            await self.world.timeline.advance(self.world.timeline.now + seconds, wait=wait)
            return self.world.timeline.now

        return self.call(run(), timeout=60.0)

    def pace(self, factor: float = 1.0) -> None:
        """Let time follow the wall from now on."""

        async def run() -> None:
            last = time.monotonic()
            while True:
                await asyncio.sleep(0.002)
                now = time.monotonic()
                await self.world.timeline.advance(self.world.timeline.now + (now - last) * factor, wait=False)
                last = now

        self._pacing = asyncio.run_coroutine_threadsafe(run(), self._loop)

    def close(self) -> None:
        if self._pacing is not None:
            self._pacing.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


@pytest.fixture
def lab() -> Iterator[SmallLab]:
    lab = SmallLab(SmallWorld())
    yield lab
    lab.close()


@pytest.fixture
def edges(lab: SmallLab) -> list[float]:
    """Rig times of the edges on the line "sweep"."""
    times: list[float] = []
    lab.world.ports.triggers.plug("sweep", lambda: times.append(lab.world.timeline.now))
    return times


@pytest.fixture
def card(lab: SmallLab) -> Iterator[NIDAQmxServer]:
    """The card, served; its port is `card.port`."""

    async def start() -> NIDAQmxServer:
        server = NIDAQmxServer(lab.world, NISettings(jumpers={"PFI13": "PFI0"}))
        server.port = await server.start()  # type: ignore[attr-defined]
        return server

    server = lab.call(start())
    yield server
    assert server.crashes == 0
    lab.call(server.stop())


@pytest.fixture
def channel(card: NIDAQmxServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{card.port}") as channel:  # type: ignore[attr-defined]
        yield channel


@pytest.fixture
def options(channel: grpc.Channel) -> GrpcSessionOptions:
    """What `nidaqmx.Task` takes to talk to the card."""
    return GrpcSessionOptions(channel, "")
