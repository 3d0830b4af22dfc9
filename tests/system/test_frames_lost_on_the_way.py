"""Frames lost, doubled, late or swapped between a run and its recorder or fitter: repeated or left out, never summed.

Everything is real but the instruments and a bad network: the ODMR device, the run's sockets, recorder and fitter in
processes of their own, and between them a relay that damages what passes.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading

import numpy as np

from nvscope.clock import WallClock
from nvscope.config import Limits
from nvscope.devices.odmr import ClosePoint, OdmrDevice, OpenPoint, TakeBlock
from nvscope.engine.link import RunLink
from nvscope.odmr.accumulator import Spectra
from nvscope.odmr.maps import fit_point
from nvscope.odmr.synthetic import two_windows
from nvscope.odmr.worker import run_fitter
from nvscope.store.layout import reserve_run
from nvscope.store.reader import RunReader
from nvscope.store.recorder import start_recorder
from nvscope.stream.messages import Frame
from nvscope.stream.sockets import Receiver, Sender

SHAPE = (12, 12)
AXIS = two_windows(12)
SWEEPS, FRAMES = 5, 2


class Relay(threading.Thread):
    """Passes messages on, and does to some frames what `damage` says."""

    def __init__(self, endpoint, damage):
        super().__init__(daemon=True)
        self.source = Receiver.connect(endpoint, "the run")
        self.sink = Sender.bind("a worker")
        self.damage = damage
        self.frames = 0
        self.done = False
        self.held = self.late = None
        self.start()

    def run(self):
        while not self.done:
            received = self.source.receive(0.05)
            if received is None:
                continue
            message, arrays = received.message, received.arrays
            if isinstance(message, Frame):
                self.pass_frame(message, arrays)
            else:
                self.sink.send(message, *arrays)
                if self.late is not None:  # after its block, or within the next one
                    self.sink.send(self.late[0], *self.late[1])
                    self.late = None

    def pass_frame(self, frame, arrays):
        what = self.damage.get(self.frames, "")
        self.frames += 1
        held, self.held = self.held, None
        if what == "swap":
            self.held = frame, arrays
        elif what == "late":
            self.late = frame, arrays
        elif what != "lose":
            for _ in range(1 + (what == "double")):
                self.sink.send(frame, *arrays)
        if held is not None:
            self.sink.send(held[0], *held[1])

    def close(self):
        self.done = True
        self.join(5.0)
        self.source.close(0.0)
        self.sink.close()


class Rig:
    """Camera and source, as a sweeper: images whose every frame is another."""

    shape = SHAPE

    def __init__(self):
        self.rng = np.random.default_rng(5)

    async def prepare(self, *_):
        pass

    async def run(self, frequencies, deliver, pause):
        for number, frequency in enumerate(frequencies):
            half = 272e6 + 1e6 * np.arange(144).reshape(SHAPE) / 10
            dips = sum(1 / (1 + ((frequency - 2.87e9 - sign * half) / 7e6) ** 2) for sign in (-1, 1))
            await deliver(number, self.rng.poisson(20000 * (1 - 0.04 * dips)).astype(np.uint16), float(number))
        return True

    async def wrong(self):
        return ()

    async def rest(self):
        pass


def take(run_dir, damage):
    """Take one point through damaging relays; returns the reader and the summary of the final maps."""
    link = RunLink(WallClock(), 2 * 144)
    relays = {name: Relay(getattr(link, name).endpoint, damage.get(name, {})) for name in ("recorder", "fitter")}
    recorder = start_recorder(run_dir, relays["recorder"].sink.endpoint, link.reports.endpoint)
    ends = relays["fitter"].sink.endpoint, link.wait_ready("recorder", 60.0), link.reports.endpoint
    fitter = multiprocessing.get_context("spawn").Process(target=run_fitter, args=ends, daemon=True)
    fitter.start()
    link.wait_ready("fitter", 60.0)

    async def point():
        link.attach(asyncio.get_running_loop())
        device = OdmrDevice(Rig(), link, WallClock(), Limits(), lambda *_: (0.0, 0.0), SHAPE, 0.0)
        opened = OpenPoint("test", tuple(AXIS), FRAMES, 0.01, 0.0, 0.01, "random", attrs={"camera_gain": 1.0})
        await device._open_point(opened)
        for _ in range(SWEEPS):
            await device._take_block(TakeBlock())
        await device._close_point(ClosePoint())
        return link.latest(0)

    try:
        summary = asyncio.run(point())
        assert link.finish("done", "", ("recorder", "fitter"), 60.0) == set()
    finally:
        for relay in relays.values():
            relay.close()
        link.close()
        recorder.wait(30.0)
        fitter.join(10.0)
    return RunReader(run_dir), summary


PER_SWEEP = FRAMES * AXIS.size


def test_blocks_damaged_on_their_way_are_taken_again_or_left_out(tmp_path):
    run_dir = reserve_run(tmp_path, "odmr", "s1", None)
    # every other block goes wrong on its way to the recorder, and the run's last frame on its way to the fitter
    to_recorder = {
        0: "lose",
        3 * PER_SWEEP - 1: "late",  # after its block was closed
        4 * PER_SWEEP + 10: "double",
        6 * PER_SWEEP + 20: "swap",
    }
    reader, summary = take(run_dir, {"recorder": to_recorder, "fitter": {9 * PER_SWEEP - 1: "lose"}})
    rejected = [line.data["block"] for line in reader.lines("block-rejected")]
    assert rejected == [0, 2, 4, 6]
    point = reader.point(0)
    assert [commit.block for commit in point.commits] == [1, 3, 5, 7, 8]
    assert point.sweeps == SWEEPS
    assert (point.frame_counts() == FRAMES).all()
    assert len(reader.lines("late-frame")) == 1
    # the fitter saw every frame of the refused blocks: its maps must not show them; the last block it had to leave out
    maps = point.maps()
    assert maps.attrs["sweeps"] == SWEEPS - 1
    assert maps.attrs["lost"] == 1
    assert summary.extra["blocks"] == 9
    frames = np.sum([point.frame_counts()[row] for row in range(SWEEPS - 1)], axis=0)
    sums = point.dataset().signal.values[: SWEEPS - 1].sum(axis=0)
    mean = (sums * np.float32(1 / frames[0])).astype(np.float32)
    spectra = Spectra(mean, frames, frames.astype(float), None, 0 * frames, SWEEPS - 1, 9, 0)
    expected = fit_point(AXIS, spectra, {"camera_gain": 1.0})
    np.testing.assert_allclose(maps.f_minus.values, expected.maps["f_minus"], rtol=1e-6)
