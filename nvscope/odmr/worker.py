"""The live-fit process: frames in, newest maps out, never in the way of the frames.

The main thread drains the socket; a second one (`nvscope.odmr.live_fit`) fits whatever has been summed up by then. Maps
of an open point show every frame so far; the final maps of a closed point show committed blocks only.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import time
from typing import Any

import numpy as np

from nvscope.odmr.live_fit import FitThread, LivePoint
from nvscope.odmr.maps import PointMaps
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
from nvscope.stream.sockets import Receiver, Sender, StreamBlocked, pack

__all__ = ["run_fitter"]

NAME = "fitter"
HEARTBEAT = 1.0
PATIENCE = 0.1  # longest wait for a message, s
FINAL_TIMEOUT = 20.0


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


class _Fitter:
    def __init__(self, frames: Receiver, recorder: Sender, reports: Sender) -> None:
        self._frames = frames
        self._destinations = (reports, recorder)
        self._point: LivePoint | None = None
        self._over: LivePoint | None = None
        self._counts = {"frames": 0, "lost": 0, "maps": 0, "malformed": 0, "ignored": 0}
        self._thread = FitThread(self._publish)

    def run(self) -> None:
        """Drain messages until `Finish` or until nobody is left to send one."""
        self._thread.start()
        self._tell(self._destinations[0], Ready(NAME))
        beat = time.monotonic()
        parent = multiprocessing.parent_process()
        while True:
            received = self._frames.receive(PATIENCE)
            if received is not None:
                if isinstance(received.message, Finish):
                    break
                try:
                    self._handle(received.message, received.arrays)
                except Exception as error:  # nonsense in one message must not cost the points that follow
                    self._counts["ignored"] += 1
                    print(
                        f"fitter: {type(received.message).__name__}: {type(error).__name__}: {error}", file=sys.stderr
                    )
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
        settled = self._thread.settle(FINAL_TIMEOUT)
        before = self._over.sums if settled and self._over is not None else None
        self._point, self._over = LivePoint(message, before), None

    def _take(self, frame: Frame, image: Any) -> None:
        point = self._point
        if point is None or frame.point != point.opened.point:
            self._counts["ignored"] += 1
            return
        point.sums.add(frame, image)
        point.rig_time = frame.rig_time
        self._counts["frames"] += 1
        self._thread.offer(point)

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
        self._thread.offer(point)

    def _close_point(self, message: PointClosed) -> None:
        point = self._point
        if point is None or message.point != point.opened.point:
            self._counts["ignored"] += 1
            return
        self._point, self._over = None, point
        point.rig_time = message.rig_time
        point.closed = message
        self._thread.offer(point)

    def _end(self) -> None:
        self._thread.settle(FINAL_TIMEOUT)
        self._thread.stop(5.0)
        for destination in self._destinations:
            self._tell(destination, Finished(NAME, dict(self._counts)))

    def _publish(self, point: LivePoint, maps: PointMaps, sweeps: int, blocks: int, final: bool) -> None:
        names = list(maps.maps)
        counts = {"frames": point.sums.frames, "lost": point.sums.lost, "blocks": blocks}
        summary = {**maps.summary, **{name: float(count) for name, count in counts.items()}}
        message = Maps(point.opened.point, sweeps, final, point.rig_time, point.opened.shape, names, summary)
        packed = pack(message, *(np.ascontiguousarray(maps.maps[name]) for name in names))
        for destination in self._destinations:
            if final:
                with contextlib.suppress(StreamBlocked):
                    destination.send_parts(packed, timeout=FINAL_TIMEOUT / 4)
            else:
                destination.try_send_parts(packed)  # a newer one will follow
        self._counts["maps"] += 1

    def _tell(self, destination: Sender, message: Message) -> None:
        with contextlib.suppress(StreamBlocked):
            destination.send(message, timeout=FINAL_TIMEOUT / 4)
