"""Spectra of every pixel of one point: summed from the frames a viewer sees, or read from disk."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.gui.model.selection import Pixels
from nvscope.stream.messages import Frame

BUDGET = 192 * 1024 * 1024
"""Bytes that the sums of a point may take; a larger image is binned."""

_MOST = 65_000
"""uint16 frames that a uint32 sum holds without overflow."""


class SpectrumSums:
    """Frames of one point summed at each frequency.

    A viewer gets at most 30 frames a second, so spectra summed here are noisier than the recorded ones; never biased.
    One thread may add while another reads.

    Parameters
    ----------
    point : int
    frequencies : sequence of float
        Hz.
    shape : tuple of int
        Camera image (y, x).
    attrs : mapping
        Of the point.
    budget : int
        Bytes; above it neighbouring pixels are binned.

    Attributes
    ----------
    frames : ndarray, shape (frequency,)
        Frames summed.
    bin : int
        Edge, in camera pixels, of what is summed together.
    """

    def __init__(
        self,
        point: int,
        frequencies: Sequence[float] | NDArray[np.float64],
        shape: tuple[int, int],
        attrs: Mapping[str, Any],
        budget: int = BUDGET,
    ) -> None:
        self.point = point
        self.attrs = attrs
        self.frequencies = np.array(frequencies, np.float64)
        self.frames = np.zeros(self.frequencies.size, np.int64)
        self.bin = 1
        while 4 * self.frames.size * (shape[0] // self.bin) * (shape[1] // self.bin) > budget:
            self.bin += 1
        self.shape = shape
        self._sums: NDArray[Any] | None = None
        self._lock = threading.Lock()
        self._mean: tuple[int, NDArray[np.float32]] | None = None
        self._origin = "live"

    @staticmethod
    def stored(
        point: int, frequencies: NDArray[np.float64], mean: NDArray[Any], frames: NDArray[np.int64], attrs: Any
    ) -> SpectrumSums:
        """Return recorded spectra; `mean` has shape (frequency, y, x), NaN where `frames` is 0."""
        sums = SpectrumSums(point, frequencies, (mean.shape[1], mean.shape[2]), attrs, budget=mean.size * 4)
        sums._sums = np.where(frames[:, None, None] > 0, mean * frames[:, None, None], 0.0).astype(np.float32)
        sums.frames = frames.astype(np.int64)
        sums._origin = "recorded"
        return sums

    @property
    def live(self) -> bool:
        """Whether these come from the frames that reached this viewer."""
        return self._origin == "live"

    @property
    def source(self) -> str:
        """Where they come from, for people."""
        total = int(self.frames.sum())
        binned = f", {self.bin} × {self.bin} pixels binned" if self.bin > 1 else ""
        return f"live, {total} frames seen here{binned}" if self.live else f"recorded, {total} frames"

    def add(self, frame: Frame, image: NDArray[np.uint16]) -> None:
        """Add one frame; one of another point, off the axis or with microwaves off is left out."""
        if frame.point != self.point or frame.reference or frame.step >= self.frames.size or image.shape != self.shape:
            return
        with self._lock:
            self._add(frame, image)

    def _add(self, frame: Frame, image: NDArray[np.uint16]) -> None:
        if self.frames[frame.step] >= _MOST // self.bin**2:
            return  # the mean is good to better than 1e-3 of the shot noise of one frame by now
        height, width = (side // self.bin for side in self.shape)
        if self._sums is None:
            self._sums = np.zeros((self.frames.size, height, width), np.uint32)
        total = self._sums[frame.step]
        for down in range(self.bin):  # a third of the time of one sum over blocks
            for right in range(self.bin):
                total += image[down : height * self.bin : self.bin, right : width * self.bin : self.bin]
        self.frames[frame.step] += 1

    def at(self, pixels: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean counts of some camera pixels, NaN without a frame, and what they are worth in frames.

        Both have shape (frequency,).
        """
        nothing = np.full(self.frequencies.size, np.nan), np.zeros(self.frequencies.size)
        if self._sums is None:
            return nothing
        rows, columns = pixels[0] // self.bin, pixels[1] // self.bin
        inside = (rows < self._sums.shape[1]) & (columns < self._sums.shape[2])
        places = np.unique(np.stack([rows[inside], columns[inside]]), axis=1)
        if not places.size:
            return nothing
        with self._lock:
            total = self._sums[:, places[0], places[1]].mean(axis=1, dtype=np.float64)
            frames = self.frames.astype(np.float64)
        weight = np.where(frames > 0, frames * self.bin**2, np.nan)
        worth = frames * (places.shape[1] * self.bin**2)
        return np.asarray(total / weight, np.float64), worth

    def mean_image(self) -> NDArray[np.float32] | None:
        """Return the mean frame over all frequencies (counts), shape (y, x) of the bins; None without any frame."""
        if self._sums is None or not self.frames.any():
            return None
        total = int(self.frames.sum())
        if self._mean is None or self._mean[0] != total:
            weight = np.float32(total * self.bin**2)
            self._mean = total, np.asarray(self._sums.sum(axis=0, dtype=np.float64) / weight, np.float32)
        return self._mean[1]
