"""What a stream is made of: a plan, the frames a camera would see, and the camera, which exposes by the clock."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.nv import GAMMA

RING = 200
"""Frames the camera's own buffer holds: a second at 200 frames/s."""

FIELD = 97e-4
"""Applied field (T)."""

EXPOSURES = 8
"""Different sweeps that the camera sees in turn: their noise averages as a real stream's does at first."""


@dataclass(frozen=True)
class Plan:
    """What is streamed: `points` of `duration` seconds together, in blocks of about `block` seconds.

    With `flat_out` the camera does not go by the clock but waits for room: as many frames, as fast as they go.
    """

    duration: float
    rate: float
    size: int
    steps: int
    block: float
    points: int = 1
    fit: bool = True
    flat_out: bool = False

    @property
    def sweeps_per_block(self) -> int:
        """Whole sweeps that take about `block` seconds."""
        return max(1, round(self.block * self.rate / self.steps))

    @property
    def frames_per_block(self) -> int:
        return self.sweeps_per_block * self.steps

    @property
    def blocks(self) -> int:
        """Blocks of a point."""
        return max(1, round(self.duration * self.rate / self.points / self.frames_per_block))

    @property
    def frames(self) -> int:
        """All frames of all points."""
        return self.points * self.blocks * self.frames_per_block


def spectra(plan: Plan) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
    """Return frequencies (Hz) and `EXPOSURES` sweeps of frames, uint16 (sweep, frequency, y, x).

    Two windows of 150 MHz as at 97 G; every pixel has a Lorentzian dip of 2 % in each, in 20 000 counts, with shot
    noise, and they lie apart by 5 % more or less across the image.
    """
    rng = np.random.default_rng(1)
    half = GAMMA * FIELD * (1 + 0.05 * np.linspace(-1, 1, plan.size)[:, None] * np.linspace(0.5, 1, plan.size))
    lower = (plan.steps + 1) // 2
    windows = [np.linspace(-75e6, 75e6, count) + sign * GAMMA * FIELD
               for count, sign in ((lower, -1), (plan.steps - lower, 1))]  # fmt: skip
    frequencies = 2.87e9 + np.concatenate(windows)
    frames = np.empty((EXPOSURES, plan.steps, plan.size, plan.size), np.uint16)
    for step, frequency in enumerate(frequencies):
        dips = sum(1 / (1 + ((frequency - 2.87e9 - sign * half) / 7e6) ** 2) for sign in (-1, 1))
        mean = 20_000 * (1 - 0.02 * dips)
        for exposure in range(EXPOSURES):
            frames[exposure, step] = mean + rng.standard_normal(half.shape, np.float32) * np.sqrt(mean)
    return frequencies, frames


class Camera(threading.Thread):
    """Exposes by the clock into a ring; a full ring loses the frame, or with `flat_out` makes the camera wait.

    Attributes
    ----------
    overflows, fullest : int
        Frames the ring had no room for; most frames it held.
    last : float
        When the newest frame was exposed, by `time.perf_counter`.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(daemon=True)
        self._rate = plan.rate
        self._frames = plan.blocks * plan.frames_per_block
        self._flat_out = plan.flat_out
        self.ring: deque[int] = deque()
        self.overflows = 0
        self.fullest = 0
        self.last = 0.0
        self.done = False

    def run(self) -> None:
        begin = time.perf_counter()
        for number in range(self._frames):
            while self._flat_out and len(self.ring) >= RING:
                time.sleep(0.0005)
            wait = begin + number / self._rate - time.perf_counter()
            if wait > 0 and not self._flat_out:
                time.sleep(wait)
            self.last = time.perf_counter()
            if len(self.ring) >= RING:
                self.overflows += 1
                continue
            self.ring.append(number)
            self.fullest = max(self.fullest, len(self.ring))
        self.done = True
