"""The window while a camera of 512 × 512 pixels runs at 200 frames/s: redraws, latency of the event loop, memory.

``python benchmarks/gui.py --duration 300`` opens the window without a screen on a publisher in another process that
sends what a run sends: every frame is offered and the thirtieth part of a second decides, as in a run, or with
``--every`` all of them go out; fitted maps come once a second, history and status several times a second. A timer asks
every 5 ms how long the event loop kept it waiting: that is what a key or the mouse would have waited.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import psutil
from PySide6.QtCore import QEventLoop, QTimer

from nvscope.cli.watch_methods import methods
from nvscope.gui.app import application
from nvscope.gui.desk import Desk
from nvscope.gui.feed import Feed
from nvscope.gui.mailbox import Mailbox
from nvscope.gui.preferences import Preferences
from nvscope.gui.window import DATA_INTERVAL, REDRAW_INTERVAL, Window
from nvscope.stream.control import RunInfo
from nvscope.stream.messages import Frame, HistoryRow, Maps, PointClosed, PointOpened, RunStatus
from nvscope.stream.viewing import Publisher

FIELD, GAMMA = 97e-4, 28.024951e9
NAMES = ("f_minus", "f_plus", "half_splitting", "center", "f_minus_err", "f_plus_err", "half_splitting_err",
         "center_err", "contrast_minus", "contrast_plus", "width_minus", "width_plus", "b_z", "b_z_err",
         "chi2_reduced", "status", "n_lines")  # fmt: skip
TICK = 5


def publish(endpoint: Any, stop: Any, side: int, rate: float, every: bool, point_seconds: float) -> None:
    """Be the run: frames at `rate`, maps each second, a new point every `point_seconds`."""
    publisher = Publisher.bind("viewers", frame_bytes=2 * side * side)
    endpoint.put(publisher.endpoint)
    rng = np.random.default_rng(1)
    images = rng.poisson(9000, (8, side, side)).astype(np.uint16)
    maps = maps_of(side, rng)
    offsets = np.linspace(-75e6, 75e6, 41)
    axis = np.concatenate([3.08e9 - GAMMA * FIELD + offsets, 3.08e9 + GAMMA * FIELD + offsets]).tolist()
    begin = time.monotonic()
    point, number, opened, next_maps, next_row = -1, 0, -np.inf, 0.0, 0.0
    while not stop.is_set():
        now = time.monotonic() - begin
        if now - opened > point_seconds:
            if point >= 0:
                publisher.send(maps_message(point, now, side, maps, final=True), *maps.values())
                publisher.send(PointClosed(point, now, {}))
            point, opened, number = point + 1, now, 0
            purpose = "reference" if point == 0 else "fw"
            attrs = {"purpose": purpose, "temperature": 20.0 + 5 * point, "field": FIELD, "pixel_size": 1e-7}
            publisher.send(PointOpened(point, "odmr", axis, (side, side), now, attrs))
        frame = Frame(point, 0, number // 656, number // 8 % 82, number, False, now, (side, side))
        if every or publisher.wants_frame(1 / 30):
            publisher.send(frame, images[number % 8])
        number += 1
        if now >= next_maps:
            next_maps = now + 1.0
            publisher.send(maps_message(point, now, side, maps, final=False), *maps.values())
        if now >= next_row:
            next_row = now + 0.1
            publisher.send(HistoryRow(now, {"temperature": 20 + 0.1 * np.sin(now), "field": FIELD}))
            status = RunStatus("benchmark", "running", "map", 0.5, now, {"frames_per_second": rate}, 100.0)
            publisher.send(status)
        time.sleep(max(0.0, begin + (now + 1 / rate) - time.monotonic()))
    publisher.close(0.0)


def maps_of(side: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return plausible maps."""
    half = GAMMA * FIELD
    values = dict.fromkeys(NAMES, 1.0) | {"half_splitting": half, "b_z": FIELD, "b_z_err": 1e-5, "center": 3.08e9,
                                          "f_minus": 3.08e9 - half, "f_plus": 3.08e9 + half, "status": 0.0}  # fmt: skip
    noise = 1 + 0.002 * rng.standard_normal((side, side))
    return {name: (value * noise).astype(np.float32) for name, value in values.items()}


def maps_message(point: int, now: float, side: int, maps: dict[str, Any], *, final: bool) -> Maps:
    """Return the header of a message with these maps."""
    return Maps(point, 1, final, now, (side, side), list(maps), {"median_b_err": 1e-5, "lost": 0.0})


