"""Are the frames of a stream all there, each once and in order? Asked by whoever sums them, before it trusts a sum."""

from __future__ import annotations

from nvscope.stream.messages import BlockClosed, Frame


class FrameOrder:
    """Follows the frames of one block after another and remembers what is wrong with the block at hand.

    Within one arming the camera counts 0, 1, 2 …; a new arming starts at 0 again, with another sweep, step or kind of
    frame (`reference`). Anything else is a lost, doubled or misplaced frame. Frames lost at the end of an arming leave
    no gap; they show in the block's total.
    """

    def __init__(self) -> None:
        self._last: Frame | None = None
        self._block: tuple[int, int] | None = None
        self._frames = 0
        self._sweeps: set[int] = set()
        self._fault = ""

    def frame(self, frame: Frame) -> None:
        """Note one frame."""
        block = (frame.point, frame.block)
        if self._block is None:
            self._block = block
        elif self._block != block:
            self._blame(f"a frame of point {frame.point} block {frame.block} among those of {self._block}")
        if self._is_gap(frame):
            before = "the first" if self._last is None else f"number {self._last.number}"
            self._blame(f"frame number {frame.number} (sweep {frame.sweep}, step {frame.step}) came after {before}")
        self._last = frame
        self._frames += 1
        self._sweeps.add(frame.sweep)

    def _is_gap(self, frame: Frame) -> bool:
        last = self._last
        if frame.number == 0:
            return last is not None and _place(last) == _place(frame)
        return last is None or frame.number != last.number + 1

    def _blame(self, what: str) -> None:
        self._fault = self._fault or what

    def close(self, closed: BlockClosed) -> str:
        """End the block and return what is wrong with it, empty if nothing; the next block starts fresh."""
        if self._frames and self._block != (closed.point, closed.block):
            self._blame(f"point {closed.point} block {closed.block} closed while frames of {self._block} were open")
        if self._frames != closed.frames:
            self._blame(f"{closed.frames} frames were sent, {self._frames} arrived")
        if len(self._sweeps) != closed.sweeps:
            self._blame(f"{closed.sweeps} sweeps were sent, frames of {len(self._sweeps)} arrived")
        fault = self._fault
        self.forget()
        return fault

    def forget(self) -> int:
        """Drop the block at hand, for a point that ended inside one; return how many frames it had."""
        frames = self._frames
        self._block, self._frames, self._sweeps, self._fault = None, 0, set(), ""
        return frames


def _place(frame: Frame) -> tuple[int, int, int, int, bool]:
    return frame.point, frame.block, frame.sweep, frame.step, frame.reference
