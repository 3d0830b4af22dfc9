from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvscope.stream.messages import BlockClosed, Frame
from nvscope.stream.order import FrameOrder

STEPS = 5


def train(block: int, sweep: int, per_step: int = 2, point: int = 0) -> list[Frame]:
    """One hardware train: a whole sweep in one arming."""
    return [Frame(point, block, sweep, i // per_step, i, False, float(i), (4, 4)) for i in range(STEPS * per_step)]


def stepped(block: int, sweep: int, per_step: int = 2) -> list[Frame]:
    """A software-stepped sweep: one arming per step."""
    return [
        Frame(0, block, sweep, step, i, reference, 0.0, (4, 4))
        for step in range(STEPS)
        for reference in (False, True)
        for i in range(per_step)
    ]


def long_train(block: int, sweeps: int) -> list[Frame]:
    """Several sweeps in one arming."""
    return [Frame(0, block, i // STEPS, i % STEPS, i, False, 0.0, (4, 4)) for i in range(STEPS * sweeps)]


def judge(frames: list[Frame], sent: int, sweeps: int, block: int = 0) -> str:
    order = FrameOrder()
    for frame in frames:
        order.frame(frame)
    return order.close(BlockClosed(0, block, sent, sweeps, True, 0.0))


SCHEMES = [train(0, 0) + train(0, 1), stepped(0, 0) + stepped(0, 1), long_train(0, 2), stepped(0, 0, 1)]


@pytest.mark.parametrize("frames", SCHEMES)
def test_whole_blocks_are_clean_however_they_were_timed(frames: list[Frame]) -> None:
    assert judge(frames, len(frames), len({frame.sweep for frame in frames})) == ""


@settings(deadline=None)
@given(st.sampled_from(SCHEMES), st.data())
def test_one_damage_anywhere_is_seen(frames: list[Frame], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(frames) - 1))
    kind = data.draw(st.sampled_from(["lose", "double", "swap"]))
    damaged = list(frames)
    if kind == "lose":
        del damaged[at]
    elif kind == "double":
        damaged.insert(at, damaged[at])
    else:
        other = data.draw(st.integers(0, len(frames) - 1).filter(lambda i: frames[i] != frames[at]))
        damaged[at], damaged[other] = damaged[other], damaged[at]
    sweeps = len({frame.sweep for frame in frames})
    told = judge(damaged, len(frames), sweeps)
    if kind == "swap" and frames[at].number == frames[other].number:
        return  # of two armings; each still carries its own sweep and step, so no sum is wrong
    assert told != ""


def test_a_lost_frame_replaced_by_nothing_is_named() -> None:
    frames = train(0, 0)
    del frames[3]
    assert "frame number 4" in judge(frames, len(frames), 1)


def test_a_train_may_run_on_into_the_next_block_and_a_bad_block_does_not_spoil_it() -> None:
    order = FrameOrder()
    first, second, third = (long_train(b, 3)[b * STEPS : (b + 1) * STEPS] for b in range(3))
    del first[2]
    for block, frames in enumerate([first, second, third]):
        for frame in frames:
            order.frame(frame)
        told = order.close(BlockClosed(0, block, STEPS, 1, True, 0.0))
        assert bool(told) == (block == 0)


def test_frames_of_another_block_are_seen() -> None:
    assert "among those" in judge([*train(0, 0), *train(1, 1)], 2 * STEPS * 2, 2)
    assert "closed while" in judge(train(1, 0), STEPS * 2, 1)


def test_the_number_of_sweeps_is_checked() -> None:
    assert "2 sweeps were sent" in judge(train(0, 0), STEPS * 2, 2)


def test_a_point_that_ended_inside_a_block_is_forgotten() -> None:
    order = FrameOrder()
    for frame in train(0, 0)[:4]:
        order.frame(frame)
    assert order.forget() == 4
    for frame in train(0, 0, point=1):
        order.frame(frame)
    assert order.close(BlockClosed(1, 0, STEPS * 2, 1, True, 0.0)) == ""


@pytest.mark.parametrize(
    ("frames", "damage"),
    [
        # one frame an arming: a lost one leaves no gap, and a late one fills the total
        (stepped(0, 0, 1), lambda f: [*f[:4], *f[5:8], f[1], *f[8:]]),
        # the last frame of an arming comes after the first of the next, in place of that one's last
        (stepped(0, 0, 2), lambda f: [*f[:1], *f[2:3], f[1], *f[4:]]),
        # a sweep's tail is lost and its head comes twice
        (train(0, 0) + train(0, 1), lambda f: [*f[:8], *f[10:], f[0], f[1]]),
    ],
)
def test_what_is_lost_is_not_made_good_by_what_is_late(frames: list[Frame], damage: Callable[..., Any]) -> None:
    damaged = damage(frames)
    if len(damaged) < len(frames):
        damaged.append(frames[-1])
    assert len(damaged) == len(frames)
    assert judge(damaged, len(frames), len({frame.sweep for frame in frames}))


def test_frames_with_microwaves_on_and_off_may_take_turns_within_an_arming() -> None:
    frames = [Frame(0, 0, 0, i // 4, i, i % 2 == 1, 0.0, (4, 4)) for i in range(4 * STEPS)]
    assert judge(frames, len(frames), 1) == ""