class Watcher:
    """Asks the event loop every few milliseconds how late it is."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.late: list[float] = []
        self.turns: list[float] = []
        self.memory: list[tuple[float, float]] = []
        self.busy: list[float] = []
        for owner, name in ((window, "redraw"), (window.desk, "step")):
            self._time(owner, name)
        self._process = psutil.Process()
        self._last, self._worked = time.monotonic(), time.thread_time()
        self._timer = QTimer()
        self._timer.setInterval(TICK)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        self._minute = QTimer()
        self._minute.setInterval(1000)
        self._minute.timeout.connect(self._weigh)
        self._minute.start()

    def _time(self, owner: Any, name: str) -> None:
        """Note the processor time of every call: what the window costs, whoever else uses the machine."""
        for timer in self.window.findChildren(QTimer):
            if timer.interval() == {"redraw": REDRAW_INTERVAL, "step": DATA_INTERVAL}[name]:
                timer.timeout.disconnect()
                call = getattr(owner, name)
                timer.timeout.connect(partial(self._timed, call))

    def _timed(self, call: Callable[[], None]) -> None:
        began = time.thread_time()
        call()
        self.busy.append(time.thread_time() - began)

    def _tick(self) -> None:
        now, worked = time.monotonic(), time.thread_time()
        self.late.append(max(0.0, now - self._last - TICK / 1000))
        self.turns.append(worked - self._worked)
        self._last, self._worked = now, worked

    def _weigh(self) -> None:
        self.memory.append((time.monotonic(), self._process.memory_info().rss / 1e6))


def main() -> None:
    """Run it and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=30.0, help="wall seconds")
    parser.add_argument("--side", type=int, default=512, help="pixels along an edge")
    parser.add_argument("--rate", type=float, default=200.0, help="frames per second")
    parser.add_argument("--point", type=float, default=10.0, help="seconds a point takes")
    parser.add_argument("--every", action="store_true", help="publish every frame, not 30 a second")
    parser.add_argument("--hover", action="store_true", help="move the cursor 20 times a second")
    parser.add_argument("--warm-up", type=float, default=10.0, help="seconds before measuring")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    stop, endpoint = context.Event(), context.Queue()
    arguments = (endpoint, stop, options.side, options.rate, options.every, options.point)
    sender = context.Process(target=publish, args=arguments, daemon=True)
    sender.start()
    application()
    with tempfile.TemporaryDirectory() as folder:
        info = RunInfo("benchmark", str(Path(folder) / "none"), sender.pid or 0, "tcp://127.0.0.1:9", endpoint.get())
        mailbox = Mailbox()
        window = Window(Desk(methods(), mailbox), Preferences(None))
        feed = Feed(mailbox, find=lambda: [info])
        feed.start()
        window.show()
        if options.hover:
            hover = QTimer()
            hover.setInterval(50)
            hover.timeout.connect(lambda: window.desk.selection.move(int(time.monotonic() * 20) % options.side, 9))
            hover.start()
        go_on(options.warm_up)
        watcher = Watcher(window)
        redraws, cpu, began, kept = window.redraws, time.process_time(), time.monotonic(), kept_waiting()
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        go_on(options.duration)
        seconds = time.monotonic() - began
        waited = kept_waiting() - kept
        report(watcher, window.redraws - redraws, time.process_time() - cpu, seconds, load, waited)
        feed.stop()
        stop.set()
        window.close()
    sender.join(10.0)


def go_on(seconds: float) -> None:
    """Let the window work."""
    loop = QEventLoop()  # ending the application's own would close the window
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()


def kept_waiting() -> float:
    """Return how long this thread could have run and got no processor (s), NaN where the system does not tell."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return float("nan")


def report(watcher: Watcher, redraws: int, cpu: float, seconds: float, load: float, waited: float) -> None:
    """Print the numbers."""
    late = 1e3 * np.array(watcher.late)
    times, memory = np.array(watcher.memory).T
    half = memory[len(memory) // 2 :]
    slope = np.polyfit(times[len(times) // 2 :] - times[0], half, 1)[0] if half.size > 2 else float("nan")
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load before {load:.1f}, {seconds:.0f} s"
    )
    print(f"no processor  {100 * waited / seconds:.0f} % of the time: numbers of wall time mean little above a few %")
    print(f"redraws       {redraws / seconds:.1f} per second")
    print(
        f"event loop    median {np.median(late):.1f} ms late, 99 % {np.percentile(late, 99):.1f}, most {late.max():.1f}"
    )
    turns, busy = 1e3 * np.array(watcher.turns), 1e3 * np.array(watcher.busy)
    print(
        f"one turn      99 % {np.percentile(turns, 99):.1f} ms of the processor with painting, most {turns.max():.1f}"
    )
    print(f"  of Python   99 % {np.percentile(busy, 99):.1f} ms, most {busy.max():.1f}")
    print(f"drawing       {100 * turns.sum() / 1e3 / seconds:.0f} % of one core in the thread that draws")
    print(f"processor     {100 * cpu / seconds:.0f} % of one core")
    print(f"memory        {memory[0]:.0f} -> {memory[-1]:.0f} MB, {60 * slope:+.2f} MB/min over the second half")


if __name__ == "__main__":
    main()
