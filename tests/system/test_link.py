"""A run's sockets: what is heard, and what is said when it can be."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from nvscope.clock import WallClock
from nvscope.devices.sink import FrameTag
from nvscope.engine.link import RunLink
from nvscope.stream.messages import Frame, Heartbeat, Message, PointOpened, Ready
from nvscope.stream.sockets import Receiver, Sender

PATIENCE = 30.0


async def _next(receiver: Receiver, told: Sender) -> Message | None:
    """Return what comes next, while the recorder goes on saying that it lives."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        told.send(Heartbeat("recorder", {}), timeout=5.0)
        await asyncio.sleep(0.02)
        received = receiver.receive(0.02)
        if received is not None:
            return received.message
    return None


def test_a_new_fitter_that_is_heard_before_it_can_be_spoken_to_takes_part_all_the_same():
    link = RunLink(WallClock(), 1000)
    image = np.zeros((4, 4), np.uint16)

    async def run():
        link.attach(asyncio.get_running_loop())
        with (
            Receiver.connect(link.recorder.endpoint, "the run"),
            Sender.connect(link.reports.endpoint, "the run") as told,
            # stays connected: the end of a process may be noticed later than the start of the next
            Receiver.connect(link.fitter.endpoint, "the run"),
        ):
            await link.open_point("odmr", [2.6e9, 2.87e9, 3.1e9], (4, 4), {})
            endpoint = link.lose_fitter("the fitter process ended unexpectedly")
            told.send(Ready("fitter"), timeout=5.0)
            await asyncio.sleep(0.2)  # heard, but its other socket is not connected yet
            await asyncio.wait_for(link.frame(FrameTag(0, 0, 0, 0, 0, False, 0.0), image), PATIENCE)
            with Receiver.connect(endpoint, "the run") as fitter:
                first = await _next(fitter, told)
                await asyncio.wait_for(link.frame(FrameTag(0, 0, 0, 1, 1, False, 0.1), image), PATIENCE)
                return first, await _next(fitter, told)

    try:
        first, second = asyncio.run(run())
    finally:
        link.close()
    assert isinstance(first, PointOpened)
    assert isinstance(second, Frame)
    assert second.number == 1
