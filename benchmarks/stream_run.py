"""The run's side of the stream: takes frames from the camera's ring, sends them on, and hears what comes back."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from stream_source import EXPOSURES, FIELD, Camera, Plan, spectra
from stream_watch import VIEW_INTERVAL, Memory, view

from nvscope.odmr.worker import run_fitter
from nvscope.store.recorder import start_recorder
from nvscope.stream.messages import (
    BlockClosed,
    Committed,
    Fault,
    Finish,
    Finished,
    Frame,
    Heartbeat,
    Maps,
    PointClosed,
    PointOpened,
    Ready,
    Rejected,
)
from nvscope.stream.sockets import Receiver, Sender, pack
from nvscope.stream.viewing import Publisher


@dataclass
class Tally:
    """What the run hears back; maps are passed on to viewers."""

    viewers: Publisher
    committed: int = 0
    rejected: int = 0
    faults: list[str] = field(default_factory=list)
    maps: int = 0
    final_at: dict[int, float] = field(default_factory=dict)
    fitted_rate: list[float] = field(default_factory=list)
    finished: dict[str, dict[str, int]] = field(default_factory=dict)
    ready: dict[str, str] = field(default_factory=dict)

    def read(self, reports: Receiver) -> None:
        while (received := reports.receive(0.0)) is not None:
            message = received.message
            if isinstance(message, Committed):
                self.committed += message.frames
            elif isinstance(message, Rejected):
                self.rejected += 1
                self.faults.append(message.reason)
            elif isinstance(message, Fault):
                self.faults.append(f"{message.sender}: {message.reason}")
            elif isinstance(message, Maps):
                self.maps += 1
                self.fitted_rate.append(message.summary.get("pixels_per_second", 0.0))
                if message.final:
                    self.final_at[message.point] = time.perf_counter()
                self.viewers.send(message, *received.arrays)
            elif isinstance(message, Finished):
                self.finished[message.sender] = message.counts
            elif isinstance(message, Ready):
                self.ready[message.sender] = message.endpoint


@dataclass
class Result:
    """What happened."""

    tally: Tally
    memory: Memory
    images: NDArray[np.uint16]
    shown: int
    sent: int = 0
    seconds: float = 0.0
    overflows: int = 0
    fullest: int = 0
    final_delays: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class _Ends:
    """The run's ends of the streams."""

    readers: list[Sender]
    viewers: Publisher
    reports: Receiver


def stream(plan: Plan, run_dir: Path) -> Result:
    """Stream all points of a plan, and return what happened."""
    context = multiprocessing.get_context("spawn")
    frequencies, images = spectra(plan)
    size = images[0, 0].nbytes
    with (
        Sender.bind("the recorder", frame_bytes=size) as to_recorder,
        Sender.bind("the fitter", frame_bytes=size) as to_fitter,
        Publisher.bind("viewers", frame_bytes=size) as viewers,
        Receiver.bind("recorder and fitter", frame_bytes=20 * size) as reports,
    ):
        tally = Tally(viewers)
        recorder = start_recorder(run_dir, to_recorder.endpoint, reports.endpoint)
        _until(lambda: "recorder" in tally.ready, reports, tally)
        seen, over = context.Queue(), context.Event()
        viewer = context.Process(target=view, args=(viewers.endpoint, over, seen), daemon=True)
        viewer.start()
        processes = {"run": os.getpid(), "recorder": recorder.pid, "viewer": viewer.pid or 0}
        readers = [to_recorder]
        if plan.fit:
            arguments = (to_fitter.endpoint, tally.ready["recorder"], reports.endpoint)
            fitter = context.Process(target=run_fitter, args=arguments, daemon=True)
            fitter.start()
            processes["fitter"] = fitter.pid or 0
            readers.append(to_fitter)
            _until(lambda: "fitter" in tally.ready, reports, tally)
            time.sleep(2.0)  # it loads its kernels; a run does this while instruments connect
        memory = Memory(processes)
        memory.start()
        result = Result(tally, memory, images, 0)
        ends = _Ends(readers, viewers, reports)
        began = time.perf_counter()
        for number in range(plan.points):
            _point(number, plan, frequencies, ends, result)
        result.seconds = time.perf_counter() - began
        memory.stop()
        for reader in reversed(readers):
            reader.send(Finish("done"))
        over.set()
        _until(lambda: len(tally.finished) == len(readers), reports, tally)
        recorder.wait(60)
        result.shown = seen.get(timeout=60)[0]
    return result


def _point(number: int, plan: Plan, frequencies: NDArray[np.float64], ends: _Ends, result: Result) -> None:
    """Stream one point, and wait for its final maps as a run does."""
    shape = (plan.size, plan.size)
    attrs = {"temperature": 20.0 + number, "field": FIELD, "camera_gain": 1.0, "baseline": "constant"}
    opened = PointOpened(number, "odmr", frequencies.tolist(), shape, time.time(), attrs)
    for reader in ends.readers:
        reader.send(opened)
    ends.viewers.send(opened)
    camera = Camera(plan)
    camera.start()
    result.sent += _frames(number, plan, camera, ends, result)
    closed = PointClosed(number, time.time())
    for reader in ends.readers:
        reader.send(closed)
    ends.viewers.send(closed)
    if plan.fit:
        _until(lambda: number in result.tally.final_at, ends.reports, result.tally)
        result.final_delays.append(result.tally.final_at[number] - camera.last)
    result.overflows += camera.overflows
    result.fullest = max(result.fullest, camera.fullest)


def _frames(point: int, plan: Plan, camera: Camera, ends: _Ends, result: Result) -> int:
    """Send what the camera exposes until it is done; return how many frames."""
    buffer = np.empty((plan.size, plan.size), np.uint16)  # a camera's buffer, used again for every frame
    sent = 0
    while not camera.done or camera.ring:
        if not camera.ring:
            result.tally.read(ends.reports)
            time.sleep(0.0005)
            continue
        number = camera.ring.popleft()
        block, within = divmod(number, plan.frames_per_block)
        sweep, step = divmod(number, plan.steps)
        np.copyto(buffer, result.images[sweep % EXPOSURES, step])
        frame = Frame(point, block, sweep, step, step, False, time.time(), buffer.shape)
        parts = pack(frame, buffer)
        for reader in ends.readers:
            reader.send_parts(parts, timeout=30.0)
        if ends.viewers.wants_frame(VIEW_INTERVAL):
            ends.viewers.send_parts(frame, parts)
        sent += 1
        if within == plan.frames_per_block - 1:
            closed = BlockClosed(point, block, plan.frames_per_block, plan.sweeps_per_block, True, time.time())
            for reader in ends.readers:
                reader.send(closed)
        if within % 20 == 0:
            result.tally.read(ends.reports)
            for reader in ends.readers:
                reader.try_send(Heartbeat("run", {"frames": result.sent + sent}))
    return sent


def _until(condition: Callable[[], bool], reports: Receiver, tally: Tally) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        tally.read(reports)
        time.sleep(0.001)
        if time.monotonic() > deadline:
            raise TimeoutError("a process did not answer within 60 s")
