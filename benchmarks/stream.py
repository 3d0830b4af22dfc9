"""A camera at wall pace through recorder, fit worker and one viewer: nothing lost, memory flat.

``python benchmarks/stream.py --duration 300`` is the run of record: 512 × 512 pixels at 200 frames/s for 5 minutes.
The camera is a thread that exposes by the clock into a ring of bounded size and overflows like a real one; the run
takes frames from the ring and sends them on. Afterwards every frame is looked for on the disk.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from nvscope.nv import GAMMA
from nvscope.odmr.worker import run_fitter
from nvscope.store.layout import reserve_run
from nvscope.store.reader import RunReader
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
from nvscope.stream.viewing import Publisher, Subscriber

RING = 200
"""Frames the camera's own buffer holds: a second at 200 frames/s."""

VIEW_INTERVAL = 1 / 30

FIELD = 97e-4
"""Applied field (T)."""

SETTLED = 120.0
"""Seconds after which memory must have settled."""


@dataclass(frozen=True)
class Plan:
    """What is streamed."""

    duration: float
    rate: float
    size: int
    steps: int
    block: float
    fit: bool

    @property
    def sweeps_per_block(self) -> int:
        """Whole sweeps that take about `block` seconds."""
        return max(1, round(self.block * self.rate / self.steps))


EXPOSURES = 8
"""Different sweeps that the camera sees in turn: their noise averages as a real stream's does at first."""


def spectra(plan: Plan) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
    """Return frequencies (Hz) and `EXPOSURES` sweeps of frames, uint16 (sweep, frequency, y, x).

    Two windows of 150 MHz as at 97 G; every pixel has a Lorentzian dip of 2 % in each, in 20 000 counts, with shot
    noise, and they lie apart by 5 % more or less across the image.
    """
    rng = np.random.default_rng(1)
    half = GAMMA * FIELD * (1 + 0.05 * np.linspace(-1, 1, plan.size)[:, None] * np.linspace(0.5, 1, plan.size))
    lower = (plan.steps + 1) // 2
    windows = [np.linspace(-75e6, 75e6, count) + sign * GAMMA * FIELD
               for count, sign in ((lower, -1), (plan.steps - lower, 1))]  # fmt: skip
    frequencies = 2.87e9 + np.concatenate(windows)
    frames = np.empty((EXPOSURES, plan.steps, plan.size, plan.size), np.uint16)
    for step, frequency in enumerate(frequencies):
        dips = sum(1 / (1 + ((frequency - 2.87e9 - sign * half) / 7e6) ** 2) for sign in (-1, 1))
        mean = 20_000 * (1 - 0.02 * dips)
        for exposure in range(EXPOSURES):
            frames[exposure, step] = mean + rng.standard_normal(half.shape, np.float32) * np.sqrt(mean)
    return frequencies, frames


class Camera(threading.Thread):
    """Exposes by the clock into a ring; a full ring loses the frame."""

    def __init__(self, rate: float, frames: int) -> None:
        super().__init__(daemon=True)
        self._rate = rate
        self._frames = frames
        self.ring: deque[int] = deque()
        self.overflows = 0
        self.fullest = 0
        self.done = False

    def run(self) -> None:
        begin = time.perf_counter()
        for number in range(self._frames):
            wait = begin + number / self._rate - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            if len(self.ring) >= RING:
                self.overflows += 1
                continue
            self.ring.append(number)
            self.fullest = max(self.fullest, len(self.ring))
        self.done = True


@dataclass
class Tally:
    """What the run heard back."""

    committed: int = 0
    rejected: int = 0
    faults: list[str] = field(default_factory=list)
    maps: int = 0
    final_delays: list[float] = field(default_factory=list)
    closed_at: dict[int, float] = field(default_factory=dict)
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
                    self.final_delays.append(time.perf_counter() - self.closed_at[message.point])
            elif isinstance(message, Finished):
                self.finished[message.sender] = message.counts
            elif isinstance(message, Ready):
                self.ready[message.sender] = message.endpoint


def view(endpoint: str, over: Any, seen: Any) -> None:
    """A viewer: looks 30 times a second, wants the newest."""
    frames = 0
    parent = multiprocessing.parent_process()
    with Subscriber.connect(endpoint) as viewer:
        while not over.is_set() and parent is not None and parent.is_alive():
            news = viewer.drain(0.5)
            if Frame in news.latest:
                frames += 1
                float(news.latest[Frame].arrays[0].mean())
            time.sleep(VIEW_INTERVAL)
    seen.put(frames)


