"""Sums per frequency: any order, only whole blocks, nothing lost in silence."""

from __future__ import annotations

import numpy as np
import pytest

from nvscope.odmr.accumulator import Accumulator
from nvscope.stream.messages import BlockClosed, Frame, PointOpened

SHAPE = (3, 4)
STEPS = 5


def opened():
    return PointOpened(2, "odmr", [1e9 + 1e6 * k for k in range(STEPS)], SHAPE, 0.0)


def frames(order, block=0, sweep=0, first=0, reference=False):
    return [Frame(2, block, sweep, step, first + n, reference, 0.1 * n, SHAPE) for n, step in enumerate(order)]


def image(step, sweep=0):
    return np.full(SHAPE, 60000 + 100 * step + sweep, np.uint16)


def closed(count, sweeps=1, valid=True, block=0, reason=""):
    return BlockClosed(2, block, count, sweeps, valid, 1.0, reason)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]])
def test_sums_whatever_the_order(order):
    sums = Accumulator(opened())
    for frame in frames(order):
        assert sums.add(frame, image(frame.step))
    assert sums.close(closed(len(order))) == ""
    spectra = sums.spectra(live=False)
    np.testing.assert_array_equal(spectra.frames, np.bincount(order))
    np.testing.assert_allclose(spectra.signal[:, 1, 2], 60000 + 100 * np.arange(STEPS))
    assert spectra.sweeps == 1


def test_blocks_add_up_and_invalid_ones_are_forgotten():
    sums = Accumulator(opened())
    for block, (value, valid) in enumerate([(0, True), (500, False), (2, True)]):
        for frame in frames(range(STEPS), block=block, sweep=block):
            sums.add(frame, image(frame.step, value))
        reason = sums.close(closed(STEPS, valid=valid, block=block, reason="a pulse was missed"))
        assert reason == ("" if valid else "a pulse was missed")
    spectra = sums.spectra(live=True)
    np.testing.assert_allclose(spectra.signal[0], 60001)
    assert spectra.frames.tolist() == [2] * STEPS
    assert sums.lost == 0


def test_open_blocks_show_only_live():
    sums = Accumulator(opened())
    for frame in frames([0, 1, 2]):
        sums.add(frame, image(frame.step))
    assert sums.spectra(live=True).frames.tolist() == [1, 1, 1, 0, 0]
    assert np.isnan(sums.spectra(live=True).signal[4]).all()
    assert not sums.spectra(live=False).frames.any()
    assert sums.has_open_frames()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda train: train[:2] + train[3:],  # lost within
        lambda train: train[:-1],  # lost at the end
        lambda train: [*train[:3], train[2], *train[3:]],  # doubled
        lambda train: [train[1], train[0], *train[2:]],  # out of order
    ],
)
def test_a_spoilt_block_is_never_averaged_in(spoil):
    sums = Accumulator(opened())
    for frame in spoil(frames(range(STEPS))):
        sums.add(frame, image(frame.step))
    assert sums.close(closed(STEPS))
    assert not sums.spectra(live=True).frames.any()
    assert sums.lost >= 1
    for frame in frames(range(STEPS), block=1, sweep=0):
        sums.add(frame, image(frame.step))
    assert sums.close(closed(STEPS, block=1)) == ""
    assert sums.spectra(live=False).frames.tolist() == [1] * STEPS


def test_frames_that_do_not_fit_spoil_their_block():
    sums = Accumulator(opened())
    assert not sums.add(Frame(2, 0, 0, STEPS, 0, False, 0.0, SHAPE), image(0))
    assert not sums.add(Frame(2, 0, 0, 0, 1, False, 0.0, (2, 2)), np.zeros((2, 2), np.uint16))
    assert "does not fit" in sums.close(closed(2))


def test_reference_frames_are_kept_apart():
    sums = Accumulator(opened())
    for sweep, reference in ((0, False), (0, True)):
        for frame in frames(range(STEPS), sweep=sweep, reference=reference):
            sums.add(frame, image(frame.step) if not reference else np.full(SHAPE, 50000, np.uint16))
    assert sums.close(closed(2 * STEPS)) == ""
    spectra = sums.spectra(live=False)
    np.testing.assert_allclose(spectra.light, 50000)
    np.testing.assert_allclose(spectra.signal[4], 60400)
    assert spectra.reference_frames.tolist() == [1] * STEPS


