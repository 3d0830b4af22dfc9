"""The lab's camera: exposes at rig time, renders when an exposure ends, and sends frames to whoever started it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import zmq
from numpy.typing import NDArray
from pydantic import Field

from nvscope.config import Frozen
from nvscope.units import Seconds
from nvscope_simulators.camera_wire import (
    MAX_REQUEST,
    Describe,
    Description,
    Frame,
    Refused,
    Reply,
    Start,
    Started,
    Stop,
    Stopped,
    Taken,
    decode_request,
    encode,
)
from nvscope_simulators.timeline import Event
from nvscope_simulators.world.interface import World

__all__ = ["CameraLink", "CameraSettings"]

_SILENCE = 3.0
"""Wall seconds after which an owner that is not heard of has lost the camera to whoever asks next."""
_POLL_SOCKET = 0.001
"""Wall seconds between looks at the socket on a loop that cannot watch it."""
_POLL = 0.05
"""Wall seconds between looks at the socket while driven time waits, should an edge of its event be missed."""


class CameraSettings(Frozen):
    """The camera as an instrument; what it sees is the world's business."""

    model: str = Field(default="LabCamera", description="name it reports")
    serial: str = Field(default="SN0001", description="serial number it reports")
    trigger_line: str = Field(default="sweep", description="the lab's trigger line plugged into it")
    exposure_min: Seconds = Field(default=1e-5, gt=0, description="shortest exposure")
    exposure_max: Seconds = Field(default=10.0, gt=0, description="longest exposure")
    readout: Seconds = Field(default=0.0005, ge=0, description="time after an exposure before the next can begin")
    buffer_bytes: int = Field(default=1 << 23, ge=1 << 16, le=1 << 30, description="memory for frames not yet taken")
    patience: float = Field(
        default=10.0, gt=0, description="wall seconds that driven time waits for frames to be taken"
    )


@dataclass
class _Sequence:
    """A sequence under way."""

    client: bytes
    start: Start
    window: int
    heard: float
    exposing: Event | None = None
    ready_at: float = -math.inf
    exposed: int = 0
    sent: int = 0
    taken: int = 0
    abandoned: bool = False

    @property
    def waiting(self) -> int:
        """Frames sent and not yet taken."""
        return self.sent - self.taken

    @property
    def complete(self) -> bool:
        """Whether every frame asked for has been exposed."""
        return 0 < self.start.frames <= self.exposed


