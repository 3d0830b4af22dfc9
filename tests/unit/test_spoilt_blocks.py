"""Blocks during which something was wrong: discarded with the reason, and taken again once all is set anew."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from nvscope.clock import WallClock
from nvscope.config import Limits
from nvscope.devices.odmr import OdmrDevice
from nvscope.devices.odmr_point import dimmed
from nvscope.devices.odmr_requests import OpenPoint, TakeBlock
from nvscope.devices.sweeper import SweepSpoilt
from nvscope.errors import InstrumentError

SHAPE = (4, 4)
FULL, OFFSET = 1100, 100
AXIS = tuple(2.8e9 + 1e6 * step for step in range(10))


class Rig:
    """A sweeper whose light is at `levels` (counts), one for each block, and that has `complaints` about them."""

    shape = SHAPE

    def __init__(self, complaints=(), levels=(), stuck=None):
        self.complaints, self.levels, self.stuck = list(complaints), list(levels), stuck
        self.prepared = 0

    async def prepare(self, *_):
        self.prepared += 1
        if self.stuck is not None and self.prepared > 1:
            raise InstrumentError(self.stuck)

    async def run(self, frequencies, deliver, pause):
        light = self.levels.pop(0) if self.levels else np.full(len(frequencies), FULL)
        for number, level in enumerate(light):
            await deliver(number, np.full(SHAPE, level, np.uint16), float(number))
        return True

    async def wrong(self):
        return self.complaints.pop(0) if self.complaints else ()

    async def rest(self):
        pass


class Sink:
    """Remembers how blocks were closed."""

    def __init__(self):
        self.closed = []

    async def open_point(self, *_):
        return 0

    async def frame(self, tag, image):
        pass

    async def close_block(self, point, block, frames, sweeps, valid, reason="", shift=None):
        self.closed.append((block, valid, reason))

    def latest(self, point):
        return None


def take(rig, blocks=1):
    """Take blocks of a point; returns how they were closed and the error it ended with."""
    sink = Sink()
    attrs = {"camera_offset": OFFSET}
    device = OdmrDevice(rig, sink, WallClock(), Limits(), lambda *_: (0.0, 0.0), SHAPE, 0.0, attrs=attrs)

    async def point():
        await device._open_point(OpenPoint("test", AXIS, 1, 0.01, 0.0, 0.01))
        for _ in range(blocks):
            await device._take_block(TakeBlock())

    try:
        asyncio.run(point())
    except Exception as error:
        return sink.closed, error
    return sink.closed, None


def test_a_block_with_a_fault_is_discarded_with_its_reason_and_taken_again_after_all_is_set_anew():
    rig = Rig([("microwave: off", "laser: cold"), ("microwave: off",)])
    closed, error = take(rig, blocks=2)
    assert error is None
    assert closed == [
        (0, False, "microwave: off; laser: cold"),
        (1, False, "microwave: off"),
        (2, True, ""),
        (3, True, ""),
    ]
    assert rig.prepared == 3


def test_three_times_are_enough():
    closed, error = take(Rig([("microwave: unlocked",)] * 3))
    assert [valid for _, valid, _ in closed] == [False] * 3
    assert isinstance(error, SweepSpoilt)
    assert str(error) == "3 blocks in a row discarded, the last: microwave: unlocked"


def test_what_cannot_be_switched_on_again_ends_the_point():
    closed, error = take(Rig([("laser: interlock",)], stuck="laser cannot emit: interlock"))
    assert closed == [(0, False, "laser: interlock")]
    assert str(error) == "laser cannot emit: interlock"


def test_what_was_switched_off_by_an_abort_is_not_switched_on_again():
    rig, sink = Rig(), Sink()
    device = OdmrDevice(rig, sink, WallClock(), Limits(), lambda *_: (0.0, 0.0), SHAPE, 0.0)

    async def made_safe():
        device.stop()
        return ("laser: off",)

    async def point():
        await device._open_point(OpenPoint("test", AXIS, 1, 0.01, 0.0, 0.01))
        rig.wrong = made_safe
        assert await device.set(TakeBlock()).ended(5.0)

    asyncio.run(point())
    assert sink.closed == [(0, False, "laser: off")]
    assert rig.prepared == 1


def test_frames_without_light_discard_their_block():
    dark = np.full(len(AXIS), OFFSET)
    partly = np.where(np.arange(len(AXIS)) < 6, FULL, OFFSET)
    closed, error = take(Rig(levels=[partly, np.full(len(AXIS), FULL), dark]), blocks=2)
    assert error is None
    assert [valid for _, valid, _ in closed] == [False, True, False, True]
    assert "4 of 10 frames, from frame 6 on, have less than half the light" in closed[0][2]
    assert "10 of 10 frames" in closed[2][2]  # against the block before


@pytest.mark.parametrize("part", [0.01, 0.4, 0.5, 0.6, 0.99])
@pytest.mark.parametrize("shuffled", [False, True])
def test_light_that_is_off_for_a_part_of_a_sweep_is_seen(part, shuffled):
    rng = np.random.default_rng(3)
    light = 1000 * (1 - 0.08 * (rng.random(800) < 0.2)) * (np.arange(800) >= round(800 * part))
    if shuffled:  # one contact, not noise: still in one piece
        light = np.roll(light, 400)
    assert dimmed(OFFSET + light + rng.normal(0, 0.5, 800), OFFSET) != ""


def test_neither_deep_lines_nor_the_noise_of_little_or_no_light_is_taken_for_a_fault():
    rng = np.random.default_rng(4)
    dips = 1 - 0.3 * np.exp(-(((np.arange(800) - 400) / 20) ** 2))
    assert dimmed(OFFSET + 1000 * rng.permutation(dips), OFFSET) == ""
    for light in (0.0, 0.3, 3.0):
        assert dimmed(OFFSET + light * dips + rng.normal(0, 0.1, 800), OFFSET, light) == ""
    assert dimmed([], OFFSET) == dimmed([0.0], OFFSET) == ""
