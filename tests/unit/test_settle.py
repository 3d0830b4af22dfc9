"""Waiting until a quantity has settled, and what is said when it does not."""

import asyncio

import pytest

from nvscope.devices.settle import Band, settle
from nvscope.errors import SettleTimeout


class Stepped:
    """Rig time that passes when somebody sleeps."""

    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time


def wait(course, patience=600.0, interval=2.0):
    """Settle at 20 ± 0.05 K for 30 s, the ramp ending at 100 s; the reading is a function of rig time."""
    clock = Stepped()

    async def read():
        return course(clock.time)

    async def pause(seconds):
        clock.time += seconds
        return False

    band = Band(20.0, 0.05, 30.0, 100.0, patience, "K")
    return asyncio.run(settle(clock, read, band, lambda _: interval, pause, "cryostat")), clock.time


def test_the_dwell_counts_from_when_it_came_to_stay():
    done, when = wait(lambda t: 20.0 if t > 90 and not 110 < t < 120 else 25.0)
    assert done
    assert when == pytest.approx(150, abs=3)


def test_giving_up_shows_the_way_it_went():
    with pytest.raises(SettleTimeout) as caught:
        wait(lambda t: 25.0 - 0.04 * t if t < 100 else 21.0 - (t - 100) * 1e-3)
    text = str(caught.value)
    assert text.startswith("cryostat did not stay within 0.05 K of 20 K for 30 s; gave up 600 s after the ramp")
    assert "25 K at -702 s" in text  # where it came from
    assert "20.398 K at +0 s (now)" in text
    assert "; 0 of " in text
    assert text.count(" K at ") <= 10
