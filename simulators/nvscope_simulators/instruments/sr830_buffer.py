"""The SR830's data buffer: both displays sampled at a fixed rate or by triggers."""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Callable, Sequence

from nvscope_simulators.timeline import Event, Timeline

RATES = tuple(2.0**n for n in range(-4, 10))
"""Sample rates (1/s) by ``SRAT``; one more number means by trigger."""
CAPACITY = 16383


class TraceBuffer:
    """Stores pairs read by `read`; `rate` and `loop` give the present ``SRAT`` and ``SEND``."""

    def __init__(
        self,
        timeline: Timeline,
        read: Callable[[], tuple[float, float]],
        rate: Callable[[], int],
        loop: Callable[[], bool],
    ) -> None:
        self._timeline = timeline
        self._read = read
        self._rate = rate
        self._loop = loop
        self._next: Event | None = None
        self.points: deque[tuple[float, float]] = deque(maxlen=CAPACITY)

    @property
    def running(self) -> bool:
        """Whether samples are being taken."""
        return self._next is not None

    @property
    def triggered(self) -> bool:
        """Whether every sample needs a trigger."""
        return self._rate() == len(RATES)

    def start(self) -> None:
        """Begin or go on sampling; a full buffer that does not loop stays as it is."""
        if self.running or self.triggered or (len(self.points) >= CAPACITY and not self._loop()):
            return
        self._next = self._timeline.after(1 / RATES[self._rate()], self._sample)

    def _sample(self) -> None:
        self._next = None
        self.store()
        self.start()

    def store(self) -> None:
        """Take one sample."""
        if len(self.points) < CAPACITY or self._loop():
            self.points.append(self._read())

    def pause(self) -> None:
        """Stop sampling and keep the points."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def clear(self) -> None:
        """Stop sampling and forget the points."""
        self.pause()
        self.points.clear()


def as_floats(values: Sequence[float]) -> bytes:
    """Return IEEE single-precision numbers, little-endian (``TRCB?``)."""
    return struct.pack(f"<{len(values)}f", *values)


def as_raw(values: Sequence[float]) -> bytes:
    """Return the lock-in's own format (``TRCL?``): mantissa · 2^(exponent − 124), two bytes each, little-endian."""
    reply = b""
    for value in values:
        exponent = max(0, math.frexp(value)[1] - 15 + 124) if value else 0
        reply += struct.pack("<hh", round(value * 2.0 ** (124 - exponent)) if value else 0, exponent)
    return reply
