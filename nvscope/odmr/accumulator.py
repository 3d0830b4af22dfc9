"""Frames in, mean spectra out: integer sums per frequency, kept block by block until each is known to be good."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.stack_sums import StackSums, Undo
from nvscope.stream.light import block_light
from nvscope.stream.messages import BlockClosed, Frame, PointOpened
from nvscope.stream.order import FrameOrder

__all__ = ["Accumulator", "Spectra"]

_FRAMES_PER_SUM = 65_000  # uint16 frames that a uint32 sum holds without overflow


@dataclass(frozen=True, eq=False)
class Spectra:
    """Mean spectra of a point as they stand. The arrays are overwritten by the next such `Accumulator.spectra`.

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
        Changes whenever the data does: `Accumulator.revision`, or `Accumulator.kept_revision` of blocks kept.
    """

    signal: NDArray[np.float32]
    frames: NDArray[np.int64]
    noise: NDArray[np.float64]
    light: NDArray[np.float64] | None
    reference_frames: NDArray[np.int64]
    sweeps: int
    blocks: int
    revision: int


class Accumulator:
    """Sums the frames of one point, in any order of frequencies; one thread adds while another reads.

    The frames of a block count once the block is closed as valid with every frame there; until then they show in live
    spectra, as long as nothing is wrong with them, and can still be forgotten. Frames with microwaves off are summed
    apart. A block that was kept can be taken back until the next begins.

    Parameters
    ----------
    opened : PointOpened
        Frequency axis and image shape.
    before : Accumulator, optional
        Of a point that is over: its memory is used again where it fits.

    Attributes
    ----------
    frames, lost : int
        Frames taken in; frames that blocks were closed without.
    closed : int
        Blocks closed, kept or not, by the number of the newest.
    revision, kept_revision : int
        Change whenever the data does, and whenever the blocks kept do.
    """

    def __init__(self, opened: PointOpened, before: Accumulator | None = None) -> None:
        self.opened = opened
        steps = len(opened.frequencies)
        # what is moved back is no whole number
        self._dtypes = (np.float32 if opened.attrs.get("drift") else np.uint32, np.uint32)
        self._spare: list[StackSums] = [] if before is None else before._memory()
        # live spectra have memory of their own: whoever fits them may be slow to hear that they are out of date
        self._means: dict[bool, NDArray[np.float32]] = {}
        if before is not None and before.opened.shape == opened.shape and len(before.opened.frequencies) == steps:
            self._means = before._means
        self._kept = [self._new(0), self._new(1)]  # microwaves on, off
        self._open = [self._new(1), self._new(1)]
        self._light: NDArray[np.float64] | None = None  # of the blocks kept
        self._lit = np.zeros(steps, np.int64)  # signal frames whose light is known
        self._sweeps = 0
        self._last: tuple[int, Undo | None] | None = None  # the block last closed; how to take it back, if it was kept
        self._order = FrameOrder()
        self._fault = ""
        self._open_sweeps: set[int] = set()
        self._lock = threading.Lock()
        self.revision = 0
        self.kept_revision = 0
        self.frames = 0
        self.lost = 0
        self.closed = 0

    def _memory(self) -> list[StackSums]:
        """Give away all sums; the accumulator is of no use any more."""
        return [sums for sums in (*self._kept, *self._open, *self._spare) if sums.in_use]

    def _new(self, which: int) -> StackSums:
        """Return empty sums for frames with microwaves on (0) or off (1), in memory that is free."""
        wanted = StackSums(len(self.opened.frequencies), self.opened.shape, self._dtypes[which])
        for sums in self._spare:
            if sums.like(wanted):
                self._spare.remove(sums)
                sums.clear()
                return sums
        return wanted

    def add(self, frame: Frame, image: NDArray[np.uint16]) -> bool:
        """Add one frame; False if it was left out: it is late, or does not belong to this point's axis or shape."""
        opened = self.opened
        fits = frame.point == opened.point and frame.step < len(opened.frequencies) and image.shape == opened.shape
        with self._lock:
            if not self._order.frame(frame):
                return False
            if not fits:
                self._fault = self._fault or f"frame of step {frame.step}, shape {image.shape}, does not fit the point"
                return False
            self._last = None  # what it would be taken back with is written over
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

        A block that the run calls valid is forgotten all the same if a frame of it is missing, doubled or misplaced. A
        block kept before and now called not valid is taken back.
        """
        with self._lock:
            arrived = int(sum(sums.frames.sum() for sums in self._open))
            if not closed.valid and not arrived and self._last is not None and self._last[0] == closed.block:
                self._take_back()
                return closed.reason or "not valid"
            self._last = closed.block, None
            fault = self._order.close(closed) or self._fault
            if closed.valid and fault:
                self.lost += max(1, closed.frames - arrived)
            reason = fault if closed.valid else closed.reason or "not valid"
            if not reason:
                self._keep(closed)
            for sums in self._open:
                sums.clear()
            self._open_sweeps.clear()
            self._fault = ""
            self.closed = max(self.closed, closed.block + 1)
            self.revision += 1
        return reason

    def _take_back(self) -> None:
        """Forget the block last closed, if it was kept."""
        if self._last is not None and self._last[1] is not None:
            self._last[1]()
            self._last = self._last[0], None
            self.revision += 1
            self.kept_revision += 1

    def _keep(self, closed: BlockClosed) -> None:
        """Add the open block to those kept."""
        light, lit, sweeps = self._light, self._lit, self._sweeps
        self._light, self._lit = self._with_light_of_open_block()
        self._sweeps += closed.sweeps
        undo = [self._take(which, shift) for which, shift in enumerate((closed.shift, None))]

        def undo_all() -> None:
            for each in undo:
                each()
            self._light, self._lit, self._sweeps = light, lit, sweeps

        self._last = closed.block, undo_all
        self.kept_revision += 1

    def _take(self, which: int, shift: tuple[float, float] | None) -> Undo:
        """Add frames with microwaves on (0) or off (1) to those kept, moved back by `shift`."""
        kept, fresh = self._kept[which], self._open[which]
        if fresh.empty:
            return lambda: None
        if kept.empty and shift is None and kept.like(fresh):
            self._kept[which], self._open[which] = fresh, kept  # there is nothing to add to
            return fresh.clear
        if shift is None:
            return kept.add_all(fresh)
        moved = self._new(which)
        moved.become(kept, fresh, shift)
        self._kept[which] = moved

        def undo() -> None:
            self._kept[which] = kept

        return undo

    def has_open_frames(self) -> bool:
        """Whether frames of a block that is not closed yet are there."""
        return not all(sums.empty for sums in self._open)

    def spectra(self, *, live: bool) -> Spectra:
        """Return the mean of the blocks kept, and with `live` also of the open one while nothing is wrong with it.

        The lock is taken frequency by frequency, so that frames keep coming in meanwhile.
        """
        with self._lock:
            revision = self.revision if live else self.kept_revision
            sound = live and not (self._fault or self._order.fault)
            blocks = self.closed
            sweeps = self._sweeps + (len(self._open_sweeps) if sound else 0)
            light, off = self._present_light(sound)
            if live not in self._means:
                self._means[live] = np.empty((len(self.opened.frequencies), *self.opened.shape), np.float32)
        signal, frames, noise = self._signal(sound, self._means[live])
        return Spectra(signal, frames, noise, light, off, sweeps, blocks, revision)

    def _with_light_of_open_block(self) -> tuple[NDArray[np.float64] | None, NDArray[np.int64]]:
        """Return the light behind the blocks kept and the open one, and for how many frames it is known."""
        on, off = self._open
        light = None if off.empty else block_light(off.total, off.frames, on.frames)
        if light is None:
            return self._light, self._lit
        return light if self._light is None else self._light + light, self._lit + on.frames

    def _present_light(self, live: bool) -> tuple[NDArray[np.float64] | None, NDArray[np.int64]]:
        """Return the light behind all frames; those of the open block count as lit like the blocks kept."""
        on, fresh = self._open
        off = self._kept[1].frames + (fresh.frames if live else 0)
        if self._light is None:
            if not live or fresh.empty:
                return None, off
            return block_light(fresh.total, fresh.frames, on.frames), off
        frames = self._kept[0].frames + (on.frames if live else 0)
        return self._light * (frames / np.maximum(self._lit, 1))[:, None, None], off

    def _signal(
        self, live: bool, mean: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
        counts = np.zeros(len(self.opened.frequencies), np.int64)
        noise = np.zeros(counts.size)
        for step in range(counts.size):
            with self._lock:
                kept, fresh = self._kept[0], self._open[0]
                old, new = int(kept.frames[step]), int(fresh.frames[step]) if live else 0
                counts[step] = old + new
                noise[step] = kept.noise[step] + (fresh.noise[step] if live else 0.0)
                if counts[step] == 0:
                    mean[step] = np.nan
                elif old and new:
                    np.add(kept.total[step], fresh.total[step], out=mean[step], casting="unsafe")
                else:
                    np.copyto(mean[step], (fresh if new else kept).total[step], casting="unsafe")
            mean[step] *= np.float32(1 / max(1, counts[step]))
        return mean, counts, noise
