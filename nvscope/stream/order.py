"""Are the frames of a stream all there, each once and in order? Asked by whoever sums them, before it trusts a sum."""

from __future__ import annotations

from nvscope.stream.messages import BlockClosed, Frame

Place = tuple[int, int, bool]
"""Sweep, step, and whether microwaves were off."""


class FrameOrder:
    """Follows the frames of one block after another and remembers what is wrong with the block at hand.

    Within one arming the camera counts 0, 1, 2 …; a new arming starts at 0 again, with another sweep, step or kind of
    frame (`reference`), and nothing of an earlier arming comes after it. Anything else is a lost, doubled or misplaced
    frame. Frames lost at the end of an arming leave no gap; they show in the block's total. A frame of a block that has
    been closed is late: it belongs to nothing any more, and spoils nothing.

    Attributes
    ----------
    fault : str
        What is wrong with the block at hand so far, empty if nothing.
    """

    def __init__(self) -> None:
        self._last: Frame | None = None
        self._block: tuple[int, int] | None = None
        self._closed = (-1, -1)
        self._frames = 0
        self._sweeps: set[int] = set()
        self._before: set[Place] = set()  # seen in earlier armings of the block
        self._here: set[Place] = set()  # seen in the arming that is under way
        self.fault = ""

    def frame(self, frame: Frame) -> bool:
        """Note one frame; False if it is late, and must not be summed."""
        block = (frame.point, frame.block)
        if block <= self._closed:
            return False
        if self._block is None:
            self._block = block
        elif self._block != block:
            self._blame(f"a frame of point {frame.point} block {frame.block} among those of {self._block}")
        which = f"frame number {frame.number} (sweep {frame.sweep}, step {frame.step})"
        place = (frame.sweep, frame.step, frame.reference)
        if frame.number == 0:
            self._before |= self._here
            self._here = set()
        elif self._last is None or frame.number != self._last.number + 1:
            before = "the first" if self._last is None else f"number {self._last.number}"
            self._blame(f"{which} came after {before}")
        if place in self._before:
            self._blame(f"{which} came when the camera had been armed again: it is late, or there twice")
        self._here.add(place)
        self._last = frame
        self._frames += 1
        self._sweeps.add(frame.sweep)
        return True

    def _blame(self, what: str) -> None:
        self.fault = self.fault or what

    def close(self, closed: BlockClosed) -> str:
        """End the block and return what is wrong with it, empty if nothing; the next block starts fresh."""
        if self._frames and self._block != (closed.point, closed.block):
            self._blame(f"point {closed.point} block {closed.block} closed while frames of {self._block} were open")
        if self._frames != closed.frames:
            self._blame(f"{closed.frames} frames were sent, {self._frames} arrived")
        if len(self._sweeps) != closed.sweeps:
            self._blame(f"{closed.sweeps} sweeps were sent, frames of {len(self._sweeps)} arrived")
        fault = self.fault
        self._closed = max(self._closed, (closed.point, closed.block))
        self.forget()
        return fault

    def forget(self) -> int:
        """Drop the block at hand, for a point that ended inside one; return how many frames it had."""
        frames = self._frames
        self._block, self._frames, self._sweeps, self.fault = None, 0, set(), ""
        self._before, self._here = set(), set()
        return frames
