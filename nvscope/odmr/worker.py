"""The live-fit process: frames in, newest maps out, never in the way of the frames.

The main thread drains the socket; a second thread fits whatever has been summed up by then. Maps of an open point show
every frame so far; the final maps of a closed point show committed blocks only.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from nvscope.odmr.accumulator import Accumulator
from nvscope.odmr.fitting import fit
from nvscope.odmr.known_field import find_pairs
from nvscope.odmr.maps import PointMaps, enough_to_fit, fit_point
from nvscope.odmr.synthetic import line_pairs, two_windows
from nvscope.stream.messages import (
    BlockClosed,
    Finish,
    Finished,
    Frame,
    Heartbeat,
    Maps,
    Message,
    PointClosed,
    PointOpened,
    Ready,
)
from nvscope.stream.sockets import Receiver, Sender, StreamBlocked

__all__ = ["run_fitter", "warm_up"]

NAME = "fitter"
HEARTBEAT = 1.0
PATIENCE = 0.1  # longest wait for a message, s
REST = 1.0  # pause after a live fit, in units of its own duration: the frames and the run need the cores too
SHORTEST_REST = 0.15  # maps more often than this nobody sees, s
FINAL_TIMEOUT = 20.0
NICE = 5  # of the fitting threads


@dataclass
class _Point:
    """A point from its opening to its final maps."""

    opened: PointOpened
    sums: Accumulator
    rig_time: float
    frequencies: Any
    closed: PointClosed | None = None
    fitted: tuple[int, bool] | None = None  # revision of what `newest` shows, and whether an open block was in it
    newest: PointMaps | None = None
    sweeps: int = 0
    blocks: int = 0


def run_fitter(frames_endpoint: str, recorder_endpoint: str, reports_endpoint: str) -> None:
    """Fit what comes in until told to finish, or until the parent process has gone.

    Parameters
    ----------
    frames_endpoint : str
        Where the run sends frames and control messages.
    recorder_endpoint, reports_endpoint : str
        Where maps go: the recorder, and the run.
    """
    with (
        Receiver.connect(frames_endpoint, "the run") as frames,
        Sender.connect(recorder_endpoint, "the recorder") as recorder,
        Sender.connect(reports_endpoint, "the run") as reports,
    ):
        fitter = _Fitter(frames, recorder, reports)
        fitter.run()


def warm_up() -> None:
    """Compile the kernels, or load them from disk, by fitting a few spectra as they come from a camera."""
    axis = two_windows(12)
    signal = line_pairs(axis, 4, seed=0, level=1000.0).signal.astype(np.float32).reshape(-1, 2, 2)
    first = fit(axis, signal, threads=1)
    fit(axis, signal, start=first, threads=1)
    find_pairs(axis, signal, 270e6, threads=1)


def _step_back() -> None:
    """Let frames go first: this thread and those it starts get less of a busy computer than the run and the recorder.

    Only Linux can say so of a thread; elsewhere nothing is changed.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, NICE)


