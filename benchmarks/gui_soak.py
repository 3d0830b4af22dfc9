"""A night through the window, compressed, to see whether its memory grows.

``python benchmarks/gui_soak.py --hours 8`` hands the window's mailbox what a run of so many hours sends (frames, maps,
readings, status, points, journal), as fast as it takes them, lets it draw in between, and prints the memory held by
the hour of the run and its slope over the second half.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import psutil
from gui import FIELD, GAMMA, maps_message, maps_of
from PySide6.QtWidgets import QApplication

from nvscope.cli.watch_methods import methods
from nvscope.gui.app import application
from nvscope.gui.desk import Desk
from nvscope.gui.mailbox import LinkReport, Mailbox
from nvscope.gui.preferences import Preferences
from nvscope.gui.window import Window
from nvscope.stream.control import RunInfo
from nvscope.stream.messages import Frame, HistoryRow, JournalEntry, Message, PointClosed, PointOpened, RunStatus
from nvscope.stream.sockets import Received
from nvscope.stream.viewing import NEWEST_ONLY, News

BUDGET = 32 * 1024 * 1024
POINT, STEP = 60.0, 1.0
"""Rig seconds a point takes, and between two lots of messages."""


def lot(now: float, side: int, rng: np.random.Generator, images: Any, maps: Any) -> list[tuple[Message, list[Any]]]:
    """Return what a second of a run sends."""
    number = int(now // POINT)
    found: list[tuple[Message, list[Any]]] = []
    if now % POINT < STEP:
        offsets = np.linspace(-75e6, 75e6, 41)
        axis = np.concatenate([3.08e9 - GAMMA * FIELD + offsets, 3.08e9 + GAMMA * FIELD + offsets]).tolist()
        attrs = {"purpose": "fw" if number else "reference", "temperature": 20.0 + number % 90, "field": FIELD}
        if number:
            found.append((maps_message(number - 1, now, side, maps, final=True), list(maps.values())))
            verdict = {"protocol": "fw", "verdict": "valid", "reason": "as asked"}
            found.append((JournalEntry("certificate", now, verdict), []))
            found.append((PointClosed(number - 1, now, {"certificate": verdict}), []))
        found.append((JournalEntry("step", now, {"step": f"map at {20 + number % 90} K"}), []))
        found.append((PointOpened(number, "odmr", axis, (side, side), now, attrs), []))
    for k in range(3):
        frame = Frame(number, 0, 0, int(rng.integers(82)), int(now * 30) + k, False, now, (side, side))
        found.append((frame, [images[k]]))
    found.append((maps_message(number, now, side, maps, final=False), list(maps.values())))
    values = {f"column_{k}": float(rng.normal()) for k in range(6)} | {"temperature": 20 + now % 90, "field": FIELD}
    found.append((HistoryRow(now, values), []))
    found.append((JournalEntry("warning", now, {"text": f"the thermometer hesitated at {now:.0f} s"}), []))
    found.append((RunStatus("soak", "running", "map", 0.5, now, {"frames_per_second": 200.0}, 100.0), []))
    return found


def news(messages: list[tuple[Message, list[Any]]]) -> News:
    """Return them as a subscriber would."""
    latest: dict[type[Message], Received] = {}
    events: list[Message] = []
    for message, arrays in messages:
        if isinstance(message, NEWEST_ONLY):
            latest[type(message)] = Received(message, [array.copy() for array in arrays])
        else:
            events.append(message)
    return News(latest, events)


def main() -> None:
    """Run it and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=8.0, help="hours of the run")
    parser.add_argument("--side", type=int, default=64, help="pixels along an edge")
    parser.add_argument("--draw", type=int, default=5, help="draw after so many seconds of the run")
    options = parser.parse_args()
    application()
    rng = np.random.default_rng(1)
    images = rng.poisson(9000, (3, options.side, options.side)).astype(np.uint16)
    maps = maps_of(options.side, rng)
    mailbox = Mailbox()
    mailbox.begin(LinkReport("connected", RunInfo("soak", "/nowhere", 1, "tcp://127.0.0.1:9", ""), time.monotonic()))
    # maps are held up to a budget: a small one, reached early, so that what grows besides is seen
    window = Window(Desk(methods(), mailbox, map_budget=BUDGET), Preferences(None))
    window.show()
    process, held = psutil.Process(), []
    seconds, began = int(options.hours * 3600), time.monotonic()
    for now in range(seconds):
        mailbox.put(news(lot(float(now), options.side, rng, images, maps)))
        window.desk.step()
        if now % options.draw == 0:
            window.redraw()
            QApplication.processEvents()
        if now % 600 == 0:
            gc.collect()
            held.append((now / 3600, process.memory_info().rss / 1e6))
    hours, memory = np.array(held).T
    half = hours > options.hours / 2
    slope = np.polyfit(hours[half], memory[half], 1)[0]
    print(f"{options.hours:g} h of a run in {time.monotonic() - began:.0f} s, {options.side} x {options.side} pixels")
    print("memory        " + ", ".join(f"{h:.1f} h {m:.0f}" for h, m in held[:: max(1, len(held) // 8)]) + " MB")
    print(f"slope         {slope:+.2f} MB per hour of the run over its second half")
    counts = {name: len(series) for name, series in window.desk.session.history.items()}
    print(f"held          {len(window.desk.session.points)} points, most readings of a kind {max(counts.values())}")
    window.close()


if __name__ == "__main__":
    main()