class Memory(threading.Thread):
    """Resident memory of every process, twice a second."""

    def __init__(self, processes: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self._processes = {name: psutil.Process(pid) for name, pid in processes.items()}
        self.resident: dict[str, list[float]] = {name: [] for name in processes}
        self.cpu: dict[str, float] = {}
        self.stop = False

    def run(self) -> None:
        while not self.stop:
            for name, process in self._processes.items():
                try:
                    self.resident[name].append(process.memory_info().rss / 2**20)
                    times = process.cpu_times()
                    self.cpu[name] = times.user + times.system
                except psutil.Error:
                    continue
            time.sleep(0.5)


def stream(plan: Plan, run_dir: Path) -> dict[str, Any]:
    """Stream for the plan's duration and return what happened."""
    context = multiprocessing.get_context("spawn")
    load = psutil.getloadavg()[0]
    frequencies, images = spectra(plan)
    size = images[0, 0].nbytes
    tally = Tally()
    with (
        Sender.bind("the recorder", frame_bytes=size) as to_recorder,
        Sender.bind("the fitter", frame_bytes=size) as to_fitter,
        Publisher.bind("viewers", frame_bytes=size) as viewers,
        Receiver.bind("recorder and fitter", frame_bytes=20 * size) as reports,
    ):
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
        sent = _camera_loop(plan, frequencies, images, readers, viewers, reports, tally)
        for reader in reversed(readers):
            reader.send(Finish("done"))
        over.set()
        _until(lambda: len(tally.finished) == len(readers), reports, tally)
        memory.stop = True
        recorder.wait(60)
        shown = seen.get(timeout=60)
    return {**sent, "load": load, "tally": tally, "memory": memory, "shown": shown, "images": images}


def _until(condition: Any, reports: Receiver, tally: Tally) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        tally.read(reports)
        time.sleep(0.001)
        if time.monotonic() > deadline:
            raise TimeoutError("a process did not answer within 60 s")


def _camera_loop(
    plan: Plan,
    frequencies: NDArray[np.float64],
    images: NDArray[np.uint16],
    readers: list[Sender],
    viewers: Publisher,
    reports: Receiver,
    tally: Tally,
) -> dict[str, Any]:
    per_block = plan.sweeps_per_block * plan.steps
    blocks = max(1, round(plan.duration * plan.rate / per_block))
    shape = (plan.size, plan.size)
    buffer = np.empty(shape, np.uint16)  # a camera's buffer, used again for every frame
    camera = Camera(plan.rate, blocks * per_block)
    attrs = {"temperature": 20.0, "field": FIELD, "camera_gain": 1.0, "baseline": "constant"}
    opened = PointOpened(0, "odmr", frequencies.tolist(), shape, time.time(), attrs)
    for reader in readers:
        reader.send(opened)
    viewers.send(opened)
    begin = time.perf_counter()
    camera.start()
    total = lost = 0
    expected = 0
    while not camera.done or camera.ring:
        if not camera.ring:
            tally.read(reports)
            time.sleep(0.0005)
            continue
        number = camera.ring.popleft()
        lost += number - expected
        expected = number + 1
        block, within = divmod(number, per_block)
        sweep, step = divmod(number, plan.steps)
        np.copyto(buffer, images[sweep % EXPOSURES, step])
        frame = Frame(0, block, sweep, step, step, False, time.time(), shape)
        parts = pack(frame, buffer)
        for reader in readers:
            reader.send_parts(parts, timeout=30.0)
        if viewers.wants_frame(VIEW_INTERVAL):
            viewers.send_parts(frame, parts)
        total += 1
        if within == per_block - 1:
            closed = BlockClosed(0, block, per_block, plan.sweeps_per_block, True, time.time())
            for reader in readers:
                reader.send(closed)
        if within % 20 == 0:
            tally.read(reports)
            for reader in readers:
                reader.try_send(Heartbeat("run", {"frames": total}))
    seconds = time.perf_counter() - begin
    tally.closed_at[0] = time.perf_counter()
    for reader in readers:
        reader.send(PointClosed(0, time.time()))
    return {
        "seconds": seconds,
        "offered": blocks * per_block,
        "sent": total,
        "lost_in_camera": camera.overflows,
        "gaps": lost,
        "fullest": camera.fullest,
        "blocks": blocks,
    }


def check(run_dir: Path, images: NDArray[np.uint16], plan: Plan) -> tuple[int, bool]:
    """Return how many frames are on disk and whether the means are exactly those of what was sent."""
    run = RunReader(run_dir)
    point = run.point(0)
    if not point.commits:
        return 0, False
    expected = np.zeros(images.shape[1:], np.uint64)
    for commit in point.commits:
        first = commit.block * plan.sweeps_per_block
        for sweep in range(first, first + commit.sweeps):
            expected += images[sweep % EXPOSURES]
    return point.frames, np.array_equal(point.mean().values, expected / np.float64(point.sweeps))


def machine() -> str:
    """Name the machine."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    memory = psutil.virtual_memory().total / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=20.0, help="seconds; 300 for the record")
    parser.add_argument("--rate", type=float, default=200.0, help="frames/s")
    parser.add_argument("--size", type=int, default=512, help="pixels along an edge")
    parser.add_argument("--steps", type=int, default=61, help="frequencies")
    parser.add_argument("--block", type=float, default=10.0, help="seconds a block")
    parser.add_argument("--no-fit", action="store_true", help="without the fit worker")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    given = parser.parse_args()
    plan = Plan(given.duration, given.rate, given.size, given.steps, given.block, not given.no_fit)
    folder = Path(tempfile.mkdtemp(prefix="nvscope-stream-", dir=given.folder))
    try:
        run_dir = reserve_run(folder, "stream", "bench")
        result = stream(plan, run_dir)
        stored, exact = check(run_dir, result["images"], plan)
        log = (run_dir / "recorder.log").read_text().strip()
        bytes_on_disk = sum(path.stat().st_size for path in run_dir.rglob("*") if path.is_file())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report(plan, result, stored, exact, log, bytes_on_disk)


def report(plan: Plan, result: dict[str, Any], stored: int, exact: bool, log: str, bytes_on_disk: int) -> int:
    """Print the table; return 0 if nothing was lost and memory stayed flat."""
    tally: Tally = result["tally"]
    memory: Memory = result["memory"]
    seconds = result["seconds"]
    lost = result["offered"] - stored
    print(f"machine            {machine()}")
    print(f"other load         {result['load']:.1f} processes waited for these cores before it began")
    print(f"stream             {plan.size} × {plan.size} at {plan.rate:g} frames/s, {plan.steps} frequencies, "
          f"{result['blocks']} blocks of {plan.sweeps_per_block} sweeps")  # fmt: skip
    print(f"duration           {seconds:.1f} s, {result['sent'] / seconds:.1f} frames/s, "
          f"{result['sent'] * 2 * plan.size**2 / seconds / 1e6:.0f} MB/s to each reader")  # fmt: skip
    print(f"frames             offered {result['offered']}, sent {result['sent']}, on disk {stored}, lost {lost}")
    print(f"means on disk      {'exactly what was sent' if exact else 'NOT what was sent'}")
    print(f"camera ring        at most {result['fullest']} of {RING} frames, overflows {result['lost_in_camera']}")
    print(f"disk               {bytes_on_disk / 1e6:.0f} MB, {bytes_on_disk / 1e6 / seconds:.1f} MB/s")
    print(f"viewer             {result['shown']} pictures, {result['shown'] / seconds:.1f}/s")
    if plan.fit:
        fitted = np.median(tally.fitted_rate) if tally.fitted_rate else 0.0
        delays = ", ".join(f"{delay:.2f}" for delay in tally.final_delays)
        print(f"fitter             {tally.maps} maps, {fitted / 1e3:.0f} k pixels/s while streaming, "
              f"{tally.finished.get('fitter', {})}")  # fmt: skip
        print(f"final maps         {delays} s after the point's last frame")
    print(
        f"faults             {tally.rejected} blocks rejected; {'; '.join(tally.faults) or 'none'}{log and '; ' + log}"
    )
    print(f"{'process':<18} {'CPU':>6} {'start':>9} {'middle':>9} {'end':>9} {'most':>9}   MiB")
    flat = True
    for name, series in memory.resident.items():
        quarter = max(1, len(series) // 4)
        # the first quarter may still grow into its working set
        middle, end = max(series[quarter : 2 * quarter + 1]), max(series[-quarter:])
        flat &= seconds < SETTLED or end < 1.1 * middle + 20
        print(f"{name:<18} {100 * memory.cpu[name] / seconds:5.0f}% {series[0]:9.0f} {middle:9.0f} {end:9.0f} "
              f"{max(series):9.0f}")  # fmt: skip
    fitted = not plan.fit or bool(tally.final_delays)
    good = lost == 0 and exact and flat and fitted and not tally.faults and tally.committed == result["offered"]
    memory_words = "memory flat" if seconds >= SETTLED else "too short to judge memory"
    print(f"verdict            {f'nothing lost, {memory_words}' if good else 'NOT GOOD'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
