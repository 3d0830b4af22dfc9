"""The camera's whole way and the NI card's calls: frames per second lab → Micro-Manager → driver, and time per call.

``python benchmarks/timing_camera.py`` runs the lab in a process of its own, as ``nvscope run`` does. A driver of time
asks for trains of triggers; the time taken is from the first trigger to the last frame in the driver's hands.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nvscope_drivers.micromanager import MicroManagerCamera, MicroManagerSettings
from nvscope_drivers.ni_timing import NITiming, NITimingSettings
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.camera import CameraLink, CameraSettings
from nvscope_simulators.nidaqmx_server import NIDAQmxServer, NISettings

from nvscope.config import validate

TARGETS = {64: 1500.0, 512: 200.0}
"""Frames per second to be reached on two cores, by image edge in pixels."""


class StillWorld(BenchWorld):
    """A world whose picture costs one copy: what is measured is the way, not the physics."""

    def __init__(self, edge: int) -> None:
        super().__init__()
        self.picture = np.random.default_rng(1).integers(0, 60000, (edge, edge)).astype(np.uint16)

    @property
    def image_shape(self) -> tuple[int, int]:
        return self.picture.shape[0], self.picture.shape[1]

    def expose(self, exposure: float, out: NDArray[np.uint16]) -> None:
        out[:] = self.picture


def serve_lab(edge: int, line: Connection) -> None:
    """Serve camera and card; advance rig time by what `line` says, as a driver of time would make it."""

    async def main() -> None:
        world = StillWorld(edge)
        card = NIDAQmxServer(world, NISettings())
        link = CameraLink(world, validate(CameraSettings, {"readout": "10 us"}, "benchmark"))
        line.send((await card.start(), await link.start()))
        while True:
            while not line.poll():
                await asyncio.sleep(0.0005)
            seconds = line.recv()
            if seconds is None:
                break
            before = time.process_time()
            await world.timeline.advance(world.timeline.now + seconds, wait=True)
            line.send((time.process_time() - before, link.dropped, link.ignored))
        await link.stop()
        await card.stop()

    asyncio.run(main())


def frames(edge: int, count: int, line: Connection, timing: NITiming, camera: MicroManagerCamera) -> dict[str, Any]:
    """Take `count` hardware-timed frames."""
    camera.arm(count, external=True)
    timing.prepare_train(count, 1000.0)
    timing.start_train()
    began, cpu = time.perf_counter(), time.process_time()
    line.send(count / 1000.0 + 0.01)
    received = 0
    while received < count and time.perf_counter() - began < 120.0:
        for frame in camera.pop(0.5):
            assert frame.number == received
            received += 1
    took = time.perf_counter() - began
    lab_cpu, dropped, ignored = line.recv()
    timing.stop_train()
    camera.disarm()
    return {
        "edge": edge,
        "frames": received,
        "frames_per_second": round(received / took, 1),
        "run_cpu_us_per_frame": round((time.process_time() - cpu) / count * 1e6, 1),
        "lab_cpu_us_per_frame": round(lab_cpu / count * 1e6, 1),
        "dropped": dropped,
        "ignored": ignored,
    }


def calls(timing: NITiming, count: int) -> dict[str, Any]:
    """Time single calls to the card, and the calls of one whole train."""
    timing.prepare_train(2, 1000.0)
    single = []
    for _ in range(count):
        began = time.perf_counter()
        timing.train_done()
        single.append(time.perf_counter() - began)
    train = []
    for k in range(count // 10):
        began = time.perf_counter()
        timing.prepare_train(2 + k % 2, 1000.0)
        timing.start_train()
        timing.stop_train()
        train.append(time.perf_counter() - began)
    return {
        "call_ms_median": round(float(np.median(single)) * 1e3, 3),
        "train_ms_median": round(float(np.median(train)) * 1e3, 3),
    }


def main() -> None:
    """Run all and print one JSON line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=6000)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    print(json.dumps({"python": platform.python_version(), "cores": os.cpu_count()}))
    context = multiprocessing.get_context("spawn")
    for edge, target in TARGETS.items():
        line, theirs = context.Pipe()
        lab = context.Process(target=serve_lab, args=(edge, theirs))
        lab.start()
        card_port, camera_port = line.recv()
        timing = NITiming.connect(f"grpc://127.0.0.1:{card_port}", NITimingSettings())
        settings = {"python_device": "nvscope_simulators.camera_device:LabCamera"}
        camera = MicroManagerCamera.connect(
            f"tcp://127.0.0.1:{camera_port}", validate(MicroManagerSettings, settings, "benchmark")
        )
        camera.set_exposure(0.0005)
        count = chosen.frames if edge <= 64 else max(200, chosen.frames // 6)
        for _ in range(chosen.repeats):
            print(json.dumps(frames(edge, count, line, timing, camera) | {"target": target}))
        if edge == 64:
            print(json.dumps(calls(timing, 500)))
        camera.close()
        timing.close()
        line.send(None)
        lab.join(10)


if __name__ == "__main__":
    main()
