"""How what a device does ends."""

import asyncio

from nvscope.clock import WallClock
from nvscope.devices.base import Device


def test_what_is_under_way_is_ended_before_the_safe_state():
    """A point being opened when its run is aborted must not switch the microwaves on after they were switched off."""

    class Slow(Device):
        def __init__(self):
            super().__init__("slow", None, None, WallClock())
            self.done = []

        async def work(self, seconds, *, heeds):
            for _ in range(int(seconds / 0.01)):
                if heeds and await self._pause_for(0.01):
                    self.done.append("stopped")
                    return
                await asyncio.sleep(0 if heeds else 0.01)
            self.done.append("output on")

    async def scenario():
        heeding, deaf = Slow(), Slow()
        heeding._start(heeding.work(30.0, heeds=True), "ramp")
        deaf._start(deaf.work(30.0, heeds=False), "open")
        await asyncio.sleep(0.02)
        await asyncio.gather(heeding.end(0.2), deaf.end(0.2))
        await Slow().end()  # nothing under way
        return heeding.done, deaf.done, deaf._moving

    assert asyncio.run(scenario()) == (["stopped"], [], False)
