"""The clock rule of the design, through a real clock server and a real event loop."""

import asyncio
import socket
import threading
import time

import pytest
from nvscope_simulators.clock_server import ClockServer
from nvscope_simulators.timeline import Timeline

from nvscope.clock import ClockEventLoop, DrivenClock, Hello, decode_reply, encode
from nvscope.errors import InstrumentError


class ServedTimeline:
    """A timeline with its clock server in a thread."""

    def __init__(self, factor: float = 0.0) -> None:
        self.timeline = Timeline()
        self.server = ClockServer(self.timeline, factor)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self.server.start(), self.loop).result(5)
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


def drive(lab: ServedTimeline, main):
    """Run ``main(clock)`` on a loop that drives the lab."""
    clock = DrivenClock("127.0.0.1", lab.port)
    loop = ClockEventLoop(clock)
    try:
        return loop.run_until_complete(asyncio.wait_for(main(clock), 20))
    finally:
        clock.close()
        loop.close()


def test_an_hour_of_waiting_costs_no_time_and_arrives_exactly():
    async def main(clock):
        await clock.sleep(3600.0)
        return clock.now()

    with ServedTimeline() as lab:
        assert drive(lab, main) == 3600.0
        assert lab.timeline.now == 3600.0


def test_waits_end_in_order_and_at_their_own_deadlines():
    seen = []

    async def sleeper(clock, seconds):
        await clock.sleep(seconds)
        seen.append((seconds, clock.now()))

    async def main(clock):
        await asyncio.gather(*(sleeper(clock, s) for s in (5.0, 1.0, 3.0)))

    with ServedTimeline() as lab:
        drive(lab, main)
    assert seen == [(1.0, 1.0), (3.0, 3.0), (5.0, 5.0)]


def test_a_passive_sleeper_alone_never_moves_time():
    async def main(clock):
        watcher = asyncio.ensure_future(clock.sleep(10.0, passive=True))
        await asyncio.sleep(0.3)
        moved = clock.now()
        watcher.cancel()
        return moved

    with ServedTimeline() as lab:
        assert drive(lab, main) == 0.0


def test_a_passive_sleeper_bounds_the_jump_of_an_active_one():
    samples = []

    async def watch(clock):
        while True:
            await clock.sleep(10.0, passive=True)
            samples.append(clock.now())

    async def main(clock):
        watcher = asyncio.ensure_future(watch(clock))
        await clock.sleep(35.0)
        watcher.cancel()

    with ServedTimeline() as lab:
        drive(lab, main)
    assert samples == [10.0, 20.0, 30.0]


def test_time_stands_still_while_a_hold_is_open():
    async def main(clock):
        sleeper = asyncio.ensure_future(clock.sleep(10.0))
        with clock.hold():
            await asyncio.sleep(0.3)
            held = clock.now()
        await sleeper
        return held, clock.now()

    with ServedTimeline() as lab:
        assert drive(lab, main) == (0.0, 10.0)


def test_a_barrier_keeps_time_from_outrunning_deliveries():
    """What the lab must deliver before time goes on is delivered before the sleeper wakes."""
    delivered = []

    async def main(clock):
        await clock.sleep(5.0)
        return list(delivered)

    with ServedTimeline() as lab:
        pending = []

        async def deliver():
            await asyncio.sleep(0.05)
            delivered.append(pending.pop())

        for when in (1.0, 2.0, 6.0):
            lab.timeline.at(when, lambda when=when: pending.append(when))
        lab.timeline.add_barrier(lambda: deliver() if pending else None)
        assert drive(lab, main) == [1.0, 2.0]


def test_an_abort_is_not_delayed_by_a_long_wait():
    async def main(clock):
        sleeper = asyncio.ensure_future(clock.sleep(1e9))
        await asyncio.sleep(0)
        sleeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeper
        return True

    with ServedTimeline() as lab:
        assert drive(lab, main)


def test_a_second_driver_is_refused_and_says_why():
    with ServedTimeline() as lab:
        first = DrivenClock("127.0.0.1", lab.port)
        with pytest.raises(InstrumentError, match="another run is driving"):
            DrivenClock("127.0.0.1", lab.port)
        first.close()


def test_wall_pace_resumes_when_the_driver_has_gone():
    async def main(clock):
        await clock.sleep(100.0)

    with ServedTimeline(factor=1000.0) as lab:
        drive(lab, main)
        deadline = time.monotonic() + 10
        while lab.timeline.now < 150.0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert lab.timeline.now >= 150.0


def test_sleepers_fail_when_the_lab_dies():
    async def main(clock, lab):
        lab.timeline.at(5.0, lambda: None)
        sleeper = asyncio.ensure_future(clock.sleep(1.0))
        await sleeper
        asyncio.run_coroutine_threadsafe(lab.server.stop(), lab.loop)
        lab.loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(lab.loop)])
        with pytest.raises(InstrumentError):
            await clock.sleep(10.0)
        return True

    with ServedTimeline() as lab:
        clock = DrivenClock("127.0.0.1", lab.port)
        loop = ClockEventLoop(clock)
        try:
            assert loop.run_until_complete(asyncio.wait_for(main(clock, lab), 20))
        finally:
            clock.close()
            loop.close()


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\xff\n", b'"\xff\xfe"\n', b'{"type":"\xff"}\n', b"{}\n", b'{"type":"advance"}\n', b"x" * 10_000 + b"\n"],
)
def test_the_clock_socket_answers_garbage_with_an_error_and_survives(garbage):
    with ServedTimeline() as lab:
        with socket.create_connection(("127.0.0.1", lab.port), timeout=5) as raw:
            raw.sendall(garbage)
            assert b"error" in raw.recv(4096)
        with socket.create_connection(("127.0.0.1", lab.port), timeout=5) as raw:
            raw.sendall(encode(Hello("observer")))
            assert decode_reply(raw.recv(4096).splitlines()[0]).now == 0.0
