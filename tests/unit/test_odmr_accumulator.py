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
