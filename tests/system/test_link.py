"""A run's sockets: what is heard, and what is said when it can be."""

from __future__ import annotations

import asyncio

from nvscope.clock import WallClock
from nvscope.engine.link import RunLink
from nvscope.stream.messages import Heartbeat, PointOpened, Ready
from nvscope.stream.sockets import Receiver, Sender


def test_a_new_fitter_that_is_heard_before_it_can_be_spoken_to_takes_part_all_the_same():
    link = RunLink(WallClock(), 1000)

    async def run():
        link.attach(asyncio.get_running_loop())
        with (
            Receiver.connect(link.recorder.endpoint, "the run"),
            Sender.connect(link.reports.endpoint, "the run") as told,
        ):
            with Receiver.connect(link.fitter.endpoint, "the run"):
                await link.open_point("odmr", [2.6e9, 2.87e9, 3.1e9], (4, 4), {})
            link.lose_fitter("the fitter process ended unexpectedly")
            told.send(Ready("fitter"), timeout=5.0)
            await asyncio.sleep(0.3)  # heard, but its other socket is not connected yet
            with Receiver.connect(link.fitter.endpoint, "the run") as fitter:
                for _ in range(50):
                    told.send(Heartbeat("recorder", {}), timeout=5.0)
                    await asyncio.sleep(0.05)
                    received = fitter.receive(0.05)
                    if received is not None:
                        return received.message
        return None

    try:
        assert isinstance(asyncio.run(run()), PointOpened)
    finally:
        link.close()
