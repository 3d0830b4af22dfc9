"""Messages to ZeroMQ parts and back: what is refused is refused at both ends.

The parts of a message are its JSON header and then its arrays, raw, C-ordered, little-endian. Which arrays, of which
dtype and shape, follows from the header alone: `Frame` carries one uint16 image, `Maps` one float32 image per name,
every other message none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nvscope.stream.messages import Frame, Maps, Message, PointOpened, RunStatus

MAX_HEADER = 4 * 1024 * 1024
"""Largest header (bytes)."""

MAX_ARRAYS = 1024 * 1024 * 1024
"""Most bytes behind one header."""

_NUMBERS_IN_HEADER = 65536


class MalformedMessage(ValueError):
    """Bytes that are not a message, or a message that its own description forbids."""


Part = bytes | bytearray | memoryview


def _plain(value: object) -> object:
    """Give msgspec what documents carry besides JSON: numpy scalars, small arrays, paths."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        if value.size > _NUMBERS_IN_HEADER:
            raise MalformedMessage(
                f"an array of {value.size} numbers in a header; documents refer to frames and maps, never hold them"
            )
        return value.tolist()
    if isinstance(value, PurePath):
        return str(value)
    raise MalformedMessage(f"{type(value).__name__} cannot be written as JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_decoder = msgspec.json.Decoder(Message)


def encode(message: Message, *arrays: NDArray[Any]) -> list[bytes | memoryview]:
    """Encode one message.

    Parameters
    ----------
    message
        Any message. Scalars of `Maps.summary` and `RunStatus.values` that are not finite are left out; NaN elsewhere
        in free-form data becomes null.
    *arrays : NDArray
        One uint16 array of shape `message.shape` (y, x) for a `Frame`, one float32 array of that shape per name for
        `Maps`, none otherwise.

    Returns
    -------
    list of bytes or memoryview
        The header, then one view per array. The views are the caller's memory: do not send them without a copy if the
        array will be written again (`nvscope.stream.sockets` copies).

    Raises
    ------
    MalformedMessage
        If the receiver would refuse the message.
    """
    header = encode_header(message)
    specified = _arrays_of(message)
    if len(arrays) != len(specified):
        raise MalformedMessage(f"{_tag(message)} carries {len(specified)} arrays, got {len(arrays)}")
    parts: list[bytes | memoryview] = [header]
    for array, (name, dtype, shape) in zip(arrays, specified, strict=True):
        if array.dtype != dtype or array.shape != shape:
            raise MalformedMessage(
                f"{_tag(message)}: array {name!r} is {array.dtype} {array.shape}, expected {dtype} {shape}"
            )
        parts.append(np.ascontiguousarray(array, dtype).data.cast("B"))
    return parts


def encode_header(message: Message) -> bytes:
    """Encode the header alone; raises `MalformedMessage` as `encode` does."""
    if isinstance(message, Maps):
        message = msgspec.structs.replace(message, summary=_finite(message.summary))
    elif isinstance(message, RunStatus):
        message = msgspec.structs.replace(message, values=_finite(message.values))
    try:
        header = _encoder.encode(message)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise MalformedMessage(f"{_tag(message)}: {error}") from error
    _decode_header(header)
    return header


def decode(parts: Sequence[Part]) -> tuple[Message, list[NDArray[Any]]]:
    """Decode one message.

    Parameters
    ----------
    parts
        What the socket received.

    Returns
    -------
    message
        The message.
    arrays : list of NDArray
        Its arrays, read-only, over the memory of the parts where that is aligned.

    Raises
    ------
    MalformedMessage
        If the parts are not a message; nothing of them is returned.
    """
    if not parts:
        raise MalformedMessage("no parts")
    views = [memoryview(part) for part in parts]
    message = _decode_header(views[0])
    specified = _arrays_of(message)
    if len(views) - 1 != len(specified):
        raise MalformedMessage(f"{_tag(message)} carries {len(specified)} arrays, got {len(views) - 1}")
    arrays: list[NDArray[Any]] = []
    for view, (name, dtype, shape) in zip(views[1:], specified, strict=True):
        expected = dtype.itemsize * math.prod(shape)
        if view.nbytes != expected:
            raise MalformedMessage(
                f"{_tag(message)}: array {name!r} has {view.nbytes} bytes, {dtype} {shape} needs {expected}"
            )
        array = np.frombuffer(view, dtype).reshape(shape)
        if not array.flags.aligned:
            array = array.copy()
        array.flags.writeable = False
        arrays.append(array)
    return message, arrays


def _decode_header(header: Part) -> Message:
    size = memoryview(header).nbytes
    if size > MAX_HEADER:
        raise MalformedMessage(f"a header of {size} bytes; the limit is {MAX_HEADER}")
    try:
        message: Message = _decoder.decode(header)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedMessage(str(error)) from error
    _check(message)
    return message


def _check(message: Message) -> None:
    """Check what annotations cannot say."""
    if isinstance(message, PointOpened):
        if message.kind == "odmr" and not (message.frequencies and min(message.shape) > 0):
            raise MalformedMessage("an odmr point needs frequencies and an image shape")
        if message.kind == "transport" and (message.frequencies or max(message.shape) > 0):
            raise MalformedMessage("a transport point has no frequencies and shape (0, 0)")
    elif isinstance(message, Frame | Maps):
        if min(message.shape) < 1:
            raise MalformedMessage(f"{_tag(message)}: an image of shape {message.shape}")
        size = sum(dtype.itemsize * math.prod(shape) for _, dtype, shape in _arrays_of(message))
        if size > MAX_ARRAYS:
            raise MalformedMessage(f"{_tag(message)} announces {size} bytes of arrays; the limit is {MAX_ARRAYS}")
        if isinstance(message, Maps) and len(set(message.names)) != len(message.names):
            raise MalformedMessage("maps: a name occurs twice")


_FRAME = np.dtype("<u2")
_MAP = np.dtype("<f4")
ArraySpec = tuple[str, np.dtype[Any], tuple[int, int]]


def _arrays_of(message: Message) -> list[ArraySpec]:
    """Name, dtype and shape of each array behind a header."""
    if isinstance(message, Frame):
        return [("image", _FRAME, message.shape)]
    if isinstance(message, Maps):
        return [(name, _MAP, message.shape) for name in message.names]
    return []


def _finite(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _tag(message: Message) -> str:
    return str(message.__struct_config__.tag)
