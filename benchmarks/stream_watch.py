"""Who looks on while frames stream: a viewer, and whoever asks what the processes and this computer are doing."""

from __future__ import annotations

import multiprocessing
import os
import platform
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from nvscope.cli.watch_methods import methods
from nvscope.gui.model.maps import MapStore
from nvscope.gui.model.session import Session
from nvscope.stream.messages import Frame
from nvscope.stream.viewing import Subscriber

VIEW_INTERVAL = 1 / 30
MEMORY_INTERVAL = 0.5

HELD = 64 * 2**20
"""Bytes of maps the viewer keeps; a window keeps more, and would take a night to get there."""


def view(endpoint: str, over: Any, seen: Any) -> None:
    """A viewer: looks 30 times a second, wants the newest, and keeps what a window keeps."""
    frames = 0
    parent = multiprocessing.parent_process()
    session = Session(methods(), MapStore(HELD))
    with Subscriber.connect(endpoint) as viewer:
        while not over.is_set() and parent is not None and parent.is_alive():
            news = viewer.drain(0.5)
            for event in news.events:
                session.apply(event)
            for received in news.latest.values():
                session.apply(received.message, received.arrays)
            if Frame in news.latest:
                frames += 1
                float(news.latest[Frame].arrays[0].mean())
            time.sleep(VIEW_INTERVAL)
    seen.put((frames, len(session.points)))


class Memory(threading.Thread):
    """Resident memory (MiB) and processor time of some processes, twice a second, and of the rest of this computer."""

    def __init__(self, processes: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self._processes = {name: psutil.Process(pid) for name, pid in processes.items()}
        self.resident: dict[str, list[float]] = {name: [] for name in processes}
        self.cpu: dict[str, float] = {}
        self._before = {name: _used(process) for name, process in self._processes.items()}
        self._busy = _busy()
        self._begin = time.monotonic()
        self.others = 0.0
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(MEMORY_INTERVAL):
            self._look()

    def stop(self) -> None:
        self._stopping.set()
        self.join()
        self._look()

    def _look(self) -> None:
        for name, process in self._processes.items():
            try:
                self.resident[name].append(process.memory_info().rss / 2**20)
                self.cpu[name] = _used(process) - self._before[name]
            except psutil.Error:
                continue
        ours = sum(self.cpu.values())
        self.others = (_busy() - self._busy - ours) / (time.monotonic() - self._begin)

    def slope(self, name: str) -> float:
        """Return how fast memory grows (MiB a minute) once it has its working set: in the second half."""
        series = np.array(self.resident[name][len(self.resident[name]) // 2 :])
        if series.size < 3:
            return float("nan")
        return float(np.polyfit(np.arange(series.size) * MEMORY_INTERVAL / 60, series, 1)[0])


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _busy() -> float:
    """Seconds all cores together have worked."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system) if hasattr(times, "nice") else float(times.user + times.system)


def machine() -> str:
    """Name the machine."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    memory = psutil.virtual_memory().total / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"
