"""The clock socket of a simulated lab: newline-delimited JSON over TCP, one driver of time at most."""

from __future__ import annotations

from typing import Literal

import msgspec

MAX_LINE = 4096


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="hello"):
    """First line from a client: ``driver`` moves time, ``observer`` only asks."""

    role: Literal["driver", "observer"]


class Advance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="advance"):
    """Advance the lab to rig time `to` (s); answered once everything due by then has happened and been delivered."""

    to: float
    id: int


class Now(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="now"):
    """Ask for rig time; never moves it."""

    id: int


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """Answer to `Hello`."""

    now: float


class Advanced(msgspec.Struct, frozen=True, tag="advanced"):
    """Answer to `Advance` and `Now`."""

    id: int
    now: float


class ClockError(msgspec.Struct, frozen=True, tag="error"):
    """Answer to anything refused, a second driver for instance."""

    message: str


Request = Hello | Advance | Now
Reply = Welcome | Advanced | ClockError
_encoder = msgspec.json.Encoder()
_requests = msgspec.json.Decoder(Request)
_replies = msgspec.json.Decoder(Reply)


def encode(message: Request | Reply) -> bytes:
    """Encode one message with its newline."""
    return _encoder.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Decode a client's line; raises `msgspec.DecodeError` (a `ValueError`) on anything else."""
    return _requests.decode(line)


def decode_reply(line: bytes) -> Reply:
    """Decode the lab's line; raises `msgspec.DecodeError` (a `ValueError`) on anything else."""
    return _replies.decode(line)
