"""Frames in, mean spectra out: integer sums per frequency, kept block by block until each is known to be good."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.stream.light import block_light
from nvscope.stream.messages import BlockClosed, Frame, PointOpened
from nvscope.stream.order import FrameOrder
from nvscope.stream.registration import noise_gain, registered

__all__ = ["Accumulator", "Spectra"]

_FRAMES_PER_SUM = 65_000  # uint16 frames that a uint32 sum holds without overflow


@dataclass(frozen=True, eq=False)
class Spectra:
    """Mean spectra of a point as they stand. The arrays are overwritten by the next `Accumulator.spectra`.

    Attributes
    ----------
    signal : ndarray, float32, shape (frequency, y, x)
        Mean counts; NaN where there is no frame yet.
    frames : ndarray, shape (frequency,)
        Frames averaged at each frequency.
    noise : ndarray, shape (frequency,)
        Variance of their sum over that of one frame: the number of frames, less where images were interpolated.
    light : ndarray, shape (frequency, tile y, tile x), or None
        Light behind the signal, in tiles and counts, summed over frames (`nvscope.stream.light`); None where no frames
        were taken with microwaves off.
    reference_frames : ndarray, shape (frequency,)
        Frames taken with microwaves off at each frequency.
    sweeps : int
        Whole sweeps in the blocks kept and those begun in the open one.
    blocks : int
        Blocks closed by then, kept or not.
    revision : int
        Changes whenever the data does.
    """

    signal: NDArray[np.float32]
    frames: NDArray[np.int64]
    noise: NDArray[np.float64]
    light: NDArray[np.float64] | None
    reference_frames: NDArray[np.int64]
    sweeps: int
    blocks: int
    revision: int


class _Sums:
    """Frames summed at each frequency; takes memory only once there are any."""

    def __init__(self, steps: int, shape: tuple[int, int], dtype: type = np.uint32) -> None:
        self._shape = (steps, *shape)
        self._dtype = dtype
        self._total: NDArray[Any] | None = None
        self.frames = np.zeros(steps, np.int64)
        self.noise = np.zeros(steps)  # variance of the sum in frames' worth of it

    @property
    def total(self) -> NDArray[Any]:
        if self._total is None:
            self._total = np.zeros(self._shape, self._dtype)
        return self._total

    def add(self, step: int, image: NDArray[Any], frames: int = 1, gain: float = 1.0) -> None:
        np.add(self.total[step], image, out=self.total[step])
        self.frames[step] += frames
        self.noise[step] += gain * frames

    def take(self, other: _Sums, shift: tuple[float, float] | None = None) -> None:
        """Add the sums of another, moved back where they have moved by `shift` (y, x; pixels)."""
        gain = 1.0 if shift is None else noise_gain(shift)
        for step in np.flatnonzero(other.frames):
            image = other.total[step] if shift is None else registered(other.total[step], shift)
            self.add(int(step), image, int(other.frames[step]), gain)

    def clear(self) -> None:
        for step in np.flatnonzero(self.frames):
            self.total[step] = 0
        self.frames[:] = 0
        self.noise[:] = 0


class Accumulator:
    """Sums the frames of one point, in any order of frequencies; one thread adds while another reads.

    The frames of a block count once the block is closed as valid with every frame there; until then they show in live
    spectra and can still be forgotten. Frames with microwaves off are summed apart.

    Parameters
    ----------
    opened : PointOpened
        Frequency axis and image shape.

    Attributes
    ----------
    frames, lost : int
        Frames taken in; frames that blocks were closed without.
    closed : int
        Blocks closed, kept or not.
    revision : int
        Changes whenever the data does.
    """

    def __init__(self, opened: PointOpened) -> None:
        self.opened = opened
        steps = len(opened.frequencies)
        kept = np.float32 if opened.attrs.get("drift") else np.uint32  # what is moved back is no whole number
        self._kept = [_Sums(steps, opened.shape, dtype) for dtype in (kept, np.uint32)]  # microwaves on, off
        self._open = [_Sums(steps, opened.shape) for _ in range(2)]
        self._mean: NDArray[np.float32] | None = None
        self._light: NDArray[np.float64] | None = None  # of the blocks kept
        self._lit = np.zeros(steps, np.int64)  # signal frames whose light is known
        self._order = FrameOrder()
        self._fault = ""
        self._sweeps = 0
        self._open_sweeps: set[int] = set()
        self._lock = threading.Lock()
        self.revision = 0
        self.frames = 0
        self.lost = 0
        self.closed = 0

    def add(self, frame: Frame, image: NDArray[np.uint16]) -> bool:
        """Add one frame; False if it was left out because it does not belong to this point's axis or shape."""
        opened = self.opened
        fits = frame.point == opened.point and frame.step < len(opened.frequencies) and image.shape == opened.shape
        with self._lock:
            self._order.frame(frame)
            if not fits:
                self._fault = self._fault or f"frame of step {frame.step}, shape {image.shape}, does not fit the point"
                return False
            kept, fresh = self._kept[frame.reference], self._open[frame.reference]
            if fresh.frames[frame.step] + kept.frames[frame.step] >= _FRAMES_PER_SUM:
                self._fault = self._fault or f"more than {_FRAMES_PER_SUM} frames at one frequency"
                return False
            fresh.add(frame.step, image)
            self._open_sweeps.add(frame.sweep)
            self.frames += 1
            self.revision += 1
        return True

    def close(self, closed: BlockClosed) -> str:
        """Keep the open block's frames or forget them; returns why they were forgotten, empty if kept.

        A block that the run calls valid is forgotten all the same if a frame of it is missing, doubled or misplaced.
        """
        with self._lock:
            arrived = int(sum(sums.frames.sum() for sums in self._open))
            fault = self._order.close(closed) or self._fault
            if closed.valid and fault:
                self.lost += max(1, closed.frames - arrived)
            reason = fault if closed.valid else closed.reason or "not valid"
            if not reason:
                self._keep_light()
            for kept, fresh, shift in zip(self._kept, self._open, (closed.shift, None), strict=True):
                if not reason:
                    kept.take(fresh, shift)
                fresh.clear()
            self._sweeps += 0 if reason else closed.sweeps
            self._open_sweeps.clear()
            self._fault = ""
            self.closed += 1
            self.revision += 1
        return reason

    def has_open_frames(self) -> bool:
        """Whether frames of a block that is not closed yet are there."""
        return any(bool(sums.frames.any()) for sums in self._open)

    def spectra(self, *, live: bool) -> Spectra:
        """Return the mean of the blocks kept, and with `live` also of the open one while nothing is wrong with it.

        The lock is taken frequency by frequency, so that frames keep coming in meanwhile.
        """
        with self._lock:
            revision = self.revision
            live = live and not self._fault
            blocks = self.closed
            sweeps = self._sweeps + (len(self._open_sweeps) if live else 0)
            light, off = self._present_light(live)
        signal, frames, noise = self._signal(live)
        return Spectra(signal, frames, noise, light, off, sweeps, blocks, revision)

    def _keep_light(self) -> None:
        """Add the light of the open block to that of those kept."""
        on, off = self._open
        light = block_light(off.total, off.frames, on.frames) if off.frames.any() else None
        if light is None:
            return
        self._light = light if self._light is None else self._light + light
        self._lit += on.frames

    def _present_light(self, live: bool) -> tuple[NDArray[np.float64] | None, NDArray[np.int64]]:
        """Return the light behind all frames; those of the open block count as lit like the blocks kept."""
        off = self._kept[1].frames + (self._open[1].frames if live else 0)
        if self._light is None:
            if not (live and self._open[1].frames.any()):
                return None, off
            return block_light(self._open[1].total, self._open[1].frames, self._open[0].frames), off
        frames = self._kept[0].frames + (self._open[0].frames if live else 0)
        return self._light * (frames / np.maximum(self._lit, 1))[:, None, None], off

    def _signal(self, live: bool) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
        mean = self._mean
        if mean is None:
            mean = np.empty((len(self.opened.frequencies), *self.opened.shape), np.float32)
            self._mean = mean
        kept, fresh = self._kept[0], self._open[0]
        counts = np.zeros(len(self.opened.frequencies), np.int64)
        noise = np.zeros(counts.size)
        for step in range(counts.size):
            with self._lock:
                new = fresh.frames[step] if live else 0
                counts[step] = kept.frames[step] + new
                noise[step] = kept.noise[step] + new
                if counts[step] == 0:
                    mean[step] = np.nan
                elif new:
                    np.add(kept.total[step], fresh.total[step], out=mean[step], casting="unsafe")
                else:
                    np.copyto(mean[step], kept.total[step], casting="unsafe")
            mean[step] *= np.float32(1 / max(1, counts[step]))
        return mean, counts, noise
