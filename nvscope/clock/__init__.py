"""Rig time as a role: wall time in a lab, simulated time when the lab is a program."""

from nvscope.clock.base import Clock, WallClock
from nvscope.clock.driven import ClockEventLoop, DrivenClock
from nvscope.clock.wire import Advance, Advanced, ClockError, Hello, Welcome, decode_reply, decode_request, encode

__all__ = [
    "Advance",
    "Advanced",
    "Clock",
    "ClockError",
    "ClockEventLoop",
    "DrivenClock",
    "Hello",
    "WallClock",
    "Welcome",
    "decode_reply",
    "decode_request",
    "encode",
]
