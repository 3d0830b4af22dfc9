"""The lab's camera as a Micro-Manager device: a Python camera for pymmcore-plus's UniMMCore, in the run's process."""

from __future__ import annotations

import contextlib
import itertools
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import zmq
from numpy.typing import DTypeLike, NDArray
from pymmcore_plus.experimental.unicore import CameraDevice

from nvscope_simulators.camera_wire import (
    Describe,
    Description,
    Frame,
    Refused,
    Reply,
    Request,
    Start,
    Started,
    Stop,
    Stopped,
    Taken,
    decode_reply,
    encode,
)

__all__ = ["LabCamera"]

_ANSWER = 5.0
"""Wall seconds the lab may take to answer."""
_POLL = 0.2
"""Wall seconds between signs of life while no frames come; a stop is noticed as fast."""

_STOPPING = 1.0
"""Wall seconds to wait until the lab has stopped exposing."""

_SILENCE = 60.0
"""Wall seconds after which a free-running camera that sends nothing is taken for broken."""

TRIGGER_SOURCES = ("Internal", "External")


class LabCameraError(RuntimeError):
    """The lab's camera refused, or did not answer."""


class _Line:
    """One connection to the lab."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.setsockopt(zmq.RCVHWM, 0)  # the lab bounds what it has on the way
        self._socket.connect(address)

    def close(self) -> None:
        self._socket.close()

    def send(self, request: Request) -> None:
        """Send, or not if the lab has stopped reading long ago."""
        with contextlib.suppress(zmq.Again):
            self._socket.send(encode(request), zmq.DONTWAIT)

    def ready(self, seconds: float) -> bool:
        return bool(self._socket.poll(round(seconds * 1e3)))

    def receive(self) -> tuple[Reply, memoryview | None] | None:
        """Return a message that has arrived, with its buffer, or None."""
        try:
            parts = self._socket.recv_multipart(zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return None
        try:
            reply = decode_reply(parts[0].buffer)
        except ValueError as error:
            raise LabCameraError(f"cannot read what the lab at {self._address} sends: {error}") from error
        return reply, parts[1].buffer if len(parts) == 2 else None

    def stop(self, number: int) -> None:
        """Ask to expose no more, and wait, bounded, until that is so; frames still on their way are left."""
        self.send(Stop(number))
        ends = time.monotonic() + _STOPPING
        while (left := ends - time.monotonic()) > 0 and self.ready(left):
            with contextlib.suppress(LabCameraError):
                message = self.receive()
                if message is not None and isinstance(message[0], Stopped):
                    return

    def ask(self, request: Request) -> Reply:
        """Send a request and wait for its answer, bounded."""
        self.send(request)
        if not self.ready(_ANSWER):
            raise LabCameraError(f"no answer from the lab's camera at {self._address} within {_ANSWER:g} s")
        message = self.receive()
        if message is None:
            raise LabCameraError(f"no answer from the lab's camera at {self._address}")
        if isinstance(message[0], Refused):
            raise LabCameraError(f"the lab's camera at {self._address} refuses: {message[0].reason}")
        return message[0]


class LabCamera(CameraDevice):
    """The camera of a simulated lab.

    Every frame's metadata carry ``FrameNumber`` (exposures of the sequence, from 0), ``RigTime`` (end of the exposure,
    s) and ``TriggersIgnored``.

    Parameters
    ----------
    address : str
        ``tcp://127.0.0.1:PORT`` of the lab's camera link.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address
        self._owner = uuid.uuid4().hex
        self._numbers = itertools.count(1)
        self._present = 0
        self._exposure = 0.01
        self._external = False
        self._roi: tuple[int, int, int, int] | None = None
        self._description: Description | None = None
        self.register_property(
            "TriggerSource",
            property_type=str,
            getter=LabCamera._get_trigger,
            setter=LabCamera._set_trigger,
            allowed_values=TRIGGER_SOURCES,
        )
        self._gain = 1.0
        self.register_property(
            "Gain",
            property_type=float,
            getter=lambda camera: camera._gain,
            setter=LabCamera._set_gain,
            limits=(1.0, 16.0),
        )

    # ------------------------------------------------------------------ what Micro-Manager asks

    def initialize(self) -> None:
        """Ask the lab which camera it has."""
        line = _Line(self._address)
        try:
            reply = line.ask(Describe())
        finally:
            line.close()
        if not isinstance(reply, Description):
            raise LabCameraError(
                f"the lab at {self._address} does not describe a camera but sends {type(reply).__name__}"
            )
        self._description = reply
        for name, value in (
            ("CameraName", reply.model),
            ("CameraID", reply.serial),
            ("Saturation", reply.saturation),
            ("ReadoutTime", reply.readout * 1e3),
        ):
            self.register_property(name, default_value=value, is_read_only=True)

    def shutdown(self) -> None:
        """End any sequence."""
        self.abort_sequence()

    def _sensor(self) -> Description:
        if self._description is None:
            raise LabCameraError(f"the lab's camera at {self._address} has not been initialised")
        return self._description

    def shape(self) -> tuple[int, int]:
        """Return the image shape (y, x)."""
        _, _, width, height = self.get_roi()
        return height, width

    def dtype(self) -> DTypeLike:
        """Return the pixel type."""
        return np.uint16

    def get_exposure(self) -> float:
        """Return the exposure (ms)."""
        return self._exposure * 1e3

    def set_exposure(self, exposure: float) -> None:
        """Set the exposure (ms)."""
        sensor = self._sensor()
        if not sensor.exposure_min <= exposure * 1e-3 <= sensor.exposure_max:
            raise ValueError(
                f"no exposure of {exposure:g} ms; {sensor.exposure_min * 1e3:g} to {sensor.exposure_max * 1e3:g}"
            )
        self._exposure = exposure * 1e-3

    def _get_trigger(self) -> str:
        return TRIGGER_SOURCES[self._external]

    def _set_trigger(self, value: str) -> None:
        self._external = value == "External"

    def _set_gain(self, value: float) -> None:
        """Amplify what the sensor gives, its black level included, up to saturation."""
        self._gain = float(value)

    def get_roi(self) -> tuple[int, int, int, int]:
        """Return x, y, width and height of the region."""
        height, width = self._sensor().shape
        return self._roi or (0, 0, width, height)

    def set_roi(self, x: int, y: int, width: int, height: int) -> None:
        """Set the region."""
        rows, columns = self._sensor().shape
        if min(x, y) < 0 or min(width, height) < 1 or x + width > columns or y + height > rows:
            raise ValueError(f"region {x, y, width, height} is not on the sensor of {columns} x {rows} pixels")
        self._roi = (x, y, width, height)

    def clear_roi(self) -> None:
        """Use the whole sensor."""
        self._roi = None

    # ------------------------------------------------------------------ sequences

    def start_sequence(
        self, n: int | None, get_buffer: Callable[[Sequence[int], DTypeLike], NDArray[Any]]
    ) -> Iterator[Mapping[str, Any]]:
        """Arm the lab's camera, and return the iterator that takes its frames.

        The camera is armed when this returns, before the thread that takes the frames runs: no trigger is missed.
        """
        number = next(self._numbers)
        self._present = number
        line = _Line(self._address)
        try:
            roi = self.get_roi()
            reply = line.ask(Start(self._owner, number, self._exposure, self._external, n or 0, roi))
            if not isinstance(reply, Started):
                raise LabCameraError(f"the lab's camera answers a start with {type(reply).__name__}")
            self._exposure = reply.exposure
        except BaseException:
            line.close()
            raise
        return self._frames(line, number, n, self.shape(), get_buffer)

    def abort_sequence(self) -> None:
        """Let the present sequence end within a poll; UniMMCore itself has no way to tell a Python camera."""
        self._present = 0

    def _frames(
        self,
        line: _Line,
        number: int,
        n: int | None,
        shape: tuple[int, int],
        get_buffer: Callable[[Sequence[int], DTypeLike], NDArray[Any]],
    ) -> Iterator[Mapping[str, Any]]:
        taken = acknowledged = 0
        size = 2 * shape[0] * shape[1]
        batch = max(1, min(32, (1 << 21) // size))
        told = moved = time.monotonic()
        try:
            while self._present == number and (n is None or taken < n):
                message = line.receive()
                if message is None:
                    if taken > acknowledged or time.monotonic() - told >= _POLL:
                        line.send(Taken(number, taken))
                        acknowledged, told = taken, time.monotonic()
                    if not self._external and time.monotonic() - moved > _SILENCE:
                        raise LabCameraError(f"no frame from the lab at {self._address} for {_SILENCE:g} s")
                    line.ready(_POLL)
                    continue
                frame, buffer = message
                if not isinstance(frame, Frame) or frame.sequence != number:
                    continue
                if buffer is None or buffer.nbytes != size or frame.shape != shape:
                    raise LabCameraError(f"frame {frame.number} is not {shape} pixels of 16 bits")
                image = np.frombuffer(buffer, dtype="<u2").reshape(shape)
                if self._gain != 1.0:
                    image = np.minimum(image * self._gain, self._sensor().saturation)
                get_buffer(shape, np.uint16)[:] = image
                taken += 1
                moved = time.monotonic()
                if taken == n:  # the core does not come back after the last frame
                    line.send(Taken(number, taken))
                    acknowledged = taken
                yield {
                    "FrameNumber": str(frame.number),
                    "RigTime": repr(frame.rig_time),
                    "TriggersIgnored": str(frame.ignored),
                }
                if taken - acknowledged >= batch:
                    line.send(Taken(number, taken))
                    acknowledged, told = taken, time.monotonic()
        finally:
            line.stop(number)
            line.close()