def test_blocks_that_moved_are_moved_back_before_they_are_added():
    shape = (20, 24)
    point = PointOpened(2, "odmr", [1e9, 1.1e9], shape, 0.0, {"drift": True})
    scene = np.zeros(shape, np.uint16)
    scene[8:12, 10:14] = 1000
    sums = Accumulator(point)
    for block, shift in enumerate([(0.0, 0.0), (2.0, -3.0)]):
        moved = np.roll(scene, (int(shift[0]), int(shift[1])), (0, 1))
        for step in (0, 1):
            sums.add(Frame(2, block, block, step, step, False, 0.0, shape), moved)
        assert sums.close(BlockClosed(2, block, 2, 1, True, 1.0, "", shift)) == ""
    spectra = sums.spectra(live=False)
    np.testing.assert_allclose(spectra.signal[0][:18, 3:], scene[:18, 3:], atol=1e-3)
    assert np.isnan(spectra.signal[0][18:]).all()  # what was beyond the edge
    np.testing.assert_allclose(spectra.noise, 2.0)  # whole pixels: nothing is averaged


def test_a_block_cannot_be_taken_back_once_the_next_has_begun():
    sums = Accumulator(opened())
    for frame in frames(range(STEPS)):
        sums.add(frame, image(frame.step))
    assert sums.close(closed(STEPS)) == ""
    sums.add(frames([0], block=1, sweep=1)[0], image(0))
    assert sums.close(closed(0, valid=False, block=0, reason="too late"))
    assert sums.spectra(live=False).frames.tolist() == [1] * STEPS


@pytest.mark.parametrize("drift", [False, True])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_what_is_taken_back_leaves_no_trace(before, dark, drift):
    """The recorder refused a block after all: sums, frames, light, sweeps are as if it had never come."""
    rng = np.random.default_rng(before)
    shape, shift = (16, 16), (0.4, -2.3) if drift else None
    point = PointOpened(2, "odmr", [1e9 + 1e6 * k for k in range(STEPS)], shape, 0.0, {"drift": drift})
    images = rng.integers(100, 60000, (4, 2, STEPS, *shape)).astype(np.uint16)

    def take(sums, block, sweep):
        number = 0
        for off in range(1 + dark):
            for step in range(STEPS):
                frame = Frame(2, block, sweep, step, number, bool(off), 0.0, shape)
                assert sums.add(frame, images[sweep, off, step])
                number += 1
        assert sums.close(BlockClosed(2, block, number, 1, True, 1.0, "", shift)) == ""

    plain, other = Accumulator(point), Accumulator(point)
    for block in range(before):
        take(plain, block, block)
        take(other, block, block)
    revision = other.kept_revision
    take(other, before, 3)
    assert other.close(BlockClosed(2, before, 0, 0, False, 1.0, "the disk is full")) == "the disk is full"
    assert other.kept_revision not in (revision, revision + 1)
    for turn in range(2):
        ours, theirs = plain.spectra(live=False), other.spectra(live=False)
        for name in ("signal", "frames", "noise", "reference_frames", "sweeps"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        if ours.light is None or theirs.light is None:
            assert ours.light is theirs.light
        else:
            np.testing.assert_array_equal(ours.light, theirs.light)
        if turn == 0:
            take(plain, before, before)
            take(other, before + 1, before)


@pytest.mark.parametrize("spoil", [lambda train: train[:2] + train[3:], lambda train: [*train[:3], train[0], train[1]]])
def test_an_open_block_with_a_fault_does_not_show_live(spoil):
    sums = Accumulator(opened())
    for frame in frames(range(STEPS)):
        sums.add(frame, image(frame.step))
    assert sums.close(closed(STEPS)) == ""
    for frame in spoil(frames(range(STEPS), block=1, sweep=1)):
        sums.add(frame, image(frame.step, 5))
    spectra = sums.spectra(live=True)
    assert spectra.frames.tolist() == [1] * STEPS
    assert spectra.sweeps == 1


def test_memory_of_a_point_that_is_over_is_used_again():
    first = Accumulator(opened())
    for block in range(3):
        for frame in frames(range(STEPS), block=block, sweep=block):
            first.add(frame, image(frame.step))
        first.close(closed(STEPS, block=block))
    kept = first.spectra(live=False).signal
    second = Accumulator(opened(), first)
    for frame in frames([0, 1], block=0):
        second.add(frame, np.full(SHAPE, 7, np.uint16))
    spectra = second.spectra(live=True)
    assert spectra.frames.tolist() == [1, 1, 0, 0, 0]
    np.testing.assert_array_equal(spectra.signal[:2], 7)
    assert np.isnan(spectra.signal[2:]).all()
    assert not second.spectra(live=False).frames.any()
    assert second.spectra(live=False).signal is kept