class _Fitter:
    def __init__(self, frames: Receiver, recorder: Sender, reports: Sender) -> None:
        self._frames = frames
        self._destinations = (reports, recorder)
        self._point: _Point | None = None
        self._counts = {"frames": 0, "lost": 0, "maps": 0, "malformed": 0, "ignored": 0}
        self._wake = threading.Condition()
        self._work: _Point | None = None
        self._stop = False
        self._thread = threading.Thread(target=self._fit_forever, name="nvscope-live-fit", daemon=True)

    # --- draining --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Drain messages until `Finish` or until nobody is left to send one."""
        self._thread.start()
        self._tell(Ready(NAME), self._destinations[0])
        beat = time.monotonic()
        parent = multiprocessing.parent_process()
        while True:
            received = self._frames.receive(PATIENCE)
            if received is not None:
                if isinstance(received.message, Finish):
                    break
                self._handle(received.message, received.arrays)
            if time.monotonic() - beat >= HEARTBEAT:
                beat = time.monotonic()
                self._counts["malformed"] = self._frames.malformed
                self._destinations[0].try_send(Heartbeat(NAME, dict(self._counts)))
                if parent is not None and not parent.is_alive():
                    break
        self._end()

    def _handle(self, message: Message, arrays: list[Any]) -> None:
        if isinstance(message, Frame):
            self._take(message, arrays[0])
        elif isinstance(message, PointOpened):
            self._open(message)
        elif isinstance(message, BlockClosed):
            self._close_block(message)
        elif isinstance(message, PointClosed):
            self._close_point(message)
        else:
            self._counts["ignored"] += 1

    def _open(self, message: PointOpened) -> None:
        if message.kind != "odmr":
            return
        self._settle()
        self._point = _Point(message, Accumulator(message), message.rig_time, np.array(message.frequencies))

    def _take(self, frame: Frame, image: Any) -> None:
        point = self._point
        if point is None or frame.point != point.opened.point:
            self._counts["ignored"] += 1
            return
        point.sums.add(frame, image)
        point.rig_time = frame.rig_time
        self._counts["frames"] += 1
        self._offer(point)

    def _close_block(self, message: BlockClosed) -> None:
        point = self._point
        if point is None or message.point != point.opened.point:
            self._counts["ignored"] += 1
            return
        before = point.sums.lost
        reason = point.sums.close(message)
        if message.valid and reason:
            print(f"fitter: block {message.block} of point {message.point} left out: {reason}", file=sys.stderr)
        self._counts["lost"] += point.sums.lost - before
        point.rig_time = message.rig_time
        self._offer(point)

    def _close_point(self, message: PointClosed) -> None:
        point, self._point = self._point, None
        if point is None or message.point != point.opened.point:
            self._counts["ignored"] += 1
            return
        point.rig_time = message.rig_time
        with self._wake:
            point.closed = message
            self._work = point
            self._wake.notify_all()

    def _settle(self) -> None:
        """Wait, bounded, until the final maps of the point before are out: its sums are then free."""
        with self._wake:
            self._wake.wait_for(lambda: self._work is None or self._work.closed is None, FINAL_TIMEOUT)
            self._work = None

    def _offer(self, point: _Point) -> None:
        with self._wake:
            self._work = point
            self._wake.notify_all()

    def _end(self) -> None:
        self._settle()
        with self._wake:
            self._stop = True
            self._wake.notify_all()
        self._thread.join(5.0)
        for destination in self._destinations:
            self._tell(Finished(NAME, dict(self._counts)), destination)

    # --- fitting ---------------------------------------------------------------------------------------------------

    def _fit_forever(self) -> None:
        _step_back()
        try:
            warm_up()
        except Exception as error:  # the first point will try again, and say what is wrong with it
            print(f"fitter: warming up: {type(error).__name__}: {error}", file=sys.stderr)
        rest_until = 0.0
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stop or self._work is not None)
                if self._stop:
                    return
                point = self._work
                assert point is not None
                final = point.closed is not None
                if not final:
                    now = time.monotonic()
                    if now < rest_until:
                        self._wake.wait(rest_until - now)
                        continue
                    self._work = None
            began = time.monotonic()
            try:
                self._fit(point, final)
            except Exception as error:  # one point without maps must not cost the maps of those that follow
                print(f"fitter: point {point.opened.point}: {type(error).__name__}: {error}", file=sys.stderr)
            if final:
                with self._wake:
                    if self._work is point:
                        self._work = None
                    self._wake.notify_all()
            else:
                took = time.monotonic() - began
                rest_until = time.monotonic() + max(SHORTEST_REST, REST * took)

    def _fit(self, point: _Point, final: bool) -> None:
        sums = point.sums
        shows = (sums.revision, not final and sums.has_open_frames())
        if point.fitted != shows:
            spectra = sums.spectra(live=not final)
            if not final and not enough_to_fit(spectra.frames):
                return
            # final maps depend on the data alone, not on when live fits happened to be made
            start = point.newest.start if point.newest is not None and not final else None
            wanted = None if final else lambda: point.closed is None  # final maps must not wait for these
            maps = fit_point(point.frequencies, spectra, point.opened.attrs, start, wanted=wanted)
            if maps is None:
                return
            point.newest = maps
            point.fitted = (spectra.revision, shows[1])
            point.sweeps, point.blocks = spectra.sweeps, spectra.blocks
        elif not final:
            return
        if point.newest is not None:
            self._publish(point, point.newest, final)

    def _publish(self, point: _Point, maps: PointMaps, final: bool) -> None:
        names = list(maps.maps)
        counts = {"frames": point.sums.frames, "lost": point.sums.lost, "blocks": point.blocks}
        summary = {**maps.summary, **{name: float(count) for name, count in counts.items()}}
        message = Maps(point.opened.point, point.sweeps, final, point.rig_time, point.opened.shape, names, summary)
        arrays = [np.ascontiguousarray(maps.maps[name]) for name in names]
        for destination in self._destinations:
            if final:
                self._tell(message, destination, *arrays)
            else:
                destination.try_send(message, *arrays)  # a newer one will follow
        self._counts["maps"] += 1

    def _tell(self, message: Message, destination: Sender, *arrays: Any) -> None:
        with contextlib.suppress(StreamBlocked):
            destination.send(message, *arrays, timeout=FINAL_TIMEOUT / 4)
