"""The live-fit worker as its own process, fed over sockets as a run feeds it."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time

import numpy as np
import pytest

from nvscope.odmr.synthetic import line_pairs, two_windows
from nvscope.odmr.worker import run_fitter
from nvscope.stream.messages import (
    BlockClosed,
    Finish,
    Finished,
    Frame,
    Heartbeat,
    Maps,
    PointClosed,
    PointOpened,
    Ready,
)
from nvscope.stream.sockets import Receiver, Sender

GAMMA = 28.024951e9
SHAPE = (16, 16)
AXIS = two_windows(31)
GAIN, OFFSET, READ = 0.5, 100.0, 2.0
ATTRS = {"camera_gain": GAIN, "camera_offset": OFFSET, "read_noise": READ}


class Rig:
    """The run's and the recorder's ends of the sockets, and the process between them."""

    def __init__(self):
        self.frames = Sender.bind("the fitter")
        self.recorder = Receiver.bind("the fitter")
        self.reports = Receiver.bind("the fitter")
        arguments = (self.frames.endpoint, self.recorder.endpoint, self.reports.endpoint)
        self.process = multiprocessing.get_context("spawn").Process(target=run_fitter, args=arguments, daemon=True)
        self.process.start()
        self.rng = np.random.default_rng(4)
        self.truth = line_pairs(AXIS, SHAPE[0] * SHAPE[1], seed=1, positive=0.0, contrast=0.04)
        self.heard = []

    def expect(self, kind, timeout=60.0, where=None, accept=lambda message: True):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            received = (where or self.reports).receive(0.5)
            if received is None:
                continue
            self.heard.append(received.message)
            if isinstance(received.message, kind) and accept(received.message):
                return received
        raise AssertionError(f"no {kind.__name__} within {timeout} s")

    def open(self, point, attrs=ATTRS):
        self.frames.send(PointOpened(point, "odmr", AXIS.tolist(), SHAPE, 0.0, dict(attrs)))

    def sweep(self, point, block, sweep=0, per_step=4, lose=(), dark=False, valid=True):
        steps = np.repeat(np.arange(AXIS.size)[:: -1 if sweep % 2 else 1], per_step)
        for number, step in enumerate(steps):
            electrons = self.rng.poisson(20000 * self.truth.clean[step]).reshape(SHAPE)
            counts = (electrons + READ * self.rng.standard_normal(SHAPE)) / GAIN + OFFSET
            image = np.rint(0 * counts if dark else counts).astype(np.uint16)
            if number not in lose:
                self.frames.send(Frame(point, block, sweep, int(step), number, False, float(number), SHAPE), image)
        self.frames.send(BlockClosed(point, block, steps.size, 1, valid, 99.0, "" if valid else "spoilt"))

    def final(self, point):
        self.frames.send(PointClosed(point, 100.0))
        received = self.expect(Maps, accept=lambda maps: maps.final and maps.point == point)
        return received.message, dict(zip(received.message.names, received.arrays, strict=True))

    def close(self):
        for link in (self.frames, self.recorder, self.reports):
            link.close(0.0)
        if self.process.is_alive():
            self.process.kill()
        self.process.join(5.0)


@pytest.fixture(scope="module")
def rig():
    rig = Rig()
    yield rig
    rig.close()


def check(rig, maps, sweeps):
    half = (rig.truth.f_plus - rig.truth.f_minus).reshape(SHAPE) / 2
    good = maps["status"] == 0
    assert good.mean() > 0.98
    pull = (maps["half_splitting"] - half)[good] / maps["half_splitting_err"][good]
    assert abs(np.mean(pull)) < 0.25
    assert 0.8 < np.std(pull) < 1.2
    assert np.mean(maps["chi2_reduced"]) == pytest.approx(1.0, abs=0.06)
    np.testing.assert_allclose(maps["b_z"][good] * GAMMA, maps["half_splitting"][good], rtol=1e-5)
    assert np.isnan(maps["b_z"][~good]).all()


def test_says_it_is_there(rig):
    assert rig.expect(Ready).message.sender == "fitter"


def test_final_maps_of_committed_sweeps(rig):
    rig.open(0)
    rig.sweep(0, 0)
    rig.sweep(0, 1, dark=True, valid=False)
    rig.sweep(0, 2, sweep=1)
    message, maps = rig.final(0)
    check(rig, maps, 2)
    assert message.sweeps == 2
    assert message.summary["lost"] == 0
    assert message.summary["fitted_fraction"] > 0.98
    assert message.summary["median_b_err"] == pytest.approx(np.nanmedian(maps["b_z_err"]), rel=1e-5)
    same = rig.expect(Maps, where=rig.recorder, accept=lambda maps: maps.final)
    np.testing.assert_array_equal(same.arrays[same.message.names.index("f_minus")], maps["f_minus"])


def test_a_lost_frame_costs_its_block_and_is_counted(rig):
    rig.open(1)
    rig.sweep(1, 0)
    rig.sweep(1, 1, sweep=1, lose={17}, dark=True)
    message, maps = rig.final(1)
    check(rig, maps, 1)
    assert message.sweeps == 1
    assert message.summary["lost"] == 1


def test_live_maps_come_while_frames_do(rig):
    rig.open(2, attrs={})
    for block in range(6):
        rig.sweep(2, block, sweep=block, per_step=2)
        time.sleep(0.2)
    live = rig.expect(Maps, accept=lambda maps: maps.point == 2)
    assert not live.message.final
    message, maps = rig.final(2)
    assert message.sweeps == 6
    good = maps["status"] == 0
    half = (rig.truth.f_plus - rig.truth.f_minus).reshape(SHAPE) / 2
    pull = (maps["half_splitting"] - half)[good] / maps["half_splitting_err"][good]
    assert 0.8 < np.std(pull) < 1.2  # errors from the scatter, the gain being unknown


def test_a_point_without_a_block_still_gets_its_final_maps(rig):
    rig.open(3)
    message, maps = rig.final(3)
    assert message.summary["fitted_fraction"] == 0.0
    assert np.isnan(maps["b_z"]).all()
    assert (maps["status"] == 4).all()


def test_final_maps_depend_on_the_data_alone(rig):
    """Whenever live fits were made, and whether or not the last block was fitted before the point was closed."""
    found = []
    for point, pause in ((4, 0.0), (5, 0.7)):
        rig.rng = np.random.default_rng(8)
        rig.open(point)
        for block in range(2):
            rig.sweep(point, block, sweep=block, per_step=1)
            time.sleep(pause)  # long enough for maps of this block
        message, maps = rig.final(point)
        assert message.sweeps == 2
        found.append(maps)
    assert any(isinstance(m, Maps) and m.point == 5 and not m.final for m in rig.heard)
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name], err_msg=name)


def test_garbage_costs_nothing_but_itself(rig):
    def count(name):
        return rig.expect(Heartbeat, timeout=5.0).message.counts[name]

    for parts in ([b"\x80\x04."], [b'{"type":"frame"}', b"x"], [b"", b"", b""], [b"GET / HTTP/1.1"]):
        rig.frames.send_parts(parts)
    # well formed, and nonsense: more than there is memory for, numbers that are none, a frame and an end of nothing
    absurd = PointOpened(6, "odmr", [1e9 + k for k in range(60000)], (2048, 2048), 0.0, {})
    rig.frames.send(absurd)
    rig.frames.send(Frame(6, 0, 0, 1, 0, False, 0.0, (2048, 2048)), np.zeros((2048, 2048), np.uint16))
    rig.open(7, attrs={"camera_gain": "much", "field": [1]})
    rig.sweep(7, 0, per_step=1)
    message, maps = rig.final(7)
    assert message.summary["fitted_fraction"] == 0.0
    rig.frames.send(Frame(99, 0, 0, 0, 0, False, 0.0, SHAPE), np.zeros(SHAPE, np.uint16))
    rig.frames.send(PointClosed(98, 1.0))
    rig.open(8)
    rig.sweep(8, 0)
    message, maps = rig.final(8)
    check(rig, maps, 1)
    assert rig.process.is_alive()
    while count("malformed") < 4:
        pass


def test_beats_and_finishes(rig):
    assert rig.expect(Heartbeat, timeout=5.0).message.counts["frames"] > 0
    rig.frames.send(Finish("done"))
    assert rig.expect(Finished, timeout=10.0).message.sender == "fitter"
    assert rig.expect(Finished, timeout=10.0, where=rig.recorder).message.counts["lost"] == 1
    rig.process.join(10.0)
    assert rig.process.exitcode == 0


ORPHAN = """
import multiprocessing, os, sys, time
from nvscope.odmr.worker import run_fitter
process = multiprocessing.get_context("spawn").Process(target=run_fitter, args=sys.argv[1:], daemon=True)
process.start()
sys.stdin.read()
os._exit(1)
"""


def test_leaves_when_its_parent_vanishes():
    frames, recorder, reports = Sender.bind(), Receiver.bind(), Receiver.bind()
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, frames.endpoint, recorder.endpoint, reports.endpoint], stdin=subprocess.PIPE
    )
    try:
        received = reports.receive(60.0)
        assert received is not None
        assert isinstance(received.message, Ready)
        assert frames.peers() == 1
    finally:
        assert parent.stdin is not None
        parent.stdin.close()
        assert parent.wait(10.0) == 1
    deadline = time.monotonic() + 30.0
    while frames.peers() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert frames.peers() == 0
    for link in (frames, recorder, reports):
        link.close(0.0)