class CameraLink:
    """The camera on a ZeroMQ port.

    Driven time never outruns the frames it caused: a barrier on the timeline waits, bounded in wall time, until the
    device has taken all but a window of them. With nobody driving time nothing waits, and a full buffer loses frames,
    as a real camera's does.

    Parameters
    ----------
    world : World
    settings : CameraSettings

    Attributes
    ----------
    dropped : int
        Frames lost because the buffer was full or the client gone, since the start of the lab.
    ignored : int
        Triggers that came during an exposure or its readout.
    malformed : int
        Messages that could not be read.
    """

    model: ClassVar[str] = "Micro-Manager"

    def __init__(self, world: World, settings: CameraSettings) -> None:
        self._world = world
        self._settings = settings
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._sequence: _Sequence | None = None
        self._poller: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._full = np.zeros(world.image_shape, dtype=np.uint16)
        self.dropped = self.ignored = self.malformed = 0
        self._exposure = 0.01
        self._losing = 0
        self._exposure_stuck = self._hung = False
        world.ports.triggers.plug(settings.trigger_line, self._triggered)
        world.timeline.add_barrier(self._barrier)

    # ------------------------------------------------------------------ the socket

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Bind; returns the port."""
        self._context = zmq.Context()
        socket = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.SNDHWM, 0)  # the window bounds what is on the way
        socket.bind(f"tcp://{host}:{port}")
        self._socket = socket
        try:
            asyncio.get_running_loop().add_reader(int(socket.getsockopt(zmq.FD)), self._readable)
        except NotImplementedError:  # Windows' default loop watches no sockets
            self._poller = asyncio.create_task(self._poll())
        return int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])

    async def stop(self) -> None:
        """End any sequence and close the port."""
        self._end()
        if self._socket is not None and self._context is not None:
            if self._poller is not None:
                self._poller.cancel()
                self._poller = None
            else:
                asyncio.get_running_loop().remove_reader(int(self._socket.getsockopt(zmq.FD)))
            self._socket.close()
            self._context.term()
            self._socket = self._context = None

    async def _poll(self) -> None:
        while True:
            self._readable()
            await asyncio.sleep(_POLL_SOCKET)

    def _readable(self) -> None:
        """Read all there is: the socket signals new messages only once."""
        while self._socket is not None and not self._hung:
            try:
                parts = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            if len(parts) != 2:
                self.malformed += 1
                continue
            try:
                request = decode_request(parts[1])
            except (ValueError, RecursionError):
                self.malformed += 1
                continue
            if isinstance(request, Describe):
                self._send(parts[0], self._description())
            elif isinstance(request, Start):
                self._begin(parts[0], request)
            elif isinstance(request, Taken):
                self._taken(parts[0], request)
            else:
                self._stopped(parts[0], request)

    def _send(self, client: bytes, message: Reply, buffer: NDArray[np.uint16] | None = None) -> bool:
        if self._socket is None:
            return False
        try:
            if buffer is None:
                self._socket.send_multipart([client, encode(message)], zmq.DONTWAIT)
            else:
                self._socket.send_multipart([client, encode(message), buffer.data], zmq.DONTWAIT, copy=False)
        except zmq.ZMQError:
            return False  # the client has gone
        if int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            # sending may have swallowed the signal of a message that arrived meanwhile
            asyncio.get_running_loop().call_soon(self._readable)
        return True

    # ------------------------------------------------------------------ requests

    def _description(self) -> Description:
        settings = self._settings
        return Description(
            settings.model,
            settings.serial,
            self._world.image_shape,
            self._world.saturation,
            settings.exposure_min,
            settings.exposure_max,
            settings.readout,
        )

    def _begin(self, client: bytes, start: Start) -> None:
        reason = self._objection(start)
        if reason:
            self._send(client, Refused(start.sequence, reason))
            return
        self._end()
        _, _, width, height = start.roi
        window = max(4, self._settings.buffer_bytes // (2 * width * height))
        self._sequence = _Sequence(client, start, window, time.monotonic())
        if not self._exposure_stuck:
            self._exposure = start.exposure
        self._send(client, Started(start.sequence, self._exposure))
        if not start.external:
            self._expose()

    def _objection(self, start: Start) -> str:
        height, width = self._world.image_shape
        x, y, w, h = start.roi
        present = self._sequence
        if present is not None and present.start.owner != start.owner and self._alive(present):
            return "the camera is in use by another program"
        shortest, longest = self._settings.exposure_min, self._settings.exposure_max
        if not shortest <= start.exposure <= longest:
            return f"no exposure of {start.exposure:g} s; {shortest:g} to {longest:g} s"
        if min(x, y) < 0 or min(w, h) < 1 or x + w > width or y + h > height:
            return f"region {start.roi} is not on the sensor of {width} x {height} pixels"
        return "" if start.frames >= 0 else "cannot take fewer than no frames"

    def _alive(self, sequence: _Sequence) -> bool:
        return not sequence.complete and time.monotonic() - sequence.heard < _SILENCE

    def _mine(self, client: bytes, number: int) -> _Sequence | None:
        present = self._sequence
        if present is None or present.client != client or present.start.sequence != number:
            return None
        present.heard = time.monotonic()
        return present

    def _taken(self, client: bytes, request: Taken) -> None:
        present = self._mine(client, request.sequence)
        if present is not None:
            present.taken = max(present.taken, min(request.frames, present.sent))
            present.abandoned = False
            self._room.set()

    def _stopped(self, client: bytes, request: Stop) -> None:
        if self._mine(client, request.sequence) is not None:
            self._end()
        self._send(client, Stopped(request.sequence))

    def _end(self) -> None:
        if self._sequence is not None and self._sequence.exposing is not None:
            self._sequence.exposing.cancel()
        self._sequence = None
        self._room.set()

    # ------------------------------------------------------------------ exposures

    def _triggered(self) -> None:
        if self._sequence is not None and self._sequence.start.external:
            self._expose()

    def _expose(self) -> None:
        """Begin an exposure, unless one is under way or being read out."""
        present, now = self._sequence, self._world.timeline.now
        if present is None or present.complete or self._hung:
            return
        # a trigger at the very moment the camera is ready again counts; rig time is a sum of floats
        if present.exposing is not None or now < present.ready_at - 1e-9:
            self.ignored += 1
            return
        present.exposing = self._world.timeline.after(self._exposure, self._exposed)

    def _exposed(self) -> None:
        present = self._sequence
        assert present is not None
        present.exposing = None
        present.ready_at = self._world.timeline.now + self._settings.readout
        self._deliver(present)
        if not present.start.external and self._sequence is present:
            self._world.timeline.at(present.ready_at, partial(self._run_on, present))

    def _run_on(self, sequence: _Sequence) -> None:
        """Free running: begin the next exposure, if it is still the same sequence."""
        if self._sequence is sequence:
            self._expose()

    def _deliver(self, present: _Sequence) -> None:
        number = present.exposed
        present.exposed += 1
        if self._losing or present.waiting >= present.window:
            self._losing = max(0, self._losing - 1)
            self.dropped += 1
            return
        x, y, width, height = present.start.roi
        if (height, width) == self._world.image_shape:
            image = np.empty(self._world.image_shape, dtype=np.uint16)  # sent without copying: a fresh one each time
            self._world.expose(self._exposure, image)
        else:
            self._world.expose(self._exposure, self._full)
            image = self._full[y : y + height, x : x + width].copy()
        frame = Frame(present.start.sequence, number, self._world.timeline.now, (height, width), self.ignored)
        if self._send(present.client, frame, image):
            present.sent += 1
        else:
            self.dropped += 1

    # ------------------------------------------------------------------ troubles

    def lose_frames(self, count: int) -> None:
        """Lose the next `count` frames between camera and computer; their numbers are missing afterwards."""
        self._losing = count

    def overflow(self) -> None:
        """Let the camera's memory overflow: no more frames of this sequence arrive, and driven time does not wait."""
        if self._sequence is not None:
            self._sequence.window = 0
            self._sequence.abandoned = True

    def set_exposure_ignored(self, on: bool) -> None:
        """Keep the exposure of the last sequence, whatever is asked for; the camera reports what it did."""
        self._exposure_stuck = on

    def set_hung(self, on: bool) -> None:
        """Answer nothing and expose nothing."""
        self._hung = on
        if not on:
            self._readable()

    # ------------------------------------------------------------------ driven time waits for frames

    def _barrier(self) -> Awaitable[None] | None:
        present = self._sequence
        if present is None or present.abandoned or present.complete or present.waiting < present.window:
            return None
        return self._wait_for_room(present)

    async def _wait_for_room(self, present: _Sequence) -> None:
        deadline = time.monotonic() + self._settings.patience
        while self._sequence is present and present.waiting >= present.window:
            left = deadline - time.monotonic()
            if left <= 0:
                present.abandoned = True  # from here on frames are lost, until it is heard of again
                return
            self._room.clear()
            try:
                await asyncio.wait_for(self._room.wait(), min(left, _POLL))
            except TimeoutError:
                self._readable()
