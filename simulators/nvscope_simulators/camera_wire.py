"""What the lab's camera and the Micro-Manager device in the run's process say to each other over ZeroMQ.

The lab binds one ROUTER socket; every sequence of the device connects a DEALER of its own, so that nothing of an
earlier sequence can be taken for the present one. A message is a JSON header, and for a frame one buffer of
little-endian uint16 behind it.
"""

from __future__ import annotations

import msgspec

MAX_REQUEST = 4096
"""Longest request the lab reads (bytes)."""


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    pass


class Describe(_Message, frozen=True, tag="describe"):
    """Device to lab: which camera is this."""


class Start(_Message, frozen=True, tag="start"):
    """Device to lab: expose from now on.

    Attributes
    ----------
    owner : str
        Who asks; another owner is refused while this one is heard of.
    sequence : int
        Chosen by the owner; comes back with every frame.
    exposure : float
        Seconds.
    external : bool
        One exposure per trigger, or free running.
    frames : int
        How many; 0 for as many as come until `Stop`.
    roi : tuple of int
        x, y, width, height in pixels.
    """

    owner: str
    sequence: int
    exposure: float
    external: bool
    frames: int
    roi: tuple[int, int, int, int]


class Taken(_Message, frozen=True, tag="taken"):
    """Device to lab: so many frames of the sequence are in Micro-Manager's buffer; also a sign of life."""

    sequence: int
    frames: int


class Stop(_Message, frozen=True, tag="stop"):
    """Device to lab: expose no more."""

    sequence: int


class Description(_Message, frozen=True, tag="description"):
    """Lab to device: the sensor, and the exposures it can make (s)."""

    model: str
    serial: str
    shape: tuple[int, int]
    saturation: int
    exposure_min: float
    exposure_max: float
    readout: float


class Started(_Message, frozen=True, tag="started"):
    """Lab to device: armed; every trigger from now on is heard."""

    sequence: int
    exposure: float


class Stopped(_Message, frozen=True, tag="stopped"):
    """Lab to device: no trigger is heard any more."""

    sequence: int


class Refused(_Message, frozen=True, tag="refused"):
    """Lab to device: not done, and why."""

    sequence: int
    reason: str


class Frame(_Message, frozen=True, tag="frame"):
    """Lab to device, with one buffer: an exposure.

    Attributes
    ----------
    sequence : int
    number : int
        Counts exposures of the sequence from 0; a gap means that frames were lost on the way.
    rig_time : float
        End of the exposure (s).
    shape : tuple of int
        (y, x).
    ignored : int
        Triggers that came during an exposure or its readout so far.
    """

    sequence: int
    number: int
    rig_time: float
    shape: tuple[int, int]
    ignored: int


Request = Describe | Start | Taken | Stop
Reply = Description | Started | Stopped | Refused | Frame
_encoder = msgspec.json.Encoder()
_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def encode(message: Request | Reply) -> bytes:
    """Encode one header."""
    return _encoder.encode(message)


def decode_request(data: bytes) -> Request:
    """Decode a request; raises `ValueError` on anything else."""
    return _requests.decode(data)


def decode_reply(data: bytes | memoryview) -> Reply:
    """Decode a reply; raises `ValueError` on anything else."""
    return _replies.decode(data)
