"""Sums of frames, frequency by frequency, that can be added up, moved back, and taken apart again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.stream.registration import noise_gain, registered

__all__ = ["StackSums", "Undo"]

Undo = Callable[[], None]
"""Takes back what was done."""


class StackSums:
    """Frames summed at each frequency; takes memory only once there are any, and is never cleared but written over.

    Attributes
    ----------
    frames : ndarray, shape (frequency,)
        How many.
    noise : ndarray, shape (frequency,)
        Variance of the sum, in frames' worth of it.
    """

    def __init__(self, steps: int, shape: tuple[int, int], dtype: type = np.uint32) -> None:
        self._shape = (steps, *shape)
        self._dtype = dtype
        self._total: NDArray[Any] | None = None
        self.frames = np.zeros(steps, np.int64)
        self.noise = np.zeros(steps)

    @property
    def total(self) -> NDArray[Any]:
        """Sums, (frequency, y, x); anything where there are no frames."""
        if self._total is None:
            self._total = np.empty(self._shape, self._dtype)
        return self._total

    @property
    def in_use(self) -> bool:
        """Whether memory was taken."""
        return self._total is not None

    @property
    def empty(self) -> bool:
        """Whether there are no frames."""
        return not self.frames.any()

    def add(self, step: int, image: NDArray[Any]) -> None:
        """Add one frame."""
        total = self.total[step]
        if self.frames[step]:
            np.add(total, image, out=total)
        else:
            np.copyto(total, image)
        self.frames[step] += 1
        self.noise[step] += 1

    def add_all(self, fresh: StackSums) -> Undo:
        """Add whole numbers; returns how to take them back, as long as `fresh` is not written over."""
        frames, noise, steps = self.frames, self.noise, np.flatnonzero(fresh.frames)
        for step in steps:
            if frames[step]:
                np.add(self.total[step], fresh.total[step], out=self.total[step])
            else:
                np.copyto(self.total[step], fresh.total[step])
        self.frames, self.noise = frames + fresh.frames, noise + fresh.noise

        def undo() -> None:
            for step in steps[frames[steps] > 0]:
                np.subtract(self.total[step], fresh.total[step], out=self.total[step])
            self.frames, self.noise = frames, noise

        return undo

    def become(self, kept: StackSums, fresh: StackSums, shift: tuple[float, float]) -> None:
        """Become the sum of two, the second moved back where it has moved by `shift` (y, x; pixels)."""
        for step in np.flatnonzero(kept.frames + fresh.frames):
            total = self.total[step]
            np.copyto(total, registered(fresh.total[step], shift) if fresh.frames[step] else 0)
            if kept.frames[step]:
                total += kept.total[step]
        self.frames = kept.frames + fresh.frames
        self.noise = kept.noise + noise_gain(shift) * fresh.noise

    def clear(self) -> None:
        """Forget all frames."""
        self.frames = np.zeros_like(self.frames)
        self.noise = np.zeros_like(self.noise)

    def like(self, other: StackSums) -> bool:
        """Whether another is of the same shape and type."""
        return self._shape == other._shape and self._dtype == other._dtype
